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
from mica_lake.reading import answered

MOST_ROWS = 1000
MOST_SECONDS = 60
_FIRST = "SELECT table_name, rows, start, stop\nFROM status"
_OBJECTS = """
    SELECT 'view' AS kind, view_name AS name, '' AS arguments
    FROM duckdb_views()
    WHERE NOT internal
    UNION ALL
    SELECT
        if(function_type = 'table_macro', 'rows from a macro', 'value from a macro'),
        function_name,
        '(' || array_to_string(parameters, ', ') || ')'
    FROM duckdb_functions()
    WHERE NOT internal AND function_type IN ('macro', 'table_macro') AND NOT ends_with(function_name, '_files')
    ORDER BY ALL
"""


def form(given: Given) -> Any:
    """The form for a query."""
    query = mo.ui.text_area(given.text("query", _FIRST), rows=6, label="query", full_width=True)
    return mo.md("{query}").batch(query=query).form(submit_button_label="Show")


def objects(lake: Lake) -> Any:
    """The views and macros, with their arguments."""
    found: dict[str, list[str]] = {}
    for kind, name, arguments in lake.connection.sql(_OBJECTS).fetchall():
        found.setdefault(kind, []).append(f"{name}{arguments}")
    listed = "".join(
        f"<p><b>{escape(kind)}</b></p><p>{', '.join(f'<code>{escape(one)}</code>' for one in names)}</p>"
        for kind, names in sorted(found.items(), key=lambda each: each[0] != "view")
    )
    return mo.Html(f"<details><summary>Views and macros, with their arguments</summary>{listed}</details>")


def answer(lake: Lake, query: str) -> Iterator[Any]:
    """The first rows of the answer of a query."""
    with TemporaryDirectory(prefix="mica-lake-") as folder:
        rows = answered(lake, query, Path(folder), _first_rows)
    if rows.height > MOST_ROWS:
        yield mo.md(f"**The first {MOST_ROWS:,} rows**; there are more.")
    else:
        yield mo.md(f"**{'1 row' if rows.height == 1 else f'{rows.height:,} rows'}**")
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
