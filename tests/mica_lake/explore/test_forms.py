"""The page's forms as they are filled in at first, what is said of what is typed into them, and their answers."""

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("marimo")
pytest.importorskip("matplotlib")

from mica_lake.archive.aca_dark.dark_cal import get_dark_cal_image
from mica_lake.explore import ask, dark, observed, overview, pictures, sql_box, stars, temperatures
from mica_lake.explore.link import Given, Link
from mica_lake.explore.question import Question
from mica_lake.explore.shown import answering, downloaded
from mica_lake.ingest import follow
from mica_lake.lake import Lake
from mica_lake.tables import TABLES

NOTHING = Given({}, [])
OBSID = "32448"


@pytest.fixture
def lake(demo_lake: str) -> Lake:
    return Lake(demo_lake)


def text_of(shown: Any) -> str:
    return " ".join(re.sub("<[^>]+>", "", one.text) for one in shown)


def alert(shown: Any) -> str:
    """What a screen reader says at once."""
    (said,) = re.findall('role="alert".*?><div.*?>(.*?)</div>', shown.text)
    return html.unescape(said)


@pytest.mark.parametrize("table", TABLES)
def test_each_table_is_shown_as_its_form_is_filled_in_at_first(table: str, lake: Lake) -> None:
    if table.endswith("_model"):  # two hours have none
        assert table not in overview.tables(lake)
        return
    is_shown(lake, table)


@pytest.mark.soak
@pytest.mark.parametrize("table", ["acq_model", "guide_model"])
def test_models_are_shown_as_their_form_is_filled_in_at_first(table: str, many_stars: str) -> None:
    is_shown(Lake(many_stars), table)


def is_shown(lake: Lake, table: str) -> None:
    assert table in overview.tables(lake)
    asked = ask.form(lake, table, NOTHING).element.value
    assert re.match(r"[1-9][\d,]* rows? from", text_of(ask.answer(lake, table, **asked)))


def test_a_range_without_rows_says_which_the_lake_has(lake: Lake) -> None:
    shown = list(ask.answer(lake, "aca_l0", "2024:003", "2024:004", "", ["TEMPCCD"], 3))
    assert text_of(shown).startswith(
        "0 rows from 2024:003:00:00:00.000 to 2024:004:00:00:00.000 UTC; the lake has 2024:001"
    )
    assert not any("<img" in one.text for one in shown)


def test_columns_without_values_are_named_and_not_drawn(lake: Lake) -> None:
    shown = list(ask.answer(lake, "hdr3", "2024:001", "2024:002", "", ["zero_off16_quad_a"]))
    assert "no values of zero_off16_quad_a in these rows" in text_of(shown)
    assert not any("<img" in one.text for one in shown)


@pytest.mark.parametrize("field", ["start", "stop"])
def test_a_time_that_is_none_names_its_field_and_what_a_text_box_takes(field: str, lake: Lake) -> None:
    typed = {"start": "2024:001", "stop": "2024:002", "obsid": "", field: "tomorrow"}
    with answering() as shown:
        shown += ask.answer(lake, "aca_l0", **typed, columns=["TEMPCCD"], slot=3)
    (said,) = map(alert, shown)  # in place of an answer
    assert said.startswith(f"{field}: 'tomorrow' is not a time. Give a date in UTC, 2024:001")
    assert "astropy" not in said and "datetime" not in said


@pytest.mark.parametrize(
    ("obsid", "said"), [("M31", "'M31' is not an obsid: give a number"), ("99", "says when obsid 99 was")]
)
def test_an_obsid_that_is_none_is_named(obsid: str, said: str, lake: Lake) -> None:
    with answering() as shown:
        shown += ask.answer(lake, "aca_l0", "", "", obsid, ["TEMPCCD"], 3)
    assert said in alert(shown[-1])


def test_an_obsid_is_its_range(lake: Lake) -> None:
    ((start, stop),) = lake.sql(
        f"SELECT utc(tstart), utc(tstop) FROM obspar WHERE obsid = {OBSID} AND isdefault"
    ).fetchall()
    text = text_of(ask.answer(lake, "asp_sol", "nothing", "here", OBSID, ["ra"]))
    assert text.startswith("Of obsid 32448; what is in start and stop does not count.")
    assert f"rows from {start} to {stop} UTC" in text
    assert f"'{start}'" in text


@pytest.mark.parametrize("statistic", ["full", "5min", "daily"])
def test_a_temperature_has_the_statistics_of_its_msid(statistic: str, lake: Lake) -> None:
    asked = temperatures.form(lake, NOTHING).element.value | {"statistic": statistic, "stop": "2024:002"}
    (name,) = asked["temperatures"]
    shown = list(temperatures.answer(lake, **asked))
    assert sum("<img" in one.text for one in shown) == 1
    (program,) = re.findall(r"from mica_lake.archive.aca_hdr3.*", text_of(shown), re.DOTALL)
    program = re.sub(r"&#x27;|&#39;", "'", program).replace("&quot;", '"')
    found: dict[str, Any] = {}
    exec(program, found)
    query = temperatures._sql(name, asked["start"], asked["stop"], 3, statistic)
    rows = pl.DataFrame(lake.arrow(query)).sort("TIME")
    np.testing.assert_array_equal(rows["TIME"], found[name].times[~np.ma.getmaskarray(found[name].vals)])
    np.testing.assert_array_equal(
        rows["value" if statistic == "full" else "mean"], np.ma.compressed(np.ma.asarray(found[name].vals))
    )
    drawn = temperatures.points(lake, query, statistic, 7200)
    assert drawn is not None
    assert drawn.low.min() == rows["value" if statistic == "full" else "min"].min()
    assert drawn.high.max() == rows["value" if statistic == "full" else "max"].max()


@pytest.mark.parametrize("statistic", ["full", "5min", "daily"])
def test_the_temperatures_of_a_slot_are_in_celsius(statistic: str, lake: Lake) -> None:
    query = temperatures._sql("TEMPCCD", "2024:001", "2024:002", 3, statistic)
    drawn = temperatures.points(lake, query, statistic, 86400)
    ((low, high),) = lake.sql("SELECT min(TEMPCCD), max(TEMPCCD) FROM slot_data('2024:001', '2024:002', 3)").fetchall()
    assert drawn is not None
    assert (drawn.low.min(), drawn.high.max()) == (low - 273.15, high - 273.15)


def test_temperatures_without_values_say_so(lake: Lake) -> None:
    text = text_of(temperatures.answer(lake, "2012:001", "2012:002", "", ["ccd_temp"], 3, "daily"))
    assert "0 values of ccd_temp; the lake has 2024:001 to 2024:001" in text
    with pytest.raises(ValueError, match="which temperatures"):
        list(temperatures.answer(lake, "2024:001", "2024:002", "", [], 3, "daily"))


def test_sql_is_answered_up_to_its_limit(lake: Lake) -> None:
    assert text_of(sql_box.answer(lake, "SELECT 1 AS one, 2 AS one")).startswith("1 row")
    assert "The first 1,000 rows; there are more." in text_of(sql_box.answer(lake, "FROM range(1001)"))
    none = "slot_data('2030:001', '2030:002', 3)"
    assert f"0 rows {none}: 0 rows; the lake has aca_l0 from 2024:001:00:00 to 2024:001:01:59" in text_of(
        sql_box.answer(lake, f"FROM {none}")
    ).replace("&#x27;", "'")
    listed = sql_box.objects(lake).text
    assert "<code><b>slot_data(start, stop, slot)</b></code>" in listed and "<code><b>obspar</b></code>" in listed
    for (example,) in lake.sql("SELECT example FROM lake_objects").fetchall():
        assert f"<code>{html.escape(example)}</code>" in listed


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DROP VIEW obspar", "nothing that writes"),
        ("SELECT 1; SELECT 2", "nothing that writes"),
        ("COPY (SELECT 1) TO '/tmp/x'", "nothing that writes"),
        ("FROM read_csv('/etc/passwd')", "/etc/passwd"),
        ("FROM said", "said does not exist"),
        ("EXPLAIN SELECT 1", "one SELECT"),
        ("SELEC 1", "syntax error"),
    ],
)
def test_sql_only_reads_the_lake(query: str, said: str, lake: Lake) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        list(sql_box.answer(lake, query))


def test_a_query_without_end_is_ended(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_box, "MOST_SECONDS", 0.3)
    with pytest.raises(ValueError, match=r"it took longer than 0.3 s"):
        list(sql_box.answer(lake, "SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b"))


def test_downloads_have_all_rows(lake: Lake, tmp_path: Path) -> None:
    asked = Question(lake, "aca_l0", "2024:001", "2024:002", ["TEMPCCD", "IMGRAW"], 3)
    everything = asked.rows(asked.count)
    (tmp_path / "a.parquet").write_bytes(downloaded(lake, asked.sql, "parquet"))
    assert pl.read_parquet(tmp_path / "a.parquet").equals(everything)
    lines = downloaded(lake, asked.sql, "csv").decode().splitlines()
    assert lines[0] == "utc,TIME,TEMPCCD_celsius,IMGRAW" and len(lines) == asked.count + 1 > 1000


def test_part_of_a_dark_current_image_is_around_a_pixel(lake: Lake) -> None:
    image = get_dark_cal_image("2023341", data_root=lake.root)
    text = text_of(dark.answer(lake, "2023341", "64", "-500", "100"))
    part = image[:64, 612 - 32 : 612 + 32]
    assert f"mean {part.mean():,.1f} e-/s" in text and f"greatest {part.max():,.0f} at row" in text
    with pytest.raises(ValueError, match="row: '512' is not a whole number from -512 to 511"):
        list(dark.answer(lake, "2023341", "64", "512", "0"))


def test_the_colours_of_dark_current_are_not_those_of_the_hottest_pixel(lake: Lake) -> None:
    image = get_dark_cal_image("2023341", data_root=lake.root)
    axes, bar = pictures.dark_image(image, -512, -512, "").axes
    low, high = np.percentile(image, [1, 99.9])
    assert axes.images[0].get_clim() == pytest.approx((max(low, 1), high))
    assert high < image.max() / 10
    assert f"colours from {max(low, 1):,.4g} to {high:,.4g}" in bar.get_ylabel()
    for least, greatest in ((5.0, 700.0), (2 * high, None), (None, 0.5)):
        begins, ends = pictures.dark_image(image, -512, -512, "", least, greatest).axes[0].images[0].get_clim()
        assert begins < ends and least in (None, begins) and greatest in (None, ends)


@pytest.mark.parametrize(
    ("least", "greatest", "said"),
    [
        ("0", "", "colours from: '0' is not a number above 0"),
        ("", "nan", "to: 'nan' is not a number"),
        ("warm", "", "colours from: 'warm' is not a number"),
        ("9", "3", "to: '3' is not above '9'"),
    ],
)
def test_colours_that_are_none_are_named(least: str, greatest: str, said: str, lake: Lake) -> None:
    with pytest.raises(ValueError, match=said):
        list(dark.answer(lake, "2023341", "64", "0", "0", least, greatest))


def test_minutes_without_images_say_which_days_there_are(lake: Lake) -> None:
    assert "0 images from" in (text := text_of(stars.answer(lake, "2024:003", "", "10")))
    assert "the lake has 2024:001 to 2024:001" in text
    with pytest.raises(ValueError, match="minutes: '31' is not a whole number from 1 to 30"):
        list(stars.answer(lake, "2024:001", "", "31"))


def test_the_residuals_are_below_their_heads(lake: Lake) -> None:
    shown = " ".join(one.text for one in observed.vv(lake, OBSID, "last", None))
    heads = re.findall(r"<th[^>]*right[^>]*>(.*?)</th>", shown)
    cells = re.findall(r"<td[^>]*right[^>]*>(.*?)</td>", shown)
    assert (len(heads), len(cells)) == (7, 7 * 8)
    room = " \u2007"  # for a mark
    assert [head.endswith(room) for head in heads] * 8 == [cell.endswith(room) for cell in cells]
    assert {head.strip() for head in heads} > {"dy median", "magnitude"}


def test_a_slot_without_data_has_no_plots(lake: Lake) -> None:
    shown = list(observed.vv(lake, OBSID, "last", 3))
    assert sum("<img" in one.text for one in shown) == 1
    assert not any("<img" in one.text for one in observed.vv(lake, OBSID, "last", None))


def test_a_lake_that_has_little_says_what_it_lacks(demo_ska: Path, tmp_path: Path) -> None:
    follow.ingest("ocat", demo_ska, tmp_path / "lake", jobs=1)
    little = Lake(tmp_path / "lake")
    assert overview.tables(little) == ["ocat", "ocat_column"]
    sought = temperatures.form(little, NOTHING).element.value | {"start": "2024:001", "stop": "2024:002"}
    assert "0 values of ccd_temp; the lake has no aca_l0" in text_of(temperatures.answer(little, **sought))
    assert stars.form(little, NOTHING).element.value["start"] == ""
    assert "the lake has no aca_l0" in text_of(stars.answer(little, "2024:001", "", "10"))
    calibration = dark.form(little, NOTHING).element.value
    assert observed.form(little, NOTHING).element.value == {"obsid": ""}
    with pytest.raises(ValueError, match="no dark current calibrations"):
        list(dark.answer(little, **calibration))


def test_the_address_fills_forms_in(lake: Lake) -> None:
    address = {"tab": "Ask", "table": "aca_l0", "start": "2024:001", "stop": "2024:001:01", "slot": "5"}
    link = Link(address | {"columns": ["BGDAVG", "TEMPCCD"]})
    form = ask.form(lake, "aca_l0", link.given("Ask", table="aca_l0"))
    asked = link.question("Ask", form, table="aca_l0")
    assert asked is not None and link.complaints == []
    assert (asked["slot"], asked["columns"], asked["stop"]) == (5, ["BGDAVG", "TEMPCCD"], "2024:001:01")
    assert link.question("Ask", ask.form(lake, "hdr3", link.given("Ask", table="hdr3")), table="hdr3") is None


def test_the_address_of_an_obsid_has_no_times_and_fills_none_in(lake: Lake) -> None:
    address: dict[str, Any] = {"tab": "Ask", "table": "asp_sol", "start": "2024:001", "stop": "2024:002"}
    address |= {"obsid": OBSID, "columns": "ra"}
    link = Link(address)
    link.question("Ask", ask.form(lake, "asp_sol", link.given("Ask", table="asp_sol")), table="asp_sol")
    assert address == {"tab": "Ask", "table": "asp_sol", "obsid": OBSID, "columns": ["ra"]}
    opened = Link(address)
    for form in (ask.form(lake, "asp_sol", opened.given("Ask")), temperatures.form(lake, opened.given("Ask"))):
        assert (form.element.value["start"], form.element.value["stop"]) == ("", "")
    assert stars.form(lake, opened.given("Ask")).element.value["start"] == ""


def test_what_is_asked_gets_into_the_address_and_comes_back_with_its_tab() -> None:
    address: dict[str, Any] = {"tab": "Ask", "table": "hdr3"}
    link = Link(address)
    link.put("SQL", query="FROM status")
    assert address == {"tab": "SQL", "query": "FROM status"}
    link.show("Star images")
    assert address == {"tab": "Star images"}
    link.show("SQL")
    assert address == {"tab": "SQL", "query": "FROM status"}


def test_an_address_that_asks_for_what_there_is_not_says_so(lake: Lake) -> None:
    link = Link({"tab": "Ask", "table": "aca_l0", "slot": "9", "columns": ["TEMPCDD", "BGDAVG"]})
    asked = ask.form(lake, "aca_l0", link.given("Ask", table="aca_l0")).element.value
    assert (asked["slot"], asked["columns"]) == (3, ["BGDAVG"])
    assert link.complaints == [
        "the address asks for columns 'TEMPCDD', which there is not; near it: TEMPCCD, TEMPSEC",
        "the address asks for slot '9', which there is not",
    ]
