"""The columns of the statistics are those of their HDF5 tables."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.tables.stat_columns import STAT_COLUMNS, columns_of, row_dtype
from mica_lake.tables.table import Table
from mica_lake.tables.vv import VV_RMS

UNITS = {"", "s", "arcsec", "mag", "deg", "yr", "mas", "mas/yr", "°C", "0.01 mag", "50 mas", "mm"}


@pytest.mark.parametrize(
    ("table", "key", "count"), [("acq_stats", "acq", 62), ("guide_stats", "guide", 88), ("vv_rms", "vv", 37)]
)
def test_names_and_types_are_those_of_the_archive(table: str, key: str, count: int, shared: Path) -> None:
    listed = json.loads((shared / "tools" / "stat_columns.json").read_text())[key]
    assert [[c.name, c.dtype] for c in columns_of(table)] == listed
    assert len(listed) == count


def test_each_has_a_meaning_and_a_unit_that_is_known() -> None:
    assert {c.table for c in STAT_COLUMNS} == {"acq_stats", "guide_stats", "vv_rms"}
    assert all(c.meaning and c.unit in UNITS for c in STAT_COLUMNS)
    assert {c.unit for c in STAT_COLUMNS} == UNITS


@pytest.mark.parametrize("table", [ACQ_STATS, GUIDE_STATS, VV_RMS], ids=lambda table: table.name)
def test_the_lake_has_them_after_the_position(table: Table) -> None:
    dtype = row_dtype(table.name)
    more = {"computed": pa.bool_()} | ({} if table is VV_RMS else {"ccd_temp_source": pa.string()})
    assert table.schema.names == ["position", *(dtype.names or ()), *more]
    types = {"b": pa.bool_(), "i4": pa.int32(), "i8": pa.int64(), "f8": pa.float64(), "S": pa.string()}
    expected = [types[d.kind if d.kind in "bS" else d.str[1:]] for d in (dtype[name] for name in dtype.names or ())]
    assert table.schema.types == [pa.int32(), *expected, *more.values()]
    assert all(dtype[name].isnative for name in dtype.names or ())
    assert table.by_name[table.time].unit == "s"


def test_strings_are_bytes_and_flags_booleans() -> None:
    assert row_dtype("acq_stats")["acq_start"] == np.dtype("S21")
    assert row_dtype("acq_stats")["acqid"] == np.dtype(bool)
    assert row_dtype("guide_stats")["sz"] == np.dtype("S4")
