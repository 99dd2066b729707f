"""The fields of a range of time: an obsid, or start and stop."""

from collections.abc import Iterator, Mapping
from typing import Any

import marimo as mo

from mica_lake.explore.link import Given
from mica_lake.explore.observation import interval_of
from mica_lake.lake import Lake
from mica_lake.tables import TABLES
from mica_lake.times import utc

LINE = "{start} {stop} {obsid}"


def extent(lake: Lake, table: str) -> tuple[float, float] | None:
    """The first and the last time of a table; None if it has none."""
    query = "SELECT min(tstart), max(tstop) FROM partition WHERE table_name = $table AND rows > 0"
    ((start, stop),) = lake.sql(query, {"table": table}).fetchall()
    return None if start is None else (start, stop)


def has(lake: Lake, table: str) -> str:
    """What is said of a range without rows: which days there are."""
    found = extent(lake, table)
    return f"the lake has {utc(found[0])[:8]} to {utc(found[1])[:8]}" if found else f"the lake has no {table}"


def last_day(lake: Lake, table: str) -> tuple[str, str]:
    """Start and stop to begin with: the last day of a table by day, everything in any other; to whole seconds."""
    found = extent(lake, table)
    if found is None:
        return "", ""
    start, stop = found
    by_day = "doy" in TABLES[table].keys
    return utc(stop)[:8] if by_day else utc(start)[:17], utc(stop + 0.999)[:17]


def fields_of(given: Given, start: str, stop: str) -> dict[str, Any]:
    """The fields, filled in with a start and a stop."""
    obsid = given.text("obsid", "")
    if obsid:
        start = stop = ""
    return {
        "start": mo.ui.text(given.text("start", start), label="start"),
        "stop": mo.ui.text(given.text("stop", stop), label="stop"),
        "obsid": mo.ui.text(obsid, label="or obsid"),
    }


def times(lake: Lake, typed: Mapping[str, Any]) -> tuple[str, str]:
    """Start and stop as typed, or those of the obsid."""
    if typed["obsid"].strip():
        start, stop = interval_of(lake, an_obsid(typed["obsid"]))
        return utc(start), utc(stop)
    return typed["start"], typed["stop"]


def said(obsid: str, fields: str = "start and stop") -> Iterator[Any]:
    """What is said of an obsid that is given beside times."""
    if obsid.strip():
        yield mo.md(f"Of obsid {an_obsid(obsid)}; what is in {fields} does not count.")


def whole(name: str, typed: str, least: int, most: int) -> int:
    """A typed whole number within bounds."""
    try:
        value = int(typed)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ValueError(f"{name}: {typed!r} is not a whole number from {least} to {most}")
    return value


def an_obsid(typed: str) -> int:
    """A typed obsid."""
    if not typed.strip().isdecimal():
        raise ValueError(f"{typed!r} is not an obsid: give a number")
    return int(typed)
