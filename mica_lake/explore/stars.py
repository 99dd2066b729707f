"""The images of all slots over some minutes, to be played and stepped through."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import marimo as mo
import matplotlib

from mica_lake.explore import shown, span
from mica_lake.explore.link import Given
from mica_lake.explore.question import typed_interval
from mica_lake.lake import Lake
from mica_lake.output import printable
from mica_lake.times import utc

MOST_MINUTES = 30
_QUERY = """
    SELECT TIME, IMGSIZE, IMGROW0, IMGCOL0, IMGRAW, BGDAVG, QUALITY, TEMPCCD::DOUBLE - 273.15 AS celsius, FILENAME
    FROM slot_data($start, $stop, $slot)
"""


def form(lake: Lake, given: Given) -> Any:
    """The form for star images."""
    known = span.extent(lake, "aca_l0")
    start = utc(known[1] - 600)[:17] if known else ""
    obsid = given.text("obsid", "")
    elements = {
        "start": mo.ui.text(given.text("start", "" if obsid else start), label="start"),
        "obsid": mo.ui.text(obsid, label="or obsid"),
        "minutes": mo.ui.text(given.text("minutes", "10"), label="minutes"),
    }
    return shown.form("{start} {obsid} {minutes}", elements)


def _start(lake: Lake, start: str, obsid: str) -> float:
    first, _ = span.times(lake, {"start": start, "stop": start, "obsid": obsid})
    return typed_interval(first, first)[0]


def answer(lake: Lake, start: str, obsid: str, minutes: str) -> Iterator[Any]:
    """A player of the images."""
    yield from span.said(obsid, "start")
    tstart = _start(lake, start, obsid)
    tstop = tstart + 60 * span.whole("minutes", minutes, 1, MOST_MINUTES)
    slots = [images(lake, slot, tstart, tstop) for slot in range(8)]
    count = sum(len(slot["TIME"]) for slot in slots)
    between = f"from {utc(tstart)} to {utc(tstop)} UTC"
    if not count:
        yield mo.md(f"**0 images** {between}; {span.has(lake, 'aca_l0')}")
        return
    yield mo.md(f"**{count:,} images** {between}")
    times = sorted({time for slot in slots for time in slot["TIME"]})
    data = {"slots": slots, "times": times, "dates": list(map(utc, times)), "colors": _colors()}
    # Nothing in a text can end the script.
    text = json.dumps(data).replace("<", "\\u003c")
    page = Path(__file__).with_name("player.html").read_text(encoding="utf-8").replace("'DATA'", text)
    yield mo.iframe(page, height="800px")


def images(lake: Lake, slot: int, start: float, stop: float) -> dict[str, list[Any]]:
    """The images of a slot and what is known of each, column by column."""
    rows: dict[str, list[Any]] = lake.arrow(_QUERY, {"start": start, "stop": stop, "slot": slot}).to_pydict()
    rows["FILENAME"] = [printable(name) for name in rows["FILENAME"]]
    rows["celsius"] = [None if value is None else round(float(value), 2) for value in rows["celsius"]]
    return rows


def _colors() -> list[str]:
    cividis = matplotlib.colormaps["cividis"]
    return [f"#{''.join(f'{part:02x}' for part in cividis(n, bytes=True)[:3])}" for n in range(256)]
