"""Dark current: a model of how its distribution over the pixels changes with time and temperature."""

import math
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.archive.aca_dark.dark_cal import SIDE, dark_temp_scale, get_dark_cal_image
from mica_lake.times import cxcsec, fractional_years, is_scalar

__all__ = [
    "dark_temp_scale",
    "dark_temp_scale_img",
    "get_dark_hist",
    "get_sbp_pars",
    "get_warm_fracs",
    "smooth_broken_pow",
    "smooth_twice_broken_pow",
    "synthetic_dark_image",
    "temp_scalefac",
]

Root = str | os.PathLike[str] | None
Floats = NDArray[np.float64]

_PIXELS = SIDE * SIDE
_T_CCD = -14.0  # °C, of the calibrations that the model was fitted to
_BREAK = 1000.0  # e-/s, the second break

_BINS: Floats = np.power(10.0, math.log10(2.0) + 0.05 * np.arange(75))
_CENTERS: Floats = np.sqrt(_BINS[:-1] * _BINS[1:])
_FROM_50: Floats = np.log(_CENTERS / 50.0)
# A Gaussian over the bins; it is not symmetric, and the parameters below were fitted with it.
_KERNEL: Floats = np.exp(-(((-0.75 + 0.1 * np.arange(15)) / 0.3) ** 2) / 2)
_KERNEL /= _KERNEL.sum()
_SMOOTHING: Floats = np.array([np.convolve(row, _KERNEL, mode="same") for row in np.eye(74)])

# g1, g2, g3, x_b, ampl: at the middle of 2012, and a year's change before and from then on.
_MIDDLE = 2012.0
_AT_MIDDLE: Floats = np.array([0.075, 3.32, 2.40, 192.0, 18400.0])
_BEFORE: Floats = np.array([-0.00692, 0.0203, 0.061, 0.1, 1450.0])
_AFTER: Floats = np.array([-0.0207, 0.0, 0.061, 0.1, 742.0])


def _pars(dates: Any) -> Floats:
    """The parameters (..., 5) for one or several dates."""
    given = np.asarray(cxcsec(dates) if is_scalar(dates) else dates)
    # What is not negative is a time: a look at each of a thousand would take longer than all the rest.
    plain = given.dtype == np.float64 and bool((given >= 0).all())
    times = given if plain else np.array([cxcsec(date) for date in given.ravel().tolist()]).reshape(given.shape)
    years = fractional_years(times)[..., np.newaxis] - _MIDDLE
    found: Floats = _AT_MIDDLE + np.where(years < 0, _BEFORE, _AFTER) * years
    return found


def get_sbp_pars(dates: Any) -> list[Any]:
    """
    Parameters of the model for a date: its power laws, as `smooth_twice_broken_pow` takes them.

    Parameters
    ----------
    dates : time, or list or array of times
        The date, in any form that `mica_lake.times.cxcsec` takes.

    Returns
    -------
    list
        ``[g1, g2, g3, x_b, ampl]``; for several dates a list of such lists. Each changes linearly with time, at one
        rate before 2012 and another from then on.

    Raises
    ------
    ValueError
        If one of the dates is not a time.

    Examples
    --------
    >>> get_sbp_pars("2012:001")
    [0.075, 3.32, 2.4, 192.0, 18400.0]
    """
    found: list[Any] = _pars(dates).tolist()
    return found


def _smoothed(unsmoothed: Floats, x: ArrayLike) -> Floats:
    """What lies in the range of `x`, smoothed."""
    within = np.asarray(x, float)
    chosen = slice(*np.searchsorted(_CENTERS, [within[0] - 1e-3, within[-1] + 1e-3]))
    return np.convolve(unsmoothed, _KERNEL, mode="same")[chosen]


def smooth_broken_pow(pars: ArrayLike, x: ArrayLike) -> Floats:
    """
    Number of pixels in each bin: a power law with a break, smoothed.

    Parameters
    ----------
    pars : sequence of float
        ``[g1, g2, x_b, x_r, ampl]``: `ampl` pixels at `x_r` e-/s, exponent `-g1` up to `x_b` e-/s and `-g2` above.
    x : array, shape (n,)
        Centres in e-/s of consecutive bins of the model, as `get_dark_hist` returns them at -14 °C.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Number of pixels, smoothed over all the bins of the model.

    Examples
    --------
    >>> x = get_dark_hist("2012:001", -14)[0]
    >>> smooth_broken_pow([0.1, 3, 200, 50, 1000], x).shape
    (74,)
    """
    g1, g2, x_b, x_r, ampl = np.asarray(pars, float)
    above = ampl * (x_b / x_r) ** (g2 - g1) * (_CENTERS / x_r) ** -g2
    return _smoothed(np.where(x_b < _CENTERS, above, ampl * (_CENTERS / x_r) ** -g1), x)


def _twice_broken(pars: Floats) -> Floats:
    """Pixels in each bin before smoothing, for parameters (..., 5)."""
    g1, g2, g3, x_b, ampl = np.moveaxis(pars[..., np.newaxis], -2, 0)
    # As logarithms, so that each bin needs one power.
    a2 = (g2 - g1) * np.log(x_b / 50.0)
    a3 = a2 + (g3 - g2) * math.log(_BREAK / 50.0)
    where = [_CENTERS >= _BREAK, x_b <= _CENTERS]
    found: Floats = ampl * np.exp(np.select(where, [a3, a2], 0.0) - np.select(where, [g3, g2], g1) * _FROM_50)
    return found


def _pixels(dates: Any) -> Floats:
    """Pixels in each bin, (..., 74), for one or several dates."""
    pars = _pars(dates)
    if not (pars[..., 4] > 0).all():
        raise ValueError(f"{dates!r}: the model has no pixels before 1999:115; give later dates")
    return _twice_broken(pars) @ _SMOOTHING


def smooth_twice_broken_pow(pars: ArrayLike, x: ArrayLike) -> Floats:
    """
    Number of pixels in each bin: a power law with two breaks, smoothed.

    Parameters
    ----------
    pars : sequence of float
        ``[g1, g2, g3, x_b, ampl]``: `ampl` pixels at 50 e-/s, exponent `-g1` below `x_b` e-/s, `-g2` up to 1000 e-/s,
        `-g3` above.
    x : array, shape (n,)
        Centres in e-/s of consecutive bins of the model, as `get_dark_hist` returns them at -14 °C.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Number of pixels, smoothed over all the bins of the model.

    Examples
    --------
    >>> x = get_dark_hist("2012:001", -14)[0]
    >>> smooth_twice_broken_pow(get_sbp_pars("2012:001"), x).shape
    (74,)
    """
    return _smoothed(_twice_broken(np.asarray(pars, float)), x)


def temp_scalefac(T_ccd: ArrayLike) -> Any:  # noqa: N803 - as in chandra_aca
    """
    Factor from the dark current at a temperature to that at -19 °C, by its old definition.

    .. deprecated:: 1
        Use ``dark_temp_scale(t_ccd, t_ccd_ref)``, which says from where to where.

    Parameters
    ----------
    T_ccd : float or array
        Temperature in °C.

    Returns
    -------
    float or numpy.ndarray
        ``dark_temp_scale(-19, T_ccd)``.

    Warns
    -----
    FutureWarning
        Always.

    Examples
    --------
    >>> import warnings
    >>> warnings.simplefilter("ignore", FutureWarning)
    >>> temp_scalefac(-19.0)
    1.0
    """
    message = "temp_scalefac(T) is deprecated: use dark_temp_scale(-19, T)"
    warnings.warn(message, FutureWarning, stacklevel=2)
    return dark_temp_scale(-19.0, T_ccd)


def dark_temp_scale_img(img: ArrayLike, t_ccd: float, t_ccd_ref: float) -> Any:
    """
    A dark current image at another CCD temperature; how much a pixel changes depends on its own dark current.

    Parameters
    ----------
    img : float or array
        Dark current in e-/s.
    t_ccd, t_ccd_ref : float
        Temperature in °C of the image, and the one to scale it to.

    Returns
    -------
    float or numpy.ndarray
        Dark current in e-/s at `t_ccd_ref`, of the image's type.

    Examples
    --------
    >>> float(round(dark_temp_scale_img(250.0, -14.0, -19.0), 2))
    145.1
    """
    a, b, c, d, e = -4.88802057, -1.66791619e-4, -0.222596103, -2.45720364e-3, 0.190718453
    t = 265.15
    y = np.log(np.clip(img, 20.0, 1e4)) - e * t
    return img * np.exp((a + b * t + c * y + d * y**2) * (t_ccd_ref - t_ccd))


def get_dark_hist(date: Any, t_ccd: float) -> tuple[Floats, Floats, Floats]:
    """
    The model's histogram of dark current.

    Parameters
    ----------
    date : time
        The date, in any form that `mica_lake.times.cxcsec` takes.
    t_ccd : float
        CCD temperature in °C.

    Returns
    -------
    tuple of numpy.ndarray of float64
        Centres of the 74 bins and their 75 edges in e-/s, and the number of pixels in each, of 1024 x 1024.

    Raises
    ------
    ValueError
        If `date` is not a time, or before the model begins, in 1999.

    Examples
    --------
    >>> x, bins, y = get_dark_hist("2020:001", -11)
    >>> x.shape, bins.shape, y.shape
    ((74,), (75,), (74,))
    """
    scale = dark_temp_scale(_T_CCD, t_ccd)
    return _CENTERS * scale, _BINS * scale, _pixels(cxcsec(date))


def get_warm_fracs(
    warm_threshold: ArrayLike,
    date: Any = "2013:001:12:00:00",
    T_ccd: ArrayLike = -19.0,  # noqa: N803 - as in chandra_aca
) -> Any:
    """
    Fraction of the pixels that are warmer than a threshold, by the model.

    Parameters
    ----------
    warm_threshold : float or array
        Dark current in e-/s.
    date : time or array of times
        The date, in any form that `mica_lake.times.cxcsec` takes.
    T_ccd : float or array
        CCD temperature in °C.

    Returns
    -------
    float or numpy.ndarray of float64
        Fractions; arrays are broadcast against each other. Masked where a threshold or temperature is.

    Raises
    ------
    ValueError
        If a threshold is outside the bins of the model at that temperature, or a date is not a time, or before the
        model begins, in 1999.

    Examples
    --------
    >>> float(round(get_warm_fracs(100, "2020:001", -11), 4))
    0.2806
    >>> get_warm_fracs(100, ["2020:001", "2025:001"], -11).shape
    (2,)
    """
    threshold, temperature = np.asarray(warm_threshold, float), np.asarray(T_ccd, float)
    scale = np.asarray(dark_temp_scale(_T_CCD, temperature))
    pixels = _pixels(date)
    warmer = np.flip(np.cumsum(np.flip(pixels, -1), -1), -1)
    shape = np.broadcast_shapes(pixels.shape[:-1], threshold.shape, temperature.shape)
    # Counted, as an edge scaled and a threshold scaled back may be rounded apart.
    at = (scale[..., np.newaxis] * _BINS < threshold[..., np.newaxis]).sum(-1)
    within = np.minimum(at, 73)
    with np.errstate(divide="ignore", invalid="ignore"):
        level, upper, lower = (np.log(v) for v in (threshold, scale * _BINS[within], scale * _BINS[within - 1]))
        at_date = np.broadcast_to(pixels, (*shape, 74)), np.broadcast_to(warmer, (*shape, 74))
        chosen = np.broadcast_to(within, shape)[..., np.newaxis]
        here, above = (np.take_along_axis(of, chosen, -1)[..., 0] for of in at_date)
        before = np.take_along_axis(at_date[0], chosen - 1, -1)[..., 0]
        m = np.log(here / before) / (upper - lower)
        part = here * (upper**m - level**m) / (upper**m - lower**m)
        answer = (above + np.where(at == 0, 0.0, part)) / _PIXELS
    # The lowest edge is the last threshold that all bins are above.
    either = np.ma.getmaskarray(np.ma.asarray(warm_threshold)) | np.ma.getmaskarray(np.ma.asarray(T_ccd))
    masked = np.broadcast_to(either, shape)
    wrong = (~np.isfinite(answer) | (at > 73) | ~(threshold >= scale * _BINS[0])) & ~masked
    if wrong.any():
        t, w = (np.broadcast_to(of, shape)[wrong].flat[0] for of in (temperature, threshold))
        lowest, highest = dark_temp_scale(_T_CCD, t) * _BINS[[0, 73]]
        raise ValueError(
            f"warm_threshold {w:g} is outside the model: "
            f"at {t:g} °C it knows {max(lowest, 1.0):.4g} to {highest:.4g} e-/s"
        )
    if masked.any():
        return np.ma.masked_array(answer, masked)
    return answer if answer.ndim else answer[()]


def synthetic_dark_image(date: Any, t_ccd_ref: float | None = None, *, data_root: Root = None) -> NDArray[np.float32]:
    """
    A dark current image for a date, made of the first calibration and the model's warm pixels at random places.

    The random numbers are those of NumPy's global generator: the same after the same ``numpy.random.seed``.

    Parameters
    ----------
    date : time
        The date, in any form that `mica_lake.times.cxcsec` takes.
    t_ccd_ref : float, optional
        CCD temperature in °C; -14 by default.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.

    Returns
    -------
    numpy.ndarray of float32, shape (1024, 1024)
        Dark current in e-/s.

    Raises
    ------
    MissingDataError
        If the lake has no calibration.
    ValueError
        If `date` is not a time.
    """
    _, bins, expected = get_dark_hist(date, _T_CCD)
    random: Any = np.random
    dark: NDArray[np.float32] = get_dark_cal_image("1999:223", "nearest", _T_CCD, data_root=data_root).ravel()
    warm = np.flatnonzero(dark > 40.0)
    dark[warm] = dark[random.randint(0, dark.size - warm.size, warm.size)]
    # So many pixels that all are warm: some of the warmest bins find none.
    ends = np.minimum(np.cumsum(random.poisson(expected)), dark.size)
    edges = np.log(bins)
    for start, stop, low, high in zip([0, *ends[:-1]], ends, edges[:-1], edges[1:], strict=True):
        dark[start:stop] += np.exp(random.uniform(low, high, stop - start))
    random.shuffle(dark)
    if t_ccd_ref is not None:
        dark *= dark_temp_scale(_T_CCD, t_ccd_ref)
    return dark.reshape(SIDE, SIDE)
