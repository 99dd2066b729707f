"""
Start: whole processes, from the shell to the answer, on simulated files.

usage: python benchmarks/start.py [--days 5] [--jobs N] [--dir DIR] [--mission]

A process that asks for a day of one MSID is compared with one that opens its files; a command, with a process that
imports DuckDB and connects, of which no command can take less.
"""

import os
import subprocess
import sys
from pathlib import Path

from mica_lake.ingest.aca_l0 import ingest
from mica_lake.times import cxcsec
from side_by_side import Rows, best, main, simulate_8x8

START = cxcsec("2024:001")
DAY = 86400.0
FACADE = "from mica_lake.archive.aca_hdr3 import MSID; import sys; print(len(MSID('ccd_temp', *sys.argv[1:]).vals))"
PER_FILE = """
import sys
import numpy as np
from astropy.io import fits
from mica_lake.tables.hdr3_msids import BY_NAME
msid, times, words = BY_NAME["ccd_temp"], [], []
for path in sys.argv[1:]:
    with fits.open(path) as hdus:
        times.append(np.array(hdus[1].data["TIME"]))
        words.append(np.column_stack([hdus[1].data[f"HD3TLM{word}"] for _, word in msid.bytes]))
print(len(msid.values(np.concatenate(words))))
"""
CONNECT = "import duckdb; duckdb.connect()"


def run(folder: Path, days: int, jobs: int, mission: bool) -> Rows:
    """Simulate and measure; days and mission do not count here."""
    files, root = folder / "start_files", folder / "start_lake"
    if not files.exists():
        simulate_8x8(files, (6,), START, START + DAY, jobs)
    ingest([files], root, jobs=jobs)
    environment = os.environ | {"MICA_LAKE": str(root)}
    program = Path(sys.executable).with_name("mica-lake")

    def seconds(*command: object) -> float:
        words = [str(word) for word in command]
        return best(lambda: subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL), 7)

    rows = Rows()
    interval = ("2024:001", "2024:002")
    rows.add(
        "a process: a day of one MSID",
        seconds(sys.executable, "-c", FACADE, *interval),
        seconds(sys.executable, "-c", PER_FILE, *sorted(files.glob("*.fits.gz"))),
        goal=5,
    )
    connect = seconds(sys.executable, "-c", CONNECT)
    query = "SELECT count(*) FROM hdr3_data('2024:001', '2024:002')"
    for name, command in (
        ("sql", ("sql", query)),
        ("msid", ("msid", "ccd_temp", "--start", interval[0], "--stop", interval[1])),
        ("status", ("status",)),
    ):
        rows.add(f"mica-lake {name}, and a process that connects", seconds(program, *command), connect, goal=1 / 2.5)
    return rows


if __name__ == "__main__":
    main(__doc__, run)
