"""What the page asks of the lake, and that its SQL and Python give the same."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.archive.aca_l0 import get_slot_data
from mica_lake.explore.question import MOST_POINTS, Question, fields
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec

START = cxcsec("2024:001")
HOURS = ("2024:001", "2024:001:02:00")


@pytest.fixture
def lake(demo_lake: str) -> Lake:
    return Lake(demo_lake)


@pytest.fixture(scope="module")
def with_gaps(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of slot 3 from 0 h to 1 h and from 2 h to 3 h."""
    folder = tmp_path_factory.mktemp("with_gaps")
    (folder / "files").mkdir()
    for hour in (0, 2):
        write_file(folder / "files", 3, readouts(3, 6, START + 3600 * hour + np.arange(0, 3600, 2.05), seed=hour))
    ingest([folder / "files"], folder / "lake", jobs=1)
    return Lake(folder / "lake")


def test_the_rows_are_those_of_the_facade(lake: Lake) -> None:
    asked = Question(lake, "aca_l0", *HOURS, ["TEMPCCD", "IMGRAW"], 3)
    expected = get_slot_data(*HOURS, 3, columns=["TIME", "TEMPCCD"], data_root=lake.root)
    assert asked.count == len(expected)
    rows = asked.rows(100)
    assert rows.columns == ["utc", "TIME", "TEMPCCD_celsius", "IMGRAW"]
    np.testing.assert_array_equal(rows["TIME"], expected["TIME"][:100])
    assert rows["utc"][0].startswith("2024:001:00:00:0")


@pytest.mark.parametrize("table", [name for name in TABLES if name != "dark_cal_image"])
@pytest.mark.often(5)
def test_each_table_can_be_asked_and_its_sql_and_python_give_the_same(table: str, lake: Lake, many_stars: str) -> None:
    if table.endswith("_model"):
        lake = Lake(many_stars)  # the statistics of two hours have no models
    slot = 3 if table == "aca_cent" or "slot" in TABLES[table].keys else None
    asked = Question(lake, table, "2003:001", "2024:030", list(fields(lake, table))[:6], slot)
    assert asked.count > 0
    everything = asked.rows(asked.count)
    assert pl.DataFrame(lake.arrow(asked.sql)).equals(everything)
    found: dict[str, pl.DataFrame] = {}
    exec(asked.python.split("# or")[0], found)
    assert found["rows"].equals(everything)
    assert set(asked.points) == {field.name for field in asked.drawn}


def test_the_other_python_of_a_slot_gives_the_same(lake: Lake) -> None:
    asked = Question(lake, "aca_l0", *HOURS, ["TEMPCCD"], 3)
    found: dict[str, np.ma.MaskedArray] = {}
    exec(asked.python.split("# or")[1], found)
    celsius = asked.rows(asked.count)["TEMPCCD_celsius"]
    np.testing.assert_array_equal(found["rows"]["TEMPCCD"].data.astype(float) - 273.15, celsius)


def test_few_rows_are_drawn_one_by_one(lake: Lake) -> None:
    asked = Question(lake, "aca_l0", "2024:001", "2024:001:00:10", ["BGDAVG"], 3)
    assert asked.bin_seconds is None
    points = asked.points["BGDAVG"]
    assert len(points.time) == asked.count
    assert points.low.equals(points.high.alias("low0"))


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 2 * 3600), st.floats(0.9, 3))
def test_of_many_rows_each_bin_has_the_least_and_the_greatest_value(
    with_gaps: Lake, begins: float, hours: float
) -> None:
    start, stop = START + begins, START + begins + 3600 * hours
    asked = Question(with_gaps, "aca_l0", repr(start), repr(stop), ["BGDAVG"], 3)
    data = get_slot_data(start, stop, 3, columns=["TIME", "BGDAVG"], data_root=with_gaps.root)
    points, width = asked.points.get("BGDAVG"), asked.bin_seconds
    assert points is not None
    if width is None:
        assert len(points.time) == len(data) <= MOST_POINTS
        return
    assert len(points.time) <= MOST_POINTS + 1
    bins = np.floor(data["TIME"].data / width)
    for time, low, high in zip(points.time, points.low, points.high, strict=True):
        inside = data["BGDAVG"].data[bins == np.floor(time / width)]
        assert (low, high) == (inside.min(), inside.max())
    assert len(points.time) == len(set(bins))


def test_a_gap_has_no_points(with_gaps: Lake) -> None:
    points = Question(with_gaps, "aca_l0", "2024:001", "2024:001:03:00", ["BGDAVG"], 3).points["BGDAVG"]
    hours = (points.time.to_numpy() - START) / 3600
    assert not ((hours > 1.01) & (hours < 1.99)).any()
    assert (hours < 1).any() and (hours > 2).any()


def test_what_is_no_number_is_not_drawn(lake: Lake) -> None:
    asked = Question(lake, "aca_l0", *HOURS, ["IMGRAW", "FILENAME", "TEMPCCD"], 3)
    assert [field.label for field in asked.drawn] == ["TEMPCCD (°C)"]


def test_what_the_lake_has_in_kelvin_is_drawn_and_shown_in_celsius(lake: Lake) -> None:
    asked = Question(lake, "aca_l0", *HOURS, ["TEMPCCD"], 3)
    kelvin = get_slot_data(*HOURS, 3, columns=["TEMPCCD"], data_root=lake.root)["TEMPCCD"].data
    assert kelvin.dtype == np.float32
    celsius = kelvin.astype(float) - 273.15  # -9.600012, which of float32 would be -9.600006
    assert -30 < celsius.mean() < 0
    np.testing.assert_array_equal(asked.rows(asked.count)["TEMPCCD_celsius"], celsius)
    drawn = asked.points["TEMPCCD"]
    assert (drawn.low.min(), drawn.high.max()) == (celsius.min(), celsius.max())


def test_null_and_nan_are_not_drawn(lake: Lake) -> None:
    asked = Question(lake, "hdr3", *HOURS, ["ad_5v_ps"])
    assert asked.points["ad_5v_ps"].low.null_count() == 0
    rows = asked.rows(asked.count)["ad_5v_ps"]
    assert rows.null_count() > 0
    assert (asked.points["ad_5v_ps"].low.min(), asked.points["ad_5v_ps"].high.max()) == (rows.min(), rows.max())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "yesterday"}, "'yesterday' is not a time"),
        ({"start": ""}, "'' is not a time"),
        ({"start": "nan"}, "'nan' is not a time"),
        ({"stop": "2024:001' OR TRUE --"}, "is not a time"),
        ({"start": "2024:002", "stop": "2024:001"}, "stop '2024:001' is before start '2024:002'"),
        ({"columns": ["TEMPCDD"]}, "no column 'TEMPCDD'; near it: TEMPCCD"),
        ({"columns": ["TIME) FROM partition --"]}, "no column"),
        ({"table": "aca_l1"}, "no table 'aca_l1'; near it: aca_l0"),
        ({"slot": 9}, "slot 9 is not one of 0 to 7"),
        ({"slot": None}, "which slot"),
    ],
)
def test_a_wrong_question_is_an_error_that_names_it(changes: dict[str, object], said: str, lake: Lake) -> None:
    right = {"table": "aca_l0", "start": HOURS[0], "stop": HOURS[1], "columns": ["TEMPCCD"], "slot": 3}
    Question(lake, **right)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^.*" + said.replace("(", r"\(")):
        Question(lake, **right | changes)  # type: ignore[arg-type]


def test_seven_digits_are_year_and_day(lake: Lake) -> None:
    by_date = Question(lake, "aca_l0", "2024:001", "2024:001:00:10", ["TEMPCCD"], 3)
    greta = Question(lake, "aca_l0", " 2024001", "2024001.001000", ["TEMPCCD"], 3)
    assert greta.interval == by_date.interval
    assert greta.count == by_date.count
    with pytest.raises(ValueError, match="'2024' is not a time"):
        Question(lake, "aca_l0", "2024", "2024:001:00:10", ["TEMPCCD"], 3)


def test_a_number_is_cxc_seconds(lake: Lake) -> None:
    by_date = Question(lake, "aca_l0", " 2024:001 ", "2024:001:00:10", ["TEMPCCD"], 3)
    by_number = Question(lake, "aca_l0", repr(START), repr(START + 600), ["TEMPCCD"], 3)
    assert by_number.count == by_date.count
    assert f"slot_data({START!r}, {START + 600!r}, 3)" in by_number.sql


def test_a_path_with_quotes_is_quoted(demo_lake: str, tmp_path: Path) -> None:
    (tmp_path / "it's").symlink_to(demo_lake)
    asked = Question(Lake(tmp_path / "it's"), "aca_l0", "2024:001", "2024:001:00:10", ["TEMPCCD"], 3)
    found: dict[str, pl.DataFrame] = {}
    exec(asked.python.split("# or")[0], found)
    assert found["rows"].height == asked.count == 293
