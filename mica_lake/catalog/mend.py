"""Holding a lake for writing: mending what an interrupted writer left, removing what nobody reads any more."""

from collections.abc import Iterator
from contextlib import contextmanager

from mica_lake.catalog.commit import remove_generation, roll_back
from mica_lake.catalog.generation import read_table, write_generation
from mica_lake.catalog.names import CATALOG, CHECKSUMS, CURRENT, DATA, INTERRUPTED, LOCK, PARTITION_FILE, PINNED, SCRIPT
from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.pointer import EMPTY, current_generation, names_in_use, pointer
from mica_lake.catalog.reindex import reindex
from mica_lake.catalog.root import create
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES
from mica_lake.tables.catalog import PARTITION, SOURCE_FILE

GRACE_SECONDS = 3600.0


@contextmanager
def writing(root: LakePath, dry_run: bool = False) -> Iterator[None]:
    """
    Hold a lake for writing: made if there is none, locked, and mended if a writer was interrupted.

    With `dry_run` nothing of this is done. A LakeError if it is locked, damaged, or the path is something else.
    """
    if dry_run:
        yield
        return
    create(root)
    with store_of(root).lock(root / LOCK):
        mend(root)
        yield


def mend(root: LakePath) -> None:
    """
    Clean up after an interrupted writer, and remove what nobody reads any more; the writer's lock is held.

    A lake that was just made gets a catalog without partitions. A LakeError if the catalog is damaged.
    """
    store = store_of(root)
    if pointer(root) is None:
        # Partitions without a catalog are a lake whose catalog was lost, which `create` refuses.
        create(root)
        remove_generation(root, EMPTY)
        write_generation(root, EMPTY, PARTITION.empty_table(), SOURCE_FILE.empty_table(), None)
    if (root / INTERRUPTED).exists() and roll_back(root) is None:
        for table in TABLES:
            store.remove(store.files(root / table, f".{DATA}.*"))
        reindex(root, thorough=False)
    collect_garbage(root)


def collect_garbage(root: LakePath) -> None:
    """Remove the versions that no query can be reading any more; the writer's lock is held."""
    store, catalog = store_of(root), root / CATALOG
    current = current_generation(root)
    # First, so that nothing is removed if it cannot be read.
    used = set(read_table(root, "partition").column("path").to_pylist())
    names = sorted(names_in_use(root))
    now = store.now(root / CURRENT)
    age = dict(zip(names, store.each(lambda name: now - _born(catalog / name, now), names), strict=True))
    stays = [
        name
        for name, successor in zip(names, [*names[1:], None], strict=True)
        if name == current
        or (successor is not None and successor <= (current or "") and age[successor] < GRACE_SECONDS)
    ]
    for name in [name for name in stays if name != current]:
        try:
            used.update(read_partition(catalog / name / PARTITION_FILE, ["path"]).column("path").to_pylist())
        except (OSError, LakeError):  # damaged, so nobody can be reading it
            stays.remove(name)
    for name in set(names) - set(stays):
        remove_generation(root, name)
    for path in (SCRIPT, CURRENT, INTERRUPTED):
        store.remove_unfinished(root / path)
    # A worker of an ingest that was abandoned may still be writing one.
    store.remove(path for path in store.files(root / PINNED) if path.relative_to(root).as_posix() not in used)


def _born(generation: LakePath, now: float) -> float:
    """When a generation was written; now, if it is incomplete."""
    try:
        return store_of(generation).stat(generation / CHECKSUMS).mtime
    except FileNotFoundError:
        return now
