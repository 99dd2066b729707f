"""Versions of a partition: pinned under their checksum, published as ``data.parquet``, restored from there."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mica_lake.catalog.key import Key, key_of
from mica_lake.catalog.partition import (
    Source,
    checksum,
    encode,
    read_definition,
    read_derived_from,
    read_sources,
    readable,
)
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES
from mica_lake.tables.catalog import SOURCE_FILE
from mica_lake.tables.table import Table


def restore(root: LakePath, path: str, version: str) -> None:
    """Return a partition to an older version, if that is intact."""
    store = store_of(root)
    table, data, pinned = TABLES[path.split("/")[0]], root / path, root / version
    if not pinned.is_file() or (data.is_file() and store.same(data, pinned)):
        return
    if version == key_of(table, path).pinned(table, checksum(pinned.read_bytes())):
        store.copy(pinned, data)


def pin(
    root: LakePath,
    table: Table,
    key: Key,
    rows: pa.Table,
    sources: Sequence[Source],
    derived_from: str | None = None,
    days: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """
    Write a version of a partition, which nothing reads until it is committed; give its row in ``partition``.

    `derived_from` and `days` are what the rows are derived from, for a table made from another: see `encode`.
    """
    content = encode(table, rows, sources, derived_from, days)
    path = key.pinned(table, checksum(content))
    # A version of this name that is already there is the same one, unless it is damaged.
    if not store_of(root).put_new(root / path, content):
        store_of(root).put(root / path, content)
    times = pc.min_max(rows.column(table.time))
    return partition_row(
        table, key, path, len(rows), len(content), times["min"].as_py(), times["max"].as_py(), len(sources),
        derived_from, table.definition,
    )  # fmt: skip


def partition_row(
    table: Table,
    key: Key,
    path: str,
    rows: int,
    size: int,
    tstart: float | None,
    tstop: float | None,
    files: int,
    derived_from: str | None,
    definition: str | None,
) -> dict[str, Any]:
    """Row of a partition in the catalog's ``partition``."""
    return {
        "table_name": table.name,
        "year": key.day.year,
        "doy": key.day.timetuple().tm_yday,
        "slot": key.slot,
        "day_number": key.day_number,
        "path": path,
        "rows": rows,
        "bytes": size,
        "tstart": tstart,
        "tstop": tstop,
        "files": files,
        "derived_from": derived_from,
        "definition": definition,
    }


def is_copy(path: LakePath, other: LakePath, content: bytes) -> bool:
    """Whether a partition is the same as its pinned version `other`, whose content has been read already."""
    return store_of(path).same(path, other) or path.read_bytes() == content


def describe(table: Table, key: Key, content: bytes) -> tuple[dict[str, Any], list[Source]]:
    """
    A partition's row in ``partition`` and its sources, as the content of its file says.

    A LakeError if it is not a partition of this table.
    """
    sources, footer = read_sources(content, table)
    tstart, tstop = _covered(content, table, footer)
    pinned = key.pinned(table, checksum(content))
    row = partition_row(
        table, key, pinned, footer.num_rows, len(content), tstart, tstop, len(sources), read_derived_from(footer),
        read_definition(footer),
    )  # fmt: skip
    return row, sources


def _covered(content: bytes, table: Table, footer: pq.FileMetaData) -> tuple[float | None, float | None]:
    """First and last time of a partition."""
    if table.time not in table.searched:
        times = pc.min_max(pq.read_table(readable(content), columns=[table.time]).column(table.time))
        return times["min"].as_py(), times["max"].as_py()
    index = [footer.schema.column(i).path for i in range(footer.num_columns)].index(table.time)
    groups = [footer.row_group(i).column(index).statistics for i in range(footer.num_row_groups)]
    groups = [group for group in groups if group is not None and group.has_min_max]
    return min((g.min for g in groups), default=None), max((g.max for g in groups), default=None)


def source_row(product: str, source: Source, status: str, reason: str | None = None) -> dict[str, Any]:
    """The row of a source file in ``source_file``, without where the file was seen, which is not known here."""
    row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
    row |= {"product": product, "status": status, "reason": reason, "rows": source.file_rows}
    return row | {name: value for name, value in vars(source).items() if name in row and name != "rows"}
