"""What `acq_stats` and `guide_stats` have in common: both are tables with a row for each star of each observation."""

import operator
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.catalog.pointer import State, state
from mica_lake.lake import Lake, open_lake
from mica_lake.stats.structured import Root, all_rows, rows_of

# Reading the whole table, the first time, takes as long as queries for some thirty stars.
_OFTEN = 30


class StarStats:
    """The functions of a table of star statistics, ``acq_stats`` or ``guide_stats``."""

    def __init__(self, table: str) -> None:
        self._table, self._lock = table, threading.Lock()
        self._of: tuple[str, State] | None = None
        self._asked = 0
        self._by_star: _ByStar | None = None

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

        At the thirtieth star the whole table is read and kept until the lake changes, 500 bytes (`acq_stats`) or 750
        (`guide_stats`) for each of its rows, so that the next ones take microseconds.

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
        lake = open_lake(data_root)
        # DuckDB says what is wrong with a number that fits no column.
        kept = self._kept(lake) if abs(star) < 1 << 63 else None
        if kept is None:
            return rows_of(self._table, filter, lake.root, "agasc_id = $star", star=star)
        found = kept.rows_of(star)
        return found[~found["known_bad"]] if filter else found

    def _kept(self, lake: Lake) -> "_ByStar | None":
        """The whole table, if many stars of this generation of the lake have been asked for."""
        of = str(lake.root), state(lake.root)
        with self._lock:
            if self._of != of:
                self._of, self._asked, self._by_star = of, 0, None
            self._asked += 1
            if self._asked != _OFTEN:
                return self._by_star
        # Other threads ask for their stars meanwhile.
        by_star = _ByStar(*all_rows(self._table, lake))
        with self._lock:
            if self._of == of:
                self._by_star = by_star
        return by_star


class _ByStar:
    """The rows of a table, and where those of each star are."""

    def __init__(self, rows: NDArray[np.void], positions: NDArray[np.int32]) -> None:
        self._rows, self._places = rows, np.lexsort((positions, rows["agasc_id"]))
        self._stars = rows["agasc_id"][self._places]

    def rows_of(self, star: int) -> NDArray[np.void]:
        """Copies of a star's rows, in the order of their source."""
        first, last = (np.searchsorted(self._stars, star, side) for side in ("left", "right"))
        return self._rows[self._places[first:last]]


def _agasc_id(given: Any) -> int:
    try:
        number: Any = float(given) if isinstance(given, str) else given
        whole = isinstance(number, float | np.floating) and number.is_integer()
        return int(number) if whole else operator.index(number)
    except (TypeError, ValueError):
        raise ValueError(f"agasc_id {given!r} is not an integer") from None
