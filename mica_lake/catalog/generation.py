"""
Generations of the catalog: reading their tables, and writing a new one.

    <lake>/_catalog/00000012/partition.parquet, source_file.parquet, hdr3_msid.parquet, no_rows/aca_l0.parquet
    <lake>/_catalog/00000012/checksums     SHA-256 of each of these files
    <lake>/_catalog/current                which generation is current: see `mica_lake.catalog.pointer`
"""

import hashlib
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
from mica_lake.catalog.pointer import (
    FORMAT,
    Pointer,
    current_generation,
    damaged,
    listed,
    names_in_use,
    pointer,
    read_intact,
)
from mica_lake.catalog.script import script
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import EXTRAS, TABLES
from mica_lake.tables.catalog import PARTITION, SOURCE_FILE
from mica_lake.tables.table import Table

ROW_GROUP = 1 << 17
TAKEN_OVER = "{}: another writer has taken this lake over and committed. Nothing of it was changed: run this again"


class Replaced(NamedTuple):
    """The pointer that a commit replaces: its etag, and the generation that it names if that can be read."""

    etag: str
    generation: str | None


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
            content = read_intact(root, found.generation, {path.name: names[path.name]})[path.name]
        rows = pq.read_table(in_memory(content), partitioning=None)
        for column in schema.names[rows.num_columns :]:  # that an older mica-lake did not have
            rows = rows.append_column(column, pa.nulls(len(rows), schema.field(column).type))
        return rows.cast(schema)
    except KeyError:
        raise damaged(root, path, "it is not in the list of files") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(root, path, error) from error


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
    if not target.is_file() or target.read_bytes() != text:
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
    listed = {PARTITION_FILE: _parquet(partition), SOURCE_FILES_FILE: _sorted_by_name(source_file)}
    empty = (_without_rows(table.name, _schema(root, table, partition)) for table in TABLES.values())
    return listed | dict(zip(_declared(), (*(_parquet(made()) for made in EXTRAS.values()), *empty), strict=True))


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def _sorted_by_name(source_file: pa.Table) -> bytes:
    """The file with the source files, by name and so by time: for some days of a mission, one row group is read."""
    order = [("product", "ascending"), ("filename", "ascending"), ("directory", "ascending")]
    places = pc.sort_indices(source_file, sort_keys=order)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, source_file.schema, compression="zstd", write_page_checksum=True) as writer:
        # Piece by piece, as a copy of a mission's would take 300 MB.
        for first in range(0, len(source_file), ROW_GROUP):
            writer.write_table(source_file.take(places.slice(first, ROW_GROUP)))
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
