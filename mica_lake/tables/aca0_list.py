"""The archive's own list of ACA level 0 files."""

import pyarrow as pa

from mica_lake.tables.table import Column, Table

_SOURCE = "cda_aca0.h5"

ACA0_LIST = Table(
    "aca0_list",
    (),
    (
        Column("position", pa.int32(), "", "row in the list, from 0", _SOURCE),
        Column("filename", pa.string(), "", "the file, without .gz", f"{_SOURCE} column filename"),
        Column("slot", pa.int8(), "", "its slot; null if its name is not that of a file of images", "filename"),
        Column("revision", pa.int32(), "", "its revision; null as slot", "filename"),
        Column("tstart", pa.float64(), "s", "start in its name, CXC seconds; null as slot", "filename"),
    ),
    row_group_rows=131072,
    time="tstart",
    searched=("tstart",),
    wide=True,
    order=("position",),
)

TABLES = (ACA0_LIST,)
