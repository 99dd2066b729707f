"""The pictures of `mica-lake msid` and of the demo, by what matplotlib has been told to draw."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mica_lake.archive import aca_hdr3
from mica_lake.archive.aca_hdr3 import MSIDset
from mica_lake.archive.intervals import days_of
from mica_lake.cli.demo_run import day
from mica_lake.cli.msid_output import drawing, write
from mica_lake.lake import Lake
from mica_lake.times import cxcsec, utc


def test_values_that_flicker_are_dots_and_others_a_line_in_degrees_with_the_span_of_the_data(demo_lake: str) -> None:
    # From long before the telemetry to long after: the axis has the dates of what there is.
    msids = MSIDset(["ccd_det_therm", "ad_5v_ps"], "2023:001", "2025:001", data_root=demo_lake)
    smooth = msids["ad_5v_ps"]
    smooth.vals = np.ma.array(np.linspace(4.9, 5.1, len(msids.times)))
    figure = drawing(msids)
    therm, volts = figure.axes
    assert [axes.get_ylabel() for axes in (therm, volts)] == ["ccd_det_therm\n(°C)", "ad_5v_ps\n(V)"]
    (dots,), (line,) = therm.lines, volts.lines
    assert (dots.get_marker(), dots.get_linestyle()) == (".", "None")
    assert (line.get_marker(), line.get_linestyle()) == ("None", "-")
    first, last = days_of(np.array([cxcsec("2024:001"), cxcsec("2024:001:02:00")]))
    left, right = volts.get_xlim()
    margin = 0.1 * (last - first)
    assert first - margin < left < first < last < right < last + margin
    assert figure.get_suptitle() == (
        f"ccd_det_therm, ad_5v_ps, {utc(msids.times[0])[:17]} to {utc(msids.times[-1])[:17]} UTC"
    )
    assert volts.get_xlabel() == "UTC"


def test_many_dots_are_one_image_and_a_few_are_dots(demo_lake: str, tmp_path: Path) -> None:
    for stop, is_image in (("2024:001:02:00", True), ("2024:001:00:10", False)):
        msids = MSIDset(["ccd_temp"], "2024:001", stop, data_root=demo_lake)
        msids["ccd_temp"].vals = np.resize([-9.0, -9.1], len(msids.times))
        write(msids, Lake(demo_lake), tmp_path / "t.svg")
        drawn = (tmp_path / "t.svg").read_text(encoding="utf-8")
        assert ("<image" in drawn) is is_image
        assert (drawn.count("<use") > len(msids.times)) is not is_image


def test_the_degree_sign_is_clear_of_the_underscore_above_it(demo_lake: str) -> None:
    figure = drawing(MSIDset(["ccd_temp"], "2024:001", "2024:001:00:10", data_root=demo_lake))
    figure.dpi = 110
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.axes[0].yaxis.label.get_window_extent()
    ink = (np.asarray(canvas.buffer_rgba())[:, round(box.x0) : round(box.x1), :3] < 200).any(axis=(0, 2))
    between = np.diff(np.flatnonzero(ink)).max() - 1
    assert between >= 6  # of the 14 that a line is high


def test_a_line_is_broken_by_a_gap_and_not_by_what_another_slot_reads(demo_lake: str) -> None:
    msids = MSIDset(["ad_5v_ps"], "2024:001", "2024:001:00:30", data_root=demo_lake)
    (msid,) = msids.values()
    values = np.ma.array(np.linspace(4.9, 5.1, len(msid.times)))
    values[1::2] = np.ma.masked  # as where another slot has every second of the times
    values[100:200] = np.ma.masked  # a gap of minutes
    msid.vals = values
    (line,) = drawing(msids).axes[0].lines
    drawn = line.get_ydata()
    assert np.isnan(drawn).sum() == 1
    assert np.isfinite(drawn).sum() == values.count()
    gap = float(line.get_xdata()[np.isnan(drawn)][0])
    assert days_of(msid.times)[99] < gap < days_of(msid.times)[200]


def test_an_msid_that_flickers_plots_dots_unless_told_otherwise(demo_lake: str) -> None:
    from matplotlib.figure import Figure

    therm = aca_hdr3.MSID("ccd_det_therm", "2024:001", "2024:001:02:00", data_root=demo_lake)
    assert therm.plot(ax=Figure().subplots()).lines[0].get_marker() == "."
    assert therm.plot("-", ax=Figure().subplots()).lines[0].get_marker() == "None"
    assert therm.plot(ls=":", ax=Figure().subplots()).lines[0].get_linestyle() == ":"


def test_the_picture_of_the_demo_has_temperatures_in_celsius_and_one_scale_of_dn(demo_lake: str) -> None:
    figure = day(Path(demo_lake), "2024:001", "2024:001:02:00")
    upper, lower = figure.subfigs
    (axes,) = upper.axes
    (line,) = axes.lines
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("CCD temperature (°C)", "UTC")
    assert axes.get_title()
    assert -12 < np.nanmin(line.get_ydata()) <= np.nanmax(line.get_ydata()) < -8
    *images, bar = lower.axes
    assert bar.get_xlabel() == "DN"
    assert [axis.get_title() for axis in images] == [f"slot {slot}" for slot in range(8)]
    assert len({(axis.images[0].norm.vmin, axis.images[0].norm.vmax) for axis in images}) == 1
    assert lower.get_suptitle() == "The images of all slots at 2024:001:01:00:00 UTC"
