"""The page of an observation: what it shows is what SQL answers, and what there is not is said."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("h5py")

from matplotlib.patches import Rectangle
from observed import HOSTILE, KINDS, some, write_everything, write_lake

from mica_lake.errors import MissingDataError
from mica_lake.explore import pictures
from mica_lake.explore.observation import observation
from mica_lake.explore.page import page
from mica_lake.ingest import follow
from mica_lake.lake import Lake
from mica_lake.simulate.observations import Observation

SECTIONS = (
    "What it was", "Star catalog", "Acquisition", "Guide stars and fid lights", "Verification and validation",
    "CCD temperature",
)  # fmt: skip


NONE = "\u2013"


class Parsed(HTMLParser):
    """The sections of a page: their tables as lists of rows, paragraphs and pictures; and all tags and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.title = ""
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.said: dict[str, list[str]] = {}
        self.pictures: dict[str, list[str]] = {}
        self._section, self._into = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._into = tag if tag in ("h1", "h2", "p", "td", "th") else self._into
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "h2":
            self._section = ""
        elif tag == "table":
            self.tables[self._section].append([])
        elif tag == "tr":
            self.tables[self._section][-1].append([])
        elif tag in ("td", "th"):
            self.tables[self._section][-1][-1].append("")
        elif tag == "p":
            self.said[self._section].append("")
        elif tag == "img":
            self.pictures[self._section].append(dict(attrs)["src"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "h2":
            self.tables[self._section], self.said[self._section], self.pictures[self._section] = [], [], []
        self._into = "" if tag == self._into else self._into

    def handle_data(self, data: str) -> None:
        if self._into == "h1":
            self.title += data
        elif self._into == "h2":
            self._section += data
        elif self._into == "p":
            self.said[self._section][-1] += data
        elif self._into:
            self.tables[self._section][-1][-1][-1] += data


def column(table: list[list[str]], name: str) -> list[str]:
    """The cells of a column of a table, found by its name without the unit."""
    place = [head.split(" ")[0] for head in table[0]].index(name)
    return [row[place] for row in table[1:]]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Observation]:
    root, one = write_lake(tmp_path_factory.mktemp("observed"))
    return Lake(root), one


@pytest.fixture(scope="module")
def parsed(everything: tuple[Lake, Observation]) -> Parsed:
    lake, one = everything
    return Parsed(page(observation(lake, one.obsid)))


def values(lake: Lake, query: str, obsid: int) -> list[Any]:
    return [value for (value,) in lake.sql(query, {"obsid": obsid}).fetchall()]


def test_it_has_a_section_for_each_question(parsed: Parsed) -> None:
    assert tuple(parsed.tables) == SECTIONS


def test_a_hostile_name_is_shown_as_text(parsed: Parsed, everything: tuple[Lake, Observation]) -> None:
    assert not parsed.tags & {"script", "b", "i"}
    assert parsed.title == f"obsid {everything[1].obsid}: {HOSTILE}"
    assert HOSTILE in column(parsed.tables["What it was"][0], "value")
    assert "Slot 5 is known to be bad: <i>odd</i>." in parsed.said["Acquisition"]
    assert "<img src=x>" in column(parsed.tables["Star catalog"][-1], "finding")


def test_it_needs_nothing_else(parsed: Parsed) -> None:
    assert len(parsed.addresses) == 2
    for address in parsed.addresses:
        kind, _, content = address.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content, validate=True).startswith(b"\x89PNG")


def test_the_browser_is_told_to_run_and_fetch_nothing(everything: tuple[Lake, Observation]) -> None:
    lake, one = everything
    text = page(observation(lake, one.obsid))
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', text)
    assert policy.split("; ") == ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]


def test_the_parameters_are_those_of_the_released_revision(
    parsed: Parsed, everything: tuple[Lake, Observation]
) -> None:
    lake, one = everything
    main, whole = parsed.tables["What it was"]
    query = f"SELECT name, coalesce(value, '{NONE}') FROM obspar_kv WHERE obsid = $obsid AND isdefault"
    expected = dict(lake.sql(query, {"obsid": one.obsid}).fetchall())
    assert dict(zip(column(whole, "name"), column(whole, "value"), strict=True)) == expected
    assert all(expected[name] == value for name, value, *_ in main[1:])
    assert f"revision {one.default}." in parsed.said["What it was"][1]
    assert parsed.tables["What it was"][0][0] == ["name", "value"]  # all descriptions there repeat the names


def test_the_catalog_is_the_one_that_ran(parsed: Parsed, everything: tuple[Lake, Observation]) -> None:
    lake, one = everything
    table = parsed.tables["Star catalog"][1]
    for name in ("idx", "slot", "type", "yang", "zang", "halfw"):
        query = f"SELECT {name}::VARCHAR FROM star_catalog WHERE obsid = $obsid ORDER BY star_catalog.idx"
        assert column(table, name) == values(lake, query, one.obsid)
    query = "SELECT printf('%.3f', mag) FROM star_catalog WHERE obsid = $obsid ORDER BY star_catalog.idx"
    assert column(table, "mag") == [mag or NONE for mag in values(lake, query, one.obsid)]
    assert column(table, "type") == list(KINDS)
    assert column(table, "spoiler") == ["yes" if n == 4 else "no" for n in range(8)]


def test_the_predicted_temperature_has_its_unit(demo_lake: str) -> None:
    ((head, value),) = [
        row
        for row in Parsed(page(observation(Lake(demo_lake), 32448))).tables["Star catalog"][0]
        if row[0].startswith("pred_ccd_temp")
    ]
    assert head == "pred_ccd_temp (°C)" and float(value) < 0


def test_a_description_that_says_more_than_the_name_is_shown(everything: tuple[Lake, Observation]) -> None:
    lake, one = everything
    found = observation(lake, one.obsid)
    said = pl.when(pl.col("name") == "object").then(pl.lit("What was looked at")).otherwise("description")
    more = replace(found, parameters=found.parameters.with_columns(description=said))
    table = Parsed(page(more)).tables["What it was"][0]
    described = {name: description for name, _, description in table[1:] if description}
    assert described == {"object": "What was looked at"}


def test_the_catalog_is_drawn_with_boxes_windows_and_spoilers(everything: tuple[Lake, Observation]) -> None:
    lake, one = everything
    found = observation(lake, one.obsid)
    (axes,) = pictures.catalog(found.catalog, found.acquired).axes
    drawn = {str(points.get_label()): points.get_offsets().tolist() for points in axes.collections}
    query = "SELECT yang::DOUBLE, zang::DOUBLE FROM star_catalog WHERE obsid = $obsid AND type = $type ORDER BY idx"
    names = {
        "FID": "fid light", "MON": "monitor window", "GUI": "star to track", "ACQ": "star to acquire",
        "BOT": "star to acquire and track",
    }  # fmt: skip
    for kind, name in names.items():
        places = lake.sql(query, {"obsid": one.obsid, "type": kind}).fetchall()
        assert drawn.pop(name) == [list(place) for place in places]
    entry = found.catalog.row(4, named=True)
    tracked = "SELECT yang_obs, zang_obs FROM acq_stats WHERE obsid = $obsid AND spoiler_tracked AND yang_obs != 'nan'"
    assert drawn == {
        "spoiler found in the review": [[entry["yang"], entry["zang"]]],
        "spoiler tracked": [list(place) for place in lake.sql(tracked, {"obsid": one.obsid}).fetchall()],
    }
    boxes = {(p.get_x(), p.get_y(), p.get_width()) for p in axes.patches if isinstance(p, Rectangle)}
    assert {(e["yang"] - e["halfw"], e["zang"] - e["halfw"], 2 * e["halfw"]) for e in found.catalog.to_dicts()} < boxes
    assert {text.get_text() for text in axes.texts} == {str(idx) for idx in found.catalog["idx"]}


def test_the_statistics_are_those_of_sql(parsed: Parsed, everything: tuple[Lake, Observation]) -> None:
    lake, one = everything
    acquired, guided = parsed.tables["Acquisition"][0], parsed.tables["Guide stars and fid lights"][0]
    of = "WHERE obsid = $obsid ORDER BY slot"
    yes = values(lake, f"SELECT if(acqid, 'yes', 'no') FROM acq_stats {of}", one.obsid)
    assert column(acquired, "acqid") == yes
    assert parsed.said["Acquisition"][0] == f"{yes.count('yes')} of 8 acquired."
    assert column(acquired, "spoiler_tracked") == ["yes" if slot == 4 else "no" for slot in range(8)]
    # Nothing is tracked in slot 6, and the table has 0 there.
    for name in ("mag_obs", "dy", "dz", "yang_obs", "zang_obs"):
        assert values(lake, f"SELECT {name} FROM acq_stats {of}", one.obsid)[6] == 0
        assert [cell == NONE for cell in column(acquired, name)] == [slot == 6 for slot in range(8)]
    for table, name, source in ((acquired, "mag", "acq_stats"), (guided, "f_track", "guide_stats")):
        assert column(table, name) == values(lake, f"SELECT printf('%.3f', {name}) FROM {source} {of}", one.obsid)
    assert column(guided, "agasc_id") == values(lake, f"SELECT agasc_id::VARCHAR FROM guide_stats {of}", one.obsid)


def test_residuals_outside_the_limits_are_marked_and_listed(
    parsed: Parsed, everything: tuple[Lake, Observation]
) -> None:
    lake, one = everything
    assert parsed.said["Verification and validation"][0] == (
        f"Residuals of revision {one.default}, which is the default."
    )
    slots, outside = parsed.tables["Verification and validation"]
    assert column(slots, "dy_rms") == ["0.011", "0.012", "0.100", "0.512 ✗", "0.100", "0.100", "0.301 ?", f"{NONE} ✗"]
    query = "SELECT slot, name, level FROM vv_outside WHERE obsid = $obsid ORDER BY slot"
    expected = [[str(slot), name, level] for slot, name, level in lake.sql(query, {"obsid": one.obsid}).fetchall()]
    assert [row[:3] for row in outside[1:]] == expected
    assert expected == [["3", "dy_rms", "bad"], ["6", "dy_rms", "warn"], ["7", "dy_rms", "bad"]]


def test_the_temperature_is_that_of_header_3(parsed: Parsed, everything: tuple[Lake, Observation]) -> None:
    lake, one = everything
    query = (
        "SELECT printf('From %.2f to %.2f °C, mean %.2f °C, of ', min(ccd_temp), max(ccd_temp), avg(ccd_temp)) "
        "FROM hdr3_data($start, $stop) WHERE $obsid > 0"
    )
    ((said,),) = lake.sql(query, {"start": one.tstart, "stop": one.tstop, "obsid": one.obsid}).fetchall()
    assert parsed.said["CCD temperature"][0].startswith(said)
    assert len(parsed.pictures["CCD temperature"]) == 1


@pytest.mark.parametrize(
    ("product", "shown"),
    [
        ("obspar", "What it was"),
        ("starcheck", "Star catalog"),
        ("acq_stats", "Acquisition"),
        ("guide_stats", "Guide stars and fid lights"),
        ("vv", "Verification and validation"),
    ],
)
def test_what_the_lake_lacks_is_said(product: str, shown: str, tmp_path: Path) -> None:
    one = write_everything(tmp_path / "ska")
    follow.ingest(product, tmp_path / "ska", tmp_path / "lake", jobs=1)
    found = Parsed(page(observation(Lake(tmp_path / "lake"), one.obsid)))
    lacks = {
        "What it was": "no observation parameters (obspar) of this obsid",
        "Star catalog": "no load review, and so no star catalog of this obsid",
        "Acquisition": "no acquisition statistics of this obsid",
        "Guide stars and fid lights": "no guide statistics of this obsid",
        "Verification and validation": "no V&V of this obsid",
    }
    assert found.tables[shown]
    for section, said in lacks.items():
        assert (said in found.said[section]) == (section != shown), section
    when = (
        "no CCD temperature in header 3 (table hdr3)"
        if product != "acq_stats"
        else "no time, and so no CCD temperature"
    )
    assert found.said["CCD temperature"] == [f"{when} of this obsid"]


def test_another_obsid_has_a_page_of_its_own(everything: tuple[Lake, Observation]) -> None:
    lake, _ = everything
    other = some()[1]
    found = Parsed(page(observation(lake, other.obsid)))
    assert "no V&V of this obsid" in found.said["Verification and validation"]
    assert len(found.tables["Acquisition"][0]) == 9


@pytest.mark.parametrize("obsid", [99, -1, 10**30])
def test_an_unknown_obsid_is_named(obsid: int, demo_lake: str) -> None:
    with pytest.raises(MissingDataError, match=f"{re.escape(demo_lake)} has nothing of obsid {obsid}$"):
        observation(Lake(demo_lake), obsid)
