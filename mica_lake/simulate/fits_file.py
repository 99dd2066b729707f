"""Write FITS files: header cards, checksums and binary tables, with no more than the simulators need."""

import math
from collections.abc import Mapping

import numpy as np

Cards = list[tuple[str, object, str]]
"""Keyword, value and comment of each card; a card without a value is left out."""

Column = tuple[str, str, tuple[int, int] | None]
"""Comment, unit, and least and greatest legal value of a column."""

_FORMATS = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "u2": "I", "u1": "B"}


def _card(key: str, value: object, comment: str = "") -> str:
    """One header card of 80 characters."""
    if isinstance(value, np.generic):
        value = value.item()
    if key in ("COMMENT", "HISTORY"):
        return f"{key:<8}{value}".ljust(80)[:80]
    if isinstance(value, bool):
        text = "T" if value else "F"
    elif isinstance(value, str):
        text = "'{:<8}'".format(value.replace("'", "''"))
    elif isinstance(value, int | float) and math.isfinite(value):
        text = repr(value).upper()
    else:
        raise ValueError(f"{key} {value!r} cannot be written to a FITS header: give a str, a bool or a finite number")
    if len(key) > 8 or len(text) > 70:
        raise ValueError(f"{key} {value!r} is too long for a FITS header card")
    text = f"{text:<20}" if isinstance(value, str) else f"{text:>20}"
    return f"{key:<8}= {text} / {comment}".ljust(80)[:80]


def _sum32(data: bytes) -> int:
    """The ones' complement sum of the FITS checksum convention."""
    total = int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _checksum(total: int) -> str:
    """Encode the complement of a sum in sixteen letters and digits, by the FITS checksum convention."""
    columns = []
    for byte in (~total & 0xFFFFFFFF).to_bytes(4, "big"):
        quotient, remainder = divmod(byte, 4)
        four = [48 + quotient + remainder, 48 + quotient, 48 + quotient, 48 + quotient]
        for a, b in ((0, 1), (2, 3)):
            # One goes up and the other down, so that the sum is the same.
            while {four[a], four[b]} & set(b":;<=>?@[\\]^_`"):
                four[a] += 1
                four[b] -= 1
        columns.append(four)
    text = "".join(chr(four[j]) for j in range(4) for four in columns)
    return text[-1] + text[:-1]


def header(cards: Cards, overrides: Mapping[str, object], data: bytes) -> tuple[bytes, str]:
    """The blocks of a header with these cards and checksums, and its CHECKSUM."""
    chosen = [(key, overrides.get(key, value), comment) for key, value, comment in cards]
    given = {key for key, _, _ in cards}
    chosen += [(key, value, "") for key, value in overrides.items() if key not in given]
    total = _sum32(data)
    lines = [_card(*card) for card in chosen if card[1] is not None]
    lines += [_card("DATASUM", str(total), "sum of the data blocks"), _card("CHECKSUM", "0" * 16, "sum of the HDU")]
    text = "".join([*lines, "END".ljust(80)])
    text = text.ljust(_whole_blocks(len(text)))
    checksum = _checksum(_sum32(text.encode("ascii") + total.to_bytes(4, "big")))
    return text.replace("'" + "0" * 16 + "'", f"'{checksum}'").encode("ascii"), checksum


def padded(data: bytes) -> bytes:
    """The data, filled up with zeros to whole FITS blocks."""
    return data.ljust(_whole_blocks(len(data)), b"\0")


def _whole_blocks(size: int) -> int:
    return -(-size // 2880) * 2880


def table(columns: Mapping[str, np.ndarray], about: Mapping[str, Column]) -> tuple[np.ndarray, Cards]:
    """The rows as a FITS file has them (big-endian, unsigned numbers with an offset), and the cards of the columns."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns of lengths {lengths} do not make a table: give one or more, all of the same length")
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    cards: Cards = []
    for i, (name, column) in enumerate(columns.items(), 1):
        kind, width = column.dtype.str[1:], math.prod(column.shape[1:])
        if kind[0] == "S":
            form, stored = f"{width * column.dtype.itemsize}A", kind
        elif kind in _FORMATS:
            form, stored = f"{width}{_FORMATS[kind]}", ">" + kind.replace("u2", "i2")
        else:
            raise ValueError(f"column {name} of dtype {column.dtype} cannot be stored in a FITS table")
        comment, unit, limits = about.get(name, ("", "", None))
        cards += [(f"TTYPE{i}", name, comment), (f"TFORM{i}", form, "format of the data")]
        if unit:
            cards += [(f"TUNIT{i}", unit, "unit")]
        if limits:
            cards += [(f"TLMIN{i}", limits[0], "least legal value"), (f"TLMAX{i}", limits[1], "greatest legal value")]
        if kind == "u2":
            cards += [(f"TZERO{i}", 32768, "offset of unsigned integers"), (f"TSCAL{i}", 1, "not scaled")]
        if column.ndim > 2:
            cards += [(f"TDIM{i}", f"({','.join(map(str, column.shape[:0:-1]))})", "shape of the array")]
        fields.append((name, stored, column.shape[1:]))
    rows = np.empty(next(iter(lengths.values())), fields)
    for name, column in columns.items():
        rows[name] = (column ^ 0x8000).view("i2") if column.dtype == np.uint16 else column
    return rows, cards
