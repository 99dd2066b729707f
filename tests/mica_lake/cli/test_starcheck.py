"""The command ``mica-lake starcheck``: a report, or what the lake has of an observation."""

from pathlib import Path

from commands import in_process

from mica_lake.simulate import starcheck
from mica_lake.simulate.observations import observations
from mica_lake.times import cxcsec


def test_a_report_is_printed_without_a_lake(tmp_path: Path) -> None:
    observed = observations(7e8, 7e8 + 20000)
    path, *_ = starcheck.write_archive(tmp_path, observed)
    done = in_process(("starcheck", path), {})
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"obsid {one.obsid}" in done.stdout for one in observed)


def test_an_observation_is_printed_from_the_lake(demo_lake: str) -> None:
    (one,) = observations(cxcsec("2024:001"), cxcsec("2024:001:02:00"))
    done = in_process(("starcheck", one.obsid, "--lake", demo_lake), {})
    assert done.returncode == 0
    first, second, *entries = done.stdout.splitlines()
    assert first == "load /2023/DEC2523/oflsa/, ran"
    assert second.startswith(f"obsid {one.obsid}  target_id Target {one.obsid}  sci_instr HRC-I")
    assert len([line for line in entries if "  type BOT  " in line]) == 8


def test_an_observation_that_is_not_there_is_an_error(demo_lake: str) -> None:
    done = in_process(("starcheck", 99, "--lake", demo_lake), {})
    assert (done.returncode, done.stderr.strip()) == (1, "mica-lake: there is no load review of obsid 99 in the lake")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "starcheck.txt"
    path.write_text("=" * 40 + "\nOBSID: 7  what is this\n")
    done = in_process(("starcheck", path), {})
    assert done.returncode == 1
    assert "obsid 7: its target, instrument, SIM Z offset and grating cannot be read" in " ".join(done.stderr.split())
    assert in_process(("starcheck", tmp_path / "absent.txt"), {}).returncode == 1
