"""Simulate V&V products: the report of each revision with aspect products, and the table of all residuals.

They are computed from the simulated aspect products; the residuals are the noise of the centroids in these.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mica_lake.simulate.asp_l1 import processing
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import temperatures
from mica_lake.simulate.files import each, hdf5, write
from mica_lake.simulate.observations import Observation, link_revisions, revision_folder
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.vv.obi import Obi

__all__ = ["write_archive", "write_days"]

_Work = tuple[Observation, int]


def _job(ska: Path, seed: int, work: _Work) -> tuple[Path, list[dict[str, Any]]]:
    """Write the report of a revision; returns its path and its rows of the table."""
    observation, revision = work
    products = Path(ska) / "data/mica/archive"
    folder = revision_folder(products / "obspar", observation, revision)
    obspar = next(folder.glob("axaff*_obs0a.par.gz"), None)
    if obspar is None:
        raise ValueError(f"{folder} has no obspar: simulate obspars and aspect products first")
    obi = Obi(obspar, revision_folder(products / "asp1", observation, revision))
    obi.aspect_1_id, obi.ap_date = processing(observation, revision)
    time = np.arange(observation.tstart, observation.tstop, 60.0)
    rows = obi.rms_rows(
        isdefault=int(revision == observation.default),
        aspect_1_id=obi.aspect_1_id,
        ap_date=obi.ap_date,
        mean_aacccdpt=float(temperatures(seed, time)["TEMPCCD"].mean()),
    )
    report = revision_folder(products / "vv", observation, revision) / "vv_report.json"
    return write(report, obi.report().encode()), rows


def write_archive(ska: Path, observations: Sequence[Observation], *, seed: int = 0, jobs: int = 1) -> list[Path]:
    """Write the V&V products of observations, all revisions, with links and the table of residuals.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names, with the obspars and aspect products of these observations. Below
        data/mica/archive/vv, OO/OOOOO_vRR/vv_report.json are written or replaced, and so is vv.h5, whose table
        ``/vv`` has the residuals of these observations and no others.
    observations : sequence of Observation
        The observations; engineering ones have no aspect products and are left out.
    seed : int
        The seed of the aspect products.
    jobs : int
        Processes to use; what is written does not depend on it.

    Returns
    -------
    list of Path
        The reports, then the table.

    Raises
    ------
    ValueError, MissingDataError
        If an observation's obspar or aspect products are not there.

    Examples
    --------
    >>> from mica_lake.simulate import asp_l1, obspar, vv
    >>> from mica_lake.simulate.observations import observations
    >>> ska, some = getfixture("tmp_path"), observations(7e8, 7e8 + 60000)[2:3]
    >>> paths = obspar.write_archive(ska, some) + asp_l1.write_archive(ska, some)
    >>> [path.name for path in vv.write_archive(ska, some)]
    ['vv_report.json', 'vv.h5']
    """
    top = Path(ska) / "data/mica/archive/vv"
    chosen = [observation for observation in observations if observation.detector != "NONE"]
    work = [(observation, revision) for observation in chosen for revision in observation.revisions]
    done = list(each(functools.partial(_job, ska, seed), work, jobs))
    for observation in chosen:
        link_revisions(top, observation)
    dtype = row_dtype("vv_rms")
    rows = np.array([tuple(row[name] for name in dtype.names or ()) for _, of_one in done for row in of_one], dtype)
    return [*(path for path, _ in done), write(top / "vv.h5", hdf5(rows, "vv"))]


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the V&V products of the observations of some days."""
    return write_archive(days.ska, days.observations, jobs=days.jobs)
