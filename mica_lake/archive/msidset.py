"""What the `MSIDset` classes of the facade have in common, under the names of cheta."""

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.archive.intervals import steps
from mica_lake.archive.msid import Telemetry, TimeRange

One = TypeVar("One", bound=Telemetry)


class TelemetrySet(TimeRange, dict[str, One]):
    """Several `MSID` of a time range, by name, on one time axis at first: what each `MSIDset` has."""

    times: NDArray[np.float64]

    def _repr_html_(self) -> str:
        """What a notebook shows: each member in short."""
        from mica_lake.drawn import table

        head = ("", "values", "min", "mean", "max", "unit")
        rows = []
        for name, msid in self.items():
            summary = msid._summary()
            rows.append((name, len(msid.vals), *(summary.get(column, "") for column in head[2:5]), msid.unit))
        return table(f"MSIDset from {self.datestart} to {self.datestop}", head, rows)

    def _are_binned(self, members: Mapping[str, One]) -> None:
        """Take members with statistics, each of which lacks the bins in which it has no good values."""
        self.update(members)
        self.times = np.unique(np.concatenate([np.zeros(0), *(msid.times for msid in self.values())]))

    def _are_common(self) -> bool:
        """Whether all members still have the times of the set."""
        return all(np.array_equal(self.times, msid.times) for msid in self.values())

    def _mark_union(self) -> None:
        """Mark each member bad where any is."""
        bads = [msid.bads for msid in self.values() if msid.bads is not None]
        if not self._are_common():
            raise ValueError("the members have no common times any more: interpolate(dt) gives them some")
        for msid in self.values():
            msid.vals = np.ma.MaskedArray(np.ma.getdata(msid.vals), np.logical_or.reduce(bads))

    def filter_bad(self, copy: bool = False, union: bool = False) -> Self | None:
        """
        Remove bad (masked) values and their times from each member, which then has times of its own.

        Parameters
        ----------
        copy : bool
            Whether to leave this set as it is and return a copy without them.
        union : bool
            Whether to remove from all members what is bad in any, so that they keep common times.

        Returns
        -------
        MSIDset or None
            The copy, if asked for.

        Raises
        ------
        ValueError
            With `union`, if the members have no common times any more.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> temps = aca_hdr3.MSIDset(["*molyb*"], "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> temps.filter_bad()
        >>> [(name, type(msid.vals)) for name, msid in temps.items()][0]
        ('ccd_molyb_therm_1', <class 'numpy.ndarray'>)
        """
        found = self.copy() if copy else self
        if union and found:
            found._mark_union()
        for msid in found.values():
            msid.filter_bad()
        if union:
            found._take_times()
        return found if copy else None

    def _take_times(self) -> None:
        """Set the common times to those of the first member."""
        for msid in self.values():
            self.times = msid.times
            break

    def filter_bad_times(
        self, start: Any = None, stop: Any = None, table: Any = None, copy: bool = False
    ) -> Self | None:
        """
        Remove what is in bad times from each member.

        Parameters
        ----------
        start, stop, table, copy
            As of the method of `MSID`.

        Returns
        -------
        MSIDset or None
            The copy, if asked for.

        Raises
        ------
        ValueError
            As of the method of `MSID`.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> temps = aca_hdr3.MSIDset(["*molyb*"], "2024:001", "2024:001:00:10", data_root=demo_lake().root)
        >>> temps.filter_bad_times("2024:001:00:01", "2024:001:00:02")
        >>> len(temps.times), len(temps["ccd_molyb_therm_1"].vals)
        (132, 132)
        """
        found = self.copy() if copy else self
        common = found._are_common()
        for msid in found.values():
            msid.filter_bad_times(start, stop, table)
        if common:
            found._take_times()
        return found if copy else None

    def interpolate(
        self,
        dt: float | None = None,
        start: Any = None,
        stop: Any = None,
        filter_bad: bool = True,
        times: ArrayLike | None = None,
        bad_union: bool = False,
        copy: bool = False,
    ) -> Self | None:
        """
        Take the nearest values of all members at the same times; the times of these values are kept as ``times0``.

        Parameters
        ----------
        dt : float, optional
            Step of the new times (s), 328 by default.
        start, stop : time, optional
            From when to when; by default, and at most, where all members have values.
        filter_bad : bool
            Whether to leave out bad values before; otherwise a new value is bad where the nearest one is.
        times : array_like, optional
            The new times (CXC seconds), instead.
        bad_union : bool
            Whether a time is bad for all members where the nearest value of any is bad; with `filter_bad` such times
            are left out.
        copy : bool
            Whether to leave this set as it is and return a copy.

        Returns
        -------
        MSIDset or None
            The copy, if asked for.

        Raises
        ------
        ValueError
            If `dt` is not positive, or a member has no values for `times`.

        Examples
        --------
        >>> from mica_lake.archive import aca_hdr3
        >>> ten = {"start": "2024:001", "stop": "2024:001:00:10", "data_root": demo_lake().root}
        >>> temps = aca_hdr3.MSIDset(["ccd_det_therm", "*molyb*"], **ten)
        >>> temps.interpolate(dt=60)
        >>> [len(msid.vals) for msid in temps.values()], len(temps.times)
        ([9, 9, 9], 9)
        """
        found = self.copy() if copy else self
        members = list(found.values())
        if filter_bad and not bad_union:
            found.filter_bad()
        if times is not None:
            at = np.array(times, np.float64)
        elif members and all(len(msid.times) for msid in members):
            first, last = max(msid.times[0] for msid in members), min(msid.times[-1] for msid in members)
            at = steps(float(first), float(last), dt, start, stop)
        else:
            at = steps(0.0, 0.0, dt, None, None)
        for msid in members:
            msid._take_at(at)
        found.times = at
        if bad_union:
            found._mark_union()
            if filter_bad:
                found.filter_bad(union=True)
        return found if copy else None
