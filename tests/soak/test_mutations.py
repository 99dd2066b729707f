"""
Readers of source files under mutations of good files: a reason or the right rows, never anything else.

The rows of a file that is taken must be those that astropy reads from the very same bytes or, where astropy cannot read
them, those of the file before it was changed: then the change was of bytes that do not matter.
"""

import csv
import gzip
import io
import json
import os
import random
import re
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake import Lake
from mica_lake.catalog.generation import read_table
from mica_lake.formats import dark_cal as dark_cal_files
from mica_lake.formats.fits_table import BadFile
from mica_lake.ingest import aca_l0, asp_l1, dark_cal, obspar, revision_folders, stat_table
from mica_lake.ingest.report import Report
from mica_lake.simulate import aca_l0 as simulate_aca_l0
from mica_lake.simulate import dark_cal as simulate_dark_cal
from mica_lake.simulate import obspar as simulate_obspar
from mica_lake.simulate.observations import observations
from mica_lake.simulate.stats import write_archive as write_stats
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.asp_l1 import ACA_CENT, ASP_SOL
from mica_lake.tables.table import Table
from mica_lake.times import cxcsec

# Production does not turn warnings into errors.
pytestmark = pytest.mark.filterwarnings("ignore")

NOON = cxcsec("2015:100:12:00:00")
OBSID = 10000
VALUES = [
    "0", "1", "2", "3", "-1", "T", "F", "", "1.5", "1E300", "-1E300", "1E400", "NAN", "INF", "99999999999999999999",
    "2147483648", "9223372036854775808", "18446744073709551616", "'", "''", "'abc'", "'5'", "(1, 2)", "0x10", "1 2",
    "1D0", "'ACAIMG", "/", "'1J'", "'1K'", "'1D'", "'1E'", "'1I'", "'1B'", "'1L'", "'0E'", "'16E'", "'64E'",
    "'99999999999E'", "'999999999A'", "'PJ(3)'", "'(4,4)'", "'(8,8)'", "'(1,16)'", "'(-4,-4)'", "'()'", "'TIME'",
    "'IMGRAW'", "'X'",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _the_power_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not flushed to the disk, which is slow and of no consequence here."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture(autouse=True)
def _memory_is_bounded() -> Iterator[None]:
    """A reader that makes room for whatever a file announces fails here, not the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # What the tests before have mapped counts, too.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + (8 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Mutations:
    """Changed files, the same for the same seed; how many there were, and how many were taken."""

    def __init__(self, soak: bool, short: int, long: int) -> None:
        self.seed = random.SystemRandom().getrandbits(32) if soak else 0
        self.count = long if soak else short
        self.taken = self.refused = self.not_compared = 0
        self._rng = random.Random(self.seed)

    def of(self, content: bytes, *, zipped: bool = True) -> bytes:
        """A file with one to four changes, half of them gzipped and some changed once more."""
        rng = self._rng
        data = bytearray(unzipped(content))
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            rng.choice([self._card, self._card, self._bits, self._byte, self._part])(data)
        if zipped and rng.random() < 0.5:
            data = bytearray(gzip.compress(data, 1, mtime=0))
            if rng.random() < 0.2:
                self._bits(data)
        return bytes(data)

    def _card(self, data: bytearray) -> None:
        """Another value in a card of a FITS header, or a card there twice, or not."""
        cards = [at for at in range(0, len(data) - 79, 80) if re.match(rb"[A-Z][A-Z0-9_-]* *= ", data[at : at + 10])]
        if not cards:
            self._byte(data)
            return
        at, other = self._rng.choice(cards), self._rng.choice(cards)
        match self._rng.randrange(5):
            case 0:
                data[at : at + 80] = data[other : other + 80]
            case 1:
                data[at : at + 80] = b" " * 80
            case _:
                value = self._rng.choice(VALUES)
                data[at : at + 80] = data[at : at + 10] + f"{value:>20}".ljust(70).encode()

    def _bits(self, data: bytearray) -> None:
        for _ in range(self._rng.choice([1, 1, 3])):
            if data:
                data[self._place(data)] ^= 1 << self._rng.randrange(8)

    def _byte(self, data: bytearray) -> None:
        if data:
            data[self._place(data)] = self._rng.choice(b"\0\xff0189-+.,:'\"/ \n\\{}[]ANETrue")

    def _part(self, data: bytearray) -> None:
        """A part that goes, is blank, is there twice, or is the end."""
        start = self._place(data)
        stop = start + self._rng.choice([1, 2, 8, 80, 81, 2880, 5000])
        match self._rng.randrange(5):
            case 0:
                del data[start:stop]
            case 1:
                data[start:stop] = b"\0" * len(data[start:stop])
            case 2:
                data[start:start] = data[start:stop]
            case 3:
                data[start:start] = self._rng.randbytes(stop - start)
            case _:
                del data[start:]

    def _place(self, data: bytearray) -> int:
        """Mostly near the start, where the headers are."""
        return self._rng.randrange(max(1, len(data) if self._rng.random() < 0.4 else min(len(data), 9000)))

    def note(self, record_property: Callable[[str, object], None], name: str) -> None:
        told = f"{self.count} ({self.taken} taken, {self.refused} refused)"
        if self.not_compared:
            told += f", {self.not_compared} of those taken have nothing to compare with"
        record_property(f"mutations, {name}", told)


def unzipped(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def rows_at(content: bytes) -> int:
    """Where the rows of the first table begin: after two headers."""
    at = 0
    for _ in range(2):
        start = at
        while content[at : at + 80] != b"END".ljust(80):
            at += 80
        at = start + -(-(at + 80 - start) // 2880) * 2880
    return at


def columns_by_astropy(content: bytes, good: bytes) -> dict[str, NDArray[Any]] | None:
    """Columns of the first table as astropy reads them; if it cannot, those that the header of before says, if any."""
    content, good = unzipped(content), unzipped(good)
    for readable in (content, good[: rows_at(good)] + content[rows_at(content) :]):
        try:
            if fits.Header.fromfile(io.BytesIO(readable)).get("NAXIS") != 0:
                continue  # astropy would make room for any number of axes
            with fits.open(io.BytesIO(readable), memmap=False) as hdus:
                return {name: np.array(hdus[1].data[name]) for name in hdus[1].data.names}
        except Exception:
            continue
    return None


def plain(value: NDArray[Any]) -> bytes:
    """The bytes of an array: whole numbers as int64, texts without what is blank at their ends, all little-endian."""
    if value.dtype.kind in "iu":  # IMGSCALE and BGDAVG are uint16 in a file and int32 in the lake
        value = value.astype(np.int64)
    if value.dtype.kind in "SUO":
        return repr([str(v).rstrip(" \0") for v in value]).encode()
    return np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()


def reasons(report: Report, lake: Path, product: str) -> dict[str, str]:
    """Why files were set aside; each has a reason, and the catalog has the same."""
    assert all(reason.strip() for reason in report.set_aside.values())
    rows = read_table(lake, "source_file").to_pylist()
    assert {row["reason"] for row in rows if row["product"] == product and row["status"] == "set aside"} <= {
        *report.set_aside.values(), *("; ".join(report.set_aside.values()).split("; "))
    }  # fmt: skip
    return report.set_aside


# --- ACA L0 -----------------------------------------------------------------------------------------------------------


def good_aca_l0(folder: Path) -> dict[str, bytes]:
    """Files of all slots and sizes, hours apart."""
    folder.mkdir()
    for slot in range(8):
        for number in range(8):
            size = (4, 6, 8)[(slot + number) % 3]
            times = simulate_aca_l0.times(NOON + 7200 * number, NOON + 7200 * number + 40, size)
            columns = simulate_aca_l0.readouts(slot, size, times, newer=number % 2 == 1)
            simulate_aca_l0.write_file(folder, slot, columns)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_aca_l0(soak: bool, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    good = good_aca_l0(tmp_path / "good")
    mutations = Mutations(soak, 126, 4032)
    for number in range(mutations.count // 63):
        folder, lake = tmp_path / f"files{number}", tmp_path / f"lake{number}"
        folder.mkdir()
        changed = {name: mutations.of(content) for name, content in good.items()}
        untouched = random.Random(number).choice(list(good))
        changed[untouched] = good[untouched]
        for name, content in changed.items():
            (folder / name).write_bytes(content)
        report = aca_l0.ingest([folder], lake, jobs=1)
        aside = reasons(report, lake, "aca_l0")
        assert sorted([*report.taken, *aside]) == sorted(good), f"seed {mutations.seed}, number {number}"
        assert untouched in report.taken
        rows = Lake(lake).scan("aca_l0").collect()
        for name in report.taken:
            expected = columns_by_astropy(changed[name], good[name])
            if expected is None:
                mutations.not_compared += 1
                continue
            found = rows.filter(pl.col("FILENAME") == name)
            assert len(found) == len(expected["TIME"]), f"seed {mutations.seed}, number {number}: {name}"
            for column, values in expected.items():
                kept = found[column].explode() if values.ndim > 1 else found[column]
                assert plain(kept.to_numpy()) == plain(values.reshape(-1)), (
                    f"seed {mutations.seed}, number {number}: {name}, {column}"
                )
        mutations.taken += len(report.taken) - 1
        mutations.refused += len(aside)
    mutations.note(record_property, "ACA L0")


# --- aspect level 1 ---------------------------------------------------------------------------------------------------

KINDS = {"ASPSOL": "asol", "ASPQUAL": "aqual", "ACACENT": "acen", "ACACAL": "acal", "GSPROPS": "gspr"}
FLOATS = "cent_i cent_j ang_y ang_z ang_y_sm ang_z_sm counts"


def good_asp_l1(content: str, obsid: int) -> bytes:
    """A file of a few rows."""
    rng = np.random.default_rng(obsid)
    n = 12
    time = NOON + np.arange(n)
    floats = {
        "ASPSOL": "ra dec roll dy dz dtheta", "ASPQUAL": "", "ACACENT": FLOATS, "ACACAL": "", "GSPROPS": "mag_aca"
    }[content]  # fmt: skip
    columns = [] if content == "ACACAL" else [fits.Column("time", "D", array=time)]
    columns += [fits.Column(name, "D", array=rng.standard_normal(n)) for name in floats.split()]
    match content:
        case "ASPSOL":
            columns.append(fits.Column("q_att", "4D", array=rng.standard_normal((n, 4))))
        case "ASPQUAL":
            columns.append(fits.Column("asp_sol_status", "J", array=np.arange(n) % 2))
        case "ACACENT":
            columns.append(fits.Column("slot", "J", array=np.arange(n) // 4))
            columns += [fits.Column(name, "J", array=np.ones(n)) for name in ("alg", "status")]
        case "ACACAL":
            matrix = rng.standard_normal((1, 3, 3))
            columns = [fits.Column(name, "9D", dim="(3,3)", array=matrix) for name in ("aca_misalign", "fts_misalign")]
        case "GSPROPS":
            columns.append(fits.Column("id_status", "4A", array=["GOOD"] * n))
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header.update({"CONTENT": content, "TSTART": NOON, "TSTOP": NOON + n, "REVISION": 1, "OBS_ID": str(obsid)})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return gzip.compress(out.getvalue(), 1, mtime=0)


def rows_of_fits(columns: dict[str, NDArray[Any]], table: Table) -> list[tuple[Any, ...]]:
    """Rows as the table should have them, of the columns that come from the file."""
    named = {name.lower(): values for name, values in columns.items()}
    wanted = [c.name for c in table.columns if c.name in named]
    made = [[tuple(v) if isinstance(v, list) else v for v in named[name].tolist()] for name in wanted]
    return sorted(zip(*made, strict=True), key=repr)


def test_asp_l1(soak: bool, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    good = {}
    for number in range(60):
        content = list(KINDS)[number % len(KINDS)]
        obsid = OBSID + number
        name = f"10/{obsid}_v01/pcadf{int(NOON)}N001_{KINDS[content]}1.fits.gz"
        good[name] = good_asp_l1(content, obsid)
    mutations = Mutations(soak, 120, 2520)
    tables = {"ASPSOL": ASP_SOL, "ACACENT": ACA_CENT}
    for number in range(mutations.count // 60):
        top, lake = tmp_path / f"top{number}", tmp_path / f"lake{number}"
        changed = {name: mutations.of(content) for name, content in good.items()}
        for name, data in changed.items():
            (top / name).parent.mkdir(parents=True)
            (top / name).write_bytes(data)
        aside = reasons(asp_l1.ingest(top, lake, jobs=1), lake, "asp_l1_file")
        opened = Lake(lake)
        listed = {row["obsid"]: row for row in opened.sql("FROM asp_l1_file").to_arrow_table().to_pylist()}
        rows = {name: opened.scan(table.name).collect() for name, table in tables.items()}
        for name in good:
            where = f"seed {mutations.seed}, number {number}: {name}"
            obsid = int(name[3:8])
            assert (obsid in listed) != (name[3:] in aside), where
            if obsid not in listed:
                mutations.refused += 1
                continue
            mutations.taken += 1
            kind = listed[obsid]["content"]
            expected = columns_by_astropy(changed[name], good[name]) if kind in {*tables, "ACACAL"} else {}
            if expected is None:
                mutations.not_compared += 1
                continue
            if kind in tables:
                table = tables[kind]
                of_file = [c.name for c in table.columns if c.name in {n.lower() for n in expected}]
                found = rows[kind].filter(pl.col("obsid") == obsid).select(of_file).rows()
                found = [tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in found]
                assert repr(sorted(found, key=repr)) == repr(rows_of_fits(expected, table)), where
            if kind == "ACACAL":
                matrix = next(v for n, v in expected.items() if n.lower() == "aca_misalign")
                assert listed[obsid]["aca_misalign"] == matrix.ravel().tolist(), where
    mutations.note(record_property, "aspect L1")


# --- dark current -----------------------------------------------------------------------------------------------------


def test_dark_current_images(soak: bool, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    good = (simulate_dark_cal.write_calibration(tmp_path, "2015100") / "image.fits").read_bytes()
    mutations = Mutations(soak, 20, 400)
    for number in range(mutations.count):
        changed = mutations.of(good)
        try:
            image = dark_cal_files.read_image(changed)
        except BadFile as error:
            assert str(error)
            mutations.refused += 1
            continue
        mutations.taken += 1
        with fits.open(io.BytesIO(unzipped(changed)), memmap=False) as hdus:
            assert image.tobytes() == hdus[0].data.astype(np.float32).tobytes(), f"{mutations.seed}, {number}"
    mutations.note(record_property, "dark current images")


def test_properties_of_dark_current(soak: bool, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    good = simulate_dark_cal.write_calibration(tmp_path, "2015100") / "properties.json"
    text = good.read_bytes()
    mutations = Mutations(soak, 60, 1000)
    for number in range(mutations.count):
        changed = mutations.of(text, zipped=False)
        try:
            properties = dark_cal_files.read_properties(changed, "2015100")
        except BadFile as error:
            assert str(error)
            mutations.refused += 1
            continue
        mutations.taken += 1
        expected = json.loads(changed.decode("utf-8-sig", "replace"))
        assert repr(properties) == repr(expected), f"seed {mutations.seed}, number {number}"
        if number % 50 == 0:
            lake = tmp_path / f"lake{number}"
            good.write_bytes(changed)
            assert len(dark_cal.ingest(tmp_path, lake, jobs=1).taken) == 2
            (row,) = Lake(lake).sql("SELECT properties FROM dark_cal").fetchall()
            assert repr(json.loads(row[0])) == repr(properties), f"seed {mutations.seed}, number {number}"
    mutations.note(record_property, "dark current properties")


# --- observation parameters -------------------------------------------------------------------------------------------


def test_obspars(soak: bool, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    observed = observations(NOON, NOON + 86400)[0]
    source = simulate_obspar.write_obspar(tmp_path, observed, observed.revisions[0])
    text = unzipped(source.read_bytes())
    mutations = Mutations(soak, 80, 1500)
    per_lake = 20
    for number in range(mutations.count // per_lake):
        top, lake = tmp_path / f"top{number}", tmp_path / f"lake{number}"
        changed = {}
        for obsid in range(OBSID, OBSID + per_lake):
            path = top / f"10/{obsid}_v01/axaff{obsid}_000N001_obs0a.par.gz"
            path.parent.mkdir(parents=True)
            path.write_bytes(mutations.of(text.replace(f"{observed.obsid}".encode(), f"{obsid}".encode())))
            changed[obsid] = path
        report = obspar.ingest(top, lake, jobs=1)
        aside = reasons(report, lake, "obspar")
        opened = Lake(lake)
        there = {row[0] for row in opened.sql("SELECT obsid FROM obspar").fetchall()}
        for obsid, path in changed.items():
            where = f"seed {mutations.seed}, number {number}: {obsid}"
            assert (obsid in there) != (f"{path.parent.name}/{path.name}" in aside), where
            if obsid not in there:
                mutations.refused += 1
                continue
            mutations.taken += 1
            kept = opened.sql("SELECT name, type, coalesce(value, '') FROM obspar_kv WHERE obsid = $o", {"o": obsid})
            decoded = unzipped(path.read_bytes()).decode("utf-8-sig", "replace")
            try:
                lines = list(csv.reader(io.StringIO(decoded, newline=""), strict=True))
            except csv.Error:  # quotes within quotes, see tests/ingest/test_archives_as_life_leaves_them.py
                mutations.not_compared += 1
                continue
            expected = [(r[0].replace("-", "_"), r[1], r[3]) for r in lines if r and not r[0].startswith("#")]
            assert kept.fetchall() == expected, where
    mutations.note(record_property, "observation parameters")


# --- statistics -------------------------------------------------------------------------------------------------------


def test_statistics(soak: bool, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    (path, *_) = write_stats(tmp_path, observations(NOON, NOON + 86400))
    good = path.read_bytes()
    mutations = Mutations(soak, 40, 500)
    for number in range(mutations.count):
        changed = mutations.of(good, zipped=False)
        try:
            rows = stat_table.read(changed, ACQ_STATS)
        except BadFile as error:
            assert str(error)
            mutations.refused += 1
            continue
        mutations.taken += 1
        path.write_bytes(changed)
        try:
            with h5py.File(path, "r") as file:
                stored = file["data"][()]
        except OSError:  # from memory HDF5 does not mind a wrong size in its header
            mutations.not_compared += 1
            continue
        for name in rows.dtype.names or ():
            assert plain(rows[name]) == plain(stored[name]), f"seed {mutations.seed}, number {number}, {name}"
    mutations.note(record_property, "statistics")


# --- databases and folders --------------------------------------------------------------------------------------------


def test_databases_of_revisions(soak: bool, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    for obsid in range(OBSID, OBSID + 5):
        for revision in (1, 2):
            (tmp_path / f"10/{obsid}_v0{revision}").mkdir(parents=True)
    path = tmp_path / revision_folders.DATABASE
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE archfiles (filename text, obsid int, revision int, isdefault int)")
        rows = [(f"f{obsid}", obsid, 2, 1) for obsid in range(OBSID, OBSID + 5)]
        database.executemany("INSERT INTO archfiles VALUES (?, ?, ?, ?)", rows)
    good = path.read_bytes()
    mutations = Mutations(soak, 60, 1000)
    for _ in range(mutations.count):
        path.write_bytes(mutations.of(good, zipped=False))
        revisions, rejected = revision_folders.discover(tmp_path)
        assert len(revisions) == 10
        assert all(r.reason for r in rejected)
        as_it_was = [r.obsid for r in revisions if r.isdefault and r.revision == 2] == list(range(OBSID, OBSID + 5))
        mutations.taken += as_it_was
        mutations.refused += not as_it_was
    mutations.note(record_property, "databases of revisions")
