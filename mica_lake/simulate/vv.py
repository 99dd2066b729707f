"""Simulate V&V products: the report of each revision with aspect products, and the table of all residuals.

They are computed from the simulated aspect products, whose centroids have noise: the residuals are this noise.
"""

import functools
import multiprocessing
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mica_lake.simulate.aca_l0 import _temperatures
from mica_lake.simulate.asp_l1 import _aspect_1_id, _processed
from mica_lake.simulate.observations import Observation, _directory, _write, link_revisions
from mica_lake.simulate.stats import _hdf5
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.vv.obi import Obi

__all__ = ["write_archive"]

_Work = tuple[Observation, int]


def _job(ska: Path, seed: int, work: _Work) -> tuple[Path, list[dict[str, Any]]]:
    """Write the report of a revision: give it and its rows of the table."""
    observation, revision = work
    products = Path(ska) / "data/mica/archive"
    folder = _directory(products / "obspar", observation, revision)
    obspar = next(folder.glob("axaff*_obs0a.par.gz"), None)
    if obspar is None:
        raise ValueError(f"{folder} has no obspar: simulate obspars and aspect products first")
    obi = Obi(obspar, _directory(products / "asp1", observation, revision))
    obi.aspect_1_id, obi.ap_date = _aspect_1_id(observation, revision), _processed(observation, revision)
    time = np.arange(observation.tstart, observation.tstop, 60.0)
    rows = obi.rms_rows(
        isdefault=int(revision == observation.default),
        aspect_1_id=obi.aspect_1_id,
        ap_date=obi.ap_date,
        mean_aacccdpt=float(_temperatures(seed, time)["TEMPCCD"].mean()),
    )
    report = _directory(products / "vv", observation, revision) / "vv_report.json"
    return _write(report, obi.report().encode()), rows


def write_archive(ska: Path, observations: Sequence[Observation], *, seed: int = 0, jobs: int = 1) -> list[Path]:
    """Write the V&V products of observations, all revisions, with links and the table of residuals.

    Parameters
    ----------
    ska : Path
        What $SKA names; the obspars and aspect products of these observations are there. Below data/mica/archive/vv,
        OO/OOOOO_vRR/vv_report.json are written, and replaced, as is vv.h5, whose table ``/vv`` has the residuals of
        these observations and no others.
    observations : sequence of Observation
        The observations; those of engineering have no aspect products and are left out.
    seed : int
        That of the aspect products.
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
    job = functools.partial(_job, ska, seed)
    with ExitStack() as stack:
        results: Iterable[tuple[Path, list[dict[str, Any]]]] = map(job, work)
        if jobs > 1:
            results = stack.enter_context(multiprocessing.get_context("spawn").Pool(jobs)).imap(job, work)
        done = list(results)
    for observation in chosen:
        link_revisions(top, observation)
    dtype = row_dtype("vv_rms")
    rows = np.array([tuple(row[name] for name in dtype.names or ()) for _, of_one in done for row in of_one], dtype)
    return [*(path for path, _ in done), _write(top / "vv.h5", _hdf5(rows, "vv"))]
