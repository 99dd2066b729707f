"""The catalog: a commit is whole or not at all, a crash is mended, the partitions alone bring it back."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mica_lake import Lake, LakeError
from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.mend import collect_garbage, mend
from mica_lake.catalog.partition import encode
from mica_lake.catalog.pointer import EMPTY, current_generation
from mica_lake.catalog.reindex import rebuild, reindex
from mica_lake.catalog.root import create
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.times import cxcsec

MIDNIGHT = cxcsec("2015:101")
SLOT = 3


def file_of(folder: Path, start: float, stop: float, revision: int = 1, slot: int = SLOT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = readouts(slot, 8, times(MIDNIGHT + start, MIDNIGHT + stop, 8), seed=revision)
    return write_file(folder, slot, columns, revision=revision)


def take(lake: Path, *sources: Path) -> Path:
    ingest(sources, lake, jobs=1)
    return lake


def partitions(lake: Path) -> dict[str, bytes]:
    """All partitions, byte for byte."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("aca_l0/**/data.parquet")}


def known(lake: Path, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[c] for c in columns) for row in read_table(lake, "source_file").to_pylist()]


def statuses(lake: Path) -> dict[str, str]:
    rows = known(lake, "filename", "status")
    assert len(dict(rows)) == len(rows), "a file has two rows"
    return dict(rows)


def answer(lake: Path) -> list[tuple[Any, ...]]:
    """What a query says is in the lake."""
    query = "SELECT TIME, FILENAME, IMGRAW FROM slot_data('2015:099', '2015:103', 3)"
    return Lake(lake).sql(query).fetchall()


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of three files, one across midnight, one superseded, and one that is bad; they are in ``files``."""
    file_of(tmp_path / "files", -60, 60)
    file_of(tmp_path / "files", 120, 180, 1)
    file_of(tmp_path / "files", 120, 180, 2)
    (tmp_path / "files" / "acaf_bad.fits").write_bytes(b"")
    return take(tmp_path / "lake", tmp_path / "files")


# --- create -----------------------------------------------------------------------------------------------------------


def test_a_lake_is_made_in_a_new_directory_or_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "not" / "there"):
        create(root)
        assert current_generation(root) is None
        assert read_table(root, "partition").num_rows == 0
        assert list(root.iterdir()) == [root / "_catalog"]


def test_a_lake_that_exists_is_left_as_it_is(lake: Path) -> None:
    (lake / "notes.txt").write_text("a file of the user")
    before = partitions(lake), current_generation(lake)
    create(lake)
    assert (partitions(lake), current_generation(lake)) == before


def test_a_directory_of_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("all I have")
    with pytest.raises(LakeError, match="home is not a mica lake and is not empty"):
        take(tmp_path / "home", file_of(tmp_path, 0, 60))
    assert list((tmp_path / "home").iterdir()) == [tmp_path / "home" / "thesis.tex"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(LakeError, match="file is a file, a lake is a directory"):
        take(tmp_path / "file", file_of(tmp_path, 0, 60))
    assert (tmp_path / "file").read_text() == "a file"


# --- a process that dies, a disk that is full -------------------------------------------------------------------------

# Makes the lake anew for each n, lets a child take the last file and die before its n-th step on the disk.
DIE = """
import os, sys
from pathlib import Path
from mica_lake.ingest.aca_l0 import ingest

top, *before, last = map(Path, sys.argv[1:])
die_before_each_step(
    [(Path, "replace"), (os, "fsync"), (os, "link")],
    lambda n: before and ingest(before, top / str(n), jobs=1),
    lambda n: ingest([last], top / str(n), jobs=1),
    range(100),
)
"""


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def killed_at_each_step(deaths: Callable[..., int], top: Path, before: list[Path], last: Path) -> list[Path]:
    """Lakes, each left by a process that died at another step of taking the last file."""
    count = deaths(DIE, top, *before, last)
    assert count > 10
    return [top / str(n) for n in range(count)]


CHANGES: dict[str, tuple[list[tuple[float, float, int]], tuple[float, float, int]]] = {
    "the first file": ([], (-60, 60, 1)),
    "a newer revision on both days": ([(-60, 60, 1)], (-60, 60, 2)),
    "a newer revision, shorter at both ends": ([(-90, 90, 1), (120, 180, 1)], (-60, 60, 2)),
    "a file that shares readouts": ([(-60, 60, 1)], (-30, 90, 1)),
}


@pytest.mark.parametrize("again", ["the last file", "all files"])
@pytest.mark.parametrize(("intervals", "new"), CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.soak
def test_killed_anywhere_a_lake_answers_as_before_or_after_and_the_next_ingest_mends_it(
    intervals: list[tuple[float, float, int]],
    new: tuple[float, float, int],
    again: str,
    tmp_path: Path,
    deaths: Callable[..., int],
) -> None:
    before = [file_of(tmp_path / "files", *interval) for interval in intervals]
    last = file_of(tmp_path / "files", *new)
    after = take(tmp_path / "after", *before, last)
    answers = [answer(after), answer(take(tmp_path / "before", *before)) if before else []]
    wrong: dict[str, list[int]] = {"answer": [], "raised": [], "partitions": [], "statuses": [], "left": []}
    # Of the many steps, each case looks at another sixth; a generation's files are written in the same few each.
    sixth = list(CHANGES.values()).index((intervals, new)) + (2 if again == "all files" else 0)
    for step, killed in enumerate(killed_at_each_step(deaths, tmp_path / "killed", before, last)):
        if step % 6 != sixth:
            continue
        has_lake = bool(before) or current_generation(killed) is not None
        if again == "the last file" and has_lake and answer(killed) not in answers:
            wrong["answer"].append(step)
        try:
            take(killed, *([last] if again == "the last file" else [*before, last]))
        except Exception:
            wrong["raised"].append(step)
            continue
        if partitions(killed) != partitions(after):
            wrong["partitions"].append(step)
        if statuses(killed) != statuses(after):
            wrong["statuses"].append(step)
        if [path for path in killed.rglob(".*") if path.is_file()]:
            wrong["left"].append(step)
    assert {what: steps for what, steps in wrong.items() if steps} == {}


STOP_BEFORE_THE_GENERATION = """
import os, sys
from mica_lake.catalog import commit
from mica_lake.ingest.aca_l0 import ingest

commit.write_generation = lambda *args: os._exit(99)
ingest([sys.argv[2]], sys.argv[1], jobs=1)
"""


def test_partitions_published_without_a_generation_are_not_seen_until_they_are_committed(
    lake: Path, tmp_path: Path
) -> None:
    before = answer(lake), partitions(lake)
    new = file_of(tmp_path / "new", 300, 360)
    with pytest.raises(subprocess.CalledProcessError, match="exit status 99"):
        run(STOP_BEFORE_THE_GENERATION, lake, new)
    assert (lake / "_catalog" / "interrupted").exists()
    assert partitions(lake) != before[1]
    assert answer(lake) == before[0]
    take(lake, new)
    assert not (lake / "_catalog" / "interrupted").exists()
    undisturbed = take(tmp_path / "undisturbed", tmp_path / "files", new)
    assert (partitions(lake), answer(lake)) == (partitions(undisturbed), answer(undisturbed))
    assert statuses(lake) == statuses(undisturbed)


FILL_THE_DISK = """
import resource, sys
from mica_lake.ingest.aca_l0 import ingest

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    ingest([sys.argv[2]], sys.argv[1], jobs=1)
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize("room", [0, 50, 1000, 4096, 9000])
@pytest.mark.often(1)
def test_without_room_ingest_fails_and_the_lake_is_as_before(room: int, lake: Path, tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    before = answer(lake), partitions(lake), known(lake, "filename", "status")
    new = file_of(tmp_path / "new", 300, 900)
    assert run(FILL_THE_DISK, lake, new, room) == "File too large\n"
    assert (answer(lake), partitions(lake), known(lake, "filename", "status")) == before
    take(lake, new)
    undisturbed = take(tmp_path / "undisturbed", tmp_path / "files", new)
    assert (partitions(lake), answer(lake)) == (partitions(undisturbed), answer(undisturbed))
    assert not [path for path in lake.rglob(".*") if path.is_file()], "files half written are left"


@pytest.mark.parametrize("seen", [None, b"half"])
def test_a_version_that_was_written_elsewhere_and_is_not_seen_here_is_not_committed(
    seen: bytes | None, lake: Path
) -> None:
    before, generation = partitions(lake), current_generation(lake)
    row = read_table(lake, "partition").to_pylist()[0]
    elsewhere = row | {"path": "_catalog/pinned/aca_l0/2015/elsewhere.parquet"}
    if seen is not None:
        (lake / elsewhere["path"]).write_bytes(seen)
    key = Key(EPOCH + timedelta(days=row["day_number"]), row["slot"])
    reason = "No such file or directory" if seen is None else f"it has 4 bytes, not {row['bytes']}"
    with pytest.raises(LakeError, match=f"elsewhere.parquet was written, but it is not here [(]{reason}[)]"):
        commit(lake, {("aca_l0", key): elsewhere}, read_table(lake, "source_file"))
    assert (partitions(lake), current_generation(lake)) == (before, generation)
    assert not (lake / "_catalog/interrupted").exists()


def test_without_room_the_first_lake_is_made_later(tmp_path: Path) -> None:
    new = file_of(tmp_path / "new", 300, 900)
    assert run(FILL_THE_DISK, tmp_path / "lake", new, 1000) == "File too large\n"
    take(tmp_path / "lake", new)
    assert partitions(tmp_path / "lake") == partitions(take(tmp_path / "undisturbed", new))


# --- readers ----------------------------------------------------------------------------------------------------------


def test_a_query_begun_before_a_commit_answers_of_the_state_before(lake: Path, tmp_path: Path) -> None:
    expected = answer(lake)
    reader = Lake(lake)
    relation = reader.sql("SELECT TIME, FILENAME, IMGRAW FROM slot_data('2015:099', '2015:103', 3)")
    take(lake, file_of(tmp_path / "new", 120, 180, 3), file_of(tmp_path / "new", -60, 60, 2))
    assert relation.fetchall() == expected
    after = reader.sql("SELECT TIME, FILENAME, IMGRAW FROM slot_data('2015:099', '2015:103', 3)").fetchall()
    assert after == answer(lake) != expected


def listed(lake: Path) -> list[dict[str, Any]]:
    """The partitions of aca_l0 in the catalog."""
    return [row for row in read_table(lake, "partition").to_pylist() if row["table_name"] == "aca_l0"]


def test_the_catalog_says_what_is_in_the_partitions(lake: Path) -> None:
    rows = listed(lake)
    assert [(row["year"], row["doy"], row["slot"]) for row in rows] == [(2015, 100, SLOT), (2015, 101, SLOT)]
    for row in rows:
        path = lake / f"aca_l0/year={row['year']}/doy={row['doy']}/slot={row['slot']}/data.parquet"
        assert (lake / row["path"]).samefile(path)
        time = pq.read_table(path, partitioning=None).column("TIME").to_pylist()
        assert (row["rows"], row["tstart"], row["tstop"]) == (len(time), time[0], time[-1])
        assert row["bytes"] == path.stat().st_size


# --- reindex ----------------------------------------------------------------------------------------------------------


def test_a_catalog_that_was_lost_is_derived_again(lake: Path, tmp_path: Path) -> None:
    partition = read_table(lake, "partition")
    files = read_table(lake, "source_file").to_pylist()
    before = answer(lake), partitions(lake)
    shutil.rmtree(lake / "_catalog")
    with pytest.raises(LakeError, match=f"reindex --lake {lake}"):
        Lake(lake)
    assert reindex(lake) == []
    assert (answer(lake), partitions(lake)) == before
    assert read_table(lake, "partition").equals(partition)
    derivable = [row | dict.fromkeys(["directory", "size", "mtime_ns"]) for row in files if row["status"] == "current"]
    assert read_table(lake, "source_file").to_pylist() == derivable
    take(lake, tmp_path / "files")
    assert read_table(lake, "source_file").to_pylist() == files
    assert partitions(lake) == before[1]


def test_reindex_of_a_good_lake_changes_nothing(lake: Path) -> None:
    before = read_table(lake, "partition"), read_table(lake, "source_file"), partitions(lake)
    assert reindex(lake) == []
    assert read_table(lake, "partition").equals(before[0])
    assert read_table(lake, "source_file").equals(before[1])
    assert partitions(lake) == before[2]


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97, 0.99])
def test_nothing_is_made_from_a_damaged_version(place: float, lake: Path, tmp_path: Path) -> None:
    """Its rows would have good checksums in the partition that takes its place."""
    path = lake / listed(lake)[1]["path"]
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    before = partitions(lake), read_table(lake, "partition").to_pylist()
    with pytest.raises(LakeError, match=path.name):
        take(lake, file_of(tmp_path / "new", 300, 360))
    assert (partitions(lake), read_table(lake, "partition").to_pylist()) == before


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("lines", [0, 1, 17, 18])
def test_a_list_of_checksums_that_was_cut_at_a_line_is_no_whole_state(lines: int, lake: Path, tmp_path: Path) -> None:
    before = answer(lake), statuses(lake), partitions(lake)
    path = lake / "_catalog" / str(current_generation(lake)) / "checksums"
    kept = path.read_text().splitlines(keepends=True)
    assert [line.split()[1] for line in kept[-2:]] == ["partition.parquet", "source_file.parquet"]
    path.unlink()
    path.write_text("".join(kept[: min(lines, len(kept) - 1)]))
    with pytest.raises(LakeError, match=f"catalog is damaged .*checksums.*reindex --lake {lake}"):
        answer(lake)
    reindex(lake)
    take(lake, tmp_path / "files")
    assert (answer(lake), statuses(lake), partitions(lake)) == before


@pytest.mark.parametrize("name", ["partition", "source_file"])
def test_a_damaged_catalog_is_named_and_reindex_mends_it(name: str, lake: Path, tmp_path: Path) -> None:
    before = answer(lake), statuses(lake), partitions(lake)
    generation = current_generation(lake)
    assert generation is not None
    truncate(lake / "_catalog" / generation / f"{name}.parquet")
    with pytest.raises(LakeError, match=f"catalog is damaged .*{name}.*reindex --lake {lake}"):
        read_table(lake, name)
    with pytest.raises(LakeError, match="reindex"):
        take(lake, tmp_path / "files")
    reindex(lake)
    take(lake, tmp_path / "files")
    assert (answer(lake), statuses(lake), partitions(lake)) == before


def of_another_format(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    table = pq.read_table(pa.BufferReader(content))
    metadata = {"mica_lake.table": "aca_l0", "mica_lake.format": "99", "mica_lake.sources": "[]"}
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(metadata)


@pytest.mark.often(2)
@pytest.mark.parametrize("lost", [100, 101])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [(Path.unlink, None), (truncate, "is damaged"), (of_another_format, "its format is 99")],
    ids=["deleted", "truncated", "of another format"],
)
def test_a_partition_that_is_lost_is_named_and_left_out_and_ingest_mends_it(
    damage: Any, problem: str | None, lost: int, lake: Path, tmp_path: Path
) -> None:
    before = answer(lake), partitions(lake), statuses(lake)
    path = f"aca_l0/year=2015/doy={lost}/slot={SLOT}/data.parquet"
    row = next(row for row in listed(lake) if row["doy"] == lost)
    (lake / row["path"]).unlink()  # else the partition would come back from its pinned version
    damage(lake / path)
    trouble = reindex(lake)
    if problem is not None:
        assert path in trouble[0]
        assert problem in trouble[0]
    assert [row["doy"] for row in listed(lake)] == [201 - lost]
    assert {time < MIDNIGHT for time, *_ in answer(lake)} == {lost == 101}
    files = [name for name, status in before[2].items() if status == "current"]
    lacking = dict(zip(files, ["incomplete", "wanted"] if lost == 101 else ["incomplete"], strict=False))
    now = {name: status for name, status in statuses(lake).items() if status in ("incomplete", "wanted")}
    assert now == lacking, "a part of the first one's rows is in the other partition"
    assert [name for name in files if any(name in line for line in trouble)] == list(lacking)
    take(lake, tmp_path / "files")
    assert (answer(lake), partitions(lake), statuses(lake)) == before


def test_a_newer_revision_that_arrives_before_the_mending_takes_the_place_of_what_is_left(
    lake: Path, tmp_path: Path
) -> None:
    for path in (f"aca_l0/year=2015/doy=100/slot={SLOT}/data.parquet", listed(lake)[0]["path"]):
        (lake / path).unlink()
    reindex(lake)
    newer = file_of(tmp_path / "newer", -40, 30, 2)
    take(lake, newer)
    take(lake, tmp_path / "files")
    undisturbed = take(tmp_path / "undisturbed", tmp_path / "files", newer)
    assert statuses(lake) == statuses(undisturbed)
    assert answer(lake) == answer(undisturbed)
    assert partitions(lake) == partitions(undisturbed)


def test_a_stray_directory_in_a_table_is_named(lake: Path) -> None:
    stray = lake / "aca_l0" / "year=2015" / "doy=100" / "slot=three"
    stray.mkdir()
    (stray / "data.parquet").write_bytes(encode(ACA_L0, ACA_L0.schema.empty_table(), []))
    before = read_table(lake, "partition")
    (line,) = reindex(lake)
    assert "slot=three" in line
    assert read_table(lake, "partition").equals(before)


# --- garbage ----------------------------------------------------------------------------------------------------------


def generations(lake: Path) -> list[str]:
    return sorted(path.name for path in (lake / "_catalog").iterdir() if path.name.isdigit())


def used_by(lake: Path, generation: str) -> set[str]:
    table = pq.read_table(lake / "_catalog" / generation / "partition.parquet", partitioning=None)
    return set(table.column("path").to_pylist())


def pinned(lake: Path) -> set[str]:
    return {p.relative_to(lake).as_posix() for p in (lake / "_catalog" / "pinned").rglob("*") if p.is_file()}


def written(lake: Path, generation: str, hours_ago: float) -> None:
    """Let a generation have been written some hours before the last one."""
    moment = (lake / "_catalog" / generations(lake)[-1] / "checksums").stat().st_mtime_ns - int(hours_ago * 3600e9)
    os.utime(lake / "_catalog" / generation / "checksums", ns=(moment, moment))


@pytest.fixture
def three_generations(tmp_path: Path) -> Path:
    """A lake of three generations, each of which has another version of the one partition."""
    lake = tmp_path / "lake"
    for number in range(3):
        take(lake, file_of(tmp_path / "files", 100 * number, 100 * number + 60))
    shutil.rmtree(lake / "_catalog" / EMPTY)
    assert generations(lake) == ["00000001", "00000002", "00000003"]
    assert len({*map(frozenset, (used_by(lake, g) for g in generations(lake)))}) == 3
    return lake


@pytest.mark.often(2)
@pytest.mark.parametrize(
    ("hours_ago", "kept"),
    [
        ({}, [1, 2, 3]),
        ({1: 5}, [1, 2, 3]),  # it was what held until the second was written, just now
        ({1: 5, 2: 0.9}, [1, 2, 3]),
        ({1: 5, 2: 1.1}, [2, 3]),
        ({1: 5, 2: 4, 3: 2}, [3]),
    ],
)
def test_what_was_given_up_within_the_hour_stays_and_older_goes(
    hours_ago: dict[int, float], kept: list[int], three_generations: Path
) -> None:
    lake = three_generations
    before = answer(lake)
    for number, hours in hours_ago.items():
        written(lake, f"{number:08d}", hours)
    stay = [f"{number:08d}" for number in kept]
    expected = set().union(*(used_by(lake, generation) for generation in stay))
    collect_garbage(lake)
    assert generations(lake) == stay
    assert pinned(lake) == expected
    assert answer(lake) == before


def test_what_an_interrupted_run_left_goes(lake: Path) -> None:
    before = answer(lake), pinned(lake), generations(lake)
    folder = next((lake / "_catalog" / "pinned").rglob("*.parquet")).parent
    for name in ("2015100_3_0123456789abcdef.parquet", ".2015100_3_0123456789abcdef.parquet.4242"):
        (folder / name).write_bytes(b"half of a partition")
    (lake / "_catalog" / "00000099").mkdir()
    collect_garbage(lake)
    assert (answer(lake), pinned(lake), generations(lake)) == before


def test_ingest_collects_garbage_and_a_reader_of_the_hour_before_is_not_disturbed(
    three_generations: Path, tmp_path: Path
) -> None:
    lake = three_generations
    relation = Lake(lake).sql("SELECT TIME, FILENAME FROM slot_data('2015:099', '2015:103', 3)")
    expected = len(answer(lake))
    written(lake, "00000001", 5)
    written(lake, "00000002", 2)
    take(lake, file_of(tmp_path / "files", 300, 360))
    assert generations(lake) == ["00000002", "00000003", "00000004"]
    assert len(relation.fetchall()) == expected


# --- more than one thing at a time ------------------------------------------------------------------------------------

STOP_AFTER_THE_GENERATION = """
import os, sys
from mica_lake.catalog import commit
from mica_lake.store.disk import Disk
from mica_lake.ingest.aca_l0 import ingest

write_generation = commit.write_generation

def written(*args):
    if sys.argv[3] == "before the pointer":
        Disk.swap = lambda *arguments: os._exit(99)
    write_generation(*args)
    os._exit(99)

commit.write_generation = written
ingest(sys.argv[2:3], sys.argv[1], jobs=1)
"""


@pytest.mark.parametrize("where", ["before the pointer", "after the pointer"])
@pytest.mark.parametrize("mended_first", [False, True])
@pytest.mark.often(1)
def test_without_a_pointer_an_interrupted_commit_is_whole_or_not_at_all(
    where: str, mended_first: bool, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One partition is replaced by it, and one is new."""
    before = answer(lake)
    new = [file_of(tmp_path / "new", 120 - 86400, 180 - 86400), file_of(tmp_path / "new", 300, 360)]
    after = answer(take(tmp_path / "after", tmp_path / "files", *new))
    with pytest.raises(subprocess.CalledProcessError, match="exit status 99"):
        run(STOP_AFTER_THE_GENERATION, lake, tmp_path / "new", where)
    current = lake / "_catalog" / "current"
    if mended_first:  # and killed before what was given up is removed
        monkeypatch.setattr("mica_lake.catalog.mend.collect_garbage", lambda root: None)
        mend(lake)
    assert answer(lake) == (before if where == "before the pointer" else after)
    current.unlink()
    assert reindex(lake) == []
    allowed = [before] if mended_first and where == "before the pointer" else [before, after]
    assert answer(lake) in allowed
    if where == "after the pointer":
        assert answer(lake) == after


@pytest.mark.parametrize("name", ["partition.parquet", "checksums", "no_rows/hdr3.parquet"])
def test_a_partition_that_was_given_up_does_not_come_back_when_the_catalog_is_damaged(
    name: str, tmp_path: Path
) -> None:
    """The newer revision has no rows after midnight any more."""
    lake = take(tmp_path / "lake", file_of(tmp_path / "files", -60, 60))
    take(lake, file_of(tmp_path / "files", -60, -10, 2))
    before = answer(lake), partitions(lake)
    assert list(before[1]) == [f"aca_l0/year=2015/doy=100/slot={SLOT}/data.parquet"]
    truncate(lake / "_catalog" / str(current_generation(lake)) / name)
    trouble = reindex(lake)
    assert (answer(lake), partitions(lake)) == before
    told = f"aca_l0/year=2015/doy=101/slot={SLOT}/data.parquet is not there, and only an older state of the catalog"
    assert any(told in line for line in trouble) == (name != "no_rows/hdr3.parquet")
    take(lake, tmp_path / "files")
    assert (answer(lake), partitions(lake)) == before


def test_a_damaged_version_does_not_take_the_place_of_a_good_partition(lake: Path, tmp_path: Path) -> None:
    """As where the lake was copied without its links."""
    before = answer(lake), partitions(lake)
    path, row = f"aca_l0/year=2015/doy=101/slot={SLOT}/data.parquet", listed(lake)[1]
    new = file_of(tmp_path / "new", 300, 360)
    with pytest.raises(subprocess.CalledProcessError, match="exit status 99"):
        run(STOP_BEFORE_THE_GENERATION, lake, new)
    (lake / path).unlink()
    (lake / path).write_bytes(before[1][path])
    truncate(lake / row["path"])
    reindex(lake)
    assert (answer(lake), partitions(lake)) == before


# --- a catalog of another format --------------------------------------------------------------------------------------


def of_format(lake: Path, written: str) -> None:
    current = lake / "_catalog" / "current"
    generation, digest, _ = current.read_text().split()
    current.write_text(f"{generation} {digest}{written}\n")


def test_a_catalog_without_a_format_is_that_of_today_and_is_carried_on(lake: Path, tmp_path: Path) -> None:
    before = answer(lake)
    of_format(lake, "")
    assert answer(lake) == before
    take(lake, file_of(tmp_path / "new", 300, 360))
    assert len(answer(lake)) > len(before)


def test_a_newer_catalog_is_said_to_be_newer_and_left_alone(lake: Path, tmp_path: Path) -> None:
    of_format(lake, " 7")
    before = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()}
    for ask in (answer, reindex, rebuild, mend, lambda lake: take(lake, file_of(tmp_path / "new", 300, 360))):
        with pytest.raises(LakeError, match=f"the catalog of {lake} has format 7, newer than 1.*: update mica-lake"):
            ask(lake)
    assert {path: path.read_bytes() for path in before} == before


def test_an_older_catalog_is_said_to_be_older_and_reindex_writes_it_anew(lake: Path) -> None:
    before = answer(lake)
    of_format(lake, " 0")
    with pytest.raises(LakeError, match=f"format 0, older than 1.*'mica-lake reindex --lake {lake}' derives it again"):
        answer(lake)
    assert rebuild(lake) == []
    assert answer(lake) == before


def test_a_folder_in_the_place_of_the_record_is_named(lake: Path) -> None:
    (lake / "_catalog" / "interrupted").mkdir()
    for ask in (mend, rebuild):
        with pytest.raises(LakeError, match="_catalog/interrupted is a directory, it should be a file: remove it"):
            ask(lake)
