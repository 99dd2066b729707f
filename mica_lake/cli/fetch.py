"""The command ``mica-lake fetch``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mica_lake.cli.app import START, LakeOption, app
from mica_lake.errors import counted

if TYPE_CHECKING:
    from mica_lake.fetch.transport import Transport

_PRODUCTS = ("aca_l0", "obspar", "asp_l1")
_MOST = 20


@app.command(rich_help_panel=START)
def fetch(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help=f"What to fetch: {', '.join(_PRODUCTS)} or all.")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="arc5gl, a folder that somebody fills, or the https:// address of a public archive, up to byobsid.",
        ),
    ],
    archive: Annotated[
        Path | None,
        typer.Option(help="The archive to keep the files in, a $SKA root; without it, only the lake has them."),
    ] = None,
    lake: LakeOption = None,
    start: Annotated[str | None, typer.Option(help="Only from this time on, whatever is there already.")] = None,
    stop: Annotated[str | None, typer.Option(help="Only until this time.")] = None,
    obsid: Annotated[
        list[int] | None,
        typer.Option(min=1, max=99_999, metavar="OBSID", help="Only this observation, whatever is there already."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes of the ingest; the cores by default.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked for, change nothing.")] = False,
) -> None:
    """
    Get what is missing from the archive, and take it into the lake.

    The archive is that of the Chandra X-ray Center; files are filed as mica does.

    Exit code 3 if a file was set aside, 1 if the archive did not answer; it is asked again the next time.

    Example: mica-lake fetch all --from arc5gl --archive $SKA --lake /data/mica_lake
    """
    if product not in (*_PRODUCTS, "all"):
        raise typer.BadParameter(f"there is no {product!r} to fetch. The products are {', '.join(_PRODUCTS)}, all")
    from mica_lake.fetch.run import Fetching
    from mica_lake.lake import default_root
    from mica_lake.terminal import Terminal, escape
    from mica_lake.times import open_interval

    console = Terminal()
    transport = _transport(source)
    products = [name for name in _PRODUCTS if product in (name, "all")]
    if obsid:
        products = [name for name in products if name != "aca_l0"]
    if product != "all" and product not in transport.products:
        raise ValueError(f"{source} has no {product}")
    products = [name for name in products if name in transport.products]
    if not products:
        raise ValueError("telemetry is not of an observation: say --start and --stop instead of --obsid")
    first, last = open_interval(start, stop)
    root = lake or (os.path.join(archive, "data", "mica_lake") if archive and not _named() else default_root())  # noqa: PTH118
    fetching = Fetching(transport, archive, root, console, jobs)
    if not dry_run:
        raise typer.Exit(fetching.fetch(products, first, last, obsid))
    failed = False
    for name in products:
        try:
            requests = fetching.plan(name, first, last, obsid)
        except ValueError as error:
            console.print(f"{name}: {escape(str(error))}", soft_wrap=True, highlight=False)
            failed = True
            continue
        for request in requests[:_MOST]:
            console.print(escape(request.key), soft_wrap=True, highlight=False)
        if len(requests) > _MOST:
            console.print(f"… and {len(requests) - _MOST:,} more")
        console.print(f"{name}: {counted(len(requests), 'request')}", highlight=False)
    raise typer.Exit(int(failed))


def _named() -> bool:
    """Whether a variable of the environment names the lake."""
    return bool(os.environ.get("MICA_LAKE") or os.environ.get("SKA"))


def _transport(source: str) -> "Transport":
    if source == "arc5gl":
        from mica_lake.fetch.arc5gl import Arc5gl

        return Arc5gl()
    if source.startswith(("https://", "http://")):
        from mica_lake.fetch.https import Https

        return Https(source)
    from mica_lake.fetch.transport import Inbox

    return Inbox(Path(source))
