"""
Aspect level 1: from files ``OO/OOOOO_vRR/pcad*N*_*1.fits[.gz]`` to tables `asp_l1_file`, `asp_sol` and `aca_cent`.

`asp_l1_file` has a row per file, whatever its content; the rows of the aspect solutions (ASPSOL, with the status of
ASPQUAL) and of the centroids (ACACENT) are in the other two. `asp_l1_proc` comes with them, see there.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.console import Console

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.mend import writing
from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.catalog.root import absolute
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.formats import fits_table
from mica_lake.formats.gunzip import decompress
from mica_lake.formats.on_disk import read as read_file
from mica_lake.formats.on_disk import unescaped
from mica_lake.ingest import asp_l1_proc, revision_folders, vv
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report, progress_bar
from mica_lake.ingest.revision_folders import Revision
from mica_lake.ingest.source_files import (
    Found,
    Rejected,
    SourceFiles,
    Taken,
    archive_folder,
    derived_from,
    found_in,
    partitions,
    place,
    rejected,
)
from mica_lake.store.s3 import LakePath
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_L1_PROC, ASP_SOL
from mica_lake.tables.table import Table
from mica_lake.times import day_start, utc_day

# Of an aspect interval, or of a whole OBI (CONTENT ASPSOLOBI), which has no interval.
_FORM = "pcad[f]<seconds or obsid_obi>N<revision>_<kind>.fits[.gz]"
NAME = re.compile(
    r"((?P<interval>pcad[a-z]?\d{8,10}N\d{3})|pcad[a-z]?\d{1,5}_\d{3}N\d{3})_[a-z0-9]+\.fits(\.gz)?", re.ASCII
)
SOLUTION, QUALITY, CENTROIDS, CALIBRATION = "ASPSOL", "ASPQUAL", "ACACENT", "ACACAL"
# A solution is no better than the quality samples this long before and after it: their spacing.
QUALITY_SPACING = 1.025
# What a header's interval may lack of its rows.
MARGIN = 10.0
LONGEST = 10 * 86400.0
_KEYWORDS = ("CONTENT", "TSTART", "TSTOP", "REVISION", "OBS_ID", "NAXIS1", "NAXIS2", "TFIELDS")
LARGEST = 1 << 31
_NEWER = {"ady", "adz", "adtheta", "ra_raw", "dec_raw", "roll_raw", "q_att_raw"}
_OF_THE_LAKE = {"asp_sol_status", "obsid", "revision", "isdefault", "filename"}


def discover(top: Path) -> tuple[list[Revision], list[Found], list[Rejected]]:
    """
    The products in an archive.

    Parameters
    ----------
    top : Path
        Its folder.

    Returns
    -------
    list of Revision
        The revisions, by observation.
    list of Found
        Their files.
    list of Rejected
        What is wrong with the database, links and folders.
    """
    revisions, refused = revision_folders.discover(top)
    listed = revision_folders.listed_in(top)
    found = []
    for revision in revisions:
        folder = unescaped(revision.directory)
        names, misnamed = revision_folders.named(revision, listed, _of_asp_l1, NAME, _FORM)
        refused += misnamed
        if names is None:
            continue
        for name in [name for name in names if f"{name}.gz" in names]:
            names.remove(name)
            # Without size and date, so that it is looked at again when the other has gone.
            refused.append(Rejected(place(Path(folder, name)), "it is there gzipped, too"))
        found += [found_in(folder, name) for name in names]
        if not names:
            refused.append(Rejected(place(folder), "it has no aspect products"))
    return revisions, found, refused


def _of_asp_l1(name: str) -> bool:
    return name.startswith("pcad") or name.endswith((".fits", ".fits.gz"))


def describe(found: Found, content: bytes) -> dict[str, Any]:
    """
    What `asp_l1_file` says of a file.

    Parameters
    ----------
    found : Found
        The file.
    content : bytes
        It as it is stored.

    Returns
    -------
    dict
        The columns that come from the file itself.

    Raises
    ------
    BadFile
        If it cannot be taken; the message is the reason.
    """
    header, cards = fits_table.read_header(content, _KEYWORDS)
    content_kind = header.get("CONTENT")
    if not isinstance(content_kind, str) or not content_kind.strip():
        raise BadFile(f"its header has no CONTENT: {content_kind!r}")
    kind = content_kind.strip()
    try:
        tstart, tstop, revision = float(header["TSTART"]), float(header["TSTOP"]), int(header["REVISION"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadFile(f"its header has no TSTART, TSTOP or REVISION: {error}") from None
    count = fits_table.count_in(header, "NAXIS2")
    if not (0 < tstart < tstop < 6.3e9 and tstop - tstart < LONGEST):
        raise BadFile(f"its header has no interval: TSTART {tstart}, TSTOP {tstop}")
    obsid, _, number = Path(found.directory).name.partition("_v")
    if not revision == header["REVISION"] == int(number):
        raise BadFile(f"its folder contradicts its header: REVISION is {header['REVISION']!r}")
    if str(header.get("OBS_ID", obsid)).strip().lstrip("0") != obsid.lstrip("0"):
        raise BadFile(f"its folder contradicts its header: OBS_ID is {header['OBS_ID']!r}")
    match = NAME.fullmatch(found.filename)
    row = dict.fromkeys(ASP_L1_FILE.schema.names) | {
        "filename": found.filename,
        "content": kind,
        "interval": match["interval"] if match else None,
        "tstart": tstart,
        "tstop": tstop,
        "rows": count,
    }
    # Read to its end whatever it is, as a truncated file should not be handed out.
    content = decompress(content, LARGEST)
    fits_table.check_whole(content, header)
    if kind == SOLUTION:
        row["header"] = cards
        _columns(ASP_SOL, content, tstart, tstop)
    elif kind == QUALITY:
        quality(content)
    elif kind == CENTROIDS:
        _columns(ACA_CENT, content, tstart, tstop)
    elif kind == CALIBRATION:
        for name in ("aca_misalign", "fts_misalign"):
            values = _column(fits_table.read(content, ()), name)
            if values.shape != (1, 3, 3) or not np.isfinite(values).all():
                raise BadFile(f"column {name} is no finite 3x3 matrix, its shape is {values.shape[1:]}")
            row[name] = values.ravel().tolist()
    return row


def _column(table: fits_table.BinTable, name: str) -> NDArray[Any]:
    """A column in native byte order."""
    assert table.rows is not None
    if name.upper() not in table.layout.forms:
        raise BadFile(f"column {name} is missing")
    if reason := table.layout.odd.get(name.upper()):
        raise BadFile(f"column {name} {reason}")
    values = table.rows[name.upper()]
    if values.dtype.kind not in "iuf":
        raise BadFile(f"column {name} holds no numbers")
    native: NDArray[Any] = values.astype(values.dtype.newbyteorder("="))
    zero = table.layout.zeros.get(name.upper(), 0.0)
    if zero:
        whole = native.dtype.kind != "f" and zero % 1 == 0 and abs(zero) < 2**62
        native = native.astype(np.int64) + int(zero) if whole else native + zero
    return native


def _columns(table: Table, content: bytes, tstart: float, tstop: float) -> dict[str, pa.Array]:
    """Columns of a table that come from the rows of its file."""
    read = fits_table.read(content, ())
    columns: dict[str, pa.Array] = {}
    count = 0
    for column in table.columns:
        if column.name in _OF_THE_LAKE:
            continue
        if column.name in _NEWER and column.name.upper() not in read.layout.forms:
            columns[column.name] = pa.nulls(count, column.type)
            continue
        values = _column(read, column.name)
        count = len(values)
        if pa.types.is_list(column.type):
            if values.shape != (count, 4):
                raise BadFile(f"column {column.name} has {values.shape[1:]} values a row, not four")
            offsets = pa.array(np.arange(count + 1, dtype=np.int32) * 4)
            columns[column.name] = pa.ListArray.from_arrays(offsets, pa.array(values.ravel().astype(float)))
            continue
        if values.shape != (count,):
            raise BadFile(f"column {column.name} has {values.shape[1:]} values a row, not one")
        try:
            columns[column.name] = pa.array(values).cast(column.type)
        except pa.ArrowInvalid as error:
            raise BadFile(f"column {column.name}: {error}") from None
    times = columns["time"].to_numpy()
    outside = ~((times >= tstart - MARGIN) & (times <= tstop + MARGIN))
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise BadFile(f"time {times[row]} in row {row} is outside TSTART {tstart} to TSTOP {tstop}")
    if table.name == ASP_SOL.name and (np.diff(times) <= 0).any():
        row = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 1
        raise BadFile(f"time {times[row]} in row {row} is not after that before it")
    return columns


def quality(content: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """
    Times and status of the samples in an ASPQUAL file.

    Parameters
    ----------
    content : bytes
        The file as it is stored.

    Returns
    -------
    times : numpy.ndarray of float64
        CXC seconds, ascending.
    status : numpy.ndarray of int64
        0 good.

    Raises
    ------
    BadFile
        If it cannot be taken.
    """
    read = fits_table.read(content, ())
    times, status = _column(read, "time"), _column(read, "asp_sol_status")
    if times.ndim != 1 or status.ndim != 1:
        raise BadFile("its columns time and asp_sol_status have more than one value a row")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise BadFile("its times are not ascending")
    if not (np.abs(status.astype(float)) < 2**31).all():
        raise BadFile("its column asp_sol_status has a value that is no status")
    return times.astype(float), status.astype(np.int64)


def status_of(times: NDArray[np.float64], sampled: NDArray[np.float64], status: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Status of aspect solutions: the worst of the quality samples within 1.025 s.

    Parameters
    ----------
    times : numpy.ndarray of float64, shape (n,)
        Times of the solutions, CXC seconds.
    sampled, status : numpy.ndarray, shape (m,)
        Times and status of the quality samples.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        The status, 0 good.

    Examples
    --------
    >>> status_of(np.arange(5.0), np.arange(5.0), np.array([0, 0, 3, 0, 0])).tolist()
    [0, 3, 3, 3, 0]
    """
    worst = np.zeros(len(times), np.int64)
    for bad in np.flatnonzero(status != 0):
        first = np.searchsorted(times, sampled[bad] - QUALITY_SPACING, "left")
        last = np.searchsorted(times, sampled[bad] + QUALITY_SPACING, "right")
        here = worst[first:last]
        here[np.abs(here) < abs(status[bad])] = status[bad]
    return worst


def _judge(found: Found) -> tuple[Taken, dict[str, Any]] | Rejected:
    try:
        content = read_file(found.path, LARGEST)
        row = describe(found, content)
    except Exception as error:  # whatever one file raises, the others go in
        return rejected(found, error)
    row["checksum"] = checksum(content)
    facts = {name: row[name] for name in ("tstart", "tstop", "rows")}
    facts["revision"] = int(Path(found.directory).name.partition("_v")[2])
    return Taken(found, row["checksum"], facts), row


@dataclass(frozen=True)
class Product:
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
        """What a partition depends on."""
        return [self.found.filename, self.checksum, self.quality_checksum, self.revision.isdefault]


@dataclass(frozen=True)
class Day:
    """
    A day of `asp_sol` or `aca_cent` to be made anew.

    Attributes
    ----------
    root : Path or S3Path
        The lake.
    table : Table
        The table.
    day : datetime.date
        The day.
    existing : str or None
        Its version so far, relative to the lake.
    products : tuple of Product
        What has rows on it, by time.
    """

    root: LakePath
    table: Table
    day: date
    existing: str | None
    products: tuple[Product, ...]

    @property
    def derived_from(self) -> str:
        """What it is made from."""
        return derived_from([p.facts for p in self.products])


def build_day(job: Day) -> tuple[dict[str, Any] | None, list[Rejected]]:
    """
    Make a day of `asp_sol` or `aca_cent`, pinned but not committed.

    Parameters
    ----------
    job : Day
        What is to be done.

    Returns
    -------
    dict or None
        Its row in the catalog; None if it has no rows.
    list of Rejected
        Files that were good when they were looked at, are not any more, and have no rows here yet.
    """
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


def _of(rows: pa.Table, product: Product) -> pa.Table:
    """Rows of a partition that are of a product, with the flag that it has now."""
    of_product = (
        ("obsid", product.revision.obsid),
        ("revision", product.revision.revision),
        ("filename", product.found.filename),
    )
    for name, value in of_product:
        rows = rows.filter(pc.equal(rows.column(name), value))
    index = rows.schema.get_field_index("isdefault")
    return rows.set_column(index, rows.schema.field(index), pa.repeat(product.revision.isdefault, len(rows)))


def _rows(table: Table, product: Product, samples: tuple[NDArray[np.float64], NDArray[np.int64]] | None) -> pa.Table:
    """All rows of a file."""
    columns = _columns(table, _read(product.found, product.checksum), product.tstart, product.tstop)
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
        raise BadFile("its rows are to be read again, but it is another file now")
    return decompress(content)


def ingest(
    source: str | os.PathLike[str],
    lake: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    reread: bool = False,
    console: Console | None = None,
) -> Report:
    """
    Take aspect level 1 products into a lake, which is made where there is none.

    Parameters
    ----------
    source : path
        A ``$SKA`` root, or the folder of the products.
    lake : path
        The lake.
    jobs : int, optional
        How many processes; as many as there are cores by default.
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``: its workers do the work, instead of processes here.
    dry_run : bool
        Plan only: files are read, the lake is left alone.
    reread : bool
        Whether files are read again that have the same size and date as when they were last read.
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
    FileNotFoundError
        If the source is not there.

    Examples
    --------
    >>> from mica_lake.simulate.observations import observations
    >>> from mica_lake.simulate import asp_l1
    >>> tmp = getfixture("tmp_path")
    >>> paths = asp_l1.write_archive(tmp / "ska", observations(8.2e8, 8.2e8 + 43200)[:1])
    >>> len(ingest(tmp / "ska", tmp / "lake", jobs=1).taken) == len(paths)
    True
    """
    began = perf_counter()
    top, root = archive_folder(source, "asp1"), absolute(lake)
    report = Report("asp_l1", dry_run=dry_run)
    with ExitStack() as stack:
        stack.enter_context(writing(root, dry_run))
        pools = executor(stack, jobs, cluster, None if dry_run else root, [top])
        progress = stack.enter_context(progress_bar(console))
        files = SourceFiles(root, ASP_L1_FILE.name, top, report, reread)
        here = partitions(root, [ASP_L1_FILE.name, ASP_L1_PROC.name, ASP_SOL.name, ACA_CENT.name])
        index = {Found(row["directory"], row["filename"]).name: row for row in _known(root, here)}
        files.adopt(index.values())
        revisions, found, refused = discover(top)
        new = files.sort_out(found, index)
        proc = asp_l1_proc.read(top)
        files.note([*refused, proc] if isinstance(proc, Rejected) else refused)
        task = progress.add_task(ASP_L1_FILE.name, total=len(new))
        for result in pools(len(new)).map(_judge, new, chunksize=4):
            if isinstance(result, Rejected):
                files.note([result])
            else:
                files.note([result[0]])
                index[result[0].found.name] = result[1]
            progress.advance(task)
        files.follow({name.split("/")[0] for name in files.seen}, lambda name: name.removesuffix(".gz"))
        if not dry_run:
            written, of_files = _build(root, files, here, index, revisions, pools)
            if isinstance(proc, pa.Table):
                written |= asp_l1_proc.build(root, proc, here)
            else:
                proc = asp_l1_proc.so_far(root, here)
            # In the same commit, as these tables say of their rows which revision is released.
            written |= vv.stale(root, asp_l1_proc.released(proc, of_files))
            files.commit(root, written)
    report.seconds = perf_counter() - began
    return report


def _known(root: LakePath, here: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `asp_l1_file` so far."""
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
) -> tuple[dict[tuple[str, Key], dict[str, Any] | None], list[tuple[int, int, bool]]]:
    """New versions of the partitions that are not what they would be if they were made now; and the revisions."""
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
    # Of those with a file in the lake, as `asp_l1_file` has them.
    there = {of_folder[name.split("/")[0]] for name in files.rows}
    return written, [(r.obsid, r.revision, r.isdefault) for r in there]


def _products(
    files: SourceFiles, index: Mapping[str, Mapping[str, Any]], of_folder: Mapping[str, Revision]
) -> dict[str, list[Product]]:
    """The files whose rows belong to `asp_sol` and `aca_cent`, by table, in time order."""
    qualities = {
        (name.split("/")[0], index[name]["interval"]): row
        for name, row in files.rows.items()
        if index[name]["content"] == QUALITY
    }
    products: dict[str, list[Product]] = {ASP_SOL.name: [], ACA_CENT.name: []}
    for name, row in files.rows.items():
        folder, content = name.split("/")[0], index[name]["content"]
        table = {SOLUTION: ASP_SOL, CENTROIDS: ACA_CENT}.get(content)
        if table is None:
            continue
        quality_row = qualities.get((folder, index[name]["interval"])) if content == SOLUTION else None
        products[table.name].append(
            Product(
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


def _days(product: Product) -> list[date]:
    """The days on which a file can have rows."""
    first, last = utc_day(product.tstart - MARGIN), utc_day(product.tstop + MARGIN)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _stale_days(
    root: LakePath, here: Mapping[tuple[str, int], Mapping[str, Any]], products: Mapping[str, Sequence[Product]]
) -> Iterable[Day]:
    """The days that are not what they would be if they were made now."""
    for table in (ASP_SOL, ACA_CENT):
        by_day: dict[date, list[Product]] = {}
        for product in products[table.name]:
            for day in _days(product):
                by_day.setdefault(day, []).append(product)
        for day, ours in sorted(by_day.items()):
            so_far = here.get((table.name, Key(day).day_number))
            job = Day(root, table, day, so_far["path"] if so_far else None, tuple(ours))
            if so_far is None or so_far["derived_from"] != job.derived_from:
                yield job
