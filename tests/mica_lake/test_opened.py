"""What a lake loads of its SQL, and where it finds its files: what is named is there, and nothing else takes time."""

import re
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.catalog.pointer import pointer
from mica_lake.catalog.script import OBJECTS, lake_sql, parts, parts_for
from mica_lake.lake import Lake, open_lake
from mica_lake.opened import Opened
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec

DAY = cxcsec("2024:001")
DEFINED = re.findall(r"CREATE OR REPLACE TEMP (MACRO|VIEW) (\w+)", lake_sql())
TEXT_TIMES = "SELECT count(*) FROM {}('2024:001', '2024:001:00:10'{})"


@pytest.fixture
def lake(demo_lake: str) -> Lake:
    """A lake that nothing has been asked of."""
    return Lake(demo_lake)


@pytest.fixture(scope="module")
def everything(demo_lake: str) -> Lake:
    lake = Lake(demo_lake)
    assert lake.connection
    return lake


def opened(lake: Lake) -> Opened:
    return Opened(lake.root, pointer(lake.root))


@pytest.mark.parametrize("name", sorted({name for kind, name in DEFINED if kind == "VIEW"}))
def test_a_view_that_is_named_is_there_with_all_that_it_needs(name: str, lake: Lake, everything: Lake) -> None:
    query = f'FROM "{name.upper()}" LIMIT 0'
    assert lake.sql(query).columns == everything.sql(query).columns


@pytest.mark.parametrize("part", [name for name in parts() if name != OBJECTS])
def test_macros_that_are_named_are_there_with_all_that_they_need(part: str, lake: Lake, everything: Lake) -> None:
    macros = [name for kind, name in DEFINED if kind == "MACRO" and name in parts()[part].defines]
    asked = [f"SELECT {name}(1)" for name in macros]
    assert len({frozenset(parts_for([query])) for query in asked}) == 1
    known = "SELECT function_name, parameters FROM duckdb_functions() WHERE function_name IN $names AND NOT internal"
    there = opened(lake).with_sql(asked[:1]).execute(known, {"names": macros}).fetchall()
    assert sorted(there) == sorted(everything.connection.execute(known, {"names": macros}).fetchall())
    assert {name for name, _ in there} == set(macros)


def test_only_what_is_named_is_loaded(lake: Lake) -> None:
    assert parts_for(["SELECT 1"]) == set()
    assert parts_for(["FROM partition"]) == set()
    assert parts_for(["FROM status"]) == {"status", "utc"}
    assert parts_for(["FROM hdr3_data('2024:001', '2024:002')"]) == {"hdr3", "cxcsec"}
    assert parts_for(["SELECT 'a text', count(*) FROM obspar"]) == {"obspar"}


def test_texts_are_times_whatever_is_loaded_in_which_order(lake: Lake) -> None:
    for name, slot in (("hdr3_data", ""), ("slot_data", ", 3"), ("asp_sol", ""), ("hdr3_data", "")):
        query = TEXT_TIMES.format(name, slot)
        assert lake.sql(query).fetchall() == Lake(lake.root).connection.sql(query).fetchall()
    assert lake.sql("SELECT cxcsec('2012:001')").fetchall() == [(441763266.184,)]


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("SELECT count(*) > 20 FROM duckdb_views() WHERE NOT internal", None),
        ("SELECT count(*) > 5 FROM (SHOW TABLES)", None),
        ("SELECT count(*) > 0 FROM query('FROM obspar')", None),
        ("SELECT count(*) > 0 FROM query('FROM ob' || 'spar')", None),
        ("SELECT count(*) > 0 FROM query_table(['obs' || 'par'])", None),
    ],
)
def test_what_is_asked_for_otherwise_is_there_too(query: str, params: dict[str, Any] | None, lake: Lake) -> None:
    assert lake.sql(query, params).fetchall() == [(True,)]


def test_a_name_that_is_not_known_is_compared_with_all(lake: Lake) -> None:
    with pytest.raises(ValueError, match='Did you mean "obspar"'):
        lake.sql("FROM obsparr")
    with pytest.raises(ValueError, match='Did you mean "slot_data"'):
        Lake(lake.root).sql("FROM slotdata(1, 2, 3)")


def test_relations_of_one_lake_join_whatever_was_loaded_between(lake: Lake) -> None:
    of_hdr3 = lake.sql("SELECT TIME FROM hdr3_data('2024:001', '2024:001:00:10')")
    of_slot = lake.sql("SELECT TIME FROM slot_data('2024:001', '2024:001:00:10', 0)")
    assert of_hdr3.join(of_slot, "TIME").shape[0] == of_slot.shape[0] > 0


@pytest.mark.parametrize("table", sorted(TABLES))
@settings(deadline=None, max_examples=15)
@given(
    interval=st.tuples(*[st.floats(DAY - 2e5, DAY + 2e5) | st.sampled_from([0.0, DAY, 6.4e9, -1e9, 1e12])] * 2),
    slot=st.none() | st.integers(0, 7),
)
def test_files_are_those_of_the_macro(
    table: str, interval: tuple[float, float], slot: int | None, demo_lake: str
) -> None:
    lake = open_lake(demo_lake)
    start, stop = sorted(interval)
    arguments = [start, stop] if slot is None or "slot" not in TABLES[table].keys else [start, stop, slot]
    places = ", ".join(f"${n}" for n in range(1, len(arguments) + 1))
    query = f"SELECT {table}_files({places}) AS files"
    ((files,),) = lake.connection.execute(query, arguments).fetchall()
    ours = lake.files(table, *arguments)
    # The macro has files of some days more, and of a table that is not by day all.
    assert set(ours[1:]) <= set(files)
    query = f"SELECT count(*) FROM read_parquet($files) WHERE {TABLES[table].time} BETWEEN $start AND $stop"
    counts = [
        lake.connection.execute(query, {"files": f, "start": start, "stop": stop}).fetchall() for f in (ours, files)
    ]
    assert counts[0] == counts[1]


def test_a_connection_without_sql_still_says_what_is_wrong(lake: Lake) -> None:
    with pytest.raises(duckdb.Error, match="status"):
        opened(lake).connection.execute("FROM status")
