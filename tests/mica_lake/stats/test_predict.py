"""Models of acquisition and tracking: the simulated truth is found again, nothing is said of what was not seen."""

import math
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mica_lake.archive.aca_dark.dark_model import get_warm_fracs
from mica_lake.catalog.generation import read_table
from mica_lake.errors import MissingDataError
from mica_lake.ingest import acq_model as ingest_acq_model
from mica_lake.ingest import acq_stats, follow
from mica_lake.lake import Lake
from mica_lake.regression import design, fit, probability
from mica_lake.simulate import stats
from mica_lake.simulate.observations import observations
from mica_lake.stats.predict import StarModel, acq_model, calibration, guide_model
from mica_lake.times import cxcsec

# As the statistics are simulated: half of the stars are acquired at 10.9 mag at -15 °C, 0.07 mag less per degree.
HALF, PER_DEGREE, SOFT = 10.9, 0.07, 0.2


@pytest.fixture(scope="module")
def by_temperature(many_stars: str) -> StarModel:
    return acq_model("ccd_temp", many_stars)


@pytest.fixture(scope="module")
def by_warm_pixels(many_stars: str) -> StarModel:
    return acq_model(data_root=many_stars)


def simple(*coefficients: float, covariance: float = 1e-4) -> StarModel:
    """A model of warm pixels, with these coefficients."""
    ranges = {"mag": (6.0, 11.0), "warm_fraction": (0.03, 0.2)}
    given = np.array(coefficients)
    return StarModel("warm_fraction", given, covariance * np.eye(5), ranges, 90_000, 80_000, 11_250, 1e8, 7e8)


def test_the_simulated_truth_is_found_again(by_temperature: StarModel) -> None:
    truth = np.array([(HALF - 10) / SOFT, -1 / SOFT, 0, -10 * PER_DEGREE / SOFT, 0, 0])
    apart = by_temperature.coefficients - truth
    # Six coefficients: beyond 22.5 once in a thousand.
    assert apart @ np.linalg.solve(by_temperature.covariance, apart) < 22.5
    for t_ccd in (-14.0, -12.0, -9.0):
        found = by_temperature.limiting_mag(t_ccd=t_ccd, date="2014:001", level=0.9999)
        assert found.low < HALF - PER_DEGREE * (t_ccd + 15) < found.high


def test_the_fit_has_the_greatest_likelihood(many_stars: str, by_temperature: StarModel) -> None:
    """The same coefficients as a general minimizer finds."""
    rows = Lake(many_stars).arrow("SELECT mag, ccd_temp, guide_tstart, acqid FROM acq_stats WHERE NOT known_bad")
    mag, ccd_temp, time, acquired = (column.to_numpy() for column in rows.columns)
    terms = design("ccd_temp", {"mag": mag, "ccd_temp": ccd_temp, "year": 1998 + time / (365.25 * 86400)})

    def unlikely(coefficients: Any) -> float:
        logit = terms @ coefficients
        return float(np.logaddexp(0, np.where(acquired, -logit, logit)).sum())

    found = minimize(unlikely, by_temperature.coefficients + 0.1, method="BFGS", options={"gtol": 1e-4})
    np.testing.assert_allclose(by_temperature.coefficients, found.x, atol=2e-5)
    assert by_temperature.n == len(rows) and by_temperature.n_success == acquired.sum()


def test_the_covariance_allows_for_what_the_stars_of_an_observation_share() -> None:
    """Of eight stars that always have one outcome, only one counts."""
    rng = np.random.default_rng(1)
    one = rng.normal(0, 1, (400, 1))
    terms = np.hstack([np.ones((400, 1)), one])
    success = rng.random(400) < probability(terms @ [0.3, 1.0])
    alone = fit(terms, success, np.arange(400))
    shared = fit(np.repeat(terms, 8, 0), np.repeat(success, 8), np.repeat(np.arange(400), 8))
    assert alone is not None and shared is not None
    np.testing.assert_allclose(shared.coefficients, alone.coefficients, atol=1e-9)
    np.testing.assert_allclose(shared.covariance, alone.covariance, rtol=1e-6)
    # Where outcomes are independent, it is near the inverse of the information.
    chance = probability(terms @ alone.coefficients)
    inverse = np.linalg.inv((terms.T * (chance * (1 - chance))) @ terms)
    np.testing.assert_allclose(np.diag(alone.covariance), np.diag(inverse), rtol=0.25)


def test_intervals_hold_what_they_promise() -> None:
    """Of 300 repetitions, nine in ten have the true probability in their interval."""
    rng, within = np.random.default_rng(2), 0
    truth, at = np.array([4.5, -5.0, 0.0, -3.5, 0.0]), {"mag": 10.3, "warm_fraction": 0.12}
    for _ in range(300):
        values = {"mag": rng.uniform(9, 11, 600), "warm_fraction": rng.uniform(0.05, 0.2, 600)}
        terms = design("warm_fraction", values)
        made = fit(terms, rng.random(600) < probability(terms @ truth), np.arange(600))
        assert made is not None
        ranges = {"mag": (9.0, 11.0), "warm_fraction": (0.05, 0.2)}
        model = StarModel("warm_fraction", made.coefficients, made.covariance, ranges, 600, 300, 600, 0.0, 1.0)
        found = model.success(at["mag"], warm_fraction=at["warm_fraction"])
        within += found.low <= probability(design("warm_fraction", at) @ truth) <= found.high
    assert 0.84 * 300 < within < 0.95 * 300


@pytest.mark.parametrize("group", ["all acquired", "no spread", "separated"])
def test_what_does_not_determine_a_model(group: str) -> None:
    terms = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    success = np.arange(100) % 2 == 0
    if group == "all acquired":
        success[:] = True
    elif group == "no spread":
        terms[:, 1] = 2.0
    else:
        success = terms[:, 1] > 0
    assert fit(terms, success, np.arange(100)) is None


@given(st.floats(6, 11), st.floats(0.03, 0.2), st.floats(0.5, 0.999))
def test_a_probability_is_within_its_interval(mag: float, warm: float, level: float) -> None:
    found = simple(4.5, -5.0, 0.5, -3.0, 0.2).success(mag, warm_fraction=warm, level=level)
    assert 0 <= found.low <= found.value <= found.high <= 1
    m, w = mag - 10, (warm - 0.1) / 0.1
    assert found.value == pytest.approx(1 / (1 + math.exp(-(4.5 - 5 * m + 0.5 * m * m - 3 * w + 0.2 * w * m))))


@given(st.floats(-0.5, 0.5), st.floats(0.03, 0.2), st.floats(0.2, 0.8))
def test_the_limiting_magnitude_has_the_probability(square: float, warm: float, success: float) -> None:
    model = simple(2.0, -5.0, square, -1.0, 0.0)
    found = model.limiting_mag(success, warm_fraction=warm)
    assert found.low < found.value < found.high
    assert model.success(found.value, warm_fraction=warm).value == pytest.approx(success)
    assert model.success(found.value - 0.01, warm_fraction=warm).value > success


def test_a_model_that_never_falls_has_no_limit() -> None:
    assert math.isnan(simple(9.0, 0.0, 1.0, 0.0, 0.0).limiting_mag(warm_fraction=0.1).value)


def test_arrays_are_broadcast(by_warm_pixels: StarModel) -> None:
    found = by_warm_pixels.success([9.0, 10.0, 10.5], warm_fraction=np.array([[0.08], [0.1]]))
    assert found.value.shape == found.low.shape == (2, 3)
    assert found.value[1, 2] == by_warm_pixels.success(10.5, warm_fraction=0.1).value
    assert isinstance(by_warm_pixels.success(10.5, warm_fraction=0.1).value, float)


def test_temperature_and_date_stand_for_warm_pixels(by_warm_pixels: StarModel) -> None:
    warm = get_warm_fracs(100, "2012:001", -19)
    expected = by_warm_pixels.success(10.0, warm_fraction=warm)
    assert by_warm_pixels.success(10.0, t_ccd=-19, date="2012:001") == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mag": 12.0, "t_ccd": -12, "date": "2020:001"}, "mag 12 is outside .* to 11, which the .* stars"),
        ({"mag": 10.0, "t_ccd": 0, "date": "2020:001"}, "ccd_temp 0 is outside"),
        ({"mag": 10.0, "t_ccd": [-12, 1], "date": "2020:001"}, "ccd_temp 1 is outside"),
        ({"mag": 10.0, "t_ccd": -12, "date": "2031:001"}, "year 2031 is outside 2004 to 20"),
        ({"mag": math.nan, "t_ccd": -12, "date": "2020:001"}, "mag nan is outside"),
        ({"mag": 10.0, "t_ccd": -12}, "depends on the CCD temperature and the year: give t_ccd and date"),
        ({"mag": 10.0, "warm_fraction": 0.1, "t_ccd": -12, "date": "2020:001"}, "give t_ccd and date"),
        ({"mag": 10.0, "t_ccd": -12, "date": "x"}, "'x' is not a time"),
        ({"mag": 10.0, "t_ccd": -12, "date": "2020:001", "level": 90}, "level 90 is not between 0 and 1"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], said: str, by_temperature: StarModel) -> None:
    with pytest.raises(ValueError, match=said):
        by_temperature.success(**arguments)


def test_what_a_model_of_warm_pixels_refuses(by_warm_pixels: StarModel) -> None:
    with pytest.raises(ValueError, match="depends on the warm pixels: give warm_fraction, or t_ccd and date"):
        by_warm_pixels.success(10.0, t_ccd=-10)
    with pytest.raises(ValueError, match="but not both"):
        by_warm_pixels.success(10.0, warm_fraction=0.1, t_ccd=-10, date="2020:001")
    with pytest.raises(ValueError, match="success 1 is not between 0 and 1"):
        by_warm_pixels.limiting_mag(1, warm_fraction=0.1)
    with pytest.raises(ValueError, match=r"mag 12\.\d+ is outside"):
        by_warm_pixels.limiting_mag(0.01, warm_fraction=0.05)


def test_beyond_what_was_seen_it_answers_with_a_warning(by_temperature: StarModel) -> None:
    with pytest.warns(UserWarning, match="^extrapolated: year 2031 is outside"):
        found = by_temperature.success(10.0, t_ccd=-12, date="2031:001", extrapolate=True)
    inside = by_temperature.success(10.0, t_ccd=-12, date="2014:001")
    assert found.high - found.low > inside.high - inside.low
    with pytest.raises(ValueError, match="mag nan"):
        by_temperature.success(math.nan, t_ccd=-12, date="2014:001", extrapolate=True)


@pytest.mark.parametrize("table", ["acq_model", "guide_model"])
def test_calibration(table: str, many_stars: str) -> None:
    found = calibration(table, "ccd_temp", bins=7, level=0.999, data_root=many_stars)
    assert found.columns == ["predicted", "observed", "low", "high", "n"] and len(found) == 7
    assert found["predicted"].is_sorted()
    assert found["n"].sum() == (acq_model if table == "acq_model" else guide_model)("ccd_temp", many_stars).n
    assert ((found["low"] <= found["observed"]) & (found["observed"] <= found["high"])).all()
    if table == "acq_model":
        # Acquisition is simulated by a law that the model can have, tracking is not.
        assert ((found["low"] - 1e-3 <= found["predicted"]) & (found["predicted"] <= found["high"] + 1e-3)).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"table": "vv"}, "table 'vv' is not one of acq_model, guide_model"),
        ({"model": "mag"}, "model 'mag' is not one of warm_fraction, ccd_temp"),
        ({"bins": 0}, "bins 0 is less than 1"),
        ({"level": 2}, "level 2 is not between 0 and 1"),
    ],
)
def test_what_calibration_refuses(arguments: dict[str, Any], said: str, many_stars: str) -> None:
    with pytest.raises(ValueError, match=said):
        calibration(data_root=many_stars, **arguments)


def test_too_few_stars(demo_lake: str) -> None:
    said = (
        r"acq_stats has \d stars of success and \d others that have all of mag, warm_fraction: a model takes 50 of each"
    )
    with pytest.raises(MissingDataError, match=said):
        acq_model(data_root=demo_lake)
    with pytest.raises(MissingDataError, match=r'a model takes 60 of each. .* demo_lake\("twenty years"\) has'):
        calibration("guide_model", "ccd_temp", data_root=demo_lake)
    with pytest.raises(ValueError, match="model 'x' is not one of warm_fraction, ccd_temp"):
        guide_model("x", data_root=demo_lake)
    assert Lake(demo_lake).sql("FROM acq_model").fetchall() == []


def test_the_model_in_sql(many_stars: str, by_warm_pixels: StarModel) -> None:
    query = "SELECT acq_probability($mag, $warm)"
    for mag, warm in ((9.0, 0.1), (10.7, 0.05), (10.9, 0.14)):
        ((found,),) = Lake(many_stars).sql(query, {"mag": mag, "warm": warm}).fetchall()
        assert found == pytest.approx(by_warm_pixels.success(mag, warm_fraction=warm).value, rel=1e-12)
    for mag, warm in ((12.0, 0.1), (9.0, 0.5), (None, 0.1), (9.0, None)):
        assert Lake(many_stars).sql(query, {"mag": mag, "warm": warm}).fetchall() == [(None,)]


def test_a_model_follows_the_statistics(tmp_path: Path) -> None:
    """New statistics, a new model, in the same commit; the same ones, no new model; none left, none."""
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    some = observations(cxcsec("2010:001"), cxcsec("2014:001"))[::10]
    stats.write_archive(ska, some[:-1])
    assert acq_stats.ingest(ska, lake, jobs=1).derived["acq_model"].partitions == 1
    first = acq_model("ccd_temp", str(lake))
    assert acq_stats.ingest(ska, lake, jobs=1).derived["acq_model"].partitions == 0
    stats.write_archive(ska, some)
    report = acq_stats.ingest(ska, lake, jobs=1)
    assert report.derived["acq_model"].partitions == 1
    second = acq_model("ccd_temp", str(lake))
    assert second.n_obsids == first.n_obsids + 1 and second.tstop > first.tstop
    assert follow.derive("acq_model", lake).partitions == 0
    # The same rows, whichever way they came, give the same bytes.
    again = tmp_path / "again"
    acq_stats.ingest(ska, again, jobs=1)
    paths = [next(Path(root).glob("acq_model/data.parquet")) for root in (lake, again)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    listed = read_table(lake, "partition")
    assert ingest_acq_model.stale_paths(lake, listed) == []
    without = listed.filter(pc.field("table_name") != "acq_model")
    assert ingest_acq_model.stale_paths(lake, without) == ["acq_model/data.parquet"]


def test_rows_that_a_model_cannot_take(many_stars: str, tmp_path: Path) -> None:
    """Known bad ones, and those without magnitude or temperature, do not count."""
    ska, lake = tmp_path / "ska", tmp_path / "lake"
    stats.write_archive(ska, observations(cxcsec("2010:001"), cxcsec("2014:001"))[::10])
    before = tmp_path / "before"
    acq_stats.ingest(ska, before, jobs=1)
    with h5py.File(ska / "data/acq_stats/acq_stats.h5", "r+") as file:
        rows = file["data"][()]
        good = np.flatnonzero(~rows["known_bad"])
        rows["mag"][good[:5]], rows["ccd_temp"][good[5:12]], rows["known_bad"][good[12:23]] = np.nan, np.nan, True
        file["data"][()] = rows
    acq_stats.ingest(ska, lake, jobs=1)
    counts = [{m: acq_model(m, str(root)).n for m in ("warm_fraction", "ccd_temp")} for root in (before, lake)]
    assert counts[1] == {"warm_fraction": counts[0]["warm_fraction"] - 16, "ccd_temp": counts[0]["ccd_temp"] - 23}
    shutil.rmtree(before)
