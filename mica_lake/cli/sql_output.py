"""Answers to SQL that anyone may type: read-only, written where asked for and nowhere else."""

import io
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from mica_lake.lake import Lake
from mica_lake.output import copy, printable
from mica_lake.reading import answered, copied

_TEXT_OR_NAN = re.compile(r'("(?:[^"\\]|\\.)*")|-?Infinity|-?NaN')


def _without_nan(answer: Path) -> Path:
    """Rewrite an answer, one row a line, with null for NaN and infinity, which DuckDB writes and JSON lacks."""
    beside = answer.with_suffix(".json")
    with answer.open(encoding="utf-8", newline="") as lines, beside.open("w", encoding="utf-8", newline="") as out:
        for line in lines:
            out.write(
                _TEXT_OR_NAN.sub(lambda found: found[1] or "null", line) if "NaN" in line or "Inf" in line else line
            )
    return beside


def write_answer(lake: Lake, query: str, form: str, output: Path | None) -> None:
    r"""
    Write the answer of a query.

    The query sees the lake and no other file, and can write nothing. Files and pipes get the values as they are; on a
    terminal, and in tables, control characters of values are escaped.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> lake = Lake(getfixture("demo_lake"))
    >>> path = getfixture("tmp_path") / "n.csv"
    >>> write_answer(lake, "SELECT count(*) AS n FROM slot_data('2024:001', '2024:001:00:10', 3)", "csv", path)
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
        raise ValueError("a table goes to the terminal: say --format csv, json or parquet for a file")
    if form == "parquet" and output is None:
        raise ValueError("Parquet goes to a file: say -o FILE.parquet")
    with TemporaryDirectory(dir=output.absolute().parent if output else None, prefix=".mica-lake-") as folder:
        if form == "table":
            table = answered(lake, query, Path(folder), lambda connection, _: str(connection.sql(query)))
            print(printable(table, lines=True))
            return
        answer = copied(lake, query, form, Path(folder))
        if form == "json":
            answer = _without_nan(answer)
        if output is not None:
            answer.replace(output)
        else:
            with answer.open("rb") as content:
                _to_terminal(content) if sys.stdout.isatty() else copy(content)


def _to_terminal(answer: IO[bytes]) -> None:
    """Print CSV or JSON with control characters in values escaped; a value of CSV may have line breaks."""
    record = ""
    for line in io.TextIOWrapper(answer, encoding="utf-8", newline="\n"):
        record += line
        if record.count('"') % 2 == 0:
            text = record.lstrip("\t")  # JSON is indented
            sys.stdout.write(record.removesuffix(text) + printable(text.removesuffix("\n")) + "\n")
            record = ""
