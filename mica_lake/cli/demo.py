"""The command ``mica-lake demo``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli.app import START, JobsOption, app


@app.command(rich_help_panel=START)
def demo(
    directory: Annotated[Path, typer.Argument(help="Where to leave the files, the lake and a plot.")] = Path(
        "mica-lake-demo"
    ),
    jobs: JobsOption = None,
) -> None:
    """
    Simulate a day, ingest it, and ask it through each door.

    Example: mica-lake demo
    """
    from mica_lake.cli.demo_run import run
    from mica_lake.terminal import Terminal

    run(directory, jobs or os.cpu_count() or 1, Terminal())
