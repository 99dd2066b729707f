"""Checks a lake against its own record: each partition, the catalog, and what else is on the disk."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mica_lake.catalog.check import damage
from mica_lake.catalog.findings import Finding, Verified
from mica_lake.catalog.generation import problems, read_table
from mica_lake.catalog.key import Key, key_of, path_of
from mica_lake.catalog.mending import ingesting, reindexing, removing
from mica_lake.catalog.names import CATALOG, CURRENT, INTERRUPTED, LOCK, SCRIPT, VERIFIED
from mica_lake.catalog.partition import checksum, has_page_checksums, readable
from mica_lake.catalog.pointer import OtherFormatError, current_generation
from mica_lake.catalog.reindex import partition_paths
from mica_lake.catalog.root import existing, holds
from mica_lake.catalog.script import script
from mica_lake.catalog.version import describe, is_copy
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES
from mica_lake.tables.table import Table

# How often to go on with what was committed meanwhile.
_ROUNDS = 5
_Row = dict[str, Any]
# As of the view `file_to_look_at`.
_TO_LOOK_AT = ["set aside", "refused", "wanted", "incomplete"]


def chosen(name: str, sample: float, begin: float = 0.0) -> bool:
    """
    Whether a partition or file belongs to a sample: a fraction of all, above 0 and up to 1, that begins at `begin`.

    Each name has a fixed place from 0 to 1, so samples that each begin where the one before ended go through all names.
    A ValueError if `sample` is not such a fraction.

    Examples
    --------
    >>> sum(chosen(f"{n}.fits", 0.1) for n in range(1000))
    96
    """
    if not 0 < sample <= 1:
        raise ValueError(f"sample {sample} is not a fraction: give a number above 0, up to 1")
    return (zlib.crc32(name.encode()) / 2**32 - begin) % 1.0 < sample


def sampled_until(root: LakePath) -> float:
    """Where the last sample of a lake ended, and the next one begins, from 0 to 1; 0 if that is not known."""
    try:
        place = float((root / VERIFIED).read_text())
    except (OSError, ValueError):
        return 0.0
    return place if 0 <= place < 1 else 0.0


def remember(root: LakePath, place: float) -> None:
    """Record where a sample ended, for `sampled_until`; beyond 1 it starts again from 0."""
    store_of(root).put(root / VERIFIED, repr(place % 1.0).encode())


@dataclass(frozen=True)
class _State:
    """What one generation of the catalog says."""

    generation: str
    partition: dict[str, _Row]
    source_file: pa.Table


def read_state(root: LakePath) -> _State:
    """Partitions and source files of one generation; a LakeError if the catalog is missing or damaged."""
    generation = None
    for _ in range(_ROUNDS):
        generation = current_generation(root)
        if generation is None:
            break
        partition, source_file = (read_table(root, name) for name in ("partition", "source_file"))
        if current_generation(root) == generation:
            break
    if generation is None:
        raise LakeError("it is not there")
    return _State(generation, {path_of(row): row for row in partition.to_pylist()}, source_file)


@dataclass(frozen=True)
class _Looked:
    """The result of checking one partition."""

    content: str = ""  # what is wrong with its rows
    record: str = ""  # what is wrong with what the catalog says about it
    link: str = ""  # how its file differs from the version that queries read
    rows: int = 0
    columns: str = ""
    sources: tuple[tuple[str, str, int, int], ...] = ()  # name, checksum, rows of the file, rows of this day
    guarded: bool = True  # whether its pages have checksums


def _look(root: LakePath, row: _Row) -> _Looked:
    """Check a partition."""
    table, path = TABLES[row["table_name"]], path_of(row)
    key, data, pinned = key_of(table, path), root / path, root / row["path"]
    try:
        content = pinned.read_bytes()
    except OSError as error:
        reason = f"its pinned version cannot be read: {error.strerror}"
        if not data.exists():
            return _Looked(content=f"neither its file nor its pinned version {row['path']} is there")
        rotten = _damage(data, table, key)
        return _Looked(content=f"{reason}, and its file: {rotten}") if rotten else _Looked(record=reason)
    if key.pinned(table, checksum(content)) != row["path"]:
        reason = f"the bytes of {row['path']} are not those that were written"
        apart = data.exists() and not store_of(root).same(data, pinned)
        return _Looked(record=reason) if apart and not _damage(data, table, key) else _Looked(content=reason)
    if reason := damage(content, table, key):
        return _Looked(content=reason)
    found, sources = describe(table, key, content)
    wrong = [f"{name} is {row[name]!r}, not {value!r}" for name, value in found.items() if row[name] != value]
    record = f"the catalog is wrong about it: {', '.join(wrong)}" if wrong else ""
    link = ""
    try:
        if not is_copy(data, pinned, content):
            link = "it is not the version that queries read"
    except FileNotFoundError:
        link = "it is not there; its pinned version is"
    footer = pq.read_metadata(readable(content))
    columns = str(footer.schema.to_arrow_schema().remove_metadata()) if table.wide else ""
    listed = tuple((s.filename, s.checksum, s.file_rows, s.day_rows) for s in sources)
    return _Looked("", record, link, row["rows"], columns, listed, has_page_checksums(footer))


def _damage(path: LakePath, table: Table, key: Key) -> str:
    """What is wrong with a partition's file."""
    try:
        return damage(path.read_bytes(), table, key)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def verify(
    root: LakePath,
    *,
    sample: float = 1.0,
    begin: float = 0.0,
    pool: Callable[[int], Executor],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verified:
    """
    Check each partition of a lake: whether it agrees with the catalog and with what is on the disk.

    Nothing is changed and no lock is taken. It checks one state of the lake; if something was committed meanwhile, it
    checks that, too, before calling anything wrong. `sample` and `begin` are those of `chosen`, `pool` gives an
    executor for a number of partitions, and `progress` is called with the number of partitions checked so far
    and of all. A LakeError if there is no lake.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from pathlib import Path
    >>> with ThreadPoolExecutor() as threads:
    ...     verified = verify(existing(demo_lake().root), pool=lambda tasks: threads)
    >>> verified.findings, verified.counts["aca_l0"]
    ([], [8, 19316])
    """
    chosen("", sample)
    verified = Verified()
    if not (root / CURRENT).exists() and not holds(root):
        existing(root)
    looked: dict[str, _Looked] = {}
    try:
        for _ in range(_ROUNDS):
            state = read_state(root)
            wanted = {row["path"]: row for path, row in state.partition.items() if chosen(path, sample, begin)}
            todo = [row for path, row in wanted.items() if path not in looked]
            done = len(wanted) - len(todo)
            for row, one in zip(todo, pool(len(todo)).map(partial(_look, root), todo, chunksize=8), strict=True):
                looked[row["path"]] = one
                done += 1
                progress(done, len(wanted))
            if current_generation(root) == state.generation:
                break
        on_disk = [path for table in TABLES.values() for path in partition_paths(root, table)]
        latest = read_state(root)
    except OtherFormatError:
        raise
    except LakeError as error:
        verified.findings.append(Finding(CATALOG, CATALOG, str(error), reindexing(root)))
        return verified
    committing = (root / INTERRUPTED).exists()
    for name in TABLES:
        ours = [row for row in wanted.values() if row["table_name"] == name]
        if ours:
            verified.counts[name] = [len(ours), sum(looked[row["path"]].rows for row in ours)]
    status = latest.source_file.column("status")
    verified.set_aside = pc.sum(pc.is_in(status, pa.array(_TO_LOOK_AT, pa.string()))).as_py() or 0
    verified.unguarded = sum(not looked[row["path"]].guarded for row in wanted.values())
    for row in wanted.values():
        path, one = path_of(row), looked[row["path"]]
        # What a writer has just replaced, or is replacing now, is not wrong.
        if latest.partition.get(path, {}).get("path") != row["path"]:
            continue
        table = TABLES[row["table_name"]]
        if one.content:
            mend = f"{reindexing(root)}; {ingesting(root, table, latest.source_file)}"
            verified.findings.append(Finding(table.name, path, one.content, mend))
        elif one.record or (one.link and not committing):
            verified.findings.append(Finding(table.name, path, one.record or one.link, reindexing(root)))
    if not committing:
        verified.findings += _unknown(root, on_disk, latest.partition)
    elif not store_of(root).writer_alive(root / LOCK):
        reason = "a writer died between the partitions and the catalog"
        verified.findings.append(Finding(CATALOG, INTERRUPTED, reason, reindexing(root)))
    verified.findings += _wide(root, wanted.values(), looked, latest)
    verified.findings += _beside(root)
    verified.findings += _sources(root, wanted.values() if sample == 1 else None, looked, state.source_file)
    return verified


def _unknown(root: LakePath, on_disk: Sequence[str], known: Mapping[str, _Row]) -> list[Finding]:
    """Partitions that the catalog does not list."""
    findings = []
    for path in sorted(set(on_disk) - known.keys()):
        table = TABLES[path.split("/")[0]]
        try:
            reason = _damage(root / path, table, key_of(table, path))
            what = f"the catalog does not list it, and {reason}" if reason else "the catalog does not list it"
        except ValueError as error:
            reason = what = str(error)
        mend = removing([root / path]) if reason else reindexing(root)
        findings.append(Finding(table.name, path, what, mend))
    return findings


def _wide(root: LakePath, rows: Iterable[_Row], looked: Mapping[str, _Looked], state: _State) -> list[Finding]:
    """Partitions of a wide table whose columns are not those of the others."""
    findings = []
    for table in (table for table in TABLES.values() if table.wide):
        columns: dict[str, list[str]] = {}
        for row in rows:
            if row["table_name"] == table.name and looked[row["path"]].columns:
                columns.setdefault(looked[row["path"]].columns, []).append(path_of(row))
        usual = max(columns, key=lambda names: len(columns[names]), default="")
        for names, paths in columns.items():
            if names != usual:
                mend = f"{reindexing(root)}; {ingesting(root, table, state.source_file)}"
                what = "it has other columns than the other partitions"
                findings += [Finding(table.name, path, what, mend) for path in paths]
    return findings


def _beside(root: LakePath) -> list[Finding]:
    """Other files that queries need and that are damaged."""
    wrong = problems(root)
    try:
        if (root / SCRIPT).read_bytes() != script().encode():
            wrong.append((SCRIPT, "it is not that of this mica-lake"))
    except OSError as error:
        wrong.append((SCRIPT, f"it cannot be read: {error.strerror}"))
    return [Finding(CATALOG, path, what, reindexing(root)) for path, what in wrong]


def _sources(
    root: LakePath, rows: Iterable[_Row] | None, looked: Mapping[str, _Looked], source_file: pa.Table
) -> list[Finding]:
    """Source files whose rows are not all in the lake, or on which the catalog and the partitions disagree."""
    findings = []
    for table in (table for table in TABLES.values() if table.names_sources):
        found: dict[str, list[Any]] = {}
        damaged = rows is None
        for row in rows or ():
            if row["table_name"] != table.name:
                continue
            one = looked[row["path"]]
            damaged |= not one.sources
            for name, digest, file_rows, day_rows in one.sources:
                so_far = found.setdefault(name, [digest, file_rows, 0])
                so_far[2] += day_rows
                if so_far[:2] != [digest, file_rows]:
                    so_far[2] = -1 << 62
        columns = ["product", "filename", "status", "reason", "checksum", "directory", "rows"]
        for known in source_file.select(columns).to_pylist():
            if known["product"] != table.name or known["status"] not in ("current", "incomplete", "wanted"):
                continue
            name = known["filename"]
            digest, file_rows, here = found.pop(name, ("", known["rows"], 0))
            # Which files a damaged partition has rows of is not known.
            if known["status"] == "current" and (damaged or (here == file_rows and digest == known["checksum"])):
                continue
            what = known["reason"] or f"{max(here, 0):,} of its {file_rows:,} rows are in the lake, with this content"
            folders = [known["directory"]] if known["directory"] else None
            mend = f"{reindexing(root)}; {ingesting(root, table, source_file, folders)}"
            findings.append(Finding(table.name, name, what, mend))
        findings += [
            Finding(table.name, name, "its rows are in the lake, but the catalog does not list it", reindexing(root))
            for name in sorted(found)
        ]
    return findings
