"""The messages that docs/operations.md shows are those that come."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeAlias

import pytest
from rich.console import Console

from mica_lake.archive import aca_l0 as aca_l0_archive
from mica_lake.archive.aca_hdr3 import MSID
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.reindex import rebuild
from mica_lake.errors import said_of
from mica_lake.ingest import acq_stats, everything
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.lake import Lake, default_root
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.store.place import store_of

DOCUMENT = Path(__file__).parent.parent / "docs" / "operations.md"
MIDNIGHT = 441763266.184  # 2012:001

Calls: TypeAlias = Iterator[Callable[[], object] | str]


def rows(heading: str) -> list[str]:
    """First cells of the table below a line of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.split(f"\n{heading}\n", 1)[1].split("\n\n")
    found = next(part.strip() for part in table if part.strip().startswith("| message"))
    return [line.split(" | ")[0].removeprefix("| ") for line in found.splitlines()[2:]]


MESSAGES = rows("## When a message appears")
OF_REINDEX = rows("Of `mica-lake reindex`, with exit code 3, a line each:")
OF_QUERIES = rows("Of queries:")


def said(call: Callable[[], object] | str) -> str:
    """What comes of a call that fails; or a message."""
    if isinstance(call, str):
        return call
    try:
        answer = call()
    except Exception as error:  # whatever it is, it is said
        return said_of(error)
    raise AssertionError(f"it went well: {answer}")


def as_shown(shown: str, message: str) -> bool:
    """Whether a message is the one shown, where … stands for anything."""
    return re.search(".+".join(map(re.escape, shown.split("…"))), message, re.DOTALL) is not None


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of two files, which are in ``files`` beside it."""
    (tmp_path / "files").mkdir()
    for slot in (3, 4):
        write_file(tmp_path / "files", slot, readouts(slot, 8, times(MIDNIGHT, MIDNIGHT + 60, 8)))
    ingest([tmp_path / "files"], tmp_path / "lake", jobs=1)
    return tmp_path / "lake"


def held(lake: Path) -> str:
    with store_of(lake).lock(lake / "_catalog" / "lock"):
        return said(lambda: ingest([lake.parent / "files"], lake, jobs=1))


def of_another_host(lake: Path) -> str:
    owner = {"host": f"not-{socket.gethostname()}", "pid": 1, "since": "2015-06-30"}
    (lake / "_catalog" / "lock").write_text(json.dumps(owner))
    return said(lambda: ingest([lake.parent / "files"], lake, jobs=1))


def damaged_catalog(lake: Path) -> str:
    for path in (lake / "_catalog").rglob("source_file.parquet"):
        path.write_bytes(b"PAR1")
    return said(lambda: read_table(lake, "source_file"))


def no_catalog(lake: Path) -> str:
    (lake / "_catalog" / "current").unlink()
    refused = said(lambda: Lake(lake))
    assert said(lambda: ingest([lake.parent / "files"], lake, jobs=1)) == refused
    return refused


def not_empty(lake: Path) -> str:
    return said(lambda: ingest([lake.parent / "files"], lake.parent / "files", jobs=1))


def a_file(lake: Path) -> str:
    (lake.parent / "a").touch()
    return said(lambda: ingest([lake.parent / "files"], lake.parent / "a", jobs=1))


def without_source_files(lake: Path) -> str:
    for path in (lake / "_catalog").rglob("source_file.parquet"):
        path.unlink()
    return said(lambda: Lake(lake).sql("FROM source_file"))


def archfiles(lake: Path) -> str:
    folder = lake.parent / "index"
    folder.mkdir()
    (folder / "archfiles.db3").write_bytes(b"no database" * 100)
    return said(lambda: ingest([folder], lake, jobs=1))


def interrupted(lake: Path) -> str:
    command = [Path(sys.executable).with_name("mica-lake"), "demo", lake.parent / "demo", "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    return said


def ska_messages(lake: Path) -> list[str]:
    top = lake.parent
    return [
        said(lambda: ingest([top / "absent"], lake, jobs=1)),
        said(lambda: everything.ingest([top], lake, console=Console(quiet=True))),
        said(lambda: acq_stats.ingest(top, lake)),
    ]


#: Row of the document -> what makes its messages, in the order in which they are shown.
MADE: dict[str, Callable[[Path], str | list[str]]] = {
    "… is being written by process …": held,
    "… was being written by process … on …, which did not finish": of_another_host,
    "no room left on the disk (…)": lambda lake: said_of(OSError(28, "No space left on device", "/lake/a.parquet")),
    "no permission (…)": lambda lake: said_of(PermissionError(13, "Permission denied", "/lake/a.parquet")),
    "a process of the ingest died (out of memory?)": lambda lake: said_of(BrokenProcessPool()),
    "the catalog is damaged (…)": damaged_catalog,
    "… has no catalog": no_catalog,
    "… is not a mica lake: …' makes one": lambda lake: said(lambda: Lake(lake.parent / "files")),
    "… is not a mica lake: it has neither tables nor a catalog": lambda lake: said(
        lambda: rebuild(lake.parent / "files")
    ),
    "… is not a mica lake and is not empty": not_empty,
    "… is a file, a lake is a directory": a_file,
    "which lake? Set MICA_LAKE …": lambda lake: said(default_root),
    "…: DuckDB would take *, ? and [ for a pattern": lambda lake: said(lambda: Lake(lake.parent / "a*")),
    "…; 'mica-lake reindex --lake …' derives the catalog": without_source_files,
    "…: there is no such file or folder; … is not a $SKA root; … has neither … nor …": ska_messages,
    "archfiles.db3: … it should have a table archfiles": archfiles,
    "interrupted; nothing is lost": interrupted,
}
_OBJECTS = "mica_lake/store/test_objects.py"
#: Rows whose messages are made, and compared, by other tests.
ELSEWHERE = {
    "… is being written by process …, whose last sign of life is … s ago": _OBJECTS,
    "… was taken over by another writer …; another writer has taken this lake over …": _OBJECTS,
    "…: the object store does not do it (…)": _OBJECTS,
    "…: there is no bucket …": _OBJECTS,
    "…: this object store does not know conditional PUT …": _OBJECTS,
    "… is not a place in an object store: …": _OBJECTS,
    "… would be replaced, but the catalog does not list it; … it is not the version that the catalog lists": (
        "mica_lake/catalog/test_repair.py"
    ),
    "… is damaged …: 'mica-lake verify' names what mends it": "mica_lake/catalog/test_repair.py",
    "… .db3 is being written, or cannot be read now (…)": "ingest/test_revision_folders.py",
    "… .db3: it leads to …, which is not there": "ingest/test_revision_folders.py",
    "failed: PRODUCT: (name of an error): …": "ingest/test_everything.py",
    "…: its format is …, this mica-lake writes …": "mica_lake/catalog/test_partition.py",
    "… which h5py reads: pip install 'mica-lake[stats]'": "mica_lake/test_plain_install.py",
    "… was changed while ingest was running; … Nothing was changed; run ingest again": "ingest/test_aca_l0.py",
    "… rows read, … placed; nothing was changed": "ingest/test_aca_l0.py",
    "no Dask scheduler answers at …; … has no workers; … workers cannot take part": "ingest/test_cluster.py",
}


def test_each_message_of_the_document_is_made() -> None:
    assert sorted(MESSAGES) == sorted([*MADE, *ELSEWHERE])
    for name in ELSEWHERE.values():
        assert (Path(__file__).parent / name).exists()


@pytest.mark.parametrize("shown", MADE)
def test_a_message_is_the_one_that_the_document_shows(shown: str, lake: Path) -> None:
    made = MADE[shown](lake)
    if isinstance(made, str):
        assert as_shown(shown, made), made
        return
    for part, message in zip(shown.split("; "), made, strict=True):
        assert as_shown(part, message), message


def test_reindex_says_what_the_document_shows(lake: Path) -> None:
    def emptied(slot: int, version: bool) -> None:
        for path in lake.glob(f"aca_l0/*/*/slot={slot}/data.parquet"):
            path.unlink()
        for path in lake.glob(f"_catalog/pinned/aca_l0/*/*_{slot}_*.parquet") if version else ():
            path.unlink()

    def reindexed() -> str:
        return "\n".join(rebuild(lake))

    emptied(3, version=False)
    back, is_damaged, a_part, none = OF_REINDEX
    assert as_shown(back, reindexed())
    assert reindexed() == ""
    # A file of two days, whose second is lost.
    (lake.parent / "more").mkdir()
    two_days = write_file(lake.parent / "more", 5, readouts(5, 8, times(MIDNIGHT + 86340, MIDNIGHT + 86460, 8)))
    ingest([two_days], lake, jobs=1)
    shutil.rmtree(lake / "aca_l0" / "year=2012" / "doy=2")
    for path in lake.glob("_catalog/pinned/aca_l0/2012/2012002_5_*"):
        path.unlink()
    emptied(4, version=True)
    trouble = reindexed()
    assert as_shown(two_days.name + a_part.removeprefix("…"), trouble), trouble
    assert as_shown(none, trouble), trouble
    for path in (*lake.glob("aca_l0/*/*/slot=3/data.parquet"), *lake.glob("_catalog/pinned/aca_l0/*/*_3_*.parquet")):
        path.unlink()
        path.write_bytes(b"PAR1")
    trouble = reindexed()
    assert as_shown(is_damaged, trouble), trouble


def test_queries_say_what_the_document_shows(lake: Path) -> None:
    opened = Lake(lake)
    wrong, of_products, gone = OF_QUERIES
    made = [
        said(lambda: opened.sql("FROM slot_data('tomorrow', '2024:001', 3)").fetchall()),
        said(lambda: opened.scan("aca_l0", "2024:002", "2024:001")),
        said(lambda: aca_l0_archive.get_slot_data(0, 1, 9, data_root=lake)),
        said(lambda: aca_l0_archive.get_slot_data(0, 1, 3, columns=["NONE"], data_root=lake)),
        said(lambda: opened.scan("nothing")),
        said(lambda: MSID("nothing", 0, 1, data_root=lake)),
    ]
    for shown, message in zip(wrong.split("; "), made, strict=True):
        assert as_shown(shown, message), message
    first, _ = of_products.split("; ")  # of an interval without misalignment: tests/sql/test_asp_l1.py
    assert as_shown(first, said(lambda: aca_l0_archive.get_files(obsid=8008, data_root=lake)))
    # What a query holds that takes longer than what was replaced is kept: names of files that are collected meanwhile.
    answer, frame = opened.sql("SELECT * FROM slot_data(0, 1e9, 3)"), opened.scan("aca_l0", 0, 1e9, slot=3)
    for path in (lake / "_catalog" / "pinned").rglob("*.parquet"):
        os.unlink(path)  # noqa: PTH108
    for shown, message in zip(gone.split("; "), (said(answer.fetchall), said(frame.collect)), strict=True):
        assert as_shown(shown, message), message


@pytest.mark.parametrize("query", ["SELEC 1", "FROM nothing", "FROM slot_data('tomorrow', '2024:001', 3)"])
def test_of_a_wrong_query_a_notebook_shows_one_error(query: str, lake: Path) -> None:
    for ask in (lambda: Lake(lake).sql(query), lambda: Lake(lake).arrow(query)):
        with pytest.raises(ValueError, match=r"\S") as raised:
            ask()
        shown = "".join(traceback.format_exception(raised.value))
        assert shown.count("Traceback") == 1
        assert "duckdb." not in shown
