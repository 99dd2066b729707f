"""Which maneuver of an observation counts, which entries of its catalog have rows, and what rows have in common."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mica_lake.gathering.events import Dwell, Maneuver, events_of
from mica_lake.gathering.residuals import Stars, rows_of_stars
from mica_lake.gathering.telemetry import NotGathered, Telemetry
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.times import cxcsec, utc

#: The table of the rows of acquisitions, and the types of catalog entries that have such rows.
ACQ = ("acq_stats", ("ACQ", "BOT"))
GUIDE = ("guide_stats", ("GUI", "BOT"))
#: The dark current (e-/s) above which a pixel counts as warm.
WARM = 100.0
_TYPES = ("ACQ", "BOT", "FID", "GUI", "MON")
#: Seconds between the star catalog and the maneuver: more is another maneuver's, and odd.
_OTHERS, _ODD = 300.0, 30.0
_FROM_AGASC = {
    "agasc_id": "AGASC_ID",
    "epoch": "EPOCH",
    "pm_ra": "PM_RA",
    "pm_dec": "PM_DEC",
    "var": "VAR",
    "pos_err": "POS_ERR",
    "mag_aca": "MAG_ACA",
    "mag_band": "MAG_BAND",
    "pos_catid": "POS_CATID",
    **{name: name.upper() for name in ("aspq1", "aspq2", "aspq3", "acqq1", "acqq2", "acqq4")},
}


@dataclass(frozen=True)
class Chosen:
    """
    The maneuver of an observation that counts.

    Attributes
    ----------
    start : float
        Its start, CXC seconds.
    maneuver : Maneuver
        The maneuver.
    dwell : Dwell
        Its first dwell.
    """

    start: float
    maneuver: Maneuver
    dwell: Dwell


@dataclass(frozen=True)
class Entries:
    """
    The entries of a catalog that have rows, by slot.

    Attributes
    ----------
    entries : list of mapping
        One for each slot.
    places : list of int
        The place of each among all entries of these types in order of idx.
    stars : structured array
        Their AGASC rows.
    """

    entries: list[Mapping[str, Any]]
    places: list[int]
    stars: NDArray[np.void]

    @property
    def slots(self) -> list[int]:
        """The slots."""
        return [int(entry["slot"]) for entry in self.entries]

    def column(self, name: str) -> list[Any]:
        """A column of the catalog."""
        return [entry[name] for entry in self.entries]


def maneuver_of(observation: Mapping[str, Any], samples: Telemetry, which: Literal["first", "last"]) -> Chosen:
    """The first or the last maneuver of an observation that has a dwell."""
    since = cxcsec(observation["manvr_start"])
    until = observation.get("tstop")
    of_it = [
        one
        for one in events_of(samples)
        if one.stop > since and (until is None or one.start is None or one.start < until)
    ]
    if not of_it:
        raise NotGathered(f"the telemetry has no end of a maneuver (AOFATTMD) after {utc(since)}")
    dwelt = [one for one in of_it if one.dwells]
    if not dwelt:
        raise NotGathered(
            f"the telemetry has no dwell (AOACASEQ KALM) after the maneuver that ends {utc(of_it[0].stop)}"
        )
    maneuver = dwelt[0 if which == "first" else -1]
    start = since if maneuver.start is None else maneuver.start
    if abs(late := _late(observation, start)) > _OTHERS:
        raise NotGathered(
            f"its star catalog is commanded {late:.0f} s after the start of the maneuver, {utc(start)}: "
            f"more than {_OTHERS:.0f} s apart, it is another maneuver's"
        )
    return Chosen(start, maneuver, maneuver.dwells[0])


def _late(observation: Mapping[str, Any], start: float) -> float:
    if observation["mp_starcat_time"] is None:
        raise NotGathered("it is not known when its star catalog was commanded")
    return cxcsec(observation["mp_starcat_time"]) - start


def entries_of(catalog: Iterable[Any], stars: Stars, of: tuple[str, tuple[str, ...]]) -> Entries:
    """
    The entries that have rows, of a catalog in any order.

    Parameters
    ----------
    catalog : iterable
        Mappings, or rows of a table.
    stars : mapping, structured array or astropy.table.Table
        AGASC rows: by id, or an array or table with AGASC_ID.
    of : tuple
        `ACQ` or `GUIDE`.
    """
    listed = _listed(catalog, of)
    known = rows_of_stars([int(entry["id"]) for entry in listed if entry["id"] is not None], stars)
    of_slot: dict[int, int] = {}
    for place, entry in enumerate(listed):
        if entry["id"] is not None and int(entry["id"]) in known:
            of_slot.setdefault(int(entry["slot"]), place)
    if not of_slot:
        raise NotGathered(
            f"its catalog has no star that the AGASC has (type {' or '.join(of[1])})"
            if listed
            else f"it has no catalog with a star (type {' or '.join(of[1])})"
        )
    places = [of_slot[slot] for slot in sorted(of_slot)]
    entries = [listed[place] for place in places]
    return Entries(entries, places, np.array([known[int(entry["id"])] for entry in entries]))


def _listed(catalog: Iterable[Any], of: tuple[str, tuple[str, ...]]) -> list[Any]:
    """The entries of these types, in order of idx."""
    return sorted((entry for entry in catalog if _type_of(entry) in of[1]), key=lambda entry: int(entry["idx"]))


def _type_of(entry: Any) -> str:
    kind = entry["type"]
    return str(kind.decode() if isinstance(kind, bytes) else kind).strip()


def slots_left_out(catalog: Iterable[Any], stars: Stars) -> Iterator[str]:
    """
    What of a catalog has no rows, though it might: what stands before each colon is the slot.

    Parameters
    ----------
    catalog, stars
        As of `calc_stats`.

    Yields
    ------
    str
        The slot, and why.

    Examples
    --------
    >>> list(slots_left_out([{"idx": 4, "slot": 3, "id": 17, "type": "BOT"}], {}))
    ['slot 3: the AGASC has no star 17']
    """
    entries = list(catalog)
    for entry in entries:
        if _type_of(entry) not in _TYPES:
            yield f"slot {entry['slot']}: its type in the catalog is {_type_of(entry)!r}, not {', '.join(_TYPES)}"
    listed = {int(entry["idx"]): entry for of in (ACQ, GUIDE) for entry in _listed(entries, of)}
    known = rows_of_stars([int(entry["id"]) for entry in listed.values() if entry["id"] is not None], stars)
    for _, entry in sorted(listed.items()):
        if entry["id"] is None:
            yield f"slot {entry['slot']}: the catalog has no id of its star"
        elif int(entry["id"]) not in known:
            yield f"slot {entry['slot']}: the AGASC has no star {entry['id']}"
    for of in (ACQ, GUIDE):
        first: dict[int, Any] = {}
        for entry in _listed(entries, of):
            if entry["id"] is not None and int(entry["id"]) in known:
                before = first.setdefault(int(entry["slot"]), entry)
                if before is not entry:
                    yield (
                        f"slot {entry['slot']}: it is twice in the catalog for {of[0]}; "
                        f"entry {before['idx']} counts, {entry['idx']} does not"
                    )


def odd_timing(observation: Mapping[str, Any], telemetry: Telemetry) -> str | None:
    """What is odd about when the star catalog was commanded, if it is."""
    late = _late(observation, maneuver_of(observation, telemetry, "last").start)
    if abs(late) <= _ODD:
        return None
    return f"its star catalog is commanded {late:.0f} s after the start of its maneuver: more than {_ODD:.0f} s apart"


def rows_with(of: tuple[str, tuple[str, ...]], n: int, columns: Mapping[str, Any]) -> NDArray[np.void]:
    """Rows of a table; a column that is not given is 0, False or empty."""
    rows = np.zeros(n, row_dtype(of[0]))
    for name, values in columns.items():
        rows[name] = values
    return rows


def common_columns(observation: Mapping[str, Any], entries: Entries) -> dict[str, Any]:
    """The columns that both tables have, from the observation, the catalog and the AGASC."""
    stars = entries.stars
    return {
        "obsid": observation["obsid"],
        "obi": observation["obi"],
        **{name: entries.column(name) for name in ("slot", "idx", "yang", "zang", "mag")},
        "type": [_type_of(entry) for entry in entries.entries],
        **{name: stars[theirs] for name, theirs in _FROM_AGASC.items()},
    }
