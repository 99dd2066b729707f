"""The facade of aspect L1: the answers of mica, and attitudes against a plain computation from the files."""

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mica_lake.archive import asp_l1
from mica_lake.catalog.findings import Verified
from mica_lake.errors import MissingDataError
from mica_lake.ingest.asp_l1 import ingest
from mica_lake.ingest.compare import compare
from mica_lake.lake import Lake
from mica_lake.simulate import asp_l1 as simulate
from mica_lake.simulate.observations import Observation
from mica_lake.times import cxcsec

Floats = NDArray[np.float64]
SHARED = Path(__file__).resolve().parents[4] / "shared"
MIDNIGHT = cxcsec("2017:001")


# --- what mica answers ------------------------------------------------------------------------------------------------


def golden_keys() -> list[str]:
    path = SHARED / "golden" / "archive.json"
    return [key for key in json.loads(path.read_text()) if key.startswith("asp_l1.")] if path.exists() else []


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    """Answers of mica."""
    answers: dict[str, Any] = json.loads((shared / "golden" / "archive.json").read_text())
    return answers


@pytest.fixture(scope="module")
def golden_lake(golden_ska: Path, place: Callable[[str], str]) -> tuple[Path, str]:
    """The archive that mica was asked about, and a lake of it."""
    lake = place("asp_l1")
    assert ingest(golden_ska, lake, jobs=1).exit_code == 0
    return golden_ska, lake


def argument(text: str) -> Any:
    return None if text == "None" else int(text) if text.isdigit() else text


@pytest.mark.parametrize("key", golden_keys())
def test_the_answer_is_that_of_mica(
    key: str, shared: Path, golden: dict[str, Any], golden_lake: tuple[Path, str]
) -> None:
    ska, lake = golden_lake
    name, *arguments = key.split("|")
    expected = golden[key]

    def relative(path: str | None) -> str | None:
        return None if path is None else os.path.relpath(path, ska)

    if key == "asp_l1.dir|51365":
        assert expected == {"raises": "TypeError"}
        assert asp_l1.get_dir(51365, data_root=lake) is None, "differs on purpose"
    elif key == "asp_l1.files|nothing":
        assert expected == {"raises": "TypeError"}
        with pytest.raises(TypeError, match="give an obsid, or both start and stop"):
            asp_l1.get_files(data_root=lake)
    elif name == "asp_l1.dir":
        assert relative(asp_l1.get_dir(int(arguments[0]), data_root=lake)) == expected
    elif name == "asp_l1.dirs":
        found = asp_l1.get_obs_dirs(int(arguments[0]), data_root=lake)
        if found is not None:
            found = {str(k): v if k == "revisions" else relative(v) for k, v in found.items()}
        assert found == expected
    elif name == "asp_l1.files" and ":" in key:
        start, stop, *rest = arguments
        content = {"two": ["ACACENT", "FIDPROPS"], "GSPROPS": "GSPROPS"}[rest[0]] if rest else None
        files = asp_l1.get_files(start=start, stop=stop, content=content, data_root=lake)
        assert [relative(path) for path in files] == expected
    elif name == "asp_l1.files":
        files = asp_l1.get_files(int(arguments[0]), revision=argument(arguments[1]), data_root=lake)
        assert [relative(path) for path in files] == expected
    else:
        assert name == "asp_l1.atts"
        chosen, _, what = arguments[1].partition("/")
        assert what == "n"
        q, times, headers = asp_l1.get_atts(int(arguments[0]), filter=chosen == "True", data_root=lake)
        assert [len(q), len(headers)] == expected
        assert len(times) == len(q)
        with np.load(shared / "golden" / "archive.npz") as arrays:
            base = key.removesuffix("/n")
            np.testing.assert_array_equal(times[::50], arrays[f"{base}/t"])
            np.testing.assert_allclose(q[::50], arrays[f"{base}/q"], rtol=0, atol=1e-15)


# --- attitudes, by matrices -------------------------------------------------------------------------------------------

POINTING = ("ACIS-7", 30.0, -40.0, 120.0)
OBSERVATIONS = [
    Observation(20000, MIDNIGHT - 190, MIDNIGHT + 170, *POINTING, (1, 2), 1, 2),
    Observation(20001, MIDNIGHT + 1000, MIDNIGHT + 1800, *POINTING, (2,), 2, 2),  # two aspect intervals
    Observation(20002, MIDNIGHT + 3000, MIDNIGHT + 3350, *POINTING, (3,), 3, 3),  # of the newer kind
    Observation(20003, MIDNIGHT + 4000, MIDNIGHT + 4350, *POINTING, (1,), None, 1),  # not released
]


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, in which each observation has another misalignment, far from none."""
    root = tmp_path_factory.mktemp("ska")
    for path in simulate.write_archive(root, OBSERVATIONS):
        if path.name.endswith("_acal1.fits.gz"):
            rng = np.random.default_rng(int(path.parent.name[:5]))
            with fits.open(path) as hdus:
                hdus[1].data["aca_misalign"][0] = matrix(rng.standard_normal((1, 4)))[0]
                hdus[1].writeto(path.with_suffix(""))
            path.unlink()
    return root


@pytest.fixture(scope="module")
def lake(ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of it, not to be changed."""
    root = tmp_path_factory.mktemp("lake") / "lake"
    assert ingest(ska, root, jobs=1).exit_code == 0
    return root


def matrix(q: Floats) -> Floats:
    """Rotation matrices of quaternions, whose scalar is last, of any length: by Rodrigues' formula."""
    q = q / np.linalg.norm(q, axis=1)[:, None]
    x, y, z, w = q.T
    o = np.zeros_like(x)
    cross = np.moveaxis(np.array([[o, -z, y], [z, o, -x], [-y, x, o]]), 2, 0)
    turned: Floats = np.eye(3) + 2 * w[:, None, None] * cross + 2 * cross @ cross
    return turned


def intervals(ska: Path, obsid: int, revision: int, filter: bool) -> Iterator[tuple[Floats, Floats, fits.Header]]:
    """From the files of each aspect interval: matrices body to ECI of the ACA, times, header."""
    folder = ska / f"data/mica/archive/asp1/{obsid:05d}"[:-3] / f"{obsid:05d}_v{revision:02d}"
    for path in sorted(folder.glob("*_asol1.fits.gz")):
        solution, header = fits.getdata(path, 1, header=True)
        quality = fits.getdata(path.with_name(path.name.replace("asol", "aqual")), 1)
        calibration = fits.getdata(path.with_name(path.name.replace("asol1.fits.gz", "acal1.fits")), 1)
        good = np.ones(len(solution), bool)
        if filter:
            for bad in quality["time"][quality["asp_sol_status"] != 0]:
                good &= ~((solution["time"] >= bad - 1.025) & (solution["time"] <= bad + 1.025))
            assert 0 < good.sum() < len(good)
        raw = solution["q_att_raw" if "q_att_raw" in solution.names else "q_att"]
        attitude = matrix(raw[good].astype(float))
        yield attitude @ calibration["aca_misalign"][0].T, solution["time"][good].astype(float), header


def cards(header: fits.Header) -> list[tuple[str, Any, str]]:
    return [(card.keyword, card.value, card.comment) for card in header.cards]


def assert_is(
    found: tuple[Floats, Floats, list[fits.Header]], expected: list[tuple[Floats, Floats, fits.Header]]
) -> None:
    q, times, headers = found
    assert (q.dtype, times.dtype, q.shape) == (np.dtype(float), np.dtype(float), (len(times), 4))
    np.testing.assert_array_equal(times, np.concatenate([e[1] for e in expected]))
    np.testing.assert_allclose((q**2).sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(matrix(q), np.concatenate([e[0] for e in expected]), atol=1e-12)
    assert all(isinstance(header, fits.Header) for header in headers)
    assert [cards(header) for header in headers] == [cards(e[2]) for e in expected]


@pytest.mark.parametrize("filter", [True, False])
@pytest.mark.parametrize(("obsid", "revision", "count"), [(20000, 1, 1), (20001, 2, 2), (20002, 3, 1)])
def test_attitudes_of_an_observation_are_those_of_its_default_revision(
    obsid: int, revision: int, count: int, filter: bool, ska: Path, lake: Path
) -> None:
    expected = list(intervals(ska, obsid, revision, filter))
    assert len(expected) == count
    assert_is(asp_l1.get_atts(obsid, filter=filter, data_root=lake), expected)
    assert_is(asp_l1.get_atts(obsid, revision="default", filter=filter, data_root=lake), expected)


def test_bad_ones_are_left_out_unless_asked_for(ska: Path, lake: Path) -> None:
    assert_is(asp_l1.get_atts(20000, data_root=lake), list(intervals(ska, 20000, 1, True)))


@pytest.mark.parametrize(
    ("obsid", "revision", "number"),
    [(20000, 1, 1), (20000, 2, 2), (20000, "last", 2), (20003, 1, 1), (20003, "last", 1)],
)
def test_a_revision_is_chosen_by_number_or_as_the_last(
    obsid: int, revision: Any, number: int, ska: Path, lake: Path
) -> None:
    expected = list(intervals(ska, obsid, number, True))
    assert_is(asp_l1.get_atts(obsid, revision=revision, data_root=lake), expected)


def test_raw_attitudes_are_others_than_those_beside_them(ska: Path) -> None:
    (path,) = (ska / "data/mica/archive/asp1/20/20002_v03").glob("*_asol1.fits.gz")
    data = fits.getdata(path, 1)
    assert np.abs(data["q_att"] - data["q_att_raw"]).max() > 1e-6


def within(start: float, stop: float, parts: list[tuple[Floats, Floats, fits.Header]]) -> list[Any]:
    """The same, of start <= time <= stop."""
    found = []
    for turned, times, header in parts:
        chosen = (times >= start) & (times <= stop)
        found.append((turned[chosen], times[chosen], header))
    return found


@pytest.mark.parametrize("filter", [True, False])
def test_attitudes_of_a_time_range_are_those_with_start_and_stop_included(filter: bool, ska: Path, lake: Path) -> None:
    parts = [part for obsid, revision in ((20000, 1), (20001, 2)) for part in intervals(ska, obsid, revision, filter)]
    assert len(parts) == 3
    start, stop = float(parts[0][1][100]), float(parts[2][1][-100])
    assert start < MIDNIGHT < stop
    for beside in (0.0, 1.0):
        a, b = (float(np.nextafter(at, at + by)) if beside else at for at, by in ((start, 1), (stop, -1)))
        found = asp_l1.get_atts(start=a, stop=b, filter=filter, data_root=lake)
        assert_is(found, within(a, b, parts))
        count = sum(len(times) for _, times, _ in parts)
        assert len(found[1]) == count - 199 - 2 * int(beside)


def test_the_first_and_the_last_of_an_interval_alone_are_found(ska: Path, lake: Path) -> None:
    ((_, times, header),) = parts = list(intervals(ska, 20002, 3, False))
    assert times[0] == header["TSTART"]
    for at in (float(times[0]), float(times[-1])):
        assert_is(asp_l1.get_atts(start=at, stop=at, filter=False, data_root=lake), within(at, at, parts))
    before = float(np.nextafter(times[0], 0))
    assert len(asp_l1.get_atts(start=before - 9, stop=before, filter=False, data_root=lake)[1]) == 0


def test_times_may_be_dates(ska: Path, lake: Path) -> None:
    expected = within(MIDNIGHT, MIDNIGHT + 60, list(intervals(ska, 20000, 1, False)))
    assert len(expected[0][1]) > 200
    for start, stop in (("2017:001", "2017:001:00:01:00"), (Time("2017-01-01"), "2017-01-01T00:01")):
        assert_is(asp_l1.get_atts(start=start, stop=stop, filter=False, data_root=lake), expected)


def test_an_obsid_and_times_are_both_heeded(ska: Path, lake: Path) -> None:
    (first, second) = intervals(ska, 20001, 2, False)
    middle = float(second[1][50])
    expected = within(middle, 1e10, [second])
    assert_is(asp_l1.get_atts(20001, start=middle, filter=False, data_root=lake), expected)
    expected = within(0, middle, [first, second])
    assert_is(asp_l1.get_atts(20001, stop=middle, filter=False, data_root=lake), expected)
    assert_is(asp_l1.get_atts(20001, MIDNIGHT - 500, middle, filter=False, data_root=lake), expected)


def test_the_last_revisions_of_a_time_range(ska: Path, lake: Path) -> None:
    found = asp_l1.get_atts(start="2016:366", stop="2017:002", revision="last", data_root=lake)
    numbers = [(20000, 2), (20001, 2), (20002, 3), (20003, 1)]
    assert_is(found, [part for number in numbers for part in intervals(ska, *number, True)])
    assert (np.diff(found[1]) > 0).all()


@pytest.mark.parametrize(
    "question",
    [
        {"obsid": 999}, {"obsid": 20000, "revision": 7}, {"obsid": 20003}, {"start": "2001:001", "stop": "2002:001"},
        {"obsid": 20000, "start": "2018:001"}, {"obsid": 999, "revision": "last"},
    ],
    ids=str,
)  # fmt: skip
def test_what_there_is_not_gives_empty_arrays(question: dict[str, Any], lake: Path) -> None:
    q, times, headers = asp_l1.get_atts(**question, data_root=lake)
    assert (q.shape, times.shape, headers) == ((0, 4), (0,), [])
    assert q.dtype == times.dtype == np.dtype(float)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"obsid": 20000, "revision": "all"}, "revision 'all'"),
        ({"obsid": 20000, "revision": "newest"}, "revision 'newest' is not 'default'"),
        ({"start": "yesterday", "stop": "2018:001"}, "'yesterday' is not a time"),
        ({"start": "2016:001", "stop": "2016:400"}, "'2016:400' is not a time"),
    ],
)
def test_a_wrong_value_is_a_value_error_that_shows_it(question: dict[str, Any], message: str, lake: Path) -> None:
    with pytest.raises(ValueError, match=message):
        asp_l1.get_atts(**question, data_root=lake)


@pytest.mark.parametrize("question", [{}, {"start": "2017:001"}, {"stop": "2017:001"}, {"revision": 1}], ids=str)
def test_neither_an_obsid_nor_both_times_is_a_type_error(question: dict[str, Any], lake: Path) -> None:
    for function in (asp_l1.get_atts, asp_l1.get_files):
        with pytest.raises(TypeError, match="give an obsid, or both start and stop"):
            function(**question, data_root=lake)


def archive_of_one(tmp_path: Path, **changes: Any) -> tuple[Path, list[Path]]:
    """An archive of one observation, and its files."""
    root = tmp_path / "ska"
    return root, simulate.write_archive(root, [replace(OBSERVATIONS[0], revisions=(1,), last=1, **changes)])


def test_an_interval_without_its_misalignment_is_missing_data(tmp_path: Path) -> None:
    root, _ = archive_of_one(tmp_path, obsid=20001, tstop=MIDNIGHT + 600)
    calibrations = sorted(root.rglob("*_acal1.fits.gz"))
    assert len(calibrations) == 2
    calibrations[1].unlink()
    ingest(root, tmp_path / "lake", jobs=1)
    name = calibrations[1].name.split("_")[0]
    with pytest.raises(MissingDataError, match=rf"obsid 20001: aspect interval {name} has no misalignment \(ACACAL\)"):
        asp_l1.get_atts(20001, data_root=tmp_path / "lake")
    # The other interval has its own.
    stop = fits.getheader(calibrations[0], 1)["TSTOP"]
    q, times, headers = asp_l1.get_atts(start=MIDNIGHT - 500, stop=stop, data_root=tmp_path / "lake")
    assert (len(headers), len(q)) == (1, len(times))
    assert len(q) > 1000


def test_solutions_whose_status_is_not_known_are_not_good(tmp_path: Path) -> None:
    root, _ = archive_of_one(tmp_path)
    for path in root.rglob("*_aqual1.fits.gz"):
        path.unlink()
    ingest(root, tmp_path / "lake", jobs=1)
    q, times, headers = asp_l1.get_atts(20000, data_root=tmp_path / "lake")
    assert (q.shape, times.shape, len(headers)) == ((0, 4), (0,), 1)
    assert len(asp_l1.get_atts(20000, filter=False, data_root=tmp_path / "lake")[0]) > 1000


# --- columns are what the file says, by the rules of FITS -------------------------------------------------------------


def odd_names(path: Path) -> None:
    """Give the columns of a product other names that are the same to FITS: in the other case, with a blank behind."""

    def other(card: re.Match[bytes]) -> bytes:
        return (card[1] + b"'%s '" % card[2].rstrip().swapcase()).ljust(len(card[0]))

    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    changed, count = re.subn(rb"(TTYPE\d+ *= )'([^']*)' *", other, content)
    assert count and len(changed) == len(content)
    path.write_bytes(gzip.compress(changed, 1) if path.suffix == ".gz" else changed)


def test_names_of_columns_may_be_of_any_case_with_blanks_behind(ska: Path, lake: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(ska, tmp_path / "ska", symlinks=True))
    products = [path for path in odd.rglob("*1.fits*") if path.is_file() and not path.parent.is_symlink()]
    assert len(products) == 6 * 6
    for path in products:
        odd_names(path)
    assert ingest(odd, tmp_path / "lake", jobs=1).exit_code == 0
    for query in ("FROM asp_sol_revisions('2016:001', '2018:001')", "FROM aca_cent_revisions('2016:001', '2018:001')"):
        expected = Lake(lake).arrow(query)
        assert expected.num_rows > 5000
        assert Lake(tmp_path / "lake").arrow(query).equals(expected)
    # Of the newer kind, with q_att_raw.
    ((expected_q, times, _),) = intervals(ska, 20002, 3, True)
    q, found, _ = asp_l1.get_atts(20002, data_root=tmp_path / "lake")
    np.testing.assert_array_equal(found, times)
    np.testing.assert_allclose(matrix(q), expected_q, atol=1e-12)
    verified = Verified()
    with ThreadPoolExecutor() as threads:
        compare([odd], tmp_path / "lake", verified, pool=lambda tasks: threads)
    assert (verified.findings, verified.files["asp_l1_file"]) == ([], [36, 0, 0])


def test_a_remark_that_names_a_column_is_no_column(tmp_path: Path) -> None:
    root, paths = archive_of_one(tmp_path)
    (path,) = (path for path in paths if path.name.endswith("_asol1.fits.gz"))
    with fits.open(path) as hdus:
        assert "q_att_raw" not in hdus[1].data.names
        hdus[1].header.add_history("made without 'q_att_raw', as of old")
        hdus.writeto(tmp_path / "with.fits")
    path.write_bytes(gzip.compress((tmp_path / "with.fits").read_bytes(), 1))
    ingest(root, tmp_path / "lake", jobs=1)
    q, times, _ = asp_l1.get_atts(20000, filter=False, data_root=tmp_path / "lake")
    solution = fits.getdata(path, 1)
    misalignment = fits.getdata(path.with_name(path.name.replace("asol", "acal")), 1)["aca_misalign"][0]
    np.testing.assert_array_equal(times, solution["time"])
    np.testing.assert_allclose(matrix(q), matrix(solution["q_att"].astype(float)) @ misalignment.T, atol=1e-12)


# --- intervals that meet a range --------------------------------------------------------------------------------------


def test_an_interval_that_does_not_meet_the_range_has_no_header(ska: Path, lake: Path) -> None:
    first, second = intervals(ska, 20001, 2, False)
    stop, start = first[2]["TSTOP"], second[2]["TSTART"]
    assert 20 < start - stop < 100
    for a, b in ((stop + 2, stop + 8), (start - 8, start - 2)):
        q, times, headers = asp_l1.get_atts(start=a, stop=b, filter=False, data_root=lake)
        assert (q.shape, times.shape, headers) == ((0, 4), (0,), [])
    # Both of them are near; one is met.
    for a, b, part in ((stop - 5, start - 2, first), (stop + 2, start + 5, second)):
        assert_is(asp_l1.get_atts(start=a, stop=b, filter=False, data_root=lake), within(a, b, [part]))


def test_an_interval_that_is_met_where_all_is_bad_has_its_header(ska: Path, lake: Path) -> None:
    ((_, times, header),) = intervals(ska, 20000, 1, False)
    ((_, good, _),) = intervals(ska, 20000, 1, True)
    bad = np.setdiff1d(times, good)
    q, found, headers = asp_l1.get_atts(start=bad[2], stop=bad[-3], data_root=lake)
    assert (q.shape, found.shape) == ((0, 4), (0,))
    assert [cards(one) for one in headers] == [cards(header)]


# --- attitudes from files ---------------------------------------------------------------------------------------------


def of_files(lake: Path, obsid: int) -> list[list[str]]:
    return [asp_l1.get_files(obsid, content=kind, data_root=lake) for kind in ("ASPSOL", "ACACAL", "ASPQUAL")]


@pytest.mark.parametrize("filter", [True, False])
@pytest.mark.parametrize(("obsid", "revision"), [(20000, 1), (20001, 2), (20002, 3)])
def test_attitudes_from_files_are_those_of_the_lake(
    obsid: int, revision: int, filter: bool, ska: Path, lake: Path
) -> None:
    asol, acal, aqual = of_files(lake, obsid)
    found = asp_l1.get_atts_from_files(asol_files=asol, acal_files=acal, aqual_files=aqual, filter=filter)
    assert_is(found, list(intervals(ska, obsid, revision, filter)))
    expected = asp_l1.get_atts(obsid, filter=filter, data_root=lake)
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_attitudes_from_no_files_are_none() -> None:
    q, times, headers = asp_l1.get_atts_from_files([], [], [])
    assert (q.shape, times.shape, headers) == ((0, 4), (0,), [])


def test_files_that_do_not_belong_together_are_refused(lake: Path, tmp_path: Path) -> None:
    asol, acal, aqual = of_files(lake, 20001)
    with pytest.raises(ValueError, match="2 asol_files, 1 acal_files and 2 aqual_files"):
        asp_l1.get_atts_from_files(asol, acal[:1], aqual)
    for files in ((asol, acal[::-1], aqual), (asol, acal, aqual[::-1])):
        with pytest.raises(ValueError, match=f"and {re.escape(asol[0])} are of different times: they are"):
            asp_l1.get_atts_from_files(*files)
    with pytest.raises(ValueError, match=f"{re.escape(aqual[0])}: it has no column q_att"):
        asp_l1.get_atts_from_files(aqual, acal, aqual)
    with pytest.raises(FileNotFoundError, match="none"):
        asp_l1.get_atts_from_files([tmp_path / "none"], acal[:1], aqual[:1])


def test_solutions_beyond_the_times_of_the_header_are_found(tmp_path: Path) -> None:
    root, paths = archive_of_one(tmp_path)
    (path,) = (path for path in paths if path.name.endswith("_asol1.fits.gz"))
    last = float(fits.getdata(path, 1)["time"][-1])
    fits.setval(path, "TSTOP", value=last - 5, ext=1)
    assert ingest(root, tmp_path / "lake", jobs=1).exit_code == 0
    assert len(asp_l1.get_atts(20000, filter=False, start=last - 3, data_root=tmp_path / "lake")[1]) == 12


# --- quaternions ------------------------------------------------------------------------------------------------------

numbers = st.floats(-1, 1).filter(lambda x: x == 0 or abs(x) > 1e-3)
quaternions = st.lists(numbers, min_size=4, max_size=4).map(np.array).filter(lambda q: np.linalg.norm(q) > 0.1)


def assert_times_inverse(q: Floats, misalignment: Floats) -> None:
    turn = matrix(misalignment[None])[0]
    found = asp_l1._times_inverse(q, turn)
    assert found.shape == q.shape
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(q, axis=1), rtol=1e-12)
    np.testing.assert_allclose(matrix(found), matrix(q) @ turn.T, atol=1e-12)


@pytest.mark.parametrize(
    ("misalignment", "largest"),
    [
        ([0.9, 0.3, -0.2, 0.1], 0), ([0.3, 0.9, 0.2, -0.1], 1), ([-0.2, 0.3, 0.9, 0.1], 2), ([0.1, -0.2, 0.3, 0.9], 3),
        ([1, 0, 0, 0], 0), ([0, 1, 0, 0], 1), ([0, 0, 1, 0], 2), ([0, 0, 0, 1], 3),
        ([1, 1e-5, -1e-5, 0], 0), ([1e-5, 1, 0, -1e-5], 1), ([0, 1e-5, 1, 1e-5], 2), ([1e-5, 2e-5, -1e-5, 1], 3),
    ],
)  # fmt: skip
def test_quaternions_times_the_inverse_of_a_matrix_whichever_of_its_parts_is_largest(
    misalignment: list[float], largest: int
) -> None:
    turn = matrix(np.array([misalignment], float))[0]
    assert np.argmax([*np.diag(turn), np.trace(turn)]) == largest
    q = np.random.default_rng(1).standard_normal((20, 4))
    assert_times_inverse(q / np.linalg.norm(q, axis=1)[:, None], np.array(misalignment, float))


@settings(max_examples=200, deadline=None)
@given(q=st.lists(quaternions, max_size=3), misalignment=quaternions)
@example(q=[np.array([0, 0, 0, 1.0])], misalignment=np.array([1.0, 1, 1, 1]))
@example(q=[np.array([0, 0, 0, 1.0])], misalignment=np.array([1.0, 1, 1, 0]))
def test_quaternions_times_the_inverse_of_any_rotation(q: list[Floats], misalignment: Floats) -> None:
    assert_times_inverse(np.array(q).reshape(-1, 4), misalignment)


# --- folders and files ------------------------------------------------------------------------------------------------


def test_folders_are_links_where_there_are_links(ska: Path, lake: Path) -> None:
    top = ska / "data/mica/archive/asp1/20"
    assert asp_l1.get_obs_dirs(20000, data_root=lake) == {
        1: f"{top}/20000_v01", 2: f"{top}/20000_v02", "default": f"{top}/20000", "last": f"{top}/20000_last",
        "revisions": [1, 2],
    }  # fmt: skip
    assert asp_l1.get_obs_dirs(20003, data_root=lake) == {
        1: f"{top}/20003_v01", "last": f"{top}/20003_last", "revisions": [1]
    }  # fmt: skip
    assert asp_l1.get_obs_dirs(999, data_root=lake) is None
    dirs = [asp_l1.get_dir(obsid, data_root=lake) for obsid in (20000, 20002, 20003, 999)]
    assert dirs == [f"{top}/20000", f"{top}/20002", None, None]


def test_files_are_chosen_by_observation_time_revision_and_content(ska: Path, lake: Path) -> None:
    top = ska / "data/mica/archive/asp1/20"

    def names(folder: str, pattern: str = "*") -> list[str]:
        return sorted(str(path) for path in (top / folder).glob(f"{pattern}.fits*"))

    def files(obsid: int | None = None, **options: Any) -> list[str]:
        return asp_l1.get_files(obsid, **options, data_root=lake)

    assert len(names("20000_v01")) == 6
    assert files(20000) == names("20000_v01")
    assert files(20000, revision=2) == files(20000, revision="last") == names("20000_v02")
    assert files(20000, revision="all") == names("20000_v01") + names("20000_v02")
    assert files(20000, revision=3) == files(20003) == files(999) == []
    assert files(20003, revision="last") == names("20003_v01")
    assert files(20001, content="ASPSOL") == names("20001_v02", "*_asol1")
    both = sorted(names("20001_v02", "*_acen1") + names("20001_v02", "*_gspr1"))
    assert files(20001, content=["ACACENT", "GSPROPS"]) == files(20001, content=iter(("GSPROPS", "ACACENT"))) == both
    assert files(20001, content=[]) == files(20001, content="NOTHING") == []
    expected = [path for folder in ("20000_v01", "20001_v02", "20002_v03") for path in names(folder, "*_asol1")]
    assert files(start="2016:366", stop="2017:002", content="ASPSOL") == expected


def test_a_file_that_only_touches_the_range_is_not_in_it(ska: Path, lake: Path) -> None:
    (path,) = (ska / "data/mica/archive/asp1/20/20002_v03").glob("*_asol1.fits.gz")
    header = fits.getheader(path, 1)
    tstart, tstop = header["TSTART"], header["TSTOP"]
    for start, stop, count in [
        (tstart - 10, tstart, 0), (tstart - 10, np.nextafter(tstart, 1e10), 1),
        (tstop, tstop + 10, 0), (np.nextafter(tstop, 0), tstop + 10, 1), (tstart + 5, tstart + 6, 1),
    ]:  # fmt: skip
        found = asp_l1.get_files(start=start, stop=stop, content="ASPSOL", data_root=lake)
        assert found == [str(path)] * count
    assert asp_l1.get_files(20002, start=tstop, data_root=lake) == []
    assert len(asp_l1.get_files(20002, stop=tstop, data_root=lake)) == 6


def test_a_wrong_revision_or_time_of_files_is_a_value_error(lake: Path) -> None:
    with pytest.raises(ValueError, match="revision 'newest' is not 'default'"):
        asp_l1.get_files(20000, revision="newest", data_root=lake)
    with pytest.raises(ValueError, match="'soon' is not a time"):
        asp_l1.get_files(start="2016:001", stop="soon", data_root=lake)
