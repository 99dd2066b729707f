"""
Header 3: from the 8x8 readouts of table `aca_l0` to table `hdr3`.

A day of `hdr3` is derived from that day of `aca_l0` and the first seconds of the next, since whether a readout is good
depends on the one after it; and, for values that span two slots, from the last seconds of the day before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.version import pin
from mica_lake.ingest import follow
from mica_lake.ingest.follow import Pools, Written
from mica_lake.ingest.report import Report
from mica_lake.ingest.source_files import derived_from
from mica_lake.store.place import LakePath
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.hdr3 import HDR3
from mica_lake.tables.hdr3_msids import CADENCE, PAIRING, PSEUDO_MSIDS, TOLERANCE
from mica_lake.times import day_start

WORDS = (*range(62, 68), *range(72, 78))
# Slots with bytes of values whose other bytes, and times, are another slot's.
COMPLETING = frozenset[int]().union(*(msid.other_slots for msid in PSEUDO_MSIDS))


@dataclass(frozen=True)
class DayJob:
    """
    A day to derive.

    Attributes
    ----------
    root : path
        The lake.
    day : datetime.date
        The day.
    yesterday, today, tomorrow : dict
        The partitions of `aca_l0` of the day before (of `COMPLETING` slots only), this day and the next: slot -> path
        relative to the lake.
    """

    root: LakePath
    day: date
    yesterday: Mapping[int, str]
    today: Mapping[int, str]
    tomorrow: Mapping[int, str]

    @property
    def derived_from(self) -> str:
        """A checksum of the names of the day's sources, which contain their checksums."""
        return derived_from([sorted(d.values()) for d in (self.yesterday, self.today, self.tomorrow)])


def derive_day(job: DayJob) -> dict[str, Any]:
    """Derive a day; it is written, but not committed."""
    midnights = day_start(job.day), day_start(job.day + timedelta(days=1))
    completing = COMPLETING & {*job.yesterday, *job.today, *job.tomorrow}
    around = {
        slot: _readouts(job, slot, PAIRING if slot in completing else 0) for slot in job.today.keys() | completing
    }
    readouts = {slot: around[slot].between(*midnights) for slot in job.today}
    times = np.unique(np.concatenate([r.times for r in readouts.values()]))
    rows = {slot: np.searchsorted(times, r.times) for slot, r in readouts.items()}
    slots = np.zeros(len(times), np.uint8)
    for slot in readouts:
        slots[rows[slot]] |= np.uint8(1 << slot)
    columns: list[pa.Array] = [pa.array(times), pa.array(slots)]
    for msid in PSEUDO_MSIDS:
        if msid.slot not in readouts or not msid.other_slots <= around.keys():
            columns.append(pa.nulls(len(times), msid.type))
            continue
        own = readouts[msid.slot]
        sources = {msid.slot: own} | {slot: around[slot].nearest(own.times) for slot in msid.other_slots}
        found = msid.values(np.column_stack([sources[slot].words[:, WORDS.index(word)] for slot, word in msid.bytes]))
        values, missing = np.zeros(len(times), found.dtype), np.ones(len(times), bool)
        values[rows[msid.slot]] = found
        missing[rows[msid.slot]] = ~np.logical_and.reduce([source.good for source in sources.values()])
        columns.append(pa.array(values, mask=missing, from_pandas=False).cast(msid.type))
    return pin(job.root, HDR3, Key(job.day), pa.Table.from_arrays(columns, schema=HDR3.schema), [], job.derived_from)


@dataclass(frozen=True)
class _Readouts:
    """Some 8x8 readouts of a slot, in time order."""

    times: NDArray[np.float64]
    good: NDArray[np.bool_]
    words: NDArray[np.uint8]

    def between(self, start: float, stop: float) -> "_Readouts":
        """Those with start <= time < stop."""
        within = slice(*np.searchsorted(self.times, [start, stop]))
        return _Readouts(self.times[within], self.good[within], self.words[within])

    def nearest(self, times: NDArray[np.float64]) -> "_Readouts":
        """For each of some times the nearest good one, the earlier of two equally near; bad if it is too far away."""
        own, words = self.times[self.good], self.words[self.good]
        if not len(own):
            return _Readouts(times, np.zeros(len(times), bool), np.zeros((len(times), len(WORDS)), np.uint8))
        after = np.searchsorted(own, times).clip(max=len(own) - 1)
        before = (after - 1).clip(min=0)
        nearest = np.where(np.abs(times - own[before]) <= np.abs(own[after] - times), before, after)
        return _Readouts(times, np.abs(own[nearest] - times) <= PAIRING, words[nearest])


def _readouts(job: DayJob, slot: int, beside: float) -> _Readouts:
    """A day's readouts, and those up to some seconds before and after it."""
    time = pc.field("TIME")
    start, stop = day_start(job.day) - beside, day_start(job.day + timedelta(days=1)) + beside
    names = [f"HD3TLM{word}" for word in WORDS]
    parts = [
        _read_8x8(job.root / paths[slot], ["TIME", *names], condition)
        for paths, condition in (
            (job.yesterday if beside else {}, time >= start),
            (job.today, None),
            (job.tomorrow, time < stop + CADENCE + TOLERANCE),
        )
        if slot in paths
    ]
    rows = pa.concat_tables(parts)
    times = rows.column("TIME").to_numpy()
    good = np.abs(np.diff(times, append=np.inf) - CADENCE) <= TOLERANCE
    words = np.column_stack([rows.column(name).to_numpy() for name in names])
    return _Readouts(times, good, words).between(start, stop)


def _read_8x8(path: LakePath, columns: list[str], condition: pc.Expression | None = None) -> pa.Table:
    of_size = pc.field("IMGSIZE") == 8
    chosen = of_size if condition is None else of_size & condition
    schema = pa.schema([ACA_L0.schema.field(name) for name in {*columns, "IMGSIZE", "TIME"}])
    return read_partition(path, columns=columns, filters=chosen, schema=schema)


def stale(root: LakePath, partition: pa.Table) -> tuple[list[DayJob], list[Key]]:
    """The stale days."""
    sources: dict[int, dict[int, str]] = {}
    derived: dict[int, str] = {}
    columns = ("table_name", "day_number", "slot", "path", "derived_from", "definition")
    rows = zip(*(partition.column(name).to_pylist() for name in columns), strict=True)
    for name, number, slot, path, made_from, definition in rows:
        if name == ACA_L0.name:
            sources.setdefault(number, {})[slot] = path
        elif name == HDR3.name:
            derived[number] = made_from if definition == HDR3.definition else ""
    jobs = []
    for number, today in sorted(sources.items()):
        yesterday = {slot: path for slot, path in sources.get(number - 1, {}).items() if slot in COMPLETING}
        job = DayJob(root, EPOCH + timedelta(days=number), yesterday, today, sources.get(number + 1, {}))
        if derived.get(number) != job.derived_from:
            jobs.append(job)
    return jobs, [Key(EPOCH + timedelta(days=number)) for number in sorted(derived.keys() - sources.keys())]


def stale_paths(root: LakePath, partition: pa.Table) -> list[str]:
    """The stale partitions, for `mica-lake verify`."""
    jobs, gone = stale(root, partition)
    return [key.path(HDR3) for key in [*gone, *(Key(job.day) for job in jobs)]]


def derive(root: LakePath, partition: pa.Table, pools: Pools, report: Report) -> Written:
    """Rebuild the stale days, given the partitions that they are derived from."""
    jobs, gone = stale(root, partition)
    written: Written = {(HDR3.name, key): None for key in gone}
    for job, row in zip(jobs, pools(len(jobs)).map(derive_day, jobs, chunksize=4), strict=True):
        written[HDR3.name, Key(job.day)] = row
        report.rows += row["rows"]
    return written


ingest = partial(follow.derive, "hdr3")
