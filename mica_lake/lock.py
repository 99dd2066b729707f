"""The writer's lock: one writer at a time, any number of readers."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mica_lake.errors import LakeError


@contextmanager
def writer_lock(catalog: Path) -> Iterator[None]:
    """
    Hold the writer's lock of a lake.

    The kernel holds the lock (``flock``) and lets go of it when its owner dies, however it dies. The file's text says
    who the owner is; text that is left over comes from an owner that died, and is taken over on the owner's host only,
    as not every shared file system tells other hosts of a lock.

    Parameters
    ----------
    catalog : Path
        The ``_catalog`` directory of the lake.

    Raises
    ------
    LakeError
        If another writer has it; its process, host and start are named.
    """
    path = catalog / "lock"
    with path.open("a+") as lock:
        owner = _read(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeError(
                f"{catalog.parent} is being written by {_who(owner)}: wait for it, then run this again"
            ) from None
        owner = _read(path)
        if owner and owner["host"] != socket.gethostname():
            raise LakeError(
                f"{catalog.parent} was being written by {_who(owner)}, which did not finish. "
                f"If it runs no more, remove {path} and run this again"
            )
        lock.truncate(0)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        lock.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": started}))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _read(path: Path) -> dict[str, str]:
    try:
        owner = json.loads(path.read_text())
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) and {"host", "pid", "since"} <= set(owner) else {}


def _who(owner: dict[str, str]) -> str:
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}" if owner else "another process"
