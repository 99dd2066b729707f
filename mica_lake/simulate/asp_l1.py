"""Simulate aspect L1 products: solutions, their quality, centroids and what was tracked, consistent with one another.

Attitudes, guide stars and fid lights are those of the simulated ACA L0 telemetry of the same seed: centroids have the
times of its readouts, and move across the CCD as its images do.
"""

import contextlib
import functools
import math
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from isal import igzip
from numpy.typing import ArrayLike, NDArray

from mica_lake.simulate import aca_l0
from mica_lake.simulate.aca_l0 import _Cards, _Dwell, _dwells, _header, _rng, _table
from mica_lake.simulate.observations import Observation, _directory, _write, _write_database, link_revisions
from mica_lake.times import utc_day

__all__ = ["write_archive", "write_products"]

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

_ARCSEC = math.radians(1 / 3600)
# Arcsec per pixel; the y angle falls with the row, the z angle grows with the column.
_PIXEL = 4.99
# Solutions are of the newer kind from this time on, about the spring of 2020, and from revision 3 on before.
_NEWER = 7e8
# From the ends of an observation to those of its aspect intervals (s), and the least that is left between.
_MARGIN = 20.0
_SHORTEST = 300.0
# Of a 10.32 mag star, electrons per second; integration time (s).
_ELECTRONS = 5263.0
_INTEGRATION = 1.696
# Noise of a fid light's centroid along each axis (arcsec), and of a star's of 7 mag.
_FID_NOISE = 0.02
_STAR_NOISE = 0.05
# Centroids that the smoothed ones are the mean of.
_SMOOTH = 5

# Positions (mm) of the SIM and its fiducials, and of the focal plane's lights from the ACA.
_STT = (-0.68, 0.0, -190.14)
_STF = (0.0, 0.51, 237.4)
_RRC = 10061.62
_LSI_X = -0.9


def _product(a: ArrayLike, b: ArrayLike) -> _Floats:
    """Multiply quaternions (x, y, z, w), those of the last axis."""
    x, y, z, w = np.moveaxis(np.asarray(a), -1, 0)
    p, q, r, s = np.moveaxis(np.asarray(b), -1, 0)
    parts = [w * p + x * s + y * r - z * q, w * q - x * r + y * s + z * p]
    parts += [w * r + x * q - y * p + z * s, w * s - x * p - y * q - z * r]
    return np.stack(parts, axis=-1)


def _turn(axis: int, degrees: ArrayLike) -> _Floats:
    """Give the quaternions of turns about the x, y or z axis."""
    half = np.radians(degrees) / 2
    quaternion = np.zeros((*half.shape, 4))
    quaternion[..., axis], quaternion[..., 3] = np.sin(half), np.cos(half)
    return quaternion


def _matrix(quaternion: ArrayLike) -> _Floats:
    """Give the rotation matrices of quaternions, their columns being the turned axes."""
    x, y, z, w = np.moveaxis(np.asarray(quaternion), -1, 0)
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), w * w - x * x + y * y - z * z, 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), w * w - x * x - y * y + z * z],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def _direction(y_angle: float, z_angle: float) -> _Floats:
    """Give the unit vector at angles in arcsec."""
    vector: _Floats = np.array([1.0, math.tan(y_angle * _ARCSEC), math.tan(z_angle * _ARCSEC)])
    vector /= np.linalg.norm(vector)
    return vector


def _angles(vectors: _Floats) -> tuple[_Floats, _Floats]:
    """Give the y and z angles in arcsec of vectors, those of the last axis."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.arctan2(y, x) / _ARCSEC, np.arctan2(z, x) / _ARCSEC


# What the calibration says of the mounting: body to ACA, and focal plane to body.
_ACA_MISALIGN = _matrix(_product(_product(_turn(2, 0.015), _turn(1, -0.01)), _turn(0, 0.002)))
_FTS_MISALIGN = _matrix(_product(_product(_turn(2, 0.006), _turn(1, 0.004)), _turn(0, -0.001)))


@dataclass(frozen=True)
class _Sky:
    """What an observation points at and tracks."""

    dwell: _Dwell
    attitude: _Floats
    # Of each slot: mean y and z angle (arcsec) and magnitude.
    targets: list[tuple[float, float, float]]

    @classmethod
    def of(cls, observation: Observation, seed: int) -> "_Sky":
        middle = (observation.tstart + observation.tstop) / 2
        k = max(k for k in _dwells(seed, middle, middle) if _Dwell.number(seed, k).start <= middle)
        targets = []
        for slot in range(8):
            # Drawn as `aca_l0.readouts` draws the place and the peak (DN) of an image.
            rng = _rng(seed, k, 3, slot)
            row, col = rng.uniform(-470, 470, 2)
            peak = rng.uniform(5500, 9000) if slot < 3 else 400 * 12 ** rng.beta(1.2, 2.0)
            # An image holds some 12.7 times its peak; 5 electrons are one DN.
            magnitude = 10.32 - 2.5 * math.log10(12.7 * 5 * peak / _INTEGRATION / _ELECTRONS)
            targets.append((-_PIXEL * row, _PIXEL * col, 7.0 if slot < 3 else magnitude))
        # Right ascension about z, declination about -y, roll about x.
        attitude = _product(_product(_turn(2, observation.ra), _turn(1, -observation.dec)), _turn(0, observation.roll))
        return cls(_Dwell.number(seed, k), attitude * np.copysign(1, attitude[3]), targets)

    def attitudes(self, time: _Floats) -> _Floats:
        """Give the quaternions (n, 4), dithered so that stars move as they do in the telemetry."""
        amplitude = 1.6 * _PIXEL / 3600
        swing = [
            amplitude * np.sin(time * (2 * np.pi / period) + phase)
            for period, phase in zip((1000.0, 707.1), self.dwell.phase, strict=True)
        ]
        # A turn about z lessens y angles, one about y adds to z angles; rows run against the former.
        return _product(_product(self.attitude, _turn(2, swing[0])), _turn(1, swing[1]))


def _drift(time: _Floats, start: float) -> tuple[_Floats, _Floats, _Floats]:
    """Give how far the SIM has moved (dy and dz in mm) and turned (degrees)."""
    ks = (time - start) / 1000
    return 0.3 + 1e-3 * np.sin(ks / 9), -0.21 - 2e-4 * ks, 0.01 + 1e-4 * ks


def _fid_angles(p_lsi: _Floats, dy: _Floats, dz: _Floats, dtheta: _Floats) -> tuple[_Floats, _Floats]:
    """Give the y and z angles (arcsec) at which the ACA sees a light."""
    x, y, z = p_lsi + _STT + _STF
    s, c = np.sin(np.radians(dtheta)), np.cos(np.radians(dtheta))
    away = np.stack([np.full_like(c, _RRC - x), -(c * y + s * z + dy), -(c * z - s * y + dz)], axis=-1)
    return _angles(away @ (_ACA_MISALIGN @ _FTS_MISALIGN).T)


def _fid_place(y_angle: float, z_angle: float, dy: float, dz: float, dtheta: float) -> _Floats:
    """Give the place (p_lsi, mm) of the light that is seen at such angles: the inverse of `_fid_angles`."""
    ray = (_ACA_MISALIGN @ _FTS_MISALIGN).T @ _direction(y_angle, z_angle)
    _, y, z = ray * ((_LSI_X + _STT[0] + _STF[0] - _RRC) / ray[0])
    s, c = math.sin(math.radians(dtheta)), math.cos(math.radians(dtheta))
    y, z = y - dy, z - dz
    place: _Floats = np.array([_LSI_X, c * y - s * z, s * y + c * z])
    place[1:] -= np.add(_STT, _STF)[1:]
    return place


def _star_noise(magnitude: float) -> float:
    """Give the noise of a star's centroid along each axis (arcsec)."""
    return _STAR_NOISE * 10 ** (0.2 * (magnitude - 7))


def _centroids(
    rng: np.random.Generator,
    slot: int,
    time: _Floats,
    angles: tuple[_Floats, _Floats],
    noise: float,
    magnitude: float,
) -> list[dict[str, np.ndarray]]:
    """Give the centroids of one slot by the first moment (alg 1), and by fitting the image (alg 8)."""
    n = len(time)
    counts = _ELECTRONS * _INTEGRATION * 10 ** (-0.4 * (magnitude - 10.32)) * rng.normal(1, 0.02, n)
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
            "cent_i": y / -_PIXEL,
            "cent_j": z / _PIXEL,
            "ang_y": y / 3600,
            "ang_z": z / 3600,
            "ang_y_sm": (angles[0] + smooth[0]) / 3600,
            "ang_z_sm": (angles[1] + smooth[1]) / 3600,
            "counts": counts,
        }
        whole = {"slot": np.full(n, slot, np.int32), "alg": np.full(n, alg, np.int32), "status": status}
        tables.append({"time": time, **whole, **measured})
    return tables


def _pointing(quaternions: _Floats) -> dict[str, _Floats]:
    """Give right ascension, declination and roll (degrees) of attitudes."""
    axes = _matrix(quaternions)
    return {
        "ra": np.degrees(np.arctan2(axes[:, 1, 0], axes[:, 0, 0])) % 360,
        "dec": np.degrees(np.arcsin(axes[:, 2, 0])),
        "roll": np.degrees(np.arctan2(axes[:, 2, 1], axes[:, 2, 2])) % 360,
    }


def _solution(
    rng: np.random.Generator, quaternions: _Floats, drift: tuple[_Floats, _Floats, _Floats], newer: bool
) -> dict[str, np.ndarray]:
    """Give the columns of the aspect solution, but for its times."""
    n = len(quaternions)
    dy, dz = (moved + rng.normal(0, 2e-5, n) for moved in drift[:2])
    raw = _pointing(quaternions)
    if not newer:
        return {**raw, "dy": dy, "dz": dz, "dtheta": drift[2], "q_att": quaternions}
    # The newer solution has the drift in the attitude. What the older one had stands beside it, under other names.
    turned = _product(quaternions, _turn(2, np.degrees(-dy / _RRC)))
    turned = _product(_product(turned, _turn(1, np.degrees(dz / _RRC))), _turn(0, -drift[2]))
    zero = dict.fromkeys(("dy", "dz", "dtheta"), np.zeros(n))
    old = {"ady": dy, "adz": dz, "adtheta": drift[2], **{f"{name}_raw": column for name, column in raw.items()}}
    return {**_pointing(turned), **zero, "q_att": turned, **old, "q_att_raw": quaternions}


def _quality(rng: np.random.Generator, start: float, stop: float) -> dict[str, np.ndarray]:
    """Give the columns of the quality of the solution, with a bad stretch."""
    time = np.arange(start, stop, 1.025)
    status = np.zeros(len(time), np.int32)
    first = int(rng.integers(len(time) // 8, len(time) // 2))
    status[first : first + rng.integers(6, 60)] = 1
    return {"time": time, "asp_sol_status": status}


def _padded(width: int, *words: str) -> NDArray[np.bytes_]:
    """Give the words as a column, padded with blanks as flight files have them."""
    return np.array([word.ljust(width).encode() for word in words])


def _fits(tables: Sequence[Mapping[str, np.ndarray]], cards: _Cards) -> bytes:
    """Give a FITS file of these tables, one below the other, with these header cards beside those of its form."""
    table, formats = _table({name: np.concatenate([t[name] for t in tables]) for name in tables[0]})
    data = table.tobytes()
    data = data.ljust(-(-len(data) // 2880) * 2880, b"\0")
    primary: _Cards = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, "")]
    form: _Cards = [("XTENSION", "BINTABLE", ""), ("BITPIX", 8, ""), ("NAXIS", 2, "")]
    form += [("NAXIS1", table.dtype.itemsize, ""), ("NAXIS2", len(table), ""), ("PCOUNT", 0, ""), ("GCOUNT", 1, "")]
    form += [("TFIELDS", len(tables[0]), "")]
    content = _header([*primary, *cards], {}, b"")[0] + _header([*form, *cards, *formats], {}, data)[0] + data
    return igzip.compress(content, 1, mtime=0)


def _interval(
    observation: Observation, revision: int, seed: int, number: int, start: float, stop: float, monitor: bool
) -> dict[str, bytes]:
    """Give the content of the files of one aspect interval."""
    rng = _rng(seed, observation.obsid, 16, revision, number)
    sky = _Sky.of(observation, seed)
    time = np.arange(start, stop, 0.25625)
    newer = revision >= 3 or start >= _NEWER
    at = {size: aca_l0.times(start, stop, size) for size in {8, sky.dwell.imgsize}}
    # Body to ACA at the times of the stars: exactly, not by way of the solution's samples.
    turns = np.swapaxes(_matrix(sky.attitudes(at[sky.dwell.imgsize])), 1, 2)
    mean = _matrix(sky.attitude) @ _ACA_MISALIGN.T

    begin = [float(d[0]) for d in _drift(np.array([observation.tstart]), observation.tstart)]
    centroids, places, stars = [], [], []
    for slot, (y, z, magnitude) in enumerate(sky.targets):
        if slot < 3:
            # Lights stand where the telemetry has them when the observation begins.
            places.append(_fid_place(y, z, *begin))
            angles = _fid_angles(places[-1], *_drift(at[8], observation.tstart))
            centroids += _centroids(rng, slot, at[8], angles, _FID_NOISE, magnitude)
        else:
            stars.append(mean @ _direction(y, z))
            angles = _angles(turns @ stars[-1] @ _ACA_MISALIGN.T)
            centroids += _centroids(rng, slot, at[sky.dwell.imgsize], angles, _star_noise(magnitude), magnitude)

    # Of the observation, not of the revision: who is tracked stays.
    ids = _rng(seed, observation.obsid, 17)
    used = np.ones(5, np.int32)
    used[ids.integers(5)] = ids.random() < 0.7
    guide = {
        "slot": np.arange(3, 8, dtype=np.int32),
        "id_status": _padded(10, *("GOOD" if u else "NOT_USED" for u in used)),
        "agasc_id": ids.integers(1_000_000, 1_200_000_000, 5, dtype=np.int32),
        "type": _padded(10, *["GUIDE"] * 4, "MONITOR" if monitor else "GUIDE"),
        "cel_loc_flag": used,
        "pos_eci": np.array(stars),
        "mag_aca": np.array([target[2] for target in sky.targets[3:]], np.float32),
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
    solution = _solution(rng, sky.attitudes(time), _drift(time, observation.tstart), newer)
    tables: dict[str, Sequence[Mapping[str, np.ndarray]]] = {
        "asol": [{"time": time, **solution}],
        "aqual": [_quality(rng, start, stop)],
        "acal": [{"aca_misalign": _ACA_MISALIGN[None], "fts_misalign": _FTS_MISALIGN[None]}],
        "acen": centroids,
        "gspr": [guide],
        "fidpr": [fids],
    }
    own: dict[str, _Cards] = {
        "acen": [("INTGTIME", _INTEGRATION, "[s] integration time")],
        "fidpr": [
            *((f"LSI0STT{i}", value, "[mm] SIM translation") for i, value in enumerate(_STT, 1)),
            *((f"STT0STF{i}", value, "[mm] from it to the fiducials") for i, value in enumerate(_STF, 1)),
            ("RRC0FCX", _RRC, "[mm] from the ACA to the focal plane"),
        ],
    }
    cards: _Cards = [
        ("ORIGIN", "SIMULATED", "not flight data"),
        ("CREATOR", "mica_lake.simulate", "program"),
        ("DATE", _processed(observation, revision), "derived from the observation, not the time of writing"),
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


def _aspect_1_id(observation: Observation, revision: int) -> int:
    return 100 * observation.obsid + revision


def _processed(observation: Observation, revision: int) -> str:
    return f"{utc_day(observation.tstop + 86400 * revision)}T00:00:00"


def _products(ska: Path, observation: Observation, revision: int, seed: int) -> list[tuple[Path, dict[str, object]]]:
    """Write the products of one revision: give each file's path and its row in the table of files."""
    directory = _directory(Path(ska) / "data/mica/archive/asp1", observation, revision)
    if observation.detector == "NONE":
        raise ValueError(f"obsid {observation.obsid} has no aspect products: it is an engineering observation")
    start, stop = observation.tstart + _MARGIN, observation.tstop - _MARGIN
    if stop - start < _SHORTEST:
        raise ValueError(
            f"obsid {observation.obsid} of {stop - start + 2 * _MARGIN} s is too short for aspect products"
        )
    kind = _rng(seed, observation.obsid, 15).choice(["one", "two", "monitor"], p=[0.86, 0.07, 0.07])
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
            done.append((_write(path, data), row))
    return done


def write_products(ska: Path, observation: Observation, revision: int, *, seed: int = 0) -> list[Path]:
    """Write the aspect products of one revision of an observation.

    Parameters
    ----------
    ska : Path
        What $SKA names. The files are written to data/mica/archive/asp1/OO/OOOOO_vRR below it, and replaced there.
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
        For each aspect interval, of which there is one, or now and then two: the aspect solution (asol) every
        0.25625 s, its quality (aqual) with a bad stretch, misalignments (acal), centroids (acen) at the times of the
        telemetry, guide stars (gspr) of slots 3 to 7 and fid lights (fidpr) of slots 0 to 2. With two intervals slot
        7 may be a monitor.

    Raises
    ------
    ValueError
        A revision that the observation has not, or an observation that is of engineering or shorter than six minutes.

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
        What $SKA names.
    observations : sequence of Observation
        The observations; those of engineering are left out. The table archfiles of archfiles.db3 and the table
        aspect_1_proc of processing_asp_l1.db3, both in data/mica/archive/asp1, list these and no others.
    seed : int
        As in `write_products`.
    jobs : int
        Processes to use; what is written does not depend on it.
    progress : callable, optional
        Called with the number of revisions done, after each revision of an observation.

    Returns
    -------
    list of Path
        The files, sorted.

    Raises
    ------
    ValueError
        `jobs` below 1, or an observation that is too short.

    Examples
    --------
    >>> from mica_lake.simulate import asp_l1
    >>> from mica_lake.simulate.observations import observations
    >>> paths = asp_l1.write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 20000))
    >>> sorted({p.parent.name for p in paths})
    ['27379_v01', '27379_v02']
    """
    if jobs < 1:
        raise ValueError(f"jobs {jobs!r} must be 1 or more")
    top = Path(ska) / "data/mica/archive/asp1"
    chosen = [observation for observation in observations if observation.detector != "NONE"]
    work = [(observation, revision) for observation in chosen for revision in observation.revisions]
    job = functools.partial(_job, ska, seed)
    done: list[tuple[Path, dict[str, object]]] = []
    with contextlib.ExitStack() as stack:
        results: Iterable[list[tuple[Path, dict[str, object]]]] = map(job, work)
        if jobs > 1:
            results = stack.enter_context(multiprocessing.get_context("spawn").Pool(jobs)).imap(job, work)
        for number, result in enumerate(results, 1):
            done += result
            if progress is not None:
                progress(number)
    for observation in chosen:
        link_revisions(top, observation)
    processing = [
        {
            "aspect_1_id": _aspect_1_id(observation, revision),
            "obsid": observation.obsid,
            "obi": 0,
            "revision": revision,
            "ap_date": _processed(observation, revision),
            "isdefault": 1 if revision == observation.default else None,
            "obspar_version": revision,
            "vv_complete": 0,
        }
        for observation, revision in work
    ]
    _write_database(top / "archfiles.db3", "archfiles", _FILES, [row for _, row in done])
    _write_database(top / "processing_asp_l1.db3", "aspect_1_proc", _PROCESSING, processing)
    return sorted(path for path, _ in done)
