"""The command ``mica-lake msid``."""

from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli import complete
from mica_lake.cli.app import ASK, LakeOption, app


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
    Summarise, write or plot header-3 pseudo-MSIDs.

    Example: mica-lake msid ccd_det_therm ad_5v_ps --start 2024:001 --stop 2024:002 -o temps.png
    """
    from mica_lake.archive.aca_hdr3 import MSIDset
    from mica_lake.cli.msid_output import PICTURES, is_empty, summary, write
    from mica_lake.errors import MissingDataError
    from mica_lake.lake import Lake
    from mica_lake.nothing import nothing
    from mica_lake.terminal import Terminal

    found = MSIDset(names, start, stop, data_root=lake)
    empty = nothing("good values", ["hdr3"], Lake(lake)) if is_empty(found) else ""
    if output is None:
        summary(found, Terminal())
    elif empty and output.suffix.lower() in PICTURES:
        raise MissingDataError(f"nothing to plot: {empty}")
    else:
        write(found, Lake(lake), output)
    if empty:
        Terminal(stderr=True).print(empty, soft_wrap=True, highlight=False)
