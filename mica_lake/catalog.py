"""
The catalog: a derived index of the lake's partitions and source files, and what makes a commit atomic.

    <lake>/aca_l0/year=2015/doy=181/slot=3/data.parquet    the partition, for everyone
    <lake>/_catalog/pinned/aca_l0/2015/2015181_3_<checksum>.parquet   the same file (a hard link), for queries
    <lake>/_catalog/00000012/partition.parquet, …          a generation: see `mica_lake.generation`
    <lake>/_catalog/current                                which generation holds
    <lake>/_catalog/interrupted                            while partitions are replaced: what they were before

Query engines open a file more than once while they read it, so one that is replaced meanwhile would give a mixture of
the old and the new. Queries therefore read the pinned files, which never change, of one generation. Those given up
stay until an hour after the commit that replaced them.

A commit that was interrupted is rolled back by the next writer: each ``data.parquet`` becomes again what
``interrupted`` says it was. A partition is replaced by those who have read it only: one that the catalog does not list,
or that is not the version it lists, is never overwritten.

On an object store (``s3://bucket/prefix``) the names are the same. There the pinned version is what is put, and
``data.parquet`` is the store's own copy of it: one PUT without a body, which replaces the partition.
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
    Which partition: a day, and the slot where the table has slots.

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
    Directory of a lake that is there.

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
        If there is no lake, or none with a catalog; what to do is said.
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
    Hold a lake for writing: made where there is none, locked, and mended after a writer that was interrupted.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    dry_run : bool
        Whether to leave it alone, and hold nothing.

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
    Put right what an interrupted writer left, and remove what nobody reads any more.

    Parameters
    ----------
    root : Path or S3Path
        The lake, whose writer's lock is held; one that was just made gets a catalog without partitions.

    Raises
    ------
    LakeError
        If its catalog is damaged.
    """
    if pointer(root) is None:
        # What is whole may be all that is left of a lake whose catalog was lost.
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
    Make each partition again what it was before a commit that was interrupted.

    Path of each partition of the commit -> its version before, or None; None if the record of the commit is lost.
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
            # One that is lost or damaged, too, cannot be brought back; the partition is then left to reindex.
            _restore(root, path, version)

    if before:
        each(root, restore, before)
        # Without the pointer it would be taken for the state that holds, if it is whole.
        _remove_generation(root, generation)
    if isinstance(root, Path):
        for unfinished in (one for path in before for one in (root / path).parent.glob(".data.parquet.new*")):
            unfinished.unlink()
    marker.unlink(missing_ok=True)
    return before


def _generation_that_holds(root: LakePath) -> Pointer | None:
    """The generation that holds; the newest that is whole, where `_catalog/current` does not say which."""
    with suppress(LakeError):
        if (found := pointer(root)) is not None:
            return found
    return newest_whole(root)


def _restore(root: LakePath, path: str, version: str) -> None:
    """Let a partition be the version that it was, if that is what was written."""
    table, data, pinned = TABLES[path.split("/")[0]], root / path, root / version
    if not pinned.exists() or (data.exists() and data.samefile(pinned)):
        return
    if version == key_of(table, path).pinned(table, checksum(pinned.read_bytes())):
        _publish(root, pinned, data)


def _begun(marker: LakePath) -> tuple[str, dict[str, str | None]] | None:
    """The generation that an interrupted commit was writing, and each partition's version before it."""
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
    A lake's directory, as queries name it.

    Parameters
    ----------
    root : path
        The directory, relative or with ``~``; or ``s3://bucket/prefix``.

    Returns
    -------
    Path or S3Path
        Its absolute path; links in it stay as the user wrote them.

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
    Write one version of a partition, which nothing reads until it is committed.

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
        What they are derived from, for a table made from another.

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
    # A version that is there already is this one, unless somebody damaged it.
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
    """Let `target` be the file `source`, at once; a copy where the file system has no hard links."""
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
    """Which rows of a list of partitions are those of some keys."""
    # Day and slot as one number, which Arrow finds in a list.
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
    Give the catalog's list of partitions as it is after a commit.

    Parameters
    ----------
    partition : pyarrow.Table
        The list so far.
    written : mapping of (table name, Key) to dict or None
        The changes, as `commit` takes them.

    Returns
    -------
    pyarrow.Table
        The list, by table, slot and day.
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
    Make new versions of partitions, and what is known of the source files, the state of the lake.

    All files are on the disk before this is called: what is left to do are links and a catalog. Killed at any moment it
    leaves a lake whose queries answer as before or as after; the next writer puts the partitions back.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    written : mapping of (table name, Key) to dict
        The new versions, as `pin` gave them; None for a partition that has no rows any more.
    source_file : pyarrow.Table
        All that is known of source files now.

    Raises
    ------
    LakeError
        If a new version is not on the disk, or a partition would be replaced that the catalog does not list as it is;
        nothing is changed.
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
    """Raise if a partition that is to be replaced holds rows other than those of the version that the catalog lists."""
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
    """Etag of the catalog's pointer on an object store, after which the lock was still ours; None if there is none."""
    current = root / "_catalog" / "current"
    etag = None
    if isinstance(current, S3Path):
        with suppress(FileNotFoundError):
            etag = current.stat().etag
    still_held(root / "_catalog")
    return etag


def _check_there(path: LakePath, size: int) -> None:
    """Raise unless this host sees what may have been written on another."""
    try:
        if path.stat().st_size == size:
            return
        reason = f"it has {path.stat().st_size} bytes, not {size}"
    except OSError as error:
        reason = str(error.strerror)
    raise LakeError(f"{path} was written, but it is not here ({reason}). The lake is as before: run it again")


def create(root: LakePath) -> None:
    """
    Make a lake without rows; one that exists is left as it is.

    Parameters
    ----------
    root : Path or S3Path
        Its directory; made where it is missing.

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
    Whether a folder has partitions, or a catalog of some, so that it is no place for a new lake.

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
    # First, as nothing goes while it cannot be read.
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
        except (OSError, LakeError):  # damaged, so that nobody reads it
            stays.remove(name)
    for name in set(names) - set(stays):
        _remove_generation(root, name)
    if isinstance(root, Path):
        of_catalog = (path for name in ("current", "interrupted") for path in catalog.glob(f".{name}.*"))
        for unfinished in (*root.glob(".mica_lake.sql.*"), *of_catalog):
            unfinished.unlink()
    pinned = (path for path in (catalog / "pinned").rglob("*") if isinstance(path, S3Path) or path.is_file())
    # A worker of an ingest that was given up may be at work on it yet.
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
    """When a generation was written; now, if it is one on an object store that is not whole."""
    if isinstance(generation, Path):
        return generation.stat().st_mtime
    try:
        # By the store's clock, as its hour is that of all writers.
        return time.time() - (generation / "partition.parquet").stat().age
    except FileNotFoundError:
        return time.time()


def reindex(root: LakePath, *, thorough: bool = True) -> list[str]:
    """
    Derive the catalog again from the partitions themselves.

    A partition whose file is damaged or lost comes back from its pinned version, if that is good. What only ingest
    knows (files superseded or set aside, where files were seen) is kept from the catalog that was there, as far as it
    can be read; without it, the next ingest finds it again.

    Parameters
    ----------
    root : Path or S3Path
        The lake, whose writer's lock is held.
    thorough : bool
        Whether to read the rows of each partition, too, and see that they are those that were written. Else that is
        done where its pinned version is not there: the name of that has the checksum of the file.

    Returns
    -------
    list of str
        What was wrong: a line for each damaged partition, which the catalog now leaves out, for each that was brought
        back, and for each source file that is not whole in the lake. Ingesting the source files again mends all.
    """
    trouble: list[str] = []
    partitions: list[dict[str, Any]] = []
    found: dict[tuple[str, str], list[Source]] = {}
    marker = root / "_catalog" / "interrupted"
    undone = _roll_back(root) if marker.exists() else {}
    unfinished = undone is None
    held, known_before, newest = _last_state(root)
    if held is None:
        # Of a commit that was rolled back, what it had written is not taken for what was there.
        pinned = {path: v for path, v in (_versions_left(root) | (undone or {})).items() if v is not None}
    else:
        pinned = held
    # Of a commit whose record is lost, too, nothing is taken that the state before it does not list.
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
    The versions and source files of the generation that holds, or of the newest one that is whole.

    Path of each partition -> path of its version, None if no generation can be read; rows of ``source_file``; whether
    there was none after it, whose partitions may be others.
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
    """Path of each partition -> its newest version, where no generation says which one holds."""
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
    Derive the catalog again, when nothing else is being written.

    Parameters
    ----------
    root : Path or S3Path
        The lake.

    Returns
    -------
    list of str
        As of `reindex`.

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
        Their paths, relative to the lake; also of those whose folder has no date or slot in its name.
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
    Path of the partition that a row of the catalog is of.

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

    Of a file that is lost or damaged, those of `version`, its pinned version, if it is good; then both are given. Of a
    commit that is `unfinished`, the version before it. A partition that is not there may have been given up since,
    unless `version` is of the `newest` state.
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
                        f"{path} is not there, and of the catalog only an older state could be read, which had it: "
                        f"ingest {table.ingested_as} again, which brings it back if it is lost"
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
    """Make a partition what it was before an unfinished commit; whether it was there."""
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
        One and the other.
    content : bytes
        What the other holds, as it was read.

    Returns
    -------
    bool
        Whether `path` is a link to it, or holds the same.

    Raises
    ------
    FileNotFoundError
        If one of them is not there.
    """
    return path.samefile(other) or path.read_bytes() == content


def _content(root: LakePath, table: Table, key: Key, path: LakePath, thorough: bool) -> tuple[bytes, str]:
    """Content of a file, and why it should not be a partition; a pinned version must be what its name says."""
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
    What the catalog should say of a partition.

    Parameters
    ----------
    table : Table
        The table.
    key : Key
        Which partition.
    content : bytes
        Its file's.

    Returns
    -------
    dict
        Its row in ``partition``.
    list of Source
        Its sources.

    Raises
    ------
    LakeError
        If it is no partition of this table.
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
        The row; where the file was seen is not known here.
    """
    row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
    row |= {"product": product, "status": status, "reason": reason, "rows": source.file_rows}
    return row | {name: value for name, value in vars(source).items() if name in row and name != "rows"}
