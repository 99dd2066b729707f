"""The views of the statistics: what SQL answers is what the HDF5 tables say."""

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mica_lake.ingest import acq_stats, guide_stats
from mica_lake.lake import Lake
from mica_lake.simulate import stats
from mica_lake.simulate.observations import observations
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.tables.table import Table
from mica_lake.times import cxcsec


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Statistics of some weeks of two years; a few rows have neither magnitude nor temperature."""
    root = tmp_path_factory.mktemp("ska")
    path, _ = stats.write_archive(root, observations(cxcsec("2016:350"), cxcsec("2017:020")))
    with h5py.File(path, "r+") as file:
        rows = file["data"][()]
        rows["mag"][::50], rows["ccd_temp"][::40] = np.nan, np.nan
        rows["known_bad"][::30] = True
        file["data"][()] = rows
    return root


@pytest.fixture(scope="module")
def lake(ska: Path) -> Lake:
    root = ska.parent / f"{ska.name}_lake"
    for one in (acq_stats, guide_stats):
        assert one.ingest(ska, root, jobs=1).exit_code == 0
    return Lake(root)


def rows_in(ska: Path, table: Table) -> NDArray[np.void]:
    with h5py.File(ska / "data" / table.name / f"{table.name}.h5") as file:
        return file["data"][()]  # type: ignore[no-any-return]


@pytest.mark.parametrize("table", [ACQ_STATS, GUIDE_STATS], ids=lambda table: table.name)
def test_the_view_has_every_row_and_its_position(table: Table, lake: Lake, ska: Path) -> None:
    rows = rows_in(ska, table)
    found = lake.sql(f"FROM {table.name} ORDER BY position").fetchnumpy()
    assert list(found) == table.schema.names
    np.testing.assert_array_equal(found["position"], np.arange(len(rows)))
    for name in rows.dtype.names or ():
        expected = np.char.decode(rows[name]) if rows.dtype[name].kind == "S" else rows[name]
        np.testing.assert_array_equal(np.ma.filled(found[name]), expected, err_msg=name)


@pytest.mark.parametrize(("view", "column", "bins"), [("mag", "mag", 2), ("ccd_temp", "ccd_temp", 1)])
def test_success_by_bins(view: str, column: str, bins: int, lake: Lake, ska: Path) -> None:
    rows = rows_in(ska, ACQ_STATS)
    rows = rows[~rows["known_bad"] & ~np.isnan(rows[column])]
    places = np.floor(rows[column] * bins) / bins
    expected = []
    for place in np.unique(places):
        acquired = rows["acqid"][places == place]
        expected.append((place, len(acquired), acquired.sum(), acquired.sum() / len(acquired)))
    relation = lake.sql(f"FROM acq_success_by_{view}")
    assert relation.columns == [column, "n", "n_acquired", "fraction"]
    assert relation.fetchall() == expected
    assert len(expected) > 1


def test_faint_stars_are_acquired_less_often(lake: Lake) -> None:
    fraction = dict(lake.sql("SELECT mag, fraction FROM acq_success_by_mag").fetchall())
    assert fraction[8.0] > fraction[10.5]


@pytest.mark.parametrize("table", [ACQ_STATS, GUIDE_STATS], ids=lambda table: table.name)
def test_polars_has_the_rows_of_an_interval(table: Table, lake: Lake, ska: Path) -> None:
    times = rows_in(ska, table)[table.time]
    start, stop = cxcsec("2016:360"), cxcsec("2017:010")
    frame = lake.scan(table.name, start, stop).select(pl.col(table.time)).collect()
    assert sorted(frame[table.time].to_list()) == sorted(times[(times >= start) & (times <= stop)].tolist())
    with pytest.raises(ValueError, match="before start"):
        lake.scan(table.name, stop, start)


def test_row_groups_can_be_skipped_by_star_time_and_observation(lake: Lake) -> None:
    found = lake.sql(
        "SELECT name, count(stats_min_value) AS n FROM (SELECT path_in_schema AS name, stats_min_value "
        "FROM parquet_metadata(files_of('acq_stats'))) GROUP BY name HAVING n > 0 ORDER BY name"
    ).fetchall()
    assert [name for name, _ in found] == sorted(ACQ_STATS.searched)


def test_a_lake_without_statistics_answers_with_no_rows(tmp_path: Path) -> None:
    stats.write_archive(tmp_path / "ska", [])
    acq_stats.ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
    empty = Lake(tmp_path / "lake")
    for view in ("acq_stats", "guide_stats", "acq_success_by_mag", "acq_success_by_ccd_temp"):
        assert empty.sql(f"FROM {view}").fetchall() == []
    assert empty.scan("acq_stats").collect().height == 0
