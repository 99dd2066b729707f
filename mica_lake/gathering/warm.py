"""The share of warm pixels of the CCD, from the model of its dark current."""

from functools import cache

import numpy as np

from mica_lake.gathering.residuals import fractional_year
from mica_lake.gathering.telemetry import Floats

_PIXELS = 2.0**20
_LIMIT = 100.0
_EDGES = 2 * 10 ** (np.arange(75) / 20)
_CENTERS = np.sqrt(_EDGES[:-1] * _EDGES[1:])


def warm_fraction(time: float, celsius: float) -> float:
    """
    The share of the pixels with a dark current above 100 e-/s.

    Parameters
    ----------
    time : float
        CXC seconds; the model is meant for 2007 and later.
    celsius : float
        Temperature of the CCD.

    Returns
    -------
    float
        From 0 to 1; NaN if the temperature is.

    Examples
    --------
    >>> round(warm_fraction(450320011.0, -10.16), 3)
    0.195
    """
    return _fraction(_histogram(fractional_year(time)), celsius)


def _histogram(year: float) -> Floats:
    """How many pixels have a dark current between each edge and the next, at -14 °C."""
    since = year - 2012

    def then(value: float, before: float, after: float) -> float:
        return value + since * (before if since < 0 else after)

    g1, g2, g3 = then(0.075, -0.00692, -0.0207), then(3.32, 0.0203, 0.0), then(2.40, 0.061, 0.061)
    cut, high = then(192, 0.1, 0.1), then(18400, 1450, 742)
    middle = high * (cut / 50) ** (g2 - g1)
    last = middle * 20 ** (g3 - g2)
    pixels = np.select(
        [cut > _CENTERS, _CENTERS < 1000],
        [high * (_CENTERS / 50) ** -g1, middle * (_CENTERS / 50) ** -g2],
        last * (_CENTERS / 50) ** -g3,
    )
    return np.convolve(pixels, _kernel(), "same")


@cache
def _kernel() -> Floats:
    """What the histogram is smoothed with: the scatter of a pixel's dark current."""
    at = np.arange(15) * 0.1 - 0.75
    bell = np.exp(-0.5 * (at / 0.3) ** 2)
    return bell / bell.sum()  # type: ignore[no-any-return]


def _fraction(pixels: Floats, celsius: float) -> float:
    """The share of pixels above the limit, of the first bin above it the part of a power law."""
    if not np.isfinite(celsius):
        return float("nan")
    edges = _EDGES * (1 / 0.7) ** ((celsius + 14) / 4)
    i = int(np.searchsorted(edges, _LIMIT))
    if not 0 < i < len(pixels):
        raise ValueError(f"the temperature of the CCD is {celsius} °C, for which there is no model of its dark current")
    slope = np.log(pixels[i] / pixels[i - 1]) / np.log(edges[i] / edges[i - 1])
    low, high, limit = (np.log(value) ** slope for value in (edges[i - 1], edges[i], _LIMIT))
    return float((pixels[i:].sum() + pixels[i] * (high - limit) / (high - low)) / _PIXELS)
