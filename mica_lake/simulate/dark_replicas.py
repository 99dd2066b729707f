"""Simulate the raw replicas of a dark current calibration, of which the true dark current is known."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake import times
from mica_lake.simulate.dark_cal import dark_current, mean_celsius, moment
from mica_lake.simulate.dwells import generator
from mica_lake.simulate.files import write

__all__ = ["READ_NOISE", "Replicas", "write_replicas"]

READ_NOISE = 12.0
"""Noise of reading a pixel (electrons)."""

_SIDE = 1024
_GAIN = 5.0
# A replica lasts 13 minutes, and the next one begins after 15 (s).
_ON, _EVERY = 780.0, 900.0
# The telemetry is of this time around the calibration, with a temperature each 32.8 s, in steps of 0.1 °C.
_AROUND, _SAMPLE, _STEP = 25000.0, 32.8, 0.1


@dataclass(frozen=True)
class Replicas:
    """
    Simulated replicas, and what is true of them.

    Attributes
    ----------
    files : list of Path
        The raw files, by replica.
    telemetry, zodi : Path
        Telemetry CIUMACAC and AACCCDPT, and the pointing by date, as CSV files.
    truth : numpy.ndarray of float64, shape (1024, 1024)
        The true dark current, e-/s.
    integ : tuple of float
        The two integration times (s).
    intervals : list of tuple of float
        Start and stop of each replica, CXC seconds.
    celsius : list of float
        The true temperature of the CCD in the middle of each.
    """

    files: list[Path]
    telemetry: Path
    zodi: Path
    truth: NDArray[np.float64]
    integ: tuple[float, float]
    intervals: list[tuple[float, float]]
    celsius: list[float]


def write_replicas(folder: Path, dark_id: str, *, count: int = 5, seed: int = 0) -> Replicas:
    """Write the raw replicas of a calibration.

    Parameters
    ----------
    folder : Path
        Where the files are written or replaced.
    dark_id : str
        Year and day of the year, as in '2022069'.
    count : int
        How many replicas.
    seed : int
        What is written depends only on the seed, `dark_id` and `count`.

    Returns
    -------
    Replicas
        The files, and what is true of them. Each file has a row for each half row of the CCD and integration, in the
        order in which they are read: 8 MB. The camera's memory is also read for 100 s an hour before, which is no
        replica.

    Raises
    ------
    ValueError
        If `dark_id` is not a day.

    Examples
    --------
    >>> from mica_lake.simulate.dark_replicas import write_replicas
    >>> [path.name for path in write_replicas(getfixture("tmp_path"), "2001080", count=2).files]
    ['2001_080_VC2_Replica1_SFDU_1-L0.fits', '2001_080_VC2_Replica2_SFDU_1-L0.fits']
    """
    day, year = moment(dark_id)
    rng = generator(seed, int(dark_id), 31)
    celsius = float(mean_celsius(year))
    truth = np.clip(dark_current(seed, rng, year, celsius), 0, None).astype(np.float64)
    integ = 5.0 + round(rng.uniform(0, 0.1), 3), 10.0 + round(rng.uniform(0, 0.1), 3)
    begin = round(times.day_start(day) + rng.uniform(10000, 70000), 3)
    intervals = [(begin + _EVERY * n, begin + _EVERY * n + _ON) for n in range(count)]
    name = f"{dark_id[:4]}_{dark_id[4:]}_VC2_Replica{{}}_SFDU_1-L0.fits"
    files = [
        write(folder / name.format(n), _replica(rng, truth, integ, n, interval))
        for n, interval in enumerate(intervals, 1)
    ]
    middle = begin + 1000
    curve = celsius, rng.uniform(-3e-5, 3e-5), rng.uniform(-1e-9, 1e-9)
    telemetry = write(folder / "telemetry.csv", _telemetry(intervals, middle, curve))
    zodi = write(folder / "zodi.csv", _zodi(rng, dark_id))
    warmth = [float(np.polyval(curve[::-1], (start + stop) / 2 - middle)) for start, stop in intervals]
    return Replicas(files, telemetry, zodi, truth, integ, intervals, warmth)


def _replica(
    rng: np.random.Generator,
    truth: NDArray[np.float64],
    integ: tuple[float, float],
    replica: int,
    interval: tuple[float, float],
) -> bytes:
    """A raw file: of each integration all rows, of each row the half of the negative columns, then the other."""
    frames = [
        np.rint((rng.poisson(truth * seconds) + rng.normal(0, READ_NOISE, truth.shape)) / _GAIN) for seconds in integ
    ]
    pixels = np.array(frames, dtype=np.int32).reshape(2, _SIDE, 2, _SIDE // 2)
    # The positive columns are read from the outermost inwards.
    pixels[:, :, 1] = pixels[:, :, 1, ::-1].copy()
    rows = 4 * _SIDE
    count = np.arange(rows)
    columns = {
        "TIME_ERT": ("D", 84600.0 * (1 + replica) + count),
        "REC_CTR": ("J", count),
        "ADC_BIAS": ("I", np.full(rows, 100)),
        "INTEG": ("D", np.repeat(integ, 2 * _SIDE)),
        "CALTYPE": ("I", np.ones(rows)),
        "REPLICA": ("I", np.full(rows, replica)),
        "COLNEG": ("I", 1 - count % 2),
        "ROW": ("I", np.tile(np.repeat(np.arange(-_SIDE // 2, _SIDE // 2), 2), 2)),
        "SCI_HDR_CTR": ("J", count // 8),
        "TWO_US_CLK": ("J", count * 25000),
        "PIXDATA": (f"{_SIDE // 2}J", pixels.reshape(rows, _SIDE // 2)),
    }
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, form, array=values) for name, (form, values) in columns.items()], name="ACA_DUMP"
    )
    table.header["TSTART"], table.header["TSTOP"] = interval
    table.header["ORIGIN"] = ("SIMULATED", "not flight data")
    content = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(content)
    return content.getvalue()


def _telemetry(intervals: list[tuple[float, float]], middle: float, curve: tuple[float, float, float]) -> bytes:
    """CIUMACAC where it changes, and the temperature, which follows a parabola."""
    begin, end = intervals[0][0], intervals[-1][1]
    rows: list[tuple[float, str, str]] = [(begin - _AROUND, "OFF", "")]
    for start, stop in [(begin - 3600, begin - 3500), *intervals]:
        rows += [(start, "ON", ""), (stop, "OFF", "")]
    for time in np.arange(begin - _AROUND, end + _AROUND, _SAMPLE).tolist():
        celsius = round(float(np.polyval(curve[::-1], time - middle)) / _STEP) * _STEP
        rows.append((round(time, 3), "", f"{celsius:.1f}"))
    return _csv(["time", "CIUMACAC", "AACCCDPT"], sorted(rows))


def _zodi(rng: np.random.Generator, dark_id: str) -> bytes:
    """The pointing on the day of the calibration, and on the first of the year."""
    rows = [
        [
            f"{dark_id[:4]}:{day}",
            *(
                round(rng.uniform(low, high), 2)
                for low, high in ((0, 360), (-70, 70), (0, 360), (-60, 60), (0, 360), (22, 60))
            ),
        ]
        for day in dict.fromkeys(("001", dark_id[4:]))
    ]
    return _csv(["date", "ra", "dec", "el", "eb", "sun_el", "zodib"], rows)


def _csv(names: list[str], rows: list[tuple[float, str, str]] | list[list[object]]) -> bytes:
    """A CSV file."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return content.getvalue().encode()
