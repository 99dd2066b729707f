"""What the page shows of texts that others wrote: text, neither HTML nor Markdown, without control characters."""

import json
import re
from datetime import date
from html.parser import HTMLParser

import polars as pl
import pytest

pytest.importorskip("marimo")
pytest.importorskip("matplotlib")

from marimo._plugins.ui._impl.table import SearchTableArgs

from mica_lake.explore import pictures, shown
from mica_lake.lake import Lake
from mica_lake.output import printable

HOSTILE = "<img src=x onerror=alert(1)>**b** `c` ``` $d$ \x1b[2J\x9b\u202e\x07\"'&amp;"


class Tags(HTMLParser):
    """The tags and the text of some HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_text_is_shown_as_text() -> None:
    tags = Tags(shown.plain(HOSTILE).text)
    assert tags.tags == ["div"]
    assert tags.text == printable(HOSTILE)


def test_an_error_is_shown_as_text() -> None:
    with shown.answering() as answer:
        raise ValueError(HOSTILE)
    (callout,) = answer
    assert re.match('<div role="alert"', callout.text)
    tags = Tags(callout.text)
    assert (tags.tags, tags.text) == (["div", "div"], printable(HOSTILE))


def test_cells_are_text() -> None:
    tags = Tags(shown.lines([{"file": HOSTILE}], right=set()).text)
    assert set(tags.tags) == {"div", "table", "thead", "tbody", "tr", "th", "td"}
    assert printable(HOSTILE) in tags.text


def test_code_ends_where_it_ends() -> None:
    tags = Tags(shown.code("sql", f"SELECT 1 -- {HOSTILE}\n```\n<script>alert(1)</script>").text)
    assert not {"img", "script"} & set(tags.tags)
    assert "<script>" in tags.text


def test_rows_are_without_control_characters() -> None:
    rows = pl.DataFrame({"name": [HOSTILE, None], "n": [1, 2]})
    table = shown.table(rows)
    assert table.data["name"].to_list() == [printable(HOSTILE), None]
    assert table.data["n"].to_list() == [1, 2]


def test_identifiers_and_times_are_shown_as_they_are_typed(demo_lake: str) -> None:
    query = "SELECT obsid, tstart, tstart - tstop AS seconds, sum(obsid) AS total, NULL::INTEGER AS none FROM obspar"
    rows = pl.DataFrame(Lake(demo_lake).arrow(f"{query} WHERE obsid = 32448 AND isdefault GROUP BY ALL"))
    table = shown.table(rows)
    (cells,) = json.loads(table._search(SearchTableArgs(page_size=10, page_number=0)).data)
    expected = {"obsid": "32448", "tstart": "820449042.599", "total": "32448", "none": ""}
    assert {name: cells[name] for name in expected} == expected
    assert re.fullmatch(r"-26003\.\d*", cells["seconds"])


@pytest.mark.parametrize(
    ("days", "shown_days", "months"),
    [
        ([(2024, 1)], (1, 31), ["Jan"]),
        ([(2024, 366)], (336, 366), ["Dec"]),
        ([(2023, 100), (2024, 102)], (86, 116), ["Mar", "Apr"]),
        ([(2023, doy) for doy in range(200, 251)], (200, 250), ["Jul", "Aug", "Sep"]),
        ([(2023, 365), (2024, 1)], (1, 365), [f"{date(2024, month, 1):%b}" for month in range(1, 13)]),
    ],
)
def test_a_calendar_has_the_days_that_there_are_and_cells_that_are_seen(
    days: list[tuple[int, int]], shown_days: tuple[int, int], months: list[str]
) -> None:
    figure = pictures.calendar([(year, doy, 28_000) for year, doy in days])
    figure.draw_without_rendering()
    axes, bar = figure.axes
    assert axes.get_xlim() == (shown_days[0] - 0.5, shown_days[1] + 0.5)
    (above,) = axes.child_axes
    assert [label.get_text() for label in above.get_xticklabels()] == months
    cell = axes.get_window_extent().width / (shown_days[1] - shown_days[0] + 1)
    assert cell > 2 and bar.get_window_extent().width > 10
