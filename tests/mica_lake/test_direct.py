"""Rows that are read straight from files are those that DuckDB gives."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake import LakeError
from mica_lake.direct import is_quicker, rows_between
from mica_lake.lake import Lake, open_lake
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec

DAY = cxcsec("2024:001")
# Some with a time that rows can lack, in several row groups, in no order of time, and not by day.
TABLE_NAMES = (
    "aca_l0",
    "hdr3",
    "hdr3_5min",
    "hdr3_daily",
    "slot_daily",
    "asp_sol",
    "starcheck",
    "starcheck_catalog",
    "obspar",
)
CHOICES: dict[str, dict[str, list[Any]]] = {
    "aca_l0": {"IMGSIZE": [4, 6, 8], "QUALITY": [0, 1]},
    "hdr3_5min": {"msid": ["ccd_temp", "dac", "nothing"]},
    "slot_daily": {"msid": ["TEMPCCD", "IMGSUM"], "imgsize": [6, 8]},
}


def plain(name: str) -> list[str]:
    return [field.name for field in TABLES[name].schema if is_quicker([], TABLES[name], [field.name])]


@given(data=st.data())
@pytest.mark.parametrize("name", TABLE_NAMES)
def test_rows_are_those_of_duckdb(name: str, data: st.DataObject, demo_lake: str) -> None:
    lake, table = open_lake(demo_lake), TABLES[name]
    files = lake.files(name, 0.0, 6.4e9)
    query = f"SELECT {table.time} FROM read_parquet($files) WHERE {table.time} IS NOT NULL"
    times = sorted(time for (time,) in lake.connection.execute(query, {"files": files}).fetchall())
    ends = st.sampled_from([times[0], times[len(times) // 3], times[-1], DAY, 0.0]) | st.floats(
        times[0] - 9, times[-1] + 9
    )
    start, stop = sorted([data.draw(ends), data.draw(ends)])
    columns = data.draw(st.lists(st.sampled_from(plain(name)), min_size=1, max_size=4, unique=True))
    choices = {
        column: st.lists(st.sampled_from(of), min_size=1, unique=True) for column, of in CHOICES.get(name, {}).items()
    }
    only = data.draw(st.fixed_dictionaries({}, optional=choices))
    conditions = "".join(f" AND list_contains(${column}, {column})" for column in only)
    selected = ", ".join(f'"{column}"' for column in columns)
    query = f"SELECT {selected} FROM read_parquet($files) WHERE {table.time} BETWEEN $start AND $stop{conditions}"
    relation = lake.connection.sql(query, params={"files": files, "start": start, "stop": stop, **only})
    ours = rows_between(files, table, columns, start, stop, only)
    assert ours.to_pylist() == relation.to_arrow_table().to_pylist()
    assert ours.schema == TABLES[name].schema.empty_table().select(columns).schema
    assert lake.between(name, columns, start, stop, only=only).to_pylist() == ours.to_pylist()


def test_images_and_many_files_are_left_to_duckdb() -> None:
    table = TABLES["aca_l0"]
    assert is_quicker(["a"] * 4, table, ["TIME", "TEMPCCD"])
    assert not is_quicker(["a"] * 5, table, ["TIME", "TEMPCCD"])
    assert not is_quicker(["a"], table, ["TIME", "IMGRAW"])


def test_a_file_that_is_damaged_or_lost_is_named(demo_lake: str, tmp_path: Path) -> None:
    _, file = Lake(demo_lake).files("hdr3", DAY, DAY + 60)
    content = bytearray(Path(file).read_bytes())
    content[len(content) // 3] ^= 1
    copy = tmp_path / "day.parquet"
    copy.write_bytes(content)
    everything = (TABLES["hdr3"], plain("hdr3"), 0.0, 6.4e9, {})
    with pytest.raises(LakeError, match=r"day.parquet is damaged .*'mica-lake verify' names what mends it"):
        rows_between([str(copy)], *everything)
    copy.write_bytes(content[: len(content) // 2])
    with pytest.raises(LakeError, match=r"day.parquet is damaged"):
        rows_between([str(copy)], *everything)
    copy.unlink()
    with pytest.raises(LakeError, match=r"day.parquet is not there: 'mica-lake verify' names what mends it"):
        rows_between([str(copy)], *everything)


def test_what_the_system_says_of_a_file_is_not_taken_for_damage(tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    path.symlink_to(path)
    with pytest.raises(OSError, match=r"symbolic links"):
        rows_between([str(path)], TABLES["hdr3"], ["TIME"], 0.0, 6.4e9, {})


def test_rows_are_not_chosen_by_what_lies_beneath_a_null(demo_lake: str) -> None:
    lake, range_ = Lake(demo_lake), (DAY, DAY + 600)
    # Readouts of 6x6 pixels have no header-3 bytes.
    assert lake.between("aca_l0", ["HD3TLM62"], *range_, slot=3).column(0).null_count == 293
    assert len(lake.between("aca_l0", ["TIME"], *range_, slot=3, only={"HD3TLM62": [0]})) == 0
