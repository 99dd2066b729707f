"""Building a partition of `aca_l0` from its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.key import Key
from mica_lake.catalog.partition import Source, read_partition, read_sources
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.ingest.aca_l0.files import read_rows, seconds_of
from mica_lake.store.place import LakePath
from mica_lake.tables.aca_l0 import ACA_L0, SAME_READOUT
from mica_lake.times import day_start


@dataclass(frozen=True)
class SlotJob:
    """
    A day of a slot to rebuild.

    Attributes
    ----------
    root : path
        The lake.
    key : Key
        Which partition.
    existing : str or None
        Its version so far, relative to the lake.
    removed : frozenset of str
        Source files whose rows go.
    added : tuple of (directory, Source)
        Source files whose rows come.
    directories : dict
        Where the files that stay were seen, in case one has to be read again.
    """

    root: LakePath
    key: Key
    existing: str | None
    removed: frozenset[str]
    added: tuple[tuple[str, Source], ...]
    directories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """
    A rebuilt partition.

    Attributes
    ----------
    key : Key
        Which partition.
    row : dict or None
        Its row in the catalog; None if it is as it was or has no rows.
    emptied : bool
        Whether it had rows and has none any more.
    day_rows : dict
        Source file added -> its rows of this day.
    bad : dict
        Source file added -> why its rows cannot be taken.
    wanted : dict
        Source file that stays -> why it should be read again.
    """

    key: Key
    row: dict[str, Any] | None
    emptied: bool
    day_rows: dict[str, int]
    bad: dict[str, str]
    wanted: dict[str, str]


def build(job: SlotJob) -> Built:
    """Rebuild a partition; it is written, but not committed."""
    start, stop = day_start(job.key.day), day_start(job.key.day + timedelta(days=1))
    tables: list[pa.Table] = []
    sources: dict[str, Source] = {}
    day_rows: dict[str, int] = {}
    bad: dict[str, str] = {}
    wanted: dict[str, str] = {}
    so_far = read_sources(job.root / job.existing, ACA_L0)[0] if job.existing is not None else []
    gone = (job.removed | {source.filename for _, source in job.added}) & {source.filename for source in so_far}

    def add(directory: str, source: Source) -> None:
        rows = read_rows(directory, source)
        times = rows.column("TIME").to_numpy()
        first, last = np.searchsorted(times, [start, stop]).tolist()
        day_rows[source.filename] = last - first
        if last > first:
            tables.append(rows.slice(first, last - first))
            sources[source.filename] = replace(source, day_rows=last - first, rows=last - first)

    if job.existing is not None:
        again: set[str] = set()
        for source in so_far:
            if source.filename in gone:
                continue
            if source.rows < source.day_rows:
                # Some of its readouts were kept from another file; which ones depends on all files that there are now.
                try:
                    add(job.directories.get(source.filename, ""), source)
                    again.add(source.filename)
                    continue
                except BadFile as error:
                    if gone:
                        wanted[source.filename] = f"readouts that it shared are to be read from it again: {error}"
            sources[source.filename] = source
        rows = read_partition(job.root / job.existing, schema=ACA_L0.schema)
        if gone or again:
            drop = pa.array(sorted(gone | again), pa.string())
            rows = rows.filter(pc.invert(pc.is_in(rows.column("FILENAME"), drop)))
        tables.append(rows)
    for directory, source in job.added:
        try:
            add(directory, source)
        except BadFile as error:
            bad[source.filename] = str(error)
    if not sources:
        return Built(job.key, None, job.existing is not None, day_rows, bad, wanted)
    merged, kept = _merge(tables, sources)
    listed = [replace(source, rows=kept[name]) for name, source in sources.items()]
    row = pin(job.root, ACA_L0, job.key, merged, listed)
    return Built(job.key, None if row["path"] == job.existing else row, False, day_rows, bad, wanted)


def _merge(tables: Sequence[pa.Table], sources: Mapping[str, Source]) -> tuple[pa.Table, dict[str, int]]:
    """Rows in time order, each readout once; and how many rows came from each file."""
    tables = sorted((t for t in tables if len(t)), key=lambda t: t.column("TIME")[0].as_py())
    if not tables:
        return ACA_L0.schema.empty_table(), dict.fromkeys(sources, 0)
    rows = pa.concat_tables(tables)
    times = rows.column("TIME").to_numpy()
    encoded = rows.column("FILENAME").combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    # The newest revision has the say; of files of one revision, the later.
    best_first = sorted(names, key=lambda name: (sources[name].revision, seconds_of(name), name), reverse=True)
    rank = np.array([best_first.index(name) for name in names])[encoded.indices.to_numpy()]
    gaps = np.diff(times)
    if not ((gaps <= 0) | ((gaps < SAME_READOUT) & (np.diff(rank) != 0))).any():
        order = None
    else:
        by_time = np.argsort(times, kind="stable")
        starts = np.flatnonzero(np.diff(times[by_time], prepend=-np.inf) >= SAME_READOUT)
        best = np.minimum.reduceat(rank[by_time], starts)
        together = np.repeat(best, np.diff(starts, append=len(times)))
        order = by_time[rank[by_time] == together]
        rows, rank = rows.take(pa.array(order)), rank[order]
    counts = np.bincount(rank, minlength=len(best_first))
    return rows, dict.fromkeys(sources, 0) | dict(zip(best_first, counts.tolist(), strict=True))
