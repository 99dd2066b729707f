"""Plots of the residuals of a slot."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.times import utc
from mica_lake.vv.limits import BAD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SlotPlot", "png"]

# A green and a red that can be told apart by the colour-blind (Okabe and Ito).
GOOD_COLOR, BAD_COLOR, ANGLE_COLOR = "#009E73", "#D55E00", "cornflowerblue"
# Radius of the circle (arcsec), for fid lights (True) and stars (False).
CIRCLE = {True: 0.05, False: 0.7}
_DPI = 100
_LEGEND: dict[str, Any] = {"fontsize": "small", "frameon": False, "handletextpad": 0.3, "columnspacing": 1}


def _figure(width: float, height: float) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("matplotlib is not installed: pip install 'mica-lake[plot]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def png(figure: "Figure") -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    content = io.BytesIO()
    # Without the version of matplotlib, which says nothing about the data.
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()


@dataclass(frozen=True)
class SlotPlot:
    """
    What to plot for a slot.

    Attributes
    ----------
    observation : str
        Name of the observation in the titles.
    start, stop : float
        The observation's interval (CXC seconds); times are plotted from its start.
    interval_starts : sequence of float
        CXC seconds at which aspect intervals start.
    data, report : mapping
        The slot's data and report, from `mica_lake.vv.obi.Obi.all_slot_data` and
        `mica_lake.vv.obi.Obi.slot_report`.
    """

    observation: str
    start: float
    stop: float
    interval_starts: Sequence[float]
    data: Mapping[str, NDArray[Any]]
    report: Mapping[str, Any]

    def figure(self) -> "Figure":
        """All panels in one figure, with axes labelled yz, yzf, y, z and m."""
        figure = _figure(10, 13)
        mosaic: Any = [["yz", "yzf"], ["y", "y"], ["z", "z"], ["m", "m"]]
        axes = figure.subplot_mosaic(mosaic, height_ratios=[2.2, 1, 1, 1])
        for name, panel in self._panels().items():
            panel(axes[name])
        figure.suptitle(self._title())
        return figure

    def singles(self) -> "dict[str, Figure]":
        """Each panel in a figure of its own: slot_N_yz, slot_N_yzf, slot_N_y, slot_N_z and slot_N_m."""
        figures = {}
        for name, panel in self._panels().items():
            figure = _figure(6, 6) if name in ("yz", "yzf") else _figure(9, 3.5)
            axes = figure.subplots()
            axes.set_label(name)
            panel(axes)
            figure.suptitle(self._title(), fontsize="medium")
            figures[f"slot_{self.report['slot']}_{name}"] = figure
        return figures

    def _panels(self) -> "dict[str, Callable[[Axes], None]]":
        return {
            "yz": lambda axes: self._draw_plane(axes, fixed=False),
            "yzf": lambda axes: self._draw_plane(axes, fixed=True),
            "y": lambda axes: self._draw_residual(axes, "y"),
            "z": lambda axes: self._draw_residual(axes, "z"),
            "m": self._draw_magnitude,
        }

    def _title(self) -> str:
        report = self.report
        used = "" if report.get("cel_loc_flag", 1) else ", cel_loc_flag 0"
        return f"{self.observation}, slot {report['slot']}: {report['type']}, {report['id_status']}{used}"

    def _draw_samples(self, axes: "Axes", x: NDArray[Any], y: NDArray[Any]) -> None:
        """Draw good and bad samples, the bad ones on top."""
        bad = self.data["qual"] != 0
        known = np.isfinite(y)
        for name, chosen, color, marker, size in (
            ("good", known & ~bad, GOOD_COLOR, ".", 2),
            ("bad", known & bad, BAD_COLOR, "x", 5),
        ):
            axes.plot(x[chosen], y[chosen], marker, color=color, ms=size, label=f"{name} ({chosen.sum()})", zorder=2)

    def _draw_plane(self, axes: "Axes", fixed: bool) -> None:
        fid = self.report["type"] == "FID"
        dy, dz = self.data["dy"], self.data["dz"]
        self._draw_samples(axes, dy, dz)
        radius, angle = CIRCLE[fid], np.linspace(0, 2 * np.pi, 100)
        y, z, off = (self._number(name) for name in ("dy_med", "dz_med", "rad_off"))
        label = f'{radius}" about the median'
        axes.plot(y + radius * np.cos(angle), z + radius * np.sin(angle), color="black", lw=1, label=label, zorder=3)
        axes.plot(y, z, "+", color="black", ms=8, zorder=3)
        axes.axhline(0, color="0.7", lw=0.8, zorder=1)
        axes.axvline(0, color="0.7", lw=0.8, zorder=1)
        axes.set(xlabel="dy (arcsec)", ylabel="dz (arcsec)", box_aspect=1)
        if fixed:
            # As far as a median may be off: good slots lie inside, and all are drawn to the same scale.
            reach = BAD[fid]["rad_off"]
            outside = int(((abs(dy) > reach) | (abs(dz) > reach)).sum())
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            title = f"fixed range: {outside} of {len(dy)} samples outside"
        else:
            axes.set_aspect("equal", adjustable="datalim")
            title = f"median {off:.3f} arcsec from 0"
        axes.set_title(title, fontsize="medium", pad=20)
        # Above the axes, where it hides no samples.
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), borderpad=0.1, ncols=3, **_LEGEND)

    def _draw_against_time(self, axes: "Axes", values: NDArray[Any], what: str, label: str, unit: str) -> None:
        self._draw_samples(axes, self._ks(self.data["time"]), values)
        for number, start in enumerate(self.interval_starts):
            name = "_" if number else "interval starts"
            axes.axvline(self._ks(start), ls="--", color="black", lw=0.8, label=name, zorder=1)
        axes.set(xlabel=f"time since {utc(self.start)[:17]} UTC (ks)", ylabel=label)
        axes.set_xlim(-0.01 * self._ks(self.stop), 1.01 * self._ks(self.stop))
        # z: zero without a sign.
        numbers = ", ".join(f"{kind} {self._number(f'{what}_{kind}'):z.3f}" for kind in ("mean", "med", "rms"))
        axes.set_title(f"{numbers}{unit}", fontsize="medium", loc="left")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderpad=0.1, ncols=3, **_LEGEND)

    def _draw_residual(self, axes: "Axes", axis: str) -> None:
        self._draw_against_time(axes, self.data[f"d{axis}"], f"d{axis}", f"d{axis} (arcsec)", " arcsec")
        axes.axhline(0, color="0.7", lw=0.8, zorder=1)
        if self.report["type"] == "FID":
            times, angles = self.data["time"], 3600 * self.data[f"ang_{axis}_sm"]
            # A line from one interval to the next would suggest measurements in between.
            angles[np.isin(np.arange(len(times)), np.searchsorted(times, self.interval_starts))] = np.nan
            second: Any = axes.twinx()
            second.plot(self._ks(times), angles, color=ANGLE_COLOR, lw=0.6)
            second.set_ylabel(f"smoothed {axis} angle (arcsec)", color=ANGLE_COLOR)
            second.tick_params(axis="y", colors=ANGLE_COLOR)
            second.ticklabel_format(axis="y", useOffset=False)
            # The line goes beneath the samples.
            axes.set_zorder(second.get_zorder() + 1)
            axes.patch.set_visible(False)

    def _draw_magnitude(self, axes: "Axes") -> None:
        self._draw_against_time(axes, np.ma.filled(self.data["mag"], np.nan), "mag", "magnitude", " mag")
        # Brighter is up.
        axes.invert_yaxis()

    def _number(self, name: str) -> float:
        value = self.report[name]
        return float("nan") if value is None else float(value)

    def _ks(self, time: Any) -> Any:
        return (time - self.start) / 1000
