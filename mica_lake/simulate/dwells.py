"""What all simulators agree on: a seed's random numbers, its dwells, and the temperatures of the camera.

For a seed, time is divided into dwells of 3 to 8 hours: a maneuver, an acquisition, and tracking to the end.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Dwells begin about this far apart, give or take the scatter (s).
_SPACING = 19800.0
_SCATTER = 4500.0


def generator(*key: int) -> np.random.Generator:
    """Random numbers that depend on these integers alone."""
    return np.random.default_rng([k % 2**40 for k in key])


@dataclass(frozen=True)
class Dwell:
    """A dwell: maneuver from `start`, acquisition from `acquire`, tracking from `track` to `stop`."""

    start: float
    acquire: float
    track: float
    stop: float
    imgsize: int
    newer: tuple[bytes, bytes]
    phase: tuple[float, float]

    @classmethod
    def number(cls, seed: int, k: int) -> "Dwell":
        """Dwell number `k` of a seed."""
        start, stop = (_SPACING * i + generator(seed, i, 0).uniform(-_SCATTER, _SCATTER) for i in (k, k + 1))
        rng = generator(seed, k, 1)
        acquire = start + rng.choice([0.0, rng.uniform(300, 1500)], p=[0.4, 0.6])
        return cls(
            start=start,
            acquire=float(acquire),
            track=float(acquire + rng.uniform(200, 400)),
            stop=stop,
            imgsize=int(rng.choice([4, 6, 8], p=[0.15, 0.7, 0.15])),
            newer=(bytes(rng.choice([b"ORIG", b"DYNB"])), bytes(rng.choice([b"FLAT", b"DYNB"]))),
            phase=(rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)),
        )


def dwells(seed: int, start: float, stop: float) -> dict[int, Dwell]:
    """Dwells that cover the interval, and perhaps one more at either end, by number."""
    numbers = range(math.floor(start / _SPACING) - 1, math.floor(stop / _SPACING) + 2)
    return {k: Dwell.number(seed, k) for k in numbers}


def temperatures(seed: int, time: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Temperatures (C) of the CCD, housing, lens cell and secondary mirror at each time, the same in all slots."""
    a, b, c = generator(seed, 2).uniform(0, 2 * np.pi, 3)
    # A sine much faster than the sampling stands for noise, which all slots have to share.
    noise = np.sin(13.7 * time)
    warm = 0.3 * np.sin(time * (2 * np.pi / 260e3) + c)
    return {
        "TEMPCCD": -7.5 + 2.0 * np.sin(time * (2 * np.pi / 950e3) + a) + 0.4 * np.sin(time / 14e3 + b) + 0.05 * noise,
        "TEMPHOUS": 31.6 + warm,
        "TEMPPRIM": 31.2 + warm,
        "TEMPSEC": 30.4 + warm,
    }
