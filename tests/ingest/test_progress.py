"""What an ingest shows while it works: two stages, on a terminal only."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.times import cxcsec

START = cxcsec("2024:001")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    write_archive(tmp_path / "files", START, START + 600, slots=[0], hard_cases=False)
    program = str(Path(sys.executable).with_name("mica-lake"))
    return [program, "ingest", "aca_l0", "--from", str(tmp_path / "files"), "--lake", str(tmp_path / "lake")]


def test_a_terminal_shows_reading_and_writing_of_each_product(command: list[str]) -> None:
    terminal, side = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment) as process:
        os.close(side)
        shown = b""
        # Reading a terminal that nobody has open any more is an error.
        while piece := _read(terminal):
            shown += piece
    os.close(terminal)
    assert process.returncode == 0, shown
    stages = [b"aca_l0: reading", b"aca_l0: writing", b"hdr3: writing", b"binned: writing"]
    places = [shown.find(stage) for stage in stages]
    assert -1 not in places, shown
    assert places == sorted(places)


def test_a_log_has_no_bar(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "reading" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
