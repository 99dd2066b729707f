"""What `mica-lake msid` shows: a summary of pseudo-MSIDs, their values in a file, or a plot."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from mica_lake.archive.aca_hdr3 import MSIDset
from mica_lake.cli import export
from mica_lake.lake import Lake
from mica_lake.output import escape

GAP_SECONDS = 60.0
PICTURES = (".png", ".svg", ".pdf")


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
    form = export.checked(path, (*export.TABLES, *PICTURES))
    with export.beside(path) as made:
        if form in PICTURES:
            _plot(msids, made)
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
            rows, nulls = export.write(connection, query, form, made)
    export.say(path, rows, nulls)


def _plot(msids: MSIDset, path: Path) -> None:
    try:
        import matplotlib.dates
        from astropy.time import Time
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("matplotlib is absent: pip install 'mica-lake[plot]'") from error
    figure = Figure(figsize=(8, 1 + 2.2 * len(msids)), layout="constrained")
    for axes, msid in zip(figure.subplots(len(msids), sharex=True, squeeze=False)[:, 0], msids.values(), strict=True):
        good = ~np.ma.getmaskarray(msid.vals)
        times, values = msid.times[good], np.ma.getdata(msid.vals)[good].astype(float)
        # A line across a gap would say that something was measured there.
        values[np.diff(times, prepend=times[:1]) > GAP_SECONDS] = np.nan
        dates = Time(times, format="cxcsec").utc.to_datetime() if len(times) else []
        axes.plot(dates, values, lw=0.8, color="#0072B2")
        axes.set(ylabel=f"{msid.msid}\n({msid.unit or 'counts'})")
        axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.set_xlabel("UTC")
    figure.savefig(path, dpi=110)
