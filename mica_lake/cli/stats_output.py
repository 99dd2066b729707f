"""What ``mica-lake stats gather`` is told by the environment, and what it says at the end."""

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mica_lake.ingest.gather import GatherReport
from mica_lake.terminal import escape

_MOST = 20


def where(telemetry: str | None, agasc: Path | None) -> tuple[str, Path]:
    """The folder of telemetry and the file of the AGASC, from the environment where they are not named."""
    if telemetry is None:
        telemetry = os.environ.get("ENG_ARCHIVE")
    if telemetry is None and (ska := os.environ.get("SKA")):
        telemetry = str(Path(ska) / "data" / "eng_archive")
    if telemetry is None:
        raise ValueError("which telemetry? Say --telemetry with a folder, or set ENG_ARCHIVE or SKA")
    if agasc is None:
        if not (named := os.environ.get("AGASC_HDF5_FILE")):
            raise ValueError("which AGASC? Say --agasc with its HDF5 file, or set AGASC_HDF5_FILE")
        agasc = Path(named)
    return telemetry, agasc


def show(report: GatherReport, console: Console) -> None:
    """Print what was gathered, what was left out and why, and the anomalies."""
    if report.left_out:
        listed = Table(title="left out", title_justify="left", show_header=False, box=None)
        for obsid, reasons in list(report.left_out.items())[:_MOST]:
            for n, reason in enumerate(reasons):
                listed.add_row("" if n else str(obsid), escape(reason))
        if len(report.left_out) > _MOST:
            listed.add_row("…", f"and {len(report.left_out) - _MOST:,} more: name an obsid to see why")
        console.print(listed, soft_wrap=True)
    for obsid, odd in report.odd.items():
        console.print(f"obsid {obsid}: {escape(odd)}", highlight=False, soft_wrap=True)
    for obsid, slot, box in report.anomalies:
        seen = "in no other star's" if box is None else f"in that of slot {box}"
        console.print(f"anomaly: obsid {obsid} slot {slot} was seen beyond its search box, {seen}", highlight=False)
    table = Table(title="stats: plan" if report.dry_run else "stats", title_justify="left")
    table.add_column("observations")
    table.add_column("", justify="right")
    table.add_row("without rows, or named", f"{report.observations:,}")
    if report.dry_run:
        table.add_row("to gather", f"{report.observations - len(report.left_out):,}")
    else:
        table.add_row("gathered", f"{report.gathered:,}")
    table.add_row("left out, or some of it", f"{len(report.left_out):,}")
    if not report.dry_run:
        table.add_section()
        for name, rows in report.rows.items():
            table.add_row(f"rows of {name}", f"{rows:,}")
        table.add_row("anomalies", f"{len(report.anomalies):,}")
        table.add_row("partitions written", f"{report.partitions:,}")
        table.add_row("seconds", f"{report.seconds:,.2f}")
    console.print(table)
