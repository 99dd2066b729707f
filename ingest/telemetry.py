"""
Where telemetry comes from: a cheta archive, cheta itself, or a folder of Parquet.

Each answers ``fetch(msid, start, stop)`` with times, values, and which are bad.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mica_lake.formats.hdf5 import h5py_module
from mica_lake.gathering.telemetry import EXTRAS, SHAPES, TEMPERATURE, NotGathered, msids

#: What is said instead of a folder to have cheta find the telemetry.
CHETA = "cheta"
_Fetched = tuple[NDArray[np.float64], NDArray[Any], NDArray[np.bool_]]
# The temperature before the maneuver ends and after the observation counts, too.
_AROUND = 300.0


class Source(Protocol):
    """Telemetry by MSID and time."""

    def fetch(self, msid: str, start: float, stop: float) -> _Fetched:
        """
        Samples of an MSID with start <= time < stop.

        Parameters
        ----------
        msid : str
            Its name, in capitals.
        start, stop : float
            CXC seconds.

        Returns
        -------
        times, values, bad : numpy.ndarray
            In the order in which they are stored.

        Raises
        ------
        NotGathered
            If there is no such MSID, or its samples cannot be read; the message names it.
        """


class ChetaArchive:
    """
    The files of a cheta archive: a folder for each content, with an HDF5 file for each MSID and their times in TIME.h5.

    Parameters
    ----------
    top : path
        The folder of the contents, or the one that has it as ``data``.
    """

    def __init__(self, top: Path) -> None:
        self._h5py = h5py_module()
        self._top = top / "data" if (top / "data").is_dir() else top
        self._folders: dict[str, Path] = {}
        for times in sorted(self._top.glob("*/TIME.h5")):
            for path in times.parent.glob("*.h5"):
                self._folders.setdefault(path.stem, times.parent)
        self._open: dict[Path, Any] = {}
        # Of each folder the interval last asked for, the places of its samples, and their times.
        self._last: dict[Path, tuple[tuple[float, float], slice, NDArray[np.float64]]] = {}

    def fetch(self, msid: str, start: float, stop: float) -> _Fetched:
        """As `Source.fetch`."""
        folder = self._folders.get(msid)
        if folder is None:
            raise NotGathered(f"{self._top} has no {msid}.h5 in any of its folders")
        path = folder / f"{msid}.h5"
        try:
            times, samples = self._node(folder / "TIME.h5", "data"), self._node(path, "data")
            quality = self._node(path, "quality")
            for node, what in ((samples, "values"), (quality, "qualities")):
                if node.shape != times.shape:
                    raise NotGathered(f"{path} has {len(node)} {what}, and TIME.h5 beside it has {len(times)} times")
            if folder not in self._last or self._last[folder][0] != (start, stop):
                places = slice(_place(times, start), _place(times, stop))
                self._last[folder] = (start, stop), places, times[places]
            _, places, found = self._last[folder]
            return found, samples[places], quality[places].astype(bool)
        except (OSError, KeyError, RuntimeError) as error:
            raise NotGathered(f"{path} cannot be read: {error}") from None

    def _node(self, path: Path, name: str) -> Any:
        if path not in self._open:
            self._open[path] = self._h5py.File(path, "r")
        return self._open[path][name]


def _place(times: Any, time: float) -> int:
    """Where in a dataset of times, too long to be read whole, those from a time on begin."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if times[middle] < time else (low, middle)
    return low


class Cheta:
    """What the package cheta answers, from wherever it has telemetry."""

    def __init__(self) -> None:
        try:
            from cheta import fetch
        except ImportError:
            raise ImportError("the package cheta is not installed: name a folder of telemetry") from None
        self._fetch = fetch

    def fetch(self, msid: str, start: float, stop: float) -> _Fetched:
        """As `Source.fetch`."""
        try:
            found = self._fetch.MSID(msid, start, stop)
        except ValueError as error:
            raise NotGathered(f"cheta has no {msid}: {error}") from None
        bad = np.zeros(len(found.times), bool) if found.bads is None else found.bads
        return found.times, found.vals, bad


class ParquetFolder:
    """
    A folder of Parquet: ``MSID.parquet``, or a folder ``MSID`` of several, with columns time, value and bad.

    Parameters
    ----------
    top : path
        The folder.
    """

    def __init__(self, top: Path) -> None:
        self._top = top

    def fetch(self, msid: str, start: float, stop: float) -> _Fetched:
        """As `Source.fetch`."""
        path = next((one for one in (self._top / f"{msid}.parquet", self._top / msid) if one.exists()), None)
        if path is None:
            raise NotGathered(f"{self._top} has neither {msid}.parquet nor a folder {msid}")
        chosen = [("time", ">=", start), ("time", "<", stop)]
        try:
            rows = pq.read_table(path, columns=["time", "value", "bad"], filters=chosen)
        except (OSError, pa.ArrowException) as error:
            raise NotGathered(f"{path} cannot be read: {error}") from None
        times, values, bad = (rows.column(name).to_numpy(zero_copy_only=False) for name in ("time", "value", "bad"))
        return times, values, bad.astype(bool)


def source_of(telemetry: str) -> Source:
    """
    The source of telemetry that a person names.

    Parameters
    ----------
    telemetry : str
        A folder, or ``cheta``.

    Returns
    -------
    Source
        Where to fetch it.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it has no telemetry.
    ImportError
        If cheta, or h5py for a cheta archive, is not installed.

    Examples
    --------
    >>> source_of("/nowhere")
    Traceback (most recent call last):
        ...
    FileNotFoundError: /nowhere: there is no such folder of telemetry
    """
    if telemetry == CHETA:
        return Cheta()
    top = Path(telemetry)
    if not top.is_dir():
        raise FileNotFoundError(f"{top}: there is no such folder of telemetry")
    if any(top.glob("*/TIME.h5")) or any(top.glob("data/*/TIME.h5")):
        return ChetaArchive(top)
    if any(top.glob("*.parquet")) or any(top.glob("*/*.parquet")):
        return ParquetFolder(top)
    raise ValueError(
        f"{top} has no telemetry: neither a cheta archive (CONTENT/TIME.h5 and CONTENT/MSID.h5) "
        "nor Parquet (MSID.parquet)"
    )


def telemetry_from(source: Source, start: float, stop: float) -> dict[str, NDArray[Any]]:
    """
    All telemetry that statistics are computed from, at the times of AOACASEQ and in order of time.

    A sample is bad where any MSID is. AACCCDPT is empty if the source does not have it.
    """
    times, _, bad = source.fetch("AOACASEQ", start, stop)
    if not len(times):
        raise NotGathered("AOACASEQ has no sample in the time of the observation")
    order = np.argsort(times, kind="stable")
    times, bad = times[order], bad[order].copy()
    found: dict[str, NDArray[Any]] = {"TIME": times}
    for name, shape in SHAPES.items():
        if name not in ("TIME", "bad"):
            columns = [_at(source, msid, start, stop, times, bad) for msid in msids(name)]
            found[name] = np.stack(columns, axis=1) if shape else columns[0]
    for msid in EXTRAS:
        _at(source, msid, start, stop, times, bad)
    return found | {"bad": bad} | _temperature(source, start - _AROUND, stop + _AROUND)


def _at(
    source: Source, msid: str, start: float, stop: float, times: NDArray[np.float64], bad: NDArray[np.bool_]
) -> NDArray[Any]:
    """The values of an MSID at these times, or nearest to them; where they are bad is added to `bad`."""
    theirs, values, theirs_bad = source.fetch(msid, start, stop)
    if not np.array_equal(theirs, times):
        if not len(theirs):
            raise NotGathered(f"{msid} has no sample in the time of the observation")
        order = np.argsort(theirs, kind="stable")
        theirs, values, theirs_bad = theirs[order], values[order], theirs_bad[order]
        middles = (theirs[1:] + theirs[:-1]) / 2
        nearest = np.searchsorted(middles, times)
        values, theirs_bad = values[nearest], theirs_bad[nearest]
    bad |= theirs_bad
    return values


def _temperature(source: Source, start: float, stop: float) -> dict[str, NDArray[Any]]:
    try:
        times, celsius, bad = source.fetch(TEMPERATURE[0], start, stop)
    except NotGathered:
        times, celsius, bad = np.empty(0), np.empty(0), np.empty(0, bool)
    return {"AACCCDPT": celsius, "AACCCDPT_TIME": times, "AACCCDPT_bad": bad}


def between(telemetry: Mapping[str, NDArray[Any]], start: float, stop: float) -> dict[str, NDArray[Any]]:
    """The part of some telemetry from a start to before a stop."""
    return dict(_cut(telemetry, start, stop))


def _cut(telemetry: Mapping[str, NDArray[Any]], start: float, stop: float) -> Iterator[tuple[str, NDArray[Any]]]:
    first, last = np.searchsorted(telemetry["TIME"], [start, stop])
    ccd = telemetry["AACCCDPT_TIME"]
    near = (ccd >= start - _AROUND) & (ccd < stop + _AROUND)
    for name, values in telemetry.items():
        yield name, values[near] if name.startswith(TEMPERATURE[0]) else values[first:last]
