"""Binomial regressions: how the odds of success depend on some quantities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.tables.star_model import GOOD_TRACK, OUTCOMES_A_TERM, SCALES, TERMS, quantities

Floats = NDArray[np.float64]
_MOST_STEPS = 50
_YEAR = 365.25 * 86400.0

#: What is read of a table of statistics: CCD temperature, time, and what says whether a star is a success.
COLUMNS = {
    "acq_stats": ("ccd_temp", "guide_tstart", "acqid"),
    "guide_stats": ("tccd_mean", "kalman_tstart", "f_track"),
}
_ALL = ("mag", "n100_warm_frac", "obsid", "known_bad", "position")


@dataclass(frozen=True)
class Stars:
    """
    Stars of a table of statistics, in its order.

    Attributes
    ----------
    values : dict
        The quantities that models depend on: name -> values.
    success : numpy.ndarray of bool
        Whether each was acquired, or tracked well.
    obsid, time : numpy.ndarray
        Its observation, and when that was, in CXC seconds.
    """

    values: Mapping[str, Floats]
    success: NDArray[np.bool_]
    obsid: NDArray[np.int64]
    time: Floats

    def known_to(self, model: str) -> "Stars":
        """Those that have all quantities of a model."""
        known = np.all([np.isfinite(self.values[name]) for name in quantities(model)], axis=0)
        values = {name: self.values[name][known] for name in quantities(model)}
        return Stars(values, self.success[known], self.obsid[known], self.time[known])

    def chosen(self, which: NDArray[np.bool_]) -> "Stars":
        """Some of them."""
        values = {name: column[which] for name, column in self.values.items()}
        return Stars(values, self.success[which], self.obsid[which], self.time[which])

    def determine(self, model: str) -> bool:
        """Whether they are enough to fit a model: ten with each outcome for each of its terms."""
        enough = OUTCOMES_A_TERM * len(TERMS[model])
        return bool(min(self.success.sum(), (~self.success).sum()) >= enough)


def columns_read(source: str) -> tuple[str, ...]:
    """The columns of a table of statistics that its models are made from."""
    return (*_ALL, *COLUMNS[source])


def stars_of(source: str, columns: Mapping[str, NDArray[Any]]) -> Stars:
    """The stars that are not known to be bad."""
    order = np.argsort(columns["position"], kind="stable")
    order = order[~columns["known_bad"][order].astype(bool)]
    temperature, time, success = (columns[name][order] for name in COLUMNS[source])
    values = {
        "mag": columns["mag"][order],
        "warm_fraction": columns["n100_warm_frac"][order],
        "ccd_temp": temperature,
        "year": year_of(time),
    }
    good = success.astype(bool) if source == "acq_stats" else success >= GOOD_TRACK
    return Stars(values, good, columns["obsid"][order], time)


def year_of(time: Any) -> Any:
    """Years, of 365.25 days since 1998, of times in CXC seconds."""
    return 1998 + np.asarray(time) / _YEAR


@dataclass(frozen=True)
class Fit:
    """The coefficients of the greatest likelihood, (k,), and their covariance, (k, k)."""

    coefficients: Floats
    covariance: Floats


def design(model: str, values: Mapping[str, Any]) -> Floats:
    """The terms of a model, (..., k), for values of its quantities."""
    scaled = {name: (np.asarray(value, float) - SCALES[name][0]) / SCALES[name][1] for name, value in values.items()}
    terms = [np.prod([scaled[name] for name in term.split(" * ")], axis=0) for term in TERMS[model][1:]]
    return np.stack([np.ones_like(terms[0]), *terms], axis=-1)


def fit(terms: Floats, success: NDArray[np.bool_], group: Sequence[int] | NDArray[Any]) -> Fit | None:
    """
    Fit a model to (n, k) terms, (n,) outcomes, and the group that each belongs to; None if they do not determine it.

    The covariance is the sandwich of the scores summed for each group, whose outcomes need not be independent (Liang
    and Zeger 1986, Biometrika 73, 13).
    """
    found = np.zeros(terms.shape[1])
    for _ in range(_MOST_STEPS):
        probable = probability(terms @ found)
        information = (terms.T * (probable * (1 - probable))) @ terms
        try:
            step = np.linalg.solve(information, terms.T @ (success - probable))
            inverse = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            return None
        found += step
        if np.abs(step).max() < 1e-9:
            break
    else:
        return None
    groups, number = np.unique(group, return_inverse=True)
    scores = np.zeros((len(groups), terms.shape[1]))
    np.add.at(scores, number, terms * (success - probable)[:, np.newaxis])
    sandwich = inverse @ (scores.T @ scores) @ inverse * len(groups) / max(len(groups) - 1, 1)
    return Fit(found, (sandwich + sandwich.T) / 2)


def probability(logit: Any) -> Any:
    """The probability of which this is the logarithm of the odds."""
    return 0.5 * (1 + np.tanh(np.asarray(logit) / 2))
