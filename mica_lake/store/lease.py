"""
The writer's lock on an object store, which has no kernel to hold it.

It is an object that only one writer can create, and that its owner writes again every `RENEWAL` seconds. One older than
`LEASE`, by the store's clock, is taken over. Both are done by conditional PUTs, so that of several writers one succeeds
whatever the clocks say; an owner that was taken over notices before it commits.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Generic
from uuid import uuid4

from mica_lake.errors import LakeError, ObjectStoreError
from mica_lake.store.interface import P, Store
from mica_lake.store.owner import MOST_BYTES, ourselves, owner, who

# Seconds after which a writer without a sign of life counts as dead; and how often it gives one.
LEASE, RENEWAL = 120.0, 20.0
# Of no object, in the form of `Stat.etag` on any store.
_NO_ETAG = f'"{"0" * 32}"@1'


@contextmanager
def held(store: Store[P], path: P) -> Iterator[None]:
    """Hold the lock; a LakeError if another writer has it, or if the store ignores the conditions of a PUT."""
    lease = _Lease(store, path)
    try:
        yield
    finally:
        lease.end()


def still_held(path: P) -> None:
    """Give a sign of life; raise a LakeError if the lock was taken over."""
    lease = _LEASES.get(str(path))
    if lease is None:
        raise LakeError(f"{path.parent.parent} is not locked")
    lease.renew()


def writer_alive(store: Store[P], path: P) -> bool:
    """Whether the lock's owner has renewed it lately."""
    try:
        return store.now(path) - store.stat(path).mtime < LEASE
    except FileNotFoundError:
        return False


class _Lease(Generic[P]):
    """The lock of a lake, held until `end`."""

    def __init__(self, store: Store[P], path: P) -> None:
        self._store, self._path, self._lake = store, path, path.parent.parent
        # A token of its own, so that no two owners' locks have the same etag.
        self._text = json.dumps({**ourselves(), "token": uuid4().hex}).encode()
        self._etag = self._taken()
        self._lock, self._ended, self._lost = threading.Lock(), threading.Event(), False
        self._conditions_hold()
        self._renewed = monotonic()
        _LEASES[str(path)] = self
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def _taken(self) -> str:
        for _ in range(3):
            try:
                return self._store.swap(self._path, self._text, None)
            except BlockingIOError:
                pass
            try:
                content, stat = self._store.read(self._path, 0, MOST_BYTES)
            except FileNotFoundError:  # it was just released
                continue
            if content == self._text:  # the answer to our first PUT was lost
                return stat.etag
            age = self._store.now(self._path) - stat.mtime
            if age < LEASE:
                raise LakeError(
                    f"{self._lake} is being written by {who(owner(content), self._path)}, whose last sign of life is "
                    f"{age:.0f} s ago: wait for it, then run this again. If it has died, this will go on in "
                    f"{LEASE - age:.0f} s"
                )
            try:
                return self._store.swap(self._path, self._text, stat.etag)
            except BlockingIOError:  # another was quicker
                continue
        raise LakeError(f"{self._lake} is being written by another process: wait for it, then run this again")

    def _conditions_hold(self) -> None:
        """Raise if the store ignores the condition of a PUT: it could give the lock to two writers."""
        for wrong in (None, _NO_ETAG):
            try:
                self._store.swap(self._path, self._text, wrong)
            except BlockingIOError:
                continue
            self._store.remove([self._path])
            raise LakeError(
                f"{self._lake}: this object store does not know conditional PUT (If-None-Match, If-Match), without "
                "which two writers could be at work at the same time. Nothing was done"
            )

    def renew(self) -> None:
        """Give a sign of life; raise if another writer has the lock by now."""
        with self._lock:
            try:
                if not self._lost:
                    self._etag = self._store.swap(self._path, self._text, self._etag)
                    self._renewed = monotonic()
                    return
            except BlockingIOError:
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
            content, stat = self._store.read(self._path, 0, MOST_BYTES)
        except FileNotFoundError:
            return False
        self._etag = stat.etag
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
        if _LEASES.get(str(self._path)) is self:
            del _LEASES[str(self._path)]
        try:
            self.renew()
            self._store.remove([self._path])
        except (LakeError, ObjectStoreError):  # another writer has it, or it will expire
            return


_LEASES: dict[str, _Lease[Any]] = {}
