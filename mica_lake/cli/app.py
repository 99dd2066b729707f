"""What the commands of ``mica-lake`` share."""

import json
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="mica-lake",
    help="A columnar data lake of the Chandra aspect camera.",
    epilog="New here? [cyan]mica-lake demo[/] shows what it does, on a simulated archive. Your own files: "
    "[cyan]mica-lake ingest all --from $SKA --lake /data/mica_lake[/], then [cyan]mica-lake status[/]. "
    'The tables, views and macros: [cyan]mica-lake sql "FROM lake_objects"[/] lists what there is.',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

START, ASK, KEEP = "Start here", "Ask", "Look after it"

JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON for programs, with the keys of docs/operations.md; messages go to standard error."
    ),
]
JobsOption = Annotated[int | None, typer.Option("--jobs", min=1, metavar="N", help="Processes; the cores by default.")]
LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake",
        metavar="LAKE",
        help="The lake, a directory or s3://BUCKET/PREFIX (or gs://, az://); [cyan]$MICA_LAKE[/cyan] or "
        "[cyan]$SKA/data/mica_lake[/cyan] by default.",
    ),
]


def print_json(answer: dict[str, Any]) -> None:
    """Print an answer for programs; in ASCII, so that no terminal obeys what is in a name."""
    print(json.dumps(answer, indent=2, allow_nan=False))
