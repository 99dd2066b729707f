"""From V&V reports and the table of residuals to the lake, and residuals computed there."""

import gzip
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from astropy.io import fits
from rich.console import Console

from mica_lake.catalog.findings import Finding, Verified
from mica_lake.catalog.pointer import current_generation
from mica_lake.catalog.reindex import rebuild
from mica_lake.cli.vv_output import run
from mica_lake.errors import BadFile, MissingDataError
from mica_lake.ingest import asp_l1, obspar, vv
from mica_lake.ingest.compare import compare
from mica_lake.ingest.vv import Computed, read_report, store
from mica_lake.lake import Lake
from mica_lake.simulate import asp_l1 as simulate_asp_l1
from mica_lake.simulate import obspar as simulate_obspar
from mica_lake.simulate import vv as simulate_vv
from mica_lake.simulate.observations import Observation, observations
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.vv import get_arch_vv, get_rms_data, get_vv, get_vv_dir, get_vv_files
from mica_lake.vv.archive import rms_rows

ARCHIVE = "data/mica/archive"


@pytest.fixture(scope="module", autouse=True)
def _the_power_does_not_fail() -> Iterator[None]:
    """Files are not flushed to the disk, which is slow and of no consequence here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def short(observation: Observation) -> Observation:
    return replace(observation, tstop=observation.tstart + 900)


@pytest.fixture(scope="module")
def observed() -> list[Observation]:
    """One with two revisions, of which the older is released, and one with a single revision."""
    some = [o for o in observations(7e8, 7e8 + 90000) if o.detector != "NONE"]
    return [
        short(next(o for o in some if o.default == 1 and o.last == 2)),
        short(next(o for o in some if o.revisions == (3,))),
    ]


@pytest.fixture(scope="module")
def whole(observed: list[Observation], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of their obspars, aspect products and V&V, not to be changed."""
    ska = tmp_path_factory.mktemp("vv") / "ska"
    simulate_obspar.write_archive(ska, observed)
    simulate_asp_l1.write_archive(ska, observed)
    simulate_vv.write_archive(ska, observed)
    return ska


@pytest.fixture
def ska(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "ska", symlinks=True))


@pytest.fixture
def lake(ska: Path, tmp_path: Path) -> Path:
    """All of it, ingested."""
    root = tmp_path / "lake"
    for one in (obspar.ingest, asp_l1.ingest, vv.ingest):
        assert one(ska, root, jobs=1).exit_code == 0
    return root


def top(ska: Path) -> Path:
    return ska / ARCHIVE / "vv"


def report_of(ska: Path, observation: Observation, revision: int) -> Path:
    name = f"{observation.obsid:05d}"
    return top(ska) / name[:2] / f"{name}_v{revision:02d}" / "vv_report.json"


def touch(path: Path) -> None:
    """So that two versions written in the same tick of the clock are two."""
    stamp = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(stamp, stamp))


def in_file(ska: Path) -> Any:
    with h5py.File(top(ska) / "vv.h5") as file:
        return file["vv"][()]


def with_rows(ska: Path, rows: Any, node: str = "vv") -> None:
    with h5py.File(top(ska) / "vv.h5", "w") as file:
        file[node] = rows
    touch(top(ska) / "vv.h5")


def processed(ska: Path, default: int, observation: Observation) -> None:
    """Let another revision be the released one."""
    with closing(sqlite3.connect(ska / ARCHIVE / "asp1/processing_asp_l1.db3")) as database, database:
        database.execute(
            "UPDATE aspect_1_proc SET isdefault = (revision = ?) WHERE obsid = ?", (default, observation.obsid)
        )


def flags(lake: Path, observation: Observation) -> dict[int, set[int]]:
    """isdefault of each revision's rows in `vv_rms`."""
    found: dict[int, set[int]] = {}
    for row in get_rms_data(lake):
        if row["obsid"] == observation.obsid:
            found.setdefault(int(row["revision"]), set()).add(int(row["isdefault"]))
    return found


def compute(lake: Path, observation: Observation, version: Any) -> Computed:
    obi = get_arch_vv(observation.obsid, version, lake)
    return Computed(obi.report(), rms_rows(obi, lake))


def contents(lake: Path) -> dict[str, bytes]:
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.glob("vv_*/**/data.parquet")}


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_every_row_and_report_is_kept(lake: Path, ska: Path, observed: list[Observation]) -> None:
    data = get_rms_data(lake)
    assert data.dtype == row_dtype("vv_rms")
    assert data.tobytes() == in_file(ska).astype(data.dtype).tobytes()
    for observation in observed:
        for revision in observation.revisions:
            path = report_of(ska, observation, revision)
            assert get_vv(observation.obsid, revision, lake) == json.loads(path.read_text())
            assert get_vv_dir(observation.obsid, revision, lake) == str(path.parent)
            assert get_vv_files(observation.obsid, revision, lake) == [str(path)]


def test_versions_are_those_of_the_processing_table(lake: Path, ska: Path, observed: list[Observation]) -> None:
    first, _ = observed
    assert get_vv(first.obsid, data_root=lake)["revision"] == 1
    assert get_vv(first.obsid, "last", lake)["revision"] == 2
    processed(ska, 2, first)
    asp_l1.ingest(ska, lake, jobs=1)
    assert get_vv(first.obsid, "default", lake)["revision"] == 2
    rows = Lake(lake).sql("SELECT revision, isdefault FROM vv_report WHERE obsid = $o", {"o": first.obsid}).fetchall()
    assert sorted(rows) == [(1, False), (2, True)]


def test_pictures_beside_a_report_are_listed(lake: Path, ska: Path, observed: list[Observation]) -> None:
    path = report_of(ska, observed[1], 3)
    path.with_name("slot_3_yz.png").write_bytes(b"a picture")
    names = [Path(file).name for file in get_vv_files(observed[1].obsid, data_root=lake)]
    assert names == ["slot_3_yz.png", "vv_report.json"]


def test_nested_slots_are_those_of_the_report(lake: Path, observed: list[Observation]) -> None:
    report = get_vv(observed[1].obsid, data_root=lake)
    query = "SELECT unnest(slots) FROM vv_report WHERE obsid = $o"
    for (slot,) in Lake(lake).sql(query, {"o": observed[1].obsid}).fetchall():
        expected = report["slots"][str(slot["slot"])]
        assert {name: value for name, value in slot.items() if value is not None} == expected


def test_an_unchanged_archive_changes_nothing(lake: Path, ska: Path) -> None:
    before, generation = contents(lake), current_generation(lake)
    report = vv.ingest(ska, lake)
    assert (report.taken, report.unchanged, report.partitions) == ([], 4, 0)
    assert (contents(lake), current_generation(lake)) == (before, generation)


def test_what_changed_in_the_source_is_replaced(lake: Path, ska: Path, observed: list[Observation]) -> None:
    path = report_of(ska, observed[0], 2)
    path.write_text(path.read_text().replace('"vv_version": 4', '"vv_version": 5'))
    touch(path)
    rows = in_file(ska)
    rows["isdefault"] = 1 - rows["isdefault"]
    with_rows(ska, rows[::-1])
    report = vv.ingest(ska, lake)
    assert sorted(report.replaced) == [f"{path.parent.name}/vv_report.json", "vv/vv.h5"]
    assert get_vv(observed[0].obsid, 2, lake)["vv_version"] == 5
    assert get_rms_data(lake).tobytes() == rows[::-1].astype(row_dtype("vv_rms")).tobytes()


def test_what_has_gone_from_the_archive_stays(lake: Path, ska: Path, observed: list[Observation]) -> None:
    before = contents(lake)
    shutil.rmtree(report_of(ska, observed[0], 1).parent)
    (top(ska) / "vv.h5").unlink()
    report = vv.ingest(ska, lake)
    assert list(report.set_aside) == ["vv/vv.h5"]
    assert contents(lake) == before
    assert get_vv(observed[0].obsid, 1, lake)["revision"] == 1
    with pytest.raises(MissingDataError, match="cannot be listed"):
        get_vv_files(observed[0].obsid, 1, lake)


def test_a_report_that_moved_years_is_there_once(lake: Path, ska: Path, observed: list[Observation]) -> None:
    path = report_of(ska, observed[1], 3)
    report = json.loads(path.read_text())
    path.write_text(json.dumps(report | {"tstart": 1e8}))
    touch(path)
    vv.ingest(ska, lake)
    rows = Lake(lake).sql("SELECT tstart FROM vv_report WHERE obsid = $o", {"o": observed[1].obsid}).fetchall()
    assert rows == [(1e8,)]
    assert (lake / "vv_report/year=2001/data.parquet").exists()


def test_a_report_without_a_time_is_of_1998(lake: Path, ska: Path, observed: list[Observation]) -> None:
    path = report_of(ska, observed[1], 3)
    path.write_text(json.dumps({"obsid": observed[1].obsid, "revision": 3, "slots": {"3": {"dz_rms": float("nan")}}}))
    touch(path)
    vv.ingest(ska, lake)
    assert (lake / "vv_report/year=1998/data.parquet").exists()
    assert np.isnan(get_vv(observed[1].obsid, data_root=lake)["slots"]["3"]["dz_rms"])
    assert Lake(lake).status().filter(table_name="vv_report")["rows"].to_list() == [3]


def test_after_a_lost_partition_the_archive_brings_it_back(lake: Path, ska: Path) -> None:
    before = contents(lake)
    for name in ("vv_rms", "vv_report"):
        (path,) = lake.glob(f"{name}/*/data.parquet")
        path.unlink()
        shutil.rmtree(lake / "_catalog/pinned" / name)
    assert rebuild(lake) == []
    assert vv.ingest(ska, lake).partitions == 2
    assert contents(lake) == before


def test_without_a_catalog_nothing_is_lost(lake: Path, ska: Path) -> None:
    before = contents(lake)
    shutil.rmtree(lake / "_catalog")
    assert rebuild(lake) == []
    assert contents(lake) == before
    assert vv.ingest(ska, lake).partitions == 0
    assert contents(lake) == before


def test_a_dry_run_leaves_the_lake_alone(ska: Path, tmp_path: Path) -> None:
    report = vv.ingest(ska, tmp_path / "none", dry_run=True)
    assert len(report.taken) == 4
    assert not (tmp_path / "none").exists()


def test_the_folder_itself_may_be_given(ska: Path, tmp_path: Path) -> None:
    assert len(vv.ingest(top(ska), tmp_path / "lake").taken) == 4
    with pytest.raises(FileNotFoundError, match="no such folder"):
        vv.ingest(tmp_path / "nowhere", tmp_path / "lake")


# --- what cannot be taken ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "it is not JSON"),
        ("[" * 100000, "it is not JSON"),
        ("[1, 2]", "it is not a report but a JSON list"),
        ("{}", "it lacks obsid and revision"),
        ('{"obsid": 1, "revision": "two", "slots": {}}', "its revision is 'two', no int32"),
        ('{"obsid": true, "revision": 2, "slots": {}}', "its obsid is True, no int32"),
        ('{"obsid": 1, "revision": 2}', "its slots are no mapping"),
        ('{"obsid": 1, "revision": 2, "slots": {"3": 4}}', "its slots are no mapping"),
        ('{"obsid": 1, "revision": 2, "slots": {"3": {"slot": 4}}}', "its slots have a '3', whose slot is 4"),
        ('{"obsid": 1, "revision": 2, "slots": {"x": {}}}', "its slots have a 'x'"),
        ('{"obsid": 1, "revision": 2, "slots": {"3": {"dy_rms": "0.1"}}}', "its slots 3 dy_rms is '0.1', no double"),
        ('{"obsid": 1, "revision": 2, "slots": {"3": {"n_pts": 1.5}}}', "its slots 3 n_pts is 1.5, no int32"),
        ('{"obsid": 1, "revision": 2, "slots": {"3": {"n_pts": Infinity}}}', "its slots 3 n_pts is inf, no int32"),
        ('{"obsid": 1, "revision": 2, "slots": {}, "tstart": -5}', "its tstart -5.0 is not a time"),
        ('{"obsid": 1, "revision": 2, "slots": {}, "tstart": NaN}', "its tstart nan is not a time"),
    ],
)
def test_a_report_that_is_none_has_a_reason(text: str, reason: str) -> None:
    with pytest.raises(BadFile, match=reason.replace("[", r"\[")):
        read_report(text.encode())


def test_bytes_that_are_no_text_are_no_report() -> None:
    with pytest.raises(BadFile, match="it is not JSON"):
        read_report(b'{"obsid": "\xff"}')


def test_a_bad_report_is_set_aside_and_the_others_go_in(ska: Path, observed: list[Observation], tmp_path: Path) -> None:
    bad = report_of(ska, observed[0], 1)
    good = bad.read_text()
    bad.write_text("no JSON")
    shutil.copy(report_of(ska, observed[1], 3), report_of(ska, observed[0], 2))
    report = vv.ingest(ska, tmp_path / "lake")
    assert report.exit_code == 3
    assert report.taken == [f"{observed[1].obsid:05d}_v03/vv_report.json", "vv/vv.h5"]
    reasons = report.set_aside
    assert "not JSON" in reasons[f"{observed[0].obsid:05d}_v01/vv_report.json"]
    assert "its folder contradicts it" in reasons[f"{observed[0].obsid:05d}_v02/vv_report.json"]
    assert vv.ingest(ska, tmp_path / "lake").set_aside == reasons
    bad.write_text(good)
    touch(bad)
    assert f"{observed[0].obsid:05d}_v01/vv_report.json" in vv.ingest(ska, tmp_path / "lake").taken


def test_a_good_report_that_becomes_bad_keeps_what_the_lake_has(
    lake: Path, ska: Path, observed: list[Observation]
) -> None:
    path = report_of(ska, observed[1], 3)
    before = contents(lake)
    path.write_text("no JSON")
    touch(path)
    assert vv.ingest(ska, lake).exit_code == 3
    assert contents(lake) == before


def test_a_folder_without_a_report_is_set_aside(ska: Path, observed: list[Observation], tmp_path: Path) -> None:
    path = report_of(ska, observed[1], 3)
    path.unlink()
    report = vv.ingest(ska, tmp_path / "lake")
    assert report.set_aside == {f"{path.parent.parent.name}/{path.parent.name}": "it has no vv_report.json"}


@pytest.mark.parametrize("kind", ["no table", "other columns", "another type", "truncated", "empty"])
def test_a_bad_table_is_set_aside_and_the_reports_go_in(kind: str, ska: Path, tmp_path: Path) -> None:
    rows, path = in_file(ska), top(ska) / "vv.h5"
    reason = {"no table": "no table /vv", "other columns": "has no dy_rms", "another type": "column obsid is"}
    if kind == "no table":
        with_rows(ska, rows, "data")
    elif kind == "other columns":
        with_rows(ska, rows[[name for name in rows.dtype.names if name != "dy_rms"]])
    elif kind == "another type":
        with_rows(ska, rows.astype([(n, "i8" if n == "obsid" else rows.dtype[n]) for n in rows.dtype.names]))
    else:
        path.write_bytes(path.read_bytes()[: 3000 if kind == "truncated" else 0])
    report = vv.ingest(ska, tmp_path / "lake")
    assert (report.exit_code, list(report.set_aside), len(report.taken)) == (3, ["vv/vv.h5"], 3)
    assert reason.get(kind, "not a whole HDF5 file") in report.set_aside["vv/vv.h5"]
    assert len(get_rms_data(tmp_path / "lake")) == 0


# --- what is computed -------------------------------------------------------------------------------------------------


def test_what_is_computed_is_there_once(ska: Path, observed: list[Observation], tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    for one in (obspar.ingest, asp_l1.ingest):
        one(ska, lake, jobs=1)
    computed = [compute(lake, o, revision) for o in observed for revision in o.revisions]
    for _ in range(2):
        report = store(computed, lake)
        assert report.rows == len(computed) + sum(len(one.rms_rows) for one in computed)
        data = get_rms_data(lake)
        expected = [row for one in computed for row in one.rms_rows]
        assert len(data) == len(expected)
        for row in expected:
            (found,) = data[[all(d[n] == row[n] for n in ("obsid", "revision", "slot")) for d in data]]
            for name, value in row.items():
                other = found[name].decode() if isinstance(value, str) else found[name]
                assert other == (value[:10] if name == "instrument" else value) or value != value, name
    assert report.partitions == 0
    assert get_vv(observed[1].obsid, data_root=lake) == json.loads(computed[-1].report)
    with pytest.raises(MissingDataError, match="has no folder"):
        get_vv_dir(observed[1].obsid, data_root=lake)


def test_the_default_flag_is_right_after_a_newer_revision_arrives(
    whole: Path, observed: list[Observation], tmp_path: Path
) -> None:
    first, ska, lake = observed[0], tmp_path / "ska", tmp_path / "lake"
    of_then = replace(first, revisions=(1,), default=1, last=1)
    simulate_obspar.write_archive(ska, [of_then])
    simulate_asp_l1.write_archive(ska, [of_then])
    for one in (obspar.ingest, asp_l1.ingest):
        one(ska, lake, jobs=1)
    store([compute(lake, first, "last")], lake)
    assert flags(lake, first) == {1: {1}}
    simulate_asp_l1.write_archive(ska, [replace(first, default=2)])
    asp_l1.ingest(ska, lake, jobs=1)
    with pytest.raises(MissingDataError, match=r"no obspar of obsid .*, revision 2"):
        compute(lake, first, "last")
    simulate_obspar.write_archive(ska, [replace(first, default=2)])
    obspar.ingest(ska, lake, jobs=1)
    assert flags(lake, first) == {1: {0}}
    store([compute(lake, first, "last")], lake)
    assert flags(lake, first) == {1: {0}, 2: {1}}
    query = "SELECT revision, isdefault FROM vv_report ORDER BY revision"
    assert Lake(lake).sql(query).fetchall() == [(1, False), (2, True)]


def test_rows_of_the_table_have_its_own_flag_until_some_are_computed(
    lake: Path, ska: Path, observed: list[Observation]
) -> None:
    first, second = observed
    rows = in_file(ska)
    rows["isdefault"] = 7
    with_rows(ska, rows)
    vv.ingest(ska, lake)
    assert flags(lake, first) == {1: {7}, 2: {7}}
    store([compute(lake, first, 2)], lake)
    assert flags(lake, first) == {1: {1}, 2: {0}}
    assert flags(lake, second) == {3: {7}}


def test_what_was_computed_stays_whatever_comes_after(
    lake: Path, ska: Path, observed: list[Observation], tmp_path: Path
) -> None:
    first, _ = observed
    one = compute(lake, first, 1)
    other = Computed(one.report.replace('"vv_version": 4', '"vv_version": 44'), one.rms_rows)
    store([other], lake)
    after = contents(lake)
    data = get_rms_data(lake)
    assert len(data) == len(in_file(ska))
    assert get_vv(first.obsid, 1, lake)["vv_version"] == 44
    # The folder is that of the archive's report.
    assert get_vv_dir(first.obsid, 1, lake) == str(report_of(ska, first, 1).parent)
    touch(report_of(ska, first, 1))
    touch(top(ska) / "vv.h5")
    vv.ingest(ska, lake)
    assert contents(lake) == after
    # The other way round it is the same lake.
    again = tmp_path / "again"
    for ingest in (obspar.ingest, asp_l1.ingest):
        ingest(ska, again, jobs=1)
    store([other], again)
    vv.ingest(ska, again)
    assert get_rms_data(again).tobytes() == data.tobytes()
    assert get_vv_dir(first.obsid, 1, again) == str(report_of(ska, first, 1).parent)
    assert get_vv(first.obsid, 1, again)["vv_version"] == 44


def test_what_is_no_report_is_not_stored(lake: Path) -> None:
    before = contents(lake)
    with pytest.raises(BadFile, match="not JSON"):
        store([Computed("no JSON", [])], lake)
    assert contents(lake) == before


def test_products_with_a_missing_sibling_are_named_and_set_aside(
    lake: Path, ska: Path, observed: list[Observation]
) -> None:
    first, second = observed
    (gone,) = (ska / ARCHIVE / "asp1").glob(f"*/{first.obsid:05d}_v02/*_fidpr1.fits.gz")
    content = gone.read_bytes()
    gone.unlink()
    console = Console(record=True, width=200)
    assert run([first.obsid, second.obsid, 1], "last", lake, None, True, console) == 3
    text = console.export_text()
    assert f"obsid {first.obsid}" in text
    assert "_fidpr1.fits(.gz), which belongs to" in text
    assert "obsid 1: the lake has no aspect products of obsid 1" in text
    name = f"{first.obsid:05d}_v02"
    query = "SELECT filename, reason FROM file_to_look_at"
    ((file, reason),) = Lake(lake).sql(query).fetchall()
    assert (file, "is missing" in reason) == (name, True)
    assert Lake(lake).sql("SELECT DISTINCT obsid FROM vv_rms WHERE computed").fetchall() == [(second.obsid,)]
    # Other ingests keep it in mind, until it can be computed.
    vv.ingest(ska, lake)
    assert len(Lake(lake).sql(query).fetchall()) == 1
    gone.write_bytes(content)
    assert run([first.obsid], "last", lake, None, True, console) == 0
    assert Lake(lake).sql(query).fetchall() == []


# --- the obspar that the products were made with ----------------------------------------------------------------------


def other_obspar(ska: Path, observation: Observation, revision: int) -> tuple[float, float]:
    """Let a revision of its obspar have another sim_z_offset and end earlier: give both."""
    name = f"{observation.obsid:05d}"
    (path,) = (ska / ARCHIVE / "obspar" / name[:2] / f"{name}_v{revision:02d}").iterdir()
    text = gzip.decompress(path.read_bytes()).decode()
    tstop = observation.tstop - 100.5
    for parameter, value in (("sim_z_offset", -0.75), ("tstop", tstop)):
        text, count = re.subn(rf"(?m)^{parameter},r,h,[^,]*,", f"{parameter},r,h,{value!r},", text)
        assert count == 1
    path.write_bytes(gzip.compress(text.encode()))
    return -0.75, tstop


def made_with(ska: Path, obspar_version: int | None, observation: Observation, revision: int) -> None:
    with closing(sqlite3.connect(ska / ARCHIVE / "asp1/processing_asp_l1.db3")) as database, database:
        database.execute(
            "UPDATE aspect_1_proc SET obspar_version = ? WHERE obsid = ? AND revision = ?",
            (obspar_version, observation.obsid, revision),
        )


@pytest.mark.parametrize("version", [1, "default"])
def test_the_obspar_is_that_of_the_processing(
    version: Any, ska: Path, observed: list[Observation], tmp_path: Path
) -> None:
    first, lake = observed[0], tmp_path / "lake"
    # The released products, of revision 1, were made with the obspar of revision 2, which is not released.
    sim_z_offset, tstop = other_obspar(ska, first, 2)
    made_with(ska, 2, first, 1)
    made_with(ska, 1, first, 2)
    for one in (obspar.ingest, asp_l1.ingest):
        assert one(ska, lake, jobs=1).exit_code == 0
    query = "SELECT revision, obspar_version FROM asp_l1_proc WHERE obsid = $o ORDER BY ALL"
    assert Lake(lake).sql(query, {"o": first.obsid}).fetchall() == [(1, 2), (2, 1)]
    info = get_arch_vv(first.obsid, version, lake).info()
    assert (info["revision"], info["sim_z_offset"], info["tstop"]) == (1, sim_z_offset, tstop)
    assert (info["aspect_1_id"], info["errors"]) == (100 * first.obsid + 1, [])
    other = get_arch_vv(first.obsid, "last", lake).info()
    assert other["revision"] == 2
    assert other["sim_z_offset"] != sim_z_offset
    assert other["tstop"] == pytest.approx(first.tstop, abs=1e-3)
    # And so it is stored.
    assert run([first.obsid], version, lake, None, True, Console(quiet=True)) == 0
    rows = get_rms_data(lake)
    assert len(rows) == 8
    assert set(rows["sim_z_offset"].tolist()) == {sim_z_offset}
    assert set(rows["tstop"].tolist()) == {tstop}
    report = get_vv(first.obsid, 1, lake)
    assert (report["sim_z_offset"], report["tstop"], report["ap_date"]) == (sim_z_offset, tstop, info["ap_date"])


def test_without_that_obspar_nothing_is_computed(ska: Path, observed: list[Observation], tmp_path: Path) -> None:
    first, lake = observed[0], tmp_path / "lake"
    made_with(ska, 7, first, 1)
    for one in (obspar.ingest, asp_l1.ingest):
        one(ska, lake, jobs=1)
    with pytest.raises(MissingDataError, match=f"no obspar of obsid {first.obsid}, revision 7, .*ingest obspar"):
        get_arch_vv(first.obsid, 1, lake)


def test_an_obspar_that_the_table_does_not_name_is_a_guess_and_told(
    ska: Path, observed: list[Observation], tmp_path: Path
) -> None:
    first, lake = observed[0], tmp_path / "lake"
    sim_z_offset, _ = other_obspar(ska, first, 1)
    made_with(ska, None, first, 2)
    for one in (obspar.ingest, asp_l1.ingest):
        one(ska, lake, jobs=1)
    obi = get_arch_vv(first.obsid, 2, lake)
    assert obi.info()["sim_z_offset"] == sim_z_offset
    (error,) = obi.info()["errors"]
    assert f"does not say which obspar revision 2 of obsid {first.obsid} was made with" in error
    assert f"axaff{first.obsid:05d}_000N001_obs0a.par.gz is used" in error


# --- a report that does not say when ----------------------------------------------------------------------------------


def without_a_time(ska: Path, observation: Observation, revision: int, **changes: Any) -> None:
    path = report_of(ska, observation, revision)
    report = json.loads(path.read_text()) | {"tstart": None, "tstop": None}
    path.write_text(json.dumps(report | changes))
    touch(path)


def findings(ska: Path, lake: Path) -> list[Finding]:
    verified = Verified()
    with ThreadPoolExecutor() as threads:
        compare([ska], lake, verified, pool=lambda tasks: threads)
    assert verified.files["vv_report"] == [3, 0, 0]
    return verified.findings


@pytest.mark.often(1)
@pytest.mark.parametrize("changes", [{}, {"tstart": 1e8}])
def test_a_computed_report_of_another_year_is_no_alarm(
    changes: dict[str, float], ska: Path, observed: list[Observation], tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    without_a_time(ska, observed[1], 3, **changes)
    for one in (obspar.ingest, asp_l1.ingest, vv.ingest):
        one(ska, lake, jobs=1)
    assert findings(ska, lake) == []
    store([compute(lake, observed[1], 3)], lake)
    assert findings(ska, lake) == []
    vv.ingest(ska, lake)
    assert findings(ska, lake) == []


def test_a_scan_without_times_gives_every_row_of_every_table(
    ska: Path, observed: list[Observation], tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    for revision in (1, 2):
        without_a_time(ska, observed[0], revision)
    with closing(sqlite3.connect(ska / ARCHIVE / "asp1/processing_asp_l1.db3")) as database, database:
        database.execute("UPDATE aspect_1_proc SET ap_date = 'unknown' WHERE revision = 2")
    rows = in_file(ska)
    rows["tstart"][:3] = np.nan
    with_rows(ska, rows)
    for one in (obspar.ingest, asp_l1.ingest, vv.ingest):
        one(ska, lake, jobs=1)
    opened = Lake(lake)
    counts = dict(opened.sql("SELECT table_name, sum(rows)::BIGINT FROM partition GROUP BY ALL").fetchall())
    assert counts["vv_report"] == 3
    assert counts["vv_rms"] == 24
    assert counts.keys() >= {"obspar", "obspar_kv", "asp_l1_file", "asp_l1_proc", "asp_sol", "aca_cent"}
    assert {name: opened.scan(name).collect().height for name in counts} == counts
    # A time that is not known is in no range.
    for name, known in (("vv_report", 1), ("asp_l1_proc", 2), ("vv_rms", 21)):
        assert opened.scan(name, start="1999:001").collect().height == known
        assert opened.scan(name, stop="2100:001").collect().height == known
        assert opened.scan(name, "1999:001", "2100:001").collect().height == known
        assert opened.scan(name, start="2100:001").collect().height == 0


def test_a_slot_without_centroids_is_in_the_report_and_not_in_the_table(
    ska: Path, observed: list[Observation], tmp_path: Path
) -> None:
    second, lake = observed[1], tmp_path / "lake"
    for path in (ska / ARCHIVE / "asp1").glob(f"*/{second.obsid:05d}_v03/*_acen1.fits.gz"):
        with fits.open(path) as hdus:
            slot = hdus[1].data["slot"]
            slot[slot == 4] = 99
            hdus.writeto(tmp_path / "without.fits", overwrite=True)
        path.write_bytes(gzip.compress((tmp_path / "without.fits").read_bytes(), 1))
    for one in (obspar.ingest, asp_l1.ingest):
        one(ska, lake, jobs=1)
    console = Console(record=True, width=100)
    assert run([second.obsid], "last", lake, None, True, console) == 0
    assert re.search(r"(?m)^4 +GUIDE +0 +- ", console.export_text())
    assert get_rms_data(lake)["slot"].tolist() == [0, 1, 2, 3, 5, 6, 7]
    query = "SELECT slot, type, id_status, cel_loc_flag, n_pts, dy_rms FROM vv_slot WHERE slot IN (4, 5) ORDER BY slot"
    without, other = Lake(lake).sql(query).fetchall()
    props = min((ska / ARCHIVE / "asp1").glob(f"*/{second.obsid:05d}_v03/*_gspr1.fits.gz"))
    star = fits.getdata(props, 1)[1]
    assert without == (4, "GUIDE", star["id_status"].strip(), int(star["cel_loc_flag"]), None, None)
    assert other[4] > 100
    assert get_vv(second.obsid, data_root=lake)["slots"]["4"].keys() == {"slot", "type", "id_status", "cel_loc_flag"}
