"""Reports of load reviews: what is printed is what is read, and what cannot be read is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake.errors import BadFile
from mica_lake.formats.starcheck import CATALOG, HEADER, MANEUVER, Observation, parse, read_starcheck, shown
from mica_lake.simulate import starcheck
from mica_lake.simulate.observations import observations

BAR, RULE = "=" * 84, "-" * 93
TITLES = {
    "oldest": "  MINMAG    MAG   MAXMAG   YANG   ZANG DIM RES HALFW",
    "notes": "  MINMAG    MAG   MAXMAG   YANG   ZANG DIM RES HALFW NOTES",
    "pass and notes": "  MINMAG    MAG   MAXMAG   YANG   ZANG DIM RES HALFW PASS NOTES",
    "newest": "   P_ACQ    MAG   MAXMAG   YANG   ZANG DIM RES HALFW PASS NOTES",
}
STAR = "[ 4]  3  1234869512   BOT  6x6   0.464   7.388   8.887    559    659  16   1  100"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> list[Observation]:
    return read_starcheck(starcheck.write_archive(tmp_path_factory.mktemp("ska"), observations(7e8, 7.005e8))[-2])


def one(*lines: str, first: str = "OBSID: 8008   ") -> Observation:
    """What is read of an observation with these lines."""
    (found,) = parse("\n".join([BAR, first, *lines, ""]).encode())
    return found


def catalog(title: str, *rows: str) -> list[str]:
    date = "MP_STARCAT at 2018:096:06:00:00.611 (VCDU count = 4600824)"
    return [date, RULE, f" IDX SLOT        ID  TYPE   SZ{TITLES.get(title, title)}", RULE, *rows]


def test_what_is_printed_is_what_is_read(planned: list[Observation]) -> None:
    assert len(planned) > 4
    assert parse(starcheck.report("JAN0124A", planned).encode()) == planned


@given(st.data())
def test_any_values_come_back(data: Any) -> None:
    number = st.integers(-2500, 2500)
    rows = data.draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "mp_starcat_time": st.just("2024:001:00:00:00.000"), "idx": st.integers(1, 99),
                    "slot": st.integers(0, 7), "id": st.none() | st.integers(1, 2**31 - 1),
                    "idnote": st.none(), "type": st.sampled_from(["FID", "GUI", "ACQ", "BOT", "MON"]),
                    "sz": st.sampled_from(["4x4", "6x6", "8x8"]), "minmag": st.none(),
                    **{name: st.none() | st.integers(0, 13999).map(lambda n: n / 1000) for name in ("p_acq", "mag")},
                    "maxmag": st.integers(0, 13999).map(lambda n: n / 1000), "yang": number, "zang": number,
                    "dim": st.integers(0, 63), "res": st.integers(0, 1), "halfw": st.integers(0, 999),
                    "pass": st.sampled_from(["--", "a2g2", "mX"]), "notes": st.sampled_from(["--", "cp", "C"]),
                }
            ),
            max_size=4,
        )
    )  # fmt: skip
    for row in rows:
        row["idnote"] = "---" if row["id"] is None else data.draw(st.sampled_from([None, "*"]))
    header = dict.fromkeys(HEADER) | {
        "point_ra": 1.0, "point_dec": -2.5, "point_roll": 359.999999, "mp_starcat_time": "2024:001:00:00:00.000",
        "mp_starcat_vcdu_cnt": 7, "dither_state": data.draw(st.sampled_from([None])),
    }  # fmt: skip
    wanted = [Observation(data.draw(st.integers(0, 65535)), header, [], rows, [], None)]
    found = parse(starcheck.report("JAN0124A", wanted).encode())
    # The report has --- where there is no id.
    assert found == wanted


def test_what_is_not_an_observation_is_passed_over() -> None:
    text = "\n".join(["OBSID = 1 of the preamble", BAR, "OBSID: DC_T1   ", BAR, "OBSID:  5", BAR, "OBSID: 12", ""])
    assert [found.obsid for found in parse(text.encode())] == [12]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Dither: ON  Y_amp=16.0  Z_amp= 0.0  Y_period=1414.0  Z_period=2000.0 ", ("ON", 16.0, 1414.0, 0.0, 2000.0)),
        ("Dither: OFF", ("OFF", 0.0, None, 0.0, None)),
        ("Dither:  ON Y_amp=16.0  Z_amp= 0.0  Y_period=1414.0  Z_period=2000.0 ", (None,) * 5),
        ("", (None,) * 5),
    ],
)
def test_dither(line: str, expected: tuple[Any, ...]) -> None:
    header = one(line).header
    names = ("dither_state", "dither_y_amp", "dither_y_period", "dither_z_amp", "dither_z_period")
    assert tuple(header[name] for name in names) == expected


@pytest.mark.parametrize(
    ("title", "tail", "expected"),
    [
        ("oldest", "", (0.464, None, None, None)),
        ("notes", "    cp", (0.464, None, "cp", None)),
        ("notes", "      ", (0.464, None, "--", None)),
        ("pass and notes", "  a4g5   c", (0.464, None, "a4g5", "c")),
        ("newest", "  a4g5bcmp", (None, 0.464, "a4g5", "bcmp")),
        ("newest", "          ", (None, 0.464, "--", "--")),
    ],
)
def test_each_layout_of_a_catalog(title: str, tail: str, expected: tuple[Any, ...]) -> None:
    (row,) = one(*catalog(title, STAR + tail)).catalog
    assert tuple(row) == CATALOG
    assert tuple(row[name] for name in ("minmag", "p_acq", "pass", "notes")) == expected
    assert (row["idx"], row["slot"], row["id"], row["type"], row["halfw"]) == (4, 3, 1234869512, "BOT", 100)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Common Column. [ 1]-[11]:   Z separation: 199", [("[ 1]-[11] -> Z separation: 199", 1, "Common Column"),
                                                           ("[ 1]-[11] -> Z separation: 199", 11, "Common Column")]),
        ("[ 4] Imposter mag 11.6 offset", [("6 offset", 4, " Imposter mag 11")]),
        ("[ 4] Quadrant Boundary. ", [(" ", 4, " Quadrant Boundary")]),
        ("Magnitude. [12]: 10.823", [("10.823", 12, "Magnitude")]),
        ("Quadrant Boundary. [ 3]", [("", 3, "Quadrant Boundary")]),
        ("Too Few Guide Stars", [("Too Few Guide Stars", None, None)]),
    ],
)  # fmt: skip
def test_warnings(said: str, expected: list[tuple[Any, ...]]) -> None:
    for label in ("CRITICAL:", "WARNING :", "CAUTION :", "INFO   :"):
        assert [tuple(row.values()) for row in one(f">> {label} {said}").warnings] == expected
    assert one(f">> NOTE: {said}").warnings == []


def test_a_maneuver_may_have_no_angle() -> None:
    lines = ["MP_TARGQUAT at 2018:096:05:59:58.968 (VCDU count = 16441058)", "  Q1,Q2,Q3,Q4: 0.1  0.2  -0.3  0.4", ""]
    (row,) = one(*lines).maneuvers
    assert tuple(row) == MANEUVER
    assert (row["target_Q3"], row["angle_deg"], row["duration_sec"], row["instance"]) == (-0.3, None, None, 0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["MP_TARGQUAT at 2018:096:05:59:58.968 (VCDU count = 1)", "  Quaternion: 1"], "no quaternion"),
        (catalog("  P_SUCC    MAG"), "column titles that are known"),
        (["MP_STARCAT at 2018:096:06:00:00.611 (VCDU count = 1)", "-----"], "column titles that are known"),
        (catalog("newest", STAR.replace("7.388", "7.3x8")), "this line of its catalog cannot be read: '\\[ 4\\]"),
    ],
)
def test_what_cannot_be_read_is_named(lines: list[str], message: str) -> None:
    with pytest.raises(BadFile, match=f"obsid 8008: .*{message}"):
        one(*lines)


def test_a_target_line_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BadFile, match="obsid 8008: its target"):
        one(first="OBSID: 8008  NGC 4151   ACIS-I SIM position:0  Grating: NONE")


def test_one_target_is_known_by_its_obsid() -> None:
    line = "  Some name              ACIS-I SIM Z offset:14    (0.04mm) Grating: NONE "
    assert one(first=f"OBSID: 11866{line}").header["target_id"] == "cl0422-5009"
    assert one(first=f"OBSID: 11867{line}").header["target_id"] == "Some name"
    assert one(first=f"OBSID: 11867{line}").header["sim_z_offset_mm"] == 14.0 * 1000 * 2.51432e-06


def test_a_report_in_short_names_stars_and_warnings(planned: list[Observation]) -> None:
    text = "\n".join(shown(planned))
    assert all(f"obsid {found.obsid}" in text and str(found.catalog[0]["id"]) in text for found in planned)
    assert ">>" in text


def test_reports_of_the_reference(shared: Path, golden_starcheck: Path) -> None:
    golden = json.loads((shared / "golden/starcheck.json").read_text())
    for name, pieces in golden["read_starcheck"].items():
        found = read_starcheck(golden_starcheck / name)
        for piece, got in zip(pieces, found, strict=True):
            assert got.obsid == piece["obsid"]
            # It is exact in the tables: the report rounds it.
            wanted = dict.fromkeys(HEADER) | piece["obs"]
            del wanted["obsid"]
            assert got.header | {"sim_z_offset_mm": wanted["sim_z_offset_mm"]} == wanted
            assert got.maneuvers == [dict.fromkeys(MANEUVER) | row for row in piece["manvrs"]]
            time = {"mp_starcat_time": got.header["mp_starcat_time"]}
            assert got.catalog == [dict.fromkeys(CATALOG) | row | time for row in piece.get("catalog", [])]
            assert [{**row, "idx": row["idx"] and str(row["idx"])} for row in got.warnings] == piece["warnings"]
            assert got.pred_ccd_temp == piece["pred_ccd_temp"]
    for name in golden["rejects"]:
        with pytest.raises(BadFile, match="obsid 20"):
            read_starcheck(golden_starcheck / name)
