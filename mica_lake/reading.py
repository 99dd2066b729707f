"""Queries that anyone may type: they see the lake and no other file, and change nothing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import duckdb

from mica_lake import export
from mica_lake.catalog.objects import quoted
from mica_lake.lake import Lake
from mica_lake.query import message, plainly

__all__ = ["answered", "written"]

_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?\s+(?P<of>.*)", re.IGNORECASE | re.DOTALL)
_Answer = TypeVar("_Answer")


def answered(
    lake: Lake, query: str, folder: Path, how: Callable[[duckdb.DuckDBPyConnection, duckdb.Statement], _Answer]
) -> _Answer:
    """
    What a function makes of a connection and the statement of a query.

    The connection sees the lake and no other file, and can write nothing but ``answer`` in a folder.

    Raises
    ------
    ValueError
        If the query is wrong, or does not only read.
    OSError
        If it cannot be answered, for lack of memory or of a file.
    """
    try:
        with plainly():
            try:
                return how(*_confined(lake, lake.private_connection(query), query, folder))
            except duckdb.ProgrammingError:
                # What it needs may not be named in its text.
                return how(*_confined(lake, lake.private_connection(), query, folder))
    except duckdb.Error as error:
        raise OSError(message(error)) from None


def written(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, form: str, path: Path, most: int | None = None
) -> tuple[int, list[str]]:
    r"""
    Write an answer, or its first rows if `most`; the number of rows, and what became of nulls.

    Examples
    --------
    >>> lake, folder = demo_lake(), getfixture("tmp_path")
    >>> query = "SELECT count(*) AS n FROM slot_data('2024:001', '2024:001:00:10', 3)"
    >>> answered(lake, query, folder, lambda *asked: written(*asked, ".csv", folder / "answer"))
    (1, [])
    >>> (folder / "answer").read_text()
    'n\n293\n'
    """
    if statement.type is not duckdb.StatementType.SELECT:
        raise ValueError("a query plan goes to the terminal, as a table")
    text = statement.query.rstrip().rstrip(";")
    return export.write(connection, text if most is None else f"FROM ({text}\n) LIMIT {most:d}", form, path)


def _only_reads(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """The one statement of a query, refused unless it only reads; EXPLAIN ANALYZE would execute one that writes."""
    statements = connection.extract_statements(query)
    if len(statements) == 1:
        explained = _EXPLAIN.fullmatch(query) if statements[0].type is duckdb.StatementType.EXPLAIN else None
        reading = connection.extract_statements(explained["of"]) if explained else statements
        if len(reading) == 1 and reading[0].type is duckdb.StatementType.SELECT:
            return statements[0]
    raise ValueError("one SELECT (or FROM …) is taken, nothing that writes")


def _confined(
    lake: Lake, connection: duckdb.DuckDBPyConnection, query: str, folder: Path
) -> tuple[duckdb.DuckDBPyConnection, duckdb.Statement]:
    statement = _only_reads(connection, query)
    # Where a large answer is asked for there is more room than where temporary files are.
    connection.execute(f"SET temp_directory = {quoted(str(folder / 'spilt'))}")
    connection.execute(f"SET allowed_directories = [{quoted(str(lake.root))}]")
    connection.execute(f"SET allowed_paths = [{quoted(str(folder / 'answer'))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection, statement
