"""The functions of `archive.obspar`: what the files say, of the revision asked for, as the archive is now."""

import csv
import gzip
import json
import math
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake import LakeError
from mica_lake.archive import obspar
from mica_lake.ingest.obspar import ingest
from mica_lake.simulate import obspar as simulate
from mica_lake.simulate.observations import Observation, observations
from mica_lake.times import cxcsec

TOP = "data/mica/archive/obspar"
NOON = cxcsec("2015:100:12:00:00")
GOLDEN = Path(__file__).resolve().parents[4] / "shared/golden/archive.json"


@pytest.fixture(scope="module", autouse=True)
def _the_power_does_not_fail() -> Iterator[None]:
    """Files are not flushed to the disk, which is slow and of no consequence here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def plain(path: Path) -> dict[str, Any]:
    """An obspar as a plain reading of the CSV has it."""
    convert: dict[str, Callable[[str], Any]] = {"s": str, "i": int, "r": float}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        found = {
            name.replace("-", "_"): convert[kind](value) if value or kind == "s" else None
            for name, kind, _, value, *_ in csv.reader(lines)
        }
    ccds = [f"ccd{array}{n}_on" for array in "is" for n in range(10)]
    return found | {"num_ccd_on": sum(found.get(ccd) == "Y" for ccd in ccds)}


def same(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> bool:
    """Names in the same order, values and types the same."""
    if ours is None or theirs is None:
        return ours is theirs
    return [(k, type(v), repr(v)) for k, v in ours.items()] == [(k, type(v), repr(v)) for k, v in theirs.items()]


# --- mica's answers ---------------------------------------------------------------------------------------------------

ANSWERS: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}


@pytest.fixture(scope="module")
def golden_archive(golden_ska: Path, place: Callable[[str], str]) -> tuple[Path, str]:
    """The archive that mica was asked about, and a lake of it."""
    lake = place("obspar")
    assert ingest(golden_ska, lake, jobs=1).exit_code == 0
    return golden_ska, lake


def ask(lake: Path, key: str) -> Any:
    """Ask what a key of the golden answers asks."""
    kind, *args = key.split("|")
    version: Any = {"None": None}.get(args[-1], int(args[-1]) if args[-1].isdigit() else args[-1])
    match kind:
        case "obspar.get":
            return obspar.get_obspar(int(args[0]), version, data_root=lake)
        case "obspar.file":
            return obspar.get_obspar_file(int(args[0]), version, data_root=lake)
        case "obspar.dir":
            return obspar.get_dir(int(args[0]), data_root=lake)
        case "obspar.dirs":
            return obspar.get_obs_dirs(int(args[0]), data_root=lake)
        case "obspar.files" if ":" in args[0]:
            return obspar.get_files(start=args[0], stop=args[1], data_root=lake)
        case "obspar.files":
            return obspar.get_files(int(args[0]), revision=version, data_root=lake)
        case "obspar.obsids":
            return obspar.get_obsids(args[0], args[1], version, data_root=lake)
    raise AssertionError(f"{key}: nobody knows what it asks")


@pytest.mark.parametrize("key", [key for key in ANSWERS if key.startswith("obspar.")])
def test_the_answer_is_that_of_mica(key: str, golden_archive: tuple[Path, str]) -> None:
    ska, lake = golden_archive

    def relative(answer: Any) -> Any:
        if isinstance(answer, str):
            return os.path.relpath(answer, ska)
        if isinstance(answer, list):
            return [relative(item) for item in answer]
        if isinstance(answer, dict):
            return {str(key): relative(value) for key, value in answer.items()}
        return answer

    found = ask(lake, key)
    assert (found if key.startswith("obspar.get|") else relative(found)) == ANSWERS[key]
    if isinstance(found, dict) and key.startswith("obspar.get|"):
        assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in ANSWERS[key].items()}


# --- what the files say -----------------------------------------------------------------------------------------------


def simulated() -> list[Observation]:
    """Observations of all kinds about a new year, one of three revisions."""
    chosen = observations(cxcsec("2016:364"), cxcsec("2017:003"))
    return [replace(o, revisions=(1, 2, 3), default=2, last=3) if o.obsid == 23151 else o for o in chosen]


EVERY = simulated()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated archive, not to be changed."""
    ska = tmp_path_factory.mktemp("archive")
    simulate.write_archive(ska, EVERY)
    return ska


@pytest.fixture(scope="module")
def filled(archive: Path) -> Path:
    """A lake of this archive, not to be changed."""
    assert ingest(archive, archive.parent / f"{archive.name}_lake", jobs=1).exit_code == 0
    return archive.parent / f"{archive.name}_lake"


def folder_of(ska: Path, obsid: int, revision: int) -> Path:
    return ska / TOP / f"{obsid:05d}"[:2] / f"{obsid:05d}_v{revision:02d}"


def file_of(ska: Path, obsid: int, revision: int) -> Path:
    return folder_of(ska, obsid, revision) / f"axaff{obsid:05d}_000N{revision:03d}_obs0a.par.gz"


def test_the_observations_are_of_all_kinds() -> None:
    assert {o.detector.split("-")[0] for o in EVERY} == {"ACIS", "HRC", "NONE"}
    assert {(len(o.revisions), o.default == o.last, o.default is None) for o in EVERY} == {
        (1, True, False), (1, False, True), (2, True, False), (2, False, False), (3, False, False),
    }  # fmt: skip


@pytest.mark.parametrize("o", EVERY, ids=lambda o: str(o.obsid))
def test_every_revision_is_what_a_plain_reading_of_its_file_gives(o: Observation, archive: Path, filled: Path) -> None:
    expected = {revision: plain(file_of(archive, o.obsid, revision)) for revision in o.revisions}
    for revision in o.revisions:
        assert same(obspar.get_obspar(o.obsid, revision, data_root=filled), expected[revision])
    default = None if o.default is None else expected[o.default]
    assert same(obspar.get_obspar(o.obsid, data_root=filled), default)
    assert same(obspar.get_obspar(o.obsid, "last", data_root=filled), expected[o.last])
    for revision in {0, 1, 2, 3, 4, 5, -1} - {*o.revisions}:
        assert obspar.get_obspar(o.obsid, revision, data_root=filled) is None


def test_what_the_simulated_files_have_among_them(archive: Path, filled: Path) -> None:
    found = [obspar.get_obspar(o.obsid, "last", data_root=filled) or {} for o in EVERY]
    values = [value for one in found for value in one.values()]
    assert {type(value) for value in values} == {str, int, float, type(None)}
    assert "" in values
    assert any('"' in str(value) for value in values)
    assert any("," in str(value) for value in values)
    assert all("ss_object" in one and "date_obs" in one and "ss-object" not in one for one in found)
    expected = [len(o.detector.removeprefix("ACIS-")) if o.detector.startswith("ACIS") else 0 for o in EVERY]
    assert [one["num_ccd_on"] for one in found] == expected
    assert len(set(expected)) > 2
    assert all(list(one)[-1] == "num_ccd_on" for one in found)


def test_in_any_order_of_questions_the_answer_is_that_of_the_observation(tmp_path: Path) -> None:
    """More years than are kept, of two observations each, whose files are read alone or with those of the year."""
    keys = {}
    for year in range(2003, 2015):
        for n in (1, 2):
            start = cxcsec(f"{year}:100") + 5000 * n
            a_file(tmp_path, 10 * year + n, n, ("k", "i", str(year)), start=start)
            keys[10 * year + n, n] = {"tstart": start, "tstop": start + 1000, "k": year, "num_ccd_on": 0}
    ingest(tmp_path, tmp_path / "lake", jobs=1)
    asked = [*keys, *keys, *random.Random(1).choices(list(keys), k=100)]
    wrong = [key for key in asked if not same(obspar.get_obspar(*key, data_root=tmp_path / "lake"), keys[key])]
    assert wrong == []
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda key: obspar.get_obspar(*key, data_root=tmp_path / "lake"), asked)
        assert all(same(answer, keys[key]) for key, answer in zip(asked, found, strict=True))


def test_an_answer_may_be_changed(filled: Path) -> None:
    for _ in range(3):
        found = obspar.get_obspar(23152, data_root=filled)
        assert found is not None
        assert found["obs_id"] == "23152"
        found.clear()


def test_an_observation_never_seen_has_nothing(filled: Path) -> None:
    for obsid in (4711, 0, -1, 99999, 10**30):
        assert obspar.get_obspar(obsid, data_root=filled) is None
        assert obspar.get_obspar_file(obsid, data_root=filled) is None
        assert obspar.get_dir(obsid, data_root=filled) is None
        assert obspar.get_obs_dirs(obsid, data_root=filled) is None
        assert obspar.get_files(obsid, revision="all", data_root=filled) == []


@pytest.mark.parametrize("o", EVERY, ids=lambda o: str(o.obsid))
def test_folders_and_files_of_an_observation(o: Observation, archive: Path, filled: Path) -> None:
    folders = {revision: str(folder_of(archive, o.obsid, revision)) for revision in o.revisions}
    link = str(archive / TOP / f"{o.obsid:05d}"[:2] / f"{o.obsid:05d}")
    expected: dict[Any, Any] = {**folders, "revisions": list(o.revisions)}
    expected["last"] = link if o.last == o.default else f"{link}_last"
    if o.default is not None:
        expected["default"] = link
    assert obspar.get_obs_dirs(o.obsid, data_root=filled) == expected
    assert obspar.get_dir(o.obsid, data_root=filled) == expected.get("default")
    for version, revision in [("default", o.default), ("last", o.last), *((r, r) for r in o.revisions)]:
        path = obspar.get_obspar_file(o.obsid, version, data_root=filled)
        files = obspar.get_files(o.obsid, revision=version, data_root=filled)
        if revision is None:
            assert (path, files) == (None, [])
            continue
        assert path == f"{expected[version]}/{file_of(archive, o.obsid, revision).name}"
        assert files == [str(file_of(archive, o.obsid, revision))]
        assert Path(path).samefile(files[0])
    every = [str(file_of(archive, o.obsid, revision)) for revision in o.revisions]
    assert obspar.get_files(o.obsid, revision="all", data_root=filled) == every
    assert obspar.get_files(o.obsid, content="OBSPAR", data_root=filled) == obspar.get_files(o.obsid, data_root=filled)
    assert obspar.get_files(o.obsid, revision=77, data_root=filled) == []


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)
values = st.one_of(
    st.tuples(st.just("s"), text),
    st.tuples(st.just("i"), st.none() | st.integers(-(2**53), 2**53)),
    st.tuples(st.just("r"), st.none() | st.floats(allow_nan=False)),
)
names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8).map(lambda name: f"x{name}")


@settings(deadline=None, max_examples=8)
@given(files=st.lists(st.lists(st.tuples(names, values), unique_by=lambda row: row[0]), min_size=1, max_size=4))
def test_any_parameters_come_back_through_the_lake(files: list[list[tuple[str, tuple[str, Any]]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for obsid, written in enumerate(files):
            more = [(name, kind, "" if v is None else v if kind == "s" else repr(v)) for name, (kind, v) in written]
            a_file(Path(folder), obsid, 1, *more)
        assert list(ingest(folder, Path(folder, "lake"), jobs=1).set_aside) == ["obspar/archfiles.db3"]
        for obsid, written in enumerate(files):
            expected = {"tstart": NOON, "tstop": NOON + 1000, **{name: v for name, (_, v) in written}, "num_ccd_on": 0}
            assert same(obspar.get_obspar(obsid, 1, data_root=Path(folder, "lake")), expected)


# --- times ------------------------------------------------------------------------------------------------------------


def chosen(o: Observation, revision: Any) -> list[int]:
    """The revisions of an observation that are asked for."""
    named: dict[Any, Any] = {None: [o.default], "default": [o.default], "last": [o.last], "all": o.revisions}
    wanted = named.get(revision, [revision])
    return [r for r in o.revisions if r in wanted]


edges = st.sampled_from([t for o in EVERY for t in (o.tstart, o.tstop)])
times = st.one_of(
    edges,
    st.builds(math.nextafter, edges, st.sampled_from([-math.inf, math.inf])),
    st.floats(EVERY[0].tstart - 1e4, EVERY[-1].tstop + 1e4),
)


@settings(deadline=None, max_examples=60)
@given(start=times, stop=times, revision=st.sampled_from([None, "default", "last", "all", 1, 2, 3, 9]))
def test_observations_of_a_time_range(start: float, stop: float, revision: Any, archive: Path, filled: Path) -> None:
    start, stop = min(start, stop), max(start, stop)
    met = [o for o in EVERY if o.tstart < stop and o.tstop > start]
    assert obspar.get_obsids(start, stop, revision, data_root=filled) == [o.obsid for o in met if chosen(o, revision)]
    expected = [str(file_of(archive, o.obsid, r)) for o in met for r in chosen(o, revision)]
    assert obspar.get_files(start=start, stop=stop, revision=revision, data_root=filled) == expected


def test_an_observation_meets_a_range_that_begins_before_its_stop_and_ends_after_its_start(filled: Path) -> None:
    o = next(o for o in EVERY if o.obsid == 23152)

    def met(start: float, stop: float) -> bool:
        found = o.obsid in obspar.get_obsids(start, stop, data_root=filled)
        assert bool(obspar.get_files(o.obsid, start, stop, data_root=filled)) is found
        return found

    assert not met(o.tstart - 10, o.tstart)
    assert met(o.tstart - 10, math.nextafter(o.tstart, math.inf))
    assert not met(o.tstop, o.tstop + 10)
    assert met(math.nextafter(o.tstop, -math.inf), o.tstop + 10)
    assert met(o.tstart + 10, o.tstart + 10)
    assert not met(o.tstart, o.tstart)
    assert not met(o.tstop, o.tstop)


def test_one_time_narrows_the_files_of_an_observation(filled: Path) -> None:
    o = next(o for o in EVERY if o.obsid == 23152)
    for options, expected in [
        ({"start": o.tstop}, 0), ({"start": o.tstop - 1}, 1), ({"stop": o.tstart}, 0), ({"stop": o.tstart + 1}, 1),
    ]:  # fmt: skip
        assert len(obspar.get_files(o.obsid, **options, data_root=filled)) == expected


def test_times_may_be_dates_and_the_stop_may_be_now(filled: Path) -> None:
    expected = [o.obsid for o in EVERY if o.tstart < cxcsec("2017:001") and o.tstop > cxcsec("2016:366")]
    assert obspar.get_obsids("2016:366", "2017-01-01", "last", data_root=filled) == expected
    since = [o.obsid for o in EVERY if o.tstop > cxcsec("2017:001")]
    assert obspar.get_obsids("2017:001", None, "last", data_root=filled) == since
    assert obspar.get_obsids("2001:001", "2002:001", "last", data_root=filled) == []


@pytest.mark.parametrize(
    ("start", "revision"),
    [
        ("2017:001", 1),
        pytest.param(
            "just before 2017:001", 1,
        ),
        ("2016:366:23:59:60.9", 1),
    ],
)  # fmt: skip
def test_an_observation_may_start_with_the_year(start: str, revision: int, tmp_path: Path) -> None:
    tstart = cxcsec("2017:001") - 1e-4 if start == "just before 2017:001" else cxcsec(start)
    a_file(tmp_path, 1, revision, start=tstart)
    ingest(tmp_path, tmp_path / "lake", jobs=1)
    found = obspar.get_obspar(1, revision, data_root=tmp_path / "lake")
    assert found == {"tstart": tstart, "tstop": tstart + 1000, "num_ccd_on": 0}


# --- wrong questions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"start": "2016:366"}, {"stop": "2016:366"}, {"revision": "all"}], ids=str)
def test_neither_an_obsid_nor_both_times_is_a_type_error(given: dict[str, Any], filled: Path) -> None:
    with pytest.raises(TypeError, match="give an obsid, or both start and stop"):
        obspar.get_files(**given, data_root=filled)


ASKED: dict[str, Callable[[Any, Path], Any]] = {
    "get_obspar": lambda version, lake: obspar.get_obspar(23152, version, data_root=lake),
    "get_obspar_file": lambda version, lake: obspar.get_obspar_file(23152, version, data_root=lake),
    "get_files": lambda version, lake: obspar.get_files(23152, revision=version, data_root=lake),
    "get_obsids": lambda version, lake: obspar.get_obsids("2016:366", "2017:002", version, data_root=lake),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize(
    "version",
    [
        "newest", "", "Default", "v02", "2", "1.0", math.nan, math.inf, 2.7, [], [2], {}, object,
    ],
    ids=repr,
)  # fmt: skip
def test_a_nonsense_revision_is_a_value_error_that_shows_it(
    version: Any, ask: Callable[[Any, Path], Any], filled: Path
) -> None:
    with pytest.raises(ValueError, match="is not 'default', 'last', 'all' or a whole number") as error:
        ask(version, filled)
    assert repr(version) in str(error.value)


def test_no_version_has_no_file(filled: Path) -> None:
    assert obspar.get_obspar_file(23152, None, data_root=filled) is None
    assert obspar.get_obspar(23152, None, data_root=filled) is None


@pytest.mark.parametrize("number", [2.0, np.float64(2), np.float32(2), np.int64(2)], ids=repr)
def test_a_revision_may_be_a_whole_float(number: Any, filled: Path) -> None:
    assert (
        obspar.get_obspar(23151, number, data_root=filled) == obspar.get_obspar(23151, 2, data_root=filled) is not None
    )
    assert obspar.get_files(23151, revision=number, data_root=filled) == obspar.get_files(
        23151, revision=2, data_root=filled
    )
    assert Path(obspar.get_obspar_file(23151, number, data_root=filled) or "").parent.name == "23151_v02"


def test_the_last_files_without_a_link_are_those_of_the_highest_revision(tmp_path: Path) -> None:
    three = replace(EVERY[0], revisions=(1, 2, 10), default=2, last=10)
    simulate.write_archive(tmp_path / "ska", [three])
    for link in (tmp_path / "ska" / TOP).rglob("*_last"):
        link.unlink()
    ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
    (found,) = obspar.get_files(three.obsid, revision="last", data_root=tmp_path / "lake")
    assert Path(found).parent.name.endswith("_v10")
    between = {"start": three.tstart - 1, "stop": three.tstop + 1, "revision": "last"}
    assert obspar.get_files(**between, data_root=tmp_path / "lake") == [found]


def test_the_last_files_are_those_of_its_link(tmp_path: Path) -> None:
    three = replace(EVERY[0], revisions=(1, 2, 10), default=1, last=2)
    simulate.write_archive(tmp_path / "ska", [three])
    ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
    (found,) = obspar.get_files(three.obsid, revision="last", data_root=tmp_path / "lake")
    assert Path(found).parent.name.endswith("_v02")


def test_a_stop_before_the_start_is_an_error_that_shows_both(filled: Path) -> None:
    for ask in (
        lambda: obspar.get_obsids("2017:002", "2017:001", data_root=filled),
        lambda: obspar.get_files(start="2017:002", stop="2017:001", data_root=filled),
        lambda: obspar.get_files(23152, "2017:002", "2017:001", data_root=filled),
    ):
        with pytest.raises(ValueError, match="stop '2017:001' is before start '2017:002'"):
            ask()


def test_from_the_beginning_is_any_early_year(filled: Path) -> None:
    every = obspar.get_obsids(0, "2030:001", data_root=filled)
    assert obspar.get_obsids("1990:001", "2300:001", data_root=filled) == every
    assert len(set(every)) == len(every) > 3


@pytest.mark.parametrize(
    "version",
    ["all", None, "2", 2.7],
    ids=repr,
)  # fmt: skip
def test_both_ways_to_the_parameters_know_the_same_versions(version: Any, filled: Path) -> None:
    def answer(function: Callable[..., Any]) -> Any:
        try:
            return function(23152, version, data_root=filled) is not None
        except ValueError:
            return ValueError

    assert answer(obspar.get_obspar) == answer(obspar.get_obspar_file)


@pytest.mark.parametrize("time", ["yesterday", "2016:367", "2015:181:23:59:61", math.nan, math.inf, [], True, object])
def test_a_nonsense_time_is_a_value_error(time: Any, filled: Path) -> None:
    for start, stop in [(time, "2017:001"), ("2016:366", time)]:
        with pytest.raises(ValueError):
            obspar.get_files(start=start, stop=stop, data_root=filled)
        with pytest.raises(ValueError):
            obspar.get_files(23152, start=start, stop=stop, data_root=filled)
        with pytest.raises(ValueError):
            obspar.get_obsids(start, stop, data_root=filled)


@pytest.mark.parametrize("time", ["yesterday", "2016:367"])
def test_a_nonsense_time_is_shown(time: str, filled: Path) -> None:
    with pytest.raises(ValueError, match=time):
        obspar.get_obsids(time, "2017:001", data_root=filled)


def test_without_a_lake_each_function_says_so(tmp_path: Path) -> None:
    for function in (obspar.get_obspar, obspar.get_obspar_file, obspar.get_dir, obspar.get_obs_dirs, obspar.get_files):
        with pytest.raises(LakeError, match=f"{tmp_path} is not a mica lake"):
            function(1, data_root=tmp_path)
        with pytest.raises(LakeError, match="which lake"):
            function(1)
    with pytest.raises(LakeError, match="is not a mica lake"):
        obspar.get_obsids(0, 1, data_root=tmp_path)


def test_the_lake_of_the_environment_is_asked(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICA_LAKE", str(filled))
    assert obspar.get_obspar(23152) == obspar.get_obspar(23152, data_root=filled)
    assert obspar.get_dir(23152) == obspar.get_dir(23152, data_root=filled)
    assert obspar.get_obsids("2016:366", "2017:001") == obspar.get_obsids("2016:366", "2017:001", data_root=filled)


# --- the archive changes while a process asks -------------------------------------------------------------------------

Seen = dict[str, Any]


def a_file(
    ska: Path, obsid: int, revision: int, *more: tuple[str, str, str], start: float = NOON, name: str = ""
) -> Path:
    """A file of the least that an obspar must have, and more parameters."""
    path = folder_of(ska, obsid, revision) / (name or f"axaff{obsid:05d}_000N{revision:03d}_obs0a.par")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for key, kind, value in [("tstart", "r", repr(start)), ("tstop", "r", repr(start + 1000)), *more]:
            writer.writerow([key, kind, "h", value, "", "", ""])
    return path


class Archive:
    """An archive of one observation, 2121, of revisions 1 to 3 at first, and a lake of it."""

    def __init__(self, folder: Path) -> None:
        self.ska, self.lake = folder / "ska", folder / "lake"
        for revision in (1, 2, 3):
            self.write(revision)
        self.link("02121", 2)
        self.link("02121_last", 3)
        self.say([(1, None), (2, 1), (3, None)])

    @property
    def group(self) -> Path:
        return self.ska / TOP / "02"

    def write(self, revision: int, content: str = "first", start: float = NOON) -> None:
        a_file(self.ska, 2121, revision, ("k", "s", f"{content} of {revision}"), start=start)

    def link(self, name: str, revision: int | None) -> None:
        (self.group / name).unlink(missing_ok=True)
        if revision is not None:
            (self.group / name).symlink_to(f"02121_v{revision:02d}")

    def say(self, rows: list[tuple[int, int | None]] | None) -> None:
        """What the database says of the revisions."""
        path = self.ska / TOP / "archfiles.db3"
        path.unlink(missing_ok=True)
        if rows is not None:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("CREATE TABLE archfiles (obsid int, revision int, isdefault int)")
                connection.executemany("INSERT INTO archfiles VALUES (2121, ?, ?)", rows)

    def seen(self) -> Seen:
        """What all functions answer after an ingest; paths from the archive's folder on."""
        ingest(self.ska, self.lake, jobs=1)
        return self.seen_without_ingest()

    def seen_without_ingest(self) -> Seen:
        def short(path: Any) -> Any:
            return os.path.relpath(path, self.group) if isinstance(path, str) else path

        def key(version: Any) -> Any:
            return (obspar.get_obspar(2121, version, data_root=self.lake) or {}).get("k")

        dirs = obspar.get_obs_dirs(2121, data_root=self.lake) or {}
        assert obspar.get_dir(2121, data_root=self.lake) == dirs.get("default")
        return {
            "k": [key("default"), key("last"), *map(key, dirs.get("revisions", []))],
            "dirs": [short(dirs.get("default")), short(dirs.get("last")), dirs.get("revisions")],
            "file": [short(obspar.get_obspar_file(2121, version, self.lake)) for version in ("default", "last")],
            "files": [
                [Path(path).parent.name[-3:] for path in obspar.get_files(2121, revision=version, data_root=self.lake)]
                for version in (None, "last", "all")
            ],
            "obsids": [
                obspar.get_obsids(NOON, NOON + 1, version, data_root=self.lake) for version in (None, "last", 1)
            ],
        }  # fmt: skip


def expected(
    default: tuple[int, str] | None,
    last: tuple[int, str],
    content: dict[int, str],
    *,
    revisions: str = "123",
    of_files: int | None = None,
) -> Seen:
    """What `Archive.seen` gives: default and last with the folder or link that leads to them; get_files' own last."""
    numbers = [int(n) for n in revisions]

    def name(which: tuple[int, str] | None) -> Any:
        return which and f"{which[1]}/axaff02121_000N{which[0]:03d}_obs0a.par"

    texts = {n: f"{content.get(n, 'first')} of {n}" for n in numbers}
    return {
        "k": [default and texts[default[0]], texts[last[0]], *texts.values()],
        "dirs": [default and default[1], last[1], numbers],
        "file": [name(default), name(last)],
        "files": [
            [f"v{default[0]:02d}"] if default else [],
            [f"v{of_files or last[0]:02d}"],
            [f"v{n:02d}" for n in numbers],
        ],
        "obsids": [[2121] if default else [], [2121], [2121]],
    }


AT_FIRST = expected((2, "02121"), (3, "02121_last"), {})


@pytest.fixture
def changing(tmp_path: Path) -> Archive:
    """An archive that was asked about in this process, so that anything kept would be stale after a change."""
    found = Archive(tmp_path)
    assert found.seen() == AT_FIRST
    return found


def test_a_new_revision_is_seen(changing: Archive) -> None:
    changing.write(4)
    changing.link("02121_last", 4)
    assert changing.seen_without_ingest() == AT_FIRST
    assert changing.seen() == expected((2, "02121"), (4, "02121_last"), {}, revisions="1234")


@pytest.mark.parametrize("database", ["missing", "without the observation", "damaged"])
def test_without_the_database_the_link_is_followed(database: str, changing: Archive) -> None:
    changing.say(None if database == "missing" else [])
    if database == "damaged":
        (changing.ska / TOP / "archfiles.db3").write_bytes(b"no database" * 200)
    changing.link("02121", 1)
    assert changing.seen() == expected((1, "02121"), (3, "02121_last"), {})


def test_each_change_of_default_and_links_is_seen(changing: Archive) -> None:
    link, last = "02121", "02121_last"
    # Another default, which is the last as well.
    changing.say([(1, None), (2, None), (3, 1)])
    changing.link(link, 3)
    changing.link(last, None)
    assert changing.seen() == expected((3, link), (3, link), {})
    # Another in the database alone: the link does not count.
    changing.say([(1, 1), (2, None), (3, None)])
    changing.link(last, 3)
    assert changing.seen() == expected((1, "02121_v01"), (3, last), {})
    # The link follows; then it goes.
    changing.link(link, 1)
    assert changing.seen() == expected((1, link), (3, last), {})
    changing.link(link, None)
    assert changing.seen() == expected((1, "02121_v01"), (3, last), {})
    # The link to the last goes: the default is the last, but of files the highest is.
    changing.link(last, None)
    assert changing.seen() == expected((1, "02121_v01"), (1, "02121_v01"), {}, of_files=3)
    # The default is withdrawn: the highest is the last.
    changing.say([(1, None), (2, None), (3, None)])
    assert changing.seen() == expected(None, (3, "02121_v03"), {})
    # Neither database nor link.
    changing.say(None)
    assert changing.seen() == expected(None, (3, "02121_v03"), {})


def test_a_changed_file_is_seen(changing: Archive) -> None:
    changing.write(2, "second")
    assert changing.seen_without_ingest() == AT_FIRST
    assert changing.seen() == expected((2, "02121"), (3, "02121_last"), {2: "second"})


def test_a_file_of_another_year_is_seen(changing: Archive) -> None:
    changing.write(2, "second", start=NOON - 86400 * 300)
    now = changing.seen()
    assert now["k"] == ["second of 2", "first of 3", "first of 1", "second of 2", "first of 3"]
    assert now["obsids"] == [[], [2121], [2121]]


def test_a_file_that_becomes_bad_leaves_the_answers(changing: Archive) -> None:
    (changing.group / "02121_v02" / "axaff02121_000N002_obs0a.par").write_bytes(b"\xff")
    assert changing.seen() == AT_FIRST
    changing.write(2, "third")
    assert changing.seen() == expected((2, "02121"), (3, "02121_last"), {2: "third"})


def test_a_moved_archive_is_seen(changing: Archive) -> None:
    moved = changing.ska.with_name("moved")
    changing.ska.rename(moved)
    changing.ska = moved
    assert changing.seen() == AT_FIRST
    found = obspar.get_obs_dirs(2121, data_root=changing.lake)
    assert found is not None
    assert all(Path(path).is_relative_to(moved) for key, path in found.items() if key != "revisions")
    assert Path(found["default"]).resolve() == Path(found[2])


def test_an_observation_that_is_gone_stays_as_it_was(changing: Archive) -> None:
    shutil.rmtree(changing.group)
    assert changing.seen() == AT_FIRST


@pytest.mark.parametrize("gone", [2, 3])
def test_a_revision_that_is_gone_keeps_its_parameters_but_is_no_default_nor_last(gone: int, changing: Archive) -> None:
    shutil.rmtree(changing.group / f"02121_v{gone:02d}")
    default = (2, "02121") if gone != 2 else None
    last = (3, "02121_last") if gone != 3 else (2, "02121")
    assert changing.seen() == expected(default, last, {}, of_files=3)


def test_a_lake_made_anew_in_the_same_place_is_seen(changing: Archive) -> None:
    shutil.rmtree(changing.lake)
    changing.write(2, "second")
    assert changing.seen() == expected((2, "02121"), (3, "02121_last"), {2: "second"})
