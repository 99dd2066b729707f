"""Write simulated files: each appears under its name only when it is whole, and what is written is reproducible."""

import gzip
import io
import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T")
_R = TypeVar("_R")


def write(path: Path, content: bytes) -> Path:
    """Write a file, or replace it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    return beside.replace(path)


def gzipped(content: bytes) -> bytes:
    """The content, gzipped as flight files are but without the time of writing."""
    return gzip.compress(content, 6, mtime=0)


def write_database(path: Path, table: str, columns: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write an SQLite database of one table, or replace it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    marks = ", ".join(f":{column.split()[0]}" for column in columns.split(", "))
    with closing(sqlite3.connect(beside)) as db, db:
        db.execute(f"CREATE TABLE {table} ({columns})")
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    beside.replace(path)


def hdf5(rows: NDArray[np.void], node: str, described: tuple[str, NDArray[np.bytes_]] | None = None) -> bytes:
    """An HDF5 file of one table, and perhaps of a node that describes it."""
    try:
        import h5py
    except ImportError:
        raise ImportError("h5py is absent: pip install 'mica-lake[stats]'") from None
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset(node, data=rows, chunks=(512,), maxshape=(None,), compression="gzip", compression_opts=5)
        if described is not None:
            file.create_dataset(described[0], data=described[1])
    return content.getvalue()


def each(function: Callable[[_T], _R], items: Sequence[_T], jobs: int, chunksize: int = 1) -> Iterator[_R]:
    """What the function returns for each item, in order, computed by `jobs` processes."""
    if jobs < 1:
        raise ValueError(f"jobs {jobs!r} must be 1 or more")
    return _each(function, items, jobs, chunksize)


def _each(function: Callable[[Any], _R], items: Sequence[Any], jobs: int, chunksize: int) -> Iterator[_R]:
    if jobs == 1:
        yield from map(function, items)
        return
    # Not forked: threads of the libraries at work would be copied in whatever state they are.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(function, items, chunksize=chunksize)
