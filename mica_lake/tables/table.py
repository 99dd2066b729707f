"""What tables and their columns are."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

ALL_SIZES = (4, 6, 8)


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    Attributes
    ----------
    name : str
        Its name; that of the source if the source has one.
    type : pyarrow.DataType
        Its type in the lake.
    unit : str
        Its unit; empty if it has none.
    meaning : str
        What it means.
    source : str
        Where it comes from.
    imgsizes : tuple of int
        The image sizes that have it; it is null for the others.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    source: str
    imgsizes: tuple[int, ...] = ALL_SIZES

    @property
    def with_unit(self) -> str:
        """What it means, and its unit."""
        return f"{self.meaning} ({self.unit})" if self.unit else self.meaning


@dataclass(frozen=True)
class Table:
    """
    A table of the lake.

    Attributes
    ----------
    name : str
        Its name, also that of its folder in the lake.
    keys : tuple of str
        What it is partitioned by: year, doy and slot; year and doy; year; or nothing.
    columns : tuple of Column
        Its columns, in order. A wide table has more after them, see `wide`.
    row_group_rows : int
        How many rows a query reads or skips together; measured, see docs/performance.md.
    row_group_of : str
        A column whose values have row groups of their own, for a table sorted by it.
    time : str
        The column with the times that a partition covers.
    searched : tuple of str
        Columns with statistics, which let a query skip row groups.
    names_sources : bool
        Whether a partition's metadata lists its source files.
    wide : bool
        Whether it has a column for each key that its sources have; the same ones in all partitions.
    order : tuple of str
        Columns by which its rows are sorted.
    order_within : tuple of str
        Columns within whose equal values they are sorted; by default, in the whole partition.
    rows : str
        The macro that gives its rows, with its parameters; empty for a table that is a view of its name.
    product : str
        The product that `mica-lake ingest` makes it from, if that has another name.
    definitions : str
        What else than the columns' units decides the values: calibrations, rules.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    row_group_rows: int
    row_group_of: str = ""
    time: str = "TIME"
    searched: tuple[str, ...] = ("TIME",)
    names_sources: bool = False
    wide: bool = False
    order: tuple[str, ...] = ()
    order_within: tuple[str, ...] = ()
    rows: str = ""
    product: str = ""
    definitions: str = ""

    @property
    def ingested_as(self) -> str:
        """The product that `mica-lake ingest` makes it from."""
        return self.product or self.name

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of a partition."""
        return pa.schema([pa.field(c.name, c.type) for c in self.columns])

    @cached_property
    def definition(self) -> str:
        """Checksum of what its values mean; the next ingest remakes partitions that were made by another one."""
        columns = [[c.name, str(c.type), c.unit] for c in self.columns]
        return hashlib.sha256(json.dumps([columns, self.definitions]).encode()).hexdigest()[:16]

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {c.name: c for c in self.columns}
