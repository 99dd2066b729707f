"""The errors of the lake, and what to tell people about errors of other origin."""

import errno
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from difflib import get_close_matches
from pathlib import Path


class LakeError(Exception):
    """Something is wrong with the lake itself: there is none, it is locked, or one of its files is damaged."""


class MissingDataError(LookupError):
    """The lake has no such data, for example no pseudo-MSID of that name, or no V&V report of an observation."""


class ObjectStoreError(Exception):
    """An object store does not answer, or denies access; what it holds is not known."""


class BadFile(ValueError):  # noqa: N818 - the file is bad
    """A source file that cannot be ingested; the message says why."""


def unusable(path: object, what: str) -> LakeError:
    """The error for a partition's file that has been lost or damaged."""
    return LakeError(f"{path} {what}: 'mica-lake verify' names what mends it")


def near(name: object, names: Iterable[str]) -> str:
    """
    A hint for a mistyped name, to append to a message: the nearest of `names`, or nothing if none is near.

    Examples
    --------
    >>> near("tempcdd", ["TIME", "TEMPCCD", "IMGRAW"])
    '; near it: TEMPCCD'
    """
    as_written = {one.lower(): one for one in names}
    found = [as_written[one] for one in get_close_matches(str(name).lower(), as_written, n=5)]
    return f"; near it: {', '.join(found)}" if found else ""


def counted(number: int, one: str, several: str = "") -> str:
    """
    A number of things, in English.

    Examples
    --------
    >>> counted(1, "row"), counted(2000, "row"), counted(0, "file needs a look", "files need a look")
    ('1 row', '2,000 rows', '0 files need a look')
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def said_of(error: Exception) -> str:
    """
    The message of an error; for full disks, missing permissions and dead processes also what to do about it.

    Examples
    --------
    >>> said_of(OSError(28, "No space left on device"))
    'no room left on the disk. The lake is as before: make room and run it again'
    >>> said_of(FileNotFoundError(2, "No such file or directory", "/data/raw.fits"))
    '/data/raw.fits: no such file or directory'
    """
    if isinstance(error, BrokenExecutor):
        return "a process of the ingest died (out of memory?). The lake is as before: run it again, with fewer --jobs"
    if isinstance(error, OSError):
        if error.errno == errno.ENOENT and not Path(error.filename or "").is_absolute() and _nowhere():
            return "the current directory was removed: change to one that is there"
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return f"no room left on the disk{where}. The lake is as before: make room and run it again"
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"no permission{where}: {error.strerror}. The lake is as before"
        if error.filename and error.strerror:
            return f"{error.filename}: {error.strerror[:1].lower()}{error.strerror[1:]}"
    return str(error)


def _nowhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
