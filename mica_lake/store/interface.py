"""What a lake needs of the place where its bytes are: one interface for a disk and an object store."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    import duckdb

P = TypeVar("P", bound=PurePath)
T = TypeVar("T")
R = TypeVar("R")


class Stat(NamedTuple):
    """
    What a store says of a file.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        When it was written, ns since 1970, by the store's clock.
    etag : str
        Changes whenever the file is replaced.
    """

    size: int
    mtime_ns: int
    etag: str

    @property
    def mtime(self) -> float:
        """When it was written, seconds since 1970, by the store's clock."""
        return self.mtime_ns / 1e9


class Store(ABC, Generic[P]):
    """
    A place where lakes are stored.

    A file that is not there is a FileNotFoundError, one that another writer was quicker with a BlockingIOError. Where
    the store cannot tell (no answer, no permission, an expired token), it is an ObjectStoreError or, on a disk, another
    OSError: never to be taken for a file that is lost or damaged.
    """

    # --- reading ---

    @abstractmethod
    def read(self, path: P, start: int = 0, stop: int | None = None, etag: str | None = None) -> tuple[bytes, Stat]:
        """
        Bytes of a file, and the `Stat` of the whole file.

        A negative `start` counts from the end. If the file no longer has the `etag` given, it is a BlockingIOError.
        """

    @abstractmethod
    def stat(self, path: P) -> Stat:
        """The size, time and etag of a file."""

    @abstractmethod
    def now(self, path: P) -> float:
        """The time by the clock that dates the files near `path`, in seconds since 1970."""

    @abstractmethod
    def same(self, path: P, other: P) -> bool:
        """Whether two files are known to have the same content without being read; others may have it too."""

    @abstractmethod
    def files(self, folder: P, pattern: str = "*") -> Iterator[P]:
        """All files below a folder, at any depth, whose names match."""

    # --- writing ---

    @abstractmethod
    def put(self, path: P, content: bytes) -> None:
        """Write a file so that its name never stands for half of it, nor for bytes that a power cut can take away."""

    @abstractmethod
    def put_new(self, path: P, content: bytes, like: P | None = None) -> bool:
        """
        Write a file where there is none; True if it now has this content, also if it was there before.

        If `like` has the same content, the new file may share its bytes.
        """

    @abstractmethod
    def swap(self, path: P, content: bytes, etag: str | None) -> str:
        """
        Replace the version of a file that has this etag, or write it where there is none if that is None.

        Gives the new etag; if the file is at another version, it is a BlockingIOError. On a disk the comparison and the
        replacement are two steps, which only the holder of the writer's lock may take.
        """

    @abstractmethod
    def copy(self, source: P, target: P) -> None:
        """Replace `target` by the file `source`, in one step and without its bytes passing through here if possible."""

    @abstractmethod
    def remove(self, paths: Iterable[P]) -> None:
        """Remove files; some may not be there."""

    @abstractmethod
    def remove_tree(self, folder: P) -> None:
        """Remove a folder and all that is in it."""

    @abstractmethod
    def remove_unfinished(self, path: P) -> None:
        """Remove what an interrupted writer left of a new version of this file."""

    # --- one writer ---

    @abstractmethod
    def lock(self, path: P) -> AbstractContextManager[None]:
        """
        Hold a lake's writer lock, which is this file of its catalog.

        A LakeError if another writer has it: its message names the process, host and start.
        """

    @abstractmethod
    def still_held(self, path: P) -> None:
        """Raise a LakeError if this process is no longer the writer, because its lock was taken over."""

    @abstractmethod
    def writer_alive(self, path: P) -> bool:
        """Whether the writer's lock is held, as far as this host can tell."""

    # --- how it is worked with ---

    @abstractmethod
    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Call a function for each of some items; several at a time where each call waits for an answer."""

    @abstractmethod
    def removal(self, paths: Iterable[P]) -> str:
        """The shell command that removes some files, of which there is at least one."""

    @abstractmethod
    def attach(self, connection: "duckdb.DuckDBPyConnection", root: P, known: Mapping[str, bytes]) -> None:
        """
        Let a DuckDB connection read the lake at `root`.

        `known` is the content of files of its catalog that was read before, by path relative to the lake.
        """

    @abstractmethod
    def polars_options(self, root: P) -> dict[str, str] | None:
        """Endpoint, region and credentials under the names that Polars knows them by; None if it needs none."""
