"""Source files on disk: their names as text, and their content, up to a given size."""

import errno
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from mica_lake.errors import BadFile

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
# Control characters, which a terminal would obey, and backslashes that could be mistaken for ours.
_AMBIGUOUS = re.compile(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\\(?=x[0-9a-f]{2})")
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LONGEST_MESSAGE = 2000


def escaped(name: str | os.PathLike[str]) -> str:
    r"""
    A file's name as text that can be stored and printed, with control characters and non-UTF-8 bytes as ``\xff``.

    Examples
    --------
    >>> escaped("night_\udcff")
    'night_\\xff'
    """
    text = os.fspath(name)
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    raw = _AMBIGUOUS.sub(lambda match: b"".join(b"\\x%02x" % byte for byte in match[0]), os.fsencode(text))
    return raw.decode("utf-8", "backslashreplace")


def unescaped(text: str) -> str:
    r"""
    The name that `escaped` turned into text, as the system takes it.

    Examples
    --------
    >>> unescaped(escaped("night_\udcff")) == "night_\udcff"
    True
    """
    if text.isascii() and "\\" not in text:
        return text
    return os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text.encode()))


def storable(message: str) -> str:
    r"""
    A message without lone surrogates and of at most 2,000 characters, whatever it quotes.

    Examples
    --------
    >>> storable("slot \ud800")
    'slot \\ud800'
    """
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + "…"
    return message.encode("utf-8", "backslashreplace").decode()


def one_or_several(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """
    The paths in an argument that may be a single path.

    Examples
    --------
    >>> one_or_several("/archive") == one_or_several(["/archive"])
    True
    """
    return [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]


def read(path: str | os.PathLike[str], limit: int) -> bytes:
    """
    The content of a regular file of at most `limit` bytes, or of one that a link leads to.

    It never waits, as opening a named pipe would. Anything else is a `BadFile`, and is not read.

    Examples
    --------
    >>> read("/dev/zero", 100)
    Traceback (most recent call last):
        ...
    mica_lake.errors.BadFile: it is a device, not a file
    """
    if "\0" in os.fspath(path):
        raise FileNotFoundError(errno.ENOENT, "its name has a zero byte, which no file name can have")
    # Checked before it is opened, as opening a device can have effects, and again after, in case it was replaced.
    check(Path(path).stat(), limit)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open
        size = check(os.fstat(descriptor), limit)
        content = file.read(size + 1)
    if len(content) != size:
        raise OSError(errno.EAGAIN, "its size changed while it was read")
    return content


def check(found: os.stat_result, limit: int) -> int:
    """The size of a file by its status, refusing anything but a regular file of at most `limit` bytes."""
    if not stat.S_ISREG(found.st_mode):
        raise BadFile(f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file")
    if found.st_size > limit:
        raise BadFile(f"it is larger than {limit:,} bytes: it has {found.st_size:,}")
    return found.st_size


def leads_nowhere(path: str | os.PathLike[str]) -> str:
    """Why a link that leads nowhere cannot be taken; empty if the path is no such link."""
    try:
        target = os.readlink(path)  # noqa: PTH115 - a str, of which there are many
    except (OSError, ValueError):
        return ""
    try:
        os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return f"it leads to {escaped(target)}, which is not there"
    except OSError as error:
        return f"it leads to {escaped(target)}, which cannot be looked at: {error.strerror}"
    return ""
