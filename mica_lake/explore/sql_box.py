"""A box for SQL that only reads, with the views and macros there are."""

import threading
from collections.abc import Iterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import marimo as mo
import polars as pl

from mica_lake.explore import shown
from mica_lake.explore.link import Given
from mica_lake.lake import Lake
from mica_lake.nothing import empty_ranges
from mica_lake.reading import answered

MOST_ROWS = 1000
MOST_SECONDS = 60
_INDENT = "margin: 0.1em 0 0 1.5em; overflow-wrap: anywhere"
_FIRST = "SELECT table_name, rows, start, stop\nFROM status"


def form(given: Given) -> Any:
    """The form for a query."""
    query = mo.ui.text_area(given.text("query", _FIRST), rows=6, label="query", full_width=True)
    return shown.form("{query}", {"query": query}, "Ctrl+Enter")


def objects(lake: Lake) -> Any:
    """The views and macros, with their arguments, what they give and an example."""
    found: dict[str, list[str]] = {}
    for kind, name, arguments, gives, example in lake.sql(
        "SELECT kind, name, arguments, gives, example FROM lake_objects ORDER BY name"
    ).fetchall():
        called = escape(name if kind == "view" else f"{name}({arguments})")
        said = f'<dd style="{_INDENT}">{escape(gives)}</dd><dd style="{_INDENT}"><code>{escape(example)}</code></dd>'
        found.setdefault(kind, []).append(f'<dt style="margin-top: 0.8em"><code><b>{called}</b></code></dt>{said}')
    heads = {"view": "Views", "table macro": "Macros of rows, after FROM", "macro": "Macros of values"}
    listed = "".join(
        f'<p style="margin-top: 1.2em"><b>{head}</b></p><dl>{"".join(found[kind])}</dl>' for kind, head in heads.items()
    )
    return mo.Html(f"<details><summary>Views and macros, with their arguments and examples</summary>{listed}</details>")


def answer(lake: Lake, query: str) -> Iterator[Any]:
    """The first rows of the answer of a query."""
    with TemporaryDirectory(prefix="mica-lake-") as folder:
        rows, empty = answered(
            lake, query, Path(folder), lambda one, asked: (_first_rows(one, asked), [*empty_ranges(lake, one, query)])
        )
    if rows.height > MOST_ROWS:
        yield mo.md(f"**The first {MOST_ROWS:,} rows**; there are more.")
    else:
        yield mo.md(f"**{'1 row' if rows.height == 1 else f'{rows.height:,} rows'}**")
    yield from map(shown.plain, empty)
    yield shown.table(rows.head(MOST_ROWS))
    yield shown.downloads(lake, query, "answer")


def _first_rows(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> pl.DataFrame:
    """One row more than are shown."""
    if statement.type is not duckdb.StatementType.SELECT:
        raise ValueError("the page takes one SELECT (or FROM …); 'mica-lake sql' also shows query plans")
    timer = threading.Timer(MOST_SECONDS, connection.interrupt)
    timer.start()
    try:
        rows = connection.sql(statement.query).limit(MOST_ROWS + 1).to_arrow_table()
    except duckdb.InterruptException:
        raise ValueError(f"it took longer than {MOST_SECONDS} s: ask for less, or with 'mica-lake sql'") from None
    finally:
        timer.cancel()
    return pl.DataFrame(rows.rename_columns(_distinct(rows.column_names)))


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, numbered where SQL gave one twice."""
    return [name if names.index(name) == n else f"{name}_{n}" for n, name in enumerate(names)]
