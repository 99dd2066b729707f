"""The errors of the lake."""


class LakeError(Exception):
    """Something is wrong with the lake itself: there is none, it is locked, or a file of it is damaged."""


class MissingDataError(LookupError):
    """The lake has no such data, for example no pseudo-MSID of that name, or no V&V report of an observation."""


class BadFile(ValueError):  # noqa: N818 - it is the file that is bad
    """A source file that cannot be taken; the message is its reason."""
