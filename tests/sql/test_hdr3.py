"""The macro and the view of header 3: what SQL answers is what the facade answers."""

import json
import math
from typing import Any

import numpy as np
import pytest
from commands import in_duckdb, read
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.archive.aca_hdr3 import MSIDset, msids
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.times import cxcsec

# A leap second before the first one.
MIDNIGHTS = [cxcsec("2015:182"), cxcsec("2015:185")]
NAMES = [str(name) for name in msids()["name"]]
ROWS = "FROM hdr3_data($start, $stop)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Some minutes about two midnights: slots with gaps of their own, slot 2 beside the others, slot 5 never 8x8."""
    folder = tmp_path_factory.mktemp("files")
    for slot in range(8):
        for midnight in MIDNIGHTS:
            time = midnight + 4.1 * np.arange(-25, 25) + (slot == 2)
            time = np.delete(time, [slot, 24 + slot, 40])
            write_file(folder, slot, readouts(slot, 6 if slot == 5 else 8, time))
    root = folder.parent / f"{folder.name}_lake"
    assert ingest([folder], root, jobs=1).set_aside == {}
    return Lake(root)


def near(middle: float) -> st.SearchStrategy[float]:
    """Times of readouts, the numbers next to them, and times between them."""
    at = st.builds(lambda n, beside: middle + 4.1 * n + beside, st.integers(-27, 27), st.sampled_from([0.0, 1.0]))
    beside = st.builds(math.nextafter, at, st.sampled_from([0.0, 1e99]))
    return st.one_of(at, beside, st.floats(middle - 120, middle + 120))


times = st.one_of(*map(near, MIDNIGHTS))
ranges = st.tuples(times, times).map(sorted)


def same(ours: Any, theirs: Any) -> bool:
    """Both null, both NaN, or the same number."""
    if ours is None or theirs is None:
        return ours is theirs
    return bool(ours == theirs or (math.isnan(ours) and math.isnan(theirs)))


@settings(deadline=None, max_examples=30)
@given(interval=ranges)
def test_hdr3_data_is_what_the_facade_has(lake: Lake, interval: list[float]) -> None:
    start, stop = interval
    rows = lake.arrow(ROWS, {"start": start, "stop": stop})
    assert rows.column_names == ["TIME", "SLOTS", *NAMES]
    found = MSIDset(NAMES, start, stop, data_root=lake.root)
    assert rows.column("TIME").to_pylist() == found.times.tolist()
    assert all(start <= time <= stop for time in found.times)
    for name in NAMES:
        pairs = zip(rows.column(name).to_pylist(), found[name].vals.tolist(), strict=True)
        assert all(same(ours, theirs) for ours, theirs in pairs), name


def test_rows_of_all_times_are_those_of_the_files_in_time_order(lake: Lake) -> None:
    rows = lake.arrow("SELECT TIME, SLOTS FROM hdr3_data('1998:001', '2199:365')").to_pylist()
    expected: dict[float, int] = {}
    for slot in (0, 1, 2, 3, 4, 6, 7):
        for midnight in MIDNIGHTS:
            for time in np.delete(midnight + 4.1 * np.arange(-25, 25) + (slot == 2), [slot, 24 + slot, 40]):
                expected[float(time)] = expected.get(float(time), 0) + 2**slot
    assert [(row["TIME"], row["SLOTS"]) for row in rows] == sorted(expected.items())
    assert len(rows) == 192


def test_both_ends_of_a_range_are_in_it(lake: Lake) -> None:
    first, last = MIDNIGHTS[0] + 4.1 * 10, MIDNIGHTS[0] + 4.1 * 12
    assert lake.sql("SELECT min(TIME), max(TIME) " + ROWS, {"start": first, "stop": last}).fetchall() == [(first, last)]
    assert lake.sql("SELECT count(*) " + ROWS, {"start": first, "stop": first}).fetchall() == [(1,)]


def test_parameters_may_be_prepared_and_times_may_be_dates(lake: Lake) -> None:
    connection = lake.private_connection()
    connection.execute("PREPARE counted AS SELECT count(*), count(ccd_temp) FROM hdr3_data($1, $2)")
    by_date = connection.execute("EXECUTE counted('2015:184', '2015:187')").fetchall()
    by_number = connection.execute(f"EXECUTE counted({MIDNIGHTS[1] - 86400}, {MIDNIGHTS[1] + 86400})").fetchall()
    # Of slot 6, after each of three gaps a readout less one, and the last one.
    assert by_date == by_number == [(96, 43)]
    assert connection.execute("EXECUTE counted('2001:001', '2001:002')").fetchall() == [(0, 0)]


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        ("yesterday", "2015:182", "'yesterday' is not a time"),
        ("2015:182", "2015:366", "'2015:366' is not a time"),
        ("2015:182", "2015:181", "is before start"),
    ],
)
def test_a_wrong_time_is_a_value_error_that_shows_it(lake: Lake, start: str, stop: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lake.arrow(ROWS, {"start": start, "stop": stop})


def test_hdr3_msid_has_all_with_units_and_descriptions(lake: Lake) -> None:
    rows = lake.sql("SELECT name, id, unit, description FROM hdr3_msid ORDER BY id").fetchall()
    assert len(rows) == 38
    assert rows == [tuple(map(str, row)) for row in msids()]
    assert all(description for *_, description in rows)
    assert {unit for _, _, unit, _ in rows} == {"", "°C", "V", "us", "counts", "e-"}
    assert [unit for name, _, unit, _ in rows if name == "avg_bkg"] == ["e-"]
    columns = lake.sql("SELECT column_name FROM (DESCRIBE FROM hdr3_data(0, 0))").fetchall()
    assert {name for name, *_ in rows} == {name for (name,) in columns} - {"TIME", "SLOTS"}


@pytest.mark.parametrize(
    ("start", "stop", "count"),
    [
        ("2015:181", "2015:182", 50),  # the readout at midnight is in it
        (MIDNIGHTS[0] - 20, MIDNIGHTS[0] + 20, 18),  # nine of slot 2 beside nine of the others
        (0.0, None, 192),
        ("2001:001", "2001:002", 0),
    ],
)
def test_scan_has_the_same_rows(lake: Lake, start: Any, stop: Any, count: int) -> None:
    scanned = lake.scan("hdr3", start, stop).collect()
    assert len(scanned) == count
    assert scanned.equals(lake.sql(ROWS, {"start": start, "stop": 1e9 if stop is None else stop}).pl())


def test_scan_of_a_slot_is_a_value_error(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"'hdr3' has no slots.*3"):
        lake.scan("hdr3", slot=3)


def test_the_command_line_answers_as_python_does(lake: Lake) -> None:
    query = (
        "SELECT TIME, SLOTS, ccd_temp, dac, ccd_det_therm FROM hdr3_data('2015:181', '2015:182:00:10') "
        "WHERE SLOTS & 64 <> 0"
    )
    count = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM hdr3_msid"
    for sql, rows in ((query, 94 // 2), (count, 1)):
        run = in_duckdb(lake.root, *read(), sql)
        assert run.stderr == ""
        assert json.loads(run.stdout) == json.loads(json.dumps(lake.arrow(sql).to_pylist()))
        assert len(json.loads(run.stdout)) == rows
