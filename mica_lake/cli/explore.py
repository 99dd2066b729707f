"""The command ``mica-lake explore``."""

import os
from typing import Annotated

import typer

from mica_lake.cli.app import ASK, LakeOption, app


@app.command(rich_help_panel=ASK)
def explore(
    lake: LakeOption = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of 127.0.0.1; 0 for any.")] = 2718,
) -> None:
    """
    Show the lake as a page in the browser.

    What is in it, plots, observations, star images, V&V. It is served to this machine and to whoever has the address
    printed, until Ctrl-C.

    Example: mica-lake explore --lake /data/mica_lake
    """
    from mica_lake.explore import serve
    from mica_lake.lake import Lake

    serve(Lake(lake), port, lambda address: print(f"Open {address} (Ctrl-C ends it)", flush=True))
    # Python would wait for marimo's threads, which wait for browsers to come back.
    os._exit(0)
