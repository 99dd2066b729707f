"""Every kind of file that a lake has, damaged in every way: what is asked of it, what `verify` finds, what mends it."""

import json
import os
import random
import re
import shlex
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import path_of
from mica_lake.catalog.pointer import current_generation
from mica_lake.tables import TABLES

Copy = Callable[[Path, Path], Path]
Harm = Callable[[random.Random, Path, Path], None]
# What queries may raise, besides what DuckDB does.
CLEAR = {"LakeError", "ValueError", "MissingDataError"} | {
    name for name in dir(duckdb) if isinstance(getattr(duckdb, name), type)
}


def is_clear(door: str, answer: str) -> bool:
    """Whether an error says that a file is not what it should be. What Polars raises, or panics with, is its own."""
    name = answer.partition(": ")[0]
    return name in CLEAR or (door.startswith("Polars") and not name.startswith("the process died"))


def flip(rng: random.Random, path: Path, other: Path) -> None:
    """In the file itself: all its names show it."""
    with path.open("r+b") as file:
        place = rng.randrange(path.stat().st_size)
        file.seek(place)
        octet = file.read(1)[0]
        file.seek(place)
        file.write(bytes([octet ^ 1 << rng.randrange(8)]))


def flip_at_the_end(rng: random.Random, path: Path, other: Path) -> None:
    """In the footer of a Parquet file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        place = rng.randrange(max(size - 2000, 0), size)
        file.seek(place)
        octet = file.read(1)[0]
        file.seek(place)
        file.write(bytes([octet ^ 1 << rng.randrange(8)]))


def truncate(rng: random.Random, path: Path, other: Path) -> None:
    os.truncate(path, rng.randrange(1, path.stat().st_size))


def empty(rng: random.Random, path: Path, other: Path) -> None:
    os.truncate(path, 0)


def overwrite(rng: random.Random, path: Path, other: Path) -> None:
    """A part of it, as a disk that wrote to the wrong place would."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(rng.randrange(size))
        file.write(rng.randbytes(min(512, size)))
    os.truncate(path, size)


def replace(rng: random.Random, path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def delete(rng: random.Random, path: Path, other: Path) -> None:
    path.unlink()


HARMS: dict[str, Harm] = {
    "bit flipped": flip, "bit flipped near the end": flip_at_the_end, "cut": truncate, "emptied": empty,
    "overwritten": overwrite, "replaced": replace, "deleted": delete,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(lakes: dict[str, Path], archives: dict[str, Path], children: list[Any], tmp_path_factory: Any) -> Path:
    """A lake with all there is: computed residuals, a state before the last, where the last sample ended."""
    lake: Path = tmp_path_factory.mktemp("damage") / "whole"
    shutil.copytree(lakes["new"], lake, copy_function=_linked(lakes["new"]))
    obsid = str(int(next((archives["new"] / "data/mica/archive/asp1").glob("??/?????_v01")).name[:5]))
    for command in (["vv", obsid, "--ingest"], ["verify", "--sample", "0.034"]):
        assert children[0].run(*command, "--lake", lake)["found"]["code"] == 0
    # As one leaves it that is killed.
    owner = {"host": socket.gethostname(), "pid": 999999999, "since": "2015-06-30T23:59:59+00:00"}
    (lake / "_catalog" / "lock").write_text(json.dumps(owner))
    return lake


def _linked(lake: Path) -> Callable[[str, str], str]:
    """Copies files so that those that are one stay one."""
    seen: dict[int, str] = {}

    def of(source: str, target: str) -> str:
        node = os.stat(source).st_ino  # noqa: PTH116
        if node in seen:
            os.link(seen[node], target)
        else:
            shutil.copy2(source, target)
            seen[node] = target
        return target

    return of


def everything(lake: Path) -> dict[str, Any]:
    """All partitions byte for byte, the script, and the list of partitions."""
    files: dict[str, Any] = {
        p.relative_to(lake).as_posix(): p.read_bytes() for p in lake.rglob("data.parquet") if "_catalog" not in p.parts
    }
    files["mica_lake.sql"] = (lake / "mica_lake.sql").read_bytes()
    return files | {"partition": read_table(lake, "partition").to_pylist()}


def sources(lake: Path) -> list[dict[str, Any]]:
    """All that is known of source files, but for which of two archives they were first seen in."""
    return read_table(lake, "source_file").drop_columns(["directory", "mtime_ns"]).to_pylist()


class Damaged:
    """A copy of a lake, files of which are damaged, and what came of it."""

    def __init__(self, children: list[Any], whole: Path, top: Path, new: Path) -> None:
        self.child, self.whole, self.lake, self.new = children[0], whole, top / "lake", new
        self.expected, self.known = everything(whole), sources(whole)
        self.right = self.doors(whole, None)
        assert not any(": " in answer for answer in self.right.values()), self.right
        self.looked = self.child.look(whole)
        self.answers: Counter[tuple[str, str, str, str]] = Counter()
        self.last: dict[str, str] = {}
        self.files = 0
        self.current = str(current_generation(whole))

    def fresh(self, links: bool = True) -> Path:
        shutil.rmtree(self.lake, ignore_errors=True)
        shutil.copytree(self.whole, self.lake, copy_function=_linked(self.whole) if links else shutil.copy2)
        return self.lake

    def doors(self, lake: Path, tables: Iterable[str] | None) -> dict[str, str]:
        found: dict[str, str] = self.child.doors(lake, None if tables is None else list(tables))
        return found

    def ask(self, kind: str, how: str, tables: Iterable[str] | None) -> None:
        """Count what each door answers."""
        self.last = self.doors(self.lake, tables)
        for door, answer in self.last.items():
            if answer == self.right.get(door):
                what = "right"
            elif ": " not in answer:
                what = "wrong"
            else:
                what = "an error" if is_clear(door, answer) else "an unclear error"
            self.answers[door.split()[0], kind, how, what] += 1

    def look(self) -> tuple[list[str], str]:
        """Commands that `verify` names, and what it says."""
        done = self.child.run("verify", "--lake", self.lake, "--jobs", "1")["found"]
        assert done["error"] is None, done
        named = [line.partition(":  ")[2] for line in done["output"].splitlines() if line.startswith("To mend")]
        assert done["code"] == (4 if named else 0), done
        return named, done["output"]

    def mend(self, named: list[str], what: object) -> None:
        """Run the commands: the lake is then as it was."""
        for command in dict.fromkeys(one for line in named for one in line.split("; ")):
            program, *words = shlex.split(command)
            if program == "rm":
                for path in words[1:]:
                    Path(path).unlink()
                continue
            done = self.child.run(*words)["found"]
            assert done["code"] in (0, 3), (what, done)
        again, said = self.look()
        assert not again, (what, named, said)
        found = everything(self.lake)
        unlike = [name for name in {*found, *self.expected} if found.get(name) != self.expected.get(name)]
        assert not unlike, (what, unlike, named)
        assert self.child.look(self.lake) == self.looked, what
        if sources(self.lake) != self.known:  # what only ingest knows, it finds again
            done = self.child.run("ingest", "all", "--from", self.new, "--lake", self.lake, "--jobs", "1")["found"]
            assert done["code"] == 0
            now = [row for row in sources(self.lake) if row not in self.known]
            assert not now, (what, now, [row for row in self.known if row not in sources(self.lake)])
            assert everything(self.lake) == self.expected, what


@pytest.fixture
def damaged(children: list[Any], whole: Path, tmp_path: Path, archives: dict[str, Path]) -> Damaged:
    return Damaged(children, whole, tmp_path, archives["new"])


def partitions(lake: Path, table: str) -> list[tuple[str, str]]:
    """Path of each partition of a table, and of its version."""
    rows = read_table(lake, "partition").to_pylist()
    return [(path_of(row), row["path"]) for row in rows if row["table_name"] == table]


def report(damaged: Damaged, name: str, record_property: Callable[[str, object], None]) -> None:
    by_door: dict[str, Counter[str]] = {}
    for (door, _, _, what), n in damaged.answers.items():
        by_door.setdefault(door, Counter())[what] += n
    record_property(name, f"{damaged.files} files; " + "; ".join(f"{door}: {dict(n)}" for door, n in by_door.items()))
    for (door, kind, how, what), n in sorted(damaged.answers.items()):
        if what == "wrong":
            record_property(f"… silently wrong, {door}", f"{n} of {kind}, {how}")


@pytest.mark.parametrize("apart", ["one file", "the partition", "the version"])
def test_partitions_damaged_are_found_and_mended(
    apart: str, damaged: Damaged, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    """One partition of each table at a time, which is one file with its version, or, where links were lost, two."""
    seed = random.SystemRandom().getrandbits(32) if soak else 3
    rng = random.Random(seed)
    harms = HARMS if soak else {"bit flipped": flip}
    rounds = 2 if soak else 1
    for how, harm in [item for item in harms.items() for _ in range(rounds)]:
        lake = damaged.fresh(links=apart == "one file")
        # What was computed here is known to the two tables of V&V only: each has what the other needs.
        spared = rng.choice(("vv_rms", "vv_report")) if apart == "one file" else ""
        tables = [table for table in TABLES if table != spared]
        for table in tables:
            data, version = rng.choice(partitions(damaged.whole, table))
            there = partitions(damaged.whole, table)
            others = [v for d, v in there if d != data] or [partitions(damaged.whole, "obspar_kv")[0][1]]
            if table == "obspar_kv":
                others = [partitions(damaged.whole, "obspar")[0][1]]
            damaged_paths = [lake / data] if apart == "the partition" else [lake / version]
            if apart == "one file" and how == "deleted":
                damaged_paths = [lake / data, lake / version]
            for path in damaged_paths:
                harm(rng, path, damaged.whole / others[0])
            damaged.files += 1
        kind = {"the partition": "data.parquet"}.get(apart, "a version")
        damaged.ask(kind, how, tables)
        if apart == "the partition":
            assert all(what == "right" for (*_, what) in damaged.answers), "queries read the versions"
        named, said = damaged.look()
        for table in tables:
            assert re.search(rf"^{table} .* [1-9]\d*$", said, re.M), f"seed {seed}, {how}: {table} is not found\n{said}"
        damaged.mend(named, (seed, apart, how))
    report(damaged, f"damaged partitions, {apart}", record_property)


def test_bits_flipped_in_what_queries_read(
    damaged: Damaged, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    """Any bit of a version of each table at a time: how often an answer is silently wrong; `verify` finds each."""
    seed = random.SystemRandom().getrandbits(32) if soak else 9
    rng = random.Random(seed)
    found: Counter[tuple[str, str, str]] = Counter()
    for _ in range(27 if soak else 1):
        lake, after = damaged.fresh(), {}
        # One at a time: the footer of a table that is one file is read by whoever opens the lake.
        for table in TABLES:
            path = lake / rng.choice(partitions(damaged.whole, table))[1]
            before = path.read_bytes()
            content = bytearray(before)
            place = rng.randrange(len(content))
            content[place] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
            after[path] = content
            damaged.files += 1
            damaged.ask("a version", "a bit", [table])
            footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
            where = "in the footer" if place >= footer else "before it"
            for door, answer in damaged.last.items():
                clear = "an error" if is_clear(door, answer) else answer.partition(": ")[0]
                what = clear if ": " in answer else "right" if answer == damaged.right[door] else "wrong"
                found[door.split()[0], where, what] += 1
            path.write_bytes(before)
        for path, content in after.items():
            path.write_bytes(content)
        _, said = damaged.look()
        for table in TABLES:
            assert re.search(rf"^{table} .* [1-9]\d*$", said, re.M), f"seed {seed}: {table} is not found\n{said}"
    record_property(
        "single bits flipped in what queries read",
        f"{damaged.files} files; " + ", ".join(f"{' '.join(key)}: {n}" for key, n in sorted(found.items())),
    )


def kinds(lake: Path, current: str) -> dict[str, tuple[list[str], str]]:
    """Of each kind of file of the catalog those there are, and another like it."""
    before = f"{int(current) // 2:08d}"  # the one just before may have the same
    empty_answers = [f"_catalog/{current}/no_rows/{table}.parquet" for table in TABLES]
    same = {name: ([f"_catalog/{current}/{name}"], f"_catalog/{before}/{name}") for name in
            ("checksums", "partition.parquet", "source_file.parquet")}  # fmt: skip
    return same | {
        "current": (["_catalog/current"], f"_catalog/{current}/checksums"),
        "hdr3_msid.parquet": ([f"_catalog/{current}/hdr3_msid.parquet"], empty_answers[0]),
        "no_rows": (empty_answers[1:], empty_answers[0]),
        "mica_lake.sql": (["mica_lake.sql"], f"_catalog/{current}/checksums"),
    }


def harmless(lake: Path, current: str) -> dict[str, tuple[list[str], str]]:
    """Those on which no answer depends: what they say is written anew, or asked by nobody."""
    before = f"_catalog/{int(current) - 1:08d}/partition.parquet"
    used = {row["path"] for row in read_table(lake, "partition").to_pylist()}
    pinned = {p.relative_to(lake).as_posix() for p in (lake / "_catalog/pinned").rglob("*.parquet")}
    return {
        "lock": (["_catalog/lock"], "_catalog/current"),
        "verified": (["_catalog/verified"], "_catalog/current"),
        "partition.parquet of a state given up": ([before], f"_catalog/{current}/partition.parquet"),
        "a version given up": (sorted(pinned - used), min(used)),
    }


def harm_one(rng: random.Random, damaged: Damaged, paths: list[str], other: str, how: str) -> str:
    """Damage a file; in half of the cases with those linked to it, which are the same in the state before."""
    lake, path = damaged.fresh(), rng.choice(paths)
    before = (lake / path).read_bytes()
    if rng.random() < 0.5:
        (lake / path).unlink()
    while not (lake / path).exists() or (lake / path).read_bytes() == before:
        (lake / path).write_bytes(before)
        HARMS[how](rng, lake / path, damaged.whole / other)
        if how == "deleted":
            break
    damaged.files += 1
    return path


def test_a_catalog_damaged_is_found_and_mended(
    damaged: Damaged, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    """No answer is wrong while it is damaged."""
    seed = random.SystemRandom().getrandbits(32) if soak else 5
    rng = random.Random(seed)
    here = kinds(damaged.whole, damaged.current)
    cases = [(kind, how) for kind in here for how in HARMS for _ in range(4 if kind == "no_rows" else 2)]
    for kind, how in cases if soak else rng.sample(cases, 2):
        path = harm_one(rng, damaged, *here[kind], how)
        damaged.ask(kind, how, None)
        named, _ = damaged.look()
        assert named, f"seed {seed}: {path} {how} is not found"
        damaged.mend(named, (seed, path, how))
    assert {what for (*_, what) in damaged.answers} <= {"right", "an error"}, damaged.answers
    report(damaged, "damaged files of the catalog", record_property)


def test_what_no_answer_depends_on_may_be_damaged(
    damaged: Damaged, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    """All answers are right, nothing is wrong with the lake, and the next writer goes on or says what is in its way."""
    seed = random.SystemRandom().getrandbits(32) if soak else 5
    rng = random.Random(seed)
    here = harmless(damaged.whole, damaged.current)
    cases = [(kind, how) for kind in here for how in HARMS]
    for kind, how in cases if soak else rng.sample(cases, 1):
        path = harm_one(rng, damaged, *here[kind], how)
        damaged.ask(kind, how, None)
        assert all(what == "right" for (*_, what) in damaged.answers), f"seed {seed}: {kind} {how}"
        assert damaged.look()[0] == []
        assert damaged.child.run("verify", "--sample", "0.1", "--lake", damaged.lake)["found"]["code"] == 0
        done = damaged.child.run("ingest", "obspar", "--from", damaged.new, "--lake", damaged.lake)["found"]
        if done["code"]:
            assert kind == "lock", done
            assert f"remove {damaged.lake / path} and run this again" in done["error"][1], (seed, how, done)
            (damaged.lake / path).unlink()
            done = damaged.child.run("ingest", "obspar", "--from", damaged.new, "--lake", damaged.lake)["found"]
        assert done["code"] == 0, (seed, kind, how, done)
        assert everything(damaged.lake) == damaged.expected, (seed, kind, how)
    report(damaged, "damaged files that no answer depends on", record_property)


def test_the_record_of_a_commit_under_way_may_be_damaged(
    lakes: dict[str, Path],
    archives: dict[str, Path],
    children: list[Any],
    tmp_path: Path,
    soak: bool,
    record_property: Callable[[str, object], None],
) -> None:
    """All answers are of the state before, and so is the lake that the command named leaves."""
    seed = random.SystemRandom().getrandbits(32) if soak else 5
    rng = random.Random(seed)
    before, files = everything(lakes["old"]), 0
    answers = children[0].look(lakes["old"])
    products = ("aca_l0", "dark_cal", "obspar", "asp_l1", "acq_stats")
    for product in products if soak else products[:1]:
        ingest = ["ingest", product, "--from", archives["new"], "--jobs", "1"]
        counted, killed, lake = tmp_path / "counted", tmp_path / "killed", tmp_path / "lake"
        for copy in (counted, killed):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(lakes["old"], copy, copy_function=_linked(lakes["old"]))
        first, last = children[0].run(*ingest, "--lake", counted, watch=True)["found"]["commits"][0]
        assert children[0].run(*ingest, "--lake", killed, die=rng.randrange(first + 1, last - 1))["killed"]
        marker = "_catalog/interrupted"
        assert (killed / marker).exists()
        for how in list(HARMS)[: 6 if soak else 1]:  # deleted, it is as if the commit had not begun
            shutil.rmtree(lake, ignore_errors=True)
            shutil.copytree(killed, lake, copy_function=_linked(killed))
            HARMS[how](rng, lake / marker, lakes["old"] / "_catalog/current")
            files += 1
            assert children[0].look(lake) == answers, (seed, product, how)
            done = children[0].run("verify", "--lake", lake, "--jobs", "1")["found"]
            assert f"mica-lake reindex --lake {lake}" in done["output"], (seed, product, how, done)
            assert children[0].run("reindex", "--lake", lake)["found"]["code"] == 0
            assert everything(lake) == before, (seed, product, how)
            assert children[0].look(lake) == answers
    record_property("damaged records of a commit under way", files)
