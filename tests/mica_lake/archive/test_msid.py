"""What cheta's users expect of the `MSID` and `MSIDset` classes of aca_hdr3 and aca_l0."""

import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mica_lake.archive import aca_l0
from mica_lake.archive.aca_hdr3 import MSID, Msid, MSIDset
from mica_lake.archive.intervals import nearest, runs, with_gaps, within
from mica_lake.errors import MissingDataError
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.times import cxcsec, utc

START = 7.0e8
TIME = START + 4.1 * np.arange(20)
# Of slot 6, after 8 readouts there is a gap.
TIME_6 = np.delete(TIME, 8)
ALL: dict[str, Any] = {"start": START - 100, "stop": START + 1000}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slot 6: ccd_temp is -10.00, -9.99, ..., with a gap, 7 and 18 bad; slot 7: dac is 100, 101, ..., 19 bad."""
    folder = tmp_path_factory.mktemp("files")
    columns = readouts(6, 8, TIME_6)
    counts = (np.arange(19) - 1000).astype(">i2").view(np.uint8).reshape(-1, 2)
    columns["HD3TLM76"], columns["HD3TLM77"] = counts[:, 0].copy(), counts[:, 1].copy()
    write_file(folder, 6, columns)
    columns = readouts(7, 8, TIME)
    columns["HD3TLM76"][:], columns["HD3TLM77"][:] = 0, 100 + np.arange(20)
    write_file(folder, 7, columns)
    root = folder.parent / f"{folder.name}_lake"
    ingest([folder], root, jobs=1)
    return root


@pytest.fixture
def dac(lake: Path) -> MSID:
    return MSID("dac", **ALL, data_root=lake)


@pytest.fixture
def both(lake: Path) -> MSIDset:
    return MSIDset(["ccd_temp", "dac"], **ALL, data_root=lake)


def test_a_set_of_statistics_has_those_of_each_member(lake: Path) -> None:
    for of, one in (
        (
            MSIDset(["*temp*", "dac"], **ALL, data_root=lake, stat="5min"),
            lambda name: MSID(name, **ALL, data_root=lake, stat="5min"),
        ),
        (
            aca_l0.MSIDset(["TEMP*"], 6, **ALL, data_root=lake, stat="5min"),
            lambda name: aca_l0.MSID(name, 6, **ALL, data_root=lake, stat="5min"),
        ),
    ):
        assert len(of) > 2
        for name, msid in of.items():
            alone = one(name)
            assert msid.stat == alone.stat == "5min"
            for column in alone.colnames:
                np.testing.assert_array_equal(getattr(msid, column), getattr(alone, column))
        np.testing.assert_array_equal(of.times, np.unique(np.concatenate([msid.times for msid in of.values()])))
        assert len(of.times)
    with pytest.raises(ValueError, match="stat 'hourly' is not one of '5min', 'daily'"):
        MSIDset(["dac"], **ALL, data_root=lake, stat="hourly")


def test_what_cheta_has_in_another_place_is_refused(lake: Path) -> None:
    with pytest.raises(TypeError, match=r"msid_data True is neither an MSID nor a mapping .* filter_bad=True"):
        MSID("dac", START, START + 100, True, data_root=lake)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="positional"):
        MSID("dac", START, START + 100, None, True, "daily")  # type: ignore[misc]


def test_what_is_of_the_8x8_readouts_says_so(lake: Path) -> None:
    temp = aca_l0.MSID("TEMPCCD", 6, **ALL, data_root=lake)
    assert repr(temp) == "<MSID tempccd of slot 6: 19 values, of the 8x8 readouts>"
    assert "the 8x8 readouts of slot 6" in temp._repr_html_()
    assert "8x8" not in MSID("dac", **ALL, data_root=lake)._repr_html_()


def test_a_set_shows_each_member_in_a_notebook(both: MSIDset) -> None:
    shown = both._repr_html_()
    assert f"MSIDset from {both.datestart} to {both.datestop}" in shown
    assert all(re.search(rf">{name}<", shown) for name in both)
    assert all(f">{value}<" in shown for value in ("-10", "100", "118", "counts"))


# --- units, and which values are bad ----------------------------------------------------------------------------------


def test_units_and_bads(lake: Path, dac: MSID) -> None:
    temp = MSID("ccd_temp", **ALL, data_root=lake)
    assert (temp.unit, temp.units) == ("°C", "°C")
    assert temp.bads is not None
    assert np.flatnonzero(temp.bads).tolist() == [7, 18]
    assert temp.colnames == ["times", "vals", "bads"]
    temp.filter_bad()
    assert temp.bads is None
    assert temp.colnames == ["times", "vals"]
    with pytest.raises(AttributeError):
        dac.bads = None  # type: ignore[misc]


def test_what_aca_l0_has(lake: Path) -> None:
    temp = aca_l0.MSID("TEMPCCD", 6, **ALL, data_root=lake)
    assert (temp.unit, temp.units) == ("K", "K")
    assert temp.bads is not None
    assert not temp.bads.any()
    assert len(temp.copy().vals) == 19
    temp.filter_bad()
    assert type(temp.vals) is np.ndarray
    images = aca_l0.MSID("IMGRAW", 6, **ALL, data_root=lake)
    assert images.bads is not None
    assert images.bads.shape == (19,)
    images.select_intervals([(TIME[3], TIME[5])])
    assert images.vals.shape == (2, 64)
    found = aca_l0.MSIDset(["TEMP*"], 6, **ALL, data_root=lake)
    assert list(found) == ["TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC"]
    found.interpolate(dt=10)
    assert {len(msid.vals) for msid in found.values()} == {len(found.times)} == {7}


# --- intervals --------------------------------------------------------------------------------------------------------

PAIRS = [(TIME[2], TIME[4]), (TIME[10], TIME[11])]
IN_THEM = [102, 103, 110]


def dated(pairs: Iterable[tuple[float, float]]) -> list[tuple[str, str]]:
    return [(utc(start - 1), utc(stop - 1)) for start, stop in pairs]


class Events:
    """Events in the form of kadi."""

    def intervals(self, start: str, stop: str) -> list[tuple[str, str]]:
        assert (start, stop) == (utc(ALL["start"]), utc(ALL["stop"]))
        return dated(PAIRS)


@pytest.mark.parametrize(
    "intervals",
    [
        PAIRS,
        dated(PAIRS),
        np.array(PAIRS),
        iter(PAIRS),
        [*PAIRS, (TIME[2], TIME[3])],
        Table(rows=PAIRS, names=("tstart", "tstop")),
        Table(rows=dated(PAIRS), names=("datestart", "datestop")).as_array(),
        pl.DataFrame(PAIRS, schema=["start", "stop"], orient="row"),
        {"tstart": [start for start, _ in PAIRS], "tstop": [stop for _, stop in PAIRS]},
        Events(),
    ],
    ids=["pairs", "dates", "array", "iterator", "overlapping", "Table", "records", "Polars", "mapping", "events"],
)
def test_intervals_in_any_form(dac: MSID, intervals: Any) -> None:
    chosen = dac.copy()
    assert chosen.select_intervals(list(intervals) if hasattr(intervals, "__next__") else intervals) is None
    assert chosen.vals.tolist() == IN_THEM
    assert chosen.times.tolist() == TIME[[2, 3, 10]].tolist()


def test_what_is_removed_is_what_would_be_selected(dac: MSID) -> None:
    rest = dac.remove_intervals(PAIRS, copy=True)
    assert rest is not None
    assert rest.vals.tolist() == [value for value in dac.vals.tolist() if value not in IN_THEM]
    assert len(dac.vals) == 20
    dac.remove_intervals(PAIRS)
    assert dac.times.tolist() == rest.times.tolist()


def test_statistics_are_selected_with_all_their_columns(lake: Path) -> None:
    for stat in ("5min", "daily"):
        found = MSID("dac", "2020:001", "2021:001", data_root=lake, stat=stat)
        assert len(found.times) == 1
        assert "maxes" in found.colnames
        assert ("p50s" in found.colnames) == (stat == "daily")
        assert (found.bads, found.filter_bad()) == (None, None)
        none = found.remove_intervals([("2020:001", "2021:001")], copy=True)
        assert none is not None
        assert {len(getattr(none, name)) for name in none.colnames} == {0}
        assert {len(getattr(found, name)) for name in found.colnames} == {1}


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([(TIME[3], TIME[2])], "before start"),
        ((TIME[2], TIME[3]), "is not an interval"),
        ([("2020:001", "2020:002", "2020:003")], "is not an interval"),
        ([("yesterday", "2020:002")], "'yesterday' is not a time"),
        ({"begin": [1.0], "end": [2.0]}, "no columns tstart and tstop"),
    ],
)
def test_what_are_no_intervals(dac: MSID, intervals: Any, message: str) -> None:
    for method in (dac.select_intervals, dac.remove_intervals):
        with pytest.raises(ValueError, match=message):
            method(intervals)
    assert len(dac.vals) == 20


def test_bad_times_are_removed(dac: MSID, tmp_path: Path) -> None:
    rest = [*range(100, 102), *range(104, 119), None]
    one = dac.filter_bad_times(TIME[2], TIME[4], copy=True)
    assert one is not None
    assert one.vals.tolist() == rest
    lines = ["# start stop", "", *(f"{start}  {stop}  # noisy" for start, stop in dated(PAIRS))]
    (tmp_path / "bad.txt").write_text("\n".join(lines))
    for table in (lines, tmp_path / "bad.txt", str(tmp_path / "bad.txt"), PAIRS):
        found = dac.filter_bad_times(table=table, copy=True)
        assert found is not None
        assert found.vals.tolist() == [value for value in rest if value != 110]
    for wrong in ({}, {"start": TIME[2]}, {"stop": TIME[2]}, {"start": 1.0, "stop": 2.0, "table": []}):
        with pytest.raises(ValueError, match="Give start and stop, or table"):
            dac.filter_bad_times(**wrong)


TIMES = st.lists(st.integers(0, 40), min_size=0, max_size=20, unique=True).map(
    lambda numbers: np.array(sorted(numbers), float)
)
INTERVALS = st.lists(st.tuples(st.integers(-5, 45), st.integers(0, 20)).map(lambda one: (one[0], sum(one))), max_size=6)


@given(TIMES, INTERVALS)
def test_a_time_is_within_if_an_interval_has_it(times: NDArray[np.float64], pairs: list[tuple[int, int]]) -> None:
    expected = [any(start <= time < stop for start, stop in pairs) for time in times]
    assert within(times, pairs).tolist() == expected


# --- logical intervals ------------------------------------------------------------------------------------------------


def test_a_logical_interval_begins_and_ends_midway(dac: MSID) -> None:
    found = dac.logical_intervals(">=", 115, complete_intervals=False)
    assert found.colnames == ["datestart", "datestop", "duration", "tstart", "tstop"]
    # Of the bad value at the end nothing is known.
    assert found["tstart"].tolist() == [(TIME[14] + TIME[15]) / 2]
    assert found["tstop"].tolist() == pytest.approx([TIME[18] + 4.1 / 2])
    assert found["duration"].tolist() == pytest.approx([4 * 4.1])
    assert found["datestart"].tolist() == [utc(found["tstart"][0])]
    assert found["datestop"].tolist() == [utc(found["tstop"][0])]
    assert len(dac.logical_intervals(">=", 115)) == 0
    assert len(dac.logical_intervals("==", 110)) == 1


@pytest.mark.parametrize(("op", "values"), [("==", 1), ("!=", 18), (">", 8), ("<", 10), (">=", 9), ("<=", 11)])
def test_each_comparison(dac: MSID, op: str, values: int) -> None:
    found = dac.logical_intervals(op, 110, complete_intervals=False)
    assert found["duration"].sum() == pytest.approx(4.1 * values)


def test_other_comparisons_are_refused(dac: MSID) -> None:
    with pytest.raises(ValueError, match="op '=' is not one of ==, !=, >"):
        dac.logical_intervals("=", 110)


def test_logical_intervals_of_nothing_and_of_one_value(lake: Path) -> None:
    none = MSID("dac", "2001:001", "2001:002", data_root=lake).logical_intervals(">", 0, complete_intervals=False)
    assert (len(none), none.colnames[0]) == (0, "datestart")
    one = MSID("dac", TIME[3], TIME[3], data_root=lake).logical_intervals(">", 0, complete_intervals=False)
    assert one["duration"].tolist() == [0.0]


def test_what_nan_is_compared_with_is_not_known() -> None:
    times = TIME[:5]
    found = MSID("ccd_temp", times[0], times[-1], {"times": times, "vals": np.array([1.0, 2.0, np.nan, 2.0, 1.0])})
    for op, val in (("==", 2.0), ("!=", 1.0), (">", 1.0)):
        (one,) = found.logical_intervals(op, val)
        assert (one["tstart"], one["tstop"]) == (times[:2].mean(), times[3:].mean())


@given(TIMES, st.data(), st.booleans(), st.none() | st.integers(1, 10))
def test_logical_intervals_have_what_is_true_and_nothing_else(
    times: NDArray[np.float64], data: st.DataObject, complete: bool, max_gap: float | None
) -> None:
    true = np.array(data.draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times))), bool)
    starts, stops = runs(times, true, complete, max_gap)
    assert (starts[1:] >= stops[:-1]).all()
    assert (starts <= stops).all()
    # Run by run, as it would be told to a child.
    expected: list[list[float]] = []
    for n, (time, is_true) in enumerate(zip(times, true, strict=True)):
        if is_true and n and true[n - 1] and not (max_gap is not None and time - times[n - 1] > max_gap):
            expected[-1].append(time)
        elif is_true:
            expected.append([time])
    if complete:
        expected = [run for run in expected if run[0] > times[0] and run[-1] < times[-1]]
    assert len(starts) == len(expected)
    for start, stop, run in zip(starts, stops, expected, strict=True):
        assert start <= run[0] <= run[-1] <= stop
        assert [time for time in times[true] if start < time < stop or time in (run[0], run[-1])] == run
        if max_gap is not None and len(times) > 1:
            assert run[0] - start <= max(max_gap / 2, np.diff(times)[0] / 2)


@given(TIMES.filter(len), st.lists(st.floats(-50, 90), max_size=10))
def test_the_nearest_time_is_nearest(times: NDArray[np.float64], at: list[float]) -> None:
    found = nearest(times, np.array(at))
    for one, index in zip(at, found, strict=True):
        assert abs(times[index] - one) == min(abs(times - one))
        assert index == int(np.argmin(abs(times - one)))


# --- common times -----------------------------------------------------------------------------------------------------


def test_interpolation_takes_the_nearest_values(dac: MSID) -> None:
    dac.filter_bad()
    dac.interpolate(dt=10)
    assert dac.times.tolist() == [TIME[0] + 10 * n for n in range(7)]
    assert dac.vals.tolist() == [100, 102, 105, 107, 110, 112, 115]
    assert dac.times0.tolist() == TIME[[0, 2, 5, 7, 10, 12, 15]].tolist()
    assert dac.colnames == ["times", "vals", "times0"]
    dac.select_intervals([(TIME[0], TIME[0] + 15)])
    assert (dac.vals.tolist(), len(dac.times0)) == ([100, 102], 2)


def test_interpolation_stays_where_there_are_values(dac: MSID) -> None:
    part = dac.copy()
    part.interpolate(start=TIME[4], stop=utc(TIME[8] + 1), dt=4.1)
    assert part.vals.tolist() == [104, 105, 106, 107]
    anywhere = dac.copy()
    anywhere.interpolate(times=[0.0, TIME[1], 9e9])
    assert anywhere.vals.tolist() == [100, 101, None]
    assert anywhere.times.tolist() == [0.0, TIME[1], 9e9]
    dac.interpolate(dt=4.1, start="2020:001", stop="2021:001")
    assert dac.times[0] == TIME[0]
    assert dac.times[-1] <= TIME[-1]
    with pytest.raises(ValueError, match="dt 0 is not a positive number"):
        dac.interpolate(dt=0)


def test_interpolation_of_nothing(lake: Path) -> None:
    none = MSID("dac", "2001:001", "2001:002", data_root=lake)
    none.interpolate()
    assert (len(none.times), len(none.vals), len(none.times0)) == (0, 0, 0)
    with pytest.raises(ValueError, match="dac has no values from 2001:001"):
        none.interpolate(times=[TIME[0]])
    sets = MSIDset(["dac", "ccd_temp"], "2001:001", "2001:002", data_root=lake)
    sets.interpolate()
    assert len(sets.times) == 0
    empty = MSIDset([], **ALL, data_root=lake)
    assert (empty.interpolate(), empty.filter_bad(union=True)) == (None, None)


def test_a_set_is_interpolated_to_common_times_without_bad_values(both: MSIDset) -> None:
    changed = both.interpolate(dt=4.1, copy=True)
    assert changed is not None
    assert len(both["dac"].vals) == 20
    assert changed.times[0] == TIME[0]
    for msid in changed.values():
        assert msid.times is changed.times
        assert type(msid.vals) is np.ndarray
        assert len(msid.vals) == len(changed.times) == 17
    # At 7 and 8 the nearest good values are those of 6 and 9.
    assert changed["ccd_temp"].times0[6:10].tolist() == [TIME[6], TIME[6], TIME[9], TIME[9]]


def test_a_set_is_interpolated_with_bad_values_or_without_times_that_are_bad_in_any(both: MSIDset) -> None:
    kept = both.interpolate(dt=4.1, filter_bad=False, copy=True)
    marked = both.interpolate(dt=4.1, filter_bad=False, bad_union=True, copy=True)
    left = both.interpolate(dt=4.1, bad_union=True, copy=True)
    assert kept is not None
    assert marked is not None
    assert left is not None
    assert np.flatnonzero(kept["ccd_temp"].bads).tolist() == [7, 8]
    assert np.flatnonzero(kept["dac"].bads).tolist() == []
    assert [np.flatnonzero(msid.bads).tolist() for msid in marked.values()] == [[7, 8], [7, 8]]
    assert len(left.times) == len(marked.times) - 2
    assert [msid.times.tolist() for msid in left.values()] == [left.times.tolist()] * 2


def test_bad_values_of_a_set_are_removed_one_by_one_or_together(both: MSIDset) -> None:
    together = both.filter_bad(copy=True, union=True)
    assert together is not None
    assert {len(msid.vals) for msid in together.values()} == {len(together.times)} == {17}
    assert both.filter_bad() is None
    assert [len(msid.vals) for msid in both.values()] == [17, 19]
    with pytest.raises(ValueError, match=r"no common times any more: interpolate"):
        both.filter_bad(union=True)


def test_bad_times_of_a_set_are_removed(both: MSIDset) -> None:
    found = both.filter_bad_times(TIME[2], TIME[4], copy=True)
    assert found is not None
    assert [len(msid.vals) for msid in found.values()] == [18, 18]
    assert (len(found.times), len(both.times)) == (18, 20)


def test_a_set_is_copied_with_its_members(both: MSIDset) -> None:
    copied = both.copy()
    assert type(copied) is MSIDset
    copied["dac"].vals[0] = 5
    assert both["dac"].vals[0] == 100


# --- names and times --------------------------------------------------------------------------------------------------


def test_patterns_stand_for_the_names_that_match(lake: Path) -> None:
    found = MSIDset(["dac", "*_TEMP", "676"], **ALL, data_root=lake)
    assert list(found) == ["dac", "ccd_temp", "aca_temp", "676"]
    assert MSID("d[a]c", **ALL, data_root=lake).msid == Msid("?ac", **ALL, data_root=lake).msid == "dac"
    assert aca_l0.MSID("*ccd", 6, **ALL, data_root=lake).msid == "tempccd"


def test_a_pattern_of_none_or_of_several(lake: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no name matches 'x\*'"):
        MSIDset(["dac", "x*"], **ALL, data_root=lake)
    with pytest.raises(ValueError, match=r"'\*_temp' matches ccd_temp, aca_temp"):
        MSID("*_temp", **ALL, data_root=lake)


def test_ranges_relative_to_now_and_in_days(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXOTIME_NOW", utc(START + 86400))
    now = cxcsec(None)
    calls: list[Callable[..., Any]] = [
        lambda *args, **options: MSID("dac", *args, **options, data_root=lake),
        lambda *args, **options: Msid("dac", *args, **options, data_root=lake),
        lambda *args, **options: MSIDset(["dac"], *args, **options, data_root=lake),
        lambda *args, **options: aca_l0.MSID("TEMPCCD", 6, *args, **options, data_root=lake),
        lambda *args, **options: aca_l0.MSIDset(["TEMPCCD"], 6, *args, **options, data_root=lake),
    ]
    for call in calls:
        for arguments, options, expected in (
            ((), {}, (cxcsec("1999:204"), now)),
            ((START,), {}, (START, now)),
            ((-2,), {}, (now - 2 * 86400, now)),
            ((-2.5, -1), {}, (now - 2.5 * 86400, now - 86400)),
            (("-2",), {}, (now - 2 * 86400, now)),
            ((), {"days": 2}, (now - 2 * 86400, now)),
            ((START,), {"days": 0.5}, (START, START + 43200)),
            ((), {"stop": START + 100, "days": 1}, (START + 100 - 86400, START + 100)),
            ((-3,), {"days": 1}, (now - 3 * 86400, now - 2 * 86400)),
        ):
            found = call(*arguments, **options)
            assert (found.tstart, found.tstop) == pytest.approx(expected, abs=1e-6)
            assert (found.datestart, found.datestop) == (utc(found.tstart), utc(found.tstop))
        for wrong, options, message in (
            ((START, START + 1), {"days": 1}, "two of start, stop and days"),
            ((START,), {"days": 0}, "days 0 is not a positive"),
            ((-1, -2), {}, "before start"),
        ):
            with pytest.raises(ValueError, match=message):
                call(*wrong, **options)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_a_plot_has_the_good_values_at_their_dates(lake: Path) -> None:
    axes = Figure().subplots()
    temp = MSID("ccd_temp", **ALL, data_root=lake)
    assert temp.plot(".-", color="C1", ax=axes) is axes
    (line,) = axes.get_lines()
    assert np.isnan(line.get_ydata()).sum() == 2
    assert (axes.get_ylabel(), axes.get_title(), line.get_marker(), line.get_color()) == ("°C", "ccd_temp", ".", "C1")
    assert np.datetime64(0, "s") + np.timedelta64(round(line.get_xdata()[0] * 86400), "s") == np.datetime64(
        "2020-03-07T20:25:31"
    )
    axes.figure.savefig(io.BytesIO(), format="svg")


def test_a_plot_is_drawn_on_the_current_axes(dac: MSID, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    axes = pyplot.figure().subplots()
    assert dac.plot() is axes
    pyplot.close(axes.figure)


def test_a_plot_goes_through_a_leap_second() -> None:
    times = cxcsec("2015:181:23:59:59") + np.arange(0.0, 3.0, 0.5)
    found = MSID("dac", times[0], times[-1], {"times": times, "vals": np.arange(6)})
    axes = found.plot(ax=Figure().subplots())
    assert (np.diff(axes.get_lines()[0].get_xdata()) > 0).all()


def test_a_line_is_broken_in_a_gap() -> None:
    times, values = np.array([0.0, 4.1, 8.2, 200.0, 204.1]), np.arange(5)
    found, shown = with_gaps(times, values)
    assert found.tolist() == [0.0, 4.1, 8.2, 104.1, 200.0, 204.1]
    assert np.flatnonzero(np.isnan(shown)).tolist() == [3]
    days = np.arange(4) * 86400.0
    assert with_gaps(days, np.arange(4))[0].tolist() == days.tolist()
    assert with_gaps(days[:0], np.arange(0))[0].tolist() == []


def test_it_draws_itself_in_a_notebook(lake: Path, both: MSIDset) -> None:
    for found in (both["dac"], MSID("dac", "2020:001", "2021:001", data_root=lake, stat="daily")):
        html = found._repr_html_()
        assert "<svg" in html
        assert "max" in html
    none = MSID("dac", "2001:001", "2001:002", data_root=lake)._repr_html_()
    assert "<svg" not in none
    assert "2001:001" in none
    assert "<svg" not in aca_l0.MSID("IMGRAW", 6, **ALL, data_root=lake)._repr_html_()
