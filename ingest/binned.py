"""
Statistics over time: from `hdr3` and `aca_l0`, whose partitions are days, to tables whose partitions are years.

A bin belongs to the UTC day that its middle is in, and may have rows of the day before and after. What a day's bins are
made from is kept in the metadata of the partition, so that a new day costs the statistics of one day.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mica_lake.catalog.check import text_ranks
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import read_days, read_partition
from mica_lake.catalog.version import pin
from mica_lake.ingest import follow
from mica_lake.ingest.follow import Pools, Written
from mica_lake.ingest.report import Report
from mica_lake.ingest.source_files import derived_from
from mica_lake.pixels import first_moments, images_of
from mica_lake.store.place import LakePath
from mica_lake.tables import TABLES as ALL_TABLES
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.binned import (
    HDR3_5MIN,
    HDR3_DAILY,
    PERCENTILES,
    SLOT_5MIN,
    SLOT_COLUMNS,
    SLOT_DAILY,
    TABLES,
    WIDTHS,
)
from mica_lake.tables.hdr3 import HDR3
from mica_lake.tables.hdr3_msids import PSEUDO_MSIDS
from mica_lake.times import day_start

Floats = NDArray[np.float64]
# What statistics are made of: of which MSID, its image size if it has one, the times and values of its good readouts.
Series = tuple[str, int | None, Floats, Floats]

TABLES_OF = {HDR3.name: (HDR3_5MIN, HDR3_DAILY), ACA_L0.name: (SLOT_5MIN, SLOT_DAILY)}
_IMAGES = ("IMGRAW", "IMGROW0", "IMGCOL0")


def statistics(times: Floats, values: Floats, width: float, percentiles: Sequence[int] = ()) -> dict[str, Any]:
    """Columns of the statistics of some values in time order, a row for each bin that has any."""
    bins = np.floor(times / width)
    first = np.flatnonzero(np.diff(bins, prepend=-np.inf))
    n = np.diff(first, append=len(bins))
    mean = np.add.reduceat(values, first) / n
    apart = (values - np.repeat(mean, n)) ** 2
    columns = {
        "TIME": (bins[first] + 0.5) * width,
        "n": n.astype(np.int32),
        "mean": mean,
        "min": np.minimum.reduceat(values, first),
        "max": np.maximum.reduceat(values, first),
        "std": np.sqrt(np.add.reduceat(apart, first) / n),
        "midval": values[first + n // 2],
    }
    # Rounding may put the mean of equal values beside them.
    columns["mean"] = np.clip(mean, columns["min"], columns["max"])
    if percentiles:
        found = [np.percentile(values[f : f + k], percentiles) for f, k in zip(first, n, strict=True)]
        by_percentile = np.array(found).reshape(-1, len(percentiles)).T
        columns |= {f"p{p:02}": column for p, column in zip(percentiles, by_percentile, strict=True)}
    return columns


@dataclass(frozen=True)
class YearJob:
    """
    The statistics of a year of `hdr3`, or of a slot, to be brought up to date.

    Attributes
    ----------
    root : path
        The lake.
    source : str
        The table that they are derived from.
    key : Key
        The year, and slot.
    paths : dict
        The partitions of `source`, and those of the days before and after the year: day number -> path.
    days : dict
        What the bins of each day are made from, as a checksum: day number -> checksum.
    existing : tuple of (str or None)
        The partitions of the two tables so far, if their definitions are today's.
    """

    root: LakePath
    source: str
    key: Key
    paths: Mapping[int, str]
    days: Mapping[int, str]
    existing: tuple[str | None, ...]

    @property
    def derived_from(self) -> str:
        """A checksum of what the year is derived from."""
        return derived_from(sorted(self.days.items()))


def derive_year(job: YearJob) -> list[dict[str, Any]]:
    """Bring a year up to date; its partitions are written, but not committed."""
    known = [read_days(job.root / path) if path else {} for path in job.existing]
    kept = {day for day, made_from in job.days.items() if all(days.get(day) == made_from for days in known)}
    pieces: list[list[pa.Table]] = [[], []]
    for day in sorted(job.days.keys() - kept):
        for piece, rows_of_day in zip(pieces, _of_day(job, day), strict=True):
            piece.append(rows_of_day)
    rows = []
    for table, path, piece in zip(TABLES_OF[job.source], job.existing, pieces, strict=True):
        if path and kept:
            so_far = read_partition(job.root / path, schema=table.schema)
            piece.append(so_far.filter(pa.array(np.isin(_days_of(job.key, so_far), sorted(kept)))))
        joined = _in_order(pa.concat_tables([table.schema.empty_table(), *piece]))
        rows.append(pin(job.root, table, job.key, joined, [], job.derived_from, job.days))
    return rows


def _days_of(key: Key, rows: pa.Table) -> NDArray[np.int64]:
    """The day, by number, that the middle of each bin is in."""
    first = key.day_number
    starts = [day_start(EPOCH + timedelta(days=number)) for number in range(first, first + 367)]
    found: NDArray[np.int64] = np.searchsorted(starts, rows.column("TIME").to_numpy(), side="right")
    return found + (first - 1)


def _in_order(rows: pa.Table) -> pa.Table:
    keys = [rows.column("TIME").to_numpy()]
    if "imgsize" in rows.column_names:
        keys.append(rows.column("imgsize").to_numpy())
    return rows.take(np.lexsort([*keys, text_ranks(rows.column("msid").combine_chunks())]))


def _of_day(job: YearJob, day: int) -> list[pa.Table]:
    """The bins of a day, of each of the two tables."""
    midnights = np.array([day_start(EPOCH + timedelta(days=number)) for number in (day, day + 1)])
    spans = {stat: (np.ceil(midnights / width - 0.5) * width).tolist() for stat, width in WIDTHS.items()}
    start, stop = min(span[0] for span in spans.values()), max(span[1] for span in spans.values())
    series = list(_READERS[job.source](job, start, stop, day))
    made = []
    for table, (stat, width) in zip(TABLES_OF[job.source], WIDTHS.items(), strict=True):
        pieces = [table.schema.empty_table()]
        for msid, imgsize, times, values in series:
            within = slice(*np.searchsorted(times, spans[stat]))
            columns = statistics(times[within], values[within], width, PERCENTILES if stat == "daily" else ())
            count = len(columns["n"])
            columns["msid"] = pa.repeat(msid, count)
            if imgsize is not None:
                columns["slot"] = np.full(count, job.key.slot, np.int8)
                columns["imgsize"] = np.full(count, imgsize, np.int8)
            pieces.append(pa.table({name: columns[name] for name in table.schema.names}, table.schema))
        made.append(pa.concat_tables(pieces))
    return made


def _rows(job: YearJob, start: float, stop: float, day: int, columns: list[str], schema: pa.Schema) -> pa.Table:
    """Rows of a source with start <= TIME < stop, around a day."""
    time = pc.field("TIME")
    conditions = {-1: time >= start, 0: (time >= start) & (time < stop), 1: time < stop}
    parts = [
        read_partition(job.root / job.paths[day + beside], columns=columns, filters=condition, schema=schema)
        for beside, condition in conditions.items()
        if day + beside in job.paths
    ]
    return pa.concat_tables([schema.empty_table().select(columns), *(part.select(columns) for part in parts)])


def _hdr3(job: YearJob, start: float, stop: float, day: int) -> Iterator[Series]:
    names = [msid.name for msid in PSEUDO_MSIDS]
    rows = _rows(job, start, stop, day, ["TIME", *names], HDR3.schema)
    times = rows.column("TIME").to_numpy()
    for name in names:
        values = rows.column(name).cast(pa.float64()).to_numpy()  # null is NaN
        good = np.isfinite(values)
        if good.any():
            yield name, None, times[good], values[good]


def _slot(job: YearJob, start: float, stop: float, day: int) -> Iterator[Series]:
    columns = ["TIME", "QUALITY", "IMGSIZE", *SLOT_COLUMNS, *_IMAGES]
    rows = _rows(job, start, stop, day, columns, ACA_L0.schema)
    right, sizes = rows.column("QUALITY").to_numpy() == 0, rows.column("IMGSIZE").to_numpy()
    for size in (4, 6, 8):
        chosen = right & (sizes == size)
        if not chosen.any():
            continue
        of_size = (rows if chosen.all() else rows.filter(pa.array(chosen))).combine_chunks()
        times = of_size.column("TIME").to_numpy()
        found = {name: of_size.column(name).cast(pa.float64()).to_numpy() for name in SLOT_COLUMNS}
        pixels = images_of(of_size.column("IMGRAW")).astype(float)
        found["IMGSUM"], found["IMGMAX"] = pixels.sum(axis=(1, 2)), pixels.max(axis=(1, 2))
        row0, col0 = (of_size.column(name).to_numpy() for name in _IMAGES[1:])
        row, col, _ = first_moments(pixels)
        found["IMGROW"], found["IMGCOL"] = row0 + row, col0 + col
        for name, values in found.items():
            good = np.isfinite(values)
            if good.any():
                yield name, size, times[good], values[good]


_READERS = {HDR3.name: _hdr3, ACA_L0.name: _slot}


def stale(root: LakePath, partition: pa.Table) -> tuple[list[YearJob], list[tuple[str, Key]]]:
    """The stale years, and the partitions that nothing is left to derive from."""
    names = [*TABLES_OF, *(table.name for table in TABLES)]
    listed = partition.filter(pc.is_in(partition.column("table_name"), pa.array(names)))
    sources: dict[tuple[str, int | None], dict[int, dict[str, Any]]] = {}
    derived: dict[tuple[str, Key], dict[str, Any]] = {}
    columns = ["table_name", "day_number", "slot", "path", "derived_from", "definition"]
    for row in listed.select(columns).to_pylist():
        if row["table_name"] in TABLES_OF:
            sources.setdefault((row["table_name"], row["slot"]), {})[row["day_number"]] = row
        else:
            derived[row["table_name"], Key(EPOCH + timedelta(days=row["day_number"]), row["slot"])] = row
    jobs, wanted = [], set()
    for (source, slot), rows in sorted(sources.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        for year, days in sorted(_years(rows).items()):
            key = Key(date(year, 1, 1), slot)
            tables = [(table.name, key) for table in TABLES_OF[source]]
            wanted.update(tables)
            so_far = [derived.get(table) for table in tables]
            current = [
                row if row and row["definition"] == table.definition else None
                for row, table in zip(so_far, TABLES_OF[source], strict=True)
            ]
            around = range(min(days) - 1, max(days) + 2)
            paths = {day: rows[day]["path"] for day in around if day in rows}
            job = YearJob(root, source, key, paths, days, tuple(row["path"] if row else None for row in current))
            if any(row is None or row["derived_from"] != job.derived_from for row in current):
                jobs.append(job)
    return jobs, sorted(derived.keys() - wanted)


def _years(rows: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[int, str]]:
    """For each year the days that have bins, and a checksum of the partitions that each is made from."""
    # A bin may reach over midnight.
    days = {max(day + beside, 0) for day in rows for beside in (-1, 0, 1)}
    years: dict[int, dict[int, str]] = {}
    for day in sorted(days):
        around = [rows[beside]["path"] for beside in (day - 1, day, day + 1) if beside in rows]
        years.setdefault((EPOCH + timedelta(days=day)).year, {})[day] = derived_from(around)[:16]
    return years


def stale_paths(root: LakePath, partition: pa.Table) -> list[str]:
    """The stale partitions, for `mica-lake verify`."""
    jobs, gone = stale(root, partition)
    return [
        *(key.path(ALL_TABLES[name]) for name, key in gone),
        *(job.key.path(table) for job in jobs for table in TABLES_OF[job.source]),
    ]


def derive(root: LakePath, partition: pa.Table, pools: Pools, report: Report) -> Written:
    """Bring the stale years up to date, given the partitions that they are derived from."""
    jobs, gone = stale(root, partition)
    written: Written = dict.fromkeys(gone)
    for job, rows in zip(jobs, pools(len(jobs)).map(derive_year, jobs), strict=True):
        for table, row in zip(TABLES_OF[job.source], rows, strict=True):
            written[table.name, job.key] = row
            report.rows += row["rows"]
    return written


ingest = partial(follow.derive, "binned")
