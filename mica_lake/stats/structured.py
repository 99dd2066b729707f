"""Tables of statistics as structured arrays, like those of their HDF5 files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.archive.arrays import values_and_mask
from mica_lake.buffers import numbers
from mica_lake.errors import LakeError
from mica_lake.lake import Lake, open_lake
from mica_lake.tables.stat_columns import row_dtype

Root = str | os.PathLike[str] | None
# As many rows as the processor's cache holds while their columns are filled one after the other.
_TOGETHER = 4096
# Rows without a position come last.
_LAST = 2**31 - 1


def rows_of(table: str, filter: bool, data_root: Root, condition: str = "true", **params: int) -> NDArray[np.void]:
    """
    Rows of a table of statistics as a structured array, in the order of their source.

    `table` is ``acq_stats``, ``guide_stats`` or ``vv_rms``; `filter` leaves out rows that are known to be bad, and
    `condition` chooses rows in SQL, with `params` for its parameters.
    """
    lake = open_lake(data_root)
    with _damage_named(table, lake):
        found = lake.arrow(f"{_files(table)} WHERE {condition}{' AND NOT known_bad' if filter else ''}", params)
        return _structured(found, row_dtype(table))


def all_rows(table: str, lake: Lake) -> tuple[NDArray[np.void], NDArray[np.int32]]:
    """All rows as they come, and their positions in their source; there is never more of them in memory than that."""
    with _damage_named(table, lake):
        relation = lake.sql(_files(table))
        ((count,),) = relation.count("*").fetchall()
        rows, positions = np.empty(count, row_dtype(table)), np.empty(count, np.int32)
        done = 0
        for batch in relation.to_arrow_reader(_TOGETHER):
            part = slice(done, done + len(batch))
            for name in rows.dtype.names or ():
                rows[name][part] = _values(batch.column(name), rows.dtype[name])
            positions[part] = batch.column("position").fill_null(_LAST)
            done += len(batch)
        return rows, positions


def _files(table: str) -> str:
    """Rows as the files have them; the view of vv_rms has flags for its numbers."""
    return f"FROM read_parquet(files_of('{table}'), hive_partitioning = false)"


@contextmanager
def _damage_named(table: str, lake: Lake) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, KeyError, RuntimeError, pa.ArrowNotImplementedError) as error:
        if isinstance(error, duckdb.Error) and type(error) is not duckdb.Error:
            raise  # it says what is wrong
        # Without a class of its own, or about columns: what comes of a damaged Parquet footer.
        reason = f"a file of table {table} is damaged ({error}): 'mica-lake verify --lake {lake.root}' names it"
        raise LakeError(reason) from error


def _structured(found: pa.Table, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Rows with these fields, in the order of their positions."""
    if len(found) <= _TOGETHER:
        # The rows of a star come a few at a time, from a file for each year.
        found = found.combine_chunks()
    rows, buffer = np.empty(len(found), dtype), np.empty(min(len(found), _TOGETHER), dtype)
    # Columns are filled in a buffer, and whole rows go from there to their places; numpy copies them faster as bytes.
    as_bytes = np.dtype((np.void, dtype.itemsize))
    placed, filled = rows.view(as_bytes), buffer.view(as_bytes)
    ranks = _ranks(found.column("position"))
    names = dtype.names or ()
    fields = [buffer[name] for name in names]
    for batch in found.select(names).to_batches(_TOGETHER):
        places, ranks = ranks[: len(batch)], ranks[len(batch) :]
        for field, column in zip(fields, batch.columns, strict=True):
            field[: len(batch)] = _values(column, field.dtype)
        placed[places] = filled[: len(batch)]
    return rows


def _ranks(positions: pa.ChunkedArray) -> NDArray[np.int64]:
    """Rank of each row in the order of the source; rows without a position come last, in the order given."""
    values, null = values_and_mask(positions, np.int64)
    if null is not None:
        values[null] = np.iinfo(np.int64).max
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _values(column: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values of a column; NaN where a float is null."""
    if dtype.kind != "S":
        return numbers(column, null=np.nan if dtype.kind == "f" else None)
    # Texts padded to the same length lie one after the other, as in numpy.
    import pyarrow.compute as pc

    padded = pc.ascii_rpad(column, dtype.itemsize, "\0")
    if numbers(pc.binary_length(padded)).max(initial=0) > dtype.itemsize:
        # A text computed by the lake may be longer than the field of the HDF5 table.
        padded = pc.binary_slice(padded.cast(pa.binary()), 0, dtype.itemsize)
    return np.frombuffer(padded.buffers()[2], dtype, len(padded))
