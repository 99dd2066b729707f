"""Header-3 telemetry: the functions of ``mica.archive.aca_hdr3``, which give the rows of macro `hdr3_data`."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.archive.arrays import fill, values_and_mask
from mica_lake.archive.intervals import expanded, the_one, time_range
from mica_lake.archive.msid import Telemetry
from mica_lake.archive.msidset import TelemetrySet
from mica_lake.errors import MissingDataError, counted, near
from mica_lake.lake import open_lake
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.hdr3 import HDR3
from mica_lake.tables.hdr3_msids import BY_ID, BY_NAME, PSEUDO_MSIDS, PseudoMsid

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["HDR3_DEF", "MSID", "MSID_ALIASES", "MSIDset", "Msid", "msids"]


# How much is asked for at once (s): a long answer is filled piece by piece, so that it is not in memory twice.
_AT_ONCE = 400 * 86400.0


def _short(msid: PseudoMsid) -> str:
    return msid.description.split(" (")[0].split(";")[0].split(":")[0]


def _value_of(msid: PseudoMsid) -> Callable[[Any], NDArray[Any]]:
    def value(slot_data: Any) -> NDArray[Any]:
        if msid.other_slots:
            slots = " and ".join(map(str, sorted({msid.slot, *msid.other_slots})))
            raise ValueError(f"{msid.name} has bytes of slots {slots}: MSID({msid.name!r}, start, stop) joins them")
        columns = [slot_data[f"HD3TLM{word}"] for _, word in msid.bytes]
        values = msid.values(np.column_stack([np.ma.getdata(column) for column in columns]).astype(np.uint8))
        if not any(isinstance(column, np.ma.MaskedArray) for column in columns):
            return values
        return np.ma.MaskedArray(values, np.logical_or.reduce([np.ma.getmaskarray(column) for column in columns]))

    return value


def _definitions() -> dict[str, dict[str, Any]]:
    # The bytes of all slots in sequence: a word of the telemetry ends where the next one begins.
    telemetry = [f"{slot}{word}" for slot in range(8) for word in (*range(62, 68), *range(72, 78))]
    begins = [*(telemetry.index(msid.id) for msid in PSEUDO_MSIDS), len(telemetry)]
    return {
        msid.id: {
            "desc": _short(msid),
            "msid": msid.name,
            "longdesc": msid.description,
            "nbytes": begins[n + 1] - begins[n],
            "value": _value_of(msid),
        }
        for n, msid in enumerate(PSEUDO_MSIDS)
    }


#: The pseudo-MSIDs by id. Each has ``msid``, its name; ``desc`` and ``longdesc``; ``nbytes``, how many bytes its
#: word in the telemetry; and ``value``, a function that computes its values, good or bad, from 8x8 readouts of its
#: slot: anything with columns HD3TLM62 to 77, as from `aca_l0.get_slot_data`.
HDR3_DEF = _definitions()
#: The ids of the pseudo-MSIDs by name.
MSID_ALIASES = {msid.name: msid.id for msid in PSEUDO_MSIDS}


def _find(msid: str) -> PseudoMsid:
    found = BY_NAME.get(str(msid).lower()) or BY_ID.get(str(msid))
    if found is None:
        hint = near(msid, BY_NAME)
        if str(msid).upper() in ACA_L0.by_name:
            hint += f"; aca_l0.MSID({str(msid).upper()!r}, slot, start, stop) has that column of the readouts"
        raise MissingDataError(f"there is no header-3 MSID {msid!r}{hint}. aca_hdr3.msids() lists them all")
    return found


def _pieces(start: float, stop: float) -> list[tuple[float, float]]:
    """A time range in pieces that are asked for one after the other."""
    # No lake has times outside.
    first, last = max(start, 0.0), min(stop, 6.4e9)
    begins = [start, *np.arange(first + _AT_ONCE, last, _AT_ONCE).tolist()]
    return list(zip(begins, [*np.nextafter(begins[1:], -np.inf).tolist(), stop], strict=True))


def _read(
    wanted: Sequence[PseudoMsid], tstart: float, tstop: float, data_root: str | os.PathLike[str] | None
) -> tuple[NDArray[np.float64], dict[str, np.ma.MaskedArray[Any, Any]]]:
    """Common time axis and values of some pseudo-MSIDs."""
    lake = open_lake(data_root)
    room = lake.rows_at_most(HDR3.name, tstart, tstop)
    # Memory that is not written to is not used.
    columns = {"TIME": (np.empty(room), np.zeros(room, bool))}
    for msid in wanted:
        dtype = np.float64 if msid.type == pa.float64() else np.int64
        columns[msid.name] = np.empty(room, dtype), np.zeros(room, bool)
    flags = np.uint8(sum(1 << slot for slot in {msid.slot for msid in wanted}))
    n = 0
    for start, stop in _pieces(tstart, tstop):
        if not lake.rows_at_most(HDR3.name, start, stop):
            continue
        rows = lake.between(HDR3.name, ["SLOTS", *columns], start, stop)
        slots, _ = values_and_mask(rows.column("SLOTS"), np.uint8)
        # Usually all rows are wanted, and a condition in the query would copy them for nothing.
        chosen = (slots & flags) != 0
        end = n + int(np.count_nonzero(chosen))
        for name, (values, mask) in columns.items():
            here = slice(n, n + len(chosen))
            fill(rows.column(name), values[here], mask[here])
            if end < here.stop:
                values[n:end], mask[n:end] = values[here][chosen], mask[here][chosen]
                mask[end : here.stop] = False
        n = end
    times, _ = columns.pop("TIME")
    return times[:n], {name: np.ma.MaskedArray(values[:n], mask[:n]) for name, (values, mask) in columns.items()}


class MSID(Telemetry):
    """
    A pseudo-MSID of the header-3 telemetry over a time range.

    Parameters
    ----------
    msid : str
        Its name (``ccd_temp``) or id (``676``), or a pattern that matches one name (``*setpoint``).
    start, stop : time, optional
        Readouts with start <= time <= stop, in any form that `mica_lake.times.cxcsec` takes; negative numbers down to
        -36525 are days before now. The launch and now by default.
    msid_data : MSID or mapping, optional
        An `MSID` of the same pseudo-MSID, or a mapping: its ``times`` and ``vals`` are used as they are.
    filter_bad : bool
        Whether to leave out masked values.
    data_root : path, optional
        The lake; `mica_lake.lake.default_root` by default.
    stat : {"5min", "daily"}, optional
        Statistics instead of the values, in bins of 328 s or of a day of 86400 s whose middle is in the range. Bins
        begin at whole multiples of that in CXC seconds, as those of cheta; one without good values is left out.
    days : float, optional
        How many days of 86400 s, instead of `start` or `stop`; alone, the last ones.

    Attributes
    ----------
    msid, hdr3_msid : str
        Its name and its id.
    vals : numpy.ma.MaskedArray, shape (n,)
        Its values in `unit`, float64 or int64, masked where the header of the readout is incomplete; a plain array once
        bad values are filtered out.
    times : numpy.ndarray of float64, shape (n,)
        Times of the 8x8 readouts of the slot that carries it, CXC seconds; if two do, of the slot with the high bytes.
    vals, means, stds, mins, maxes, midvals, samples : numpy.ndarray, shape (n,)
        With `stat`: of each bin the mean (twice), standard deviation, least, greatest and middle of its good values,
        and how many there are; ``times`` are the middles of the bins.
    p01s, p05s, p16s, p50s, p84s, p95s, p99s : numpy.ndarray of float64, shape (n,)
        With ``stat="daily"``: percentiles, interpolated linearly.
    stat : str or None
        As given.
    unit, units : str
        Its unit.
    desc, longdesc : str
        Its description in short and in full.
    bads : numpy.ndarray of bool or None
        Which values are masked; None once they are filtered out, and with `stat`.
    colnames : list of str
        The attributes that have an element for each time.
    tstart, tstop : float
        Start and stop, CXC seconds.
    datestart, datestop : str
        Start and stop, UTC.

    Raises
    ------
    MissingDataError
        If there is no such pseudo-MSID.
    TypeError
        If `msid_data` is neither an `MSID` nor a mapping.
    ValueError
        If a time is not valid, stop is before start, `msid_data` is of another pseudo-MSID, or `stat` is not one of the
        two.

    Examples
    --------
    >>> therm = MSID("ccd_det_therm", "2024:001", "2024:001:00:10", data_root=demo_lake().root)
    >>> therm.hdr3_msid, therm.unit, len(therm.vals)
    ('074', '°C', 147)
    >>> daily = MSID("ccd_det_therm", "2024:001", "2024:002", data_root=demo_lake().root, stat="daily")
    >>> len(daily.times), bool(daily.mins[0] <= daily.p50s[0] <= daily.maxes[0])
    (1, True)
    """

    def __init__(
        self,
        msid: str,
        start: Any = None,
        stop: Any = None,
        msid_data: "MSID | Mapping[str, Any] | None" = None,
        filter_bad: bool = False,
        *,
        data_root: str | os.PathLike[str] | None = None,
        stat: str | None = None,
        days: float | None = None,
    ) -> None:
        found = _find(the_one(msid, BY_NAME))
        self.msid, self.hdr3_msid, self.unit = found.name, found.id, found.unit
        self.desc, self.longdesc = _short(found), found.description
        self._is_of(*time_range(start, stop, days))
        if stat is not None:
            dtype = np.float64 if found.type == pa.float64() else np.int64
            self._fill_statistics("hdr3", stat, (self.tstart, self.tstop), dtype, {"msid": [found.name]}, data_root)
        elif msid_data is None:
            self.times, values = _read([found], self.tstart, self.tstop, data_root)
            self.vals = values[found.name]
        elif isinstance(msid_data, Mapping):
            self.times, self.vals = msid_data["times"], msid_data["vals"]
        elif not isinstance(msid_data, MSID):
            raise TypeError(
                f"msid_data {msid_data!r} is neither an MSID nor a mapping with times and vals; what leaves out bad "
                "values, as the fourth argument of cheta's MSID, is filter_bad=True"
            )
        elif msid_data.hdr3_msid == found.id:
            self.times, self.vals = msid_data.times, msid_data.vals
        else:
            raise ValueError(f"msid_data is of {msid_data.msid!r}, not of {found.name!r}")
        if filter_bad:
            self.filter_bad()

    def __repr__(self) -> str:
        return f"<MSID {self.msid} from {self.datestart} to {self.datestop}: {counted(len(self.vals), 'value')}>"


class Msid(MSID):
    """
    A pseudo-MSID without its bad values.

    Parameters
    ----------
    msid, start, stop, data_root, stat, days
        As for `MSID`.

    Examples
    --------
    >>> bool(np.ma.is_masked(Msid("ccd_det_therm", "2024:001", "2024:002", data_root=demo_lake().root).vals))
    False
    """

    def __init__(
        self,
        msid: str,
        start: Any = None,
        stop: Any = None,
        *,
        data_root: str | os.PathLike[str] | None = None,
        stat: str | None = None,
        days: float | None = None,
    ) -> None:
        super().__init__(msid, start, stop, filter_bad=True, data_root=data_root, stat=stat, days=days)


class MSIDset(TelemetrySet[MSID]):
    """
    Several pseudo-MSIDs on one time axis, under the names they were asked for by.

    The axis consists of the times of the 8x8 readouts of all slots that carry one of them; a value is masked where its
    slot has no good readout.

    Parameters
    ----------
    msids : iterable of str
        Names, ids, or patterns (``*temp*``), each of which stands for the names that match it.
    start, stop, data_root, days
        As for `MSID`.
    stat : {"5min", "daily"}, optional
        Statistics instead of the values, as of `MSID`. Each member then has its own bins, those with good values.

    Attributes
    ----------
    times : numpy.ndarray of float64
        The time axis, CXC seconds; with `stat`, the middles of the bins of all members.
    tstart, tstop : float
        Start and stop, CXC seconds.
    datestart, datestop : str
        Start and stop, UTC.

    Raises
    ------
    MissingDataError, ValueError
        As for `MSID`.

    Examples
    --------
    >>> temps = MSIDset(["ccd_molyb_therm_1", "164"], "2024:001", "2024:001:00:10", data_root=demo_lake().root)
    >>> [(name, len(msid.vals)) for name, msid in temps.items()]
    [('ccd_molyb_therm_1', 147), ('164', 147)]
    >>> daily = MSIDset(["*molyb*"], "2024:001", "2024:002", data_root=demo_lake().root, stat="daily")
    >>> [len(msid.means) for msid in daily.values()]
    [1, 1]
    """

    def __init__(
        self,
        msids: Iterable[str],
        start: Any = None,
        stop: Any = None,
        *,
        data_root: str | os.PathLike[str] | None = None,
        stat: str | None = None,
        days: float | None = None,
    ) -> None:
        asked = expanded(msids, BY_NAME)
        found = [_find(msid) for msid in asked]
        super().__init__()
        self._is_of(*time_range(start, stop, days))
        if stat is not None:
            between = self.tstart, self.tstop
            self._are_binned({name: MSID(name, *between, data_root=data_root, stat=stat) for name in asked})
            return
        self.times, values = _read(found, self.tstart, self.tstop, data_root)
        for name, msid in zip(asked, found, strict=True):
            self[name] = MSID(name, self.tstart, self.tstop, {"times": self.times, "vals": values[msid.name]})


def msids() -> "Table":
    """
    All pseudo-MSIDs.

    Returns
    -------
    astropy.table.Table
        A row for each, with name, id, unit and description.

    Examples
    --------
    >>> table = msids()
    >>> table[table["name"] == "ccd_temp"]["id"][0], len(table)
    (np.str_('676'), 38)
    """
    from astropy.table import Table

    columns = ("name", "id", "unit", "description")
    return Table([[getattr(msid, column) for msid in PSEUDO_MSIDS] for column in columns], names=columns)
