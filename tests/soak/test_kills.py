"""Ingest of a whole archive killed at random moments, then run to its end: the lake is that of a run left in peace."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mica_lake import Lake
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.partition import checksum
from mica_lake.catalog.pointer import current_generation
from mica_lake.simulate import aca_l0, asp_l1, dark_cal, obspar, stats
from mica_lake.simulate.observations import observations
from mica_lake.times import cxcsec

START = cxcsec("2015:100:23:00")
STOP = START + 2 * 3600
# Of a lake that was just copied, all that an ingest of another archive changes.
State = dict[str, list[dict[str, Any]]]


def simulate(ska: Path, *, newer: bool) -> None:
    """An archive across midnight; the newer one has more revisions, calibrations and rows than the one before."""
    shutil.rmtree(ska, ignore_errors=True)
    aca_l0.write_archive(ska, START, STOP, file_seconds=2000, ska=True)
    # Without its index, which lists the current files only, all revisions are taken.
    (ska / "data/mica/archive/aca0/archfiles.db3").unlink()
    if not newer:
        for path in (ska / "data/mica/archive/aca0").rglob("acaf*N002*"):
            path.unlink()
    observed = []
    for one in observations(START, STOP):
        short = replace(one, tstart=max(one.tstart, START), tstop=min(one.tstop, STOP), detector="ACIS-7")
        if short.tstop - short.tstart < 1800:
            continue
        revisions = (1, 2) if newer else (1,)
        observed.append(replace(short, revisions=revisions, default=revisions[-1], last=revisions[-1]))
    obspar.write_archive(ska, observed)
    asp_l1.write_archive(ska, observed)
    stats.write_archive(ska, observed if newer else observed[:1])
    for dark_id in ("2015100", "2015101")[: 1 + newer]:
        dark_cal.write_calibration(ska, dark_id, seed=int(newer))
    # Which file is older is told by its time; all are of one time, so that two runs know the same of them.
    for path in ska.rglob("*"):
        if not path.is_symlink():
            os.utime(path, ns=(10**18 + newer, 10**18 + newer))


def command(ska: Path, lake: Path) -> list[str]:
    program = str(Path(sys.executable).with_name("mica-lake"))
    return [program, "ingest", "all", "--from", str(ska), "--lake", str(lake), "--jobs", "2"]


def run(ska: Path, lake: Path) -> Path:
    done = subprocess.run(command(ska, lake), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return lake


def state(lake: Path) -> State:
    """What the catalog lists, by table; each version that it names is there, and is what its name says."""
    rows: State = {}
    for row in read_table(lake, "partition").to_pylist():
        rows.setdefault(row["table_name"], []).append(row)
        assert checksum((lake / row["path"]).read_bytes()).startswith(Path(row["path"]).stem[-16:])
    return rows


def everything(lake: Path) -> dict[str, Any]:
    """All that a lake is, but for the number of its generation."""
    files = {
        p.relative_to(lake).as_posix(): p.read_bytes() for p in lake.rglob("*.parquet") if "_catalog" not in p.parts
    }
    files["mica_lake.sql"] = (lake / "mica_lake.sql").read_bytes()
    return files | {name: read_table(lake, name).to_pylist() for name in ("partition", "source_file")}


def generation(lake: Path) -> int:
    return int(current_generation(lake) or 0)


@dataclass
class Kill:
    """Where a kill fell."""

    commits: int
    interrupted: bool
    orphans: bool

    @classmethod
    def at_random(cls, rng: random.Random, ska: Path, lake: Path, seconds: float) -> "Kill | None":
        """Kill an ingest at a random moment, or in the midst of a random commit; None if it was faster."""
        before = generation(lake)
        process = subprocess.Popen(
            command(ska, lake), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        lock, mark = lake / "_catalog" / "lock", lake / "_catalog" / "interrupted"
        wanted = rng.randrange(7)
        until = time.monotonic() + rng.uniform(0, seconds)
        in_a_commit = rng.random() < 0.5
        begun = False
        while process.poll() is None:
            if not begun and lock.exists() and lock.stat().st_size:
                begun, until = True, time.monotonic() + rng.uniform(0, seconds)
            if begun and in_a_commit and generation(lake) - before == wanted and mark.exists():
                time.sleep(rng.uniform(0, 0.02))
                break
            if begun and not in_a_commit and time.monotonic() > until:
                break
            time.sleep(0.0005)
        # The whole group at once; or the process alone, as when it is the one that has taken too much memory.
        alone = rng.random() < 0.3
        with suppress(ProcessLookupError):
            (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        return cls(generation(lake) - before, mark.exists(), alone) if killed else None


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills") / "ska"


def copy(lake: Path, to: Path) -> Path:
    """With its links: what is pinned and what is published are the same files."""
    subprocess.run(["cp", "-a", lake, to], check=True)
    return to


@pytest.mark.parametrize("fresh", [True, False], ids=["a new lake", "newer revisions"])
def test_killed_at_random_moments_and_run_again_the_lake_is_that_of_a_run_in_peace(
    fresh: bool, soak: bool, ska: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = random.SystemRandom().getrandbits(32) if soak else 7
    rng = random.Random(seed)
    before = tmp_path / "before"
    states: list[State] = [{}]
    if not fresh:
        simulate(ska, newer=False)
        states = [state(run(ska, before))]
    simulate(ska, newer=True)
    peace = tmp_path / "peace"
    if not fresh:
        copy(before, peace)
    began = time.monotonic()
    run(ska, peace)
    seconds = time.monotonic() - began
    states.append(state(peace))
    expected = everything(peace)
    kills: list[Kill] = []
    rounds = 0
    while len(kills) < (30 if soak else 2):
        lake = tmp_path / f"lake{rounds}"
        if not fresh:
            copy(before, lake)
        for _ in range(rng.randrange(2, 8)):
            kill = Kill.at_random(rng, ska, lake, seconds)
            if kill is None:
                break
            kills.append(kill)
            if current_generation(lake) is not None:
                Lake(lake).status()
                for table in states[1]:
                    assert state(lake).get(table) in [s.get(table) for s in states], f"seed {seed}: {table}, {kill}"
        run(ska, lake)
        assert everything(lake) == expected, f"seed {seed}"
        assert not (lake / "_catalog" / "interrupted").exists()
        left = [p for p in lake.rglob(".*") if p.is_file()]
        assert not left, f"seed {seed}: half a file is left, {left}"
        shutil.rmtree(lake)
        rounds += 1
    name = f"kills, {'a new lake' if fresh else 'newer revisions'}"
    commits = ", ".join(f"{n} after {c}" for c, n in sorted(Counter(kill.commits for kill in kills).items()))
    record_property(
        name,
        f"{len(kills)} in {rounds} lakes ({commits} commits; {sum(k.interrupted for k in kills)} in the midst of one; "
        f"{sum(k.orphans for k in kills)} left worker processes alone)",
    )
