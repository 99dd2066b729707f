"""Source files: finding them below a folder, and what was made of them."""

import errno
import os
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mica_lake.errors import BadFile
from mica_lake.formats.on_disk import escaped, unescaped

# How the reason begins of a file that may be readable the next time, although it does not change.
CANNOT_BE_READ = "it cannot be read: "


@dataclass(frozen=True)
class Found:
    """
    A source file.

    Attributes
    ----------
    directory, filename : str
        Where it is, as of `mica_lake.formats.on_disk.escaped`.
    size, mtime_ns : int
        Its size in bytes and when it was changed.
    """

    directory: str
    filename: str
    size: int = -1
    mtime_ns: int = -1

    @property
    def path(self) -> Path:
        """Its path."""
        return Path(unescaped(self.directory), unescaped(self.filename))

    @property
    def name(self) -> str:
        """Its name with that of its folder, which says the observation or calibration and its revision."""
        return f"{Path(self.directory).name}/{self.filename}"


@dataclass(frozen=True)
class Rejected:
    """
    A source file that cannot be taken.

    Attributes
    ----------
    found : Found
        The file.
    reason : str
        Why.
    """

    found: Found
    reason: str


def rejected(found: Found, error: Exception) -> Rejected:
    """Set aside a file that raised an error; without size and date if it may become readable without a change."""
    if isinstance(error, BadFile):
        return Rejected(found, str(error))
    if isinstance(error, OSError):
        return Rejected(Found(found.directory, found.filename), f"{CANNOT_BE_READ}{error.strerror or error}")
    reason = f"it cannot be read ({type(error).__name__}: {error})"
    return Rejected(Found(found.directory, found.filename) if isinstance(error, MemoryError) else found, reason)


@dataclass(frozen=True)
class Taken:
    """
    A source file that can be taken.

    Attributes
    ----------
    found : Found
        The file.
    checksum : str
        SHA-256 of the file as it is stored.
    facts : dict
        What `source_file` keeps of it: tstart, tstop, revision, rows, date.
    """

    found: Found
    checksum: str
    facts: dict[str, Any] = field(default_factory=dict)


def archive_folder(source: str | os.PathLike[str], folder: str) -> Path:
    """A product's folder: below a ``$SKA`` root, or the source itself; a FileNotFoundError if there is none."""
    top = Path(os.path.abspath(source))  # noqa: PTH100 - links in it are the user's
    below = top / folder
    if below.is_dir():
        return below
    if not top.is_dir():
        raise FileNotFoundError(f"{top}: there is no such folder")
    if (top / "data" / "mica" / "archive").is_dir():
        raise FileNotFoundError(f"{below}: there is no such folder")
    return top


def found_in(directory: str | os.PathLike[str], filename: str) -> Found:
    """A file with its size and date; without them if it cannot be looked at."""
    return looked_at(Found(escaped(directory), escaped(filename)))


def looked_at(found: Found) -> Found:
    """A file with its size and date; without them if it cannot be looked at."""
    try:
        stat = found.path.stat()
    except (OSError, ValueError):  # a name with a zero byte is a ValueError
        return Found(found.directory, found.filename)
    return Found(found.directory, found.filename, stat.st_size, stat.st_mtime_ns)


def place(path: str | os.PathLike[str]) -> Found:
    """A folder or link; without size and date, which would not show that it has been mended."""
    directory, filename = os.path.split(path)
    return Found(escaped(directory), escaped(filename))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; a link to what cannot be looked at may be one."""
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno != errno.ELOOP


def entries_of(directory: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """The entries of a folder by name, links last; without those whose names begin with a dot."""
    with os.scandir(directory) as found:
        return sorted(
            (entry for entry in found if not entry.name.startswith(".")), key=lambda e: (e.is_symlink(), e.name)
        )


def walk(
    top: Path, refused: list[Rejected], left_out: Collection[str] = frozenset()
) -> Iterator[tuple[str, list[str]]]:
    """
    The folders below one, at any depth, each with the names of what is not a folder; but for folders of some names.

    Each real folder comes once, however many links lead to it. What cannot be read, or leads nowhere, is appended to
    `refused`; an OSError if `top` itself cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    real_top = os.path.realpath(top)
    # What is below a link comes after all that is there without one, so that it is known by its own path.
    waiting = deque([str(top)])
    while waiting:
        stack = [waiting.popleft()]
        while stack:
            directory = stack.pop()
            try:
                stat = os.stat(directory)  # noqa: PTH116 - a str, of which there are many
                if (stat.st_dev, stat.st_ino) in seen:
                    continue
                seen.add((stat.st_dev, stat.st_ino))
                entries = entries_of(directory)
            except OSError as error:
                if directory == str(top):
                    raise
                refused.append(rejected(place(directory), error))
                continue
            names, below = [], []
            for entry in entries:
                if not is_folder(entry):
                    names.append(entry.name)
                elif entry.name in left_out:
                    continue
                elif not entry.is_symlink():
                    below.append(entry.path)
                elif os.path.commonpath([real_top, real := os.path.realpath(entry.path)]) == real != real_top:
                    refused.append(Rejected(place(entry.path), f"it leads to {real}, which the archive itself is in"))
                else:
                    waiting.append(entry.path)
            yield directory, names
            stack += reversed(below)
