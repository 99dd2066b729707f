"""Images of the aspect camera that know their place on its CCD."""

from __future__ import annotations

import copy
import operator
import reprlib
from collections.abc import Mapping
from functools import cache
from types import EllipsisType
from typing import Any, Self, SupportsIndex, SupportsInt

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

__all__ = ["ACAImage", "centroid_fm"]

_ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide, np.floor_divide, np.remainder, np.power)

_INDEX_TYPES = (int, np.integer, slice, EllipsisType)


def _row_col(item: Any) -> tuple[Any, Any] | None:
    """An index as one (row, col) pair, or None if it consists of more than integers and slices."""
    items = item if isinstance(item, tuple) else (item,)
    # A bool is an int to Python but a mask to numpy.
    if not all(isinstance(it, _INDEX_TYPES) and not isinstance(it, bool) for it in items):
        return None
    if Ellipsis in items:
        at = items.index(Ellipsis)
        items = (*items[:at], *[slice(None)] * (3 - len(items)), *items[at + 1 :])
    items += (slice(None),) * (2 - len(items))
    return items if len(items) == 2 and Ellipsis not in items else None


def _offset(index: Any, first: int, count: int, axis: str) -> int | slice:
    """The offset of a CCD coordinate, or of a slice of them, along one axis of an image."""
    if isinstance(index, slice):
        if index.step not in (None, 1):
            raise IndexError(f"step {index.step} in .aca: only 1 is possible, slice the result with a step instead")
        # An end before the image would count from its far side; numpy clips one beyond it.
        return slice(*(it if it is None else max(operator.index(it) - first, 0) for it in (index.start, index.stop)))
    if not first <= index < first + count:
        valid = f"valid {axis}s are {first} to {first + count - 1}" if count else f"it has no {axis}s"
        raise IndexError(f"{axis} {index} is outside the image: {valid}")
    return operator.index(index) - first


class _Absolute(np.lib.mixins.NDArrayOperatorsMixin):
    """An image in absolute CCD coordinates: what ``ACAImage.aca`` is."""

    __slots__ = ("image",)

    def __init__(self, image: ACAImage) -> None:
        self.image = image

    def __repr__(self) -> str:
        return f"{self.image!r}.aca"

    def _relative(self, item: Any) -> tuple[int | slice, int | slice]:
        image, pair = self.image, _row_col(item)
        if image.ndim != 2:
            raise IndexError(f".aca needs a 2-d image, this one has shape {image.shape}")
        if pair is None:
            raise IndexError(f"{reprlib.repr(item)} in .aca: give one or two integers or slices, as .aca[row, c0:c1]")
        rows, cols = image.shape
        return _offset(pair[0], image.row0, rows, "row"), _offset(pair[1], image.col0, cols, "col")

    def __getitem__(self, item: Any) -> Any:
        return self.image[self._relative(item)]

    def __setitem__(self, item: Any, value: Any) -> None:
        self.image[self._relative(item)] = value

    def centroid_fm(
        self, bgd: ArrayLike | None = None, pix_zero_loc: str = "center", norm_clip: float | None = None
    ) -> tuple[float, float, float]:
        """Like `ACAImage.centroid_fm`, in CCD coordinates."""
        row, col, norm = centroid_fm(self.image, bgd, pix_zero_loc, norm_clip)
        return row + self.image.row0, col + self.image.col0, norm

    def _overlap(self, other: ACAImage) -> Any:
        rows, cols = other.shape
        return self[other.row0 : other.row0 + rows, other.col0 : other.col0 + cols]

    # All operators of the mixin, and those of an ndarray to the left of an _Absolute, come through here.
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        (out,) = kwargs.pop("out", (None,))
        if ufunc not in _ARITHMETIC or method != "__call__" or kwargs:
            return NotImplemented
        images: list[Any] = [it.image if isinstance(it, _Absolute) else it for it in inputs]
        for it in images:
            if not isinstance(it, ACAImage):
                raise TypeError(f"{reprlib.repr(it)} has no CCD coordinates: .aca arithmetic needs two ACAImages")
        left, right = images
        ours, theirs = left.aca._overlap(right), np.asarray(right.aca._overlap(left))
        if out is None:
            values = ufunc(np.asarray(ours), theirs)
            result = left.astype(np.result_type(left.dtype, values.dtype))
            result.aca._overlap(right)[...] = values
            return result
        if (out.image if isinstance(out, _Absolute) else out) is not left:
            return NotImplemented
        ufunc(ours, theirs, out=ours)
        return out


class ACAImage(np.ndarray[tuple[int, ...], np.dtype[Any]]):
    """A 2-d image with its place on the CCD and other metadata.

    ``image[row, col]`` counts from the corner of the image, as in any array; ``image.aca[row, col]``
    is in absolute CCD coordinates, where negative numbers are coordinates, too, and slices are
    clipped to the image.  Integers and slices without a step return an ACAImage whose `row0` and
    `col0` are those of its own first pixel; any other index returns a plain array.

    ``a.aca + b`` (or ``a + b.aca``; also ``-``, ``*``, ``/`` and in place) combines two images where
    they overlap on the CCD, and leaves the rest of `a` as it is.

    Upper-case keys of `meta` are attributes too: ``image.TIME`` is ``image.meta["TIME"]``.

    Parameters
    ----------
    data : array_like, optional
        Pixel values, copied.  The `meta` of an ACAImage is copied as well, unless `meta` is given.
    row0, col0 : int, optional
        CCD row and column of the first pixel; by default those in `meta`, or 0.
    meta : mapping, optional
        Metadata.  The mapping is copied, its values are not.
    shape : tuple of int, optional
        Shape of an image of zeros, instead of `data`.
    dtype : dtype_like, optional
        Type of the pixels.

    Attributes
    ----------
    meta : dict
        Metadata, with `row0` and `col0` as IMGROW0 and IMGCOL0.  Every new image (slice, copy or
        result of arithmetic) has a `meta` of its own.

    Notes
    -----
    Methods that move pixels (``.T``, ``.ravel()``, ``.reshape()``) keep `meta` unchanged.

    Examples
    --------
    >>> image = ACAImage(np.arange(24.0).reshape(4, 6), row0=-10, col0=20, meta={"TIME": 1.5})
    >>> image.aca[-9, 22]
    np.float64(8.0)
    >>> image.aca[-9:-7, 22:]
    <ACAImage row0=-9 col0=22
    array([[ 8,  9, 10, 11],
           [14, 15, 16, 17]])>
    >>> image.TIME
    1.5
    >>> ccd = ACAImage(shape=(1024, 1024), row0=-512, col0=-512)
    >>> ccd.aca += image
    >>> ccd.aca[-9, 22]
    np.float64(8.0)
    """

    meta: dict[str, Any]

    def __new__(
        cls,
        data: ArrayLike | None = None,
        row0: SupportsInt | None = None,
        col0: SupportsInt | None = None,
        meta: Mapping[str, Any] | None = None,
        *,
        shape: SupportsIndex | tuple[SupportsIndex, ...] | None = None,
        dtype: DTypeLike | None = None,
    ) -> Self:
        """Make an image of `data`, or of zeros."""
        if (data is None) is (shape is None):
            raise TypeError(f"give either data or shape (got {'neither' if data is None else 'both'})")
        if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
            raise ValueError(f"{data.mask.sum()} masked pixels: an ACAImage has no mask, give data.filled(value)")
        values = np.array(data, dtype) if shape is None else np.zeros(shape, dtype)
        if values.ndim != 2:
            raise ValueError(f"shape {values.shape} is not an image's: give 2-d data, as data.reshape(rows, cols)")
        image = values.view(cls)
        if meta is not None:
            image.__dict__["meta"] = dict(meta)
        elif isinstance(data, ACAImage):
            image.__dict__["meta"] = dict(data.meta)
        if row0 is not None:
            image.row0 = row0
        if col0 is not None:
            image.col0 = col0
        return image

    def __array_finalize__(self, obj: Any) -> None:
        """Give every new image a `meta` of its own, bypassing ``__setattr__``, which would take most of the time."""
        self.__dict__["meta"] = dict(obj.meta) if isinstance(obj, ACAImage) else {}

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Keep results of the same shape as images; the result of a reduction or a stack has no place on the CCD."""
        if array.shape != self.shape:
            return array[()] if return_scalar else array
        return super().__array_wrap__(array, context, return_scalar)

    @property
    def row0(self) -> int:
        """CCD row of the first pixel, ``meta["IMGROW0"]``."""
        return int(self.meta.get("IMGROW0", 0))

    @row0.setter
    def row0(self, value: SupportsInt) -> None:
        self.meta["IMGROW0"] = int(value)

    @property
    def col0(self) -> int:
        """CCD column of the first pixel, ``meta["IMGCOL0"]``."""
        return int(self.meta.get("IMGCOL0", 0))

    @col0.setter
    def col0(self, value: SupportsInt) -> None:
        self.meta["IMGCOL0"] = int(value)

    @property
    def aca(self) -> _Absolute:
        """The image in absolute CCD coordinates, for indexing, assignment and arithmetic."""
        return _Absolute(self)

    @aca.setter
    def aca(self, value: _Absolute) -> None:
        # Python ends ``image.aca += other`` with ``image.aca = ...``, when all is done.
        if not isinstance(value, _Absolute) or value.image is not self:
            raise AttributeError("aca cannot be replaced: set pixels with image.aca[...] = values")

    def centroid_fm(
        self, bgd: ArrayLike | None = None, pix_zero_loc: str = "center", norm_clip: float | None = None
    ) -> tuple[float, float, float]:
        """
        First moment centroid of the image, see `centroid_fm`; ``image.aca.centroid_fm()`` is in CCD coordinates.

        Parameters
        ----------
        bgd, pix_zero_loc, norm_clip
            As for `centroid_fm`.

        Returns
        -------
        row, col, norm : float
            As from `centroid_fm`.

        Raises
        ------
        ValueError
            As for `centroid_fm`.
        """
        return centroid_fm(self, bgd, pix_zero_loc, norm_clip)

    def __getitem__(self, item: Any) -> Any:
        """Pixels counted from the corner of the image, with `row0` and `col0` of the first one."""
        out = super().__getitem__(item)
        if not isinstance(out, ACAImage):
            return out
        pair = _row_col(item) if self.ndim == 2 else None
        if pair is None or any(isinstance(it, slice) and it.step not in (None, 1) for it in pair):
            return np.asarray(out)
        row, col = (
            it.indices(n)[0] if isinstance(it, slice) else int(it) % n for it, n in zip(pair, self.shape, strict=True)
        )
        out.meta["IMGROW0"] = self.row0 + row
        out.meta["IMGCOL0"] = self.col0 + col
        return out

    def __getattr__(self, name: str) -> Any:
        """Upper-case keys of `meta`."""
        if not name.isupper():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            return self.meta[name]
        except KeyError:
            keys = ", ".join(map(str, self.meta)) or "no keys"
            raise AttributeError(f"meta has no {name!r}: it has {keys}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an upper-case key of `meta`, new or not, except ``T``, which is the array's."""
        if name.isupper() and not hasattr(np.ndarray, name):
            self.meta[name] = value
        else:
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle `meta`, too, which an ndarray would leave behind."""
        pickled: Any = super().__reduce__()
        make, args, array_state = pickled
        return make, args, (array_state, self.meta)

    def __setstate__(self, state: Any) -> None:
        """Restore what ``__reduce__`` returned."""
        array_state, self.meta = state
        super().__setstate__(array_state)

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Any:
        """Copy the values in `meta` as well."""
        out = super().__deepcopy__(memo)
        out.meta = copy.deepcopy(self.meta, memo)
        return out

    def __repr__(self) -> str:
        """Pixels rounded to integers, as fractions of an electron tell a reader little."""
        values = np.asarray(self)
        if values.dtype.kind == "f":
            values = np.rint(values)
            # NaN fails this, too; neither it nor anything larger fits an int64.
            if (np.abs(values) < 2**63).all():
                values = values.astype(np.int64)
        return f"<{type(self).__name__} row0={self.row0} col0={self.col0}\n{values!r}>"


def centroid_fm(
    img: ArrayLike, bgd: ArrayLike | None = None, pix_zero_loc: str = "center", norm_clip: float | None = None
) -> tuple[float, float, float]:
    """
    First moment centroid of an image of 4x4, 6x6 or 8x8 pixels, as the aspect camera computes it.

    Parameters
    ----------
    img : array_like
        The image, which is not changed. Of 8x8 pixels the inner 6x6 count, without their four corners.
    bgd : float or array_like, optional
        Background of each pixel, subtracted beforehand.
    pix_zero_loc : {'center', 'edge'}
        Whether whole numbers are the centers of pixels or their lower edges.
    norm_clip : float, optional
        Lower bound for the sum.

    Returns
    -------
    row, col, norm : float
        The centroid, counted from the corner of the image, and the sum of the pixels that count.

    Raises
    ------
    ValueError
        If the image is not square, `pix_zero_loc` is not valid, or the sum is not positive and there is no
        `norm_clip`.

    Examples
    --------
    >>> centroid_fm(np.eye(4))
    (1.5, 1.5, 4.0)
    """
    if pix_zero_loc not in ("center", "edge"):
        raise ValueError(f"pix_zero_loc {pix_zero_loc!r} is neither 'center' nor 'edge'")
    image = np.array(img, dtype=np.float64)
    if image.ndim != 2 or image.shape[0] != image.shape[1]:
        raise ValueError(f"an image of shape {image.shape} has no centroid: it is not square")
    first = 1 if len(image) == 8 else 0
    inner = image[first : len(image) - first, first : len(image) - first]
    if bgd is not None:
        image -= np.asarray(bgd)
    if len(inner) == 6:
        inner[[0, 0, -1, -1], [0, -1, 0, -1]] = 0
    norm = float(inner.sum())
    if norm_clip is not None:
        norm = max(norm, float(norm_clip))
    elif not norm > 0:
        raise ValueError(f"the sum of the image is {norm}: it has no centroid; norm_clip gives the sum a lower bound")
    along, shift = np.arange(first, first + len(inner)), 0.5 if pix_zero_loc == "edge" else 0.0
    return float(along @ inner.sum(axis=1) / norm) + shift, float(along @ inner.sum(axis=0) / norm) + shift, norm


@cache
def aca_image_class() -> Any:
    """
    The class of the images that the facade returns.

    It is ``chandra_aca.aca_image.ACAImage`` if that is installed, as callers test for it with ``isinstance``, and
    otherwise `ACAImage`.

    Examples
    --------
    >>> aca_image_class().__name__
    'ACAImage'
    """
    try:
        from chandra_aca.aca_image import ACAImage as TheirImage
    except ImportError:
        return ACAImage
    return TheirImage
