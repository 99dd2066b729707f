"""Acquisition statistics: the functions of ``mica.stats.acq_stats``, answered by the view of `sql/stats.sql`."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.stats.structured import Root, rows_of, rows_of_star

__all__ = ["TABLE_FILE", "get_star_stats", "get_stats"]

TABLE = "acq_stats"
#: The HDF5 table of the file archive.
TABLE_FILE = os.path.join(os.environ.get("SKA", ""), "data", "acq_stats", "acq_stats.h5")  # noqa: PTH118 - a str


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


def get_star_stats(
    agasc_id: Any = None, filter: bool = True, data_root: Root = None, *, id: Any = None
) -> NDArray[np.void]:
    """
    The acquisition statistics of a star.

    Parameters
    ----------
    agasc_id : int
        The star; a whole float or a number in text will do.
    filter : bool
        Whether to leave out rows that are known to be bad.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` otherwise.
    id : int, optional
        Another name of `agasc_id`.

    Returns
    -------
    numpy.ndarray
        A structured array, a row for each observation with the star, in the order of the HDF5 table.

    Raises
    ------
    mica_lake.LakeError
        If there is no lake.
    TypeError
        If there is a star by each name.
    ValueError
        If `agasc_id` is no integer.

    Examples
    --------
    >>> get_star_stats(1, data_root=getfixture("demo_lake"))["obsid"]
    array([], dtype=int64)
    """
    if agasc_id is not None and id is not None:
        raise TypeError(f"give one star: agasc_id is {agasc_id!r}, and id is {id!r}")
    return rows_of_star(TABLE, id if agasc_id is None else agasc_id, filter, data_root)
