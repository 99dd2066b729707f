"""Holding a lake for writing: what an interrupted writer left is mended, and what nobody reads any more removed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mica_lake.catalog.commit import remove_generation, roll_back
from mica_lake.catalog.generation import (
    EMPTY,
    current_generation,
    each,
    names_in_use,
    pointer,
    read_table,
    write_generation,
)
from mica_lake.catalog.partition import (
    read_partition,
)
from mica_lake.catalog.reindex import reindex
from mica_lake.catalog.root import create
from mica_lake.errors import LakeError
from mica_lake.store.lock import writer_lock
from mica_lake.store.s3 import LakePath, S3Path
from mica_lake.tables.catalog import PARTITION, SOURCE_FILE

GRACE_SECONDS = 3600.0


@contextmanager
def writing(root: LakePath, dry_run: bool = False) -> Iterator[None]:
    """
    Hold a lake for writing: made if there is none, locked, and mended if a writer was interrupted.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    dry_run : bool
        Whether to do none of this.

    Raises
    ------
    LakeError
        If it is locked, damaged, or the path is something else.
    """
    if dry_run:
        yield
        return
    create(root)
    with writer_lock(root / "_catalog"):
        mend(root)
        yield


def mend(root: LakePath) -> None:
    """
    Clean up after an interrupted writer, and remove what nobody reads any more.

    Parameters
    ----------
    root : Path or S3Path
        The lake, whose writer's lock is held; a lake that was just made gets a catalog without partitions.

    Raises
    ------
    LakeError
        If its catalog is damaged.
    """
    if pointer(root) is None:
        # Partitions without a catalog are a lake whose catalog was lost, which `create` refuses.
        create(root)
        write_generation(root, EMPTY, PARTITION.empty_table(), SOURCE_FILE.empty_table(), None)
    if (root / "_catalog" / "interrupted").exists() and roll_back(root) is None:
        if isinstance(root, Path):
            for unfinished in root.glob("*/**/.data.parquet.new*"):
                unfinished.unlink()
        reindex(root, thorough=False)
    collect_garbage(root)


def collect_garbage(root: LakePath) -> None:
    """
    Remove the versions that no query can be reading any more.

    Parameters
    ----------
    root : Path or S3Path
        The lake, whose writer's lock is held.
    """
    catalog = root / "_catalog"
    current = current_generation(root)
    # First, so that nothing is removed if it cannot be read.
    used = set(read_table(root, "partition").column("path").to_pylist())
    names = sorted(names_in_use(root))
    born = {name: _born(catalog / name) for name in names}
    stays = [
        name
        for name, successor in zip(names, [*names[1:], None], strict=True)
        if name == current
        or (successor is not None and successor <= (current or "") and born[successor] > time.time() - GRACE_SECONDS)
    ]
    for name in [name for name in stays if name != current]:
        try:
            used.update(read_partition(catalog / name / "partition.parquet", ["path"]).column("path").to_pylist())
        except (OSError, LakeError):  # damaged, so nobody can be reading it
            stays.remove(name)
    for name in set(names) - set(stays):
        remove_generation(root, name)
    if isinstance(root, Path):
        of_catalog = (path for name in ("current", "interrupted") for path in catalog.glob(f".{name}.*"))
        for unfinished in (*root.glob(".mica_lake.sql.*"), *of_catalog):
            unfinished.unlink()
    pinned = (path for path in (catalog / "pinned").rglob("*") if isinstance(path, S3Path) or path.is_file())
    # A worker of an ingest that was abandoned may still be writing one.
    each(
        root,
        lambda path: path.unlink(missing_ok=True),
        (path for path in pinned if path.relative_to(root).as_posix() not in used),
    )


def _born(generation: LakePath) -> float:
    """When a generation was written; now, if it is on an object store and incomplete."""
    if isinstance(generation, Path):
        return generation.stat().st_mtime
    try:
        # By the store's clock, which all writers share.
        return time.time() - (generation / "partition.parquet").stat().age
    except FileNotFoundError:
        return time.time()
