"""What is in the lake: its tables, and the days that each has rows of."""

from typing import Any

import marimo as mo
import polars as pl

from mica_lake.explore import pictures, shown
from mica_lake.lake import Lake
from mica_lake.tables import TABLES


def tables(lake: Lake) -> list[str]:
    """The tables that have rows."""
    known = lake.status().filter(pl.col("rows") > 0, pl.col("start").is_not_null())
    return [name for name in known["table_name"] if name in TABLES]


def status(lake: Lake) -> Any:
    """What is in the lake, one line for each table."""
    known = lake.status()
    if not known.height:
        return mo.callout(mo.plain_text("the lake is empty: 'mica-lake ingest' takes files into it"), kind="warn")
    lines = [
        {
            "table": row["table_name"],
            "from": (row["start"] or "")[:8],
            "to": (row["stop"] or "")[:8],
            "days": "" if row["days"] is None else f"{row['days']:,} of {row['span']:,}",
            "rows": f"{row['rows']:,}",
            "MB": f"{row['bytes'] / 1e6:,.3f}",
        }
        for row in known.rows(named=True)
    ]
    return shown.lines(lines, right={"days", "rows", "MB"})


def coverage(lake: Lake, table: str | None) -> Any:
    """The days, or years, that a table has rows for."""
    if table is None:
        return mo.md("")
    days = lake.sql("SELECT year, doy, rows FROM coverage($table)", {"table": table}).fetchall()
    keys = TABLES[table].keys
    if "doy" in keys:
        what = f"Rows of {table} by day{', of all slots' if 'slot' in keys else ''}; white: none."
        figure = pictures.calendar(days)
        return mo.vstack([mo.md(what), shown.picture(figure, f"days with rows of {table}", f"{table}_days")])
    if "year" in keys:
        figure = pictures.bars([(year, rows) for year, _, rows in days])
        return shown.picture(figure, f"rows of {table} by year", f"{table}_years")
    return mo.md("This table is one file.")
