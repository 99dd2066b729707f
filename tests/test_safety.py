"""Nothing from a name, a header or an argument reaches a path or SQL unchecked; archives are unpacked with a bound."""

import ast
import bz2
import gzip
import json
import lzma
import os
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from mica_lake import Lake, LakeError
from mica_lake.archive import aca_hdr3, aca_l0, asp_l1, obspar
from mica_lake.archive.aca_dark import dark_cal
from mica_lake.catalog.generation import read_table
from mica_lake.catalog.root import absolute
from mica_lake.cli import app
from mica_lake.cli.sql_output import write_answer
from mica_lake.errors import BadFile, MissingDataError
from mica_lake.formats.gunzip import decompress
from mica_lake.ingest import asp_l1 as asp_l1_ingest
from mica_lake.ingest import dark_cal as dark_cal_ingest
from mica_lake.ingest import obspar as obspar_ingest
from mica_lake.ingest import stat_table
from mica_lake.ingest.aca_l0 import ingest
from mica_lake.simulate import dark_cal as simulated_dark_cal
from mica_lake.simulate.aca_l0 import readouts, times, write_file
from mica_lake.stats import acq_stats
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.times import cxcsec
from mica_lake.vv import Obi

ROOT = Path(__file__).parent.parent
START = cxcsec("2024:001")
HOSTILE = ["1; drop", "' OR 1=1 --", "../../../etc/passwd", "[bold]", "$(reboot)", "%s%n", "a\nb", "🛰"]


def file_of(folder: Path, **options: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_file(folder, 3, readouts(3, 6, times(START, START + 60, 6)), **options)


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# --- names and headers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n.replace("/", "_") for n in HOSTILE])
def test_a_file_with_a_strange_name_is_set_aside_and_told_of(name: str, tmp_path: Path) -> None:
    good = file_of(tmp_path / "files")
    shutil.copy(good, good.with_name(f"acaf{name}.fits.gz"))
    before = everything_below(tmp_path)
    done = CliRunner().invoke(
        app, ["ingest", "aca_l0", "--from", str(tmp_path / "files"), "--lake", str(tmp_path / "lake")]
    )
    assert done.exit_code == 3
    kept = name.replace("\n", r"\x0a")  # as what else would order a terminal about
    assert f"acaf{kept}" in done.output
    rows = read_table(tmp_path / "lake", "source_file").to_pylist()
    assert sorted((r["filename"], r["status"]) for r in rows) == sorted(
        [(good.name, "current"), (f"acaf{kept}.fits.gz", "set aside")]
    )
    assert {path for path in everything_below(tmp_path) - before if not path.startswith("lake")} == set()
    for command in ("status", "verify"):
        assert CliRunner().invoke(app, [command, "--lake", str(tmp_path / "lake")]).exit_code == 0


@pytest.mark.parametrize(
    "name", ["acaf../../x", "../../outside/acaf820454400N001_3_img0.fits.gz", "/etc/passwd", "", None, 7]
)
def test_a_database_of_files_leads_nowhere_else(name: Any, tmp_path: Path) -> None:
    files = tmp_path / "ska" / "data" / "mica" / "archive" / "aca0"
    good = file_of(files)
    file_of(tmp_path / "ska" / "data" / "outside")
    with sqlite3.connect(files / "archfiles.db3") as connection:
        connection.execute("CREATE TABLE archfiles (filename)")
        connection.executemany("INSERT INTO archfiles VALUES (?)", [(good.name,), (name,)])
    report = ingest([tmp_path / "ska"], tmp_path / "lake", jobs=1)
    assert report.taken == [good.name]
    assert list(report.set_aside) == [str(name)]


@pytest.mark.parametrize("text", HOSTILE[1:4])
@pytest.mark.parametrize("keyword", ["OBS_ID", "TLMVER", "ASCDSVER", "DATE", "CONTENT", "REVISION", "TSTART"])
def test_a_strange_header_is_kept_as_text_or_refused(keyword: str, text: str, tmp_path: Path) -> None:
    path = file_of(tmp_path / "files")
    try:
        with fits.open(path) as hdus:
            hdus[1].header[keyword] = text
            hdus.writeto(path, overwrite=True)
    except ValueError:
        return  # FITS itself has no such text
    before = everything_below(tmp_path)
    report = ingest([path], tmp_path / "lake", jobs=1)
    refused = keyword in ("CONTENT", "REVISION", "TSTART")
    assert (list(report.set_aside), report.taken) == (([path.name], []) if refused else ([], [path.name]))
    assert {p for p in everything_below(tmp_path) - before if not p.startswith("lake")} == set()
    if not refused and keyword != "OBS_ID":
        (row,) = read_table(tmp_path / "lake", "source_file").to_pylist()
        assert row[keyword.lower()] == text


@pytest.mark.parametrize("name", ["00007_v1; drop", "00007_v01'", "..", "00007_v01.old", "0000\uff17_v01"])
@pytest.mark.parametrize("product", ["obspar", "asp1"])
def test_a_folder_with_a_strange_name_is_left_alone(product: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "ska" / "data" / "mica" / "archive" / product / "00"
    folder.mkdir(parents=True)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "axaff00007_000N001_obs0a.par").write_text('tstart,r,h,1,,,""\n')
    one = obspar_ingest if product == "obspar" else asp_l1_ingest
    report = one.ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
    assert report.taken == []
    assert not any(name in str(path) for path in (tmp_path / "lake").rglob("*"))


@pytest.mark.parametrize("name", ["2024000", "2024999", "0000001", "202400\uff11", "2024001; drop"])
def test_a_calibration_of_no_date_is_set_aside(name: str, tmp_path: Path) -> None:
    good = simulated_dark_cal.write_calibration(tmp_path / "ska", "2024001")
    shutil.copytree(good, good.with_name(name))
    report = dark_cal_ingest.ingest(tmp_path / "ska", tmp_path / "lake", jobs=1)
    assert sorted(report.taken) == ["2024001/image.fits", "2024001/properties.json"]
    assert report.set_aside
    assert all(name in aside.split("/") for aside in report.set_aside)


# --- arguments --------------------------------------------------------------------------------------------------------

ARGUMENTS: dict[str, Callable[[Any, str], Any]] = {
    "obspar.get_obspar": lambda text, lake: obspar.get_obspar(text, data_root=lake),
    "obspar.get_dir": lambda text, lake: obspar.get_dir(text, data_root=lake),
    "obspar.get_files": lambda text, lake: obspar.get_files(obsid=text, data_root=lake),
    "obspar.get_obsids": lambda text, lake: obspar.get_obsids(text, "2024:002", data_root=lake),
    "obspar.get_obspar version": lambda text, lake: obspar.get_obspar(32448, version=text, data_root=lake),
    "asp_l1.get_atts": lambda text, lake: asp_l1.get_atts(text, data_root=lake),
    "asp_l1.get_files": lambda text, lake: asp_l1.get_files(obsid=text, data_root=lake),
    "aca_l0 column": lambda text, lake: aca_l0.get_slot_data(START, START + 9, 3, columns=[text], data_root=lake),
    "aca_l0 slot": lambda text, lake: aca_l0.get_slot_data(START, START + 9, text, data_root=lake),
    "aca_hdr3.MSID": lambda text, lake: aca_hdr3.MSID(text, START, START + 9, data_root=lake),
    "dark_cal": lambda text, lake: dark_cal.get_dark_cal_image(text, data_root=lake),
    "acq_stats": lambda text, lake: acq_stats.get_star_stats(text, data_root=lake),
    "scan table": lambda text, lake: Lake(lake).scan(text),
    "scan slot": lambda text, lake: Lake(lake).scan("aca_l0", slot=text),
}  # fmt: skip


@pytest.mark.parametrize("text", [HOSTILE[n] for n in (0, 1, 3, 6)])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_strange_argument_is_refused_by_a_message_that_names_it(name: str, text: str, demo_lake: str) -> None:
    with pytest.raises((ValueError, TypeError, MissingDataError)) as caught:
        ARGUMENTS[name](text, demo_lake)
    assert repr(text)[1:-1] in str(caught.value) or text in str(caught.value)


def test_a_lake_whose_path_has_quotes_is_read_as_any_other(tmp_path: Path) -> None:
    lake = tmp_path / 'it\'s; DROP "lake" -- [bold'
    with pytest.raises(LakeError, match="for a pattern"):
        absolute(lake)
    lake = tmp_path / 'it\'s; DROP "lake" --'
    ingest([file_of(tmp_path / "files")], lake, jobs=1)
    query = "SELECT count(*) FROM slot_data('2024:001', '2024:002', 3)"
    assert Lake(lake).sql(query).fetchall() == [(len(times(START, START + 60, 6)),)]
    write_answer(Lake(lake), query, "csv", tmp_path / "it's.csv")
    assert (tmp_path / "it's.csv").exists()


# --- mica-lake sql ----------------------------------------------------------------------------------------------------

WRITES = [
    "COPY (SELECT 1 AS a) TO '{target}'",
    "EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO '{target}'",
    "explain  analyze\nCOPY (SELECT 1 AS a) TO '{target}'",
    "EXPLAIN/**/ANALYZE/**/COPY (SELECT 1 AS a) TO '{target}'",
    "EXPLAIN COPY (SELECT 1 AS a) TO '{target}'",
    "/* */ EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO '{target}'",
    "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
    "SELECT 1 AS a) TO '{target}' (FORMAT csv) --",
    "SELECT * FROM query('COPY (SELECT 1 AS a) TO ''{target}''')",
    "WITH x AS (SELECT 1) INSERT INTO y FROM x",
    "SELECT 1; COPY (SELECT 1 AS a) TO '{target}'",
    "ATTACH '{target}'",
    "EXPORT DATABASE '{target}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA enable_profiling",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "CREATE TABLE t AS SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "CALL enable_logging(storage = 'file', storage_path = '{target}')",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{target}')",
    "SELECT * FROM enable_profiling()",
    "UPDATE partition SET rows = 0",
    "DROP VIEW partition",
    "CHECKPOINT",
]


@pytest.mark.parametrize(
    ("query", "form"),
    [(q, "table") for q in WRITES] + [(q, "csv") for q in WRITES if q.startswith(("SELECT", "EXPLAIN"))],
)
@pytest.mark.often(12)
def test_a_query_that_writes_is_refused_and_writes_nothing(
    query: str, form: str, demo_lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Path(demo_lake)
    before = everything_below(lake)
    for target in (tmp_path / "out.csv", lake / "out.csv"):
        with pytest.raises((ValueError, OSError)):
            write_answer(Lake(lake), query.format(target=target), form, tmp_path / "a.csv" if form == "csv" else None)
    assert everything_below(lake) == before
    assert list(tmp_path.iterdir()) == []


READS = [
    "FROM read_csv('{secret}')",
    "FROM '{secret}'",
    "FROM read_text('{secret}')",
    "FROM read_blob('{lake}/../{name}')",
    "FROM glob('{folder}/*')",
    "FROM sniff_csv('{secret}')",
    "FROM parquet_metadata('{secret}')",
    "FROM read_parquet('https://example.com/x.parquet')",
    "FROM read_text('/etc/passwd')",
    "FROM read_text('/proc/self/environ')",
    "FROM duckdb_secrets()",
    "SELECT getenv('HOME')",
]


@pytest.mark.parametrize("query", READS)
def test_a_query_sees_no_file_but_those_of_the_lake(query: str, demo_lake: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    beside = Path(demo_lake).parent / "beside.csv"
    beside.write_text("a,b\n1,2\n")
    asked = query.format(secret=secret, lake=demo_lake, name=beside.name, folder=tmp_path)
    with pytest.raises((ValueError, OSError), match=r"disabled by configuration|does not exist"):
        write_answer(Lake(demo_lake), asked, "csv", tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == [secret]
    beside.unlink()


@pytest.mark.parametrize(
    "query", ["EXPLAIN SELECT 1", "explain analyze FROM partition", "SHOW TABLES", "SUMMARIZE partition"]
)
def test_what_only_reads_is_answered(query: str, demo_lake: str) -> None:
    write_answer(Lake(demo_lake), query, "table", None)


# --- bounds -----------------------------------------------------------------------------------------------------------


def bomb(size: int, head: bytes = b"") -> bytes:
    """Some kB that unpack to `size` bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(head)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


@pytest.fixture(scope="session")
def large() -> bytes:
    return bomb((1 << 28) + (1 << 20))


def test_what_unpacks_to_too_much_is_refused(large: bytes) -> None:
    assert len(large) < 1 << 20
    with pytest.raises(BadFile, match="it expands to more than"):
        decompress(large)
    with pytest.raises(BadFile, match="it expands to more than 1000 bytes"):
        decompress(gzip.compress(bytes(500)) * 3, 1000)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_an_image_is_unpacked_with_a_bound(pack: Callable[[bytes], bytes]) -> None:
    content = pack(b"SIMPLE  =                    T".ljust(2880) + bytes(dark_cal_ingest.LARGEST))
    with pytest.raises(BadFile, match=r"it expands to more than|it is not a FITS image"):
        dark_cal_ingest.read_image(content)


def test_an_obspar_of_the_facade_and_products_are_unpacked_with_a_bound(
    large: bytes, tmp_path: Path, demo_ska: Path
) -> None:
    (tmp_path / "axaff00007_000N001_obs0a.par.gz").write_bytes(large)
    archive = demo_ska / "data/mica/archive"
    folder = min(archive.glob("asp1/*/*_v*"))
    with pytest.raises(ValueError, match="it expands to more than"):
        Obi(tmp_path / "axaff00007_000N001_obs0a.par.gz", folder)
    with pytest.raises(BadFile, match="it expands to more than"):
        obspar_ingest.read(large)
    shutil.copytree(folder, tmp_path / "asp1")
    next((tmp_path / "asp1").glob("*asol1*")).write_bytes(large)
    with pytest.raises(ValueError, match="it expands to more than"):
        Obi(next(archive.glob("obspar/*/*_v*/*")), tmp_path / "asp1")


def test_statistics_that_unpack_to_too_much_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "acq_stats.h5", "w") as file:
        file.create_dataset("data", (1 << 40,), np.dtype([("obsid", "i4")]), chunks=(1 << 20,), compression="gzip")
    assert (tmp_path / "acq_stats.h5").stat().st_size < 1 << 20
    with pytest.raises(BadFile, match="1099511627776 rows expand to more than"):
        stat_table.read((tmp_path / "acq_stats.h5").read_bytes(), ACQ_STATS)


@pytest.mark.parametrize(
    "text",
    ["[" * 100000, '{"date": ' + "9" * 5000 + "}", '["2024:001"]', "\x00"],
)
def test_properties_that_no_reader_should_take_are_refused(text: str) -> None:
    with pytest.raises(BadFile):
        dark_cal_ingest.read_properties(text.encode(), "2024001")


@pytest.mark.parametrize("text", ['{"date": "2024:001", "ccd_temp": 1e999}', '{"date": NaN}', '{"ccd_temp": NaN}'])
def test_numbers_that_are_none_are_neither_a_date_nor_a_temperature(text: str) -> None:
    properties = dark_cal_ingest.read_properties(text.encode(), "2024001")
    assert dark_cal_ingest.start_of(properties, "2024001") == cxcsec("2024:001")
    assert dark_cal_ingest.temperature_of(properties) is None


def test_properties_are_data(tmp_path: Path) -> None:
    strange = json.dumps({"date": "2024:001:00:00:00", "ccd_temp": -10.0, "__class__": "os.system", "x'; DROP": 1})
    assert dark_cal_ingest.read_properties(strange.encode(), "2024001")["__class__"] == "os.system"


# --- the code ---------------------------------------------------------------------------------------------------------

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def code() -> Iterator[tuple[Path, ast.AST]]:
    for folder in ("mica_lake", "ingest", "sql"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield path, node


def suspicious(node: ast.AST) -> str:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
        return next((name for name in names if name.split(".")[0] in FORBIDDEN_MODULES), "")
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in FORBIDDEN_CALLS or attribute in ("system", "popen"):
            return name or attribute
        keywords = {k.arg for k in node.keywords if not (isinstance(k.value, ast.Constant) and not k.value.value)}
        return next(iter(keywords & {"allow_pickle", "shell"}), "")
    return ""


def test_nothing_is_unpickled_or_evaluated() -> None:
    found = [f"{path.relative_to(ROOT)}: {what}" for path, node in code() if (what := suspicious(node))]
    assert found == []


@pytest.mark.parametrize(
    "text", ["import pickle", "from pickle import loads", "np.load(p, allow_pickle=True)", "eval(x)", "os.system(x)",
             "subprocess.run(x, shell=True)"]
)  # fmt: skip
def test_the_search_for_them_finds_them(text: str) -> None:
    assert any(suspicious(node) for node in ast.walk(ast.parse(text)))


SORTED = """
import sys, tempfile
from pathlib import Path
from mica_lake.lake import Lake
connection = Lake(sys.argv[1]).connection
connection.execute("SET memory_limit = '60MB'; SET threads = 1")
query = "SELECT range, repeat(range::VARCHAR, 20) AS text FROM range(1000000) ORDER BY hash(range)"
connection.execute(query).fetchone()
print(sum(path.stat().st_size for path in Path(tempfile.gettempdir()).rglob("*") if path.is_file()))
"""


def test_what_has_no_room_in_memory_is_spilt_to_the_temporary_directory_and_removed(
    demo_lake: str, tmp_path: Path
) -> None:
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SORTED, demo_lake],
        cwd=here,
        env=os.environ | {"TMPDIR": str(temporary)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) > 1_000_000, "it was spilt"
    assert [*here.iterdir(), *temporary.iterdir()] == []


def test_a_large_answer_is_spilt_beside_the_answer_and_not_here(
    demo_lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    query = "SELECT current_setting('temp_directory') AS place"
    write_answer(Lake(demo_lake), query, "csv", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith(str(tmp_path / ".mica-lake-"))
    assert list((tmp_path / "here").iterdir()) == []
