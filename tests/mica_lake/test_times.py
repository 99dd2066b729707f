"""Times: every accepted form against astropy, and days and dates that fit together."""

import math
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import erfa
import numpy as np
import pytest
from astropy.time import Time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mica_lake.times import cxcsec, day_start, is_scalar, now, utc, utc_day

# Astropy warns of UTC some years ahead, where leap seconds are not known yet.
pytestmark = pytest.mark.filterwarnings("ignore:.*dubious year:erfa.ErfaWarning")

FIRST, LAST = date(1999, 1, 1), date(2030, 12, 31)
LEAP_DAYS = [
    date(int(row["year"]), int(row["month"]), 1) - timedelta(days=1)
    for row in erfa.leap_seconds.get()
    if row["year"] >= 1999
]

days = st.one_of(st.dates(FIRST, LAST), st.sampled_from([*LEAP_DAYS, *(d + timedelta(days=1) for d in LEAP_DAYS)]))
secs_of_any_day = st.floats(day_start(FIRST), day_start(LAST))


@st.composite
def instants(draw: st.DrawFn) -> tuple[date, str]:
    """A day and a time of day, to a microsecond; often within or next to a leap second."""
    day = draw(days)
    length = 86_400_000_000 + 1_000_000 * (day in LEAP_DAYS)
    us = draw(st.one_of(st.integers(0, length - 1), st.integers(length - 3_000_000, length - 1)))
    minute = min(us // 60_000_000, 1439)
    us -= minute * 60_000_000
    return day, f"{minute // 60:02d}:{minute % 60:02d}:{us // 1_000_000:02d}.{us % 1_000_000:06d}"


def astropy_secs(text: str) -> float:
    return float(Time(text, scale="utc").cxcsec)


@settings(deadline=None, max_examples=300)
@given(instants())
def test_texts_of_both_forms_are_what_astropy_says(instant: tuple[date, str]) -> None:
    day, clock = instant
    for text in (f"{day:%Y:%j}:{clock}", f"{day}T{clock}"):
        assert cxcsec(text) == pytest.approx(astropy_secs(text), abs=1e-6, rel=0)


@settings(deadline=None)
@given(instants(), st.integers(0, 6))
def test_a_text_may_stop_at_any_part_and_the_rest_is_zero(instant: tuple[date, str], decimals: int) -> None:
    day, clock = instant
    seconds = clock[: 8 + (decimals > 0) + decimals]
    for form in (f"{day:%Y:%j}:", f"{day}T"):
        assert cxcsec(form[:-1]) == cxcsec(form + "00:00:00.000000") == day_start(day)
        assert cxcsec(form + clock[:5]) == cxcsec(form + clock[:5] + ":00.000000")
        assert cxcsec(form + seconds) == cxcsec(f"{form}{seconds.ljust(9, '.').ljust(15, '0')}")


def test_the_first_seconds_of_2012_are_known() -> None:
    assert cxcsec("2012:001") == cxcsec("2012-01-01") == 441763266.184
    assert cxcsec("1998:001") == 63.184


def test_a_text_counts_to_a_microsecond_and_rounds_what_is_finer() -> None:
    start = cxcsec("2012:001")
    assert cxcsec("2012:001:00:00:00.0000014") == cxcsec("2012:001:00:00:00.000001") == pytest.approx(start + 1e-6)
    assert cxcsec("2012:001:00:00:00.0000015") == cxcsec("2012:001:00:00:00.000002")
    assert cxcsec("2012:001:23:59:59.9999999") == cxcsec("2012:002")
    assert cxcsec("2012:001:00:00:01.") == cxcsec("2012:001:00:00:01")


@settings(deadline=None)
@given(instants(), st.sampled_from(["utc", "tai", "tt", "tdb", "tcg"]))
def test_an_astropy_time_of_any_scale_is_its_own_cxcsec(instant: tuple[date, str], scale: str) -> None:
    time = Time(f"{instant[0]}T{instant[1]}", scale="utc")
    assert cxcsec(getattr(time, scale)) == pytest.approx(float(time.cxcsec), abs=1e-6, rel=0)


@settings(deadline=None)
@given(st.datetimes(datetime(1999, 1, 1), datetime(2030, 12, 31)), st.integers(-840, 840))
def test_a_naive_datetime_is_utc_and_an_aware_one_says_what_it_is(moment: datetime, minutes: int) -> None:
    expected = astropy_secs(moment.isoformat())
    assert cxcsec(moment) == pytest.approx(expected, abs=1e-6, rel=0)
    assert cxcsec(moment) == cxcsec(moment.isoformat())
    zone = timezone(timedelta(minutes=minutes))
    assert cxcsec(moment.replace(tzinfo=UTC).astimezone(zone)) == cxcsec(moment)


@pytest.mark.parametrize(
    "number",
    [0, -40_000, -2.5e8, 7.5, np.float64(7.5), np.float32(7.5), np.int64(7), np.uint8(7), np.array(7.5), 1e300],
    ids=lambda n: f"{type(n).__name__} {n}",
)
def test_a_number_is_cxc_seconds_already(number: Any) -> None:
    secs = cxcsec(number)
    assert type(secs) is float
    assert secs == number


@pytest.mark.parametrize(
    "thing",
    [
        SimpleNamespace(secs=441763266.184),
        SimpleNamespace(secs=np.float64(441763266.184), date="1999:001"),
        SimpleNamespace(date="2012:001:00:00:00.000"),
    ],
    ids=["secs", "secs before date", "date"],
)
def test_an_object_with_secs_or_date_is_that_time(thing: object) -> None:
    assert cxcsec(thing) == 441763266.184


def test_none_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXOTIME_NOW", raising=False)
    before = Time(time.time(), format="unix").cxcsec
    now = cxcsec(None)
    after = Time(time.time(), format="unix").cxcsec
    assert before - 1e-5 <= now <= after + 1e-5


@pytest.mark.parametrize(
    "time",
    [
        "2012:001:12:34:56.5Z", "2012-01-01 12:34:56.5", "2012-01-01T12:34:56.5Z", "2012-01-01 12:34:56.500Z",
        " 2012:001:12:34:56.5", "2012:001:12:34:56.5\n", "\t2012-01-01 12:34:56.5 ", "2012001.123456500",
        "2012001.1234565",
        "2012001123456500", b"2012:001:12:34:56.5", np.bytes_(b"2012-01-01 12:34:56.5"), np.str_("2012001.1234565"),
        np.array("2012:001:12:34:56.5"), np.array(b"2012:001:12:34:56.5"), "441808562.684", " 441808562.684 ",
        "+4.41808562684e8", b"441808562.684", np.datetime64("2012-01-01T12:34:56.5"),
        np.datetime64("2012-01-01T12:34:56.500000000"), np.array(np.datetime64("2012-01-01T12:34:56.5")),
        np.array(["2012:001:12:34:56.5"]), ["2012:001:12:34:56.5"], ("2012:001:12:34:56.5",),
        np.array([[441808562.684]]),
        np.array([np.datetime64("2012-01-01T12:34:56.500000000")]), np.ma.array([441808562.684]),
        np.array([Time("2012:001:12:34:56.5")]), Time(["2012:001:12:34:56.5"]),
        SimpleNamespace(secs=np.array([441808562.684])),
    ],
    ids=repr,
)  # fmt: skip
def test_every_other_form_is_the_same_time(time: Any) -> None:
    assert cxcsec(time) == pytest.approx(441808562.684, abs=1e-6, rel=0)
    assert type(cxcsec(time)) is float


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("2012001", "2012:001"), (b"2012001", "2012:001"), ("2012001.1234", "2012:001:12:34"),
        ("2012001.123456", "2012:001:12:34:56"), ("20120011234", "2012:001:12:34"),
        ("2015181.235960500", "2015:181:23:59:60.5"), ("2012-01-01 12:34", "2012:001:12:34"),
        ("2012:001:12:34Z", "2012:001:12:34"), (date(2012, 1, 1), "2012:001"),
        (np.datetime64("2012-01-01"), "2012:001"),
        (np.datetime64("2012-01-01T12"), "2012:001:12:00"), (np.datetime64("2012"), "2012:001"),
        (np.datetime64("2012-01-01T00:00:00.0000019"), "2012:001:00:00:00.000002"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_form_without_seconds_or_a_day_alone_begins_there(short: Any, full: str) -> None:
    assert cxcsec(short) == cxcsec(full)


@settings(deadline=None)
@given(instants())
def test_greta_and_maude_are_the_date_without_its_colons(instant: tuple[date, str]) -> None:
    day, clock = instant
    digits = clock.replace(":", "").replace(".", "")
    assert cxcsec(f"{day:%Y%j}.{digits}") == cxcsec(f"{day:%Y%j}{digits}") == cxcsec(f"{day:%Y:%j}:{clock}")


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "now", "2012", "2012:", "2012:1", "2012:01", "2012:0001", "2012:001:", "2012:001:00", "2012:001:0:00",
        "2012:001:00:00:0", "2012:001:00:00:00,5", "2012:001T00:00", "2012:001 00:00", "2012:001Z", "2012-01-01Z",
        "2012:001:00:00:00ZZ", "2012:001:00:00:00z", "2012:001:00:00:00 Z",
        "2012:001:00:00:00+00", "2012-1-1", "2012-01",
        "2012-01-01T", "2012-01-01T00", "2012-01-01  00:00:00", "2012-01-01t00:00", "12:001", "02012:001", "nan", "inf",
        "1e999", "0x10", "1_000", "5 s", "--5", "2012:-01", "\uff12\uff10\uff11\uff12:001", "2012:\uff10\uff10\uff11",
        "\u00a02012:001", "\uff15", "2012001.", "2012001.5", "2012001.12", "2012001.12345", "2012367", "2012000",
        "9999999", "2012001.240000", "2012001.126000",
    ],
)  # fmt: skip
def test_a_text_of_another_form_is_refused_and_shown(value: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(value))):
        cxcsec(value)


@pytest.mark.parametrize(
    "value", [-30, -0.5, -36525, np.float64(-7), np.int64(-1), "-30", " -0.5", b"-7", [-30]], ids=repr
)
def test_relative_days_are_refused_with_a_word_on_them(value: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(value)) + ".*relative days"):
        cxcsec(value)


def test_a_time_of_the_last_hours_of_1997_is_no_relative_days() -> None:
    assert cxcsec("1997:365:23:00:00") == pytest.approx(-3536.816)
    assert cxcsec(Time("1997:365:23:00:00")) == pytest.approx(-3536.816)


@pytest.mark.parametrize(
    "value",
    [
        "2012:000", "2012:367", "2015:366", "2012-00-01", "2012-13-01", "2012-01-00", "2012-01-32", "2015-02-29",
        "2012:001:24:00", "2012:001:00:60", "2012:001:00:00:60", "2012:001:23:59:60", "2015:180:23:59:60",
        "2015:181:23:58:60", "2015:181:22:59:60", "2015:182:23:59:60", "2015:181:23:59:61", "2015-06-30T23:59:61.5",
        "2015-06-29T23:59:60", "2015:182:00:00:60",
    ],
)  # fmt: skip
def test_a_date_that_does_not_exist_is_refused_and_shown(value: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(value))):
        cxcsec(value)


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        # Days since 1998-01-01, 32.184 s and TAI-UTC.
        ("1997:365", -86400 + 32.184 + 31),
        ("1990:001", -2922 * 86400 + 32.184 + 25),
        ("1972:001", -9497 * 86400 + 32.184 + 10),
        ("1960-01-01", -13880 * 86400 + 32.184 + 10),
        ("0001:001", -729389 * 86400 + 32.184 + 10),
        ("2200:001", 73779 * 86400 + 32.184 + 37),
        ("9999:365", 2922669 * 86400 + 32.184 + 37),
    ],
)
def test_any_year_will_do_as_a_bound(text: str, secs: float) -> None:
    assert cxcsec(text) == pytest.approx(secs, abs=1e-3, rel=0)
    assert utc(cxcsec(text))[:8] == (text if ":" in text else "1960:001")
    day = datetime.strptime(text, "%Y:%j" if ":" in text else "%Y-%m-%d")
    assert cxcsec(day) == cxcsec(day.date()) == cxcsec(np.datetime64(day)) == cxcsec(text)


@pytest.mark.parametrize("value", ["0000:001", "0000-01-01", "10000:001", np.datetime64("10000-01-01")], ids=repr)
def test_a_year_that_a_date_cannot_have_is_refused_and_shown(value: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(value))):
        cxcsec(value)


class Now:
    """What cxotime has as CxoTime.NOW is an object without a value."""

    NOW = object()


def test_cxotimes_now_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="object"):
        cxcsec(Now.NOW)
    monkeypatch.setitem(sys.modules, "cxotime", SimpleNamespace(CxoTime=Now))
    monkeypatch.setenv("CXOTIME_NOW", "2012:001")
    assert cxcsec(Now.NOW) == 441763266.184
    with pytest.raises(ValueError, match="object"):
        cxcsec(object())


@pytest.mark.parametrize("text", ["2012:001", "2012-01-01T00:00:00", " 2012001.000000 ", "441763266.184"])
def test_now_is_what_cxotime_now_says(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CXOTIME_NOW", text)
    assert now() == cxcsec(None) == 441763266.184


def test_a_cxotime_now_that_is_no_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXOTIME_NOW", "tomorrow")
    with pytest.raises(ValueError, match="CXOTIME_NOW: 'tomorrow' is not a time"):
        cxcsec(None)


class DateTime:
    """As Chandra.Time's, which raises errors of its own for an attribute that it lacks."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.__dict__["known"] = known

    def __getattr__(self, name: str) -> Any:
        if name not in self.known:
            raise RuntimeError(f"no such format: {name}")
        return self.known[name]


@pytest.mark.parametrize("known", [{"secs": 441763266.184}, {"date": "2012:001"}, {"cxcsec": 441763266.184}], ids=repr)
def test_an_object_whose_missing_attributes_raise_other_errors_is_its_time(known: dict[str, Any]) -> None:
    assert cxcsec(DateTime(known)) == 441763266.184
    assert is_scalar(DateTime(known))


def test_an_object_without_any_of_them_is_refused() -> None:
    with pytest.raises(ValueError, match="not a time"):
        cxcsec(DateTime({}))


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, np.float64("nan"), True, False, np.True_, b"2012:1", b"\xff", [], {},
        [[1.0]], [None, 1],
        (1.0, 2.0), 1j, np.ma.masked, np.ma.array([1.0], mask=True), np.datetime64("NaT"), [True],
        Time(["2012:001"] * 2), np.array([1.0, 2.0]), SimpleNamespace(date=5), SimpleNamespace(year=2012),
    ],
    ids=lambda v: f"{type(v).__name__} {v}"[:40],
)  # fmt: skip
def test_what_is_no_time_is_refused_and_shown(value: object) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(value))):
        cxcsec(value)


def test_a_number_that_no_float_can_hold_is_refused_and_shown() -> None:
    with pytest.raises(ValueError, match=str(10**400)):
        cxcsec(10**400)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
    ],
    ids=str,
)
def test_a_datetime_that_is_beyond_all_years_in_utc_is_refused_and_shown(moment: datetime) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(moment))):
        cxcsec(moment)


@pytest.mark.parametrize("text", ["2015:181:23:59:60", "2015-06-30T23:59:60.999999", "2016:366:23:59:60.5"])
def test_second_60_is_there_in_a_leap_second(text: str) -> None:
    assert cxcsec(text) == pytest.approx(astropy_secs(text), abs=1e-6, rel=0)
    assert utc_day(cxcsec(text)) < utc_day(cxcsec(text) + 1)


def test_a_leap_second_lies_between_its_neighbours() -> None:
    before, leap, after = (cxcsec(t) for t in ("2015:181:23:59:59", "2015:181:23:59:60", "2015:182:00:00:00"))
    assert (leap - before, after - leap) == (1.0, 1.0)


@settings(deadline=None, max_examples=300)
@given(secs_of_any_day)
@example(cxcsec("2015:181:23:59:60"))
@example(cxcsec("2015:181:23:59:60.999999"))
def test_any_time_lies_in_its_utc_day(secs: float) -> None:
    day = utc_day(secs)
    assert day_start(day) <= secs < day_start(day + timedelta(days=1))


@settings(deadline=None)
@given(days)
def test_a_midnight_and_the_numbers_next_to_it_are_in_the_right_days(day: date) -> None:
    midnight = day_start(day)
    assert midnight == cxcsec(f"{day:%Y:%j}")
    assert utc_day(midnight) == utc_day(math.nextafter(midnight, math.inf)) == day
    assert utc_day(math.nextafter(midnight, 0)) == day - timedelta(days=1)


@pytest.mark.parametrize("day", LEAP_DAYS, ids=str)
def test_a_day_with_a_leap_second_is_a_second_longer(day: date) -> None:
    assert day_start(day + timedelta(days=1)) - day_start(day) == 86401.0
    assert day_start(day) - day_start(day - timedelta(days=1)) == 86400.0


@settings(deadline=None)
@given(days, st.integers(0, 999))
def test_utc_gives_back_the_text_that_it_came_from(day: date, ms: int) -> None:
    clocks = ["00:00:00", "12:34:56", "23:59:58", "23:59:59", *(["23:59:60"] if day in LEAP_DAYS else [])]
    for clock in clocks:
        text = f"{day:%Y:%j}:{clock}.{ms:03d}"
        assert utc(cxcsec(text)) == text


@settings(deadline=None, max_examples=300)
@given(st.one_of(secs_of_any_day, st.builds(lambda day, off: day_start(day) + off, days, st.floats(-2, 2))))
def test_utc_is_within_half_a_millisecond_and_a_date_that_exists(secs: float) -> None:
    assert cxcsec(utc(secs)) == pytest.approx(secs, abs=0.0005 + 1e-6, rel=0)


def test_utc_rounds_into_the_next_second_minute_and_day() -> None:
    assert utc(cxcsec("2012:001:23:59:59.9996")) == "2012:002:00:00:00.000"
    assert utc(cxcsec("2015:181:23:59:59.9996")) == "2015:181:23:59:60.000"
    assert utc(cxcsec("2015:181:23:59:60.9996")) == "2015:182:00:00:00.000"
    assert utc(cxcsec("2012:001:12:59:59.9996")) == "2012:001:13:00:00.000"


@settings(deadline=None)
@given(secs_of_any_day)
@example(cxcsec("2016:366:23:59:60.25"))
def test_utc_is_what_astropy_says(secs: float) -> None:
    secs = round(secs, 3)
    time = Time(secs, format="cxcsec").utc
    time.precision = 3
    assert utc(secs) == time.yday


@pytest.mark.parametrize("secs", [1e300, -1e300, 2.53e11, -6.31e10, float("nan"), float("inf")])
@pytest.mark.parametrize("function", [utc, utc_day])
def test_a_number_beyond_all_dates_has_none(function: Callable[[float], object], secs: float) -> None:
    with pytest.raises(ValueError):
        function(secs)
