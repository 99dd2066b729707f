"""
A lake on an object store: conditional PUTs, ranges, copies on the side of the store.

A path that is not there, or was replaced meanwhile, is an OSError as on a disk. Everything else (no answer, no
permission, a token that has expired) is an `ObjectStoreError`, so that it is never taken for a partition that is lost
or damaged.
"""

import errno
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mica_lake.errors import ObjectStoreError
from mica_lake.store import lease
from mica_lake.store.connection import SCHEMES, connected, polars_options
from mica_lake.store.interface import R, Stat, Store, T

if TYPE_CHECKING:
    import duckdb

# Simultaneous requests.
STREAMS = 10
_TOLD = "there is no such object"
# What S3, Google and Azure say of a bucket that is not there.
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist|container does not exist")
_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
_BROKEN_RANGE = re.compile(r"non-partial response|416 Range Not Satisfiable|Invalid range")
# obstore does not repeat a conditional PUT whose answer was lost, as it cannot know what the answer was.
_LOST_ANSWER = re.compile(r" in [\d.]+\w+ *- HTTP error")
_REMOVAL = {"s3": "aws s3 rm", "gs": "gcloud storage rm", "az": "azcopy remove"}
_VARIABLES = {
    "s3": "AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_REGION",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_SERVICE_ACCOUNT",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}


class ObjectPath(PurePosixPath):
    """
    Path of an object, or of a prefix; reads as `pathlib.Path` does, and `str` gives its URL.

    Examples
    --------
    >>> path = object_path("s3://bucket/lake") / "aca_l0" / "data.parquet"
    >>> str(path), path.name, str(path.relative_to(object_path("s3://bucket/lake")))
    ('s3://bucket/lake/aca_l0/data.parquet', 'data.parquet', 'aca_l0/data.parquet')
    """

    __slots__ = ()

    def __str__(self) -> str:
        text = super().__str__()
        scheme, colon, rest = text.partition(":/")
        return f"{scheme}://{rest}" if colon and scheme in SCHEMES else text

    @property
    def scheme(self) -> str:
        """``s3``, ``gs`` or ``az``."""
        return self.parts[0].removesuffix(":")

    @property
    def bucket(self) -> str:
        """Its bucket."""
        return self.parts[1]

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return "/".join(self.parts[2:])

    def read_bytes(self) -> bytes:
        """All its bytes, by one GET."""
        return OBJECTS.read(self)[0]

    def read_text(self) -> str:
        """Its text, which is UTF-8."""
        return self.read_bytes().decode()

    def exists(self) -> bool:
        """Whether there is an object, or one below this path."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is an object."""
        try:
            OBJECTS.stat(self)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there are objects below this path."""
        return next(OBJECTS.files(self), None) is not None

    def iterdir(self) -> Iterator["ObjectPath"]:
        """What is directly below this path."""
        yield from OBJECTS.directly_below(self)

    def rglob(self, pattern: str) -> Iterator["ObjectPath"]:
        """The objects below this path whose names match."""
        return OBJECTS.files(self, pattern)

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """What matches directly below this path; for a pattern of several parts, the objects that match."""
        wanted = tuple(pattern.split("/"))
        found = self.iterdir() if len(wanted) == 1 else OBJECTS.files(self)
        return (path for path in found if _matches(path.parts[len(self.parts) :], wanted))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object, if there is one."""
        OBJECTS.remove([self])

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a store has no directories."""


def _matches(parts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern, part by part; ``**`` stands for any number of parts."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_matches(parts[n:], wanted[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _matches(parts[1:], wanted[1:])


def object_path(url: str) -> ObjectPath:
    """Path of a URL such as ``s3://bucket/prefix``; a ValueError if it names no bucket."""
    scheme, _, rest = url.partition("://")
    path = ObjectPath(f"{scheme}:", rest.strip("/"))
    if len(path.parts) < 2 or ".." in path.parts:
        raise ValueError(f"{url!r} is not a place in an object store: say {scheme}://BUCKET/PREFIX")
    return path


class Objects(Store[ObjectPath]):
    """
    Object stores.

    Parameters
    ----------
    connection : callable
        Gives the obstore ``ObjectStore`` of a scheme and bucket.
    """

    def __init__(self, connection: Callable[[str, str], Any] = connected) -> None:
        self._connection = connection

    def read(
        self, path: ObjectPath, start: int = 0, stop: int | None = None, etag: str | None = None
    ) -> tuple[bytes, Stat]:
        """By one GET; on Azure, which does not know ranges that count from the end, by a HEAD before that."""
        options: dict[str, Any] = {}
        if start < 0:
            if path.scheme == "az":
                found = self.stat(path)
                return self.read(path, max(0, found.size + start), stop, found.etag) if found.size else (b"", found)
            options["range"] = {"suffix": -start}
        elif stop is not None:
            options["range"] = (start, stop)
        elif start:
            options["range"] = {"offset": start}
        if etag is not None:
            options["if_match"] = _version(etag)["e_tag"]
        try:
            with self._asked(path, "GET") as bucket:
                answer = bucket.get(path.key, options=options or None)
                return bytes(answer.bytes()), _stat(answer.meta)
        except ObjectStoreError as error:
            if "range" in options and _BROKEN_RANGE.search(str(error.__context__)):  # there is nothing in that range
                content, found = self.read(path, etag=etag)
                return content[start if start >= 0 else max(0, len(content) + start) : stop], found
            raise

    def stat(self, path: ObjectPath) -> Stat:
        """By one HEAD."""
        with self._asked(path, "HEAD") as bucket:
            return _stat(bucket.head(path.key))

    def now(self, path: ObjectPath) -> float:
        """The date of the answer, whatever it is, to a HEAD; obstore does not pass it on."""
        # A lake on a disk does not wait for these.
        from email.utils import parsedate_to_datetime
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        import obstore

        try:
            with self._asked(path, "HEAD") as bucket:
                url = obstore.sign(bucket, "HEAD", path.key, timedelta(minutes=1))
            with urlopen(Request(url, method="HEAD"), timeout=30) as answer:
                date = answer.headers["date"]
        except HTTPError as error:
            date = error.headers["date"]
        except (OSError, ValueError, ObjectStoreError):  # no key to sign with
            date = None
        return parsedate_to_datetime(date).timestamp() if date else time.time()

    def same(self, path: ObjectPath, other: ObjectPath) -> bool:
        """Whether they have the same size and etag."""
        found, others = self.stat(path), self.stat(other)
        return (found.size, _version(found.etag)["e_tag"]) == (others.size, _version(others.etag)["e_tag"])

    def files(self, folder: ObjectPath, pattern: str = "*") -> Iterator[ObjectPath]:
        """By one LIST for each thousand objects."""
        with self._asked(folder, "LIST") as bucket:
            for chunk in bucket.list(folder.key or None):
                for found in chunk:
                    path = ObjectPath(*folder.parts[:2], found["path"])
                    if fnmatchcase(path.name, pattern):
                        yield path

    def directly_below(self, folder: ObjectPath) -> Iterator[ObjectPath]:
        """Objects in a folder, and the folders in it."""
        with self._asked(folder, "LIST") as bucket:
            found = bucket.list_with_delimiter(folder.key or None)
        keys = (*found["common_prefixes"], *(entry["path"] for entry in found["objects"]))
        return (ObjectPath(*folder.parts[:2], key) for key in keys)

    def put(self, path: ObjectPath, content: bytes) -> None:
        """By one PUT."""
        self._put(path, content, "overwrite")

    def put_new(self, path: ObjectPath, content: bytes, like: ObjectPath | None = None) -> bool:
        """By one PUT; objects have no links."""
        try:
            self._put(path, content, "create")
        except BlockingIOError:
            return self.read(path)[0] == content
        return True

    def swap(self, path: ObjectPath, content: bytes, etag: str | None) -> str:
        """By one PUT, If-Match or If-None-Match."""
        return self._put(path, content, "create" if etag is None else _version(etag))

    def _put(self, path: ObjectPath, content: bytes, mode: Any) -> str:
        tries_left = 2
        while True:
            try:
                with self._asked(path, "PUT") as bucket:
                    return _etag(bucket.put(path.key, content, mode=mode, use_multipart=False))
            except ObjectStoreError as error:
                if not tries_left or not _LOST_ANSWER.search(str(error.__context__)):
                    raise
            tries_left -= 1

    def copy(self, source: ObjectPath, target: ObjectPath) -> None:
        """By one PUT that carries no bytes."""
        with self._asked(target, "PUT") as bucket:
            bucket.copy(source.key, target.key)

    def remove(self, paths: Iterable[ObjectPath]) -> None:
        """By one request for many objects, where the store knows such requests."""
        found = list(paths)
        if found:
            with self._asked(found[0], "DELETE") as bucket:
                bucket.delete([path.key for path in found])

    def remove_tree(self, folder: ObjectPath) -> None:
        """List it, and remove what is there."""
        self.remove(self.files(folder))

    def remove_unfinished(self, path: ObjectPath) -> None:
        """Nothing: an object is there whole or not at all."""

    def lock(self, path: ObjectPath) -> AbstractContextManager[None]:
        """A lease, as no kernel would notice its owner's death."""
        return lease.held(self, path)

    def still_held(self, path: ObjectPath) -> None:
        """Renew the lease, which shows if the lock was taken over."""
        lease.still_held(path)

    def writer_alive(self, path: ObjectPath) -> bool:
        """Whether the lock's owner has renewed it lately."""
        return lease.writer_alive(self, path)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Several at a time."""
        with ThreadPoolExecutor(STREAMS) as threads:
            return list(threads.map(function, items))

    def removal(self, paths: Iterable[ObjectPath]) -> str:
        """A command of the provider's command line for each object."""
        return "; ".join(f"{_REMOVAL[path.scheme]} {shlex.quote(str(path))}" for path in paths)

    def attach(self, connection: "duckdb.DuckDBPyConnection", root: ObjectPath, known: Mapping[str, bytes]) -> None:
        """Register a file system, as DuckDB's own is a download that not every host may make."""
        from mica_lake.store.duckdb_files import LakeFiles

        connection.register_filesystem(LakeFiles(root, known))
        # TIME and a column that lies within 64 kB of it come by one request; measured in docs/scale.md.
        connection.execute("SET parquet_prefetch_column_gap = 65536")

    def polars_options(self, root: ObjectPath) -> dict[str, str] | None:
        """Those of this configuration."""
        return polars_options(root.scheme)

    @contextmanager
    def _asked(self, path: ObjectPath, operation: str) -> Iterator[Any]:
        """The connection to a path's bucket, whose errors become those of this interface."""
        bucket = self._connection(path.scheme, path.bucket)
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield bucket
        except FileNotFoundError as error:
            if _NO_BUCKET.search(str(error)):
                raise _no_bucket(path) from None
            raise FileNotFoundError(errno.ENOENT, _TOLD, str(path)) from None
        except (AlreadyExistsError, PreconditionError):
            raise BlockingIOError(errno.EAGAIN, "it is another object by now", str(path)) from None
        except BaseError as error:
            if _NO_BUCKET.search(str(error)):
                raise _no_bucket(path) from None
            raise ObjectStoreError(
                f"{path}: the object store does not do it ({operation}: {_reason(str(error))}). Credentials and "
                f"endpoint are taken from {_VARIABLES[path.scheme]}, …"
            ) from None


def _no_bucket(path: ObjectPath) -> ObjectStoreError:
    return ObjectStoreError(f"{path}: there is no bucket {path.bucket!r}: make it first")


def _reason(text: str) -> str:
    """What the store said, or why it could not be asked, without what only a debugger wants to know."""
    if found := _MESSAGE.search(text):
        return found[1]
    return text.split("\n\nDebug source", 1)[0].split(": ", 1)[-1].strip()


def _etag(answer: Mapping[str, Any]) -> str:
    """Etag and, of a store that has one, version of an object."""
    return f"{answer['e_tag']}@{answer['version'] or ''}"


def _version(etag: str) -> dict[str, str]:
    name, _, version = etag.rpartition("@")
    return {"e_tag": name, "version": version} if version else {"e_tag": name}


def _stat(found: Mapping[str, Any]) -> Stat:
    return Stat(found["size"], round(found["last_modified"].timestamp() * 1e9), _etag(found))


#: The object stores that the environment names.
OBJECTS = Objects()
