"""Columns are found by name as FITS has it: of any case, and blanks behind a name do not count."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from mica_lake import per_file
from mica_lake.archive import aca_l0
from mica_lake.formats import fits_table
from mica_lake.formats.fits_product import ProductFile
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake

START, STOP = "2024:001", "2024:001:02:00"


def with_odd_names(content: bytes) -> bytes:
    """The same table, its columns named in the other case with a blank behind."""

    def other(card: re.Match[bytes]) -> bytes:
        return (card[1] + b"'%s '" % card[2].rstrip().swapcase()).ljust(len(card[0]))

    changed, count = re.subn(rb"(TTYPE\d+ *= )'([^']*)' *", other, content)
    assert count and len(changed) == len(content)
    return changed


@pytest.fixture(scope="module")
def odd_files(demo_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a slot of 8x8 and of one of 6x6 images, their columns named oddly."""
    folder = tmp_path_factory.mktemp("odd")
    for path in [*demo_files.rglob("*_0_img0.fits.gz"), *demo_files.rglob("*_3_img0.fits.gz")]:
        (folder / path.name).write_bytes(gzip.compress(with_odd_names(gzip.decompress(path.read_bytes())), 1))
    return folder


def test_readouts_are_the_same(odd_files: Path, demo_lake: str, tmp_path: Path) -> None:
    assert ingest([odd_files], tmp_path / "lake", jobs=1).exit_code == 0
    for slot in (0, 3):
        expected = aca_l0.get_slot_data(START, STOP, slot, data_root=demo_lake)
        found = aca_l0.get_slot_data(START, STOP, slot, data_root=tmp_path / "lake")
        assert len(expected) > 1000
        assert not expected["TEMPCCD"].mask.any()
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()
    count = Lake(tmp_path / "lake").sql("SELECT count(TEMPCCD) FROM slot_data('2024:001', '2024:002', 3)").fetchall()
    assert count[0][0] > 1000


def test_the_per_file_way_masks_nothing_that_is_there(odd_files: Path, demo_files: Path) -> None:
    paths = [sorted(folder.rglob("*_3_img0.fits.gz")) for folder in (odd_files, demo_files)]
    found, expected = (per_file.get_slot_data(some, 0, 1e9) for some in paths)
    for name in expected.dtype.names or ():
        np.testing.assert_array_equal(found[name].mask, expected[name].mask, name)
        np.testing.assert_array_equal(found[name].compressed(), expected[name].compressed(), name)
    assert not found["TEMPCCD"].mask.any()
    one, other = (per_file.read_columns(some, ["TIME", "TEMPCCD"]) for some in paths)
    np.testing.assert_array_equal(one["TEMPCCD"], other["TEMPCCD"])


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    columns = [fits.Column(name, "D", array=np.arange(3.0)) for name in ("dtheta", "ptheta")]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "two.fits")
    content = (tmp_path / "two.fits").read_bytes().replace(b"'ptheta  '", b"'DTHETA  '")
    (tmp_path / "two.fits").write_bytes(content)
    assert fits_table.read(content, ()).layout.odd == {"DTHETA": "occurs twice"}  # refused where it is used
    with pytest.raises(ValueError, match="two of its columns have the same name: dtheta, DTHETA"):
        ProductFile(tmp_path / "two.fits")
