"""Spark answers what DuckDB answers: each table, each view and each table macro, whatever is found in the catalog."""

import doctest
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import mica_lake
from mica_lake.catalog.commit import as_owner
from mica_lake.catalog.generation import next_name, read_table, write_generation
from mica_lake.ingest import aca0_list, aca_l0, acq_stats, vv
from mica_lake.lake import Lake
from mica_lake.simulate import aca0_list as simulated_list
from mica_lake.tables import TABLES
from mica_lake.tables.catalog import PARTITION

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from mica_lake.spark import SparkLake

pytest.importorskip("pyspark", reason="pyspark is absent: pip install -e '.[spark]'")
pytest.importorskip("sqlglot", reason="sqlglot is absent: pip install -e '.[spark]'")
JAVA = bool(os.environ.get("JAVA_HOME") or shutil.which("java"))

# What each table macro is asked here. One that is added to sql/ is to be added here.
ASKED: dict[str, list[tuple[Any, ...]]] = {
    "aca_cent": [("2024:001", "2024:001:01:00")],
    "aca_cent_revisions": [("2024:001", "2024:001:01:00")],
    "aca_images": [("2024:001:00:00", "2024:001:00:20")],
    "aca_l0_source_files": [("2024:001", "2024:001:02:00")],
    "asp_l1_revisions": [(32448,), (0,)],
    "asp_sol": [("2024:001", "2024:001:01:00")],
    "asp_sol_revisions": [("2024:001", "2024:001:01:00")],
    "coverage": [("aca_l0",), ("obspar",), ("none",)],
    "dark_image": [("2022069",), ("2022068",)],
    "dark_model_histogram": [("2020:001", -11.0), (None, -11.0)],
    "ocat_cone": [(180.0, 0.0, 10800.0), (180.0, 0.0, 60.0)],
    "hdr3_data": [("2024:001", "2024:001:02:00")],
    "mean_ccd_temp": [("2024:001", "2024:001:02:00"), ("2020:001", "2020:002")],
    "obspar_kv_of_year": [(2023,), (2024,), (1999,)],
    "slot_data": [
        ("2024:001", "2024:001:02:00", 3),
        (820454469.184, "2024:001:00:00:40", 0),
        ("2020:001", "2020:002", 7),
    ],
    "warm_pixels": [(100,), (100, -10), (1e-3,), (1e9, 5.5)],
}


@pytest.fixture(scope="module")
def spark() -> "Iterator[SparkSession]":
    if not JAVA:
        pytest.skip("Spark needs Java: apt-get install openjdk-17-jre-headless")
    from mica_lake.spark import local_session

    session = local_session()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def root(demo_lake: str, demo_ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's lake with values that are not numbers, values outside the limits, and a file that is none."""
    folder = tmp_path_factory.mktemp("{spark} lake")
    rng = np.random.default_rng(0)
    for name in ("mica/archive/vv/vv.h5", "acq_stats/acq_stats.h5"):
        path = folder / "ska" / "data" / name
        path.parent.mkdir(parents=True)
        shutil.copyfile(demo_ska / "data" / name, path)
    shutil.copytree(demo_lake, folder / "lake")
    with h5py.File(folder / "ska/data/mica/archive/vv/vv.h5", "r+") as file:
        rows = file["vv"][()]
        for name in ("dy_rms", "dz_rms", "dy_med", "dz_med", "rad_off", "frac_dy_big", "frac_dz_big", "frac_mag_big"):
            rows[name] = rng.choice([-0.5, -0.4, 0.0, 0.04, 0.05, 0.3, 0.25, 0.4, 1.5, 2.0, np.nan], len(rows))
        file["vv"][()] = rows
    with h5py.File(folder / "ska/data/acq_stats/acq_stats.h5", "r+") as file:
        rows = file["data"][()]
        rows["mag"][::7], rows["ccd_temp"][::5], rows["known_bad"][::6] = np.nan, np.nan, True
        rows["ccd_temp"][1::5] = -9.25
        file["data"][()] = rows
    bad = folder / "acaf820454400N001_0_img0.fits.gz"
    bad.write_bytes(b"no FITS file")
    vv.ingest(folder / "ska", folder / "lake", jobs=1)
    acq_stats.ingest(folder / "ska", folder / "lake", jobs=1)
    aca_l0.ingest([bad], folder / "lake", jobs=1)
    simulated_list.write_archive(folder / "ska", ["acaf820461600N001_3_img0.fits.gz"])
    aca0_list.ingest(folder / "ska", folder / "lake", jobs=1)
    # Not every V&V report says when its observation began.
    lake = folder / "lake"
    rows = read_table(lake, "partition").to_pylist()
    for row in rows:
        if row["table_name"] == "vv_report":
            row["tstart"] = row["tstop"] = None
    partition = pa.Table.from_pylist(rows, schema=PARTITION)
    write_generation(lake, next_name(lake), partition, read_table(lake, "source_file"), as_owner(lake))
    return lake


@pytest.fixture(scope="module")
def lake(root: Path) -> Lake:
    return Lake(root)


@pytest.fixture(scope="module")
def mica(spark: "SparkSession", lake: Lake) -> "SparkLake":
    from mica_lake.spark import register

    return register(spark, lake)


def names(lake: Lake, query: str) -> list[str]:
    return [name for (name,) in lake.sql(query).fetchall()]


def assert_equal_rows(frame: "DataFrame", expected: pa.Table) -> None:
    """Equal columns and rows; numbers without sign are of the next larger type, real ones may differ by 1e-12."""
    ours = pl.DataFrame(frame.toArrow())
    theirs = pl.DataFrame(expected).with_columns(
        cs.by_dtype(pl.UInt8).cast(pl.Int16), cs.by_dtype(pl.UInt16).cast(pl.Int32)
    )
    assert ours.schema == theirs.schema
    flat = [name for name, type_ in theirs.schema.items() if not type_.is_nested()]
    assert_frame_equal(ours.sort(flat), theirs.sort(flat), rel_tol=1e-12, abs_tol=0)


def test_each_table_macro_is_asked_here(lake: Lake) -> None:
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal"
    assert set(names(lake, query)) == set(ASKED)


@pytest.mark.soak
def test_each_view_has_equal_rows(spark: "SparkSession", mica: "SparkLake", lake: Lake) -> None:
    views = names(lake, "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY ALL")
    assert len(views) > 15
    without_times = {name for name, *_ in lake.sql("FROM status WHERE start IS NULL").fetchall()}
    assert without_times == {"vv_report", "acq_model", "guide_model"}
    different = []
    for view in views:
        expected = lake.arrow(f'FROM "{view}"')
        # No catalog that is simulated has a monitor window, and the statistics of two hours have no models.
        assert bool(len(expected)) == (view not in ("monitor_window", "acq_model", "guide_model")), view
        try:
            assert_equal_rows(spark.table(view), expected)
        except AssertionError as error:
            different.append(f"{view}: {error}")
    assert not different, "\n\n".join(different)


def test_each_table_has_equal_rows(mica: "SparkLake", lake: Lake) -> None:
    for table in TABLES.keys() - set(names(lake, "SELECT view_name FROM duckdb_views()")):
        assert_equal_rows(mica.table(table), lake.scan(table).collect().to_arrow())


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.often(4)
def test_each_table_macro_has_equal_rows(name: str, mica: "SparkLake", lake: Lake) -> None:
    found = 0
    for arguments in ASKED[name]:
        values = {f"p{i}": value for i, value in enumerate(arguments)}
        expected = lake.arrow(f"FROM {name}({', '.join(f'${place}' for place in values)})", values)
        assert_equal_rows(getattr(mica, name)(*arguments), expected)
        found += len(expected)
    assert found > 0


def test_rows_come_in_the_order_that_sql_says(mica: "SparkLake", lake: Lake) -> None:
    frame = mica.aca_images("2024:001:00:00", "2024:001:00:05").select("TIME", "IMGNUM").toArrow()
    query = "SELECT TIME, IMGNUM FROM aca_images('2024:001:00:00', '2024:001:00:05')"
    assert [tuple(row.values()) for row in frame.to_pylist()] == lake.sql(query).fetchall()


def test_only_the_partitions_needed_are_opened(mica: "SparkLake") -> None:
    def partitions(frame: "DataFrame") -> list[str]:
        names = (Path(path).name.split("_") for path in frame.inputFiles())
        return sorted(f"{day} {slot}" for day, slot, *_ in names if slot != "l0.parquet")

    assert partitions(mica.slot_data("2024:001", "2024:001:02:00", 3)) == ["2024001 3"]
    assert partitions(mica.slot_data("2024:002:01:00", "2024:003", 3)) == []
    assert partitions(mica.aca_images("2024:001", "2024:002")) == [f"2024001 {slot}" for slot in range(8)]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("slot_data", ("2024:001", "2024:002", 8), "slot 8 is not one of 0 to 7"),
        ("slot_data", ("2024:001", "2024:002", None), "slot null is not one of 0 to 7"),
        ("slot_data", ("2024:001", "tomorrow", 3), "'tomorrow' is not a time"),
        ("slot_data", ("2024:002", "2024:001", 3), "is before start"),
        ("hdr3_data", ("2024:366:24:00", "2024:002"), "'2024:366:24:00' is not a time"),
        ("aca_images", (float("nan"), "2024:002"), "nan is not a time"),
    ],
)
def test_a_bad_time_or_slot_is_an_error_as_in_sql(
    name: str, arguments: tuple[Any, ...], said: str, mica: "SparkLake"
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        getattr(mica, name)(*arguments)


def test_a_bad_call_is_an_error_that_names_it(mica: "SparkLake") -> None:
    with pytest.raises(TypeError, match="slot"):
        mica.slot_data("2024:001", "2024:002")
    with pytest.raises(AttributeError, match="slot_date"):
        mica.slot_date  # noqa: B018 - it is the error that counts
    with pytest.raises(ValueError, match=r"there is no table 'aca_l1'; the lake has .*aca_l0.*vv_outside"):
        mica.table("aca_l1")


def test_the_functions_tell_of_themselves(mica: "SparkLake") -> None:
    assert "slot_data" in dir(mica)
    assert "The readouts of one slot" in (mica.slot_data.__doc__ or "")
    assert "ref=-19.0" in str(mica.warm_pixels.__signature__)  # type: ignore[attr-defined]


def test_times_are_taken_in_any_form(mica: "SparkLake", lake: Lake) -> None:
    from astropy.time import Time

    start, stop = Time("2024-01-01T00:00:00"), Time("2024-01-01T00:01:00")
    found = mica.slot_data(start, stop, np.int64(3)).count()
    assert found == lake.scan("aca_l0", start, stop, slot=3).collect().height > 0


def test_texts_in_braces_and_quotes_are_texts(mica: "SparkLake") -> None:
    assert mica.dark_image("{frame0}' OR true --\\").count() == 0


def test_it_stays_as_it_was_registered_and_says_when_a_file_has_gone(
    spark: "SparkSession", root: Path, tmp_path: Path
) -> None:
    from mica_lake.spark import SparkLake

    shutil.copytree(root, tmp_path / "lake")
    mica = SparkLake(spark, Lake(tmp_path / "lake"))
    frame = mica.slot_data("2024:001", "2024:001:02:00", 3)
    count = frame.count()
    spark.conf.set("spark.sql.files.ignoreMissingFiles", "true")
    try:
        for pinned in (tmp_path / "lake/_catalog/pinned/aca_l0/2024").glob("2024001_3_*"):
            pinned.unlink()
        with pytest.raises(Exception, match="2024001_3_"):
            frame.agg({"TIME": "sum", "*": "count"}).collect()
        with pytest.raises(Exception, match="2024001_3_"):
            mica.slot_data("2024:001", "2024:001:02:00", 3).count()
    finally:
        spark.conf.unset("spark.sql.files.ignoreMissingFiles")
    assert count > 0


def test_a_table_of_many_partitions_is_no_view_but_a_table(
    spark: "SparkSession", lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mica_lake import spark as module

    monkeypatch.setattr(module, "MOST_PARTITIONS", 7)
    other = spark.newSession()
    other.range(1).createOrReplaceTempView("aca_l0")
    mica = module.register(other, lake)
    assert not other.catalog.tableExists("aca_l0")
    assert other.catalog.tableExists("obspar")
    assert mica.table("aca_l0").count() == lake.scan("aca_l0").collect().height


def test_the_examples_of_its_docstrings_run(spark: "SparkSession", demo_lake: str) -> None:
    from mica_lake import spark as module

    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(module, extraglobs={"demo_lake": mica_lake.demo_lake}, optionflags=flags)
    assert found.attempted > 4
    assert found.failed == 0


def test_the_example_of_the_document_runs(
    spark: "SparkSession", demo_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICA_LAKE", demo_lake)
    text = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    section = text.split("\n## SQL on Spark\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(compile(code, "scale.md", "exec"), {})


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mica_lake.spark import local_session

    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="no java: 'apt-get install openjdk-17-jre-headless'"):
        local_session()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(OSError, match=f"no {tmp_path}/bin/java: "):
        local_session()
