"""From folders of calibrations to tables: what is taken, what is set aside, and that the files alone decide."""

import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.archive.aca_dark.dark_cal import get_dark_cal_id, get_dark_cal_image, get_dark_cal_props
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.partition import checksum
from mica_lake.catalog.reindex import rebuild
from mica_lake.errors import MissingDataError
from mica_lake.ingest import aca_l0, obspar
from mica_lake.ingest.dark_cal import ImageJob, build_image, discover, ingest
from mica_lake.ingest.found import Rejected, found_in
from mica_lake.ingest.report import Report
from mica_lake.lake import Lake
from mica_lake.simulate import dark_cal
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.simulate.observations import observations
from mica_lake.simulate.obspar import write_obspar
from mica_lake.tables.dark_cal import DARK_CAL
from mica_lake.times import cxcsec

A, B, C = "2016366", "2019155", "2020001"
SIDE = 1024
Image = NDArray[np.float32]


def an_image(seed: int = 0) -> Image:
    """An image that is quickly read and written: few values, of which no two seeds have the same."""
    image = np.zeros((SIDE, SIDE), np.float32)
    image[tuple(np.random.default_rng(seed).integers(0, SIDE, (2, 50)))] = range(seed, seed + 50)
    return image


def fits_of(image: NDArray[Any] | None, **options: Any) -> bytes:
    content = io.BytesIO()
    fits.PrimaryHDU(image, **options).writeto(content)
    return content.getvalue()


def properties_of(dark_id: str, /, **more: Any) -> dict[str, Any]:
    return {"date": f"{dark_id[:4]}:{dark_id[4:]}:01:02:03.000", "ccd_temp": -10.5} | more


def write(top: Path, dark_id: str, image: Image | bytes | None = None, /, **properties: Any) -> Path:
    """A calibration written by hand."""
    folder = top / dark_id
    folder.mkdir(parents=True, exist_ok=True)
    content = image if isinstance(image, bytes) else fits_of(an_image(int(dark_id[3:])) if image is None else image)
    (folder / "image.fits").write_bytes(content)
    (folder / "properties.json").write_text(json.dumps(properties_of(dark_id, **properties)))
    return folder


def take(top: Path, lake: Path, jobs: int = 1) -> Report:
    return ingest(top, lake, jobs=jobs)


def both(dark_id: str) -> list[str]:
    return [f"{dark_id}/properties.json", f"{dark_id}/image.fits"]


def partitions(lake: Path, table: str = "dark_cal*") -> dict[str, bytes]:
    """All partitions, byte for byte."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob(f"{table}/**/data.parquet")}


def state(lake: Path) -> list[tuple[str, bytes, int, int]]:
    """All files of a lake, what is in them and when they were written."""
    return [
        (path.relative_to(lake).as_posix(), path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
        for path in sorted(lake.rglob("*"))
        if path.is_file() and path.name != "lock"
    ]


def known(lake: Path) -> list[tuple[str, str]]:
    """Source files by name and status."""
    rows = [row for row in read_table(lake, "source_file").to_pylist() if row["product"] == "dark_cal"]
    return sorted((f"{Path(row['directory']).name}/{row['filename']}", row["status"]) for row in rows)


def ids(lake: Path, table: str = "dark_cal") -> list[str]:
    """Calibrations that a table has."""
    return sorted({row["dark_id"] for row in rows_of(lake, table, ["dark_id"])})


def rows_of(lake: Path, table: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Distinct rows of what queries read, which are the versions that the catalog names."""
    found: list[dict[str, Any]] = []
    for row in read_table(lake, "partition").to_pylist():
        if row["table_name"] == table:
            rows = pq.read_table(lake / row["path"], columns=columns, partitioning=None)
            found += rows.group_by(rows.column_names).aggregate([]).to_pylist()
    return found


def image_in(lake: Path, dark_id: str) -> Image:
    """An image put together from the rows of its partition."""
    path = lake / f"dark_cal_image/year={dark_id[:4]}/doy={int(dark_id[4:])}/data.parquet"
    rows = pq.read_table(path, partitioning=None)
    assert rows.num_rows == SIDE * SIDE
    assert set(rows.column("dark_id").unique().to_pylist()) == {dark_id}
    image = np.full((SIDE, SIDE), np.nan, np.float32)
    seen = np.zeros((SIDE, SIDE), int)
    place = tuple(rows.column(name).to_numpy().astype(int) + SIDE // 2 for name in ("row", "col"))
    image[place] = rows.column("value").to_numpy()
    np.add.at(seen, place, 1)
    assert (seen == 1).all()
    return image


def answers(lake: Path) -> dict[str, str]:
    """What queries read: partitions that the catalog names, and what is in them."""
    paths = [row["path"] for row in read_table(lake, "partition").to_pylist() if "dark" in row["table_name"]]
    return {path: checksum((lake / path).read_bytes()) for path in paths}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of two calibrations and a lake of it, to be copied."""
    folder = tmp_path_factory.mktemp("pristine")
    for dark_id in (A, B):
        write(folder / "aca_dark", dark_id)
    assert take(folder / "aca_dark", folder / "lake").taken == both(A) + both(B)
    shutil.copytree(folder / "aca_dark", folder / "copy")
    return folder


@pytest.fixture
def top(pristine: Path) -> Path:
    """An archive of two calibrations, as it was made: always in the same place, which the lake knows."""
    shutil.rmtree(pristine / "aca_dark", ignore_errors=True)
    shutil.copytree(pristine / "copy", pristine / "aca_dark")
    return pristine / "aca_dark"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def taken(pristine: Path, top: Path, lake: Path) -> None:
    """The archive is in the lake."""
    shutil.copytree(pristine / "lake", lake)
    digests = {path.stem[-16:]: path for path in (lake / "_catalog" / "pinned").rglob("*.parquet")}
    for path in lake.glob("dark_cal*/**/data.parquet"):
        pinned = digests[checksum(path.read_bytes())[:16]]
        path.unlink()
        path.hardlink_to(pinned)


# --- what is taken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark_id", ["2005123", "2022069"], ids=["older properties", "newer properties"])
def test_a_calibration_is_taken_with_every_pixel_and_all_properties(dark_id: str, tmp_path: Path, lake: Path) -> None:
    folder = dark_cal.write_calibration(tmp_path / "ska", dark_id)
    report = take(tmp_path / "ska", lake)
    assert (report.product, report.taken, report.set_aside, report.exit_code) == ("dark_cal", both(dark_id), {}, 0)
    assert (report.rows, report.unchanged, report.replaced) == (SIDE * SIDE + 1, 0, [])
    assert report.partitions == len(partitions(lake))
    assert report.bytes_in == sum(path.stat().st_size for path in folder.iterdir())
    assert report.bytes_out == sum(map(len, partitions(lake).values()))
    image = fits.getdata(folder / "image.fits")
    assert image_in(lake, dark_id).tobytes() == image.astype(np.float32).tobytes()
    properties = json.loads((folder / "properties.json").read_text())
    rows = Lake(lake).sql("SELECT dark_id, time, date, ccd_temp, directory, properties FROM dark_cal").fetchall()
    assert [row[:5] for row in rows] == [
        (dark_id, cxcsec(properties["date"]), properties["date"], properties["ccd_temp"], str(folder))
    ]
    assert rows[0][5] == (folder / "properties.json").read_text()
    assert Lake(lake).sql("SELECT DISTINCT time FROM dark_cal_image").fetchall() == [(cxcsec(properties["date"]),)]
    wide = Lake(lake).sql("FROM dark_cal").to_arrow_table().to_pylist()[0]
    scalars = {name: value for name, value in properties.items() if not isinstance(value, list | dict)}
    assert {name: wide.pop(name) for name in scalars} == scalars
    assert sorted(wide) == ["checksum", "dark_id", "directory", "image_checksum", "properties", "time"]
    for name, filename in (("checksum", "properties.json"), ("image_checksum", "image.fits")):
        assert wide[name] == hashlib.sha256((folder / filename).read_bytes()).hexdigest()


def test_any_bits_of_a_pixel_are_kept(tmp_path: Path, lake: Path) -> None:
    """Infinities, -0.0, numbers that are not normal, and NaN of any kind."""
    bits = np.random.default_rng(1).integers(0, 2**32, (SIDE, SIDE), np.uint32)
    bits.ravel()[:6] = [0x80000000, 0x7F800000, 0xFF800000, 0x7FC00001, 0xFFC00000, 1]
    folder = write(tmp_path / "files", A, bits.view(np.float32))
    with fits.open(folder / "image.fits", memmap=False) as hdus:
        assert hdus[0].data.astype(np.float32).tobytes() == bits.tobytes()
    assert take(tmp_path / "files", lake).set_aside == {}
    assert image_in(lake, A).tobytes() == bits.tobytes()
    found = get_dark_cal_image("2016:366", allow_negative=True, data_root=lake)
    assert found.tobytes() == bits.tobytes()


def test_the_folder_may_be_given_as_well_as_the_root(tmp_path: Path) -> None:
    write(tmp_path / "ska/data/mica/archive/aca_dark", A)
    assert take(tmp_path / "ska", tmp_path / "root").taken == both(A)
    assert take(tmp_path / "ska/data/mica/archive/aca_dark", tmp_path / "folder").taken == both(A)
    assert partitions(tmp_path / "root") == partitions(tmp_path / "folder")


def test_what_is_not_there_is_an_error_and_makes_no_lake(tmp_path: Path, lake: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        take(tmp_path / "nowhere", lake)
    assert not lake.exists()


def test_no_calibrations_make_an_empty_lake(tmp_path: Path, lake: Path) -> None:
    (tmp_path / "aca_dark").mkdir()
    report = take(tmp_path / "aca_dark", lake)
    assert (report.taken, report.partitions, report.exit_code) == ([], 0, 0)
    assert (ids(lake), ids(lake, "dark_cal_image"), known(lake)) == ([], [], [])
    before = state(lake)
    take(tmp_path / "aca_dark", lake)
    assert state(lake) == before


def test_what_looks_like_a_calibration_and_is_not_named_like_one_is_set_aside(top: Path, lake: Path) -> None:
    names = (
        "201915",
        "20191555",
        "x019155",
        "2019155.bak",
        "2019-155",
        "\uff12\uff10\uff11\uff19\uff11\uff15\uff16",
    )
    for name in names:
        shutil.copytree(top / B, top / name)
    (top / "2018001").write_text("a file")
    (top / "2018002").symlink_to("nowhere")
    (top / "2018003").symlink_to(B)
    report = take(top, lake)
    assert report.taken == both(A) + both(B)
    assert report.set_aside == {
        **{f"{top.name}/{n}": "it has image.fits and properties.json, but its name is not YYYYDOY" for n in names},
        f"{top.name}/2018001": "it should be a folder",
        f"{top.name}/2018002": "it leads to nowhere, which is not there",
        f"{top.name}/2018003": f"it leads to the folder {B}",
    }


def test_other_names_are_ignored(top: Path, lake: Path) -> None:
    shutil.copytree(top / B, top / ".2019155")
    (top / "plots").mkdir()
    (top / "plots" / "a.png").write_text("a picture")
    (top / "README").write_text("a file")
    (top / A / "README").write_text("a file")
    report = take(top, lake)
    assert (report.taken, report.set_aside) == (both(A) + both(B), {})


def test_a_calibration_on_another_disk_is_taken(top: Path, lake: Path, tmp_path: Path) -> None:
    shutil.move(top / B, tmp_path / "elsewhere")
    (top / B).symlink_to(tmp_path / "elsewhere")
    (top / A / "loop").symlink_to("..")
    report = take(top, lake)
    assert (report.taken, report.set_aside) == (both(A) + both(B), {})


def test_files_are_discovered_by_date_whole_calibrations_only(top: Path) -> None:
    (top / C).mkdir()
    found, rejected = discover(top)
    assert [f.name for f in found] == both(A) + both(B)
    assert [f.size for f in found] == [f.path.stat().st_size for f in found]
    assert [(r.found.filename, r.reason) for r in rejected] == [(C, "it has no image.fits and no properties.json")]


# --- the lake of some files is always the same ------------------------------------------------------------------------


@pytest.mark.usefixtures("taken")
def test_a_second_run_writes_nothing(top: Path, lake: Path) -> None:
    before = state(lake)
    report = take(top, lake)
    assert (report.taken, report.replaced, report.unchanged, report.partitions, report.rows) == ([], [], 4, 0, 0)
    assert state(lake) == before


@pytest.mark.soak
def test_any_order_and_number_of_runs_and_processes_give_the_same_partitions(tmp_path: Path, top: Path) -> None:
    write(top, C, ccd_temp=-11, n=5, text="x")
    write(top, A, ccd_temp=-5, n=2.5, text=7)
    shutil.copytree(top, tmp_path / "all")
    take(top, tmp_path / "at once", jobs=2)
    expected = partitions(tmp_path / "at once")
    assert len(expected) > 4
    for name, order in {"day by day": [A, B, C], "in reverse": [C, B, A], "mixed": [B, A, C]}.items():
        shutil.rmtree(top)
        for dark_id in order:
            shutil.copytree(tmp_path / "all" / dark_id, top / dark_id)
            assert take(top, tmp_path / name).taken == both(dark_id)
        assert partitions(tmp_path / name) == expected


@pytest.mark.usefixtures("taken")
def test_a_new_calibration_leaves_the_other_images_alone(top: Path, lake: Path) -> None:
    before = {name: rest for name, *rest in state(lake) if name.startswith("dark_cal_image/")}
    write(top, C)
    assert take(top, lake).taken == both(C)
    after = {name: rest for name, *rest in state(lake) if name.startswith("dark_cal_image/")}
    assert sorted(after.keys() - before.keys()) == ["dark_cal_image/year=2020/doy=1/data.parquet"]
    assert {name: after[name] for name in before} == before
    assert ids(lake) == ids(lake, "dark_cal_image") == [A, B, C]


@pytest.mark.usefixtures("taken")
def test_a_calibration_that_was_withdrawn_is_not_selected_any_more(top: Path, lake: Path) -> None:
    shutil.rmtree(top / B)
    report = take(top, lake)
    assert (report.unchanged, sorted(report.gone), report.exit_code) == (2, sorted(both(B)), 0)
    assert ids(lake) == ids(lake, "dark_cal_image") == [A]
    assert get_dark_cal_id("2023:001", data_root=lake) == A
    take(top, lake.with_name("fresh"))
    assert partitions(lake) == partitions(lake.with_name("fresh"))


@pytest.mark.usefixtures("taken")
def test_calibrations_stay_while_those_of_another_folder_or_none_at_all_are_there(
    top: Path, lake: Path, tmp_path: Path
) -> None:
    write(tmp_path / "elsewhere", C)
    assert take(tmp_path / "elsewhere", lake).gone == []
    assert ids(lake) == [A, B, C]
    shutil.rmtree(top)
    top.mkdir()
    assert take(top, lake).gone == []
    assert ids(lake) == [A, B, C]


@pytest.mark.usefixtures("taken")
def test_an_archive_that_moved_is_unchanged_but_for_its_place(top: Path, lake: Path, tmp_path: Path) -> None:
    images = partitions(lake, "dark_cal_image")
    top.rename(tmp_path / "elsewhere")
    report = take(tmp_path / "elsewhere", lake)
    assert (report.taken, report.unchanged) == ([], 4)
    assert partitions(lake, "dark_cal_image") == images
    assert [row["directory"] for row in rows_of(lake, "dark_cal")] == [str(tmp_path / "elsewhere" / i) for i in (A, B)]
    # As if it had been taken from there in the first place.
    take(tmp_path / "elsewhere", tmp_path / "fresh")
    assert partitions(lake) == partitions(tmp_path / "fresh")


@pytest.mark.usefixtures("taken")
def test_a_touched_file_is_unchanged(top: Path, lake: Path) -> None:
    before = partitions(lake)
    for path in (top / A).iterdir():
        os.utime(path, (1e9, 1e9))
    report = take(top, lake)
    assert (report.taken, report.unchanged, report.partitions) == ([], 4, 0)
    assert partitions(lake) == before


def test_a_dry_run_tells_the_plan_and_makes_nothing(top: Path, lake: Path) -> None:
    (top / B / "image.fits").write_bytes(b"")
    report = ingest(top, lake, jobs=1, dry_run=True)
    assert (report.dry_run, report.taken, sorted(report.set_aside)) == (True, both(A), sorted(both(B)))
    assert not lake.exists()


@pytest.mark.usefixtures("taken")
def test_a_dry_run_leaves_a_lake_as_it_is(top: Path, lake: Path) -> None:
    before = state(lake)
    write(top, C)
    write(top, A, ccd_temp=-11.0)
    report = ingest(top, lake, jobs=1, dry_run=True)
    assert (report.taken, report.replaced) == (both(A)[:1] + both(C), both(A)[:1])
    assert (report.unchanged, report.partitions) == (3, 0)
    assert state(lake) == before


# --- what was changed -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("taken")
def test_a_corrected_temperature_changes_the_properties_and_no_image(top: Path, lake: Path) -> None:
    images = [row for row in state(lake) if row[0].startswith("dark_cal_image/")]
    write(top, A, ccd_temp=-12.25)
    report = take(top, lake)
    assert (report.taken, report.replaced) == (both(A)[:1], both(A)[:1])
    assert report.unchanged == 3
    assert [row for row in state(lake) if row[0].startswith("dark_cal_image/")] == images
    assert [(row["dark_id"], row["ccd_temp"]) for row in rows_of(lake, "dark_cal")] == [(A, -12.25), (B, -10.5)]
    assert get_dark_cal_props("2016:366", data_root=lake)["ccd_temp"] == -12.25


@pytest.mark.usefixtures("taken")
def test_a_changed_image_changes_no_other_and_no_properties(top: Path, lake: Path, tmp_path: Path) -> None:
    before = partitions(lake)
    write(top, A, an_image(9000))
    report = take(top, lake)
    assert (report.taken, report.replaced) == (both(A)[1:], both(A)[1:])
    assert image_in(lake, A).tobytes() == an_image(9000).tobytes()
    after = partitions(lake)
    assert before.keys() == after.keys()
    other = "dark_cal_image/year=2019/doy=155/data.parquet"
    assert before[other] == after[other]
    take(top, tmp_path / "fresh")
    assert after == partitions(tmp_path / "fresh")
    assert answers(lake) == answers(tmp_path / "fresh")


@pytest.mark.usefixtures("taken")
def test_a_changed_time_of_day_changes_both_tables(top: Path, lake: Path, tmp_path: Path) -> None:
    write(top, A, date="2016:366:23:59:60.500")
    report = take(top, lake)
    assert report.replaced == both(A)[:1]
    expected = [(A, cxcsec("2016:366:23:59:60.500")), (B, cxcsec("2019:155:01:02:03"))]
    for table in ("dark_cal", "dark_cal_image"):
        found = [(row["dark_id"], row["time"]) for row in rows_of(lake, table, ["dark_id", "time"])]
        assert sorted(found) == expected
    take(top, tmp_path / "fresh")
    assert partitions(lake) == partitions(tmp_path / "fresh")


# --- columns of properties --------------------------------------------------------------------------------------------


def test_columns_hold_values_of_all_calibrations_and_nested_ones_are_in_the_json_only(
    tmp_path: Path, lake: Path
) -> None:
    write(tmp_path / "f", A, count=5, mixed=5, flag=True, flags=True, old="a", replicas=[{"n": 1}], real=1)
    write(tmp_path / "f", B, count=2.5, mixed="six", flag=False, flags=2, new=None, replicas=[], real=None)
    write(tmp_path / "f", C, count=-3, mixed=1.5, flags="no", new=7, nested={"n": 1}, date="2020:001:00:00:01")
    assert take(tmp_path / "f", lake).set_aside == {}
    rows = Lake(lake).sql("FROM dark_cal").to_arrow_table()
    declared = DARK_CAL.schema.names
    types = {name: str(rows.schema.field(name).type) for name in rows.column_names if name not in declared}
    assert types == {
        "count": "double", "mixed": "string", "flag": "bool", "flags": "string",
        "old": "string", "real": "int64", "new": "int64",
    }  # fmt: skip
    assert {name: rows.column(name).to_pylist() for name in types} == {
        "count": [5.0, 2.5, -3.0],
        "mixed": ["5", "six", "1.5"],
        "flag": [True, False, None],
        "flags": ["True", "2", "no"],
        "old": ["a", None, None],
        "real": [1, None, None],
        "new": [None, None, 7],
    }
    nested = Lake(lake).sql("SELECT properties->'$.replicas', properties->'$.nested' FROM dark_cal").fetchall()
    assert nested == [('[{"n":1}]', None), ("[]", None), (None, '{"n":1}')]


def test_older_and_newer_properties_are_in_one_table(tmp_path: Path, lake: Path) -> None:
    for dark_id in ("2005123", "2022069"):
        dark_cal.write_calibration(tmp_path, dark_id)
    take(tmp_path, lake)
    query = "SELECT zodib IS NULL, id IS NULL, t_ccd IS NULL, n_ccd_img IS NULL, ccd_temp IS NULL FROM dark_cal"
    assert Lake(lake).sql(query + " ORDER BY dark_id").fetchall() == [
        (False, False, True, True, False),
        (True, True, False, False, False),
    ]


def test_a_property_named_like_a_declared_column_does_not_take_its_place(tmp_path: Path, lake: Path) -> None:
    write(tmp_path / "f", A, dark_id="x", time="noon", directory=5, properties="mine", Time=4, ccd_TEMP="cold")
    assert take(tmp_path / "f", lake).set_aside == {}
    row = Lake(lake).sql("SELECT dark_id, time, directory, ccd_temp FROM dark_cal").fetchall()
    assert row == [(A, cxcsec("2016:366:01:02:03"), str(tmp_path / "f" / A), -10.5)]
    assert get_dark_cal_props("2016:366", data_root=lake)["properties"] == "mine"


# --- what is set aside ------------------------------------------------------------------------------------------------


def json_with(**properties: Any) -> Callable[[str], bytes]:
    return lambda dark_id: json.dumps(properties_of(dark_id, **properties)).encode()


def json_without(name: str) -> Callable[[str], bytes]:
    return lambda dark_id: json.dumps({k: v for k, v in properties_of(dark_id).items() if k != name}).encode()


def an_extension(_: str) -> bytes:
    content = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(an_image())]).writeto(content)
    return content.getvalue()


BAD_IMAGES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "empty": (lambda _: b"", "the file is empty"),
    "text": (lambda _: b"this is not an image" * 1000, "it is not a FITS image"),
    "JSON": (json_with(), "it is not a FITS image"),
    "zeros": (lambda _: bytes(2880 * 3), "it is not a FITS image"),
    "compressed halfway": (lambda _: gzip.compress(fits_of(an_image()))[:2000], "the gzip data are truncated"),
    "header only": (lambda _: fits_of(an_image())[:2880], "it is not a FITS image"),
    "truncated": (lambda _: fits_of(an_image())[:-2881], "it is not a FITS image"),
    "half of it": (lambda _: fits_of(an_image())[: 1 << 21], "it is not a FITS image"),
    "smaller": (lambda _: fits_of(np.zeros((1024, 1023), np.float32)), "it is 1024x1023, not 1024x1024"),
    "other axis": (lambda _: fits_of(np.zeros((1023, 1024), np.float32)), "it is 1023x1024, not 1024x1024"),
    "larger": (lambda _: fits_of(np.zeros((1025, 1024), np.float32)), "it is 1025x1024, not 1024x1024"),
    "a line": (lambda _: fits_of(np.zeros(SIDE * SIDE, np.float32)), "it is 1048576, not 1024x1024"),
    "a cube": (lambda _: fits_of(np.zeros((1, SIDE, SIDE), np.float32)), "it is 1x1024x1024, not 1024x1024"),
    "two thousand million axes": (
        lambda _: fits_of(an_image()).replace(b"NAXIS   =                    2", b"NAXIS   =           2147483648"),
        "it is not a FITS image",
    ),
    "a petabyte": (
        lambda _: fits_of(an_image()).replace(b"NAXIS1  =                 1024", b"NAXIS1  =      999999999999999"),
        "it is 1024x999999999999999, not 1024x1024",
    ),
    "no image": (lambda _: fits_of(None), "it is no image, not 1024x1024"),
    "in an extension": (an_extension, "it is no image, not 1024x1024"),
    "beyond float32": (lambda _: fits_of(np.full((SIDE, SIDE), 1e39)), "it has a value beyond float32: 1e+39"),
}
BAD_PROPERTIES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "empty": (lambda _: b"", "it is not JSON"),
    "cut short": (lambda dark_id: json_with()(dark_id)[:-1], "it is not JSON"),
    "FITS": (lambda _: fits_of(np.zeros(5, np.float32)), "it is not JSON"),
    "text after it": (lambda dark_id: json_with()(dark_id) + b"\xff", "it is not JSON"),
    "a list": (lambda dark_id: b"[" + json_with()(dark_id) + b"]", "it holds list, not an object"),
    "a number": (lambda _: b"-10.5", "it holds float, not an object"),
    "null": (lambda _: b"null", "it holds NoneType, not an object"),
}
# Each in a calibration of its own: bad images in days 1 and on, bad properties in days 101 and on of 2015.
CASES = [
    *((f"2015{n:03d}", "image.fits", *case) for n, case in enumerate(BAD_IMAGES.values(), 1)),
    *((f"2015{n:03d}", "properties.json", *case) for n, case in enumerate(BAD_PROPERTIES.values(), 101)),
]
NAMES = [*(f"image: {name}" for name in BAD_IMAGES), *(f"properties: {name}" for name in BAD_PROPERTIES)]


@pytest.fixture(scope="module")
def with_bad_ones(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report]:
    """An archive of one good and many bad calibrations, a lake of it, and what was said of it; not to be changed."""
    folder = tmp_path_factory.mktemp("with_bad_ones")
    good = fits_of(an_image())
    for dark_id, filename, make, _ in CASES:
        write(folder / "aca_dark", dark_id, good)
        (folder / "aca_dark" / dark_id / filename).write_bytes(make(dark_id))
    write(folder / "aca_dark", A)
    return folder / "aca_dark", folder / "lake", take(folder / "aca_dark", folder / "lake")


@pytest.mark.parametrize(("dark_id", "filename", "make", "reason"), CASES, ids=NAMES)
def test_a_bad_file_is_set_aside_with_the_reason_and_the_other_half_with_it(
    dark_id: str, filename: str, make: object, reason: str, with_bad_ones: tuple[Path, Path, Report]
) -> None:
    _, lake, report = with_bad_ones
    bad, other = sorted(both(dark_id), key=lambda name: not name.endswith(filename))
    assert reason in report.set_aside[bad]
    assert report.set_aside[other] == f"{bad} is set aside"
    rows = read_table(lake, "source_file").to_pylist()
    found = {row["filename"]: (row["status"], row["reason"]) for row in rows if row["directory"].endswith(dark_id)}
    assert found == {Path(name).name: ("set aside", report.set_aside[name]) for name in (bad, other)}


def test_the_good_ones_beside_bad_ones_go_in(with_bad_ones: tuple[Path, Path, Report]) -> None:
    _, lake, report = with_bad_ones
    assert (report.taken, report.exit_code, len(report.set_aside)) == (both(A), 3, 2 * len(CASES))
    assert ids(lake) == ids(lake, "dark_cal_image") == [A]
    assert len(partitions(lake, "dark_cal_image")) == 1


def test_what_was_set_aside_is_set_aside_again_and_nothing_is_written(with_bad_ones: tuple[Path, Path, Report]) -> None:
    top, lake, report = with_bad_ones
    before = state(lake)
    again = take(top, lake)
    assert (again.set_aside, again.taken, again.exit_code) == (report.set_aside, [], 3)
    assert state(lake) == before


@pytest.mark.parametrize("bad", ["image.fits", "properties.json", "both"])
def test_a_calibration_is_taken_whole_when_its_bad_half_is_mended(
    bad: str, top: Path, lake: Path, tmp_path: Path
) -> None:
    paths = sorted((top / A).iterdir()) if bad == "both" else [top / A / bad]
    good = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.write_bytes(b"bad")
    report = take(top, lake)
    assert (report.taken, sorted(report.set_aside), report.exit_code) == (both(B), sorted(both(A)), 3)
    assert ids(lake) == ids(lake, "dark_cal_image") == [B]
    for path, content in good.items():
        path.write_bytes(content)
    report = take(top, lake)
    assert (report.taken, report.set_aside, report.exit_code) == (both(A), {}, 0)
    assert known(lake) == [(name, "current") for name in sorted(both(A) + both(B))]
    take(top, tmp_path / "undisturbed")
    assert partitions(lake) == partitions(tmp_path / "undisturbed")


@pytest.mark.parametrize("lacking", [["image.fits"], ["properties.json"], ["image.fits", "properties.json"]])
def test_a_folder_that_lacks_a_file_is_set_aside_until_it_has_both(lacking: list[str], top: Path, lake: Path) -> None:
    content = {name: (top / A / name).read_bytes() for name in lacking}
    for name in lacking:
        (top / A / name).unlink()
    report = take(top, lake)
    assert report.taken == both(B)
    assert report.set_aside == {f"aca_dark/{A}": f"it has no {' and no '.join(lacking)}"}
    assert report.exit_code == 3
    before = state(lake)
    assert take(top, lake).set_aside == report.set_aside
    assert state(lake) == before
    for name in lacking:
        (top / A / name).write_bytes(content[name])
    report = take(top, lake)
    assert (report.taken, report.set_aside) == (both(A), {})
    assert known(lake) == [(name, "current") for name in sorted(both(A) + both(B))]


@pytest.mark.parametrize("filename", ["image.fits", "properties.json"])
@pytest.mark.parametrize("how", ["damaged", "gone", "a folder"])
@pytest.mark.usefixtures("taken")
def test_a_file_that_becomes_bad_leaves_what_was_taken_as_it_is(filename: str, how: str, top: Path, lake: Path) -> None:
    before = answers(lake), partitions(lake)
    path = top / A / filename
    content, stat = path.read_bytes(), path.stat()
    path.unlink()
    if how == "damaged":
        path.write_bytes(b"bad")
    elif how == "a folder":
        path.mkdir()
    for _ in range(2):
        report = take(top, lake)
        named = f"aca_dark/{A}" if how == "gone" else f"{A}/{filename}"
        assert (list(report.set_aside), report.taken, report.exit_code) == ([named], [], 3)
        assert (answers(lake), partitions(lake)) == before
    # It was a slip: the same file is back.
    if how == "a folder":
        path.rmdir()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = take(top, lake)
    assert (report.set_aside, report.taken, report.unchanged, report.exit_code) == ({}, [], 4, 0)
    assert (answers(lake), partitions(lake)) == before
    assert known(lake) == [(name, "current") for name in sorted(both(A) + both(B))]


@pytest.mark.usefixtures("taken")
def test_properties_are_corrected_while_the_image_is_bad(top: Path, lake: Path) -> None:
    images = partitions(lake, "dark_cal_image")
    write(top, A, b"bad", ccd_temp=-12.0)
    report = take(top, lake)
    assert (report.replaced, list(report.set_aside)) == (both(A)[:1], both(A)[1:])
    assert partitions(lake, "dark_cal_image") == images
    assert get_dark_cal_props("2016:366", data_root=lake)["ccd_temp"] == -12.0


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("damaged"),
        "gone",
    ],
)
@pytest.mark.usefixtures("taken")
def test_a_corrected_time_beside_an_image_that_became_bad_takes_nothing_from_the_lake(
    damage: str, top: Path, lake: Path
) -> None:
    write(top, A, b"bad", date="2016:366:05:00:00")
    if damage == "gone":
        (top / A / "image.fits").unlink()
    take(top, lake)
    assert ids(lake) == ids(lake, "dark_cal_image") == [A, B]
    for table in ("dark_cal", "dark_cal_image"):
        found = [row["time"] for row in rows_of(lake, table, ["dark_id", "time"]) if row["dark_id"] == A]
        # A good half is taken; the other one's pixels stay.
        assert found == [cxcsec("2016:366:01:02:03" if damage == "gone" else "2016:366:05:00:00")]
    assert image_in(lake, A).tobytes() == an_image(int(A[3:])).tobytes()


def test_a_file_that_was_set_aside_is_not_read_again_while_it_is_the_same(top: Path, lake: Path) -> None:
    path = top / A / "image.fits"
    content, stat = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    reasons = take(top, lake).set_aside
    path.write_bytes(content)  # it is good now, but nothing shows it
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert take(top, lake).set_aside == reasons
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert take(top, lake).taken == both(A)


@pytest.mark.parametrize("filename", ["image.fits", "properties.json"])
def test_a_file_that_may_not_be_read_is_set_aside_until_it_may(filename: str, without_rights: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for dark_id in (A, B):
            write(folder / "files", dark_id)
        with without_rights(folder, lambda: take(folder / "files", folder / "before")):
            secret = folder / "files" / A / filename
            secret.chmod(0)
            report = take(folder / "files", folder / "lake")
            assert (report.taken, sorted(report.set_aside)) == (both(B), sorted(both(A)))
            assert report.set_aside[f"{A}/{filename}"] == "it cannot be read: Permission denied"
            secret.chmod(0o600)
            assert take(folder / "files", folder / "lake").taken == both(A)


def test_a_folder_that_may_not_be_looked_into_is_set_aside_until_it_may(without_rights: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for dark_id in (A, B):
            write(folder / "files", dark_id)
        with without_rights(folder, lambda: take(folder / "files", folder / "before")):
            (folder / "files" / A).chmod(0)
            try:
                report = take(folder / "files", folder / "lake")
            finally:
                (folder / "files" / A).chmod(0o700)
            assert (report.taken, report.exit_code) == (both(B), 3)
            assert any(A in name for name in report.set_aside)
            assert take(folder / "files", folder / "lake").taken == both(A)


STRANGE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a list where another has a number": ({"x": 5}, {"x": [1, 2]}),
    "an object where another has a number": ({"x": 5.5}, {"x": {"a": 1}}),
    "an integer of more than 64 bits": ({}, {"x": 2**63}),
    "an integer that no float is, beside a float": ({"x": 1.5}, {"x": 2**60 + 1}),
    "half a character": ({}, {"x": "\ud800"}),
    "half a character as name": ({}, {"\ud800": 1}),
    "a number as date": ({}, {"date": cxcsec("2019:155:01:02:03")}),
}


@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param(*case, id=name) for name, case in STRANGE.items()],
)
def test_strange_properties_do_not_keep_the_others_out(
    first: dict[str, Any], second: dict[str, Any], top: Path, lake: Path
) -> None:
    """They are taken, or set aside with a reason; an ingest never fails of what one file says."""
    write(top, A, **first)
    write(top, B, **second)
    report = take(top, lake)
    assert report.taken[:2] == both(A)
    assert sorted(report.taken[2:] + list(report.set_aside)) == sorted(both(B))
    assert ids(lake)[0] == A


def test_a_list_where_another_has_a_text_is_in_the_json_only(top: Path, lake: Path) -> None:
    write(top, A, x="text")
    write(top, B, x=[1, 2])
    assert take(top, lake).set_aside == {}
    assert [row["x"] for row in rows_of(lake, "dark_cal")] == ["text", None]


def test_brackets_without_end_are_set_aside(top: Path, lake: Path) -> None:
    (top / B / "properties.json").write_bytes(b"[" * 200_000)
    report = take(top, lake)
    assert (report.taken, sorted(report.set_aside)) == (both(A), sorted(both(B)))


def test_a_folder_that_is_no_day_is_set_aside(top: Path, lake: Path) -> None:
    for dark_id in ("2015366", "1990001", "9999999"):
        write(top, dark_id)
    aside = take(top, lake).set_aside
    assert {aside[f"{dark_id}/properties.json"].split(":")[0] for dark_id in ("2015366", "1990001", "9999999")} == {
        f"its folder {dark_id} is not a day" for dark_id in ("2015366", "1990001", "9999999")
    }
    assert ids(lake) == [A, B]


NO_DATES: dict[str, Callable[[str], bytes]] = {
    "none": json_without("date"), "null": json_with(date=None), "a word": json_with(date="yesterday"),
    "before Chandra": json_with(date="1990:001"), "a list": json_with(date=[2016, 366]), "true": json_with(date=True),
    "no day of year": json_with(date="2015:366"), "the day before": json_with(date="2019:154:23:59:59.999"),
    "another year": json_with(date="2014:155:01:00:00"), "the year 30000": json_with(date=1e12),
}  # fmt: skip


@pytest.mark.parametrize("make", NO_DATES.values(), ids=NO_DATES)
@pytest.mark.often(4)
def test_a_calibration_whose_date_is_not_of_its_day_begins_with_the_day(
    make: Callable[[str], bytes], top: Path, lake: Path
) -> None:
    (top / B / "properties.json").write_bytes(make(B))
    report = take(top, lake)
    assert (report.exit_code, ids(lake), ids(lake, "dark_cal_image")) == (0, [A, B], [A, B])
    given = json.loads(make(B)).get("date")
    row = rows_of(lake, "dark_cal")[1]
    assert (row["time"], row["date"]) == (cxcsec("2019:155"), given if isinstance(given, str) else None)
    times = Lake(lake).sql("SELECT DISTINCT time FROM dark_image($b)", {"b": B}).fetchall()
    assert times == [(row["time"],)]
    assert get_dark_cal_props(B, data_root=lake) == json.loads(make(B))
    np.testing.assert_array_equal(
        get_dark_cal_image(B, allow_negative=True, data_root=lake), fits.getdata(top / B / "image.fits")
    )


NO_TEMPERATURES: dict[str, Callable[[str], bytes]] = {
    "none": json_without("ccd_temp"), "null": json_with(ccd_temp=None), "NaN": json_with(ccd_temp=float("nan")),
    "infinite": json_with(ccd_temp=float("-inf")), "a text": json_with(ccd_temp="-10.5"),
    "true": json_with(ccd_temp=True), "a list": json_with(ccd_temp=[-10.5]), "huge": json_with(ccd_temp=-(10**30)),
}  # fmt: skip


@pytest.mark.parametrize("make", NO_TEMPERATURES.values(), ids=NO_TEMPERATURES)
@pytest.mark.often(3)
def test_a_calibration_without_a_temperature_has_an_image_that_cannot_be_scaled(
    make: Callable[[str], bytes], top: Path, lake: Path
) -> None:
    (top / B / "properties.json").write_bytes(make(B))
    assert take(top, lake).exit_code == 0
    assert [row["ccd_temp"] for row in rows_of(lake, "dark_cal")] == [-10.5, None]
    image = get_dark_cal_image(B, allow_negative=True, data_root=lake)
    np.testing.assert_array_equal(image, fits.getdata(top / B / "image.fits"))
    with pytest.raises(MissingDataError, match=f"calibration {B} has no temperature ccd_temp"):
        get_dark_cal_image(B, t_ccd_ref=-10, data_root=lake)
    ((warm, scaled),) = (
        Lake(lake).sql(f"SELECT n_warm, n_warm_ref FROM warm_pixels(100) WHERE dark_id = '{B}'").fetchall()
    )
    assert (warm, scaled) == (int((image > 100).sum()), None)


def test_an_image_that_is_another_when_it_is_built_is_rejected(top: Path, lake: Path) -> None:
    path = top / A / "image.fits"
    job = ImageJob(lake, A, 0.0, found_in(path.parent, path.name), "0" * 64, "")
    result = build_image(job)
    assert isinstance(result, Rejected)
    assert (result.found.name, result.reason) == (
        f"{A}/image.fits", "its rows must be read again, but it is another file now"
    )  # fmt: skip
    path.unlink()
    result = build_image(job)
    assert isinstance(result, Rejected)
    assert "No such file" in result.reason
    assert not lake.exists()


# --- a catalog or a partition that is lost ----------------------------------------------------------------------------


@pytest.mark.parametrize("catalog_kept", [True, False], ids=["with the old catalog", "without it"])
def test_after_a_rebuild_an_ingest_gives_the_same_lake(catalog_kept: bool, top: Path, lake: Path) -> None:
    write(top, C, b"bad")
    take(top, lake)
    before = answers(lake), partitions(lake), known(lake)
    if not catalog_kept:
        shutil.rmtree(lake / "_catalog")
    assert rebuild(lake) == []
    assert answers(lake) == before[0]
    report = take(top, lake)
    assert (report.partitions, sorted(report.set_aside)) == (0, sorted(both(C)))
    assert (answers(lake), partitions(lake), known(lake)) == before


def lose(lake: Path, name: str, how: str) -> list[str]:
    """Delete or damage a partition and its pinned version, and derive the catalog of what is left."""
    path = lake / name
    pinned = [p for p in (lake / "_catalog" / "pinned").rglob("*.parquet") if p.samefile(path)]
    assert len(pinned) == 1
    for link in (path, *pinned):
        if how == "missing":
            link.unlink()
        else:
            link.write_bytes(link.read_bytes()[:100] + b"PAR1")
    return rebuild(lake)


@pytest.mark.parametrize("how", ["missing", "damaged"])
@pytest.mark.parametrize("table", ["dark_cal", "dark_cal_image/year=2016/doy=366", "dark_cal_distribution"])
@pytest.mark.usefixtures("taken")
def test_a_partition_that_is_lost_is_brought_back(table: str, how: str, top: Path, lake: Path) -> None:
    before = answers(lake), partitions(lake), known(lake)
    trouble = lose(lake, f"{table}/data.parquet", how)
    assert (table in "".join(trouble)) == (how == "damaged")
    assert answers(lake) != before[0]
    take(top, lake)
    assert (answers(lake), partitions(lake), known(lake)) == before
    assert take(top, lake).partitions == 0


@pytest.mark.usefixtures("taken")
def test_properties_that_are_lost_and_became_bad_are_set_aside_once(top: Path, lake: Path) -> None:
    lose(lake, "dark_cal/data.parquet", "missing")
    good = (top / A / "properties.json").read_bytes()
    (top / A / "properties.json").write_bytes(b"bad")
    report = take(top, lake)
    assert f"{A}/properties.json" in report.set_aside
    assert ids(lake) == [B]
    (top / A / "properties.json").write_bytes(good)
    assert f"{A}/properties.json" in take(top, lake).taken
    assert ids(lake) == [A, B]
    assert known(lake) == [(name, "current") for name in sorted(both(A) + both(B))]


@pytest.mark.usefixtures("taken")
def test_a_file_that_is_lost_and_became_bad_is_known_once(top: Path, lake: Path) -> None:
    lose(lake, "dark_cal/data.parquet", "missing")
    (top / A / "properties.json").write_bytes(b"bad")
    assert "it is not JSON" in take(top, lake).set_aside[f"{A}/properties.json"]
    names = [name for name, _ in known(lake)]
    assert sorted(set(names)) == names


@pytest.mark.usefixtures("taken")
def test_without_its_catalog_a_lake_knows_where_its_calibrations_were(top: Path, lake: Path, tmp_path: Path) -> None:
    shutil.rmtree(lake / "_catalog")
    rebuild(lake)
    assert ids(lake) == [A, B]
    write(tmp_path / "elsewhere", C)
    take(tmp_path / "elsewhere", lake)
    assert ids(lake) == [A, B, C]
    shutil.rmtree(top / A)
    take(top, lake)
    assert ids(lake) == [B, C]


# Makes the lake anew for each n, lets a child take what is new and die before its n-th step on the disk.
DIE = """
import os, shutil, sys
from pathlib import Path
from mica_lake.ingest.dark_cal import ingest

top, before, source = map(Path, sys.argv[1:])
die_before_each_step(
    [(Path, "replace"), (os, "fsync"), (os, "link")],
    lambda n: shutil.copytree(before, top / str(n)),
    lambda n: ingest(source, top / str(n), jobs=1),
    range(0, 300, 3),
)
"""


@pytest.mark.soak
def test_killed_anywhere_a_lake_answers_as_before_or_after_and_the_next_ingest_mends_it(
    tmp_path: Path, lake: Path, deaths: Callable[..., int]
) -> None:
    top = tmp_path / "aca_dark"
    write(top, A)
    take(top, lake)
    before = answers(lake)
    write(top, A, an_image(9000), ccd_temp=-12.0, more=1)
    take(top, tmp_path / "after")
    after = answers(tmp_path / "after")
    (tmp_path / "dying").mkdir()
    count = deaths(DIE, tmp_path / "dying", lake, top)
    assert count > 30
    met = []
    for n in range(0, count, 3):
        died = tmp_path / "dying" / str(n)
        found = answers(died)
        assert found in (before, after)
        met.append(found == after)
        # Mending is the same code whatever was left: that of some is enough.
        if n % 9 == 0 or met[-1]:
            assert take(top, died).exit_code == 0
            for table in ("dark_cal", "dark_cal_image"):  # for dark_cal_distribution see the next test
                assert partitions(died, table) == partitions(tmp_path / "after", table)
    assert not met[0]
    assert sorted(met) == met


@pytest.mark.usefixtures("taken")
def test_killed_between_an_image_and_the_distribution_the_next_ingest_mends_the_distribution(
    top: Path, lake: Path, tmp_path: Path
) -> None:
    write(top, A, an_image(9000))
    take(top, tmp_path / "after")
    name = f"dark_cal_image/year={A[:4]}/doy={int(A[4:])}/data.parquet"
    (lake / "new.parquet").write_bytes((tmp_path / "after" / name).read_bytes())
    (lake / "new.parquet").replace(lake / name)
    (lake / "_catalog" / "interrupted").touch()
    assert take(top, lake).exit_code == 0
    assert image_in(lake, A).tobytes() == an_image(9000).tobytes()
    assert partitions(lake) == partitions(tmp_path / "after")


# --- beside other products --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("taken")
def test_other_products_in_the_lake_are_left_alone_and_leave_it_alone(top: Path, lake: Path, tmp_path: Path) -> None:
    before = answers(lake), partitions(lake), known(lake)
    observation = observations(cxcsec("2020:001"), cxcsec("2020:002"), seed=1)[0]
    write_obspar(tmp_path / "ska", observation, observation.revisions[0])
    assert obspar.ingest(tmp_path / "ska", lake, jobs=1).taken
    (tmp_path / "l0").mkdir()
    start = cxcsec("2020:001:12:00:00")
    write_file(tmp_path / "l0", 3, readouts(3, 8, times(start, start + 60, 8)))
    assert aca_l0.ingest([tmp_path / "l0"], lake, jobs=1).taken
    assert (answers(lake), partitions(lake), known(lake)) == before
    others = {name: content for name, content, *_ in state(lake) if name.startswith(("obspar", "aca_l0", "hdr3"))}
    assert len(others) > 3
    products = read_table(lake, "source_file").column("product").to_pylist()
    counts = {product: products.count(product) for product in products}
    assert (counts["aca_l0"], counts["dark_cal"], len(counts)) == (1, 4, 3)
    write(top, C)
    assert take(top, lake).taken == both(C)
    assert {n: c for n, c, *_ in state(lake) if n.startswith(("obspar", "aca_l0", "hdr3"))} == others
    products = read_table(lake, "source_file").column("product").to_pylist()
    assert {product: products.count(product) for product in products} == counts | {"dark_cal": 6}
    assert ids(lake) == [A, B, C]
