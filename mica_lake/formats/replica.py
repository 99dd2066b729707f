"""Raw replicas of a dark current calibration: files of half rows of the CCD, as they came down."""

import math
import os
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.errors import BadFile
from mica_lake.formats import fits_table
from mica_lake.formats.gunzip import decompress
from mica_lake.formats.on_disk import escaped, read

SIDE = 1024
EXTENSION = "ACA_DUMP"
#: The integration times of a frame (s), and how far off the true ones may be.
SHORT, LONG, TOLERANCE = 5.0, 10.0, 1.5

_NAME = re.compile(r"(\d{4})_(\d{3})_VC2_Replica(\d{1,3})_SFDU_(\d{1,6})-L0\.fits", re.ASCII)
_LARGEST = 1 << 26
# A replica has a row for each half row and integration, and parts of it can overlap.
_MOST_ROWS = 2 * 4 * SIDE
_COLUMNS = ("INTEG", "REPLICA", "COLNEG", "ROW", "PIXDATA")
_KEYWORDS = ("EXTNAME", "TSTART", "TSTOP")


@dataclass(frozen=True, order=True)
class ReplicaFile:
    """A raw file by its name: the day, the replica (from 1), and the number of the part."""

    day: date
    replica: int
    part: int
    path: Path


@dataclass(frozen=True)
class HalfRows:
    """
    The half rows in a raw file.

    Attributes
    ----------
    row : array of int
        The CCD row, -512 to 511.
    negative : array of bool
        Whether the half row is that of the negative columns.
    integ : array of float
        Integration time (s).
    long : array of bool
        Whether that is the longer of the two.
    pixels : array of float32, shape (n, 512)
        The pixels (DN), by column.
    interval : tuple of float, or None
        TSTART and TSTOP of the header, if it has them.
    """

    row: NDArray[np.int64]
    negative: NDArray[np.bool_]
    integ: NDArray[np.float64]
    long: NDArray[np.bool_]
    pixels: NDArray[np.float32]
    interval: tuple[float, float] | None


def replica_file(path: str | os.PathLike[str]) -> ReplicaFile:
    """
    A raw file by its name.

    Examples
    --------
    >>> replica_file("2001_080_VC2_Replica3_SFDU_1-L0.fits").replica
    3
    """
    name = Path(path).name
    match = _NAME.fullmatch(name)
    try:
        if match is None or int(match[3]) < 1:
            raise ValueError
        day = datetime.strptime(f"{match[1]}{match[2]}", "%Y%j").date()
        if f"{day:%Y%j}" != match[1] + match[2]:
            raise ValueError
    except ValueError:
        raise BadFile(
            f"{escaped(path)}: it is not called as a raw replica, such as 2001_080_VC2_Replica1_SFDU_1-L0.fits"
        ) from None
    return ReplicaFile(day, int(match[3]), int(match[4]), Path(path))


def read_replica(file: ReplicaFile) -> HalfRows:
    """The half rows in a raw file, all of which are checked."""
    try:
        return _half_rows(read(file.path, _LARGEST), file.replica)
    except BadFile as error:
        raise BadFile(f"{escaped(file.path)}: {error}") from None


def _half_rows(content: bytes, replica: int) -> HalfRows:
    table = fits_table.read(decompress(content, _LARGEST), _KEYWORDS)
    name = str(table.header.get("EXTNAME", "")).strip()
    if name != EXTENSION:
        raise BadFile(f"its first extension is {name!r}, not {EXTENSION!r}: it is not a raw replica")
    rows = table.rows
    assert rows is not None
    if len(rows) > _MOST_ROWS:
        raise BadFile(f"it has {len(rows):,} rows; a replica has {4 * SIDE:,}")
    columns: dict[str, NDArray[Any]] = {}
    for column in _COLUMNS:
        if column not in table.layout.forms:
            raise BadFile(f"it has no column {column}")
        if column in table.layout.odd:
            raise BadFile(f"its column {column} {table.layout.odd[column]}")
        values, size = rows[column], 512 if column == "PIXDATA" else 1
        if values.dtype.kind not in "iuf" or values.shape != ((len(rows), size) if size > 1 else (len(rows),)):
            one = "x".join(map(str, values.shape[1:])) or "1"
            raise BadFile(f"its column {column} has {one} values of type {values.dtype} in a row, not {size} numbers")
        columns[column] = values.astype(np.float32 if size > 1 else np.float64)
        columns[column] += table.layout.zeros.get(column, 0)
    integ, pixels = columns["INTEG"], columns["PIXDATA"]
    long = integ > (SHORT + LONG) / 2
    _all(abs(integ - np.where(long, LONG, SHORT)) <= TOLERANCE, integ, "INTEG", f"about {SHORT:g} or {LONG:g} s")
    _all(columns["REPLICA"] == replica, columns["REPLICA"], "REPLICA", f"{replica}, as in its name")
    _all(np.isin(columns["COLNEG"], (0, 1)), columns["COLNEG"], "COLNEG", "0 or 1")
    valid = (columns["ROW"] >= -SIDE // 2) & (columns["ROW"] < SIDE // 2) & (columns["ROW"] % 1 == 0)
    _all(valid, columns["ROW"], "ROW", f"a row of the CCD, {-SIDE // 2} to {SIDE // 2 - 1}")
    _all(np.isfinite(pixels).all(axis=1), np.full(len(pixels), np.nan), "a pixel of PIXDATA", "a number")
    negative = columns["COLNEG"] == 1
    # The half rows of the positive columns are read from the outermost inwards.
    pixels[~negative] = pixels[~negative, ::-1]
    interval = None
    if "TSTART" in table.header and "TSTOP" in table.header:
        interval = _interval(table.header["TSTART"], table.header["TSTOP"])
    return HalfRows(columns["ROW"].astype(np.int64), negative, integ, long, pixels, interval)


def _all(valid: NDArray[np.bool_], values: NDArray[np.float64], what: str, should: str) -> None:
    """Refuse a file some of whose rows are not valid."""
    if not valid.all():
        at = int(np.argmin(valid))
        raise BadFile(f"{what} is {values[at]:g} in row {at + 1} of {len(values):,}; it should be {should}")


def _interval(start: object, stop: object) -> tuple[float, float]:
    """TSTART and TSTOP of a header."""
    times = [float(t) for t in (start, stop) if isinstance(t, int | float) and math.isfinite(t)]
    if len(times) < 2 or not 0 < times[0] < times[1]:
        raise BadFile(f"its header has TSTART {start!r} and TSTOP {stop!r}, which are not the times of a replica")
    return times[0], times[1]
