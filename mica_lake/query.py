"""SQL queries: what is given to DuckDB, and what is told of its errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mica_lake.errors import near
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec, is_time_object, utc

if TYPE_CHECKING:
    from mica_lake.catalog.objects import Definition


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
    DuckDB's message; if it is about a name that is none of a view, what has these rows, or lists all names.

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
    absent = re.match(r"(?P<kind>Table|(Table |Scalar )?Function) with name (?P<name>\w+) does not exist", text)
    if absent is None:
        return text
    name = absent["name"].lower()
    if absent["kind"] == "Table":
        if name in TABLES and TABLES[name].rows:
            return f"the rows of table {name} come with FROM {TABLES[name].rows}"
        if (called := _object(name)) is not None and called.kind == "table macro":
            return f"{name} takes arguments ({called.arguments}): {called.example}"
    return f"{absent[0]}; FROM lake_objects lists what there is{text[absent.end() :].removeprefix('!')}"


def no_table(name: str) -> str:
    """What to say of a name that is none of a table."""
    if (found := _object(name)) is not None:
        called = found.example if found.parameters else f"FROM {name}"
        return f"{name!r} is no table but a {found.kind}: lake.sql({called!r})"
    return f"there is no table {name!r}{near(name, TABLES)}. The tables are {', '.join(TABLES)}"


def _object(name: str) -> "Definition | None":
    """A view or a macro for people."""
    from mica_lake.catalog.script import definitions

    found = definitions().get(name)
    return found if found is not None and found.example else None
