"""The lake in Python: opening it, asking it from threads and processes, and while it is being written."""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.archive.aca_l0 import get_slot_data
from mica_lake.errors import LakeError
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake, default_root, open_lake
from mica_lake.simulate.aca_l0 import readouts, write_file
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec, utc

CADENCE = {4: 1.025, 6: 2.05, 8: 4.1}
SIZES = {0: 8, 3: 6, 6: 4}
MIDNIGHT = cxcsec("2015:182")
MIDDLES = [MIDNIGHT, cxcsec("2015:183:12:00")]
COUNT = "SELECT count(*) FROM slot_data(0, 1e9, 3)"


def write(folder: Path, middle: float, slot: int = 3, rows: int = 80, revision: int = 1, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    times = middle + CADENCE[SIZES[slot]] * (np.arange(rows) - rows // 2)
    return write_file(folder, slot, readouts(slot, SIZES[slot], times, seed=seed), revision=revision)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of slots 0, 3 and 6 around two times, not to be changed."""
    folder = tmp_path_factory.mktemp("three_slots")
    for slot in SIZES:
        for middle in MIDDLES:
            write(folder / "files", middle, slot)
    ingest([folder / "files"], folder / "lake", jobs=1)
    return Lake(folder / "lake")


@pytest.fixture
def small(tmp_path: Path) -> Lake:
    """A lake of 80 readouts of slot 3, to be changed."""
    ingest([write(tmp_path / "files", MIDNIGHT + 40000)], tmp_path / "lake", jobs=1)
    return Lake(tmp_path / "lake")


class TestOpening:
    def test_mica_lake_names_the_lake(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MICA_LAKE", str(lake.root))
        monkeypatch.setenv("SKA", "/nowhere")
        assert Path(default_root()) == Lake().root == open_lake().root == lake.root
        assert Lake().sql(COUNT).fetchall() == [(160,)]

    def test_ska_has_a_place_for_the_lake(self, small: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "ska" / "data").mkdir(parents=True)
        small.root.rename(tmp_path / "ska" / "data" / "mica_lake")
        monkeypatch.setenv("SKA", str(tmp_path / "ska"))
        assert Lake().root == tmp_path / "ska" / "data" / "mica_lake"
        assert Lake().sql(COUNT).fetchall() == [(80,)]

    @pytest.mark.parametrize("function", [default_root, Lake, open_lake])
    def test_without_a_name_it_says_how_to_give_one(self, function: Callable[[], object]) -> None:
        with pytest.raises(LakeError, match=r"MICA_LAKE.*SKA"):
            function()

    def test_an_empty_variable_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MICA_LAKE", "")
        with pytest.raises(LakeError, match="MICA_LAKE"):
            Lake()

    @pytest.mark.parametrize("what", ["missing", "empty", "a file"])
    def test_without_a_lake_it_says_how_to_make_one(self, tmp_path: Path, what: str) -> None:
        root = tmp_path / "lake"
        if what == "empty":
            root.mkdir()
        elif what == "a file":
            root.write_text("")
        with pytest.raises(LakeError, match=re.escape(f"mica-lake ingest aca_l0 --from FILES --lake {root}")):
            Lake(root)

    def test_without_a_catalog_it_says_how_to_make_it(self, small: Lake) -> None:
        shutil.rmtree(small.root / "_catalog")
        with pytest.raises(LakeError, match=re.escape(f"mica-lake reindex --lake {small.root}")):
            Lake(small.root)

    def test_a_damaged_catalog_is_said_to_be_so(self, small: Lake) -> None:
        for path in (small.root / "_catalog").glob("*/partition.parquet"):
            path.write_bytes(b"damaged")
        with pytest.raises(LakeError, match=re.escape(f"mica-lake reindex --lake {small.root}")):
            Lake(small.root).sql(COUNT)

    def test_a_lake_that_has_gone_is_missed(self, small: Lake) -> None:
        assert small.sql(COUNT).fetchall() == [(80,)]
        shutil.rmtree(small.root)
        with pytest.raises(LakeError, match="is not a mica lake"):
            small.sql(COUNT)

    def test_a_relative_path_and_a_home_become_absolute(
        self, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(lake.root.parent)
        monkeypatch.setenv("HOME", str(lake.root.parent))
        relative, home = Lake("lake"), Lake("~/lake")
        monkeypatch.chdir(tmp_path)
        assert relative.root == home.root == lake.root
        assert relative.sql(COUNT).fetchall() == [(160,)]

    def test_its_repr_says_where_it_is(self, lake: Lake) -> None:
        assert repr(lake) == f"Lake('{lake.root}')"

    def test_open_lake_opens_once(self, lake: Lake) -> None:
        assert open_lake(lake.root) is open_lake(str(lake.root))

    def test_open_lake_of_a_relative_path_is_relative_to_where_one_is_now(
        self, lake: Lake, small: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for expected in (lake, small):
            monkeypatch.chdir(expected.root.parent)
            assert open_lake("lake").root == expected.root

    def test_open_lake_knows_the_home(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(lake.root.parent))
        assert open_lake("~/lake").root == lake.root

    def test_open_lake_finds_a_lake_that_was_made_since(self, small: Lake) -> None:
        aside = small.root.rename(small.root.with_name("aside"))
        with pytest.raises(LakeError):
            open_lake(small.root)
        aside.rename(small.root)
        assert open_lake(small.root).sql(COUNT).fetchall() == [(80,)]


class TestSql:
    def test_gives_a_relation_of_any_form(self, lake: Lake) -> None:
        query = "SELECT TIME, IMGSIZE FROM slot_data($start, $stop, 3)"
        relation = lake.sql(query, {"start": "2015:181", "stop": "2015:184"})
        assert relation.columns == ["TIME", "IMGSIZE"]
        rows = relation.fetchall()
        assert len(rows) == 160
        assert relation.pl().rows() == rows
        assert relation.to_arrow_table().to_pylist() == lake.arrow(query, {"start": 0, "stop": 1e9}).to_pylist()
        assert relation.fetchnumpy()["TIME"].tolist() == [row[0] for row in rows]

    @pytest.mark.parametrize("masked", [np.ma.masked, np.ma.array(5.0, mask=True)], ids=["scalar", "0-d array"])
    def test_a_masked_parameter_is_null(self, masked: object, lake: Lake) -> None:
        assert lake.sql("SELECT $value", {"value": masked}).fetchall() == [(None,)]

    def test_a_parameter_may_be_a_numpy_scalar(self, lake: Lake) -> None:
        params = {"obsid": np.int64(32448), "time": np.float64(0.5), "name": np.str_("a")}
        assert lake.sql("SELECT $obsid, $time, $name", params).fetchall() == [(32448, 0.5, "a")]

    @pytest.mark.parametrize(
        ("query", "params", "message"),
        [
            ("SELECT 1 FROM nowhere", None, "nowhere"),
            ("SELECT colour FROM partition", None, "colour"),
            ("SELECT $a", None, "parameters: a"),
            ("SELECT $a", {"a": 1, "b": 2}, "parameters: b"),
            ("SELECT 'x'::INT AS n", None, "'x'"),
            ("SELECT cxcsec('soon') AS n", None, "'soon' is not a time"),
        ],
    )
    def test_a_wrong_query_is_a_value_error(
        self, lake: Lake, query: str, params: dict[str, Any] | None, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            lake.arrow(query, params)


class TestScan:
    intervals = st.tuples(
        *2 * [st.one_of(*(st.builds(lambda n, m=m: m + 1.025 * n, st.integers(-90, 90)) for m in MIDDLES))]
    ).map(sorted)

    @settings(deadline=None, max_examples=40)
    @given(interval=intervals, slot=st.sampled_from(sorted(SIZES)))
    def test_has_the_rows_of_sql_for_a_slot(self, lake: Lake, interval: list[float], slot: int) -> None:
        found = lake.scan("aca_l0", *interval, slot=slot).collect()
        start, stop = interval
        expected = lake.sql("FROM slot_data($start, $stop, $slot)", {"start": start, "stop": stop, "slot": slot}).pl()
        assert found.columns == expected.columns
        assert found.dtypes == expected.dtypes
        assert found.rows() == expected.rows()

    @settings(deadline=None, max_examples=40)
    @given(interval=intervals)
    def test_has_the_rows_of_all_slots_by_day_and_slot(self, lake: Lake, interval: list[float]) -> None:
        found = lake.scan("aca_l0", *interval).collect()
        query = f"FROM slot_data({interval[0]!r}, {interval[1]!r}, %d)"
        expected = pl.concat([lake.sql(query % slot).pl() for slot in SIZES])
        key = ["IMGNUM1", "TIME"]
        assert found.sort(key).rows() == expected.sort(key).rows()
        order = [(utc(time)[:8], slot, time) for time, slot in found.select("TIME", "IMGNUM1").rows()]
        assert order == sorted(order)

    def test_has_everything_by_default(self, lake: Lake) -> None:
        assert lake.scan("aca_l0").select(pl.len()).collect().item() == 6 * 80
        assert lake.scan("aca_l0", slot=6).select(pl.len()).collect().item() == 2 * 80
        assert lake.scan("aca_l0", "2015:183").select(pl.len()).collect().item() == 3 * 80

    def test_is_lazy(self, lake: Lake) -> None:
        frame = lake.scan("aca_l0", "2015:181", "2015:184", slot=0)
        assert isinstance(frame, pl.LazyFrame)
        warm = frame.filter(pl.col("TEMPCCD") > 250).select("TIME", "TEMPCCD").collect()
        assert warm.rows() == [
            row for row in lake.sql("SELECT TIME, TEMPCCD FROM slot_data(0, 1e9, 0)").fetchall() if row[1] > 250
        ]

    def test_without_rows_has_the_columns_and_types_of_any_other(self, lake: Lake) -> None:
        empty = lake.scan("aca_l0", "2010:001", "2010:002", slot=3).collect()
        assert len(empty) == 0
        assert empty.schema == lake.scan("aca_l0", slot=3).collect_schema()

    def test_opens_only_the_partitions_that_it_needs(self, lake: Lake, tmp_path: Path) -> None:
        shutil.copytree(lake.root, tmp_path / "lake")
        for path in (tmp_path / "lake" / "_catalog" / "pinned").rglob("*.parquet"):
            if not path.name.startswith("2015183_3_"):
                path.unlink()
        other = Lake(tmp_path / "lake")
        assert len(other.scan("aca_l0", "2015:183:01:00", "2015:183:23:00", slot=3).collect()) == 80
        with pytest.raises(FileNotFoundError):
            other.scan("aca_l0", "2015:183:01:00", "2015:183:23:00", slot=0).collect()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("aca_l9",), "'aca_l9'.*aca_l0"),
            (("aca_l0", "yesterday"), "'yesterday'"),
            (("aca_l0", 0, "2015:366"), "'2015:366'"),
            (("aca_l0", "2015:183", "2015:182"), "before start"),
            (("aca_l0", 0, 1e9, 8), "slot 8 "),
            (("aca_l0", 0, 1e9, -1), "slot -1 "),
            (("aca_l0", 0, 1e9, "third"), "third"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_is_a_value_error_that_names_it(
        self, lake: Lake, arguments: tuple[Any, ...], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            lake.scan(*arguments)

    def test_a_slot_may_be_a_numpy_integer(self, lake: Lake) -> None:
        assert len(lake.scan("aca_l0", 0, 1e9, np.int64(6)).collect()) == 160


def test_status_tells_what_is_in_the_lake(lake: Lake) -> None:
    status = lake.status()
    assert isinstance(status, pl.DataFrame)
    files = sorted((lake.root / "aca_l0").rglob("data.parquet"))
    assert status["table_name"].to_list() == ["aca_l0", "hdr3", "hdr3_5min", "hdr3_daily", "slot_5min", "slot_daily"]
    assert status.to_dicts()[:1] == [
        {
            "table_name": "aca_l0",
            "partitions": len(files),
            "files": 6,
            "rows": sum(pq.read_metadata(path).num_rows for path in files),
            "bytes": sum(path.stat().st_size for path in files),
            "start": utc(MIDDLES[0] - 40 * 4.1),
            "stop": utc(MIDDLES[1] + 39 * 4.1),
            "days": 3,
            "span": 3,
        }
    ]
    assert (len(files), status["rows"][0]) == (9, 480)


class TestCommits:
    def test_the_same_lake_answers_with_what_was_ingested_since(self, small: Lake, tmp_path: Path) -> None:
        assert small.sql(COUNT).fetchall() == [(80,)]
        assert small.scan("aca_l0", slot=3).collect().height == 80
        ingest([write(tmp_path / "more", MIDNIGHT + 3 * 86400)], small.root, jobs=1)
        assert small.sql(COUNT).fetchall() == [(160,)]
        assert small.scan("aca_l0", slot=3).collect().height == 160
        assert small.status()["rows"].to_list()[0] == 160
        assert len(get_slot_data(0, 1e9, 3, data_root=small.root)) == 160

    def test_an_answer_asked_for_before_a_commit_is_of_the_state_before(self, small: Lake, tmp_path: Path) -> None:
        query = "SELECT count(*), min(FILENAME), sum(IMGROW0) FROM slot_data(0, 1e9, 3)"
        before = small.sql(query).fetchall()
        old, frame = small.sql(query), small.scan("aca_l0", slot=3)
        ingest([write(tmp_path / "more", MIDNIGHT + 40000, revision=2, seed=1)], small.root, jobs=1)
        ingest([write(tmp_path / "more", MIDNIGHT + 3 * 86400)], small.root, jobs=1)
        after = small.sql(query).fetchall()
        assert after != before
        assert old.fetchall() == before
        assert frame.select(pl.len(), pl.col("FILENAME").min(), pl.col("IMGROW0").cast(int).sum()).collect().rows() == [
            before[0]
        ]
        assert small.sql(query).fetchall() == after


class TestThreadsAndProcesses:
    def test_eight_threads_may_ask_one_lake_at_once(self, lake: Lake) -> None:
        queries = [f"SELECT TIME, BGDAVG, IMGRAW FROM slot_data('2015:181', '2015:184', {slot})" for slot in SIZES]
        expected = [lake.sql(query).fetchall() for query in queries]
        assert all(len(rows) == 160 for rows in expected)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: lake.sql(queries[n % 3]).fetchall(), range(48)))
        assert answers == [expected[n % 3] for n in range(48)]

    def test_a_relation_may_be_computed_in_another_thread(self, lake: Lake) -> None:
        relation = lake.sql(COUNT)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(relation.fetchall).result() == [(160,)]

    def test_a_forked_process_may_go_on_with_the_lake(self, lake: Lake) -> None:
        query = "SELECT TIME, IMGRAW FROM slot_data(0, 1e9, 3)"
        expected = lake.sql(query).fetchall()  # so that there is a connection to inherit
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=lambda: sender.send((os.getpid(), lake.sql(query).fetchall())))
        child.start()
        try:
            assert receiver.poll(30), "the process gave no answer"
            pid, answer = receiver.recv()
        finally:
            child.kill()
            child.join()
        assert pid != os.getpid()
        assert answer == expected
        assert lake.sql(query).fetchall() == expected

    def test_a_spawned_process_may_ask_too(self, lake: Lake) -> None:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            data = pool.apply(get_slot_data, (0, 1e9, 3), {"data_root": str(lake.root), "columns": ["TIME"]})
        assert data["TIME"].tolist() == [row[0] for row in lake.sql("SELECT TIME FROM slot_data(0, 1e9, 3)").fetchall()]


@pytest.mark.soak
def test_readers_see_one_revision_and_never_an_error_while_a_partition_is_replaced(tmp_path: Path) -> None:
    paths = [write(tmp_path / "files", MIDNIGHT + 40000, rows=2000, revision=n, seed=n) for n in range(1, 21)]
    root = tmp_path / "lake"
    total = "SELECT min(FILENAME), max(FILENAME), count(*), sum(BGDAVG * MNF)::BIGINT FROM slot_data(0, 1e9, 3)"

    def whole(path: Path) -> tuple[Any, ...]:
        seed = int(path.name[14:17])
        columns = readouts(3, 6, MIDNIGHT + 40000 + 2.05 * (np.arange(2000) - 1000), seed=seed)
        return path.name, path.name, 2000, int((columns["BGDAVG"].astype(int) * columns["MNF"]).sum())

    expected = [whole(path) for path in paths]
    assert len({row[3] for row in expected}) == 20
    ingest(paths[:1], root, jobs=1)
    lake = Lake(root)
    program = (
        "import sys; from mica_lake.ingest.aca_l0 import ingest\n"
        "for path in sys.argv[2:]: ingest([path], sys.argv[1], jobs=1)"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(root), *map(str, paths[1:])])

    def by_sql() -> tuple[Any, ...]:
        return tuple(lake.sql(total).fetchall()[0])

    def by_polars() -> tuple[Any, ...]:
        name, product = pl.col("FILENAME"), pl.col("BGDAVG").cast(int) * pl.col("MNF")
        frame = lake.scan("aca_l0", slot=3)
        return frame.select(name.min(), name.max().alias("m"), pl.len(), product.sum()).collect().row(0)

    def by_facade() -> tuple[Any, ...]:
        data = get_slot_data(0, 1e9, 3, data_root=root, columns=["FILENAME", "BGDAVG", "MNF"])
        names = sorted(data["FILENAME"].tolist())
        return names[0], names[-1], len(data), int((data["BGDAVG"].astype(int) * data["MNF"]).sum())

    def read(door: Callable[[], tuple[Any, ...]]) -> list[int]:
        seen = []
        while writer.poll() is None:
            seen.append(expected.index(door()))
        return [*seen, expected.index(door())]

    try:
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(read, [by_sql, by_polars, by_facade]))
    finally:
        writer.kill()
        assert writer.wait() == 0
    for seen in answers:
        assert seen == sorted(seen)
        assert seen[-1] == 19
        assert len(set(seen)) > 3


@pytest.mark.parametrize("name", ["lake*", "lake?", "lake[1]"])
def test_a_path_that_duckdb_takes_for_a_pattern_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="pattern"):
        Lake(tmp_path / name)
    with pytest.raises(LakeError, match="pattern"):
        ingest([tmp_path], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_scanned_whole_and_by_time(table: str, demo_lake: str, many_stars: str) -> None:
    # The statistics of two hours have no models.
    lake = Lake(many_stars if table.endswith("_model") else demo_lake)
    rows = dict(lake.status().select("table_name", "rows").rows())
    frame = lake.scan(table).collect()
    assert frame.height == rows[table] > 0
    times = frame[TABLES[table].time]
    middle = times.min() + (times.max() - times.min()) / 2  # type: ignore[operator]
    assert lake.scan(table, middle).collect().height == (times >= middle).sum()
    assert lake.scan(table, 0, middle).collect().height == (times <= middle).sum()
