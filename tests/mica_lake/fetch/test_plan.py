"""What is asked for follows from what there is and from the time."""

import time

import pytest

from mica_lake.fetch.plan import DAY, LONGEST, PADDING, ROUND, Failure, Known, Revisions, plan
from mica_lake.fetch.request import OfInterval, OfName, OfObservation, Request, request_of

NOW = 8e8
HOLE = "acaf700000003N001_3_img0.fits"


def keys(requests: list[Request]) -> list[str]:
    return [request.key for request in requests]


def telemetry(known: Known, now: float = NOW, **options: float) -> list[Request]:
    return plan(known, now, products=["aca_l0"], **options)  # type: ignore[arg-type]


def of_observations(known: Known, now: float = NOW, **options: object) -> list[str]:
    return keys(plan(known, now, products=["obspar"], **options))  # type: ignore[arg-type]


def failed(count: int, ago: float, name: str = HOLE) -> Failure:
    return Failure("aca_l0", None, name, count, NOW - ago)


def night_of(obsid: int) -> float:
    """A time in the night of the year that is an observation's."""
    tonight = int(NOW / DAY) % ROUND
    return NOW + (obsid - tonight) % ROUND * DAY


def test_telemetry_is_asked_for_from_the_slot_that_is_furthest_behind() -> None:
    known = Known(newest={0: NOW - 3600, 5: NOW - 7200})
    assert telemetry(known) == [OfInterval(int(NOW - 7200 - PADDING), int(NOW + PADDING))]


def test_after_many_days_it_is_asked_for_in_chunks_of_at_most_30_days() -> None:
    requests = telemetry(Known(newest={0: NOW - 70 * DAY}))
    spans = [(r.tstart + PADDING, r.tstop - PADDING) for r in requests if isinstance(r, OfInterval)]
    assert len(spans) == len(requests) == 3
    assert spans[0][0] == NOW - 70 * DAY
    assert spans[-1][1] == NOW
    assert all(stop - start <= LONGEST for start, stop in spans)
    assert [stop for _, stop in spans[:-1]] == [start for start, _ in spans[1:]]


def test_an_interval_may_be_given() -> None:
    known = Known(newest={0: NOW}, missing=[(HOLE, 7e8), ("acaf600000000N001_3_img0.fits", 6e8)])
    assert telemetry(known, start=5.9e8, stop=6e8) == telemetry(Known(), start=5.9e8, stop=6e8)
    assert keys(telemetry(known, start=6.999e8, stop=NOW))[0].startswith("aca_l0-699890000-")


def test_without_any_telemetry_it_must_be_said_from_when_on() -> None:
    with pytest.raises(ValueError, match="Say --start"):
        telemetry(Known())


def test_nothing_is_asked_for_of_the_future() -> None:
    assert telemetry(Known(newest={0: NOW})) == []
    assert telemetry(Known(), start=NOW + 1) == []


def test_holes_are_asked_for_one_by_one_by_time() -> None:
    early = "acaf600000000N001_7_img0.fits"
    known = Known(newest={0: NOW}, missing=[(HOLE, 7e8), (early, 6e8)])
    assert telemetry(known) == [OfName(early), OfName(HOLE)]


def test_a_hole_in_the_interval_that_is_asked_for_is_not_asked_for_again() -> None:
    known = Known(newest={0: 7e8}, missing=[(HOLE, 7e8 + 3)])
    assert keys(telemetry(known, now=7e8 + DAY)) == ["aca_l0-699990000-700096400"]


def test_a_file_that_could_not_be_taken_is_asked_for_again() -> None:
    assert telemetry(Known(newest={0: NOW}, failures=[failed(1, ago=60)])) == [OfName(HOLE)]


@pytest.mark.parametrize(("count", "days"), [(4, 2), (5, 4), (6, 8), (7, 16), (8, 32), (100, 32)])
def test_after_three_failures_the_pause_grows(count: int, days: int) -> None:
    def asked(ago: float) -> bool:
        known = Known(newest={0: NOW}, failures=[failed(count, ago)], missing=[(HOLE, 7e8)])
        return telemetry(known) == [OfName(HOLE)]

    assert not asked(days * DAY - 60)
    assert asked(days * DAY + 60)


def test_something_foreign_that_was_set_aside_is_not_asked_for() -> None:
    assert telemetry(Known(newest={0: NOW}, failures=[failed(1, ago=60, name="../evil")])) == []


def test_an_observation_that_ended_lately_is_asked_for_every_night_until_it_is_there() -> None:
    known = Known(ended={5438: NOW - 2 * DAY})
    assert of_observations(known) == ["obspar-05438/default", "obspar-05438/last"]
    there = Known(ended=known.ended, revisions={"obspar": {5438: Revisions(1, 1)}})
    assert of_observations(there) == []


def test_one_that_has_not_ended_is_not_asked_for() -> None:
    assert of_observations(Known(ended={5438: NOW + DAY})) == []


def test_one_whose_last_revision_is_not_released_is_asked_for_every_night() -> None:
    both = ["obspar-05438/default", "obspar-05438/last"]
    for revisions in (Revisions(None, 1), Revisions(1, 2)):
        assert of_observations(Known(ended={5438: 1e8}, revisions={"obspar": {5438: revisions}})) == both


def test_one_of_engineering_is_never_released_and_not_waited_for() -> None:
    known = Known(ended={51365: 1e8}, revisions={"obspar": {51365: Revisions(None, 1)}})
    assert of_observations(known, night_of(51365) + DAY) == []
    assert of_observations(known, night_of(51365)) != []


def test_new_revisions_of_the_others_are_asked_for_once_a_year() -> None:
    known = Known(ended={5438: 1e8}, revisions={"obspar": {5438: Revisions(2, 2)}})
    asked = [n for n in range(ROUND) if of_observations(known, NOW + n * DAY)]
    assert len(asked) == 1
    assert of_observations(known, night_of(5438)) == ["obspar-05438/default", "obspar-05438/last"]


def test_so_is_one_of_which_there_never_was_anything() -> None:
    known = Known(ended={5438: 1e8})
    assert of_observations(known) == []
    assert of_observations(known, night_of(5438)) == ["obspar-05438/default", "obspar-05438/last"]


def test_an_observation_that_somebody_asks_for_is_asked_for_whatever_there_is() -> None:
    known = Known(
        newest={0: 1e8},
        revisions={"obspar": {5438: Revisions(2, 2)}},
        failures=[Failure("obspar", 5438, "x", 9, NOW)],
    )
    asked = plan(known, NOW, obsids=[5438])
    assert keys(asked) == [f"{p}-05438/{v}" for p in ("obspar", "asp_l1") for v in ("default", "last")]


def test_an_observation_whose_files_fail_waits_as_well() -> None:
    waiting = Known(ended={5438: NOW - DAY}, failures=[Failure("obspar", 5438, "x.par.gz", 5, NOW - DAY)])
    assert of_observations(waiting) == []
    assert of_observations(waiting, NOW + 4 * DAY) != []


def test_one_that_failed_once_is_asked_for_again_however_old_it_is() -> None:
    known = Known(ended={5438: 1e8}, failures=[Failure("obspar", 5438, "x.par.gz", 1, NOW - DAY)])
    assert of_observations(known) != []


def test_a_transport_that_only_has_what_is_released_is_asked_for_that_alone() -> None:
    known = Known(ended={5438: 1e8}, revisions={"obspar": {5438: Revisions(2, 2)}})
    assert of_observations(known, night_of(5438), versions=["default"]) == ["obspar-05438/default"]


def test_a_key_says_its_request() -> None:
    for request in (OfInterval(-3, 9), OfName(HOLE), OfObservation("asp_l1", 62123, "default")):
        assert request_of(request.key) == request
    for key in ("", "staging", "obspar-5/newest", "aca_l0-../x", "aca_l0-acaf1/x"):
        assert request_of(key) is None


def test_the_plan_of_a_mission_takes_less_than_three_seconds() -> None:
    ended = {obsid: 1e8 + obsid * 1e4 for obsid in range(65_536)}
    there = {obsid: Revisions(1, 1) for obsid in range(0, 65_536, 2)}
    missing = [
        (f"acaf{time:09d}N001_{slot}_img0.fits", float(time))
        for time in range(10**8, 7 * 10**8, 6430)
        for slot in (2, 3)
    ]
    known = Known(dict.fromkeys(range(8), 5e8), missing, ended, {"obspar": there, "asp_l1": there})
    begun = time.monotonic()
    assert len(plan(known, NOW)) > 1000
    assert time.monotonic() - begun < 3
