"""The command as it is installed, but in this process: its imports take longer than most of what is tested."""

import io
import subprocess
import sys
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
