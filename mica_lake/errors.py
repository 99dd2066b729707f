"""The errors of the lake, and what is said of those of others."""

import errno
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from difflib import get_close_matches
from pathlib import Path


class LakeError(Exception):
    """Something is wrong with the lake itself: there is none, it is locked, or a file of it is damaged."""


class MissingDataError(LookupError):
    """The lake has no such data, for example no pseudo-MSID of that name, or no V&V report of an observation."""


class ObjectStoreError(Exception):
    """An object store does not answer, or does not let us: nothing is known of what it holds."""


class BadFile(ValueError):  # noqa: N818 - it is the file that is bad
    """A source file that cannot be taken; the message is its reason."""


def near(name: object, names: Iterable[str]) -> str:
    """
    A hint for whoever mistyped a name.

    Parameters
    ----------
    name : object
        What was given.
    names : iterable of str
        What there is.

    Returns
    -------
    str
        The nearest names, to be put behind a message; empty where none is near.

    Examples
    --------
    >>> near("tempcdd", ["TIME", "TEMPCCD", "IMGRAW"])
    '; near it: TEMPCCD'
    """
    as_written = {known.lower(): known for known in names}
    found = [as_written[known] for known in get_close_matches(str(name).lower(), as_written, n=5)]
    return f"; near it: {', '.join(found)}" if found else ""


def said_of(error: Exception) -> str:
    """
    What a person is told of an error.

    Parameters
    ----------
    error : Exception
        The error.

    Returns
    -------
    str
        Its message; of the disk, of permissions and of a process that died, what became of the lake and what to do.

    Examples
    --------
    >>> said_of(OSError(28, "No space left on device"))
    'no room left on the disk. The lake is as before: make room and run it again'
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
    return str(error)


def _nowhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
