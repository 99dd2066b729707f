"""
Filing: what a transport left in a folder goes into the archive, laid out and listed as the reference does.

Every file is looked at as ingest will look at it. Each step can be done again: a run that dies is finished by the next.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mica_lake.errors import BadFile
from mica_lake.fetch import archfiles
from mica_lake.fetch.request import DEFAULT, LAST, OfName, OfObservation, Request
from mica_lake.fetch.set_aside import SetAside
from mica_lake.formats import fits_table
from mica_lake.formats.gunzip import MAX_BYTES, decompress
from mica_lake.formats.obspar import read as read_obspar
from mica_lake.formats.on_disk import escaped, read
from mica_lake.ingest import asp_l1_files, obspar
from mica_lake.ingest.aca_l0.files import names_of, scan, unreadable
from mica_lake.ingest.found import CANNOT_BE_READ, Rejected, found_in

#: Where each product is in the archive.
FOLDERS = {"aca_l0": "aca0", "obspar": "obspar", "asp_l1": "asp1"}
_NAMES = {"obspar": obspar.NAME, "asp_l1": asp_l1_files.NAME}
_WORK = ".fetch"
_REVISION = re.compile(r"N(\d{3})_", re.ASCII)
_FOREIGN = "it is no file of this product"


@dataclass
class Filed:
    """
    What became of an answer.

    Attributes
    ----------
    taken : list of str
        Files that are in the archive now.
    known : int
        Files that were in it before.
    aside : dict
        File -> why it was not taken.
    """

    taken: list[str] = field(default_factory=list)
    known: int = 0
    aside: dict[str, str] = field(default_factory=dict)


class Filing:
    """
    The archive, as it is written.

    Parameters
    ----------
    archive : Path
        The folder that holds ``aca0``, ``obspar`` and ``asp1``.
    aside : SetAside
        Where to put what cannot be taken.

    Examples
    --------
    >>> from mica_lake.fetch.request import OfInterval
    >>> tmp = getfixture("tmp_path")
    >>> (tmp / "answer").mkdir()
    >>> Filing(tmp / "archive", SetAside(tmp / "aside")).file(OfInterval(0, 1), tmp / "answer")
    Filed(taken=[], known=0, aside={})
    """

    def __init__(self, archive: Path, aside: SetAside) -> None:
        self.archive, self._aside = archive, aside

    def file(self, request: Request, folder: Path) -> Filed:
        """
        File an answer; what is in its folder is moved, or may be removed.

        Parameters
        ----------
        request : Request
            What was asked for; of an observation, in any version.
        folder : Path
            The files that came; of an observation, in folders ``default`` and ``last``.

        Returns
        -------
        Filed
            What became of them.

        Raises
        ------
        OSError
            If the archive cannot be written. The answer can be filed again.

        Examples
        --------
        >>> from mica_lake.fetch.request import OfInterval
        >>> tmp = getfixture("tmp_path")
        >>> (tmp / "README").write_text("hello") and None
        >>> Filing(tmp / "archive", SetAside(tmp / "aside")).file(OfInterval(0, 1), tmp).aside
        {'README': 'its name is not acaf<seconds>N<revision>_<slot>_img0.fits[.gz]'}
        """
        filed = Filed()
        if isinstance(request, OfObservation):
            self._observation(request, folder, filed)
        else:
            self._telemetry(request, folder, filed)
        return filed

    def _put_aside(self, request: Request, path: Path, reason: str, filed: Filed) -> None:
        if reason.startswith(CANNOT_BE_READ):
            raise OSError(f"{escaped(path)}: {reason}")
        self._aside.add(request, path.name, reason, path)
        filed.aside[escaped(path.name)] = reason

    def _files(self, request: Request, folder: Path, filed: Filed) -> Iterator[Path]:
        """The regular files in a folder, by name; all else is removed."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
            else:
                self._put_aside(request, path, "it is no regular file", filed)

    def _telemetry(self, request: Request, folder: Path, filed: Filed) -> None:
        top = self.archive / FOLDERS["aca_l0"]
        rows: list[dict[str, Any]] = []
        for path in self._files(request, folder, filed):
            scanned = scan(found_in(folder, path.name))
            reason = scanned.reason if isinstance(scanned, Rejected) else unreadable(scanned)
            if isinstance(scanned, Rejected) or reason:
                self._put_aside(request, path, reason, filed)
                continue
            content = read(path, MAX_BYTES)
            row = archfiles.of_telemetry(scanned.source, fits_table.read_header(content, ())[0].get("CHECKSUM"))
            target = top / f"{row['year']}" / f"{row['doy']:03d}" / path.name
            there = [target.with_name(name) for name in names_of(path.name) if target.with_name(name).exists()]
            before = _whole(there[0]) if there else None
            if before is None:
                put(content, target)
                for damaged in set(there) - {target}:
                    damaged.unlink()
                filed.taken.append(path.name)
            elif before != decompress(content):
                self._put_aside(request, path, f"{there[0]} has other content under this name", filed)
                continue
            else:
                filed.known += 1
                row["filename"] = there[0].name
            rows.append(row)
            self._aside.clear(request, names_of(path.name)[0])
        archfiles.list_telemetry(top, rows)
        came = {names_of(name)[0] for name in [*(row["filename"] for row in rows), *filed.aside]}
        if isinstance(request, OfName) and request.filename not in came:
            reason = "it was asked for by name, and did not come"
            self._aside.add(request, request.filename, reason)
            filed.aside[request.filename] = reason

    def _observation(self, request: OfObservation, folder: Path, filed: Filed) -> None:
        top = self.archive / FOLDERS[request.product]
        work = top / _WORK
        if work.exists():
            shutil.rmtree(work)
        revisions: dict[str, int] = {}
        rows: dict[str, dict[str, Any]] = {}
        for version in (DEFAULT, LAST):
            numbers = set()
            for path in self._files(request, folder / version, filed):
                match = _NAMES[request.product].fullmatch(path.name)
                if match is None:
                    self._put_aside(request, path, _FOREIGN, filed)
                    continue
                number = int(_REVISION.findall(path.name)[0])
                numbers.add(number)
                copy = work / f"{request.obsid:05d}_v{number:02d}" / path.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                if not copy.exists() or copy.read_bytes() != path.read_bytes():
                    shutil.copyfile(path, copy)
                try:
                    rows[path.name] = _row(request, copy)
                except BadFile as error:
                    # The observation is filed whole or not at all.
                    self._put_aside(request, path, str(error), filed)
                    shutil.rmtree(work)
                    return
            if len(numbers) > 1:
                reason = f"revisions {', '.join(map(str, sorted(numbers)))} came together"
                for path in self._files(request, folder / version, filed):
                    self._put_aside(request, path, reason, filed)
                shutil.rmtree(work)
                return
            revisions |= dict.fromkeys([version], *numbers) if numbers else {}
        if revisions:
            self._revisions(request, work, folder, revisions, rows, filed)

    def _revisions(
        self, request: OfObservation, work: Path, folder: Path, revisions: dict[str, int],
        rows: dict[str, dict[str, Any]], filed: Filed,
    ) -> None:  # fmt: skip
        """Move whole revisions into place, list them, and set the links."""
        group = work.parent / f"{request.obsid:05d}"[:2]
        group.mkdir(exist_ok=True)
        for made in sorted(work.iterdir()):
            target = group / made.name
            names = sorted(path.name for path in made.iterdir())
            if not target.exists():
                for name in names:
                    _sync(made / name)
                os.rename(made, target)  # noqa: PTH104 - a step at which a run may die
                _sync(group)
                filed.taken += names
                continue
            for name in names:
                before = _whole(target / name) if (target / name).exists() else None
                if before is None:
                    os.replace(made / name, target / name)  # noqa: PTH105 - a step at which a run may die
                    filed.taken.append(name)
                elif before == _whole(made / name):
                    filed.known += 1
                else:
                    came = next(p for v in (LAST, DEFAULT) if (p := folder / v / name).exists())
                    reason = f"{target / name} has other content under this name"
                    self._put_aside(request, came, reason, filed)
                    del rows[name]
        shutil.rmtree(work)
        default = revisions.get(DEFAULT)
        archfiles.list_revisions(work.parent, request.obsid, default, list(rows.values()))
        _links(group, request.obsid, default, revisions.get(LAST, default))
        if not filed.aside:
            self._aside.clear(request)


def put(content: bytes, target: Path) -> None:
    """
    Write a file that appears under its name when it is whole.

    Parameters
    ----------
    content : bytes
        What is in it.
    target : Path
        Its path; folders are made.

    Examples
    --------
    >>> put(b"hello", getfixture("tmp_path") / "a" / "b")
    >>> (getfixture("tmp_path") / "a" / "b").read_bytes()
    b'hello'
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}{_WORK}")
    beside.write_bytes(content)
    _sync(beside)
    os.replace(beside, target)  # noqa: PTH105 - a step at which a run may die
    _sync(target.parent)


def _whole(path: Path) -> bytes | None:
    """What is in a file of the archive, not gzipped; None if it is damaged, so that a good one takes its place."""
    try:
        return decompress(read(path, asp_l1_files.LARGEST), asp_l1_files.LARGEST)
    except BadFile:
        return None


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _links(group: Path, obsid: int, default: int | None, last: int | None) -> None:
    """Set the links to the default revision, and to the last one if it is another."""
    link, of_last = group / f"{obsid:05d}", group / f"{obsid:05d}_last"
    if default is not None:
        _link(link, f"{obsid:05d}_v{default:02d}")
    there = link.readlink().name if link.is_symlink() else ""
    target = f"{obsid:05d}_v{last:02d}"
    if target == there:
        of_last.unlink(missing_ok=True)
    else:
        _link(of_last, target)


def _link(link: Path, target: str) -> None:
    """Make a link, or let it lead elsewhere, at once."""
    if link.is_symlink() and str(link.readlink()) == target:
        return
    beside = link.with_name(f".{link.name}{_WORK}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    os.replace(beside, link)  # noqa: PTH105 - a step at which a run may die


def _row(request: OfObservation, path: Path) -> dict[str, Any]:
    """What the archive's list says of a file of an observation; a BadFile if it cannot be taken."""
    found = found_in(path.parent, path.name)
    if request.product == "obspar":
        judged = obspar.Obspar.judge(found)
        if isinstance(judged, Rejected):
            raise BadFile(judged.reason)
        values = {p.name: p.typed for p in read_obspar(path.read_bytes())}
        said = values.get("revision")
        if said is not None and said != judged.facts["revision"]:
            raise BadFile(f"its name contradicts its revision, {said}")
        return archfiles.of_obspar(path.name, request.obsid, judged.facts, values.get("detnam"))
    of_file = asp_l1_files.judge(found)
    if isinstance(of_file, Rejected):
        raise BadFile(of_file.reason)
    return archfiles.of_asp_l1(path.name, request.obsid, of_file[0].facts, of_file[1]["content"])
