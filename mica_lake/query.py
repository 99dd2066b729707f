"""SQL queries: what is given to DuckDB, and what is told of its errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mica_lake.tables import TABLES
from mica_lake.times import cxcsec, is_time_object, utc


@contextmanager
def plainly() -> Iterator[None]:
    """Raise what DuckDB says of a wrong query as a ValueError."""
    from duckdb import DataError, ProgrammingError

    try:
        yield
    except (ProgrammingError, DataError) as error:
        raise ValueError(message(error)) from None


def parameter(value: Any) -> Any:
    """A value in a form that DuckDB takes: it knows neither numpy scalars nor astropy's times."""
    if is_time_object(value):
        return cxcsec(value)
    if np.ma.is_masked(value):
        return None  # its item is what lies below the mask
    return value.item() if isinstance(value, np.generic | np.ndarray) and not value.ndim else value


def message(error: Exception) -> str:
    """
    DuckDB's message; if it is about a table that has no view, also what has its rows.

    Parameters
    ----------
    error : Exception
        The error.

    Returns
    -------
    str
        Its message, without the class of error in front of it.
    """
    text = str(error).split("Error: ", 1)[-1]
    # In SQL a date takes longer to write than the query to plan.
    if order := re.fullmatch(r"stop (\S+) is before start (\S+)", text):
        stop, start = map(float, order.groups())
        if 0 <= stop < start < 6.4e9:
            return f"stop {utc(stop)} is before start {utc(start)}"
    absent = re.match(r"Table with name (\w+) does not exist", text)
    table = TABLES.get(absent[1].lower()) if absent else None
    return f"the rows of table {table.name} come with FROM {table.rows}" if table and table.rows else text
