"""Ingest of ACA L0: values kept exactly, any order and split, each row in its UTC day, bad files set aside."""

import gzip
import io
import os
import random
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray
from rich.console import Console

from mica_lake.catalog.findings import Verified
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.catalog.pointer import current_generation
from mica_lake.ingest import obspar
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.ingest.aca_l0.files import discover, scan
from mica_lake.ingest.compare import compare
from mica_lake.ingest.found import Found, Rejected
from mica_lake.ingest.report import Report
from mica_lake.simulate.aca_l0 import readouts, times, write_archive, write_file
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.times import cxcsec, day_start

NOON = cxcsec("2015:100:12:00:00")
Columns = dict[str, NDArray[Any]]


def minute(slot: int = 3, imgsize: int = 6, start: float = NOON, **options: Any) -> Columns:
    return readouts(slot, imgsize, times(start, start + 60, imgsize), **options)


def file_of(folder: Path, columns: Columns | None = None, slot: int = 3, **options: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_file(folder, slot, minute(slot) if columns is None else columns, **options)


def take(lake: Path, *sources: Path, jobs: int = 1) -> Report:
    return ingest(sources, lake, jobs=jobs)


def partitions(lake: Path) -> dict[str, bytes]:
    """All partitions, byte for byte."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("aca_l0/**/data.parquet")}


def rows(lake: Path) -> pa.Table:
    """All rows, partition by partition."""
    paths = sorted(lake.glob("aca_l0/**/data.parquet"))
    return pa.concat_tables([pq.read_table(p, partitioning=None, schema=ACA_L0.schema) for p in paths])


def known(lake: Path) -> list[dict[str, Any]]:
    return read_table(lake, "source_file").to_pylist()


def statuses(lake: Path) -> list[tuple[str, str, str]]:
    return [(row["directory"], row["filename"], row["status"]) for row in known(lake)]


# --- values -----------------------------------------------------------------------------------------------------------


def bits(array: NDArray[Any]) -> bytes:
    """The values in native byte order, where NaN is equal to the same NaN only, and 0 is not -0."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).tobytes()


def assert_rows_are_those_of(table: pa.Table, path: Path) -> None:
    """Every value of every row is what astropy reads in the file; null where the file's size has no such column."""
    with fits.open(path) as hdus:
        expected = hdus[1].data
        names = set(expected.names)
        assert len(table) == len(expected)
        imgsize = expected["IMGRAW"].shape[1]
        for column in ACA_L0.columns:
            values = table.column(column.name).combine_chunks()
            if column.name == "IMGSIZE":
                assert values.to_pylist() == [imgsize] * len(table)
            elif column.name == "FILENAME":
                assert values.to_pylist() == [path.name] * len(table)
            elif column.name not in names:
                default = {"PIXTLM": "ORIG", "BGDTYP": "FLAT"}.get(column.name)
                assert imgsize not in column.imgsizes or default
                assert values.to_pylist() == [default] * len(table)
            elif column.type == pa.string():
                assert values.to_pylist() == expected[column.name].tolist()
            elif column.name == "IMGRAW":
                assert values.value_lengths().to_pylist() == [imgsize**2] * len(table)
                assert bits(values.flatten().to_numpy()) == bits(expected["IMGRAW"])
            else:
                assert values.null_count == 0
                array = values.to_numpy()
                if column.name in ("IMGSCALE", "BGDAVG", "BGDRMS"):
                    assert array.dtype == np.int32
                    assert array.tolist() == expected[column.name].tolist()
                    continue
                assert (array.dtype.kind, array.dtype.itemsize) == (
                    expected[column.name].dtype.kind, expected[column.name].dtype.itemsize,
                )  # fmt: skip
                assert bits(array) == bits(expected[column.name])
        assert names <= set(ACA_L0.schema.names)


@pytest.mark.parametrize("newer", [False, True], ids=["before 2023", "since 2023"])
@pytest.mark.parametrize("imgsize", [4, 6, 8])
def test_every_value_is_kept(imgsize: int, newer: bool, tmp_path: Path) -> None:
    path = file_of(tmp_path, minute(5, imgsize, newer=newer), slot=5)
    report = take(tmp_path / "lake", path)
    table = rows(tmp_path / "lake")
    assert_rows_are_those_of(table, path)
    assert (report.taken, report.rows, report.partitions) == ([path.name], len(table), 1)


ODD_FLOATS = np.array(
    [0x00000000, 0x80000000, 0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7F800000, 0xFF800000, 1, 0x80000001, 0x7F7FFFFF],
    np.uint32,
).view(np.float32)


def extreme() -> Columns:
    """256 readouts in which every type goes to its ends."""
    columns = readouts(3, 8, times(NOON, NOON + 256 * 4.1, 8))
    n = len(columns["TIME"])
    for name, column in columns.items():
        match column.dtype.str[1:]:
            case "u1":
                column[:] = np.arange(n) % 256
            case "u2":
                column[:] = np.resize(np.array([0, 1, 32767, 32768, 32769, 65534, 65535], np.uint16), n)
            case "i2":
                column[:] = np.resize(np.array([-32768, -1, 0, 1, 32767], np.int16), n)
            case "i4":
                column[:] = np.resize(np.array([-(2**31), -1, 0, 1, 2**31 - 1], np.int32), n)
            case "f4":
                column[:] = np.resize(ODD_FLOATS, column.shape)
            case "f8" if name != "TIME":
                column[:] = np.resize(ODD_FLOATS, n).astype(np.float64) * 0.1
    columns["QUALITY"][columns["IMGNUM1"] != 3] = 1
    return columns


def test_extreme_values_are_kept(tmp_path: Path) -> None:
    with np.errstate(all="ignore"):
        path = file_of(tmp_path, extreme())
    take(tmp_path / "lake", path)
    table = rows(tmp_path / "lake")
    for name in ("IMGSCALE", "BGDAVG", "BGDRMS"):
        assert {0, 32767, 32768, 65535} <= set(table.column(name).to_pylist())
    assert len(set(table.column("HD3TLM76").to_pylist())) == len(table)
    assert_rows_are_those_of(table, path)


@settings(max_examples=12, deadline=None)
@given(
    imgsize=st.sampled_from([4, 6, 8]),
    pixels=st_numpy.arrays(np.uint32, (4, 64)),
    words=st_numpy.arrays(np.uint16, (3, 4)),
    octets=st_numpy.arrays(np.uint8, 4),
    text=st.lists(st.text("ABCDEFGHIJ", min_size=4, max_size=4), min_size=4, max_size=4),
)
def test_any_values_are_kept(
    imgsize: int, pixels: NDArray[Any], words: NDArray[Any], octets: NDArray[Any], text: list[str]
) -> None:
    columns = readouts(3, imgsize, times(NOON, NOON + 60, imgsize)[:4], newer=True)
    columns["IMGRAW"] = pixels.view(np.float32)[:, : imgsize**2].reshape(4, imgsize, imgsize)
    columns |= {"IMGSCALE": words[0], "BGDAVG": words[1], "GLBSTAT": octets, "PIXTLM": np.array(text, "S4")}
    if imgsize > 4:
        columns |= {"BGDRMS": words[2], "TEMPCCD": pixels[:, 0].view(np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        path = file_of(Path(folder), columns)
        take(Path(folder, "lake"), path)
        assert_rows_are_those_of(rows(Path(folder, "lake")), path)


def test_numbers_stored_without_tzero_are_kept(tmp_path: Path) -> None:
    columns = minute()
    for name in ("IMGSCALE", "BGDAVG", "BGDRMS"):
        columns[name] = columns[name].astype(np.int16)
    path = file_of(tmp_path, columns)
    take(tmp_path / "lake", path)
    for name in ("IMGSCALE", "BGDAVG", "BGDRMS"):
        assert rows(tmp_path / "lake").column(name).to_pylist() == columns[name].tolist()


# --- any order, any split ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of two slots across a midnight, of all sizes, with superseded revisions."""
    folder = tmp_path_factory.mktemp("hard")
    start = cxcsec("2015:100:20:00:00")
    return write_archive(folder, start, start + 8 * 3600, slots=[1, 6], file_seconds=1800, seed=4)


@pytest.fixture(scope="module")
def straight(hard: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of these files, taken in one go."""
    lake = tmp_path_factory.mktemp("straight") / "lake"
    assert take(lake, hard[0].parent).exit_code == 0
    return lake


def shuffled(files: list[Path], seed: int) -> list[Path]:
    return random.Random(seed).sample(files, len(files))


def halves(files: list[Path]) -> list[list[Path]]:
    return [files[: len(files) // 2], files[len(files) // 2 :]]


SPLITS: dict[str, Callable[[list[Path]], list[list[Path]]]] = {
    "one by one, shuffled": lambda files: [[f] for f in shuffled(files, 1)],
    "one by one, shuffled otherwise": lambda files: [[f] for f in shuffled(files, 2)],
    "one by one, the oldest last": lambda files: [[f] for f in sorted(files, key=lambda f: f.name, reverse=True)],
    "in two halves": halves,
    "the later half first": lambda files: halves(files)[::-1],
    "interleaved": lambda files: [files[::2], files[1::2]],
    "twice": lambda files: [files, shuffled(files, 3)],
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
@pytest.mark.often(1)
def test_any_order_and_split_give_the_same_partitions(
    split: Callable[[list[Path]], list[list[Path]]], hard: list[Path], straight: Path, tmp_path: Path
) -> None:
    assert {row["status"] for row in known(straight)} == {"current", "superseded"}
    for part in split(hard):
        take(tmp_path / "lake", *part)
    assert partitions(tmp_path / "lake") == partitions(straight)
    assert statuses(tmp_path / "lake") == statuses(straight)


def test_two_processes_give_the_same_partitions_as_one(hard: list[Path], straight: Path, tmp_path: Path) -> None:
    assert len(hard) > 8, "too few for a second process"
    take(tmp_path / "lake", hard[0].parent, jobs=2)
    assert partitions(tmp_path / "lake") == partitions(straight)
    assert statuses(tmp_path / "lake") == statuses(straight)


def test_a_second_run_writes_nothing(hard: list[Path], straight: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    take(lake, hard[0].parent)
    before = current_generation(lake)
    report = take(lake, hard[0].parent)
    assert (report.unchanged, report.exit_code) == (len(hard), 0)
    assert not (report.taken or report.replaced or report.superseded or report.partitions or report.rows)
    assert current_generation(lake) == before


def test_every_readout_of_the_current_files_is_there_once_and_in_order(hard: list[Path], straight: Path) -> None:
    current = {row["filename"] for row in known(straight) if row["status"] == "current"}
    expected = sum(fits.getheader(path, 1)["NAXIS2"] for path in hard if path.name in current)
    assert len(rows(straight)) == expected
    for path in straight.glob("aca_l0/**/data.parquet"):
        assert_rows_are_of_their_partition(path)


def assert_rows_are_of_their_partition(path: Path) -> None:
    """Sorted, strictly increasing, within the UTC day of the directory as astropy has it, and of its slot."""
    year, doy, slot = (int(part.split("=")[1]) for part in path.parts[-4:-1])
    table = pq.read_table(path, partitioning=None)
    time = table.column("TIME").to_numpy()
    assert (np.diff(time) > 0).all()
    days = [text[:8] for text in np.atleast_1d(Time(time, format="cxcsec").utc.yday)]
    assert set(days) == {f"{year}:{doy:03d}"}
    assert {name.split("_")[1] for name in table.column("FILENAME").to_pylist()} == {str(slot)}


# --- days -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "days"),
    [
        ("2015:101:00:00:00", [date(2015, 4, 10), date(2015, 4, 11)]),
        ("2015:181:23:59:60", [date(2015, 6, 30), date(2015, 7, 1)]),
        ("2015:182:00:00:00", [date(2015, 6, 30), date(2015, 7, 1)]),
        ("2016:366:23:59:60", [date(2016, 12, 31), date(2017, 1, 1)]),
        ("2017:001:00:00:00", [date(2016, 12, 31), date(2017, 1, 1)]),
        ("2017:060:00:00:00", [date(2017, 2, 28), date(2017, 3, 1)]),
    ],
)
def test_a_file_across_midnight_feeds_two_partitions(instant: str, days: list[date], tmp_path: Path) -> None:
    middle = cxcsec(instant)
    # A fast clock: a readout in each tenth of the seconds before, in and after a leap second.
    columns = readouts(3, 4, np.concatenate([times(middle - 40, middle - 2, 4), np.arange(-16, 24) / 8 + middle]))
    path = file_of(tmp_path, columns)
    take(tmp_path / "lake", path)
    found = sorted((tmp_path / "lake").glob("aca_l0/**/data.parquet"))
    keys = [Key(day, 3).path(ACA_L0) for day in days]
    assert [p.relative_to(tmp_path / "lake").as_posix() for p in found] == keys
    for p in found:
        assert_rows_are_of_their_partition(p)
    assert_rows_are_those_of(rows(tmp_path / "lake"), path)
    first_of_the_second_day = pq.read_table(found[1], partitioning=None).column("TIME")[0].as_py()
    assert first_of_the_second_day == columns["TIME"][columns["TIME"] >= day_start(days[1])][0]


def test_a_row_at_midnight_belongs_to_the_day_that_begins(tmp_path: Path) -> None:
    midnight = cxcsec("2015:101")
    columns = readouts(3, 4, np.array([np.nextafter(midnight, 0), midnight]))
    take(tmp_path / "lake", file_of(tmp_path, columns))
    time = {p.parts[-3]: pq.read_table(p, partitioning=None).column("TIME").to_pylist()
            for p in (tmp_path / "lake").glob("aca_l0/**/data.parquet")}  # fmt: skip
    assert time == {"doy=100": [np.nextafter(midnight, 0)], "doy=101": [midnight]}


# --- what is given ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ska(tmp_path: Path) -> tuple[Path, Path, list[Path]]:
    """A $SKA root, its archive's folder, and the files in it."""
    files = write_archive(
        tmp_path / "ska", NOON, NOON + 600, slots=[0, 3], file_seconds=300, hard_cases=False, ska=True
    )
    return tmp_path / "ska", tmp_path / "ska/data/mica/archive/aca0", files


def unlist(folder: Path, name: str) -> None:
    with sqlite3.connect(folder / "archfiles.db3") as connection:
        assert connection.execute("DELETE FROM archfiles WHERE filename = ?", [name]).rowcount == 1
    connection.close()


def test_a_file_that_the_index_does_not_list_is_named_and_left_alone(
    ska: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    root, folder, files = ska
    lake = tmp_path / "lake"
    assert take(lake, root).unlisted == []
    dropped = write_file(folder, 5, readouts(5, 8, times(NOON, NOON + 60, 8)))
    (folder / "README").touch()
    # One that the lake has is not told of, although the index lists it no more.
    unlist(folder, files[0].name)
    report = take(lake, root)
    assert report.unlisted == [str(dropped)]
    assert (report.exit_code, report.taken, report.as_json()[0]["unlisted"]) == (0, [], 1)
    console = Console(record=True, width=300, file=io.StringIO())
    report.show(console)
    verified = Verified()
    with ThreadPoolExecutor() as threads:
        compare([root], lake, verified, pool=lambda tasks: threads)
    verified.show(console)
    said = console.export_text()
    assert f"aca_l0: 1 file is left alone, as archfiles.db3 does not list it: {dropped}\n" in said
    assert f"{dropped}: archfiles.db3 does not list it" in said
    assert (verified.exit_code, verified.as_json()["unlisted"]) == (0, [str(dropped)])


@pytest.mark.parametrize("given", ["the root", "the folder"])
def test_the_files_of_a_ska_root_are_those_that_its_index_lists(
    given: str, ska: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    root, folder, files = ska
    unlist(folder, files[1].name)
    file_of(folder / "2015", slot=7)
    report = take(tmp_path / "lake", root if given == "the root" else folder)
    assert sorted(report.taken) == sorted(f.name for f in files if f != files[1])
    assert report.exit_code == 0


def test_a_file_that_another_host_sees_late_is_read_again_when_it_is_seen(tmp_path: Path) -> None:
    late = scan(Found(str(tmp_path), "acaf500000000N001_3_img0.fits.gz", size=5, mtime_ns=6))
    assert isinstance(late, Rejected)
    assert (late.found.size, late.found.mtime_ns) == (-1, -1), "as if it were the same as when it is there"


def test_a_file_that_the_index_lists_and_is_absent_is_set_aside_until_it_is_there(
    ska: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    root, _, files = ska
    content = files[2].read_bytes()
    files[2].unlink()
    for _ in range(2):
        report = take(tmp_path / "lake", root)
        assert (report.exit_code, list(report.set_aside)) == (3, [files[2].name])
        assert "archfiles.db3 lists it, but it is not there" in report.set_aside[files[2].name]
    assert len(rows(tmp_path / "lake")) > 0
    files[2].write_bytes(content)
    report = take(tmp_path / "lake", root)
    assert (report.exit_code, report.taken) == (0, [files[2].name])
    assert {status for *_, status in statuses(tmp_path / "lake")} == {"current"}
    assert take(tmp_path / "lake", root).exit_code == 0


@pytest.mark.parametrize("content", [b"this is no database" * 100, "another table"], ids=["text", "another table"])
def test_an_index_that_is_none_is_an_error(
    content: bytes | str, ska: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    index = ska[1] / "archfiles.db3"
    index.unlink()
    if isinstance(content, bytes):
        index.write_bytes(content)
    else:
        connection = sqlite3.connect(index)
        connection.execute("CREATE TABLE other (x int)")
        connection.close()
    with pytest.raises(ValueError, match=r"archfiles\.db3: .*; it should have a table archfiles"):
        take(tmp_path / "lake", ska[0])
    assert not (tmp_path / "lake").exists()


def test_folders_are_looked_through_to_any_depth_and_files_may_be_given(tmp_path: Path) -> None:
    deep = file_of(tmp_path / "a" / "b" / "c" / "d")
    shallow = file_of(tmp_path / "a", slot=1)
    single = file_of(tmp_path / "other", slot=2)
    file_of(tmp_path / "other", slot=4)
    (tmp_path / "a" / "README.txt").write_text("no FITS file")
    report = take(tmp_path / "lake", tmp_path / "a", single)
    assert sorted(report.taken) == sorted(f.name for f in (deep, shallow, single))
    assert report.exit_code == 0


def test_a_folder_above_those_of_several_products_has_the_files_of_one(demo_ska: Path, tmp_path: Path) -> None:
    archive = tmp_path / "ska/data/mica/archive"
    shutil.copytree(demo_ska / "data/mica/archive", archive)
    ours = file_of(archive / "aca0" / "2024")
    strange = archive / "aca0" / "2024" / "strange.fits"
    strange.write_bytes(b"no FITS file")
    assert list(archive.glob("asp1/*/*/*.fits.gz"))
    report = take(tmp_path / "lake", archive)
    assert report.taken == [ours.name]
    assert list(report.set_aside) == [strange.name]


@pytest.mark.parametrize("index", [True, False], ids=["with an index", "without"])
def test_folders_on_other_disks_are_followed_and_loops_are_harmless(
    index: bool, ska: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    _, folder, files = ska
    if not index:
        (folder / "archfiles.db3").unlink()
    (tmp_path / "disk2" / "deep").mkdir(parents=True)
    for file in files[:2]:
        shutil.move(file, tmp_path / "disk2" / "deep" / file.name)
    # The first by name leads to where the others do.
    for name, target in (("2013", "2014"), ("2014", tmp_path / "disk2"), ("loop", "."), ("also", "2014/deep")):
        (folder / name).symlink_to(target)
    (tmp_path / "disk2" / "back").symlink_to(folder)
    report = take(tmp_path / "lake", folder)
    assert sorted(report.taken) == sorted(f.name for f in files)
    assert (report.exit_code, report.unchanged) == (0, 0)
    again = take(tmp_path / "lake", folder)
    assert (again.taken, again.unchanged, again.exit_code) == ([], len(files), 0)


def test_a_link_to_above_the_archive_and_one_to_nowhere_are_set_aside(tmp_path: Path) -> None:
    good = file_of(tmp_path / "archive" / "2015")
    (tmp_path / "archive" / "up").symlink_to("/")
    (tmp_path / "archive" / "2016").symlink_to("/nowhere/2016")
    for _ in range(2):
        report = take(tmp_path / "lake", tmp_path / "archive")
        assert report.set_aside == {
            "up": "it leads to /, which the archive itself is in",
            "2016": "it leads to /nowhere/2016, which is not there",
        }
    assert [row["filename"] for row in known(tmp_path / "lake") if row["status"] == "current"] == [good.name]
    for name in ("up", "2016"):
        (tmp_path / "archive" / name).unlink()
    assert take(tmp_path / "lake", tmp_path / "archive").exit_code == 0
    assert [row["status"] for row in known(tmp_path / "lake")] == ["current"]


def test_a_folder_that_may_not_be_looked_into_is_set_aside_until_it_may(without_rights: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secret, good = file_of(folder / "files" / "2015"), file_of(folder / "files", slot=4)
        with without_rights(folder, lambda: take(folder / "before", folder / "files")):
            secret.parent.chmod(0)
            report = take(folder / "lake", folder / "files")
            assert report.taken == [good.name]
            assert report.set_aside == {"2015": "it cannot be read: Permission denied"}
            secret.parent.chmod(0o700)
            report = take(folder / "lake", folder / "files")
            assert (report.taken, report.set_aside) == ([secret.name], {})


def test_an_index_that_is_being_written_changes_nothing(
    ska: tuple[Path, Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder, _ = ska
    take(tmp_path / "lake", root)
    generation = current_generation(tmp_path / "lake")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, timeout=0.1))
    with closing(connect(folder / "archfiles.db3", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"archfiles\.db3 is being written, .*run it again"):
            take(tmp_path / "lake", root)
        writer.execute("ROLLBACK")
    assert current_generation(tmp_path / "lake") == generation
    assert take(tmp_path / "lake", root).exit_code == 0


def test_a_file_in_the_lake_that_cannot_be_read_now_is_no_other_file(
    ska: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    root, _, files = ska
    take(tmp_path / "lake", root)
    before = rows(tmp_path / "lake")
    files[0].unlink()
    assert take(tmp_path / "lake", root).set_aside == {files[0].name: "archfiles.db3 lists it, but it is not there"}
    os.mkfifo(files[0])
    assert take(tmp_path / "lake", root).set_aside == {files[0].name: "it is a named pipe, not a file"}
    assert rows(tmp_path / "lake") == before


def test_what_is_not_there_is_an_error_and_makes_no_lake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such file or folder"):
        take(tmp_path / "lake", tmp_path / "nothing")
    assert not (tmp_path / "lake").exists()


def test_files_are_discovered_oldest_first(tmp_path: Path) -> None:
    later = file_of(tmp_path / "a", minute(start=NOON + 600))
    earlier = file_of(tmp_path / "b")
    other = tmp_path / "b" / "other.fits"
    other.write_bytes(b"")
    assert [f.path for f in discover([tmp_path])[0]] == [other, earlier, later]


def test_nothing_given_makes_an_empty_lake(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = take(tmp_path / "lake", tmp_path / "empty")
    assert (report.exit_code, report.unchanged, report.partitions) == (0, 0, 0)
    assert current_generation(tmp_path / "lake") is not None


def test_a_relative_path_is_remembered_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path / "files")
    monkeypatch.chdir(tmp_path)
    take(tmp_path / "lake", Path("files"))
    assert statuses(tmp_path / "lake") == [(str(file.parent), file.name, "current")]


def test_a_folder_given_twice_in_two_spellings_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path / "files")
    monkeypatch.chdir(tmp_path)
    report = take(tmp_path / "lake", Path("files"), tmp_path / "files", tmp_path / "files" / ".." / "files")
    assert (report.taken, report.unchanged) == ([file.name], 0)


def test_a_dry_run_tells_the_plan_and_makes_nothing(tmp_path: Path) -> None:
    old, new, bad = file_of(tmp_path / "f"), file_of(tmp_path / "f", revision=2), tmp_path / "f" / "acaf.fits"
    bad.write_bytes(b"")
    report = ingest([tmp_path / "f"], tmp_path / "lake", dry_run=True)
    assert report.dry_run
    assert (report.taken, list(report.superseded), list(report.set_aside)) == ([new.name], [old.name], [bad.name])
    assert report.exit_code == 3
    assert not (tmp_path / "lake").exists()


def test_a_dry_run_leaves_a_lake_as_it_is(tmp_path: Path) -> None:
    old = file_of(tmp_path / "old")
    lake = tmp_path / "lake"
    take(lake, old)
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in lake.rglob("*")}
    new = file_of(tmp_path / "new", revision=2)
    report = ingest([old, new], lake, dry_run=True)
    assert (report.taken, report.replaced, report.unchanged) == ([new.name], [old.name], 1)
    assert {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in lake.rglob("*")} == before


# --- bad files --------------------------------------------------------------------------------------------------------

MakeBad = Callable[[Path], Path]


def changed(edit: Callable[[Columns], object], **options: Any) -> MakeBad:
    """A file whose columns are not as they should be."""

    def make(folder: Path) -> Path:
        columns = minute(imgsize=8)
        edit(columns)
        return file_of(folder, columns, **options)

    return make


def with_header(**header: object) -> MakeBad:
    return changed(lambda columns: None, header=header)


def with_bytes(edit: Callable[[bytes], bytes]) -> MakeBad:
    """A file whose bytes on the disk are not as they should be."""

    def make(folder: Path) -> Path:
        path = file_of(folder, minute(imgsize=8))
        path.write_bytes(edit(path.read_bytes()))
        return path

    return make


def with_content(edit: Callable[[bytes], bytes]) -> MakeBad:
    """A file that is well gzipped, but whose content is not as it should be."""
    return with_bytes(lambda stored: gzip.compress(edit(gzip.decompress(stored)), mtime=0))


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda stored: stored[:at] + bytes([stored[at] ^ 0x55]) + stored[at + 1 :] if at > 0 else flipped(
        len(stored) + at)(stored)  # fmt: skip


def image_only(_: bytes) -> bytes:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(np.zeros((8, 8)))]).writeto(out)
    return out.getvalue()


def another_product(_: bytes) -> bytes:
    table = fits.BinTableHDU.from_columns([fits.Column("TIME", "D", array=np.arange(3.0))])
    table.header["CONTENT"] = "ASPQUAL"
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def a_text_as_tstop(content: bytes) -> bytes:
    return re.sub(rb"TSTOP   = .{20}", b"TSTOP   = 'soon'              ", content)


def an_open_quote(content: bytes) -> bytes:
    return re.sub(rb"STOPMNF = .{20}", b"STOPMNF = 'many" + b" " * 15, content)


def named(name: str) -> MakeBad:
    return lambda folder: file_of(folder, minute(imgsize=8)).rename(folder / name)


def put(columns: Columns, name: str, row: int, value: object) -> None:
    columns[name][row] = value


def swap(columns: Columns) -> None:
    columns["TIME"][[5, 6]] = columns["TIME"][[6, 5]]


def no_rows(columns: Columns) -> None:
    columns |= {name: column[:0] for name, column in columns.items()}


NAME = "acaf545054470N001_3_img0.fits.gz"  # of the good file
SPAN = {"TSTART": NOON + 5, "TSTOP": NOON + 65}

BAD: dict[str, tuple[MakeBad, str]] = {
    "truncated gzip": (with_bytes(lambda stored: stored[: len(stored) // 2]), "gzip data are truncated"),
    "gzip without its trailer": (with_bytes(lambda stored: stored[:-8]), "gzip data are truncated"),
    "gzip of garbage": (with_content(lambda _: os.urandom(5000)), "not a FITS file"),
    "garbage that begins like gzip": (with_bytes(lambda _: b"\x1f\x8b" + b"garbage" * 99), "gzip data are damaged"),
    "a flipped byte in the middle": (with_bytes(flipped(3000)), "gzip data are|not a FITS file|header|truncated"),
    "a flipped byte in the checksum": (with_bytes(flipped(-7)), "gzip data are damaged"),
    "empty": (with_bytes(lambda _: b""), "empty"),
    "text": (with_bytes(lambda _: b"no FITS file\n" * 500), "not a FITS file"),
    "another product": (with_content(another_product), "another product: CONTENT is 'ASPQUAL'"),
    "CONTENT missing": (with_header(CONTENT=None), "another product: CONTENT is None"),
    "image only": (with_content(image_only), "not a binary table|no end"),
    "rows missing": (with_content(lambda content: content[:-2880]), "truncated: it should have 15 rows of 343 bytes"),
    "a header half there": (with_content(lambda content: content[:9000]), "no end"),
    "a missing column": (changed(lambda c: c.pop("TEMPCCD")), "column TEMPCCD is missing"),
    "TIME missing": (changed(lambda c: c.pop("TIME"), header=SPAN), "column TIME is missing"),
    "IMGRAW missing": (changed(lambda c: c.pop("IMGRAW")), "IMGRAW is missing"),
    "a wrong column type": (changed(lambda c: c.update(MJF=c["MJF"].astype(np.int16))), "column MJF has form I"),
    "bytes as words": (changed(lambda c: c.update(GLBSTAT=c["GLBSTAT"].astype(np.int16))), "column GLBSTAT has form I"),
    "words unsigned": (changed(lambda c: c.update(IMGROW0=c["IMGROW0"].astype(np.uint16))), "column IMGROW0 .* 32768"),
    "two values a row": (changed(lambda c: c.update(INTEG=np.ones((len(c["TIME"]), 2), "f4"))), "column INTEG has"),
    "an extra column": (changed(lambda c: c.update(EXTRA=c["MJF"])), "column EXTRA is not expected"),
    "a column of another size": (
        lambda folder: file_of(folder, minute(imgsize=4) | {"BGDSTAT": minute(imgsize=4)["GLBSTAT"]}),
        "column BGDSTAT is not expected in a 4x4 file",
    ),
    "a negative count": (
        changed(lambda c: c.update(BGDAVG=np.full(len(c["TIME"]), -1, np.int16))), "column BGDAVG is -1",
    ),
    "IMGRAW 5x5": (changed(lambda c: c.update(IMGRAW=c["IMGRAW"][:, :5, :5].copy())), "IMGRAW is 5x5"),
    "IMGRAW 6x8": (changed(lambda c: c.update(IMGRAW=c["IMGRAW"][:, :6].copy())), "IMGRAW is 6x8"),
    "IMGRAW without a shape": (changed(lambda c: c.update(IMGRAW=c["IMGRAW"][:, 0, 0].copy())), "IMGRAW is 1,"),
    "another slot in its rows": (changed(lambda c: put(c, "IMGNUM1", 5, 4)), "name says slot 3, IMGNUM1 says 3, 4"),
    "another slot in its name": (named(NAME.replace("_3_", "_4_")), "name says slot 4, IMGNUM1 says 3"),
    "another revision in its name": (named(NAME.replace("N001", "N002")), "REVISION is 1"),
    "another time in its name": (named(NAME.replace("acaf5450", "acaf6450")), "its header: TSTART is 545054"),
    "NaN in TIME": (changed(lambda c: put(c, "TIME", 7, np.nan)), "TIME is nan in row 7"),
    "infinite TIME": (changed(lambda c: put(c, "TIME", 14, np.inf)), "TIME is inf in row 14"),
    "TIME 1e12": (changed(lambda c: put(c, "TIME", 14, 1e12), header=SPAN), "TIME 1000000000000.0 in row 14"),
    "negative TIME": (changed(lambda c: put(c, "TIME", 0, -5.0), header=SPAN), "TIME -5.0 in row 0 is outside"),
    "TIME before the header's": (changed(lambda c: put(c, "TIME", 0, NOON - 99), header=SPAN), "in row 0 is outside"),
    "TIME after the header's": (changed(lambda c: put(c, "TIME", 14, NOON + 99), header=SPAN), "in row 14 is outside"),
    "a header far longer than its rows": (with_header(TSTOP=NOON + 86400), "interval, .*is not that of its rows"),
    "TIME not in order": (changed(swap), "in row 6 is not in order"),
    "TIME repeated": (changed(lambda c: put(c, "TIME", 6, c["TIME"][5])), "in row 6 is repeated"),
    "no rows": (changed(no_rows, header=SPAN), "it has no rows"),
    "TSTOP before TSTART": (with_header(TSTOP=NOON - 60), "no interval: TSTART 545054.*, TSTOP 545054"),
    "TSTART missing": (with_header(TSTART=None), "no number TSTART"),
    "TSTOP missing": (with_header(TSTOP=None), "no number TSTOP"),
    "TSTOP a text": (with_content(a_text_as_tstop), "no number TSTOP: 'soon'"),
    "REVISION missing": (with_header(REVISION=None), "no number REVISION"),
    "STARTMJF missing": (with_header(STARTMJF=None), "no number STARTMJF"),
    "STOPMNF a text": (with_header(STOPMNF="many"), "no number STOPMNF: 'many'"),
    "STOPMNF that cannot be parsed": (with_content(an_open_quote), "header is damaged .*STOPMNF"),
    "REVISION a fraction": (with_header(REVISION=1.5), "no number REVISION: 1.5"),
    "STARTMJF a fraction": (with_header(STARTMJF=7.5), "no number STARTMJF: 7.5"),
    "STARTMJF beyond 32 bits": (with_header(STARTMJF=2**40), "STARTMJF"),
    "a name that does not match": (named("acaf545054470N001_img0.fits.gz"), "its name is not acaf"),
    "slot 8 in its name": (named(NAME.replace("_3_", "_8_")), "its name is not acaf"),
    "a name with more after it": (named(NAME.replace("img0.fits.gz", "img0.fits.gz.part")), "its name is not acaf"),
    "another product's name": (named("pcadf544968069N001_asol1.fits.gz"), "its name is not acaf"),
    "a symbolic link that leads nowhere": (
        lambda folder: link(folder / NAME, folder / "nothing"), "not there|cannot be read|No such file",
    ),
    "a symbolic link to itself": (lambda folder: link(folder / NAME, folder / NAME), "symbolic links"),
}  # fmt: skip


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def test_the_good_file_is_good(tmp_path: Path) -> None:
    file = file_of(tmp_path, minute(imgsize=8))
    assert file.name == NAME
    assert take(tmp_path / "lake", file).exit_code == 0


def test_a_text_that_a_header_leaves_empty_is_empty(tmp_path: Path) -> None:
    file = file_of(tmp_path, minute(imgsize=8))
    plain = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(re.sub(rb"TLMVER  = .{20}", b"TLMVER  =" + b" " * 21, plain), mtime=0))
    assert take(tmp_path / "lake", file).exit_code == 0
    (row,) = read_table(tmp_path / "lake", "source_file").to_pylist()
    assert (row["tlmver"], row["status"]) == ("", "current")


@pytest.mark.often(30)
@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_set_aside_with_the_reason_and_the_others_go_in(
    make: MakeBad, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    lake = tmp_path / "lake"
    bad = make(tmp_path / "files")
    good = file_of(tmp_path / "files", minute(start=NOON + 600))
    report = take(lake, tmp_path / "files")
    assert (report.taken, list(report.set_aside), report.exit_code) == ([good.name], [bad.name], 3)
    assert re.search(reason, report.set_aside[bad.name])
    assert_rows_are_those_of(rows(lake), good)
    record = {name: row for row in known(lake) if (name := row["filename"])}
    assert (record[bad.name]["status"], record[bad.name]["directory"]) == ("set aside", str(bad.parent))
    assert record[bad.name]["reason"] == report.set_aside[bad.name]
    # The next run says it again, and makes nothing new of it.
    generation = current_generation(lake)
    again = take(lake, tmp_path / "files")
    assert (again.set_aside, again.unchanged, again.exit_code) == (report.set_aside, 1, 3)
    assert current_generation(lake) == generation
    # Once there is a good file of that name, or none, that is what holds.
    bad.unlink()
    if bad.name == NAME:
        file_of(tmp_path / "files", minute(imgsize=8))
        assert take(lake, tmp_path / "files").taken == [NAME]
        assert statuses(lake) == [(str(bad.parent), n, "current") for n in sorted([NAME, good.name])]
        assert partitions(lake) == partitions(undisturbed(tmp_path))
    else:
        assert take(lake, tmp_path / "files").exit_code == 0


def undisturbed(tmp_path: Path) -> Path:
    """A lake of the folder ``files``, taken in one go."""
    take(tmp_path / "undisturbed", tmp_path / "files")
    return tmp_path / "undisturbed"


def test_a_file_that_was_set_aside_is_not_read_again_while_it_is_the_same(tmp_path: Path) -> None:
    bad = file_of(tmp_path, minute(imgsize=8))
    stat, content = bad.stat(), bad.read_bytes()
    bad.write_bytes(bytes(len(content)))
    os.utime(bad, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    reasons = take(tmp_path / "lake", bad).set_aside
    bad.write_bytes(content)  # it is good now, but nothing shows it
    os.utime(bad, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert take(tmp_path / "lake", bad).set_aside == reasons
    os.utime(bad, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert take(tmp_path / "lake", bad).taken == [bad.name]


def test_a_header_of_a_hundred_years_does_not_take_a_hundred_years(tmp_path: Path, monkeypatch: Any) -> None:
    """Its rows are looked at before its days are."""
    read = count_calls(monkeypatch, "mica_lake.ingest.aca_l0.partitions.read_rows")
    bad = with_header(TSTOP=3.9e9)(tmp_path / "files")
    assert list(take(tmp_path / "lake", bad).set_aside) == [bad.name]
    assert len(read) < 10


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """A list that grows with each call of a function."""
    module, _, function = name.rpartition(".")
    original = getattr(__import__(module, fromlist=[function]), function)
    calls: list[object] = []

    def counted(*args: object) -> object:
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(name, counted)
    return calls


def test_a_file_that_may_not_be_read_is_set_aside_until_it_may(without_rights: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secret, good = file_of(folder / "files"), file_of(folder / "files", slot=4)
        with without_rights(folder, lambda: take(folder / "before", folder / "files")):
            secret.chmod(0)
            report = take(folder / "lake", folder / "files")
            assert (report.taken, list(report.set_aside)) == ([good.name], [secret.name])
            assert "Permission denied" in report.set_aside[secret.name]
            secret.chmod(0o600)
            assert take(folder / "lake", folder / "files").taken == [secret.name]


def test_a_directory_named_like_a_file_is_a_folder(tmp_path: Path) -> None:
    good = file_of(tmp_path / "files" / NAME, slot=5)
    report = take(tmp_path / "lake", tmp_path / "files")
    assert (report.taken, report.exit_code) == ([good.name], 0)


def test_a_directory_where_the_index_lists_a_file_is_set_aside(
    ska: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    _, folder, files = ska
    files[0].unlink()
    (folder / files[0].name).mkdir()
    report = take(tmp_path / "lake", folder)
    assert list(report.set_aside) == [files[0].name]
    assert sorted(report.taken) == sorted(f.name for f in files[1:])


# --- the same name again ----------------------------------------------------------------------------------------------


def other_content(folder: Path, **options: Any) -> Path:
    return file_of(folder, minute(seed=77), **options)


def test_the_same_file_in_two_folders_is_taken_once_and_a_second_run_writes_nothing(tmp_path: Path) -> None:
    file = file_of(tmp_path / "files" / "a")
    for copy in "bc":
        shutil.copytree(file.parent, tmp_path / "files" / copy)
    lake = tmp_path / "lake"
    report = take(lake, tmp_path / "files")
    assert (report.taken, report.unchanged, report.exit_code) == ([file.name], 2, 0)
    generation = current_generation(lake)
    again = take(lake, tmp_path / "files")
    assert (again.taken, again.unchanged, again.exit_code) == ([], 3, 0)
    assert [row["filename"] for row in known(lake)] == [file.name]
    assert current_generation(lake) == generation


def test_a_file_that_moved_is_unchanged_and_its_new_place_is_remembered(tmp_path: Path) -> None:
    file = file_of(tmp_path / "old")
    take(tmp_path / "lake", file)
    (tmp_path / "old").rename(tmp_path / "new")
    report = take(tmp_path / "lake", tmp_path / "new")
    assert (report.unchanged, report.exit_code) == (1, 0)
    assert statuses(tmp_path / "lake") == [(str(tmp_path / "new"), file.name, "current")]


def test_a_name_with_other_content_is_set_aside_in_a_later_run(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    first = file_of(tmp_path / "a")
    take(lake, first)
    second = other_content(tmp_path / "b")
    for _ in range(2):
        report = take(lake, first, second)
        assert (report.exit_code, report.unchanged) == (3, 1)
        assert "other content" in report.set_aside[second.name]
    expected = [(str(first.parent), first.name, "current"), (str(second.parent), second.name, "set aside")]
    assert statuses(lake) == expected
    assert_rows_are_those_of(rows(lake), first)


def test_a_name_with_other_content_in_the_same_place_is_set_aside(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a")
    take(tmp_path / "lake", file)
    before = partitions(tmp_path / "lake")
    other_content(tmp_path / "a")
    report = take(tmp_path / "lake", file)
    assert (report.exit_code, list(report.set_aside)) == (3, [file.name])
    assert partitions(tmp_path / "lake") == before
    assert take(tmp_path / "lake", file).exit_code == 3


def test_a_name_with_two_contents_in_one_run_is_taken_once(tmp_path: Path) -> None:
    first, second = file_of(tmp_path / "files" / "a"), other_content(tmp_path / "files" / "b")
    for _ in range(2):
        report = take(tmp_path / "lake", tmp_path / "files")
        assert report.exit_code == 3
        assert "other content" in report.set_aside[second.name]
        assert statuses(tmp_path / "lake") == [
            (str(first.parent), first.name, "current"), (str(second.parent), second.name, "set aside"),
        ]  # fmt: skip
    assert_rows_are_those_of(rows(tmp_path / "lake"), first)


@pytest.mark.parametrize("damage", ["a NaN", "truncated"])
def test_of_a_bad_and_a_good_file_of_a_name_the_good_one_is_taken(damage: str, tmp_path: Path) -> None:
    make, _ = BAD["NaN in TIME" if damage == "a NaN" else "rows missing"]
    bad, good = make(tmp_path / "files" / "a"), file_of(tmp_path / "files" / "b", minute(imgsize=8))
    report = take(tmp_path / "lake", tmp_path / "files")
    assert (report.taken, report.exit_code) == ([good.name], 3)
    assert sorted(statuses(tmp_path / "lake")) == [
        (str(bad.parent), NAME, "set aside"), (str(good.parent), NAME, "current"),
    ]  # fmt: skip
    assert_rows_are_those_of(rows(tmp_path / "lake"), good)


@pytest.mark.parametrize("together", [True, False], ids=["in one run", "in a later run"])
@pytest.mark.parametrize("same", [True, False], ids=["the same content", "other content"])
def test_compressed_and_uncompressed_are_one_file(same: bool, together: bool, tmp_path: Path) -> None:
    first = file_of(tmp_path / "files", compress=False)
    if not together:
        take(tmp_path / "lake", first)
    second = file_of(tmp_path / "files") if same else other_content(tmp_path / "files")
    assert second.name == first.name + ".gz"
    # The gzipped one counts, but does not take the place of one that is there with other content.
    taken, other = (second, first) if same or together else (first, second)
    for _ in range(2):
        report = take(tmp_path / "lake", tmp_path / "files")
        assert list(report.set_aside) == ([] if same else [other.name])
        assert_rows_are_those_of(rows(tmp_path / "lake"), taken)


def test_the_report_counts(tmp_path: Path) -> None:
    files = [file_of(tmp_path / "files", slot=slot) for slot in (1, 2)]
    report = take(tmp_path / "lake", *files)
    expected: Mapping[str, int] = {
        "rows": len(rows(tmp_path / "lake")),
        "partitions": 2,
        "bytes_in": sum(f.stat().st_size for f in files),
        "bytes_out": sum(map(len, partitions(tmp_path / "lake").values())),
    }
    assert {name: getattr(report, name) for name in expected} == expected


def test_a_folder_of_another_product_given_by_mistake_changes_nothing_of_that(demo_ska: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    obspar.ingest(demo_ska, lake, jobs=1)
    before = known(lake)
    folder = demo_ska / "data/mica/archive/obspar"
    for _ in range(2):
        report = take(lake, folder)
        assert report.exit_code == 3
        assert list(report.set_aside) == [row["filename"] for row in before if row["status"] == "current"]
        assert [row for row in known(lake) if row["product"] == "obspar"] == before
