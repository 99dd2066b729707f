"""All products of an archive, one after the other."""

import os
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mica_lake.errors import LakeError, said_of
from mica_lake.formats.on_disk import one_or_several
from mica_lake.ingest.follow import module_of
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report
from mica_lake.output import printable
from mica_lake.products import PRODUCTS
from mica_lake.terminal import escape

FAILED = 1


@dataclass
class Taken:
    """What became of each product of some archives: its report, why it failed, or neither if it is not there."""

    dry_run: bool
    products: list[tuple[str, Report | str | None]] = field(default_factory=list)

    @property
    def reports(self) -> list[Report]:
        """Of those that did not fail."""
        return [report for _, report in self.products if isinstance(report, Report)]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Which failed, and why."""
        return [(name, why) for name, why in self.products if isinstance(why, str)]

    @property
    def exit_code(self) -> int:
        """0 if all went well, 3 if a file was set aside, 1 if a product failed."""
        return FAILED if self.failures else max((report.exit_code for report in self.reports), default=0)

    def show(self, console: Console) -> None:
        """Print a line about each, below the reasons why files were not taken."""
        table = Table(
            title="plan" if self.dry_run else None,
            title_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
            show_edge=False,
        )
        table.add_column("product", no_wrap=True)
        for name in ("taken", "unchanged", "aside", "rows", "written", "MB", "s"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, report in self.products:
            if isinstance(report, Report):
                report.show_reasons(console)
                for one in (report, *report.derived.values()):
                    counts = (len(one.taken), one.unchanged, len(one.set_aside), one.rows, one.partitions)
                    rest = (f"{one.bytes_out / 1e6:,.1f}", f"{one.seconds:,.1f}")
                    table.add_row(one.product, *(f"{count:,}" for count in counts), *rest)
            else:
                table.add_row(name, "not there" if report is None else "failed, see below")
        console.print(table)
        for name, why in self.failures:
            console.print(f"failed: {escape(f'{name}: {why}')}", soft_wrap=True, highlight=False)

    def as_json(self) -> dict[str, Any]:
        """It, for programs."""
        return {
            "failed": [{"product": name, "why": printable(why)} for name, why in self.failures],
            "absent": [name for name, report in self.products if report is None],
            "products": [one for report in self.reports for one in report.as_json()],
        }


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
    done = take(sources, lake, jobs=jobs, cluster=cluster, dry_run=dry_run, reread=reread, console=console)
    done.show(console)
    return done.exit_code


def take(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    lake: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    reread: bool = False,
    console: Console,
) -> Taken:
    """Do what `ingest` does, and print nothing but progress."""
    if cluster is not None:
        with ExitStack() as stack:
            executor(stack, jobs, cluster, None, [])
    done = Taken(dry_run)
    for source in one_or_several(sources):
        if not (source / "data" / "mica" / "archive").is_dir():
            raise FileNotFoundError(f"{source} is not a $SKA root: it has no data/mica/archive")
        for product in PRODUCTS:
            if not product.folder:  # it follows another
                continue
            if not os.path.lexists(source / product.folder):
                done.products.append((product.name, None))
                continue
            try:
                report = module_of(product).ingest(
                    source, lake, jobs=jobs, cluster=cluster, dry_run=dry_run, reread=reread, console=console
                )
            except Exception as error:  # whatever stops one product, the others are taken
                expected = isinstance(error, LakeError | ValueError | OSError | ImportError | BrokenExecutor)
                kind = "" if expected else f"{type(error).__name__}: "
                done.products.append((product.name, f"{kind}{said_of(error)}"))
            else:
                done.products.append((product.name, report))
    return done
