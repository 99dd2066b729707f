"""Simulate the observing catalog: a target for each observation."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from mica_lake.products import product_named
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import generator
from mica_lake.simulate.files import hdf5, write
from mica_lake.simulate.observations import Observation
from mica_lake.times import utc

__all__ = ["write_archive", "write_days"]


def write_archive(ska: Path, observations: Sequence[Observation], *, seed: int = 0) -> list[Path]:
    """
    Write the observing catalog of some observations.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    observations : sequence of Observation
        The observations.
    seed : int
        What is drawn for an observation depends only on it and on the seed.

    Returns
    -------
    list of Path
        The file data/mica/archive/ocat_target_table.h5 below it, with a target for each.

    Raises
    ------
    ImportError
        If h5py is not installed.

    Examples
    --------
    >>> from mica_lake.simulate.observations import observations
    >>> [path.name for path in write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 20000))]
    ['ocat_target_table.h5']
    """
    drawn = [generator(seed, one.obsid, 31) for one in observations]
    rates = np.array([rng.uniform(0, 50) for rng in drawn])
    known = np.array([rng.random() < 0.6 for rng in drawn], bool)
    instruments = [_instrument(one.detector) for one in observations]
    columns = {
        "obsid": np.array([one.obsid for one in observations], np.int64),
        "status": np.array([b"archived"] * len(observations), "S11"),
        "target_name": np.array([f"Target {one.obsid}".encode() for one in observations], "S32"),
        "instr": np.array(instruments, "S6"),
        "start_date": np.array([_date(one.tstart) for one in observations], "S19"),
        "exp_time": np.array([round((one.tstop - one.tstart) / 1000, 2) for one in observations]),
        "ra": np.array([one.ra for one in observations]),
        "dec": np.array([one.dec for one in observations]),
        # A number that is not known is 0, and masked.
        "count_rate": np.where(known, rates, 0.0),
        "count_rate.mask": ~known,
    }
    rows = np.empty(len(observations), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    described = [f"- {{name: {name}, datatype: {_kind(values.dtype)}}}" for name, values in columns.items()]
    described[list(columns).index("exp_time")] = "- {name: exp_time, unit: ks, datatype: float64}"
    beside = "data.__table_column_meta__", np.array(["datatype:", *described], "S")
    return [write(Path(ska) / product_named("ocat").folder, hdf5(rows, "data", beside))]


def _instrument(detector: str) -> str:
    return ("ACIS-S" if "7" in detector else "ACIS-I") if detector.startswith("ACIS") else detector


def _kind(dtype: np.dtype[np.generic]) -> str:
    return "string" if dtype.kind == "S" else dtype.name


def _date(secs: float) -> str:
    """A date as the catalog writes it: year, month and day, to a second."""
    return datetime.strptime(utc(secs)[:17], "%Y:%j:%H:%M:%S").strftime("%Y-%m-%d %H:%M:%S")


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the observing catalog of the observations of some days."""
    return write_archive(days.ska, days.observations)
