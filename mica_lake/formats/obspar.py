"""Observation parameters: what a file ``axaff*_obs0a.par[.gz]`` holds."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from mica_lake.errors import BadFile
from mica_lake.formats.gunzip import decompress

# A file has some 300 parameters in 30 kB; each is a column of the table `obspar`.
LARGEST, MOST_PARAMETERS = 1 << 22, 2000
TYPES = {"s": str, "i": int, "r": float}
# Name, type, mode and value are needed; minimum, maximum and description may be missing.
_NEEDED, _FIELDS = 4, 7
# A row whose description has quotes that are not doubled: it ends with the last quote before minimum and maximum.
_QUOTES = re.compile(r'([^",]+),([^",]*),([^",]*),"(.*)",([^",]*),([^",]*),"?([^"]*)"?')
_CCD_ON = re.compile(r"ccd[is]\d_on", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name with ``_`` for ``-``, type s, i or r, and value as written (None for an empty number)."""

    name: str
    type: str
    value: str | None
    description: str

    @property
    def typed(self) -> str | int | float | None:
        """The value, as str, int or float."""
        return typed(self.type, self.value)


def typed(type_: str, value: str | None) -> str | int | float | None:
    """The value of a parameter of type s, i or r, as str, int or float."""
    return None if value is None else TYPES[type_](value)


def read(content: bytes) -> list[Parameter]:
    """
    Read the parameters in an obspar file.

    Parameters
    ----------
    content : bytes
        The file as stored, gzipped or not.

    Returns
    -------
    list of Parameter
        Its parameters, in order. Bytes that are not UTF-8 are replaced by U+FFFD. If a parameter occurs more than
        once, the last one counts.

    Raises
    ------
    BadFile
        If a name, type or value cannot be made out, or a value is not of its type.

    Examples
    --------
    >>> read(b'date-obs,s,h,"2024:001",,,"Start"')[0].name
    'date_obs'
    """
    found = []
    for number, row in enumerate(_csv(decompress(content, LARGEST).decode("utf-8-sig", "replace")), 1):
        if not row or row[0].startswith("#"):
            continue
        if not _NEEDED <= len(row) <= _FIELDS:
            raise BadFile(f"row {number} has {len(row)} fields, not {_FIELDS}: {','.join(row)!r}")
        name, type_, _, value, _, _, description = [*row, "", "", ""][:_FIELDS]
        if "\ufffd" in name:
            raise BadFile(f"row {number}: its name has bytes that are not UTF-8: {name!r}")
        if type_ not in TYPES:
            raise BadFile(f"row {number}, {name}: type {type_!r} is not s, i or r")
        parameter = Parameter(name.replace("-", "_"), type_, value if value or type_ == "s" else None, description)
        try:
            number_64 = parameter.typed
            if type_ == "i" and number_64 is not None and not -(2**63) <= int(number_64) < 2**63:
                raise ValueError
        except ValueError:
            kind = "an integer" if type_ == "i" else "a real number"
            raise BadFile(f"row {number}, {name}: {value!r} is not {kind}") from None
        found.append(parameter)
        if len(found) > MOST_PARAMETERS:
            raise BadFile(f"it has more than {MOST_PARAMETERS} parameters")
    return found


def num_ccd_on(values: Mapping[str, Any]) -> int:
    """How many CCDs of ACIS are on, by the parameters ``ccdi0_on`` and so on."""
    return sum(value == "Y" for name, value in values.items() if _CCD_ON.fullmatch(name))


def _csv(text: str) -> list[list[str]]:
    """Split a file into rows; if it is not valid CSV, line by line, allowing for quotes that are not doubled."""
    try:
        return list(csv.reader(StringIO(text, newline=""), strict=True))
    except csv.Error:
        return [_line(number, line) for number, line in enumerate(re.split("\r\n|\r|\n", text), 1)]


def _line(number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        match = _QUOTES.fullmatch(line)
        if match is None:
            raise BadFile(f"row {number} is not valid CSV: {error}") from None
        return [field.replace('""', '"') for field in match.groups()]
