"""The simulator of statistics: stars that are acquired and tracked as flight ones are."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from mica_lake.simulate import stats
from mica_lake.simulate.observations import Observation, observations
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.times import cxcsec

# Some weeks of five years, so that temperatures and warm pixels differ.
OBSERVED: list[Observation] = [
    o for year in (2000, 2006, 2012, 2018, 2024) for o in observations(cxcsec(f"{year}:100"), cxcsec(f"{year}:120"))
]


def read(path: Path) -> NDArray[np.void]:
    with h5py.File(path) as file:
        return file["data"][()]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[NDArray[np.void], NDArray[np.void]]:
    acq, guide = stats.write_archive(tmp_path_factory.mktemp("ska"), OBSERVED)
    return read(acq), read(guide)


def test_eight_rows_for_each_observation_with_the_columns_of_flight(tables: tuple[NDArray[np.void], ...]) -> None:
    for rows, name, time in zip(tables, ("acq_stats", "guide_stats"), ("guide_tstart", "kalman_tstart"), strict=True):
        assert rows.dtype == row_dtype(name)
        assert rows["obsid"].tolist() == [o.obsid for o in OBSERVED for _ in range(8)]
        assert rows["slot"].tolist() == list(range(8)) * len(OBSERVED)
        assert rows[time].tolist() == [o.tstart for o in OBSERVED for _ in range(8)]
    acq, guide = tables
    for name in ("agasc_id", "yang", "zang", "ra", "dec", "mag", "n100_warm_frac", "known_bad"):
        np.testing.assert_array_equal(acq[name], guide[name])
    assert (acq["acq_start"] < acq["guide_start"]).all()
    assert (guide["kalman_datestart"] < guide["npnt_datestop"]).all()


def test_acquisition_fails_for_faint_stars_and_a_warm_ccd(tables: tuple[NDArray[np.void], ...]) -> None:
    acq = tables[0]
    fraction = [acq["acqid"][np.floor(acq["mag"]) == mag].mean() for mag in (7, 9, 10)]
    assert fraction[0] > 0.98
    assert fraction[0] >= fraction[1] > fraction[2] > 0.3
    faint = acq[acq["mag"] > 9.8]
    warm = faint["ccd_temp"] > np.median(faint["ccd_temp"])
    assert faint["acqid"][~warm].mean() > faint["acqid"][warm].mean() + 0.1
    assert np.isnan(acq["mag_obs"]).tolist() == (~acq["acqid"]).tolist()
    assert set(acq["img_func"][acq["acqid"]].tolist()) == {b"star"}


def test_warm_pixels_grow_with_time(tables: tuple[NDArray[np.void], ...]) -> None:
    for rows in tables:
        share = rows["n100_warm_frac"].reshape(len(OBSERVED), 8)
        assert (share == share[:, :1]).all()
        yearly = [part.mean() for part in np.array_split(share[:, 0], 5)]
        assert yearly == sorted(yearly)
        assert yearly[0] < 0.02 < 0.12 < yearly[-1]


def test_scatter_grows_with_magnitude(tables: tuple[NDArray[np.void], ...]) -> None:
    acq, guide = tables
    for rows, name in ((acq, "cdy"), (acq, "cdz"), (guide, "dy_std"), (guide, "dz_std"), (guide, "dr_95th")):
        bright, faint = (rows[name][(low < rows["mag"]) & (rows["mag"] < low + 1)] for low in (7.0, 9.5))
        assert np.nanstd(faint) + np.nanmean(faint) > 1.5 * (np.nanstd(bright) + np.nanmean(bright))
    # The one-shot correction is common to the stars of an observation.
    one_shot = (acq["dy"] - acq["cdy"]).reshape(-1, 8)
    assert np.nanmax(np.nanmax(one_shot, 1) - np.nanmin(one_shot, 1)) < 1e-9


def test_fractions_are_fractions(tables: tuple[NDArray[np.void], ...]) -> None:
    guide = tables[1]
    for name in guide.dtype.names or ():
        if name.startswith("f_") or name == "no_track":
            assert ((guide[name] >= 0) & (guide[name] <= 1)).all(), name
    np.testing.assert_allclose(guide["f_track"] + guide["f_racq"] + guide["f_srch"] + guide["f_none"], 1)
    assert (guide["n_track"] <= guide["n_samples"]).all()
    assert ((guide["n_track_interv"] > 0) == (guide["n_track"] > 0)).all()


def test_some_are_known_bad_and_say_why(tables: tuple[NDArray[np.void], ...]) -> None:
    for rows in tables:
        assert 0 < rows["known_bad"].mean() < 0.02
        assert ((rows["bad_comment"] != b"") == rows["known_bad"]).all()


def test_rows_depend_on_the_observation_and_the_seed_alone(tmp_path: Path) -> None:
    first = stats.write_archive(tmp_path / "a", OBSERVED[:4])
    again = stats.write_archive(tmp_path / "b", OBSERVED[:4])
    fewer = stats.write_archive(tmp_path / "c", OBSERVED[2:4])
    other = stats.write_archive(tmp_path / "d", OBSERVED[:4], seed=1)
    for one, two, three, four in zip(first, again, fewer, other, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert read(one)[16:].tobytes() == read(three).tobytes()
        assert read(one).tobytes() != read(four).tobytes()
    assert [path.relative_to(tmp_path / "a").as_posix() for path in first] == [
        "data/acq_stats/acq_stats.h5",
        "data/guide_stats/guide_stats.h5",
    ]
