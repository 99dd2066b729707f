"""What the benchmarks share: command line options, and rows of two times and their ratio."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mica_lake.simulate import aca_l0 as simulate

FILE = 6430.0


def best(function: Callable[[], Any], repeat: int) -> float:
    """The shortest time of several calls (s)."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


@dataclass(frozen=True)
class Row:
    """A time of the lake beside another (s), and the ratio that is asked for."""

    what: str
    lake: float
    beside: float
    goal: float | None = None

    @property
    def ratio(self) -> float:
        """How many times as long the other takes."""
        return self.beside / self.lake


class Rows(list[Row]):
    """The lake's times, those of what it is compared with, and their ratios."""

    def add(self, what: str, lake: float, beside: float, goal: float | None = None) -> None:
        """Add a row, with times in seconds."""
        self.append(Row(what, lake, beside, goal))

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table("what")
        for name in ("lake", "compared", "ratio", "asked for"):
            table.add_column(name, justify="right")
        for row in self:
            goal = "" if row.goal is None else f"{row.goal:,.1f}x"
            times = (f"{seconds * 1e3:,.1f} ms" for seconds in (row.lake, row.beside))
            table.add_row(row.what, *times, f"{row.ratio:,.1f}x", goal)
        console.print(table)


def simulate_8x8(folder: Path, slots: Sequence[int], start: float, stop: float, jobs: int) -> None:
    """Write 8x8 files, also of slots that otherwise have other sizes without hard cases."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = np.arange(start, stop, FILE).tolist()
    stops = [min(start + FILE, stop) for start in starts]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for slot in slots:
            list(pool.map(simulate_file, [folder] * len(starts), [slot] * len(starts), starts, stops))


def simulate_file(folder: Path, slot: int, start: float, stop: float) -> None:
    """Write an 8x8 file, whatever the slot."""
    simulate.write_file(folder, slot, simulate.readouts(slot, 8, simulate.times(start, stop, 8)))


def main(document: str | None, run: Callable[[Path, int, int, bool], Rows | None], days: int = 5) -> None:
    """Run a benchmark with the folder, days, processes and mission flag from the command line, and print its rows."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=days)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--dir", type=Path, help="keep files and lakes in this folder, and reuse those that exist")
    parser.add_argument("--mission", action="store_true", help="also measure a whole mission")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = run(options.dir or Path(temporary), options.days, options.jobs, options.mission)
    if rows is not None:
        rows.show(Console())
