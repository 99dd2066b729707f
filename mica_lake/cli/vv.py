"""The command ``mica-lake vv``."""

from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli import complete
from mica_lake.cli.app import ASK, LakeOption, app


@app.command(rich_help_panel=ASK)
def vv(
    obsids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[OBSID...]",
            help="The observations.",
            show_default=False,
            autocompletion=complete.obsids("asp_l1_file"),
        ),
    ] = None,
    version: Annotated[str, typer.Option("--version", help="default, last, or a number.")] = "last",
    lake: LakeOption = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write vv_report.json and the pictures of all slots to this folder.")
    ] = None,
    ingest: Annotated[
        bool, typer.Option("--ingest", help="Store the residuals in the lake's tables vv_rms and vv_report.")
    ] = False,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing", help="All whose released or last products have no V&V; without --ingest they are listed."
        ),
    ] = False,
) -> None:
    """
    Show how well stars and fid lights fit their aspect solutions.

    Values outside the limits are marked ! (bad) and ? (to look at). Arcsec, and fractions of samples.

    Exit code 3 if the residuals of one cannot be computed: the others are shown and stored.

    With --missing --ingest it is for every night: all cores compute what is new.

    Example: mica-lake vv 32448 --plots vv_32448
    """
    from mica_lake.cli.vv_output import list_missing, run, store_missing
    from mica_lake.lake import default_root
    from mica_lake.terminal import Terminal

    if missing:
        if obsids or plots is not None or version != "last":
            raise ValueError("--missing is of all observations, without OBSID, --version or --plots")
        root, console = lake or default_root(), Terminal()
        raise typer.Exit(store_missing(root, console) if ingest else list_missing(root, console))
    if not obsids:
        raise ValueError("which observations? Name some, or say --missing")
    if plots is not None and len(obsids) > 1:
        raise ValueError(f"--plots {plots} is of one observation, {len(obsids)} are named: run it for each")
    chosen = int(version) if version.isdecimal() else version
    raise typer.Exit(run(obsids, chosen, lake or default_root(), plots, ingest, Terminal()))
