"""
Header 3: `MSID` and `MSIDset` compared with reading file by file, HDF5 and numpy files, on simulated files.

usage: python benchmarks/hdr3.py [--days 5] [--jobs N] [--dir DIR] [--mission]

Each row compares two times of the same run; the best of several repetitions counts on both sides. `--mission` adds
lakes of 365 days and of 27 years, which repeat one simulated day. Needs h5py.
"""

import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from rich.console import Console

from mica_lake.archive import aca_hdr3
from mica_lake.catalog.commit import commit
from mica_lake.catalog.key import Key
from mica_lake.catalog.pointer import current_generation
from mica_lake.catalog.root import create
from mica_lake.catalog.version import pin
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.tables.binned import HDR3_5MIN, HDR3_DAILY, WIDTHS
from mica_lake.tables.catalog import SOURCE_FILE
from mica_lake.tables.hdr3 import HDR3
from mica_lake.tables.hdr3_msids import BY_NAME, PSEUDO_MSIDS
from mica_lake.times import cxcsec, day_start
from side_by_side import Rows, best, main, simulate_8x8

START = cxcsec("2024:001")
DAY = 86400.0
THREE = ("ccd_temp", "aca_temp", "dac")  # slots 6, 7, 7


def per_file(paths: Iterable[Path], names: Iterable[str]) -> dict[str, np.ma.MaskedArray[Any, Any]]:
    """Open each file of a slot with astropy, decode and stack; the last readout before a gap is bad."""
    times, words = [], {name: [] for name in names}
    for path in paths:
        with fits.open(path) as hdus:
            data = hdus[1].data
            times.append(np.array(data["TIME"]))
            for name, parts in words.items():
                parts.append(np.column_stack([data[f"HD3TLM{word}"] for _, word in BY_NAME[name].bytes]))
    axis = np.concatenate(times)
    bad = np.abs(np.diff(axis, append=np.inf) - 4.1) > 0.001
    return {name: np.ma.array(BY_NAME[name].values(np.concatenate(parts)), mask=bad) for name, parts in words.items()}


def run(folder: Path, days: int, jobs: int, mission: bool) -> Rows:
    """Simulate, measure, print."""
    console = Console()
    files, root = folder / f"hdr3_files_{days}", folder / f"hdr3_lake_{days}"
    stop = START + days * DAY
    if not files.exists():
        simulate_8x8(files, (6, 7), START, stop, jobs)
    report = ingest([files], root, jobs=jobs)
    if (d := report.derived["hdr3"]).rows:
        console.print(f"derived: {d.rows:,} rows, {d.bytes_out / d.partitions / 1e3:,.0f} kB a day, {d.seconds:.1f} s")
    six, seven = (sorted(files.glob(f"*_{slot}_img0.fits.gz")) for slot in (6, 7))
    rows = Rows()

    one = aca_hdr3.MSID("ccd_temp", START, stop, data_root=root)
    assert np.ma.allequal(one.vals, per_file(six, ["ccd_temp"])["ccd_temp"])
    msid = best(lambda: aca_hdr3.MSID("ccd_temp", START, stop, data_root=root), 30)
    msid_set = best(lambda: aca_hdr3.MSIDset(THREE, START, stop, data_root=root), 30)
    rows.add(f"MSID of {days} days, file by file", msid, best(lambda: per_file(six, ["ccd_temp"]), 3), goal=600)
    both = best(lambda: (per_file(six, ["ccd_temp"]), per_file(seven, ["aca_temp", "dac"])), 3)
    rows.add(f"MSIDset of three, {days} days, file by file", msid_set, both)
    with h5py.File(folder / "hdr3.h5", "w") as h5:
        for name in ("ccd_temp", "aca_temp", "dac"):
            found = aca_hdr3.MSID(name, START, stop, data_root=root)
            for part, values in (("times", found.times), ("vals", found.vals.data), ("bad", found.vals.mask)):
                h5.create_dataset(f"{name}_{part}", data=values, compression="gzip", shuffle=True, chunks=(16384,))
                np.save(folder / f"{name}_{part}.npy", values)
    parts = ("times", "vals", "bad")

    def from_hdf5(names: Iterable[str]) -> list[Any]:
        with h5py.File(folder / "hdr3.h5") as h5:
            return [h5[f"{name}_{part}"][:] for name in names for part in parts]

    def from_numpy(names: Iterable[str]) -> list[Any]:
        return [np.load(folder / f"{name}_{part}.npy") for name in names for part in parts]

    rows.add("MSID, HDF5 of just these days", msid, best(lambda: from_hdf5(THREE[:1]), 30), goal=1)
    rows.add("MSIDset of three, HDF5 of just these days", msid_set, best(lambda: from_hdf5(THREE), 30), goal=1)
    rows.add("MSID, np.load of just these days", msid, best(lambda: from_numpy(THREE[:1]), 30))
    rows.add("MSIDset of three, np.load of just these days", msid_set, best(lambda: from_numpy(THREE), 30))
    if mission:
        example = pq.read_table(
            next((root / "hdr3").rglob("doy=2/data.parquet")), partitioning=None, schema=HDR3.schema
        )
        of_years(console, folder / "hdr3_statistics", 27)
        many_days(console, folder / "hdr3_year", date(2024, 1, 1), 365, example, jobs, msid * 20 / days)
        many_days(console, folder / "hdr3_mission", date(1999, 7, 23), 27 * 365, example, jobs, msid * 20 / days)
    return rows


def pin_day(root: Path, day: date, example: pa.Table) -> dict[str, Any]:
    """Pin one day of a lake: the example, moved to another day."""
    times = example.column("TIME").to_numpy()
    moved = pa.array(times - times[0] + day_start(day))
    return pin(root, HDR3, Key(day), example.set_column(0, "TIME", moved), [], "")


def of_years(console: Console, root: Path, years: int) -> None:
    """Measure statistics of an MSID over a lake that has nothing else, of values that do not repeat."""
    if current_generation(root) is None:
        create(root)
        names = sorted(msid.name for msid in PSEUDO_MSIDS)
        written: dict[tuple[str, Key], dict[str, Any] | None] = {}
        for year in range(2000, 2000 + years):
            rng = np.random.default_rng(year)
            midnights = np.array([day_start(date(number, 1, 1)) for number in (year, year + 1)])
            for table, width in ((HDR3_5MIN, WIDTHS["5min"]), (HDR3_DAILY, WIDTHS["daily"])):
                first, last = np.ceil(midnights / width - 0.5)
                times = (np.arange(first, last) + 0.5) * width
                count = len(times) * len(names)
                columns = {"msid": np.repeat(names, len(times)), "TIME": np.tile(times, len(names))}
                columns["n"] = np.full(count, 80, np.int32)
                for name in table.schema.names:
                    columns.setdefault(name, np.round(rng.normal(-10, 1, count), 2 if name in ("min", "max") else 9))
                rows = pa.table({name: columns[name] for name in table.schema.names}, table.schema)
                written[table.name, Key(date(year, 1, 1))] = pin(root, table, Key(date(year, 1, 1)), rows, [], "", {})
        commit(root, written, SOURCE_FILE.empty_table())
    for stat in WIDTHS:
        asked = partial(aca_hdr3.MSID, "ccd_temp", "2000:001", f"{2000 + years}:001", data_root=root, stat=stat)
        console.print(
            f"MSID of {years} years, stat={stat!r}: {len(asked().vals):,} bins, {best(asked, 9) * 1e3:,.1f} ms"
        )


def many_days(
    console: Console, root: Path, first: date, count: int, example: pa.Table, jobs: int, twenty: float
) -> None:
    """Measure an MSID over a whole lake that repeats one day."""
    days = [first + timedelta(days=n) for n in range(count)]
    if current_generation(root) is None:
        create(root)
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            rows = pool.map(pin_day, [root] * count, days, [example] * count, chunksize=8)
            written = {("hdr3", Key(day)): row for day, row in zip(days, rows, strict=True)}
        commit(root, written, SOURCE_FILE.empty_table())
    script = (
        "import sys, time; from mica_lake.archive import aca_hdr3; root, start, stop = sys.argv[1:];"
        "aca_hdr3.MSID('ccd_temp', start, start, data_root=root); seconds = [];\n"
        "for _ in range(3):\n"
        "    msid = None; began = time.perf_counter(); msid = aca_hdr3.MSID('ccd_temp', start, stop, data_root=root)\n"
        "    seconds.append(time.perf_counter() - began)\n"
        "status = open('/proc/self/status').read();"
        "print(len(msid.vals), min(seconds), int(status.split('VmHWM:')[1].split()[0]) / 1024)"
    )
    arguments = [str(root), f"{days[0]:%Y:%j}", f"{days[-1] + timedelta(days=1):%Y:%j}"]
    out = subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True).stdout
    values, seconds, megabytes = map(float, out.split())
    console.print(
        f"MSID of {count:,} days: {values:,.0f} values, {seconds * 1e3:,.0f} ms, {seconds / twenty:.1f} times 20 days, "
        f"at most {megabytes:,.0f} MB resident"
    )


if __name__ == "__main__":
    main(__doc__, run)
