"""
The columns of the acquisition and guide star statistics and of the V&V residuals, as their HDF5 tables have them.

They are declared in ``stat_columns.csv``: name, numpy type, unit and meaning, in the order of the tables.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class StatColumn:
    """
    A column of a table of statistics.

    Attributes
    ----------
    table : str
        ``acq_stats``, ``guide_stats`` or ``vv_rms``.
    name : str
        Its name.
    dtype : str
        Its numpy type in the HDF5 table: a text of so many bytes, an integer, a real, a boolean.
    unit : str
        Its unit, empty where it has none.
    meaning : str
        What it is.
    """

    table: str
    name: str
    dtype: str
    unit: str
    meaning: str

    @property
    def type(self) -> pa.DataType:
        """Its type in the lake."""
        dtype = np.dtype(self.dtype)
        return pa.string() if dtype.kind == "S" else pa.from_numpy_dtype(dtype)


def _read() -> tuple[StatColumn, ...]:
    with resources.files("mica_lake.tables").joinpath("stat_columns.csv").open(encoding="utf-8") as file:
        return tuple(StatColumn(**row) for row in csv.DictReader(file))


#: All of them, table by table.
STAT_COLUMNS = _read()


def columns_of(table: str) -> tuple[StatColumn, ...]:
    """
    The columns of a table.

    Parameters
    ----------
    table : str
        ``acq_stats``, ``guide_stats`` or ``vv_rms``.

    Returns
    -------
    tuple of StatColumn
        Its columns, in order.

    Examples
    --------
    >>> [column.name for column in columns_of("acq_stats")][:3]
    ['obsid', 'obi', 'acq_start']
    """
    return tuple(column for column in STAT_COLUMNS if column.table == table)


@cache
def row_dtype(table: str) -> np.dtype[np.void]:
    """
    A row of a table.

    Parameters
    ----------
    table : str
        ``acq_stats``, ``guide_stats`` or ``vv_rms``.

    Returns
    -------
    numpy.dtype
        Its type, packed, in native byte order.

    Examples
    --------
    >>> row_dtype("guide_stats")["kalman_datestart"]
    dtype('S21')
    """
    return np.dtype([(column.name, np.dtype(column.dtype).newbyteorder("=")) for column in columns_of(table)])
