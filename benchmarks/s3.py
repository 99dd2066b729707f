"""
A lake on an object store compared with the same lake on disk: times, requests, and the cost of distance.

usage: python benchmarks/s3.py [--days 20] [--jobs 2] [--dir DIR]

The store is moto's server on loopback, in a process of its own. Then the same store is accessed through a forwarder
that delays each answer by 30 ms. Simulation uses --jobs processes, all that is measured uses one.
"""

import asyncio
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import duckdb
import polars as pl
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from mica_lake import Lake, lake
from mica_lake.archive import aca_hdr3, aca_l0
from mica_lake.archive import obspar as obspar_facade
from mica_lake.catalog.root import existing
from mica_lake.catalog.script import sql_of
from mica_lake.catalog.verify import verify
from mica_lake.ingest import aca_l0 as ingest_aca_l0
from mica_lake.ingest import obspar as ingest_obspar
from mica_lake.ingest.processes import executor
from mica_lake.simulate import obspar
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.simulate.object_store import ObjectStore, object_store
from mica_lake.simulate.observations import observations
from mica_lake.times import cxcsec
from side_by_side import main, simulate_8x8

START = cxcsec("2024:001")
DAY = 86400.0
SLOT = 3
ANSWER_AFTER = 0.03
PATIENCE = 60.0
OPERATIONS = ("GET", "HEAD", "LIST", "PUT", "DELETE", "POST")
# DuckDB's settings that matter at a distance.
SETTINGS = {
    "as DuckDB has it": "RESET parquet_prefetch_column_gap",
    "columns 64 kB apart at once, as Lake sets it": "SET parquet_prefetch_column_gap = 65536",
}


class Asked(NamedTuple):
    """The result of a call, its time (s), the requests it made to the store, and the bytes of the answers."""

    answer: Any
    seconds: float
    requests: Counter[str]
    partitions: set[str]
    size: int


class Place:
    """A lake at a place; behind a forwarder, the bytes that pass are counted."""

    def __init__(self, root: str, store: ObjectStore | None = None, far: tuple[str, Any] | None = None) -> None:
        self.root, self._store, self._far = root, store, far

    @contextmanager
    def here(self) -> Iterator[None]:
        """Access the store through the forwarder, if there is one."""
        before = os.environ["AWS_ENDPOINT_URL"]
        if self._far:
            os.environ["AWS_ENDPOINT_URL"] = self._far[0]
        try:
            yield
        finally:
            os.environ["AWS_ENDPOINT_URL"] = before

    def timed(self, do: Callable[[], Any]) -> Asked:
        """Do something at this place, and measure it."""
        with self.here():
            asked, passed = self._so_far()
            began = time.perf_counter()
            answer = do()
            seconds = time.perf_counter() - began
            requests, size = self._so_far()
        new = requests[len(asked) :]
        kinds = Counter(request.operation for request in new)
        return Asked(answer, seconds, kinds, {r.path for r in new if "/pinned/" in r.path}, size - passed)

    def _so_far(self) -> tuple[Any, int]:
        return self._store.requests() if self._store else [], self._far[1].value if self._far else 0


@contextmanager
def distance(store: ObjectStore) -> Iterator[tuple[str, Any]]:
    """Put the store farther away: its endpoint, and a counter of the bytes of its answers."""
    processes = get_context("spawn")
    passed = processes.Value("q", 0)
    ours, theirs = processes.Pipe()
    arguments = (urlsplit(store.environment["AWS_ENDPOINT_URL"]).port, passed, theirs)
    process = processes.Process(target=_forward, args=arguments, daemon=True)
    process.start()
    try:
        if not ours.poll(PATIENCE):
            raise OSError("the forwarder does not start")
        yield f"http://127.0.0.1:{ours.recv()}", passed
    finally:
        process.kill()


def _forward(store: int, passed: Any, ours: Connection) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader_there, writer_there = await asyncio.open_connection("127.0.0.1", store)
        asked = False

        async def ask() -> None:
            nonlocal asked
            while data := await reader.read(1 << 16):
                asked = True
                writer_there.write(data)
                await writer_there.drain()
            writer_there.close()

        async def answer() -> None:
            nonlocal asked
            while data := await reader_there.read(1 << 16):
                if asked:
                    asked = False
                    await asyncio.sleep(ANSWER_AFTER)
                passed.value += len(data)
                writer.write(data)
                await writer.drain()
            writer.close()

        await asyncio.gather(ask(), answer(), return_exceptions=True)

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        ours.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def reading(stop: float, obsid: int, days: int) -> dict[str, tuple[Callable[[Any], Any], int]]:
    """The queries to a lake, and how many partitions each needs."""
    interval = {"start": START, "stop": stop}
    noon = START + (days // 2 + 0.5) * DAY
    columns = ["TIME", "TEMPCCD"]
    sql = f"SELECT {', '.join(columns)} FROM slot_data($start, $stop, {SLOT})"
    pixels = f"SELECT TIME, IMGRAW FROM slot_data($start, $stop, {SLOT})"
    twenty = f"{days} days of a slot, TIME and TEMPCCD"
    return {
        f"{twenty}: SQL": (lambda it: it.sql(sql, interval).fetchnumpy(), days),
        f"{twenty}: get_slot_data": (
            lambda it: aca_l0.get_slot_data(START, stop, SLOT, columns=columns, data_root=it.root),
            days,
        ),
        f"{twenty}: Polars": (
            lambda it: it.scan("aca_l0", START, stop, SLOT).select(columns).collect(),
            days,
        ),
        f"{days} days of a slot, TIME and IMGRAW: SQL": (lambda it: it.arrow(pixels, interval), days),
        f"{days} days of ccd_temp: MSID": (
            lambda it: aca_hdr3.MSID("ccd_temp", START, stop, data_root=it.root),
            days,
        ),
        "get_l0_images of 35 s": (
            lambda it: aca_l0.get_l0_images(noon, noon + 35, SLOT, data_root=it.root),
            1,
        ),
        "get_obspar": (lambda it: obspar_facade.get_obspar(obsid, data_root=it.root), 2),
        "status": (lambda it: it.status(), 0),
    }


def check(root: Any) -> None:
    """Read each partition."""
    with ExitStack() as stack:
        verified = verify(root, pool=executor(stack, 1))
    assert not verified.findings, verified.findings


def said(requests: Counter[str], each: int = 1) -> str:
    """The number of requests of each kind."""
    told = [f"{requests[kind] / each:,.{1 if each > 1 else 0}f} {kind}" for kind in OPERATIONS if requests[kind]]
    return ", ".join(told) or "none"


def ms(*asked: Asked) -> str:
    """The times of the first and of later calls."""
    return " / ".join(f"{one.seconds * 1e3:,.0f}" for one in asked)


def run(folder: Path, days: int, jobs: int, mission: bool) -> None:
    """Simulate, measure, print."""
    console = Console()
    files, ska, local, stop = folder / f"s3_files_{days}", folder / "s3_ska", folder / "s3_lake", START + days * DAY
    if not files.exists():
        write_archive(files, START, stop, slots=[SLOT], hard_cases=False, jobs=jobs)
        simulate_8x8(files, (6, 7), START, stop, jobs)
    observed = observations(START, stop)
    obspar.write_archive(ska, observed)
    obsid = next(one.obsid for one in observed if one.default is not None)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = f"DuckDB {duckdb.__version__}, Polars {pl.__version__}, pyarrow {pa.__version__}"
    console.print(
        f"{days} days, {len(list(files.iterdir()))} files; {machine}; {versions}; load {os.getloadavg()[0]:.1f}"
    )
    with object_store(folder, "bucket") as store, distance(store) as far:
        places = [
            Place(str(local)),
            Place("s3://bucket/near", store),
            Place("s3://bucket/far", store, far),
        ]
        console.print(ingests(places, files, ska, folder))
        console.print(readings(places, reading(stop, obsid, days)))
        console.print(settings_beside_settings(places[-1], stop, days))
    console.print(f"load {os.getloadavg()[0]:.1f}")


def ingests(places: list[Place], files: Path, ska: Path, folder: Path) -> Table:
    """Measure an ingest at each place."""
    table = Table("aca_l0 and hdr3, 1 process")
    for name in ("s", "files/s", "rows/s", "MB gz/s", "requests per partition", "of them LIST"):
        table.add_column(name, justify="right")
    first, warm, partitions = min(files.iterdir()), folder / "s3_warm", 0
    shutil.rmtree(warm, ignore_errors=True)
    for what, place in zip(("local", "S3 (loopback)", "with 30 ms"), places, strict=True):
        shutil.rmtree(place.root, ignore_errors=True)
        # Imports at the first call do not count.
        with place.here():
            ingest_aca_l0.ingest([first], warm if what == "local" else f"{place.root}_warm", jobs=1)
        asked = place.timed(lambda place=place: ingest_aca_l0.ingest([files], place.root, jobs=1))
        report, seconds = asked.answer, asked.seconds
        partitions = report.partitions + sum(derived.partitions for derived in report.derived.values())
        rates = (len(report.taken) / seconds, report.rows / seconds, report.bytes_in / seconds / 1e6)
        cells = [f"{seconds:,.1f}", *(f"{rate:,.0f}" for rate in rates[:2]), f"{rates[2]:,.1f}"]
        table.add_row(what, *cells, said(asked.requests, partitions), str(asked.requests["LIST"]))
        ingest_obspar.ingest(ska, place.root, jobs=1)
    table.caption = f"{partitions} partitions"
    return table


def readings(places: list[Place], queries: dict[str, tuple[Callable[[Any], Any], int]]) -> Table:
    """Measure opening and reading at each place: the first time, and again."""
    table = Table("ms, the first time / again")
    for name in ("local", "S3 (loopback)", "with 30 ms", "requests", "partitions asked for", "needed", "MB"):
        table.add_column(name, justify="right")

    def opened(place: Place) -> Any:
        lake._opened.cache_clear()
        it = lake.open_lake(place.root)
        it.sql("SELECT 1").fetchall()
        return it

    def row(what: str, found: list[list[Asked]], needed: str) -> None:
        far = found[-1]
        requests, sizes = (said(one.requests) for one in far), (f"{one.size / 1e6:,.2f}" for one in far)
        touched = str(len(far[0].partitions))
        table.add_row(what, *(ms(*one) for one in found), " / ".join(requests), touched, needed, " / ".join(sizes))

    row("opening the lake", [[place.timed(lambda place=place: opened(place)) for _ in "12"] for place in places], "2")
    for what, (ask, needed) in queries.items():
        found = []
        for place in places:
            with place.here():
                it = opened(place)
            found.append([place.timed(lambda it=it, ask=ask: ask(it)) for _ in "12"])
        row(what, found, str(needed))
    found = [[place.timed(lambda place=place: check(existing(place.root)))] for place in places]
    row("verify", found, "all")
    return table


def settings_beside_settings(place: Place, stop: float, days: int) -> Table:
    """Measure a query far away with other settings of DuckDB; on new connections, the better of two."""
    table = Table(f"{days} days of a slot, with 30 ms: s, requests, MB")
    for setting in SETTINGS:
        table.add_column(setting, justify="right")
    script = "\n".join([sql_of("aca_l0"), sql_of("cxcsec")])
    with place.here():
        it = Lake(place.root)
    for columns in ("TIME, TEMPCCD", "TIME, IMGRAW"):
        query, cells = f"SELECT {columns} FROM slot_data($start, $stop, {SLOT})", []
        for setting in SETTINGS.values():
            taken = []
            for _ in range(2):
                with place.here():
                    connection = it.private_connection("FROM status")
                connection.execute(f"{script}; {setting}")
                relation = connection.sql(query, params={"start": START, "stop": stop})
                taken.append(place.timed(relation.to_arrow_table))
            best = min(taken, key=lambda one: one.seconds)
            cells.append(f"{best.seconds:.2f}, {said(best.requests)}, {best.size / 1e6:.1f}")
        table.add_row(columns, *cells)
    return table


if __name__ == "__main__":
    main(__doc__, run, days=20)
