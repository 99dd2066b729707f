"""Where a star is seen, less where it is expected; the correction of the attitude when guiding starts."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.gathering.telemetry import Floats, NotGathered
from mica_lake.times import fractional_years

#: Arcseconds in a radian, as rounded in the reference.
ARCSEC = 206264.81
_NO_MOTION = -9999
_MAS = 3.6e6
_NEAR_UNIT = 1e-6

Stars = Mapping[int, Any] | NDArray[np.void]


def star_residuals(
    attitudes: ArrayLike, ra: ArrayLike, dec: ArrayLike, yan: ArrayLike, zan: ArrayLike
) -> tuple[Floats, Floats]:
    """
    Angles at which stars are seen, less those at which they are expected.

    Parameters
    ----------
    attitudes : array_like, shape (n, 4)
        Quaternions, scalar last.
    ra, dec : array_like, shape (k,)
        Where the stars are (deg), proper motion applied.
    yan, zan : array_like, shape (n, k)
        Y and Z angles observed (arcsec).

    Returns
    -------
    dy, dz : numpy.ndarray, shape (n, k)
        Observed less expected (arcsec).

    Raises
    ------
    NotGathered
        If a quaternion's squared norm is not 1 within 1e-6.

    Examples
    --------
    >>> dy, dz = star_residuals([[0, 0, 0, 1]], [0.0], [0.0], [[2.0]], [[-1.0]])
    >>> dy.tolist(), dz.tolist()
    ([[2.0]], [[-1.0]])
    """
    q = unit(attitudes)
    x, y, z, w = q.T
    lon, lat = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    stars = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    # Rows: the axes of the body, in inertial coordinates.
    axes = np.array(
        [
            [x * x - y * y - z * z + w * w, 2 * (x * y + z * w), 2 * (x * z - y * w)],
            [2 * (x * y - z * w), y * y - x * x - z * z + w * w, 2 * (y * z + x * w)],
            [2 * (x * z + y * w), 2 * (y * z - x * w), z * z - x * x - y * y + w * w],
        ]
    )
    ahead, left, up = (axis.T @ stars for axis in axes)
    return (
        np.asarray(yan, np.float64) - ARCSEC * np.arctan2(left, ahead),
        np.asarray(zan, np.float64) - ARCSEC * np.arctan2(up, ahead),
    )


def unit(quaternions: ArrayLike) -> Floats:
    """Quaternions of length 1; one whose squared norm is not 1 within 1e-6 is refused."""
    q = np.asarray(quaternions, np.float64)
    squares = (q * q).sum(axis=-1, keepdims=True)
    if not np.all(np.abs(squares - 1) <= _NEAR_UNIT):
        odd = np.ravel(squares)[~(np.abs(np.ravel(squares) - 1) <= _NEAR_UNIT)][0]
        raise NotGathered(f"AOATTQT has a quaternion whose squared norm is {odd}, not 1")
    return q / np.sqrt(squares)  # type: ignore[no-any-return]


def product(a: Floats, b: Floats) -> Floats:
    """The Hamilton product of quaternions, scalar last."""
    u, v, w, s = a[..., :3], b[..., :3], a[..., 3:], b[..., 3:]
    scalar = w * s - (u * v).sum(axis=-1, keepdims=True)
    return np.concatenate([w * v + s * u + np.cross(u, v), scalar], axis=-1)


def one_shot(before: ArrayLike, after: ArrayLike) -> tuple[Floats, float]:
    """
    The correction of the attitude from one quaternion to another.

    Parameters
    ----------
    before, after : array_like, shape (4,)
        Quaternions, scalar last.

    Returns
    -------
    correction : numpy.ndarray, shape (4,)
        The quaternion whose product with `before` is `after`.
    length : float
        Its angle (arcsec), the shorter way round.

    Raises
    ------
    NotGathered
        If a quaternion's squared norm is not 1 within 1e-6.

    Examples
    --------
    >>> half = np.radians(10 / 3600) / 2
    >>> correction, length = one_shot([0, 0, 0, 1], [0, 0, np.sin(half), np.cos(half)])
    >>> round(length, 4)
    10.0
    """
    correction = product(unit(after), unit(before) * [-1, -1, -1, 1])
    # Two attitudes 0.4" apart: an arc cosine would be wrong by 1e-4".
    length = 2 * np.arctan2(np.linalg.norm(correction[:3]), abs(correction[3]))
    return correction, float(ARCSEC * length)


def moved(stars: NDArray[np.void], time: float) -> tuple[Floats, Floats]:
    """
    Right ascension and declination of stars at a time.

    Parameters
    ----------
    stars : numpy.ndarray
        Rows of the AGASC: RA, DEC, EPOCH, PM_RA, PM_DEC. An axis whose proper motion is -9999, not known, stays.
    time : float
        CXC seconds.

    Returns
    -------
    ra, dec : numpy.ndarray
        Degrees; right ascension is not brought back to 0 to 360.

    Examples
    --------
    >>> row = [("RA", "f8"), ("DEC", "f8"), ("EPOCH", "f4"), ("PM_RA", "i2"), ("PM_DEC", "i2")]
    >>> from mica_lake.times import cxcsec
    >>> ra, dec = moved(np.array([(10.0, 0.0, 2000.0, 3600, -9999)], row), cxcsec("2010:001"))
    >>> ra.tolist(), dec.tolist()
    ([10.01], [0.0])
    """
    years = fractional_years(time) - np.asarray(stars["EPOCH"], np.float64)
    along, up = (np.asarray(stars[name], np.float64) for name in ("PM_RA", "PM_DEC"))
    ra, dec = np.asarray(stars["RA"], np.float64), np.asarray(stars["DEC"], np.float64)
    along, up = (np.where(pm == _NO_MOTION, 0.0, pm) * years / _MAS for pm in (along, up))
    return ra + along / np.cos(np.radians(dec)), dec + up


def color_of(stars: NDArray[np.void]) -> Floats:
    """
    Colors B-V of stars: COLOR1, but where it is the 1.5 of an unknown one and RSV3 says so, from COLOR2.

    Examples
    --------
    >>> row = [("COLOR1", "f4"), ("COLOR2", "f4"), ("RSV3", "u1")]
    >>> color_of(np.array([(0.5, 1.0, 1), (1.5, 2.0, 1), (1.5, 2.0, 0)], row)).round(3).tolist()
    [0.5, 1.7, 1.5]
    """
    # In float32, as the AGASC has them.
    color, other = np.asarray(stars["COLOR1"], np.float32), np.float32(0.85) * np.asarray(stars["COLOR2"], np.float32)
    # A color computed is not to be taken for one that is not known.
    other = np.where(np.abs(other - 1.5) <= 0.0005, np.float32(1.499), other)
    return np.where((color == 1.5) & (np.asarray(stars["RSV3"]) > 0), other, color).astype(np.float64)


def rows_of_stars(ids: Iterable[int], stars: Stars) -> dict[int, np.void]:
    """The AGASC rows of those stars that it has."""
    wanted = set(ids)
    if isinstance(stars, Mapping):
        return {one: stars[one] for one in wanted if one in stars}
    rows = np.asarray(stars)
    places = np.flatnonzero(np.isin(rows["AGASC_ID"], list(wanted)))
    return {int(rows["AGASC_ID"][place]): rows[place] for place in places[::-1]}
