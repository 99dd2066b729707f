"""Observation parameters: the functions of ``mica.archive.obspar``."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mica_lake.archive import revisions
from mica_lake.archive.arrays import values_and_mask
from mica_lake.catalog.pointer import State, state
from mica_lake.formats.obspar import num_ccd_on, typed
from mica_lake.formats.on_disk import unescaped
from mica_lake.lake import open_lake
from mica_lake.tables.obspar import OBSPAR, OBSPAR_KV
from mica_lake.times import cxcsec, interval, utc

__all__ = ["get_dir", "get_files", "get_obs_dirs", "get_obsids", "get_obspar", "get_obspar_file"]

_REVISIONS = revisions.Revisions("obspar", kinds=False)
get_dir = _REVISIONS.get_dir
get_obs_dirs = _REVISIONS.get_obs_dirs
get_files = _REVISIONS.get_files


def get_obspar(obsid: int, version: Any = "default", data_root: revisions.Root = None) -> dict[str, Any] | None:
    """
    Parameters of an observation.

    When two observations of the same year are asked for one after the other, the whole year is read and kept, so that
    the next ones take microseconds.

    Parameters
    ----------
    obsid : int
        The observation.
    version : {'default', 'last'} or int
        Which revision.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    dict or None
        Name -> value (str, int, float; None for an empty number), in the order of the file, and ``num_ccd_on``, the
        number of ACIS CCDs that are on. None if there is no such observation or version, or `version` is None.

    Raises
    ------
    ValueError
        If the version is not valid.
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> get_obspar(1, data_root=demo_lake().root) is None
    True
    """
    if version is None:
        return None
    condition, params = revisions.chosen_one(version)
    lake = open_lake(data_root)
    root, generation = str(lake.root), state(lake.root)
    for revision, isdefault, islast, tstart in _index(root, generation).get(revisions.number(obsid), ()):
        if {"isdefault": isdefault, "islast": islast}.get(condition, params.get("revision") == revision):
            found = dict(_YEARS.parameters(root, generation, tstart, revisions.number(obsid), revision))
            return found | {"num_ccd_on": num_ccd_on(found)}
    return None


@lru_cache(maxsize=2)
def _index(root: str, generation: State) -> dict[int, list[tuple[int, bool, bool, float]]]:
    """Revision, isdefault, islast and tstart of the revisions of each observation, the newest first."""
    columns = ["obsid", "revision", "isdefault", "islast", "tstart"]
    rows = open_lake(root).between(OBSPAR.name, columns, -np.inf, np.inf)
    found: dict[int, list[tuple[int, bool, bool, float]]] = {}
    for obsid, *revision in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        found.setdefault(obsid, []).append(tuple(revision))
    for several in found.values():
        several.sort(reverse=True)
    return found


class _Years:
    """Parameters of the years asked for lately; a year is read whole once it is asked for twice in a row."""

    _KEPT = 8

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, State, int], dict[tuple[int, int], dict[str, Any]]] = {}
        self._last: tuple[str, State, int] | None = None

    def parameters(self, root: str, generation: State, tstart: float, obsid: int, revision: int) -> dict[str, Any]:
        """Parameters of a revision of an observation that began at tstart."""
        year = int(utc(tstart)[:4])
        asked = (root, generation, year)
        with self._lock:
            if asked in self._kept:
                return self._kept[asked][obsid, revision]
            again, self._last = self._last == asked, asked
        if not again:
            only = {"obsid": [obsid], "revision": [revision]}
            return _by_revision(root, tstart, tstart, only)[obsid, revision]
        whole = _by_revision(root, cxcsec(f"{year}:001"), cxcsec(f"{year + 1}:001"), {})
        with self._lock:
            self._kept[asked] = whole
            while len(self._kept) > self._KEPT:
                del self._kept[next(iter(self._kept))]
        return whole[obsid, revision]


_YEARS = _Years()


def _by_revision(
    root: str, start: float, stop: float, only: dict[str, list[int]]
) -> dict[tuple[int, int], dict[str, Any]]:
    """Parameters of the observations that began from start to stop, by obsid and revision."""
    columns = ["obsid", "revision", "name", "type", "value"]
    rows = open_lake(root).between(OBSPAR_KV.name, columns, start, stop, only=only)
    obsids, revision = (values_and_mask(column, np.int64)[0] for column in rows.columns[:2])
    names, types, texts = (column.to_pylist() for column in rows.columns[2:])
    values = [typed(kind, text) for kind, text in zip(types, texts, strict=True)]
    starts = np.flatnonzero(np.r_[True, (np.diff(obsids) != 0) | (np.diff(revision) != 0)][: len(obsids)]).tolist()
    return {
        (int(obsids[a]), int(revision[a])): dict(zip(names[a:b], values[a:b], strict=True))
        for a, b in zip(starts, [*starts[1:], len(values)], strict=True)
    }


def get_obspar_file(obsid: int, version: Any = "default", data_root: revisions.Root = None) -> str | None:
    """
    Path of the file with an observation's parameters.

    Parameters
    ----------
    obsid, version, data_root
        As for `get_obspar`.

    Returns
    -------
    str or None
        The path, by way of the link to the default or last revision if there is one; None if there is no such file, or
        `version` is None.

    Raises
    ------
    ValueError
        If the version is not valid.
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


def get_obsids(start: Any, stop: Any, revision: Any = None, data_root: revisions.Root = None) -> list[int]:
    """
    Observations of a time range.

    Parameters
    ----------
    start, stop : time
        Observations that overlap start to stop: tstart < stop and tstop > start.
    revision : {None, 'last', 'all'} or int
        Only observations with such a revision; by default, with a default one.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    list of int
        Their obsids, in time order.

    Raises
    ------
    ValueError
        If a time or revision is not valid, or stop is before start.
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
