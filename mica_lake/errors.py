"""The errors of the lake, and what is said of those of others."""

import errno
from concurrent.futures.process import BrokenProcessPool


class LakeError(Exception):
    """Something is wrong with the lake itself: there is none, it is locked, or a file of it is damaged."""


class MissingDataError(Exception):
    """The lake has no such data, for example no pseudo-MSID of that name."""


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
    if isinstance(error, BrokenProcessPool):
        return "a process of the ingest died (out of memory?). The lake is as before: run it again, with fewer --jobs"
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return f"no room left on the disk{where}. The lake is as before: make room and run it again"
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"no permission{where}: {error.strerror}. The lake is as before"
    return str(error)
