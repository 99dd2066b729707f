"""Answers as files: of any command, by the ending of the name."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mica_lake.catalog.objects import quoted
from mica_lake.output import printable

TABLES = (".csv", ".json", ".parquet", ".fits", ".npy")

_COPIED = {
    ".csv": "FORMAT csv, HEADER",
    ".json": "FORMAT json, ARRAY",
    ".parquet": "FORMAT parquet, COMPRESSION zstd",
}
# Those that FITS calls otherwise.
_UNITS = {"°C": "Celsius", "counts": "count", "e-": "electron"}
_TEXT_OR_NAN = re.compile(r'("(?:[^"\\]|\\.)*")|-?Infinity|-?NaN')


def checked(path: Path, endings: tuple[str, ...]) -> str:
    """The ending of a path, which should be one of these."""
    if path.suffix not in endings:
        raise ValueError(f"{path}: its ending should be one of {', '.join(endings)}")
    return path.suffix


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file of the same ending in a folder beside a path, which takes its place if all goes well."""
    with TemporaryDirectory(dir=path.absolute().parent, prefix=".mica-lake-") as folder:
        yield (made := Path(folder) / f"answer{path.suffix}")
        made.replace(path)


def say(path: Path, rows: int, notes: list[str]) -> None:
    """Say what has been written."""
    print(printable(f"{path}: {rows:,} row{'' if rows == 1 else 's'}, {path.stat().st_size:,} bytes"))
    for note in notes:
        print(printable(f"  {note}"))


def write(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    form: str,
    path: Path,
    name: str = "ANSWER",
    units: Mapping[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Write the answer of a query to a file (FITS: with these units); the number of rows, and what became of nulls."""
    if form in _COPIED:
        (rows,) = connection.execute(f"COPY ({query}\n) TO {quoted(str(path))} ({_COPIED[form]})").fetchall()[0]
        if form == ".json":
            _without_nan(path)
        return rows, []
    answer = connection.sql(query).to_arrow_table()
    array, nulls = _structured(answer)
    if form == ".npy":
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
    else:
        _write_fits(array, nulls, path, name, units or {})
    return len(array), [f"{name}: a null is written as {value!r}" for name, value in nulls.items()]


def _without_nan(path: Path) -> None:
    """Rewrite an answer, one row a line, with null for NaN and infinity, which DuckDB writes and JSON lacks."""
    rewritten = path.with_name("rewritten")
    with path.open(encoding="utf-8", newline="") as lines, rewritten.open("w", encoding="utf-8", newline="") as out:
        for line in lines:
            out.write(
                _TEXT_OR_NAN.sub(lambda found: found[1] or "null", line) if "NaN" in line or "Inf" in line else line
            )
    rewritten.replace(path)


def _structured(answer: pa.Table) -> tuple[NDArray[Any], dict[str, Any]]:
    """A table as a structured array, and by what nulls are replaced in the columns that have any."""
    folded = [name.casefold() for name in answer.column_names]
    for name in answer.column_names:
        if folded.count(name.casefold()) > 1:
            raise ValueError(f"{name!r} names more than one column, of which FITS and npy have one each: use AS")
    columns, nulls = {}, {}
    for name in answer.column_names:
        columns[name], fill = _column(name, answer.column(name))
        if fill is not None:
            nulls[name] = fill
    described = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    array = np.zeros(answer.num_rows, described)
    for name, values in columns.items():
        array[name] = values
    return array, nulls


def _column(name: str, column: pa.ChunkedArray) -> tuple[NDArray[Any], Any]:
    """The values of a column, and by what nulls are replaced if it has any."""
    import pyarrow.compute as pc

    values, kind = column.combine_chunks(), column.type
    width = None
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.unique(pc.list_value_length(values.drop_null())).to_pylist()
        if values.null_count or len(lengths) > 1:
            found = "null among them" if values.null_count else f"{min(lengths)} to {max(lengths)} values"
            raise ValueError(
                f"{name}: lists ({found}); FITS and npy have columns of one length: choose rows, or write .parquet"
            )
        width = lengths[0] if lengths else 0
        values = pc.list_flatten(values)
        kind = values.type
    flat, fill = _flat(name, values, kind)
    return (flat if width is None else flat.reshape(len(column), width)), fill


def _flat(name: str, values: pa.Array, kind: pa.DataType) -> tuple[NDArray[Any], Any]:
    """Values that are no lists, and by what nulls are replaced if there are any."""
    import pyarrow.compute as pc

    types = pa.types
    if types.is_decimal(kind):
        try:
            values = values.cast(pa.int64() if kind.scale == 0 else pa.float64())
        except pa.ArrowInvalid as error:
            raise ValueError(f"{name}: has numbers beyond 64 bits: use {name}::DOUBLE, or write .parquet") from error
    elif types.is_null(kind):
        values = values.cast(pa.float64())
    elif types.is_boolean(kind) and values.null_count:
        values = values.cast(pa.uint8())
    elif types.is_temporal(kind) or types.is_dictionary(kind):
        values = values.cast(pa.string())
    kind = values.type
    fill: Any = None
    if types.is_floating(kind):
        fill = np.nan
    elif types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        fill = limits.max if limits.min == 0 else limits.min
        if values.null_count and pc.any(pc.equal(values, pa.scalar(fill, kind))).as_py():
            raise ValueError(
                f"{name}: has both nulls and {fill}, by which they would be replaced: use coalesce({name}, …)"
            )
    elif types.is_string(kind) or types.is_large_string(kind):
        fill = ""
    elif not types.is_boolean(kind):
        raise ValueError(f"{name}: {kind} is no type of FITS or npy: take it apart with unnest, or write .parquet")
    had = values.null_count > 0
    filled = values.fill_null(pa.scalar(fill, kind)) if had else values
    array = np.array(filled.to_pylist(), dtype=np.str_) if fill == "" else filled.to_numpy(zero_copy_only=False)
    if array.dtype.kind == "U" and array.dtype.itemsize == 0:
        array = array.astype("U1")
    return array, (fill if had else None)


def _write_fits(
    array: NDArray[Any], nulls: dict[str, Any], path: Path, table_name: str, units: Mapping[str, str]
) -> None:
    from astropy.io import fits

    # FITS has no signed bytes, and its text is ASCII.
    described = []
    for name in array.dtype.names or ():
        base, shape = array.dtype[name].base, array.dtype[name].shape
        if base.kind == "U":
            for text in (name, *array[name].ravel().tolist()):
                if not text.isascii():
                    raise ValueError(f"{name}: {text!r} is not ASCII, as FITS is: write .parquet")
            base = np.dtype(f"S{base.itemsize // 4}")
        described.append((name, np.dtype(np.int16) if base == np.int8 else base, shape))
    table = fits.BinTableHDU(array.astype(described), name=table_name)
    for number, name in enumerate(array.dtype.names or (), 1):
        if name in nulls and array.dtype[name].base.kind in "iu":
            # Stored values of unsigned columns are less by TZERO.
            zero = table.header.get(f"TZERO{number}", 0)
            table.header.set(f"TNULL{number}", int(nulls[name]) - int(zero), after=f"TFORM{number}")
        if unit := units.get(name):
            table.columns[name].unit = _UNITS.get(unit, unit)
    table.writeto(path)
