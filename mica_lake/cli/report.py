"""The command ``mica-lake report``."""

from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli.app import ASK, LakeOption, app
from mica_lake.output import printable


@app.command(rich_help_panel=ASK)
def report(
    obsid: Annotated[int, typer.Argument(metavar="OBSID", help="The observation.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder that obsid_OBSID.html is written to.")
    ],
    lake: LakeOption = None,
) -> None:
    """
    Write a page of an observation.

    What it was, its stars, their statistics, V&V, temperature of the CCD. The page is one HTML file with its pictures
    in it. What the lake lacks of the observation is said there.

    Example: mica-lake report 32448 -o reports
    """
    from mica_lake.explore.observation import observation
    from mica_lake.lake import Lake
    from mica_lake.store.disk import Disk

    try:
        from mica_lake.explore.page import page
    except ImportError as error:
        raise ImportError("matplotlib is absent: pip install 'mica-lake[plot]'") from error
    text = page(observation(Lake(lake), obsid))
    path = output / f"obsid_{obsid}.html"
    Disk().put(path, text.encode())
    print(printable(str(path)))
