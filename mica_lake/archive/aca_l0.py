"""ACA L0 telemetry: the functions of ``mica.archive.aca_l0``, which give the rows of the macros of `sql/aca_l0.sql`."""

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.aca_image import aca_image_class
from mica_lake.archive import revisions
from mica_lake.archive.arrays import IMAGE_SIZES, images, put, sizes_of, squares, values_and_mask
from mica_lake.archive.intervals import expanded, the_one, time_range
from mica_lake.archive.msid import Telemetry
from mica_lake.archive.msidset import TelemetrySet
from mica_lake.common import MICA_ARCHIVE
from mica_lake.errors import MissingDataError, counted, near
from mica_lake.formats.on_disk import unescaped
from mica_lake.lake import open_lake
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.binned import SLOT_COLUMNS
from mica_lake.times import interval

if TYPE_CHECKING:
    from astropy.table import Table

    from mica_lake.aca_image import ACAImage

__all__ = [
    "ACA_DTYPE",
    "ACA_DTYPE_NAMES",
    "CONFIG",
    "GLBSTAT_NAMES",
    "IMGSTAT_NAMES",
    "MSID",
    "ACA_DTYPE_8x8",
    "MSIDset",
    "get_aca_images",
    "get_files",
    "get_l0_images",
    "get_slot_data",
]

_DTYPES: dict[pa.DataType, Any] = {
    pa.string(): "U4",
    pa.list_(pa.float32()): (np.float32, (64,)),
}
# Narrower than in the lake, as in mica.
_NAMED: dict[str, Any] = {"FILENAME": "U128", "IMGSCALE": np.int16, "BGDAVG": np.int16, "BGDRMS": np.int16}


def _field(name: str, type_: pa.DataType) -> tuple[Any, ...]:
    form = _NAMED.get(name) or _DTYPES.get(type_) or type_.to_pandas_dtype()
    kind, *shape = form if isinstance(form, tuple) else (form,)
    return (name, np.dtype(kind).str, *shape)


#: Fields of `get_slot_data` in order: name, type and, for IMGRAW, shape.
ACA_DTYPE = tuple(_field(c.name, c.type) for c in ACA_L0.columns)
#: The same with ``centered_8x8``.
ACA_DTYPE_8x8 = tuple((*field[:2], (8, 8)) if field[0] == "IMGRAW" else field for field in ACA_DTYPE)
ACA_DTYPE_NAMES = tuple(field[0] for field in ACA_DTYPE)
#: Where the file archive is; nothing here reads it.
CONFIG = {"data_root": os.path.join(MICA_ARCHIVE, "aca0")}  # noqa: PTH118 - a str
#: Flags in `get_aca_images`, from bit 7 of GLBSTAT and bit 5 of IMGSTAT downwards.
GLBSTAT_NAMES = (
    "HIGH_BGD", "RAM_FAIL", "ROM_FAIL", "POWER_FAIL", "CAL_FAIL", "COMM_CHECKSUM_FAIL", "RESET", "SYNTAX_ERROR"
)  # fmt: skip
IMGSTAT_NAMES = ("SAT_PIXEL", "DEF_PIXEL", "QUAD_BOUND", "COMMON_COL", "MULTI_STAR", "ION_RAD")
_ACA_L0_DTYPE = np.dtype(list(ACA_DTYPE))
_IMGTYPES = {8: 4, 6: 1, 4: 0}
_IMAGE_META = ("TIME", "BGDAVG", "IMGSTAT", "IMGFUNC1", "IMGSIZE", "IMGSCALE", "INTEG")
_ZERO_CELSIUS = 273.15


def __getattr__(name: str) -> Any:
    # chandra_aca imports this module, and may not be fully imported yet.
    if name == "ACAImage":
        return aca_image_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _extract_bits_as_uint8(arr: NDArray[np.uint8], start_bit: int, stop_bit: int) -> NDArray[np.uint8]:
    """Bits start_bit to stop_bit (exclusive) of each byte as a number; bit 0 is the least significant."""
    return (arr >> np.uint8(start_bit)) & np.uint8((1 << (stop_bit - start_bit)) - 1)


def _interval(start: Any, stop: Any) -> dict[str, float]:
    return dict(zip(("start", "stop"), interval(start, stop), strict=True))


def _slot(slot: Any) -> int:
    if isinstance(slot, bool) or slot not in range(8):
        raise ValueError(f"slot {slot!r} is not one of 0 to 7")
    return int(slot)


def _no_column(name: str) -> str:
    return f"there is no column {name!r}{near(name, ACA_L0.by_name)}. The columns are {', '.join(ACA_L0.by_name)}"


def _fields(columns: Iterable[str]) -> list[str]:
    asked = [columns] if isinstance(columns, str) else list(columns)
    unknown = [name for name in asked if name not in ACA_L0.by_name]
    if unknown:
        raise ValueError(_no_column(unknown[0]))
    return [c.name for c in ACA_L0.columns if c.name in asked]


def _readouts(
    between: dict[str, float],
    slot: Any,
    sizes: list[int],
    fields: Sequence[str],
    data_root: Any,
    **only: Collection[Any],
) -> pa.Table:
    if len(sizes) < len(IMAGE_SIZES):
        only["IMGSIZE"] = sizes
    return open_lake(data_root).between(ACA_L0.name, fields, **between, slot=_slot(slot), only=only)


def get_slot_data(
    start: Any,
    stop: Any,
    slot: int,
    imgsize: int | Iterable[int] | None = None,
    db: object = None,
    data_root: str | os.PathLike[str] | None = None,
    columns: Iterable[str] | None = None,
    centered_8x8: bool = False,
) -> np.ma.MaskedArray[Any, Any]:
    """
    Readouts of one slot.

    Parameters
    ----------
    start, stop : time
        Readouts with start <= TIME <= stop, in any form that `mica_lake.times.cxcsec` takes.
    slot : int
        The slot, 0 to 7.
    imgsize : int or iterable of int, optional
        Image sizes, 4, 6 or 8; all by default.
    db : object
        Accepted for code written for mica, whose file archive has an index; without effect.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.
    columns : iterable of str, optional
        Fields to return, always in the order of `ACA_DTYPE`; all by default.
    centered_8x8 : bool
        Whether IMGRAW has shape (8, 8) with the image in the middle, instead of shape (64,) with the image in its first
        rows and columns.

    Returns
    -------
    numpy.ma.MaskedArray
        A structured array of shape (n,) in time order, of dtype `ACA_DTYPE`; times in CXC seconds, temperatures in K,
        images in DN. Fields that an image size lacks are masked, and so are pixels outside the image.

    Raises
    ------
    ValueError
        If a time, the slot, an image size or a column is not valid, or stop is before start.
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> lake = demo_lake().root
    >>> data = get_slot_data("2024:001", "2024:001:00:10", 3, data_root=lake, columns=["TIME", "TEMPCCD"])
    >>> data.dtype.names, data.shape
    (('TIME', 'TEMPCCD'), (293,))
    """
    fields = list(ACA_L0.by_name) if columns is None else _fields(columns)
    rows = _readouts(_interval(start, stop), slot, sizes_of(imgsize), fields or ["TIME"], data_root)
    dtype = [
        ("IMGRAW", np.float32, (8, 8)) if name == "IMGRAW" and centered_8x8 else (name, _ACA_L0_DTYPE[name])
        for name in fields
    ]
    data = np.zeros(len(rows), dtype)
    mask: Any = np.zeros(len(rows), np.ma.make_mask_descr(data.dtype))
    for name in fields:
        if name == "IMGRAW":
            square = (len(rows), 8, 8)
            squares(rows.column(name), data[name].reshape(square), mask[name].reshape(square), centered=centered_8x8)
            continue
        put(rows.column(name), data[name], mask[name])
    return np.ma.MaskedArray(data, mask, keep_mask=False)


def get_l0_images(
    start: Any,
    stop: Any,
    slot: int,
    imgsize: int | Iterable[int] | None = None,
    columns: Iterable[str] | None = None,
    data_root: str | os.PathLike[str] | None = None,
) -> "list[ACAImage]":
    """
    Images of good quality of one slot.

    Parameters
    ----------
    start, stop, slot, imgsize, data_root
        As for `get_slot_data`.
    columns : iterable of str, optional
        What to put into the images' meta in addition to IMGROW0 and IMGCOL0; by default TIME, BGDAVG, IMGSTAT,
        IMGFUNC1, IMGSIZE, IMGSCALE and INTEG.

    Returns
    -------
    list of ACAImage
        An image of s x s pixels, in DN, for each readout of QUALITY 0, in time order. Values that an image size lacks
        are not in its meta. Temperatures are in degrees C.

    Raises
    ------
    ValueError
        As for `get_slot_data`.

    Examples
    --------
    >>> found = get_l0_images("2024:001", "2024:001:00:00:20", 3, data_root=demo_lake().root)
    >>> len(found), found[0].shape, f"{found[0].TIME:.1f}"
    (10, (6, 6), '820454470.1')
    """
    asked = _fields(_IMAGE_META if columns is None else columns)
    meta = [name for name in _fields([*asked, "IMGROW0", "IMGCOL0"]) if name != "IMGRAW"]
    rows = _readouts(_interval(start, stop), slot, sizes_of(imgsize), [*meta, "IMGRAW"], data_root, QUALITY=[0])
    columns_of_meta = []
    for name in meta:
        values, null = values_and_mask(rows.column(name), _ACA_L0_DTYPE[name])
        if name.startswith("TEMP"):
            values = (values.astype(np.float64) - _ZERO_CELSIUS).astype(np.float32)
        columns_of_meta.append(
            list(values) if null is None else [None if n else v for v, n in zip(values, null, strict=True)]
        )
    found, image_class = [], aca_image_class()
    for pixels, *record in zip(images(rows.column("IMGRAW")), *columns_of_meta, strict=True):
        described = {name: value for name, value in zip(meta, record, strict=True) if value is not None}
        found.append(image_class(pixels, meta=described))
    return found


def get_aca_images(
    start: Any,
    stop: Any,
    data_root: str | os.PathLike[str] | None = None,
    imgsize: int | Iterable[int] | None = None,
) -> "Table":
    """
    Images of good quality of all slots, in the format of the MAUDE decommutation.

    Parameters
    ----------
    start, stop : time
        Readouts with start <= TIME <= stop, in any form that `mica_lake.times.cxcsec` takes.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.
    imgsize : int or iterable of int, optional
        Image sizes, 4, 6 or 8; all by default.

    Returns
    -------
    astropy.table.Table
        A row for each readout of QUALITY 0, sorted by TIME and IMGNUM. IMG has shape (8, 8), in DN, with the image in
        the middle and the rest masked; temperatures are in K. IMG is always a masked column; any other is masked only
        if it has masked values.

    Raises
    ------
    ValueError
        If a time or image size is not valid, or stop is before start.

    Examples
    --------
    >>> table = get_aca_images("2024:001", "2024:001:00:00:20", data_root=demo_lake().root)
    >>> len(table), table["IMG"].shape
    (55, (55, 8, 8))
    """
    from astropy.table import Column, MaskedColumn, Table

    rows = open_lake(data_root).arrow(
        "SELECT * EXCLUDE (IMG) FROM aca_images($start, $stop) WHERE list_contains($types, IMGTYPE)",
        {**_interval(start, stop), "types": [_IMGTYPES[size] for size in sizes_of(imgsize)]},
    )
    columns: dict[str, Column] = {}
    for name in rows.column_names[:-1]:
        column = rows.column(name)
        dtype = _NAMED.get(name) or _DTYPES.get(column.type) or column.type.to_pandas_dtype()
        values, null = values_and_mask(column, dtype)
        columns[name] = Column(values, name) if null is None else MaskedColumn(values, name, mask=null)
        if name == "BGDSTAT":
            data, mask = (np.zeros((len(rows), 8, 8), kind) for kind in (np.float32, bool))
            squares(rows.column("IMGRAW"), data, mask, centered=True)
            columns["IMG"] = MaskedColumn(data, "IMG", mask=mask)
    return Table(columns, copy=False)


def get_files(
    obsid: int | None = None,
    start: Any = None,
    stop: Any = None,
    slots: Iterable[int] | None = None,
    imgsize: int | Iterable[int] | None = None,
    db: object = None,
    data_root: str | os.PathLike[str] | None = None,
) -> list[str]:
    """
    Paths of the source files of a time range.

    Parameters
    ----------
    obsid : int, optional
        An observation, whose times (of its default obspar) are used instead of start and stop.
    start, stop : time
        Files whose header interval overlaps start to stop: tstart < stop and tstop > start.
    slots : iterable of int, optional
        Slots; all by default.
    imgsize : int or iterable of int, optional
        Image sizes; all by default.
    db : object
        Accepted for code written for mica, whose file archive has an index; without effect.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    list of str
        Where ingest found them, by file time and slot; only the name if that is not known.

    Raises
    ------
    TypeError
        If neither an obsid nor both times are given.
    MissingDataError
        If the lake does not have the observation.
    ValueError
        If a time, slot or image size is not valid.

    Examples
    --------
    >>> files = get_files(start="2024:001", stop="2024:001:01:00", slots=[3], data_root=demo_lake().root)
    >>> [name.rpartition("/")[2] for name in files]
    ['acaf820454471N001_3_img0.fits.gz']
    """
    if obsid is not None:
        query = "SELECT tstart, tstop FROM obspar WHERE obsid = $obsid AND isdefault"
        times = open_lake(data_root).sql(query, {"obsid": revisions.number(obsid)}).fetchall()
        if not times:
            raise MissingDataError(f"the lake has no default obspar of obsid {obsid}: give start and stop")
        start, stop = times[0]
    if start is None or stop is None:
        raise TypeError("give an obsid, or both start and stop")
    wanted = list(range(8)) if slots is None else [_slot(slot) for slot in slots]
    rows = open_lake(data_root).arrow(
        "SELECT directory, filename FROM aca_l0_source_files($start, $stop) "
        "WHERE list_contains($slots, slot) AND list_contains($sizes, imgsize)",
        {**_interval(start, stop), "slots": wanted, "sizes": sizes_of(imgsize)},
    )
    places = [os.path.join(row["directory"] or "", row["filename"]) for row in rows.to_pylist()]  # noqa: PTH118 - a str
    return [unescaped(place) for place in places]


class MSID(Telemetry):
    """
    One column of the 8x8 readouts of a slot, and of no others, as in mica; `get_slot_data` gives those of all sizes.

    Parameters
    ----------
    msid : str
        Name of the column, in upper or lower case, or a pattern that matches one (``*CCD``).
    slot : int
        The slot.
    start, stop, data_root, days
        As for `mica_lake.archive.aca_hdr3.MSID`.
    stat : {"5min", "daily"}, optional
        Statistics instead of the values, of good readouts, as of `mica_lake.archive.aca_hdr3.MSID`.

    Attributes
    ----------
    msid : str
        Name of the column, in lower case.
    vals : numpy.ma.MaskedArray
        Its values, in `unit`, that of `get_slot_data`.
    times : numpy.ndarray of float64
        Times of the readouts, CXC seconds.
    unit, units, bads, colnames, tstart, tstop, datestart, datestop, and those with `stat`
        As of `mica_lake.archive.aca_hdr3.MSID`.

    Raises
    ------
    MissingDataError
        If there is no such column, or no statistics of it.
    ValueError
        If a time, the slot or `stat` is not valid.

    Examples
    --------
    >>> temp = MSID("TEMPCCD", 0, "2024:001", "2024:001:00:10", data_root=demo_lake().root)
    >>> len(temp.vals), len(temp.times)
    (147, 147)
    """

    def __init__(
        self,
        msid: str,
        slot: int,
        start: Any = None,
        stop: Any = None,
        *,
        data_root: str | os.PathLike[str] | None = None,
        stat: str | None = None,
        days: float | None = None,
    ) -> None:
        between = time_range(start, stop, days)
        if stat is None:
            msid = the_one(msid, ACA_L0.by_name)
            self._fill(msid, slot, between, _columns_8x8([msid], slot, between, data_root))
            return
        name = the_one(msid, SLOT_COLUMNS).upper()
        if name not in SLOT_COLUMNS:
            raise MissingDataError(f"there are no statistics of {msid!r}. There are of {', '.join(SLOT_COLUMNS)}")
        self._is_column(name, slot, between)
        only: dict[str, list[Any]] = {"msid": [name], "imgsize": [8]}
        self._fill_statistics("slot", stat, between, _ACA_L0_DTYPE[name], only, data_root, _slot(slot))

    def _is_column(self, name: str, slot: int, between: tuple[float, float]) -> None:
        self.msid, self.slot, self.unit = name.lower(), slot, ACA_L0.by_name[name.upper()].unit
        self._readouts = f"the 8x8 readouts of slot {slot}"
        self._is_of(*between)

    def _fill(self, msid: str, slot: int, between: tuple[float, float], data: np.ma.MaskedArray[Any, Any]) -> None:
        self._is_column(msid, slot, between)
        self.vals = data[msid.upper()]
        self.times = data["TIME"].data

    def __repr__(self) -> str:
        kind = f"{self.stat} value" if self.stat else "value"
        return f"<MSID {self.msid} of slot {self.slot}: {counted(len(self.times), kind)}, of the 8x8 readouts>"


class MSIDset(TelemetrySet[MSID]):
    """
    Several columns of the 8x8 readouts of a slot, and of no others.

    Parameters
    ----------
    msids : iterable of str
        Names of the columns, or patterns (``TEMP*``).
    slot, start, stop, data_root, stat, days
        As for `MSID`. With `stat` each member has its own bins, those with good values.

    Raises
    ------
    MissingDataError
        If there is no such column, or no statistics of it.

    Examples
    --------
    >>> temps = MSIDset(["TEMPCCD", "TEMPHOUS"], 0, "2024:001", "2024:001:00:10", data_root=demo_lake().root)
    >>> list(temps)
    ['TEMPCCD', 'TEMPHOUS']
    """

    def __init__(
        self,
        msids: Iterable[str],
        slot: int,
        start: Any = None,
        stop: Any = None,
        *,
        data_root: str | os.PathLike[str] | None = None,
        stat: str | None = None,
        days: float | None = None,
    ) -> None:
        names = expanded(msids, ACA_L0.by_name if stat is None else SLOT_COLUMNS)
        self._is_of(*time_range(start, stop, days))
        between = self.tstart, self.tstop
        if stat is not None:
            self._are_binned({name: MSID(name, slot, *between, data_root=data_root, stat=stat) for name in names})
            return
        data = _columns_8x8(names, slot, between, data_root)
        self.times = data["TIME"].data
        for name in names:
            self[name] = MSID.__new__(MSID)
            self[name]._fill(name, slot, between, data)


def _columns_8x8(
    msids: Sequence[str], slot: int, between: tuple[float, float], data_root: str | os.PathLike[str] | None
) -> np.ma.MaskedArray[Any, Any]:
    for msid in msids:
        if str(msid).upper() not in ACA_L0.by_name:
            raise MissingDataError(_no_column(msid))
    columns = ["TIME", *(msid.upper() for msid in msids)]
    return get_slot_data(*between, slot, imgsize=8, columns=columns, data_root=data_root)
