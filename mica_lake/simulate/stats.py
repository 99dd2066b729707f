"""Simulate acquisition and guide star statistics: two HDF5 tables, eight stars for each observation.

Faint stars and a warm CCD make acquisition fail, tracking be lost, and centroids scatter; the share of warm pixels
grows over the years as it does in the simulated dark current calibrations.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake import times
from mica_lake.simulate.dark_cal import YEAR, mean_celsius, warm_share
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import generator
from mica_lake.simulate.files import hdf5, write
from mica_lake.simulate.observations import Observation
from mica_lake.tables.stat_columns import row_dtype

__all__ = ["catalogs", "write_archive", "write_days"]

_STARS = 8
# How many numbers of each distribution are drawn for a star.
_DRAWN = 40
# Magnitude at which half of the stars are acquired at -15 C, its decrease per degree, and the softness of the limit.
_HALF, _PER_DEGREE, _SOFT = 10.9, 0.07, 0.2
# Scatter of the centroid (arcsec) of an 8 mag star; it doubles every one and a half magnitudes.
_SCATTER = 0.08
_CADENCE = 2.05
_LONG = 60.0

_AGASC = (
    *("agasc_id", "pm_ra", "pm_dec", "pos_err", "pos_catid", "mag_aca", "mag_band"),
    *("aspq1", "aspq2", "aspq3", "acqq1", "acqq2", "acqq4"),
)

_Columns = dict[str, Any]
_Floats = NDArray[np.float64]


class _Stars:
    """The stars of some observations: catalog, circumstances, and numbers to draw from."""

    def __init__(self, observed: Sequence[Observation], seed: int) -> None:
        drawn = [generator(seed, o.obsid, 15) for o in observed]
        self.n = _STARS * len(observed)
        self.observed = observed
        self._normal = self._stacked([rng.standard_normal((_STARS, _DRAWN)) for rng in drawn])
        self._uniform = self._stacked([rng.random((_STARS, _DRAWN)) for rng in drawn])
        # Numbers that the stars of an observation share: those of its first star.
        first = np.arange(self.n) // _STARS * _STARS
        self._common, self._next = self._normal[first], 0
        self.start = self.each([o.tstart for o in observed])
        self.stop = self.each([o.tstop for o in observed])
        year = 1998 + self.start / YEAR
        self.celsius = mean_celsius(year) + 0.5 * self._common[:, self._column()]
        self.warm = np.maximum(warm_share(year) + 1e-3 * self._common[:, self._column()], 0.002)
        self.one_shot = 8 * self.common(), 8 * self.common()
        self.yang, self.zang = self.between(-2400, 2400), self.between(-2400, 2400)
        # There are more faint stars than bright ones.
        self.mag = 6.2 + 4.8 * np.sqrt(self.between(0, 1))
        self.scatter = _SCATTER * 2 ** ((self.mag - 8) / 1.5)
        self.catalog = self._catalog()

    def _stacked(self, drawn: list[_Floats]) -> _Floats:
        return np.concatenate([np.empty((0, _DRAWN)), *drawn])

    def _column(self) -> int:
        self._next += 1
        return self._next - 1

    def each(self, values: Sequence[Any]) -> NDArray[Any]:
        """Repeat the value of each observation for all of its stars."""
        return np.repeat(np.array(values), _STARS)

    def common(self) -> _Floats:
        """Draw a normal number for each observation."""
        return self._common[:, self._column()]

    def normal(self) -> _Floats:
        """Draw a normal number for each star."""
        return self._normal[:, self._column()]

    def between(self, low: float, high: float) -> _Floats:
        """Draw a number for each star, uniform in an interval."""
        return low + (high - low) * self._uniform[:, self._column()]

    def whole(self, low: int, high: int) -> NDArray[np.int64]:
        """Draw a whole number for each star, from `low` to below `high`."""
        return np.floor(self.between(low, high)).astype(np.int64)

    def chance(self, share: float | _Floats) -> NDArray[np.bool_]:
        """Draw for each star whether something happens, given its probability."""
        return self.between(0, 1) < share

    def _catalog(self) -> _Columns:
        """The columns that both tables have."""
        roll = np.radians(self.each([o.roll for o in self.observed]))
        dec = self.each([o.dec for o in self.observed])
        # The small angles from the middle of the field, turned by the roll.
        east = (self.yang * np.cos(roll) + self.zang * np.sin(roll)) / 3600
        north = (self.zang * np.cos(roll) - self.yang * np.sin(roll)) / 3600
        ra = self.each([o.ra for o in self.observed]) - east / np.cos(np.radians(dec))
        moves = self.chance(0.9)
        bad = self.chance(0.005)
        return {
            "obsid": self.each([o.obsid for o in self.observed]),
            "obi": 0,
            "revision": b"simulated",
            "slot": np.tile(np.arange(_STARS), len(self.observed)),
            "idx": 4 + np.tile(np.arange(_STARS), len(self.observed)),
            "yang": self.yang,
            "zang": self.zang,
            "mag": np.round(self.mag, 3),
            "agasc_id": self.whole(1_000_000, 1_200_000_000),
            "ra": ra % 360,
            "dec": np.clip(dec + north, -90, 90),
            "epoch": 2000.0,
            "pm_ra": np.where(moves, self.whole(-60, 60), -9999),
            "pm_dec": np.where(moves, self.whole(-60, 60), -9999),
            "var": -9999,
            "pos_err": self.whole(10, 300),
            "mag_aca": np.round(self.mag, 3),
            "mag_band": self.whole(0, 3),
            "pos_catid": self.whole(1, 6),
            "aspq1": np.where(self.chance(0.1), self.whole(1, 20), 0),
            "aspq2": np.where(moves, 0, 1),
            "aspq3": self.whole(0, 999),
            "acqq1": self.whole(50, 900),
            "acqq2": self.whole(30, 700),
            "acqq4": self.whole(0, 500),
            "n100_warm_frac": self.warm,
            "known_bad": bad,
            "bad_comment": np.where(bad, b"wrong star", b""),
        }


def _acq_stats(stars: _Stars) -> _Columns:
    """The columns of the acquisition statistics."""
    half = _HALF - _PER_DEGREE * (stars.celsius + 15)
    acquired = stars.chance(1 / (1 + np.exp((stars.mag - half) / _SOFT)))
    spoiler = ~acquired & stars.chance(0.2)
    y, z = stars.one_shot
    cdy, cdz = (np.where(acquired, stars.scatter * stars.normal(), np.nan) for _ in range(2))
    seen = np.where(acquired, stars.mag + 0.2 * stars.scatter * stars.normal(), np.nan)
    before = stars.start - 250 - 40 * np.abs(stars.common())
    columns = {
        "acq_start": _dates(before),
        "guide_start": _dates(stars.start),
        "guide_tstart": stars.start,
        "one_shot_length": np.hypot(y, z),
        "type": np.where(stars.chance(0.6), b"BOT", b"ACQ"),
        "halfw": _halfw(stars),
        "acqid": acquired,
        "star_tracked": acquired | stars.chance(0.05),
        "spoiler_tracked": spoiler,
        "img_func": np.where(
            acquired, b"star", np.where(spoiler, b"spoiler", np.where(stars.chance(0.5), b"RACQ", b"NONE"))
        ),
        "n_trak_interv": np.where(acquired, 1 + stars.chance(0.1), spoiler),
        "cdy": cdy,
        "cdz": cdz,
        "dy": cdy + y,
        "dz": cdz + z,
        "ion_rad": stars.chance(0.02),
        "def_pix": stars.chance(stars.warm),
        "mult_star": stars.chance(0.03),
        "sat_pix": stars.mag < 6.3,
        "mag_obs": seen,
        "yang_obs": stars.yang + cdy + y,
        "zang_obs": stars.zang + cdz + z,
        "color1": np.round(0.7 + 0.4 * stars.normal(), 2),
        "mag_err": stars.whole(1, 60),
        "ccd_temp": stars.celsius,
    }
    for name, middle in (("cdy", cdy), ("cdz", cdz), ("mag", seen)):
        spread = np.abs(stars.scatter * stars.normal())
        for which, sign in (("max", 1), ("min", -1), ("mean", 0)):
            columns[f"{which}_trak_{name}"] = middle + sign * spread
    return columns


def _guide_stats(stars: _Stars) -> _Columns:
    """The columns of the guide star statistics."""
    samples = np.maximum(np.floor((stars.stop - stars.start) / _CADENCE), 1)
    # The closer a star is to the faint limit, the more often its track is lost.
    margin = _HALF - _PER_DEGREE * (stars.celsius + 15) - stars.mag
    lost = np.clip(0.3 * np.exp(-3 * margin) * np.abs(stars.normal()), 0, 1)
    tracked = np.floor(samples * (1 - lost))
    share = tracked / samples
    racq = (1 - share) * 0.7
    cuts = {limit: 1 - np.exp(-((limit / stars.scatter) ** 2) / 2) for limit in (0.3, 1.0, 3.0, 5.0)}
    gaps = np.floor(np.minimum(samples - tracked, 20 * lost)).astype(np.int64)
    intervals = np.where(tracked > 0, gaps + 1, 0)
    columns: _Columns = {
        "kalman_tstart": stars.start,
        "npnt_tstop": stars.stop,
        "kalman_datestart": _dates(stars.start),
        "npnt_datestop": _dates(stars.stop),
        "type": np.where(stars.chance(0.6), b"BOT", b"GUI"),
        "sz": b"6x6",
        "n_samples": samples,
        "n_track": tracked,
        "f_track": share,
        "f_racq": racq,
        "f_srch": 1 - share - racq,
        "f_none": 0.0,
        "n_kalman": samples,
        "no_track": 1 - share,
        **{f"f_within_{limit:g}": cut for limit, cut in cuts.items()},
        "f_outside_5": 1 - cuts[5.0],
        "f_obc_bad": lost / 2,
        "f_common_col": 0.0,
        "f_quad_bound": np.where(stars.chance(0.02), stars.between(0, 1), 0.0),
        "f_sat_pix": np.where(stars.mag < 6.3, stars.between(0, 0.1), 0.0),
        "f_def_pix": stars.warm * stars.between(0, 1),
        "f_ion_rad": stars.between(0, 0.01),
        "f_mult_star": np.where(stars.chance(0.05), stars.between(0, 0.5), 0.0),
        "aoacmag_std": stars.scatter / 5,
        "aoacyan_mean": stars.yang + 0.1 * stars.normal(),
        "aoaczan_mean": stars.zang + 0.1 * stars.normal(),
        "n_track_interv": intervals,
        "n_long_track_interv": np.where((stars.stop - stars.start) / (gaps + 1) > _LONG, intervals, 0),
        "n_long_no_track_interv": gaps // 4,
        "n_racq_interv": gaps,
        "n_srch_interv": gaps // 3,
        "color": np.round(0.7 + 0.4 * stars.normal(), 2),
        "mag_aca_err": stars.whole(1, 60),
        "tccd_mean": stars.celsius,
        "tccd_max": stars.celsius + np.abs(0.2 * stars.normal()),
    }
    middle = stars.mag + 0.02 * stars.normal()
    spread = {"min": -3.5, "5th": -1.645, "16th": -1, "50th": 0, "mean": 0, "84th": 1, "95th": 1.645, "max": 3.5}
    columns |= {f"aoacmag_{name}": middle + at * columns["aoacmag_std"] for name, at in spread.items()}
    for name in ("dy", "dz"):
        middle = 0.1 * stars.normal()
        columns |= {f"{name}_{which}": middle + spread[which] * stars.scatter for which in ("min", "mean", "max")}
        columns[f"{name}_std"] = stars.scatter
    # Quantiles, mean and deviation of a Rayleigh distribution.
    rayleigh = {"min": 0.01, "5th": 0.32, "mean": 1.253, "std": 0.655, "95th": 2.448, "max": 4.5}
    return columns | {f"dr_{which}": at * stars.scatter for which, at in rayleigh.items()}


def _dates(secs: _Floats) -> NDArray[np.bytes_]:
    """UTC dates of times that are the same for all stars of an observation."""
    return np.repeat(np.array([times.utc(t) for t in secs[::_STARS].tolist()], "S21"), _STARS)


def catalogs(observations: Sequence[Observation], *, seed: int = 0) -> list[_Columns]:
    """
    The stars of which `write_archive` writes statistics, as they were planned.

    Parameters
    ----------
    observations : sequence of Observation
        The observations.
    seed : int
        As of `write_archive`.

    Returns
    -------
    list of dict
        For each observation arrays of its stars: slot, idx, agasc_id, mag, yang and zang (arcsec), halfw (arcsec);
        celsius, the temperature of the CCD (°C); acquired, whether it was; scatter, that of its centroids (arcsec);
        one_shot, pitch and yaw (arcsec); and agasc, what the AGASC has of it but for its place.

    Examples
    --------
    >>> from mica_lake.simulate import stats
    >>> from mica_lake.simulate.observations import observations
    >>> [len(stars["agasc_id"]) for stars in stats.catalogs(observations(7e8, 7e8 + 20000))]
    [8, 8]
    """
    stars = _Stars(observations, seed)
    names = ("slot", "idx", "agasc_id", "mag", "yang", "zang")
    columns = {name: stars.catalog[name] for name in names} | {"celsius": stars.celsius, "halfw": _halfw(stars)}
    acq = _acq_stats(stars)
    columns |= {"acquired": acq["acqid"], "scatter": stars.scatter}
    known = {name.upper(): np.broadcast_to(stars.catalog[name], stars.n) for name in _AGASC}
    known |= {"MAG_ERR": acq["mag_err"], "COLOR1": acq["color1"]}
    places = [slice(_STARS * n, _STARS * (n + 1)) for n in range(len(observations))]
    return [
        {name: values[place] for name, values in columns.items()}
        | {"agasc": {name: values[place] for name, values in known.items()}}
        | {"one_shot": tuple(values[place] for values in stars.one_shot)}
        for place in places
    ]


def _halfw(stars: _Stars) -> NDArray[np.int64]:
    return np.where(stars.mag > 9, 160, 120)


def write_archive(ska: Path, observations: Sequence[Observation], *, seed: int = 0) -> list[Path]:
    """Write the acquisition and the guide star statistics of some observations.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names. The files data/acq_stats/acq_stats.h5 and data/guide_stats/guide_stats.h5 below it
        are written or replaced.
    observations : sequence of Observation
        The observations.
    seed : int
        The rows of an observation depend only on it and on the seed.

    Returns
    -------
    list of Path
        The two files. Each has a table ``/data`` with eight rows for each observation, in the order given: the same
        stars in both.

    Examples
    --------
    >>> from mica_lake.simulate import stats
    >>> from mica_lake.simulate.observations import observations
    >>> [p.name for p in stats.write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 60000))]
    ['acq_stats.h5', 'guide_stats.h5']
    """
    paths = []
    for table, columns_of in (("acq_stats", _acq_stats), ("guide_stats", _guide_stats)):
        stars = _Stars(observations, seed)
        rows = np.empty(stars.n, row_dtype(table))
        columns = stars.catalog | columns_of(stars)
        for name in row_dtype(table).names or ():
            rows[name] = columns[name]
        paths.append(write(Path(ska) / "data" / table / f"{table}.h5", hdf5(rows, "data")))
    return paths


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the statistics of the observations of some days."""
    return write_archive(days.ska, days.observations)
