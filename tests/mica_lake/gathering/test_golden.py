"""Statistics gathered from telemetry, as the reference computed them: STATS.md's golden answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mica_lake.gathering.residuals import moved, one_shot, product, star_residuals
from mica_lake.gathering.telemetry import NotGathered, rounded
from mica_lake.stats import acq_stats, events_of, guide_stats
from mica_lake.times import utc

Rows = NDArray[np.void]
CALC: dict[str, Callable[..., Rows]] = {"acq": acq_stats.calc_stats, "guide": guide_stats.calc_stats}
# Of floats; magnitudes have 1e-6, what is not named 1e-8. Anything else is exact.
TOLERANCE = {
    "aoacyan_mean": 5e-4,
    "aoaczan_mean": 5e-4,
    "one_shot_length": 1e-3,
    **dict.fromkeys(("guide_tstart", "kalman_tstart", "npnt_tstop"), 1e-6),
}


class Inputs:
    """The synthetic observations."""

    def __init__(self, shared: Path) -> None:
        with np.load(shared / "golden" / "stats_inputs.npz") as file:
            arrays = dict(file)
        self.observations: list[dict[str, Any]] = json.loads(str(arrays.pop("observations")))
        self.agasc = arrays.pop("agasc")
        self.telemetry: dict[int, dict[str, NDArray[Any]]] = {}
        for key, values in arrays.items():
            obsid, name = key.split("/")
            self.telemetry.setdefault(int(obsid), {})[name] = values

    def rows(self, kind: str, change: Callable[[dict[str, NDArray[Any]]], dict[str, Any]] = dict) -> Rows:
        found = []
        for one in self.observations:
            try:
                found.append(CALC[kind](one, change(self.telemetry[one["obsid"]]), one["catalog"], self.agasc))
            except NotGathered:
                continue
        return np.concatenate(found)


@pytest.fixture(scope="module")
def inputs(shared: Path) -> Inputs:
    return Inputs(shared)


@pytest.fixture(scope="module")
def answers(shared: Path) -> dict[str, NDArray[Any]]:
    with np.load(shared / "golden" / "stats_answers.npz") as file:
        return dict(file)


def ordered(rows: Rows) -> Rows:
    return rows[np.lexsort((rows["slot"], rows["obsid"]))]


def assert_as_golden(found: Rows, kind: str, answers: dict[str, NDArray[Any]]) -> None:
    expected = ordered(np.concatenate([answers[kind], answers[f"{kind}_kept"]]))
    found = ordered(found)
    assert found.dtype.names == expected.dtype.names
    assert found[["obsid", "slot"]].tolist() == expected[["obsid", "slot"]].tolist()
    for name in expected.dtype.names or ():
        if expected.dtype[name].kind == "f":
            within = TOLERANCE.get(name, 1e-6 if "mag" in name else 1e-8)
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=within, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("kind", CALC)
def test_rows_are_those_of_the_reference(kind: str, inputs: Inputs, answers: dict[str, NDArray[Any]]) -> None:
    assert_as_golden(inputs.rows(kind), kind, answers)


@pytest.mark.parametrize("kind", CALC)
def test_the_order_of_samples_does_not_matter(kind: str, inputs: Inputs, answers: dict[str, NDArray[Any]]) -> None:
    def shuffled(telemetry: dict[str, NDArray[Any]]) -> dict[str, Any]:
        n = {name: len(values) for name, values in telemetry.items()}
        orders = {length: np.random.default_rng(1).permutation(length) for length in n.values()}
        return {name: values[orders[n[name]]] for name, values in telemetry.items()}

    assert_as_golden(inputs.rows(kind, shuffled), kind, answers)


@pytest.mark.parametrize("kind", CALC)
def test_blanks_around_texts_do_not_matter(kind: str, inputs: Inputs, answers: dict[str, NDArray[Any]]) -> None:
    def stripped(telemetry: dict[str, NDArray[Any]]) -> dict[str, Any]:
        texts = {name: values.astype("U") for name, values in telemetry.items() if values.dtype.kind == "S"}
        return telemetry | {name: np.strings.strip(values) for name, values in texts.items()}

    assert_as_golden(inputs.rows(kind, stripped), kind, answers)


@pytest.mark.parametrize("kind", CALC)
def test_samples_marked_bad_are_as_samples_that_are_not_there(
    kind: str, inputs: Inputs, answers: dict[str, NDArray[Any]]
) -> None:
    def dropped(telemetry: dict[str, NDArray[Any]]) -> dict[str, Any]:
        good = ~telemetry["bad"]
        return {name: values[good] if len(values) == len(good) else values for name, values in telemetry.items()}

    assert_as_golden(inputs.rows(kind, dropped), kind, answers)


def test_events_are_those_of_kadi(inputs: Inputs, answers: dict[str, NDArray[Any]]) -> None:
    for answer in answers["events"]:
        (event,) = events_of(inputs.telemetry[int(answer["obsid"])])
        dates = {
            "acq_start": event.acq_start,
            "guide_start": event.guide_start,
            "kalman_start": event.kalman_start,
            "next_nman_start": event.npnt_stop if event.kalman_start is not None else None,
            "next_manvr_start": event.next_start,
            "dwell_start": event.dwells[0].start if event.dwells else None,
            "dwell_stop": event.dwells[0].stop if event.dwells else None,
        }
        found = {name: b"" if time is None else utc(time).encode() for name, time in dates.items()}
        assert found == {name: answer[name] for name in found}, answer["obsid"]
        counted = (event.n_acq, event.n_guide, event.n_kalman, len(event.dwells))
        assert counted == tuple(answer[name] for name in ("n_acq", "n_guide", "n_kalman", "n_dwell")), answer["obsid"]


def test_anomalies_are_those_the_reference_mails(inputs: Inputs, answers: dict[str, NDArray[Any]]) -> None:
    rows = inputs.rows("acq")
    found = [
        (obsid, slot, -1 if box is None else box)
        for obsid in np.unique(rows["obsid"]).tolist()
        for slot, box in acq_stats.anomalies(rows[rows["obsid"] == obsid])
    ]
    assert sorted(found) == sorted(answers["anomaly"].tolist())


def test_residuals_of_each_sample_are_those_of_the_reference(inputs: Inputs, answers: dict[str, NDArray[Any]]) -> None:
    agasc = {int(row["AGASC_ID"]): row for row in inputs.agasc}
    with_series = {int(key.split("/")[0]) for key in answers if key.endswith("/acq_time")}
    assert len(with_series) == 3
    for one in (one for one in inputs.observations if one["obsid"] in with_series):
        telemetry = inputs.telemetry[one["obsid"]]
        guide_start = rounded(events_of(telemetry)[0].guide_start or 0)
        for kind, types in (("acq", ("ACQ", "BOT")), ("guide", ("GUI", "BOT"))):
            entries = [entry for entry in one["catalog"] if entry["type"] in types]
            slots, stars = [entry["slot"] for entry in entries], np.array([agasc[entry["id"]] for entry in entries])
            times = answers[f"{one['obsid']}/{kind}_time"]
            at = np.searchsorted(telemetry["TIME"], times - 1e-3)
            q, yan, zan = (telemetry[name][at] for name in ("AOATTQT", "AOACYAN", "AOACZAN"))
            ra, dec = moved(stars, float(times[0]))
            series = {f"{kind}_dy": 0, f"{kind}_dz": 1}
            found = star_residuals(q, ra, dec, yan[:, slots], zan[:, slots])
            for name, axis in series.items():
                expected = answers[f"{one['obsid']}/{name}"][:, slots]
                np.testing.assert_allclose(found[axis], expected, rtol=0, atol=1e-8)
            if kind == "acq":
                g = int(np.searchsorted(times, guide_start - 1))
                q[times < guide_start + 1] = product(one_shot(q[g], q[g + 2])[0], q)[times < guide_start + 1]
                found = star_residuals(q, ra, dec, yan[:, slots], zan[:, slots])
                for axis, name in enumerate(("acq_corr_dy", "acq_corr_dz")):
                    expected = answers[f"{one['obsid']}/{name}"][:, slots]
                    np.testing.assert_allclose(found[axis], expected, rtol=0, atol=1e-8)
