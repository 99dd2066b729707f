"""
V&V: from ``vv.h5`` to table `vv_rms`, from ``OO/OOOOO_vRR/vv_report.json`` to `vv_report`, from computing to both.

What ``mica-lake vv --ingest`` computed replaces the archive's rows and report of the same observation and revision,
whichever came first, and stays. The aspect processing table says which revision is released; only rows of ``vv.h5`` of
observations that nothing was computed for keep the file's own flag.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.mend import writing
from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.catalog.root import absolute
from mica_lake.errors import BadFile
from mica_lake.formats.on_disk import leads_nowhere, read, storable
from mica_lake.ingest import follow, revision_folders, stat_table
from mica_lake.ingest.asp_l1_proc import Released, released_in
from mica_lake.ingest.follow import Part, Pools, Run, Written
from mica_lake.ingest.found import Found, Rejected, Taken, found_in, place, rejected
from mica_lake.ingest.report import Report
from mica_lake.ingest.source_files import SourceFiles, derived_from, partitions
from mica_lake.store.place import LakePath
from mica_lake.tables.vv import VV_REPORT, VV_RMS
from mica_lake.times import utc_day

REPORT, TABLE = "vv_report.json", "vv.h5"
# A report has 40 kB.
LARGEST = 1 << 24
# What is long; the other columns say what a year is made from.
_CONTENT = ("slots", "report")
_SLOT: pa.StructType = VV_REPORT.by_name["slots"].type.value_type
_KEPT = [name for name in VV_REPORT.schema.names if name not in _CONTENT]
# Observation and revision -> a row of `vv_report`, with `_CONTENT` where it is new.
Rows = dict[tuple[int, int], dict[str, Any]]
Here = Mapping[tuple[str, int], Mapping[str, Any]]


@dataclass(frozen=True)
class Computed:
    """
    Computed residuals of an observation, to be stored.

    Attributes
    ----------
    report : str
        Its report, JSON.
    rms_rows : sequence of dict
        Its rows of `vv_rms`, without ``position`` and ``computed``.
    """

    report: str
    rms_rows: Sequence[Mapping[str, int | float | str]] = field(repr=False)


def read_report(content: bytes) -> dict[str, Any]:
    """
    A report as a row of `vv_report`.

    Examples
    --------
    >>> row = read_report(b'{"obsid": 5438, "revision": 2, "slots": {"3": {"dz_rms": 0.1}}}')
    >>> row["obsid"], row["slots"][0]["slot"], row["slots"][0]["dz_rms"], row["tstart"]
    (5438, 3, 0.1, None)
    """
    try:
        text = content.decode()
        report = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"it is not JSON: {error}") from None
    if not isinstance(report, dict):
        raise BadFile(f"it is not a report but a JSON {type(report).__name__}")
    row: dict[str, Any] = {
        name: _typed(report.get(name), VV_REPORT.by_name[name].type, name)
        for name in ("obsid", "revision", "tstart", "tstop")
    }
    if absent := [name for name in ("obsid", "revision") if row[name] is None]:
        raise BadFile(f"it is not a report, it lacks {' and '.join(absent)}")
    if row["tstart"] is not None and not 0 < row["tstart"] < 6.3e9:
        raise BadFile(f"its tstart {row['tstart']} is not a time")
    return row | {"slots": _slots(report.get("slots")), "checksum": checksum(content), "report": text}


def _slots(slots: Any) -> list[dict[str, Any]]:
    if not isinstance(slots, dict) or not all(isinstance(one, dict) for one in slots.values()):
        raise BadFile("it is not a report, its slots are no mapping of slots")
    found = []
    for key, one in slots.items():
        row = {f.name: _typed(one.get(f.name), f.type, f"slots {key} {f.name}") for f in _SLOT}
        if not re.fullmatch(r"\d", key, re.ASCII) or row["slot"] not in (None, int(key)):
            raise BadFile(f"its slots have a {key!r}, whose slot is {row['slot']}")
        found.append(row | {"slot": int(key)})
    return sorted(found, key=lambda row: int(row["slot"]))


def _typed(value: Any, type_: pa.DataType, what: str) -> Any:
    """A JSON value in the type of its column."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None:
        return None
    if pa.types.is_string(type_) and isinstance(value, str):
        if storable(value) != value:
            raise BadFile(f"its {what} is {value!r}, which has half a character or is very long")
        return value
    if pa.types.is_floating(type_) and number:
        return float(value)
    if pa.types.is_integer(type_) and number and abs(value) < 2**31 and value == int(value):
        return int(value)
    raise BadFile(f"its {what} is {value!r}, no {type_}")


def _judge(found: Found) -> tuple[Taken, dict[str, Any]] | Rejected:
    try:
        content = read(found.path, LARGEST)
        row = read_report(content)
        obsid, _, revision = Path(found.directory).name.partition("_v")
        if (row["obsid"], row["revision"]) != (int(obsid), int(revision)):
            raise BadFile(f"its folder contradicts it: it is of obsid {row['obsid']} revision {row['revision']}")
    except Exception as error:  # whatever one file raises, the others go in
        return rejected(found, error)
    facts = {name: row[name] for name in ("tstart", "tstop", "revision")} | {"rows": 1}
    # Slots are taken from the report again when its year is made: those of a whole archive would fill the memory.
    del row["slots"]
    return Taken(found, row["checksum"], facts), row | {"computed": False, "directory": found.directory}


def discover(top: Path) -> tuple[list[Found], list[Rejected]]:
    """The reports in an archive."""
    found: list[Found] = []
    refused: list[Rejected] = []
    for folder in revision_folders.folders_in(top, refused):
        try:
            os.lstat(os.path.join(folder.path, REPORT))  # noqa: PTH118 - a str
        except FileNotFoundError:
            reason = leads_nowhere(folder.path) or f"it has no {REPORT}"
            refused.append(Rejected(place(folder.path), reason))
        except OSError as error:
            refused.append(rejected(place(folder.path), error))
        else:
            found.append(found_in(folder.path, REPORT))
    return found, refused


class Reports(Part):
    """The V&V reports; computed ones stay, and replace the archive's."""

    name, table, on_cluster = VV_REPORT.name, VV_REPORT.name, False

    def __init__(self, run: Run, top: Path) -> None:
        super().__init__(run, top)
        self._reports = _known(self.root, self.partitions)

    def discover(self) -> list[Found | Rejected]:
        """The report of each revision."""
        found, refused = discover(self.top)
        return [*found, *refused]

    def judge_all(self, new: Sequence[Found]) -> Iterator[Any]:
        """Read them in this process, which reads some thousand reports a second."""
        return map(_judge, new)

    def recorded(self) -> list[dict[str, Any]]:
        """The reports of the archive."""
        return [{**row, "filename": REPORT} for row in self._of_archive()]

    def present(self) -> list[str]:
        """The reports of the archive whose rows are in the table."""
        return [f"{Path(row['directory']).name}/{REPORT}" for row in self._of_archive()]

    def _of_archive(self) -> list[dict[str, Any]]:
        return [row for row in self._reports.values() if row["directory"] is not None]

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Record the files and what they report."""
        self.files.note(refused)
        for result in judged:
            if isinstance(result, Rejected):
                self.files.note([result])
            else:
                self.files.note([result[0]])
                _put(self._reports, result[1])

    def make(self) -> Written:
        """The years that are stale."""
        released = released_in(self.root, read_table(self.root, "partition"))
        return _build_reports(self.root, self.partitions, self._reports, released)


class Rms(Part):
    """The archive's table, and the rows that were computed."""

    name, table, on_cluster = VV_RMS.name, VV_RMS.name, False

    def __init__(self, run: Run, top: Path) -> None:
        super().__init__(run, top)
        self._archived, self._computed = _rms_so_far(self.root, self.partitions)

    def discover(self) -> list[Found | Rejected]:
        """The table."""
        path = self.top / TABLE
        if os.path.lexists(path):
            return [found_in(self.top, TABLE)]
        return [Rejected(place(path), "it is not there; vv_rms keeps the rows that it has")]

    def judge_all(self, new: Sequence[Found]) -> Iterator[Any]:
        """Read it in this process, which saves passing its rows to another."""
        return (stat_table.judge(found, VV_RMS) for found in new)

    def present(self) -> list[str]:
        """None: every ingest reads it, so that lost rows come back."""
        return []

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Record the file, whose rows replace those of the archive's table so far."""
        self.files.note(refused)
        for result in judged:
            if isinstance(result, Rejected):
                self.files.note([result])
                continue
            taken, rows = result
            self.files.rows = {name: row for name, row in self.files.rows.items() if name == taken.found.name}
            self.files.note([taken])
            self._archived = _of_archive(stat_table.columns(rows, np.arange(len(rows)), VV_RMS))

    def make(self) -> Written:
        """The years that are stale."""
        released = released_in(self.root, read_table(self.root, "partition"))
        return _build_rms(self.root, self.partitions, self._archived, self._computed, released)


def store(computed: Iterable[Computed], lake: str | os.PathLike[str], rejected: Iterable[Rejected] = ()) -> Report:
    """Store computed residuals in a lake."""
    began = perf_counter()
    root = absolute(lake)
    report = Report("vv")
    with writing(root):
        partition = read_table(root, "partition")
        here = partitions(partition, [VV_RMS.name, VV_REPORT.name])
        reports, (rows, own) = _known(root, here), _rms_so_far(root, here)
        files = SourceFiles(root, VV_REPORT.name, Path(root), report)
        for one in computed:
            row = read_report(one.report.encode()) | {"computed": True, "directory": None}
            obsid, revision = _put(reports, row)
            more = pa.Table.from_pylist(
                [{**rms, "position": None, "computed": True} for rms in one.rms_rows], schema=VV_RMS.schema
            )
            own = pa.concat_tables([own.filter(~np.isin(_keys(own), _keys(more))), more])
            folder = f"{obsid:05d}_v{revision:02d}"
            files.seen.add(f"{folder[:2]}/{folder}")
            report.taken.append(folder)
            report.rows += 1 + len(more)
        files.note(rejected)
        released = released_in(root, partition)
        written = _build_reports(root, here, reports, released)
        files.commit(written | _build_rms(root, here, rows, own, released))
    report.seconds = perf_counter() - began
    return report


def derive(root: LakePath, partition: pa.Table, pools: Pools, report: Report) -> Written:
    """Rebuild the partitions whose flags of released revisions have changed."""
    released = released_in(root, partition)
    so_far = partitions(partition, [VV_RMS.name, VV_REPORT.name])
    written = _build_reports(root, so_far, _known(root, so_far), released)
    archived, computed = _rms_so_far(root, so_far)
    return written | (_build_rms(root, so_far, archived, computed, released) if len(computed) else {})


def _known(root: LakePath, here: Here) -> Rows:
    """The rows that `vv_report` has, without the long columns."""
    rows: Rows = {}
    for (table, _), partition in sorted(here.items()):
        if table == VV_REPORT.name:
            for row in read_partition(root / partition["path"], columns=_KEPT).to_pylist():
                rows[row["obsid"], row["revision"]] = row
    return rows


def _put(reports: Rows, row: dict[str, Any]) -> tuple[int, int]:
    """Add a report of the archive, or a computed one, which replaces it; the folder is that of the archive."""
    key = row["obsid"], row["revision"]
    before = reports.get(key)
    if before is not None and before["computed"] and not row["computed"]:
        before["directory"] = row["directory"]
    else:
        reports[key] = row | {"directory": row["directory"] or (before["directory"] if before else None)}
    return key


def _build_reports(root: LakePath, here: Here, reports: Rows, released: Released) -> Written:
    """Rebuild the stale years of `vv_report`."""
    known = {obsid for obsid, _ in released}
    years: dict[int, list[dict[str, Any]]] = {}
    for key, row in sorted(reports.items()):
        row["isdefault"] = released.get(key, False) if key[0] in known else None
        years.setdefault(EPOCH.year if row["tstart"] is None else utc_day(row["tstart"]).year, []).append(row)
    written: Written = {}
    for year, rows in years.items():
        rows.sort(key=lambda row: (row["tstart"] or 0.0, row["obsid"], row["revision"]))
        facts = derived_from([[row[name] for name in _KEPT] for row in rows])
        so_far = here.get((VV_REPORT.name, Key.of_year(year).day_number))
        if so_far is not None and so_far["derived_from"] == facts:
            continue
        before: Rows = {}
        if so_far is not None:
            stored = read_partition(root / so_far["path"], schema=VV_REPORT.schema)
            before = {(row["obsid"], row["revision"]): row for row in stored.to_pylist()}
        whole = [
            {"slots": _slots(json.loads(row["report"])["slots"]), **row}
            if "report" in row
            else before[row["obsid"], row["revision"]] | row
            for row in rows
        ]
        table = pa.Table.from_pylist(whole, schema=VV_REPORT.schema)
        written[VV_REPORT.name, Key.of_year(year)] = stat_table.pin_year(root, VV_REPORT, year, table, facts)
    return _gone(here, VV_REPORT.name, years) | written


def _rms_so_far(root: LakePath, here: Here) -> tuple[pa.Table, pa.Table]:
    """The rows of `vv_rms` from the archive's table, and those that were computed."""
    paths = [root / partition["path"] for (table, _), partition in sorted(here.items()) if table == VV_RMS.name]
    tables = [read_partition(path, schema=VV_RMS.schema) for path in paths]
    rows = pa.concat_tables([VV_RMS.schema.empty_table(), *tables])
    computed = rows.column("computed").to_numpy().astype(bool)
    return rows.filter(~computed), rows.filter(computed)


def _of_archive(rows: pa.Table) -> pa.Table:
    return rows.append_column(VV_RMS.schema.field("computed"), pa.repeat(False, len(rows)))


def _keys(rows: pa.Table) -> NDArray[np.int64]:
    """A number for each row's observation and revision."""
    obsid, revision = (rows.column(name).to_numpy().astype(np.int64) for name in ("obsid", "revision"))
    keys: NDArray[np.int64] = obsid * (1 << 32) + revision
    return keys


def _build_rms(root: LakePath, here: Here, archived: pa.Table, computed: pa.Table, released: Released) -> Written:
    """Rebuild the stale years of `vv_rms`."""
    archived = archived.filter(~np.isin(_keys(archived), _keys(computed))).sort_by("position")
    order = [(name, "ascending") for name in ("tstart", "obsid", "revision", "slot")]
    rows = pa.concat_tables([archived, computed.sort_by(order)]).combine_chunks()
    known = {obsid for obsid, _ in released} & set(computed.column("obsid").to_pylist())
    obsids, revisions, flags = (rows.column(name).to_numpy() for name in ("obsid", "revision", "isdefault"))
    flags = flags.copy()
    for n in np.flatnonzero(np.isin(obsids, list(known))):
        flags[n] = released.get((int(obsids[n]), int(revisions[n])), False)
    index = VV_RMS.schema.get_field_index("isdefault")
    rows = rows.set_column(index, VV_RMS.schema.field(index), pa.array(flags, pa.int32()))
    year = stat_table.years(rows.column("tstart").to_numpy())
    written: Written = {}
    years = np.unique(year).tolist()
    for one in years:
        row = stat_table.pin_year(root, VV_RMS, one, rows.filter(year == one))
        so_far = here.get((VV_RMS.name, Key.of_year(one).day_number))
        if so_far is None or so_far["path"] != row["path"]:
            written[VV_RMS.name, Key.of_year(one)] = row
    return _gone(here, VV_RMS.name, years) | written


def _gone(here: Here, name: str, years: Iterable[int]) -> Written:
    """The years of a table that have no rows any more."""
    stay = {Key.of_year(year) for year in years}
    return {
        (table, Key.of_year(row["year"])): None
        for (table, _), row in here.items()
        if table == name and Key.of_year(row["year"]) not in stay
    }


PARTS = (Reports, Rms)
ingest = partial(follow.ingest, "vv")
