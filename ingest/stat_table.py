"""
Statistics: from an HDF5 table to a table of the lake, one partition a year.

The file is rewritten whole whenever a row is added or changes, so it is read whole. A partition whose rows have not
changed stays as it is. Rows that `mica-lake stats gather` computed stay, in the place of those of the file of the same
observations.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.progress import Progress

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import checksum, read_partition
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.formats.hdf5 import LARGEST, h5py_module, table_in
from mica_lake.formats.on_disk import read as read_file
from mica_lake.ingest.follow import Part, Run, Written
from mica_lake.ingest.found import Found, Rejected, Taken, found_in, rejected
from mica_lake.ingest.source_files import SourceFiles, derived_from
from mica_lake.products import Product
from mica_lake.store.place import LakePath
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.tables.stat_columns import columns_of, row_dtype
from mica_lake.tables.table import Table
from mica_lake.tables.vv import VV_RMS
from mica_lake.times import day_start

# Node of the table in its file.
NODES = {ACQ_STATS.name: "data", GUIDE_STATS.name: "data", VV_RMS.name: "vv"}
_LAST_YEAR = 2199
# CXC seconds beyond any calendar; a time that is not known is NaN.
_NO_TIME = 1e10
Rows = NDArray[np.void]
# Year -> its row of the catalog's `partition`.
Years = Mapping[int, Mapping[str, Any]]


def source_file(source: str | os.PathLike[str], product: str) -> Path:
    """File of a product."""
    top = Path(os.path.abspath(source))  # noqa: PTH100 - links in it are the user's
    filename = f"{product}.h5"
    if not top.is_dir() and os.path.lexists(top):
        return top
    for place in (top / "data" / product / filename, top / filename):
        if os.path.lexists(place):
            return place
    if not top.exists():
        raise FileNotFoundError(f"{top}: there is no such file or folder")
    raise FileNotFoundError(f"{top} has neither data/{product}/{filename} nor {filename}")


def read(content: bytes, table: Table) -> Rows:
    """Rows of an HDF5 table."""
    with table_in(content, NODES[table.name]) as node:
        _check_columns(h5py_module(), node, table)
        rows = _declared(node[()], table)
    times = rows[table.time]
    odd = np.flatnonzero(np.abs(times) >= _NO_TIME)
    if len(odd):
        raise BadFile(f"{table.time} of row {odd[0]} is {times[odd[0]]}, which is not a time")
    return rows


def _check_columns(h5py: ModuleType, node: Any, table: Table) -> None:
    """Refuse a table whose columns, in any order, are not those declared."""
    expected = {c.name: np.dtype(c.dtype) for c in columns_of(table.name)}
    found: tuple[str, ...] = node.dtype.names
    if missing := [name for name in expected if name not in found]:
        raise BadFile(f"its table /{NODES[table.name]} has no {' and no '.join(missing)}")
    if extra := [name for name in found if name not in expected]:
        raise BadFile(f"its table /{NODES[table.name]} has columns that are not known: {', '.join(extra)}")
    stored = node.id.get_type()
    for index, name in enumerate(found):
        dtype = node.dtype[name]
        # PyTables writes booleans as bit fields of a byte, h5py as an enumeration.
        if stored.get_member_class(index) == h5py.h5t.BITFIELD and dtype == np.uint8:
            dtype = np.dtype(bool)
        if dtype.newbyteorder("=") != expected[name].newbyteorder("="):
            raise BadFile(f"its column {name} is {dtype.str}, not {expected[name].str}")


def _declared(stored: NDArray[Any], table: Table) -> Rows:
    """Rows as declared: order of the columns, byte order, booleans."""
    dtype = row_dtype(table.name)
    if stored.dtype == dtype:
        # h5py's types have notes of its own, which would be among what a partition is derived from.
        return stored.view(dtype)
    rows = np.empty(len(stored), dtype)
    for name in dtype.names or ():
        rows[name] = stored[name]
    return rows


def _texts(values: NDArray[Any]) -> pa.Array:
    # Not from the array itself, which Arrow cuts at a zero byte.
    listed = values.tolist()
    try:
        return pa.array(listed, pa.string())
    except pa.ArrowInvalid:
        # A byte that is not text becomes a ?, which is no longer than it was.
        return pa.array([text.decode("utf-8", "replace").replace("\ufffd", "?") for text in listed], pa.string())


def years(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """
    Years of times.

    Examples
    --------
    >>> years(np.array([441763266.183, 441763266.184, np.nan]))
    array([2011, 2012, 1998])
    """
    starts = [day_start(date(year, 1, 1)) for year in range(EPOCH.year + 1, _LAST_YEAR + 1)]
    known = np.where(np.isnan(times), -np.inf, times)
    return EPOCH.year + np.searchsorted(starts, known, "right")


class StatTable(Part):
    """A table of statistics: the rows of the last file that could be taken, and those that were computed."""

    of: ClassVar[Table]
    on_cluster = False

    def __init_subclass__(cls) -> None:
        cls.name = cls.table = cls.of.name

    def __init__(self, run: Run, path: Path) -> None:
        super().__init__(run, path.parent)
        self._path, self._rows = path, cast("Rows | None", None)
        self._years = {row["year"]: row for row in self.partitions.values()}

    @staticmethod
    def folder(source: str | os.PathLike[str], product: Product) -> Path:
        """The file: in a ``$SKA`` root, in the product's folder, or the source itself."""
        return source_file(source, product.name)

    def discover(self) -> list[Found]:
        """The file."""
        return [found_in(self._path.parent, self._path.name)]

    def judge_all(self, new: Sequence[Found]) -> Iterator[tuple[Taken, Rows] | Rejected]:
        """Read it in this process, which saves passing its rows to another."""
        return (judge(found, self.of) for found in new)

    def present(self) -> list[str]:
        """The file, if all its rows are in the lake."""
        return _present(self.files, self._years, len(computed_in(self.root, self.of, self._years, ["obsid"])))

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Record the file; its rows are all that the table has, wherever the file was before."""
        for result in judged:
            if not isinstance(result, Rejected):
                result, self._rows = result
                self.files.rows = {name: row for name, row in self.files.rows.items() if name == result.found.name}
            self.files.note([result])

    def make(self) -> Written:
        """The years whose rows have changed."""
        if self._rows is None:
            return {}
        computed = computed_in(self.root, self.of, self._years)
        return build(self.root, self.of, self._rows, computed, self._years, self.run.jobs, self.run.progress)


def _present(files: SourceFiles, here: Years, computed: int) -> list[str]:
    """The file, if all its rows are in the lake, written by the current definitions."""
    if any(row["derived_from"] is None for row in here.values()):
        return []
    rows = sum(row["rows"] for row in here.values()) - computed
    return [name for name, row in files.rows.items() if row["rows"] == rows]


def computed_in(root: LakePath, table: Table, here: Years, columns: Sequence[str] | None = None) -> pa.Table:
    """The computed rows of some years."""
    tables = [
        read_partition(root / row["path"], columns, table.schema, pc.field("computed"))
        for _, row in sorted(here.items())
    ]
    empty = table.schema.empty_table()
    return pa.concat_tables([empty if columns is None else empty.select(columns), *tables])


def judge(found: Found, table: Table) -> tuple[Taken, Rows] | Rejected:
    """Read a file."""
    try:
        content = read_file(found.path, LARGEST)
        rows = read(content, table)
    except ImportError:
        raise
    except Exception as error:  # what the lake has stays
        return rejected(found, error)
    facts: dict[str, Any] = {"rows": len(rows)}
    known = rows[table.time][~np.isnan(rows[table.time])]
    if len(known):
        facts |= {"tstart": float(known.min()), "tstop": float(known.max())}
    return Taken(found, checksum(content), facts), rows


def build(
    root: LakePath, table: Table, rows: Rows, computed: pa.Table, here: Years, jobs: int | None, progress: Progress
) -> Written:
    """Rebuild the stale ones of these years; the rows are those of the file, which may have some of computed ones."""
    computed = _known_bad_as_in(rows, computed)
    positions = np.flatnonzero(~np.isin(rows["obsid"], computed.column("obsid").to_numpy()))
    return build_years(root, table, rows[positions], positions, computed, here, jobs, progress)


def build_years(
    root: LakePath,
    table: Table,
    rows: Rows,
    positions: NDArray[np.int64],
    computed: pa.Table,
    here: Years,
    jobs: int | None,
    progress: Progress,
) -> Written:
    """Rebuild the stale ones of these years from rows of the file, with their positions in it, and computed ones."""
    year = years(rows[table.time])
    # Within a year by star, so that a query for one reads few row groups; else as in the source.
    order = np.lexsort((positions, rows["agasc_id"], year))
    found, first = np.unique(year[order], return_index=True)
    places = dict(zip(found.tolist(), np.split(order, first[1:]), strict=True)) if len(rows) else {}
    own = years(computed.column(table.time).to_numpy())
    own_order = [("agasc_id", "ascending"), (table.time, "ascending"), ("slot", "ascending")]
    every = sorted(places.keys() | set(own.tolist()))

    def one_year(year: int) -> dict[str, Any] | None:
        place = places.get(year, np.empty(0, np.int64))
        part, more = rows[place], computed.filter(own == year).sort_by(own_order)
        content = [checksum(values.tobytes()) for values in (part, positions[place].astype("<i4"))]
        if len(more):
            content.append(
                checksum(as_rows(more, table).tobytes() + "".join(more["ccd_temp_source"].to_pylist()).encode())
            )
        facts = derived_from([part.dtype.descr, *content])
        if year in here and here[year]["derived_from"] == facts:
            return None
        whole = pa.concat_tables([_of_file(part, positions[place], table), more])
        # Rows without a position come after the others of their star.
        order = [(name, "ascending") for name in table.order]
        return pin_year(root, table, year, whole.sort_by(order) if len(more) else whole, facts)

    written: Written = {(table.name, Key.of_year(gone)): None for gone in here if gone not in every}
    task = progress.add_task(f"{table.name}: writing", total=len(every))
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        for year_of, row in zip(every, pool.map(one_year, every), strict=True):
            if row is not None:
                written[table.name, Key.of_year(year_of)] = row
            progress.advance(task)
    return written


def _known_bad_as_in(rows: Rows, computed: pa.Table) -> pa.Table:
    """Computed rows, known to be bad where the rows in whose place they are were."""
    if not len(computed):
        return computed
    bad = {
        (int(row["obsid"]), int(row["slot"])): row["bad_comment"].decode("utf-8", "replace")
        for row in rows[rows["known_bad"]]
    }
    obsids, slots = (computed.column(name).to_pylist() for name in ("obsid", "slot"))
    stars = list(zip(obsids, slots, strict=True))
    was = computed.column("known_bad").to_pylist()
    said = computed.column("bad_comment").to_pylist()
    schema = computed.schema
    for name, values in (
        ("known_bad", [one or star in bad for one, star in zip(was, stars, strict=True)]),
        ("bad_comment", [text or bad.get(star, "") for text, star in zip(said, stars, strict=True)]),
    ):
        index = schema.get_field_index(name)
        computed = computed.set_column(index, schema.field(index), pa.array(values, schema.field(index).type))
    return computed


def as_rows(rows: pa.Table, table: Table) -> Rows:
    """Rows of the lake in the type of the HDF5 table."""
    found = np.empty(len(rows), row_dtype(table.name))
    for name in found.dtype.names or ():
        values = rows.column(name)
        if found.dtype[name].kind == "S":
            found[name] = [text.encode() for text in values.to_pylist()]
        else:
            found[name] = values.to_numpy()
    return found


def store(
    root: LakePath,
    table: Table,
    here: Years,
    gathered: Rows,
    temperature: Sequence[str],
    jobs: int | None,
    progress: Progress,
) -> Written:
    """
    Rebuild the years in which computed rows take the place of those of the same observations.

    `here` are all years of the table, `temperature` says where the temperature of each row is from.
    """
    obsids = np.unique(gathered["obsid"])
    touched = set(years(gathered[table.time]).tolist())
    is_one = pc.field("obsid").isin(obsids.tolist())
    for year, row in here.items():
        if year not in touched and len(read_partition(root / row["path"], ["obsid"], table.schema, is_one)):
            touched.add(year)
    here = {year: row for year, row in here.items() if year in touched}
    parts = [read_partition(root / row["path"], schema=table.schema) for row in here.values()]
    before = pa.concat_tables([table.schema.empty_table(), *parts])
    own = pc.fill_null(before.column("computed"), False)
    replaced = pc.is_in(before.column("obsid"), pa.array(obsids.tolist(), pa.int64()))
    new = _of_file(gathered, np.zeros(len(gathered), np.int64), table)
    for name, values in (
        ("position", pa.nulls(len(new), pa.int32())),
        ("computed", pa.repeat(True, len(new))),
        ("ccd_temp_source", pa.array(temperature, pa.string())),
    ):
        new = new.set_column(new.schema.get_field_index(name), table.schema.field(name), values)
    new = _known_bad_as_in(as_rows(before.filter(replaced), table), new)
    computed = pa.concat_tables([before.filter(pc.and_(own, pc.invert(replaced))), new])
    imported = before.filter(pc.and_(pc.invert(own), pc.invert(replaced)))
    positions = imported.column("position").to_numpy().astype(np.int64)
    return build_years(root, table, as_rows(imported, table), positions, computed, here, jobs, progress)


def pin_year(root: LakePath, table: Table, year: int, rows: pa.Table, facts: str | None = None) -> dict[str, Any]:
    """Write one version of a year; times may be NaN."""
    row = pin(root, table, Key.of_year(year), rows, [], facts)
    # NaN is not a date, neither of a partition nor of the lake's status.
    return row | {name: None for name in ("tstart", "tstop") if row[name] is not None and math.isnan(row[name])}


def _of_file(rows: Rows, positions: NDArray[np.int64], table: Table) -> pa.Table:
    """Rows of the HDF5 table as the lake has them, with the columns that say of a row whether it was computed."""
    found = columns(rows, positions, table)
    for name, values in (
        ("computed", pa.repeat(False, len(rows))),
        ("ccd_temp_source", pa.nulls(len(rows), pa.string())),
    ):
        found = found.append_column(table.schema.field(name), values)
    return found


def columns(rows: Rows, positions: NDArray[np.int64], table: Table) -> pa.Table:
    """Rows of an HDF5 table as the lake has them."""
    arrays = [pa.array(positions.astype(np.int32))]
    for name in rows.dtype.names or ():
        values = np.ascontiguousarray(rows[name])
        arrays.append(_texts(values) if values.dtype.kind == "S" else pa.array(values))
    return pa.Table.from_arrays(arrays, schema=pa.schema(list(table.schema)[: len(arrays)]))
