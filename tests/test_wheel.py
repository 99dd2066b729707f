"""What is installed is whole: its data files are there, and it answers from anywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUESTION = """
import json, sys
from mica_lake import Lake, __file__ as place
rows = Lake(sys.argv[1]).sql("SELECT count(*) FROM slot_data('2024:001', '2024:001:00:10', 3)").fetchall()
print(json.dumps([place, rows]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("mica_lake", "ingest", "sql"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # A copy without git, as from an archive of the source.
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", source / "wheel", source]
    subprocess.run(command, check=True, capture_output=True, cwd=source)
    (path,) = (source / "wheel").glob("mica_lake-*.whl")
    return path


def test_a_wheel_has_all_modules_and_data_files(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    expected = {f"mica_lake/sql/{path.name}" for path in (ROOT / "sql").glob("*.sql")}
    for kind in ("*.csv", "*.html", "*.py", "py.typed"):
        expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "mica_lake").rglob(kind)}
    expected |= {f"mica_lake/{path.relative_to(ROOT)}" for path in (ROOT / "ingest").rglob("*.py")}
    assert expected - names == set()


def test_a_wheel_answers_from_anywhere(wheel: Path, demo_lake: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with ZipFile(wheel) as file:
        file.extractall(site)
    command = [sys.executable, "-c", QUESTION, demo_lake]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    place, rows = json.loads(done.stdout)
    assert Path(place).is_relative_to(site)
    assert rows == [[293]]
