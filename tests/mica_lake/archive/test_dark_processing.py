"""Processing a dark current calibration: the simulated truth is recovered, and what is missing or wrong is said."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.archive.aca_dark.dark_cal import get_dark_cal_image, get_dark_cal_props
from mica_lake.archive.aca_dark.processing import process
from mica_lake.errors import BadFile, LakeError, MissingDataError
from mica_lake.ingest import dark_cal as ingest_dark_cal
from mica_lake.ingest.aca_l0 import ingest as ingest_aca_l0
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.simulate.dark_replicas import READ_NOISE, Replicas, write_replicas
from mica_lake.times import cxcsec, utc

# Variance of the median of so many numbers of a normal distribution, as a share of theirs.
OF_MEDIAN = {4: 0.2982, 5: 0.2868}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Replicas:
    """Five replicas of 2022, not to be changed."""
    return write_replicas(tmp_path_factory.mktemp("raw"), "2022069")


@pytest.fixture
def given(raw: Replicas) -> dict[str, Any]:
    return {"telemetry": raw.telemetry, "zodi": raw.zodi}


def changed(path: Path, folder: Path, change: Callable[[fits.BinTableHDU], fits.BinTableHDU | None]) -> Path:
    """A copy of a raw file, of the same name, with another table."""
    folder.mkdir(exist_ok=True)
    with fits.open(path) as hdus:
        table = hdus[1].copy()
        table = change(table) or table
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / path.name, overwrite=True)
    return folder / path.name


def with_column(name: str, value: Any, form: str | None = None) -> Callable[[fits.BinTableHDU], fits.BinTableHDU]:
    """A change of a column, in the second row or, given a form, of all of it."""

    def change(table: fits.BinTableHDU) -> fits.BinTableHDU:
        if form is None:
            table.data[name][1] = value
            return table
        columns = [fits.Column(name, form, array=value) if c.name == name else c for c in table.columns]
        return fits.BinTableHDU.from_columns([c for c in columns if c.array is not None], header=table.header)

    return change


def csv_file(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def noise_of(raw: Replicas, replicas: int) -> NDArray[np.float64]:
    """The variance of a processed image: of photons, of reading, and of rounding to a DN."""
    of_frames = sum(raw.truth * seconds + READ_NOISE**2 + 5.0**2 / 12 for seconds in raw.integ)
    noise: NDArray[np.float64] = OF_MEDIAN[replicas] * of_frames / (raw.integ[1] - raw.integ[0]) ** 2
    return noise


# --- the image --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [5, 4])
def test_the_truth_is_recovered_within_its_noise(raw: Replicas, given: dict[str, Any], replicas: int) -> None:
    image = process(raw.files[:replicas], **given).image
    assert image.dtype == np.float32
    assert image.shape == (1024, 1024)
    away = (image - raw.truth) / np.sqrt(noise_of(raw, replicas))
    assert (away**2).mean() == pytest.approx(1, abs=0.04)
    assert abs(away.mean()) < 0.01
    assert abs(away).max() < 7
    # The hot pixels are where they are, in all quarters of the CCD.
    for rows in (slice(None, 512), slice(512, None)):
        for cols in (slice(None, 512), slice(512, None)):
            assert np.corrcoef(image[rows, cols].ravel(), raw.truth[rows, cols].ravel())[0, 1] > 0.99
    assert (image < 0).any()


def test_pixels_are_where_the_half_rows_say(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    """Pixel j of a half row is column j - 512 of the negative ones, 511 - j of the others."""

    def mark(table: fits.BinTableHDU) -> None:
        pixels, rows, negative = table.data["PIXDATA"], table.data["ROW"], table.data["COLNEG"] == 1
        pixels[:] = 0
        long = table.data["INTEG"] > 7
        pixels[long & negative & (rows == -512), 3] = 1000
        pixels[long & ~negative & (rows == 511), 3] = 2000

    files = [changed(path, tmp_path / "marked", mark) for path in raw.files]
    image = process(files, **given).image
    integ = raw.integ[1] - raw.integ[0]
    assert image[0, 3] == pytest.approx(5 * 1000 / integ)
    assert image[1023, 1020] == pytest.approx(5 * 2000 / integ)
    assert np.count_nonzero(image) == 2


def test_the_order_of_the_replicas_does_not_matter(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    for name, files in (("a", raw.files), ("b", [*raw.files[::-1], raw.files[2]])):
        process(files, **given).write(tmp_path / name)
    for name in ("image.fits", "properties.json"):
        content = (tmp_path / "a" / "2022069" / name).read_bytes()
        assert content == (tmp_path / "b" / "2022069" / name).read_bytes()
        assert len(content) > 1000
    assert len(list((tmp_path / "a" / "2022069").iterdir())) == 2


def test_a_replica_may_come_in_several_parts(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    parts = []
    for n, half in ((1, slice(None, 3000)), (2, slice(2500, None))):
        path = changed(
            raw.files[0],
            tmp_path / str(n),
            lambda table, half=half: fits.BinTableHDU(table.data[half], header=table.header),
        )
        parts.append(path.rename(path.with_name(path.name.replace("SFDU_1", f"SFDU_{n}"))))
    whole, of_parts = process(raw.files, **given), process([*parts, *raw.files[1:]], **given)
    assert of_parts.missing_half_rows == dict.fromkeys(range(1, 6), 0)
    np.testing.assert_array_equal(of_parts.image, whole.image)


# --- what is missing --------------------------------------------------------------------------------------------------


def test_a_half_row_that_is_missing_in_one_replica_is_that_of_the_others(
    raw: Replicas, given: dict[str, Any], tmp_path: Path
) -> None:
    def without(table: fits.BinTableHDU) -> fits.BinTableHDU:
        keep = (table.data["ROW"] != 100) | (table.data["COLNEG"] == 0)
        return fits.BinTableHDU(table.data[keep], header=table.header)

    calibration = process([changed(raw.files[0], tmp_path, without), *raw.files[1:]], **given)
    assert calibration.missing_half_rows == {1: 2, 2: 0, 3: 0, 4: 0, 5: 0}
    assert not np.isnan(calibration.image).any()
    rows, whole = calibration.image, process(raw.files, **given).image
    np.testing.assert_array_equal(rows[612, :512], process(raw.files[1:], **given).image[612, :512])
    np.testing.assert_array_equal(np.delete(rows, 612, axis=0), np.delete(whole, 612, axis=0))
    np.testing.assert_array_equal(rows[612, 512:], whole[612, 512:])


@pytest.mark.parametrize("seconds", [5, 10])
def test_a_half_row_that_was_never_read_is_nan(
    raw: Replicas, given: dict[str, Any], tmp_path: Path, seconds: int
) -> None:
    def without(table: fits.BinTableHDU) -> fits.BinTableHDU:
        gone = (table.data["ROW"] == -7) & (table.data["COLNEG"] == 0) & (abs(table.data["INTEG"] - seconds) < 1)
        return fits.BinTableHDU(table.data[~gone], header=table.header)

    calibration = process([changed(path, tmp_path, without) for path in raw.files], **given)
    expected = np.zeros((1024, 1024), dtype=bool)
    expected[505, 512:] = True
    np.testing.assert_array_equal(np.isnan(calibration.image), expected)
    # It goes through the lake as it is.
    ingest_dark_cal.ingest(calibration.write(tmp_path / "out").parent, tmp_path / "lake", jobs=1)
    image = get_dark_cal_image("2022:069", allow_negative=True, data_root=tmp_path / "lake")
    np.testing.assert_array_equal(image, calibration.image)


def test_a_missing_replica_is_said(raw: Replicas, given: dict[str, Any]) -> None:
    calibration = process([*raw.files[:2], *raw.files[3:]], **given)
    assert calibration.missing_replicas == [3]
    assert [one["downlink"] for one in calibration.properties["replicas"]] == [True, True, False, True, True]


def test_without_ciumacac_a_calibration_has_five_replicas(raw: Replicas, tmp_path: Path) -> None:
    lake = lake_of(raw, tmp_path)
    assert process([raw.files[0], raw.files[3]], data_root=lake).missing_replicas == [2, 3, 5]


def test_before_2001_080_all_replicas_came_down(tmp_path: Path) -> None:
    old = write_replicas(tmp_path, "2001079", count=3)
    calibration = process(old.files[:2], telemetry=old.telemetry)
    assert [one["downlink"] for one in calibration.properties["replicas"]] == [True, True, True]
    assert calibration.missing_replicas == [3]


# --- the properties ---------------------------------------------------------------------------------------------------


def test_the_properties_say_when_and_where(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    calibration = process(raw.files, **given)
    properties = json.loads((calibration.write(tmp_path) / "properties.json").read_text())
    assert properties == calibration.properties
    start, stop = raw.intervals[0][0], raw.intervals[-1][1]
    assert (properties["id"], properties["date"]) == ("2022069", "2022:069")
    assert (properties["start"], properties["stop"]) == (utc(start), utc(stop))
    assert properties["dur"] == pytest.approx(stop - start)
    (pointing,) = (row for row in rows_of(raw.zodi) if row["date"] == "2022:069")
    for name in ("ra", "dec", "el", "eb", "sun_el", "zodib"):
        assert properties[name] == float(pointing[name])
    assert properties["l_l0"] == properties["el"] - properties["sun_el"]
    found = [(one["count"], one["start"], one["stop"]) for one in properties["replicas"]]
    assert found == [(n, utc(a), utc(b)) for n, (a, b) in enumerate(raw.intervals, 1)]
    assert properties["ccd_temp"] == pytest.approx(np.mean([one["ccd_temp"] for one in properties["replicas"]]))
    text = (tmp_path / "2022069" / "properties.json").read_text()
    assert text == json.dumps(properties, indent=4, sort_keys=True)


def test_what_was_processed_is_what_the_lake_answers(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    calibration = process(raw.files, **given)
    calibration.write(tmp_path / "archive")
    report = ingest_dark_cal.ingest(tmp_path / "archive", tmp_path / "lake", jobs=1)
    assert (report.set_aside, len(report.taken)) == ({}, 2)
    assert get_dark_cal_props("2022:100", data_root=tmp_path / "lake") == calibration.properties
    image = get_dark_cal_image("2022:100", allow_negative=True, data_root=tmp_path / "lake")
    np.testing.assert_array_equal(image, calibration.image)


def test_without_zodi_the_properties_do_not_say_where(raw: Replicas) -> None:
    assert "ra" not in process(raw.files[:1], telemetry=raw.telemetry).properties


def test_stretches_of_a_day_apart_are_of_one_calibration(raw: Replicas, tmp_path: Path) -> None:
    """Replicas that begin more than a day after the start are not listed; with more between, they are of another."""
    begin = cxcsec("2022:069:06:00:00")
    hours = [(0, 0.2), (12, 12.05), (23, 23.5), (47, 47.5), (96, 97)]
    rows: list[dict[str, object]] = []
    for start, stop in hours:
        rows += [
            {"time": begin + hour * 3600, "CIUMACAC": state, "AACCCDPT": ""}
            for hour, state in ((start, "ON"), (stop, "OFF"))
        ]
    rows += [{"time": begin + t, "CIUMACAC": "", "AACCCDPT": -10} for t in np.arange(-2e4, 2e5, 100).tolist()]
    telemetry = csv_file(tmp_path / "telemetry.csv", rows)
    properties = process(raw.files[:2], telemetry=telemetry).properties
    assert [one["start"][5:11] for one in properties["replicas"]] == ["069:06", "070:05"]
    assert (properties["start"][5:11], properties["stop"][5:11]) == ("069:06", "071:05")


# --- temperatures -----------------------------------------------------------------------------------------------------


def lake_of(raw: Replicas, folder: Path, *, replicas: int = 5, values: int = 30) -> Path:
    """A lake with so many readouts of ccd_temp in each of the first replicas: -10.00, -9.99, ..."""
    for start, stop in raw.intervals[:replicas]:
        columns = readouts(6, 8, (start + stop) / 2 + 4.1 * np.arange(values))
        counts = (np.arange(values) - 1000).astype(">i2").view(np.uint8).reshape(-1, 2)
        columns["HD3TLM76"], columns["HD3TLM77"] = counts[:, 0].copy(), counts[:, 1].copy()
        write_file(folder / "aca0", 6, columns)
    ingest_aca_l0([folder / "aca0"], folder / "lake", jobs=1)
    return folder / "lake"


@pytest.mark.parametrize("telemetry", [False, True])
def test_temperatures_are_those_of_hdr3(raw: Replicas, tmp_path: Path, telemetry: bool) -> None:
    from mica_lake.lake import Lake

    lake = lake_of(raw, tmp_path)
    options: dict[str, Any] = {"telemetry": raw.telemetry} if telemetry else {}
    properties = process(raw.files, data_root=lake, **options).properties
    for one, (start, stop) in zip(properties["replicas"], raw.intervals, strict=True):
        ((expected,),) = (
            Lake(lake)
            .sql(f"SELECT avg(ccd_temp) FROM hdr3_data({start - 600}, {stop + 600}) WHERE ccd_temp IS NOT NULL")
            .fetchall()
        )
        assert one["ccd_temp_source"] == "HDR3"
        assert one["ccd_temp"] == pytest.approx(expected, abs=1e-9)
        assert -10 < one["ccd_temp"] < -9.5
        assert (one["start"], one["stop"]) == (utc(start), utc(stop))


def test_where_hdr3_has_four_values_or_less_it_is_a_parabola(raw: Replicas, tmp_path: Path) -> None:
    lake = lake_of(raw, tmp_path, replicas=1, values=5)  # the last of which is never good
    properties = process(raw.files, data_root=lake, telemetry=raw.telemetry).properties
    for one, celsius in zip(properties["replicas"], raw.celsius, strict=True):
        assert one["ccd_temp_source"] == "AACCCDPT"
        assert one["ccd_temp"] == pytest.approx(celsius, abs=0.02)
    with pytest.raises(MissingDataError, match=r"hdr3 has 4 good values .* more than 4 are needed; give --temps"):
        process(raw.files, data_root=lake)


def test_too_few_of_aacccdpt_are_an_error(raw: Replicas, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = rows_of(raw.telemetry)
    few = [row for row in rows if row["CIUMACAC"]]
    near = [row for row in rows if row["AACCCDPT"]]
    middle = len(near) // 2
    telemetry = csv_file(tmp_path / "telemetry.csv", few + near[middle : middle + 100])
    with pytest.raises(MissingDataError, match=r"has 100 of AACCCDPT within 20000 s, where more than 100 are needed"):
        process(raw.files, telemetry=telemetry)
    telemetry = csv_file(tmp_path / "telemetry.csv", few + near[middle : middle + 101])
    assert process(raw.files, telemetry=telemetry).properties["replicas"][0]["ccd_temp_source"] == "AACCCDPT"


def test_telemetry_without_ciumacac_gives_temperatures_alone(raw: Replicas, tmp_path: Path) -> None:
    near = [{"time": row["time"], "AACCCDPT": row["AACCCDPT"]} for row in rows_of(raw.telemetry) if row["AACCCDPT"]]
    properties = process(raw.files, telemetry=csv_file(tmp_path / "telemetry.csv", near)).properties
    assert properties == process(raw.files, telemetry=raw.telemetry).properties


def test_before_2000_the_temperature_is_a_guess(tmp_path: Path) -> None:
    old = write_replicas(tmp_path, "1999365", count=2)
    properties = process(old.files, telemetry=old.telemetry).properties
    assert [(one["ccd_temp"], one["ccd_temp_source"]) for one in properties["replicas"]] == [(-10, "GUESS")] * 2
    assert properties["ccd_temp"] == -10


def test_without_telemetry_a_lake_is_needed(raw: Replicas, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="which lake"):
        process(raw.files)
    with pytest.raises(LakeError, match="lake"):
        process(raw.files, data_root=tmp_path / "absent")


# --- what is wrong ----------------------------------------------------------------------------------------------------


def renamed(name: str) -> Callable[[fits.BinTableHDU], None]:
    def change(table: fits.BinTableHDU) -> None:
        table.name = name

    return change


BAD: dict[str, tuple[Callable[[fits.BinTableHDU], Any], str]] = {
    "another extension": (renamed("ACA_DUMPS"), "'ACA_DUMPS', not 'ACA_DUMP'"),
    "an image": (lambda table: fits.ImageHDU(np.zeros((4, 4)), name="ACA_DUMP"), "not a binary table"),
    "rows of another length": (
        with_column("PIXDATA", np.zeros((4096, 500)), "500J"), r"column PIXDATA has 500 values of type >i4"
    ),
    "text": (with_column("INTEG", np.full(4096, "five"), "4A"), "column INTEG has 1 values of type"),
    "no such column": (
        lambda table: fits.BinTableHDU.from_columns([c for c in table.columns if c.name != "ROW"], header=table.header),
        "no column ROW",
    ),
    "too many rows": (
        lambda table: fits.BinTableHDU(np.tile(table.data, 3), header=table.header),
        "it has 12,288 rows; a replica has 4,096",
    ),
    "an absurd INTEG": (with_column("INTEG", 1e6), r"INTEG is 1e\+06 in row 2 of 4,096; it should be about 5 or 10 s"),
    "INTEG of 0": (with_column("INTEG", 0), "INTEG is 0 in row 2"),
    "a negative INTEG": (with_column("INTEG", -5), "INTEG is -5 in row 2"),
    "INTEG not a number": (with_column("INTEG", np.nan), "INTEG is nan in row 2"),
    "an INTEG between the two": (with_column("INTEG", 7.5), "INTEG is 7.5 in row 2"),
    "a row outside the CCD": (with_column("ROW", 512), "ROW is 512 in row 2 .* -512 to 511"),
    "another COLNEG": (with_column("COLNEG", 2), "COLNEG is 2 in row 2 .* 0 or 1"),
    "another replica": (with_column("REPLICA", 4), "REPLICA is 4 in row 2 .* 2, as in its name"),
    "pixels not numbers": (with_column("PIXDATA", np.full((4096, 512), np.nan), "512E"), "a pixel of PIXDATA is nan"),
    "a half row twice": (with_column("COLNEG", 1), "half row 2, of CCD row -512 .* replica 2 twice with diff"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_not_a_replica_is_named(raw: Replicas, given: dict[str, Any], tmp_path: Path, case: str) -> None:
    change, message = BAD[case]
    path = changed(raw.files[1], tmp_path, change)
    with pytest.raises(BadFile, match=f"{path}: .*{message}"):
        process([raw.files[0], path, *raw.files[2:]], **given)


def test_damaged_and_absent_files_are_named(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / raw.files[0].name
    for content, message in ((b"", "it is not a FITS file"), (raw.files[0].read_bytes()[:100000], "truncated")):
        path.write_bytes(content)
        with pytest.raises(BadFile, match=f"{path.name}: .*{message}|{path.name}: .*empty"):
            process([path], **given)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        process([path], **given)


@pytest.mark.parametrize(
    "name",
    ["image.fits", "2022_366_VC2_Replica1_SFDU_1-L0.fits", "2022_069_VC2_Replica0_SFDU_1-L0.fits", "2022_069_VC2.fits"],
)
def test_a_file_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(BadFile, match=f"{name}: it is not called as a raw replica"):
        process([name])


def test_one_integration_alone_is_not_enough(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    def short(table: fits.BinTableHDU) -> fits.BinTableHDU:
        return fits.BinTableHDU(table.data[table.data["INTEG"] < 7], header=table.header)

    with pytest.raises(BadFile, match="no replica has half rows of about 10 s"):
        process([changed(raw.files[0], tmp_path, short)], **given)


def test_replicas_are_of_one_calibration(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    other = tmp_path / raw.files[1].name.replace("2022_069", "2022_090")
    other.write_bytes(raw.files[1].read_bytes())
    with pytest.raises(ValueError, match="of 2022:069 and of 2022:090"):
        process([raw.files[0], other], **given)
    with pytest.raises(MissingDataError, match=r"no calibration of 2022:090.*there are 2022:069"):
        process([other], **given)
    with pytest.raises(ValueError, match=r"replica 2 is of 2022:069.*by TSTART.*2022:090"):
        process([other], data_root=lake_of(raw, tmp_path))
    with pytest.raises(ValueError, match="there are no replicas"):
        process([])


def test_a_replica_that_was_not_taken_is_refused(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    path = changed(raw.files[0], tmp_path, with_column("REPLICA", np.full(4096, 6), "I"))
    path = path.rename(tmp_path / path.name.replace("Replica1", "Replica6"))
    with pytest.raises(BadFile, match=f"{path}: it is replica 6, but the calibration of 2022:069.* has 5 by CIUMACAC"):
        process([*raw.files, path], **given)


def test_headers_without_times_need_telemetry(raw: Replicas, given: dict[str, Any], tmp_path: Path) -> None:
    def without(table: fits.BinTableHDU) -> None:
        del table.header["TSTART"]

    def absurd(table: fits.BinTableHDU) -> None:
        table.header["TSTOP"] = -1.0

    path = changed(raw.files[0], tmp_path, without)
    assert process([path], **given).dark_id == "2022069"
    with pytest.raises(MissingDataError, match=f"{path}: .*lacks TSTART.*replica 1 .*give --temps"):
        process([path], data_root=tmp_path)
    with pytest.raises(BadFile, match=r"TSTOP -1\.0, which are not the times"):
        process([changed(raw.files[0], tmp_path, absurd)], **given)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("date,CIUMACAC\n2022:069,ON\n", "names no column time"),
        ("", "names no column time"),
        ("time,CIUMACAC\nsoon,ON\n", "line 2: time 'soon' is not CXC seconds or a date"),
        ("time,CIUMACAC\n7e8,ON\n7e8,MAYBE\n", "line 3: CIUMACAC 'MAYBE' is not ON or OFF"),
        ("time,AACCCDPT\n7e8,cold\n", "line 2: AACCCDPT 'cold' is not a temperature"),
        ("time,AACCCDPT\n7e8,nan\n", "line 2: AACCCDPT 'nan' is not a temperature"),
        ("time,CIUMACAC\n7e8,OFF\n", "no calibration of 2022:069: .*there are none"),
        ("time,AACCCDPT\n7e8,-10\n", "the telemetry has 0 of AACCCDPT within 20000 s"),
    ],
)
def test_telemetry_that_cannot_be_used_is_named(raw: Replicas, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "telemetry.csv"
    path.write_text(content)
    with pytest.raises((BadFile, MissingDataError), match=message):
        process(raw.files[:1], telemetry=path)


def test_zodi_without_the_day_is_an_error(raw: Replicas, tmp_path: Path) -> None:
    lines = raw.zodi.read_text().splitlines()
    path = tmp_path / "zodi.csv"
    path.write_text("\n".join(lines[:2]))
    with pytest.raises(MissingDataError, match=r"zodi\.csv: there is no day 2022:069; it has 1 from 2022:001"):
        process(raw.files[:1], telemetry=raw.telemetry, zodi=path)
    path.write_text(lines[0].replace("ra", "right_ascension"))
    with pytest.raises(BadFile, match="names no column ra"):
        process(raw.files[:1], telemetry=raw.telemetry, zodi=path)


# --- memory -----------------------------------------------------------------------------------------------------------

PROGRAM = """
import resource, sys
from mica_lake.archive.aca_dark.processing import process
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
process(sys.argv[2:], telemetry=sys.argv[1]).write(sys.argv[1] + "_out")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("count", [5, pytest.param(40, marks=pytest.mark.soak)])
def test_it_takes_less_than_300_mb_whatever_the_number_of_replicas(tmp_path: Path, count: int) -> None:
    raw = write_replicas(tmp_path, "2022069", count=count)
    command = [sys.executable, "-c", PROGRAM, raw.telemetry, *raw.files]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 300


def test_the_simulator_is_reproducible(raw: Replicas, tmp_path: Path) -> None:
    again = write_replicas(tmp_path, "2022069")
    for one, other in zip(
        [*raw.files, raw.telemetry, raw.zodi], [*again.files, again.telemetry, again.zodi], strict=True
    ):
        assert one.read_bytes() == other.read_bytes()
    assert replace(raw, truth=0, files=[], telemetry=0, zodi=0) == replace(
        again, truth=0, files=[], telemetry=0, zodi=0
    )
    assert raw.files[0].read_bytes() != write_replicas(tmp_path, "2022069", count=1, seed=1).files[0].read_bytes()
