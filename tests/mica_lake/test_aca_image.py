"""An ACAImage is an array which knows where it lies on the CCD."""

import copy
import doctest
import json
import operator
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake import aca_image
from mica_lake.aca_image import ACAImage, centroid_fm

ROW0, COL0 = -2, 20
"""The image below has CCD row 0 in its midst, where a sign mistaken for "from the end" would show."""


@pytest.fixture
def image() -> ACAImage:
    """Four rows, -2 to 1, by six columns, 20 to 25; the pixels count 0 to 23."""
    return ACAImage(np.arange(24.0).reshape(4, 6), row0=ROW0, col0=COL0, meta={"TIME": 1.5})


def place(image: ACAImage) -> tuple[int, int]:
    """CCD coordinates of the first pixel."""
    return image.row0, image.col0


class TestConstructor:
    """What an ACAImage is made of."""

    def test_data(self):
        """Data are copied and the place defaults to 0."""
        data = np.ones((2, 3))
        image = ACAImage(data)
        data[:] = 5
        assert np.asarray(image).tolist() == [[1, 1, 1], [1, 1, 1]]
        assert place(image) == (0, 0)
        assert image.meta == {"IMGROW0": 0, "IMGCOL0": 0}

    def test_shape(self):
        """A shape makes zeros."""
        image = ACAImage(shape=(1024, 1024), row0=-512, col0=-511)
        assert image.shape == (1024, 1024)
        assert not image.any()
        assert place(image) == (-512, -511)

    def test_dtype(self):
        """A dtype is that of the pixels."""
        assert ACAImage([[1, 2]], dtype="f4").dtype == np.float32
        assert ACAImage(shape=(1, 2), dtype="i2").dtype == np.int16

    def test_meta_is_copied(self):
        """Neither the image nor its maker sees what the other does to meta."""
        meta = {"TIME": 1.0}
        image = ACAImage([[0.0]], row0=3, meta=meta)
        image.TIME = 2.0
        assert meta == {"TIME": 1.0}
        meta["BGDAVG"] = 7
        assert image.meta == {"TIME": 2.0, "IMGROW0": 3, "IMGCOL0": 0}

    def test_place_from_meta(self):
        """IMGROW0 and IMGCOL0 are the place, unless row0 or col0 says otherwise."""
        meta = {"IMGROW0": np.int16(-512), "IMGCOL0": 4}
        assert place(ACAImage([[0]], meta=meta)) == (-512, 4)
        assert place(ACAImage([[0]], col0=0, meta=meta)) == (-512, 0)
        assert place(ACAImage([[0]], row0=1.7, col0=-1.7)) == (1, -1)

    def test_image(self, image):
        """An ACAImage gives its meta too, unless other meta is given."""
        again = ACAImage(image)
        assert again.meta == image.meta
        assert again.meta is not image.meta
        assert ACAImage(image, meta={"TIME": 9}).meta == {"TIME": 9, "IMGROW0": 0, "IMGCOL0": 0}

    @pytest.mark.parametrize(
        ("args", "kwargs", "error", "words"),
        [
            ((), {}, TypeError, "give pixels"),
            (([[0]],), {"shape": (1, 1)}, TypeError, "'shape'"),
            (((2, 3),), {}, ValueError, r"\(2,\)"),
            (([[1], [1, 2]],), {}, ValueError, "inhomogeneous"),
            ((np.zeros(64),), {}, ValueError, r"\(64,\).*reshape"),
            ((), {"shape": (2, 8, 8)}, ValueError, r"\(2, 8, 8\)"),
            ((np.ma.masked_less([[1, 2], [3, 4]], 3),), {}, ValueError, "2 masked pixels.*filled"),
        ],
    )
    def test_refused(self, args, kwargs, error, words):
        """What is not an image is refused, with the reason."""
        with pytest.raises(error, match=words):
            ACAImage(*args, **kwargs)

    def test_masked_array_without_masked_pixels(self):
        """A 6x6 cut from a masked 8x8 readout is an image like any other."""
        assert type(ACAImage(np.ma.masked_less([[1, 2], [3, 4]], 3)[1:])) is ACAImage


class TestMeta:
    """Meta, and the attributes which are views of it."""

    def test_place_is_in_meta(self, image):
        """row0 and col0 read and set IMGROW0 and IMGCOL0."""
        image.row0, image.col0 = np.int32(7), 8
        assert image.meta == {"TIME": 1.5, "IMGROW0": 7, "IMGCOL0": 8}
        image.meta["IMGROW0"] = image.IMGCOL0 = -1
        assert place(image) == (-1, -1)

    def test_upper_case_attribute(self, image):
        """Upper-case keys are attributes, to get and to set."""
        assert image.TIME == 1.5
        image.TIME = 2.5
        image.IMGNUM = 3
        assert image.meta["TIME"] == 2.5
        assert image.meta["IMGNUM"] == 3

    def test_unknown_upper_case_attribute(self, image):
        """An unknown name lists the known."""
        with pytest.raises(AttributeError, match="'BGDAVG': it has TIME, IMGROW0, IMGCOL0"):
            _ = image.BGDAVG
        with pytest.raises(AttributeError, match="it has IMGROW0, IMGCOL0"):
            _ = ACAImage([[0]]).BGDAVG

    def test_lower_case_is_not_meta(self, image):
        """Lower-case keys are no attributes, and T stays the transpose."""
        image.meta["time"] = image.meta["T"] = 3
        with pytest.raises(AttributeError, match="'time'"):
            _ = image.time
        assert image.T.shape == (6, 4)
        with pytest.raises(AttributeError):
            image.T = 4

    @pytest.mark.parametrize(
        "make",
        [
            lambda im: im + 1,
            lambda im: 2 * im,
            lambda im: np.ones((4, 6)) + im,
            lambda im: im > 3,
            lambda im: np.sqrt(im),
            lambda im: im.astype(int),
            lambda im: im.copy(),
            lambda im: im[...],
            lambda im: copy.copy(im),
            lambda im: copy.deepcopy(im),
            *[lambda im, p=p: pickle.loads(pickle.dumps(im, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)],
        ],
    )
    def test_kept_and_own(self, image, make):
        """What has the same pixels has the same meta, but never the very same dict."""
        made = make(image)
        assert type(made) is ACAImage
        assert made.meta == {"TIME": 1.5, "IMGROW0": ROW0, "IMGCOL0": COL0}
        made.TIME = made.row0 = 9
        assert image.meta == {"TIME": 1.5, "IMGROW0": ROW0, "IMGCOL0": COL0}

    def test_left_operand_wins(self, image):
        """Of two images the left one gives meta."""
        other = ACAImage(np.ones((4, 6)), row0=0, col0=0, meta={"TIME": 3})
        assert (image - other).meta == image.meta
        assert (other - image).meta == other.meta

    def test_in_place(self, image):
        """In-place arithmetic leaves the image the same object."""
        same = image
        same += 1
        assert same is image
        assert image[0, 0] == 1
        assert place(image) == (ROW0, COL0)

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle_pixels(self, image, protocol):
        """A pickle keeps pixels and their type, of slices as well."""
        part = image.astype("f4")[1:3, 2:4]
        again = pickle.loads(pickle.dumps(part, protocol))
        assert again.dtype == part.dtype
        np.testing.assert_array_equal(again, part)
        assert again.meta == part.meta == {"TIME": 1.5, "IMGROW0": -1, "IMGCOL0": 22}

    def test_deepcopy_is_deep(self, image):
        """A deepcopy shares no value of meta, a copy shares them."""
        image.meta["flags"] = [1]
        assert copy.copy(image).meta["flags"] is image.meta["flags"]
        deep = copy.deepcopy(image)
        deep.meta["flags"].append(2)
        deep[0, 0] = 99
        assert image.meta["flags"] == [1]
        assert image[0, 0] == 0


class TestRelative:
    """Plain indexing is that of an array."""

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            (np.s_[2:4, 1:3], (0, 21)),
            (np.s_[1:], (-1, 20)),
            (np.s_[-1:, -2:], (1, 24)),
            (np.s_[..., 4:], (-2, 24)),
            (np.s_[1:2, ...], (-1, 20)),
            (np.s_[:, :], (-2, 20)),
            (np.s_[()], (-2, 20)),
            (np.s_[3], (1, 20)),
            (np.s_[-1], (1, 20)),
            (np.s_[1, 2:5], (-1, 22)),
            (np.s_[:, -1], (-2, 25)),
        ],
    )
    def test_slice_keeps_place(self, image, item, expected):
        """A slice is at the CCD coordinates of its first pixel."""
        part = image[item]
        assert type(part) is ACAImage
        assert place(part) == expected
        np.testing.assert_array_equal(part, np.asarray(image)[item])
        assert np.shares_memory(part, image)
        assert place(image) == (ROW0, COL0)

    def test_slice_of_slice(self, image):
        """Places add up."""
        assert place(image[1:, 2:][1:, 1:]) == (0, 23)

    def test_small_integers(self):
        """A place told in a type too small for its slices does not wrap around."""
        image = ACAImage(shape=(100, 100), meta={"IMGROW0": np.int8(100), "IMGCOL0": np.uint8(250)})
        assert place(image[50:, 50:]) == (150, 300)

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            (np.arange(24).reshape(4, 6) > 5, (-2, 20)),
            (np.s_[None, :2], (-2, 20)),
            (np.s_[1::2], (-1, 20)),
            (np.s_[:, ::-1], (-2, 25)),
            ([2, 0], (0, 20)),
            (np.s_[1:, [3, 5]], (-1, 23)),
            (np.s_[2, [-1, 0]], (0, 25)),
            (np.array([3, 1], dtype=np.int8), (1, 20)),
            (np.array([], dtype=int), (-2, 20)),
            ([], (-2, 20)),
        ],
    )
    def test_other_indexes(self, image, item, expected):
        """Masks keep the place; steps and lists have that of their first pixel."""
        part = image[item]
        assert type(part) is ACAImage
        assert place(part) == expected
        np.testing.assert_array_equal(part, np.asarray(image)[item])

    def test_two_lists(self, image):
        """Single pixels have a place each."""
        part = image[[0, -1], [2, 3]]
        assert part.tolist() == [2, 21]
        assert [axis.tolist() for axis in place(part)] == [[-2, 1], [22, 23]]

    @pytest.mark.parametrize(
        ("shape", "corner", "rows", "cols"),
        [
            ((2, 2), (-1, 22), (1, 3), (2, 4)),
            ((9, 9), (-9, 24), (0, 2), (4, 6)),
            ((3, 3), (1, -100), (3, 4), (0, 0)),
            ((2, 2), (90, 90), (4, 4), (6, 6)),
        ],
    )
    @pytest.mark.parametrize("absolute", [False, True])
    def test_region_of_an_image(self, image, shape, corner, rows, cols, absolute):
        """Another image as an index is where it lies on the CCD, whatever its pixels are."""
        other = ACAImage(np.full(shape, 77), row0=corner[0], col0=corner[1])
        ask = image.aca if absolute else image
        part = ask[other]
        assert part.tolist() == np.asarray(image)[slice(*rows), slice(*cols)].tolist()
        assert place(part) == (ROW0 + rows[0], COL0 + cols[0])
        ask[other] = -1
        assert (image == -1).sum() == part.size

    def test_sums_are_images(self, image):
        """A sum of all is of no dimension, and has meta."""
        for made in (image.sum(), image.sum(axis=0), np.max(image, axis=0, keepdims=True), image + np.zeros((3, 4, 6))):
            assert type(made) is ACAImage
            assert made.meta == image.meta
        assert image.sum().shape == ()
        assert image.sum() == 276

    def test_one_pixel_is_a_number(self, image):
        assert type(image[1, 2]) is np.float64
        assert image[1, 2] == 8

    def test_mask_assignment(self, image):
        """A mask of the image sets its pixels."""
        assert image[image > 5].tolist() == image.aca[image > 5].tolist() == list(range(6, 24))
        image[image > 5] = 0
        assert image.sum() == 15
        image.aca[np.asarray(image) > 2] = 7
        assert image.sum() == 24

    def test_asarray_is_a_view(self, image):
        """The plain array costs no copy."""
        plain = np.asarray(image)
        assert type(plain) is np.ndarray
        assert np.shares_memory(plain, image)


coordinates = st.integers(-8, 8)
bounds = st.none() | coordinates
slices = st.builds(slice, bounds, bounds)


def on_axis(first: int, count: int, index: int | slice) -> list[int]:
    """Offsets of the pixels that an absolute index means, one at a time."""
    if isinstance(index, int):
        return [index - first]
    start = -np.inf if index.start is None else index.start
    stop = np.inf if index.stop is None else index.stop
    return [i for i in range(count) if start <= first + i < stop]


class TestAbsolute:
    """Indexing ``.aca`` in CCD coordinates."""

    @given(st.data(), st.integers(1, 5), st.integers(1, 5), coordinates, coordinates)
    def test_against_numpy(self, data, rows, cols, row0, col0):
        """Absolute indexes mean the pixels with those coordinates, whether read or set."""
        plain = np.arange(rows * cols).reshape(rows, cols)
        image = ACAImage(plain, row0=row0, col0=col0)
        row = data.draw(st.integers(row0, row0 + rows - 1) | slices)
        col = data.draw(st.integers(col0, col0 + cols - 1) | slices)
        chosen = np.ix_(on_axis(row0, rows, row), on_axis(col0, cols, col))

        part = image.aca[row, col]
        assert np.ravel(part).tolist() == plain[chosen].ravel().tolist()
        assert np.ndim(part) == isinstance(row, slice) + isinstance(col, slice)
        if np.ndim(part) and part.size:
            assert place(part) == (row0 + chosen[0].min(), col0 + chosen[1].min())

        image.aca[row, col] = -1
        plain[chosen] = -1
        assert image.tolist() == plain.tolist()

    @pytest.mark.parametrize(
        ("item", "rows", "cols"),
        [
            (np.s_[-1:1, 22:24], (1, 3), (2, 4)),
            (np.s_[-1:], (1, 4), (0, 6)),
            (np.s_[:0, :], (0, 2), (0, 6)),
            (np.s_[...], (0, 4), (0, 6)),
            (np.s_[()], (0, 4), (0, 6)),
            (np.s_[..., 24:], (0, 4), (4, 6)),
            (np.s_[0:, ...], (2, 4), (0, 6)),
            (np.s_[-512:512, -512:22], (0, 4), (0, 2)),
            (np.s_[np.uint8(0) : np.uint8(1), np.int8(22) : np.int64(24)], (2, 3), (2, 4)),
        ],
    )
    def test_slices(self, image, item, rows, cols):
        """Omitted bounds are the edges, and the rest is clipped to them."""
        part = image.aca[item]
        assert type(part) is ACAImage
        assert part.tolist() == np.asarray(image)[slice(*rows), slice(*cols)].tolist()
        assert place(part) == (ROW0 + rows[0], COL0 + cols[0])
        assert part.TIME == image.TIME
        assert np.shares_memory(part, image)

    @pytest.mark.parametrize("item", [np.s_[100:200], np.s_[-200:-100], np.s_[1:-1], np.s_[:, :20]])
    def test_empty(self, image, item):
        """A slice beyond the image has no pixels."""
        assert image.aca[item].size == 0

    def test_lists_and_steps(self, image):
        """Lists are of coordinates, and a step counts from the first of them."""
        part = image.aca[[-2, 1], [20, 25]]
        assert part.tolist() == [0, 23]
        assert [axis.tolist() for axis in place(part)] == [[-2, 1], [20, 25]]
        assert image.aca[[1, -2]].tolist() == [image[3].tolist(), image[0].tolist()]
        assert place(image.aca[[1, -2]]) == (1, 20)
        assert image.aca[-1::2, 21::3].tolist() == [[7, 10], [19, 22]]
        assert place(image.aca[-1::2, 21::3]) == (-1, 21)

    def test_what_is_absolute(self, image):
        """What indexing gives is not absolute; copies and sums of absolute images are."""
        assert image.aca[0:1, 20:22][0, 1] == 13
        for made in (image.aca.copy(), image.aca + 0, image.aca * image, pickle.loads(pickle.dumps(image.aca))):
            assert made[-2, 20] == 0
            assert made.meta == image.meta
        assert (image * image.aca)[-2, 5] == 17**2

    def test_shares(self, image):
        """Pixels and meta are those of the image."""
        image.aca.TIME = 7
        image.aca[0, 20] = -5
        assert image.TIME == 7
        assert image[2, 0] == -5

    def test_scalar(self, image):
        """Two integers are one pixel, whatever their type, and negative ones are coordinates."""
        assert type(image.aca[-1, 22]) is np.float64
        assert image.aca[-1, 22] == 8
        assert image.aca[np.int8(-2), np.uint8(25)] == 5
        assert image.aca[np.uint8(0), 20] == 12

    def test_row(self, image):
        """One integer is one row."""
        assert image.aca[1].tolist() == [18, 19, 20, 21, 22, 23]
        assert place(image.aca[1, 23:]) == (1, 23)

    def test_in_place(self, image):
        """Augmented assignment reaches the image."""
        image.aca[-1, 22] += 100
        image.aca[0:, 24:] *= 0
        assert image.tolist()[1:] == [[6, 7, 108, 9, 10, 11], [12, 13, 14, 15, 0, 0], [18, 19, 20, 21, 0, 0]]

    @pytest.mark.parametrize(
        ("item", "words"),
        [
            (np.s_[2, 20], "row 2 is outside the image: valid rows are -2 to 1"),
            (np.s_[-3], "row -3 "),
            (np.s_[:, 26], "col 26 is outside the image: valid cols are 20 to 25"),
            (np.s_[0, -1], "col -1 "),
            (np.s_[:, ::-1], "step -1 "),
            (np.s_[0, 20, 3], r"\(0, 20, 3\) .*integers, slices and lists"),
            (np.s_[..., ...], "integers, slices and lists"),
            (1.0, "1.0 .*integers, slices and lists"),
            (None, "None .*integers, slices and lists"),
            (True, "True .*integers, slices and lists"),
            ([0, 2], "row 2 "),
            (np.s_[[0, 1], [20, 19]], "col 19 "),
        ],
    )
    def test_refused(self, image, item, words):
        """What is no CCD coordinate of the image is refused, to read and to set."""
        before = image.tolist()
        with pytest.raises(IndexError, match=words):
            image.aca[item]
        with pytest.raises(IndexError, match=words):
            image.aca[item] = 0
        assert image.tolist() == before

    def test_no_pixels(self, image):
        """An empty image has no valid coordinate to name."""
        with pytest.raises(IndexError, match="it has no rows"):
            image[:0].aca[-2]

    def test_one_row(self, image):
        """A row alone cannot tell rows from columns."""
        with pytest.raises(IndexError, match=r"2-d image.*\(6,\)"):
            image[0].aca[0]


NAMES = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
OPERATORS = [getattr(operator, name) for name in NAMES]
IN_PLACE = [getattr(operator, f"i{name}") for name in NAMES]


class TestArithmetic:
    """Arithmetic where two images overlap on the CCD."""

    @staticmethod
    def expected(function, left, right):
        """Combine pixel by pixel, by their coordinates."""
        values = np.array(left, dtype=float)
        for r, c in np.ndindex(*right.shape):
            at = r + right.row0 - left.row0, c + right.col0 - left.col0
            if all(0 <= i < n for i, n in zip(at, left.shape, strict=True)):
                values[at] = function(values[at], right[r, c])
        return values

    @pytest.mark.parametrize("function", OPERATORS)
    @pytest.mark.parametrize("corner", [(-1, 22), (-4, 15), (1, 25), (-2, 20), (0, 100), (100, 100), (-3, 10)])
    @pytest.mark.parametrize("shape", [(2, 3), (4, 6), (10, 20)])
    def test_new(self, image, function, corner, shape):
        """The overlap changes in a copy of the left image, whichever side has .aca."""
        other = ACAImage(np.full(shape, 3.0), row0=corner[0], col0=corner[1], meta={"TIME": 9})
        before = image.tolist()
        for result in (function(image.aca, other), function(image, other.aca), function(image.aca, other.aca)):
            assert type(result) is ACAImage
            assert result.meta == image.meta
            assert result.tolist() == self.expected(function, image, other).tolist()
        assert image.tolist() == before
        assert (other == 3).all()

    @pytest.mark.parametrize(("function", "in_place"), list(zip(OPERATORS, IN_PLACE, strict=True)))
    def test_in_place(self, image, function, in_place):
        """In place the left image itself changes."""
        other = ACAImage(np.full((9, 3), 3.0), row0=-1, col0=24)
        once = self.expected(function, image, other)
        assert in_place(image, other.aca) is image
        assert image.tolist() == once.tolist()
        in_place(image.aca, other)
        assert image.tolist() == self.expected(function, ACAImage(once, row0=ROW0, col0=COL0), other).tolist()

    def test_statement(self, image):
        """``image.aca += other`` is a statement users write."""
        ccd = ACAImage(shape=(1024, 1024), row0=-512, col0=-512)
        ccd.aca += image
        ccd.aca -= image[:1]
        assert ccd.sum() == image[1:].sum()
        assert ccd.aca[-2:2, 20:26].tolist() == [[0] * 6, *image.tolist()[1:]]

    def test_type(self, image):
        """Integers become floats if the other image or the operator asks for it, but not in place."""
        counts = image.astype(np.int32)
        assert (counts.aca + counts).dtype == np.int32
        assert (counts.aca / counts[1:]).dtype == np.float64
        assert (counts.aca + (image + 0.5)).aca[-2, 20] == 0.5
        with pytest.raises(TypeError, match="float64"):
            counts.aca += image

    def test_what_has_no_place(self, image):
        """Numbers and arrays are added to all pixels, with .aca or without."""
        for made in (image.aca + 5, 5 + image.aca, image.aca + np.full((4, 6), 5), np.full((4, 6), 5) + image.aca):
            assert made.tolist() == (np.asarray(image) + 5).tolist()
        image.aca -= 1
        assert image[0, 0] == -1
        with pytest.raises(ValueError, match=r"\(4,6\) \(2,2\)"):
            _ = image + ACAImage(np.ones((2, 2)))

    def test_aca_cannot_be_set(self, image):
        """Setting aca itself would lose pixels silently."""
        for value in (image.tolist(), image.copy().aca):
            with pytest.raises(AttributeError, match=r"image\.aca\[\.\.\.\] = "):
                image.aca = value


class TestRepr:
    """How an image shows."""

    def test_rounded(self):
        """Pixels show as integers under the place."""
        image = ACAImage([[-0.2, 1.6], [10.4, -3]], row0=-183, col0=-169)
        assert repr(image) == "<ACAImage row0=-183 col0=-169\narray([[ 0,  2],\n       [10, -3]])>"

    def test_not_finite(self):
        """Pixels which are no integers show as they are."""
        assert "nan" in repr(ACAImage([[np.nan, 1.0]]))
        assert "1.e+20" in repr(ACAImage([[1e20, 1.0]]))

    def test_integers(self):
        """Integers and truth values show as such."""
        assert "[[255]]" in repr(ACAImage([[255]], dtype=np.uint8))
        assert "True" in repr(ACAImage([[1.0]]) > 0)


def test_documentation():
    """The example in the documentation runs."""
    result = doctest.testmod(aca_image)
    assert result.attempted
    assert not result.failed


# --- centroids --------------------------------------------------------------------------------------------------------


def test_golden_centroids(shared: Path) -> None:
    with np.load(shared / "golden" / "aca_image.npz") as golden:
        cases = [json.loads(case) for case in golden["centroid/cases"]]
        assert len(cases) > 300
        images = {case["img"]: golden[f"centroid/{case['img']}/img"] for case in cases}
        backgrounds = {i: golden[f"centroid/{i}/bgd"] for i in images if f"centroid/{i}/bgd" in golden.files}
        for case, expected in zip(cases, golden["centroid/ours"], strict=True):
            pixels, asked = images[case["img"]], dict(case)
            image = ACAImage(pixels, row0=case.get("row0", 0), col0=case.get("col0", 0))
            keywords = {key: asked[key] for key in ("bgd", "pix_zero_loc", "norm_clip") if key in asked}
            if keywords.get("bgd") == "array":
                keywords["bgd"] = backgrounds[case["img"]]
            elif keywords.get("bgd") == "small":
                keywords["bgd"] = backgrounds[case["img"]][1:-1, 1:-1]
            ask = image.aca.centroid_fm if case.get("aca") else image.centroid_fm
            if case.get("function"):
                ask = partial(centroid_fm, pixels)
            before = image.tobytes()
            if case.get("list"):
                continue  # which is an error there, and an image here
            if np.isnan(expected).all():
                with pytest.raises(ValueError):
                    ask(**keywords)
            else:
                np.testing.assert_allclose(ask(**keywords), expected, rtol=2e-5, atol=2e-5, err_msg=str(case))
            assert image.tobytes() == before


@pytest.mark.parametrize("size", [4, 6, 8])
def test_the_centroid_of_a_star_is_where_it_is(size: int) -> None:
    image = ACAImage(np.full((size, size), 7.0), row0=-20, col0=300)
    image[2, 3 if size > 4 else 1] += 100
    row, col, norm = image.centroid_fm(bgd=7)
    assert (row, col, norm) == (2, 3 if size > 4 else 1, 100)
    assert image.aca.centroid_fm(bgd=7) == (row - 20, col + 300, norm)
    assert image.centroid_fm(bgd=7, pix_zero_loc="edge") == (row + 0.5, col + 0.5, norm)
    assert centroid_fm(np.asarray(image), bgd=np.full((size, size), 7)) == (row, col, norm)
    assert image.sum() == 7 * size**2 + 100


def test_the_corners_of_an_image_of_6x6_and_the_rim_of_8x8_do_not_count() -> None:
    six = np.ones((6, 6))
    six[[0, 0, -1, -1], [0, -1, 0, -1]] = 1000
    assert centroid_fm(six) == (2.5, 2.5, 32)
    eight = np.full((8, 8), 1000.0)
    eight[1:-1, 1:-1] = six
    assert centroid_fm(eight) == (3.5, 3.5, 32)
    assert centroid_fm(np.ones((4, 4))) == (1.5, 1.5, 16)


def test_an_image_without_light_has_a_centroid_only_with_a_least_norm() -> None:
    with pytest.raises(ValueError, match=r"sum of the image is 0\.0"):
        centroid_fm(np.zeros((6, 6)))
    assert centroid_fm(np.zeros((6, 6)), norm_clip=10) == (0, 0, 10)
    assert centroid_fm(np.ones((4, 4)), norm_clip=10)[2] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((np.ones((4, 6)),), r"\(4, 6\)"), ((np.ones(4),), r"\(4,\)"), ((np.ones((4, 4)), None, "middle"), "'middle'")],
)
def test_what_has_no_centroid_is_an_error_that_shows_why(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        centroid_fm(*arguments)


# --- flicker ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def dark() -> ACAImage:
    """A dark current image whose pixels are from 0 to 10,000 e-/s."""
    return ACAImage(np.linspace(0, 10000, 10000).reshape(100, 100), row0=-50, col0=100)


def test_a_pixel_that_flickers_stays_near_what_it_was_at_first(dark: ACAImage) -> None:
    first = dark.copy()
    dark.flicker_init(flicker_mean_time=1000, seed=3)
    assert (dark == first).all()
    for _ in range(20):
        dark.flicker_update(1000)
        change = np.abs(np.log10(dark[first > 50] / first[first > 50]))
        assert change.max() <= 0.35 + 1e-12
        assert (dark[first <= 50] == first[first <= 50]).all()
    assert (change > 0).mean() > 0.99
    assert dark.row0 == -50


def test_times_between_changes_are_exponential(dark: ACAImage) -> None:
    dark.flicker_init(flicker_mean_time=500, seed=4)
    changes = 0
    for _ in range(400):
        before = dark.copy()
        dark.flicker_update(10)
        changes += int((dark != before).sum())
    # The first change of a pixel comes sooner; from then on one in 500 s.
    assert changes / 9950 == pytest.approx(4000 / 500, rel=0.1)


def test_the_scale_is_of_the_change_not_of_its_logarithm(dark: ACAImage) -> None:
    first, doubled = dark.copy(), dark.copy()
    for image, scale in ((dark, 1.0), (doubled, 2.0)):
        image.flicker_init(flicker_mean_time=1, flicker_scale=scale, seed=5)
        image.flicker_update(1e6)
    up, down = (dark > first) & (first > 50), dark < first
    np.testing.assert_allclose(doubled[up] / first[up] - 1, 2 * (dark[up] / first[up] - 1), rtol=1e-9)
    np.testing.assert_allclose(first[down] / doubled[down] - 1, 2 * (first[down] / dark[down] - 1), rtol=1e-9)


def test_masked_pixels_do_not_flicker(dark: ACAImage) -> None:
    first = dark.copy()
    dark.flicker_init(flicker_mean_time=1, seed=6)
    assert dark.flicker_mask.dtype == bool
    dark.flicker_mask.aca[-50:0, 100:150] = False
    dark.flicker_update(1e6)
    changed = dark != first
    assert not changed[:50, :50].any()
    assert changed[50:].all()


def test_the_same_seed_gives_the_same_flicker(dark: ACAImage) -> None:
    images = [dark.copy() for _ in range(3)]
    for image, seed in zip(images, (7, 7, 8), strict=True):
        image.flicker_init(flicker_mean_time=1000, seed=seed)
        image.flicker_update(800)
        image.flicker_update(800)
    assert images[0].tobytes() == images[1].tobytes() != images[2].tobytes()


def test_an_image_flickers_in_its_own_type(dark: ACAImage) -> None:
    small = dark.astype(np.float32)
    small.flicker_init(flicker_mean_time=1, seed=9)
    small.flicker_update(1e6)
    assert small.dtype == np.float32


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda im: im.flicker_update(1), "call its flicker_init first"),
        (lambda im: im.flicker_mask, "call its flicker_init first"),
        (lambda im: im.flicker_init(flicker_mean_time=0), "flicker_mean_time 0"),
        (lambda im: im.flicker_init(flicker_scale=-1), "flicker_scale -1"),
        (lambda im: (im.flicker_init(), im.flicker_update(-5)), "dt -5"),
        (lambda im: (im.flicker_init(), im.copy().flicker_update(5)), "a copy needs one of its own"),
    ],
)
def test_what_cannot_flicker_is_an_error_that_shows_why(dark: ACAImage, ask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(dark)


# --- as the reference answers -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    with np.load(shared / "golden" / "aca_image.npz") as file:
        return dict(file)


def index_of(spec: list[Any], base: ACAImage) -> Any:
    """An index as a golden case describes it."""
    kind, *values = spec
    return {
        "int": lambda: values[0],
        "slice": lambda: slice(*values),
        "list": lambda: values[0],
        "dots": lambda: ...,
        "mask": lambda: np.asarray(base) > 50,
        "tuple": lambda: tuple(index_of(value, base) for value in values),
        "image": lambda: ACAImage(np.ones(values[0]), row0=values[1], col0=values[2]),
    }[kind]()


def is_absolute(image: ACAImage) -> bool:
    """Whether its first pixel is at its place rather than at 0."""
    try:
        return bool(image[image.row0, image.col0] == image.flat[0]) and (image.row0, image.col0) != (0, 0)
    except IndexError:
        return False


def check(found: Any, expected: dict[str, Any], value: Any) -> None:
    assert type(found).__name__ == expected["type"]
    np.testing.assert_array_equal(np.asarray(found), value)
    assert np.shape(found) == tuple(expected["shape"])
    if expected["type"] == "ACAImage":
        assert [np.asarray(axis).tolist() for axis in place(found)] == [expected["row0"], expected["col0"]]
        if found.ndim == 2 and found.size:
            assert is_absolute(found) is expected["aca"]


@pytest.mark.parametrize("kind", ["slice", "set"])
def test_golden_indexes(golden: dict[str, Any], kind: str) -> None:
    count = sum(key.startswith(f"{kind}/") and key.endswith("/spec") for key in golden)
    assert count > 40
    for i in range(count):
        case = json.loads(str(golden[f"{kind}/{i}/spec"]))
        base = ACAImage(golden["base"], row0=10, col0=-20)
        item, ask = index_of(case["item"], base), base.aca if case["aca"] else base
        expected = case.get("ours", case["answer"])
        if "raises" in expected:
            with pytest.raises(IndexError):
                ask[item] if kind == "slice" else ask.__setitem__(item, case["to"])
            continue
        value = golden.get(f"{kind}/{i}/ours", golden[f"{kind}/{i}/value"])
        if kind == "slice":
            check(ask[item], expected, value)
        else:
            ask[item] = case["to"]
            check(base, expected, value)


def test_golden_arithmetic(golden: dict[str, Any]) -> None:
    count = sum(key.startswith("op/") and key.endswith("/spec") for key in golden)
    assert count > 40
    for i in range(count):
        case = json.loads(str(golden[f"op/{i}/spec"]))
        left = ACAImage(golden["base"], row0=10, col0=-20)
        right: Any = case["other"]
        if right == "base":
            right = golden["base"]
        elif isinstance(right, str):
            pixels = golden["second"] % 4 + 1 if "%" in right else golden["second"]
            right = ACAImage(pixels, row0=case["other_row0"], col0=case["other_col0"])
        ours = left.aca if case.get("self_aca") else left
        theirs = right.aca if case.get("other_aca") else right
        if "raises" in case["answer"]:
            with pytest.raises(ValueError):
                getattr(operator, case["op"])(ours, theirs)
            continue
        check(getattr(operator, case["op"])(ours, theirs), case["answer"], golden[f"op/{i}/value"])


def test_golden_ways_to_make_an_image(golden: dict[str, Any]) -> None:
    img = ACAImage(golden["base"], row0=10, col0=-20, meta={"BGDAVG": 5})
    names = {"img": img, "np": np, "copy": copy, "pickle": pickle, "ACAImage": ACAImage}
    for case in map(json.loads, golden["made"]):
        if "raises" in case:
            with pytest.raises({"ValueError": ValueError, "TypeError": TypeError}.get(case["raises"], AttributeError)):
                eval(case["case"], names)
            continue
        case |= case.get("ours", {})
        found = eval(case["case"], names)
        assert (type(found).__name__, list(np.shape(found)), str(found.dtype)) == (
            case["type"], case["shape"], case["dtype"]
        ), case  # fmt: skip
        assert getattr(found, "meta", None) == case["meta"], case
        if case["aca"] is not None and found.shape == (6, 8):
            assert is_absolute(found) is case["aca"], case
    assert repr(img) == str(golden["repr"][0])
    assert repr(img[2:4, 1:4]) == str(golden["repr"][1])
    assert repr(ACAImage([[0.4, 1.6], [2.5, -1.2]])) == str(golden["repr"][2])


def test_golden_flicker(golden: dict[str, Any]) -> None:
    for i, case in enumerate(map(json.loads, golden["flicker/cases"])):
        dark = ACAImage(golden["flicker/dark"], row0=-4, col0=3)
        dark.flicker_init(case["flicker_mean_time"], case["flicker_scale"], seed=-1)
        if case["mask_off"]:
            dark.flicker_mask.aca[-4:-1, 3:7] = False
        for n, dt in enumerate([None, *case["dt"]]):
            if dt is not None:
                dark.flicker_update(dt)
            np.testing.assert_array_equal(dark, golden[f"flicker/{i}/vals"][n])
            np.testing.assert_array_equal(dark.flicker_times, golden[f"flicker/{i}/times"][n])


def test_golden_flicker_without_numba(golden: dict[str, Any]) -> None:
    dark = ACAImage(golden["flicker/dark"])
    dark.flicker_init(2000, 1.3, seed=11)
    np.testing.assert_array_equal(dark.flicker_times, golden["flicker/vectorized/times0"])
    for dt, expected in zip((500, 1500, 4000), golden["flicker/vectorized/vals"], strict=True):
        dark.flicker_update(dt, use_numba=False)
        np.testing.assert_array_equal(dark, expected)
