"""The source files of a product: which are new, which were seen before, which cannot be taken."""

import errno
import hashlib
import json
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.errors import BadFile
from mica_lake.formats.on_disk import check, escaped, storable, unescaped
from mica_lake.ingest.report import Report
from mica_lake.store.s3 import LakePath
from mica_lake.tables import TABLES
from mica_lake.tables.catalog import SOURCE_FILE

# How the reason begins of a file that may be readable the next time, although it does not change.
CANNOT_BE_READ = "it cannot be read: "
LARGEST_DATABASE = 1 << 32
# Of an archive's database: rows, bytes of a value, and how long it may take (s).
_MOST_ROWS, _LONGEST_VALUE, _LONGEST_QUERY = 10_000_000, 1 << 16, 120.0
# SQLite's codes of a database that is being written, or that the system does not let us read.
_BUSY = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_AUTH,
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """
    A source file that was found.

    Attributes
    ----------
    directory, filename : str
        Where it is, as of `mica_lake.formats.on_disk.escaped`.
    size, mtime_ns : int
        Its size in bytes and when it was changed.
    """

    directory: str
    filename: str
    size: int = -1
    mtime_ns: int = -1

    @property
    def path(self) -> Path:
        """Its path."""
        return Path(unescaped(self.directory), unescaped(self.filename))

    @property
    def name(self) -> str:
        """Its name with that of its folder, which says the observation or calibration and its revision."""
        return f"{Path(self.directory).name}/{self.filename}"


@dataclass(frozen=True)
class Rejected:
    """
    A source file that cannot be taken.

    Attributes
    ----------
    found : Found
        The file.
    reason : str
        Why.
    """

    found: Found
    reason: str


def rejected(found: Found, error: Exception) -> Rejected:
    """
    A file that raised an error when it was read.

    Parameters
    ----------
    found : Found
        The file.
    error : Exception
        What was raised.

    Returns
    -------
    Rejected
        The file with the reason; without its size and date if nothing of it need change until it can be read.
    """
    if isinstance(error, BadFile):
        return Rejected(found, str(error))
    if isinstance(error, OSError):
        return Rejected(Found(found.directory, found.filename), f"{CANNOT_BE_READ}{error.strerror or error}")
    reason = f"it cannot be read ({type(error).__name__}: {error})"
    return Rejected(Found(found.directory, found.filename) if isinstance(error, MemoryError) else found, reason)


@dataclass(frozen=True)
class Taken:
    """
    A source file that can be taken.

    Attributes
    ----------
    found : Found
        The file.
    checksum : str
        SHA-256 of the file as it is stored.
    facts : dict
        What `source_file` keeps of it: tstart, tstop, revision, rows, date.
    """

    found: Found
    checksum: str
    facts: dict[str, Any] = field(default_factory=dict)


def archive_folder(source: str | os.PathLike[str], name: str) -> Path:
    """
    Folder of a product in an archive.

    Parameters
    ----------
    source : path
        A ``$SKA`` root, or the folder itself.
    name : str
        What the folder is called below ``data/mica/archive``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    top = Path(os.path.abspath(source))  # noqa: PTH100 - links in it are the user's
    below = top / "data" / "mica" / "archive" / name
    if below.is_dir():
        return below
    if not top.is_dir():
        raise FileNotFoundError(f"{top}: there is no such folder")
    if (top / "data" / "mica" / "archive").is_dir():
        raise FileNotFoundError(f"{below}: there is no such folder")
    return top


def found_in(directory: str | os.PathLike[str], filename: str) -> Found:
    """
    A file with its size and date.

    Parameters
    ----------
    directory : path
        Its folder.
    filename : str
        Its name.

    Returns
    -------
    Found
        The file; without size and date if it cannot be looked at.
    """
    return looked_at(Found(escaped(directory), escaped(filename)))


def looked_at(found: Found) -> Found:
    """
    A file with its size and date.

    Parameters
    ----------
    found : Found
        The file.

    Returns
    -------
    Found
        The file; without size and date if it cannot be looked at.
    """
    try:
        stat = found.path.stat()
    except (OSError, ValueError):  # a name with a zero byte is a ValueError
        return Found(found.directory, found.filename)
    return Found(found.directory, found.filename, stat.st_size, stat.st_mtime_ns)


def place(path: str | os.PathLike[str]) -> Found:
    """
    A folder or link, without size and date, as these do not tell whether what is wrong with it was mended.

    Parameters
    ----------
    path : path
        Where it is.

    Returns
    -------
    Found
        It.
    """
    directory, filename = os.path.split(path)
    return Found(escaped(directory), escaped(filename))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """
    Whether something is a folder, or a link to one; a link to what cannot be looked at may be one.

    Parameters
    ----------
    entry : os.DirEntry
        What was found.

    Returns
    -------
    bool
        Whether it is.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno != errno.ELOOP


def entries_of(directory: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """
    What is in a folder, by name; links after what they may lead to.

    Parameters
    ----------
    directory : path
        The folder.

    Returns
    -------
    list of os.DirEntry
        Its entries, but for those whose names begin with a dot.

    Raises
    ------
    OSError
        If it cannot be looked into.
    """
    with os.scandir(directory) as found:
        return sorted(
            (entry for entry in found if not entry.name.startswith(".")), key=lambda e: (e.is_symlink(), e.name)
        )


def walk(top: Path, refused: list[Rejected]) -> Iterator[tuple[str, list[str]]]:
    """
    The folders below one, to any depth, each real one once however many links lead to it.

    Parameters
    ----------
    top : Path
        The folder.
    refused : list of Rejected
        Is appended what cannot be looked into or leads nowhere.

    Yields
    ------
    str, list of str
        A folder, and the names in it that are no folders.

    Raises
    ------
    OSError
        If `top` cannot be looked into.
    """
    seen: set[tuple[int, int]] = set()
    real_top = os.path.realpath(top)
    # What is below a link comes after all that is there without one, so that it is known by its own path.
    waiting = deque([str(top)])
    while waiting:
        stack = [waiting.popleft()]
        while stack:
            directory = stack.pop()
            try:
                stat = os.stat(directory)  # noqa: PTH116 - a str, of which there are many
                if (stat.st_dev, stat.st_ino) in seen:
                    continue
                seen.add((stat.st_dev, stat.st_ino))
                entries = entries_of(directory)
            except OSError as error:
                if directory == str(top):
                    raise
                refused.append(rejected(place(directory), error))
                continue
            names, below = [], []
            for entry in entries:
                if not is_folder(entry):
                    names.append(entry.name)
                elif not entry.is_symlink():
                    below.append(entry.path)
                elif os.path.commonpath([real_top, real := os.path.realpath(entry.path)]) == real != real_top:
                    refused.append(Rejected(place(entry.path), f"it leads to {real}, which the archive itself is in"))
                else:
                    waiting.append(entry.path)
            yield directory, names
            stack += reversed(below)


def leads_nowhere(path: str | os.PathLike[str]) -> str:
    """
    Where a link leads to that leads nowhere.

    Parameters
    ----------
    path : path
        What may be such a link.

    Returns
    -------
    str
        The reason why it cannot be taken; empty if it is no such link.
    """
    try:
        target = os.readlink(path)  # noqa: PTH115 - a str, of which there are many
    except (OSError, ValueError):
        return ""
    try:
        os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return f"it leads to {escaped(target)}, which is not there"
    except OSError as error:
        return f"it leads to {escaped(target)}, which cannot be looked at: {error.strerror}"
    return ""


def derived_from(facts: object) -> str:
    """
    Checksum of what a partition is made from.

    Parameters
    ----------
    facts : object
        What it is made from: lists, texts, numbers.

    Returns
    -------
    str
        SHA-256 of their JSON.
    """
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read_database(path: Path, query: str) -> list[tuple[Any, ...]] | None:
    """
    Rows of an archive's SQLite database, which is not written to.

    Parameters
    ----------
    path : Path
        The database.
    query : str
        What to ask it.

    Returns
    -------
    list of tuple or None
        The answer; None if there is no such file. Texts that are not UTF-8 are as names of files are.

    Raises
    ------
    BadFile
        If it is damaged, has no such table, or is no database.
    OSError
        If it is being written, or cannot be read now, so that nothing is known of what it says.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    if reason := leads_nowhere(path):
        raise OSError(f"{path}: {reason}. Nothing of this product was changed")
    check(path.stat(), LARGEST_DATABASE)
    until = time.monotonic() + _LONGEST_QUERY
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = os.fsdecode
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            # A view in the place of the table could have rows without end.
            connection.set_progress_handler(lambda: time.monotonic() > until, 100_000)
            rows = connection.execute(query).fetchmany(_MOST_ROWS + 1)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_INTERRUPT:
            raise BadFile(f"it does not answer in {_LONGEST_QUERY:.0f} s") from None
        if code & 0xFF in _BUSY:
            raise OSError(
                f"{path} is being written, or cannot be read now ({error}). Nothing of this product was changed: run "
                "it again. If it goes on: a database in WAL mode can only be read where its folder can be written"
            ) from None
        raise BadFile(str(error)) from None
    if len(rows) > _MOST_ROWS:
        raise BadFile(f"it has more than {_MOST_ROWS:,} rows")
    return rows


class SourceFiles:
    """
    What the lake knows of the source files of a product, and what an ingest finds out about them.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    product : str
        The product.
    top : Path
        The folder that is looked through.
    report : Report
        Where to tell what becomes of the files.
    reread : bool
        Whether files are read again that have the same size and date as when they were last read.

    Attributes
    ----------
    rows : dict
        Name of a file with its folder's -> its row in `source_file`: those whose content is in the lake.
    fresh : set of str
        Those of `rows` that this ingest has taken.
    seen : set of str
        Names of all files that this ingest has found.
    """

    def __init__(self, root: LakePath, product: str, top: Path, report: Report, reread: bool = False) -> None:
        self.product, self.report, self._reread = product, report, reread
        known = read_table(root, "source_file")
        ours = pc.equal(known.column("product"), product)
        self._before, self._others = known.filter(ours), known.filter(pc.invert(ours))
        self.rows: dict[str, dict[str, Any]] = {}
        self.fresh: set[str] = set()
        self.seen: set[str] = set()
        self._aside_before: dict[str, dict[str, Any]] = {}
        self._aside: list[dict[str, Any]] = []
        self._elsewhere: list[dict[str, Any]] = []
        for row in self._before.to_pylist():
            if row["status"] != "set aside":
                self.rows[_name(row)] = row
            elif Path(row["directory"]).is_relative_to(escaped(top)):
                self._aside_before[os.path.join(row["directory"], row["filename"])] = row  # noqa: PTH118 - a str
            else:
                self._elsewhere.append(row)

    def adopt(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """
        Know files of which the tables have rows, although the catalog has lost its own.

        Parameters
        ----------
        rows : iterable of mapping
            What the tables say of each: directory, filename, checksum, and what `source_file` keeps besides.
        """
        for of_table in rows:
            name = Found(of_table["directory"], of_table["filename"]).name
            if name not in self.rows:
                row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
                row |= {key: value for key, value in of_table.items() if key in row}
                self.rows[name] = row | {"product": self.product, "status": "current"}

    def sort_out(self, found: Iterable[Found], present: Iterable[str]) -> list[Found]:
        """
        Those files that are to be read.

        Parameters
        ----------
        found : iterable of Found
            The files.
        present : iterable of str
            Names of those whose rows are in the tables.

        Returns
        -------
        list of Found
            The files that are new or were changed, or whose rows are missing.
        """
        here = set(present)
        new = []
        for f in found:
            self.seen.add(f.name)
            if self._reread:
                new.append(f)
                continue
            before = self.rows.get(f.name)
            aside = self._aside_before.get(os.path.join(f.directory, f.filename))  # noqa: PTH118 - a str
            if aside is not None and (aside["size"], aside["mtime_ns"]) == (f.size, f.mtime_ns) != (-1, -1):
                self.set_aside(f, aside["reason"])
            elif (
                before is not None
                and (before["size"], before["mtime_ns"]) == (f.size, f.mtime_ns) != (-1, -1)
                and f.name in here
            ):
                before["directory"] = f.directory
                self.report.unchanged += 1
            else:
                new.append(f)
        return new

    def take(self, taken: Taken) -> None:
        """
        Know a file as one whose content is in the lake.

        Parameters
        ----------
        taken : Taken
            The file.
        """
        f = taken.found
        before = self.rows.get(f.name)
        if before is not None and before["checksum"] == taken.checksum:
            before |= {"directory": f.directory, "size": f.size, "mtime_ns": f.mtime_ns, **taken.facts}
            self.report.unchanged += 1
        else:
            row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
            row |= {"product": self.product, "filename": f.filename, "status": "current", "directory": f.directory}
            row |= {"size": f.size, "mtime_ns": f.mtime_ns, "checksum": taken.checksum, **taken.facts}
            self.rows[f.name] = row
            self.report.taken.append(f.name)
            if before is not None:
                self.report.replaced.append(f.name)
            self.report.rows += taken.facts.get("rows") or 0
            self.report.bytes_in += f.size
        self.fresh.add(f.name)

    def set_aside(self, found: Found, reason: str) -> None:
        """
        Know a file as one that cannot be taken; what the lake has of an earlier version of it stays.

        Parameters
        ----------
        found : Found
            The file, a link or a folder.
        reason : str
            Why.
        """
        reason = storable(reason)
        before = self.report.set_aside.get(found.name)
        self.report.set_aside[found.name] = reason if before is None else f"{before}; {reason}"
        row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
        row |= {"product": self.product, "filename": found.filename, "status": "set aside", "reason": reason}
        self._aside.append(row | {"directory": found.directory, "size": found.size, "mtime_ns": found.mtime_ns})

    def follow(self, folders: Collection[str], product_of: Callable[[str], str]) -> None:
        """
        Give up files that have gone from folders that still have some.

        Parameters
        ----------
        folders : collection of str
            Names of the folders in which files were found.
        product_of : callable
            Name of a file with its folder's -> what it holds. What a file that has gone held stays while the file that
            took its place cannot be taken.
        """
        taken = {product_of(name) for name in self.rows if name in self.seen}
        bad = {product_of(name) for name in self.report.set_aside if name in self.seen} - taken
        for name in [name for name in self.rows if name not in self.seen and name.split("/")[0] in folders]:
            if product_of(name) not in bad:
                del self.rows[name]
                self.report.gone.append(name)

    def lose(self, rejected: Rejected) -> None:
        """
        Know a file as one whose rows are neither in the lake nor in the file any more.

        Parameters
        ----------
        rejected : Rejected
            The file.
        """
        self.rows.pop(rejected.found.name, None)
        if rejected.found.name not in self.report.set_aside:
            self.set_aside(Found(rejected.found.directory, rejected.found.filename), rejected.reason)

    def note(self, judged: Iterable[Taken | Rejected]) -> None:
        """
        Know files as they were read.

        Parameters
        ----------
        judged : iterable of Taken or Rejected
            What came of reading them.
        """
        for result in judged:
            if isinstance(result, Taken):
                self.take(result)
            else:
                self.set_aside(result.found, result.reason)

    def commit(self, root: LakePath, written: dict[tuple[str, Key], dict[str, Any] | None]) -> None:
        """
        Commit new partitions together with what is known now; nothing if nothing changed.

        Parameters
        ----------
        root : Path or S3Path
            The lake.
        written : dict
            As of `commit`.
        """
        # What was set aside in another place and is here now was moved.
        here = self.seen | self.report.set_aside.keys()
        elsewhere = [row for row in self._elsewhere if _name(row) not in here]
        rows = pa.Table.from_pylist([*self.rows.values(), *self._aside, *elsewhere], schema=SOURCE_FILE)
        self.report.partitions += len(written)
        self.report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
        order = [("status", "ascending"), ("directory", "ascending"), ("filename", "ascending")]
        changed = rows.sort_by(order) != self._before.sort_by(order)
        if written or changed:
            commit(root, written, pa.concat_tables([self._others, rows]))


def _name(row: dict[str, Any]) -> str:
    return Found(row["directory"], row["filename"]).name


def partitions(root: LakePath, tables: Sequence[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """
    The partitions of some tables.

    Parameters
    ----------
    root : Path or S3Path
        The lake.
    tables : sequence of str
        Their names.

    Returns
    -------
    dict
        (Table, day number) -> its row in the catalog; of one made by an older definition of its table it is not said
        what it is derived from, so that it is made anew.
    """
    partition = read_table(root, "partition")
    chosen = partition.filter(pc.is_in(partition.column("table_name"), pa.array(tables, pa.string()))).to_pylist()
    for row in chosen:
        if row["definition"] != TABLES[row["table_name"]].definition:
            row["derived_from"] = None
    return {(row["table_name"], row["day_number"]): row for row in chosen}
