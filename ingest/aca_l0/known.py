"""What the lake knows of ACA L0 files, which are a million: by name, wherever they are, in Arrow."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.partition import checksum
from mica_lake.errors import BadFile
from mica_lake.formats.gunzip import MAX_BYTES, decompress
from mica_lake.formats.on_disk import read, storable
from mica_lake.ingest.aca_l0.files import names_of, rejected_by
from mica_lake.ingest.found import CANNOT_BE_READ, Found, Rejected, looked_at
from mica_lake.ingest.report import Report
from mica_lake.ingest.source_files import Written
from mica_lake.store.place import LakePath
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import SOURCE_FILE

# What the revision rules look at; the rows of the first and last are in the lake, of the last not as they should be.
PLANNED = ["current", "superseded", "refused", "incomplete"]


class KnownFiles:
    """
    The rows of `source_file`, and how the files of one commit change them.

    Parameters
    ----------
    root : path
        The lake.
    report : Report
        What is made of the files is counted here.
    reread : bool
        Whether to read files again whose size and date have not changed since they were last read.

    Attributes
    ----------
    table : pa.Table
        The rows so far, of all products.
    renamed : dict
        New file -> what is known of the one whose place it takes: the same, gzipped or not.
    forgotten : set of str
        Names of files that others have taken the place of.
    """

    def __init__(self, root: LakePath, report: Report, reread: bool) -> None:
        self.root, self.report, self._reread = root, report, reread
        self._begin(read_table(root, "source_file"))

    def _begin(self, table: pa.Table) -> None:
        self.table = table
        # Rows that replace those of the same file; a file that was set aside is identified by its path.
        self._changed: dict[tuple[str, str], dict[str, Any]] = {}
        self._aside: dict[tuple[str, str], dict[str, Any]] = {}
        self._taken: dict[str, dict[str, Any]] = {}
        self.renamed: dict[str, dict[str, Any]] = {}
        self.forgotten: set[str] = set()

    def _look_up(self, found: Sequence[Found]) -> None:
        rows = rows_of(self.table, sorted({name for f in found for name in names_of(f.filename)}))
        self._aside |= {(r["directory"], r["filename"]): r for r in rows if r["status"] == "set aside"}
        self._taken |= {names_of(r["filename"])[0]: r for r in rows if r["status"] in PLANNED}

    def unknown(self, found: Sequence[Found]) -> list[Found]:
        """Those that the lake does not know, whatever became of those that it knows."""
        rows = rows_of(self.table, sorted({name for f in found for name in names_of(f.filename)}))
        known = {names_of(row["filename"])[0] for row in rows}
        return [f for f in found if names_of(f.filename)[0] not in known]

    def sort_out(self, found: Sequence[Found]) -> list[Found]:
        """The files that are not known yet; the others are counted in the report."""
        self._look_up(found)
        new: list[Found] = []
        for f in found:
            f = looked_at(f)  # what is wrong with one that cannot be looked at is said when it is read
            seen = self._aside.get((f.directory, f.filename))
            before = self._taken.get(names_of(f.filename)[0])
            same = seen is not None and (seen["size"], seen["mtime_ns"]) == (f.size, f.mtime_ns) != (-1, -1)
            if seen is not None and same and not self._reread:
                self.report.set_aside[f.filename] = seen["reason"]
            elif before is None or (before["status"] == "incomplete" and self._checksum(f) == before["checksum"]):
                new.append(f)
            elif f.filename != before["filename"] and self._takes_its_place(f, before):
                self.renamed[f.filename] = before
                new.append(f)
            else:
                self._again(f, before, seen)
        return new

    def _takes_its_place(self, f: Found, before: dict[str, Any]) -> bool:
        """Whether this is a known file under another name: the other is gone, or differs only in being gzipped."""
        old = Found(before["directory"] or "", before["filename"])
        try:
            if not old.path.exists():
                return True
        except OSError:  # one that cannot be looked at has not gone
            return False
        content = self.content(f) if f.filename.endswith(".gz") else None
        return content is not None and content == self.content(old)

    def _again(self, f: Found, before: dict[str, Any], seen: dict[str, Any] | None) -> None:
        """What to make of a file whose name is known."""
        where = {"directory": f.directory, "size": f.size, "mtime_ns": f.mtime_ns}
        same_name = f.filename == before["filename"]
        unmoved = same_name and all(before[name] == value for name, value in where.items())
        if self._reread or seen is not None or not unmoved:
            try:
                content = read(f.path, MAX_BYTES)
            except (OSError, BadFile) as error:
                r = rejected_by(f, error)
                self.set_aside(r.found, r.reason)
                return
            old = Found(before["directory"] or "", before["filename"])
            if same_name and checksum(content) == before["checksum"]:
                if f.directory == old.directory or not old.path.exists():
                    self.change(before | where)
            elif same_name or self.content(f) is None or self.content(f) != self.content(old):
                self.set_aside(f, f"a file {before['filename']} with other content is in the lake")
                return
        if before["status"] == "refused":
            self.report.set_aside[f.filename] = before["reason"]
        else:
            self.report.unchanged += 1

    def refuse(self, refused: Sequence[Rejected]) -> None:
        """Record what could not be looked into."""
        self._look_up([r.found for r in refused])
        for r in refused:
            self.set_aside(r.found, r.reason)

    @staticmethod
    def _checksum(f: Found) -> str | None:
        try:
            return checksum(read(f.path, MAX_BYTES))
        except (OSError, BadFile):
            return None

    @staticmethod
    def content(f: Found) -> bytes | None:
        """What a file holds, unpacked; None if it cannot be read."""
        try:
            return decompress(read(f.path, MAX_BYTES))
        except (OSError, BadFile):
            return None

    def set_aside(self, f: Found, reason: str) -> None:
        """Record a file that cannot be taken."""
        reason = storable(reason)
        if reason.startswith(CANNOT_BE_READ):
            f = Found(f.directory, f.filename)
        self.report.set_aside[f.filename] = reason
        row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
        row |= {"product": ACA_L0.name, "filename": f.filename, "status": "set aside", "reason": reason}
        row |= {"directory": f.directory, "size": f.size, "mtime_ns": f.mtime_ns}
        if row != self._aside.get((f.directory, f.filename)):
            self.change(row)

    def change(self, row: dict[str, Any]) -> None:
        """Replace the row of the same file."""
        directory = row["directory"] if row["status"] == "set aside" else ""
        self._changed[directory, row["filename"]] = row

    def now(self) -> pa.Table:
        """All rows, with what has changed."""
        if not self._changed:
            return self.table
        names = {name for _, name in self._changed} | self.forgotten
        concerned = are_named(self.table, sorted(names))
        if not pc.any(concerned).as_py():
            changed = pa.Table.from_pylist(list(self._changed.values()), schema=SOURCE_FILE)
            return pa.concat_tables([self.table, changed])  # without a copy of what may be a million rows
        # A file that is taken clears the record of bad ones of its name; one set aside leaves those of other folders.
        stays = [
            row
            for row in self.table.filter(concerned).to_pylist()
            if ("", row["filename"]) not in self._changed
            and row["filename"] not in self.forgotten
            and not (row["status"] == "set aside" and (row["directory"], row["filename"]) in self._changed)
        ]
        rows = pa.Table.from_pylist([*stays, *self._changed.values()], schema=SOURCE_FILE)
        return pa.concat_tables([self.table.filter(pc.invert(concerned)), rows])

    def commit(self, written: Written, derived: Written) -> None:
        """Commit new partitions and those derived from them, with what is now known of the files."""
        table = self.now()
        self.report.partitions += len(written)
        self.report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
        if written or derived or self._changed:
            commit(self.root, written | derived, table)
        self._begin(table)

    def apply(self) -> None:
        """Let `table` have what has changed so far."""
        self.table = self.now()

    def replace(self, table: pa.Table) -> None:
        """Commit other rows instead of those so far."""
        commit(self.root, {}, table)
        self._begin(table)


def rows_of(known: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of `source_file` with these names."""
    rows: list[dict[str, Any]] = known.filter(are_named(known, names)).to_pylist()
    return rows


def are_named(known: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Which rows of `source_file` are ACA L0 files with these names."""
    chosen = pc.is_in(known.column("filename"), pa.array(names, pa.string()))
    return pc.and_(pc.equal(known.column("product"), ACA_L0.name), chosen)
