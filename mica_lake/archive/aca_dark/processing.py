"""
Processing of a dark current calibration: from raw replicas to an image and its properties.

Each replica reads the CCD twice, with a short and a long integration. The median over the replicas of each, and the
difference of the two, leaves the dark current.
"""

import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.archive.aca_dark.replicas import Event, day_of, event_in, event_of, id_of, temperature
from mica_lake.errors import BadFile, MissingDataError
from mica_lake.formats.dark_tables import read_pointing, read_telemetry
from mica_lake.formats.replica import LONG, SHORT, SIDE, HalfRows, ReplicaFile, read_replica, replica_file
from mica_lake.store.disk import Disk
from mica_lake.times import cxcsec, utc

__all__ = ["Calibration", "process"]

#: Electrons in a DN.
GAIN = 5.0
#: How many replicas a calibration usually has.
USUAL = 5
# Until then all replicas came down.
_DOWNLINKED = cxcsec("2001:080")
# So many rows of all replicas are in memory at once.
_BAND = 64


@dataclass(frozen=True)
class Calibration:
    """
    A processed calibration.

    Attributes
    ----------
    image : numpy.ndarray of float32, shape (1024, 1024)
        Dark current in e-/s, ``[row + 512, column + 512]``; NaN where a pixel was never read.
    properties : dict
        What ``properties.json`` has.
    missing_replicas : list of int
        The replicas of which there is no file.
    missing_half_rows : dict of int to int
        Replica -> how many of its 4096 half rows are in none of its files.
    """

    image: NDArray[np.float32]
    properties: dict[str, Any]
    missing_replicas: list[int]
    missing_half_rows: dict[int, int]

    @property
    def dark_id(self) -> str:
        """The calibration: year and day of year."""
        return str(self.properties["id"])

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """
        Write ``image.fits`` and ``properties.json``; the same calibration gives the same bytes.

        Parameters
        ----------
        folder : path
            Where the folder `dark_id` of the calibration is, or is made. Each file appears when it is whole.

        Returns
        -------
        pathlib.Path
            The folder of the calibration.

        Examples
        --------
        See `process`.
        """
        header = fits.Header([("BUNIT", "e-/s", "dark current")])
        image = io.BytesIO()
        fits.PrimaryHDU(self.image, header).writeto(image)
        properties = json.dumps(self.properties, indent=4, sort_keys=True, allow_nan=False)
        place = Path(folder, self.dark_id)
        Disk().put(place / "image.fits", image.getvalue())
        Disk().put(place / "properties.json", properties.encode())
        return place


def process(
    replicas: Iterable[str | os.PathLike[str]],
    *,
    telemetry: str | os.PathLike[str] | None = None,
    zodi: str | os.PathLike[str] | None = None,
    data_root: str | os.PathLike[str] | None = None,
) -> Calibration:
    """
    Process the raw replicas of a calibration.

    Parameters
    ----------
    replicas : iterable of path
        The files, ``YYYY_DDD_VC2_Replica<N>_SFDU_<n>-L0.fits``, in any order. Replicas and half rows that are missing
        are left out.
    telemetry : path, optional
        A CSV file with columns time, CIUMACAC and AACCCDPT, see `mica_lake.formats.dark_tables.read_telemetry`: when
        CIUMACAC was ON says when the replicas were taken; otherwise TSTART and TSTOP in their headers do. AACCCDPT
        gives the temperature where the lake's table `hdr3` does not.
    zodi : path, optional
        A CSV file with the pointing by date, see `mica_lake.formats.dark_tables.read_pointing`; without it, the
        properties do not say where the camera pointed.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default. It is needed if there is no `telemetry`.

    Returns
    -------
    Calibration
        Image and properties, not written yet.

    Raises
    ------
    ValueError
        If there are no files, or one of them is not what it should be; the message names it.
    MissingDataError
        If it is not known when a replica was taken or how warm the CCD was, or `zodi` lacks the day.
    LakeError
        If the lake is needed, and there is none.

    Examples
    --------
    >>> from mica_lake.simulate.dark_replicas import write_replicas
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> raw = write_replicas(folder, "2022069")
    >>> calibration = process(raw.files, telemetry=raw.telemetry, zodi=raw.zodi)
    >>> calibration.dark_id, calibration.missing_replicas, calibration.image.shape
    ('2022069', [], (1024, 1024))
    >>> bool(abs(np.median(calibration.image - raw.truth)) < 0.5)
    True
    >>> sorted(path.name for path in calibration.write(folder).iterdir())
    ['image.fits', 'properties.json']
    """
    files = sorted({replica_file(path) for path in replicas}, key=lambda file: (file.replica, file.part, file.path))
    if not files:
        raise ValueError("there are no replicas: give their files, YYYY_DDD_VC2_Replica<N>_SFDU_<n>-L0.fits")
    day = day_of([file.day for file in files])
    with TemporaryFile() as scratch:
        frames = _Frames(scratch)
        for replica, parts in groupby(files, lambda file: file.replica):
            frames.add(replica, list(parts))
        values = read_telemetry(telemetry) if telemetry is not None else None
        if values is not None and len(values.dumping):
            event = event_in(values, day)
            expected = list(event.replicas)
        else:
            event = event_of(_of_headers(frames, files), day)
            expected = list(range(1, max(USUAL, *frames.missing) + 1))
        _check_known(files, event)
        described = []
        for replica, (start, stop) in event.replicas.items():
            celsius, source = temperature(start, stop, data_root, values)
            here = replica in frames.missing or event.start < _DOWNLINKED
            described.append(
                {
                    "ccd_temp": celsius,
                    "ccd_temp_source": source,
                    "count": replica,
                    "downlink": here,
                    "start": utc(start),
                    "stop": utc(stop),
                }
            )
        properties = _properties(event, described, zodi)
        absent = [replica for replica in expected if replica not in frames.missing]
        return Calibration(frames.dark_current(), properties, absent, frames.missing)


def _properties(event: Event, replicas: list[dict[str, Any]], zodi: str | os.PathLike[str] | None) -> dict[str, Any]:
    """The properties of a calibration."""
    dark_id = id_of(event.start)
    date = f"{dark_id[:4]}:{dark_id[4:]}"
    properties = {
        "ccd_temp": float(np.mean([replica["ccd_temp"] for replica in replicas])),
        "date": date,
        "dur": round(event.stop - event.start, 3),
        "id": dark_id,
        "replicas": replicas,
        "start": utc(event.start),
        "stop": utc(event.stop),
    }
    return properties | (read_pointing(zodi, date) if zodi is not None else {})


def _of_headers(frames: "_Frames", files: Sequence[ReplicaFile]) -> dict[int, tuple[float, float]]:
    """The times of the replicas by the headers of their files."""
    without = sorted(set(frames.missing) - set(frames.intervals))
    if without:
        path = next(file.path for file in files if file.replica == without[0])
        raise MissingDataError(
            f"{path}: its header lacks TSTART and TSTOP, so that the time of replica {without[0]} is not known: give"
            " --temps with a file that has CIUMACAC"
        )
    return frames.intervals


def _check_known(files: Sequence[ReplicaFile], event: Event) -> None:
    """Refuse replicas that, by the telemetry, were not taken."""
    for file in files:
        if file.replica not in event.replicas:
            raise BadFile(
                f"{file.path}: it is replica {file.replica}, but the calibration of {utc(event.start)} has"
                f" {len(event.replicas)} by CIUMACAC: are other files meant, or another --temps?"
            )


class _Frames:
    """The frames of all replicas, in a file: for each replica the short and the long one, NaN where it was not read."""

    def __init__(self, scratch: IO[bytes]) -> None:
        self._scratch = scratch
        self._integ: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
        self.missing: dict[int, int] = {}
        self.intervals: dict[int, tuple[float, float]] = {}

    def add(self, replica: int, files: Sequence[ReplicaFile]) -> None:
        """Add a replica, of one file or several."""
        frames = np.full((2, SIDE, 2, SIDE // 2), np.nan, dtype=np.float32)
        there = np.zeros(frames.shape[:3], dtype=bool)
        intervals = []
        for file in files:
            half_rows = read_replica(file)
            _place(frames, there, half_rows, file)
            for long, integ in enumerate(self._integ):
                integ.append(half_rows.integ[half_rows.long == bool(long)])
            intervals += [half_rows.interval] if half_rows.interval is not None else []
        if len(intervals) == len(files):
            starts, stops = zip(*intervals, strict=True)
            self.intervals[replica] = min(starts), max(stops)
        self.missing[replica] = int(there.size - there.sum())
        self._scratch.write(frames.tobytes())

    def dark_current(self) -> NDArray[np.float32]:
        """The dark current (e-/s): of the two medians over the replicas, the difference by that of the integrations."""
        integ = []
        for parts, about in zip(self._integ, (SHORT, LONG), strict=True):
            if not any(map(len, parts)):
                raise BadFile(f"no replica has half rows of about {about:g} s: both integrations are needed")
            integ.append(float(np.median(np.concatenate(parts))))
        image = np.empty((SIDE, SIDE), dtype=np.float32)
        for row in range(0, SIDE, _BAND):
            medians = [_median(self._band(frame, row)) for frame in (0, 1)]
            image[row : row + _BAND] = GAIN * (medians[1] - medians[0]) / (integ[1] - integ[0])
        return image

    def _band(self, frame: int, row: int) -> NDArray[np.float32]:
        """Some rows of the short or the long frames of all replicas."""
        bands = []
        for n in range(len(self.missing)):
            self._scratch.seek((((2 * n + frame) * SIDE) + row) * SIDE * 4)
            bands.append(np.frombuffer(self._scratch.read(_BAND * SIDE * 4), np.float32).reshape(_BAND, SIDE))
        return np.array(bands)


def _place(frames: NDArray[np.float32], there: NDArray[np.bool_], half_rows: HalfRows, file: ReplicaFile) -> None:
    """Put half rows into the frames of a replica; one that is there twice must be the same."""
    keys = zip(half_rows.long.astype(int), half_rows.row + SIDE // 2, (~half_rows.negative).astype(int), strict=True)
    for n, key in enumerate(keys):
        if there[key] and not np.array_equal(frames[key], half_rows.pixels[n]):
            raise BadFile(
                f"{file.path}: its half row {n + 1}, of CCD row {half_rows.row[n]} with {half_rows.integ[n]:g} s, is in"
                f" replica {file.replica} twice with different pixels"
            )
        frames[key] = half_rows.pixels[n]
        there[key] = True


def _median(stack: NDArray[np.float32]) -> NDArray[np.float64]:
    """The median over the first axis of what is not NaN."""
    ordered = np.sort(stack, axis=0)  # NaN comes last
    count = (~np.isnan(ordered)).sum(axis=0)
    low, high = (
        np.take_along_axis(ordered, at[np.newaxis], axis=0)[0].astype(np.float64)
        for at in (np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(ordered) - 1))
    )
    median: NDArray[np.float64] = (low + high) / 2
    return median
