"""
Load reviews: from ``starcheck.txt`` reports, or the database that mica keeps of them, to the tables of a load each.

A load is taken whole, from the newest report of it, so the order in which reports arrive does not matter. What ran
comes from a table ``observations.csv``, the newest if there are several.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import checksum, read_partition, values_checksum
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.formats import starcheck as report
from mica_lake.formats.database import LARGEST_DATABASE, read_database
from mica_lake.formats.on_disk import escaped, leads_nowhere, read
from mica_lake.formats.starcheck import Observation, folder_of, load_date, load_name
from mica_lake.ingest import follow
from mica_lake.ingest.follow import Part, Written
from mica_lake.ingest.found import Found, Rejected, Taken, archive_folder, found_in, looked_at, rejected, walk
from mica_lake.ingest.source_files import derived_from
from mica_lake.products import Product
from mica_lake.tables import TABLES
from mica_lake.tables.starcheck import (
    OBSERVATION,
    STARCHECK,
    STARCHECK_CATALOG,
    STARCHECK_LOAD,
    STARCHECK_MANVR,
    STARCHECK_PRED_TEMP,
    STARCHECK_WARNING,
)
from mica_lake.tables.table import Table
from mica_lake.times import cxcsec, day_start

REPORT, DATABASE, WHAT_RAN = "starcheck.txt", "starcheck.db3", "observations.csv"
# 27 years of observations are a hundredth of this.
_LARGEST_CSV = 1 << 28
_FOLDER = re.compile(r"\d{4}/[A-Z]{3}\d{4}/ofls[a-z]", re.ASCII)
# The tables that a load's rows are in, with the columns of the database's, after those that name the observation.
_PARTS = {
    STARCHECK: ("obs", report.HEADER),
    STARCHECK_MANVR: ("manvr", report.MANEUVER),
    STARCHECK_CATALOG: ("catalog", report.CATALOG),
    STARCHECK_WARNING: ("warnings", report.WARNING),
    STARCHECK_PRED_TEMP: ("pred_temp", ("pred_ccd_temp",)),
}
_OF_LOADS = (STARCHECK_LOAD, *_PARTS)
_CSV_COLUMNS = ("obsid", "manvr_start", "obs_start", "obs_stop", "starcat_date", "source")
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Load:
    """
    A load as one source has it.

    Attributes
    ----------
    mp_dir : str
        Its folder.
    mtime : float
        When its report was written, Unix time.
    source : str
        The file.
    checksum : str
        SHA-256 of the report, or of its rows in the database.
    tables : dict
        Its rows in each table, by the table's name; empty of what the lake has already.
    """

    mp_dir: str
    mtime: float
    source: str
    checksum: str
    tables: Mapping[str, pa.Table] = field(default_factory=dict, compare=False)

    @staticmethod
    def of(mp_dir: str, mtime: float, source: str, digest: str, rows: Mapping[str, Rows]) -> "Load":
        """A load, with the rows of the database's tables; a BadFile if a value does not fit in a column."""
        day = load_date(mp_dir)
        tstart = day_start(day) if day else None
        own = (mp_dir, tstart, load_name(mp_dir), mtime, source, digest)
        tables = {STARCHECK_LOAD.name: _columns(STARCHECK_LOAD, [own], mp_dir)}
        for table in _PARTS:
            made = _columns(table, [(mp_dir, tstart, *row) for row in rows[table.name]], mp_dir)
            tables[table.name] = made.sort_by("obs_idx") if "obs_idx" in made.column_names else made
        return Load(mp_dir, mtime, source, digest, tables)

    @property
    def newness(self) -> tuple[float, str]:
        """Of two sources of a load, the greater counts."""
        return self.mtime, self.source

    @property
    def facts(self) -> list[Any]:
        """What partitions are derived from."""
        return [self.mp_dir, self.mtime, self.source, self.checksum]


def rows_of_report(observations: Sequence[Observation]) -> dict[str, Rows]:
    """The rows of a report."""
    rows: dict[str, Rows] = {table.name: [] for table in _PARTS}
    for n, one in enumerate(observations):
        key = (one.obsid, n)
        rows[STARCHECK.name].append((*key, *(one.header[name] for name in report.HEADER)))
        for table, parts in (
            (STARCHECK_MANVR, one.maneuvers), (STARCHECK_CATALOG, one.catalog), (STARCHECK_WARNING, one.warnings)
        ):  # fmt: skip
            rows[table.name] += [(*key, *(part[name] for name in _PARTS[table][1])) for part in parts]
        if one.pred_ccd_temp is not None:
            rows[STARCHECK_PRED_TEMP.name].append((one.obsid, one.pred_ccd_temp))
    return rows


def read_loads(path: Path) -> list[Load]:
    """The loads in a database."""
    loads = {
        sc_id: (mp_dir, float(mtime))
        for sc_id, mp_dir, mtime in _queried(path, "SELECT id, dir, mtime FROM starcheck_id")
    }
    rows: dict[int, dict[str, Rows]] = {sc_id: {table.name: [] for table in _PARTS} for sc_id in loads}
    for table, (part, names) in _PARTS.items():
        key = ("obsid",) if table is STARCHECK_PRED_TEMP else ("obsid", "obs_idx")
        columns = ", ".join(f'"{name}"' for name in ("sc_id", *key, *names))
        for sc_id, *row in _queried(path, f"SELECT {columns} FROM starcheck_{part} ORDER BY rowid"):
            if sc_id not in rows:
                raise BadFile(
                    f"a row of its table starcheck_{part} is of load {sc_id}, which starcheck_id does not have"
                )
            rows[sc_id][table.name].append(tuple(row))
    found: dict[str, Load] = {}
    for sc_id, (mp_dir, mtime) in loads.items():
        load = Load.of(mp_dir, mtime, path.name, checksum(repr(rows[sc_id]).encode()), rows[sc_id])
        found[mp_dir] = max(found.get(mp_dir, load), load, key=lambda one: one.newness)
    return list(found.values())


def _queried(path: Path, query: str) -> Rows:
    rows = read_database(path, query)
    if rows is None:
        raise FileNotFoundError(f"{path} is not there")
    return rows


def _columns(table: Table, rows: Rows, mp_dir: str) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(table.schema)
    try:
        arrays = [pa.array(column, field.type) for column, field in zip(columns, table.schema, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise BadFile(f"a row of {table.name} of {mp_dir} cannot be taken: {error}") from None
    return pa.Table.from_arrays(arrays, schema=table.schema)


def read_what_ran(content: bytes) -> pa.Table:
    """The observations of ``observations.csv``, in time order."""
    lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    missing = [name for name in _CSV_COLUMNS if name not in (lines.fieldnames or ())]
    if missing:
        raise BadFile(f"it has no column {' and no '.join(missing)}")
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            start, stop = cxcsec(line["obs_start"]), cxcsec(line["obs_stop"])
            cxcsec(line["starcat_date"] or line["obs_start"])
            row: dict[str, Any] = {name: line[name] for name in _CSV_COLUMNS[1:]}
            row |= {"obsid": int(line["obsid"]), "starcat_date": line["starcat_date"] or None}
            rows.append(row | {"tstart": start, "tstop": stop, "mp_dir": folder_of(line["source"])})
        except (ValueError, TypeError) as error:
            raise BadFile(f"line {number}: {error}") from None
    rows.sort(key=lambda row: row["tstart"])
    return pa.Table.from_pylist(rows, OBSERVATION.schema)


class Starcheck(Part):
    """The loads, each from the newest of its reports, and what ran."""

    name, table = "starcheck", STARCHECK.name
    several = True
    on_cluster = False
    files_a_task: ClassVar[int] = 8

    @staticmethod
    def folder(source: Any, product: Product) -> Path:
        """The product's folder below a ``$SKA`` root; any other folder, or file, as it is."""
        path = Path(source).absolute()
        return path if path.is_file() else archive_folder(source, product.folder)

    def discover(self) -> Iterator[Found | Rejected]:
        """Reports in folders YYYY/MMMDDYY/ofls[a-z], databases, and tables of what ran."""
        for top in self.tops:
            if not top.is_dir():
                yield _report_in(top.parent) if top.name == REPORT else found_in(top.parent, top.name)
                continue
            refused: list[Rejected] = []
            for directory, names in walk(top, refused):
                for name in names:
                    if name == REPORT:
                        if not _FOLDER.fullmatch("/".join(Path(directory).parts[-3:])):
                            continue
                        found = _report_in(Path(directory))
                    elif name in (DATABASE, WHAT_RAN):
                        found = found_in(directory, name)
                    else:
                        continue
                    reason = leads_nowhere(found.path)
                    yield Rejected(found, reason) if reason else found
            yield from refused

    @staticmethod
    def judge(found: Found) -> tuple[Taken, list[Load] | pa.Table] | Rejected:
        """The loads of a report or database, or what ran."""
        try:
            if found.path.name == WHAT_RAN:
                content = read(found.path, _LARGEST_CSV)
                ran = read_what_ran(content)
                return Taken(found, checksum(content), {"rows": len(ran)}), ran
            if found.path.name == DATABASE:
                loads, digest = read_loads(found.path), checksum(read(found.path, LARGEST_DATABASE))
            elif found.path.name != REPORT or not _FOLDER.fullmatch(found.filename.removesuffix(f"/{REPORT}")):
                raise BadFile(f"it is neither YYYY/MMMDDYY/oflsX/{REPORT} nor {DATABASE} nor {WHAT_RAN}")
            else:
                content = read(found.path, report.LARGEST)
                observations = report.parse(content)
                if not observations:
                    raise BadFile("it has no observation: no piece of it begins with OBSID: and a number")
                mp_dir, digest = _mp_dir(found.filename), checksum(content)
                loads = [Load.of(mp_dir, _unix_time(found.mtime_ns), found.name, digest, rows_of_report(observations))]
            return Taken(found, digest, {"rows": sum(len(load.tables[STARCHECK.name]) for load in loads)}), loads
        except Exception as error:  # whatever one file raises, the others go in
            return rejected(found, error)

    def begin(self, found: Sequence[Found], refused: Sequence[Rejected]) -> None:
        """Read which loads the lake has."""
        super().begin(found, refused)
        self._known = {
            row["mp_dir"]: Load(row["mp_dir"], row["mtime"], row["source"], row["checksum"])
            for row in self._rows_so_far(STARCHECK_LOAD).to_pylist()
        }
        # What a year has lost of a table, only the sources of its loads can give back.
        self._incomplete = {
            year
            for year in {row["year"] for (name, _), row in self.partitions.items() if name != OBSERVATION.name}
            if len({self.so_far(table.name, Key.of_year(year)).get("derived_from") for table in _OF_LOADS}) != 1
            or self.so_far(STARCHECK_LOAD.name, Key.of_year(year)).get("derived_from") is None
        }
        self._loads: dict[str, Load] = {}
        self._ran: dict[str, pa.Table] = {}

    def _rows_so_far(self, table: Table) -> pa.Table:
        paths = [row["path"] for (name, _), row in sorted(self.partitions.items()) if name == table.name]
        parts = [read_partition(self.root / path, schema=table.schema) for path in paths]
        return pa.concat_tables([table.schema.empty_table(), *parts])

    def present(self) -> list[str]:
        """The files whose loads are in the lake, from them or newer ones."""
        if self._incomplete:
            return [name for name in self.files.rows if name.endswith(f"/{WHAT_RAN}")]
        return [
            name for name, row in self.files.rows.items() if self._has(Found(row["directory"], row["filename"]), row)
        ]

    def _has(self, found: Found, row: Mapping[str, Any]) -> bool:
        if found.path.name == WHAT_RAN:
            winner = self._newest_that_ran()
            here = self.so_far(OBSERVATION.name, Key(EPOCH)).get("derived_from")
            return found.name != winner or here == derived_from([row["checksum"]])
        if found.path.name == DATABASE:
            try:
                loads = _queried(found.path, "SELECT dir, mtime FROM starcheck_id")
            except (OSError, BadFile):
                return False
            return all(mp_dir in self._known and self._known[mp_dir].mtime >= mtime for mp_dir, mtime in loads)
        known = self._known.get(_mp_dir(row["filename"]))
        return known is not None and known.mtime >= _unix_time(row["mtime_ns"])

    def _newest_that_ran(self) -> str:
        """Name of the newest table of what ran."""
        ran = {name: row for name, row in self.files.rows.items() if name.endswith(f"/{WHAT_RAN}")}
        return max(ran, key=lambda name: (ran[name]["mtime_ns"], name), default="")

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Keep what was read until the partitions are made."""
        for result in judged:
            if isinstance(result, Rejected):
                continue
            taken, content = result
            if isinstance(content, pa.Table):
                self._ran[taken.found.name] = content
                continue
            for load in content:
                so_far = self._loads.get(load.mp_dir)
                self._loads[load.mp_dir] = load if so_far is None else max(so_far, load, key=lambda one: one.newness)
        self.files.note([*refused, *(one if isinstance(one, Rejected) else one[0] for one in judged)])

    def make(self) -> Written:
        """The years whose loads have changed, and what ran."""
        fresh = {
            mp_dir: load
            for mp_dir, load in self._loads.items()
            if mp_dir not in self._known or load.newness >= self._known[mp_dir].newness
        }
        years: dict[int, dict[str, Load]] = {}
        for mp_dir, load in (self._known | fresh).items():
            years.setdefault(_year(mp_dir), {})[mp_dir] = load
        written: Written = {}
        for year, loads in sorted(years.items()):
            written |= self._of_year(
                Key.of_year(year), loads, {mp_dir: fresh[mp_dir] for mp_dir in loads if mp_dir in fresh}
            )
        winner = self._newest_that_ran()
        if winner in self._ran:
            facts = derived_from([self.files.rows[winner]["checksum"]])
            if self.so_far(OBSERVATION.name, Key(EPOCH)).get("derived_from") != facts:
                written[OBSERVATION.name, Key(EPOCH)] = pin(
                    self.root, OBSERVATION, Key(EPOCH), self._ran[winner], [], facts
                )
        return written

    def differing(self, found: Sequence[Found]) -> Iterator[tuple[str, str]]:
        """Where the rows of a load, or of what ran, are not those of its file."""
        self.begin(found, ())
        self.note((), [self.judge(one) for one in found])
        for mp_dir, load in sorted(self._loads.items()):
            key = Key.of_year(_year(mp_dir))
            known = self._known.get(mp_dir)
            if known is None:
                yield STARCHECK_LOAD.name, key.path(STARCHECK_LOAD)
            if known is None or known.newness > load.newness:
                continue  # there is nothing to compare, or a newer source of it counts
            for name, rows in load.tables.items():
                so_far = self.so_far(name, key)
                here = read_partition(self.root / so_far["path"]) if so_far else rows.slice(0, 0)
                own = here.filter(pc.equal(here.column("mp_dir"), mp_dir))
                if values_checksum(own) != values_checksum(rows):
                    yield name, key.path(TABLES[name])
        winner = self._newest_that_ran()
        if winner in self._ran:
            here = self._rows_so_far(OBSERVATION)
            if values_checksum(here) != values_checksum(self._ran[winner]):
                yield OBSERVATION.name, Key(EPOCH).path(OBSERVATION)

    def _of_year(self, key: Key, loads: Mapping[str, Load], fresh: Mapping[str, Load]) -> Written:
        facts = derived_from(sorted(load.facts for load in loads.values()))
        so_far = {table: self.so_far(table.name, key) for table in _OF_LOADS}
        if {row.get("derived_from") for row in so_far.values()} == {facts} and key.day.year not in self._incomplete:
            return {}
        kept = {table: self._kept(row, table, fresh) for table, row in so_far.items() if row}
        others = any(len(rows) for rows in kept.values())
        whole = so_far[STARCHECK_LOAD].get("derived_from")
        written: Written = {}
        for table, row in so_far.items():
            parts = [table.schema.empty_table(), *(load.tables[table.name] for load in fresh.values())]
            parts += [kept[table]] if row else []
            rows = pa.concat_tables(parts)
            # By load; within it as in its source.
            rows = rows.take(pc.sort_indices(rows.column("mp_dir")))
            # What it has lost of loads whose sources are not here is still to be taken from them.
            lost = others and row.get("derived_from") != whole
            made_from = derived_from([facts, table.name]) if lost else facts
            # Also without rows, so that a partition that is lost is missed.
            written[table.name, key] = pin(self.root, table, key, rows, [], made_from)
        return written

    def _kept(self, row: Mapping[str, Any], table: Table, fresh: Mapping[str, Load]) -> pa.Table:
        """The rows so far of loads that are not made anew."""
        rows = read_partition(self.root / row["path"], schema=table.schema)
        return rows.filter(pc.invert(pc.is_in(rows.column("mp_dir"), pa.array(list(fresh), pa.string()))))


def _report_in(folder: Path) -> Found:
    """The report in a folder; its folders say which load it is, and belong to its name."""
    *above, year, week, last = folder.parts
    return looked_at(Found(escaped(Path(*above)), escaped(f"{year}/{week}/{last}/{REPORT}")))


def _year(mp_dir: str) -> int:
    """The year that a load is kept in."""
    day = load_date(mp_dir)
    return day.year if day else EPOCH.year


def _mp_dir(filename: str) -> str:
    """Folder of the load that a report is of, by its name."""
    return f"/{filename.removesuffix(REPORT)}"


def _unix_time(nanoseconds: int) -> float:
    """As mica has it: a time that was set as a float is kept cut to a nanosecond."""
    return round(nanoseconds / 1e9, 6)


PARTS = (Starcheck,)

ingest = partial(follow.ingest, "starcheck")
