"""
Aspect level 1: from files ``OO/OOOOO_vRR/pcad*N*_*1.fits[.gz]`` to tables `asp_l1_file`, `asp_sol` and `aca_cent`.

`asp_l1_file` has a row for every file; `asp_sol` has the rows of the aspect solutions (ASPSOL, with the status from
ASPQUAL), `aca_cent` those of the centroids (ACACENT). `asp_l1_proc` is ingested with them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.formats.gunzip import decompress
from mica_lake.formats.on_disk import read as read_file
from mica_lake.ingest import asp_l1_proc, follow, revision_folders
from mica_lake.ingest.asp_l1_files import (
    CENTROIDS,
    LARGEST,
    MARGIN,
    QUALITY,
    SOLUTION,
    columns_of,
    discover,
    judge,
    quality,
    status_of,
)
from mica_lake.ingest.follow import Part, Run, Written
from mica_lake.ingest.found import Found, Rejected, rejected
from mica_lake.ingest.revision_folders import Revision
from mica_lake.ingest.source_files import SourceFiles, derived_from
from mica_lake.store.place import LakePath
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_L1_PROC, ASP_SOL
from mica_lake.tables.table import Table
from mica_lake.times import day_start, utc_day


@dataclass(frozen=True)
class TimedFile:
    """
    A file whose rows belong to a table.

    Attributes
    ----------
    found : Found
        The file.
    checksum : str
        SHA-256 of it.
    revision : Revision
        What it belongs to.
    tstart, tstop : float
        Of its header.
    fresh : bool
        Whether this ingest took it, so that the lake has no rows of this content.
    quality : Found or None
        The ASPQUAL file of the same interval, for an ASPSOL file.
    quality_checksum : str or None
        SHA-256 of that.
    """

    found: Found
    checksum: str
    revision: Revision
    tstart: float
    tstop: float
    fresh: bool
    quality: Found | None = None
    quality_checksum: str | None = None

    @property
    def facts(self) -> list[Any]:
        """What a partition depends on, for its checksum."""
        return [self.found.filename, self.checksum, self.quality_checksum, self.revision.isdefault]


@dataclass(frozen=True)
class Day:
    """
    A day of `asp_sol` or `aca_cent` to rebuild.

    Attributes
    ----------
    root : path
        The lake.
    table : Table
        The table.
    day : datetime.date
        The day.
    existing : str or None
        Its version so far, relative to the lake.
    products : tuple of TimedFile
        What has rows on it, by time.
    """

    root: LakePath
    table: Table
    day: date
    existing: str | None
    products: tuple[TimedFile, ...]

    @property
    def derived_from(self) -> str:
        """A checksum of what it is made from."""
        return derived_from([p.facts for p in self.products])


def build_day(job: Day) -> tuple[dict[str, Any] | None, list[Rejected]]:
    """Rebuild a day of `asp_sol` or `aca_cent`; it is written, but not committed."""
    start, stop = day_start(job.day), day_start(job.day + timedelta(days=1))
    before = job.table.schema.empty_table()
    if job.existing is not None:
        before = read_partition(job.root / job.existing, schema=job.table.schema)
    parts, refused, done = [], [], []
    for product in job.products:
        # What the lake has of this very file.
        kept = before.slice(0, 0) if product.fresh else _of(before, product)
        samples = None
        if product.quality is not None and product.quality_checksum is not None:
            try:
                samples = quality(_read(product.quality, product.quality_checksum))
            except Exception as error:  # whatever one file raises, the others go in
                if len(kept):
                    parts.append(kept)
                    done.append(product)
                    continue
                refused.append(rejected(product.quality, error))
                product = replace(product, quality=None, quality_checksum=None)
        try:
            part = _rows(job.table, product, samples)
            times = part.column("time")
            parts.append(part.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, stop))))
        except Exception as error:
            if product.fresh and isinstance(error, OSError | BadFile):
                raise BadFile(f"{product.found.path} was changed while ingest was running; run it again") from error
            if not len(kept):
                refused.append(rejected(product.found, error))
                continue
            parts.append(kept)
        done.append(product)
    rows = pa.concat_tables(parts) if parts else before.slice(0, 0)
    facts = replace(job, products=tuple(done)).derived_from
    # A day without rows, at the edge of a header's interval, is kept as it is made: so it is not looked at every time.
    return pin(job.root, job.table, Key(job.day), rows, [], facts), refused


def _of(rows: pa.Table, product: TimedFile) -> pa.Table:
    """The rows of one file in a partition, with its present flag."""
    of_product = (
        ("obsid", product.revision.obsid),
        ("revision", product.revision.revision),
        ("filename", product.found.filename),
    )
    for name, value in of_product:
        rows = rows.filter(pc.equal(rows.column(name), value))
    index = rows.schema.get_field_index("isdefault")
    return rows.set_column(index, rows.schema.field(index), pa.repeat(product.revision.isdefault, len(rows)))


def _rows(table: Table, product: TimedFile, samples: tuple[NDArray[np.float64], NDArray[np.int64]] | None) -> pa.Table:
    """All rows of a file."""
    columns = columns_of(table, _read(product.found, product.checksum), product.tstart, product.tstop)
    count = len(columns["time"])
    if table.name == ASP_SOL.name:
        columns["asp_sol_status"] = pa.nulls(count, pa.int32())
        if samples is not None:
            columns["asp_sol_status"] = pa.array(status_of(columns["time"].to_numpy(), *samples)).cast(pa.int32())
    constants = {
        "obsid": product.revision.obsid,
        "revision": product.revision.revision,
        "isdefault": product.revision.isdefault,
        "filename": product.found.filename,
    }
    for name, value in constants.items():
        columns[name] = pa.repeat(pa.scalar(value, table.by_name[name].type), count)
    # Each centroid algorithm lists all times of a slot, so that a file's rows are not in time order.
    rows = pa.Table.from_arrays([columns[name] for name in table.schema.names], schema=table.schema)
    return (
        rows
        if table.name == ASP_SOL.name
        else rows.sort_by([("time", "ascending"), ("slot", "ascending"), ("alg", "ascending")])
    )


def _read(found: Found, digest: str) -> bytes:
    content = read_file(found.path, LARGEST)
    if checksum(content) != digest:
        raise BadFile("its rows must be read again, but it is another file now")
    return decompress(content)


class AspL1(Part):
    """The aspect level 1 files, and the processing table that says which revision is released."""

    name, table, files_a_task = "asp_l1", ASP_L1_FILE.name, 4
    judge = staticmethod(judge)

    def __init__(self, run: Run, top: Path) -> None:
        super().__init__(run, top)
        self._index = {Found(row["directory"], row["filename"]).name: row for row in _known(self.root, self.partitions)}

    def discover(self) -> list[Found | Rejected]:
        """The files of each revision."""
        self._revisions, found, refused = discover(self.top)
        self._proc = asp_l1_proc.read(self.top)
        return [*found, *refused, *([self._proc] if isinstance(self._proc, Rejected) else [])]

    def recorded(self) -> Iterable[dict[str, Any]]:
        """The files that `asp_l1_file` has."""
        return self._index.values()

    def present(self) -> Iterable[str]:
        """The files that `asp_l1_file` has."""
        return self._index

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Record the files with their rows of `asp_l1_file`, and those that are gone."""
        results = []
        for result in judged:
            if not isinstance(result, Rejected):
                result, row = result
                self._index[result.found.name] = row
            results.append(result)
        super().note(refused, results)
        self.files.follow({name.split("/")[0] for name in self.files.seen}, lambda name: name.removesuffix(".gz"))

    def make(self) -> Written:
        """The days of solutions and centroids, the years of files, the processing table."""
        written = _build(self.root, self.files, self.partitions, self._index, self._revisions, self.run.pools)
        if isinstance(self._proc, pa.Table):
            written |= asp_l1_proc.build(self.root, self._proc, self.partitions)
        return written


def _known(root: LakePath, here: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows that `asp_l1_file` has."""
    rows: list[dict[str, Any]] = []
    for (table, _), row in sorted(here.items()):
        if table == ASP_L1_FILE.name:
            rows += read_partition(root / row["path"], schema=ASP_L1_FILE.schema).to_pylist()
    return rows


def _build(
    root: LakePath,
    files: SourceFiles,
    here: Mapping[tuple[str, int], Mapping[str, Any]],
    index: Mapping[str, dict[str, Any]],
    revisions: Sequence[Revision],
    pools: Callable[[int], Executor],
) -> Written:
    """Rebuild the stale partitions."""
    known = {(row["obsid"], row["revision"]): row for row in index.values() if row["obsid"] is not None}
    gone = [{name: row[name] for name in revision_folders.ATTRIBUTES} for row in known.values()]
    of_folder = {Path(r.directory).name: r for r in revision_folders.with_those_gone(revisions, gone)}
    for name, row in list(files.rows.items()):
        if name not in index or name.split("/")[0] not in of_folder:
            reason = "its rows are missing from the lake, and it is not there"
            files.lose(Rejected(Found(row["directory"], row["filename"]), reason))
    written: dict[tuple[str, Key], dict[str, Any] | None] = {}
    days = dict(here)
    while True:
        products = _products(files, index, of_folder)
        jobs = list(_stale_days(root, days, products))
        lost: list[Rejected] = []
        for job, (made, refused) in zip(jobs, pools(2 * len(jobs)).map(build_day, jobs), strict=True):
            written[job.table.name, Key(job.day)] = days[job.table.name, Key(job.day).day_number] = made
            lost += refused
        for r in lost:
            files.lose(r)
        # The other days of a file that is lost are not what they should be any more.
        if not lost:
            break
    years: dict[int, list[str]] = {}
    for name in sorted(files.rows):
        years.setdefault(utc_day(files.rows[name]["tstart"]).year, []).append(name)
    for year, names in sorted(years.items()):
        of_lake = {name: vars(of_folder[name.split("/")[0]]) for name in names}
        facts = derived_from([[name, files.rows[name]["checksum"], *of_lake[name].values()] for name in names])
        so_far = here.get((ASP_L1_FILE.name, Key.of_year(year).day_number))
        if so_far is None or so_far["derived_from"] != facts:
            rows = [index[name] | of_lake[name] for name in names]
            rows.sort(key=lambda row: (row["tstart"], row["obsid"], row["revision"], row["filename"]))
            table = pa.Table.from_pylist(rows, schema=ASP_L1_FILE.schema)
            written[ASP_L1_FILE.name, Key.of_year(year)] = pin(root, ASP_L1_FILE, Key.of_year(year), table, [], facts)
    wanted = {(ASP_L1_FILE.name, Key.of_year(year)) for year in years} | {
        (table.name, Key(day)) for table in (ASP_SOL, ACA_CENT) for p in products[table.name] for day in _days(p)
    }
    for table, number in here:
        key = Key(EPOCH + timedelta(days=number))
        if table != ASP_L1_PROC.name and (table, key) not in wanted:
            written[table, key] = None
    return written


def _products(
    files: SourceFiles, index: Mapping[str, Mapping[str, Any]], of_folder: Mapping[str, Revision]
) -> dict[str, list[TimedFile]]:
    """The files behind `asp_sol` and `aca_cent`, by table, in time order."""
    qualities = {
        (name.split("/")[0], index[name]["interval"]): row
        for name, row in files.rows.items()
        if index[name]["content"] == QUALITY
    }
    products: dict[str, list[TimedFile]] = {ASP_SOL.name: [], ACA_CENT.name: []}
    for name, row in files.rows.items():
        folder, content = name.split("/")[0], index[name]["content"]
        table = {SOLUTION: ASP_SOL, CENTROIDS: ACA_CENT}.get(content)
        if table is None:
            continue
        quality_row = qualities.get((folder, index[name]["interval"])) if content == SOLUTION else None
        products[table.name].append(
            TimedFile(
                Found(row["directory"], row["filename"]),
                row["checksum"],
                of_folder[folder],
                row["tstart"],
                row["tstop"],
                name in files.fresh,
                Found(quality_row["directory"], quality_row["filename"]) if quality_row else None,
                quality_row["checksum"] if quality_row else None,
            )
        )
    for listed in products.values():
        listed.sort(key=lambda p: (p.tstart, p.revision.obsid, p.revision.revision, p.found.filename))
    return products


def _days(product: TimedFile) -> list[date]:
    """The days that a file's rows can be in."""
    first, last = utc_day(product.tstart - MARGIN), utc_day(product.tstop + MARGIN)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _stale_days(
    root: LakePath, here: Mapping[tuple[str, int], Mapping[str, Any]], products: Mapping[str, Sequence[TimedFile]]
) -> Iterable[Day]:
    """The stale days."""
    for table in (ASP_SOL, ACA_CENT):
        by_day: dict[date, list[TimedFile]] = {}
        for product in products[table.name]:
            for day in _days(product):
                by_day.setdefault(day, []).append(product)
        for day, ours in sorted(by_day.items()):
            so_far = here.get((table.name, Key(day).day_number))
            job = Day(root, table, day, so_far["path"] if so_far else None, tuple(ours))
            if so_far is None or so_far["derived_from"] != job.derived_from:
                yield job


PARTS = (AspL1,)

ingest = partial(follow.ingest, "asp_l1")
