"""Cases that the golden answers lack, each with an answer by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mica_lake.gathering.observed import odd_timing, slots_left_out
from mica_lake.gathering.telemetry import NotGathered
from mica_lake.simulate.telemetry import STEP, example
from mica_lake.stats import acq_stats, events_of, guide_stats, one_shot, star_residuals
from mica_lake.times import cxcsec

GUIDE = cxcsec("2022:066:20:26:40")
CALC: dict[str, Callable[..., NDArray[np.void]]] = {"acq": acq_stats.calc_stats, "guide": guide_stats.calc_stats}


def after(guide: float, seconds: float, telemetry: dict[str, NDArray[Any]]) -> int:
    """The first sample at least so long after the guide transition."""
    return int(np.searchsorted(telemetry["TIME"], guide + seconds))


def joined(*parts: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Telemetry of one observation after the other; what is before the start of a later one counts."""
    until = [part["TIME"][0] for part in parts[1:]] + [np.inf]
    for part, stop in zip(parts, until, strict=True):
        early = {name: part[name] < stop for name in ("TIME", "AACCCDPT_TIME")}
        for name in part:
            part[name] = part[name][early["AACCCDPT_TIME" if name.startswith("AACCCDPT") else "TIME"]]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rows_of(kind: str, **changed: NDArray[Any]) -> NDArray[np.void]:
    observation, telemetry, catalog, stars = example(GUIDE)
    return CALC[kind](observation, telemetry | changed, catalog, stars)


def test_residuals_are_the_noise_put_in() -> None:
    observation, telemetry, catalog, stars = example(GUIDE, 3000.0)
    rows = guide_stats.calc_stats(observation, telemetry, catalog, stars)
    np.testing.assert_allclose(rows["dy_std"], np.linspace(0.1, 0.24, 8)[rows["slot"]], rtol=0.05)
    np.testing.assert_allclose(rows["dz_std"], np.linspace(0.1, 0.24, 8)[rows["slot"]], rtol=0.05)
    assert np.abs(rows["dy_mean"]).max() < 0.02
    acquired = acq_stats.calc_stats(observation, telemetry, catalog, stars)
    # The attitude was wrong by 6 and -4 arcsec before the transition: that is dy, dz, and the length of the correction.
    assert np.abs(acquired["one_shot_length"] - np.hypot(6, 4)).max() < 0.05
    assert np.abs(acquired["dy"] - acquired["cdy"]).min() > 3.9
    assert np.abs(acquired["cdy"]).max() < 1


# --- several maneuvers, several dwells ------------------------------------------------------------------------------


def test_of_several_maneuvers_acquisition_takes_the_last_and_guiding_the_first_with_a_dwell() -> None:
    observation, first, catalog, stars = example(GUIDE, 900.0)
    second = example(GUIDE + 1500, 700.0)[1]
    # When the catalog was commanded is held against the maneuver that is chosen.
    starts = (GUIDE - 590, GUIDE + 910)
    whole = joined(first, second)
    ends = [one.stop for one in events_of(whole)]
    np.testing.assert_allclose(ends, [GUIDE - 62, GUIDE + 1500 - 62], atol=2 * STEP)
    of_last = acq_stats.calc_stats(observation | {"mp_starcat_time": starts[1]}, whole, catalog, stars)
    assert np.abs(of_last["guide_tstart"] - (GUIDE + 1500)).max() < STEP
    of_first = guide_stats.calc_stats(observation | {"mp_starcat_time": starts[0]}, whole, catalog, stars)
    assert np.abs(of_first["kalman_tstart"] - (GUIDE + 30)).max() < STEP
    with pytest.raises(NotGathered, match="more than 300 s apart"):
        acq_stats.calc_stats(observation | {"mp_starcat_time": starts[0]}, whole, catalog, stars)


def test_a_maneuver_that_starts_after_the_observation_is_another_ones() -> None:
    observation, first, catalog, stars = example(GUIDE, 900.0)
    whole = joined(first, example(GUIDE + 1500, 700.0)[1])
    rows = acq_stats.calc_stats(observation | {"tstop": GUIDE + 900}, whole, catalog, stars)
    assert np.abs(rows["guide_tstart"] - GUIDE).max() < STEP


def test_a_maneuver_without_a_dwell_is_passed_over() -> None:
    observation, first, catalog, stars = example(GUIDE, 900.0)
    kalman = first["AOACASEQ"] == b"KALM"
    first["AOACASEQ"][kalman & (first["TIME"] > GUIDE)] = b"GUID"
    whole = joined(first, example(GUIDE + 1500, 700.0)[1])
    rows = guide_stats.calc_stats(observation | {"mp_starcat_time": GUIDE + 910}, whole, catalog, stars)
    assert np.abs(rows["kalman_tstart"] - (GUIDE + 1530)).max() < STEP


def test_of_two_dwells_the_interval_begins_with_the_first() -> None:
    observation, telemetry, catalog, stars = example(GUIDE, 1800.0)
    # A reacquisition 500 s after the first dwell began ends it; another one begins.
    again = slice(after(GUIDE, 530, telemetry), after(GUIDE, 570, telemetry))
    telemetry["AOACASEQ"][again] = b"AQXN"
    (event,) = events_of(telemetry)
    assert len(event.dwells) == 2
    assert event.dwells[0].stop == telemetry["TIME"][again.start - 1]
    assert event.dwells[1].start == telemetry["TIME"][again.stop]
    rows = guide_stats.calc_stats(observation, telemetry, catalog, stars)
    assert np.abs(rows["kalman_tstart"] - (GUIDE + 30)).max() < STEP
    # To the end of normal pointing, both dwells count.
    assert np.abs(rows["n_samples"] - 1770 / STEP).max() < 2
    acquired = acq_stats.calc_stats(observation, telemetry, catalog, stars)
    assert np.abs(acquired["guide_tstart"] - GUIDE).max() < STEP


def test_a_change_of_less_than_400_s_moves_the_dwell() -> None:
    _, telemetry, _, _ = example(GUIDE, 900.0)
    telemetry["AOACASEQ"][after(GUIDE, 130, telemetry) : after(GUIDE, 150, telemetry)] = b"AQXN"
    (event,) = events_of(telemetry)
    assert [one.start for one in event.dwells] == [telemetry["TIME"][after(GUIDE, 150, telemetry)]]


@pytest.mark.parametrize(("lost", "stop"), [(399, 999), (400, 999), (401, 410)])
def test_a_change_ends_the_dwell_only_if_it_is_more_than_400_s_on(lost: int, stop: int) -> None:
    n = 1000
    telemetry = {"TIME": np.arange(n, dtype=float)}
    telemetry |= {"AOACASEQ": np.full(n, "KALM"), "AOPCADMD": np.full(n, "NPNT"), "AOFATTMD": np.full(n, "STDY")}
    telemetry["AOFATTMD"][:5] = "MNVR"
    telemetry["AOACASEQ"][:10] = "GUID"
    telemetry["AOACASEQ"][10 + lost :] = "BRIT"
    (event,) = events_of(telemetry)
    assert [(one.start, one.stop) for one in event.dwells] == [(10, stop)]


# --- the catalog ------------------------------------------------------------------------------------------------------


def test_of_a_slot_that_is_twice_in_a_catalog_the_first_entry_counts() -> None:
    observation, telemetry, catalog, stars = example(GUIDE)
    twice = catalog[0] | {"idx": 20, "mag": 3.0}
    rows = acq_stats.calc_stats(observation, telemetry, [twice, *catalog], stars)
    assert len(rows) == 8
    assert rows["idx"][rows["slot"] == twice["slot"]].tolist() == [catalog[0]["idx"]]
    said = list(slots_left_out([twice, *catalog], stars))
    assert said == [
        "slot 3: it is twice in the catalog for acq_stats; entry 4 counts, 20 does not",
        "slot 3: it is twice in the catalog for guide_stats; entry 4 counts, 20 does not",
    ]


def test_the_flag_of_identification_is_that_of_the_place_in_the_list_not_of_the_slot() -> None:
    observation, telemetry, catalog, stars = example(GUIDE)
    # The first entry, slot 3, is the 0th place.
    telemetry["AOACQID"][:, 0] = b"NOID"
    rows = acq_stats.calc_stats(observation, telemetry, catalog, stars)
    assert rows["slot"][~rows["acqid"]].tolist() == [3]


def test_an_entry_of_an_unknown_type_is_named_and_the_others_have_rows() -> None:
    observation, telemetry, catalog, stars = example(GUIDE)
    odd = [entry | {"type": "BOX"} if entry["slot"] == 5 else entry for entry in catalog]
    assert acq_stats.calc_stats(observation, telemetry, odd, stars)["slot"].tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert list(slots_left_out(odd, stars)) == ["slot 5: its type in the catalog is 'BOX', not ACQ, BOT, FID, GUI, MON"]


def test_a_star_that_the_agasc_lacks_is_named_and_the_others_have_rows() -> None:
    observation, telemetry, catalog, stars = example(GUIDE)
    gone = catalog[1]
    known = stars[stars["AGASC_ID"] != gone["id"]]
    for kind, n in (("acq", 7), ("guide", 4)):
        rows = CALC[kind](observation, telemetry, catalog, known)
        assert len(rows) == n
        assert gone["slot"] not in rows["slot"]
    assert list(slots_left_out(catalog, known)) == [f"slot {gone['slot']}: the AGASC has no star {gone['id']}"]


def test_catalog_and_stars_may_be_tables_and_mappings() -> None:
    from astropy.table import Table

    observation, telemetry, catalog, stars = example(GUIDE)
    rows = acq_stats.calc_stats(observation, telemetry, catalog, stars)
    by_id = {int(row["AGASC_ID"]): row for row in stars}
    for known in (by_id, Table(stars), Table(stars, masked=True)):
        same = acq_stats.calc_stats(observation, telemetry, Table(rows=catalog), known)
        np.testing.assert_array_equal(rows, same)


def test_proper_motion_that_is_not_known_on_one_axis_moves_the_star_on_the_other() -> None:
    observation, telemetry, catalog, stars = example(GUIDE)
    stars["PM_RA"], stars["PM_DEC"] = 1000, -9999
    rows = guide_stats.calc_stats(observation, telemetry, catalog, stars)
    of_slots = stars[rows["slot"]]
    years = 2022 + (66 - 1 + 0.852) / 365 - 2000
    np.testing.assert_array_equal(rows["dec"], of_slots["DEC"])
    moved = (rows["ra"] - of_slots["RA"]) * np.cos(np.radians(of_slots["DEC"])) * 3600
    np.testing.assert_allclose(moved, years, atol=1e-4)
    # Acquisition rows have the place at the epoch.
    acquired = acq_stats.calc_stats(observation, telemetry, catalog, stars)
    np.testing.assert_array_equal(acquired["ra"], stars["RA"][acquired["slot"]])


# --- telemetry --------------------------------------------------------------------------------------------------------


def test_bad_temperatures_are_left_out() -> None:
    _, telemetry, _, _ = example(GUIDE)
    celsius, times = telemetry["AACCCDPT"].copy(), telemetry["AACCCDPT_TIME"]
    bad = np.zeros(len(celsius), bool)
    bad[::3] = True
    good = ~bad
    celsius[bad] = -90.0
    celsius[1], bad[1] = np.nan, False
    acquired = rows_of("acq", AACCCDPT=celsius, AACCCDPT_bad=bad)
    near = good & (np.abs(times - acquired["guide_tstart"][0]) <= 250)
    assert np.ptp(acquired["ccd_temp"]) == 0
    np.testing.assert_allclose(acquired["ccd_temp"], celsius[near].mean(), atol=1e-12)
    guiding = rows_of("guide", AACCCDPT=celsius, AACCCDPT_bad=bad)
    assert guiding["tccd_max"].max() == celsius[good & (times > GUIDE + 30) & (times < GUIDE + 910)].max()
    with pytest.raises(NotGathered, match="AACCCDPT has no good value within 250 s of the guide transition"):
        rows_of("acq", AACCCDPT_bad=np.ones(len(celsius), bool))


@pytest.mark.parametrize("kind", CALC)
@pytest.mark.parametrize("name", ["AOACYAN", "AOACZAN", "AOACMAG", "AOATTQT"])
def test_a_sample_with_a_number_that_is_none_or_masked_is_bad(kind: str, name: str) -> None:
    _, telemetry, _, _ = example(GUIDE)
    values, at = telemetry[name].copy(), [after(GUIDE, seconds, telemetry) for seconds in (-20, 200)]
    assert (telemetry["AOACFCT"][at, 3] == b"TRAK").all()
    values[at, 3] = np.nan
    bad = np.isin(np.arange(len(values)), at)
    expected = rows_of(kind, bad=bad)
    # Of an attitude that is no number there are no rows, as of one of another length than 1.
    if name != "AOATTQT":
        np.testing.assert_array_equal(rows_of(kind, **{name: values}), expected)
    masked = np.ma.masked_array(values, np.isnan(values))
    np.testing.assert_array_equal(rows_of(kind, **{name: masked}), expected)


@pytest.mark.parametrize("kind", CALC)
def test_what_an_image_that_is_not_tracked_has_does_not_matter(kind: str) -> None:
    _, telemetry, _, _ = example(GUIDE)
    lost = telemetry["AOACFCT"] != b"TRAK"
    assert lost.any()
    values = {name: np.where(lost, np.nan, telemetry[name]) for name in ("AOACYAN", "AOACZAN", "AOACMAG")}
    np.testing.assert_array_equal(rows_of(kind, **values), rows_of(kind))


@pytest.mark.parametrize("kind", CALC)
def test_temperatures_that_are_masked_are_left_out(kind: str) -> None:
    _, telemetry, _, _ = example(GUIDE)
    bad = np.arange(len(telemetry["AACCCDPT"])) % 3 == 0
    masked = np.ma.masked_array(np.where(bad, -90.0, telemetry["AACCCDPT"]), bad)
    np.testing.assert_array_equal(rows_of(kind, AACCCDPT=masked), rows_of(kind, AACCCDPT_bad=bad))


def test_telemetry_without_an_msid_is_refused_by_name() -> None:
    observation, telemetry, catalog, stars = example(GUIDE)
    del telemetry["AOACIMS"]
    with pytest.raises(NotGathered, match="the telemetry has no AOACIMS"):
        acq_stats.calc_stats(observation, telemetry, catalog, stars)


def test_an_msid_of_another_length_than_time_is_refused_by_name() -> None:
    _, telemetry, _, _ = example(GUIDE)
    with pytest.raises(NotGathered, match=r"AOACMAG has shape \(\d+, 8\), and TIME has \d+ samples"):
        rows_of("acq", AOACMAG=telemetry["AOACMAG"][1:])


def test_a_quaternion_that_is_none_is_refused() -> None:
    _, telemetry, _, _ = example(GUIDE)
    q = telemetry["AOATTQT"].copy()
    q[after(GUIDE, 100, telemetry)] *= 1.001
    with pytest.raises(NotGathered, match=r"AOATTQT has a quaternion whose squared norm is 1\.002"):
        rows_of("guide", AOATTQT=q)


@pytest.mark.parametrize(
    ("name", "was", "becomes", "said"),
    [
        ("AOACASEQ", b"AQXN", b"GUID", "AOACASEQ does not change to AQXN after the maneuver"),
        ("AOFATTMD", b"MNVR", b"STDY", "the telemetry has no end of a maneuver"),
        ("AOACASEQ", b"KALM", b"GUID", "the telemetry has no dwell"),
    ],
)
def test_why_an_observation_has_no_rows_is_said(name: str, was: bytes, becomes: bytes, said: str) -> None:
    _, telemetry, _, _ = example(GUIDE)
    with pytest.raises(NotGathered, match=said):
        rows_of("acq", **{name: np.where(telemetry[name] == was, becomes, telemetry[name])})


def test_a_star_catalog_that_is_late_is_odd_and_one_of_another_maneuver_is_refused() -> None:
    observation, telemetry, catalog, stars = example(GUIDE)
    begin = telemetry["TIME"][telemetry["AOFATTMD"] == b"MNVR"][0]
    assert odd_timing(observation | {"mp_starcat_time": begin + 25}, telemetry) is None
    late = observation | {"mp_starcat_time": begin + 45}
    assert odd_timing(late, telemetry) == (
        "its star catalog is commanded 45 s after the start of its maneuver: more than 30 s apart"
    )
    assert len(acq_stats.calc_stats(late, telemetry, catalog, stars)) == 8
    with pytest.raises(NotGathered, match="commanded 301 s after the start of the maneuver"):
        acq_stats.calc_stats(observation | {"mp_starcat_time": begin + 301}, telemetry, catalog, stars)


def test_guiding_needs_the_end_of_the_observation() -> None:
    _, telemetry, _, _ = example(GUIDE)
    with pytest.raises(NotGathered, match="AOPCADMD stays NPNT to the end of the telemetry"):
        rows_of("guide", AOPCADMD=np.where(telemetry["TIME"] > GUIDE, b"NPNT", telemetry["AOPCADMD"]))
    with pytest.raises(NotGathered, match="the telemetry has no next maneuver"):
        rows_of("guide", AOFATTMD=np.where(telemetry["TIME"] > GUIDE, b"STDY", telemetry["AOFATTMD"]))


def test_parts_take_arrays_of_any_kind() -> None:
    dy, dz = star_residuals([[0, 0, 0, 1.0]] * 2, [0.001], [0.0], [[3.6], [4.6]], [[0.0], [0.0]])
    np.testing.assert_allclose(dy, [[0.0], [1.0]], atol=1e-6)
    np.testing.assert_allclose(dz, 0, atol=1e-12)
    # Either sign of a quaternion is the same attitude: the correction is the shorter way.
    assert one_shot([0, 0, 0, 1.0], [0, 0, 0, -1.0])[1] == 0
