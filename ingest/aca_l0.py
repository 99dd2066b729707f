"""
ACA L0: from files ``acaf<seconds>N<revision>_<slot>_img0.fits[.gz]`` to table `aca_l0`.

Discover the files, look at the headers of those not known, plan by the revision rules, read the rows into new versions
of the partitions concerned, commit. Nothing is committed before everything of a batch is on the disk.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from mica_lake.catalog.commit import commit, with_changes
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.mend import writing
from mica_lake.catalog.partition import Source, checksum, read_partition, read_sources
from mica_lake.catalog.root import absolute
from mica_lake.catalog.version import pin, source_row
from mica_lake.errors import BadFile, LakeError
from mica_lake.formats import fits_table
from mica_lake.formats.fits_table import BinTable
from mica_lake.formats.gunzip import MAX_BYTES, decompress
from mica_lake.formats.on_disk import escaped, one_or_several, read, storable
from mica_lake.ingest import hdr3
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report, progress_bar
from mica_lake.ingest.revisions import Verdict, judge
from mica_lake.ingest.source_files import (
    CANNOT_BE_READ,
    Found,
    Rejected,
    archive_folder,
    leads_nowhere,
    looked_at,
    place,
    read_database,
    rejected,
    walk,
)
from mica_lake.store.s3 import LakePath
from mica_lake.tables.aca_l0 import ACA_L0, SAME_READOUT
from mica_lake.tables.catalog import SOURCE_FILE
from mica_lake.tables.hdr3 import HDR3
from mica_lake.times import day_start, utc_day

NAME = re.compile(r"acaf(?P<seconds>\d{8,10})N(?P<revision>\d{3})_(?P<slot>[0-7])_img0\.fits(\.gz)?", re.ASCII)
BATCH_FILES = 4096
# Partitions of an older definition that are written anew in one commit.
BRING_OVER = 1024
# TIME is up to 3 s before the header's TSTART, which is the end of the first readout's integration.
MARGIN = 10.0
# What a header's interval may have beyond its rows: a gap at either end.
SLACK = 3600.0
# Files are of 1.8 h; one of days is a mistake in its header.
LONGEST = 5 * 86400.0
_FORMS = {
    pa.float64(): "D", pa.float32(): "E", pa.int32(): "J", pa.int16(): "I", pa.uint8(): "B",
    pa.string(): "A", pa.list_(pa.float32()): "E",
}  # fmt: skip
# What the revision rules look at; the rows of the first and last are in the lake, of the last not as they should be.
PLANNED = ["current", "superseded", "refused", "incomplete"]
IN_THE_LAKE = ("current", "incomplete")
_KEYWORDS = (
    "CONTENT", "TSTART", "TSTOP", "REVISION", "STARTMJF", "STARTMNF", "STOPMJF", "STOPMNF", "TLMVER", "ASCDSVER", "DATE"
)  # fmt: skip
_DEFAULTS = {"PIXTLM": "ORIG", "BGDTYP": "FLAT"}
_MADE_HERE = {"IMGSIZE", "FILENAME"}
# Unsigned 16-bit numbers in the files; signed in the lake, where they have room and do not wrap when one is subtracted.
_UNSIGNED = {"IMGSCALE", "BGDAVG", "BGDRMS"}


@dataclass(frozen=True)
class Scanned:
    """
    A source file whose header was looked at.

    Attributes
    ----------
    found : Found
        The file.
    source : Source
        What its header says.
    """

    found: Found
    source: Source


@dataclass(frozen=True)
class Job:
    """
    One partition to be made anew.

    Attributes
    ----------
    root : Path or S3Path
        The lake.
    key : Key
        Which partition.
    existing : str or None
        Its version so far, relative to the lake.
    removed : frozenset of str
        Source files whose rows go.
    added : tuple of (directory, Source)
        Source files whose rows come.
    directories : dict
        Where the files that stay were seen, in case one has to be read again.
    """

    root: LakePath
    key: Key
    existing: str | None
    removed: frozenset[str]
    added: tuple[tuple[str, Source], ...]
    directories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """
    A partition made anew.

    Attributes
    ----------
    key : Key
        Which partition.
    row : dict or None
        Its row in the catalog; None if it is as it was or has no rows.
    emptied : bool
        Whether it had rows and has none any more.
    day_rows : dict
        Source file added -> its rows of this day.
    bad : dict
        Source file added -> why its rows cannot be taken.
    wanted : dict
        Source file that stays -> why it should be read again.
    """

    key: Key
    row: dict[str, Any] | None
    emptied: bool
    day_rows: dict[str, int]
    bad: dict[str, str]
    wanted: dict[str, str]


def discover(sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> tuple[list[Found], list[Rejected]]:
    """
    The source files below some paths, oldest first.

    Parameters
    ----------
    sources : path or iterable of path
        Files, folders (looked through to any depth), or ``$SKA`` roots (then ``data/mica/archive/aca0`` in it).
        Where a folder has an ``archfiles.db3``, the files that it lists are taken, and only those.

    Returns
    -------
    list of Found
        FITS files and files named ``acaf…``; of a file given by name, whatever it is.
    list of Rejected
        Folders that cannot be looked into, and links that lead nowhere.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    OSError
        If an ``archfiles.db3`` is being written or cannot be read now.
    ValueError
        If an ``archfiles.db3`` is none.
    """
    found: dict[tuple[str, str], Found] = {}
    refused: list[Rejected] = []
    for top in map(_top, one_or_several(sources)):
        if not top.is_dir():
            if not os.path.lexists(top):
                raise FileNotFoundError(f"{top}: there is no such file or folder")
            found[str(top.parent), top.name] = place(top)
            continue
        names = _listed(top / "archfiles.db3")
        missing = set(names or ())
        for directory, files in walk(top, refused):
            kept = escaped(directory)
            for name in files:
                if name in names if names is not None else name.startswith("acaf") or ".fits" in name:
                    found[directory, name] = Found(kept, escaped(name))
                    missing.discard(name)
                elif reason := leads_nowhere(os.path.join(directory, name)):  # noqa: PTH118 - there are many
                    refused.append(Rejected(Found(kept, escaped(name)), reason))
        for name in missing:
            found[str(top), name] = Found(escaped(top), escaped(name))
    return sorted(found.values(), key=lambda f: (_seconds(f.filename), f.filename, f.directory)), refused


def _top(source: str | os.PathLike[str]) -> Path:
    """The file or folder that a source stands for."""
    path = Path(os.path.abspath(source))  # noqa: PTH100 - links in it are the user's
    return archive_folder(path, "aca0") if path.is_dir() else path


def _listed(database: Path) -> set[str] | None:
    """File names of the archive's index, None where there is none."""
    try:
        rows = read_database(database, "SELECT filename FROM archfiles")
    except BadFile as error:
        raise ValueError(f"{database}: {error}; it should have a table archfiles with a column filename") from error
    return None if rows is None else {str(row[0]) for row in rows}


def _seconds(filename: str) -> int:
    match = NAME.fullmatch(filename)
    return int(match["seconds"]) if match else -1


def _names(filename: str) -> tuple[str, str]:
    """The names that a file can have, uncompressed and compressed."""
    stem = filename.removesuffix(".gz")
    return stem, stem + ".gz"


def scan(found: Found) -> Scanned | Rejected:
    """
    What the header of a source file says.

    Parameters
    ----------
    found : Found
        The file.

    Returns
    -------
    Scanned or Rejected
        It, or the reason why the file cannot be taken.
    """
    try:
        match = NAME.fullmatch(found.filename)
        if match is None:
            raise BadFile("its name is not acaf<seconds>N<revision>_<slot>_img0.fits[.gz]")
        content = read(found.path, MAX_BYTES)
        table = fits_table.read(content, _KEYWORDS, header_only=True)
        return Scanned(found, _describe(found.filename, match, table, content))
    except Exception as error:  # whatever one file raises, the others go in
        return _rejected(found, error)


def _rejected(found: Found, error: Exception) -> Rejected:
    if not isinstance(error, FileNotFoundError):
        return rejected(found, error)
    # Without size and date, as another host may see it late.
    reason = leads_nowhere(found.path) or "archfiles.db3 lists it, but it is not there"
    return Rejected(Found(found.directory, found.filename), reason)


def _describe(filename: str, match: re.Match[str], table: BinTable, content: bytes) -> Source:
    header = table.header
    if header.get("CONTENT") != "ACAIMG":
        raise BadFile(f"it is another product: CONTENT is {header.get('CONTENT')!r}, not 'ACAIMG'")

    def number(keyword: str, kind: Callable[[Any], Any]) -> Any:
        try:
            value = kind(header[keyword])
            if value == header[keyword] and (abs(value) < 2**31 or kind is float):
                return value
        except (KeyError, TypeError, ValueError, OverflowError):
            pass
        raise BadFile(f"its header has no number {keyword}: {header.get(keyword)!r}")

    def text(keyword: str) -> str:
        value = header.get(keyword)
        return str(value) if isinstance(value, str | int | float) else ""

    tstart, tstop = number("TSTART", float), number("TSTOP", float)
    if not (0 < tstart < tstop < 6.3e9 and tstop - tstart < LONGEST):
        raise BadFile(f"its header has no interval: TSTART {tstart}, TSTOP {tstop}")
    if abs(tstart - int(match["seconds"])) > SLACK:
        raise BadFile(f"its name contradicts its header: TSTART is {tstart}")
    revision = number("REVISION", int)
    if revision != int(match["revision"]):
        raise BadFile(f"its name contradicts its header: REVISION is {revision}")
    if "IMGRAW" not in table.layout.forms:
        raise BadFile("column IMGRAW is missing")
    shape = table.layout.dtype["IMGRAW"].shape
    if shape not in {(4, 4), (6, 6), (8, 8)}:
        raise BadFile(f"IMGRAW is {'x'.join(map(str, shape)) or '1'}, not 4x4, 6x6 or 8x8")
    _check_columns(table, shape[0])
    return Source(
        filename=filename,
        checksum=checksum(content),
        slot=int(match["slot"]),
        imgsize=shape[0],
        revision=revision,
        tstart=tstart,
        tstop=tstop,
        startmjf=number("STARTMJF", int),
        startmnf=number("STARTMNF", int),
        stopmjf=number("STOPMJF", int),
        stopmnf=number("STOPMNF", int),
        tlmver=text("TLMVER"),
        ascdsver=text("ASCDSVER"),
        date=text("DATE"),
        file_rows=int(header["NAXIS2"]),
    )


def _check_columns(table: BinTable, imgsize: int) -> None:
    expected = {c.name: c for c in ACA_L0.columns if imgsize in c.imgsizes and c.name not in _MADE_HERE}
    for name, form in table.layout.forms.items():
        if reason := table.layout.odd.get(name):
            raise BadFile(f"column {name} {reason}")
        if name not in expected:
            raise BadFile(f"column {name} is not expected in a {imgsize}x{imgsize} file")
        column = expected.pop(name)
        zero, expected_form = table.layout.zeros.get(name, 0), "I" if name in _UNSIGNED else _FORMS[column.type]
        if form != expected_form or zero not in ((0, 32768) if name in _UNSIGNED else (0,)):
            raise BadFile(f"column {name} has form {form} with TZERO {zero:g}, not {expected_form}")
        if name != "IMGRAW" and table.layout.dtype[name].shape != ():
            raise BadFile(f"column {name} has {table.layout.dtype[name].shape} values a row, not one")
    missing = [name for name in expected if name not in _DEFAULTS]
    if missing:
        raise BadFile(f"column {', '.join(missing)} is missing")


def read_rows(directory: str, source: Source) -> pa.Table:
    """
    All rows of a source file, exactly as they are in it.

    Parameters
    ----------
    directory : str
        Where it is.
    source : Source
        What its header said.

    Returns
    -------
    pyarrow.Table
        Its rows, of the schema of `aca_l0`.

    Raises
    ------
    BadFile
        If they cannot be taken; the message is the reason.
    """
    found = Found(directory, source.filename)
    try:
        content = read(found.path, MAX_BYTES)
        if checksum(content) != source.checksum:
            raise BadFile("it was changed while ingest was running; run ingest again")
        return _table(fits_table.read(content, ()), source)
    except BadFile:
        raise
    except Exception as error:  # whatever one file raises, the others go in
        raise BadFile(rejected(found, error).reason) from None


def _table(table: BinTable, source: Source) -> pa.Table:
    """All rows of a source file."""
    rows = table.rows
    assert rows is not None
    _check_times(rows["TIME"].astype(float), source)
    good = rows["QUALITY"] == 0
    if (rows["IMGNUM1"][good] != source.slot).any():
        seen = sorted(set(rows["IMGNUM1"][good].tolist()))
        raise BadFile(f"its name says slot {source.slot}, IMGNUM1 says {', '.join(map(str, seen))}")
    columns = [_column(c.name, c.type, rows, table.layout.zeros, source) for c in ACA_L0.columns]
    return pa.Table.from_arrays(columns, schema=ACA_L0.schema)


def _check_times(times: NDArray[np.float64], source: Source) -> None:
    if not len(times):
        raise BadFile("it has no rows")
    if not np.isfinite(times).all():
        raise BadFile(f"TIME is {times[~np.isfinite(times)][0]} in row {int(np.flatnonzero(~np.isfinite(times))[0])}")
    outside = (times < source.tstart - MARGIN) | (times > source.tstop + MARGIN)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise BadFile(f"TIME {times[row]} in row {row} is outside TSTART {source.tstart} to TSTOP {source.tstop}")
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        what = "repeated" if times[back[0]] == times[back[0] + 1] else "not in order"
        raise BadFile(f"TIME {times[back[0] + 1]} in row {back[0] + 1} is {what}")
    if times[0] - source.tstart > SLACK or source.tstop - times[-1] > SLACK:
        raise BadFile(
            f"its header's interval, TSTART {source.tstart} to TSTOP {source.tstop}, is not that of its rows, "
            f"{times[0]} to {times[-1]}"
        )


def _column(
    name: str, type_: pa.DataType, rows: NDArray[np.void], zeros: Mapping[str, float], source: Source
) -> pa.Array:
    count = len(rows)
    if name == "FILENAME":
        return pa.repeat(source.filename, count)
    if name == "IMGSIZE":
        return pa.repeat(pa.scalar(source.imgsize, type_), count)
    names = rows.dtype.names or ()
    if name not in names:
        return pa.repeat(_DEFAULTS[name], count) if name in _DEFAULTS else pa.nulls(count, type_)
    values = rows[name]
    if type_ == pa.string():
        try:
            return pa.array(np.char.decode(values, "ascii").tolist(), type_)
        except UnicodeDecodeError as error:
            raise BadFile(f"column {name} is not text: {error.object!r}") from None
    if pa.types.is_list(type_):
        pixels = np.ascontiguousarray(values, dtype="<f4").reshape(-1)
        offsets = np.arange(count + 1, dtype=np.int32) * source.imgsize**2
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(pixels))
    native = values.astype(values.dtype.newbyteorder("="))
    if name in _UNSIGNED:
        # FITS has no unsigned type: with TZERO 32768 its numbers are stored less that.
        native = native.astype(np.int32) + np.int32(zeros.get(name, 0))
        if (native < 0).any():
            raise BadFile(f"column {name} is {int(native.min())}, it should not be negative")
    return pa.array(native)


def build(job: Job) -> Built:
    """
    Make one partition anew, pinned but not committed.

    Parameters
    ----------
    job : Job
        What is to be done.

    Returns
    -------
    Built
        What came of it.
    """
    start, stop = day_start(job.key.day), day_start(job.key.day + timedelta(days=1))
    tables: list[pa.Table] = []
    sources: dict[str, Source] = {}
    day_rows: dict[str, int] = {}
    bad: dict[str, str] = {}
    wanted: dict[str, str] = {}
    so_far = read_sources(job.root / job.existing, ACA_L0)[0] if job.existing is not None else []
    gone = (job.removed | {source.filename for _, source in job.added}) & {source.filename for source in so_far}

    def add(directory: str, source: Source) -> None:
        rows = read_rows(directory, source)
        times = rows.column("TIME").to_numpy()
        first, last = np.searchsorted(times, [start, stop]).tolist()
        day_rows[source.filename] = last - first
        if last > first:
            tables.append(rows.slice(first, last - first))
            sources[source.filename] = replace(source, day_rows=last - first, rows=last - first)

    if job.existing is not None:
        again: set[str] = set()
        for source in so_far:
            if source.filename in gone:
                continue
            if source.rows < source.day_rows:
                # Some of its readouts were kept from another file; which ones depends on all files that there are now.
                try:
                    add(job.directories.get(source.filename, ""), source)
                    again.add(source.filename)
                    continue
                except BadFile as error:
                    if gone:
                        wanted[source.filename] = f"readouts that it shared are to be read from it again: {error}"
            sources[source.filename] = source
        rows = read_partition(job.root / job.existing, schema=ACA_L0.schema)
        if gone or again:
            drop = pa.array(sorted(gone | again), pa.string())
            rows = rows.filter(pc.invert(pc.is_in(rows.column("FILENAME"), drop)))
        tables.append(rows)
    for directory, source in job.added:
        try:
            add(directory, source)
        except BadFile as error:
            bad[source.filename] = str(error)
    if not sources:
        return Built(job.key, None, job.existing is not None, day_rows, bad, wanted)
    merged, kept = _merge(tables, sources)
    listed = [replace(source, rows=kept[name]) for name, source in sources.items()]
    row = pin(job.root, ACA_L0, job.key, merged, listed)
    return Built(job.key, None if row["path"] == job.existing else row, False, day_rows, bad, wanted)


def _merge(tables: Sequence[pa.Table], sources: Mapping[str, Source]) -> tuple[pa.Table, dict[str, int]]:
    """Rows in time order, each readout once; and how many rows of each file."""
    tables = sorted((t for t in tables if len(t)), key=lambda t: t.column("TIME")[0].as_py())
    if not tables:
        return ACA_L0.schema.empty_table(), dict.fromkeys(sources, 0)
    rows = pa.concat_tables(tables)
    times = rows.column("TIME").to_numpy()
    encoded = rows.column("FILENAME").combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    # The newest revision has the say; of files of one revision, the later.
    best_first = sorted(names, key=lambda name: (sources[name].revision, _seconds(name), name), reverse=True)
    rank = np.array([best_first.index(name) for name in names])[encoded.indices.to_numpy()]
    gaps = np.diff(times)
    if not ((gaps <= 0) | ((gaps < SAME_READOUT) & (np.diff(rank) != 0))).any():
        order = None
    else:
        by_time = np.argsort(times, kind="stable")
        starts = np.flatnonzero(np.diff(times[by_time], prepend=-np.inf) >= SAME_READOUT)
        best = np.minimum.reduceat(rank[by_time], starts)
        together = np.repeat(best, np.diff(starts, append=len(times)))
        order = by_time[rank[by_time] == together]
        rows, rank = rows.take(pa.array(order)), rank[order]
    counts = np.bincount(rank, minlength=len(best_first))
    return rows, dict.fromkeys(sources, 0) | dict(zip(best_first, counts.tolist(), strict=True))


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
    Take ACA L0 files into a lake, which is made where there is none, and bring table `hdr3` up to date.

    The outcome depends on the set of files alone: not on their order, on how many runs they are split over, nor on runs
    that were interrupted.

    Parameters
    ----------
    sources : path or iterable of path
        As of `discover`.
    lake : path
        The lake.
    jobs : int, optional
        How many processes; as many as there are cores by default.
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``: its workers do the work, instead of processes here.
    dry_run : bool
        Plan only: headers are read, the lake is left alone.
    reread : bool
        Whether files are read again that have the same size and date as when they were last read.
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
    root, sources = absolute(lake), one_or_several(sources)
    found, refused = discover(sources)
    with ExitStack() as stack:
        stack.enter_context(writing(root, dry_run))
        tops = [_top(source) for source in sources]
        pool = executor(stack, jobs, cluster, None if dry_run else root, tops)
        progress = stack.enter_context(progress_bar(console))
        report = _ingest(root, found, refused, tops, pool, progress, dry_run, reread)
        if report.derived is not None:
            hdr3.bring_up_to_date(root, pool, report.derived)
    return report


def _ingest(
    root: LakePath,
    found: Sequence[Found],
    refused: Sequence[Rejected],
    tops: Sequence[Path],
    pool: Callable[[int], Executor],
    progress: Progress,
    dry_run: bool,
    reread: bool,
) -> Report:
    began = time.perf_counter()
    report = Report(ACA_L0.name, dry_run=dry_run, derived=None if dry_run else Report(HDR3.name))
    known = read_table(root, "source_file")
    if not dry_run:
        known = _settle(root, _without_those_gone(root, known, tops, [*found, *(r.found for r in refused)]))
    task = progress.add_task(ACA_L0.name, total=len(found))
    for first in range(0, max(len(found), 1), BATCH_FILES):
        batch = _Batch(root, report, known, found[first : first + BATCH_FILES], reread, refused if not first else ())
        known = batch.run(pool, lambda files: progress.advance(task, files))
    if not dry_run:
        _bring_over(root, known, pool, report, progress)
    report.seconds = time.perf_counter() - began
    return report


def _bring_over(
    root: LakePath, known: pa.Table, pools: Callable[[int], Executor], report: Report, progress: Progress
) -> None:
    """Write anew the partitions that were made by an older definition of the table, some at a time."""
    partition = read_table(root, "partition")
    current = pc.fill_null(pc.equal(partition.column("definition"), ACA_L0.definition), False)
    older = partition.filter(pc.and_(pc.equal(partition.column("table_name"), ACA_L0.name), pc.invert(current)))
    jobs = [
        Job(root, Key(EPOCH + timedelta(days=row["day_number"]), row["slot"]), row["path"], frozenset(), ())
        for row in older.select(["day_number", "slot", "path"]).to_pylist()
    ]
    if not jobs:
        return
    task = progress.add_task(f"{ACA_L0.name}, older partitions", total=len(jobs))
    for first in range(0, len(jobs), BRING_OVER):
        some = jobs[first : first + BRING_OVER]
        written: dict[tuple[str, Key], dict[str, Any] | None] = {}
        for built in pools(len(some)).map(build, some):
            written[ACA_L0.name, built.key] = built.row
            progress.advance(task)
        report.partitions += len(written)
        report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
        listed = with_changes(read_table(root, "partition"), written)
        assert report.derived is not None
        commit(root, written | hdr3.derive_stale(root, listed, pools, report.derived), known)


def _without_those_gone(root: LakePath, known: pa.Table, tops: Sequence[Path], found: Iterable[Found]) -> pa.Table:
    """Known source files, but for those set aside that the folders looked through have no more."""
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
    """Known source files; of the wanted ones, those that have given way to newer ones are wanted no more."""
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


class _Batch:
    """Some files on their way into the lake."""

    def __init__(
        self,
        root: LakePath,
        report: Report,
        known: pa.Table,
        found: Sequence[Found],
        reread: bool,
        refused: Sequence[Rejected],
    ) -> None:
        self.root = root
        self._reread = reread
        self.report = report
        self.known = known
        # Rows of source_file to put in the place of those of the same file; set aside files are known by their path.
        self.changed: dict[tuple[str, str], dict[str, Any]] = {}
        # New file -> what is known of the one that it takes the place of: the same, gzipped or not.
        self.renamed: dict[str, dict[str, Any]] = {}
        self.forgotten: set[str] = set()
        self.found = len(found)
        named = sorted({name for f in [*found, *(r.found for r in refused)] for name in _names(f.filename)})
        rows = _rows(self.known, named)
        self._aside = {(r["directory"], r["filename"]): r for r in rows if r["status"] == "set aside"}
        self._taken = {_names(r["filename"])[0]: r for r in rows if r["status"] in PLANNED}
        self.new = self._sort_out(found)
        for r in refused:
            self._set_aside(r.found, r.reason)
        self.known = self._known_now()

    def _sort_out(self, found: Sequence[Found]) -> list[Found]:
        """Those files that are not known yet; what is known of the others goes to the report."""
        new: list[Found] = []
        for f in found:
            f = looked_at(f)  # what is wrong with one that cannot be looked at is said when it is read
            seen = self._aside.get((f.directory, f.filename))
            before = self._taken.get(_names(f.filename)[0])
            same = seen is not None and (seen["size"], seen["mtime_ns"]) == (f.size, f.mtime_ns) != (-1, -1)
            if seen is not None and same and not self._reread:
                self.report.set_aside[f.filename] = seen["reason"]
            elif before is None or (before["status"] == "incomplete" and self._checksum(f) == before["checksum"]):
                new.append(f)
            elif f.filename != before["filename"] and self._takes_its_place(f, before):
                self.renamed[f.filename] = before
                new.append(f)
            else:
                self._again(f, before, seen)
        return new

    def _takes_its_place(self, f: Found, before: dict[str, Any]) -> bool:
        """Whether a file is that one of another name which is known and has gone, or is not gzipped as this one is."""
        old = Found(before["directory"] or "", before["filename"])
        try:
            if not old.path.exists():
                return True
        except OSError:  # one that cannot be looked at has not gone
            return False
        content = self._content(f) if f.filename.endswith(".gz") else None
        return content is not None and content == self._content(old)

    def _again(self, f: Found, before: dict[str, Any], seen: dict[str, Any] | None) -> None:
        """A file of a name that is known."""
        where = {"directory": f.directory, "size": f.size, "mtime_ns": f.mtime_ns}
        same_name = f.filename == before["filename"]
        unmoved = same_name and all(before[name] == value for name, value in where.items())
        if self._reread or seen is not None or not unmoved:
            try:
                content = read(f.path, MAX_BYTES)
            except (OSError, BadFile) as error:
                r = _rejected(f, error)
                self._set_aside(r.found, r.reason)
                return
            old = Found(before["directory"] or "", before["filename"])
            if same_name and checksum(content) == before["checksum"]:
                if f.directory == old.directory or not old.path.exists():
                    self._change(before | where)
            elif same_name or self._content(f) is None or self._content(f) != self._content(old):
                self._set_aside(f, f"a file {before['filename']} with other content is in the lake")
                return
        if before["status"] == "refused":
            self.report.set_aside[f.filename] = before["reason"]
        else:
            self.report.unchanged += 1

    @staticmethod
    def _checksum(f: Found) -> str | None:
        try:
            return checksum(read(f.path, MAX_BYTES))
        except (OSError, BadFile):
            return None

    @staticmethod
    def _content(f: Found) -> bytes | None:
        try:
            return decompress(read(f.path, MAX_BYTES))
        except (OSError, BadFile):
            return None

    def _set_aside(self, f: Found, reason: str) -> None:
        reason = storable(reason)
        if reason.startswith(CANNOT_BE_READ):
            f = Found(f.directory, f.filename)
        self.report.set_aside[f.filename] = reason
        row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
        row |= {"product": "aca_l0", "filename": f.filename, "status": "set aside", "reason": reason}
        row |= {"directory": f.directory, "size": f.size, "mtime_ns": f.mtime_ns}
        if row != self._aside.get((f.directory, f.filename)):
            self._change(row)

    def _change(self, row: dict[str, Any]) -> None:
        directory = row["directory"] if row["status"] == "set aside" else ""
        self.changed[directory, row["filename"]] = row

    def run(self, pools: Callable[[int], Executor], advance: Callable[[int], None]) -> pa.Table:
        """Plan, read, derive, commit; what is then known of all source files."""
        pool = pools(len(self.new))
        advance(self.found - len(self.new))
        scanned: dict[str, list[Scanned]] = {}
        for s in pool.map(scan, self.new, chunksize=32):
            if isinstance(s, Rejected):
                self._set_aside(s.found, s.reason)
                advance(1)
            elif (before := self.renamed.get(s.found.filename)) and not _alike(before, s.source):
                self._set_aside(s.found, f"a file {before['filename']} with other content is in the lake")
                advance(1)
            else:
                scanned.setdefault(_names(s.found.filename)[0], []).append(s)
        by_slot: dict[int, dict[str, Scanned]] = {}
        for alike in scanned.values():
            chosen = alike[0] if len(alike) == 1 else self._choose(alike, pool)
            if chosen is not None:
                by_slot.setdefault(chosen.source.slot, {})[chosen.found.filename] = chosen
        plans = [self._plan(slot, files, pool) for slot, files in sorted(by_slot.items())]
        if self.report.dry_run:
            for plan in plans:
                self._tell(plan)
            return self.known
        return self._carry_out(plans, pools, advance)

    def _choose(self, alike: Sequence[Scanned], pool: Executor) -> Scanned | None:
        """The first of files of one name that can be taken, gzipped ones first."""
        alike = sorted(alike, key=lambda s: not s.found.filename.endswith(".gz"))
        reasons = pool.map(_unreadable, alike)
        good = []
        for s, reason in zip(alike, reasons, strict=True):
            if reason:
                self._set_aside(s.found, reason)
            else:
                good.append(s)
        for other in good[1:]:
            if self._content(other.found) == self._content(good[0].found):
                self.report.unchanged += 1
            else:
                self._set_aside(other.found, f"{good[0].found.path} has the same name and other content")
        return good[0] if good else None

    def _plan(self, slot: int, files: dict[str, Scanned], pool: Executor) -> "_Plan":
        """What becomes of the files of one slot, new and known."""
        of_slot = pc.and_(
            pc.equal(self.known.column("slot"), slot),
            pc.is_in(self.known.column("status"), pa.array(PLANNED)),
        )
        known = self.known.filter(of_slot)
        status = dict(zip(known.column("filename").to_pylist(), known.column("status").to_pylist(), strict=True))
        missing: dict[str, str] = {}
        read: set[str] = set()
        while True:
            replaced = {self.renamed[name]["filename"] for name in files if name in self.renamed}
            stays = known.filter(
                pc.invert(pc.is_in(known.column("filename"), pa.array([*files, *missing, *replaced], pa.string())))
            )
            sources = [s.source for s in files.values()]
            names = stays.column("filename").to_pylist() + [s.filename for s in sources]
            revision, tstart, tstop = (
                np.concatenate([stays.column(key).to_numpy(), [getattr(s, key) for s in sources]])
                for key in ("revision", "tstart", "tstop")
            )
            verdict = dict(zip(names, judge(names, revision, tstart, tstop), strict=True))
            # A file that pushes out another must be good to its last row before the other goes.
            pushing = sorted(
                ({v.by for v in verdict.values() if v.by in files} | (self.renamed.keys() & files.keys())) - read
            )
            for name, reason in zip(pushing, pool.map(_unreadable, [files[name] for name in pushing]), strict=True):
                if reason:
                    bad = files.pop(name)
                    if name in status:
                        missing[name] = reason
                    else:
                        self._set_aside(bad.found, reason)
            read.update(pushing)
            # A file that had given way to one that now gives way itself comes back.
            back = [name for name in stays.column("filename").to_pylist()
                    if verdict[name].status == "current" and status[name] not in IN_THE_LAKE]  # fmt: skip
            for row in _rows(known, back):
                again = scan(Found(row["directory"] or "", row["filename"], row["size"] or -1, row["mtime_ns"] or -1))
                if isinstance(again, Rejected) or again.source.checksum != row["checksum"]:
                    missing[row["filename"]] = f"its rows are needed again, but it is not in {row['directory']}"
                elif reason := _unreadable(again):
                    missing[row["filename"]] = f"its rows are needed again, but {reason}"
                else:
                    files[row["filename"]] = again
                    read.add(row["filename"])
            if not pushing and not back:
                return _Plan(slot, known, files, verdict, status, missing, replaced)

    def _tell(self, plan: "_Plan") -> None:
        """Put the plan into the report."""
        for name, verdict in plan.verdict.items():
            before = plan.status.get(name)
            if verdict.status == "current" and (before not in IN_THE_LAKE or name in plan.files):
                self.report.taken.append(name)
            elif before in IN_THE_LAKE and verdict.status != "current":
                self.report.replaced.append(name)
            elif before is None and verdict.status == "superseded":
                self.report.superseded[name] = verdict.reason or ""
            if verdict.status == "refused" and before != "refused":
                self.report.set_aside[name] = verdict.reason or ""
        self.report.set_aside |= plan.missing
        self.report.replaced += sorted(plan.replaced)

    def _carry_out(
        self, plans: Sequence["_Plan"], pools: Callable[[int], Executor], advance: Callable[[int], None]
    ) -> pa.Table:
        pool = pools(len(self.new))
        jobs = list(self._jobs(plans))
        left = Counter(source.filename for job in jobs for _, source in job.added)
        advance(sum(len(plan.files) for plan in plans) - len(left))
        day_rows: dict[str, int] = dict.fromkeys(left, 0)
        bad: dict[str, str] = {}
        wanted: dict[str, str] = {}
        written: dict[tuple[str, Key], dict[str, Any] | None] = {}
        for job, built in zip(jobs, pool.map(build, jobs), strict=True):
            bad |= built.bad
            wanted |= built.wanted
            if built.row is not None or built.emptied:
                written["aca_l0", built.key] = built.row
            for name, rows in built.day_rows.items():
                day_rows[name] = day_rows.get(name, 0) + rows
            for _, source in job.added:
                left[source.filename] -= 1
                advance(int(left[source.filename] == 0))
        for plan in plans:
            pushed_out = {v.by for v in plan.verdict.values()} | self.renamed.keys()
            self.forgotten |= plan.replaced
            for name in bad.keys() & plan.files.keys():
                if name in pushed_out or name in plan.status:
                    raise LakeError(f"{name}: {bad[name]}. Nothing was changed; run ingest again")
                self._set_aside(plan.files.pop(name).found, bad[name])
                del plan.verdict[name]
            for name, scanned in plan.files.items():
                source = scanned.source
                if plan.verdict[name].status == "current":
                    if day_rows[name] != source.file_rows:
                        raise LakeError(
                            f"{name}: {source.file_rows} rows read, {day_rows[name]} placed; nothing was changed"
                        )
                    self.report.rows += source.file_rows
                self._record(source_row("aca_l0", source, "current"), plan.verdict[name], scanned.found)
                self.report.bytes_in += scanned.found.size
            lacking = plan.missing.keys() | (wanted.keys() & plan.status.keys())
            for row in plan.rows([*lacking, *(name for name in plan.overturned() if name not in lacking)]):
                name = row["filename"]
                if name in lacking:
                    reason = plan.missing.get(name) or wanted[name]
                    self.report.set_aside[name] = reason
                    status = "wanted" if name in plan.missing else "incomplete"
                    self._change(row | {"status": status, "reason": reason})
                else:
                    self._record(row, plan.verdict[name], None)
            self._tell(plan)
        self.report.partitions += len(written)
        self.report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
        known = self._known_now()
        if written and self.report.derived is not None:
            # In the same commit, so that no query sees one without the other.
            partition = with_changes(read_table(self.root, "partition"), written)
            written |= hdr3.derive_stale(self.root, partition, pools, self.report.derived)
        if written or self.changed:
            commit(self.root, written, known)
        return known

    def _record(self, row: dict[str, Any], verdict: Verdict, found: Found | None) -> None:
        row = row | {"status": verdict.status, "reason": verdict.reason}
        if found is not None:
            row |= {"directory": found.directory, "size": found.size, "mtime_ns": found.mtime_ns}
        self._change(row)

    def _jobs(self, plans: Sequence["_Plan"]) -> Iterator[Job]:
        partition = read_table(self.root, "partition")
        for plan in plans:
            removed: dict[date, set[str]] = {}
            added: dict[date, list[tuple[str, Source]]] = {}
            for row in plan.rows(plan.pushed_out()):
                for day in _days(row["tstart"], row["tstop"]):
                    removed.setdefault(day, set()).add(row["filename"])
            for name, scanned in plan.files.items():
                if plan.verdict[name].status == "current":
                    for day in _days(scanned.source.tstart, scanned.source.tstop):
                        added.setdefault(day, []).append((scanned.found.directory, scanned.source))
            of_slot = partition.filter(
                pc.and_(
                    pc.equal(partition.column("table_name"), "aca_l0"), pc.equal(partition.column("slot"), plan.slot)
                )
            )
            existing = dict(
                zip(of_slot.column("day_number").to_pylist(), of_slot.column("path").to_pylist(), strict=True)
            )
            for day in sorted(removed.keys() | added.keys()):
                key = Key(day, plan.slot)
                yield Job(
                    self.root,
                    key,
                    existing.get(key.day_number),
                    frozenset(removed.get(day, ())),
                    tuple(sorted(added.get(day, ()), key=lambda item: item[1].filename)),
                    self._directories(plan, day),
                )

    @staticmethod
    def _directories(plan: "_Plan", day: date) -> dict[str, str]:
        """Where the current files of a day were seen."""
        rows = plan.known.filter(
            pc.and_(
                pc.less(plan.known.column("tstart"), day_start(day + timedelta(days=1)) + MARGIN),
                pc.greater(plan.known.column("tstop"), day_start(day) - MARGIN),
            )
        )
        return {row["filename"]: row["directory"] or "" for row in rows.select(["filename", "directory"]).to_pylist()}

    def _known_now(self) -> pa.Table:
        """All that is known of source files, with what this batch changed."""
        if not self.changed:
            return self.known
        names = {name for _, name in self.changed} | self.forgotten
        concerned = _are(self.known, sorted(names))
        # A file that is taken clears the record of bad ones of its name; one set aside leaves those of other folders.
        stays = [
            row
            for row in self.known.filter(concerned).to_pylist()
            if ("", row["filename"]) not in self.changed
            and row["filename"] not in self.forgotten
            and not (row["status"] == "set aside" and (row["directory"], row["filename"]) in self.changed)
        ]
        rows = pa.Table.from_pylist([*stays, *self.changed.values()], schema=SOURCE_FILE)
        return pa.concat_tables([self.known.filter(pc.invert(concerned)), rows])


@dataclass(frozen=True)
class _Plan:
    """What becomes of the files of one slot."""

    slot: int
    known: pa.Table
    files: dict[str, Scanned]  # new ones, and known ones that come back
    verdict: dict[str, Verdict]
    status: dict[str, str]  # of the known ones, so far
    missing: dict[str, str]  # known ones that should come back, and why they cannot
    replaced: set[str]  # known ones that are there under another name

    def overturned(self) -> list[str]:
        """Known files that are not read again and whose status changes."""
        return [
            name
            for name, before in self.status.items()
            if name in self.verdict
            and name not in self.files
            and self.verdict[name].status != ("current" if before in IN_THE_LAKE else before)
        ]

    def pushed_out(self) -> list[str]:
        """Files in the lake that give way."""
        return [
            name
            for name, before in self.status.items()
            if before in IN_THE_LAKE
            and (name in self.replaced or (name in self.verdict and self.verdict[name].status != "current"))
        ]

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """What is known of some files."""
        return _rows(self.known, names)


def _rows(known: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = known.filter(_are(known, names)).to_pylist()
    return rows


def _are(known: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Which known files are those of these names; a folder given by mistake may have files of other products."""
    chosen = pc.is_in(known.column("filename"), pa.array(names, pa.string()))
    return pc.and_(pc.equal(known.column("product"), ACA_L0.name), chosen)


def _alike(known: Mapping[str, Any], source: Source) -> bool:
    """Whether a file has the header of a known one, which cannot be compared with it any more."""
    ours = source_row(ACA_L0.name, source, known["status"])
    return all(ours[name] == known[name] for name in SOURCE_FILE.names[SOURCE_FILE.names.index("slot") :])


def _unreadable(scanned: Scanned) -> str:
    """Why the rows of a file cannot be taken; empty if they can."""
    try:
        read_rows(scanned.found.directory, scanned.source)
    except BadFile as error:
        return str(error)
    return ""


def _days(tstart: float, tstop: float) -> list[date]:
    """The days on which a file with this header can have rows."""
    first, last = utc_day(tstart - MARGIN), utc_day(tstop + MARGIN)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
