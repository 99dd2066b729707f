"""
Archives by observation: folders ``OO/OOOOO_vRR``, links ``OOOOO`` and ``OOOOO_last``, ``archfiles.db3``.

The default revision is the one in ``archfiles.db3``, or that of link ``OOOOO`` if the database is missing or does not
know the observation. The last is that of link ``OOOOO_last``; without it the default; without one the highest.
"""

import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mica_lake.errors import BadFile
from mica_lake.formats.database import read_database
from mica_lake.formats.on_disk import escaped, leads_nowhere, unescaped
from mica_lake.ingest.found import Rejected, entries_of, found_in, is_folder, place, rejected

_GROUP = re.compile(r"\d{2}", re.ASCII)
FOLDER = re.compile(r"(\d{5})_v(\d{2,3})", re.ASCII)
LINK = re.compile(r"(\d{5})(_last)?", re.ASCII)
DATABASE = "archfiles.db3"
ATTRIBUTES = ("obsid", "revision", "directory", "isdefault", "islast", "link")


@dataclass(frozen=True)
class Revision:
    """
    A revision of an observation's files.

    Attributes
    ----------
    obsid, revision : int
        Which one.
    directory : str
        Its folder, as of `mica_lake.formats.on_disk.escaped`; so is `link`.
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
    """The revisions in an archive."""
    refused: list[Rejected] = []
    folders: dict[int, dict[int, str]] = {}
    links: dict[tuple[int, bool], tuple[str, int]] = {}
    for entry in folders_in(top, refused):
        match = FOLDER.fullmatch(entry.name)
        assert match is not None
        alike = folders.setdefault(int(match[1]), {})
        if alike.setdefault(int(match[2]), entry.path) != entry.path:
            reason = f"{escaped(alike[int(match[2])])} is the same revision"
            refused.append(Rejected(place(entry.path), reason))
    for group in _groups(top, []):
        for entry in _entries(group, []):
            if match := LINK.fullmatch(entry.name):
                found = _link(entry, group, match[1])
                if isinstance(found, Rejected):
                    refused.append(found)
                else:
                    links[int(match[1]), match[2] is not None] = entry.path, found
    defaults, trouble = _defaults(top)
    refused += [Rejected(place(top / DATABASE), reason) for reason in trouble]
    for obsid in sorted(defaults.keys() - folders.keys()):
        refused.append(Rejected(place(top / f"{obsid:05d}"), f"{DATABASE} lists it, but it has no folder"))
    revisions: list[Revision] = []
    for obsid, by_revision in sorted(folders.items()):
        ours, reasons = _judge(obsid, by_revision, links, defaults)
        revisions += ours
        refused += reasons
    return revisions, refused


def folders_in(top: Path, refused: list[Rejected]) -> Iterator[os.DirEntry[str]]:
    """The folders of revisions in an archive, each real one once."""
    seen: dict[str, str] = {}
    for group in _groups(top, refused):
        real_group = os.path.realpath(group.path)
        for entry in _entries(group, refused):
            # A link that leads nowhere now is a revision all the same: its disk may be back tomorrow.
            if FOLDER.fullmatch(entry.name) and (entry.is_symlink() or is_folder(entry)):
                real = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(real_group, entry.name)  # noqa: PTH118
                first = seen.setdefault(real, entry.path)
                if first == entry.path:
                    yield entry
                else:
                    refused.append(Rejected(place(entry.path), f"it leads to the folder of {escaped(first)}"))
            elif not LINK.fullmatch(entry.name):
                reason = (
                    leads_nowhere(entry.path) or "it is not a folder OOOOO_vRR of a revision, nor a link OOOOO to one"
                )
                refused.append(Rejected(place(entry.path), reason))


def _groups(top: Path, refused: list[Rejected]) -> Iterator[os.DirEntry[str]]:
    """The folders OO, each real one once."""
    seen: set[str] = set()
    for entry in entries_of(top):
        if not is_folder(entry):
            if _GROUP.fullmatch(entry.name):
                reason = leads_nowhere(entry.path) or "it should be a folder"
                refused.append(Rejected(place(entry.path), reason))
        elif not _GROUP.fullmatch(entry.name):
            if any(FOLDER.fullmatch(below.name) for below in _entries(entry, refused)):
                refused.append(Rejected(place(entry.path), "it has folders of revisions, but its name is not OO"))
        elif (real := os.path.realpath(entry.path)) not in seen:
            seen.add(real)
            yield entry


def _entries(folder: os.DirEntry[str], refused: list[Rejected]) -> list[os.DirEntry[str]]:
    try:
        return entries_of(folder)
    except OSError as error:
        refused.append(rejected(place(folder.path), error))
        return []


def _link(entry: os.DirEntry[str], group: os.DirEntry[str], obsid: str) -> int | Rejected:
    """Revision that a link leads to."""
    if not entry.is_symlink():
        return Rejected(place(entry.path), "it should be a link to a revision")
    try:
        target = os.readlink(entry.path)  # noqa: PTH115 - a str, as the rest
    except OSError as error:
        return rejected(place(entry.path), error)
    path = Path(group.path, target)
    if not os.path.lexists(path):
        return Rejected(place(entry.path), f"it leads to {escaped(target)}, which is not there")
    match = FOLDER.fullmatch(path.name)
    if match is None or match[1] != obsid or os.path.realpath(path.parent) != os.path.realpath(group.path):
        return Rejected(place(entry.path), f"it leads to {escaped(target)}, which is not a revision of {obsid}")
    return int(match[2])


def names_in(revision: Revision, listed: Container[str], wanted: Callable[[str], bool]) -> list[str]:
    """Names of a revision's files."""
    names = [entry.name for entry in entries_of(unescaped(revision.directory))]
    return sorted(name for name in names if name in listed or wanted(name))


def listed_in(top: Path) -> frozenset[str]:
    """Names of all files in an archive's database."""
    try:
        return frozenset(str(name) for (name,) in read_database(top / DATABASE, "SELECT filename FROM archfiles") or ())
    except BadFile:
        return frozenset()


def _judge(
    obsid: int,
    folders: Mapping[int, str],
    links: Mapping[tuple[int, bool], tuple[str, int]],
    defaults: Mapping[int, int | None],
) -> tuple[list[Revision], list[Rejected]]:
    """Revisions of one observation."""
    refused = []
    link, linked = links.get((obsid, False), (None, None))
    last_link, last = links.get((obsid, True), (None, None))
    default = defaults.get(obsid, linked)
    if default is not None and default not in folders:
        reason = f"{DATABASE} says that revision {default} is the default, but it has no folder"
        refused.append(Rejected(place(Path(next(iter(folders.values()))).with_name(f"{obsid:05d}")), reason))
    elif link is not None and linked != default:
        says = f"revision {default} is the default" if default is not None else "there is no default"
        refused.append(Rejected(place(link), f"it leads to revision {linked}, but {DATABASE} says that {says}"))
        link = None
    if last is None:
        last = default if default in folders else max(folders)
    revisions = []
    for number, folder in sorted(folders.items()):
        leads = link if number == default else last_link if number == last else None
        revisions.append(
            Revision(
                obsid, number, escaped(folder), number == default, number == last, escaped(leads) if leads else None
            )
        )
    return revisions, refused


def _defaults(top: Path) -> tuple[dict[int, int | None], list[str]]:
    """Default revision of each observation in the archive's database, and what is wrong with the database."""
    query = "SELECT obsid, max(CASE WHEN isdefault = 1 THEN revision END) FROM archfiles GROUP BY obsid"
    try:
        rows = read_database(top / DATABASE, query)
        if rows is None:
            return {}, ["it is not there; the links say which revision is the default"]
        return {int(obsid): default for obsid, default in rows}, []
    except (BadFile, TypeError, ValueError, OverflowError) as error:
        return {}, [f"{error}; the links say which revision is the default"]


def with_those_gone(revisions: Iterable[Revision], known: Iterable[Mapping[str, Any]]) -> list[Revision]:
    """The revisions of an archive, and those that only the lake has."""
    all_of_them = {(r.obsid, r.revision): r for r in revisions}
    present = {obsid for obsid, _ in all_of_them}
    for row in known:
        gone = Revision(**row)
        if gone.obsid in present:
            gone = replace(gone, isdefault=False, islast=False, link=None)
        all_of_them.setdefault((gone.obsid, gone.revision), gone)
    return [all_of_them[key] for key in sorted(all_of_them)]


def named(
    revision: Revision, listed: Container[str], wanted: Callable[[str], bool], pattern: re.Pattern[str], form: str
) -> tuple[list[str] | None, list[Rejected]]:
    """A product's files in the folder of a revision."""
    folder = unescaped(revision.directory)
    try:
        ours = names_in(revision, listed, wanted)
    except OSError as error:
        return None, [Rejected(place(folder), leads_nowhere(folder) or rejected(place(folder), error).reason)]
    names = [name for name in ours if pattern.fullmatch(name)]
    reason = f"its name is not {form}"
    return names, [Rejected(found_in(folder, name), reason) for name in ours if name not in names]
