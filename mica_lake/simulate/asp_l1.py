"""Simulate aspect L1 products: solutions, their quality, centroids and what was tracked, consistent with one another.

Attitudes, guide stars and fid lights are those of the simulated ACA L0 telemetry of the same seed: centroids have the
times of its readouts, and move across the CCD as its images do.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from mica_lake.simulate import fits_file, sky
from mica_lake.simulate.camera import times
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import generator
from mica_lake.simulate.files import each, write, write_database
from mica_lake.simulate.fits_file import Cards
from mica_lake.simulate.observations import Observation, link_revisions, revision_folder
from mica_lake.times import utc_day

__all__ = ["write_archive", "write_days", "write_products"]

_Floats = NDArray[np.float64]

_FILES = "filename text, filetime int, tstart float, tstop float, content text, revision int, obsid int, isdefault int"
_PROCESSING = (
    "aspect_1_id int, obsid int, obi int, revision int, ap_date text, isdefault int, obspar_version int, "
    "vv_complete int"
)

_CONTENTS = {
    "asol": "ASPSOL",
    "aqual": "ASPQUAL",
    "acal": "ACACAL",
    "acen": "ACACENT",
    "gspr": "GSPROPS",
    "fidpr": "FIDPROPS",
}

# Solutions are of the newer kind from this time on, about the spring of 2020, and from revision 3 on before.
_NEWER = 7e8
# Between the ends of an observation and of its aspect intervals (s), and the shortest interval.
_MARGIN = 20.0
_SHORTEST = 300.0
# Noise of a fid light's centroid along each axis (arcsec), and of a star's of 7 mag.
_FID_NOISE = 0.02
_STAR_NOISE = 0.05
# How many centroids a smoothed one averages.
_SMOOTH = 5


def _star_noise(magnitude: float) -> float:
    """The noise of a star's centroid along each axis (arcsec)."""
    return _STAR_NOISE * 10 ** (0.2 * (magnitude - 7))


def _centroids(
    rng: np.random.Generator,
    slot: int,
    time: _Floats,
    angles: tuple[_Floats, _Floats],
    noise: float,
    magnitude: float,
) -> list[dict[str, np.ndarray]]:
    """The centroids of one slot by first moment (alg 1) and by fitting the image (alg 8)."""
    n = len(time)
    counts = sky.ELECTRONS * sky.INTEGRATION * 10 ** (-0.4 * (magnitude - 10.32)) * rng.normal(1, 0.02, n)
    lost = rng.random(n) < 0.0005
    counts[lost] = rng.uniform(0, 10, n)[lost]
    status = np.where(rng.random(n) < 0.003, rng.integers(1, 5, n), 0).astype(np.int32)
    tables = []
    for alg, worse in ((1, 2.0), (8, 1.0)):
        errors = worse * noise * rng.standard_normal((2, n))
        y, z = (angle + error for angle, error in zip(angles, errors, strict=True))
        # Errors are smoothed and motion is not, as by a filter that follows the dither.
        smooth = [np.convolve(error, np.full(_SMOOTH, 1 / _SMOOTH), "same") for error in errors]
        measured = {
            "cent_i": y / -sky.PIXEL,
            "cent_j": z / sky.PIXEL,
            "ang_y": y / 3600,
            "ang_z": z / 3600,
            "ang_y_sm": (angles[0] + smooth[0]) / 3600,
            "ang_z_sm": (angles[1] + smooth[1]) / 3600,
            "counts": counts,
        }
        whole = {"slot": np.full(n, slot, np.int32), "alg": np.full(n, alg, np.int32), "status": status}
        tables.append({"time": time, **whole, **measured})
    return tables


def _solution(
    rng: np.random.Generator, quaternions: _Floats, drift: tuple[_Floats, _Floats, _Floats], newer: bool
) -> dict[str, np.ndarray]:
    """The columns of the aspect solution, except its times."""
    n = len(quaternions)
    dy, dz = (moved + rng.normal(0, 2e-5, n) for moved in drift[:2])
    raw = sky.pointing_of(quaternions)
    if not newer:
        return {**raw, "dy": dy, "dz": dz, "dtheta": drift[2], "q_att": quaternions}
    # In the newer solution the attitude includes the drift. What the older one had is there too, under other names.
    turned = sky.multiplied(quaternions, sky.rotation(2, np.degrees(-dy / sky.RRC)))
    turned = sky.multiplied(
        sky.multiplied(turned, sky.rotation(1, np.degrees(dz / sky.RRC))), sky.rotation(0, -drift[2])
    )
    zero = dict.fromkeys(("dy", "dz", "dtheta"), np.zeros(n))
    old = {"ady": dy, "adz": dz, "adtheta": drift[2], **{f"{name}_raw": column for name, column in raw.items()}}
    return {**sky.pointing_of(turned), **zero, "q_att": turned, **old, "q_att_raw": quaternions}


def _quality(rng: np.random.Generator, start: float, stop: float) -> dict[str, np.ndarray]:
    """The columns of the solution's quality, with a bad stretch."""
    time = np.arange(start, stop, 1.025)
    status = np.zeros(len(time), np.int32)
    first = int(rng.integers(len(time) // 8, len(time) // 2))
    status[first : first + rng.integers(6, 60)] = 1
    return {"time": time, "asp_sol_status": status}


def _padded(width: int, *words: str) -> NDArray[np.bytes_]:
    """The words as a column, padded with blanks as in flight files."""
    return np.array([word.ljust(width).encode() for word in words])


def _fits(tables: Sequence[Mapping[str, np.ndarray]], cards: Cards) -> bytes:
    """A FITS file of these tables, one below the other, with these cards in both headers."""
    table, formats = fits_file.table({name: np.concatenate([t[name] for t in tables]) for name in tables[0]}, {})
    data = fits_file.padded(table.tobytes())
    primary: Cards = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, "")]
    form: Cards = [("XTENSION", "BINTABLE", ""), ("BITPIX", 8, ""), ("NAXIS", 2, "")]
    form += [("NAXIS1", table.dtype.itemsize, ""), ("NAXIS2", len(table), ""), ("PCOUNT", 0, ""), ("GCOUNT", 1, "")]
    form += [("TFIELDS", len(tables[0]), "")]
    head, _ = fits_file.header([*primary, *cards], {}, b"")
    middle, _ = fits_file.header([*form, *cards, *formats], {}, data)
    return igzip.compress(head + middle + data, 1, mtime=0)


def _interval(
    observation: Observation, revision: int, seed: int, number: int, start: float, stop: float, monitor: bool
) -> dict[str, bytes]:
    """The content of the files of one aspect interval, by kind."""
    rng = generator(seed, observation.obsid, 16, revision, number)
    view = sky.Sky.of(observation, seed)
    time = np.arange(start, stop, 0.25625)
    newer = revision >= 3 or start >= _NEWER
    at = {size: times(start, stop, size) for size in {8, view.dwell.imgsize}}
    # Body to ACA at the times of the stars: exact, not interpolated between samples of the solution.
    turns = np.swapaxes(sky.matrix(view.attitudes(at[view.dwell.imgsize])), 1, 2)
    mean = sky.matrix(view.attitude) @ sky.ACA_MISALIGN.T

    begin = [float(d[0]) for d in sky.drift_at(np.array([observation.tstart]), observation.tstart)]
    centroids, places, stars = [], [], []
    for slot, (y, z, magnitude) in enumerate(view.targets):
        if slot < 3:
            # Lights are where the telemetry has them at the start of the observation.
            places.append(sky.fid_place(y, z, *begin))
            angles = sky.fid_angles(places[-1], *sky.drift_at(at[8], observation.tstart))
            centroids += _centroids(rng, slot, at[8], angles, _FID_NOISE, magnitude)
        else:
            stars.append(mean @ sky.direction(y, z))
            angles = sky.angles_of(turns @ stars[-1] @ sky.ACA_MISALIGN.T)
            centroids += _centroids(rng, slot, at[view.dwell.imgsize], angles, _star_noise(magnitude), magnitude)

    # By observation, not by revision: the same stars are tracked.
    ids = generator(seed, observation.obsid, 17)
    used = np.ones(5, np.int32)
    used[ids.integers(5)] = ids.random() < 0.7
    guide = {
        "slot": np.arange(3, 8, dtype=np.int32),
        "id_status": _padded(10, *("GOOD" if u else "NOT_USED" for u in used)),
        "agasc_id": ids.integers(1_000_000, 1_200_000_000, 5, dtype=np.int32),
        "type": _padded(10, *["GUIDE"] * 4, "MONITOR" if monitor else "GUIDE"),
        "cel_loc_flag": used,
        "pos_eci": np.array(stars),
        "mag_aca": np.array([target[2] for target in view.targets[3:]], np.float32),
    }
    acis, ccds = observation.detector.startswith("ACIS"), observation.detector[5:]
    array = f"ACIS-{'I' if '0' in ccds else 'S'}" if acis else observation.detector
    fids = {
        "slot": np.arange(3, dtype=np.int32),
        "id_status": _padded(10, *["GOOD"] * 3),
        "id_string": _padded(9, *(f"{array}-{i}" for i in (1, 2, 3))),
        "id_num": np.arange(1, 4, dtype=np.int32),
        "p_lsi": np.array(places),
    }
    solution = _solution(rng, view.attitudes(time), sky.drift_at(time, observation.tstart), newer)
    tables: dict[str, Sequence[Mapping[str, np.ndarray]]] = {
        "asol": [{"time": time, **solution}],
        "aqual": [_quality(rng, start, stop)],
        "acal": [{"aca_misalign": sky.ACA_MISALIGN[None], "fts_misalign": sky.FTS_MISALIGN[None]}],
        "acen": centroids,
        "gspr": [guide],
        "fidpr": [fids],
    }
    own: dict[str, Cards] = {
        "acen": [("INTGTIME", sky.INTEGRATION, "[s] integration time")],
        "fidpr": [
            *((f"LSI0STT{i}", value, "[mm] SIM translation") for i, value in enumerate(sky.STT, 1)),
            *((f"STT0STF{i}", value, "[mm] from it to the fiducials") for i, value in enumerate(sky.STF, 1)),
            ("RRC0FCX", sky.RRC, "[mm] from the ACA to the focal plane"),
        ],
    }
    cards: Cards = [
        ("ORIGIN", "SIMULATED", "not flight data"),
        ("CREATOR", "mica_lake.simulate", "program"),
        ("DATE", processing(observation, revision)[1], "derived from the observation, not the time of writing"),
        ("ASCDSVER", "10.8" if newer else "8.4", "version of the processing system"),
        ("CALDBVER", "4.9" if newer else "4.4", "version of the calibration"),
        ("REVISION", revision, "revision of the file"),
        ("OBS_ID", str(observation.obsid), "observation"),
        ("OBI_NUM", 0, "interval of the observation"),
        ("TSTART", start, "[s] start of the aspect interval"),
        ("TSTOP", stop, "[s] end of the aspect interval"),
        ("MJDREF", 50814.0, "[d] MJD of time 0"),
    ]
    return {
        name: _fits(table, [*cards, ("CONTENT", _CONTENTS[name], "kind of data"), *own.get(name, [])])
        for name, table in tables.items()
    }


def processing(observation: Observation, revision: int) -> tuple[int, str]:
    """Number (aspect_1_id) and date (ap_date) of the processing that made a revision."""
    return 100 * observation.obsid + revision, f"{utc_day(observation.tstop + 86400 * revision)}T00:00:00"


def _products(ska: Path, observation: Observation, revision: int, seed: int) -> list[tuple[Path, dict[str, object]]]:
    """Write the products of one revision; returns each file's path and its row in the table of files."""
    directory = revision_folder(Path(ska) / "data/mica/archive/asp1", observation, revision)
    if observation.detector == "NONE":
        raise ValueError(f"obsid {observation.obsid} has no aspect products: it is an engineering observation")
    start, stop = observation.tstart + _MARGIN, observation.tstop - _MARGIN
    if stop - start < _SHORTEST:
        raise ValueError(
            f"obsid {observation.obsid} of {stop - start + 2 * _MARGIN} s is too short for aspect products"
        )
    kind = generator(seed, observation.obsid, 15).choice(["one", "two", "monitor"], p=[0.86, 0.07, 0.07])
    middle = (start + stop) / 2
    cuts = [(start, stop)] if kind == "one" else [(start, middle - _MARGIN), (middle + _MARGIN, stop)]
    done: list[tuple[Path, dict[str, object]]] = []
    for number, (a, b) in enumerate(cuts):
        content = _interval(observation, revision, seed, number, a, b, kind == "monitor")
        for name, data in content.items():
            path = directory / f"pcadf{math.floor(a):09d}N{revision:03d}_{name}1.fits.gz"
            row = {
                "filename": path.name,
                "filetime": math.floor(a),
                "tstart": a,
                "tstop": b,
                "content": _CONTENTS[name],
                "revision": revision,
                "obsid": observation.obsid,
                "isdefault": 1 if revision == observation.default else None,
            }
            done.append((write(path, data), row))
    return done


def write_products(ska: Path, observation: Observation, revision: int, *, seed: int = 0) -> list[Path]:
    """Write the aspect products of one revision of an observation.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names. The files in data/mica/archive/asp1/OO/OOOOO_vRR below it are written or replaced.
    observation : Observation
        The observation, as `mica_lake.simulate.observations.observations` gives it with the same seed.
    revision : int
        One of its revisions. From 3 on, and from 2020 on, solutions are of the newer kind, which has the columns
        ady, adz, adtheta, ra_raw, dec_raw, roll_raw and q_att_raw.
    seed : int
        What is written depends on the seed, the observation and the revision, and on nothing else.

    Returns
    -------
    list of Path
        For each aspect interval (mostly one, now and then two): the aspect solution (asol) every
        0.25625 s, its quality (aqual) with a bad stretch, misalignments (acal), centroids (acen) at the times of the
        telemetry, guide stars (gspr) of slots 3 to 7 and fid lights (fidpr) of slots 0 to 2. With two intervals slot
        7 may be a monitor.

    Raises
    ------
    ValueError
        If the observation has no such revision, is an engineering one, or is shorter than six minutes.

    Examples
    --------
    >>> from mica_lake.simulate import asp_l1
    >>> from mica_lake.simulate.observations import observations
    >>> observation = observations(7e8 + 20000, 7e8 + 20001)[0]
    >>> paths = asp_l1.write_products(getfixture("tmp_path"), observation, 1)
    >>> [p.name for p in paths][:2]
    ['pcadf700014408N001_asol1.fits.gz', 'pcadf700014408N001_aqual1.fits.gz']
    """
    return [path for path, _ in _products(ska, observation, revision, seed)]


def _job(ska: Path, seed: int, work: tuple[Observation, int]) -> list[tuple[Path, dict[str, object]]]:
    return _products(ska, *work, seed)


def write_archive(
    ska: Path,
    observations: Sequence[Observation],
    *,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write the aspect products of observations, all revisions, with links and the tables that list them.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    observations : sequence of Observation
        The observations; engineering ones are left out. The table archfiles of archfiles.db3 and the table
        aspect_1_proc of processing_asp_l1.db3, both in data/mica/archive/asp1, list these and no others.
    seed : int
        As in `write_products`.
    jobs : int
        Processes to use; what is written does not depend on it.
    progress : callable, optional
        Called after each revision with the number of revisions done.

    Returns
    -------
    list of Path
        The files, sorted.

    Raises
    ------
    ValueError
        If `jobs` is below 1, or an observation is too short.

    Examples
    --------
    >>> from mica_lake.simulate import asp_l1
    >>> from mica_lake.simulate.observations import observations
    >>> paths = asp_l1.write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 20000))
    >>> sorted({p.parent.name for p in paths})
    ['27379_v01', '27379_v02']
    """
    top = Path(ska) / "data/mica/archive/asp1"
    chosen = [observation for observation in observations if observation.detector != "NONE"]
    work = [(observation, revision) for observation in chosen for revision in observation.revisions]
    done: list[tuple[Path, dict[str, object]]] = []
    for number, result in enumerate(each(functools.partial(_job, ska, seed), work, jobs), 1):
        done += result
        if progress is not None:
            progress(number)
    for observation in chosen:
        link_revisions(top, observation)
    processed = [
        {
            "aspect_1_id": processing(observation, revision)[0],
            "obsid": observation.obsid,
            "obi": 0,
            "revision": revision,
            "ap_date": processing(observation, revision)[1],
            "isdefault": 1 if revision == observation.default else None,
            "obspar_version": revision,
            "vv_complete": 0,
        }
        for observation, revision in work
    ]
    write_database(top / "archfiles.db3", "archfiles", _FILES, [row for _, row in done])
    write_database(top / "processing_asp_l1.db3", "aspect_1_proc", _PROCESSING, processed)
    return sorted(path for path, _ in done)


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the aspect products of the observations of some days."""
    return write_archive(days.ska, days.observations, jobs=days.jobs, progress=progress)
