"""The limits that people watch: what is inside and what is outside, and a report that cannot be judged."""

import json
import math

import pytest

from mica_lake.vv.limits import BAD, WARN, Outside, limits

FID = {"slot": 0, "type": "FID", "dy_rms": 0.01, "dz_rms": 0.01, "dy_med": 0.1, "dz_med": -0.1, "rad_off": 0.14}
STAR = {
    **{"slot": 3, "type": "GUIDE", "dy_rms": 0.1, "dz_rms": 0.1, "dy_med": 1.0, "dz_med": -1.0, "rad_off": 1.4},
    **{f"frac_{name}_big": 0.0 for name in ("dr", "dy", "dz", "mag")},
}


@pytest.mark.parametrize("report", [FID, STAR, STAR | {"type": "MONITOR"}])
def test_a_good_slot_is_inside_all_limits(report: dict[str, float]) -> None:
    assert limits(report) == []


@pytest.mark.parametrize(
    ("report", "name", "limit"),
    [
        *((FID, name, 0.05) for name in ("dy_rms", "dz_rms")),
        *((FID, name, 0.4) for name in ("dy_med", "dz_med", "rad_off")),
        *((STAR, name, 0.4) for name in ("dy_rms", "dz_rms")),
        (STAR, "rad_off", 1.5),
        *((STAR, f"frac_{name}_big", 0.05) for name in ("dr", "dy", "dz", "mag")),
    ],
)
def test_each_limit_is_as_specified_and_a_value_that_reaches_it_is_bad(
    report: dict[str, float], name: str, limit: float
) -> None:
    below = math.nextafter(limit, 0)
    assert [found for found in limits(report | {name: below}) if found.level == "bad"] == []
    assert limits(report | {name: limit}) == [Outside(name, "bad", limit, limit)]
    if name.endswith("_med"):
        assert limits(report | {name: -limit}) == [Outside(name, "bad", -limit, limit)]


def test_there_are_no_other_limits() -> None:
    assert (len(BAD[True]), len(BAD[False]), WARN[True], list(WARN[False])) == (5, 7, {}, ["dy_rms", "dz_rms"])


@pytest.mark.parametrize("name", ["dy_rms", "dz_rms"])
def test_the_noise_of_a_star_is_to_be_looked_at_from_a_quarter_arcsec_on(name: str) -> None:
    assert limits(STAR | {name: 0.2499}) == []
    assert limits(STAR | {name: 0.25}) == [Outside(name, "warn", 0.25, 0.25)]
    assert limits(STAR | {name: 0.3999}) == [Outside(name, "warn", 0.3999, 0.25)]


def test_several_values_outside_are_all_told_in_the_order_of_the_table() -> None:
    found = limits(STAR | {"frac_mag_big": 0.5, "dz_rms": 0.3, "dy_rms": 0.9})
    assert [(one.name, one.level) for one in found] == [("dy_rms", "bad"), ("dz_rms", "warn"), ("frac_mag_big", "bad")]


@pytest.mark.parametrize("nothing", [math.nan, None])
def test_a_value_that_is_not_known_is_bad(nothing: float | None) -> None:
    (found,) = limits(json.loads(json.dumps(FID | {"dy_med": nothing})))
    assert (found.name, found.level, found.limit) == ("dy_med", "bad", 0.4)
    assert math.isnan(found.value)


def test_a_report_that_lacks_values_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="the report of slot 0 lacks dy_med, rad_off"):
        limits({name: value for name, value in FID.items() if name not in ("dy_med", "rad_off")})
