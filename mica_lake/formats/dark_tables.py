"""What the processing of a dark current calibration is given beside replicas: telemetry, and the zodiacal light."""

import csv
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.errors import BadFile, MissingDataError
from mica_lake.formats.on_disk import escaped, read
from mica_lake.times import cxcsec

_LARGEST = 1 << 27
#: The properties of a calibration that its pointing gives, as zodi.csv has them.
POINTING = ("ra", "dec", "el", "eb", "sun_el", "zodib")


@dataclass(frozen=True)
class Telemetry:
    """
    Telemetry of a dark current calibration, by time.

    Attributes
    ----------
    dump_times, dumping : array
        Times (CXC seconds), and whether CIUMACAC, that the camera's memory is read, is ON.
    temperature_times, temperatures : array
        Times (CXC seconds), and AACCCDPT, the temperature of the CCD (°C).
    """

    dump_times: NDArray[np.float64]
    dumping: NDArray[np.bool_]
    temperature_times: NDArray[np.float64]
    temperatures: NDArray[np.float64]


def read_telemetry(path: str | os.PathLike[str]) -> Telemetry:
    """
    Telemetry from a CSV file.

    Parameters
    ----------
    path : path
        Its columns are time (CXC seconds, or a date), CIUMACAC (ON or OFF) and AACCCDPT (°C), of which one may be
        absent. A field is empty where there is no value at that time. Other columns are ignored, and the rows may be in
        any order.

    Returns
    -------
    Telemetry
        The values, by time.

    Raises
    ------
    BadFile
        If it is no such file.
    """
    states: list[tuple[float, bool]] = []
    values: list[tuple[float, float]] = []
    for where, row in _rows(path, ("time",)):
        time = _value(row["time"], "time", _time, "CXC seconds or a date", where)
        if state := row.get("CIUMACAC"):
            states.append((time, _value(state, "CIUMACAC", {"ON": True, "OFF": False}.__getitem__, "ON or OFF", where)))
        if value := row.get("AACCCDPT"):
            values.append((time, _value(value, "AACCCDPT", _number, "a temperature in °C", where)))
    dumps, temperatures = (np.array(sorted(pairs), dtype=np.float64).reshape(-1, 2).T for pairs in (states, values))
    return Telemetry(dumps[0], dumps[1] == 1, *temperatures)


def read_pointing(path: str | os.PathLike[str], date: str) -> dict[str, float]:
    """
    The pointing of a calibration, and the zodiacal light there, from a CSV file.

    Parameters
    ----------
    path : path
        ``zodi.csv``: its columns are date (``YYYY:DDD``), ra, dec, el and eb (ecliptic longitude and latitude), sun_el,
        and zodib.
    date : str
        The day, ``YYYY:DDD``.

    Returns
    -------
    dict
        The columns but the date, and ``l_l0``, which is el - sun_el.

    Raises
    ------
    MissingDataError
        If it lacks the day.
    BadFile
        If it is no such file.
    """
    days = []
    for where, row in _rows(path, ("date", *POINTING)):
        days.append(row["date"][:8])
        if days[-1] == date:
            found = {name: _value(row[name], name, _number, "a number", where) for name in POINTING}
            return found | {"l_l0": found["el"] - found["sun_el"]}
    has = f"it has {len(days)} from {min(days)} to {max(days)}" if days else "it has none"
    raise MissingDataError(f"{escaped(path)}: there is no day {date}; {has}")


def _rows(path: str | os.PathLike[str], needed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with these columns, each with the words that name it."""
    try:
        lines = read(path, _LARGEST).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadFile(f"{escaped(path)}: it is not text: {error}") from None
    except BadFile as error:
        raise BadFile(f"{escaped(path)}: {error}") from None
    reader = csv.DictReader(lines, skipinitialspace=True)
    lacks = [name for name in needed if name not in (reader.fieldnames or ())]
    if lacks:
        raise BadFile(f"{escaped(path)}: its first line names no column {', '.join(lacks)}")
    for row in reader:
        yield f"{escaped(Path(path))}, line {reader.line_num}", {name: row[name] or "" for name in row if name}


def _value(text: str, name: str, kind: Callable[[str], Any], should: str, where: str) -> Any:
    try:
        return kind(text.strip())
    except (ValueError, KeyError):
        raise BadFile(f"{where}: {name} {text!r} is not {should}") from None


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _time(text: str) -> float:
    try:
        return _number(text)
    except ValueError:
        return cxcsec(text)
