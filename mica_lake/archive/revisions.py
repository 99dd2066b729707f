"""What `obspar` and `asp_l1` have in common: revisions of an observation, their folders and files."""

import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mica_lake.formats.on_disk import unescaped
from mica_lake.lake import Lake
from mica_lake.times import cxcsec, interval


def number(obsid: Any) -> int:
    """
    The number of an observation, given as a whole number of any type or in text.

    Parameters
    ----------
    obsid : object
        What was given.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ValueError
        If it is none: also 32448.5, which is not observation 32448.
    """
    try:
        found = int(obsid)
        if isinstance(obsid, str | bytes) or found == obsid:
            return found
    except (TypeError, ValueError, OverflowError, np.ma.MaskError):
        pass
    raise ValueError(f"obsid {obsid!r} is no whole number")


def get_obs_dirs(lake: Lake, table: str, obsid: int) -> dict[Any, Any] | None:
    """
    Folders of the revisions of an observation.

    Parameters
    ----------
    lake : Lake
        The lake.
    table : str
        ``obspar`` or ``asp_l1_file``.
    obsid : int
        The observation.

    Returns
    -------
    dict or None
        Revision -> folder; 'default' and 'last' -> the link or, without one, the folder; 'revisions' -> list of them,
        ascending. None if there is none.
    """
    query = f'SELECT DISTINCT revision, directory, isdefault, islast, link FROM "{table}" WHERE obsid = $obsid'
    rows = sorted(lake.sql(query, {"obsid": number(obsid)}).fetchall())
    if not rows:
        return None
    dirs: dict[Any, Any] = {}
    for revision, directory, isdefault, islast, link in rows:
        directory, link = unescaped(directory), link and unescaped(link)
        dirs[revision] = directory
        if isdefault:
            dirs["default"] = link or directory
        if islast:
            dirs["last"] = link or directory
    return dirs | {"revisions": [row[0] for row in rows]}


def chosen(version: Any) -> tuple[str, dict[str, int]]:
    """
    SQL condition for a version.

    Parameters
    ----------
    version : {None, 'default', 'last', 'all'} or int
        Which one; None is the default. A whole number may be of any type, as a revision from a table often is a float.

    Returns
    -------
    str, dict
        The condition and its parameters.

    Raises
    ------
    ValueError
        If it is none.
    """
    if version is None or (isinstance(version, str) and version == "default"):
        return "isdefault", {}
    if version == "last":
        return "islast", {}
    if version == "all":
        return "true", {}
    try:
        whole = isinstance(version, float | np.floating) and float(version).is_integer()
        return "revision = $revision", {"revision": int(version) if whole else operator.index(version)}
    except TypeError:
        raise ValueError(f"revision {version!r} is none of 'default', 'last', 'all', or a whole number") from None


def open_interval(start: Any, stop: Any) -> tuple[float | None, float | None]:
    """
    A time range in CXC seconds.

    Parameters
    ----------
    start, stop : time or None
        The range; None leaves it open.

    Returns
    -------
    tuple of float or None
        Start and stop.

    Raises
    ------
    ValueError
        If one is no time, or stop is before start.
    """
    if start is not None and stop is not None:
        return interval(start, stop)
    return None if start is None else cxcsec(start), None if stop is None else cxcsec(stop)


def chosen_one(version: Any) -> tuple[str, dict[str, int]]:
    """
    SQL condition for a version that is one.

    Parameters
    ----------
    version : {None, 'default', 'last'} or int
        Which one; None is the default.

    Returns
    -------
    str, dict
        As of `chosen`.

    Raises
    ------
    ValueError
        If it is none, or all of them.
    """
    if version == "all":
        raise ValueError("revision 'all' is more than one: name one")
    return chosen(version)


def get_files(
    lake: Lake, table: str, obsid: int | None, start: Any, stop: Any, revision: Any, content: str | Iterable[str] | None
) -> list[str]:
    """
    Paths of the source files of an observation or a time range.

    Parameters
    ----------
    lake : Lake
        The lake.
    table : str
        ``obspar`` or ``asp_l1_file``.
    obsid : int or None
        The observation.
    start, stop : time or None
        Files whose interval meets start to stop: tstart < stop and tstop > start.
    revision : {None, 'last', 'all'} or int
        Which; the default by default. The last is that of the link for it, or the highest if there is none.
    content : str or iterable of str, optional
        Kinds of product; all but ASPSOLOBI by default.

    Returns
    -------
    list of str
        The paths, by observation in time, revision and name.

    Raises
    ------
    TypeError
        If there is neither an obsid nor both times.
    ValueError
        If a time or revision is none, or stop is before start.
    """
    if obsid is None and (start is None or stop is None):
        raise TypeError("give an obsid, or both start and stop")
    condition, params = chosen(revision)
    if revision == "last":
        condition = f"""revision = (
            SELECT coalesce(max(revision) FILTER (islast AND NOT isdefault), max(revision)) FROM "{table}" AS other
            WHERE other.obsid = it.obsid
        )"""
    conditions: list[str] = [condition]
    values: dict[str, Any] = dict(params)
    if obsid is not None:
        conditions.append("obsid = $obsid")
        values["obsid"] = number(obsid)
    for name, at, rule in zip(
        ("start", "stop"), open_interval(start, stop), ("tstop > $start", "tstart < $stop"), strict=True
    ):
        if at is not None:
            conditions.append(rule)
            values[name] = at
    if content is not None:
        conditions.append("list_contains($content, content)")
        values["content"] = [content] if isinstance(content, str) else list(content)
    elif table == "asp_l1_file":
        conditions.append("content <> 'ASPSOLOBI'")
    query = f"""
        SELECT directory, filename
        FROM "{table}" AS it
        WHERE {" AND ".join(conditions)}
        ORDER BY min(tstart) OVER (PARTITION BY obsid), obsid, revision, filename
    """
    return [unescaped(str(Path(directory, filename))) for directory, filename in lake.sql(query, values).fetchall()]
