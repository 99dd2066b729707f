"""Images of the aspect camera that know their place on its CCD."""

from __future__ import annotations

import copy
import operator
import reprlib
from collections.abc import Callable, Mapping
from functools import cache
from types import EllipsisType
from typing import Any, Self, SupportsInt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mica_lake.flicker import Flicker
from mica_lake.pixels import first_moments

__all__ = ["ACAImage", "centroid_fm"]

_INDEX_TYPES = (int, np.integer, slice, EllipsisType)


def _is_list(item: Any) -> bool:
    """Whether an index is a list of integers."""
    return isinstance(item, list | np.ndarray) and np.asarray(item).dtype.kind in "iu"


def _row_col(item: Any) -> tuple[Any, Any] | None:
    """An index as one (row, col) pair, or None if it is none of integers, slices and lists of integers."""
    items = item if isinstance(item, tuple) else (item,)
    for it in items:
        # A bool is an int to Python but a mask to numpy.
        if isinstance(it, bool) or not (isinstance(it, _INDEX_TYPES) or _is_list(it)):
            return None
    dots = [i for i, it in enumerate(items) if it is Ellipsis]
    if len(dots) == 1:
        items = (*items[: dots[0]], *[slice(None)] * (3 - len(items)), *items[dots[0] + 1 :])
    items += (slice(None),) * (2 - len(items))
    return items if len(items) == 2 and len(dots) < 2 else None


def _offset(index: Any, first: int, count: int, axis: str) -> Any:
    """The offset along one axis of an image of a CCD coordinate, or of a slice or list of them."""
    if isinstance(index, slice):
        if index.step is not None and index.step < 1:
            raise IndexError(f"step {index.step} in .aca: it must be positive; turn the result around instead")
        # An end before the image would count from its far side; numpy clips one beyond it.
        start, stop = (it if it is None else max(operator.index(it) - first, 0) for it in (index.start, index.stop))
        return slice(start, stop, index.step)
    for one in np.ravel(index).tolist():
        if not first <= one < first + count:
            valid = f"valid {axis}s are {first} to {first + count - 1}" if count else f"it has no {axis}s"
            raise IndexError(f"{axis} {one} is outside the image: {valid}")
    return np.asarray(index, dtype=np.intp) - first if _is_list(index) else operator.index(index) - first


def _firsts(pair: tuple[Any, Any], shape: tuple[int, ...]) -> list[Any]:
    """The offsets of the first pixel that a (row, col) pair gives; two lists pick single pixels, and give all."""
    of_each = all(map(_is_list, pair))
    firsts: list[Any] = []
    for index, count in zip(pair, shape, strict=True):
        if isinstance(index, slice):
            firsts.append(index.indices(count)[0])
        elif _is_list(index):
            offsets = np.asarray(index, dtype=np.intp) % max(count, 1)
            firsts.append(offsets if of_each else int(offsets.flat[0]) if offsets.size else 0)
        else:
            firsts.append(int(index) % count)
    return firsts


class ACAImage(np.ndarray[tuple[int, ...], np.dtype[Any]]):
    """A 2-d image with its place on the CCD and other metadata.

    ``image[row, col]`` counts from the corner of the image, as in any array; ``image.aca[row, col]``
    is in absolute CCD coordinates, where negative numbers are coordinates, too, and slices are
    clipped to the image.  What indexing gives has `row0` and `col0` of its own first pixel, and is
    not absolute; of two lists, which pick single pixels, it has those of each.  Another ACAImage as
    an index means the region that it covers, or is a mask if it is boolean.

    ``a.aca + b`` (or ``a + b.aca``; also ``-``, ``*``, ``/``, ``//``, ``%``, ``**`` and in place)
    combines two images where they overlap on the CCD, and leaves the rest of `a` as it is.

    Upper-case keys of `meta` are attributes too: ``image.TIME`` is ``image.meta["TIME"]``.

    Parameters
    ----------
    *args, **kwargs
        As for `numpy.array`, which copies the pixels, or else for `numpy.zeros`, as ``shape=(8, 8)``.  The `meta` of an
        ACAImage is copied as well, unless `meta` is given.
    row0, col0 : int, optional
        CCD row and column of the first pixel; by default those in `meta`, or 0.
    meta : mapping, optional
        Metadata.  The mapping is copied, its values are not.

    Attributes
    ----------
    meta : dict
        Metadata, with `row0` and `col0` as IMGROW0 and IMGCOL0.  Every new image (slice, copy or
        result of arithmetic) has a `meta` of its own; ``image.aca`` shares it.

    Raises
    ------
    TypeError
        If neither `numpy.array` nor `numpy.zeros` takes the arguments.
    ValueError
        If they are not 2-d, or have masked pixels.

    Notes
    -----
    Methods that move pixels (``.T``, ``.ravel()``, ``.reshape()``), masks and sums keep `meta` unchanged.

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
    _absolute: bool
    _flicker: Flicker
    _flicker_mask: ACAImage

    def __new__(
        cls,
        *args: Any,
        row0: SupportsInt | None = None,
        col0: SupportsInt | None = None,
        meta: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make an image of pixels, or of zeros."""
        data = args[0] if args else None
        if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
            raise ValueError(f"{data.mask.sum()} masked pixels: an ACAImage has no mask, give data.filled(value)")
        try:
            values = np.array(*args, **kwargs)
        except TypeError as error:
            try:
                values = np.zeros(*args, **kwargs)
            except TypeError:
                raise TypeError(
                    f"give pixels, as for np.array, or shape=(rows, cols), as for np.zeros: {error}"
                ) from None
        if values.ndim != 2:
            raise ValueError(f"shape {values.shape} is not an image's: give 2-d data, as data.reshape(rows, cols)")
        image: Self = values.view(cls)
        if meta is None:
            meta = data.meta if isinstance(data, ACAImage) else {}
        image.__dict__["meta"] = dict(meta)
        image.row0 = meta.get("IMGROW0", 0) if row0 is None else row0
        image.col0 = meta.get("IMGCOL0", 0) if col0 is None else col0
        return image

    def __array_finalize__(self, obj: Any) -> None:
        """Give every new image a `meta` of its own, bypassing ``__setattr__``, which would take most of the time."""
        of_image = isinstance(obj, ACAImage)
        self.__dict__["meta"] = dict(obj.meta) if of_image else {}
        self.__dict__["_absolute"] = of_image and obj._absolute

    @property
    def row0(self) -> Any:
        """CCD row of the first pixel, ``meta["IMGROW0"]``."""
        return self._place("IMGROW0")

    @row0.setter
    def row0(self, value: SupportsInt) -> None:
        self.meta["IMGROW0"] = int(value)

    @property
    def col0(self) -> Any:
        """CCD column of the first pixel, ``meta["IMGCOL0"]``."""
        return self._place("IMGCOL0")

    @col0.setter
    def col0(self, value: SupportsInt) -> None:
        self.meta["IMGCOL0"] = int(value)

    def _place(self, key: str) -> Any:
        value = self.meta.get(key, 0)
        return value if isinstance(value, np.ndarray) else int(value)

    @property
    def aca(self) -> Self:
        """The same image in absolute CCD coordinates, for indexing, assignment and arithmetic."""
        view: Self = self.view()
        view.__dict__.update(meta=self.meta, _absolute=True)
        return view

    @aca.setter
    def aca(self, value: ACAImage) -> None:
        # Python ends ``image.aca += other`` with ``image.aca = ...``, when all is done.
        if not isinstance(value, ACAImage) or value.meta is not self.meta:
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
        row, col, norm = centroid_fm(self, bgd, pix_zero_loc, norm_clip)
        return (row + self.row0, col + self.col0, norm) if self._absolute else (row, col, norm)

    def flicker_init(
        self, flicker_mean_time: float = 10000, flicker_scale: float = 1.0, seed: int | None = None
    ) -> None:
        """
        Let the pixels of an image of the dark current flicker from now on, see `flicker_update`.

        Copies and slices of the image do not flicker.

        Parameters
        ----------
        flicker_mean_time : float
            Mean time (s) from one change of a pixel to the next.
        flicker_scale : float
            Factor for the relative size of changes.
        seed : int, optional
            Seed of the random numbers; with -1 they are replaced by a fixed pattern, for tests.

        Raises
        ------
        ValueError
            If `flicker_mean_time` is not positive, or `flicker_scale` is negative.

        Examples
        --------
        >>> dark = ACAImage([[200.0, 20.0], [800.0, 60.0]])
        >>> dark.flicker_init(flicker_mean_time=1000, seed=-1)
        >>> dark.flicker_mask[1, 1] = False
        >>> dark.flicker_update(1500)
        >>> dark
        <ACAImage row0=0 col0=0
        array([[252,  20],
               [714,  60]])>
        """
        self.__dict__["_flicker"] = Flicker(np.asarray(self), flicker_mean_time, flicker_scale, seed)
        self.__dict__["_flicker_mask"] = ACAImage(np.ones(self.shape, dtype=bool), meta=self.meta)

    @property
    def flicker_mask(self) -> ACAImage:
        """Which pixels flicker, True for all at first; those of less than 50 e-/s never do."""
        mask: ACAImage = self._started("_flicker_mask")
        return mask

    @property
    def flicker_times(self) -> NDArray[np.float64]:
        """For each pixel, in the order of ``image.ravel()``, seconds until it changes."""
        flicker: Flicker = self._started("_flicker")
        return flicker.times

    def flicker_update(self, dt: float, use_numba: bool = True) -> None:
        """
        Let time pass: pixels whose time has come get another value, drawn around that at `flicker_init`.

        Parameters
        ----------
        dt : float
            Seconds.
        use_numba : bool
            Whether the last digit is that of chandra_aca with numba, or without; numba is not used.

        Raises
        ------
        ValueError
            If there was no `flicker_init`, or `dt` is negative.

        Examples
        --------
        See `flicker_init`.
        """
        at, values = self._started("_flicker").changed(dt, np.asarray(self.flicker_mask), compiled=use_numba)
        np.asarray(self).flat[at] = values

    def _started(self, name: str) -> Any:
        """What `flicker_init` has set."""
        if name not in self.__dict__:
            raise ValueError("this image does not flicker: call its flicker_init first; a copy needs one of its own")
        return self.__dict__[name]

    def _relative(self, item: Any) -> Any:
        """An index of CCD coordinates, or another image, as an index from the corner of the image; a mask as it is."""
        if isinstance(item, np.ndarray) and item.dtype == bool:
            return item
        if self.ndim != 2:
            raise IndexError(f".aca needs a 2-d image, this one has shape {self.shape}")
        pair = _row_col(item._region() if isinstance(item, ACAImage) else item)
        if pair is None:
            raise IndexError(
                f"{reprlib.repr(item)} in .aca: give one or two of integers, slices and lists, as .aca[row, c0:c1]"
            )
        rows, cols = self.shape
        return _offset(pair[0], self.row0, rows, "row"), _offset(pair[1], self.col0, cols, "col")

    def _repr_html_(self) -> str:
        """What a notebook shows: the image."""
        from mica_lake.drawn import of_image

        return of_image(self)

    def __getitem__(self, item: Any) -> Any:
        """Pixels counted from the corner of the image or, of ``image.aca``, in CCD coordinates."""
        if self._absolute or isinstance(item, ACAImage):
            item = self._relative(item)
        out = super().__getitem__(item)
        if isinstance(out, ACAImage):
            out.__dict__["_absolute"] = False
            pair = _row_col(item) if self.ndim == 2 else None
            if pair is not None:
                row, col = _firsts(pair, self.shape)
                out.meta["IMGROW0"], out.meta["IMGCOL0"] = self.row0 + row, self.col0 + col
        return out

    def __setitem__(self, item: Any, value: Any) -> None:
        """Set the pixels that ``__getitem__`` gives."""
        if self._absolute or isinstance(item, ACAImage):
            item = self._relative(item)
        # Of the plain array, as that of a subclass would ask __getitem__ for the pixels to set.
        np.asarray(self)[item] = value

    def _region(self) -> tuple[slice, slice]:
        """The rows and columns of the CCD that the image covers."""
        rows, cols = self.shape
        return slice(self.row0, self.row0 + rows), slice(self.col0, self.col0 + cols)

    def _overlap(self, other: ACAImage) -> NDArray[Any]:
        """The pixels where another image is, too, as a plain view."""
        return np.asarray(self.aca[other._region()])

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
        return make, args, (array_state, self.meta, self._absolute)

    def __setstate__(self, state: Any) -> None:
        """Restore what ``__reduce__`` returned."""
        array_state, meta, absolute = state
        self.__dict__.update(meta=meta, _absolute=absolute)
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
            values = np.asarray(np.rint(values))
            # NaN fails this, too; neither it nor anything larger fits an int64.
            if (np.abs(values) < 2**63).all():
                values = values.astype(np.int64)
        return f"<{type(self).__name__} row0={self.row0} col0={self.col0}\n{values!r}>"


def _on_overlap(name: str) -> Callable[[ACAImage, Any], Any]:
    """An operator that, of two images one of which is absolute, changes where they overlap on the CCD."""
    of_array = getattr(np.ndarray, name)
    in_place = name.startswith("__i")

    def operate(self: ACAImage, other: Any) -> Any:
        if not isinstance(other, ACAImage) or not (self._absolute or other._absolute):
            return of_array(self, other)
        ours, theirs = self._overlap(other), other._overlap(self)
        if in_place:
            of_array(ours, theirs)
            return self
        values = of_array(ours, theirs)
        result: Any = self.astype(np.result_type(self.dtype, values.dtype))
        result._overlap(other)[...] = values
        return result

    return operate


for _operator in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    for _name in (f"__{_operator}__", f"__i{_operator}__"):
        setattr(ACAImage, _name, _on_overlap(_name))


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
    image = np.asarray(img, dtype=np.float64)
    if image.ndim != 2:
        raise ValueError(f"an image of shape {image.shape} has no centroid: it is not square")
    row, col, norm = (float(value) for value in first_moments(image, bgd, norm_clip))
    if norm_clip is None and not norm > 0:
        raise ValueError(f"the sum of the image is {norm}: it has no centroid; norm_clip gives the sum a lower bound")
    shift = 0.5 if pix_zero_loc == "edge" else 0.0
    return row + shift, col + shift, norm


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
