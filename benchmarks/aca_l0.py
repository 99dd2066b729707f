"""
ACA L0: the lake compared with reading file by file, on simulated files.

usage: python benchmarks/aca_l0.py [--days 5] [--jobs N] [--dir DIR] [--mission]

Each row compares two times of the same run. The best of several repetitions counts on both sides, so both have their
files in the page cache.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import astropy
import duckdb
import numpy as np
import polars
import pyarrow as pa
from astropy.io import fits
from rich.console import Console

from mica_lake import Lake, per_file
from mica_lake.archive import aca_l0
from mica_lake.catalog.commit import commit
from mica_lake.catalog.key import Key
from mica_lake.catalog.partition import Source
from mica_lake.catalog.pointer import current_generation
from mica_lake.catalog.root import create
from mica_lake.catalog.version import pin
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import SOURCE_FILE
from mica_lake.times import cxcsec, day_start, utc_day
from side_by_side import Rows, best, main

START = cxcsec("2024:001")
DAY = 86400.0
STAR, FID = 3, 0  # a 6x6 and an 8x8 slot


def read_all(paths: list[Path]) -> int:
    """Open each file with astropy and read all its columns once: what the ingest is compared with."""
    rows = 0
    for path in paths:
        with fits.open(path) as hdus:
            data = hdus[1].data
            columns = [np.array(data[name]) for name in data.names]
        rows += len(columns[0])
    return rows


def run(folder: Path, days: int, jobs: int, mission: bool) -> Rows:
    """Simulate, measure, print."""
    console = Console()
    files, root = folder / f"files_{days}", folder / f"lake_{days}"
    stop = START + days * DAY
    if not files.exists():
        write_archive(files, START, stop, hard_cases=False, jobs=jobs)
    by_slot = [sorted(files.glob(f"*_{slot}_img0.fits.gz")) for slot in range(8)]
    paths = [path for slot in by_slot for path in slot]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = f"DuckDB {duckdb.__version__}, Polars {polars.__version__}, pyarrow {pa.__version__}"
    console.print(
        f"{days} days, {len(paths)} files, {jobs} processes; {machine}; {versions}, astropy {astropy.__version__}"
    )
    rows = Rows()

    # Both start their processes and read from the page cache; three times, as disks and clouds vary.
    baseline_times, ingest_times = [], []
    for _ in range(3):
        began = time.perf_counter()
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            readouts = sum(pool.map(read_all, [paths[i : i + 32] for i in range(0, len(paths), 32)]))
        baseline_times.append(time.perf_counter() - began)
        shutil.rmtree(root, ignore_errors=True)
        began = time.perf_counter()
        report = ingest([files], root, jobs=jobs)
        ingest_times.append(time.perf_counter() - began)
        assert report.rows == readouts
    rows.add(
        f"ingest, and reading all files once, {jobs} processes",
        *map(statistics.median, (ingest_times, baseline_times)),
        goal=1 / 0.4,
    )
    again = best(lambda: ingest([files], root, jobs=jobs), 3)
    console.print(f"a second run over {len(paths)} files: {again * 1e3:.0f} ms")
    size = sum(path.stat().st_size for path in root.glob("aca_l0/**/*.parquet"))
    gz = sum(path.stat().st_size for path in paths)
    console.print(f"{gz / 1e6:,.0f} MB gz, {size / 1e6:,.0f} MB Parquet: {size / gz:.2f}")

    lake = Lake(root)

    def slot_data(start: float, stop: float, slot: int, columns: list[str] | None = None) -> tuple[float, float]:
        chosen = [path for path in by_slot[slot] if path_meets(path, start, stop)]
        ours = aca_l0.get_slot_data(start, stop, slot, columns=columns, data_root=root)
        theirs = per_file.get_slot_data(chosen, start, stop, columns)
        assert len(ours) == len(theirs) and all(
            np.array_equal(ours[n].data, theirs[n].data) for n in ["TIME"] if columns != ["IMGRAW"]
        )
        return (
            best(lambda: aca_l0.get_slot_data(start, stop, slot, columns=columns, data_root=root), 7),
            best(lambda: per_file.get_slot_data(chosen, start, stop, columns), 3),
        )

    noon = START + (days - 1) * DAY / 2 + DAY / 2
    day = START + (days // 2) * DAY
    rows.add("TIME, TEMPCCD of one slot, one day", *slot_data(day, day + DAY, STAR, ["TIME", "TEMPCCD"]), goal=100)
    rows.add(f"TIME, TEMPCCD of one slot, {days} days", *slot_data(START, stop, STAR, ["TIME", "TEMPCCD"]), goal=400)
    rows.add(f"IMGRAW of a 6x6 slot, {days} days", *slot_data(START, stop, STAR, ["IMGRAW"]), goal=20)
    rows.add("all columns, one day", *slot_data(day, day + DAY, STAR))
    rows.add("all columns, one day, 8x8", *slot_data(day, day + DAY, FID))
    near = [[p for p in slot if path_meets(p, noon, noon + 3600)] for slot in by_slot]
    rows.add(
        "get_l0_images of 35 s",
        best(lambda: aca_l0.get_l0_images(noon, noon + 35, STAR, data_root=root), 15),
        best(
            lambda: per_file.get_l0_images([p for p in near[STAR] if path_meets(p, noon, noon + 35)], noon, noon + 35),
            7,
        ),
        goal=10,
    )
    rows.add(
        "get_aca_images of an hour",
        best(lambda: aca_l0.get_aca_images(noon, noon + 3600, data_root=root), 7),
        best(lambda: per_file.get_aca_images(near, noon, noon + 3600), 3),
        goal=15,
    )
    baseline = best(lambda: per_file.read_columns(by_slot[STAR], ["IMGRAW"]), 3)
    query = "SELECT IMGRAW FROM slot_data($start, $stop, $slot)"
    params = {"start": START, "stop": stop, "slot": STAR}
    rows.add(f"IMGRAW of a 6x6 slot, {days} days, SQL to Arrow", best(lambda: lake.arrow(query, params), 5), baseline)
    frame = lake.scan("aca_l0", START, stop, slot=STAR).select("IMGRAW")
    rows.add(f"IMGRAW of a 6x6 slot, {days} days, Polars", best(lambda: frame.collect(), 5), baseline)
    if mission:
        mission_rows(console, folder / "mission", root, days)
    return rows


def path_meets(path: Path, start: float, stop: float) -> bool:
    """Whether a file of the simulated archive can have readouts in a time range."""
    begins = int(path.name[4:13])
    return begins - 10 <= stop and begins + 6450 >= start


def mission_rows(console: Console, root: Path, small: Path, days: int) -> None:
    """Measure planning on a lake of 27 years of tiny partitions, compared with a lake of a few days."""
    first = utc_day(cxcsec("1999:204"))
    count = 27 * 365
    if current_generation(root) is None:
        tiny_lake(root, first.toordinal(), count)
    began = time.perf_counter()
    lake = Lake(root)
    _ = lake.connection
    console.print(f"opening a lake of {count * 8:,} partitions: {(time.perf_counter() - began) * 1e3:.0f} ms")
    query = "SELECT TIME, TEMPCCD FROM slot_data($start, $stop, 3)"
    middle = day_start(type(first).fromordinal(first.toordinal() + count // 2))
    tiny = best(lambda: lake.arrow(query, {"start": middle, "stop": middle + days * DAY - 1}), 15)
    other = Lake(small)
    params = {"start": START, "stop": START + days * DAY - 1}
    full = best(lambda: other.arrow(query, params), 15)
    console.print(
        f"slot_data of {days} days: {tiny * 1e3:.1f} ms on it, {full * 1e3:.1f} ms on the lake of {days} days, "
        f"ratio {tiny / full:.2f}"
    )
    script = (
        "import sys, time; from mica_lake import Lake; lake = Lake(sys.argv[1]); began = time.perf_counter();"
        "rows = lake.arrow(\"SELECT TEMPCCD FROM slot_data('1999:204', '2026:365', 3)\").num_rows;"
        "seconds = time.perf_counter() - began; status = open('/proc/self/status').read();"
        "print(rows, seconds, int(status.split('VmHWM:')[1].split()[0]) / 1024)"
    )
    out = subprocess.run([sys.executable, "-c", script, str(root)], check=True, capture_output=True, text=True).stdout
    rows, seconds, megabytes = map(float, out.split())
    console.print(f"one column of one slot, all years: {rows:,.0f} rows, {seconds:.2f} s, at most {megabytes:,.0f} MB")


def tiny_lake(root: Path, first_ordinal: int, count: int) -> None:
    """Make a lake with one readout in each partition."""
    create(root)
    written: dict[tuple[str, Key], dict[str, Any]] = {}
    day_type = utc_day(0.0).__class__
    for ordinal in range(first_ordinal, first_ordinal + count):
        day = day_type.fromordinal(ordinal)
        begins = day_start(day)
        for slot in range(8):
            columns = {c.name: [begins + 1.0] if c.name == "TIME" else [None] for c in ACA_L0.columns} | {
                "TEMPCCD": [263.15],
                "IMGSIZE": [6],
                "IMGRAW": [[0.0] * 36],
                "QUALITY": [0],
                "IMGNUM1": [slot],
            }
            rows = pa.table(columns, schema=ACA_L0.schema)
            name = f"acaf{int(begins):09d}N001_{slot}_img0.fits.gz"
            source = Source(name, "0" * 64, slot, 6, 1, begins, begins + 2, 0, 0, 0, 0, "", "", "", 1, 1, 1)
            key = Key(day, slot)
            written["aca_l0", key] = pin(root, ACA_L0, key, rows, [source])
    commit(root, written, SOURCE_FILE.empty_table())


if __name__ == "__main__":
    main(__doc__, run)
