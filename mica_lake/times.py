"""Times: CXC seconds from anything that may be given as a time, and dates from CXC seconds.

CXC seconds are seconds of Terrestrial Time since 1998-01-01T00:00:00 TT, the unit of every TIME in the archive.
`sql/cxcsec.sql` and `sql/times.sql` do the same in SQL.
"""

import math
import os
import re
import sys
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import erfa
import numpy as np

if TYPE_CHECKING:
    import polars as pl

_DAY_US = 86_400_000_000
_EPOCH = date(1998, 1, 1)
_TT_MINUS_TAI_US = 32_184_000
_BLANKS = " \t\n\v\f\r"
_FORMS = (
    re.compile(
        r"(?P<year>\d{4}):(?P<doy>\d{3})(:(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d(\.\d*)?))?Z?)?", re.ASCII
    ),
    re.compile(
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
        r"([T ](?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d(\.\d*)?))?Z?)?",
        re.ASCII,
    ),
    # GRETA, or MAUDE without the full stop.
    re.compile(
        r"(?P<year>\d{4})(?P<doy>\d{3})(\.?(?P<hour>\d\d)(?P<minute>\d\d)((?P<second>\d\d)(?P<fraction>\d*))?)?",
        re.ASCII,
    ),
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# A year alone, or a year and day with a decimal point: no one who writes these means seconds.
_NO_NUMBER = re.compile(r"\d{4}|\d{7}(\.\d*)?", re.ASCII)
# To cheta, -30 means thirty days ago. As seconds, such numbers lie in the last hours of 1997, before all data.
RELATIVE_DAYS = -36525.0


@cache
def _leap_table() -> tuple[list[int], list[int]]:
    """Days since 1998-01-01 at which TAI-UTC changed, and TAI-UTC in seconds from then on."""
    table = [row for row in erfa.leap_seconds.get() if row["year"] >= 1972]
    days = [(date(int(row["year"]), int(row["month"]), 1) - _EPOCH).days for row in table]
    return days, [int(row["tai_utc"]) for row in table]


def _tai_utc(day: int) -> int:
    """TAI-UTC in seconds on a day; before 1972, when it was not a whole number, its value in 1972."""
    days, offsets = _leap_table()
    return offsets[max(bisect_right(days, day) - 1, 0)]


def _refuse(value: object) -> ValueError:
    return ValueError(
        f"{value!r} is not a time: give CXC seconds, 'YYYY:DDD[:hh:mm[:ss[.sss]]]', 'YYYY-MM-DD[Thh:mm[:ss[.sss]]]', "
        "an astropy Time, a datetime, or an object with .secs or .date"
    )


def _secs_of_text(text: str, given: object = None) -> float:
    given = text if given is None else given
    stripped = text.strip(_BLANKS)
    match = next((m for form in _FORMS if (m := form.fullmatch(stripped))), None)
    if match is None:
        if _NUMBER.fullmatch(stripped) and not _NO_NUMBER.fullmatch(stripped):
            return _secs_of_number(float(stripped), given)
        raise _refuse(given)
    part = match.groupdict()
    try:
        if "doy" in part:
            doy = int(part["doy"])
            day = date(int(part["year"]), 1, 1) + timedelta(days=doy - 1)
            if doy < 1 or day.year != int(part["year"]):
                raise _refuse(given)
        else:
            day = date(int(part["year"]), int(part["month"]), int(part["day"]))
    except (ValueError, OverflowError):
        raise _refuse(given) from None
    number = (day - _EPOCH).days
    hour, minute = int(part["hour"] or 0), int(part["minute"] or 0)
    whole, _, fraction = (part["second"] or "0").partition(".")
    fraction = part.get("fraction") or fraction
    second_us = int(whole) * 1_000_000 + (int((fraction + "0000000")[:7]) + 5) // 10
    minute_us = (60 + _tai_utc(number + 1) - _tai_utc(number) if (hour, minute) == (23, 59) else 60) * 1_000_000
    if hour > 23 or minute > 59 or int(whole) * 1_000_000 >= minute_us:
        raise _refuse(given)
    us = number * _DAY_US + (hour * 60 + minute) * 60_000_000 + second_us
    return (us + _tai_utc(number) * 1_000_000 + _TT_MINUS_TAI_US) / 1e6


def _secs_of_number(secs: float, given: object) -> float:
    if not math.isfinite(secs):
        raise _refuse(given)
    if RELATIVE_DAYS <= secs < 0:
        raise ValueError(
            f"{given!r} is not a time: relative days, which cheta accepts, are not taken. Give CXC seconds or a date"
        )
    return secs


def _attribute(thing: object, name: str) -> Any:
    """An attribute or None; DateTime of Chandra.Time raises errors of its own for attributes that it lacks."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def is_scalar(time: object) -> bool:
    """
    Whether a time is a single one rather than several.

    Parameters
    ----------
    time : object
        One or several times, in any form.

    Returns
    -------
    bool
        False for lists, tuples, arrays, and anything else with a shape (such as an astropy Time of several times).

    Examples
    --------
    >>> is_scalar("2012:001"), is_scalar(["2012:001"]), is_scalar(np.array(3.5))
    (True, False, True)
    """
    if isinstance(time, list | tuple):
        return False
    return not _attribute(time, "shape")


def is_time_object(value: object) -> bool:
    """
    Whether a value can only be a time, unlike a number, str or list.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        True for ``datetime64``, an astropy Time or a Chandra time, and ``CxoTime.NOW``.

    Examples
    --------
    >>> is_time_object(np.datetime64("2012-01-01")), is_time_object("2012:001"), is_time_object(5.0)
    (True, False, False)
    """
    if isinstance(value, str | bytes | int | float | date | np.generic | np.ndarray | list | tuple | dict):
        return isinstance(value, np.datetime64 | np.ndarray) and value.dtype.kind == "M" and value.size == 1
    return _is_now(value) or _attribute(value, "secs") is not None or _attribute(value, "cxcsec") is not None


def now() -> float:
    """
    The present in CXC seconds: the date in ``$CXOTIME_NOW`` if it is set, otherwise the clock.

    Returns
    -------
    float
        CXC seconds.

    Raises
    ------
    ValueError
        If the variable is not a time.
    """
    if text := os.environ.get("CXOTIME_NOW"):
        try:
            return _secs_of_text(text)
        except ValueError as error:
            raise ValueError(f"CXOTIME_NOW: {error}") from None
    return _secs_of_datetime(datetime.now(UTC))


def _secs_of_datetime(time: datetime) -> float:
    try:
        utc_time = time.astimezone(UTC) if time.tzinfo else time
    except OverflowError:
        raise _refuse(time) from None
    return _secs_of_text(utc_time.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0"))


def _secs_of_datetime64(time: np.datetime64) -> float:
    exact = np.datetime_data(time)[0] in ("ms", "us", "ns", "ps", "fs", "as")
    return _secs_of_text(str(time if exact else time.astype("datetime64[s]")), time)


def _is_now(time: object) -> bool:
    """Whether it is CxoTime.NOW, which can only have been given if cxotime was imported."""
    cxotime = getattr(sys.modules.get("cxotime"), "CxoTime", None)
    return time is not None and time is getattr(cxotime, "NOW", None)


def cxcsec(time: Any) -> float:
    """
    CXC seconds of a time in any of the accepted forms.

    Parameters
    ----------
    time : float, str, astropy.time.Time, datetime, datetime64, date, or object with ``.secs`` or ``.date``; None is now
        Dates are UTC: ``YYYY:DDD[:hh:mm[:ss[.sss]]]``, ``YYYY-MM-DD[Thh:mm[:ss[.sss]]]`` (the T may be a space) or
        GRETA's ``YYYYDDD[.hhmm[ss[sss]]]``, to a microsecond; with a time of day they may end in Z. A str may also hold
        CXC seconds. A datetime without a zone is UTC. Second 60 is valid in a leap second. Bytes are read as str, and
        an array or list of one time as that time. None and ``CxoTime.NOW`` mean `now`.

    Returns
    -------
    float
        Seconds of TT since 1998-01-01T00:00:00 TT.

    Raises
    ------
    ValueError
        If the value is none of these; the message shows it. Small negative numbers (relative days in cheta) are
        refused.

    Notes
    -----
    TT = UTC + (TAI - UTC) + 32.184 s, with the leap seconds of ERFA (IERS Bulletin C). Before 1972, TAI - UTC is
    assumed to be 10 s; no further leap seconds are assumed in the future.

    Examples
    --------
    >>> cxcsec("2012:001")
    441763266.184
    >>> cxcsec("2012-01-01 00:00:00.000"), cxcsec("2012001.000000"), cxcsec(np.datetime64("2012-01-01"))
    (441763266.184, 441763266.184, 441763266.184)
    >>> cxcsec("2015-06-30T23:59:60.5") - cxcsec("2015:181:23:59:59.5")
    1.0
    """
    given = time
    if isinstance(time, np.ndarray | list | tuple):
        # A masked value is not a time, whatever is under the mask.
        if np.size(time) != 1 or (isinstance(time, np.ma.MaskedArray) and time.mask.all()):
            raise _refuse(given)
        time = time.reshape(-1)[0] if isinstance(time, np.ndarray) else time[0]
        if isinstance(time, np.ndarray | list | tuple):
            raise _refuse(given)
    if time is None or _is_now(time):
        return now()
    if isinstance(time, bytes):
        return _secs_of_text(time.decode("ascii", errors="replace"), time)
    if isinstance(time, str):
        return _secs_of_text(time)
    if isinstance(time, datetime):
        return _secs_of_datetime(time)
    if isinstance(time, date):
        return _secs_of_text(time.isoformat())
    if isinstance(time, np.datetime64):
        return _secs_of_datetime64(time)
    secs: Any = time
    for name in ("secs", "cxcsec"):  # CxoTime and DateTime; astropy's Time
        if (found := _attribute(time, name)) is not None:
            secs = found if np.size(found) != 1 else np.ravel(np.ma.filled(found, np.nan))[0]
            break
    else:
        if isinstance(text := _attribute(time, "date"), str):
            return _secs_of_text(text)
    try:
        number = float(secs) if not isinstance(secs, bool | np.bool_ | str | bytes) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _refuse(given)
    return number if secs is not time else _secs_of_number(number, given)


def interval(start: Any, stop: Any) -> tuple[float, float]:
    """
    CXC seconds of a start and a stop.

    Parameters
    ----------
    start, stop : time
        In any form that `cxcsec` takes.

    Returns
    -------
    tuple of float
        Both.

    Raises
    ------
    ValueError
        If one is not a time, or stop is before start; the message shows both.

    Examples
    --------
    >>> interval("2012:001", "2012:001:00:00:01")
    (441763266.184, 441763267.184)
    """
    tstart, tstop = cxcsec(start), cxcsec(stop)
    if tstop < tstart:
        raise ValueError(f"stop {'now' if stop is None else repr(stop)} is before start {start!r}")
    return tstart, tstop


def open_interval(start: Any, stop: Any) -> tuple[float | None, float | None]:
    """
    CXC seconds of a start and a stop, either of which may be None: then the interval is open at that end.

    Parameters
    ----------
    start, stop : time or None
        In any form that `cxcsec` takes.

    Returns
    -------
    tuple of float or None
        Both.

    Raises
    ------
    ValueError
        If one is not a time, or stop is before start; the message shows both.

    Examples
    --------
    >>> open_interval("2012:001", None)
    (441763266.184, None)
    """
    if start is not None and stop is not None:
        return interval(start, stop)
    return None if start is None else cxcsec(start), None if stop is None else cxcsec(stop)


def day_start(day: date) -> float:
    """
    CXC seconds at which a UTC day begins.

    Parameters
    ----------
    day : datetime.date
        The day.

    Returns
    -------
    float
        CXC seconds of its midnight; a row belongs to the day if ``day_start(day) <= TIME < day_start(next day)``.

    Examples
    --------
    >>> day_start(date(2012, 1, 1))
    441763266.184
    """
    return _start_of((day - _EPOCH).days)


def _start_of(number: int) -> float:
    return (number * _DAY_US + _tai_utc(number) * 1_000_000 + _TT_MINUS_TAI_US) / 1e6


def _check(secs: float) -> None:
    # The years 1 to 9999. Where doubles are coarser than a second, the search for a day would never end.
    if not -63_019_209_557.816 <= secs <= 252_518_688_068:
        raise ValueError(f"{secs!r} CXC seconds is outside the years 1 to 9999")


def _number_of(secs: float) -> int:
    """The UTC day, as days since 1998-01-01; compared with the starts of days, so that rounding never moves a row."""
    _check(secs)
    number = int((secs - _start_of(0)) // 86400)
    while secs < _start_of(number):
        number -= 1
    while secs >= _start_of(number + 1):
        number += 1
    return number


def utc(secs: float) -> str:
    """
    UTC date of a time in CXC seconds, to a millisecond, as ``YYYY:DDD:hh:mm:ss.sss``.

    Parameters
    ----------
    secs : float
        CXC seconds.

    Returns
    -------
    str
        The date; second 60 within a leap second.

    Examples
    --------
    >>> utc(441763266.184)
    '2012:001:00:00:00.000'
    """
    _check(secs)
    secs = math.floor(secs * 1000 + 0.5) / 1000
    number = _number_of(secs)
    ms = round((secs - _start_of(number)) * 1000)
    hour, minute = min(ms // 3_600_000, 23), min(ms // 60_000 % 60, 59)
    if ms >= 86_400_000:
        hour, minute = 23, 59
    ms -= (hour * 60 + minute) * 60_000
    day = _EPOCH + timedelta(days=number)
    return f"{day.year:04d}:{day:%j}:{hour:02d}:{minute:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def utc_day(secs: float) -> date:
    """
    UTC day of a time in CXC seconds, which determines the partition of a row.

    Parameters
    ----------
    secs : float
        CXC seconds.

    Returns
    -------
    datetime.date
        The day; a leap second belongs to the day that it ends.

    Examples
    --------
    >>> utc_day(441763266.184)
    datetime.date(2012, 1, 1)
    """
    return _EPOCH + timedelta(days=_number_of(secs))


def utc_datetime(time: "str | pl.Expr") -> "pl.Expr":
    """
    A Polars expression of the UTC dates of times in CXC seconds, as the macro ``utc_timestamp`` of `sql/` gives them.

    Parameters
    ----------
    time : str or polars.Expr
        CXC seconds, a column of any type of number or its name.

    Returns
    -------
    polars.Expr
        The dates, ``Datetime("us")``: within a leap second 23:59:59.999999, as a ``Datetime`` has no second 60.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"TIME": [441763266.184, cxcsec("2015-06-30T23:59:60.5")]})
    >>> frame.select(utc_datetime("TIME").cast(pl.String)).to_series().to_list()
    ['2012-01-01 00:00:00.000000', '2015-06-30 23:59:59.999999']
    """
    import polars as pl

    secs = pl.col(time) if isinstance(time, str) else time
    us = (secs.cast(pl.Float64) * 1e6).round(mode="half_away_from_zero").cast(pl.Int64)
    days, offsets = _leap_table()
    behind = pl.lit(_TT_MINUS_TAI_US + offsets[0] * 1_000_000)
    for day in days[1:]:
        # While a leap second passes, UTC stays where it was a microsecond before its end.
        behind += (us - round(_start_of(day) * 1e6) + 1_000_001).clip(0, 1_000_000)
    return (us - behind + (_EPOCH - date(1970, 1, 1)).days * _DAY_US).cast(pl.Datetime("us"))


def fractional_years(times: Any) -> Any:
    """
    Years of times in CXC seconds, with the share of the year's seconds (UTC) that have passed.

    Parameters
    ----------
    times : float or numpy.ndarray
        CXC seconds.

    Returns
    -------
    float or numpy.ndarray of float64
        The years.

    Raises
    ------
    ValueError
        If one is outside the years 1 to 9998.

    Examples
    --------
    >>> fractional_years(cxcsec("2011:001")), float(round(fractional_years(cxcsec("2011:183:12:00:00")), 6))
    (np.float64(2011.0), 2011.5)
    """
    times = np.asarray(times, np.float64)
    if not times.size:
        return times
    first, last = (utc_day(float(time)).year for time in (times.min(), times.max()))
    starts = np.array([day_start(date(year, 1, 1)) for year in range(first, last + 2)])
    at = np.searchsorted(starts, times, side="right")
    return first + at - 1 + (times - starts[at - 1]) / (starts[at] - starts[at - 1])
