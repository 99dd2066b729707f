"""`mica-lake stats gather`: rows computed from telemetry, beside those of the HDF5 files."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import in_process
from numpy.typing import NDArray

from mica_lake import Lake
from mica_lake.ingest import acq_stats as ingest_acq
from mica_lake.ingest import guide_stats as ingest_guide
from mica_lake.ingest import obspar as ingest_obspar
from mica_lake.ingest import starcheck as ingest_starcheck
from mica_lake.ingest.gather import GatherReport, gather
from mica_lake.ingest.telemetry import source_of, telemetry_from
from mica_lake.simulate import obspar, starcheck, stats, telemetry
from mica_lake.simulate.observations import Observation, dwell_of, observations
from mica_lake.stats import acq_stats, guide_stats

OBSERVED = [replace(one, tstop=min(one.tstop, one.tstart + 6000)) for one in observations(7e8 - 20000, 7e8 + 40000)]
FACADE = {"acq_stats": acq_stats.get_stats, "guide_stats": guide_stats.get_stats}


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with telemetry of some observations."""
    top = tmp_path_factory.mktemp("gather") / "ska"
    for module in (telemetry, starcheck, obspar):
        module.write_archive(top, OBSERVED)
    return top


@pytest.fixture(scope="module")
def planned(ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that knows of the observations, not to be changed."""
    root = tmp_path_factory.mktemp("planned") / "lake"
    for one in (ingest_starcheck, ingest_obspar):
        assert one.ingest(ska, root, jobs=1).set_aside == {}
    return root


@pytest.fixture
def lake(planned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planned, tmp_path / "lake"))


def archive(ska: Path) -> Path:
    return ska / "data" / "eng_archive"


def agasc(ska: Path) -> Path:
    return ska / "data" / "agasc" / "miniagasc.h5"


def gathered(lake: Path, ska: Path, *obsids: int, **options: Any) -> GatherReport:
    options = {"telemetry": str(archive(ska)), "agasc": agasc(ska), "jobs": 1} | options
    return gather(lake, obsids, **options)


def rows(lake: Path, table: str) -> NDArray[np.void]:
    found = FACADE[table](filter=False, data_root=lake)
    return found[np.lexsort((found["slot"], found["obsid"]))]


def assert_close(found: NDArray[np.void], expected: NDArray[np.void]) -> None:
    for name in expected.dtype.names or ():
        if expected.dtype[name].kind == "f":
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-8, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


# --- what comes in ----------------------------------------------------------------------------------------------------


def test_what_was_simulated_is_what_is_gathered(lake: Path, ska: Path) -> None:
    report = gathered(lake, ska)
    assert report.left_out == {}
    assert report.exit_code == 0
    assert (report.observations, report.gathered) == (len(OBSERVED), len(OBSERVED))
    assert report.rows == {"acq_stats": 8 * len(OBSERVED), "guide_stats": 8 * len(OBSERVED)}
    acquired, guided = rows(lake, "acq_stats"), rows(lake, "guide_stats")
    by_obsid = sorted(
        zip([one.obsid for one in OBSERVED], stats.catalogs(OBSERVED), strict=True), key=lambda pair: pair[0]
    )
    expected = {name: np.concatenate([stars[name] for _, stars in by_obsid]) for name in ("acquired", "scatter", "mag")}
    np.testing.assert_array_equal(acquired["acqid"], expected["acquired"])
    np.testing.assert_array_equal(acquired["img_func"] == b"star", expected["acquired"])
    # The residuals are the noise put in, and the correction is the error put in.
    np.testing.assert_allclose(guided["dy_std"], expected["scatter"], rtol=0.1)
    np.testing.assert_allclose(guided["dy_mean"], 0, atol=0.3)
    one_shot = [np.hypot(*(axis[0] for axis in stars["one_shot"])) for _, stars in by_obsid]
    np.testing.assert_allclose(acquired["one_shot_length"][::8], one_shot, atol=1e-6)
    found = Lake(lake).sql("SELECT DISTINCT computed, ccd_temp_source, position FROM acq_stats").fetchall()
    assert found == [(True, "AACCCDPT", None)]


def test_a_second_run_finds_all_done(lake: Path, ska: Path) -> None:
    gathered(lake, ska)
    before = rows(lake, "guide_stats")
    report = gathered(lake, ska)
    assert (report.observations, report.partitions) == (0, 0)
    # One that is named is gathered again, with the same result.
    again = gathered(lake, ska, OBSERVED[0].obsid)
    assert (again.gathered, again.partitions) == (1, 0)
    np.testing.assert_array_equal(rows(lake, "guide_stats"), before)


def test_only_observations_since_a_date_are_gathered(lake: Path, ska: Path) -> None:
    assert gathered(lake, ska, since=OBSERVED[-1].tstart - 1).gathered == 1
    assert set(rows(lake, "acq_stats")["obsid"]) == {OBSERVED[-1].obsid}


def test_a_dry_run_changes_nothing(lake: Path, ska: Path) -> None:
    report = gathered(lake, ska, dry_run=True)
    assert (report.observations, report.gathered) == (len(OBSERVED), 0)
    assert len(rows(lake, "acq_stats")) == 0


def test_processes_gather_the_same(lake: Path, ska: Path, tmp_path: Path, planned: Path) -> None:
    other = Path(shutil.copytree(planned, tmp_path / "other"))
    gathered(lake, ska)
    gathered(other, ska, jobs=2)
    for table in FACADE:
        np.testing.assert_array_equal(rows(lake, table), rows(other, table))


# --- where telemetry comes from ---------------------------------------------------------------------------------------


def as_parquet(ska: Path, folder: Path, *, shuffled: bool = False) -> Path:
    """The telemetry of the archive as Parquet; some MSIDs in several files."""
    folder.mkdir()
    for path in archive(ska).glob("data/*/*.h5"):
        if path.stem == "TIME":
            continue
        with h5py.File(path) as file, h5py.File(path.with_name("TIME.h5")) as times:
            values = file["data"][()]
            texts = values.astype("U").tolist() if values.dtype.kind == "S" else values
            table = pa.table({"time": times["data"][()], "value": texts, "bad": file["quality"][()]})
        if shuffled:
            table = table.take(np.random.default_rng(len(path.stem)).permutation(len(table)))
        if path.stem in ("AOACMAG3", "AACCCDPT"):
            (folder / path.stem).mkdir()
            pq.write_table(table.slice(0, 1000), folder / path.stem / "a.parquet")
            pq.write_table(table.slice(1000), folder / path.stem / "b.parquet")
        else:
            pq.write_table(table, folder / f"{path.stem}.parquet")
    return folder


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_folder_of_parquet_gives_the_same_rows(
    shuffled: bool, lake: Path, ska: Path, planned: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(planned, tmp_path / "other"))
    gathered(lake, ska)
    report = gathered(other, ska, telemetry=str(as_parquet(ska, tmp_path / "parquet", shuffled=shuffled)))
    assert report.left_out == {}
    for table in FACADE:
        assert_close(rows(other, table), rows(lake, table))


def test_an_msid_at_other_times_has_its_nearest_sample(ska: Path, tmp_path: Path) -> None:
    folder = as_parquet(ska, tmp_path / "parquet")
    path = folder / "AOFSTAR.parquet"
    table = pq.read_table(path)
    start = table["time"][0].as_py()
    pq.write_table(table.slice(0, 400).take(np.arange(0, 400, 4)), path)
    found = telemetry_from(source_of(str(folder)), start, start + 300)
    assert len(found["AOFSTAR"]) == len(found["TIME"])


def test_a_folder_that_is_not_telemetry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no telemetry: neither a cheta archive .* nor Parquet"):
        source_of(str(tmp_path))


@pytest.mark.parametrize("source", ["cheta", "Parquet"])
def test_golden_telemetry_from_a_source_gives_the_golden_rows(source: str, shared: Path, tmp_path: Path) -> None:
    with np.load(shared / "golden" / "stats_inputs.npz") as file:
        arrays = dict(file)
    listed = json.loads(str(arrays["observations"]))
    for one in listed:
        own = {key.split("/")[1]: values for key, values in arrays.items() if key.startswith(f"{one['obsid']}/")}
        top = tmp_path / str(one["obsid"])
        telemetry.write_cheta(archive(top), [own])
        folder = archive(top)
        if source == "Parquet":
            folder = as_parquet(top, top / "parquet", shuffled=True)
        found = telemetry_from(source_of(str(folder)), own["TIME"][0], own["TIME"][-1] + 1)
        for calc in (acq_stats.calc_stats, guide_stats.calc_stats):
            try:
                expected = calc(one, own, one["catalog"], arrays["agasc"])
            except ValueError:
                continue
            assert_close(calc(one, found, one["catalog"], arrays["agasc"]), expected)


def test_without_temperature_in_the_telemetry_it_is_that_of_the_images(lake: Path, ska: Path, tmp_path: Path) -> None:
    from mica_lake.ingest import aca_l0 as ingest_l0
    from mica_lake.simulate import aca_l0

    one = OBSERVED[0]
    folder = as_parquet(ska, tmp_path / "parquet")
    shutil.rmtree(folder / "AACCCDPT")
    found = gathered(lake, ska, one.obsid, telemetry=str(folder))
    assert "AACCCDPT has no good value" in found.left_out[one.obsid][0]
    files = tmp_path / "l0"
    for slot in (0, 6):
        path = files / f"acaf{int(one.tstart - 900):09d}N001_{slot}_img0.fits.gz"
        path.parent.mkdir(exist_ok=True)
        aca_l0.write_file(path, slot, aca_l0.readouts(slot, 8, aca_l0.times(one.tstart - 900, one.tstop + 900, 8)))
    assert ingest_l0.ingest([files], lake, jobs=1).set_aside == {}
    assert gathered(lake, ska, one.obsid, telemetry=str(folder)).left_out == {}
    (source,) = Lake(lake).sql("SELECT DISTINCT ccd_temp_source FROM acq_stats").fetchall()
    assert source == ("hdr3",)
    assert -15 < rows(lake, "acq_stats")["ccd_temp"][0] < 0


# --- beside imported rows ---------------------------------------------------------------------------------------------


@pytest.fixture
def imported(ska: Path, tmp_path: Path) -> Iterator[Path]:
    """An archive with the HDF5 tables of all observations but the last."""
    top = tmp_path / "imported"
    stats.write_archive(top, OBSERVED[:-1])
    with h5py.File(top / "data/acq_stats/acq_stats.h5", "r+") as file:
        table = file["data"][()]
        table["known_bad"], table["bad_comment"] = table["slot"] == 4, np.where(table["slot"] == 4, b"wrong star", b"")
        file["data"][()] = table
    yield top


def take(imported: Path, lake: Path) -> None:
    for one in (ingest_acq, ingest_guide):
        assert one.ingest(imported, lake, jobs=1).set_aside == {}


def test_imported_rows_stay_and_what_they_lack_is_gathered(lake: Path, ska: Path, imported: Path) -> None:
    take(imported, lake)
    before = rows(lake, "acq_stats")
    report = gathered(lake, ska)
    assert (report.observations, report.gathered) == (1, 1)
    after = rows(lake, "acq_stats")
    assert after[after["obsid"] != OBSERVED[-1].obsid].tobytes() == before.tobytes()  # NaN among them
    found = Lake(lake).sql("SELECT computed, count(*) FROM acq_stats GROUP BY computed ORDER BY computed").fetchall()
    assert found == [(False, 8 * (len(OBSERVED) - 1)), (True, 8)]
    # Computed rows have no position: they come last.
    assert set(acq_stats.get_stats(filter=False, data_root=lake)["obsid"][-8:]) == {OBSERVED[-1].obsid}


def test_a_star_has_its_computed_rows_last_whether_it_is_asked_for_often_or_not(
    lake: Path, ska: Path, imported: Path
) -> None:
    gathered(lake, ska, OBSERVED[-1].obsid)
    star = int(rows(lake, "acq_stats")["agasc_id"][0])
    with h5py.File(imported / "data/acq_stats/acq_stats.h5", "r+") as file:
        table = file["data"][()]
        table["agasc_id"][::-3] = star
        file["data"][()] = table
    take(imported, lake)
    asked = [acq_stats.get_star_stats(star, False, lake) for _ in range(40)]
    expected = [*table["obsid"][table["agasc_id"] == star].tolist(), OBSERVED[-1].obsid]
    assert asked[0]["obsid"].tolist() == expected
    assert {found.tobytes() for found in asked} == {asked[0].tobytes()}


@pytest.mark.parametrize("first", ["imported", "computed"])
def test_computed_rows_are_in_the_place_of_imported_ones_whichever_came_first(
    first: str, lake: Path, ska: Path, imported: Path
) -> None:
    obsid = OBSERVED[0].obsid
    steps: list[Callable[[], object]] = [lambda: take(imported, lake), lambda: gathered(lake, ska, obsid)]
    for step in steps if first == "imported" else steps[::-1]:
        step()
    found = rows(lake, "acq_stats")
    assert len(found) == 8 * (len(OBSERVED) - 1)
    own = found[found["obsid"] == obsid]
    assert set(own["revision"]) == {b"1.0"}
    assert set(found[found["obsid"] != obsid]["revision"]) == {b"simulated"}
    # What is known of a row survives.
    assert own["slot"][own["known_bad"]].tolist() == [4]
    assert own["bad_comment"][4] == b"wrong star"
    # A later ingest, and a comparison with the files, take that for what it should be.
    before = sorted(path.name for path in lake.glob("acq_stats/year=*/*"))
    take(imported, lake)
    assert sorted(path.name for path in lake.glob("acq_stats/year=*/*")) == before
    assert rows(lake, "acq_stats").tobytes() == found.tobytes()  # NaN among them


def test_a_comparison_with_the_files_passes_over_what_was_computed(lake: Path, ska: Path, imported: Path) -> None:
    take(imported, lake)
    gathered(lake, ska, OBSERVED[0].obsid, OBSERVED[-1].obsid)
    done = in_process(("verify", "--lake", lake, "--from", imported), {})
    assert "acq_stats.h5" not in done.stdout, done.stdout


# --- what is left out -------------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(ska: Path, tmp_path: Path) -> Path:
    """A copy of the archive, to be damaged."""
    return Path(shutil.copytree(ska, tmp_path / "damaged"))


def content(ska: Path, msid: str) -> Path:
    return archive(ska) / "data" / "pcad3eng" / f"{msid}.h5"


def test_an_msid_that_is_not_there_is_named(lake: Path, damaged: Path) -> None:
    content(damaged, "AOACIQB5").unlink()
    report = gathered(lake, damaged)
    assert set(report.left_out) == {one.obsid for one in OBSERVED}
    assert "has no AOACIQB5.h5 in any of its folders" in report.left_out[OBSERVED[0].obsid][0]
    assert report.exit_code == 3


def test_an_msid_of_another_length_than_time_is_named(lake: Path, damaged: Path) -> None:
    with h5py.File(content(damaged, "AOACMAG2"), "r+") as file:
        file["data"].resize((1000,))
    report = gathered(lake, damaged)
    assert "AOACMAG2.h5 has 1000 values, and TIME.h5 beside it has" in report.left_out[OBSERVED[0].obsid][0]


def test_a_damaged_file_is_named(lake: Path, damaged: Path) -> None:
    path = content(damaged, "AOACYAN1")
    path.write_bytes(path.read_bytes()[:2000])
    assert "AOACYAN1.h5 cannot be read" in gathered(lake, damaged).left_out[OBSERVED[0].obsid][0]


def test_where_telemetry_ends_the_others_are_gathered(lake: Path, damaged: Path) -> None:
    with h5py.File(content(damaged, "TIME")) as file:
        times = file["data"][()]
    n = int(np.searchsorted(times, dwell_of(OBSERVED[-1]).start + 5))
    for path in archive(damaged).glob("data/pcad3eng/*.h5"):
        with h5py.File(path, "r+") as file:
            for name in ("data", "quality"):
                file[name].resize((n,))
    report = gathered(lake, damaged)
    assert set(report.left_out) == {OBSERVED[-1].obsid}
    assert report.gathered == len(OBSERVED) - 1


def test_a_star_that_the_agasc_lacks_is_left_out_and_the_other_slots_are_in(lake: Path, damaged: Path) -> None:
    path = agasc(damaged)
    with h5py.File(path) as file:
        stars = file["data"][()]
    telemetry.write_agasc(path, stars[1:])
    report = gathered(lake, damaged)
    (obsid,) = report.left_out
    assert report.left_out[obsid] == [f"slot 0: the AGASC has no star {stars['AGASC_ID'][0]}"]
    assert report.gathered == len(OBSERVED)
    assert report.rows["acq_stats"] == 8 * len(OBSERVED) - 1


def test_an_agasc_that_is_none_is_refused(lake: Path, ska: Path, tmp_path: Path) -> None:
    (tmp_path / "agasc.h5").write_bytes(b"no stars")
    with pytest.raises(ValueError, match=r"agasc\.h5 is not an AGASC"):
        gathered(lake, ska, agasc=tmp_path / "agasc.h5")
    with pytest.raises(FileNotFoundError, match="there is no such AGASC file"):
        gathered(lake, ska, agasc=tmp_path / "nowhere.h5")


def test_observations_that_the_lake_knows_too_little_of_are_named(ska: Path, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    ingest_starcheck.ingest(ska, root, jobs=1)
    report = gathered(root, ska)
    assert set(report.left_out) == {one.obsid for one in OBSERVED}
    assert report.left_out[OBSERVED[0].obsid] == ["table obspar has no observation parameters of it"]
    assert gathered(root, ska, 99).left_out == {99: ["table observation does not have it"]}


def without_a_catalog(one: Observation, ska: Path, lake: Path) -> None:
    path = ska / "data/mica/archive/starcheck/observations.csv"
    lines = path.read_text().splitlines()
    cut = [
        ",".join([*line.split(",")[:4], "", *line.split(",")[5:]]) if line.startswith(f"{one.obsid},") else line
        for line in lines
    ]
    path.write_text("\n".join(cut) + "\n")
    ingest_starcheck.ingest(ska, lake, jobs=1)


def test_an_observation_without_a_catalog_is_named(lake: Path, damaged: Path) -> None:
    without_a_catalog(OBSERVED[0], damaged, lake)
    assert gathered(lake, damaged).left_out == {OBSERVED[0].obsid: ["no star catalog was commanded for it"]}


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_did(lake: Path, ska: Path) -> None:
    where = {"MICA_LAKE": lake, "SKA": ska, "AGASC_HDF5_FILE": agasc(ska)}
    plan = in_process(("stats", "gather", "--dry-run"), where)
    assert plan.returncode == 0, plan.stderr
    assert f"│ to gather               │ {len(OBSERVED)} │" in plan.stdout
    done = in_process(("stats", "gather", "--jobs", 1), where)
    assert done.returncode == 0, done.stderr
    assert f"rows of guide_stats     │   {8 * len(OBSERVED)} │" in done.stdout
    named = in_process(("stats", "gather", 99), where)
    assert named.returncode == 3
    assert "table observation does not have it" in named.stdout


@pytest.mark.parametrize(
    ("variables", "said"),
    [({}, "which telemetry? Say --telemetry"), ({"ENG_ARCHIVE": "/nowhere"}, "which AGASC? Say --agasc")],
)
def test_the_command_says_what_it_lacks(variables: dict[str, str], said: str, lake: Path) -> None:
    done = in_process(("stats", "gather", "--lake", lake), variables)
    assert done.returncode == 1
    assert said in done.stderr


def test_the_help_has_an_example() -> None:
    done = in_process(("stats", "gather", "--help"), {})
    assert "Example: mica-lake stats gather" in done.stdout


def test_anomalies_are_said(lake: Path, ska: Path, tmp_path: Path) -> None:
    # The star of a slot is tracked 300 arcsec away from its place.
    one, start = OBSERVED[1], OBSERVED[1].tstart
    slot = int(np.flatnonzero(stats.catalogs(OBSERVED)[1]["acquired"])[0])
    copy = Path(shutil.copytree(ska, tmp_path / "copy"))
    with h5py.File(content(copy, "TIME")) as file:
        times = file["data"][()]
    with h5py.File(content(copy, f"AOACYAN{slot}"), "r+") as file:
        values = file["data"][()]
        values[(times > start - 300) & (times < start + 300)] += 300
        file["data"][()] = values
    report = gathered(lake, copy, one.obsid)
    assert rows(lake, "acq_stats")["img_func"][slot] == b"spoiler"
    assert report.anomalies == [(one.obsid, slot, None)]
    done = in_process(
        ("stats", "gather", one.obsid, "--jobs", 1),
        {"MICA_LAKE": lake, "ENG_ARCHIVE": archive(copy), "AGASC_HDF5_FILE": agasc(copy)},
    )
    assert f"anomaly: obsid {one.obsid} slot {slot} was seen beyond its search box, in no other star's" in done.stdout


DIE = """
import os, shutil, sys
from pathlib import Path
from mica_lake.ingest.gather import gather

top, archive, agasc = map(Path, sys.argv[1:])
die_before_each_step(
    [(Path, "replace"), (os, "fsync"), (os, "link")],
    lambda n: shutil.copytree(top / "lake", top / str(n)),
    lambda n: gather(top / str(n), telemetry=str(archive), agasc=agasc, jobs=1),
    range(0, 300, 3),
)
"""


@pytest.mark.soak
def test_killed_anywhere_nothing_is_half_there_and_the_next_run_goes_on(
    lake: Path, ska: Path, tmp_path: Path, deaths: Callable[..., int]
) -> None:
    (tmp_path / "dying").mkdir()
    shutil.copytree(lake, tmp_path / "dying" / "lake")
    count = deaths(DIE, tmp_path / "dying", archive(ska), agasc(ska))
    assert count > 10
    gathered(lake, ska)
    whole = {table: rows(lake, table) for table in FACADE}
    met = []
    for n in range(0, count, 3):
        killed = tmp_path / "dying" / str(n)
        # Of both tables all or nothing.
        (found,) = {len(rows(killed, table)) for table in FACADE}
        met.append(found)
        gathered(killed, ska)
        for table in FACADE:
            np.testing.assert_array_equal(rows(killed, table), whole[table])
    assert set(met) <= {0, 8 * len(OBSERVED)}


def test_a_damaged_year_is_mended_by_what_verify_names(lake: Path, ska: Path, imported: Path) -> None:
    take(imported, lake)
    obsids = sorted([OBSERVED[0].obsid, OBSERVED[-1].obsid])
    gathered(lake, ska, *obsids)
    before = {table: rows(lake, table) for table in FACADE}
    (path,) = lake.glob("acq_stats/year=*/data.parquet")
    with path.open("r+b") as file:  # and with it the version that queries read
        file.truncate(path.stat().st_size // 2)
    found = in_process(("verify", "--lake", lake), {})
    assert found.returncode == 4
    commands = found.stdout.split("To mend it:")[1]
    assert f"mica-lake stats gather {obsids[0]} {obsids[1]} --lake {lake}" in commands
    # As it says: what is damaged goes, then its file is read, and what was computed is computed again.
    for one in [path, *lake.glob("acq_stats/year=*/*.parquet")]:
        one.unlink(missing_ok=True)
    assert in_process(("reindex", "--lake", lake), {}).returncode == 0
    take(imported, lake)
    gathered(lake, ska, *obsids)
    for table in FACADE:
        assert rows(lake, table).tobytes() == before[table].tobytes()  # NaN among them
