"""
Generations of the catalog: which one is current, and whether its files are intact.

    <lake>/_catalog/current                the current generation, and the SHA-256 of its list of files
    <lake>/_catalog/00000012/checksums     SHA-256 of each of its files, as ``sha256sum -c`` reads it
    <lake>/_catalog/00000012/partition.parquet, source_file.parquet, hdr3_msid.parquet, no_rows/aca_l0.parquet

One flipped bit in a file this small can make every answer wrong, so all are checked when a lake is opened;
``source_file.parquet``, which no answer depends on and which grows large over a mission, is checked when it is read
here.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mica_lake.catalog.partition import encode, in_memory, readable, write
from mica_lake.catalog.script import script
from mica_lake.errors import LakeError
from mica_lake.store.s3 import LakePath, S3Path
from mica_lake.tables import EXTRAS, TABLES
from mica_lake.tables.catalog import PARTITION, SOURCE_FILE
from mica_lake.tables.table import Table

# Simultaneous requests to an object store: as many as s3fs keeps connections.
STREAMS = 10
#: The generation of a lake before its first commit.
EMPTY = "00000000"
TAKEN_OVER = "{}: another writer has taken this lake over and committed. Nothing of it was changed: run this again"
_LARGE = "source_file.parquet"
_POINTER = re.compile(rb"(\d{8})(?: ([0-9a-f]{64}))?\n?")
_LINE = re.compile(r"([0-9a-f]{64})  ([\w./]+)", re.ASCII)
State = tuple[str, int] | None
_T = TypeVar("_T")
_R = TypeVar("_R")


class Pointer(NamedTuple):
    """
    Which generation is current.

    Attributes
    ----------
    generation : str
        Its name.
    checksum : str or None
        SHA-256 of its list of files; None if the mica-lake that wrote the lake made no list.
    mtime_ns : int
        When it was committed; needed because a new lake at the same place starts with the same name.
    """

    generation: str
    checksum: str | None
    mtime_ns: int


def damaged(root: LakePath, path: LakePath, reason: object) -> LakeError:
    """The error for a damaged file of the catalog."""
    return LakeError(f"the catalog is damaged ({path}: {reason}): run 'mica-lake reindex --lake {root}'")


def pointer(root: LakePath) -> Pointer | None:
    """
    Read which generation is current.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    Pointer or None
        None if there is no catalog.

    Raises
    ------
    LakeError
        If ``_catalog/current`` is damaged.
    """
    path = root / "_catalog" / "current"
    try:
        if isinstance(path, S3Path):
            content, stat = path.read()
            mtime = stat.st_mtime_ns
        else:
            with path.open("rb") as file:
                content, mtime = file.read(100), os.fstat(file.fileno()).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise damaged(root, path, error.strerror) from None
    found = _POINTER.fullmatch(content)
    if found is None:
        raise damaged(root, path, "it names no generation")
    return Pointer(found[1].decode(), found[2].decode() if found[2] else None, mtime)


def current_generation(root: LakePath) -> str | None:
    """
    The current generation.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    str or None
        Its name; None if there is no catalog.

    Raises
    ------
    LakeError
        If ``_catalog/current`` is damaged.
    """
    found = pointer(root)
    return None if found is None else found.generation


def state(root: LakePath) -> State:
    """
    Which generation of which lake is current, to know when cached content is out of date.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    (str, int) or None
        The generation and when it was committed; None if there is no catalog.

    Raises
    ------
    LakeError
        If ``_catalog/current`` is damaged.
    """
    found = pointer(root)
    return None if found is None else (found.generation, found.mtime_ns)


def listed(root: LakePath, found: Pointer) -> dict[str, str] | None:
    """
    The files of a generation and their checksums.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    found : Pointer
        The generation.

    Returns
    -------
    dict of str, or None
        Name -> SHA-256; None for a generation written by a mica-lake that made no list.

    Raises
    ------
    LakeError
        If the list is damaged or lost.
    """
    path = root / "_catalog" / found.generation / "checksums"
    if found.checksum is None:
        if path.exists():
            raise damaged(root, root / "_catalog" / "current", "it lacks the checksum of that generation's list")
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(root, path, error.strerror) from None
    if hashlib.sha256(content).hexdigest() != found.checksum:
        raise damaged(root, path, "it is not the list that _catalog/current names")
    lines = [_LINE.fullmatch(line) for line in content.decode("ascii").splitlines()]
    return {line[2]: line[1] for line in lines if line is not None}


def check(root: LakePath) -> tuple[str, dict[str, bytes]] | None:
    """
    Check the small files of the current generation, which every answer depends on.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    (str, dict of bytes) or None
        The generation; the content of each file checked, by its path relative to the lake. No files are checked in a
        lake written by a mica-lake that made no list. None if there is no catalog.

    Raises
    ------
    LakeError
        If a file is lost or damaged.
    """
    found = pointer(root)
    if found is None:
        return None
    names = listed(root, found) or {}
    content = _read(root, found.generation, {name: sha for name, sha in names.items() if name != _LARGE})
    return found.generation, {f"_catalog/{found.generation}/{name}": part for name, part in content.items()}


def _read(root: LakePath, generation: str, names: dict[str, str]) -> dict[str, bytes]:
    """Content of some files of a generation, after comparing their checksums."""

    def read(name: str) -> bytes:
        path = root / "_catalog" / generation / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise damaged(root, path, error.strerror) from None
        if hashlib.sha256(content).hexdigest() != names[name]:
            raise damaged(root, path, "its bytes are not those that were written")
        return content

    return dict(zip(names, each(root, read, names), strict=True))


def each(root: LakePath, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Call a function for each of some items; several at a time on an object store, where each call waits."""
    if isinstance(root, S3Path):
        with ThreadPoolExecutor(STREAMS) as threads:
            return list(threads.map(function, items))
    return [function(item) for item in items]


def problems(root: LakePath) -> list[tuple[str, str]]:
    """
    The files of the current generation that are damaged.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    list of (str, str)
        Path relative to the lake, and what is wrong with it.
    """
    try:
        found = pointer(root)
        names = listed(root, found) if found is not None else {}
    except LakeError as error:
        return [("_catalog/current", str(error))]
    if found is None:
        return [("_catalog/current", "it is not there")]
    if names is None:
        return [("_catalog/current", "it was written by an older mica-lake, and its files have no checksums")]
    wrong = []
    for name in sorted({"partition.parquet", _LARGE, *names}):
        path = f"_catalog/{found.generation}/{name}"
        try:
            if name not in names:
                wrong.append((path, "it is not in the list of files"))
            elif hashlib.sha256((root / path).read_bytes()).hexdigest() != names[name]:
                wrong.append((path, "its bytes are not those that were written"))
        except OSError as error:
            wrong.append((path, f"it cannot be read: {error.strerror}"))
    if names.keys() != {"partition.parquet", _LARGE, *_declared()}:
        wrong.append((f"_catalog/{found.generation}/checksums", "it lists other files than this mica-lake writes"))
    return wrong


def read_table(root: LakePath, name: str, found: Pointer | None = None) -> pa.Table:
    """
    A table of the catalog.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    name : str
        ``partition`` or ``source_file``.
    found : Pointer, optional
        The generation; the current one by default.

    Returns
    -------
    pyarrow.Table
        Its rows; none if there is no catalog.

    Raises
    ------
    LakeError
        If the catalog is damaged.
    """
    schema = {"partition": PARTITION, "source_file": SOURCE_FILE}[name]
    found = found or pointer(root)
    if found is None:
        return schema.empty_table()
    path = root / "_catalog" / found.generation / f"{name}.parquet"
    try:
        names = listed(root, found)
        if names is None:
            content = path.read_bytes()
        else:
            content = _read(root, found.generation, {path.name: names[path.name]})[path.name]
        rows = pq.read_table(in_memory(content), partitioning=None)
        for column in schema.names[rows.num_columns :]:  # that an older mica-lake did not have
            rows = rows.append_column(column, pa.nulls(len(rows), schema.field(column).type))
        return rows.cast(schema)
    except KeyError:
        raise damaged(root, path, "it is not in the list of files") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(root, path, error) from error


def newest_whole(root: LakePath) -> Pointer | None:
    """
    The newest generation whose files are all intact, for when ``_catalog/current`` does not say which is current.

    A generation is written after the partitions that it lists, so one that is intact is a state of the lake.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    Pointer or None
        The generation; None if none is intact.
    """
    for name in sorted(names_in_use(root), reverse=True):
        try:
            content = (root / "_catalog" / name / "checksums").read_bytes()
            found = Pointer(name, hashlib.sha256(content).hexdigest(), 0)
            names = listed(root, found) or {}
            _read(root, name, names)
        except (OSError, LakeError, UnicodeDecodeError):
            continue
        if {"partition.parquet", _LARGE} <= names.keys():  # else the list was cut
            return found
    return None


def names_in_use(root: LakePath) -> list[str]:
    """The generations on the disk, intact or not."""
    catalog = root / "_catalog"
    return [entry.name for entry in catalog.iterdir() if entry.name.isdecimal()] if catalog.is_dir() else []


def next_name(root: LakePath) -> str:
    """
    A name for the next generation, not used before.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    str
        The number after the highest in use.
    """
    return f"{max((int(name) for name in names_in_use(root)), default=-1) + 1:08d}"


def write_generation(root: LakePath, name: str, partition: pa.Table, source_file: pa.Table, etag: str | None) -> None:
    """
    Write a generation, and make it the current one.

    Parameters
    ----------
    root : Path or S3Path
        The lake, whose writer's lock is held.
    name : str
        Its name, from `next_name`.
    partition, source_file : pyarrow.Table
        What it lists.
    etag : str or None
        On an object store, the etag of the pointer that it replaces; None if there is none.

    Raises
    ------
    LakeError
        On an object store, if another writer has committed meanwhile.
    """
    directory = root / "_catalog" / name
    if isinstance(directory, Path):
        shutil.rmtree(directory, ignore_errors=True)
    before = _named_by(root)
    checksums = []
    for part, content in _contents(root, partition, source_file).items():
        _carry_over(root, before, directory, part, content)
        checksums.append((part, hashlib.sha256(content).hexdigest()))
    lines = "".join(f"{sha}  {part}\n" for part, sha in sorted(checksums)).encode()
    _write_new(root, directory / "checksums", lines)
    text = script().encode()
    target = root / "mica_lake.sql"
    if not target.exists() or target.read_bytes() != text:
        write(target, text)
    current = root / "_catalog" / "current"
    named = f"{name} {hashlib.sha256(lines).hexdigest()}\n".encode()
    if isinstance(current, Path):
        write(current, named)
        return
    try:
        current.put(named, etag=etag, new=etag is None)
    except (BlockingIOError, FileNotFoundError):
        # Nobody else uses this name, so if it is there, the answer to our PUT was lost and s3fs asked again.
        if current_generation(root) != name:
            raise LakeError(TAKEN_OVER.format(root)) from None


def _named_by(root: LakePath) -> str:
    """The generation that holds; empty where nothing says which, or an object store has no links to it."""
    try:
        return (current_generation(root) or "") if isinstance(root, Path) else ""
    except LakeError:
        return ""


def _declared() -> list[str]:
    """Files of a generation that follow from the tables as they are declared."""
    return [*(f"{name}.parquet" for name in EXTRAS), *(f"no_rows/{name}.parquet" for name in TABLES)]


def _contents(root: LakePath, partition: pa.Table, source_file: pa.Table) -> dict[str, bytes]:
    """Name of each file of a generation, and its content."""
    order = [("product", "ascending"), ("filename", "ascending"), ("directory", "ascending")]
    listed = {"partition.parquet": _parquet(partition), _LARGE: _parquet(source_file.sort_by(order))}
    empty = (_without_rows(table.name, _schema(root, table, partition)) for table in TABLES.values())
    return listed | dict(zip(_declared(), (*map(_parquet, EXTRAS.values()), *empty), strict=True))


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def _write_new(root: LakePath, path: LakePath, content: bytes) -> None:
    """Write a file of a new generation, which nobody reads yet."""
    if isinstance(path, Path):
        write(path, content)
    elif not path.put_new(content):
        raise LakeError(TAKEN_OVER.format(root))


def _carry_over(root: LakePath, generation: str, directory: LakePath, name: str, content: bytes) -> None:
    """Write a file of a generation; if the one before has the same content, link to that, which need not be flushed."""
    if isinstance(root, Path):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            before = root / "_catalog" / generation / name
            if before.read_bytes() == content:
                os.link(before, directory / name)
                return
        except OSError:
            pass
    _write_new(root, directory / name, content)


@lru_cache(maxsize=64)
def _without_rows(name: str, schema: pa.Schema) -> bytes:
    """A partition without rows, for empty answers."""
    return encode(TABLES[name], schema.empty_table(), [])


def _schema(root: LakePath, table: Table, partition: pa.Table) -> pa.Schema:
    """The columns of a table; for a wide table, those of its partitions."""
    if table.wide:
        paths = partition.filter(pc.equal(partition.column("table_name"), table.name)).column("path")
        if len(paths):
            return pq.read_schema(readable(root / paths[0].as_py())).remove_metadata()
    return table.schema
