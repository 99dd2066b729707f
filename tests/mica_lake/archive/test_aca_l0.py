"""The functions of mica.archive.aca_l0: equal to mica's own answers, and to the files read with astropy."""

import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn
from astropy.time import Time
from numpy.typing import NDArray

from mica_lake import LakeError
from mica_lake.aca_image import ACAImage
from mica_lake.archive import aca_l0, obspar
from mica_lake.archive.aca_l0 import MSID, MSIDset, get_aca_images, get_files, get_l0_images, get_slot_data
from mica_lake.errors import MissingDataError
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.times import cxcsec, utc

SHARED = Path(__file__).resolve().parents[4] / "shared"
SETS = ("l0_real", "l0_synthetic")
START = 7.0e8
# One file each: slot, image size, start, whether it has PIXTLM and BGDTYP.
FILES = [(0, 8, 0, False), (3, 8, 0, False), (3, 6, 60, True), (3, 4, 120, False), (5, 4, 0, True), (6, 6, 0, False)]
ALL: dict[str, Any] = {"start": START - 100, "stop": START + 1000}
SIX = ["IMGFID2", "IMGNUM2", "IMGFUNC2", "BGDRMS", "TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC", "BGDSTAT"]
EIGHT = [f"IMG{name}{n}" for n in (3, 4) for name in ("FID", "NUM", "FUNC")]
EIGHT += [f"HD3TLM{image}{word}" for image in (6, 7) for word in range(2, 8)]
LACKS = {8: [], 6: EIGHT, 4: SIX + EIGHT}
FLAGS = {
    "GLBSTAT": "HIGH_BGD RAM_FAIL ROM_FAIL POWER_FAIL CAL_FAIL COMM_CHECKSUM_FAIL RESET SYNTAX_ERROR",
    "IMGSTAT": "SAT_PIXEL DEF_PIXEL QUAD_BOUND COMMON_COL MULTI_STAR ION_RAD",
}


def golden_cases() -> Iterator[Any]:
    """The answers of mica, without those of aca_hdr3."""
    for name in SETS:
        path = SHARED / "golden" / f"{name}_cases.json"
        for case in json.loads(path.read_text()) if path.exists() else []:
            if case["function"] not in ("MSIDset", "Msid"):
                yield pytest.param(name, case, id=f"{name}-{case['id']}")


def assert_identical(found: Any, expected: NDArray[Any]) -> None:
    """Equal to the last bit, of the same type but in native byte order."""
    found = np.asarray(found)
    assert found.dtype.isnative
    assert (found.dtype, found.shape) == (expected.dtype.newbyteorder("="), expected.shape)
    assert found.tobytes() == expected.astype(found.dtype).tobytes()


@pytest.mark.parametrize(("name", "case"), list(golden_cases()))
def test_the_answer_is_that_of_mica(
    golden: dict[str, tuple[str, dict[str, Any]]], name: str, case: dict[str, Any]
) -> None:
    lake, answers = golden[name]
    found = getattr(aca_l0, case["function"])(**case["kwargs"], data_root=lake)
    start = case["id"] + "/"
    expected = {key.removeprefix(start): value for key, value in answers.items() if key.startswith(start)}
    fields = [key for key in expected if not key.endswith(".mask")]
    match case["function"]:
        case "get_slot_data":
            assert list(found.dtype.names) == fields
            for field in fields:
                assert_identical(found[field].data, expected[field])
                assert_identical(np.ma.getmaskarray(found[field]), expected[f"{field}.mask"])
        case "get_aca_images":
            assert found.colnames == fields
            for field in fields:
                assert_identical(np.ma.getdata(found[field]), expected[field])
                mask = expected[f"{field}.mask"]
                assert_identical(np.ma.getmaskarray(np.ma.asarray(found[field])), mask)
                assert isinstance(found[field], MaskedColumn) == (mask.any() or field == "IMG")
        case "get_l0_images":
            assert len(found) == expected["n"] > 0
            for n, image in enumerate(found):
                assert_identical(image, expected[f"{n}/img"])
                assert {key: float(v) for key, v in image.meta.items()} == json.loads(str(expected[f"{n}/meta"]))
        case "get_files":
            assert [Path(path).name for path in found] == answers[case["id"]].tolist()
        case unknown:
            pytest.fail(f"there is no test of {unknown}")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Path]:
    """Files of a minute by slot and image size; slot 3 goes from 8x8 to 6x6 to 4x4."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(1)
    written = {}
    for slot, size, start, newer in FILES:
        columns = readouts(slot, size, times(START + start, START + start + 60, size), newer=newer)
        rows = len(columns["TIME"])
        for name in ("GLBSTAT", "IMGSTAT", "COMMCNT", "COMMPROG"):
            columns[name] = rng.integers(0, 256, rows, dtype=np.uint8)
        columns["QUALITY"] = (np.arange(rows) % 5 == 3).astype(np.int32)
        written[slot, size] = write_file(folder, slot, columns)
    return written


@pytest.fixture(scope="module")
def lake(paths: dict[tuple[int, int], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lake") / "lake"
    assert ingest(paths.values(), root, jobs=1).set_aside == {}
    return root


@pytest.fixture(scope="module")
def tables(paths: dict[tuple[int, int], Path]) -> dict[tuple[int, int], fits.FITS_rec]:
    """The rows of each file, by slot and image size, read by astropy."""
    return {key: fits.getdata(path, 1) for key, path in paths.items()}


@pytest.fixture(scope="module")
def rows(tables: dict[tuple[int, int], fits.FITS_rec]) -> list[dict[str, Any]]:
    """The good rows of all files by time and slot; a row has what its file has."""
    found = []
    for (_, size), table in tables.items():
        default = {"PIXTLM": "ORIG", "BGDTYP": "FLAT", "IMGSIZE": size}
        columns = {name: np.asarray(table[name]) for name in table.names}
        for n in np.flatnonzero(table["QUALITY"] == 0):
            found.append(default | {name: column[n].tolist() for name, column in columns.items()})
    return sorted(found, key=lambda row: (row["TIME"], row["IMGNUM1"]))


def test_the_files_have_all_cases(tables: dict[tuple[int, int], fits.FITS_rec]) -> None:
    assert {size for _, size in tables} == {4, 6, 8}
    assert all(set(table["QUALITY"]) == {0, 1} for table in tables.values())
    assert [key for key, table in tables.items() if "PIXTLM" in table.names] == [(3, 6), (5, 4)]


class TestGetSlotData:
    @pytest.mark.parametrize(("slot", "size"), [file[:2] for file in FILES])
    def test_every_field_is_that_of_the_file(
        self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec], slot: int, size: int
    ) -> None:
        table = tables[slot, size]
        data = get_slot_data(**ALL, slot=slot, imgsize=size, data_root=lake)
        assert isinstance(data, np.ma.MaskedArray)
        assert data.dtype == np.dtype(list(aca_l0.ACA_DTYPE))
        assert data.shape == (len(table),)
        for name in set(table.names) - {"IMGRAW"}:
            assert_identical(data[name].data, np.asarray(table[name]).astype(data.dtype[name]))
            assert not data[name].mask.any()

    @pytest.mark.parametrize("size", [4, 6, 8])
    def test_a_field_that_the_size_lacks_is_masked_and_no_other(self, lake: Path, size: int) -> None:
        data = get_slot_data(**ALL, slot=3, imgsize=size, data_root=lake)
        for name in aca_l0.ACA_DTYPE_NAMES:
            if name != "IMGRAW":
                assert data[name].mask.all() == data[name].mask.any() == (name in LACKS[size]), name

    def test_sizes_of_one_slot_come_together_in_time_order(
        self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec]
    ) -> None:
        data = get_slot_data(**ALL, slot=3, data_root=lake)
        assert data["TIME"].tolist() == [time for size in (8, 6, 4) for time in tables[3, size]["TIME"]]
        assert data["IMGSIZE"].tolist() == [size for size in (8, 6, 4) for _ in tables[3, size]]
        assert data["TEMPCCD"].mask.tolist() == (data["IMGSIZE"] == 4).tolist()
        assert data["HD3TLM76"].mask.tolist() == (data["IMGSIZE"] != 8).tolist()

    @pytest.mark.parametrize("size", [4, 6, 8])
    def test_an_image_takes_the_first_rows_and_columns_of_the_square(
        self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec], size: int
    ) -> None:
        raw = get_slot_data(**ALL, slot=3, imgsize=size, data_root=lake)["IMGRAW"]
        assert raw.shape == (len(tables[3, size]), 64)
        square = raw.reshape(-1, 8, 8)
        assert_identical(square.data[:, :size, :size], tables[3, size]["IMGRAW"])
        outside = np.ones((8, 8), bool)
        outside[:size, :size] = False
        assert (np.ma.getmaskarray(square) == outside).all()
        assert (square.data[:, outside] == 0).all()

    @pytest.mark.parametrize("size", [4, 6, 8])
    def test_centered_8x8_puts_an_image_in_the_middle(
        self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec], size: int
    ) -> None:
        data = get_slot_data(**ALL, slot=3, imgsize=size, data_root=lake, centered_8x8=True)
        square, inside = data["IMGRAW"], slice((8 - size) // 2, (8 + size) // 2)
        assert data.dtype == np.dtype(list(aca_l0.ACA_DTYPE_8x8))
        assert square.shape == (len(tables[3, size]), 8, 8)
        assert_identical(square.data[:, inside, inside], tables[3, size]["IMGRAW"])
        outside = np.ones((8, 8), bool)
        outside[inside, inside] = False
        assert (np.ma.getmaskarray(square) == outside).all()

    @pytest.mark.parametrize(
        ("imgsize", "sizes"),
        [
            (None, {4, 6, 8}),
            (6, {6}),
            ([6], {6}),
            ([4, 8], {4, 8}),
            ((8, 6, 4), {4, 6, 8}),
            ({8}, {8}),
            (np.int64(8), {8}),
            (np.array([4, 6]), {4, 6}),
            (range(4, 8, 2), {4, 6}),
            ([], set()),
        ],
        ids=str,
    )
    def test_imgsize_chooses_sizes(self, lake: Path, imgsize: Any, sizes: set[int]) -> None:
        data = get_slot_data(**ALL, slot=3, imgsize=imgsize, data_root=lake)
        assert set(data["IMGSIZE"].tolist()) == sizes

    @pytest.mark.parametrize(
        ("columns", "names"),
        [
            (["TEMPCCD", "TIME"], ("TIME", "TEMPCCD")),
            (("FILENAME", "IMGRAW", "QUALITY"), ("QUALITY", "IMGRAW", "FILENAME")),
            ("BGDAVG", ("BGDAVG",)),
            (["TIME", "TIME"], ("TIME",)),
            ({"MJF": 1, "TIME": 2}.keys(), ("TIME", "MJF")),
        ],
        ids=str,
    )
    def test_columns_chooses_fields_whose_order_stays(self, lake: Path, columns: Any, names: tuple[str, ...]) -> None:
        data = get_slot_data(**ALL, slot=3, data_root=lake, columns=columns)
        everything = get_slot_data(**ALL, slot=3, data_root=lake)
        assert data.dtype.names == names
        for name in names:
            assert_identical(data[name].data, everything[name].data)
            assert_identical(data[name].mask, everything[name].mask)

    def test_no_columns_give_rows_without_fields(self, lake: Path) -> None:
        data = get_slot_data(**ALL, slot=3, data_root=lake, columns=[])
        assert data.shape == get_slot_data(**ALL, slot=3, data_root=lake).shape
        assert data.dtype.names in (None, ())

    def test_filename_is_the_base_name_of_the_source(self, lake: Path, paths: dict[tuple[int, int], Path]) -> None:
        data = get_slot_data(**ALL, slot=3, data_root=lake)
        for size in (4, 6, 8):
            assert set(data["FILENAME"][data["IMGSIZE"] == size].tolist()) == {paths[3, size].name}

    @pytest.mark.parametrize("slot", [0, 6])
    def test_pixtlm_and_bgdtyp_have_defaults_where_the_file_lacks_them(self, lake: Path, slot: int) -> None:
        data = get_slot_data(**ALL, slot=slot, data_root=lake)
        assert set(data["PIXTLM"].tolist()) == {"ORIG"}
        assert set(data["BGDTYP"].tolist()) == {"FLAT"}

    def test_pixtlm_and_bgdtyp_are_those_of_newer_files(self, tmp_path: Path) -> None:
        columns = readouts(6, 4, times(START, START + 60, 4), newer=True)
        columns["PIXTLM"][::2], columns["BGDTYP"][::3] = b"DNB", b"DYN"
        ingest([write_file(tmp_path, 6, columns)], tmp_path / "lake", jobs=1)
        data = get_slot_data(**ALL, slot=6, data_root=tmp_path / "lake", columns=["PIXTLM", "BGDTYP"])
        assert data["PIXTLM"].tolist() == columns["PIXTLM"].astype(str).tolist()
        assert data["BGDTYP"].tolist() == columns["BGDTYP"].astype(str).tolist()

    @pytest.mark.parametrize("centered", [False, True])
    def test_nothing_found_gives_no_rows_of_the_same_type(self, lake: Path, centered: bool) -> None:
        for slot, interval in [(3, {"start": "2001:001", "stop": "2001:002"}), (7, ALL)]:
            data = get_slot_data(**interval, slot=slot, data_root=lake, centered_8x8=centered)
            assert isinstance(data, np.ma.MaskedArray)
            assert data.shape == (0,)
            assert data.dtype == get_slot_data(**ALL, slot=3, data_root=lake, centered_8x8=centered).dtype

    def test_both_ends_are_in_the_range(self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec]) -> None:
        time = tables[3, 6]["TIME"]
        data = get_slot_data(time[3], time[7], 3, data_root=lake)
        assert data["TIME"].tolist() == time[3:8].tolist()

    def test_times_may_have_any_form(self, lake: Path) -> None:
        expected = get_slot_data(cxcsec("2020:067:20:26:00"), cxcsec("2020:067:20:27:00"), 3, data_root=lake)
        assert len(expected) > 20
        for start, stop in [
            ("2020:067:20:26", "2020-03-07T20:27:00.000"),
            (datetime(2020, 3, 7, 20, 26), Time("2020-03-07T20:27:00")),
            (np.float64(cxcsec("2020:067:20:26")), "2020:067:20:27:00"),
        ]:
            assert (get_slot_data(start, stop, 3, data_root=lake) == expected).all()
        assert len(get_slot_data("2020:067:20:26", None, 3, data_root=lake)) > len(expected)

    def test_the_slot_may_be_a_numpy_integer(self, lake: Path) -> None:
        expected = get_slot_data(**ALL, slot=3, data_root=lake)
        for slot in (np.int64(3), np.uint8(3)):
            assert get_slot_data(**ALL, slot=slot, data_root=lake).tobytes() == expected.tobytes()

    def test_the_answer_may_be_changed(self, lake: Path) -> None:
        data = get_slot_data(**ALL, slot=3, data_root=lake)
        data["TIME"] += 1
        data["IMGRAW"][0] = np.ma.masked
        assert get_slot_data(**ALL, slot=3, data_root=lake)["TIME"][0] == data["TIME"][0] - 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"start": "yesterday"}, "'yesterday'"),
            ({"stop": "2015:366"}, "'2015:366'"),
            ({"start": 7.1e8, "stop": 7.0e8}, "before start"),
            ({"slot": 8}, "slot 8 "),
            ({"slot": -1}, "slot -1 "),
            ({"slot": None}, "slot None "),
            ({"slot": True}, "slot True "),
            ({"slot": "3"}, "slot '3' "),
            ({"slot": 2.5}, "slot 2.5 "),
            ({"imgsize": 5}, "imgsize 5 "),
            ({"imgsize": [8, 7]}, "imgsize 7 "),
            ({"imgsize": "8"}, "imgsize '8' "),
            ({"columns": ["TIME", "COLOUR"]}, "'COLOUR'.*TEMPCCD"),
            ({"columns": "TIME, MJF"}, "'TIME, MJF'"),
            ({"columns": ["time"]}, "'time'"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_is_a_value_error_that_names_it(
        self, lake: Path, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            get_slot_data(**{**ALL, "slot": 3, "data_root": lake} | arguments)

    @pytest.mark.parametrize("name", ["BGDAVG", "IMGSCALE", "BGDRMS"])
    def test_a_value_over_32767_is_refused_where_sql_has_it(self, tmp_path: Path, name: str) -> None:
        columns = readouts(3, 6, times(START, START + 60, 6))
        columns[name][4] = 40000
        ingest([write_file(tmp_path, 3, columns)], tmp_path / "lake", jobs=1)
        with pytest.raises(ValueError, match=r"40000 does not fit in .*int16"):
            get_slot_data(**ALL, slot=3, data_root=tmp_path / "lake", columns=[name])
        assert len(get_slot_data(**ALL, slot=3, data_root=tmp_path / "lake", columns=["TIME"])) == len(columns["TIME"])
        found = Lake(tmp_path / "lake").sql(f"SELECT {name} FROM slot_data(0, 1e9, 3)").fetchall()
        assert [value for (value,) in found] == columns[name].tolist()


class TestWhichLake:
    def test_mica_lake_names_it_where_data_root_does_not(
        self, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "none").mkdir()
        ingest([tmp_path / "none"], tmp_path / "other", jobs=1)
        monkeypatch.setenv("MICA_LAKE", str(lake))
        assert len(get_slot_data(**ALL, slot=3)) > 0
        assert len(get_slot_data(**ALL, slot=3, data_root=tmp_path / "other")) == 0
        assert len(get_l0_images(**ALL, slot=3)) > 0
        assert len(get_aca_images(**ALL)) > 0
        assert len(get_files(**ALL)) == len(FILES)
        assert len(MSID("TEMPCCD", 3, **ALL).vals) > 0
        assert len(MSIDset(["TEMPCCD"], 3, **ALL)["TEMPCCD"].vals) > 0
        monkeypatch.setenv("MICA_LAKE", str(tmp_path / "other"))
        assert len(get_slot_data(**ALL, slot=3)) == 0
        assert len(get_slot_data(**ALL, slot=3, data_root=str(lake))) > 0

    def test_no_lake_is_a_lake_error(self, tmp_path: Path) -> None:
        with pytest.raises(LakeError, match="MICA_LAKE"):
            get_slot_data(**ALL, slot=3)
        with pytest.raises(LakeError, match=re.escape(str(tmp_path))):
            get_slot_data(**ALL, slot=3, data_root=tmp_path)

    @pytest.mark.parametrize("columns", [["TIME"], ["TIME", "IMGRAW"]])
    def test_rows_are_in_time_order_if_a_size_is_given_again_and_again(self, lake: Path, columns: list[str]) -> None:
        of_size = get_slot_data(**ALL, slot=3, imgsize=6, columns=columns, data_root=lake)
        again = get_slot_data(**ALL, slot=3, imgsize=[6] * 9, columns=columns, data_root=lake)
        assert again.filled().tobytes() == of_size.filled().tobytes()
        assert (np.diff(of_size["TIME"]) > 0).all()


class TestGetL0Images:
    META = ("TIME", "BGDAVG", "IMGSTAT", "IMGFUNC1", "IMGSIZE", "IMGSCALE", "INTEG", "IMGROW0", "IMGCOL0")

    @pytest.mark.parametrize("size", [4, 6, 8])
    def test_there_is_an_image_for_each_good_readout(
        self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec], size: int
    ) -> None:
        table = tables[3, size]
        good = table[table["QUALITY"] == 0]
        found = get_l0_images(**ALL, slot=3, imgsize=[size], data_root=lake)
        assert len(found) == len(good) < len(table)
        for image, row in zip(found, good, strict=True):
            assert isinstance(image, ACAImage)
            assert_identical(image, row["IMGRAW"])
            assert (image.row0, image.col0) == (row["IMGROW0"], row["IMGCOL0"])
            assert row["TIME"] == image.TIME
            assert set(image.meta) == set(self.META)
            assert image.meta == {name: size if name == "IMGSIZE" else row[name] for name in self.META}

    def test_sizes_come_together_in_time_order(self, lake: Path) -> None:
        found = get_l0_images(**ALL, slot=3, data_root=lake)
        assert list(dict.fromkeys(image.shape for image in found)) == [(8, 8), (6, 6), (4, 4)]
        seconds = [image.TIME for image in found]
        assert seconds == sorted(seconds)

    def test_columns_choose_the_meta_and_the_place_is_always_there(self, lake: Path) -> None:
        for columns, names in [(["MJF"], {"MJF"}), ([], set()), ("FILENAME", {"FILENAME"}), (["IMGRAW"], set())]:
            for image in get_l0_images(**ALL, slot=6, columns=columns, data_root=lake):
                assert set(image.meta) == names | {"IMGROW0", "IMGCOL0"}

    def test_temperatures_are_in_degrees_c(self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec]) -> None:
        names = ["TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC"]
        table = tables[6, 6]
        good = table[table["QUALITY"] == 0]
        found = get_l0_images(**ALL, slot=6, columns=names, data_root=lake)
        for name in names:
            kelvin = good[name].astype(np.float64)
            assert [image.meta[name] for image in found] == pytest.approx((kelvin - 273.15).tolist(), abs=1e-5)

    def test_what_a_size_lacks_is_not_in_the_meta(self, lake: Path) -> None:
        for image in get_l0_images(**ALL, slot=3, columns=["TEMPCCD", "HD3TLM62", "QUALITY"], data_root=lake):
            assert ("TEMPCCD" in image.meta) == (image.shape != (4, 4))
            assert ("HD3TLM62" in image.meta) == (image.shape == (8, 8))
            assert image.meta["QUALITY"] == 0

    def test_nothing_found_is_an_empty_list(self, lake: Path) -> None:
        assert get_l0_images("2001:001", "2001:002", 3, data_root=lake) == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"slot": 9}, "slot 9 "),
            ({"imgsize": 5}, "imgsize 5 "),
            ({"columns": ["COLOUR"]}, "'COLOUR'"),
            ({"start": "yesterday"}, "'yesterday'"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_is_a_value_error_that_names_it(
        self, lake: Path, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            get_l0_images(**{**ALL, "slot": 3, "data_root": lake} | arguments)


class TestGetAcaImages:
    def test_every_column_is_computed_from_the_files(self, lake: Path, rows: list[dict[str, Any]]) -> None:
        found = get_aca_images(**ALL, data_root=lake)
        assert len(found) == len(rows) > 100
        same = ["TIME", "MJF", "MNF", "END_INTEG_TIME", "INTEG", "GLBSTAT", "IMGSTAT", "IMGROW0", "IMGCOL0"]
        same += ["IMGSCALE", "BGDAVG", "IMGSIZE"]
        expected = {name: [row[name] for row in rows] for name in same}
        expected |= {f"AA{name}": [row[name] for row in rows] for name in ("PIXTLM", "BGDTYP")}
        expected |= {f"IMG{name}": [row[f"IMG{name}1"] for row in rows] for name in ("FID", "NUM", "FUNC")}
        for axis in ("ROW", "COL"):
            corner = f"IMG{axis}0"
            expected[f"IMG{axis}_A1"] = [row[corner] + (row["IMGSIZE"] == 6) for row in rows]
            expected[f"{corner}_8X8"] = [row[corner] - {8: 0, 6: 1, 4: 2}[row["IMGSIZE"]] for row in rows]
        expected["IMGTYPE"] = [{8: 4, 6: 1, 4: 0}[row["IMGSIZE"]] for row in rows]
        expected["VCDUCTR"] = expected["IMG_VCDUCTR"] = [128 * row["MJF"] + row["MNF"] for row in rows]
        for byte, names in FLAGS.items():
            for bit, name in enumerate(reversed(names.split())):
                expected[name] = [bool(row[byte] & 1 << bit) for row in rows]
        expected |= {name: [row[name] >> 2 for row in rows] for name in ("COMMCNT", "COMMPROG")}
        expected["COMMCNT_CHECKSUM_FAIL"] = [bool(row["COMMCNT"] & 1) for row in rows]
        expected["COMMCNT_SYNTAX_ERROR"] = [bool(row["COMMCNT"] & 2) for row in rows]
        expected["COMMPROG_REPEAT"] = [row["COMMPROG"] & 3 for row in rows]
        for name, values in expected.items():
            assert found[name].tolist() == values, name
            assert type(found[name]) is Column, name
        maybe = ["BGDRMS", "TEMPCCD", "TEMPHOUS", "TEMPPRIM", "TEMPSEC", "BGDSTAT", *EIGHT[6:]]
        assert set(found.colnames) == {*expected, *maybe, "IMG"}
        for name in maybe:
            assert found[name].tolist() == [row.get(name) for row in rows], name

    def test_img_is_the_image_in_the_middle_of_a_masked_square(self, lake: Path, rows: list[dict[str, Any]]) -> None:
        square = get_aca_images(**ALL, data_root=lake)["IMG"]
        assert square.shape == (len(rows), 8, 8)
        for image, row in zip(square, rows, strict=True):
            inside = slice((8 - row["IMGSIZE"]) // 2, (8 + row["IMGSIZE"]) // 2)
            outside = np.ones((8, 8), bool)
            outside[inside, inside] = False
            assert image.data[inside, inside].tolist() == row["IMGRAW"]
            assert (np.ma.getmaskarray(image) == outside).all()

    def test_img_of_sql_is_the_same_square(self, lake: Path) -> None:
        square = get_aca_images(**ALL, data_root=lake)["IMG"]
        query = "SELECT IMG FROM aca_images($start, $stop)"
        assert [row for (row,) in Lake(lake).sql(query, ALL).fetchall()] == square.reshape(-1, 64).tolist()

    def test_where_nothing_is_masked_all_columns_are_plain(self, tmp_path: Path) -> None:
        path = write_file(tmp_path, 0, readouts(0, 8, times(START, START + 60, 8)))
        ingest([path], tmp_path / "lake", jobs=1)
        found = get_aca_images(**ALL, data_root=tmp_path / "lake")
        assert {type(found[name]) for name in found.colnames if name != "IMG"} == {Column}
        assert type(found["IMG"]) is MaskedColumn
        assert not found["IMG"].mask.any()
        assert len(found) > 10

    def test_nothing_found_is_an_empty_table_with_all_columns(self, lake: Path) -> None:
        found = get_aca_images("2001:001", "2001:002", data_root=lake)
        full = get_aca_images(**ALL, data_root=lake)
        assert len(found) == 0
        assert found.colnames == full.colnames
        assert [found[n].dtype for n in found.colnames] == [full[n].dtype for n in found.colnames]
        assert found["IMG"].shape == (0, 8, 8)

    @pytest.mark.parametrize(
        ("start", "stop", "message"),
        [("yesterday", 7.1e8, "'yesterday'"), (7e8, "2015:366", "'2015:366'"), (7.1e8, 7e8, "before start")],
    )
    def test_a_wrong_time_is_a_value_error_that_shows_it(self, lake: Path, start: Any, stop: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            get_aca_images(start, stop, data_root=lake)


class TestGetFiles:
    def test_paths_are_those_of_the_files_by_time_and_slot(
        self, lake: Path, paths: dict[tuple[int, int], Path]
    ) -> None:
        found = get_files(**ALL, data_root=lake)
        order = [(0, 8), (3, 8), (5, 4), (6, 6), (3, 6), (3, 4)]
        by_start = sorted(order, key=lambda key: (int(paths[key].name[4:13]), key[0]))
        assert found == [str(paths[key]) for key in by_start]
        assert all(Path(path).is_file() for path in found)

    @pytest.mark.parametrize(
        ("arguments", "keys"),
        [
            ({"slots": [3]}, {(3, 8), (3, 6), (3, 4)}),
            ({"slots": (0, np.int64(5))}, {(0, 8), (5, 4)}),
            ({"slots": []}, set()),
            ({"slots": [7]}, set()),
            ({"imgsize": 4}, {(3, 4), (5, 4)}),
            ({"imgsize": [6, 8], "slots": [3, 5]}, {(3, 8), (3, 6)}),
            ({"start": START + 70, "stop": START + 110}, {(3, 6)}),
            ({"start": START + 900}, set()),
            ({"start": START + 30, "stop": START + 30}, {(0, 8), (3, 8), (5, 4), (6, 6)}),
        ],
        ids=str,
    )
    def test_filters_choose_files(
        self, lake: Path, paths: dict[tuple[int, int], Path], arguments: dict[str, Any], keys: set[tuple[int, int]]
    ) -> None:
        found = get_files(**ALL | arguments, data_root=lake)
        assert set(found) == {str(paths[key]) for key in keys}
        assert len(found) == len(keys)

    def test_a_range_that_only_touches_a_header_interval_does_not_meet_it(
        self, lake: Path, paths: dict[tuple[int, int], Path]
    ) -> None:
        header = fits.getheader(paths[3, 6], 1)
        tstart, tstop = header["TSTART"], header["TSTOP"]
        for start, stop, found in [
            (tstart - 5, tstart, False),
            (tstart - 5, np.nextafter(tstart, 1e99), True),
            (tstop, tstop + 5, False),
            (np.nextafter(tstop, 0), tstop + 5, True),
        ]:
            files = get_files(start=start, stop=stop, slots=[3], imgsize=6, data_root=lake)
            assert files == [str(paths[3, 6])] * found

    @pytest.mark.parametrize("interval", [{}, {"start": START}, {"stop": START}, {"slots": [3]}], ids=str)
    def test_without_both_times_it_is_a_type_error(self, lake: Path, interval: dict[str, Any]) -> None:
        with pytest.raises(TypeError, match="start and stop"):
            get_files(**interval, data_root=lake)

    def test_an_observation_stands_for_the_times_of_its_default_obspar(self, demo_lake: str) -> None:
        times = obspar.get_obspar(32448, data_root=demo_lake)
        assert times is not None
        files = get_files(obsid=32448, slots=[0, 3], data_root=demo_lake)
        assert files == get_files(start=times["tstart"], stop=times["tstop"], slots=[0, 3], data_root=demo_lake)
        assert len(files) == 4

    def test_an_observation_that_is_not_known_is_missing_data(self, lake: Path) -> None:
        with pytest.raises(MissingDataError, match="8008"):
            get_files(obsid=8008, data_root=lake)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"slots": [3, 8]}, "slot 8 "),
            ({"imgsize": [5]}, "imgsize 5 "),
            ({"start": "yesterday"}, "'yesterday'"),
            ({"start": START, "stop": START - 1}, "before start"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_is_a_value_error_that_names_it(
        self, lake: Path, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            get_files(**ALL | arguments, data_root=lake)


class TestMsid:
    @pytest.mark.parametrize("name", ["TEMPCCD", "HD3TLM76", "IMGRAW", "FILENAME", "TIME"])
    def test_it_is_a_column_of_the_8x8_readouts(
        self, lake: Path, tables: dict[tuple[int, int], fits.FITS_rec], name: str
    ) -> None:
        found = MSID(name, 3, **ALL, data_root=lake)
        data = get_slot_data(**ALL, slot=3, imgsize=8, data_root=lake)
        assert (found.msid, found.slot) == (name.lower(), 3)
        lower = MSID(name.lower(), 3, **ALL, data_root=lake)
        assert_identical(lower.vals.data, found.vals.data)
        assert (found.tstart, found.tstop) == (cxcsec(ALL["start"]), cxcsec(ALL["stop"]))
        assert (found.datestart, found.datestop) == (utc(found.tstart), utc(found.tstop))
        assert isinstance(found.vals, np.ma.MaskedArray)
        assert_identical(found.vals.data, data[name].data)
        assert found.times.tolist() == tables[3, 8]["TIME"].tolist()
        assert not isinstance(found.times, np.ma.MaskedArray)

    def test_its_repr_says_what_it_is(self, lake: Path) -> None:
        text = repr(MSID("TEMPCCD", 3, **ALL, data_root=lake))
        assert re.search("tempccd.*slot 3", text)

    def test_without_8x8_readouts_it_is_empty(self, lake: Path) -> None:
        found = MSID("TEMPCCD", 6, **ALL, data_root=lake)
        assert (len(found.vals), len(found.times)) == (0, 0)

    def test_a_set_has_each_by_name_in_the_order_asked(self, lake: Path) -> None:
        names = ["TEMPHOUS", "hd3tlm62", "TEMPCCD"]
        found = MSIDset(iter(names), 3, **ALL, data_root=lake)
        assert list(found) == names
        for name in names:
            one = MSID(name, 3, **ALL, data_root=lake)
            assert isinstance(found[name], MSID)
            assert (found[name].msid, found[name].slot) == (name.lower(), 3)
            assert_identical(found[name].vals, np.asarray(one.vals))
            assert_identical(found[name].times, one.times)

    def test_a_set_has_its_times(self, lake: Path) -> None:
        found = MSIDset(["TEMPCCD"], 3, "2015:181", "2015:182:00:00:00", data_root=lake)
        assert (found.tstart, found.datestart) == (cxcsec("2015:181"), "2015:181:00:00:00.000")
        assert (found.tstop, found.datestop) == (cxcsec("2015:182"), "2015:182:00:00:00.000")
        assert (found["TEMPCCD"].tstart, found["TEMPCCD"].tstop) == (found.tstart, found.tstop)

    def test_an_unknown_column_is_missing_data(self, lake: Path) -> None:
        with pytest.raises(MissingDataError, match="'COLOUR'"):
            MSID("COLOUR", 3, **ALL, data_root=lake)
        with pytest.raises(MissingDataError, match="'COLOUR'"):
            MSIDset(["TEMPCCD", "COLOUR"], 3, **ALL, data_root=lake)

    def test_a_wrong_slot_or_time_is_a_value_error(self, lake: Path) -> None:
        with pytest.raises(ValueError, match="slot 9 "):
            MSID("TEMPCCD", 9, **ALL, data_root=lake)
        with pytest.raises(ValueError, match="'yesterday'"):
            MSIDset(["TEMPCCD"], 3, "yesterday", START, data_root=lake)


def test_the_fields_are_a_tuple_of_names_types_and_shapes() -> None:
    assert aca_l0.ACA_DTYPE[0] == ("TIME", "<f8" if sys.byteorder == "little" else ">f8")
    assert [field for field in aca_l0.ACA_DTYPE if len(field) == 3] == [("IMGRAW", np.dtype("f4").str, (64,))]
    assert [field for field in aca_l0.ACA_DTYPE_8x8 if len(field) == 3] == [("IMGRAW", np.dtype("f4").str, (8, 8))]
    assert aca_l0.ACA_DTYPE_NAMES[-2:] == ("IMGSIZE", "FILENAME")
    assert all(
        np.dtype(list(fields)).names == aca_l0.ACA_DTYPE_NAMES for fields in (aca_l0.ACA_DTYPE, aca_l0.ACA_DTYPE_8x8)
    )


def test_bits_of_bytes_are_numbers() -> None:
    found = aca_l0._extract_bits_as_uint8(np.array([0b10110101, 0b01001010], np.uint8), 2, 8)
    assert (found.tolist(), found.dtype) == ([0b101101, 0b010010], np.uint8)
    assert aca_l0._extract_bits_as_uint8(np.array([0b10110101, 0b01001010], np.uint8), 0, 1).tolist() == [1, 0]
    assert aca_l0._extract_bits_as_uint8(np.array([255], np.uint8), 0, 8).tolist() == [255]


def test_the_flags_are_columns_of_the_images(lake: Path) -> None:
    names = {*aca_l0.GLBSTAT_NAMES, *aca_l0.IMGSTAT_NAMES}
    assert len(names) == 14
    table = get_aca_images(**ALL, data_root=lake)
    assert {table[name].dtype for name in names} == {np.dtype(bool)}
    for byte, first, flags in (("GLBSTAT", 7, aca_l0.GLBSTAT_NAMES), ("IMGSTAT", 5, aca_l0.IMGSTAT_NAMES)):
        for bit, name in enumerate(flags):
            values = aca_l0._extract_bits_as_uint8(np.array(table[byte]), first - bit, first - bit + 1)
            assert (values == np.array(table[name])).all(), name


@pytest.mark.parametrize("imgsize", [4, 6, 8, [4, 8]])
def test_images_of_one_size_alone(lake: Path, imgsize: Any) -> None:
    everything = get_aca_images(**ALL, data_root=lake)
    found = get_aca_images(**ALL, data_root=lake, imgsize=imgsize)
    assert len(found) == np.isin(everything["IMGSIZE"], imgsize).sum() > 0
    assert set(found["IMGSIZE"]) == set(np.atleast_1d(imgsize))
    assert type(found["IMG"]) is MaskedColumn
    with pytest.raises(ValueError, match="imgsize 7 "):
        get_aca_images(**ALL, data_root=lake, imgsize=[7])


def test_rows_at_exactly_start_and_stop_are_there(lake: Path) -> None:
    times = get_slot_data(**ALL, slot=3, data_root=lake)["TIME"].data
    found = get_slot_data(times[3], times[7], 3, data_root=lake)["TIME"].tolist()
    assert found == times[3:8].tolist()
