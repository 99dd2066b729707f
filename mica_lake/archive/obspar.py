"""Observation parameters: the functions of ``mica.archive.obspar``, answered by the views of `sql/obspar.sql`."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mica_lake.archive import revisions
from mica_lake.catalog.generation import State, state
from mica_lake.formats.obspar import num_ccd_on, typed
from mica_lake.formats.on_disk import unescaped
from mica_lake.lake import open_lake
from mica_lake.times import interval

__all__ = ["get_dir", "get_files", "get_obs_dirs", "get_obsids", "get_obspar", "get_obspar_file"]

Root = str | os.PathLike[str] | None


def get_obspar(obsid: int, version: Any = "default", data_root: Root = None) -> dict[str, Any] | None:
    """
    Parameters of an observation.

    When two observations of a year are asked for one after the other, all of that year are read and kept, so that the
    next ones take microseconds.

    Parameters
    ----------
    obsid : int
        The observation.
    version : {'default', 'last'} or int
        Which revision.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    dict or None
        Name -> value (str, int, float; None for an empty number), in the order of the file, and ``num_ccd_on``: how
        many CCDs of ACIS are on. None if there is no such observation or version, or the version is None.

    Raises
    ------
    ValueError
        If the version is none.
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> get_obspar(1, data_root=getfixture("demo_lake")) is None
    True
    """
    if version is None:
        return None
    condition, params = revisions.chosen_one(version)
    lake = open_lake(data_root)
    root, generation = str(lake.root), state(lake.root)
    for revision, isdefault, islast, year in _index(root, generation).get(revisions.number(obsid), ()):
        if {"isdefault": isdefault, "islast": islast}.get(condition, params.get("revision") == revision):
            found = dict(_parameters(root, generation, year, revisions.number(obsid), revision))
            return found | {"num_ccd_on": num_ccd_on(found)}
    return None


@lru_cache(maxsize=2)
def _index(root: str, generation: State) -> dict[int, list[tuple[int, bool, bool, int]]]:
    """Revision, isdefault, islast and year of each observation's revisions."""
    query = "SELECT obsid, revision, isdefault, islast, year(utc_day(tstart)) FROM obspar ORDER BY revision DESC"
    found: dict[int, list[tuple[int, bool, bool, int]]] = {}
    for obsid, *revision in open_lake(root).sql(query).fetchall():
        found.setdefault(obsid, []).append(tuple(revision))
    return found


# Parameters of the years that are kept; and the year asked for last, which is read whole when it is asked for again.
_YEARS: dict[tuple[str, State, int], dict[tuple[int, int], dict[str, Any]]] = {}
_LAST: dict[str, tuple[str, State, int]] = {}
_KEPT = 8


def _parameters(root: str, generation: State, year: int, obsid: int, revision: int) -> dict[str, Any]:
    """Parameters of an observation, of a year that is kept or not."""
    asked = (root, generation, year)
    if asked not in _YEARS:
        if _LAST.get(root) != asked:
            _LAST[root] = asked
            query = "FROM obspar_kv_of_year($year) WHERE obsid = $obsid AND revision = $revision"
            return _by_revision(root, query, {"year": year, "obsid": obsid, "revision": revision})[obsid, revision]
        for old in list(_YEARS)[: max(len(_YEARS) - _KEPT + 1, 0)]:
            _YEARS.pop(old, None)
        _YEARS[asked] = _by_revision(root, "FROM obspar_kv_of_year($year)", {"year": year})
    return _YEARS[asked][obsid, revision]


def _by_revision(root: str, source: str, params: dict[str, Any]) -> dict[tuple[int, int], dict[str, Any]]:
    rows = open_lake(root).arrow(f"SELECT obsid, revision, name, type, value {source}", params)
    obsids, revision, names, types, texts = (column.to_numpy() for column in rows.columns)
    values = [typed(kind, text) for kind, text in zip(types, texts, strict=True)]
    starts = np.flatnonzero(np.r_[True, (np.diff(obsids) != 0) | (np.diff(revision) != 0)][: len(obsids)]).tolist()
    return {
        (int(obsids[a]), int(revision[a])): dict(zip(names[a:b], values[a:b], strict=True))
        for a, b in zip(starts, [*starts[1:], len(values)], strict=True)
    }


def get_obspar_file(obsid: int, version: Any = "default", data_root: Root = None) -> str | None:
    """
    The file of an observation's parameters.

    Parameters
    ----------
    obsid, version, data_root
        As of `get_obspar`.

    Returns
    -------
    str or None
        Its path, through the link to the default or last where there is one; None if there is none, or the version is
        None.

    Raises
    ------
    ValueError
        If the version is none.
    """
    if version is None:
        return None
    condition, params = revisions.chosen_one(version)
    query = f"SELECT directory, link, filename FROM obspar WHERE obsid = $obsid AND {condition} ORDER BY revision DESC"
    rows = open_lake(data_root).sql(query, {"obsid": revisions.number(obsid), **params}).fetchall()
    if not rows:
        return None
    directory, link, filename = rows[0]
    return unescaped(str(Path(directory if params else link or directory, filename)))


def get_dir(obsid: int, data_root: Root = None) -> str | None:
    """
    Folder of the default revision of an observation's parameters.

    Parameters
    ----------
    obsid : int
        The observation.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    str or None
        The link to it or, without one, itself; None if there is none.
    """
    return (get_obs_dirs(obsid, data_root) or {}).get("default")


def get_obs_dirs(obsid: int, data_root: Root = None) -> dict[Any, Any] | None:
    """
    Folders of all revisions of an observation's parameters.

    Parameters
    ----------
    obsid : int
        The observation.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    dict or None
        Revision -> folder, 'default' and 'last' -> link or folder, 'revisions' -> list of int; None if there is none.
    """
    return revisions.get_obs_dirs(open_lake(data_root), "obspar", obsid)


def get_files(
    obsid: int | None = None,
    start: Any = None,
    stop: Any = None,
    revision: Any = None,
    content: Any = None,
    data_root: Root = None,
) -> list[str]:
    """
    Paths of the obspar files of an observation or a time range.

    Parameters
    ----------
    obsid : int, optional
        The observation.
    start, stop : time, optional
        Observations that meet start to stop: tstart < stop and tstop > start.
    revision : {None, 'last', 'all'} or int
        Which; the default by default.
    content : object
        Without meaning here: all have the content OBSPAR.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    list of str
        The paths, in time order.

    Raises
    ------
    TypeError
        If there is neither an obsid nor both times.
    ValueError
        If a time or revision is none, or stop is before start.
    """
    return revisions.get_files(open_lake(data_root), "obspar", obsid, start, stop, revision, None)


def get_obsids(start: Any, stop: Any, revision: Any = None, data_root: Root = None) -> list[int]:
    """
    Observations of a time range.

    Parameters
    ----------
    start, stop : time
        Observations that meet start to stop: tstart < stop and tstop > start.
    revision : {None, 'last', 'all'} or int
        Those that have such a revision; a default by default.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    list of int
        Their obsids, in time order.

    Raises
    ------
    ValueError
        If a time or revision is none, or stop is before start.
    """
    condition, params = revisions.chosen(revision)
    query = f"""
        SELECT obsid
        FROM obspar
        WHERE {condition} AND tstart < $stop AND tstop > $start
        GROUP BY obsid
        ORDER BY min(tstart), obsid
    """
    tstart, tstop = interval(start, stop)
    rows = open_lake(data_root).sql(query, {"start": tstart, "stop": tstop, **params}).fetchall()
    return [row[0] for row in rows]
