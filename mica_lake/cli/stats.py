"""The command ``mica-lake stats gather``."""

from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli.app import START, JobsOption, LakeOption, app

stats = typer.Typer(
    help="Compute acquisition and guide statistics.\n\nExample: mica-lake stats gather --help",
    no_args_is_help=True,
)
app.add_typer(stats, name="stats", rich_help_panel=START)


@stats.callback()
def _stats() -> None:
    pass


@stats.command()
def gather(
    obsids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[OBSID...]", help="The observations; by default those without rows.", show_default=False
        ),
    ] = None,
    telemetry: Annotated[
        str | None,
        typer.Option(
            help="A folder with a cheta archive or with Parquet, or cheta to ask that package; "
            "[cyan]$ENG_ARCHIVE[/] or [cyan]$SKA/data/eng_archive[/] by default."
        ),
    ] = None,
    agasc: Annotated[
        Path | None, typer.Option(help="The HDF5 file of the AGASC; [cyan]$AGASC_HDF5_FILE[/] by default.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only observations that start then or later.")] = None,
    lake: LakeOption = None,
    jobs: JobsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which would be gathered, read no telemetry.")
    ] = False,
) -> None:
    """
    Compute acquisition and guide statistics of observations, and store them in acq_stats and guide_stats.

    Rows of the same observations are replaced. Exit code 3 if an observation or a slot was left out: the others are in.

    Example: mica-lake stats gather --since 2024:001 --telemetry $SKA/data/eng_archive --agasc $SKA/data/agasc/agasc.h5
    """
    from mica_lake.cli.stats_output import show, where
    from mica_lake.ingest.gather import gather as run
    from mica_lake.lake import default_root
    from mica_lake.terminal import Terminal

    console = Terminal()
    telemetry, agasc = where(telemetry, agasc)
    report = run(
        lake or default_root(), obsids or (), telemetry=telemetry, agasc=agasc, since=since, jobs=jobs, dry_run=dry_run,
        console=console,
    )  # fmt: skip
    show(report, console)
    raise typer.Exit(report.exit_code)
