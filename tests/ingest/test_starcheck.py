"""Ingest of load reviews: the newest report of a load counts, whatever comes in which order from which kind of file."""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from commands import in_process

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.reindex import rebuild
from mica_lake.catalog.version import pin
from mica_lake.formats.starcheck import CATALOG as ENTRY
from mica_lake.formats.starcheck import HEADER, MANEUVER, WARNING, Observation, read_starcheck
from mica_lake.ingest.report import Report
from mica_lake.ingest.starcheck import ingest
from mica_lake.lake import Lake
from mica_lake.simulate import starcheck
from mica_lake.simulate.observations import observations
from mica_lake.tables import TABLES as ALL_TABLES
from mica_lake.times import cxcsec

TOP = "data/mica/archive/starcheck"
TABLES = (
    "starcheck_load",
    "starcheck",
    "starcheck_catalog",
    "starcheck_manvr",
    "starcheck_warning",
    "starcheck_pred_temp",
)
START = cxcsec("2023:352")


@pytest.fixture(scope="module", autouse=True)
def _the_power_does_not_fail() -> Iterator[None]:
    """Files are not flushed to the disk, which is slow and of no consequence here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four weeks, around a new year."""
    ska = tmp_path_factory.mktemp("starcheck") / "ska"
    starcheck.write_archive(ska, observations(START, START + 28 * 86400))
    return ska


@pytest.fixture(scope="module")
def reports(ska: Path) -> list[Path]:
    return sorted(ska.rglob("starcheck.txt"))


@pytest.fixture(scope="module")
def filled(ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("filled") / "lake"
    ingest(ska, lake, jobs=1)
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def rows(lake: Path, source: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the loads; without what only says where they are from, if asked."""
    left_out = "" if source else "EXCLUDE (source, checksum)"
    return {
        table: Lake(lake).sql(f"SELECT * {left_out if table == 'starcheck_load' else ''} FROM {table}").fetchall()
        for table in TABLES
    }


def partitions(lake: Path) -> dict[str, bytes]:
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("[so]*/**/data.parquet")}


def copied(top: Path, reports: Sequence[Path], others: Path) -> Path:
    """A folder with these reports, in their places."""
    for path in reports:
        to = top / path.relative_to(others / TOP)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to)
    return top


def database(path: Path, loads: Sequence[tuple[str, float, list[Observation]]], without: str = "") -> Path:
    """A database as mica keeps it, of loads in order: folder, time, observations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = ("sc_id", "obsid", "obs_idx")
    tables = {
        "id": ("id", "dir", "mtime"), "obs": (*key, *HEADER), "manvr": (*key, *MANEUVER), "catalog": (*key, *ENTRY),
        "warnings": (*key, *WARNING), "pred_temp": ("sc_id", "obsid", "pred_ccd_temp"),
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as db, db:
        for name, columns in tables.items():
            if name != without:
                db.execute(f"CREATE TABLE starcheck_{name} ({', '.join(columns)})")

        def put(name: str, row: Sequence[Any]) -> None:
            if name != without:
                db.execute(f"INSERT INTO starcheck_{name} VALUES ({', '.join('?' * len(row))})", row)

        for sc_id, (mp_dir, mtime, planned) in enumerate(loads):
            put("id", (sc_id, mp_dir, mtime))
            for n, one in enumerate(planned):
                put("obs", (sc_id, one.obsid, n, *(one.header[column] for column in HEADER)))
                for name, parts in (("manvr", one.maneuvers), ("catalog", one.catalog), ("warnings", one.warnings)):
                    for part in parts:
                        put(name, (sc_id, one.obsid, n, *(part[column] for column in tables[name][3:])))
                if one.pred_ccd_temp is not None:
                    put("pred_temp", (sc_id, one.obsid, one.pred_ccd_temp))
    return path


def loads_of(reports: Sequence[Path], ska: Path) -> list[tuple[str, float, list[Observation]]]:
    return [
        (f"/{path.parent.relative_to(ska / TOP).as_posix()}/", path.stat().st_mtime, read_starcheck(path))
        for path in sorted(reports, key=lambda path: path.stat().st_mtime)
    ]


def test_the_tables_have_what_the_reports_say(ska: Path, reports: list[Path], filled: Path) -> None:
    found = rows(filled)
    assert [len(found[table]) for table in ("starcheck_load", "starcheck")] == [
        len(reports), sum(len(read_starcheck(path)) for path in reports)
    ]  # fmt: skip
    for mp_dir, _, planned in loads_of(reports, ska):
        own = [row for row in found["starcheck"] if row[0] == mp_dir]
        assert [row[2:] for row in own] == [
            (one.obsid, n, *(one.header[name] for name in HEADER)) for n, one in enumerate(planned)
        ]
        own = [row for row in found["starcheck_catalog"] if row[0] == mp_dir]
        assert [row[4:] for row in own] == [tuple(entry.values()) for one in planned for entry in one.catalog]
    assert {path.split("/")[1] for path in partitions(filled)} == {"year=2023", "year=2024", "data.parquet"}


def test_the_database_gives_the_same_rows_as_the_reports(
    ska: Path, reports: list[Path], filled: Path, lake: Path, tmp_path: Path
) -> None:
    path = database(tmp_path / "ska" / TOP / "starcheck.db3", loads_of(reports, ska))
    report = ingest(tmp_path / "ska", lake, jobs=1)
    assert (report.set_aside, len(report.taken)) == ({}, 1)
    assert rows(lake, source=False) == rows(filled, source=False)
    assert ingest(path, lake, jobs=1).unchanged == 1


@pytest.mark.often(3)
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_order_does_not_matter(
    ska: Path, reports: list[Path], filled: Path, lake: Path, tmp_path: Path, order: tuple[int, ...]
) -> None:
    assert len(reports) >= 4
    for n in order:
        # Below one folder, since its name is part of what is recorded.
        ingest(copied(tmp_path / str(n) / "starcheck", reports[n::4], ska), lake, jobs=1)
    ingest(ska / TOP / "observations.csv", lake, jobs=1)
    assert partitions(lake) == partitions(filled)


def test_a_second_run_reads_and_writes_nothing(ska: Path, filled: Path, tmp_path: Path) -> None:
    lake = shutil.copytree(filled, tmp_path / "lake")
    report = ingest(ska, lake, jobs=1)
    assert (report.taken, report.partitions, report.unchanged) == ([], 0, len(list(ska.rglob("*.txt"))) + 1)


@pytest.mark.parametrize("newer_first", [False, True])
def test_a_newer_report_replaces_its_load_whole(
    ska: Path, reports: list[Path], lake: Path, tmp_path: Path, newer_first: bool
) -> None:
    old = copied(tmp_path / "old", reports[1:2], ska)
    planned = read_starcheck(reports[1])
    load = f"{reports[1].parts[-3]}A"
    starcheck.write_report(tmp_path / "new", load, planned[1:3], reports[1].stat().st_mtime + 100)
    for top in (tmp_path / "new", old) if newer_first else (old, tmp_path / "new"):
        assert ingest(top, lake, jobs=1).set_aside == {}
    assert [row[2] for row in rows(lake)["starcheck"]] == [one.obsid for one in planned[1:3]]
    assert {row[2] for row in rows(lake)["starcheck_catalog"]} == {one.obsid for one in planned[1:3]}
    assert ingest([old, tmp_path / "new"], lake, jobs=1).partitions == 0


def test_a_load_stays_when_its_report_is_gone(ska: Path, reports: list[Path], lake: Path, tmp_path: Path) -> None:
    top = copied(tmp_path / "top", reports, ska)
    ingest(top, lake, jobs=1)
    before = rows(lake)
    next(top.rglob("starcheck.txt")).unlink()
    assert ingest(top, lake, jobs=1).partitions == 0
    assert rows(lake) == before


def test_what_is_called_otherwise_is_no_report(ska: Path, reports: list[Path], lake: Path, tmp_path: Path) -> None:
    top = copied(tmp_path / "top", reports[:1], ska)
    path = next(top.rglob("starcheck.txt"))
    for place in (
        "ofls_old/starcheck.txt",
        "oflsa/scheduled/starcheck.txt",
        "starcheck.txt",
        "oflsb/starcheck.txt.bak",
    ):
        (path.parents[1] / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, path.parents[1] / place)
    assert len(ingest(top, lake, jobs=1).taken) == 1


def bad(report: Report) -> list[str]:
    return sorted(report.set_aside.values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("nothing", "it has no observation: no piece of it begins with OBSID: and a number"),
        (
            "=" * 30 + "\nOBSID: 5  NGC 1 ACIS-I\n",
            "obsid 5: its target, instrument, SIM Z offset and grating cannot be read",
        ),
    ],
)
def test_a_bad_report_is_set_aside_and_the_others_go_in(
    ska: Path, reports: list[Path], lake: Path, tmp_path: Path, content: str, reason: str
) -> None:
    top = copied(tmp_path / "top", reports, ska)
    path = next(top.rglob("starcheck.txt"))
    path.write_text(content)
    report = ingest(top, lake, jobs=1)
    assert (len(report.taken), report.exit_code) == (len(reports) - 1, 3)
    assert bad(report)[0].startswith(reason)
    assert bad(ingest(top, lake, jobs=1)) == bad(report)


def test_a_report_with_a_number_that_has_no_room_is_set_aside(
    ska: Path, reports: list[Path], lake: Path, tmp_path: Path
) -> None:
    top = copied(tmp_path / "top", reports, ska)
    path = next(top.rglob("starcheck.txt"))
    path.write_text(re.sub(r"\(VCDU count = \d+\)", "(VCDU count = 99999999999)", path.read_text(), count=1))
    report = ingest(top, lake, jobs=1)
    assert (len(report.taken), report.exit_code) == (len(reports) - 1, 3)
    assert bad(report)[0].startswith("a row of starcheck_manvr of /20")


@pytest.mark.parametrize("table", ["id", "obs", "manvr", "catalog", "warnings", "pred_temp"])
def test_a_database_without_a_table_is_set_aside(
    ska: Path, reports: list[Path], lake: Path, tmp_path: Path, table: str
) -> None:
    path = database(tmp_path / "starcheck.db3", loads_of(reports, ska), without=table)
    report = ingest([path, reports[0].parents[3]], lake, jobs=1)
    assert bad(report) == [f"no such table: starcheck_{table}"]
    assert len(report.taken) == len(reports) + 1


def test_a_database_with_a_value_of_another_type_is_set_aside(
    ska: Path, reports: list[Path], lake: Path, tmp_path: Path
) -> None:
    path = database(tmp_path / "starcheck.db3", loads_of(reports, ska))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE starcheck_catalog SET yang = 'far' WHERE rowid = 7")
    (reason,) = bad(ingest(path, lake, jobs=1))
    assert reason.startswith("a row of starcheck_catalog of /20")


def test_a_truncated_database_is_set_aside(ska: Path, reports: list[Path], lake: Path, tmp_path: Path) -> None:
    path = database(tmp_path / "starcheck.db3", loads_of(reports, ska))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (reason,) = bad(ingest(path, lake, jobs=1))
    assert "malformed" in reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("obsid,obs_start\n1,2\n", "it has no column manvr_start and no obs_stop and no starcat_date and no source"),
        (
            "obsid,manvr_start,obs_start,obs_stop,starcat_date,source\nx,,2024:001,2024:002,,CMD_EVT\n",
            "line 2: invalid literal",
        ),
        (
            "obsid,manvr_start,obs_start,obs_stop,starcat_date,source\n1,,2024:001,2024,,CMD_EVT\n",
            "line 2: '2024' is not a time",
        ),
    ],
)
def test_a_bad_table_of_what_ran_is_set_aside(lake: Path, tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "observations.csv"
    path.write_text(text)
    (found,) = bad(ingest(path, lake, jobs=1))
    assert found.startswith(reason)


def test_the_newest_table_of_what_ran_counts(lake: Path, tmp_path: Path) -> None:
    titles = "obsid,manvr_start,obs_start,obs_stop,starcat_date,source\n"
    for n in (2, 3, 1):
        path = tmp_path / str(n) / "observations.csv"
        path.parent.mkdir()
        path.write_text(f"{titles}{n},2024:001,2024:001:01:00,2024:001:02:00,,JAN0124A\n")
        os.utime(path, (1e9 + n, 1e9 + n))
        ingest(path, lake, jobs=1)
    assert Lake(lake).sql("SELECT obsid, mp_dir, starcat_date FROM observation").fetchall() == [
        (3, "/2024/JAN0124/oflsa/", None)
    ]
    assert ingest(tmp_path, lake, jobs=1).partitions == 0


@pytest.mark.parametrize("table", [*TABLES, "observation"])
def test_rows_that_are_not_those_of_the_files_are_found_and_mended(
    ska: Path, filled: Path, tmp_path: Path, table: str
) -> None:
    lake = shutil.copytree(filled, tmp_path / "lake")
    assert in_process(("verify", "--from", ska, "--lake", lake), {}).returncode == 0
    path = next(row for row in read_table(lake, "partition").to_pylist() if row["table_name"] == table)
    key = Key(date(path["year"], 1, 1) if path["table_name"] != "observation" else EPOCH)
    rows = read_partition(lake / path["path"])
    row = pin(lake, ALL_TABLES[table], key, rows.slice(1), [], path["derived_from"])
    commit(lake, {(table, key): row}, read_table(lake, "source_file"))
    done = in_process(("verify", "--from", ska, "--lake", lake), {})
    assert done.returncode == 4
    assert "its rows are not those of its files" in " ".join(done.stdout.split())


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_lost_comes_back_with_the_sources_of_its_loads(
    ska: Path, reports: list[Path], filled: Path, tmp_path: Path, table: str
) -> None:
    lake = shutil.copytree(filled, tmp_path / "lake")
    shutil.rmtree(lake / table / "year=2023")
    shutil.rmtree(lake / "_catalog" / "pinned" / table / "2023")
    rebuild(lake)
    before = rows(lake)
    # Of one of its loads: the others stay as they are, and still lack what was lost.
    ingest(copied(tmp_path / "starcheck", reports[:1], ska), lake, jobs=1)
    for name, found in rows(lake).items():
        assert set(before[name]) <= set(found)
    ingest(ska, lake, jobs=1)
    assert rows(lake) == rows(filled)
    assert ingest(ska, lake, jobs=1).partitions == 0


# --- the reference ----------------------------------------------------------------------------------------------------


def as_mica(lake: Path, table: str) -> list[list[Any]]:
    """Rows as in mica's database: with the number of the load, without what says which load it is."""
    found = Lake(lake).arrow(
        f"SELECT sc_id, t.* EXCLUDE (mp_dir, load_tstart) FROM {table} AS t JOIN starcheck_id USING (mp_dir)"
    )
    return [list(row.values()) for row in found.to_pylist()]


@pytest.mark.parametrize("source", ["the database", "the reports", "two halves of the reports"])
def test_tables_are_those_of_the_reference(
    shared: Path, golden_starcheck: Path, lake: Path, tmp_path: Path, source: str
) -> None:
    golden = json.loads((shared / "golden/starcheck.json").read_text())
    if source == "two halves of the reports":
        paths = sorted((golden_starcheck / "mplogs").glob("*/*/ofls[a-z]/starcheck.txt"))
        for n in (1, 0):
            for path in paths[n::2]:
                to = tmp_path / str(n) / "mplogs" / path.relative_to(golden_starcheck / "mplogs")
                to.parent.mkdir(parents=True)
                shutil.copy2(path, to)
            ingest(tmp_path / str(n) / "mplogs", lake, jobs=1)
    else:
        ingest(golden_starcheck if source == "the database" else golden_starcheck / "mplogs", lake, jobs=1)
    assert [list(row) for row in Lake(lake).sql("FROM starcheck_id ORDER BY sc_id").fetchall()] == golden["tables"][
        "starcheck_id"
    ]["rows"]
    names = {"starcheck_obs": "starcheck", "starcheck_warnings": "starcheck_warning"}
    for table in ("starcheck_obs", "starcheck_manvr", "starcheck_catalog", "starcheck_warnings", "starcheck_pred_temp"):
        wanted = golden["tables"][table]["rows"]
        assert sorted(map(repr, as_mica(lake, names.get(table, table)))) == sorted(map(repr, wanted))


def test_a_later_report_of_the_reference_replaces_its_load(shared: Path, golden_starcheck: Path, lake: Path) -> None:
    golden = json.loads((shared / "golden/starcheck.json").read_text())
    ingest(golden_starcheck / "mplogs", lake, jobs=1)
    ingest(golden_starcheck / "mplogs_later", lake, jobs=1)
    obsids = [one.obsid for one in read_starcheck(golden_starcheck / golden["later"]["file"])]
    (new,) = {row[1] for row in golden["later"]["new_rows"]["starcheck_obs"]}
    assert new in obsids
    query = "SELECT obsid FROM starcheck WHERE mp_dir = '/2018/APR0618/oflsb/' ORDER BY obs_idx"
    assert [obsid for (obsid,) in Lake(lake).sql(query).fetchall()] == obsids


def test_the_rejects_of_the_reference_are_set_aside(golden_starcheck: Path, lake: Path, tmp_path: Path) -> None:
    for n, path in enumerate(sorted((golden_starcheck / "rejects").iterdir())):
        to = tmp_path / "mplogs" / "2018" / "APR0618" / f"ofls{'abcd'[n]}" / "starcheck.txt"
        to.parent.mkdir(parents=True)
        shutil.copy2(path, to)
    report = ingest(tmp_path / "mplogs", lake, jobs=1)
    assert (len(report.set_aside), report.taken, report.exit_code) == (4, [], 3)
