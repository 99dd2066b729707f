"""Star catalogs and load reviews: which stars were where in an observation, and what was planned for it."""

import operator
import os
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mica_lake.catalog.pointer import State, state
from mica_lake.formats.starcheck import CATALOG, HEADER, MANEUVER, WARNING, folder_of, load_date
from mica_lake.lake import Lake, open_lake
from mica_lake.times import cxcsec, day_start, now, open_interval, utc

if TYPE_CHECKING:
    from astropy.table import Table

Root = str | os.PathLike[str] | None
MpDir = tuple[str | None, str | None, str | None]

_KEY = ("obsid", "obs_idx")
_WINDOW = ("obsid", "mp_starcat_date", "type", "sz", "yang", "zang", "dir")
_NO_LOAD: MpDir = (None, None, None)
# What there is of an observation: the table, and those of its columns that mica has.
_PARTS = {
    "obs": ("starcheck", (*_KEY, *HEADER)),
    "manvr": ("starcheck_manvr", (*_KEY, *MANEUVER)),
    "warnings": ("starcheck_warning", (*_KEY, *WARNING)),
    "cat": ("starcheck_catalog", (*_KEY, *CATALOG)),
    "pred_temp": ("starcheck_pred_temp", ("pred_ccd_temp",)),
}
_DAYS_AROUND = 7 * 86400.0


def get_mp_dir(obsid: int, data_root: Root = None) -> MpDir:
    """
    The load that an observation ran from.

    Parameters
    ----------
    obsid : int
        The observation, as commanded.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    mp_dir : str or None
        Folder of the load, as ``/2015/MAY1815/oflsb/``.
    status : str or None
        ``ran``; ``approved`` if it is to come; ``no starcat`` if it has no star catalog; ``ran_pre_commands`` if it was
        before `observation` begins, and is in the last load that has it.
    date : str or None
        When the star catalog is commanded, UTC.

        All three are None if nothing is known of it, or it was commanded from no load.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If the obsid is not a whole number.

    Examples
    --------
    >>> get_mp_dir(99, data_root=demo_lake().root)
    (None, None, None)
    """
    lake = open_lake(data_root)
    ran = _ran(str(lake.root), state(lake.root)).get(_obsid(obsid))
    if ran is None:
        return get_mp_dir_from_starcheck_db(obsid, data_root)
    mp_dir, commanded = ran
    if mp_dir is None:
        return _NO_LOAD
    return (mp_dir, _status(commanded), commanded) if commanded else (mp_dir, "no starcat", None)


@lru_cache(maxsize=4)
def _ran(root: str, _: State) -> dict[int, tuple[str | None, str | None]]:
    """Load and star catalog of each observation that ran, the last time that it did."""
    query = "SELECT obsid, mp_dir, starcat_date FROM observation ORDER BY tstart NULLS FIRST"
    return {obsid: (mp_dir, starcat) for obsid, mp_dir, starcat in open_lake(root).sql(query).fetchall()}


def _status(date: str) -> str:
    return "ran" if cxcsec(date) < now() else "approved"


def get_mp_dir_from_starcheck_db(obsid: int, data_root: Root = None) -> MpDir:
    """
    The last load that has an observation, if that was before the first one in `observation`.

    Parameters
    ----------
    obsid, data_root
        As for `get_mp_dir`.

    Returns
    -------
    mp_dir, status, date
        As from `get_mp_dir`, with status ``ran_pre_commands``.

    Raises
    ------
    mica_lake.LakeError, ValueError
        As for `get_mp_dir`.

    Examples
    --------
    >>> get_mp_dir_from_starcheck_db(99, data_root=demo_lake().root)
    (None, None, None)
    """
    found = open_lake(data_root).arrow(
        "SELECT mp_dir, mp_starcat_time, (SELECT min(obs_start) FROM observation) AS first_start "
        "FROM starcheck JOIN starcheck_id USING (mp_dir) WHERE obsid = $obsid ORDER BY sc_id DESC, obs_idx LIMIT 1",
        {"obsid": _obsid(obsid)},
    )
    for row in found.to_pylist():
        date, first = row["mp_starcat_time"], row["first_start"]
        if date is not None and (first is None or date < first):
            return row["mp_dir"], "ran_pre_commands", date
    return _NO_LOAD


def get_starcheck_catalog(obsid: int, mp_dir: str | None = None, data_root: Root = None) -> dict[str, Any] | None:
    """
    What a load review says of an observation.

    Parameters
    ----------
    obsid : int
        The observation.
    mp_dir : str, optional
        Folder or name of the load (``/2015/MAY1815/oflsb/``, ``MAY1815B``); by default that of `get_mp_dir`.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    dict or None
        ``mp_dir``; ``status``, as from `get_mp_dir`, None if `mp_dir` was given; ``obs``, a dict of the header, None if
        the load does not have the observation; ``manvr``, ``warnings`` and ``cat``, Tables, [] if there is nothing;
        ``pred_temp``, the predicted CCD temperature (°C), if there is one. A column with a null has dtype object. None
        if the lake does not have the load.

    Raises
    ------
    mica_lake.LakeError, ValueError
        As for `get_mp_dir`.

    Examples
    --------
    >>> get_starcheck_catalog(99, data_root=demo_lake().root) is None
    True
    """
    folder, status = _load_of(obsid, mp_dir, data_root)
    return None if folder is None else _of_load(open_lake(data_root), _obsid(obsid), folder, status)


def _load_of(obsid: int, mp_dir: str | None, data_root: Root) -> tuple[str | None, str | None]:
    """Folder of a load that is given or, with its status, of the one that an observation ran from."""
    if mp_dir is None:
        return get_mp_dir(obsid, data_root)[:2]
    return (mp_dir if "/" in mp_dir else folder_of(mp_dir)), None


@lru_cache(maxsize=4)
def _ids(root: str, _: State) -> dict[str, int]:
    """The number of each load, as long as the lake stays as it is."""
    return dict(open_lake(root).sql("SELECT mp_dir, sc_id FROM starcheck_id").fetchall())


@lru_cache(maxsize=500)
def _of_day(root: str, _: State, table: str, day: date | None) -> pa.Table:
    """Rows of the loads of a day, of a table; who asks for one observation asks for the next ones."""
    if day is None:
        return open_lake(root).arrow(f"FROM {table} WHERE load_tstart IS NULL")
    return open_lake(root).between(table, None, day_start(day), day_start(day))


def _of_load(lake: Lake, obsid: int, mp_dir: str, status: str | None) -> dict[str, Any] | None:
    parts = {name: columns for name in _PARTS if (columns := _part(lake, name, obsid, mp_dir)) is not None}
    if not parts:
        return None
    obs, temperatures = parts.pop("obs"), parts.pop("pred_temp")["pred_ccd_temp"]
    found: dict[str, Any] = {"mp_dir": mp_dir, "status": status}
    found["obs"] = {name: values[0] for name, values in obs.items()} if obs["sc_id"] else None
    found |= {name: _table(columns) if columns["sc_id"] else [] for name, columns in parts.items()}
    return found | ({"pred_temp": temperatures[0]} if temperatures else {})


def _part(lake: Lake, name: str, obsid: int, mp_dir: str) -> dict[str, list[Any]] | None:
    """What a load has of an observation in one of the tables; None if there is no such load."""
    here, (table, columns) = (str(lake.root), state(lake.root)), _PARTS[name]
    sc_id = _ids(*here).get(mp_dir)
    if sc_id is None:
        return None
    rows = _of_day(*here, table, load_date(mp_dir))
    chosen = pc.and_(pc.equal(rows.column("mp_dir"), mp_dir), pc.equal(rows.column("obsid"), obsid))
    found = rows.filter(chosen)
    # As mica's database has them, with the number of the load.
    return {"sc_id": [sc_id] * len(found)} | {column: found.column(column).to_pylist() for column in columns}


def _table(columns: Mapping[str, list[Any]]) -> "Table":
    from astropy.table import Table

    return Table({name: _column(values) for name, values in columns.items()}, copy=False)


def _column(values: list[Any]) -> NDArray[Any]:
    if None not in values:
        return np.array(values)
    column = np.empty(len(values), object)
    column[:] = values
    return column


def get_starcat(obsid: int, mp_dir: str | None = None, data_root: Root = None) -> "Table | list[Any] | None":
    """
    The star catalog of an observation.

    Parameters
    ----------
    obsid, mp_dir, data_root
        As for `get_starcheck_catalog`.

    Returns
    -------
    astropy.table.Table or None
        A row for each entry; [] if the load has no catalog of it, None if there is no such load.

    Raises
    ------
    mica_lake.LakeError, ValueError
        As for `get_mp_dir`.

    Examples
    --------
    >>> get_starcat(99, data_root=demo_lake().root) is None
    True
    """
    folder, _ = _load_of(obsid, mp_dir, data_root)
    columns = None if folder is None else _part(open_lake(data_root), "cat", _obsid(obsid), folder)
    if columns is None:
        return None
    return _table(columns) if columns["sc_id"] else []


def _planned(obsid: int, mp_dir: str | None, data_root: Root) -> dict[str, Any]:
    found = get_starcheck_catalog(obsid, mp_dir, data_root)
    if found is None or found["obs"] is None:
        of_load = f" of load {mp_dir}" if mp_dir else ""
        raise ValueError(f"there is no load review of obsid {obsid!r}{of_load}")
    header: dict[str, Any] = found["obs"]
    return header


def get_att(obsid: int, mp_dir: str | None = None, data_root: Root = None) -> list[float]:
    """
    The attitude that was planned for an observation.

    Parameters
    ----------
    obsid, mp_dir, data_root
        As for `get_starcheck_catalog`.

    Returns
    -------
    list of float
        Right ascension, declination and roll (deg).

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If there is no load review of the observation.

    Examples
    --------
    >>> get_att(99, data_root=demo_lake().root)
    Traceback (most recent call last):
        ...
    ValueError: there is no load review of obsid 99
    """
    header = _planned(obsid, mp_dir, data_root)
    return [header[name] for name in ("point_ra", "point_dec", "point_roll")]


def get_dither(obsid: int, mp_dir: str | None = None, data_root: Root = None) -> dict[str, float]:
    """
    The dither that was planned for an observation.

    Parameters
    ----------
    obsid, mp_dir, data_root
        As for `get_starcheck_catalog`.

    Returns
    -------
    dict
        ``yaw_ampl`` and ``pitch_ampl`` (arcsec), ``yaw_period`` and ``pitch_period`` (s), of which yaw is Y and pitch
        Z; a period is -999.0 where the amplitude is 0.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If there is no load review of the observation, or it does not say the dither.

    Examples
    --------
    >>> get_dither(99, data_root=demo_lake().root)
    Traceback (most recent call last):
        ...
    ValueError: there is no load review of obsid 99
    """
    header = _planned(obsid, mp_dir, data_root)
    if header["dither_state"] is None:
        raise ValueError(f"the load review of obsid {obsid} does not say its dither")
    dither = {}
    for name, axis in (("yaw", "y"), ("pitch", "z")):
        dither[f"{name}_ampl"] = header[f"dither_{axis}_amp"]
        dither[f"{name}_period"] = header[f"dither_{axis}_period"] if header[f"dither_{axis}_amp"] else -999.0
    return {name: dither[name] for name in ("yaw_ampl", "pitch_ampl", "yaw_period", "pitch_period")}


def get_starcheck_catalog_at_date(date: Any, data_root: Root = None) -> dict[str, Any] | None:
    """
    What the load review says of the observation at a time.

    Parameters
    ----------
    date : time
        The time, in any form that `mica_lake.times.cxcsec` takes.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    dict or None
        As from `get_starcheck_catalog`; ``obs`` also has ``obsid_as_run``, the obsid as commanded, which is another one
        after SCS-107. None if it was commanded from no load.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If no observation within 7 days that has one before it ends at or after this time; or the lake does not have
        its load.

    Examples
    --------
    >>> get_starcheck_catalog_at_date("1999:200", data_root=demo_lake().root)
    Traceback (most recent call last):
        ...
    ValueError: there is no observation at 1999:200:00:00:00.000
    """
    time, lake = cxcsec(date), open_lake(data_root)
    near = lake.arrow(
        "SELECT * FROM observation WHERE tstop > $first AND tstart < $last ORDER BY tstart",
        {"first": time - _DAYS_AROUND, "last": time + _DAYS_AROUND},
    ).to_pylist()
    # Dates have milliseconds, and so has a date that is a number.
    at = utc(time)
    found = next((one for before, one in pairwise(near) if before["obs_stop"] < at <= one["obs_stop"]), None)
    if found is None:
        raise ValueError(f"there is no observation at {at}")
    if found["mp_dir"] is None:
        return None
    planned, starcat = found["obsid"], found["starcat_date"]
    if starcat is not None:
        planned = get_starcheck_db_obsid(starcat, found["mp_dir"], data_root)
    answer = _of_load(lake, planned, found["mp_dir"], _status(starcat or at))
    if answer is None:
        raise ValueError(f"the lake does not have load {found['source']}, which was run at {at}")
    if answer["obs"] is not None:
        answer["obs"]["obsid_as_run"] = found["obsid"]
    return answer


def get_starcheck_db_obsid(mp_starcat_time: str, mp_dir: str, data_root: Root = None) -> int:
    """
    The obsid that a load has with the star catalog of a time.

    Parameters
    ----------
    mp_starcat_time : str
        When the star catalog is commanded, UTC, as the load review has it.
    mp_dir : str
        Folder of the load.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    int
        The obsid, as planned.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If the load has no such catalog.

    Examples
    --------
    >>> get_starcheck_db_obsid("2024:001", "/2024/JAN0124/oflsa/", data_root=demo_lake().root)
    Traceback (most recent call last):
        ...
    ValueError: load /2024/JAN0124/oflsa/ has no star catalog of 2024:001
    """
    found = open_lake(data_root).arrow(
        "SELECT obsid FROM starcheck WHERE mp_dir = $mp_dir AND mp_starcat_time = $date ORDER BY obs_idx",
        {"mp_dir": mp_dir, "date": mp_starcat_time},
    )
    for row in found.to_pylist():
        return int(row["obsid"])
    raise ValueError(f"load {mp_dir} has no star catalog of {mp_starcat_time}")


def get_monitor_windows(start: Any = None, stop: Any = None, min_obsid: int = 40000, data_root: Root = None) -> "Table":
    """
    Monitor windows of the catalogs that ran.

    Parameters
    ----------
    start, stop : time, optional
        Catalogs commanded with start <= time <= stop; by default all until now.
    min_obsid : int
        Only obsids above this.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    astropy.table.Table
        A row for each window, in time order: ``obsid``, ``mp_starcat_date`` (UTC), ``type`` (MON), ``sz``, ``yang`` and
        ``zang`` (arcsec), ``dir`` (folder of the load), ``catalog`` (None).

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If a time cannot be read, or stop is before start.

    Examples
    --------
    >>> get_monitor_windows("1999:200", "1999:201", data_root=demo_lake().root).colnames
    ['obsid', 'mp_starcat_date', 'type', 'sz', 'yang', 'zang', 'dir', 'catalog']
    """
    first, last = open_interval(start, stop)
    found = open_lake(data_root).arrow(
        "SELECT * FROM monitor_window WHERE obsid > $min_obsid AND mp_starcat_date BETWEEN $first AND $last",
        {
            "min_obsid": min_obsid,
            "first": "" if first is None else utc(first),
            "last": utc(now() if last is None else last),
        },
    )
    table = _table({name: found.column(name).to_pylist() for name in _WINDOW})
    if not len(table):
        for name in _WINDOW:
            table[name] = table[name].astype(np.int64 if name in ("obsid", "yang", "zang") else str)
    table["catalog"] = np.full(len(table), None, object)
    return table


def _obsid(obsid: Any) -> int:
    try:
        return operator.index(obsid)
    except TypeError:
        raise ValueError(f"obsid {obsid!r} is not a whole number") from None
