"""Residuals of the observations that the lake knows."""

import os
from typing import Any

from mica_lake.archive import asp_l1, obspar, revisions
from mica_lake.errors import MissingDataError
from mica_lake.vv.obi import Obi

__all__ = ["get_arch_vv"]


def get_arch_vv(obsid: int, version: Any = "last", data_root: str | os.PathLike[str] | None = None) -> Obi:
    """
    Residuals of an observation, from the products where ingest saw them.

    Parameters
    ----------
    obsid : int
        The observation.
    version : {'default', 'last'} or int
        Which revision of its aspect products. Of its obspar the default is taken or, where there is none, the last.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    Obi
        Its residuals.

    Raises
    ------
    MissingDataError
        If the lake knows no such products or no obspar, or a product is not there any more.
    ValueError
        If the version is none, or a product is damaged.

    Examples
    --------
    >>> get_arch_vv(32448, data_root=getfixture("demo_lake")).slot_report[3]["type"]
    'GUIDE'
    """
    revisions.chosen_one(version)
    dirs = asp_l1.get_obs_dirs(obsid, data_root) or {}
    folder = dirs.get("default" if version is None else version)
    if folder is None:
        known = ", ".join(map(str, dirs.get("revisions", []))) or "none"
        raise MissingDataError(f"the lake has no aspect products of obsid {obsid}, version {version!r}; it has {known}")
    file = obspar.get_obspar_file(obsid, "default", data_root) or obspar.get_obspar_file(obsid, "last", data_root)
    if file is None:
        raise MissingDataError(f"the lake has no obspar of obsid {obsid}: 'mica-lake ingest obspar' takes it")
    return Obi(file, folder)
