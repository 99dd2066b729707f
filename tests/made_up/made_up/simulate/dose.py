"""A simulator of dose files."""

import json
from collections.abc import Callable
from pathlib import Path

from mica_lake.simulate.days import Days


def write_archive(ska: Path, start: float, days: int) -> list[Path]:
    """
    Write two files a day.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    start : float
        The first time, CXC seconds.
    days : int
        How many days.

    Returns
    -------
    list of Path
        The files.
    """
    folder = ska / "data" / "dose"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n in range(2 * days):
        path = folder / f"dose_{n:04d}.json"
        path.write_text(json.dumps({"time": start + 43200.0 * n, "dose": 0.25 * n}))
        paths.append(path)
    return paths


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the files of some days."""
    return write_archive(days.ska, days.start, round((days.stop - days.start) / 86400))
