"""Writers killed in any order with what mends a lake: every answer, at every moment, is of a state before or after."""

import hashlib
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import path_of
from mica_lake.catalog.partition import checksum

PRODUCTS = ("aca_l0", "dark_cal", "obspar", "asp_l1", "acq_stats", "guide_stats", "vv")
# In the short form, and the long.
KILLS = 3, 300
Command = tuple[str, ...]
Copy = Callable[[Path, Path], Path]


@dataclass(frozen=True)
class Run:
    """A command run in peace: its steps on the disk, those of them within each commit, the state after each commit."""

    steps: int
    seconds: float
    within: list[tuple[int, int]]
    states: list[str]


class Peace:
    """What each command makes of each state of a lake, found out when it is first asked for."""

    def __init__(self, child: Any, top: Path, copied: Copy) -> None:
        self.child, self.top, self.copied = child, top, copied
        #: A lake of each state, not to be changed.
        self.lakes: dict[str, Path] = {}
        self._answers: dict[str, list[Any]] = {}
        self._runs: dict[tuple[str, Command], Run] = {}
        self._everything: dict[tuple[str, Command], dict[str, Any]] = {}

    def state(self, lake: Path) -> str:
        """Name of the state that a lake is in, by the versions of its partitions; it is kept if it is new."""
        name = versions(read_table(lake, "partition").column("path").to_pylist())
        if name not in self.lakes:
            self.lakes[name] = self.copied(lake, self.top / name)
        return name

    def answers(self, state: str) -> list[Any]:
        """What SQL answers of all rows of all tables."""
        if state not in self._answers:
            self._answers[state] = self.child.look(self.lakes[state])["answers"]
        return self._answers[state]

    def run(self, state: str, command: Command) -> Run:
        if (state, command) not in self._runs:
            lake, snapshots = self.top / "lake", self.top / "snapshots"
            self.copied(self.lakes[state], lake)
            shutil.rmtree(snapshots, ignore_errors=True)
            snapshots.mkdir()
            began = time.monotonic()
            done = self.child.run(*command, "--lake", lake, watch=True, snapshots=str(snapshots))["found"]
            seconds = time.monotonic() - began
            assert done["code"] == 0, (command, done)
            after = [self.state(snapshots / str(n)) for n in range(1, len(done["commits"]) + 1)]
            assert self.state(lake) == ([state, *after])[-1], "what is after the last commit is not its state"
            within = [(begun, ended) for begun, ended in done["commits"] if begun < ended]
            self._runs[state, command] = Run(done["steps"], seconds, within, after)
            self._everything[state, command] = everything(lake)
        return self._runs[state, command]

    def everything(self, state: str, command: Command) -> dict[str, Any]:
        """All that the lake is then."""
        self.run(state, command)
        return self._everything[state, command]


def versions(paths: list[str]) -> str:
    return hashlib.sha256("".join(sorted(paths)).encode()).hexdigest()[:12]


def everything(lake: Path) -> dict[str, Any]:
    """All that a lake is, but for the number of its generation."""
    files = {
        p.relative_to(lake).as_posix(): p.read_bytes() for p in lake.rglob("*.parquet") if "_catalog" not in p.parts
    }
    files["mica_lake.sql"] = (lake / "mica_lake.sql").read_bytes()
    return files | {name: read_table(lake, name).to_pylist() for name in ("partition", "source_file")}


def published(lake: Path) -> None:
    """Each partition's file is the version that the catalog lists, and there is no other."""
    listed = {path_of(row): row["path"] for row in read_table(lake, "partition").to_pylist()}
    there = {p.relative_to(lake).as_posix() for p in lake.rglob("data.parquet") if "_catalog" not in p.parts}
    assert there == set(listed)
    for path, version in listed.items():
        assert checksum((lake / path).read_bytes()).startswith(Path(version).stem[-16:]), path


class Round:
    """
    A lake that writers are killed in.

    Attributes
    ----------
    state : str
        The state it is in.
    pending : str or None
        The state after the commit within which the last writer was killed.
    lost : bool
        Whether `_catalog/current` is not there.
    story : list of str
        What was done to it.
    """

    def __init__(
        self,
        rng: random.Random,
        peace: Peace,
        reader: Any,
        archives: dict[str, Path],
        products: Sequence[str],
        lake: Path,
    ) -> None:
        self.rng, self.peace, self.reader, self.archives, self.lake = rng, peace, reader, archives, lake
        self.products = products
        self.child = peace.child
        self.state = rng.choices(list(peace.lakes)[:2], (4, 1))[0]
        peace.copied(peace.lakes[self.state], lake)
        self.pending: str | None = None
        self.lost = False
        self.story: list[str] = []
        # How it was killed -> how often, and with a commit under way.
        self.killed: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.polls = 0

    @property
    def marker(self) -> Path:
        return self.lake / "_catalog" / "interrupted"

    @property
    def writers(self) -> list[Command]:
        """Commands that write, and leave it to the lake what there is to do."""
        old = self.archives["old"]
        of_old = [("ingest", product, "--from", str(old), "--jobs", "1") for product in self.products]
        return [self.newer("all"), ("vv", *self.obsids, "--ingest"), *of_old] + [
            self.newer(p) for p in self.products
        ] * 2

    def newer(self, product: str) -> Command:
        return ("ingest", product, "--from", str(self.archives["new"]), "--jobs", "1")

    @property
    def obsids(self) -> list[str]:
        found = sorted((self.archives["old"] / "data/mica/archive/asp1").glob("??/?????_v01"))
        return [str(int(path.name[:5])) for path in found[:1]]

    # --- what happens to it ------------------------------------------------------------------------------------------

    def play(self, by_system_calls: bool) -> None:
        """Kill a writer, do some other things in any order, and take the newer archive."""
        victim = next((one for one in self.rng.sample(self.writers, 4) if self.peace.run(self.state, one).within), None)
        victim = victim or self.newer("all")
        kills: list[Callable[[], None]] = [
            lambda: self.kill(victim),
            lambda: self.kill(victim),
            lambda: self.kill(self.rng.choice(self.writers)),
            lambda: self.kill(("reindex",)),
        ]
        if by_system_calls:
            kills.append(lambda: self.strace(victim))
        others: list[Callable[[], None]] = [
            lambda: self.write(("reindex",)),
            self.verify,
            lambda: self.write(self.rng.choice(self.writers)),
            lambda: self.write(("vv", *self.obsids, "--ingest")),
            self.lose_current,
            self.damage_marker,
            self.damage_marker,
            self.copy,
        ]
        for _ in range(self.rng.randrange(1, 4)):
            self.rng.choice(kills)()
        for _ in range(self.rng.randrange(1, 5)):
            self.rng.choice(self.rng.choice((kills, others)))()
        self.end()

    def kill(self, command: Command) -> None:
        """Kill a writer: within a commit, before any step on the disk, or after any time."""
        if self.lost:
            return
        plan = self.peace.run(self.state, command)
        how = self.rng.choices(("at a step", "at a time"), (8, 2))[0]
        options: dict[str, Any] = {}
        if how == "at a time":
            options["after"] = self.rng.uniform(0, 1.5 * plan.seconds)
        elif plan.within and self.rng.random() < 0.8:
            options["die"] = self.rng.randrange(*self.rng.choice(plan.within))
        else:
            options["die"] = self.rng.randrange(max(plan.steps, 1))
        done = self.child.run(*command, "--lake", self.lake, **options)
        self.after_a_kill(command, how, done["killed"], done)

    def after_a_kill(self, command: Command, how: str, killed: bool, done: Any) -> None:
        states = [self.state, *self.peace.run(self.state, command).states]
        where = self.observed(states)
        following = states[states.index(where) + 1 :]
        self.state, self.pending = where, following[0] if following and self.marker.exists() else None
        within = ", a commit under way" if self.marker.exists() else ""
        self.story.append(f"{' '.join(command[:2])} {f'killed {how}{within}' if killed else 'was quicker'}")
        if killed:
            self.killed[how] += 1
            self.under_way[how] += bool(within)
        else:
            assert where == states[-1], (done, self.story)
            self.pending = None

    def strace(self, command: Command) -> None:
        """Kill a writer at a system call that changes the disk, counted by the kernel."""
        if self.lost:
            return
        plan = self.peace.run(self.state, command)
        calls = "link,linkat,rename,renameat,renameat2,fsync,unlink,unlinkat,mkdir"
        inject = f"inject={calls}:signal=SIGKILL:when={self.rng.randrange(1, max(plan.steps, 2))}"
        program = [str(Path(sys.executable).with_name("mica-lake")), *command, "--lake", str(self.lake)]
        traced = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject, *program]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(traced, capture_output=True, text=True, check=False, env=environment)
        self.after_a_kill(command, "at a system call", done.returncode not in (0, 1, 3), done)

    def write(self, command: Command) -> None:
        """Let a writer run to its end, while another process reads."""
        starts = {self.state} | ({self.pending} - {None} if self.lost else set())
        allowed = {start: [start, *self.peace.run(start, command).states] for start in starts}
        stop = self.lake.with_name("stop")
        polled = not self.lost and self.rng.random() < 0.5
        if polled:
            stop.unlink(missing_ok=True)
            self.reader.ask(do="poll", of=[str(self.lake), str(stop)])
        done = self.child.run(*command, "--lake", self.lake)["found"]
        if polled:
            stop.touch()
            seen = self.reader.answer()["found"]
            assert isinstance(seen, list), (seen, self.story)
            self.polls += len(seen)
            known = [self.peace.answers(name) for states in allowed.values() for name in states]
            assert all(answers in known for answers in seen), ("a reader saw a mixture", self.story, command)
        self.story.append(f"{' '.join(command[:2])} -> {done['code']}")
        if self.lost and command != ("reindex",):
            said = str(done["error"]) + done["output"]
            assert done["code"] == 1, (self.story, done)
            assert f"mica-lake reindex --lake {self.lake}" in said.replace("\n", ""), (self.story, said)
            return
        assert done["code"] == 0, (self.story, done)
        self.lost, self.pending = False, None
        self.state = self.observed([states[-1] for states in allowed.values()])
        published(self.lake)
        assert not self.marker.exists()

    def verify(self) -> None:
        """Look for what is wrong, and run the commands that are named."""
        done = self.child.run("verify", "--lake", self.lake, "--jobs", "1")["found"]
        named = [line.partition(":  ")[2] for line in done["output"].splitlines() if line.startswith("To mend")]
        self.story.append(f"verify -> {done['code']}, {named}")
        assert done["code"] == (4 if named else 0), (self.story, done)
        assert named or not (self.lost or self.marker.exists()), (self.story, done)
        for command in (one for line in named for one in line.split("; ")):
            program, *words = shlex.split(command)
            at = words.index("--lake")
            assert program == "mica-lake", (self.story, done)
            self.write(tuple(words[:at] + words[at + 2 :]))
        if named:
            again = self.child.run("verify", "--lake", self.lake, "--jobs", "1")["found"]
            assert again["code"] == 0, (self.story, again)

    def lose_current(self) -> None:
        (self.lake / "_catalog" / "current").unlink(missing_ok=True)
        self.lost = True
        self.story.append("current removed")
        error = self.child.look(self.lake)["error"]
        assert error[0] == "LakeError", error
        assert f"mica-lake reindex --lake {self.lake}" in error[1]

    def damage_marker(self) -> None:
        if not self.marker.exists():
            return
        content = bytearray(self.marker.read_bytes())
        how = self.rng.choice(("flipped", "emptied", "cut"))
        if how == "flipped" and content:
            content[self.rng.randrange(len(content))] ^= 1 << self.rng.randrange(8)
        self.marker.write_bytes(content[: {"emptied": 0, "cut": len(content) // 2}.get(how, len(content))])
        self.story.append(f"interrupted {how}")

    def copy(self) -> None:
        """Copy the lake folder by folder in any order, so that links between folders are lost; or as a whole."""
        to = self.lake.with_name("copy")
        if self.rng.random() < 0.3:
            self.peace.copied(self.lake, to)
        else:
            to.mkdir()
            entries = list(self.lake.iterdir())
            self.rng.shuffle(entries)
            for entry in entries:
                subprocess.run(["cp", self.rng.choice(("-a", "-r")), entry, to], check=True)
        shutil.rmtree(self.lake)
        to.rename(self.lake)
        self.story.append("copied")

    def observed(self, allowed: Sequence[str]) -> str:
        """The state that it answers of, which must be one of those allowed."""
        found = self.child.look(self.lake)
        assert "error" not in found, (found, self.story)
        name = versions(found["partition"])
        assert name in allowed, (f"{name} is none of {allowed}", self.story)
        assert found["answers"] == self.peace.answers(name), self.story
        return name

    def end(self) -> None:
        """Take the newer archive: the lake must be that of a run in peace."""
        if self.lost:
            self.write(("reindex",))
        command = self.newer("all")
        expected = self.peace.everything(self.state, command)
        self.write(command)
        found = everything(self.lake)
        unlike = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
        assert not unlike, (unlike, self.story)
        # What is in a generation that is not the last goes with it, within the hour.
        left = [p for p in self.lake.rglob(".*") if p.is_file() and not p.parent.name.isdecimal()]
        assert not left, (left, self.story)


@pytest.fixture
def peace(children: list[Any], lakes: dict[str, Path], tmp_path: Path, copied: Copy) -> Peace:
    (tmp_path / "states").mkdir()
    peace = Peace(children[0], tmp_path / "states", copied)
    for lake in lakes.values():
        peace.state(lake)
    return peace


def test_killed_and_mended_in_any_order_every_answer_is_of_the_state_before_or_after(
    peace: Peace,
    children: list[Any],
    archives: dict[str, Path],
    soak: bool,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    seed = random.SystemRandom().getrandbits(32) if soak else 11
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    under_way: Counter[str] = Counter()
    done: Counter[str] = Counter()
    rounds = polls = 0
    products: list[str] = []
    while killed.total() < KILLS[soak]:
        if rounds % 25 == 0:  # few at a time, so that states come again
            products = rng.sample(PRODUCTS, 2) if soak else ["obspar"]
        one = Round(rng, peace, children[1], archives, products, tmp_path / "lake")
        try:
            one.play(by_system_calls=soak and shutil.which("strace") is not None)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, round {rounds}: {one.story}") from error
        killed += one.killed
        under_way += one.under_way
        done += Counter(re.sub(r" -> .*", "", line) for line in one.story if "killed" not in line)
        polls += one.polls
        rounds += 1
    record_property(
        "kills and repairs",
        f"{killed.total()} kills in {rounds} lakes ({dict(killed)}), {under_way.total()} with a commit under way "
        f"({dict(under_way)}); a reader saw {polls} states meanwhile; besides {dict(done)}",
    )
