"""Ingest on Dask: a scheduler and workers on this host make the lake that this process makes, or say why not."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mica_lake import LakeError
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.pointer import EMPTY, current_generation
from mica_lake.catalog.reindex import rebuild
from mica_lake.catalog.root import create
from mica_lake.ingest import aca_l0, hdr3, obspar
from mica_lake.ingest.processes import executor
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.simulate.object_store import ObjectStore
from mica_lake.store.objects import ObjectPath, object_path
from mica_lake.store.place import store_of
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec

distributed = pytest.importorskip("distributed", reason="Dask is absent: pip install 'mica-lake[cluster]'")
cluster = pytest.importorskip("mica_lake.ingest.cluster")

PACKAGE = Path(cluster.mica_lake.__file__).parent
PATIENCE = 60.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """What a condition gives, once it holds."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.005)
    return found


class Dask:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path, stack: ExitStack, **settings: str) -> None:
        self.folder, self._stack = folder, stack
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", (), settings, folder)
        self.address: str = json.loads(until(self._written, "the scheduler's file"))["address"]

    def _written(self) -> str:
        return self._file.read_text() if self._file.exists() else ""

    def worker(
        self,
        under: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        threads: int = 1,
    ) -> subprocess.Popen[bytes]:
        return self._start("worker", under, env or {}, cwd or self.folder, threads)

    def workers(self, *threads: int) -> list[subprocess.Popen[bytes]]:
        """Workers with so many threads."""
        started = [self.worker(threads=count) for count in threads]
        self.wait_for(len(started))
        return started

    def wait_for(self, count: int) -> None:
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=PATIENCE)

    def _start(
        self, role: str, under: Sequence[str], env: Mapping[str, str], cwd: Path, threads: int = 0
    ) -> subprocess.Popen[bytes]:
        options = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(self._file)]
        if role == "worker":
            options += [
                "--nthreads",
                str(threads),
                "--no-nanny",
                "--memory-limit",
                "0",
                "--local-directory",
                str(self.folder),
            ]
        else:
            options += ["--port", "0"]
        with (self.folder / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                [*under, sys.executable, "-W", "ignore", "-m", "dask", role, *options],
                env=os.environ | env, cwd=cwd, stdout=log, stderr=log,
            )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


@contextmanager
def dask(folder: Path, **settings: str) -> Iterator[Dask]:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield Dask(folder, stack, **settings)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A scheduler with three workers, for tests that leave them as they are."""
    with dask(tmp_path_factory.mktemp("three")) as started:
        started.workers(1, 1, 2)
        yield started


@pytest.fixture(scope="module")
def ska(demo_files: Path, demo_ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's $SKA root, with its ACA L0 files in their place."""
    ska = tmp_path_factory.mktemp("cluster") / "ska"
    shutil.copytree(demo_ska, ska, symlinks=True)
    (ska / "data/mica/archive/aca0").symlink_to(demo_files)
    return ska


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of eight slots on each of six days: 48 partitions."""
    folder = tmp_path_factory.mktemp("days")
    for day in range(1, 7):
        start = cxcsec(f"2024:{day:03}:12:00:00")
        write_archive(folder, start, start + 600, hard_cases=False, jobs=1)
    return folder


@pytest.fixture(scope="module")
def days_lake(days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of `days`, made by this process."""
    lake = tmp_path_factory.mktemp("days_lake") / "lake"
    aca_l0.ingest([days], lake, jobs=1)
    return lake


def contents(lake: Path | ObjectPath) -> dict[str, Any]:
    """All bytes that people read, and what the catalog lists."""
    paths = (path for name in TABLES for path in store_of(lake).files(lake / name))
    found: dict[str, Any] = {str(path.relative_to(lake)): path.read_bytes() for path in paths}
    return found | {name: read_table(lake, name).to_pylist() for name in ("partition", "source_file")}


def pinned(lake: Path) -> list[Path]:
    return list((lake / "_catalog/pinned/aca_l0").rglob("[0-9]*.parquet"))


def mica_lake_ingest(*options: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("mica-lake")), "ingest", *map(str, options)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | {"COLUMNS": "200"}
    )


# --- the same lake ----------------------------------------------------------------------------------------------------


def test_workers_make_the_lake_of_all_products_that_this_process_makes(three: Dask, ska: Path, tmp_path: Path) -> None:
    here = mica_lake_ingest("all", "--from", ska, "--lake", tmp_path / "here", "--jobs", 1)
    there = mica_lake_ingest("all", "--from", ska, "--lake", tmp_path / "there", "--cluster", three.address)
    assert (here.returncode, here.stderr) == (0, "")
    assert (there.returncode, there.stderr) == (0, ""), there.stdout
    assert {"aca_l0", "hdr3", "dark_cal_image", "obspar", "asp_sol", "aca_cent", "acq_stats"} <= {
        path.name for path in (tmp_path / "there").iterdir()
    }
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert [path.name for path in (tmp_path / "there/_catalog/pinned").iterdir() if path.is_file()] == []


@pytest.mark.soak
def test_workers_make_the_same_lake_on_an_object_store(
    store: ObjectStore, days: Path, days_lake: Path, tmp_path: Path
) -> None:
    lake = object_path("s3://bucket/of_workers")
    with dask(tmp_path / "dask") as started:
        started.workers(1, 1)
        aca_l0.ingest([days], str(lake), cluster=started.address)
        assert contents(lake) == contents(days_lake)
        assert [path.name for path in (lake / "_catalog/pinned").iterdir() if path.suffix] == []
        started.worker(env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"})
        started.wait_for(3)
        with pytest.raises(LakeError, match=r"1 of 3 workers cannot take part(?s:.)*: it cannot read s3://bucket/of_"):
            aca_l0.ingest([days], "s3://bucket/of_nobody", cluster=started.address)


def test_hdr3_alone_is_derived_by_workers(three: Dask, days_lake: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(days_lake, lake)
    shutil.rmtree(lake / "hdr3")
    shutil.rmtree(lake / "_catalog/pinned/hdr3")
    rebuild(lake)
    assert hdr3.ingest(lake, cluster=three.address).partitions == 6
    assert contents(lake) == contents(days_lake)


def test_a_dry_run_on_workers_tells_the_plan_and_makes_nothing(three: Dask, days: Path, tmp_path: Path) -> None:
    report = aca_l0.ingest([days], tmp_path / "lake", cluster=three.address, dry_run=True)
    assert len(report.taken) == 48
    assert not (tmp_path / "lake").exists()


def test_a_bad_file_is_set_aside_as_by_this_process(three: Dask, days: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    shutil.copytree(days, files)
    sorted(files.iterdir())[7].write_bytes(b"no FITS")
    here = aca_l0.ingest([files], tmp_path / "here", jobs=1)
    there = aca_l0.ingest([files], tmp_path / "there", cluster=three.address)
    assert len(there.set_aside) == 1
    assert (there.set_aside, there.exit_code) == (here.set_aside, 3)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_when_workers_are_killed_half_way_the_others_make_the_same_lake(
    days: Path, days_lake: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    with dask(tmp_path / "dask") as started:
        workers = started.workers(1, 1, 1)

        def kill() -> list[int]:
            written = []
            for worker, count in zip(workers[:2], (1, 12), strict=True):
                until(lambda count=count: len(pinned(lake)) >= count, "partitions")  # type: ignore[misc]
                worker.send_signal(signal.SIGKILL)
                written.append(len(pinned(lake)))
            return written

        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(kill)
            report = aca_l0.ingest([days], lake, cluster=started.address)
            assert all(0 < written < 48 for written in killed.result()), "not half way"
    assert (report.partitions, report.exit_code) == (48, 0)
    assert contents(lake) == contents(days_lake)


def test_what_a_killed_worker_left_half_written_goes_with_the_next_ingest(
    three: Dask, days: Path, days_lake: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(days_lake, lake)
    left = [
        pinned(lake)[0].with_name(".half.parquet.0123"),
        lake / "_catalog/pinned/.0123",
        lake / "_catalog/.current.0",
    ]
    for path in left:
        path.write_bytes(b"half")
    aca_l0.ingest([days], lake, cluster=three.address)
    assert not any(path.exists() for path in left)
    assert contents(lake) == contents(days_lake)


# --- what cannot be done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.1:9", "Timed out trying to connect to tcp://127.0.0.1:9"),
        ("127.0.0.1", "missing port number in address '127.0.0.1'"),
        ("http://127.0.0.1:9", "unknown address scheme 'http'"),
    ],
)
def test_without_a_scheduler_nothing_is_done(
    address: str, reason: str, days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    with pytest.raises(LakeError, match=f"no Dask scheduler answers at {address} .*{reason}"):
        aca_l0.ingest([days], tmp_path / "lake", cluster=address)
    assert current_generation(tmp_path / "lake") == EMPTY


def test_of_all_products_none_is_tried_without_a_scheduler(ska: Path, tmp_path: Path) -> None:
    done = mica_lake_ingest("all", "--from", ska, "--lake", tmp_path / "lake", "--cluster", "127.0.0.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no Dask scheduler answers at 127.0.0.1" in done.stderr
    assert not (tmp_path / "lake").exists()


def test_a_scheduler_without_mica_lake_is_told(days: Path, tmp_path: Path) -> None:
    (tmp_path / "mica_lake.py").touch()
    with dask(tmp_path / "dask", PYTHONPATH=str(tmp_path)) as started:
        started.workers(1)
        with pytest.raises(
            LakeError, match=f"the Dask scheduler at {started.address} cannot run this mica-lake: .*No mod"
        ):
            aca_l0.ingest([days], tmp_path / "lake", cluster=started.address)


def test_jobs_and_a_cluster_exclude_each_other(three: Dask, days: Path, tmp_path: Path) -> None:
    done = mica_lake_ingest(
        "aca_l0", "--from", days, "--lake", tmp_path / "lake", "--cluster", three.address, "--jobs", 2
    )
    assert done.returncode == 1
    assert "jobs are processes here, a cluster has its own workers: say one of them" in done.stderr


@contextmanager
def other_code(folder: Path) -> Iterator[Path]:
    """A mica-lake of the same version whose code differs."""
    shutil.copytree(PACKAGE, folder / "mica_lake")
    for name, module in (("ingest", cluster.__file__), ("sql", PACKAGE.parent / "sql" / "times.sql")):
        shutil.copytree(Path(module).parent, folder / "mica_lake" / name, dirs_exist_ok=True)
    with (folder / "mica_lake/catalog/partition.py").open("a") as file:
        file.write("# Changed.\n")
    yield folder


def may_mount() -> bool:
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def odd(days: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dask, Path]]:
    """Workers of which each lacks something. A path below /proc/self/cwd leads each process to its own folder."""
    top = tmp_path_factory.mktemp("odd")
    with dask(top / "dask") as started, other_code(top / "other"):
        (top / "files").symlink_to(days)
        create(top / "lake")
        folders = [top / name for name in ("without_lake", "without_files", "with_another_lake", "upper", "work")]
        for folder in folders:
            folder.mkdir()
        without_lake, without_files, with_another_lake, upper, work = folders
        (without_lake / "files").symlink_to(days)
        (without_files / "lake").symlink_to(top / "lake")
        (without_files / "files").mkdir()
        (with_another_lake / "files").symlink_to(days)
        create(with_another_lake / "lake")
        (top / "none").mkdir()
        (top / "none/mica_lake.py").touch()
        odd = [started.worker(cwd=folder) for folder in (without_lake, without_files, with_another_lake)]
        odd += [started.worker(cwd=top, env={"PYTHONPATH": str(top / name)}) for name in ("other", "none")]
        if may_mount():
            lake = top / "lake"
            read_only = f"mount --bind {lake} {lake} && mount -o remount,bind,ro {lake}"
            overlay = f"mount -t overlay overlay -o lowerdir={lake},upperdir={upper},workdir={work} {lake}"
            for mount in (read_only, overlay):
                under = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
                odd.append(started.worker(under, cwd=top))
        started.wait_for(len(odd))
        yield started, top


HERE = "/proc/self/cwd"


@pytest.mark.parametrize(
    "trouble",
    [
        f"it cannot see {HERE}/lake/_catalog/pinned/[.]\\w+: No such file or directory",
        f"it cannot see {HERE}/files/acaf\\S+: No such file or directory",
        "its mica-lake is \\S+ [(]\\w+[)], not \\S+ [(]\\w+[)]: the partitions would differ",
        "it cannot run this mica-lake: ModuleNotFoundError[(]\"No module named 'mica_lake.ingest'",
        pytest.param(f"it cannot write to {HERE}/lake/_catalog/pinned: Read-only file system", id="read-only"),
        pytest.param(f"what it wrote to {HERE}/lake/_catalog/pinned is not seen here", id="overlay"),
    ],
)
def test_a_worker_that_lacks_something_is_named(
    trouble: str, odd: tuple[Dask, Path], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    started, top = odd
    if request.node.callspec.id in ("read-only", "overlay") and not may_mount():
        pytest.skip("unshare --mount is not permitted here")
    monkeypatch.chdir(top)
    with pytest.raises(LakeError, match=f"worker tcp://127.0.0.1:\\d+: {trouble}") as raised:
        aca_l0.ingest([f"{HERE}/files"], f"{HERE}/lake", cluster=started.address)
    count = 7 if may_mount() else 5
    assert str(raised.value).startswith(f"{count} of {count} workers cannot take part. Nothing was done.\n")
    assert current_generation(top / "lake") == EMPTY


def test_one_that_joins_later_and_differs_ends_the_ingest(tmp_path: Path) -> None:
    with dask(tmp_path / "dask") as started, other_code(tmp_path / "other") as other, ExitStack() as stack:
        started.workers(1)
        pool = executor(stack, None, started.address, None, [])(1000)
        results = pool.map(time.sleep, itertools.repeat(0.02))
        assert next(results) is None
        started.worker(env={"PYTHONPATH": str(other)})
        with pytest.raises(LakeError, match=r"worker tcp://127.0.0.1:\d+ on .* cannot take part: its mica-lake is"):
            until(lambda: next(results), "work for the other")


def test_a_cluster_that_dies_leaves_the_lake_as_it_was(
    ska: Path, days: Path, days_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    obspar.ingest(ska, lake, jobs=1)
    before = contents(lake)
    with dask(tmp_path / "dask", DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as started, ExitStack() as stack:
        monkeypatch.setattr(cluster, "CONNECT", 0.5)
        with pytest.raises(LakeError, match=f"{started.address} has no workers: 'dask worker {started.address}'"):
            aca_l0.ingest([days], lake, cluster=started.address)
        monkeypatch.undo()

        started.workers(1)
        pool = executor(stack, None, started.address, None, [])(1)
        with pytest.raises(LakeError, match="1 workers died one after the other at the same work, exec-"):
            list(pool.map(exec, ["import os; os._exit(1)"]))

        monkeypatch.setattr(cluster, "PATIENCE", 0.1)
        monkeypatch.setattr(cluster, "WITHOUT_WORKERS", 0.1)
        with pytest.raises(LakeError, match=r"has lost all its workers. The lake is as before"):
            list(pool.map(str, [1]))
        monkeypatch.undo()

        started.workers(1)

        def kill() -> None:
            until(lambda: pinned(lake), "a partition")
            started.scheduler.send_signal(signal.SIGKILL)

        with ThreadPoolExecutor(1) as killer:
            killer.submit(kill)
            with pytest.raises(LakeError, match=f"scheduler at {started.address} is gone. The lake is as before"):
                aca_l0.ingest([days], lake, cluster=started.address)
    assert contents(lake) == before
    aca_l0.ingest([days], lake, jobs=1)
    ours = [path for path in contents(days_lake) if path.startswith(("aca_l0", "hdr3"))]
    assert {path: contents(lake)[path] for path in ours} == {path: contents(days_lake)[path] for path in ours}


# --- the executor -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pool(three: Dask) -> Iterator[Any]:
    with ExitStack() as stack:
        yield executor(stack, None, three.address, None, [])(1)


@pytest.mark.parametrize("chunksize", [1, 7, 1000])
def test_results_come_in_order(chunksize: int, pool: Any) -> None:
    assert list(pool.map(pow, range(100), [2] * 100, chunksize=chunksize)) == [n * n for n in range(100)]
    assert list(pool.map(pow, [], [], chunksize=chunksize)) == []


def test_only_as_much_is_on_its_way_as_the_workers_need(pool: Any) -> None:
    numbers = itertools.count()
    results = pool.map(str, numbers, chunksize=2)
    assert list(itertools.islice(results, 100)) == [str(n) for n in range(100)]
    assert next(numbers) <= 100 + 2 * (cluster.AHEAD * 4 + 1)


@pytest.mark.parametrize("kind", [ValueError, OSError, TimeoutError, LakeError])
def test_an_error_of_the_work_comes_back_as_it_is(kind: type[Exception], pool: Any) -> None:
    work = f"from mica_lake.errors import LakeError; raise {kind.__name__}('a word')"
    with pytest.raises(kind, match=r"^a word$"):
        list(pool.map(exec, [work]))


def test_the_code_is_all_files_of_the_package_wherever_they_lie(tmp_path: Path) -> None:
    question = "from mica_lake.ingest.cluster import environment; print(dict(environment())['mica-lake'].split()[1])"
    with other_code(tmp_path) as folder:
        changed = folder / "mica_lake/catalog/partition.py"
        changed.write_text(changed.read_text().removesuffix("# Changed.\n"))
        said = {}
        for what in ("as it is", "sql/times.sql", "ingest/aca_l0/plan.py", "tables/stat_columns.csv", "cli/sql.py"):
            path = folder / "mica_lake" / what
            before = path.read_bytes() if path.is_file() else b""
            if before:
                path.write_bytes(before + b"\n")
            command = [sys.executable, "-c", question]
            environment = os.environ | {"PYTHONPATH": str(folder)}
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=environment)
            said[what] = done.stdout.strip()
            if before:
                path.write_bytes(before)
        assert len(set(said.values())) == len(said)
        assert said["as it is"] == dict(cluster.environment())["mica-lake"].split()[1]
