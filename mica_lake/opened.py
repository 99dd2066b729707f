"""A lake as one thread has opened it: a DuckDB connection, and what that knows of one generation of the catalog."""

import os
from collections.abc import Iterable
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

import duckdb
import numpy as np
from numpy.typing import NDArray

from mica_lake.catalog.names import CATALOG, PARTITION_FILE, no_rows
from mica_lake.catalog.objects import described_columns
from mica_lake.catalog.pointer import Pointer, check
from mica_lake.catalog.root import existing
from mica_lake.catalog.script import OBJECTS, catalog_sql, definitions, parts, sql_of_parts
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES

_LAST_TIME = 6.4e9


class Opened:
    """
    A connection that knows where the lake is, at first without any SQL of the lake.

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
        self._files: dict[tuple[str, int | None], dict[str, NDArray[Any]]] = {}
        self._parts: set[str] | None = None
        self.connection = duckdb.connect(":memory:")
        self.connection.execute("SET enable_progress_bar = false")
        # DuckDB makes it when a query has no room in memory, and removes it with the connection; by default it would
        # be in the current directory.
        spilt = os.path.join(gettempdir(), f"mica-lake-{uuid4().hex}")  # noqa: PTH118 - a str
        self.connection.execute("SET temp_directory = $spilt", {"spilt": spilt})
        store_of(root).attach(self.connection, root, checked)
        self.connection.execute("SET VARIABLE mica_lake = $root", {"root": str(root)})
        self.connection.execute("SET VARIABLE mica_lake_generation = $name", {"name": generation})
        self.connection.execute("SET VARIABLE cxotime_now = $now", {"now": os.environ.get("CXOTIME_NOW") or None})

    def with_sql(self, wanted: Iterable[str]) -> duckdb.DuckDBPyConnection:
        """The connection, with the SQL of the catalog and of some parts."""
        so_far, wanted = self._parts, set(wanted)
        if so_far is not None and wanted <= so_far:
            return self.connection
        script = [catalog_sql()] if so_far is None else []
        try:
            self.connection.execute("\n".join([*script, sql_of_parts(wanted, so_far or ())]))
            if OBJECTS in wanted:
                self.connection.execute(described_columns(definitions(), self.connection))
        except duckdb.Error as error:
            said = str(error).split("Error: ", 1)[-1]
            raise LakeError(f"{said}; 'mica-lake reindex --lake {self._root}' derives the catalog") from None
        self._parts = wanted.union(so_far or ())
        return self.connection

    @property
    def has_all_sql(self) -> bool:
        """Whether the connection has all views and macros."""
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
            listed = self.connection.execute(
                "SELECT day_number, path, rows, tstart, tstop FROM read_parquet($partition, hive_partitioning = false) "
                "WHERE table_name = $table AND ($slot IS NULL OR slot = $slot) ORDER BY day_number, slot",
                {"partition": f"{self._generation}/{PARTITION_FILE}", "table": table, "slot": slot},
            ).fetchnumpy()
            self._files[table, slot] = {name: np.ma.filled(values, np.nan) for name, values in listed.items()}
        found = self._files[table, slot]
        days, paths, rows = (found[name] for name in ("day_number", "path", "rows"))
        if "doy" not in TABLES[table].keys:
            # Of a partition that does not say what times it has, nothing is known.
            chosen = ~((found["tstart"] > stop) | (found["tstop"] < start))
            return paths[chosen], rows[chosen]
        # Day n begins 63.184 s after 86400 n, and later by the leap seconds since 1998: see files_between.
        earliest, latest = (min(max(time, 0.0), _LAST_TIME) for time in (start, stop))
        first, last = np.searchsorted(days, [(earliest - 80) // 86400, (latest - 63.184) // 86400 + 1]).tolist()
        return paths[first:last], rows[first:last]
