"""
How fast statistics are gathered from telemetry: observations of an hour, a second and core, and where the time goes.

usage: python benchmarks/gather.py [OBSERVATIONS]
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from mica_lake.ingest import obspar as ingest_obspar
from mica_lake.ingest import starcheck as ingest_starcheck
from mica_lake.ingest.gather import gather
from mica_lake.ingest.telemetry import source_of, telemetry_from
from mica_lake.simulate import obspar, starcheck, telemetry
from mica_lake.simulate.observations import observations
from mica_lake.stats import acq_stats, guide_stats

START, HOUR, SPACING = 7e8, 3600.0, 19800.0


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        ska, lake = Path(folder) / "ska", Path(folder) / "lake"
        every = observations(START, START + (wanted + 2) * SPACING)[:wanted]
        observed = [replace(one, tstop=min(one.tstop, one.tstart + HOUR)) for one in every]
        for module in (telemetry, starcheck, obspar):
            module.write_archive(ska, observed)
        for ingest in (ingest_starcheck, ingest_obspar):
            ingest.ingest(ska, lake, jobs=1)
        archive, agasc = str(ska / "data/eng_archive"), ska / "data/agasc/miniagasc.h5"
        report = gather(lake, telemetry=archive, agasc=agasc, jobs=1)
        assert report.gathered == len(observed), report.left_out
        rate = len(observed) / report.seconds
        print(f"{len(observed)} observations of an hour, one core: {report.seconds:.1f} s, {rate:.1f} a second")
        print(f"rows: {report.rows['acq_stats']:,} and {report.rows['guide_stats']:,}")
        began = perf_counter()
        source = source_of(archive)
        for one in observed[:20]:
            telemetry_from(source, one.tstart - 1800, one.tstop + 100)
        print(f"reading, one observation at a time: {(perf_counter() - began) / 20 * 1e3:.1f} ms each")
        case = telemetry.example(START, HOUR)
        for name, module_of in (("acq_stats", acq_stats), ("guide_stats", guide_stats)):
            began = perf_counter()
            for _ in range(20):
                module_of.calc_stats(*case)
            print(f"{name}.calc_stats: {(perf_counter() - began) / 20 * 1e3:.1f} ms each")


main()
