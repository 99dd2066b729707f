"""Dark current calibrations as the facade answers them: as the reference did, and as the files say."""

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mica_lake.aca_image import ACAImage
from mica_lake.archive.aca_dark.dark_cal import (
    dark_id_to_date,
    dark_temp_scale,
    date_to_dark_id,
    get_dark_cal_dirs,
    get_dark_cal_id,
    get_dark_cal_ids,
    get_dark_cal_image,
    get_dark_cal_props,
    get_dark_cal_props_table,
)
from mica_lake.errors import LakeError, MissingDataError
from mica_lake.ingest.dark_cal import ingest
from mica_lake.simulate import dark_cal
from mica_lake.times import cxcsec, day_start, utc

# --- as the reference answered ----------------------------------------------------------------------------------------

GOLDEN = Path(__file__).resolve().parents[4] / "shared" / "golden"
ANSWERS: dict[str, Any] = (
    {k: v for k, v in json.loads((GOLDEN / "archive.json").read_text()).items() if k.startswith("dark.")}
    if GOLDEN.is_dir()
    else {}
)
IMAGES = {
    'dark.image|{}': {},
    'dark.image|{"t_ccd_ref": -15.0}': {"t_ccd_ref": -15.0},
    'dark.image|{"allow_negative": true}': {"allow_negative": True},
    'dark.image|{"allow_negative": true, "select": "nearest", "t_ccd_ref": -4.0}': {
        "allow_negative": True, "select": "nearest", "t_ccd_ref": -4.0
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def golden_archive(golden_ska: Path, place: Callable[[str], str]) -> tuple[Path, str]:
    """The archive that the reference was asked about, and a lake of it."""
    lake = place("dark_cal")
    assert ingest(golden_ska, lake, jobs=1).set_aside == {}
    return golden_ska, lake


def plain(table: Table) -> dict[str, Any]:
    """A table as the golden answers have it."""
    rows = [[None if value is np.ma.masked else np.asarray(value).item() for value in row] for row in table]
    return {"colnames": table.colnames, "rows": rows}


def one_id(date: str, select: str, lake: Path) -> Any:
    try:
        return get_dark_cal_id(float(date) if date.replace(".", "").isdigit() else date, select, data_root=lake)
    except MissingDataError:
        return {"raises": "MissingDataError"}


def none_or(value: str) -> str | None:
    return None if value == "None" else value


ASK: dict[str, Callable[..., Any]] = {
    "dark.dirs": lambda ska, lake: {
        i: Path(folder).relative_to(ska).as_posix() for i, folder in get_dark_cal_dirs(data_root=lake).items()
    },
    "dark.ids": lambda _, lake: get_dark_cal_ids(data_root=lake),
    "dark.id": lambda _, lake, date, select=None: (
        one_id(date, select, lake)
        if select
        else get_dark_cal_id(["2007:008", "2019:200", "2030:001"], data_root=lake).tolist()
    ),
    "dark.props": lambda _, lake, dark_id: get_dark_cal_props(dark_id_to_date(dark_id), data_root=lake),
    "dark.table": lambda _, lake, start, stop: plain(get_dark_cal_props_table(none_or(start), stop, data_root=lake)),
    "dark.scale": lambda *_: [
        dark_temp_scale(-15), dark_temp_scale(-15, -4), dark_temp_scale(-7.5), dark_temp_scale(-15, -19, 2)
    ],
}  # fmt: skip


def test_all_golden_answers_are_asked_for(shared: Path) -> None:
    assert len(ANSWERS) > 20
    assert {key.split("|")[0] for key in ANSWERS} == set(ASK)
    with np.load(shared / "golden" / "archive.npz") as answers:
        assert {key for key in answers.files if key.startswith("dark.")} == set(IMAGES)


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_answers(key: str, golden_archive: tuple[Path, str]) -> None:
    name, *arguments = key.split("|")
    found = ASK[name](*golden_archive, *arguments)
    if name == "dark.scale":
        np.testing.assert_allclose(found, ANSWERS[key], rtol=1e-15)
    else:
        assert found == ANSWERS[key]


@pytest.mark.parametrize("key", IMAGES)
def test_golden_images(key: str, shared: Path, golden_archive: tuple[Path, str]) -> None:
    """Sum, least, greatest, how many above 100, and two pixels."""
    image = get_dark_cal_image("2012:200", data_root=golden_archive[1], **IMAGES[key])
    assert image.dtype == np.float32
    found = [image.sum(dtype=float), image.min(), image.max(), (image > 100).sum(), image[511, 511], image[510, 510]]
    with np.load(shared / "golden" / "archive.npz") as answers:
        np.testing.assert_allclose(found, answers[key], rtol=1e-7)


# --- images -----------------------------------------------------------------------------------------------------------

OLD, NEW = "2005123", "2022069"


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dark") / "ska"
    for dark_id in (OLD, NEW):
        dark_cal.write_calibration(folder, dark_id)
    return folder


@pytest.fixture(scope="module")
def lake(ska: Path) -> Path:
    """A lake of an older and a newer calibration, not to be changed."""
    ingest(ska, ska.parent / "lake", jobs=1)
    return ska.parent / "lake"


def folder_of(ska: Path, dark_id: str) -> Path:
    return ska / "data/mica/archive/aca_dark" / dark_id


def original(ska: Path, dark_id: str) -> NDArray[np.float32]:
    with fits.open(folder_of(ska, dark_id) / "image.fits", memmap=False) as hdus:
        image: NDArray[np.float32] = hdus[0].data.astype(np.float32)
    return image


def properties(ska: Path, dark_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder_of(ska, dark_id) / "properties.json").read_text())
    return found


@pytest.mark.parametrize("dark_id", [OLD, NEW])
def test_an_image_is_that_of_the_file_bit_by_bit(dark_id: str, ska: Path, lake: Path) -> None:
    image = original(ska, dark_id)
    assert (image < 0).any()
    found = get_dark_cal_image(dark_id_to_date(dark_id), allow_negative=True, data_root=lake)
    assert (found.shape, found.dtype, type(found)) == ((1024, 1024), np.float32, np.ndarray)
    assert found.tobytes() == image.tobytes()
    clipped = get_dark_cal_image(dark_id_to_date(dark_id), data_root=lake)
    np.testing.assert_array_equal(clipped, np.where(image < 0, 0, image))


@pytest.mark.parametrize("aca_image", [True, False])
def test_no_caller_can_spoil_the_image_of_another(aca_image: bool, ska: Path, lake: Path) -> None:
    ask = lambda: get_dark_cal_image("2022:069", allow_negative=True, aca_image=aca_image, data_root=lake)  # noqa: E731
    first, second = ask(), ask()
    first[:] = -1
    assert not np.shares_memory(first, second)
    with_properties = get_dark_cal_props("2022:069", include_image=True, allow_negative=True, data_root=lake)
    for image in (second, ask(), with_properties["image"], ask()):
        assert np.asarray(image).tobytes() == original(ska, NEW).tobytes()
        image += 1


@pytest.mark.parametrize("t_ccd_ref", [-19.0, -15, -4.0, 0.0])
def test_an_image_is_scaled_from_its_own_temperature(t_ccd_ref: float, ska: Path, lake: Path) -> None:
    for dark_id in (OLD, NEW):
        scale = (1 / 0.7) ** ((t_ccd_ref - properties(ska, dark_id)["ccd_temp"]) / 4)
        expected = original(ska, dark_id).astype(float) * scale
        found = get_dark_cal_image(dark_id_to_date(dark_id), t_ccd_ref=t_ccd_ref, data_root=lake)
        np.testing.assert_allclose(found, np.clip(expected, 0, None), rtol=1e-6)
        found = get_dark_cal_image(
            dark_id_to_date(dark_id), t_ccd_ref=t_ccd_ref, allow_negative=True, data_root=lake
        )  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert (found.dtype, found.min() < 0) == (np.float32, True)


def test_an_aca_image_has_absolute_coordinates(ska: Path, lake: Path) -> None:
    image = get_dark_cal_image("2022:069", aca_image=True, allow_negative=True, data_root=lake)
    assert isinstance(image, ACAImage)
    assert (image.row0, image.col0, image.dtype) == (-512, -512, np.float32)
    expected = original(ska, NEW)
    np.testing.assert_array_equal(np.asarray(image), expected)
    for row, col in [(-512, -512), (-512, 511), (511, -512), (0, 0), (-1, 7), (100, -300)]:
        assert image.aca[row, col] == expected[row + 512, col + 512]
    np.testing.assert_array_equal(np.asarray(image.aca[-10:-5, 3:9]), expected[502:507, 515:521])


def test_select_chooses_the_image(ska: Path, lake: Path) -> None:
    for select, dark_id in [("before", OLD), ("after", NEW), ("nearest", NEW)]:
        image = get_dark_cal_image("2015:001", select, allow_negative=True, data_root=lake)
        np.testing.assert_array_equal(image, original(ska, dark_id))


def test_a_corrected_temperature_and_a_changed_image_are_seen(ska: Path, tmp_path: Path) -> None:
    """What was cached does not outlive an ingest."""
    top, lake = tmp_path / "aca_dark", tmp_path / "lake"
    shutil.copytree(folder_of(ska, NEW), top / NEW)
    ingest(top, lake, jobs=1)
    ask = lambda **how: get_dark_cal_image("2022:069", allow_negative=True, data_root=lake, **how)  # noqa: E731
    observed = ask()
    (top / NEW / "properties.json").write_text(json.dumps(properties(ska, NEW) | {"ccd_temp": -19.0}))
    ingest(top, lake, jobs=1)
    assert get_dark_cal_props("2022:069", data_root=lake)["ccd_temp"] == -19.0
    np.testing.assert_array_equal(ask(t_ccd_ref=-19.0), observed)
    other = np.zeros((1024, 1024), np.float32)
    other[3, 4] = 7
    fits.PrimaryHDU(other).writeto(top / NEW / "image.fits", overwrite=True)
    ingest(top, lake, jobs=1)
    np.testing.assert_array_equal(ask(), other)


# --- properties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark_id", [OLD, NEW])
def test_properties_are_those_of_the_file(dark_id: str, ska: Path, lake: Path) -> None:
    found = get_dark_cal_props(dark_id_to_date(dark_id), data_root=lake)
    assert found == properties(ska, dark_id)
    assert list(found) == list(properties(ska, dark_id))
    found["replicas"] = "changed"
    assert get_dark_cal_props(dark_id_to_date(dark_id), data_root=lake) == properties(ska, dark_id)


def test_the_image_may_be_among_the_properties(ska: Path, lake: Path) -> None:
    options: dict[str, Any] = {"t_ccd_ref": -15.0, "aca_image": True, "allow_negative": True, "data_root": lake}
    found = get_dark_cal_props("2022:070", "nearest", include_image=True, **options)
    image = found.pop("image")
    assert found == properties(ska, NEW)
    assert isinstance(image, ACAImage)
    np.testing.assert_array_equal(
        np.asarray(image), np.asarray(get_dark_cal_image("2022:070", "nearest", **options))
    )  # fmt: skip


def test_a_table_has_the_scalar_properties_in_the_order_in_which_they_are_met(ska: Path, lake: Path) -> None:
    table = get_dark_cal_props_table(data_root=lake)
    scalars = [{k: v for k, v in properties(ska, i).items() if not isinstance(v, list | dict)} for i in (OLD, NEW)]
    assert table.colnames == list(dict.fromkeys([*scalars[0], *scalars[1]]))
    for n, row in enumerate(scalars):
        for name in table.colnames:
            value = table[name][n]
            if name in row:
                assert (int(row[name]) if name == "id" else row[name]) == value
            else:
                assert value is np.ma.masked
    assert table["id"].dtype.kind == "i"
    assert not hasattr(table["ccd_temp"], "mask")


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (None, None, [OLD, NEW]),
        ("2005:123:23:59:59", "2022:068", [OLD]),  # the day of start is in it
        ("2005:124", "2022:069:00:00:00", [NEW]),  # and that of stop
        ("2005:124", "2022:068:23:59:59", []),
    ],
)
def test_a_table_is_of_the_days_from_start_to_stop(
    start: str | None, stop: str | None, expected: list[str], ska: Path, lake: Path
) -> None:
    found = get_dark_cal_props_table(start, stop, as_table=False, data_root=lake)
    assert found == [properties(ska, dark_id) for dark_id in expected]
    table = get_dark_cal_props_table(start, stop, data_root=lake)
    assert len(table) == len(expected)
    if expected:
        assert table["date"].tolist() == [properties(ska, dark_id)["date"] for dark_id in expected]


def test_images_may_be_in_the_table(ska: Path, lake: Path) -> None:
    table = get_dark_cal_props_table("2022:001", include_image=True, data_root=lake)
    listed = get_dark_cal_props_table("2022:001", include_image=True, as_table=False, data_root=lake)
    expected = np.clip(original(ska, NEW), 0, None)
    assert (len(table), len(listed), table["image"].dtype) == (1, 1, np.float32)
    np.testing.assert_array_equal(table["image"][0], expected)
    np.testing.assert_array_equal(listed[0]["image"], expected)


@pytest.fixture
def two(tmp_path: Path) -> Callable[[dict[str, Any], dict[str, Any]], Path]:
    """Make a lake of two calibrations with these properties besides those that all have."""
    image = np.zeros((1024, 1024), np.float32)

    def make(first: dict[str, Any], second: dict[str, Any]) -> Path:
        for dark_id, more in [(OLD, first), (NEW, second)]:
            (tmp_path / "f" / dark_id).mkdir(parents=True)
            fits.PrimaryHDU(image).writeto(tmp_path / "f" / dark_id / "image.fits")
            own = {"date": dark_id_to_date(dark_id), "ccd_temp": -10.0} | more
            (tmp_path / "f" / dark_id / "properties.json").write_text(json.dumps(own))
        assert ingest(tmp_path / "f", tmp_path / "lake", jobs=1).set_aside == {}
        return tmp_path / "lake"

    return make


MIXED: dict[str, tuple[dict[str, Any], dict[str, Any], list[Any]]] = {
    "integer and real": ({"x": 1}, {"x": 2.5}, [1.0, 2.5]),
    "text and nothing": ({"x": "a"}, {}, ["a", None]),
    "null and integer": ({"x": None}, {"x": 7}, [None, 7]),
    "true and null": ({"x": True}, {"x": None}, [True, None]),
    "null everywhere": ({"x": None}, {"x": None}, [None, None]),
    "text and a list": ({"x": "a"}, {"x": [1, 2]}, ["a", None]),
    "an id that is not a number": ({"id": "x"}, {"id": "y"}, ["x", "y"]),
}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [pytest.param(*case, id=name) for name, case in MIXED.items()],
)
def test_a_table_of_mixed_properties(
    first: dict[str, Any], second: dict[str, Any], expected: list[Any], two: Callable[..., Path]
) -> None:
    table = get_dark_cal_props_table(data_root=two(first, second))
    assert len(table) == 2
    name = next(iter(first))
    found = table[name].tolist() if name in table.colnames else [None, None]
    assert found == expected


# --- which calibration ------------------------------------------------------------------------------------------------

days = st.dates(date(1998, 1, 1), date(2199, 12, 31)) | st.sampled_from(
    [date(2000, 2, 29), date(2016, 12, 31), date(2000, 12, 31), date(2100, 12, 31), date(2015, 6, 30), date(1998, 1, 1)]
)


@given(days, st.integers(0, 86_399_999))
def test_an_id_is_the_day_of_a_date_and_back(day: date, ms: int) -> None:
    dark_id = f"{day:%Y%j}"
    assert dark_id_to_date(dark_id) == f"{day:%Y:%j}"
    assert date_to_dark_id(dark_id_to_date(dark_id)) == dark_id
    assert date_to_dark_id(day.isoformat()) == dark_id
    assert date_to_dark_id(day_start(day) + ms / 1000) == dark_id
    assert date_to_dark_id(utc(day_start(day) + ms / 1000)) == dark_id
    # An id may be a number, as it is in the table of properties.
    assert dark_id_to_date(int(dark_id)) == dark_id_to_date(dark_id)


@pytest.mark.parametrize("second", ["2016:366:23:59:60", "2016:366:23:59:60.999", "2015:181:23:59:60.5"])
def test_a_leap_second_belongs_to_the_day_that_it_ends(second: str) -> None:
    assert date_to_dark_id(second) == second[:4] + second[5:8]


@given(st.lists(days, min_size=1, max_size=6))
def test_arrays_are_converted_one_by_one(listed: list[date]) -> None:
    dark_ids = [f"{day:%Y%j}" for day in listed]
    dates = dark_id_to_date(dark_ids)
    assert isinstance(dates, np.ndarray)
    assert dates.tolist() == [dark_id_to_date(dark_id) for dark_id in dark_ids]
    for given_dates in (dates, dates.tolist(), tuple(dates), np.array([cxcsec(d) for d in dates])):
        found = date_to_dark_id(given_dates)
        assert (found.shape, found.tolist()) == ((len(listed),), dark_ids)
    square = date_to_dark_id(np.array([dates, dates]))
    assert square.tolist() == [dark_ids, dark_ids]


def test_an_array_of_astropy_times_is_converted() -> None:
    assert date_to_dark_id(Time(["2007-01-08", "2016-12-31"], scale="utc")).tolist() == ["2007008", "2016366"]


@pytest.mark.parametrize(
    "dark_id", ["2007", "20070061", "2007000", "2007367", "abcdefg", "", "2007 06", "-007006", None]
)
def test_what_is_no_id_is_an_error_that_names_it(dark_id: Any) -> None:
    with pytest.raises(ValueError, match=f"{dark_id!r} is not a dark id"):
        dark_id_to_date(dark_id)
    with pytest.raises(ValueError, match="is not a dark id"):
        dark_id_to_date(["2007006", dark_id])


def test_day_366_of_a_common_year_is_no_id() -> None:
    with pytest.raises(ValueError, match="'2007366' is not a dark id"):
        dark_id_to_date("2007366")
    assert dark_id_to_date("2008366") == "2008:366"


@pytest.mark.parametrize("bad", ["yesterday", "2007:366", "2007-13-01", True, float("nan"), "2016:365:23:59:60"])
def test_what_is_no_date_is_an_error_that_names_it(bad: Any, lake: Path) -> None:
    for ask in (
        date_to_dark_id,
        lambda d: date_to_dark_id(["2007:006", d]) if isinstance(d, str) else date_to_dark_id(d),
        lambda d: get_dark_cal_id(d, data_root=lake),
        lambda d: get_dark_cal_image(d, data_root=lake),
        lambda d: get_dark_cal_props(d, data_root=lake),
        lambda d: get_dark_cal_props_table(d, data_root=lake),
        lambda d: get_dark_cal_props_table(stop=d, data_root=lake),
    ):
        with pytest.raises(ValueError, match=str(bad)):
            ask(bad)


near = st.builds(
    lambda day, ms: day_start(date(2015, 1, 1) + timedelta(days=day)) + ms / 1000,
    st.integers(0, 60), st.just(0) | st.integers(0, 86_400_000),
)  # fmt: skip
id_lists = st.lists(st.integers(0, 60), max_size=8).map(
    lambda numbers: [f"{date(2015, 1, 1) + timedelta(days=n):%Y%j}" for n in numbers]
)


def by_definition(time: float, select: str, ids: list[str]) -> str | None:
    """The calibration for a time, by trying all."""
    starts = {dark_id: cxcsec(f"{dark_id[:4]}:{dark_id[4:]}") for dark_id in ids}
    today = utc(time)[:4] + utc(time)[5:8]
    if today in ids:
        return today
    if select == "before":
        return max((i for i in ids if starts[i] <= time), default=None)
    if select == "after":
        return min((i for i in ids if starts[i] >= time), default=None)
    return min(sorted(ids), key=lambda i: abs(starts[i] - time), default=None)


@settings(max_examples=200)
@given(near, st.sampled_from(["before", "after", "nearest"]), id_lists)
def test_the_calibration_for_a_time_is_that_of_the_definition(time: float, select: str, ids: list[str]) -> None:
    expected = by_definition(time, select, ids)
    for among in (ids, {dark_id_to_date(i): i for i in ids}, tuple(ids), set(ids)):
        if expected is None:
            with pytest.raises(MissingDataError, match=utc(time) if ids else "the lake has none"):
                get_dark_cal_id(time, select, among)
        else:
            found = get_dark_cal_id(time, select, among)
            assert (found, isinstance(found, str)) == (expected, True)


@given(st.lists(near, min_size=1, max_size=5), st.sampled_from(["before", "after", "nearest"]))
def test_arrays_of_times_have_an_array_of_calibrations(times: list[float], select: str) -> None:
    ids = ["2014001", "2015020", "2015035", "2016001"]
    found = get_dark_cal_id(np.array(times), select, ids)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [by_definition(time, select, ids) for time in times]
    with pytest.raises(MissingDataError):
        get_dark_cal_id([*times, cxcsec("2013:001" if select == "before" else "2017:001")],
                        "before" if select == "before" else "after", ids)  # fmt: skip


@pytest.mark.parametrize("select", ["before", "after", "nearest"])
def test_one_of_that_very_day_is_taken_whatever_is_selected(select: str, lake: Path) -> None:
    for time in ("2005:123", "2005:123:12:00:00", "2005:123:23:59:59.999", OLD):
        assert get_dark_cal_id(time, select, data_root=lake) == OLD


def test_of_two_as_near_the_earlier_one_is_the_nearest() -> None:
    assert get_dark_cal_id("2015:020", "nearest", ["2015010", "2015030"]) == "2015010"
    assert get_dark_cal_id("2015:020:00:00:01", "nearest", ["2015010", "2015030"]) == "2015030"


def test_where_there_is_none_the_error_says_what_there_is(lake: Path) -> None:
    with pytest.raises(MissingDataError, match=r"before 2000:001:00:00:00.000; there are 2 from 2005123 to 2022069"):
        get_dark_cal_id("2000:001", data_root=lake)
    with pytest.raises(MissingDataError, match=r"after 2030:001:00:00:00.000"):
        get_dark_cal_image("2030:001", "after", data_root=lake)
    with pytest.raises(MissingDataError, match=r"before 2000:001"):
        get_dark_cal_props("2000:001", data_root=lake)
    with pytest.raises(MissingDataError, match=r"near 2000:001.*the lake has none"):
        get_dark_cal_id("2000:001", "nearest", [])


@pytest.mark.parametrize("select", ["Before", "last", "", None])
def test_another_selection_is_an_error_that_names_it(select: Any, lake: Path) -> None:
    for ask in (get_dark_cal_id, get_dark_cal_image, get_dark_cal_props):
        with pytest.raises(ValueError, match=f"select {select!r} is not one of before, after, nearest"):
            ask("2007:006", select, data_root=lake)


def test_an_id_among_which_to_choose_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="'latest' is not a dark id"):
        get_dark_cal_id("2007:006", dark_cal_ids=["2007006", "latest"])


def test_ids_and_folders_are_by_date(ska: Path, lake: Path) -> None:
    dirs, ids = get_dark_cal_dirs(data_root=lake), get_dark_cal_ids(data_root=lake)
    assert list(dirs.items()) == [(i, str(folder_of(ska, i))) for i in (OLD, NEW)]
    assert list(ids.items()) == [("2005:123:00:00:00.000", OLD), ("2022:069:00:00:00.000", NEW)]
    assert get_dark_cal_dirs(folder_of(ska, OLD).parent, lake) == dirs
    assert get_dark_cal_ids(dark_cals_dir=str(folder_of(ska, OLD).parent), data_root=lake) == ids
    assert get_dark_cal_dirs(dark_cals_dir=ska, data_root=lake) == {}


def test_a_lake_without_calibrations_has_none(tmp_path: Path) -> None:
    (tmp_path / "aca_dark").mkdir()
    ingest(tmp_path / "aca_dark", tmp_path / "lake", jobs=1)
    assert get_dark_cal_dirs(data_root=tmp_path / "lake") == get_dark_cal_ids(data_root=tmp_path / "lake") == {}
    with pytest.raises(MissingDataError, match="the lake has none"):
        get_dark_cal_image("2020:001", data_root=tmp_path / "lake")
    assert len(get_dark_cal_props_table(data_root=tmp_path / "lake")) == 0
    assert get_dark_cal_props_table(as_table=False, data_root=tmp_path / "lake") == []


def test_the_lake_is_that_of_the_environment_if_none_is_named(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LakeError):
        get_dark_cal_dirs()
    monkeypatch.setenv("MICA_LAKE", str(lake))
    assert list(get_dark_cal_dirs()) == [OLD, NEW]
    assert get_dark_cal_id("2015:001") == OLD


# --- scaling ----------------------------------------------------------------------------------------------------------

celsius = st.floats(-30, 30)


@given(celsius, celsius, st.floats(1.01, 3))
def test_the_scale_is_a_power_of_four_degrees(t_ccd: float, t_ccd_ref: float, scale_4c: float) -> None:
    found = dark_temp_scale(t_ccd, t_ccd_ref, scale_4c)
    assert type(found) is float
    assert found == pytest.approx(scale_4c ** ((t_ccd_ref - t_ccd) / 4), rel=1e-14)
    assert dark_temp_scale(t_ccd, t_ccd) == 1
    assert dark_temp_scale(t_ccd, t_ccd + 4, scale_4c) == pytest.approx(scale_4c, rel=1e-12)
    assert dark_temp_scale(t_ccd) == dark_temp_scale(t_ccd, -19.0, 1 / 0.7)


def test_the_scale_of_arrays_is_an_array() -> None:
    found = dark_temp_scale(np.array([-15.0, -11.0]), -19)
    np.testing.assert_allclose(found, [0.7, 0.49], rtol=1e-14)
    found = dark_temp_scale([-15, -11], [[-19], [-15]])
    np.testing.assert_allclose(found, [[0.7, 0.49], [1, 0.7]], rtol=1e-14)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_scale_has_the_type_of_the_temperatures(kind: Any) -> None:
    found = dark_temp_scale(np.array([-15.0, -11.0], kind))
    assert found.dtype == kind
    np.testing.assert_allclose(found, [0.7, 0.49], rtol=1e-6)
    assert type(dark_temp_scale(kind(-15.0))) is kind
    assert type(dark_temp_scale(-15)) is float
    assert dark_temp_scale(-15.0, scale_4c=None) == dark_temp_scale(-15.0)


def test_what_is_masked_has_no_scale() -> None:
    t_ccd = np.ma.array([-15.0, -100.0, -11.0], np.float32, mask=[False, True, False])
    for found in (
        dark_temp_scale(t_ccd, -19.0),
        dark_temp_scale(np.float32([-15, -11, -11]), np.ma.array([-19, -19, -19], np.float32, mask=t_ccd.mask)),
    ):
        assert type(found) is np.ma.MaskedArray
        assert found.mask.tolist() == [False, True, False]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.compressed(), [0.7, 0.49], rtol=1e-6)
    assert dark_temp_scale(t_ccd, [[-19.0], [-15.0]]).mask.tolist() == [[False, True, False]] * 2


def test_numpys_double_scales_an_image_in_double(lake: Path) -> None:
    """As the reference does: what is multiplied is a float32 image, by a Python float or by a double."""
    raw = get_dark_cal_image(NEW, allow_negative=True, data_root=lake)
    t_ccd = get_dark_cal_props(NEW, data_root=lake)["ccd_temp"]
    scale = (1 / 0.7) ** ((-10.3 - t_ccd) / 4)
    double = get_dark_cal_image(NEW, t_ccd_ref=np.float64(-10.3), allow_negative=True, data_root=lake)
    np.testing.assert_array_equal(double, (raw.astype(np.float64) * scale).astype(np.float32))
    single = get_dark_cal_image(NEW, t_ccd_ref=-10.3, allow_negative=True, data_root=lake)
    np.testing.assert_array_equal(single, raw * np.float32(scale))
    assert single.dtype == double.dtype == np.float32
    assert (single != double).any()


class DateTime:
    """As Chandra.Time's, which raises errors of its own for an attribute that it lacks; numpy asks for many."""

    def __init__(self, date: str) -> None:
        self.__dict__.update(date=date, secs=cxcsec(date))

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no such format: {name}")


def test_a_datetime_of_chandra_is_a_date(lake: Path) -> None:
    date = DateTime("2022:070:01:00:00.000")
    assert date_to_dark_id(date) == "2022070"
    assert date_to_dark_id([date, DateTime("2007:006")]).tolist() == ["2022070", "2007006"]
    assert get_dark_cal_id(date, data_root=lake) == NEW
    assert get_dark_cal_image(date, data_root=lake).shape == (1024, 1024)
    assert get_dark_cal_props(date, data_root=lake)["ccd_temp"] == get_dark_cal_props(NEW, data_root=lake)["ccd_temp"]
    assert len(get_dark_cal_props_table(DateTime("2022:001"), date, data_root=lake)) == 1


@pytest.mark.parametrize(
    "date", [np.datetime64("2007-01-06T12:00:00.000000000"), "2007006", b"2007006.1200", " 2007-01-06 12:00"]
)
def test_a_date_is_any_time(date: Any) -> None:
    assert date_to_dark_id(date) == "2007006"
    assert date_to_dark_id(np.array([date])).tolist() == ["2007006"]


def test_a_stop_before_the_start_is_an_error_that_shows_both(lake: Path) -> None:
    with pytest.raises(ValueError, match="stop '2007:001' is before start '2008:001'"):
        get_dark_cal_props_table("2008:001", "2007:001", data_root=lake)
