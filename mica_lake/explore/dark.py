"""The image of a dark current calibration, whole or a part of it."""

import math
from collections.abc import Iterator
from typing import Any

import marimo as mo
import numpy as np

from mica_lake.archive.aca_dark.dark_cal import get_dark_cal_image
from mica_lake.explore import pictures, shown, span
from mica_lake.explore.link import Given
from mica_lake.lake import Lake

_HALF = 512
_SIZES = [str(2**n) for n in range(10, 3, -1)]


def form(lake: Lake, given: Given) -> Any:
    """The form for an image."""
    query = "SELECT dark_id FROM dark_cal ORDER BY time DESC"
    ids = [dark_id for (dark_id,) in lake.sql(query).fetchall()]
    elements: dict[str, Any] = {
        "calibration": mo.ui.dropdown(
            ids,
            value=given.chosen("calibration", ids, ids[0] if ids else None),
            label="calibration",
            allow_select_none=not ids,
        ),
        "size": mo.ui.dropdown(
            _SIZES, value=given.chosen("size", _SIZES, _SIZES[0]), label="pixels on a side", allow_select_none=False
        ),
        "row": mo.ui.text(given.text("row", "0"), label="around row"),
        "column": mo.ui.text(given.text("column", "0"), label="and column"),
        "least": mo.ui.text(given.text("least", ""), label="colours from", placeholder="1st percentile"),
        "greatest": mo.ui.text(given.text("greatest", ""), label="to (e-/s)", placeholder="99.9th percentile"),
    }
    return shown.form("{calibration} {size} {row} {column} {least} {greatest}", elements)


def _pixel(row: str, column: str) -> tuple[int, int]:
    return span.whole("row", row, -_HALF, _HALF - 1), span.whole("column", column, -_HALF, _HALF - 1)


def _colours(least: str, greatest: str) -> tuple[float | None, float | None]:
    """The range of the colours as typed; None for what is left empty."""
    found: list[float | None] = []
    for name, typed in (("colours from", least), ("to", greatest)):
        try:
            value = float(typed) if typed.strip() else None
        except ValueError:
            value = 0
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name}: {typed!r} is not a number above 0, which colours are logarithmic in")
        found.append(value)
    low, high = found
    if low is not None and high is not None and high <= low:
        raise ValueError(f"to: {greatest!r} is not above {least!r}, where the colours begin")
    return low, high


def answer(
    lake: Lake, calibration: str | None, size: str, row: str, column: str, least: str = "", greatest: str = ""
) -> Iterator[Any]:
    """The image around a pixel."""
    if calibration is None:
        raise ValueError("the lake has no dark current calibrations: 'mica-lake ingest dark_cal' takes them into it")
    side = int(size)
    first = [min(max(middle + _HALF - side // 2, 0), 2 * _HALF - side) for middle in _pixel(row, column)]
    whole = get_dark_cal_image(calibration, data_root=lake.root, select="nearest")
    part = whole[first[0] : first[0] + side, first[1] : first[1] + side]
    row0, col0 = (one - _HALF for one in first)
    at = divmod(int(part.argmax()), side)
    ((date, ccd_temp),) = lake.sql(
        "SELECT date, ccd_temp FROM dark_cal WHERE dark_id = $dark_id", {"dark_id": calibration}
    ).fetchall()
    where = f"rows {row0} to {row0 + side - 1}, columns {col0} to {col0 + side - 1}"
    figure = pictures.dark_image(part, row0, col0, f"dark current {calibration}, {where}", *_colours(least, greatest))
    yield mo.md(
        f"{date}{'' if ccd_temp is None else f', CCD at {ccd_temp:.2f} °C'}: mean {part.mean():,.1f} e-/s, "
        f"median {np.median(part):,.1f}, greatest {part.max():,.0f} at row {row0 + at[0]}, "
        f"column {col0 + at[1]}. Colours are logarithmic."
    )
    yield shown.picture(figure, f"dark current, {where}", f"dark_{calibration}", 860)
