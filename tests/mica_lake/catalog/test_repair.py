"""A lake survives its own repair: no row is destroyed, no half of a commit is shown, no damaged file is believed."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mica_lake import Lake, LakeError
from mica_lake.catalog.commit import as_owner
from mica_lake.catalog.generation import next_name, problems, read_table, write_generation
from mica_lake.catalog.key import key_of, path_of
from mica_lake.catalog.partition import has_page_checksums, read_partition
from mica_lake.catalog.pointer import EMPTY, current_generation
from mica_lake.catalog.reindex import rebuild
from mica_lake.catalog.verify import remember, sampled_until, verify
from mica_lake.catalog.version import describe
from mica_lake.cli import app
from mica_lake.ingest import acq_stats, dark_cal, follow, hdr3, obspar
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate import aca_l0, stats
from mica_lake.simulate import dark_cal as simulate_dark_cal
from mica_lake.simulate import obspar as simulate_obspar
from mica_lake.simulate.observations import observations
from mica_lake.store.disk import Disk
from mica_lake.tables import TABLES
from mica_lake.tables.aca_l0 import ACA_L0
from mica_lake.tables.catalog import PARTITION
from mica_lake.times import cxcsec

START = cxcsec("2015:101:23:30")
REINDEX = "mica-lake reindex --lake"
READOUTS = """
    SELECT FILENAME, count(*), bit_xor(hash(TIME)) FROM slot_data('2015:101', '2015:103', 3) GROUP BY ALL ORDER BY ALL
"""


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of an hour of one slot across midnight, in files of 20 minutes, and of two years of other things."""
    ska = tmp_path_factory.mktemp("repair") / "ska"
    for start in (0, 1200, 2400):
        l0_file(ska, start, start + 1200)
    of_two_years = [one for start in ("2015:101", "2016:101") for one in observations(*day(start))]
    released = [replace(one, revisions=(1,), default=1, last=1) for one in of_two_years]
    simulate_obspar.write_archive(ska, released)
    stats.write_archive(ska, released)
    simulate_dark_cal.write_calibration(ska, "2015101")
    return ska


def l0_file(ska: Path, start: float, stop: float, *, revision: int = 1, slot: int = 3) -> Path:
    folder = ska / "data/mica/archive/aca0/2015/101"
    folder.mkdir(parents=True, exist_ok=True)
    columns = aca_l0.readouts(slot, 8, aca_l0.times(START + start, START + stop, 8), seed=revision)
    return aca_l0.write_file(folder, slot, columns, revision=revision)


def day(date: str) -> tuple[float, float]:
    return cxcsec(date), cxcsec(date) + 40000


def take(ska: Path, lake: Path) -> Path:
    ingest([ska], lake, jobs=1)
    for product in (obspar, acq_stats, dark_cal):
        product.ingest(ska, lake, jobs=1)
    return lake


@pytest.fixture(scope="module")
def of_ska(ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of it, not to be changed."""
    return take(ska, tmp_path_factory.mktemp("repair") / "lake")


@pytest.fixture
def lake(of_ska: Path, tmp_path: Path) -> Path:
    """A copy of it, in which partitions and their pinned versions are the same files, too."""
    subprocess.run(["cp", "-a", of_ska, tmp_path / "lake"], check=True)
    return tmp_path / "lake"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with other content of each product: what an ingest of it replaces is in several partitions."""
    ska = tmp_path_factory.mktemp("newer") / "ska"
    for start, slot in ((-600, 3), (1200, 3), (1200, 4)):
        l0_file(ska, start, start + 1800, revision=2, slot=slot)
    of_two_years = [one for start in ("2015:101", "2016:101") for one in observations(*day(start), seed=1)]
    released = [replace(one, revisions=(1,), default=1, last=1) for one in of_two_years]
    simulate_obspar.write_archive(ska, released)
    stats.write_archive(ska, released, seed=1)
    simulate_dark_cal.write_calibration(ska, "2015101", seed=1)
    simulate_dark_cal.write_calibration(ska, "2016101", seed=1)
    return ska


def partitions(lake: Path) -> dict[str, bytes]:
    """What everybody else reads, byte for byte."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("*/**/data.parquet")}


def versions(lake: Path) -> dict[str, str]:
    """What queries read."""
    return {path_of(row): row["path"] for row in read_table(lake, "partition").to_pylist()}


def answers(lake: Path) -> list[Any]:
    """What SQL says of each product."""
    connection = Lake(lake).connection
    questions = (
        READOUTS,
        "SELECT count(*), bit_xor(hash(ccd_temp)) FROM hdr3_data('2015:101', '2015:103')",
        "SELECT obsid, ra_pnt FROM obspar ORDER BY ALL",
        "SELECT agasc_id, obsid, mag_obs::VARCHAR FROM acq_stats ORDER BY ALL",
        "SELECT dark_id, image_checksum FROM dark_cal ORDER BY ALL",
    )
    return [connection.sql(question).fetchall() for question in questions]


def command(*arguments: object, codes: tuple[int, ...] = (0, 3, 4)) -> str:
    """Run mica-lake; what it prints, if it ends with one of these codes."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code in codes, done.output
    return done.output


# --- a catalog that was lost ------------------------------------------------------------------------------------------


def lose_pointer(lake: Path) -> None:
    (lake / "_catalog/current").unlink()


def lose_catalog(lake: Path) -> None:
    shutil.rmtree(lake / "_catalog")


def lose_all_but_pinned(lake: Path) -> None:
    for entry in (lake / "_catalog").iterdir():
        if entry.name != "pinned":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def lose_tables_and_pointer(lake: Path) -> None:
    lose_pointer(lake)
    for name in TABLES:
        shutil.rmtree(lake / name, ignore_errors=True)


def spoil(content: bytes) -> Callable[[Path], None]:
    return lambda lake: (lake / "_catalog/current").write_bytes(content) and None  # type: ignore[func-returns-value]


LOSSES = {
    "the pointer": lose_pointer,
    "the catalog": lose_catalog,
    "all but pinned versions": lose_all_but_pinned,
    "the pointer and all tables": lose_tables_and_pointer,
    "a pointer that is empty": spoil(b""),
    "a pointer with a zero byte": spoil(b"0000\x000005"),
    "a pointer that is not text": spoil(b"0000000\xb5"),
    "a pointer to another generation": spoil(b"00000001"),
}


@pytest.mark.parametrize("product", ["aca_l0", "obspar", "dark_cal", "acq_stats", "hdr3"])
@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_ingest_never_takes_a_lake_without_its_catalog_for_a_new_one(
    lose: Callable[[Path], None], product: str, lake: Path, newer: Path
) -> None:
    lose(lake)
    before = partitions(lake)
    ingests: dict[str, Callable[[], object]] = {
        "aca_l0": lambda: ingest([newer], lake, jobs=1),
        "hdr3": lambda: hdr3.ingest(lake, jobs=1),
    }
    take_it = ingests.get(product, lambda: follow.ingest(product, newer, lake, jobs=1))
    with pytest.raises(LakeError, match=f"{REINDEX} {lake}"):
        take_it()
    assert partitions(lake) == before


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.often(1)
def test_reindex_brings_back_a_lake_that_lost_its_catalog_and_nothing_is_lost(
    lose: Callable[[Path], None], lake: Path, ska: Path
) -> None:
    before = partitions(lake), answers(lake), versions(lake)
    lose(lake)
    with pytest.raises(LakeError, match=f"{REINDEX} {lake}"):
        Lake(lake).connection  # noqa: B018
    command("reindex", "--lake", lake)
    assert (partitions(lake), answers(lake), versions(lake)) == before
    assert take(ska, lake)
    assert (partitions(lake), answers(lake), versions(lake)) == before


def test_a_fifth_file_of_a_day_does_not_replace_the_four_before_it(lake: Path, tmp_path: Path) -> None:
    rows = Lake(lake).sql("SELECT count(*) FROM slot_data('2015:101', '2015:103', 3)").fetchall()
    lose_pointer(lake)
    fifth = l0_file(tmp_path, 5000, 5600)
    with pytest.raises(LakeError, match="has no catalog"):
        ingest([fifth], lake, jobs=1)
    command("reindex", "--lake", lake)
    ingest([fifth], lake, jobs=1)
    after = Lake(lake).sql("SELECT count(*) FROM slot_data('2015:101', '2015:103', 3)").fetchall()
    assert after[0][0] == rows[0][0] + 147


def test_a_partition_that_the_catalog_does_not_list_is_not_replaced_unread(lake: Path, ska: Path, newer: Path) -> None:
    """One that was copied into the lake, say from a backup, while the catalog is that of a lake without it."""
    backup = next(path for path in lake.glob("aca_l0/**/data.parquet"))
    kept, name = backup.read_bytes(), backup.relative_to(lake).as_posix()
    rows = [row for row in read_table(lake, "partition").to_pylist() if path_of(row) != name]
    no_files = read_table(lake, "source_file").slice(0, 0)
    write_generation(lake, next_name(lake), pa.Table.from_pylist(rows, schema=PARTITION), no_files, as_owner(lake))
    with pytest.raises(LakeError, match=f"would be replaced, but the catalog does not list it.*{REINDEX}"):
        ingest([newer], lake, jobs=1)
    assert backup.read_bytes() == kept
    command("reindex", "--lake", lake)
    assert name in versions(lake)


def test_a_good_partition_that_is_not_the_version_listed_is_not_replaced_unread(
    lake: Path, ska: Path, newer: Path, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    subprocess.run(["cp", "-a", lake, mirror], check=True)
    ingest([newer], lake, jobs=1)
    shutil.rmtree(mirror / "aca_l0")
    shutil.copytree(lake / "aca_l0", mirror / "aca_l0")
    before = partitions(mirror)
    with pytest.raises(LakeError, match=f"it is not the version that the catalog lists.*{REINDEX}"):
        ingest([newer], mirror, jobs=1)
    assert partitions(mirror) == before


def test_a_partition_that_is_damaged_is_replaced(lake: Path, newer: Path, tmp_path: Path) -> None:
    for path in lake.glob("aca_l0/**/data.parquet"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[: len(content) // 2])
    ingest([newer], lake, jobs=1)
    assert verify(lake, pool=threads).findings == []


def threads(_: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


# --- a copy -----------------------------------------------------------------------------------------------------------

PARTS = ("_catalog/current", "_catalog/0*", "_catalog/pinned", "tables")


def copy_part(lake: Path, mirror: Path, part: str) -> None:
    sources = [path.relative_to(lake) for path in lake.glob(part)] if part != "tables" else [Path(n) for n in TABLES]
    for source in sources:
        if (lake / source).exists():
            (mirror / source).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "-T", lake / source, mirror / source], check=True)


@pytest.mark.parametrize("order", list(permutations(PARTS)), ids=lambda order: ", ".join(order))
@pytest.mark.often(1)
def test_a_copy_in_any_order_of_its_folders_with_an_ingest_in_between_loses_nothing(
    order: tuple[str, ...], of_ska: Path, ska: Path, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    fifth = l0_file(tmp_path, 5000, 5600)
    # Where the order is another one, so is the moment of the ingest.
    between = 1 + list(permutations(PARTS)).index(order) % 3
    for part in order[:between]:
        copy_part(of_ska, mirror, part)
    try:
        ingest([fifth], mirror, jobs=1)
    except (LakeError, OSError) as error:
        assert str(mirror) in str(error)
    for part in order[between:]:
        copy_part(of_ska, mirror, part)
    command("reindex", "--lake", mirror)
    take(ska, mirror)
    ingest([fifth], mirror, jobs=1)
    query = "SELECT FILENAME, count(*) FROM slot_data('2015:101', '2015:103', 3) GROUP BY ALL ORDER BY ALL"
    expected = Lake(of_ska).sql(query).fetchall()
    assert Lake(mirror).sql(query).fetchall() == sorted([*expected, (fifth.name, 147)])
    assert answers(mirror)[2:] == answers(of_ska)[2:]
    assert verify(mirror, pool=threads).findings == []


# --- half a commit ----------------------------------------------------------------------------------------------------

# Dies when so many partitions were published.
DIE = """
import os, sys
from pathlib import Path
from mica_lake.catalog import commit
from mica_lake.ingest import follow
from mica_lake.ingest.aca_l0 import ingest

product, ska, lake, left = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
real = commit._publish_change

def publish(*arguments):
    global left
    if left == 0:
        os._exit(99)
    left -= 1
    real(*arguments)

commit._publish_change = publish
ingest([ska], lake, jobs=1) if product == "aca_l0" else follow.ingest(product, ska, lake, jobs=1)
"""


def kill_in_a_commit(product: str, ska: Path, lake: Path, published: int) -> None:
    command = [sys.executable, "-c", DIE, product, ska, lake, str(published)]
    assert subprocess.run(list(map(str, command)), check=False).returncode == 99
    assert (lake / "_catalog/interrupted").exists()


def reindexed(lake: Path, ska: Path) -> None:
    command("reindex", "--lake", lake)


def mended_as_verify_says(lake: Path, ska: Path) -> None:
    findings = verify(lake, pool=threads).findings
    assert ("_catalog/interrupted", f"{REINDEX} {lake}") in [(finding.where, finding.mend) for finding in findings]
    command("reindex", "--lake", lake)


def other_product(lake: Path, ska: Path) -> None:
    follow.ingest("guide_stats", ska, lake, jobs=1)


def record_damaged(lake: Path, ska: Path) -> None:
    marker = lake / "_catalog/interrupted"
    content = bytearray(marker.read_bytes())
    content[len(content) // 2] ^= 1
    marker.write_bytes(content)
    command("reindex", "--lake", lake)


def record_empty_as_an_older_one_wrote_it(lake: Path, ska: Path) -> None:
    (lake / "_catalog/interrupted").write_bytes(b"")
    other_product(lake, ska)


def pointer_lost_too(lake: Path, ska: Path) -> None:
    lose_pointer(lake)
    command("reindex", "--lake", lake)


def generations_lost_too(lake: Path, ska: Path) -> None:
    for entry in (lake / "_catalog").iterdir():
        if entry.name.isdecimal():
            shutil.rmtree(entry)
    lose_pointer(lake)
    command("reindex", "--lake", lake)


MENDS = {
    mend.__name__: mend
    for mend in (
        reindexed, mended_as_verify_says, other_product, record_damaged, record_empty_as_an_older_one_wrote_it,
        pointer_lost_too, generations_lost_too,
    )
}  # fmt: skip


@pytest.fixture(
    scope="module", params=[("aca_l0", 1), ("aca_l0", 4), ("obspar", 1), ("acq_stats", 1), ("dark_cal", 2)], ids=str
)
def killed(request: pytest.FixtureRequest, of_ska: Path, newer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose writer died when a commit of a product had published some partitions; not to be changed."""
    lake = tmp_path_factory.mktemp("killed") / "lake"
    subprocess.run(["cp", "-a", of_ska, lake], check=True)
    product, published = request.param
    kill_in_a_commit(product, newer, lake, published)
    return lake


@pytest.mark.parametrize("mend", MENDS.values(), ids=MENDS.keys())
@pytest.mark.often(1)
def test_half_a_commit_is_never_shown_whatever_mends_it(
    mend: Callable[[Path, Path], None], killed: Path, of_ska: Path, ska: Path, tmp_path: Path
) -> None:
    before = partitions(of_ska), answers(of_ska), versions(of_ska)
    lake = tmp_path / "lake"
    subprocess.run(["cp", "-a", killed, lake], check=True)
    assert partitions(lake) != before[0]
    assert answers(lake) == before[1]
    mend(lake, ska)
    mine = {name for name, table in TABLES.items() if table.ingested_as not in ("guide_stats", "guide_model")}
    kept = {path: content for path, content in partitions(lake).items() if path.split("/")[0] in mine}
    assert kept == before[0]
    assert answers(lake) == before[1]
    assert {path: row for path, row in versions(lake).items() if path.split("/")[0] in mine} == before[2]
    assert not (lake / "_catalog/interrupted").exists()
    assert verify(lake, pool=threads).findings == []


@pytest.mark.often(1)
def test_the_record_of_a_commit_that_was_done_long_ago_rolls_nothing_back(
    killed: Path, newer: Path, ska: Path, tmp_path: Path
) -> None:
    """A mirror that was copied during a commit has it, and keeps it when later copies delete nothing."""
    lake = tmp_path / "lake"
    subprocess.run(["cp", "-a", killed, lake], check=True)
    record = (lake / "_catalog/interrupted").read_bytes()
    take(newer, lake)
    other_product(lake, ska)
    before = partitions(lake), answers(lake), versions(lake)
    (lake / "_catalog/interrupted").write_bytes(record)
    reindexed(lake, ska)
    assert not (lake / "_catalog/interrupted").exists()
    assert (partitions(lake), answers(lake), versions(lake)) == before
    assert verify(lake, pool=threads).findings == []


def test_a_reader_during_the_mend_sees_one_state(
    lake: Path, ska: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that reads what everybody reads sees no partition that is neither of before nor of after."""
    before = answers(lake)
    kill_in_a_commit("aca_l0", newer, lake, 2)
    seen = []
    reader = Lake(lake)
    real = Disk.copy

    def watched(*arguments: Any) -> None:
        seen.append(reader.sql(READOUTS).fetchall())
        real(*arguments)
        seen.append(reader.sql(READOUTS).fetchall())

    monkeypatch.setattr(Disk, "copy", watched)
    try:
        rebuild(lake)
    finally:
        monkeypatch.undo()
    assert seen
    assert seen == [before[0]] * len(seen)


def test_a_lake_has_a_catalog_from_the_start(newer: Path, tmp_path: Path) -> None:
    """So that one killed in its first commit is told from one whose catalog was lost."""
    lake = tmp_path / "lake"
    kill_in_a_commit("aca_l0", newer, lake, 1)
    assert current_generation(lake) == EMPTY
    assert Lake(lake).sql("FROM slot_data('2015:101', '2015:103', 3)").fetchall() == []
    ingest([newer], lake, jobs=1)
    undisturbed = tmp_path / "undisturbed"
    ingest([newer], undisturbed, jobs=1)
    assert partitions(lake) == partitions(undisturbed)


# --- small files ------------------------------------------------------------------------------------------------------


def files_of_the_catalog(lake: Path) -> list[str]:
    generation = lake / "_catalog" / str(current_generation(lake))
    return ["_catalog/current", *(p.relative_to(lake).as_posix() for p in generation.rglob("*") if p.is_file())]


def harm(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()  # its other names stay as they are
    if how != "lost":
        changed = bytearray(content)
        changed[len(content) // 2] ^= 4
        path.write_bytes({"flipped": bytes(changed), "cut": content[: len(content) // 2], "empty": b""}[how])


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "lost"])
@pytest.mark.soak
def test_each_file_of_the_catalog_that_is_not_what_was_written_is_said_to_be_damaged(
    how: str, lake: Path, tmp_path: Path
) -> None:
    expected = answers(lake)
    for number, name in enumerate(files_of_the_catalog(lake)):
        copy = tmp_path / str(number)
        subprocess.run(["cp", "-a", lake, copy], check=True)
        harm(copy / name, how)
        large = name.endswith("source_file.parquet")
        if large:
            with pytest.raises(LakeError, match=r"the catalog is damaged .*source_file"):
                read_table(copy, "source_file")
        else:
            with pytest.raises(LakeError, match=f"catalog.*{REINDEX} {copy}"):
                answers(copy)
            with pytest.raises(duckdb.Error, match=r"the catalog is damaged|no mica lake|No files found"):
                read_by_anyone(copy)
        findings = verify(copy, pool=threads).findings
        assert findings, name
        assert {finding.mend for finding in findings} == {f"{REINDEX} {copy}"}
        command("reindex", "--lake", copy)
        assert verify(copy, pool=threads).findings == []
        assert answers(copy) == expected
        shutil.rmtree(copy)


def read_by_anyone(lake: Path) -> duckdb.DuckDBPyConnection:
    """As a DuckDB client that knows nothing but the lake's script."""
    connection = duckdb.connect()
    connection.execute("SET VARIABLE mica_lake = $lake", {"lake": str(lake)})
    connection.execute((lake / "mica_lake.sql").read_text())
    return connection


def test_the_script_of_the_lake_checks_the_catalog_and_answers(lake: Path) -> None:
    rows = read_by_anyone(lake).sql("SELECT count(*) FROM slot_data('2015:101', '2015:103', 3)").fetchall()
    assert rows == Lake(lake).sql("SELECT count(*) FROM slot_data('2015:101', '2015:103', 3)").fetchall()
    assert rows[0][0] > 500


def test_the_checksums_are_those_of_sha256sum(lake: Path) -> None:
    generation = lake / "_catalog" / str(current_generation(lake))
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "checksums"], cwd=generation, check=True)
    listed = {line.split("  ")[1] for line in (generation / "checksums").read_text().splitlines()}
    there = {path.relative_to(generation).as_posix() for path in generation.rglob("*") if path.is_file()}
    assert listed == there - {"checksums"}
    assert problems(lake) == []


# --- bit rot ----------------------------------------------------------------------------------------------------------


def pages(path: Path) -> list[int]:
    """A place in the last data page of each column chunk."""
    footer = pq.read_metadata(path)
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    chunks = [group.column(n) for group in groups for n in range(group.num_columns)]
    starts = [(chunk.dictionary_page_offset or chunk.data_page_offset, chunk) for chunk in chunks if chunk.num_values]
    return [start + chunk.total_compressed_size - 4 for start, chunk in starts]


@pytest.mark.parametrize("name", ["aca_l0", "hdr3", "obspar_kv", "acq_stats", "dark_cal_image"])
def test_what_ingest_reads_of_a_partition_has_no_bit_that_flipped_in_a_page(
    name: str, lake: Path, tmp_path: Path
) -> None:
    path = next(lake.glob(f"{name}/**/data.parquet"))
    content = path.read_bytes()
    for place in pages(path):
        changed = bytearray(content)
        changed[place] ^= 1
        rotten = tmp_path / "rotten.parquet"
        rotten.write_bytes(changed)
        with pytest.raises(LakeError, match=r"rotten.parquet is damaged .*'mica-lake verify' names what mends it"):
            read_partition(rotten)


def test_each_parquet_file_of_a_lake_has_page_checksums(lake: Path) -> None:
    for path in partitions(lake):
        assert has_page_checksums(pq.read_metadata(lake / path)), path
    assert verify(lake, pool=threads).unguarded == 0


def test_samples_go_through_the_whole_lake_and_remember_where_they_were(lake: Path) -> None:
    total = len(versions(lake))
    looked = 0
    for night in range(5):
        assert sampled_until(lake) == pytest.approx(0.2 * night)
        verified = verify(lake, sample=0.2, begin=sampled_until(lake), pool=threads)
        looked += sum(count for count, _ in verified.counts.values())
        remember(lake, sampled_until(lake) + 0.2)
    assert looked == total
    command("verify", "--lake", lake, "--sample", "0.25")
    assert sampled_until(lake) == pytest.approx(0.25)


@pytest.mark.parametrize("content", [b"", b"\xff", b"nan", b"7", b"-1"])
def test_where_a_sample_ended_is_0_if_nobody_knows(content: bytes, lake: Path) -> None:
    (lake / "_catalog/verified").write_bytes(content)
    assert sampled_until(lake) == 0.0


# --- definitions ------------------------------------------------------------------------------------------------------


def older(lake: Path, table: str, only: str = "") -> None:
    """Let the partitions of a table be as an older mica-lake wrote them: no definition, 16-bit numbers unsigned."""
    rows = []
    for row in read_table(lake, "partition").to_pylist():
        if row["table_name"] == table and only in ("", path_of(row)):
            path = lake / path_of(row)
            stored = pq.read_table(path, partitioning=None)
            metadata = {k: v for k, v in pq.read_metadata(path).metadata.items() if k.startswith(b"mica_lake.")}
            del metadata[b"mica_lake.definition"]
            content = rewritten(stored, metadata | {b"mica_lake.format": b"2"})
            path.unlink()
            path.write_bytes(content)
            key = key_of(TABLES[table], path_of(row))
            row, _ = describe(TABLES[table], key, content)
            (lake / row["path"]).write_bytes(content)
        rows.append(row)
    write_generation(
        lake, next_name(lake), pa.Table.from_pylist(rows, schema=PARTITION),
        read_table(lake, "source_file"), as_owner(lake),
    )  # fmt: skip


def rewritten(rows: pa.Table, metadata: dict[bytes, bytes]) -> bytes:
    from mica_lake.catalog import partition as partition_file

    for name in ("IMGSCALE", "BGDAVG", "BGDRMS"):
        if name in rows.column_names:
            index = rows.column_names.index(name)
            rows = rows.set_column(index, name, rows.column(name).cast(pa.uint16()))
    metadata[b"mica_lake.values"] = partition_file.values_checksum(rows).encode()
    metadata[b"mica_lake.bytes"] = b"00000000"
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, rows.schema, store_schema=False) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({key.decode(): value.decode() for key, value in metadata.items()})
    content = bytearray(sink.getvalue())
    place = partition_file._digits(content)
    content[place : place + 8] = b"%08x" % partition_file._crc_without(content, place)
    return bytes(content)


@pytest.mark.parametrize("table", ["aca_l0", "hdr3", "obspar", "obspar_kv", "acq_stats", "dark_cal", "dark_cal_image"])
@pytest.mark.often(1)
def test_partitions_of_an_older_definition_are_named_and_brought_right_by_the_next_ingest(
    table: str, lake: Path, ska: Path
) -> None:
    before = partitions(lake), answers(lake)
    older(lake, table)
    assert partitions(lake) != before[0]
    assert answers(lake) == before[1]
    assert verify(lake, pool=threads).unguarded > 0
    output = command("verify", "--lake", lake)
    assert "it was made by older definitions" in " ".join(output.split())
    assert f"mica-lake ingest {'hdr3' if table == 'hdr3' else TABLES[table].ingested_as} " in output
    take(ska, lake)
    assert partitions(lake) == before[0]
    assert answers(lake) == before[1]
    assert "Nothing is wrong." in command("verify", "--lake", lake)


def test_older_partitions_are_rewritten_and_told_of_although_there_is_no_file(lake: Path, tmp_path: Path) -> None:
    before = partitions(lake)
    older(lake, "aca_l0")
    (tmp_path / "empty").mkdir()
    output = command("ingest", "aca_l0", "--from", tmp_path / "empty", "--lake", lake, codes=(1,))
    assert "partitions written" in output
    assert partitions(lake) == before


def test_backgrounds_and_scales_do_not_wrap(lake: Path) -> None:
    for name in ("IMGSCALE", "BGDAVG", "BGDRMS"):
        assert ACA_L0.by_name[name].type == pa.int32()
        frame = Lake(lake).scan("aca_l0").collect()
        assert (frame[name].drop_nulls() - 500).min() >= -500
        assert (frame[name].drop_nulls().to_numpy() - 500).min() >= -500


def test_a_lake_of_which_some_partitions_are_brought_over_answers_through_each_door(lake: Path) -> None:
    """As an ingest that was interrupted leaves it."""
    before = Lake(lake).scan("aca_l0").select("TIME", "BGDAVG").collect()
    path = next(lake.glob("aca_l0/**/data.parquet")).relative_to(lake).as_posix()
    older(lake, "aca_l0", only=path)
    assert Lake(lake).scan("aca_l0").select("TIME", "BGDAVG").collect().equals(before)
    query = "SELECT BGDAVG FROM slot_data('2015:101', '2015:103', 3)"
    assert Lake(lake).sql(query).fetchnumpy()["BGDAVG"].tolist() == before["BGDAVG"].to_list()
