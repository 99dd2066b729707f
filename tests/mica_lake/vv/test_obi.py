"""The residuals of an observation: as mica has them, as simulated, by definition, and what is wrong with files."""

import gzip
import io
import json
import math
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from mica_lake.errors import MissingDataError
from mica_lake.simulate import asp_l1, obspar
from mica_lake.simulate.observations import Observation, observations
from mica_lake.vv import residuals
from mica_lake.vv.limits import limits
from mica_lake.vv.obi import VV_VERSION, Obi
from mica_lake.vv.residuals import fid_angles, running_median, star_angles

OF_INFO = [
    *("obsid", "revision", "tstart", "tstop", "sim_z", "sim_z_offset", "ra_pnt", "dec_pnt", "roll_pnt", "instrument"),
    *("aspect_1_id", "ap_date", "intervals", "slots", "sim", "gsprops", "fidprops", "vv_version", "errors"),
]
OF_ROW = [
    *("obsid", "revision", "isdefault", "aspect_1_id", "used", "vv_version", "ap_date", "tstart", "tstop", "sim_z"),
    *("sim_z_offset", "instrument", "ra_pnt", "dec_pnt", "roll_pnt", "slot", "type", "n_pts", "rad_off"),
    *("frac_dy_big", "frac_dz_big", "frac_mag_big", "mean_y", "mean_z"),
    *(f"{name}_{kind}" for name in ("dy", "dz", "dr", "mag") for kind in ("mean", "med", "rms")),
    "mean_aacccdpt",
]
PROCESSED: dict[str, Any] = {
    "isdefault": 1,
    "aspect_1_id": 77,
    "ap_date": "2020-01-03T00:00:00",
    "mean_aacccdpt": -11.5,
}

Files = tuple[Path, Path]


def written(root: Path, observation: Observation, revision: int) -> Files:
    """The obspar and the folder of products of a simulated revision."""
    path = obspar.write_obspar(root, observation, revision)
    return path, asp_l1.write_products(root, observation, revision)[0].parent


def short(test: Callable[[Observation], bool], seconds: float = 1500) -> Observation:
    """A simulated science observation, made short."""
    found = next(o for o in observations(6.8e8, 6.83e8) if o.detector != "NONE" and test(o))
    return replace(found, tstop=found.tstart + seconds)


def of_kind(root: Path, kinds: dict[str, Files]) -> dict[str, Files]:
    """Write observations until there is one of each kind: of one interval, of two, and of two with a monitor."""
    template = short(lambda o: o.last < 3, 900)
    for obsid in range(20000, 20100):
        observation = replace(template, obsid=obsid)
        files = written(root, observation, observation.last)
        with fits.open(min(files[1].glob("*_gspr1.fits.gz"))) as hdus:
            monitor = str(hdus[1].data["type"][4]).strip() == "MONITOR"
        kinds.setdefault("monitor" if monitor else f"{len(list(files[1].iterdir())) // 6}", files)
        if len(kinds) == 3:
            return kinds
    raise AssertionError("no such observation")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """Observations of one interval ('1'), of two ('2'), and of two with a monitor ('monitor')."""
    return of_kind(tmp_path_factory.mktemp("kinds"), {})


@pytest.fixture(scope="module", params=["old", "new"])
def simulated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An observation of one interval, its aspect solution of the old or of the new kind."""
    root = tmp_path_factory.mktemp(request.param)
    template = short(lambda o: (o.last >= 3) == (request.param == "new"), 6000)
    for obsid in range(20000, 20010):
        observation = replace(template, obsid=obsid)
        files = written(root, observation, observation.last)
        if len(list(files[1].iterdir())) == 6:
            return files
    raise AssertionError("no such observation")


@pytest.fixture
def own(kinds: dict[str, Files], tmp_path: Path) -> Files:
    """A copy of the observation of two intervals, to be spoilt."""
    shutil.copytree(kinds["2"][1], tmp_path / "asp1")
    return kinds["2"][0], tmp_path / "asp1"


def product(folder: Path, kind: str, interval: int = 0) -> Path:
    return sorted(folder.glob(f"*_{kind}1.fits*"))[interval]


def change(path: Path, **columns: Any) -> None:
    """Write a product anew with other columns (None to leave one out), and keywords where names are upper case."""
    with fits.open(path) as hdus:
        table, header = hdus[1].data, hdus[1].header
        kept = [column for column in table.columns if columns.get(column.name, 0) is not None]
        hdu = fits.BinTableHDU.from_columns(fits.ColDefs(kept), header=header)
        for name, value in columns.items():
            if name.isupper() and value is None:
                del hdu.header[name]
            elif name.isupper():
                hdu.header[name] = value
            elif value is not None:
                hdu.data[name] = value
        content = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(content)
    path.write_bytes(gzip.compress(content.getvalue(), 1))


def odd_names(path: Path) -> None:
    """Give the columns of a product other names that are the same to FITS: in the other case, with a blank behind."""

    def other(card: re.Match[bytes]) -> bytes:
        return (card[1] + b"'%s '" % card[2].rstrip().swapcase()).ljust(len(card[0]))

    content = gzip.decompress(path.read_bytes())
    changed, count = re.subn(rb"(TTYPE\d+ *= )'([^']*)' *", other, content)
    assert count and len(changed) == len(content)
    path.write_bytes(gzip.compress(changed, 1))


def few(folder: Path, *slots: int) -> None:
    """Leave no other slots, as pictures take their time."""
    for interval, acen in enumerate(sorted(folder.glob("*_acen1.fits.gz"))):
        slot = columns(acen)["slot"]
        change(product(folder, "acen", interval), slot=np.where(np.isin(slot, slots), slot, 99))


def columns(path: Path) -> dict[str, Any]:
    with fits.open(path) as hdus:
        return {name: np.array(hdus[1].data[name]) for name in hdus[1].data.names}


@pytest.fixture(scope="module")
def archive(golden_ska: Path) -> Path:
    """The archive that mica was asked about."""
    return golden_ska / "data/mica/archive"


class TestGolden:
    """The answers of mica about the archive that `make_archive.py` writes."""

    def obi(self, archive: Path, key: str) -> Obi:
        _, obsid, revision, *_ = key.split("|")
        folder = f"{int(obsid):05d}"[:2], f"{int(obsid):05d}_v{int(revision):02d}"
        return Obi(next((archive / "obspar").joinpath(*folder).iterdir()), (archive / "asp1").joinpath(*folder))

    def check(self, found: Any, expected: Any, where: str) -> None:
        if isinstance(expected, dict):
            assert set(found) == set(expected), where
            for name in expected:
                self.check(found[name], expected[name], f"{where} {name}")
        elif isinstance(expected, float):
            # Angles of up to 2500 arcsec are taken from one another: 1e-10 arcsec is what is left of their digits.
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-10), where
        else:
            assert (found, type(found)) == (expected, type(expected)), where

    def test_info_is_that_of_mica(self, shared: Path, archive: Path) -> None:
        answers = json.loads((shared / "golden" / "archive.json").read_text())
        keys = [key for key in answers if key.startswith("obi.info|")]
        assert len(keys) == 5
        for key in keys:
            info = self.obi(archive, key).info()
            assert list(info) == OF_INFO
            # The answers leave these out.
            for name in ("intervals", "gsprops", "fidprops", "aspect_1_id", "ap_date"):
                del info[name]
            self.check(info, answers[key], key)

    def test_residuals_are_those_of_mica(self, shared: Path, archive: Path) -> None:
        with np.load(shared / "golden" / "archive.npz") as answers:
            expected = {key: answers[key] for key in answers if key.startswith("obi.resid|")}
        assert len(expected) == 40
        observed = {key: self.obi(archive, key) for key in {key.rpartition("|")[0] for key in expected}}
        for key, sums in expected.items():
            observation, _, slot = key.rpartition("|")
            data = observed[observation].all_slot_data[int(slot)]
            names = ("dy", "dz", "dr", "mag", "yag", "zag", "time")
            found = [data[name].sum() for name in names]
            assert {type(data[name]) for name in names if name != "mag"} == {np.ndarray}
            assert found == pytest.approx(sums, rel=1e-9, abs=1e-7), key

    def test_rows_have_the_columns_of_the_table(self, shared: Path, archive: Path) -> None:
        listed = json.loads((shared / "tools" / "stat_columns.json").read_text())["vv"]
        rows = self.obi(archive, "|2121|3").rms_rows(**PROCESSED)
        kinds: dict[str, type] = {"i": int, "f": float, "S": str}
        assert {name: kinds[np.dtype(code).kind] for name, code in listed} == {
            name: type(value) for name, value in rows[0].items()
        }
        assert list(rows[0]) == [name for name, _ in listed]


class TestSimulated:
    """Residuals are the noise that was put in."""

    def test_stars(self, simulated: Files) -> None:
        obi = Obi(*simulated)
        magnitudes = columns(product(simulated[1], "gspr"))["mag_aca"]
        assert list(obi.all_slot_data) == list(range(8))
        for slot, magnitude in zip(range(3, 8), magnitudes, strict=True):
            report, noise = obi.slot_report[str(slot)], 0.05 * 10 ** (0.2 * (magnitude - 7))
            for axis in ("dy", "dz"):
                assert report[f"{axis}_rms"] == pytest.approx(noise, rel=0.06)
                assert abs(report[f"{axis}_mean"]) < 5 * noise / math.sqrt(report["n_pts"])
            # Of two axes alike the distance has a Rayleigh distribution.
            assert report["dr_med"] == pytest.approx(noise * math.sqrt(2 * math.log(2)), rel=0.06)
            assert report["enc_rad1"] == pytest.approx(noise * math.sqrt(-2 * math.log(0.32)), rel=0.06)
            assert report["enc_rad2"] == pytest.approx(noise * math.sqrt(-2 * math.log(0.05)), rel=0.06)
            assert report["mag_med"] == pytest.approx(magnitude, abs=0.01)
            assert (report["type"], report["cel_loc_flag"]) == ("GUIDE", 1 if report["id_status"] == "GOOD" else 0)

    def test_fids(self, simulated: Files) -> None:
        obi = Obi(*simulated)
        for slot in range(3):
            report = obi.slot_report[str(slot)]
            for axis in ("dy", "dz"):
                assert report[f"{axis}_rms"] == pytest.approx(0.02 / math.sqrt(5), rel=0.12)
                assert abs(report[f"{axis}_med"]) < 0.002
            assert (report["type"], report["id_status"]) == ("FID", "GOOD")
            assert "cel_loc_flag" not in report
            assert limits(report) == []

    def test_slot_data(self, simulated: Files) -> None:
        """Arrays are what they say, of the centroids of alg 8 within the aspect solution."""
        obi = Obi(*simulated)
        acen, time = columns(product(simulated[1], "acen")), columns(product(simulated[1], "asol"))["time"]
        within = (acen["alg"] == 8) & (acen["time"] >= time[0]) & (acen["time"] <= time[-1])
        for slot, data in obi.all_slot_data.items():
            rows = {name: column[within & (acen["slot"] == slot)] for name, column in acen.items()}
            assert set(data) == {
                *("time", "qual", "dy", "dz", "dr", "mag", "yag", "zag", "counts"),
                *("ang_y", "ang_z", "ang_y_sm", "ang_z_sm"),
            }
            assert {len(values) for values in data.values()} == {len(rows["time"])}
            assert {name for name, values in data.items() if isinstance(values, np.ma.MaskedArray)} == {"mag"}
            assert all(values.dtype == (np.int32 if name == "qual" else np.float64) for name, values in data.items())
            assert np.array_equal(data["time"], rows["time"])
            assert np.array_equal(data["qual"], rows["status"])
            assert (data["qual"] != 0).any()
            suffix = "_sm" if slot < 3 else ""
            for axis in "yz":
                assert np.array_equal(data[f"ang_{axis}"], rows[f"ang_{axis}"])
                assert np.array_equal(data[f"d{axis}"], 3600 * rows[f"ang_{axis}{suffix}"] - data[f"{axis}ag"])
            # On so small a piece of the sphere that is near enough, but for the cosine of the z angle.
            flat = np.hypot(data["dy"] * np.cos(data["zag"] / residuals.R2A), data["dz"])
            assert np.allclose(data["dr"], flat, rtol=1e-4, atol=1e-7)
            assert np.array_equal(data["mag"].mask, rows["counts"] <= 10)

    def test_magnitudes(self, simulated: Files) -> None:
        """A magnitude is the median of its own and its neighbours', those without one left out."""
        data = Obi(*simulated).all_slot_data[4]
        counts = data["counts"][data["counts"] > 10]
        raw = 10.32 - 2.5 * np.log10(counts / 1.696 / 5263)
        assert data["mag"].compressed()[1:-1] == pytest.approx([np.median(raw[i : i + 3]) for i in range(len(raw) - 2)])
        assert data["mag"].mask.sum() == len(data["mag"]) - len(counts)

    def test_statistics_are_by_definition(self, simulated: Files) -> None:
        obi = Obi(*simulated)
        for slot, data in obi.all_slot_data.items():
            report = obi.slot_report[str(slot)]
            for name in ("dr", "dy", "dz", "mag"):
                mask = data[name].mask if name == "mag" else data["qual"] != 0
                good = sorted(value for value, bad in zip(np.ma.getdata(data[name]), mask, strict=True) if not bad)
                middle = len(good) // 2
                median = good[middle] if len(good) % 2 else (good[middle - 1] + good[middle]) / 2
                assert report[f"{name}_n_samples"] == report["n_pts"] == len(mask)
                assert report[f"{name}_bad_samples"] == sum(mask)
                assert report[f"{name}_mean"] == pytest.approx(sum(good) / len(good))
                assert report[f"{name}_med"] == pytest.approx(median)
                squares = sum((value - median) ** 2 for value in good)
                assert report[f"{name}_rms"] == pytest.approx(math.sqrt(squares / len(good)))
                assert report[f"frac_{name}_big"] == sum(abs(value - median) > 0.7 for value in good) / len(mask)
            suffix = "_sm" if slot < 3 else ""
            assert report["rad_off"] == pytest.approx(math.hypot(report["dy_med"], report["dz_med"]))
            assert report["mean_y"] == pytest.approx(sum(data[f"ang_y{suffix}"]) / len(data["dy"]))
            assert report["mean_z"] == pytest.approx(sum(data[f"ang_z{suffix}"]) / len(data["dz"]))
            for radius, percent in (("enc_rad1", 68), ("enc_rad2", 95)):
                inside = (data["dr"] <= report[radius]).mean()
                assert inside == pytest.approx(percent / 100, abs=1 / len(data["dr"]))
            assert report["slot"] == slot

    def test_info(self, simulated: Files) -> None:
        obi = Obi(*simulated)
        info = obi.info()
        assert list(info) == OF_INFO
        assert (info["vv_version"], info["errors"], obi.errors) == (VV_VERSION, [], [])
        header = fits.getheader(product(simulated[1], "asol"), 1)
        assert info["intervals"] == [
            {name: header[name] for name in (*("ASCDSVER", "CALDBVER", "DATE", "OBI_NUM"), *("OBS_ID", "REVISION"))}
            | {name: header[name] for name in ("TSTART", "TSTOP")}
        ]
        assert (info["obsid"], info["revision"]) == (int(header["OBS_ID"]), header["REVISION"])
        assert info["instrument"] == obi.obspar["detnam"]
        assert info["slots"] == obi.slot_report
        (gsprops,), (fidprops,) = info["gsprops"], info["fidprops"]
        stars, lights = columns(product(simulated[1], "gspr")), columns(product(simulated[1], "fidpr"))
        assert [row["slot"] for row in gsprops] == obi.guide_list == [3, 4, 5, 6, 7]
        assert [row["slot"] for row in fidprops] == obi.fid_list == [0, 1, 2]
        assert [row["pos_eci"] for row in gsprops] == stars["pos_eci"].tolist()
        assert [row["agasc_id"] for row in gsprops] == stars["agasc_id"].tolist()
        assert [row["type"] for row in gsprops] == ["GUIDE"] * 5
        assert [row["id_string"] for row in fidprops] == [text.strip() for text in lights["id_string"].tolist()]
        assert (info["aspect_1_id"], info["ap_date"]) == (None, None)
        assert info["sim"] == obi.sim_report
        assert json.loads(json.dumps(info, allow_nan=False)) == info
        # The drift that was put in, in mm, and 20 arcsec to each.
        assert info["sim"]["min_medf_dy"] == pytest.approx(6, abs=0.03)
        assert info["sim"]["max_medf_dz"] - info["sim"]["min_medf_dz"] == pytest.approx(20 * 2e-4 * 6, abs=2e-3)
        assert 0 < info["sim"]["max_d_dy"] < 1e-3
        info["slots"]["5"]["type"] = "changed"
        assert obi.info()["slots"]["5"]["type"] == "GUIDE"

    def test_rows(self, simulated: Files) -> None:
        obi = Obi(*simulated)
        rows = obi.rms_rows(**PROCESSED)
        assert [row["slot"] for row in rows] == list(range(8))
        for row in rows:
            assert list(row) == OF_ROW
            report = obi.slot_report[str(row["slot"])]
            assert row["used"] == report.get("cel_loc_flag", 1)
            for name in OF_ROW:
                if name in PROCESSED or name in report or name in obi.info():
                    assert row[name] == {**obi.info(), **report, **PROCESSED}[name]


class TestIntervals:
    """Observations of several aspect intervals."""

    def test_two_are_joined_and_told(self, kinds: dict[str, Files]) -> None:
        obi = Obi(*kinds["2"])
        first, second = obi.aspect_intervals
        assert first.header["TSTART"] < first.header["TSTOP"] < second.header["TSTART"]
        assert first.name == product(kinds["2"][1], "asol").name.partition("_")[0]
        for slot, data in obi.all_slot_data.items():
            parts = [interval.slot_data[slot] for interval in obi.aspect_intervals]
            for name, values in data.items():
                assert np.array_equal(np.ma.getdata(values), np.concatenate([np.ma.getdata(p[name]) for p in parts]),
                                      equal_nan=True)  # fmt: skip
                assert np.array_equal(
                    np.ma.getmaskarray(values), np.concatenate([np.ma.getmaskarray(p[name]) for p in parts])
                )
            assert obi.slot_report[str(slot)]["n_pts"] == sum(len(part["time"]) for part in parts)
        assert obi.errors == [f"Warning: obsid {obi.info()['obsid']} has 2 aspect intervals"]
        assert len(obi.info()["intervals"]) == 2
        assert [[row["slot"] for row in rows] for rows in obi.info()["gsprops"]] == [[3, 4, 5, 6, 7]] * 2
        assert [[row["slot"] for row in rows] for rows in obi.info()["fidprops"]] == [[0, 1, 2]] * 2

    def test_the_step_between_intervals_is_no_drift(self, own: Files) -> None:
        path = product(own[1], "asol", 1)
        old = "dy" if "ady" not in columns(path) else "ady"
        before = Obi(*own).info()["sim"]
        change(path, **{old: columns(path)[old] + 1})
        after = Obi(*own).info()["sim"]
        assert after["max_d_dy"] == pytest.approx(before["max_d_dy"])
        assert after["max_medf_dy"] > before["min_medf_dy"] + 19

    def test_with_a_monitor_there_should_be_two(self, kinds: dict[str, Files], tmp_path: Path) -> None:
        files, folder = kinds["monitor"]
        obi = Obi(files, folder)
        assert obi.errors == []
        assert obi.slot_report["7"]["type"] == "MONITOR"
        shutil.copytree(folder, tmp_path / "one")
        product(tmp_path / "one", "asol", 1).unlink()
        alone = Obi(files, tmp_path / "one")
        assert alone.errors == [f"Warning: monitor window obsid {alone.info()['obsid']} has 1 aspect intervals"]

    def test_what_differs_is_told_and_the_first_is_reported(self, own: Files) -> None:
        status = columns(product(own[1], "gspr"))["id_status"]
        gspr = product(own[1], "gspr", 1)
        change(gspr, id_status=["SPOILER", *status[1:]], type=["GUIDE"] * 4 + ["MONITOR"], cel_loc_flag=[0, 1, 1, 1, 1])
        flags = columns(product(own[1], "gspr"))["cel_loc_flag"].tolist()
        change(product(own[1], "gspr"), cel_loc_flag=[1, *flags[1:]], id_status=["GOOD", *status[1:]])
        change(gspr, cel_loc_flag=[0, *flags[1:]])
        obi = Obi(*own)
        # With the monitor two intervals are right.
        assert obi.errors == [
            "Warning: id_status of slot 3 differs between aspect intervals: GOOD, SPOILER",
            "Warning: cel_loc_flag of slot 3 differs between aspect intervals: 1, 0",
            "Warning: type of slot 7 differs between aspect intervals: GUIDE, MONITOR",
        ]
        assert obi.slot_report["3"]["id_status"] == "GOOD"
        assert obi.slot_report["7"]["type"] == "GUIDE"
        assert obi.info()["errors"] == obi.errors

    def test_a_slot_in_one_of_them_is_told(self, own: Files) -> None:
        path = product(own[1], "acen", 0)
        acen = columns(path)
        # A star needs two centroids, a fid light one.
        slot = acen["slot"].copy()
        (star,), (fid,) = (np.flatnonzero((slot == n) & (acen["alg"] == 8))[5:6] for n in (4, 1))
        slot[(slot == 4) | (slot == 1)] = 99
        slot[star], slot[fid] = 4, 1
        change(path, slot=slot)
        obi = Obi(*own)
        assert obi.errors[1:] == ["Warning: slot 4 has data in 1 of 2 aspect intervals"]
        assert list(obi.all_slot_data) == list(range(8))
        assert 4 not in obi.aspect_intervals[0].slot_data
        assert len(obi.aspect_intervals[0].slot_data[1]["time"]) == 1
        assert obi.slot_report["4"]["n_pts"] == len(obi.aspect_intervals[1].slot_data[4]["time"])

    @pytest.mark.parametrize(
        ("changed", "message"), [({"OBS_ID": "4"}, "of obsids 4, "), ({"REVISION": 99}, r"of revisions \d, 99")]
    )
    def test_of_different_observations_is_refused(self, own: Files, changed: dict[str, Any], message: str) -> None:
        change(product(own[1], "asol", 1), **changed)
        with pytest.raises(ValueError, match=f"{own[1]}: its aspect intervals are {message}"):
            Obi(*own)

    def test_of_another_observation_than_the_obspar_is_refused(self, own: Files) -> None:
        for interval in (0, 1):
            change(product(own[1], "asol", interval), OBS_ID="4")
        with pytest.raises(ValueError, match=r"asp1 is of obsid 4, .*par.gz of \d+: give those of one observation"):
            Obi(*own)


class TestFinding:
    """Which products are taken."""

    def numbers(self, files: Files) -> str:
        return json.dumps(Obi(*files).info())

    def test_a_processing_folder(self, kinds: dict[str, Files], tmp_path: Path) -> None:
        """Of each ASP_L1_* the out* of the highest number is taken."""
        path, folder = kinds["2"]
        for number, interval in enumerate(Obi(path, folder).aspect_intervals):
            for out in ("out1", "out9", "out10"):
                target = tmp_path / f"ASP_L1_{number}" / out
                target.mkdir(parents=True)
                if out == "out10":
                    for found in folder.glob(f"{interval.name}_*"):
                        shutil.copy(found, target)
                else:
                    (target / "pcadf0N001_asol1.fits").write_text("not to be read")
        assert self.numbers((path, tmp_path)) == self.numbers((path, folder))

    def test_gzipped_or_not_or_both(self, kinds: dict[str, Files], own: Files) -> None:
        path, folder = own
        for found in list(folder.glob("*.gz")):
            (folder / found.stem).write_bytes(gzip.decompress(found.read_bytes()))
        (folder / "pcadf1N001_asol1.fits.part").write_text("half of it")
        assert self.numbers(own) == self.numbers(kinds["2"])
        for found in list(folder.glob("*.gz")):
            found.unlink()
        assert self.numbers(own) == self.numbers(kinds["2"])
        assert isinstance(Obi(str(path), str(folder)), Obi)

    def test_solutions_of_whole_observations_and_of_other_times_are_left_out(
        self, kinds: dict[str, Files], own: Files
    ) -> None:
        before = self.numbers(own)
        whole = own[1] / "pcadf20000_000N001_asol1.fits.gz"
        shutil.copy(product(own[1], "asol"), whole)
        change(whole, CONTENT="ASPSOLOBI")
        other = own[1] / "pcadf000000009N001_asol1.fits.gz"
        shutil.copy(product(own[1], "asol", 1), other)
        # It ends as the observation begins.
        change(other, TSTART=9.0, TSTOP=Obi(*kinds["2"]).obspar["tstart"])
        assert self.numbers(own) == before

    def test_no_aspect_interval(self, own: Files, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(
            MissingDataError, match=r"empty: it has no aspect solution for .* give the folder of its pcad"
        ):
            Obi(own[0], tmp_path / "empty")
        with pytest.raises(MissingDataError, match="none: there is no such folder"):
            Obi(own[0], tmp_path / "none")
        for interval in (0, 1):
            change(product(own[1], "asol", interval), TSTART=1.0, TSTOP=2.0)
        with pytest.raises(MissingDataError, match="asp1: none of its 2 aspect solutions overlaps"):
            Obi(*own)

    @pytest.mark.parametrize("kind", ["acal", "acen", "gspr", "fidpr"])
    def test_a_product_is_missing(self, own: Files, kind: str) -> None:
        path = product(own[1], kind, 1)
        path.unlink()
        with pytest.raises(MissingDataError, match=rf"{own[1]}: {path.name[:-3]}\(.gz\), which belongs to .* fetch it"):
            Obi(*own)

    def test_quality_is_not_needed(self, own: Files) -> None:
        product(own[1], "aqual").unlink()
        assert len(Obi(*own).aspect_intervals) == 2


class TestBadFiles:
    """Files that are damaged, or of another kind."""

    @pytest.mark.parametrize("kind", ["asol", "acal", "acen", "gspr", "fidpr"])
    @pytest.mark.parametrize("spoil", ["text", "empty", "half of the gzip", "half of the table", "no table"])
    def test_it_is_named(self, own: Files, kind: str, spoil: str) -> None:
        path = product(own[1], kind)
        content = path.read_bytes()
        whole = gzip.decompress(content)
        # Two header blocks and what is there of the table.
        half = len(whole) - 2880 if kind in ("acal", "gspr", "fidpr") else len(whole) // 2
        path.write_bytes(
            {
                "text": b"not a FITS file",
                "empty": b"",
                "half of the gzip": content[: len(content) // 2],
                "half of the table": gzip.compress(whole[:half], 1),
                "no table": gzip.compress(whole[:2880], 1),
            }[spoil]
        )
        with pytest.raises(
            ValueError, match=rf"{path}: it is damaged, or not a FITS file with a table \(.+\): copy it again"
        ):
            Obi(*own)

    @pytest.mark.parametrize(
        ("kind", "spoilt"),
        [
            *(("asol", {name: None}) for name in ("time", "CONTENT", "TSTART", "DATE")),
            *(("acen", {name: None}) for name in ("ang_y_sm", "status", "INTGTIME")),
            *(("fidpr", {name: None}) for name in ("LSI0STT2", "STT0STF3", "RRC0FCX")),
            ("acal", {"fts_misalign": None}),
        ],
    )
    def test_a_column_or_keyword_is_missing(self, own: Files, kind: str, spoilt: dict[str, None]) -> None:
        (name,) = spoilt
        change(product(own[1], kind), **spoilt)
        what = f"its header lacks {name}" if name.isupper() else f"it has no column {name}"
        with pytest.raises(ValueError, match=f"{product(own[1], kind)}: {what}, so it is not a product of this kind"):
            Obi(*own)

    @pytest.mark.parametrize(("kind", "name"), [("gspr", "pos_eci"), ("gspr", "slot"), ("fidpr", "p_lsi")])
    def test_a_column_of_properties_is_missing(self, own: Files, kind: str, name: str) -> None:
        change(product(own[1], kind), **{name: None})
        with pytest.raises(ValueError, match=f"{product(own[1], kind)}: it has no column {name}"):
            Obi(*own)

    @pytest.mark.parametrize("kind", ["asol", "acal"])
    def test_there_are_no_rows(self, own: Files, kind: str) -> None:
        path = product(own[1], kind)
        with fits.open(path) as hdus:
            hdu = fits.BinTableHDU(hdus[1].data[:0], hdus[1].header)
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
        with pytest.raises(ValueError, match=f"{path}: it has no rows"):
            Obi(*own)

    def test_the_obspar(self, own: Files, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"none\.par\.gz"):
            Obi(tmp_path / "none.par.gz", own[1])
        text = gzip.decompress(own[0].read_bytes()).decode()
        for content, message in [
            (b"", "it is damaged, or not an obspar"),
            (gzip.compress(b"a,b\n"), "it is damaged, or not an obspar"),
            (gzip.compress(b"tstart,r,h,one,,,\n"), "it is damaged, or not an obspar .*'one'"),
            (gzip.compress(text.replace("detnam", "other").replace("sim_z,", "x,").encode()), "it lacks sim_z, detnam"),
        ]:
            path = tmp_path / "spoilt.par.gz"
            path.write_bytes(content)
            with pytest.raises(ValueError, match=f"{path}: {message}"):
                Obi(path, own[1])

    def test_samples_without_any_good_one_give_no_numbers(self, own: Files, tmp_path: Path) -> None:
        for interval in (0, 1):
            acen = columns(product(own[1], "acen", interval))
            five = acen["slot"] == 5
            change(
                product(own[1], "acen", interval),
                status=np.where(five, 3, acen["status"]),
                counts=np.where(five, 10.0, acen["counts"]),
            )
        obi = Obi(*own)
        report = obi.slot_report["5"]
        for name in ("dr", "dy", "dz", "mag"):
            assert report[f"{name}_bad_samples"] == report[f"{name}_n_samples"] > 0
            assert [report[f"{name}_{kind}"] for kind in ("mean", "med", "rms")] == [None] * 3
            assert report[f"frac_{name}_big"] == 0
        assert report["rad_off"] is None
        (row,) = (row for row in obi.rms_rows(**PROCESSED) if row["slot"] == 5)
        assert all(math.isnan(float(row[name])) for name in ("dy_rms", "mag_med", "rad_off"))
        assert 0 < report["enc_rad1"] < report["enc_rad2"]
        pytest.importorskip("matplotlib")
        few(own[1], 5)
        saved = json.loads(Obi(*own).save(tmp_path / "vv")[-1].read_text())
        assert saved["slots"]["5"]["dy_rms"] is None
        assert {found.name for found in limits(saved["slots"]["5"])} == {"dy_rms", "dz_rms", "rad_off"}


class TestParts:
    """The functions of which the residuals are made."""

    @pytest.mark.parametrize("width", [3, 21])
    @pytest.mark.parametrize("count", [0, 1, 2, 10, 11, 22, 500])
    def test_running_median(self, width: int, count: int) -> None:
        values = np.random.default_rng(count).normal(5, 1, count)
        half = width // 2
        padded = [0.0] * half + values.tolist() + [0.0] * half
        expected = [sorted(padded[i : i + width])[half] for i in range(count)]
        assert running_median(values, width).tolist() == (values.tolist() if count <= half else expected)

    def test_running_median_of_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is sorted at a time does not matter."""
        values = np.random.default_rng(0).normal(size=1000)
        whole = running_median(values, 21)
        monkeypatch.setattr(residuals, "_BLOCK", 7)
        assert np.array_equal(running_median(values, 21), whole)

    def test_a_star_at_the_attitude_is_in_the_middle(self) -> None:
        """A turn about z moves a star to lower y angles, one about y to higher z angles."""
        half = math.radians(100 / 3600) / 2
        turned = np.array(
            [[0, 0, 0, 1.0], [0, 0, math.sin(half), math.cos(half)], [0, math.sin(half), 0, math.cos(half)]]
        )
        y, z = star_angles(turned, np.eye(3), np.array([1.0, 0, 0]))
        assert y == pytest.approx([0, -100, 0], abs=1e-4)
        assert z == pytest.approx([0, 0, 100], abs=1e-4)

    def test_a_light_is_seen_mirrored(self) -> None:
        """Light and drift add up, a turn of a quarter takes y to z, and the misalignment turns all."""
        still, moved = np.zeros(3), np.array([0, 2.0, 0])
        turned = np.array([0, 0, 90.0])
        y, z = fid_angles((moved, still, turned), np.eye(3), np.array([0, 10.0, 20.0]), 1e4)
        scale = residuals.R2A / 1e4
        assert y == pytest.approx([-10 * scale, -12 * scale, -20 * scale], rel=1e-5)
        assert z == pytest.approx([-20 * scale, -20 * scale, 10 * scale], rel=1e-5)
        swapped = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
        assert np.array_equal(fid_angles((moved, still, turned), swapped, np.array([0, 10.0, 20.0]), 1e4), (z, y))


class TestOddSamples:
    """Numbers that are not there, and what that changes."""

    def at(self, folder: Path, slot: int) -> Any:
        """Places of the centroids of a slot that are good, within the first aspect interval."""
        acen = columns(product(folder, "acen"))
        times = columns(product(folder, "asol"))["time"]
        inside = (acen["time"] >= times[0]) & (acen["time"] <= times[-1])
        return np.flatnonzero((acen["slot"] == slot) & (acen["alg"] == 8) & (acen["status"] == 0) & inside)[[7, 8, 40]]

    @pytest.mark.parametrize(("slot", "name"), [(4, "ang_y"), (4, "ang_z"), (1, "ang_y_sm"), (1, "ang_z_sm")])
    @pytest.mark.parametrize("odd", [math.nan, math.inf])
    def test_an_angle_that_is_no_number_is_as_one_of_bad_status(
        self, own: Files, slot: int, name: str, odd: float
    ) -> None:
        path, places = product(own[1], "acen"), self.at(own[1], slot)
        acen = columns(path)
        before = Obi(*own)
        marked, spoilt = acen["status"].copy(), acen[name].copy()
        marked[places], spoilt[places] = 3, odd
        change(path, status=marked)
        expected = Obi(*own)
        change(path, status=acen["status"], **{name: spoilt})
        found = Obi(*own)
        of_slot = found.slot_report[str(slot)]
        assert of_slot["dy_bad_samples"] == before.slot_report[str(slot)]["dy_bad_samples"] + 3
        for key, report in expected.slot_report.items():
            for number, value in report.items():
                # These are over all samples, whatever their status.
                if key != str(slot) or not number.startswith(("mean_", "enc_")):
                    assert found.slot_report[key][number] == value, (key, number)
        quality = found.all_slot_data[slot]["qual"]
        assert np.count_nonzero(quality == -1) == 3
        assert np.array_equal(quality != 0, expected.all_slot_data[slot]["qual"] != 0)
        data = found.all_slot_data[slot][name]
        (mean,) = (of_slot[f"mean_{axis}"] for axis in "yz" if f"_{axis}" in name)
        assert mean == pytest.approx(data[np.isfinite(data)].mean(), rel=1e-12)
        distance = found.all_slot_data[slot]["dr"]
        assert [of_slot["enc_rad1"], of_slot["enc_rad2"]] == pytest.approx(
            np.percentile(distance[np.isfinite(distance)], (68, 95)), rel=1e-12
        )
        json.dumps(found.info(), allow_nan=False)

    def test_counts_that_are_no_number_concern_that_magnitude_alone(self, own: Files) -> None:
        path, places = product(own[1], "acen"), self.at(own[1], 3)
        counts = columns(path)["counts"].copy()
        counts[places] = 5.0
        change(path, counts=counts)
        expected = Obi(*own)
        for odd in (math.nan, math.inf):
            counts[places] = odd
            change(path, counts=counts)
            found = Obi(*own)
            # As with too few counts; and nothing else changes, in this slot and in the others.
            assert found.slot_report == expected.slot_report
            assert found.slot_report["3"]["mag_bad_samples"] >= 3

    def test_a_drift_that_is_no_number_leaves_the_extremes_of_the_others(self, own: Files) -> None:
        path = product(own[1], "asol")
        solution = columns(path)
        name = "ady" if "ady" in solution else "dy"
        odd = solution[name].copy()
        odd[[0, *range(100, 120), 900]] = math.nan
        change(path, **{name: odd})
        obi = Obi(*own)
        drifts = []
        for values in (odd, columns(product(own[1], "asol", 1))[name]):
            known = (20 * values[~np.isnan(values)]).tolist()
            padded = [0.0] * 10 + known + [0.0] * 10
            drifts.append(np.array([sorted(padded[i : i + 21])[10] for i in range(len(known))]))
        assert obi.sim_report["max_medf_dy"] == max(drift.max() for drift in drifts)
        assert obi.sim_report["min_medf_dy"] == min(drift.min() for drift in drifts)
        assert obi.sim_report["max_d_dy"] == max(abs(np.diff(drift)).max() for drift in drifts)
        assert obi.info()["sim"] == obi.sim_report
        # The residuals of a fid light that need it are not known, and the statistics are of the others.
        fid = obi.all_slot_data[0]
        assert np.array_equal(fid["qual"] == -1, np.isnan(fid["dy"]) & (fid["qual"] <= 0))
        assert 0 < np.count_nonzero(fid["qual"] == -1) < 10
        assert obi.slot_report["0"]["dy_rms"] == pytest.approx(0.02 / math.sqrt(5), rel=0.3)

    def test_without_any_drift_there_are_no_extremes(self, own: Files) -> None:
        for interval in (0, 1):
            path = product(own[1], "asol", interval)
            name = "ady" if "ady" in columns(path) else "dy"
            change(path, **{name: np.nan})
        obi = Obi(*own)
        assert [obi.sim_report[f"{name}_dy"] for name in ("max_medf", "min_medf", "max_d")] == [None] * 3
        assert obi.sim_report["max_medf_dz"] == pytest.approx(-4.2, abs=0.01)
        assert obi.slot_report["0"]["dy_rms"] is None

    def test_slots_without_centroids_are_reported_without_numbers(self, own: Files, tmp_path: Path) -> None:
        before = Obi(*own)
        for interval in (0, 1):
            path = product(own[1], "acen", interval)
            slot = columns(path)["slot"]
            change(path, slot=np.where((slot == 4) | (slot == 1), 99, slot))
        obi = Obi(*own)
        star = before.slot_report["4"]
        assert obi.slot_report["4"] == {name: star[name] for name in ("slot", "type", "id_status", "cel_loc_flag")}
        assert obi.slot_report["1"] == {"slot": 1, "type": "FID", "id_status": "GOOD"}
        assert obi.info()["slots"] == obi.slot_report
        assert list(obi.slot_report) == list("01234567")
        assert (obi.guide_list, obi.fid_list) == ([3, 4, 5, 6, 7], [0, 1, 2])
        assert list(obi.all_slot_data) == [0, 2, 3, 5, 6, 7]
        assert obi.rms_rows(**PROCESSED) == [row for row in before.rms_rows(**PROCESSED) if row["slot"] not in (1, 4)]
        with pytest.raises(ValueError, match="slot 4 has no data: give one of 0, 2, 3, 5, 6, 7"):
            obi.plot_slot(4)

    def test_an_obspar_with_a_blank_line_and_an_odd_byte_is_read(self, kinds: dict[str, Files], tmp_path: Path) -> None:
        path, folder = kinds["1"]
        lines = gzip.decompress(path.read_bytes()).splitlines()
        lines[1:1] = [b"", b"# a remark"]
        lines.append(b'pi_name,s,h,"Mu\xf1oz",,,"Principal Investigator"')
        odd = tmp_path / path.name
        odd.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
        obi = Obi(odd, folder)
        assert obi.info() == Obi(path, folder).info()
        assert obi.obspar["pi_name"] == "Mu\ufffdoz"

    def test_an_obspar_that_stops_before_it_starts_is_refused(self, kinds: dict[str, Files], tmp_path: Path) -> None:
        path, folder = kinds["1"]
        tstart = Obi(path, folder).obspar["tstart"]
        text = re.sub(
            r"(?m)^tstop,r,h,[^,]*,", f"tstop,r,h,{tstart - 1!r},", gzip.decompress(path.read_bytes()).decode()
        )
        (tmp_path / path.name).write_bytes(gzip.compress(text.encode()))
        with pytest.raises(ValueError, match=f"stop {tstart - 1} is before start {tstart}"):
            Obi(tmp_path / path.name, folder)

    def test_a_solution_whose_times_go_back_is_refused(self, own: Files) -> None:
        path = product(own[1], "asol")
        times = columns(path)["time"].copy()
        times[50] = times[49]
        change(path, time=times)
        with pytest.raises(ValueError, match=f"{path}: its times are not ascending"):
            Obi(*own)

    def test_a_keyword_that_is_no_number_is_refused(self, own: Files) -> None:
        path = product(own[1], "acen")
        change(path, INTGTIME="long")
        with pytest.raises(ValueError, match=f"{path}: its header has INTGTIME 'long', which is not a number"):
            Obi(*own)

    def test_a_property_that_is_no_number_is_null(self, own: Files) -> None:
        path = product(own[1], "gspr")
        change(path, mag_aca=np.nan, DATE=None)
        with fits.open(product(own[1], "asol")) as hdus:
            hdus[1].header["CALDBVER"] = None
            content = io.BytesIO()
            hdus.writeto(content)
        product(own[1], "asol").write_bytes(gzip.compress(content.getvalue(), 1))
        info = json.loads(Obi(*own).report())
        assert [row["mag_aca"] for row in info["gsprops"][0]] == [None] * 5
        assert info["intervals"][0]["CALDBVER"] is None


def test_names_of_columns_may_be_of_any_case_with_blanks_behind(simulated: Files, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(simulated[1], tmp_path / "asp1"))
    for path in folder.iterdir():
        odd_names(path)
    assert Obi(simulated[0], folder).info() == Obi(*simulated).info()


def test_its_arguments_are_named_as_those_of_mica(kinds: dict[str, Files], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path, folder = kinds["1"]
    obi = Obi(obsparfile=path, obsdir=folder)
    with pytest.raises(ValueError, match="no folder to write the plots to"):
        obi.plot_slot(slot_num=4, save=True)
    figure = obi.plot_slot(slot_num=4, plotdir=tmp_path / "one", save=True, close=True, singles=False)
    assert [axes.get_label() for axes in figure.axes] == ["yz", "yzf", "y", "z", "m"]
    assert [found.name for found in (tmp_path / "one").iterdir()] == ["slot_4.png"]
    obi = Obi(obsparfile=path, obsdir=folder, temproot=tmp_path / "two")
    figures = obi.plot_slot(4, save=True, singles=True)
    assert sorted(found.stem for found in (tmp_path / "two").iterdir()) == sorted(figures)
    assert all(found.read_bytes().startswith(b"\x89PNG") for found in tmp_path.glob("*/*.png"))


class TestSave:
    """What is written."""

    def test_report_and_pictures(self, own: Files, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        few(own[1], 0, 7)
        obi = Obi(*own)
        folder = tmp_path / "new" / "vv"
        (folder / "slot_0.png").parent.mkdir(parents=True)
        (folder / "slot_0.png").write_text("of an earlier time")
        paths = obi.save(str(folder))
        assert [path.name for path in paths] == [
            *(f"slot_{slot}{panel}.png" for slot in (0, 7) for panel in ("", "_yz", "_yzf", "_y", "_z", "_m")),
            "vv_report.json",
        ]
        assert sorted(folder.iterdir()) == sorted(paths)
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths[:-1])
        text = paths[-1].read_text()
        assert json.loads(text) == obi.info()
        assert text == json.dumps(obi.info(), indent=1, sort_keys=True)

    def test_a_slot_without_data_is_refused(self, kinds: dict[str, Files]) -> None:
        with pytest.raises(ValueError, match="slot 8 has no data: give one of 0, 1, 2, 3, 4, 5, 6, 7"):
            Obi(*kinds["1"]).plot_slot(8)

    def test_without_matplotlib_nothing_is_written(
        self, kinds: dict[str, Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        obi = Obi(*kinds["1"])
        for name in ("matplotlib", "matplotlib.figure"):
            monkeypatch.setitem(sys.modules, name, None)
        for what in (
            lambda: obi.save(tmp_path / "vv"),
            lambda: obi.plot_slot(3),
            lambda: obi.plot_slot(3, singles=True),
        ):
            with pytest.raises(ImportError, match=r"matplotlib is not installed: pip install 'mica-lake\[plot\]'"):
                what()
        assert not (tmp_path / "vv").exists()


def test_matplotlib_is_not_imported_before_something_is_drawn() -> None:
    code = "import mica_lake.vv.obi, sys; raise SystemExit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_other_warnings_of_astropy_are_left_to_it(own: Files) -> None:
    """A product that astropy finds odd is read all the same."""
    path = product(own[1], "acal")
    content = gzip.decompress(path.read_bytes())
    # A value that is not as the standard has it.
    odd = content.replace(b"ORIGIN  = 'SIMULATED'", b"ORIGIN  = 'SIMULATED ", 2)
    path.write_bytes(gzip.compress(odd))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(Obi(*own).aspect_intervals) == 2
