"""Queries that anyone may type: they see the lake and no other file, and change nothing."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import duckdb

from mica_lake.lake import Lake, message

__all__ = ["FORMATS", "answered", "copied"]

FORMATS = {"csv": "FORMAT csv, HEADER", "json": "FORMAT json, ARRAY", "parquet": "FORMAT parquet, COMPRESSION zstd"}
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
        try:
            return how(*_confined(lake, lake.private_connection(query), query, folder))
        except duckdb.ProgrammingError:
            # What it needs may not be named in its text.
            return how(*_confined(lake, lake.private_connection(), query, folder))
    except (duckdb.ProgrammingError, duckdb.DataError) as error:
        raise ValueError(message(error)) from error
    except duckdb.Error as error:
        raise OSError(message(error)) from error


def copied(lake: Lake, query: str, form: str, folder: Path, most: int | None = None) -> Path:
    r"""
    The file in a folder to which the answer of a query is written, in one of `FORMATS`; its first rows only if `most`.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> query = "SELECT count(*) AS n FROM slot_data('2024:001', '2024:001:00:10', 3)"
    >>> copied(Lake(getfixture("demo_lake")), query, "csv", getfixture("tmp_path")).read_text()
    'n\n293\n'
    """

    def copy(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> Path:
        if statement.type is not duckdb.StatementType.SELECT:
            raise ValueError("a query plan goes to the terminal, as a table")
        text = statement.query.rstrip().rstrip(";")
        rows = f"({text}\n)" if most is None else f"(FROM ({text}\n) LIMIT {int(most)})"
        connection.execute(f"COPY {rows} TO {_quoted(folder / 'answer')} ({FORMATS[form]})")
        return folder / "answer"

    return answered(lake, query, folder, copy)


def _quoted(text: str | os.PathLike[str]) -> str:
    return "'" + os.fspath(text).replace("'", "''") + "'"


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
    connection.execute(f"SET temp_directory = {_quoted(folder / 'spilt')}")
    connection.execute(f"SET allowed_directories = [{_quoted(lake.root)}]")
    connection.execute(f"SET allowed_paths = [{_quoted(folder / 'answer')}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection, statement
