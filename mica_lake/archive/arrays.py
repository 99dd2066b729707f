"""From Arrow columns to the arrays that the facade's functions give."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import DTypeLike, NDArray

IMAGE_SIZES = (4, 6, 8)


def values_and_mask(column: pa.ChunkedArray, dtype: DTypeLike) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None]:
    """
    Values of a column, and which ones are null.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        The column.
    dtype : dtype
        What its values shall be.

    Returns
    -------
    values : numpy.ndarray
        Of shape (n,); 0 or '' where null.
    mask : numpy.ndarray of bool or None
        True where null; None if nothing is.

    Raises
    ------
    ValueError
        If a value does not fit.
    """
    mask = column.is_null().to_numpy() if column.null_count else None
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        texts = np.array([text or "" for text in encoded.dictionary.to_pylist()], dtype=dtype)
        return (texts[encoded.indices.to_numpy()] if len(texts) else np.zeros(0, dtype)), mask
    if mask is not None:
        column = pc.fill_null(column, pa.scalar(0, column.type))
    values = column.to_numpy()
    if values.dtype == np.uint16 and np.dtype(dtype) == np.int16:
        if len(values) and values.max() > 32767:
            raise ValueError(
                f"a value of {values.max()} does not fit in the int16 of the answer; SQL and Polars have it"
            )
        return values.view(np.int16), mask
    return values.astype(dtype, copy=False), mask


def squares(column: pa.ChunkedArray, values: NDArray[np.float32], mask: NDArray[np.bool_], *, centered: bool) -> None:
    """
    Put images of 16, 36 or 64 pixels into squares of 8 x 8.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        The images, lists of float32.
    values : numpy.ndarray of float32, shape (n, 8, 8)
        Where the pixels go; it comes as zeros.
    mask : numpy.ndarray of bool, shape (n, 8, 8)
        Becomes False where there is a pixel; it comes as False and becomes True elsewhere.
    centered : bool
        Whether the images go to the middle of the square rather than to its first rows and columns.
    """
    row = 0
    for chunk in column.chunks:
        count = len(chunk)
        if not count:
            continue
        offsets = chunk.offsets.to_numpy()
        pixels = chunk.values.to_numpy()
        lengths = np.diff(offsets)
        for size in IMAGE_SIZES:
            chosen = lengths == size * size
            if not chosen.any():
                continue
            first = (8 - size) // 2 if centered else 0
            inside = slice(first, first + size)
            if chosen.all():
                images = pixels[offsets[0] : offsets[-1]].reshape(-1, size, size)
                values[row : row + count, inside, inside] = images
                if size < 8:
                    hide = mask[row : row + count]
                    hide[:] = True
                    hide[:, inside, inside] = False
            else:
                rows = row + np.flatnonzero(chosen)
                positions = offsets[:-1][chosen][:, None] + np.arange(size * size)
                square = np.zeros((len(rows), 8, 8), np.float32)
                square[:, inside, inside] = pixels[positions].reshape(-1, size, size)
                values[rows] = square
                outside = np.ones((8, 8), bool)
                outside[inside, inside] = False
                mask[rows] = outside
        row += count


def images(column: pa.ChunkedArray) -> list[NDArray[np.float32]]:
    """
    Images of 16, 36 or 64 pixels as squares.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        The images, lists of float32.

    Returns
    -------
    list of numpy.ndarray of float32
        One of shape (s, s) for each.
    """
    found: list[NDArray[np.float32]] = []
    for chunk in column.chunks:
        offsets = chunk.offsets.to_numpy()
        pixels = chunk.values.to_numpy()
        for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            size = {16: 4, 36: 6, 64: 8}[last - first]
            found.append(pixels[first:last].reshape(size, size))
    return found
