"""Simulate the archive's list of ACA level 0 files: those of the telemetry, and some that were never fetched."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mica_lake.products import product_named
from mica_lake.simulate.days import Days
from mica_lake.simulate.files import hdf5, write

__all__ = ["write_archive", "write_days"]


def write_archive(ska: Path, names: Sequence[str]) -> list[Path]:
    """
    Write a list of files.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    names : sequence of str
        Their names.

    Returns
    -------
    list of Path
        The file data/mica/archive/aca0/cda_aca0.h5 below it.

    Raises
    ------
    ImportError
        If h5py is not installed.

    Examples
    --------
    >>> [path.name for path in write_archive(getfixture("tmp_path"), ["acaf820454471N001_3_img0.fits.gz"])]
    ['cda_aca0.h5']
    """
    rows = np.zeros(len(names), [("filename", "S40"), ("filesize", "i8")])
    rows["filename"] = [name.encode() for name in names]
    rows["filesize"] = 1_000_000
    return [write(Path(ska) / product_named("aca0_list").folder, hdf5(rows, "data"))]


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write a list of the files of some days, and of one more of each slot, an hour before they end."""
    folder = Path(days.ska) / product_named("aca_l0").folder
    there = sorted(path.name for path in folder.rglob("acaf*.fits.gz"))
    holes = [f"acaf{round(days.stop - 3600):09d}N001_{slot}_img0.fits.gz" for slot in range(8)]
    return write_archive(days.ska, [*there, *holes])
