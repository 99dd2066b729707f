"""
Every call of mica's own documentation, in its order, with the module's name changed.

Each works on a simulated archive that has the obsids and times of that document, and gives the kind of thing that is
shown there: its type, dtype, fields and shape.
"""

import gzip
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.figure import Figure
from scipy.stats import scoreatpercentile

from mica_lake import vv
from mica_lake.archive import aca_hdr3, aca_l0, asp_l1, obspar
from mica_lake.archive.aca_dark import dark_cal
from mica_lake.ingest import follow
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.products import PRODUCTS
from mica_lake.simulate import aca_l0 as aca_l0_files
from mica_lake.simulate import asp_l1 as asp_l1_files
from mica_lake.simulate import dark_cal as dark_cal_files
from mica_lake.simulate import obspar as obspar_files
from mica_lake.simulate import stats as stats_files
from mica_lake.simulate import vv as vv_files
from mica_lake.simulate.observations import Observation, observations
from mica_lake.stats.acq_stats import get_stats
from mica_lake.times import cxcsec

FIDS = 98585849.0  # of slot 2, when the fid lights shifted


def an_observation(date: str, obsid: int, revisions: tuple[int, ...] = (1,), **changes: object) -> Observation:
    """A short one that begins on that day, released."""
    first = next(o for o in observations(cxcsec(date), cxcsec(date) + 86400) if o.tstart > cxcsec(date))
    released = {"revisions": revisions, "default": revisions[-1], "last": revisions[-1], "detector": "ACIS-01236"}
    return replace(first, obsid=obsid, tstop=first.tstart + 900, **(released | changes))


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A $SKA root with what the document asks for, a few minutes each, and its lake in data/mica_lake."""
    ska = tmp_path_factory.mktemp("documentation")
    acis = an_observation("2012:001", 5438)
    dwells = observations(cxcsec("2016:001") + 3600, cxcsec("2016:001:22:00"))
    of_2016 = [
        replace(one, obsid=obsid, default=one.last)
        for one, obsid in zip(dwells, (51365, 18736, 18036, 18203), strict=False)
    ]
    with_products = [
        acis,
        an_observation("2002:001", 2121),
        an_observation("2006:001", 6000, (2, 3)),
        an_observation("2014:100", 16504),
        an_observation("2014:101", 16505),
    ]
    others = [an_observation("2007:001", 7000, (2,)), an_observation("2007:002", 7001), *of_2016]
    obspar_files.write_archive(ska, with_products + others)
    asp_l1_files.write_archive(ska, with_products)
    stats_files.write_archive(ska, with_products + others)
    for dark_id in ("2007069", "2012010"):
        dark_cal_files.write_calibration(ska, dark_id)
    for start, slots in ((FIDS - 60, [2]), (cxcsec("2011:003"), [0, 3]), (acis.tstart - 300, [0, 3])):
        aca_l0_files.write_archive(ska, start, start + 600, slots=slots, hard_cases=False, ska=True)
    # Header 3 of slots 6 and 7, and 4x4 images of slot 0.
    folder = ska / "more"
    folder.mkdir()
    for date, slot, imgsize in (("2012:001", 6, 8), ("2012:130", 6, 8), ("2012:130", 7, 8), ("2012:001", 0, 4)):
        times = aca_l0_files.times(cxcsec(date), cxcsec(date) + 300, imgsize)
        aca_l0_files.write_file(folder, slot, aca_l0_files.readouts(slot, imgsize, times))
    vv_files.write_archive(ska, with_products)
    lake = ska / "data" / "mica_lake"
    ingest([ska, folder], lake, jobs=1)
    for product in [p.name for p in PRODUCTS if p.folder and p.name != "aca_l0" and (ska / p.folder).exists()]:
        follow.ingest(product, ska, lake, jobs=1)
    return ska


@pytest.fixture(autouse=True)
def _ska(ska: Path, _no_lake_of_the_user: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKA", str(ska))


# Mica Archive: ACA dark current


@pytest.mark.soak
def test_warm_pixels_of_each_dark_calibration() -> None:
    dark_cals = dark_cal.get_dark_cal_dirs()
    assert list(dark_cals) == ["2007069", "2012010"]
    n100, n100_m15, times = [], [], []
    npix = 1024.0 * 1024.0
    for dark_id in dark_cals:
        props = dark_cal.get_dark_cal_props(dark_id, include_image=True)
        scale = dark_cal.dark_temp_scale(props["ccd_temp"], -15.0)
        image = props["image"]
        times.append(props["date"])
        n100.append(np.count_nonzero(image > 100.0) / npix)
        n100_m15.append(np.count_nonzero(image * scale > 100.0) / npix)
        assert (image.shape, image.dtype) == ((1024, 1024), np.float32)
        assert isinstance(props["ccd_temp"], float)
    assert [time[:8] for time in times] == ["2007:069", "2012:010"]
    assert 0 < n100[0] < n100[1] < 1
    assert 0 < n100_m15[0] < n100_m15[1] < 1


def test_the_functions_that_it_calls_most_useful(ska: Path) -> None:
    assert dark_cal.dark_temp_scale(-15.0, -19.0) == pytest.approx(0.7)
    assert dark_cal.get_dark_cal_dirs()["2012010"] == str(ska / "data/mica/archive/aca_dark/2012010")
    assert dark_cal.get_dark_cal_image("2012:020").shape == (1024, 1024)
    assert dark_cal.get_dark_cal_props("2012:020")["date"][:8] == "2012:010"
    table = dark_cal.get_dark_cal_props_table("2007:001", "2012:020")
    assert len(table) == 2
    assert {"date", "ccd_temp"} <= set(table.colnames)


# ACA diagnostic telemetry


def test_the_ccd_temperature_of_twenty_days_is_a_masked_array() -> None:
    ccd_temp = aca_hdr3.MSID("ccd_temp", "2012:001", "2012:020")
    assert type(ccd_temp.vals) is np.ma.MaskedArray
    assert ccd_temp.vals.dtype == ccd_temp.times.dtype == np.float64
    assert ccd_temp.vals.shape == ccd_temp.times.shape == (73,)
    assert -25 < ccd_temp.vals.mean() < 0


def test_a_set_has_one_time_axis() -> None:
    perigee_data = aca_hdr3.MSIDset(["ccd_temp", "aca_temp", "dac"], "2012:125", "2012:155")
    colder = perigee_data["aca_temp"].vals - perigee_data["ccd_temp"].vals
    assert type(colder) is np.ma.MaskedArray
    assert colder.shape == perigee_data["dac"].vals.shape
    assert 10 < colder.mean() < 60
    assert list(perigee_data) == ["ccd_temp", "aca_temp", "dac"]


# ACA L0 telemetry


def test_files_of_an_obsid_of_times_and_of_slots() -> None:
    obsid_files = aca_l0.get_files(obsid=5438)
    time_8x8 = aca_l0.get_files(start="2011:001", stop="2011:010", imgsize=[8])
    time_files = aca_l0.get_files(
        start="2012:001:00:00:00.000", stop="2012:002:00:00:00.000", slots=[0], imgsize=[6, 8]
    )
    assert [len(obsid_files), len(time_8x8), len(time_files)] == [2, 1, 1]
    assert all(isinstance(path, str) for path in obsid_files + time_8x8 + time_files)
    for aca_file in time_files:
        with fits.open(aca_file) as f:
            assert len(f[1].data["TIME"]) == len(f[1].data["TEMPCCD"]) > 0


def test_slot_data_with_chosen_columns() -> None:
    temp_ccd = aca_l0.get_slot_data(
        "2012:001:00:00:00.000", "2012:002:00:00:00.000", slot=0, imgsize=[6, 8], columns=["TIME", "TEMPCCD"]
    )
    assert temp_ccd.dtype == np.dtype([("TIME", "f8"), ("TEMPCCD", "f4")])
    assert len(temp_ccd) == 146
    assert not temp_ccd["TEMPCCD"].mask.any()


def test_slot_data_masks_what_an_image_size_lacks() -> None:
    data = aca_l0.get_slot_data("2012:001:00:00:00.000", "2012:002:00:00:00.000", slot=0)
    assert isinstance(data, np.ma.MaskedArray)
    assert len(data.dtype.names or ()) == 49
    assert sorted(set(data["IMGSIZE"].tolist())) == [4, 8]
    assert data["TEMPCCD"].mask.tolist() == data["HD3TLM64"].mask.tolist() == (data["IMGSIZE"] == 4).tolist()


def test_raw_images_of_a_slot() -> None:
    slot_data = aca_l0.get_slot_data(98585849, 98585884, slot=2)
    vmin, vmax = (scoreatpercentile(np.ravel(slot_data["IMGRAW"]), percent) for percent in (2, 98))
    assert 0 < vmin < vmax
    images = [raw.reshape(8, 8, order="F") for raw in slot_data["IMGRAW"]]
    assert len(images) == 8
    assert all(image.shape == (8, 8) for image in images)


def test_images_know_where_they_are_on_the_ccd() -> None:
    imgs = aca_l0.get_l0_images(98585849, 98585884, slot=2)
    assert isinstance(imgs, list)
    image = imgs[0]
    assert repr(image).startswith(f"<ACAImage row0={image.row0} col0={image.col0}\narray([[")
    assert image.aca[image.row0 + 6, image.col0 + 2] == np.asarray(image)[6, 2]
    shown = {"BGDAVG", "IMGCOL0", "IMGFUNC1", "IMGROW0", "IMGSIZE", "IMGSTAT", "INTEG", "TIME"}
    assert shown <= set(image.meta)
    assert image.meta["TIME"] == image.TIME
    assert 98585849 <= image.TIME <= 98585854
    assert (image.row0, image.col0) == (image.IMGROW0, image.IMGCOL0)


# Aspect L1 products


def test_directories_of_aspect_products(ska: Path) -> None:
    assert asp_l1.get_dir(2121) == str(ska / "data/mica/archive/asp1/02/02121")
    top = str(ska / "data/mica/archive/asp1/06/06000")
    assert asp_l1.get_obs_dirs(6000) == {
        "default": top,
        2: f"{top}_v02",
        3: f"{top}_v03",
        "last": top,
        "revisions": [2, 3],
    }


def test_files_of_aspect_products() -> None:
    obs_files = asp_l1.get_files(6000)
    obs_gspr = asp_l1.get_files(6000, content=["GSPROPS"])
    range_fidpr = asp_l1.get_files(start="2012:001", stop="2012:030", content=["FIDPROPS"])
    assert len(obs_files) > len(obs_gspr) == len(range_fidpr) == 1
    assert "gspr" in obs_gspr[0]
    assert "fidpr" in range_fidpr[0]
    assert all(Path(path).is_file() for path in obs_files + range_fidpr)


# Observation parameters


def test_directories_and_the_file_of_observation_parameters(ska: Path) -> None:
    top = ska / "data/mica/archive/obspar"
    assert obspar.get_obspar_file(7000) == str(top / "07/07000/axaff07000_000N002_obs0a.par.gz")
    assert obspar.get_dir(2121) == str(top / "02/02121")
    default = str(top / "06/06000")
    assert obspar.get_obs_dirs(6000) == {
        "default": default,
        2: f"{default}_v02",
        3: f"{default}_v03",
        "last": default,
        "revisions": [2, 3],
    }


def test_observation_parameters_are_a_dictionary() -> None:
    assert obspar.get_obspar(7001)["detector"] == "ACIS-I"


def test_files_of_observation_parameters() -> None:
    obs_files = obspar.get_files(6000)
    of_range = obspar.get_files(start="2012:001", stop="2012:030")
    assert [Path(path).name for path in obs_files] == ["axaff06000_000N003_obs0a.par.gz"]
    assert [Path(path).name[:10] for path in of_range] == ["axaff05438"]


def test_obsids_of_a_time() -> None:
    obsids = obspar.get_obsids("2016:001", "2016:002")
    assert obsids == [51365, 18736, 18036, 18203]
    assert all(type(obsid) is int for obsid in obsids)


# Mica.stats


def test_the_whole_table_of_acquisitions() -> None:
    stats = get_stats()
    assert type(stats) is np.ndarray
    assert {"obsid", "slot", "dy", "agasc_id", "acqid"} <= set(stats.dtype.names or ())
    assert isinstance(stats[(stats["obsid"] == 5438) & (stats["slot"] == 1)][0]["dy"], np.float64)


# Mica.VV


def test_files_of_residuals(ska: Path) -> None:
    assert vv.get_vv_dir(16504) == str(ska / "data/mica/archive/vv/16/16504_v01")
    files = vv.get_vv_files(16504)
    assert all(isinstance(path, str) for path in files)
    assert str(ska / "data/mica/archive/vv/16/16504_v01/vv_report.json") in files


def test_the_residuals_of_all_observations() -> None:
    data = vv.get_rms_data()
    found = data[data["obsid"] == 16505]["dz_rms"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float64
    assert len(found) > 0


def test_the_residuals_of_an_observation() -> None:
    obs = vv.get_vv(16504)
    assert isinstance(obs["slots"]["7"]["dz_rms"], float)


@pytest.fixture(scope="module")
def obi(ska: Path) -> Iterator[vv.Obi]:
    return vv.get_arch_vv(2121, data_root=ska / "data" / "mica_lake")


def test_residuals_are_worked_out_from_the_archive() -> None:
    assert isinstance(vv.get_arch_vv(2121), vv.Obi)


def test_a_slot_is_plotted(obi: vv.Obi) -> None:
    assert isinstance(obi.plot_slot(4), Figure)


def test_the_drift_of_the_sim(obi: vv.Obi) -> None:
    sim = obi.info()["sim"]
    assert set(sim) == {"max_d_dy", "max_d_dz", "max_medf_dy", "max_medf_dz", "min_medf_dy", "min_medf_dz"}
    assert all(isinstance(value, float) for value in sim.values())


def test_residuals_of_a_folder_of_the_processing(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    obspar_file = tmp_path / "input" / "axaff02121_000N001_obs0a.par"
    obspar_file.write_bytes(gzip.decompress(Path(obspar.get_obspar_file(2121) or "").read_bytes()))
    shutil.copytree(asp_l1.get_dir(2121) or "", tmp_path / "output")
    obi = vv.Obi(obspar_file, tmp_path / "output")
    assert obi.info()["obsid"] == 2121
