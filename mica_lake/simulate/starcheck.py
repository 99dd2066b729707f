"""
Simulate load reviews: a load a week, and what ran.

The stars of a catalog are those of the simulated statistics.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mica_lake.formats.starcheck import Observation as Planned
from mica_lake.formats.starcheck import folder_of
from mica_lake.products import product_named
from mica_lake.simulate import stats
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import generator
from mica_lake.simulate.files import write
from mica_lake.simulate.observations import Observation, dwell_of
from mica_lake.times import utc, utc_day

__all__ = ["report", "write_archive", "write_days", "write_report"]

_BAR, _RULE = "=" * 84, "-" * 93
_TITLE = " IDX SLOT        ID  TYPE   SZ   P_ACQ    MAG   MAXMAG   YANG   ZANG DIM RES HALFW PASS NOTES"
# How long after the maneuver its star catalog is commanded, and how long before the observation it ends (s).
_STARCAT, _SETTLING = 1.643, 62.0


def report(load: str, planned: Sequence[Planned]) -> str:
    """
    The text of a report in its newest layout.

    Parameters
    ----------
    load : str
        Name of the load.
    planned : sequence of mica_lake.formats.starcheck.Observation
        Its observations.

    Returns
    -------
    str
        The text; `mica_lake.formats.starcheck.parse` of it gives the observations.

    Examples
    --------
    >>> print(report("JAN0124A", []))
    <BLANKLINE>
    Short Term Schedule: JAN0124A
    <BLANKLINE>
    """
    return "\n".join([f"\nShort Term Schedule: {load}\n", *(line for one in planned for line in _lines(one))])


def _lines(one: Planned) -> Iterator[str]:
    header = one.header
    yield _BAR
    target = f"OBSID: {one.obsid:<5d}  "
    if header["target_id"] is not None:
        offset = f"{header['sim_z_offset_steps']:<5d} ({header['sim_z_offset_mm']:.2f}mm)"
        target += (
            f"{header['target_id']:<22} {header['sci_instr']:<6} SIM Z offset:{offset} Grating: {header['grating']}"
        )
    yield target
    yield "RA, Dec, Roll (deg): " + " ".join(f"{header[f'point_{name}']:12.6f}" for name in ("ra", "dec", "roll"))
    if header["dither_state"] == "ON":
        values = [
            f"{name}={header[f'dither_{name.lower()}']:6.1f}" for name in ("Y_amp", "Z_amp", "Y_period", "Z_period")
        ]
        yield "Dither: ON  " + "  ".join(values)
    elif header["dither_state"] == "OFF":
        yield "Dither: OFF"
    yield ""
    for maneuver in one.maneuvers:
        yield f"MP_TARGQUAT at {maneuver['mp_targquat_time']} (VCDU count = {maneuver['mp_targquat_vcdu_cnt']})"
        yield "  Q1,Q2,Q3,Q4: " + "  ".join(f"{maneuver[f'target_Q{n}']:.8f}" for n in range(1, 5))
        if maneuver["angle_deg"] is not None:
            angle = f"  MANVR: Angle= {maneuver['angle_deg']:6.2f} deg  Duration= {maneuver['duration_sec']:.0f} sec"
            yield angle + (f"  End= {maneuver['end_date']}" if maneuver["end_date"] else "")
        yield ""
    if header["mp_starcat_time"] is not None:
        yield f"MP_STARCAT at {header['mp_starcat_time']} (VCDU count = {header['mp_starcat_vcdu_cnt']})"
        yield from (_RULE, _TITLE, _RULE)
        for row in one.catalog:
            yield _entry(row)
    yield ""
    for row in one.warnings:
        about = f"[{row['idx']:2d}]{row['warning_type']}." if row["warning_type"] is not None else ""
        yield f">> WARNING : {about}{row['warning']}"
    if one.pred_ccd_temp is not None:
        yield f"\nPredicted Max CCD temperature: {one.pred_ccd_temp:.1f} C \t N100 Warm Pix Frac 0.051"


def _entry(row: dict[str, Any]) -> str:
    def number(name: str) -> str:
        return "---" if row[name] is None else f"{row[name]:.3f}"

    def text(name: str) -> str:
        return "" if row[name] in (None, "--") else str(row[name])

    name = f"{row['idnote'] or ''}{'' if row['id'] is None else row['id']}"
    numbers = f"{number('p_acq'):>8}{number('mag'):>8}{number('maxmag'):>8}"
    box = f"{row['yang']:7d}{row['zang']:7d}{row['dim']:4d}{row['res']:4d}{row['halfw']:5d}"
    marks = f"{text('pass'):>6}{text('notes'):>4}"
    return f"[{row['idx']:2d}]{row['slot']:3d}{name:>12}{row['type']:>6}{row['sz']:>5}{numbers}{box}{marks}"


def write_report(top: Path, load: str, planned: Sequence[Planned], mtime: float) -> Path:
    """
    Write a report in its folder.

    Parameters
    ----------
    top : Path
        The folder that has those of the years.
    load : str
        Name of the load.
    planned : sequence of mica_lake.formats.starcheck.Observation
        Its observations.
    mtime : float
        When it is to have been written, Unix time.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If `load` is not the name of one.

    Examples
    --------
    >>> top = getfixture("tmp_path")
    >>> write_report(top, "JAN0124A", [], 1.7e9).relative_to(top).as_posix()
    '2024/JAN0124/oflsa/starcheck.txt'
    """
    folder = folder_of(load)
    if folder is None:
        raise ValueError(f"{load!r} is not the name of a load, as JAN0124A")
    path = write(Path(top) / folder.strip("/") / "starcheck.txt", report(load, planned).encode())
    os.utime(path, (mtime, mtime))
    return path


def _planned(one: Observation, stars: dict[str, np.ndarray], seed: int) -> Planned:
    rng = generator(seed, one.obsid, 21)
    acis = one.detector.startswith("ACIS")
    steps = int(rng.choice([0, 0, -1165, 14]))
    quaternion = rng.normal(size=4)
    quaternion /= np.linalg.norm(quaternion)
    begin = dwell_of(one, seed=seed).start
    duration = min(int(rng.integers(240, 1500)), int(one.tstart - _SETTLING - begin))
    header: dict[str, Any] = {
        "point_ra": round(one.ra, 6), "point_dec": round(one.dec, 6), "point_roll": round(one.roll, 6),
        "target_id": None, "sci_instr": None, "sim_z_offset_steps": None, "sim_z_offset_mm": None, "grating": None,
        "dither_state": "OFF", "dither_y_amp": 0.0, "dither_y_period": None, "dither_z_amp": 0.0,
        "dither_z_period": None, "mp_starcat_time": utc(begin + _STARCAT),
        "mp_starcat_vcdu_cnt": int(rng.integers(1 << 24)),
    }  # fmt: skip
    if one.detector != "NONE":
        header |= {
            "target_id": f"Target {one.obsid}", "grating": "NONE",
            "sci_instr": ("ACIS-S" if "7" in one.detector else "ACIS-I") if acis else one.detector,
            "sim_z_offset_steps": steps, "sim_z_offset_mm": float(steps) * 1000 * 2.51432e-06, "dither_state": "ON",
            "dither_y_amp": 8.0 if acis else 20.0, "dither_y_period": 1000.0 if acis else 1087.0,
            "dither_z_amp": 8.0 if acis else 20.0, "dither_z_period": 707.1 if acis else 768.6,
        }  # fmt: skip
    maneuver = {
        "instance": 0, "duration_sec": float(duration), "angle_deg": round(rng.uniform(1, 179), 2),
        "slew_err_arcsec": None, **{f"target_Q{n}": round(float(q), 8) for n, q in enumerate(quaternion, 1)},
        "mp_targquat_time": utc(begin), "mp_targquat_vcdu_cnt": int(rng.integers(1 << 24)),
        "end_date": utc(begin + duration)[:17],
    }  # fmt: skip
    # What the reviewers expect, before it is known how warm the CCD will be.
    celsius = round(float(stars["celsius"][0]) + 1.0, 1)
    expected = 1 / (1 + np.exp((stars["mag"] - 10.9 + 0.07 * (celsius + 15)) / 0.25))
    catalog: list[dict[str, Any]] = [
        {
            "mp_starcat_time": header["mp_starcat_time"], "idx": int(stars["idx"][n]), "slot": int(stars["slot"][n]),
            "id": int(stars["agasc_id"][n]), "idnote": None, "type": "BOT", "sz": "6x6",
            "p_acq": round(float(expected[n]), 3), "minmag": None, "mag": round(float(stars["mag"][n]), 3),
            "maxmag": round(float(stars["mag"][n]) + 1.5, 3), "yang": round(float(stars["yang"][n])),
            "zang": round(float(stars["zang"][n])), "dim": int(stars["halfw"][n] - 20) // 5, "res": 1,
            "halfw": int(stars["halfw"][n]), "pass": "--", "notes": "--",
        }
        for n in range(len(stars["slot"]))
    ]  # fmt: skip
    warnings = [
        {"warning": f" Guide star {row['mag']:.3f}", "idx": row["idx"], "warning_type": " Magnitude"}
        for row in catalog
        if row["mag"] > 10.3
    ]
    return Planned(one.obsid, header, [maneuver], catalog, warnings, celsius)


def write_archive(ska: Path, observations: Sequence[Observation], *, seed: int = 0) -> list[Path]:
    """
    Write the load reviews of some observations, and the table of what ran.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    observations : sequence of Observation
        The observations, by time.
    seed : int
        As of `mica_lake.simulate.stats.write_archive`, whose stars the catalogs have.

    Returns
    -------
    list of Path
        The reports, one for each week, and ``observations.csv``, all below data/mica/archive/starcheck.

    Examples
    --------
    >>> from mica_lake.simulate.observations import observations
    >>> [path.name for path in write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 20000))]
    ['starcheck.txt', 'observations.csv']
    """
    top = Path(ska) / product_named("starcheck").folder
    weeks: dict[str, list[Planned]] = {}
    ran = io.StringIO()
    lines = csv.writer(ran, lineterminator="\n")
    lines.writerow(["obsid", "manvr_start", "obs_start", "obs_stop", "starcat_date", "source"])
    written: dict[str, float] = {}
    for one, stars in zip(observations, stats.catalogs(observations, seed=seed), strict=True):
        begin = dwell_of(one, seed=seed).start
        day = utc_day(begin)
        monday = day - timedelta(days=day.weekday())
        load = f"{monday:%b%d%y}A".upper()
        written[load] = datetime(monday.year, monday.month, monday.day, tzinfo=UTC).timestamp() - 3 * 86400
        planned = _planned(one, stars, seed)
        weeks.setdefault(load, []).append(planned)
        dates = [utc(time) for time in (begin, one.tstart, one.tstop)]
        lines.writerow([one.obsid, *dates, planned.header["mp_starcat_time"], load])
    paths = [write_report(top, load, planned, written[load]) for load, planned in weeks.items()]
    return [*paths, write(top / "observations.csv", ran.getvalue().encode())]


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the load reviews of the observations of some days."""
    return write_archive(days.ska, days.observations)
