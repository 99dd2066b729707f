"""Which files make up the archive when revisions compete: as a rule about intervals, and through files and lakes."""

import gzip
import shutil
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mica_lake.catalog.generation import read_table
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.ingest.aca_l0.revisions import Verdict, connected, judge
from mica_lake.ingest.report import Report
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.times import cxcsec

NOON = cxcsec("2015:100:12:00:00")
MIDNIGHT = cxcsec("2015:101")
SLOT = 3
Interval = tuple[float, float, int]  # start, stop, revision


def readout_file(folder: Path, start: float, stop: float, revision: int = 1, **header: object) -> Path:
    """A file of 8x8 readouts; each revision has pixels of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = readouts(SLOT, 8, times(start, stop, 8), seed=revision)
    return write_file(folder, SLOT, columns, revision=revision, header=header)


def files_of(folder: Path, origin: float, intervals: dict[str, Interval]) -> dict[str, Path]:
    """A file for each letter, in a folder of its own."""
    return {
        letter: readout_file(folder / letter, origin + start, origin + stop, revision)
        for letter, (start, stop, revision) in intervals.items()
    }


def taken_one_by_one(lake: Path, files: Sequence[Path]) -> Path:
    for file in files:
        ingest([file], lake, jobs=1)
    return lake


def taken_at_once(lake: Path, files: Sequence[Path]) -> Path:
    ingest(files, lake, jobs=1)
    return lake


def partitions(lake: Path) -> dict[str, bytes]:
    """All partitions, byte for byte."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("aca_l0/**/data.parquet")}


def known(lake: Path) -> list[dict[str, Any]]:
    return read_table(lake, "source_file").to_pylist()


def statuses(lake: Path) -> dict[str, str]:
    rows = known(lake)
    found = {row["filename"]: row["status"] for row in rows}
    assert len(found) == len(rows), "a file has two rows"
    return found


def kept(lake: Path) -> list[tuple[float, str]]:
    """Each readout of the lake, and the file that it is kept from."""
    rows: list[tuple[float, str]] = []
    for path in sorted(lake.glob("aca_l0/**/data.parquet")):
        table = pq.read_table(path, partitioning=None, columns=["TIME", "FILENAME"])
        rows += zip(table["TIME"].to_pylist(), table["FILENAME"].to_pylist(), strict=True)
    return sorted(rows)


def times_of(start: float, stop: float) -> list[float]:
    return times(start, stop, 8).tolist()


# --- the rule ---------------------------------------------------------------------------------------------------------


def by_the_rule(files: Sequence[tuple[str, int, int, int]]) -> dict[str, str]:
    """The rule as it is stated, newest revision first, without any cleverness."""
    current: list[tuple[str, int, int, int]] = []
    lost = []
    for file in sorted(files, key=lambda f: -f[1]):
        if any(c[1] > file[1] and c[2] < file[3] and c[3] > file[2] for c in current):
            lost.append(file)
        else:
            current.append(file)
    status = {name: "current" for name, *_ in current}
    for name, revision, start, stop in lost:
        older = any(c[1] < revision and c[2] < stop and c[3] > start for c in current)
        status[name] = "refused" if older else "superseded"
    return status


some_files = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 30), st.integers(1, 12)), max_size=12)


@settings(deadline=None)
@given(some_files, st.randoms(use_true_random=False))
def test_judge_is_the_rule_whatever_the_order(intervals: list[tuple[int, int, int]], random: Any) -> None:
    files = [(f"file{i:02d}", revision, start, start + n) for i, (revision, start, n) in enumerate(intervals)]
    expected = by_the_rule(files)
    random.shuffle(files)
    names, revision, tstart, tstop = zip(*files, strict=True) if files else ((), (), (), ())
    verdicts = dict(zip(names, judge(names, revision, tstart, tstop), strict=True))
    assert {name: verdict.status for name, verdict in verdicts.items()} == expected
    assert verdicts == dict(
        zip(names[::-1], judge(names[::-1], revision[::-1], tstart[::-1], tstop[::-1]), strict=True)
    )
    where = {name: rest for name, *rest in files}
    for name, verdict in verdicts.items():
        if verdict.status == "current":
            assert (verdict.by, verdict.reason) == ("", None)
        else:
            assert expected[verdict.by] == "current"
            assert where[verdict.by][0] > where[name][0]
            assert verdict.reason is not None
            assert verdict.by in verdict.reason


# --- the rule through files -------------------------------------------------------------------------------------------

CASES: dict[str, tuple[float, dict[str, Interval], dict[str, str]]] = {
    "the same boundaries: the newer one stays": (
        NOON, {"A": (0, 60, 1), "B": (0, 60, 2)}, {"A": "superseded", "B": "current"},
    ),
    "it overlaps only older ones: they go": (
        NOON,
        {"A": (0, 60, 1), "B": (60, 120, 1), "C": (30, 90, 2)},
        {"A": "superseded", "B": "superseded", "C": "current"},
    ),
    "it overlaps only newer ones: it is not taken": (
        NOON, {"A": (0, 60, 2), "B": (60, 120, 3), "C": (30, 90, 1)},
        {"A": "current", "B": "current", "C": "superseded"},
    ),
    "files that only touch do not overlap": (
        NOON, {"A": (0, 60, 1), "B": (60, 120, 2), "C": (120, 180, 1)},
        {"A": "current", "B": "current", "C": "current"},
    ),
    "the same revision: both stay": (NOON, {"A": (0, 80, 1), "B": (40, 120, 1)}, {"A": "current", "B": "current"}),
    "the same revision, one within the other": (
        NOON, {"A": (0, 120, 1), "B": (40, 80, 1)}, {"A": "current", "B": "current"},
    ),
    "it overlaps an older and a newer one: it is refused": (
        NOON, {"A": (0, 60, 1), "B": (40, 120, 2), "C": (100, 160, 3)},
        {"A": "current", "B": "refused", "C": "current"},
    ),
    "a chain of four: one that has gone pushes nobody out": (
        NOON, {"A": (0, 60, 1), "B": (40, 120, 2), "C": (100, 160, 3), "D": (140, 200, 4)},
        {"A": "superseded", "B": "current", "C": "refused", "D": "current"},
    ),
    "a newer one across midnight": (
        MIDNIGHT, {"A": (-90, -30, 1), "B": (30, 90, 1), "C": (-60, 60, 2)},
        {"A": "superseded", "B": "superseded", "C": "current"},
    ),
    "an older one across midnight, the newer one on both days": (
        MIDNIGHT, {"A": (-60, 60, 1), "B": (-90, 30, 2)}, {"A": "superseded", "B": "current"},
    ),
    "an older one across midnight, the newer one on the day after": (
        MIDNIGHT, {"A": (-60, 60, 1), "B": (30, 90, 2)}, {"A": "superseded", "B": "current"},
    ),
    "an older one across midnight, the newer one on the day after, another on the day before": (
        MIDNIGHT, {"A": (-60, 60, 1), "B": (30, 90, 2), "C": (-200, -100, 1)},
        {"A": "superseded", "B": "current", "C": "current"},
    ),
    "two of the same revision across midnight": (
        MIDNIGHT, {"A": (-60, 60, 1), "B": (-30, 90, 1)}, {"A": "current", "B": "current"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("origin", "intervals", "expected"), CASES.values(), ids=CASES.keys())
@pytest.mark.often(2)
def test_the_outcome_is_that_of_the_rule_in_every_order_of_arrival(
    origin: float, intervals: dict[str, Interval], expected: dict[str, str], tmp_path: Path
) -> None:
    files = files_of(tmp_path, origin, intervals)
    expected_statuses = {files[letter].name: status for letter, status in expected.items()}
    readouts_of: dict[float, str] = {}
    for letter in sorted(files, key=lambda a: (intervals[a][2], files[a].name)):  # the newest, the latest, has the say
        if expected[letter] == "current":
            start, stop, _ = intervals[letter]
            readouts_of |= dict.fromkeys(times_of(origin + start, origin + stop), files[letter].name)
    at_once = taken_at_once(tmp_path / "at once", list(files.values()))
    assert statuses(at_once) == expected_statuses
    assert kept(at_once) == sorted(readouts_of.items())
    for order in permutations(files):
        lake = taken_one_by_one(tmp_path / "".join(order), [files[letter] for letter in order])
        assert statuses(lake) == expected_statuses, order
        assert kept(lake) == sorted(readouts_of.items()), order
        assert partitions(lake) == partitions(at_once), order


def test_a_refused_file_is_reported_each_time_with_both_its_rivals(tmp_path: Path) -> None:
    files = files_of(tmp_path, NOON, {"A": (0, 60, 1), "B": (40, 120, 2), "C": (100, 160, 3)})
    taken_at_once(tmp_path / "lake", [files["A"], files["C"]])
    for _ in range(2):
        report = ingest([files["B"]], tmp_path / "lake", jobs=1)
        assert report.exit_code == 3
        assert report.taken == []
        reason = report.set_aside[files["B"].name]
        assert files["A"].name in reason
        assert files["C"].name in reason


def test_a_file_that_gives_way_is_reported_with_the_one_it_gives_way_to(tmp_path: Path) -> None:
    files = files_of(tmp_path, NOON, {"A": (0, 60, 1), "B": (30, 90, 2)})
    taken_at_once(tmp_path / "lake", [files["B"]])
    report = ingest([files["A"]], tmp_path / "lake", jobs=1)
    assert (report.exit_code, report.taken) == (0, [])
    assert files["B"].name in report.superseded[files["A"].name]
    report = taken_last(tmp_path / "other", [files["A"], files["B"]])
    assert report.exit_code == 0
    assert (report.taken, report.replaced) == ([files["B"].name], [files["A"].name])


def taken_last(lake: Path, files: Sequence[Path]) -> Report:
    """The report on the last of some files, taken one by one."""
    taken_one_by_one(lake, files[:-1])
    return ingest([files[-1]], lake, jobs=1)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-9, 6), st.integers(1, 5)), min_size=2, max_size=5, unique=True),
    st.randoms(use_true_random=False),
)
def test_any_files_in_any_order_and_split_give_the_same_partitions(
    tmp_path_factory: pytest.TempPathFactory, intervals: list[tuple[int, int, int]], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    files = {
        (start, revision): readout_file(folder, MIDNIGHT + 20 * start, MIDNIGHT + 20 * (start + n), revision)
        for revision, start, n in intervals
    }
    order = list(files.values())
    taken_at_once(folder / "at once", order)
    random.shuffle(order)
    cut = random.randrange(len(order) + 1)
    taken_at_once(folder / "lake", order[:cut])
    taken_one_by_one(folder / "lake", order[cut:])
    assert statuses(folder / "lake") == statuses(folder / "at once")
    assert partitions(folder / "lake") == partitions(folder / "at once")


def test_batches_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_of(tmp_path, NOON, {"A": (0, 60, 1), "B": (40, 120, 2), "C": (100, 160, 3), "D": (140, 200, 4)})
    taken_at_once(tmp_path / "one batch", list(files.values()))
    monkeypatch.setattr("mica_lake.ingest.aca_l0.AcaL0.files_a_commit", 1)
    taken_at_once(tmp_path / "four batches", list(files.values()))
    assert partitions(tmp_path / "four batches") == partitions(tmp_path / "one batch")
    assert statuses(tmp_path / "four batches") == statuses(tmp_path / "one batch")


# --- readouts that several files have ---------------------------------------------------------------------------------


def test_a_readout_whose_time_differs_by_the_clocks_fit_is_kept_once_from_the_later_file(tmp_path: Path) -> None:
    first = readout_file(tmp_path, NOON, NOON + 60)
    columns = readouts(SLOT, 8, times(NOON + 20, NOON + 80, 8))
    columns["TIME"] = columns["TIME"] + 0.004
    second = write_file(tmp_path, SLOT, columns)
    expected = [(t, first.name) for t in times_of(NOON, NOON + 20)] + [(t, second.name) for t in columns["TIME"]]
    for number, order in enumerate(permutations([first, second])):
        assert kept(taken_one_by_one(tmp_path / f"lake{number}", order)) == expected


def test_three_fits_of_the_clock_give_the_same_in_every_order(tmp_path: Path) -> None:
    files = []
    for start, offset in ((0, 0.0), (5, 0.08), (10, 0.16)):
        columns = readouts(SLOT, 8, times(NOON + start, NOON + 60, 8))
        columns["TIME"] = columns["TIME"] + offset
        files.append(write_file(tmp_path, SLOT, columns))
    lakes = [taken_one_by_one(tmp_path / f"lake{n}", order) for n, order in enumerate(permutations(files))]
    assert [kept(lake) for lake in lakes] == [kept(lakes[0])] * len(lakes)


def shared_readouts(folder: Path) -> dict[str, Path]:
    """A and B share readouts, which the lake keeps from B; C takes the place of B alone."""
    return files_of(folder, NOON, {"A": (0, 80, 1), "B": (40, 160, 1), "C": (120, 200, 2)})


def test_shared_readouts_come_back_when_the_file_they_were_kept_from_goes(tmp_path: Path) -> None:
    a, b, c = shared_readouts(tmp_path).values()
    lake = taken_one_by_one(tmp_path / "lake", [a, b])
    assert {name for time, name in kept(lake) if NOON + 40 <= time < NOON + 80} == {b.name}
    ingest([c], lake, jobs=1)
    assert [time for time, name in kept(lake) if name == a.name] == times_of(NOON, NOON + 80)
    assert partitions(lake) == partitions(taken_at_once(tmp_path / "undisturbed", [a, c]))


def test_shared_readouts_whose_file_is_away_are_missed_and_come_back_with_it(tmp_path: Path) -> None:
    a, b, c = shared_readouts(tmp_path).values()
    lake = taken_one_by_one(tmp_path / "lake", [a, b])
    (tmp_path / "elsewhere").mkdir()
    moved = a.rename(tmp_path / "elsewhere" / a.name)
    report = ingest([c], lake, jobs=1)
    assert report.exit_code == 3
    assert a.name in report.set_aside
    assert statuses(lake) == {a.name: "incomplete", b.name: "superseded", c.name: "current"}
    assert [time for time, name in kept(lake) if name == a.name] == times_of(NOON, NOON + 40), "its own stay"
    assert ingest([moved], lake, jobs=1).exit_code == 0
    assert statuses(lake) == {a.name: "current", b.name: "superseded", c.name: "current"}
    assert partitions(lake) == partitions(taken_at_once(tmp_path / "undisturbed", [moved, b, c]))


def test_shared_readouts_come_back_from_a_file_that_moved_and_is_given_in_the_same_run(tmp_path: Path) -> None:
    a, b, c = shared_readouts(tmp_path).values()
    lake = taken_one_by_one(tmp_path / "lake", [a, b])
    (tmp_path / "elsewhere").mkdir()
    moved = a.rename(tmp_path / "elsewhere" / a.name)
    assert ingest([moved, b, c], lake, jobs=1).exit_code == 0
    assert statuses(lake) == {a.name: "current", b.name: "superseded", c.name: "current"}
    assert partitions(lake) == partitions(taken_at_once(tmp_path / "undisturbed", [moved, b, c]))


# --- files that come back ---------------------------------------------------------------------------------------------


def chain(folder: Path) -> dict[str, Path]:
    """A gives way to B, which gives way to C, so that A comes back."""
    return files_of(folder, NOON, {"A": (0, 60, 1), "B": (40, 120, 2), "C": (100, 160, 3)})


def test_a_file_comes_back_when_the_one_that_it_gave_way_to_goes(tmp_path: Path) -> None:
    a, b, c = chain(tmp_path).values()
    lake = taken_one_by_one(tmp_path / "lake", [a, b])
    assert statuses(lake) == {a.name: "superseded", b.name: "current"}
    report = ingest([c], lake, jobs=1)
    assert statuses(lake) == {a.name: "current", b.name: "refused", c.name: "current"}
    assert sorted(report.taken) == [a.name, c.name]
    assert [time for time, name in kept(lake) if name == a.name] == times_of(NOON, NOON + 60)


def test_a_file_that_should_come_back_but_has_gone_is_wanted_until_it_is_given_from_anywhere(tmp_path: Path) -> None:
    a, b, c = chain(tmp_path).values()
    lake = taken_one_by_one(tmp_path / "lake", [a, b])
    (tmp_path / "elsewhere").mkdir()
    moved = a.rename(tmp_path / "elsewhere" / a.name)
    report = ingest([c], lake, jobs=1)
    assert report.exit_code == 3
    assert str(a.parent) in report.set_aside[a.name]
    assert statuses(lake)[a.name] == "wanted"
    assert {name for _, name in kept(lake)} == {c.name}
    report = ingest([moved], lake, jobs=1)
    assert (report.taken, report.set_aside.keys()) == ([a.name], {b.name}), "B now meets an older and a newer one"
    assert statuses(lake) == {a.name: "current", b.name: "refused", c.name: "current"}
    assert partitions(lake) == partitions(taken_at_once(tmp_path / "undisturbed", [moved, b, c]))


def test_a_file_that_should_come_back_is_found_in_its_new_place_if_given_in_the_same_run(tmp_path: Path) -> None:
    a, b, c = chain(tmp_path).values()
    lake = taken_one_by_one(tmp_path / "lake", [a, b])
    (tmp_path / "elsewhere").mkdir()
    moved = a.rename(tmp_path / "elsewhere" / a.name)
    ingest([moved, c], lake, jobs=1)
    assert statuses(lake) == {a.name: "current", b.name: "refused", c.name: "current"}


def test_a_file_that_moved_and_gives_way_in_the_same_run_is_known_once(tmp_path: Path) -> None:
    a, b = files_of(tmp_path, NOON, {"A": (0, 60, 1), "B": (40, 120, 2)}).values()
    lake = taken_one_by_one(tmp_path / "lake", [a])
    (tmp_path / "elsewhere").mkdir()
    moved = a.rename(tmp_path / "elsewhere" / a.name)
    ingest([moved, b], lake, jobs=1)
    assert statuses(lake) == {a.name: "superseded", b.name: "current"}
    assert {row["directory"] for row in known(lake) if row["filename"] == a.name} == {str(moved.parent)}


def lake_with_a_part(folder: Path) -> tuple[Path, Path, list[Path]]:
    """A lake in which A is incomplete, a part of its rows being there; A, in a new place; and the other files."""
    a, b, c = shared_readouts(folder).values()
    lake = taken_one_by_one(folder / "lake", [a, b])
    (folder / "elsewhere").mkdir()
    moved = a.rename(folder / "elsewhere" / a.name)
    ingest([c], lake, jobs=1)
    assert statuses(lake)[a.name] == "incomplete"
    return lake, moved, [b, c]


def test_a_newer_file_takes_the_place_of_an_incomplete_one(tmp_path: Path) -> None:
    lake, a, others = lake_with_a_part(tmp_path)
    newer = readout_file(tmp_path / "newer", NOON - 40, NOON + 10, 2)
    ingest([newer], lake, jobs=1)
    ingest([a], lake, jobs=1)
    undisturbed = taken_at_once(tmp_path / "undisturbed", [a, *others, newer])
    assert statuses(lake) == statuses(undisturbed)
    assert kept(lake) == kept(undisturbed)
    assert partitions(lake) == partitions(undisturbed)


def test_a_damaged_copy_of_an_incomplete_file_does_not_cost_the_rows_that_are_there(tmp_path: Path) -> None:
    lake, a, others = lake_with_a_part(tmp_path)
    before = kept(lake)
    good = a.read_bytes()
    truncated(a)
    assert ingest([a], lake, jobs=1).exit_code == 3
    assert kept(lake) == before
    a.write_bytes(good)
    assert ingest([a], lake, jobs=1).exit_code == 0
    assert partitions(lake) == partitions(taken_at_once(tmp_path / "undisturbed", [a, *others]))


# --- files that are bad -----------------------------------------------------------------------------------------------


def truncated(file: Path) -> None:
    """The header is good, the gzip data are good, the last rows are missing."""
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-2880], mtime=0))


def without_a_time(file: Path) -> None:
    columns = readouts(SLOT, 8, times(NOON, NOON + 60, 8), seed=2)
    columns["TIME"][7] = np.nan
    write_file(file.parent, SLOT, columns, revision=int(file.name[14:17]))


BROKEN = {"truncated rows": truncated, "a NaN in TIME": without_a_time}


@pytest.mark.parametrize("together", [False, True], ids=["later", "in the same run"])
@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
def test_a_bad_newer_revision_does_not_push_out_the_good_older_one(
    damage: Callable[[Path], None], together: bool, tmp_path: Path
) -> None:
    files = files_of(tmp_path, NOON, {"A": (0, 60, 1), "B": (0, 60, 2)})
    damage(files["B"])
    lake = tmp_path / "lake"
    if not together:
        ingest([files["A"]], lake, jobs=1)
    report = ingest(files.values(), lake, jobs=1)
    assert report.exit_code == 3
    assert statuses(lake) == {files["A"].name: "current", files["B"].name: "set aside"}
    assert kept(lake) == [(t, files["A"].name) for t in times_of(NOON, NOON + 60)]


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
def test_a_bad_file_that_should_come_back_does_not_keep_the_others_out(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    a, b, c = chain(tmp_path).values()
    damage(a)
    lake = taken_one_by_one(tmp_path / "lake", [b, a])  # B is there, so A's rows are never looked at
    report = ingest([c], lake, jobs=1)
    assert c.name in report.taken
    assert a.name in report.set_aside
    assert {name for _, name in kept(lake)} == {c.name}


def test_a_copy_of_a_folder_adds_nothing_to_competing_revisions(tmp_path: Path) -> None:
    files = files_of(tmp_path / "files", NOON, CASES["a chain of four: one that has gone pushes nobody out"][1])
    lake = taken_at_once(tmp_path / "lake", list(files.values()))
    before = partitions(lake), statuses(lake)
    shutil.copytree(tmp_path / "files", tmp_path / "copy")
    report = ingest([tmp_path / "files", tmp_path / "copy"], lake, jobs=1)
    assert report.taken == []
    assert (partitions(lake), statuses(lake)) == before


# Intervals of some hours over a week, in hours: most overlap a few others, directly or by way of others.
interval_of_file = st.tuples(st.integers(0, 168), st.integers(1, 12), st.integers(1, 4))


@settings(deadline=None, max_examples=300)
@given(known=st.lists(interval_of_file, max_size=25), new=st.lists(interval_of_file, min_size=1, max_size=3))
def test_files_that_new_ones_are_not_connected_with_keep_their_verdicts(
    known: list[tuple[int, int, int]], new: list[tuple[int, int, int]]
) -> None:
    def verdicts(files: list[tuple[int, tuple[int, int, int]]]) -> dict[str, Verdict]:
        names = [f"{n:03d}" for n, _ in files]
        start, length, revision = (np.array([it[part] for _, it in files], float) for part in range(3))
        return dict(zip(names, judge(names, revision, start, start + length), strict=True))

    numbered = list(enumerate([*known, *new]))
    start, length = (np.array([it[part] for _, it in numbered], float) for part in range(2))
    linked = connected(start, start + length)
    near = [one for one, number in zip(numbered, linked, strict=True) if number in set(linked[len(known) :])]
    of_all = verdicts(numbered)
    assert verdicts(near) == {name: verdict for name, verdict in of_all.items() if int(name) in dict(near)}
    if known:
        before = verdicts(numbered[: len(known)])
        assert all(of_all[f"{n:03d}"] == before[f"{n:03d}"] for n, _ in numbered[: len(known)] if n not in dict(near))
