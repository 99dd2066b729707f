"""The writer's lock: one writer at a time, any number of readers."""

import errno
import fcntl
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from mica_lake.errors import LakeError, ObjectStoreError
from mica_lake.store.s3 import LakePath, S3Path

# Seconds after which a writer on an object store without a sign of life counts as dead; and how often it gives one.
LEASE, RENEWAL = 120.0, 20.0
# A lock's text is one line; this is the most that is read of a file that holds more.
MOST_BYTES = 65536
_REMOVE_IT = "if no ingest is running, remove it and run this again"


@contextmanager
def writer_lock(catalog: LakePath) -> Iterator[None]:
    """
    Hold the writer's lock of a lake.

    On a disk the kernel holds the lock (``flock``) and releases it when its owner dies, however it dies. The file's
    text names the owner. Text that is left over comes from an owner that died; only the owner's own host takes the lock
    over then, because not every shared file system reports locks across hosts. If the text is damaged and names nobody,
    the lock is taken over, too.

    An object store has no kernel to do this. There the lock is an object that only one writer can create, and that its
    owner writes again every `RENEWAL` seconds; one older than `LEASE`, by the store's clock, is taken over.

    Parameters
    ----------
    catalog : Path or S3Path
        The ``_catalog`` directory of the lake.

    Raises
    ------
    LakeError
        If another writer has it; the message gives its process, host and start. If the lock is not a regular file.
    """
    if isinstance(catalog, S3Path):
        lease = _Lease(catalog)
        try:
            yield
        finally:
            lease.end()
        return
    path = catalog / "lock"
    lock = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _who(_owner(lock), path)
            raise LakeError(f"{catalog.parent} is being written by {who}: wait for it, then run this again") from None
        owner = _owner(lock)
        if owner and owner["host"] != socket.gethostname():
            raise LakeError(
                f"{catalog.parent} was being written by {_who(owner, path)}, which did not finish. "
                f"If it is no longer running, remove {path} and run this again"
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(_ourselves()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def still_held(catalog: LakePath) -> None:
    """
    Check that this process is still the lake's writer.

    Parameters
    ----------
    catalog : Path or S3Path
        The ``_catalog`` directory of the lake, whose lock was taken.

    Raises
    ------
    LakeError
        If the lock was taken over because this process, stopped or cut off from the store, gave no sign of life for too
        long.
    """
    if isinstance(catalog, S3Path):
        lease = _LEASES.get(str(catalog))
        if lease is None:
            raise LakeError(f"{catalog.parent} is not locked")
        lease.renew()


def writer_alive(catalog: LakePath) -> bool:
    """
    Whether the lock of a lake is held, as far as this host can tell.

    Parameters
    ----------
    catalog : Path or S3Path
        The ``_catalog`` directory of the lake.

    Returns
    -------
    bool
        False if there was no writer, or if it has ended or died. That a writer on another host died is known only on an
        object store.
    """
    path = catalog / "lock"
    try:
        if isinstance(path, S3Path):
            return path.stat().age < LEASE
        lock = _opened(path, os.O_RDONLY)
        try:
            owner = _owner(lock)
        finally:
            os.close(lock)
        if not owner:
            return False
        if owner["host"] != socket.gethostname():
            return True
        os.kill(owner["pid"], 0)
    except PermissionError:
        return True
    except (OSError, LakeError):
        return False
    return True


class _Lease:
    """The lock of a lake on an object store, held until `end`."""

    def __init__(self, catalog: S3Path) -> None:
        self._path, self._lake = catalog / "lock", catalog.parent
        # A token of its own, so that no two owners' locks have the same etag.
        self._text = json.dumps({**_ourselves(), "token": uuid4().hex}).encode()
        self._etag = self._taken()
        self._lock, self._ended, self._lost = threading.Lock(), threading.Event(), False
        self._conditions_hold()
        self._renewed = monotonic()
        _LEASES[str(catalog)] = self
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def _taken(self) -> str:
        for _ in range(3):
            try:
                return self._path.put(self._text, new=True)
            except BlockingIOError:
                pass
            try:
                content, there = self._path.read(0, MOST_BYTES)
            except FileNotFoundError:  # it was just released
                continue
            if content == self._text:  # the answer to our first PUT was lost, and s3fs asked again
                return there.etag
            who = _who(_parsed(content), self._path)
            if there.age < LEASE:
                raise LakeError(
                    f"{self._lake} is being written by {who}, whose last sign of life is {there.age:.0f} s "
                    "ago: wait for it, then run this again. If it has died, this will go on in "
                    f"{LEASE - there.age:.0f} s"
                )
            try:
                return self._path.put(self._text, etag=there.etag)
            except (BlockingIOError, FileNotFoundError):  # another was quicker
                continue
        raise LakeError(f"{self._lake} is being written by another process: wait for it, then run this again")

    def _conditions_hold(self) -> None:
        """Raise if the store ignores the condition of a PUT: it could give the lock to two writers."""
        for wrong in ({"new": True}, {"etag": '"00000000000000000000000000000000"'}):
            try:
                self._path.put(self._text, **wrong)
            except BlockingIOError:
                continue
            self._path.unlink()
            raise LakeError(
                f"{self._lake}: this object store does not know conditional PUT (If-None-Match, If-Match), without "
                "which two writers could be at work at the same time. Nothing was done"
            )

    def renew(self) -> None:
        """Give a sign of life; raise if another writer has the lock by now."""
        with self._lock:
            try:
                if not self._lost:
                    self._etag = self._path.put(self._text, etag=self._etag)
                    self._renewed = monotonic()
                    return
            except (BlockingIOError, FileNotFoundError):
                self._lost = not self._ours()
                if not self._lost:
                    return
            raise LakeError(
                f"{self._lake} was taken over by another writer, because this one gave no sign of life for "
                f"{monotonic() - self._renewed:.0f} s. What it has committed is in the lake: run it again for the rest"
            )

    def _ours(self) -> bool:
        """Whether the lock is ours although its etag has changed, by a PUT whose answer was lost."""
        try:
            content, there = self._path.read(0, MOST_BYTES)
        except FileNotFoundError:
            return False
        self._etag = there.etag
        return content == self._text

    def _beat(self) -> None:
        while not self._ended.wait(RENEWAL):
            try:
                self.renew()
            except LakeError:  # reported where it matters, at the next commit
                return
            except ObjectStoreError:
                continue

    def end(self) -> None:
        """Release the lock, unless it was lost."""
        self._ended.set()
        self._heart.join()
        if _LEASES.get(str(self._path.parent)) is self:
            del _LEASES[str(self._path.parent)]
        try:
            self.renew()
            self._path.unlink()
        except (LakeError, ObjectStoreError):  # another writer has it, or it will expire
            return


_LEASES: dict[str, _Lease] = {}


def _ourselves() -> dict[str, str | int]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}


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
            raise LakeError(f"{path} is no regular file, the lock is one: {_REMOVE_IT}") from None
        raise
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise LakeError(f"{path} is no regular file, the lock is one: {_REMOVE_IT}")
    return lock


def _owner(lock: int) -> dict[str, Any]:
    return _parsed(os.pread(lock, MOST_BYTES, 0))


def _parsed(content: bytes) -> dict[str, Any]:
    """Host, process and start of the owner; empty if the content does not name one."""
    try:
        owner = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(owner, dict):
        return {}
    host, pid, since = (owner.get(name) for name in ("host", "pid", "since"))
    named = isinstance(host, str) and isinstance(since, str) and type(pid) is int and 0 < pid < 1 << 31
    return {"host": host, "pid": pid, "since": since} if named else {}


def _who(owner: dict[str, Any], lock: LakePath) -> str:
    if not owner:
        return f"another process ({lock} does not say which)"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
