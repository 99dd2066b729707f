"""The lake read by DuckDB's own command line, through the mica_lake.sql that lies in it."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.tables import TABLES

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


def duckdb(cwd: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("duckdb", path=sysconfig.get_path("scripts"))
    assert program is not None, "duckdb-cli is missing"
    arguments = [part for command in commands for part in ("-c", command)]
    return subprocess.run(
        [program, "-init", "/dev/null", "-json", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def answers(cwd: Path, read: list[str], queries: list[str]) -> list[Any]:
    run = duckdb(cwd, *read, *queries)
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
    return [f"SET VARIABLE mica_lake = '{path}'", f'.read "{root}/mica_lake.sql"']


def test_in_the_lake_it_answers_as_python_does(lake: Path) -> None:
    expected = python_answers(lake)
    assert expected[0][0]["n"] == 15
    assert answers(lake, [".read mica_lake.sql"], QUERIES) == expected


def test_from_elsewhere_it_answers_as_python_does(lake: Path, tmp_path: Path) -> None:
    assert answers(tmp_path, elsewhere(lake), QUERIES) == python_answers(lake)
    assert answers(
        tmp_path, ["SET VARIABLE mica_lake = 'lake'", ".read lake/mica_lake.sql"], QUERIES
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
    assert answers(root, [".read mica_lake.sql"], QUERIES) == expected


def test_where_there_is_no_lake_it_says_what_to_do(lake: Path, tmp_path: Path) -> None:
    run = duckdb(tmp_path, ".read lake/mica_lake.sql")
    assert "no mica lake at ." in run.stderr
    assert "SET VARIABLE mica_lake = '/path/of/the/lake'" in run.stderr
    run = duckdb(tmp_path, "SET VARIABLE mica_lake = '/nowhere'", ".read lake/mica_lake.sql")
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
    run = duckdb(lake, ".read mica_lake.sql", query)
    assert message in run.stderr
    assert run.stdout == ""


@pytest.mark.soak
def test_a_lake_that_was_moved_answers_from_its_new_place(tmp_path: Path) -> None:
    old = make(tmp_path / "old")
    expected = python_answers(old)
    new = old.rename(tmp_path / "new")
    assert answers(new, [".read mica_lake.sql"], QUERIES) == expected
    assert make(tmp_path / "old", seed=1) == old  # another lake in its old place, which nobody may look at
    assert python_answers(old) != expected
    assert answers(new, [".read mica_lake.sql"], QUERIES) == expected
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
    read = ".read mica_lake.sql"
    found = answers(lake, [read], [count, f'.shell "{sys.executable}" "{program}"', count, read, count])
    assert found == [[{"n": 15}], [{"n": 15}], [{"n": 25}]]


def test_the_partitions_are_plain_parquet_for_everyone(lake: Path) -> None:
    query = (
        "SELECT count(*) AS n, min(slot) AS slot FROM read_parquet('aca_l0/*/*/*/*.parquet', hive_partitioning = true)"
    )
    assert answers(lake, [], [query]) == [[{"n": 30, "slot": 3}]]
