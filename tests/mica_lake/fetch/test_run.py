"""Night after night the archive and the lake become those of an undisturbed one, whatever happens on the way."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import ARCHIVE, START, answer, content_of, two_observations
from commands import in_process

from mica_lake.fetch.arc5gl import Arc5gl
from mica_lake.fetch.run import Fetching
from mica_lake.lake import Lake
from mica_lake.simulate import ocat
from mica_lake.terminal import Terminal
from mica_lake.times import utc

OBSID = 27379
BOTH = ("--obsid", OBSID, "--obsid", 43476)
HOUR = 3600
# When the two observations are over.
LATER = START + 40_000
BEGIN = ("--start", utc(START))
TABLES = ("aca_l0", "obspar", "obspar_kv", "asp_l1_file", "asp_sol", "aca_cent")
# Where the files were seen.
PLACE = ("directory", "link")


def answers(lake: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows that a lake has of what is fetched."""
    opened = Lake(lake)
    present = {name for (name,) in opened.sql("SELECT DISTINCT table_name FROM partition").fetchall()}
    tables = {name: opened.scan(name).collect() for name in TABLES if name in present}
    return {name: table.drop(PLACE, strict=False).rows() for name, table in tables.items()}


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command at a time."""

    def run(
        *arguments: object, at: float = LATER, source: object = "arc5gl", archive: bool = True, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        where = ("--archive", tmp_path / "ska") if archive else ()
        done = in_process(
            ("fetch", *arguments, "--from", source, *where, "--lake", tmp_path / "lake", "--jobs", 1),
            {"CXOTIME_NOW": utc(at), "FAKE_UNTIL": at},
        )
        assert code in (None, done.returncode), done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def truth(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """What a lake says that took the reference's archive in one ingest."""
    lake = tmp_path_factory.mktemp("truth") / "lake"
    done = in_process(("ingest", "all", "--from", reference, "--lake", lake, "--jobs", 1), {})
    assert done.returncode == 0, done.stdout + done.stderr
    return answers(lake)


Night = Callable[..., subprocess.CompletedProcess[str]]
Truth = dict[str, list[tuple[object, ...]]]


@pytest.fixture
def same(tmp_path: Path, reference: Path, truth: Truth) -> Callable[[], None]:
    """Check that the archive and the lake are those of an undisturbed one, and that nothing is left over."""

    def check() -> None:
        assert content_of(tmp_path / "ska") == content_of(reference)
        assert answers(tmp_path / "lake") == truth
        assert list((tmp_path / "ska/data/mica/_inbox/staging").iterdir()) == []
        assert [path for path in (tmp_path / "ska").rglob(".*") if path.is_file()] == []

    return check


@pytest.mark.usefixtures("arc5gl")
def test_one_night_fetches_everything(night: Night, same: Callable[[], None]) -> None:
    night("obspar", *BOTH)
    said = night("all", *BEGIN).stdout
    assert "set aside" not in said
    assert "failed" not in said
    same()


@pytest.mark.usefixtures("arc5gl")
def test_which_observations_there_are_is_known_from_the_observing_catalog(night: Night, tmp_path: Path) -> None:
    assert "no observation is known yet" in night("obspar", code=1).stdout
    ocat.write_archive(tmp_path / "catalogs", two_observations())
    done = in_process(("ingest", "ocat", "--from", tmp_path / "catalogs", "--lake", tmp_path / "lake"), {})
    assert done.returncode == 0, done.stdout + done.stderr
    night("obspar", at=START + HOUR)
    assert "obspar" not in answers(tmp_path / "lake")
    night("obspar")
    assert {row[0] for row in answers(tmp_path / "lake")["obspar"]} == {OBSID, 43476}


@pytest.mark.usefixtures("arc5gl")
def test_night_after_night_it_goes_on_where_it_was(night: Night, same: Callable[[], None], arc5gl: Path) -> None:
    night("aca_l0", *BEGIN, at=START + HOUR)
    asked = len(arc5gl.read_text().splitlines())
    night("aca_l0", at=START + 2 * HOUR)
    assert len(arc5gl.read_text().splitlines()) == asked + 1
    night("obspar", *BOTH)
    night("all")
    night("all", at=LATER + 86400)
    same()


@pytest.mark.usefixtures("arc5gl")
def test_after_thirty_days_without_a_night_it_catches_up_in_chunks(night: Night, same: Callable[[], None]) -> None:
    night("aca_l0", *BEGIN, at=START + HOUR)
    night("aca_l0", at=START + 45 * 86400, code=0)
    night("obspar", *BOTH)
    night("all", "--start", utc(START), "--stop", utc(START + 50_000), at=START + 50 * 86400)
    same()


@pytest.mark.usefixtures("arc5gl")
def test_a_dry_run_changes_nothing(night: Night, tmp_path: Path, arc5gl: Path) -> None:
    said = night("all", *BEGIN, "--dry-run", code=1).stdout
    assert "aca_l0-699990000-700050000" in said
    assert "obspar: no observation is known yet" in said
    assert "obspar-27379/last" in night("obspar", *BOTH, "--dry-run").stdout
    assert not (tmp_path / "ska").exists()
    assert not (tmp_path / "lake").exists()
    assert not arc5gl.exists()


@pytest.mark.usefixtures("arc5gl")
def test_without_an_archive_only_the_lake_has_the_files(night: Night, truth: Truth, tmp_path: Path) -> None:
    night("aca_l0", *BEGIN, archive=False, at=START + HOUR)
    night("aca_l0", archive=False)
    night("obspar", *BOTH, archive=False)
    night("asp_l1", archive=False)
    assert [path for path in (tmp_path / "lake/_inbox").rglob("*") if path.is_file() and path.name != "lock"] == []
    assert answers(tmp_path / "lake") == truth
    done = in_process(("verify", "--lake", tmp_path / "lake"), {})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("arc5gl")
def test_a_revision_released_later_becomes_the_default(
    night: Night, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(reference, theirs, symlinks=True)
    monkeypatch.setenv("FAKE_SKA", str(theirs))
    night("obspar", "--obsid", OBSID)
    defaults = "SELECT revision, isdefault FROM obspar ORDER BY revision"
    assert Lake(tmp_path / "lake").sql(defaults).fetchall() == [(1, True), (2, False)]
    group = theirs / ARCHIVE / "obspar/27"
    (group / "27379_last").rename(group / "27379")
    night("obspar", at=LATER + 20 * 86400)
    assert Lake(tmp_path / "lake").sql(defaults).fetchall() == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ("hang", 1),
        ("die", 1),
        ("die_at_once", 1),
        ("half:_3_img0", 3),
        ("half:asol1", 3),
        ("half:obs0a", 3),
        ("twice:_0_img0", 3),
        ("empty", 0),
        ("garbage", 0),
        ("early_prompt", 0),
    ],
)
@pytest.mark.usefixtures("arc5gl")
def test_after_a_bad_night_the_next_ends_with_the_same_archive_and_lake(
    trouble: str, code: int, night: Night, same: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The observations are known, and some telemetry is there.
    night("aca_l0", *BEGIN, at=START + 100)
    night("obspar", "--obsid", 43476)
    monkeypatch.setenv("FAKE_TROUBLE", trouble)
    if trouble == "hang":
        monkeypatch.setenv("CXOTIME_NOW", utc(LATER))
        fetching = Fetching(Arc5gl(longest=1.0), tmp_path / "ska", tmp_path / "lake", Terminal(), jobs=1)
        assert fetching.fetch(["aca_l0", "obspar", "asp_l1"]) == code
    else:
        nights = (("all",), ("obspar", "--obsid", OBSID), ("asp_l1", "--obsid", OBSID))
        assert max(night(*arguments, code=None).returncode for arguments in nights) == code
    monkeypatch.setenv("FAKE_TROUBLE", "")
    night("obspar", "--obsid", OBSID)
    night("all")
    same()


@pytest.mark.usefixtures("arc5gl")
def test_what_was_half_is_set_aside_with_the_reason_and_forgotten_when_it_is_whole(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aside = tmp_path / "ska/data/mica/_inbox/set_aside"
    monkeypatch.setenv("FAKE_TROUBLE", "half:acaf700000003N001_0_")
    said = night("aca_l0", *BEGIN, code=3).stdout
    assert "acaf700000003N001_0_img0.fits.gz: the gzip data are truncated" in said
    assert sorted(path.name for path in aside.iterdir()) == [
        "acaf700000003N001_0_img0.fits.gz",
        "acaf700000003N001_0_img0.fits.gz.txt",
    ]
    monkeypatch.setenv("FAKE_TROUBLE", "")
    night("aca_l0")
    assert list(aside.iterdir()) == []


@pytest.mark.usefixtures("arc5gl")
def test_what_a_run_left_is_filed_by_the_next_whatever_that_fetches(
    night: Night, reference: Path, tmp_path: Path
) -> None:
    staging = tmp_path / "ska/data/mica/_inbox/staging"
    answer(reference, "aca0", staging / "aca_l0-699990000-700050000")
    (staging / "asp_l1-27379.part" / "last").mkdir(parents=True)
    (staging / "something else").mkdir()
    said = night("obspar", *BOTH).stdout
    assert [line.split()[0] for line in said.splitlines()[2:4]] == ["aca_l0", "obspar"]
    assert set(answers(tmp_path / "lake")) == {"aca_l0", "obspar", "obspar_kv"}
    assert list(staging.iterdir()) == []


@pytest.mark.usefixtures("arc5gl")
def test_arguments_that_mean_nothing_are_refused(night: Night) -> None:
    assert "there is no 'aca' to fetch" in night("aca", code=2).stderr
    assert "telemetry is not of an observation" in night("aca_l0", *BOTH, code=1).stderr
    assert "there is no such folder" in night("all", source="/nowhere", code=1).stderr
    assert "Say --start" in night("aca_l0", code=1).stdout
    assert (
        "say with --archive"
        in in_process(("fetch", "obspar", "--from", "arc5gl", "--lake", "s3://bucket/lake"), {}).stderr
    )


@pytest.mark.usefixtures("arc5gl")
def test_the_status_says_until_when_there_is_telemetry(night: Night, tmp_path: Path) -> None:
    night("aca_l0", *BEGIN)
    said = in_process(("status", "--lake", tmp_path / "lake"), {}).stdout
    assert "telemetry of all slots until 2020:067:23:25:" in said


@pytest.mark.usefixtures("arc5gl")
def test_two_runs_at_once_do_not_meet(night: Night, tmp_path: Path) -> None:
    import fcntl

    inbox = tmp_path / "ska/data/mica/_inbox"
    inbox.mkdir(parents=True)
    with (inbox / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "is being written by" in night("obspar", code=1).stderr


def test_an_inbox_that_somebody_fills_is_enough(night: Night, reference: Path, truth: Truth, tmp_path: Path) -> None:
    inbox = answer(reference, "aca0", tmp_path / "inbox")
    night("aca_l0", *BEGIN, source=inbox)
    assert answers(tmp_path / "lake")["aca_l0"] == truth["aca_l0"]


def test_the_public_archive_is_enough_for_what_is_released(
    night: Night, public: tuple[str, Path], tmp_path: Path
) -> None:
    night("all", "--obsid", OBSID, source=public[0])
    found = answers(tmp_path / "lake")
    assert [row[:4] for row in found["obspar"]] == [(OBSID, 1, True, True)]
    assert {row[:3] for row in found["asp_l1_file"]} == {(OBSID, 1, True)}
    assert len(found["asp_sol"]) > 1000
    assert "has no aca_l0" in night("aca_l0", *BEGIN, source=public[0], code=1).stderr


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    night: Night, same: Callable[[], None], arc5gl: Path, tmp_path: Path
) -> None:
    night("aca_l0", *BEGIN, at=START + HOUR)
    program = [sys.executable, "-c", "from mica_lake.cli import main; main()"]
    command = [*program, "fetch", "all", "--from", "arc5gl", "--archive", str(tmp_path / "ska"), "--jobs", "1"]
    limited = ["bash", "-c", 'ulimit -f 60; exec "$@"', "bash", *command]
    variables = os.environ | {"CXOTIME_NOW": utc(LATER), "FAKE_UNTIL": str(LATER), "MICA_LAKE": str(tmp_path / "lake")}
    done = subprocess.run(limited, env=variables, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    night("obspar", *BOTH)
    night("all")
    same()


# Fetches everything anew for each n, and dies before the n-th step in the archive or the inbox.
DIE = """
import os, shutil, sys
from pathlib import Path
from mica_lake.fetch.arc5gl import Arc5gl
from mica_lake.fetch.run import Fetching
from mica_lake.ingest import aca_l0, asp_l1, obspar
from mica_lake.terminal import Terminal

top, kept, start, first, step = Path(sys.argv[1]), sys.argv[2] == "archive", *map(int, sys.argv[3:])
said, sys.stdout = sys.stdout, sys.stderr

def fetch(n):
    run = Fetching(Arc5gl(), top / str(n) / "ska" if kept else None, top / str(n) / "lake", Terminal(), 1)
    run.fetch(["aca_l0"], start)
    run.fetch(["obspar", "asp_l1"], None, None, [27379, 43476])

def counts(path):
    return "_inbox" in str(path) or "mica/archive" in str(path)

sys.stdout = said
die_before_each_step(
    [(os, "replace"), (os, "rename"), (shutil, "rmtree"), (Path, "unlink"), (Path, "mkdir")],
    lambda n: ((top / str(n)).mkdir(parents=True), setattr(sys, "stdout", sys.stderr)),
    fetch,
    range(first, 10_000, step),
    counts,
)
"""


@pytest.mark.usefixtures("arc5gl")
@pytest.mark.parametrize("kept", ["archive", "lake"])
@pytest.mark.parametrize("step", [pytest.param(89, id="some"), pytest.param(13, id="more", marks=pytest.mark.soak)])
def test_killed_before_any_step_the_next_run_ends_with_the_same_archive_and_lake(
    step: int, kept: str, reference: Path, truth: Truth, tmp_path: Path, deaths: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("CXOTIME_NOW", utc(LATER))
    monkeypatch.setenv("FAKE_UNTIL", str(LATER))
    first = step // 2
    lived = deaths(DIE, tmp_path, kept, int(START), first, step)
    assert lived > 60
    for n in range(first, lived + 1, step):
        died = tmp_path / str(n)
        run = Fetching(Arc5gl(), died / "ska" if kept == "archive" else None, died / "lake", Terminal(), 1)
        assert run.fetch(["aca_l0"], START) == 0
        assert run.fetch(["obspar", "asp_l1"], obsids=[OBSID, 43476]) == 0
        assert answers(died / "lake") == truth, n
        inbox = died / "ska/data/mica/_inbox" if kept == "archive" else died / "lake/_inbox"
        assert [path for path in inbox.rglob("*") if path.is_file() and path.name != "lock"] == [], n
        if kept == "archive":
            assert content_of(died / "ska") == content_of(reference), n
        shutil.rmtree(died)
