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
    return ACAImage(np.arange(24.0).reshape(4, 6), ROW0, COL0, {"TIME": 1.5})


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
        assert image.meta == {}

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
        assert image.meta == {"TIME": 2.0, "IMGROW0": 3}

    def test_place_from_meta(self):
        """IMGROW0 and IMGCOL0 are the place, unless row0 or col0 says otherwise."""
        meta = {"IMGROW0": np.int16(-512), "IMGCOL0": 4}
        assert place(ACAImage([[0]], meta=meta)) == (-512, 4)
        assert place(ACAImage([[0]], col0=0, meta=meta)) == (-512, 0)

    def test_image(self, image):
        """An ACAImage gives its meta too, unless other meta is given."""
        again = ACAImage(image)
        assert again.meta == image.meta
        assert again.meta is not image.meta
        assert ACAImage(image, meta={"TIME": 9}).meta == {"TIME": 9}

    @pytest.mark.parametrize(
        ("args", "kwargs", "error", "words"),
        [
            ((), {}, TypeError, "neither"),
            (([[0]],), {"shape": (1, 1)}, TypeError, "both"),
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
        with pytest.raises(AttributeError, match="no keys"):
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
        other = ACAImage(np.ones((4, 6)), 0, 0, {"TIME": 3})
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

    def test_part_of_a_row(self, image):
        """A row alone cannot tell where its parts lie."""
        part = image[1][2:4]
        assert type(part) is np.ndarray
        assert part.tolist() == [8, 9]

    @pytest.mark.parametrize(
        "item",
        [
            np.arange(24).reshape(4, 6) > 5,
            True,
            [2, 0],
            ([0, 1], [2, 3]),
            np.s_[None, :2],
            np.s_[::2],
            np.s_[:, ::-1],
        ],
    )
    def test_other_indexes_give_plain_arrays(self, image, item):
        """Pixels which are no longer side by side in CCD order have no place."""
        part = image[item]
        assert type(part) is np.ndarray
        np.testing.assert_array_equal(part, np.asarray(image)[item])

    @pytest.mark.parametrize(
        "reduce",
        [
            lambda im: im.sum(axis=0),
            lambda im: im.mean(axis=1),
            lambda im: np.max(im, axis=0, keepdims=True),
            lambda im: im + np.zeros((3, 4, 6)),
        ],
    )
    def test_other_shapes_are_plain_arrays(self, image, reduce):
        """Reductions and stacks have no place either."""
        made = reduce(image)
        assert type(made) is np.ndarray
        np.testing.assert_array_equal(made, reduce(np.asarray(image)))

    def test_scalars(self, image):
        """One pixel, or one number of the whole, is a scalar."""
        assert type(image[1, 2]) is np.float64
        assert image[1, 2] == 8
        assert type(image.sum()) is np.float64
        assert image.sum() == 276
        assert type(image.astype(np.int32).max()) is np.int32

    def test_mask_assignment(self, image):
        """A mask of the image sets its pixels."""
        image[image > 5] = 0
        assert image.sum() == 15

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
        image = ACAImage(plain, row0, col0)
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
            (np.s_[::2], "step 2 "),
            (np.s_[:, ::-1], "step -1 "),
            (np.s_[0, 20, 3], r"\(0, 20, 3\) .*integers or slices"),
            (np.s_[..., ...], "integers or slices"),
            (1.0, "1.0 .*integers or slices"),
            (None, "None .*integers or slices"),
            (True, "True .*integers or slices"),
            ([0, 1], "integers or slices"),
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


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv]
IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv]


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
        other = ACAImage(np.full(shape, 3.0), *corner, {"TIME": 9})
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
        other = ACAImage(np.full((9, 3), 3.0), -1, 24)
        once = self.expected(function, image, other)
        assert in_place(image, other.aca) is image
        assert image.tolist() == once.tolist()
        in_place(image.aca, other)
        assert image.tolist() == self.expected(function, ACAImage(once, ROW0, COL0), other).tolist()

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

    @pytest.mark.parametrize(
        "function",
        [
            lambda im: im.aca + 5,
            lambda im: 5 + im.aca,
            lambda im: im.aca - np.zeros((4, 6)),
            lambda im: np.zeros((4, 6)) - im.aca,
        ],
    )
    def test_needs_two_images(self, image, function):
        """What has no place on the CCD is refused."""
        with pytest.raises(TypeError, match=r"no CCD coordinates.*two ACAImages"):
            function(image)

    def test_other_operators(self, image):
        """Operators which make no sense on an overlap are refused."""
        with pytest.raises(TypeError):
            _ = image.aca > image
        with pytest.raises(TypeError):
            np.add(image.aca, image, out=image.copy())
        with pytest.raises(TypeError):
            np.add(image.aca, image, where=image > 3)
        with pytest.raises(TypeError):
            np.add.outer(image.aca, image)

    def test_aca_cannot_be_set(self, image):
        """Setting aca itself would lose pixels silently."""
        for value in (image.tolist(), image.copy().aca):
            with pytest.raises(AttributeError, match=r"image\.aca\[\.\.\.\] = "):
                image.aca = value


class TestRepr:
    """How an image shows."""

    def test_rounded(self):
        """Pixels show as integers under the place."""
        image = ACAImage([[-0.2, 1.6], [10.4, -3]], -183, -169)
        assert repr(image) == "<ACAImage row0=-183 col0=-169\narray([[ 0,  2],\n       [10, -3]])>"
        assert repr(image.aca) == f"{image!r}.aca"

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


@pytest.mark.parametrize("operator", [operator.floordiv, operator.mod, operator.pow])
def test_more_arithmetic_changes_the_overlap_alone(operator: Any) -> None:
    a, b = ACAImage(np.full((3, 3), 7.0)), ACAImage(np.full((2, 2), 2.0), row0=1, col0=1)
    found = operator(a.aca, b)
    expected = np.full((3, 3), 7.0)
    expected[1:, 1:] = operator(7.0, 2.0)
    np.testing.assert_array_equal(found, expected)
