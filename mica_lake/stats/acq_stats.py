"""Acquisition statistics: the functions of ``mica.stats.acq_stats``, answered by the view of `sql/stats.sql`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.stats.structured import Root, rows_of, rows_of_star

__all__ = ["get_star_stats", "get_stats"]

TABLE = "acq_stats"


def get_stats(filter: bool = True, data_root: Root = None) -> NDArray[np.void]:
    """
    The acquisition statistics of all stars.

    Parameters
    ----------
    filter : bool
        Whether to leave out rows that are known to be bad.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    numpy.ndarray
        A structured array, a row for each star of each observation, in the order of the HDF5 table.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.

    Examples
    --------
    >>> stats = get_stats(data_root=getfixture("demo_lake"))
    >>> len(stats), stats.dtype["acq_start"]
    (8, dtype('S21'))
    """
    return rows_of(TABLE, filter, data_root)


def get_star_stats(agasc_id: Any, filter: bool = True, data_root: Root = None) -> NDArray[np.void]:
    """
    The acquisition statistics of a star.

    Parameters
    ----------
    agasc_id : int
        The star.
    filter : bool
        Whether to leave out rows that are known to be bad.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.

    Returns
    -------
    numpy.ndarray
        A structured array, a row for each observation with the star, in the order of the HDF5 table.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    ValueError
        If `agasc_id` is no integer.

    Examples
    --------
    >>> get_star_stats(1, data_root=getfixture("demo_lake"))["obsid"]
    array([], dtype=int64)
    """
    return rows_of_star(TABLE, agasc_id, filter, data_root)
