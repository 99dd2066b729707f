"""Many star images at once: columns of pixels as arrays, and first moments of these."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["first_moments", "images_of"]


def images_of(pixels: Any) -> NDArray[Any]:
    """
    A column of pixels as images, an array (n, size, size).

    Parameters
    ----------
    pixels : Series, arrow column or array
        IMGRAW of images of one size: a Polars or pandas Series, a column of an Arrow table, or an array (n, 64), as
        `get_slot_data` gives it, of which masked pixels stay masked.

    Returns
    -------
    ndarray
        The images, with row and column as in `ACAImage`.

    Raises
    ------
    ValueError
        If images are of several sizes, or are not square.

    Examples
    --------
    >>> stars = demo_lake().scan("aca_l0", "2024:001", "2024:001:01:00", slot=3).collect()
    >>> images_of(stars["IMGRAW"]).shape
    (1756, 6, 6)
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if hasattr(pixels, "to_arrow"):  # Polars, which is not imported where nobody uses it
        pixels = pixels.to_arrow()
    if isinstance(pixels, pa.ChunkedArray):
        pixels = pixels.combine_chunks()
    if isinstance(pixels, pa.Array):
        _one_size(pc.list_value_length(pixels).fill_null(0).to_numpy())
        flat = pc.list_flatten(pixels).to_numpy(zero_copy_only=False).reshape(len(pixels), -1 if len(pixels) else 0)
    elif isinstance(pixels, np.ndarray) and pixels.dtype != object:
        flat = pixels
    else:
        rows = [np.asarray(row) for row in pixels]
        _one_size(np.array([row.size for row in rows]))
        flat = np.stack(rows) if rows else np.empty((0, 0))
    size = round(flat[:1].size ** 0.5) if len(flat) else 0
    if flat.ndim != 2 or (len(flat) and size**2 != flat.shape[1]):
        raise ValueError(f"pixels of shape {flat.shape} are no images: they should be (n, 16), (n, 36) or (n, 64)")
    images: NDArray[Any] = flat.reshape(len(flat), size, size)
    return images


def _one_size(counts: NDArray[Any]) -> None:
    if len(counts) and counts.min() != counts.max():
        raise ValueError(
            f"images of {counts.min()} to {counts.max()} pixels: choose one size, as with IMGSIZE = 6 (null has none)"
        )


def first_moments(
    images: ArrayLike, bgd: ArrayLike | None = None, norm_clip: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """
    First moment centroids of images of 4x4, 6x6 or 8x8 pixels, as the aspect camera computes them.

    Parameters
    ----------
    images : array_like
        Images (..., size, size). Of 8x8 pixels the inner 6x6 count, without their four corners. Masked pixels do not
        count: smaller images in the middle of 8x8 (``centered_8x8=True``) have the centroid that they have alone.
    bgd : array_like, optional
        Background of each pixel, or of all, subtracted beforehand.
    norm_clip : float, optional
        Lower bound for the sum.

    Returns
    -------
    row, col, norm : ndarray
        The centroids, counted from the middle of the first pixel, and the sums of the pixels that count; NaN for row
        and col where the sum is not positive. Add IMGROW0 and IMGCOL0 for the place on the CCD.

    Raises
    ------
    ValueError
        If the images are not square.

    Examples
    --------
    >>> row, col, norm = first_moments([np.eye(4), np.zeros((4, 4))])
    >>> row, norm
    (array([1.5, nan]), array([4., 0.]))
    """
    found = np.array(images, dtype=np.float64)
    if found.ndim < 2 or found.shape[-2] != found.shape[-1]:
        raise ValueError(f"an image of shape {found.shape} has no centroid: it is not square")
    if bgd is not None:
        found -= np.asarray(bgd)
    if isinstance(images, np.ma.MaskedArray):
        found[np.ma.getmaskarray(images)] = 0
    size = found.shape[-1]
    first = 1 if size == 8 else 0
    inner = found[..., first : size - first, first : size - first]
    if inner.shape[-1] == 6:
        inner[..., [0, 0, -1, -1], [0, -1, 0, -1]] = 0
    along = np.arange(first, size - first, dtype=np.float64)
    norm = inner.sum(axis=(-2, -1))
    if norm_clip is not None:
        norm = np.maximum(norm, norm_clip)
    # A sum that is not positive is not divided by.
    divisor = np.where(norm > 0, norm, np.nan)
    return inner.sum(axis=-1) @ along / divisor, inner.sum(axis=-2) @ along / divisor, norm
