"""What `obspar` and `asp_l1` have in common: revisions of an observation, their folders and files."""

import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mica_lake.formats.on_disk import unescaped
from mica_lake.lake import open_lake
from mica_lake.times import open_interval

Root = str | os.PathLike[str] | None


def number(obsid: Any) -> int:
    """An obsid given as a whole number of any type or as text; 32448.5 is not observation 32448, but a ValueError."""
    try:
        found = int(obsid)
        if isinstance(obsid, str | bytes) or found == obsid:
            return found
    except (TypeError, ValueError, OverflowError, np.ma.MaskError):
        pass
    raise ValueError(f"obsid {obsid!r} is not a whole number")


def chosen(version: Any) -> tuple[str, dict[str, int]]:
    """
    SQL condition for a version, and its parameters.

    A version is None or 'default', 'last', 'all', or a revision: a whole number of any type, as revisions from a table
    are often floats.
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
        raise ValueError(f"revision {version!r} is not 'default', 'last', 'all' or a whole number") from None


def chosen_one(version: Any) -> tuple[str, dict[str, int]]:
    """`chosen`, for callers that need a single version: 'all' is refused."""
    if version == "all":
        raise ValueError("revision 'all' is more than one: give one")
    return chosen(version)


class Revisions:
    """The folders and files of a table's revisions: ``obspar``, or ``asp_l1_file``, which has several kinds of file."""

    def __init__(self, table: str, *, kinds: bool) -> None:
        self._table, self._kinds = table, kinds

    def get_dir(self, obsid: int, data_root: Root = None) -> str | None:
        """
        Folder of the default revision of an observation.

        Parameters
        ----------
        obsid : int
            The observation.
        data_root : path, optional
            The lake; `mica_lake.lake.default_root` by default.

        Returns
        -------
        str or None
            The link to the folder or, if there is no link, the folder itself; None if there is no default revision.

        Examples
        --------
        >>> from mica_lake.archive import asp_l1
        >>> asp_l1.get_dir(1, data_root=demo_lake().root) is None
        True
        """
        return (self.get_obs_dirs(obsid, data_root) or {}).get("default")

    def get_obs_dirs(self, obsid: int, data_root: Root = None) -> dict[Any, Any] | None:
        """
        Folders of all revisions of an observation.

        Parameters
        ----------
        obsid : int
            The observation.
        data_root : path, optional
            The lake; `mica_lake.lake.default_root` by default.

        Returns
        -------
        dict or None
            Revision -> folder; 'default' and 'last' -> the link or, if there is none, the folder; 'revisions' -> list
            of int, ascending. None if there is no revision.
        """
        query = (
            f'SELECT DISTINCT revision, directory, isdefault, islast, link FROM "{self._table}" WHERE obsid = $obsid'
        )
        rows = sorted(open_lake(data_root).sql(query, {"obsid": number(obsid)}).fetchall())
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

    def get_files(
        self,
        obsid: int | None = None,
        start: Any = None,
        stop: Any = None,
        revision: Any = None,
        content: str | Iterable[str] | None = None,
        data_root: Root = None,
    ) -> list[str]:
        """
        Paths of the source files of an observation or a time range.

        Parameters
        ----------
        obsid : int, optional
            The observation.
        start, stop : time, optional
            Files whose interval overlaps start to stop: tstart < stop and tstop > start.
        revision : {None, 'last', 'all'} or int
            Which revision; the default one by default. The last one is that of the link for it, or the highest if
            there is no link.
        content : str or iterable of str, optional
            Kinds of aspect product, such as ``ASPSOL`` or ``ACACENT``. By default all but ``ASPSOLOBI``, the solutions
            of whole OBIs, which repeat those of their aspect intervals. All obspars are of one kind, OBSPAR.
        data_root : path, optional
            The lake; `mica_lake.lake.default_root` by default.

        Returns
        -------
        list of str
            The paths, by observation in time, revision and name.

        Raises
        ------
        TypeError
            If neither an obsid nor both times are given.
        ValueError
            If a time or revision is not valid, or stop is before start.
        """
        if obsid is None and (start is None or stop is None):
            raise TypeError("give an obsid, or both start and stop")
        condition, params = chosen(revision)
        if revision == "last":
            condition = f"""revision = (
                SELECT coalesce(max(revision) FILTER (islast AND NOT isdefault), max(revision))
                FROM {self._table} AS other
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
        if self._kinds and content is not None:
            conditions.append("list_contains($content, content)")
            values["content"] = [content] if isinstance(content, str) else list(content)
        elif self._kinds:
            conditions.append("content <> 'ASPSOLOBI'")
        query = f"""
            SELECT directory, filename
            FROM {self._table} AS it
            WHERE {" AND ".join(conditions)}
            ORDER BY min(tstart) OVER (PARTITION BY obsid), obsid, revision, filename
        """
        rows = open_lake(data_root).sql(query, values).fetchall()
        return [unescaped(str(Path(directory, filename))) for directory, filename in rows]
