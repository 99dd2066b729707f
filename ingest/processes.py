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

from mica_lake.store.s3 import LakePath

FEW = 8


def _begin() -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    threading.Thread(target=_end_with_the_ingest, daemon=True).start()


def _end_with_the_ingest() -> None:
    # Of itself a process whose ingest was killed would wait for work forever.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _InProcess(Executor):
    """An executor without processes, for little work."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        return map(fn, *iterables)


def _be_somewhere() -> None:
    """Leave a current directory that was removed: processes are started from one, and nothing can be named by it."""
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
    Executors for an ingest.

    Parameters
    ----------
    stack : contextlib.ExitStack
        Ends the processes.
    jobs : int or None
        How many processes; as many as there are cores if None.
    cluster : str or None
        Address of a Dask scheduler whose workers do the work, instead of processes here.
    lake : Path, S3Path or None
        The lake, whose writer's lock is held; None if it is left alone.
    sources : sequence of Path
        What is to be read.

    Returns
    -------
    callable
        Gives an executor for a number of tasks: processes, started when they are first worth it, or this process for
        a few; or the workers of the cluster.

    Raises
    ------
    LakeError
        If the cluster cannot be used; what is missing where is said.
    ValueError
        If both processes and a cluster are wanted.
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
