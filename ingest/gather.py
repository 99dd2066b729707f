"""
Gather statistics: from telemetry, star catalogs and AGASC to tables `acq_stats` and `guide_stats`.

What is computed of an observation replaces all rows that a table has of it, imported or computed before, and stays: a
later ingest of the HDF5 file leaves the file's rows of that observation out. Only observations that a table has no row
of are gathered, or those that are named. Rows known to be bad are known to be bad after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.mend import writing
from mica_lake.catalog.root import existing
from mica_lake.errors import LakeError
from mica_lake.gathering import acquisition, guiding
from mica_lake.gathering.observed import odd_timing, slots_left_out
from mica_lake.gathering.telemetry import NotGathered
from mica_lake.ingest import stat_table
from mica_lake.ingest.agasc import Agasc
from mica_lake.ingest.follow import Run, Written, derived
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import SET_ASIDE, Report, progress_bar
from mica_lake.ingest.source_files import partitions
from mica_lake.ingest.telemetry import Source, between, source_of, telemetry_from
from mica_lake.lake import Lake
from mica_lake.products import product_named
from mica_lake.store.place import LakePath
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.times import cxcsec, utc

_CALC = {ACQ_STATS.name: acquisition.calc_stats, GUIDE_STATS.name: guiding.calc_stats}
_TABLES = {table.name: table for table in (ACQ_STATS, GUIDE_STATS)}
# Seconds of telemetry before the maneuver and after the observation: the next maneuver begins in these.
_BEFORE, _AFTER = 60.0, 1200.0
# Telemetry of so many seconds is read together, and rows of so many observations are committed together.
_TOGETHER = 86400.0
_A_COMMIT = 500
Rows = NDArray[np.void]


@dataclass(frozen=True)
class Observed:
    """
    An observation to be gathered.

    Attributes
    ----------
    facts : dict
        obsid, obi, manvr_start, mp_starcat_time, tstop: as `mica_lake.stats.acq_stats.calc_stats` takes them.
    catalog : list of dict
        Its star catalog.
    stars : dict
        AGASC rows of its stars, by id.
    tables : tuple of str
        The tables to gather it for.
    """

    facts: dict[str, Any]
    catalog: list[dict[str, Any]] = field(default_factory=list)
    stars: dict[int, Any] = field(default_factory=dict)
    tables: tuple[str, ...] = tuple(_CALC)

    @property
    def obsid(self) -> int:
        """Its number."""
        return int(self.facts["obsid"])

    @property
    def interval(self) -> tuple[float, float]:
        """When there has to be telemetry."""
        return self.facts["manvr_start"] - _BEFORE, self.facts["tstop"] + _AFTER


@dataclass
class Gathered:
    """
    What was gathered of some observations.

    Attributes
    ----------
    rows : dict
        Table -> rows.
    temperature : dict
        Table -> where the temperature of each row is from.
    left_out : dict
        Obsid -> why it has no rows, or not all.
    odd : dict
        Obsid -> what is odd about it, though it has rows.
    anomalies : list of tuple
        Obsid, slot and the slot in whose search box its star was seen, if in any.
    """

    rows: dict[str, list[Rows]] = field(default_factory=lambda: {name: [] for name in _CALC})
    temperature: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _CALC})
    left_out: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    odd: dict[int, str] = field(default_factory=dict)
    anomalies: list[tuple[int, int, int | None]] = field(default_factory=list)

    def add(self, other: "Gathered") -> None:
        """Add what was gathered of others."""
        for name in _CALC:
            self.rows[name] += other.rows[name]
            self.temperature[name] += other.temperature[name]
        for obsid, reasons in other.left_out.items():
            self.left_out[obsid] += reasons
        self.odd |= other.odd
        self.anomalies += other.anomalies


@dataclass
class GatherReport:
    """
    What `gather` did.

    Attributes
    ----------
    observations : int
        How many lacked rows, or were named.
    gathered : int
        How many of them have rows now.
    rows : dict
        Table -> how many rows were computed.
    left_out : dict
        Obsid -> why it has no rows, or not all.
    odd : dict
        Obsid -> what is odd about it, though it has rows.
    anomalies : list of tuple
        Obsid, slot and the slot in whose search box its star was seen, if in any.
    partitions : int
        Partitions written.
    seconds : float
        How long it took.
    dry_run : bool
        Whether nothing was gathered.
    """

    observations: int = 0
    gathered: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_CALC, 0))
    left_out: dict[int, list[str]] = field(default_factory=dict)
    odd: dict[int, str] = field(default_factory=dict)
    anomalies: list[tuple[int, int, int | None]] = field(default_factory=list)
    partitions: int = 0
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0 if all was gathered, 3 if something was left out."""
        return SET_ASIDE if self.left_out else 0


def gather(
    lake: str | Path,
    obsids: Sequence[int] = (),
    *,
    telemetry: str,
    agasc: Path,
    since: Any = None,
    jobs: int | None = None,
    dry_run: bool = False,
    console: Console | None = None,
) -> GatherReport:
    """
    Compute acquisition and guide statistics of observations, and store them in a lake.

    Parameters
    ----------
    lake : path
        The lake: it says which observations ran, with which star catalog, and has their observation parameters.
    obsids : sequence of int
        The observations; by default those without rows.
    telemetry : str
        A folder with a cheta archive or Parquet, or ``cheta``.
    agasc : Path
        The HDF5 file of the AGASC.
    since : time, optional
        Only observations that start then or later.
    jobs : int, optional
        How many processes; by default one for each core.
    dry_run : bool
        Only say which observations would be gathered; no telemetry is read.
    console : rich.console.Console, optional
        Where to show a progress bar, if it is a terminal.

    Returns
    -------
    GatherReport
        What was done.

    Raises
    ------
    LakeError
        If there is no lake, it is locked, damaged, or lacks the table `observation`.
    FileNotFoundError
        If there is no such folder of telemetry or AGASC file.
    ValueError
        If these are something else.

    Examples
    --------
    >>> gather(demo_lake().root, telemetry="/nowhere", agasc=Path("agasc.h5"))
    Traceback (most recent call last):
        ...
    FileNotFoundError: /nowhere: there is no such folder of telemetry
    """
    began = perf_counter()
    source_of(telemetry)
    stars = Agasc(agasc)
    root = existing(lake)
    report = GatherReport(dry_run=dry_run)
    with ExitStack() as stack:
        stack.enter_context(writing(root, dry_run))
        tops = [] if telemetry == "cheta" else [Path(telemetry)]
        pools = executor(stack, jobs, None, None if dry_run else root, tops)
        progress = stack.enter_context(progress_bar(console))
        planned, report.left_out = _planned(root, obsids, since)
        report.observations = len(planned) + len(report.left_out)
        task = progress.add_task("observations", total=len(planned))
        for first in range(0, len(planned), _A_COMMIT):
            some = _with_stars(root, planned[first : first + _A_COMMIT], stars, report.left_out)
            if dry_run:
                continue
            found = Gathered()
            groups = list(_together(some))
            for group, result in zip(
                groups, pools(len(some)).map(partial(_gathered, telemetry, str(root)), groups), strict=True
            ):
                found.add(result)
                progress.advance(task, len(group))
            of_tables = [(product_named(name), root, Report(name)) for name in _CALC]
            _commit([Run(*of, pools, progress, jobs, reread=False) for of in of_tables], found, report)
    report.seconds = perf_counter() - began
    return report


def _planned(root: LakePath, obsids: Sequence[int], since: Any) -> tuple[list[Observed], dict[int, list[str]]]:
    """The observations to gather, by time; and those that cannot be, with the reason."""
    lake = Lake(root)
    ran = lake.arrow(
        """
        SELECT obsid, min(manvr_start) AS manvr_start, arg_min(starcat_date, tstart) AS mp_starcat_time,
            min(tstart) AS tstart, max(tstop) AS tstop
        FROM observation GROUP BY obsid ORDER BY min(tstart)
        """
    ).to_pylist()
    if not ran:
        raise LakeError(
            f"{root} does not say which observations ran (its table observation is empty): "
            "'mica-lake ingest starcheck' takes observations.csv"
        )
    have = {name: set(lake.arrow(f"SELECT DISTINCT obsid FROM {name}").column(0).to_pylist()) for name in _CALC}
    intervals = _intervals(lake)
    wanted, earliest = set(obsids), None if since is None else cxcsec(since)
    planned, left_out = [], {}
    for one in ran:
        obsid = one["obsid"]
        if (wanted and obsid not in wanted) or (earliest is not None and one["tstart"] < earliest):
            continue
        tables = tuple(name for name in _CALC if wanted or obsid not in have[name])
        if not tables:
            continue
        if obsid not in intervals:
            left_out[obsid] = ["table obspar has no observation parameters of it"]
        elif one["mp_starcat_time"] is None:
            left_out[obsid] = ["no star catalog was commanded for it"]
        else:
            facts = {name: one[name] for name in ("obsid", "mp_starcat_time", "tstop")}
            facts |= {"manvr_start": cxcsec(one["manvr_start"]), "obi": intervals[obsid]}
            planned.append(Observed(facts, tables=tables))
    missing = wanted - {one["obsid"] for one in ran}
    return planned, left_out | {obsid: ["table observation does not have it"] for obsid in sorted(missing)}


def _intervals(lake: Lake) -> dict[int, int]:
    """The number of the observation interval of each observation with observation parameters."""
    columns = [row[0] for row in lake.sql("SELECT column_name FROM (DESCRIBE obspar)").fetchall()]
    number = "coalesce(obi_num, 0)" if "obi_num" in columns else "0"
    rows = lake.sql(f"SELECT obsid, {number} FROM obspar WHERE islast").fetchall()
    return {int(obsid): int(number) for obsid, number in rows}


def _with_stars(
    root: LakePath, planned: Sequence[Observed], agasc: Agasc, left_out: dict[int, list[str]]
) -> list[Observed]:
    """Observations with their star catalogs and AGASC rows; those without a catalog are left out."""
    entries = (
        Lake(root)
        .arrow(
            """
        SELECT DISTINCT obsid, mp_starcat_time, idx, slot, id, type, sz, mag, yang, zang, halfw
        FROM star_catalog WHERE list_contains($obsids, obsid)
        """,
            {"obsids": [one.obsid for one in planned]},
        )
        .to_pylist()
    )
    catalogs: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        catalogs[entry["obsid"], entry["mp_starcat_time"]].append(entry)
    with_catalog = []
    for one in planned:
        catalog = catalogs.get((one.obsid, one.facts["mp_starcat_time"]))
        if catalog is None:
            left_out[one.obsid] = [f"no load review has a star catalog of {one.facts['mp_starcat_time']}"]
        else:
            with_catalog.append(Observed(one.facts, catalog, {}, one.tables))
    known = agasc.rows(entry["id"] for one in with_catalog for entry in one.catalog if entry["id"] is not None)
    for one in with_catalog:
        one.stars.update({entry["id"]: known[entry["id"]] for entry in one.catalog if entry["id"] in known})
    return with_catalog


def _together(planned: Iterable[Observed]) -> Iterator[list[Observed]]:
    """Observations whose telemetry is read together."""
    group: list[Observed] = []
    for one in planned:
        if group and one.interval[1] - group[0].interval[0] > _TOGETHER:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


@lru_cache(maxsize=1)
def _opened(telemetry: str) -> Source:
    return source_of(telemetry)


def _gathered(telemetry: str, root: str, group: Sequence[Observed]) -> Gathered:
    """Rows of some observations. Called in a worker."""
    found = Gathered()
    start, stop = min(one.interval[0] for one in group), max(one.interval[1] for one in group)
    try:
        samples = telemetry_from(_opened(telemetry), start, stop)
    except ImportError:
        raise
    except Exception as error:  # whatever the telemetry of one raises, the others are gathered
        if len(group) == 1:
            found.left_out[group[0].obsid].append(_said(error))
        else:
            for one in group:
                found.add(_gathered(telemetry, root, [one]))
        return found
    for one in group:
        own = between(samples, *one.interval)
        origin = "AACCCDPT"
        if not np.any(~own["AACCCDPT_bad"] & np.isfinite(own["AACCCDPT"])):
            own |= _temperature_in_lake(root, *one.interval)
            origin = "hdr3"
        _add(found, one, own, origin)
    return found


def _add(found: Gathered, one: Observed, own: Mapping[str, NDArray[Any]], origin: str) -> None:
    """Add the rows of an observation, or why there are none."""
    for name in one.tables:
        try:
            rows = _CALC[name](one.facts, own, one.catalog, one.stars)
        except Exception as error:  # whatever one observation raises, the others are gathered
            found.left_out[one.obsid].append(f"{name}: {_said(error)}")
            continue
        found.rows[name].append(rows)
        found.temperature[name] += [origin] * len(rows)
        if name == ACQ_STATS.name:
            found.anomalies += [(one.obsid, slot, box) for slot, box in acquisition.anomalies(rows)]
            if odd := odd_timing(one.facts, own):
                found.odd[one.obsid] = odd
    found.left_out[one.obsid] += slots_left_out(one.catalog, one.stars)
    if not found.left_out[one.obsid]:
        del found.left_out[one.obsid]


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, NotGathered) else f"it cannot be computed ({type(error).__name__}: {error})"


def _temperature_in_lake(root: str, start: float, stop: float) -> dict[str, NDArray[Any]]:
    """The temperature of the CCD from table hdr3, in the place of AACCCDPT."""
    rows = Lake(root).arrow(
        "SELECT TIME, ccd_temp FROM hdr3_data($start, $stop) WHERE ccd_temp IS NOT NULL",
        {"start": utc(start - 300), "stop": utc(stop + 300)},
    )
    times, celsius = (rows.column(name).to_numpy() for name in ("TIME", "ccd_temp"))
    return {"AACCCDPT_TIME": times, "AACCCDPT": celsius, "AACCCDPT_bad": np.zeros(len(times), bool)}


def _commit(runs: Sequence[Run], found: Gathered, report: GatherReport) -> None:
    """Commit what was gathered, to both tables at once, with what is derived from them."""
    root = runs[0].root
    partition = read_table(root, "partition")
    written: Written = {}
    obsids: set[int] = set()
    for run in runs:
        name = run.product.name
        if found.rows[name]:
            here = {row["year"]: row for row in partitions(partition, [name]).values()}
            rows = np.concatenate(found.rows[name])
            temperature = found.temperature[name]
            written |= stat_table.store(root, _TABLES[name], here, rows, temperature, run.jobs, run.progress)
            report.rows[name] += len(rows)
            obsids |= set(rows["obsid"].tolist())
    report.partitions += len(written)
    if written:
        for run in runs:
            written |= derived(run, written)
        commit(root, written, read_table(root, "source_file"))
    report.gathered += len(obsids)
    report.left_out |= {obsid: list(reasons) for obsid, reasons in found.left_out.items()}
    report.odd |= found.odd
    report.anomalies += found.anomalies
