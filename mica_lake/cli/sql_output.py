"""Answers to SQL that anyone may type: read-only, written where asked for and nowhere else."""

import io
import re
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import duckdb

from mica_lake import export
from mica_lake.lake import Lake
from mica_lake.nothing import empty_ranges
from mica_lake.output import copy, printable
from mica_lake.reading import answered, written

_FEW, _LINES = 100, 40
_NAMES = {"parquet": "Parquet", "fits": "FITS", "npy": "npy"}


def write_answer(lake: Lake, query: str, form: str, output: Path | None) -> None:
    r"""
    Write the answer of a query, and say what is in the file if it goes to one.

    The query sees the lake and no other file, and can write nothing. Files and pipes get the values as they are; on a
    terminal, and in tables, control characters of values are escaped.

    Examples
    --------
    >>> lake = demo_lake()
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
    if form in _NAMES and output is None:
        raise ValueError(f"{_NAMES[form]} goes to a file: say -o FILE.{form}")
    with TemporaryDirectory(dir=output.absolute().parent if output else None, prefix=".mica-lake-") as folder:
        target = Path(folder) / "answer"

        def how(
            connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement
        ) -> tuple[str, int, list[str], list[str]]:
            table, rows, nulls = "", 0, list[str]()
            if form == "table":
                table = _boxed(connection.sql(query))
            else:
                rows, nulls = written(connection, statement, f".{form}", target)
            return table, rows, nulls, list(empty_ranges(lake, connection, query))

        table, rows, nulls, empty = answered(lake, query, Path(folder), how)
        if form == "table":
            print(printable(table, lines=True))
        elif output is not None:
            target.replace(output)
            export.say(output, rows, nulls)
        else:
            with target.open("rb") as content:
                _to_terminal(content) if sys.stdout.isatty() else copy(content)
    for said in empty:
        from mica_lake.terminal import Terminal, escape

        Terminal(stderr=True).print(escape(said), soft_wrap=True, highlight=False)


def _boxed(relation: duckdb.DuckDBPyRelation) -> str:
    """
    An answer as a table, as wide as the terminal.

    DuckDB breaks long texts into lines only while all lines are fewer than those that it shows of a long answer; of one
    of a hundred rows or less nobody wants texts cut, or columns left out, for that.
    """
    width = shutil.get_terminal_size((120, 24)).columns
    table = _shown(relation, max_width=width)
    counted = re.search(r"^ +(\d+) rows?\b", table, re.MULTILINE)
    rows = int(counted[1]) if counted else 1
    if "…" in table and rows <= _FEW:
        narrow = {"max_col_width": 10} if len(relation.columns) * 13 < width else {}
        table = _shown(relation, max_width=width, max_rows=rows * _LINES, **narrow)
    return table


def _shown(relation: duckdb.DuckDBPyRelation, **options: Any) -> str:
    shown = io.StringIO()
    with redirect_stdout(shown):
        relation.show(**options)
    return shown.getvalue().removesuffix("\n")


def _to_terminal(answer: IO[bytes]) -> None:
    """Print CSV or JSON with control characters in values escaped; a value of CSV may have line breaks."""
    record = ""
    for line in io.TextIOWrapper(answer, encoding="utf-8", newline="\n"):
        record += line
        if record.count('"') % 2 == 0:
            text = record.lstrip("\t")  # JSON is indented
            sys.stdout.write(record.removesuffix(text) + printable(text.removesuffix("\n")) + "\n")
            record = ""
