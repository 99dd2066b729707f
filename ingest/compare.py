"""
The lake against its source files, value by value.

The files are read by other means than in ingest (astropy, csv, json), so that a mistake there shows up here.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from mica_lake.catalog.findings import Finding, Verified
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import EPOCH, Key, path_of
from mica_lake.catalog.mending import ingesting, reindexing, removing
from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.verify import chosen, read_state
from mica_lake.errors import LakeError
from mica_lake.formats.on_disk import one_or_several
from mica_lake.ingest import asp_l1_files, asp_l1_proc, dark_cal, obspar, stat_table, vv
from mica_lake.ingest.aca_l0 import files as aca_l0_files
from mica_lake.ingest.compare_rows import COMPARED, Comparison, Row, compared_with_lake
from mica_lake.ingest.follow import module_of, tables_of
from mica_lake.ingest.found import Found, archive_folder, place
from mica_lake.ingest.rebuilt import rebuilt
from mica_lake.ingest.revision_folders import Revision
from mica_lake.ingest.source_files import partitions
from mica_lake.products import PRODUCTS, product_named
from mica_lake.store.place import LakePath
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_L1_PROC, ASP_SOL
from mica_lake.tables.catalog import PARTITION
from mica_lake.tables.dark_cal import DARK_CAL, DARK_CAL_IMAGE
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.tables.obspar import OBSPAR, OBSPAR_KV
from mica_lake.tables.vv import VV_REPORT, VV_RMS
from mica_lake.times import cxcsec, utc_day

# What a header's interval may lack of its rows.
_MARGIN = 10.0

_COMPARED = ("current", "incomplete", "wanted")


def stale(root: LakePath) -> list[Finding]:
    """Stale partitions: made by older definitions, or derived from others that have changed."""
    state = read_state(root)
    rows = list(state.partition.values())
    what = "it was made by older definitions of its columns or calibrations"
    findings = [
        Finding(table.name, path_of(row), what, ingesting(root, table, state.source_file))
        for row in rows
        if row["definition"] != (table := TABLES[row["table_name"]]).definition
    ]
    older = {finding.where for finding in findings}
    what = "it is not derived from what is in the lake now"
    partition = pa.Table.from_pylist(rows, schema=PARTITION)
    for product in PRODUCTS:
        for path in getattr(module_of(product), "stale_paths", _none)(root, partition):
            if path not in older:
                table = TABLES[path.split("/")[0]]
                findings.append(Finding(table.name, path, what, ingesting(root, table, state.source_file)))
    return findings


def _none(root: LakePath, partition: pa.Table) -> tuple[()]:
    return ()


def compare(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    root: LakePath,
    verified: Verified,
    *,
    sample: float = 1.0,
    begin: float = 0.0,
    pool: Callable[[int], Executor],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """
    Compare source files with their rows in the lake, value by value.

    Parameters
    ----------
    sources : path or iterable of path
        ``$SKA`` roots, folders of a product, or files.
    root : path
        The lake.
    verified : Verified
        Where findings go.
    sample : float
        Which fraction of the files to compare, as in `mica_lake.catalog.verify.chosen`.
    begin : float
        Where that sample begins.
    pool : callable
        Gives an executor for a number of files.
    progress : callable
        Called with how many files are done, and how many there are.

    Raises
    ------
    FileNotFoundError
        If a source is not there, or has no files of any product.
    LakeError
        If the catalog is damaged.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> verified = Verified()
    >>> with ThreadPoolExecutor() as threads:
    ...     compare([demo_lake().root.parent / "ska"], Path(demo_lake().root), verified, pool=lambda tasks: threads)
    >>> verified.files["dark_cal"], verified.findings
    ([4, 0, 0], [])
    """
    state = read_state(root)
    known, aside = _known(state.source_file)
    index = {(row["table_name"], row["slot"], row["day_number"]): row for row in state.partition.values()}
    of_reports = _of_reports(root, index.values())
    jobs: list[Comparison] = []
    of_others = [product for product in PRODUCTS if product.folder and COMPARED.isdisjoint(tables_of(product))]
    for source in one_or_several(sources):
        unlisted: list[Found] = []
        files = list(_files(source, unlisted))
        verified.unlisted += [str(found.path) for found in unlisted if _name(ACA_L0.name, found) not in known]
        others = any((source / product.folder).exists() for product in of_others)
        if not files and not others:
            raise FileNotFoundError(f"{source}: there is no source file of any product")
        for table, found, revision in files:
            if not chosen(found.name, sample, begin):
                continue
            row = known.get(_name(table, found))
            counts = verified.files.setdefault(table, [0, 0, 0])
            if (table, found.directory, found.filename) in aside or (row and row["status"] not in _COMPARED):
                counts[1 if row and row["status"] == "superseded" else 2] += 1
            elif row is None:
                mend = ingesting(root, TABLES[table], state.source_file, [found.directory])
                verified.findings.append(Finding(table, str(found.path), "it is not in the lake", mend))
            else:
                counts[0] += 1
                jobs.append(
                    Comparison(table, found, row, tuple(_partitions(index, of_reports, table, row, found)), revision)
                )
        verified.findings += _asp_l1_proc(root, source, state.source_file)
        for product in of_others:
            rebuilt(root, product, source, verified, pool)
    results = pool(len(jobs)).map(partial(compared_with_lake, root), jobs, chunksize=8)
    wrong: list[tuple[Comparison, str, bool]] = []
    for done, (job, (reason, of_rows)) in enumerate(zip(jobs, results, strict=True), 1):
        if reason:
            wrong.append((job, reason, of_rows))
        progress(done, len(jobs))
    latest = read_state(root)
    now, _ = _known(latest.source_file)
    for job, reason, of_rows in wrong:
        paths = {path_of(row): row["path"] for row in job.partitions}
        # What was replaced meanwhile is not wrong.
        if now.get(_name(job.table, job.found), {}).get("checksum") != job.known["checksum"] or any(
            latest.partition.get(path, {}).get("path") != version for path, version in paths.items()
        ):
            continue
        # Its size and date may be as they were.
        mend = ingesting(root, TABLES[job.table], state.source_file, [job.found.directory], reread=not of_rows)
        if of_rows:
            mend = f"{removing(root / path for pair in paths.items() for path in pair)}; {reindexing(root)}; {mend}"
        verified.findings.append(Finding(job.table, str(job.found.path), reason, mend))


def _asp_l1_proc(root: LakePath, source: Path, source_file: pa.Table) -> list[Finding]:
    """Compare the aspect processing table, which is always read whole."""
    try:
        top = archive_folder(source, product_named("asp_l1").folder)
    except FileNotFoundError:
        return []
    here = partitions(read_table(root, "partition"), [ASP_L1_PROC.name])
    listed = asp_l1_proc.read(top)
    if not isinstance(listed, pa.Table) or listed == asp_l1_proc.so_far(root, here):
        return []
    mend = f"{reindexing(root)}; {ingesting(root, ASP_L1_PROC, source_file, [str(top)])}"
    paths = {path_of(row): row["path"] for row in here.values()}
    where, what = str(top / asp_l1_proc.DATABASE), "the lake has other processings"
    if paths:
        mend = f"{removing(root / path for pair in paths.items() for path in pair)}; {mend}"
    return [Finding(ASP_L1_PROC.name, where, what, mend)]


def _name(table: str, found: Found) -> tuple[str, str]:
    """What identifies a file: for `aca_l0` its name, gzipped or not; otherwise its name with that of its folder."""
    return table, found.filename.removesuffix(".gz") if table == ACA_L0.name else found.name


def _known(source_file: pa.Table) -> tuple[dict[tuple[str, str], Row], set[tuple[str, str, str]]]:
    """The files that were taken, and those that were set aside."""
    known, aside = {}, set()
    for row in source_file.to_pylist():
        if row["status"] == "set aside":
            aside.add((row["product"], row["directory"], row["filename"]))
        else:
            known[_name(row["product"], Found(row["directory"] or "", row["filename"]))] = row
    return known, aside


def _files(source: Path, unlisted: list[Found]) -> Iterator[tuple[str, Found, Revision | None]]:
    """Source files below a path, each with the table that records it; and those that no index lists."""
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such file or folder")

    def below(product: str, look: Callable[[Path], Iterable[Any]]) -> Iterable[Any]:
        try:
            return look(archive_folder(source, product_named(product).folder))
        except FileNotFoundError:
            return ()

    def of_aca_l0(top: Path) -> list[Found]:
        files, _, left = aca_l0_files.discover([top])
        unlisted.extend(left)
        return files

    for found in of_aca_l0(source) if source.is_file() else below("aca_l0", of_aca_l0):
        if aca_l0_files.NAME.fullmatch(found.filename):
            yield ACA_L0.name, found, None
    for found in below("dark_cal", lambda top: dark_cal.discover(top)[0]):
        yield DARK_CAL.name, found, None
    for table, name, discover in (
        (OBSPAR, "obspar", obspar.discover),
        (ASP_L1_FILE, "asp_l1", asp_l1_files.discover),
    ):
        revisions, files, _ = below(name, discover) or ((), (), ())
        of_folder = {revision.directory: revision for revision in revisions}
        for found in files:
            yield table.name, found, of_folder[found.directory]
    for found in below("vv", lambda top: vv.discover(top)[0]):
        yield VV_REPORT.name, found, None
    for found in below("vv", lambda top: [place(top / vv.TABLE)] if os.path.lexists(top / vv.TABLE) else []):
        yield VV_RMS.name, found, None
    for table in (ACQ_STATS, GUIDE_STATS):
        try:
            path = stat_table.source_file(source, table.name)
        except FileNotFoundError:
            continue
        if path.name == f"{table.name}.h5":
            yield table.name, place(path), None


def _of_reports(root: LakePath, partitions: Iterable[Row]) -> dict[str, Row]:
    """The partition of each V&V report: if one was computed, it replaces the archive's, and its year counts."""
    found = {}
    for partition in partitions:
        if partition["table_name"] == VV_REPORT.name:
            try:
                rows = read_partition(root / partition["path"], columns=["obsid", "revision"]).to_pylist()
            except (OSError, LakeError):
                continue  # it is looked at, and named, by `verify`
            found.update({f"{row['obsid']:05d}_v{row['revision']:02d}": partition for row in rows})
    return found


def _partitions(
    index: Mapping[tuple[str, int | None, int], Row],
    of_reports: Mapping[str, Row],
    table: str,
    known: Row,
    found: Found,
) -> Iterator[Row]:
    """The partitions that have a file's rows."""
    wanted: list[tuple[str, int | None, list[date]]] = []
    if table in (ACQ_STATS.name, GUIDE_STATS.name, VV_RMS.name):
        yield from (row for (name, _, _), row in index.items() if name == table)
    elif table == VV_REPORT.name and (folder := Path(found.directory).name) in of_reports:
        yield of_reports[folder]
    elif table == VV_REPORT.name:
        year = EPOCH.year if known["tstart"] is None else utc_day(known["tstart"]).year
        wanted = [(table, None, [date(year, 1, 1)])]
    elif table == DARK_CAL.name:
        wanted = [(DARK_CAL.name, None, [EPOCH])]
        if found.filename == "image.fits":
            wanted += [(DARK_CAL_IMAGE.name, None, [utc_day(cxcsec(f"{found.name[:4]}:{found.name[4:7]}"))])]
    else:
        first, last = (utc_day(known[name] + margin) for name, margin in (("tstart", -_MARGIN), ("tstop", _MARGIN)))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        of_year = [date(utc_day(known["tstart"]).year, 1, 1)]
        wanted = {
            ACA_L0.name: [(ACA_L0.name, known["slot"], days)],
            OBSPAR.name: [(OBSPAR.name, None, of_year), (OBSPAR_KV.name, None, of_year)],
            ASP_L1_FILE.name: [
                (ASP_L1_FILE.name, None, of_year),
                (ASP_SOL.name, None, days),
                (ACA_CENT.name, None, days),
            ],
        }[table]  # fmt: skip
    for name, slot, listed in wanted:
        yield from (row for day in listed if (row := index.get((name, slot, Key(day).day_number))))
