"""The README is true: its examples run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
CONSOLE = [line for language, text in BLOCKS if language == "console" for line in text.splitlines()]


@pytest.mark.parametrize("code", PYTHON)
def test_each_python_example_runs(code: str, demo_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICA_LAKE", demo_lake)
    exec(compile(code, str(README), "exec"), {})


@pytest.mark.parametrize("line", CONSOLE)
def test_each_command_runs(line: str, demo_lake: str, tmp_path: Path) -> None:
    command, *arguments = shlex.split(line)
    done = subprocess.run(
        [Path(sys.executable).with_name(command), *arguments],
        env=os.environ | {"MICA_LAKE": demo_lake},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or list(tmp_path.iterdir())


def test_there_are_examples_for_each_door() -> None:
    assert len(PYTHON) == 3
    assert len(CONSOLE) == 6
