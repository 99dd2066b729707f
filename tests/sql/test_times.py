"""The time macros of SQL: what they answer is what Python's functions answer, to the last bit."""

import math
import re
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import erfa
import numpy as np
import polars as pl
import pytest
from astropy.time import Time
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mica_lake.lake import Lake
from mica_lake.times import cxcsec, day_start, utc, utc_datetime, utc_day

EPOCH = date(1998, 1, 1)
# Lists that fail say which of their values do: there is no need to make them short.
settings.register_profile("lists", deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
lists = settings.get_profile("lists")
LEAP_DAYS = [
    date(int(row["year"]), int(row["month"]), 1) - timedelta(days=1)
    for row in erfa.leap_seconds.get()
    if row["year"] >= 1973
]
days = st.one_of(
    st.dates(EPOCH, date(2060, 12, 31)),
    st.dates(date(1, 1, 1), date(9998, 12, 31)),
    st.sampled_from([d + timedelta(n) for d in LEAP_DAYS for n in (0, 1)]),
)
secs = st.one_of(
    st.floats(-6.3e10, 2.5e11),
    st.floats(-1e9, 2e9),
    st.builds(lambda day, off: day_start(day) + off, days, st.floats(-2, 2)),
    st.builds(lambda day: day_start(day), days),
    st.builds(lambda day, way: math.nextafter(day_start(day), way), days, st.sampled_from([-1e99, 1e99])),
).filter(lambda s: s > -6.3e10)


@pytest.fixture(scope="module")
def lake(demo_lake: str) -> Lake:
    return Lake(demo_lake)


def answers(lake: Lake, expression: str, values: list[Any], type_: str) -> list[Any]:
    """The expression of each value, which it calls v."""
    query = f"SELECT {expression} AS answer FROM (SELECT unnest($values::{type_}[]) AS v)"
    found: list[Any] = lake.arrow(query, {"values": values}).column("answer").to_pylist()
    return found


def assert_same(values: list[Any], found: list[Any], expected: list[Any]) -> None:
    assert [row for row in zip(values, found, expected, strict=True) if row[1] != row[2]] == []


def python_secs(value: str | float) -> float | None:
    try:
        return cxcsec(value)
    except ValueError:
        return None


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Texts that look like times; most are, some are a little beyond what is valid."""
    day = draw(days)
    head = draw(
        st.one_of(
            st.sampled_from(
                [f"{day.year:04d}:{day:%j}", f"{day}", f"{LEAP_DAYS[-1]:%Y:%j}", f"{day.year:04d}{day:%j}"]
            ),
            st.builds("{:04d}:{:03d}".format, st.integers(1996, 2201), st.integers(0, 368)),
            st.builds("{:04d}{:03d}".format, st.integers(0, 9999), st.integers(0, 368)),
            st.builds("{:04d}-{:02d}-{:02d}".format, st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32)),
        )
    )
    separator = (
        draw(st.sampled_from("TT ")) if "-" in head else ":" if ":" in head else draw(st.sampled_from(["", "."]))
    )
    clock = draw(
        st.one_of(
            st.builds("{:02d}:{:02d}:{:02d}".format, st.integers(0, 24), st.integers(0, 60), st.integers(0, 62)),
            st.sampled_from(["23:59:59", "23:59:60", "23:59:61", "00:00:60", "22:59:60"]),
        )
    )
    fraction = draw(st.one_of(st.just(""), st.text("0123456789", max_size=9).map(".{}".format), st.just(".9999995")))
    if separator in ("", "."):
        clock, fraction = clock.replace(":", ""), fraction.replace(".", "")
    short = clock[: 5 if ":" in clock else 4]
    text = draw(st.sampled_from([head, f"{head}{separator}{short}", f"{head}{separator}{clock}{fraction}"]))
    text += draw(st.sampled_from(["", "", "", "Z"]))
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(["", "0", ":", "-", "T", " ", ".", "Z"])) + text[at + 1 :]
    return draw(blanks) + text + draw(blanks)


blanks = st.one_of(st.just(""), st.text(" \t\n\v\f\r\u00a0", max_size=2))
numbers = st.one_of(
    st.floats().map(repr),
    st.integers(-40_000, 40_000).map(str),
    st.integers(0, 10**17).map(str),
    st.from_regex(r"[+-]?[0-9]{0,8}\.?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.text("0123456789.+-eE_ naif", max_size=9),
).flatmap(lambda text: st.builds("{}{}{}".format, blanks, st.just(text), blanks))


def test_leap_seconds_are_those_of_erfa(lake: Lake) -> None:
    """Fails when a leap second is announced: then sql/times.sql needs a line more."""
    table = {
        (date(int(r["year"]), int(r["month"]), 1) - EPOCH).days: int(r["tai_utc"])
        for r in erfa.leap_seconds.get()
        if r["year"] >= 1972
    }
    numbers = list(range(-20000, 40000))
    expected, tai = [], 10
    for number in numbers:
        expected.append(tai := table.get(number, tai))
    assert_same(numbers, answers(lake, "tai_utc(v)", numbers, "BIGINT"), expected)
    assert expected[-1] == table[max(table)]


@pytest.mark.often(1)
@pytest.mark.parametrize("batch", range(4))
@settings(lists, max_examples=25)
@given(values=st.lists(texts() | numbers, min_size=50, max_size=80))
def test_a_text_is_what_python_says_or_null_where_python_refuses(lake: Lake, batch: int, values: list[str]) -> None:
    assert_same(values, answers(lake, "cxcsec_or_null(v)", values, "VARCHAR"), [python_secs(text) for text in values])


@pytest.mark.parametrize(
    "text",
    [f"{d:%Y:%j}:23:59:60.5" for d in LEAP_DAYS] + [f"{d}T23:59:{s}" for d in LEAP_DAYS for s in ("60", "60.999999")],
)
def test_second_60_is_there_in_a_leap_second_in_both_forms(lake: Lake, text: str) -> None:
    assert lake.arrow("SELECT cxcsec($t) AS secs", {"t": text}).to_pylist() == [{"secs": cxcsec(text)}]


@settings(lists, max_examples=20)
@given(
    values=st.lists(
        st.floats(day_start(date(1999, 1, 1)), day_start(date(2031, 1, 1))).map(lambda s: round(s, 3)), min_size=50
    )
)
@pytest.mark.filterwarnings("ignore:.*dubious year:erfa.ErfaWarning")
def test_both_ways_from_1999_to_2030_are_those_of_astropy(lake: Lake, values: list[float]) -> None:
    # Next to each leap second, too.
    values += [day_start(day + timedelta(1)) + off for day in LEAP_DAYS for off in (-1.001, -1, -0.5, -0.001, 0, 0.25)]
    expected = Time(values, format="cxcsec").utc
    expected.precision = 3
    assert_same(values, answers(lake, "utc(v)", values, "DOUBLE"), expected.yday.tolist())
    for texts_of in (expected.yday, expected.isot):
        secs_of = Time(texts_of, scale="utc").cxcsec
        found = np.array(answers(lake, "cxcsec(v)", texts_of.tolist(), "VARCHAR"))
        assert np.abs(found - secs_of).max() < 1e-6


@settings(lists, max_examples=20)
@given(values=st.lists(st.integers(31_536_000_000_000, 1_041_379_200_000_000).map(lambda us: us / 1e6), min_size=50))
@pytest.mark.filterwarnings("ignore:.*dubious year:erfa.ErfaWarning")
def test_timestamps_are_those_of_astropy_from_1999_to_2030(lake: Lake, values: list[float]) -> None:
    # Around each leap second, too: its first and last microseconds, and those beside them.
    around = (-1.000001, -1, -0.999999, -0.5, -0.000001, 0, 0.000001, 86399.999999)
    values += [day_start(day + timedelta(1)) + off for day in LEAP_DAYS for off in around]
    expected = Time(values, format="cxcsec").utc
    expected.precision = 6
    texts = [re.sub(r":60\..*", ":59.999999", text) for text in expected.isot.tolist()]
    found = answers(lake, "utc_timestamp(v)", values, "DOUBLE")
    assert_same(values, [moment.isoformat(timespec="microseconds") for moment in found], texts)
    assert pl.DataFrame({"t": values}).select(utc_datetime("t")).to_series().to_list() == found
    # And back again, but out of a leap second, of which only the microsecond before it is known.
    back = [
        day_start(moment.date() + timedelta(1)) - 1.000001 if moment.date() in LEAP_DAYS and ":60." in text else secs
        for secs, moment, text in zip(values, found, expected.isot.tolist(), strict=True)
    ]
    assert np.abs(np.array(answers(lake, "cxcsec(v)", found, "TIMESTAMP")) - back).max() < 1e-6


@settings(lists, max_examples=30)
@given(
    values=st.lists(
        st.floats(-1e9, 2e9)
        | st.builds(lambda day, off: day_start(day + timedelta(1)) + off, st.sampled_from(LEAP_DAYS), st.floats(-2, 2)),
        min_size=50,
    )
)
def test_timestamps_in_polars_are_those_in_sql(lake: Lake, values: list[float]) -> None:
    found = pl.DataFrame({"t": [*values, None]}).select(utc_datetime(pl.col("t"))).to_series()
    assert found.dtype == pl.Datetime("us")
    assert_same([*values, None], found.to_list(), answers(lake, "utc_timestamp(v)", [*values, None], "DOUBLE"))


@settings(lists, max_examples=30)
@given(values=st.lists(st.datetimes(datetime(1, 1, 1), datetime(9998, 1, 1)), min_size=30))
def test_timestamps_are_utc(lake: Lake, values: list[datetime]) -> None:
    assert_same(values, answers(lake, "cxcsec(v)", values, "TIMESTAMP"), [cxcsec(moment) for moment in values])


def test_a_timestamp_with_time_zone_is_the_time_that_it_is(lake: Lake) -> None:
    moment = datetime(2015, 7, 1, 5, tzinfo=timezone(timedelta(hours=5)))
    assert lake.arrow("SELECT cxcsec($t) AS secs", {"t": moment}).to_pylist() == [{"secs": cxcsec(moment)}]


@settings(lists, max_examples=30)
@given(values=st.lists(days, min_size=30))
def test_dates_are_their_midnights(lake: Lake, values: list[date]) -> None:
    assert_same(values, answers(lake, "cxcsec(v)", values, "DATE"), [day_start(day) for day in values])


@settings(lists, max_examples=30)
@given(values=st.lists(st.floats() | st.floats(-40_000, 0), min_size=30))
def test_numbers_are_themselves_or_null_where_python_refuses(lake: Lake, values: list[float]) -> None:
    found = answers(lake, "cxcsec_or_null(v)", values, "DOUBLE")
    assert_same(values, found, [python_secs(value) for value in values])


@pytest.mark.parametrize("argument", ["-30", "-0.5", "'-30'", "' -7.5 '", "-36525::BIGINT"])
def test_relative_days_are_an_error_with_a_word_on_them(lake: Lake, argument: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape(argument.strip("'").split(":")[0]) + ".* is not a time: relative days"
    ):
        lake.arrow(f"SELECT cxcsec({argument})")


@pytest.mark.parametrize(
    "value",
    [
        Time("2012:001"), Time(["2012:001"]), np.float64(441763266.184), np.array(441763266.184), np.str_("2012:001"),
        datetime(2012, 1, 1), datetime(2012, 1, 1, 5, tzinfo=timezone(timedelta(hours=5))), date(2012, 1, 1),
        np.datetime64("2012-01-01"), np.datetime64("2012-01-01T00:00:00.000000000"),
        np.array(np.datetime64("2012-01-01")),
        SimpleNamespace(secs=441763266.184, date="2012:001:00:00:00.000"), "2012001", " 2012-01-01 00:00:00.000Z ",
    ],
    ids=repr,
)  # fmt: skip
def test_a_parameter_may_be_any_kind_of_time(lake: Lake, value: Any) -> None:
    assert lake.arrow("SELECT cxcsec($start) AS secs", {"start": value}).to_pylist() == [{"secs": 441763266.184}]
    query = "SELECT count(*) FROM slot_data($start, '2024:001:00:10', 3)"
    assert lake.sql(query, {"start": value}).fetchall() == [(293,)]


def test_any_year_will_do_as_a_bound(lake: Lake) -> None:
    for start, stop in (("1990:001", "2500-01-01"), (-2.5e8, 1e11), ("0001:001", "9999:365")):
        query = "SELECT count(*) FROM slot_data($start, $stop, 3)"
        assert lake.sql(query, {"start": start, "stop": stop}).fetchall() == [(3512,)]


@pytest.mark.parametrize("text", ["2012:001", "2012-01-01T00:00:00", "441763266.184"])
def test_now_is_what_cxotime_now_says(lake: Lake, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CXOTIME_NOW", text)
    assert lake.sql("SELECT cxcsec_now()").fetchall() == [(441763266.184,)]
    monkeypatch.setenv("CXOTIME_NOW", "tomorrow")
    with pytest.raises(ValueError, match="'tomorrow' is not a time"):
        lake.arrow("SELECT cxcsec_now()")


def test_now_is_the_clock_without_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXOTIME_NOW", raising=False)
    before = cxcsec(None)
    found = lake.sql("SELECT cxcsec_now()").fetchall()[0][0]
    assert before - 1e-3 <= found <= cxcsec(None) + 1e-3


@pytest.mark.parametrize("number", ["5", "5::TINYINT", "5::HUGEINT", "5.0::FLOAT", "5.0::DECIMAL(5, 2)", "5::UBIGINT"])
def test_numbers_of_any_type_are_seconds(lake: Lake, number: str) -> None:
    assert lake.arrow(f"SELECT cxcsec({number}) AS secs").to_pylist() == [{"secs": 5.0}]


@pytest.mark.parametrize("null", ["NULL", "NULL::VARCHAR", "NULL::DOUBLE", "NULL::TIMESTAMP", "NULL::DATE"])
def test_null_is_null(lake: Lake, null: str) -> None:
    answer = lake.arrow(f"SELECT cxcsec({null}) AS secs")
    assert answer.to_pylist() == [{"secs": None}]
    assert str(answer.schema.field("secs").type) == "double"


@pytest.mark.parametrize("macro", ["utc", "utc_day_number", "day_start", "utc_timestamp"])
def test_null_is_null_for_the_other_macros(lake: Lake, macro: str) -> None:
    assert lake.arrow(f"SELECT {macro}(NULL) AS answer").to_pylist() == [{"answer": None}]


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("'x'", "'x'"),
        ("''", "''"),
        ("'2012:1'", "'2012:1'"),
        ("'2015:366'", "'2015:366'"),
        ("'2012:001:23:59:60'", "'2012:001:23:59:60'"),
        ("'2015:181:23:59:61'", "'2015:181:23:59:61'"),
        ("'2012-02-30'", "'2012-02-30'"),
        ("'2012:001Z'", "'2012:001Z'"),
        ("'0000:001'", "'0000:001'"),
        ("'2012'", "'2012'"),
        ("'2012001.12'", "'2012001.12'"),
        ("'2012367'", "'2012367'"),
        ("'it''s'", "'it's'"),
        ("'\uff12\uff10\uff11\uff12:001'", "'\uff12\uff10\uff11\uff12:001'"),
        ("'nan'::DOUBLE", "nan"),
        ("'inf'::DOUBLE", "inf"),
        ("TIMESTAMP '10000-01-01'", "10000-01-01"),
        ("DATE '10000-01-01'", "10000-01-01"),
        ("'infinity'::TIMESTAMP", "infinity"),
    ],
)
def test_a_bad_time_is_an_error_that_shows_it(lake: Lake, argument: str, shown: str) -> None:
    with pytest.raises(ValueError, match=re.escape(shown) + ".* is not a time"):
        lake.arrow(f"SELECT cxcsec({argument})")
    with pytest.raises(ValueError, match=re.escape(shown) + ".* is not a time"):
        lake.arrow(f"SELECT cxcsec(v) FROM (SELECT {argument} AS v)")


@settings(lists, max_examples=30)
@given(values=st.lists(days, min_size=30))
def test_day_start_is_that_of_python(lake: Lake, values: list[date]) -> None:
    numbers = [(day - EPOCH).days for day in values]
    assert_same(values, answers(lake, "day_start(v)", numbers, "BIGINT"), [day_start(day) for day in values])


@settings(lists, max_examples=60)
@given(values=st.lists(secs, min_size=50))
def test_utc_day_number_is_that_of_python(lake: Lake, values: list[float]) -> None:
    assert_same(
        values, answers(lake, "utc_day_number(v)", values, "DOUBLE"), [(utc_day(s) - EPOCH).days for s in values]
    )


@settings(lists, max_examples=60)
@given(values=st.lists(st.one_of(secs, secs.map(lambda s: round(s, 3))), min_size=50))
def test_utc_is_that_of_python(lake: Lake, values: list[float]) -> None:
    assert_same(values, answers(lake, "utc(v)", values, "DOUBLE"), [utc(s) for s in values])


@settings(lists, max_examples=30)
@given(values=st.lists(st.integers(126_368, 4_000_000_000).map(lambda n: n * 0.0005), min_size=50))
def test_utc_is_that_of_python_half_way_between_milliseconds(lake: Lake, values: list[float]) -> None:
    assert_same(values, answers(lake, "utc(v)", values, "DOUBLE"), [utc(s) for s in values])


@pytest.mark.parametrize(
    "text", ["2015:181:23:59:59.999", "2015:181:23:59:60.000", "2015:181:23:59:60.999", "2015:182:00:00:00.000"]
)
def test_utc_gives_back_the_text_that_it_came_from(lake: Lake, text: str) -> None:
    assert lake.arrow("SELECT utc(cxcsec($t)) AS utc", {"t": text}).to_pylist() == [{"utc": text}]


@pytest.mark.parametrize(
    "number", ["INTEGER", "UINTEGER", "BIGINT", "UBIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL(18, 3)"]
)
def test_a_number_of_any_type_is_a_time(number: str, lake: Lake) -> None:
    # 2^20 times 781 is the same number in all of these types.
    secs = 781 << 20
    macros = "utc(t), utc_day(t), cxcsec(t), utc_timestamp(t), utc_day_number(t)"
    query = f"SELECT {macros} FROM (SELECT {secs}::{number} AS t)"
    moment = datetime.strptime(utc(secs), "%Y:%j:%H:%M:%S.%f")
    day = (utc_day(secs) - EPOCH).days
    assert lake.sql(query).fetchall() == [(utc(secs), utc_day(secs), secs, moment, day)]
    assert lake.sql(f"SELECT day_start({day}::{number})").fetchall() == [(day_start(utc_day(secs)),)]
    frame = lake.sql(f"SELECT {secs}::{number} AS t").pl()
    assert frame.select(utc_datetime("t")).item() == moment
