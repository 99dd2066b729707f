"""Rebuilding the catalog from the partitions themselves."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from mica_lake.catalog.check import damage
from mica_lake.catalog.commit import as_owner, roll_back
from mica_lake.catalog.generation import next_name, read_table, write_generation
from mica_lake.catalog.key import Key, key_of, path_of
from mica_lake.catalog.names import CATALOG, CURRENT, DATA, INTERRUPTED, LOCK, PINNED
from mica_lake.catalog.partition import Source, checksum
from mica_lake.catalog.pointer import Pointer, names_in_use, newest_whole, pointer, refuse_newer
from mica_lake.catalog.root import holds
from mica_lake.catalog.version import describe, is_copy, restore, source_row
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES
from mica_lake.tables.catalog import PARTITION, SOURCE_FILE
from mica_lake.tables.table import Table

_VERSION = re.compile(rf"{PINNED}/(\w+)/\d{{4}}/(\d{{4}})(\d{{3}})(?:_(\d))?_[0-9a-f]{{16}}\.parquet", re.ASCII)


def reindex(root: LakePath, *, thorough: bool = True) -> list[str]:
    """
    Rebuild the catalog from the partitions themselves; the writer's lock is held.

    A partition whose file is damaged or lost is restored from its pinned version, if that is good. What only ingest
    knows (which files are superseded or set aside, where files were seen) is kept from the old catalog, as far as that
    can be read; the next ingest finds the rest again.

    Only if it is `thorough` are the rows of each partition read and their checksum compared; otherwise that is done
    where its pinned version, whose name contains the file's checksum, is not there.

    Gives a line for each thing that was wrong: a damaged partition, which the new catalog leaves out; one that was
    restored; a source file whose rows are not all in the lake. Ingesting the source files again mends them all.
    """
    refuse_newer(root)
    trouble: list[str] = []
    partitions: list[dict[str, Any]] = []
    found: dict[tuple[str, str], list[Source]] = {}
    marker = root / INTERRUPTED
    undone = roll_back(root) if marker.exists() else {}
    unfinished = undone is None
    held, known_before, newest = _last_state(root)
    if held is None:
        # What a commit had written before it was rolled back does not belong to the lake.
        pinned = {path: v for path, v in (_versions_left(root) | (undone or {})).items() if v is not None}
    else:
        pinned = held
    # Nor does what a commit whose record is lost had written, unless the state before it lists it.
    unfinished = unfinished and held is not None
    for table in TABLES.values():
        paths = {*partition_paths(root, table), *(path for path in pinned if path.startswith(f"{table.name}/"))}
        with ThreadPoolExecutor() as pool:
            for row, sources, problem in pool.map(
                lambda path, table=table: _read_partition(
                    root, table, path, pinned.get(path), thorough, unfinished, newest
                ),
                sorted(paths),
            ):
                if problem:
                    trouble.append(problem)
                if row is None:
                    continue
                partitions.append(row)
                for source in sources:
                    found.setdefault((table.name, source.filename), []).append(source)
    partitions.sort(key=lambda row: (row["table_name"], row["slot"] or 0, row["day_number"]))
    named = {table.name for table in TABLES.values() if table.names_sources}
    source_rows = [row for row in known_before if row["status"] == "set aside" or row["product"] not in named]
    known = {(row["product"], row["filename"]): row
             for row in known_before if row["status"] != "set aside" and row["product"] in named}  # fmt: skip
    for (product, filename), sources in found.items():
        whole = sum(s.day_rows for s in sources) == sources[0].file_rows and len({s.checksum for s in sources}) == 1
        row = source_row(product, sources[0], "current" if whole else "incomplete")
        old = known.pop((product, filename), None)
        if old is not None and old["checksum"] == row["checksum"]:
            row |= {name: old[name] for name in ("directory", "size", "mtime_ns")}
            if old["status"] == "incomplete":
                row |= {name: old[name] for name in ("status", "reason")}
        if not whole:
            row["reason"] = "a part of its rows is missing from the lake: ingest it again"
            trouble.append(f"{filename}: {row['reason']}")
        source_rows.append(row)
    for row in known.values():
        if row["status"] in ("current", "incomplete"):
            row |= {"status": "wanted", "reason": "its rows are missing from the lake: ingest it again"}
            trouble.append(f"{row['filename']}: {row['reason']}")
        source_rows.append(row)
    replaced = as_owner(root)
    write_generation(
        root,
        next_name(root),
        pa.Table.from_pylist(partitions, schema=PARTITION),
        pa.Table.from_pylist(source_rows, schema=SOURCE_FILE),
        replaced,
    )
    store_of(root).remove([marker])
    return trouble


def _last_state(root: LakePath) -> tuple[dict[str, str] | None, list[dict[str, Any]], bool]:
    """
    The versions and source files of the current generation, or of the newest one that is intact.

    Path of each partition -> path of its version, or None if no generation can be read; rows of ``source_file``;
    whether this is the newest generation there is, so that no later one can have had other partitions.
    """

    def versions(of: Pointer | None) -> dict[str, str]:
        return {path_of(row): row["path"] for row in read_table(root, "partition", of).to_pylist()}

    newest = True
    try:
        last = pointer(root)
        held = versions(last) if last is not None else None
    except LakeError:
        held = None
    if held is None:
        last = newest_whole(root)
        if last is None:
            return None, [], True
        held, newest = versions(last), last.generation == max(names_in_use(root))
    try:
        return held, read_table(root, "source_file", last).to_pylist(), newest
    except LakeError:
        return held, [], newest


def _versions_left(root: LakePath) -> dict[str, str]:
    """Path of each partition -> its newest version, for when no generation says which is current."""
    found: dict[str, tuple[int, str]] = {}
    store = store_of(root)
    for path in store.files(root / PINNED, "*.parquet"):
        version = path.relative_to(root).as_posix()
        match = _VERSION.fullmatch(version)
        if match is None or match[1] not in TABLES:
            continue
        with suppress(ValueError):
            day = date(int(match[2]), 1, 1) + timedelta(days=int(match[3]) - 1)
            partition = Key(day, int(match[4]) if match[4] else None).path(TABLES[match[1]])
            found[partition] = max(found.get(partition, (0, "")), (store.stat(path).mtime_ns, version))
    return {partition: version for partition, (_, version) in found.items()}


def rebuild(root: LakePath) -> list[str]:
    """Take the writer's lock and `reindex`; a LakeError if there is no lake, or it is locked."""
    if not (holds(root) or (root / CURRENT).exists()):
        raise LakeError(f"{root} is not a mica lake: it has neither tables nor a catalog")
    (root / CATALOG).mkdir(exist_ok=True)
    with store_of(root).lock(root / LOCK):
        return reindex(root)


def partition_paths(root: LakePath, table: Table) -> list[str]:
    """
    The files of a table's partitions that are there, as paths relative to the lake.

    Among them may be some whose folder is not named after a valid date or slot.
    """
    pattern = "/".join([*(f"{key}=*" for key in table.keys), DATA])
    return [path.relative_to(root).as_posix() for path in (root / table.name).glob(pattern)]


def _read_partition(
    root: LakePath, table: Table, path: str, version: str | None, thorough: bool, unfinished: bool, newest: bool
) -> tuple[dict[str, Any] | None, list[Source], str]:
    """
    A partition's row in the catalog and its sources, or what is wrong with it.

    If the file is lost or damaged but `version`, its pinned version, is good, the file is restored from that; then both
    a row and what was wrong are given. If a commit is `unfinished`, the partition becomes `version` first. A partition
    that is not there may have been removed on purpose since, unless `version` is from the `newest` state.
    """
    try:
        key = key_of(table, path)
        if unfinished and not _undone(root, table, key, path, version):
            return None, [], ""
        content, reason = _content(root, table, key, root / path, thorough)
        if reason:
            pinned, of_version = (b"", "") if version is None else _content(root, table, key, root / version, True)
            there = (root / path).is_file()
            if not there and not newest:
                return (
                    None,
                    [],
                    (
                        f"{path} is not there, and only an older state of the catalog could be read, which lists it: "
                        f"ingest {table.ingested_as} again, which restores it if it was lost"
                    ),
                )
            if version is None or of_version:
                return None, [], f"{path} is damaged: {reason}" if there else ""
            store_of(root).copy(root / version, root / path)
            content = pinned
            reason = f"{path} {'is damaged' if there else 'is lost'}: {reason}; its pinned version took its place"
        row, sources = describe(table, key, content)
        if not ((root / row["path"]).exists() and is_copy(root / row["path"], root / path, content)):
            store_of(root).copy(root / path, root / row["path"])
    except (LakeError, OSError, ValueError) as error:
        return None, [], f"{path} is damaged: {error}"
    return row, sources, reason


def _undone(root: LakePath, table: Table, key: Key, path: str, version: str | None) -> bool:
    """Return a partition to its state before an unfinished commit; whether it existed then."""
    data = root / path
    if version is not None:
        restore(root, path, version)
        return True
    if (root / key.pinned(table, checksum(data.read_bytes()))).exists():
        store_of(root).remove([data])
        return False
    return True


def _content(root: LakePath, table: Table, key: Key, path: LakePath, thorough: bool) -> tuple[bytes, str]:
    """Content of a file, and what is wrong with it; a pinned version must match the checksum in its name."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return b"", f"it cannot be read: {error.strerror}"
    version = root / key.pinned(table, checksum(content))
    if path.is_relative_to(root / CATALOG) and path != version:
        return b"", "its bytes are not those that were written"
    return content, damage(content, table, key) if thorough or not version.exists() else ""
