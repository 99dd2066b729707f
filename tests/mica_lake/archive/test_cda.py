"""The observing catalog and the archive's web services, the latter asked of a real server on this machine."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from mica_lake.archive import cda
from mica_lake.archive.cda import services
from mica_lake.ingest.ocat import ingest
from mica_lake.lake import Lake
from mica_lake.simulate import ocat
from mica_lake.simulate.observations import observations


@dataclass
class Server:
    """The archive: what it is to answer, and what it was asked."""

    answers: list[tuple[bytes, int]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    archive = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            archive.asked.append((address.path, dict(parse_qsl(address.query, keep_blank_values=True))))
            content, status = archive.answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=httpd.serve_forever, daemon=True).start()
    monkeypatch.setattr(services, "URL_CDA_SERVICES", f"http://127.0.0.1:{httpd.server_port}/srservices")
    yield archive
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ska = tmp_path_factory.mktemp("ocat") / "ska"
    ocat.write_archive(ska, observations(7e8, 7.01e8))
    ingest(ska, ska.parent / "lake", jobs=1)
    return ska.parent / "lake"


def plain(value: Any) -> Any:
    return None if value is np.ma.masked else value.item() if isinstance(value, np.generic) else value


def assert_is(answer: Any, wanted: dict[str, Any], file: dict[str, Any]) -> None:
    """Whether an answer is that of the golden file."""
    if "dict" in wanted:
        assert {name: plain(value) for name, value in answer.items()} == wanted["dict"]
        assert list(answer) == list(wanted["dict"])
        return
    described = wanted["table"]
    assert isinstance(answer, Table)
    assert len(answer) == described["n"]
    if "names" not in described:
        return
    assert answer.colnames == (file["names"] if described["names"] == "as in the file" else described["names"])
    kinds = "".join(answer[name].dtype.kind for name in answer.colnames)
    # Of no rows there is no telling what they would be.
    assert not len(answer) or kinds == described.get("kinds", file["kinds"])
    masked = [name for name in answer.colnames if isinstance(answer[name], MaskedColumn)]
    assert masked == described.get("masked", file["masked"] if "kinds" not in described else [])
    units = {name: str(answer[name].unit) for name in answer.colnames if answer[name].unit is not None}
    assert units == described.get("units", file["units"] if "kinds" not in described else {})
    for name, values in described.get("columns", {}).items():
        found = [plain(value) for value in answer[name]]
        assert found == (pytest.approx(values, rel=1e-12) if name in ("ra", "dec") else values)


@pytest.fixture(scope="session")
def golden_ocat(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import subprocess
    import sys

    top = tmp_path_factory.mktemp("golden") / "ocat"
    subprocess.run([sys.executable, str(shared / "tools" / "make_ocat.py"), str(top), "5"], check=True)
    return top


@pytest.mark.parametrize("source", ["the lake", "the file"])
def test_local_answers_are_those_of_the_reference(
    shared: Path, golden_ocat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    golden = json.loads((shared / "golden/ocat.json").read_text())
    places = json.loads((golden_ocat / "about.json").read_text())["positions"]
    monkeypatch.setattr(services, "_resolved", lambda name: tuple(places[name]))
    ingest(golden_ocat, tmp_path / "lake", jobs=1)
    file = golden_ocat / "data/mica/archive/ocat_target_table.h5"
    where: dict[str, Any] = {"data_root": tmp_path / "lake"} if source == "the lake" else {"datafile": file}
    assert len(golden["local"]) == 59
    for case in golden["local"]:
        wanted = case.get("ours", case)
        if "raises" in wanted:
            assert wanted["raises"] == "ValueError"
            with pytest.raises(ValueError, match=r"\w"):
                cda.get_ocat_local(**case["kwargs"], **where)
            continue
        answer = cda.get_ocat_local(**case["kwargs"], **where)
        if "obsids" in wanted:
            assert answer["obsid"].tolist() == wanted["obsids"], case["kwargs"]
        else:
            assert_is(answer, wanted["answer"], golden["file"])


@pytest.mark.filterwarnings("ignore:the page of proposal")
def test_web_answers_are_those_of_the_reference(
    shared: Path, golden_ocat: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = json.loads((shared / "golden/ocat.json").read_text())
    assert len(golden["web"]) == 31
    for case in golden["web"]:
        server.asked.clear()
        monkeypatch.setattr(services, "_resolved", lambda name, case=case: tuple(case["name_resolves_to"]))
        files = [one if isinstance(one, list) else [one, 200] for one in case["responses"]]
        server.answers[:] = [((golden_ocat / "web" / name).read_bytes(), status) for name, status in files]
        function, wanted = getattr(cda, case["function"]), case.get("ours", case)
        if "raises" in wanted:
            with pytest.raises({"ValueError": ValueError, "RuntimeError": RuntimeError}[wanted["raises"]]):
                function(**case["kwargs"])
        else:
            assert_is(function(**case["kwargs"]), wanted["answer"], golden["file"])
        pages = [(urlsplit(page).path, {k: str(v) for k, v in sent.items()}) for page, sent, _ in case["requests"]]
        assert server.asked == pages, case["kwargs"]


# --- what the lake has ------------------------------------------------------------------------------------------------


def test_a_target_has_the_values_of_its_observation(lake: Path) -> None:
    for one in observations(7e8, 7.01e8):
        found = cda.get_ocat_local(one.obsid, data_root=lake)
        assert (found["ra"], found["dec"]) == pytest.approx((one.ra, one.dec), abs=1e-9)
        assert found["exp_time"] == pytest.approx((one.tstop - one.tstart) / 1000, abs=0.01)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"where": "exp_time > 15"}, lambda row: row["exp_time"] > 15),
        ({"where": "~(instr == 'ACIS-S') & (dec < 0)"}, lambda row: row["instr"] != "ACIS-S" and row["dec"] < 0),
        ({"where": "sqrt(ra**2 + dec**2) / 2 >= 90"}, lambda row: math.hypot(row["ra"], row["dec"]) / 2 >= 90),
        ({"where": "obsid % 7 == 3"}, lambda row: row["obsid"] % 7 == 3),
        ({"where": "dec % 7 < -3"}, lambda row: math.fmod(row["dec"], 7) < -3),
        ({"where": "-dec > +10"}, lambda row: row["dec"] < -10),
        ({"where": "b'ACIS-S' == instr"}, lambda row: row["instr"] == "ACIS-S"),
        ({"where": "where(dec < 0, ra, 0) > 90"}, lambda row: row["dec"] < 0 and row["ra"] > 90),
        ({"where": "sinh(dec / 90) > 0.1"}, lambda row: math.sinh(row["dec"] / 90) > 0.1),
        ({"instr": "HRC-I", "where": "obsid / 2 > 99.2"}, lambda row: row["instr"] == "HRC-I" and row["obsid"] > 198.4),
        ({"target_name": "TARGET 27", "status": "archived"}, lambda row: row["target_name"].startswith("Target 27")),
    ],
)  # fmt: skip
def test_conditions(lake: Path, asked: dict[str, Any], wanted: Callable[[Any], bool]) -> None:
    every = cda.get_ocat_local(data_root=lake)
    expected = [row["obsid"] for row in every if wanted(row)]
    assert 0 < len(expected) < len(every)
    assert cda.get_ocat_local(**asked, data_root=lake)["obsid"].tolist() == expected


def test_the_catalog_is_kept_until_the_lake_changes_and_answers_are_the_callers(tmp_path: Path) -> None:
    for start, stop in ((7e8, 7.01e8), (7.02e8, 7.03e8)):
        ocat.write_archive(tmp_path / "ska", observations(start, stop))
        ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
        for _ in range(2):
            found = cda.get_ocat_local(data_root=tmp_path / "lake")
            assert found["obsid"].tolist() == [one.obsid for one in observations(start, stop)]
            assert found["target_name"].tolist() == [f"Target {one.obsid}" for one in observations(start, stop)]
            found["obsid"], found["target_name"], found["ra"] = 0, "", 0.0
        for pinned in (tmp_path / "lake" / "_catalog" / "pinned" / "ocat").rglob("*.parquet"):
            pinned.rename(pinned.with_suffix(".away"))
        assert len(cda.get_ocat_local(where="ra > 0", data_root=tmp_path / "lake")) > 5
        for pinned in (tmp_path / "lake" / "_catalog" / "pinned" / "ocat").rglob("*.away"):
            pinned.rename(pinned.with_suffix(".parquet"))


@given(st.floats(0, 360), st.floats(-90, 90), st.floats(0.1, 10800))
def test_a_cone_is_on_great_circles_and_the_macro_gives_the_same(
    lake: Path, ra: float, dec: float, radius: float
) -> None:
    from astropy.coordinates import SkyCoord

    every = cda.get_ocat_local(data_root=lake)
    apart = SkyCoord(every["ra"], every["dec"], unit="deg").separation(SkyCoord(ra, dec, unit="deg")).arcmin
    found = cda.get_ocat_local(ra=ra, dec=dec, radius=radius, data_root=lake)["obsid"].tolist()
    clear = np.abs(apart - radius) > 1e-6
    assert set(every["obsid"][clear & (apart < radius)]) <= set(found) <= set(every["obsid"][~clear | (apart < radius)])
    rows = Lake(lake).sql("SELECT obsid FROM ocat_cone($ra, $dec, $radius)", {"ra": ra, "dec": dec, "radius": radius})
    assert set(found) ^ {obsid for (obsid,) in rows.fetchall()} <= set(every["obsid"][~clear])


def test_a_target_at_the_very_place_is_found(lake: Path) -> None:
    for row in cda.get_ocat_local(data_root=lake):
        assert row["obsid"] in cda.get_ocat_local(ra=row["ra"], dec=row["dec"], radius=1e-6, data_root=lake)["obsid"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"nosuch": 1}, "there is no column 'nosuch'"),
        ({"exp_tim": 1}, "there is no column 'exp_tim'; near it: exp_time"),
        ({"instr": 5}, "column instr is text, 5 is not"),
        ({"exp_time": "long"}, "column exp_time is a number, 'long' is not"),
        ({"where": "exp_time <"}, "where 'exp_time <' cannot be read"),
        ({"where": "nosuch > 3"}, "there is no column 'nosuch'"),
        ({"where": "eval('1')"}, r"\"eval\('1'\)\" is not known"),
        ({"where": "exp_time.real > 3"}, "'exp_time.real' is not known"),
        ({"where": "1 < exp_time < 3"}, r"'1 < exp_time < 3' is not known; combine comparisons with & \| ~"),
        ({"where": "sqrt(ra, dec) > 3"}, r"'sqrt\(ra, dec\)' cannot be computed"),
        ({"where": "instr + 1 > 2"}, "cannot be computed"),
        ({"obsid": 1.5}, "obsid 1.5 is not a whole number"),
        ({"obsid": "1-5"}, "obsid '1-5' is not a whole number"),
        ({"obsid": 99999}, "there are 0 targets of obsid 99999, not one"),
        ({"return_type": "dict"}, "return_type 'dict' is not one of 'auto', 'table'"),
    ],
)
def test_what_cannot_be_asked_is_named(lake: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cda.get_ocat_local(**asked, data_root=lake)


def test_a_lake_without_a_catalog_says_so(lake: Path, tmp_path: Path) -> None:
    from mica_lake.ingest import starcheck

    (tmp_path / "observations.csv").write_text("obsid,manvr_start,obs_start,obs_stop,starcat_date,source\n")
    starcheck.ingest(tmp_path / "observations.csv", tmp_path / "lake", jobs=1)
    with pytest.raises(ValueError, match="has no observing catalog: mica-lake ingest ocat takes it"):
        cda.get_ocat_local(data_root=tmp_path / "lake")


# --- the web services -------------------------------------------------------------------------------------------------


def test_an_error_of_the_service_is_told_with_its_text(server: Server) -> None:
    server.answers.append((b"<html><h1>Error</h1>\n<p>obsid must be a number</p></html>", 500))
    with pytest.raises(
        RuntimeError, match=r"the archive answered 500 for http://.*obsid=x.*: Error obsid must be a number"
    ):
        cda.get_ocat_web("x")


def test_verbose_prints_the_address(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers.append((b"# none\nOBSID\tNAME\n5N\t3\n12\tabc\n", 200))
    assert cda.get_ocat_web(12, verbose=True) == {"obsid": 12, "name": "abc"}
    assert "ocatDetails.do?obsid=12&format=text" in capsys.readouterr().out


def test_blanks_are_masked(server: Server) -> None:
    server.answers.append((b"OBSID\tNAME\tEXP\n5N\t3\t5N\n1\t\t2.5\n2\tb\t\n", 200))
    table = cda.get_ocat_web(return_type="table")
    assert [[plain(value) for value in row] for row in table] == [[1, None, 2.5], [2, "b", None]]


def test_a_page_without_a_label_warns(server: Server) -> None:
    server.answers.append((b"Proposal Title: A Proposal Number: 5 ", 200))
    with pytest.warns(UserWarning) as warned:
        assert cda.get_proposal_abstract(5) == {"proposal_title": "A"}
    said = [str(warning.message) for warning in warned]
    assert [label in text for label, text in zip(("Number", "Investigator", "Abstract"), said, strict=True)] == [
        True
    ] * 3


def test_the_catalog_that_was_fetched_can_be_ingested(lake: Path, server: Server, tmp_path: Path) -> None:
    rows = [
        ("OBSID", "TARGET_NAME", "RA", "DEC", "START_DATE", "EXP_TIME"),
        ("5N", "9", "9", "9", "9", "5N"),
        ("7", "Naïve", "01 00 00.00", "-00 30 00.0", "2020-01-02 03:04:05", ""),
    ]
    text = "".join("\t".join(row) + "\n" for row in rows)
    server.answers.append((text.encode(), 200))
    path = cda.update_ocat_local(tmp_path / "ocat_target_table.h5")
    assert ingest(path, tmp_path / "lake", jobs=1).set_aside == {}
    found = cda.get_ocat_local(7, data_root=tmp_path / "lake")
    assert (found["target_name"], found["ra"], found["dec"], found["exp_time"]) == ("Naïve", 15.0, -0.5, np.ma.masked)
    assert Lake(tmp_path / "lake").sql("SELECT utc(tstart) FROM ocat").fetchall() == [("2020:002:03:04:05.000",)]


def test_a_service_that_fails_leaves_the_file_as_it_was(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "ocat_target_table.h5"
    path.write_bytes(b"before")
    server.answers.append((b"down", 503))
    with pytest.raises(RuntimeError, match="503"):
        cda.update_ocat_local(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
