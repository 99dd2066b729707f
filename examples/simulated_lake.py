"""Make a lake of simulated files with what the examples need, and little else: python simulated_lake.py FOLDER."""

import os
import sys
from pathlib import Path

from rich.console import Console

from mica_lake.ingest import aca_l0, everything
from mica_lake.simulate import aca_l0 as aca_l0_files
from mica_lake.simulate import asp_l1, dark_cal, obspar, starcheck, stats
from mica_lake.simulate.observations import observations
from mica_lake.times import cxcsec

DAY, HOUR = 86400.0, 3600.0


def simulate(ska: Path, jobs: int) -> None:
    """Write twenty days (only the fourth is complete), four years of statistics, and dark current every two years."""
    start, stop = cxcsec("2024:001"), cxcsec("2024:021")
    fourth = start + 3 * DAY
    aca_l0_files.write_archive(ska, fourth, fourth + DAY, slots=[6, 7], ska=True, jobs=jobs)
    aca_l0_files.write_archive(ska, fourth + 12 * HOUR, fourth + 12 * HOUR + 60, slots=[2], ska=True)
    # On the other days, three hours of header 3, each day at another time.
    folder = ska / "8x8"
    folder.mkdir()
    for day in range(20):
        if day != 3:
            begin = start + day * DAY + (5 * day % 21) * HOUR
            times = aca_l0_files.times(begin, begin + 3 * HOUR, 8)
            for slot in (6, 7):
                aca_l0_files.write_file(folder, slot, aca_l0_files.readouts(slot, 8, times))
    of_the_day = observations(fourth, fourth + DAY)
    obspar.write_archive(ska, of_the_day)
    asp_l1.write_archive(ska, of_the_day, jobs=jobs)
    stats.write_archive(ska, observations(cxcsec("2020:001"), stop))
    starcheck.write_archive(ska, observations(cxcsec("2022:001"), stop))
    dark_cal.write_archive(ska, cxcsec("2000:001"), stop, every=730.5 * DAY)


def main(folder: Path) -> int:
    """Simulate files in ska/, ingest them into lake/, and return the exit code."""
    ska, lake, jobs = folder / "ska", folder / "lake", os.cpu_count() or 1
    simulate(ska, jobs)
    aca_l0.ingest([ska / "8x8"], lake, jobs=jobs)
    code = everything.ingest([ska], lake, jobs=jobs, console=Console())
    print(f"export MICA_LAKE={lake.resolve()}")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
