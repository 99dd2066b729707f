"""The dark current model: in Python, in SQL, and against the reference's answers."""

import math
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake.archive.aca_dark import dark_model
from mica_lake.archive.aca_dark.dark_cal import dark_temp_scale, get_dark_cal_image
from mica_lake.archive.aca_dark.dark_model import (
    dark_temp_scale_img,
    get_dark_hist,
    get_sbp_pars,
    get_warm_fracs,
    smooth_broken_pow,
    smooth_twice_broken_pow,
    synthetic_dark_image,
    temp_scalefac,
)
from mica_lake.errors import MissingDataError
from mica_lake.ingest.dark_cal import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.dark_cal import write_calibration
from mica_lake.times import cxcsec, utc

DATE = "2016:100:06:00:00"
PIXELS = 1024 * 1024
FIRST = cxcsec("1999:115")


@pytest.fixture(scope="module")
def answers(shared: Path) -> dict[str, Any]:
    with np.load(shared / "golden" / "dark_model.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def golden_lake(golden_ska: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    lake = tmp_path_factory.mktemp("dark_model") / "lake"
    assert ingest(golden_ska, lake, jobs=1).set_aside == {}
    return str(lake)


@pytest.fixture(scope="module")
def young_lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake of a calibration of 2000, when few pixels were warm."""
    folder = tmp_path_factory.mktemp("young")
    write_calibration(folder / "ska", "2000123")
    ingest(folder / "ska", folder / "lake", jobs=1)
    return str(folder / "lake")


@pytest.fixture(scope="module")
def lake(demo_lake: str) -> Lake:
    return Lake(demo_lake)


def equal(found: Any, expected: Any) -> None:
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


def dates_of(answers: dict[str, Any]) -> list[str]:
    return [str(date) for date in answers["dates"]]


def test_golden_parameters_and_histograms(answers: dict[str, Any]) -> None:
    dates = dates_of(answers)
    equal(get_sbp_pars(dates), answers["sbp_pars"])
    equal([get_dark_hist(date, -14.0)[2] for date in dates], answers["hist_y"])
    for number, name in enumerate(("hist_x", "hist_bins")):
        equal([get_dark_hist(dates[0], t)[number] for t in answers["temps"]], answers[name])


def test_golden_power_laws(answers: dict[str, Any]) -> None:
    x = answers["bin_centers"]
    for x_of, once, twice in ((x, "once_y", "twice_y"), (x[10:40], "part_once_y", "part_y")):
        expected = np.atleast_2d(answers[once]), np.atleast_2d(answers[twice])
        equal([smooth_broken_pow(p, x_of) for p in answers["once_pars"][: len(expected[0])]], expected[0])
        equal([smooth_twice_broken_pow(p, x_of) for p in answers["twice_pars"][: len(expected[1])]], expected[1])


@pytest.mark.filterwarnings("ignore:temp_scalefac:FutureWarning")
def test_golden_scales(answers: dict[str, Any]) -> None:
    t = answers["scale_t"]
    equal(dark_model.dark_temp_scale(t[:, None], t), answers["scale"])
    equal(dark_model.dark_temp_scale(t), answers["scale_default_ref"])
    equal(dark_model.dark_temp_scale(t[:, None], t, scale_4c=2), answers["scale_4c_2"])
    equal(temp_scalefac(t), answers["temp_scalefac"])
    pairs = answers["img_pairs"]
    equal([dark_temp_scale_img(answers["img_in"], *pair) for pair in pairs], answers["img_out"])
    equal([dark_temp_scale_img(250.0, *pair) for pair in pairs], answers["img_scalar"])
    single = dark_temp_scale_img(answers["img_in"].astype(np.float32), -14, -10)
    np.testing.assert_array_equal(single, answers["img_f4"], strict=True)


def test_golden_warm_fractions(answers: dict[str, Any]) -> None:
    dates, temps, thresholds = np.array(dates_of(answers)), answers["temps"], answers["thresholds"]
    equal(get_warm_fracs(thresholds, dates[:, None, None], temps[:, None]), answers["warm_fracs"])
    for date, of_date in zip(dates[::7], answers["warm_fracs"][::7], strict=True):
        equal([[get_warm_fracs(w, str(date), t) for w in thresholds] for t in temps], of_date)
    assert get_warm_fracs(100) == pytest.approx(answers["warm_default"][0], rel=1e-12)


def test_golden_edges(answers: dict[str, Any]) -> None:
    """A threshold outside the bins is refused, whatever the reference made of it."""
    refused = 0
    for case in answers["warm_edges"]:
        threshold, date, t_ccd, expected = str(case).split("|")
        if float(threshold) in (0.0, 1.0, -5.0) or expected == "IndexError":
            refused += 1
            with pytest.raises(ValueError, match=f"^warm_threshold {float(threshold):g} is outside the model: at "):
                get_warm_fracs(float(threshold), date, float(t_ccd))
        else:
            assert get_warm_fracs(float(threshold), date, float(t_ccd)) == pytest.approx(float(expected), rel=1e-12)
    assert refused == 6


def test_golden_warm_fractions_in_sql(answers: dict[str, Any], lake: Lake) -> None:
    cases = list(product(dates_of(answers), answers["temps"].tolist(), answers["thresholds"].tolist()))
    query = """
        SELECT warm_fraction(threshold, date, t_ccd) AS fraction
        FROM (SELECT unnest($date) AS date, unnest($t_ccd) AS t_ccd, unnest($w) AS threshold, unnest($n) AS n)
        ORDER BY n
    """
    given = dict(zip(("date", "t_ccd", "w"), map(list, zip(*cases, strict=True)), strict=True))
    found = lake.arrow(query, given | {"n": list(range(len(cases)))})["fraction"].to_numpy()
    equal(found, answers["warm_fracs"].ravel())


@pytest.mark.parametrize("number", range(4))
def test_golden_synthetic_images(number: int, answers: dict[str, Any], golden_lake: str) -> None:
    seed, date, t_ccd = str(answers["synthetic/cases"][number]).split("|")
    np.random.seed(int(seed))
    image = synthetic_dark_image(date, None if t_ccd == "None" else float(t_ccd), data_root=golden_lake)
    assert image.dtype == np.float32 and image.shape == (1024, 1024)
    np.testing.assert_array_equal(image[::64, ::64], answers[f"synthetic/{number}/pixels"])
    np.testing.assert_array_equal(np.histogram(image, answers["bins"])[0], answers[f"synthetic/{number}/hist"])


def test_a_synthetic_image_when_all_pixels_are_warm(young_lake: str) -> None:
    """There are fewer pixels than the model asks for: the image is filled, and no more."""
    assert get_dark_hist("2028:001", -14)[2].sum() > PIXELS
    np.random.seed(1)
    image = synthetic_dark_image("2028:001", data_root=young_lake)
    assert image.shape == (1024, 1024) and (image > 2).all()
    # The warmest bins find no pixel.
    assert 0.8 < (image > 100).mean() / get_warm_fracs(100, "2028:001", -14) < 1


def test_a_synthetic_image_has_the_pixels_of_the_model(young_lake: str) -> None:
    """A cold pixel of the calibration adds little to one that is hot."""
    np.random.seed(2)
    image = synthetic_dark_image(DATE, -10.0, data_root=young_lake)
    for threshold in (300.0, 1000.0):
        expected = get_warm_fracs(threshold, DATE, -10.0) * PIXELS
        assert abs((image > threshold).sum() - expected) < 5 * math.sqrt(expected) + 0.1 * expected
    np.random.seed(2)
    again = synthetic_dark_image(DATE, -10.0, data_root=young_lake)
    np.testing.assert_array_equal(image, again)


def test_a_synthetic_image_leaves_the_calibration_alone(young_lake: str) -> None:
    before = get_dark_cal_image("1999:223", "nearest", data_root=young_lake)
    synthetic_dark_image(DATE, data_root=young_lake)
    np.testing.assert_array_equal(get_dark_cal_image("1999:223", "nearest", data_root=young_lake), before)


def test_a_lake_without_calibrations(tmp_path: Path) -> None:
    from mica_lake.ingest import obspar

    (tmp_path / "ska").mkdir()
    obspar.ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
    with pytest.raises(MissingDataError, match="there is no dark current calibration"):
        synthetic_dark_image(DATE, data_root=str(tmp_path / "lake"))


def test_parameters_change_at_one_rate_before_2012_and_another_after() -> None:
    """The arithmetic of CATALOGS.md by hand, a year before and two years after."""
    expected = [[0.075 + 0.00692, 3.32 - 0.0203, 2.40 - 0.061, 191.9, 16950.0], [0.0336, 3.32, 2.522, 192.2, 19884.0]]
    equal(get_sbp_pars(["2011:001", "2014:001"]), expected)
    equal(get_sbp_pars("2011:001"), expected[0])
    assert get_sbp_pars([]) == []


def loop(threshold: float, date: Any, t_ccd: float) -> float:
    """The formula of CATALOGS.md, for one threshold."""
    _, bins, y = get_dark_hist(date, t_ccd)
    i = int(np.searchsorted(bins, threshold))
    level, upper, lower = math.log(threshold), math.log(bins[i]), math.log(bins[i - 1])
    m = math.log(y[i] / y[i - 1]) / (upper - lower)
    return float((y[i:].sum() + y[i] * (upper**m - level**m) / (upper**m - lower**m)) / PIXELS)


@given(
    st.floats(20, 1500),
    st.floats(FIRST, 1.3e9),
    st.floats(-20, 0),
)
def test_warm_fractions_are_the_formula_in_python_and_sql(lake: Lake, w: float, time: float, t_ccd: float) -> None:
    expected = loop(w, time, t_ccd)
    assert get_warm_fracs(w, time, t_ccd) == pytest.approx(expected, rel=1e-9)
    query = "SELECT warm_fraction($w, $time, $t_ccd)"
    ((found,),) = lake.sql(query, {"w": w, "time": time, "t_ccd": t_ccd}).fetchall()
    assert found == pytest.approx(expected, rel=1e-9)


@given(
    st.lists(st.floats(20, 1500), min_size=1, max_size=3),
    st.lists(st.floats(FIRST, 1.2e9), min_size=1, max_size=3),
    st.lists(st.floats(-20, 0), min_size=1, max_size=3),
)
def test_warm_fractions_are_broadcast(thresholds: list[float], times: list[float], temps: list[float]) -> None:
    found = get_warm_fracs(thresholds, np.array(times)[:, None], np.array(temps)[:, None, None])
    assert found.shape == (len(temps), len(times), len(thresholds))
    for index in np.ndindex(found.shape):
        t, d, w = index
        assert found[index] == pytest.approx(get_warm_fracs(thresholds[w], times[d], temps[t]), rel=1e-12)
    assert isinstance(get_warm_fracs(100.0, times[0]), float)


def test_dates_in_any_form_give_the_same_fractions() -> None:
    time = cxcsec(DATE)
    forms = [DATE, time, np.float64(time), np.datetime64("2016-04-09T06:00:00")]
    assert len({get_warm_fracs(100, form, -10) for form in forms}) == 1
    np.testing.assert_array_equal(get_warm_fracs(100, [DATE, utc(time)], -10), get_warm_fracs(100, [time, time], -10))
    assert get_warm_fracs(100, [], -10).shape == (0,)


def test_warm_fractions_of_what_is_masked_are_masked() -> None:
    temps = np.ma.masked_array([-14.0, -999.0, -10.0], [False, True, False])
    found = get_warm_fracs(np.array([[100.0], [200.0]]), DATE, temps)
    assert found.mask.tolist() == [[False, True, False]] * 2
    assert found[1, 2] == get_warm_fracs(200.0, DATE, -10.0)
    assert get_warm_fracs(np.ma.masked_array([100.0, 0.0], [False, True]), DATE).mask.tolist() == [False, True]
    assert not np.ma.isMaskedArray(get_warm_fracs(100.0, DATE, temps[::2]))


@pytest.mark.parametrize(
    ("threshold", "t_ccd", "known"),
    [
        (1.99, -14, r"at -14 °C it knows 2 to 8934 e-/s"),
        (9000, -14, r"at -14 °C it knows 2 to 8934 e-/s"),
        ([100.0, 1e5], -14, r"warm_threshold 100000 .* 8934"),
        (float("nan"), -14, "warm_threshold nan"),
        (0.5, -40, "at -40 °C it knows 1 to"),
        (100, float("nan"), "at nan °C"),
    ],
)
def test_a_threshold_outside_the_model(threshold: Any, t_ccd: float, known: str) -> None:
    with pytest.raises(ValueError, match=known):
        get_warm_fracs(threshold, DATE, t_ccd)


@pytest.mark.parametrize("date", ["2016", "x", float("nan"), [1e8, float("nan")], [DATE, "x"], -3.0])
def test_what_is_not_a_time(date: Any) -> None:
    for function in (get_sbp_pars, lambda d: get_warm_fracs(100, d), lambda d: get_dark_hist(d, -14)):
        with pytest.raises(ValueError, match=r"is not a time|is outside"):
            function(date)


def test_before_the_model_begins() -> None:
    for function in (lambda d: get_warm_fracs(100, d), lambda d: get_dark_hist(d, -14)):
        with pytest.raises(ValueError, match="the model has no pixels before 1999:115; give later dates"):
            function("1999:114")
        function("1999:115")


def test_outside_the_model_sql_is_null(lake: Lake) -> None:
    query = """
        SELECT
            warm_fraction(1.99, '2016:100', -14),
            warm_fraction(9000, '2016:100', -14),
            warm_fraction(-5, '2016:100', -14),
            warm_fraction(100, '1999:114', -14),
            warm_fraction(NULL, '2016:100', -14), warm_fraction(100, NULL, -14), warm_fraction(100, '2016:100', NULL)
    """
    assert lake.sql(query).fetchall() == [(None,) * 7]
    with pytest.raises(duckdb.InvalidInputException, match="'x' is not a time"):
        lake.sql("SELECT warm_fraction(100, 'x', -14)").fetchall()


def test_the_histogram_in_sql(lake: Lake) -> None:
    found = lake.arrow("FROM dark_model_histogram($date, $t_ccd)", {"date": DATE, "t_ccd": -8.5})
    assert found.column_names == ["low", "high", "pixels"]
    _, bins, y = get_dark_hist(DATE, -8.5)
    equal(found["low"].to_numpy(), bins[:-1])
    equal(found["high"].to_numpy(), bins[1:])
    equal(found["pixels"].to_numpy(), y)


def test_measured_and_modelled_by_calibration(lake: Lake) -> None:
    found = lake.arrow("FROM warm_fraction_by_dark_cal").to_pylist()
    measured = lake.arrow("FROM warm_pixels(100)").to_pylist()
    assert [row["dark_id"] for row in found] == [row["dark_id"] for row in measured] == ["2022069", "2023341"]
    for row, expected in zip(found, measured, strict=True):
        assert {name: row[name] for name in ("time", "date", "ccd_temp")} == {
            name: expected[name] for name in ("time", "date", "ccd_temp")
        }
        assert row["measured"] == expected["fraction"]
        assert row["modelled"] == pytest.approx(get_warm_fracs(100, row["time"], row["ccd_temp"]), rel=1e-12)
        assert row["residual"] == row["measured"] - row["modelled"]


@given(st.floats(-30, 10), st.floats(-30, 10))
def test_a_warmer_ccd_has_warmer_pixels(t_ccd: float, t_ccd_ref: float) -> None:
    image = np.array([0.0, 20.0, 100.0, 5000.0])
    assert (dark_temp_scale_img(image, t_ccd, t_ccd) == image).all()
    scaled = dark_temp_scale_img(image, t_ccd, t_ccd_ref)
    warmer = np.sign(scaled - image) == np.sign(t_ccd_ref - t_ccd)
    assert (warmer | np.isclose(scaled, image)).all()
    assert dark_temp_scale_img(100.0, t_ccd, t_ccd_ref) == pytest.approx(scaled[2])


def test_the_old_scale_warns() -> None:
    with pytest.warns(FutureWarning, match=r"temp_scalefac\(T\) is deprecated: use dark_temp_scale\(-19, T\)"):
        assert temp_scalefac(-15.0) == dark_temp_scale(-19.0, -15.0)


def test_all_names_are_there() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in dark_model.__all__:
            assert callable(getattr(dark_model, name))
    assert dark_model.dark_temp_scale is dark_temp_scale
