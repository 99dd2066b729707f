"""What is said of a query that is wrong: one message, without DuckDB's own traceback."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from mica_lake.tables import TABLES
from mica_lake.times import utc


def message(error: duckdb.Error) -> str:
    """
    DuckDB's message; if it is about a table that has no view, also what has its rows.

    Parameters
    ----------
    error : duckdb.Error
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


@contextmanager
def in_short() -> Iterator[None]:
    """Make a ValueError of what DuckDB says of a query that is wrong."""
    try:
        yield
    except (duckdb.ProgrammingError, duckdb.DataError) as error:
        raise ValueError(message(error)) from None
