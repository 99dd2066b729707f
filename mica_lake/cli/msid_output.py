"""What `mica-lake msid` shows: a summary of pseudo-MSIDs, their values in a file, or a plot."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from mica_lake.archive.aca_hdr3 import MSIDset
from mica_lake.archive.intervals import days_of, is_stepped, with_gaps
from mica_lake.lake import Lake
from mica_lake.terminal import escape
from mica_lake.times import utc

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
_MOST_DOTS = 1000


def is_empty(msids: MSIDset) -> bool:
    """Whether there is no good value."""
    return not any(np.ma.count(np.ma.masked_invalid(msid.vals)) for msid in msids.values())


def summary(msids: MSIDset, console: Console) -> None:
    """Print the number of good values of each, and their range."""
    table = Table("msid", "id", "unit")
    for name in ("n", "min", "mean", "max"):
        table.add_column(name, justify="right")
    for msid in msids.values():
        good = np.ma.masked_invalid(msid.vals).compressed()
        range_ = [f"{value:,.6g}" for value in (good.min(), good.mean(), good.max())] if len(good) else ["", "", ""]
        table.add_row(*map(escape, (msid.msid, msid.hdr3_msid, msid.unit)), f"{len(good):,}", *range_)
    console.print(table)


def write(msids: MSIDset, lake: Lake, path: Path) -> None:
    """Write the values of pseudo-MSIDs on their common time axis, or plot them, and say what has been written."""
    from mica_lake import export

    form = export.checked(path, (*export.TABLES, *PICTURES))
    with export.beside(path) as made:
        if form in PICTURES:
            drawing(msids).savefig(made, dpi=110)
            rows, nulls = len(msids.times), list[str]()
        else:
            columns = {
                name: pa.array(np.ma.getdata(msid.vals), mask=np.ma.getmaskarray(msid.vals))
                for name, msid in msids.items()
            }
            date = "utc(time) AS date, " if form == ".csv" else ""
            query = f"SELECT time, {date}* EXCLUDE (time) FROM msids"
            connection = lake.private_connection(query)
            connection.register("msids", pa.table({"time": msids.times, **columns}))
            units = {"time": "s", **{name: msid.unit for name, msid in msids.items()}}
            rows, nulls = export.write(connection, query, form, made, "MSIDS", units)
    export.say(path, rows, nulls)


def drawing(msids: MSIDset) -> "Figure":
    """The values of pseudo-MSIDs against time, a panel for each."""
    try:
        import matplotlib.dates
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("matplotlib is absent: pip install 'mica-lake[plot]'") from error
    figure = Figure(figsize=(8, 1.2 + 2.2 * len(msids)), layout="constrained")
    # The span of what there is: what was asked for may go from the launch to now.
    span = f", {utc(msids.times[0])[:17]} to {utc(msids.times[-1])[:17]} UTC" if len(msids.times) else ": no values"
    figure.suptitle(f"{', '.join(msids)}{span}", fontsize="medium")
    for axes, msid in zip(figure.subplots(len(msids), sharex=True, squeeze=False)[:, 0], msids.values(), strict=True):
        good = ~np.ma.getmaskarray(msid.vals)
        # Of the common times those that it has: what other slots read is no gap of it.
        times, values = with_gaps(msid.times[good], np.ma.getdata(msid.vals)[good])
        # Each dot is an element of an SVG, and something to draw in a PDF; a line is one, and is simplified.
        dots = {"marker": ".", "ms": 3, "ls": "", "rasterized": len(values) > _MOST_DOTS}
        axes.plot(days_of(times), values, color="#0072B2", **(dots if is_stepped(values) else {"lw": 0.8}))
        # An underscore would strike the degree sign below it.
        axes.set_ylabel(f"{msid.msid}\n({msid.unit or 'counts'})", linespacing=1.6)
        axes.ticklabel_format(axis="y", useOffset=False)
    locator = matplotlib.dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    axes.set_xlabel("UTC")
    return figure
