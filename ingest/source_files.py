"""The source files of a product: which are new, which were seen before, which cannot be taken."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.formats.on_disk import escaped, storable
from mica_lake.ingest.found import Found, Rejected, Taken
from mica_lake.ingest.report import Report
from mica_lake.store.place import LakePath
from mica_lake.tables import TABLES
from mica_lake.tables.catalog import SOURCE_FILE

#: New versions of partitions, as `mica_lake.catalog.commit.commit` takes them.
Written = dict[tuple[str, Key], dict[str, Any] | None]


def derived_from(facts: object) -> str:
    """SHA-256 of what a partition is made from: lists, strings, numbers."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class SourceFiles:
    """
    The source files of a product: what the lake knew of them, and what an ingest finds.

    Parameters
    ----------
    root : path
        The lake.
    product : str
        The table that they are recorded for.
    top : Path
        The folder that is looked through.
    report : Report
        What is made of the files is counted here.
    reread : bool
        Whether to read files again whose size and date have not changed since they were last read.

    Attributes
    ----------
    rows : dict
        Name of a file, with its folder's -> its row in `source_file`: the files whose content is in the lake.
    fresh : set of str
        Those of `rows` that this ingest has taken.
    seen : set of str
        Names of all files that this ingest has found.
    """

    def __init__(self, root: LakePath, product: str, top: Path, report: Report, reread: bool = False) -> None:
        self.product, self.report, self._root, self._reread = product, report, root, reread
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
        """Add files that the tables record, in case the catalog has lost its own record."""
        for of_table in rows:
            name = Found(of_table["directory"], of_table["filename"]).name
            if name not in self.rows:
                row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
                row |= {key: value for key, value in of_table.items() if key in row}
                self.rows[name] = row | {"product": self.product, "status": "current"}

    def sort_out(self, found: Iterable[Found], present: Iterable[str]) -> list[Found]:
        """The files to read: new or changed ones, and those not `present` in the tables."""
        in_tables = set(present)
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
                and f.name in in_tables
            ):
                before["directory"] = f.directory
                self.report.unchanged += 1
            else:
                new.append(f)
        return new

    def take(self, taken: Taken) -> None:
        """Record a file whose content is in the lake."""
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
        """Record a file, link or folder that cannot be taken; what the lake has of an earlier version stays."""
        reason = storable(reason)
        before = self.report.set_aside.get(found.name)
        self.report.set_aside[found.name] = reason if before is None else f"{before}; {reason}"
        row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
        row |= {"product": self.product, "filename": found.filename, "status": "set aside", "reason": reason}
        self._aside.append(row | {"directory": found.directory, "size": found.size, "mtime_ns": found.mtime_ns})

    def follow(self, folders: Collection[str], product_of: Callable[[str], str]) -> None:
        """
        Drop files that are gone from folders that still have others.

        What a missing file held stays as long as the file in its place cannot be taken; `product_of` says what a file
        holds, by its name with that of its folder.
        """
        taken = {product_of(name) for name in self.rows if name in self.seen}
        bad = {product_of(name) for name in self.report.set_aside if name in self.seen} - taken
        for name in [name for name in self.rows if name not in self.seen and name.split("/")[0] in folders]:
            if product_of(name) not in bad:
                del self.rows[name]
                self.report.gone.append(name)

    def lose(self, rejected: Rejected) -> None:
        """Record that a file's rows are no longer in the file, nor in the lake."""
        self.rows.pop(rejected.found.name, None)
        if rejected.found.name not in self.report.set_aside:
            self.set_aside(Found(rejected.found.directory, rejected.found.filename), rejected.reason)

    def note(self, judged: Iterable[Taken | Rejected]) -> None:
        """Record the verdicts on some files."""
        for result in judged:
            if isinstance(result, Taken):
                self.take(result)
            else:
                self.set_aside(result.found, result.reason)

    def commit(self, written: Written, derived: Written | None = None) -> None:
        """Commit new partitions and those derived from them, with what is now known of the files."""
        # What was set aside in another place and is found in this one was moved.
        found = self.seen | self.report.set_aside.keys()
        elsewhere = [row for row in self._elsewhere if _name(row) not in found]
        rows = pa.Table.from_pylist([*self.rows.values(), *self._aside, *elsewhere], schema=SOURCE_FILE)
        self.report.partitions += len(written)
        self.report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
        order = [("status", "ascending"), ("directory", "ascending"), ("filename", "ascending")]
        changed = rows.sort_by(order) != self._before.sort_by(order)
        made = written | (derived or {})
        if made or changed:
            commit(self._root, made, pa.concat_tables([self._others, rows]))


def _name(row: dict[str, Any]) -> str:
    return Found(row["directory"], row["filename"]).name


def partitions(partition: pa.Table, tables: Sequence[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """
    The partitions of some tables: (table, day number) -> row of the catalog's `partition`.

    One made by an older definition of its table has no ``derived_from``: it is stale.
    """
    chosen = partition.filter(pc.is_in(partition.column("table_name"), pa.array(tables, pa.string()))).to_pylist()
    for row in chosen:
        if row["definition"] != TABLES[row["table_name"]].definition:
            row["derived_from"] = None
    return {(row["table_name"], row["day_number"]): row for row in chosen}
