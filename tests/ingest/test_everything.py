"""All products of an archive: what stops one does not stop the next, and one path is one source."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mica_lake.catalog.findings import Verified
from mica_lake.catalog.generation import read_table
from mica_lake.ingest import aca_l0, dark_cal, everything, obspar
from mica_lake.ingest.compare import compare

ARCHIVE = "data/mica/archive"


def told(ska: Any, lake: Path, **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    console = Console(file=out, width=200)
    return everything.ingest(ska, lake, jobs=1, console=console, **options), out.getvalue()


@pytest.mark.parametrize(
    "error", [RuntimeError("symlink loop"), KeyError("x"), MemoryError("no room"), OSError("busy")]
)
@pytest.mark.often(1)
def test_whatever_stops_a_product_is_told_and_the_others_go_in(
    error: Exception, demo_ska: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(obspar, "discover", stops)
    code, text = told(demo_ska, tmp_path / "lake")
    assert code == 1
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    assert f"failed: obspar: {kind}{error}" in text
    tables = {row["table_name"] for row in read_table(tmp_path / "lake", "partition").to_pylist()}
    assert {"dark_cal", "asp_l1_file", "acq_stats", "guide_stats", "vv_report"} <= tables
    assert "obspar" not in tables


def test_a_product_whose_disk_is_away_is_no_product_that_is_not_there(demo_ska: Path, tmp_path: Path) -> None:
    ska = tmp_path / "ska"
    (ska / ARCHIVE).mkdir(parents=True)
    (ska / ARCHIVE / "aca_dark").symlink_to(demo_ska / ARCHIVE / "aca_dark")
    (ska / ARCHIVE / "obspar").symlink_to("/nowhere")
    code, text = told(ska, tmp_path / "lake")
    assert (code, "not there" in text) == (1, True)
    assert "failed: obspar: " in text
    assert "there is no such folder" in text
    assert len(read_table(tmp_path / "lake", "source_file")) == 4


def test_one_path_is_one_source(demo_files: Path, demo_ska: Path, tmp_path: Path) -> None:
    assert told(str(demo_ska), tmp_path / "all")[0] in (0, 3)
    lake = tmp_path / "lake"
    for source in (str(demo_files), demo_files):
        report = aca_l0.ingest(source, lake, jobs=1)
    assert report.unchanged == len(list(demo_files.iterdir()))
    for source in (str(demo_files), demo_files):
        verified = Verified()
        with ThreadPoolExecutor(1) as threads:
            compare(source, lake, verified, pool=lambda tasks: threads)
        assert verified.findings == []
        assert verified.files["aca_l0"] == [report.unchanged, 0, 0]


def test_reread_reads_what_was_set_aside_and_is_the_same(demo_ska: Path, tmp_path: Path) -> None:
    """As after a mistake of ours was mended."""
    top = tmp_path / "aca_dark"
    top.mkdir()
    (top / "2022069").symlink_to(demo_ska / ARCHIVE / "aca_dark/2022069")
    lake = tmp_path / "lake"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mica_lake.formats.dark_cal.SIDE", 7)
        assert len(dark_cal.ingest(top, lake, jobs=1).set_aside) == 2
    assert len(dark_cal.ingest(top, lake, jobs=1).set_aside) == 2
    assert len(dark_cal.ingest(top, lake, jobs=1, reread=True).taken) == 2
    report = dark_cal.ingest(top, lake, jobs=1, reread=True)
    assert (report.taken, report.unchanged) == ([], 2)
