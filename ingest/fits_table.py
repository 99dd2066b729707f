"""The first binary table of a FITS file: its header by astropy, its rows as they lie in the file."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.errors import BadFile
from mica_lake.gunzip import MAX_BYTES, decompress

_BLOCK = 2880
# Of the first two headers together, where only they are read; and of each. Those of the archive have 10 blocks.
_HEADER_BYTES = 40 * _BLOCK
# Rows, columns or bytes that no file has; astropy reads numbers of any size.
_MOST = 1 << 40
_END = b"END" + b" " * 77
_OF_COLUMNS = np.array([b"TTYPE", b"TFORM", b"TDIM", b"TZERO", b"TSCAL"])
_OF_TABLE = (b"TFIELDS", b"NAXIS1", b"NAXIS2")
_TYPES = {"D": ">f8", "E": ">f4", "J": ">i4", "I": ">i2", "B": "u1", "A": "S", "K": ">i8", "L": "i1"}


@dataclass(frozen=True)
class Layout:
    """
    The columns of a binary table.

    Attributes
    ----------
    dtype : numpy.dtype
        A row, big-endian, packed, as it lies in the file.
    forms : dict
        TFORM of each column.
    zeros : dict
        TZERO of each column that has one.
    """

    dtype: np.dtype[np.void]
    forms: dict[str, str]
    zeros: dict[str, float]


@dataclass(frozen=True)
class BinTable:
    """
    A binary table as read.

    Attributes
    ----------
    header : astropy.io.fits.Header
        Of its header, the keywords asked for.
    layout : Layout
        Its columns.
    rows : numpy.ndarray or None
        Its rows, of ``layout.dtype``; None if only the header was asked for.
    """

    header: fits.Header
    layout: Layout
    rows: NDArray[np.void] | None


def read(content: bytes, keywords: Collection[str], *, header_only: bool = False) -> BinTable:
    """
    The first binary table of a FITS file.

    Parameters
    ----------
    content : bytes
        The file as it is stored.
    keywords : collection of str
        What is wanted of its header, of up to eight characters.
    header_only : bool
        Whether its header is enough.

    Returns
    -------
    BinTable
        The table.

    Raises
    ------
    BadFile
        If it is no FITS file, has no binary table as its first extension, or its header or rows are damaged.
    """
    data = decompress(content, _HEADER_BYTES if header_only else MAX_BYTES, start_only=header_only)
    start, stop = _table_header(data)
    cards = np.frombuffer(data, "S80", (stop - start) // 80, start)
    names = cards.astype("S8")
    of_columns = np.isin(names.astype("S5"), _OF_COLUMNS) | np.isin(names.astype("S4"), _OF_COLUMNS)
    wanted = np.isin(np.char.rstrip(names), [*map(str.encode, keywords), *_OF_TABLE])
    try:
        header = fits.Header.fromstring(_text(cards[wanted]))
        list(header.values())  # each is parsed when it is asked for, and not all can be
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


def read_header(content: bytes) -> fits.Header:
    """
    The whole header of the first binary table of a FITS file.

    Parameters
    ----------
    content : bytes
        The file as it is stored.

    Returns
    -------
    astropy.io.fits.Header
        The header.

    Raises
    ------
    BadFile
        If it is no FITS file, has no binary table as its first extension, or its header is damaged.
    """
    data = decompress(content, _HEADER_BYTES, start_only=True)
    start, stop = _table_header(data)
    try:
        header = fits.Header.fromstring(data[start:stop])
        for card in header.cards:
            card.verify("exception")
        return header
    except Exception as error:  # astropy raises many kinds for damaged cards
        raise BadFile(f"its header is damaged ({type(error).__name__}: {error})") from None


def count_in(header: fits.Header, keyword: str) -> int:
    """
    How many of something a header says that there are.

    Parameters
    ----------
    header : astropy.io.fits.Header
        The header.
    keyword : str
        Such as NAXIS2.

    Returns
    -------
    int
        The number.

    Raises
    ------
    BadFile
        If there is no such number, or it is not whole, negative, or beyond any file.
    """
    value = header.get(keyword)
    if type(value) is not int or not 0 <= value <= _MOST:
        raise BadFile(f"its header is damaged ({keyword} is {value!r})")
    return value


def check_whole(data: bytes, header: fits.Header) -> None:
    """
    Refuse a file that ends before the rows of its first binary table do.

    Parameters
    ----------
    data : bytes
        The file, not gzipped.
    header : astropy.io.fits.Header
        Header of the table.

    Raises
    ------
    BadFile
        If not all rows that the header announces are there.
    """
    width, count = count_in(header, "NAXIS1"), count_in(header, "NAXIS2")
    there = len(data) - _table_header(data)[1]
    if there < width * count:
        raise BadFile(f"it is truncated: {count} rows of {width} bytes are announced, {there} bytes are there")


def header_end(data: bytes, start: int = 0) -> int:
    """
    Where a header ends.

    Parameters
    ----------
    data : bytes
        The file, not gzipped.
    start : int
        Where it begins.

    Returns
    -------
    int
        Its end, in whole blocks of 2880 bytes.

    Raises
    ------
    BadFile
        If it has no end within 40 blocks.
    """
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
    """Where the header of the first table starts and stops."""
    if not data.startswith(b"SIMPLE  ="):
        raise BadFile("it is no FITS file")
    start = header_end(data, 0)
    if data[start : start + 20] != b"XTENSION= 'BINTABLE'":
        raise BadFile("its first extension is no binary table")
    return start, header_end(data, start)


def _text(cards: NDArray[np.bytes_]) -> bytes:
    return b"".join(card.ljust(80) for card in cards.tolist())


@lru_cache(maxsize=256)
def _layout(cards: bytes, fields: int) -> Layout:
    header = fits.Header.fromstring(cards)
    dtype: list[tuple[str, str, tuple[int, ...]]] = []
    forms: dict[str, str] = {}
    zeros: dict[str, float] = {}
    for number in range(1, fields + 1):
        name, form = str(header[f"TTYPE{number}"]).strip(), str(header[f"TFORM{number}"]).strip()
        match = re.fullmatch(r"(\d*)([A-Z])", form)
        if match is None or match[2] not in _TYPES or name in forms:
            raise BadFile(f"column {name} has a form that is not expected: {form}")
        repeat = int(match[1] or 1)
        if match[2] == "A":
            dtype.append((name, f"S{repeat}", ()))
        else:
            shape = str(header.get(f"TDIM{number}", "")).strip("() ")
            axes = tuple(int(n) for n in reversed(shape.split(","))) if shape else ()
            dtype.append((name, _TYPES[match[2]], axes or ((repeat,) if repeat != 1 else ())))
            if axes and int(np.prod(axes)) != repeat:
                raise BadFile(f"column {name} has a shape that is not expected: {form}, TDIM ({shape})")
        forms[name] = match[2]
        if header.get(f"TSCAL{number}", 1) != 1:
            raise BadFile(f"column {name} has a scale that is not expected: {header[f'TSCAL{number}']}")
        if f"TZERO{number}" in header:
            zeros[name] = float(header[f"TZERO{number}"])
    return Layout(np.dtype(dtype), forms, zeros)
