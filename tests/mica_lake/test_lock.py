"""The writer's lock: one writer at a time, told from one that died and from one on another host."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mica_lake import LakeError
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lock import writer_lock
from mica_lake.simulate.aca_l0 import readouts, times, write_file

HOLD = """
import sys
from pathlib import Path
from mica_lake.lock import writer_lock
with writer_lock(Path(sys.argv[1])):
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
    with writer_lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


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


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"host": "another"}', "not json", "\x00\x00", "\udcff"])
def test_a_text_that_names_nobody_is_taken_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(text, errors="surrogateescape")
    with writer_lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["host"] == socket.gethostname()


def test_the_lock_is_free_again_afterwards_also_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), writer_lock(tmp_path):
            raise ZeroDivisionError
        assert (tmp_path / "lock").read_text() == ""


def test_two_threads_do_not_write_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with writer_lock(tmp_path):
                pass
        except LakeError as error:
            errors.append(error)

    with writer_lock(tmp_path):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert f"process {os.getpid()}" in str(errors[0])
