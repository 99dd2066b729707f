"""What goes wrong with a lake behind our back is found by `verify`, and the commands that it names mend it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from mica_lake.catalog.commit import as_owner, commit
from mica_lake.catalog.findings import Finding, Verified
from mica_lake.catalog.generation import next_name, read_table, write_generation
from mica_lake.catalog.key import Key, path_of
from mica_lake.catalog.partition import read_sources
from mica_lake.catalog.pointer import current_generation
from mica_lake.catalog.reindex import reindex
from mica_lake.catalog.verify import chosen, verify
from mica_lake.catalog.version import pin
from mica_lake.cli import app
from mica_lake.ingest import compare
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.aca_l0 import readouts, times, write_archive, write_file
from mica_lake.store.place import DISK
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import PARTITION
from mica_lake.tables.hdr3 import HDR3
from mica_lake.times import cxcsec

DAY = Key(date(2024, 1, 1), 3)
ACA_L0_3 = DAY.path(ACA_L0)


@pytest.fixture(scope="session")
def threads() -> Iterator[Callable[[int], Executor]]:
    with ThreadPoolExecutor(2) as pool:
        yield lambda tasks: pool


@pytest.fixture
def look(threads: Callable[[int], Executor]) -> Callable[..., Verified]:
    def of(lake: Path, *sources: Path, sample: float = 1.0) -> Verified:
        verified = verify(lake, sample=sample, pool=threads)
        if verified.readable:
            verified.findings += compare.stale(lake)
            if sources:
                compare.compare(sources, lake, verified, sample=sample, pool=threads)
        return verified

    return of


def copied(lake: Path, target: Path) -> Path:
    """A copy in which partitions and their pinned versions are the same files, too."""
    subprocess.run(["cp", "-a", lake, target], check=True)
    return target


@pytest.fixture
def every(demo_lake: str, tmp_path: Path) -> Path:
    """A lake with all tables, to be damaged."""
    return copied(Path(demo_lake), tmp_path / "lake")


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of slots 3 and 4."""
    folder = tmp_path_factory.mktemp("small_files")
    write_archive(folder, cxcsec("2024:001"), cxcsec("2024:001") + 600, slots=[3, 4], hard_cases=False)
    return folder


@pytest.fixture(scope="session")
def small_lake(small_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of them, not to be changed."""
    lake = tmp_path_factory.mktemp("small_lake") / "lake"
    ingest([small_files], lake, jobs=1)
    return lake


@pytest.fixture
def small(small_lake: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return copied(small_lake, tmp_path / "lake")


def content(lake: Path) -> dict[str, bytes]:
    """All partitions, byte for byte."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("*/**/data.parquet")}


def versions(lake: Path) -> dict[str, Path]:
    """Partition -> the version that queries read."""
    rows = read_table(lake, "partition").to_pylist()
    return {path_of(row): lake / row["path"] for row in rows}


def flip(path: Path, place: float = 0.5) -> None:
    """Flip a bit, in the file itself: all its names show it."""
    with path.open("r+b") as file:
        file.seek(int(place * path.stat().st_size))
        octet = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([octet ^ 4]))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def run(commands: str) -> None:
    """Run commands that were named; 3 is the exit code of one that met trouble which the next one mends."""
    for command in commands.split("; "):
        name, *arguments = shlex.split(command)
        if name == "rm":
            for path in map(Path, (a for a in arguments if a != "-f")):
                path.unlink()
        else:
            assert name == "mica-lake"
            assert CliRunner().invoke(app, arguments).exit_code in (0, 3)


def mend(findings: list[Finding]) -> None:
    for command in dict.fromkeys(finding.mend for finding in findings):
        run(command)


def list_partitions(lake: Path, rows: list[dict[str, Any]]) -> None:
    """Let a generation that is whole list these partitions."""
    partition = pa.Table.from_pylist(rows, schema=PARTITION)
    write_generation(lake, next_name(lake), partition, read_table(lake, "source_file"), as_owner(lake))


def found(verified: Verified) -> list[tuple[str, str]]:
    return [(finding.where, finding.what) for finding in verified.findings]


# --- a good lake ------------------------------------------------------------------------------------------------------


def test_in_a_good_lake_nothing_is_wrong(
    demo_lake: str, demo_files: Path, demo_ska: Path, demo_list: Path, look: Callable[..., Verified]
) -> None:
    lake = Path(demo_lake)
    verified = look(lake, demo_files, demo_ska, demo_list)
    assert found(verified) == []
    assert verified.exit_code == 0
    rows = read_table(lake, "partition").to_pylist()
    for table in TABLES:
        ours = [row["rows"] for row in rows if row["table_name"] == table]
        assert verified.counts[table] == [len(ours), sum(ours)]
    taken = [r for r in read_table(lake, "source_file").to_pylist() if r["status"] == "current"]
    assert sum(n for n, *_ in verified.files.values()) == len(taken)
    assert sum(sum(left_out) for _, *left_out in verified.files.values()) == 0


def test_a_lake_without_rows_is_good(tmp_path: Path, look: Callable[..., Verified]) -> None:
    (tmp_path / "files").mkdir()
    ingest([tmp_path / "files"], tmp_path / "lake", jobs=1)
    assert look(tmp_path / "lake") == Verified()


def test_files_given_up_or_set_aside_are_left_out(
    tmp_path: Path, look: Callable[..., Verified], capsys: pytest.CaptureFixture[str]
) -> None:
    start = cxcsec("2024:001")
    for revision in (1, 2):
        write_file(tmp_path, 3, readouts(3, 8, times(start, start + 60, 8), seed=revision), revision=revision)
    (tmp_path / "acaf820454000N001_5_img0.fits.gz").write_bytes(b"")
    ingest([tmp_path], tmp_path / "lake", jobs=1)
    verified = look(tmp_path / "lake", *tmp_path.glob("acaf*"))
    assert (found(verified), verified.files) == ([], {"aca_l0": [1, 1, 1]})
    verified.show(Console(width=80))
    said = capsys.readouterr().out
    assert re.search(r"table +partitions +rows +files +left out +wrong", said)
    assert re.search(r"aca_l0 +1 +\d+ +1 +2 +0\n", said)
    assert "\nleft out: 1 superseded, 1 set aside\n" in said
    assert said.endswith("1 file is set aside: 'mica-lake status' lists it with its reason\nNothing is wrong.\n")
    assert (verified.exit_code, verified.as_json()["set_aside"]) == (0, 1)


def test_readouts_that_two_files_share_are_no_loss(tmp_path: Path, look: Callable[..., Verified]) -> None:
    start = cxcsec("2024:001")
    for first, last in ((0, 120), (60, 180)):
        write_file(tmp_path, 3, readouts(3, 8, times(start + first, start + last, 8)))
    ingest([tmp_path], tmp_path / "lake", jobs=1)
    sources, _ = read_sources(tmp_path / "lake" / ACA_L0_3, ACA_L0)
    assert any(source.rows < source.day_rows for source in sources)
    assert found(look(tmp_path / "lake", *tmp_path.glob("acaf*"))) == []


# --- damage, found and mended -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.often(1)
def test_a_bit_flipped_in_any_table_is_found_and_mended(table: str, every: Path, look: Callable[..., Verified]) -> None:
    before = content(every)
    path = next(path for path in before if path.startswith(f"{table}/"))
    flip(every / path)
    assert (every / path).samefile(versions(every)[path])
    verified = look(every)
    assert (path, f"the bytes of {versions(every)[path].relative_to(every)} are not those that were written") in found(
        verified
    )
    assert {finding.table for finding in verified.findings} == {table}
    mend(verified.findings)
    assert found(look(every)) == []
    assert content(every) == before


DAMAGES: dict[str, tuple[Callable[[Path, Path], object], str, str]] = {
    "both deleted": (lambda data, pinned: (data.unlink(), pinned.unlink()), "neither its file nor its pinned", "in"),
    "the partition deleted": (lambda data, pinned: data.unlink(), "not there; its pinned version is", "re"),
    "the pinned version deleted": (lambda data, pinned: pinned.unlink(), "pinned version cannot be read", "re"),
    "truncated": (lambda data, pinned: truncate(data), "are not those that were written", "in"),
    "emptied": (lambda data, pinned: os.truncate(data, 0), "are not those that were written", "in"),
    "a bit of the footer": (lambda data, pinned: flip(data, 0.99), "are not those that were written", "in"),
    "the partition truncated, as a copy": (
        lambda data, pinned: (data.write_bytes(apart(data)), truncate(data)), "not the version that queries read", "re"
    ),
    "the pinned version flipped, as a copy": (
        lambda data, pinned: (data.write_bytes(apart(data)), flip(pinned)), "are not those that were written", "re"
    ),
}  # fmt: skip


def apart(data: Path) -> bytes:
    """Let a partition be a file of its own, as on file systems without links."""
    whole = data.read_bytes()
    data.unlink()
    return whole


@pytest.mark.parametrize(("harm", "what", "mended_by"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_found_and_mended_by_the_command_named(
    harm: Callable[[Path, Path], object], what: str, mended_by: str, small: Path, look: Callable[..., Verified]
) -> None:
    before = content(small)
    harm(small / ACA_L0_3, versions(small)[ACA_L0_3])
    verified = look(small)
    assert [where for where, _ in found(verified)] == [ACA_L0_3]
    assert what in verified.findings[0].what
    assert ("ingest" in verified.findings[0].mend) == (mended_by == "in")
    assert verified.exit_code == 4
    mend(verified.findings)
    assert found(look(small)) == []
    assert content(small) == before


@pytest.mark.parametrize("place", np.linspace(0, 0.999, 12).round(3).tolist())
def test_reindex_without_a_catalog_takes_no_flipped_bit_for_good(place: float, small: Path) -> None:
    before = versions(small)
    flip(small / ACA_L0_3, place)
    shutil.rmtree(small / "_catalog")
    trouble = reindex(small)
    assert any(line.startswith(f"{ACA_L0_3} is damaged") for line in trouble)
    assert versions(small).keys() == before.keys() - {ACA_L0_3}


def test_reindex_brings_a_lost_partition_back_from_its_pinned_version(small: Path) -> None:
    before = content(small), read_table(small, "partition")
    (small / ACA_L0_3).unlink()
    (line,) = reindex(small)
    assert (
        line == f"{ACA_L0_3} is lost: it cannot be read: No such file or directory; its pinned version took its place"
    )
    assert (content(small), read_table(small, "partition")) == before
    assert reindex(small) == []


def test_a_partition_that_is_not_in_the_catalog_is_found_and_mended(small: Path, look: Callable[..., Verified]) -> None:
    rows = [r for r in read_table(small, "partition").to_pylist() if path_of(r) != ACA_L0_3]
    list_partitions(small, rows)
    verified = look(small)
    assert (ACA_L0_3, "the catalog does not list it") in found(verified)
    mend(verified.findings)
    assert found(look(small)) == []
    assert ACA_L0_3 in versions(small)


@pytest.mark.parametrize(
    ("column", "value"),
    [("rows", 5), ("bytes", 5), ("tstart", 5.0), ("tstop", None), ("files", 9), ("derived_from", "x")],
)
def test_a_catalog_that_is_wrong_about_a_partition_is_found_and_mended(
    column: str, value: object, small: Path, look: Callable[..., Verified]
) -> None:
    rows = [r | ({column: value} if path_of(r) == ACA_L0_3 else {})
            for r in read_table(small, "partition").to_pylist()]  # fmt: skip
    list_partitions(small, rows)
    verified = look(small)
    assert [where for where, _ in found(verified)] == [ACA_L0_3]
    assert f"{column} is {value!r}, not " in verified.findings[0].what
    mend(verified.findings)
    assert found(look(small)) == []


def stray(lake: Path) -> None:
    other = lake / "aca_l0/year=2024/doy=1/slot=three/data.parquet"
    DISK.put(other, (lake / ACA_L0_3).read_bytes())


def misplaced(lake: Path) -> None:
    other = lake / "aca_l0/year=2024/doy=2/slot=3/data.parquet"
    DISK.put(other, (lake / ACA_L0_3).read_bytes())


def of_another_slot(lake: Path) -> None:
    other = lake / "aca_l0/year=2024/doy=1/slot=5/data.parquet"
    DISK.put(other, (lake / ACA_L0_3).read_bytes())


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (stray, "slot=three/data.parquet"),
        (misplaced, "in row 0 is of another partition"),
        (of_another_slot, "is of slot 3, not 5"),
    ],
)
def test_a_file_that_belongs_to_no_place_is_found_and_left_out(
    harm: Callable[[Path], None], what: str, small: Path, look: Callable[..., Verified]
) -> None:
    before = content(small), versions(small)
    harm(small)
    verified = look(small)
    assert len(verified.findings) == 1
    assert what in "/".join(found(verified)[0])
    reindex(small)
    assert versions(small) == before[1], "it is not taken for a partition"
    mend(verified.findings)
    assert found(look(small)) == []
    assert content(small) == before[0]


# --- the catalog ------------------------------------------------------------------------------------------------------


def damage_catalog(lake: Path, how: str) -> None:
    generation = lake / "_catalog" / str(current_generation(lake))
    if how == "deleted":
        shutil.rmtree(lake / "_catalog")
    elif how == "generation deleted":
        shutil.rmtree(generation)
    elif how == "truncated":
        truncate(generation / "partition.parquet")
    elif how == "of another version":
        rows = read_table(lake, "source_file")
        rows = rows.rename_columns([name.upper() for name in rows.column_names])
        pq.write_table(rows, generation / "source_file.parquet")
    elif how == "current is no generation":
        (lake / "_catalog" / "current").write_text("all of it")
    elif how == "an empty answer is lost":
        (generation / "no_rows" / "aca_l0.parquet").unlink()
    elif how == "the script is cut":
        truncate(lake / "mica_lake.sql")


@pytest.mark.parametrize(
    "how",
    ["deleted", "generation deleted", "truncated", "of another version", "current is no generation",
     "an empty answer is lost", "the script is cut"],
)  # fmt: skip
def test_a_damaged_catalog_is_found_and_mended(
    how: str, small: Path, small_files: Path, look: Callable[..., Verified]
) -> None:
    before = content(small), [r["filename"] for r in read_table(small, "source_file").to_pylist()]
    damage_catalog(small, how)
    verified = look(small)
    assert len(verified.findings) == 1
    assert verified.exit_code == 4
    mend(verified.findings)
    assert found(look(small, small_files)) == []
    assert (content(small), [r["filename"] for r in read_table(small, "source_file").to_pylist()]) == before


def test_a_catalog_that_is_behind_is_found_and_mended(
    small: Path, tmp_path: Path, look: Callable[..., Verified]
) -> None:
    old = (small / "_catalog" / "current").read_text()
    write_archive(tmp_path / "new", cxcsec("2024:001:01:00"), cxcsec("2024:001:01:05"), slots=[3], hard_cases=False)
    ingest([tmp_path / "new"], small, jobs=1)
    after = content(small), versions(small)
    (small / "_catalog" / "current").write_text(old)
    verified = look(small)
    assert (ACA_L0_3, "it is not the version that queries read") in found(verified)
    mend(verified.findings)
    assert found(look(small, tmp_path / "new")) == []
    assert (content(small), versions(small)) == after


def test_a_file_that_the_catalog_takes_for_whole_and_is_not_is_found_and_mended(
    small: Path, look: Callable[..., Verified]
) -> None:
    before = content(small)
    (small / ACA_L0_3).unlink()
    versions(small)[ACA_L0_3].unlink()
    rows = [r for r in read_table(small, "partition").to_pylist() if path_of(r) != ACA_L0_3]
    list_partitions(small, rows)
    verified = look(small)
    assert any(where.startswith("acaf") and what.startswith("0 of its 293 rows") for where, what in found(verified))
    mend(verified.findings)
    assert found(look(small)) == []
    assert content(small) == before


def test_what_is_wanted_is_wrong_whatever_the_sample(small: Path, look: Callable[..., Verified]) -> None:
    (small / ACA_L0_3).unlink()
    versions(small)[ACA_L0_3].unlink()
    reindex(small)
    verified = look(small, sample=1e-9)
    assert [what for where, what in found(verified) if where.startswith("acaf")] == [
        "its rows are missing from the lake: ingest it again"
    ]


# --- rows that should not have been written ---------------------------------------------------------------------------


def rewritten(lake: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """A partition as a mistake of ours would have written it: all its checksums are right."""
    rows = change(pq.read_table(lake / ACA_L0_3, partitioning=None))
    sources, _ = read_sources(lake / ACA_L0_3, ACA_L0)
    row = pin(lake, ACA_L0, DAY, rows, sources)
    commit(lake, {("aca_l0", DAY): row}, read_table(lake, "source_file"))


def with_column(name: str, change: Callable[[Any], Any]) -> Callable[[pa.Table], pa.Table]:
    def changed(rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index(name)
        values = change(rows.column(name).to_pylist())
        return rows.set_column(index, rows.schema.field(index), pa.array(values, rows.schema.field(index).type))

    return changed


MISTAKES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "not in order": (lambda rows: rows.take([1, 0, *range(2, len(rows))]), "row 1 is not in order"),
    "twice": (lambda rows: rows.take([0, *range(len(rows) - 1)]), "row 1 is not in order"),
    "of another file": (with_column("FILENAME", lambda v: ["x", *v[1:]]), "rows of "),
    "one too few": (lambda rows: rows.slice(1), "it has 292 rows of "),
    "of another day": (with_column("TIME", lambda v: [*v[:-1], v[-1] + 86400]), "is of another partition"),
    "of no time": (with_column("TIME", lambda v: [*v[:-1], float("nan")]), "is of another partition"),
    "of another slot": (with_column("IMGNUM1", lambda v: [4, *v[1:]]), "row 0 is of slot 4, not 3"),
    "without a column": (lambda rows: rows.drop_columns("TEMPCCD"), "columns"),
    "with another type": (
        lambda rows: rows.set_column(2, "MJF", rows.column("MJF").cast(pa.int64())), "column MJF is int64"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "what"), MISTAKES.values(), ids=MISTAKES.keys())
def test_rows_that_should_not_be_are_found_and_mended(
    change: Callable[[pa.Table], pa.Table], what: str, small: Path, look: Callable[..., Verified]
) -> None:
    before = content(small)
    rewritten(small, change)
    verified = look(small)
    at_fault = [finding for finding in verified.findings if finding.where == ACA_L0_3]
    assert len(at_fault) == 1
    assert what in at_fault[0].what
    mend(verified.findings)
    assert found(look(small)) == []
    assert content(small) == before


def test_a_readout_of_two_files_is_found(tmp_path: Path, look: Callable[..., Verified]) -> None:
    start = cxcsec("2024:001")
    for first, last in ((0, 60), (60, 120)):
        write_file(tmp_path, 3, readouts(3, 8, times(start + first, start + last, 8)))
    lake = tmp_path / "lake"
    ingest([tmp_path], lake, jobs=1)
    names = pq.read_table(lake / ACA_L0_3).column("FILENAME").to_pylist()
    border = next(n for n in range(len(names)) if names[n] != names[n + 1])
    rewritten(lake, with_column("TIME", lambda v: [*v[: border + 1], v[border] + 0.05, *v[border + 2 :]]))
    assert f"row {border + 1} is the readout before it again" in look(lake).findings[0].what


def test_a_day_of_hdr3_that_is_behind_is_found_and_mended(
    small: Path, tmp_path: Path, look: Callable[..., Verified]
) -> None:
    write_archive(tmp_path / "new", cxcsec("2024:001"), cxcsec("2024:001:00:05"), slots=[0], hard_cases=False)
    ingest([tmp_path / "new"], small, jobs=1)
    key = Key(DAY.day)
    before = content(small)
    rows = pq.read_table(small / key.path(HDR3), partitioning=None).slice(1)
    row = pin(small, HDR3, key, rows, [], "of what was there before")
    commit(small, {("hdr3", key): row}, read_table(small, "source_file"))
    verified = look(small)
    behind = {where for where, what in found(verified) if what == "it is not derived from what is in the lake now"}
    assert len(behind) == len(found(verified))
    # So are the statistics of it.
    assert behind - {key.path(HDR3)} == {row for row in before if row.startswith(("hdr3_5min", "hdr3_daily"))}
    assert verified.findings[0].mend == f"mica-lake ingest hdr3 --lake {small}"
    mend(verified.findings)
    assert found(look(small)) == []
    assert content(small) == before


# --- while it is written ----------------------------------------------------------------------------------------------


def test_what_is_replaced_meanwhile_is_not_wrong(small: Path, tmp_path: Path) -> None:
    write_archive(tmp_path / "new", cxcsec("2024:001:01:00"), cxcsec("2024:001:01:05"), slots=[3, 4], hard_cases=False)

    class WithACommitInBetween(ThreadPoolExecutor):
        def map(self, fn: Any, *iterables: Any, **options: Any) -> Any:
            results = list(super().map(fn, *iterables, **options))
            ingest([tmp_path / "new"], small, jobs=1)
            return results

    with WithACommitInBetween() as pool:
        verified = verify(small, pool=lambda tasks: pool)
    assert found(verified) == []
    assert verified.counts["aca_l0"][1] == pq.read_table(small / ACA_L0_3).num_rows * 2


def test_a_commit_under_way_is_not_wrong_and_one_left_by_the_dead_is(
    small: Path, look: Callable[..., Verified]
) -> None:
    before = content(small)
    rows = pq.read_table(small / ACA_L0_3, partitioning=None)
    sources, _ = read_sources(small / ACA_L0_3, ACA_L0)
    new = pin(small, ACA_L0, DAY, rows.slice(1), [sources[0]])
    (small / "_catalog" / "interrupted").touch()
    (small / ACA_L0_3).unlink()
    shutil.copy(small / new["path"], small / ACA_L0_3)
    with DISK.lock(small / "_catalog" / "lock"):
        assert found(look(small)) == []
    verified = look(small)
    assert found(verified) == [("_catalog/interrupted", "a writer died between the partitions and the catalog")]
    (small / ACA_L0_3).write_bytes(before[ACA_L0_3])
    mend(verified.findings)
    assert found(look(small)) == []


def test_it_changes_nothing_and_needs_no_permission_to_write(small: Path, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_ino) for p in small.rglob("*")}

    before = state()
    assert CliRunner().invoke(app, ["verify", "--lake", str(small)]).exit_code == 0
    assert state() == before


# --- samples ----------------------------------------------------------------------------------------------------------


def test_a_sample_is_a_part_and_the_same_each_time(demo_lake: str, look: Callable[..., Verified]) -> None:
    whole, half = look(Path(demo_lake)), look(Path(demo_lake), sample=0.5)
    assert 0 < sum(n for n, _ in half.counts.values()) < sum(n for n, _ in whole.counts.values())
    assert half == look(Path(demo_lake), sample=0.5)
    names = [f"{n}.fits" for n in range(1000)]
    assert {n for n in names if chosen(n, 0.1)} < {n for n in names if chosen(n, 0.2)}
    assert all(chosen(n, 1) for n in names)


@pytest.mark.parametrize("sample", [0, -0.5, 1.5, float("nan")])
def test_a_sample_that_is_no_fraction_is_refused(sample: float, demo_lake: str, look: Callable[..., Verified]) -> None:
    with pytest.raises(ValueError, match="is not a fraction: give a number above 0, up to 1"):
        look(Path(demo_lake), sample=sample)


# --- the command ------------------------------------------------------------------------------------------------------


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}
    return subprocess.run(map(str, arguments), env=environment, capture_output=True, text=True, check=False)


@pytest.mark.soak
def test_the_command_says_what_is_wrong_and_the_shell_mends_it(small: Path, small_files: Path) -> None:
    before = content(small)
    flip(small / ACA_L0_3)
    done = command("mica-lake", "verify", "--lake", small, "--from", small_files)
    assert done.returncode == 4, done.stderr
    assert ACA_L0_3 in done.stdout.replace("\n", "")
    named = [line.partition(":  ")[2] for line in done.stdout.splitlines() if line.startswith("To mend")]
    assert f"mica-lake reindex --lake {small}; mica-lake ingest aca_l0 --from {small_files} --lake {small}" in named
    for one in named:
        command("sh", "-c", one)
    good = command("mica-lake", "verify", "--lake", small, "--from", small_files)
    assert (good.returncode, good.stderr) == (0, "")
    assert "Nothing is wrong." in good.stdout
    assert content(small) == before


def test_a_folder_with_a_blank_is_named_so_that_the_shell_takes_it(
    tmp_path: Path, look: Callable[..., Verified]
) -> None:
    files, lake = tmp_path / "my files", tmp_path / "my lake"
    write_archive(files, cxcsec("2024:001"), cxcsec("2024:001") + 60, slots=[3], hard_cases=False)
    ingest([files], lake, jobs=1)
    flip(lake / ACA_L0_3)
    verified = look(lake)
    mend(verified.findings)
    assert found(look(lake)) == []


def test_files_of_two_archives_are_named_apart(tmp_path: Path, look: Callable[..., Verified]) -> None:
    """Between them are the files of other products."""
    start, lake = cxcsec("2024:001"), tmp_path / "lake"
    folders = [tmp_path / "ska" / name for name in ("aca0/2024/001", "more/aca0")]
    for n, folder in enumerate(folders):
        folder.mkdir(parents=True)
        write_file(folder, 3, readouts(3, 8, times(start + 60 * n, start + 60 * n + 50, 8)))
    (tmp_path / "ska" / "image.fits").write_bytes(b"of a dark calibration")
    ingest(folders, lake, jobs=1)
    before = content(lake)
    flip(lake / ACA_L0_3)
    verified = look(lake)
    options = f"--from {tmp_path}/ska/aca0 --from {tmp_path}/ska/more/aca0 --lake {lake}"
    assert verified.findings[0].mend == f"mica-lake reindex --lake {lake}; mica-lake ingest aca_l0 {options}"
    mend(verified.findings)
    assert content(lake) == before
    assert {row["status"] for row in read_table(lake, "source_file").to_pylist()} == {"current"}


def test_without_a_lake_it_says_so(tmp_path: Path) -> None:
    done = command("mica-lake", "verify", "--lake", tmp_path)
    assert done.returncode == 1
    assert "is not a mica lake" in done.stderr


def test_a_source_that_is_not_there_is_named(small: Path, tmp_path: Path, look: Callable[..., Verified]) -> None:
    with pytest.raises(FileNotFoundError, match="absent: there is no such file or folder"):
        look(small, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: there is no source file of any product"):
        look(small, tmp_path / "empty")


def test_many_findings_of_one_kind_are_told_in_short(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("aca_l0", f"aca_l0/day {n}/part.parquet", "lost", "mica-lake reindex") for n in range(30)]
    Verified({"aca_l0": [40, 1000]}, {}, findings).show(Console(width=20))
    text = capsys.readouterr().out
    assert "aca_l0/day 19/part.parquet: lost\n" in text
    text = " ".join(text.split())
    assert "and 10 more that the same command mends" in text
    assert text.count("mica-lake reindex") == 1
    assert "30 wrong" in text
