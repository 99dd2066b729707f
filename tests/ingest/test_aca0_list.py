"""The archive's own list of files: what it has, and what the lake lacks of it."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from commands import in_process

from mica_lake.ingest import aca_l0
from mica_lake.ingest.aca0_list import ingest
from mica_lake.lake import Lake
from mica_lake.simulate import aca0_list
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.times import cxcsec

START = cxcsec("2024:001:12:00:00")


@pytest.fixture
def ska(tmp_path: Path) -> Path:
    """Two files of slot 3, one of them bad, and a list of them, of another two, and of what is no file of images."""
    folder = tmp_path / "ska/data/mica/archive/aca0/2024/001"
    folder.mkdir(parents=True)
    here = write_file(folder, 3, readouts(3, 8, times(START, START + 60, 8)))
    bad = folder / "acaf820600000N001_3_img0.fits.gz"
    bad.write_bytes(b"bad")
    others = ["acaf820500000N002_5_img0.fits", "acaf820600000N001_6_img0.fits.gz", "acaf820600000N001_cal0.fits.gz"]
    aca0_list.write_archive(tmp_path / "ska", [here.name, bad.name, *others])
    return tmp_path / "ska"


def list_of(ska: Path) -> Path:
    return ska / "data/mica/archive/aca0/cda_aca0.h5"


def test_the_list_is_kept_with_what_the_names_say(ska: Path, tmp_path: Path) -> None:
    assert ingest(ska, tmp_path / "lake", jobs=1).set_aside == {}
    found = Lake(tmp_path / "lake").sql("SELECT slot, revision, tstart, filesize FROM aca0_list ORDER BY position")
    assert found.fetchall()[1:] == [
        (3, 1, 820600000.0, 1_000_000), (5, 2, 820500000.0, 1_000_000), (6, 1, 820600000.0, 1_000_000),
        (None, None, None, 1_000_000),
    ]  # fmt: skip


def test_what_the_lake_does_not_know_is_missing(ska: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ingest(ska, lake, jobs=1)
    aca_l0.ingest(ska, lake, jobs=1)
    # The bad one is known, and why it was set aside.
    missing = Lake(lake).sql("SELECT day::VARCHAR, slot, filename FROM aca_l0_missing").fetchall()
    assert missing == [
        ("2024-01-01", 5, "acaf820500000N002_5_img0.fits"), ("2024-01-02", 6, "acaf820600000N001_6_img0.fits")
    ]  # fmt: skip
    said = in_process(("status", "--lake", lake), {}).stdout
    assert "2 files of the archive's list are not in the lake, from 2024:001 to 2024:002: " in said
    assert """mica-lake sql "FROM aca_l0_missing" lists them\n""" in said


def test_nothing_missing_is_said_and_without_a_list_nothing(ska: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    aca_l0.ingest(ska, lake, jobs=1)
    assert "archive's list" not in in_process(("status", "--lake", lake), {}).stdout
    aca0_list.write_archive(ska, [path.name for path in ska.rglob("acaf*")])
    ingest(ska, lake, jobs=1)
    assert "0 files of the archive's list are not in the lake" in in_process(("status", "--lake", lake), {}).stdout


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:1500]), "it is not a whole HDF5 file"),
        (lambda path: rewritten(path, np.zeros(3, [("name", "S9")])), "its table /data has no column filename"),
        (lambda path: rewritten(path, np.zeros(3, [("filename", "i8")])), "its column filename is <i8"),
        (lambda path: rewritten(path, np.zeros(3)), "it has no table /data"),
    ],
)  # fmt: skip
def test_a_bad_list_is_set_aside_and_what_the_lake_has_stays(
    ska: Path, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    lake = tmp_path / "lake"
    ingest(ska, lake, jobs=1)
    spoil(list_of(ska))
    (said,) = ingest(ska, lake, jobs=1).set_aside.values()
    assert said.startswith(reason)
    assert len(Lake(lake).sql("FROM aca0_list").fetchall()) == 5


def rewritten(path: Path, rows: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = rows


def test_a_new_list_replaces_the_old_one(ska: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ingest(ska, lake, jobs=1)
    aca0_list.write_archive(ska, ["acaf820700000N001_6_img0.fits"])
    assert ingest(list_of(ska), lake, jobs=1).partitions == 1
    assert Lake(lake).sql("SELECT filename FROM aca0_list").fetchall() == [("acaf820700000N001_6_img0.fits",)]
    assert ingest(ska, lake, jobs=1).unchanged == 1
