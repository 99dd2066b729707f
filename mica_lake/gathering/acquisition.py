"""Acquisition statistics of an observation."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.archive.aca_dark.dark_model import get_warm_fracs
from mica_lake.gathering.observed import ACQ, WARM, common_columns, entries_of, maneuver_of, rows_with
from mica_lake.gathering.residuals import Stars, color_of, moved, one_shot, product, star_residuals, unit
from mica_lake.gathering.telemetry import FLAGS, Bools, Floats, NotGathered, Telemetry, good_samples, of_rows, rounded
from mica_lake.times import utc

#: Arcseconds from its expected place from which on something tracked is not the star.
_SPOILER = 5.0
#: Arcseconds beyond the search box from which on a place is an anomaly.
_BEYOND = 16
_AROUND = 250.0
_AFTER_DWELL = 100.0


def calc_stats(
    observation: Mapping[str, Any], telemetry: Telemetry, catalog: Iterable[Any], stars: Stars
) -> NDArray[np.void]:
    """
    Acquisition statistics of an observation, a row for each slot.

    Parameters
    ----------
    observation : mapping
        obsid, obi, manvr_start and mp_starcat_time (dates, or CXC seconds), and perhaps tstop: a maneuver that starts
        then or later is another observation's.
    telemetry : mapping of str to numpy.ndarray
        TIME, AOACASEQ, AOPCADMD, AOFATTMD and AOFSTAR (n); AOATTQT (n, 4); AOACQID, AOACFCT, AOACMAG, AOACYAN, AOACZAN,
        AOACICC, AOACIDP, AOACIIR, AOACIMS, AOACIQB and AOACISP (n, 8); AACCCDPT with AACCCDPT_TIME; and perhaps `bad`
        (n) and AACCCDPT_bad. In any order of time.
    catalog : iterable of mapping
        The star catalog: idx, slot, id, type, yang, zang, mag, halfw, sz. Or a table with these columns.
    stars : mapping, structured array or astropy.table.Table
        AGASC rows: by id, or an array or table with AGASC_ID.

    Returns
    -------
    numpy.ndarray
        A structured array with the columns of table ``acq_stats``, by slot: those of type ACQ or BOT whose star the
        AGASC has.

    Raises
    ------
    NotGathered
        If the observation has no rows; the message says why.

    Examples
    --------
    >>> from mica_lake.simulate.telemetry import example
    >>> from mica_lake.stats import acq_stats
    >>> rows = acq_stats.calc_stats(*example())
    >>> bool(rows["acqid"].all()), bytes(rows["img_func"][0])
    (True, b'star')
    """
    samples = good_samples(telemetry)
    chosen = maneuver_of(observation, samples, "last")
    entries = entries_of(catalog, stars, ACQ)
    begin, guide = chosen.maneuver.acq_start, chosen.maneuver.guide_start
    if begin is None or guide is None:
        name = "AQXN" if begin is None else "GUID"
        raise NotGathered(
            f"AOACASEQ does not change to {name} after the maneuver that ends {utc(chosen.maneuver.stop)}"
        )
    acq_start, guide_start = rounded(begin), rounded(guide)
    first, last = np.searchsorted(samples["TIME"], [acq_start, chosen.dwell.start + _AFTER_DWELL])
    samples = of_rows(samples, slice(int(first), int(last)))
    times = samples["TIME"]
    g = int(np.searchsorted(times, guide_start - 1))
    window = np.flatnonzero((times > acq_start) & (times < guide_start + 1))
    if len(times) < g + 3:
        raise NotGathered(f"the telemetry has {len(times) - g} good samples from the guide transition on, not 3")
    if len(window) < 2:
        raise NotGathered(f"the telemetry has {len(window)} good samples of the acquisition, not 2")
    slots = entries.slots
    attitudes = unit(samples["AOATTQT"])
    correction, length = one_shot(attitudes[g], attitudes[g + 2])
    ra, dec = moved(entries.stars, float(times[0]))
    yan, zan, mag = (samples[name][window][:, slots].astype(np.float64) for name in ("AOACYAN", "AOACZAN", "AOACMAG"))
    # Of the window, all of which is before the correction shows.
    dy, dz = star_residuals(attitudes[window], ra, dec, yan, zan)
    cdy, cdz = star_residuals(product(correction, attitudes[window]), ra, dec, yan, zan)
    celsius = _mean_within(samples["AACCCDPT_TIME"], samples["AACCCDPT"], guide_start)
    columns: dict[str, Any] = {
        **common_columns(observation, entries),
        "acq_start": utc(begin),
        "guide_start": utc(guide),
        "guide_tstart": guide_start,
        "one_shot_length": length,
        "revision": "1.0",
        "halfw": entries.column("halfw"),
        "color1": color_of(entries.stars),
        "ra": entries.stars["RA"],
        "dec": entries.stars["DEC"],
        "mag_err": entries.stars["MAG_ERR"],
        "acqid": samples["AOACQID"][g, entries.places] == b"ID",
        **{FLAGS[name]: samples[name][g, slots] == b"ERR" for name in ("AOACIIR", "AOACIDP", "AOACIMS", "AOACISP")},
        "ccd_temp": celsius,
        "n100_warm_frac": get_warm_fracs(WARM, guide_start, celsius),
    }
    functions = samples["AOACFCT"][window][:, slots]
    columns |= _while_tracked(functions == b"TRAK", cdy, cdz, mag)
    columns |= _before_guiding(functions[-2], {"dy": dy, "dz": dz, "cdy": cdy, "cdz": cdz}, mag, yan, zan)
    return rows_with(ACQ, len(slots), columns)


def _mean_within(times: Floats, celsius: Floats, middle: float) -> float:
    near = celsius[np.abs(times - middle) <= _AROUND]
    if not len(near):
        raise NotGathered(f"AACCCDPT has no good value within {_AROUND:.0f} s of the guide transition, {utc(middle)}")
    return float(near.mean())


def _while_tracked(tracked: Bools, cdy: Floats, cdz: Floats, mag: Floats) -> dict[str, Any]:
    """What is said of the samples of the acquisition at which something is tracked."""
    far, n = np.hypot(cdy, cdz), tracked.sum(axis=0)
    columns: dict[str, Any] = {
        "star_tracked": (tracked & (far < _SPOILER)).any(axis=0),
        "spoiler_tracked": (tracked & (far >= _SPOILER)).any(axis=0),
        "n_trak_interv": (~tracked[:-1] & tracked[1:]).sum(axis=0),
    }
    for name, values in (("cdy", cdy), ("cdz", cdz), ("mag", mag)):
        columns[f"max_trak_{name}"] = np.where(n > 0, np.max(values, axis=0, where=tracked, initial=-np.inf), 0)
        columns[f"min_trak_{name}"] = np.where(n > 0, np.min(values, axis=0, where=tracked, initial=np.inf), 0)
        columns[f"mean_trak_{name}"] = np.sum(values, axis=0, where=tracked) / np.maximum(n, 1)
    return columns


def _before_guiding(
    functions: NDArray[np.bytes_], residuals: Mapping[str, Floats], mag: Floats, yan: Floats, zan: Floats
) -> dict[str, Any]:
    """What is said of the last but one sample of the window."""
    tracked = functions == b"TRAK"
    near = np.hypot(residuals["cdy"][-2], residuals["cdz"][-2]) < _SPOILER
    seen = {**residuals, "mag_obs": mag, "yang_obs": yan, "zang_obs": zan}
    return {
        **{name: np.where(tracked, values[-2], 0) for name, values in seen.items()},
        "img_func": np.where(tracked, np.where(near, b"star", b"spoiler"), functions),
    }


def anomalies(rows: NDArray[np.void]) -> Iterator[tuple[int, int | None]]:
    """
    Stars of an observation that were seen beyond their search boxes.

    Parameters
    ----------
    rows : numpy.ndarray
        Rows of one observation, as from `calc_stats`.

    Yields
    ------
    tuple of int and (int or None)
        The slot of one; and the slot in whose search box it was seen, if in any.

    Examples
    --------
    >>> from mica_lake.simulate.telemetry import example
    >>> list(anomalies(calc_stats(*example())))
    []
    """
    seen = ~np.isin(rows["img_func"], [b"NONE", b"SRCH"])
    limit = rows["halfw"] + _BEYOND
    for row in rows[seen & ((np.abs(rows["dy"]) >= limit) | (np.abs(rows["dz"]) >= limit))]:
        inside = np.maximum(np.abs(row["yang_obs"] - rows["yang"]), np.abs(row["zang_obs"] - rows["zang"])) <= limit
        slots = np.sort(rows["slot"][inside])
        yield int(row["slot"]), int(slots[0]) if len(slots) else None
