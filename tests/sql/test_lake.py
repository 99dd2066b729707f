"""The lake read by DuckDB's own command line, through the mica_lake.sql that lies in it."""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from commands import in_duckdb, read

from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.tables import TABLES
from mica_lake.tables.views import OF_VIEWS

START = 7e8
QUERIES = [
    "SELECT count(*) AS n, sum(BGDAVG)::INT AS s, min(TIME) AS t, min(FILENAME) AS f FROM slot_data(6.9e8, 7.1e8, 3)",
    "SELECT TIME, IMGRAW, PIXTLM FROM slot_data('2020:067', '2020:068', 3) LIMIT 3",
    "SELECT IMGNUM, IMGROW0_8X8, IMG FROM aca_images('2020-03-07', '2020-03-08') LIMIT 5",
    "SELECT filename, slot, tstart FROM aca_l0_source_files('2020:067', '2020:068')",
    "SELECT * FROM partition",
    "SELECT * FROM status",
    "SELECT cxcsec('2015:181:23:59:60.5') AS secs, utc(552096067.684) AS utc, utc_day_number(552096067.684) AS day",
    "SELECT TIME FROM slot_data('2021:001', '2021:002', 3)",
    "FROM lake_columns WHERE table_name IN ('aca_l0', 'hdr3', 'star_catalog', 'obspar')",
]


def make(root: Path, seed: int = 0) -> Path:
    """A lake of a minute of slots 3 and 6, in a folder of its own below `root`."""
    for slot, size, cadence in ((3, 6, 2.05), (6, 8, 4.1)):
        (root / "files").mkdir(parents=True, exist_ok=True)
        write_file(root / "files", slot, readouts(slot, size, START + cadence * np.arange(15), seed=seed))
    ingest([root / "files"], root / "lake", jobs=1)
    return root / "lake"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return make(tmp_path)


def answers(cwd: Path, first: Iterable[str], queries: list[str]) -> list[Any]:
    run = in_duckdb(cwd, *first, *queries)
    assert run.stderr == ""
    decoder, found, text = json.JSONDecoder(), [], run.stdout.strip()
    while text:
        answer, end = decoder.raw_decode(text)
        found.append(answer)
        text = text[end:].strip()
    return found


def python_answers(root: Path) -> list[Any]:
    lake = Lake(root)
    return [json.loads(json.dumps(lake.arrow(query).to_pylist())) for query in QUERIES]


def elsewhere(root: Path) -> list[str]:
    path = str(root).replace("'", "''")
    return [f"SET VARIABLE mica_lake = '{path}'", *read(f"{root}/mica_lake.sql")]


def test_in_the_lake_it_answers_as_python_does(lake: Path) -> None:
    expected = python_answers(lake)
    assert expected[0][0]["n"] == 15
    assert answers(lake, read(), QUERIES) == expected


def test_from_elsewhere_it_answers_as_python_does(lake: Path, tmp_path: Path) -> None:
    assert answers(tmp_path, elsewhere(lake), QUERIES) == python_answers(lake)
    assert answers(
        tmp_path, ["SET VARIABLE mica_lake = 'lake'", *read("lake/mica_lake.sql")], QUERIES
    ) == python_answers(lake)


def test_the_tables_by_day_are_those_declared(lake: Path) -> None:
    query = "SELECT is_by_day($name)"
    by_day = {name for name in TABLES if Lake(lake).sql(query, {"name": name}).fetchall() == [(True,)]}
    assert by_day == {name for name, table in TABLES.items() if "doy" in table.keys}


def test_days_are_counted_and_those_without_rows_are_not(tmp_path: Path) -> None:
    lake = make(tmp_path)
    for day in (2, 5):
        write_file(tmp_path / "files", 3, readouts(3, 6, START + 86400 * day + 2.05 * np.arange(10)))
    ingest([tmp_path / "files"], lake, jobs=1)
    assert Lake(lake).sql("SELECT days, span FROM status WHERE table_name = 'aca_l0'").fetchall() == [(3, 6)]
    assert Lake(lake).sql("SELECT doy, slots, rows FROM coverage('aca_l0')").fetchall() == [
        (67, 2, 30), (69, 1, 10), (72, 1, 10)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a lake", "it's", "two ''", "näher; --", "50%", "{a,b}", "$HOME", "~"])
@pytest.mark.often(1)
def test_a_path_may_have_any_characters(lake: Path, tmp_path: Path, name: str) -> None:
    expected = python_answers(lake)
    root = lake.rename(tmp_path / name)
    assert python_answers(root) == expected
    assert answers(tmp_path, elsewhere(root), QUERIES) == expected
    assert answers(root, read(), QUERIES) == expected


def test_where_there_is_no_lake_it_says_what_to_do(lake: Path, tmp_path: Path) -> None:
    run = in_duckdb(tmp_path, *read("lake/mica_lake.sql"))
    assert "no mica lake at ." in run.stderr
    assert "SET VARIABLE mica_lake = '/path/of/the/lake'" in run.stderr
    run = in_duckdb(tmp_path, "SET VARIABLE mica_lake = '/nowhere'", *read("lake/mica_lake.sql"))
    assert "no mica lake at /nowhere" in run.stderr


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("FROM slot_data('yesterday', '2020:068', 3)", "'yesterday' is not a time"),
        ("FROM slot_data('2020:067', '2020:068', 9)", "slot 9 is not one of 0 to 7"),
        ("FROM slot_data('2020:068', '2020:067', 3)", "is before start"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(lake: Path, query: str, message: str) -> None:
    run = in_duckdb(lake, *read(), query)
    assert message in run.stderr
    assert run.stdout == ""


@pytest.mark.soak
def test_a_lake_that_was_moved_answers_from_its_new_place(tmp_path: Path) -> None:
    old = make(tmp_path / "old")
    expected = python_answers(old)
    new = old.rename(tmp_path / "new")
    assert answers(new, read(), QUERIES) == expected
    assert make(tmp_path / "old", seed=1) == old  # another lake in its old place, which nobody may look at
    assert python_answers(old) != expected
    assert answers(new, read(), QUERIES) == expected
    assert answers(tmp_path, elsewhere(new), QUERIES) == expected
    assert python_answers(new) == expected


def test_a_link_to_the_lake_is_the_lake(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(lake)
    assert answers(tmp_path, elsewhere(tmp_path / "link"), QUERIES) == python_answers(lake)


def test_reading_it_again_shows_what_was_ingested_since(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    count = "SELECT count(*) AS n FROM slot_data(0, 1e9, 3)"
    path = write_file(tmp_path / "more", 3, readouts(3, 6, START + 1000 + 2.05 * np.arange(10)))
    program = tmp_path / "ingest_more.py"
    program.write_text(f"from mica_lake.ingest.aca_l0 import ingest; ingest([{str(path)!r}], {str(lake)!r}, jobs=1)")
    found = answers(lake, read(), [count, f'.shell "{sys.executable}" "{program}"', count, *read(), count])
    assert found == [[{"n": 15}], [{"n": 15}], [{"n": 25}]]


def test_the_partitions_are_plain_parquet_for_everyone(lake: Path) -> None:
    query = (
        "SELECT count(*) AS n, min(slot) AS slot FROM read_parquet('aca_l0/*/*/*/*.parquet', hive_partitioning = true)"
    )
    assert answers(lake, [], [query]) == [[{"n": 30, "slot": 3}]]


def test_who_reads_it_is_told_where_to_look(lake: Path) -> None:
    (said,) = answers(lake, [".read mica_lake.sql"], [])
    assert said[0]["mica_lake"] == "."
    for query in list(said[0].values())[1:]:
        assert in_duckdb(lake, *read(), query).returncode == 0
    assert Lake(lake).sql(said[0]["its views and macros"]).fetchall()


def test_the_lake_that_the_environment_names_is_found_from_anywhere(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICA_LAKE", str(lake))
    assert answers(tmp_path, read(f"{lake}/mica_lake.sql"), QUERIES) == python_answers(lake)
    # It is not asked in a lake, and where another is named.
    other = make(tmp_path / "other", seed=1)
    assert answers(other, read(), QUERIES) == python_answers(other)
    assert answers(tmp_path, elsewhere(other), QUERIES) == python_answers(other)
    # Other clients than the command line do not know the environment.
    connection = duckdb.connect()
    monkeypatch.chdir(lake)
    connection.execute((lake / "mica_lake.sql").read_text())
    assert connection.execute(QUERIES[0]).fetchall()[0][0] == 15


def test_each_view_and_macro_is_described(demo_lake: str) -> None:
    lake = Lake(demo_lake)
    views = "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"
    macros = "SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal"
    columns = (
        "SELECT view_name || '.' || column_name, duckdb_columns.comment "
        "FROM duckdb_columns() JOIN duckdb_views() ON view_oid = table_oid WHERE NOT duckdb_views.internal"
    )
    for query, count in ((views, 30), (macros, 90), (columns, 500)):
        found = lake.sql(query).fetchall()
        assert len(found) > count
        assert [name for name, comment in found if not comment] == []


def test_lake_columns_says_of_each_column_what_it_is(demo_lake: str) -> None:
    lake = Lake(demo_lake)
    found: dict[str, list[tuple[Any, ...]]] = {}
    for table, *column in lake.sql("FROM lake_columns").fetchall():
        found.setdefault(table, []).append(tuple(column))
    tables = [name for name in found if name in TABLES]
    assert tables == list(found)[: len(tables)] == list(TABLES)
    views = {name for (name,) in lake.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()}
    assert found.keys() == TABLES.keys() | views
    span = {"start": "2024:001", "stop": "2024:002", "slot": 3}
    for table, columns in found.items():
        (rows,) = {rows for *_, rows in columns}
        assert rows == (TABLES[table].rows if table in TABLES else "") or rows == table
        called = re.sub(r"\b(start|stop|slot)\b", lambda name: f"'{span[name[0]]}'", rows) if "(" in rows else rows
        described = lake.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM {called})").fetchall()
        assert [(name, kind) for name, kind, *_ in columns] == described
        assert all(meaning for _, _, _, meaning, _ in columns)
        if table in TABLES:
            of = {name: (unit, meaning) for name, _, unit, meaning, _ in columns}
            changed = OF_VIEWS.get(table, {})
            declared = {c.name: (c.unit, c.meaning) for c in TABLES[table].columns if c.name not in changed}
            assert of.items() >= declared.items()
    of_window = {name: (unit, meaning) for name, _, unit, meaning, _ in found["star_catalog"]}
    assert of_window["planned_obsid"] == ("", "the observation that the catalog was planned for")
    assert of_window["yang"] == ("arcsec", TABLES["starcheck_catalog"].by_name["yang"].meaning)
    assert ("tstart", "DOUBLE", "s", "start of its header, CXC seconds", "source_file") in found["source_file"]
    of_key = {name: meaning for name, _, _, meaning, _ in found["obspar"]}
    assert of_key["ao"] == "the key of this name in the source files"


def test_lake_objects_has_what_is_for_people_with_examples_that_work(demo_lake: str) -> None:
    lake = Lake(demo_lake)
    objects = {name: row for name, *row in lake.sql("FROM lake_objects").fetchall()}
    assert objects["slot_data"][:2] == ["table macro", "start, stop, slot"]
    assert objects["warm_pixels"][1] == "threshold, ref := -19.0"
    assert "moment_weights" not in objects
    views = {name for (name,) in lake.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()}
    macros = "SELECT function_name FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal"
    assert views | {name for (name,) in lake.sql(macros).fetchall()} <= set(objects)
    assert {name.split("(")[0] for table in TABLES.values() if (name := table.rows)} <= set(objects)
    for name, (_, _, gives, example) in objects.items():
        assert gives.endswith((".", "…")), name
        assert name in example
        lake.sql(f"FROM ({example}) LIMIT 3").fetchall()
    assert set(lake.tables()["name"]) | set(lake.macros()["name"]) == set(objects)
    assert {"obspar", "slot_data"} <= set(lake.tables()["name"])
    assert {"utc", "slot_data"} <= set(lake.macros()["name"])
    assert "utc" not in set(lake.tables()["name"])
