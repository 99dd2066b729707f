"""The first binary table of a FITS file: its header parsed by astropy, its rows as they lie in the file."""

import itertools
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.errors import BadFile
from mica_lake.formats.gunzip import MAX_BYTES, decompress

_BLOCK = 2880
# The most of the first two headers together, if only they are read, and of each; those of the archive have 10 blocks.
_HEADER_BYTES = 40 * _BLOCK
# More rows, columns or bytes than any file has; astropy reads numbers of any size.
_MOST = 1 << 40
_END = b"END" + b" " * 77
_OF_COLUMNS = np.array([b"TTYPE", b"TFORM", b"TDIM", b"TZERO", b"TSCAL"])
_OF_TABLE = (b"TFIELDS", b"NAXIS1", b"NAXIS2")
# How many bits a value of each form takes in a row.
_BITS = {
    "L": 8, "X": 1, "B": 8, "I": 16, "J": 32, "K": 64, "A": 8, "E": 32, "D": 64, "C": 64, "M": 128, "P": 64, "Q": 128
}  # fmt: skip
# Printable characters stay, all others become ?.
_ASCII = bytes(n if 32 <= n < 127 else ord("?") for n in range(256))
_TYPES = {"D": ">f8", "E": ">f4", "J": ">i4", "I": ">i2", "B": "u1", "A": "S", "K": ">i8", "L": "i1"}


@dataclass(frozen=True)
class Layout:
    """
    The columns of a binary table.

    `dtype` is a row as it lies in the file, big-endian and packed, with names in upper case. `forms` has the TFORM of
    each column, `zeros` the TZERO of those that have one, and `odd` the reason why a column cannot be read, for those
    that cannot: their bytes are skipped.
    """

    dtype: np.dtype[np.void]
    forms: dict[str, str]
    zeros: dict[str, float]
    odd: dict[str, str]


@dataclass(frozen=True)
class BinTable:
    """A binary table: the header keywords asked for, the columns, and the rows (None if only the header was read)."""

    header: fits.Header
    layout: Layout
    rows: NDArray[np.void] | None


def read(content: bytes, keywords: Collection[str], *, header_only: bool = False) -> BinTable:
    """
    Read the first binary table of a FITS file, gzipped or not, with these keywords of its header.

    A `BadFile` says so if there is no binary table in the first extension, or its header or rows are damaged.
    """
    data = decompress(content, _HEADER_BYTES if header_only else MAX_BYTES, start_only=header_only)
    start, stop = _table_header(data)
    cards = np.frombuffer(data, "S80", (stop - start) // 80, start)
    names = cards.astype("S8")
    of_columns = np.isin(names.astype("S5"), _OF_COLUMNS) | np.isin(names.astype("S4"), _OF_COLUMNS)
    wanted = np.isin(np.char.rstrip(names), [*map(str.encode, keywords), *_OF_TABLE])
    try:
        header = fits.Header.fromstring(_text(cards[wanted]))
        list(header.values())  # each is parsed when asked for, which may fail
        layout = _layout(_text(cards[of_columns]), count_in(header, "TFIELDS"))
        width, count = count_in(header, "NAXIS1"), count_in(header, "NAXIS2")
    except BadFile:
        raise
    except Exception as error:  # astropy raises many kinds for damaged cards
        raise BadFile(f"its header is damaged ({type(error).__name__}: {error})") from None
    if width != layout.dtype.itemsize:
        raise BadFile(f"its header is damaged (NAXIS1 is {width}, the columns take {layout.dtype.itemsize} bytes)")
    if header_only:
        return BinTable(header, layout, None)
    check_whole(data, header)
    return BinTable(header, layout, np.frombuffer(data, layout.dtype, count, stop))


def read_header(content: bytes, keywords: Collection[str]) -> tuple[fits.Header, str]:
    """
    Read the whole header of the first binary table of a FITS file; returns it, and its cards as lines of text.

    The cards of `keywords` must not be damaged. Others are kept as they are, with ? for what is not ASCII.
    """
    data = decompress(content, _HEADER_BYTES, start_only=True)
    start, stop = _table_header(data)
    text = data[start:stop].translate(_ASCII).decode("ascii")
    try:
        header = fits.Header.fromstring(text)
        for keyword in keywords:
            if keyword in header:
                header.cards[keyword].verify("exception")
                if "?" in str(header[keyword]):
                    raise BadFile(f"its header has a {keyword} that is not ASCII: {header[keyword]!r}")
        cards = (text[at : at + 80] for at in range(0, len(text), 80))
        return header, "\n".join(itertools.takewhile(lambda card: card != "END".ljust(80), cards))
    except BadFile:
        raise
    except Exception as error:  # astropy raises many kinds for damaged cards
        raise BadFile(f"its header is damaged ({type(error).__name__}: {error})") from None


def count_in(header: fits.Header, keyword: str) -> int:
    """The value of a keyword such as NAXIS2, which must be an integer, not negative, and plausible."""
    value = header.get(keyword)
    if type(value) is not int or not 0 <= value <= _MOST:
        raise BadFile(f"its header is damaged ({keyword} is {value!r})")
    return value


def check_whole(data: bytes, header: fits.Header) -> None:
    """Refuse a file (not gzipped) that ends before the rows of its first binary table do."""
    width, count = count_in(header, "NAXIS1"), count_in(header, "NAXIS2")
    size = len(data) - _table_header(data)[1]
    if size < width * count:
        raise BadFile(f"it is truncated: it should have {count} rows of {width} bytes, but has {size} bytes")


def header_end(data: bytes, start: int = 0) -> int:
    """Where the header that begins at `start` ends, in whole blocks; at most 40 of them are searched."""
    position, last = start, min(len(data), start + _HEADER_BYTES)
    while (position := data.find(_END, position, last)) >= 0:
        if (position - start) % 80 == 0:
            stop = start + -(-(position + 80 - start) // _BLOCK) * _BLOCK
            if stop <= len(data):
                return stop
            break
        position += 1
    raise BadFile("its header has no end")


def _table_header(data: bytes) -> tuple[int, int]:
    """Where the header of the first table begins and ends."""
    if not data.startswith(b"SIMPLE  ="):
        raise BadFile("it is not a FITS file")
    start = header_end(data, 0)
    if data[start : start + 20] != b"XTENSION= 'BINTABLE'":
        raise BadFile("its first extension is not a binary table")
    return start, header_end(data, start)


def _text(cards: NDArray[np.bytes_]) -> bytes:
    return b"".join(card.ljust(80) for card in cards.tolist())


@lru_cache(maxsize=256)
def _layout(cards: bytes, fields: int) -> Layout:
    header = fits.Header.fromstring(cards)
    dtype: list[tuple[str, str, tuple[int, ...]]] = []
    forms: dict[str, str] = {}
    zeros: dict[str, float] = {}
    odd: dict[str, str] = {}
    for number in range(1, fields + 1):
        # In FITS, names of columns are not case-sensitive, and blanks at their end do not count.
        name = str(header.get(f"TTYPE{number}", "")).strip().upper() or f"#{number}"
        form = str(header[f"TFORM{number}"]).strip()
        match = re.fullmatch(r"(\d*)([A-Z])(.*)", form)
        if match is None or match[2] not in _BITS:
            raise BadFile(f"column {name} has an unexpected form: {form}")
        if name in forms:
            odd[name] = "occurs twice"
            name = f"{name}#{number}"
        repeat = int(match[1] or 1)
        forms[name] = match[2]
        try:
            if match[2] not in _TYPES or match[3]:
                raise BadFile(f"has an unexpected form: {form}")
            dtype.append(_field(header, number, name, match[2], repeat))
            if f"TZERO{number}" in header:
                zeros[name] = float(header[f"TZERO{number}"])
        except Exception as error:  # astropy raises many kinds for damaged cards
            odd.setdefault(name, str(error) if isinstance(error, BadFile) else f"has damaged cards: {error}")
            dtype[number - 1 :] = [(name, f"V{-(-repeat * _BITS[match[2]] // 8)}", ())]
    return Layout(np.dtype(dtype), forms, zeros, odd)


def _field(header: fits.Header, number: int, name: str, form: str, repeat: int) -> tuple[str, str, tuple[int, ...]]:
    """A column as a field of a numpy dtype."""
    if header.get(f"TSCAL{number}", 1) != 1:
        raise BadFile(f"has an unexpected scale: {header[f'TSCAL{number}']}")
    if form == "A":
        return name, f"S{repeat}", ()
    shape = str(header.get(f"TDIM{number}", "")).strip("() ")
    axes = tuple(int(n) for n in reversed(shape.split(","))) if shape else ()
    if axes and int(np.prod(axes)) != repeat:
        raise BadFile(f"has an unexpected shape: {header[f'TFORM{number}']}, TDIM ({shape})")
    return name, _TYPES[form], axes or ((repeat,) if repeat != 1 else ())
