"""The macros against the functions of Python on random ranges of one lake: two doors to the same rows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.archive.aca_l0 import get_aca_images, get_files, get_l0_images, get_slot_data
from mica_lake.archive.asp_l1 import get_atts
from mica_lake.archive.obspar import get_obsids, get_obspar
from mica_lake.lake import Lake
from mica_lake.times import cxcsec, utc

START = cxcsec("2024:001")
# Before, in and after the two hours of the lake; a number, or the text of it to a millisecond.
seconds = st.one_of(st.floats(START - 600, START + 8000), st.integers(-60, 7400).map(lambda n: START + 1.025 * n))
times = st.one_of(seconds, seconds.map(utc))
ranges = st.tuples(times, times).map(lambda pair: sorted(pair, key=cxcsec))
random_ranges = settings(deadline=None, max_examples=20)


@pytest.fixture(scope="module")
def lake(demo_lake: str) -> Lake:
    return Lake(demo_lake)


def asked(lake: Lake, query: str, interval: list[Any], **params: Any) -> dict[str, list[Any]]:
    answer: dict[str, list[Any]] = lake.arrow(query, {"start": interval[0], "stop": interval[1], **params}).to_pydict()
    return answer


@random_ranges
@given(interval=ranges, slot=st.integers(0, 7))
def test_slot_data_and_get_slot_data(interval: list[Any], slot: int, lake: Lake) -> None:
    rows = asked(lake, "FROM slot_data($start, $stop, $slot)", interval, slot=slot)
    data = get_slot_data(*interval, slot, data_root=lake.root)
    assert len(data) == len(rows["TIME"])
    for name in data.dtype.names or ():
        if name == "IMGRAW":
            images = [[v for v in image.filled(np.nan).tolist() if v == v] for image in data[name]]
            assert images == rows[name]
        elif name in ("BGDAVG", "BGDRMS", "IMGSCALE"):
            # Those over 32767 are negative in Python, as ever.
            assert data[name].tolist() == [None if v is None else int(np.uint16(v).view(np.int16)) for v in rows[name]]
        else:
            assert data[name].tolist() == rows[name], name


@random_ranges
@given(interval=ranges, slot=st.integers(0, 7))
def test_slot_data_and_get_l0_images(interval: list[Any], slot: int, lake: Lake) -> None:
    query = "SELECT TIME, IMGROW0, IMGCOL0, IMGRAW FROM slot_data($start, $stop, $slot) WHERE QUALITY = 0"
    rows = asked(lake, query, interval, slot=slot)
    images = get_l0_images(*interval, slot, data_root=lake.root)
    assert [image.TIME for image in images] == rows["TIME"]
    assert [(image.row0, image.col0) for image in images] == list(zip(rows["IMGROW0"], rows["IMGCOL0"], strict=True))
    assert [np.asarray(image).ravel().tolist() for image in images] == rows["IMGRAW"]


@random_ranges
@given(interval=st.builds(lambda start, length: [start, start + length], seconds, st.floats(0, 60)))
def test_aca_images_and_get_aca_images(interval: list[Any], lake: Lake) -> None:
    rows = asked(lake, "SELECT * EXCLUDE (IMGRAW) FROM aca_images($start, $stop)", interval)
    table = get_aca_images(*interval, data_root=lake.root)
    assert table.colnames == list(rows)
    for name in table.colnames:
        values = table[name].reshape(len(table), 64).tolist() if name == "IMG" else table[name].tolist()
        assert values == rows[name], name


@random_ranges
@given(interval=ranges)
def test_aca_l0_source_files_and_get_files(interval: list[Any], lake: Lake) -> None:
    rows = asked(lake, "FROM aca_l0_source_files($start, $stop)", interval)
    paths = [f"{directory}/{name}" for directory, name in zip(rows["directory"], rows["filename"], strict=True)]
    assert get_files(start=interval[0], stop=interval[1], data_root=lake.root) == paths


@random_ranges
@given(interval=ranges)
def test_obspar_and_get_obsids(interval: list[Any], lake: Lake) -> None:
    query = """
        SELECT obsid, tstart, tstop, detector
        FROM obspar
        WHERE isdefault AND tstart < cxcsec($stop) AND tstop > cxcsec($start)
    """
    rows = asked(lake, query, interval)
    assert get_obsids(*interval, data_root=lake.root) == rows["obsid"]
    for n, obsid in enumerate(rows["obsid"]):
        parameters = get_obspar(obsid, data_root=lake.root)
        assert parameters is not None
        for name in ("tstart", "tstop", "detector"):
            assert parameters[name] == rows[name][n]


@random_ranges
@given(interval=ranges, all_of_them=st.booleans())
def test_asp_sol_and_get_atts(interval: list[Any], all_of_them: bool, lake: Lake) -> None:
    query = "SELECT time FROM asp_sol($start, $stop) WHERE $everything OR asp_sol_status = 0"
    rows = asked(lake, query, interval, everything=all_of_them)
    _, found, _ = get_atts(start=interval[0], stop=interval[1], filter=not all_of_them, data_root=lake.root)
    assert found.tolist() == rows["time"]


def test_the_ranges_meet_an_observation_and_its_solutions(lake: Lake) -> None:
    whole = [START - 600, START + 8000]
    assert get_obsids(*whole, data_root=lake.root)
    assert asked(lake, "SELECT count(*) AS n FROM asp_sol($start, $stop)", whole)["n"][0] > 1000
