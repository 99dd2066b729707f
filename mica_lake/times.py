"""Times: everything a caller may give as a time, turned into CXC seconds and back.

CXC seconds are seconds of Terrestrial Time since 1998-01-01T00:00:00 TT, the unit of every TIME in the archive.
`sql/times.sql` has the same two functions as SQL macros.
"""

import math
import re
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import erfa
import numpy as np

_DAY_US = 86_400_000_000
_EPOCH = date(1998, 1, 1)
_TT_MINUS_TAI_US = 32_184_000
_FORMS = (
    re.compile(
        r"(?P<year>\d{4}):(?P<doy>\d{3})(:(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d(\.\d*)?))?)?", re.ASCII
    ),
    re.compile(
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(T(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d(\.\d*)?))?)?",
        re.ASCII,
    ),
)


@cache
def _leap_table() -> tuple[list[int], list[int]]:
    """Days since 1998-01-01 at which TAI-UTC changed, and TAI-UTC in seconds from then on."""
    table = [row for row in erfa.leap_seconds.get() if row["year"] >= 1972]
    days = [(date(int(row["year"]), int(row["month"]), 1) - _EPOCH).days for row in table]
    return days, [int(row["tai_utc"]) for row in table]


def _tai_utc(day: int) -> int:
    days, offsets = _leap_table()
    return offsets[bisect_right(days, day) - 1]


def _refuse(value: object) -> ValueError:
    return ValueError(
        f"{value!r} is not a time: give CXC seconds, 'YYYY:DDD[:hh:mm[:ss[.sss]]]', 'YYYY-MM-DD[Thh:mm[:ss[.sss]]]', "
        "an astropy Time, a datetime, or an object with .secs or .date"
    )


def _secs_of_text(text: str) -> float:
    match = next((m for form in _FORMS if (m := form.fullmatch(text))), None)
    if match is None:
        raise _refuse(text)
    part = match.groupdict()
    try:
        if "doy" in part:
            doy = int(part["doy"])
            day = date(int(part["year"]), 1, 1) + timedelta(days=doy - 1)
            if doy < 1 or day.year != int(part["year"]):
                raise _refuse(text)
        else:
            day = date(int(part["year"]), int(part["month"]), int(part["day"]))
    except (ValueError, OverflowError):
        raise _refuse(text) from None
    if not 1998 <= day.year <= 2199:
        raise ValueError(f"{text!r} is outside 1998 to 2199")
    number = (day - _EPOCH).days
    hour, minute = int(part["hour"] or 0), int(part["minute"] or 0)
    whole, _, fraction = (part["second"] or "0").partition(".")
    second_us = int(whole) * 1_000_000 + (int((fraction + "0000000")[:7]) + 5) // 10
    minute_us = (60 + _tai_utc(number + 1) - _tai_utc(number) if (hour, minute) == (23, 59) else 60) * 1_000_000
    if hour > 23 or minute > 59 or int(whole) * 1_000_000 >= minute_us:
        raise _refuse(text)
    us = number * _DAY_US + (hour * 60 + minute) * 60_000_000 + second_us
    return (us + _tai_utc(number) * 1_000_000 + _TT_MINUS_TAI_US) / 1e6


def cxcsec(time: Any) -> float:
    """
    CXC seconds of a time in any of the accepted forms.

    Parameters
    ----------
    time : float, str, astropy.time.Time, datetime.datetime, or object with ``.secs`` or ``.date``; None means now
        Strings are UTC, ``YYYY:DDD[:hh:mm[:ss[.sss]]]`` or ``YYYY-MM-DD[Thh:mm[:ss[.sss]]]``, and are resolved to a
        microsecond. A naive datetime is UTC. Second 60 is valid in a leap second.

    Returns
    -------
    float
        Seconds of TT since 1998-01-01T00:00:00 TT.

    Raises
    ------
    ValueError
        If the value is none of these; it is shown.

    Notes
    -----
    TT = UTC + (TAI - UTC) + 32.184 s, with the leap seconds of ERFA (IERS Bulletin C).

    Examples
    --------
    >>> cxcsec("2012:001")
    441763266.184
    >>> cxcsec("2015-06-30T23:59:60.5") - cxcsec("2015:181:23:59:59.5")
    1.0
    """
    if time is None:
        time = datetime.now(UTC)
    if isinstance(time, str):
        return _secs_of_text(time)
    if isinstance(time, datetime):
        try:
            utc_time = time.astimezone(UTC) if time.tzinfo else time
        except OverflowError:
            raise ValueError(f"{time.isoformat()!r} is outside 1998 to 2199") from None
        return _secs_of_text(utc_time.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0"))
    for name in ("secs", "cxcsec"):  # CxoTime and DateTime; astropy's Time
        if hasattr(time, name):
            time = getattr(time, name)
            break
    else:
        if not isinstance(time, date) and isinstance(getattr(time, "date", None), str):
            return _secs_of_text(time.date)
    try:
        secs = float(time) if not isinstance(time, bool | np.bool_ | bytes) else math.nan
    except (TypeError, ValueError, OverflowError):
        secs = math.nan
    if not math.isfinite(secs):
        raise _refuse(time)
    return secs


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
    # Where a second is less than the numbers' resolution, the search for a day would never end.
    if not abs(secs) < 2.5e11:
        raise ValueError(f"{secs!r} CXC seconds is no time that has a date")


def _number_of(secs: float) -> int:
    """Days since 1998-01-01 of the UTC day; compared with the days' starts, so that no rounding moves a row."""
    _check(secs)
    number = int((secs - _start_of(0)) // 86400)
    while secs < _start_of(number):
        number -= 1
    while secs >= _start_of(number + 1):
        number += 1
    return number


def utc(secs: float) -> str:
    """
    UTC date of CXC seconds, to a millisecond, as ``YYYY:DDD:hh:mm:ss.sss``.

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
    return f"{day:%Y:%j}:{hour:02d}:{minute:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def utc_day(secs: float) -> date:
    """
    UTC day of CXC seconds, which decides the partition of a row.

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
