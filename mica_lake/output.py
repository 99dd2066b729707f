"""
Output to the terminal.

File names, header values and messages come from files that others wrote. Whatever in them a terminal would obey is
escaped here, in one place, for everything that is printed.
"""

import codecs
import os
import shutil
import sys
import unicodedata
from typing import IO, Any, TextIO

# Control characters, invisible ones (such as changes of writing direction), lone surrogates, line and paragraph ends.
_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# The rules of tables, and characters in our own messages.
_ASCII = dict.fromkeys(map(chr, range(0x2500, 0x2580)), "+") | dict.fromkeys("─━═╌╍┄┅┈┉╴╶╸╺", "-")
_ASCII |= dict.fromkeys("│┃║╎╏┆┇┊┋", "|") | {"…": "...", "°": "deg ", "·": "."}


def printable(text: str, *, lines: bool = False) -> str:
    r"""
    Make a text safe to print: characters that a terminal would obey, or not show, are escaped as in Python.

    A byte of a file name that is not UTF-8, which Python keeps as a lone surrogate, is shown as a byte. With `lines`,
    line breaks are kept.

    Examples
    --------
    >>> print(printable("acaf1\x1b[2J\n.fits"))
    acaf1\x1b[2J\n.fits
    >>> print(printable("acaf\udcff.fits, \u202egnp"))
    acaf\xff.fits, \u202egnp
    """
    if text.isprintable():
        return text
    return "".join(c if (lines and c == "\n") or unicodedata.category(c) not in _ESCAPED else _code(c) for c in text)


def _code(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class Output:
    """
    A standard stream that never fails: what cannot be written is dropped, and `lost` says why.

    A pipe whose reader is gone, or a log on a full disk, must not stop the work.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, if possible."""
        try:
            self._stream.write(text)
        except OSError as error:
            self.drop(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, if possible."""
        try:
            self._stream.flush()
        except OSError as error:
            self.drop(error)

    def drop(self, error: OSError) -> None:
        """Discard what is buffered, and everything from now on."""
        self.lost = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def _nearest_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or _code(c) for c in unknown), error.end


def copy(file: IO[bytes]) -> None:
    """Copy a binary file to standard output, as far as it can be written."""
    try:
        shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except OSError as error:
        if not isinstance(sys.stdout, Output):
            raise
        sys.stdout.drop(error)


def standard_streams() -> tuple[Output, Output]:
    """
    Replace standard output and standard error by streams that never fail.

    A terminal that lacks a character gets the nearest ASCII, or its code. A closed stream is opened on the null device,
    as a file opened later could otherwise get its descriptor, and printing would write to that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error("mica_lake", _nearest_ascii)
    outputs = Output(_lenient(sys.stdout, 1)), Output(_lenient(sys.stderr, 2))
    sys.stdout, sys.stderr = outputs
    return outputs


def _lenient(stream: Any, number: int) -> TextIO:
    if stream is None:
        stream = os.fdopen(number, "w", encoding="utf-8", closefd=False)
    stream.reconfigure(errors="mica_lake")
    return stream  # type: ignore[no-any-return]
