"""A lake as one thread has opened it: what it knows of one generation of the catalog, and a DuckDB connection."""

import os
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.buffers import numbers
from mica_lake.catalog.names import CATALOG, PARTITION_FILE, no_rows
from mica_lake.catalog.pointer import Pointer, check
from mica_lake.catalog.root import existing
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES

if TYPE_CHECKING:
    import duckdb

_LAST_TIME = 6.4e9
_LISTED = ["day_number", "path", "rows", "tstart", "tstop"]


class Opened:
    """
    A lake as it is in one generation of its catalog, at first without a connection, and that without any SQL.

    Parameters
    ----------
    root : path
        The lake.
    found : Pointer or None
        Which generation of its catalog is current.
    """

    def __init__(self, root: LakePath, found: Pointer | None) -> None:
        if found is None:
            existing(root)  # says what is there instead
            raise LakeError(f"{root} has just been created again: ask again")
        generation, checked = found.generation, check(root, found)
        self._root, self._generation = root, f"{root}/{CATALOG}/{generation}"
        self._name, self._checked = generation, checked
        self._files: dict[tuple[str, int | None], dict[str, NDArray[Any]]] = {}
        self._parts: set[str] | None = None

    @cached_property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """A connection that knows where the lake is."""
        from tempfile import gettempdir

        import duckdb

        made = duckdb.connect(":memory:")
        made.execute("SET enable_progress_bar = false")
        # DuckDB makes it when a query has no room in memory, and removes it with the connection; by default it would
        # be in the current directory.
        spilt = os.path.join(gettempdir(), f"mica-lake-{uuid4().hex}")  # noqa: PTH118 - a str
        made.execute("SET temp_directory = $spilt", {"spilt": spilt})
        store_of(self._root).attach(made, self._root, self._checked)
        made.execute("SET VARIABLE mica_lake = $root", {"root": str(self._root)})
        made.execute("SET VARIABLE mica_lake_generation = $name", {"name": self._name})
        made.execute("SET VARIABLE cxotime_now = $now", {"now": os.environ.get("CXOTIME_NOW") or None})
        return made

    @cached_property
    def _partition(self) -> pa.Table:
        """The catalog's list of partitions."""
        from pyarrow.parquet import ParquetFile

        path = f"{CATALOG}/{self._name}/{PARTITION_FILE}"
        content = self._checked.get(path) or (self._root / path).read_bytes()
        with ParquetFile(pa.BufferReader(content), read_dictionary=["table_name"]) as file:
            # Threads of pyarrow's could release Python's bytes when Python is at its end: see `in_memory`.
            return file.read(columns=["table_name", "slot", *_LISTED], use_threads=False).combine_chunks()

    def with_sql(self, texts: Iterable[str] | None = None) -> "duckdb.DuckDBPyConnection":
        """The connection, with the SQL of the catalog and of the parts that these texts need; of all parts without."""
        from duckdb import Error

        from mica_lake.catalog.objects import described_columns
        from mica_lake.catalog.script import OBJECTS, catalog_sql, definitions, parts, parts_for, sql_of_parts

        so_far, wanted = self._parts, set(parts()) if texts is None else parts_for(texts)
        if so_far is not None and wanted <= so_far:
            return self.connection
        script = [catalog_sql()] if so_far is None else []
        try:
            self.connection.execute("\n".join([*script, sql_of_parts(wanted, so_far or ())]))
            if OBJECTS in wanted:
                self.connection.execute(described_columns(definitions(), self.connection))
        except Error as error:
            said = str(error).split("Error: ", 1)[-1]
            raise LakeError(f"{said}; 'mica-lake reindex --lake {self._root}' derives the catalog") from None
        self._parts = wanted.union(so_far or ())
        return self.connection

    @property
    def has_all_sql(self) -> bool:
        """Whether the connection has all views and macros."""
        from mica_lake.catalog.script import parts

        return self._parts is not None and self._parts >= parts().keys()

    def files(self, table: str, start: float, stop: float, slot: int | None) -> list[str]:
        """The files that can have rows from start to stop, after one without rows."""
        paths = self._between(table, start, stop, slot)[0]
        return [f"{self._generation}/{no_rows(table)}", *(f"{self._root}/{path}" for path in paths)]

    def rows_at_most(self, table: str, start: float, stop: float) -> int:
        """How many rows these files have."""
        return int(self._between(table, start, stop, None)[1].sum())

    def _between(
        self, table: str, start: float, stop: float, slot: int | None
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Paths and numbers of rows of the partitions that can have rows from start to stop."""
        if (table, slot) not in self._files:
            self._files[table, slot] = self._of(table, slot)
        found = self._files[table, slot]
        if "doy" in TABLES[table].keys:
            # Day n begins 63.184 s after 86400 n, and later by the leap seconds since 1998: see files_between.
            earliest, latest = (min(max(time, 0.0), _LAST_TIME) for time in (start, stop))
            ends = [(earliest - 80) // 86400, (latest - 63.184) // 86400 + 1]
            found = {name: values[slice(*np.searchsorted(found["day_number"], ends))] for name, values in found.items()}
        # Of a partition that does not say what times it has, nothing is known.
        chosen = ~((found["tstart"] > stop) | (found["tstop"] < start))
        return found["path"][chosen], found["rows"][chosen]

    def _of(self, table: str, slot: int | None) -> dict[str, NDArray[Any]]:
        """Columns of the list of partitions of a table, or of a slot of it, by day and slot."""
        names = self._partition.column("table_name")
        places = np.zeros(0, np.intp)
        for chunk in names.chunks:  # one, or none
            known = chunk.dictionary.to_pylist()
            if table in known:
                places = np.flatnonzero(numbers(chunk.indices) == known.index(table))
        if not len(places):
            return {name: np.zeros(0) for name in _LISTED}
        # They follow one another; what is between them need not become Python's.
        first, last = int(places[0]), int(places[-1]) + 1
        (near,) = self._partition.slice(first, last - first).to_batches()
        places -= first
        slots = numbers(near.column("slot"), null=-1)[places]
        order = np.lexsort([slots, numbers(near.column("day_number"), null=-1)[places]])
        if slot is not None:
            order = order[slots[order] == slot]
        columns = {name: numbers(near.column(name), null=np.nan) for name in ("tstart", "tstop")}
        columns |= {name: numbers(near.column(name)) for name in ("day_number", "rows")}
        columns["path"] = np.array(near.column("path").to_pylist(), object)
        return {name: values[places][order] for name, values in columns.items()}
