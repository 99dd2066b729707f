"""An observation as HTML: a page that needs nothing else, or a part of one."""

import base64
import html
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from mica_lake.explore import pictures
from mica_lake.explore.observation import Observation
from mica_lake.output import printable
from mica_lake.tables import TABLES
from mica_lake.times import utc

__all__ = ["body", "escaped", "page"]

_MAIN = (
    "object", "title", "observer", "seq_num", "instrume", "detector", "grating", "obs_mode", "datamode", "readmode",
    "date_obs", "date_end", "sched_exp_time", "ra_targ", "dec_targ", "ra_pnt", "dec_pnt", "roll_pnt", "sim_z_offset",
)  # fmt: skip
_DIGITS = {"point_ra": 6, "point_dec": 6, "point_roll": 6, "ccd_temp": 2, "pred_ccd_temp": 1}
_MARKS = {"bad": "✗", "warn": "?"}
_NONE = "\u2013"
_STYLE = """
.observation { font: 14px/1.45 system-ui, sans-serif; }
.observation h1 { font-size: 1.7em; font-weight: 700; margin: 0.4em 0; }
.observation h2 { font-size: 1.2em; font-weight: 600; margin: 1.8em 0 0.4em; border-bottom: 1px solid #8888; }
.observation p { margin: 0.6em 0; }
.observation table { border-collapse: collapse; margin: 0.6em 0; font-size: 0.92em; }
.observation th, .observation td { padding: 2px 7px; text-align: left; border-bottom: 1px solid #8883; }
.observation td.number { text-align: right; font-variant-numeric: tabular-nums; }
.observation td.bad { color: light-dark(#b30000, #ff9b8f); font-weight: bold; }
.observation td.warn { color: light-dark(#9a5b00, #ffc266); font-weight: bold; }
.observation .wide { overflow-x: auto; }
.observation img { max-width: 100%; }
.observation .none { color: light-dark(#666, #aaa); font-style: italic; }
"""
# Nothing is run and nothing is fetched, whatever the page has in it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def escaped(text: object) -> str:
    """
    A text as HTML that shows it, without control characters.

    Examples
    --------
    >>> escaped("<script>")
    '&lt;script&gt;'
    """
    return html.escape(printable(str(text)))


def page(one: Observation) -> str:
    """
    A whole page, with its pictures in it.

    Parameters
    ----------
    one : Observation
        The observation.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> from mica_lake.explore.observation import observation
    >>> page(observation(demo_lake(), 32448)).splitlines()[0]
    '<!DOCTYPE html>'
    """
    return (
        '<!DOCTYPE html>\n<html lang="en" style="color-scheme: light dark">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>obsid {one.obsid}</title>\n</head>\n"
        f'<body style="max-width: 1100px; margin: 1.5em auto; padding: 0 1em">\n{body(one)}</body>\n</html>\n'
    )


def body(one: Observation) -> str:
    """
    What a page shows of an observation, to be put into one.

    Parameters
    ----------
    one : Observation
        The observation.

    Returns
    -------
    str
        HTML: an element with its style.

    Examples
    --------
    >>> from mica_lake import Lake
    >>> from mica_lake.explore.observation import observation
    >>> "5 of 8 acquired" in body(observation(demo_lake(), 32448))
    True
    """
    name = one.parameter("object")
    parts = [
        f"<style>{_STYLE}</style>",
        f"<h1>obsid {one.obsid}{f': {escaped(name)}' if name else ''}</h1>",
        *_section("What it was", _what(one)),
        *_section("Star catalog", _catalog(one)),
        *_section("Acquisition", _acquired(one)),
        *_section("Guide stars and fid lights", _guided(one)),
        *_section("Verification and validation", _vv(one)),
        *_section("CCD temperature", _temperature(one)),
    ]
    return '<div class="observation">\n' + "\n".join(parts) + "\n</div>\n"


def _section(title: str, parts: Iterable[str]) -> Iterator[str]:
    yield f"<h2>{title}</h2>"
    yield from parts


def _said(text: str) -> str:
    return f"<p>{escaped(text)}</p>"


def _none(what: str) -> str:
    return f'<p class="none">no {escaped(what)} of this obsid</p>'


def _what(one: Observation) -> Iterator[str]:
    if one.start is not None and one.stop is not None:
        yield _said(f"From {utc(one.start)} to {utc(one.stop)} UTC, {(one.stop - one.start) / 1000:.3f} ks.")
    if not one.parameters.height:
        yield _none("observation parameters (obspar)")
        return
    parameters = _described(one.parameters.select("name", "value", "description"))
    yield _said(f"Observation parameters, revision {one.parameters['revision'][0]}.")
    yield _table(pl.DataFrame({"name": _MAIN}).join(parameters, on="name", maintain_order="left"))
    yield f"<details><summary>all {parameters.height} parameters</summary>{_table(parameters)}</details>"


def _described(parameters: pl.DataFrame) -> pl.DataFrame:
    """Parameters without what only repeats their names, as "Obs id" does obs_id."""
    name, description = (
        pl.col(one).fill_null("").str.to_lowercase().str.replace_all("[^a-z0-9]", "") for one in ("name", "description")
    )
    said = parameters.with_columns(description=pl.when(name != description).then("description").otherwise(pl.lit("")))
    return said if (said["description"] != "").any() else said.drop("description")


def _catalog(one: Observation) -> Iterator[str]:
    if one.load is not None:
        yield _said(f"Load {one.load}, {one.status}.")
    if not one.planned.height:
        yield _none("load review, and so no star catalog")
        return
    (planned,) = one.planned.iter_rows(named=True)
    yield "<table>"
    for name, value in planned.items():
        if value is not None:
            of = "starcheck_pred_temp" if name == "pred_ccd_temp" else "starcheck"
            yield f"<tr>{_head(of, name)}<td>{escaped(_text(name, value))}</td></tr>"
    yield "</table>"
    if one.catalog.height:
        yield _picture(pictures.catalog(one.catalog, one.acquired), "the star catalog on the CCD")
        yield _table(one.catalog, "starcheck_catalog")
    else:
        yield _none("star catalog")
    yield _said("What the checks of the load review found:" if one.findings.height else "The checks found nothing.")
    if one.findings.height:
        yield _table(one.findings)


def _acquired(one: Observation) -> Iterator[str]:
    if not one.acquired.height:
        yield _none("acquisition statistics")
        return
    yield _said(f"{one.acquired['acqid'].sum()} of {one.acquired.height} acquired.")
    yield _table(one.acquired.drop("known_bad", "bad_comment"), "acq_stats")
    yield from _known_bad(one.acquired)


def _guided(one: Observation) -> Iterator[str]:
    if not one.guided.height:
        yield _none("guide statistics")
        return
    yield _table(one.guided.drop("known_bad", "bad_comment"), "guide_stats")
    yield from _known_bad(one.guided)


def _known_bad(rows: pl.DataFrame) -> Iterator[str]:
    """What is said of the rows that statistics leave out."""
    for slot, comment in rows.filter("known_bad").select("slot", "bad_comment").iter_rows():
        yield _said(f"Slot {slot} is known to be bad: {comment or 'no comment'}.")


def _vv(one: Observation) -> Iterator[str]:
    if not one.residuals.height:
        yield _none("V&V")
        return
    levels = {(row["slot"], row["name"]): row["level"] for row in one.outside.iter_rows(named=True)}
    which = "which is the default" if one.residuals["isdefault"][0] else "the last, as none is the default"
    yield _said(f"Residuals of revision {one.residuals['revision'][0]}, {which}.")
    yield _table(one.residuals.drop("revision", "isdefault"), "vv_rms", levels)
    yield _said("✗ outside the limit, ? to look at:" if one.outside.height else "All values are inside the limits.")
    if one.outside.height:
        yield _table(one.outside)


def _temperature(one: Observation) -> Iterator[str]:
    if one.start is None or one.stop is None:
        yield _none("time, and so no CCD temperature")
    elif one.temperature is None:
        yield _none("CCD temperature in header 3 (table hdr3)")
    else:
        known = one.temperature
        yield _said(
            f"From {known.least:.2f} to {known.greatest:.2f} °C, mean {known.mean:.2f} °C, of {known.count:,} readouts."
        )
        picture = pictures.against_time([(known.field, known.points)], one.start, one.stop)
        yield _picture(picture, "temperature of the CCD against time")


def _picture(figure: Figure, alt: str) -> str:
    return f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(pictures.png(figure)).decode()}">'


def _table(rows: pl.DataFrame, of: str = "", levels: Mapping[tuple[Any, str], str] | None = None) -> str:
    """Rows, their columns named as in a table of the lake; `levels` says which values of a slot are outside."""
    lines = []
    for row in rows.iter_rows(named=True):
        cells = []
        for name, value in row.items():
            level = (levels or {}).get((row.get("slot"), name), "")
            number = "number" if rows.schema[name].is_numeric() else ""
            mark = f" {_MARKS[level]}" if level else ""
            cells.append(f'<td class="{number} {level}">{escaped(_text(name, value))}{mark}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(_head(of, name) for name in rows.columns)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _head(of: str, name: str) -> str:
    """The head of a column, with its unit, and with its meaning when it is pointed at."""
    column = TABLES[of].by_name.get(name) if of else None
    if column is None:
        return f"<th>{escaped(name)}</th>"
    unit = f" ({escaped(column.unit)})" if column.unit else ""
    return f'<th title="{escaped(column.meaning)}">{escaped(name)}{unit}</th>'


def _text(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:z.{_DIGITS.get(name, 3)}f}" if isinstance(value, float) else str(value)
