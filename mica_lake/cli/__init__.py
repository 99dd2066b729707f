"""The command line, ``mica-lake``."""

import enum
import os
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from mica_lake.catalog.generation import read_table
from mica_lake.catalog.reindex import rebuild
from mica_lake.catalog.root import absolute
from mica_lake.errors import LakeError, MissingDataError, ObjectStoreError, said_of
from mica_lake.output import Terminal, escape, printable, standard_streams

app = typer.Typer(
    name="mica-lake",
    help="A columnar data lake of the Chandra aspect camera: ingest the archive's files, ask them questions in SQL.",
    epilog="New here? [cyan]mica-lake demo[/] shows what it does, on a simulated archive. Your own files: "
    "[cyan]mica-lake ingest all --from $SKA --lake /data/mica_lake[/], then [cyan]mica-lake status[/].",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# What typer raises of arguments it does not know; only classes derived from it have a name of typer's own.
_WrongArguments: Any = typer.BadParameter.__mro__[1]
_INTERRUPTED = 130
_START, _ASK, _KEEP = "Start here", "Ask", "Look after it"

LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake",
        help="The lake, a directory or s3://BUCKET/PREFIX (or gs://, az://); [cyan]$MICA_LAKE[/cyan] or "
        "[cyan]$SKA/data/mica_lake[/cyan] by default.",
    ),
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
    vv = "vv"


class Format(enum.StrEnum):
    """How an answer is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def _show_version(wanted: bool) -> None:
    if wanted:
        from mica_lake import __version__

        print(f"mica-lake {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=_START)
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
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Let the workers of this Dask scheduler do the work, tcp://host:8786, instead of processes here. "
            "They need the files and the lake under the same paths. Statistics and V&V are small and done here."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
    reread: Annotated[
        bool, typer.Option("--reread", help="Also read files whose size and date have not changed.")
    ] = False,
) -> None:
    """
    Take files into the lake; it is made where there is none.

    Exit code 3 if a file was set aside: the others are in, and 'mica-lake status' keeps the reasons.
    What is derived from aca_l0 is brought up to date with it; 'mica-lake ingest hdr3' does that alone.

    Example: mica-lake ingest all --from $SKA --lake /data/mica_lake
    """
    from mica_lake.ingest import aca_l0, everything, hdr3
    from mica_lake.lake import default_root

    console = Terminal()
    root = lake or default_root()
    if product is Product.hdr3:
        if sources or dry_run or reread:
            raise ValueError("hdr3 is derived from table aca_l0: it takes neither --from, --dry-run nor --reread")
        hdr3.ingest(root, jobs=jobs, cluster=cluster).show_derived(console)
        return
    if not sources:
        raise ValueError("which files? Say --from with a folder, a file, or a $SKA root")
    if product is Product.all:
        raise typer.Exit(
            everything.ingest(
                sources, root, jobs=jobs, cluster=cluster, dry_run=dry_run, reread=reread, console=console
            )
        )
    options: dict[str, Any] = {"jobs": jobs, "dry_run": dry_run, "reread": reread, "console": console}
    if product is Product.aca_l0:
        reports = [aca_l0.ingest(sources, root, cluster=cluster, **options)]
    else:
        one = everything.PRODUCTS[product.value]
        more = {"cluster": cluster} if product.value in everything.ON_A_CLUSTER else {}
        reports = [one(source, root, **options, **more) for source in sources]
    if all(report.found_none for report in reports):
        where = ", ".join(map(str, sources))
        raise ValueError(
            f"{where}: there are no files of {product.value}; they are called {everything.FILES[product.value]}"
        )
    for report in reports:
        report.show(console)
    raise typer.Exit(max(report.exit_code for report in reports))


@app.command(rich_help_panel=_ASK)
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
    from mica_lake.cli.msid_output import summary, write

    found = MSIDset(names, start, stop, data_root=lake)
    if output is None:
        summary(found, Terminal())
    else:
        write(found, output)
        print(printable(str(output)))


@app.command(rich_help_panel=_ASK)
def vv(
    obsids: Annotated[list[int], typer.Argument(metavar="OBSID...", help="The observations.")],
    version: Annotated[str, typer.Option("--version", help="default, last, or a number.")] = "last",
    lake: LakeOption = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write vv_report.json and the pictures of all slots to this folder.")
    ] = None,
    ingest: Annotated[
        bool, typer.Option("--ingest", help="Store the residuals in the lake's tables vv_rms and vv_report.")
    ] = False,
) -> None:
    """
    Show how well the guide stars and fid lights of observations fit their aspect solutions.

    Values outside the limits are marked ! (bad) and ? (to look at). Arcsec, and fractions of samples.

    Exit code 3 if the residuals of one cannot be computed: the others are shown and stored.

    Example: mica-lake vv 32448 --plots vv_32448
    """
    from mica_lake.cli.vv_output import run
    from mica_lake.lake import default_root

    if plots is not None and len(obsids) > 1:
        raise ValueError(f"--plots {plots} is of one observation, {len(obsids)} are named: run it for each")
    chosen = int(version) if version.isdecimal() else version
    raise typer.Exit(run(obsids, chosen, lake or default_root(), plots, ingest, Terminal()))


@app.command(rich_help_panel=_ASK)
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
    from mica_lake.cli.sql_output import write_answer
    from mica_lake.lake import Lake

    if form is None:
        endings = {f".{f}": f for f in Format if f is not Format.table}
        if output is not None and output.suffix not in endings:
            raise ValueError(f"{output}: its ending is none of {', '.join(endings)}; say --format")
        form = endings[output.suffix] if output is not None else Format.table
    write_answer(Lake(lake), query, form.value, output)


@app.command(rich_help_panel=_ASK)
def explore(
    lake: LakeOption = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of 127.0.0.1; 0 for any.")] = 2718,
) -> None:
    """
    Show the lake as a page in the browser: what is in it, plots, star images, V&V.

    It is served to this machine and to whoever has the address printed, until Ctrl-C.

    Example: mica-lake explore --lake /data/mica_lake
    """
    from mica_lake.explore import serve
    from mica_lake.lake import Lake

    serve(Lake(lake), port, lambda address: print(f"Open {address} (Ctrl-C ends it)", flush=True))
    # Python would wait for marimo's threads, which wait for browsers to come back.
    os._exit(0)


@app.command(rich_help_panel=_START)
def status(
    lake: LakeOption = None,
    files: Annotated[bool, typer.Option("--files", help="List every file that needs a look, not just 20.")] = False,
) -> None:
    """
    Show what is in the lake: from when to when, days, rows, size, last ingest, files that were set aside.

    Example: mica-lake status --lake /data/mica_lake
    """
    from mica_lake.cli.status_output import show
    from mica_lake.lake import Lake

    show(Lake(lake), Terminal(), files)


@app.command(rich_help_panel=_KEEP)
def reindex(lake: LakeOption = None) -> None:
    """
    Derive the catalog again from the partitions, for instance after some were copied in or lost.

    Exit code 3 if a partition is damaged or a source file not whole; ingesting the files again mends both. A partition
    that is lost or damaged comes back from its pinned version, if that is good.

    Example: mica-lake reindex --lake /data/mica_lake
    """
    from mica_lake.lake import default_root

    console = Terminal()
    root = absolute(lake or default_root())
    trouble = rebuild(root)
    for line in trouble:
        console.print(escape(line), soft_wrap=True, highlight=False)
    partition = read_table(root, "partition")
    console.print(f"{escape(root)}: {len(partition):,} partitions, {len(trouble):,} troubles")
    raise typer.Exit(3 if trouble else 0)


@app.command(rich_help_panel=_KEEP)
def verify(
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Compare with these files, too: a $SKA root, a product's folder, or a file."),
    ] = None,
    lake: LakeOption = None,
    sample: Annotated[
        float,
        typer.Option("--sample", help="Only this fraction of partitions and files; the next call goes on after them."),
    ] = 1.0,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Processes; the cores by default.")] = None,
) -> None:
    """
    Look for what is wrong in the lake: lost, damaged or misplaced rows. No data are changed.

    Exit code 4 if anything is wrong; what, and the command that mends it, is printed.

    Example: mica-lake verify --from $SKA --sample 0.034 (every night, it goes through all of it in a month)
    """
    from contextlib import ExitStack

    from mica_lake.catalog import verify as of_lake
    from mica_lake.ingest import compare
    from mica_lake.ingest.processes import executor
    from mica_lake.ingest.report import progress_bar
    from mica_lake.lake import default_root

    console = Terminal()
    root = absolute(lake or default_root())
    with ExitStack() as stack:
        pool = executor(stack, jobs)
        bar = stack.enter_context(progress_bar(console))
        task = bar.add_task("partitions", total=None)
        begin = of_lake.sampled_until(root) if sample < 1 else 0.0
        verified = of_lake.verify(
            root, sample=sample, begin=begin, pool=pool,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
        if verified.readable:
            verified.findings += compare.stale(root)
            if sources:
                of_files = bar.add_task("files", total=None)
                compare.compare(
                    sources, root, verified, sample=sample, begin=begin, pool=pool,
                    progress=lambda done, total: bar.update(of_files, completed=done, total=total),
                )  # fmt: skip
    verified.show(console)
    if sample < 1 and verified.readable:
        try:
            of_lake.remember(root, begin + sample)
        except OSError as error:
            console.print(f"The next sample will be the same: {error.filename} cannot be written ({error.strerror}).")
    raise typer.Exit(verified.exit_code)


@app.command(rich_help_panel=_START)
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
    from mica_lake.cli.demo import run

    run(directory, jobs or os.cpu_count() or 1, Terminal())


def _say(message: str) -> None:
    Terminal(stderr=True).print(f"[bold red]mica-lake:[/] {message}", soft_wrap=True, highlight=False)


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except (LakeError, MissingDataError, ObjectStoreError, ValueError, ImportError, OSError, BrokenExecutor) as error:
        of_duckdb = said_of(error).replace("\t", "  ").split("\n") if _of_duckdb(error) else [said_of(error)]
        _say("\n  ".join(map(escape, of_duckdb)))
        return 1
    except _WrongArguments as error:
        code: int = error.exit_code
        if not error.format_message():  # the help was printed
            return code
        usage = f"\n{escape(error.ctx.get_usage())}" if error.ctx else ""
        # The choices come on lines of their own.
        said = " ".join(error.format_message().split())
        _say(f"{escape(said)}{usage}\n'{escape(error.ctx.command_path)} --help' says more")
        return code
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED


def _of_duckdb(error: Exception) -> bool:
    """Whether DuckDB says it, in lines that point at a place in a query."""
    return type(error.__cause__).__module__ in ("duckdb", "_duckdb")


def main() -> None:
    """Run the command line; what goes wrong becomes a message and exit code 1."""
    output, _ = standard_streams()
    code = _run()
    if code == _INTERRUPTED:
        Terminal(stderr=True).print("interrupted; nothing is lost: run it again to go on")
    output.flush()
    if output.lost is not None and not isinstance(output.lost, BrokenPipeError):
        _say(f"standard output could not be written ({output.lost.strerror}); all else was done")
        code = code or 1
    sys.exit(code)
