"""Simulate what was observed when: one observation in each dwell of the simulated ACA L0 telemetry.

All simulators of products by observation take these observations, so that obsids, attitudes and revisions agree
between products, and stars change when those of the telemetry do.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from mica_lake.simulate.dwells import Dwell, dwells, generator

__all__ = ["Observation", "link_revisions", "observations", "revision_folder"]

# Times that have obsids, and the first dwell after launch: obsids number the dwells from there.
_MISSION = (5e7, 9.5e8)
_FIRST = 2500
# One of so many dwells in a row, drawn at random, is an engineering observation.
_BLOCK = 6
_ENGINEERING = 38001

_DETECTORS = ["ACIS-235678", "ACIS-23678", "ACIS-456789", "ACIS-01236", "ACIS-012367", "ACIS-7", "HRC-I", "HRC-S"]
_SHARES = [0.18, 0.17, 0.2, 0.1, 0.1, 0.1, 0.08, 0.07]


@dataclass(frozen=True)
class Observation:
    """One observation.

    Attributes
    ----------
    obsid : int
        Observation identifier, of at most five digits; above 38000 for engineering.
    tstart, tstop : float
        Interval in CXC seconds.
    detector : str
        DETNAM of the observation parameters: 'ACIS-' and the numbers of its CCDs, 'HRC-I', 'HRC-S', or 'NONE' for
        engineering, which has no aspect products.
    ra, dec, roll : float
        Mean attitude (degrees, J2000).
    revisions : tuple of int
        Revisions of the products, ascending.
    default : int or None
        The released revision; None where none is.
    last : int
        The latest revision.
    """

    obsid: int
    tstart: float
    tstop: float
    detector: str
    ra: float
    dec: float
    roll: float
    revisions: tuple[int, ...]
    default: int | None
    last: int


def _observation(seed: int, k: int) -> Observation:
    """The observation of a dwell."""
    block, place = divmod(k - _FIRST, _BLOCK)
    odd = int(generator(seed, block, 10).integers(_BLOCK))
    engineering = place == odd
    science = 1 + block * (_BLOCK - 1) + place - (place > odd)
    dwell = Dwell.number(seed, k)
    rng = generator(seed, k, 11)
    first = int(rng.integers(1, 4))
    kind = "none" if engineering else rng.choice(["only", "older", "newer", "none"], p=[0.7, 0.12, 0.12, 0.06])
    revisions = (first, first + 1) if kind in ("older", "newer") else (first,)
    return Observation(
        obsid=_ENGINEERING + block if engineering else science,
        tstart=dwell.track + rng.uniform(10, 60),
        tstop=dwell.stop - rng.uniform(10, 60),
        detector="NONE" if engineering else str(rng.choice(_DETECTORS, p=_SHARES)),
        ra=rng.uniform(0, 360),
        # Uniform on the sphere, except near the poles, where right ascension and roll are hard to tell apart.
        dec=math.degrees(math.asin(rng.uniform(-0.99, 0.99))),
        roll=rng.uniform(0, 360),
        revisions=revisions,
        default=None if kind == "none" else revisions[-1] if kind == "newer" else first,
        last=revisions[-1],
    )


def observations(start: float, stop: float, *, seed: int = 0) -> list[Observation]:
    """Observations of an interval.

    There is one in each dwell of the telemetry that `mica_lake.simulate.aca_l0` writes with the same seed: it begins
    soon after the stars are acquired and ends just before the next maneuver, 2 to 8 hours later. Most have one
    revision, which is released. Some have two, of which the older or the newer is released. Of a few, engineering
    ones among them, none is released.

    Parameters
    ----------
    start, stop : float
        Interval in CXC seconds, from August 1999 to 2028.
    seed : int
        An observation depends only on the seed and its dwell.

    Returns
    -------
    list of Observation
        Those with tstart < `stop` and tstop > `start`, whole, by time. Obsids are unique: science obsids grow with
        time from 1, engineering ones from 38001.

    Raises
    ------
    ValueError
        If `stop` is before `start`, or the interval has no obsids.

    Examples
    --------
    >>> from mica_lake.simulate.observations import observations
    >>> [(o.obsid, o.detector, o.revisions, o.default) for o in observations(7e8, 7e8 + 60000)]
    [(43476, 'NONE', (2,), None), (27379, 'ACIS-456789', (1, 2), 1),
     (27380, 'ACIS-012367', (3,), 3), (27381, 'ACIS-7', (3,), 3)]
    """
    if not _MISSION[0] <= start <= stop <= _MISSION[1]:
        raise ValueError(f"start {start!r} and stop {stop!r} must be in order and lie between {_MISSION}, CXC seconds")
    every = [_observation(seed, k) for k in dwells(seed, start, stop)]
    return [o for o in every if o.tstart < stop and o.tstop > start]


def dwell_of(observation: Observation, *, seed: int = 0) -> Dwell:
    """
    The dwell of an observation, which the maneuver to it begins.

    Examples
    --------
    >>> from mica_lake.simulate.observations import observations
    >>> one, other = observations(7e8, 7e8 + 20000)
    >>> one.tstop < dwell_of(other).start < other.tstart
    True
    """
    near = dwells(seed, observation.tstart, observation.tstart).values()
    return next(dwell for dwell in near if dwell.stop > observation.tstart)


def link_revisions(folder: Path, observation: Observation) -> None:
    """Make the links that say which revision is released and which is the latest.

    Parameters
    ----------
    folder : Path
        Top of the products of one kind: OO/OOOOO_vRR is below it, OO being the first two digits of the obsid.
    observation : Observation
        OO/OOOOO links to the folder of its default revision, OO/OOOOO_last to that of its last one if that is not
        the default. Existing links are replaced, or removed.

    Examples
    --------
    >>> from mica_lake.simulate.observations import link_revisions, observations
    >>> tmp = getfixture("tmp_path")
    >>> link_revisions(tmp, observations(7e8 + 20000, 7e8 + 20001)[0])
    >>> [(p.name, p.readlink().name) for p in sorted(tmp.glob("27/*"))]
    [('27379', '27379_v01'), ('27379_last', '27379_v02')]
    """
    name = f"{observation.obsid:05d}"
    parent = folder / name[:2]
    parent.mkdir(parents=True, exist_ok=True)
    last = None if observation.last == observation.default else observation.last
    for link, revision in ((parent / name, observation.default), (parent / f"{name}_last", last)):
        if revision is None:
            link.unlink(missing_ok=True)
            continue
        beside = parent / f".{link.name}.{os.getpid()}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(f"{name}_v{revision:02d}")
        beside.replace(link)


def revision_folder(folder: Path, observation: Observation, revision: int) -> Path:
    """The folder OO/OOOOO_vRR of a revision, below the top of the products of one kind."""
    if revision not in observation.revisions:
        raise ValueError(f"revision {revision!r} of obsid {observation.obsid} is not one of {observation.revisions}")
    name = f"{observation.obsid:05d}"
    return folder / name[:2] / f"{name}_v{revision:02d}"
