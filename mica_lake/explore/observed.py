"""Forms and answers about an obsid: all that the lake has of it, and its V&V."""

from collections.abc import Iterator
from typing import Any

import marimo as mo

from mica_lake.explore import shown
from mica_lake.explore.ask import SLOTS
from mica_lake.explore.link import Given
from mica_lake.explore.observation import observation
from mica_lake.explore.page import body, escaped, page
from mica_lake.explore.span import an_obsid
from mica_lake.lake import Lake
from mica_lake.vv import get_arch_vv
from mica_lake.vv.limits import limits

_VV = ("dy_med", "dz_med", "dy_rms", "dz_rms", "rad_off", "mag_med")
_MARKS = {"bad": "✗", "warn": "?"}
_NO_MARK = "\u2007"
# With room for a mark, as the numbers below them have it.
_VV_HEADS = tuple(
    f"{head} {_NO_MARK}" for head in ("dy median", "dz median", "dy rms", "dz rms", "median from 0", "magnitude")
)


def _obsid(lake: Lake, view: str, given: Given) -> Any:
    """The field of an obsid, filled in with the last of a view."""
    last = lake.sql(f"SELECT obsid FROM {view} ORDER BY tstart DESC NULLS LAST LIMIT 1").fetchall()
    return mo.ui.text(given.text("obsid", str(last[0][0]) if last else ""), label="obsid")


def form(lake: Lake, given: Given) -> Any:
    """The form for an observation."""
    return shown.form("{obsid}", {"obsid": _obsid(lake, "obspar", given)})


def answer(lake: Lake, obsid: str) -> Iterator[Any]:
    """What the lake has of an observation."""
    one = observation(lake, an_obsid(obsid))
    yield mo.Html(body(one))
    whole = mo.download(
        lambda: page(one).encode(), filename=f"obsid_{one.obsid}.html", mimetype="text/html", label="HTML"
    )
    yield mo.hstack([whole, mo.md("this page with its pictures, as of 'mica-lake report'")], justify="start")


def vv_form(lake: Lake, given: Given) -> Any:
    """The form for V&V."""
    elements = {
        "obsid": _obsid(lake, "asp_l1_file", given),
        "revision": mo.ui.text(given.text("revision", "last"), label="revision"),
        "slot": mo.ui.dropdown(
            {slot: int(slot) for slot in SLOTS}, value=given.chosen("slot", SLOTS, "3"), label="plots of slot"
        ),
    }
    return shown.form("{obsid} {revision} {slot}", elements)


def vv(lake: Lake, obsid: str, revision: str, slot: int | None) -> Iterator[Any]:
    """Residuals of the slots of an observation, and plots of one."""
    version = revision.strip()
    obi = get_arch_vv(an_obsid(obsid), int(version) if version.isdecimal() else version, lake.root)
    rows, outside = [], []
    for of_slot, report in obi.slot_report.items():
        if "n_pts" not in report:
            rows.append({"slot": of_slot, "type": report["type"], "samples": "0", **dict.fromkeys(_VV_HEADS, "")})
            continue
        found = {o.name: o for o in limits(report)}
        outside += [f"slot {of_slot}: {o.name} {o.value:.3f}, limit {o.limit:g} ({o.level})" for o in found.values()]
        row = {"slot": of_slot, "type": report["type"], "samples": f"{report['n_pts']:,}"}
        for name, head in zip(_VV, _VV_HEADS, strict=True):
            mark = _MARKS[found[name].level] if name in found else _NO_MARK
            value, digits = report[name], 2 if name == "mag_med" else 3
            row[head] = f"{'-' if value is None else format(value, f'z.{digits}f')} {mark}"
        rows.append(row)
    info = obi.info()
    yield mo.Html(
        f"<div><b>obsid {escaped(info['obsid'])}</b>, revision {escaped(info['revision'])}, "
        f"{escaped(info['instrument'])}; arcsec and magnitudes</div>"
    )
    yield shown.lines(rows, right={"samples", *_VV_HEADS})
    yield mo.md("✗ outside the limit, ? to look at" if outside else "All values are inside the limits.")
    yield from map(shown.plain, [*outside, *obi.errors])
    if slot is None:
        return
    if slot in obi.all_slot_data:
        figure: Any = obi.plot_slot(slot)
        yield shown.picture(
            figure, f"residuals and magnitude of slot {slot}", f"obsid_{obsid.strip()}_slot_{slot}", 780
        )
    else:
        yield shown.plain(f"slot {slot} has no data")
