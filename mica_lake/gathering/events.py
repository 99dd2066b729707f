"""When an observation's star acquisition, guiding and Kalman filter began and ended, from telemetry."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mica_lake.gathering.telemetry import Bools, Floats, Telemetry, plain

#: Seconds after its start within which a dwell may begin anew.
_SETTLING = 400.0


@dataclass(frozen=True)
class Dwell:
    """
    An interval of the Kalman filter.

    Attributes
    ----------
    start, stop : float
        Its first and its last sample, CXC seconds.
    """

    start: float
    stop: float


@dataclass(frozen=True)
class Maneuver:
    """
    A maneuver, and what follows it until the next; a time that is not in the telemetry is None.

    Attributes
    ----------
    start : float or None
        Its first sample with AOFATTMD MNVR, CXC seconds; None if the telemetry begins within it.
    stop : float
        Its last one.
    acq_start, guide_start, kalman_start : float or None
        The first sample after it at which AOACASEQ changes to AQXN, GUID, KALM.
    npnt_stop : float or None
        The first sample from kalman_start on (guide_start, acq_start without one) whose AOPCADMD is not NPNT.
    next_start : float or None
        First sample of the next maneuver.
    n_acq, n_guide, n_kalman : int
        How often AOACASEQ changes to AQXN, GUID, KALM before the next maneuver.
    dwells : tuple of Dwell
        The intervals of the Kalman filter.
    """

    start: float | None
    stop: float
    acq_start: float | None
    guide_start: float | None
    kalman_start: float | None
    npnt_stop: float | None
    next_start: float | None
    n_acq: int
    n_guide: int
    n_kalman: int
    dwells: tuple[Dwell, ...]


def events_of(telemetry: Telemetry) -> list[Maneuver]:
    """
    The maneuvers of some telemetry, each with what follows it.

    Parameters
    ----------
    telemetry : mapping of str to numpy.ndarray
        TIME, AOACASEQ, AOPCADMD and AOFATTMD of samples in order of time, and perhaps `bad`: bad samples are left out.

    Returns
    -------
    list of Maneuver
        Those that end in it, in order of time.

    Examples
    --------
    >>> seq = np.array(["KALM", "KALM", "AQXN", "GUID", "KALM", "KALM", "KALM"])
    >>> mode = np.array(["NMAN", "NMAN", "NPNT", "NPNT", "NPNT", "NPNT", "NMAN"])
    >>> att = np.array(["MNVR", "STDY", "STDY", "STDY", "STDY", "STDY", "MNVR"])
    >>> found = events_of({"TIME": np.arange(7.0), "AOACASEQ": seq, "AOPCADMD": mode, "AOFATTMD": att})
    >>> [(one.stop, one.acq_start, one.guide_start, one.kalman_start, one.npnt_stop, one.dwells) for one in found]
    [(0.0, 2.0, 3.0, 4.0, 6.0, (Dwell(start=4.0, stop=5.0),))]
    """
    names = ("TIME", "AOACASEQ", "AOPCADMD", "AOFATTMD")
    good = ~np.asarray(telemetry["bad"], bool) if "bad" in telemetry else slice(None)
    times, seq, mode, moving = (plain(np.asarray(telemetry[name])[good]) for name in names)
    starts, stops = _runs(moving == b"MNVR")
    found = []
    for n, stop in enumerate(stops):
        last = starts[n + 1] if n + 1 < len(starts) else len(times)
        if stop < len(times):  # otherwise it goes on
            found.append(_maneuver(times, seq, mode, int(starts[n]), int(stop), int(last)))
    return found


def _runs(is_so: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each run of what is so starts, and where it has ended."""
    steps = np.diff(is_so.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)


def _maneuver(
    times: Floats, seq: NDArray[np.bytes_], mode: NDArray[np.bytes_], start: int, stop: int, last: int
) -> Maneuver:
    """A maneuver of the samples from `start` to below `stop`, followed by those to below `last`."""
    changed = np.concatenate([[False], seq[1:] != seq[:-1]])
    changes = {
        name: stop + np.flatnonzero((changed & (seq == name))[stop:last]) for name in (b"AQXN", b"GUID", b"KALM")
    }
    first = {name: int(places[0]) if len(places) else None for name, places in changes.items()}
    # Normal pointing ends in the first sample of another mode after the latest of these that there is.
    since = next((place for name in (b"KALM", b"GUID", b"AQXN") if (place := first[name]) is not None), stop)
    elsewhere = since + np.flatnonzero(mode[since:] != b"NPNT")

    def at(place: int | None) -> float | None:
        return None if place is None else float(times[place])

    return Maneuver(
        start=float(times[start]) if start else None,
        stop=float(times[stop - 1]),
        acq_start=at(first[b"AQXN"]),
        guide_start=at(first[b"GUID"]),
        kalman_start=at(first[b"KALM"]),
        npnt_stop=at(int(elsewhere[0]) if len(elsewhere) else None),
        next_start=at(last if last < len(times) else None),
        n_acq=len(changes[b"AQXN"]),
        n_guide=len(changes[b"GUID"]),
        n_kalman=len(changes[b"KALM"]),
        dwells=_dwells(times, changes[b"KALM"], np.flatnonzero(changed), np.flatnonzero(mode == b"NMAN"), last),
    )


def _dwells(
    times: Floats, kalman: NDArray[np.int64], changes: NDArray[np.int64], maneuvering: NDArray[np.int64], last: int
) -> tuple[Dwell, ...]:
    """The intervals that begin at the places where the Kalman filter starts; one of the last 400 s moves a start."""
    found: list[Dwell] = []
    # A change within a maneuver begins nothing.
    kalman = kalman[~np.isin(kalman, maneuvering)]
    place = 0
    while place < len(kalman):
        begin = int(kalman[place])
        ends = maneuvering[maneuvering >= begin][:1].tolist()
        end = min([*ends, last])
        while (
            place + 1 < len(kalman) and kalman[place + 1] < end and times[kalman[place + 1]] - times[begin] < _SETTLING
        ):
            place += 1
            begin = int(kalman[place])
        later = changes[(changes > begin) & (changes < end)]
        later = later[times[later] - times[begin] > _SETTLING]
        end = min([end, *later[:1].tolist()])
        found.append(Dwell(float(times[begin]), float(times[end - 1])))
        place += 1
        while place < len(kalman) and kalman[place] < end:
            place += 1
    return tuple(found)
