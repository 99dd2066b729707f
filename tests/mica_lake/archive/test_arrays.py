"""From Arrow columns, however they are chunked and sliced, to arrays."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mica_lake.archive.arrays import images, squares, texts, values_and_mask

Chunks = list[list[Any]]


@st.composite
def columns(draw: st.DrawFn, values: st.SearchStrategy[Any], type_: pa.DataType) -> tuple[pa.ChunkedArray, list[Any]]:
    """A column in chunks, each a slice of a longer array, and its values."""
    chunks, expected = [], []
    for chunk in draw(st.lists(st.lists(values, max_size=6), max_size=4)):
        first, last = sorted(draw(st.tuples(*2 * [st.integers(0, len(chunk))])))
        chunks.append(pa.array(chunk, type_).slice(first, last - first))
        expected += chunk[first:last]
    return pa.chunked_array(chunks, type_), expected


image_lists = st.sampled_from([16, 36, 64]).flatmap(
    lambda n: st.integers(1, 1000).map(lambda first: [float(first + i) for i in range(n)])
)
one_size = st.integers(1, 1000).map(lambda first: [float(first + i) for i in range(36)])
IMAGES = pa.list_(pa.float32())


def square(pixels: list[float], centered: bool) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """An image in its square, and what of the square it does not fill."""
    size = {16: 4, 36: 6, 64: 8}[len(pixels)]
    first = (8 - size) // 2 if centered else 0
    values, mask = np.zeros((8, 8), np.float32), np.ones((8, 8), bool)
    for number, pixel in enumerate(pixels):
        at = first + number // size, first + number % size
        values[at], mask[at] = pixel, False
    return values, mask


@settings(deadline=None)
@given(column=st.one_of(columns(image_lists, IMAGES), columns(one_size, IMAGES)), centered=st.booleans())
def test_squares_are_the_images_one_by_one(column: tuple[pa.ChunkedArray, list[Any]], centered: bool) -> None:
    given, expected = column
    values, mask = np.zeros((len(given), 8, 8), np.float32), np.zeros((len(given), 8, 8), bool)
    squares(given, values, mask, centered=centered)
    for n, pixels in enumerate(expected):
        wanted = square(pixels, centered)
        np.testing.assert_array_equal(values[n], wanted[0])
        np.testing.assert_array_equal(mask[n], wanted[1])
    assert len(given) == len(expected)


@settings(deadline=None)
@given(columns(image_lists, IMAGES))
def test_images_are_squares_of_their_own_size(column: tuple[pa.ChunkedArray, list[Any]]) -> None:
    given, expected = column
    found = images(given)
    assert [image.shape for image in found] == [{16: (4, 4), 36: (6, 6), 64: (8, 8)}[len(p)] for p in expected]
    assert [image.ravel().tolist() for image in found] == expected
    assert all(image.dtype == np.float32 for image in found)


@settings(deadline=None)
@given(columns(st.one_of(st.none(), st.integers(0, 255)), pa.uint8()))
def test_numbers_keep_their_values_and_nulls_become_zero(column: tuple[pa.ChunkedArray, list[Any]]) -> None:
    given, expected = column
    values, mask = values_and_mask(given, np.uint8)
    assert values.dtype == np.uint8
    assert values.tolist() == [value or 0 for value in expected]
    if None in expected:
        assert mask is not None
        assert mask.tolist() == [value is None for value in expected]
    else:
        assert mask is None


@settings(deadline=None)
@given(columns(st.one_of(st.none(), st.sampled_from(["ORIG", "DNB", "", "é"])), pa.string()))
def test_texts_keep_their_values_and_nulls_become_empty(column: tuple[pa.ChunkedArray, list[Any]]) -> None:
    given, expected = column
    values, mask = values_and_mask(given, "U4")
    assert values.dtype == np.dtype("U4")
    assert values.tolist() == [value or "" for value in expected]
    assert (mask is not None) == (None in expected)
    if mask is not None:
        assert mask.tolist() == [value is None for value in expected]


@pytest.mark.parametrize("type_", [pa.string(), pa.uint16(), pa.float32()], ids=str)
def test_a_column_of_nulls_is_all_masked(type_: pa.DataType) -> None:
    values, mask = values_and_mask(pa.chunked_array([pa.nulls(3, type_)]), "U4" if type_ == pa.string() else np.int16)
    assert mask is not None
    assert mask.tolist() == [True] * 3
    assert values.tolist() == ([""] * 3 if type_ == pa.string() else [0] * 3)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-32767, 32767)), min_size=1))
def test_numbers_that_fit_become_int16(values: list[int | None]) -> None:
    found, _ = values_and_mask(pa.chunked_array([pa.array(values, pa.int32())]), np.int16)
    assert found.dtype == np.int16
    assert found.tolist() == [value or 0 for value in values]


@pytest.mark.parametrize("value", [32768, 40000, 65535, -40000])
def test_numbers_that_do_not_fit_are_refused_and_shown(value: int) -> None:
    with pytest.raises(ValueError, match=f"{value} does not fit"):
        values_and_mask(pa.chunked_array([pa.array([1, None, value, 2], pa.int32())]), np.int16)


def test_a_text_that_does_not_fit_is_an_error_not_cut() -> None:
    column = pa.chunked_array([["ORIG", None], ["FIVE5"]])
    with pytest.raises(ValueError, match="'FIVE5' does not fit"):
        values_and_mask(column, "U4")
    assert values_and_mask(column, "U5")[0].tolist() == ["ORIG", "", "FIVE5"]


written = st.text(st.one_of(st.characters(codec="ascii"), st.sampled_from("éü€\0")), max_size=5)


@settings(deadline=None)
@given(columns(written, pa.string()))
def test_texts_are_those_that_numpy_makes_of_a_list(column: tuple[pa.ChunkedArray, list[Any]]) -> None:
    given, expected = column
    wanted = np.array(expected, str)
    found = texts(given)
    assert (found.dtype, found.tolist()) == (wanted.dtype, wanted.tolist())
