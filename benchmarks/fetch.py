"""
How long the plan of a night takes: mica-lake fetch all --dry-run, on a mission's archive and catalog.

usage: python benchmarks/fetch.py [--years 27] [--runs 3]

The databases and the catalog list as many files as there are, and the archive's own list a thousand more; none of them
exists, as a plan does not look at files. Each run is a process of its own, so that its imports count, too.
"""

import argparse
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scale import FIRST, LAST, YEAR_FILES, source_files

from mica_lake.catalog.generation import write_generation
from mica_lake.catalog.root import create
from mica_lake.fetch.archfiles import DATABASE, list_revisions, list_telemetry
from mica_lake.ingest import aca0_list as ingest_of_list
from mica_lake.simulate import aca0_list
from mica_lake.tables.catalog import PARTITION

HOLES, YEAR_OBSERVATIONS = 1000, 1600


def observations(years: int) -> Iterator[tuple[int, float]]:
    """Obsids and times of so many years."""
    times = np.linspace(FIRST, LAST, years * YEAR_OBSERVATIONS)
    return (
        (1 + number * 5 // 6 if number % 6 else 38001 + number // 6, time) for number, time in enumerate(times.tolist())
    )


def make(ska: Path, lake: Path, years: int) -> list[int]:
    """Databases and a catalog of so many years; returns how many rows each has."""
    known = source_files(int(years * YEAR_FILES), _folder(ska / "files"))
    create(lake)
    write_generation(lake, "00000001", PARTITION.empty_table(), known, None)
    rows = known.select(["filename", "tstart", "tstop", "slot"]).to_pylist()
    top = _folder(ska / "data/mica/archive/aca0")
    list_telemetry(top, [_of_telemetry(rows[0])])
    _insert(top, (_of_telemetry(row) for row in rows[1:]))
    holes = [f"acaf{int(t):09d}N001_3_img0.fits" for t in np.linspace(FIRST + 5, LAST - 1e6, HOLES)]
    aca0_list.write_archive(ska, [*(r["filename"] for r in rows), *holes])
    ingest_of_list.ingest(ska, lake, jobs=1)
    counts = [len(rows)]
    for product, files in (("obspar", 1), ("asp1", 6)):
        listed: list[dict[str, Any]] = []
        for obsid, tstart in observations(years):
            # One in fifty has no products, one in eight a newer revision.
            if product == "asp1" and (obsid > 38000 or obsid % 50 == 0):
                continue
            for revision in (1, 2) if obsid % 8 == 0 else (1,):
                default = 1 if revision == 1 and obsid < 38000 else None
                row = {
                    "obsid": obsid,
                    "tstart": tstart,
                    "tstop": tstart + 2e4,
                    "revision": revision,
                    "isdefault": default,
                }
                listed += [row | {"filename": f"{product}{obsid}N{revision:03d}_{n}"} for n in range(files)]
        top = _folder(ska / "data/mica/archive" / product)
        list_revisions(top, 0, None, [listed[0]])
        _insert(top, listed[1:])
        counts.append(len(listed))
    return counts


def _of_telemetry(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a file in the archive's list."""
    same = {"year": 2000, "doy": 1, "date": "2019-09-29T13:07:50", "rows": 1568, "imgsize": 8, "revision": 1}
    return row | same | {"filetime": int(row["tstart"])}


def _insert(top: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Add rows to the archive's list."""
    with closing(sqlite3.connect(top / DATABASE)) as connection, connection:
        first, *others = rows
        names = ", ".join(first)
        marks = ", ".join(f":{name}" for name in first)
        connection.executemany(f"INSERT INTO archfiles ({names}) VALUES ({marks})", [first, *others])


def used() -> float:
    """Seconds of the processor that finished processes have used: what a busy machine changes least."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=27)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as temporary:
        ska, lake, inbox = (Path(temporary) / name for name in ("ska", "lake", "inbox"))
        inbox.mkdir()
        counts = make(ska, lake, options.years)
        table = Table("plan of")
        for name in ("requests", "least", "median", "of the processor, least"):
            table.add_column(name, justify="right")
        environment = os.environ | {"CXOTIME_NOW": "2025:291:06:00:00"}
        for what, where in (("all", ["--archive", str(ska)]), ("aca_l0", ["--archive", str(ska)]), ("aca_l0", [])):
            program = str(Path(sys.executable).with_name("mica-lake"))
            command = [program, "fetch", what, "--from", str(inbox), "--dry-run", "--lake", str(lake), *where]
            times, busy, said = [], [], ""
            for _ in range(options.runs):
                began, before = time.perf_counter(), used()
                said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
                times.append(time.perf_counter() - began)
                busy.append(used() - before)
            planned = " + ".join(line.split()[-2] for line in said.splitlines() if line.endswith(" requests"))
            name = f"{what}, {'archive and lake' if where else 'lake alone'}"
            table.add_row(name, planned, *(f"{value:.2f} s" for value in (min(times), median(times), min(busy))))
        size = (ska / "data/mica/archive/aca0" / DATABASE).stat().st_size / 1e6
        console.print(
            f"{options.years} years: {', '.join(f'{count:,}' for count in counts)} rows in archfiles.db3 of aca0 "
            f"({size:,.0f} MB), obspar, asp1; {os.cpu_count()} cores, {platform.machine()}, Python "
            f"{platform.python_version()}; load {os.getloadavg()[0]:.1f}"
        )
        console.print(table)


if __name__ == "__main__":
    main()
