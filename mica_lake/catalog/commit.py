"""Commits, which replace partitions all at once, and rolling back one that was interrupted."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.check import damage
from mica_lake.catalog.generation import Replaced, next_name, read_table, write_generation
from mica_lake.catalog.key import Key, key_of, path_of
from mica_lake.catalog.names import CATALOG, CURRENT, INTERRUPTED, LOCK
from mica_lake.catalog.partition import checksum
from mica_lake.catalog.pointer import Pointer, newest_whole, pointer
from mica_lake.catalog.version import restore
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES
from mica_lake.tables.catalog import PARTITION


def roll_back(root: LakePath) -> dict[str, str | None] | None:
    """
    Return each partition to its version before a commit that was interrupted.

    Gives the path of each partition of the commit -> its version before, or None if it had none; None if the record of
    the commit cannot be read.
    """
    store, marker = store_of(root), root / INTERRUPTED
    begun = _begun(marker)
    if begun is None:
        return None
    generation, before = begun
    held = generation_that_holds(root)
    # That commit was done; and others after it, where a copy of the lake kept the record of one that was under way.
    if held is not None and held.generation >= generation:
        before = {}

    def undo(path: str) -> None:
        version = before[path]
        if version is None:
            store.remove([root / path])
        else:
            # If the old version is lost or damaged, too, it cannot be restored; the partition is then left to reindex.
            restore(root, path, version)

    if before:
        store.each(undo, before)
        # If the pointer were lost, an intact generation would be taken for the current one.
        remove_generation(root, generation)
    for path in before:
        store.remove_unfinished(root / path)
    store.remove([marker])
    return before


def generation_that_holds(root: LakePath) -> Pointer | None:
    """The current generation; if `_catalog/current` does not say which that is, the newest that is intact."""
    with suppress(LakeError):
        if (found := pointer(root)) is not None:
            return found
    return newest_whole(root)


def _begun(marker: LakePath) -> tuple[str, dict[str, str | None]] | None:
    """The generation that an interrupted commit was writing, and the version of each partition before it."""
    try:
        digest, text = marker.read_bytes().split(b"\n", 1)
        if hashlib.sha256(text).hexdigest().encode() != digest:
            return None
        found = json.loads(text)
        return found["generation"], found["before"]
    except (OSError, ValueError, LookupError, TypeError):
        if marker.is_dir():
            raise LakeError(f"{marker} is a directory, it should be a file: remove it, and run this again") from None
        return None


def _begin(root: LakePath, generation: str, before: Mapping[str, str | None]) -> None:
    text = json.dumps({"generation": generation, "before": before}).encode()
    store_of(root).put(root / INTERRUPTED, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def _are(partition: pa.Table, keys: Iterable[tuple[str, Key]]) -> pa.ChunkedArray:
    """Which rows of a list of partitions belong to some keys."""
    # Day and slot as one number, so that Arrow can look it up in a list.
    days, slots = partition.column("day_number"), pc.fill_null(partition.column("slot"), -1)
    places = pc.add(pc.multiply(days, 16), slots.cast(days.type))
    by_table: dict[str, list[int]] = {}
    for name, key in keys:
        by_table.setdefault(name, []).append(key.day_number * 16 + (-1 if key.slot is None else key.slot))
    found = pa.chunked_array([pa.repeat(False, len(partition))])
    for name, wanted in by_table.items():
        of_table = pc.equal(partition.column("table_name"), name)
        found = pc.or_(found, pc.and_(of_table, pc.is_in(places, pa.array(wanted, days.type))))
    return found


def with_changes(partition: pa.Table, written: Mapping[tuple[str, Key], Mapping[str, Any] | None]) -> pa.Table:
    """The catalog's list of partitions after a commit of these changes, sorted by table, slot and day."""
    if not written:
        return partition
    kept = partition.filter(pc.invert(_are(partition, written)))
    rows = [dict(row) for row in written.values() if row is not None]
    changed = pa.concat_tables([kept, pa.Table.from_pylist(rows, schema=PARTITION)])
    order = [("table_name", "ascending"), ("slot", "ascending"), ("day_number", "ascending")]
    return changed.sort_by(order)


def commit(root: LakePath, written: Mapping[tuple[str, Key], Mapping[str, Any] | None], source_file: pa.Table) -> None:
    """
    Make new versions of partitions, and a new list of source files, the state of the lake.

    `written` has the new versions, from `pin`; None for a partition that no longer has rows. All of them are stored
    before this is called; what remains is to publish them and to write the catalog. If it is killed, at any moment,
    queries answer as before the commit or as after it, and the next writer rolls it back or finishes it. A LakeError if
    a version is not there, or a partition to be replaced is not what the catalog lists; then nothing is changed.
    """
    store, replaced_pointer = store_of(root), as_owner(root)
    new = [row for row in written.values() if row is not None]
    store.each(lambda row: _check_there(root / row["path"], row["bytes"]), new)
    partition = read_table(root, "partition")
    name = next_name(root)
    if written:
        replaced = partition.filter(_are(partition, written))
        before = {key.path(TABLES[of]): None for of, key in written} | {
            path_of(row): row["path"]
            for row in replaced.select(["table_name", "day_number", "slot", "path"]).to_pylist()
        }
        store.each(lambda path: _check_known(root, path, before[path]), before)
        _begin(root, name, before)
        store.each(lambda change: _publish_change(root, *change), written.items())
    write_generation(root, name, with_changes(partition, written), source_file, replaced_pointer)
    if written:
        store.remove([root / INTERRUPTED])


def _publish_change(root: LakePath, of: tuple[str, Key], row: Mapping[str, Any] | None) -> None:
    name, key = of
    path = root / key.path(TABLES[name])
    if row is not None:
        store_of(root).copy(root / row["path"], path)
    else:
        store_of(root).remove([path])


def _check_known(root: LakePath, path: str, version: str | None) -> None:
    """Raise if a partition that is to be replaced is intact, but not the version that the catalog lists."""
    data = root / path
    if not data.is_file():
        return
    with suppress(FileNotFoundError):
        if version is not None and store_of(root).same(data, root / version):
            return
    table = TABLES[path.split("/")[0]]
    content = data.read_bytes()
    if version == key_of(table, path).pinned(table, checksum(content)) or damage(content, table, key_of(table, path)):
        return
    what = "the catalog does not list it" if version is None else "it is not the version that the catalog lists"
    raise LakeError(
        f"{data} would be replaced, but {what}, and its rows would be lost. Nothing was changed: "
        f"'mica-lake reindex --lake {root}' takes it into the catalog, then run this again"
    )


def as_owner(root: LakePath) -> Replaced | None:
    """The pointer to replace, read while this process holds the writer's lock; None if there is none."""
    replaced = None
    try:
        if (found := pointer(root)) is not None:
            replaced = Replaced(found.etag, found.generation)
    except LakeError:  # it is damaged, or of an older format
        replaced = Replaced(store_of(root).stat(root / CURRENT).etag, None)
    store_of(root).still_held(root / LOCK)
    return replaced


def _check_there(path: LakePath, size: int) -> None:
    """Raise unless this host sees the file, which may have been written on another."""
    try:
        found = store_of(path).stat(path).size
        if found == size:
            return
        reason = f"it has {found} bytes, not {size}"
    except OSError as error:
        reason = str(error.strerror)
    raise LakeError(f"{path} was written, but it is not here ({reason}). The lake is as before: run it again")


def remove_generation(root: LakePath, name: str) -> None:
    """Remove a generation."""
    store_of(root).remove_tree(root / CATALOG / name)
