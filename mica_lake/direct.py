"""Rows of a time range straight from the files of a lake on a disk: of a few numbers, a query takes longer to plan."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.buffers import array_of, nulls, numbers
from mica_lake.errors import unusable
from mica_lake.tables.table import Table

# Measured, see docs/performance.md: DuckDB reads more files, and images, on all cores.
_FEW = 4

Only = Mapping[str, Collection[Any]]


def is_quicker(paths: Sequence[str], table: Table, columns: Sequence[str]) -> bool:
    """Whether these columns of these files are read sooner here than by DuckDB."""
    return len(paths) <= _FEW and not any(pa.types.is_nested(table.schema.field(name).type) for name in columns)


def rows_between(
    paths: Sequence[str], table: Table, columns: Sequence[str], start: float, stop: float, only: Only
) -> pa.Table:
    """Rows of some partitions with start <= time <= stop whose columns `only` have one of the values given."""
    from pyarrow.parquet import ParquetFile

    schema = pa.schema([table.schema.field(name) for name in columns])
    found = [pa.Table.from_batches([], schema=schema)]
    for path in paths:
        try:
            with ParquetFile(path, page_checksum_verification=True) as file:
                pieces = _pieces(file, table, columns, start, stop, only)
                found += [piece if piece.schema.equals(schema) else piece.cast(schema) for piece in pieces]
        except FileNotFoundError:
            raise unusable(path, "is not there") from None
        except (OSError, pa.ArrowException) as error:
            # With a number it is what the system says, which may not let us read a good file.
            if getattr(error, "errno", None) is not None:
                raise
            raise unusable(path, f"is damaged ({error})") from error
    return pa.concat_tables(found)


def _pieces(
    file: Any, table: Table, columns: Sequence[str], start: float, stop: float, only: Only
) -> Iterator[pa.Table]:
    """What each row group has of these rows."""
    footer = file.metadata
    time = table.time
    spans = {time: (start, stop)} | {name: (min(values), max(values)) for name, values in only.items()}
    places = {name: footer.schema.names.index(name) for name in spans}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        known = {}
        for name in spans:
            statistics = group.column(places[name]).statistics
            if statistics is not None and statistics.has_min_max and not statistics.null_count:
                known[name] = statistics.min, statistics.max
        if any(known[name][0] > spans[name][1] or known[name][1] < spans[name][0] for name in known):
            continue
        # What all rows of the group fulfil need not be looked at.
        asked = [name for name, values in only.items() if not (name in known and _is_one_of(*known[name], values))]
        if not (time in known and start <= known[time][0] and known[time][1] <= stop):
            asked.append(time)
        rows = file.read_row_group(number, columns=[*dict.fromkeys([*columns, *asked])], use_threads=False)
        chosen = np.ones(len(rows), bool)
        for name in asked:
            chunks = rows.column(name).chunks
            values = np.concatenate([_values(chunk) for chunk in chunks])
            within = (values >= start) & (values <= stop) if name == time else np.isin(values, list(only[name]))
            chosen &= within & ~np.concatenate([nulls(chunk) for chunk in chunks])
        yield _only_chosen(rows.select(columns), chosen) if asked else rows


def _values(array: pa.Array) -> NDArray[Any]:
    """What rows are chosen by."""
    return np.array(array.to_pylist(), object) if pa.types.is_string(array.type) else numbers(array)


def _is_one_of(least: Any, greatest: Any, values: Collection[Any]) -> bool:
    return least == greatest and least in values


def _only_chosen(rows: pa.Table, chosen: NDArray[np.bool_]) -> pa.Table:
    """The chosen rows: a slice where they follow one another, which copies nothing."""
    places = np.flatnonzero(chosen)
    if not len(places):
        return rows.slice(0, 0)
    first, count = int(places[0]), len(places)
    if places[-1] - first + 1 == count:
        return rows.slice(first, count)
    return rows.take(array_of(places))
