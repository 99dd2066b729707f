"""The macros and views of ACA L0: what they answer is what is in the source FITS files."""

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.aca_image import ACAImage
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.times import cxcsec, utc, utc_day

Row = dict[str, Any]

CADENCE = {4: 1.025, 6: 2.05, 8: 4.1}
SIZES = [8, 8, 8, 6, 6, 6, 4, 4]
# A leap second before it.
MIDNIGHT = cxcsec("2015:182")
# Middles of the files: across the leap second, at noon, across a plain midnight four days later.
MIDDLES = [MIDNIGHT, cxcsec("2015:182:12:00"), cxcsec("2015:186")]
BITS = {
    "GLBSTAT": [
        "SYNTAX_ERROR", "RESET", "COMM_CHECKSUM_FAIL", "CAL_FAIL", "POWER_FAIL", "ROM_FAIL", "RAM_FAIL", "HIGH_BGD",
    ],
    "IMGSTAT": ["ION_RAD", "MULTI_STAR", "COMMON_COL", "QUAD_BOUND", "DEF_PIXEL", "SAT_PIXEL"],
    "COMMCNT": ["COMMCNT_CHECKSUM_FAIL", "COMMCNT_SYNTAX_ERROR"],
}  # fmt: skip
DROPPED = [
    "FILENAME",
    "QUALITY",
    "PIXTLM",
    "BGDTYP",
    *(f"IMG{n}{i}" for n in ("FID", "NUM", "FUNC") for i in (1, 2, 3, 4)),
]


def write(folder: Path, slot: int, middle: float, newer: bool) -> None:
    """A file of 80 readouts of which one is at `middle`, with all status bits, bad readouts and large numbers."""
    rng = np.random.default_rng(slot)
    times = middle + CADENCE[SIZES[slot]] * np.arange(-40, 40)
    columns = readouts(slot, SIZES[slot], times, newer=newer)
    for name in ("GLBSTAT", "IMGSTAT", "COMMCNT", "COMMPROG"):
        columns[name] = rng.integers(0, 256, len(times), dtype=np.uint8)
    columns["QUALITY"] = (rng.random(len(times)) < 0.2).astype(np.int32)
    columns["BGDAVG"][:2] = 32768, 65535
    write_file(folder, slot, columns)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of all slots, of which slot 7 has none at noon."""
    folder = tmp_path_factory.mktemp("files")
    for slot in range(8):
        for middle in MIDDLES:
            if (slot, middle) != (7, MIDDLES[1]):
                write(folder, slot, middle, newer=middle == MIDDLES[2])
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def lake(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root = tmp_path_factory.mktemp("lake") / "lake"
    assert ingest(files, root, jobs=1).set_aside == {}
    return Lake(root)


@pytest.fixture(scope="module")
def expected(files: list[Path]) -> list[list[Row]]:
    """The rows of each slot in time order, read by astropy."""
    rows: list[list[Row]] = [[] for _ in range(8)]
    for path in files:
        with fits.open(path) as hdus:
            data = hdus[1].data
            size = data["IMGRAW"].shape[1]
            columns = {name: np.asarray(data[name]).reshape(len(data), -1).tolist() for name in data.names}
        for values in zip(*columns.values(), strict=True):
            row: Row = dict.fromkeys(ACA_L0.schema.names) | {"PIXTLM": "ORIG", "BGDTYP": "FLAT"}
            row |= {name: v if name == "IMGRAW" else v[0] for name, v in zip(columns, values, strict=True)}
            rows[int(path.name[18])].append(row | {"IMGSIZE": size, "FILENAME": path.name})
    return [sorted(of_slot, key=lambda row: float(row["TIME"])) for of_slot in rows]


def between(rows: list[Row], start: float, stop: float) -> list[Row]:
    return [row for row in rows if start <= row["TIME"] <= stop]


def image(row: Row) -> Row:
    """A row in the format of the MAUDE decommutation, as REFERENCE.md has it."""
    size = row["IMGSIZE"]
    square = np.full((8, 8), None)
    edge = (8 - size) // 2
    square[edge : 8 - edge, edge : 8 - edge] = np.reshape(row["IMGRAW"], (size, size))
    frame = 128 * row["MJF"] + row["MNF"]
    made: Row = {
        "AAPIXTLM": row["PIXTLM"],
        "AABGDTYP": row["BGDTYP"],
        "IMGFID": row["IMGFID1"],
        "IMGNUM": row["IMGNUM1"],
        "IMGFUNC": row["IMGFUNC1"],
        "IMGROW_A1": row["IMGROW0"] + (size == 6),
        "IMGCOL_A1": row["IMGCOL0"] + (size == 6),
        "IMGROW0_8X8": row["IMGROW0"] - edge,
        "IMGCOL0_8X8": row["IMGCOL0"] - edge,
        "IMGTYPE": {8: 4, 6: 1, 4: 0}[size],
        "VCDUCTR": frame,
        "IMG_VCDUCTR": frame,
        "COMMCNT": row["COMMCNT"] // 4,
        "COMMPROG": row["COMMPROG"] // 4,
        "COMMPROG_REPEAT": row["COMMPROG"] % 4,
        "IMG": square.ravel().tolist(),
    }
    flags = {flag: bool(row[byte] >> n & 1) for byte, names in BITS.items() for n, flag in enumerate(names)}
    return {name: value for name, value in row.items() if name not in DROPPED} | made | flags


def images_between(expected: list[list[Row]], start: float, stop: float) -> list[Row]:
    rows = [row for of_slot in expected for row in between(of_slot, start, stop) if row["QUALITY"] == 0]
    return [image(row) for row in sorted(rows, key=lambda row: (row["TIME"], row["IMGNUM1"]))]


def near(middle: float) -> st.SearchStrategy[float]:
    """Times of readouts, the numbers next to them, and times between them."""
    at = st.builds(lambda n, step: middle + step * n, st.integers(-42, 42), st.sampled_from([4.1, 2.05, 1.025]))
    beside = st.builds(math.nextafter, at, st.sampled_from([0.0, 1e99]))
    return st.one_of(at, beside, st.floats(middle - 200, middle + 200))


times = st.one_of(*map(near, MIDDLES), near(MIDNIGHT), st.floats(MIDNIGHT - 2 * 86400, MIDNIGHT + 6 * 86400))
ranges = st.tuples(times, times).map(sorted)
SLOT_DATA = "FROM slot_data($start, $stop, $slot)"
AT_MIDNIGHT = {"start": MIDNIGHT - 1.0, "stop": MIDNIGHT + 1.0}


@settings(deadline=None, max_examples=100)
@given(interval=ranges, slot=st.integers(0, 7))
def test_slot_data_has_the_rows_of_the_files_in_time_order(
    lake: Lake, expected: list[list[Row]], interval: list[float], slot: int
) -> None:
    start, stop = interval
    rows = lake.arrow(SLOT_DATA, {"start": start, "stop": stop, "slot": slot})
    assert rows.to_pylist() == between(expected[slot], start, stop)


@pytest.mark.parametrize("slot", range(8))
def test_slot_data_of_all_times_has_every_row_of_the_slot(lake: Lake, expected: list[list[Row]], slot: int) -> None:
    assert len(expected[slot]) == (240 if slot < 7 else 160)
    assert lake.arrow(f"FROM slot_data('1998:001', '2199:365', {slot})").to_pylist() == expected[slot]


@settings(deadline=None, max_examples=40)
@given(interval=ranges)
def test_aca_images_has_the_good_rows_of_all_slots_decommutated(
    lake: Lake, expected: list[list[Row]], interval: list[float]
) -> None:
    start, stop = interval
    rows = lake.arrow("SELECT * FROM aca_images($start, $stop)", {"start": start, "stop": stop})
    assert rows.to_pylist() == images_between(expected, start, stop)


def test_both_ends_of_a_range_are_in_it(lake: Lake, expected: list[list[Row]]) -> None:
    start, stop = expected[3][10]["TIME"], expected[3][20]["TIME"]
    found = [row[0] for row in lake.sql(f"SELECT TIME FROM slot_data({start!r}, {stop!r}, 3)").fetchall()]
    assert found == [row["TIME"] for row in expected[3][10:21]]
    found = lake.sql(f"SELECT TIME FROM slot_data({start!r}, {start!r}, 3)").fetchall()
    assert found == [(start,)]


def test_a_leap_second_has_its_rows(lake: Lake, expected: list[list[Row]]) -> None:
    found = lake.arrow("FROM slot_data('2015:181:23:59:59', '2015:182:00:00:00', 6)").to_pylist()
    assert found == between(expected[6], MIDNIGHT - 2, MIDNIGHT)
    assert [row["TIME"] - MIDNIGHT for row in found] == [pytest.approx(-1.025), 0.0]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        pytest.param("2015-06-30T23:59:30", "2015-07-01T00:00:30.25", id="calendar dates"),
        pytest.param("2015:181:23:59:30", "2015:182:00:00:30.250", id="days of the year"),
        pytest.param(MIDNIGHT - 31, MIDNIGHT + 30.25, id="seconds"),
        pytest.param(int(MIDNIGHT) - 31, "2015:182:00:00:30.25", id="a whole number and a text"),
        pytest.param(datetime(2015, 6, 30, 23, 59, 30), datetime(2015, 7, 1, 0, 0, 30, 250000), id="datetimes"),
    ],
)
def test_times_may_have_any_form(lake: Lake, expected: list[list[Row]], start: Any, stop: Any) -> None:
    interval = {"start": start, "stop": stop}
    rows = lake.arrow(SLOT_DATA, {**interval, "slot": 4}).to_pylist()
    assert rows == between(expected[4], cxcsec(start), cxcsec(stop))
    assert 20 < len(rows) < 40
    images = lake.arrow("FROM aca_images($start, $stop)", interval).to_pylist()
    assert images == images_between(expected, cxcsec(start), cxcsec(stop))


def test_times_may_be_literals_of_sql(lake: Lake, expected: list[list[Row]]) -> None:
    day = between(expected[2], MIDNIGHT, cxcsec("2015:183"))
    for start, stop in [
        ("'2015:182'", "'2015:183'"),
        ("DATE '2015-07-01'", "DATE '2015-07-02'"),
        ("TIMESTAMP '2015-07-01'", "DATE '2015-07-01' + INTERVAL 1 DAY"),
        (repr(MIDNIGHT), f"cxcsec('2015:181') + {2 * 86400 + 1}"),
    ]:
        assert lake.arrow(f"FROM slot_data({start}, {stop}, 2)").to_pylist() == day


EMPTY = [("before", 1e8, 2e8), ("after", 1e9, 1.1e9), ("at time 0", 0, 0), ("before 1998", -2e9, -1e9)]
EMPTY += [("between", MIDNIGHT + 20000, MIDNIGHT + 30000), ("far away", 1e15, 1e300), ("far before", -1e300, -1e15)]
EMPTY += [("a day without partition", MIDNIGHT + 86400 + 3600, MIDNIGHT + 86400 + 7200)]


@pytest.mark.parametrize(("start", "stop"), [case[1:] for case in EMPTY], ids=[case[0] for case in EMPTY])
def test_an_empty_answer_has_the_columns_and_types_of_any_other(lake: Lake, start: float, stop: float) -> None:
    for macro in ("slot_data({}, {}, 5)", "aca_images({}, {})"):
        empty = lake.sql("FROM " + macro.format(start, stop))
        full = lake.sql("FROM " + macro.format(MIDNIGHT, MIDNIGHT + 60))
        assert empty.columns == full.columns
        assert empty.types == full.types
        assert empty.fetchall() == []
        assert len(full.fetchall()) > 0


def test_a_slot_without_rows_in_a_range_gives_an_empty_answer(lake: Lake) -> None:
    count = "SELECT count(*) FROM slot_data('2015:182:11:00', '2015:182:13:00', {})"
    assert lake.sql(count.format(6)).fetchall() == [(80,)]
    assert lake.sql(count.format(7)).fetchall() == [(0,)]


def test_slot_data_has_the_columns_and_types_of_the_declaration(lake: Lake) -> None:
    found = lake.arrow(SLOT_DATA, AT_MIDNIGHT | {"slot": 0}).schema
    assert found.names == ACA_L0.schema.names
    assert [pa.string() if pa.types.is_large_string(t) else t for t in found.types] == ACA_L0.schema.types


ERRORS: list[tuple[str, str]] = [
    ("SELECT * FROM slot_data('yesterday', '2015:183', 3)", "'yesterday' is not a time"),
    ("SELECT * FROM slot_data('2015:181', '2015:366', 3)", "'2015:366' is not a time"),
    ("SELECT * FROM slot_data('nan'::DOUBLE, 5, 3)", "'nan' is not a time"),
    ("SELECT * FROM slot_data(NULL, '2015:183', 3)", "start or stop is null"),
    ("SELECT * FROM slot_data('2015:181', NULL, 3)", "start or stop is null"),
    ("SELECT * FROM slot_data('2015:183', '2015:182', 3)", "stop .* is before start"),
    ("SELECT * FROM slot_data('2015:181', '2015:183', 9)", "slot 9 "),
    ("SELECT * FROM slot_data('2015:181', '2015:183', -1)", "slot -1 "),
    ("SELECT * FROM slot_data('2015:181', '2015:183', 8)", "slot 8 "),
    ("SELECT * FROM slot_data('2015:181', '2015:183', NULL)", "slot null "),
    ("SELECT TMIE FROM slot_data('2015:181', '2015:183', 3)", '"TMIE"'),
    ("SELECT * FROM slot_data('2015:181', '2015:183', 3) WHERE QUALTIY = 0", '"QUALTIY"'),
    ("SELECT * FROM slot_date('2015:181', '2015:183', 3)", "slot_date"),
    ("SELECT * FROM slot_data('2015:181', '2015:183')", "slot_data"),
    ("SELECT * FROM aca_images('yesterday', '2015:183')", "'yesterday' is not a time"),
    ("SELECT * FROM aca_images('2015:181', 'tomorrow')", "'tomorrow' is not a time"),
    ("SELECT * FROM aca_images('2015:183', '2015:182')", "stop .* is before start"),
    ("SELECT * FROM aca_images('2015:181', NULL)", "start or stop is null"),
    ("SELECT QUALITY FROM aca_images('2015:181', '2015:183')", '"QUALITY"'),
    ("SELECT * FROM aca_l0_source_files('yesterday', '2015:183')", "'yesterday' is not a time"),
    ("SELECT * FROM aca_l0_source_files('2015:181', 'tomorrow')", "'tomorrow' is not a time"),
    ("SELECT * FROM aca_l0_source_files('2000:181', 'tomorrow')", "'tomorrow' is not a time"),
    ("SELECT * FROM aca_l0_source_files('tomorrow', '2000:001')", "'tomorrow' is not a time"),
    ("SELECT * FROM aca_l0_source_files('2015:183', '2015:182')", "stop .* is before start"),
    ("SELEC 1", "SELEC"),
]


@pytest.mark.parametrize(("query", "message"), ERRORS, ids=[query for query, _ in ERRORS])
def test_a_wrong_query_is_a_value_error_that_says_what_is_wrong(lake: Lake, query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lake.arrow(query)


@pytest.mark.parametrize(("query", "message"), [error for error in ERRORS if "source_files" not in error[0]])
def test_a_wrong_query_is_found_before_it_runs(lake: Lake, query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lake.sql(query)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": "yesterday", "stop": "2015:183", "slot": 3}, "'yesterday' is not a time"),
        ({"start": "2015:181", "stop": "2015:183", "slot": 9}, "slot 9 "),
        ({"start": "2015:181", "stop": "2015:183", "slot": None}, "slot null "),
        ({"start": "2015:183", "stop": "2015:182", "slot": 3}, "is before start"),
        ({"start": "2015:181", "stop": "2015:183"}, "slot"),
    ],
)
def test_a_wrong_parameter_is_a_value_error_that_says_which(lake: Lake, params: Row, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lake.sql(SLOT_DATA, params)


@pytest.mark.parametrize("size", [4, 6, 8])
def test_image_8x8_puts_an_image_in_the_middle_of_a_square(lake: Lake, size: int) -> None:
    pixels = [float(n) for n in range(size * size)]
    found = lake.arrow("SELECT image_8x8($pixels::FLOAT[]) AS image", {"pixels": pixels}).column("image")[0].as_py()
    edge = (8 - size) // 2
    square = np.full((8, 8), None)
    square[edge : 8 - edge, edge : 8 - edge] = np.reshape(pixels, (size, size))
    assert found == square.ravel().tolist()


@pytest.fixture(scope="module")
def ask(lake: Lake) -> Callable[[str, Row], Row]:
    """Ask for values without rows; on one connection, as hypothesis asks often."""

    def asked(query: str, params: Row) -> Row:
        (row,) = lake.arrow(query, params).to_pylist()
        return row  # type: ignore[no-any-return]

    return asked


@given(
    pixels=st.sampled_from([4, 6, 8]).flatmap(
        lambda n: st.lists(st.floats(-100, 4000, width=32), min_size=n * n, max_size=n * n)
    ),
    row0=st.integers(-512, 511),
    col0=st.integers(-512, 511),
    bgd=st.floats(-50, 50),
    norm_clip=st.none() | st.floats(1, 100),
    zero=st.sampled_from(["center", "edge"]),
)
@settings(max_examples=60, deadline=None)
def test_centroids_are_those_of_an_image(
    ask: Callable[[str, Row], Row],
    pixels: list[float],
    row0: int,
    col0: int,
    bgd: float,
    norm_clip: float | None,
    zero: str,
) -> None:
    found = ask(
        "SELECT unnest(centroid_fm($pixels::FLOAT[], $row0, $col0, bgd := $bgd, norm_clip := $clip, "
        "pix_zero_loc := $zero)), image_sum($pixels::FLOAT[]) AS total, image_max($pixels::FLOAT[]) AS most",
        {"pixels": pixels, "row0": row0, "col0": col0, "bgd": bgd, "clip": norm_clip, "zero": zero},
    )
    size = math.isqrt(len(pixels))
    image = ACAImage(np.reshape(pixels, (size, size)), row0=row0, col0=col0)
    assert (found["total"], found["most"]) == (pytest.approx(sum(pixels), abs=1e-6), max(pixels))
    try:
        row, col, norm = image.aca.centroid_fm(bgd, zero, norm_clip)
    except ValueError:
        assert (found["row"], found["col"]) == (None, None)
        assert found["norm"] < 1e-6
        return
    if norm > 1e-3:  # else it is what rounding leaves
        assert (found["row"], found["col"]) == (pytest.approx(row, abs=1e-5), pytest.approx(col, abs=1e-5))
    assert found["norm"] == pytest.approx(norm, abs=1e-6)


@pytest.mark.parametrize("slot", [0, 3, 6])
def test_centroids_of_readouts_are_those_of_their_images(lake: Lake, slot: int) -> None:
    found = lake.sql(
        "SELECT IMGRAW, IMGROW0, IMGCOL0, unnest(centroid_fm(IMGRAW, IMGROW0, IMGCOL0)) "
        "FROM slot_data(0, 1e9, $slot) WHERE image_sum(IMGRAW) > 1000 LIMIT 20",
        {"slot": slot},
    ).fetchall()
    assert len(found) == 20
    for pixels, row0, col0, *centroid in found:
        image = ACAImage(np.reshape(pixels, (SIZES[slot], SIZES[slot])), row0=row0, col0=col0)
        assert centroid == pytest.approx(image.aca.centroid_fm())


def test_an_image_of_another_size_has_no_centroid(lake: Lake) -> None:
    assert lake.sql("SELECT centroid_fm([1.0, 2.0], 0, 0).norm").fetchall() == [(None,)]


def test_values_over_32767_are_themselves(lake: Lake, files: list[Path]) -> None:
    largest = lake.sql("SELECT count(*) FROM slot_data(0, 1e9, 0) WHERE BGDAVG = 65535").fetchall()
    assert largest == [(sum(path.name[18] == "0" for path in files),)]


def header(path: Path) -> Row:
    with fits.open(path) as hdus:
        names = (
            "TSTART",
            "TSTOP",
            "STARTMJF",
            "STARTMNF",
            "STOPMJF",
            "STOPMNF",
            "TLMVER",
            "ASCDSVER",
            "DATE",
            "REVISION",
        )
        return {name.lower(): hdus[1].header[name] for name in names} | {"rows": hdus[1].header["NAXIS2"]}


def test_source_file_has_every_file_with_what_its_header_says(lake: Lake, files: list[Path]) -> None:
    found = lake.arrow("FROM source_file ORDER BY filename").to_pylist()
    assert [row["filename"] for row in found] == [path.name for path in files]
    for row, path in zip(found, files, strict=True):
        said = header(path)
        assert {name: row[name] for name in said} == said
        slot = int(path.name[18])
        assert (row["product"], row["status"], row["reason"]) == ("aca_l0", "current", None)
        assert (row["directory"], row["size"]) == (str(path.parent), path.stat().st_size)
        assert (row["slot"], row["imgsize"]) == (slot, SIZES[slot])


@settings(deadline=None, max_examples=60)
@given(interval=ranges)
def test_source_files_of_a_range_are_those_whose_header_interval_meets_it(
    lake: Lake, files: list[Path], interval: list[float]
) -> None:
    start, stop = interval
    found = lake.arrow("FROM aca_l0_source_files($start, $stop)", {"start": start, "stop": stop}).to_pylist()
    headers = lake.arrow("FROM source_file ORDER BY filename").to_pylist()
    assert found == [row for row in headers if row["tstart"] < stop and row["tstop"] > start]


def test_source_files_do_not_meet_a_range_that_only_touches_them(lake: Lake, files: list[Path]) -> None:
    said = header(files[0])
    name = files[0].name
    query = f"SELECT count(*) FROM aca_l0_source_files($start, $stop) WHERE filename = '{name}'"
    for start, stop, count in [
        (said["tstart"] - 10, said["tstart"], 0),
        (said["tstart"] - 10, math.nextafter(said["tstart"], 1e99), 1),
        (said["tstop"], said["tstop"] + 10, 0),
        (math.nextafter(said["tstop"], 0), said["tstop"] + 10, 1),
    ]:
        assert lake.sql(query, {"start": start, "stop": stop}).fetchall() == [(count,)]


def test_source_files_are_sorted_by_file_time_when_it_gets_a_digit_more(tmp_path: Path) -> None:
    """CXC seconds have ten digits from September 2029."""
    for start in (1e9 - 100, 1e9 + 10):
        write_file(tmp_path, 6, readouts(6, 4, start + 1.025 * np.arange(40)))
    ingest([tmp_path], tmp_path / "lake", jobs=1)
    found = Lake(tmp_path / "lake").sql("SELECT tstart FROM aca_l0_source_files('2029:001', '2030:001')").fetchall()
    assert len(found) == 2
    assert found == sorted(found)


def test_source_files_given_up_are_known_but_not_current(tmp_path: Path) -> None:
    columns = readouts(6, 4, 7e8 + 1.025 * np.arange(40))
    for revision in (1, 2):
        write_file(tmp_path, 6, columns, revision=revision)
    ingest([tmp_path], tmp_path / "lake", jobs=1)
    lake = Lake(tmp_path / "lake")
    known = lake.sql("SELECT revision, status FROM source_file ORDER BY revision").fetchall()
    assert known == [(1, "superseded"), (2, "current")]
    assert lake.sql("SELECT revision FROM aca_l0_source_files(0, 1e9)").fetchall() == [(2,)]


def test_partition_has_a_row_for_each_day_and_slot(lake: Lake, expected: list[list[Row]]) -> None:
    wanted = []
    for slot, rows in enumerate(expected):
        days: dict[str, list[Row]] = {}
        for row in rows:
            days.setdefault(f"{utc_day(row['TIME']):%Y:%j}", []).append(row)
        for day, of_day in sorted(days.items()):
            times = [row["TIME"] for row in of_day]
            number_of_files = len({row["FILENAME"] for row in of_day})
            wanted.append(
                ("aca_l0", int(day[:4]), int(day[5:]), slot, len(times), times[0], times[-1], number_of_files)
            )
    found = lake.sql(
        "SELECT table_name, year, doy, slot, rows, tstart, tstop, files FROM partition "
        "WHERE table_name = 'aca_l0' ORDER BY slot, doy"
    )
    assert found.fetchall() == wanted
    sizes = lake.sql("SELECT path, bytes, day_number, year, doy FROM partition").fetchall()
    for path, size, number, year, doy in sizes:
        assert (lake.root / path).stat().st_size == size
        assert datetime(1998, 1, 1) + timedelta(days=number) == datetime(year, 1, 1) + timedelta(days=doy - 1)


def test_rows_are_in_the_partition_of_their_utc_day(lake: Lake) -> None:
    before, after = (
        duckdb.read_parquet(str(lake.root / f"aca_l0/year=2015/doy={doy}/slot=0/data.parquet")) for doy in (181, 182)
    )
    assert before.aggregate("max(TIME) < " + repr(MIDNIGHT)).fetchall() == [(True,)]
    assert after.aggregate("min(TIME) = " + repr(MIDNIGHT)).fetchall() == [(True,)]


def test_status_sums_up_the_table(lake: Lake, files: list[Path], expected: list[list[Row]]) -> None:
    status = lake.arrow("FROM status WHERE table_name = 'aca_l0'").to_pylist()
    size, partitions = lake.sql("SELECT sum(bytes), count(*) FROM partition WHERE table_name = 'aca_l0'").fetchall()[0]
    times = [row["TIME"] for rows in expected for row in rows]
    assert status == [
        {
            "table_name": "aca_l0",
            "partitions": partitions,
            "files": len(files),
            "rows": len(times),
            "bytes": size,
            "start": utc(min(times)),
            "stop": utc(max(times)),
            "days": 4,
            "span": 6,
        }
    ]


def test_a_range_without_data_opens_no_partition(files: list[Path], tmp_path: Path) -> None:
    ingest(files, tmp_path / "lake", jobs=1)
    for path in (tmp_path / "lake").rglob("*.parquet"):
        if "pinned" in path.parts:
            path.write_bytes(b"not to be read")
    lake = Lake(tmp_path / "lake")
    for start, stop in [("2015:100", "2015:101"), ("2015:183:00:01", "2015:184:23:59"), ("2015:187:00:01", "2016:001")]:
        assert lake.sql(f"FROM slot_data('{start}', '{stop}', 3)").fetchall() == []
        assert lake.sql(f"FROM aca_images('{start}', '{stop}')").fetchall() == []
    with pytest.raises(duckdb.Error):
        lake.sql("FROM slot_data('2015:182', '2015:183', 3)").fetchall()


def test_a_day_between_two_others_opens_no_partition(lake: Lake) -> None:
    count = "SELECT len(aca_l0_files(cxcsec('{0}:01:00'), cxcsec('{0}:23:00'), 3))"
    empty, full = (lake.sql(count.format(day)).fetchall()[0][0] for day in ("2015:184", "2015:182"))
    assert full == empty + 1


def test_a_lake_without_files_answers_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    ingest([tmp_path / "none"], tmp_path / "lake", jobs=1)
    lake = Lake(tmp_path / "lake")
    for query in ("slot_data(0, 1e9, 3)", "aca_images(0, 1e9)", "aca_l0_source_files(0, 1e9)", "partition", "status"):
        found = lake.sql("FROM " + query)
        assert len(found.columns) > 5
        assert found.fetchall() == []


@pytest.mark.parametrize(
    ("macro", "params"),
    [
        ("slot_data('2024:001', '2024:002', 3)", None),
        ("slot_data($start, $stop, $slot)", {"start": "2024:001", "stop": datetime(2024, 1, 2), "slot": 3}),
        ("slot_data($start, $stop, 3)", {"start": cxcsec("2024:001"), "stop": cxcsec("2024:002")}),
        ("aca_images('2024-01-01', TIMESTAMP '2024-01-02')", None),
    ],
    ids=lambda value: str(value)[:50],
)
def test_times_become_constants_in_the_filter_of_the_scan(lake: Lake, macro: str, params: Row | None) -> None:
    """Otherwise they would be computed for every row, and no row group could be left out."""
    plan = lake.sql(f"EXPLAIN SELECT TIME FROM {macro}", params).fetchall()[0][1]
    scan = re.search(r"Read Parquet.*", plan, re.DOTALL | re.IGNORECASE)
    assert scan is not None
    assert re.search(rf"TIME ?>= ?{re.escape(str(cxcsec('2024:001')))}\b", scan[0])
    assert re.search(rf"TIME ?<= ?{re.escape(str(cxcsec('2024:002')))}\b", scan[0])
