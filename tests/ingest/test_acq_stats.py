"""From the HDF5 tables of acquisition and guide star statistics to the lake: rows as they are, whatever changes."""

import builtins
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mica_lake.catalog.generation import read_table
from mica_lake.catalog.reindex import rebuild
from mica_lake.ingest import acq_stats, follow, guide_stats, stat_table
from mica_lake.ingest.found import Found, Rejected
from mica_lake.ingest.report import Report
from mica_lake.lake import Lake
from mica_lake.products import PRODUCTS
from mica_lake.simulate import stats
from mica_lake.simulate.observations import observations
from mica_lake.stats.structured import rows_of
from mica_lake.tables import TABLES
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.times import cxcsec

Rows = NDArray[np.void]
INGEST: dict[str, Callable[..., Report]] = {"acq_stats": acq_stats.ingest, "guide_stats": guide_stats.ingest}
PER_YEAR = 40


@pytest.fixture(scope="module", autouse=True)
def _the_power_does_not_fail() -> Iterator[None]:
    """Files are not flushed to the disk, which is slow and of no consequence here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def some_rows(product: str, years: tuple[int, ...] = (2012, 2013, 2014), seed: int = 0) -> Rows:
    """Rows of any numbers, in time order."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(PER_YEAR * len(years), row_dtype(product))
    for name in rows.dtype.names or ():
        kind = rows.dtype[name].kind
        if kind == "f":
            rows[name] = np.where(rng.random(len(rows)) < 0.05, np.nan, rng.normal(0, 9, len(rows)))
        elif kind == "i":
            rows[name] = rng.integers(-9, 9, len(rows))
        elif kind == "b":
            rows[name] = rng.random(len(rows)) < 0.2
        else:
            rows[name] = rng.choice([b"", b"ACQ", b"2012", b"a"], len(rows))
    starts = np.repeat([cxcsec(f"{year}:001") for year in years], PER_YEAR)
    rows[TABLES[product].time] = np.sort(starts + rng.uniform(0, 3e7, len(rows)))
    return rows


def write(path: Path, rows: Rows, node: str = "data") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(node, data=rows, chunks=(64,), maxshape=(None,), compression="gzip")
    # So that two versions written in the same tick of the clock are two.
    stamp = next(_STAMPS)
    os.utime(path, ns=(stamp, stamp))
    return path


_STAMPS = iter(range(10**18, 2 * 10**18, 10**9))


@dataclass
class Archive:
    """An archive of one product, its lake, and the rows last written."""

    product: str
    ska: Path
    lake: Path
    rows: Rows

    @property
    def path(self) -> Path:
        return self.ska / "data" / self.product / f"{self.product}.h5"

    @property
    def name(self) -> str:
        return f"{self.product}/{self.product}.h5"

    def put(self, rows: Rows) -> Report:
        """Write rows and take them."""
        self.rows = rows
        write(self.path, rows)
        return self.take()

    def take(self, **options: Any) -> Report:
        return INGEST[self.product](self.ska, self.lake, jobs=1, **options)

    def partitions(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self.lake.glob(f"{self.product}/*/data.parquet")}

    def answer(self) -> Rows:
        return rows_of(self.product, filter=False, data_root=self.lake)

    def known(self) -> list[tuple[str, str | None]]:
        rows = read_table(self.lake, "source_file").to_pylist()
        return [(row["status"], row["reason"]) for row in rows if row["product"] == self.product]


def same(found: Rows, expected: Rows) -> bool:
    """Whether all bits are the same."""
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def state(lake: Path) -> list[tuple[str, bytes, int]]:
    return [
        (path.relative_to(lake).as_posix(), path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(lake.rglob("*"))
        if path.is_file() and path.name != "lock"
    ]


@pytest.fixture(params=INGEST)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    """Three years of rows, taken."""
    made = Archive(request.param, tmp_path / "ska", tmp_path / "lake", some_rows(request.param))
    report = made.put(made.rows)
    assert (report.taken, report.rows, report.partitions) == ([made.name], 3 * PER_YEAR, 3)
    return made


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_every_bit_of_every_row_is_kept_in_order(archive: Archive) -> None:
    assert same(archive.answer(), archive.rows)
    assert sorted(archive.partitions()) == ["year=2012", "year=2013", "year=2014"]
    assert archive.known() == [("current", None)]


def test_within_a_year_rows_are_sorted_by_star_then_position(archive: Archive) -> None:
    for path in archive.lake.glob(f"{archive.product}/*/data.parquet"):
        rows = pq.read_table(path, columns=["agasc_id", "position"], partitioning=None).to_pylist()
        keys = [(row["agasc_id"], row["position"]) for row in rows]
        assert keys == sorted(keys)


def test_the_order_of_the_source_is_kept_where_it_is_not_that_of_time(archive: Archive) -> None:
    shuffled = archive.rows[np.random.default_rng(3).permutation(len(archive.rows))]
    archive.put(shuffled)
    assert same(archive.answer(), shuffled)


def test_the_first_second_of_a_year_is_its_own_and_a_leap_second_the_old_ones(archive: Archive) -> None:
    rows = archive.rows[:3].copy()
    start = cxcsec("2017:001")
    rows[TABLES[archive.product].time] = [start - 0.5, start, np.nan]
    report = archive.put(rows)
    assert report.partitions == 6  # three went
    assert sorted(archive.partitions()) == ["year=1998", "year=2016", "year=2017"]
    assert same(archive.answer(), rows)


@pytest.mark.often(2)
@pytest.mark.parametrize("times", [[np.nan, np.nan], [-1e4, np.nan], [np.nan, 0.0]])
def test_rows_without_a_time_are_of_1998_and_the_status_can_tell(times: list[float], archive: Archive) -> None:
    rows = archive.rows[:2].copy()
    rows[TABLES[archive.product].time] = times
    archive.put(rows)
    assert list(archive.partitions()) == ["year=1998"]
    assert same(archive.answer(), rows)
    before = Lake(archive.lake).status().rows()
    assert rebuild(archive.lake) == []
    assert Lake(archive.lake).status().rows() == before


def test_texts_of_any_utf8_and_with_zero_bytes_are_kept(archive: Archive) -> None:
    rows = archive.rows.copy()
    rows["bad_comment"][:3] = ["å".encode(), b"a\0b", "°C".encode()]
    archive.put(rows)
    assert same(archive.answer(), rows)


def test_any_bits_of_a_number_are_kept(archive: Archive) -> None:
    rows = archive.rows.copy()
    rows["mag"] = np.random.default_rng(5).integers(0, 2**63, len(rows)).astype("u8").view("f8")
    rows["agasc_id"][:2] = [2**63 - 1, -(2**63)]
    archive.put(rows)
    assert same(archive.answer(), rows)


def test_pytables_writes_booleans_as_bit_fields(archive: Archive) -> None:
    tables = pytest.importorskip("tables")
    archive.path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tables.NaturalNameWarning)
        with tables.open_file(archive.path, "w") as file:
            file.create_table("/", "data", archive.rows, filters=tables.Filters(complevel=5, complib="zlib"))
    before = archive.partitions()
    report = archive.take()
    assert (report.taken, report.partitions) == ([archive.name], 0)
    assert archive.partitions() == before
    assert same(archive.answer(), archive.rows)


def test_another_byte_order_or_order_of_columns_is_the_same_table(archive: Archive) -> None:
    before = archive.partitions()
    names = (archive.rows.dtype.names or ())[::-1]
    other = np.empty(len(archive.rows), [(n, archive.rows.dtype[n].newbyteorder(">")) for n in names])
    for name in names:
        other[name] = archive.rows[name]
    write(archive.path, other)
    assert archive.take().partitions == 0
    assert archive.partitions() == before


def test_an_empty_table_has_no_partitions(archive: Archive) -> None:
    report = archive.put(archive.rows[:0])
    assert (report.taken, report.replaced, report.rows, report.partitions) == ([archive.name], [archive.name], 0, 3)
    assert archive.partitions() == {}
    assert same(archive.answer(), archive.rows)
    before = state(archive.lake)
    assert archive.take().unchanged == 1
    assert state(archive.lake) == before


def test_the_folder_or_the_file_may_be_given(archive: Archive, tmp_path: Path) -> None:
    expected = archive.partitions()
    for n, source in enumerate((archive.path.parent, archive.path)):
        lake = tmp_path / f"lake_{n}"
        assert INGEST[archive.product](source, lake, jobs=2).taken == [archive.name]
        assert {p.parent.name: p.read_bytes() for p in lake.glob(f"{archive.product}/*/*")} == expected


def test_a_file_elsewhere_replaces_the_table(archive: Archive, tmp_path: Path) -> None:
    rows = some_rows(archive.product, (2013,), seed=4)
    other = write(tmp_path / "downloads" / "new.h5", rows)
    report = INGEST[archive.product](other, archive.lake, jobs=1)
    assert report.taken == ["downloads/new.h5"]
    assert list(archive.partitions()) == ["year=2013"]
    assert same(archive.answer(), rows)
    assert len(archive.known()) == 1


# --- the lake of a file is always the same ----------------------------------------------------------------------------


def test_a_second_run_changes_nothing(archive: Archive) -> None:
    before = state(archive.lake)
    report = archive.take()
    assert (report.taken, report.unchanged, report.partitions) == ([], 1, 0)
    assert state(archive.lake) == before


def test_a_file_of_the_same_size_and_date_is_not_read(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_table, "read_file", lambda path, limit: pytest.fail(f"{path} is read"))
    assert archive.take().unchanged == 1


def test_a_touched_or_rewritten_file_changes_no_partition(archive: Archive) -> None:
    before = archive.partitions()
    os.utime(archive.path, (2e9, 2e9))
    assert (archive.take().unchanged, archive.take().unchanged) == (1, 1)
    report = archive.put(archive.rows)
    assert (report.unchanged, report.partitions) == (1, 0)
    with h5py.File(archive.path, "w") as file:
        file["data"] = archive.rows
    assert archive.take().partitions == 0
    assert archive.partitions() == before


def test_a_row_found_bad_later_changes_its_year(archive: Archive) -> None:
    before = archive.partitions()
    rows = archive.rows.copy()
    changed = PER_YEAR + 7
    rows["known_bad"][changed] = ~rows["known_bad"][changed]
    rows["bad_comment"][changed] = b"found bad later"
    report = archive.put(rows)
    assert (report.replaced, report.partitions) == ([archive.name], 1)
    after = archive.partitions()
    assert [name for name in sorted(after) if after[name] != before[name]] == ["year=2013"]
    assert same(archive.answer(), rows)
    assert same(rows_of(archive.product, filter=True, data_root=archive.lake), rows[~rows["known_bad"]])


def test_rows_appended_leave_the_other_years_alone(archive: Archive) -> None:
    before = archive.partitions()
    more = some_rows(archive.product, (2014, 2015), seed=1)
    assert archive.put(np.concatenate([archive.rows, more])).partitions == 2
    after = archive.partitions()
    assert sorted(after) == ["year=2012", "year=2013", "year=2014", "year=2015"]
    assert [name for name in before if after[name] != before[name]] == ["year=2014"]
    assert same(archive.answer(), archive.rows)


def test_a_year_that_has_gone_goes(archive: Archive) -> None:
    assert archive.put(archive.rows[: 2 * PER_YEAR]).partitions == 1
    assert sorted(archive.partitions()) == ["year=2012", "year=2013"]
    assert same(archive.answer(), archive.rows)


def test_whatever_happened_before_the_lake_is_that_of_the_last_file(archive: Archive, tmp_path: Path) -> None:
    for rows in (archive.rows[::-1], archive.rows[5:], some_rows(archive.product, (2013, 2020), seed=2)):
        archive.put(rows)
    fresh = Archive(archive.product, archive.ska, tmp_path / "fresh", archive.rows)
    INGEST[archive.product](archive.ska, fresh.lake, jobs=4)
    assert archive.partitions() == fresh.partitions()


def test_an_archive_that_moved_is_unchanged(archive: Archive, tmp_path: Path) -> None:
    before = archive.partitions()
    archive.ska = archive.ska.rename(tmp_path / "elsewhere")
    assert archive.take().unchanged == 1
    assert archive.partitions() == before


def test_after_a_reindex_it_is_the_same_lake(archive: Archive) -> None:
    before, rows = archive.partitions(), read_table(archive.lake, "partition")
    assert rebuild(archive.lake) == []
    assert read_table(archive.lake, "partition").equals(rows)
    assert archive.take().unchanged == 1
    shutil.rmtree(archive.lake / "_catalog")
    assert rebuild(archive.lake) == []
    assert read_table(archive.lake, "partition").equals(rows)
    report = archive.take()
    assert (report.taken, report.partitions) == ([archive.name], 0)
    assert archive.partitions() == before


def test_a_partition_that_is_lost_is_made_again(archive: Archive) -> None:
    before = archive.partitions()
    for lost in ("year=2013", "2013"):
        for path in archive.lake.rglob(f"{archive.product}/{lost}"):
            shutil.rmtree(path)
    rebuild(archive.lake)
    assert len(archive.answer()) == 2 * PER_YEAR
    assert archive.take().partitions == 1
    assert archive.partitions() == before


def test_a_dry_run_tells_the_plan_and_changes_nothing(archive: Archive, tmp_path: Path) -> None:
    before = state(archive.lake)
    write(archive.path, archive.rows[:7])
    report = archive.take(dry_run=True)
    assert (report.dry_run, report.taken, report.rows, report.partitions) == (True, [archive.name], 7, 0)
    assert state(archive.lake) == before
    archive.lake = tmp_path / "none"
    assert archive.take(dry_run=True).taken == [archive.name]
    assert not archive.lake.exists()


# --- bad input --------------------------------------------------------------------------------------------------------


def _without(rows: Rows, name: str) -> Rows:
    names = [n for n in rows.dtype.names or () if n != name]
    return np.array(rows[names].tolist(), [(n, rows.dtype[n]) for n in names])


def _with_type(rows: Rows, name: str, dtype: str) -> Rows:
    names = rows.dtype.names or ()
    other = np.zeros(len(rows), [(n, dtype if n == name else rows.dtype[n]) for n in names])
    for n in names:
        if n != name:
            other[n] = rows[n]
    return other


def _with_more(rows: Rows) -> Rows:
    return np.zeros(len(rows), [*rows.dtype.descr, ("extra", "f8")])


def _replaced(rows: Rows, name: str, value: Any) -> Rows:
    rows = rows.copy()
    rows[name][5] = value
    return rows


BAD: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "missing": (lambda rows: _without(rows, "yang"), "has no yang"),
    "extra": (_with_more, "columns that are not known: extra"),
    "float32": (lambda rows: _with_type(rows, "zang", "<f4"), "column zang is <f4, not <f8"),
    "byte for flag": (lambda rows: _with_type(rows, "known_bad", "u1"), r"column known_bad is \|u1, not \|b1"),
    "longer text": (lambda rows: _with_type(rows, "type", "S6"), r"column type is \|S6, not \|S5"),
    "array": (lambda rows: _with_type(rows, "mag", "(2,)f8"), "column mag is"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.often(4)
def test_a_table_of_other_columns_is_set_aside_and_the_rows_stay(case: str, archive: Archive) -> None:
    change, reason = BAD[case]
    check_set_aside(archive, lambda path: write(path, change(archive.rows)), reason)


@pytest.mark.often(2)
@pytest.mark.parametrize("time", [np.inf, -np.inf, 1e300])
def test_a_time_beyond_all_times_is_set_aside(time: float, archive: Archive) -> None:
    rows = _replaced(archive.rows, TABLES[archive.product].time, time)
    check_set_aside(archive, lambda path: write(path, rows), "of row 5 is .*, which is not a time")


def _damaged(path: Path) -> None:
    """Noise in the middle of the compressed rows."""
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(0)
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no HDF5": (lambda path: path.write_bytes(b"no HDF5"), "it is not a whole HDF5 file"),
    "empty": (lambda path: path.write_bytes(b""), "it is not a whole HDF5 file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "it is not a whole HDF5 file"),
    "damaged": (_damaged, "it is not a whole HDF5 file"),
    "no table": (lambda path: write(path, np.zeros(3), "other"), "it has no table /data"),
    "an array": (lambda path: write(path, np.zeros(3)), "it has no table /data"),
    "a folder": (lambda path: write(path, np.zeros(3), "data/data"), "it has no table /data"),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.often(2)
def test_a_file_without_the_table_is_set_aside_and_the_rows_stay(case: str, archive: Archive) -> None:
    check_set_aside(archive, *FILES[case])


def check_set_aside(archive: Archive, spoil: Callable[[Path], Any], reason: str) -> None:
    before = archive.partitions()
    spoil(archive.path)
    for _ in range(2):
        report = archive.take()
        assert (report.taken, report.exit_code, list(report.set_aside)) == ([], 3, [archive.name])
        assert re.search(reason, report.set_aside[archive.name])
    assert archive.partitions() == before
    assert same(archive.answer(), archive.rows)
    assert [status for status, _ in archive.known()] == ["current", "set aside"]
    # When it is good again, it is taken.
    rows = archive.rows[1:]
    assert archive.put(rows).exit_code == 0
    assert archive.known() == [("current", None)]
    assert same(archive.answer(), rows)


@pytest.mark.parametrize("product", INGEST)
def test_what_is_not_there_is_an_error_and_makes_no_lake(product: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such file or folder"):
        INGEST[product](tmp_path / "nowhere", tmp_path / "lake")
    with pytest.raises(FileNotFoundError, match=f"has neither data/{product}/{product}.h5 nor {product}.h5"):
        INGEST[product](tmp_path, tmp_path / "lake")
    assert list(tmp_path.iterdir()) == []


def test_without_h5py_it_says_what_to_install(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "h5py":
            raise ImportError("No module named 'h5py'")
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert archive.take().unchanged == 1
    write_later = archive.path.stat().st_mtime_ns + 10**9
    os.utime(archive.path, ns=(write_later, write_later))
    with pytest.raises(ImportError, match=r"pip install 'mica-lake\[stats\]'"):
        archive.take()
    assert archive.known() == [("current", None)]


# --- beside other products --------------------------------------------------------------------------------------------


def test_both_are_products_of_an_archive_and_leave_each_other_alone(tmp_path: Path) -> None:
    stats.write_archive(tmp_path / "ska", observations(cxcsec("2015:364"), cxcsec("2016:003")))
    assert set(INGEST) < {product.name for product in PRODUCTS}
    lake = tmp_path / "lake"
    for product in INGEST:
        assert follow.ingest(product, tmp_path / "ska", lake, jobs=1).partitions == 2
    before = state(lake)
    for product in INGEST:
        assert follow.ingest(product, tmp_path / "ska", lake, jobs=1).unchanged == 1
    assert state(lake) == before
    years = sorted({path.parent.name for path in lake.glob("*_stats/*/data.parquet")})
    assert years == ["year=2015", "year=2016"]
    rows = rows_of("acq_stats", filter=False, data_root=lake)
    assert rows["guide_tstart"].min() < cxcsec("2016:001") < rows["guide_tstart"].max()


def test_a_file_that_cannot_be_read_is_not_known_by_its_size_and_date(tmp_path: Path) -> None:
    (tmp_path / "acq_stats.h5").symlink_to("acq_stats.h5")
    result = stat_table.judge(Found(str(tmp_path), "acq_stats.h5", 5, 5), ACQ_STATS)
    assert isinstance(result, Rejected)
    assert (result.found.size, result.found.mtime_ns) == (-1, -1)
    assert result.reason == "it cannot be read: Too many levels of symbolic links"
