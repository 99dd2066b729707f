"""The commands ``mica-lake dark ...``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mica_lake.cli.app import KEEP, LakeOption, app
from mica_lake.errors import counted

if TYPE_CHECKING:
    from mica_lake.archive.aca_dark.processing import Calibration
    from mica_lake.terminal import Terminal

dark = typer.Typer(no_args_is_help=True, help="Dark current calibrations.\n\nExample: mica-lake dark process --help")
app.add_typer(dark, name="dark", rich_help_panel=KEEP)


@dark.command()
def process(
    replicas: Annotated[
        list[Path],
        typer.Argument(metavar="REPLICA...", help="Raw files, YYYY_DDD_VC2_Replica<N>_SFDU_<n>-L0.fits, in any order."),
    ],
    temps: Annotated[
        str,
        typer.Option(
            "--temps",
            metavar="lake|FILE",
            help="Temperatures of the CCD: table hdr3 of the lake, or where that has none a CSV file of telemetry with "
            "columns time, AACCCDPT (°C) and CIUMACAC, which says when the replicas were taken.",
        ),
    ] = "lake",
    zodi: Annotated[
        Path | None,
        typer.Option("--zodi", help="A CSV file, zodi.csv, from which the pointing is taken into the properties."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the folder YYYYDOY of the calibration is written.")
    ] = Path(),
    ingest: Annotated[
        bool, typer.Option("--ingest", help="Take it into the lake, as 'ingest dark_cal' does with that folder.")
    ] = False,
    lake: LakeOption = None,
) -> None:
    """
    Process the raw replicas of a dark current calibration: write image.fits and properties.json.

    The image is in e-/s, NaN where a pixel was never read. Missing replicas and half rows are left out, and said.

    Example: mica-lake dark process 2022_069_VC2_Replica*.fits -o $SKA/data/mica/archive/aca_dark --ingest
    """
    from mica_lake.archive.aca_dark import processing
    from mica_lake.terminal import Terminal

    telemetry = None if temps == "lake" else Path(temps)
    calibration = processing.process(replicas, telemetry=telemetry, zodi=zodi, data_root=lake)
    folder = calibration.write(output)
    console = Terminal()
    _show(calibration, folder, console)
    if ingest:
        from mica_lake.ingest import dark_cal
        from mica_lake.lake import default_root

        report = dark_cal.ingest(output, lake or default_root(), console=console)
        report.show(console)
        raise typer.Exit(report.exit_code)


def _show(calibration: "Calibration", folder: Path, console: "Terminal") -> None:
    """Say what was made, and what was missing."""
    import numpy as np
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from mica_lake.terminal import escape

    title = f"dark current calibration {calibration.dark_id}, {calibration.properties['ccd_temp']:.2f} °C"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("replica", "start", "°C", "from", "half rows missing"):
        table.add_column(name, justify="left" if name in ("start", "from") else "right")
    for replica in calibration.properties["replicas"]:
        missing = calibration.missing_half_rows.get(replica["count"])
        table.add_row(
            str(replica["count"]),
            replica["start"],
            f"{replica['ccd_temp']:.2f}",
            replica["ccd_temp_source"],
            "no file" if missing is None else str(missing),
        )
    console.print(table)
    for replica in calibration.missing_replicas:
        console.print(
            f"replica {replica} is missing: there is no file of it, the median is of the others", highlight=False
        )
    never = int(np.isnan(calibration.image).sum())
    if never:
        console.print(
            counted(never, "pixel was never read: it is NaN", "pixels were never read: they are NaN"), highlight=False
        )
    console.print(escape(folder), soft_wrap=True, highlight=False)
