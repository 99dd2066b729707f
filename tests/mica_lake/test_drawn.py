"""What lakes, images and reports show in notebooks: valid, escaped, and without anything from elsewhere."""

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import image as reader

from mica_lake.aca_image import ACAImage
from mica_lake.drawn import curve, table, text
from mica_lake.ingest.report import Report
from mica_lake.lake import Lake

UNKIND = "<script>alert('1')</script>\x1b[2J\u202e&"


class Parsed(HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


def pixels_of(html: str) -> np.ndarray:
    """The grey pixels of the PNG in it, row 0 first."""
    encoded = re.search(r"base64,([^\"]+)", html)
    assert encoded is not None
    shown: np.ndarray = reader.imread(io.BytesIO(base64.b64decode(encoded[1])), format="png")
    return np.asarray(shown)[::-1]


def test_a_lake_shows_its_status(demo_lake: str) -> None:
    lake = Lake(demo_lake)
    html = lake._repr_html_()
    said = Parsed(html).said
    assert demo_lake in said
    for row in lake.status().iter_rows(named=True):
        assert f">{row['table_name']}<" in html
        assert f"{row['rows']:,}" in said


def test_a_small_image_has_a_square_with_its_value_for_each_pixel() -> None:
    image = ACAImage(np.arange(24.0).reshape(4, 6), row0=-10, col0=20, meta={"TIME": 1.5, "NOTE": UNKIND})
    html = image._repr_html_()
    found = Parsed(html)
    assert found.tags.count("rect") == 24
    assert "row -9, column 22: 8" in found.said
    # Row 0 is at the bottom.
    assert '<rect x="0" y="3" width="1.02" height="1.02" fill="rgb(0,0,0)">' in html
    assert '<rect x="5" y="0" width="1.02" height="1.02" fill="rgb(255,255,255)">' in html
    assert "TIME" in found.said
    assert "script" not in found.tags
    assert "\x1b" not in html


def test_a_large_image_is_a_png_of_its_brightest_pixels() -> None:
    dark = np.full((1024, 1024), 10.0)
    dark[100, 200] = 5000.0
    dark[0, 0] = np.nan
    html = ACAImage(dark, row0=-512, col0=-512)._repr_html_()
    shown = pixels_of(html)
    assert shown.shape == (512, 512)
    assert np.argwhere(shown == 1.0).tolist() == [[50, 100]]
    assert len(html) < 100_000


@pytest.mark.parametrize("shape", [(17, 3), (513, 2), (1025, 700)])
def test_images_of_any_shape_have_all_their_pixels(shape: tuple[int, int]) -> None:
    image = np.zeros(shape)
    image[-1, -1] = 1.0
    shown = pixels_of(ACAImage(image)._repr_html_())
    assert shown[-1, -1] == 1.0
    assert np.count_nonzero(shown) == 1


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float32])
def test_images_of_any_type(dtype: type) -> None:
    assert 'rgb(255,255,255)"><title>row 1, column 1: 1<' in ACAImage(np.eye(2), dtype=dtype)._repr_html_()


def test_what_is_no_image_is_its_text() -> None:
    image = ACAImage(np.ones((2, 2)))
    for other in (image.sum(), image[0], image[:0]):
        assert Parsed(other._repr_html_()).tags == ["pre"]
    assert "rect" in Parsed(ACAImage(np.full((2, 2), np.nan))._repr_html_()).tags


def test_a_report_shows_how_many_files_and_why_some_were_set_aside() -> None:
    report = Report("aca_l0", taken=["a"] * 1234, set_aside={UNKIND: "it is <empty>"}, rows=7)
    report.derived["hdr3"] = Report("hdr3", rows=5)
    found = Parsed(report._repr_html_())
    assert "1,234" in found.said
    assert "it is <empty>" in found.said
    assert "hdr3, derived: rows5" in found.said
    assert "script" not in found.tags
    assert "aca_l0: plan" in Parsed(Report("aca_l0", dry_run=True)._repr_html_()).said


@given(st.text())
def test_a_text_stays_a_text(said: str) -> None:
    assert Parsed(text(said)).tags == []
    assert set(Parsed(table(said, [said], [(said, 1)])).tags) == {"table", "caption", "b", "tr", "th", "td"}


@given(st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), max_size=2000))
def test_a_curve_goes_from_the_least_to_the_greatest(values: list[float]) -> None:
    shown = curve(np.arange(len(values), dtype=float), np.array(values, float))
    good = [value for value in values if value == value]
    if not good:
        assert shown == ""
        return
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", shown)]
    assert (min(heights), max(heights)) == ((0.0, 90.0) if min(good) < max(good) else (45.0, 45.0))
    assert shown.count("M") >= 1
    assert len(shown) < 40_000


def test_a_curve_is_broken_where_there_is_no_value() -> None:
    shown = curve(np.arange(5.0), np.array([1.0, 2.0, np.nan, 1.0, 2.0]))
    assert shown.count("M") == 2


def test_nothing_comes_from_elsewhere(demo_lake: str) -> None:
    for shown in (Lake(demo_lake), ACAImage(np.eye(20)), ACAImage(np.eye(3)), Report("aca_l0")):
        assert not re.search(r"https?:|<script|<link|url\(", shown._repr_html_())


def test_marimo_finds_what_to_show(demo_lake: str) -> None:
    # In a process of its own: marimo imports what formats all that this one has imported, Spark's connection too.
    script = f"""
import numpy as np
from marimo._output.formatting import get_formatter
from mica_lake import Lake
from mica_lake.aca_image import ACAImage
from mica_lake.ingest.report import Report

for shown in (Lake({demo_lake!r}), ACAImage(np.eye(3)), Report("aca_l0")):
    kind, html = get_formatter(shown)(shown)
    assert (kind, html) == ("text/html", shown._repr_html_())
print("shown")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("shown\n"), done.stderr
