"""What ``mica-lake vv`` does: prints the residuals of slots, with those outside the limits marked, and stores them."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mica_lake.archive import asp_l1
from mica_lake.errors import MissingDataError
from mica_lake.ingest import vv as ingest_vv
from mica_lake.ingest.found import Found, Rejected
from mica_lake.ingest.processes import executor
from mica_lake.ingest.report import SET_ASIDE, progress_bar
from mica_lake.terminal import escape
from mica_lake.vv.archive import get_arch_vv, rms_rows
from mica_lake.vv.limits import limits
from mica_lake.vv.obi import Obi
from mica_lake.vv.process import missing, process

_SHOWN = ("dy_med", "dz_med", "dy_rms", "dz_rms", "rad_off", "mag_med")
# How many observations are computed before they are stored.
_A_COMMIT = 200
_STYLE = {"bad": ("bold red", "!"), "warn": ("yellow", "?")}


def run(obsids: Sequence[int], version: Any, lake: str, plots: Path | None, ingest: bool, console: Console) -> int:
    """Compute the residuals of observations, print them, and write or store them."""
    computed, rejected, unknown = [], [], 0
    for obsid in track(obsids, console=console, transient=True, disable=not console.is_terminal or len(obsids) == 1):
        try:
            obi = get_arch_vv(obsid, version, lake)
        except (MissingDataError, ValueError, OSError) as error:
            folder = (asp_l1.get_obs_dirs(obsid, lake) or {}).get(version)
            if folder is None or not ingest:
                if len(obsids) == 1:
                    raise
                unknown += 1
            else:
                place = Path(folder).resolve()
                rejected.append(Rejected(Found(str(place.parent), place.name), str(error)))
            console.print(f"obsid {obsid}: {escape(error)}", highlight=False, soft_wrap=True)
            continue
        show(obi, console)
        if plots is not None:
            console.print(escape(obi.save(plots)[-1]), soft_wrap=True, highlight=False)
        if ingest:
            computed.append(ingest_vv.Computed(obi.report(), rms_rows(obi, lake)))
    if ingest:
        ingest_vv.store(computed, lake, rejected).show(console)
    return SET_ASIDE if rejected or unknown else 0


def list_missing(lake: str, console: Console) -> int:
    """Print which observations have aspect products and no V&V."""
    found = missing(lake)
    for obsid, revision in found:
        console.print(f"obsid {obsid}, revision {revision}", highlight=False)
    console.print(
        f"{len(found):,} without V&V" + ("; --ingest computes and stores it" if found else ""), highlight=False
    )
    return 0


def store_missing(lake: str, console: Console) -> int:
    """Compute and store V&V of all observations without, by processes, some hundred in a commit."""
    left = missing(lake)
    code = 0
    with ExitStack() as stack:
        pools = executor(stack, None)
        with progress_bar(console) as progress:
            task = progress.add_task("vv", total=len(left))
            reports = []
            for first in range(0, len(left), _A_COMMIT):
                some = left[first : first + _A_COMMIT]
                computed: list[ingest_vv.Computed] = []
                rejected: list[Rejected] = []
                for result in pools(len(some)).map(partial(_processed, lake), some):
                    if isinstance(result, Rejected):
                        rejected.append(result)
                    else:
                        computed.append(result)
                    progress.advance(task)
                reports.append(ingest_vv.store(computed, lake, rejected))
    for report in reports:
        report.show(console)
        code = max(code, report.exit_code)
    if not left:
        console.print("Nothing to do: all observations have V&V.")
    return code


def _processed(lake: str, one: tuple[int, int]) -> ingest_vv.Computed | Rejected:
    """V&V of an observation, or why there is none. Called in a worker."""
    obsid, revision = one
    try:
        return ingest_vv.Computed(*process(obsid, revision, lake))
    except (MissingDataError, ValueError, OSError) as error:
        dirs = asp_l1.get_obs_dirs(obsid, lake) or {}
        place = Path(dirs.get(revision, str(obsid))).resolve()
        return Rejected(Found(str(place.parent), place.name), str(error))


def show(obi: Obi, console: Console) -> None:
    """Print the residuals of each slot."""
    info = obi.info()
    title = f"obsid {info['obsid']}, revision {info['revision']}, {escape(info['instrument'])}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("slot")
    table.add_column("type")
    for name in ("n", *_SHOWN):
        table.add_column(name, justify="right")
    outside = []
    for slot, report in obi.slot_report.items():
        if "n_pts" not in report:
            table.add_row(slot, report["type"], "0", *["-"] * len(_SHOWN))
            continue
        found = {o.name: o for o in limits(report)}
        outside += [(slot, o) for o in found.values()]
        cells = []
        for name in _SHOWN:
            style, mark = _STYLE[found[name].level] if name in found else ("", "")
            value, digits = report[name], 2 if name == "mag_med" else 3
            text = "-" if value is None else f"{value:z.{digits}f}"
            cells.append(f"[{style}]{text}{mark}[/]" if style else text)
        table.add_row(slot, escape(report["type"]), str(report["n_pts"]), *cells)
    console.print(table)
    for slot, o in outside:
        console.print(f"slot {slot}: {o.name} {o.value:z.3f}, limit {o.limit:g} ({o.level})", highlight=False)
    if not outside:
        console.print("All values are inside the limits.")
    for error in obi.errors:
        console.print(escape(error), highlight=False, soft_wrap=True)
