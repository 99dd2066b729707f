"""Simulate dark current calibrations of the ACA: an image of the whole CCD and its properties.

The seed ranks the pixels from hottest to coldest. Radiation damage grows over the years for all, so that most pixels
that are warm in one calibration are warm in every later one.
"""

import io
import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake import times
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import generator
from mica_lake.simulate.files import write

__all__ = [
    "YEAR",
    "dark_current",
    "mean_celsius",
    "moment",
    "warm_share",
    "write_archive",
    "write_calibration",
    "write_days",
]

YEAR = 365.25 * 86400.0
"""A year (s)."""

_SIDE = 1024

# CCD temperature (C) of the calibrations of some years.
_YEARS = [1999.0, 2001.0, 2003.5, 2007.0, 2013.0, 2019.0, 2025.0]
_CELSIUS = [-5.5, -10.0, -14.5, -19.5, -19.0, -12.0, -7.5]
# From this year on the properties have other names.
_NEW_STYLE = 2014.0

# Dark current at -19 C (e-/s) of an undamaged pixel, and above which a pixel is warm.
_COLD = 3.0
_WARM = 100.0
# Share of warm pixels in 2000, and its growth per year.
_SHARE = 0.01
_GROWTH = 0.14 / 24


def mean_celsius(year: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """CCD temperature (C) of a year's calibrations, but for some scatter."""
    return np.asarray(np.interp(year, _YEARS, _CELSIUS))


def warm_share(year: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of warm pixels in a year."""
    return np.asarray(_SHARE + _GROWTH * (year - 2000))


def moment(dark_id: str) -> tuple[date, float]:
    """The day of a calibration, as a date and in years."""
    match = re.fullmatch(r"([12]\d{3})(\d{3})", dark_id)
    day = date(int(match[1]), 1, 1) + timedelta(int(match[2]) - 1) if match else None
    if day is None or f"{day:%Y%j}" != dark_id:
        raise ValueError(f"dark_id {dark_id!r} is not a year and a day of it, as in '2022069'")
    return day, day.year + (day.timetuple().tm_yday - 1) / 365.25


def dark_current(seed: int, rng: np.random.Generator, year: float, celsius: float) -> NDArray[np.float32]:
    """The dark current of all pixels (e-/s), as it is measured: in steps of 0.1, and less than 0 for some cold ones."""
    shape = (_SIDE, _SIDE)
    # Each pixel's rank from hottest to coldest never changes; the share of warm ones does.
    rank = np.maximum(generator(seed, 0, 12).random(shape, dtype=np.float32), np.float32(1e-6))
    share = np.float32(np.clip(warm_share(year), 0.002, 0.9))
    ratio = share / rank
    damage = np.float32(_WARM - _COLD) * np.where(ratio > 1, np.sqrt(ratio), ratio * ratio)
    # Damage comes and goes a little, so that near the limit some pixels are warm now and then.
    damage *= 1 + np.float32(0.04) * rng.standard_normal(shape, dtype=np.float32)
    image: NDArray[np.float32] = (damage + np.float32(_COLD)) * np.float32((1 / 0.7) ** ((celsius + 19) / 4))
    image += np.sqrt(16 + image / 20) * rng.standard_normal(shape, dtype=np.float32)
    image = np.rint(image * 10)
    image /= 10
    return image


def write_calibration(ska: Path, dark_id: str, *, seed: int = 0) -> Path:
    """Write one calibration: image.fits and properties.json.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names. The files in data/mica/archive/aca_dark/`dark_id` below it are written or replaced.
    dark_id : str
        Year and day of the year, as in '2022069'.
    seed : int
        What is written depends only on the seed and `dark_id`.

    Returns
    -------
    Path
        The folder of the calibration. Its image has 1024x1024 float32 (e-/s, in steps of 0.1); the first pixel is
        row and column -512. Some 1 % of pixels are above 100 e-/s at -19 C in 2000, and 15 % in 2024. The properties
        give the temperature of the calibration (C), which falls until 2007 and rises after 2013. From 2014 on they
        have today's keys.

    Raises
    ------
    ValueError
        If `dark_id` is not a day.

    Examples
    --------
    >>> import json
    >>> from mica_lake.simulate import dark_cal
    >>> directory = dark_cal.write_calibration(getfixture("tmp_path"), "2022069")
    >>> sorted(p.name for p in directory.iterdir())
    ['image.fits', 'properties.json']
    >>> sorted(json.loads((directory / "properties.json").read_text()))
    ['ccd_temp', 'date', 'datestart', 'datestop', 'filename', 'n_ccd_img', 'replicas', 't_ccd']
    """
    day, year = moment(dark_id)
    rng = generator(seed, int(dark_id), 13)
    celsius = round(float(mean_celsius(year) + rng.normal(0, 0.3)), 3)
    begin = times.day_start(day) + round(rng.uniform(3600, 75000), 3)
    # Five replicas of some 15 minutes, the temperature rising a little meanwhile.
    starts = begin + 900.0 * np.arange(5) + rng.uniform(0, 60, 5)
    warmth = (celsius + np.linspace(-0.2, 0.2, 5) + rng.normal(0, 0.01, 5)).round(3)
    duration = round(4500 + rng.uniform(0, 200), 3)
    start, stop = times.utc(begin), times.utc(begin + duration)
    properties: dict[str, object]
    if year < _NEW_STYLE:
        zodiacal = rng.uniform(22, 60)
        properties = {
            "ccd_temp": celsius,
            "date": start,
            "dec": round(rng.uniform(-70, 70), 4),
            "dur": duration,
            "eb": round(rng.uniform(-60, 60), 2),
            "el": round(rng.uniform(0, 360), 2),
            "id": dark_id,
            "l_l0": round(rng.uniform(-180, 180), 2),
            "ra": round(rng.uniform(0, 360), 4),
            "start": start,
            "stop": stop,
            "sun_el": round(rng.uniform(60, 150), 2),
            "zodib": round(zodiacal, 2),
            "replicas": [
                {
                    "replica": i,
                    "ccd_temp": float(warmth[i]),
                    "count": int(rng.integers(890, 920)),
                    "start": times.utc(float(starts[i])),
                    "zodib": round(zodiacal + rng.normal(0, 0.5), 2),
                }
                for i in range(5)
            ],
        }
    else:
        properties = {
            "date": start,
            "t_ccd": round(float(warmth.mean()), 3),
            "n_ccd_img": int(rng.integers(80, 100)),
            "ccd_temp": celsius,
            "datestart": start,
            "datestop": stop,
            "filename": f"dark_{dark_id}.fits",
            "replicas": {f"r{i}": {"t_ccd": float(warmth[i])} for i in range(5)},
        }
    image = fits.PrimaryHDU(dark_current(seed, rng, year, celsius))
    image.header["ORIGIN"] = ("SIMULATED", "not flight data")
    image.header["CREATOR"] = ("mica_lake.simulate", "program")
    content = io.BytesIO()
    image.writeto(content)
    directory = Path(ska) / "data/mica/archive/aca_dark" / dark_id
    write(directory / "image.fits", content.getvalue())
    write(directory / "properties.json", json.dumps(properties, indent=1).encode())
    return directory


def write_archive(ska: Path, start: float, stop: float, *, every: float = YEAR, seed: int = 0) -> list[Path]:
    """Write calibrations at regular intervals.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    start, stop : float
        Interval in CXC seconds; the first calibration is on the day of `start`, and all are before `stop`.
    every : float
        Time from one to the next (s).
    seed : int
        As in `write_calibration`.

    Returns
    -------
    list of Path
        Their folders, by day; there is at most one a day.

    Raises
    ------
    ValueError
        If `every` is not positive, or `stop` is before `start`.

    Examples
    --------
    >>> from mica_lake.simulate import dark_cal
    >>> [p.name for p in dark_cal.write_archive(getfixture("tmp_path"), 7e8, 7.2e8, every=1e7)]
    ['2020067', '2020183']
    """
    if not (every > 0 and start <= stop):
        raise ValueError(f"every {every!r} must be positive, and stop {stop!r} at or after start {start!r}")
    days = dict.fromkeys(times.utc_day(t) for t in np.arange(start, stop, every).tolist())
    return [write_calibration(ska, f"{day:%Y%j}", seed=seed) for day in days]


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write a calibration a year, up to these days."""
    return write_archive(days.ska, times.cxcsec("2000:001"), days.stop)
