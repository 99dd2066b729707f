"""Acquisition statistics: from ``acq_stats.h5`` to table `acq_stats`."""

import os

from rich.console import Console

from mica_lake.ingest import stat_table
from mica_lake.ingest.report import Report
from mica_lake.tables.acq_stats import ACQ_STATS


def ingest(
    source: str | os.PathLike[str],
    lake: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    reread: bool = False,
    console: Console | None = None,
) -> Report:
    """
    Take the acquisition statistics into a lake, which is made where there is none.

    Parameters
    ----------
    source : path
        A ``$SKA`` root, the folder ``acq_stats``, or the HDF5 file.
    lake, jobs, dry_run, reread, console
        As of `mica_lake.ingest.stat_table.ingest`.

    Returns
    -------
    Report
        What was done.

    Raises
    ------
    LakeError, FileNotFoundError, ImportError
        As of `mica_lake.ingest.stat_table.ingest`.

    Examples
    --------
    >>> from mica_lake.simulate import stats
    >>> from mica_lake.simulate.observations import observations
    >>> tmp = getfixture("tmp_path")
    >>> paths = stats.write_archive(tmp / "ska", observations(7e8, 7e8 + 60000))
    >>> report = ingest(tmp / "ska", tmp / "lake", jobs=1)
    >>> report.taken, report.rows
    (['acq_stats/acq_stats.h5'], 32)
    """
    return stat_table.ingest(ACQ_STATS, source, lake, jobs=jobs, dry_run=dry_run, reread=reread, console=console)
