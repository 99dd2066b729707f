"""Answers to SQL that anyone may type: read-only, written where asked for and nowhere else."""

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import duckdb

from mica_lake.catalog.objects import definitions_in
from mica_lake.catalog.script import parts
from mica_lake.cli import export
from mica_lake.cli.nothing import nothing
from mica_lake.lake import Lake
from mica_lake.output import copy, printable
from mica_lake.query import message, plainly
from mica_lake.tables import TABLES

_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?\s+(?P<of>.*)", re.IGNORECASE | re.DOTALL)
_NAMES = {"parquet": "Parquet", "fits": "FITS", "npy": "npy"}

# The file, the number of its rows, and what became of nulls.
_Written = tuple[Path, int, list[str]]


def _only_reads(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """The one statement of a query, refused unless it only reads; EXPLAIN ANALYZE would execute one that writes."""
    statements = connection.extract_statements(query)
    if len(statements) == 1:
        explained = _EXPLAIN.fullmatch(query) if statements[0].type is duckdb.StatementType.EXPLAIN else None
        reading = connection.extract_statements(explained["of"]) if explained else statements
        if len(reading) == 1 and reading[0].type is duckdb.StatementType.SELECT:
            return statements[0]
    raise ValueError("one SELECT (or FROM …) is taken, nothing that writes")


def write_answer(lake: Lake, query: str, form: str, output: Path | None) -> None:
    r"""
    Write the answer of a query, and say what is in the file if it goes to one.

    The query sees the lake and no other file, and can write nothing. Files and pipes get the values as they are; on a
    terminal, and in tables, control characters of values are escaped.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> lake = Lake(getfixture("demo_lake"))
    >>> path = getfixture("tmp_path") / "n.csv"
    >>> write_answer(lake, "SELECT count(*) AS n FROM slot_data('2024:001', '2024:001:00:10', 3)", "csv", path)
    /.../n.csv: 1 row, 6 bytes
    >>> path.read_text()
    'n\n293\n'
    """
    try:
        if not query.isascii():
            # Where the locale is not UTF-8, Python has not decoded what was typed.
            query = query.encode(errors="surrogateescape").decode()
    except UnicodeDecodeError:
        raise ValueError(f"{query!r} is not UTF-8, as SQL is") from None
    if form == "table" and output is not None:
        raise ValueError("a table goes to the terminal: say --format csv, json, parquet, fits or npy for a file")
    if form in ("parquet", "fits", "npy") and output is None:
        raise ValueError(f"{_NAMES[form]} goes to a file: say -o FILE.{form}")
    with TemporaryDirectory(dir=output.absolute().parent if output else None, prefix=".mica-lake-") as folder:
        try:
            with plainly():
                try:
                    connection = lake.private_connection(query)
                    answer = _answer(lake, connection, query, form, Path(folder))
                except duckdb.ProgrammingError:
                    # What it needs may not be named in its text.
                    connection = lake.private_connection()
                    answer = _answer(lake, connection, query, form, Path(folder))
        except duckdb.Error as error:
            raise OSError(message(error)) from None
        if answer is not None:
            target, rows, nulls = answer
            if output is not None:
                target.replace(output)
                export.say(output, rows, nulls)
            else:
                with target.open("rb") as content:
                    _to_terminal(content) if sys.stdout.isatty() else copy(content)
    for said in _empty_ranges(lake, connection, query):
        from mica_lake.terminal import Terminal, escape

        Terminal(stderr=True).print(escape(said), soft_wrap=True, highlight=False)


def _empty_ranges(lake: Lake, connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[str]:
    """What to say of the macros in a query whose range of times has no rows, whatever the query makes of that."""
    ((parsed,),) = connection.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchall()
    for call in _table_functions(json.loads(parsed)):
        if (table := _table_of(call["function"]["function_name"].lower())) is None:
            continue
        begin = call["query_location"]
        asked = query.encode()[begin : begin + call["query_location_length"]].decode()
        asked = asked[: asked.rindex(")") + 1]  # without its alias
        try:
            is_empty = not connection.execute(f"SELECT 1 FROM {asked} LIMIT 1").fetchall()
        except duckdb.Error:  # its range is of a row of another table
            continue
        if is_empty:
            yield f"{asked}: {nothing('rows', [table], lake)}"


def _table_of(macro: str) -> str | None:
    """The table whose rows of a range of times a macro gives."""
    for part in parts().values():
        if macro in part.defines and (made := definitions_in(part.text).get(macro)) is not None:
            files = re.search(r"(\w+)_files\(", made.body)
            if made.kind == "table macro" and {"start", "stop"} <= made.parameters.keys() and files:
                return files[1] if files[1] in TABLES else None
    return None


def _table_functions(parsed: Any) -> Iterator[dict[str, Any]]:
    if isinstance(parsed, dict):
        if parsed.get("type") == "TABLE_FUNCTION":
            yield parsed
        parsed = list(parsed.values())
    if isinstance(parsed, list):
        for each in parsed:
            yield from _table_functions(each)


def _answer(lake: Lake, connection: duckdb.DuckDBPyConnection, query: str, form: str, folder: Path) -> _Written | None:
    """Write the answer to a file in a folder, or print it if it is a table."""
    target = folder / "answer"
    statement = _only_reads(connection, query)
    # Where a large answer is asked for there is more room than where temporary files are.
    connection.execute(f"SET temp_directory = {export.quoted(folder / 'spilt')}")
    connection.execute(f"SET allowed_directories = [{export.quoted(lake.root)}]")
    connection.execute(f"SET allowed_paths = [{export.quoted(target)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    if form != "table" and statement.type is not duckdb.StatementType.SELECT:
        raise ValueError("a query plan goes to the terminal, as a table")
    if form == "table":
        print(printable(str(connection.sql(query)), lines=True))
        return None
    text = statement.query.rstrip().rstrip(";")
    return target, *export.write(connection, text, f".{form}", target)


def _to_terminal(answer: IO[bytes]) -> None:
    """Print CSV or JSON with control characters in values escaped; a value of CSV may have line breaks."""
    record = ""
    for line in io.TextIOWrapper(answer, encoding="utf-8", newline="\n"):
        record += line
        if record.count('"') % 2 == 0:
            text = record.lstrip("\t")  # JSON is indented
            sys.stdout.write(record.removesuffix(text) + printable(text.removesuffix("\n")) + "\n")
            record = ""
