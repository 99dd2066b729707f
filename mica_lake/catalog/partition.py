"""One partition: a Parquet file that says where its rows come from."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import isal_zlib

from mica_lake.errors import LakeError, unusable
from mica_lake.store.place import LakePath
from mica_lake.tables.table import Column, Table

FORMAT = "3"
# Without checksums of its pages, nor the definition of its table.
OLDER = ("2",)
# Measured, see docs/performance.md.
PAGE_BYTES = 1 << 18
_PREFIX = "mica_lake."
_VALUES, _BYTES = _PREFIX + "values", _PREFIX + "bytes"
_ZEROS = b"00000000"
_VERSION = re.compile(r"_([0-9a-f]{16})\.parquet$", re.ASCII)
# A key and value of eight letters in a Parquet footer.
_MARK = _BYTES.encode() + b"\x18\x08"


@dataclass(frozen=True)
class Source:
    """
    A source file as a partition records it.

    Attributes
    ----------
    filename, checksum : str
        Base name, and SHA-256 of the file as it is stored.
    imgsize, revision, startmjf, startmnf, stopmjf, stopmnf, tlmver, ascdsver, date, tstart, tstop
        Of its header.
    file_rows, day_rows, rows : int
        Rows of the whole file, of this partition's day in it, and of those the ones kept here (a readout that two
        files have is kept once).
    """

    filename: str
    checksum: str
    slot: int
    imgsize: int
    revision: int
    tstart: float
    tstop: float
    startmjf: int
    startmnf: int
    stopmjf: int
    stopmnf: int
    tlmver: str
    ascdsver: str
    date: str
    file_rows: int
    day_rows: int = 0
    rows: int = 0


def encode(
    table: Table,
    rows: pa.Table,
    sources: Sequence[Source],
    derived_from: str | None = None,
    days: Mapping[int, str] | None = None,
) -> bytes:
    """
    Bytes of a partition's file; the same rows and sources always give the same bytes.

    `derived_from` is what the rows are derived from, for a table made from another; `days` is that of each day by
    number, for one that is brought up to date day by day.
    """
    rows = rows.combine_chunks()
    listed = sorted((asdict(s) for s in sources), key=lambda s: str(s["filename"]))
    metadata = {"format": FORMAT, "table": table.name, "sources": json.dumps(listed, separators=(",", ":"))}
    if derived_from is not None:
        metadata["derived_from"] = derived_from
    if days is not None:
        metadata["days"] = json.dumps(days, separators=(",", ":"), sort_keys=True)
    metadata["definition"] = table.definition
    metadata["values"] = values_checksum(rows)
    metadata["bytes"] = _ZEROS.decode()
    paths = {f.name: list(_leaves(f.name, f.type)) for f in rows.schema}
    split = {
        leaves[0]: "BYTE_STREAM_SPLIT"
        for name, leaves in paths.items()
        if (column := table.by_name.get(name)) is not None and len(leaves) == 1 and _split(rows, column, leaves[0])
    }
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=[path for leaves in paths.values() for path in leaves if path not in split],
        column_encoding=split or None,
        # Statistics cost footer bytes in every column.
        write_statistics=list(table.searched) or False,
        data_page_size=PAGE_BYTES,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        for first, last in _runs(rows, table):
            writer.write_table(rows.slice(first, last - first), row_group_size=table.row_group_rows)
        writer.add_key_value_metadata({_PREFIX + key: value for key, value in metadata.items()})
    content = bytearray(sink.getvalue())
    place = _digits(content)
    content[place : place + 8] = b"%08x" % _crc_without(content, place)
    return bytes(content)


def _runs(rows: pa.Table, table: Table) -> list[tuple[int, int]]:
    """First row and end of what has row groups of its own."""
    if not table.row_group_of or not len(rows):
        return [(0, len(rows))]
    codes = rows.column(table.row_group_of).combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    ends = [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(rows)]
    return list(zip([0, *ends], ends, strict=False))


def _digits(content: bytes | bytearray) -> int:
    """Where in a file the checksum of its bytes is; -1 if it has none."""
    place = content.rfind(_MARK)
    return place + len(_MARK) if place >= 0 else -1


def _crc_without(content: bytes | bytearray, place: int) -> int:
    """CRC-32 of a file's bytes, with zeros in place of the checksum itself."""
    view = memoryview(content)
    return isal_zlib.crc32(view[place + 8 :], isal_zlib.crc32(_ZEROS, isal_zlib.crc32(view[:place])))


def _leaves(path: str, type_: pa.DataType) -> Iterator[str]:
    """Parquet's names of the leaves of a column."""
    if pa.types.is_list(type_):
        yield from _leaves(f"{path}.list.element", type_.value_type)
    elif pa.types.is_struct(type_):
        for child in type_.fields:
            yield from _leaves(f"{path}.{child.name}", child.type)
    else:
        yield path


def values_checksum(rows: pa.Table) -> str:
    """
    Checksum of the values in a partition: CRC-32, eight hexadecimal digits.

    It depends on nothing but the values: not on how they are encoded or cut into chunks, nor on what is stored under a
    null. A TypeError if a column is of a type that no table has.

    Examples
    --------
    >>> values_checksum(pa.table({"TIME": [1.0, 2.0]}))
    '0968460c'
    """
    crc = 0
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        crc = _crc(values, isal_zlib.crc32(name.encode(), crc))
    return f"{crc:08x}"


def _crc(values: pa.Array, crc: int) -> int:
    """CRC-32 of an array's values, continued from that of what comes before."""
    crc = isal_zlib.crc32(len(values).to_bytes(8, "little"), crc)
    if values.null_count:
        crc = isal_zlib.crc32(np.packbits(values.is_valid().to_numpy(zero_copy_only=False)), crc)
        values = values.drop_null()
    type_ = values.type
    if pa.types.is_list(type_):
        lengths = pc.list_value_length(values).to_numpy()
        return _crc(values.flatten(), isal_zlib.crc32(lengths, crc))
    if pa.types.is_struct(type_):
        for child in values.flatten():
            crc = _crc(child, crc)
        return crc
    if pa.types.is_string(type_):
        crc = isal_zlib.crc32(pc.binary_length(values).to_numpy(), crc)
        _, offsets, text = values.buffers()
        if not len(values) or text is None:
            return crc
        ends = np.frombuffer(offsets, np.int32, len(values) + 1, 4 * values.offset)
        return isal_zlib.crc32(memoryview(text)[ends[0] : ends[-1]], crc)
    if pa.types.is_boolean(type_):
        return isal_zlib.crc32(np.packbits(values.to_numpy(zero_copy_only=False)), crc)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return isal_zlib.crc32(values.to_numpy(), crc)
    raise TypeError(f"no checksum is defined of {type_}")


def _split(rows: pa.Table, column: Column, path: str) -> bool:
    """Whether to split the bytes of a column's floats into streams."""
    if pa.types.is_list(column.type) and pa.types.is_floating(column.type.value_type):
        return _smaller_when_split(rows, path)
    if not pa.types.is_floating(column.type):
        return False
    sample = rows.column(column.name).slice(0, 2048)
    return column.unit == "s" or pc.count_distinct(sample).as_py() > len(sample) // 2 > 0


def _smaller_when_split(rows: pa.Table, path: str) -> bool:
    """Whether split bytes of these floats compress better than their distinct values; see docs/performance.md."""
    sample = rows.select([path.split(".")[0]]).slice(0, 2048)
    split = pa.BufferOutputStream()
    pq.write_table(
        sample, split, compression="zstd", compression_level=3, use_dictionary=False,
        column_encoding={path: "BYTE_STREAM_SPLIT"}, store_schema=False,
    )  # fmt: skip
    distinct = pa.BufferOutputStream()
    pq.write_table(sample, distinct, compression="zstd", compression_level=3, store_schema=False)
    return int(split.tell()) <= int(distinct.tell())


def checksum(content: bytes) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def readable(file: LakePath | bytes) -> pa.BufferReader:
    """A partition's file, or its content, in a form that pyarrow accepts."""
    return in_memory(file if isinstance(file, bytes) else file.read_bytes())


def in_memory(content: bytes) -> pa.BufferReader:
    """A file's content for pyarrow, in memory of its own."""
    # pyarrow's threads release it some time after they gave their answer. If it were Python's, and Python at its end by
    # then, they would abort the process.
    buffer = pa.allocate_buffer(len(content))
    memoryview(buffer).cast("B")[:] = content
    return pa.BufferReader(buffer)


def read_partition(
    file: LakePath,
    columns: Sequence[str] | None = None,
    schema: pa.Schema | None = None,
    filters: pc.Expression | None = None,
) -> pa.Table:
    """
    Rows of a partition's file, without the columns that the directories' names stand for.

    A LakeError if it is not there, or its bytes are not those that were written, so that nothing is made from them: of
    a pinned version, as its name says; of another file, as far as its footer and the checksums of the pages read tell.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise unusable(file, "is not there") from None
    if (version := _VERSION.search(file.name)) and not checksum(content).startswith(version[1]):
        raise unusable(file, "is damaged, its bytes are not those that were written")
    try:
        return pq.read_table(
            in_memory(content), columns=columns, schema=schema, filters=filters, partitioning=None,
            page_checksum_verification=True,
        )  # fmt: skip
    except (OSError, pa.ArrowException) as error:
        raise unusable(file, f"is damaged ({error})") from error


def read_sources(file: LakePath | bytes, table: Table) -> tuple[list[Source], pq.FileMetaData]:
    """Sources and footer of a partition's file; a LakeError if it is not a partition of this table and this format."""
    try:
        footer = pq.read_metadata(readable(file))
        metadata = {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}
        if metadata.get(_PREFIX + "table") != table.name:
            raise ValueError(f"it is not a partition of {table.name}")
        if metadata[_PREFIX + "format"] not in (FORMAT, *OLDER):
            raise ValueError(f"its format is {metadata[_PREFIX + 'format']}, this mica-lake writes {FORMAT}")
        return [Source(**source) for source in json.loads(metadata[_PREFIX + "sources"])], footer
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise LakeError(str(error) if isinstance(file, bytes) else f"{file}: {error}") from error


def read_derived_from(footer: pq.FileMetaData) -> str | None:
    """What a partition is derived from; None for a table that is made from source files."""
    found = (footer.metadata or {}).get(f"{_PREFIX}derived_from".encode())
    return found.decode() if found is not None else None


def read_days(file: LakePath) -> dict[int, str]:
    """What each day of a partition is derived from, by its number."""
    metadata = pq.read_metadata(readable(file)).metadata or {}
    return {
        int(day): made_from for day, made_from in json.loads(metadata.get(f"{_PREFIX}days".encode(), b"{}")).items()
    }


def read_definition(footer: pq.FileMetaData) -> str | None:
    """The `Table.definition` that a partition was made by; None if the mica-lake that wrote it did not record it."""
    found = (footer.metadata or {}).get(f"{_PREFIX}definition".encode())
    return found.decode() if found is not None else None


def has_page_checksums(footer: pq.FileMetaData) -> bool:
    """Whether a partition's pages have checksums, which `read_partition` checks; DuckDB and Polars do not."""
    return (footer.metadata or {}).get(f"{_PREFIX}format".encode()) == FORMAT.encode()


def read_checked(content: bytes) -> pa.Table:
    """Rows of a partition; a ValueError if a bit of its file, or a value, is not what was written."""
    place = _digits(content)
    if place < 0:
        raise ValueError("it has no checksum")
    if content[place : place + 8] != b"%08x" % _crc_without(content, place):
        raise ValueError("its bytes are not those that were written")
    rows = pq.read_table(in_memory(content), partitioning=None)
    metadata = pq.read_metadata(in_memory(content)).metadata
    if metadata[_VALUES.encode()] != values_checksum(rows).encode():
        raise ValueError("its values are not those that were written")
    return rows
