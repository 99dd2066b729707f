"""The writer's lock: one writer at a time, any number of readers."""

import fcntl
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from uuid import uuid4

from mica_lake.errors import LakeError, ObjectStoreError
from mica_lake.s3 import LakePath, S3Path

# Seconds: without a sign of life a writer on an object store has died; how often it gives one.
LEASE, RENEWAL = 120.0, 20.0


@contextmanager
def writer_lock(catalog: LakePath) -> Iterator[None]:
    """
    Hold the writer's lock of a lake.

    On a disk the kernel holds the lock (``flock``) and lets go of it when its owner dies, however it dies. The file's
    text says who the owner is; text that is left over comes from an owner that died, and is taken over on the owner's
    host only, as not every shared file system tells other hosts of a lock.

    An object store has no such kernel. There the lock is an object that only one can put where there is none, and that
    its owner puts again every `RENEWAL` seconds; one that is older than `LEASE`, by the store's clock, is taken over.

    Parameters
    ----------
    catalog : Path or S3Path
        The ``_catalog`` directory of the lake.

    Raises
    ------
    LakeError
        If another writer has it; its process, host and start are named.
    """
    if isinstance(catalog, S3Path):
        lease = _Lease(catalog)
        try:
            yield
        finally:
            lease.end()
        return
    path = catalog / "lock"
    with path.open("a+") as lock:
        owner = _owner(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeError(
                f"{catalog.parent} is being written by {_who(owner)}: wait for it, then run this again"
            ) from None
        owner = _owner(path)
        if owner and owner["host"] != socket.gethostname():
            raise LakeError(
                f"{catalog.parent} was being written by {_who(owner)}, which did not finish. "
                f"If it runs no more, remove {path} and run this again"
            )
        lock.truncate(0)
        lock.write(json.dumps(_ourselves()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def still_held(catalog: LakePath) -> None:
    """
    See that this process is the lake's writer yet.

    Parameters
    ----------
    catalog : Path or S3Path
        The ``_catalog`` directory of the lake, whose lock was taken.

    Raises
    ------
    LakeError
        If it was taken over, as this process gave no sign of life for too long: stopped, or cut off from the store.
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
        False if no writer was here, if it has ended, or died. Of a writer on another host, only an object store knows
        that it died.
    """
    path = catalog / "lock"
    try:
        if isinstance(path, S3Path):
            return path.stat().age < LEASE
        owner = json.loads(path.read_text(errors="replace"))
        if owner["host"] != socket.gethostname():
            return True
        os.kill(int(owner["pid"]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
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
                content, there = self._path.read()
            except FileNotFoundError:  # it was just let go
                continue
            if content == self._text:  # the answer to our first PUT was lost, and s3fs asked again
                return there.etag
            owner = _parsed(content.decode(errors="replace"))
            if there.age < LEASE:
                raise LakeError(
                    f"{self._lake} is being written by {_who(owner)}, whose last sign of life is {there.age:.0f} s "
                    "ago: wait for it, then run this again. If it has died, this will go on in "
                    f"{LEASE - there.age:.0f} s"
                )
            try:
                return self._path.put(self._text, etag=there.etag)
            except (BlockingIOError, FileNotFoundError):  # another was quicker
                continue
        raise LakeError(f"{self._lake} is being written by another process: wait for it, then run this again")

    def _conditions_hold(self) -> None:
        """Raise if the store puts an object whatever the condition: it could give the lock to two."""
        for wrong in ({"new": True}, {"etag": '"00000000000000000000000000000000"'}):
            try:
                self._path.put(self._text, **wrong)
            except BlockingIOError:
                continue
            self._path.unlink()
            raise LakeError(
                f"{self._lake}: this object store does not know conditional PUT (If-None-Match, If-Match), without "
                "which two writers could be at work at a time. Nothing was done"
            )

    def renew(self) -> None:
        """Give a sign of life; raise if the lock is another's by now."""
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
                f"{self._lake} was taken over by another writer, as this one gave no sign of life for "
                f"{monotonic() - self._renewed:.0f} s. What it has committed is in the lake: run it again for the rest"
            )

    def _ours(self) -> bool:
        """Whether the lock is ours although its etag is another: that of a PUT whose answer was lost."""
        try:
            content, there = self._path.read()
        except FileNotFoundError:
            return False
        self._etag = there.etag
        return content == self._text

    def _beat(self) -> None:
        while not self._ended.wait(RENEWAL):
            try:
                self.renew()
            except LakeError:  # said where it matters, at the next commit
                return
            except ObjectStoreError:
                continue

    def end(self) -> None:
        """Let go of the lock, unless it was lost."""
        self._ended.set()
        self._heart.join()
        if _LEASES.get(str(self._path.parent)) is self:
            del _LEASES[str(self._path.parent)]
        try:
            self.renew()
            self._path.unlink()
        except (LakeError, ObjectStoreError):  # it is another's, or will be free in time
            return


_LEASES: dict[str, _Lease] = {}


def _ourselves() -> dict[str, str | int]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}


def _owner(path: Path) -> dict[str, str]:
    return _parsed(path.read_text(errors="replace"))


def _parsed(text: str) -> dict[str, str]:
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) and {"host", "pid", "since"} <= set(owner) else {}


def _who(owner: dict[str, str]) -> str:
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}" if owner else "another process"
