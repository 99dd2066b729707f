"""Partitions checked against a product's files by building them again, where `compare` knows no better way."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from mica_lake.catalog.findings import Finding, Verified
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.mending import ingesting
from mica_lake.catalog.partition import checksum, read_partition, values_checksum
from mica_lake.formats.on_disk import escaped
from mica_lake.ingest.follow import Part, Run, module_of
from mica_lake.ingest.found import Found, Rejected
from mica_lake.ingest.report import Report
from mica_lake.products import Product
from mica_lake.store.place import LakePath
from mica_lake.tables import TABLES


def rebuilt(
    root: LakePath, product: Product, source: Path, verified: Verified, pool: Callable[[int], Executor]
) -> None:
    """Add findings where a product's partitions differ from its files below a folder."""
    if not source.is_dir():
        return
    listed = read_table(root, "source_file")
    for part_class in module_of(product).PARTS:
        try:
            top = part_class.folder(source, product)
        except FileNotFoundError:
            continue
        part: Part = part_class(Run(product, root, Report(product.name), pool, Progress(disable=True), 1, False), top)
        aside = {row["filename"] for row in listed.to_pylist() if row["status"] == "set aside"}
        table = TABLES[part.table]
        here = list(part.discover())
        if not here:
            continue
        counts = verified.files.setdefault(part.table, [0, 0, 0])
        taken = []
        for found in here:
            if isinstance(found, Rejected) or found.filename in aside:
                counts[2] += 1
                continue
            counts[0] += 1
            if reason := _changed(part, found):
                mend = ingesting(root, table, listed, [found.directory])
                verified.findings.append(Finding(table.name, str(found.path), reason, mend))
            else:
                taken.append(found)
        mend = ingesting(root, table, listed, [escaped(top)], reread=True)
        differing = part.differing(taken)
        for name, where in _by_plan(part) if differing is None else differing:
            verified.findings.append(Finding(name, where, "its rows are not those of its files", mend))


def _by_plan(part: Part) -> Iterator[tuple[str, str]]:
    """Table and path of the partitions that come out otherwise when they are built again."""
    for job in part.plan():
        fresh = frozenset(found.name for found in job.sources)
        rows = part.build(replace(job, existing=None, fresh=fresh))
        if isinstance(rows, Rejected) or job.existing is None:
            continue  # the file, or the partition, is named already
        if values_checksum(rows) != values_checksum(read_partition(part.root / job.existing)):
            yield job.table, job.key.path(TABLES[job.table])


def _changed(part: Part, found: Found) -> str:
    row = part.files.rows.get(found.name)
    if row is None:
        return "it is not in the lake"
    if checksum(found.path.read_bytes()) != row["checksum"]:
        return "it is not what was taken into the lake: it was changed since"
    return ""
