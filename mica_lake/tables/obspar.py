"""The tables of observation parameters."""

import pyarrow as pa

from mica_lake.tables.columns import PLACE, REVISION
from mica_lake.tables.table import Column, Table

OBSPAR_KV = Table(
    "obspar_kv",
    ("year",),
    (
        *REVISION,
        Column("name", pa.string(), "", "the parameter, with _ for -", "obspar file"),
        Column("type", pa.string(), "", "s text, i integer, r real", "obspar file"),
        Column("value", pa.string(), "", "its value; null where an i or r is empty", "obspar file"),
        Column("number", pa.float64(), "", "its value as a number, of i and r", "obspar file"),
        Column("description", pa.string(), "", "what it is", "obspar file"),
        Column("tstart", pa.float64(), "s", "start of the observation, CXC seconds", "parameter tstart"),
    ),
    row_group_rows=8192,
    time="tstart",
    searched=("obsid",),
    order=("tstart", "obsid", "revision"),
    product="obspar",
)

OBSPAR = Table(
    "obspar",
    ("year",),
    (
        *REVISION,
        *PLACE,
        Column("tstart", pa.float64(), "s", "start of the observation, CXC seconds", "parameter tstart"),
        Column("tstop", pa.float64(), "s", "stop of the observation, CXC seconds", "parameter tstop"),
        Column("num_ccd_on", pa.int64(), "", "how many CCDs of ACIS are on", "parameters ccd[is]N_on"),
    ),
    row_group_rows=32768,
    time="tstart",
    searched=("obsid", "tstart"),
    wide=True,
    order=("tstart", "obsid", "revision"),
)

TABLES = (OBSPAR, OBSPAR_KV)
