"""
The catalog: a derived index of the lake's partitions and source files, and what makes a commit atomic.

    <lake>/aca_l0/year=2015/doy=181/slot=3/data.parquet    the partition, for everyone
    <lake>/_catalog/pinned/aca_l0/2015/2015181_3_<checksum>.parquet   the same file (a hard link), for queries
    <lake>/_catalog/00000012/partition.parquet, …          a generation: see `mica_lake.generation`
    <lake>/_catalog/current                                which generation is current
    <lake>/_catalog/interrupted                            while partitions are replaced: their versions before

Query engines open a file more than once while they read it, so one that is replaced meanwhile would give a mixture of
old and new. Queries therefore read the pinned files of one generation, which never change. Pinned files that were
replaced stay for an hour after the commit that replaced them.

A commit that was interrupted is rolled back by the next writer: each ``data.parquet`` becomes again the version that
``interrupted`` records. A partition is only replaced if its rows were known: one that the catalog does not list, or
that is not the version that it lists, is never overwritten.

On an object store (``s3://bucket/prefix``) the names are the same. There the pinned version is uploaded, and
``data.parquet`` is a copy that the store makes of it: one PUT without a body, which replaces the partition.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mica_lake.errors import LakeError
from mica_lake.generation import (
    EMPTY,
    Pointer,
    State,
    current_generation,
    each,
    names_in_use,
    newest_whole,
    next_name,
    pointer,
    read_table,
    state,
    write_generation,
)
from mica_lake.lock import still_held, writer_lock
from mica_lake.partition_check import damage
from mica_lake.partition_file import (
    Source,
    checksum,
    encode,
    read_definition,
    read_derived_from,
    read_partition,
    read_sources,
    readable,
    write,
)
from mica_lake.s3 import SCHEME, LakePath, S3Path, s3_path
from mica_lake.tables import PARTITION, SOURCE_FILE, TABLES, Table

__all__ = ["State", "current_generation", "read_table", "state"]

EPOCH = date(1998, 1, 1)
GRACE_SECONDS = 3600.0
_PINNED = re.compile(r"_catalog/pinned/(\w+)/\d{4}/(\d{4})(\d{3})(?:_(\d))?_[0-9a-f]{16}\.parquet", re.ASCII)


@dataclass(frozen=True, order=True)
class Key:
    """
    Which partition: a day, and the slot if the table has slots.

    Attributes
    ----------
    day : datetime.date
        The UTC day; the first of the year for a table by year, 1998-01-01 for one that is not partitioned.
    slot : int or None
        The slot.
    """

    day: date
    slot: int | None = None

    @staticmethod
    def of_year(year: int) -> "Key":
        """Key of a partition of a table by year."""
        return Key(date(year, 1, 1))

    def path(self, table: Table) -> str:
        """Path of the partition's file, relative to the lake."""
        values = {"year": self.day.year, "doy": self.day.timetuple().tm_yday, "slot": self.slot}
        return "/".join([table.name, *(f"{key}={values[key]}" for key in table.keys), "data.parquet"])

    def pinned(self, table: Table, digest: str) -> str:
        """Path of one version of the partition's file, relative to the lake."""
        slot = "" if self.slot is None else f"_{self.slot}"
        return f"_catalog/pinned/{table.name}/{self.day:%Y}/{self.day:%Y%j}{slot}_{digest[:16]}.parquet"

    @property
    def day_number(self) -> int:
        """Days since 1998-01-01."""
        return (self.day - EPOCH).days


def existing(root: str | os.PathLike[str]) -> LakePath:
    """
    Directory of an existing lake.

    Parameters
    ----------
    root : path
        The directory.

    Returns
    -------
    Path
        Its absolute path.

    Raises
    ------
    LakeError
        If there is no lake, or it has no catalog; the message says what to do.
    """
    path = absolute(root)
    if current_generation(path) is None:
        if holds(path):
            raise LakeError(f"{path} has no catalog: 'mica-lake reindex --lake {path}' derives it")
        inside = path / "data" / "mica_lake"
        if (path / "data" / "mica" / "archive").is_dir() or current_generation(inside) is not None:
            what = f"{path} is a $SKA root, no mica lake"
            if current_generation(inside) is not None:
                raise LakeError(f"{what}: name {inside}, or set SKA and neither MICA_LAKE nor --lake")
            raise LakeError(f"{what}: 'mica-lake ingest all --from {path} --lake {inside}' makes one")
        raise LakeError(
            f"{path} is no mica lake{'' if path.exists() else ', it is not there'}: 'mica-lake ingest aca_l0 "
            f"--from FILES --lake {path}' makes one, or name another with MICA_LAKE or --lake"
        )
    return path


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
    if (root / "_catalog" / "interrupted").exists() and _roll_back(root) is None:
        if isinstance(root, Path):
            for unfinished in root.glob("*/**/.data.parquet.new*"):
                unfinished.unlink()
        reindex(root, thorough=False)
    collect_garbage(root)


def _roll_back(root: LakePath) -> dict[str, str | None] | None:
    """
    Return each partition to its version before a commit that was interrupted.

    Gives the path of each partition of the commit -> its version before, or None if it had none; None if the record of
    the commit is lost.
    """
    marker = root / "_catalog" / "interrupted"
    begun = _begun(marker)
    if begun is None:
        return None
    generation, before = begun
    held = _generation_that_holds(root)
    # That commit was done; and others after it, where a copy of the lake kept the record of one that was under way.
    if held is not None and held.generation >= generation:
        before = {}

    def restore(path: str) -> None:
        version = before[path]
        if version is None:
            (root / path).unlink(missing_ok=True)
        else:
            # If the old version is lost or damaged, too, it cannot be restored; the partition is then left to reindex.
            _restore(root, path, version)

    if before:
        each(root, restore, before)
        # If the pointer were lost, an intact generation would be taken for the current one.
        _remove_generation(root, generation)
    if isinstance(root, Path):
        for unfinished in (one for path in before for one in (root / path).parent.glob(".data.parquet.new*")):
            unfinished.unlink()
    marker.unlink(missing_ok=True)
    return before


def _generation_that_holds(root: LakePath) -> Pointer | None:
    """The current generation; if `_catalog/current` does not say which that is, the newest that is intact."""
    with suppress(LakeError):
        if (found := pointer(root)) is not None:
            return found
    return newest_whole(root)


def _restore(root: LakePath, path: str, version: str) -> None:
    """Return a partition to an older version, if that is intact."""
    table, data, pinned = TABLES[path.split("/")[0]], root / path, root / version
    if not pinned.exists() or (data.exists() and data.samefile(pinned)):
        return
    if version == key_of(table, path).pinned(table, checksum(pinned.read_bytes())):
        _publish(root, pinned, data)


def _begun(marker: LakePath) -> tuple[str, dict[str, str | None]] | None:
    """The generation that an interrupted commit was writing, and the version of each partition before it."""
    try:
        digest, text = marker.read_bytes().split(b"\n", 1)
        if hashlib.sha256(text).hexdigest().encode() != digest:
            return None
        found = json.loads(text)
        return found["generation"], found["before"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _begin(root: LakePath, generation: str, before: Mapping[str, str | None]) -> None:
    text = json.dumps({"generation": generation, "before": before}).encode()
    write(root / "_catalog" / "interrupted", hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def absolute(root: str | os.PathLike[str]) -> LakePath:
    """
    A lake's directory, in the form that queries use.

    Parameters
    ----------
    root : path
        The directory, perhaps relative or with ``~``; or ``s3://bucket/prefix``.

    Returns
    -------
    Path or S3Path
        Its absolute path, with links left as the user wrote them.

    Raises
    ------
    LakeError
        If DuckDB would take it for a pattern.
    ValueError
        If it names no bucket.
    """
    if os.fspath(root).startswith(SCHEME):
        there = s3_path(os.fspath(root))
        _no_pattern(str(there))
        return there
    path = os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111 - links in it are the user's
    _no_pattern(path)
    return Path(path)


def _no_pattern(path: str) -> None:
    if set(path) & set("*?[\n"):
        raise LakeError(f"{path!r}: DuckDB would take *, ? and [ for a pattern, and a line break for the end of a path")


def pin(
    root: LakePath, table: Table, key: Key, rows: pa.Table, sources: Sequence[Source], derived_from: str | None = None
) -> dict[str, Any]:
    """
    Write a version of a partition, which nothing reads until it is committed.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    table : Table
        The table.
    key : Key
        Which partition.
    rows : pyarrow.Table
        All its rows.
    sources : sequence of Source
        Where they come from.
    derived_from : str, optional
        What the rows are derived from, for a table made from another.

    Returns
    -------
    dict
        Its row in the catalog's ``partition``.
    """
    content = encode(table, rows, sources, derived_from)
    path = key.pinned(table, checksum(content))
    _pin(root / path, content)
    times = pc.min_max(rows.column(table.time))
    return _partition_row(
        table, key, path, len(rows), len(content), times["min"].as_py(), times["max"].as_py(), len(sources),
        derived_from, table.definition,
    )  # fmt: skip


def _pin(version: LakePath, content: bytes) -> None:
    # A version of this name that is already there is the same one, unless it is damaged.
    if isinstance(version, S3Path):
        good = version.put_new(content)
    else:
        good = version.exists() and version.read_bytes() == content
    if not good:
        write(version, content)


def _partition_row(
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


def _publish(root: LakePath, source: LakePath, target: LakePath) -> None:
    """Replace `target` by the file `source`, atomically; by a copy if the file system has no hard links."""
    if isinstance(target, S3Path):
        target.copy_from(source)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        write(beside, source.read_bytes())
    beside.replace(target)


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
    """
    The catalog's list of partitions after a commit.

    Parameters
    ----------
    partition : pyarrow.Table
        The list so far.
    written : mapping of (table name, Key) to dict or None
        The changes, as `commit` takes them.

    Returns
    -------
    pyarrow.Table
        The list, sorted by table, slot and day.
    """
    if not written:
        return partition
    kept = partition.filter(pc.invert(_are(partition, written)))
    rows = [dict(row) for row in written.values() if row is not None]
    changed = pa.concat_tables([kept, pa.Table.from_pylist(rows, schema=PARTITION)])
    order = [("table_name", "ascending"), ("slot", "ascending"), ("day_number", "ascending")]
    return changed.sort_by(order)


def commit(root: LakePath, written: Mapping[tuple[str, Key], Mapping[str, Any] | None], source_file: pa.Table) -> None:
    """
    Make new versions of partitions, and what is now known of the source files, the state of the lake.

    All versions are on the disk before this is called; what remains is to link them and to write the catalog. If it is
    killed, at any moment, queries answer as before the commit or as after it, and the next writer rolls it back or
    finishes it.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    written : mapping of (table name, Key) to dict
        The new versions, from `pin`; None for a partition that no longer has rows.
    source_file : pyarrow.Table
        Everything that is now known of source files.

    Raises
    ------
    LakeError
        If a new version is not on the disk, or a partition to be replaced is not what the catalog lists; then nothing
        is changed.
    """
    etag = _as_owner(root)
    new = [row for row in written.values() if row is not None]
    each(root, lambda row: _check_there(root / row["path"], row["bytes"]), new)
    partition = read_table(root, "partition")
    name = next_name(root)
    if written:
        replaced = partition.filter(_are(partition, written))
        before = {key.path(TABLES[of]): None for of, key in written} | {
            path_of(row): row["path"]
            for row in replaced.select(["table_name", "day_number", "slot", "path"]).to_pylist()
        }
        each(root, lambda path: _check_known(root, path, before[path]), before)
        _begin(root, name, before)
        each(root, lambda change: _publish_change(root, *change), written.items())
    write_generation(root, name, with_changes(partition, written), source_file, etag)
    if written:
        (root / "_catalog" / "interrupted").unlink(missing_ok=True)


def _publish_change(root: LakePath, of: tuple[str, Key], row: Mapping[str, Any] | None) -> None:
    name, key = of
    path = root / key.path(TABLES[name])
    if row is not None:
        _publish(root, root / row["path"], path)
    else:
        path.unlink(missing_ok=True)


def _check_known(root: LakePath, path: str, version: str | None) -> None:
    """Raise if a partition that is to be replaced is intact, but not the version that the catalog lists."""
    data = root / path
    if not data.exists():
        return
    with suppress(FileNotFoundError):
        if version is not None and data.samefile(root / version):
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


def _as_owner(root: LakePath) -> str | None:
    """Etag of the catalog's pointer on an object store, read while the lock is ours; None if there is none."""
    current = root / "_catalog" / "current"
    etag = None
    if isinstance(current, S3Path):
        with suppress(FileNotFoundError):
            etag = current.stat().etag
    still_held(root / "_catalog")
    return etag


def _check_there(path: LakePath, size: int) -> None:
    """Raise unless this host sees the file, which may have been written on another."""
    try:
        if path.stat().st_size == size:
            return
        reason = f"it has {path.stat().st_size} bytes, not {size}"
    except OSError as error:
        reason = str(error.strerror)
    raise LakeError(f"{path} was written, but it is not here ({reason}). The lake is as before: run it again")


def create(root: LakePath) -> None:
    """
    Make a lake without rows; an existing one is left as it is.

    Parameters
    ----------
    root : Path or S3Path
        Its directory, which is created if it is missing.

    Raises
    ------
    LakeError
        If the directory holds other things, or a lake whose catalog is lost or damaged.
    """
    if pointer(root) is not None:
        return
    if root.exists() and not root.is_dir():
        raise LakeError(f"{root} is a file, a lake is a directory")
    ours = {"_catalog", "mica_lake.sql", *TABLES}
    if root.exists() and not all(e.name in ours or e.name.startswith(".mica_lake.sql.") for e in root.iterdir()):
        raise LakeError(f"{root} is no mica lake and is not empty: name a new directory")
    if holds(root):
        raise LakeError(
            f"{root} has tables but no catalog. Nothing was changed: 'mica-lake reindex --lake {root}' derives the "
            "catalog, then run this again"
        )
    (root / "_catalog").mkdir(parents=True, exist_ok=True)


def holds(root: LakePath) -> bool:
    """
    Whether a folder has partitions or a catalog that lists some, so that a new lake cannot be made there.

    Parameters
    ----------
    root : Path or S3Path
        The folder.

    Returns
    -------
    bool
        Whether anything of a lake is there.
    """
    return (
        (root.is_dir() and any(entry.name in TABLES for entry in root.iterdir()))
        or bool(set(names_in_use(root)) - {EMPTY})
        or (root / "_catalog" / "pinned").is_dir()
    )


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
        _remove_generation(root, name)
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


def _remove_generation(root: LakePath, name: str) -> None:
    given_up = root / "_catalog" / name
    if isinstance(given_up, S3Path):
        each(root, S3Path.unlink, given_up.rglob("*"))
    elif given_up.exists():
        shutil.rmtree(given_up)


def _born(generation: LakePath) -> float:
    """When a generation was written; now, if it is on an object store and incomplete."""
    if isinstance(generation, Path):
        return generation.stat().st_mtime
    try:
        # By the store's clock, which all writers share.
        return time.time() - (generation / "partition.parquet").stat().age
    except FileNotFoundError:
        return time.time()


def reindex(root: LakePath, *, thorough: bool = True) -> list[str]:
    """
    Derive the catalog again from the partitions themselves.

    A partition whose file is damaged or lost is restored from its pinned version, if that is good. What only ingest
    knows (which files are superseded or set aside, where files were seen) is kept from the old catalog, as far as that
    can be read; the next ingest finds the rest again.

    Parameters
    ----------
    root : Path or S3Path
        The lake, whose writer's lock is held.
    thorough : bool
        Whether to read the rows of each partition, too, and compare their checksum. Otherwise that is done only if its
        pinned version, whose name contains the file's checksum, is not there.

    Returns
    -------
    list of str
        What was wrong: a line for each damaged partition, which the new catalog leaves out; for each that was restored;
        and for each source file whose rows are not all in the lake. Ingesting the source files again mends them all.
    """
    trouble: list[str] = []
    partitions: list[dict[str, Any]] = []
    found: dict[tuple[str, str], list[Source]] = {}
    marker = root / "_catalog" / "interrupted"
    undone = _roll_back(root) if marker.exists() else {}
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
    etag = _as_owner(root)
    write_generation(
        root,
        next_name(root),
        pa.Table.from_pylist(partitions, schema=PARTITION),
        pa.Table.from_pylist(source_rows, schema=SOURCE_FILE),
        etag,
    )
    marker.unlink(missing_ok=True)
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
    for path in (root / "_catalog" / "pinned").rglob("*.parquet"):
        version = path.relative_to(root).as_posix()
        match = _PINNED.fullmatch(version)
        if match is None or match[1] not in TABLES:
            continue
        with suppress(ValueError):
            day = date(int(match[2]), 1, 1) + timedelta(days=int(match[3]) - 1)
            partition = Key(day, int(match[4]) if match[4] else None).path(TABLES[match[1]])
            found[partition] = max(found.get(partition, (0, "")), (path.stat().st_mtime_ns, version))
    return {partition: version for partition, (_, version) in found.items()}


def rebuild(root: LakePath) -> list[str]:
    """
    Take the writer's lock, and derive the catalog again.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    list of str
        As for `reindex`.

    Raises
    ------
    LakeError
        If there is no lake, or it is locked.
    """
    if not (holds(root) or (root / "_catalog" / "current").exists()):
        raise LakeError(f"{root} is no mica lake: it has neither tables nor a catalog")
    (root / "_catalog").mkdir(exist_ok=True)
    with writer_lock(root / "_catalog"):
        return reindex(root)


def partition_paths(root: LakePath, table: Table) -> list[str]:
    """
    The files of a table's partitions that are on the disk.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    table : Table
        The table.

    Returns
    -------
    list of str
        Their paths, relative to the lake; including those whose folder is not named after a valid date or slot.
    """
    pattern = "/".join([*(f"{key}=*" for key in table.keys), "data.parquet"])
    return [path.relative_to(root).as_posix() for path in (root / table.name).glob(pattern)]


def key_of(table: Table, path: str) -> Key:
    """
    Which partition a file is.

    Parameters
    ----------
    table : Table
        The table.
    path : str
        Its path, relative to the lake.

    Returns
    -------
    Key
        Which partition.

    Raises
    ------
    ValueError
        If no partition has this path.

    Examples
    --------
    >>> key_of(TABLES["hdr3"], "hdr3/year=2015/doy=181/data.parquet")
    Key(day=datetime.date(2015, 6, 30), slot=None)
    """
    values = dict(part.split("=") for part in path.split("/")[1:-1])
    year = int(values.get("year", EPOCH.year))
    day = date(year, 1, 1) + timedelta(days=int(values.get("doy", 1)) - 1)
    key = Key(day, int(values["slot"]) if "slot" in values else None)
    if key.path(table) != path:
        raise ValueError(f"no partition of {table.name} has this path")
    return key


def path_of(row: Mapping[str, Any]) -> str:
    """
    Path of the partition that a row of the catalog describes.

    Parameters
    ----------
    row : mapping
        A row of ``partition``.

    Returns
    -------
    str
        Its path, relative to the lake.
    """
    return Key(EPOCH + timedelta(days=row["day_number"]), row["slot"]).path(TABLES[row["table_name"]])


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
            there = (root / path).exists()
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
            _publish(root, root / version, root / path)
            content = pinned
            reason = f"{path} {'is damaged' if there else 'is lost'}: {reason}; its pinned version took its place"
        row, sources = describe(table, key, content)
        if not ((root / row["path"]).exists() and is_copy(root / row["path"], root / path, content)):
            _publish(root, root / path, root / row["path"])
    except (LakeError, OSError, ValueError) as error:
        return None, [], f"{path} is damaged: {error}"
    return row, sources, reason


def _undone(root: LakePath, table: Table, key: Key, path: str, version: str | None) -> bool:
    """Return a partition to its state before an unfinished commit; whether it existed then."""
    data = root / path
    if version is not None:
        _restore(root, path, version)
        return True
    if (root / key.pinned(table, checksum(data.read_bytes()))).exists():
        data.unlink()
        return False
    return True


def is_copy(path: LakePath, other: LakePath, content: bytes) -> bool:
    """
    Whether a partition and its pinned version are the same.

    Parameters
    ----------
    path, other : Path or S3Path
        The two files.
    content : bytes
        The content of `other`, which has been read already.

    Returns
    -------
    bool
        Whether `path` is a link to `other`, or has the same content.

    Raises
    ------
    FileNotFoundError
        If one of them is not there.
    """
    return path.samefile(other) or path.read_bytes() == content


def _content(root: LakePath, table: Table, key: Key, path: LakePath, thorough: bool) -> tuple[bytes, str]:
    """Content of a file, and what is wrong with it; a pinned version must match the checksum in its name."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return b"", f"it cannot be read: {error.strerror}"
    version = root / key.pinned(table, checksum(content))
    if path.is_relative_to(root / "_catalog") and path != version:
        return b"", "its bytes are not those that were written"
    return content, damage(content, table, key) if thorough or not version.exists() else ""


def describe(table: Table, key: Key, content: bytes) -> tuple[dict[str, Any], list[Source]]:
    """
    What the catalog should say about a partition.

    Parameters
    ----------
    table : Table
        The table.
    key : Key
        Which partition.
    content : bytes
        Content of its file.

    Returns
    -------
    dict
        Its row in ``partition``.
    list of Source
        Its sources.

    Raises
    ------
    LakeError
        If it is not a partition of this table.
    """
    sources, footer = read_sources(content, table)
    tstart, tstop = _covered(content, table, footer)
    pinned = key.pinned(table, checksum(content))
    row = _partition_row(
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
    """
    The row of a source file in the catalog's ``source_file``.

    Parameters
    ----------
    product : str
        The table that it feeds.
    source : Source
        The file.
    status : str
        Its status.
    reason : str, optional
        Why it has this status.

    Returns
    -------
    dict
        The row, without where the file was seen, which is not known here.
    """
    row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
    row |= {"product": product, "status": status, "reason": reason, "rows": source.file_rows}
    return row | {name: value for name, value in vars(source).items() if name in row and name != "rows"}
