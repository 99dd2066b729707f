"""
All benchmarks of what people wait for, in one Markdown table: least and median of several runs, and what is asked for.

usage: python benchmarks [--days 5] [--jobs N] [--dir DIR] [--mission] [--runs 3]

An object store, a Dask cluster and the catalog of a mission have tables of their own: s3.py, cluster.py, scale.py.
"""

import argparse
import os
import platform
import tempfile
from pathlib import Path
from statistics import median

import aca_l0
import astropy
import duckdb
import hdr3
import polars
import products
import pyarrow
import start
import stats
from rich.console import Console

from side_by_side import Row

MODULES = (start, aca_l0, hdr3, products, stats)


def main() -> None:
    """Run all, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--dir", type=Path, help="keep files and lakes in this folder, and reuse those that exist")
    parser.add_argument("--mission", action="store_true", help="also measure a whole mission")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    console = Console()
    found: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(options.runs):
            for module in MODULES:
                mission = options.mission and number == 0
                for row in module.run(options.dir or Path(temporary), options.days, options.jobs, mission):
                    found.setdefault(row.what, []).append(row)
    console.print(
        f"{options.days} days, {options.runs} runs; {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}; DuckDB {duckdb.__version__}, Polars {polars.__version__}, pyarrow "
        f"{pyarrow.__version__}, astropy {astropy.__version__}"
    )
    # Markdown, for docs/performance.md; also readable, and not cut off, where it is printed.
    print("| what | lake, ms: least / median | compared | ratio of the least | asked for |\n|---|---:|---:|---:|---:|")
    for what, rows in found.items():
        lake, beside = ([getattr(row, name) * 1e3 for row in rows] for name in ("lake", "beside"))
        ratio, goal = min(beside) / min(lake), rows[0].goal
        asked = "" if goal is None else f"{goal:,.1f}x{'' if ratio >= goal else ', not reached'}"
        times = (
            " / ".join(f"{x:,.1f}" if x >= 1 else f"{x:.3f}" for x in (min(ms), median(ms))) for ms in (lake, beside)
        )
        print("|", " | ".join([what, *times, f"{ratio:,.1f}x", asked]), "|")


if __name__ == "__main__":
    main()
