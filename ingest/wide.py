"""Wide tables: a typed column for each key that occurs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mica_lake.tables.table import Table


def widest(types: Iterable[pa.DataType]) -> pa.DataType:
    """
    The type that can hold the values of several types.

    Examples
    --------
    >>> widest([pa.int64(), pa.float64()])
    DataType(double)
    """
    met = set(types)
    if len(met) == 1:
        return met.pop()
    return pa.float64() if met == {pa.int64(), pa.float64()} else pa.string()


def table_of(
    table: Table, declared: Sequence[Mapping[str, Any]], keys: Sequence[Mapping[str, Any]], types: Mapping[str, Any]
) -> pa.Table:
    """Rows of a wide table."""
    columns = [pa.array([row[c.name] for row in declared], c.type) for c in table.columns]
    fields = [pa.field(c.name, c.type) for c in table.columns]
    for name, type_ in types.items():
        if name in table.by_name:
            continue
        values = [row.get(name) for row in keys]
        if type_ == pa.float64():
            # Of an integer that no double is, the nearest; the other table has its text.
            values = [None if v is None else float(v) for v in values]
        if type_ == pa.string():
            values = [None if v is None else v if isinstance(v, str) else repr(v) for v in values]
        columns.append(pa.array(values, type_))
        fields.append(pa.field(name, type_))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
