"""Many images at once: from each door the same, with the centroids of one at a time."""

import numpy as np
import pytest

from mica_lake import Lake
from mica_lake.aca_image import ACAImage, centroid_fm
from mica_lake.archive import aca_l0
from mica_lake.pixels import first_moments, images_of

SPAN = ("2024:001", "2024:001:00:10")


@pytest.mark.parametrize(("slot", "size"), [(0, 8), (3, 6)])
def test_images_are_the_same_from_each_door(slot: int, size: int, demo_lake: str) -> None:
    lake = Lake(demo_lake)
    query = f"SELECT IMGRAW FROM slot_data('{SPAN[0]}', '{SPAN[1]}', {slot}) WHERE QUALITY = 0 ORDER BY TIME"
    expected = np.array(list(aca_l0.get_l0_images(*SPAN, slot, data_root=demo_lake)))
    assert expected.shape[1:] == (size, size)
    frame = lake.scan("aca_l0", *SPAN, slot=slot).sort("TIME").collect()
    for pixels in (
        frame.filter(frame["QUALITY"] == 0)["IMGRAW"],
        lake.sql(query).df()["IMGRAW"],
        lake.arrow(query).column("IMGRAW"),
        expected.reshape(-1, size**2),
    ):
        np.testing.assert_array_equal(images_of(pixels), expected)


def test_images_in_the_middle_of_masked_ones_have_the_centroids_that_they_have_alone(demo_lake: str) -> None:
    data = aca_l0.get_slot_data(*SPAN, 3, columns=["IMGRAW", "QUALITY"], centered_8x8=True, data_root=demo_lake)
    images = data["IMGRAW"][(data["QUALITY"] == 0).filled(False)]
    assert np.ma.getmaskarray(images).any()
    row, col, norm = first_moments(images)
    alone = [image.centroid_fm() for image in aca_l0.get_l0_images(*SPAN, 3, data_root=demo_lake)]
    np.testing.assert_allclose(np.column_stack([row - 1, col - 1, norm]), alone, rtol=1e-12)


@pytest.mark.parametrize("size", [4, 6, 8])
@pytest.mark.parametrize("norm_clip", [None, 5000.0])
def test_moments_of_many_images_are_those_of_each(size: int, norm_clip: float | None) -> None:
    images = np.random.default_rng(size).uniform(1, 900, (5, size, size))
    before = images.copy()
    moments = np.column_stack(first_moments(images, 30.0, norm_clip))
    each = [centroid_fm(image, 30.0, norm_clip=norm_clip) for image in images]
    np.testing.assert_allclose(moments, each, rtol=1e-12)
    # The definition, for which 6x6 have no corners and 8x8 no rim.
    for image, (row, col, norm) in zip(images - 30.0, moments, strict=True):
        pixels = {(r, c): image[r, c] for r in range(size) for c in range(size) if size == 4 or _counts(r, c, size)}
        total = max(sum(pixels.values()), norm_clip or 0)
        assert norm == pytest.approx(total)
        assert row == pytest.approx(sum(r * value for (r, _), value in pixels.items()) / total)
        assert col == pytest.approx(sum(c * value for (_, c), value in pixels.items()) / total)
    assert np.array_equal(images, before)


def _counts(row: int, col: int, size: int) -> bool:
    first, last = (1, 6) if size == 8 else (0, 5)
    corner = row in (first, last) and col in (first, last)
    return first <= row <= last and first <= col <= last and not corner


def test_an_image_without_light_among_others_has_no_centroid() -> None:
    row, col, norm = first_moments(np.stack([np.zeros((6, 6)), np.ones((6, 6))]))
    np.testing.assert_array_equal([row, col, norm], [[np.nan, 2.5], [np.nan, 2.5], [0, 32]])
    assert first_moments(ACAImage(np.ones((4, 4)), row0=7))[0] == 1.5


@pytest.mark.parametrize(
    ("pixels", "message"),
    [([np.ones(36), np.ones(64)], "36 to 64 pixels: choose one size"), (np.ones((3, 35)), r"\(3, 35\) are no images")],
)
def test_what_is_no_column_of_images_is_an_error(pixels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        images_of(pixels)
    with pytest.raises(ValueError, match="not square"):
        first_moments(np.ones((2, 3, 4)))
