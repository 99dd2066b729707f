"""
Statistics and V&V: the lake compared with h5py reading the HDF5 tables, and the time for residuals of an observation.

usage: python benchmarks/stats.py [--jobs N] [--dir DIR]

The tables are simulated: 500,000 rows each (170,000 of V&V) over 27 years, in chunks like those of PyTables. Each row
compares two times of the same run; the best of several repetitions counts on both sides. Needs h5py and matplotlib.
"""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from mica_lake.formats.fits_product import ProductFile
from mica_lake.ingest import acq_stats as ingest_acq_stats
from mica_lake.ingest import asp_l1 as ingest_asp_l1
from mica_lake.ingest import guide_stats as ingest_guide_stats
from mica_lake.ingest import obspar as ingest_obspar
from mica_lake.ingest import vv as ingest_vv
from mica_lake.lake import Lake
from mica_lake.simulate import asp_l1, obspar, stats, vv
from mica_lake.simulate.observations import observations
from mica_lake.stats import acq_stats, guide_stats
from mica_lake.times import cxcsec
from mica_lake.vv import get_arch_vv, get_rms_data, plots
from side_by_side import Rows, best, main

ROWS, STARS, CHUNK_BYTES, VV_ROWS = 500_000, 60_000, 1 << 18, 170_000
START, STOP = cxcsec("1999:240"), cxcsec("2026:240")


def simulate(ska: Path) -> None:
    """Write both tables: the same observations over and over, with other stars each time."""
    some = observations(cxcsec("2012:001"), cxcsec("2013:001"))
    times = np.linspace(START, STOP, ROWS // 8).tolist()
    observed = [replace(some[n % len(some)], obsid=n, tstart=time, tstop=time + 10000) for n, time in enumerate(times)]
    rng = np.random.default_rng(0)
    stars = rng.choice(rng.integers(1_000_000, 1_200_000_000, STARS), ROWS)
    for path in stats.write_archive(ska, observed):
        rows = read(path)
        rows["agasc_id"] = stars
        with h5py.File(path, "w") as file:
            chunks = (CHUNK_BYTES // rows.dtype.itemsize,)
            file.create_dataset("data", data=rows, chunks=chunks, compression="gzip", compression_opts=5)


def simulate_vv(ska: Path) -> None:
    """Write products of two observations, and a table that repeats their residuals."""
    some = [o for o in observations(cxcsec("2012:001"), cxcsec("2012:010")) if o.detector != "NONE"][:2]
    for simulator in (obspar, asp_l1, vv):
        simulator.write_archive(ska, some)
    path = ska / "data/mica/archive/vv/vv.h5"
    rows = np.resize(read(path, "vv"), VV_ROWS)
    rows["tstart"] = np.linspace(START, STOP, VV_ROWS)
    rows["obsid"] = 1 + np.arange(VV_ROWS) // 8
    with h5py.File(path, "w") as file:
        chunks = (CHUNK_BYTES // rows.dtype.itemsize,)
        file.create_dataset("vv", data=rows, chunks=chunks, compression="gzip", compression_opts=5)


def read(path: Path, node: str = "data") -> NDArray[Any]:
    """Read the whole table with h5py."""
    with h5py.File(path) as file:
        return file[node][()]  # type: ignore[no-any-return]


def success(path: Path) -> list[tuple[float, int, int]]:
    """Stars, and stars acquired, by half magnitude, from the columns needed."""
    with h5py.File(path) as file:
        mag, acquired, bad = (file["data"][name] for name in ("mag", "acqid", "known_bad"))
    bins, place = np.unique(np.floor(mag[~bad] * 2) / 2, return_inverse=True)
    counts = np.bincount(place), np.bincount(place, acquired[~bad])
    return [(float(b), int(n), int(k)) for b, n, k in zip(bins, *counts, strict=True)]


def few_stars(facade: ModuleType, star: int, root: Path) -> NDArray[Any]:
    """Rows of a star, where not many have been asked for."""
    facade._STATS._of = None
    return facade.get_star_stats(star, data_root=root)  # type: ignore[no-any-return]


def run(folder: Path, days: int, jobs: int, mission: bool) -> Rows:
    """Simulate, measure, print; days and mission do not count here."""
    console = Console()
    ska, root = folder / "ska_stats", folder / "lake_stats"
    if not ska.exists():
        simulate(ska)
        simulate_vv(ska)
    for one in (ingest_acq_stats, ingest_guide_stats, ingest_obspar, ingest_asp_l1, ingest_vv):
        report = one.ingest(ska, root, jobs=jobs)
        if report.taken:
            size = report.bytes_out / report.bytes_in
            console.print(f"{report.product}: {report.rows:,} rows in {report.seconds:,.1f} s, {size:.2f} of the file")
    lake = Lake(root)
    table = Rows()
    for name, facade in (("acq_stats", acq_stats), ("guide_stats", guide_stats)):
        path = ska / "data" / name / f"{name}.h5"
        rows = read(path)
        assert facade.get_stats(filter=False, data_root=root).tobytes() == rows.tobytes()
        ids, counts = np.unique(rows["agasc_id"], return_counts=True)
        reading = best(lambda path=path: read(path), 5)
        table.add(
            f"{name}.get_stats, {len(rows):,} rows, and reading them all",
            best(lambda facade=facade: facade.get_stats(filter=False, data_root=root), 5),
            reading,
        )
        by_count = ids[np.argsort(counts, kind="stable")]
        for which, star in (("usual", int(by_count[len(by_count) // 2])), ("most", int(by_count[-1]))):
            found = facade.get_star_stats(star, filter=False, data_root=root)
            assert found.tobytes() == rows[rows["agasc_id"] == star].tobytes()
            table.add(
                f"{name}.get_star_stats, {len(found)} rows ({which}), and reading all",
                best(lambda facade=facade, star=star: few_stars(facade, star, root), 20),
                reading,
            )
        some = iter(by_count[-2000::20].tolist())
        table.add(
            f"{name}.get_star_stats of a star, many asked for, and reading all",
            best(lambda facade=facade, some=some: facade.get_star_stats(next(some), data_root=root), 100),
            reading,
            goal=100,
        )
    path = ska / "data" / "acq_stats" / "acq_stats.h5"
    query = "SELECT mag, n, n_acquired FROM acq_success_by_mag"
    assert lake.sql(query).fetchall() == success(path)
    table.add(
        "success by magnitude, SQL and numpy over three columns",
        best(lambda: lake.sql(query).fetchall(), 15),
        best(lambda: success(path), 5),
    )
    path = ska / "data/mica/archive/vv/vv.h5"
    assert get_rms_data(root).tobytes() == read(path, "vv").tobytes()
    table.add(
        f"get_rms_data, {VV_ROWS:,} rows, and reading them all",
        best(lambda: get_rms_data(root), 5),
        best(lambda: read(path, "vv"), 5),
    )
    ((obsid,), *_) = lake.sql("SELECT DISTINCT obsid FROM asp_l1_file ORDER BY obsid").fetchall()
    files = sorted((ska / "data/mica/archive/asp1").glob(f"*/{obsid:05d}_v*/*.fits.gz"))
    folder = files[-1].parent
    obi = get_arch_vv(obsid, "last", root)
    seconds = (obi.obspar["tstop"] - obi.obspar["tstart"]) / 1000
    table.add(
        f"Obi of {seconds:.0f} ks, {len(obi.aspect_intervals)} interval(s), and only reading its files (part of it)",
        best(lambda: get_arch_vv(obsid, "last", root), 5),
        best(lambda: [ProductFile(path) for path in files if path.parent == folder], 5),
    )
    table.add(
        "all pictures of a slot, and only the one with all panels (part of it)",
        best(lambda: [plots.png(figure) for figure in (obi.plot_slot(3), *obi.plot_slot(3, singles=True).values())], 1),
        best(lambda: plots.png(obi.plot_slot(3)), 1),
    )
    return table


if __name__ == "__main__":
    main(__doc__, run)
