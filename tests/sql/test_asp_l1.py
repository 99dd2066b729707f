"""The views and macros of aspect L1: what SQL answers is what is in the files."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from commands import in_duckdb, read
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.ingest.asp_l1 import ingest
from mica_lake.lake import Lake
from mica_lake.simulate import asp_l1 as simulate
from mica_lake.simulate.observations import Observation
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_L1_FILE, ASP_SOL
from mica_lake.tables.table import Table
from mica_lake.times import cxcsec

# A leap second before it.
MIDNIGHT = cxcsec("2017:001")
POINTING = ("ACIS-7", 30.0, -40.0, 120.0)
MACROS = [("asp_sol", ASP_SOL, "asol"), ("aca_cent", ACA_CENT, "acen")]


@pytest.fixture(scope="module")
def ska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive: two revisions across midnight, the older one the default; two intervals; one of the newer kind."""
    root = tmp_path_factory.mktemp("ska")
    observations = [
        Observation(20000, MIDNIGHT - 190, MIDNIGHT + 170, *POINTING, (1, 2), 1, 2),
        Observation(20001, MIDNIGHT + 1000, MIDNIGHT + 1720, *POINTING, (2,), 2, 2),
        Observation(20002, MIDNIGHT + 3000, MIDNIGHT + 3341, *POINTING, (3,), None, 3),
    ]
    assert len(simulate.write_archive(root, observations)) == 30
    return root


@pytest.fixture(scope="module")
def lake(ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of it, not to be changed."""
    root = tmp_path_factory.mktemp("lake") / "lake"
    assert ingest(ska, root, jobs=1).exit_code == 0
    return Lake(root)


@pytest.fixture(scope="module")
def times(ska: Path) -> dict[tuple[str, bool], np.ndarray]:
    """Times in the files of a kind, sorted: of the default revisions, and of all."""
    found = {}
    for kind in ("asol", "acen"):
        for revisions in (False, True):
            paths = sorted(ska.rglob(f"*_{kind}1.fits.gz"))
            chosen = [p for p in paths if revisions or p.parent.name in ("20000_v01", "20001_v02")]
            assert len(chosen) == (5 if revisions else 3)
            found[kind, revisions] = np.sort(np.concatenate([fits.getdata(p, 1)["time"].astype(float) for p in chosen]))
    return found


def near(start: float, stop: float) -> st.SearchStrategy[float]:
    return st.one_of(st.floats(start - 30, stop + 30), st.integers(-20, 20).map(lambda n: MIDNIGHT + n / 8))


moments = st.one_of(near(MIDNIGHT - 190, MIDNIGHT + 170), near(MIDNIGHT + 1000, MIDNIGHT + 3400))
ranges = st.tuples(moments, moments).map(sorted)


@pytest.mark.parametrize("revisions", [False, True], ids=["of the default", "of all revisions"])
@pytest.mark.parametrize(("macro", "table", "kind"), MACROS)
@settings(deadline=None, max_examples=15)
@given(interval=ranges)
def test_a_macro_has_the_rows_of_the_files_from_start_to_stop(
    macro: str, table: Table, kind: str, revisions: bool, lake: Lake, times: dict[Any, Any], interval: list[float]
) -> None:
    start, stop = interval
    name = f"{macro}_revisions" if revisions else macro
    rows = lake.arrow(f"FROM {name}($start, $stop)", {"start": start, "stop": stop})
    assert rows.schema.equals(table.schema)
    expected = times[kind, revisions]
    expected = expected[(expected >= start) & (expected <= stop)]
    assert sorted(rows.column("time").to_pylist()) == expected.tolist()


@pytest.mark.parametrize(("macro", "table", "kind"), MACROS)
def test_both_ends_of_a_range_are_in_it(
    macro: str, table: Table, kind: str, lake: Lake, times: dict[tuple[str, bool], np.ndarray]
) -> None:
    at = np.unique(times[kind, False])[[100, 101, 102]].tolist()
    query = f"SELECT DISTINCT time FROM {macro}($start, $stop) ORDER BY time"
    assert lake.sql(query, {"start": at[0], "stop": at[2]}).fetchall() == [(t,) for t in at]
    assert lake.sql(query, {"start": at[1], "stop": at[1]}).fetchall() == [(at[1],)]
    inside = {"start": math.nextafter(at[0], 1e99), "stop": math.nextafter(at[2], 0)}
    assert lake.sql(query, inside).fetchall() == [(at[1],)]


@pytest.mark.parametrize(("macro", "table", "kind"), MACROS)
def test_rows_of_the_default_revisions_come_in_time_order(macro: str, table: Table, kind: str, lake: Lake) -> None:
    rows = lake.arrow(f"SELECT time, obsid, revision, isdefault FROM {macro}('2016:001', '2018:001')")
    assert (np.diff(rows.column("time").to_numpy()) >= 0).all()
    pairs = set(zip(rows.column("obsid").to_pylist(), rows.column("revision").to_pylist(), strict=True))
    assert pairs == {(20000, 1), (20001, 2)}
    assert set(rows.column("isdefault").to_pylist()) == {True}


@pytest.mark.parametrize(("macro", "table", "kind"), MACROS)
def test_all_revisions_have_each_time_once_for_each(macro: str, table: Table, kind: str, lake: Lake) -> None:
    rows = "obsid, revision, isdefault, count(*) AS n"
    query = f"SELECT {rows} FROM {macro}_revisions(0, 6e9) GROUP BY ALL ORDER BY ALL"
    counted = {(obsid, revision, isdefault): n for obsid, revision, isdefault, n in lake.sql(query).fetchall()}
    assert counted.keys() == {(20000, 1, True), (20000, 2, False), (20001, 2, True), (20002, 3, False)}
    assert counted[20000, 1, True] == counted[20000, 2, False] > 1000


@pytest.mark.parametrize("midnight", ["2017:001", "2016:366:23:59:60"])
def test_a_range_may_begin_or_end_at_midnight_or_in_the_leap_second(midnight: str, lake: Lake) -> None:
    at = cxcsec(midnight)
    query = "SELECT count(*) FILTER (time < $at), count(*) FILTER (time >= $at) FROM asp_sol('2016:366', '2017:002')"
    before, after = lake.sql(query, {"at": at}).fetchall()[0]
    assert min(before, after) > 500
    assert lake.sql(f"SELECT count(*) FROM asp_sol('2016:366', {math.nextafter(at, 0)})").fetchall() == [(before,)]
    assert lake.sql("SELECT count(*) FROM asp_sol($at, '2017:002')", {"at": midnight}).fetchall() == [(after,)]


@pytest.mark.parametrize("macro", ["asp_sol", "asp_sol_revisions", "aca_cent", "aca_cent_revisions"])
def test_an_empty_answer_has_the_columns(macro: str, lake: Lake) -> None:
    table = ASP_SOL if macro.startswith("asp") else ACA_CENT
    for start, stop in (("2001:001", "2001:002"), ("2016:366:12:00", "2016:366:13:00"), (0, 0), (6e9, 6.2e9)):
        rows = lake.arrow(f"FROM {macro}($start, $stop)", {"start": start, "stop": stop})
        assert (len(rows), rows.schema) == (0, table.schema)


@pytest.mark.parametrize("macro", ["asp_sol", "asp_sol_revisions", "aca_cent", "aca_cent_revisions"])
@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        ("yesterday", "2017:001", "'yesterday' is not a time"),
        ("2017:001", "2017:366", "'2017:366' is not a time"),
        ("2017:002", "2017:001", "is before start"),
    ],
)
def test_a_wrong_time_is_a_value_error_that_shows_it(
    macro: str, start: str, stop: str, message: str, lake: Lake
) -> None:
    with pytest.raises(ValueError, match=message):
        lake.arrow(f"FROM {macro}($start, $stop)", {"start": start, "stop": stop})


def test_asp_l1_file_has_a_row_per_file(ska: Path, lake: Lake) -> None:
    rows = lake.arrow("FROM asp_l1_file")
    assert rows.schema.equals(ASP_L1_FILE.schema)
    paths = sorted(str(path) for path in ska.rglob("*_v*/*.fits.gz"))
    assert len(paths) == 30
    assert sorted(f"{row['directory']}/{row['filename']}" for row in rows.to_pylist()) == paths
    query = (
        "SELECT directory || '/' || filename FROM asp_l1_file WHERE obsid = 20000 AND isdefault AND content = 'GSPROPS'"
    )
    assert lake.sql(query).fetchall() == [(path,) for path in paths if "20000_v01" in path and "gspr" in path]


def test_a_lake_without_the_product_answers_with_its_columns(tmp_path: Path) -> None:
    (tmp_path / "asp1").mkdir()
    ingest(tmp_path / "asp1", tmp_path / "lake", jobs=1)
    empty = Lake(tmp_path / "lake")
    for name, table in (("asp_l1_file", ASP_L1_FILE), ("asp_sol(0, 6e9)", ASP_SOL), ("aca_cent(0, 6e9)", ACA_CENT)):
        rows = empty.arrow(f"FROM {name}")
        assert (len(rows), rows.schema) == (0, table.schema)


def test_parameters_may_be_prepared(lake: Lake) -> None:
    connection = lake.private_connection()
    connection.execute("PREPARE counted AS SELECT count(*) FROM asp_sol($1, $2)")
    by_date = connection.execute("EXECUTE counted('2016:366', '2017:001:00:01')").fetchall()
    by_number = connection.execute(f"EXECUTE counted({MIDNIGHT - 86401}, {MIDNIGHT + 60})").fetchall()
    assert by_date == by_number == lake.sql("SELECT count(*) FROM asp_sol(0, $t)", {"t": MIDNIGHT + 60}).fetchall()
    assert by_date[0][0] > 500


@pytest.mark.parametrize(("macro", "table", "kind"), MACROS)
def test_scan_has_the_rows_of_all_revisions(macro: str, table: Table, kind: str, lake: Lake) -> None:
    for start, stop in ((0.0, None), (MIDNIGHT - 5, MIDNIGHT + 5), ("2001:001", "2001:002")):
        scanned = lake.scan(macro, start, stop).collect()
        rows = lake.sql(
            f"FROM {macro}_revisions($start, $stop)", {"start": start, "stop": 6e9 if stop is None else stop}
        ).pl()
        assert scanned.equals(rows)
        assert scanned.columns == table.schema.names


def test_the_command_line_answers_as_python_does(lake: Lake) -> None:
    queries = {
        "SELECT time, q_att, q_att_raw, asp_sol_status, filename "
        "FROM asp_sol_revisions('2017:001', '2017:001:00:00:10')": 78,
        "SELECT slot, alg, count(*) AS n, max(counts) AS most FROM aca_cent(0, 6e9) GROUP BY ALL ORDER BY ALL": 16,
        "SELECT content, count(*) AS n FROM asp_l1_file GROUP BY ALL ORDER BY ALL": 6,
    }
    for query, count in queries.items():
        run = in_duckdb(lake.root, *read(), query)
        assert run.stderr == ""
        assert json.loads(run.stdout) == json.loads(json.dumps(lake.arrow(query).to_pylist()))
        assert len(json.loads(run.stdout)) == count


def test_status_tells_of_the_tables(lake: Lake, ska: Path) -> None:
    rows = {row["table_name"]: row for row in lake.status().to_dicts()}
    assert rows.keys() == {"asp_l1_file", "asp_l1_proc", "asp_sol", "aca_cent"}
    assert [rows["asp_l1_file"][name] for name in ("partitions", "files", "rows")] == [2, 30, 30]
    for name, kind in (("asp_sol", "asol"), ("aca_cent", "acen")):
        count = sum(fits.getheader(path, 1)["NAXIS2"] for path in ska.rglob(f"*_{kind}1.fits.gz"))
        assert (rows[name]["partitions"], rows[name]["rows"]) == (2, count)
