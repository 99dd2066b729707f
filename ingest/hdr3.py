"""
Header 3: from the 8x8 readouts of table `aca_l0` to table `hdr3`.

A day of `hdr3` is derived from that day of `aca_l0` and the first seconds of the next: whether a readout is good
depends on the one after it.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mica_lake import catalog
from mica_lake.catalog import Key
from mica_lake.hdr3_msids import PSEUDO_MSIDS
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report
from mica_lake.partition_file import read_partition
from mica_lake.s3 import LakePath
from mica_lake.tables import ACA_L0, HDR3
from mica_lake.times import day_start

# A readout's header is whole if the slot's next 8x8 readout follows this long after it.
CADENCE, TOLERANCE = 4.1, 0.001
WORDS = (*range(62, 68), *range(72, 78))


@dataclass(frozen=True)
class Job:
    """
    A day to be derived.

    Attributes
    ----------
    root : Path or S3Path
        The lake.
    day : datetime.date
        The day.
    today, tomorrow : dict
        The partitions of `aca_l0` of this day and the next: slot -> path relative to the lake.
    """

    root: LakePath
    day: date
    today: Mapping[int, str]
    tomorrow: Mapping[int, str]

    @property
    def derived_from(self) -> str:
        """What the day is derived from, as a checksum of the names of its sources, which hold their checksums."""
        names = "\n".join([*sorted(self.today.values()), "", *sorted(self.tomorrow.values())])
        return hashlib.sha256(names.encode()).hexdigest()


def derive(job: Job) -> dict[str, Any]:
    """
    Derive one day, pinned but not committed.

    Parameters
    ----------
    job : Job
        The day.

    Returns
    -------
    dict
        Its row in the catalog.
    """
    readouts = {slot: _readouts(job, slot) for slot in job.today}
    times = np.unique(np.concatenate([r.times for r in readouts.values()]))
    slots = np.zeros(len(times), np.uint8)
    words = {}
    good = {}
    for slot, r in readouts.items():
        rows = np.searchsorted(times, r.times)
        slots[rows] |= np.uint8(1 << slot)
        good[slot] = np.zeros(len(times), bool)
        good[slot][rows] = r.good
        words[slot] = np.zeros((len(times), len(WORDS)), np.uint8)
        words[slot][rows] = r.words
    columns: list[pa.Array] = [pa.array(times), pa.array(slots)]
    for msid in PSEUDO_MSIDS:
        if not msid.slots <= readouts.keys():
            columns.append(pa.nulls(len(times), msid.type))
            continue
        valid = np.logical_and.reduce([good[slot] for slot in msid.slots])
        values = msid.values(np.column_stack([words[slot][:, WORDS.index(word)] for slot, word in msid.bytes]))
        columns.append(pa.array(values, mask=~valid, from_pandas=False).cast(msid.type))
    rows = pa.Table.from_arrays(columns, schema=HDR3.schema)
    return catalog.pin(job.root, HDR3, Key(job.day), rows, [], job.derived_from)


@dataclass(frozen=True)
class _Readouts:
    """The 8x8 readouts of a slot on a day."""

    times: NDArray[np.float64]
    good: NDArray[np.bool_]
    words: NDArray[np.uint8]


def _readouts(job: Job, slot: int) -> _Readouts:
    names = [f"HD3TLM{word}" for word in WORDS]
    rows = _read_8x8(job.root / job.today[slot], ["TIME", *names])
    times = rows.column("TIME").to_numpy()
    following = np.empty(0)
    if slot in job.tomorrow:
        midnight = day_start(job.day + timedelta(days=1))
        until = pc.field("TIME") < midnight + CADENCE + TOLERANCE
        following = _read_8x8(job.root / job.tomorrow[slot], ["TIME"], until).column("TIME").to_numpy()
    gaps = np.diff(np.concatenate([times, following[:1], [np.inf]]))[: len(times)]
    words = [rows.column(name).to_numpy() for name in names]
    return _Readouts(times, np.abs(gaps - CADENCE) <= TOLERANCE, np.column_stack(words))


def _read_8x8(path: LakePath, columns: list[str], condition: pc.Expression | None = None) -> pa.Table:
    of_size = pc.field("IMGSIZE") == 8
    chosen = of_size if condition is None else of_size & condition
    schema = pa.schema([ACA_L0.schema.field(name) for name in {*columns, "IMGSIZE", "TIME"}])
    return read_partition(path, columns=columns, filters=chosen, schema=schema)


def stale(root: LakePath, partition: pa.Table) -> tuple[list[Job], list[Key]]:
    """
    The days that are not what they would be if they were derived now.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    partition : pyarrow.Table
        Its partitions, as the catalog lists them.

    Returns
    -------
    list of Job
        Days to be derived.
    list of Key
        Days without any readouts left.
    """
    sources: dict[int, dict[int, str]] = {}
    derived: dict[int, str] = {}
    columns = ("table_name", "day_number", "slot", "path", "derived_from", "definition")
    rows = zip(*(partition.column(name).to_pylist() for name in columns), strict=True)
    for name, number, slot, path, derived_from, definition in rows:
        if name == ACA_L0.name:
            sources.setdefault(number, {})[slot] = path
        elif name == HDR3.name:
            derived[number] = derived_from if definition == HDR3.definition else ""
    jobs = []
    for number, today in sorted(sources.items()):
        job = Job(root, catalog.EPOCH + timedelta(days=number), today, sources.get(number + 1, {}))
        if derived.get(number) != job.derived_from:
            jobs.append(job)
    return jobs, [Key(catalog.EPOCH + timedelta(days=number)) for number in sorted(derived.keys() - sources.keys())]


def derive_stale(
    root: LakePath, partition: pa.Table, pool: Callable[[int], Executor], report: Report
) -> dict[tuple[str, Key], dict[str, Any] | None]:
    """
    Derive the days that changed, pinned but not committed.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    partition : pyarrow.Table
        Its partitions, as the catalog will list them.
    pool : callable
        Gives an executor for a number of jobs.
    report : Report
        Where to tell what was done.

    Returns
    -------
    dict of (table name, Key) -> dict or None
        What is to be committed.
    """
    began = perf_counter()
    jobs, gone = stale(root, partition)
    written: dict[tuple[str, Key], dict[str, Any] | None] = {(HDR3.name, key): None for key in gone}
    for job, row in zip(jobs, pool(len(jobs)).map(derive, jobs, chunksize=4), strict=True):
        written[HDR3.name, Key(job.day)] = row
        report.rows += row["rows"]
        report.bytes_out += row["bytes"]
    report.partitions += len(written)
    report.seconds += perf_counter() - began
    return written


def bring_up_to_date(root: LakePath, pool: Callable[[int], Executor], report: Report) -> None:
    """
    Derive and commit the days that changed; the writer's lock is held.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    pool : callable
        Gives an executor for a number of jobs.
    report : Report
        Where to tell what was done.
    """
    written = derive_stale(root, catalog.read_table(root, "partition"), pool, report)
    if written:
        catalog.commit(root, written, catalog.read_table(root, "source_file"))


def ingest(lake: str | os.PathLike[str], *, jobs: int | None = None, cluster: str | None = None) -> Report:
    """
    Bring table `hdr3` up to date with table `aca_l0`.

    Parameters
    ----------
    lake : path
        The lake.
    jobs : int, optional
        How many processes; as many as there are cores by default.
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``: its workers do the work, instead of processes here.

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
    >>> ingest(getfixture("demo_lake")).partitions
    0
    """
    root = catalog.existing(lake)
    report = Report(HDR3.name)
    with ExitStack() as stack:
        stack.enter_context(catalog.writing(root))
        bring_up_to_date(root, executor(stack, jobs, cluster, root, []), report)
    return report
