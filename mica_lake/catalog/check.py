"""What is wrong with a partition's file, judged by the file alone, for `verify` and `reindex`."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.catalog.key import Key
from mica_lake.catalog.partition import Source, read_checked, read_definition, read_sources
from mica_lake.errors import LakeError
from mica_lake.tables.aca_l0 import ACA_L0, SAME_READOUT
from mica_lake.tables.table import Table
from mica_lake.times import day_start

_Flags = NDArray[np.bool_]


def damage(content: bytes, table: Table, key: Key) -> str:
    """
    What is wrong with a partition's file; empty if nothing is.

    All its rows are read: its bytes and values must have the checksums recorded when it was written, its columns must
    be those of the table, in order, each row must be of this day and slot and occur once, and its sources must add up.
    """
    try:
        sources, footer = read_sources(content, table)
        rows = read_checked(content)
        # One made by an older definition may have other columns; it is stale, not damaged.
        return (
            (_columns(rows, table) if read_definition(footer) == table.definition else "")
            or _place(rows.column(table.time), table, key)
            or _order(rows, table)
            or _of_sources(rows, table, key, sources)
        )
    except (LakeError, OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        return str(error)


def _columns(rows: pa.Table, table: Table) -> str:
    """What is wrong with the columns: they must be those declared, in a wide table before all others."""
    declared = table.schema
    if rows.num_columns < len(declared) or (rows.num_columns > len(declared) and not table.wide):
        return f"it has {rows.num_columns} columns, {table.name} has {len(declared)}"
    for field, found in zip(declared, rows.schema, strict=False):
        if (found.name, found.type) != (field.name, field.type):
            return f"column {found.name} is {found.type} where {field.name} {field.type} should be"
    return ""


def span(table: Table, key: Key) -> tuple[float, float]:
    """
    The times that belong to a partition: CXC seconds, end excluded.

    A year begins with its first day; 1998, in a table by year, at minus infinity, so that it has older rows and those
    without a time, too. A leap second belongs to the day it ends.
    """
    if "doy" in table.keys:
        return day_start(key.day), day_start(key.day + timedelta(days=1))
    if "year" not in table.keys:
        return -math.inf, math.inf
    start = -math.inf if key.day.year == 1998 else day_start(key.day)
    return start, day_start(date(key.day.year + 1, 1, 1))


def _place(times: pa.ChunkedArray, table: Table, key: Key) -> str:
    """What is wrong with the times: each row must be of this day, or year."""
    start, stop = span(table, key)
    values = times.to_numpy().astype(float)  # null is NaN
    outside = ~((values >= start) & (values < stop))
    if start == -math.inf:
        outside &= ~np.isnan(values)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        return f"{table.time} {values[row]} in row {row} is of another partition: here are {start} to {stop}"
    return ""


def text_ranks(values: pa.Array) -> NDArray[np.int64]:
    """Ranks of a few different texts that occur often, which compare faster than texts."""
    encoded = values.dictionary_encode()
    order = np.argsort(np.array(encoded.dictionary.to_pylist(), object))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ranks: NDArray[np.int64] = rank[encoded.indices.to_numpy()]
    return ranks


def _steps(rows: pa.Table, name: str) -> tuple[_Flags, _Flags]:
    """Whether a column's value is less than that of the row before, and whether it is the same."""
    values = rows.column(name).combine_chunks()
    compared = values.to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type):
        compared = text_ranks(values)
    return compared[1:] < compared[:-1], compared[1:] == compared[:-1]


def _order(rows: pa.Table, table: Table) -> str:
    """What is wrong with the order of the rows; a table ordered by time alone has each time once."""
    if not table.order or len(rows) < 2:
        return ""
    wrong, same = np.zeros(len(rows) - 1, bool), np.ones(len(rows) - 1, bool)
    for name in table.order:
        less, equal = _steps(rows, name)
        wrong |= same & less
        same &= equal
    if table.order == (table.time,):
        wrong |= same
    for name in table.order_within:
        wrong &= _steps(rows, name)[1]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0]) + 1
        here, before = (
            ", ".join(f"{name} {rows.column(name)[n].as_py()}" for name in table.order) for n in (row, row - 1)
        )
        return f"row {row} is not in order: {here} comes after {before}"
    return ""


def _of_sources(rows: pa.Table, table: Table, key: Key, sources: Sequence[Source]) -> str:
    """What is wrong with the rows: they must be those of the source files named, each readout once."""
    if not table.names_sources:
        return ""
    groups = rows.group_by(["FILENAME", "IMGSIZE"]).aggregate([([], "count_all")]).to_pylist()
    found: dict[tuple[str, int], int] = {(g["FILENAME"], g["IMGSIZE"]): g["count_all"] for g in groups}
    recorded = {(s.filename, s.imgsize): s.rows for s in sources if s.rows}
    if found != recorded:
        name, size = next(iter(found.items() ^ recorded.items()))[0]
        return f"it has {found.get((name, size), 0)} rows of {name}, not {recorded.get((name, size), 0)}"
    for s in sources:
        if s.slot != key.slot:
            return f"{s.filename} is of slot {s.slot}, not {key.slot}"
        if not s.rows <= s.day_rows <= s.file_rows:
            return f"{s.filename}: {s.rows} rows are here, {s.day_rows} are of this day, it has {s.file_rows}"
    return _readouts(rows, key) if table is ACA_L0 else ""


def _readouts(rows: pa.Table, key: Key) -> str:
    columns: dict[str, Any] = {name: rows.column(name).to_numpy() for name in ("TIME", "QUALITY", "IMGNUM1")}
    times = columns["TIME"]
    twice = (np.diff(times) < SAME_READOUT) & ~_steps(rows, "FILENAME")[1] if len(times) else np.zeros(0, bool)
    if twice.any():
        row = int(np.flatnonzero(twice)[0]) + 1
        return f"row {row} is the readout before it again, of another file: TIME {times[row - 1]} and {times[row]}"
    other = (columns["QUALITY"] == 0) & (columns["IMGNUM1"] != key.slot)
    if other.any():
        row = int(np.flatnonzero(other)[0])
        return f"row {row} is of slot {columns['IMGNUM1'][row]}, not {key.slot}"
    return ""
