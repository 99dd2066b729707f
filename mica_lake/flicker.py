"""Flickering pixels of the aspect camera: at random times the dark current of a pixel becomes another."""

import csv
import math
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["Flicker"]


class Flicker:
    """
    The flickering pixels of an image, and when each of them changes next.

    `flicker_cdf.csv` has, for each range of dark current (e-/s), how likely a pixel is at most 10^x of what it was at
    first, by x.

    Parameters
    ----------
    pixels : array
        Dark current of each pixel at first, e-/s.
    mean_time : float
        Mean time (s) from one change of a pixel to the next.
    scale : float
        Factor for the relative size of changes.
    seed : int, optional
        Seed of the random numbers; with -1 they are replaced by the mean time and a fixed pattern.

    Attributes
    ----------
    idxs : array of int
        For each pixel, which of the ranges it is in at first; -1 for a pixel that never flickers.
    times : array of float
        For each pixel, seconds until it changes.

    Examples
    --------
    >>> flicker = Flicker(np.array([10.0, 60.0, 2000.0]), 1000, 1.0, -1)
    >>> flicker.idxs, flicker.times
    (array([-1,  0,  8]), array([1000., 1000., 1000.]))
    >>> at, values = flicker.changed(1500, np.array([True, True, False]), compiled=True)
    >>> at, values.round(1)
    (array([1]), array([90.3]))
    """

    def __init__(self, pixels: NDArray[np.floating], mean_time: float, scale: float, seed: int | None) -> None:
        if not mean_time > 0:
            raise ValueError(f"flicker_mean_time {mean_time!r} is not a positive number of seconds")
        if not scale >= 0:
            raise ValueError(
                f"flicker_scale {scale!r} is negative: 1 leaves the sizes of changes as they were measured"
            )
        self.first = np.array(pixels, dtype=np.float64).ravel()
        self.mean_time, self.scale = float(mean_time), float(scale)
        # This generator, as it gives the numbers of the reference's.
        self._random = None if seed == -1 else np.random.RandomState(seed)
        self._changes = 0
        bins, _, _ = _distributions()
        self.idxs = np.searchsorted(bins, self.first) - 1
        self.idxs[self.idxs == len(bins) - 1] = -1
        if self._random is None:
            self.times = np.full(self.first.shape, self.mean_time)
        else:
            phase, u = self._random.uniform(size=(2, self.first.size))
            self.times = -np.log(1 - u) * self.mean_time * phase

    def changed(
        self, dt: float, mask: NDArray[np.bool_], *, compiled: bool
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """
        Let `dt` seconds pass for the pixels of the mask: which of them change, and their new values.

        The last digit of these is that of the reference's compiled code, or of its code without numba.
        """
        if not dt >= 0:
            raise ValueError(f"dt {dt!r} is not a number of seconds from 0")
        flickering = (self.idxs >= 0) & mask.ravel()
        self.times[flickering] -= dt
        at = np.flatnonzero(flickering & (self.times <= 0))
        a, t = self._draw(at)
        _, x, cdfs = _distributions()
        y = np.empty(len(at))
        for idx, cdf in enumerate(cdfs):
            here = self.idxs[at] == idx
            y[here] = np.interp(a[here], cdf, x)
        if self.scale != 1:
            y = np.sign(y) * _log10((_power_of_10(np.abs(y)) - 1) * self.scale + 1)
        self.times[at] = -np.log(1 - t) * self.mean_time
        first = self.first[at]
        return at, _power_of_10(_log10(first) + y) if compiled else first * _power_of_10(y)

    def _draw(self, at: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two numbers between 0 and 1 for each of these pixels."""
        self._changes += 1
        if self._random is None:
            return np.abs(np.sin(at + self._changes)), np.abs(np.cos(at + self._changes))
        a, t = self._random.uniform(size=(2, len(at)))
        return a, t


def _power_of_10(exponents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Powers by the C library, whose last digit is the reference's; NumPy's own may differ."""
    return np.array([10.0**exponent for exponent in exponents.tolist()])


def _log10(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms by the C library, for the same reason."""
    return np.array([math.log10(value) for value in values.tolist()])


@cache
def _distributions() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The limits of the ranges, the logarithms of the ratio, and the distribution of each range."""
    text = files("mica_lake").joinpath("flicker_cdf.csv").read_text(encoding="utf-8")
    (_, *ranges), *rows = csv.reader(text.splitlines())
    limits = [ranges[0].split("-")[0], *(one.split("-")[1] for one in ranges)]
    table = np.array(rows, dtype=np.float64).T
    return np.array(limits, dtype=np.float64), table[0], table[1:]
