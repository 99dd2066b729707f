"""The observing catalog (Ocat): a row for each target of a proposal."""

import pyarrow as pa

from mica_lake.tables.table import Column, Table

_SOURCE = "ocat_target_table.h5"

OCAT = Table(
    "ocat",
    (),
    (
        Column("position", pa.int32(), "", "row in the source table, from 0", _SOURCE),
        Column("tstart", pa.float64(), "s", "start, CXC seconds; null if it has not been observed", "start_date"),
        Column("obsid", pa.int64(), "", "the observation", _SOURCE),
        Column("ra", pa.float64(), "deg", "right ascension of the target", _SOURCE),
        Column("dec", pa.float64(), "deg", "declination of the target", _SOURCE),
    ),
    row_group_rows=32768,
    time="tstart",
    searched=("obsid",),
    wide=True,
    order=("position",),
)

OCAT_COLUMN = Table(
    "ocat_column",
    (),
    (
        Column("position", pa.int32(), "", "place in the source table, from 0", _SOURCE),
        Column("name", pa.string(), "", "name of the column", _SOURCE),
        Column("unit", pa.string(), "", "its unit, as astropy writes it; null if it has none", _SOURCE),
        Column("dtype", pa.string(), "", "its type, as NumPy writes it", _SOURCE),
        Column("masked", pa.bool_(), "", "whether a blank of it is null", f"{_SOURCE}, column NAME.mask"),
        Column("tstart", pa.float64(), "s", "first start of a target where it is not blank, CXC seconds", _SOURCE),
    ),
    row_group_rows=32768,
    time="tstart",
    searched=(),
    order=("position",),
    product="ocat",
)

TABLES = (OCAT, OCAT_COLUMN)
