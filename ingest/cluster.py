"""
A Dask cluster as an executor, like the local processes.

Workers read the sources and write the partitions themselves, so they need both under the same paths as here, and, for
the same bytes, the same mica-lake. Each worker is checked for this before it gets work, also if it joins later.
"""

import hashlib
import platform
import socket
from asyncio import run_coroutine_threadsafe, to_thread, wait_for
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import mica_lake.ingest
import mica_lake.sql
from mica_lake.catalog.names import PINNED
from mica_lake.errors import LakeError, ObjectStoreError
from mica_lake.store.place import LakePath, store_of

try:
    from distributed import Client, Future, KilledWorker, get_worker
    from distributed.client import ClosedClientError
    from distributed.comm import CommClosedError, get_address_host_port
except ImportError:
    raise ImportError("--cluster is done by Dask: pip install 'mica-lake[cluster]'") from None

# Seconds: to be connected, for a worker to look at the paths, between looks whether any worker is left, without any.
CONNECT, LOOK, PATIENCE, WITHOUT_WORKERS = 10, 30, 5, 60
# How many workers' troubles are told.
MOST = 8
# Chunks of work on their way for each thread of the workers: what bounds the results that wait for their turn.
AHEAD = 4


@dataclass(frozen=True)
class Expected:
    """
    What each worker must have.

    Attributes
    ----------
    token : str
        Of this ingest.
    environment : tuple of (str, str)
        What the bytes of a partition depend on, and its version.
    sources : tuple of str
        Paths that must be there.
    probe : Path, ObjectPath or None
        A file in the lake, with `token` in it; None if the lake is left alone.
    """

    token: str
    environment: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]
    probe: LakePath | None


def environment() -> tuple[tuple[str, str], ...]:
    """What the bytes of a partition depend on."""
    code = hashlib.sha256()
    for name, path in sorted(_code().items()):
        code.update(name.encode() + path.read_bytes())
    return (
        ("mica-lake", f"{mica_lake.__version__} ({code.hexdigest()[:8]})"),
        ("Python", ".".join(platform.python_version_tuple()[:2])),
        ("machine", platform.machine()),
        *((name, version(name)) for name in ("astropy", "numpy", "pyarrow", "pyerfa")),
    )


def _code() -> dict[str, Path]:
    """All installed files of mica-lake, by path in the package."""
    files = {}
    # In a checkout ingest/ and sql/ are beside the package, in an installed one inside it.
    for module, place in ((mica_lake, "."), (mica_lake.ingest, "ingest"), (mica_lake.sql, "sql")):
        folder = Path(str(module.__file__)).parent
        for path in folder.rglob("*"):
            if path.suffix in (".py", ".csv", ".sql"):
                files[(Path(place) / path.relative_to(folder)).as_posix()] = path
    return files


@lru_cache(maxsize=4)
def look(expected: Expected) -> LakePath | None:
    """Check that this worker has what it must have."""
    for (name, theirs), (_, ours) in zip(expected.environment, environment(), strict=True):
        if theirs != ours:
            raise LakeError(f"its {name} is {ours}, not {theirs}: the partitions would differ")
    try:
        for path in expected.sources:
            Path(path).lstat()
        if expected.probe is None:
            return None
        if expected.probe.read_text() != expected.token:
            raise LakeError(f"its {expected.probe} is another file")
    except OSError as error:
        raise LakeError(f"it cannot see {error.filename}: {error.strerror}") from None
    except ObjectStoreError as error:
        raise LakeError(f"it cannot read {error}") from None
    written = expected.probe.with_name(f"{expected.probe.name}.{uuid4().hex}")
    try:
        store_of(written).put(written, expected.token.encode())
    except OSError as error:
        raise LakeError(f"it cannot write to {written.parent}: {error.strerror}") from None
    except ObjectStoreError as error:
        raise LakeError(f"it cannot write {error}") from None
    return written


async def _look_in_time(expected: Expected) -> LakePath | None:
    # In a thread, as a mount that hangs must not stop the worker's heart.
    try:
        return await wait_for(to_thread(look, expected), LOOK)
    except TimeoutError:
        raise LakeError(f"it has not found the paths in {LOOK} s") from None


def _work(expected: Expected, function: Callable[..., Any], chunk: Sequence[tuple[Any, ...]]) -> list[Any]:
    try:
        look(expected)
    except LakeError as error:
        raise LakeError(f"worker {get_worker().address} on {socket.gethostname()} cannot take part: {error}") from None
    return [function(*arguments) for arguments in chunk]


class Workers(Executor):
    """
    The workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
        The connection.
    expected : Expected
        What each worker must have.
    """

    def __init__(self, client: Client, expected: Expected) -> None:
        self._client, self._expected, self._address = client, expected, client.scheduler.address

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Any]:
        """
        Call a function on the workers for each of some arguments.

        Others redo the work of a worker that is lost.
        """
        arguments = zip(*iterables, strict=True)
        chunks = iter(lambda: list(islice(arguments, chunksize)), [])
        # What the dashboard of Dask shows.
        name = f"{getattr(fn, 'func', fn).__name__}-{uuid4().hex}"
        waiting: deque[Future] = deque()
        count = 0
        with _told(self._address):
            ahead = AHEAD * max(1, sum(self._client.nthreads().values()))
            while True:
                for chunk in islice(chunks, ahead - len(waiting)):
                    key = f"{name}-{count}"
                    waiting.append(self._client.submit(_work, self._expected, fn, chunk, key=key, pure=False))
                    count += 1
                if not waiting:
                    return
                # Together with those that are done, as each fetch takes a moment.
                ready = [waiting.popleft()]
                while waiting and waiting[0].done():
                    ready.append(waiting.popleft())
                for results in self._fetch(ready):
                    yield from results

    def _fetch(self, tasks: list[Future]) -> list[list[Any]]:
        """The results of tasks as they finish; an error once no worker is left."""
        gathered = self._client.gather(tasks, asynchronous=True)
        answer = run_coroutine_threadsafe(gathered, self._client.loop.asyncio_loop)
        alone_since: float | None = None
        while True:
            try:
                results: list[list[Any]] = answer.result(PATIENCE)
                return results
            except TimeoutError:
                if answer.done():  # it is of the work
                    raise
            if self._client.nthreads():
                alone_since = None
            elif alone_since is None:
                alone_since = monotonic()
            elif monotonic() - alone_since > WITHOUT_WORKERS:
                answer.cancel()
                raise LakeError(
                    f"the Dask scheduler at {self._address} has lost all its workers. The lake is as before: "
                    "start some, and run this again"
                )


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Turn a cluster's errors into messages that say what they mean."""
    try:
        yield
    except KilledWorker as error:
        raise LakeError(
            f"{error.allowed_failures + 1} workers died one after the other at the same work, {error.task} "
            "(out of memory?); their logs may say why. The lake is as before"
        ) from None
    except (CancelledError, CommClosedError, ClosedClientError):
        raise LakeError(
            f"the Dask scheduler at {address} is gone. The lake is as before: start it, and run this again"
        ) from None


def connect(stack: ExitStack, address: str, lake: LakePath | None, sources: Sequence[Path]) -> Workers:
    """Connect to a cluster, and check that its workers have what they must have."""
    try:
        get_address_host_port(address)
        client = stack.enter_context(Client(address, timeout=CONNECT, set_as_default=False))
    except (OSError, ValueError) as error:
        raise LakeError(
            f"no Dask scheduler answers at {address} ({error}): is 'dask scheduler' running there?"
        ) from None
    try:
        client.wait_for_workers(1, timeout=CONNECT)
    except TimeoutError:
        raise LakeError(f"the Dask scheduler at {address} has no workers: 'dask worker {address}' starts one") from None
    try:
        client.run_on_scheduler(environment)
    except Exception as error:  # of any kind, as it is what the scheduler lacks
        raise LakeError(f"the Dask scheduler at {address} cannot run this mica-lake: {error}") from None
    token = uuid4().hex
    probe = None
    if lake is not None:
        # Where versions are written; what is left here goes with the next ingest.
        probe = lake / PINNED / f".{token}"
        stack.callback(_remove, probe)
        store_of(probe).put(probe, token.encode())
    expected = Expected(token, environment(), tuple(map(str, _samples(sources))), probe)
    answers = client.run(_look_in_time, expected, on_error="return")
    troubles = [
        f"worker {worker}: {trouble}" for worker, answer in answers.items() if (trouble := _trouble(answer, token))
    ]
    if troubles:
        more = [f"and {len(troubles) - MOST:,} more"] if len(troubles) > MOST else []
        told = "\n".join([*troubles[:MOST], *more])
        raise LakeError(f"{len(troubles):,} of {len(answers):,} workers cannot take part. Nothing was done.\n{told}")
    return Workers(client, expected)


def _remove(probe: LakePath) -> None:
    for path in probe.parent.glob(f"{probe.name}*"):
        path.unlink(missing_ok=True)


def _samples(sources: Sequence[Path]) -> Iterator[Path]:
    """One file of each source: an empty folder may be there because a disk is not mounted."""
    for source in sources:
        entries = (entry for entry in source.iterdir() if not entry.name.startswith(".")) if source.is_dir() else ()
        yield next(iter(entries), source)


def _trouble(answer: LakePath | Exception | None, token: str) -> str:
    """What is wrong with a worker; empty if nothing is."""
    if isinstance(answer, LakeError):
        return str(answer)
    if isinstance(answer, Exception):
        return f"it cannot run this mica-lake: {answer}"
    if answer is not None:
        try:
            if answer.read_text() != token:
                return f"{answer} is another file there than here"
        except OSError as error:
            return f"what it wrote to {answer.parent} is not seen here: {error.strerror}"
    return ""
