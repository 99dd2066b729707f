"""``mica-lake`` in this process, as its imports take longer than most of what is tested; and DuckDB's command line."""

import io
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from mica_lake.cli import main


def in_process(
    arguments: tuple[object, ...], variables: Mapping[str, object], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``mica-lake`` with some variables of the environment."""
    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mica-lake", *map(str, arguments)])
        patch.setattr(sys, "stdout", output)
        patch.setattr(sys, "stderr", errors)
        for name, value in variables.items():
            patch.setenv(name, str(value))
        if cwd is not None:
            patch.chdir(cwd)
        with pytest.raises(SystemExit) as end:
            main()
    said = []
    for stream in (output, errors):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, int(str(end.value.code or 0)), *said)


def in_duckdb(cwd: object, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands in DuckDB's own command line, which answers in JSON."""
    program = shutil.which("duckdb", path=sysconfig.get_path("scripts"))
    assert program is not None, "duckdb-cli is missing"
    arguments = [program, "-init", "/dev/null", "-json", *(part for command in commands for part in ("-c", command))]
    return subprocess.run(arguments, cwd=str(cwd), capture_output=True, text=True, timeout=60)


def read(script: str = "mica_lake.sql") -> tuple[str, str, str]:
    """Commands of DuckDB that read the script of a lake, without what it prints."""
    return ".output /dev/null", f'.read "{script}"', ".output"
