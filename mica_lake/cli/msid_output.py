"""What `mica-lake msid` shows: a summary of pseudo-MSIDs, their values in a file, or a plot."""

import os
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from mica_lake.archive.aca_hdr3 import MSIDset
from mica_lake.output import escape

GAP_SECONDS = 60.0


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


def write(msids: MSIDset, path: Path) -> None:
    """Write the values of pseudo-MSIDs on their common time axis, or plot them."""
    beside = path.absolute().with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        if path.suffix == ".png":
            _plot(msids, beside)
        elif path.suffix in (".csv", ".parquet"):
            columns = {
                name: pl.Series(np.ma.getdata(msid.vals)).set(pl.Series(np.ma.getmaskarray(msid.vals)), None)
                for name, msid in msids.items()
            }
            frame = pl.DataFrame({"time": msids.times, **columns})
            if path.suffix == ".csv":
                frame.write_csv(beside)
            else:
                frame.write_parquet(beside)
        else:
            raise ValueError(f"{path}: its ending should be .csv, .parquet or .png")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
