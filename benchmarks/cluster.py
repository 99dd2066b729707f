"""
Ingest of ACA L0 on the workers of a Dask cluster on this host, beside the local processes.

usage: python benchmarks/cluster.py [--days 5] [--jobs 2] [--dir DIR] [--mission]

Each number of workers, up to --jobs, takes turns with as many processes, three times; medians are printed.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from operator import index
from pathlib import Path
from typing import NamedTuple

import distributed
import psutil
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from mica_lake.ingest.aca_l0 import ingest
from mica_lake.ingest.cluster import environment
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import Report
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.times import cxcsec
from side_by_side import main

START = cxcsec("2024:001")
DAY = 86400.0


class Cluster(NamedTuple):
    """A scheduler and its workers."""

    address: str
    processes: list[psutil.Popen]


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[Cluster]:
    """A scheduler with some workers of one thread each."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    options = [["scheduler", "--port", "0"], *[["worker", "--nthreads", "1", "--no-nanny"]] * workers]
    commands = [[sys.executable, "-m", "dask", *option, *common] for option in options]
    processes = [psutil.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) for command in commands]
    try:
        with distributed.Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
            # A cluster is there before the ingest: its workers have loaded what they need.
            client.run(environment)
            yield Cluster(client.scheduler.address, processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(folder: Path, days: int, jobs: int, mission: bool) -> None:
    """Simulate, measure, print."""
    console = Console()
    files, root = folder / f"files_{days}", folder / f"lake_cluster_{days}"
    if not files.exists():
        write_archive(files, START, START + days * DAY, hard_cases=False, jobs=jobs)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = f"pyarrow {pa.__version__}, distributed {distributed.__version__}"
    console.print(f"{days} days, {len(list(files.iterdir()))} files; {machine}; {versions}")

    def timed(take: Callable[[], Report], cluster: Cluster | None = None) -> tuple[float, float, Report]:
        """Seconds, and seconds of CPU of all processes, of an ingest into a new lake."""
        shutil.rmtree(root, ignore_errors=True)
        began, before = time.perf_counter(), cpu_seconds(cluster)
        report = take()
        return time.perf_counter() - began, cpu_seconds(cluster) - before, report

    table = Table("aca_l0 and hdr3")
    for name in ("s", "CPU s", "files/s/core", "rows/s/core", "MB gz/s/core", "x one process", "x as many processes"):
        table.add_column(name, justify="right")
    one = 0.0
    for count in range(1, jobs + 1):
        here, there = [], []
        for _ in range(3):
            here.append(timed(lambda count=count: ingest([files], root, jobs=count)))
            with dask(folder, count) as cluster:
                there.append(timed(lambda cluster=cluster: ingest([files], root, cluster=cluster.address), cluster))
        local = statistics.median(seconds for seconds, _, _ in here)
        one = one or local
        for what, measured in ((f"{count} processes", here), (f"{count} workers", there)):
            seconds, cpu = (statistics.median(column) for column in list(zip(*measured, strict=True))[:2])
            report = measured[0][2]
            each = seconds * count
            rates = (
                f"{len(report.taken) / each:,.0f}",
                f"{report.rows / each:,.0f}",
                f"{report.bytes_in / each / 1e6:.1f}",
            )
            ratios = (f"{one / seconds:.2f}", f"{local / seconds:.2f}")
            table.add_row(what, f"{seconds:,.2f}", f"{cpu:,.2f}", *rates, *ratios)
    console.print(table)
    console.print(f"what the scheduler can hand out: {tasks_a_second(folder, jobs):,.0f} tasks/s")


def cpu_seconds(cluster: Cluster | None) -> float:
    """Seconds of CPU so far, of this process, of those it has ended, and of a cluster."""
    own = sum(os.times()[:4])
    return own + sum(sum(process.cpu_times()[:2]) for process in (cluster.processes if cluster else ()))


def tasks_a_second(folder: Path, workers: int) -> float:
    """Tasks without any work that pass through the executor in a second."""
    with dask(folder, workers) as cluster, ExitStack() as stack:
        pool = executor(stack, None, cluster.address, None, [])(1)
        list(pool.map(index, range(100)))
        began = time.perf_counter()
        list(pool.map(index, range(2000)))
        return 2000 / (time.perf_counter() - began)


if __name__ == "__main__":
    main(__doc__, run)
