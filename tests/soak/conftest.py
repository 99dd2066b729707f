"""Tests under faults, of the second tier; `pytest tests/soak --soak --long` runs their long form."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mica_lake.simulate import aca0_list, aca_l0, asp_l1, dark_cal, obspar, ocat, starcheck, stats, vv
from mica_lake.simulate.observations import observations
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="tests/soak in its long form, some hours")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long form."""
    # Where the folder was not named, pytest read this file too late to know the option.
    return bool(request.config.getoption("--long", default=False))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was counted, for docs/reliability.md."""
    figures = [figure for report in terminalreporter.getreports("passed") for figure in report.user_properties]
    if figures:
        terminalreporter.section("the soak's figures")
    for name, value in figures:
        terminalreporter.write_line(f"{name}: {value}")


MIDNIGHT = cxcsec("2015:101")


def _simulate(ska: Path, *, newer: bool) -> None:
    """An hour around midnight; the newer archive has more revisions, calibrations and rows, and a shorter file."""
    start, stop = MIDNIGHT - 1500, MIDNIGHT + 1500
    aca_l0.write_archive(ska, start, stop, slots=[0, 3], file_seconds=700, ska=True)
    folder = ska / "data/mica/archive/aca0"
    # Without its index, which lists the current files only, all revisions are taken.
    (folder / "archfiles.db3").unlink()
    if not newer:
        for path in folder.rglob("acaf*N002*"):
            path.unlink()
    # The newer revision has no rows after midnight any more: the partition of that day goes.
    for revision, last in ((1, 60), (2, -10))[: 1 + newer]:
        columns = aca_l0.readouts(5, 8, aca_l0.times(MIDNIGHT - 60, MIDNIGHT + last, 8), seed=revision)
        aca_l0.write_file(folder, 5, columns, revision=revision)
    observed = []
    for one in observations(start - 5000, stop + 5000)[:2]:
        short = replace(one, tstop=min(one.tstop, one.tstart + 1900), detector="ACIS-7")
        revisions = (1, 2) if newer else (1,)
        observed.append(replace(short, revisions=revisions, default=revisions[-1], last=revisions[-1]))
    obspar.write_archive(ska, observed)
    asp_l1.write_archive(ska, observed)
    stats.write_archive(ska, observed if newer else observed[:1])
    vv.write_archive(ska, observed)
    starcheck.write_archive(ska, observed)
    ocat.write_archive(ska, observed)
    aca0_list.write_archive(ska, [path.name for path in ska.rglob("acaf*.fits.gz")][newer:])
    for dark_id in ("2015100", "2015101")[: 1 + newer]:
        dark_cal.write_calibration(ska, dark_id, seed=int(newer))
    # Which file is older is told by its time; all are of one time, so that two runs know the same of them.
    for path in ska.rglob("*"):
        if not path.is_symlink():
            os.utime(path, ns=(10**18 + newer, 10**18 + newer))


class Child:
    """The program `child.py`."""

    def __init__(self) -> None:
        program = [sys.executable, str(Path(__file__).with_name("child.py"))]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "child.py has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self, *argv: object, watch: bool = False, **options: Any) -> dict[str, Any]:
        """Run a command of mica-lake: killed, or its code, error and output."""
        self.ask(do="command", argv=[str(a) for a in argv], watch=watch, **options)
        return self.answer()

    def doors(self, lake: Path, tables: list[str] | None) -> dict[str, str]:
        """What each door answers of some tables; of one at which the process dies, by which signal."""
        self.ask(do="doors", of=[str(lake), tables])
        found = self.answer()
        if found["found"] is not None:
            return dict(found["found"])
        answers: dict[str, str] = {}
        for table in tables or TABLES:
            for door in ("SQL", "Python", "Polars"):
                self.ask(do="doors", of=[str(lake), [table], door])
                one = self.answer()
                if one["found"] is None:
                    answers[f"{door} {table}"] = f"the process died: signal {one['status'] & 127}"
                else:
                    answers |= one["found"]
        return answers

    def look(self, lake: Path) -> dict[str, Any]:
        self.ask(do="look", of=[str(lake)])
        found: dict[str, Any] = self.answer()["found"]
        return found

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def children() -> Iterator[list[Child]]:
    """Two of them: one writes, the other reads meanwhile."""
    both = [Child(), Child()]
    yield both
    for one in both:
        one.close()


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two $SKA roots with files of all products, ``old`` and ``new``."""
    found = {}
    for name in ("old", "new"):
        found[name] = tmp_path_factory.mktemp("archives") / name
        _simulate(found[name], newer=name == "new")
    return found


@pytest.fixture(scope="session")
def lakes(archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A lake of the old archive, and a copy of it that has taken the new one; not to be changed."""
    top = tmp_path_factory.mktemp("lakes")
    child = Child()
    try:
        for name, archive in archives.items():
            if name == "new":
                copy(top / "old", top / "new")
            done = child.run("ingest", "all", "--from", archive, "--lake", top / name, "--jobs", "1")["found"]
            assert done["code"] == 0, done
    finally:
        child.close()
    return {name: top / name for name in archives}


def copy(lake: Path, to: Path) -> Path:
    """With its links: what is pinned and what is published are the same files."""
    subprocess.run(["cp", "-a", lake, to], check=True)
    return to


@pytest.fixture(scope="session")
def copied() -> Callable[[Path, Path], Path]:
    """Copies a lake with its links, in the place of what is there."""

    def of(lake: Path, to: Path) -> Path:
        shutil.rmtree(to, ignore_errors=True)
        return copy(lake, to)

    return of
