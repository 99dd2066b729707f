"""A lake on a disk: files, hard links, fsync."""

import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from mica_lake.store.interface import Store

if TYPE_CHECKING:
    import duckdb

_T = TypeVar("_T")
_R = TypeVar("_R")


class Disk(Store[Path]):
    """A disk, or a shared file system that has hard links; without them, what would be linked is copied."""

    links = True

    def each(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Call a function for each of some items."""
        return [function(item) for item in items]

    def read(self, path: Path, most: int) -> tuple[bytes, int]:
        """The first bytes of a file, and when it was written."""
        with path.open("rb") as file:
            return file.read(most), os.fstat(file.fileno()).st_mtime_ns

    def read_range(self, path: Path, start: int, stop: int) -> bytes:
        """Some bytes of a file."""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def write(self, path: Path, content: bytes) -> None:
        """Write a file beside, flush it, and rename it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: processes on other hosts can have the same number.
        beside = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            with beside.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(path)
        except BaseException as error:
            beside.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(path)
            raise

    def write_new(self, path: Path, content: bytes) -> bool:
        """Write it: the writer's lock keeps others away."""
        self.write(path, content)
        return True

    def write_version(self, path: Path, content: bytes) -> None:
        """Write it unless it is there and intact."""
        if not (path.exists() and path.read_bytes() == content):
            self.write(path, content)

    def carry_over(self, before: Path | None, path: Path, content: bytes) -> bool:
        """Link to the file before, which need not be flushed, if it has the same content."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            if before is not None and before.read_bytes() == content:
                os.link(before, path)
                return True
        return self.write_new(path, content)

    def version(self, path: Path) -> str | None:
        """None: the writer's lock is enough."""
        return None

    def swap(self, path: Path, content: bytes, version: str | None) -> None:
        """Replace the file: the writer's lock keeps others away."""
        self.write(path, content)

    def copy(self, source: Path, target: Path) -> None:
        """Rename a link to the source over the target."""
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.new")
        beside.unlink(missing_ok=True)
        try:
            os.link(source, beside)
        except OSError:
            self.write(beside, source.read_bytes())
        beside.replace(target)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder, if it is there."""
        if path.exists():
            shutil.rmtree(path)

    def clear(self, path: Path) -> None:
        """Remove a folder, as far as possible."""
        shutil.rmtree(path, ignore_errors=True)

    def remove_unfinished(self, root: Path, patterns: Iterable[str]) -> None:
        """Remove the files that match, whose names begin with a dot."""
        for pattern in patterns:
            for path in root.glob(pattern):
                path.unlink()

    def files_below(self, path: Path) -> Iterable[Path]:
        """All files below a folder."""
        return (below for below in path.rglob("*") if below.is_file())

    def born(self, generation: Path) -> float:
        """The folder's date."""
        return generation.stat().st_mtime

    def readable(self, path: Path) -> Path:
        """The path itself."""
        return path

    def removal(self, paths: Iterable[Path]) -> str:
        """One command for all."""
        return "rm -f " + " ".join(shlex.quote(str(path)) for path in paths)

    def connect(self, connection: "duckdb.DuckDBPyConnection", root: Path, known: Mapping[str, bytes]) -> None:
        """Nothing: DuckDB reads files itself."""

    def polars_options(self) -> None:
        """None: Polars reads files itself."""
        return
