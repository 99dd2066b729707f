"""The errors of the lake."""

from collections.abc import Iterable
from difflib import get_close_matches


class LakeError(Exception):
    """Something is wrong with the lake itself: there is none, it is locked, or a file of it is damaged."""


class MissingDataError(LookupError):
    """The lake has no such data, for example no pseudo-MSID of that name, or no V&V report of an observation."""


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
