"""Fixtures of all tests and of the examples in docstrings and documents."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

import mica_lake
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.object_store import ObjectStore, object_store

# The first imports what a plain install does not have; what needs Spark is tested in one session, with its examples, by
# tests/mica_lake/test_spark.py.
collect_ignore = [*([] if find_spec("distributed") else ["ingest/cluster.py"]), "mica_lake/spark.py"]
ROOT = Path(__file__).resolve().parent
SHARED = ROOT.parent / "shared"

# A shell starts what it runs in the background with interrupts ignored, which processes that tests interrupt inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Nothing is tested against the clock, hypothesis's examples neither.
settings.register_profile("mica-lake", deadline=None)
settings.load_profile("mica-lake")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the second tier."""
    parser.addoption("--soak", action="store_true", help="run the second tier, too: what takes longer")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the second tier to `--soak`: what is marked soak, and of what is marked often(n) all cases but n."""
    cases: Counter[str] = Counter()
    for item in items:
        function = item.nodeid.split("[")[0]
        cases[function] += 1
        often = item.get_closest_marker("often")
        if ROOT / "tests" / "soak" in item.path.parents or (often is not None and cases[function] > often.args[0]):
            item.add_marker(pytest.mark.soak)
    if not config.getoption("--soak"):
        left = [item for item in items if item.get_closest_marker("soak")]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture(autouse=True)
def _no_lake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests from a lake that happens to be there."""
    monkeypatch.delenv("MICA_LAKE", raising=False)
    monkeypatch.delenv("SKA", raising=False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data, which users of the project do not have."""
    if not SHARED.is_dir():
        pytest.skip("../shared is absent")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make the demo's lake anew, apart from the user's."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _demo_lake_in_examples(doctest_namespace: dict[str, Any]) -> None:
    """Examples begin after `from mica_lake import demo_lake`, as the API's pages say."""
    doctest_namespace["demo_lake"] = mica_lake.demo_lake


@pytest.fixture(scope="session")
def demo_lake() -> str:
    """The demo's lake, of `demo_files`, `demo_ska` and `demo_list`, not to be changed."""
    return str(mica_lake.demo_lake().root)


@pytest.fixture(scope="session")
def demo_files(demo_lake: str) -> Path:
    """Simulated files of two hours, eight slots: slots 3 to 5 are 6x6, the others 8x8."""
    return Path(demo_lake).with_name("files")


@pytest.fixture(scope="session")
def demo_ska(demo_lake: str) -> Path:
    """A $SKA root with the observations of those hours, their products and statistics, and two dark calibrations."""
    return Path(demo_lake).with_name("ska")


@pytest.fixture(scope="session")
def demo_list(demo_lake: str) -> Path:
    """A $SKA root with a list of `demo_files`: apart, since tests put these where it would be."""
    return Path(demo_lake).with_name("list")


@pytest.fixture(scope="session")
def many_stars() -> str:
    """A lake of the statistics of 1,594 observations of twenty years, not to be changed."""
    return str(mica_lake.demo_lake("twenty years").root)


@pytest.fixture(scope="session")
def golden_ska(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of all but ACA L0 that mica was asked about, not to be changed."""
    pytest.importorskip("scipy")
    pytest.importorskip("tables")
    ska = tmp_path_factory.mktemp("golden") / "ska"
    command = [sys.executable, str(shared / "tools" / "make_archive.py"), str(ska), "5"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    return ska


@pytest.fixture(scope="session")
def golden_starcheck(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load reviews that mica was asked about, not to be changed."""
    root = tmp_path_factory.mktemp("golden") / "starcheck"
    subprocess.run([sys.executable, str(shared / "tools" / "make_starcheck.py"), str(root), "5"], check=True)
    return root


@pytest.fixture
def without_rights() -> Callable[[Path, Callable[[], object]], AbstractContextManager[None]]:
    """
    What runs a block as a user who is not root, and who owns what is in a folder.

    Before, it runs something like the block: Python may lie where only root may read, and then the block can import
    nothing that was not imported before.
    """

    @contextmanager
    def block(folder: Path, alike: Callable[[], object]) -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        alike()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return block


@pytest.fixture(scope="session")
def deaths() -> Callable[..., int]:
    """What runs a program that calls what is in `tests/helpers/dying.py`, and gives the number that it prints."""
    dying = (ROOT / "tests" / "helpers" / "dying.py").read_text(encoding="utf-8")

    def run(program: str, *arguments: object) -> int:
        command = [sys.executable, "-c", dying + program, *map(str, arguments)]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    return run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An object store with a bucket called bucket."""
    with object_store(tmp_path_factory.mktemp("store"), "bucket") as it:
        yield it


@pytest.fixture(scope="session", params=["disk", pytest.param("s3", marks=pytest.mark.soak)])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Where a lake of a name can be made: on a disk; and again, on an object store."""
    if request.param == "disk":
        return lambda name: str(tmp_path_factory.mktemp(name) / "lake")
    request.getfixturevalue("store")
    return lambda name: f"s3://bucket/{name}"


@pytest.fixture(scope="session")
def golden(shared: Path, place: Callable[[str], str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Lakes of the files that mica was asked about, and its answers."""
    found = {}
    for name in ("l0_real", "l0_synthetic"):
        lake = place(name)
        ingest([shared / "data" / name], lake, jobs=1)
        with np.load(shared / "golden" / f"{name}.npz") as answers:
            found[name] = lake, dict(answers)
    return found
