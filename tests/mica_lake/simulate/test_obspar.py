"""The simulator of observation parameters: lines that a reader of CSV understands, and the table of the files."""

import csv
import gzip
import sqlite3
from contextlib import closing

import pytest

from mica_lake.simulate import obspar
from mica_lake.simulate.observations import observations
from mica_lake.times import cxcsec


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Write the parameters of some sixty observations."""
    root = tmp_path_factory.mktemp("ska")
    chosen = observations(6.8e8, 6.8e8 + 1.2e6)
    return root / "data/mica/archive/obspar", chosen, obspar.write_archive(root, chosen)


def rows_of(path):
    """Read the lines of a file."""
    with gzip.open(path, "rt", newline="") as lines:
        return list(csv.reader(lines))


def values_of(path):
    """Read the values, converted."""
    convert = {"s": str, "i": int, "r": float}
    return {row[0]: convert[row[1]](row[3]) if row[3] or row[1] == "s" else None for row in rows_of(path)}


def test_files(archive):
    """There is a file for each revision, where the archive has it, and no other."""
    top, chosen, paths = archive
    expected = {
        f"{o.obsid:05d}"[:2] + f"/{o.obsid:05d}_v{r:02d}/axaff{o.obsid:05d}_000N{r:03d}_obs0a.par.gz"
        for o in chosen
        for r in o.revisions
    }
    assert [p.relative_to(top).as_posix() for p in paths] == sorted(expected)
    assert sorted(top.glob("*/*_v*/*")) == paths


def test_lines(archive):
    """Each line has seven fields: a name that comes once, a type, h, a value that is one, no limits, and a prompt."""
    _, _, paths = archive
    texts = []
    for path in paths:
        rows = rows_of(path)
        assert 100 <= len(rows) <= 130
        assert {len(row) for row in rows} == {7}
        assert {(row[2], row[4], row[5]) for row in rows} == {("h", "", "")}
        assert len({row[0] for row in rows}) == len(rows)
        assert {row[1] for row in rows} == {"s", "i", "r"}
        assert all(row[6] for row in rows)
        empty = {row[1] for row in rows if row[3] == ""}
        assert {"i", "r"} & empty
        values_of(path)
        texts += [row[3] for row in rows if row[1] == "s"]
    assert any('"' in text for text in texts)
    assert any("," in text for text in texts)


def test_values(archive):
    """Values are those of the observation."""
    _, chosen, paths = archive
    by_name = {path.name: values_of(path) for path in paths}
    seen = set()
    for o in chosen:
        for revision in o.revisions:
            values = by_name[f"axaff{o.obsid:05d}_000N{revision:03d}_obs0a.par.gz"]
            assert (values["obs_id"], values["revision"], values["detnam"]) == (str(o.obsid), revision, o.detector)
            assert (values["tstart"], values["tstop"]) == (o.tstart, o.tstop)
            assert cxcsec(values["date-obs"]) == pytest.approx(o.tstart, abs=0.0011)
            assert cxcsec(values["date-end"]) == pytest.approx(o.tstop, abs=0.0011)
            pointing = [values[f"{name}_pnt"] for name in ("ra", "dec", "roll")]
            assert pointing == pytest.approx([o.ra, o.dec, o.roll], abs=1e-9)
            assert values["instrume"] == o.detector.split("-")[0]
            on = [f"ccd{a}{i}_on" for a, n in (("i", 4), ("s", 6)) for i in range(n) if values[f"ccd{a}{i}_on"] == "Y"]
            numbers = o.detector[5:] if o.detector.startswith("ACIS") else ""
            assert on == [f"ccdi{n}_on" if n in "0123" else f"ccds{int(n) - 4}_on" for n in numbers]
            seen.add((values["detector"], values["sim_z"] - values["sim_z_offset"] < 0))
    assert seen == {
        *(("ACIS-I", True), ("ACIS-S", True), ("HRC-I", False), ("HRC-S", False), ("NONE", True)),
    }


def test_keys_of_instruments(archive):
    """ACIS and HRC have keys of their own beside many in common; all files of one have the same."""
    _, _, paths = archive
    keys = {}
    for path in paths:
        values = values_of(path)
        keys.setdefault(values["instrume"], set()).add(frozenset(values))
    assert {name: len(sets) for name, sets in keys.items()} == {"ACIS": 1, "HRC": 1, "NONE": 1}
    (acis,), (hrc,), (none,) = keys["ACIS"], keys["HRC"], keys["NONE"]
    assert {"exptimea", "startrow"} <= acis - hrc
    assert {"my_start", "trigger_level"} <= hrc - acis
    assert acis & hrc == none


def test_revisions_differ_in_little(archive):
    """Another revision tells the same of the observation."""
    _, chosen, paths = archive
    pair = next(o for o in chosen if len(o.revisions) == 2)
    older, newer = (values_of(p) for p in paths if f"{pair.obsid:05d}_v" in p.parent.name)
    assert {key for key in older if older[key] != newer[key]} == {"revision", "obspar_ver", "obspar_stat"}


def test_table_and_links(archive):
    """The table lists all revisions and tells the default, as the links do."""
    top, chosen, paths = archive
    with closing(sqlite3.connect(top / "archfiles.db3")) as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("SELECT * FROM archfiles")]
    assert sorted(row["filename"] for row in rows) == sorted(p.name for p in paths)
    by_obsid = {o.obsid: o for o in chosen}
    for row in rows:
        o = by_obsid[row["obsid"]]
        assert row["filename"] == f"axaff{o.obsid:05d}_000N{row['revision']:03d}_obs0a.par.gz"
        assert (row["tstart"], row["tstop"], row["detnam"]) == (o.tstart, o.tstop, o.detector)
        assert row["isdefault"] == (1 if row["revision"] == o.default else None)
        assert row["content"] == "OBSPAR"
    links = {p.name: p.readlink().name for p in top.glob("*/*") if p.is_symlink()}
    released = {f"{o.obsid:05d}": f"{o.obsid:05d}_v{o.default:02d}" for o in chosen if o.default is not None}
    latest = {f"{o.obsid:05d}_last": f"{o.obsid:05d}_v{o.last:02d}" for o in chosen if o.last != o.default}
    assert links == released | latest
    assert released
    assert latest


def test_same_bytes(tmp_path):
    """Written again, all is the same, the table included; fewer observations leave only theirs in the table."""

    def content():
        return {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    some = observations(6.8e8, 6.8e8 + 1e5)
    obspar.write_archive(tmp_path, some)
    once = content()
    obspar.write_archive(tmp_path, some)
    assert content() == once
    obspar.write_archive(tmp_path, some[:1])
    with closing(sqlite3.connect(tmp_path / "data/mica/archive/obspar/archfiles.db3")) as db:
        assert {obsid for (obsid,) in db.execute("SELECT obsid FROM archfiles")} == {some[0].obsid}
    other = obspar.write_obspar(tmp_path, some[0], some[0].last, seed=1)
    assert other.read_bytes() != once[other.name]


def test_errors(tmp_path):
    """A revision that does not exist is named."""
    observation = observations(7e8, 7e8 + 1)[0]
    with pytest.raises(ValueError, match=f"revision 7 of obsid {observation.obsid} is not one of"):
        obspar.write_obspar(tmp_path, observation, 7)
    assert list(tmp_path.iterdir()) == []
