"""Values of an Arrow column straight from its buffers are those of its Python objects, however it is chunked."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from mica_lake.archive.arrays import values_and_mask

INTEGERS = {
    pa.int8(): np.int8, pa.int16(): np.int16, pa.int32(): np.int32, pa.int64(): np.int64,
    pa.uint8(): np.uint8, pa.uint16(): np.uint16, pa.uint32(): np.uint32, pa.uint64(): np.uint64,
}  # fmt: skip


def integers(dtype: Any) -> st.SearchStrategy[int]:
    ends = np.iinfo(dtype)
    return st.integers(int(ends.min), int(ends.max))


VALUES: dict[pa.DataType, tuple[DTypeLike, st.SearchStrategy[Any]]] = {
    **{type_: (dtype, integers(dtype)) for type_, dtype in INTEGERS.items()},
    pa.float32(): (np.float32, st.floats(width=32)),
    pa.float64(): (np.float64, st.floats()),
    pa.bool_(): (np.bool_, st.booleans()),
    # numpy drops zeros at the end of a text.
    pa.string(): ("U9", st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)),
}


@st.composite
def columns(draw: st.DrawFn, type_: pa.DataType, values: st.SearchStrategy[Any]) -> pa.ChunkedArray:
    """A column in chunks, some all null, each a slice of a longer array, and sliced once more as a whole."""
    chunks = []
    some = st.one_of(st.lists(values), st.lists(st.one_of(st.none(), values)), st.lists(st.none(), max_size=20))
    for chunk in draw(st.lists(some, max_size=4)):
        first, last = sorted(draw(st.tuples(*2 * [st.integers(0, len(chunk))])))
        array = pa.array(chunk, type_)
        if pa.types.is_primitive(type_) and type_ != pa.bool_():
            # Beneath a null there may be any value.
            absent = np.array([value is None for value in chunk], bool)
            beneath = np.array([1 if value is None else value for value in chunk], VALUES[type_][0])
            array = pa.array(beneath, type_, mask=absent)
        chunks.append(array.slice(first, last - first))
    column = pa.chunked_array(chunks, type_)
    first, last = sorted(draw(st.tuples(*2 * [st.integers(0, len(column))])))
    return draw(st.sampled_from([column, column.slice(first, last - first)]))


@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("type_", VALUES, ids=str)
@given(data=st.data())
def test_values_are_those_of_the_plain_way(type_: pa.DataType, data: st.DataObject) -> None:
    dtype, strategy = VALUES[type_]
    column = data.draw(columns(type_, strategy))
    plain = column.to_pylist()
    values, mask = values_and_mask(column, dtype)
    zero = "" if type_ == pa.string() else 0
    expected = np.array([zero if value is None else value for value in plain], dtype)
    assert (values.dtype, values.shape) == (np.dtype(dtype), (len(plain),))
    # Bytes, so that NaN is NaN and -0.0 is not 0.0.
    assert values.tobytes() == expected.tobytes()
    if None in plain:
        assert mask is not None
        assert mask.dtype == bool
        assert mask.tolist() == [value is None for value in plain]
    else:
        assert mask is None


@settings(deadline=None, max_examples=40)
@given(column=columns(pa.int16(), integers(np.int16)))
def test_values_may_become_wider_numbers(column: pa.ChunkedArray) -> None:
    for dtype in (np.int32, np.float64):
        values, mask = values_and_mask(column, dtype)
        assert values.dtype == dtype
        assert values.tolist() == [value or 0 for value in column.to_pylist()]
        assert (mask is None) == (column.null_count == 0)


@pytest.mark.parametrize("type_", VALUES, ids=str)
def test_no_chunk_and_no_row_give_an_empty_array(type_: pa.DataType) -> None:
    dtype = VALUES[type_][0]
    for column in (pa.chunked_array([], type_), pa.chunked_array([pa.array([], type_)]), pa.chunked_array([[]], type_)):
        values, mask = values_and_mask(column, dtype)
        assert (values.dtype, values.shape, mask) == (np.dtype(dtype), (0,), None)


@pytest.mark.parametrize("type_", VALUES, ids=str)
def test_the_array_is_the_callers_own(type_: pa.DataType) -> None:
    """Changing it changes neither the column nor the next answer."""
    dtype = VALUES[type_][0]
    one = pa.scalar("a" if type_ == pa.string() else 1).cast(type_)
    column = pa.chunked_array([pa.repeat(one, 3)])
    values, _ = values_and_mask(column, dtype)
    values[:] = np.zeros(3, dtype)
    assert column.to_pylist() == [one.as_py()] * 3
    again, _ = values_and_mask(column, dtype)
    assert again.tolist() == [one.as_py()] * 3
