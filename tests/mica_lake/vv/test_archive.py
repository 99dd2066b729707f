"""Residuals of the observations that the lake knows, in Python and at the command line."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import in_process
from rich.console import Console

from mica_lake.archive import asp_l1, obspar
from mica_lake.cli.vv_output import show
from mica_lake.errors import MissingDataError
from mica_lake.ingest import asp_l1 as ingest_asp_l1
from mica_lake.ingest import obspar as ingest_obspar
from mica_lake.ingest import vv as ingest_vv
from mica_lake.lake import Lake
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.vv import Obi, get_arch_vv, get_rms_data, get_vv, get_vv_dir, get_vv_files

OBSID = 32448


WHOLE = [2, 2.0, np.int16(2), np.float32(2)]


@pytest.mark.often(2)
@pytest.mark.parametrize("version", ["last", "default", None, *WHOLE])
def test_it_is_that_of_the_files_where_ingest_saw_them(version: Any, demo_lake: str) -> None:
    file, folder = obspar.get_obspar_file(OBSID, data_root=demo_lake), asp_l1.get_dir(OBSID, demo_lake)
    assert file is not None and folder is not None
    expected, found = Obi(file, folder), get_arch_vv(OBSID, version, data_root=demo_lake)
    assert found.info() == expected.info() | {"aspect_1_id": 100 * OBSID + 2, "ap_date": found.ap_date}
    assert str(found.ap_date).startswith("2024-01-")
    for name, values in expected.all_slot_data[3].items():
        np.testing.assert_array_equal(found.all_slot_data[3][name], values)


@pytest.mark.parametrize(
    ("obsid", "version", "message"),
    [(1, "last", "aspect products of obsid 1, .*has none"), (OBSID, 9, "version 9; it has 2")],
)
def test_what_the_lake_does_not_have_is_missing_data(obsid: int, version: Any, message: str, demo_lake: str) -> None:
    with pytest.raises(MissingDataError, match=message):
        get_arch_vv(obsid, version, data_root=demo_lake)


def test_without_its_obspar_it_says_how_to_take_it(demo_ska: Path, tmp_path: Path) -> None:
    ingest_asp_l1.ingest(demo_ska, tmp_path / "lake", jobs=1)
    with pytest.raises(MissingDataError, match=f"obspar of obsid {OBSID}, revision 2, .*'mica-lake ingest obspar'"):
        get_arch_vv(OBSID, data_root=tmp_path / "lake")


@pytest.mark.parametrize("version", ["all", "newest", 1.5, float("nan"), float("inf")])
def test_a_version_that_is_none_is_a_value_error(version: Any, demo_lake: str) -> None:
    with pytest.raises(ValueError, match="revision"):
        get_arch_vv(OBSID, version, data_root=demo_lake)


def test_the_command_shows_each_slot(demo_lake: str) -> None:
    done = vv(OBSID, "--version", 2, "--lake", demo_lake)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line[:1].isdigit()}
    assert sorted(rows) == list("01234567")
    report = get_arch_vv(OBSID, data_root=demo_lake).slot_report["3"]
    assert rows["3"] == [
        report["type"], str(report["n_pts"]),
        *(f"{report[name]:.3f}" for name in ("dy_med", "dz_med", "dy_rms", "dz_rms", "rad_off")),
        f"{report['mag_med']:.2f}",
    ]  # fmt: skip


@pytest.mark.parametrize("revision", WHOLE)
def test_a_revision_may_be_a_whole_number_of_any_type(revision: Any, demo_lake: str) -> None:
    """As in a table of floats; everywhere a revision is taken."""
    (file,) = obspar.get_files(OBSID, data_root=demo_lake)
    folder = f"{OBSID}_v02"
    assert obspar.get_files(OBSID, revision=revision, data_root=demo_lake) == [
        str(Path(file).parent.with_name(folder) / Path(file).name)
    ]
    assert Path(obspar.get_obspar_file(OBSID, revision, demo_lake) or "").parent.name == folder
    assert (obspar.get_obspar(OBSID, revision, demo_lake) or {})["revision"] == 2
    assert OBSID in obspar.get_obsids("2024:001", "2024:002", revision, demo_lake)
    files = asp_l1.get_files(OBSID, revision=revision, content="ASPSOL", data_root=demo_lake)
    assert {Path(path).parent.name for path in files} == {folder}
    expected = asp_l1.get_atts(OBSID, data_root=demo_lake)[1]
    assert len(expected) > 1000
    np.testing.assert_array_equal(asp_l1.get_atts(OBSID, revision=revision, data_root=demo_lake)[1], expected)


@pytest.mark.parametrize("module", [asp_l1, obspar])
@pytest.mark.parametrize("obsid", [None, OBSID])
def test_stop_before_start_is_a_value_error_that_shows_both(module: Any, obsid: int | None, demo_lake: str) -> None:
    for start, stop in (("2024:002", "2024:001"), (820454470.0, 820454469.0)):
        message = re.escape(f"stop {stop!r} is before start {start!r}")
        for function in (module.get_files, *([asp_l1.get_atts] if module is asp_l1 else [])):
            with pytest.raises(ValueError, match=message):
                function(obsid, start, stop, data_root=demo_lake)
    assert module.get_files(obsid, "2030:001", "2030:001", data_root=demo_lake) == []


def test_the_command_says_what_is_missing(demo_lake: str) -> None:
    done = vv(1, "--lake", demo_lake)
    assert (done.returncode, done.stdout) == (1, "")
    assert "aspect products of obsid 1" in done.stderr


def test_what_is_outside_the_limits_is_marked_and_told(demo_lake: str) -> None:
    obi = get_arch_vv(OBSID, data_root=demo_lake)
    obi.slot_report["4"]["dy_med"] = -0.0001
    console = Console(record=True, width=100)
    show(obi, console)
    text = console.export_text()
    assert text.endswith("\nAll values are inside the limits.\n")
    assert " 0.000 " in text
    assert "-0.000" not in text
    obi.slot_report["3"] |= {"dy_rms": 0.45, "dz_rms": 0.3}
    console = Console(record=True, width=100)
    show(obi, console)
    text = console.export_text()
    assert "0.450!" in text
    assert "0.300?" in text
    assert "slot 3: dy_rms 0.450, limit 0.4 (bad)" in text
    assert "slot 3: dz_rms 0.300, limit 0.25 (warn)" in text
    assert "All values" not in text


def test_a_slot_without_data_and_one_without_a_number_are_shown(demo_lake: str) -> None:
    obi = get_arch_vv(OBSID, data_root=demo_lake)
    obi.slot_report["4"] = {"slot": 4, "type": "GUIDE", "id_status": "GOOD", "cel_loc_flag": 1}
    obi.slot_report["5"]["dy_rms"] = None
    console = Console(record=True, width=100)
    show(obi, console)
    rows = {line.split()[0]: line.split()[1:] for line in console.export_text().splitlines() if line[:1].isdigit()}
    assert rows["4"] == ["GUIDE", "0", *"------"]
    assert rows["5"][4] == "-!"


# --- what the lake has ------------------------------------------------------------------------------------------------

ANSWERS: dict[str, Any] = {}
if (GOLDEN := Path(__file__).resolve().parents[4] / "shared" / "golden" / "archive.json").is_file():
    ANSWERS = {key: value for key, value in json.loads(GOLDEN.read_text()).items() if key.startswith("vv.")}
ASK = {"vv.dir": get_vv_dir, "vv.files": get_vv_files, "vv.get": get_vv}


@pytest.fixture(scope="module")
def golden_lake(golden_ska: Path, place: Callable[[str], str]) -> str:
    """A lake of the archive that mica was asked about."""
    lake = place("vv")
    for one in (ingest_asp_l1.ingest, ingest_obspar.ingest, ingest_vv.ingest):
        assert one(golden_ska, lake, jobs=1).exit_code == 0
    return lake


@pytest.mark.parametrize("key", ANSWERS)
def test_the_answer_is_that_of_mica(key: str, golden_lake: str, golden_ska: Path) -> None:
    kind, obsid, text = key.split("|")
    version = int(text) if text.isdigit() else text
    if ANSWERS[key] == {"raises": "LookupError"}:
        with pytest.raises(LookupError):
            ASK[kind](int(obsid), version, golden_lake)
        return
    answer: Any = ASK[kind](int(obsid), version, golden_lake)
    if kind == "vv.dir":
        answer = str(Path(answer).relative_to(golden_ska))
    elif kind == "vv.files":
        answer = [str(Path(path).relative_to(golden_ska)) for path in answer]
    assert answer == ANSWERS[key]


def test_the_table_is_that_of_mica(golden_lake: str, shared: Path) -> None:
    data = get_rms_data(golden_lake)
    with np.load(shared / "golden" / "archive.npz") as answers:
        names = [key.removeprefix("vv.rms/") for key in answers.files if key.startswith("vv.rms/")]
        assert names == list(data.dtype.names or ())
        for name in names:
            expected = answers[f"vv.rms/{name}"]
            assert data.dtype[name] == expected.dtype
            np.testing.assert_array_equal(data[name], expected)


@pytest.mark.parametrize("version", ["default", "last", None, *WHOLE])
def test_a_report_is_that_of_each_version(version: Any, demo_lake: str) -> None:
    report = get_vv(OBSID, version, demo_lake)
    assert (report["obsid"], report["revision"]) == (OBSID, 2)
    assert report == json.loads(Path(get_vv_dir(OBSID, version, demo_lake), "vv_report.json").read_text())
    assert get_vv_files(OBSID, version, demo_lake) == [f"{get_vv_dir(OBSID, version, demo_lake)}/vv_report.json"]


@pytest.mark.parametrize("function", ASK.values())
@pytest.mark.parametrize(
    ("obsid", "version", "message"),
    [
        (1, "default", "obsid 1 has no revision 'default' .* it has none .*ingest asp_l1"),
        (1, 3, "no V&V report of obsid 1, revision 3: .*vv 1 --version 3 --ingest"),
        (OBSID, 9, f"no V&V report of obsid {OBSID}, revision 9"),
    ],
)
def test_a_report_that_is_not_there_is_a_lookup_error(
    function: Any, obsid: int, version: Any, message: str, demo_lake: str
) -> None:
    with pytest.raises(LookupError, match=message):
        function(obsid, version, demo_lake)
    with pytest.raises(ValueError, match="revision"):
        function(obsid, "newest", demo_lake)


def test_a_text_longer_than_its_field_is_cut_as_numpy_cuts_it(demo_lake: str) -> None:
    data = get_rms_data(demo_lake)
    assert data.dtype == row_dtype("vv_rms")
    assert set(data["instrument"]) == {get_vv(OBSID, data_root=demo_lake)["instrument"].encode()[:10]}


# --- at the command line ----------------------------------------------------------------------------------------------


def vv(*arguments: object) -> subprocess.CompletedProcess[str]:
    return in_process(("vv", *arguments), {})


@pytest.fixture
def own_lake(demo_lake: str, tmp_path: Path) -> Path:
    """A copy of the demo's lake, to be changed."""
    return Path(shutil.copytree(demo_lake, tmp_path / "lake"))


def test_ingest_stores_what_it_shows(own_lake: Path) -> None:
    before = get_rms_data(own_lake)
    assert not Lake(own_lake).sql("FROM vv_rms WHERE computed").fetchall()
    done = vv(OBSID, "--ingest", "--lake", own_lake)
    assert done.returncode == 0, done.stderr
    assert f"obsid {OBSID}, revision 2" in done.stdout
    after = get_rms_data(own_lake)
    assert len(after) == len(before)
    for name in set(after.dtype.names or ()) - {"mean_aacccdpt"}:
        np.testing.assert_array_equal(after[name], before[name])
    # That of the readouts, which step by 0.4 degrees, and that of the simulation at other times.
    assert after["mean_aacccdpt"] == pytest.approx(before["mean_aacccdpt"], abs=0.3)
    assert Lake(own_lake).sql("SELECT DISTINCT computed FROM vv_rms").fetchall() == [(True,)]


def test_one_of_several_that_cannot_be_computed_does_not_stop_the_others(own_lake: Path) -> None:
    done = vv(1, OBSID, "--lake", own_lake)
    assert done.returncode == 3
    assert "obsid 1: the lake has no aspect products of obsid 1" in done.stdout
    assert f"obsid {OBSID}, revision 2" in done.stdout


def test_pictures_are_of_one_observation(demo_lake: str, tmp_path: Path) -> None:
    done = vv(1, 2, "--plots", tmp_path / "plots", "--lake", demo_lake)
    assert done.returncode == 1
    assert "is of one observation, 2 are named" in done.stderr
    assert not (tmp_path / "plots").exists()


@pytest.mark.soak
def test_pictures_and_the_report_are_written(demo_lake: str, tmp_path: Path) -> None:
    done = vv(OBSID, "--plots", tmp_path / "plots", "--lake", demo_lake)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "plots/vv_report.json").read_text()) == get_vv(OBSID, data_root=demo_lake)
    assert len(list((tmp_path / "plots").glob("slot_*.png"))) == 8 * 6
