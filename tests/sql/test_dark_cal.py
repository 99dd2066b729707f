"""The views and macros of dark current: what SQL answers is what numpy says of the images."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mica_lake.archive.aca_dark.dark_cal import dark_temp_scale, get_dark_cal_image
from mica_lake.ingest.dark_cal import ingest
from mica_lake.lake import Lake
from mica_lake.times import cxcsec

SIDE = 1024
IDS = {"2005123": -5.5, "2013001": -19.0, "2022069": -10.25}
Image = NDArray[np.float32]


def image_of(number: int) -> Image:
    """Few pixels of each kind: cold, negative, in steps of 0.1, warm, saturated; mostly a value of the image's own."""
    rng = np.random.default_rng(number)
    image = np.full((SIDE, SIDE), [2.1, 3.5, 0.0][number], np.float32)
    at = tuple(rng.integers(0, SIDE, (2, 3000)))
    image[at] = np.rint(rng.lognormal(3, 2, 3000) * 10).astype(np.float32) / 10
    image[tuple(rng.integers(0, SIDE, (2, 500)))] = -np.rint(rng.lognormal(1, 1, 500) * 10).astype(np.float32) / 10
    image[tuple(rng.integers(0, SIDE, (2, 4)))] = [1e6, 3e9, 1e-6, -1e5]
    image[0, 0], image[0, 1023], image[1023, 0], image[512, 512] = 100, 101, 102, -7 - number
    return image


def write(top: Path, dark_id: str, image: Image, ccd_temp: float) -> None:
    (top / dark_id).mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    fits.PrimaryHDU(image).writeto(content)
    (top / dark_id / "image.fits").write_bytes(content.getvalue())
    properties = {"date": f"{dark_id[:4]}:{dark_id[4:]}:06:00:00.000", "ccd_temp": ccd_temp}
    (top / dark_id / "properties.json").write_text(json.dumps(properties))


Stored = tuple[Lake, dict[str, tuple[Image, float]]]


def lake_of(folder: Path, calibrations: dict[str, tuple[Image, float]]) -> Stored:
    (folder / "aca_dark").mkdir()
    for dark_id, (image, ccd_temp) in calibrations.items():
        write(folder / "aca_dark", dark_id, image, ccd_temp)
    assert ingest(folder / "aca_dark", folder / "lake", jobs=1).set_aside == {}
    return Lake(folder / "lake"), calibrations


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A lake of three calibrations, and what is in it; not to be changed."""
    calibrations = {dark_id: (image_of(n), ccd_temp) for n, (dark_id, ccd_temp) in enumerate(IDS.items())}
    return lake_of(tmp_path_factory.mktemp("three"), calibrations)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A lake of one calibration, warmer than the temperature to which it is scaled."""
    return lake_of(tmp_path_factory.mktemp("one"), {"2005123": (image_of(0), -5.5)})


@pytest.fixture(scope="module")
def none(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return lake_of(tmp_path_factory.mktemp("none"), {})


# --- images -----------------------------------------------------------------------------------------------------------


def test_an_image_has_every_pixel_at_its_row_and_column(stored: Stored) -> None:
    lake, calibrations = stored
    for dark_id, (image, _) in calibrations.items():
        rows = lake.arrow('SELECT dark_id, time, "row", col, value FROM dark_image($id)', {"id": dark_id})
        assert [str(type_) for type_ in rows.schema.types] == ["string", "double", "int16", "int16", "float"]
        assert len(rows) == SIDE * SIDE
        found = np.full((SIDE, SIDE), np.nan, np.float32)
        row, col = (rows.column(name).to_numpy().astype(int) for name in ("row", "col"))
        assert (row.min(), row.max(), col.min(), col.max()) == (-512, 511, -512, 511)
        found[row + 512, col + 512] = rows.column("value").to_numpy()
        assert found.tobytes() == image.tobytes()
        assert rows.column("dark_id").unique().to_pylist() == [dark_id]
        assert rows.column("time").unique().to_pylist() == [cxcsec(f"{dark_id[:4]}:{dark_id[4:]}:06:00:00")]


def test_sql_and_the_facade_have_the_same_pixels(stored: Stored) -> None:
    lake, _ = stored
    image = get_dark_cal_image("2022:069", allow_negative=True, data_root=lake.root)
    query = 'SELECT value FROM dark_image($id) WHERE "row" = $row AND col = $col'
    for row, col in [(-512, -512), (-512, 511), (511, -512), (0, 0), (7, -300)]:
        found = lake.sql(query, {"id": "2022069", "row": row, "col": col}).fetchall()
        assert found == [(float(image[row + 512, col + 512]),)]


@pytest.mark.parametrize(
    "unknown",
    ["2005124", "2005122", "2005", "200512", "20051233", "2005400", "2005000", "1990001", "9999365", "0000001", "",
     "latest", "2005-05-03", "' OR true --", None],
)  # fmt: skip
def test_an_image_of_an_unknown_id_is_empty(unknown: str | None, stored: Stored, none: Stored) -> None:
    for lake, _ in (stored, none):
        rows = lake.arrow("FROM dark_image($id)", {"id": unknown})
        assert (len(rows), rows.column_names) == (0, ["dark_id", "time", "row", "col", "value"])


def test_the_view_has_all_images(stored: Stored) -> None:
    lake, calibrations = stored
    found = lake.sql("SELECT dark_id, count(*), sum(value) FROM dark_cal_image GROUP BY ALL ORDER BY 1").fetchall()
    assert [row[:2] for row in found] == [(dark_id, SIDE * SIDE) for dark_id in calibrations]
    for (_, _, total), (image, _) in zip(found, calibrations.values(), strict=True):
        assert total == pytest.approx(image.sum(dtype=float), rel=1e-6)


def test_scan_has_the_same_rows(stored: Stored) -> None:
    lake, calibrations = stored
    assert lake.scan("dark_cal").collect()["dark_id"].to_list() == list(calibrations)
    assert lake.scan("dark_cal", "2013:001", "2020:001").collect()["dark_id"].to_list() == ["2013001"]
    scanned = lake.scan("dark_cal_image", "2013:001", "2013:002").collect()
    assert scanned.equals(lake.sql("FROM dark_image('2013001')").pl())


# --- scaling ----------------------------------------------------------------------------------------------------------

celsius = st.floats(-40, 40)


@settings(deadline=None)
@given(celsius, celsius)
def test_the_scale_in_sql_is_that_of_python(none: Stored, t: float, ref: float) -> None:
    found = none[0].sql("SELECT dark_temp_scale($t, ref := $ref), dark_temp_scale($t)", {"t": t, "ref": ref}).fetchall()
    assert found == [pytest.approx((dark_temp_scale(t, ref), dark_temp_scale(t)), rel=1e-14)]


@pytest.mark.parametrize(
    ("arguments", "t", "ref"), [("-15", -15, -19), ("-15, ref := -4", -15, -4), ("-7.5", -7.5, -19)]
)
def test_the_scale_takes_numbers_of_any_kind(arguments: str, t: float, ref: float, none: Stored) -> None:
    found = none[0].sql(f"SELECT dark_temp_scale({arguments})").fetchall()
    assert found == [(pytest.approx(dark_temp_scale(t, ref), rel=1e-14),)]


# --- warm pixels ------------------------------------------------------------------------------------------------------


def counted(stored: Stored, threshold: float, ref: float) -> list[tuple[Any, ...]]:
    """What warm_pixels has to answer, counted pixel by pixel; pixels and threshold as they were stored, in float32."""
    found = []
    for dark_id, (image, ccd_temp) in stored[1].items():
        warm = int((image > np.float32(threshold)).sum()) if abs(threshold) < 3e38 else 0 if threshold > 0 else SIDE**2
        scaled = int((image.astype(float) * dark_temp_scale(ccd_temp, ref) > threshold).sum())
        day = f"{dark_id[:4]}:{dark_id[4:]}:06:00:00.000"
        found.append((dark_id, cxcsec(day), day, ccd_temp, warm, warm / SIDE**2, scaled, scaled / SIDE**2))
    return found


def asked(stored: Stored, threshold: float, ref: float) -> list[tuple[Any, ...]]:
    query = "FROM warm_pixels($threshold, ref := $ref)"
    return stored[0].sql(query, {"threshold": threshold, "ref": ref}).fetchall()


THRESHOLDS = [
    100,
    100.5,
    20,
    3.5,
    2.1,
    0.1,
    0,
    1e-3,
    0.002,
    1e-7,
    -0.05,
    -1,
    -7,
    -7.5,
    -100,
    -1e4,
    1e5,
    1e6,
    2e6,
    2.5e9,
]
REFS = [-19.0, -10.25, -5.5, 0.0, -30.0, 15.0]


@pytest.mark.often(6)
@pytest.mark.parametrize(
    "threshold",
    THRESHOLDS,
)
def test_warm_pixels_are_those_that_numpy_counts(threshold: float, stored: Stored, single: Stored) -> None:
    for lake in (stored, single):
        for ref in REFS:
            assert [row[:6] for row in asked(lake, threshold, ref)] == [
                row[:6] for row in counted(lake, threshold, ref)
            ]
        # Between the values that a scaled pixel can have, so that no rounding decides.
        assert [row[6:] for row in asked(lake, threshold + 0.0123, -12.345)] == [
            row[6:] for row in counted(lake, threshold + 0.0123, -12.345)
        ]


@st.composite
def thresholds(draw: st.DrawFn) -> float:
    """Values of pixels, the float32 next to them, values between, and any."""
    image = IMAGES[draw(st.integers(0, 2))]
    value = np.float32(image[draw(st.integers(0, len(image) - 1))])
    beside = np.nextafter(value, np.float32(draw(st.sampled_from([-np.inf, np.inf]))))
    return draw(
        st.sampled_from([float(value), float(beside), (float(value) + float(beside)) / 2])
        | st.floats(-2e5, 2e6) | st.floats(-10, 10) | st.floats(width=32, allow_nan=False, allow_infinity=False)
    )  # fmt: skip


IMAGES = [np.unique(image_of(n)) for n in range(3)]


@settings(deadline=None, max_examples=60)
@given(threshold=thresholds().filter(lambda t: t >= 0), ref=st.floats(-40, 20))
def test_at_the_values_of_pixels_and_beside_them_warm_pixels_are_those_that_numpy_counts(
    stored: Stored, threshold: float, ref: float
) -> None:
    agree(stored, threshold, ref)


@settings(deadline=None, max_examples=60)
@given(threshold=thresholds().filter(lambda t: t < 0), ref=st.floats(-40, 20))
def test_at_the_values_of_negative_pixels_and_beside_them_too(stored: Stored, threshold: float, ref: float) -> None:
    agree(stored, threshold, ref)


def agree(stored: Stored, threshold: float, ref: float) -> None:
    """Compare what SQL answers with what numpy counts."""
    found, expected = asked(stored, threshold, ref), counted(stored, threshold, ref)
    assert [row[:6] for row in found] == [row[:6] for row in expected]
    for row, want, (image, ccd_temp) in zip(found, expected, stored[1].values(), strict=True):
        # A pixel within rounding of the threshold may be on either side.
        scaled = np.abs(image.astype(float) * dark_temp_scale(ccd_temp, ref) - threshold)
        assert abs(row[6] - want[6]) <= (scaled <= 1e-12 * abs(threshold) + 1e-300).sum()
        assert row[7] == row[6] / SIDE**2


@pytest.mark.parametrize("dark_id", IDS)
def test_scaled_to_its_own_temperature_a_calibration_is_as_observed(dark_id: str, stored: Stored) -> None:
    """So thresholds may be exactly at a pixel's value."""
    number = list(IDS).index(dark_id)
    values = IMAGES[number]
    for value in values[:: len(values) // 12]:
        for threshold in (value, np.nextafter(value, np.float32(-np.inf)), np.nextafter(value, np.float32(np.inf))):
            row = asked(stored, float(threshold), IDS[dark_id])[number]
            assert row[4] == row[6] == (stored[1][dark_id][0] > threshold).sum()


@pytest.mark.parametrize("threshold", ["100", "100.1", "-7", "0.1", "2.1", "3.5", "1e2", "100::DOUBLE", "20::FLOAT"])
def test_a_threshold_that_is_written_out_is_as_one_that_is_given(threshold: str, stored: Stored) -> None:
    value = float(threshold.split(":")[0])
    assert stored[0].sql(f"FROM warm_pixels({threshold})").fetchall() == asked(stored, value, -19.0)
    assert stored[0].sql(f"FROM warm_pixels({threshold}, ref := -10)").fetchall() == asked(stored, value, -10.0)


@pytest.mark.parametrize("threshold", [1e12, -1e12, 3e38, -3e38])
def test_beyond_all_pixels_are_none_or_all(threshold: float, stored: Stored, single: Stored) -> None:
    for lake in (stored, single):
        expected = SIDE**2 if threshold < 0 else 0
        for ref in (-19.0, 0.0):
            assert [(row[4], row[6]) for row in asked(lake, threshold, ref)] == [(expected, expected)] * len(lake[1])


@pytest.mark.parametrize(
    "threshold",
    [
        math.inf,
        -math.inf,
        *(pytest.param(t) for t in (1e39, -1e39, 1e300, -1e300)),
    ],
)
def test_a_threshold_that_is_no_float32_is_beyond_all_pixels(threshold: float, stored: Stored) -> None:
    expected = SIDE**2 if threshold < 0 else 0
    assert [(row[4], row[6]) for row in asked(stored, threshold, -19.0)] == [(expected, expected)] * 3


def test_without_calibrations_there_are_no_warm_pixels(none: Stored) -> None:
    for threshold in (100, 0, -5):
        rows = none[0].arrow("FROM warm_pixels($t)", {"t": threshold})
        assert len(rows) == 0
        assert rows.column_names == [
            "dark_id", "time", "date", "ccd_temp", "n_warm", "fraction", "n_warm_ref", "fraction_ref"
        ]  # fmt: skip
    assert none[0].sql("FROM dark_cal").fetchall() == []
    assert none[0].sql("FROM dark_cal_image").fetchall() == []


def test_pixels_that_are_no_number_are_not_warm(tmp_path: Path) -> None:
    image = image_of(0)
    image[5, :7] = [np.nan, -np.nan, np.inf, -np.inf, np.nan, 500, -0.0]
    stored = lake_of(tmp_path, {"2005123": (image, -5.5)})
    for threshold in (100.0123, 0.0123, -3.0123, 4e9, -2e5):
        assert asked(stored, threshold, -19.0) == counted(stored, threshold, -19.0)


def test_a_corrected_temperature_and_a_changed_image_change_the_counts(tmp_path: Path) -> None:
    lake, calibrations = lake_of(tmp_path, {"2005123": (image_of(0), -5.5), "2013001": (image_of(1), -19.0)})
    for changed in (
        {"2005123": (image_of(0), -8.0)},
        {"2013001": (image_of(2), -19.0)},
        {"2022069": (image_of(2), -1.0)},
    ):
        for dark_id, (image, ccd_temp) in changed.items():
            write(tmp_path / "aca_dark", dark_id, image, ccd_temp)
        calibrations |= changed
        assert ingest(tmp_path / "aca_dark", tmp_path / "lake", jobs=1).set_aside == {}
        for threshold in (20.0123, -3.0123):
            assert asked((lake, calibrations), threshold, -19.0) == counted((lake, calibrations), threshold, -19.0)


def test_warm_pixels_may_be_prepared(stored: Stored) -> None:
    connection = stored[0].private_connection()
    connection.execute("PREPARE warm AS SELECT n_warm, n_warm_ref FROM warm_pixels($1, ref := $2)")
    for threshold in (100.5, 3.25):
        found = connection.execute(f"EXECUTE warm({threshold}, -12.345)").fetchall()
        assert found == [(row[4], row[6]) for row in counted(stored, threshold, -12.345)]
    connection.close()


def test_a_threshold_that_is_no_number_is_a_value_error(stored: Stored) -> None:
    for threshold in ("'warm'", "'2022:069'", "DATE '2022-03-10'"):
        with pytest.raises(ValueError, match="cast"):
            stored[0].arrow(f"FROM warm_pixels({threshold})")
