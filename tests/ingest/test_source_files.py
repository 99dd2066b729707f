"""What a lake knows of the source files of a product: new, unchanged, changed, set aside, lost."""

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake.catalog.generation import read_table, write_generation
from mica_lake.catalog.mend import writing
from mica_lake.catalog.pointer import EMPTY, current_generation
from mica_lake.catalog.root import create
from mica_lake.formats.on_disk import escaped, unescaped
from mica_lake.ingest.found import Found, Rejected, Taken, archive_folder, found_in, walk
from mica_lake.ingest.report import Report
from mica_lake.ingest.source_files import SourceFiles, derived_from, partitions
from mica_lake.products import product_named
from mica_lake.tables.catalog import SOURCE_FILE

DARK = product_named("dark_cal").folder
OBSPAR = product_named("obspar").folder

# --- where the archive is ---------------------------------------------------------------------------------------------


def test_the_folder_of_a_product_is_below_a_root_or_is_given_itself(tmp_path: Path) -> None:
    below = tmp_path / "data/mica/archive/aca_dark"
    below.mkdir(parents=True)
    assert archive_folder(tmp_path, DARK) == below
    assert archive_folder(str(below), DARK) == below
    (tmp_path / "mine").mkdir()
    assert archive_folder(tmp_path / "mine", DARK) == tmp_path / "mine"


def test_links_and_relative_paths_stay_as_the_user_wrote_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real/data/mica/archive/obspar").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert archive_folder("link", OBSPAR) == tmp_path / "link/data/mica/archive/obspar"
    assert archive_folder("real/../link", OBSPAR) == tmp_path / "link/data/mica/archive/obspar"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        archive_folder(tmp_path / "nowhere", DARK)
    (tmp_path / "file").write_text("a file")
    with pytest.raises(FileNotFoundError, match="file: there is no such folder"):
        archive_folder(tmp_path / "file", DARK)
    # A root that has other products only is not taken for the folder of this one.
    (tmp_path / "ska/data/mica/archive/obspar").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="ska/data/mica/archive/aca_dark: there is no such folder"):
        archive_folder(tmp_path / "ska", DARK)


def test_a_file_is_found_with_its_size_and_date_or_without(tmp_path: Path) -> None:
    path = tmp_path / "01234_v02" / "a.fits"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    os.utime(path, ns=(7, 123456789))
    found = found_in(path.parent, "a.fits")
    assert found == Found(str(path.parent), "a.fits", 5, 123456789)
    assert (found.path, found.name) == (path, "01234_v02/a.fits")
    assert found_in(str(path.parent), "b.fits") == Found(str(path.parent), "b.fits", -1, -1)


facts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(facts, facts)
def test_partitions_are_derived_from_the_same_if_and_only_if_their_facts_are(one: Any, other: Any) -> None:
    assert derived_from(one) == derived_from(json.loads(json.dumps(one)))
    assert (derived_from(one) == derived_from(other)) == (json.dumps(one) == json.dumps(other))
    assert len(derived_from(one)) == 64


# --- names ------------------------------------------------------------------------------------------------------------


@given(st.binary().map(os.fsdecode))
def test_any_name_is_text_that_can_be_stored_and_leads_back_to_it(name: str) -> None:
    text = escaped(name)
    assert text.encode().decode() == text
    assert not any(unicodedata.category(c) == "Cc" for c in text)
    assert unescaped(text) == name


@given(st.text(alphabet=st.sampled_from("\\x0af5c"), max_size=8))
def test_backslashes_of_a_name_are_not_taken_for_ours(name: str) -> None:
    assert unescaped(escaped(name)) == name


@pytest.mark.parametrize("name", ["acaf1.fits", "naïve", "a b", r"a\b", "٠٢"])
def test_a_name_without_odd_bytes_is_as_it_is(name: str) -> None:
    assert escaped(name) == name


def test_a_walk_has_each_folder_once_and_says_what_it_could_not_see(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "b" / "c").mkdir(parents=True)
    (top / ".snapshot").mkdir()
    (top / "a").symlink_to("b")
    (top / "b" / "c" / "up").symlink_to(top)
    (top / "b" / "above").symlink_to(tmp_path)
    (top / "b" / "file").touch()
    refused: list[Rejected] = []
    assert list(walk(top, refused)) == [
        (str(top), []), (str(top / "b"), ["file"]), (str(top / "b" / "c"), [])
    ]  # fmt: skip
    assert [(r.found.filename, r.reason) for r in refused] == [
        ("above", f"it leads to {tmp_path}, which the archive itself is in")
    ]


# --- what is known ----------------------------------------------------------------------------------------------------

TOP = Path("/archive")


def a_file(name: str, size: int = 10, mtime_ns: int = 1000, top: Path = TOP) -> Found:
    folder, _, filename = name.partition("/")
    return Found(str(top / folder), filename, size, mtime_ns)


def opened(lake: Path, top: Path = TOP, product: str = "dark_cal") -> SourceFiles:
    return SourceFiles(lake, product, top, Report(product))


def rows(lake: Path, product: str = "dark_cal") -> dict[str, dict[str, Any]]:
    found = [row for row in read_table(lake, "source_file").to_pylist() if row["product"] == product]
    named = {os.path.join(row["directory"], row["filename"]): row for row in found}  # noqa: PTH118 - as a text
    assert len(named) == len(found), "a file has two rows"
    return named


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake that knows two files, a/x with rows, and one that is set aside; b is of another product."""
    root = tmp_path / "lake"
    create(root)
    files = opened(root)
    files.note([Taken(a_file("a/x"), "1", {"rows": 5, "tstart": 1.5}), Taken(a_file("a/y"), "2", {"rows": None})])
    files.note([Rejected(a_file("a/bad"), "it is bad")])
    files.commit({})
    others = opened(root, product="obspar")
    others.note([Taken(a_file("b/x"), "3"), Rejected(a_file("b/bad"), "it is bad, too")])
    others.commit({})
    return root


def test_what_was_noted_is_known_and_reported(tmp_path: Path) -> None:
    create(tmp_path / "lake")
    files = opened(tmp_path / "lake")
    files.note([Taken(a_file("a/x"), "1", {"rows": 5, "revision": 2}), Rejected(a_file("a/bad"), "it is bad")])
    files.note(iter([Taken(a_file("a/y", size=7), "2")]))
    files.commit({})
    report = files.report
    assert (report.taken, report.replaced, report.unchanged) == (["a/x", "a/y"], [], 0)
    assert (report.rows, report.bytes_in, report.partitions, report.bytes_out) == (5, 17, 0, 0)
    assert (report.set_aside, report.exit_code, files.fresh) == ({"a/bad": "it is bad"}, 3, {"a/x", "a/y"})
    empty = dict.fromkeys(SOURCE_FILE.names) | {"product": "dark_cal", "mtime_ns": 1000, "directory": "/archive/a"}
    assert rows(tmp_path / "lake") == {
        "/archive/a/x": empty
        | {"filename": "x", "status": "current", "size": 10, "checksum": "1", "rows": 5, "revision": 2},
        "/archive/a/y": empty | {"filename": "y", "status": "current", "size": 7, "checksum": "2"},
        "/archive/a/bad": empty | {"filename": "bad", "status": "set aside", "size": 10, "reason": "it is bad"},
    }


def test_nothing_new_is_no_new_generation(lake: Path) -> None:
    before = current_generation(lake)
    files = opened(lake)
    found = [a_file("a/x"), a_file("a/y"), a_file("a/bad")]
    assert files.sort_out(found, ["a/x", "a/y"]) == []
    files.commit({})
    assert (files.report.unchanged, files.report.set_aside) == (2, {"a/bad": "it is bad"})
    assert current_generation(lake) == before


def test_a_commit_of_nothing_makes_no_generation(tmp_path: Path) -> None:
    with writing(tmp_path):
        opened(tmp_path).commit({})
    assert current_generation(tmp_path) == EMPTY


@pytest.mark.parametrize(
    ("found", "read"),
    [
        (a_file("a/x"), False),
        (a_file("a/x", top=Path("/elsewhere")), False),  # it moved
        (a_file("a/x", size=11), True),
        (a_file("a/x", mtime_ns=999), True),
        (a_file("c/x"), True),
        (a_file("a/x", -1, -1), True),
        (a_file("a/y"), True),  # its rows are not there
        (a_file("a/bad"), False),
        (a_file("a/bad", size=11), True),
        (a_file("a/bad", mtime_ns=1001), True),
        (a_file("b/x"), True),  # of another product
        (a_file("b/bad"), True),
    ],
    ids=lambda value: f"{value.path} {value.size} {value.mtime_ns}" if isinstance(value, Found) else str(value),
)
def test_files_are_read_that_are_new_or_changed_or_whose_rows_are_missing(found: Found, read: bool, lake: Path) -> None:
    files = opened(lake, Path("/"))
    assert files.sort_out([found], ["a/x"]) == ([found] if read else [])


def test_a_file_without_size_and_date_is_always_read_again(lake: Path) -> None:
    nowhere = Found("/archive/a", "nowhere")
    files = opened(lake)
    files.note([Rejected(nowhere, "it cannot be read"), Taken(Found("/archive/a", "z"), "9")])
    files.commit({})
    files = opened(lake)
    again = [nowhere, Found("/archive/a", "z")]
    assert files.sort_out(again, ["a/z"]) == again
    assert files.report.set_aside == {}


def test_a_file_that_moved_is_known_in_its_new_place(lake: Path) -> None:
    files = opened(lake, Path("/elsewhere"))
    files.sort_out([a_file("a/x", top=Path("/elsewhere"))], ["a/x"])
    files.commit({})
    assert sorted(rows(lake)) == ["/archive/a/bad", "/archive/a/y", "/elsewhere/a/x"]


def test_the_same_content_is_unchanged_and_its_size_and_date_are_renewed(lake: Path) -> None:
    files = opened(lake)
    files.take(Taken(a_file("a/x", mtime_ns=2000), "1", {"rows": 5, "tstart": 2.5}))
    files.commit({})
    assert (files.report.taken, files.report.unchanged, files.report.rows) == ([], 1, 0)
    assert files.fresh == {"a/x"}
    row = rows(lake)["/archive/a/x"]
    assert (row["mtime_ns"], row["tstart"], row["checksum"]) == (2000, 2.5, "1")


def test_other_content_replaces_what_was_there_and_keeps_none_of_its_facts(lake: Path) -> None:
    files = opened(lake)
    files.take(Taken(a_file("a/x", size=20), "4", {"rows": 7}))
    files.commit({})
    assert (files.report.taken, files.report.replaced, files.report.rows) == (["a/x"], ["a/x"], 7)
    row = rows(lake)["/archive/a/x"]
    assert (row["checksum"], row["size"], row["rows"], row["tstart"], row["status"]) == ("4", 20, 7, None, "current")


def test_a_file_that_is_mended_is_set_aside_no_more(lake: Path) -> None:
    files = opened(lake)
    found = a_file("a/bad", mtime_ns=2000)
    assert files.sort_out([found], []) == [found]
    files.take(Taken(found, "5"))
    files.commit({})
    assert rows(lake)["/archive/a/bad"]["status"] == "current"


def test_what_was_set_aside_below_the_folder_and_is_gone_is_forgotten_and_elsewhere_kept(lake: Path) -> None:
    files = opened(lake, Path("/another"))
    files.sort_out([], [])
    files.commit({})
    assert rows(lake)["/archive/a/bad"]["reason"] == "it is bad"
    files = opened(lake)
    files.sort_out([a_file("a/x")], ["a/x"])
    files.commit({})
    assert sorted(rows(lake)) == ["/archive/a/x", "/archive/a/y"]
    # A folder whose name begins like the other's is another.
    opened(lake, Path("/archive/a")).commit({})
    assert sorted(rows(lake)) == ["/archive/a/x", "/archive/a/y"]


def test_a_folder_whose_name_begins_like_that_of_another_is_another(lake: Path) -> None:
    opened(lake, Path("/arch")).commit({})
    assert "/archive/a/bad" in rows(lake)


def test_what_the_lake_has_of_a_file_that_became_bad_stays(lake: Path) -> None:
    files = opened(lake)
    files.set_aside(a_file("a/x", size=3), "it is bad now")
    assert files.rows["a/x"]["checksum"] == "1"
    files.commit({})
    found = [
        r for r in read_table(lake, "source_file").to_pylist() if (r["product"], r["filename"]) == ("dark_cal", "x")
    ]
    assert sorted((row["status"], row["size"]) for row in found) == [("current", 10), ("set aside", 3)]
    # Known so in the next run, and not read again.
    files = opened(lake)
    assert files.sort_out([a_file("a/x", size=3)], ["a/x"]) == []
    assert files.report.set_aside == {"a/x": "it is bad now"}
    assert files.rows["a/x"]["checksum"] == "1"


def test_a_file_whose_rows_are_lost_is_set_aside_and_always_read_again(lake: Path) -> None:
    files = opened(lake)
    files.lose(Rejected(a_file("a/x"), "it is another file now"))
    assert "a/x" not in files.rows
    files.commit({})
    row = rows(lake)["/archive/a/x"]
    assert (row["status"], row["reason"], row["size"]) == ("set aside", "it is another file now", -1)
    assert opened(lake).sort_out([a_file("a/x")], []) == [a_file("a/x")]


def test_a_file_that_was_not_known_may_be_lost(lake: Path) -> None:
    files = opened(lake)
    files.lose(Rejected(a_file("a/new"), "gone"))
    assert files.report.set_aside == {"a/new": "gone"}


def test_files_of_other_products_stay_as_they_are(lake: Path) -> None:
    before = rows(lake, "obspar")
    assert len(before) == 2
    files = opened(lake)
    files.sort_out([], [])
    files.note([Taken(a_file("b/x"), "8"), Rejected(a_file("b/bad"), "another reason")])
    files.commit({})
    assert rows(lake, "obspar") == before
    assert rows(lake)["/archive/b/x"]["checksum"] == "8"


def test_partitions_are_those_of_the_tables_named(tmp_path: Path) -> None:
    assert partitions(read_table(tmp_path, "partition"), ["asp_l1_proc"]) == {}
    schema = read_table(tmp_path, "partition").schema
    given_rows = [
        dict.fromkeys(schema.names) | {"table_name": name, "day_number": day, "path": f"{name} {day}"}
        for name, day in [("asp_l1_proc", 0), ("dark_cal_image", 5), ("dark_cal_image", 6), ("hdr3", 5)]
    ]
    create(tmp_path / "lake")
    empty = read_table(tmp_path / "lake", "source_file")
    given = pa.Table.from_pylist(given_rows, schema=schema)
    write_generation(tmp_path / "lake", "00000001", given, empty, None)
    found = partitions(read_table(tmp_path / "lake", "partition"), ["asp_l1_proc", "dark_cal_image"])
    assert {key: row["path"] for key, row in found.items()} == {
        ("asp_l1_proc", 0): "asp_l1_proc 0",
        ("dark_cal_image", 5): "dark_cal_image 5",
        ("dark_cal_image", 6): "dark_cal_image 6",
    }
    assert partitions(read_table(tmp_path / "lake", "partition"), []) == {}
