"""The command ``mica-lake status``."""

from typing import Annotated

import typer

from mica_lake.cli.app import START, JsonOption, LakeOption, app, print_json


@app.command(rich_help_panel=START)
def status(
    lake: LakeOption = None,
    files: Annotated[bool, typer.Option("--files", help="List every file that needs a look, not just 20.")] = False,
    json: JsonOption = False,
) -> None:
    """
    Show what is in the lake, and which files were set aside.

    Of each table from when to when, days, rows and size; when the last ingest was, and until when there is telemetry.

    Example: mica-lake status --lake /data/mica_lake
    """
    from mica_lake.cli.status_output import as_json, show
    from mica_lake.lake import Lake

    if json:
        print_json(as_json(Lake(lake)))
    else:
        from mica_lake.terminal import Terminal

        show(Lake(lake), Terminal(), files)
