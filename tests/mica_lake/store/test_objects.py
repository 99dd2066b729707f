"""A lake on an object store: what it is asked, what becomes of a writer that dies, of two, of a store that fails."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mica_lake import Lake, LakeError
from mica_lake.archive import aca_hdr3, aca_l0
from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table, write_generation
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.mend import writing
from mica_lake.catalog.mending import removing
from mica_lake.catalog.pointer import current_generation, state
from mica_lake.catalog.reindex import rebuild
from mica_lake.catalog.root import create
from mica_lake.catalog.verify import verify
from mica_lake.errors import ObjectStoreError
from mica_lake.ingest import aca_l0 as ingest_aca_l0
from mica_lake.ingest import follow
from mica_lake.ingest.processes import executor
from mica_lake.lake import _opened as of_this_process
from mica_lake.lake import open_lake
from mica_lake.products import PRODUCTS
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.simulate.object_store import ObjectStore, Request
from mica_lake.store import duckdb_files, lease
from mica_lake.store.connection import polars_options
from mica_lake.store.duckdb_files import TAIL, LakeFiles
from mica_lake.store.objects import OBJECTS, ObjectPath, object_path
from mica_lake.store.place import store_of
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec

DAYS = 25
FIRST = cxcsec("2015:101")
TWENTY = {"start": FIRST, "stop": FIRST + 20 * 86400 - 100}
NUMBER = count()


def new_lake() -> ObjectPath:
    """Where there is no lake yet."""
    return object_path(f"s3://bucket/{os.getpid()}/{next(NUMBER)}")


def file_of(folder: Path, start: float, stop: float, revision: int = 1, slot: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = readouts(slot, 8, times(FIRST + start, FIRST + stop, 8), seed=revision)
    return write_file(folder, slot, columns, revision=revision)


def take(lake: Path | ObjectPath | str, *sources: Path) -> Any:
    ingest_aca_l0.ingest(sources, str(lake), jobs=1)
    return lake


def objects(lake: Path | ObjectPath) -> dict[str, bytes]:
    """All partitions, byte for byte."""
    found = (path for name in TABLES for path in (lake / name).rglob("data.parquet"))
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in found}


def answer(lake: Path | ObjectPath) -> list[tuple[Any, ...]]:
    return Lake(str(lake)).sql("SELECT TIME, FILENAME, IMGRAW FROM slot_data('2015:099', '2015:130', 3)").fetchall()


def statuses(lake: Path | ObjectPath) -> dict[str, str]:
    return {row["filename"]: row["status"] for row in read_table(lake, "source_file").to_pylist()}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of three slots on 25 days, a minute of each."""
    folder = tmp_path_factory.mktemp("days")
    for day in range(DAYS):
        for slot in (3, 4, 5):
            file_of(folder, day * 86400 + 600, day * 86400 + 660, slot=slot)
    return folder


@pytest.fixture(scope="module")
def local(days: Path) -> Path:
    """A lake of these on a disk."""
    return Path(take(days.parent / f"{days.name}_lake", days))


@pytest.fixture(scope="module")
def remote(days: Path, store: ObjectStore) -> ObjectPath:
    """The same on the store."""
    lake: ObjectPath = take(new_lake(), days)
    return lake


@pytest.fixture
def small(store: ObjectStore, tmp_path: Path) -> ObjectPath:
    """A lake of one file, which is in ``files``."""
    lake: ObjectPath = take(new_lake(), file_of(tmp_path / "files", 0, 60))
    return lake


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that gave no sign of life just now has died."""
    monkeypatch.setattr(lease, "LEASE", 0.0)


@contextmanager
def asked(store: ObjectStore) -> Iterator[list[Request]]:
    """What the store is asked meanwhile."""
    before, found = len(store.requests()), list[Request]()
    yield found
    found += store.requests()[before:]


# --- what is asked of the store ---------------------------------------------------------------------------------------


def of_slot(lake: ObjectPath) -> set[str]:
    """Keys that a query of 20 days of slot 3 needs."""
    rows = read_table(lake, "partition").to_pylist()
    start = (EPOCH.fromisoformat("2015-04-11") - EPOCH).days
    needed = [
        r for r in rows if r["table_name"] == "aca_l0" and r["slot"] == 3 and r["day_number"] - start in range(20)
    ]
    assert len(needed) == 20
    return {f"{lake.bucket}/{lake.key}/{row['path']}" for row in needed}


ASK: dict[str, Callable[[Lake], Any]] = {
    "SQL": lambda lake: lake.sql("SELECT TIME, TEMPCCD FROM slot_data($start, $stop, 3)", TWENTY).fetchnumpy(),
    "facade": lambda lake: aca_l0.get_slot_data(
        TWENTY["start"], TWENTY["stop"], 3, columns=["TIME", "TEMPCCD"], data_root=lake.root
    ),
    "Polars": lambda lake: lake.scan("aca_l0", **TWENTY, slot=3).select("TIME", "TEMPCCD").collect(),
}


@pytest.mark.often(1)
@pytest.mark.parametrize("door", ASK)
def test_twenty_days_are_ranges_of_twenty_objects_and_no_list(
    door: str, remote: ObjectPath, local: Path, store: ObjectStore
) -> None:
    of_this_process.cache_clear()
    lake = open_lake(remote)
    lake.sql("SELECT 1").fetchall()
    with asked(store) as requests:
        found = ASK[door](lake)
    expected = ASK[door](Lake(local))
    assert len(expected["TIME"]) > 20 * 14
    for name in ("TIME", "TEMPCCD"):
        assert np.array_equal(np.asarray(found[name]), np.asarray(expected[name]))
    needed, catalogs = of_slot(remote), f"{remote.bucket}/{remote.key}/_catalog/0"
    partitions = [r for r in requests if "/pinned/" in r.path]
    assert {r.path for r in partitions} == needed
    # Polars asks for the size of its first file.
    allowed = {"GET"} if door != "Polars" else {"GET", "HEAD"}
    assert {r.operation for r in requests} <= allowed
    assert {r.status for r in partitions if r.operation == "GET"} == {206}
    others = {r.path for r in requests} - needed - {f"{remote.bucket}/{remote.key}/_catalog/current"}
    assert all(path.startswith(catalogs) and path.endswith("no_rows/aca_l0.parquet") for path in others)


def test_asking_again_on_one_connection_asks_the_store_only_whether_the_lake_is_the_same(
    remote: ObjectPath, store: ObjectStore
) -> None:
    lake = Lake(remote)
    first = ASK["SQL"](lake)
    with asked(store) as requests:
        again = ASK["SQL"](lake)
    assert np.array_equal(first["TIME"], again["TIME"])
    current = f"{remote.bucket}/{remote.key}/_catalog/current"
    assert Counter(r.operation for r in requests if r.path == current) == {"GET": 1}
    assert len([r for r in requests if r.path != current]) <= 20


def test_opening_and_the_status_list_nothing(remote: ObjectPath, store: ObjectStore) -> None:
    with asked(store) as requests:
        status = Lake(remote).status()
    assert dict(zip(status["table_name"], status["partitions"], strict=True)) == {
        "aca_l0": 75, "hdr3": 25, "hdr3_5min": 1, "hdr3_daily": 1, "slot_5min": 3, "slot_daily": 3
    }  # fmt: skip
    assert {r.operation for r in requests} == {"GET"}
    assert not [r for r in requests if "/pinned/" in r.path]


def test_one_put_replaces_a_partition_and_the_bytes_are_those_on_a_disk(
    days: Path, local: Path, store: ObjectStore
) -> None:
    lake = new_lake()
    with asked(store) as requests:
        take(lake, days)
    assert objects(lake) == objects(local)
    puts = Counter(r.path for r in requests if r.operation == "PUT" and "/lock" not in r.path)
    written = [path for path in puts if path.endswith("data.parquet") or "/pinned/" in path]
    assert len(written) == 2 * (75 + 25 + 2 * (3 + 1))
    assert {puts[path] for path in written} == {1}
    assert not [r for r in requests if r.operation == "POST"], "no upload in parts"


def test_a_second_ingest_writes_nothing(remote: ObjectPath, days: Path, store: ObjectStore) -> None:
    before = state(remote)
    with asked(store) as requests:
        take(remote, days)
    assert state(remote) == before
    changes = [r for r in requests if r.operation in ("PUT", "DELETE") and not r.path.endswith("/lock")]
    # The lock is removed by a POST to the bucket, which names the object in its body.
    assert [(r.operation, r.path) for r in changes] == [("DELETE", remote.bucket)]


@pytest.mark.soak
def test_all_products_through_the_command_line(
    demo_files: Path, demo_ska: Path, demo_list: Path, demo_lake: str, store: ObjectStore
) -> None:
    lake = new_lake()
    command = [str(Path(sys.executable).with_name("mica-lake"))]

    def run(*arguments: str) -> str:
        env = os.environ | {"MICA_LAKE": str(lake), "COLUMNS": "200"}
        done = subprocess.run([*command, *arguments], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("ingest", "aca_l0", "--from", str(demo_files), "--jobs", "2")
    for product in [p.name for p in PRODUCTS if p.folder and p.name not in ("aca_l0", "aca0_list")]:
        follow.ingest(product, demo_ska, str(lake), jobs=1)
    follow.ingest("aca0_list", demo_list, str(lake), jobs=1)
    assert objects(lake) == objects(Path(demo_lake))
    assert f"{lake}\n" in run("status")
    sources = [f"--from={source}" for source in (demo_files, demo_ska, demo_list)]
    assert "Nothing is wrong" in run("verify", *sources)
    assert "0 troubles" in run("reindex")
    assert run("sql", "--format", "csv", "SELECT count(*) AS n FROM slot_data('2024:001', '2024:002', 3)") == (
        f"n\n{len(aca_l0.get_slot_data('2024:001', '2024:002', 3, data_root=demo_lake))}\n"
    )
    there, here = (
        aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:002", data_root=str(root)).vals for root in (lake, demo_lake)
    )
    assert np.ma.count(here) > 1000
    assert np.ma.allequal(there, here)


# --- a process that dies ----------------------------------------------------------------------------------------------

# Makes the lake anew for each n, lets a child take the last file and die before its n-th change of the store.
DIE = """
import sys
from pathlib import Path
from mica_lake.store.objects import Objects
from mica_lake.ingest.aca_l0 import ingest

top, every, *before, last = sys.argv[1:]
die_before_each_step(
    [(Objects, "_put"), (Objects, "copy"), (Objects, "remove")],
    lambda n: before and ingest(map(Path, before), f"{top}/{n}", jobs=1),
    lambda n: ingest([Path(last)], f"{top}/{n}", jobs=1),
    range(0, 200, int(every)),
)
"""


@pytest.mark.parametrize(
    ("intervals", "new"),
    [([], (-60, 60, 1)), ([(-90, 90, 1), (120, 180, 1)], (-60, 60, 2))],
    ids=["the first file", "a newer revision, shorter at both ends"],
)
@pytest.mark.soak
def test_killed_anywhere_a_lake_answers_as_before_or_after_and_the_next_ingest_mends_it(
    intervals: list[tuple[float, float, int]], new: tuple[float, float, int], tmp_path: Path, store: ObjectStore,
    impatient: None, deaths: Callable[..., int],
) -> None:  # fmt: skip
    before = [file_of(tmp_path / "files", *interval) for interval in intervals]
    last = file_of(tmp_path / "files", *new)
    after = take(tmp_path / "after", *before, last)
    answers = [answer(after), answer(take(tmp_path / "before", *before)) if before else []]
    top, every = new_lake(), 5
    steps = deaths(DIE, top, every, *before, last)
    assert steps > 20
    wrong: dict[str, list[int]] = {"answer": [], "partitions": [], "statuses": [], "verify": []}
    for step in range(0, steps, every):
        killed = top / str(step)
        if current_generation(killed) is not None and answer(killed) not in answers:
            wrong["answer"].append(step)
        take(killed, *before, last)
        if objects(killed) != objects(after):
            wrong["partitions"].append(step)
        if statuses(killed) != statuses(after):
            wrong["statuses"].append(step)
        if findings(killed):
            wrong["verify"].append(step)
    assert {what: steps for what, steps in wrong.items() if steps} == {}


def findings(lake: ObjectPath) -> list[Any]:
    with ExitStack() as stack:
        return verify(lake, pool=executor(stack, 1)).findings


# --- two writers ------------------------------------------------------------------------------------------------------

HOLD = """
import sys
from mica_lake.store import lease
from mica_lake.store.objects import OBJECTS, object_path
lease.RENEWAL = float(sys.argv[2])
with OBJECTS.lock(object_path(sys.argv[1]) / "lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


TAKE_OVER = """
import sys
from mica_lake.store import lease
from mica_lake.ingest.aca_l0 import ingest
lease.LEASE = 0.0
ingest([sys.argv[2]], sys.argv[1], jobs=1)
"""


def taken_over(lake: ObjectPath, file: Path) -> None:
    """Let another process take the lake for one whose writer has died, and take a file into it."""
    subprocess.run([sys.executable, "-c", TAKE_OVER, str(lake), str(file)], check=True)


@contextmanager
def held_by_another_process(lake: ObjectPath, renewal: float = 20.0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(lake / "_catalog"), str(renewal)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate()


def test_a_lake_that_a_live_process_writes_is_left_alone(small: ObjectPath, tmp_path: Path) -> None:
    new, before = file_of(tmp_path / "new", 300, 360), state(small)
    with held_by_another_process(small) as process:
        said = rf"{small} is being written by process {process.pid} on \S+ since .*: wait for it, then run this again"
        with pytest.raises(LakeError, match=said):
            take(small, new)
        assert state(small) == before
        assert len(answer(small)) == 14, "readers are not disturbed"
    take(small, new)
    assert len(answer(small)) == 29


def test_one_that_was_killed_is_waited_for_until_its_time_is_up(
    small: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = file_of(tmp_path / "new", 300, 360)
    with held_by_another_process(small) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert OBJECTS.writer_alive(small / "_catalog" / "lock")
    with pytest.raises(LakeError, match=r"If it has died, this will go on in 1[12]\d s"):
        take(small, new)
    monkeypatch.setattr(lease, "LEASE", 0.0)
    assert not OBJECTS.writer_alive(small / "_catalog" / "lock")
    take(small, new)
    assert len(answer(small)) == 29
    assert not (small / "_catalog" / "lock").exists()


def test_a_live_writer_gives_signs_of_life(small: ObjectPath, store: ObjectStore) -> None:
    signs = Request("PUT", f"{small.bucket}/{small.key}/_catalog/lock", 200)
    deadline = time.monotonic() + 60
    with held_by_another_process(small, renewal=0.05):
        before = list(store.requests()).count(signs)
        while list(store.requests()).count(signs) < before + 3:
            assert time.monotonic() < deadline, "no sign of life in a minute"
            time.sleep(0.02)


def test_of_many_that_begin_at_once_one_has_the_lock(small: ObjectPath) -> None:
    start, outcomes = threading.Barrier(8), list[str]()

    def begin() -> None:
        start.wait()
        try:
            with OBJECTS.lock(small / "_catalog" / "lock"):
                outcomes.append("held")
                start.wait()
        except LakeError:
            outcomes.append("refused")
            start.wait()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(outcomes) == {"held": 1, "refused": 7}


def test_one_that_slept_while_another_took_over_commits_nothing(small: ObjectPath, tmp_path: Path) -> None:
    slow, quick = file_of(tmp_path / "slow", 300, 360), file_of(tmp_path / "quick", 600, 660)
    elsewhere = Path(take(tmp_path / "elsewhere", slow))
    row = read_table(elsewhere, "partition").to_pylist()[0]
    key = Key(EPOCH + timedelta(days=row["day_number"]), row["slot"])
    with pytest.raises(LakeError, match="was taken over by another writer"), writing(small):
        OBJECTS.put(small / row["path"], (elsewhere / row["path"]).read_bytes())
        known = read_table(small, "source_file")
        taken_over(small, quick)
        after = state(small), objects(small)
        commit(small, {("aca_l0", key): row}, known)
    assert (state(small), objects(small)) == after
    assert len(answer(small)) == 29
    assert findings(small) == []


@pytest.mark.soak
def test_one_that_is_taken_over_between_its_last_look_and_its_commit_does_not_commit(
    small: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, quick = write_generation, file_of(tmp_path / "quick", 600, 660)

    def late(*arguments: Any) -> None:
        taken_over(small, quick)
        real(*arguments)

    monkeypatch.setattr("mica_lake.catalog.commit.write_generation", late)
    with pytest.raises(LakeError, match="another writer has taken this lake over"):
        take(small, file_of(tmp_path / "slow", 300, 360))
    monkeypatch.undo()
    # The other found what was begun, and rolled it back.
    assert len(answer(small)) == 29
    assert findings(small) == []
    take(small, tmp_path / "slow")
    assert len(answer(small)) == 44


def test_a_lake_that_is_not_locked_is_not_committed_to(small: ObjectPath) -> None:
    with pytest.raises(LakeError, match="is not locked"):
        commit(small, {}, read_table(small, "source_file"))
    with OBJECTS.lock(small / "_catalog" / "lock"):
        OBJECTS.still_held(small / "_catalog" / "lock")


REVISE = """
import sys
from mica_lake.ingest.aca_l0 import ingest
for revision in sys.argv[2:]:
    ingest([revision], sys.argv[1], jobs=1)
"""


@pytest.mark.soak
def test_readers_see_one_revision_while_newer_ones_are_written(small: ObjectPath, tmp_path: Path) -> None:
    revisions = []
    for revision in range(2, 7):
        for day in (0, 1):
            file_of(tmp_path / str(revision), day * 86400, day * 86400 + 60, revision)
        revisions.append(tmp_path / str(revision))
    lake, seen = Lake(small), []
    ranges = "SELECT FILENAME, len(IMGRAW) FROM slot_data('2015:099', '2015:103', 3)"
    with subprocess.Popen([sys.executable, "-c", REVISE, str(small), *map(str, revisions)]) as writer:
        while writer.poll() is None:
            names = {name.split("N")[1][:3] for name, _ in lake.sql(ranges).fetchall()}
            frame = lake.scan("aca_l0", "2015:099", "2015:103", 3).select("FILENAME").unique().collect()
            assert len(names) == 1
            assert len({name.split("N")[1][:3] for name in frame["FILENAME"]}) == 1
            seen.append(names.pop())
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 2


# --- what was given up, damaged, lost ---------------------------------------------------------------------------------


@pytest.mark.soak
def test_a_lake_that_was_copied_from_a_disk_is_one(local: Path, store: ObjectStore) -> None:
    lake = new_lake()
    for path in (path for path in local.rglob("*") if path.is_file() and path.name != "lock"):
        OBJECTS.put(lake.joinpath(path.relative_to(local)), path.read_bytes())
    assert findings(lake) == []
    assert answer(lake) == answer(local)


@pytest.mark.soak
def test_what_was_given_up_stays_for_readers_of_the_hour_before_and_then_goes(
    small: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relation = Lake(small).sql("SELECT TIME FROM slot_data('2015:099', '2015:103', 3)")
    take(small, file_of(tmp_path / "new", 0, 60, revision=2))
    take(small, file_of(tmp_path / "more", 300, 360))
    assert len(relation.fetchall()) == 14
    assert len(list((small / "_catalog/pinned/aca_l0").rglob("*"))) == 3
    monkeypatch.setattr("mica_lake.catalog.mend.GRACE_SECONDS", -60.0)
    take(small, tmp_path / "more")
    assert len(list((small / "_catalog/pinned/aca_l0").rglob("*"))) == 1
    assert [path.name for path in (small / "_catalog").iterdir() if path.name.isdigit()] == ["00000003"]
    assert findings(small) == []


PARTITION = "aca_l0/year=2015/doy=101/slot=3/data.parquet"


def spoil(path: ObjectPath) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    OBJECTS.put(path, bytes(content))


@pytest.mark.parametrize("harm", [ObjectPath.unlink, spoil], ids=["lost", "damaged"])
@pytest.mark.parametrize("which", ["partition", "version"])
@pytest.mark.often(1)
def test_verify_finds_what_is_lost_or_damaged_and_reindex_brings_it_back_from_the_other(
    which: str, harm: Callable[[ObjectPath], None], small: ObjectPath
) -> None:
    before, rows = objects(small), answer(small)
    pinned = small / read_table(small, "partition").column("path")[0].as_py()
    harm(small / PARTITION if which == "partition" else pinned)
    found = findings(small)
    assert [finding.where for finding in found] == [PARTITION]
    assert f"mica-lake reindex --lake {small}" in found[0].mend
    rebuild(small)
    assert findings(small) == []
    assert (objects(small), answer(small)) == (before, rows)


def test_a_lost_catalog_is_derived_again(small: ObjectPath) -> None:
    rows = answer(small)
    for path in list((small / "_catalog").rglob("*")):
        path.unlink()
    with pytest.raises(LakeError, match=f"{small} has no catalog: 'mica-lake reindex --lake {small}' derives it"):
        Lake(small)
    assert rebuild(small) == []
    assert answer(small) == rows


def test_what_removes_an_object_is_said(small: ObjectPath) -> None:
    assert removing([small / "a b", small / "c"]) == f"aws s3 rm '{small}/a b'; aws s3 rm {small}/c"


# --- a store that fails -----------------------------------------------------------------------------------------------


# The store does what it is asked, but its answer is lost.
HANG_UP = 0


@contextmanager
def in_front_of(store: ObjectStore, change: Callable[[str, str, dict[str, str]], int | None]) -> Iterator[str]:
    """A store that is the other one, but for what `change` does to headers, or answers at once."""

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            # Without a type, urllib would call the body a form.
            headers = {"Content-Type": "application/octet-stream", **self.headers}
            for name in ("Host", "Connection", "Expect"):
                headers.pop(name, None)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answered, found, content = change(self.command, self.path, headers), [], b""
            status = answered
            if answered in (None, HANG_UP):
                url = store.environment["AWS_ENDPOINT_URL"] + self.path
                request = urllib.request.Request(url, data=body or None, headers=headers, method=self.command)
                try:
                    with urllib.request.urlopen(request) as response:
                        status, found, content = response.status, response.headers.items(), response.read()
                except urllib.error.HTTPError as error:
                    status, found, content = error.code, error.headers.items(), error.read()
            elif status == 403:
                content = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
            if answered == HANG_UP:
                self.close_connection = True
                return
            self.send_response_only(status)
            for name, value in found:
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = dict(found).get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = forward  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def without_conditions(method: str, path: str, headers: dict[str, str]) -> None:
    for name in [name for name in headers if name.lower() in ("if-match", "if-none-match")]:
        del headers[name]


def test_a_store_that_does_not_know_conditions_is_not_written_to(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, file = new_lake(), file_of(tmp_path / "files", 0, 60)
    with in_front_of(store, without_conditions) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(LakeError, match="does not know conditional PUT"):
            take(lake, file)
    monkeypatch.undo()
    assert list(lake.rglob("*")) == []


@pytest.mark.soak
def test_answers_that_are_lost_change_nothing(
    days: Path, tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[str, str]] = set()

    def once(method: str, path: str, headers: dict[str, str]) -> int | None:
        if method == "GET" or (method, path) in seen:
            return None
        seen.add((method, path))
        return HANG_UP

    lake, files = new_lake(), sorted(days.iterdir())[:6]
    with in_front_of(store, once) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        take(lake, *files)
    monkeypatch.undo()
    assert {"PUT", "POST", "HEAD"} <= {method for method, _ in seen}
    assert any(path.endswith("/_catalog/current") for _, path in seen)
    assert objects(lake) == objects(take(tmp_path / "lake", *files))
    assert findings(lake) == []
    assert not (lake / "_catalog" / "lock").exists()


@pytest.mark.soak
def test_a_token_that_expires_does_not_look_like_damage(
    small: ObjectPath, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(small), objects(small)

    def expired(method: str, path: str, headers: dict[str, str]) -> int | None:
        return 403 if path.endswith("data.parquet") or "/pinned/" in path else None

    with in_front_of(store, expired) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for do in (rebuild, findings):
            with pytest.raises(ObjectStoreError, match="The provided token has expired"):
                do(small)
        with pytest.raises(duckdb.Error, match="The provided token has expired"):
            answer(small)
    monkeypatch.undo()
    assert (state(small), objects(small)) == before
    assert findings(small) == []


def test_without_an_answer_the_message_says_what_was_asked(
    small: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ObjectStoreError, match=f"{small}/_catalog/current: .*error sending request.*AWS_ENDPOINT_URL"):
        Lake(small)


def test_a_bucket_that_is_not_there_is_named(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError, match="there is no bucket 'nowhere': make it first"):
        Lake("s3://nowhere/lake")
    with pytest.raises(ObjectStoreError, match="there is no bucket 'nowhere': make it first"):
        take(object_path("s3://nowhere/lake"), file_of(tmp_path, 0, 60))


def test_where_there_is_no_lake_it_says_how_to_make_one(store: ObjectStore) -> None:
    lake = new_lake()
    with pytest.raises(LakeError, match=f"{lake} is not a mica lake, it is not there: .*--lake {lake}"):
        Lake(lake)
    OBJECTS.put(lake / "thesis.tex", b"all I have")
    with pytest.raises(LakeError, match=f"{lake} is not a mica lake and is not empty"):
        create(lake)


@pytest.mark.parametrize("name", ["s3://", "s3:///", "s3://bucket/../other", "gs://", "az:///"])
def test_a_name_without_a_bucket_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a place in an object store: say (s3|gs|az)://BUCKET/PREFIX"):
        Lake(name)


def test_a_name_that_is_a_pattern_is_refused() -> None:
    with pytest.raises(LakeError, match="DuckDB would take"):
        Lake("s3://bucket/lake*")


# --- reading ----------------------------------------------------------------------------------------------------------


def test_threads_that_share_a_file_have_each_their_own_position(small: ObjectPath) -> None:
    content = bytes(range(256)) * 1024
    path = small / "shared"
    OBJECTS.put(path, content)
    file = LakeFiles(small).open(str(path))
    turns = threading.Barrier(4)
    found: dict[int, bytes] = {}

    def read(at: int) -> None:
        file.seek(at)
        turns.wait()
        found[at] = file.read(1000)

    threads = [threading.Thread(target=read, args=(at,)) for at in (0, 5000, 100_000, len(content) - 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {at: content[at : at + 1000] for at in found}
    assert len(found) == 4


def test_an_object_that_is_replaced_while_it_is_read_is_an_error_never_a_mixture(small: ObjectPath) -> None:
    path = small / "replaced"
    OBJECTS.put(path, b"a" * 2 * TAIL)
    file = LakeFiles(small).open(str(path))
    assert file.read(10) == b"a" * 10
    OBJECTS.put(path, b"b" * 2 * TAIL)
    with pytest.raises(OSError, match="it is another object by now"):
        file.read(10)


def test_a_file_is_read_as_any_other(small: ObjectPath) -> None:
    OBJECTS.put(small / "empty", b"")
    OBJECTS.put(small / "ten", b"0123456789")
    files = LakeFiles(small)
    with files.open(f"{small}/empty") as file:
        assert (files.size(f"{small}/empty"), file.read()) == (0, b"")
    with files.open(f"{small}/ten") as file:
        assert (file.seek(-3, os.SEEK_END), file.read(2), file.tell(), file.seek(-1, os.SEEK_CUR)) == (7, b"78", 9, 8)
        assert (file.read(), file.read(5), file.readable(), file.seekable()) == (b"89", b"", True, True)
    assert files.modified(f"{small}/ten").timestamp() == OBJECTS.stat(small / "ten").mtime
    with files.open(f"{small}/new", "wb") as file:
        file.write(b"by DuckDB")
    assert (small / "new").read_bytes() == b"by DuckDB"


def test_patterns_of_other_files_are_known(small: ObjectPath) -> None:
    connection = Lake(small).connection
    pattern = f"{small}/aca_l0/*/*/*/data.parquet"
    rows = connection.execute("SELECT count(*), min(year) FROM read_parquet($files)", {"files": pattern}).fetchall()
    assert rows == [(14, 2015)]


def test_only_so_many_ends_are_kept(small: ObjectPath, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_files, "KEPT", 3)
    files = LakeFiles(small)
    paths = [small / "_catalog" / "pinned" / "of_nobody" / str(n) for n in range(5)]
    for path in paths:
        OBJECTS.put(path, b"x")
        assert files.size(str(path)) == 1
    with asked(store) as requests:
        for path in paths[2:]:
            files.size(str(path))
    assert requests == []
    with asked(store) as requests:
        files.size(str(paths[0]))
    assert [request.operation for request in requests] == ["GET"]


def test_many_threads_read_what_one_reads(remote: ObjectPath, local: Path) -> None:
    query = "SELECT * EXCLUDE FILENAME FROM slot_data($start, $stop, 4) ORDER BY TIME"
    connection = Lake(remote).private_connection()
    connection.execute("SET threads = 8")
    assert connection.execute(query, TWENTY).fetchall() == Lake(local).connection.execute(query, TWENTY).fetchall()


def test_a_process_that_was_forked_reads_too(remote: ObjectPath) -> None:
    lake = Lake(remote)
    expected = len(ASK["SQL"](lake)["TIME"])
    pid = os.fork()
    if pid == 0:
        os._exit(0 if len(ASK["SQL"](lake)["TIME"]) == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_polars_gets_the_same_configuration(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = store.environment["AWS_ENDPOINT_URL"]
    expected = {
        "aws_region": "us-east-1", "aws_endpoint_url": endpoint, "aws_allow_http": "true",
        "aws_access_key_id": "nobody", "aws_secret_access_key": "nothing",
    }  # fmt: skip
    assert polars_options("s3") == expected
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of an hour")
    assert polars_options("s3") == expected | {"aws_session_token": "of an hour"}
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert polars_options("s3") == {k: v for k, v in expected.items() if "key" not in k} | {
        "aws_skip_signature": "true"
    }
    assert polars_options("gs") is None


def test_a_profile_gives_keys_endpoint_and_region(
    small: ObjectPath, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As people have them in ~/.aws; obstore by itself does not know them."""
    (tmp_path / "config").write_text(
        f"[profile of_mine]\nregion = eu-west-2\nendpoint_url = {store.environment['AWS_ENDPOINT_URL']}\n"
        "aws_access_key_id = k\naws_secret_access_key = s\n"
    )
    expected = answer(small)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "of_mine")
    assert answer(small) == expected
    assert polars_options("s3") == {
        "aws_region": "eu-west-2", "aws_endpoint_url": store.environment["AWS_ENDPOINT_URL"], "aws_allow_http": "true",
        "aws_access_key_id": "k", "aws_secret_access_key": "s",
    }  # fmt: skip
    monkeypatch.setenv("AWS_PROFILE", "of_nobody")
    with pytest.raises(ObjectStoreError, match=r"AWS's configuration cannot be used: .*of_nobody"):
        answer(small)
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert polars_options("s3") == {"aws_region": "us-east-1", "aws_skip_signature": "true"}


# --- paths ------------------------------------------------------------------------------------------------------------

NAMES = st.text("ab=.1 é", min_size=1, max_size=4).filter(lambda name: set(name) != {"."})
TREES = st.sets(st.lists(NAMES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=6)


@pytest.mark.soak
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES)
def test_a_tree_of_objects_is_a_tree_of_files(store: ObjectStore, tmp_path: Path, tree: set[tuple[str, ...]]) -> None:
    # What is a file is not a directory.
    tree = {names for names in tree if not any(other != names and other == names[: len(other)] for other in tree)}
    top, folder = new_lake(), tmp_path / str(next(NUMBER))
    for names in tree:
        for root in (top, folder):
            path = root.joinpath(*names)
            path.parent.mkdir(parents=True, exist_ok=True)
            store_of(path).put(path, b"x")

    def seen(root: ObjectPath | Path) -> Any:
        return [
            sorted(path.relative_to(root).as_posix() for path in found)
            for found in (root.iterdir(), (p for p in root.rglob("*a*") if isinstance(p, ObjectPath) or p.is_file()),
                          (p for p in root.glob("*/*a") if isinstance(p, ObjectPath) or p.is_file()))
        ]  # fmt: skip

    assert seen(top) == seen(folder)
    for names in tree:
        for n in range(1, len(names) + 1):
            there, here = top.joinpath(*names[:n]), folder.joinpath(*names[:n])
            assert (there.exists(), there.is_dir()) == (here.exists(), here.is_dir())
            assert (there.name, str(there.relative_to(top))) == (here.name, str(here.relative_to(folder)))


@pytest.mark.soak
def test_more_than_a_thousand_objects_are_all_listed(store: ObjectStore) -> None:
    top = new_lake()
    OBJECTS.each(lambda n: OBJECTS.put(top / f"{n:04}", b""), range(1100))
    assert [path.name for path in top.rglob("*")] == [f"{n:04}" for n in range(1100)]
    assert len(list(top.iterdir())) == 1100


def test_a_path_is_what_it_says(store: ObjectStore) -> None:
    path = new_lake() / "a"
    assert pickle.loads(pickle.dumps(path)) == path
    assert str(object_path("s3://bucket/lake/")) == "s3://bucket/lake"
    assert [str(object_path(f"{scheme}://b/c") / "d") for scheme in ("gs", "az")] == ["gs://b/c/d", "az://b/c/d"]
    with pytest.raises(FileNotFoundError, match=f"no such object: '{path}'"):
        OBJECTS.stat(path)


def test_lazy_frames_are_lazy(remote: ObjectPath, store: ObjectStore) -> None:
    lake = Lake(remote)
    lake.sql("SELECT 1").fetchall()
    with asked(store) as requests:
        frame = lake.scan("aca_l0", **TWENTY, slot=3)
    assert isinstance(frame, pl.LazyFrame)
    assert not [r for r in requests if "/pinned/" in r.path]
