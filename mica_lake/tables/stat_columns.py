"""
The columns of the acquisition and guide star statistics and of the V&V residuals, as in their HDF5 tables.

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
    """A column of ``acq_stats``, ``guide_stats`` or ``vv_rms``, with its numpy type in the HDF5 table."""

    table: str
    name: str
    dtype: str
    unit: str
    meaning: str

    @property
    def type(self) -> pa.DataType:
        """The type in the lake."""
        dtype = np.dtype(self.dtype)
        return pa.string() if dtype.kind == "S" else pa.from_numpy_dtype(dtype)


def _read() -> tuple[StatColumn, ...]:
    with resources.files("mica_lake.tables").joinpath("stat_columns.csv").open(encoding="utf-8") as file:
        return tuple(StatColumn(**row) for row in csv.DictReader(file))


#: The columns of all tables.
STAT_COLUMNS = _read()


def columns_of(table: str) -> tuple[StatColumn, ...]:
    """
    The columns of ``acq_stats``, ``guide_stats`` or ``vv_rms``, in order.

    Examples
    --------
    >>> [column.name for column in columns_of("acq_stats")][:3]
    ['obsid', 'obi', 'acq_start']
    """
    return tuple(column for column in STAT_COLUMNS if column.table == table)


@cache
def row_dtype(table: str) -> np.dtype[np.void]:
    """
    The type of a row of ``acq_stats``, ``guide_stats`` or ``vv_rms``, packed, in native byte order.

    Examples
    --------
    >>> row_dtype("guide_stats")["kalman_datestart"]
    dtype('S21')
    """
    return np.dtype([(column.name, np.dtype(column.dtype).newbyteorder("=")) for column in columns_of(table)])
