"""
Observation parameters: from files ``OO/OOOOO_vRR/axaff*_obs0a.par[.gz]`` to tables `obspar_kv` and `obspar`.

`obspar_kv` has a row for each parameter, as in the file; `obspar` is derived from it: a row for each observation and
revision, a typed column for each parameter.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.formats.obspar import LARGEST, Parameter, num_ccd_on, read, typed
from mica_lake.formats.on_disk import read as read_file
from mica_lake.formats.on_disk import unescaped
from mica_lake.ingest import follow, revision_folders
from mica_lake.ingest.follow import Part, Run, Written
from mica_lake.ingest.found import Found, Rejected, Taken, found_in, place, rejected
from mica_lake.ingest.revision_folders import Revision
from mica_lake.ingest.source_files import SourceFiles, derived_from
from mica_lake.ingest.wide import table_of, widest
from mica_lake.store.place import LakePath
from mica_lake.tables.obspar import OBSPAR, OBSPAR_KV
from mica_lake.times import utc_day

_FORM = "axaff<obsid>_<obi>N<version>_obs0a.par[.gz]"
NAME = re.compile(r"axaff(\d{5})_(?P<obi>\d{3})N(?P<number>\d{3})_obs0a\.par(\.gz)?", re.ASCII)
TYPES = {"s": pa.string(), "i": pa.int64(), "r": pa.float64()}
_USED = ("tstart", "tstop", "obs_id")


def _interval(parameters: Sequence[Parameter], obsid: int) -> tuple[float, float]:
    """Start and stop of the observation, which every obspar must have."""
    for name in _USED:
        if len(given := {p.typed for p in parameters if p.name == name}) > 1:
            raise BadFile(f"it has more than one {name}: {', '.join(sorted(map(str, given)))}")
    values = {p.name: p.typed for p in parameters}
    tstart, tstop = values.get("tstart"), values.get("tstop")
    if not isinstance(tstart, float) or not isinstance(tstop, float) or not 0 < tstart <= tstop < 6.3e9:
        raise BadFile(f"it has no interval: tstart {tstart}, tstop {tstop}")
    said = values.get("obs_id")
    if said is not None and str(said).strip().lstrip("0") != str(obsid).lstrip("0"):
        raise BadFile(f"its folder contradicts its obs_id, {said}")
    return tstart, tstop


def _judge(found: Found) -> Taken | Rejected:
    try:
        content = read_file(found.path, LARGEST)
        obsid, _, revision = Path(found.directory).name.partition("_v")
        match = NAME.fullmatch(found.filename)
        if match is None or match[1] != obsid:
            raise BadFile(f"its folder contradicts its name: it is of observation {obsid}")
        parameters = read(content)
        tstart, tstop = _interval(parameters, int(obsid))
    except Exception as error:  # whatever one file raises, the others go in
        return rejected(found, error)
    facts = {"tstart": tstart, "tstop": tstop, "revision": int(revision), "rows": len(parameters)}
    return Taken(found, checksum(content), facts)


def discover(top: Path) -> tuple[list[Revision], list[Found], list[Rejected]]:
    """The obspar files in an archive."""
    revisions, refused = revision_folders.discover(top)
    listed = revision_folders.listed_in(top)
    found = []
    for revision in revisions:
        folder = unescaped(revision.directory)
        names, misnamed = revision_folders.named(revision, listed, _of_obspar, NAME, _FORM)
        refused += misnamed
        if names is None:
            continue
        if not names:
            refused.append(Rejected(place(folder), "it has no obspar file"))
            continue
        chosen = max(names, key=_precedence)
        found.append(found_in(folder, chosen))
        for name in names:
            if name != chosen:
                reason = "it is there gzipped, too" if f"{name}.gz" == chosen else f"{chosen} is that of its revision"
                # Without size and date, so that it is looked at again when the other has gone.
                refused.append(Rejected(place(Path(folder, name)), reason))
    return revisions, found, refused


def _of_obspar(name: str) -> bool:
    return name.startswith("axaf") or name.endswith((".par", ".par.gz"))


def _precedence(name: str) -> tuple[int, int, bool]:
    """Which file of a revision counts: that of the first OBI, then that with the highest number."""
    match = NAME.fullmatch(name)
    assert match is not None
    return -int(match["obi"]), int(match["number"]), name.endswith(".gz")


@dataclass(frozen=True)
class Year:
    """
    A year of `obspar_kv` to rebuild.

    Attributes
    ----------
    root : path
        The lake.
    year : int
        The year.
    existing : str or None
        Its version so far, relative to the lake.
    revisions : tuple of (Revision, Found, checksum, tstart)
        What it should hold, by time.
    read : frozenset of (obsid, revision)
        Those whose files must be read; the rows of the others are in the lake.
    """

    root: LakePath
    year: int
    existing: str | None
    revisions: tuple[tuple[Revision, Found, str, float], ...]
    read: frozenset[tuple[int, int]]

    @property
    def derived_from(self) -> str:
        """A checksum of what it is made from."""
        return derived_from([[r.obsid, r.revision, r.isdefault, digest] for r, _, digest, _ in self.revisions])


def build_year(job: Year) -> tuple[dict[str, Any] | None, list[Rejected]]:
    """Rebuild a year of `obspar_kv`; it is written, but not committed."""
    before = OBSPAR_KV.schema.empty_table()
    if job.existing is not None:
        before = read_partition(job.root / job.existing, schema=OBSPAR_KV.schema).combine_chunks()
    places = _places(before)
    parts, refused, done = [], [], []
    for item in job.revisions:
        revision, found, digest, tstart = item
        key = (revision.obsid, revision.revision)
        if key in job.read:
            try:
                content = read_file(found.path, LARGEST)
                if checksum(content) != digest:
                    raise BadFile("its rows must be read again, but it is another file now")
                parts.append(_rows(revision, read(content), tstart))
            except Exception as error:  # whatever one file raises, the others go in
                refused.append(rejected(found, error))
                continue
        else:
            first, last = places[key]
            part = before.slice(first, last - first)
            index = part.schema.get_field_index("isdefault")
            parts.append(part.set_column(index, part.schema.field(index), pa.repeat(revision.isdefault, len(part))))
        done.append(item)
    if not parts:
        return None, refused
    facts = replace(job, revisions=tuple(done)).derived_from
    return pin(job.root, OBSPAR_KV, Key.of_year(job.year), pa.concat_tables(parts), [], facts), refused


def _rows(revision: Revision, parameters: Sequence[Parameter], tstart: float) -> pa.Table:
    count = len(parameters)
    numbers = [None if p.type == "s" or p.value is None else float(p.value) for p in parameters]
    columns = [
        pa.repeat(pa.scalar(revision.obsid, pa.int32()), count),
        pa.repeat(pa.scalar(revision.revision, pa.int32()), count),
        pa.repeat(revision.isdefault, count),
        *(pa.array([getattr(p, name) for p in parameters], pa.string()) for name in ("name", "type", "value")),
        pa.array(numbers, pa.float64()),
        pa.array([p.description for p in parameters], pa.string()),
        pa.repeat(tstart, count),
    ]
    return pa.Table.from_arrays(columns, schema=OBSPAR_KV.schema)


def _places(rows: pa.Table) -> dict[tuple[int, int], tuple[int, int]]:
    """The first row of each revision, and the row after its last."""
    obsid, revision = (rows.column(name).to_numpy() for name in ("obsid", "revision"))
    if not len(rows):
        return {}
    starts = np.flatnonzero(np.r_[True, (np.diff(obsid) != 0) | (np.diff(revision) != 0)])
    stops = np.r_[starts[1:], len(rows)]
    keys = zip(obsid[starts].tolist(), revision[starts].tolist(), strict=True)
    return dict(zip(keys, zip(starts.tolist(), stops.tolist(), strict=True), strict=True))


def _build_wide(
    root: LakePath, year: int, path: str, place: Mapping[tuple[int, int], Mapping[str, Any]],
    types: Mapping[str, pa.DataType], facts: str,
) -> dict[str, Any]:  # fmt: skip
    """Rebuild a year of `obspar` from that of `obspar_kv`; it is written, but not committed."""
    rows = read_partition(root / path, schema=OBSPAR_KV.schema)
    names, kinds, values = (rows.column(name).to_pylist() for name in ("name", "type", "value"))
    declared, keys = [], []
    for key, (first, last) in _places(rows.combine_chunks()).items():
        parameters = {names[i].lower(): typed(kinds[i], values[i]) for i in range(first, last)}
        declared.append({**place[key], "num_ccd_on": num_ccd_on(parameters)})
        keys.append(parameters)
    return pin(root, OBSPAR, Key.of_year(year), table_of(OBSPAR, declared, keys, types), [], facts)


class Obspar(Part):
    """The obspars, one for each revision of an observation."""

    name, table, files_a_task = OBSPAR.name, OBSPAR.name, 32
    judge = staticmethod(_judge)

    def __init__(self, run: Run, top: Path) -> None:
        super().__init__(run, top)
        self._known = _known(self.root, self.partitions)

    def discover(self) -> list[Found | Rejected]:
        """The file of each revision."""
        self._revisions, found, refused = discover(self.top)
        return [*found, *refused]

    def recorded(self) -> list[dict[str, Any]]:
        """The files that `obspar` names."""
        return self._known

    def present(self) -> list[str]:
        """The files whose rows are in the tables."""
        return [f"{Path(row['directory']).name}/{row['filename']}" for row in self._known]

    def note(self, refused: Sequence[Rejected], judged: Sequence[Taken | Rejected]) -> None:
        """Record the files, and those that are gone: a revision has one file, whatever its name."""
        super().note(refused, judged)
        self.files.follow({name.split("/")[0] for name in self.files.seen}, lambda name: name.split("/")[0])

    def make(self) -> Written:
        """`obspar_kv`, then `obspar`."""
        return _build(self.root, self.files, self.partitions, self._known, self._revisions, self.run.pools)


def _known(root: LakePath, here: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The revisions in the lake."""
    columns = [c.name for c in OBSPAR.columns if c.name != "num_ccd_on"]
    rows: list[dict[str, Any]] = []
    for (table, _), row in sorted(here.items()):
        if table == OBSPAR.name:
            rows += read_partition(root / row["path"], columns=columns).to_pylist()
    return rows


def _build(
    root: LakePath,
    files: SourceFiles,
    here: Mapping[tuple[str, int], Mapping[str, Any]],
    known: Sequence[Mapping[str, Any]],
    revisions: Sequence[Revision],
    pools: Callable[[int], Executor],
) -> dict[tuple[str, Key], dict[str, Any] | None]:
    """Rebuild the stale partitions."""
    sources = {Path(row["directory"]).name: row for row in files.rows.values()}
    present = {(row["obsid"], row["revision"]) for row in known}
    attributes = [{name: row[name] for name in revision_folders.ATTRIBUTES} for row in known]
    years: dict[int, list[tuple[Revision, dict[str, Any]]]] = {}
    for revision in revision_folders.with_those_gone(revisions, attributes):
        row = sources.get(Path(revision.directory).name)
        if row is not None:
            years.setdefault(utc_day(row["tstart"]).year, []).append((revision, row))
    written: dict[tuple[str, Key], dict[str, Any] | None] = {}
    jobs = []
    for year, ours in sorted(years.items()):
        ours.sort(key=lambda item: (item[1]["tstart"], item[0].obsid, item[0].revision))
        so_far = here.get((OBSPAR_KV.name, Key.of_year(year).day_number))
        listed = tuple((r, Found(row["directory"], row["filename"]), row["checksum"], row["tstart"]) for r, row in ours)
        job = Year(
            root, year, so_far["path"] if so_far else None, listed, _to_read(root, listed, files, present, so_far)
        )
        if so_far is None or so_far["derived_from"] != job.derived_from:
            jobs.append(job)
    results = pools(sum(len(job.read) for job in jobs)).map(build_year, jobs)
    for job, (row, refused) in zip(jobs, results, strict=True):
        written[OBSPAR_KV.name, Key.of_year(job.year)] = row
        for r in refused:
            files.lose(r)
            years[job.year] = [
                item for item in years[job.year] if Path(item[0].directory).name != r.found.name.split("/")[0]
            ]
    paths = {
        year: (written.get((OBSPAR_KV.name, Key.of_year(year))) or here[OBSPAR_KV.name, Key.of_year(year).day_number])[
            "path"
        ]
        for year, ours in years.items()
        if ours
    }
    types = _types(root, list(paths.values()))
    columns = [[name, str(type_)] for name, type_ in types.items()]
    for year, path in sorted(paths.items()):
        place = {
            (r.obsid, r.revision): asdict(r) | {name: row[name] for name in ("filename", "checksum", "tstart", "tstop")}
            for r, row in years[year]
        }
        facts = derived_from([path, [list(p.values()) for p in place.values()], columns])
        so_far = here.get((OBSPAR.name, Key.of_year(year).day_number))
        if so_far is None or so_far["derived_from"] != facts:
            written[OBSPAR.name, Key.of_year(year)] = _build_wide(root, year, path, place, types, facts)
    for table, day in here:
        key = Key(EPOCH + timedelta(days=day))
        if key.day.year not in paths:
            written[table, key] = None
    return written


def _to_read(
    root: LakePath,
    listed: Sequence[tuple[Revision, Found, str, float]],
    files: SourceFiles,
    present: set[tuple[int, int]],
    so_far: Mapping[str, Any] | None,
) -> frozenset[tuple[int, int]]:
    """The revisions of a year whose rows its partition lacks."""
    there: set[tuple[int, int]] = set()
    if so_far is not None:
        columns = read_partition(root / so_far["path"], columns=["obsid", "revision"])
        there = present & _places(columns.combine_chunks()).keys()
    return frozenset(
        (r.obsid, r.revision) for r, f, _, _ in listed if f.name in files.fresh or (r.obsid, r.revision) not in there
    )


def _types(root: LakePath, paths: Sequence[str]) -> dict[str, pa.DataType]:
    """Type of each parameter across all years, by name."""
    met: dict[str, set[str]] = {}
    for path in paths:
        rows = read_partition(root / path, columns=["name", "type"])
        for row in rows.group_by(["name", "type"]).aggregate([]).to_pylist():
            met.setdefault(row["name"].lower(), set()).add(row["type"])
    return {name: widest(TYPES[kind] for kind in kinds) for name, kinds in sorted(met.items())}


PARTS = (Obspar,)
ingest = partial(follow.ingest, "obspar")
