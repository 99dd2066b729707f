"""The lake against its source files: any value that differs is found, and the commands named mend it."""

import gzip
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mica_lake.catalog.commit import commit
from mica_lake.catalog.findings import Verified
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.key import key_of, path_of
from mica_lake.catalog.partition import read_derived_from, read_sources
from mica_lake.catalog.version import pin
from mica_lake.cli import app
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.ingest.compare import compare
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec


@pytest.fixture(scope="session")
def threads() -> Iterator[Callable[[int], Executor]]:
    with ThreadPoolExecutor(2) as pool:
        yield lambda tasks: pool


@pytest.fixture
def against(threads: Callable[[int], Executor]) -> Callable[..., Verified]:
    def of(lake: Path, *sources: Path, sample: float = 1.0) -> Verified:
        verified = Verified()
        compare(sources, lake, verified, sample=sample, pool=threads)
        return verified

    return of


@pytest.fixture
def lake(demo_lake: str, tmp_path: Path) -> Path:
    """A lake with all tables, to be changed."""
    subprocess.run(["cp", "-a", demo_lake, tmp_path / "lake"], check=True)
    return tmp_path / "lake"


def content(lake: Path) -> dict[str, bytes]:
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.glob("*/**/data.parquet")}


def rewrite(lake: Path, table: str, change: Callable[[pa.Table], pa.Table], **of_sources: int) -> None:
    """Make the last partition of a table as a mistake of ours would have made it: it is at one with itself."""
    rows = [r for r in read_table(lake, "partition").to_pylist() if r["table_name"] == table]
    # Of slots the last that is read out in 6x6.
    rows = [r for r in rows if r["slot"] in (None, 5)] or rows
    path = path_of(rows[-1])
    key = key_of(TABLES[table], path)
    sources, footer = read_sources(lake / path, TABLES[table])
    changed = change(pq.read_table(lake / path, partitioning=None))
    sources = [replace(s, **{name: getattr(s, name) + more for name, more in of_sources.items()}) for s in sources]
    row = pin(lake, TABLES[table], key, changed, sources, read_derived_from(footer))
    commit(lake, {(table, key): row}, read_table(lake, "source_file"))


def with_last(name: str, change: Callable[[Any], Any]) -> Callable[[pa.Table], pa.Table]:
    """Change the value of a column in the last row."""

    def changed(rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index(name)
        column = rows.column(name)
        last = pa.array([change(column[-1].as_py())], column.type)
        joined = pa.chunked_array([*column.slice(0, len(rows) - 1).chunks, last], column.type)
        return rows.set_column(index, rows.schema.field(index), joined)

    return changed


def mend(verified: Verified) -> None:
    for commands in dict.fromkeys(finding.mend for finding in verified.findings):
        for command in commands.split("; "):
            name, *arguments = shlex.split(command)
            if name == "rm":
                assert arguments.pop(0) == "-f"
                for path in arguments:
                    Path(path).unlink(missing_ok=True)
            else:
                assert CliRunner().invoke(app, arguments).exit_code in (0, 3)


def nearly(value: float) -> float:
    return value * (1 + 1e-6)


DIFFERENCES: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("aca_l0", "TEMPCCD", nearly),
    ("aca_l0", "IMGRAW", lambda pixels: [*pixels[:-1], pixels[-1] + 1]),
    ("aca_l0", "PIXTLM", lambda text: "DIFF"),
    ("aca_l0", "BGDAVG", lambda value: value ^ 1),
    ("aca_l0", "HD3TLM62", lambda value: 0),  # a 6x6 file has none
    ("aca_l0", "IMGSCALE", lambda value: None),
    ("dark_cal", "ccd_temp", nearly),
    ("dark_cal", "properties", lambda text: text.replace(",", ", ", 1)),
    ("dark_cal_image", "value", nearly),
    ("obspar", "detector", lambda text: "ACIS-X"),
    ("obspar", "sim_z", nearly),
    ("obspar", "isdefault", lambda value: not value),
    ("obspar_kv", "value", lambda value: "other"),
    ("obspar_kv", "description", lambda value: "other"),
    ("asp_l1_file", "rows", lambda value: value - 1),
    ("asp_sol", "roll", nearly),
    ("asp_sol", "q_att", lambda q: [*q[:3], -q[3]]),
    ("asp_sol", "asp_sol_status", lambda status: 7),
    ("aca_cent", "ang_y_sm", nearly),
    ("aca_cent", "status", lambda status: status + 1),
    ("acq_stats", "zang", nearly),
    ("guide_stats", "agasc_id", lambda value: value + 1),
    ("vv_rms", "dy_rms", nearly),
    ("vv_rms", "isdefault", lambda value: 1 - value),
    ("vv_report", "report", lambda text: text + " "),
    (
        "vv_report",
        "slots",
        lambda slots: [*slots[:-1], slots[-1] | {"slots": 0, "dy_rms": nearly(slots[-1]["dy_rms"])}],
    ),
]


@pytest.mark.parametrize(("table", "column", "change"), DIFFERENCES, ids=[f"{t}.{c}" for t, c, _ in DIFFERENCES])
@pytest.mark.often(2)
def test_a_value_that_is_not_that_of_the_file_is_found_and_mended(
    table: str, column: str, change: Callable[[Any], Any], lake: Path, demo_files: Path, demo_ska: Path,
    against: Callable[..., Verified],
) -> None:  # fmt: skip
    source = demo_files if table == "aca_l0" else demo_ska
    before = content(lake)
    rewrite(lake, table, with_last(column, change))
    assert content(lake) != before
    verified = against(lake, source)
    assert len(verified.findings) == 1
    assert column.removesuffix("s") in verified.findings[0].what
    assert Path(verified.findings[0].where).is_relative_to(source)
    mend(verified)
    assert against(lake, source).findings == []
    assert content(lake) == before


def test_processings_that_differ_are_found_and_mended(
    lake: Path, demo_ska: Path, against: Callable[..., Verified]
) -> None:
    before = content(lake)
    rewrite(lake, "asp_l1_proc", with_last("aspect_1_id", lambda number: number + 1))
    verified = against(lake, demo_ska)
    assert [(f.table, f.what) for f in verified.findings] == [("asp_l1_proc", "the lake has other processings")]
    mend(verified)
    assert against(lake, demo_ska).findings == []
    assert content(lake) == before


def test_what_was_computed_here_is_computed_again(lake: Path, demo_ska: Path, against: Callable[..., Verified]) -> None:
    assert CliRunner().invoke(app, ["vv", "32448", "--ingest", "--lake", str(lake)]).exit_code == 0
    assert against(lake, demo_ska).findings == []
    before = content(lake)
    (path,) = lake.glob("vv_rms/*/data.parquet")
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"spoilt")
    verified = against(lake, demo_ska)
    assert "mica-lake vv 32448 --version 2 --ingest" in verified.findings[0].mend
    mend(verified)
    assert against(lake, demo_ska).findings == []
    assert content(lake) == before


def test_a_row_that_is_lost_is_found_and_mended(lake: Path, demo_files: Path, against: Callable[..., Verified]) -> None:
    before = content(lake)
    rewrite(lake, "aca_l0", lambda rows: rows.slice(0, len(rows) - 1), rows=-1, day_rows=-1, file_rows=-1)
    verified = against(lake, demo_files)
    (finding,) = verified.findings
    assert re.match(r"1 of its \d+ rows are not in the lake, the first of TIME ", finding.what)
    mend(verified)
    assert against(lake, demo_files).findings == []
    assert content(lake) == before


def test_a_row_that_no_file_has_is_found(lake: Path, demo_files: Path, against: Callable[..., Verified]) -> None:
    rewrite(lake, "aca_l0", with_last("TIME", lambda time: time + 0.5))
    assert [f.what for f in against(lake, demo_files).findings] == ["rows are in the lake that it does not have"]


def test_a_file_that_is_not_in_the_lake_is_found_and_mended(
    lake: Path, tmp_path: Path, against: Callable[..., Verified]
) -> None:
    write_archive(tmp_path / "new", cxcsec("2024:003"), cxcsec("2024:003:00:05"), slots=[3], hard_cases=False)
    verified = against(lake, tmp_path / "new")
    assert [f.what for f in verified.findings] == ["it is not in the lake"]
    assert verified.findings[0].mend == f"mica-lake ingest aca_l0 --from {tmp_path / 'new'} --lake {lake}"
    mend(verified)
    assert against(lake, tmp_path / "new").findings == []
    assert verified.files == {"aca_l0": [0, 0, 0]}


def test_a_file_that_was_changed_since_is_found_and_mended(
    lake: Path, demo_ska: Path, tmp_path: Path, against: Callable[..., Verified]
) -> None:
    ska = tmp_path / "ska"
    shutil.copytree(demo_ska, ska, symlinks=True)
    path = next((ska / "data/mica/archive/obspar").glob("*/*_v*/*.par.gz"))
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(text.replace(b"ACIS", b"HRCX")))
    verified = against(lake, ska)
    assert [(f.where, f.what) for f in verified.findings] == [
        (str(path), "it is not what was taken into the lake: it was changed since")
    ]
    mend(verified)
    assert against(lake, ska).findings == []


Change = Callable[[bytes], bytes]


def plainly(path: Path, change: Change = bytes) -> None:
    """Change a file, and store it so that its size says nothing of its content."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            name = next(iter(file))
            rows = file[name][()]
            if change is bytes:
                del file[name]
                file[name] = rows
            else:
                rows["obsid"][-1] += 1
                file[name][...] = rows
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes())), 0, mtime=0))
    else:
        path.write_bytes(change(path.read_bytes()))


def replacing(old: bytes, new: bytes) -> Change:
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new)

    return change


IN_SECRET: list[tuple[str, str, Change]] = [
    ("aca_l0", "*_3_img0.fits.gz", replacing(b"TLMVER", b"TLMVFR")),
    ("dark_cal", "data/mica/archive/aca_dark/2022069/properties.json", replacing(b'"ccd_temp": -', b'"ccd_temp":  ')),
    ("obspar", "data/mica/archive/obspar/*/*_v*/*.par.gz", replacing(b"obs_mode", b"obs_mood")),
    ("asp_l1", "data/mica/archive/asp1/*/*_v*/pcad*gspr1.fits.gz", replacing(b"GSPROPS", b"GSPROPT")),
    ("acq_stats", "data/acq_stats/acq_stats.h5", replacing(b"", b"")),
    ("guide_stats", "data/guide_stats/guide_stats.h5", replacing(b"", b"")),
    ("vv", "data/mica/archive/vv/*/*_v*/vv_report.json", replacing(b'"dy_rms": 0.', b'"dy_rms": 1.')),
]


@pytest.mark.often(3)
@pytest.mark.parametrize(
    ("product", "pattern", "change"), IN_SECRET, ids=[f"{product}-{Path(p).name}" for product, p, _ in IN_SECRET]
)
def test_a_file_that_was_changed_in_secret_is_found_and_mended(
    product: str, pattern: str, change: Change, demo_ska: Path, demo_files: Path, tmp_path: Path,
    against: Callable[..., Verified],
) -> None:  # fmt: skip
    """Of the same size and date as when it was taken."""
    source, lake = tmp_path / "source", tmp_path / "lake"
    if product == "aca_l0":
        source.mkdir()
        shutil.copy(next(demo_files.glob("*_3_img0.fits.gz")), source)
    else:
        # The folder of the product alone.
        top = Path(*Path(pattern).parts[: 2 if product.endswith("stats") else 4])
        shutil.copytree(demo_ska / top, source / top, symlinks=True)
    command = ["ingest", product, "--from", str(source), "--lake", str(lake)]
    path = next(path for path in sorted(source.glob(pattern)) if not path.parent.is_symlink())
    plainly(path)
    assert CliRunner().invoke(app, command).exit_code in (0, 3)
    before = path.stat()
    plainly(path, change)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert CliRunner().invoke(app, command).exit_code in (0, 3)
    verified = against(lake, source)
    (finding,) = verified.findings
    assert (finding.where, finding.what) == (
        str(path), "it is not what was taken into the lake: it was changed since"
    )  # fmt: skip
    assert "--reread" in finding.mend
    mend(verified)
    assert against(lake, source).findings == []


def test_a_file_that_cannot_be_read_is_found(
    lake: Path, demo_files: Path, tmp_path: Path, against: Callable[..., Verified]
) -> None:
    name = next(demo_files.glob("*_3_*")).name
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    verified = against(lake, tmp_path)
    assert [f.what for f in verified.findings] == ["it cannot be read: No such file or directory"]


def test_a_file_that_is_there_unzipped_is_the_same(
    lake: Path, demo_files: Path, tmp_path: Path, against: Callable[..., Verified]
) -> None:
    packed = next(demo_files.glob("*_3_*.gz"))
    unpacked = tmp_path / "files" / packed.name.removesuffix(".gz")
    unpacked.parent.mkdir()
    unpacked.write_bytes(gzip.decompress(packed.read_bytes()))
    assert against(lake, unpacked).findings == []
    rewrite(lake, "aca_l0", with_last("TEMPCCD", nearly))
    assert against(lake, unpacked.parent).files == {"aca_l0": [1, 0, 0]}


def test_files_replaced_meanwhile_are_not_wrong(demo_files: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    write_archive(files, cxcsec("2024:001"), cxcsec("2024:001:00:05"), slots=[3], hard_cases=False)
    lake = tmp_path / "lake"
    ingest([files], lake, jobs=1)
    rewrite(lake, "aca_l0", with_last("TEMPCCD", nearly))

    class WithACommitInBetween(ThreadPoolExecutor):
        def map(self, fn: Any, *iterables: Any, **options: Any) -> Any:
            results = list(super().map(fn, *iterables, **options))
            rewrite(lake, "aca_l0", with_last("TEMPCCD", lambda t: t / (1 + 1e-6)))
            return results

    with WithACommitInBetween() as pool:
        verified = Verified()
        compare([files], lake, verified, pool=lambda tasks: pool)
    assert verified == Verified({}, {"aca_l0": [1, 0, 0]}, [])


def test_a_sample_of_the_files(demo_lake: str, demo_ska: Path, against: Callable[..., Verified]) -> None:
    whole, part = (against(Path(demo_lake), demo_ska, sample=sample) for sample in (1, 0.4))
    count = [sum(n for n, *_ in verified.files.values()) for verified in (whole, part)]
    assert 0 < count[1] < count[0]
    assert part == against(Path(demo_lake), demo_ska, sample=0.4)


def test_the_folder_of_a_product_is_a_source_too(
    demo_lake: str, demo_ska: Path, against: Callable[..., Verified]
) -> None:
    top = demo_ska / "data"
    for folder, table in (
        (top / "mica/archive/obspar", "obspar"), (top / "mica/archive/asp1", "asp_l1_file"),
        (top / "mica/archive/aca_dark", "dark_cal"), (top / "acq_stats", "acq_stats"),
        (top / "guide_stats" / "guide_stats.h5", "guide_stats"), (top / "mica/archive/vv", "vv_report"),
    ):  # fmt: skip
        verified = against(Path(demo_lake), folder)
        assert list(verified.files) == [table] + ["vv_rms"] * (table == "vv_report")
        assert verified.files[table][0] > 0
        assert os.path.commonpath([folder, *(f.where for f in verified.findings)]) == str(folder)
