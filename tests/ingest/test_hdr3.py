"""From aca_l0 to hdr3: which readouts are good, and that the outcome depends on the files alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mica_lake.archive.aca_hdr3 import MSID, MSIDset
from mica_lake.catalog.reindex import rebuild
from mica_lake.cli import app
from mica_lake.ingest import hdr3
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.tables.hdr3_msids import DEFINITIONS, PSEUDO_MSIDS
from mica_lake.times import cxcsec

ROOT = Path(__file__).resolve().parents[2]
NOON = cxcsec("2015:100:12:00:00")
MIDNIGHT = cxcsec("2015:101")
# A leap second before the first one.
MIDNIGHTS = [cxcsec(f"2015:{doy}") for doy in (182, 183, 184)]
LEAP = MIDNIGHTS[0]
EVER = (0.0, 1e9)


def a_file(
    folder: Path, slot: int, time: Sequence[float] | np.ndarray, size: int = 8, *, revision: int = 1, **header: object
) -> Path:
    """A file of readouts at these times; each revision has header bytes of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = readouts(slot, size, np.asarray(time, float))
    if size == 8:
        columns["HD3TLM77"][:] = revision
    return write_file(folder, slot, columns, revision=revision, header=header)


def every(cadence: float, start: float, n: int) -> np.ndarray:
    return start + cadence * np.arange(n)


def good(lake: Path, msid: str, start: float = EVER[0], stop: float = EVER[1]) -> list[bool]:
    return (~np.ma.getmaskarray(MSID(msid, start, stop, data_root=lake).vals)).tolist()


def partitions(lake: Path) -> dict[str, bytes]:
    """All partitions of hdr3, byte for byte."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("hdr3/**/data.parquet")}


def days(lake: Path) -> list[str]:
    return sorted(path.split("/")[2] for path in partitions(lake))


# --- which readouts are good ------------------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (4.1, True), (4.1009, True), (4.0991, True), (4.1011, False), (4.0989, False),
        (8.2, False), (4.0, False), (2.05, False), (1.025, False), (600.0, False),
    ],
)  # fmt: skip
def test_a_readout_is_good_if_the_next_8x8_one_follows_after_4_1_s(
    tmp_path: Path, lake: Path, gap: float, expected: bool
) -> None:
    time = np.concatenate([every(4.1, NOON, 3), every(4.1, NOON + 8.2 + gap, 3)])
    ingest([a_file(tmp_path / "files", 6, time)], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True, True, expected, True, True, False]


def test_the_last_readout_before_another_image_size_is_masked(tmp_path: Path, lake: Path) -> None:
    files = tmp_path / "files"
    a_file(files, 6, every(4.1, NOON, 5))
    a_file(files, 6, every(2.05, NOON + 5 * 4.1, 10), 6)
    a_file(files, 6, every(1.025, NOON + 10 * 4.1, 8), 4)
    a_file(files, 6, every(4.1, NOON + 12 * 4.1, 4))
    ingest([files], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True] * 4 + [False] + [True] * 3 + [False]
    found = MSID("ccd_temp", *EVER, data_root=lake)
    np.testing.assert_array_equal(found.times, [*every(4.1, NOON, 5), *every(4.1, NOON + 12 * 4.1, 4)])


def test_readouts_of_6x6_and_4x4_have_no_rows(tmp_path: Path, lake: Path) -> None:
    a_file(tmp_path / "files", 6, every(2.05, NOON, 20), 6)
    a_file(tmp_path / "files", 7, every(1.025, NOON, 20), 4)
    ingest([tmp_path / "files"], lake, jobs=1)
    assert Lake(lake).sql("SELECT count(*) FROM slot_data(0, 1e9, 6)").fetchall() == [(20,)]
    assert Lake(lake).sql("SELECT count(*) FROM hdr3_data(0, 1e9)").fetchall() == [(0,)]


def test_another_slot_does_not_fill_a_gap(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, NOON, 8)
    a_file(tmp_path / "files", 6, np.delete(time, 4))
    a_file(tmp_path / "files", 7, time)
    ingest([tmp_path / "files"], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True, True, True, False, True, True, False]
    assert good(lake, "dac") == [True] * 7 + [False]


def test_a_value_of_two_slots_needs_both_to_be_good(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, NOON, 8)
    a_file(tmp_path / "files", 4, np.delete(time, 2))
    a_file(tmp_path / "files", 5, np.delete(time, 5))
    ingest([tmp_path / "files"], lake, jobs=1)
    # Slot 4 is bad at 1, absent at 2; slot 5 is bad at 4, absent at 5; both end at 7. The times are those of slot 4.
    assert good(lake, "zero_off32_quad_c") == [True, False, True, False, False, True, False]
    assert MSID("zero_off32_quad_c", *EVER, data_root=lake).times.tolist() == np.delete(time, 2).tolist()
    assert good(lake, "zero_off32_quad_d") == [True, True, True, True, False, True, False]
    # Where a set has another pseudo-MSID of slot 5, its axis has the times of both.
    both = MSIDset(["zero_off32_quad_c", "zero_off32_quad_d"], *EVER, data_root=lake)
    found = (~np.ma.getmaskarray(both["zero_off32_quad_c"].vals)).tolist()
    assert (both.times.tolist(), found) == (time.tolist(), [True, False, False, True, False, False, True, False])


# --- a value whose halves are in two slots ----------------------------------------------------------------------------


def halves(folder: Path, slot: int, time: Sequence[float] | np.ndarray, numbers: Sequence[int] | None = None) -> None:
    """A file of slot 4 or 5 with these numbers, else 0, 1, ..., as the slot's half of zero_off32_quad_c."""
    columns = readouts(slot, 8, np.asarray(time, float))
    first, second = ("HD3TLM76", "HD3TLM77") if slot == 4 else ("HD3TLM62", "HD3TLM63")
    words = np.array(range(len(time)) if numbers is None else numbers) + (2**15 if slot == 4 else 0)
    columns[first], columns[second] = (words >> 8).astype(np.uint8), (words & 0xFF).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    write_file(folder, slot, columns)


def joined(lake: Path) -> list[tuple[int, int] | None]:
    """For each readout of slot 4, the numbers of both halves of its zero_off32_quad_c, or None."""
    found = MSID("zero_off32_quad_c", *EVER, data_root=lake).vals.tolist()
    return [None if value is None else (int(value // 1), int(value % 1 * 65536)) for value in found]


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (0.0, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        (1.025, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        (-1.025, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        (2.0, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        (3.075, [None, (1, 0), (2, 1), (3, 2)]),
        (-3.075, [(0, 1), (1, 2), (2, 3), None]),
    ],
)
def test_slots_out_of_phase_are_joined(
    tmp_path: Path, lake: Path, late: float, expected: list[tuple[int, int] | None]
) -> None:
    time = every(4.1, NOON, 5)
    halves(tmp_path / "files", 4, time)
    halves(tmp_path / "files", 5, time + late)
    ingest([tmp_path / "files"], lake, jobs=1)
    assert joined(lake) == [*expected, None]
    assert MSID("zero_off32_quad_c", *EVER, data_root=lake).times.tolist() == time.tolist()


@pytest.mark.parametrize(
    ("apart", "expected"), [(2.099, (0, 5)), (2.101, None), (-2.099, (0, 5)), (-2.101, None), (9.0, None)]
)
def test_halves_more_than_2_1_s_apart_are_not_joined(
    tmp_path: Path, lake: Path, apart: float, expected: tuple[int, int] | None
) -> None:
    halves(tmp_path / "files", 4, [NOON, NOON + 4.1])
    halves(tmp_path / "files", 5, [NOON + apart, NOON + apart + 4.1], [5, 6])
    ingest([tmp_path / "files"], lake, jobs=1)
    assert joined(lake) == [expected, None]


def test_of_two_as_near_the_earlier_is_joined(tmp_path: Path, lake: Path) -> None:
    cadence = 2099 / 512  # 4.1 s, but for 0.4 ms: a binary fraction, so that its half is exact
    time = 2.0**29 + cadence * np.arange(4)
    halves(tmp_path / "files", 4, time)
    halves(tmp_path / "files", 5, time - cadence / 2)
    ingest([tmp_path / "files"], lake, jobs=1)
    # That of slot 5 after the last good one of slot 4 is bad.
    assert joined(lake) == [(0, 0), (1, 1), (2, 2), None]


def test_a_nearer_one_that_is_bad_is_passed_over(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, NOON, 4)
    halves(tmp_path / "files", 4, time)
    # Slot 5 begins anew 1.9 s after its readout 1, which is bad.
    halves(tmp_path / "files", 5, [*(time[:2] - 0.1), *(time[1] + 1.8 + 4.1 * np.arange(3))])
    ingest([tmp_path / "files"], lake, jobs=1)
    assert joined(lake) == [(0, 0), (1, 2), (2, 3), None]


@pytest.mark.parametrize("midnight", [MIDNIGHT, LEAP], ids=["plain", "leap second"])
@pytest.mark.parametrize("late", [-1.025, 1.025, 3.075])
@pytest.mark.parametrize("before", [0.001, 1.0, 3.5])
def test_halves_are_joined_across_midnight(
    tmp_path: Path, lake: Path, midnight: float, late: float, before: float
) -> None:
    time = every(4.1, midnight - 8.2 - before, 6)
    halves(tmp_path / "files", 4, time)
    halves(tmp_path / "files", 5, time + late)
    ingest([tmp_path / "files"], lake, jobs=1)
    if late == 3.075:
        assert joined(lake) == [None, *((n, n - 1) for n in range(1, 5)), None]
    else:
        assert joined(lake) == [*((n, n) for n in range(5)), None]
    assert len(days(lake)) == 2


@pytest.mark.parametrize("order", [(4, 5, 6, 7), (7, 6, 5, 4), (4, 6, 7, 5), (4, 5, 7, 6)])
def test_a_day_is_stale_when_slot_5_changes_on_either_side_of_midnight(
    tmp_path: Path, lake: Path, order: tuple[int, ...]
) -> None:
    """Slot 4 on one day only; of slot 5, what it is joined with is of the day before and the day after."""
    first, last = MIDNIGHT + 0.5, MIDNIGHT + 86400 - 1.0
    halves(tmp_path / "4", 4, [first, first + 4.1])
    halves(tmp_path / "4", 4, [last, last + 4.1], [2, 3])
    halves(tmp_path / "5", 5, [first - 1.0])
    halves(tmp_path / "6", 5, [first + 3.1, first + 7.2], [1, 2])
    halves(tmp_path / "7", 5, last + 1.025 + 4.1 * np.arange(3), [10, 11, 12])
    for folder in order:
        ingest([tmp_path / str(folder)], lake, jobs=1)
    assert joined(lake) == [(0, 0), None, (2, 10), None]
    assert hdr3.ingest(lake, jobs=1).partitions == 0


def test_slot_5_of_another_day_alone_makes_no_row(tmp_path: Path, lake: Path) -> None:
    halves(tmp_path / "files", 5, MIDNIGHT - 6 + 4.1 * np.arange(2))
    halves(tmp_path / "files", 6, MIDNIGHT + 1 + 4.1 * np.arange(2))
    ingest([tmp_path / "files"], lake, jobs=1)
    assert Lake(lake).sql("SELECT SLOTS, zero_off32_quad_c FROM hdr3_data(0, 1e9)").fetchall() == [
        (32, None), (32, None), (64, None), (64, None),
    ]  # fmt: skip


# --- across midnight --------------------------------------------------------------------------------------------------


def test_quality_does_not_matter(tmp_path: Path, lake: Path) -> None:
    columns = readouts(6, 8, every(4.1, NOON, 6))
    columns["QUALITY"][:] = [0, 1, 0, 1, 1, 1]
    (tmp_path / "files").mkdir()
    ingest([write_file(tmp_path / "files", 6, columns)], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True] * 5 + [False]


def test_the_rule_looks_past_stop(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, NOON, 10)
    ingest([a_file(tmp_path / "files", 6, time)], lake, jobs=1)
    assert good(lake, "ccd_temp", NOON, time[4]) == [True] * 5
    assert good(lake, "ccd_temp", time[8], time[9]) == [True, False]


@pytest.mark.parametrize("midnight", [MIDNIGHT, LEAP], ids=["plain", "leap second"])
def test_the_rule_looks_past_midnight(tmp_path: Path, lake: Path, midnight: float) -> None:
    ingest([a_file(tmp_path / "files", 6, every(4.1, midnight - 10, 6))], lake, jobs=1)
    assert len(days(lake)) == 2
    assert good(lake, "ccd_temp") == [True] * 5 + [False]
    assert good(lake, "ccd_temp", stop=np.nextafter(midnight, 0)) == [True] * 3


@pytest.mark.parametrize("before", [4.05, 0.001])
def test_the_next_readout_may_be_up_to_4_1_s_into_the_next_day(tmp_path: Path, lake: Path, before: float) -> None:
    ingest([a_file(tmp_path / "files", 6, every(4.1, MIDNIGHT - before, 2))], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True, False]


def test_a_gap_across_midnight_is_a_gap(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, MIDNIGHT - 10, 8)  # the first three are before midnight
    ingest([a_file(tmp_path / "files", 6, np.delete(time, 3))], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True, True, False, True, True, True, False]


def test_an_image_size_that_changes_at_midnight_ends_the_day_masked(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, MIDNIGHT - 10, 8)
    a_file(tmp_path / "files", 6, time[:3])
    a_file(tmp_path / "files", 6, time[3:], 6)
    ingest([tmp_path / "files"], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True, True, False]


@pytest.mark.parametrize("start", [NOON, MIDNIGHT - 10], ids=["the same day", "the next day"])
def test_the_last_readout_becomes_good_when_the_next_file_comes(tmp_path: Path, lake: Path, start: float) -> None:
    time = every(4.1, start, 8)
    ingest([a_file(tmp_path / "one", 6, time[:3])], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True, True, False]
    ingest([a_file(tmp_path / "two", 6, time[3:])], lake, jobs=1)
    assert good(lake, "ccd_temp") == [True] * 7 + [False]


# --- the lake of some files is always the same ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def days_of_files(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """The files of four days: some minutes before and after each midnight, in some slots one file across it."""
    folder = tmp_path_factory.mktemp("files")
    found: list[list[Path]] = [[] for _ in range(len(MIDNIGHTS) + 1)]
    for n, midnight in enumerate(MIDNIGHTS):
        before, after = times(midnight - 100, midnight, 8), times(midnight, midnight + 100, 8)
        for slot in (0, 4, 5, 6):
            found[n].append(a_file(folder, slot, before))
            found[n + 1].append(a_file(folder, slot, after))
        found[n].append(a_file(folder, 7, times(midnight - 60, midnight + 60, 8)))
        found[n].append(a_file(folder, 3, times(midnight - 60, midnight + 60, 6), 6))
    return found


@pytest.fixture(scope="module")
def filled(days_of_files: list[list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake filled at once, not to be changed."""
    lake = tmp_path_factory.mktemp("filled") / "lake"
    ingest([path for day in days_of_files for path in day], lake, jobs=1)
    return lake


def test_what_it_is_filled_with(filled: Path) -> None:
    assert days(filled) == ["doy=181", "doy=182", "doy=183", "doy=184"]
    found = MSIDset(["ac_status_word", "zero_off32_quad_c", "ccd_temp", "dac"], *EVER, data_root=filled)
    for name, masked in [("ac_status_word", 3), ("zero_off32_quad_c", 3), ("ccd_temp", 3)]:
        assert np.ma.getmaskarray(found[name].vals).sum() == masked
    assert len(found.times) > 140
    assert len(MSID("dac", *EVER, data_root=filled).filter_bad(copy=True).vals) > 80  # type: ignore[union-attr]


@pytest.mark.parametrize("step", [1, -1], ids=["day by day", "in reverse"])
def test_a_day_at_a_time_gives_the_same_lake(
    days_of_files: list[list[Path]], filled: Path, lake: Path, step: int
) -> None:
    for files in days_of_files[::step]:
        ingest(files, lake, jobs=1)
    assert partitions(lake) == partitions(filled)


def test_two_processes_give_the_same_lake(days_of_files: list[list[Path]], filled: Path, lake: Path) -> None:
    ingest([path for day in days_of_files for path in day], lake, jobs=2)
    assert partitions(lake) == partitions(filled)


def state(lake: Path) -> Iterator[tuple[str, int, int]]:
    """All files of a lake, and when they were written."""
    for path in sorted(lake.rglob("*")):
        if path.is_file() and path.name != "lock":
            yield path.relative_to(lake).as_posix(), path.stat().st_mtime_ns, path.stat().st_ino


def test_what_is_up_to_date_is_left_alone(days_of_files: list[list[Path]], lake: Path) -> None:
    files = [path for day in days_of_files for path in day]
    derived = ingest(files, lake, jobs=1).derived["hdr3"]
    assert (derived.partitions, derived.rows) == (4, sum(pq.read_metadata(p).num_rows for p in lake.glob("hdr3/*/*/*")))
    before = list(state(lake))
    assert any(name.startswith("hdr3/") for name, *_ in before)
    again = ingest(files, lake, jobs=1).derived["hdr3"]
    assert again is not None
    assert (again.partitions, again.rows) == (0, 0)
    assert hdr3.ingest(lake, jobs=1).partitions == 0
    assert list(state(lake)) == before


def lose(lake: Path, doy: int) -> None:
    """Delete a partition of hdr3, and derive the catalog of what is left."""
    path = next(lake.glob(f"hdr3/*/doy={doy}/data.parquet"))
    pinned = [p for p in (lake / "_catalog" / "pinned" / "hdr3").rglob("*.parquet") if p.samefile(path)]
    assert len(pinned) == 1
    for link in (path, *pinned):
        link.unlink()
    rebuild(lake)


@pytest.mark.parametrize("doy", [181, 182, 184])
def test_a_partition_that_is_lost_is_derived_again(
    days_of_files: list[list[Path]], filled: Path, lake: Path, doy: int
) -> None:
    ingest([path for day in days_of_files for path in day], lake, jobs=1)
    lose(lake, doy)
    assert f"doy={doy}" not in days(lake)
    assert hdr3.ingest(lake, jobs=1).partitions == 1
    assert partitions(lake) == partitions(filled)
    assert hdr3.ingest(lake, jobs=1).partitions == 0


def test_after_a_rebuild_without_a_loss_it_is_up_to_date(
    days_of_files: list[list[Path]], filled: Path, lake: Path
) -> None:
    ingest(days_of_files[0] + days_of_files[1], lake, jobs=1)
    before = partitions(lake)
    assert rebuild(lake) == []
    assert hdr3.ingest(lake, jobs=1).partitions == 0
    assert partitions(lake) == before


def made_by_another(lake: Path, files: Sequence[Path], folder: Path, change: Callable[[Path], None]) -> None:
    """A lake as a program of other definitions makes it: a copy of this one, changed, in a process of its own."""
    shutil.copytree(ROOT / "mica_lake", folder / "mica_lake")
    for name in ("ingest", "sql"):
        shutil.copytree(ROOT / name, folder / "mica_lake" / name)
    change(folder / "mica_lake")
    code = "import sys; from mica_lake.ingest.aca_l0 import ingest; ingest(sys.argv[2:], sys.argv[1], jobs=1)"
    command = [sys.executable, "-c", code, lake, *files]
    subprocess.run(command, check=True, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)})


def in_millivolts(package: Path) -> None:
    path = package / "tables" / "hdr3_msids.csv"
    path.write_text(path.read_text().replace("linear,0.00061035,V,", "linear,0.61035,mV,"))


def of_another_window(package: Path) -> None:
    path = package / "tables" / "hdr3_msids.py"
    path.write_text(path.read_text().replace("PAIRING = 2.1\n", "PAIRING = 0.5\n"))


@pytest.mark.often(2)
@pytest.mark.parametrize("change", [in_millivolts, of_another_window])
@pytest.mark.parametrize("product", ["hdr3", "aca_l0"])
def test_what_other_definitions_made_is_named_and_derived_again(
    tmp_path: Path, lake: Path, change: Callable[[Path], None], product: str
) -> None:
    for slot in (1, 4, 5):
        time = every(4.1, MIDNIGHT - 60 + 1.025 * (slot == 5), 40)
        a_file(tmp_path / "files", slot, time)
    files = [tmp_path / "files"]
    ingest(files, tmp_path / "fresh", jobs=1)
    made_by_another(lake, files, tmp_path / "site", change)
    before = partitions(lake)
    assert before.keys() == partitions(tmp_path / "fresh").keys()
    assert before != partitions(tmp_path / "fresh")
    named = CliRunner().invoke(app, ["verify", "--lake", str(lake)])
    assert named.exit_code == 4
    assert all(path in named.stdout for path in before)
    assert f"mica-lake ingest hdr3 --lake {lake}" in named.stdout.replace("\n", "")
    arguments = ["--lake", str(lake)] if product == "hdr3" else ["--from", str(files[0]), "--lake", str(lake)]
    assert CliRunner().invoke(app, ["ingest", product, *arguments]).exit_code == 0
    assert partitions(lake) == partitions(tmp_path / "fresh")
    assert CliRunner().invoke(app, ["verify", "--lake", str(lake)]).exit_code == 0
    assert hdr3.ingest(lake, jobs=1).partitions == 0


def test_a_description_is_no_definition() -> None:
    for msid in PSEUDO_MSIDS:
        assert f'"{msid.name}"' in DEFINITIONS
        assert msid.description not in DEFINITIONS
    assert '"3D70", "-40"' in DEFINITIONS


def test_a_newer_revision_changes_its_day(tmp_path: Path, lake: Path) -> None:
    for start in (NOON - 86400, NOON, NOON + 86400):
        a_file(tmp_path / "old", 7, every(4.1, start, 10))
    ingest([tmp_path / "old"], lake, jobs=1)
    before = partitions(lake)
    ingest([a_file(tmp_path / "new", 7, every(4.1, NOON, 10), revision=2)], lake, jobs=1)
    low_bytes = [
        {int(count) & 0xFF for count in MSID("dac", start, start + 100, data_root=lake).vals.compressed()}
        for start in (NOON - 86400, NOON, NOON + 86400)
    ]
    assert low_bytes == [{1}, {2}, {1}]
    after = partitions(lake)
    assert after.keys() == before.keys()
    # The day before is derived again, for it looks past midnight; the day after is not.
    assert [path for path in sorted(before) if before[path] == after[path]] == ["hdr3/year=2015/doy=101/data.parquet"]


def test_a_newer_revision_after_midnight_changes_the_day_before_too(tmp_path: Path, lake: Path) -> None:
    a_file(tmp_path / "old", 7, every(4.1, MIDNIGHT - 10, 3))
    a_file(tmp_path / "old", 7, every(4.1, MIDNIGHT + 2.3, 5))
    ingest([tmp_path / "old"], lake, jobs=1)
    assert good(lake, "dac") == [True] * 7 + [False]
    new = a_file(tmp_path / "new", 7, every(4.1, MIDNIGHT + 4.35, 5), revision=2)
    ingest([new], lake, jobs=1)
    assert good(lake, "dac") == [True, True, False, True, True, True, True, False]


def test_a_day_that_loses_its_readouts_loses_its_partition(tmp_path: Path, lake: Path) -> None:
    ingest([a_file(tmp_path / "old", 6, every(4.1, MIDNIGHT - 100, 10))], lake, jobs=1)
    assert days(lake) == ["doy=100"]
    # The newer revision says that it begins where the older one does, and has rows after midnight only.
    new = a_file(tmp_path / "new", 6, every(4.1, MIDNIGHT + 10, 10), revision=2, TSTART=MIDNIGHT - 100)
    report = ingest([new], lake, jobs=1)
    assert (report.set_aside, len(report.replaced)) == ({}, 1)
    assert report.derived["hdr3"].partitions == 2
    assert days(lake) == ["doy=101"]
    assert good(lake, "ccd_temp", stop=MIDNIGHT) == []
    assert good(lake, "ccd_temp") == [True] * 9 + [False]
    assert hdr3.ingest(lake, jobs=1).partitions == 0


# --- more slots than one ----------------------------------------------------------------------------------------------


def test_the_time_axis_is_the_union_of_the_slots_needed(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, NOON, 10)
    a_file(tmp_path / "files", 0, time[:6])
    a_file(tmp_path / "files", 6, time[4:])
    a_file(tmp_path / "files", 7, time + 1.025)
    ingest([tmp_path / "files"], lake, jobs=1)

    def asked(*names: str) -> tuple[list[float], dict[str, list[int]]]:
        found = MSIDset(names, *EVER, data_root=lake)
        for name in names:
            np.testing.assert_array_equal(found[name].times, found.times)
        return found.times.tolist(), {
            name: np.flatnonzero(~np.ma.getmaskarray(found[name].vals)).tolist() for name in names
        }

    both: tuple[Any, Any] = (time.tolist(), {"ac_status_word": [0, 1, 2, 3, 4], "ccd_temp": [4, 5, 6, 7, 8]})
    assert asked("ac_status_word", "ccd_temp") == both
    assert asked("ccd_temp") == (time[4:].tolist(), {"ccd_temp": [0, 1, 2, 3, 4]})
    union, indices = asked("ccd_temp", "dac")
    assert union == sorted([*time[4:], *(time + 1.025)])
    at = {t: n for n, t in enumerate(union)}
    assert indices["ccd_temp"] == [at[t] for t in time[4:-1]]
    assert indices["dac"] == [at[t] for t in (time + 1.025)[:-1]]


def test_slots_are_flags(tmp_path: Path, lake: Path) -> None:
    time = every(4.1, NOON, 4)
    a_file(tmp_path / "files", 0, time[:3])
    a_file(tmp_path / "files", 7, time[1:])
    a_file(tmp_path / "files", 5, time[2:], 6)
    ingest([tmp_path / "files"], lake, jobs=1)
    assert Lake(lake).sql("SELECT SLOTS FROM hdr3_data(0, 1e9)").fetchall() == [(1,), (129,), (129,), (128,)]
