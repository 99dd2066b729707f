"""Tables of statistics as structured arrays, as their HDF5 tables have them."""

import operator
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mica_lake.lake import open_lake
from mica_lake.tables.stat_columns import row_dtype

Root = str | os.PathLike[str] | None
# Rows that the processor's cache holds while their columns are filled one after the other.
_TOGETHER = 4096


def rows_of(table: str, filter: bool, data_root: Root, condition: str = "true", **params: int) -> NDArray[np.void]:
    """
    Rows of a table of statistics.

    Parameters
    ----------
    table : str
        ``acq_stats``, ``guide_stats`` or ``vv_rms``.
    filter : bool
        Whether to leave out rows that are known to be bad.
    data_root : path or None
        The lake; `mica_lake.lake.default_root` if None.
    condition : str
        Which rows, in SQL; all by default.
    **params : int
        Values of the condition's parameters, written ``$name``.

    Returns
    -------
    numpy.ndarray
        The rows in the order of the source, of the type `mica_lake.tables.stat_columns.row_dtype`.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    """
    query = f"FROM {table} WHERE {condition}{' AND NOT known_bad' if filter else ''}"
    found = open_lake(data_root).arrow(query, params)
    if len(found) <= _TOGETHER:
        # Those of a star come a few at a time, from a file for each year.
        found = found.combine_chunks()
    dtype = row_dtype(table)
    rows, some = np.empty(len(found), dtype), np.empty(min(len(found), _TOGETHER), dtype)
    # Whole rows go to their places; numpy copies them faster as bytes.
    as_bytes = np.dtype((np.void, dtype.itemsize))
    placed, filled = rows.view(as_bytes), some.view(as_bytes)
    places = _ranks(found.column("position"))
    names = dtype.names or ()
    fields = [some[name] for name in names]
    for batch in found.select(names).to_batches(_TOGETHER):
        here, places = places[: len(batch)], places[len(batch) :]
        for field, column in zip(fields, batch.columns, strict=True):
            field[: len(batch)] = _values(column, field.dtype)
        placed[here] = filled[: len(batch)]
    return rows


def rows_of_star(table: str, agasc_id: Any, filter: bool, data_root: Root) -> NDArray[np.void]:
    """
    Rows of a star.

    Parameters
    ----------
    table, filter, data_root
        As of `rows_of`.
    agasc_id : int
        The star.

    Returns
    -------
    numpy.ndarray
        As of `rows_of`.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If `agasc_id` is no integer.
    """
    try:
        number: Any = float(agasc_id) if isinstance(agasc_id, str) else agasc_id
        whole = isinstance(number, float | np.floating) and number.is_integer()
        star = int(number) if whole else operator.index(number)
    except (TypeError, ValueError):
        raise ValueError(f"agasc_id {agasc_id!r} is no integer") from None
    return rows_of(table, filter, data_root, "agasc_id = $star", star=star)


def _ranks(positions: pa.ChunkedArray) -> NDArray[np.int64]:
    """Place of each row in the order of the source; rows without a position come last, as they are."""
    order = np.argsort(positions.to_numpy(), kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _values(column: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values of a column, of which none is null."""
    if dtype.kind != "S":
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    # Texts filled up to the same length lie one after the other, as numpy has them.
    padded = pc.ascii_rpad(column, dtype.itemsize, "\0")
    if pc.any(pc.greater(pc.binary_length(padded), dtype.itemsize)).as_py():
        # What was computed here may be longer than the field of the HDF5 table.
        padded = pc.binary_slice(padded.cast(pa.binary()), 0, dtype.itemsize)
    return np.frombuffer(padded.buffers()[2], dtype, len(padded))
