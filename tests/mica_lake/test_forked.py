"""Processes that are forked, as multiprocessing does on Linux, from one that has asked a lake."""

import subprocess
import sys
from pathlib import Path

import pytest

from mica_lake.lake import Lake

# What the parent did before it forked; what the child asks. In a process of its own, as it cannot be undone.
SCRIPT = """
import multiprocessing, sys
from mica_lake.lake import Lake
lake = Lake(sys.argv[1])
exec(sys.argv[2])
def ask(n):
    return eval(sys.argv[3])
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map_async(ask, range(4)).get(60))
"""
USED = "lake.scan('aca_l0', slot=3).select('TIME').collect()"
ROWS = "lake.scan('aca_l0', '2024:001', '2024:001:00:10', slot=3).collect().height"


def forked(lake: str, before: str, question: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, lake, before, question]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


@pytest.mark.often(1)
@pytest.mark.parametrize("before", ["", "import polars", "lake.status()", USED])
def test_status_is_known_in_a_forked_process(before: str, demo_lake: str) -> None:
    tables = Lake(demo_lake).status().height
    assert forked(demo_lake, before, "lake.status().height") == str([tables] * 4)


@pytest.mark.often(2)
@pytest.mark.parametrize("before", ["", "import polars", "lake.status()", "lake.sql('FROM obspar').fetchall()"])
def test_a_forked_process_may_scan(before: str, demo_lake: str) -> None:
    assert forked(demo_lake, before, ROWS) == "[293, 293, 293, 293]"


def test_a_scan_that_would_never_end_is_refused_and_what_would_do_is_said(demo_lake: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        forked(demo_lake, USED, ROWS)
    assert "RuntimeError: this process was forked from one that had used Polars" in caught.value.stderr
    rows = "lake.arrow(\"FROM slot_data('2024:001', '2024:001:00:10', 3)\").num_rows"
    assert forked(demo_lake, USED, rows) == "[293, 293, 293, 293]"


STARTED = """
import multiprocessing, sys
from mica_lake.lake import Lake

def rows_of(lake):
    return Lake(lake).scan("aca_l0", "2024:001", "2024:001:00:10", slot=3).collect().height

if __name__ == "__main__":
    assert rows_of(sys.argv[1]) == 293
    with multiprocessing.get_context(sys.argv[2]).Pool(1) as pool:
        print(pool.apply_async(rows_of, (sys.argv[1],)).get(60))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_started_otherwise_may_scan(method: str, demo_lake: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(STARTED)
    command = [sys.executable, script, demo_lake, method]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "293"


def test_the_status_is_what_duckdb_gives(demo_lake: str) -> None:
    lake = Lake(demo_lake)
    assert lake.status().equals(lake.sql("FROM status").pl())
    assert lake.status().schema == lake.sql("FROM status").pl().schema
