"""Which ACA L0 files belong in the lake, and which partitions change: the revision rules, slot by slot."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.key import Key
from mica_lake.catalog.partition import Source
from mica_lake.ingest.aca_l0.files import MARGIN, Scanned, scan, unreadable
from mica_lake.ingest.aca_l0.known import PLANNED, KnownFiles, rows_of
from mica_lake.ingest.aca_l0.partitions import SlotJob
from mica_lake.ingest.aca_l0.revisions import Verdict, connected, judge
from mica_lake.ingest.found import Found, Rejected
from mica_lake.ingest.report import Report
from mica_lake.store.place import LakePath
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.times import day_start, utc_day

IN_THE_LAKE = ("current", "incomplete")

# What is beside a file on its first and last day is at most this far away.
_AROUND = 86400.0 + 2 * MARGIN


@dataclass(frozen=True)
class SlotPlan:
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

    def tell(self, report: Report) -> None:
        """Count the plan in a report."""
        for name, verdict in self.verdict.items():
            before = self.status.get(name)
            if verdict.status == "current" and (before not in IN_THE_LAKE or name in self.files):
                report.taken.append(name)
            elif before in IN_THE_LAKE and verdict.status != "current":
                report.replaced.append(name)
            elif before is None and verdict.status == "superseded":
                report.superseded[name] = verdict.reason or ""
            if verdict.status == "refused" and before != "refused":
                report.set_aside[name] = verdict.reason or ""
        report.set_aside |= self.missing
        report.replaced += sorted(self.replaced)


def plan_of(slot: int, files: dict[str, Scanned], files_known: KnownFiles, pool: Executor) -> SlotPlan:
    """What is to become of the files of one slot, new and known."""
    known = _near(files_known.table, slot, [scanned.source for scanned in files.values()])
    status = dict(zip(known.column("filename").to_pylist(), known.column("status").to_pylist(), strict=True))
    missing: dict[str, str] = {}
    read: set[str] = set()
    while True:
        replaced = {files_known.renamed[name]["filename"] for name in files if name in files_known.renamed}
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
            ({v.by for v in verdict.values() if v.by in files} | (files_known.renamed.keys() & files.keys())) - read
        )
        for name, reason in zip(pushing, pool.map(unreadable, [files[name] for name in pushing]), strict=True):
            if reason:
                bad = files.pop(name)
                if name in status:
                    missing[name] = reason
                else:
                    files_known.set_aside(bad.found, reason)
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
            return SlotPlan(slot, known, files, verdict, status, missing, replaced)


def _near(table: pa.Table, slot: int, sources: Sequence[Source]) -> pa.Table:
    """
    The known files of a slot that new ones can have to do with.

    The rules look at files that overlap, those that overlap these, and so on; partitions are of whole days.
    """
    of_slot = pc.and_(pc.equal(table.column("slot"), slot), pc.is_in(table.column("status"), pa.array(PLANNED)))
    rows = np.flatnonzero(of_slot.to_numpy())
    starts, stops = (table.column(name).to_numpy()[rows] for name in ("tstart", "tstop"))
    around = [(s.tstart - _AROUND, s.tstop + _AROUND) for s in sources]
    linked = connected(np.append(starts, [a for a, _ in around]), np.append(stops, [b for _, b in around]))
    concerned = np.isin(linked[: len(rows)], linked[len(rows) :])
    return table.take(pa.array(rows[concerned]))


def jobs_of(root: LakePath, partition: pa.Table, plans: Sequence[SlotPlan]) -> Iterator[SlotJob]:
    """The partitions that some plans change."""
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
                pc.equal(partition.column("table_name"), ACA_L0.name), pc.equal(partition.column("slot"), plan.slot)
            )
        )
        existing = dict(zip(of_slot.column("day_number").to_pylist(), of_slot.column("path").to_pylist(), strict=True))
        for day in sorted(removed.keys() | added.keys()):
            key = Key(day, plan.slot)
            yield SlotJob(
                root,
                key,
                existing.get(key.day_number),
                frozenset(removed.get(day, ())),
                tuple(sorted(added.get(day, ()), key=lambda item: item[1].filename)),
                _directories(plan, day),
            )


def _directories(plan: SlotPlan, day: date) -> dict[str, str]:
    """Where the current files of a day were seen."""
    rows = plan.known.filter(
        pc.and_(
            pc.less(plan.known.column("tstart"), day_start(day + timedelta(days=1)) + MARGIN),
            pc.greater(plan.known.column("tstop"), day_start(day) - MARGIN),
        )
    )
    return {row["filename"]: row["directory"] or "" for row in rows.select(["filename", "directory"]).to_pylist()}


def _days(tstart: float, tstop: float) -> list[date]:
    """The days that the rows of a file with this header can be in."""
    first, last = utc_day(tstart - MARGIN), utc_day(tstop + MARGIN)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
