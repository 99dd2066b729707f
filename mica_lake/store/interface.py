"""What a store of bytes does for a lake: a disk and an object store do it, each in its way."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    import duckdb

P = TypeVar("P")
_T = TypeVar("_T")
_R = TypeVar("_R")


class Store(ABC, Generic[P]):
    """
    Where the bytes of a lake lie.

    Paths have the names of `pathlib.Path`: ``read_bytes``, ``exists``, ``is_dir``, ``iterdir``, ``glob``, ``rglob``, ``unlink``,
    ``samefile`` and ``stat``. A path that is not there is a FileNotFoundError; a store that gives no answer is an
    `mica_lake.errors.ObjectStoreError`, so that it is never taken for a file that is lost.

    Attributes
    ----------
    links : bool
        Whether a file can have a second name without a copy.
    """

    links: ClassVar[bool]

    @abstractmethod
    def each(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Call a function for each of some items; several at a time where each call waits for the store."""

    @abstractmethod
    def read(self, path: P, most: int) -> tuple[bytes, int]:
        """The first bytes of a file, and when it was written, in ns since 1970."""

    @abstractmethod
    def read_range(self, path: P, start: int, stop: int) -> bytes:
        """Some bytes of a file."""

    @abstractmethod
    def write(self, path: P, content: bytes) -> None:
        """Write a file, so that its name never stands for half of it, nor for bytes that a power cut can take away."""

    @abstractmethod
    def write_new(self, path: P, content: bytes) -> bool:
        """Write a file that nobody else should have written; whether it has this content now."""

    @abstractmethod
    def write_version(self, path: P, content: bytes) -> None:
        """Write a file whose name holds the checksum of its content, unless it is there and intact."""

    @abstractmethod
    def carry_over(self, before: P | None, path: P, content: bytes) -> bool:
        """As `write_new`; a second name for the file `before`, where that has the same content and the store has links."""

    @abstractmethod
    def version(self, path: P) -> str | None:
        """What `swap` needs to know of a file; None if there is none, or the writer's lock is enough."""

    @abstractmethod
    def swap(self, path: P, content: bytes, version: str | None) -> None:
        """Replace a file if it still is the one of this version; a BlockingIOError if it is another by now."""

    @abstractmethod
    def copy(self, source: P, target: P) -> None:
        """Replace `target` by the file `source`, at once."""

    @abstractmethod
    def remove_folder(self, path: P) -> None:
        """Remove all that is below a path, if anything is."""

    @abstractmethod
    def clear(self, path: P) -> None:
        """Remove what a writer that died may have left below a path that nobody reads."""

    @abstractmethod
    def remove_unfinished(self, root: P, patterns: Iterable[str]) -> None:
        """Remove files that a writer that died was writing, whose names match patterns."""

    @abstractmethod
    def files_below(self, path: P) -> Iterable[P]:
        """All files below a path."""

    @abstractmethod
    def born(self, generation: P) -> float:
        """When a generation was written, in seconds since 1970, by the clock that all writers share."""

    @abstractmethod
    def readable(self, path: P) -> Any:
        """A file as pyarrow takes it."""

    @abstractmethod
    def removal(self, paths: Iterable[P]) -> str:
        """The shell command that removes some files."""

    @abstractmethod
    def connect(self, connection: "duckdb.DuckDBPyConnection", root: P, known: Mapping[str, bytes]) -> None:
        """Let DuckDB read the files of a lake, of which the content of some is known."""

    @abstractmethod
    def polars_options(self) -> dict[str, str] | None:
        """What Polars needs to read the files of a lake."""
