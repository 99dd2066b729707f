"""Temperatures against time: each value, or statistics of 5 minutes or of days."""

from collections.abc import Iterator
from typing import Any

import marimo as mo
import polars as pl

from mica_lake.explore import pictures, shown, span
from mica_lake.explore.ask import SLOTS
from mica_lake.explore.link import Given
from mica_lake.explore.question import MOST_POINTS, Field, Points, literal, typed_interval
from mica_lake.lake import Lake
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.hdr3_msids import BY_NAME
from mica_lake.times import utc

MSIDS = [name for name, msid in BY_NAME.items() if msid.unit == "°C"]
#: In K in the lake, and of a slot.
COLUMNS = [column.name for column in ACA_L0.columns if column.unit == "K"]
STATISTICS = {"daily": "daily", "5 minutes": "5min", "each value": "full"}


def form(lake: Lake, given: Given) -> Any:
    """The form for temperatures."""
    names = [*MSIDS, *COLUMNS]
    kinds = list(STATISTICS.values())
    kind = given.chosen("statistic", kinds, "full")
    # Of a lake without 8x8 images in slot 6 there is no CCD temperature.
    known = {name for (name,) in lake.sql("SELECT DISTINCT msid FROM hdr3_daily").fetchall()}
    first = [name for name in ("ccd_temp", *MSIDS) if name in known][:1] or ["ccd_temp"]
    elements = {
        **span.fields_of(given, *span.last_day(lake, "hdr3")),
        "temperatures": mo.ui.multiselect(
            names, value=given.several("temperatures", names, first), label="temperatures"
        ),
        "slot": mo.ui.dropdown(
            {slot: int(slot) for slot in SLOTS},
            value=given.chosen("slot", SLOTS, "3"),
            label=f"slot of {COLUMNS[0]} …",
            allow_select_none=False,
        ),
        "statistic": mo.ui.radio(
            STATISTICS,
            value={kind: label for label, kind in STATISTICS.items()}[kind or "full"],
            inline=True,
            label="drawn",
        ),
    }
    return shown.form(f"{span.LINE} {{temperatures}} {{slot}} {{statistic}}", elements)


def _sql(name: str, start: str, stop: str, slot: int, statistic: str) -> str:
    """A temperature in SQL: its values, or their number, mean and range in each bin."""
    first, last = literal(start), literal(stop)
    of_slot = name in COLUMNS
    if statistic == "full":
        rows = f"slot_data({first}, {last}, {slot})" if of_slot else f"hdr3_data({first}, {last})"
        good = " AND QUALITY = 0" if of_slot else ""
        value = f"{name}::DOUBLE - 273.15" if of_slot else name
        return f"SELECT '{name}' AS msid, TIME, {value} AS value\nFROM {rows}\nWHERE {name} IS NOT NULL{good}"
    numbers = ", ".join(f"{one}::DOUBLE - 273.15 AS {one}" if of_slot else one for one in ('"mean"', '"min"', '"max"'))
    of = f" AND slot = {slot}" if of_slot else ""
    return (
        f"SELECT msid, TIME, n, {numbers}\nFROM {'slot' if of_slot else 'hdr3'}_{statistic}\n"
        f"WHERE msid = '{name}'{of} AND TIME BETWEEN cxcsec({first}) AND cxcsec({last})"
    )


def _python(lake: Lake, name: str, start: str, stop: str, statistic: str) -> str:
    stat = "" if statistic == "full" else f', stat="{statistic}"'
    return f'{name} = MSID("{name}", {literal(start)}, {literal(stop)}{stat}, data_root={str(lake.root)!r})'


def answer(
    lake: Lake, start: str, stop: str, obsid: str, temperatures: list[str], slot: int, statistic: str
) -> Iterator[Any]:
    """The answer: a picture with a panel for each, SQL and Python."""
    yield from span.said(obsid)
    if not temperatures:
        raise ValueError(f"which temperatures? Choose some, as {MSIDS[-2]}")
    start, stop = span.times(lake, {"start": start, "stop": stop, "obsid": obsid})
    tstart, tstop = typed_interval(start, stop)
    queries = {name: _sql(name, start, stop, slot, statistic) for name in temperatures}
    found = {name: points(lake, query, statistic, tstop - tstart) for name, query in queries.items()}
    full = {name: known for name, known in found.items() if known is not None}
    yield mo.md(f"From {utc(tstart)} to {utc(tstop)} UTC, in °C.")
    if absent := [name for name in temperatures if name not in full]:
        yield mo.md(f"**0 values** of {', '.join(absent)}; {span.has(lake, 'aca_l0')}")
    if full:
        panels = [(Field(name, "°C", "", True), known) for name, known in full.items()]
        figure = pictures.against_time(panels, tstart, tstop)
        yield shown.picture(figure, f"{', '.join(full)} against time", f"temperatures_{statistic}")
        yield mo.md("Drawn: a dot a value, or bars from the least to the greatest value, and means in orange.")
    query = "\nUNION ALL\n".join(queries.values())
    yield shown.downloads(lake, query, f"temperatures_{statistic}")
    yield mo.md("The same in SQL:")
    yield shown.code("sql", query)
    if msids := [name for name in temperatures if name in MSIDS]:
        lines = [_python(lake, name, start, stop, statistic) for name in msids]
        yield mo.md("and in Python:")
        yield shown.code("python", "\n".join(["from mica_lake.archive.aca_hdr3 import MSID", "", *lines]))


def points(lake: Lake, query: str, statistic: str, seconds: float) -> Points | None:
    """What to draw of a temperature, of more than `MOST_POINTS` rows in as many bins; None if there is nothing."""
    columns = "value, value, value, 1" if statistic == "full" else '"min", "max", "mean", n'
    each = f"WITH each AS (SELECT TIME, {columns} FROM ({query})), known(t, low, high, middle, n) AS (FROM each)"
    ((count,),) = lake.sql(f"{each} SELECT count(*) FROM known").fetchall()
    if not count:
        return None
    binned = count > MOST_POINTS
    width = max(seconds / MOST_POINTS, 1e-3)
    time = "(floor(t / $width) + 0.5) * $width" if binned else "t + 0 * $width"
    frame = pl.DataFrame(
        lake.arrow(
            f"{each} SELECT {time} AS time, min(low)::DOUBLE AS low, max(high)::DOUBLE AS high, "
            "(sum(n * middle) / sum(n))::DOUBLE AS mean FROM known GROUP BY ALL ORDER BY time",
            {"width": width},
        )
    )
    mean = frame["mean"] if binned or statistic != "full" else None
    return Points(frame["time"], frame["low"], frame["high"], mean)
