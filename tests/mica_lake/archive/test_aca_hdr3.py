"""The functions of mica.archive.aca_hdr3: equal to mica's own answers, and what else they promise."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from numpy.typing import NDArray

from mica_lake.archive import aca_hdr3
from mica_lake.archive.aca_hdr3 import HDR3_DEF, MSID, MSID_ALIASES, Msid, MSIDset, msids
from mica_lake.archive.aca_l0 import get_slot_data
from mica_lake.errors import MissingDataError
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate.aca_l0 import readouts, write_file

SHARED = Path(__file__).resolve().parents[4] / "shared"
SETS = ("l0_real", "l0_synthetic")
START = 7.0e8
TIME = START + 4.1 * np.arange(20)
# Of slot 6, after 8 readouts there is a gap.
TIME_6 = np.delete(TIME, 8)
ALL: dict[str, Any] = {"start": START - 100, "stop": START + 1000}


# --- the answers of mica ----------------------------------------------------------------------------------------------


def golden_cases() -> Iterator[Any]:
    for name in SETS:
        path = SHARED / "golden" / f"{name}_cases.json"
        for case in json.loads(path.read_text()) if path.exists() else []:
            if case["function"] in ("MSIDset", "Msid"):
                yield pytest.param(name, case, id=f"{name}-{case['id']}")


def assert_is_the_answer(name: str, found: MSID, expected: NDArray[Any], mask: NDArray[np.bool_]) -> None:
    """Thermistors to 1e-9, others exactly; what is masked has no value."""
    assert found.vals.dtype == expected.dtype
    assert np.ma.getmaskarray(found.vals).tolist() == mask.tolist()
    values, expected = np.ma.getdata(found.vals)[~mask], expected[~mask]
    if "therm" in name:
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)
    else:
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(("name", "case"), list(golden_cases()))
def test_the_answer_is_that_of_mica(
    golden: dict[str, tuple[str, dict[str, Any]]], name: str, case: dict[str, Any]
) -> None:
    lake, answers = golden[name]
    start = case["id"] + "/"
    found = getattr(aca_hdr3, case["function"])(**case["kwargs"], data_root=lake)
    if case["function"] == "Msid":
        vals = answers[start + "vals"]
        assert len(vals) > 100
        assert type(found.vals) is np.ndarray
        np.testing.assert_array_equal(found.times, answers[start + "times"])
        assert_is_the_answer(case["kwargs"]["msid"], found, vals, np.zeros(len(vals), bool))
        return
    assert list(found) == case["kwargs"]["msids"]
    for msid in case["kwargs"]["msids"]:
        np.testing.assert_array_equal(found[msid].times, answers[f"{start}{msid}/times"])
        assert len(found[msid].times) > 100
        assert_is_the_answer(msid, found[msid], answers[f"{start}{msid}/vals"], answers[f"{start}{msid}/vals.mask"])


def test_both_kinds_of_golden_cases_are_here(shared: Path) -> None:
    found = [case.values[1]["function"] for case in golden_cases()]
    assert (found.count("MSIDset"), found.count("Msid")) == (3, 1)


@pytest.mark.parametrize(
    ("name", "nominal"),
    [("ad_5v_ps", 5.0), ("ad_15v_ps", 15.0), ("ad_m15v_ps", -15.0), ("ad_27v_ps", 27.0), ("ad_analog_gnd", 0.0)],
)
def test_supply_voltages_of_flight_are_near_what_they_are_called(
    golden: dict[str, tuple[str, dict[str, Any]]], name: str, nominal: float
) -> None:
    found = Msid(name, "2019:272", "2019:273", data_root=golden["l0_real"][0])
    assert len(found.vals) > 1000
    assert found.unit == "V"
    np.testing.assert_allclose(found.vals, nominal, rtol=0.02, atol=0.01)


# --- what a pseudo-MSID has -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slot 6: ccd_temp is -10.00, -9.99, ..., with a gap; slot 7: dac is 100, 101, ..., without; slot 3 is 6x6."""
    folder = tmp_path_factory.mktemp("files")
    columns = readouts(6, 8, TIME_6)
    counts = (np.arange(19) - 1000).astype(">i2").view(np.uint8).reshape(-1, 2)
    columns["HD3TLM76"], columns["HD3TLM77"] = counts[:, 0].copy(), counts[:, 1].copy()
    write_file(folder, 6, columns)
    columns = readouts(7, 8, TIME)
    columns["HD3TLM76"][:], columns["HD3TLM77"][:] = 0, 100 + np.arange(20)
    write_file(folder, 7, columns)
    write_file(folder, 3, readouts(3, 6, START + 2.05 * np.arange(40)))
    root = folder.parent / f"{folder.name}_lake"
    ingest([folder], root, jobs=1)
    return root


def test_values_and_times(lake: Path) -> None:
    found = MSID("ccd_temp", **ALL, data_root=lake)
    assert isinstance(found.vals, np.ma.MaskedArray)
    assert found.times.tolist() == TIME_6.tolist()
    assert not isinstance(found.times, np.ma.MaskedArray)
    assert np.flatnonzero(np.ma.getmaskarray(found.vals)).tolist() == [7, 18]
    assert found.vals.tolist() == [None if n in (7, 18) else (n - 1000) * 0.01 for n in range(19)]
    assert MSID("dac", **ALL, data_root=lake).vals.tolist() == [*range(100, 119), None]


def test_both_ends_of_the_range_are_in_it(lake: Path) -> None:
    assert MSID("dac", TIME[3], TIME[6], data_root=lake).times.tolist() == TIME[3:7].tolist()
    assert MSID("dac", TIME[3], TIME[3], data_root=lake).vals.tolist() == [103]
    inside = MSID("dac", np.nextafter(TIME[3], 1e99), np.nextafter(TIME[6], 0), data_root=lake)
    assert inside.vals.tolist() == [104, 105]


def test_what_it_is_called_and_means(lake: Path) -> None:
    found = MSID("ccd_temp", START, START + 10, data_root=lake)
    assert (found.msid, found.hdr3_msid, found.unit, found.desc) == ("ccd_temp", "676", "°C", "CCD temperature")
    assert found.longdesc.startswith("CCD temperature (")
    assert "ccd_temp" in repr(found)


def test_start_and_stop_in_seconds_and_dates(lake: Path) -> None:
    found = MSID("dac", "2012:001", "2012-01-02", data_root=lake)
    assert (found.tstart, found.tstop) == (441763266.184, 441849666.184)
    assert (found.datestart, found.datestop) == ("2012:001:00:00:00.000", "2012:002:00:00:00.000")


@pytest.mark.parametrize("name", ["ccd_temp", "CCD_TEMP", "Ccd_Temp", "676"])
def test_a_name_in_any_case_and_an_id_are_the_same(lake: Path, name: str) -> None:
    for found in (MSID(name, **ALL, data_root=lake), MSIDset([name], **ALL, data_root=lake)[name]):
        assert (found.msid, found.hdr3_msid) == ("ccd_temp", "676")
        assert found.vals.compressed()[0] == -10.0


def test_values_at_hand_are_taken_as_they_are(lake: Path) -> None:
    given = {"times": np.array([START, START + 4.1]), "vals": np.ma.array([1.5, 2.5], mask=[True, False])}
    found = MSID("ccd_temp", START, START + 10, msid_data=given, data_root="/nowhere")
    assert found.vals.tolist() == [None, 2.5]
    assert found.times.tolist() == [START, START + 4.1]
    assert (found.tstart, found.tstop, found.unit) == (START, START + 10, "°C")
    filtered = MSID("ccd_temp", START, START + 10, given, True)
    assert (filtered.vals.tolist(), filtered.times.tolist()) == ([2.5], [START + 4.1])
    assert len(given["vals"]) == len(given["times"]) == 2


def test_values_of_another_one_are_taken_as_they_are(lake: Path) -> None:
    given = MSID("ccd_temp", **ALL, data_root=lake)
    found = MSID("CCD_TEMP", START, START + 10, msid_data=given, data_root="/nowhere")
    assert (found.msid, found.hdr3_msid, found.tstop) == ("ccd_temp", "676", START + 10)
    assert found.vals.tolist() == given.vals.tolist()
    assert found.times.tolist() == given.times.tolist()
    assert_filtered(MSID("676", START, START + 10, given, True))
    assert len(given.vals) == 19
    with pytest.raises(ValueError, match="of 'ccd_temp', not of 'dac'"):
        MSID("dac", START, START + 10, given)


# --- without bad values -----------------------------------------------------------------------------------------------


def assert_filtered(found: MSID) -> None:
    assert type(found.vals) is np.ndarray
    assert found.vals.tolist() == [(n - 1000) * 0.01 for n in range(18) if n != 7]
    assert found.times.tolist() == [*TIME_6[:7], *TIME_6[8:18]]


def test_filter_bad_leaves_out_the_masked_ones(lake: Path) -> None:
    found = MSID("ccd_temp", **ALL, data_root=lake)
    assert found.filter_bad() is None
    assert_filtered(found)
    found.filter_bad()
    assert_filtered(found)


def test_filter_bad_of_a_copy_leaves_this_one_as_it_is(lake: Path) -> None:
    found = MSID("ccd_temp", **ALL, data_root=lake)
    without = found.filter_bad(copy=True)
    assert without is not None
    assert_filtered(without)
    assert (len(found.vals), len(found.times)) == (19, 19)
    assert np.ma.getmaskarray(found.vals).sum() == 2


def test_filter_bad_when_it_is_made_and_msid_in_lower_case_are_the_same(lake: Path) -> None:
    assert_filtered(MSID("ccd_temp", **ALL, filter_bad=True, data_root=lake))
    assert_filtered(Msid("CCD_TEMP", **ALL, data_root=lake))
    assert isinstance(Msid("676", **ALL, data_root=lake), MSID)


def test_a_copy_has_arrays_of_its_own(lake: Path) -> None:
    found = MSID("ccd_temp", **ALL, data_root=lake)
    copied = found.copy()
    assert type(copied) is MSID
    assert (copied.msid, copied.tstart, copied.datestop) == (found.msid, found.tstart, found.datestop)
    assert copied.vals.tolist() == found.vals.tolist()
    copied.vals[0], copied.times[0] = 99.0, 0.0
    copied.vals[1] = np.ma.masked
    assert (found.vals[0], found.times[0]) == (-10.0, START)
    assert found.vals[1] == -9.99
    assert type(Msid("ccd_temp", **ALL, data_root=lake).copy()) is Msid


# --- several at once --------------------------------------------------------------------------------------------------


def test_a_set_has_them_in_the_order_and_by_the_names_asked(lake: Path) -> None:
    asked = ["DAC", "676", "ccd_temp", "aca_temp"]
    found = MSIDset(iter(asked), **ALL, data_root=lake)
    assert isinstance(found, dict)
    assert list(found) == asked
    assert [type(msid) for msid in found.values()] == [MSID] * 4
    assert [msid.msid for msid in found.values()] == ["dac", "ccd_temp", "ccd_temp", "aca_temp"]
    for msid in found.values():
        assert msid.times.tolist() == found.times.tolist() == TIME.tolist()
        assert (msid.tstart, msid.tstop) == (found.tstart, found.tstop) == (START - 100, START + 1000)
        assert (msid.datestart, msid.datestop) == (found.datestart, found.datestop)
    assert (found.datestart, found.datestop) == ("2020:067:20:23:50.816", "2020:067:20:42:10.816")
    # On the axis of slot 7, slot 6 has no readout at 8.
    assert np.flatnonzero(np.ma.getmaskarray(found["676"].vals)).tolist() == [7, 8, 19]
    assert found["DAC"].vals.tolist() == [*range(100, 119), None]


def test_filtering_one_of_a_set_leaves_the_others(lake: Path) -> None:
    found = MSIDset(["ccd_temp", "dac"], **ALL, data_root=lake)
    found["ccd_temp"].filter_bad()
    assert_filtered(found["ccd_temp"])
    assert len(found["dac"].vals) == len(found["dac"].times) == len(found.times) == 20


def test_values_of_a_set_can_be_assigned(lake: Path) -> None:
    """As a page of perigee plots does it: members under names of its own, filtered, scaled and smoothed in place."""
    found = MSIDset(["dac", "ccd_temp", "aca_temp"], **ALL, data_root=lake)
    telemetry = {name: found[name] for name in found}
    difference = telemetry["aca_temp"].vals - telemetry["ccd_temp"].vals
    assert difference.count() == 17
    telemetry["ccd_temp"].vals = telemetry["ccd_temp"].vals * 2
    telemetry["dac"].vals[:3] = 7
    telemetry["dac"].vals[3] = np.ma.masked
    assert found["ccd_temp"].vals[0] == -20.0
    assert found["dac"].vals[:5].tolist() == [7, 7, 7, None, 104]
    for msid in found.values():
        good = ~msid.vals.mask
        msid.vals, msid.times = msid.vals[good], msid.times[good]
    assert [len(msid.vals) for msid in found.values()] == [18, 17, 19]
    assert MSID("ccd_temp", **ALL, data_root=lake).vals[0] == -10.0


def test_a_set_can_be_copied(lake: Path) -> None:
    found = MSIDset(["dac", "676"], **ALL, data_root=lake)
    copied = copy.deepcopy(found)
    assert type(copied) is MSIDset
    assert (list(copied), copied.datestop) == (list(found), found.datestop)
    copied["dac"].vals[0] = 5
    assert found["dac"].vals[0] == 100


def test_a_set_of_none_is_empty(lake: Path) -> None:
    assert MSIDset([], **ALL, data_root=lake) == {}


# --- nothing there, and wrong arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("ccd_temp", np.float64), ("ccd_det_therm", np.float64), ("dac", np.int64), ("dsn_hdr1", np.int64)],
)
@pytest.mark.parametrize("interval", [("2001:001", "2001:002"), (START + 0.1, START + 0.2)], ids=["no day", "no row"])
def test_an_empty_range_gives_arrays_of_no_length(
    lake: Path, name: str, dtype: type, interval: tuple[Any, Any]
) -> None:
    for found in (MSID(name, *interval, data_root=lake), MSIDset([name, "dac"], *interval, data_root=lake)[name]):
        assert isinstance(found.vals, np.ma.MaskedArray)
        assert (found.vals.shape, found.vals.dtype) == ((0,), dtype)
        assert (found.times.shape, found.times.dtype) == ((0,), np.float64)
    filtered = Msid(name, *interval, data_root=lake)
    assert (filtered.vals.shape, filtered.vals.dtype, filtered.times.shape) == ((0,), dtype, (0,))


def test_a_slot_that_is_never_8x8_has_no_times(lake: Path) -> None:
    found = MSID("zero_off16_quad_a", **ALL, data_root=lake)
    assert (len(found.times), found.vals.dtype) == (0, np.int64)


@pytest.mark.parametrize(
    ("name", "near"),
    [("ccd_temperature", "ccd_temp"), ("aca_tmp", "aca_temp"), ("AD_5V", "ad_5v_ps"), ("677", "msids()")],
)
def test_an_unknown_name_is_missing_data_that_names_near_ones(lake: Path, name: str, near: str) -> None:
    for ask in (MSID, Msid):
        with pytest.raises(MissingDataError) as raised:
            ask(name, **ALL, data_root=lake)
        assert repr(name) in str(raised.value)
        assert near in str(raised.value)
    with pytest.raises(MissingDataError, match=repr(name)):
        MSIDset(["dac", name], **ALL, data_root=lake)


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        ("yesterday", START, "'yesterday'"),
        (START, "2015:366", "'2015:366'"),
        (START, START - 1, "before start"),
        (float("nan"), START, "nan"),
    ],
)
def test_a_wrong_time_is_a_value_error_that_shows_it(lake: Path, start: Any, stop: Any, message: str) -> None:
    for ask in (MSID, Msid):
        with pytest.raises(ValueError, match=message):
            ask("dac", start, stop, data_root=lake)
    with pytest.raises(ValueError, match=message):
        MSIDset(["dac", "ccd_temp"], start, stop, data_root=lake)


@pytest.mark.parametrize(("start", "stop"), [("yesterday", START), (START, START - 1)])
def test_a_wrong_time_is_a_value_error_with_values_at_hand_too(start: Any, stop: Any) -> None:
    given = {"times": np.array([START]), "vals": np.ma.array([1])}
    with pytest.raises(ValueError, match=r"yesterday|before start"):
        MSID("dac", start, stop, given)


@pytest.mark.parametrize(("start", "stop"), [("yesterday", START), (START, START - 1)])
def test_a_wrong_time_is_a_value_error_of_a_set_of_none_too(lake: Path, start: Any, stop: Any) -> None:
    with pytest.raises(ValueError, match=r"yesterday|before start"):
        MSIDset([], start, stop, data_root=lake)


# --- the list of them -------------------------------------------------------------------------------------------------


def test_the_table_of_all() -> None:
    table = msids()
    assert type(table) is Table
    assert table.colnames == ["name", "id", "unit", "description"]
    assert len(table) == len(set(table["name"])) == len(set(table["id"])) == 38
    assert tuple(table[table["id"] == "174"][0]) == ("ad_converter_therm", "174", "°C", "A/D converter thermistor")
    assert list(table["id"]) == sorted(table["id"])


def test_the_dictionaries_of_all() -> None:
    assert len(HDR3_DEF) == len(MSID_ALIASES) == 38
    assert {definition["msid"]: number for number, definition in HDR3_DEF.items()} == MSID_ALIASES
    assert (MSID_ALIASES["ccd_temp"], HDR3_DEF["676"]["msid"], HDR3_DEF["676"]["desc"]) == (
        "676", "ccd_temp", "CCD temperature",
    )  # fmt: skip
    assert {frozenset(definition) for definition in HDR3_DEF.values()} == {
        frozenset({"msid", "desc", "longdesc", "nbytes", "value"})
    }
    longer = {number: found["nbytes"] for number, found in HDR3_DEF.items() if found["nbytes"] != 2}
    assert longer == {
        "364": 4, "464": 4, "472": 4, "476": 4, "564": 4, "662": 6, "672": 4, "676": 4, "766": 4,
    }  # fmt: skip
    assert sum(found["nbytes"] for found in HDR3_DEF.values()) == 8 * 12


def test_a_value_of_the_dictionary_is_a_function_of_readouts(lake: Path) -> None:
    rows = get_slot_data(START, START + 20, 6, imgsize=8, data_root=lake)
    found = HDR3_DEF["676"]["value"](rows)
    assert found.tolist() == [-10.0, -9.99, -9.98, -9.97, -9.96]
    assert isinstance(found, np.ma.MaskedArray)
    rows["HD3TLM77"][1] = np.ma.masked
    assert HDR3_DEF["676"]["value"](rows).tolist() == [-10.0, None, -9.98, -9.97, -9.96]
    plain = {"HD3TLM72": np.array([0x7F, 0x80, 0x80], np.uint8), "HD3TLM73": np.array([0xFF, 0, 0xFA], np.uint8)}
    offsets = HDR3_DEF[MSID_ALIASES["zero_off16_quad_a"]]["value"](plain)
    assert (offsets.tolist(), type(offsets)) == ([-1, 0, 250], np.ndarray)
    with pytest.raises(ValueError, match="zero_off32_quad_c has bytes of slots 4 and 5: MSID"):
        HDR3_DEF["476"]["value"](rows)
