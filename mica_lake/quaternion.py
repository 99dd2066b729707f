"""Attitudes as quaternions, rotation matrices, and right ascension, declination and roll."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Quat", "normalize"]

_Floats = NDArray[np.float64]


def normalize(array: ArrayLike) -> _Floats:
    """
    Quaternions of length 1.

    Parameters
    ----------
    array : array_like, shape (4,) or (n, 4)
        Quaternions of any length.

    Returns
    -------
    numpy.ndarray of float64
        Quaternions of the same shape.

    Raises
    ------
    TypeError
        If the array has another number of dimensions.

    Examples
    --------
    >>> normalize([0, 0, 3, 4])
    array([0. , 0. , 0.6, 0.8])
    """
    q = np.asarray(array, dtype=np.float64)
    if q.ndim not in (1, 2):
        raise TypeError(f"quaternions have shape (4,) or (n, 4), not {q.shape}")
    unit: _Floats = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return unit


class Quat:
    """
    One or several attitudes.

    ``q1 * q2`` rotates by q2 and then by q1: its matrix is the product of their matrices. ``q1 / q2`` is
    ``q1 * q2.inv()``.

    Parameters
    ----------
    attitude : Quat or array_like
        Quaternions x, y, z, w of shape (4,) or (n, 4); right ascension, declination and roll in degrees, (3,) or
        (n, 3); or rotation matrices, (3, 3) or (n, 3, 3).
    intype : {'quaternion', 'equatorial', 'transform'}, optional
        Which of these is given. By default, the shape decides, and (3, 3) is a matrix.

    Attributes
    ----------
    q : numpy.ndarray
        Quaternions, w >= 0.
    equatorial : numpy.ndarray
        Right ascension (0 to 360), declination and roll (0 to 360) in degrees.
    transform : numpy.ndarray
        Rotation matrices; their columns are the rotated x, y and z axes.
    ra, dec, roll : float or numpy.ndarray
        The columns of `equatorial`.
    ra0, roll0 : float or numpy.ndarray
        The same from -180 to 180.

    Raises
    ------
    TypeError
        If the attitude has none of these shapes, or the intype is not valid.
    ValueError
        If a quaternion's length is not 1.

    Examples
    --------
    >>> (Quat((20, 30, 0)) * Quat((0, 0, 40))).equatorial
    array([20., 30., 40.])
    """

    def __init__(self, attitude: Any, intype: str | None = None) -> None:
        if intype not in (None, "quaternion", "equatorial", "transform"):
            raise TypeError(f"intype {intype!r} is not quaternion, equatorial or transform")
        given = np.array(getattr(attitude, "q", attitude), dtype=np.float64)
        matrix = given.shape[-2:] == (3, 3) and (given.ndim == 3 or intype in (None, "transform"))
        if matrix and intype in (None, "transform"):
            q = _of_matrices(given.reshape(-1, 3, 3))
            several = given.ndim == 3
        else:
            several = given.ndim == 2
            rows = given.reshape(-1, given.shape[-1] if given.ndim else 1)
            if given.ndim in (1, 2) and rows.shape[1] == 4 and intype in (None, "quaternion"):
                q = rows
                if (abs((q * q).sum(axis=1) - 1) > 1e-6).any():
                    raise ValueError(f"{attitude!r} is not of length 1: see normalize")
            elif given.ndim in (1, 2) and rows.shape[1] == 3 and intype in (None, "equatorial"):
                q = _of_equatorial(rows)
            else:
                raise TypeError(f"{attitude!r}, of shape {given.shape}, is not an attitude (intype {intype})")
        q = np.where(q[:, 3:] < 0, -q, q)
        self.q: _Floats = q if several else q[0]

    def __repr__(self) -> str:
        return f"<Quat {self.equatorial}>"

    @property
    def transform(self) -> _Floats:
        """Rotation matrices, shape (3, 3) or (n, 3, 3)."""
        x, y, z, w = np.moveaxis(self.q, -1, 0)
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        return np.moveaxis(np.array(rows), (0, 1), (-2, -1))

    @property
    def equatorial(self) -> _Floats:
        """Right ascension, declination and roll in degrees, shape (3,) or (n, 3)."""
        t = self.transform
        ra = np.arctan2(t[..., 1, 0], t[..., 0, 0])
        dec = np.arctan2(t[..., 2, 0], np.hypot(t[..., 0, 0], t[..., 1, 0]))
        roll = np.arctan2(t[..., 2, 1], t[..., 2, 2])
        return np.stack([np.degrees(ra) % 360, np.degrees(dec), np.degrees(roll) % 360], axis=-1)

    @property
    def ra(self) -> Any:
        """Right ascension in degrees, 0 to 360."""
        return self.equatorial[..., 0]

    @property
    def dec(self) -> Any:
        """Declination in degrees."""
        return self.equatorial[..., 1]

    @property
    def roll(self) -> Any:
        """Roll in degrees, 0 to 360."""
        return self.equatorial[..., 2]

    @property
    def ra0(self) -> Any:
        """Right ascension in degrees, -180 to 180."""
        return 180 - (180 - self.ra) % 360

    @property
    def roll0(self) -> Any:
        """Roll in degrees, -180 to 180."""
        return 180 - (180 - self.roll) % 360

    def __mul__(self, other: "Quat") -> Self:
        return type(self)(_product(self.q, other.q))

    def __truediv__(self, other: "Quat") -> Self:
        return self * other.inv()

    def inv(self) -> Self:
        """The inverse rotation."""
        return type(self)(self.q * [-1, -1, -1, 1])


def _product(a: _Floats, b: _Floats) -> _Floats:
    """The Hamilton product."""
    u, v, w, s = a[..., :3], b[..., :3], a[..., 3:], b[..., 3:]
    scalar = w * s - (u * v).sum(axis=-1, keepdims=True)
    return normalize(np.concatenate([w * v + s * u + np.cross(u, v), scalar], axis=-1))


def _of_equatorial(att: _Floats) -> _Floats:
    ra, dec, roll = np.radians(att).T / 2
    zero = np.zeros(len(att))
    about_z = np.stack([zero, zero, np.sin(ra), np.cos(ra)], axis=-1)
    about_y = np.stack([zero, -np.sin(dec), zero, np.cos(dec)], axis=-1)
    about_x = np.stack([np.sin(roll), zero, zero, np.cos(roll)], axis=-1)
    return _product(_product(about_z, about_y), about_x)


def _of_matrices(t: _Floats) -> _Floats:
    """Compute each quaternion in that of the four ways with the largest divisor (Shepperd, 1978)."""
    x, y, z = t[:, 2, 1] - t[:, 1, 2], t[:, 0, 2] - t[:, 2, 0], t[:, 1, 0] - t[:, 0, 1]
    xy, xz, yz = t[:, 0, 1] + t[:, 1, 0], t[:, 0, 2] + t[:, 2, 0], t[:, 1, 2] + t[:, 2, 1]
    a, b, c = t[:, 0, 0], t[:, 1, 1], t[:, 2, 2]
    ways = np.array(
        [
            [1 + a - b - c, xy, xz, x],
            [xy, 1 - a + b - c, yz, y],
            [xz, yz, 1 - a - b + c, z],
            [x, y, z, 1 + a + b + c],
        ]
    )
    best = np.argmax([ways[i, i] for i in range(4)], axis=0)
    return normalize(ways[best, :, np.arange(len(t))])
