"""When the replicas of a dark current calibration were taken, and how warm the CCD was."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mica_lake.archive.aca_hdr3 import Msid
from mica_lake.errors import LakeError, MissingDataError
from mica_lake.formats.dark_tables import Telemetry
from mica_lake.times import cxcsec, day_start, utc, utc_day

_DAY = 86400.0
# A stretch of CIUMACAC = ON is a replica if it is as long as this; with less between them, they are of one calibration.
_LEAST, _APART = 300.0, _DAY
# The replicas that are listed begin in this time around the start.
_BEFORE, _AFTER = 0.5 * _DAY, 1.0 * _DAY
# How far the day in the names of the files may be from the calibration.
_OFF = 2.0 * _DAY

# Until then the temperature is not known, and this is it (°C).
_KNOWN, _GUESS = cxcsec("2000:001"), -10.0
_AROUND, _FEWEST = 600.0, 4
_PARABOLA, _FEWEST_OF_PARABOLA = 20000.0, 100


@dataclass(frozen=True)
class Event:
    """A calibration: its start and stop, and those of its replicas by their number, CXC seconds."""

    start: float
    stop: float
    replicas: dict[int, tuple[float, float]]


def event_in(telemetry: Telemetry, day: date) -> Event:
    """The calibration of a day, by CIUMACAC."""
    stretches = [s for s in _stretches(telemetry.dump_times, telemetry.dumping) if s[1] - s[0] >= _LEAST]
    calibrations: list[list[tuple[float, float]]] = []
    for stretch in stretches:
        if calibrations and stretch[0] - calibrations[-1][-1][1] <= _APART:
            calibrations[-1].append(stretch)
        else:
            calibrations.append([stretch])
    near = [one for one in calibrations if abs(one[0][0] - day_start(day)) <= _OFF]
    if not near:
        others = ", ".join(utc(one[0][0])[:8] for one in calibrations) or "none"
        raise MissingDataError(
            f"the telemetry has no calibration of {day:%Y:%j}: no CIUMACAC = ON of {_LEAST:g} s or more then; there are"
            f" {others}"
        )
    chosen = min(near, key=lambda one: abs(one[0][0] - day_start(day)))
    start = chosen[0][0]
    listed = [stretch for stretch in chosen if start - _BEFORE <= stretch[0] <= start + _AFTER]
    return Event(start, chosen[-1][1], dict(enumerate(listed, 1)))


def event_of(intervals: Mapping[int, tuple[float, float]], day: date) -> Event:
    """The calibration of a day by the times in the headers of its replicas."""
    starts, stops = zip(*intervals.values(), strict=True)
    for replica, (start, _) in intervals.items():
        if start - min(starts) > _AFTER or abs(start - day_start(day)) > _OFF:
            raise ValueError(
                f"replica {replica} is of {utc(start)} by TSTART in its header; the calibration is of {day:%Y:%j} by"
                f" the names of its files, and begins at {utc(min(starts))}: give --temps with a file that has CIUMACAC"
            )
    return Event(min(starts), max(stops), dict(sorted(intervals.items())))


def _stretches(times: NDArray[np.float64], on: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Where a state is on: from the first time that it is to the first that it is no more, or to the last of all."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], on]).astype(np.int8)))
    ends = [*changes.tolist(), *([len(on) - 1] if len(changes) % 2 else [])]
    return [(float(times[a]), float(times[b])) for a, b in list(pairwise(ends))[::2]]


def temperature(
    start: float, stop: float, data_root: str | os.PathLike[str] | None, telemetry: Telemetry | None
) -> tuple[float, str]:
    """The temperature of the CCD (°C) during a replica, and where it is from."""
    if start < _KNOWN:
        return _GUESS, "GUESS"
    found = _hdr3(start - _AROUND, stop + _AROUND, data_root, telemetry is None)
    if len(found) > _FEWEST:
        return float(np.mean(found)), "HDR3"
    middle = (start + stop) / 2
    said = f"table hdr3 has {len(found)} good values of ccd_temp within {_AROUND:g} s of it"
    if telemetry is None:
        raise MissingDataError(
            f"the temperature of the replica at {utc(start)} is not known: {said}, more than {_FEWEST} are needed; "
            "give --temps with a file that has AACCCDPT, or ingest aca_l0 of that day first"
        )
    near = abs(telemetry.temperature_times - middle) <= _PARABOLA
    if near.sum() <= _FEWEST_OF_PARABOLA:
        raise MissingDataError(
            f"the temperature of the replica at {utc(start)} is not known: {said}, and the telemetry has {near.sum()}"
            f" of AACCCDPT within {_PARABOLA:g} s, where more than {_FEWEST_OF_PARABOLA} are needed"
        )
    coefficients = np.polyfit(telemetry.temperature_times[near] - middle, telemetry.temperatures[near], 2)
    return float(coefficients[-1]), "AACCCDPT"


def _hdr3(start: float, stop: float, data_root: str | os.PathLike[str] | None, needed: bool) -> NDArray[np.float64]:
    """The good values of ccd_temp; none if there is no lake and it is not needed."""
    try:
        values: NDArray[np.float64] = Msid("ccd_temp", start, stop, data_root=data_root).vals
        return values
    except LakeError:
        if needed:
            raise
        return np.empty(0)


def day_of(days: Sequence[date]) -> date:
    """The day of a calibration, from the names of its files."""
    first, last = min(days), max(days)
    if (last - first).days * _DAY > _OFF:
        raise ValueError(f"the replicas are of {first:%Y:%j} and of {last:%Y:%j}: give those of one calibration")
    return first


def id_of(start: float) -> str:
    """The id of the calibration that begins then."""
    return f"{utc_day(start):%Y%j}"
