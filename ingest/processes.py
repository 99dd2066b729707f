"""The processes that do the work of an ingest."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import pyarrow as pa

from mica_lake.store.place import LakePath

FEW = 8


def _begin() -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    threading.Thread(target=_end_with_the_ingest, daemon=True).start()


def _end_with_the_ingest() -> None:
    # Otherwise a process whose ingest was killed would wait for work forever.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _InProcess(Executor):
    """An executor without processes, for little work."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        return map(fn, *iterables)


def _be_somewhere() -> None:
    """Leave a current directory that has been removed, from which no process can be started."""
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir("/")


def executor(
    stack: ExitStack,
    jobs: int | None,
    cluster: str | None = None,
    lake: LakePath | None = None,
    sources: Sequence[Path] = (),
) -> Callable[[int], Executor]:
    """
    Executors for a number of tasks: processes, this process if they are few, or the workers of a Dask cluster.

    Processes are started when they are first worth it.
    A LakeError if the cluster cannot be used, and a ValueError if both processes and a cluster are asked for. `stack`
    ends the processes; `lake` is None if it is left alone; `sources` is what is to be read.
    """
    if cluster is not None:
        if jobs is not None:
            raise ValueError("jobs are processes here, a cluster has its own workers: say one of them")
        from mica_lake.ingest.cluster import connect

        workers_there = connect(stack, cluster, lake, sources)
        return lambda tasks: workers_there
    workers = jobs or os.cpu_count() or 1
    started: list[Executor] = []

    def of(tasks: int) -> Executor:
        if workers == 1 or (tasks <= FEW and not started):
            return _InProcess()
        if not started:
            _be_somewhere()
            started.append(stack.enter_context(ProcessPoolExecutor(workers, get_context("spawn"), _begin)))
        return started[0]

    return of
