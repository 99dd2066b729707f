"""Simulated observations: one in each dwell, the same whatever interval is asked for."""

from itertools import pairwise

import pytest

from mica_lake.simulate import aca_l0
from mica_lake.simulate.observations import Observation, link_revisions, observations

START = 6.8e8


@pytest.fixture(scope="module")
def many():
    """Simulate the observations of two months."""
    return observations(START, START + 5e6)


def observation(default, *revisions):
    """Make an observation of given revisions."""
    return Observation(412, 1.0, 2.0, "HRC-I", 0.0, 0.0, 0.0, revisions, default, revisions[-1])


class TestObservations:
    """What was observed when."""

    def test_one_for_each_dwell(self, many):
        """Observations follow one another, each in a dwell of the telemetry: stars are tracked all the time."""
        assert len(many) == pytest.approx(5e6 / 19800, rel=0.05)
        assert all(a.tstop < b.tstart for a, b in pairwise(many))
        for one in many[:5]:
            times = aca_l0.times(one.tstart, one.tstop, 8)
            columns = aca_l0.readouts(5, 8, times)
            assert set(columns["IMGFUNC1"]) == {1}
            # Dither alone does not move an image by more than 4 pixels, another star would.
            assert int(columns["IMGROW0"].max()) - int(columns["IMGROW0"].min()) <= 4
            before = aca_l0.readouts(5, 8, aca_l0.times(one.tstart - 70, one.tstart, 8))
            assert 3 in before["IMGFUNC1"]

    def test_same_whatever_the_interval(self, many):
        """Those that meet an interval are given whole; an edge in the middle of one changes nothing."""
        for i in (3, 4, 50):
            middle = (many[i].tstart + many[i].tstop) / 2
            assert observations(middle, START + 5e6) == many[i:]
            assert observations(START, middle) == many[: i + 1]
            assert observations(middle, middle + 1) == [many[i]]
            assert observations(many[i].tstop, many[i + 1].tstart) == []

    def test_seed(self, many):
        """Another seed gives others."""
        assert not {o.tstart for o in many} & {o.tstart for o in observations(START, START + 5e6, seed=1)}

    def test_obsids(self, many):
        """Obsids grow with time, engineering's above 38000 and science's below; they are unique."""
        science = [o.obsid for o in many if o.detector != "NONE"]
        engineering = [o.obsid for o in many if o.detector == "NONE"]
        assert science == list(range(science[0], science[0] + len(science)))
        assert engineering == list(range(engineering[0], engineering[0] + len(engineering)))
        assert 10000 <= science[0] < science[-1] <= 38000 < engineering[0] < engineering[-1] <= 99999
        assert len(engineering) / len(many) == pytest.approx(1 / 6, abs=0.01)

    @pytest.mark.parametrize(("time", "obsids"), [(5e7, range(1, 100)), (9.499e8, range(37800, 38001))])
    def test_whole_mission(self, time, obsids):
        """From launch on there are obsids of science, as many as needed."""
        found = [o.obsid for o in observations(time, time + 1e5) if o.detector != "NONE"]
        assert found
        assert set(found) <= set(obsids)

    def test_revisions(self, many):
        """Most have one revision, released; of some the older, of some the newer of two; of a few none is released."""
        science = [o for o in many if o.detector != "NONE"]
        assert all(o.last == max(o.revisions) == o.revisions[-1] >= 1 for o in many)
        assert all(o.default is None or o.default in o.revisions for o in many)
        kinds = [(len(o.revisions), None if o.default is None else o.default == o.last) for o in science]
        assert set(kinds) == {(1, True), (1, None), (2, True), (2, False)}
        assert kinds.count((1, True)) > 0.5 * len(kinds)
        assert kinds.count((1, None)) < 0.15 * len(kinds)
        assert {o.default for o in many if o.detector == "NONE"} == {None}

    def test_attitudes(self, many):
        """Attitudes are all over the sky."""
        for name, low, high in (("ra", 0, 360), ("dec", -90, 90), ("roll", 0, 360)):
            values = [getattr(o, name) for o in many]
            assert low <= min(values) < low + 20
            assert high - 20 < max(values) <= high
            assert {type(value) for value in values} == {float}

    def test_errors(self):
        """Intervals in the wrong order or without obsids are named."""
        for start, stop in ((7e8, 6e8), (4e7, 6e7), (9e8, 1e9), (float("nan"), 7e8)):
            with pytest.raises(ValueError, match=f"start {start} and stop {stop} must be"):
                observations(start, stop)


class TestLinks:
    """Links to revisions."""

    def links(self, folder):
        """Read the links."""
        return {p.name: p.readlink().name for p in (folder / "00").iterdir()}

    @pytest.mark.parametrize(
        ("one", "expected"),
        [
            (observation(2, 2), {"00412": "00412_v02"}),
            (observation(3, 2, 3), {"00412": "00412_v03"}),
            (observation(2, 2, 3), {"00412": "00412_v02", "00412_last": "00412_v03"}),
            (observation(None, 1), {"00412_last": "00412_v01"}),
        ],
    )
    def test_links(self, tmp_path, one, expected):
        """The default has a link, and the last one if it is another; twice does no harm."""
        for _ in range(2):
            link_revisions(tmp_path / "new", one)
            assert self.links(tmp_path / "new") == expected

    def test_replaced(self, tmp_path):
        """When a revision is released, links follow, and the one to the last goes."""
        link_revisions(tmp_path, observation(2, 2, 3))
        link_revisions(tmp_path, observation(3, 2, 3))
        assert self.links(tmp_path) == {"00412": "00412_v03"}
        link_revisions(tmp_path, observation(None, 2, 3))
        assert self.links(tmp_path) == {"00412_last": "00412_v03"}

    def test_relative(self, tmp_path):
        """Links lead to the directory, wherever the archive is moved."""
        target = tmp_path / "a/00/00412_v02"
        target.mkdir(parents=True)
        link_revisions(tmp_path / "a", observation(2, 2))
        (tmp_path / "a").rename(tmp_path / "b")
        assert (tmp_path / "b/00/00412").resolve() == tmp_path.resolve() / "b/00/00412_v02"
        assert (tmp_path / "b/00/00412").is_dir()
