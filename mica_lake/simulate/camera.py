"""Simulate what the aspect camera sees: when it reads out images, and all that its telemetry says of each.

Stars, fid lights, dither, dark current and temperatures are functions of a seed and of time alone, so that any two
answers for the same seed fit together.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.simulate.dwells import dwells, generator, temperatures

# The spacecraft clock of autumn 2019, used for all time: CXC seconds of VCDU count 0, and seconds per count.
ZERO = 681530396.715541
RATE = 0.256250015400369
# A readout's TIME is the middle of its integration, this long before the VCDU that begins its telemetry.
_LAG = 1.873
# VCDU counts between readouts, and the first count of a readout.
STEP = {4: 4, 6: 8, 8: 16}
_PHASE = {4: 0, 6: 4, 8: 12}

# Side of the piece of CCD that the image of a dithered star can cover.
_PATCH = 18

HDR3 = [f"HD3TLM{image}{word}" for image in (6, 7) for word in range(2, 8)]

# Thermistor counts at steps of 5 C, near the two temperatures of the camera.
_THERMISTOR_C = [-15.0, -10.0, -5.0, 0.0, 25.0, 30.0, 35.0, 40.0, 45.0]
_THERMISTOR_COUNTS = [14077.0, 13537.0, 12921.0, 12235.0, 8192.0, 7379.0, 6604.0, 5876.0, 5204.0]


def check(slot: int, imgsize: int) -> None:
    """Refuse a slot or an image size that does not exist."""
    if slot not in range(8):
        raise ValueError(f"slot {slot!r} is not one of 0 to 7")
    if imgsize not in STEP:
        raise ValueError(f"imgsize {imgsize!r} is not 4, 6 or 8")


def vcdu_of(time: ArrayLike) -> NDArray[np.int64]:
    """VCDU counts that begin the telemetry of readouts at these times."""
    return np.rint((np.asarray(time) + (_LAG - ZERO)) / RATE).astype(np.int64)


def times(start: float, stop: float, imgsize: int, *, phase: int = 0) -> NDArray[np.float64]:
    """Times at which the camera reads out images of one size.

    Parameters
    ----------
    start, stop : float
        Interval in CXC seconds; `start` is inside, `stop` is not.
    imgsize : int
        4, 6 or 8.
    phase : int
        How many steps of 1.025 s the slot's readouts come after those of phase 0.

    Returns
    -------
    ndarray of float64, shape (n,)
        Readout times (column TIME) in CXC seconds, 1.025, 2.05 or 4.1 s apart. They lie on the clock's grid, whatever
        `start` is: every 8x8 readout coincides with a 6x6 one of the same phase. Empty if none falls inside.

    Raises
    ------
    ValueError
        If there is no such image size, or `stop` is before `start`.

    Examples
    --------
    >>> from mica_lake.simulate.aca_l0 import times
    >>> [float(t) for t in times(7e8, 7e8 + 9, 8).round(3)]
    [700000001.128, 700000005.228]
    """
    check(0, imgsize)
    if not -math.inf < start <= stop < math.inf:
        raise ValueError(f"stop {stop!r} must be a time at or after start {start!r}")
    step, begin = STEP[imgsize], _PHASE[imgsize] + STEP[4] * phase
    first, last = (math.floor(((t + _LAG - ZERO) / RATE - begin) / step) for t in (start, stop))
    # One more at each end, then an exact comparison: a bound may be a readout's time, give or take rounding.
    grid = ZERO + RATE * (np.arange(first, last + 2, dtype=np.float64) * step + begin) - _LAG
    return grid[(grid >= start) & (grid < stop)]


def _header3(
    slot: int, time: NDArray[np.float64], vcdu: NDArray[np.int64], temps: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.uint8]:
    """The twelve bytes of header 3 telemetry of each readout, shape (n, 12)."""
    ccd, house, lens, mirror = (temps[name] for name in ("TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC"))
    wobble = 2.5 * np.sin(time / 1900 + slot)
    # Offset of each CCD quadrant, in offset binary with 16 bits of fraction; slots 3 to 5 have it with and without.
    offsets = [((2**15 + 250 + 9 * q + 2.5 * np.sin(time / 1900 + q)) * 2**16).astype(np.int64) for q in range(4)]
    counts = [(offset + 2**15) >> 16 for offset in offsets]

    def thermistor(celsius: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(celsius, _THERMISTOR_C, _THERMISTOR_COUNTS)

    words: list[ArrayLike]
    if slot == 0:
        words = [0x02B4, 0x01A4, thermistor(house + 7.3), thermistor(house + 5.7), thermistor(ccd), 16097 + wobble]
    elif slot == 1:
        words = [24223 + wobble, -24382 + wobble, 25419 + wobble, -9 + wobble]
        words += [thermistor(house + 11.2), thermistor(mirror)]
    elif slot == 2:
        words = [thermistor(t) for t in (mirror, lens + 0.3, lens + 0.1, house, house + 0.2, lens)]
    elif slot == 3:
        words = [0x1400 | vcdu // 4 & 0xFF, 128125 >> 16, 128125 & 0xFFFF, *counts[:3]]
    elif slot == 4:
        words = [counts[3], offsets[0] >> 16, offsets[0], offsets[1] >> 16, offsets[1], offsets[2] >> 16]
    elif slot == 5:
        words = [offsets[2], offsets[3] >> 16, offsets[3], 8000, 28, 9 + wobble]
    elif slot == 6:
        words = [0, 0, 0, vcdu // 16 >> 8, vcdu // 16 << 8, np.rint(ccd * 100)]
    else:
        words = [0, -2000, 0, np.rint(house * 256), 0, 480 + 20 * (ccd + 7.5)]
    whole = [np.broadcast_to(np.asarray(w).astype(np.int64), time.shape) for w in words]
    return np.stack(whole, axis=1).astype(">u2", order="C").view(np.uint8)


def readouts(
    slot: int, imgsize: int, time: NDArray[np.float64], *, seed: int = 0, newer: bool = False
) -> dict[str, np.ndarray]:
    """Simulate the readouts of one slot, as the columns of a file.

    Parameters
    ----------
    slot : int
        Image slot, 0 to 7. Slots 0 to 2 follow fid lights, the others stars.
    imgsize : int
        Side of the image, 4, 6 or 8 pixels.
    time : ndarray of float64, shape (n,)
        Readout times in CXC seconds, as `times` gives them.
    seed : int
        The answer depends only on the seed and the other arguments.
    newer : bool
        Whether to add the columns PIXTLM and BGDTYP ('S4'), as in files since 2023.

    Returns
    -------
    dict of str to ndarray
        Columns of `n` rows in flight order, in native byte order: TIME and END_INTEG_TIME float64 (s), INTEG float32
        (s), QUALITY, MJF and MNF int32, IMGROW0 and IMGCOL0 int16, IMGSCALE, BGDAVG and BGDRMS uint16, TEMP* float32
        (K), IMGRAW float32 (n, imgsize, imgsize) (DN), the rest uint8. 6x6 has more columns than 4x4, and 8x8 still
        more. Pixels are 10-bit integers times IMGSCALE / 32, minus 50; the corners of 6x6, which the camera leaves
        out, are 0.

    Raises
    ------
    ValueError
        If there is no such slot or image size, or the times are not one row of finite numbers.

    Examples
    --------
    >>> from mica_lake.simulate import aca_l0
    >>> columns = aca_l0.readouts(3, 6, aca_l0.times(7e8, 7e8 + 60, 6))
    >>> columns["IMGRAW"].shape
    (29, 6, 6)
    >>> columns["IMGSCALE"].dtype
    dtype('uint16')
    """
    check(slot, imgsize)
    time = np.array(time, dtype=np.float64)
    if time.ndim != 1 or not np.isfinite(time).all():
        raise ValueError(f"times of shape {time.shape} must be one row of finite numbers")
    n = len(time)
    vcdu = vcdu_of(time)
    rng = generator(seed, slot, imgsize, int(vcdu[0]) if n else 0, n)
    of_number = dwells(seed, time.min(), time.max()) if n else dwells(seed, 0.0, 0.0)
    covering = list(of_number.values())
    which = np.searchsorted([d.start for d in covering], time, side="right") - 1
    track = time >= np.array([d.track for d in covering])[which]
    fid = slot < 3

    # What the slot looks at in each dwell: position, peak and the dark current of the pixels around it.
    sky = [generator(seed, k, 3, slot) for k in of_number]
    centre = np.array([r.uniform(-470, 470, 2) for r in sky])
    peak = np.array([r.uniform(5500, 9000) if fid else 400 * 12 ** r.beta(1.2, 2.0) for r in sky])
    dark = np.array([r.lognormal(3.2, 0.9, (_PATCH, _PATCH)).clip(0, 600) for r in sky], dtype=np.float32)

    # Fid lights are fixed to the spacecraft: only stars move, with the dither and a little jitter.
    dither, jitter, widths = (0.0, 0.005, (0.72, 1.9)) if fid else (1.6, 0.06, (1.3, 2.4))
    corner, profiles = [], []
    for axis, period in enumerate((1000.0, 707.1)):
        phase = np.array([d.phase[axis] for d in covering])[which]
        position = centre[which, axis] + dither * np.sin(time * (2 * np.pi / period) + phase)
        corner.append(np.rint(position - imgsize / 2).astype(np.int64))
        away = np.arange(imgsize) + 0.5 - (position - corner[-1] + rng.normal(0, jitter, n))[:, None]
        profiles.append([np.exp(away**2 / (-2 * s**2)).astype(np.float32) for s in widths])
    origin = [corner[a] - np.rint(centre[which, a]).astype(np.int64) + _PATCH // 2 for a in (0, 1)]
    rows, cols = (o[:, None] + np.arange(imgsize) for o in origin)
    image = dark[which[:, None, None], rows[:, :, None], cols[:, None, :]]
    for share, y, x in zip((0.92, 0.08), *profiles, strict=True):
        image += (share * peak[which] * track).astype(np.float32)[:, None, None] * (y[:, :, None] * x[:, None, :])
    # 2.2 DN of read noise and the photon noise at 5 electrons per DN.
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.sqrt(5 + image / 5)
    scale = np.ceil((image.max(axis=(1, 2), initial=0) + 50) * 32 / 1023).clip(32, 1023)
    unit = (scale / 32).astype(np.float32)[:, None, None]
    pixels = np.rint((image + 50) / unit).clip(0, 1023) * unit - 50
    if imgsize == 6:
        pixels[:, [0, 0, 5, 5], [0, 5, 0, 5]] = 0

    # The eight background pixels: two in each corner of the 8x8 square.
    up, left = (o[:, None] - (8 - imgsize) // 2 for o in origin)
    ground = dark[which[:, None], up + np.repeat([0, 7], 4), left + np.tile([0, 1, 6, 7], 2)]
    temps = temperatures(seed, time)

    def byte(value: ArrayLike) -> NDArray[np.uint8]:
        return np.broadcast_to(np.asarray(value), n).astype(np.uint8)

    def count(value: NDArray[np.floating]) -> NDArray[np.uint16]:
        return np.rint(value + rng.normal(0, 0.6, n)).clip(0, 1023).astype(np.uint16)

    def image_header(copy: int) -> dict[str, np.ndarray]:
        values: dict[str, ArrayLike] = {"IMGFID": fid, "IMGNUM": slot, "IMGFUNC": np.where(track, 1, 3)}
        return {f"{name}{copy}": byte(value) for name, value in values.items()}

    columns: dict[str, np.ndarray] = {
        "TIME": time,
        "QUALITY": (rng.random(n) < 0.004).astype(np.int32),
        "MJF": (vcdu // 128 % 131072).astype(np.int32),
        "MNF": (vcdu % 128).astype(np.int32),
        "END_INTEG_TIME": time + 0.848,
        "INTEG": np.full(n, 1.696, np.float32),
    }
    if newer:
        chosen = np.array([d.newer for d in covering])[which]
        columns |= {"PIXTLM": chosen[:, 0], "BGDTYP": chosen[:, 1]}
    columns |= {
        "GLBSTAT": byte(0),
        "COMMCNT": byte(np.where(rng.random(n) < 0.001, 96, 0)),
        "COMMPROG": byte(0),
        **image_header(1),
        "IMGSTAT": byte(rng.choice([0, 1, 2, 16], n, p=[0.8, 0.01, 0.02, 0.17]) * (not fid)),
        "IMGROW0": corner[0].astype(np.int16),
        "IMGCOL0": corner[1].astype(np.int16),
        "IMGSCALE": scale.astype(np.uint16),
        "BGDAVG": count(ground.mean(axis=1)),
    }
    if imgsize > 4:
        columns |= image_header(2)
        columns["BGDRMS"] = count(ground.std(axis=1))
        # The camera telemeters these in steps of 0.4 C.
        columns |= {name: (np.rint(t / 0.4) * 0.4 + 273.15).astype(np.float32) for name, t in temps.items()}
        columns["BGDSTAT"] = byte(rng.choice([255, 239, 223, 127], n, p=[0.8, 0.1, 0.05, 0.05]))
    if imgsize > 6:
        columns |= image_header(3) | image_header(4)
    columns["IMGRAW"] = pixels
    if imgsize > 6:
        words = _header3(slot, time, vcdu, temps)
        columns |= {name: words[:, i].copy() for i, name in enumerate(HDR3)}
    return columns
