"""What the page shows: forms, and the answers to them."""

import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import marimo as mo
import polars as pl

from mica_lake.errors import LakeError, MissingDataError
from mica_lake.explore import pictures
from mica_lake.explore.observation import observation
from mica_lake.explore.page import body, escaped
from mica_lake.explore.question import MOST_ROWS, Question, fields, needs_slot, takes_slot, typed_interval
from mica_lake.lake import Lake, message
from mica_lake.output import printable
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec, utc
from mica_lake.vv import get_arch_vv
from mica_lake.vv.limits import limits

MOST_PANELS = 6
MOST_IMAGES = 2000
_VV = ("dy_med", "dz_med", "dy_rms", "dz_rms", "rad_off", "mag_med")
_VV_HEADS = ("dy median", "dz median", "dy rms", "dz rms", "median from 0", "magnitude")
_MARKS = {"bad": "✗", "warn": "?"}


@contextmanager
def caught() -> Iterator[list[Any]]:
    """Show an error as a message on the page."""
    shown: list[Any] = []
    try:
        yield shown
    except (ValueError, LakeError, MissingDataError, OSError) as error:
        shown.append(_callout(str(error)))
    except duckdb.Error as error:
        shown.append(_callout(message(error)))


def _callout(text: str) -> Any:
    return mo.callout(plain(text), kind="danger")


def plain(text: str) -> Any:
    """A text with its line breaks, taken neither for Markdown nor for HTML, without control characters."""
    return mo.Html(
        f'<div style="white-space: pre-wrap; overflow-wrap: anywhere">{html.escape(printable(text, lines=True))}</div>'
    )


def _code(language: str, text: str) -> str:
    """A block of code in Markdown that nothing in the text can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text, lines=True)}\n{fence}"


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
    return _lines(lines, right={"days", "rows", "MB"})


def _lines(lines: list[dict[str, str]], right: set[str]) -> Any:
    """A plain table whose whole text is in the page."""
    names = list(lines[0])
    side = {name: "right" if name in right else "left" for name in names}

    def cell(tag: str, name: str, text: str) -> Any:
        return f'<{tag} style="text-align: {side[name]}; padding: 2px 22px 2px 0">{escaped(text)}</{tag}>'

    head = "".join(cell("th", name, name) for name in names)
    body = "".join(f"<tr>{''.join(cell('td', n, line[n]) for n in names)}</tr>" for line in lines)
    return mo.Html(
        '<div style="width: fit-content"><table style="font-size: 0.85rem">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def coverage(lake: Lake, table: str | None) -> Any:
    """The days, or years, that a table has rows for."""
    if table is None:
        return mo.md("")
    days = lake.sql("SELECT year, doy, rows FROM coverage($table)", {"table": table}).fetchall()
    keys = TABLES[table].keys
    if "doy" in keys:
        what = f"Rows of {table} by day{', of all slots' if 'slot' in keys else ''}; white: none."
        picture = mo.image(pictures.png(pictures.calendar(days)), alt=f"days with rows of {table}")
        return mo.vstack([mo.md(what), picture])
    if "year" in keys:
        chart = pictures.bars([(year, rows) for year, _, rows in days])
        return mo.image(pictures.png(chart), alt=f"rows of {table} by year")
    return mo.md("This table is one file.")


def problem(typed: dict[str, Any] | None) -> str | None:
    """What is wrong with the times typed into a form, to be shown in it."""
    try:
        typed_interval((typed or {})["start"], (typed or {})["stop"])
    except ValueError as error:
        return printable(str(error))
    return None


def _last_day(lake: Lake, table: str) -> tuple[str, str]:
    """Start and stop to begin with: the last day of a table by day, everything in any other; to whole seconds."""
    start, stop = _extent(lake, table)
    by_day = "doy" in TABLES[table].keys
    return utc(stop)[:8] if by_day else utc(start)[:17], utc(stop + 0.999)[:17]


def _extent(lake: Lake, table: str) -> tuple[float, float]:
    """The first and the last time of a table that has rows."""
    query = "SELECT min(tstart), max(tstop) FROM partition WHERE table_name = $table"
    ((start, stop),) = lake.sql(query, {"table": table}).fetchall()
    return start, stop


def form(lake: Lake, table: str) -> Any:
    """The form for questions about a table."""
    start, stop = _last_day(lake, table)
    known = fields(lake, table)
    numbers = [name for name, field in known.items() if field.drawn and name != TABLES[table].time]
    likely = [name for name in ("TEMPCCD", "ccd_temp", "ra", "ang_y", "ccd_temp", "value") if name in numbers]
    slots = {str(slot): slot for slot in range(8)}
    elements: dict[str, Any] = {
        "start": mo.ui.text(start, label="start"),
        "stop": mo.ui.text(stop, label="stop"),
        "columns": mo.ui.multiselect(list(known), value=(likely or numbers)[:1], label="columns"),
    }
    line = "{start} {stop} {columns}"
    if takes_slot(TABLES[table]):
        may_be_none = not needs_slot(TABLES[table])
        elements["slot"] = mo.ui.dropdown(slots, value="3", label="slot", allow_select_none=may_be_none)
        line = "{start} {stop} {slot} {columns}"
    return mo.md(line).batch(**elements).form(submit_button_label="Show", validate=problem)


def answer(lake: Lake, table: str, start: str, stop: str, columns: list[str], slot: int | None = None) -> list[Any]:
    """The answer about the rows of a table."""
    asked = Question(lake, table, start, stop, columns, slot)
    tstart, tstop = asked.interval
    if asked.count:
        rows = "1 row" if asked.count == 1 else f"{asked.count:,} rows"
        shown: list[Any] = [mo.md(f"**{rows}** from {utc(tstart)} to {utc(tstop)} UTC"), *_drawn(asked)]
        note = f"The first {MOST_ROWS:,} rows; the SQL below gives all:" if asked.count > MOST_ROWS else "The rows:"
        shown += [mo.md(note), _first_rows(asked.rows())]
    else:
        first, last = (utc(secs)[:8] for secs in _extent(lake, table))
        shown = [mo.md(f"**0 rows** from {utc(tstart)} to {utc(tstop)} UTC; the lake has {first} to {last}")]
    shown += [
        mo.md(f"The same in SQL:\n{_code('sql', asked.sql)}"),
        mo.md(f"and in Python:\n{_code('python', asked.python)}"),
    ]
    return shown


def _drawn(asked: Question) -> Iterator[Any]:
    """The pictures of a question's columns, and what is said of columns that have no values."""
    full = [field for field in asked.drawn if len(asked.points[field.name].time)]
    if absent := [field.name for field in asked.drawn if field not in full]:
        yield plain(f"no values of {', '.join(absent)} in these rows")
    if full:
        drawn = full[:MOST_PANELS]
        seconds = asked.bin_seconds
        how = "a dot a row" if seconds is None else f"from least to greatest value in each {_duration(seconds)}"
        more = f", the first {MOST_PANELS} columns" if len(full) > MOST_PANELS else ""
        picture = pictures.against_time([(f, asked.points[f.name]) for f in drawn], *asked.interval)
        yield mo.image(pictures.png(picture), alt="values against time")
        yield mo.md(f"Drawn: {how}{more}.")


def _first_rows(rows: pl.DataFrame) -> Any:
    # No download: who takes these rows away would take them for all.
    rows = rows.with_columns(pl.col(pl.String).map_elements(printable, pl.String))
    short: dict[str, str | Callable[..., Any]] = {
        name: _seven_digits for name, type_ in rows.schema.items() if type_ == pl.Float32
    }
    return mo.ui.table(
        rows, selection=None, page_size=10, show_column_summaries=False, show_download=False, format_mapping=short
    )


def _seven_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.7g}"


def _duration(seconds: float) -> str:
    for unit, length in (("day", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}s" if unit == "day" else f"{seconds / length:.1f} {unit}"
    return f"{seconds:.3g} s"


def star_form(lake: Lake) -> Any:
    """The form for star images."""
    stops = lake.status().filter(table_name="aca_l0")["stop"].to_list()
    start = utc(cxcsec(stops[0]) - 600)[:17] if stops else ""
    return (
        mo.md("{start} {minutes} {slot}")
        .batch(
            start=mo.ui.text(start, label="start"),
            minutes=mo.ui.number(1, 30, value=10, label="minutes"),
            slot=mo.ui.dropdown(
                {str(slot): slot for slot in range(8)}, value="3", label="slot", allow_select_none=False
            ),
        )
        .form(submit_button_label="Show", bordered=True)
    )


def star_times(lake: Lake, start: str, minutes: float, slot: int) -> tuple[list[float], Any]:
    """Times of the images of a slot."""
    first = Question(lake, "aca_l0", start, start, [], slot).interval[0]
    last = first + 60 * minutes
    query = "SELECT TIME FROM slot_data($start, $stop, $slot) LIMIT $most"
    params = {"start": first, "stop": last, "slot": slot, "most": MOST_IMAGES}
    times = lake.arrow(query, params).column("TIME").to_pylist()
    return times, mo.md(f"**{len(times):,} images** of slot {slot} from {utc(first)} to {utc(last)} UTC")


def star_image(lake: Lake, time: float, slot: int) -> list[Any]:
    """The image of a slot at a time."""
    readout = lake.arrow("FROM slot_data($time, $time, $slot) LIMIT 1", {"time": time, "slot": slot})
    row = readout.to_pylist()[0]
    ccd = row["TEMPCCD"]
    facts = {
        "time": f"{row['TIME']:.3f} s",
        "size": f"{row['IMGSIZE']}x{row['IMGSIZE']}",
        "quality": "good" if row["QUALITY"] == 0 else "bad",
        "integration": f"{row['INTEG']:.3f} s" if row["INTEG"] is not None else "",
        "sum": f"{sum(row['IMGRAW']):,.0f} DN",
        "background": f"{row['BGDAVG']} DN" if row["BGDAVG"] is not None else "",
        "CCD temperature": f"{ccd - 273.15:.2f} °C" if ccd is not None else "",
        "file": row["FILENAME"],
    }
    known = [{"": name, " ": value} for name, value in facts.items() if value]
    picture = mo.image(pictures.png(pictures.star_image(readout)), alt=f"image of slot {slot}", width=520)
    return [mo.hstack([picture, _lines(known, right=set())], justify="start", align="center", gap=2)]


def observation_form(lake: Lake) -> Any:
    """The form for an observation."""
    last = lake.sql("SELECT obsid FROM obspar ORDER BY tstart DESC NULLS LAST LIMIT 1").fetchall()
    element = mo.ui.text(str(last[0][0]) if last else "", label="obsid")
    return mo.md("{obsid}").batch(obsid=element).form(submit_button_label="Show", bordered=True)


def an_observation(lake: Lake, obsid: str) -> list[Any]:
    """What the lake has of an observation."""
    return [mo.Html(body(observation(lake, _obsid(obsid))))]


def _obsid(typed: str) -> int:
    if not typed.strip().isdecimal():
        raise ValueError(f"{typed!r} is not an obsid: give a number")
    return int(typed)


def vv_form(lake: Lake) -> Any:
    """The form for V&V."""
    last = lake.sql("SELECT obsid FROM asp_l1_file ORDER BY tstart DESC NULLS LAST LIMIT 1").fetchall()
    return (
        mo.md("{obsid} {revision}")
        .batch(
            obsid=mo.ui.text(str(last[0][0]) if last else "", label="obsid"),
            revision=mo.ui.text("last", label="revision"),
        )
        .form(submit_button_label="Show", bordered=True)
    )


def vv(lake: Lake, obsid: str, revision: str) -> list[Any]:
    """Residuals of the slots of an observation."""
    version = revision.strip()
    obi = get_arch_vv(_obsid(obsid), int(version) if version.isdecimal() else version, lake.root)
    lines, outside = [], []
    for slot, report in obi.slot_report.items():
        if "n_pts" not in report:
            lines.append({"slot": slot, "type": report["type"], "samples": "0", **dict.fromkeys(_VV_HEADS, "")})
            continue
        found = {o.name: o for o in limits(report)}
        outside += [f"slot {slot}: {o.name} {o.value:.3f}, limit {o.limit:g} ({o.level})" for o in found.values()]
        line = {"slot": slot, "type": report["type"], "samples": f"{report['n_pts']:,}"}
        for name, head in zip(_VV, _VV_HEADS, strict=True):
            mark = _MARKS[found[name].level] if name in found else "\u2007"
            value, digits = report[name], 2 if name == "mag_med" else 3
            line[head] = f"{'-' if value is None else format(value, f'z.{digits}f')} {mark}"
        lines.append(line)
    info = obi.info()
    shown = [
        mo.Html(
            f"<div><b>obsid {escaped(info['obsid'])}</b>, revision {escaped(info['revision'])}, "
            f"{escaped(info['instrument'])}; arcsec and magnitudes</div>"
        ),
        _lines(lines, right={"samples", *_VV_HEADS}),
        mo.md("✗ outside the limit, ? to look at" if outside else "All values are inside the limits."),
    ]
    return shown + [plain(text) for text in [*outside, *obi.errors]]
