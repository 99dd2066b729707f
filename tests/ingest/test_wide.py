"""Wide tables: which type holds all values of a key, and rows with a column for each."""

from itertools import combinations, permutations
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake.ingest.wide import table_of, widest
from mica_lake.tables.table import Column, Table

TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
TABLE = Table(
    "things",
    (),
    (Column("name", pa.string(), "", "", ""), Column("time", pa.float64(), "s", "", "")),
    row_group_rows=10,
    time="time",
    wide=True,
)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_of_mixed_types_only_integers_and_reals_stay_numbers(count: int) -> None:
    for met in combinations(TYPES.values(), count):
        expected = (
            met[0] if count == 1 else pa.float64() if set(met) == {pa.int64(), pa.float64()} else pa.string()
        )  # fmt: skip
        for order in permutations(met):
            assert widest(order) == expected
            assert widest(iter([*order, *order])) == expected


numbers = st.integers(-(2**53), 2**53)
values = st.one_of(st.booleans(), numbers, st.floats(allow_nan=False), st.text("abcé'\n", max_size=4))
rows = st.dictionaries(st.sampled_from(["a", "b", "A", "é", "", "x.y", "name"]), values)


def table(found: list[dict[str, Any]]) -> tuple[pa.Table, dict[str, pa.DataType]]:
    """The table of some rows, and the types of its keys."""
    types: dict[str, list[pa.DataType]] = {}
    for row in found:
        for key, value in row.items():
            types.setdefault(key, []).append(TYPES[type(value)])
    widths = {key: widest(met) for key, met in types.items()}
    declared = [{"name": f"row {n}", "time": float(n)} for n in range(len(found))]
    return table_of(TABLE, declared, found, widths), widths


@given(st.lists(rows, max_size=5))
def test_each_key_is_a_column_of_its_values_and_nulls(found: list[dict[str, Any]]) -> None:
    made, types = table(found)
    keys = [key for key in types if key != "name"]
    assert made.column_names == ["name", "time", *keys]
    assert made.schema.types == [pa.string(), pa.float64(), *(types[key] for key in keys)]
    assert made.column("name").to_pylist() == [f"row {n}" for n in range(len(found))]
    assert made.column("time").to_pylist() == list(range(len(found)))
    for key in keys:
        for row, value in zip(found, made.column(key).to_pylist(), strict=True):
            if key not in row:
                assert value is None
            elif types[key] == pa.string():
                assert value == (row[key] if isinstance(row[key], str) else repr(row[key]))
            else:
                assert value == row[key]
                assert type(value) is {pa.bool_(): bool, pa.int64(): int, pa.float64(): float}[types[key]]


def test_a_key_that_is_declared_has_no_second_column() -> None:
    made, _ = table([{"name": "another", "time": "noon", "x": 1}])
    assert made.to_pylist() == [{"name": "row 0", "time": 0.0, "x": 1}]


def test_a_key_that_is_null_is_null_whatever_its_type() -> None:
    made, _ = table([{"x": 1, "y": "text", "z": 1.5}, {}])
    assert made.to_pylist()[1] == {"name": "row 1", "time": 1.0, "x": None, "y": None, "z": None}
    made = table_of(TABLE, [{"name": "a", "time": 0.0}], [{"x": None, "y": None}], {"x": pa.int64(), "y": pa.string()})
    assert made.to_pylist() == [{"name": "a", "time": 0.0, "x": None, "y": None}]


def test_columns_keep_the_order_in_which_they_are_given() -> None:
    made = table_of(TABLE, [], [], {"z": pa.int64(), "a": pa.string()})
    assert made.column_names == ["name", "time", "z", "a"]
    assert len(made) == 0
