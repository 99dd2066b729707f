"""Time ranges, names and intervals of values over time, as cheta's users give them."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.errors import MissingDataError
from mica_lake.times import RELATIVE_DAYS, cxcsec, interval, now

_DAY = 86400.0
# The launch, before which there are no data.
_LAUNCH = "1999:204"
_START_STOP = (("tstart", "tstop"), ("datestart", "datestop"), ("start", "stop"))


def _from_now(time: Any) -> Any:
    """A time; a number that is days before now, as CXC seconds."""
    if isinstance(time, str | int | float | np.number) and not isinstance(time, bool):
        try:
            days = float(time)
        except ValueError:
            return time
        if RELATIVE_DAYS <= days < 0:
            return now() + days * _DAY
    return time


def time_range(start: Any, stop: Any, days: float | None) -> tuple[float, float]:
    """
    CXC seconds of a start and a stop, as cheta's users give them.

    Negative numbers down to -36525 are days before now. A start of None is the launch, and a stop of None is now. Of
    start, stop and `days` of 86,400 s, any two are enough; `days` alone are the last ones.

    Examples
    --------
    >>> time_range("2024:001", None, days=1)
    (820454469.184, 820540869.184)
    """
    start, stop = _from_now(start), _from_now(stop)
    if days is None:
        return interval(_LAUNCH if start is None else start, stop)
    if not days > 0:
        raise ValueError(f"days {days!r} is not a positive number")
    if start is None:
        last = cxcsec(stop)
        return last - days * _DAY, last
    if stop is not None:
        raise ValueError("give two of start, stop and days, not all three")
    first = cxcsec(start)
    return first, first + days * _DAY


def expanded(asked: Iterable[str], names: Iterable[str]) -> list[str]:
    """
    Names, with those that match it in place of each pattern with ``*``, ``?`` or ``[...]``, in any case.

    Examples
    --------
    >>> expanded(["dac", "*TEMP"], ["dac", "ccd_temp", "aca_temp"])
    ['dac', 'ccd_temp', 'aca_temp']
    """
    found: list[str] = []
    for one in map(str, asked):
        if not set(one) & set("*?["):
            found.append(one)
            continue
        matching = [name for name in names if fnmatchcase(name.lower(), one.lower())]
        if not matching:
            raise MissingDataError(f"no name matches {one!r}")
        found += matching
    return found


def the_one(asked: str, names: Iterable[str]) -> str:
    """A name, or the only one that matches a pattern."""
    found = expanded([asked], names)
    if len(found) > 1:
        raise ValueError(f"{asked!r} matches {', '.join(found)}: an MSID is one of them, an MSIDset has them all")
    return found[0]


def lines_of(table: Any) -> Any:
    """Intervals of a file, or of lines, of a start and a stop each; other intervals as they are."""
    if isinstance(table, str | os.PathLike):
        table = Path(table).read_text(encoding="utf-8").splitlines()
    if isinstance(table, list | tuple) and all(isinstance(line, str) for line in table):
        words = [line.split("#")[0].split() for line in table]
        return [line for line in words if line]
    return table


def pairs_of(intervals: Any, between: tuple[str, str]) -> list[tuple[float, float]]:
    """CXC seconds of the intervals of a table, of pairs, or of events of kadi, which are asked for those `between`."""
    if callable(getattr(intervals, "intervals", None)):
        intervals = intervals.intervals(*between)
    names = getattr(intervals, "colnames", None) or getattr(getattr(intervals, "dtype", None), "names", None)
    if names is None:
        names = intervals if isinstance(intervals, Mapping) else getattr(intervals, "columns", None)
    if names is not None:
        here = next((pair for pair in _START_STOP if set(pair) <= set(names)), None)
        if here is None:
            raise ValueError("the table of intervals has no columns tstart and tstop, or datestart and datestop")
        intervals = zip(intervals[here[0]], intervals[here[1]], strict=True)
    pairs = []
    for pair in intervals:
        if np.shape(pair) != (2,):
            raise ValueError(f"{pair!r} is not an interval: give pairs of a start and a stop, or a table of them")
        pairs.append(interval(*pair))
    return pairs


def within(times: NDArray[np.float64], pairs: Iterable[tuple[float, float]]) -> NDArray[np.bool_]:
    """
    Which times are in an interval: start <= time < stop.

    Examples
    --------
    >>> within(np.arange(6.0), [(1, 3), (2, 4)]).tolist()
    [False, True, True, True, False, False]
    """
    edges = np.array(list(pairs), dtype=np.float64).reshape(-1, 2)
    starts, stops = np.sort(edges[:, 0]), np.sort(edges[:, 1])
    begun, ended = (np.searchsorted(one, times, side="right") for one in (starts, stops))
    return np.asarray(begun > ended)


def runs(
    times: NDArray[np.float64], true: NDArray[np.bool_], complete: bool, max_gap: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Starts and stops of the intervals in which something is true.

    An interval ends midway between two times, or half of `max_gap` from a gap that is longer than it; at either
    end of the data, half of the last step further on. A complete one touches neither end.

    Examples
    --------
    >>> starts, stops = runs(np.arange(6.0), np.array([0, 1, 1, 0, 0, 1], bool), False, None)
    >>> starts.tolist(), stops.tolist()
    ([0.5, 4.5], [2.5, 5.5])
    """
    step, middle = np.diff(times), (times[1:] + times[:-1]) / 2
    half = np.inf if max_gap is None else max_gap / 2
    gap = step > 2 * half
    before = np.concatenate([times[:1] - step[:1].sum() / 2, np.where(gap, times[1:] - half, middle)])
    after = np.concatenate([np.where(gap, times[:-1] + half, middle), times[-1:] + step[-1:].sum() / 2])
    going_on = true[1:] & true[:-1] & ~gap
    edge = np.zeros(min(len(true), 1), bool)
    first = true & ~np.concatenate([edge, going_on])
    last = true & ~np.concatenate([going_on, edge])
    starts, stops = np.flatnonzero(first), np.flatnonzero(last)
    if complete:
        inside = (starts > 0) & (stops < len(times) - 1)
        starts, stops = starts[inside], stops[inside]
    return before[starts], after[stops]


def nearest(times: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.intp]:
    """
    Index of the time nearest to each of others; of two equally near, the earlier.

    Examples
    --------
    >>> nearest(np.array([0.0, 2.0, 6.0]), np.array([-1.0, 1.0, 1.1, 9.0])).tolist()
    [0, 0, 1, 2]
    """
    after = np.minimum(np.searchsorted(times, at), len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(at - times[before] <= times[after] - at, before, after)


def steps(first: float, last: float, dt: float | None, start: Any, stop: Any) -> NDArray[np.float64]:
    """Times at equal steps from `start` up to `stop`, which are `first` and `last` by default and no further apart."""
    dt = 328.0 if dt is None else dt
    if not dt > 0:
        raise ValueError(f"dt {dt!r} is not a positive number of seconds")
    begin = first if start is None else max(first, cxcsec(start))
    end = last if stop is None else min(last, cxcsec(stop))
    return begin + dt * np.arange(max((end - begin) // dt, 0))


def with_gaps(times: NDArray[np.float64], values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Times and values for a curve: masked values are NaN, and one more in each gap of a minute and three steps."""
    if values.dtype.kind not in "iufb":
        return times, values
    step = np.diff(times)
    after = np.flatnonzero(step > max(60.0, 3 * float(np.median(step)) if len(step) else 0.0)) + 1
    shown = np.ma.filled(values.astype(np.float64), np.nan)
    return np.insert(times, after, times[after] - step[after - 1] / 2), np.insert(shown, after, np.nan, axis=0)


def days_of(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Days since 1970, as matplotlib counts them: a leap second, which a datetime cannot be in, is no error."""
    from astropy.time import Time

    at = Time(times, format="cxcsec").utc
    days: NDArray[np.float64] = (at.jd1 - 2440587.5) + at.jd2
    return days


def is_stepped(values: NDArray[Any]) -> bool:
    """Whether values go back and forth between a few counts, of which a curve would be a solid band."""
    good = np.ma.masked_invalid(values).compressed()
    return len(np.unique(good)) * 10 < len(good)
