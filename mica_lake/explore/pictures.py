"""Pictures on the page: the coverage of a table, values against time, a star image, a star catalog."""

import io
import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from astropy.time import Time
from matplotlib import dates
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mica_lake.explore.question import Field, Points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR = "#0072B2"
_WIDTH, _DPI = 10.5, 130
# What the entries of a star catalog are called, their colour, marker and filling, by type. The colour-blind can tell
# these colours apart.
_ENTRIES = {
    "BOT": ("star to acquire and track", COLOR, "o", COLOR),
    "ACQ": ("star to acquire", COLOR, "o", "none"),
    "GUI": ("star to track", "black", "o", "black"),
    "FID": ("fid light", "#D55E00", "P", "#D55E00"),
    "MON": ("monitor window", "#009E73", "D", "none"),
}
_SPOILER = "#CC79A7"
# Logarithmic colours begin no lower (e-/s), unless that is asked for.
_LEAST_DARK = 1.0
_MEAN = "#D55E00"
# Half of the CCD (arcsec): 512 pixels of nearly 5.
_HALF_CCD = 2560
_FEWEST_DAYS = 31
_MONTHS = [date(2024, month, 1) for month in range(1, 13)]


def png(figure: Figure) -> bytes:
    """A figure as a picture."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    return content.getvalue()


def calendar(days: Sequence[tuple[int, int, int]]) -> Figure:
    """A line for each year and a cell for each day, coloured by its number of rows; white where there are none."""
    first, last = days[0][0], days[-1][0]
    rows = np.full((last - first + 1, 366), np.nan)
    for year, doy, count in days:
        rows[year - first, doy - 1] = count
    height = 0.15 * max(len(rows), 4)
    figure = Figure(figsize=(_WIDTH, 1.0 + height), layout="constrained")
    axes = figure.subplots()
    begin, end = _days_shown(min(doy for _, doy, _ in days), max(doy for _, doy, _ in days))
    mesh = axes.pcolormesh(
        np.arange(0.5, 367), np.arange(first - 0.5, last + 1), rows, cmap="cividis_r", vmin=0, vmax=np.nanmax(rows)
    )
    step = 50 if end - begin > 200 else 10 if end - begin > 60 else 5
    axes.set_xticks([doy for doy in (1, *range(step, 367, step)) if begin <= doy <= end])
    axes.set(xlabel="day of year", ylim=(last + 0.5, first - 0.5), xlim=(begin - 0.5, end + 0.5))
    axes.set_yticks(range(first, last + 1, 1 + len(rows) // 16))
    above = axes.secondary_xaxis("top")
    starts = [month.timetuple().tm_yday for month in _MONTHS]
    # Each month's name is over the middle of what is seen of it.
    seen = [
        ((max(start, begin) + min(after - 1, end)) / 2, f"{month:%b}")
        for month, start, after in zip(_MONTHS, starts, [*starts[1:], 367], strict=True)
        if start <= end and begin < after
    ]
    above.set_xticks([place for place, _ in seen], [name for _, name in seen])
    above.tick_params(length=0)
    for start in starts[1:]:
        axes.axvline(start - 0.5, color="0.85", lw=0.6, zorder=0)
    bar = figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.02, aspect=8 * height, format="{x:,.0f}")
    bar.ax.set_title("rows", fontsize="medium")
    return figure


def _days_shown(first: int, last: int) -> tuple[int, int]:
    """From which day of the year to which: those that there are, but no fewer than can be seen well."""
    missing = max(_FEWEST_DAYS - (last - first + 1), 0)
    begin = min(max(first - missing // 2, 1), 366 - (last - first) - missing)
    return begin, begin + last - first + missing


def bars(years: Sequence[tuple[int, int]]) -> Figure:
    """The number of rows in each year."""
    figure = Figure(figsize=(_WIDTH, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.bar([year for year, _ in years], [rows for _, rows in years], color=COLOR, width=0.8)
    axes.set(xlabel="year", ylabel="rows", xlim=(years[0][0] - 1, years[-1][0] + 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def against_time(drawn: Iterable[tuple[Field, Points]], start: float, stop: float) -> Figure:
    """
    Values against time: a dot for each, or a bar from the least to the greatest in each bin.

    Gaps stay gaps.
    """
    panels = list(drawn)
    figure = Figure(figsize=(_WIDTH, 0.7 + 2.1 * len(panels)), layout="constrained")
    for axes, (field, points) in zip(
        figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels, strict=True
    ):
        when = _dates(points.time.to_numpy())
        low, high = points.low.to_numpy(), points.high.to_numpy()
        single = low == high
        axes.vlines(when[~single], low[~single], high[~single], color=COLOR, lw=1)
        axes.plot(when[single], low[single], ".", color=COLOR, ms=3)
        if points.mean is not None:
            axes.plot(when, points.mean.to_numpy(), ".", color=_MEAN, ms=2)
        axes.set_ylabel(field.label)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.grid(color="0.9", lw=0.6)
        axes.set_axisbelow(True)
    first, last = _dates(np.array([start, stop]))
    axes.set_xlim(first, last if last > first else first + 1 / 86400)
    locator = dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    axes.set_xlabel("UTC")
    return figure


def _dates(secs: Any) -> Any:
    return dates.date2num(Time(secs, format="cxcsec").utc.datetime64) if len(secs) else np.array([])


def dark_image(
    image: NDArray[Any], row0: int, col0: int, title: str, least: float | None = None, greatest: float | None = None
) -> Figure:
    """
    A dark current image, or a part that begins at a row and a column, in logarithmic colours.

    These are from the 1st to the 99.9th percentile, as a few hot pixels would make all others grey.
    """
    low, high = np.percentile(image, [1, 99.9])
    if least is None:
        least = min(max(float(low), _LEAST_DARK), math.inf if greatest is None else greatest / 1.1)
    greatest = max(float(high), 1.1 * least) if greatest is None else greatest
    figure = Figure(figsize=(8.6, 7.4), layout="constrained")
    axes: Axes = figure.subplots()
    rows, cols = image.shape
    shown = axes.imshow(
        np.maximum(image, least),
        origin="lower",
        cmap="cividis",
        norm=LogNorm(least, greatest),
        extent=(col0 - 0.5, col0 + cols - 0.5, row0 - 0.5, row0 + rows - 0.5),
        interpolation="nearest",
    )
    axes.set(xlabel="CCD column (pixel)", ylabel="CCD row (pixel)", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    label = f"dark current (e-/s), colours from {least:,.4g} to {greatest:,.4g}"
    figure.colorbar(shown, ax=axes, label=label, extend="both", format="{x:,.4g}")
    return figure


def catalog(entries: pl.DataFrame, acquired: pl.DataFrame) -> Figure:
    """
    The entries of a star catalog on the CCD, each with its number and search box.

    Of spoilers is known what the load review found about an entry, and where one was tracked in its acquisition.
    """
    figure = Figure(figsize=(8.2, 5.9), layout="constrained")
    axes: Axes = figure.subplots()
    axes.add_patch(Rectangle((-_HALF_CCD, -_HALF_CCD), 2 * _HALF_CCD, 2 * _HALF_CCD, fc="0.97", ec="0.5", label="CCD"))
    axes.axhline(0, color="0.85", lw=0.6)
    axes.axvline(0, color="0.85", lw=0.6)
    placed = entries.filter(pl.col("yang").is_not_null() & pl.col("zang").is_not_null())
    for (kind,), rows in placed.group_by("type", maintain_order=True):
        name, color, marker, filling = _ENTRIES.get(str(kind), ("another entry", "0.4", "s", "none"))
        # The brighter the larger.
        size = 20 + 16 * (11 - rows["mag"].fill_null(11).fill_nan(11).to_numpy()).clip(0, 5)
        axes.scatter(rows["yang"], rows["zang"], s=size, marker=marker, fc=filling, ec=color, label=name, zorder=3)
        for row in rows.iter_rows(named=True):
            y, z, half = row["yang"], row["zang"], row["halfw"]
            if half is not None:
                axes.add_patch(Rectangle((y - half, z - half), 2 * half, 2 * half, fc="none", ec=color, lw=0.9))
            corner = y + (half or 0), z + (half or 0)
            axes.annotate(str(row["idx"]), corner, (3, 1), textcoords="offset points", fontsize="small", color=color)
    _spoilers(
        axes, placed.filter("spoiler"), acquired.filter(pl.col("spoiler_tracked") & pl.col("yang_obs").is_finite())
    )
    edge = 1.06 * _HALF_CCD
    axes.set(
        xlabel="Y angle (arcsec)", ylabel="Z angle (arcsec)", xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal"
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize="small", frameon=False, labelspacing=1)
    return figure


def _spoilers(axes: "Axes", found: pl.DataFrame, tracked: pl.DataFrame) -> None:
    """Rings around entries with a finding of a spoiler, and crosses where one was tracked."""
    if found.height:
        axes.scatter(
            found["yang"], found["zang"], s=260, fc="none", ec=_SPOILER, lw=1.8, label="spoiler found in the review"
        )
    if tracked.height:
        axes.scatter(
            tracked["yang_obs"], tracked["zang_obs"], s=60, marker="x", c=_SPOILER, lw=1.8, zorder=4,
            label="spoiler tracked",
        )  # fmt: skip
