"""
The writer's lock on a disk, which the kernel holds (``flock``) and releases when its owner dies, however it dies.

The file's text names the owner. Text that is left over comes from an owner that died; only the owner's own host takes
the lock over then, because not every shared file system reports locks across hosts. Text that names nobody is taken
over, too.
"""

import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mica_lake.errors import LakeError
from mica_lake.store.owner import MOST_BYTES, ourselves, owner, who

_REMOVE_IT = "if no ingest is running, remove it and run this again"
# How often, and after how many seconds, to try again: `writer_alive` holds the lock for a moment.
_TRIES, _PAUSE = 5, 0.02


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock; a LakeError if another writer has it, or if it is not a regular file."""
    lake = path.parent.parent
    lock = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        if not _taken(lock, fcntl.LOCK_EX, _TRIES):
            raise LakeError(f"{lake} is being written by {who(_owner(lock), path)}: wait for it, then run this again")
        before = _owner(lock)
        if before and before["host"] != socket.gethostname():
            raise LakeError(
                f"{lake} was being written by {who(before, path)}, which did not finish. "
                f"If it is no longer running, remove {path} and run this again"
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(ourselves()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def writer_alive(path: Path) -> bool:
    """Whether the lock is held; if it names a writer on another host, it is not known to have died."""
    try:
        lock = _opened(path, os.O_RDONLY)
    except PermissionError:
        return True
    except (OSError, LakeError):
        return False
    try:
        # The kernel knows: the number of a process that died may have been given to another.
        if not _taken(lock, fcntl.LOCK_SH, 1):
            return True
        found = _owner(lock)
    finally:
        os.close(lock)
    return bool(found) and found["host"] != socket.gethostname()


def _taken(lock: int, kind: int, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(_PAUSE)
        else:
            return True
    return False


def _opened(path: Path, flags: int) -> int:
    """Descriptor of the lock's file; never waits, as opening a FIFO would."""
    try:
        if path.is_symlink() and not path.exists():
            raise LakeError(f"{path} is a link to {path.readlink()}, which is not there: {_REMOVE_IT}")
        lock = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except IsADirectoryError:
        raise LakeError(f"{path} is a directory, the lock is a file: {_REMOVE_IT}") from None
    except OSError as error:
        # A loop of links; a socket, or a FIFO that nobody reads.
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise LakeError(f"{path} is not a regular file, the lock is one: {_REMOVE_IT}") from None
        raise
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise LakeError(f"{path} is not a regular file, the lock is one: {_REMOVE_IT}")
    return lock


def _owner(lock: int) -> dict[str, Any]:
    return owner(os.pread(lock, MOST_BYTES, 0))
