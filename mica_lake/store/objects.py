"""A lake in an object store: conditional PUTs in the place of a lock's guarantees, copies in the place of links."""

import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from mica_lake.store.interface import Store
from mica_lake.store.s3 import S3Path, storage_options

if TYPE_CHECKING:
    import duckdb

# Simultaneous requests.
STREAMS = 10
_T = TypeVar("_T")
_R = TypeVar("_R")


class ObjectStore(Store[S3Path]):
    """An object store that honours conditions (If-Match, If-None-Match)."""

    links = False

    def each(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Call a function for each of some items, several at a time."""
        with ThreadPoolExecutor(STREAMS) as threads:
            return list(threads.map(function, items))

    def read(self, path: S3Path, most: int) -> tuple[bytes, int]:
        """The whole object, which is small, by one GET."""
        content, stat = path.read()
        return content[:most], stat.st_mtime_ns

    def read_range(self, path: S3Path, start: int, stop: int) -> bytes:
        """Some bytes, by one GET."""
        return path.read(start, stop)[0]

    def write(self, path: S3Path, content: bytes) -> None:
        """One PUT."""
        path.put(content)

    def write_new(self, path: S3Path, content: bytes) -> bool:
        """One PUT, of an object that must not be there."""
        return path.put_new(content)

    def write_version(self, path: S3Path, content: bytes) -> None:
        """One PUT, of an object that must not be there; another if it is there and damaged."""
        if not path.put_new(content):
            path.put(content)

    def carry_over(self, before: S3Path | None, path: S3Path, content: bytes) -> bool:
        """As `write_new`: an object has one name."""
        return path.put_new(content)

    def version(self, path: S3Path) -> str | None:
        """Its etag."""
        with suppress(FileNotFoundError):
            return path.stat().etag
        return None

    def swap(self, path: S3Path, content: bytes, version: str | None) -> None:
        """One PUT, of an object that must have this etag, or must not be there."""
        path.put(content, etag=version, new=version is None)

    def copy(self, source: S3Path, target: S3Path) -> None:
        """One PUT that carries no bytes."""
        target.copy_from(source)

    def remove_folder(self, path: S3Path) -> None:
        """Remove the objects below a path."""
        self.each(S3Path.unlink, path.rglob("*"))

    def clear(self, path: S3Path) -> None:
        """Nothing: what is there was written by another, and is told from ours by its content."""

    def remove_unfinished(self, root: S3Path, patterns: Iterable[str]) -> None:
        """Nothing: an object is there whole or not at all."""

    def files_below(self, path: S3Path) -> Iterable[S3Path]:
        """All objects below a path."""
        return path.rglob("*")

    def born(self, generation: S3Path) -> float:
        """When its list of partitions was put, by the store's clock; now, if it is incomplete."""
        try:
            return time.time() - (generation / "partition.parquet").stat().age
        except FileNotFoundError:
            return time.time()

    def readable(self, path: S3Path) -> Any:
        """The content, by one GET."""
        import pyarrow as pa

        content = path.read_bytes()
        buffer = pa.allocate_buffer(len(content))
        memoryview(buffer).cast("B")[:] = content
        return pa.BufferReader(buffer)

    def removal(self, paths: Iterable[S3Path]) -> str:
        """A command of AWS's for each."""
        return "; ".join(f"aws s3 rm {shlex.quote(str(path))}" for path in paths)

    def connect(self, connection: "duckdb.DuckDBPyConnection", root: S3Path, known: Mapping[str, bytes]) -> None:
        """Let DuckDB ask us."""
        from mica_lake.store.duckdb_files import LakeFiles

        connection.register_filesystem(LakeFiles(root, known))
        # TIME and a column that lies within 64 kB of it come by one request; measured in docs/scale.md.
        connection.execute("SET parquet_prefetch_column_gap = 65536")

    def polars_options(self) -> dict[str, str]:
        """Endpoint, region and credentials."""
        return storage_options()


OBJECTS = ObjectStore()
