"""The command ``mica-lake msid``."""

from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli import complete
from mica_lake.cli.app import ASK, LakeOption, app
from mica_lake.output import Terminal


@app.command(rich_help_panel=ASK)
def msid(
    names: Annotated[
        list[str], typer.Argument(help="Header-3 pseudo-MSIDs, by name or id.", autocompletion=complete.msids)
    ],
    start: Annotated[str, typer.Option("--start", help="YYYY:DDD[:hh:mm[:ss]], YYYY-MM-DD[Thh:mm[:ss]].")],
    stop: Annotated[str | None, typer.Option("--stop", help="As --start; now by default.")] = None,
    lake: LakeOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Write the values to .csv (with UTC dates), .json, .parquet, .fits or .npy, or plot them to "
            ".png, .svg or .pdf.",
        ),
    ] = None,
) -> None:
    """
    Summarise header-3 pseudo-MSIDs, write their values, or plot them.

    Example: mica-lake msid ccd_temp aca_temp --start 2024:001 --stop 2024:002 -o temps.png
    """
    from mica_lake.archive.aca_hdr3 import MSIDset
    from mica_lake.cli.msid_output import summary, write
    from mica_lake.lake import Lake

    found = MSIDset(names, start, stop, data_root=lake)
    if output is None:
        summary(found, Terminal())
    else:
        write(found, Lake(lake), output)
