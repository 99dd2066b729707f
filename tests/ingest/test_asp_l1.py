"""Aspect L1 products: every value kept, the lake that of the files whatever the way there, bad files set aside."""

import gzip
import hashlib
import io
import math
import os
import random
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import date
from functools import cache
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
from numpy.typing import NDArray

from mica_lake.archive import asp_l1 as facade
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.catalog.reindex import rebuild
from mica_lake.errors import BadFile
from mica_lake.formats.fits_table import read_header
from mica_lake.ingest import aca_l0
from mica_lake.ingest.asp_l1 import Day, TimedFile, build_day, ingest
from mica_lake.ingest.asp_l1_files import discover, status_of
from mica_lake.ingest.found import Found
from mica_lake.ingest.report import Report
from mica_lake.ingest.revision_folders import Revision
from mica_lake.simulate import asp_l1 as simulate
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.simulate.observations import Observation
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_SOL
from mica_lake.tables.table import Table
from mica_lake.times import cxcsec

NOON = cxcsec("2015:100:12:00:00")
MIDNIGHT = cxcsec("2015:101")
LEAP = cxcsec("2017:001")
NEWER = ("ady", "adz", "adtheta", "ra_raw", "dec_raw", "roll_raw", "q_att_raw")
CONTENTS = {
    "asol": "ASPSOL", "aqual": "ASPQUAL", "acal": "ACACAL", "acen": "ACACENT", "gspr": "GSPROPS", "fidpr": "FIDPROPS"
}  # fmt: skip
FORMS = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "u1": "B"}
NO_ROWS = {table.name: table.schema.empty_table() for table in (ASP_L1_FILE, ASP_SOL, ACA_CENT)}
Columns = dict[str, NDArray[Any]]


# --- products by hand -------------------------------------------------------------------------------------------------


def fits_of(columns: Mapping[str, NDArray[Any]], **header: object) -> bytes:
    """A FITS file of these columns, not gzipped; a header value of None is left out."""
    made = []
    for name, array in columns.items():
        if array.dtype.kind == "S":
            made.append(fits.Column(name, f"{array.dtype.itemsize}A", array=array))
            continue
        shape = f"({','.join(map(str, array.shape[:0:-1]))})" if array.ndim > 2 else None
        form = f"{math.prod(array.shape[1:])}{FORMS[array.dtype.str[1:]]}"
        made.append(fits.Column(name, form, array=array, dim=shape))
    hdu = fits.BinTableHDU.from_columns(made)
    hdu.header.update({key: value for key, value in header.items() if value is not None})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return out.getvalue()


def columns_of(
    kind: str, start: float, *, rows: int = 40, step: float = 1.0, newer: bool = False, seed: int = 0
) -> Columns:
    """Columns of a product: numbers at random, but for the times."""
    rng = np.random.default_rng([seed, sorted(CONTENTS).index(kind)])
    time = start + step * np.arange(rows)
    match kind:
        case "asol":
            names = ["ra", "dec", "roll", "dy", "dz", "dtheta", "q_att", *(NEWER if newer else ())]
            q = ("q_att", "q_att_raw")
            return {"time": time} | {n: rng.standard_normal((rows, 4) if n in q else rows) for n in names}
        case "aqual":
            return {"time": time, "asp_sol_status": np.zeros(rows, np.int32)}
        case "acal":
            turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
            turn *= np.linalg.det(turn)
            return {"aca_misalign": turn[None], "fts_misalign": np.eye(3)[None]}
        case "acen":
            # All of one slot and algorithm, then all of the next.
            whole = {
                "time": np.tile(time, 4),
                "slot": np.repeat(np.array([2, 5], np.int32), 2 * rows),
                "alg": np.tile(np.repeat(np.array([1, 8], np.int32), rows), 2),
                "status": rng.integers(0, 3, 4 * rows).astype(np.int32),
            }
            floats = ("cent_i", "cent_j", "ang_y", "ang_z", "ang_y_sm", "ang_z_sm", "counts")
            return whole | {name: rng.standard_normal(4 * rows) for name in floats}
        case _:
            return {"slot": np.arange(3, dtype=np.int32), "id_status": np.array([b"GOOD"] * 3)}


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


@cache
def made(kind: str, start: float, rows: int, newer: bool, seed: int, **header: object) -> bytes:
    """A product with columns at random."""
    return zipped(fits_of(columns_of(kind, start, rows=rows, newer=newer, seed=seed), **header))


def put(
    top: Path,
    kind: str,
    columns: Columns | None = None,
    *,
    obsid: int = 20100,
    revision: int = 1,
    start: float = NOON,
    change: Callable[[bytes], bytes] = zipped,
    name: str | None = None,
    newer: bool = False,
    rows: int = 40,
    seed: int = 0,
    **header: object,
) -> Path:
    """Write a product. Its name and header have `start`, and a stop after the last row."""
    cards: dict[str, object] = {"CONTENT": CONTENTS[kind], "OBS_ID": str(obsid), "REVISION": revision}
    cards |= {"TSTART": start, "TSTOP": start + rows} | header
    number = f"{obsid:05d}"
    path = top / number[:2] / f"{number}_v{revision:02d}"
    path /= name or f"pcadf{int(start):09d}N{revision:03d}_{kind}1.fits.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    if columns is None and change is zipped:
        content = made(kind, start, rows, newer, seed, **cards)
    else:
        columns = columns_of(kind, start, rows=rows, newer=newer, seed=seed) if columns is None else columns
        content = change(fits_of(columns, **cards))
    if path.exists() and path.read_bytes() == content:
        raise AssertionError("a file should be changed, and is written as it was")
    path.write_bytes(content)
    return path


def observe(
    top: Path,
    obsid: int = 20100,
    revision: int = 1,
    start: float = NOON,
    kinds: Sequence[str] = tuple(CONTENTS),
    **options: Any,
) -> dict[str, Path]:
    """Write the products of an aspect interval."""
    # Rows that differ from one observation and revision to the other.
    options = {"seed": 100 * obsid + revision} | options
    return {kind: put(top, kind, obsid=obsid, revision=revision, start=start, **options) for kind in kinds}


def release(top: Path, **default: int | None) -> Path:
    """Write database and links for the folders that are there: of o20100=2, revision 2 is released, else the first."""
    found: dict[int, list[int]] = {}
    for folder in sorted(top.glob("[0-9][0-9]/*_v[0-9][0-9]")):
        observation, _, number = folder.name.partition("_v")
        found.setdefault(int(observation), []).append(int(number))
    rows = []
    for obsid, revisions in found.items():
        chosen = default.get(f"o{obsid}", revisions[0])
        rows += [(obsid, revision, 1 if revision == chosen else None) for revision in revisions]
        parent = top / f"{obsid:05d}"[:2]
        last = revisions[-1] if revisions[-1] != chosen else None
        for link, leads in ((parent / f"{obsid:05d}", chosen), (parent / f"{obsid:05d}_last", last)):
            link.unlink(missing_ok=True)
            if leads is not None:
                link.symlink_to(f"{obsid:05d}_v{leads:02d}")
    path = top / "archfiles.db3"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE archfiles (obsid int, revision int, isdefault int)")
        db.executemany("INSERT INTO archfiles VALUES (?, ?, ?)", rows)
    return top


# --- what is in a lake ------------------------------------------------------------------------------------------------


def take(top: Path, lake: Path, **options: Any) -> Report:
    return ingest(top, lake, jobs=1, **options)


def partitions(lake: Path, table: str = "*") -> dict[str, bytes]:
    """Partitions of the aspect tables, byte for byte."""
    tables = [ASP_L1_FILE.name, ASP_SOL.name, ACA_CENT.name] if table == "*" else [table]
    paths = [path for name in tables for path in sorted((lake / name).rglob("data.parquet"))]
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in paths}


def rows(lake: Path, table: Table) -> pa.Table:
    """All rows as any reader of Parquet sees them, partition by partition."""
    paths = sorted((lake / table.name).rglob("data.parquet"))
    return pa.concat_tables(pq.read_table(path, partitioning=None, schema=table.schema) for path in paths)


def rows_of(lake: Path, table: Table, path: Path) -> pa.Table:
    """Rows of a file."""
    found = rows(lake, table)
    revision = int(path.parent.name.partition("_v")[2])
    return found.filter(pa.compute.and_(
        pa.compute.equal(found.column("filename"), path.name), pa.compute.equal(found.column("revision"), revision)
    ))  # fmt: skip


def file_rows(lake: Path) -> dict[str, dict[str, Any]]:
    """Rows of asp_l1_file by folder and name."""
    found = answer(lake)["asp_l1_file"].to_pylist()
    by_name = {f"{row['obsid']:05d}_v{row['revision']:02d}/{row['filename']}": row for row in found}
    assert len(by_name) == len(found)
    return by_name


def statuses(lake: Path) -> list[tuple[str, str, str | None, str | None]]:
    known = read_table(lake, "source_file").to_pylist()
    return [(row["filename"], row["status"], row["reason"], row["checksum"]) for row in known]


def state(lake: Path) -> list[tuple[str, bytes, int]]:
    """All files of a lake, with their bytes and dates."""
    return [
        (path.relative_to(lake).as_posix(), path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(lake.rglob("*"))
        if path.is_file() and path != lake / "_catalog" / "lock"
    ]


def answer(lake: Path) -> dict[str, pa.Table]:
    """What is in the lake for queries: the partitions that its catalog names, put together."""
    found: dict[str, list[pa.Table]] = {table.name: [] for table in (ASP_L1_FILE, ASP_SOL, ACA_CENT)}
    for row in read_table(lake, "partition").to_pylist():
        if row["table_name"] in found:
            found[row["table_name"]].append(pq.read_table(lake / row["path"], partitioning=None))
    return {
        name: pa.concat_tables([NO_ROWS[name], *(part.cast(NO_ROWS[name].schema) for part in parts)]).combine_chunks()
        for name, parts in found.items()
    }


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Where an archive is to be."""
    return tmp_path / "asp1"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Where a lake is to be."""
    return tmp_path / "lake"


# --- headers ----------------------------------------------------------------------------------------------------------


def cards(header: fits.Header) -> list[tuple[str, Any, str]]:
    return [(card.keyword, card.value, card.comment) for card in header.cards]


def test_a_header_read_is_that_of_astropy(tmp_path: Path) -> None:
    columns = readouts(3, 6, times(NOON, NOON + 60, 6))
    path = write_file(tmp_path, 3, columns)
    assert path.name.endswith(".gz")
    expected = fits.getheader(path, 1)
    assert "TSTART" in expected
    assert cards(read_header(path.read_bytes(), ["TSTART"])[0]) == cards(expected)
    assert cards(read_header(gzip.decompress(path.read_bytes()), ["TSTART"])[0]) == cards(expected)


def test_comments_history_long_texts_and_an_end_in_a_comment_are_read() -> None:
    hdu = fits.BinTableHDU.from_columns([fits.Column("time", "D", array=np.zeros(1))])
    hdu.header.add_comment("x" * 69 + "END")
    hdu.header.add_history("of what was done")
    hdu.header["LONG"] = ("a long text, " * 12, "and it goes on")
    hdu.header["HIERARCH a long keyword"] = 3
    hdu.header["NOTHING"] = None
    hdu.header["AFTER"] = (7, "seven")
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    found = read_header(out.getvalue(), ["TSTART"])[0]
    out.seek(0)
    expected = fits.getheader(out, 1)
    assert cards(found) == cards(expected)
    assert (found["LONG"], found["AFTER"]) == (("a long text, " * 12).rstrip(), 7)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"Q[A-Z0-9_-]{0,7}", fullmatch=True),
        st.one_of(
            st.integers(-(10**18), 10**18),
            st.booleans(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100),
        ),
    )
)
def test_any_keywords_are_read_as_astropy_reads_them(keywords: dict[str, Any]) -> None:
    content = fits_of({"time": np.zeros(1)}, **keywords)
    expected = fits.getheader(io.BytesIO(content), 1)
    found = read_header(content, ["TSTART"])[0]
    assert cards(found) == cards(expected)
    assert set(keywords) <= set(found)


def test_a_header_needs_no_rows() -> None:
    plain = fits_of({"time": np.zeros(1000)}, AFTER=7)
    assert read_header(plain[:-5760], ["TSTART"])[0]["AFTER"] == 7


def test_the_header_is_that_of_the_first_table() -> None:
    tables = [fits.BinTableHDU(np.zeros(1, [("time", ">f8")]), fits.Header({"WHICH": n})) for n in (1, 2)]
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(header=fits.Header({"WHICH": 0})), *tables]).writeto(out)
    assert read_header(out.getvalue(), ["TSTART"])[0]["WHICH"] == 1


def card_of(content: bytes, keyword: bytes, card: bytes) -> bytes:
    """The file with another card."""
    position = content.index(keyword.ljust(8) + b"=")
    return content[:position] + card.ljust(80) + content[position + 80 :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: b"", "the file is empty"),
        (lambda content: b"<html>404</html>", "it is not a FITS file"),
        (lambda content: gzip.compress(b"<html>404</html>"), "it is not a FITS file"),
        (lambda content: content[:100], "its header has no end"),
        (lambda content: content[:2880], "its first extension is not a binary table"),
        (lambda content: content[:3600], "its header has no end"),
        (lambda content: content[:2880] + content[:2880], "its first extension is not a binary table"),
        (lambda content: content.replace(b"END" + b" " * 77, b"AND" + b" " * 77), "its header has no end"),
        (lambda content: gzip.compress(content)[:-20], "gzip data are truncated"),
        (lambda content: gzip.compress(content)[:40] + b"\xff" * 100, "gzip data are damaged"),
        (lambda content: card_of(content, b"TSTART", b"TSTART  = 12 34"), "its header is damaged"),
        (lambda content: card_of(content, b"TSTART", b"TSTART  = 'no end"), "its header is damaged"),
    ],
)
def test_what_has_no_header_is_a_bad_file_with_its_reason(change: Callable[[bytes], bytes], reason: str) -> None:
    content = fits_of({"time": np.arange(40.0)}, TSTART=5e8)
    assert read_header(content, ["TSTART"])[0]["TSTART"] == 5e8
    with pytest.raises(BadFile, match=reason):
        read_header(change(content), ["TSTART"])[0]


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A $SKA root of simulated observations about midnight after a leap second.

    Of the older kind 20000, of which an older revision is the default; of the newer 20002; two aspect intervals 20001,
    one on each day; not released 20003.
    """
    ska = tmp_path_factory.mktemp("ska")
    pointing = ("ACIS-7", 30.0, -40.0, 120.0)
    archive = [
        Observation(20000, LEAP - 190, LEAP + 170, *pointing, (1, 2), 1, 2),
        Observation(20001, LEAP - 400, LEAP + 400, *pointing, (2,), 2, 2),
        Observation(20002, LEAP - 170, LEAP + 190, *pointing, (3,), 3, 3),
        Observation(20003, LEAP + 3600, LEAP + 4000, *pointing, (1,), None, 1),
    ]
    assert len(simulate.write_archive(ska, archive)) == 6 * 6
    return ska


@pytest.fixture(scope="module")
def flight_lake(flight: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of it, not to be changed."""
    lake = tmp_path_factory.mktemp("flight") / "lake"
    report = ingest(flight, lake, jobs=1)
    assert (report.set_aside, len(report.taken)) == ({}, 36)
    return lake


def paths_of(ska: Path, kind: str) -> list[Path]:
    return sorted(ska.glob(f"data/mica/archive/asp1/*/*_v*/*_{kind}1.fits*"))


def bits(array: NDArray[Any], dtype: str) -> bytes:
    """The values as they lie in memory, where NaN is equal to the same NaN only, and 0 is not -0."""
    return np.ascontiguousarray(array, dtype=dtype).tobytes()


def assert_rows_are_those_of(table: pa.Table, declared: Table, path: Path) -> None:
    """Every value of every row is what astropy reads in the file; null where an older file has no such column."""
    with fits.open(path) as hdus:
        expected = hdus[1].data
        named = {name.lower(): name for name in expected.names}
        order = np.arange(len(expected))
        if declared is ACA_CENT:
            order = np.lexsort([expected[named[name]] for name in ("alg", "slot", "time")])
        assert len(table) == len(expected) > 0
        for column in declared.columns:
            values = table.column(column.name).combine_chunks()
            assert values.type == column.type
            if column.name in NEWER and column.name not in named:
                assert values.null_count == len(table)
            elif column.name in named:
                assert values.null_count == 0
                stored = expected[named[column.name]][order]
                if pa.types.is_list(column.type):
                    assert values.value_lengths().to_pylist() == [4] * len(table)
                    values = values.flatten()
                assert bits(values.to_numpy(), values.type.to_pandas_dtype()) == bits(
                    stored, values.type.to_pandas_dtype()
                )
            else:
                assert column.name in ("obsid", "revision", "isdefault", "filename", "asp_sol_status")
    obsid, _, revision = path.parent.name.partition("_v")
    assert set(table.column("obsid").to_pylist()) == {int(obsid)}
    assert set(table.column("revision").to_pylist()) == {int(revision)}
    assert set(table.column("filename").to_pylist()) == {path.name}


@pytest.mark.parametrize(("declared", "kind"), [(ASP_SOL, "asol"), (ACA_CENT, "acen")])
def test_every_row_and_value_of_the_files_is_there_once(
    declared: Table, kind: str, flight: Path, flight_lake: Path
) -> None:
    paths = paths_of(flight, kind)
    assert len(paths) == 6
    for path in paths:
        assert_rows_are_those_of(rows_of(flight_lake, declared, path), declared, path)
    assert len(rows(flight_lake, declared)) == sum(fits.getheader(path, 1)["NAXIS2"] for path in paths)


def test_newer_columns_are_null_for_older_files_and_full_for_newer_ones(flight_lake: Path) -> None:
    table = rows(flight_lake, ASP_SOL)
    for name in NEWER:
        column = table.column(name).to_pylist()
        newer = {
            obsid for obsid, value in zip(table.column("obsid").to_pylist(), column, strict=True) if value is not None
        }
        older = {obsid for obsid, value in zip(table.column("obsid").to_pylist(), column, strict=True) if value is None}
        assert (newer, older) == ({20002}, {20000, 20001, 20003})


@pytest.mark.parametrize("declared", [ASP_SOL, ACA_CENT])
def test_each_row_lies_in_the_partition_of_its_day_in_time_order(declared: Table, flight_lake: Path) -> None:
    found = sorted((flight_lake / declared.name).rglob("data.parquet"))
    assert [path.relative_to(flight_lake).as_posix() for path in found] == [
        Key(day).path(declared) for day in (date(2016, 12, 31), date(2017, 1, 1))
    ]
    seen = []
    for path, day in zip(found, ("2016:366", "2017:001"), strict=True):
        table = pq.read_table(path, partitioning=None)
        time = table.column("time").to_numpy()
        assert {text[:8] for text in Time(time, format="cxcsec").utc.yday} == {day}
        by_file = table.group_by(["filename", "revision", "obsid"], use_threads=False).aggregate([("time", "list")])
        for each in by_file.column("time_list").to_pylist():
            assert (np.diff(each) >= 0).all()
        seen.append(set(table.column("obsid").to_pylist()))
    assert seen == [{20000, 20001, 20002}, {20000, 20001, 20002, 20003}]


@pytest.mark.parametrize("instant", ["2015:101:00:00:00", "2015:181:23:59:60", "2016:366:23:59:60", "2017:001"])
def test_rows_before_at_and_after_midnight_are_kept_once(instant: str, top: Path, lake: Path) -> None:
    middle = cxcsec(instant)
    time = np.array([*(middle + np.arange(-16, 24) / 8), np.nextafter(middle + 3, 0)])
    columns = columns_of("asol", 0.0, rows=len(time)) | {"time": time}
    path = put(top, "asol", columns, start=middle - 3, TSTOP=middle + 4)
    take(release(top), lake)
    assert_rows_are_those_of(rows_of(lake, ASP_SOL, path), ASP_SOL, path)
    days = [
        pq.read_table(p, partitioning=None).column("time").to_numpy()
        for p in sorted(lake.glob("asp_sol/*/*/data.parquet"), key=lambda p: int(p.parts[-2][4:]) % 365)
    ]
    utc = [{text[:8] for text in Time(day, format="cxcsec").utc.yday} for day in days if len(day)]
    assert [len(day) for day in utc] == [1, 1]
    assert utc[0] != utc[1]


def test_a_row_at_midnight_belongs_to_the_day_that_begins(top: Path, lake: Path) -> None:
    time = np.array([np.nextafter(MIDNIGHT, 0), MIDNIGHT])
    put(top, "asol", columns_of("asol", 0.0, rows=2) | {"time": time}, start=MIDNIGHT - 1, TSTOP=MIDNIGHT + 1)
    take(release(top), lake)
    found = {path.parts[-2]: pq.read_table(path, partitioning=None).column("time").to_pylist()
             for path in lake.glob("asp_sol/*/*/data.parquet")}  # fmt: skip
    assert found == {"doy=100": [time[0]], "doy=101": [MIDNIGHT]}


def test_rows_beyond_the_times_of_the_header_lie_in_their_day(top: Path, lake: Path) -> None:
    before = put(top, "asol", obsid=20100, start=MIDNIGHT - 35, TSTOP=MIDNIGHT - 2)
    after = put(top, "acen", obsid=20200, start=MIDNIGHT - 5, TSTART=MIDNIGHT + 2)
    assert take(release(top), lake).set_aside == {}
    for path, declared in ((before, ASP_SOL), (after, ACA_CENT)):
        assert_rows_are_those_of(rows_of(lake, declared, path), declared, path)
        assert sorted(name.split("/")[2] for name in partitions(lake, declared.name)) == ["doy=100", "doy=101"]


ODD = np.array([0.0, -0.0, 5e-324, -1.7976931348623157e308, np.inf, -np.inf, 0.1, 1 / 3])
ODD = np.append(ODD, np.array([0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001], np.uint64).view(float))


@pytest.mark.parametrize(("declared", "kind"), [(ASP_SOL, "asol"), (ACA_CENT, "acen")])
def test_odd_floats_are_kept_bit_by_bit(declared: Table, kind: str, top: Path, lake: Path) -> None:
    columns = columns_of(kind, NOON, newer=True)
    for name, column in columns.items():
        if name != "time" and column.dtype.kind == "f":
            column[:] = np.resize(ODD, column.shape)
    path = put(top, kind, columns)
    take(release(top), lake)
    assert_rows_are_those_of(rows_of(lake, declared, path), declared, path)


@settings(max_examples=8, deadline=None)
@given(
    words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30),
    numbers=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=30),
    after_noon=st.lists(st.integers(0, 39 * 64), min_size=1, max_size=30, unique=True).map(sorted),
)
def test_any_values_are_kept(words: list[int], numbers: list[int], after_noon: list[int]) -> None:
    n = len(after_noon)
    solution = columns_of("asol", NOON, rows=n, newer=True)
    centroids = columns_of("acen", NOON, rows=n)
    for columns in (solution, centroids):
        for name, column in columns.items():
            if column.dtype.kind == "f":
                column[:] = np.resize(np.array(words, np.uint64), column.shape).view(float)
            elif name == "status":
                column[:] = np.resize(np.array(numbers, np.int32), column.shape)
    time = NOON + np.array(after_noon) / 64
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder, "asp1")
        one = put(top, "asol", solution | {"time": time})
        two = put(top, "acen", centroids | {"time": np.tile(time, 4)[::-1].copy()})
        assert take(release(top), Path(folder, "lake")).set_aside == {}
        assert_rows_are_those_of(rows_of(Path(folder, "lake"), ASP_SOL, one), ASP_SOL, one)
        assert_rows_are_those_of(rows_of(Path(folder, "lake"), ACA_CENT, two), ACA_CENT, two)


def test_names_in_capitals_other_columns_and_floats_of_four_bytes_are_taken(top: Path, lake: Path) -> None:
    solution = {name.upper(): column for name, column in columns_of("asol", NOON).items()}
    solution |= {"RA": solution["RA"].astype(np.float32), "Q_ATT": solution["Q_ATT"].astype(np.float32)}
    solution |= {"SOMETHING": np.arange(40), "TEXT": np.array([b"abc"] * 40), "MORE": np.zeros((40, 2, 2))}
    centroids = columns_of("acen", NOON)
    for name in ("slot", "alg"):
        centroids[name] = centroids[name].astype(np.int16)
    centroids["ang_y"] = centroids["ang_y"].astype(np.float32)
    paths = put(top, "asol", solution), put(top, "acen", centroids)
    assert take(release(top), lake).set_aside == {}
    for path, declared in zip(paths, (ASP_SOL, ACA_CENT), strict=True):
        assert_rows_are_those_of(rows_of(lake, declared, path), declared, path)
    assert rows(lake, ASP_SOL).column("ra").to_pylist() == solution["RA"].astype(float).tolist()
    assert rows(lake, ASP_SOL).column_names == ASP_SOL.schema.names


def test_a_file_that_is_not_gzipped_is_taken(top: Path, lake: Path) -> None:
    path = put(top, "asol", name="pcadf545400000N001_asol1.fits", change=bytes)
    assert take(release(top), lake).set_aside == {}
    assert_rows_are_those_of(rows_of(lake, ASP_SOL, path), ASP_SOL, path)


def test_some_of_the_newer_columns_are_enough(top: Path, lake: Path) -> None:
    columns = columns_of("asol", NOON, newer=True)
    del columns["ady"], columns["q_att_raw"]
    path = put(top, "asol", columns)
    assert take(release(top), lake).set_aside == {}
    assert_rows_are_those_of(rows_of(lake, ASP_SOL, path), ASP_SOL, path)


def test_numbers_with_an_offset_are_those_that_astropy_reads(top: Path, lake: Path) -> None:
    centroids = columns_of("acen", NOON)
    centroids["counts"] = np.arange(-32768, -32608, dtype=np.int16)
    offset: dict[str, Any] = {f"TZERO{list(centroids).index('counts') + 1}": 32768}
    path = put(top, "acen", centroids, **offset)
    assert take(release(top), lake).set_aside == {}
    assert_rows_are_those_of(rows_of(lake, ACA_CENT, path), ACA_CENT, path)
    assert set(rows(lake, ACA_CENT).column("counts").to_pylist()) == set(range(160))


# --- status -----------------------------------------------------------------------------------------------------------


def plain_status(time: NDArray[Any], sampled: NDArray[Any], status: NDArray[Any]) -> list[int]:
    """The worst status of the samples within 1.025 s, both ends included; 0 where there are none."""
    return [
        max([int(s) for at, s in zip(sampled, status, strict=True) if at - 1.025 <= t <= at + 1.025], default=0)
        for t in time
    ]


def test_the_status_of_each_solution_is_the_worst_of_the_samples_about_it(flight: Path, flight_lake: Path) -> None:
    for path in paths_of(flight, "asol"):
        quality = fits.getdata(path.with_name(path.name.replace("asol", "aqual")), 1)
        time = fits.getdata(path, 1)["time"]
        # Those near a bad sample, so that the plain definition need not look at all.
        expected = np.zeros(len(time), int)
        bad = quality[quality["asp_sol_status"] != 0]
        assert len(bad)
        near = (time > bad["time"][0] - 5) & (time < bad["time"][-1] + 5)
        expected[near] = plain_status(time[near], bad["time"], bad["asp_sol_status"])
        found = rows_of(flight_lake, ASP_SOL, path).column("asp_sol_status").to_pylist()
        assert found == expected.tolist()
        assert 0 < sum(found) < len(found)


def test_the_ends_of_1_025_s_are_included(top: Path, lake: Path) -> None:
    bad = NOON + 20
    ends = [bad - 1.025, bad + 1.025]
    time = np.array([np.nextafter(ends[0], 0), *ends, np.nextafter(ends[1], 1e10)])
    put(top, "asol", columns_of("asol", 0.0, rows=4) | {"time": time})
    status = np.zeros(40, np.int32)
    status[20] = 3
    put(top, "aqual", columns_of("aqual", NOON) | {"asp_sol_status": status})
    take(release(top), lake)
    assert rows(lake, ASP_SOL).column("asp_sol_status").to_pylist() == [0, 3, 3, 0]


def test_without_its_quality_a_status_is_null_until_it_arrives(top: Path, lake: Path) -> None:
    observe(top, 20100, 1, NOON)
    quality = observe(top, 20200, 1, NOON + 100)["aqual"]
    content = quality.read_bytes()
    quality.unlink()
    take(release(top), lake)

    def by_obsid() -> dict[int, set[int | None]]:
        found: dict[int, set[int | None]] = {}
        for row in rows(lake, ASP_SOL).to_pylist():
            found.setdefault(row["obsid"], set()).add(row["asp_sol_status"])
        return found

    assert by_obsid() == {20100: {0}, 20200: {None}}
    quality.write_bytes(content)
    report = take(top, lake)
    assert (report.taken, report.replaced) == ([f"20200_v01/{quality.name}"], [])
    assert by_obsid() == {20100: {0}, 20200: {0}}


def test_a_quality_belongs_to_its_own_interval_and_revision(top: Path, lake: Path) -> None:
    for revision in (1, 2):
        for number in (0, 1):
            start = NOON + 100 * number
            observe(top, 20100, revision, start, kinds=["asol"])
            bad = np.full(40, 10 * revision + number, np.int32)
            put(top, "aqual", columns_of("aqual", start) | {"asp_sol_status": bad}, revision=revision, start=start)
    take(release(top), lake)
    found = {
        (row["revision"], row["time"] >= NOON + 100, row["asp_sol_status"]) for row in rows(lake, ASP_SOL).to_pylist()
    }
    assert found == {(1, False, 10), (1, True, 11), (2, False, 20), (2, True, 21)}


offsets = st.sampled_from([0.0, 0.025, 1.025, -1.025, math.nextafter(1.025, 9), math.nextafter(1.025, 0)])


@settings(max_examples=200, deadline=None)
@given(
    time=st.lists(st.builds(lambda n, by: n / 4 + by, st.integers(0, 60), offsets), max_size=40).map(sorted),
    samples=st.dictionaries(st.integers(0, 60), st.integers(0, 4), max_size=30),
    origin=st.sampled_from([0.0, NOON]),
)
def test_status_of_is_the_plain_definition(time: list[float], samples: dict[int, int], origin: float) -> None:
    solutions = origin + np.array(time, float)
    sampled = origin + np.array(sorted(samples), float) / 4
    status = np.array([samples[n] for n in sorted(samples)], np.int64)
    found = status_of(solutions, sampled, status)
    assert found.dtype == np.int64
    assert found.tolist() == plain_status(solutions, sampled, status)


def test_a_negative_status_is_not_good() -> None:
    assert status_of(np.array([0.0, 1.5, 2]), np.array([0.0, 2]), np.array([-1, 0])).tolist() == [-1, 0, 0]


# --- asp_l1_file ------------------------------------------------------------------------------------------------------


def test_each_file_has_a_row_that_says_what_and_where_it_is(flight: Path, flight_lake: Path) -> None:
    found = file_rows(flight_lake)
    top = flight / "data/mica/archive/asp1"
    paths = sorted(top.glob("*/*_v*/*.fits.gz"))
    assert sorted(found) == sorted(f"{path.parent.name}/{path.name}" for path in paths)
    defaults = {20000: 1, 20001: 2, 20002: 3, 20003: None}
    lasts = {20000: 2, 20001: 2, 20002: 3, 20003: 1}
    links = {"20000_v01": "20000", "20000_v02": "20000_last", "20001_v02": "20001", "20002_v03": "20002"}
    links |= {"20003_v01": "20003_last"}
    for path in paths:
        header = fits.getheader(path, 1)
        obsid, revision = int(header["OBS_ID"]), header["REVISION"]
        row = dict(found[f"{path.parent.name}/{path.name}"])
        text, misalign = row.pop("header"), [row.pop(f"{name}_misalign") for name in ("aca", "fts")]
        assert row == {
            "obsid": obsid,
            "revision": revision,
            "isdefault": revision == defaults[obsid],
            "islast": revision == lasts[obsid],
            "content": header["CONTENT"],
            "filename": path.name,
            "directory": str(path.parent),
            "link": str(path.parent.parent / links[path.parent.name]),
            "interval": path.name.split("_")[0],
            "tstart": header["TSTART"],
            "tstop": header["TSTOP"],
            "rows": header["NAXIS2"],
            "checksum": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        assert (text is not None) == (header["CONTENT"] == "ASPSOL")
        if text is not None:
            assert cards(fits.Header.fromstring(text, sep="\n")) == cards(header)
        if header["CONTENT"] == "ACACAL":
            data = fits.getdata(path, 1)
            assert misalign == [data[f"{name}_misalign"].ravel().tolist() for name in ("aca", "fts")]
        else:
            assert misalign == [None, None]


def test_a_year_has_the_files_that_start_in_it(flight_lake: Path) -> None:
    found = {}
    for path in sorted((flight_lake / "asp_l1_file").rglob("data.parquet")):
        table = pq.read_table(path, partitioning=None)
        assert table.column("tstart").to_pylist() == sorted(table.column("tstart").to_pylist())
        found[path.parent.name] = set(table.column("tstart").to_numpy() < LEAP)
    assert found == {"year=2016": {True}, "year=2017": {False}}


def test_files_of_other_names_are_left_alone(top: Path, lake: Path) -> None:
    path = observe(top)["asol"]
    for name in ("axaff20100_000N001_obs0a.par.gz", "notes.txt", ".hidden.fits"):
        (path.parent / name).write_bytes(b"something")
    (path.parent / "plots").mkdir()
    report = take(release(top), lake)
    assert (report.exit_code, len(report.taken)) == (0, 6)
    assert len(file_rows(lake)) == 6
    assert [found.filename for found in discover(top)[1]] == sorted(p.name for p in path.parent.glob("*1.fits.gz"))


def test_what_looks_like_a_product_or_is_in_the_index_and_is_not_named_like_one_is_set_aside(
    top: Path, lake: Path
) -> None:
    folder = observe(top)["asol"].parent
    names = ["pcadf545400000N001_asol1.fits.md5", "pcad.old", "asol1.fits", "other.dat"]
    for name in names:
        (folder / name).write_bytes(b"something")
    release(top)
    with closing(sqlite3.connect(top / "archfiles.db3")) as database, database:
        database.execute("ALTER TABLE archfiles ADD COLUMN filename text")
        database.execute("INSERT INTO archfiles (filename, obsid, revision) VALUES ('other.dat', 20100, NULL)")
    report = take(top, lake)
    reason = "its name is not pcad[f]<seconds or obsid_obi>N<revision>_<kind>.fits[.gz]"
    assert report.set_aside == {f"{folder.name}/{name}": reason for name in names}
    assert len(report.taken) == 6


def test_the_solution_of_a_whole_obi_is_listed_where_it_is_asked_for(top: Path, lake: Path) -> None:
    asol = observe(top)["asol"]
    whole = put(top, "asol", name="pcadf20100_000N001_asol1.fits.gz", CONTENT="ASPSOLOBI")
    assert take(release(top), lake).exit_code == 0
    assert facade.get_files(20100, content="ASPSOLOBI", data_root=lake) == [str(whole)]
    assert facade.get_files(20100, content="ASPSOL", data_root=lake) == [str(asol)]
    assert str(whole) not in facade.get_files(20100, data_root=lake)
    assert len(facade.get_files(20100, data_root=lake)) == 6
    # It is no other solution of the same times.
    assert len(rows(lake, ASP_SOL)) == 40
    assert len(facade.get_atts(20100, filter=False, data_root=lake)[1]) == 40


def test_the_same_product_gzipped_and_not_has_its_rows_once(top: Path, lake: Path) -> None:
    path = put(top, "asol")
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    take(release(top), lake)
    assert len(rows(lake, ASP_SOL)) == 40


def test_a_product_of_another_kind_is_listed_whatever_its_columns(top: Path, lake: Path) -> None:
    put(top, "gspr", {"X": np.arange(7, dtype=np.int16)}, name="pcadf545400000N001_aipr1.fits.gz", CONTENT="AIPROPS")
    assert take(release(top), lake).exit_code == 0
    ((name, row),) = file_rows(lake).items()
    assert (name, row["content"], row["rows"]) == ("20100_v01/pcadf545400000N001_aipr1.fits.gz", "AIPROPS", 7)


# --- the same lake, whatever the way ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive by hand: two revisions across midnight, two intervals, neighbours on both days, another year."""
    top = tmp_path_factory.mktemp("small") / "asp1"
    for revision in (1, 2):
        observe(top, 20100, revision, MIDNIGHT - 20)
    observe(top, 20200, 1, MIDNIGHT + 100)
    observe(top, 20200, 1, MIDNIGHT + 200)
    observe(top, 20300, 3, MIDNIGHT - 300, newer=True)
    observe(top, 20400, 1, LEAP - 20)
    return release(top, o20100=2)


@pytest.fixture(scope="module")
def small_lake(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of it, not to be changed."""
    lake = tmp_path_factory.mktemp("small_lake") / "lake"
    report = ingest(small, lake, jobs=1)
    assert (report.exit_code, len(report.taken), report.rows) == (0, 36, 6 * (40 + 40 + 1 + 160 + 3 + 3))
    assert (report.replaced, report.unchanged, report.partitions) == ([], 0, len(partitions(lake)))
    return lake


def test_a_second_run_changes_nothing_on_the_disk(small: Path, lake: Path) -> None:
    take(small, lake)
    before = state(lake)
    report = take(small, lake)
    assert state(lake) == before
    assert (report.unchanged, report.taken, report.partitions, report.rows, report.exit_code) == (36, [], 0, 0, 0)


def test_files_with_new_dates_and_the_old_content_change_no_partition(small: Path, lake: Path, tmp_path: Path) -> None:
    top = shutil.copytree(small, tmp_path / "asp1", symlinks=True)
    take(top, lake)
    before = partitions(lake)
    for path in top.glob("*/*_v*/*"):
        os.utime(path)
    report = take(top, lake)
    assert (report.unchanged, report.taken, report.partitions) == (36, [], 0)
    assert partitions(lake) == before
    after = state(lake)
    take(top, lake)
    assert state(lake) == after


def test_the_root_and_the_folder_are_the_same_source(flight: Path, flight_lake: Path, lake: Path) -> None:
    take(flight / "data/mica/archive/asp1", lake)
    assert partitions(lake) == partitions(flight_lake)
    assert statuses(lake) == statuses(flight_lake)


def test_two_processes_give_the_same_lake(small: Path, small_lake: Path, lake: Path) -> None:
    ingest(small, lake, jobs=2)
    assert partitions(lake) == partitions(small_lake)
    assert statuses(lake) == statuses(small_lake)


@pytest.mark.parametrize("order", ["forwards", "in reverse", "file by file"])
def test_any_order_of_arrival_gives_the_same_lake(order: str, small: Path, tmp_path: Path) -> None:
    # Always in the same place, for a lake tells where a file is.
    top = tmp_path / "asp1"
    shutil.copytree(small, top, symlinks=True)
    expected = tmp_path / "expected"
    take(top, expected)
    shutil.rmtree(top)
    folders = sorted(small.glob("*/*_v*"))
    units: list[list[Path]] = [sorted(folder.iterdir()) for folder in folders]
    if order == "in reverse":
        units = units[::-1]
    elif order == "file by file":
        paths = sorted(
            path for path in folders[0].parent.glob("20100_v0*/*") if re.search("asol|aqual|acen", path.name)
        )
        random.Random(4).shuffle(paths)
        units = [[path] for path in paths] + [sorted(set(small.glob("*/*_v*/*")) - set(paths))]
    lake = tmp_path / "lake"
    for unit in units:
        for path in unit:
            copy = top / path.relative_to(small)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        present = (top / "20" / "20100_v02").is_dir()
        take(release(top, **({"o20100": 2} if present else {})), lake)
    assert len(partitions(expected)) > 5
    assert partitions(lake) == partitions(expected)
    assert statuses(lake) == statuses(expected)


@pytest.mark.parametrize("with_the_old", [True, False], ids=["with the old catalog", "without"])
def test_reindex_and_the_next_ingest_give_the_same_lake(
    with_the_old: bool, small: Path, small_lake: Path, tmp_path: Path
) -> None:
    lake = shutil.copytree(small_lake, tmp_path / "lake")
    before = answer(lake)
    if not with_the_old:
        shutil.rmtree(lake / "_catalog")
    assert rebuild(lake) == []
    assert answer(lake) == before
    report = take(small, lake)
    assert (report.partitions, report.taken, report.unchanged) == (0, [], 36)
    assert partitions(lake) == partitions(small_lake)
    assert statuses(lake) == statuses(small_lake)
    assert answer(lake) == before


def test_after_a_reindex_without_the_old_catalog_what_the_archive_has_no_more_stays(
    small: Path, small_lake: Path, tmp_path: Path
) -> None:
    top = shutil.copytree(small, tmp_path / "asp1", symlinks=True)
    lake = tmp_path / "lake"
    take(top, lake)
    shutil.rmtree(top / "20" / "20300_v03")
    (top / "20" / "20300").unlink()
    take(release(top, o20100=2), lake)
    before = answer(lake)
    assert 20300 in before["asp_sol"].column("obsid").to_pylist()
    shutil.rmtree(lake / "_catalog")
    rebuild(lake)
    take(top, lake)
    assert answer(lake) == before


def lose(lake: Path, path: Path, damage: Callable[[Path], object]) -> None:
    """Damage a partition and what it is linked to, and derive the catalog of what is left."""
    pinned = [p for p in (lake / "_catalog" / "pinned").rglob("*.parquet") if p.samefile(path)]
    for link in (path, *pinned):
        damage(link)
    rebuild(lake)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("asp_l1_file/year=2015/data.parquet", Path.unlink),
        ("asp_sol/year=2015/doy=100/data.parquet", lambda path: path.write_bytes(b"PAR1")),
        ("asp_sol/year=2015/doy=101/data.parquet", Path.unlink),
        ("aca_cent/year=2015/doy=101/data.parquet", lambda path: os.truncate(path, 5000)),
    ],
)
def test_a_partition_lost_or_damaged_is_brought_back(
    name: str, damage: Callable[[Path], object], small: Path, small_lake: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    take(small, lake)
    lose(lake, lake / name, damage)
    lost = answer(lake)
    assert lost != answer(small_lake)
    report = take(small, lake)
    assert (report.partitions, report.taken, report.exit_code) == (1, [], 0)
    assert partitions(lake) == partitions(small_lake)
    assert statuses(lake) == statuses(small_lake)
    assert answer(lake) == answer(small_lake)


def test_a_dry_run_leaves_the_lake_alone(small: Path, lake: Path, tmp_path: Path) -> None:
    report = take(small, lake, dry_run=True)
    assert (report.dry_run, len(report.taken), report.partitions) == (True, 36, 0)
    assert not lake.exists()
    top = tmp_path / "asp1"
    observe(top)
    take(release(top), lake)
    before = state(lake)
    new = observe(top, 20200, 1, NOON + 100)["asol"]
    new.write_bytes(b"")
    report = take(release(top), lake, dry_run=True)
    assert (len(report.taken), report.unchanged) == (5, 6)
    assert report.set_aside == {f"20200_v01/{new.name}": "the file is empty"}
    assert state(lake) == before


def test_another_product_leaves_this_one_alone_and_this_one_it(small: Path, small_lake: Path, tmp_path: Path) -> None:
    write_file(tmp_path, 3, readouts(3, 8, times(NOON, NOON + 60, 8)))
    lake = tmp_path / "lake"
    aca_l0.ingest([tmp_path], lake, jobs=1)
    take(small, lake)
    one = {path.relative_to(lake): path.read_bytes() for path in lake.glob("aca_l0/**/data.parquet")}
    assert partitions(lake) == partitions(small_lake)
    assert {row["product"] for row in read_table(lake, "source_file").to_pylist()} == {"aca_l0", "asp_l1_file"}
    before = state(lake)
    aca_l0.ingest([tmp_path], lake, jobs=1)
    take(small, lake)
    assert state(lake) == before
    write_file(tmp_path, 4, readouts(4, 8, times(NOON, NOON + 60, 8)))
    aca_l0.ingest([tmp_path], lake, jobs=1)
    assert partitions(lake) == partitions(small_lake)
    assert answer(lake) == answer(small_lake)
    two = {path.relative_to(lake): path.read_bytes() for path in lake.glob("aca_l0/**/data.parquet")}
    assert (len(one), len(two)) == (1, 2)


def test_a_source_that_is_not_there_is_named(tmp_path: Path, lake: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        take(tmp_path / "nowhere", lake)
    (tmp_path / "ska/data/mica/archive").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="asp1: there is no such folder"):
        take(tmp_path / "ska", lake)
    assert not lake.exists()


def test_an_archive_without_observations_makes_a_lake_without_rows(top: Path, lake: Path) -> None:
    top.mkdir()
    assert take(release(top), lake).exit_code == 0
    assert answer(lake) == NO_ROWS
    assert facade.get_obs_dirs(1, data_root=lake) is None


# Makes the lake of one observation anew for each n, lets a child take the archive and die before its n-th step on disk.
DIE = """
import os, shutil, sys
from pathlib import Path
from mica_lake.ingest.asp_l1 import ingest

folder, top = map(Path, sys.argv[1:])
die_before_each_step(
    [(Path, "replace"), (os, "link"), (Path, "unlink"), (Path, "touch")],
    lambda n: shutil.copytree(folder / "before", folder / str(n)),
    lambda n: ingest(top, folder / str(n), jobs=1),
    range(200),
    # Those of the empty tables in a generation are all alike.
    lambda path: "no_rows" not in str(path),
)
"""


@pytest.mark.soak
def test_killed_anywhere_a_lake_answers_as_before_or_after_and_the_next_ingest_mends_it(
    top: Path, tmp_path: Path, deaths: Callable[..., int]
) -> None:
    some = ["asol", "aqual"]
    observe(top, kinds=some)
    take(release(top), tmp_path / "before")
    # A new revision that becomes the default, a corrected file, and a new one.
    observe(top, 20100, 2, kinds=some)
    put(top, "asol", seed=7)
    put(top, "acal")
    release(top, o20100=2)
    after = shutil.copytree(tmp_path / "before", tmp_path / "after")
    take(top, after)
    answers = [answer(tmp_path / "before"), answer(after)]
    assert answers[0] != answers[1]
    count = deaths(DIE, tmp_path, top)
    assert count > 10
    seen = []
    for n in range(count):
        killed = tmp_path / str(n)
        seen.append(answers.index(answer(killed)))
        take(top, killed)
        assert partitions(killed) == partitions(after), n
        assert statuses(killed) == statuses(after), n
        assert answer(killed) == answers[1], n
    assert seen == sorted(seen)


# --- what changes in an archive ---------------------------------------------------------------------------------------


def revisions_of(lake: Path, table: str = "asp_sol", *, default: bool = True) -> dict[int, list[int]]:
    """Revisions of the rows, those of the default or all, by observation."""
    found: dict[int, set[int]] = {}
    for row in answer(lake)[table].select(["obsid", "revision", "isdefault"]).to_pylist():
        if row["isdefault"] or not default:
            found.setdefault(row["obsid"], set()).add(row["revision"])
    return {obsid: sorted(revisions) for obsid, revisions in sorted(found.items())}


def same_as_anew(top: Path, lake: Path) -> None:
    """The lake is what an ingest of the archive into a new one makes."""
    anew = lake.with_name("anew")
    shutil.rmtree(anew, ignore_errors=True)
    take(top, anew)
    assert partitions(lake) == partitions(anew)
    assert statuses(lake) == statuses(anew)
    assert answer(lake) == answer(anew)


def test_a_new_revision_that_is_not_the_default_comes_beside_the_old_one(top: Path, lake: Path) -> None:
    observe(top, 20100, 1, MIDNIGHT - 20)
    take(release(top), lake)
    old = answer(lake)
    new = observe(top, 20100, 2, MIDNIGHT - 20)
    report = take(release(top), lake)
    assert (sorted(report.taken), report.replaced, report.unchanged) == (
        sorted(f"20100_v02/{path.name}" for path in new.values()), [], 6,
    )  # fmt: skip
    assert revisions_of(lake) == revisions_of(lake, "aca_cent") == {20100: [1]}
    assert revisions_of(lake, default=False) == {20100: [1, 2]}
    assert revisions_of(lake, "aca_cent", default=False) == {20100: [1, 2]}
    islast = {(row["revision"], row["islast"]) for row in file_rows(lake).values()}
    assert islast == {(1, False), (2, True)}
    now = answer(lake)["asp_sol"]
    assert now.filter(now.column("isdefault")) == old["asp_sol"]
    same_as_anew(top, lake)


def test_another_default_is_the_default_of_every_row(top: Path, lake: Path) -> None:
    for revision in (1, 2):
        observe(top, 20100, revision, MIDNIGHT - 20)
    observe(top, 20200, 1, MIDNIGHT + 7200)
    observe(top, 20200, 1, MIDNIGHT + 90000)
    take(release(top), lake)
    before = partitions(lake)
    assert revisions_of(lake) == {20100: [1], 20200: [1]}
    report = take(release(top, o20100=2), lake)
    assert (report.taken, report.unchanged) == ([], 24)
    assert revisions_of(lake) == revisions_of(lake, "aca_cent") == {20100: [2], 20200: [1]}
    assert {(row["revision"], row["isdefault"], row["islast"], row["link"])
            for row in file_rows(lake).values() if row["obsid"] == 20100} == {
        (1, False, False, None), (2, True, True, str(top / "20/20100")),
    }  # fmt: skip
    same_as_anew(top, lake)
    after = partitions(lake)
    # The third day has nothing of it.
    assert {path for path in after if after[path] == before[path]} == {
        "asp_sol/year=2015/doy=102/data.parquet", "aca_cent/year=2015/doy=102/data.parquet",
    }  # fmt: skip
    take(release(top, o20100=None), lake)
    assert revisions_of(lake) == revisions_of(lake, "aca_cent") == {20200: [1]}
    assert facade.get_dir(20100, data_root=lake) is None
    same_as_anew(top, lake)
    take(release(top), lake)
    assert partitions(lake) == before


def test_a_link_that_was_removed_is_not_told_any_more(top: Path, lake: Path) -> None:
    for revision in (1, 2):
        observe(top, 20100, revision)
    take(release(top), lake)
    days = partitions(lake, "asp_sol")
    assert facade.get_obs_dirs(20100, data_root=lake) == {
        1: str(top / "20/20100_v01"), 2: str(top / "20/20100_v02"), "default": str(top / "20/20100"),
        "last": str(top / "20/20100_last"), "revisions": [1, 2],
    }  # fmt: skip
    (top / "20/20100").unlink()
    (top / "20/20100_last").unlink()
    assert take(top, lake).exit_code == 0
    # The database still has the default; without a link to another one it is the last.
    assert facade.get_obs_dirs(20100, data_root=lake) == {
        1: str(top / "20/20100_v01"), 2: str(top / "20/20100_v02"), "default": str(top / "20/20100_v01"),
        "last": str(top / "20/20100_v01"), "revisions": [1, 2],
    }  # fmt: skip
    assert partitions(lake, "asp_sol") == days
    same_as_anew(top, lake)


def test_an_archive_that_was_moved_is_where_it_is_now(small: Path, lake: Path, tmp_path: Path) -> None:
    top = shutil.copytree(small, tmp_path / "old", symlinks=True)
    take(top, lake)
    days = partitions(lake, "asp_sol") | partitions(lake, "aca_cent")
    top = top.rename(tmp_path / "new")
    report = take(top, lake)
    assert (report.taken, report.set_aside, report.unchanged) == ([], {}, 36)
    assert {row["directory"] for row in file_rows(lake).values()} == {str(path) for path in top.glob("*/*_v*")}
    assert {Path(str(row["link"])).parent.parent for row in file_rows(lake).values() if row["link"]} == {top}
    assert all(Path(path).exists() for path in facade.get_files(20100, revision="all", data_root=lake))
    assert {Path(row["directory"]).parent.parent for row in read_table(lake, "source_file").to_pylist()} == {top}
    assert partitions(lake, "asp_sol") | partitions(lake, "aca_cent") == days
    same_as_anew(top, lake)


def test_a_corrected_file_takes_the_place_of_the_one_before(small: Path, lake: Path, tmp_path: Path) -> None:
    top = shutil.copytree(small, tmp_path / "asp1", symlinks=True)
    take(top, lake)
    before = partitions(lake)
    path = put(top, "asol", obsid=20100, revision=2, start=MIDNIGHT - 20, rows=30, seed=9)
    report = take(top, lake)
    name = f"20100_v02/{path.name}"
    assert (report.taken, report.replaced, report.unchanged, report.rows) == ([name], [name], 35, 30)
    assert_rows_are_those_of(rows_of(lake, ASP_SOL, path), ASP_SOL, path)
    assert file_rows(lake)[name]["rows"] == 30
    after = partitions(lake)
    assert {path for path in before if before[path] != after[path]} == {
        "asp_l1_file/year=2015/data.parquet", "asp_sol/year=2015/doy=100/data.parquet",
        "asp_sol/year=2015/doy=101/data.parquet",
    }  # fmt: skip
    same_as_anew(top, lake)


@pytest.mark.parametrize("kind", ["acen", "acal", "gspr", "aqual"])
def test_a_corrected_file_of_any_kind_leads_to_the_lake_of_now(kind: str, top: Path, lake: Path) -> None:
    observe(top, start=MIDNIGHT - 20)
    take(release(top), lake)
    before = answer(lake)
    columns = columns_of(kind, MIDNIGHT - 20, rows=30, seed=9)
    if kind == "aqual":
        columns["asp_sol_status"][3:] = 2
    put(top, kind, columns, start=MIDNIGHT - 20, MORE="corrected")
    assert len(take(top, lake).replaced) == 1
    changed = {name for name, table in answer(lake).items() if table != before[name]}
    assert changed == {"asp_l1_file"} | {"acen": {"aca_cent"}, "aqual": {"asp_sol"}}.get(kind, set())
    same_as_anew(top, lake)


def test_a_corrected_file_that_lies_on_another_day_leaves_the_old_one(top: Path, lake: Path) -> None:
    observe(top, 20100, 1, NOON)
    take(release(top), lake)
    assert sorted(path.split("/")[2] for path in partitions(lake, "asp_sol")) == ["doy=100"]
    name = f"pcadf{int(NOON):09d}N001_asol1.fits.gz"
    put(top, "asol", obsid=20100, start=NOON + 86400, name=name)
    take(top, lake)
    assert sorted(path.split("/")[2] for path in partitions(lake, "asp_sol")) == ["doy=101"]
    same_as_anew(top, lake)


def test_a_revision_or_an_observation_that_has_gone_stays_in_the_lake(top: Path, lake: Path) -> None:
    for revision in (1, 2):
        observe(top, 20100, revision, MIDNIGHT - 20)
    observe(top, 20200, 1, MIDNIGHT + 100)
    take(release(top), lake)
    before = answer(lake)
    shutil.rmtree(top / "20/20200_v01")
    (top / "20/20200").unlink()
    report = take(release(top), lake)
    assert (report.exit_code, report.partitions) == (0, 0)
    assert answer(lake) == before
    shutil.rmtree(top / "20/20100_v01")
    take(release(top), lake)
    assert revisions_of(lake) == {20100: [2], 20200: [1]}
    assert revisions_of(lake, default=False) == {20100: [1, 2], 20200: [1]}
    old = {(row["isdefault"], row["islast"], row["link"]) for row in file_rows(lake).values() if row["revision"] == 1
           and row["obsid"] == 20100}  # fmt: skip
    assert old == {(False, False, None)}
    assert len(answer(lake)["asp_sol"]) == len(before["asp_sol"])
    after = state(lake)
    take(top, lake)
    assert state(lake) == after


# --- bad input --------------------------------------------------------------------------------------------------------


def without(kind: str, name: str) -> dict[str, Any]:
    columns = columns_of(kind, NOON)
    del columns[name]
    return {"columns": columns}


def altered(kind: str, name: str, values: object, at: Any = ..., **options: Any) -> dict[str, Any]:
    columns = columns_of(kind, NOON)
    columns[name][at] = values
    return {"columns": columns, **options}


def other(kind: str, **columns: Any) -> dict[str, Any]:
    return {"columns": columns_of(kind, NOON) | columns}


def cut(content: bytes) -> bytes:
    packed = gzip.compress(content)
    return packed[: len(packed) // 2]


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "truncated gzip": ("asol", {"change": cut}, "the gzip data are truncated"),
    "truncated gzip of a list": ("gspr", {"change": cut}, "the gzip data are truncated"),
    "rows cut off": ("asol", {"change": lambda content: content[:-2880]}, "it is truncated: it should have 40 rows"),
    "rows cut off and zipped": ("acen", {"change": lambda content: gzip.compress(content[:-2880])}, "it is truncated"),
    "no FITS": ("asol", {"change": lambda content: b"<html>"}, "it is not a FITS file"),
    "empty": ("aqual", {"change": lambda content: b""}, "the file is empty"),
    "no table": ("acal", {"change": lambda content: content[:2880]}, "its first extension is not a binary table"),
    "no CONTENT": ("asol", {"CONTENT": None}, "its header has no CONTENT: None"),
    "blank CONTENT": ("asol", {"CONTENT": "  "}, "its header has no CONTENT: ''"),
    "CONTENT a number": ("asol", {"CONTENT": 3}, "its header has no CONTENT: 3"),
    "no TSTART": ("gspr", {"TSTART": None}, "its header has no TSTART, TSTOP or REVISION.*TSTART"),
    "no TSTOP": ("asol", {"TSTOP": None}, "its header has no TSTART, TSTOP or REVISION.*TSTOP"),
    "no REVISION": ("asol", {"REVISION": None}, "its header has no TSTART, TSTOP or REVISION.*REVISION"),
    "REVISION a text": ("asol", {"REVISION": "one"}, "its header has no TSTART, TSTOP or REVISION.*one"),
    "TSTART a text": ("asol", {"TSTART": "noon"}, "its header has no TSTART, TSTOP or REVISION.*noon"),
    "stop before start": ("fidpr", {"TSTOP": NOON - 1}, "its header has no interval: TSTART"),
    "start at zero": ("fidpr", {"TSTART": 0.0}, "its header has no interval: TSTART 0.0"),
    "two weeks": ("fidpr", {"TSTOP": NOON + 14 * 86400}, "its header has no interval"),
    "far in the future": ("fidpr", {"TSTART": 6.3e9, "TSTOP": 6.3e9 + 100}, "its header has no interval"),
    "another revision": ("asol", {"REVISION": 2}, "its folder contradicts its header: REVISION is 2"),
    "another revision of a list": ("gspr", {"REVISION": 2}, "its folder contradicts its header: REVISION is 2"),
    "another observation": ("asol", {"OBS_ID": "20101"}, "its folder contradicts its header: OBS_ID is '20101'"),
    "no time": ("asol", without("asol", "time"), "column time is missing"),
    "no ra": ("asol", without("asol", "ra"), "column ra is missing"),
    "no q_att": ("asol", without("asol", "q_att"), "column q_att is missing"),
    "no counts": ("acen", without("acen", "counts"), "column counts is missing"),
    "no status": ("aqual", without("aqual", "asp_sol_status"), "column asp_sol_status is missing"),
    "no times of quality": ("aqual", without("aqual", "time"), "column time is missing"),
    "no misalignment": ("acal", without("acal", "aca_misalign"), "column aca_misalign is missing"),
    "no misalignment of the fids": ("acal", without("acal", "fts_misalign"), "column fts_misalign is missing"),
    "q_att of three": ("asol", other("asol", q_att=np.zeros((40, 3))), r"column q_att has \(3,\) values a row"),
    "q_att of one": ("asol", other("asol", q_att=np.zeros(40)), r"column q_att has \(\) values a row, not four"),
    "q_att of 2x2": ("asol", other("asol", q_att=np.zeros((40, 2, 2))), r"column q_att has \(2, 2\) values a row"),
    "q_att_raw of five": ("asol", other("asol", q_att_raw=np.zeros((40, 5))), "column q_att_raw has"),
    "ra of two": ("asol", other("asol", ra=np.zeros((40, 2))), r"column ra has \(2,\) values a row, not one"),
    "time of two": ("asol", other("asol", time=np.full((40, 2), NOON)), r"column time has \(2,\) values a row"),
    "ra a text": ("asol", other("asol", ra=np.array([b"1"] * 40)), "column ra holds no numbers"),
    "slot too large": ("acen", altered("acen", "slot", 300, 7), "column slot: .*300"),
    "slot no integer": ("acen", other("acen", slot=np.full(160, 2.5)), "column slot: .*2.5"),
    "alg too large": ("acen", altered("acen", "alg", 40000, 7), "column alg: .*40000"),
    "time NaN": ("asol", altered("asol", "time", np.nan, 7), "time nan in row 7 is outside TSTART"),
    "time infinite": ("asol", altered("asol", "time", np.inf, 39), "time inf in row 39 is outside TSTART"),
    "time of centroids NaN": ("acen", altered("acen", "time", np.nan, 100), "time nan in row 100 is outside TSTART"),
    "time 0": ("acen", altered("acen", "time", 0.0, 0), "time 0.0 in row 0 is outside TSTART"),
    "time too early": ("asol", altered("asol", "time", NOON - 10.01, 0), "in row 0 is outside TSTART"),
    "time too late": ("acen", altered("acen", "time", NOON + 50.01, 159), "in row 159 is outside TSTART"),
    "time back": ("asol", altered("asol", "time", NOON + 5.5, 7), "in row 7 is not after that before it"),
    "time twice": ("asol", altered("asol", "time", NOON + 6.0, 7), "in row 7 is not after that before it"),
    "quality back": ("aqual", altered("aqual", "time", NOON + 5.5, 7), "its times are not ascending"),
    "quality twice": ("aqual", altered("aqual", "time", NOON + 6, 7), "its times are not ascending"),
    "quality NaN": ("aqual", altered("aqual", "time", np.nan, 39), "its times are not ascending"),
    "matrix with NaN": ("acal", altered("acal", "aca_misalign", np.nan, (0, 1, 1)), "aca_misalign is no finite 3x3"),
    "matrix infinite": ("acal", altered("acal", "fts_misalign", np.inf, (0, 0, 2)), "fts_misalign is no finite 3x3"),
    "matrix flat": ("acal", other("acal", aca_misalign=np.eye(3).reshape(1, 9)), r"its shape is \(9,\)"),
    "two matrices": ("acal", other("acal", aca_misalign=np.array([np.eye(3)] * 2), fts_misalign=np.ones((2, 3, 3))),
                     "column aca_misalign is no finite 3x3"),
    "matrix of text": ("acal", other("acal", aca_misalign=np.array([b"abc"])), "column aca_misalign holds no numbers"),
}  # fmt: skip


@pytest.fixture(scope="module")
def with_bad_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report, dict[str, Path]]:
    """An archive of an observation for each bad file, with a good one beside it; its lake, and what ingest said."""
    top = tmp_path_factory.mktemp("bad") / "asp1"
    paths = {}
    for obsid, (name, (kind, options, _)) in enumerate(BAD.items(), 21000):
        paths[name] = put(top, kind, obsid=obsid, **options)
        put(top, "acen" if kind == "asol" else "asol", obsid=obsid)
    lake = top.with_name("lake")
    return top, lake, take(release(top), lake), paths


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, (*_, reason) in BAD.items()], ids=BAD.keys())
def test_a_bad_file_is_set_aside_with_its_reason(
    name: str, reason: str, with_bad_files: tuple[Path, Path, Report, dict[str, Path]]
) -> None:
    _, _, report, paths = with_bad_files
    folder = paths[name].parent.name
    assert re.search(reason, report.set_aside[f"{folder}/{paths[name].name}"])


def test_beside_bad_files_the_rest_goes_in(with_bad_files: tuple[Path, Path, Report, dict[str, Path]]) -> None:
    top, lake, report, paths = with_bad_files
    bad = {f"{path.parent.name}/{path.name}" for path in paths.values()}
    rest = {f"{path.parent.name}/{path.name}" for path in top.glob("*/*_v*/*")} - bad
    assert report.exit_code == 3
    assert set(report.set_aside) == bad
    assert set(report.taken) == set(file_rows(lake)) == rest
    assert len(rest) == len(BAD)
    told = read_table(lake, "source_file").to_pylist()
    assert {row["status"] for row in told} == {"current", "set aside"}
    aside = {
        f"{Path(row['directory']).name}/{row['filename']}": row["reason"] for row in told if row["status"] != "current"
    }
    assert aside == report.set_aside
    kinds = [kind for kind, *_ in BAD.values()]
    assert len(rows(lake, ASP_SOL)) == 40 * sum(kind != "asol" for kind in kinds)
    assert len(rows(lake, ACA_CENT)) == 160 * sum(kind == "asol" for kind in kinds)
    before = state(lake)
    again = take(top, lake)
    assert (again.set_aside, again.unchanged, again.exit_code) == (report.set_aside, len(BAD), 3)
    assert state(lake) == before


CRASHES = {
    "NAXIS2 a text": ("gspr", {"change": lambda c: card_of(c, b"NAXIS2", b"NAXIS2  = 'abc'")}, "NAXIS2"),
    "REVISION infinite": ("gspr", {"change": lambda c: card_of(c, b"REVISION", b"REVISION=              1.0E999")}, ""),
    "NAXIS2 beyond 64 bits": (
        "gspr", {"change": lambda c: card_of(c, b"NAXIS2", b"NAXIS2  = 1" + b"0" * 30)}, "NAXIS2 is 1000",
    ),
    "NAXIS2 a fraction": (
        "gspr", {"change": lambda c: card_of(c, b"NAXIS2", b"NAXIS2  =                  1.5")}, "NAXIS2 is 1.5",
    ),
    "no rows of a list": ("gspr", {"change": lambda c: c[:-2880]}, "truncated"),
    "an offset beyond 64 bits": ("aqual", {"TZERO2": 9.9e99}, "asp_sol_status"),
    "status of two": ("aqual", other("aqual", asp_sol_status=np.ones((40, 2), np.int32)), "asp_sol_status"),
    "status of eight bytes": ("aqual", other("aqual", asp_sol_status=np.full(40, 2**40)), "asp_sol_status"),
    "times of quality of two": ("aqual", other("aqual", time=NOON + np.arange(80.0).reshape(40, 2)), "time"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "reason"), CRASHES.values(), ids=CRASHES.keys())
def test_a_file_that_is_bad_in_another_way_is_set_aside(
    kind: str, options: dict[str, Any], reason: str, top: Path, lake: Path
) -> None:
    paths = {k: put(top, k) for k in ("asol", "acen")}
    path = put(top, kind, **options)
    report = take(release(top), lake)
    assert reason in report.set_aside[f"20100_v01/{path.name}"]
    assert len(report.taken) == len(paths)


def test_a_blank_before_its_content_is_not_minded(top: Path, lake: Path) -> None:
    put(top, "acal")
    path = put(top, "asol", CONTENT=" ASPSOL")
    take(release(top), lake)
    assert_rows_are_those_of(rows_of(lake, ASP_SOL, path), ASP_SOL, path)
    assert cards(facade.get_atts(20100, filter=False, data_root=lake)[2][0]) == cards(fits.getheader(path, 1))


def test_what_is_good_to_the_last_is_taken(top: Path, lake: Path) -> None:
    columns = columns_of("asol", NOON)
    columns["time"][[0, 39]] = NOON - 10, NOON + 50
    put(top, "asol", columns)
    put(top, "gspr", OBS_ID="  020100 ")
    put(top, "fidpr", OBS_ID=None)
    put(top, "aqual", OBS_ID=20100)
    put(top, "acen", CONTENT="ACACENT  ")
    put(top, "acal", start=NOON, TSTOP=NOON + 10 * 86400 - 1)
    report = take(release(top), lake)
    assert (report.set_aside, len(report.taken)) == ({}, 6)
    assert (len(rows(lake, ASP_SOL)), len(rows(lake, ACA_CENT))) == (40, 160)


@pytest.mark.parametrize("kind", ["a folder", "a link to nowhere"])
def test_what_cannot_be_read_is_set_aside(kind: str, top: Path, lake: Path) -> None:
    path = observe(top)["asol"]
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    report = take(release(top), lake)
    reason = {
        "a folder": "it is a folder, not a file",
        "a link to nowhere": "it cannot be read: No such file or directory",
    }[kind]
    assert report.set_aside == {f"20100_v01/{path.name}": reason}
    assert len(report.taken) == 5


def test_a_revision_without_products_is_told(top: Path, lake: Path) -> None:
    observe(top, 20100, 1)
    (top / "20/20100_v02").mkdir()
    (top / "20/20100_v02/notes.txt").write_text("nothing")
    report = take(release(top), lake)
    assert report.set_aside == {"20/20100_v02": "it has no aspect products"}
    assert (report.exit_code, len(report.taken)) == (3, 6)
    assert facade.get_obs_dirs(20100, data_root=lake) is not None
    before = state(lake)
    assert take(top, lake).set_aside == report.set_aside
    assert state(lake) == before
    observe(top, 20100, 2)
    report = take(release(top), lake)
    assert (report.exit_code, len(report.taken)) == (0, 6)
    same_as_anew(top, lake)


def test_a_file_set_aside_is_not_read_again_until_it_changes(top: Path, lake: Path) -> None:
    path = observe(top)["asol"]
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    take(release(top), lake)
    date_of = path.stat().st_mtime_ns
    path.write_bytes(good)
    os.utime(path, ns=(date_of, date_of))
    assert take(top, lake).set_aside == {f"20100_v01/{path.name}": "it is not a FITS file"}
    os.utime(path, ns=(date_of + 1, date_of + 1))
    report = take(top, lake)
    assert (report.taken, report.exit_code) == ([f"20100_v01/{path.name}"], 0)
    assert_rows_are_those_of(rows_of(lake, ASP_SOL, path), ASP_SOL, path)
    same_as_anew(top, lake)


@pytest.mark.parametrize("how", ["damaged", "contradictory"])
def test_files_that_become_bad_leave_their_rows_where_they_are(how: str, top: Path, lake: Path) -> None:
    paths = observe(top, start=MIDNIGHT - 20)
    del paths["fidpr"]
    take(release(top), lake)
    before, good = answer(lake), {path: path.read_bytes() for path in paths.values()}
    partitions_before = partitions(lake)
    for kind, path in paths.items():
        if how == "damaged":
            path.write_bytes(good[path][:-30])
        else:
            put(top, kind, start=MIDNIGHT - 20, REVISION=4, rows=12)
    report = take(top, lake)
    assert report.exit_code == 3
    assert sorted(report.set_aside) == sorted(f"20100_v01/{path.name}" for path in good)
    assert answer(lake) == before
    assert partitions(lake) == partitions_before
    after = state(lake)
    take(top, lake)
    assert state(lake) == after
    for path, content in good.items():
        path.write_bytes(content)
    report = take(top, lake)
    assert (report.exit_code, report.taken, report.unchanged) == (0, [], 6)
    same_as_anew(top, lake)


@pytest.mark.parametrize(
    ("kinds", "gone"),
    [(["asol", "acen"], False), (["aqual"], False), (list(CONTENTS), True)],
    ids=["rows are damaged", "quality is damaged", "all have gone"],
)
def test_rows_of_a_file_that_became_bad_stay_while_a_neighbour_on_its_days_changes(
    kinds: list[str], gone: bool, top: Path, lake: Path
) -> None:
    for revision in (1, 2):
        paths = observe(top, 20100, revision, MIDNIGHT - 20)
    observe(top, 20200, 1, MIDNIGHT + 60)
    take(release(top, o20100=2), lake)
    for kind in kinds:
        if gone:
            paths[kind].unlink()
        else:
            paths[kind].write_bytes(paths[kind].read_bytes()[:-30])
    observe(top, 20200, 2, MIDNIGHT + 60)
    put(top, "asol", obsid=20200, start=MIDNIGHT + 60, seed=77)
    report = take(release(top, o20100=2, o20200=2), lake)
    expected = [f"20100_v02/{paths[kind].name}" for kind in kinds]
    if gone:
        expected = ["20/20100_v02"]
    assert sorted(report.set_aside) == sorted(expected)
    assert len(report.taken) == 7
    # The lake is what it would be had they stayed good.
    copies = lake.with_name("good")
    shutil.copytree(top, copies, symlinks=True)
    for kind in kinds:
        columns = columns_of(kind, MIDNIGHT - 20, seed=100 * 20100 + 2)
        (copies / paths[kind].relative_to(top)).unlink(missing_ok=True)
        put(copies, kind, columns, obsid=20100, revision=2, start=MIDNIGHT - 20)
    anew = lake.with_name("anew")
    take(copies, anew)
    for table in ("asp_sol", "aca_cent"):
        assert partitions(lake, table) == partitions(anew, table)
    assert revisions_of(lake) == {20100: [2], 20200: [2]}
    after = state(lake)
    take(top, lake)
    assert state(lake) == after


def test_rows_of_a_file_that_became_bad_follow_the_default(top: Path, lake: Path) -> None:
    for revision in (1, 2):
        paths = observe(top, 20100, revision, MIDNIGHT - 20)
    take(release(top), lake)
    for kind in ("asol", "acen"):
        paths[kind].write_bytes(b"")
    take(release(top, o20100=2), lake)
    assert revisions_of(lake) == revisions_of(lake, "aca_cent") == {20100: [2]}
    assert {row["isdefault"] for row in file_rows(lake).values() if row["revision"] == 2} == {True}
    assert len(rows(lake, ASP_SOL)) == 80


def lake_that_lost_centroids_of_a_bad_file(top: Path, lake: Path) -> str:
    """Have a lake without the centroids of two observations, those of one of which are damaged: give their name."""
    path = observe(top, 20100, 1)["acen"]
    observe(top, 20200, 1, NOON + 100)
    take(release(top), lake)
    lose(lake, next((lake / "aca_cent").rglob("data.parquet")), Path.unlink)
    path.write_bytes(b"")
    return f"20100_v01/{path.name}"


def test_rows_that_are_lost_and_whose_file_is_bad_are_told(top: Path, lake: Path) -> None:
    name = lake_that_lost_centroids_of_a_bad_file(top, lake)
    assert list(take(top, lake).set_aside) == [name]
    assert set(rows(lake, ACA_CENT).column("obsid").to_pylist()) == {20200}
    assert name not in file_rows(lake)
    take(top, lake)
    same_as_anew(top, lake)


def test_a_bad_file_whose_rows_are_lost_is_set_aside_once(top: Path, lake: Path) -> None:
    name = lake_that_lost_centroids_of_a_bad_file(top, lake)
    assert take(top, lake).set_aside == {name: "the file is empty"}
    assert [row["reason"] for row in read_table(lake, "source_file").to_pylist() if row["status"] == "set aside"] == [
        "the file is empty"
    ]
    before = state(lake)
    take(top, lake)
    assert state(lake) == before


@pytest.mark.parametrize("gone", [False, True], ids=["it is damaged", "it has gone"])
def test_a_solution_is_mended_while_its_quality_is_bad(gone: bool, top: Path, lake: Path) -> None:
    quality = observe(top)["aqual"]
    take(release(top), lake)
    if gone:
        quality.unlink()
    else:
        quality.write_bytes(quality.read_bytes()[:-30])
    take(top, lake)
    path = put(top, "asol", seed=5)
    take(top, lake)
    assert_rows_are_those_of(rows_of(lake, ASP_SOL, path), ASP_SOL, path)


def test_a_lost_day_whose_quality_is_bad_has_the_solution(top: Path, lake: Path) -> None:
    paths = observe(top)
    take(release(top), lake)
    lose(lake, next((lake / "asp_sol").rglob("data.parquet")), Path.unlink)
    paths["aqual"].write_bytes(paths["aqual"].read_bytes()[:-30])
    for _ in range(2):
        assert list(take(top, lake).set_aside) == [f"20100_v01/{paths['aqual'].name}"]
        assert_rows_are_those_of(rows_of(lake, ASP_SOL, paths["asol"]), ASP_SOL, paths["asol"])


def test_a_lost_day_of_a_bad_file_is_settled_by_one_ingest(top: Path, lake: Path) -> None:
    path = observe(top, start=MIDNIGHT - 20)["acen"]
    take(release(top), lake)
    lose(lake, lake / "aca_cent/year=2015/doy=100/data.parquet", Path.unlink)
    path.write_bytes(b"")
    take(top, lake)
    before = answer(lake)
    take(top, lake)
    assert answer(lake) == before


def test_two_observations_may_have_files_of_one_name(top: Path, lake: Path) -> None:
    paths = [observe(top, obsid)["acen"] for obsid in (20100, 20200)]
    take(release(top), lake)
    assert len(rows(lake, ACA_CENT)) == 320
    for path in paths:
        path.write_bytes(b"")
    observe(top, 20300, 1, NOON + 100)
    take(release(top), lake)
    assert len(rows(lake, ACA_CENT)) == 480


def test_a_file_that_changes_while_ingest_runs_stops_it(top: Path, tmp_path: Path) -> None:
    path = put(top, "asol")
    product = TimedFile(
        Found(str(path.parent), path.name), "0" * 64, Revision(20100, 1, str(path.parent)), NOON, NOON + 40, True
    )
    job = Day(tmp_path, ASP_SOL, date(2015, 4, 10), None, (product,))
    with pytest.raises(BadFile, match=r"asol1\.fits\.gz was changed while ingest was running; run it again"):
        build_day(job)
    assert list(tmp_path.iterdir()) == [top]
