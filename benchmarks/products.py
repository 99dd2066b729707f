"""
Dark current, observation parameters, aspect solutions, load reviews, observing catalog: the lake beside their files.

usage: python benchmarks/products.py [--days 5] [--jobs N] [--dir DIR] [--mission]

Each row compares two times of the same run; the best of several repetitions counts on both sides. 10 calibrations and
400 observations per day, at most 50 and 2,000; aspect products of the first six observations; an observing catalog of
25,000 targets, as many as the real one has.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from rich.console import Console

from mica_lake import per_file
from mica_lake.archive import asp_l1, cda, obspar
from mica_lake.archive.aca_dark import dark_cal, dark_model
from mica_lake.archive.arrays import values_and_mask
from mica_lake.archive.cda import services
from mica_lake.formats.starcheck import folder_of, read_starcheck
from mica_lake.ingest import follow
from mica_lake.lake import Lake
from mica_lake.simulate import asp_l1 as simulate_asp_l1
from mica_lake.simulate import dark_cal as simulate_dark_cal
from mica_lake.simulate import obspar as simulate_obspar
from mica_lake.simulate import ocat as simulate_ocat
from mica_lake.simulate import starcheck as simulate_starcheck
from mica_lake.simulate.observations import observations
from mica_lake.starcheck import get_starcat
from mica_lake.times import cxcsec
from side_by_side import Rows, best, main

CALIBRATIONS, OBSERVATIONS = 10, 400  # a day
TARGETS = 25_000
START = cxcsec("2012:001")


def one_warm_fraction(time: float) -> float:
    """The model's fraction of pixels above 100 e-/s at one time and -12 °C, by the formula for one."""
    _, edges, pixels = dark_model.get_dark_hist(time, -12.0)
    i = np.searchsorted(edges, 100.0)
    level, upper, lower = np.log(100.0), np.log(edges[i]), np.log(edges[i - 1])
    m = np.log(pixels[i] / pixels[i - 1]) / (upper - lower)
    part = pixels[i] * (upper**m - level**m) / (upper**m - lower**m)
    return float((pixels[i:].sum() + part) / 1024**2)


def run(folder: Path, days: int, jobs: int, mission: bool) -> Rows:
    """Simulate, measure, print; there is no mission here."""
    calibrations, count = CALIBRATIONS * min(days, 5), OBSERVATIONS * min(days, 5)
    console = Console()
    ska, root = folder / "ska_products", folder / "lake_products"
    found = observations(START, START + 2 * 365.25 * 86400)[:count]
    if not ska.exists():
        first = cxcsec("2000:001")
        simulate_dark_cal.write_archive(
            ska, first, first + (calibrations - 0.5) * 0.5 * 365.25 * 86400, every=0.5 * 365.25 * 86400
        )
        simulate_obspar.write_archive(ska, found)
        simulate_asp_l1.write_archive(ska, found[:6], jobs=jobs)
        simulate_starcheck.write_archive(ska, found)
        simulate_ocat.write_archive(ska, observations(cxcsec("1999:240"), cxcsec("2017:240"))[:TARGETS])
    for name in ("dark_cal", "obspar", "asp_l1", "starcheck", "ocat"):
        report = follow.ingest(name, ska, root, jobs=jobs)
        if report.taken:
            size = report.bytes_out / report.bytes_in
            console.print(f"{name}: {len(report.taken):,} files in {report.seconds:,.1f} s, {size:.2f} of their size")
    lake = Lake(root)
    rows = Rows()

    images = sorted(ska.rglob("image.fits"))
    middle = dark_cal.dark_id_to_date(images[len(images) // 2].parent.name)
    fractions = [fraction for (fraction,) in lake.sql("SELECT fraction FROM warm_pixels(100)").fetchall()]
    assert fractions == per_file.warm_fractions(images, 100.0)
    rows.add(
        f"warm pixels of {len(images)} calibrations, as observed and scaled",
        best(lambda: lake.sql("FROM warm_pixels(100)").fetchall(), 30),
        best(lambda: per_file.warm_fractions(images, 100.0), 3),
    )
    times = cxcsec("2003:001") + 86400.0 * 7 * np.arange(1000)
    assert np.allclose(dark_model.get_warm_fracs(100, times, -12.0), [one_warm_fraction(t) for t in times], rtol=1e-10)
    rows.add(
        "get_warm_fracs of 1,000 dates, and its formula for one after the other",
        best(lambda: dark_model.get_warm_fracs(100, times, -12.0), 30),
        best(lambda: [one_warm_fraction(t) for t in times], 3),
        50,
    )
    rows.add(
        f"measured and modelled warm pixels of {len(images)} calibrations, and counting in their images",
        best(lambda: lake.sql("FROM warm_fraction_by_dark_cal").fetchall(), 10),
        best(lambda: per_file.warm_fractions(images, 100.0), 3),
    )
    rows.add(
        "image of a calibration, the first time",
        best(lambda: (dark_cal._observed.cache_clear(), dark_cal.get_dark_cal_image(middle, data_root=root)), 5),
        best(lambda: per_file.dark_image(images[len(images) // 2]), 5),
    )
    paths = [Path(p) for p in obspar.get_files(start=START, stop=START + 3e8, revision="all", data_root=root)]
    ids = [int(path.name[5:10]) for path in paths]
    assert obspar.get_obspar(ids[7], int(paths[7].parent.name[-2:]), data_root=root) == per_file.obspar(paths[7])
    top = ska / "data" / "mica" / "archive" / "obspar"

    def from_file(obsid: int) -> None:
        per_file.obspar(next((top / f"{obsid:05d}"[:2] / f"{obsid:05d}").glob("axaff*.par.gz")))

    one = next(o.obsid for o in found[100:] if o.default is not None)
    rows.add(
        "get_obspar of one obsid, its year known",
        best(lambda: obspar.get_obspar(one, data_root=root), 50),
        best(lambda: from_file(one), 50),
    )

    def cold() -> None:
        obspar._index.cache_clear()
        obspar._YEARS = obspar._Years()
        for obsid in ids:
            obspar.get_obspar(obsid, "last", data_root=root)

    rows.add(
        f"get_obspar of {len(ids):,} obsids, nothing known",
        best(cold, 3),
        best(lambda: [per_file.obspar(path) for path in paths], 1),
    )

    def cold_one() -> None:
        obspar._index.cache_clear()
        obspar._YEARS = obspar._Years()
        obspar.get_obspar(one, data_root=root)

    rows.add("get_obspar of one obsid, nothing known", best(cold_one, 5), best(lambda: from_file(one), 50))
    rows.add(
        f"one key of {len(paths):,} obspars, DuckDB's execute",
        best(lambda: lake.connection.execute("SELECT obsid, sim_z FROM obspar").fetchnumpy(), 30),
        best(lambda: [per_file.obspar(path)["sim_z"] for path in paths], 1),
    )
    rows.add(
        f"one key of {len(paths):,} obspars, lake.sql (plans twice)",
        best(lambda: lake.sql("SELECT obsid, sim_z FROM obspar").fetchnumpy(), 30),
        best(lambda: [per_file.obspar(path)["sim_z"] for path in paths], 1),
    )
    obsid = next(o.obsid for o in found if o.default is not None)
    solution = [Path(p) for p in asp_l1.get_files(obsid, content="ASPSOL", data_root=root)]
    query = "SELECT * FROM asp_sol($start, $stop) WHERE obsid = $obsid"
    observation = next(o for o in found if o.obsid == obsid)
    params = {"start": observation.tstart, "stop": observation.tstop, "obsid": obsid}
    assert len(lake.sql(query, params).fetchnumpy()["time"]) == len(per_file.aspect_solution(solution)["time"])
    rows.add(
        "aspect solution of an obsid, all columns to Arrow",
        best(lambda: lake.arrow(query, params), 30),
        best(lambda: per_file.aspect_solution(solution), 5),
    )
    names = ["time", "ra", "dec", "roll", "dy", "dz", "dtheta"]

    def to_arrays() -> dict[str, Any]:
        found = lake.arrow(f"SELECT {', '.join(names)}, q_att FROM asp_sol($start, $stop) WHERE obsid = $obsid", params)
        q = np.concatenate([chunk.flatten().to_numpy() for chunk in found.column("q_att").chunks]).reshape(-1, 4)
        return {name: values_and_mask(found.column(name), np.dtype(float))[0] for name in names} | {"q_att": q}

    arrays = per_file.aspect_solution(solution)
    assert all(np.array_equal(arrays[name], values) for name, values in to_arrays().items())
    rows.add(
        "aspect solution of an obsid, the columns of the file to arrays",
        best(to_arrays, 30),
        best(lambda: per_file.aspect_solution(solution), 5),
    )
    rows.add(
        "get_atts of an obsid",
        best(lambda: asp_l1.get_atts(obsid, data_root=root), 30),
        best(lambda: per_file.aspect_solution(solution), 5),
    )
    reviews = ska / "data/mica/archive/starcheck"

    def from_report() -> list[dict[str, Any]]:
        with (reviews / "observations.csv").open() as lines:
            load = next(row["source"] for row in reversed(list(csv.DictReader(lines))) if row["obsid"] == str(one))
        folder = folder_of(load)
        assert folder is not None
        review = read_starcheck(reviews / folder.strip("/") / "starcheck.txt")
        return next(planned.catalog for planned in review if planned.obsid == one)

    catalog = get_starcat(one, data_root=root)
    assert catalog is not None
    assert catalog["id"].tolist() == [entry["id"] for entry in from_report()]
    rows.add(
        f"get_starcat of one of {len(found):,} obsids, and reading its report",
        best(lambda: get_starcat(one, data_root=root), 20),
        best(from_report, 10),
        goal=5,
    )
    file = ska / "data/mica/archive/ocat_target_table.h5"

    def from_hdf5() -> Any:
        table = Table.read(file, path="data")
        return table[(table["exp_time"] > 20) & (table["instr"] == b"ACIS-S")]

    def chosen() -> Table:
        return cda.get_ocat_local(where="(exp_time > 20) & (instr == 'ACIS-S')", data_root=root)

    def chosen_cold() -> None:
        services._of_lake.cache_clear()
        chosen()

    assert chosen()["obsid"].tolist() == from_hdf5()["obsid"].tolist()
    for what, ours in (("", chosen), (", the first time", chosen_cold)):
        rows.add(
            f"get_ocat_local of {TARGETS:,} targets by a condition{what}, and reading the table with astropy",
            best(ours, 20),
            best(from_hdf5, 10),
            goal=None if what else 3,
        )
    return rows


if __name__ == "__main__":
    main(__doc__, run)
