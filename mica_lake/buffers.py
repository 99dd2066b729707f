"""Numbers of Arrow arrays straight from their buffers: pyarrow's own ways to numpy import pandas if it is installed."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers(array: pa.Array, null: float | None = None) -> NDArray[Any]:
    """
    The numbers or Booleans of an array, `null` in place of its nulls; without `null`, nothing is copied or replaced.

    Examples
    --------
    >>> numbers(pa.array([1.5, None, 2.5])[1:], null=np.nan).tolist()
    [nan, 2.5]
    """
    data, end = array.buffers()[1], array.offset + len(array)
    if not len(array):
        values = np.zeros(0, array.type.to_pandas_dtype())
    elif pa.types.is_boolean(array.type):
        values = _bits(data, array)
    else:
        values = np.frombuffer(data, array.type.to_pandas_dtype(), end)[array.offset :]
    if null is None or not array.null_count:
        return values
    return np.where(nulls(array), values.dtype.type(null), values)


def nulls(array: pa.Array) -> NDArray[np.bool_]:
    """Where an array is null."""
    return ~_bits(array.buffers()[0], array) if array.null_count else np.zeros(len(array), bool)


def array_of(values: NDArray[np.int64]) -> pa.Array:
    """Numbers as an Arrow array, which are not copied."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _bits(buffer: pa.Buffer, array: pa.Array) -> NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=array.offset + len(array), bitorder="little")
    return bits[array.offset :].view(bool)
