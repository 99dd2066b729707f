"""ACA L0 files: finding them, their headers, their rows."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.catalog.partition import Source, checksum
from mica_lake.errors import BadFile
from mica_lake.formats import fits_table
from mica_lake.formats.database import read_database
from mica_lake.formats.fits_table import BinTable
from mica_lake.formats.gunzip import MAX_BYTES
from mica_lake.formats.on_disk import escaped, leads_nowhere, read
from mica_lake.ingest.found import Found, Rejected, archive_folder, place, rejected, walk
from mica_lake.products import PRODUCTS, product_named
from mica_lake.tables.aca_l0 import ACA_L0

NAME = re.compile(r"acaf(?P<seconds>\d{8,10})N(?P<revision>\d{3})_(?P<slot>[0-7])_img0\.fits(\.gz)?", re.ASCII)

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

INDEX = "archfiles.db3"

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
    A source file whose header was read.

    Attributes
    ----------
    found : Found
        The file.
    source : Source
        What its header says.
    """

    found: Found
    source: Source


def discover(tops: Iterable[Path]) -> tuple[list[Found], list[Rejected], list[Found]]:
    """The source files below some paths, oldest first; what is none; and what looks like one, but no index lists."""
    found: dict[tuple[str, str], Found] = {}
    refused: list[Rejected] = []
    unlisted: list[Found] = []
    of_others = {Path(product.folder).name for product in PRODUCTS if product.name != ACA_L0.name}
    for top in tops:
        if not top.is_dir():
            found[str(top.parent), top.name] = place(top)
            continue
        names = _listed(top / INDEX)
        missing = set(names or ())
        for directory, files in walk(top, refused, of_others):
            kept = escaped(directory)
            for name in files:
                alike = name.startswith("acaf") or ".fits" in name
                if name in names if names is not None else alike:
                    found[directory, name] = Found(kept, escaped(name))
                    missing.discard(name)
                elif reason := leads_nowhere(os.path.join(directory, name)):  # noqa: PTH118 - there are many
                    refused.append(Rejected(Found(kept, escaped(name)), reason))
                elif alike:
                    unlisted.append(Found(kept, escaped(name)))
        for name in missing:
            found[str(top), name] = Found(escaped(top), escaped(name))
    in_order = sorted(found.values(), key=lambda f: (seconds_of(f.filename), f.filename, f.directory))
    return in_order, refused, unlisted


def top_of(source: str | os.PathLike[str]) -> Path:
    """The file or folder that a source stands for."""
    path = Path(os.path.abspath(source))  # noqa: PTH100 - links in it are the user's
    if not os.path.lexists(path):
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    if not path.is_dir():
        return path
    top = archive_folder(path, product_named(ACA_L0.name).folder)
    _listed(top / INDEX, "SELECT filename FROM archfiles LIMIT 0")  # an error before anything is begun
    return top


def _listed(database: Path, query: str = "SELECT filename FROM archfiles") -> set[str] | None:
    """File names in the archive's index; None if there is none."""
    try:
        rows = read_database(database, query)
    except BadFile as error:
        raise ValueError(f"{database}: {error}; it should have a table archfiles with a column filename") from error
    return None if rows is None else {str(row[0]) for row in rows}


def seconds_of(filename: str) -> int:
    """The time in a file's name; -1 if it has none."""
    match = NAME.fullmatch(filename)
    return int(match["seconds"]) if match else -1


def names_of(filename: str) -> tuple[str, str]:
    """A file's name without and with ``.gz``."""
    stem = filename.removesuffix(".gz")
    return stem, stem + ".gz"


def scan(found: Found) -> Scanned | Rejected:
    """What the header of a source file says."""
    try:
        match = NAME.fullmatch(found.filename)
        if match is None:
            raise BadFile("its name is not acaf<seconds>N<revision>_<slot>_img0.fits[.gz]")
        content = read(found.path, MAX_BYTES)
        table = fits_table.read(content, _KEYWORDS, header_only=True)
        return Scanned(found, _describe(found.filename, match, table, content))
    except Exception as error:  # whatever one file raises, the others go in
        return rejected_by(found, error)


def rejected_by(found: Found, error: Exception) -> Rejected:
    """Set aside a file that raised an error."""
    if not isinstance(error, FileNotFoundError):
        return rejected(found, error)
    # Without size and date, as another host may see it late.
    reason = leads_nowhere(found.path) or f"{INDEX} lists it, but it is not there"
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
    """All rows of a source file, exactly as they are in it."""
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


def unreadable(scanned: Scanned) -> str:
    """Why the rows of a file cannot be taken; empty if they can."""
    try:
        read_rows(scanned.found.directory, scanned.source)
    except BadFile as error:
        return str(error)
    return ""
