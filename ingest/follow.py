"""
The frame of every ingest: what products have in common, and what a product fills in.

A product's module ``ingest/NAME.py`` has ``PARTS``, usually one class derived from `Part`, which says

- ``discover``: which files there are;
- ``judge``: what one file holds, or why it cannot be taken;
- ``plan``: which partitions follow from the files that are known;
- ``build``: how one of them is made.

The frame does the rest: the writer's lock, the progress bar, which files are new or changed, the workers, what is set
aside and why, which partitions are stale, one atomic commit, the report. A product that is made from another one's
tables (`mica_lake.products.Product.follows`) has a function ``derive`` instead of ``PARTS``, or beside it; the frame
calls it for the same commit.

    class Dose(Part):
        name, table = "dose", DOSE.name

        def discover(self):
            return [found_in(self.top, name) for name in sorted(os.listdir(self.top)) if name.endswith(".json")]

        @staticmethod
        def judge(found):
            content = on_disk.read(found.path, 10_000)
            return Taken(found, checksum(content), {"tstart": json.loads(content)["time"], "rows": 1})

        def plan(self):
            for day, rows in self.rows_by_day().items():
                yield self.job(DOSE, Key(day), rows)

        @staticmethod
        def build(job):
            return pa.Table.from_pylist([json.loads(found.path.read_bytes()) for found in job.sources], DOSE.schema)

    PARTS = (Dose,)
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import pyarrow as pa
from rich.console import Console
from rich.progress import Progress

from mica_lake.catalog.commit import commit, with_changes
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.catalog.mend import writing
from mica_lake.catalog.root import absolute, existing
from mica_lake.catalog.version import pin
from mica_lake.formats.on_disk import one_or_several
from mica_lake.ingest.found import Found, Rejected, Taken, archive_folder, rejected
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report, progress_bar
from mica_lake.ingest.source_files import SourceFiles, Written, derived_from, partitions
from mica_lake.products import PRODUCTS, Product, product_named
from mica_lake.store.place import LakePath
from mica_lake.tables import TABLES
from mica_lake.tables.table import Table
from mica_lake.times import utc_day

Pools = Callable[[int], Executor]


@dataclass(frozen=True)
class PartitionJob:
    """
    A partition to be made.

    Attributes
    ----------
    root : path
        The lake.
    table : str
        The table.
    key : Key
        Which partition.
    sources : tuple of Found
        The files whose rows it holds.
    derived_from : str
        Checksum of what it is made from.
    existing : str or None
        Its version so far, relative to the lake.
    fresh : frozenset of str
        Names of the files whose rows are not in that version, as `Found.name` has them.
    """

    root: LakePath
    table: str
    key: Key
    sources: tuple[Found, ...]
    derived_from: str
    existing: str | None
    fresh: frozenset[str]


@dataclass
class Run:
    """
    An ingest that is under way.

    Attributes
    ----------
    product : Product
        The product.
    root : path
        The lake, whose writer's lock is held.
    report : Report
        What is made of the files is counted here.
    pools : callable
        Gives an executor for a number of tasks.
    progress : rich.progress.Progress
        The progress bar.
    jobs : int or None
        How many workers were asked for.
    reread : bool
        Whether to read files again whose size and date have not changed since they were last read.
    """

    product: Product
    root: LakePath
    report: Report
    pools: Pools
    progress: Progress
    jobs: int | None
    reread: bool


class Part(ABC):
    """
    The ingest of files of one kind: what a product fills in, and what the frame has ready for it.

    Attributes
    ----------
    name : str
        Of the product, for the progress bar.
    table : str
        The table that its files are recorded for.
    files_a_task : int
        How many files a worker reads at a time.
    files_a_commit : int or None
        How many files are taken in one commit; None if each partition needs to know all of them.
    several : bool
        Whether there may be several sources.
    on_cluster : bool
        Whether the workers of a cluster can do the work, if there is one.
    run : Run
        The ingest.
    tops : sequence of Path
        What is looked through.
    files : SourceFiles
        The files that are known.
    """

    name: ClassVar[str]
    table: ClassVar[str]
    files_a_task: ClassVar[int] = 1
    files_a_commit: ClassVar[int | None] = None
    several: ClassVar[bool] = False
    on_cluster: ClassVar[bool] = True

    def __init__(self, run: Run, *tops: Path) -> None:
        self.run, self.root, self.report, self.tops = run, run.root, run.report, tops
        self.files = self.known_files()

    @cached_property
    def partitions(self) -> dict[tuple[str, int], dict[str, Any]]:
        """The product's partitions: (table, day number) -> row of the catalog."""
        return partitions(read_table(self.root, "partition"), tables_of(self.run.product))

    @staticmethod
    def folder(source: str | os.PathLike[str], product: Product) -> Path:
        """The product's folder: below a ``$SKA`` root, or the source itself."""
        return archive_folder(source, product.folder)

    @property
    def top(self) -> Path:
        """The one folder that is looked through."""
        return self.tops[0]

    def known_files(self) -> Any:
        """What the lake knows of the files: `SourceFiles`, or what does the same for a product in its own way."""
        return SourceFiles(self.root, self.table, self.top, self.report, self.run.reread)

    @abstractmethod
    def discover(self) -> Iterable[Found | Rejected]:
        """The files, and what cannot be looked into."""

    @staticmethod
    def judge(found: Found) -> Any:
        """What a file holds; whatever this raises is the reason why it is set aside. Called in a worker."""
        raise NotImplementedError

    def plan(self) -> Iterable[PartitionJob]:
        """The partitions that these files make up, stale or not."""
        return ()

    @staticmethod
    def build(job: PartitionJob) -> pa.Table | Rejected:
        """The rows of a partition, or the file that has changed since it was judged. Called in a worker."""
        raise NotImplementedError

    def differing(self, found: Sequence[Found]) -> Iterable[tuple[str, str]] | None:
        """Table and path of partitions that are not of these files; None if `plan` and `build` tell."""
        return None

    def recorded(self) -> Iterable[Mapping[str, Any]]:
        """The files that the tables themselves record, in case the catalog has lost its own record."""
        return ()

    def present(self) -> Iterable[str]:
        """Names of the files whose rows are in the lake; others are read even if they have not changed."""
        names: Iterable[str] = self.files.rows
        return names

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Record what came of the files that were found."""
        self.files.note([*refused, *judged])

    def make(self) -> Written:
        """Rebuild the stale partitions."""
        while True:
            jobs = list(self.plan())
            stale = [job for job in jobs if self.so_far(job.table, job.key).get("derived_from") != job.derived_from]
            # A worker need not know the product by its name.
            tables = [TABLES[job.table] for job in stale]
            made = list(self.built(partial(_made, type(self).build), tables, stale))
            lost = [result for result in made if isinstance(result, Rejected)]
            if not lost:
                break
            for result in lost:  # without it, other partitions may be what is planned
                self.files.lose(result)
        written: Written = {(job.table, job.key): row for job, row in zip(stale, made, strict=True)}
        planned = {(job.table, job.key.day_number) for job in jobs}
        gone = self.partitions.keys() - planned
        return written | {(table, Key.of_day_number(number)): None for table, number in gone}

    def built(self, build: Callable[..., Any], *jobs: Sequence[Any]) -> Iterator[Any]:
        """What workers make of each job, in order."""
        self._planned += len(jobs[0])
        self.run.progress.update(self._bar, total=self._planned + 1)  # the commit is one more
        for made in self.run.pools(len(jobs[0])).map(build, *jobs):
            self.run.progress.advance(self._bar)
            yield made

    def so_far(self, table: str, key: Key) -> Mapping[str, Any]:
        """A partition's row of the catalog; empty if there is none."""
        return self.partitions.get((table, key.day_number), {})

    def rows_by_day(self) -> dict[date, list[dict[str, Any]]]:
        """The known rows of `source_file`, by the day they start on."""
        days: dict[date, list[dict[str, Any]]] = {}
        for _, row in sorted(self.files.rows.items()):
            days.setdefault(utc_day(row["tstart"]), []).append(row)
        return days

    def job(self, table: Table, key: Key, rows: Sequence[Mapping[str, Any]]) -> PartitionJob:
        """A partition made from some files, given as rows of `source_file`."""
        sources = tuple(Found(row["directory"], row["filename"]) for row in rows)
        so_far = self.so_far(table.name, key)
        facts = derived_from([[found.name, row["checksum"]] for found, row in zip(sources, rows, strict=True)])
        fresh = frozenset(found.name for found in sources if not so_far or found.name in self.files.fresh)
        return PartitionJob(self.root, table.name, key, sources, facts, so_far.get("path"), fresh)

    def begin(self, found: Sequence[Found], refused: Sequence[Rejected]) -> None:
        """Bring what is known of the files up to date with what was found, before any is read."""
        self.files.adopt(self.recorded())

    def sort_out(self, found: Sequence[Found]) -> list[Found]:
        """The files to read: new and changed ones."""
        new: list[Found] = self.files.sort_out(found, self.present())
        return new

    def ingest(self, dry_run: bool) -> None:
        """Find the files, and bring the tables up to date with them."""
        found: list[Found] = []
        refused: list[Rejected] = []
        for one in self.discover():
            if isinstance(one, Rejected):
                refused.append(one)
            else:
                found.append(one)
        self.begin(found, refused)
        reading = self.run.progress.add_task(f"{self.name}: reading", total=len(found))
        self._bar = self.run.progress.add_task(f"{self.name}: writing", total=None, visible=False)
        self._planned = 0
        at_once = self.files_a_commit or max(len(found), 1)
        for first in range(0, max(len(found), 1), at_once):
            some = found[first : first + at_once]
            new = self.sort_out(some)
            self.run.progress.advance(reading, len(some) - len(new))
            judged = []
            for result in self.judge_all(new):
                judged.append(result)
                self.run.progress.advance(reading)
            self.note(() if first else refused, judged)
            if not dry_run:
                self.run.progress.update(reading, visible=first + at_once < len(found))
                self.run.progress.update(self._bar, visible=True, refresh=True)
                self.files.commit(written := self.make(), derived(self.run, written))

    def judge_all(self, new: Sequence[Found]) -> Iterator[Any]:
        """The verdict on each new or changed file, in order."""
        return self.run.pools(len(new)).map(partial(_judged, type(self).judge), new, chunksize=self.files_a_task)


def _judged(judge: Callable[[Found], Any], found: Found) -> Any:
    try:
        return judge(found)
    except ImportError:
        raise
    except Exception as error:  # whatever one file raises, the others go in
        return rejected(found, error)


def _made(
    build: Callable[[PartitionJob], pa.Table | Rejected], table: Table, job: PartitionJob
) -> dict[str, Any] | Rejected:
    rows = build(job)
    if isinstance(rows, Rejected):
        return rows
    return pin(job.root, table, job.key, rows, [], job.derived_from)


def tables_of(product: Product) -> list[str]:
    """Names of a product's tables."""
    return [table.name for table in import_module(f"{product.package}.tables.{product.name}").TABLES]


def module_of(product: Product) -> Any:
    """A product's ingest module."""
    return import_module(f"{product.package}.ingest.{product.name}")


def derived(run: Run, written: Written) -> Written:
    """New versions of the partitions of the products that follow this one, if it is committed as `written`."""
    result: Written = {}
    for product in PRODUCTS:
        if product.follows == run.product.name:
            listed = with_changes(read_table(run.root, "partition"), written | result)
            report = run.report.derived.get(product.name) or Report(product.name)
            began = perf_counter()
            task = run.progress.add_task(f"{product.name}: writing", total=None)
            made: Written = module_of(product).derive(run.root, listed, run.pools, report)
            report.partitions += len(made)
            report.bytes_out += sum(row["bytes"] for row in made.values() if row is not None)
            report.seconds += perf_counter() - began
            run.progress.remove_task(task)
            result |= made
    return result


@contextmanager
def started(
    product: Product,
    lake: str | os.PathLike[str],
    tops: Sequence[Path] = (),
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    reread: bool = False,
    console: Console | None = None,
) -> Iterator[Run]:
    """Hold the lake for an ingest, with its workers, progress bar and report."""
    began = perf_counter()
    root = absolute(lake)
    report = Report(product.name, dry_run=dry_run)
    if not dry_run:
        followers = [follower.name for follower in PRODUCTS if follower.follows == product.name and not follower.folder]
        report.derived = {follower: Report(follower) for follower in followers}
    with ExitStack() as stack:
        stack.enter_context(writing(root, dry_run))
        pools = executor(stack, jobs, cluster, None if dry_run else root, tops)
        progress = stack.enter_context(progress_bar(console))
        yield Run(product, root, report, pools, progress, jobs, reread)
    report.seconds = perf_counter() - began - sum(derived.seconds for derived in report.derived.values())


def ingest(
    name: str,
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    lake: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    reread: bool = False,
    console: Console | None = None,
) -> Report:
    """
    Ingest the files of a product into a lake, created if need be.

    Each product's module has this as its ``ingest``, without the name.

    Parameters
    ----------
    name : str
        The product.
    source : path, or iterable of path
        A ``$SKA`` root, or the product's folder. For `aca_l0`, any folders and files.
    lake : path
        The lake.
    jobs : int, optional
        How many processes; by default one for each core.
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``: its workers do the work, instead of processes here.
    dry_run : bool
        Only plan: files are read, the lake is not changed.
    reread : bool
        Whether to read files again whose size and date have not changed since they were last read.
    console : rich.console.Console, optional
        Where to show a progress bar, if it is a terminal.

    Returns
    -------
    Report
        What was done.

    Raises
    ------
    LakeError
        If the lake is locked, damaged, or the path is something else, or the cluster cannot be used.
    OSError
        If the disk is full or may not be written; the lake is as before.
    FileNotFoundError
        If the source is not there.
    ValueError
        If there are several sources, and the product follows one archive.
    ImportError
        If the package that reads these files is not installed.

    Examples
    --------
    >>> from mica_lake.simulate import dark_cal
    >>> tmp = getfixture("tmp_path")
    >>> path = dark_cal.write_calibration(tmp / "ska", "2024001")
    >>> ingest("dark_cal", tmp / "ska", tmp / "lake", jobs=1).taken
    ['2024001/properties.json', '2024001/image.fits']
    """
    product = product_named(name)
    parts: Sequence[type[Part]] = module_of(product).PARTS
    tops = [parts[0].folder(one, product) for one in one_or_several(source)]
    if len(tops) != 1 and not parts[0].several:
        raise ValueError(f"{name} follows one archive, not {len(tops)}: ingest them one after the other")
    cluster = cluster if any(part.on_cluster for part in parts) else None
    options: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "dry_run": dry_run, "reread": reread}
    with started(product, lake, tops, console=console, **options) as run:
        for part in parts:
            part(run, *tops).ingest(dry_run)
    return run.report


def derive(name: str, lake: str | os.PathLike[str], *, jobs: int | None = None, cluster: str | None = None) -> Report:
    """
    Bring a derived product up to date with the tables it is made from.

    Parameters
    ----------
    name : str
        The product.
    lake : path
        The lake.
    jobs, cluster
        As of `ingest`.

    Returns
    -------
    Report
        What was done.

    Raises
    ------
    LakeError
        If there is no lake, or it is locked or damaged, or the cluster cannot be used.

    Examples
    --------
    >>> derive("hdr3", demo_lake().root).partitions
    0
    """
    product = product_named(name)
    with started(product_named(product.follows), existing(lake), jobs=jobs, cluster=cluster) as run:
        written = derived(run, {})
        if written:
            commit(run.root, written, read_table(run.root, "source_file"))
    return run.report.derived[name]


__all__ = ["Part", "PartitionJob", "Run", "Taken", "Written", "derive", "derived", "ingest", "started"]
