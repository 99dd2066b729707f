"""Aspect level 1 files: finding them, their headers, their rows."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.catalog.partition import checksum
from mica_lake.errors import BadFile
from mica_lake.formats import fits_table
from mica_lake.formats.gunzip import decompress
from mica_lake.formats.on_disk import read as read_file
from mica_lake.formats.on_disk import unescaped
from mica_lake.ingest import revision_folders
from mica_lake.ingest.found import Found, Rejected, Taken, found_in, place, rejected
from mica_lake.ingest.revision_folders import Revision
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_SOL
from mica_lake.tables.table import Table

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
    """The files in an archive."""
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
    """What `asp_l1_file` says of a file."""
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
        columns_of(ASP_SOL, content, tstart, tstop)
    elif kind == QUALITY:
        quality(content)
    elif kind == CENTROIDS:
        columns_of(ACA_CENT, content, tstart, tstop)
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


def columns_of(table: Table, content: bytes, tstart: float, tstop: float) -> dict[str, pa.Array]:
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
    """Times and status of the samples in an ASPQUAL file."""
    read = fits_table.read(content, ())
    times, status = _column(read, "time"), _column(read, "asp_sol_status")
    if times.ndim != 1 or status.ndim != 1:
        raise BadFile("its columns time and asp_sol_status have more than one value a row")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise BadFile("its times are not ascending")
    if not (np.abs(status.astype(float)) < 2**31).all():
        raise BadFile("its column asp_sol_status has a value that is not a status")
    return times.astype(float), status.astype(np.int64)


def status_of(times: NDArray[np.float64], sampled: NDArray[np.float64], status: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Status of aspect solutions: the worst of the quality samples within 1.025 s.

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


def judge(found: Found) -> tuple[Taken, dict[str, Any]] | Rejected:
    """A file and its row of `asp_l1_file`; or why it cannot be taken."""
    try:
        content = read_file(found.path, LARGEST)
        row = describe(found, content)
    except Exception as error:  # whatever one file raises, the others go in
        return rejected(found, error)
    row["checksum"] = checksum(content)
    facts = {name: row[name] for name in ("tstart", "tstop", "rows")}
    facts["revision"] = int(Path(found.directory).name.partition("_v")[2])
    return Taken(found, row["checksum"], facts), row
