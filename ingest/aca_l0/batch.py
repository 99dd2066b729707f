"""A batch of ACA L0 files, and what the revision rules make of them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.catalog.partition import Source, checksum
from mica_lake.catalog.version import source_row
from mica_lake.errors import BadFile, LakeError
from mica_lake.formats.gunzip import MAX_BYTES, decompress
from mica_lake.formats.on_disk import read, storable
from mica_lake.ingest.aca_l0.files import MARGIN, Scanned, names_of, rejected_by, scan, unreadable
from mica_lake.ingest.aca_l0.partitions import PartitionJob, build
from mica_lake.ingest.aca_l0.revisions import Verdict, judge
from mica_lake.ingest.follow import Run, derived
from mica_lake.ingest.found import CANNOT_BE_READ, Found, Rejected, looked_at
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import SOURCE_FILE
from mica_lake.times import day_start, utc_day

# What the revision rules look at; the rows of the first and last are in the lake, of the last not as they should be.
PLANNED = ["current", "superseded", "refused", "incomplete"]

IN_THE_LAKE = ("current", "incomplete")


class Batch:
    """A batch of files."""

    def __init__(
        self,
        run: Run,
        known: pa.Table,
        found: Sequence[Found],
        refused: Sequence[Rejected],
    ) -> None:
        self.run, self.root, self.report, self._reread = run, run.root, run.report, run.reread
        self.known = known
        # Rows of source_file to put in the place of those of the same file; set aside files are known by their path.
        self.changed: dict[tuple[str, str], dict[str, Any]] = {}
        # New file -> what is known of the one that it takes the place of: the same, gzipped or not.
        self.renamed: dict[str, dict[str, Any]] = {}
        self.forgotten: set[str] = set()
        self.found = len(found)
        named = sorted({name for f in [*found, *(r.found for r in refused)] for name in names_of(f.filename)})
        rows = rows_of(self.known, named)
        self._aside = {(r["directory"], r["filename"]): r for r in rows if r["status"] == "set aside"}
        self._taken = {names_of(r["filename"])[0]: r for r in rows if r["status"] in PLANNED}
        self.new = self._sort_out(found)
        for r in refused:
            self._set_aside(r.found, r.reason)
        self.known = self._known_now()

    def _sort_out(self, found: Sequence[Found]) -> list[Found]:
        """The files that are not known yet; the others are counted in the report."""
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
        content = self._content(f) if f.filename.endswith(".gz") else None
        return content is not None and content == self._content(old)

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
                self._set_aside(r.found, r.reason)
                return
            old = Found(before["directory"] or "", before["filename"])
            if same_name and checksum(content) == before["checksum"]:
                if f.directory == old.directory or not old.path.exists():
                    self._change(before | where)
            elif same_name or self._content(f) is None or self._content(f) != self._content(old):
                self._set_aside(f, f"a file {before['filename']} with other content is in the lake")
                return
        if before["status"] == "refused":
            self.report.set_aside[f.filename] = before["reason"]
        else:
            self.report.unchanged += 1

    @staticmethod
    def _checksum(f: Found) -> str | None:
        try:
            return checksum(read(f.path, MAX_BYTES))
        except (OSError, BadFile):
            return None

    @staticmethod
    def _content(f: Found) -> bytes | None:
        try:
            return decompress(read(f.path, MAX_BYTES))
        except (OSError, BadFile):
            return None

    def _set_aside(self, f: Found, reason: str) -> None:
        reason = storable(reason)
        if reason.startswith(CANNOT_BE_READ):
            f = Found(f.directory, f.filename)
        self.report.set_aside[f.filename] = reason
        row: dict[str, Any] = dict.fromkeys(SOURCE_FILE.names)
        row |= {"product": "aca_l0", "filename": f.filename, "status": "set aside", "reason": reason}
        row |= {"directory": f.directory, "size": f.size, "mtime_ns": f.mtime_ns}
        if row != self._aside.get((f.directory, f.filename)):
            self._change(row)

    def _change(self, row: dict[str, Any]) -> None:
        directory = row["directory"] if row["status"] == "set aside" else ""
        self.changed[directory, row["filename"]] = row

    def carry_out(self, advance: Callable[[int], None]) -> pa.Table:
        """Plan, read, derive, commit; gives the source files known afterwards."""
        pool = self.run.pools(len(self.new))
        advance(self.found - len(self.new))
        scanned: dict[str, list[Scanned]] = {}
        for s in pool.map(scan, self.new, chunksize=32):
            if isinstance(s, Rejected):
                self._set_aside(s.found, s.reason)
                advance(1)
            elif (before := self.renamed.get(s.found.filename)) and not _alike(before, s.source):
                self._set_aside(s.found, f"a file {before['filename']} with other content is in the lake")
                advance(1)
            else:
                scanned.setdefault(names_of(s.found.filename)[0], []).append(s)
        by_slot: dict[int, dict[str, Scanned]] = {}
        for alike in scanned.values():
            chosen = alike[0] if len(alike) == 1 else self._choose(alike, pool)
            if chosen is not None:
                by_slot.setdefault(chosen.source.slot, {})[chosen.found.filename] = chosen
        plans = [self._plan(slot, files, pool) for slot, files in sorted(by_slot.items())]
        if self.report.dry_run:
            for plan in plans:
                self._tell(plan)
            return self.known
        return self._write(plans, advance)

    def _choose(self, alike: Sequence[Scanned], pool: Executor) -> Scanned | None:
        """The first readable one of several files of one name, gzipped ones first."""
        alike = sorted(alike, key=lambda s: not s.found.filename.endswith(".gz"))
        reasons = pool.map(unreadable, alike)
        good = []
        for s, reason in zip(alike, reasons, strict=True):
            if reason:
                self._set_aside(s.found, reason)
            else:
                good.append(s)
        for other in good[1:]:
            if self._content(other.found) == self._content(good[0].found):
                self.report.unchanged += 1
            else:
                self._set_aside(other.found, f"{good[0].found.path} has the same name and other content")
        return good[0] if good else None

    def _plan(self, slot: int, files: dict[str, Scanned], pool: Executor) -> "_Plan":
        """What is to become of the files of one slot, new and known."""
        of_slot = pc.and_(
            pc.equal(self.known.column("slot"), slot),
            pc.is_in(self.known.column("status"), pa.array(PLANNED)),
        )
        known = self.known.filter(of_slot)
        status = dict(zip(known.column("filename").to_pylist(), known.column("status").to_pylist(), strict=True))
        missing: dict[str, str] = {}
        read: set[str] = set()
        while True:
            replaced = {self.renamed[name]["filename"] for name in files if name in self.renamed}
            stays = known.filter(
                pc.invert(pc.is_in(known.column("filename"), pa.array([*files, *missing, *replaced], pa.string())))
            )
            sources = [s.source for s in files.values()]
            names = stays.column("filename").to_pylist() + [s.filename for s in sources]
            revision, tstart, tstop = (
                np.concatenate([stays.column(key).to_numpy(), [getattr(s, key) for s in sources]])
                for key in ("revision", "tstart", "tstop")
            )
            verdict = dict(zip(names, judge(names, revision, tstart, tstop), strict=True))
            # A file that pushes out another must be good to its last row before the other goes.
            pushing = sorted(
                ({v.by for v in verdict.values() if v.by in files} | (self.renamed.keys() & files.keys())) - read
            )
            for name, reason in zip(pushing, pool.map(unreadable, [files[name] for name in pushing]), strict=True):
                if reason:
                    bad = files.pop(name)
                    if name in status:
                        missing[name] = reason
                    else:
                        self._set_aside(bad.found, reason)
            read.update(pushing)
            # A file that had given way to one that now gives way itself comes back.
            back = [name for name in stays.column("filename").to_pylist()
                    if verdict[name].status == "current" and status[name] not in IN_THE_LAKE]  # fmt: skip
            for row in rows_of(known, back):
                again = scan(Found(row["directory"] or "", row["filename"], row["size"] or -1, row["mtime_ns"] or -1))
                if isinstance(again, Rejected) or again.source.checksum != row["checksum"]:
                    missing[row["filename"]] = f"its rows are needed again, but it is not in {row['directory']}"
                elif reason := unreadable(again):
                    missing[row["filename"]] = f"its rows are needed again, but {reason}"
                else:
                    files[row["filename"]] = again
                    read.add(row["filename"])
            if not pushing and not back:
                return _Plan(slot, known, files, verdict, status, missing, replaced)

    def _tell(self, plan: "_Plan") -> None:
        """Count the plan in the report."""
        for name, verdict in plan.verdict.items():
            before = plan.status.get(name)
            if verdict.status == "current" and (before not in IN_THE_LAKE or name in plan.files):
                self.report.taken.append(name)
            elif before in IN_THE_LAKE and verdict.status != "current":
                self.report.replaced.append(name)
            elif before is None and verdict.status == "superseded":
                self.report.superseded[name] = verdict.reason or ""
            if verdict.status == "refused" and before != "refused":
                self.report.set_aside[name] = verdict.reason or ""
        self.report.set_aside |= plan.missing
        self.report.replaced += sorted(plan.replaced)

    def _write(self, plans: Sequence["_Plan"], advance: Callable[[int], None]) -> pa.Table:
        pool = self.run.pools(len(self.new))
        jobs = list(self._jobs(plans))
        left = Counter(source.filename for job in jobs for _, source in job.added)
        advance(sum(len(plan.files) for plan in plans) - len(left))
        day_rows: dict[str, int] = dict.fromkeys(left, 0)
        bad: dict[str, str] = {}
        wanted: dict[str, str] = {}
        written: dict[tuple[str, Key], dict[str, Any] | None] = {}
        for job, built in zip(jobs, pool.map(build, jobs), strict=True):
            bad |= built.bad
            wanted |= built.wanted
            if built.row is not None or built.emptied:
                written["aca_l0", built.key] = built.row
            for name, rows in built.day_rows.items():
                day_rows[name] = day_rows.get(name, 0) + rows
            for _, source in job.added:
                left[source.filename] -= 1
                advance(int(left[source.filename] == 0))
        for plan in plans:
            pushed_out = {v.by for v in plan.verdict.values()} | self.renamed.keys()
            self.forgotten |= plan.replaced
            for name in bad.keys() & plan.files.keys():
                if name in pushed_out or name in plan.status:
                    raise LakeError(f"{name}: {bad[name]}. Nothing was changed; run ingest again")
                self._set_aside(plan.files.pop(name).found, bad[name])
                del plan.verdict[name]
            for name, scanned in plan.files.items():
                source = scanned.source
                if plan.verdict[name].status == "current":
                    if day_rows[name] != source.file_rows:
                        raise LakeError(
                            f"{name}: {source.file_rows} rows read, {day_rows[name]} placed; nothing was changed"
                        )
                    self.report.rows += source.file_rows
                self._record(source_row("aca_l0", source, "current"), plan.verdict[name], scanned.found)
                self.report.bytes_in += scanned.found.size
            lacking = plan.missing.keys() | (wanted.keys() & plan.status.keys())
            for row in plan.rows([*lacking, *(name for name in plan.overturned() if name not in lacking)]):
                name = row["filename"]
                if name in lacking:
                    reason = plan.missing.get(name) or wanted[name]
                    self.report.set_aside[name] = reason
                    status = "wanted" if name in plan.missing else "incomplete"
                    self._change(row | {"status": status, "reason": reason})
                else:
                    self._record(row, plan.verdict[name], None)
            self._tell(plan)
        self.report.partitions += len(written)
        self.report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
        known = self._known_now()
        if written:
            # In the same commit, so that no query sees one without the other.
            written |= derived(self.run, written)
        if written or self.changed:
            commit(self.root, written, known)
        return known

    def _record(self, row: dict[str, Any], verdict: Verdict, found: Found | None) -> None:
        row = row | {"status": verdict.status, "reason": verdict.reason}
        if found is not None:
            row |= {"directory": found.directory, "size": found.size, "mtime_ns": found.mtime_ns}
        self._change(row)

    def _jobs(self, plans: Sequence["_Plan"]) -> Iterator[PartitionJob]:
        partition = read_table(self.root, "partition")
        for plan in plans:
            removed: dict[date, set[str]] = {}
            added: dict[date, list[tuple[str, Source]]] = {}
            for row in plan.rows(plan.pushed_out()):
                for day in _days(row["tstart"], row["tstop"]):
                    removed.setdefault(day, set()).add(row["filename"])
            for name, scanned in plan.files.items():
                if plan.verdict[name].status == "current":
                    for day in _days(scanned.source.tstart, scanned.source.tstop):
                        added.setdefault(day, []).append((scanned.found.directory, scanned.source))
            of_slot = partition.filter(
                pc.and_(
                    pc.equal(partition.column("table_name"), "aca_l0"), pc.equal(partition.column("slot"), plan.slot)
                )
            )
            existing = dict(
                zip(of_slot.column("day_number").to_pylist(), of_slot.column("path").to_pylist(), strict=True)
            )
            for day in sorted(removed.keys() | added.keys()):
                key = Key(day, plan.slot)
                yield PartitionJob(
                    self.root,
                    key,
                    existing.get(key.day_number),
                    frozenset(removed.get(day, ())),
                    tuple(sorted(added.get(day, ()), key=lambda item: item[1].filename)),
                    self._directories(plan, day),
                )

    @staticmethod
    def _directories(plan: "_Plan", day: date) -> dict[str, str]:
        """Where the current files of a day were seen."""
        rows = plan.known.filter(
            pc.and_(
                pc.less(plan.known.column("tstart"), day_start(day + timedelta(days=1)) + MARGIN),
                pc.greater(plan.known.column("tstop"), day_start(day) - MARGIN),
            )
        )
        return {row["filename"]: row["directory"] or "" for row in rows.select(["filename", "directory"]).to_pylist()}

    def _known_now(self) -> pa.Table:
        """All known source files, after this batch."""
        if not self.changed:
            return self.known
        names = {name for _, name in self.changed} | self.forgotten
        concerned = are_named(self.known, sorted(names))
        # A file that is taken clears the record of bad ones of its name; one set aside leaves those of other folders.
        stays = [
            row
            for row in self.known.filter(concerned).to_pylist()
            if ("", row["filename"]) not in self.changed
            and row["filename"] not in self.forgotten
            and not (row["status"] == "set aside" and (row["directory"], row["filename"]) in self.changed)
        ]
        rows = pa.Table.from_pylist([*stays, *self.changed.values()], schema=SOURCE_FILE)
        return pa.concat_tables([self.known.filter(pc.invert(concerned)), rows])


@dataclass(frozen=True)
class _Plan:
    """What is to become of the files of one slot."""

    slot: int
    known: pa.Table
    files: dict[str, Scanned]  # new ones, and known ones that come back
    verdict: dict[str, Verdict]
    status: dict[str, str]  # of the known ones, so far
    missing: dict[str, str]  # known ones that should come back, and why they cannot
    replaced: set[str]  # known ones that are there under another name

    def overturned(self) -> list[str]:
        """Known files whose status changes, although they are not read again."""
        return [
            name
            for name, before in self.status.items()
            if name in self.verdict
            and name not in self.files
            and self.verdict[name].status != ("current" if before in IN_THE_LAKE else before)
        ]

    def pushed_out(self) -> list[str]:
        """Files in the lake that are superseded."""
        return [
            name
            for name, before in self.status.items()
            if before in IN_THE_LAKE
            and (name in self.replaced or (name in self.verdict and self.verdict[name].status != "current"))
        ]

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of `source_file` of some files."""
        return rows_of(self.known, names)


def rows_of(known: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of `source_file` with these names."""
    rows: list[dict[str, Any]] = known.filter(are_named(known, names)).to_pylist()
    return rows


def are_named(known: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Which rows of `source_file` are ACA L0 files with these names."""
    chosen = pc.is_in(known.column("filename"), pa.array(names, pa.string()))
    return pc.and_(pc.equal(known.column("product"), ACA_L0.name), chosen)


def _alike(known: Mapping[str, Any], source: Source) -> bool:
    """Whether a file has the header of a known one that is gone, so that their bytes cannot be compared."""
    ours = source_row(ACA_L0.name, source, known["status"])
    return all(ours[name] == known[name] for name in SOURCE_FILE.names[SOURCE_FILE.names.index("slot") :])


def _days(tstart: float, tstop: float) -> list[date]:
    """The days that the rows of a file with this header can be in."""
    first, last = utc_day(tstart - MARGIN), utc_day(tstop + MARGIN)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
