"""The writer's lock: one writer at a time, told from one that died and from one on another host."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mica_lake import LakeError
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.simulate.object_store import ObjectStore
from mica_lake.store.objects import OBJECTS, object_path
from mica_lake.store.owner import MOST_BYTES
from mica_lake.store.place import DISK

HOLD = """
import sys
from pathlib import Path
from mica_lake.store.place import DISK
with DISK.lock(Path(sys.argv[1], "lock")):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(catalog: Path) -> Iterator[subprocess.Popen[str]]:
    """The lock in the hands of a live process, which lets go when its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(catalog)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of one file, which is in folder ``files`` beside it."""
    one_more_file(tmp_path / "files", 5e8)
    ingest([tmp_path / "files"], tmp_path / "lake", jobs=1)
    return tmp_path / "lake"


def one_more_file(folder: Path, start: float) -> Path:
    folder.mkdir(exist_ok=True)
    return write_file(folder, 3, readouts(3, 8, times(start, start + 60, 8)))


def everything(lake: Path) -> dict[str, bytes]:
    files = (path for path in lake.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in files}


def test_a_lake_that_a_live_process_writes_is_left_alone(lake: Path, tmp_path: Path) -> None:
    file = one_more_file(tmp_path / "more", 5e8 + 600)
    before = everything(lake)
    with held_by_another_process(lake / "_catalog") as process:
        with pytest.raises(LakeError, match=f"process {process.pid} on {socket.gethostname()} since 20"):
            ingest([file], lake, jobs=1)
        assert everything(lake) == before
        assert ingest([file], lake, jobs=1, dry_run=True).taken == [file.name], "who only looks needs no lock"
    assert ingest([file], lake, jobs=1).taken == [file.name]


def test_a_process_that_is_killed_lets_go(lake: Path, tmp_path: Path) -> None:
    file = one_more_file(tmp_path / "more", 5e8 + 600)
    with held_by_another_process(lake / "_catalog") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert json.loads((lake / "_catalog" / "lock").read_text())["pid"] == process.pid
        assert ingest([file], lake, jobs=1).taken == [file.name]


def owner(host: str) -> str:
    return json.dumps({"host": host, "pid": 4242, "since": "2015-06-30T23:59:59+00:00"})


def test_what_a_dead_process_of_this_host_left_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(owner(socket.gethostname()))
    with DISK.lock(tmp_path / "lock"):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_process_that_got_the_number_of_one_that_died_is_no_writer(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": "2015"}))
    assert not DISK.writer_alive(tmp_path / "lock")
    with held_by_another_process(tmp_path):
        (tmp_path / "lock").write_text("")
        assert DISK.writer_alive(tmp_path / "lock")


def test_what_another_host_left_is_refused_and_the_file_to_remove_is_named(lake: Path, tmp_path: Path) -> None:
    file = one_more_file(tmp_path / "more", 5e8 + 600)
    lock = lake / "_catalog" / "lock"
    lock.write_text(owner("another.example.org"))
    before = everything(lake)
    with pytest.raises(LakeError) as caught:
        ingest([file], lake, jobs=1)
    for part in ("process 4242 on another.example.org since 2015-06-30T23:59:59", f"remove {lock} "):
        assert part in str(caught.value)
    assert everything(lake) == before
    assert lock.read_text() == owner("another.example.org")
    lock.unlink()
    assert ingest([file], lake, jobs=1).taken == [file.name]


NAMES_NOBODY = {
    "empty": b"",
    "no JSON": b"not json",
    "half of it": b'{"host": "anot',
    "no object": b"[]",
    "null": b"null",
    "a number": b"7",
    "lacks the process": b'{"host": "another", "since": "2015"}',
    "null bytes": bytes(200),
    "no UTF-8": b'{"host": "\xff\xfe", "pid": 1, "since": ""}',
    "deeply nested": b"[" * 200_000,
    "numbers for texts": b'{"host": 7, "pid": 1, "since": 8}',
    "a text for a number": b'{"host": "another", "pid": "1", "since": "2015"}',
    "no number of a process": b'{"host": "another", "pid": -1, "since": "2015"}',
    "a number beyond any": b'{"host": "another", "pid": %s, "since": "2015"}' % (b"9" * 5000),
    "too much": b" " * MOST_BYTES + b'{"host": "another", "pid": 1, "since": "2015"}',
}


@pytest.mark.parametrize("content", NAMES_NOBODY.values(), ids=NAMES_NOBODY)
def test_a_content_that_names_nobody_is_taken_over(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(content)
    assert not DISK.writer_alive(tmp_path / "lock")
    with DISK.lock(tmp_path / "lock"):
        assert json.loads((tmp_path / "lock").read_text())["host"] == socket.gethostname()
        assert DISK.writer_alive(tmp_path / "lock")
    assert (tmp_path / "lock").read_bytes() == b""


@pytest.mark.parametrize("content", NAMES_NOBODY.values(), ids=NAMES_NOBODY)
def test_a_lock_that_is_held_is_so_whatever_it_says(content: bytes, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held_by_another_process(tmp_path):
        lock.write_bytes(content)
        with pytest.raises(LakeError, match=re.escape(f"written by another process ({lock} does not say which): wait")):
            DISK.lock(tmp_path / "lock").__enter__()
        assert lock.read_bytes() == content


def test_of_a_huge_lock_no_more_is_read_than_a_lock_has(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("wb") as lock:
        lock.truncate(1 << 40)
    assert not DISK.writer_alive(tmp_path / "lock")
    with DISK.lock(tmp_path / "lock"):
        assert (tmp_path / "lock").stat().st_size < MOST_BYTES


def a_socket(lock: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(lock.name)  # a path of a socket may not be long


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda lock: lock.mkdir(), "is a directory, the lock is a file"),
        (os.mkfifo, "is not a regular file, the lock is one"),
        (lambda lock: lock.symlink_to("nowhere"), "is a link to nowhere, which is not there"),
        (lambda lock: lock.symlink_to(lock), "is a link to .*lock, which is not there"),
        (lambda lock: lock.symlink_to("/dev/null"), "is not a regular file, the lock is one"),
        (a_socket, "is not a regular file, the lock is one"),
    ],
    ids=["directory", "FIFO", "dangling link", "loop of links", "device", "socket"],
)
def test_what_cannot_be_a_lock_is_refused_and_named(
    make: Callable[[Path], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "lock")
    assert not DISK.writer_alive(tmp_path / "lock")
    with pytest.raises(LakeError, match=f"^{tmp_path}/lock {said}: if no ingest is running, remove it"):
        DISK.lock(tmp_path / "lock").__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_a_link_to_a_file_is_a_lock(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "lock").symlink_to("elsewhere")
    with DISK.lock(tmp_path / "lock"):
        assert DISK.writer_alive(tmp_path / "lock")
    assert (tmp_path / "lock").is_symlink()


@pytest.mark.parametrize("content", NAMES_NOBODY.values(), ids=NAMES_NOBODY)
def test_an_object_that_names_nobody_is_taken_over_when_its_time_is_up(
    content: bytes, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    catalog = object_path("s3://bucket/nobody/_catalog")
    OBJECTS.put(catalog / "lock", content)
    said = rf"is being written by another process \({catalog}/lock does not say which\), whose last sign of life is"
    with pytest.raises(LakeError, match=said):
        OBJECTS.lock(catalog / "lock").__enter__()
    assert (catalog / "lock").read_bytes() == content
    monkeypatch.setattr("mica_lake.store.lease.LEASE", 0.0)
    with OBJECTS.lock(catalog / "lock"):
        assert json.loads((catalog / "lock").read_bytes())["host"] == socket.gethostname()
    assert not (catalog / "lock").exists()


def test_the_lock_is_free_again_afterwards_also_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), DISK.lock(tmp_path / "lock"):
            raise ZeroDivisionError
        assert (tmp_path / "lock").read_text() == ""


def test_two_threads_do_not_write_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with DISK.lock(tmp_path / "lock"):
                pass
        except LakeError as error:
            errors.append(error)

    with DISK.lock(tmp_path / "lock"):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert f"process {os.getpid()}" in str(errors[0])
