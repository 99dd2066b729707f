"""Ingest of the observing catalog: columns as the file has them, the newest file counts, a bad one changes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from commands import in_process

from mica_lake.catalog.commit import commit
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.version import pin
from mica_lake.ingest.ocat import ingest
from mica_lake.lake import Lake
from mica_lake.simulate import ocat
from mica_lake.simulate.observations import observations
from mica_lake.tables.ocat import OCAT, OCAT_COLUMN
from mica_lake.tables.table import Table


@pytest.fixture
def ska(tmp_path: Path) -> Path:
    ocat.write_archive(tmp_path / "ska", observations(7e8, 7.01e8))
    return tmp_path / "ska"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def file_of(ska: Path) -> Path:
    return ska / "data/mica/archive/ocat_target_table.h5"


def rewritten(path: Path, change: Callable[[np.ndarray], np.ndarray], node: str = "data") -> None:
    with h5py.File(path) as file:
        rows = file["data"][()]
    with h5py.File(path, "w") as file:
        file[node] = change(rows)


def test_the_table_has_the_columns_of_the_file(ska: Path, lake: Path) -> None:
    assert ingest(ska, lake, jobs=1).set_aside == {}
    with h5py.File(file_of(ska)) as file:
        rows = file["data"][()]
    found = Lake(lake).arrow("FROM ocat ORDER BY position")
    names = [name for name in rows.dtype.names if not name.endswith(".mask")]
    assert sorted(found.column_names) == sorted(["position", "tstart", *names])
    for name in names:
        values = [text.decode() for text in rows[name]] if rows.dtype[name].kind == "S" else rows[name].tolist()
        hidden = rows[f"{name}.mask"] if f"{name}.mask" in rows.dtype.names else np.zeros(len(rows), bool)
        assert found.column(name).to_pylist() == [
            None if hide else value for value, hide in zip(values, hidden, strict=True)
        ]
    assert 0 < rows["count_rate.mask"].sum() < len(rows)
    assert Lake(lake).sql("SELECT unit, masked FROM ocat_column WHERE name = 'exp_time'").fetchall() == [("ks", False)]
    assert Lake(lake).sql("SELECT name FROM ocat_column WHERE masked").fetchall() == [("count_rate",)]


def test_a_second_run_reads_and_writes_nothing(ska: Path, lake: Path) -> None:
    ingest(ska, lake, jobs=1)
    report = ingest(ska, lake, jobs=1)
    assert (report.unchanged, report.taken, report.partitions) == (1, [], 0)


def test_a_new_file_replaces_all_rows_and_columns(ska: Path, lake: Path) -> None:
    ingest(ska, lake, jobs=1)
    rewritten(file_of(ska), lambda rows: rows[["obsid", "ra", "dec", "start_date"]][:2])
    assert ingest(file_of(ska), lake, jobs=1).partitions == 2
    found = Lake(lake).sql("FROM ocat")
    assert (len(found.fetchall()), found.columns) == (2, ["position", "tstart", "obsid", "ra", "dec", "start_date"])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "it is not a whole HDF5 file"),
        (lambda path: path.write_bytes(b"nothing"), "it is not a whole HDF5 file"),
        (lambda path: rewritten(path, lambda rows: rows, "other"), "it has no table /data"),
        (lambda path: rewritten(path, lambda rows: rows["ra"]), "it has no table /data"),
        (lambda path: rewritten(path, lambda rows: rows[["obsid", "ra", "dec"]]), "has no column start_date"),
        (
            lambda path: rewritten(
                path, lambda rows: rows.astype([(n, "f8" if n == "obsid" else rows.dtype[n]) for n in rows.dtype.names])
            ),
            "its column obsid is <f8, which is not what it should be",
        ),
    ],
)  # fmt: skip
def test_a_bad_file_is_set_aside_and_what_the_lake_has_stays(
    ska: Path, lake: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    ingest(ska, lake, jobs=1)
    before = Lake(lake).sql("FROM ocat").fetchall()
    spoil(file_of(ska))
    report = ingest(ska, lake, jobs=1)
    (said,) = report.set_aside.values()
    assert reason in said
    assert report.exit_code == 3
    assert Lake(lake).sql("FROM ocat").fetchall() == before


def test_a_table_that_is_in_another_file_is_refused(ska: Path, lake: Path, tmp_path: Path) -> None:
    elsewhere = file_of(ska).rename(tmp_path / "elsewhere.h5")
    with h5py.File(file_of(ska), "w") as file:
        file["data"] = h5py.ExternalLink(str(elsewhere), "/data")
    (said,) = ingest(ska, lake, jobs=1).set_aside.values()
    assert said == "its table /data is a link to elsewhere (ExternalLink)"


def test_a_text_that_is_not_utf8_is_named(ska: Path, lake: Path) -> None:
    def change(rows: np.ndarray) -> np.ndarray:
        rows["target_name"][3] = b"M\xfcller"
        return rows

    rewritten(file_of(ska), change)
    (said,) = ingest(ska, lake, jobs=1).set_aside.values()
    assert said == "column target_name is not text: b'M\\xfcller'"


def test_a_folder_without_the_file_is_an_error(tmp_path: Path, lake: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has neither data/mica/archive/ocat_target_table\.h5 nor ocat"):
        ingest(tmp_path, lake, jobs=1)


def test_starts_that_are_no_dates_are_null(ska: Path, lake: Path) -> None:
    def change(rows: np.ndarray) -> np.ndarray:
        rows["start_date"][:3] = [b"0", b" ", b"2010-13-01 00:00:00"]
        return rows

    rewritten(file_of(ska), change)
    ingest(ska, lake, jobs=1)
    found = Lake(lake).sql("SELECT tstart IS NULL FROM ocat ORDER BY position LIMIT 4").fetchall()
    assert found == [(True,), (True,), (True,), (False,)]
    shutil.rmtree(lake)


@pytest.mark.parametrize("table", [OCAT, OCAT_COLUMN], ids=lambda table: table.name)
def test_rows_that_are_not_those_of_the_file_are_found(ska: Path, lake: Path, table: Table) -> None:
    ingest(ska, lake, jobs=1)
    assert in_process(("verify", "--from", ska, "--lake", lake), {}).returncode == 0
    listed = next(row for row in read_table(lake, "partition").to_pylist() if row["table_name"] == table.name)
    rows = read_partition(lake / listed["path"])
    row = pin(lake, table, Key(EPOCH), rows.slice(1), [], listed["derived_from"])
    commit(lake, {(table.name, Key(EPOCH)): row}, read_table(lake, "source_file"))
    done = in_process(("verify", "--from", ska, "--lake", lake), {})
    assert done.returncode == 4
    assert "its rows are not those of its files" in " ".join(done.stdout.split())
