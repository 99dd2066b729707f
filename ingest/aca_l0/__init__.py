"""
ACA L0: from files ``acaf<seconds>N<revision>_<slot>_img0.fits[.gz]`` to table `aca_l0`.

The headers of new files are read; the revision rules say which files are current (`plan`), and partitions are built
from these (`partitions`). The outcome depends only on the set of files: not on their order, on how many runs they are
split over, or on runs that were interrupted.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import Key
from mica_lake.catalog.version import source_row
from mica_lake.errors import LakeError
from mica_lake.formats.on_disk import escaped
from mica_lake.ingest import follow
from mica_lake.ingest.aca_l0.files import Scanned, discover, names_of, scan, top_of, unreadable
from mica_lake.ingest.aca_l0.known import PLANNED, KnownFiles
from mica_lake.ingest.aca_l0.partitions import SlotJob, build
from mica_lake.ingest.aca_l0.plan import SlotPlan, jobs_of, plan_of
from mica_lake.ingest.aca_l0.revisions import Verdict, judge
from mica_lake.ingest.found import Found, Rejected
from mica_lake.products import Product
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import SOURCE_FILE

# How many partitions of an older definition are rewritten in one commit.
BRING_OVER = 1024


class AcaL0(follow.Part):
    """The readouts of the image slots."""

    name = table = ACA_L0.name
    files_a_task = 32
    files_a_commit = 4096
    several = True
    judge = staticmethod(scan)
    build = staticmethod(build)  # type: ignore[assignment]
    files: KnownFiles

    @staticmethod
    def folder(source: str | os.PathLike[str], product: Product) -> Path:
        """Any folder or file; the product's folder below a ``$SKA`` root."""
        return top_of(source)

    def known_files(self) -> KnownFiles:
        """What the lake knows of the files."""
        return KnownFiles(self.root, self.report, self.run.reread)

    def discover(self) -> list[Found | Rejected]:
        """The files below all sources, oldest first."""
        found, refused, unlisted = discover(self.tops)
        self.report.unlisted = [str(f.path) for f in self.files.unknown(unlisted)]
        return [*refused, *found]

    def begin(self, found: Sequence[Found], refused: Sequence[Rejected]) -> None:
        """Forget what is no longer there, or no longer wanted."""
        if not self.report.dry_run:
            self._drop_those_gone([*found, *(r.found for r in refused)])
            self._settle()

    def sort_out(self, found: Sequence[Found]) -> list[Found]:
        """The files whose headers must be read."""
        return self.files.sort_out(found)

    def note(self, refused: Sequence[Rejected], judged: Sequence[Scanned | Rejected]) -> None:
        """Decide by the revision rules what becomes of each file."""
        self.files.refuse(refused)
        self.files.apply()
        scanned: dict[str, list[Scanned]] = {}
        for s in judged:
            if isinstance(s, Rejected):
                self.files.set_aside(s.found, s.reason)
            elif (before := self.files.renamed.get(s.found.filename)) and not _alike(before, s):
                self.files.set_aside(s.found, f"a file {before['filename']} with other content is in the lake")
            else:
                scanned.setdefault(names_of(s.found.filename)[0], []).append(s)
        by_slot: dict[int, dict[str, Scanned]] = {}
        for alike in scanned.values():
            chosen = alike[0] if len(alike) == 1 else self._choose(alike)
            if chosen is not None:
                by_slot.setdefault(chosen.source.slot, {})[chosen.found.filename] = chosen
        pool = self.run.pools(len(judged))
        self._plans = [plan_of(slot, files, self.files, pool) for slot, files in sorted(by_slot.items())]
        if self.report.dry_run:
            for slot_plan in self._plans:
                slot_plan.tell(self.report)

    def _choose(self, alike: Sequence[Scanned]) -> Scanned | None:
        """The first readable one of several files of one name, gzipped ones first."""
        good = []
        for s in sorted(alike, key=lambda s: not s.found.filename.endswith(".gz")):
            if reason := unreadable(s):
                self.files.set_aside(s.found, reason)
            else:
                good.append(s)
        for other in good[1:]:
            if self.files.content(other.found) == self.files.content(good[0].found):
                self.report.unchanged += 1
            else:
                self.files.set_aside(other.found, f"{good[0].found.path} has the same name and other content")
        return good[0] if good else None

    def plan(self) -> list[SlotJob]:  # type: ignore[override]
        """The partitions that change."""
        return list(jobs_of(self.root, read_table(self.root, "partition"), self._plans))

    def make(self) -> follow.Written:
        """Rebuild the partitions that change, and record what became of each file."""
        day_rows: dict[str, int] = {}
        bad: dict[str, str] = {}
        wanted: dict[str, str] = {}
        written: follow.Written = {}
        for built in self.built(build, self.plan()):
            bad |= built.bad
            wanted |= built.wanted
            if built.row is not None or built.emptied:
                written[ACA_L0.name, built.key] = built.row
            for name, rows in built.day_rows.items():
                day_rows[name] = day_rows.get(name, 0) + rows
        for slot_plan in self._plans:
            self._record_taken(slot_plan, day_rows, bad)
            self._record_others(slot_plan, wanted)
            slot_plan.tell(self.report)
        return written

    def _record_taken(self, plan: SlotPlan, day_rows: dict[str, int], bad: dict[str, str]) -> None:
        """Record the files of a plan that were read."""
        pushed_out = {v.by for v in plan.verdict.values()} | self.files.renamed.keys()
        self.files.forgotten |= plan.replaced
        for name in bad.keys() & plan.files.keys():
            if name in pushed_out or name in plan.status:
                raise LakeError(f"{name}: {bad[name]}. Nothing was changed; run ingest again")
            self.files.set_aside(plan.files.pop(name).found, bad[name])
            del plan.verdict[name]
        for name, scanned in plan.files.items():
            source, found = scanned.source, scanned.found
            if plan.verdict[name].status == "current":
                placed = day_rows.get(name, 0)
                if placed != source.file_rows:
                    raise LakeError(f"{name}: {source.file_rows} rows read, {placed} placed; nothing was changed")
                self.report.rows += source.file_rows
            where = {"directory": found.directory, "size": found.size, "mtime_ns": found.mtime_ns}
            self._record(source_row(ACA_L0.name, source, "current") | where, plan.verdict[name])
            self.report.bytes_in += found.size

    def _record_others(self, plan: SlotPlan, wanted: dict[str, str]) -> None:
        """Record the known files of a plan whose status has changed."""
        lacking = plan.missing.keys() | (wanted.keys() & plan.status.keys())
        for row in plan.rows([*lacking, *(name for name in plan.overturned() if name not in lacking)]):
            name = row["filename"]
            if name in lacking:
                reason = plan.missing.get(name) or wanted[name]
                self.report.set_aside[name] = reason
                status = "wanted" if name in plan.missing else "incomplete"
                self.files.change(row | {"status": status, "reason": reason})
            else:
                self._record(row, plan.verdict[name])

    def _record(self, row: dict[str, Any], verdict: Verdict) -> None:
        self.files.change(row | {"status": verdict.status, "reason": verdict.reason})

    def ingest(self, dry_run: bool) -> None:
        """Take the files; then rewrite the partitions that an older definition made."""
        super().ingest(dry_run)
        if not dry_run:
            self._bring_over()

    def _bring_over(self) -> None:
        """Rewrite the partitions that an older definition of the table made, some at a time."""
        partition = read_table(self.root, "partition")
        current = pc.fill_null(pc.equal(partition.column("definition"), ACA_L0.definition), False)
        older = partition.filter(pc.and_(pc.equal(partition.column("table_name"), ACA_L0.name), pc.invert(current)))
        jobs = [
            SlotJob(
                self.root, replace(Key.of_day_number(row["day_number"]), slot=row["slot"]), row["path"], frozenset(), ()
            )
            for row in older.select(["day_number", "slot", "path"]).to_pylist()
        ]
        if not jobs:
            return
        for first in range(0, len(jobs), BRING_OVER):
            some = jobs[first : first + BRING_OVER]
            written: follow.Written = {}
            for built in self.built(build, some):
                written[ACA_L0.name, built.key] = built.row
            self.report.partitions += len(written)
            self.report.bytes_out += sum(row["bytes"] for row in written.values() if row is not None)
            commit(self.root, written | follow.derived(self.run, written), self.files.table)

    def _drop_those_gone(self, found: Iterable[Found]) -> None:
        """Forget files that were set aside and are no longer in the folders searched."""
        known = self.files.table
        aside = pc.and_(pc.equal(known.column("product"), ACA_L0.name), pc.equal(known.column("status"), "set aside"))
        below = [Path(escaped(top)) for top in self.tops if top.is_dir()]
        here = {(f.directory, f.filename) for f in found}
        gone = {
            (row["directory"], row["filename"])
            for row in known.filter(aside).select(["directory", "filename"]).to_pylist()
            if (row["directory"], row["filename"]) not in here
            and any(Path(row["directory"] or "").is_relative_to(top) for top in below)
        }
        if gone:
            places = zip(known.column("directory").to_pylist(), known.column("filename").to_pylist(), strict=True)
            self.files.replace(known.filter(pc.invert(pc.and_(aside, pa.array([place in gone for place in places])))))

    def _settle(self) -> None:
        """A file that was wanted and has since been superseded is no longer wanted."""
        known = self.files.table
        settled: dict[str, Verdict] = {}
        statuses = known.column("status")
        for slot in known.filter(pc.equal(statuses, "wanted")).column("slot").unique().to_pylist():
            alike = known.filter(
                pc.and_(pc.equal(known.column("slot"), slot), pc.is_in(statuses, pa.array([*PLANNED, "wanted"])))
            )
            intervals = [alike.column(name).to_numpy() for name in ("revision", "tstart", "tstop")]
            verdicts = judge(alike.column("filename").to_pylist(), *intervals)
            for name, status, verdict in zip(
                alike.column("filename").to_pylist(), alike.column("status").to_pylist(), verdicts, strict=True
            ):
                if status == "wanted" and verdict.status != "current":
                    settled[name] = verdict
        if settled:
            rows = [
                row | ({"status": v.status, "reason": v.reason} if (v := settled.get(row["filename"])) else {})
                for row in known.to_pylist()
            ]
            self.files.replace(pa.Table.from_pylist(rows, schema=SOURCE_FILE))


def _alike(known: dict[str, Any], scanned: Scanned) -> bool:
    """Whether a file has the header of a known one that is gone, so that their bytes cannot be compared."""
    ours = source_row(ACA_L0.name, scanned.source, known["status"])
    return all(ours[name] == known[name] for name in SOURCE_FILE.names[SOURCE_FILE.names.index("slot") :])


PARTS = (AcaL0,)
ingest = partial(follow.ingest, ACA_L0.name)
