"""The declaration of the tables."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from mica_lake.archive import aca_l0
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.table import Table

# As in REFERENCE.md, the form that callers of mica know.
FIELDS: list[tuple[str, str]] = [
    ("TIME", "f8"), ("QUALITY", "i4"), ("MJF", "i4"), ("MNF", "i4"), ("END_INTEG_TIME", "f8"), ("INTEG", "f4"),
    ("PIXTLM", "U4"), ("BGDTYP", "U4"), ("GLBSTAT", "u1"), ("COMMCNT", "u1"), ("COMMPROG", "u1"), ("IMGFID1", "u1"),
    ("IMGNUM1", "u1"), ("IMGFUNC1", "u1"), ("IMGSTAT", "u1"), ("IMGROW0", "i2"), ("IMGCOL0", "i2"), ("IMGSCALE", "i2"),
    ("BGDAVG", "i2"), ("IMGFID2", "u1"), ("IMGNUM2", "u1"), ("IMGFUNC2", "u1"), ("BGDRMS", "i2"), ("TEMPCCD", "f4"),
    ("TEMPHOUS", "f4"), ("TEMPPRIM", "f4"), ("TEMPSEC", "f4"), ("BGDSTAT", "u1"), ("IMGFID3", "u1"), ("IMGNUM3", "u1"),
    ("IMGFUNC3", "u1"), ("IMGFID4", "u1"), ("IMGNUM4", "u1"), ("IMGFUNC4", "u1"), ("IMGRAW", "(64,)f4"),
    ("HD3TLM62", "u1"), ("HD3TLM63", "u1"), ("HD3TLM64", "u1"), ("HD3TLM65", "u1"), ("HD3TLM66", "u1"),
    ("HD3TLM67", "u1"), ("HD3TLM72", "u1"), ("HD3TLM73", "u1"), ("HD3TLM74", "u1"), ("HD3TLM75", "u1"),
    ("HD3TLM76", "u1"), ("HD3TLM77", "u1"), ("IMGSIZE", "i4"), ("FILENAME", "U128"),
]  # fmt: skip
SIX = ["IMGFID2", "IMGNUM2", "IMGFUNC2", "BGDRMS", "TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC", "BGDSTAT"]
EIGHT = [f"IMG{name}{n}" for n in (3, 4) for name in ("FID", "NUM", "FUNC")]
EIGHT += [name for name, _ in FIELDS if name.startswith("HD3TLM")]


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_every_column_is_declared_once_and_described(table: Table) -> None:
    assert [name for name, n in Counter(c.name for c in table.columns).items() if n > 1] == []
    assert [c.name for c in table.columns if not (c.meaning and c.source)] == []
    assert table.schema.names == list(table.by_name) == [c.name for c in table.columns]
    assert TABLES[table.name] is table


def test_columns_of_aca_l0_are_those_of_the_reference_in_its_order() -> None:
    assert [c.name for c in ACA_L0.columns] == [name for name, _ in FIELDS]


def test_fields_of_get_slot_data_have_the_types_of_the_reference_in_native_byte_order() -> None:
    dtype = np.dtype(list(aca_l0.ACA_DTYPE))
    assert np.dtype(FIELDS) == dtype
    assert all(dtype[name].base.isnative for name in aca_l0.ACA_DTYPE_NAMES)


def test_the_lake_has_the_types_of_the_files() -> None:
    lake = {"i2": pa.int16(), "i4": pa.int32(), "u1": pa.uint8(), "f4": pa.float32(), "f8": pa.float64()}
    lake |= {"U4": pa.string(), "U128": pa.string(), "(64,)f4": pa.list_(pa.float32())}
    # Unsigned in the files; signed with room for it here, so that a difference does not wrap.
    unsigned = dict.fromkeys(("IMGSCALE", "BGDAVG", "BGDRMS"), pa.int32())
    assert dict(zip(ACA_L0.schema.names, ACA_L0.schema.types, strict=True)) == {
        name: unsigned.get(name, lake[form]) for name, form in FIELDS
    }


@pytest.mark.parametrize(("size", "lacks"), [(4, SIX + EIGHT), (6, EIGHT), (8, [])])
def test_an_image_size_lacks_what_its_files_lack(size: int, lacks: list[str]) -> None:
    assert {c.name for c in ACA_L0.columns if size not in c.imgsizes} == set(lacks)


@pytest.mark.parametrize("name", ["TIME", "END_INTEG_TIME", "INTEG"])
def test_times_are_in_seconds(name: str) -> None:
    assert ACA_L0.by_name[name].unit == "s"


@pytest.mark.parametrize("name", ["TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC"])
def test_temperatures_are_in_kelvin(name: str) -> None:
    assert ACA_L0.by_name[name].unit == "K"
