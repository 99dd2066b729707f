"""All products of an archive, one after the other."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mica_lake.errors import LakeError, said_of
from mica_lake.formats.on_disk import one_or_several
from mica_lake.ingest import aca_l0, acq_stats, asp_l1, dark_cal, guide_stats, obspar, vv
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report
from mica_lake.output import escape

#: Product -> its ingest from a $SKA root or from its folder.
PRODUCTS: dict[str, Callable[..., Report]] = {
    "dark_cal": dark_cal.ingest,
    "obspar": obspar.ingest,
    "asp_l1": asp_l1.ingest,
    "acq_stats": acq_stats.ingest,
    "guide_stats": guide_stats.ingest,
    "vv": vv.ingest,
}
#: Those whose work a cluster can do; the others are small and done here.
ON_A_CLUSTER = ("aca_l0", "dark_cal", "obspar", "asp_l1")
_FOLDERS = {
    "aca_l0": "data/mica/archive/aca0",
    "dark_cal": "data/mica/archive/aca_dark",
    "obspar": "data/mica/archive/obspar",
    "asp_l1": "data/mica/archive/asp1",
    "acq_stats": "data/acq_stats",
    "guide_stats": "data/guide_stats",
    "vv": "data/mica/archive/vv",
}
#: Product -> what its files are called in its folder.
FILES = {
    "aca_l0": "acaf*_img0.fits[.gz]",
    "dark_cal": "YYYYDOY/image.fits and YYYYDOY/properties.json",
    "obspar": "OO/OOOOO_vRR/axaff*_obs0a.par[.gz]",
    "asp_l1": "OO/OOOOO_vRR/pcad*.fits[.gz]",
    "acq_stats": "acq_stats.h5",
    "guide_stats": "guide_stats.h5",
}
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
    Take all products of archives into a lake, and tell about each on a line of its own.

    A product that fails, or that an archive does not have, does not keep the others from being taken.

    Parameters
    ----------
    sources : path or iterable of path
        ``$SKA`` roots.
    lake : path
        The lake.
    jobs : int, optional
        How many processes; as many as there are cores by default.
    cluster : str, optional
        Address of a Dask scheduler: its workers do the work of the products in `ON_A_CLUSTER`.
    dry_run : bool
        Plan only.
    reread : bool
        Whether files are read again that have the same size and date as when they were last read.
    console : rich.console.Console
        Where to tell about it.

    Returns
    -------
    int
        Exit code: 0 if all went well, 3 if a file was set aside, 1 if a product failed.

    Raises
    ------
    FileNotFoundError
        If a source is no ``$SKA`` root.
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
            raise FileNotFoundError(f"{source} is no $SKA root: it has no data/mica/archive")
        for name, one in {"aca_l0": _aca_l0, **PRODUCTS}.items():
            if not os.path.lexists(source / _FOLDERS[name]):
                table.add_row(name, "not there")
                continue
            try:
                where = {"cluster": cluster} if name in ON_A_CLUSTER else {}
                report = one(source, lake, jobs=jobs, dry_run=dry_run, reread=reread, console=console, **where)
            except Exception as error:  # whatever stops one product, the others are taken
                table.add_row(name, "failed, see below")
                expected = isinstance(error, LakeError | ValueError | OSError | ImportError | BrokenExecutor)
                kind = "" if expected else f"{type(error).__name__}: "
                failures.append(f"{name}: {kind}{said_of(error)}")
            else:
                reports.append(report)
                line(report)
                if report.derived is not None:
                    line(report.derived)
    for report in reports:
        report.show_reasons(console)
    console.print(table)
    for failure in failures:
        console.print(f"failed: {escape(failure)}", soft_wrap=True, highlight=False)
    return FAILED if failures else max((report.exit_code for report in reports), default=0)


def _aca_l0(source: Path, lake: str | os.PathLike[str], **options: Any) -> Report:
    return aca_l0.ingest([source], lake, **options)
