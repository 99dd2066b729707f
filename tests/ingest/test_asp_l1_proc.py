"""The aspect processing table in the lake."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mica_lake.catalog.generation import read_table
from mica_lake.ingest import asp_l1
from mica_lake.ingest.asp_l1_proc import DATABASE, Released, read, released_in
from mica_lake.ingest.found import Rejected
from mica_lake.lake import Lake
from mica_lake.simulate import asp_l1 as simulate
from mica_lake.simulate.observations import Observation, observations


def released_now(lake: Path) -> Released:
    return released_in(lake, read_table(lake, "partition"))


@pytest.fixture(scope="module")
def observed() -> Observation:
    """One with two revisions, of which the older is released."""
    return next(o for o in observations(7e8, 7e8 + 60000) if o.default == 1 and o.last == 2)


@pytest.fixture
def ska(observed: Observation, tmp_path: Path) -> Path:
    simulate.write_archive(tmp_path / "ska", [observed])
    return tmp_path / "ska"


def change(ska: Path, statement: str) -> None:
    with closing(sqlite3.connect(ska / "data/mica/archive/asp1" / DATABASE)) as database, database:
        database.execute(statement)


def test_it_has_each_processing(ska: Path, observed: Observation, tmp_path: Path) -> None:
    assert asp_l1.ingest(ska, tmp_path / "lake", jobs=1).exit_code == 0
    rows = Lake(tmp_path / "lake").sql("SELECT * EXCLUDE (ap_date, time) FROM asp_l1_proc").fetchall()
    assert rows == [
        (observed.obsid, 0, 1, True, 100 * observed.obsid + 1, 1),
        (observed.obsid, 0, 2, False, 100 * observed.obsid + 2, 2),
    ]
    dates = Lake(tmp_path / "lake").sql("SELECT time = cxcsec(ap_date) FROM asp_l1_proc").fetchall()
    assert dates == [(True,), (True,)]


def test_it_follows_the_database_and_is_written_only_then(ska: Path, observed: Observation, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    asp_l1.ingest(ska, lake, jobs=1)
    assert asp_l1.ingest(ska, lake, jobs=1).partitions == 0
    assert released_now(lake) == {(observed.obsid, 1): True, (observed.obsid, 2): False}
    change(ska, "UPDATE aspect_1_proc SET isdefault = (revision = 2), ap_date = 'unknown'")
    assert asp_l1.ingest(ska, lake, jobs=1).partitions == 1
    assert released_now(lake) == {(observed.obsid, 1): False, (observed.obsid, 2): True}
    assert Lake(lake).sql("SELECT DISTINCT ap_date, time FROM asp_l1_proc").fetchall() == [("unknown", None)]


def test_without_it_the_files_say_what_is_released(ska: Path, observed: Observation, tmp_path: Path) -> None:
    (ska / "data/mica/archive/asp1" / DATABASE).unlink()
    assert asp_l1.ingest(ska, tmp_path / "lake", jobs=1).exit_code == 0
    assert released_now(tmp_path / "lake") == {(observed.obsid, 1): True, (observed.obsid, 2): False}
    rows = Lake(tmp_path / "lake").sql("FROM asp_l1_revisions($o)", {"o": observed.obsid}).fetchall()
    assert rows == [(1, True, None, None), (2, False, None, None)]


@pytest.mark.often(2)
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE aspect_1_proc RENAME COLUMN obi TO other", "no such column: obi"),
        ("DROP TABLE aspect_1_proc", "no such table: aspect_1_proc"),
        ("UPDATE aspect_1_proc SET revision = 'new'", "invalid literal for int"),
        ("UPDATE aspect_1_proc SET obsid = NULL", "NoneType"),
        ("UPDATE aspect_1_proc SET obsid = 9999999999", "9999999999"),
    ],
)
def test_a_damaged_one_is_set_aside_and_the_rows_stay(statement: str, reason: str, ska: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    asp_l1.ingest(ska, lake, jobs=1)
    before = released_now(lake)
    change(ska, statement)
    report = asp_l1.ingest(ska, lake, jobs=1)
    assert (report.exit_code, list(report.set_aside), report.partitions) == (3, [f"asp1/{DATABASE}"], 0)
    assert reason in report.set_aside[f"asp1/{DATABASE}"]
    assert released_now(lake) == before


def test_a_file_that_is_no_database_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"no database, but long enough to be looked at" * 20)
    found = read(tmp_path)
    assert isinstance(found, Rejected)
    assert "not a database" in found.reason
    (tmp_path / DATABASE).unlink()
    assert read(tmp_path) is None
