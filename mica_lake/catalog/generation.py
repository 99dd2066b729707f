"""
Generations of the catalog: which one is current, and whether its files are intact.

    <lake>/_catalog/current                the current generation, the SHA-256 of its list of files, and its format
    <lake>/_catalog/00000012/checksums     SHA-256 of each of its files, as ``sha256sum -c`` reads it
    <lake>/_catalog/00000012/partition.parquet, source_file.parquet, hdr3_msid.parquet, no_rows/aca_l0.parquet

One flipped bit in a file this small can make every answer wrong, so all are checked when a lake is opened;
``source_file.parquet``, which no answer depends on and which grows large over a mission, is checked when it is read
here.
"""

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mica_lake.catalog.names import (
    CATALOG,
    CHECKSUMS,
    CURRENT,
    PARTITION_FILE,
    SCRIPT,
    SOURCE_FILES_FILE,
    no_rows,
)
from mica_lake.catalog.partition import encode, in_memory, readable
from mica_lake.catalog.script import script
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import EXTRAS, TABLES
from mica_lake.tables.catalog import PARTITION, SOURCE_FILE
from mica_lake.tables.table import Table

#: Format of the catalog: raised when a mica-lake that knows only the one before could not read it, or would misread it.
FORMAT = 1
#: The generation of a lake before its first commit.
EMPTY = "00000000"
TAKEN_OVER = "{}: another writer has taken this lake over and committed. Nothing of it was changed: run this again"
# A mica-lake that gave its catalogs no format wrote the first one; the first of all made no list of files.
_POINTER = re.compile(rb"(\d{8})(?: ([0-9a-f]{64})(?: (\d{1,9}))?)?\n?")
_LINE = re.compile(r"([0-9a-f]{64})  ([\w./]+)", re.ASCII)
State = tuple[str, int] | None


class OtherFormatError(LakeError):
    """The catalog is of a format that this mica-lake does not read; nothing is wrong with it."""


class NewerFormatError(OtherFormatError):
    """The catalog is of a newer format, which nothing here may replace."""


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
    etag : str
        Of ``_catalog/current``.
    """

    generation: str
    checksum: str | None
    mtime_ns: int
    etag: str = ""


class Replaced(NamedTuple):
    """The pointer that a commit replaces: its etag, and the generation that it names if that can be read."""

    etag: str
    generation: str | None


def damaged(root: LakePath, path: LakePath, reason: object) -> LakeError:
    """The error for a damaged file of the catalog."""
    return LakeError(f"the catalog is damaged ({path}: {reason}): run 'mica-lake reindex --lake {root}'")


def pointer(root: LakePath) -> Pointer | None:
    """Read which generation is current; None if there is no catalog, a LakeError if that cannot be read."""
    path = root / CURRENT
    try:
        content, stat = store_of(path).read(path, 0, 100)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise damaged(root, path, error.strerror) from None
    found = _POINTER.fullmatch(content)
    if found is None:
        raise damaged(root, path, "it names no generation")
    written = int(found[3] or FORMAT)
    if written > FORMAT:
        raise NewerFormatError(
            f"the catalog of {root} has format {written}, newer than {FORMAT}, which this mica-lake reads: "
            "update mica-lake"
        )
    if written < FORMAT:
        raise OtherFormatError(
            f"the catalog of {root} has format {written}, older than {FORMAT}, which this mica-lake reads: "
            f"'mica-lake reindex --lake {root}' derives it anew"
        )
    return Pointer(found[1].decode(), found[2].decode() if found[2] else None, stat.mtime_ns, stat.etag)


def refuse_newer(root: LakePath) -> None:
    """Raise if the catalog is of a newer format, which nothing here may replace."""
    try:
        pointer(root)
    except NewerFormatError:
        raise
    except LakeError:
        return


def current_generation(root: LakePath) -> str | None:
    """Name of the current generation; None if there is no catalog."""
    found = pointer(root)
    return None if found is None else found.generation


def state(root: LakePath) -> State:
    """Which generation is current and when it was committed, to know when what was read of it is out of date."""
    found = pointer(root)
    return None if found is None else (found.generation, found.mtime_ns)


def listed(root: LakePath, found: Pointer) -> dict[str, str] | None:
    """Name -> SHA-256 of the files of a generation; None if the mica-lake that wrote it made no list."""
    path = root / CATALOG / found.generation / CHECKSUMS
    if found.checksum is None:
        if path.exists():
            raise damaged(root, root / CURRENT, "it lacks the checksum of that generation's list")
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

    Gives the generation and the content of each file checked, by its path relative to the lake (none if no list of
    files was made); None if there is no catalog.
    """
    found = pointer(root)
    if found is None:
        return None
    names = listed(root, found) or {}
    content = _read(root, found.generation, {name: sha for name, sha in names.items() if name != SOURCE_FILES_FILE})
    return found.generation, {f"{CATALOG}/{found.generation}/{name}": part for name, part in content.items()}


def _read(root: LakePath, generation: str, names: dict[str, str]) -> dict[str, bytes]:
    """Content of some files of a generation, after comparing their checksums."""

    def read(name: str) -> bytes:
        path = root / CATALOG / generation / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise damaged(root, path, error.strerror) from None
        if hashlib.sha256(content).hexdigest() != names[name]:
            raise damaged(root, path, "its bytes are not those that were written")
        return content

    return dict(zip(names, store_of(root).each(read, names), strict=True))


def problems(root: LakePath) -> list[tuple[str, str]]:
    """The files of the current generation that are damaged: path relative to the lake, and what is wrong with it."""
    try:
        found = pointer(root)
        names = listed(root, found) if found is not None else {}
    except LakeError as error:
        return [(CURRENT, str(error))]
    if found is None:
        return [(CURRENT, "it is not there")]
    if names is None:
        return [(CURRENT, "it was written by an older mica-lake, and its files have no checksums")]
    wrong = []
    for name in sorted({PARTITION_FILE, SOURCE_FILES_FILE, *names}):
        path = f"{CATALOG}/{found.generation}/{name}"
        try:
            if name not in names:
                wrong.append((path, "it is not in the list of files"))
            elif hashlib.sha256((root / path).read_bytes()).hexdigest() != names[name]:
                wrong.append((path, "its bytes are not those that were written"))
        except OSError as error:
            wrong.append((path, f"it cannot be read: {error.strerror}"))
    if names.keys() != {PARTITION_FILE, SOURCE_FILES_FILE, *_declared()}:
        where = f"{CATALOG}/{found.generation}/{CHECKSUMS}"
        wrong.append((where, "it lists other files than this mica-lake writes"))
    return wrong


def read_table(root: LakePath, name: str, found: Pointer | None = None) -> pa.Table:
    """
    Table ``partition`` or ``source_file`` of a generation, the current one by default; no rows without a catalog.

    A LakeError if the catalog is damaged.
    """
    schema = {"partition": PARTITION, "source_file": SOURCE_FILE}[name]
    found = found or pointer(root)
    if found is None:
        return schema.empty_table()
    path = root / CATALOG / found.generation / f"{name}.parquet"
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
    """
    for name in sorted(names_in_use(root), reverse=True):
        try:
            content = (root / CATALOG / name / CHECKSUMS).read_bytes()
            found = Pointer(name, hashlib.sha256(content).hexdigest(), 0)
            names = listed(root, found) or {}
            _read(root, name, names)
        except (OSError, LakeError, UnicodeDecodeError):
            continue
        if {PARTITION_FILE, SOURCE_FILES_FILE} <= names.keys():  # else the list was cut
            return found
    return None


def names_in_use(root: LakePath) -> list[str]:
    """The generations that are there, intact or not."""
    catalog = root / CATALOG
    return [entry.name for entry in catalog.iterdir() if entry.name.isdecimal()] if catalog.is_dir() else []


def next_name(root: LakePath) -> str:
    """A name for the next generation: the number after the highest in use."""
    return f"{max((int(name) for name in names_in_use(root)), default=-1) + 1:08d}"


def write_generation(
    root: LakePath, name: str, partition: pa.Table, source_file: pa.Table, before: Replaced | None
) -> None:
    """
    Write a generation, named by `next_name`, and make it the current one; the writer's lock is held.

    A LakeError if another writer has committed since `before`, which is None for a lake without a catalog.
    """
    store, directory = store_of(root), root / CATALOG / name
    checksums = []
    for part, content in _contents(root, partition, source_file).items():
        like = root / CATALOG / before.generation / part if before and before.generation else None
        _put_new(root, directory / part, content, like)
        checksums.append((part, hashlib.sha256(content).hexdigest()))
    lines = "".join(f"{sha}  {part}\n" for part, sha in sorted(checksums)).encode()
    _put_new(root, directory / CHECKSUMS, lines)
    text = script().encode()
    target = root / SCRIPT
    if not target.exists() or target.read_bytes() != text:
        store.put(target, text)
    named = f"{name} {hashlib.sha256(lines).hexdigest()} {FORMAT}\n"
    try:
        store.swap(root / CURRENT, named.encode(), before and before.etag)
    except BlockingIOError:
        # Nobody else uses this name, so if it is there, the answer to our PUT was lost.
        if current_generation(root) != name:
            raise LakeError(TAKEN_OVER.format(root)) from None


def _declared() -> list[str]:
    """Files of a generation that follow from the tables as they are declared."""
    return [*(f"{name}.parquet" for name in EXTRAS), *(no_rows(name) for name in TABLES)]


def _contents(root: LakePath, partition: pa.Table, source_file: pa.Table) -> dict[str, bytes]:
    """Name of each file of a generation, and its content."""
    order = [("product", "ascending"), ("filename", "ascending"), ("directory", "ascending")]
    listed = {PARTITION_FILE: _parquet(partition), SOURCE_FILES_FILE: _parquet(source_file.sort_by(order))}
    empty = (_without_rows(table.name, _schema(root, table, partition)) for table in TABLES.values())
    return listed | dict(zip(_declared(), (*map(_parquet, EXTRAS.values()), *empty), strict=True))


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def _put_new(root: LakePath, path: LakePath, content: bytes, like: LakePath | None = None) -> None:
    """Write a file of a new generation; `like`, that of the one before, need not be written again."""
    if not store_of(root).put_new(path, content, like):
        raise LakeError(TAKEN_OVER.format(root))


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
