"""The observing catalog as the archive keeps it: the HDF5 table that astropy wrote."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mica_lake.errors import BadFile
from mica_lake.formats.hdf5 import table_in
from mica_lake.times import cxcsec

#: Most bytes of a file: today's has a twentieth.
LARGEST = 1 << 30
_NODE, _META = "data", "data.__table_column_meta__"
_MASK = ".mask"
# A line of the YAML that astropy writes beside a table, of a column with a unit.
_UNIT = re.compile(
    r"^- \{name: (?P<name>[^,{}]+), unit: (?:!astropy\.units\.Unit \{unit: )?(?P<unit>[^,{}]+)", re.MULTILINE
)
_NEEDED = {"obsid": "iu", "ra": "f", "dec": "f", "start_date": "S"}


@dataclass(frozen=True)
class Ocat:
    """
    The observing catalog.

    Attributes
    ----------
    rows : pyarrow.Table
        Its rows in order, with the columns of the file; null where they are masked.
    columns : list of dict
        Of each column name, unit, dtype and masked, as table `ocat_column` has them.
    """

    rows: pa.Table
    columns: list[dict[str, Any]]


def read(content: bytes) -> Ocat:
    """Read the content of a file; a BadFile says what is wrong with it."""
    stored, described = read_node(content, _NEEDED)
    names = [name for name in stored.dtype.names or () if not name.endswith(_MASK)]
    units = _units(described)
    arrays, columns = [], []
    started = starts(array_of("start_date", stored["start_date"]))
    for position, name in enumerate(names):
        mask = stored[name + _MASK].astype(bool) if name + _MASK in (stored.dtype.names or ()) else None
        arrays.append(array_of(name, stored[name], mask))
        columns.append(
            {
                "position": position, "name": name, "unit": units.get(name), "dtype": stored.dtype[name].str,
                "masked": mask is not None, "tstart": pc.min(started.filter(arrays[-1].is_valid())).as_py(),
            }
        )  # fmt: skip
    return Ocat(pa.table(arrays, names=names), columns)


def read_node(content: bytes, needed: Mapping[str, str]) -> tuple[NDArray[Any], list[Any]]:
    """Table /data of an HDF5 file, which has some columns of some kinds, and what astropy wrote beside it."""
    with table_in(content, _NODE) as node:
        stored = node[()]
        described = node.file[_META][()].tolist() if _META in node.file else []
    for name, kinds in needed.items():
        if name not in stored.dtype.names:
            raise BadFile(f"its table /{_NODE} has no column {name}")
        if stored.dtype[name].kind not in kinds:
            raise BadFile(f"its column {name} is {stored.dtype[name].str}, which is not what it should be")
    return stored, described


def array_of(name: str, values: Any, mask: Any = None) -> pa.Array:
    """A column as the lake has it."""
    if values.dtype.kind == "S":
        try:
            return pa.array([text.decode() for text in values.tolist()], pa.string(), mask=mask)
        except UnicodeDecodeError as error:
            raise BadFile(f"column {name} is not text: {error.object!r}") from None
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise BadFile(f"its column {name} is {values.dtype.str}, neither a number nor text")
    native = np.ascontiguousarray(values).astype(np.float64 if values.dtype.kind == "f" else np.int64)
    return pa.array(native, mask=mask)


def _units(lines: list[Any]) -> dict[str, str]:
    """Units of columns, by name, from what astropy wrote beside the table; they only describe, and may be missing."""
    text = "\n".join(line.decode("utf-8", "replace") if isinstance(line, bytes) else str(line) for line in lines)
    return {found["name"]: found["unit"].strip("'\"") for found in _UNIT.finditer(text)}


def starts(dates: pa.Array) -> pa.Array:
    """Starts in CXC seconds; null where there is none."""
    return pa.array([_start(text) for text in dates.to_pylist()], pa.float64())


def _start(text: str | None) -> float | None:
    try:
        return cxcsec(text.replace(" ", "T", 1)) if text and text[:1].isdigit() and len(text) >= 10 else None
    except ValueError:
        return None
