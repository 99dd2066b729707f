"""
What grows with the catalog: opening, planning and a night's ingest, on lakes that list many files but have no rows.

usage: python benchmarks/scale.py [--days 5] [--jobs N] [--dir DIR] [--mission]

The catalog covers a year; with --mission, 27 years (78,840 partitions of aca_l0), and ten times as many. Each lake is
measured in a process of its own, so that memory is that of one lake.
"""

import os
import platform
import resource
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from mica_lake import Lake
from mica_lake.catalog.commit import commit, with_changes
from mica_lake.catalog.generation import read_table, write_generation
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.root import create
from mica_lake.catalog.version import pin
from mica_lake.ingest import binned, hdr3
from mica_lake.ingest.aca_l0 import AcaL0, ingest
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import PARTITION, SOURCE_FILE
from mica_lake.tables.hdr3 import HDR3
from mica_lake.times import cxcsec, day_start, utc_day
from side_by_side import best, main

DAY = 86400.0
YEAR_FILES = 365 * 8 * DAY / 6430
NIGHT = cxcsec("2025:300")  # no other files are near, so that this night is all there is to do
FIRST, LAST = cxcsec("1999:204"), cxcsec("2025:290")
BATCHES = 3
FILES_A_COMMIT = AcaL0.files_a_commit


def partitions(root: Path, days: int) -> pa.Table:
    """The catalog's list of partitions for so many days of `aca_l0` and `hdr3`."""
    night, rng = Key(utc_day(NIGHT)).day_number, np.random.default_rng(1)
    rows = []
    for number in range(days):
        if abs(number - night) < 400:  # the night's year of statistics is derived from the night alone
            continue
        day = EPOCH + timedelta(days=number)
        times = day_start(EPOCH + timedelta(days=number % 9855))  # valid CXC seconds end before ten missions do
        row = {"year": day.year, "doy": day.timetuple().tm_yday, "day_number": number, "rows": 31_000}
        row |= {"bytes": 2_200_000, "tstart": times + 1, "tstop": times + DAY, "files": 14}
        for slot, version in enumerate(rng.bytes(9 * 8).hex()[n : n + 16] for n in range(0, 144, 16)):
            table, key = (ACA_L0, Key(day, slot)) if slot < 8 else (HDR3, Key(day))
            of = {"table_name": table.name, "slot": key.slot, "definition": table.definition}
            rows.append(row | of | {"path": key.pinned(table, version)})
    derived = {job.day: job.derived_from for job in hdr3.stale(root, pa.Table.from_pylist(rows, schema=PARTITION))[0]}
    for row in rows:
        row["derived_from"] = derived[EPOCH + timedelta(days=row["day_number"])] if row["slot"] is None else None
    for job in binned.stale(root, pa.Table.from_pylist(rows, schema=PARTITION))[0]:
        for table in binned.TABLES_OF[job.source]:
            empty = table.schema.empty_table()
            rows.append(pin(root, table, job.key, empty, [], job.derived_from, job.days))
    rows.sort(key=lambda row: (row["table_name"], row["slot"] or 0, row["day_number"]))
    return pa.Table.from_pylist(rows, schema=PARTITION)


def source_files(count: int, folder: Path) -> pa.Table:
    """The catalog's list of so many files of `aca_l0`; the first ones exist, empty."""
    rng = np.random.default_rng(2)
    starts = np.linspace(FIRST, LAST, count // 8 + 2)
    parts = []
    for first in range(0, count, 1 << 20):
        place = np.arange(first, min(first + (1 << 20), count))
        slot, tstart, tstop = place % 8, starts[place // 8], starts[place // 8 + 1]
        digests = rng.bytes(32 * len(place)).hex()
        columns: dict[str, Any] = {
            "product": pa.repeat(ACA_L0.name, len(place)),
            "filename": [f"acaf{int(t):09d}N001_{s}_img0.fits.gz" for t, s in zip(tstart, slot, strict=True)],
            "status": pa.repeat("current", len(place)),
            "directory": [
                str(folder) if n < BATCHES * FILES_A_COMMIT else "/data/ska/data/mica/archive/aca0" for n in place
            ],
            "size": rng.integers(150_000, 330_000, len(place)),
            "mtime_ns": rng.integers(10**18, 17 * 10**17, len(place)),
            "checksum": [digests[n : n + 64] for n in range(0, len(digests), 64)],
            "slot": slot,
            "imgsize": np.where(slot < 3, 8, 6),
            "revision": np.ones(len(place)),
            "tstart": tstart,
            "tstop": tstop,
            **{name: rng.integers(0, 128, len(place)) for name in ("startmnf", "stopmnf")},
            **{name: (tstart / 32.8).astype(int) % 131072 for name in ("startmjf", "stopmjf")},
            **{name: pa.repeat(text, len(place)) for name, text in (("tlmver", "P015"), ("ascdsver", "10.8.3"))},
            "date": pa.repeat("2019-09-29T13:07:50", len(place)),
            "rows": np.where(slot < 3, 1568, 3135),
        }
        for n, name in enumerate(columns["filename"][: max(BATCHES * FILES_A_COMMIT - first, 0)]):
            (folder / name).touch()
            columns["size"][n], columns["mtime_ns"][n] = 0, (folder / name).stat().st_mtime_ns
        arrays = [pa.array(columns[name]) if name in columns else pa.nulls(len(place)) for name in SOURCE_FILE.names]
        parts.append(pa.table(arrays, names=SOURCE_FILE.names).cast(SOURCE_FILE))
    return pa.concat_tables(parts)


def make(root: Path, years: int) -> list[str]:
    """Make a lake whose catalog covers so many years; returns its numbers and sizes."""
    files = known_files(root)
    for old in (root, files):
        shutil.rmtree(old, ignore_errors=True)
    files.mkdir(parents=True)
    known = source_files(int(years * YEAR_FILES), files)
    create(root)
    partition = partitions(root, years * 365)
    write_generation(root, "00000001", partition, known, None)
    folder = root / "_catalog" / "00000001"
    sizes = [f"{(folder / f'{name}.parquet').stat().st_size / 1e6:,.1f} MB" for name in ("partition", "source_file")]
    return [f"{len(partition):,}", f"{len(known):,}", *sizes]


def known_files(root: Path) -> Path:
    """Folder of the files in the catalog that exist."""
    return root.with_name(f"{root.name}_files")


def measure(root: Path, night: Path) -> list[str]:
    """Measure a lake."""
    opened = best(lambda: Lake(root).connection, 3)
    lake = Lake(root)
    query = "SELECT aca_l0_files(cxcsec('1998:100'), cxcsec('1998:119:12:00'), 3) AS files"
    planned = best(lambda: lake.arrow(query), 5)
    assert lake.arrow(query)["files"][0].values.null_count == 0
    told = best(lake.status, 3)
    read = best(lambda: read_table(root, "source_file"), 2)
    partition = read_table(root, "partition")
    row = partition.slice(0, 1).to_pylist()[0]
    merged = best(lambda: with_changes(partition, {("aca_l0", Key(EPOCH, 0)): row}), 1)
    batches = [sorted(known_files(root).iterdir())[: n * FILES_A_COMMIT] for n in (1, BATCHES)]
    one, more = (best(lambda paths=paths: ingest(paths, root, jobs=1), 2) for paths in batches)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    report = ingest([night], root, jobs=1)
    took = time.perf_counter() - began
    assert report.partitions >= 8 and not report.set_aside, report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    known = read_table(root, "source_file")
    committed = best(lambda: commit(root, {}, known), 2)
    times = (opened * 1e3, planned * 1e3, told * 1e3, read * 1e3, merged * 1e3, committed * 1e3)
    each = (more - one) / (BATCHES - 1)
    memory = (f"{before:,.0f} MB", f"{peak:,.0f} MB")
    return [*(f"{value:,.0f} ms" for value in times), f"{each * 1e3:,.0f} ms", f"{took:,.1f} s", *memory]


def run(folder: Path, days: int, jobs: int, mission: bool) -> None:
    """Simulate, measure, print."""
    console = Console()
    files, empty = folder / f"night_{days}", folder / "lake_of_nothing"
    if not files.exists():
        write_archive(files, NIGHT, NIGHT + days * DAY, hard_cases=False, jobs=jobs)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    console.print(f"{machine}; DuckDB {duckdb.__version__}, pyarrow {pa.__version__}; load {os.getloadavg()[0]:.1f}")
    shutil.rmtree(empty, ignore_errors=True)
    alone = best(lambda: ingest([files], empty, jobs=1), 1)
    console.print(f"{days} days, {len(list(files.iterdir()))} files, into a lake of nothing: {alone:.1f} s")
    names = (
        "partitions", "files known", "partition.parquet", "source_file.parquet", "opening",
        "planning 20 days of a slot", "status", "reading source_file", "merging a change into partition",
        "writing a generation", f"looking at {FILES_A_COMMIT:,} known files", "ingest of the night",
        "memory before it, at most", "in it, at most",
    )  # fmt: skip
    table, columns = Table("what"), []
    for years in (27, 270) if mission else (1,):
        table.add_column(f"{years} years", justify="right")
        root = folder / f"lake_of_{years}"
        columns.append([*alone_in_a_process(make, root, years), *alone_in_a_process(measure, root, files)])
    for line in zip(names, *columns, strict=True):
        table.add_row(*line)
    console.print(table)


def alone_in_a_process(function: Callable[..., list[str]], *arguments: Any) -> list[str]:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


if __name__ == "__main__":
    main(__doc__, run)
