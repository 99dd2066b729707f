"""The pictures of a slot: axes, units, ranges, colours, circles and starts of intervals."""

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from mica_lake.vv import plots
from mica_lake.vv.plots import SlotPlot, png

GREEN, RED = "#009E73", "#D55E00"
START = 441763266.184
PANELS = ["yz", "yzf", "y", "z", "m"]


def slot_plot(slot: int = 3, kind: str = "GUIDE", shift: float = 0.2, **changed: Any) -> SlotPlot:
    """Two intervals of a slot, each tenth sample bad, and the first without a magnitude."""
    rng = np.random.default_rng(0)
    times = START + np.r_[100:1000:2.05, 1100:2000:2.05]
    status = (np.arange(len(times)) % 10 == 3).astype(np.int32)
    dy, dz = (middle + rng.normal(0, 0.01, len(times)) for middle in (shift, -0.1))
    data = {
        "time": times,
        "qual": status,
        "dy": dy,
        "dz": dz,
        "dr": np.hypot(dy, dz),
        "mag": np.ma.MaskedArray(rng.normal(8, 0.02, len(times)), np.arange(len(times)) == 0),
        "ang_y_sm": 0.4 + 1e-6 * np.arange(len(times)),
        "ang_z_sm": -0.3 + 1e-6 * np.arange(len(times)),
    }
    report = {
        "slot": slot,
        "type": kind,
        "id_status": "GOOD",
        "rad_off": math.hypot(shift, -0.1),
        **{
            f"{name}_{what}": value
            for name, middle in (("dy", shift), ("dz", -0.1), ("mag", 8.0))
            for what, value in (("mean", middle), ("med", middle), ("rms", 0.01))
        },
    }
    return SlotPlot("obsid 7", START, START + 2000, [START + 99, START + 1099], data | changed, report)


def axes_of(picture: SlotPlot) -> dict[str, Any]:
    """The axes of each panel, of the one figure and of the single ones."""
    figure = picture.figure()
    png(figure)
    found: dict[str, Any] = {str(axes.get_label()): axes for axes in figure.axes if axes.get_label()}
    assert list(found) == PANELS
    return found


def colours(axes: Any) -> dict[str, Any]:
    """Points drawn, by colour."""
    return {line.get_color(): line.get_xydata() for line in axes.lines if line.get_linestyle() == "None"}


def dashed(axes: Any) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() == "--"]


def circle(axes: Any) -> tuple[float, float, float]:
    """Middle and radius of the circle."""
    (line,) = (line for line in axes.lines if len(line.get_xydata()) == 100 and line.get_color() == "black")
    low, high = line.get_xydata().min(axis=0), line.get_xydata().max(axis=0)
    middle = (low + high) / 2
    assert np.allclose(np.hypot(*(line.get_xydata() - middle).T), (high - low)[0] / 2, rtol=1e-2)
    return float(middle[0]), float(middle[1]), float((high - low)[0] / 2)


@pytest.mark.often(1)
@pytest.mark.parametrize(("kind", "radius", "reach"), [("GUIDE", 0.7, 1.5), ("MONITOR", 0.7, 1.5), ("FID", 0.05, 0.4)])
def test_dy_against_dz(kind: str, radius: float, reach: float) -> None:
    picture = slot_plot(kind=kind)
    axes = axes_of(picture)
    bad = picture.data["qual"] != 0
    for name in ("yz", "yzf"):
        one = axes[name]
        assert (one.get_xlabel(), one.get_ylabel()) == ("dy (arcsec)", "dz (arcsec)")
        points = np.stack([picture.data["dy"].data, picture.data["dz"].data], axis=1)
        assert np.array_equal(colours(one)[GREEN], points[~bad])
        assert np.array_equal(colours(one)[RED], points[bad])
        assert circle(one) == pytest.approx((0.2, -0.1, radius), rel=1e-3)
        # One arcsec is as long in both directions.
        scale = one.transData.transform([(0, 0), (1, 1)])
        assert np.ptp(scale[:, 0]) == pytest.approx(np.ptp(scale[:, 1]), rel=1e-3)
        labels = [text.get_text() for text in one.get_legend().get_texts()]
        assert labels == [f"good ({(~bad).sum()})", f"bad ({bad.sum()})", f'{radius}" about the median']
    assert (axes["yzf"].get_xlim(), axes["yzf"].get_ylim()) == ((-reach, reach), (-reach, reach))
    assert axes["yzf"].get_title() == f"fixed range: 0 of {len(bad)} samples outside"
    assert axes["yz"].get_title() == "median 0.224 arcsec from 0"


def test_the_free_range_has_all_samples_and_the_fixed_one_says_what_it_has_not() -> None:
    axes = axes_of(slot_plot(shift=2.0))
    low, high = axes["yz"].get_xlim()
    assert low < 1.3
    assert high > 2.7
    assert axes["yzf"].get_xlim() == (-1.5, 1.5)
    assert axes["yzf"].get_title() == "fixed range: 880 of 880 samples outside"


@pytest.mark.parametrize(("name", "value", "label"), [("y", "dy", "dy (arcsec)"), ("z", "dz", "dz (arcsec)")])
def test_residuals_against_time(name: str, value: str, label: str) -> None:
    picture = slot_plot()
    axes = axes_of(picture)[name]
    bad = picture.data["qual"] != 0
    ks = (picture.data["time"] - START) / 1000
    assert np.array_equal(colours(axes)[GREEN], np.stack([ks, picture.data[value].data], axis=1)[~bad])
    assert np.array_equal(colours(axes)[RED], np.stack([ks, picture.data[value].data], axis=1)[bad])
    assert axes.get_ylabel() == label
    assert axes.get_xlabel() == "time since 2012:001:00:00:00 UTC (ks)"
    assert axes.get_xlim() == pytest.approx((-0.02, 2.02))
    assert dashed(axes) == pytest.approx([0.099, 1.099])
    middle = picture.report[f"{value}_med"]
    assert axes.get_title(loc="left") == f"mean {middle:.3f}, med {middle:.3f}, rms 0.010 arcsec"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["good (792)", "bad (88)", "interval starts"]


def test_magnitude_against_time() -> None:
    """Brighter is up; a sample without magnitude is not drawn."""
    picture = slot_plot()
    axes = axes_of(picture)["m"]
    bad = picture.data["qual"] != 0
    assert (axes.get_ylabel(), axes.get_title(loc="left")) == ("magnitude", "mean 8.000, med 8.000, rms 0.010 mag")
    assert axes.yaxis_inverted()
    assert len(colours(axes)[GREEN]) == (~bad).sum() - 1
    assert len(colours(axes)[RED]) == bad.sum()
    assert dashed(axes) == pytest.approx([0.099, 1.099])


@pytest.mark.parametrize("axis", ["y", "z"])
def test_fid_lights_have_their_smoothed_angle_on_a_second_axis(axis: str) -> None:
    picture = slot_plot(kind="FID")
    figure = picture.singles()[f"slot_3_{axis}"]
    png(figure)
    axes: list[Any] = figure.axes
    first, second = axes
    assert second.get_ylabel() == f"smoothed {axis} angle (arcsec)"
    assert second.yaxis.get_label_position() == "right"
    (line,) = second.lines
    angles = line.get_ydata()
    # The line is broken where an interval starts.
    assert np.flatnonzero(np.isnan(angles)).tolist() == [0, 440]
    drawn = ~np.isnan(angles)
    assert np.array_equal(angles[drawn], 3600 * picture.data[f"ang_{axis}_sm"][drawn])
    assert not np.isnan(picture.data[f"ang_{axis}_sm"]).any()
    assert (first.get_zorder() > second.get_zorder(), first.patch.get_visible()) == (True, False)
    # No other slot has one.
    assert len(slot_plot().singles()[f"slot_3_{axis}"].axes) == 1


@pytest.mark.parametrize("kind", ["GUIDE", "FID"])
def test_single_pictures_have_what_the_one_has(kind: str) -> None:
    picture = slot_plot(kind=kind)
    singles = picture.singles()
    assert list(singles) == [f"slot_3_{name}" for name in PANELS]
    for name, together in axes_of(picture).items():
        alone = singles[f"slot_3_{name}"].axes[0]
        assert alone.get_label() == name
        for get in ("get_xlabel", "get_ylabel", "get_title"):
            assert getattr(alone, get)() == getattr(together, get)()
        assert len(alone.lines) == len(together.lines)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["GUIDE", "FID"])
def test_nothing_is_cut_off(kind: str) -> None:
    picture = slot_plot(kind=kind)
    for figure in (picture.figure(), *picture.singles().values()):
        png(figure)
        inside, whole = figure.get_tightbbox(), figure.bbox_inches
        assert inside.x0 >= 0
        assert inside.y0 >= 0
        assert inside.x1 <= whole.width
        assert inside.y1 <= whole.height
        boxes = [axes.get_window_extent() for axes in figure.axes if axes.get_label()]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_titles() -> None:
    picture = slot_plot()
    assert picture.figure().get_suptitle() == "obsid 7, slot 3: GUIDE, GOOD"
    picture.report["cel_loc_flag"] = 0  # type: ignore[index]
    titles = {figure.get_suptitle() for figure in (picture.figure(), *picture.singles().values())}
    assert titles == {"obsid 7, slot 3: GUIDE, GOOD, cel_loc_flag 0"}


def test_a_slot_without_any_good_sample_can_be_drawn() -> None:
    picture = slot_plot()
    count = len(picture.data["time"])
    nothing = {name: None for name in picture.report if name.endswith(("_mean", "_med", "_rms"))}
    picture = SlotPlot(
        picture.observation, picture.start, picture.stop, picture.interval_starts,
        {**picture.data, "qual": np.ones(count, np.int32), "mag": np.ma.masked_all(count)},
        {**picture.report, **nothing, "rad_off": None},
    )  # fmt: skip
    axes = axes_of(picture)
    assert len(colours(axes["yz"])[RED]) == count
    assert [len(points) for points in colours(axes["m"]).values()] == [0, 0]
    assert axes["yz"].get_title() == "median nan arcsec from 0"


def test_a_picture_is_a_png_and_the_same_each_time() -> None:
    content = png(slot_plot().figure())
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"matplotlib" not in content.lower()
    assert png(slot_plot().figure()) == content


def test_the_colours_are_told_apart() -> None:
    assert (plots.GOOD_COLOR, plots.BAD_COLOR) == (GREEN, RED)
