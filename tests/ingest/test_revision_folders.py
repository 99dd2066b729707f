"""Archives by observation: which revision is the default and the last, and what is wrong with links and database."""

import math
import os
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mica_lake.formats import database as formats_database
from mica_lake.ingest.revision_folders import Revision, discover, with_those_gone
from mica_lake.simulate.observations import link_revisions, observations

OBSID = 2121
Rows = Sequence[tuple[int | None, Any, Any]]


def folders(top: Path, *revisions: int, obsid: int = OBSID) -> Path:
    """Folders of revisions; gives the folder that they are in."""
    group = top / f"{obsid:05d}"[:2]
    for revision in revisions:
        (group / f"{obsid:05d}_v{revision:02d}").mkdir(parents=True)
    return group


def database(top: Path, rows: Rows) -> None:
    """The archive's database, with obsid, revision and isdefault of each file."""
    with closing(sqlite3.connect(top / "archfiles.db3")) as connection, connection:
        connection.execute("PRAGMA synchronous = off")
        connection.execute("CREATE TABLE archfiles (filename text, obsid int, revision int, isdefault int)")
        connection.executemany("INSERT INTO archfiles VALUES ('some file', ?, ?, ?)", rows)


def told(top: Path) -> dict[int, tuple[bool, bool, str | None]]:
    """Of each revision whether it is the default, whether it is the last, and the link's name."""
    return {r.revision: (r.isdefault, r.islast, r.link and Path(r.link).name) for r in discover(top)[0]}


def wrong(top: Path) -> dict[str, str]:
    """Reasons by name."""
    found: dict[str, str] = {}
    for r in discover(top)[1]:
        found[r.found.filename] = f"{found[r.found.filename]}; {r.reason}" if r.found.filename in found else r.reason
    return found


NO_DATABASE = {"archfiles.db3": "it is not there; the links say which revision is the default"}

# --- what there is ----------------------------------------------------------------------------------------------------


def test_folders_of_revisions_are_found_by_observation_and_nothing_else(tmp_path: Path) -> None:
    folders(tmp_path, 2, 1, 10, 100)
    folders(tmp_path, 3, obsid=50001)
    folders(tmp_path, 7, obsid=12)
    group = folders(tmp_path, 1, obsid=2199)
    names = ["02121_v1", "02121_v1000", "2121_v04", "02121_v05.old", "x02121_v06", "02121_w07", "٠٢١٢١_v12"]
    for name in names:
        (group / name).mkdir()
    (group / "02121_v11").write_text("no folder")
    tops = ["2", "002", "ab", "0x", "٠٢"]
    for name in tops:
        (tmp_path / name / "02121_v09").mkdir(parents=True)
    (tmp_path / "03").write_text("no folder")
    for ignored in (".02121_v13", "../.snapshot", "../logs"):
        (group / ignored).mkdir()
    (tmp_path / "README").write_text("a file")
    database(tmp_path, [])
    revisions, rejected = discover(tmp_path)
    found = [(r.obsid, r.revision) for r in revisions]
    assert found == [(12, 7), (2121, 1), (2121, 2), (2121, 10), (2121, 100), (2199, 1), (50001, 3)]
    no_revision = "it is not a folder OOOOO_vRR of a revision, nor a link OOOOO to one"
    assert {r.found.filename: r.reason for r in rejected} == {
        **dict.fromkeys([*names, "02121_v11"], no_revision),
        **dict.fromkeys(tops, "it has folders of revisions, but its name is not OO"),
        "03": "it should be a folder",
    }
    assert [r.directory for r in revisions if r.revision == 10] == [str(tmp_path / "02/02121_v10")]


def test_an_archive_without_anything_has_no_revisions(tmp_path: Path) -> None:
    assert discover(tmp_path)[0] == []
    assert wrong(tmp_path) == NO_DATABASE


def test_simulated_observations_are_what_their_links_and_database_say(tmp_path: Path) -> None:
    every = observations(6.8e8, 6.8e8 + 1.2e6)
    assert {o.default is None for o in every} == {o.default == o.last for o in every} == {True, False}
    for o in every:
        folders(tmp_path, *o.revisions, obsid=o.obsid)
        link_revisions(tmp_path, o)
    without = discover(tmp_path)[0]
    database(tmp_path, [(o.obsid, r, 1 if r == o.default else None) for o in every for r in o.revisions])
    revisions, rejected = discover(tmp_path)
    assert (revisions, rejected) == (without, [])
    expected = [
        (o.obsid, r, r == o.default, r == o.last) for o in sorted(every, key=lambda o: o.obsid) for r in o.revisions
    ]
    assert [(r.obsid, r.revision, r.isdefault, r.islast) for r in revisions] == expected
    for r in revisions:
        assert Path(r.directory).is_dir()
        assert (r.link is not None) == (r.isdefault or r.islast)
        assert r.link is None or Path(r.link).resolve() == Path(r.directory)


# --- the default and the last -----------------------------------------------------------------------------------------


def test_the_database_says_which_is_the_default(tmp_path: Path) -> None:
    folders(tmp_path, 1, 2, 3)
    database(tmp_path, [(OBSID, 1, None), (OBSID, 2, 1), (OBSID, 2, 1), (OBSID, 3, 0)])
    assert told(tmp_path) == {1: (False, False, None), 2: (True, True, None), 3: (False, False, None)}
    assert wrong(tmp_path) == {}


@pytest.mark.parametrize("rows", [None, [], [(4711, 1, 1)]], ids=["missing", "empty", "other observations"])
def test_without_a_word_of_the_database_the_link_says_it(rows: Rows | None, tmp_path: Path) -> None:
    group = folders(tmp_path, 1, 2, 3)
    (group / "02121").symlink_to("02121_v02")
    if rows is not None:
        database(tmp_path, rows)
    assert told(tmp_path) == {1: (False, False, None), 2: (True, True, "02121"), 3: (False, False, None)}
    other = {"04711": "archfiles.db3 lists it, but it has no folder"} if rows else {}
    assert wrong(tmp_path) == (NO_DATABASE if rows is None else other)


@pytest.mark.parametrize(
    "kind", ["text", "truncated", "another table", "no column", "a folder", "empty", "null obsid", "an infinite one"]
)
def test_of_a_damaged_database_nothing_is_believed(kind: str, tmp_path: Path) -> None:
    group = folders(tmp_path, 1, 2)
    (group / "02121").symlink_to("02121_v02")
    path = tmp_path / "archfiles.db3"
    if kind == "text":
        path.write_bytes(b"this is no database" * 100)
    elif kind == "truncated":
        database(tmp_path, [(OBSID, 1, 1)] * 2000)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind in ("another table", "no column"):
        with closing(sqlite3.connect(path)) as connection, connection:
            name = "other" if kind == "another table" else "archfiles"
            connection.execute(f"CREATE TABLE {name} (obsid int, revision int)")
            connection.execute(f"INSERT INTO {name} VALUES ({OBSID}, 1)")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        database(tmp_path, [(OBSID, 1, 1), (None if kind == "null obsid" else math.inf, 1, 1)])
    assert told(tmp_path) == {1: (False, False, None), 2: (True, True, "02121")}
    assert list(wrong(tmp_path)) == ["archfiles.db3"]
    assert wrong(tmp_path)["archfiles.db3"].endswith("; the links say which revision is the default")


def test_the_database_is_read_where_its_path_looks_like_a_query(tmp_path: Path) -> None:
    top = tmp_path / "what? mode=rw#50%"
    folders(top, 1, 2)
    database(top, [(OBSID, 1, 1)])
    assert told(top) == {1: (True, True, None), 2: (False, False, None)}
    assert wrong(top) == {}


def test_the_link_to_the_last_says_which_is_the_last(tmp_path: Path) -> None:
    group = folders(tmp_path, 1, 2, 3)
    database(tmp_path, [(OBSID, 1, 1)])
    (group / "02121").symlink_to("02121_v01")
    (group / "02121_last").symlink_to("02121_v02")
    assert told(tmp_path) == {1: (True, False, "02121"), 2: (False, True, "02121_last"), 3: (False, False, None)}


def test_without_a_default_and_a_link_the_highest_is_the_last(tmp_path: Path) -> None:
    folders(tmp_path, 1, 9, 10)
    database(tmp_path, [(OBSID, 1, None)])
    assert told(tmp_path) == {1: (False, False, None), 9: (False, False, None), 10: (False, True, None)}
    assert wrong(tmp_path) == {}


def test_a_link_may_be_absolute(tmp_path: Path) -> None:
    group = folders(tmp_path, 1, 2)
    database(tmp_path, [])
    (group / "02121").symlink_to(group / "02121_v01")
    (group / "02121_last").symlink_to(group / "02121_v02")
    assert told(tmp_path) == {1: (True, False, "02121"), 2: (False, True, "02121_last")}
    assert wrong(tmp_path) == {}


choices = st.none() | st.integers(1, 4)


@settings(deadline=None, max_examples=150)
@given(
    there=st.sets(st.integers(1, 3), min_size=1),
    says=st.sampled_from(["missing", "unknown"]) | choices,
    link=choices,
    last=choices,
)
def test_any_links_and_database(there: set[int], says: Any, link: int | None, last: int | None) -> None:
    """The rule as the module states it; what leads to a revision that is not there counts as if it were not there."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        group = folders(top, *there)
        for name, number in (("02121", link), ("02121_last", last)):
            if number is not None:
                (group / name).symlink_to(f"02121_v{number:02d}")
        if says != "missing":
            listed = [] if says == "unknown" else [(OBSID, n, 1 if n == says else None) for n in range(1, 5)]
            database(top, listed)
        found, reasons = told(top), wrong(top)
    known = says not in ("missing", "unknown")
    linked = link if link in there else None
    said = says if known else linked
    default = said if said in there else None
    latest = last if last in there else default if default is not None else max(there)
    assert {n for n, (isdefault, _, _) in found.items() if isdefault} == {default} - {None}
    assert {n for n, (_, islast, _) in found.items() if islast} == {latest}
    links: dict[int, str | None] = {} if latest != last else {latest: "02121_last"}
    links |= {} if default is None else {default: "02121" if linked == default else None}
    assert {n: name for n, (_, _, name) in found.items()} == {n: links.get(n) for n in there}
    expected = {"archfiles.db3"} if says == "missing" else set()
    if link != linked or said != default or (known and linked not in (None, default)):
        expected.add("02121")
    if last not in (None, *there):
        expected.add("02121_last")
    assert set(reasons) == expected


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "_last"])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("02121_v09", "it leads to 02121_v09, which is not there"),
        ("/nowhere/02121_v01", "it leads to /nowhere/02121_v01, which is not there"),
        ("../03/03000_v01", "it leads to ../03/03000_v01, which is not a revision of 02121"),
        ("02199_v01", "it leads to 02199_v01, which is not a revision of 02121"),
        (".", "it leads to ., which is not a revision of 02121"),
    ],
)
def test_a_link_that_dangles_or_leads_elsewhere_does_not_count(
    target: str, reason: str, suffix: str, tmp_path: Path
) -> None:
    folders(tmp_path, 1, obsid=3000)
    folders(tmp_path, 1, obsid=2199)
    group = folders(tmp_path, 1, 2)
    (group / f"02121{suffix}").symlink_to(target)
    database(tmp_path, [])
    revisions, rejected = discover(tmp_path)
    assert [(r.found.directory, r.found.filename, r.reason) for r in rejected] == [
        (str(group), f"02121{suffix}", reason)
    ]
    ours = [(r.revision, r.isdefault, r.islast, r.link) for r in revisions if r.obsid == OBSID]
    assert ours == [(1, False, False, None), (2, False, True, None)]


def test_a_link_to_the_default_of_another_observation_gives_that_one_none(tmp_path: Path) -> None:
    folders(tmp_path, 1, obsid=2199)
    group = folders(tmp_path, 1)
    (group / "02121").symlink_to("02199_v01")
    revisions, _ = discover(tmp_path)
    assert [(r.obsid, r.isdefault, r.link) for r in revisions] == [(2121, False, None), (2199, False, None)]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["a folder", "a file"])
@pytest.mark.parametrize("name", ["02121", "02121_last"])
def test_a_folder_or_file_instead_of_a_link_does_not_count(make: Any, name: str, tmp_path: Path) -> None:
    group = folders(tmp_path, 1, 2)
    make(group / name)
    database(tmp_path, [(OBSID, 1, 1)])
    assert wrong(tmp_path) == {name: "it should be a link to a revision"}
    assert told(tmp_path) == {1: (True, True, None), 2: (False, False, None)}


@pytest.mark.parametrize(
    ("default", "reason"),
    [
        (2, "it leads to revision 1, but archfiles.db3 says that revision 2 is the default"),
        (None, "it leads to revision 1, but archfiles.db3 says that there is no default"),
    ],
)
def test_of_a_link_that_contradicts_the_database_the_database_is_right(
    default: int | None, reason: str, tmp_path: Path
) -> None:
    group = folders(tmp_path, 1, 2)
    (group / "02121").symlink_to("02121_v01")
    database(tmp_path, [(OBSID, n, 1 if n == default else None) for n in (1, 2)])
    assert wrong(tmp_path) == {"02121": reason}
    assert told(tmp_path) == {1: (False, False, None), 2: (default == 2, True, None)}


def test_a_default_without_a_folder_is_named_and_there_is_none(tmp_path: Path) -> None:
    group = folders(tmp_path, 1, 2)
    (group / "02121").symlink_to("02121_v01")
    database(tmp_path, [(OBSID, 3, 1)])
    assert wrong(tmp_path) == {"02121": "archfiles.db3 says that revision 3 is the default, but it has no folder"}
    assert told(tmp_path) == {1: (False, False, None), 2: (False, True, None)}


def test_a_default_that_is_gone_and_its_link_are_both_named(tmp_path: Path) -> None:
    group = folders(tmp_path, 1)
    (group / "02121").symlink_to("02121_v02")
    database(tmp_path, [(OBSID, 1, None), (OBSID, 2, 1)])
    assert wrong(tmp_path) == {
        "02121": "it leads to 02121_v02, which is not there; "
        "archfiles.db3 says that revision 2 is the default, but it has no folder"
    }


def test_an_observation_that_only_the_database_has_is_named(tmp_path: Path) -> None:
    folders(tmp_path, 1)
    database(tmp_path, [(OBSID, 1, 1), (77, 1, 1), (5, 2, None), (77, 2, None)])
    reason = "archfiles.db3 lists it, but it has no folder"
    assert wrong(tmp_path) == {"00005": reason, "00077": reason}
    assert told(tmp_path) == {1: (True, True, None)}


def test_a_link_to_a_folder_outside_the_archive_does_not_count(tmp_path: Path) -> None:
    top = tmp_path / "archive"
    group = folders(top, 1, 2)
    outside = folders(tmp_path / "outside", 9)
    for name in ("02121", "02121_last"):
        (group / name).symlink_to(outside / "02121_v09")
    database(top, [])
    assert told(top) == {1: (False, False, None), 2: (False, True, None)}
    assert set(wrong(top)) == {"02121", "02121_last"}
    assert "archfiles.db3 says" not in str(wrong(top))


# --- links ------------------------------------------------------------------------------------------------------------


def test_folders_on_other_disks_are_followed_and_each_is_there_once(tmp_path: Path) -> None:
    top, other = tmp_path / "archive", tmp_path / "other"
    folders(other, 1, obsid=3000)
    (other / "a_revision").mkdir()
    group = folders(top, 1)
    (top / "03").symlink_to(other / "03")
    (top / "04").symlink_to("03")
    (group / "02121_v02").symlink_to(other / "a_revision")
    (group / "02121_v03").symlink_to("02121_v01")
    (group / "02121").symlink_to("02121_v02")
    (group / "02").symlink_to("..")
    (group / "02121_v01" / "02").symlink_to("../..")
    database(top, [(OBSID, 2, 1)])
    revisions, rejected = discover(top)
    assert [(r.obsid, r.revision, r.isdefault, r.link) for r in revisions] == [
        (2121, 1, False, None), (2121, 2, True, str(group / "02121")), (3000, 1, False, None)
    ]  # fmt: skip
    assert {r.found.filename: r.reason for r in rejected} == {
        "02121_v03": f"it leads to the folder of {group / '02121_v01'}",
        "02": "it is not a folder OOOOO_vRR of a revision, nor a link OOOOO to one",
    }


def test_a_revision_whose_disk_is_away_stays_the_default(tmp_path: Path) -> None:
    group = folders(tmp_path, 1)
    (group / "02121_v02").symlink_to("/nowhere/02121_v02")
    (group / "02121").symlink_to("02121_v02")
    assert told(tmp_path) == {1: (False, False, None), 2: (True, True, "02121")}


def test_names_that_are_not_utf8_and_links_onto_themselves_stop_nothing(tmp_path: Path) -> None:
    group = folders(tmp_path, 1)
    (group / "02121").symlink_to("02121")
    (group / "02121_last").symlink_to(os.fsdecode(b"02121_v0\xff"))
    (group / os.fsdecode(b"02121_v\xff\n")).mkdir()
    assert told(tmp_path) == {1: (False, True, None)}
    assert wrong(tmp_path) == {
        **NO_DATABASE,
        "02121": "it leads to 02121, which is not a revision of 02121",
        "02121_last": r"it leads to 02121_v0\xff, which is not there",
        r"02121_v\xff\x0a": "it is not a folder OOOOO_vRR of a revision, nor a link OOOOO to one",
    }


# --- a database that cannot be read now -------------------------------------------------------------------------------


def test_a_database_that_is_being_written_says_nothing_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = folders(tmp_path, 1, 2)
    (group / "02121").symlink_to("02121_v02")
    database(tmp_path, [(OBSID, 1, 1)])
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, timeout=0.1))
    with closing(connect(tmp_path / "archfiles.db3", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"archfiles\.db3 is being written, .*database is locked.*run it again"):
            discover(tmp_path)
        writer.execute("ROLLBACK")
    assert told(tmp_path) == {1: (True, True, None), 2: (False, False, None)}


def test_a_database_in_wal_mode_where_nothing_can_be_written_says_nothing(without_rights: Any) -> None:
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        top = Path(name)
        for folder in (top, Path(other)):
            folders(folder, 1, 2)
            database(folder, [(OBSID, 1, 1)])
        with closing(sqlite3.connect(top / "archfiles.db3")) as connection:
            connection.execute("PRAGMA journal_mode = wal")
        with without_rights(top, lambda: discover(Path(other))):  # to root no folder is read-only
            top.chmod(0o555)
            with pytest.raises(OSError, match=r"archfiles\.db3 is being written, or cannot be read now.*WAL mode"):
                discover(top)
            top.chmod(0o755)


def test_a_database_on_a_disk_that_is_away_says_nothing(tmp_path: Path) -> None:
    folders(tmp_path, 1)
    (tmp_path / "archfiles.db3").symlink_to("/nowhere/archfiles.db3")
    with pytest.raises(OSError, match=r"it leads to /nowhere/archfiles\.db3, which is not there"):
        discover(tmp_path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(os.mkfifo, "a named pipe"), (lambda path: path.symlink_to("/dev/zero"), "a device")],
    ids=["a named pipe", "a device"],
)
def test_a_database_that_is_no_file_is_not_opened(make: Any, reason: str, tmp_path: Path) -> None:
    folders(tmp_path, 1)
    make(tmp_path / "archfiles.db3")
    assert reason in wrong(tmp_path)["archfiles.db3"]


def test_a_view_without_end_in_a_database_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path, 1)
    with closing(sqlite3.connect(tmp_path / "archfiles.db3")) as connection, connection:
        connection.execute(
            "CREATE VIEW archfiles AS WITH RECURSIVE n(obsid) AS (SELECT 1 UNION ALL SELECT obsid FROM n) "
            "SELECT obsid, 1 AS revision, 1 AS isdefault FROM n"
        )
    monkeypatch.setattr(formats_database, "_LONGEST_QUERY", 0.2)
    assert "it does not answer in 0 s" in wrong(tmp_path)["archfiles.db3"]


# --- those gone -------------------------------------------------------------------------------------------------------


def known(*revisions: Revision) -> list[Mapping[str, Any]]:
    return [asdict(r) for r in revisions]


def test_an_observation_that_is_gone_stays_as_it_was() -> None:
    gone = [Revision(1, 1, "/d1", True, False, "/l"), Revision(1, 2, "/d2", False, True, "/l_last")]
    here = [Revision(2, 1, "/e", True, True)]
    assert with_those_gone(here, known(*gone)) == [*gone, *here]
    assert with_those_gone([], known(*gone)) == gone


def test_a_revision_that_is_gone_while_others_stay_is_no_default_nor_last() -> None:
    gone = Revision(1, 2, "/d2", True, True, "/l")
    here = [Revision(1, 3, "/d3", False, True), Revision(1, 1, "/d1")]
    assert with_those_gone(here, known(gone)) == [here[1], Revision(1, 2, "/d2"), here[0]]


def test_of_a_revision_that_is_there_the_archive_is_right() -> None:
    here = [Revision(1, 1, "/new", False, True, "/new_last")]
    assert with_those_gone(here, known(Revision(1, 1, "/old", True, True, "/old"))) == here
