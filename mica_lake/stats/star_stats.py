"""What `acq_stats` and `guide_stats` have in common: both are tables with a row for each star of each observation."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.stats.structured import Root, rows_of


class StarStats:
    """The functions of a table of star statistics, ``acq_stats`` or ``guide_stats``."""

    def __init__(self, table: str) -> None:
        self._table = table

    def get_stats(self, filter: bool = True, data_root: Root = None) -> NDArray[np.void]:
        """
        Statistics of all stars.

        Parameters
        ----------
        filter : bool
            Whether to leave out rows that are known to be bad.
        data_root : path, optional
            The lake; `mica_lake.lake.default_root` by default.

        Returns
        -------
        numpy.ndarray
            A structured array with a row for each star of each observation, in the order of the HDF5 table.

        Raises
        ------
        mica_lake.LakeError
            If there is no lake.

        Examples
        --------
        >>> from mica_lake.stats import acq_stats, guide_stats
        >>> stats = acq_stats.get_stats(data_root=demo_lake().root)
        >>> len(stats), stats.dtype["acq_start"]
        (8, dtype('S21'))
        >>> stats = guide_stats.get_stats(data_root=demo_lake().root)
        >>> len(stats), stats.dtype["kalman_datestart"]
        (8, dtype('S21'))
        """
        return rows_of(self._table, filter, data_root)

    def get_star_stats(
        self, agasc_id: Any = None, filter: bool = True, data_root: Root = None, *, id: Any = None
    ) -> NDArray[np.void]:
        """
        Statistics of one star.

        Parameters
        ----------
        agasc_id : int
            The star; a float without a fraction or a str with such a number is accepted, too.
        filter : bool
            Whether to leave out rows that are known to be bad.
        data_root : path, optional
            The lake; `mica_lake.lake.default_root` by default.
        id : int, optional
            Another name for `agasc_id`.

        Returns
        -------
        numpy.ndarray
            A structured array with a row for each observation of the star, in the order of the HDF5 table.

        Raises
        ------
        mica_lake.LakeError
            If there is no lake.
        TypeError
            If both `agasc_id` and `id` are given.
        ValueError
            If `agasc_id` is not an integer.

        Examples
        --------
        >>> from mica_lake.stats import acq_stats
        >>> acq_stats.get_star_stats(1, data_root=demo_lake().root)["obsid"]
        array([], dtype=int64)
        """
        if agasc_id is not None and id is not None:
            raise TypeError(f"give one star: agasc_id is {agasc_id!r}, and id is {id!r}")
        star = _agasc_id(id if agasc_id is None else agasc_id)
        return rows_of(self._table, filter, data_root, "agasc_id = $star", star=star)


def _agasc_id(given: Any) -> int:
    try:
        number: Any = float(given) if isinstance(given, str) else given
        whole = isinstance(number, float | np.floating) and number.is_integer()
        return int(number) if whole else operator.index(number)
    except (TypeError, ValueError):
        raise ValueError(f"agasc_id {given!r} is not an integer") from None
