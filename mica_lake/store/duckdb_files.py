"""The files of an object store, as DuckDB reads them through Python."""

import io
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

try:
    from fsspec import AbstractFileSystem
except ImportError:
    raise ImportError("DuckDB asks for an object store by fsspec: pip install 'mica-lake[object-store]'") from None

from mica_lake.store.interface import Stat
from mica_lake.store.objects import OBJECTS, ObjectPath, object_path

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
        return self.stat.size - len(self.content)


class RangedFile(io.RawIOBase):
    """
    An object that is read in ranges; its last bytes, which are known, are not asked for again.

    Each thread has a position of its own: DuckDB's threads share a file, and it seeks and reads in two steps, between
    which another thread may come.
    """

    def __init__(self, path: ObjectPath, end: _End) -> None:
        self._path, self._end = path, end
        self._at: dict[int, int] = {}

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether positions can be set: yes."""
        return True

    def tell(self) -> int:
        """Where this thread is."""
        return self._at.get(threading.get_ident(), 0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set this thread's position."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._end.stat.size}[whence]
        self._at[threading.get_ident()] = origin + offset
        return origin + offset

    def read(self, size: int = -1) -> bytes:
        """The bytes at this thread's position, by one GET; of an object that was replaced, an error."""
        start, whole = self.tell(), self._end.stat.size
        stop = whole if size is None or size < 0 else min(whole, start + size)
        if stop <= start:
            return b""
        if start >= self._end.start:
            content = self._end.content[start - self._end.start : stop - self._end.start]
        else:
            content, _ = OBJECTS.read(self._path, start, stop, self._end.stat.etag)
        self.seek(stop)
        return content


class _NewFile(io.BytesIO):
    """An object that is written when it is closed."""

    def __init__(self, path: ObjectPath) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            OBJECTS.put(self._path, self.getvalue())
        super().close()


class LakeFiles(AbstractFileSystem):  # type: ignore[misc]
    """
    The file system that gives one DuckDB connection the files of a lake, and others in that kind of store.

    A file is opened by one request for its end; its size and footer come from that. Files of the catalog are asked for
    once, as a connection is of one generation, whose files and pinned versions never change. `known` is the content of
    files of the catalog that was read before, by path relative to the lake.
    """

    cachable = False

    def __init__(self, root: ObjectPath, known: Mapping[str, bytes] | None = None) -> None:
        super().__init__()
        self.protocol = root.scheme
        self._unchanging = f"{root}/_catalog/"
        self._known = {
            f"{root}/{path}": _End(content, Stat(len(content), 0, "")) for path, content in (known or {}).items()
        }
        self._ends: OrderedDict[str, _End] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def _end(self, path: str) -> _End:
        if path in self._known:
            return self._known[path]
        keep = path.startswith(self._unchanging)
        with self._lock:
            if keep and path in self._ends:
                self._ends.move_to_end(path)
                return self._ends[path]
        end = _End(*OBJECTS.read(object_path(path), -TAIL))
        with self._lock:
            if keep:
                self._ends[path] = end
                if len(self._ends) > KEPT:
                    self._ends.popitem(last=False)
        return end

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open a file, to be read in ranges or to be written as a whole."""
        place = object_path(path)
        return RangedFile(place, self._end(path)) if mode == "rb" else _NewFile(place)

    def glob(self, path: str, **options: Any) -> list[str]:
        """
        URLs of the files that a pattern stands for.

        A name without a pattern is given back, and no request is made. ``**`` stands for folders at any depth.
        """
        parts = path.split("/")
        fixed = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), None)
        if fixed is None:
            return [path]
        top, pattern = object_path("/".join(parts[:fixed])), "/".join(parts[fixed:])
        return sorted(map(str, top.glob(pattern)))

    def exists(self, path: str, **options: Any) -> bool:
        """Whether there is such a file."""
        try:
            self._end(path)
        except FileNotFoundError:
            return False
        return True

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self._end(path).stat.size

    def modified(self, path: str) -> datetime:
        """When a file was put, UTC."""
        return datetime.fromtimestamp(self._end(path).stat.mtime, UTC)
