"""The table of the dose: a row for each file."""

import pyarrow as pa

from mica_lake.tables.table import Column, Table

DOSE = Table(
    "dose",
    ("year", "doy"),
    (
        Column("time", pa.float64(), "s", "time of the measurement, CXC seconds", "the file: time"),
        Column("dose", pa.float64(), "rad", "the dose", "the file: dose"),
        Column("filename", pa.string(), "", "the source file", "name of the file"),
    ),
    row_group_rows=1024,
    time="time",
    searched=("time",),
    order=("time",),
    rows="dose_data(start, stop)",
)
TABLES = (DOSE,)
