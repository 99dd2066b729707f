"""The command ``mica-lake starcheck``."""

from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli import complete
from mica_lake.cli.app import ASK, LakeOption, app
from mica_lake.output import printable


@app.command(rich_help_panel=ASK)
def starcheck(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|OBSID",
            help="A report starcheck.txt, or an observation.",
            autocompletion=complete.obsids("starcheck"),
        ),
    ],
    lake: LakeOption = None,
) -> None:
    """
    Print what a load review says of observations.

    Of those in a report, or of one in the lake.

    Example: mica-lake starcheck 32448
    """
    from mica_lake.formats.starcheck import Observation, read_starcheck, shown

    if not what.isdecimal():
        observations = read_starcheck(Path(what))
    else:
        from mica_lake.starcheck import get_starcheck_catalog

        found = get_starcheck_catalog(int(what), data_root=lake)
        if found is None or found["obs"] is None:
            raise ValueError(f"there is no load review of obsid {what} in the lake")
        print(printable(f"load {found['mp_dir']}, {found['status']}"))
        maneuvers, catalog, warnings = (
            [dict(zip(found[part].colnames, row, strict=True)) for row in found[part]] if len(found[part]) else []
            for part in ("manvr", "cat", "warnings")
        )
        temperature = found.get("pred_temp")
        observations = [Observation(int(what), found["obs"], maneuvers, catalog, warnings, temperature)]
    for line in shown(observations):
        print(printable(line))
