"""One partition: a Parquet file that says where its rows come from."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mica_lake.errors import LakeError
from mica_lake.tables import Column, Table

FORMAT = "1"
# Measured, see docs/performance.md.
PAGE_BYTES = 1 << 18
_PREFIX = "mica_lake."


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


def encode(table: Table, rows: pa.Table, sources: Sequence[Source], derived_from: str | None = None) -> bytes:
    """
    Bytes of a partition's file; the same rows and sources always give the same bytes.

    Parameters
    ----------
    table : Table
        The table's declaration.
    rows : pyarrow.Table
        Its rows, of the table's schema, in order.
    sources : sequence of Source
        Where they come from.
    derived_from : str, optional
        What they are derived from, for a table made from another.

    Returns
    -------
    bytes
        A Parquet file.
    """
    rows = rows.combine_chunks()
    listed = sorted((asdict(s) for s in sources), key=lambda s: str(s["filename"]))
    metadata = {"format": FORMAT, "table": table.name, "sources": json.dumps(listed, separators=(",", ":"))}
    if derived_from is not None:
        metadata["derived_from"] = derived_from
    paths = {f.name: f"{f.name}.list.element" if pa.types.is_list(f.type) else f.name for f in rows.schema}
    split = {
        path: "BYTE_STREAM_SPLIT"
        for name, path in paths.items()
        if (column := table.by_name.get(name)) is not None and _split(rows, column, path)
    }
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=[path for path in paths.values() if path not in split],
        column_encoding=split or None,
        # Statistics cost footer bytes in every column.
        write_statistics=list(table.searched) or False,
        data_page_size=PAGE_BYTES,
        store_schema=False,
    ) as writer:
        writer.write_table(rows, row_group_size=table.row_group_rows)
        writer.add_key_value_metadata({_PREFIX + key: value for key, value in metadata.items()})
    return bytes(sink.getvalue())


def _split(rows: pa.Table, column: Column, path: str) -> bool:
    """Whether to store the bytes of a column's floats apart."""
    if pa.types.is_list(column.type):
        return _smaller_when_split(rows, path)
    if not pa.types.is_floating(column.type):
        return False
    sample = rows.column(column.name).slice(0, 2048)
    return column.unit == "s" or pc.count_distinct(sample).as_py() > len(sample) // 2 > 0


def _smaller_when_split(rows: pa.Table, path: str) -> bool:
    """Whether the bytes of these floats compress better apart than their distinct values; see docs/performance.md."""
    sample = rows.select([path.split(".")[0]]).slice(0, 2048)
    split = pa.BufferOutputStream()
    pq.write_table(
        sample, split, compression="zstd", compression_level=3, use_dictionary=False,
        column_encoding={path: "BYTE_STREAM_SPLIT"}, store_schema=False,
    )  # fmt: skip
    distinct = pa.BufferOutputStream()
    pq.write_table(sample, distinct, compression="zstd", compression_level=3, store_schema=False)
    return int(split.tell()) <= int(distinct.tell())


def write(path: Path, content: bytes) -> None:
    """
    Write a file so that its name never stands for half of it, nor for bytes that a power cut can take away.

    Parameters
    ----------
    path : Path
        The file; its directory is made where it is missing.
    content : bytes
        What it shall hold.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def checksum(content: bytes) -> str:
    """
    SHA-256 of a file's content.

    Parameters
    ----------
    content : bytes
        The content.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    return hashlib.sha256(content).hexdigest()


def read_sources(path: Path, table: Table) -> tuple[list[Source], pq.FileMetaData]:
    """
    What a partition's file says of itself.

    Parameters
    ----------
    path : Path
        The file.
    table : Table
        The table that it should be of.

    Returns
    -------
    list of Source, pyarrow.parquet.FileMetaData
        Its sources and its footer.

    Raises
    ------
    LakeError
        If it is no partition of this table and this format; the reason is given.
    """
    try:
        footer = pq.read_metadata(path)
        metadata = {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}
        if metadata.get(_PREFIX + "table") != table.name:
            raise ValueError(f"it is no partition of {table.name}")
        if metadata[_PREFIX + "format"] != FORMAT:
            raise ValueError(f"its format is {metadata[_PREFIX + 'format']}, this mica-lake writes {FORMAT}")
        return [Source(**source) for source in json.loads(metadata[_PREFIX + "sources"])], footer
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{path}: {error}") from error


def read_derived_from(footer: pq.FileMetaData) -> str | None:
    """
    What a partition is derived from.

    Parameters
    ----------
    footer : pyarrow.parquet.FileMetaData
        Its footer.

    Returns
    -------
    str or None
        As it was given to `encode`; None for a table that is made from source files.
    """
    found = (footer.metadata or {}).get(f"{_PREFIX}derived_from".encode())
    return found.decode() if found is not None else None
