"""The views of the observation parameters: what SQL answers is what the files say, and what the facade answers."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from commands import in_duckdb, read

from mica_lake.archive.obspar import get_obspar
from mica_lake.ingest.obspar import ingest
from mica_lake.lake import Lake
from mica_lake.simulate import obspar
from mica_lake.simulate.observations import observations
from mica_lake.tables.obspar import OBSPAR, OBSPAR_KV
from mica_lake.times import cxcsec

TOP = "data/mica/archive/obspar"
EVERY = observations(cxcsec("2016:364"), cxcsec("2017:003"))
TYPES = {"s": "VARCHAR", "i": "BIGINT", "r": "DOUBLE"}


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of observations of two years."""
    root = tmp_path_factory.mktemp("ska")
    obspar.write_archive(root, EVERY)
    return root


@pytest.fixture(scope="module")
def lake(ska: Path) -> Lake:
    """A lake of it, not to be changed."""
    root = ska.parent / f"{ska.name}_lake"
    assert ingest(ska, root, jobs=1).exit_code == 0
    return Lake(root)


def lines(ska: Path, obsid: int, revision: int) -> list[list[str]]:
    """The rows of a file, with _ for - in the names."""
    name = f"{obsid:05d}"
    path = ska / TOP / name[:2] / f"{name}_v{revision:02d}" / f"axaff{name}_000N{revision:03d}_obs0a.par.gz"
    with gzip.open(path, "rt", newline="") as rows:
        return [[row[0].replace("-", "_"), *row[1:]] for row in csv.reader(rows)]


REVISIONS = [(o, revision) for o in EVERY for revision in o.revisions]


def test_obspar_has_a_row_per_revision_in_time_order(lake: Lake, ska: Path) -> None:
    rows = lake.sql(
        "SELECT obsid, revision, isdefault, islast, tstart, tstop, directory, filename FROM obspar"
    ).fetchall()
    assert rows == [
        (
            o.obsid, revision, revision == o.default, revision == o.last, o.tstart, o.tstop,
            str(ska / TOP / f"{o.obsid:05d}"[:2] / f"{o.obsid:05d}_v{revision:02d}"),
            f"axaff{o.obsid:05d}_000N{revision:03d}_obs0a.par.gz",
        )
        for o, revision in REVISIONS
    ]  # fmt: skip


def test_where_isdefault_has_each_released_observation_once(lake: Lake) -> None:
    rows = lake.sql("SELECT obsid, revision FROM obspar WHERE isdefault").fetchall()
    assert rows == [(o.obsid, o.default) for o in EVERY if o.default is not None]
    assert 0 < len(rows) < len(EVERY) < len(REVISIONS)


def test_obspar_has_a_column_for_each_parameter_that_one_of_them_has(lake: Lake, ska: Path) -> None:
    met = {name: TYPES[kind] for o, revision in REVISIONS for name, kind, *_ in lines(ska, o.obsid, revision)}
    described = lake.sql("SELECT column_name, column_type FROM (DESCRIBE obspar)").fetchall()
    assert [name for name, _ in described] == [*OBSPAR.schema.names, *sorted(met.keys() - OBSPAR.by_name.keys())]
    assert {name: kind for name, kind in described if name not in OBSPAR.by_name} == {
        name: kind for name, kind in met.items() if name not in OBSPAR.by_name
    }
    declared = {name: kind for name, kind in described if name in OBSPAR.by_name}
    assert declared == {
        "obsid": "INTEGER", "revision": "INTEGER", "isdefault": "BOOLEAN", "islast": "BOOLEAN", "filename": "VARCHAR",
        "checksum": "VARCHAR",
        "directory": "VARCHAR", "link": "VARCHAR", "tstart": "DOUBLE", "tstop": "DOUBLE", "num_ccd_on": "BIGINT",
    }  # fmt: skip


def test_the_columns_are_what_the_facade_has_and_null_where_a_file_lacks_them(lake: Lake) -> None:
    rows = lake.arrow("FROM obspar").to_pylist()
    lacking = set()
    for row in rows:
        found = get_obspar(row["obsid"], row["revision"], data_root=lake.root)
        assert found is not None
        for name, value in row.items():
            if name in found:
                assert (value, type(value)) == (found[name], type(found[name])), name
            elif name not in OBSPAR.by_name:
                assert value is None
                lacking.add(name)
        assert found.keys() <= row.keys()
    assert {"fep_mode", "uld_level"} <= lacking


def test_an_empty_text_is_not_null(lake: Lake) -> None:
    query = "SELECT count(*), count(maneuver_ref), count(mt_ma) FROM obspar WHERE maneuver_ref = ''"
    assert lake.sql(query).fetchall() == [(len(REVISIONS), len(REVISIONS), 0)]


def test_obspar_kv_is_the_files_row_by_row(lake: Lake, ska: Path) -> None:
    rows = lake.sql("FROM obspar_kv")
    assert rows.columns == OBSPAR_KV.schema.names
    assert rows.types == [
        "INTEGER", "INTEGER", "BOOLEAN", "VARCHAR", "VARCHAR", "VARCHAR", "DOUBLE", "VARCHAR", "DOUBLE",
    ]  # fmt: skip
    expected: list[tuple[Any, ...]] = []
    for o, revision in REVISIONS:
        for name, kind, _, value, _, _, description in lines(ska, o.obsid, revision):
            number = float(value) if kind != "s" and value else None
            text = value if value or kind == "s" else None
            expected.append((o.obsid, revision, revision == o.default, name, kind, text, number, description, o.tstart))
    assert rows.fetchall() == expected
    assert {(kind, text is None, number is None) for *_, kind, text, number, _, _ in expected} == {
        ("s", False, True), ("i", True, True), ("i", False, False), ("r", True, True), ("r", False, False),
    }  # fmt: skip


def test_both_tables_say_the_same(lake: Lake) -> None:
    query = """
        SELECT count(*), count(*) FILTER (number IS NOT DISTINCT FROM ra_pnt)
        FROM obspar_kv
        JOIN obspar USING (obsid, revision, isdefault, tstart)
        WHERE name = 'ra_pnt'
    """
    assert lake.sql(query).fetchall() == [(len(REVISIONS), len(REVISIONS))]


@pytest.mark.parametrize("year", [2015, 2016, 2017, 201])
def test_the_parameters_of_a_year(year: int, lake: Lake) -> None:
    rows = lake.sql("FROM obspar_kv_of_year($year)", {"year": year})
    assert rows.columns == OBSPAR_KV.schema.names
    expected = lake.sql("FROM obspar_kv WHERE utc(tstart)[1:4] = $year", {"year": str(year)}).fetchall()
    assert rows.fetchall() == expected
    assert bool(expected) is (year in (2016, 2017))


def test_status_tells_what_there_is(lake: Lake) -> None:
    status = {row["table_name"]: row for row in lake.status().to_dicts()}
    assert status.keys() == {"obspar", "obspar_kv"}
    assert (status["obspar"]["partitions"], status["obspar_kv"]["partitions"]) == (2, 2)
    assert (status["obspar"]["rows"], status["obspar"]["files"]) == (len(REVISIONS), len(REVISIONS))
    assert status["obspar_kv"]["rows"] == len(lake.arrow("FROM obspar_kv"))
    assert status["obspar"]["start"] == lake.sql("SELECT utc($t)", {"t": EVERY[0].tstart}).fetchall()[0][0]
    assert lake.sql("FROM file_to_look_at").fetchall() == []


@pytest.mark.parametrize("name", ["obspar", "obspar_kv"])
def test_the_files_of_a_table(name: str, lake: Lake) -> None:
    paths = lake.sql(f"SELECT {name}_files(0, 1e9)").fetchall()[0][0]
    assert sum(len(pl.read_parquet(path, hive_partitioning=False)) for path in paths) == len(lake.arrow(f"FROM {name}"))
    with pytest.raises(ValueError, match="is before start"):
        lake.arrow(f"SELECT {name}_files(1e9, 0)")


@pytest.mark.parametrize("name", ["obspar", "obspar_kv"])
def test_scan_has_the_same_rows(name: str, lake: Lake) -> None:
    frame = lake.scan(name, "2016:366", "2017:001").collect()
    expected = lake.sql(f"FROM {name} WHERE tstart BETWEEN cxcsec('2016:366') AND cxcsec('2017:001')").pl()
    assert len(expected) > 0
    assert frame.equals(expected)


def test_a_lake_without_observations_has_both_tables(tmp_path: Path) -> None:
    (tmp_path / "ska" / TOP).mkdir(parents=True)
    ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
    empty = Lake(tmp_path / "lake")
    for table in (OBSPAR, OBSPAR_KV):
        found = empty.sql(f"FROM {table.name}")
        assert (found.columns, found.fetchall()) == (table.schema.names, [])
    assert empty.sql("FROM obspar_kv_of_year(2016)").fetchall() == []


def test_the_command_line_answers_as_python_does(lake: Lake) -> None:
    for sql, rows in [
        ("SELECT instrume, sum(num_ccd_on)::INT AS ccds FROM obspar WHERE isdefault GROUP BY ALL ORDER BY ALL", 2),
        ("SELECT obsid, revision, title, ra_pnt, startrow, tstart FROM obspar", len(REVISIONS)),
        ("SELECT obsid, value, number FROM obspar_kv WHERE name = 'exptimea'",
         sum(o.detector.startswith("ACIS") for o, _ in REVISIONS)),
    ]:  # fmt: skip
        run = in_duckdb(lake.root, *read(), sql)
        assert run.stderr == ""
        assert json.loads(run.stdout) == json.loads(json.dumps(lake.arrow(sql).to_pylist()))
        assert len(json.loads(run.stdout)) == rows
