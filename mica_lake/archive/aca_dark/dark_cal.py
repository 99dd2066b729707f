"""Dark current: the functions of ``mica.archive.aca_dark.dark_cal``, answered by the views of `sql/dark_cal.sql`."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.aca_image import aca_image_class
from mica_lake.archive.arrays import values_and_mask
from mica_lake.catalog.pointer import State, state
from mica_lake.common import MICA_ARCHIVE_PATH  # noqa: F401 - scripts for mica import it from here
from mica_lake.errors import MissingDataError
from mica_lake.formats.on_disk import unescaped
from mica_lake.lake import Lake, open_lake
from mica_lake.times import cxcsec, day_start, interval, is_scalar, utc

__all__ = [
    "DARK_CAL",
    "DARK_SCALE_4C",
    "dark_id_to_date",
    "dark_temp_scale",
    "date_to_dark_id",
    "get_dark_cal_dirs",
    "get_dark_cal_id",
    "get_dark_cal_ids",
    "get_dark_cal_image",
    "get_dark_cal_props",
    "get_dark_cal_props_table",
]

#: Factor by which the dark current grows per 4 °C.
DARK_SCALE_4C = 1 / 0.7
#: Where scripts for mica keep the names of a calibration; no function here uses it.
DARK_CAL: dict[str, Any] = {}
SIDE = 1024
_FIRST = "1999:001:12:00:00"
_SELECT = ("before", "after", "nearest")
Root = str | os.PathLike[str] | None


def __getattr__(name: str) -> Any:
    # chandra_aca imports this module, and may not be fully imported yet.
    if name == "ACAImage":
        return aca_image_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _each(function: Any, values: Any) -> Any:
    """Apply a function of one str or time to one, or to each in an array or list."""
    if is_scalar(values):
        return function(values)
    if isinstance(values, list | tuple):
        return np.array([_each(function, value) for value in values], dtype=str)
    return np.array([function(value) for value in values.ravel()], dtype=str).reshape(values.shape)


def date_to_dark_id(date: Any) -> Any:
    """
    Id of a calibration of this date.

    Parameters
    ----------
    date : time or array of times
        The date, in any form that `mica_lake.times.cxcsec` takes.

    Returns
    -------
    str or numpy.ndarray of str
        Year and day of year, such as ``2007006``.

    Raises
    ------
    ValueError
        If it is not a time.

    Examples
    --------
    >>> date_to_dark_id("2007-01-06T12:00:00")
    '2007006'
    """
    return _each(_id_of, date)


def _id_of(date: Any) -> str:
    day = utc(cxcsec(date))
    return day[:4] + day[5:8]


def dark_id_to_date(dark_id: Any) -> Any:
    """
    The UTC date of a calibration.

    Parameters
    ----------
    dark_id : str or array of str
        Year and day of year.

    Returns
    -------
    str or numpy.ndarray of str
        Year and day of year, separated by a colon.

    Raises
    ------
    ValueError
        If it is not an id.

    Examples
    --------
    >>> dark_id_to_date("2007006")
    '2007:006'
    """
    return _each(lambda one: utc(_start_of(one))[:8], dark_id)


def _start_of(dark_id: Any) -> float:
    text = str(dark_id)
    try:
        day = datetime.strptime(text, "%Y%j").date()
        # strptime takes day 366 of a common year for the first of the next.
        if f"{day:%Y%j}" == text:
            return day_start(day)
    except ValueError:
        pass
    raise ValueError(f"{dark_id!r} is not a dark id: give year and day of year, such as 2007006")


def dark_temp_scale(t_ccd: ArrayLike, t_ccd_ref: ArrayLike = -19.0, scale_4c: float | None = None) -> Any:
    """
    Factor from the dark current at one CCD temperature to that at another.

    Parameters
    ----------
    t_ccd, t_ccd_ref : float or array
        Temperatures in °C.
    scale_4c : float, optional
        Factor by which the dark current grows per 4 °C; 1 / 0.7 by default.

    Returns
    -------
    float or numpy.ndarray
        ``scale_4c ** ((t_ccd_ref - t_ccd) / 4)``, of the same type as the temperatures; masked where one of them is.

    Examples
    --------
    >>> round(dark_temp_scale(-15.0, -19.0), 6)
    0.7
    """
    given: Any = (t_ccd, t_ccd_ref)
    warm: Any
    cold: Any
    warm, cold = (t if isinstance(t, int | float | np.generic) else np.ma.getdata(t) for t in given)
    factor = (DARK_SCALE_4C if scale_4c is None else scale_4c) ** ((cold - warm) / 4.0)
    if not any(isinstance(t, np.ma.MaskedArray) for t in given):
        return factor
    hidden, also = map(np.ma.getmaskarray, given)
    return np.ma.MaskedArray(factor, hidden | also)


def get_dark_cal_dirs(dark_cals_dir: str | os.PathLike[str] | None = None, data_root: Root = None) -> dict[str, str]:
    """
    Folders of the calibrations.

    Parameters
    ----------
    dark_cals_dir : path, optional
        Only those whose folder is in this one; all by default.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    dict
        Id -> folder where ingest found its files, by date.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    """
    rows = open_lake(data_root).sql("SELECT dark_id, directory FROM dark_cal ORDER BY dark_id").fetchall()
    found = {dark_id: unescaped(directory) for dark_id, directory in rows}
    if dark_cals_dir is None:
        return found
    return {dark_id: folder for dark_id, folder in found.items() if Path(folder).parent == Path(dark_cals_dir)}


def get_dark_cal_ids(dark_cals_dir: str | os.PathLike[str] | None = None, data_root: Root = None) -> dict[str, str]:
    """
    Ids of the calibrations.

    Parameters
    ----------
    dark_cals_dir : path, optional
        Only those whose folder is in this one; all by default.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    dict
        Date -> id, by date.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    """
    return {utc(_start_of(dark_id)): dark_id for dark_id in get_dark_cal_dirs(dark_cals_dir, data_root)}


def get_dark_cal_id(
    date: Any,
    select: str = "before",
    dark_cal_ids: Mapping[str, str] | Iterable[str] | None = None,
    data_root: Root = None,
) -> Any:
    """
    The calibration for a date.

    Parameters
    ----------
    date : time, id, or array of them
        The date. A calibration counts from the start of its day; one on the day of `date` is taken whatever `select`
        is. An id stands for the calibration itself.
    select : {'before', 'after', 'nearest'}
        Which one to take.
    dark_cal_ids : mapping of date to id, or iterable of ids, optional
        Those to choose from; all by default.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    str or numpy.ndarray of str
        The id.

    Raises
    ------
    MissingDataError
        If there is none.
    ValueError
        If `select` or the date is not valid.
    """
    if select not in _SELECT:
        raise ValueError(f"select {select!r} is not one of {', '.join(_SELECT)}")
    among = get_dark_cal_ids(data_root=data_root) if dark_cal_ids is None else dark_cal_ids
    ids = sorted(str(i) for i in (among.values() if isinstance(among, Mapping) else among))
    starts = np.array([_start_of(dark_id) for dark_id in ids])
    return _each(lambda one: _choose(one, select, ids, starts), date)


def _choose(date: Any, select: str, ids: list[str], starts: NDArray[np.float64]) -> str:
    exact = date if isinstance(date, str) and date in ids else _id_of(date)
    if exact in ids:
        return exact
    time = cxcsec(date)
    after = int(np.searchsorted(starts, time))
    candidates = {"before": [after - 1], "after": [after], "nearest": [after - 1, after]}[select]
    existing = [i for i in candidates if 0 <= i < len(ids)]
    if not existing:
        where = f"{select} {utc(time)}" if select != "nearest" else f"near {utc(time)}"
        raise MissingDataError(
            f"there is no dark current calibration {where}"
            + (f"; there are {len(ids)} from {ids[0]} to {ids[-1]}" if ids else "; the lake has none")
        )
    return ids[min(existing, key=lambda i: abs(float(starts[i]) - time))]


def get_dark_cal_image(
    date: Any,
    select: str = "before",
    t_ccd_ref: float | None = None,
    aca_image: bool = False,
    allow_negative: bool = False,
    data_root: Root = None,
) -> Any:
    """
    Image of a calibration.

    Parameters
    ----------
    date, select
        As for `get_dark_cal_id`.
    t_ccd_ref : float, optional
        CCD temperature in °C to scale the image to, see `dark_temp_scale`; not scaled by default.
    aca_image : bool
        Whether to return an `ACAImage`, whose first pixel is row -512, column -512.
    allow_negative : bool
        Whether to keep negative values; otherwise they become 0.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    numpy.ndarray of float32, shape (1024, 1024), or ACAImage
        Dark current in e-/s, as a copy that may be changed.

    Raises
    ------
    MissingDataError
        If there is no such calibration.
    ValueError
        If `select` or the date is not valid.
    """
    lake = open_lake(data_root)
    dark_id = get_dark_cal_id(date, select, data_root=data_root)
    return _image_of(lake, dark_id, t_ccd_ref, aca_image, allow_negative)


def _image_of(lake: Lake, dark_id: str, t_ccd_ref: float | None, aca_image: bool, allow_negative: bool) -> Any:
    image = _observed(str(lake.root), state(lake.root), dark_id).copy()
    if t_ccd_ref is not None:
        query = "SELECT ccd_temp FROM dark_cal WHERE dark_id = $dark_id"
        ((t_ccd,),) = lake.sql(query, {"dark_id": dark_id}).fetchall()
        if t_ccd is None:
            raise MissingDataError(f"calibration {dark_id} has no temperature ccd_temp, so its image cannot be scaled")
        # NumPy computes in float32 with a Python float, in double with a double of its own.
        image *= dark_temp_scale(t_ccd, t_ccd_ref)
    if not allow_negative:
        np.clip(image, 0, None, out=image)
    return aca_image_class()(image, row0=-SIDE // 2, col0=-SIDE // 2) if aca_image else image


@lru_cache(maxsize=16)
def _observed(root: str, generation: State, dark_id: str) -> NDArray[np.float32]:
    """An image as observed, kept for the next call; read-only."""
    # Row by row, as in the image.
    rows = open_lake(root).arrow("SELECT value FROM dark_image($dark_id)", {"dark_id": dark_id})
    if len(rows) != SIDE * SIDE:
        raise MissingDataError(f"the lake has {len(rows):,} pixels of calibration {dark_id}, not {SIDE * SIDE:,}")
    image = values_and_mask(rows.column("value"), np.dtype(np.float32))[0].reshape(SIDE, SIDE)
    image.flags.writeable = False
    return image


def _properties(lake: Lake, dark_id: str) -> dict[str, Any]:
    rows = lake.sql("SELECT properties FROM dark_cal WHERE dark_id = $dark_id", {"dark_id": dark_id}).fetchall()
    properties: dict[str, Any] = json.loads(rows[0][0])
    return properties


def get_dark_cal_props(
    date: Any,
    select: str = "before",
    include_image: bool = False,
    t_ccd_ref: float | None = None,
    aca_image: bool = False,
    allow_negative: bool = False,
    data_root: Root = None,
) -> dict[str, Any]:
    """
    Properties of a calibration.

    Parameters
    ----------
    date, select
        As for `get_dark_cal_id`.
    include_image : bool
        Whether to include the image, as ``image``.
    t_ccd_ref, aca_image, allow_negative
        For the image, as for `get_dark_cal_image`.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    dict
        Everything in ``properties.json``.

    Raises
    ------
    MissingDataError
        If there is no such calibration.
    ValueError
        If `select` or the date is not valid.
    """
    lake = open_lake(data_root)
    dark_id = get_dark_cal_id(date, select, data_root=data_root)
    properties = _properties(lake, dark_id)
    if include_image:
        properties["image"] = _image_of(lake, dark_id, t_ccd_ref, aca_image, allow_negative)
    return properties


def get_dark_cal_props_table(
    start: Any = None,
    stop: Any = None,
    include_image: bool = False,
    as_table: bool = True,
    data_root: Root = None,
) -> Any:
    """
    Properties of the calibrations of a time range.

    Parameters
    ----------
    start, stop : time, optional
        From the day of start, 1999:001 by default, to that of stop, today by default.
    include_image : bool
        Whether to include the images, as ``image``, with 0 for negative values.
    as_table : bool
        Whether to return a table, of those that are single values, rather than a list with all of them.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    astropy.table.Table or list of dict
        A row for each calibration, by date; columns in the order in which they first appear, masked where a calibration
        lacks them.

    Raises
    ------
    ValueError
        If a time is not valid, or stop is before start.
    """
    lake = open_lake(data_root)
    first, last = (_id_of(time) for time in interval(_FIRST if start is None else start, stop))
    query = "SELECT dark_id, properties FROM dark_cal WHERE dark_id BETWEEN $first AND $last ORDER BY dark_id"
    found: list[dict[str, Any]] = []
    for dark_id, properties in lake.sql(query, {"first": first, "last": last}).fetchall():
        found.append(json.loads(properties))
        if include_image:
            found[-1]["image"] = _image_of(lake, dark_id, None, False, False)
    if not as_table:
        return found
    from astropy.table import Table

    rows = [{name: v for name, v in row.items() if v is not None and not isinstance(v, list | dict)} for row in found]
    names = dict.fromkeys(name for row in rows for name in row)
    return Table([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, values: list[Any]) -> Any:
    """A column of the table; the id is a number there, as in mica."""
    from astropy.table import MaskedColumn, Table

    absent = [value is None for value in values]
    fill = next(value for value in values if value is not None)
    filled = [fill if value is None else value for value in values]
    if name == "id" and all(str(value).isdigit() for value in filled):
        filled = [int(value) for value in filled]
    array = np.array(filled)
    return MaskedColumn(array, name=name, mask=absent) if any(absent) else Table({name: array})[name]
