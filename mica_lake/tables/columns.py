"""Columns that the tables of several products share."""

from typing import Any

import pyarrow as pa

from mica_lake.tables.stat_columns import columns_of
from mica_lake.tables.table import Column, Table

REVISION = (
    Column("obsid", pa.int32(), "", "the observation", "name of its folder"),
    Column("revision", pa.int32(), "", "revision of its products", "name of its folder"),
    Column("isdefault", pa.bool_(), "", "whether this revision is the default", "archfiles.db3, else the links"),
)

PLACE = (
    Column("islast", pa.bool_(), "", "whether this revision is the last", "the links"),
    Column("filename", pa.string(), "", "the source file", "name of the file"),
    Column("checksum", pa.string(), "", "SHA-256 of the source file", "the file as it is stored"),
    Column("directory", pa.string(), "", "folder of the revision", "as last seen by ingest"),
    Column("link", pa.string(), "", "link to it, null where none", "as last seen by ingest"),
)


def fits_columns(
    names: str, unit: str, meaning: str, source: str, type_: pa.DataType | None = None
) -> tuple[Column, ...]:
    """Columns that are called as in a FITS table."""
    type_ = pa.float64() if type_ is None else type_
    return tuple(Column(name, type_, unit, meaning, f"{source} column {name}") for name in names.split())


def stat_table(
    name: str, source: str, time: str, searched: tuple[str, ...], more: tuple[Column, ...] = (), **others: Any
) -> Table:
    """A table of statistics, with the columns of the table in an HDF5 file."""
    return Table(
        name,
        ("year",),
        (
            Column("position", pa.int32(), "", "row in the source table, from 0", f"place in {source}"),
            *(Column(c.name, c.type, c.unit, c.meaning, f"{source} column {c.name}") for c in columns_of(name)),
            *more,
        ),
        row_group_rows=8192,
        time=time,
        searched=(time, *searched),
        **others,
    )


BY_STAR: dict[str, Any] = {
    "searched": ("agasc_id", "obsid"),
    "order": ("agasc_id", "position"),
    "more": (
        Column(
            "computed",
            pa.bool_(),
            "",
            "whether 'mica-lake stats gather' computed it from telemetry",
            "null position, or not",
        ),
        Column(
            "ccd_temp_source",
            pa.string(),
            "",
            "where the temperature of a computed row is from: AACCCDPT or hdr3",
            "gather",
        ),
    ),
}
