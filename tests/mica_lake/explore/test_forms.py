"""The page's forms as they are filled in at first, and what is said of what is typed into them."""

import re

import pytest

pytest.importorskip("marimo")
pytest.importorskip("matplotlib")

from mica_lake.explore import answers
from mica_lake.lake import Lake
from mica_lake.tables import TABLES


@pytest.mark.parametrize("table", TABLES)
def test_each_table_is_shown_as_its_form_is_filled_in_at_first(table: str, demo_lake: str, many_stars: str) -> None:
    lake = Lake(many_stars if table.endswith("_model") else demo_lake)  # two hours have no models
    assert table in answers.tables(lake)
    asked = answers.form(lake, table).element.value
    assert answers.problem(asked) is None
    first = answers.answer(lake, table, **asked)[0]
    assert re.search(r"<strong>[1-9][\d,]* rows?</strong> from", first.text)


def test_a_range_without_rows_says_which_the_lake_has(demo_lake: str) -> None:
    shown = answers.answer(Lake(demo_lake), "aca_l0", "2024:003", "2024:004", ["TEMPCCD"], 3)
    text = "".join(one.text for one in shown)
    assert "the lake has 2024:001 to 2024:001" in text
    assert "<strong>0 rows</strong>" in text and "<img" not in text


@pytest.mark.parametrize("field", ["start", "stop"])
def test_a_time_that_is_none_names_its_field_and_what_a_text_box_takes(field: str) -> None:
    said = answers.problem({"start": "2024:001", "stop": "2024:002", field: "tomorrow"})
    assert said is not None and said.startswith(f"{field}: 'tomorrow' is not a time. Give a date in UTC, 2024:001")
    assert "astropy" not in said and "datetime" not in said
