"""
Paths of a lake on an object store: what `pathlib.Path` is to a lake on a disk.

Requests are made by s3fs; credentials, endpoint and options come from where it takes them. A path that is not there, or
was replaced meanwhile, is an OSError as it is on a disk. Everything else (no answer, no permission, a token that has
expired) is an `ObjectStoreError`, so that it is never taken for a partition that is lost or damaged.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from mica_lake.errors import ObjectStoreError

if TYPE_CHECKING:
    pass

SCHEME = "s3://"
_PLACE = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")


class Stat(NamedTuple):
    """
    What the store says of an object.

    Attributes
    ----------
    st_size : int
        Bytes.
    st_mtime_ns : int
        When it was put, ns since 1970, by the store's clock.
    etag : str
        Of its content.
    age : float
        Seconds since it was put, by the store's clock.
    """

    st_size: int
    st_mtime_ns: int
    etag: str
    age: float

    @property
    def st_mtime(self) -> float:
        """When it was put, seconds since 1970."""
        return self.st_mtime_ns / 1e9


class S3Path(PurePosixPath):
    """
    Path of an object, or of what several begin with; `str` gives its ``s3://bucket/key``.

    Examples
    --------
    >>> path = s3_path("s3://bucket/lake") / "aca_l0" / "data.parquet"
    >>> str(path), path.name, str(path.relative_to(s3_path("s3://bucket/lake")))
    ('s3://bucket/lake/aca_l0/data.parquet', 'data.parquet', 'aca_l0/data.parquet')
    """

    __slots__ = ()

    def __str__(self) -> str:
        text = super().__str__()
        return f"s3:/{text}" if text.startswith("/") else text

    @property
    def bucket(self) -> str:
        """Its bucket."""
        return self.parts[1]

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return "/".join(self.parts[2:])

    def read(self, start: int = 0, stop: int | None = None, etag: str | None = None) -> tuple[bytes, Stat]:
        """
        Bytes of the object, by one GET.

        Parameters
        ----------
        start, stop : int
            Which; a negative `start` counts from the end.
        etag : str, optional
            What it must be yet.

        Returns
        -------
        bytes, Stat
            They, and what the store says of the whole object.

        Raises
        ------
        FileNotFoundError
            If there is none.
        BlockingIOError
            If it has another etag.
        ObjectStoreError
            If the store does not give it.
        """
        options: dict[str, str] = {}
        if start or stop is not None:
            options["Range"] = f"bytes={start}" if start < 0 else f"bytes={start}-{'' if stop is None else stop - 1}"
        if etag is not None:
            options["IfMatch"] = etag
        answer = self._ask("get_object", **options)
        return answer["Body"], _stat(answer)

    def read_bytes(self) -> bytes:
        """Give all its bytes."""
        return self.read()[0]

    def read_text(self) -> str:
        """Give its text, which is UTF-8."""
        return self.read_bytes().decode()

    def put(self, content: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """
        Make `content` the object, by one PUT: others see the old one or the new one.

        Parameters
        ----------
        content : bytes
            What it shall hold.
        etag : str, optional
            What it must be yet.
        new : bool
            Whether there must be none yet.

        Returns
        -------
        str
            Its etag.

        Raises
        ------
        BlockingIOError
            If it is another, or there is one.
        ObjectStoreError
            If the store does not take it.
        """
        options = {"IfNoneMatch": "*"} if new else {"IfMatch": etag} if etag is not None else {}
        return str(self._ask("put_object", Body=content, **options)["ETag"])

    def put_new(self, content: bytes) -> bool:
        """
        Make `content` the object where there is none yet.

        Parameters
        ----------
        content : bytes
            What it shall hold.

        Returns
        -------
        bool
            Whether that is what it holds now: of an object that was there, too, or whose PUT's answer was lost.
        """
        try:
            self.put(content, new=True)
        except BlockingIOError:
            return self.read_bytes() == content
        return True

    def copy_from(self, source: "LakePath") -> None:
        """
        Make this the same object as another of the store, by one PUT that carries no bytes.

        Parameters
        ----------
        source : S3Path
            The other, of the same lake.
        """
        _, bucket, *key = source.parts
        self._ask("copy_object", CopySource={"Bucket": bucket, "Key": "/".join(key)})

    def stat(self) -> Stat:
        """
        Give what the store says of the object, by one HEAD.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        return _stat(self._ask("head_object"))

    def exists(self) -> bool:
        """Whether there is an object, or one below this path."""
        try:
            self.stat()
        except FileNotFoundError:
            return self.is_dir()
        return True

    def is_dir(self) -> bool:
        """Whether there are objects below this path."""
        return next(self._below(MaxKeys=1), None) is not None

    def samefile(self, other: "LakePath") -> bool:
        """Whether another has the same content, as far as their etags tell: equal ones do, others need not differ."""
        return isinstance(other, S3Path) and self.stat()[::2] == other.stat()[::2]

    def iterdir(self) -> Iterator["S3Path"]:
        """Give what is directly below this path."""
        yield from self._below(Delimiter="/")

    def rglob(self, pattern: str) -> Iterator["S3Path"]:
        """Give the objects below this path whose names are of this pattern."""
        return (path for path in self._below() if fnmatchcase(path.name, pattern))

    def glob(self, pattern: str) -> Iterator["S3Path"]:
        """Give the objects whose path from here has a part for each of the pattern's; ``**`` is not known."""
        wanted = pattern.split("/")
        depth = len(self.parts)
        if len(wanted) == 1:
            yield from (path for path in self.iterdir() if fnmatchcase(path.name, pattern))
            return
        for path in self._below():
            parts = path.parts[depth:]
            if len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted)):
                yield path

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object; that there was none is not told apart."""
        self._ask("delete_object")

    def touch(self) -> None:
        """Make it an object without bytes."""
        self.put(b"")

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a store has no directories."""

    def _below(self, **options: Any) -> Iterator["S3Path"]:
        """Objects below this path; with a delimiter, what is directly below it."""
        prefix = self.key + "/" if self.key else ""
        more: dict[str, str] = {}
        while True:
            answer = self._ask("list_objects_v2", Key=None, Prefix=prefix, **options, **more)
            folders = [entry["Prefix"].rstrip("/") for entry in answer.get("CommonPrefixes", ())]
            for key in (*folders, *(entry["Key"] for entry in answer.get("Contents", ()))):
                if key != prefix:
                    yield S3Path("/", self.bucket, key)
            if not answer.get("IsTruncated") or "MaxKeys" in options:
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _ask(self, operation: str, **options: Any) -> dict[str, Any]:
        options = {"Bucket": self.bucket, "Key": self.key, **options}
        asked = {name: value for name, value in options.items() if value is not None}
        return connected().ask(self, operation, asked)


LakePath: TypeAlias = Path | S3Path


def s3_path(url: str) -> S3Path:
    """
    Path of an object store's URL.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/prefix``.

    Returns
    -------
    S3Path
        It.

    Raises
    ------
    ValueError
        If it names no bucket.
    """
    path = S3Path("/", url.removeprefix(SCHEME).strip("/"))
    if len(path.parts) < 2 or ".." in path.parts:
        raise ValueError(f"{url!r} is no place in an object store: say s3://BUCKET/PREFIX")
    return path


def _stat(answer: dict[str, Any]) -> Stat:
    # A lake on a disk should not wait for it: this module is imported by all.
    from email.utils import parsedate_to_datetime

    put: datetime = answer["LastModified"]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
    size = answer["ContentRange"].split("/")[1] if "ContentRange" in answer else answer["ContentLength"]
    return Stat(int(size), round(put.timestamp() * 1e9), str(answer["ETag"]), (now - put).total_seconds())


class Store:
    """
    A connection to the object store.

    Attributes
    ----------
    files : s3fs.S3FileSystem
        s3fs, with what it is configured with.
    """

    def __init__(self) -> None:
        try:
            from s3fs import S3FileSystem
        except ImportError:
            raise ImportError("a lake on s3:// is read by s3fs: pip install 'mica-lake[s3]'") from None
        # What another process has put or removed meanwhile must be seen.
        self.files = S3FileSystem(use_listings_cache=False, skip_instance_cache=True)

    def ask(self, path: S3Path, operation: str, options: dict[str, Any]) -> dict[str, Any]:
        """
        Answer to a request.

        Parameters
        ----------
        path : S3Path
            What it is about.
        operation : str
            What S3 calls it, such as ``get_object``.
        options : dict
            Its parameters.

        Returns
        -------
        dict
            The answer; its ``Body``, if it has one, as bytes.

        Raises
        ------
        FileNotFoundError, BlockingIOError, ObjectStoreError
            As of `S3Path`.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from fsspec.asyn import sync
        from s3fs.core import S3_RETRYABLE_ERRORS

        try:
            answer: dict[str, Any] = sync(self.files.loop, self._answer, operation, options)
            return answer
        except FileNotFoundError as error:
            if isinstance(error.__cause__, ClientError) and _code(error.__cause__) == "NoSuchBucket":
                raise ObjectStoreError(f"{path}: there is no bucket {path.bucket!r}: make it first") from None
            raise FileNotFoundError(2, "there is no such object", str(path)) from None
        except (OSError, BotoCoreError, ClientError, *S3_RETRYABLE_ERRORS) as error:
            cause = error.__cause__ if isinstance(error.__cause__, ClientError) else error
            code = _code(cause) if isinstance(cause, ClientError) else ""
            if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                raise BlockingIOError(11, "it is another object by now", str(path)) from None
            if code == "InvalidRange":
                return {"Body": b"", **sync(self.files.loop, self._answer, "head_object", _place(options))}
            raise ObjectStoreError(
                f"{path}: the object store does not do it ({operation}: {error or type(error).__name__}). Credentials "
                "and endpoint are those of s3fs: AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …"
            ) from None

    async def _answer(self, operation: str, options: dict[str, Any]) -> dict[str, Any]:
        from s3fs.core import S3_RETRYABLE_ERRORS

        for tries_left in (2, 1, 0):
            answer: dict[str, Any] = dict(await self.files._call_s3(operation, **options))
            if operation != "get_object":
                break
            try:
                async with answer["Body"] as body:
                    answer["Body"] = await body.read()
                break
            except S3_RETRYABLE_ERRORS:
                # s3fs asks again for an answer that does not come; this one broke off.
                if not tries_left:
                    raise
        return answer


async def _credentials(session: Any) -> Any:
    credentials = await session.get_credentials()
    return None if credentials is None else await credentials.get_frozen_credentials()


def _place(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("Bucket", "Key")}


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def connected() -> Store:
    """
    Give this process's connection to the object store.

    Returns
    -------
    Store
        It.

    Raises
    ------
    ImportError
        If s3fs is not installed.
    """
    # Of another process, a connection has no threads; of another place, it is another one.
    return _connected(os.getpid(), *(os.environ.get(name) for name in _PLACE))


def storage_options() -> dict[str, str]:
    """
    How Polars gets what s3fs gets.

    Returns
    -------
    dict of str
        Endpoint, region and credentials, under the names that Polars has for them.
    """
    from fsspec.asyn import sync

    files = connected().files
    client = files.s3
    options = {"aws_region": client.meta.region_name or "us-east-1"}
    endpoint = client.meta.endpoint_url
    if not endpoint.endswith(".amazonaws.com"):
        options |= {"aws_endpoint_url": endpoint, "aws_allow_http": str(endpoint.startswith("http://")).lower()}
    if files.anon:
        return {**options, "aws_skip_signature": "true"}
    given = {"access_key_id": files.key, "secret_access_key": files.secret, "session_token": files.token}
    if not files.key:
        found = sync(files.loop, _credentials, files.session)
        names = zip(given, ("access_key", "secret_key", "token"), strict=True)
        given = {name: getattr(found, of_found, None) for name, of_found in names}
    return options | {f"aws_{name}": value for name, value in given.items() if value}


@lru_cache(maxsize=1)
def _connected(*of: object) -> Store:
    return Store()
