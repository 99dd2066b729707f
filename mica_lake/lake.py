"""The lake: SQL and Polars over its tables."""

import operator
import os
import threading
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mica_lake import forked
from mica_lake.catalog.pointer import pointer
from mica_lake.catalog.root import absolute, existing
from mica_lake.direct import is_quicker, rows_between
from mica_lake.errors import LakeError
from mica_lake.opened import Opened
from mica_lake.query import no_table, parameter, plainly
from mica_lake.store.place import store_of
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.times import open_interval

if TYPE_CHECKING:
    import duckdb
    import polars as pl

__all__ = ["Lake", "LakeError", "default_root", "open_lake"]


_LEFT_BEHIND: list[Opened] = []


def default_root() -> str:
    """
    The lake used if none is given: ``$MICA_LAKE``, else ``$SKA/data/mica_lake``.

    Returns
    -------
    str
        The directory, or ``s3://bucket/prefix``; whether there is a lake is not looked at.

    Raises
    ------
    LakeError
        If neither variable is set.
    """
    if root := os.environ.get("MICA_LAKE"):
        return root
    if ska := os.environ.get("SKA"):
        return os.path.join(ska, "data", "mica_lake")  # noqa: PTH118 - a str
    raise LakeError(
        "which lake? Set MICA_LAKE to its directory (or SKA, for $SKA/data/mica_lake), or name "
        "it: --lake at the command line, data_root= or Lake(PATH) in Python"
    )


class Lake:
    """
    A lake, opened for reading.

    Any number of threads and processes may read a lake while it is being written; each answer is of one state of the
    lake, and later queries see what was committed since.

    Parameters
    ----------
    root : path, optional
        Its directory, or ``s3://bucket/prefix``; `default_root` otherwise.

    Attributes
    ----------
    root : Path or ObjectPath
        Its directory.

    Raises
    ------
    LakeError
        If there is no lake; how to make one is said.
    ObjectStoreError
        If it is on an object store that does not answer, or does not let us.

    Examples
    --------
    >>> lake = demo_lake()
    >>> lake.sql("SELECT count(*) AS n FROM slot_data('2024:001', '2024:001:00:10', 3)").fetchall()
    [(293,)]
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        try:
            self.root = existing(root if root is not None else default_root())
        except LakeError as error:
            variable = "MICA_LAKE" if os.environ.get("MICA_LAKE") else "SKA"
            if root is not None or variable not in os.environ:
                raise
            raise LakeError(f"{error} ({variable} is {os.environ[variable]!r})") from None
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"Lake({str(self.root)!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the status."""
        from mica_lake.drawn import table

        found = self._opened().with_sql(["status"]).sql("SELECT table_name, start, stop, days, rows, bytes FROM status")
        return table(str(self.root), found.columns, found.fetchall())

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """
        The DuckDB connection of this thread, with all views and macros of `sql/` and the lake as it is now.

        Raises
        ------
        LakeError
            If the lake is gone or its catalog is damaged.
        """
        return self._opened().with_sql()

    def _opened(self) -> Opened:
        """The lake as it is now, opened once for this thread."""
        found = pointer(self.root)
        now = (os.getpid(), found, os.environ.get("CXOTIME_NOW"))
        local = self._local
        if getattr(local, "state", None) != now:
            if getattr(local, "state", now)[0] != os.getpid():
                # A forked process has none of the threads that closing its connection would wait for.
                _LEFT_BEHIND.append(local.opened)
            local.opened, local.state = Opened(self.root, found), now
        return local.opened  # type: ignore[no-any-return]

    def private_connection(self, query: str | None = None) -> "duckdb.DuckDBPyConnection":
        """
        A new DuckDB connection for a caller that changes its settings.

        Parameters
        ----------
        query : str, optional
            What will be asked: the connection has what this needs of `sql/`; by default all views and macros.

        Returns
        -------
        duckdb.DuckDBPyConnection
            The connection; it sees the lake as it is now.

        Raises
        ------
        LakeError
            If the lake is gone or its catalog is damaged.

        Examples
        --------
        >>> lake = demo_lake()
        >>> query = "SELECT count(*) FROM partition WHERE table_name = 'aca_l0'"
        >>> lake.private_connection(query).execute(query).fetchall()
        [(8,)]
        """
        return Opened(self.root, pointer(self.root)).with_sql(None if query is None else [query])

    def files(self, table: str, start: float, stop: float, slot: int | None = None) -> list[str]:
        """
        The files that can have rows of a time range, as the macro ``TABLE_files`` of `sql/` finds them.

        Parameters
        ----------
        table : str
            Name of the table.
        start, stop : float
            Start and stop, CXC seconds.
        slot : int, optional
            The slot, for a table that has slots; all by default.

        Returns
        -------
        list of str
            Their paths, day by day, slot by slot, after a file without rows, so that an empty answer has the right
            columns, too.

        Raises
        ------
        LakeError
            If the lake is gone or its catalog is damaged.

        Examples
        --------
        >>> lake = demo_lake()
        >>> len(lake.files("aca_l0", 820454400.0, 820458000.0, slot=3))
        2
        """
        return self._opened().files(table, start, stop, slot)

    def rows_at_most(self, table: str, start: float, stop: float) -> int:
        """
        The number of rows in the files of `files`: no time range has more.

        Parameters
        ----------
        table : str
            Name of the table.
        start, stop : float
            Start and stop, CXC seconds.

        Returns
        -------
        int
            How many.

        Raises
        ------
        LakeError
            If the lake is gone or its catalog is damaged.

        Examples
        --------
        >>> lake = demo_lake()
        >>> lake.rows_at_most("hdr3", 820454400.0, 820455000.0)
        1756
        """
        return self._opened().rows_at_most(table, start, stop)

    def between(
        self,
        table: str,
        columns: Iterable[str] | None,
        start: float,
        stop: float,
        slot: int | None = None,
        only: Mapping[str, Collection[Any]] | None = None,
    ) -> pa.Table:
        """
        Rows of a time range, sooner than by the macros of `sql/`: which files have them is looked up here.

        On a disk, numbers and texts of up to four files are read without DuckDB.

        Parameters
        ----------
        table : str
            Name of the table.
        columns : iterable of str, optional
            Names of columns; all by default.
        start, stop : float
            Rows with start <= TIME <= stop, CXC seconds.
        slot : int, optional
            The slot, for a table that has slots; all by default.
        only : mapping, optional
            For some columns the values to choose rows by, one to four different ones each: ``{"IMGSIZE": [6, 8]}``.

        Returns
        -------
        pyarrow.Table
            The rows, as in their files.

        Raises
        ------
        LakeError
            If the lake is gone, or its catalog or a partition is damaged.

        Examples
        --------
        >>> lake = demo_lake()
        >>> lake.between("hdr3", ["TIME", "ccd_temp"], 820454400.0, 820455000.0).num_rows
        130
        """
        opened, described = self._opened(), TABLES[table]
        names = described.schema.names if columns is None else list(columns)
        files = opened.files(table, start, stop, slot)
        if isinstance(self.root, Path) and is_quicker(files[1:], described, names):
            return rows_between(files[1:], described, names, start, stop, only or {})
        # Of five values DuckDB makes a join, which does not keep the order of rows.
        conditions = "".join(f" AND list_contains(${name}, {name})" for name in only or {})
        quoted = ", ".join(f'"{name}"' for name in names)
        query = (
            f"SELECT {quoted} FROM read_parquet($files, hive_partitioning = false) "
            f"WHERE {described.time} BETWEEN $start AND $stop{conditions}"
        )
        values = {"files": files, "start": start, "stop": stop, **{name: list(of) for name, of in (only or {}).items()}}
        with plainly():
            return opened.connection.sql(query, params=values).to_arrow_table()

    def sql(self, query: str, params: Mapping[str, Any] | None = None) -> "duckdb.DuckDBPyRelation":
        """
        The answer of a SQL query.

        Parameters
        ----------
        query : str
            One SQL statement over the views and macros of the lake.
        params : mapping, optional
            Values of its parameters, written ``$name``. Astropy's and Chandra's times and ``datetime64`` become CXC
            seconds, a ``datetime`` or ``date`` a timestamp.

        Returns
        -------
        duckdb.DuckDBPyRelation
            The answer, computed when it is asked for: ``.pl()``, ``.df()``, ``.to_arrow_table()``, ``.fetchall()``,
            ``.fetchnumpy()``.

        Raises
        ------
        ValueError
            If the query is wrong: its syntax, a name, a bad time or slot of a macro. What goes wrong only when the
            answer is computed is a ``duckdb.Error`` of the call that asks for it.

        Examples
        --------
        >>> lake = demo_lake()
        >>> lake.sql("SELECT cxcsec($day) AS secs", {"day": "2012:001"}).fetchall()
        [(441763266.184,)]
        """
        values = {name: parameter(value) for name, value in (params or {}).items()}
        texts = [query, *(value for value in values.values() if isinstance(value, str))]
        return self._sql(query, values, texts)

    def _sql(self, query: str, values: dict[str, Any], texts: Iterable[str] | None) -> "duckdb.DuckDBPyRelation":
        try:
            with plainly():
                return self._opened().with_sql(texts).sql(query, params=values or None)
        except ValueError:
            if self._opened().has_all_sql:
                raise
        # What it needs may not be named in its text.
        return self._sql(query, values, None)

    def arrow(self, query: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        """
        The answer of a SQL query as an Arrow table.

        Parameters
        ----------
        query, params
            As of `sql`.

        Returns
        -------
        pyarrow.Table
            The answer.

        Raises
        ------
        ValueError
            If the query is wrong.
        """
        relation = self.sql(query, params)
        with plainly():
            return relation.to_arrow_table()

    def scan(self, table: str, start: Any = None, stop: Any = None, slot: int | None = None) -> "pl.LazyFrame":
        """
        The rows of a table as a Polars LazyFrame.

        Neither Polars nor DuckDB checks the checksums of Parquet pages: a bit that has flipped in a partition can
        change a value without an error. `mica-lake verify` finds it.

        Parameters
        ----------
        table : str
            Name of the table.
        start, stop : time, optional
            Rows with start <= TIME <= stop, in any form that `mica_lake.times.cxcsec` takes; all rows by default, those
            without a time, too. The tables of other products have ``time`` or ``tstart`` for TIME.
        slot : int, optional
            The slot, for a table that has slots; all by default.

        Returns
        -------
        polars.LazyFrame
            Its rows, day by day, slot by slot, in time order; only the partitions needed are opened, when it is
            collected.

        Raises
        ------
        ValueError
            If there is no such table or slot, a time cannot be read, or stop is before start.
        RuntimeError
            If this process was forked from one that had used Polars: collecting it would never end.

        Examples
        --------
        >>> lake = demo_lake()
        >>> frame = lake.scan("aca_l0", "2024:001", "2024:001:00:10", slot=3)
        >>> frame.select("TIME", "TEMPCCD").collect().shape
        (293, 2)
        """
        if table not in TABLES:
            raise ValueError(no_table(table))
        if slot is not None and "slot" not in TABLES[table].keys:
            raise ValueError(f"table {table!r} has no slots; it was asked for slot {slot!r}")
        first, last = open_interval(start, stop)
        first, last = 0.0 if first is None else first, 6.4e9 if last is None else last
        if slot is not None:
            try:
                known = operator.index(slot) in range(8)
            except TypeError:
                known = False
            if not known:
                raise ValueError(f"slot {slot!r} is not one of 0 to 7")
        paths = self.files(table, first, last, slot)
        if forked.without_polars():
            raise RuntimeError(
                "this process was forked from one that had used Polars, and does not have its threads: Polars would "
                "wait for them forever. Start processes with multiprocessing.get_context('spawn') or 'forkserver', or "
                "ask with Lake.sql or Lake.arrow"
            )
        import polars as pl

        options = store_of(self.root).polars_options(self.root)
        # An older mica-lake wrote unsigned integers of 16 bits, which wrap when something is subtracted.
        casts = pl.ScanCastOptions(integer_cast="upcast")
        schema = pl.Schema(TABLES[table].schema) if table == ACA_L0.name else None
        frame = pl.scan_parquet(
            paths, glob=False, hive_partitioning=False, storage_options=options, cast_options=casts, schema=schema
        )
        if start is None and stop is None:
            return frame
        return frame.filter(pl.col(TABLES[table].time).is_between(first, last))

    def status(self) -> "pl.DataFrame":
        """
        What is in the lake.

        Returns
        -------
        polars.DataFrame
            A row per table: table_name, partitions, files (source files), rows, bytes, start and stop (UTC dates). Of
            a table by day also days (how many have rows) and span (how many there are from the first to the last of
            these), null of the others.

        Examples
        --------
        >>> lake = demo_lake()
        >>> lake.status().select("table_name", "partitions").rows()[1:3]
        [('aca_cent', 2), ('aca_l0', 8)]
        """
        return forked.frame(self._opened().with_sql(["status"]).sql("FROM status"))

    def tables(self) -> "pl.DataFrame":
        """
        What there is to ask for: views, and macros that give rows.

        Returns
        -------
        polars.DataFrame
            A row for each: name, kind (view or table macro), arguments, gives (what it gives), example (a query).

        Examples
        --------
        >>> lake = demo_lake()
        >>> lake.tables().select("name", "arguments").rows()[1:3]
        [('aca_cent', 'start, stop'), ('aca_cent_revisions', 'start, stop')]
        """
        return forked.frame(self.sql("FROM lake_objects WHERE kind <> 'macro' ORDER BY name"))

    def macros(self) -> "pl.DataFrame":
        """
        The macros, of rows (after FROM) and of values (in expressions).

        Returns
        -------
        polars.DataFrame
            A row for each: name, kind (table macro or macro), arguments, gives (what it gives), example (a query).

        Examples
        --------
        >>> lake = demo_lake()
        >>> lake.macros().filter(name="utc_timestamp")["arguments"].item()
        'secs'
        """
        return forked.frame(self.sql("FROM lake_objects WHERE kind <> 'view' ORDER BY name"))


@cache
def _opened(root: str) -> Lake:
    return Lake(root)


def open_lake(root: str | os.PathLike[str] | None = None) -> Lake:
    """
    The lake at a path, opened once per process.

    Parameters
    ----------
    root : path, optional
        Its directory; `default_root` otherwise.

    Returns
    -------
    Lake
        The same object for the same directory.

    Raises
    ------
    LakeError
        If there is no lake.
    """
    return _opened(str(absolute(root if root is not None else default_root())))
