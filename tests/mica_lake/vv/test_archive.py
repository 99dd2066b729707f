"""Residuals of the observations that the lake knows, in Python and at the command line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from mica_lake.archive import asp_l1, obspar
from mica_lake.errors import MissingDataError
from mica_lake.ingest import asp_l1 as ingest_asp_l1
from mica_lake.vv import Obi, get_arch_vv
from mica_lake.vv_output import show

OBSID = 32448


@pytest.mark.parametrize("version", ["last", "default", None, 2])
def test_it_is_that_of_the_files_where_ingest_saw_them(version: Any, demo_lake: str) -> None:
    file, folder = obspar.get_obspar_file(OBSID, data_root=demo_lake), asp_l1.get_dir(OBSID, demo_lake)
    assert file is not None and folder is not None
    expected, found = Obi(file, folder), get_arch_vv(OBSID, version, data_root=demo_lake)
    assert found.info() == expected.info()
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
    with pytest.raises(MissingDataError, match=f"obspar of obsid {OBSID}: 'mica-lake ingest obspar'"):
        get_arch_vv(OBSID, data_root=tmp_path / "lake")


@pytest.mark.parametrize("version", ["all", "newest", 1.5])
def test_a_version_that_is_none_is_a_value_error(version: Any, demo_lake: str) -> None:
    with pytest.raises(ValueError, match="revision"):
        get_arch_vv(OBSID, version, data_root=demo_lake)


def test_the_command_shows_each_slot(demo_lake: str) -> None:
    command = [Path(sys.executable).with_name("mica-lake"), "vv", str(OBSID), "--version", "2", "--lake", demo_lake]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line[:1].isdigit()}
    assert sorted(rows) == list("01234567")
    report = get_arch_vv(OBSID, data_root=demo_lake).slot_report[3]
    assert rows["3"] == [
        report["type"], str(report["n_pts"]),
        *(f"{report[name]:.3f}" for name in ("dy_med", "dz_med", "dy_rms", "dz_rms", "rad_off")),
        f"{report['mag_med']:.2f}",
    ]  # fmt: skip


def test_the_command_says_what_is_missing(demo_lake: str) -> None:
    command = [Path(sys.executable).with_name("mica-lake"), "vv", "1", "--lake", demo_lake]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "aspect products of obsid 1" in done.stderr


def test_what_is_outside_the_limits_is_marked_and_told(demo_lake: str) -> None:
    obi = get_arch_vv(OBSID, data_root=demo_lake)
    obi.slot_report[3] |= {"dy_rms": 0.45, "dz_rms": 0.3}
    console = Console(record=True, width=100)
    show(obi, console)
    text = console.export_text()
    assert "0.450!" in text
    assert "0.300?" in text
    assert "slot 3: dy_rms 0.450, limit 0.4 (bad)" in text
    assert "slot 3: dz_rms 0.300, limit 0.25 (warn)" in text
