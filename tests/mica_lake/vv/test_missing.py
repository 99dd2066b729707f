"""`mica-lake vv --missing`: V&V of all observations that have aspect products and no V&V."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import in_process

from mica_lake.ingest import asp_l1 as ingest_asp_l1
from mica_lake.ingest import obspar as ingest_obspar
from mica_lake.simulate import asp_l1, obspar
from mica_lake.simulate.observations import Observation, observations
from mica_lake.vv import get_arch_vv, get_rms_data, get_vv
from mica_lake.vv.archive import rms_rows
from mica_lake.vv.process import missing, process


def shortened(one: Observation) -> Observation:
    return replace(one, tstop=one.tstart + 2000, detector="ACIS-7", revisions=(1,), default=1, last=1)


OBSERVED = [shortened(one) for one in observations(7e8, 7e8 + 40000)]
OBSIDS = sorted(one.obsid for one in OBSERVED)


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("missing") / "ska"
    for module in (obspar, asp_l1):
        module.write_archive(top, OBSERVED)
    return top


@pytest.fixture
def lake(ska: Path, tmp_path: Path) -> Path:
    root = tmp_path / "lake"
    for one in (ingest_obspar, ingest_asp_l1):
        one.ingest(ska, root, jobs=1)
    return root


def test_all_that_have_products_and_no_residuals_are_missing_and_then_none(lake: Path) -> None:
    assert missing(lake) == [(obsid, 1) for obsid in OBSIDS]
    listed = in_process(("vv", "--missing", "--lake", lake), {})
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[0] == f"obsid {OBSIDS[0]}, revision 1"
    assert f"{len(OBSIDS)} without V&V; --ingest computes and stores it" in listed.stdout
    done = in_process(("vv", "--missing", "--ingest", "--lake", lake), {})
    assert done.returncode == 0, done.stdout
    assert missing(lake) == []
    assert sorted(set(get_rms_data(lake)["obsid"])) == OBSIDS
    assert get_vv(OBSIDS[0], "last", lake)["obsid"] == OBSIDS[0]
    assert "Nothing to do" in in_process(("vv", "--missing", "--ingest", "--lake", lake), {}).stdout


def test_what_one_by_one_gives_is_the_same(lake: Path) -> None:
    report, rows = process(OBSIDS[0], data_root=lake)
    obi = get_arch_vv(OBSIDS[0], "last", lake)
    assert report == obi.report()
    np.testing.assert_equal(rows, rms_rows(obi, lake))


def test_one_that_cannot_be_computed_is_set_aside_and_the_others_are_in(lake: Path, ska: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ska, tmp_path / "copy", symlinks=True))
    ingest_asp_l1.ingest(copy, lake, jobs=1)
    for path in (copy / "data/mica/archive/asp1").glob(f"*/{OBSIDS[0]:05d}_v01/*acen*"):
        path.unlink()
    done = in_process(("vv", "--missing", "--ingest", "--lake", lake), {})
    assert done.returncode == 3
    assert f"{OBSIDS[0]:05d}_v01" in done.stdout
    assert missing(lake) == [(OBSIDS[0], 1)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "which observations? Name some, or say --missing"), ((5, "--missing"), "--missing is of all observations")],
)
def test_missing_stands_for_observations(arguments: tuple[object, ...], said: str, lake: Path) -> None:
    done = in_process(("vv", *arguments, "--lake", lake), {})
    assert done.returncode == 1
    assert said in done.stderr
