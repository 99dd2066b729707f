"""The demo: a simulated archive with a day of the aspect camera, its lake, and a question for each door."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mica_lake import per_file
from mica_lake.archive import aca_l0
from mica_lake.archive.intervals import days_of
from mica_lake.cli.stats_output import show
from mica_lake.errors import counted
from mica_lake.ingest import everything
from mica_lake.ingest.gather import gather
from mica_lake.lake import Lake
from mica_lake.products import Product
from mica_lake.simulate import telemetry
from mica_lake.simulate.days import Days, write_days
from mica_lake.terminal import escape
from mica_lake.times import cxcsec, utc

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START, STOP = "2024:001", "2024:002"
_OURS = {"ska", "lake", "demo.png", "warm_pixels.png"}
# What no tool could be asked before: telemetry, by observation, by what the observation was of.
_JOIN = """
    SELECT
        obspar.obsid,
        obspar.detector,
        avg(readout.TEMPCCD) - 273.15 AS celsius,
        any_value(aspect.roll) AS roll
    FROM obspar
    JOIN slot_data($start, $stop, 0) AS readout ON readout.TIME BETWEEN obspar.tstart AND obspar.tstop
    LEFT JOIN (
        SELECT obsid, avg(roll) AS roll FROM asp_sol($start, $stop) WHERE asp_sol_status = 0 GROUP BY obsid
    ) AS aspect ON aspect.obsid = obspar.obsid
    WHERE obspar.islast
    GROUP BY ALL
    ORDER BY min(obspar.tstart)
"""

# What a catalog expected of its stars, and what came of it.
_ACQUIRED = """
    SELECT
        floor(mag * 2) / 2 AS mag,
        5 * floor(20 * n100_warm_frac) AS warm,
        count(*) AS stars,
        avg(p_acq) AS predicted,
        avg(acqid::INTEGER) AS acquired
    FROM star_catalog_acq
    WHERE acqid IS NOT NULL AND NOT known_bad
    GROUP BY ALL
    ORDER BY ALL
"""


def run(directory: Path, jobs: int, console: Console) -> None:
    """Simulate an archive, ingest it, answer questions, write two plots."""
    if directory.exists() and {entry.name for entry in directory.iterdir()} - _OURS:
        raise ValueError(f"{directory} holds other things: name a new directory, as in 'mica-lake demo /tmp/demo'")
    ska, root = directory / "ska", directory / "lake"
    console.print(
        f"[bold]1. An archive, simulated[/] in {escape(ska)}: a day of eight slots, its observations with aspect "
        "solutions, V&V and statistics, and a dark current calibration a year"
    )
    began = time.perf_counter()
    paths = _simulate(ska, jobs, console)
    size = sum(path.stat().st_size for path in paths) / 1e6
    console.print(f"{counted(len(paths), 'file')}, {size:.0f} MB, {time.perf_counter() - began:.1f} s\n")
    console.print(f"[bold]2. Ingest[/]: mica-lake ingest all --from {escape(ska)} --lake {escape(root)}")
    console.print(
        "The archive keeps superseded files that its index no longer lists; these are left alone, as intended."
    )
    everything.ingest([ska], root, jobs=jobs, console=console)
    _gather(ska, root, jobs, console)
    lake = Lake(root)
    console.print("\n[bold]3. The same questions through each door, and file by file[/]")
    _ask(lake, console)
    console.print(
        "\n[bold]4. A question across products[/]: CCD temperature, detector and roll of each observation of the day, "
        "in one SQL statement"
    )
    table = Table("obsid", "detector", "°C", "roll")
    for obsid, detector, celsius, roll in lake.sql(_JOIN, {"start": START, "stop": STOP}).fetchall():
        table.add_row(str(obsid), detector, f"{celsius:.2f}", "" if roll is None else f"{roll:.2f}")
    console.print(table)
    if acquired := lake.sql(_ACQUIRED).fetchall():
        console.print(
            "\nand of the stars of the catalogs that ran, by magnitude and share of warm pixels: which were acquired?"
        )
        table = Table("mag", "warm pixels", "stars", "predicted", "acquired")
        for mag, warm, stars, predicted, share in acquired:
            table.add_row(
                f"{mag:.1f}", f"{warm:.0f} to {warm + 5:.0f} %", str(stars), f"{predicted:.2f}", f"{share:.2f}"
            )
        console.print(table)
    console.print("\n[bold]5. Pictures[/]")
    try:
        day(root, START, STOP).savefig(directory / "demo.png", dpi=110)
        console.print(f"{escape(directory / 'demo.png')}: CCD temperature and star images of the day")
        console.print(f"{escape(_plot_warm_pixels(lake, directory / 'warm_pixels.png'))}: how the CCD has aged")
    except ImportError:
        console.print("not drawn, as matplotlib is absent: pip install 'mica-lake\\[plot]' and run the demo again")
    following = f"""
[bold]Next[/]
  export MICA_LAKE={escape(root.resolve())}
  mica-lake status
  mica-lake sql "SELECT IMGSIZE, count(*) AS n FROM slot_data('{START}', '{STOP}', 5) GROUP BY ALL"
  mica-lake sql "FROM warm_pixels(100)"
  python -c "from mica_lake.archive import aca_l0; print(aca_l0.get_l0_images('{START}', '{START}:00:01', 3)[0])"
The README has more; your own files go in with 'mica-lake ingest all --from $SKA'."""
    console.print(following, soft_wrap=True, highlight=False)


def _simulate(ska: Path, jobs: int, console: Console) -> list[Path]:
    paths: list[Path] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:

        def begin(product: Product) -> Callable[[int], None]:
            task = progress.add_task(product.title, total=None)
            return lambda done: progress.update(task, description=f"{product.title}, {done}")

        for product, written in write_days(Days(ska, cxcsec(START), cxcsec(STOP), jobs), begin):
            if isinstance(written, ImportError):
                console.print(f"without {product.described_in}: {escape(written)}")
            else:
                paths += written
    return paths


def _gather(ska: Path, root: Path, jobs: int, console: Console) -> None:
    """Statistics of the day's observations from simulated telemetry, in the place of those of the HDF5 tables."""
    observed = Days(ska, cxcsec(START), cxcsec(STOP)).observations
    try:
        telemetry.write_archive(ska, observed)
    except ImportError as error:
        console.print(f"no statistics from telemetry: {escape(error)}")
        return
    obsids = [one.obsid for one in observed]
    console.print(f"\n[bold]Statistics from telemetry[/]: mica-lake stats gather {' '.join(map(str, obsids))}")
    archive, agasc = ska / "data" / "eng_archive", ska / "data" / "agasc" / "miniagasc.h5"
    show(gather(root, obsids, telemetry=str(archive), agasc=agasc, jobs=jobs), console)


def _ask(lake: Lake, console: Console) -> None:
    start, stop = cxcsec(START), cxcsec(STOP)
    noon = start + 43200.0
    by_slot = [
        [Path(path) for path in aca_l0.get_files(start=start, stop=stop, slots=[slot], data_root=lake.root)]
        for slot in range(8)
    ]

    def facade() -> Any:
        data = aca_l0.get_slot_data(START, STOP, 3, columns=["TIME", "TEMPCCD"], data_root=lake.root)
        return data["TEMPCCD"].mean(dtype=float) - 273.15

    def file_by_file() -> Any:
        data = per_file.get_slot_data(by_slot[3], start, stop, ["TIME", "TEMPCCD"])
        return data["TEMPCCD"].mean(dtype=float) - 273.15

    def by_sql() -> Any:
        query = "SELECT avg(TEMPCCD) - 273.15 FROM slot_data($start, $stop, 3)"
        return lake.sql(query, {"start": START, "stop": STOP}).fetchall()[0][0]

    def by_polars() -> Any:
        frame = lake.scan("aca_l0", START, STOP, slot=3)
        return frame.select(pl.col("TEMPCCD").cast(pl.Float64).mean()).collect().item() - 273.15

    def images() -> Any:
        return len(aca_l0.get_aca_images(noon, noon + 3600, data_root=lake.root))

    def images_file_by_file() -> Any:
        near = [[p for p in slot if noon - 6500 <= int(p.name[4:13]) <= noon + 3700] for slot in by_slot]
        return len(per_file.get_aca_images(near, noon, noon + 3600))

    table = Table("question", "door")
    for name in ("answer", "ms", "times faster"):
        table.add_column(name, justify="right")
    doors: dict[str, Callable[[], Any]] = {"Python": facade, "SQL": by_sql, "Polars": by_polars}
    for question, unit, ways, slow in (
        ("mean CCD temperature of the day", " °C", doors, file_by_file),
        ("images of all slots in an hour", "", {"Python": images}, images_file_by_file),
    ):
        answer, slow_ms = _timed(slow)
        for door, function in ways.items():
            ours, ms = _timed(function)
            if not np.isclose(ours, answer, rtol=1e-6):
                raise AssertionError(f"{question}: {door} says {ours}, the files say {answer}")
            table.add_row(question, door, f"{ours:,.6g}{unit}", f"{ms:,.1f}", f"{slow_ms / ms:,.0f}")
        table.add_row(question, "file by file", f"{answer:,.6g}{unit}", f"{slow_ms:,.1f}", "1", end_section=True)
    console.print(table)


def _timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """An answer, and the shortest of three times it took, in ms."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        answer = function()
        times.append((time.perf_counter() - began) * 1e3)
    return answer, min(times)


def day(root: Path, start: str, stop: str) -> "Figure":
    """CCD temperature, and the images of all slots at the middle of the time."""
    import matplotlib.dates
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    panels: Any = figure.subfigures(2, 1, height_ratios=[1.4, 1])
    upper, lower = panels
    axes = upper.subplots()
    # Readings step by 0.4 K; their mean over five minutes shows what is between. Five minutes without any stay a gap.
    query = "SELECT floor(TIME / 300) AS bin, avg(TEMPCCD) - 273.15 FROM slot_data($start, $stop, 3) GROUP BY bin"
    means = dict(Lake(root).sql(query, {"start": start, "stop": stop}).fetchall())
    bins = np.arange(min(means), max(means) + 1)
    celsius = [np.nan if means.get(b) is None else means[b] for b in bins]
    axes.plot(days_of(bins * 300.0 + 150.0), celsius, ".-", ms=3, lw=0.8, color="#0072B2")
    axes.set(ylabel="CCD temperature (°C)", title="Slot 3 of a simulated day, means of 5 min (4x4 readouts have none)")
    locator = matplotlib.dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    axes.set_xlabel("UTC")
    middle = (cxcsec(start) + cxcsec(stop)) / 2
    images = [aca_l0.get_l0_images(middle, middle + 600, slot, data_root=root)[0] for slot in range(8)]
    norm = LogNorm(10, max(float(image.max()) for image in images), clip=True)
    lower.suptitle(f"The images of all slots at {utc(middle)[:17]} UTC", fontsize="medium")
    below = lower.subplots(1, 8)
    for slot, (axis, image) in enumerate(zip(below, images, strict=True)):
        drawn = axis.imshow(np.asarray(image), origin="lower", cmap="cividis", norm=norm)
        axis.set(title=f"slot {slot}", xticks=[], yticks=[])
        axis.set_xlabel(f"{image.shape[0]}x{image.shape[1]}")
    lower.colorbar(drawn, ax=below, label="DN", orientation="horizontal", fraction=0.1, aspect=60)
    return figure


def _plot_warm_pixels(lake: Lake, path: Path) -> Path:
    from astropy.time import Time
    from matplotlib.figure import Figure

    rows = lake.sql("SELECT time, fraction, fraction_ref FROM warm_pixels(100)").fetchall()
    times, observed, scaled = zip(*rows, strict=True)
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    dates = Time(times, format="cxcsec").utc.to_datetime()
    axes.plot(dates, np.array(observed) * 100, "o-", ms=3, lw=0.8, color="#0072B2", label="as observed")
    axes.plot(dates, np.array(scaled) * 100, "s-", ms=3, lw=0.8, color="#D55E00", label="scaled to -19 °C")
    axes.set(ylabel="pixels above 100 e-/s (%)", title="Warm pixels of the simulated calibrations", xlabel="UTC")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    return path
