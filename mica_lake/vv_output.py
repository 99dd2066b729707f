"""What ``mica-lake vv`` prints: the residuals of the slots, with those outside the limits marked."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mica_lake.vv.limits import limits
from mica_lake.vv.obi import Obi

_SHOWN = ("dy_med", "dz_med", "dy_rms", "dz_rms", "rad_off", "mag_med")
_STYLE = {"bad": ("bold red", "!"), "warn": ("yellow", "?")}


def show(obi: Obi, console: Console) -> None:
    """
    Print the residuals of each slot.

    Parameters
    ----------
    obi : Obi
        The residuals.
    console : rich.console.Console
        Where.
    """
    info = obi.info()
    title = f"obsid {info['obsid']}, revision {info['revision']}, {info['instrument']}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("slot")
    table.add_column("type")
    for name in ("n", *_SHOWN):
        table.add_column(name, justify="right")
    outside = []
    for slot, report in obi.slot_report.items():
        found = {o.name: o for o in limits(report)}
        outside += [(slot, o) for o in found.values()]
        cells = []
        for name in _SHOWN:
            style, mark = _STYLE[found[name].level] if name in found else ("", "")
            text = f"{report[name]:.2f}" if name == "mag_med" else f"{report[name]:.3f}"
            cells.append(f"[{style}]{text}{mark}[/]" if style else text)
        table.add_row(str(slot), report["type"], str(report["n_pts"]), *cells)
    console.print(table)
    for slot, o in outside:
        console.print(f"slot {slot}: {o.name} {o.value:.3f}, limit {o.limit:g} ({o.level})", highlight=False)
    for error in obi.errors:
        console.print(error, highlight=False, soft_wrap=True)
