"""
Hostile source files of all kinds, in all products: each is set aside with a reason, and the others go in.

No file may make an ingest wait, fail, or lose what lies beside it.
"""

import gzip
import io
import json
import os
import random
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from astropy.io import fits
from rich.console import Console

from mica_lake.catalog.findings import Verified
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.pointer import current_generation
from mica_lake.ingest import everything, follow
from mica_lake.ingest.aca_l0 import ingest as ingest_aca_l0
from mica_lake.ingest.compare import compare
from mica_lake.ingest.report import Report
from mica_lake.simulate import aca_l0, dark_cal, obspar, stats
from mica_lake.simulate.observations import observations
from mica_lake.tables.stat_columns import row_dtype
from mica_lake.times import cxcsec

# Production does not turn warnings into errors.
pytestmark = pytest.mark.filterwarnings("ignore")

NOON = cxcsec("2015:100:12:00:00")
SECONDS = 20
ARCHIVE = "data/mica/archive"
L0 = f"acaf{int(NOON)}N001"


@pytest.fixture(autouse=True)
def _the_power_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not flushed to the disk, which is slow and of no consequence here."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail whatever takes longer, also if it waits in a system call."""

    def too_long(*_: Any) -> None:
        raise AssertionError(f"it takes longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- a good archive, small --------------------------------------------------------------------------------------------


def fits_table(content: str, **cards: Any) -> bytes:
    """A file of aspect level 1 that is only listed."""
    hdu = fits.BinTableHDU.from_columns([fits.Column("id", "J", array=[1, 2, 3])])
    hdu.header.update({"CONTENT": content, "TSTART": NOON, "TSTOP": NOON + 9.0, "REVISION": 1, **cards})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A $SKA root with a file of each product, or a calibration."""
    ska = tmp_path_factory.mktemp("good")
    (ska / ARCHIVE / "aca0").mkdir(parents=True)
    columns = aca_l0.readouts(3, 4, aca_l0.times(NOON, NOON + 60, 4))
    path = aca_l0.write_file(ska / ARCHIVE / "aca0", 3, columns)
    path.rename(path.with_name(f"{L0}_3_img0.fits.gz"))
    dark_cal.write_calibration(ska, "2015100")
    observed = observations(NOON, NOON + 86400)
    stats.write_archive(ska, observed)
    o = next(o for o in observed if o.detector != "NONE")
    path = obspar.write_obspar(ska, o, o.revisions[0])
    text = gzip.decompress(path.read_bytes()).replace(f"{o.obsid}".encode(), b"10000")
    shutil.rmtree(ska / ARCHIVE / "obspar")
    report = {"obsid": 10000, "revision": 1, "tstart": NOON, "tstop": NOON + 9, "slots": {"3": {"slot": 3}}}
    for name, content in (
        ("obspar/10/10000_v01/axaff10000_000N001_obs0a.par", text),
        (f"asp1/10/10000_v01/pcadf{int(NOON)}N001_gspr1.fits", fits_table("GSPROPS")),
        ("vv/10/10000_v01/vv_report.json", json.dumps(report).encode()),
    ):
        (ska / ARCHIVE / name).parent.mkdir(parents=True)
        (ska / ARCHIVE / name).write_bytes(content)
    rows = np.zeros(3, row_dtype("vv_rms"))
    rows["tstart"] = NOON
    with h5py.File(ska / ARCHIVE / "vv/vv.h5", "w") as file:
        file["vv"] = rows
    return ska


@pytest.fixture
def ska(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "ska"))


@dataclass(frozen=True)
class Place:
    """Where a source file lies that is not the good one of its product."""

    product: str
    path: str  # of the hostile file, relative to the root
    good: str  # of the good one that it would be if it were not hostile
    table: bool = False  # whether it is the only file, in the place of the good one

    def of(self, ska: Path) -> Path:
        path = ska / self.path
        if self.product == "dark_cal":
            shutil.copytree(ska / ARCHIVE / "aca_dark/2015100", path.parent)
            text = (path.parent / "properties.json").read_text()
            (path.parent / "properties.json").write_text(text.replace("2015:100", "2015:101"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return path

    def content(self, ska: Path) -> bytes:
        """What would be good here."""
        content = (ska / self.good).read_bytes()
        if self.product in ("obspar", "vv") and not self.table:
            content = content.replace(b"10000", b"10001")
        return content.replace(b"2015:100", b"2015:101") if self.path.endswith(".json") else content


PLACES = [
    Place("aca_l0", f"{ARCHIVE}/aca0/{L0}_4_img0.fits.gz", f"{ARCHIVE}/aca0/{L0}_3_img0.fits.gz"),
    Place("dark_cal", f"{ARCHIVE}/aca_dark/2015101/image.fits", f"{ARCHIVE}/aca_dark/2015100/image.fits"),
    Place("dark_cal", f"{ARCHIVE}/aca_dark/2015101/properties.json", f"{ARCHIVE}/aca_dark/2015100/properties.json"),
    Place(
        "obspar",
        f"{ARCHIVE}/obspar/10/10001_v01/axaff10001_000N001_obs0a.par",
        f"{ARCHIVE}/obspar/10/10000_v01/axaff10000_000N001_obs0a.par",
    ),
    Place(
        "asp_l1",
        f"{ARCHIVE}/asp1/10/10001_v01/pcadf{int(NOON)}N001_gspr1.fits",
        f"{ARCHIVE}/asp1/10/10000_v01/pcadf{int(NOON)}N001_gspr1.fits",
    ),
    Place("vv", f"{ARCHIVE}/vv/10/10001_v01/vv_report.json", f"{ARCHIVE}/vv/10/10000_v01/vv_report.json"),
    Place("vv", f"{ARCHIVE}/vv/vv.h5", f"{ARCHIVE}/vv/vv.h5", table=True),
    Place("acq_stats", "data/acq_stats/acq_stats.h5", "data/acq_stats/acq_stats.h5", table=True),
    Place("guide_stats", "data/guide_stats/guide_stats.h5", "data/guide_stats/guide_stats.h5", table=True),
]
FITS = [place for place in PLACES if place.path.endswith((".fits", ".fits.gz"))]
TABLES = [place for place in PLACES if place.product in ("aca_l0", "asp_l1")]
JSON = [place for place in PLACES if place.path.endswith(".json")]
HDF5 = [place for place in PLACES if place.table]


# --- what is hostile --------------------------------------------------------------------------------------------------


def fifo(path: Path, _: bytes) -> None:
    os.mkfifo(path)


def a_socket(path: Path, _: bytes) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def link(target: bytes) -> Callable[[Path, bytes], None]:
    return lambda path, _: path.symlink_to(os.fsdecode(target))


def itself(path: Path, _: bytes) -> None:
    path.symlink_to(path.name)


def folder(path: Path, _: bytes) -> None:
    path.mkdir()


def sparse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.truncate(path, 30 << 30)


def written(make: Callable[[bytes], bytes]) -> Callable[[Path, bytes], None]:
    return lambda path, content: path.write_bytes(make(content)) and None


def members(content: bytes) -> bytes:
    return gzip.compress(b"") * 100_000 + content


def bomb(_: bytes) -> bytes:
    return gzip.compress(b"\0" * (300 << 20), 1)


def card(name: str, value: str) -> Callable[[bytes], bytes]:
    """A file whose table has another value in a card."""

    def change(content: bytes) -> bytes:
        data = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        at = data.index(f"{name:<8}=".encode(), 2880)
        return data[:at] + f"{name:<8}= {value:>20}".ljust(80).encode() + data[at + 80 :]

    return change


def cards(content: bytes) -> bytes:
    """A file whose header goes on for 64 MB."""
    data = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    end = data.index(b"END".ljust(80), 2880)
    return data[:end] + b"TTYPE1  = 'X'".ljust(80) * 800_000


def half_a_character(content: bytes) -> bytes:
    report = json.loads(content)
    report["slots" if "slots" in report else "title"] = {"3": {"slot": 3, "id_status": "\ud800"}}
    return json.dumps(report).encode()


def deep(_: bytes) -> bytes:
    return b'{"slots":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def huge_number(content: bytes) -> bytes:
    return re.sub(rb'("revision"|"ccd_temp"): [-.0-9]+', rb"\1: 1" + b"0" * 400, content)


def parameters(_: bytes) -> bytes:
    return b"".join(b'p%d,s,h,"1",,,"what"\n' % n for n in range(100_000))


def stored(change: Callable[[h5py.File, str, Any, Path], None]) -> Callable[[Path, bytes], None]:
    """An HDF5 file whose table is made anew."""

    def make(path: Path, content: bytes) -> None:
        path.write_bytes(content)
        node = "vv" if path.name == "vv.h5" else "data"
        with h5py.File(path, "r+") as file:
            rows = file[node][()]
            del file[node]
            change(file, node, rows, path)

    return make


def external_link(file: h5py.File, node: str, rows: Any, path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other[node] = rows
    file[node] = h5py.ExternalLink(str(path.with_name("other.h5")), f"/{node}")


def soft_link(file: h5py.File, node: str, rows: Any, path: Path) -> None:
    external_link(file, "x", rows, path)
    file[node] = h5py.SoftLink("/x")


def external_storage(file: h5py.File, node: str, rows: Any, path: Path) -> None:
    where = str(path.with_name("rows.bin"))
    file.create_dataset(node, shape=rows.shape, dtype=rows.dtype, external=[(where, 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File, node: str, rows: Any, path: Path) -> None:
    layout = h5py.VirtualLayout(shape=rows.shape, dtype=rows.dtype)
    layout[:] = h5py.VirtualSource(str(path.with_name("nowhere.h5")), node, shape=rows.shape)
    file.create_virtual_dataset(node, layout)


def never_written(file: h5py.File, node: str, rows: Any, path: Path) -> None:
    file.create_dataset(node, shape=rows.shape, dtype=rows.dtype)


def half_written(file: h5py.File, node: str, rows: Any, path: Path) -> None:
    file.create_dataset(node, shape=(len(rows) * 3,), dtype=rows.dtype, chunks=(len(rows),))[: len(rows)] = rows


# What the archive lacks, and is told at each run.
ALWAYS = {"obspar/archfiles.db3", "asp1/archfiles.db3"}
HOSTILE: dict[str, tuple[Callable[[Path, bytes], Any], list[Place], str]] = {
    "a named pipe": (fifo, PLACES, "a named pipe, not a file"),
    "a socket": (a_socket, PLACES, "a socket, not a file"),
    "a link to /dev/zero": (link(b"/dev/zero"), PLACES, "a device, not a file"),
    "a link onto itself": (itself, PLACES, "Too many levels of symbolic links|cannot be looked at"),
    "a link to nowhere": (link(b"nowhere"), PLACES, "No such file|not there"),
    "a link to what is not UTF-8": (link(b"no\xffwhere"), PLACES, r"No such file|no\\xffwhere, which is not"),
    "a folder": (folder, PLACES[1:], "a folder, not a file"),
    "30 GB": (sparse, PLACES, "larger than .* bytes: it has 32,212,254,720"),
    "nothing": (written(lambda _: b""), PLACES, "empty|not JSON|not a whole HDF5 file|no interval"),
    "noise": (
        written(lambda content: random.Random(1).randbytes(9999)), PLACES,
        "not a FITS|not JSON|HDF5|not text|not UTF-8|not valid CSV|has [0-9]+ fields",
    ),
    "a hundred thousand members": (written(members), [*FITS, PLACES[3]], "more than 10000 gzip members"),
    "a bomb": (written(bomb), [*FITS, PLACES[3]], "expands to more than|not a FITS"),
    "NAXIS2 of 20 digits": (written(card("NAXIS2", "9" * 20)), TABLES, "damaged .NAXIS2 is 9999"),
    "NAXIS2 of 10**19": (written(card("NAXIS2", str(10**19))), TABLES, "damaged .NAXIS2 is 1000"),
    "NAXIS1 of 10**19": (written(card("NAXIS1", str(10**19))), TABLES, "damaged .NAXIS1 is 1000"),
    "TFIELDS of 10**9": (written(card("TFIELDS", str(10**9))), PLACES[:1], "damaged"),
    "a million cards": (written(cards), TABLES, "its header has no end"),
    "half a character": (written(half_a_character), JSON, "half a character"),
    "200,000 brackets": (written(deep), JSON, "not JSON"),
    # Of a calibration it is no temperature, and the rest is taken.
    "a number of 400 digits": (written(huge_number), JSON[1:], "OverflowError|revision"),
    "100,000 parameters": (written(parameters), [PLACES[3]], "more than 2000 parameters"),
    "a link in HDF5": (stored(external_link), HDF5, "link to elsewhere .ExternalLink"),
    "a soft link in HDF5": (stored(soft_link), HDF5, "link to elsewhere .SoftLink"),
    "rows in another file": (stored(external_storage), HDF5, "are in another file, .*rows.bin"),
    "virtual rows": (stored(virtual), HDF5, "is virtual"),
    "rows never written": (stored(never_written), HDF5, "were never written"),
    "rows half written": (stored(half_written), HDF5, "of the 3 chunks .* 1 were written"),
}  # fmt: skip
CASES = [(name, place) for name, (_, places, _) in HOSTILE.items() for place in places]


def ingest(product: str, ska: Path, lake: Path) -> Report:
    if product == "aca_l0":
        return ingest_aca_l0(ska, lake, jobs=1)
    return follow.ingest(product, ska, lake, jobs=1)


def aside(lake: Path) -> dict[str, str]:
    rows = read_table(lake, "source_file").to_pylist()
    return {row["filename"]: row["reason"] for row in rows if row["status"] == "set aside"}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: Path(place.path).name)
def test_what_is_not_hostile_goes_in(place: Place, ska: Path, tmp_path: Path) -> None:
    """Else the tests below could not fail."""
    content = place.content(ska)
    place.of(ska).write_bytes(content)
    if place.product == "aca_l0":
        # Of the slot that its name says, and so of another.
        assert "IMGNUM1 says 3" in str(ingest(place.product, ska, tmp_path / "lake").set_aside)
    else:
        assert ingest(place.product, ska, tmp_path / "lake").set_aside.keys() <= ALWAYS


@pytest.mark.parametrize(("name", "place"), CASES, ids=[f"{name}-{Path(p.path).name}" for name, p in CASES])
def test_a_hostile_file_is_set_aside_and_the_good_one_goes_in(
    name: str, place: Place, ska: Path, tmp_path: Path
) -> None:
    make, _, words = HOSTILE[name]
    lake = tmp_path / "lake"
    content = place.content(ska)
    expected = catalog_rows(good_lake(place, ska, tmp_path))
    if place.table:
        ingest(place.product, ska, lake)
    make(place.of(ska), content)
    filename = Path(place.path).name
    for night in range(2):
        before = current_generation(lake)
        with within(SECONDS):
            report = ingest(place.product, ska, lake)
        assert report.exit_code == 3
        (reason,) = [reason for key, reason in report.set_aside.items() if key.split("/")[-1] == filename]
        assert re.search(words, reason), reason
        assert re.search(words, aside(lake)[filename])
        assert catalog_rows(lake) == expected
        assert night == 0 or (report.taken, current_generation(lake)) == ([], before)


def good_lake(place: Place, ska: Path, tmp_path: Path) -> Path:
    ingest(place.product, ska, tmp_path / "expected")
    return tmp_path / "expected"


def catalog_rows(lake: Path) -> list[tuple[str, str, int]]:
    """Partitions, by their content."""
    rows = read_table(lake, "partition").to_pylist()
    return sorted((row["table_name"], row["path"], row["rows"]) for row in rows)


@pytest.mark.parametrize("product", ["aca_l0", "dark_cal", "obspar", "asp_l1", "vv"])
def test_names_that_are_not_utf8_are_known_again_the_next_night(product: str, good: Path, tmp_path: Path) -> None:
    """The whole archive below a folder of such a name, and a file of such a name in it."""
    ska = Path(shutil.copytree(good, tmp_path / os.fsdecode(b"night \xff\n")))
    place = next(p for p in PLACES if p.product == product)
    odd = os.fsdecode(b"pcad axaf acaf \xfe\x1b.fits.par")
    odd_place = (ska / place.good).parent / odd
    if product in ("dark_cal", "vv"):
        odd_place = (ska / place.good).parent.with_name(odd)
        shutil.copytree((ska / place.good).parent, odd_place)
    else:
        odd_place.write_bytes(b"something")
    lake = tmp_path / "lake"
    first, second = ingest(product, ska, lake), ingest(product, ska, lake)
    assert len(first.taken) >= 1
    escaped = r"pcad axaf acaf \xfe\x1b.fits.par"
    assert [name.split("/")[-1] for name in first.set_aside.keys() - ALWAYS] == [escaped]
    assert (second.taken, second.unchanged) == ([], len(first.taken))
    assert second.set_aside == first.set_aside
    rows = read_table(lake, "source_file").to_pylist()
    assert all(r"night \xff\x0a" in row["directory"] for row in rows)
    # Nothing is compared with another file than it was.
    verified = Verified()
    with ThreadPoolExecutor(1) as threads:
        compare(ska, lake, verified, pool=lambda tasks: threads)
    ours = [finding for finding in verified.findings if finding.what != "it is not in the lake"]
    assert (ours, sum(n for n, *_ in verified.files.values()) >= 1) == ([], True)


def test_any_hostile_files_at_once(soak: bool, good: Path, tmp_path: Path, record_property: Any) -> None:
    """Random hostile files in random products, several at a time."""
    seed = random.SystemRandom().getrandbits(32) if soak else 0
    rng = random.Random(seed)
    count = hostile = 0
    while hostile < (400 if soak else 12):
        ska, lake = tmp_path / f"ska{count}", tmp_path / f"lake{count}"
        shutil.copytree(good, ska)
        console = Console(quiet=True)
        with within(10 * SECONDS):
            assert everything.ingest(ska, lake, jobs=1, console=console) == 3  # there is no archfiles.db3
        expected = catalog_rows(lake)
        contents = {place: place.content(ska) for place in PLACES}
        made = []
        for place in rng.sample(PLACES, rng.randint(1, 6)):
            name = rng.choice([name for name, (_, places, _) in HOSTILE.items() if place in places])
            if place.path.endswith("properties.json") and (ska / place.path).parent.exists():
                continue
            if place.path.endswith("image.fits") and (ska / place.path).parent.exists():
                continue
            HOSTILE[name][0](place.of(ska), contents[place])
            made.append((name, place))
        where = f"seed {seed}, {[(name, place.path) for name, place in made]}"
        for _ in range(2):
            with within(10 * SECONDS):
                assert everything.ingest(ska, lake, jobs=1, console=console) == 3, where
            reasons = aside(lake)
            for name, place in made:
                assert re.search(HOSTILE[name][2], reasons[Path(place.path).name]), where
            assert catalog_rows(lake) == expected, where
        verified = Verified()
        with within(10 * SECONDS), ThreadPoolExecutor(1) as threads:
            compare([ska], lake, verified, pool=lambda tasks: threads)
        # Of a table that was good, the lake has the rows; its file is another now.
        assert all(Path(f.where).name in reasons for f in verified.findings), where
        shutil.rmtree(ska)
        shutil.rmtree(lake)
        hostile += len(made)
        count += 1
    record_property("hostile source files, of all products", f"{hostile} in {count} archives")
