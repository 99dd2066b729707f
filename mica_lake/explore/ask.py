"""Questions about a table: a form, and the answer with its picture, rows, SQL and Python."""

from collections.abc import Iterator
from typing import Any

import marimo as mo

from mica_lake.explore import pictures, shown, span
from mica_lake.explore.link import Given
from mica_lake.explore.question import MOST_ROWS, Question, fields, needs_slot, takes_slot
from mica_lake.lake import Lake
from mica_lake.tables import TABLES
from mica_lake.times import utc

MOST_PANELS = 6
SLOTS = [str(slot) for slot in range(8)]


def form(lake: Lake, table: str, given: Given) -> Any:
    """The form for questions about a table."""
    known = fields(lake, table)
    numbers = [name for name, field in known.items() if field.drawn and name != TABLES[table].time]
    likely: list[str] = [name for name in ("TEMPCCD", "ccd_temp", "ra", "ang_y", "value") if name in numbers]
    elements = span.fields_of(given, *span.last_day(lake, table))
    columns = given.several("columns", known, (likely or numbers)[:1])
    elements["columns"] = mo.ui.multiselect(list(known), value=columns, label="columns")
    line = f"{span.LINE} {{columns}}"
    if takes_slot(TABLES[table]):
        elements["slot"] = mo.ui.dropdown(
            {slot: int(slot) for slot in SLOTS},
            value=given.chosen("slot", SLOTS, "3"),
            label="slot",
            allow_select_none=not needs_slot(TABLES[table]),
        )
        line = f"{span.LINE} {{slot}} {{columns}}"
    return shown.form(line, elements)


def answer(
    lake: Lake, table: str, start: str, stop: str, obsid: str, columns: list[str], slot: int | None = None
) -> Iterator[Any]:
    """The answer about the rows of a table."""
    yield from span.said(obsid)
    start, stop = span.times(lake, {"start": start, "stop": stop, "obsid": obsid})
    asked = Question(lake, table, start, stop, columns, slot)
    tstart, tstop = asked.interval
    between = f"from {utc(tstart)} to {utc(tstop)} UTC"
    if asked.count:
        yield mo.md(f"**{'1 row' if asked.count == 1 else f'{asked.count:,} rows'}** {between}")
        yield from _drawn(asked)
        yield mo.md(f"The first {MOST_ROWS:,} rows:" if asked.count > MOST_ROWS else "The rows:")
        yield shown.table(asked.rows())
        yield shown.downloads(lake, asked.sql, table)
    else:
        yield mo.md(f"**0 rows** {between}; {span.has(lake, table)}")
    yield mo.md("The same in SQL:")
    yield shown.code("sql", asked.sql)
    yield mo.md("and in Python:")
    yield shown.code("python", asked.python)


def _drawn(asked: Question) -> Iterator[Any]:
    """The picture of a question's columns, and what is said of columns that have no values."""
    full = [field for field in asked.drawn if len(asked.points[field.name].time)]
    if absent := [field.name for field in asked.drawn if field not in full]:
        yield shown.plain(f"no values of {', '.join(absent)} in these rows")
    if full:
        drawn = full[:MOST_PANELS]
        seconds = asked.bin_seconds
        how = "a dot a row" if seconds is None else f"from least to greatest value in each {_duration(seconds)}"
        more = f", the first {MOST_PANELS} columns" if len(full) > MOST_PANELS else ""
        figure = pictures.against_time([(f, asked.points[f.name]) for f in drawn], *asked.interval)
        yield shown.picture(figure, f"{', '.join(f.name for f in drawn)} against time", asked.table)
        yield mo.md(f"Drawn: {how}{more}.")


def _duration(seconds: float) -> str:
    for unit, length in (("day", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}s" if unit == "day" else f"{seconds / length:.1f} {unit}"
    return f"{seconds:.3g} s"
