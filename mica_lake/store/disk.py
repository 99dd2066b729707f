"""A lake on a disk: fsync, hard links, and names that are replaced in one step."""

import errno
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from mica_lake.store import flock
from mica_lake.store.interface import R, Stat, Store, T

if TYPE_CHECKING:
    import duckdb


class Disk(Store[Path]):
    """The file systems of this host."""

    def read(self, path: Path, start: int = 0, stop: int | None = None, etag: str | None = None) -> tuple[bytes, Stat]:
        """Read from one open file, so that the bytes and the `Stat` are of the same version."""
        with path.open("rb") as file:
            found = _stat(os.fstat(file.fileno()))
            if etag not in (None, found.etag):
                raise BlockingIOError(errno.EAGAIN, "it is another file by now", str(path))
            begin = max(0, found.size + start) if start < 0 else start
            file.seek(begin)
            return file.read(-1 if stop is None else max(0, stop - begin)), found

    def stat(self, path: Path) -> Stat:
        """Stat it; a link counts as what it leads to."""
        return _stat(path.stat())

    def now(self, path: Path) -> float:
        """By the clock of this host."""
        return time.time()

    def same(self, path: Path, other: Path) -> bool:
        """Whether both are links to one file."""
        return path.samefile(other)

    def files(self, folder: Path, pattern: str = "*") -> Iterator[Path]:
        """Walk the folder."""
        return (path for path in folder.rglob(pattern) if path.is_file())

    def put(self, path: Path, content: bytes) -> None:
        """Write beside it, flush, and rename."""
        with _Beside(path) as beside:
            beside.write(content)
            beside.path.replace(path)

    def put_new(self, path: Path, content: bytes, like: Path | None = None) -> bool:
        """Link `like`, which needs no flush; otherwise write beside it, and link that to the name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if like is not None:
            try:
                if like.read_bytes() == content:
                    os.link(like, path)
                    return True
            except OSError:
                pass
        if path.exists():
            return path.read_bytes() == content
        with _Beside(path) as beside:
            beside.write(content)
            try:
                os.link(beside.path, path)
            except FileExistsError:
                return path.read_bytes() == content
            except OSError:  # a file system without hard links
                beside.path.replace(path)
        return True

    def swap(self, path: Path, content: bytes, etag: str | None) -> str:
        """Compare, then replace."""
        try:
            found = self.stat(path).etag
        except FileNotFoundError:
            found = None
        if found != etag:
            raise BlockingIOError(errno.EAGAIN, "it is another file by now", str(path))
        self.put(path, content)
        return self.stat(path).etag

    def copy(self, source: Path, target: Path) -> None:
        """Make the target a link to the source; a copy if the file system has no hard links."""
        with _Beside(target) as beside:
            try:
                os.link(source, beside.path)
            except OSError:
                beside.write(source.read_bytes())
            beside.path.replace(target)

    def remove(self, paths: Iterable[Path]) -> None:
        """Unlink them one by one."""
        for path in paths:
            path.unlink(missing_ok=True)

    def remove_tree(self, folder: Path) -> None:
        """Remove it if it is there."""
        if folder.exists():
            import shutil

            shutil.rmtree(folder)

    def remove_unfinished(self, path: Path) -> None:
        """Remove the files beside it that `put` and `copy` write first."""
        self.remove(path.parent.glob(f".{path.name}.*"))

    def lock(self, path: Path) -> AbstractContextManager[None]:
        """The kernel's lock, which ends with its owner, however it dies."""
        return flock.held(path)

    def still_held(self, path: Path) -> None:
        """Nothing: nobody can take the kernel's lock over."""

    def writer_alive(self, path: Path) -> bool:
        """Whether the kernel says so; for a writer on another host, whether the lock names one."""
        return flock.writer_alive(path)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """One after the other."""
        return [function(item) for item in items]

    def removal(self, paths: Iterable[Path]) -> str:
        """One command for all."""
        return "rm -f " + " ".join(shlex.quote(str(path)) for path in paths)

    def attach(self, connection: "duckdb.DuckDBPyConnection", root: Path, known: Mapping[str, bytes]) -> None:
        """Nothing: DuckDB reads a disk by itself."""

    def polars_options(self, root: Path) -> None:
        """None: Polars reads a disk by itself."""


class _Beside:
    """A new file beside another, to take its name; removed if it does not come to that."""

    def __init__(self, path: Path) -> None:
        self._of = path
        # A name of its own: processes on other hosts can have the same number.
        self.path = path.with_name(f".{path.name}.{uuid4().hex}")

    def __enter__(self) -> "_Beside":
        self._of.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, content: bytes) -> None:
        with self.path.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # Also after a rename: one of a link to the same file does nothing.
        self.path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(self._of)


def _stat(found: os.stat_result) -> Stat:
    return Stat(found.st_size, found.st_mtime_ns, f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}")
