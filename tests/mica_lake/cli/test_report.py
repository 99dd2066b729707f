"""The command ``mica-lake report``: the page of an observation, in a file."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import in_process

pytest.importorskip("matplotlib")

from mica_lake import Lake
from mica_lake.explore.observation import observation
from mica_lake.explore.page import page


def test_the_page_is_written_to_a_folder_and_named(demo_lake: str, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    done = in_process(("report", 32448, "-o", folder, "--lake", demo_lake), {})
    path = folder / "obsid_32448.html"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}\n", "")
    assert path.read_text(encoding="utf-8") == page(observation(Lake(demo_lake), 32448))
    assert list(folder.iterdir()) == [path]


def test_an_unknown_obsid_is_an_error_that_names_it_and_writes_nothing(demo_lake: str, tmp_path: Path) -> None:
    done = in_process(("report", 99, "-o", tmp_path / "reports", "--lake", demo_lake), {})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == f"mica-lake: the lake {demo_lake} has nothing of obsid 99"
    assert not (tmp_path / "reports").exists()


def test_a_lake_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = in_process(("report", 99, "-o", tmp_path / "reports", "--lake", tmp_path / "lake"), {})
    assert done.returncode == 1
    assert str(tmp_path / "lake") in done.stderr


def test_a_folder_that_cannot_be_made_is_an_error(demo_lake: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = in_process(("report", 32448, "-o", tmp_path / "file", "--lake", demo_lake), {})
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr


def test_without_matplotlib_it_says_what_to_install(demo_lake: str, tmp_path: Path) -> None:
    arguments = ["mica-lake", "report", "32448", "-o", str(tmp_path / "reports"), "--lake", demo_lake]
    code = f"import sys; sys.modules['matplotlib'] = None; sys.argv = {arguments!r}"
    code += "; from mica_lake.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "mica-lake: matplotlib is absent: pip install 'mica-lake[plot]'"
