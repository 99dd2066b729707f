"""
A program that runs `mica-lake` in forked children, which it kills where it is told to: much quicker than starting each.

It reads a request a line, JSON, and answers each with a line. It never uses a thread itself, so that it may fork.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars  # noqa: F401 - imported once, before the forks
from astropy.table import Table

from mica_lake import Lake
from mica_lake.archive import aca_hdr3, aca_l0, asp_l1, obspar
from mica_lake.archive.aca_dark import dark_cal
from mica_lake.catalog import commit
from mica_lake.catalog.generation import read_table
from mica_lake.cli import app
from mica_lake.ingest import compare, everything  # noqa: F401 - imported once, before the forks
from mica_lake.stats import acq_stats, guide_stats
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec
from mica_lake.vv import archive as vv

SLOTS = range(8)
MIDNIGHT = cxcsec("2015:101")
_ALL = "(0, 6e9)"
_MACROS = {"hdr3": "hdr3_data", "asp_sol": "asp_sol_revisions", "aca_cent": "aca_cent_revisions"}


def sources(table: str) -> list[str]:
    """What SQL calls all rows of a table."""
    if table == "aca_l0":
        return [f"slot_data(0, 6e9, {slot})" for slot in SLOTS]
    return [_MACROS[table] + _ALL] if table in _MACROS else [table]


def question(tables: list[str] | None = None) -> str:
    """One statement about all rows of some tables, so that its answer is of one state of the lake."""
    return " UNION ALL ".join(
        f"SELECT '{table}', count(*), sum(hash(rows_)::HUGEINT)::VARCHAR FROM {source} AS rows_"
        for table in tables or TABLES
        for source in sources(table)
    )


def answers(lake: str) -> list[list[Any]]:
    return [list(row) for row in sorted(Lake(lake).sql(question()).fetchall(), key=str)]


def look(lake: str) -> dict[str, Any]:
    """What all rows are, and which versions the catalog lists."""
    partition = read_table(Path(lake), "partition").to_pylist()
    return {"answers": answers(lake), "partition": sorted(row["path"] for row in partition)}


def poll(lake: str, stop: str) -> list[Any]:
    """All answers that differ from the one before, until a file is there."""
    seen: list[Any] = []
    last = False
    while not last:
        last = Path(stop).exists()
        found = answers(lake)
        if not seen or found != seen[-1]:
            seen.append(found)
    return seen


def doors(lake: str, tables: list[str] | None, only: str = "") -> dict[str, str]:
    """What each door answers of some tables: a digest of it, or an error."""
    opened = cache(lambda: Lake(lake))
    questions: dict[str, Callable[[], Any]] = {}
    for table in tables or TABLES:
        questions[f"SQL {table}"] = lambda table=table: sorted(opened().sql(question([table])).fetchall(), key=str)
        questions[f"Polars {table}"] = lambda table=table: _of_polars(opened(), table)
        questions |= {f"Python {table}: {name}": partial(ask, lake) for name, ask in FUNCTIONS.get(table, {}).items()}
    if tables is None:
        questions["SQL hdr3_msid"] = lambda: sorted(opened().sql("FROM hdr3_msid").fetchall())
        questions["SQL status"] = lambda: opened().sql("SELECT * EXCLUDE files FROM status").fetchall()
    found = {}
    for name, ask in ((name, ask) for name, ask in questions.items() if name.startswith(only)):
        try:
            found[name] = hashlib.sha256(_bytes(ask())).hexdigest()[:16]
        except BaseException as error:  # Polars' panic is no Exception
            kind = "ValueError" if isinstance(error, ValueError) else type(error).__name__
            found[name] = f"{kind}: {error}"
    return found


def _of_polars(lake: Lake, table: str) -> Any:
    rows = lake.scan(table).collect()
    return [rows.columns, rows.rows()] if len(rows) < 10_000 else [rows.columns, rows.hash_rows().sum(), len(rows)]


def _bytes(answer: Any) -> bytes:
    if isinstance(answer, Table):
        answer = answer.as_array()
    if isinstance(answer, np.ndarray):
        mask = np.ma.getmaskarray(answer) if isinstance(answer, np.ma.MaskedArray) else None
        values = np.ma.getdata(answer)
        content = repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes()
        return content + (mask.tobytes() if mask is not None else b"")
    return repr(answer).encode()


def _observed(lake: str) -> int:
    return int(min(obspar.get_obsids(0, 6e9, data_root=lake)))


#: Of the Python functions, some of each table.
FUNCTIONS: dict[str, dict[str, Callable[[str], Any]]] = {
    "aca_l0": {"get_slot_data": lambda lake: aca_l0.get_slot_data(MIDNIGHT - 9e4, MIDNIGHT + 9e4, 3, data_root=lake)},
    "hdr3": {"MSID": lambda lake: aca_hdr3.MSID("dac", MIDNIGHT - 9e4, MIDNIGHT + 9e4, data_root=lake).vals},
    "dark_cal": {"props": lambda lake: dark_cal.get_dark_cal_props_table(data_root=lake)},
    "dark_cal_image": {
        "image": lambda lake: dark_cal.get_dark_cal_image("2015101", data_root=lake, t_ccd_ref=None),
    },
    "obspar": {"get_obspar": lambda lake: obspar.get_obspar(_observed(lake), "last", data_root=lake)},
    "asp_l1_file": {"get_files": lambda lake: asp_l1.get_files(_observed(lake), data_root=lake)},
    "asp_sol": {"get_atts": lambda lake: asp_l1.get_atts(_observed(lake), data_root=lake)},
    "acq_stats": {"get_stats": lambda lake: acq_stats.get_stats(data_root=lake)},
    "guide_stats": {"get_stats": lambda lake: guide_stats.get_stats(data_root=lake)},
    "vv_rms": {"get_rms_data": lambda lake: vv.get_rms_data(data_root=lake)},
    "vv_report": {"get_vv": lambda lake: vv.get_vv(_observed(lake), "last", data_root=lake)},
}


class Steps:
    """Count the steps on the disk; die before one of them, by SIGKILL."""

    def __init__(self, die: int | None) -> None:
        self.count, self.die = 0, die
        self.commits: list[list[int]] = []
        for owner, name in ((os, "link"), (os, "fsync"), (Path, "replace"), (Path, "unlink")):
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            if self.count == self.die:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1
            return real(*args, **options)

        return step

    def watch_commits(self, snapshots: str | None) -> None:
        """Note from which step to which each commit has partitions under way; keep a copy of the lake after each."""
        begin, real = commit._begin, commit.commit

        def begun(*args: Any) -> None:
            begin(*args)
            self.commits[-1][0] = self.count

        def committed(root: Any, *args: Any) -> None:
            self.commits.append([self.count, 0])
            real(root, *args)
            self.commits[-1][1] = self.count
            if snapshots:
                copy = Path(snapshots) / str(len(self.commits))
                subprocess.run(["cp", "-a", str(root), copy], check=True)
                (copy / "_catalog" / "lock").write_text("")

        commit._begin = begun  # type: ignore[assignment]
        for module in [m for m in sys.modules.values() if getattr(m, "commit", None) is real]:
            module.commit = committed  # type: ignore[attr-defined]


def command(argv: list[str], die: int | None, snapshots: str | None, watch: bool) -> dict[str, Any]:
    """Run a command of mica-lake."""
    found: dict[str, Any] = {"code": 0, "error": None}
    steps = Steps(die)
    if watch:
        steps.watch_commits(snapshots)
    try:
        app(argv)
    except SystemExit as end:
        found["code"] = end.code or 0
    except Exception as error:
        found |= {"code": 1, "error": [type(error).__name__, str(error)]}
    sys.stdout.flush()
    return found | {"steps": steps.count, "commits": steps.commits}


def serve(request: dict[str, Any], answer: int) -> None:
    """Carry a request out, in a process of its own."""
    output = os.memfd_create("output")
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        if request["do"] == "command":
            found: Any = command(request["argv"], request.get("die"), request.get("snapshots"), request["watch"])
            found["output"] = os.pread(output, 1 << 20, 0).decode()
        else:
            found = {"look": look, "poll": poll, "doors": doors}[request["do"]](*request["of"])
    except Exception as error:
        found = {"error": [type(error).__name__, str(error)]}
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)


def main() -> None:
    os.environ["COLUMNS"] = "500"
    for line in sys.stdin:
        request = json.loads(line)
        there, here = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(there)
            serve(request, here)
            os._exit(0)
        os.close(here)
        if "after" in request:
            time.sleep(request["after"])
            os.kill(pid, signal.SIGKILL)
        with os.fdopen(there) as file:
            text = file.read()
        status = os.waitpid(pid, 0)[1]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        found = json.loads(text) if text and not killed else None
        print(json.dumps({"killed": killed, "status": status, "found": found}), flush=True)


if __name__ == "__main__":
    main()
