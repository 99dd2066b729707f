"""Ingest of observation parameters: values kept exactly, any order of runs, bad files set aside, nothing read twice."""

import gzip
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mica_lake.catalog.generation import read_table
from mica_lake.catalog.reindex import rebuild, reindex
from mica_lake.ingest import aca_l0
from mica_lake.ingest.obspar import ingest
from mica_lake.ingest.report import Report
from mica_lake.lake import Lake
from mica_lake.simulate import obspar
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.simulate.observations import Observation, observations
from mica_lake.tables import TABLES
from mica_lake.tables.obspar import OBSPAR, OBSPAR_KV
from mica_lake.times import cxcsec

TOP = "data/mica/archive/obspar"
NOON = cxcsec("2015:100:12:00:00")
NEXT_YEAR = cxcsec("2016:100:12:00:00")


@pytest.fixture(scope="module", autouse=True)
def _the_power_does_not_fail() -> Iterator[None]:
    """Files are not flushed to the disk, which is slow and of no consequence here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def folder_of(ska: Path, obsid: int, revision: int = 1) -> Path:
    return ska / TOP / f"{obsid:05d}"[:2] / f"{obsid:05d}_v{revision:02d}"


def a_file(ska: Path, obsid: int, revision: int = 1, *more: str, start: float = NOON, name: str = "") -> Path:
    """A file of the least that an obspar must have, and more lines."""
    path = folder_of(ska, obsid, revision) / (name or f"axaff{obsid:05d}_000N{revision:03d}_obs0a.par")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'tstart,r,h,{start!r},,,"Start"', f'tstop,r,h,{start + 1000!r},,,"Stop"', *more]
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def listed(ska: Path, *observed: Observation) -> None:
    """Let the archive's database list these, which have no files if nobody writes them."""
    for path in (ska / TOP).rglob("*.db3"):
        path.unlink()
    obspar.write_archive(ska, observed)


def take(ska: Path, lake: Path, jobs: int = 1) -> Report:
    return ingest(ska, lake, jobs=jobs)


def partitions(lake: Path) -> dict[str, bytes]:
    """All partitions of both tables, byte for byte."""
    return {p.relative_to(lake).as_posix(): p.read_bytes() for p in lake.glob("obspar*/**/data.parquet")}


def state(lake: Path) -> dict[str, tuple[int, bytes]]:
    """All files of a lake, byte for byte, and when they were written."""
    return {
        path.relative_to(lake).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in lake.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def known(lake: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(lake, "source_file").to_pylist()
    return rows


def pinned(lake: Path, name: str) -> pa.Table:
    """A table as queries read it; all its partitions must have the same columns."""
    paths = [row["path"] for row in read_table(lake, "partition").to_pylist() if row["table_name"] == name]
    parts = [pq.read_table(lake / path, partitioning=None).replace_schema_metadata() for path in paths]
    return pa.concat_tables(parts) if parts else TABLES[name].schema.empty_table()


def rows(lake: Path, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a table, in its order."""
    found = pinned(lake, name)
    return list(zip(*(found.column(column).to_pylist() for column in columns), strict=True))


def wide(lake: Path, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of the wide table, by observation and revision."""
    return [row[2:] for row in sorted(rows(lake, "obspar", "obsid", "revision", *columns), key=lambda row: row[:2])]


def answer(lake: Path) -> list[dict[str, Any]]:
    """Everything that both tables say."""
    return [row for name in ("obspar_kv", "obspar") for row in pinned(lake, name).to_pylist()]


# --- bad files in an archive ------------------------------------------------------------------------------------------


def interval(tstart: str, tstop: str, kind: str = "r") -> bytes:
    return f'tstart,{kind},h,{tstart},,,""\ntstop,r,h,{tstop},,,""\n'.encode()


GOOD = interval("545011267.184", "545012267.184")
BAD: dict[str, tuple[bytes, str]] = {
    "too few fields": (b"a,s,h\n", r"row 1 has 3 fields, not 7: 'a,s,h'"),
    "an unknown type": (b'a,s,h,x,,,""\nb,b,h,yes,,,""\n', "row 2, b: type 'b' is not s, i or r"),
    "empty": (b"", "the file is empty"),
    "gz truncated": (gzip.compress(b'a,s,h,x,,,""\n' * 50)[:-9], "gzip data are truncated"),
    "no tstart": (b'tstop,r,h,545012267.184,,,""\n', "no interval: tstart None, tstop 545012267.184"),
    "no tstop": (b'tstart,r,h,545012267.184,,,""\n', "no interval: tstart 545012267.184, tstop None"),
    "an empty tstart": (interval("", "5e8"), "no interval: tstart None"),
    "a tstart that is text": (interval("545011267.184", "5e8", "s"), "no interval: tstart 545011267.184"),
    "a tstart of NaN": (interval("nan", "5e8"), "no interval: tstart nan"),
    "an endless tstop": (interval("5e8", "inf"), "no interval: .* tstop inf"),
    "a stop before the start": (interval("5.1e8", "5e8"), "no interval: tstart 510000000.0, tstop 500000000.0"),
    "before 1998": (interval("-5.0", "5e8"), "no interval: tstart -5.0"),
    "far in the future": (interval("5e8", "6.4e9"), "no interval: .* tstop 6400000000.0"),
    "two tstarts": (GOOD + b'tstart,r,h,545011268,,,""\n', "more than one tstart: 545011267.184, 545011268.0"),
    "two obs_ids": (GOOD + b'obs_id,s,h,"1",,,""\nobs-id,s,h,"2",,,""\n', "more than one obs_id: 1, 2"),
    "another obs_id": (GOOD + b'obs_id,s,h,"4711",,,""\n', "its folder contradicts its obs_id, 4711"),
    "another obs_id, a number": (GOOD + b'obs_id,i,h,4711,,,""\n', "its folder contradicts its obs_id, 4711"),
}  # fmt: skip
OBSIDS = {name: 100 + n for n, name in enumerate(BAD)}


def name_of(obsid: int, revision: int = 1) -> str:
    return f"{obsid:05d}_v{revision:02d}/axaff{obsid:05d}_000N{revision:03d}_obs0a.par"


@pytest.fixture(scope="module")
def with_bad_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A lake of one good file and all bad ones, not to be changed, and what was said."""
    ska = tmp_path_factory.mktemp("bad")
    listed(ska)
    a_file(ska, 1)
    for name, obsid in OBSIDS.items():
        a_file(ska, obsid).write_bytes(BAD[name][0])
    return ska / "lake", take(ska, ska / "lake")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_set_aside_with_the_reason(name: str, with_bad_files: tuple[Path, Report]) -> None:
    lake, report = with_bad_files
    reason = report.set_aside[name_of(OBSIDS[name])]
    assert re.search(BAD[name][1], reason), reason
    ours = [r for r in known(lake) if r["directory"].endswith(f"{OBSIDS[name]:05d}_v01")]
    assert [(r["product"], r["status"], r["reason"]) for r in ours] == [("obspar", "set aside", reason)]


def test_the_rest_goes_in(with_bad_files: tuple[Path, Report]) -> None:
    lake, report = with_bad_files
    assert (report.taken, len(report.set_aside), report.exit_code) == ([name_of(1)], len(BAD), 3)
    assert wide(lake, "obsid") == [(1,)]
    assert {row["obsid"] for row in answer(lake)} == {1}


def test_bad_files_that_are_mended_are_taken_and_those_taken_stay_when_they_become_bad(tmp_path: Path) -> None:
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    listed(ska)
    a_file(ska, 1)
    for name, obsid in OBSIDS.items():
        a_file(ska, obsid).write_bytes(BAD[name][0])
    take(ska, lake)
    before = state(lake)
    again = take(ska, lake)
    assert (again.unchanged, len(again.set_aside), again.exit_code) == (1, len(BAD), 3)
    assert state(lake) == before
    for obsid in OBSIDS.values():
        a_file(ska, obsid, 1, f'obs_id,s,h,"{obsid}",,,""')
    mended = take(ska, lake)
    assert (len(mended.taken), mended.replaced, mended.exit_code) == (len(BAD), [], 0)
    assert wide(lake, "obsid", "obs_id") == [(1, None), *((obsid, str(obsid)) for obsid in OBSIDS.values())]
    assert {row["status"] for row in known(lake)} == {"current"}
    good = partitions(lake), answer(lake)
    for name, obsid in OBSIDS.items():
        a_file(ska, obsid).write_bytes(BAD[name][0])
    for _ in range(2):
        worse = take(ska, lake)
        assert (worse.taken, worse.partitions, len(worse.set_aside), worse.exit_code) == ([], 0, len(BAD), 3)
        assert (partitions(lake), answer(lake)) == good
    for obsid in OBSIDS.values():
        a_file(ska, obsid, 1, f'obs_id,s,h,"{obsid}",,,""', 'more,i,h,5,,,""')
    assert len(take(ska, lake).replaced) == len(BAD)
    assert wide(lake, "more") == [(None,), *[(5,)] * len(BAD)]
    assert {row["status"] for row in known(lake)} == {"current"}


def test_a_file_set_aside_and_not_changed_is_not_read_again(tmp_path: Path) -> None:
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    listed(ska)
    path = a_file(ska, 1, 1, 'a,i,h,x,,,""')
    assert take(ska, lake).exit_code == 3
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes().replace(b"h,x", b"h,5"))
    os.utime(path, ns=times)
    assert take(ska, lake).exit_code == 3
    os.utime(path)
    assert take(ska, lake).taken == [name_of(1)]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "it has no obspar file"),
        (["axaff00002_000N001_obs0b.par", "README", "axaff2_000N001_obs0a.par", "axaff00002_000N001_obs0a.par.bz2"],
         "it has no obspar file"),
    ],
)  # fmt: skip
def test_a_folder_without_a_file_is_set_aside(files: list[str], reason: str, tmp_path: Path) -> None:
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    listed(ska)
    a_file(ska, 1)
    folder_of(ska, 2).mkdir(parents=True)
    for name in files:
        a_file(ska, 2, name=name)
    for _ in range(2):
        report = take(ska, lake)
        misnamed = {f"00002_v01/{name}" for name in files if ".par" in name and "no obspar file" in reason}
        misnamed -= {"00002_v01/README"}
        assert set(report.set_aside) == {"00/00002_v01"} | misnamed
        assert all("its name is not axaff" in report.set_aside[name] for name in misnamed)
        assert re.fullmatch(reason, report.set_aside["00/00002_v01"])
        assert (report.exit_code, wide(lake, "obsid")) == (3, [(1,)])
    shutil.rmtree(folder_of(ska, 2))
    a_file(ska, 2)
    assert (take(ska, lake).exit_code, wide(lake, "obsid")) == (0, [(1,), (2,)])


@pytest.mark.parametrize(
    ("names", "chosen", "reason"),
    [
        (["000N001.par", "001N001.par.gz"], "000N001.par", "axaff00002_000N001_obs0a.par is that of its revision"),
        (["000N002.par", "000N001.par"], "000N002.par", "axaff00002_000N002_obs0a.par is that of its revision"),
        (["000N001.par", "000N001.par.gz"], "000N001.par.gz", "it is there gzipped, too"),
    ],
)
def test_of_the_files_of_a_revision_one_is_taken(
    names: list[str], chosen: str, reason: str, ska: Path, lake: Path
) -> None:
    listed(ska)
    named = {name: f"axaff00002_{name.replace('.', '_obs0a.', 1)}" for name in names}
    for name in named.values():
        a_file(ska, 2, 1, f'which,s,h,"{name}",,,""', name=name)
    (other,) = named.keys() - {chosen}
    for _ in range(2):
        assert take(ska, lake).set_aside == {f"00002_v01/{named[other]}": reason}
        assert wide(lake, "filename", "which") == [(named[chosen], named[chosen])]
    # Of the other, once it is alone.
    (folder_of(ska, 2) / named[chosen]).unlink()
    report = take(ska, lake)
    assert (report.exit_code, report.gone) == (0, [f"00002_v01/{named[chosen]}"])
    assert wide(lake, "filename", "which") == [(named[other], named[other])]


def test_a_file_that_the_index_lists_and_is_not_named_like_an_obspar_is_set_aside(tmp_path: Path) -> None:
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    listed(ska)
    path = a_file(ska, 1)
    for name in ("notes.txt", "obs0a.dat", ".axaff00001_000N001_obs0a.par.swp"):
        (path.parent / name).write_text("something")
    top = ska / "data/mica/archive/obspar"
    with closing(sqlite3.connect(top / "archfiles.db3")) as database, database:
        database.execute("INSERT INTO archfiles (filename, obsid, revision) VALUES ('obs0a.dat', 1, 1)")
    report = take(ska, lake)
    assert report.taken == [f"00001_v01/{path.name}"]
    assert report.set_aside == {"00001_v01/obs0a.dat": "its name is not axaff<obsid>_<obi>N<version>_obs0a.par[.gz]"}


def test_a_folder_that_loses_its_file_keeps_its_rows(tmp_path: Path) -> None:
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    listed(ska)
    path = a_file(ska, 1, 1, 'a,s,h,x,,,""')
    take(ska, lake)
    before = partitions(lake)
    path.unlink()
    assert take(ska, lake).set_aside == {"00/00001_v01": "it has no obspar file"}
    assert partitions(lake) == before


# --- the tables -------------------------------------------------------------------------------------------------------


@pytest.fixture
def ska(tmp_path: Path) -> Path:
    """A $SKA root whose archive has a database and nothing else."""
    listed(tmp_path / "ska")
    return tmp_path / "ska"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def columns(lake: Path) -> dict[str, str]:
    """Columns of the wide table that are not declared, and their types."""
    return {field.name: str(field.type) for field in pinned(lake, "obspar").schema if field.name not in OBSPAR.by_name}


def test_kv_has_the_parameters_as_the_file_has_them(ska: Path, lake: Path) -> None:
    a_file(
        ska, 7, 2, 'ss-object,s,h,"a, ""b""",,,"An, ""object"""', 'e,s,h,"",,,""', 'n,i,h,007,,,"N"',
        'x,r,h,1.50,,,"X"', 'i,i,h,,,,"I"', 'r,r,h,,,,"R"', 'big,i,h,9223372036854775807,,,""',
    )  # fmt: skip
    take(ska, lake)
    assert pinned(lake, "obspar_kv").schema == OBSPAR_KV.schema
    assert set(rows(lake, "obspar_kv", "obsid", "revision", "isdefault", "tstart")) == {(7, 2, False, NOON)}
    assert rows(lake, "obspar_kv", "name", "type", "value", "number", "description") == [
        ("tstart", "r", repr(NOON), NOON, "Start"),
        ("tstop", "r", repr(NOON + 1000), NOON + 1000, "Stop"),
        ("ss_object", "s", 'a, "b"', None, 'An, "object"'),
        ("e", "s", "", None, ""),
        ("n", "i", "007", 7.0, "N"),
        ("x", "r", "1.50", 1.5, "X"),
        ("i", "i", None, None, "I"),
        ("r", "r", None, None, "R"),
        ("big", "i", "9223372036854775807", 2.0**63, ""),
    ]


def test_a_column_per_key_of_its_type_and_null_where_a_file_lacks_it(ska: Path, lake: Path) -> None:
    a_file(ska, 1, 1, 's,s,h,"",,,""', 'i,i,h,9223372036854775807,,,""', 'r,r,h,1e-7,,,""', 'a-b,s,h,x,,,""')
    a_file(ska, 2, 1, 'i,i,h,,,,""', 'other,r,h,,,,""', start=NEXT_YEAR)
    take(ska, lake)
    assert columns(lake) == {"a_b": "string", "i": "int64", "other": "double", "r": "double", "s": "string"}
    assert wide(lake, "s", "i", "r", "a_b", "other") == [("", 2**63 - 1, 1e-7, "x", None), (None,) * 5]


@pytest.mark.parametrize(
    ("kinds", "kind", "expected"),
    [
        ("ir", "double", [3.0, 0.1]),
        ("ri", "double", [0.1, 3.0]),
        ("is", "string", ["3", "x, y"]),
        ("rs", "string", ["0.1", "x, y"]),
        ("irs", "string", ["3", "0.1", "x, y"]),
        ("ii", "int64", [3, 3]),
    ],
)
@pytest.mark.parametrize("years", [1, 2])
def test_a_key_of_two_types_has_a_column_that_holds_both(
    kinds: str, kind: str, expected: list[Any], years: int, ska: Path, lake: Path
) -> None:
    shown = {"i": "3", "r": "0.1", "s": '"x, y"'}
    for n, letter in enumerate(kinds):
        start = NOON if years == 1 else NOON + n * (NEXT_YEAR - NOON)
        a_file(ska, n + 1, 1, f'k,{letter},h,{shown[letter]},,,""', start=start)
    a_file(ska, 9, 1, f'k,{kinds[0]},h,,,,""')
    take(ska, lake)
    assert len(list(lake.glob("obspar/*/data.parquet"))) == (1 if years == 1 else len(kinds))
    assert columns(lake) == {"k": kind}
    assert wide(lake, "k") == [*((value,) for value in expected), (None,)]


def test_an_i_that_is_no_double_does_not_hinder_the_others(ska: Path, lake: Path) -> None:
    a_file(ska, 1, 1, 'k,r,h,0.5,,,""')
    a_file(ska, 2, 1, f'k,i,h,{2**53 + 1},,,""')
    take(ska, lake)
    assert wide(lake, "k")[0] == (0.5,)


def test_all_years_have_the_same_columns_also_after_a_new_key_in_one_of_them(ska: Path, lake: Path) -> None:
    a_file(ska, 1, 1, 'a,i,h,1,,,""')
    a_file(ska, 2, 1, 'a,i,h,2,,,""', start=NEXT_YEAR)
    take(ska, lake)
    kv = {path: content for path, content in partitions(lake).items() if path.startswith("obspar_kv/")}
    a_file(ska, 3, 1, 'new,s,h,x,,,""', 'a,r,h,0.5,,,""', start=NEXT_YEAR + 5000)
    report = take(ska, lake)
    assert report.partitions == 3
    schemas = [pq.read_schema(path).remove_metadata() for path in lake.glob("obspar/*/data.parquet")]
    assert len(schemas) == 2
    assert schemas[0] == schemas[1]
    assert wide(lake, "a", "new") == [(1.0, None), (2.0, None), (0.5, "x")]
    assert [path for path, content in kv.items() if partitions(lake)[path] == content] == [
        "obspar_kv/year=2015/data.parquet"
    ]
    a_file(ska, 3, 1, start=NEXT_YEAR + 5000)
    take(ska, lake)
    assert columns(lake) == {"a": "int64"}


def test_keys_that_differ_by_case_only_share_a_column(ska: Path, lake: Path) -> None:
    a_file(ska, 1, 1, 'Key,i,h,1,,,""')
    a_file(ska, 2, 1, 'KEY,i,h,2,,,""', start=NEXT_YEAR)
    a_file(ska, 3, 1, 'kEy,i,h,3,,,""', 'keY,r,h,0.5,,,""')
    take(ska, lake)
    assert columns(lake) == {"key": "double"}
    assert wide(lake, "key")[:2] == [(1.0,), (2.0,)]
    names = [name for obsid, name in rows(lake, "obspar_kv", "obsid", "name") if obsid == 3]
    assert names == ["tstart", "tstop", "kEy", "keY"]


def test_keys_named_as_columns_that_are_declared_do_not_disturb_them(ska: Path, lake: Path) -> None:
    told = [f'{c.name},s,h,nonsense,,,""' for c in OBSPAR.columns if c.name not in ("tstart", "tstop")]
    a_file(ska, 1, 1, *told, 'OBSID,i,h,5,,,""', 'TSTART,s,h,x,,,""')
    take(ska, lake)
    assert columns(lake) == {}
    assert wide(lake, "obsid", "revision", "isdefault", "num_ccd_on", "tstart") == [(1, 1, False, 0, NOON)]


def test_the_ccds_that_are_on_are_counted(ska: Path, lake: Path) -> None:
    on = [f'ccd{array}{n}_on,s,h,"{"Y" if n % 2 else "N"}",,,""' for array in "is" for n in range(6)]
    a_file(ska, 1, 1, *on, 'ccdx1_on,s,h,"Y",,,""', 'ccdi10_on,s,h,"Y",,,""', 'ccdi1_off,s,h,"Y",,,""')
    a_file(ska, 2, 1, 'ccdi1_on,s,h,"y",,,""', 'ccds1_on,s,h,"Y ",,,""', 'ccds2_on,s,h,Y,,,""')
    a_file(ska, 3)
    take(ska, lake)
    assert wide(lake, "num_ccd_on") == [(6,), (1,), (0,)]


def test_a_row_of_the_first_and_of_the_last_moment_of_a_year_is_in_its_partition(ska: Path, lake: Path) -> None:
    for obsid, start in [(1, "2016:366:23:59:60.5"), (2, "2017:001"), (3, "2017:365:23:59:59.5"), (4, "2018:001")]:
        a_file(ska, obsid, start=cxcsec(start))
    take(ska, lake)
    found = {p.parent.name: pq.read_table(p, partitioning=None)["obsid"].to_pylist()
             for p in lake.glob("obspar/*/data.parquet")}  # fmt: skip
    assert found == {"year=2016": [1], "year=2017": [2, 3], "year=2018": [4]}


def test_an_observation_that_moves_to_another_year_leaves_the_old_one(ska: Path, lake: Path) -> None:
    a_file(ska, 1, 1, 'a,i,h,1,,,""')
    take(ska, lake)
    a_file(ska, 1, 1, 'a,i,h,2,,,""', start=NEXT_YEAR)
    assert take(ska, lake).replaced == [name_of(1)]
    assert sorted(partitions(lake)) == ["obspar/year=2016/data.parquet", "obspar_kv/year=2016/data.parquet"]
    assert wide(lake, "a", "tstart") == [(2, NEXT_YEAR)]
    assert {row["year"] for row in read_table(lake, "partition").to_pylist()} == {2016}


def test_rows_are_in_the_order_of_time_observation_and_revision(ska: Path, lake: Path) -> None:
    for obsid, revision, start in [(5, 1, NOON), (3, 2, NOON), (3, 1, NOON), (9, 1, NOON - 10), (1, 1, NOON + 10)]:
        a_file(ska, obsid, revision, start=start)
    take(ska, lake)
    expected = [(9, 1), (3, 1), (3, 2), (5, 1), (1, 1)]
    assert rows(lake, "obspar", "obsid", "revision") == expected
    assert rows(lake, "obspar_kv", "obsid", "revision") == [key for key in expected for _ in range(2)]


# --- the lake of an archive is always the same ------------------------------------------------------------------------


def simulated() -> list[Observation]:
    """Observations of all kinds about a new year, one of three revisions."""
    chosen = observations(cxcsec("2016:364"), cxcsec("2017:003"))
    assert {o.detector.split("-")[0] for o in chosen} == {"ACIS", "HRC", "NONE"}
    return [replace(o, revisions=(1, 2, 3), default=2, last=3) if o.obsid == 23151 else o for o in chosen]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated archive, not to be changed."""
    ska = tmp_path_factory.mktemp("archive")
    obspar.write_archive(ska, simulated())
    return ska


@pytest.fixture(scope="module")
def filled(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of this archive, not to be changed."""
    lake = tmp_path_factory.mktemp("filled") / "lake"
    assert take(archive, lake).exit_code == 0
    return lake


def current(lake: Path) -> list[dict[str, Any]]:
    """What is known of files whose rows are in the lake."""
    return [row for row in known(lake) if row["status"] == "current"]


def test_an_archive_is_taken_once(archive: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    files = sorted(f"{p.parent.name}/{p.name}" for p in (archive / TOP).glob("*/*_v*/*"))
    report = take(archive, lake)
    assert (sorted(report.taken), report.replaced, report.unchanged) == (files, [], 0)
    assert (report.rows, report.partitions) == (len(pinned(lake, "obspar_kv")), 4)
    assert sorted(partitions(lake)) == [
        f"{table}/year={year}/data.parquet" for table in ("obspar", "obspar_kv") for year in (2016, 2017)
    ]
    assert report.bytes_out == sum(map(len, partitions(lake).values()))
    assert report.bytes_in == sum(p.stat().st_size for p in (archive / TOP).glob("*/*_v*/*"))
    before = state(lake)
    again = take(archive, lake)
    assert (again.taken, again.replaced, again.unchanged) == ([], [], len(files))
    assert (again.rows, again.partitions, again.bytes_out) == (0, 0, 0)
    assert state(lake) == before


@pytest.mark.parametrize("writtenas", ["the root", "the folder", "a relative path"])
def test_a_ska_root_or_the_folder_may_be_given(
    writtenas: str, archive: Path, filled: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.parent)
    source = {"the root": archive, "the folder": archive / TOP, "a relative path": Path(archive.name)}[writtenas]
    take(source, lake)
    assert partitions(lake) == partitions(filled)


def in_steps(ska: Path, lake: Path, steps: Sequence[Sequence[Observation]]) -> None:
    """Let the archive grow, and take it at each step."""
    for observed in steps:
        obspar.write_archive(ska, observed)
        assert take(ska, lake).exit_code == 0


def test_day_by_day_and_in_reverse_give_the_same_lake(tmp_path: Path) -> None:
    every, ska = simulated(), tmp_path / "ska"
    in_steps(ska, tmp_path / "days", [every[:n] for n in (1, 6, 12, len(every))])
    in_steps(ska, tmp_path / "at once", [every])
    shutil.rmtree(ska)
    in_steps(ska, tmp_path / "reverse", [every[-n:] for n in (1, 12, len(every))])
    expected = partitions(tmp_path / "at once")
    assert partitions(tmp_path / "days") == expected
    assert partitions(tmp_path / "reverse") == expected


def test_revision_by_revision_gives_the_same_lake(tmp_path: Path) -> None:
    every, ska = simulated(), tmp_path / "ska"
    first = [replace(o, revisions=o.revisions[:1], default=None, last=o.revisions[0]) for o in every]
    in_steps(ska, tmp_path / "steps", [first, [replace(o, default=o.last) for o in every], every])
    in_steps(ska, tmp_path / "at once", [every])
    assert partitions(tmp_path / "steps") == partitions(tmp_path / "at once")


def test_two_processes_give_the_same_lake(archive: Path, filled: Path, lake: Path) -> None:
    assert len(current(filled)) > 8, "too few for a second process"
    take(archive, lake, jobs=2)
    assert partitions(lake) == partitions(filled)


def test_a_dry_run_tells_the_plan_and_makes_nothing(ska: Path, lake: Path) -> None:
    a_file(ska, 1)
    a_file(ska, 2).write_bytes(b"a,b\n")
    report = ingest(ska, lake, jobs=1, dry_run=True)
    assert (report.dry_run, report.taken, list(report.set_aside)) == (True, [name_of(1)], [name_of(2)])
    assert (report.exit_code, report.partitions) == (3, 0)
    assert not lake.exists()


def test_a_dry_run_leaves_a_lake_as_it_is(ska: Path, lake: Path) -> None:
    a_file(ska, 1)
    take(ska, lake)
    before = state(lake)
    a_file(ska, 1, 1, 'a,s,h,x,,,""')
    a_file(ska, 2)
    report = ingest(ska, lake, jobs=1, dry_run=True)
    assert (report.taken, report.replaced, report.partitions) == ([name_of(1), name_of(2)], [name_of(1)], 0)
    assert state(lake) == before


def test_what_is_not_there_is_an_error_and_makes_no_lake(tmp_path: Path) -> None:
    (tmp_path / "ska/data/mica/archive").mkdir(parents=True)
    for source in (tmp_path / "nothing", tmp_path / "ska"):
        with pytest.raises(FileNotFoundError, match="there is no such folder"):
            take(source, tmp_path / "lake")
    assert not (tmp_path / "lake").exists()


def test_an_archive_without_observations_makes_a_lake_without_rows(ska: Path, lake: Path) -> None:
    assert take(ska, lake).exit_code == 0
    assert answer(lake) == []
    assert Lake(lake).sql("FROM obspar").columns == OBSPAR.schema.names
    assert Lake(lake).sql("FROM obspar_kv").columns == OBSPAR_KV.schema.names


def test_other_products_are_left_alone_and_leave_this_one_alone(ska: Path, lake: Path, tmp_path: Path) -> None:
    (tmp_path / "l0").mkdir()
    image = write_file(tmp_path / "l0", 3, readouts(3, 8, NOON + 4.1 * (1 + 1.0 * pa.array(range(9)).to_numpy())))
    a_file(ska, 1)
    a_file(ska, 2).write_bytes(b"a,b\n")
    take(ska, lake)
    ours = partitions(lake), answer(lake), known(lake)
    aca_l0.ingest([image], lake, jobs=1)
    assert (partitions(lake), answer(lake)) == ours[:2]
    assert [row for row in known(lake) if row["product"] == "obspar"] == ours[2]
    before = {path: file for path, file in state(lake).items() if path.startswith(("aca_l0/", "hdr3/"))}
    a_file(ska, 3)
    take(ska, lake)
    assert {path: file for path, file in state(lake).items() if path.startswith(("aca_l0/", "hdr3/"))} == before
    assert len(before) == 2
    assert sorted((row["product"], row["status"]) for row in known(lake)) == [
        ("aca_l0", "current"), ("obspar", "current"), ("obspar", "current"), ("obspar", "set aside"),
    ]  # fmt: skip


# --- a changed archive ------------------------------------------------------------------------------------------------


def test_a_file_touched_but_not_changed_is_not_replaced(ska: Path, lake: Path) -> None:
    path = a_file(ska, 1)
    take(ska, lake)
    before = partitions(lake)
    os.utime(path, (1, 1))
    report = take(ska, lake)
    assert (report.taken, report.unchanged, report.partitions) == ([], 1, 0)
    assert partitions(lake) == before
    assert [row["mtime_ns"] for row in current(lake)] == [10**9]


def test_a_changed_file_replaces_its_rows_and_no_others(ska: Path, lake: Path) -> None:
    a_file(ska, 1, 1, 'a,i,h,1,,,"old"')
    a_file(ska, 2, 1, 'a,i,h,1,,,"other"')
    a_file(ska, 3, 1, 'a,i,h,1,,,"other year"', start=NEXT_YEAR)
    take(ska, lake)
    a_file(ska, 1, 1, 'a,i,h,2222,,,"new"')
    report = take(ska, lake)
    assert (report.taken, report.replaced, report.unchanged, report.partitions) == ([name_of(1)], [name_of(1)], 2, 2)
    assert wide(lake, "a") == [(2222,), (1,), (1,)]
    found = [row[1:] for row in rows(lake, "obspar_kv", "name", "obsid", "value", "description") if row[0] == "a"]
    assert found == [(1, "2222", "new"), (2, "1", "other"), (3, "1", "other year")]


def test_rows_that_are_there_are_not_read_again(ska: Path, lake: Path) -> None:
    """The other file of the year, though it is garbage now, is not looked into: its size and date are the same."""
    path = a_file(ska, 1, 1, 'a,i,h,1,,,""')
    take(ska, lake)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"\xff" * path.stat().st_size)
    os.utime(path, ns=times)
    a_file(ska, 2, 1, 'a,i,h,2,,,""')
    assert take(ska, lake).exit_code == 0
    assert wide(lake, "a") == [(1,), (2,)]


def test_a_moved_archive_is_not_read_again_and_its_paths_follow(tmp_path: Path) -> None:
    ska, moved, lake = tmp_path / "ska", tmp_path / "moved", tmp_path / "lake"
    obspar.write_archive(ska, simulated())
    n = len(take(ska, lake).taken)
    before = state(lake)
    ska.rename(moved)
    for path in (moved / TOP).glob("*/*_v*/*"):
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_bytes(b"\xff" * path.stat().st_size)
        os.utime(path, ns=times)
    report = take(moved, lake)
    assert (report.taken, report.unchanged, report.rows, report.exit_code) == ([], n, 0, 0)
    after = state(lake)
    assert [p for p in before if p.startswith("obspar_kv/") and before[p] != after[p]] == []
    for directory, link in wide(lake, "directory", "link"):
        assert Path(directory).is_dir()
        assert Path(directory).is_relative_to(moved)
        assert link is None or Path(link).resolve() == Path(directory)
    assert {Path(row["directory"]).is_relative_to(moved) for row in known(lake)} == {True}
    obspar.write_archive(ska, simulated())
    shutil.rmtree(moved)
    assert take(ska, lake).taken == []
    assert partitions(lake) == {path: before[path][1] for path in before if path in partitions(lake)}


def test_what_was_set_aside_follows_a_moved_archive(tmp_path: Path, ska: Path, lake: Path) -> None:
    a_file(ska, 1).write_bytes(b"a,b\n")
    take(ska, lake)
    ska.rename(tmp_path / "moved")
    take(tmp_path / "moved", lake)
    assert [row["status"] for row in known(lake)] == ["set aside"]


def test_a_file_that_is_renamed_is_the_file_of_its_revision_from_then_on(ska: Path, lake: Path) -> None:
    a_file(ska, 1, name="axaff00001_000N001_obs0a.par.gz")
    take(ska, lake)
    (folder_of(ska, 1) / "axaff00001_000N001_obs0a.par.gz").unlink()
    a_file(ska, 1, 1, 'a,i,h,1,,,""', name="axaff00001_000N001_obs0a.par")
    take(ska, lake)
    assert wide(lake, "filename", "a") == [("axaff00001_000N001_obs0a.par", 1)]
    before = partitions(lake)
    take(ska, lake)
    assert wide(lake, "filename", "a") == [("axaff00001_000N001_obs0a.par", 1)]
    assert partitions(lake) == before


def test_an_observation_gone_from_the_archive_stays_as_it_was(tmp_path: Path) -> None:
    ska, lake, every = tmp_path / "ska", tmp_path / "lake", simulated()
    obspar.write_archive(ska, every)
    take(ska, lake)
    before = partitions(lake)
    for o in every[2:9]:
        for path in (ska / TOP).glob(f"*/{o.obsid:05d}*"):
            path.unlink() if path.is_symlink() else shutil.rmtree(path)
    report = take(ska, lake)
    assert {name.split("/")[1] for name in report.set_aside} == {f"{o.obsid:05d}" for o in every[2:9]}
    assert {*report.set_aside.values()} == {"archfiles.db3 lists it, but it has no folder"}
    assert partitions(lake) == before
    obspar.write_archive(ska, every)
    report = take(ska, lake)
    assert (report.taken, report.exit_code, partitions(lake)) == ([], 0, before)


def test_a_revision_gone_while_others_stay_is_neither_default_nor_last_any_more(tmp_path: Path) -> None:
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    one = next(o for o in simulated() if o.obsid == 23151)
    obspar.write_archive(ska, [one])
    take(ska, lake)
    told = ("revision", "isdefault", "islast", "link")
    link, last = (str(ska / TOP / "23" / name) for name in ("23151", "23151_last"))
    assert wide(lake, *told) == [(1, False, False, None), (2, True, False, link), (3, False, True, last)]
    kv = rows(lake, "obspar_kv", "obsid", "revision", "name", "value")
    shutil.rmtree(folder_of(ska, 23151, 2))
    take(ska, lake)
    assert wide(lake, *told) == [(1, False, False, None), (2, False, False, None), (3, False, True, last)]
    shutil.rmtree(folder_of(ska, 23151, 3))
    obspar.write_archive(ska, [replace(one, revisions=(1,), default=1, last=1)])
    take(ska, lake)
    assert wide(lake, *told) == [(1, True, True, link), (2, False, False, None), (3, False, False, None)]
    assert {number for number, default in rows(lake, "obspar_kv", "revision", "isdefault") if default} == {1}
    assert rows(lake, "obspar_kv", "obsid", "revision", "name", "value") == kv


def test_a_default_that_changes_does_not_read_the_files_again(tmp_path: Path) -> None:
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    one = next(o for o in simulated() if o.obsid == 23151)
    paths = obspar.write_archive(ska, [one])
    take(ska, lake)
    content = {path: path.read_bytes() for path in paths}
    times = {path: path.stat().st_mtime_ns for path in paths}
    for default in (3, 1, None):
        obspar.write_archive(ska, [replace(one, default=default)])
        for path in paths:
            path.write_bytes(b"\xff" * len(content[path]))
            os.utime(path, ns=(times[path], times[path]))
        report = take(ska, lake)
        assert (report.taken, report.unchanged, report.exit_code, report.partitions) == ([], 3, 0, 2)
        expected = [(n, n == default) for n in (1, 2, 3)]
        assert wide(lake, "revision", "isdefault") == expected
        assert sorted(set(rows(lake, "obspar_kv", "revision", "isdefault"))) == expected


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> Path:
    """A copy of the lake of the archive."""
    subprocess.run(["cp", "-a", filled, tmp_path / "lake"], check=True)
    return tmp_path / "lake"


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def lose(lake: Path, partition: str) -> None:
    """Delete a partition, and its pinned version, from which it would come back."""
    pinned = next(p for p in (lake / "_catalog" / "pinned").rglob("*.parquet") if p.samefile(lake / partition))
    for link in (lake / partition, pinned):
        link.unlink()


@pytest.mark.parametrize("lost", [("obspar",), ("obspar_kv",), ("obspar", "obspar_kv")], ids="+".join)
@pytest.mark.parametrize("damage", ["deleted", "truncated"])
def test_a_partition_that_is_lost_is_named_and_ingest_brings_it_back(
    damage: str, lost: tuple[str, ...], archive: Path, filled: Path, copy: Path
) -> None:
    for table in lost:
        if damage == "deleted":
            lose(copy, f"{table}/year=2016/data.parquet")
        else:
            truncate(copy / f"{table}/year=2016/data.parquet")
    trouble = reindex(copy)
    assert sorted(line.split(" is damaged")[0] for line in trouble) == (
        [f"{table}/year=2016/data.parquet" for table in lost] if damage == "truncated" else []
    )
    take(archive, copy)
    assert partitions(copy) == partitions(filled)
    assert known(copy) == known(filled)
    before = state(copy)
    take(archive, copy)
    assert state(copy) == before


@pytest.mark.parametrize("catalog_is", ["kept", "lost"])
def test_after_a_rebuild_ingest_gives_the_same_lake(catalog_is: str, archive: Path, filled: Path, copy: Path) -> None:
    if catalog_is == "lost":
        shutil.rmtree(copy / "_catalog")
    assert rebuild(copy) == []
    assert answer(copy) == answer(filled)
    files = len(current(filled))
    report = take(archive, copy)
    assert (len(report.taken), report.unchanged) == (0, files)
    assert partitions(copy) == partitions(filled)
    assert known(copy) == known(filled)
    before = state(copy)
    take(archive, copy)
    assert state(copy) == before


@pytest.mark.parametrize(
    "gone",
    [
        "the observation",
        "a revision",
    ],
)
@pytest.mark.parametrize(
    "catalog_is",
    [
        "kept",
        pytest.param("lost"),
    ],
)
def test_after_a_rebuild_ingest_keeps_what_is_gone_from_the_archive(
    gone: str, catalog_is: str, ska: Path, lake: Path
) -> None:
    a_file(ska, 1, 1, 'a,i,h,1,,,""')
    a_file(ska, 2, 1, 'a,i,h,1,,,""')
    a_file(ska, 2, 2, 'a,i,h,2,,,""')
    take(ska, lake)
    shutil.rmtree(folder_of(ska, *((1, 1) if gone == "the observation" else (2, 1))))
    take(ska, lake)
    before = partitions(lake), wide(lake, "obsid", "revision", "a")
    assert len(before[1]) == 3
    if catalog_is == "lost":
        shutil.rmtree(lake / "_catalog")
    rebuild(lake)
    assert partitions(lake) == before[0]
    take(ska, lake)
    assert wide(lake, "obsid", "revision", "a") == before[1]
    assert partitions(lake) == before[0]


def test_rows_lost_while_their_file_is_bad_are_given_up_until_it_is_mended(ska: Path, lake: Path) -> None:
    path = a_file(ska, 1, 1, 'a,i,h,1,,,""')
    a_file(ska, 2, 1, 'a,i,h,2,,,""')
    take(ska, lake)
    before = partitions(lake)
    good = path.read_bytes()
    path.write_bytes(b'a,i,h,9,,,"It can be read, but has no interval"\n')
    take(ska, lake)
    for table in ("obspar", "obspar_kv"):
        lose(lake, f"{table}/year=2015/data.parquet")
    rebuild(lake)
    for _ in range(2):
        assert list(take(ska, lake).set_aside) == [name_of(1)]
        assert wide(lake, "obsid", "a") == [(2, 2)]
    path.write_bytes(good)
    take(ska, lake)
    assert partitions(lake) == before


# Takes the archive into a copy of the lake for each n, in a child that dies before its n-th step on the disk.
DIE = """
import os, subprocess, sys
from pathlib import Path
from mica_lake.ingest.obspar import ingest

ska, lake, top = map(Path, sys.argv[1:])
os.fsync = lambda file: None
die_before_each_step(
    [(Path, "replace"), (os, "link")],
    lambda n: subprocess.run(["cp", "-a", lake, top / str(n)], check=True),
    lambda n: ingest(ska, top / str(n), jobs=1),
    range(200),
    lambda path: "/no_rows/" not in str(path),  # they are many, and nobody reads them yet
)
"""


@pytest.mark.soak
def test_killed_anywhere_a_lake_answers_as_before_or_after_and_the_next_ingest_mends_it(
    ska: Path, tmp_path: Path, deaths: Callable[..., int]
) -> None:
    old, new, lakes = tmp_path / "old", tmp_path / "new", tmp_path / "killed"
    lakes.mkdir()
    a_file(ska, 1, 1, 'a,i,h,1,,,""')
    a_file(ska, 2, 1, 'a,i,h,1,,,""', start=NEXT_YEAR)
    take(ska, old)
    a_file(ska, 1, 1, 'a,i,h,2222,,,""')
    a_file(ska, 3, 1, 'b,i,h,3,,,""', start=NEXT_YEAR + 5000)
    take(ska, new)
    answers = [answer(old), answer(new)]
    count = deaths(DIE, ska, old, lakes)
    assert count > 10
    wrong: dict[str, list[int]] = {"answer": [], "partitions": [], "files": []}
    for step in range(count):
        killed = lakes / str(step)
        if answer(killed) not in answers:
            wrong["answer"].append(step)
        take(ska, killed)
        if partitions(killed) != partitions(new):
            wrong["partitions"].append(step)
        if known(killed) != known(new):
            wrong["files"].append(step)
    assert {what: steps for what, steps in wrong.items() if steps} == {}


def test_the_archive_database_is_closed_and_not_changed(archive: Path) -> None:
    path = archive / TOP / "archfiles.db3"
    before = path.read_bytes(), path.stat().st_mtime_ns
    with closing(open(path, "rb")) as file:  # noqa: PTH123 - it is there to be held open
        ingest(archive, archive / "nowhere", jobs=1, dry_run=True)
        assert file.read() == before[0]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(p.name for p in path.parent.glob("archfiles*")) == ["archfiles.db3"]
