"""Guide star statistics of an observation."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.archive.aca_dark.dark_model import get_warm_fracs
from mica_lake.gathering.observed import GUIDE, WARM, Chosen, common_columns, entries_of, maneuver_of, rows_with
from mica_lake.gathering.residuals import Stars, color_of, moved, star_residuals
from mica_lake.gathering.telemetry import FLAGS, Bools, Floats, NotGathered, Telemetry, good_samples, of_rows, rounded
from mica_lake.times import utc

#: Samples of a run that is not long.
_LONG = 60
#: Seconds after its first sample that do not count for residuals.
_SETTLING = 60.0
_NO_MAGNITUDE = 99.0


def calc_stats(
    observation: Mapping[str, Any], telemetry: Telemetry, catalog: Iterable[Any], stars: Stars
) -> NDArray[np.void]:
    """
    Guide star statistics of an observation, a row for each slot.

    Parameters
    ----------
    observation, telemetry, catalog, stars
        As of `mica_lake.stats.acq_stats.calc_stats`.

    Returns
    -------
    numpy.ndarray
        A structured array with the columns of table ``guide_stats``, by slot: those of type GUI or BOT whose star the
        AGASC has.

    Raises
    ------
    NotGathered
        If the observation has no rows; the message says why.

    Examples
    --------
    >>> from mica_lake.simulate.telemetry import example
    >>> from mica_lake.stats import guide_stats
    >>> rows = guide_stats.calc_stats(*example())
    >>> bool(rows["f_track"].min() > 0.9), len(rows)
    (True, 5)
    """
    samples = good_samples(telemetry)
    chosen = maneuver_of(observation, samples, "first")
    entries = entries_of(catalog, stars, GUIDE)
    start, stop, next_start = _interval(chosen)
    first, last = np.searchsorted(samples["TIME"], [start, stop])
    temperature = _between(samples["AACCCDPT_TIME"], samples["AACCCDPT"], start, next_start)
    samples = of_rows(samples, slice(int(first), int(last)))
    if not len(samples["TIME"]):
        raise NotGathered(f"the telemetry has no good sample from {utc(start)} to {utc(stop)}")
    slots = entries.slots
    yan, zan, mag = (samples[name][:, slots].astype(np.float64) for name in ("AOACYAN", "AOACZAN", "AOACMAG"))
    ra, dec = moved(entries.stars, float(samples["TIME"][0]))
    dy, dz = star_residuals(samples["AOATTQT"], ra, dec, yan, zan)
    functions = samples["AOACFCT"][:, slots]
    errors = {name: samples[name][:, slots] == b"ERR" for name in FLAGS}
    settled = (samples["AOACASEQ"] == b"KALM") & (samples["AOPCADMD"] == b"NPNT") & (samples["AOFSTAR"] == b"GUID")
    settled &= samples["TIME"] > samples["TIME"][0] + _SETTLING
    kalman = (functions == b"TRAK") & ~_not_ok(samples, slots)
    columns: dict[str, Any] = {
        **common_columns(observation, entries),
        "kalman_tstart": start,
        "npnt_tstop": stop,
        "kalman_datestart": utc(start),
        "npnt_datestop": utc(stop),
        "revision": "0.6",
        "sz": entries.column("sz"),
        "color": color_of(entries.stars),
        "ra": ra,
        "dec": dec,
        "mag_aca_err": entries.stars["MAG_ACA_ERR"],
        "tccd_mean": temperature.mean(),
        "tccd_max": temperature.max(),
        "n100_warm_frac": get_warm_fracs(WARM, chosen.start, temperature.mean()),
    }
    columns |= _tracking(functions, errors, kalman)
    columns |= _kalman(kalman & settled[:, None], dy, dz, mag, yan, zan)
    return rows_with(GUIDE, len(slots), columns)


def _interval(chosen: Chosen) -> tuple[float, float, float]:
    """Start of the Kalman filter, end of normal pointing, start of the next maneuver."""
    maneuver = chosen.maneuver
    for time, what in (
        (maneuver.guide_start, "AOACASEQ does not change to GUID"),
        (maneuver.kalman_start, "AOACASEQ does not change to KALM"),
        (maneuver.npnt_stop, "AOPCADMD stays NPNT to the end of the telemetry"),
        (maneuver.next_start, "the telemetry has no next maneuver"),
    ):
        if time is None:
            raise NotGathered(f"{what} after the maneuver that ends {utc(maneuver.stop)}")
    assert maneuver.kalman_start is not None and maneuver.npnt_stop is not None and maneuver.next_start is not None
    return rounded(maneuver.kalman_start), maneuver.npnt_stop, maneuver.next_start


def _between(times: Floats, celsius: Floats, start: float, stop: float) -> Floats:
    found = celsius[(times >= start) & (times < stop)]
    if not len(found):
        raise NotGathered(f"AACCCDPT has no good value from {utc(start)} to {utc(stop)}")
    return found


def _not_ok(samples: Telemetry, slots: list[int]) -> Bools:
    """Where the computer on board takes no centroid for good: ionizing radiation, or saturated."""
    bad: Bools = (samples["AOACIIR"][:, slots] != b"OK") | (samples["AOACISP"][:, slots] != b"OK")
    return bad


def _tracking(functions: NDArray[np.bytes_], errors: Mapping[str, Bools], kalman: Bools) -> dict[str, Any]:
    """What is said of all samples, and of those at which something is tracked."""
    n = len(functions)
    shares = {name: (functions == name.encode()) for name in ("TRAK", "RACQ", "SRCH", "NONE")}
    tracked = shares["TRAK"]
    n_track = tracked.sum(axis=0)
    ever, divisor = n_track > 0, np.maximum(n_track, 1)
    n_kalman = kalman.sum(axis=0)
    runs, long_runs = _runs(tracked)
    columns = {
        "n_samples": n,
        "n_track": n_track,
        **{
            column: shares[name].sum(axis=0) / n
            for column, name in (("f_track", "TRAK"), ("f_racq", "RACQ"), ("f_srch", "SRCH"), ("f_none", "NONE"))
        },
        "no_track": 1 - n_track / n,
        "n_kalman": n_kalman,
        "f_obc_bad": 1 - n_kalman / divisor,
        **{f"f_{FLAGS[name]}": (tracked & error).sum(axis=0) / divisor for name, error in errors.items()},
        "n_track_interv": runs,
        "n_long_track_interv": long_runs,
        "n_long_no_track_interv": _runs(~tracked)[1],
        # 1 where there is none, as the reference counts.
        "n_racq_interv": np.maximum(_runs(shares["RACQ"])[0], 1),
        "n_srch_interv": np.maximum(_runs(shares["SRCH"])[0], 1),
    }
    said = ("n_samples", "n_track", "f_track", "f_racq", "f_srch", "f_none")
    return {name: value if name in said else np.where(ever, value, 0) for name, value in columns.items()}


def _runs(is_so: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many runs of what is so each column has, and how many of them are long."""
    edge = np.zeros((1, is_so.shape[1]), np.int8)
    steps = np.diff(np.concatenate([edge, is_so.astype(np.int8), edge]), axis=0)
    column, begin = np.nonzero(steps.T == 1)
    _, end = np.nonzero(steps.T == -1)
    k = is_so.shape[1]
    return np.bincount(column, minlength=k), np.bincount(column[end - begin > _LONG], minlength=k)


def _kalman(counts: Bools, dy: Floats, dz: Floats, mag: Floats, yan: Floats, zan: Floats) -> dict[str, Any]:
    """What is said of the samples that the Kalman filter used; unset of a slot that has none."""
    n = counts.sum(axis=0)
    some, divisor = n > 0, np.maximum(n, 1)

    def mean(values: Any) -> Floats:
        average: Floats = np.sum(values, axis=0, where=counts) / divisor
        return average

    def numbers(name: str, values: Floats, percentiles: tuple[int, ...]) -> dict[str, Floats]:
        middle = mean(values)
        ordered = np.sort(np.where(counts, values, np.inf), axis=0)
        ordered[:, ~some] = 0
        found = {
            f"{name}_min": ordered[0],
            f"{name}_mean": middle,
            f"{name}_std": np.sqrt(mean((values - middle) ** 2)),
            f"{name}_max": np.take_along_axis(ordered, (divisor - 1)[None], axis=0)[0],
        }
        return found | {f"{name}_{p}th": _percentile(ordered, divisor, p / 100) for p in percentiles}

    dr = np.hypot(dy, dz)
    columns = numbers("dy", dy, ()) | numbers("dz", dz, ()) | numbers("dr", dr, (5, 95))
    columns |= {"aoacyan_mean": mean(yan), "aoaczan_mean": mean(zan)}
    columns |= {f"f_within_{limit:g}": mean(dr < limit) for limit in (0.3, 1.0, 3.0, 5.0)}
    columns["f_outside_5"] = mean(dr > 5)
    magnitudes = numbers("aoacmag", mag, (5, 16, 50, 84, 95))
    return {name: np.where(some, values, 0) for name, values in columns.items()} | {
        name: np.where(some, values, _NO_MAGNITUDE) for name, values in magnitudes.items()
    }


def _percentile(ordered: Floats, n: NDArray[np.int64], share: float) -> Floats:
    """A percentile of the first `n` of each column, between the two values next to it."""
    place = share * (n - 1)
    below = np.floor(place).astype(np.int64)
    low, high = (np.take_along_axis(ordered, np.minimum(at, n - 1)[None], axis=0)[0] for at in (below, below + 1))
    found: Floats = low + (high - low) * (place - below)
    return found
