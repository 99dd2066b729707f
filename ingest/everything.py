"""All products of an archive, one after the other."""

import os
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mica_lake.errors import LakeError, said_of
from mica_lake.formats.on_disk import one_or_several
from mica_lake.ingest.follow import module_of
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report
from mica_lake.output import escape
from mica_lake.products import PRODUCTS

FAILED = 1


def ingest(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    lake: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    reread: bool = False,
    console: Console,
) -> int:
    """
    Ingest all products of archives into a lake, with a line about each.

    A product that fails, or that an archive does not have, does not keep the others out.

    Parameters
    ----------
    sources : path or iterable of path
        ``$SKA`` roots.
    lake : path
        The lake.
    jobs : int, optional
        How many processes; by default one for each core.
    cluster : str, optional
        Address of a Dask scheduler whose workers do the work.
    dry_run : bool
        Only plan; the lake is not changed.
    reread : bool
        Whether to read files again whose size and date have not changed since they were last read.
    console : rich.console.Console
        Where to print.

    Returns
    -------
    int
        Exit code: 0 if all went well, 3 if a file was set aside, 1 if a product failed.

    Raises
    ------
    FileNotFoundError
        If a source is not a ``$SKA`` root.
    LakeError
        If the cluster cannot be used at all.
    """
    if cluster is not None:
        with ExitStack() as stack:
            executor(stack, jobs, cluster, None, [])
    table = Table(
        title="plan" if dry_run else None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False
    )
    table.add_column("product", no_wrap=True)
    for name in ("taken", "unchanged", "aside", "rows", "written", "MB", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    reports: list[Report] = []
    failures: list[str] = []

    def line(report: Report) -> None:
        counts = (len(report.taken), report.unchanged, len(report.set_aside), report.rows, report.partitions)
        rest = (f"{report.bytes_out / 1e6:,.1f}", f"{report.seconds:,.1f}")
        table.add_row(report.product, *(f"{count:,}" for count in counts), *rest)

    for source in one_or_several(sources):
        if not (source / "data" / "mica" / "archive").is_dir():
            raise FileNotFoundError(f"{source} is not a $SKA root: it has no data/mica/archive")
        for product in PRODUCTS:
            if not product.folder:  # it follows another
                continue
            if not os.path.lexists(source / product.folder):
                table.add_row(product.name, "not there")
                continue
            try:
                report = module_of(product).ingest(
                    source, lake, jobs=jobs, cluster=cluster, dry_run=dry_run, reread=reread, console=console
                )
            except Exception as error:  # whatever stops one product, the others are taken
                table.add_row(product.name, "failed, see below")
                expected = isinstance(error, LakeError | ValueError | OSError | ImportError | BrokenExecutor)
                kind = "" if expected else f"{type(error).__name__}: "
                failures.append(f"{product.name}: {kind}{said_of(error)}")
            else:
                reports.append(report)
                line(report)
                for derived in report.derived.values():
                    line(derived)
    for report in reports:
        report.show_reasons(console)
    console.print(table)
    for failure in failures:
        console.print(f"failed: {escape(failure)}", soft_wrap=True, highlight=False)
    return FAILED if failures else max((report.exit_code for report in reports), default=0)
