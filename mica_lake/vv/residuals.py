"""Where the ACA should see stars and fid lights, how far off it sees them, and how bright they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

R2A = 206264.81
"""Arcsec per radian, rounded as in the archive's reports."""

D2R = 0.017453293
"""Radians per degree, rounded likewise."""

_Floats = NDArray[np.float64]

# Of a 10.32 mag star, electrons per second.
_ELECTRONS = 5263.0
# With so few counts there is no image to measure.
_LEAST_COUNTS = 10
# Rows whose windows are sorted at a time, so that a long observation takes no more memory than a short one.
_BLOCK = 1 << 16


def running_median(values: _Floats, width: int) -> _Floats:
    """
    Median of each value and its neighbours, `width` (odd) values in all.

    Beyond the ends, values count as 0, as in ``scipy.signal.medfilt``, which the archive's reports were made with; but
    so few values that each median would be one of these zeros are returned as they are.

    >>> running_median(np.array([5.0, 4.0, 9.0, 6.0]), 3)
    array([4., 5., 6., 6.])
    """
    half = width // 2
    if len(values) <= half:
        return values.copy()
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, half), width)
    return np.concatenate([np.median(windows[i : i + _BLOCK], axis=1) for i in range(0, len(windows), _BLOCK)])


def star_angles(attitudes: _Floats, aca_misalign: _Floats, position: _Floats) -> tuple[_Floats, _Floats]:
    """
    The y and z angles (arcsec) at which the ACA should see a star.

    `attitudes` (n, 4) are unit quaternions of the body with the scalar last; ones interpolated between samples of the
    aspect solution are near enough (1e-10 arcsec) to need no scaling. `aca_misalign` (3, 3) leads from the body's axes
    to those of the ACA, and `position` (3,) is the star in ECI.

    >>> [angle.round(3) + 0 for angle in star_angles(np.array([[0, 0, 0, 1.0]]), np.eye(3), np.array([1, 1e-3, 0]))]
    [array([206.265]), array([0.])]
    """
    x, y, z, w = attitudes.T
    a, b, c = position
    # The columns of the attitude matrix of a quaternion of length 1 (Wertz 1978, appendix E), times the position.
    body = [
        (1 - 2 * y * y - 2 * z * z) * a + 2 * (x * y + z * w) * b + 2 * (x * z - y * w) * c,
        2 * (x * y - z * w) * a + (1 - 2 * x * x - 2 * z * z) * b + 2 * (y * z + x * w) * c,
        2 * (x * z + y * w) * a + 2 * (y * z - x * w) * b + (1 - 2 * x * x - 2 * y * y) * c,
    ]
    return _angles(aca_misalign @ np.array(body))


def fid_angles(
    drift: tuple[_Floats, _Floats, _Floats], misalign: _Floats, place: _Floats, focal_length: float
) -> tuple[_Floats, _Floats]:
    """
    The y and z angles (arcsec) at which the ACA should see a fid light.

    `drift` is dy, dz (mm) and dtheta (degrees) of the aspect solution, `misalign` leads from the focal plane's axes to
    those of the ACA (``aca_misalign @ fts_misalign``), `place` (mm) is the light in the focal plane's axes, and
    `focal_length` (mm) the distance from the ACA to the focal plane.

    >>> still = (np.zeros(1), np.zeros(1), np.zeros(1))
    >>> [angle.round(3) + 0 for angle in fid_angles(still, np.eye(3), np.array([0, -10.0, 0]), 10000.0)]
    [array([206.265]), array([0.])]
    """
    dy, dz, dtheta = drift
    x, y, z = place
    angle = D2R * dtheta
    s, c = np.sin(angle), np.cos(angle)
    # The mirrored light is seen in the direction from the light to the ACA.
    return _angles(misalign @ -np.array([np.full_like(dy, x - focal_length), c * y + s * z + dy, c * z - s * y + dz]))


def _angles(vectors: _Floats) -> tuple[_Floats, _Floats]:
    """The y and z angles (arcsec) of vectors (3, n)."""
    x, y, z = vectors
    return R2A * np.arctan2(y, x), R2A * np.arctan2(z, x)


def distance(y1: _Floats, z1: _Floats, y2: _Floats, z2: _Floats) -> _Floats:
    """The distance on the sphere (all arcsec), by haversines, which are exact for small distances."""
    a, b, c, d = (angle / R2A for angle in (y1, z1, y2, z2))
    with np.errstate(invalid="ignore"):  # an angle may be infinite
        haversine = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    return np.asarray(2 * R2A * np.arcsin(np.sqrt(haversine)))


def magnitudes(counts: _Floats, seconds: float) -> np.ma.MaskedArray[Any, np.dtype[Any]]:
    """Magnitudes of images from their electrons per integration, smoothed, and masked where there are too few."""
    enough = (counts > _LEAST_COUNTS) & np.isfinite(counts)
    found = np.full(len(counts), np.nan)
    found[enough] = running_median(10.32 - 2.5 * np.log10(counts[enough] / seconds / _ELECTRONS), 3)
    return np.ma.MaskedArray(found, ~enough)
