"""What the `MSID` classes of the facade have in common, under the names of cheta."""

import copy as copying
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.archive.binned import WithStatistics
from mica_lake.archive.intervals import days_of, is_stepped, lines_of, nearest, pairs_of, runs, steps, with_gaps, within
from mica_lake.times import utc

if TYPE_CHECKING:
    from astropy.table import Table

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


class TimeRange:
    """From when to when values are: what each `MSID` and `MSIDset` has."""

    tstart: float
    tstop: float
    datestart: str
    datestop: str

    def _is_of(self, tstart: float, tstop: float) -> None:
        """Set the time range."""
        self.tstart, self.tstop = tstart, tstop
        self.datestart, self.datestop = utc(tstart), utc(tstop)

    def copy(self) -> Self:
        """
        A copy with arrays of its own.

        Returns
        -------
        MSID or MSIDset
            The copy.
        """
        return copying.deepcopy(self)


class Telemetry(TimeRange, WithStatistics):
    """Values over time, good or bad: what each `MSID` has."""

    msid: str
    unit: str
    times0: NDArray[np.float64]
    # Which readouts they are of, where there are others.
    _readouts: str = ""

    @property
    def units(self) -> str:
        """Its unit, as `unit`."""
        return self.unit

    @property
    def bads(self) -> NDArray[np.bool_] | None:
        """Which values are bad (masked); None if there can be none, because they were filtered or are statistics."""
        if not isinstance(self.vals, np.ma.MaskedArray):
            return None
        mask = np.ma.getmaskarray(self.vals)
        return np.asarray(mask.all(axis=tuple(range(1, mask.ndim))) if mask.ndim > 1 else mask)

    @property
    def colnames(self) -> list[str]:
        """Names of the attributes that have an element for each time."""
        return [*self._columns, *([] if self.bads is None else ["bads"])]

    def _keep(self, chosen: NDArray[Any]) -> None:
        """Keep the chosen elements, by a mask or by indexes."""
        for name in self._columns:
            setattr(self, name, getattr(self, name)[chosen])

    def filter_bad(self, copy: bool = False) -> Self | None:
        """
        Remove bad (masked) values and their times.

        Parameters
        ----------
        copy : bool
            Whether to leave this object as it is and return a copy without them.

        Returns
        -------
        MSID or None
            The copy, if asked for.
        """
        found = self.copy() if copy else self
        if found.bads is not None:
            found._keep(~found.bads)
            found.vals = np.ma.getdata(found.vals)
        return found if copy else None

    def select_intervals(self, intervals: Any, copy: bool = False) -> Self | None:
        """
        Keep only what is in one of some intervals: start <= time < stop.

        Parameters
        ----------
        intervals : table, iterable of pairs, or events of kadi
            Pairs of a start and a stop, in any form that `mica_lake.times.cxcsec` takes, or a table with columns
            ``tstart`` and ``tstop``, ``datestart`` and ``datestop``, or ``start`` and ``stop``: of astropy, Polars
            or pandas, a structured array or a mapping.
        copy : bool
            Whether to leave this object as it is and return a copy.

        Returns
        -------
        MSID or None
            The copy, if asked for.

        Raises
        ------
        ValueError
            If a time is not valid, a stop is before its start, or these are not intervals.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> therm = aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> therm.select_intervals([("2024:001:00:01", "2024:001:00:02"), ("2024:001:00:05", "2024:001:00:06")])
        >>> len(therm.vals)
        30
        """
        found = self.copy() if copy else self
        found._keep(within(found.times, pairs_of(intervals, (self.datestart, self.datestop))))
        return found if copy else None

    def remove_intervals(self, intervals: Any, copy: bool = False) -> Self | None:
        """
        Remove what is in one of some intervals: the opposite of `select_intervals`.

        Parameters
        ----------
        intervals, copy
            As of `select_intervals`.

        Returns
        -------
        MSID or None
            The copy, if asked for.

        Raises
        ------
        ValueError
            As of `select_intervals`.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> therm = aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> len(therm.remove_intervals([("2024:001:00:01", "2024:001:00:02")], copy=True).vals)
        132
        """
        found = self.copy() if copy else self
        found._keep(~within(found.times, pairs_of(intervals, (self.datestart, self.datestop))))
        return found if copy else None

    def filter_bad_times(
        self, start: Any = None, stop: Any = None, table: Any = None, copy: bool = False
    ) -> Self | None:
        """
        Remove what is in bad times.

        Parameters
        ----------
        start, stop : time, optional
            One bad interval.
        table : path, iterable of str, or intervals as of `select_intervals`, optional
            Several: also a text file, or lines, with a start and a stop each; what follows a ``#`` is left out.
        copy : bool
            Whether to leave this object as it is and return a copy.

        Returns
        -------
        MSID or None
            The copy, if asked for.

        Raises
        ------
        ValueError
            If neither both times nor a table are given, or as of `select_intervals`.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> therm = aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> therm.filter_bad_times(table=["2024:001:00:01 2024:001:00:02  # noisy"])
        >>> len(therm.vals)
        132
        """
        if (start is None) != (stop is None) or (start is None) == (table is None):
            raise ValueError("which times are bad? Give start and stop, or table")
        return self.remove_intervals([(start, stop)] if table is None else lines_of(table), copy)

    def logical_intervals(
        self, op: str, val: Any, complete_intervals: bool = True, max_gap: float | None = None
    ) -> "Table":
        """
        Intervals in which the values compare with a value as asked.

        They begin and end midway between two times. Values that are bad or NaN are left out before.

        Parameters
        ----------
        op : {"==", "!=", ">", "<", ">=", "<="}
            The comparison.
        val : number or str
            What to compare with.
        complete_intervals : bool
            Whether to leave out an interval that begins or ends where the values do: how long it is is not known.
        max_gap : float, optional
            Of a gap in time that is longer (s), only half of this on either side belongs to an interval; by default
            intervals go over gaps.

        Returns
        -------
        astropy.table.Table
            A row for each: datestart, datestop, duration (s), tstart and tstop (CXC seconds).

        Raises
        ------
        ValueError
            If there is no such comparison.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> therm = aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> low = therm.logical_intervals("<", 100, complete_intervals=False)
        >>> low["datestart"][0], round(low["duration"][0])
        (np.str_('2023:365:23:59:58.833'), 603)
        """
        from astropy.table import Table

        if op not in _OPERATORS:
            raise ValueError(f"op {op!r} is not one of {', '.join(_OPERATORS)}")
        values = np.ma.getdata(self.vals)
        good = np.ones(len(values), bool) if self.bads is None else ~self.bads
        if values.dtype.kind == "f":
            good &= ~np.isnan(values)
        true = np.asarray(_OPERATORS[op](values[good], val), bool)
        starts, stops = runs(self.times[good], true, complete_intervals, max_gap)
        dates = [np.array([utc(time) for time in ends], "U21") for ends in (starts, stops)]
        names = ("datestart", "datestop", "duration", "tstart", "tstop")
        return Table([*dates, stops - starts, starts, stops], names=names)

    def interpolate(
        self, dt: float | None = None, start: Any = None, stop: Any = None, times: ArrayLike | None = None
    ) -> None:
        """
        Take the nearest values at other times; the times of these values are kept as `times0`.

        Parameters
        ----------
        dt : float, optional
            Step of the new times (s), 328 by default.
        start, stop : time, optional
            From when to when; by default, and at most, from the first to the last value.
        times : array_like, optional
            The new times (CXC seconds), instead.

        Raises
        ------
        ValueError
            If `dt` is not positive, or there are no values for `times`.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> therm = aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> therm.interpolate(dt=60)
        >>> len(therm.vals), bool(abs(therm.times - therm.times0).max() < 2.1)
        (9, True)
        """
        if times is None:
            first, last = self.times[[0, -1]].tolist() if len(self.times) else (0.0, 0.0)
            self._take_at(steps(first, last, dt, start, stop))
        else:
            self._take_at(np.array(times, np.float64))

    def _take_at(self, at: NDArray[np.float64]) -> None:
        """Take the nearest values at some times."""
        if len(at) and not len(self.times):
            raise ValueError(f"{self.msid} has no values from {self.datestart} to {self.datestop}")
        self._keep(nearest(self.times, at) if len(at) else np.zeros(0, np.intp))
        self.times0, self.times = self.times, at
        if "times0" not in self._columns:
            self._columns = (*self._columns, "times0")

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        """
        Draw the values over time (UTC).

        A line is broken where values are bad, and where there are none for more than a minute. Values of a few counts,
        between which they flicker, are dots, unless a format is given.

        Parameters
        ----------
        *args, **kwargs
            As for `matplotlib.axes.Axes.plot`, after the values: ``plot(".-", color="C1")``. With ``ax=`` they are
            drawn there, otherwise on the current axes of pyplot.

        Returns
        -------
        matplotlib.axes.Axes
            Where they were drawn.

        Raises
        ------
        ImportError
            If matplotlib is absent.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from mica_lake.archive import aca_hdr3
        >>> therm = aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> therm.plot(".", ax=Figure().subplots()).get_ylabel()
        '°C'
        """
        try:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        except ImportError as error:
            raise ImportError("matplotlib is absent: pip install 'mica-lake[plot]'") from error
        axes = kwargs.pop("ax", None)
        if axes is None:
            from matplotlib import pyplot

            axes = pyplot.gca()
        times, values = with_gaps(self.times, self.vals)
        if not args and not kwargs.keys() & {"marker", "linestyle", "ls"} and values.dtype.kind == "f":
            args = (".",) if is_stepped(values) else ()
        axes.plot(days_of(times), values, *args, **kwargs)
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.set(title=self.msid, xlabel="UTC", ylabel=self.unit)
        return axes

    def _repr_html_(self) -> str:
        """What a notebook shows: its values in short, and as a curve."""
        from mica_lake.drawn import curve, table

        numbers = self._numbers()
        rows: list[tuple[str, object]] = [("from", self.datestart), ("to", self.datestop), ("values", len(self.vals))]
        rows += [("of", self._readouts)] if self._readouts else []
        rows += [(name, f"{one} {self.unit}") for name, one in self._summary().items()]
        drawn = curve(*with_gaps(self.times, numbers)) if np.ma.masked_invalid(numbers).count() else ""
        return table(f"{self.msid}{f' ({self.stat})' if self.stat else ''}", [], rows) + drawn

    def _numbers(self) -> NDArray[Any]:
        """The values, if each is a number."""
        return self.vals if self.vals.dtype.kind in "iuf" and self.vals.ndim == 1 else np.ma.array([])

    def _summary(self) -> dict[str, str]:
        """The least, the mean and the greatest of the good values, if there are any."""
        good = np.ma.masked_invalid(self._numbers()).compressed().astype(np.float64)
        found = {"min": good.min(), "mean": good.mean(), "max": good.max()} if len(good) else {}
        return {name: f"{one:,.6g}" for name, one in found.items()}
