"""
Prediction: how probable it is that a star is acquired, or tracked well, and how faint one may be.

The models are fitted to the lake's own `acq_stats` and `guide_stats` whenever these are ingested, and kept in its
tables `acq_model` and `guide_model`. docs/stats.md has the formulas.
"""

import warnings
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from mica_lake.archive.aca_dark.dark_model import get_warm_fracs
from mica_lake.errors import MissingDataError
from mica_lake.lake import Lake, open_lake
from mica_lake.regression import columns_read, design, fit, probability, stars_of, year_of
from mica_lake.stats.structured import Root
from mica_lake.tables.star_model import OUTCOMES_A_TERM, TERMS, quantities
from mica_lake.times import cxcsec, is_scalar

__all__ = ["Prediction", "StarModel", "acq_model", "calibration", "guide_model"]

Floats = NDArray[np.float64]
_WARM = 100.0  # e-/s: the threshold of n100_warm_frac
_STATS = {"acq_model": "acq_stats", "guide_model": "guide_stats"}


class Prediction(NamedTuple):
    """A predicted value, with the ends of its interval of confidence; each a float, or an array."""

    value: Any
    low: Any
    high: Any


@dataclass(frozen=True)
class StarModel:
    """
    A model of acquisition or of tracking, as the lake has it; `acq_model` and `guide_model` give it.

    Attributes
    ----------
    model : str
        What it depends on, beside magnitude: ``warm_fraction`` or ``ccd_temp`` (with the year).
    coefficients : numpy.ndarray, shape (k,)
        Of the terms of the logarithm of the odds.
    covariance : numpy.ndarray, shape (k, k)
        Their covariance, which allows for what the stars of an observation have in common.
    ranges : dict
        The least and greatest value of each quantity among the stars that it was fitted to.
    n, n_success, n_obsids : int
        How many stars these were, how many of them a success, and of how many observations.
    tstart, tstop : float
        Times of the first and the last, CXC seconds.
    """

    model: str
    coefficients: Floats
    covariance: Floats
    ranges: dict[str, tuple[float, float]]
    n: int
    n_success: int
    n_obsids: int
    tstart: float
    tstop: float

    def success(
        self,
        mag: ArrayLike,
        *,
        warm_fraction: ArrayLike | None = None,
        t_ccd: ArrayLike | None = None,
        date: Any = None,
        level: float = 0.9,
        extrapolate: bool = False,
    ) -> Prediction:
        """
        Probability that stars are acquired, or tracked well.

        Parameters
        ----------
        mag : float or array
            Magnitudes of the star catalog.
        warm_fraction : float or array, optional
            Fraction of the pixels above 100 e-/s. A model of ``warm_fraction`` takes it, or else `t_ccd` and `date`,
            from which the dark current model computes it.
        t_ccd : float or array, optional
            CCD temperature in °C.
        date : time or array of times, optional
            When, in any form that `mica_lake.times.cxcsec` takes.
        level : float
            Of the interval of confidence, which is that of the probability: of single stars it says nothing.
        extrapolate : bool
            Whether to answer outside the values that the model was fitted to, with a warning.

        Returns
        -------
        Prediction
            The probability and its interval; arrays are broadcast against each other.

        Raises
        ------
        ValueError
            If something is outside the values that the model was fitted to, or not given.

        Examples
        --------
        >>> import numpy as np
        >>> model = StarModel("warm_fraction", np.array([4.5, -5, 0, -3, 0]), 1e-3 * np.eye(5),
        ...                   {"mag": (6, 11), "warm_fraction": (0.03, 0.2)}, 90_000, 80_000, 11_250, 1e8, 7e8)
        >>> [float(round(p, 3)) for p in model.success(10.5, warm_fraction=0.15)]
        [0.622, 0.607, 0.638]
        """
        terms = design(self.model, self._values(mag, warm_fraction, t_ccd, date, extrapolate))
        logit, error = terms @ self.coefficients, _deviation(level) * self._error(terms)
        return Prediction(*(_plain(probability(logit + sign * error)) for sign in (0, -1, 1)))

    def limiting_mag(
        self,
        success: float = 0.5,
        *,
        warm_fraction: ArrayLike | None = None,
        t_ccd: ArrayLike | None = None,
        date: Any = None,
        level: float = 0.9,
        extrapolate: bool = False,
    ) -> Prediction:
        """
        The magnitude at which this fraction of stars is acquired, or tracked well.

        Parameters
        ----------
        success : float
            The fraction, between 0 and 1.
        warm_fraction, t_ccd, date, level, extrapolate
            As of `success`.

        Returns
        -------
        Prediction
            The magnitude and its interval, which is that of the line's place: NaN where the model never falls to the
            fraction.

        Raises
        ------
        ValueError
            If something, or the magnitude, is outside the values that the model was fitted to, or not given.

        Examples
        --------
        >>> import numpy as np
        >>> model = StarModel("warm_fraction", np.array([4.5, -5, 0, -3, 0]), 1e-3 * np.eye(5),
        ...                   {"mag": (6, 11), "warm_fraction": (0.03, 0.2)}, 90_000, 80_000, 11_250, 1e8, 7e8)
        >>> [float(round(m, 2)) for m in model.limiting_mag(warm_fraction=0.15)]
        [10.6, 10.59, 10.61]
        """
        if not 0 < success < 1:
            raise ValueError(f"success {success!r} is not between 0 and 1")
        values = self._values(np.float64(np.mean(self.ranges["mag"])), warm_fraction, t_ccd, date, extrapolate)

        def logit_at(mag: Any) -> Any:
            return design(self.model, values | {"mag": np.asarray(mag)}) @ self.coefficients

        # The logarithm of the odds is a parabola in magnitude: three of its points give its place and slope.
        at = [logit_at(np.full(np.shape(values["mag"]), mag)) for mag in (9.0, 10.0, 11.0)]
        square, slope, constant = (
            (at[2] + at[0]) / 2 - at[1],
            (at[2] - at[0]) / 2,
            at[1] - np.log(success / (1 - success)),
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            # The root at which it falls; written so that a parabola that is a line is one, too.
            root = np.sqrt(slope**2 - 4 * square * constant)
            mag = 10 + 2 * constant / (root - slope)
            mag = np.where(root > 0, mag, np.nan)
            error = self._error(design(self.model, values | {"mag": mag})) / root
        found = np.atleast_1d(mag)
        self._check({"mag": found[~np.isnan(found)]}, extrapolate)
        return Prediction(*(_plain(mag + sign * _deviation(level) * error) for sign in (0, -1, 1)))

    def _error(self, terms: Floats) -> Floats:
        """Standard error of the logarithm of the odds."""
        error: Floats = np.sqrt(np.einsum("...i,ij,...j->...", terms, self.covariance, terms))
        return error

    def _values(self, mag: ArrayLike, warm: Any, t_ccd: Any, date: Any, extrapolate: bool) -> dict[str, Floats]:
        """The quantities of the model, broadcast and checked."""
        if self.model == "warm_fraction" and warm is None:
            if t_ccd is None or date is None:
                raise ValueError("this model depends on the warm pixels: give warm_fraction, or t_ccd and date")
            warm = get_warm_fracs(_WARM, date, t_ccd)
        elif self.model == "warm_fraction" and (t_ccd is not None or date is not None):
            raise ValueError("give warm_fraction, or t_ccd and date, but not both")
        elif self.model == "ccd_temp" and (t_ccd is None or date is None or warm is not None):
            raise ValueError("this model depends on the CCD temperature and the year: give t_ccd and date")
        given: dict[str, Any] = {"mag": mag, "warm_fraction": warm, "ccd_temp": t_ccd}
        if self.model == "ccd_temp":
            times = cxcsec(date) if is_scalar(date) else [cxcsec(one) for one in date]
            given["year"] = year_of(times)
        names = quantities(self.model)
        arrays = np.broadcast_arrays(*(np.asarray(given[name], float) for name in names))
        values = dict(zip(names, arrays, strict=True))
        self._check(values, extrapolate)
        return values

    def _check(self, values: dict[str, Any], extrapolate: bool) -> None:
        for name, value in values.items():
            low, high = self.ranges[name]
            outside = np.asarray(value)[~((value >= low) & (value <= high))]
            if not outside.size:
                continue
            had = f"{low:.6g} to {high:.6g}, which the {self.n:,} stars of this model had"
            said = f"{name} {outside[0]:.6g} is outside {had}"
            if not extrapolate or np.isnan(outside).any():
                raise ValueError(f"{said}; extrapolate=True answers all the same")
            warnings.warn(f"extrapolated: {said}", UserWarning, stacklevel=4)


def _deviation(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level {level!r} is not between 0 and 1")
    return NormalDist().inv_cdf((1 + level) / 2)


def _plain(value: Any) -> Any:
    return value if np.ndim(value) else float(value)


def acq_model(model: str = "warm_fraction", data_root: Root = None) -> StarModel:
    """
    The lake's model of acquisition: of the probability that a star is acquired.

    Parameters
    ----------
    model : {'warm_fraction', 'ccd_temp'}
        Whether it depends on the fraction of warm pixels, or on the CCD temperature and the year.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    StarModel
        The model.

    Raises
    ------
    MissingDataError
        If the lake's `acq_stats` has too few stars that were acquired, or were not.
    ValueError
        If `model` is neither.

    Examples
    --------
    >>> acq_model(data_root=demo_lake("twenty years").root).n_obsids
    1594
    """
    return _model("acq_model", model, data_root)


def guide_model(model: str = "warm_fraction", data_root: Root = None) -> StarModel:
    """
    The lake's model of tracking: of the probability that a star is tracked in at least 95 % of the samples.

    Parameters
    ----------
    model : {'warm_fraction', 'ccd_temp'}
        Whether it depends on the fraction of warm pixels, or on the CCD temperature and the year.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    StarModel
        The model.

    Raises
    ------
    MissingDataError
        If the lake's `guide_stats` has too few stars that were tracked well, or were not.
    ValueError
        If `model` is neither.

    Examples
    --------
    >>> guide_model("ccd_temp", data_root=demo_lake("twenty years").root).model
    'ccd_temp'
    """
    return _model("guide_model", model, data_root)


def _model(table: str, model: str, data_root: Root) -> StarModel:
    _known(model)
    lake = open_lake(data_root)
    found = lake.arrow(f"FROM {table} WHERE model = $model", {"model": model}).to_pylist()
    if not found:
        raise _too_few(lake, _STATS[table], model)
    (row,) = found
    coefficients = np.array(row["coefficients"])
    ranges = dict(zip(row["quantities"], zip(row["low"], row["high"], strict=True), strict=True))
    covariance = np.array(row["covariance"]).reshape(len(coefficients), -1)
    others = {name: row[name] for name in ("n", "n_success", "n_obsids", "tstart", "tstop")}
    return StarModel(model, coefficients, covariance, ranges, **others)


def _known(model: str) -> None:
    if model not in TERMS:
        raise ValueError(f"model {model!r} is not one of {', '.join(TERMS)}")


def _too_few(lake: Lake, source: str, model: str) -> MissingDataError:
    stars = _stars(lake, source).known_to(model)
    return MissingDataError(
        f"{source} has {stars.success.sum()} stars of success and {(~stars.success).sum()} others that have all of "
        f"{', '.join(quantities(model))}: a model takes {OUTCOMES_A_TERM * len(TERMS[model])} of each. "
        'To try one, demo_lake("twenty years") has enough'
    )


def _stars(lake: Lake, source: str) -> Any:
    rows = lake.arrow(f"SELECT {', '.join(columns_read(source))} FROM {source}")
    return stars_of(source, {name: rows.column(name).to_numpy() for name in rows.column_names})


def calibration(
    table: str = "acq_model",
    model: str = "warm_fraction",
    *,
    bins: int = 10,
    level: float = 0.9,
    data_root: Root = None,
) -> pl.DataFrame:
    """
    What a model predicts, beside what was observed: for stars that it was not fitted to.

    The observations are dealt into two halves, and each is predicted by a model that is fitted to the other.

    Parameters
    ----------
    table : {'acq_model', 'guide_model'}
        Acquisition or tracking.
    model : {'warm_fraction', 'ccd_temp'}
        What the model depends on.
    bins : int
        How many groups of as many stars, by predicted probability.
    level : float
        Of the interval of confidence of the observed fraction, by Wilson (1927, J. Am. Stat. Assoc. 22, 209).
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    polars.DataFrame
        A row for each group: predicted (mean probability), observed (fraction), low, high (its interval), n (stars).

    Raises
    ------
    MissingDataError
        If half of the stars are too few for a model.
    ValueError
        If `table` or `model` is not known, or `bins` or `level` makes no sense.

    Examples
    --------
    >>> calibration(bins=4, data_root=demo_lake("twenty years").root).columns
    ['predicted', 'observed', 'low', 'high', 'n']
    """
    if table not in _STATS:
        raise ValueError(f"table {table!r} is not one of {', '.join(_STATS)}")
    _known(model)
    if bins < 1:
        raise ValueError(f"bins {bins!r} is less than 1")
    deviation, lake = _deviation(level), open_lake(data_root)
    stars = _stars(lake, _STATS[table]).known_to(model)
    half = np.unique(stars.obsid, return_inverse=True)[1] % 2 == 0
    predicted = np.empty(len(half))
    for this in (half, ~half):
        others = stars.chosen(~this)
        fitted = fit(design(model, others.values), others.success, others.obsid) if others.determine(model) else None
        if fitted is None:
            raise _too_few(lake, _STATS[table], model)
        predicted[this] = probability(design(model, stars.chosen(this).values) @ fitted.coefficients)
    rows = []
    for group in np.array_split(np.argsort(predicted, kind="stable"), bins):
        if n := len(group):
            k = int(stars.success[group].sum())
            middle, wide = (k + deviation**2 / 2), deviation * np.sqrt(k * (n - k) / n + deviation**2 / 4)
            low, high = ((middle + sign * wide) / (n + deviation**2) for sign in (-1, 1))
            rows.append((predicted[group].mean(), k / n, low, high, n))
    return pl.DataFrame(rows, schema=["predicted", "observed", "low", "high", "n"], orient="row")
