"""The functions of mica.starcheck: what was planned, and which plan ran."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from mica_lake import starcheck
from mica_lake.ingest.starcheck import ingest
from mica_lake.lake import Lake
from mica_lake.simulate.observations import dwell_of, observations
from mica_lake.simulate.stats import catalogs
from mica_lake.times import cxcsec, utc

HOURS = cxcsec("2024:001"), cxcsec("2024:001:02:00")


def plain(answer: Any) -> Any:
    """An answer as the golden file has it."""
    if isinstance(answer, Table):
        rows = [[value.item() if isinstance(value, np.generic) else value for value in row] for row in answer]
        return {
            "table": {
                "names": answer.colnames,
                "kinds": "".join(answer[n].dtype.kind for n in answer.colnames),
                "rows": rows,
            }
        }
    if isinstance(answer, dict):
        return {name: plain(value) for name, value in answer.items()}
    return list(answer) if isinstance(answer, tuple) else answer


@pytest.fixture(scope="module", params=["the database", "the reports"])
def golden_lake(
    golden_starcheck: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    lake = tmp_path_factory.mktemp("golden_lake") / "lake"
    top = golden_starcheck if request.param == "the database" else golden_starcheck / "mplogs"
    ingest([golden_starcheck / "observations.csv", top], lake, jobs=1)
    return lake


def test_answers_are_those_of_the_reference(shared: Path, golden_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = json.loads((shared / "golden/starcheck.json").read_text())
    monkeypatch.setenv("CXOTIME_NOW", golden["now"])
    assert len(golden["cases"]) == 334
    for case in golden["cases"]:
        function, wanted = getattr(starcheck, case["function"]), case.get("ours", case)
        said = (case["function"], case["args"], case["kwargs"])
        if "raises" in wanted:
            assert wanted["raises"] == "ValueError", said
            with pytest.raises(ValueError, match=r"\w"):
                function(*case["args"], **case["kwargs"], data_root=golden_lake)
            continue
        answer = plain(function(*case["args"], **case["kwargs"], data_root=golden_lake))
        assert answer == wanted["answer"], said
        if isinstance(answer, dict):
            assert list(answer) == list(wanted["answer"]), said


@pytest.fixture
def observed() -> tuple[Any, dict[str, Any]]:
    """An observation of the demo lake, and its stars."""
    found = observations(*HOURS)
    return found[-1], catalogs(found)[-1]


def test_a_catalog_has_the_stars_of_the_statistics(demo_lake: str, observed: tuple[Any, dict[str, Any]]) -> None:
    one, stars = observed
    catalog = starcheck.get_starcat(one.obsid, data_root=demo_lake)
    assert catalog is not None
    assert catalog["id"].tolist() == stars["agasc_id"].tolist()
    assert catalog["yang"].tolist() == np.round(stars["yang"]).astype(int).tolist()
    assert starcheck.get_att(one.obsid, data_root=demo_lake) == pytest.approx([one.ra, one.dec, one.roll], abs=1e-6)


def test_load_status_and_date(
    demo_lake: str, observed: tuple[Any, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = observed
    date = utc(dwell_of(one).start + 1.643)
    assert starcheck.get_mp_dir(one.obsid, data_root=demo_lake) == ("/2023/DEC2523/oflsa/", "ran", date)
    monkeypatch.setenv("CXOTIME_NOW", "2023:001:00:00:00.000")
    assert starcheck.get_mp_dir(one.obsid, data_root=demo_lake)[1] == "approved"
    assert starcheck.get_starcheck_db_obsid(date, "/2023/DEC2523/oflsa/", data_root=demo_lake) == one.obsid


def test_the_load_may_be_given_by_name_or_folder(demo_lake: str, observed: tuple[Any, dict[str, Any]]) -> None:
    one, _ = observed
    answers = [
        plain(starcheck.get_starcheck_catalog(one.obsid, load, data_root=demo_lake))
        for load in ("DEC2523A", "/2023/DEC2523/oflsa/")
    ]
    assert answers[0] == answers[1]
    assert (answers[0]["status"], answers[0]["obs"]["obsid"]) == (None, one.obsid)
    assert starcheck.get_starcheck_catalog(one.obsid, "DEC2523B", data_root=demo_lake) is None
    assert starcheck.get_starcheck_catalog(one.obsid, "nonsense", data_root=demo_lake) is None


def test_answers_are_fresh(demo_lake: str, observed: tuple[Any, dict[str, Any]]) -> None:
    one, _ = observed
    first = starcheck.get_starcheck_catalog(one.obsid, data_root=demo_lake)
    assert first is not None
    first["obs"]["obsid"] = first["cat"]["slot"][0] = -1
    again = starcheck.get_starcheck_catalog(one.obsid, data_root=demo_lake)
    assert again is not None
    assert (again["obs"]["obsid"], again["cat"]["slot"][0]) == (one.obsid, 0)


@pytest.mark.parametrize("obsid", [8008.5, "8008", None])
def test_an_obsid_that_is_not_whole_is_refused(demo_lake: str, obsid: Any) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        starcheck.get_starcat(obsid, data_root=demo_lake)


def test_stars_that_ran_have_their_statistics(demo_lake: str) -> None:
    lake = Lake(demo_lake)
    for view, table in (("star_catalog_acq", "acq_stats"), ("star_catalog_guide", "guide_stats")):
        ran = lake.sql(f"SELECT obsid, slot, id FROM {view} WHERE known_bad IS NOT NULL ORDER BY ALL").fetchall()
        assert ran == lake.sql(f"SELECT obsid, slot, agasc_id FROM {table} ORDER BY ALL").fetchall()
        assert ran
