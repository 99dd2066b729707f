"""
Archives by observation: folders ``OO/OOOOO_vRR``, links ``OOOOO`` and ``OOOOO_last``, ``archfiles.db3``.

Which revision is the default is what ``archfiles.db3`` says, or the link ``OOOOO`` where the database is missing or
does not know the observation. The last is where ``OOOOO_last`` leads; without it the default; without one the highest.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mica_lake.ingest.source_files import Found, Rejected, read_database

_GROUP = re.compile(r"\d{2}", re.ASCII)
_FOLDER = re.compile(r"(\d{5})_v(\d{2,3})", re.ASCII)
_LINK = re.compile(r"(\d{5})(_last)?", re.ASCII)
DATABASE = "archfiles.db3"
ATTRIBUTES = ("obsid", "revision", "directory", "isdefault", "islast", "link")


@dataclass(frozen=True)
class Revision:
    """
    A revision of the products of an observation.

    Attributes
    ----------
    obsid, revision : int
        Which one.
    directory : str
        Its folder.
    isdefault, islast : bool
        Whether it is the default, and the last.
    link : str or None
        The link that leads to it: that to the default if it is the default, else that to the last if it is the last.
    """

    obsid: int
    revision: int
    directory: str
    isdefault: bool = False
    islast: bool = False
    link: str | None = None


def discover(top: Path) -> tuple[list[Revision], list[Rejected]]:
    """
    The revisions in an archive.

    Parameters
    ----------
    top : Path
        Its folder.

    Returns
    -------
    list of Revision
        The revisions, by observation.
    list of Rejected
        What is wrong with the database and the links.
    """
    rejected: list[Rejected] = []
    folders: dict[int, dict[int, str]] = {}
    links: dict[tuple[int, bool], tuple[Path, int]] = {}
    for group in sorted(entry for entry in top.iterdir() if _GROUP.fullmatch(entry.name) and entry.is_dir()):
        for entry in sorted(group.iterdir()):
            if match := _FOLDER.fullmatch(entry.name):
                if not entry.is_dir():
                    continue
                alike = folders.setdefault(int(match[1]), {})
                if alike.setdefault(int(match[2]), str(entry)) != str(entry):
                    reason = f"{alike[int(match[2])]} is the same revision"
                    rejected.append(Rejected(Found(str(group), entry.name), reason))
            elif match := _LINK.fullmatch(entry.name):
                target = _FOLDER.fullmatch(entry.readlink().name) if entry.is_symlink() else None
                here = entry.resolve().parent == group.resolve()
                if not entry.is_symlink():
                    rejected.append(Rejected(Found(str(group), entry.name), "it should be a link to a revision"))
                elif not entry.is_dir():
                    reason = f"it leads to {entry.readlink()}, which is not there"
                    rejected.append(Rejected(Found(str(group), entry.name), reason))
                elif target is None or target[1] != match[1] or not here:
                    reason = f"it leads to {entry.readlink()}, which is no revision of {match[1]}"
                    rejected.append(Rejected(Found(str(group), entry.name), reason))
                else:
                    links[int(match[1]), match[2] is not None] = entry, int(target[2])
    defaults, trouble = _defaults(top)
    rejected += [Rejected(Found(str(top), DATABASE), reason) for reason in trouble]
    for obsid in sorted(defaults.keys() - folders.keys()):
        rejected.append(Rejected(Found(str(top), f"{obsid:05d}"), f"{DATABASE} lists it, but it has no folder"))
    revisions: list[Revision] = []
    for obsid, by_revision in sorted(folders.items()):
        ours, reasons = _judge(obsid, by_revision, links, defaults)
        revisions += ours
        rejected += reasons
    return revisions, rejected


def _judge(
    obsid: int,
    folders: Mapping[int, str],
    links: Mapping[tuple[int, bool], tuple[Path, int]],
    defaults: Mapping[int, int | None],
) -> tuple[list[Revision], list[Rejected]]:
    """Revisions of one observation."""
    rejected = []
    link, linked = links.get((obsid, False), (None, None))
    last_link, last = links.get((obsid, True), (None, None))
    default = defaults.get(obsid, linked)
    if default is not None and default not in folders:
        reason = f"{DATABASE} says that revision {default} is the default, but it has no folder"
        rejected.append(Rejected(Found(str(Path(next(iter(folders.values()))).parent), f"{obsid:05d}"), reason))
    elif link is not None and linked != default:
        says = f"revision {default} is the default" if default is not None else "there is no default"
        reason = f"it leads to revision {linked}, but {DATABASE} says that {says}"
        rejected.append(Rejected(Found(str(link.parent), link.name), reason))
        link = None
    if last is None:
        last = default if default in folders else max(folders)
    revisions = []
    for number, folder in sorted(folders.items()):
        leads = link if number == default else last_link if number == last else None
        revisions.append(
            Revision(obsid, number, folder, number == default, number == last, str(leads) if leads else None)
        )
    return revisions, rejected


def _defaults(top: Path) -> tuple[dict[int, int | None], list[str]]:
    """Default revision of each observation that the archive's database knows, and what is wrong with the database."""
    path = top / DATABASE
    if not path.exists():
        return {}, ["it is not there; the links say which revision is the default"]
    query = "SELECT obsid, max(CASE WHEN isdefault = 1 THEN revision END) FROM archfiles GROUP BY obsid"
    try:
        return {int(obsid): default for obsid, default in read_database(path, query)}, []
    except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
        return {}, [f"{error}; the links say which revision is the default"]


def with_those_gone(revisions: Iterable[Revision], known: Iterable[Mapping[str, Any]]) -> list[Revision]:
    """
    Revisions of an archive and those that only the lake has.

    Parameters
    ----------
    revisions : iterable of Revision
        What is in the archive.
    known : iterable of dict
        What the lake has: obsid, revision, directory, isdefault, islast, link.

    Returns
    -------
    list of Revision
        All of them. One that has gone from the archive stays as it was if its whole observation has gone, else without
        being default, last or linked.
    """
    all_of_them = {(r.obsid, r.revision): r for r in revisions}
    present = {obsid for obsid, _ in all_of_them}
    for row in known:
        gone = Revision(**row)
        if gone.obsid in present:
            gone = replace(gone, isdefault=False, islast=False, link=None)
        all_of_them.setdefault((gone.obsid, gone.revision), gone)
    return [all_of_them[key] for key in sorted(all_of_them)]
