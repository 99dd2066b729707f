"""A whole ingest, as the command runs it, without room, without permission, and beside the lock of another."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mica_lake import Lake
from mica_lake.archive.aca_l0 import get_slot_data
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.partition import checksum
from mica_lake.catalog.pointer import current_generation
from mica_lake.ingest import everything as everything_of
from mica_lake.simulate import aca_l0, dark_cal, obspar, stats
from mica_lake.simulate.observations import observations
from mica_lake.times import cxcsec

Property = Callable[[str, object], None]
START = cxcsec("2015:100:12:00")
QUESTION = "SELECT count(*), sum(TIME) FROM slot_data('2015:099', '2015:103', 3)"


def mica_lake(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("mica-lake"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ingest(ska: Path, lake: Path) -> subprocess.CompletedProcess[str]:
    return mica_lake("ingest", "all", "--from", ska, "--lake", lake, "--jobs", "1")


@contextmanager
def file_system(place: Path, options: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own, of a size; what is given can be called to mount it again with other options."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")

    def again(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)

    try:
        yield again
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of ten minutes."""
    ska = tmp_path_factory.mktemp("faults") / "ska"
    aca_l0.write_archive(ska, START, START + 600, slots=[3, 4], hard_cases=False, ska=True)
    of_those_minutes = observations(START, START + 600)
    obspar.write_archive(ska, of_those_minutes)
    stats.write_archive(ska, of_those_minutes)
    dark_cal.write_calibration(ska, "2015100")
    return ska


@pytest.fixture(scope="module")
def undisturbed(ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    assert ingest(ska, lake).returncode == 0
    return lake


def everything(lake: Path) -> dict[str, Any]:
    """All that a lake is, but for the number of its generation."""
    files = {
        p.relative_to(lake).as_posix(): p.read_bytes() for p in lake.rglob("*.parquet") if "_catalog" not in p.parts
    }
    return files | {name: read_table(lake, name).to_pylist() for name in ("partition", "source_file")}


def is_whole(lake: Path) -> None:
    """Each version that the catalog names is there and is what its name says, and queries answer."""
    for row in read_table(lake, "partition").to_pylist():
        assert checksum((lake / row["path"]).read_bytes()).startswith(Path(row["path"]).stem[-16:])
    for table in Lake(lake).status()["table_name"]:
        Lake(lake).scan(table).collect()


# --- no space left ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "least"), [("size", 4096), ("nr_inodes", 2)], ids=["bytes", "files"])
def test_without_room_each_stage_fails_with_the_reason_and_goes_on_when_there_is_room(
    limit: str, least: int, ska: Path, undisturbed: Path, tmp_path: Path, soak: bool, record_property: Property
) -> None:
    expected = everything(undisturbed)
    reached, places = set(), Counter[str]()
    with file_system(tmp_path / "small", f"size={1 << 28},{limit}={least}") as mount:
        lake = tmp_path / "small" / "lake"
        room = least
        while True:
            out = StringIO()
            code = everything_of.ingest([ska], lake, jobs=1, console=Console(file=out, width=200))
            if code == 0:
                break
            assert code == everything_of.FAILED
            # It goes on with the other products, and tells of each.
            said = re.findall(r"no room left on the disk \((.*?)\)\. The lake is as before: make room", out.getvalue())
            assert len(said) == out.getvalue().count("failed: ") > 0, out.getvalue()
            places.update(place_of(path, lake) for path in said)
            if current_generation(lake) is not None:
                is_whole(lake)
                reached.add(frozenset(Lake(lake).status()["table_name"]))
            room += max(least, int(room * (0.06 if soak else 0.5)))
            mount(f"{limit}={room}")
        assert everything(lake) == expected
        assert not [p for p in lake.rglob(".*") if p.is_file()], "half a file is left"
    assert len(reached) > 1, "no product was taken before the last"
    record_property(f"no room for {limit}", f"{places.total()} refusals, at {dict(places.most_common())}")


def place_of(path: str, lake: Path) -> str:
    """Which kind of file had no room."""
    inside = Path(path).relative_to(lake.parent).as_posix()
    return re.sub(r"^lake/|/\d{4}/.*|\d{8}/|=.*|/[^/]*\.\d+$|\.new$", "", inside) or "lake"


def test_a_lake_without_room_for_more_answers_as_before(ska: Path, undisturbed: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    aca_l0.write_archive(more, START + 7200, START + 8400, slots=[3], hard_cases=False)
    with file_system(tmp_path / "full", f"size={1 << 28}") as mount:
        lake = tmp_path / "full" / "lake"
        subprocess.run(["cp", "-a", undisturbed, lake], check=True)
        before = everything(lake), Lake(lake).sql(QUESTION).fetchall()
        used = shutil.disk_usage(lake).used
        for spare in (0, 12288, 65536):
            mount(f"size={used + spare}")
            done = mica_lake("ingest", "aca_l0", "--from", more, "--lake", lake, "--jobs", "1")
            if done.returncode == 0:
                break
            assert done.returncode == 1
            assert "no room left on the disk" in done.stderr
            assert Lake(lake).sql(QUESTION).fetchall() == before[1]
            assert read_table(lake, "partition").to_pylist() == before[0]["partition"]
        mount(f"size={1 << 28}")
        assert mica_lake("ingest", "aca_l0", "--from", more, "--lake", lake, "--jobs", "1").returncode == 0
        subprocess.run(["cp", "-a", undisturbed, tmp_path / "lake"], check=True)
        assert mica_lake("ingest", "aca_l0", "--from", more, "--lake", tmp_path / "lake").returncode == 0
        assert everything(lake) == everything(tmp_path / "lake")


# --- a lake that may only be read -------------------------------------------------------------------------------------


def test_a_lake_on_a_read_only_file_system_answers_and_refuses_an_ingest(
    ska: Path, undisturbed: Path, tmp_path: Path
) -> None:
    with file_system(tmp_path / "fixed", f"size={1 << 28}") as mount:
        lake = tmp_path / "fixed" / "lake"
        subprocess.run(["cp", "-a", undisturbed, lake], check=True)
        expected = Lake(undisturbed).sql(QUESTION).fetchall()
        mount("ro")
        assert Lake(lake).sql(QUESTION).fetchall() == expected
        assert len(get_slot_data("2015:099", "2015:103", 3, data_root=lake)) == expected[0][0]
        assert mica_lake("status", "--lake", lake).returncode == 0
        assert mica_lake("sql", QUESTION, "--lake", lake).returncode == 0
        for arguments in (["ingest", "aca_l0", "--from", ska], ["ingest", "hdr3"], ["reindex"]):
            done = mica_lake(*arguments, "--lake", lake)
            assert done.returncode == 1
            assert f"no permission ({lake}/_catalog" in done.stderr
            assert "Read-only file system. The lake is as before" in done.stderr
        done = ingest(ska, lake)
        assert done.returncode == 1
        assert "no permission" in done.stdout
        assert "no permission" in mica_lake("ingest", "all", "--from", ska, "--lake", tmp_path / "fixed" / "new").stdout


# --- the lock's owner -------------------------------------------------------------------------------------------------


def test_every_product_is_refused_while_another_host_holds_the_lock_and_the_file_to_remove_is_named(
    ska: Path, undisturbed: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    subprocess.run(["cp", "-a", undisturbed, lake], check=True)
    lock = lake / "_catalog" / "lock"
    lock.write_text(json.dumps({"host": "another.example.org", "pid": 4242, "since": "2015-06-30T23:59:59+00:00"}))
    done = ingest(ska, lake)
    assert done.returncode == 1
    assert done.stdout.count("another.example.org") == 5, "each of the five products says so"
    assert f"remove {lock} and run this again" in done.stdout
    for arguments in (["ingest", "hdr3"], ["reindex"]):
        refused = mica_lake(*arguments, "--lake", lake)
        assert refused.returncode == 1
        assert f"remove {lock} and run this again" in refused.stderr
    assert Lake(lake).sql(QUESTION).fetchall() == Lake(undisturbed).sql(QUESTION).fetchall()
    lock.unlink()
    assert ingest(ska, lake).returncode == 0
    assert everything(lake) == everything(undisturbed)


def test_the_lock_of_a_process_of_this_host_that_is_dead_does_not_hinder(
    ska: Path, undisturbed: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    subprocess.run(["cp", "-a", undisturbed, lake], check=True)
    # Its number may belong to another process by now: what counts is the lock, which the kernel took back.
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": "2015-06-30T23:59:59+00:00"}
    (lake / "_catalog" / "lock").write_text(json.dumps(owner))
    assert ingest(ska, lake).returncode == 0
    assert (lake / "_catalog" / "lock").read_text() == ""
    assert everything(lake) == everything(undisturbed)
