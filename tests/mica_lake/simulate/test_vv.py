"""The simulator of V&V: reports and residuals of the simulated aspect products, whose noise they are."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mica_lake.simulate import asp_l1, obspar, vv
from mica_lake.simulate.observations import Observation, observations
from mica_lake.tables.stat_columns import row_dtype

OBSERVED: list[Observation] = [
    replace(o, tstop=o.tstart + 3000) for o in observations(7e8, 7e8 + 90000) if o.detector != "NONE"
][:2]
ENGINEERING = next(o for o in observations(7e8, 7e8 + 90000) if o.detector == "NONE")


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ska")
    obspar.write_archive(root, OBSERVED)
    asp_l1.write_archive(root, OBSERVED)
    vv.write_archive(root, [*OBSERVED, ENGINEERING])
    return root


def test_residuals_are_the_noise_that_was_put_in(ska: Path) -> None:
    with h5py.File(ska / "data/mica/archive/vv/vv.h5") as file:
        rows = file["vv"][()]
    assert rows.dtype == row_dtype("vv_rms")
    assert rows["slot"].tolist() == list(range(8)) * sum(len(o.revisions) for o in OBSERVED)
    stars = rows[rows["type"] != b"FID"]
    noise = 0.05 * 10 ** (0.2 * (stars["mag_med"] - 7))
    for name in ("dy_rms", "dz_rms"):
        np.testing.assert_allclose(stars[name], noise, rtol=0.1)
        # Five fid light centroids are smoothed to one.
        np.testing.assert_allclose(rows[name][rows["type"] == b"FID"], 0.02 / np.sqrt(5), rtol=0.2)
    assert np.ptp(rows["mean_aacccdpt"]) < 0.2
    assert -12 < rows["mean_aacccdpt"].mean() < -5


def test_reports_rows_and_links_agree_with_the_observations(ska: Path) -> None:
    top = ska / "data/mica/archive/vv"
    with h5py.File(top / "vv.h5") as file:
        rows = file["vv"][()]
    for observation in OBSERVED:
        name = f"{observation.obsid:05d}"
        for revision in observation.revisions:
            report = json.loads((top / name[:2] / f"{name}_v{revision:02d}" / "vv_report.json").read_text())
            ours = rows[(rows["obsid"] == observation.obsid) & (rows["revision"] == revision)]
            assert (ours["isdefault"] == (revision == observation.default)).all()
            assert ours["dy_rms"].tolist() == [report["slots"][str(slot)]["dy_rms"] for slot in range(8)]
        if observation.default is not None:
            assert (top / name[:2] / name).readlink().name == f"{name}_v{observation.default:02d}"
    assert not list(top.glob(f"*/{ENGINEERING.obsid:05d}*"))


def test_any_number_of_processes_writes_the_same(ska: Path, tmp_path: Path) -> None:
    obspar.write_archive(tmp_path, OBSERVED)
    asp_l1.write_archive(tmp_path, OBSERVED)
    for path in vv.write_archive(tmp_path, OBSERVED, jobs=2):
        if path.suffix == ".json":
            assert path.read_bytes() == (ska / path.relative_to(tmp_path)).read_bytes()


def test_without_its_products_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="obspar"):
        vv.write_archive(tmp_path, OBSERVED[:1])
