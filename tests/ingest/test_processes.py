"""The processes of an ingest: they end with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# Tells the numbers of its processes, then waits to be killed.
AT_WORK = """
import os, time
from contextlib import ExitStack
from mica_lake.ingest.processes import executor

if __name__ == "__main__":
    with ExitStack() as stack:
        pool = executor(stack, 2)(100)
        list(pool.map(abs, range(100)))
        print(*pool._processes, flush=True)
        time.sleep(600)
"""


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().split()[2] != "Z"


def test_the_processes_of_an_ingest_that_was_killed_do_not_stay(tmp_path: Path) -> None:
    script = tmp_path / "at_work.py"
    script.write_text(AT_WORK)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as ingest:
        assert ingest.stdout is not None
        workers = [int(pid) for pid in ingest.stdout.readline().split()]
        assert len(workers) >= 1
        assert all(is_there(pid) for pid in workers)
        ingest.send_signal(signal.SIGKILL)
    for _ in range(600):
        if not any(is_there(pid) for pid in workers):
            return
        time.sleep(0.1)
    raise AssertionError(f"{workers} wait for work that never comes")
