"""How a source file differs from its rows in the lake, value by value: a function for each kind of file."""

import csv
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.errors import BadFile, LakeError, counted
from mica_lake.formats import dark_cal as dark_cal_files
from mica_lake.formats import hdf5
from mica_lake.formats.gunzip import MAX_BYTES, decompress
from mica_lake.formats.obspar import LARGEST as LARGEST_OBSPAR
from mica_lake.formats.on_disk import read
from mica_lake.ingest import asp_l1_files, stat_table, vv
from mica_lake.ingest.found import Found, rejected
from mica_lake.ingest.revision_folders import Revision
from mica_lake.store.place import LakePath
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0, SAME_READOUT
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_SOL
from mica_lake.tables.dark_cal import DARK_CAL, DARK_CAL_IMAGE
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.tables.obspar import OBSPAR, OBSPAR_KV
from mica_lake.tables.table import Table  # fmt: skip
from mica_lake.tables.vv import VV_REPORT, VV_RMS

# Readouts that files share may be as far apart as a chain of some files makes them; the next one is 1.025 s away.
_SHARED = 5 * SAME_READOUT

_LARGEST = {
    ACA_L0.name: MAX_BYTES, DARK_CAL.name: dark_cal_files.LARGEST, OBSPAR.name: LARGEST_OBSPAR,
    ASP_L1_FILE.name: asp_l1_files.LARGEST, ACQ_STATS.name: hdf5.LARGEST, GUIDE_STATS.name: hdf5.LARGEST,
    VV_REPORT.name: vv.LARGEST, VV_RMS.name: hdf5.LARGEST,
}  # fmt: skip

#: The tables whose source files are read here by other means than in ingest.
COMPARED = frozenset(_LARGEST)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """A source file to compare."""

    table: str  # that its product is known by
    found: Found
    known: Row  # its row in source_file
    partitions: tuple[Row, ...]  # where its rows should be
    revision: Revision | None = None


def compared_with_lake(root: LakePath, job: Comparison) -> tuple[str, bool]:
    """How a file differs from its rows in the lake, and whether it is the rows that are wrong."""
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


def _rows(root: LakePath, job: Comparison, table: Table) -> pa.Table:
    """A table's rows in the partitions of a file."""
    parts = [_partition(root / row["path"]) for row in job.partitions if row["table_name"] == table.name]
    return pa.concat_tables(parts) if parts else table.schema.empty_table()


def _where(rows: pa.Table, **values: Any) -> pa.Table:
    for name, value in values.items():
        rows = rows.filter(pc.equal(rows.column(name), value))
    return rows


def _table(content: bytes) -> tuple[fits.Header, dict[str, NDArray[Any]]]:
    """The first table of a FITS file as astropy reads it: header, and columns by lower-case name."""
    try:
        # What is no ASCII in a header is kept with ?, as astropy does after a warning.
        with warnings.catch_warnings(action="ignore", category=AstropyWarning):
            hdu = fits.HDUList.fromstring(decompress(content))[1]
            return hdu.header, {name.strip().lower(): np.asarray(hdu.data[name]) for name in hdu.data.names}
    except Exception as error:  # astropy raises many kinds for damaged files
        raise BadFile(f"astropy cannot read it: {type(error).__name__}: {error}") from None


def _differs(name: str, column: pa.ChunkedArray, expected: NDArray[Any]) -> str:
    """Where a column differs in any bit from the file's."""
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
        # FITS does not count blanks at the end.
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


def _aca_l0(root: LakePath, job: Comparison, content: bytes) -> str:
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


def _dark_cal(root: LakePath, job: Comparison, content: bytes) -> str:
    dark_id = Path(job.found.directory).name
    found = _where(_rows(root, job, DARK_CAL), dark_id=dark_id).to_pylist()
    if len(found) != 1:
        return f"the lake has {counted(len(found), 'row')} of it"
    row = found[0]
    if job.found.filename == "properties.json":
        text = content.decode("utf-8-sig", "replace")
        properties = json.loads(text)
        expected: dict[str, Any] = {
            name: value for name, value in properties.items() if isinstance(value, str | int | float)
        }
        expected |= {"dark_id": dark_id, "time": dark_cal_files.start_of(properties, dark_id), "properties": text}
        expected |= {"date": expected.get("date") if isinstance(expected.get("date"), str) else None}
        expected |= {"ccd_temp": dark_cal_files.temperature_of(properties)}
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


def _revision(row: Row, revision: Revision | None) -> str:
    for name in ("obsid", "revision", "isdefault", "islast"):
        if revision is not None and row[name] != getattr(revision, name):
            return f"{name} is {row[name]} in the lake, {getattr(revision, name)} in the archive"
    return ""


def _obspar(root: LakePath, job: Comparison, content: bytes) -> str:
    assert job.revision is not None
    of_revision = {"obsid": job.revision.obsid, "revision": job.revision.revision}
    rows = _where(_rows(root, job, OBSPAR_KV), **of_revision).to_pylist()
    wide = _where(_rows(root, job, OBSPAR), **of_revision).to_pylist()
    if len(wide) != 1:
        return f"the lake has {counted(len(wide), 'row')} of it in obspar"
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
    """The fields of a row whose value and description are quoted, with any quotes inside them."""
    name, kind, mode, rest = line.split(",", 3)
    rest, _, description = rest.rpartition(',"')
    value, *others = rest.rsplit(",", 2)
    if value.startswith('"'):
        value = value[1:-1].replace('""', '"')
    return [name, kind, mode, value, *others, description.removesuffix('"')]


def _asp_l1(root: LakePath, job: Comparison, content: bytes) -> str:
    assert job.revision is not None
    header, columns = _table(content)
    of_revision = {"obsid": job.revision.obsid, "revision": job.revision.revision}
    of_folder = _where(_rows(root, job, ASP_L1_FILE), **of_revision)
    listed = _where(of_folder, filename=job.found.filename).to_pylist()
    if len(listed) != 1:
        return f"the lake has {counted(len(listed), 'row')} of it in asp_l1_file"
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


def _status(job: Comparison, folder: Sequence[Row], row: Row, times: NDArray[Any]) -> NDArray[Any]:
    """Status of aspect solutions: the worst of the quality samples near each; None where there are none."""
    quality = [r for r in folder if r["content"] == "ASPQUAL" and r["interval"] == row["interval"]]
    if not quality:
        return np.full(len(times), None)
    try:
        content = read(Found(job.found.directory, quality[0]["filename"]).path, asp_l1_files.LARGEST)
    except OSError as error:
        raise BadFile(f"{quality[0]['filename']}, which has its status, cannot be read: {error.strerror}") from None
    _, columns = _table(content)
    worst = np.zeros(len(times), np.int64)
    for time, status in zip(columns["time"].tolist(), columns["asp_sol_status"].tolist(), strict=True):
        if status:
            near = (times >= time - asp_l1_files.QUALITY_SPACING) & (times <= time + asp_l1_files.QUALITY_SPACING)
            worst[near & (np.abs(worst) < abs(status))] = status
    return worst


def _stats(root: LakePath, job: Comparison, content: bytes) -> str:
    stored = _hdf5(content, job.table)
    rows = _rows(root, job, TABLES[job.table])
    # What was computed of an observation is in the place of the file's rows.
    computed = pc.fill_null(rows.column("computed"), False)
    positions = np.flatnonzero(~np.isin(stored["obsid"], rows.filter(computed).column("obsid").to_numpy()))
    return _stored(rows.filter(pc.invert(computed)).sort_by("position"), stored, positions)


def _hdf5(content: bytes, table: str) -> NDArray[Any]:
    import h5py

    with h5py.File(BytesIO(content), "r") as file:
        rows: NDArray[Any] = hdf5.node_of(file, stat_table.NODES[table])[()]
    return rows


def _stored(rows: pa.Table, stored: NDArray[Any], positions: NDArray[np.int64]) -> str:
    """Where rows differ from those of an HDF5 table at given indices."""
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


def _vv_rms(root: LakePath, job: Comparison, content: bytes) -> str:
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


def _vv_report(root: LakePath, job: Comparison, content: bytes) -> str:
    obsid, _, revision = Path(job.found.directory).name.partition("_v")
    rows = _where(_rows(root, job, VV_REPORT), obsid=int(obsid), revision=int(revision)).to_pylist()
    if len(rows) != 1:
        return f"it has {counted(len(rows), 'row')} in the lake, not one"
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
