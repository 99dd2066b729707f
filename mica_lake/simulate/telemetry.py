"""
Simulate the telemetry that statistics are gathered from: what the star camera and the attitude control say.

Each observation has a maneuver, an acquisition and a Kalman interval, with the stars of its catalog and the outcome of
its simulated statistics. The star is where AGASC and attitude put it, and the noise of its slot beside that.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.formats.hdf5 import h5py_module
from mica_lake.gathering.residuals import ARCSEC, moved, product, star_residuals
from mica_lake.gathering.telemetry import EXTRAS, FLAGS, SHAPES, TEMPERATURE, msids
from mica_lake.quaternion import Quat
from mica_lake.simulate import stats
from mica_lake.simulate.dwells import generator, temperatures
from mica_lake.simulate.files import write
from mica_lake.simulate.observations import Observation, dwell_of
from mica_lake.times import fractional_years

__all__ = ["AGASC", "Scene", "agasc_rows", "example", "scene_of", "telemetry_of", "write_archive"]

#: Seconds between samples.
STEP = 1.025
_TEMPERATURE_STEP = 32.8
# Seconds before the guide transition: the end of the maneuver, the acquisition; after it: the Kalman filter.
_SETTLED, _ACQUIRING, _KALMAN = 62.0, 45.0, 30.0
# How long the maneuver to the next observation is shown.
_TAIL = 90.0
_CONTENT, _CCD_CONTENT = "pcad3eng", "pcad8eng"

#: A row of the AGASC, as far as it is needed.
AGASC = np.dtype(
    [("AGASC_ID", "<i4"), ("RA", "<f8"), ("DEC", "<f8"), ("POS_ERR", "<i2"), ("POS_CATID", "u1"), ("EPOCH", "<f4")]
    + [("PM_RA", "<i2"), ("PM_DEC", "<i2"), ("MAG_ACA", "<f4"), ("MAG_ACA_ERR", "<i2"), ("MAG_ERR", "<i2")]
    + [("MAG_BAND", "<i2"), ("COLOR1", "<f4"), ("COLOR2", "<f4"), ("RSV3", "u1"), ("VAR", "<i2")]
    + [(name, "<i2") for name in ("ASPQ1", "ASPQ2", "ASPQ3", "ACQQ1", "ACQQ2", "ACQQ4")]
)
_Floats = NDArray[np.float64]
_Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Scene:
    """
    What the telemetry of an observation shows.

    Attributes
    ----------
    start, guide, stop : float
        Start of the maneuver, guide transition, end of the Kalman interval: CXC seconds.
    attitude : numpy.ndarray
        The quaternion.
    one_shot : tuple of float
        Pitch and yaw by which the attitude estimated on board is wrong before the guide transition (arcsec).
    stars : numpy.ndarray
        AGASC rows of the stars in slots 0 to 7.
    scatter : numpy.ndarray
        Standard deviation of the centroids of each slot (arcsec).
    acquired : numpy.ndarray
        Whether the star in each slot is acquired; one that is not is searched for until 30 s after the transition.
    dither : float
        Amplitude of the dither (arcsec).
    """

    start: float
    guide: float
    stop: float
    attitude: _Floats
    one_shot: tuple[float, float]
    stars: NDArray[np.void]
    scatter: _Floats
    acquired: NDArray[np.bool_] = field(default_factory=lambda: np.ones(8, bool))
    dither: float = 8.0


def _rotation(roll: Any, pitch: Any, yaw: Any) -> _Floats:
    """Quaternions of small rotations (arcsec)."""
    vector = np.stack(np.broadcast_arrays(roll, pitch, yaw), axis=-1) / ARCSEC / 2
    return _unit(np.concatenate([vector, np.ones((*vector.shape[:-1], 1))], axis=-1))


def _unit(q: _Floats) -> _Floats:
    """Quaternions of length 1."""
    return q / np.linalg.norm(q, axis=-1, keepdims=True)  # type: ignore[no-any-return]


def telemetry_of(scene: Scene, seed: int = 0) -> _Arrays:
    """
    Telemetry of an observation.

    Parameters
    ----------
    scene : Scene
        What it shows.
    seed : int
        Of the noise.

    Returns
    -------
    dict of str to numpy.ndarray
        As `mica_lake.stats.acq_stats.calc_stats` takes it: from the start of the maneuver until a minute and a half
        after the Kalman interval.

    Examples
    --------
    >>> _, telemetry, _, _ = example()
    >>> telemetry["AOACYAN"].shape == (*telemetry["TIME"].shape, 8)
    True
    """
    rng = generator(seed, int(scene.start), 31)
    first, last = np.ceil(scene.start / STEP), np.ceil((scene.stop + _TAIL) / STEP)
    times = np.arange(first, last) * STEP
    n = len(times)
    guide, stop = np.searchsorted(times, [scene.guide, scene.stop])
    settled, acquiring = np.searchsorted(times, [scene.guide - _SETTLED, scene.guide - _ACQUIRING])
    kalman, moving = int(np.searchsorted(times, scene.guide + _KALMAN)), int(np.searchsorted(times, scene.start + 10))
    at = np.arange(n)
    # The spacecraft is held still until the Kalman filter is on.
    since = np.maximum(times - scene.guide - _KALMAN, 0)
    swing = (scene.dither * np.sin(since * (2 * np.pi / period)) for period in (1000.0, 707.0))
    true = product(scene.attitude, _rotation(0.0, *swing))
    # The correction is in the estimate from the sample after the transition on.
    before = at <= guide
    estimated = product(true, _rotation(0.0, *(np.where(before, error, 0.0) for error in scene.one_shot)))
    function = np.full((n, 8), b"NONE", "S4")
    function[acquiring + 3 : stop] = b"SRCH"
    found = np.where(scene.acquired, acquiring + 3 + rng.integers(4, 15, 8), guide + 30)
    tracked = (at[:, None] >= found) & (at[:, None] < stop)
    function[tracked] = b"TRAK"
    ra, dec = moved(scene.stars, scene.guide)
    away = star_residuals(_unit(true), ra, dec, 0.0, 0.0)
    noise = rng.normal(size=(3, n, 8))
    seen = [np.where(tracked, -angle + scene.scatter * z, -3276.8) for angle, z in zip(away, noise, strict=False)]
    magnitude = np.where(tracked, scene.stars["MAG_ACA"] + scene.scatter / 5 * noise[2], 13.9375)
    sequence, mode, moves = (np.full(n, text, "S4") for text in (b"KALM", b"NPNT", b"STDY"))
    sequence[acquiring:guide], sequence[guide:kalman] = b"AQXN", b"GUID"
    mode[:acquiring], mode[stop:] = b"NMAN", b"NMAN"
    moves[moving:settled], moves[stop + 10 :] = b"MNVR", b"MNVR"
    identified = np.full((n, 8), b"NOID", "S4")
    identified[(at[:, None] >= guide - 2) & scene.acquired] = b"ID  "
    ccd = np.arange(times[0] - 300, times[-1] + 300, _TEMPERATURE_STEP)
    return {
        "TIME": times,
        "bad": np.zeros(n, bool),
        "AOACASEQ": sequence,
        "AOPCADMD": mode,
        "AOFATTMD": moves,
        "AOFSTAR": np.full(n, b"GUID", "S4"),
        "AOATTQT": _unit(estimated),
        "AOACQID": identified,
        "AOACFCT": function,
        "AOACMAG": magnitude.astype(np.float32),
        "AOACYAN": seen[0].astype(np.float32),
        "AOACZAN": seen[1].astype(np.float32),
        **{name: np.full((n, 8), b"OK ", "S3") for name in FLAGS},
        "AACCCDPT": np.round(temperatures(seed, ccd)["TEMPCCD"], 2),
        "AACCCDPT_TIME": ccd,
    }


def agasc_rows(
    attitude: _Floats, time: float, yang: _Floats, zang: _Floats, columns: dict[str, Any]
) -> NDArray[np.void]:
    """AGASC rows of stars that are at these angles (arcsec) at a time; `columns` has what else is known of them."""
    rows = np.zeros(len(yang), AGASC)
    rows["EPOCH"], rows["VAR"], rows["COLOR1"], rows["COLOR2"] = 2000.0, -9999, 0.7, 0.6
    for name, values in columns.items():
        rows[name] = values
    body = np.stack([np.ones(len(yang)), np.tan(yang / ARCSEC), np.tan(zang / ARCSEC), np.zeros(len(yang))], axis=-1)
    body[:, :3] /= np.linalg.norm(body[:, :3], axis=-1, keepdims=True)
    x, y, z, _ = product(product(attitude, body), attitude * [-1, -1, -1, 1]).T
    rows["DEC"], rows["RA"] = np.degrees(np.arcsin(z)), np.degrees(np.arctan2(y, x)) % 360
    # From where they are back to where they were at the epoch.
    years = (fractional_years(time) - rows["EPOCH"].astype(np.float64)) / 3.6e6
    up, along = (np.where(rows[name] == -9999, 0.0, rows[name]) * years for name in ("PM_DEC", "PM_RA"))
    rows["DEC"] -= up
    rows["RA"] -= along / np.cos(np.radians(rows["DEC"]))
    return rows


def example(
    guide: float = 7e8, duration: float = 900.0, seed: int = 0
) -> tuple[dict[str, Any], _Arrays, list[dict[str, Any]], NDArray[np.void]]:
    """
    A short observation, as the functions that compute statistics take it: five guide stars, eight to acquire.

    Parameters
    ----------
    guide : float
        The guide transition, CXC seconds.
    duration : float
        From there to the end (s).
    seed : int
        Of stars and noise.

    Returns
    -------
    observation, telemetry, catalog, stars
        The four arguments of `mica_lake.stats.acq_stats.calc_stats`.

    Examples
    --------
    >>> observation, telemetry, catalog, stars = example()
    >>> observation["obsid"], [entry["type"] for entry in catalog]
    (1234, ['BOT', 'BOT', 'BOT', 'BOT', 'BOT', 'ACQ', 'ACQ', 'ACQ'])
    """
    rng = generator(seed, 32)
    attitude = np.asarray(Quat([rng.uniform(0, 360), rng.uniform(-60, 60), rng.uniform(0, 360)]).q)
    yang, zang, mag = rng.uniform(-2400, 2400, 8), rng.uniform(-2400, 2400, 8), rng.uniform(6.5, 9.5, 8)
    known = {"AGASC_ID": rng.integers(1_000_000, 1_000_000_000, 8), "MAG_ACA": mag, "PM_RA": rng.integers(-60, 60, 8)}
    stars = agasc_rows(attitude, guide, yang, zang, known)
    start = guide - 600
    scene = Scene(start, guide, guide + duration, attitude, (6.0, -4.0), stars, np.linspace(0.1, 0.24, 8))
    slots = [3, 4, 5, 6, 7, 0, 1, 2]
    catalog = [
        {
            "idx": idx, "slot": slot, "id": int(stars["AGASC_ID"][slot]), "type": "BOT" if slot > 2 else "ACQ",
            "sz": "6x6", "mag": float(mag[slot]), "yang": round(yang[slot]), "zang": round(zang[slot]), "halfw": 120,
        }
        for idx, slot in enumerate(slots, 4)
    ]  # fmt: skip
    observation = {"obsid": 1234, "obi": 0, "manvr_start": start, "mp_starcat_time": start}
    return observation, telemetry_of(scene, seed), catalog, stars


def scene_of(observation: Observation, stars: dict[str, Any], seed: int = 0) -> Scene:
    """The scene of a simulated observation, `stars` being what `mica_lake.simulate.stats.catalogs` gives of it."""
    dwell = dwell_of(observation, seed=seed)
    attitude = np.asarray(Quat([observation.ra, observation.dec, observation.roll]).q)
    rows = agasc_rows(attitude, observation.tstart, stars["yang"], stars["zang"], stars["agasc"])
    one_shot = float(stars["one_shot"][0][0]), float(stars["one_shot"][1][0])
    # An observation that was cut short is followed by a maneuver, too.
    stop = min(dwell.stop, observation.tstop + _TAIL)
    return Scene(dwell.start, observation.tstart, stop, attitude, one_shot, rows, stars["scatter"], stars["acquired"])


def write_archive(ska: Path, observations: Sequence[Observation], *, seed: int = 0) -> list[Path]:
    """
    Write telemetry of some observations in the layout of a cheta archive, and an AGASC of their stars.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    observations : sequence of Observation
        The observations, by time.
    seed : int
        As of `mica_lake.simulate.stats.write_archive`, whose stars are observed.

    Returns
    -------
    list of Path
        ``data/eng_archive/data/CONTENT/MSID.h5``, with the times of a content in its TIME.h5, and
        ``data/agasc/miniagasc.h5``. h5py writes them.

    Examples
    --------
    >>> from mica_lake.simulate.observations import observations
    >>> paths = write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 1000))
    >>> sorted({path.parent.name for path in paths})
    ['agasc', 'pcad3eng', 'pcad8eng']
    """
    scenes = [
        scene_of(one, stars, seed)
        for one, stars in zip(observations, stats.catalogs(observations, seed=seed), strict=True)
    ]
    parts = [telemetry_of(scene, seed) for scene in scenes]
    for part, following in zip(parts[:-1], scenes[1:], strict=True):
        _cut(part, following.start)
    agasc = np.concatenate([scene.stars for scene in scenes])
    return [
        *write_cheta(Path(ska) / "data" / "eng_archive", parts),
        write_agasc(Path(ska) / "data" / "agasc" / "miniagasc.h5", agasc),
    ]


def _cut(part: _Arrays, stop: float) -> None:
    """Leave out what is the next observation's."""
    early = {name: part[name] < stop for name in ("TIME", "AACCCDPT_TIME")}
    for name in part:
        part[name] = part[name][early["AACCCDPT_TIME" if name in TEMPERATURE else "TIME"]]


def write_cheta(top: Path, parts: Sequence[_Arrays]) -> list[Path]:
    """Write telemetry, in order of time, as a cheta archive has it: a file for each MSID of a content."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ccd = {name: whole.pop(name) for name in ("AACCCDPT", "AACCCDPT_TIME")}
    order = np.unique(ccd["AACCCDPT_TIME"], return_index=True)[1]
    bad = whole.pop("bad")
    none = np.zeros(len(order), bool)
    paths = [
        _write_msid(top, _CCD_CONTENT, "TIME", ccd["AACCCDPT_TIME"][order], none),
        _write_msid(top, _CCD_CONTENT, "AACCCDPT", ccd["AACCCDPT"][order], none),
        _write_msid(top, _CONTENT, "TIME", whole["TIME"], np.zeros(len(bad), bool)),
    ]
    for name, values in whole.items():
        if name != "TIME":
            # What is bad in any is bad in the first.
            bad_here = bad if name == "AOACASEQ" else np.zeros(len(bad), bool)
            for msid, column in msids_of(name, values):
                paths.append(_write_msid(top, _CONTENT, msid, column, bad_here))
    return paths + [
        _write_msid(top, _CONTENT, msid, np.zeros(len(bad), "S4"), np.zeros(len(bad), bool)) for msid in EXTRAS
    ]


def msids_of(name: str, values: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    """The MSIDs of an array, each with its values."""
    return [(msid, values[:, n] if SHAPES[name] else values) for n, msid in enumerate(msids(name))]


def _write_msid(top: Path, content: str, msid: str, data: NDArray[Any], quality: NDArray[np.bool_]) -> Path:
    return _hdf5(top / "data" / content / f"{msid}.h5", {"data": data, "quality": quality})


def write_agasc(path: Path, rows: NDArray[np.void]) -> Path:
    """Write an AGASC of these rows."""
    return _hdf5(path, {"data": rows})


def _hdf5(path: Path, nodes: dict[str, NDArray[Any]]) -> Path:
    content = io.BytesIO()
    with h5py_module().File(content, "w") as file:
        for name, values in nodes.items():
            file.create_dataset(
                name, data=values, chunks=(16384,), maxshape=(None,), compression="gzip", compression_opts=5
            )
    return write(path, content.getvalue())
