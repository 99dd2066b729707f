"""What the commands of ``mica-lake`` share."""

from typing import Annotated

import typer

app = typer.Typer(
    name="mica-lake",
    help="A columnar data lake of the Chandra aspect camera: ingest the archive's files, ask them questions in SQL.",
    epilog="New here? [cyan]mica-lake demo[/] shows what it does, on a simulated archive. Your own files: "
    "[cyan]mica-lake ingest all --from $SKA --lake /data/mica_lake[/], then [cyan]mica-lake status[/].",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

START, ASK, KEEP = "Start here", "Ask", "Look after it"

LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake",
        help="The lake, a directory or s3://BUCKET/PREFIX (or gs://, az://); [cyan]$MICA_LAKE[/cyan] or "
        "[cyan]$SKA/data/mica_lake[/cyan] by default.",
    ),
]
