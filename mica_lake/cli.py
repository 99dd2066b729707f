"""The command line, ``mica-lake``."""

import enum
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mica_lake import __version__
from mica_lake.errors import LakeError, MissingDataError, said_of

app = typer.Typer(
    name="mica-lake",
    help="A columnar data lake of the Chandra aspect camera: ingest the archive's files, ask them questions in SQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

LakeOption = Annotated[
    Path | None,
    typer.Option("--lake", help="The lake; [cyan]$MICA_LAKE[/cyan] or [cyan]$SKA/data/mica_lake[/cyan] by default."),
]


class Product(enum.StrEnum):
    """What can be ingested."""

    all = "all"
    aca_l0 = "aca_l0"
    hdr3 = "hdr3"
    dark_cal = "dark_cal"
    obspar = "obspar"
    asp_l1 = "asp_l1"
    acq_stats = "acq_stats"
    guide_stats = "guide_stats"


class Format(enum.StrEnum):
    """How an answer is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mica-lake {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


@app.command()
def ingest(
    product: Annotated[
        Product, typer.Argument(help="What to take; hdr3 is derived from aca_l0 and has no files of its own.")
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", help="A $SKA root, or the product's folder; for aca_l0 also any folder or file."),
    ] = None,
    lake: LakeOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Processes; the cores by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
) -> None:
    """
    Take files into the lake; it is made where there is none.

    Exit code 3 if a file was set aside: the others are in, and 'mica-lake status' keeps the reasons.
    What is derived from aca_l0 is brought up to date with it; 'mica-lake ingest hdr3' does that alone.

    Example: mica-lake ingest all --from $SKA --lake /data/mica_lake
    """
    from mica_lake.ingest import aca_l0, everything, hdr3
    from mica_lake.lake import default_root

    console = Console()
    root = lake or default_root()
    if product is Product.hdr3:
        if sources or dry_run:
            raise ValueError("hdr3 is derived from table aca_l0: it takes neither --from nor --dry-run")
        hdr3.ingest(root, jobs=jobs).show_derived(console)
        return
    if not sources:
        raise ValueError("which files? Say --from with a folder, a file, or a $SKA root")
    if product is Product.all:
        raise typer.Exit(everything.ingest(sources, root, jobs=jobs, dry_run=dry_run, console=console))
    if product is Product.aca_l0:
        reports = [aca_l0.ingest(sources, root, jobs=jobs, dry_run=dry_run, console=console)]
    else:
        one = everything.PRODUCTS[product.value]
        reports = [one(source, root, jobs=jobs, dry_run=dry_run, console=console) for source in sources]
    for report in reports:
        report.show(console)
    raise typer.Exit(max(report.exit_code for report in reports))


@app.command()
def msid(
    names: Annotated[list[str], typer.Argument(help="Header-3 pseudo-MSIDs, by name or id.")],
    start: Annotated[str, typer.Option("--start", help="YYYY:DDD[:hh:mm[:ss]], YYYY-MM-DD[Thh:mm[:ss]].")],
    stop: Annotated[str | None, typer.Option("--stop", help="As --start; now by default.")] = None,
    lake: LakeOption = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the values to .csv or .parquet, or plot them to .png.")
    ] = None,
) -> None:
    """
    Summarise header-3 pseudo-MSIDs, write their values, or plot them.

    Example: mica-lake msid ccd_temp aca_temp --start 2024:001 --stop 2024:002 -o temps.png
    """
    from mica_lake.archive.aca_hdr3 import MSIDset
    from mica_lake.msid_output import summary, write

    found = MSIDset(names, start, stop, data_root=lake)
    if output is None:
        summary(found, Console())
    else:
        write(found, output)
        print(output)


@app.command()
def vv(
    obsid: Annotated[int, typer.Argument(help="The observation.")],
    version: Annotated[str, typer.Option("--version", help="default, last, or a number.")] = "last",
    lake: LakeOption = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write vv_report.json and the pictures of all slots to this folder.")
    ] = None,
) -> None:
    """
    Show how well the guide stars and fid lights of an observation fit its aspect solution.

    Values outside the limits are marked ! (bad) and ? (to look at). Arcsec, and fractions of samples.

    Example: mica-lake vv 32448 --plots vv_32448
    """
    from mica_lake.vv import get_arch_vv
    from mica_lake.vv_output import show

    obi = get_arch_vv(obsid, int(version) if version.isdecimal() else version, lake)
    show(obi, Console())
    if plots is not None:
        print(obi.save(plots)[-1])


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT (or FROM …) over the lake's views and macros.")],
    lake: LakeOption = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="How to write it; by the ending of --output, else a table.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; the terminal by default.")] = None,
) -> None:
    """
    Answer a question in SQL. The lake cannot be changed by it.

    Example: mica-lake sql "SELECT avg(TEMPCCD) - 273.15 AS celsius FROM slot_data('2024:001', '2024:002', 3)"
    """
    from mica_lake.lake import Lake
    from mica_lake.sql_output import write_answer

    if form is None:
        endings = {f".{f}": f for f in Format if f is not Format.table}
        if output is not None and output.suffix not in endings:
            raise ValueError(f"{output}: its ending is none of {', '.join(endings)}; say --format")
        form = endings[output.suffix] if output is not None else Format.table
    write_answer(Lake(lake), query, form.value, output)


@app.command()
def status(
    lake: LakeOption = None,
    files: Annotated[bool, typer.Option("--files", help="List all files that need a look, not the first 20.")] = False,
) -> None:
    """
    Show what is in the lake, and the source files that were set aside.

    Example: mica-lake status --lake /data/mica_lake
    """
    from mica_lake.lake import Lake

    console = Console()
    opened = Lake(lake)
    table = Table(title=str(opened.root), title_justify="left", box=SIMPLE_HEAD)
    for name in ("table", "partitions", "files", "rows", "MB", "from", "to"):
        table.add_column(name, justify="right" if name not in ("table", "from", "to") else "left", no_wrap=True)
    for name, partitions, sources, rows, size, start, stop in opened.status().rows():
        numbers = (f"{partitions:,}", f"{sources or 0:,}", f"{rows:,}", f"{size / 1e6:,.1f}")
        table.add_row(name, *numbers, (start or "")[:8], (stop or "")[:8])
    console.print(table)
    aside = opened.sql("FROM file_to_look_at").fetchall()
    if aside:
        listed = Table(title=f"{len(aside):,} files need a look", title_justify="left")
        for name in ("file", "status", "reason"):
            listed.add_column(name, overflow="fold")
        for filename, state, reason, directory in aside if files else aside[:20]:
            listed.add_row(f"{directory or ''}/{filename}", state, reason)
        console.print(listed)
        if len(aside) > 20 and not files:
            console.print(f"… and {len(aside) - 20:,} more: mica-lake status --files")


@app.command()
def reindex(lake: LakeOption = None) -> None:
    """
    Derive the catalog again from the partitions, for instance after some were copied in or lost.

    Exit code 3 if a partition is damaged or a source file not whole; ingesting the files again mends both.

    Example: mica-lake reindex --lake /data/mica_lake
    """
    from mica_lake import catalog
    from mica_lake.lake import default_root

    console = Console()
    root = catalog.absolute(lake or default_root())
    trouble = catalog.rebuild(root)
    for line in trouble:
        console.print(line, soft_wrap=True, highlight=False)
    partition = catalog.read_table(root, "partition")
    console.print(f"{root}: {len(partition):,} partitions, {len(trouble):,} troubles")
    raise typer.Exit(3 if trouble else 0)


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="Where to leave the files, the lake and a plot.")] = Path(
        "mica-lake-demo"
    ),
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Processes; the cores by default.")] = None,
) -> None:
    """
    Simulate a day of the aspect camera, ingest it, and ask it questions through each door.

    Example: mica-lake demo
    """
    from mica_lake.demo import run

    run(directory, jobs or os.cpu_count() or 1, Console())


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"[bold red]mica-lake:[/] {message}", soft_wrap=True, highlight=False)
    sys.exit(1)


def main() -> None:
    """Run the command line; what goes wrong becomes a message and exit code 1."""
    try:
        app()
    except BrokenPipeError:
        sys.exit(0)
    except (LakeError, MissingDataError, ValueError, ImportError, OSError, BrokenProcessPool) as error:
        _fail(said_of(error))
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; nothing is lost: run it again to go on")
        sys.exit(130)
