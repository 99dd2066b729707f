"""
The lake against its source files, value by value.

The files are read here by other means than ingest reads them (astropy, csv, json), so that a mistake there is found.
"""

import csv
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache, partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from mica_lake.catalog.findings import Finding, Verified
from mica_lake.catalog.key import EPOCH, Key, path_of
from mica_lake.catalog.mending import ingesting, reindexing, removing
from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.catalog.verify import chosen, read_state
from mica_lake.errors import BadFile, LakeError
from mica_lake.formats.gunzip import MAX_BYTES, decompress
from mica_lake.formats.on_disk import one_or_several, read
from mica_lake.ingest import aca_l0, asp_l1, asp_l1_proc, dark_cal, hdr3, obspar, stat_table, vv
from mica_lake.ingest.revision_folders import Revision
from mica_lake.ingest.source_files import Found, archive_folder, partitions, place, rejected
from mica_lake.store.s3 import LakePath
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0, SAME_READOUT
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_L1_PROC, ASP_SOL
from mica_lake.tables.catalog import PARTITION
from mica_lake.tables.dark_cal import DARK_CAL, DARK_CAL_DISTRIBUTION, DARK_CAL_IMAGE
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.tables.hdr3 import HDR3
from mica_lake.tables.obspar import OBSPAR, OBSPAR_KV
from mica_lake.tables.table import Table  # fmt: skip
from mica_lake.tables.vv import VV_REPORT, VV_RMS
from mica_lake.times import cxcsec, utc_day

# What a header's interval may lack of its rows.
_MARGIN = 10.0
# Readouts that files share may be as far apart as a chain of some files makes them; the next one is 1.025 s away.
_SHARED = 5 * SAME_READOUT
_LARGEST = {
    ACA_L0.name: MAX_BYTES, DARK_CAL.name: dark_cal.LARGEST, OBSPAR.name: obspar.LARGEST,
    ASP_L1_FILE.name: asp_l1.LARGEST, ACQ_STATS.name: stat_table.LARGEST, GUIDE_STATS.name: stat_table.LARGEST,
    VV_REPORT.name: vv.LARGEST, VV_RMS.name: stat_table.LARGEST,
}  # fmt: skip
_COMPARED = ("current", "incomplete", "wanted")
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Job:
    """A source file to be compared."""

    table: str  # that its product is known by
    found: Found
    known: _Row  # its row in source_file
    partitions: tuple[_Row, ...]  # where its rows should be
    revision: Revision | None = None


def stale(root: LakePath) -> list[Finding]:
    """
    Partitions that were derived from others which have changed since.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    list of Finding
        Days of `hdr3`, and `dark_cal_distribution`.

    Raises
    ------
    LakeError
        If the catalog is damaged.
    """
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
    jobs, gone = hdr3.stale(root, pa.Table.from_pylist(rows, schema=PARTITION))
    days = [key.path(HDR3) for key in [*gone, *(Key(job.day) for job in jobs)]]
    findings += [
        Finding("hdr3", day, what, ingesting(root, HDR3, state.source_file)) for day in days if day not in older
    ]
    images = {}
    for row in rows:
        if row["table_name"] == DARK_CAL_IMAGE.name:
            images[f"{EPOCH + timedelta(days=row['day_number']):%Y%j}"] = row["path"]
    for row in rows:
        if row["table_name"] != DARK_CAL_DISTRIBUTION.name or path_of(row) in older:
            continue
        if json.loads(row["derived_from"]) != images:
            mend = ingesting(root, DARK_CAL, state.source_file)
            findings.append(Finding(DARK_CAL_DISTRIBUTION.name, path_of(row), what, mend))
    return findings


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
    root : Path or S3Path
        The lake.
    verified : Verified
        Where to tell what is wrong.
    sample : float
        Which fraction of the files to compare, as of `mica_lake.catalog.verify.chosen`.
    begin : float
        Where that sample begins.
    pool : callable
        Gives an executor for a number of files.
    progress : callable
        Is told how many files were compared, and of how many.

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
    ...     compare([getfixture("demo_ska")], Path(getfixture("demo_lake")), verified, pool=lambda tasks: threads)
    >>> verified.files["dark_cal"], verified.findings
    ([4, 0], [])
    """
    state = read_state(root)
    known, aside = _known(state.source_file)
    index = {(row["table_name"], row["slot"], row["day_number"]): row for row in state.partition.values()}
    of_reports = _of_reports(root, index.values())
    jobs: list[_Job] = []
    for source in one_or_several(sources):
        files = list(_files(source))
        if not files:
            raise FileNotFoundError(f"{source}: there is no source file of any product")
        for table, found, revision in files:
            if not chosen(found.name, sample, begin):
                continue
            row = known.get(_name(table, found))
            counts = verified.files.setdefault(table, [0, 0])
            if (table, found.directory, found.filename) in aside or (row and row["status"] not in _COMPARED):
                counts[1] += 1
            elif row is None:
                mend = ingesting(root, TABLES[table], state.source_file, [found.directory])
                verified.findings.append(Finding(table, str(found.path), "it is not in the lake", mend))
            else:
                counts[0] += 1
                jobs.append(_Job(table, found, row, tuple(_partitions(index, of_reports, table, row, found)), revision))
        verified.findings += _asp_l1_proc(root, source, state.source_file)
    results = pool(len(jobs)).map(partial(_compare, root), jobs, chunksize=8)
    wrong: list[tuple[_Job, str, bool]] = []
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
    """Whether the aspect processing table, which is read as a whole each time, is as the lake has it."""
    try:
        top = archive_folder(source, "asp1")
    except FileNotFoundError:
        return []
    here = partitions(root, [ASP_L1_PROC.name])
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
    """What a file is known by: of `aca_l0` its name, gzipped or not; else its name with that of its folder."""
    return table, found.filename.removesuffix(".gz") if table == ACA_L0.name else found.name


def _known(source_file: pa.Table) -> tuple[dict[tuple[str, str], _Row], set[tuple[str, str, str]]]:
    """Files whose content was taken, and those that were set aside."""
    known, aside = {}, set()
    for row in source_file.to_pylist():
        if row["status"] == "set aside":
            aside.add((row["product"], row["directory"], row["filename"]))
        else:
            known[_name(row["product"], Found(row["directory"] or "", row["filename"]))] = row
    return known, aside


def _files(source: Path) -> Iterator[tuple[str, Found, Revision | None]]:
    """Source files below a path, each with the table that its product is known by."""
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such file or folder")

    def below(folder: str, look: Callable[[Path], Iterable[Any]]) -> Iterable[Any]:
        try:
            return look(archive_folder(source, folder))
        except FileNotFoundError:
            return ()

    of_l0 = below("aca0", lambda _: aca_l0.discover(source)[0]) if source.is_dir() else aca_l0.discover(source)[0]
    for found in of_l0:
        if aca_l0.NAME.fullmatch(found.filename):
            yield ACA_L0.name, found, None
    for found in below("aca_dark", lambda top: dark_cal.discover(top)[0]):
        yield DARK_CAL.name, found, None
    for table, folder, product in ((OBSPAR, "obspar", obspar), (ASP_L1_FILE, "asp1", asp_l1)):
        revisions, files, _ = below(folder, product.discover) or ((), (), ())
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


def _of_reports(root: LakePath, partitions: Iterable[_Row]) -> dict[str, _Row]:
    """Where the lake has each V&V report: in the year that a computed one says, which is there for the archive's."""
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
    index: Mapping[tuple[str, int | None, int], _Row],
    of_reports: Mapping[str, _Row],
    table: str,
    known: _Row,
    found: Found,
) -> Iterator[_Row]:
    """Where the rows of a file are."""
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


def _compare(root: LakePath, job: _Job) -> tuple[str, bool]:
    """How a file differs from its rows in the lake; and whether it is the rows that are wrong."""
    try:
        content = read(job.found.path, _LARGEST[job.table])
    except (OSError, BadFile) as error:
        return rejected(job.found, error).reason, False
    # A file that is there gzipped and not is one file.
    if checksum(content) != job.known["checksum"] and job.found.filename == job.known["filename"]:
        return "it is not what was taken into the lake: it was changed since", False
    compared = {
        ACA_L0.name: _aca_l0, DARK_CAL.name: _dark_cal, OBSPAR.name: _obspar, ASP_L1_FILE.name: _asp_l1,
        ACQ_STATS.name: _stats, GUIDE_STATS.name: _stats, VV_REPORT.name: _vv_report, VV_RMS.name: _vv_rms,
    }[job.table]  # fmt: skip
    try:
        return compared(root, job, content), True
    except BadFile as error:
        return str(error), False
    except (LakeError, pa.ArrowException, OSError, LookupError) as error:
        return f"its rows in the lake cannot be read: {error}", True
    except Exception as error:  # whatever one file raises, the others are compared
        return rejected(job.found, error).reason, False


@lru_cache(maxsize=4)
def _partition(path: Path) -> pa.Table:
    return read_partition(path)


def _rows(root: LakePath, job: _Job, table: Table) -> pa.Table:
    """Rows of the partitions of a file that are of a table."""
    parts = [_partition(root / row["path"]) for row in job.partitions if row["table_name"] == table.name]
    return pa.concat_tables(parts) if parts else table.schema.empty_table()


def _where(rows: pa.Table, **values: Any) -> pa.Table:
    for name, value in values.items():
        rows = rows.filter(pc.equal(rows.column(name), value))
    return rows


def _table(content: bytes) -> tuple[fits.Header, dict[str, NDArray[Any]]]:
    """The first table of a FITS file, as astropy reads it: its header, and its columns by lower-case name."""
    try:
        # What is no ASCII in a header is kept with ?, as astropy does after a warning.
        with warnings.catch_warnings(action="ignore", category=AstropyWarning):
            hdu = fits.HDUList.fromstring(decompress(content))[1]
            return hdu.header, {name.strip().lower(): np.asarray(hdu.data[name]) for name in hdu.data.names}
    except Exception as error:  # astropy raises many kinds for damaged files
        raise BadFile(f"astropy cannot read it: {type(error).__name__}: {error}") from None


def _differs(name: str, column: pa.ChunkedArray, expected: NDArray[Any]) -> str:
    """Where a column is not, bit for bit, what a file has."""
    values = column.combine_chunks()
    if len(values) != len(expected):
        return f"{len(values)} of its {len(expected)} rows are in the lake"
    if values.null_count:
        return f"{name} is null in row {pc.index(values.is_valid(), False).as_py()}"
    if pa.types.is_list(values.type):
        width = expected[0].size if len(expected) else 0
        if (pc.list_value_length(values).to_numpy() != width).any():
            return f"{name} has not {width} values a row"
        values, expected = values.flatten(), expected.reshape(-1)
    else:
        width = 1
    found = values.to_numpy(zero_copy_only=False)
    if expected.dtype.kind in "US":
        # Blanks at the end are none in FITS.
        wrong = np.array([a.rstrip() != str(b).rstrip() for a, b in zip(found, expected, strict=True)], bool)
    elif found.dtype.kind == "f":
        same_type = np.ascontiguousarray(expected.astype(found.dtype))
        bits = np.dtype(f"u{found.dtype.itemsize}")
        wrong = np.ascontiguousarray(found).view(bits) != same_type.view(bits)
    else:
        wrong = found != expected
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        return f"{name} is {found[first]} in the lake, {expected[first]} in row {first // width} of the file"
    return ""


def _nulls(name: str, column: pa.ChunkedArray) -> str:
    return f"{name} is not null, but the file has none" if column.null_count < len(column) else ""


def _aca_l0(root: LakePath, job: _Job, content: bytes) -> str:
    _, columns = _table(content)
    of_slot = _rows(root, job, ACA_L0)
    rows = _where(of_slot, FILENAME=job.known["filename"])
    times, here = columns["time"].astype(float), rows.column("TIME").to_numpy()
    places = np.minimum(np.searchsorted(times, here), len(times) - 1)
    if (times[places] != here).any() or (np.diff(places) <= 0).any():
        return "rows are in the lake that it does not have"
    missing = np.delete(times, places)
    if len(missing):
        # A readout that files share is kept of one of them.
        others = np.sort(of_slot.column("TIME").to_numpy())
        after = np.searchsorted(others, missing)
        near = np.pad(others, 1, constant_values=np.inf)
        lost = missing[np.minimum(np.abs(near[after] - missing), np.abs(near[after + 1] - missing)) > _SHARED]
        if len(lost):
            return f"{len(lost)} of its {len(times)} rows are not in the lake, the first of TIME {lost[0]}"
    imgsize = columns["imgraw"].shape[1]
    made = {"imgsize": np.full(len(times), imgsize), "pixtlm": np.full(len(times), "ORIG"),
            "bgdtyp": np.full(len(times), "FLAT")}  # fmt: skip
    for column in ACA_L0.columns:
        expected = columns.get(column.name.lower(), made.get(column.name.lower()))
        if column.name == "FILENAME":
            continue
        if expected is None:
            reason = _nulls(column.name, rows.column(column.name))
        else:
            reason = _differs(column.name, rows.column(column.name), expected[places])
        if reason:
            return reason
    return ""


def _dark_cal(root: LakePath, job: _Job, content: bytes) -> str:
    dark_id = Path(job.found.directory).name
    found = _where(_rows(root, job, DARK_CAL), dark_id=dark_id).to_pylist()
    if len(found) != 1:
        return f"the lake has {len(found)} rows of it"
    row = found[0]
    if job.found.filename == "properties.json":
        text = content.decode("utf-8-sig", "replace")
        properties = json.loads(text)
        expected: dict[str, Any] = {
            name: value for name, value in properties.items() if isinstance(value, str | int | float)
        }
        expected |= {"dark_id": dark_id, "time": dark_cal.start_of(properties, dark_id), "properties": text}
        expected |= {"date": expected.get("date") if isinstance(expected.get("date"), str) else None}
        expected |= {"ccd_temp": dark_cal.temperature_of(properties)}
        expected["checksum"] = checksum(content)
        for name, value in expected.items():
            kept = row.get(name)
            if kept != (value if isinstance(value, str) or not isinstance(kept, str) else repr(value)):
                return f"{name} is {kept!r} in the lake, {value!r} in the file"
        return ""
    try:
        image = np.asarray(fits.HDUList.fromstring(decompress(content))[0].data)
    except Exception as error:  # astropy raises many kinds for damaged files
        raise BadFile(f"astropy cannot read it: {type(error).__name__}: {error}") from None
    pixels = _rows(root, job, DARK_CAL_IMAGE)
    row_of, column_of = np.indices(image.shape)
    return (
        _differs("value", pixels.column("value"), image.ravel())
        or _differs("row", pixels.column("row"), row_of.ravel() - 512)
        or _differs("col", pixels.column("col"), column_of.ravel() - 512)
        or _differs("time", pixels.column("time"), np.full(image.size, row["time"]))
        or ("" if row["image_checksum"] == checksum(content) else "the lake has another checksum of it")
    )


def _revision(row: _Row, revision: Revision | None) -> str:
    for name in ("obsid", "revision", "isdefault", "islast"):
        if revision is not None and row[name] != getattr(revision, name):
            return f"{name} is {row[name]} in the lake, {getattr(revision, name)} in the archive"
    return ""


def _obspar(root: LakePath, job: _Job, content: bytes) -> str:
    assert job.revision is not None
    of_revision = {"obsid": job.revision.obsid, "revision": job.revision.revision}
    rows = _where(_rows(root, job, OBSPAR_KV), **of_revision).to_pylist()
    wide = _where(_rows(root, job, OBSPAR), **of_revision).to_pylist()
    if len(wide) != 1:
        return f"the lake has {len(wide)} rows of it in obspar"
    if reason := _revision(wide[0], job.revision):
        return reason
    lines = _parameters(decompress(content).decode("utf-8-sig", "replace"))
    last = {line[0].replace("-", "_").lower(): number for number, line in enumerate(lines)}
    if len(lines) != len(rows):
        return f"{len(rows)} of its {len(lines)} parameters are in the lake"
    for number_of, ((name, kind, _, value, *_, description), row) in enumerate(zip(lines, rows, strict=True)):
        name = name.replace("-", "_")
        text = value if value or kind == "s" else None
        number = float(value) if value and kind != "s" else None
        expected = {"name": name, "type": kind, "value": text, "number": number, "description": description}
        for column, wanted in expected.items():
            if row[column] != wanted and not (wanted != wanted and row[column] != row[column]):
                return f"{column} of {name} is {row[column]!r} in the lake, {wanted!r} in the file"
        if row["isdefault"] != job.revision.isdefault:
            return f"isdefault of {name} is {row['isdefault']} in the lake"
        if last[name.lower()] != number_of:
            continue  # the last one of a name counts
        kept = wide[0].get(name.lower())
        typed = text if text is None or kind == "s" or isinstance(kept, str) else number
        if isinstance(kept, str) and kind != "s" and text is not None:
            kept, typed = float(kept), number
        if kind == "i" and isinstance(kept, int) and text is not None:
            typed = int(text)
        # An observation's own id and times are columns of their own.
        if name.lower() not in OBSPAR.by_name and kept != typed and not (kept != kept and typed != typed):
            return f"{name} is {kept!r} in table obspar, {value!r} in the file"
    return ""


def _parameters(text: str) -> list[list[str]]:
    """The seven fields of each row of an obspar."""
    try:
        rows = list(csv.reader(StringIO(text, newline=""), strict=True))
    except csv.Error:
        rows = [_quoted(line) if '"' in line else line.split(",") for line in text.splitlines()]
    return [[*row, "", "", ""][:7] for row in rows if row and not row[0].startswith("#")]


def _quoted(line: str) -> list[str]:
    """The fields of a row whose value and description are quoted, whatever quotes they have within."""
    name, kind, mode, rest = line.split(",", 3)
    rest, _, description = rest.rpartition(',"')
    value, *others = rest.rsplit(",", 2)
    if value.startswith('"'):
        value = value[1:-1].replace('""', '"')
    return [name, kind, mode, value, *others, description.removesuffix('"')]


def _asp_l1(root: LakePath, job: _Job, content: bytes) -> str:
    assert job.revision is not None
    header, columns = _table(content)
    of_revision = {"obsid": job.revision.obsid, "revision": job.revision.revision}
    of_folder = _where(_rows(root, job, ASP_L1_FILE), **of_revision)
    listed = _where(of_folder, filename=job.found.filename).to_pylist()
    if len(listed) != 1:
        return f"the lake has {len(listed)} rows of it in asp_l1_file"
    row = listed[0]
    stated = {"content": header["CONTENT"].strip(), "tstart": float(header["TSTART"]),
              "tstop": float(header["TSTOP"]), "rows": header["NAXIS2"], "checksum": checksum(content)}  # fmt: skip
    for name, value in stated.items():
        if row[name] != value:
            return f"{name} is {row[name]!r} in the lake, {value!r} in the file"
    if reason := _revision(row, job.revision):
        return reason
    kind = stated["content"]
    if kind == "ACACAL":
        for name in ("aca_misalign", "fts_misalign"):
            if row[name] != columns[name].ravel().tolist():
                return f"{name} is {row[name]} in the lake, {columns[name].ravel().tolist()} in the file"
    table = {"ASPSOL": ASP_SOL, "ACACENT": ACA_CENT}.get(kind)
    if table is None:
        return ""
    rows = _where(_rows(root, job, table), **of_revision, filename=job.found.filename)
    order = np.arange(row["rows"])
    if table is ACA_CENT:
        order = np.lexsort((columns["alg"], columns["slot"], columns["time"]))
    columns["isdefault"] = np.full(row["rows"], job.revision.isdefault)
    if table is ASP_SOL:
        columns["asp_sol_status"] = _status(job, of_folder.to_pylist(), row, columns["time"])
    for column in table.columns:
        if column.name in (*of_revision, "filename"):
            continue
        expected = columns.get(column.name)
        if expected is None or expected.dtype == object:
            reason = _nulls(column.name, rows.column(column.name))
        else:
            reason = _differs(column.name, rows.column(column.name), expected[order])
        if reason:
            return reason
    return ""


def _status(job: _Job, folder: Sequence[_Row], row: _Row, times: NDArray[Any]) -> NDArray[Any]:
    """Status of aspect solutions: the worst of the quality samples near each; objects where there are none."""
    quality = [r for r in folder if r["content"] == "ASPQUAL" and r["interval"] == row["interval"]]
    if not quality:
        return np.full(len(times), None)
    try:
        content = read(Found(job.found.directory, quality[0]["filename"]).path, asp_l1.LARGEST)
    except OSError as error:
        raise BadFile(f"{quality[0]['filename']}, which has its status, cannot be read: {error.strerror}") from None
    _, columns = _table(content)
    worst = np.zeros(len(times), np.int64)
    for time, status in zip(columns["time"].tolist(), columns["asp_sol_status"].tolist(), strict=True):
        if status:
            near = (times >= time - asp_l1.QUALITY_SPACING) & (times <= time + asp_l1.QUALITY_SPACING)
            worst[near & (np.abs(worst) < abs(status))] = status
    return worst


def _stats(root: LakePath, job: _Job, content: bytes) -> str:
    stored = _hdf5(content, job.table)
    rows = _rows(root, job, TABLES[job.table]).sort_by("position")
    return _stored(rows, stored, np.arange(len(stored)))


def _hdf5(content: bytes, table: str) -> NDArray[Any]:
    import h5py

    with h5py.File(BytesIO(content), "r") as file:
        rows: NDArray[Any] = stat_table.node_of(file, table)[()]
    return rows


def _stored(rows: pa.Table, stored: NDArray[Any], positions: NDArray[np.int64]) -> str:
    """Where rows are not those at some places of an HDF5 table."""
    if reason := _differs("position", rows.column("position"), positions):
        return reason
    for name in stored.dtype.names or ():
        expected = stored[name][positions]
        if expected.dtype.kind == "S":
            texts = [text.decode("utf-8", "replace").replace("\ufffd", "?") for text in expected.tolist()]
            expected = np.array(texts, str)
        if pa.types.is_boolean(rows.schema.field(name).type):
            expected = expected.astype(bool)
        if reason := _differs(name, rows.column(name), expected):
            return reason
    return ""


def _vv_rms(root: LakePath, job: _Job, content: bytes) -> str:
    stored, rows = _hdf5(content, job.table), _rows(root, job, VV_RMS)
    computed = rows.filter(rows.column("computed"))
    obsids, revisions = (computed.column(name).to_numpy() for name in ("obsid", "revision"))
    own = set(zip(obsids.tolist(), revisions.tolist(), strict=True))
    archived = [pair not in own for pair in zip(stored["obsid"].tolist(), stored["revision"].tolist(), strict=True)]
    rows = rows.filter(pc.invert(rows.column("computed"))).sort_by("position")
    positions = np.flatnonzero(archived)
    # Of an observation with computed rows the processing table says which revision is released.
    flagged = np.isin(stored["obsid"], obsids)[positions]
    if len(rows) == len(positions):
        stored["isdefault"][positions[flagged]] = rows.column("isdefault").to_numpy()[flagged]
    return _stored(rows, stored, positions)


def _vv_report(root: LakePath, job: _Job, content: bytes) -> str:
    obsid, _, revision = Path(job.found.directory).name.partition("_v")
    rows = _where(_rows(root, job, VV_REPORT), obsid=int(obsid), revision=int(revision)).to_pylist()
    if len(rows) != 1:
        return f"it has {len(rows)} rows in the lake, not one"
    (row,) = rows
    if row["computed"]:
        return ""
    if row["report"] != content.decode():
        return "its report in the lake is another"
    report = json.loads(content)
    named = [(name, row[name], report.get(name)) for name in ("obsid", "revision", "tstart", "tstop")]
    for slot in row["slots"]:
        of_file = report["slots"].pop(str(slot["slot"]), {})
        named += [(f"slot {slot['slot']} {name}", slot[name], of_file.get(name)) for name in slot if name != "slot"]
    for name, here, there in named:
        if here != there and not (here != here and there != there):  # NaN
            return f"{name} is {here} in the lake, {there} in the file"
    return f"slots {', '.join(report['slots'])} are not in the lake" if report["slots"] else ""
