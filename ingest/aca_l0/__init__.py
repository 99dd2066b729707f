"""
ACA L0: from files ``acaf<seconds>N<revision>_<slot>_img0.fits[.gz]`` to table `aca_l0`.

Find the files, read the headers of new ones, decide by the revision rules which are current, write new versions of the
partitions that they touch, commit. A batch is committed only once all of it is on disk.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.formats.on_disk import escaped, one_or_several
from mica_lake.ingest import follow
from mica_lake.ingest.aca_l0.batch import PLANNED, Batch
from mica_lake.ingest.aca_l0.files import (
    discover,
    top_of,
)
from mica_lake.ingest.aca_l0.partitions import PartitionJob, build
from mica_lake.ingest.aca_l0.revisions import Verdict, judge
from mica_lake.ingest.found import Found
from mica_lake.ingest.report import Report
from mica_lake.products import product_named
from mica_lake.store.place import LakePath
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import SOURCE_FILE

BATCH_FILES = 4096

# How many partitions of an older definition are rewritten in one commit.
BRING_OVER = 1024


def ingest(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    lake: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    reread: bool = False,
    console: Console | None = None,
) -> Report:
    """
    Ingest ACA L0 files into a lake, created if need be, and bring table `hdr3` up to date.

    The outcome depends only on the set of files: not on their order, on how many runs they are split over, or on runs
    that were interrupted.

    Parameters
    ----------
    sources : path or iterable of path
        ``$SKA`` roots, folders at any depth, or files.
    lake : path
        The lake.
    jobs : int, optional
        How many processes; by default one for each core.
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``: its workers do the work, instead of processes here.
    dry_run : bool
        Only plan: headers are read, the lake is not changed.
    reread : bool
        Whether to read files again whose size and date have not changed since they were last read.
    console : rich.console.Console, optional
        Where to show a progress bar, if it is a terminal.

    Returns
    -------
    Report
        What was done; its ``derived`` is that of `hdr3`.

    Raises
    ------
    LakeError
        If the lake is locked, damaged, or the path is something else, or the cluster cannot be used.
    FileNotFoundError
        If a source is not there.
    OSError
        If the disk is full or may not be written; the lake is as before.

    Examples
    --------
    >>> from mica_lake.simulate import aca_l0
    >>> tmp = getfixture("tmp_path")
    >>> paths = aca_l0.write_archive(tmp / "files", 5.0e8, 5.0e8 + 600, slots=[3], hard_cases=False)
    >>> ingest([tmp / "files"], tmp / "lake", jobs=1).rows
    293
    """
    sources = one_or_several(sources)
    found, refused = discover(sources)
    tops = [top_of(source) for source in sources]
    options: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "dry_run": dry_run, "reread": reread}
    with follow.started(product_named(ACA_L0.name), lake, tops, console=console, **options) as run:
        known = read_table(run.root, "source_file")
        if not dry_run:
            known = _settle(run.root, _without_those_gone(run.root, known, tops, [*found, *(r.found for r in refused)]))
        task = run.progress.add_task(ACA_L0.name, total=len(found))
        for first in range(0, max(len(found), 1), BATCH_FILES):
            batch = Batch(run, known, found[first : first + BATCH_FILES], refused if not first else ())
            known = batch.carry_out(lambda files: run.progress.advance(task, files))
        if not dry_run:
            _bring_over(run, known)
            follow.bring_up_to_date(run)
    return run.report


def _bring_over(run: follow.Run, known: pa.Table) -> None:
    """Rewrite the partitions that an older definition of the table made, some at a time."""
    partition = read_table(run.root, "partition")
    current = pc.fill_null(pc.equal(partition.column("definition"), ACA_L0.definition), False)
    older = partition.filter(pc.and_(pc.equal(partition.column("table_name"), ACA_L0.name), pc.invert(current)))
    jobs = [
        PartitionJob(
            run.root, replace(Key.of_day_number(row["day_number"]), slot=row["slot"]), row["path"], frozenset(), ()
        )
        for row in older.select(["day_number", "slot", "path"]).to_pylist()
    ]
    if not jobs:
        return
    task = run.progress.add_task(f"{ACA_L0.name}, older partitions", total=len(jobs))
    for first in range(0, len(jobs), BRING_OVER):
        some = jobs[first : first + BRING_OVER]
        written: follow.Written = {}
        for built in run.pools(len(some)).map(build, some):
            written[ACA_L0.name, built.key] = built.row
            run.progress.advance(task)
        run.report.partitions += len(written)
        run.report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
        commit(run.root, written | follow.derived(run, written), known)


def _without_those_gone(root: LakePath, known: pa.Table, tops: Sequence[Path], found: Iterable[Found]) -> pa.Table:
    """Known source files, without those that were set aside and are no longer in the folders searched."""
    aside = pc.and_(pc.equal(known.column("product"), ACA_L0.name), pc.equal(known.column("status"), "set aside"))
    below = [Path(escaped(top)) for top in tops if top.is_dir()]
    here = {(f.directory, f.filename) for f in found}
    gone = {
        (row["directory"], row["filename"])
        for row in known.filter(aside).select(["directory", "filename"]).to_pylist()
        if (row["directory"], row["filename"]) not in here
        and any(Path(row["directory"] or "").is_relative_to(top) for top in below)
    }
    if gone:
        places = zip(known.column("directory").to_pylist(), known.column("filename").to_pylist(), strict=True)
        known = known.filter(pc.invert(pc.and_(aside, pa.array([place in gone for place in places]))))
        commit(root, {}, known)
    return known


def _settle(root: LakePath, known: pa.Table) -> pa.Table:
    """Known source files; one that was wanted and has since been superseded is no longer wanted."""
    settled: dict[str, Verdict] = {}
    statuses = known.column("status")
    for slot in known.filter(pc.equal(statuses, "wanted")).column("slot").unique().to_pylist():
        alike = known.filter(
            pc.and_(pc.equal(known.column("slot"), slot), pc.is_in(statuses, pa.array([*PLANNED, "wanted"])))
        )
        intervals = [alike.column(name).to_numpy() for name in ("revision", "tstart", "tstop")]
        verdicts = judge(alike.column("filename").to_pylist(), *intervals)
        for name, status, verdict in zip(
            alike.column("filename").to_pylist(), alike.column("status").to_pylist(), verdicts, strict=True
        ):
            if status == "wanted" and verdict.status != "current":
                settled[name] = verdict
    if settled:
        rows = [
            row | ({"status": v.status, "reason": v.reason} if (v := settled.get(row["filename"])) else {})
            for row in known.to_pylist()
        ]
        known = pa.Table.from_pylist(rows, schema=SOURCE_FILE)
        commit(root, {}, known)
    return known
