"""Where the simulated spacecraft points, what it tracks, and where the camera sees it.

Attitudes dither, and the SIM drifts, as functions of time; stars and fid lights are those of the simulated telemetry.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.simulate.dwells import Dwell, dwells, generator
from mica_lake.simulate.observations import Observation

Floats = NDArray[np.float64]

_ARCSEC = math.radians(1 / 3600)
# Arcsec per pixel; the y angle falls with the row, the z angle grows with the column.
PIXEL = 4.99
# Of a 10.32 mag star, electrons per second; integration time (s).
ELECTRONS = 5263.0
INTEGRATION = 1.696

# Positions (mm) of the SIM and of its fiducials, and the distance of the focal plane's lights from the ACA.
STT = (-0.68, 0.0, -190.14)
STF = (0.0, 0.51, 237.4)
RRC = 10061.62
_LSI_X = -0.9


def multiplied(a: ArrayLike, b: ArrayLike) -> Floats:
    """The product of quaternions (x, y, z, w along the last axis)."""
    x, y, z, w = np.moveaxis(np.asarray(a), -1, 0)
    p, q, r, s = np.moveaxis(np.asarray(b), -1, 0)
    parts = [w * p + x * s + y * r - z * q, w * q - x * r + y * s + z * p]
    parts += [w * r + x * q - y * p + z * s, w * s - x * p - y * q - z * r]
    return np.stack(parts, axis=-1)


def rotation(axis: int, degrees: ArrayLike) -> Floats:
    """The quaternions of rotations about the x, y or z axis."""
    half = np.radians(degrees) / 2
    quaternion = np.zeros((*half.shape, 4))
    quaternion[..., axis], quaternion[..., 3] = np.sin(half), np.cos(half)
    return quaternion


def matrix(quaternion: ArrayLike) -> Floats:
    """The rotation matrices of quaternions; their columns are the rotated axes."""
    x, y, z, w = np.moveaxis(np.asarray(quaternion), -1, 0)
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), w * w - x * x + y * y - z * z, 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), w * w - x * x - y * y + z * z],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def direction(y_angle: float, z_angle: float) -> Floats:
    """The unit vector at these angles (arcsec)."""
    vector: Floats = np.array([1.0, math.tan(y_angle * _ARCSEC), math.tan(z_angle * _ARCSEC)])
    vector /= np.linalg.norm(vector)
    return vector


def angles_of(vectors: Floats) -> tuple[Floats, Floats]:
    """The y and z angles (arcsec) of vectors along the last axis."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.arctan2(y, x) / _ARCSEC, np.arctan2(z, x) / _ARCSEC


# How the calibration has the cameras mounted: body to ACA, and focal plane to body.
ACA_MISALIGN = matrix(multiplied(multiplied(rotation(2, 0.015), rotation(1, -0.01)), rotation(0, 0.002)))
FTS_MISALIGN = matrix(multiplied(multiplied(rotation(2, 0.006), rotation(1, 0.004)), rotation(0, -0.001)))


@dataclass(frozen=True)
class Sky:
    """What an observation points at and tracks."""

    dwell: Dwell
    attitude: Floats
    # Of each slot: mean y and z angle (arcsec) and magnitude.
    targets: list[tuple[float, float, float]]

    @classmethod
    def of(cls, observation: Observation, seed: int) -> "Sky":
        """What the telemetry of the same seed shows during the observation."""
        middle = (observation.tstart + observation.tstop) / 2
        k, dwell = max((k, dwell) for k, dwell in dwells(seed, middle, middle).items() if dwell.start <= middle)
        targets = []
        for slot in range(8):
            # Drawn as `aca_l0.readouts` draws the place and the peak (DN) of an image.
            rng = generator(seed, k, 3, slot)
            row, col = rng.uniform(-470, 470, 2)
            peak = rng.uniform(5500, 9000) if slot < 3 else 400 * 12 ** rng.beta(1.2, 2.0)
            # An image holds some 12.7 times its peak; 5 electrons are one DN.
            magnitude = 10.32 - 2.5 * math.log10(12.7 * 5 * peak / INTEGRATION / ELECTRONS)
            targets.append((-PIXEL * row, PIXEL * col, 7.0 if slot < 3 else magnitude))
        # Right ascension about z, declination about -y, roll about x.
        attitude = multiplied(rotation(2, observation.ra), rotation(1, -observation.dec))
        attitude = multiplied(attitude, rotation(0, observation.roll))
        return cls(dwell, attitude * np.copysign(1, attitude[3]), targets)

    def attitudes(self, time: Floats) -> Floats:
        """The quaternions (n, 4), dithered so that stars move as they do in the telemetry."""
        amplitude = 1.6 * PIXEL / 3600
        swing = [
            amplitude * np.sin(time * (2 * np.pi / period) + phase)
            for period, phase in zip((1000.0, 707.1), self.dwell.phase, strict=True)
        ]
        # Turning about z decreases y angles and turning about y increases z angles; rows run against y.
        return multiplied(multiplied(self.attitude, rotation(2, swing[0])), rotation(1, swing[1]))


def drift_at(time: Floats, start: float) -> tuple[Floats, Floats, Floats]:
    """How far the SIM has moved (dy and dz, mm) and turned (dtheta, degrees)."""
    ks = (time - start) / 1000
    return 0.3 + 1e-3 * np.sin(ks / 9), -0.21 - 2e-4 * ks, 0.01 + 1e-4 * ks


def fid_angles(p_lsi: Floats, dy: Floats, dz: Floats, dtheta: Floats) -> tuple[Floats, Floats]:
    """The y and z angles (arcsec) at which the ACA sees a fid light."""
    x, y, z = p_lsi + STT + STF
    s, c = np.sin(np.radians(dtheta)), np.cos(np.radians(dtheta))
    away = np.stack([np.full_like(c, RRC - x), -(c * y + s * z + dy), -(c * z - s * y + dz)], axis=-1)
    return angles_of(away @ (ACA_MISALIGN @ FTS_MISALIGN).T)


def fid_place(y_angle: float, z_angle: float, dy: float, dz: float, dtheta: float) -> Floats:
    """The position (p_lsi, mm) of the fid light seen at these angles: the inverse of `fid_angles`."""
    ray = (ACA_MISALIGN @ FTS_MISALIGN).T @ direction(y_angle, z_angle)
    _, y, z = ray * ((_LSI_X + STT[0] + STF[0] - RRC) / ray[0])
    s, c = math.sin(math.radians(dtheta)), math.cos(math.radians(dtheta))
    y, z = y - dy, z - dz
    place: Floats = np.array([_LSI_X, c * y - s * z, s * y + c * z])
    place[1:] -= np.add(STT, STF)[1:]
    return place


def pointing_of(quaternions: Floats) -> dict[str, Floats]:
    """Right ascension, declination and roll (degrees) of attitudes."""
    axes = matrix(quaternions)
    return {
        "ra": np.degrees(np.arctan2(axes[:, 1, 0], axes[:, 0, 0])) % 360,
        "dec": np.degrees(np.arcsin(axes[:, 2, 0])),
        "roll": np.degrees(np.arctan2(axes[:, 2, 1], axes[:, 2, 2])) % 360,
    }
