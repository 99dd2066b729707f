"""Simulate ACA L0 telemetry: FITS files that look like flight ones, marked as simulated in their headers.

Everything is a function of a seed and of time alone. Time is divided, for a seed, in dwells of 3 to 8 hours; a dwell
fixes the image sizes, the stars, the dither and the dark current, so that any two files of a seed fit together.
"""

import gzip
import math
import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.time import Time
from numpy.typing import ArrayLike, NDArray

__all__ = ["readouts", "times", "write_archive", "write_file"]

# The spacecraft clock of autumn 2019, used for all time: CXC seconds of VCDU count 0, and seconds per count.
_ZERO = 681530396.715541
_RATE = 0.256250015400369
# A readout's TIME is the middle of its integration, this long before the VCDU that begins its telemetry.
_LAG = 1.873
# VCDU counts between readouts, and the first count of a readout.
_STEP = {4: 4, 6: 8, 8: 16}
_PHASE = {4: 0, 6: 4, 8: 12}
_CADENCE = {4: 1.025, 6: 2.05, 8: 4.1}

# Dwells begin this far apart (s), more or less.
_SPACING = 19800.0
_SCATTER = 4500.0
# Side of the piece of CCD that a dithered star's image can see.
_PATCH = 18

_HDR3 = [f"HD3TLM{image}{word}" for image in (6, 7) for word in range(2, 8)]

# Thermistor counts at steps of 5 C, near the two temperatures of the camera.
_THERMISTOR_C = [-15.0, -10.0, -5.0, 0.0, 25.0, 30.0, 35.0, 40.0, 45.0]
_THERMISTOR_COUNTS = [14077.0, 13537.0, 12921.0, 12235.0, 8192.0, 7379.0, 6604.0, 5876.0, 5204.0]

# Comment, unit and limits of each column.
_ABOUT: dict[str, tuple[str, str, tuple[int, int] | None]] = {
    "TIME": ("time of the readout", "s", None),
    "QUALITY": ("quality of the readout: 0 good, 1 bad", "", None),
    "MJF": ("major frame counter", "", (0, 131071)),
    "MNF": ("minor frame counter", "", None),
    "END_INTEG_TIME": ("time at the end of the integration", "s", None),
    "INTEG": ("integration time", "s", None),
    "PIXTLM": ("which pixel values are telemetered", "", None),
    "BGDTYP": ("which background is subtracted", "", None),
    "GLBSTAT": ("global status bits", "", (0, 255)),
    "COMMCNT": ("command counter", "", (0, 63)),
    "COMMPROG": ("command progress", "", (0, 63)),
    "IMGSTAT": ("image status bits", "", (0, 255)),
    "IMGROW0": ("CCD row of the first pixel", "", (-511, 512)),
    "IMGCOL0": ("CCD column of the first pixel", "", (-511, 512)),
    "IMGSCALE": ("scale factor of the pixels", "", (0, 1023)),
    "BGDAVG": ("mean of the background pixels", "DN", None),
    "BGDRMS": ("scatter of the background pixels", "DN", None),
    "TEMPCCD": ("temperature 1: CCD", "K", None),
    "TEMPHOUS": ("temperature 2: camera housing", "K", None),
    "TEMPPRIM": ("temperature 3: lens cell", "K", None),
    "TEMPSEC": ("temperature 4: secondary mirror", "K", None),
    "BGDSTAT": ("background pixel status bits", "", (0, 255)),
    "IMGRAW": ("pixels of the image", "DN", None),
}
for _i in range(1, 5):
    _ABOUT[f"IMGFID{_i}"] = (f"is a fid light, header copy {_i}", "", (0, 1))
    _ABOUT[f"IMGNUM{_i}"] = (f"image slot, header copy {_i}", "", (0, 7))
    _ABOUT[f"IMGFUNC{_i}"] = (f"1 track, 3 search, header copy {_i}", "", (0, 3))
for _name in _HDR3:
    _ABOUT[_name] = (f"header 3 telemetry: image type {_name[-2]}, word {_name[-1]}", "", None)

_FORMATS = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "u2": "I", "u1": "B"}

_TABLE = """CREATE TABLE IF NOT EXISTS archfiles (
    filename text PRIMARY KEY, filetime int NOT NULL, year int NOT NULL, doy int NOT NULL,
    tstart float NOT NULL, tstop float NOT NULL, startmjf int, startmnf int, stopmjf int, stopmnf int,
    checksum text, tlmver text, ascdsver text, revision int, date text NOT NULL,
    rows int NOT NULL, imgsize int NOT NULL, slot int NOT NULL)"""


def _check(slot: int, imgsize: int) -> None:
    if slot not in range(8):
        raise ValueError(f"slot {slot!r} is not one of 0 to 7")
    if imgsize not in _STEP:
        raise ValueError(f"imgsize {imgsize!r} is not 4, 6 or 8")


def _vcdu(time: ArrayLike) -> NDArray[np.int64]:
    return np.rint((np.asarray(time) + (_LAG - _ZERO)) / _RATE).astype(np.int64)


def times(start: float, stop: float, imgsize: int, *, phase: int = 0) -> NDArray[np.float64]:
    """Give the times at which the camera reads out images of one size.

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
        `start`: every 8x8 readout coincides with a 6x6 one of the same phase. Empty where nothing falls inside.

    Raises
    ------
    ValueError
        An `imgsize` that does not exist, or a `stop` before `start`.

    Examples
    --------
    >>> from mica_lake.simulate.aca_l0 import times
    >>> [float(t) for t in times(7e8, 7e8 + 9, 8).round(3)]
    [700000001.128, 700000005.228]
    """
    _check(0, imgsize)
    if not -math.inf < start <= stop < math.inf:
        raise ValueError(f"stop {stop!r} must be a time at or after start {start!r}")
    step, begin = _STEP[imgsize], _PHASE[imgsize] + _STEP[4] * phase
    first, last = (math.floor(((t + _LAG - _ZERO) / _RATE - begin) / step) for t in (start, stop))
    # One more at each end, then an exact comparison: a bound may itself be a readout's time, give or take a rounding.
    grid = _ZERO + _RATE * (np.arange(first, last + 2, dtype=np.float64) * step + begin) - _LAG
    return grid[(grid >= start) & (grid < stop)]


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([k % 2**40 for k in key])


@dataclass(frozen=True)
class _Dwell:
    """One observation: maneuver from `start`, acquisition from `acquire`, tracking from `track` to `stop`."""

    start: float
    acquire: float
    track: float
    stop: float
    imgsize: int
    newer: tuple[bytes, bytes]
    phase: tuple[float, float]

    @classmethod
    def number(cls, seed: int, k: int) -> "_Dwell":
        start, stop = (_SPACING * i + _rng(seed, i, 0).uniform(-_SCATTER, _SCATTER) for i in (k, k + 1))
        rng = _rng(seed, k, 1)
        acquire = start + rng.choice([0.0, rng.uniform(300, 1500)], p=[0.4, 0.6])
        return cls(
            start=start,
            acquire=float(acquire),
            track=float(acquire + rng.uniform(200, 400)),
            stop=stop,
            imgsize=int(rng.choice([4, 6, 8], p=[0.15, 0.7, 0.15])),
            newer=(bytes(rng.choice([b"ORIG", b"DYNB"])), bytes(rng.choice([b"FLAT", b"DYNB"]))),
            phase=(rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)),
        )


def _dwells(seed: int, start: float, stop: float) -> list[int]:
    """Numbers of dwells that cover the interval (and perhaps one more at either end)."""
    return list(range(math.floor(start / _SPACING) - 1, math.floor(stop / _SPACING) + 2))


def _temperatures(seed: int, time: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """CCD, housing, lens cell and secondary mirror temperature (C) at each time, the same in all slots."""
    a, b, c = _rng(seed, 2).uniform(0, 2 * np.pi, 3)
    # A sine much faster than the sampling stands for noise, which all slots have to share.
    noise = np.sin(13.7 * time)
    warm = 0.3 * np.sin(time * (2 * np.pi / 260e3) + c)
    return {
        "TEMPCCD": -7.5 + 2.0 * np.sin(time * (2 * np.pi / 950e3) + a) + 0.4 * np.sin(time / 14e3 + b) + 0.05 * noise,
        "TEMPHOUS": 31.6 + warm,
        "TEMPPRIM": 31.2 + warm,
        "TEMPSEC": 30.4 + warm,
    }


def _header3(
    slot: int, time: NDArray[np.float64], vcdu: NDArray[np.int64], temps: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.uint8]:
    """Give the twelve bytes of header 3 telemetry of each readout, shape (n, 12)."""
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
    slot: int, imgsize: int, times: NDArray[np.float64], *, seed: int = 0, newer: bool = False
) -> dict[str, np.ndarray]:
    """Simulate the readouts of one slot, as the columns of a file.

    Parameters
    ----------
    slot : int
        Image slot, 0 to 7. Slots 0 to 2 follow fid lights, the others stars.
    imgsize : int
        Side of the image, 4, 6 or 8 pixels.
    times : ndarray of float64, shape (n,)
        Readout times in CXC seconds, as `times` gives them.
    seed : int
        The answer depends on the seed and the other arguments, on nothing else.
    newer : bool
        With the columns PIXTLM and BGDTYP ('S4'), as files since 2023 have.

    Returns
    -------
    dict of str to ndarray
        Columns of `n` rows in flight order, in native byte order: TIME and END_INTEG_TIME float64 (s), INTEG float32
        (s), QUALITY, MJF and MNF int32, IMGROW0 and IMGCOL0 int16, IMGSCALE, BGDAVG and BGDRMS uint16, TEMP* float32
        (K), IMGRAW float32 (n, imgsize, imgsize) (DN), the rest uint8. 6x6 has more columns than 4x4, and 8x8 more yet.
        The pixels are 10-bit integers times IMGSCALE / 32, less 50; the corners of 6x6, which the camera leaves out,
        are 0.

    Raises
    ------
    ValueError
        A slot or an image size that does not exist, or times that are not a row of finite numbers.

    Examples
    --------
    >>> from mica_lake.simulate import aca_l0
    >>> columns = aca_l0.readouts(3, 6, aca_l0.times(7e8, 7e8 + 60, 6))
    >>> columns["IMGRAW"].shape
    (29, 6, 6)
    >>> columns["IMGSCALE"].dtype
    dtype('uint16')
    """
    _check(slot, imgsize)
    time = np.array(times, dtype=np.float64)
    if time.ndim != 1 or not np.isfinite(time).all():
        raise ValueError(f"times of shape {time.shape} must be one row of finite numbers")
    n = len(time)
    vcdu = _vcdu(time)
    rng = _rng(seed, slot, imgsize, int(vcdu[0]) if n else 0, n)
    numbers = _dwells(seed, time.min(), time.max()) if n else [0]
    dwells = [_Dwell.number(seed, k) for k in numbers]
    which = np.searchsorted([d.start for d in dwells], time, side="right") - 1
    track = time >= np.array([d.track for d in dwells])[which]
    fid = slot < 3

    # What the slot looks at in each dwell: position, peak and the dark current of the pixels around it.
    sky = [_rng(seed, k, 3, slot) for k in numbers]
    centre = np.array([r.uniform(-470, 470, 2) for r in sky])
    peak = np.array([r.uniform(5500, 9000) if fid else 400 * 12 ** r.beta(1.2, 2.0) for r in sky])
    dark = np.array([r.lognormal(3.2, 0.9, (_PATCH, _PATCH)).clip(0, 600) for r in sky], dtype=np.float32)

    # Fid lights are fixed to the spacecraft: only stars move, with the dither and a little jitter.
    dither, jitter, widths = (0.0, 0.005, (0.72, 1.9)) if fid else (1.6, 0.06, (1.3, 2.4))
    corner, profiles = [], []
    for axis, period in enumerate((1000.0, 707.1)):
        phase = np.array([d.phase[axis] for d in dwells])[which]
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
    temps = _temperatures(seed, time)

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
        columns |= {name: np.array([d.newer[i] for d in dwells])[which] for i, name in enumerate(("PIXTLM", "BGDTYP"))}
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
        columns |= {name: words[:, i].copy() for i, name in enumerate(_HDR3)}
    return columns


def _card(key: str, value: object, comment: str = "") -> str:
    """One header card of 80 characters."""
    if isinstance(value, np.generic):
        value = value.item()
    if key in ("COMMENT", "HISTORY"):
        return f"{key:<8}{value}".ljust(80)[:80]
    if isinstance(value, bool):
        text = "T" if value else "F"
    elif isinstance(value, str):
        text = "'{:<8}'".format(value.replace("'", "''"))
    elif isinstance(value, int | float) and math.isfinite(value):
        text = repr(value).upper()
    else:
        raise ValueError(f"{key} {value!r} cannot stand in a FITS header: give a string, a bool or a finite number")
    if len(key) > 8 or len(text) > 70:
        raise ValueError(f"{key} {value!r} is too long for a FITS header card")
    text = f"{text:<20}" if isinstance(value, str) else f"{text:>20}"
    return f"{key:<8}= {text} / {comment}".ljust(80)[:80]


def _sum32(data: bytes) -> int:
    """Give the ones' complement sum of the FITS checksum convention."""
    total = int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _checksum(total: int) -> str:
    """Write the complement of a sum in sixteen letters and digits, as the FITS checksum convention has it."""
    columns = []
    for byte in (~total & 0xFFFFFFFF).to_bytes(4, "big"):
        quotient, remainder = divmod(byte, 4)
        four = [48 + quotient + remainder, 48 + quotient, 48 + quotient, 48 + quotient]
        for a, b in ((0, 1), (2, 3)):
            # One up, one down: the sum stays.
            while {four[a], four[b]} & set(b":;<=>?@[\\]^_`"):
                four[a] += 1
                four[b] -= 1
        columns.append(four)
    text = "".join(chr(four[j]) for j in range(4) for four in columns)
    return text[-1] + text[:-1]


_Cards = list[tuple[str, object, str]]


def _text(*lines: str) -> _Cards:
    return [("COMMENT", line, "") for line in lines]


def _title(name: str) -> _Cards:
    return _text("", f"                       / {name} block".ljust(64, "-"), "")


_BANNER = _text(
    "                              +------------------+",
    "                              |  SIMULATED FILE  |",
    "                              +------------------+",
    " *********************************************************",
    " >   Made by mica_lake.simulate: no flight data in it    <",
    " >   Laid out as an ACA level 0 file of the CXC archive  <",
    " *********************************************************",
)


def _header(cards: _Cards, overrides: Mapping[str, object], data: bytes) -> tuple[bytes, str]:
    """Give the blocks of a header, of these cards and checksums, and its CHECKSUM."""
    chosen = [(key, overrides.get(key, value), comment) for key, value, comment in cards]
    known = {key for key, _, _ in cards}
    chosen += [(key, value, "") for key, value in overrides.items() if key not in known]
    total = _sum32(data)
    lines = [_card(*card) for card in chosen if card[1] is not None]
    lines += [_card("DATASUM", str(total), "sum of the data blocks"), _card("CHECKSUM", "0" * 16, "sum of the HDU")]
    text = "".join([*lines, "END".ljust(80)])
    text = text.ljust(-(-len(text) // 2880) * 2880)
    checksum = _checksum(_sum32(text.encode("ascii") + total.to_bytes(4, "big")))
    return text.replace("'" + "0" * 16 + "'", f"'{checksum}'").encode("ascii"), checksum


def _keywords(
    time: NDArray[np.float64], imgsize: int, revision: int, overrides: Mapping[str, object]
) -> dict[str, object]:
    """Give the keywords that depend on the data: the interval, in times, dates and frames, and the versions."""
    time = time[np.isfinite(time)]
    tstart, tstop = (overrides.get(key) for key in ("TSTART", "TSTOP"))
    if len(time):
        first, last = _vcdu([time.min(), time.max()])
        tstart = _ZERO + _RATE * first if tstart is None else tstart
        tstop = _ZERO + _RATE * (last + _STEP[imgsize]) if tstop is None else tstop
    if tstart is None or tstop is None:
        raise ValueError("TIME has no finite value: give TSTART and TSTOP in header")
    start, stop = float(str(tstart)), float(str(tstop))
    begin, end = (round((t - _ZERO) / _RATE) for t in (start, stop))

    def date(seconds: float) -> str:
        return (datetime(1998, 1, 1) + timedelta(seconds=math.floor(seconds))).isoformat()

    return {
        "TSTART": start,
        "TSTOP": stop,
        "DATE": date(stop + 43200 * revision),
        "DATE-OBS": date(start),
        "DATE-END": date(stop),
        "STARTMJF": begin // 128 % 131072,
        "STARTMNF": begin % 128,
        # The last count inside the interval.
        "STOPMJF": (end - 1) // 128 % 131072,
        "STOPMNF": (end - 1) % 128,
        "TIMEDEL": _CADENCE[imgsize],
        "REVISION": revision,
        "TLMVER": "P014",
        "ASCDSVER": "10.8",
    }


def _table(columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, _Cards]:
    """Give the rows as a FITS file has them, big-endian and unsigned numbers offset, and the cards of the columns."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns of lengths {lengths} do not make a table: give at least one, all of one length")
    fields, cards = [], _text()
    for i, (name, column) in enumerate(columns.items(), 1):
        kind, width = column.dtype.str[1:], math.prod(column.shape[1:])
        if kind[0] == "S":
            form, stored = f"{width * column.dtype.itemsize}A", kind
        elif kind in _FORMATS:
            form, stored = f"{width}{_FORMATS[kind]}", ">" + kind.replace("u2", "i2")
        else:
            raise ValueError(f"column {name} of dtype {column.dtype} has no place in an ACA L0 file")
        comment, unit, limits = _ABOUT.get(name, ("", "", None))
        cards += [(f"TTYPE{i}", name, comment), (f"TFORM{i}", form, "format of the data")]
        if unit:
            cards += [(f"TUNIT{i}", unit, "unit")]
        if limits:
            cards += [(f"TLMIN{i}", limits[0], "least legal value"), (f"TLMAX{i}", limits[1], "greatest legal value")]
        if kind == "u2":
            cards += [(f"TZERO{i}", 32768, "offset of unsigned integers"), (f"TSCAL{i}", 1, "not scaled")]
        if column.ndim > 2:
            cards += [(f"TDIM{i}", f"({','.join(map(str, column.shape[:0:-1]))})", "shape of the array")]
        fields.append((name, stored, column.shape[1:]))
    table = np.empty(next(iter(lengths.values())), fields)
    for name, column in columns.items():
        table[name] = (column ^ 0x8000).view("i2") if column.dtype == np.uint16 else column
    return table, cards


def _fits_bytes(
    slot: int, columns: Mapping[str, np.ndarray], revision: int, overrides: Mapping[str, object]
) -> tuple[bytes, dict[str, object]]:
    """Give the content of a file, and its row in the table of files (less the directory)."""
    _check(slot, 8)
    columns = {name: np.atleast_1d(column) for name, column in columns.items()}
    table, formats = _table(columns)
    data = table.tobytes()
    data = data.ljust(-(-len(data) // 2880) * 2880, b"\0")
    image = columns.get("IMGRAW", np.empty(0))
    # A broken image has no size: such a file claims to be 8x8.
    imgsize = image.shape[1] if image.ndim == 3 and image.shape[1] in _STEP else 8
    time = columns.get("TIME", np.empty(0))
    time = time.astype(np.float64) if time.dtype.kind in "fiu" else np.empty(0)
    keywords = _keywords(time, imgsize, revision, overrides)

    def of(key: str, comment: str) -> tuple[str, object, str]:
        return key, keywords[key], comment

    dates: _Cards = [
        of("DATE", "derived from TSTOP, not the time of writing"),
        of("DATE-OBS", "start of the data (TT)"),
        of("DATE-END", "end of the data (TT)"),
    ]
    clock: _Cards = [
        ("TIMESYS", "TT", "time system"),
        ("MJDREF", 50814.0, "[d] MJD of time 0"),
        ("TIMEZERO", 0.0, "[s] clock correction"),
        ("TIMEUNIT", "s", "unit of time"),
        ("CLOCKAPP", True, "clock correction applied"),
    ]
    span: _Cards = [of("TSTART", "[s] start of the data"), of("TSTOP", "[s] end of the data")]
    maker: _Cards = [("ORIGIN", "SIMULATED", "not flight data"), ("CREATOR", "mica_lake.simulate", "program")]
    craft: _Cards = [
        ("MISSION", "AXAF", "mission"),
        ("TELESCOP", "CHANDRA", "telescope"),
        ("INSTRUME", "PCAD", "instrument"),
    ]

    primary: _Cards = [
        ("SIMPLE", True, "conforms to the FITS standard"),
        ("BITPIX", 8, "bits per value"),
        ("NAXIS", 0, "no data here"),
        ("EXTEND", True, "extensions follow"),
        *_BANNER,
        *_title("Observation information"),
        *craft,
        *_title("Time information"),
        *dates,
        *clock,
        *span,
        *_title("Configuration control"),
        *maker,
    ]
    extension: _Cards = [
        ("XTENSION", "BINTABLE", "binary table"),
        ("BITPIX", 8, "bits per value"),
        ("NAXIS", 2, "rows of bytes"),
        ("NAXIS1", table.dtype.itemsize, "bytes in a row"),
        ("NAXIS2", len(table), "rows"),
        ("PCOUNT", 0, "no further data"),
        ("GCOUNT", 1, "one table"),
        ("TFIELDS", len(columns), "columns"),
        ("EXTNAME", "ACA_IMG0", "whatever the slot"),
        *_BANNER,
        *_title("Configuration control"),
        *maker,
        of("ASCDSVER", "version of the processing system"),
        of("TLMVER", "version of the telemetry database"),
        of("REVISION", "revision of the file"),
        ("CONTENT", "ACAIMG", "kind of data"),
        ("HDUNAME", "ACADATA", "name of the HDU"),
        ("HDUSPEC", "ACA Level 0 Data Products ICD Version 1.0", ""),
        ("HDUDOC", "ASC-FITS-2.0", ""),
        ("HDUVERS", "1.0.0", ""),
        ("HDUCLASS", "ASC", ""),
        ("HDUCLAS1", "TEMPORALDATA", ""),
        ("HDUCLAS2", "ACADATA", ""),
        ("LONGSTRN", "OGIP 1.0", "no long strings here"),
        *_title("Time information"),
        *dates,
        *clock,
        ("BTIMNULL", _ZERO, "[s] time of VCDU count 0"),
        ("BTIMRATE", _RATE, "[s] duration of a VCDU count"),
        ("BTIMDRFT", 0.0, "[s] drift of the clock per squared count"),
        ("BTIMCORR", 0.0, "[s] correction of the rate"),
        ("TIMEREF", "LOCAL", "no path length corrections"),
        ("TASSIGN", "SATELLITE", "the spacecraft's clock"),
        ("TIERRELA", 1e-9, "stability of the clock"),
        ("TIERABSO", 5e-5, "precision of the clock"),
        ("TIMVERSN", "ASC-FITS-2.0", ""),
        *span,
        of("STARTMJF", "major frame at the start of the data"),
        of("STARTMNF", "minor frame at the start of the data"),
        ("STARTOBT", 0.0, "on-board time at the start"),
        of("STOPMJF", "major frame at the end of the data"),
        of("STOPMNF", "minor frame at the end of the data"),
        ("TIMEPIXR", 0.0, "reference of the time in its bin"),
        of("TIMEDEL", "[s] time between readouts"),
        *_title("Observation information"),
        *craft,
        ("TLM_FMT", 2, "telemetry format"),
        *_title("Column format information"),
        *formats,
        *_title("History information"),
        ("HISTORY", f"TOOL  :mica_lake.simulate.aca_l0 slot {slot}", ""),
        ("HISTORY", "Simulated: stars, temperatures and background are drawn at random.", ""),
    ]
    # Overrides of the primary header are of what it shares with the table's.
    shared = {key: value for key, value in overrides.items() if key in {card[0] for card in primary}}
    head, _ = _header(primary, shared, b"")
    middle, checksum = _header(extension, overrides, data)
    row = {key.lower(): value for key, value in keywords.items()}
    name = f"acaf{math.floor(float(str(keywords['TSTART']))):09d}N{revision:03d}_{slot}_img0.fits"
    row |= {"filename": name, "checksum": checksum, "rows": len(table), "imgsize": imgsize, "slot": slot}
    return head + middle + data, row


def _store(directory: Path, name: str, content: bytes) -> Path:
    beside = directory / f".{name}.{os.getpid()}"
    beside.write_bytes(gzip.compress(content, 6, mtime=0) if name.endswith(".gz") else content)
    return beside.replace(directory / name)


def write_file(
    directory: Path,
    slot: int,
    columns: Mapping[str, np.ndarray],
    *,
    revision: int = 1,
    compress: bool = True,
    header: Mapping[str, object] | None = None,
) -> Path:
    """Write columns as one ACA L0 FITS file.

    The file's name is made of TSTART, revision and slot. The columns may also be broken (one missing, another dtype,
    NaN in TIME, another shape of IMGRAW): they are written as they are.

    Parameters
    ----------
    directory : Path
        An existing directory. A file of the same name there is replaced.
    slot : int
        Image slot, 0 to 7.
    columns : mapping of str to ndarray
        As `readouts` gives them; uint16 is written as int16 with TZERO 32768.
    revision : int
        Revision of the file, in its name and header.
    compress : bool
        Whether to gzip the file, as flight ones are.
    header : mapping of str to str, bool, int, float or None, optional
        Keywords to set, and keywords to leave out (None), whatever the columns say. TSTART also changes the name.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        A slot that does not exist, columns of different lengths or of a dtype that a FITS table lacks, a TIME without
        finite values and no TSTART and TSTOP in `header`, or a header value that does not fit a card.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mica_lake.simulate import aca_l0
    >>> columns = aca_l0.readouts(3, 6, aca_l0.times(7e8, 7e8 + 60, 6))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     aca_l0.write_file(Path(directory), 3, columns, revision=2).name
    'acaf700000003N002_3_img0.fits.gz'
    """
    content, row = _fits_bytes(slot, columns, revision, header or {})
    return _store(Path(directory), f"{row['filename']}{'.gz' * compress}", content)


@dataclass(frozen=True)
class _File:
    """One file of an archive: all that a process needs to make it."""

    directory: Path
    ska: bool
    slot: int
    imgsize: int
    start: float
    stop: float
    seed: int
    newer: bool
    incomplete: bool = False
    revision: int = 1
    compress: bool = True
    late: float = 0.0
    current: bool = True
    phase: int = 0

    @property
    def times(self) -> NDArray[np.float64]:
        return times(self.start, self.stop, self.imgsize, phase=self.phase)

    def write(self) -> tuple[Path, dict[str, object] | None]:
        """Write the file, and give its path and, if it is current, its row in the table of files."""
        columns = readouts(self.slot, self.imgsize, self.times, seed=self.seed, newer=self.newer)
        if self.incomplete:
            for name in _HDR3:
                columns[name][-1] = 0
        tstart = _ZERO + _RATE * _vcdu(columns["TIME"][0]) + self.late
        content, row = _fits_bytes(self.slot, columns, self.revision, {"TSTART": tstart} if self.late else {})
        filetime = math.floor(tstart)
        year, doy = Time(filetime, format="cxcsec").utc.yday.split(":")[:2]
        directory = self.directory / year / doy if self.ska else self.directory
        directory.mkdir(parents=True, exist_ok=True)
        row |= {"filename": f"{row['filename']}{'.gz' * self.compress}"}
        row |= {"filetime": filetime, "year": int(year), "doy": int(doy)}
        return _store(directory, str(row["filename"]), content), row if self.current else None


def _segments(
    start: float, stop: float, seed: int, file_seconds: float, hard_cases: bool
) -> Iterator[tuple[float, float, list[int]]]:
    """Cut an interval in the files of all slots: start, stop and image size per slot."""
    phases = [(start, stop, 6)]
    if hard_cases:
        dwells = [_Dwell.number(seed, k) for k in _dwells(seed, start, stop)]
        phases = [p for d in dwells for p in ((d.acquire, d.track, 8), (d.track, d.stop, d.imgsize))]
    length = math.floor(file_seconds / (_STEP[8] * _RATE))
    for begin, end, imgsize in phases:
        # On the grid of 8x8, so that all slots start together, and each file ends where the next begins.
        edges = times(max(start, begin), max(start, begin, min(stop, end)), 8)[::length]
        final = min(stop, float(times(end, end + 5, 8)[0]))
        for a, b in pairwise([*edges.tolist(), final]):
            yield a, b, [8] * 3 + [imgsize] * 5


def _plan(
    directory: Path,
    start: float,
    stop: float,
    seed: int,
    slots: Sequence[int],
    file_seconds: float,
    newer: bool,
    hard_cases: bool,
    in_phase: bool,
    ska: bool,
) -> Iterator[_File]:
    """Give the files of an archive, some of which may have no readouts."""
    segments = list(_segments(start, stop, seed, file_seconds, hard_cases))
    for i, (a, b, sizes) in enumerate(segments):
        following = segments[i + 1] if i + 1 < len(segments) else (b, b, [8] * 8)
        for slot in slots:
            incomplete = sizes[slot] == 8 and (following[0] != b or following[2][slot] != 8)
            phase = 0 if in_phase else int(_rng(seed, 0, 4, slot).integers(4))
            file = _File(directory, ska, slot, sizes[slot], a, b, seed, newer, incomplete, phase=phase)
            # Another seed, so that a superseded readout can be told from a current one.
            old = replace(file, seed=seed + 2**32, current=False)
            if hard_cases and i == 0 and slot == slots[-1]:
                yield replace(file, compress=False)
            elif hard_cases and i % 8 == 1 and slot == slots[len(slots) // 2]:
                yield old
                yield replace(file, revision=2)
            elif hard_cases and i % 8 == 2 and slot == slots[len(slots) * 3 // 4]:
                yield replace(old, stop=(a + b) / 2, incomplete=False, late=1.0)
                yield replace(file, revision=2)
            else:
                yield file


def write_archive(
    root: Path,
    start: float,
    stop: float,
    *,
    seed: int = 0,
    slots: Sequence[int] = range(8),
    file_seconds: float = 6430.0,
    newer: bool = False,
    hard_cases: bool = True,
    in_phase: bool = True,
    ska: bool = False,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write the ACA L0 files of an interval.

    Parameters
    ----------
    root : Path
        Directory of the files; made if need be. With `ska`, the directory that $SKA names.
    start, stop : float
        Interval in CXC seconds.
    seed : int
        What is written depends on the seed, the interval and the other arguments, but not on `jobs`.
    slots : sequence of int
        Image slots.
    file_seconds : float
        Greatest length of a file (s). All slots are cut at the same times.
    newer : bool
        With the columns PIXTLM and BGDTYP, as files since 2023 have.
    hard_cases : bool
        With dwells that begin with a gap or none, are acquired in 8x8 and tracked in 4x4, 6x6 or 8x8 (slots 0 to 2:
        always 8x8), incomplete 8x8 headers before a gap or a change of size, one file uncompressed, and superseded
        files of revision 1 beside revision 2: some of the same interval, some that start a second later and end
        half-way. A superseded file has values of its own. Without: revision 1 only, slots 0 to 2 always 8x8, the
        others 6x6, no gap.
    in_phase : bool
        Whether all slots are read out together. Without, each is 0 to 3 steps of 1.025 s behind, by the seed.
    ska : bool
        Lay the files out as mica does, in data/mica/archive/aca0/YYYY/DDD, and list the current ones in the table
        archfiles of archfiles.db3 (SQLite) there.
    jobs : int
        Processes to use.
    progress : callable, optional
        Called with the number of files done, after each file.

    Returns
    -------
    list of Path
        The FITS files, sorted.

    Raises
    ------
    ValueError
        A slot that does not exist or comes twice, `stop` before `start`, `file_seconds` too short for one 8x8 image,
        or `jobs` below 1.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mica_lake.simulate import aca_l0
    >>> with tempfile.TemporaryDirectory() as root:
    ...     [p.name for p in aca_l0.write_archive(Path(root), 7e8, 7e8 + 60, slots=[0, 3], hard_cases=False)]
    ['acaf700000003N001_0_img0.fits.gz', 'acaf700000003N001_3_img0.fits.gz']
    """
    for slot in slots:
        _check(slot, 8)
    if not slots or len(set(slots)) < len(slots):
        raise ValueError(f"slots {list(slots)} must be one slot or more, each once")
    if file_seconds < 5:
        raise ValueError(f"file_seconds {file_seconds!r} must be 5 or more, to hold an 8x8 readout")
    if jobs < 1:
        raise ValueError(f"jobs {jobs!r} must be 1 or more")
    times(start, stop, 8)  # Raises what it raises.
    top = Path(root) / "data/mica/archive/aca0" if ska else Path(root)
    top.mkdir(parents=True, exist_ok=True)
    files = _plan(top, start, stop, seed, slots, file_seconds, newer, hard_cases, in_phase, ska)
    plan = [file for file in files if len(file.times)]
    done = []
    for result in _map(plan, jobs):
        done.append(result)
        if progress is not None:
            progress(len(done))
    if ska:
        _list_files(top / "archfiles.db3", [row for _, row in done if row])
    return sorted(path for path, _ in done)


def _map(plan: Sequence[_File], jobs: int) -> Iterator[tuple[Path, dict[str, object] | None]]:
    if jobs == 1:
        yield from map(_File.write, plan)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_File.write, plan, chunksize=4)


def _list_files(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(_TABLE)
        names = [row[1] for row in db.execute("PRAGMA table_info(archfiles)")]
        marks = ", ".join(f":{name}" for name in names)
        db.executemany(f"INSERT OR REPLACE INTO archfiles VALUES ({marks})", rows)
