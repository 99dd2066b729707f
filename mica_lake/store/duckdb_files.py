"""The files of an object store, as DuckDB reads them through Python."""

import io
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from s3fs import S3FileSystem

from mica_lake.store.s3 import SCHEME, S3Path, Stat, connected, s3_path

# What the first request asks for: the end of a file, in which the footer of a partition is, or a whole day of hdr3.
TAIL = 1 << 17
# How many ends are kept, 64 MB at most; of a year of a slot, all.
KEPT = 512


@dataclass(frozen=True)
class _End:
    """The last bytes of an object, and what the store says of it."""

    content: bytes
    stat: Stat

    @property
    def start(self) -> int:
        return self.stat.st_size - len(self.content)


class RangedFile(io.RawIOBase):
    """
    An object that is read in ranges.

    Each thread has a position of its own: DuckDB's threads share a file, and it seeks and reads in two steps, between
    which another thread may come.

    Parameters
    ----------
    path : S3Path
        The object.
    end : _End
        Its last bytes, which are not asked for again.
    """

    def __init__(self, path: S3Path, end: _End) -> None:
        self._path, self._end = path, end
        self._at: dict[int, int] = {}

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether positions can be set: yes."""
        return True

    def tell(self) -> int:
        """Give this thread's position."""
        return self._at.get(threading.get_ident(), 0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set this thread's position."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._end.stat.st_size}[whence]
        self._at[threading.get_ident()] = origin + offset
        return origin + offset

    def read(self, size: int = -1) -> bytes:
        """Give the bytes at this thread's position, by one GET; of an object that was replaced, an error."""
        start, whole = self.tell(), self._end.stat.st_size
        stop = whole if size is None or size < 0 else min(whole, start + size)
        if stop <= start:
            return b""
        if start >= self._end.start:
            content = self._end.content[start - self._end.start : stop - self._end.start]
        else:
            content, _ = self._path.read(start, stop, self._end.stat.etag)
        self.seek(stop)
        return content


class LakeFiles(S3FileSystem):  # type: ignore[misc]
    """
    What DuckDB asks for the files of a lake, for one connection; of other files of the store, s3fs is asked.

    A file is opened by one request for its end; its size and footer come from that. Files of the catalog are asked for
    once, as a connection is of one generation, whose files and pinned versions never change.

    Parameters
    ----------
    root : S3Path
        The lake.
    known : dict of bytes
        Content of files of its catalog that was read before, by path relative to the lake; not asked for again.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, root: S3Path, known: Mapping[str, bytes] = MappingProxyType({})) -> None:
        theirs = connected().files
        super().__init__(*theirs.storage_args, **theirs.storage_options)
        self._unchanging = f"{root}/_catalog/"
        self._known = {
            f"{root}/{path}": _End(content, Stat(len(content), 0, "", 0.0)) for path, content in known.items()
        }
        self._ends: OrderedDict[str, _End] = OrderedDict()
        self._lock = threading.Lock()

    def _end(self, path: str) -> _End:
        if path in self._known:
            return self._known[path]
        keep = path.startswith(self._unchanging)
        with self._lock:
            if keep and path in self._ends:
                self._ends.move_to_end(path)
                return self._ends[path]
        end = _End(*s3_path(path).read(-TAIL))
        with self._lock:
            if keep:
                self._ends[path] = end
                if len(self._ends) > KEPT:
                    self._ends.popitem(last=False)
        return end

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """
        Open a file.

        Parameters
        ----------
        path : str
            Its URL.
        mode : str
            How.
        **options
            Of s3fs.

        Returns
        -------
        RangedFile
            It; what s3fs gives for writing.
        """
        if mode != "rb":
            return super().open(path, mode, **options)
        return RangedFile(s3_path(path), self._end(path))

    def glob(self, path: str, **options: Any) -> Any:
        """
        Names of the files that a pattern stands for.

        Parameters
        ----------
        path : str
            The pattern; a name that is none is given back, and no request is made.
        **options
            Of s3fs.

        Returns
        -------
        list of str
            Their URLs.
        """
        if not set(path) & set("*?["):
            return [path]
        return [f"{SCHEME}{name}" for name in super().glob(path, **options)]

    def size(self, path: str) -> int:
        """
        Size of a file.

        Parameters
        ----------
        path : str
            Its URL.

        Returns
        -------
        int
            Bytes.
        """
        return self._end(path).stat.st_size

    def modified(self, path: str) -> datetime:
        """
        When a file was put.

        Parameters
        ----------
        path : str
            Its URL.

        Returns
        -------
        datetime.datetime
            The time, UTC.
        """
        return datetime.fromtimestamp(self._end(path).stat.st_mtime, UTC)
