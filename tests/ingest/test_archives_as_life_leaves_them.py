"""
Archives as life leaves them: a lake that followed an archive is the lake that is made of it afresh.

Each change is made to an archive that a lake was made of. Then that lake is brought up to date, another is made from
nothing, and both must have the same rows in all tables and the same source files with the same status. Where an ingest
keeps what the archive has no more, the change says which rows those are; the pages of the products say why.
"""

import gzip
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from numpy.lib.recfunctions import append_fields, drop_fields
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

from mica_lake import Lake, per_file
from mica_lake.archive import aca_l0 as aca_l0_facade
from mica_lake.archive import asp_l1 as asp_l1_facade
from mica_lake.archive import obspar as obspar_facade
from mica_lake.archive.aca_dark import dark_cal as dark_cal_facade
from mica_lake.catalog.findings import Verified
from mica_lake.catalog.generation import read_table
from mica_lake.ingest import aca_l0, compare, follow
from mica_lake.ingest.report import Report
from mica_lake.simulate import aca_l0 as simulate_aca_l0
from mica_lake.simulate import asp_l1 as simulate_asp_l1
from mica_lake.simulate import dark_cal as simulate_dark_cal
from mica_lake.simulate import obspar as simulate_obspar
from mica_lake.simulate import stats as simulate_stats
from mica_lake.simulate import vv as simulate_vv
from mica_lake.simulate.observations import Observation, link_revisions, observations
from mica_lake.times import cxcsec

ARCHIVE = Path("data/mica/archive")
FOLDERS = {
    "obspar": ARCHIVE / "obspar",
    "asp_l1": ARCHIVE / "asp1",
    "dark_cal": ARCHIVE / "aca_dark",
    "aca_l0": ARCHIVE / "aca0",
    "acq_stats": Path("data/acq_stats"),
    "vv": ARCHIVE / "vv",
}
START = cxcsec("2021:100:12:00:00")
# Rows of the tables, and of `source_file`, that only the lake that followed the archive has: table -> SQL condition.
Kept = dict[str, str]


def take(product: str, ska: Path, lake: Path) -> Report:
    if product == "aca_l0":
        return aca_l0.ingest([ska], lake, jobs=1)
    return follow.ingest(product, ska, lake, jobs=1)


@dataclass
class Archive:
    """An archive of one product that is about to change."""

    product: str
    ska: Path
    lake: Path

    @property
    def top(self) -> Path:
        return self.ska / FOLDERS[self.product]

    def take(self) -> None:
        """Bring the lake up to date between two changes."""
        take(self.product, self.ska, self.lake)

    def one(self, pattern: str) -> Path:
        """The file or folder of a name."""
        (path,) = self.top.glob(pattern)
        return path

    def sql(self, statement: str, database: str = "archfiles.db3") -> None:
        """Change the archive's index."""
        with closing(sqlite3.connect(self.top / database)) as db, db:
            db.execute(statement)


@dataclass(frozen=True)
class Change:
    """What happens to an archive."""

    name: str
    make: Callable[[Archive], object]
    kept: Kept = field(default_factory=dict)
    # Whether the functions answer what is read file by file: what is truncated or has quotes within quotes is not.
    as_per_file: bool = True


# --- archives ---------------------------------------------------------------------------------------------------------


def observed() -> list[Observation]:
    """Three short observations: A and B of one year, C of another; A and C have two revisions."""
    at = [observations(START + 86400 * day, START + 86400 * day + 1) for day in range(5)]
    a, b = [o for some in at for o in some if o.detector != "NONE"][:2]
    c = next(o for o in observations(START - 365 * 86400, START - 364 * 86400) if o.detector != "NONE")
    return [
        replace(a, tstop=a.tstart + 400, revisions=(1, 2), default=1, last=2),
        replace(b, tstop=b.tstart + 400, revisions=(3,), default=3, last=3),
        replace(c, tstop=c.tstart + 400, revisions=(1, 2), default=2, last=2),
    ]


A, B, C = observed()
ID = {name: f"{o.obsid:05d}" for name, o in (("A", A), ("B", B), ("C", C))}
DARK = ("2019155", "2022069")
L0_START = cxcsec("2021:100:23:50:00")


def simulate(product: str, ska: Path) -> None:
    match product:
        case "obspar":
            simulate_obspar.write_archive(ska, [A, B, C])
        case "asp_l1":
            simulate_asp_l1.write_archive(ska, [A, B, C])
        case "dark_cal":
            for dark_id in DARK:
                simulate_dark_cal.write_calibration(ska, dark_id)
        case "aca_l0":
            # Over midnight, so that some files have rows in two partitions.
            simulate_aca_l0.write_archive(
                ska, L0_START, L0_START + 1200, slots=[2, 5], file_seconds=240, hard_cases=False, ska=True
            )
        case "acq_stats":
            simulate_stats.write_archive(ska, [A, B, C])
        case "vv":
            simulate_obspar.write_archive(ska, [A, B, C])
            simulate_asp_l1.write_archive(ska, [A, B, C])
            simulate_vv.write_archive(ska, [A, B, C])
    for other in set(FOLDERS.values()) - {FOLDERS[product]}:
        shutil.rmtree(ska / other, ignore_errors=True)
    shutil.rmtree(ska / "data/guide_stats", ignore_errors=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of each product, with an archive and a lake that was made of it at ``ska``; neither is to be changed."""
    folders: dict[str, Path] = {}

    def make(product: str) -> Path:
        if product not in folders:
            folder = tmp_path_factory.mktemp(product)
            simulate(product, folder / "archive")
            shutil.copytree(folder / "archive", folder / "ska", symlinks=True)
            take(product, folder / "ska", folder / "lake")
            folders[product] = folder
        return folders[product]

    return make


@pytest.fixture
def of(made: Callable[[str], Path], tmp_path: Path) -> Iterator[Callable[[str], Archive]]:
    """The archive of a product and its lake, both as they were at first, to be changed."""

    def again(product: str) -> Archive:
        folder = made(product)
        shutil.rmtree(folder / "ska")
        shutil.copytree(folder / "archive", folder / "ska", symlinks=True)
        shutil.copytree(folder / "lake", tmp_path / "lake", symlinks=True)
        return Archive(product, folder / "ska", tmp_path / "lake")

    yield again


# --- comparing --------------------------------------------------------------------------------------------------------


def tables_of(lake: Path) -> dict[str, pl.DataFrame]:
    """Rows of all tables and of `source_file`, in an order of their own."""
    opened = Lake(lake)
    names = set(read_table(lake, "partition").column("table_name").to_pylist())
    frames = {name: opened.scan(name).collect() for name in sorted(names)}
    frames["source_file"] = pl.from_arrow(read_table(lake, "source_file"))  # type: ignore[assignment]
    return {name: in_order(frame) for name, frame in frames.items()}


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    plain = [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
    return frame.select(sorted(frame.columns)).sort(plain, maintain_order=True)


def assert_same(followed: Path, fresh: Path, kept: Kept) -> None:
    """Refuse two lakes that differ in anything but what is kept; what should be kept must be there."""
    one, other = tables_of(followed), tables_of(fresh)
    for name in sorted(one.keys() | other.keys()):
        ours, theirs = one.get(name), other.get(name)
        if "aca_l0" in kept and name.endswith(("_5min", "_daily")):
            continue  # they are of the readouts that are kept, too
        if name in kept:
            assert ours is not None
            extra = pl.sql_expr(kept[name])
            assert len(ours.filter(extra)), f"{name} should have kept {kept[name]}"
            if theirs is not None:
                too = theirs.filter(extra)
                if name == "source_file":
                    too = too.filter(pl.col("status") == "current")
                    theirs = theirs.filter(~extra)
                assert not len(too), f"{name}: the fresh lake has {kept[name]}, too"
            ours = ours.filter(~extra)
        if ours is None or theirs is None:
            there = ours if ours is not None else theirs
            assert there is not None
            assert not len(there), f"{name} is in one lake only"
            continue
        # A column of a wide table that only kept rows have.
        ours = ours.select([c for c in ours.columns if c in theirs.columns or ours[c].null_count() < len(ours)])
        assert_frame_equal(ours, theirs, check_exact=True)


# --- what the functions answer ----------------------------------------------------------------------------------------


def answers_of_obspar(archive: Archive) -> None:
    """Of each revision, the parameters that reading its file gives."""
    for obsid in (A.obsid, B.obsid, C.obsid):
        for listed in obspar_facade.get_files(obsid, revision="all", data_root=archive.lake):
            path = Path(listed)
            if path.exists() and (expected := readable(per_file.obspar, path)):
                revision = int(path.resolve().parent.name.partition("_v")[2])
                assert obspar_facade.get_obspar(obsid, revision, data_root=archive.lake) == expected


def answers_of_asp_l1(archive: Archive) -> None:
    """Of each revision, the solutions that reading its files gives; each product is listed once."""
    for folder in archive.top.glob("*/*_v[0-9]*"):
        obsid, _, revision = folder.name.partition("_v")
        which: dict[str, Any] = {"obsid": int(obsid), "revision": int(revision), "data_root": archive.lake}
        listed = [Path(path).name.removesuffix(".gz") for path in asp_l1_facade.get_files(**which)]
        assert len(listed) == len(set(listed))
        paths = [Path(path) for path in asp_l1_facade.get_files(content="ASPSOL", **which)]
        calibrated = len(asp_l1_facade.get_files(content="ACACAL", **which)) == len(paths)
        if calibrated and paths and all(path.exists() for path in paths):
            expected = readable(per_file.aspect_solution, paths)
            _, times, headers = asp_l1_facade.get_atts(filter=False, **which)
            assert expected is None or times.tolist() == expected["time"].tolist()
            assert len(headers) == len(paths)


def answers_of_dark_cal(archive: Archive) -> None:
    """Of each calibration, the image that reading its file gives; and no calibration that the archive has not."""
    ids = set(dark_cal_facade.get_dark_cal_ids(data_root=archive.lake).values())
    folders = {path.name for path in archive.top.iterdir()}
    assert ids <= folders or not folders
    for dark_id in ids & folders:
        path = archive.top / dark_id / "image.fits"
        if path.exists() and (expected := readable(per_file.dark_image, path)) is not None:
            image = dark_cal_facade.get_dark_cal_image(dark_id, allow_negative=True, data_root=archive.lake)
            np.testing.assert_array_equal(image, expected)


def answers_of_aca_l0(archive: Archive) -> None:
    """Of each slot, the readouts that reading its current files gives."""
    for slot in (2, 5):
        files = aca_l0_facade.get_files(start=L0_START, stop=L0_START + 1200, slots=[slot], data_root=archive.lake)
        paths = [Path(path) for path in files]
        if all(path.exists() for path in paths) and readable(per_file.read_columns, paths, ["TIME"]):
            expected = per_file.get_slot_data(paths, L0_START, L0_START + 1200)
            found = aca_l0_facade.get_slot_data(L0_START, L0_START + 1200, slot, data_root=archive.lake)
            assert found["TIME"].tolist() == expected["TIME"].tolist()
            assert found["IMGRAW"].tolist() == expected["IMGRAW"].tolist()


def readable(read: Callable[..., Any], *given: Any) -> Any:
    """What a reader of files gives, None where it cannot read them."""
    try:
        return read(*given)
    except Exception:
        return None


ANSWERS = {
    "obspar": answers_of_obspar,
    "asp_l1": answers_of_asp_l1,
    "dark_cal": answers_of_dark_cal,
    "aca_l0": answers_of_aca_l0,
}


# --- changes ----------------------------------------------------------------------------------------------------------


def touched(pattern: str) -> Callable[[Archive], object]:
    return lambda archive: os.utime(archive.one(pattern), ns=(1, 10**18))


def rewritten(pattern: str, change: Callable[[bytes], bytes]) -> Callable[[Archive], object]:
    """A file with other content, gzipped if it was."""

    def make(archive: Archive) -> None:
        path = archive.one(pattern)
        content = path.read_bytes()
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(change(gzip.decompress(content)), mtime=0))
        else:
            path.write_bytes(change(content))

    return make


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new)

    return change


def card(keyword: str, text: bytes) -> Callable[[bytes], bytes]:
    """A FITS file whose table has another card instead of the one of a keyword, wherever that is."""

    def change(content: bytes) -> bytes:
        at = content.rindex(keyword.encode().ljust(8) + b"=")
        return content[:at] + text.ljust(80)[:80] + content[at + 80 :]

    return change


def truncated(pattern: str) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        path = archive.one(pattern)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return make


def removed(*patterns: str) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        for path in [path for pattern in patterns for path in archive.top.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    return make


def renamed(pattern: str, name: Callable[[str], str]) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        for path in list(archive.top.glob(pattern)):
            path.rename(path.with_name(name(path.name)))

    return make


def unzipped(pattern: str, *, both: bool = False) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        for path in list(archive.top.glob(pattern)):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            if not both:
                path.unlink()

    return make


def zipped(pattern: str) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        for path in list(archive.top.glob(pattern)):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()

    return make


def linked(pattern: str, target: str) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        path = archive.top / pattern
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return make


def index(statement: str, database: str = "archfiles.db3") -> Callable[[Archive], object]:
    return lambda archive: archive.sql(statement, database)


def in_turn(*changes: Callable[[Archive], object]) -> Callable[[Archive], object]:
    """One change after the other, with an ingest between them."""

    def make(archive: Archive) -> None:
        for number, change in enumerate(changes):
            if number:
                archive.take()
            change(archive)

    return make


def together(*changes: Callable[[Archive], object]) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        for change in changes:
            change(archive)

    return make


def restored(pattern: str) -> Callable[[Archive], object]:
    """The file or folder as it was at first."""

    def make(archive: Archive) -> None:
        good = archive.ska.parent / "archive" / FOLDERS[archive.product]
        for path in good.glob(pattern):
            target = archive.top / path.relative_to(good)
            if path.is_symlink():
                target.unlink(missing_ok=True)
                target.symlink_to(path.readlink())
            elif path.is_dir():
                shutil.copytree(path, target, dirs_exist_ok=True)
            else:
                shutil.copy2(path, target)

    return make


def observed_again(revisions: tuple[int, ...], default: int | None) -> Callable[[Archive], object]:
    """The archive with other revisions of observation B."""

    def make(archive: Archive) -> None:
        again = replace(B, revisions=revisions, default=default, last=revisions[-1])
        simulated = {"obspar": simulate_obspar, "asp_l1": simulate_asp_l1}[archive.product]
        simulated.write_archive(archive.ska, [A, again, C])

    return make


def relinked(observation: Observation) -> Callable[[Archive], object]:
    return lambda archive: link_revisions(archive.top, observation)


def written(name: str, content: bytes) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        (archive.top / name).parent.mkdir(parents=True, exist_ok=True)
        (archive.top / name).write_bytes(content)

    return make


def copied(pattern: str, name: str, change: Callable[[bytes], bytes] = lambda content: content) -> Any:
    """The file once more, under another name beside it, changed."""

    def make(archive: Archive) -> None:
        path = archive.one(pattern)
        content = path.read_bytes()
        content = gzip.compress(change(gzip.decompress(content)), mtime=0) if path.suffix == ".gz" else change(content)
        path.with_name(name).write_bytes(content)

    return make


def gone(observation: Observation, revision: int | None = None) -> Callable[[Archive], object]:
    """An observation or a revision of it with its folders, links and entries in the index."""
    obsid = f"{observation.obsid:05d}"
    if revision is None:
        links = [f"*/{obsid}*"]
        return together(removed(*links), index(f"DELETE FROM archfiles WHERE obsid = {observation.obsid}"))
    return together(
        removed(f"*/{obsid}_v{revision:02d}"),
        index(f"DELETE FROM archfiles WHERE obsid = {observation.obsid} AND revision = {revision}"),
    )


A1, A2, B3, C2 = f"28/{ID['A']}_v01", f"28/{ID['A']}_v02", f"28/{ID['B']}_v03", f"27/{ID['C']}_v02"
# What changes in any archive of revisions, whatever its files are; `{file}` is the one that A1 has, or its first.
OF_REVISIONS = [
    Change("nothing", lambda archive: None),
    Change("a revision comes that is not the default", observed_again((3, 4), 3)),
    Change("a revision comes that is the default", observed_again((3, 4), 4)),
    Change("a default goes", observed_again((3,), None)),
    Change("the default flips, in index and links", together(
        index(f"UPDATE archfiles SET isdefault = CASE revision WHEN 2 THEN 1 END WHERE obsid = {A.obsid}"),
        relinked(replace(A, default=2)))),
    Change("the default flips in the index only",
        index(f"UPDATE archfiles SET isdefault = CASE revision WHEN 2 THEN 1 END WHERE obsid = {A.obsid}")),
    Change("the default flips by its link only", relinked(replace(A, default=2))),
    Change("the default flips and flips back", in_turn(
        index(f"UPDATE archfiles SET isdefault = CASE revision WHEN 2 THEN 1 END WHERE obsid = {A.obsid}"),
        index(f"UPDATE archfiles SET isdefault = CASE revision WHEN 1 THEN 1 END WHERE obsid = {A.obsid}"))),
    Change("two defaults in the index", index(f"UPDATE archfiles SET isdefault = 1 WHERE obsid = {A.obsid}")),
    Change("no default in the index", index(f"UPDATE archfiles SET isdefault = NULL WHERE obsid = {A.obsid}")),
    Change("the index loses an observation", index(f"DELETE FROM archfiles WHERE obsid = {A.obsid}")),
    Change("the index loses a revision", index(f"DELETE FROM archfiles WHERE obsid = {A.obsid} AND revision = 2")),
    Change("the index lists a default without a folder",
        index(f"UPDATE archfiles SET isdefault = 1, revision = 9 WHERE obsid = {A.obsid} AND revision = 1")),
    Change("the index goes", removed("archfiles.db3")),
    Change("the index goes and comes back", in_turn(removed("archfiles.db3"), restored("archfiles.db3"))),
    Change("the index is damaged", written("archfiles.db3", b"no database" * 100)),
    Change("the link to the default goes", removed(f"*/{ID['A']}")),
    Change("the link to the last goes", removed(f"*/{ID['A']}_last")),
    Change("all links go", removed("*/?????", "*/*_last")),
    Change("all links and the index go", removed("*/?????", "*/*_last", "archfiles.db3")),
    Change("a link leads nowhere", linked(f"28/{ID['A']}", "nowhere")),
    Change("a link leads to another observation", linked(f"28/{ID['A']}", f"{ID['B']}_v03")),
    Change("a folder takes the place of a link", together(removed(f"*/{ID['A']}"), written(f"28/{ID['A']}/x", b""))),
    Change("a revision goes while another stays", gone(A, 2),
        {"*": f"obsid = {A.obsid} AND revision = 2", "source_file": f"directory LIKE '%/{A2}'"}),
    Change("an observation goes", gone(B),
        {"*": f"obsid = {B.obsid}", "source_file": f"directory LIKE '%/{B3}'"}),
    Change("a folder goes and comes back", in_turn(removed(A2), restored(A2))),
    Change("a folder takes another's number", renamed(A2, lambda name: name.replace("_v02", "_v04")),
        {"*": f"obsid = {A.obsid} AND revision = 2", "source_file": f"directory LIKE '%/{A2}'"}),
    Change("a folder of a name of its own comes", together(written("28/notes/x", b""), written("28/12345_vXX/x", b""))),
    Change("a folder without files comes", written("28/28111_v01/README", b"")),
    Change("a file comes where a folder should be", written("28/28111_v01", b"")),
]  # fmt: skip

OBSPAR = [
    *OF_REVISIONS,
    Change("a file is touched", touched(f"{A1}/*")),
    Change("a file is truncated", truncated(f"{A1}/*"),
        {"*": f"obsid = {A.obsid} AND revision = 1",
         "source_file": f"directory LIKE '%/{A1}' AND status = 'current'"}),
    Change("a file is truncated and restored", in_turn(truncated(f"{A1}/*"), restored(f"{A1}/*"))),
    Change("a file is corrected", rewritten(f"{A1}/*", replaced(b'"CHANDRA"', b'"Chandra"'))),
    Change("a file is corrected and corrected back", in_turn(
        rewritten(f"{A1}/*", replaced(b'"CHANDRA"', b'"Chandra"')), restored(f"{A1}/*"))),
    Change("an observation moves to another year", rewritten(f"{B3}/*", replaced(b"h,734", b"h,702"))),
    Change("a file loses its .gz", unzipped(f"{A1}/*")),
    Change("a file loses and gains its .gz", in_turn(unzipped(f"{A1}/*"), zipped(f"{A1}/*"))),
    Change("a file is there gzipped and not", unzipped(f"{A1}/*", both=True)),
    Change("a file is there gzipped and not, then not gzipped only", in_turn(
        unzipped(f"{A1}/*", both=True), removed(f"{A1}/*.gz"))),
    Change("a file gets another number", renamed(f"{A1}/*", lambda name: name.replace("N001", "N005"))),
    Change("a file goes", removed(f"{A1}/*"),
        {"*": f"obsid = {A.obsid} AND revision = 1",
         "source_file": f"directory LIKE '%/{A1}'"}),
    Change("a file goes and comes back", in_turn(removed(f"{A1}/*"), restored(f"{A1}/*"))),
    Change("the file of the next OBI comes", copied(f"{A1}/*", f"axaff{ID['A']}_001N001_obs0a.par.gz")),
    Change("the file of the next OBI comes and that of the first goes", in_turn(
        copied(f"{A1}/*", f"axaff{ID['A']}_001N001_obs0a.par.gz", replaced(b"h,0,", b"h,1,")),
        removed(f"{A1}/*_000N*"))),
    Change("the file of the next OBI comes and the first loses its .gz", in_turn(
        copied(f"{A1}/*", f"axaff{ID['A']}_001N001_obs0a.par.gz"), unzipped(f"{A1}/*_000N*"))),
    Change("the file of an earlier OBI comes late", in_turn(
        renamed(f"{A1}/*", lambda name: name.replace("_000N", "_001N")), restored(f"{A1}/*"))),
    Change("a key is there twice", rewritten(f"{A1}/*", lambda text: text + b'title,s,h,"Again",,,"Title"\n')),
    Change("rows are too short", rewritten(f"{A1}/*", replaced(b'"CHANDRA",,,"Telescop"', b'"CHANDRA"'))),
    Change("a text in Latin-1", rewritten(f"{A1}/*", replaced(b'"CHANDRA"', b'"CH\xc4NDRA"'))),
    Change("quotes within quotes", rewritten(f"{A1}/*", replaced(b'"CHANDRA"', b'"The "big" one"')), as_per_file=False),
    Change("a parameter comes", rewritten(f"{A1}/*", lambda text: text + b'more,i,h,5,,,"More"\n')),
    Change("a parameter comes and goes", in_turn(
        rewritten(f"{A1}/*", lambda text: text + b'more,i,h,5,,,"More"\n'), restored(f"{A1}/*"))),
    Change("a parameter changes its type", rewritten(f"{A1}/*", replaced(b"mjdref,r", b"mjdref,s"))),
    Change("another file comes", written(f"{A1}/notes.txt", b"")),
]  # fmt: skip

ASP_L1 = [
    *OF_REVISIONS,
    Change("a file is touched", touched(f"{A1}/*asol1*")),
    *(
        Change(f"{kind} is truncated", truncated(f"{A1}/*{kind}1*"), {
            **dict.fromkeys(tables, f"obsid = {A.obsid} AND revision = 1 AND filename LIKE '%{kind}%'"),
            "source_file": f"directory LIKE '%/{A1}' AND filename LIKE '%{kind}%' AND status = 'current'",
        })
        for kind, tables in (
            ("asol", ["asp_l1_file", "asp_sol"]), ("acen", ["asp_l1_file", "aca_cent"]), ("gspr", ["asp_l1_file"])
        )
    ),
    Change("all kinds are truncated and restored", in_turn(
        together(*(truncated(f"{A1}/*{kind}1*") for kind in ("asol", "acen", "aqual", "acal", "gspr", "fidpr"))),
        restored(f"{A1}/*"))),
    *(Change(f"{kind} goes", removed(f"{A1}/*{kind}1*")) for kind in ("asol", "acen", "aqual", "acal", "gspr")),
    *(Change(f"{kind} goes and comes back", in_turn(removed(f"{A1}/*{kind}1*"), restored(f"{A1}/*{kind}1*")))
      for kind in ("asol", "acen", "aqual")),
    *(Change(f"{kind} loses its .gz", unzipped(f"{A1}/*{kind}1*")) for kind in ("asol", "acen", "aqual", "gspr")),
    Change("all files lose and gain their .gz", in_turn(unzipped(f"{A1}/*"), zipped(f"{A1}/*"))),
    Change("all files are there gzipped and not", unzipped(f"{A1}/*", both=True)),
    Change("all files are there gzipped and not, then not gzipped only", in_turn(
        unzipped(f"{A1}/*", both=True), removed(f"{A1}/*.gz"))),
    Change("an interval goes", removed(f"{C2}/pcadf702899044*")),
    Change("an interval goes and comes back", in_turn(
        removed(f"{C2}/pcadf702899044*"), restored(f"{C2}/pcadf702899044*"))),
    Change("an interval gets another name", renamed(
        f"{C2}/pcadf702899044*", lambda name: name.replace("702899044", "702899045"))),
    Change("all files go", removed(f"{A1}/*"), {
        "*": f"obsid = {A.obsid} AND revision = 1", "source_file": f"directory LIKE '%/{A1}'"}),
    Change("all files but those of no use go", together(removed(f"{A1}/*"), written(f"{A1}/notes.txt", b"")), {
        "*": f"obsid = {A.obsid} AND revision = 1", "source_file": f"directory LIKE '%/{A1}'"}),
    Change("a file is corrected", rewritten(f"{A1}/*asol1*", replaced(b"mica_lake.simulate", b"mica_lake.correct!"))),
    Change("a degree sign in a comment", rewritten(f"{A1}/*asol1*", card("CREATOR", "COMMENT at 5 °".encode()))),
    Change("the processing table goes", removed("processing_asp_l1.db3"), {"asp_l1_proc": "true"}),
    Change("the processing table flips a default", index(
        f"UPDATE aspect_1_proc SET isdefault = 2 - revision WHERE obsid = {A.obsid}", "processing_asp_l1.db3")),
    Change("the processing table loses an observation", index(
        f"DELETE FROM aspect_1_proc WHERE obsid = {A.obsid}", "processing_asp_l1.db3")),
]  # fmt: skip

PROPERTIES, IMAGE = "2019155/properties.json", "2019155/image.fits"
OF_2019 = dict.fromkeys(("dark_cal", "dark_cal_image", "dark_cal_distribution"), "dark_id = '2019155'") | {
    "source_file": "directory LIKE '%/2019155'"
}


def another_calibration(archive: Archive) -> None:
    simulate_dark_cal.write_calibration(archive.ska, "2020100")


def shifted(content: bytes) -> bytes:
    """An image whose pixels are all one further on."""
    return content[:2880] + content[2884:] + content[-4:]


DARK_CAL = [
    Change("nothing", lambda archive: None),
    Change("a calibration comes", another_calibration),
    Change("a calibration goes", removed("2019155")),
    Change("the last calibration goes", removed("2022069")),
    Change("a calibration goes and comes back", in_turn(removed("2019155"), restored("2019155"))),
    Change("a calibration comes and goes", in_turn(another_calibration, removed("2020100"))),
    Change("a calibration gets another name", renamed("2019155", lambda name: f"{name}.bad")),
    Change("a calibration gets another day", renamed("2019155", lambda name: "2019156")),
    Change("all calibrations go", removed("*"), {
        "dark_cal": "true", "dark_cal_image": "true", "dark_cal_distribution": "true", "source_file": "true"}),
    Change("the image goes", removed(IMAGE), OF_2019),
    Change("the properties go", removed(PROPERTIES), OF_2019),
    Change("the image is truncated", truncated(IMAGE), OF_2019, as_per_file=False),
    Change("the properties are truncated", truncated(PROPERTIES), OF_2019),
    Change("both are truncated and restored", in_turn(
        together(truncated(IMAGE), truncated(PROPERTIES)), restored("2019155"))),
    Change("a file is touched", touched(IMAGE)),
    Change("the image is corrected", rewritten(IMAGE, shifted)),
    Change("the temperature is corrected", rewritten(PROPERTIES, replaced(b'"ccd_temp": -', b'"ccd_temp": -1'))),
    Change("the temperature is none", rewritten(PROPERTIES, replaced(b'"ccd_temp"', b'"ccd_tmp"'))),
    Change("the temperature is none, then one", in_turn(
        rewritten(PROPERTIES, replaced(b'"ccd_temp"', b'"ccd_tmp"')), restored("2019155"))),
    Change("the time is corrected", rewritten(PROPERTIES, replaced(b'"date": "2019:155:1', b'"date": "2019:155:0'))),
    Change("the date is another day", rewritten(PROPERTIES, replaced(b'"date": "2019:155', b'"date": "2019:154'))),
    Change("the date is none", rewritten(PROPERTIES, replaced(b'"date"', b'"dates"'))),
    Change("a property comes", rewritten(PROPERTIES, replaced(b'"ccd_temp"', b'"more": 5, "ccd_temp"'))),
    Change("a property in Latin-1", rewritten(PROPERTIES, replaced(b'"dark_2019155', b'"d\xe4rk_2019155'))),
    Change("another file and folder come", together(written("2019155/notes.txt", b""), written("notes/x", b""))),
]  # fmt: skip

L0 = "2021/100/acaf734486109N001_5_img0.fits.gz"
NEWER = "acaf734486109N002_5_img0.fits.gz"
# Of the last file of slot 5 before midnight, which has rows in two partitions.
OVER_MIDNIGHT = "2021/100/acaf734486347N001_5_img0.fits.gz"


def unlisted(archive: Archive) -> None:
    """An archive of L0 files without its index, which is one that lists all."""
    archive.sql("DROP TABLE archfiles")
    (archive.top / "archfiles.db3").unlink()


def newer_readouts(*, listed: bool = True, change: Callable[[bytes], bytes] = bytes) -> Callable[[Archive], object]:
    """A file of revision 2 of the interval of `L0`, whose images are others."""

    def make(archive: Archive) -> None:
        columns = simulate_aca_l0.readouts(5, 6, simulate_aca_l0.times(L0_START + 240, L0_START + 475, 6), seed=7)
        path = simulate_aca_l0.write_file((archive.top / L0).parent, 5, columns, revision=2)
        path.write_bytes(change(path.read_bytes()))
        if listed:
            archive.sql(f"UPDATE archfiles SET filename = '{path.name}' WHERE filename = '{Path(L0).name}'")

    return make


def of_file(name: str, *tables: str) -> Kept:
    """What a lake has of a file of ACA L0; its readouts of 8x8, which slot 5 has not, are in `hdr3`, too."""
    return {"aca_l0": f"FILENAME = '{Path(name).name}'", "source_file": f"filename = '{Path(name).name}'"}


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


ACA_L0 = [
    Change("nothing", lambda archive: None),
    Change("a file is touched", touched(L0)),
    Change("a file goes that the index lists", removed(L0), of_file(L0)),
    Change("a file goes and comes back", in_turn(removed(L0), restored(L0))),
    Change("a file and its entry in the index go", together(
        removed(L0), index(f"DELETE FROM archfiles WHERE filename = '{Path(L0).name}'")), of_file(L0)),
    Change("the index loses a file", index(f"DELETE FROM archfiles WHERE filename = '{Path(L0).name}'"), of_file(L0)),
    Change("the index lists a file that is not there", index(
        f"UPDATE archfiles SET filename = '{NEWER}' WHERE filename = '{Path(L0).name}'"), of_file(L0)),
    Change("the index goes", unlisted),
    Change("a file over midnight is truncated", truncated(OVER_MIDNIGHT), of_file(OVER_MIDNIGHT)),
    Change("a file is truncated and restored", in_turn(truncated(L0), restored(L0))),
    Change("a file moves to another folder", lambda archive: (archive.top / L0).rename(
        archive.top / "2021/101" / Path(L0).name)),
    Change("a file of no use comes", written("2021/100/notes.txt", b"")),
    Change("a file loses its .gz, without an index", together(unlisted, unzipped(L0))),
    Change("a file loses and gains its .gz, without an index", in_turn(
        together(unlisted, unzipped(L0)), zipped(L0.removesuffix(".gz")))),
    Change("a file over midnight loses its .gz", together(unlisted, unzipped(OVER_MIDNIGHT))),
    Change("a file is there gzipped and not", together(unlisted, unzipped(L0, both=True))),
    Change("a file is there gzipped and not, then not gzipped only", in_turn(
        together(unlisted, unzipped(L0, both=True)), removed(L0))),
    Change("a file is there not gzipped, then gzipped, too", in_turn(
        together(unlisted, unzipped(L0)), restored(L0))),
    Change("a file loses its .gz and is truncated", together(
        unlisted, unzipped(L0), truncated(L0.removesuffix(".gz"))), of_file(L0)),
    Change("a newer revision comes", newer_readouts(), {"source_file": f"filename = '{Path(L0).name}'"}),
    Change("a newer revision comes beside it, without an index", together(unlisted, newer_readouts(listed=False))),
    Change("a truncated newer revision comes, without an index", together(
        unlisted, newer_readouts(listed=False, change=half))),
    Change("a truncated newer revision comes and is mended, without an index", in_turn(
        together(unlisted, newer_readouts(listed=False, change=half)), newer_readouts(listed=False))),
    Change("a truncated newer revision comes and goes, without an index", in_turn(
        together(unlisted, newer_readouts(listed=False, change=half)), removed("2021/100/*N002_5*"))),
]  # fmt: skip


def of_hdf5(change: Callable[[Any], Any], filename: str = "acq_stats.h5") -> Callable[[Archive], object]:
    """An HDF5 table with other rows."""

    def make(archive: Archive) -> None:
        path = archive.top / filename
        with h5py.File(path, "r") as file:
            ((node, data),) = ((name, file[name][()]) for name in file)
        path.unlink()
        with h5py.File(path, "w") as file:
            file.create_dataset(node, data=change(data), maxshape=(None,))

    return make


def with_value(name: str, value: object) -> Callable[[Any], Any]:
    def change(rows: Any) -> Any:
        rows[name][0] = value
        return rows

    return change


def with_column(rows: Any) -> Any:
    return append_fields(rows, "more", np.zeros(len(rows)), usemask=False)


def of_tables(product: str, path: str, text: str, time: str) -> list[Change]:
    """What changes in a table that is followed as a whole, one of whose columns is a text and one the time."""
    every = {product: "true", "source_file": f"filename = '{path}'"}
    return [
        Change("the table is touched", touched(path)),
        Change("a row changes", of_hdf5(with_value(text, b"x"), path)),
        Change("a row is appended", of_hdf5(lambda rows: np.concatenate([rows, rows[-1:]]), path)),
        Change("a row goes", of_hdf5(lambda rows: rows[1:], path)),
        Change("rows are in another order", of_hdf5(lambda rows: rows[::-1], path)),
        Change("a year goes", of_hdf5(lambda rows: rows[rows[time] > 7.2e8], path)),
        Change("a row moves to another year", of_hdf5(with_value(time, 6.5e8), path)),
        Change("a time is not known", of_hdf5(with_value(time, np.nan), path)),
        Change("a text is none", of_hdf5(with_value(text, b"\xff"), path)),
        Change("all rows go", of_hdf5(lambda rows: rows[:0], path)),
        Change("the table is truncated", truncated(path), every),
        Change("the table is truncated and restored", in_turn(truncated(path), restored(path))),
        Change("a column goes", of_hdf5(lambda rows: drop_fields(rows, text, usemask=False), path), every),
        Change(
            "a column comes", of_hdf5(lambda rows: append_fields(rows, "more", rows[time], usemask=False), path), every
        ),
    ]


STATS = [Change("nothing", lambda archive: None), *of_tables("acq_stats", "acq_stats.h5", "type", "guide_tstart")]

REPORT = "vv_report.json"
OF_A2 = {"vv_report": f"obsid = {A.obsid} AND revision = 2", "source_file": f"directory LIKE '%/{A2}'"}
VV = [
    Change("nothing", lambda archive: None),
    Change("a report is touched", touched(f"{A2}/{REPORT}")),
    Change("a report is corrected", rewritten(f"{A2}/{REPORT}", replaced(b'"dy_rms": 0', b'"dy_rms": 1'))),
    Change("a report is truncated", truncated(f"{A2}/{REPORT}"), OF_A2),
    Change("a report is truncated and restored", in_turn(truncated(f"{A2}/{REPORT}"), restored(f"{A2}/*"))),
    Change("a report goes", removed(f"{A2}/{REPORT}"), OF_A2),
    Change("a report goes and comes back", in_turn(removed(f"{A2}/{REPORT}"), restored(f"{A2}/*"))),
    Change("a folder goes", removed(A2), OF_A2),
    Change("an observation goes", removed(f"*/{ID['A']}*"), {
        "vv_report": f"obsid = {A.obsid}", "source_file": f"directory LIKE '%/{ID['A']}_v%'"}),
    Change("the link to the default goes", removed(f"*/{ID['A']}")),
    Change("a folder takes another's number", renamed(A2, lambda name: name.replace("_v02", "_v04")), OF_A2),
    Change("another file comes", written(f"{A2}/notes.txt", b"")),
    Change("the table goes", removed("vv.h5"), {"vv_rms": "true", "source_file": "filename = 'vv.h5'"}),
    *of_tables("vv_rms", "vv.h5", "instrument", "tstart"),
]  # fmt: skip

# Those of the first tier, for each product that has them; the second has all.
OFTEN = {
    "nothing",
    "the default flips, in index and links",
    "the index is damaged",
    "a folder goes and comes back",
    "a file is truncated",
    "a file is corrected",
    "a file over midnight is truncated",
    "a newer revision comes",
    "a report is corrected",
    "the image is corrected",
    "the table is truncated",
}
CHANGES = [
    pytest.param(
        product, change, id=f"{product}: {change.name}", marks=[] if change.name in OFTEN else pytest.mark.soak
    )
    for product, changes in (
        ("obspar", OBSPAR), ("asp_l1", ASP_L1), ("dark_cal", DARK_CAL), ("aca_l0", ACA_L0), ("acq_stats", STATS),
        ("vv", VV),
    )
    for change in changes
]  # fmt: skip


@pytest.mark.often(7)
@pytest.mark.parametrize(("product", "change"), CHANGES)
def test_a_lake_that_followed_an_archive_is_that_of_the_archive(
    product: str, change: Change, of: Callable[[str], Archive], tmp_path: Path
) -> None:
    archive = of(product)
    change.make(archive)
    archive.take()
    take(product, archive.ska, tmp_path / "fresh")
    kept = dict(change.kept)
    if everywhere := kept.pop("*", None):
        tables = {"obspar": ["obspar", "obspar_kv"], "asp_l1": ["asp_l1_file", "asp_sol", "aca_cent"]}[product]
        kept |= dict.fromkeys(tables, everywhere)
    assert_same(archive.lake, tmp_path / "fresh", kept)
    if product in ANSWERS and change.as_per_file:
        ANSWERS[product](archive)
    # What was settled stays settled.
    before = tables_of(archive.lake)
    archive.take()
    after = tables_of(archive.lake)
    assert before.keys() == after.keys()
    for name, frame in before.items():
        assert_frame_equal(frame, after[name], check_exact=True)


def test_other_content_does_not_take_the_place_of_a_file_that_has_gone(of: Callable[[str], Archive]) -> None:
    archive = of("aca_l0")
    unlisted(archive)
    unzipped(L0)(archive)
    rewritten(L0.removesuffix(".gz"), card("DATE", b"DATE    = '2022-01-01T00:00:00'"))(archive)
    before = tables_of(archive.lake)["aca_l0"]
    reason = f"a file {Path(L0).name} with other content is in the lake"
    for _ in range(2):
        assert take("aca_l0", archive.ska, archive.lake).set_aside == {Path(L0).stem: reason}
        assert_frame_equal(tables_of(archive.lake)["aca_l0"], before, check_exact=True)


# --- oddities ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Oddity:
    """A file that is not quite as it should be: it is taken, and a query has its answer, or set aside with a reason."""

    name: str
    make: Callable[[Archive], object]
    query: str = ""
    answer: object = None
    reason: str = ""


def of_par(change: Callable[[bytes], bytes]) -> Callable[[Archive], object]:
    return rewritten(f"{A1}/*", change)


def telescop(row: bytes) -> Callable[[Archive], object]:
    """An obspar whose row of telescop, which nothing depends on, is another."""

    def change(text: bytes) -> bytes:
        lines = text.splitlines(keepends=True)
        return b"".join(row + b"\n" if line.startswith(b"telescop,") else line for line in lines)

    return of_par(change)


def kv(name: str, column: str = "value") -> str:
    return f"SELECT {column} FROM obspar_kv WHERE obsid = {A.obsid} AND revision = 1 AND name = '{name}'"


OBS_ID = ID["A"].encode()
OBSPAR_ODDITIES = [
    Oddity("a byte of Latin-1 in a text", telescop(b'telescop,s,h,"M\xfcller",,,"T"'), kv("telescop"), "M\ufffdller"),
    Oddity("a byte of Latin-1 in a description", telescop(b'telescop,s,h,"X",,,"\xb0"'), kv("telescop"), "X"),
    Oddity("quotes within quotes", telescop(b'telescop,s,h,"The "big" one",,,"T"'), kv("telescop"), 'The "big" one'),
    Oddity("quotes and commas within quotes", telescop(b'telescop,s,h,"A, "b", c",,,"T"'), kv("telescop"), 'A, "b", c'),
    Oddity("a quote too many at the end", telescop(b'telescop,s,h,"5"",,,"T"'), kv("telescop"), '5"'),
    Oddity("an obs_id with zeros", of_par(replaced(b'obs_id,s,h,"', b'obs_id,s,h,"00')), kv("obs_id"), f"00{ID['A']}"),
    Oddity("an obs_id with blanks", of_par(replaced(b'obs_id,s,h,"', b'obs_id,s,h,"  ')), kv("obs_id"), f"  {ID['A']}"),
    Oddity("an obs_id that is a number", of_par(replaced(b'obs_id,s,h,"' + OBS_ID + b'"', b"obs_id,i,h," + OBS_ID)),
        kv("obs_id"), ID["A"]),
    Oddity("a byte order mark", of_par(lambda text: b"\xef\xbb\xbf" + text), kv("title", "count(*)"), 1),
    Oddity("a row without description", telescop(b'telescop,s,h,"X",,'), kv("telescop"), "X"),
    Oddity("a row without all that only describes", telescop(b'telescop,s,h,"X"'), kv("telescop", "description"), ""),
    Oddity("a parameter twice, alike", telescop(b'telescop,s,h,"X",,,""\ntelescop,s,h,"X",,,""'),
        kv("telescop", "count(*)"), 2),
    Oddity("a parameter twice, the last counts", telescop(b'telescop,s,h,"X",,,""\ntelescop,s,h,"Y",,,""'),
        f"SELECT telescop FROM obspar WHERE obsid = {A.obsid} AND revision = 1", "Y"),
    Oddity("tstart twice, alike", of_par(lambda text: text + next(
        line for line in text.splitlines(keepends=True) if line.startswith(b"tstart,"))), kv("tstart", "count(*)"), 2),
    Oddity("tstart twice, different", of_par(lambda text: text + b"tstart,r,h,7e8,,,T\n"),
        reason="more than one tstart"),
    Oddity("no tstop", of_par(replaced(b"tstop,r", b"tstops,r")), reason="it has no interval"),
    Oddity("an obs_id of another observation", of_par(replaced(b'obs_id,s,h,"', b'obs_id,s,h,"1')),
        reason="contradicts its obs_id"),
    Oddity("a row without value", telescop(b"telescop,s,h"), reason="has 3 fields, not 7"),
    Oddity("a comma that no quotes protect", telescop(b"telescop,s,h,X, Y,,,T"), reason="has 8 fields, not 7"),
    Oddity("a quote without end", telescop(b'telescop,s,h,"X,,,T'), reason="is not valid CSV"),
    Oddity("a type that is none", telescop(b'telescop,b,h,yes,,,"T"'), reason="type 'b' is not s, i or r"),
    Oddity("a number that is none", telescop(b'telescop,r,h,INDEF,,,"T"'), reason="'INDEF' is not a real number"),
    Oddity("a name that is not text", telescop(b'tel\xffscop,s,h,"X",,,"T"'),
        reason="its name has bytes that are not UTF-8"),
]  # fmt: skip


def of_fits(kind: str, make: Callable[[dict[str, NDArray[Any]]], object] = lambda columns: None, **header: Any) -> Any:
    """A product of A's first revision written anew by astropy, with its columns changed."""

    def change(archive: Archive) -> None:
        path = archive.one(f"{A1}/*{kind}1*")
        with fits.open(path) as hdus:
            table = hdus[1]
            values = {name: np.array(table.data[name]) for name in table.columns.names}
            extra = make(values)
            columns = [fits.Column(c.name, c.format, dim=c.dim, array=values[c.name]) for c in table.columns]
            new = fits.BinTableHDU.from_columns([*columns, *(extra or [])], header=table.header)
            new.header.update(header)
            out = io.BytesIO()
            fits.HDUList([hdus[0], new]).writeto(out)
        path.write_bytes(gzip.compress(out.getvalue(), mtime=0))

    return change


def column(form: str, values: Callable[[int], Any]) -> Callable[[dict[str, NDArray[Any]]], list[fits.Column]]:
    return lambda columns: [fits.Column("more", form, array=values(len(columns["time"])))]


def lists(count: int) -> NDArray[Any]:
    values = np.empty(count, object)
    values[:] = [np.arange(n % 3, dtype=np.int32) for n in range(count)]
    return values


def without_rows(kind: str) -> Callable[[Archive], object]:
    return rewritten(f"{A1}/*{kind}1*", lambda content: no_rows(content))


def no_rows(content: bytes) -> bytes:
    at = content.rindex(b"NAXIS2  =")
    content = content[:at] + b"NAXIS2  =                    0".ljust(80) + content[at + 80 :]
    end = content.index(b"END".ljust(80), at)
    return content[: -(-(end + 80) // 2880) * 2880]


def rows_of(table: str, count: str = "count(*) > 100") -> str:
    return f"SELECT {count} FROM {table}(0, 6e9) WHERE obsid = {A.obsid} AND revision = 1"


HEADER = f"SELECT header LIKE '%{{}}%' FROM asp_l1_file WHERE obsid = {A.obsid} AND revision = 1 AND content = 'ASPSOL'"
SOLUTIONS, CENTROIDS = rows_of("asp_sol_revisions"), rows_of("aca_cent_revisions")
ASP_L1_ODDITIES = [
    Oddity("a degree sign in a comment, UTF-8", rewritten(f"{A1}/*asol1*", card("CREATOR", "COMMENT 5 °".encode())),
        HEADER.format("COMMENT 5 ??"), True),
    Oddity("a degree sign in a comment, Latin-1", rewritten(f"{A1}/*asol1*", card("CREATOR", b"COMMENT 5 \xb0")),
        HEADER.format("COMMENT 5 ?"), True),
    Oddity("a degree sign in a value", rewritten(f"{A1}/*asol1*", card("CREATOR", b"CREATOR = '\xb0'")),
        HEADER.format("''?''"), True),
    Oddity("a card of no use that cannot be parsed", rewritten(f"{A1}/*asol1*", card("CREATOR", b"CREATOR = 'no end")),
        HEADER.format("''no end"), True),
    Oddity("a column of lists", of_fits("asol", column("PJ()", lists)), SOLUTIONS, True),
    Oddity("a column of complex numbers", of_fits("acen", column("C", lambda n: np.zeros(n, complex))),
        CENTROIDS, True),
    Oddity("a column of bits", of_fits("acen", column("11X", lambda n: np.zeros((n, 11), bool))), CENTROIDS, True),
    Oddity("a column with a scale", of_fits("asol", column("I", np.zeros), TSCAL16=2), SOLUTIONS, True),
    Oddity("centroids without rows", without_rows("acen"), rows_of("aca_cent_revisions", "count(*)"), 0),
    Oddity("solutions without rows", without_rows("asol"), rows_of("asp_sol_revisions", "count(*)"), 0),
    Oddity("an OBS_ID with zeros", of_fits("asol", OBS_ID=f"00{ID['A']} "), SOLUTIONS, True),
    Oddity("a column that is used, with a scale", rewritten(
        f"{A1}/*asol1*", card("CREATOR", b"TSCAL2  =                  2.0")),
        reason="column ra has an unexpected scale"),
    Oddity("a column that is used, there twice", rewritten(f"{A1}/*asol1*", replaced(b"= 'dec     '", b"= 'ra      '")),
        reason="column ra occurs twice"),
    Oddity("a TSTART that cannot be parsed", rewritten(f"{A1}/*asol1*", card("TSTART", b"TSTART  = 12 34")),
        reason="its header is damaged"),
    Oddity("a CONTENT that is not text", rewritten(f"{A1}/*asol1*", card("CONTENT", b"CONTENT = 'ASPSO\xcc'")),
        reason="CONTENT that is not ASCII"),
    Oddity("a REVISION that contradicts the folder", of_fits("asol", REVISION=2), reason="REVISION is 2"),
    Oddity("a time that is none", of_fits("asol", lambda columns: columns["time"].__setitem__(5, np.nan)),
        reason="time nan in row 5"),
]  # fmt: skip


def of_json(change: Callable[[dict[str, Any]], object]) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        properties = json.loads(archive.one(PROPERTIES).read_bytes())
        change(properties)
        archive.one(PROPERTIES).write_text(json.dumps(properties))

    return make


def of_image(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        path = archive.one(IMAGE)
        image = fits.getdata(path)
        path.unlink()
        fits.PrimaryHDU(change(image)).writeto(path)

    return make


def of_dark(column: str) -> str:
    return f"SELECT {column} FROM dark_cal WHERE dark_id = '2019155'"


PIXELS = "SELECT count(*) FROM dark_image('2019155')"
DARK_CAL_ODDITIES = [
    Oddity("a byte of Latin-1", rewritten(PROPERTIES, replaced(b'"dark_2019155', b'"d\xe4rk_2019155')),
        of_dark("filename"), "d\ufffdrk_2019155.fits"),
    Oddity("a byte order mark", rewritten(PROPERTIES, lambda text: b"\xef\xbb\xbf" + text), of_dark("count(*)"), 1),
    Oddity("a date of another day", of_json(lambda p: p.update(date="2019:154:12:00:00")),
        of_dark("utc(time)"), "2019:155:00:00:00.000"),
    Oddity("no date", of_json(lambda p: p.pop("date")), of_dark("utc(time)"), "2019:155:00:00:00.000"),
    Oddity("a temperature in words", of_json(lambda p: p.update(ccd_temp="cold")), of_dark("ccd_temp"), None),
    Oddity("no temperature", of_json(lambda p: p.pop("ccd_temp")), of_dark("ccd_temp"), None),
    Oddity("an image of float64", of_image(lambda image: image.astype(float)), PIXELS, 1024**2),
    Oddity("an image of integers", of_image(lambda image: image.astype(np.int32)), PIXELS, 1024**2),
    Oddity("a gzipped image", rewritten(IMAGE, gzip.compress), PIXELS, 1024**2),
    Oddity("an image of another size", of_image(lambda image: image[1:]), reason="it is 1023x1024, not 1024x1024"),
    Oddity("a value beyond float32", of_image(lambda image: np.full((1024, 1024), 1e39)), reason="beyond float32"),
    Oddity("no JSON", rewritten(PROPERTIES, lambda text: text[:-1]), reason="it is not JSON"),
    Oddity("no object", rewritten(PROPERTIES, lambda text: b"[1, 2]"), reason="it holds list"),
    Oddity("half a character", of_json(lambda p: p.update(x="\ud800")), reason="half a character"),
    Oddity("a folder that is not a day", renamed("2019155", lambda name: "2019366"),
        reason="its folder 2019366 is not a day"),
]  # fmt: skip


def of_readouts(change: Callable[[dict[str, NDArray[Any]]], object], **header: Any) -> Callable[[Archive], object]:
    def make(archive: Archive) -> None:
        path = archive.one(L0)
        with fits.open(path) as hdus:
            first, last = hdus[1].data["TIME"][[0, -1]]
        columns = simulate_aca_l0.readouts(5, 6, simulate_aca_l0.times(first - 0.1, last + 0.1, 6))
        change(columns)
        path.unlink()
        made = simulate_aca_l0.write_file(path.parent, 5, columns, header=header)
        made.replace(path)

    return make


def of_l0(column: str) -> str:
    return f"SELECT {column} FROM slot_data(0, 6e9, 5) WHERE FILENAME = '{Path(L0).name}'"


ACA_L0_ODDITIES = [
    Oddity("a degree sign in a comment", rewritten(L0, card("CREATOR", "COMMENT 5 °".encode())),
        of_l0("count(*) > 50"), True),
    Oddity("a card of no use that cannot be parsed", rewritten(L0, card("CREATOR", b"CREATOR = 'no end")),
        of_l0("count(*) > 50"), True),
    Oddity("columns in another order", of_readouts(lambda columns: columns.update(MJF=columns.pop("MJF"))),
        of_l0("count(*) > 50"), True),
    Oddity("a column too many", of_readouts(lambda columns: columns.update(MORE=columns["MJF"])),
        reason="column MORE is not expected"),
    Oddity("a column of another type", of_readouts(lambda columns: columns.update(MJF=columns["MJF"].astype(float))),
        reason="column MJF has form D"),
    Oddity("a column missing", of_readouts(lambda columns: columns.pop("MJF")), reason="column MJF is missing"),
    Oddity("a column with a scale", rewritten(L0, card("CREATOR", b"TSCAL3  =                  2.0")),
        reason="has an unexpected scale"),
    Oddity("no rows", rewritten(L0, no_rows), reason="it has no rows"),
    Oddity("a time that is none", of_readouts(lambda columns: columns["TIME"].__setitem__(3, np.nan)),
        reason="TIME is nan in row 3"),
]  # fmt: skip

STATS_ODDITIES = [
    Oddity("bytes that are no text", of_hdf5(with_value("type", b"G\xffI")),
        "SELECT type FROM acq_stats WHERE position = 0", "G?I"),
    Oddity("a time that is not known", of_hdf5(with_value("guide_tstart", np.nan)),
        "SELECT isnan(guide_tstart) FROM acq_stats WHERE position = 0", True),
    Oddity("columns in another order", of_hdf5(lambda rows: rows[list(rows.dtype.names[::-1])]),
        "SELECT count(*) FROM acq_stats", 24),
    Oddity("a column too many", of_hdf5(with_column), reason="columns that are not known: more"),
    Oddity("a column missing", of_hdf5(lambda rows: drop_fields(rows, "type", usemask=False)), reason="has no type"),
    Oddity("a column of another type", of_hdf5(lambda rows: rows.astype(
        [(n, "<f4" if n == "guide_tstart" else rows.dtype[n]) for n in rows.dtype.names])),
        reason="its column guide_tstart is <f4"),
    Oddity("a time that is none", of_hdf5(with_value("guide_tstart", 1e300)), reason="which is not a time"),
]  # fmt: skip

ODDITIES = [
    (product, oddity)
    for product, oddities in (
        ("obspar", OBSPAR_ODDITIES), ("asp_l1", ASP_L1_ODDITIES), ("dark_cal", DARK_CAL_ODDITIES),
        ("aca_l0", ACA_L0_ODDITIES), ("acq_stats", STATS_ODDITIES),
    )
    for oddity in oddities
]  # fmt: skip


@pytest.mark.parametrize(("product", "oddity"), ODDITIES, ids=[f"{product}: {o.name}" for product, o in ODDITIES])
@pytest.mark.often(12)
def test_an_oddity_is_taken_or_set_aside_with_its_reason(
    product: str, oddity: Oddity, of: Callable[[str], Archive], tmp_path: Path
) -> None:
    archive = of(product)
    oddity.make(archive)
    report = take(product, archive.ska, tmp_path / "fresh")
    if oddity.reason:
        assert any(oddity.reason in reason for reason in report.set_aside.values()), report.set_aside
    else:
        assert report.set_aside == {}
        assert Lake(tmp_path / "fresh").sql(oddity.query).fetchall() == [(oddity.answer,)]
        # `mica-lake verify --from` reads files by other means.
        verified = Verified()
        with ThreadPoolExecutor(1) as threads:
            compare.compare([archive.ska], tmp_path / "fresh", verified, pool=lambda tasks: threads)
        assert verified.findings == []
