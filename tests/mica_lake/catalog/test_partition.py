"""A partition's file: it says where its rows come from, and the same rows always give the same bytes."""

import io
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from mica_lake import LakeError
from mica_lake.catalog.partition import (
    FORMAT,
    Source,
    checksum,
    encode,
    read_checked,
    read_sources,
    values_checksum,
)  # fmt: skip
from mica_lake.store.place import DISK
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.table import Column, Table

SOURCE = Source(
    "acaf500000002N001_3_img0.fits.gz", "0" * 64, 3, 8, 1, 5e8, 5.0001e8, 1, 2, 3, 4, "P014", "10.8",
    "2013-11-05T00:53:20", 10, 10, 10,
)  # fmt: skip


def rows_of(**columns: Any) -> pa.Table:
    """Rows of aca_l0, null where no column is given."""
    count = len(columns["TIME"])
    arrays = [
        pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(count, f.type) for f in ACA_L0.schema
    ]
    return pa.Table.from_arrays(arrays, schema=ACA_L0.schema)


def images_of(pixels: np.ndarray) -> pa.Table:
    return rows_of(TIME=np.arange(len(pixels), dtype=float), IMGRAW=list(pixels.reshape(len(pixels), -1)))


def metadata_of(content: bytes) -> pq.FileMetaData:
    return pq.read_metadata(io.BytesIO(content))


def test_the_file_names_its_format_its_table_and_its_sources() -> None:
    sources = [replace(SOURCE, filename=name) for name in ("b.fits.gz", "a.fits.gz")]
    metadata = metadata_of(encode(ACA_L0, rows_of(TIME=[1.0]), sources)).metadata
    assert metadata[b"mica_lake.format"] == FORMAT.encode()
    assert metadata[b"mica_lake.table"] == b"aca_l0"
    assert json.loads(metadata[b"mica_lake.sources"]) == [asdict(sources[1]), asdict(sources[0])]


def test_sources_read_back_as_they_were_given(tmp_path: Path) -> None:
    odd = replace(SOURCE, tstart=0.1 + 0.2, tlmver="", date='"quoted" ü')
    DISK.put(tmp_path / "a.parquet", encode(ACA_L0, rows_of(TIME=[1.0]), [odd]))
    sources, footer = read_sources(tmp_path / "a.parquet", ACA_L0)
    assert sources == [odd]
    assert footer.num_rows == 1


def test_the_same_rows_and_sources_give_the_same_bytes_however_they_come() -> None:
    rows = images_of(np.arange(160, dtype=np.float32).reshape(10, 16))
    sources = [replace(SOURCE, filename=f"{n}.fits") for n in range(3)]
    content = encode(ACA_L0, rows, sources)
    in_pieces = pa.concat_tables([rows.slice(0, 3), rows.slice(3, 0), rows.slice(3)])
    assert encode(ACA_L0, in_pieces, sources[::-1]) == content
    padded = pa.concat_tables([rows, rows]).combine_chunks()
    assert encode(ACA_L0, padded.slice(10, 10), sources) == content
    assert encode(ACA_L0, rows, sources[:2]) != content


def encodings(content: bytes, path: str) -> set[str]:
    group = metadata_of(content).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    return set(next(c.encodings for c in columns if c.path_in_schema == path))


def pixels_size(content: bytes) -> int:
    group = metadata_of(content).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    return int(next(c.total_compressed_size for c in columns if c.path_in_schema.startswith("IMGRAW")))


def with_pixels_as(rows: pa.Table, *, split: bool) -> int:
    """Size of the pixels in one of the two encodings."""
    out = io.BytesIO()
    path = "IMGRAW.list.element"
    pq.write_table(
        rows.select(["IMGRAW"]), out, compression="zstd", compression_level=3, use_dictionary=not split,
        column_encoding={path: "BYTE_STREAM_SPLIT"} if split else None, store_schema=False,
    )  # fmt: skip
    return pixels_size(out.getvalue())


@pytest.mark.parametrize("kind", ["few values", "all different", "constant", "noise of a few bits"])
def test_pixels_are_stored_in_the_smaller_of_the_two_encodings(kind: str) -> None:
    rng = np.random.default_rng(1)
    pixels = {
        "few values": rng.choice(np.float32([1.1, 2.2, 3.3, 1e9]), (500, 36)),
        "all different": rng.normal(0, 1, (500, 36)).astype(np.float32),
        "constant": np.full((500, 36), 7, np.float32),
        "noise of a few bits": (1000 + rng.integers(0, 4, (500, 36))).astype(np.float32),
    }[kind]
    rows = images_of(pixels)
    content = encode(ACA_L0, rows, [])
    split, distinct = with_pixels_as(rows, split=True), with_pixels_as(rows, split=False)
    chosen = "BYTE_STREAM_SPLIT" in encodings(content, "IMGRAW.list.element")
    assert chosen == (split <= distinct)
    assert pixels_size(content) <= 1.02 * min(split, distinct) + 100


def test_both_encodings_are_chosen_by_some_pixels() -> None:
    rng = np.random.default_rng(1)
    few = images_of(rng.choice(np.float32([1.1, 2.2, 3.3, 1e9]), (500, 36)))
    all_different = images_of(rng.normal(0, 1, (500, 36)).astype(np.float32))
    assert "BYTE_STREAM_SPLIT" not in encodings(encode(ACA_L0, few, []), "IMGRAW.list.element")
    assert "BYTE_STREAM_SPLIT" in encodings(encode(ACA_L0, all_different, []), "IMGRAW.list.element")


def test_only_time_has_statistics() -> None:
    group = metadata_of(encode(ACA_L0, rows_of(TIME=[1.0, 2.0], MJF=[3, 4]), [])).row_group(0)
    with_statistics = [c.path_in_schema for i in range(group.num_columns) if (c := group.column(i)).statistics]
    assert with_statistics == ["TIME"]
    assert (group.column(0).statistics.min, group.column(0).statistics.max) == (1.0, 2.0)


def test_no_rows_have_the_schema_too() -> None:
    content = encode(ACA_L0, ACA_L0.schema.empty_table(), [])
    assert pq.read_table(io.BytesIO(content)).schema.equals(
        pq.read_table(io.BytesIO(content)).cast(ACA_L0.schema).schema
    )
    assert metadata_of(content).num_rows == 0


ODD = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4028235e38]
floats = st.one_of(st.sampled_from(np.float32(ODD).tolist()), st.floats(width=32))


@settings(max_examples=25, deadline=None)
@given(
    st_numpy.arrays(np.uint32, st.tuples(st.integers(1, 6), st.just(16))),
    st.lists(floats, min_size=6, max_size=6),
    st.lists(st.integers(0, 65535), min_size=6, max_size=6),
    st.lists(st.one_of(st.none(), st.integers(0, 255)), min_size=6, max_size=6),
    st.lists(st.text("ABC xyz\n'\"", max_size=4), min_size=6, max_size=6),
)
def test_any_values_come_back_bit_for_bit(
    bits: np.ndarray, temperatures: Sequence[float], words: list[int], octets: list[int | None], text: list[str]
) -> None:
    n = len(bits)
    pixels = bits.view(np.float32)
    temperatures_32 = np.array(temperatures[:n], np.float32)
    content = encode(
        ACA_L0,
        rows_of(
            TIME=np.arange(n, dtype=float), IMGRAW=list(pixels), TEMPCCD=temperatures_32, BGDAVG=words[:n],
            IMGFID2=octets[:n], PIXTLM=text[:n],
        ),
        [],
    )  # fmt: skip
    back = pq.read_table(io.BytesIO(content), schema=ACA_L0.schema)
    assert back["IMGRAW"].combine_chunks().flatten().to_numpy().tobytes() == pixels.tobytes()
    assert back["TEMPCCD"].to_numpy().tobytes() == temperatures_32.tobytes()
    assert back["BGDAVG"].to_pylist() == words[:n]
    assert back["IMGFID2"].to_pylist() == octets[:n]
    assert back["PIXTLM"].to_pylist() == text[:n]


# --- checksums --------------------------------------------------------------------------------------------------------

TYPES = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint16": (pa.uint16(), st.integers(0, 65535)),
    "double": (pa.float64(), st.floats(allow_nan=True)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=3)),
    "list": (pa.list_(pa.float32()), st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=3)),
    "structs": (
        pa.list_(pa.struct([("slot", pa.int8()), ("name", pa.string())])),
        st.lists(
            st.one_of(
                st.none(),
                st.fixed_dictionaries(
                    {"slot": st.one_of(st.none(), st.integers(0, 7)), "name": st.one_of(st.none(), st.text(max_size=2))}
                ),
            ),
            max_size=3,
        ),
    ),
}
VALUES = st.sampled_from(sorted(TYPES)).flatmap(
    lambda name: st.tuples(st.just(TYPES[name][0]), st.lists(st.one_of(st.none(), TYPES[name][1]), max_size=20))
)


@settings(max_examples=150, deadline=None)
@given(VALUES, st.integers(0, 20), st.integers(0, 20))
def test_the_checksum_is_of_the_values_however_they_lie(
    typed: tuple[pa.DataType, list[Any]], first: int, second: int
) -> None:
    type_, values = typed
    rows = pa.table({"a": pa.array(values, type_)})
    expected = values_checksum(rows)
    in_pieces = pa.concat_tables([rows.slice(0, first), rows.slice(first)])
    assert values_checksum(in_pieces) == expected
    padded = pa.table({"a": pa.array([*values[:second], *values, None], type_)})
    assert values_checksum(padded.slice(len(values[:second]), len(values))) == expected
    out = io.BytesIO()
    pq.write_table(rows, out, row_group_size=7, store_schema=False)
    assert values_checksum(pq.read_table(out)) == expected


@settings(max_examples=150, deadline=None)
@given(VALUES, st.data())
def test_other_values_have_another_checksum(typed: tuple[pa.DataType, list[Any]], data: st.DataObject) -> None:
    type_, values = typed
    one = pa.table({"a": pa.array(values, type_)})
    others = [[*values, None], [None, *values], values[1:], values[::-1]]
    other = pa.table({"a": pa.array(data.draw(st.sampled_from(others)), type_)})
    assert (values_checksum(one) == values_checksum(other)) == (repr(one.to_pylist()) == repr(other.to_pylist()))
    assert values_checksum(one) != values_checksum(one.rename_columns(["b"]))


def test_what_is_stored_under_a_null_does_not_count() -> None:
    arrays = [pa.array(np.array([1.0, value]), mask=np.array([False, True])) for value in (5.0, 6.0)]
    assert len({values_checksum(pa.table({"a": array})) for array in arrays}) == 1


def test_any_flipped_bit_is_found(tmp_path: Path) -> None:
    content = encode(ACA_L0, rows_of(TIME=[1.0, 2.0], MJF=[3, 4]), [SOURCE])
    path = tmp_path / "data.parquet"
    path.write_bytes(content)
    assert len(read_checked(path.read_bytes())) == 2
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"its bytes are not those that were written|it has no checksum"):
            read_checked(path.read_bytes())


def test_values_that_were_written_wrongly_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mica_lake.catalog.partition.values_checksum", lambda rows: "00000000")
    (tmp_path / "data.parquet").write_bytes(encode(ACA_L0, rows_of(TIME=[1.0]), []))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="its values are not those that were written"):
        read_checked((tmp_path / "data.parquet").read_bytes())


def test_a_column_of_lists_of_structs_is_stored() -> None:
    type_ = pa.list_(pa.struct([("slot", pa.int8()), ("dy", pa.list_(pa.float64())), ("name", pa.string())]))
    table = Table("t", (), (Column("slots", type_, "", "", ""), Column("time", pa.float64(), "s", "", "")), 10, "time")
    values = [[{"slot": 1, "dy": [0.5, -0.0], "name": "a"}, {"slot": None, "dy": None, "name": ""}], None, []]
    rows = pa.table({"slots": pa.array(values, type_), "time": [1.0, 2.0, 3.0]}, schema=table.schema)
    assert pq.read_table(io.BytesIO(encode(table, rows, []))).to_pylist() == rows.to_pylist()


# --- writing and reading files ----------------------------------------------------------------------------------------


def test_write_replaces_a_file_whole_and_makes_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    for content in (b"first, the longer one", b"second"):
        DISK.put(path, content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, "text is no bytes"])
def test_write_leaves_no_other_file_on_error(content: Any, tmp_path: Path) -> None:
    DISK.put(tmp_path / "file", b"as it was")
    with pytest.raises(TypeError):
        DISK.put(tmp_path / "file", content)
    (tmp_path / "directory" / "with something in it").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        DISK.put(tmp_path / "directory", b"a directory stands in the way")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]
    assert (tmp_path / "file").read_bytes() == b"as it was"


def test_the_checksum_is_sha_256() -> None:
    assert checksum(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def with_metadata(**metadata: str) -> bytes:
    out = io.BytesIO()
    with pq.ParquetWriter(out, pa.schema([("TIME", pa.float64())])) as writer:
        writer.write_table(pa.table({"TIME": [1.0]}))
        writer.add_key_value_metadata({f"mica_lake.{key}": value for key, value in metadata.items()})
    return out.getvalue()


GOOD = encode(ACA_L0, rows_of(TIME=[1.0]), [SOURCE])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", ""),
        (GOOD[: len(GOOD) // 2], ""),
        (GOOD[:-4] + b"PARX", ""),
        (b"some text", ""),
        (with_metadata(), "it is not a partition of aca_l0"),
        (with_metadata(table="hdr3", format=FORMAT, sources="[]"), "it is not a partition of aca_l0"),
        (with_metadata(table="aca_l0", format="99", sources="[]"), "its format is 99, this mica-lake writes 3"),
        (with_metadata(table="aca_l0", sources="[]"), "format"),
        (with_metadata(table="aca_l0", format=FORMAT), "sources"),
        (with_metadata(table="aca_l0", format=FORMAT, sources="{"), ""),
        (with_metadata(table="aca_l0", format=FORMAT, sources='[{"what": 1}]'), "what"),
    ],
)
def test_what_is_no_partition_is_refused_by_name(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LakeError) as caught:
        read_sources(path, ACA_L0)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


# --- every table ------------------------------------------------------------------------------------------------------


def values_of(type_: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, bit by bit for floats: every NaN, both zeros, the largest and smallest."""
    if pa.types.is_list(type_):
        return st.lists(values_of(type_.value_type), max_size=5)
    if pa.types.is_struct(type_):
        # One value for all fields of a type, as there are many.
        drawn = st.fixed_dictionaries({f.type: st.one_of(st.none(), values_of(f.type)) for f in type_})
        return drawn.map(lambda of: {f.name: of[f.type] for f in type_})
    if pa.types.is_boolean(type_):
        return st.booleans()
    if pa.types.is_string(type_):
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    if pa.types.is_floating(type_):
        like = np.dtype(f"u{type_.bit_width // 8}")
        bits = st.integers(0, 2**type_.bit_width - 1).map(lambda n: like.type(n).view(f"f{like.itemsize}"))
        return st.one_of(st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324]), bits)
    low = 0 if pa.types.is_unsigned_integer(type_) else -(2 ** (type_.bit_width - 1))
    high = low + 2**type_.bit_width - 1
    return st.one_of(st.integers(low, high), st.sampled_from([low, 0, high]))


def array_of(values: list[Any], type_: pa.DataType) -> pa.Array:
    """An Arrow array with the very bits of the values."""
    if pa.types.is_list(type_):
        inner = array_of([v for one in values if one is not None for v in one], type_.value_type)
        offsets = np.cumsum([0, *(len(one or ()) for one in values)]).astype(np.int32)
        null = pa.array([one is None for one in values], pa.bool_())
        return pa.ListArray.from_arrays(pa.array(offsets), inner, mask=null)
    if pa.types.is_struct(type_):
        fields = [array_of([one[f.name] for one in values], f.type) for f in type_]
        return pa.StructArray.from_arrays(fields, fields=list(type_))
    if pa.types.is_floating(type_):
        null = np.array([v is None for v in values], bool)
        numbers = np.array([0 if v is None else v for v in values], f"f{type_.bit_width // 8}")
        return pa.array(numbers, type_, mask=null, from_pandas=False)
    return pa.array(values, type_)


def bits_of(array: pa.Array) -> list[Any]:
    """Values of an array, floats as their bits."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_list(array.type):
        inner = bits_of(array.flatten())
        lengths = [None if one is None else len(one) for one in array.to_pylist()]
        ends = np.cumsum([length or 0 for length in lengths]).tolist()
        return [None if n is None else inner[end - n : end] for n, end in zip(lengths, ends, strict=True)]
    if pa.types.is_struct(array.type):
        return list(zip(*map(bits_of, array.flatten()), strict=True))
    if pa.types.is_floating(array.type):
        null = array.is_null().to_pylist()
        words = array.fill_null(0).to_numpy(zero_copy_only=False).view(f"u{array.type.bit_width // 8}").tolist()
        return [None if n else word for n, word in zip(null, words, strict=True)]
    return list(array.to_pylist())


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_rows_of_any_table_come_back_bit_for_bit_to_pyarrow_duckdb_and_polars(
    name: str, data: st.DataObject
) -> None:
    table = TABLES[name]
    count = data.draw(st.integers(0, 4))
    # A few values for each type, drawn once: the tables have up to eighty columns.
    pool = {
        type_: data.draw(st.lists(st.one_of(st.none(), values_of(type_)), min_size=count + 3, max_size=count + 3))
        for type_ in {c.type for c in table.columns}
    }
    columns = [array_of(pool[c.type][i % 3 : i % 3 + count], c.type) for i, c in enumerate(table.columns)]
    rows = pa.Table.from_arrays(columns, schema=table.schema)
    content = encode(table, rows, [], "derived")
    back = {"pyarrow": pq.read_table(io.BytesIO(content), schema=table.schema)}
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(content)
        file.flush()
        back["duckdb"] = duckdb.sql(f"FROM read_parquet('{file.name}')").to_arrow_table().cast(table.schema)
        back["polars"] = pl.read_parquet(file.name).to_arrow().cast(table.schema)
    for engine, found in back.items():
        for c, column in zip(table.columns, columns, strict=True):
            assert bits_of(found.column(c.name)) == bits_of(column), (engine, c.name)
