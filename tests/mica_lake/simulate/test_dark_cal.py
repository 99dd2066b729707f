"""The simulator of dark current calibrations: images that look like the CCD's, and age like it."""

import json
from itertools import pairwise

import numpy as np
import pytest
from astropy.io import fits

from mica_lake.simulate import dark_cal
from mica_lake.times import cxcsec

DARK_IDS = ["2000010", "2007006", "2012104", "2016100", "2024001"]


def image_of(directory, celsius=None):
    """Read an image, scaled to a temperature if one is given."""
    image = fits.getdata(directory / "image.fits").astype(np.float64)
    scale = 1.0 if celsius is None else (1 / 0.7) ** ((celsius - properties_of(directory)["ccd_temp"]) / 4)
    return image * scale


def properties_of(directory):
    """Read the properties."""
    return json.loads((directory / "properties.json").read_text())


@pytest.fixture(scope="module")
def calibrations(tmp_path_factory):
    """Simulate calibrations of five years."""
    root = tmp_path_factory.mktemp("ska")
    return [dark_cal.write_calibration(root, dark_id) for dark_id in DARK_IDS]


def test_image(calibrations, tmp_path):
    """The image is a primary HDU of big-endian float32, marked as simulated."""
    for directory in calibrations:
        assert directory.parts[-5:-1] == ("data", "mica", "archive", "aca_dark")
        with fits.open(directory / "image.fits") as hdus:
            assert len(hdus) == 1
            assert hdus[0].data.dtype == np.dtype(">f4")
            assert hdus[0].data.shape == (1024, 1024)
            assert (hdus[0].header["ORIGIN"], hdus[0].header["CREATOR"]) == ("SIMULATED", "mica_lake.simulate")
        tenths = image_of(directory) * 10
        assert np.abs(tenths - np.rint(tenths)).max() < 0.05


def test_levels(calibrations):
    """Most pixels have a few e-/s at -19 C; noise makes some slightly negative."""
    for directory in calibrations:
        image = image_of(directory)
        assert 0 < (image < 0).mean() < 0.3
        assert -40 < image.min() < 0
        assert 2 < np.median(image_of(directory, -19)) < 15
        assert image.max() > 5000


def test_warm_pixels_grow(calibrations):
    """The share of pixels above 100 e-/s at -19 C grows from 1 % to 15 %, steadily, and the same ones stay warm."""
    warm = [image_of(directory, -19) > 100 for directory in calibrations]
    years = [int(dark_id[:4]) + int(dark_id[4:]) / 365 for dark_id in DARK_IDS]
    for year, now in zip(years, warm, strict=True):
        assert now.mean() == pytest.approx(0.01 + 0.14 * (year - 2000) / 24, rel=0.05)
    for before, after in pairwise(warm):
        assert after[before].mean() > 0.97
        assert after[~before].mean() < 0.1


def test_temperature(calibrations):
    """The CCD cools until 2007 or so, and warms up after 2013."""
    celsius = [properties_of(directory)["ccd_temp"] for directory in calibrations]
    assert celsius[0] > celsius[1] + 5
    assert celsius[2] < celsius[3] < celsius[4]
    assert all(-21 < c < -4 for c in celsius)


def test_properties(calibrations):
    """Before 2014 the properties have the old keys and a list of replicas, from then on today's and a dict."""
    for directory in calibrations:
        properties = properties_of(directory)
        day = f"{directory.name[:4]}:{directory.name[4:]}:"
        assert properties["date"].startswith(day)
        replicas = properties["replicas"]
        if directory.name < "2014":
            assert set(properties) == {
                *("ccd_temp", "date", "dec", "dur", "eb", "el", "id", "l_l0", "ra", "replicas", "start", "stop"),
                *("sun_el", "zodib"),
            }
            assert cxcsec(properties["stop"]) - cxcsec(properties["start"]) == pytest.approx(properties["dur"])
            assert properties["id"] == directory.name
            assert [r["replica"] for r in replicas] == [0, 1, 2, 3, 4]
            assert all(properties["start"] <= r["start"] < properties["stop"] for r in replicas)
            celsius = [r["ccd_temp"] for r in replicas]
        else:
            assert set(properties) == {
                *("ccd_temp", "date", "datestart", "datestop", "filename", "n_ccd_img", "replicas", "t_ccd"),
            }
            assert properties["datestart"] < properties["datestop"]
            celsius = [r["t_ccd"] for r in replicas.values()]
        assert np.mean(celsius) == pytest.approx(properties["ccd_temp"], abs=0.05)


def test_same_bytes(calibrations, tmp_path):
    """Written again, both files are the same; of another seed, the warm pixels are others."""
    last = calibrations[-1]
    for _ in range(2):
        again = dark_cal.write_calibration(tmp_path, last.name)
        assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in last.iterdir()}
    warm, other = (image_of(d, -19) > 100 for d in (last, dark_cal.write_calibration(tmp_path, last.name, seed=1)))
    assert other[warm].mean() == pytest.approx(0.15, abs=0.02)


def test_archive(tmp_path):
    """The first calibration is on the day of start, each is a while after the one before, and there is one a day."""
    start = cxcsec("2019:364:12:00:00")
    directories = dark_cal.write_archive(tmp_path, start, start + 3 * 86400, every=1.5 * 86400)
    assert [d.name for d in directories] == ["2019364", "2020001"]
    assert sorted(tmp_path.glob("data/mica/archive/aca_dark/*")) == directories
    twice = dark_cal.write_archive(tmp_path, start, start + 86400, every=40000)
    assert [d.name for d in twice] == ["2019364", "2019365"]


@pytest.mark.parametrize("dark_id", ["2021366", "2021000", "202206", "2022-06", "20220690"])
def test_no_such_day(tmp_path, dark_id):
    """What is not a day is named, and nothing is written."""
    with pytest.raises(ValueError, match=f"dark_id '{dark_id}' is not a year and a day"):
        dark_cal.write_calibration(tmp_path, dark_id)
    assert list(tmp_path.iterdir()) == []


def test_errors(tmp_path):
    """An interval that ends before it starts is named, and so is a period that is none."""
    for start, stop, every in ((7e8, 6e8, 1e6), (7e8, 8e8, 0.0)):
        with pytest.raises(ValueError, match=f"every {every} must be positive"):
            dark_cal.write_archive(tmp_path, start, stop, every=every)
