"""Answers as files that others read: astropy, numpy."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.units import UnitsWarning
from commands import in_process

from mica_lake import Lake
from mica_lake.tables.hdr3_msids import PSEUDO_MSIDS

SLOT = "slot_data('2024:001', '2024:001:00:10', 3)"
# Every type that an answer can have; the middle row is null where the name ends in _null.
ALL_TYPES = """
    SELECT
        x::UTINYINT AS u8, (x - 1)::TINYINT AS i8, (65533 + x)::USMALLINT AS u16, (-x)::SMALLINT AS i16,
        x::UINTEGER AS u32, x::INTEGER AS i32, (18446744073709551612 + x)::UBIGINT AS u64, -x AS i64,
        x::HUGEINT AS hugeint, 1.5 AS decimal, x / 3::FLOAT AS f32, x / 3::DOUBLE AS f64, x = 1 AS bool,
        DATE '2024-01-01' AS day, repeat('a', x::INTEGER) AS text, [x::FLOAT, 'nan'::FLOAT] AS list,
        [x, 2]::INTEGER[2] AS array, if(x = 1, NULL, x)::SMALLINT AS i16_null, if(x = 1, NULL, x)::UBIGINT AS u64_null,
        if(x = 1, NULL, x)::DOUBLE AS f64_null, if(x = 1, NULL, true) AS bool_null, if(x = 1, NULL, 'ab') AS text_null,
        NULL AS all_null
    FROM range(3) AS t(x) ORDER BY x
"""


def sql(query: str, path: Path, lake: str) -> str:
    done = in_process(["sql", query, "-o", path], {"MICA_LAKE": lake})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_telemetry_is_in_fits_and_npy_bit_for_bit(demo_lake: str, tmp_path: Path) -> None:
    query = f"SELECT TIME, QUALITY, IMGSIZE, TEMPCCD, IMGRAW FROM {SLOT} ORDER BY TIME"
    expected = Lake(demo_lake).arrow(query)
    for name in ("a.fits", "a.npy"):
        said = sql(query, tmp_path / name, demo_lake)
        assert said == f"{tmp_path / name}: 293 rows, {(tmp_path / name).stat().st_size:,} bytes\n"
    for found in (fits.getdata(tmp_path / "a.fits"), np.load(tmp_path / "a.npy", allow_pickle=False)):
        assert found["IMGRAW"].shape == (293, 36)
        for name in expected.column_names:
            values = expected.column(name).combine_chunks()
            values = (values if name != "IMGRAW" else values.flatten()).to_numpy()
            native = np.ascontiguousarray(found[name], found[name].dtype.newbyteorder("="))
            assert native.dtype == values.dtype
            assert native.tobytes() == values.tobytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_fits_tables_have_a_name_and_units_that_astropy_knows(demo_lake: str, tmp_path: Path) -> None:
    sql(f"SELECT TIME FROM {SLOT} LIMIT 1", tmp_path / "a.fits", demo_lake)
    assert fits.getheader(tmp_path / "a.fits", 1)["EXTNAME"] == "ANSWER"
    of_each = {msid.unit: msid.name for msid in PSEUDO_MSIDS}
    arguments = [
        "msid",
        *of_each.values(),
        "--start",
        "2024:001",
        "--stop",
        "2024:001:00:10",
        "-o",
        tmp_path / "m.fits",
    ]
    assert in_process(arguments, {"MICA_LAKE": demo_lake}).returncode == 0
    assert fits.getheader(tmp_path / "m.fits", 1)["EXTNAME"] == "MSIDS"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "'electron' did not parse", UnitsWarning)  # which FITS lacks
        table = Table.read(tmp_path / "m.fits")
    known = {"": None, "°C": "deg_C", "counts": "ct", "V": "V", "us": "us", "e-": "electron"}
    expected = {"time": "s", **{name: known[unit] for unit, name in of_each.items()}}
    assert {name: table[name].unit and str(table[name].unit) for name in table.colnames} == expected


def test_every_type_has_its_column_and_what_becomes_of_nulls_is_said(demo_lake: str, tmp_path: Path) -> None:
    for name in ("a.fits", "a.npy"):
        assert sql(ALL_TYPES, tmp_path / name, demo_lake).splitlines()[1:] == [
            "  i16_null: a null is written as -32768",
            "  u64_null: a null is written as 18446744073709551615",
            "  f64_null: a null is written as nan",
            "  bool_null: a null is written as 255",
            "  text_null: a null is written as ''",
            "  all_null: a null is written as nan",
        ]
    array = np.load(tmp_path / "a.npy", allow_pickle=False)
    kinds = {name: array.dtype[name].base.str.lstrip("<|") for name in array.dtype.names}
    wanted = "u1 i1 u2 i2 u4 i4 u8 i8 i8 f8 f4 f8 b1 U10 U2 f4 i4 i2 u8 f8 u1 U2 f8"
    assert " ".join(kinds.values()) == wanted
    assert array["u64"].tolist() == [2**64 - 4, 2**64 - 3, 2**64 - 2]
    assert array["text"].tolist() == ["", "a", "aa"]
    assert array["array"].tolist() == [[0, 2], [1, 2], [2, 2]]

    table = Table.read(tmp_path / "a.fits")
    masked = [name for name in table.colnames if np.ma.getmaskarray(table[name]).any()]
    # NaN and texts without characters are null to astropy; of unsigned integers it does not look at TNULL.
    assert masked == ["text", "list", "i16_null", "f64_null", "bool_null", "text_null", "all_null"]
    with fits.open(tmp_path / "a.fits") as hdus:
        # TNULL is of what is stored, which is less by TZERO.
        assert [hdus[1].columns[name].null for name in ("i16_null", "u64_null")] == [-32768, 2**63 - 1]
        for name in array.dtype.names:
            np.testing.assert_array_equal(hdus[1].data[name], array[name], err_msg=name)


def test_an_answer_without_rows_has_its_columns(demo_lake: str, tmp_path: Path) -> None:
    for name in ("a.fits", "a.npy"):
        sql(f"SELECT * FROM ({ALL_TYPES}) WHERE false", tmp_path / name, demo_lake)
    assert np.load(tmp_path / "a.npy", allow_pickle=False).shape == (0,)
    assert len(Table.read(tmp_path / "a.fits")) == 0
    assert len(Table.read(tmp_path / "a.fits").colnames) == 23


@pytest.mark.parametrize(
    ("query", "ending", "expected"),
    [
        ("SELECT IMGRAW FROM aca_images('2024:001', '2024:001:00:01')", "fits", "36 to 64 values"),
        ("SELECT if(x = 1, NULL, [x]) AS l FROM range(2) AS t(x)", "npy", "null among them"),
        ("SELECT {'a': 1} AS s", "npy", "unnest"),
        ("SELECT unnest([NULL, -32768])::SMALLINT AS n", "npy", "coalesce(n"),
        ("SELECT 1 AS a, 2 AS A", "fits", "more than one column"),
        ("SELECT '10 °C' AS t", "fits", "not ASCII"),
        ("SELECT 170141183460469231731687303715884105727 AS n", "npy", "n::DOUBLE"),
    ],
)
def test_what_has_no_column_is_an_error_that_says_what_would_do(
    query: str, ending: str, expected: str, demo_lake: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_text("old")
    done = in_process(["sql", query, "-o", path], {"MICA_LAKE": demo_lake})
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
