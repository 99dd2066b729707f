"""A product that the lake does not have: its own files and one entry in the list, as CONTRIBUTING.md says."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from mica_lake import Lake
from mica_lake.cli import app
from mica_lake.products import PRODUCTS, Product
from mica_lake.simulate.days import Days, write_days
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec

ROOT = Path(__file__).resolve().parent.parent
DOSE = Product("dose", "Dose", "data/dose", "dose_*.json", package="made_up")
START = cxcsec("2024:001:06:00:00")


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "made_up"))
    PRODUCTS.append(DOSE)
    yield
    PRODUCTS.remove(DOSE)


@pytest.fixture
def ska(tmp_path: Path) -> Path:
    from made_up.simulate.dose import write_archive

    (tmp_path / "ska/data/mica/archive").mkdir(parents=True)
    write_archive(tmp_path / "ska", START, 3)
    return tmp_path / "ska"


@pytest.fixture
def lake(ska: Path, tmp_path: Path) -> Path:
    command("ingest", "dose", "--from", ska, "--lake", tmp_path / "lake")
    return tmp_path / "lake"


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_its_table_is_in_the_list() -> None:
    assert list(TABLES)[-1] == "dose"


def test_sql_answers_by_time(lake: Path) -> None:
    rows = Lake(lake).sql("SELECT dose FROM dose_data('2024:001:12:00:00', '2024:002:12:00:00')").fetchall()
    assert rows == [(0.25,), (0.5,)]
    with pytest.raises(ValueError, match=r"the rows of table dose come with FROM dose_data\(start, stop\)"):
        Lake(lake).sql("FROM dose")


def test_polars_answers_by_time(lake: Path) -> None:
    frame = Lake(lake).scan("dose", "2024:002", "2024:003").collect()
    assert frame["dose"].to_list() == [0.5, 0.75]
    assert Lake(lake).scan("dose").select(pl.col("dose").sum()).collect().item() == 3.75


def test_any_duckdb_reads_it(lake: Path) -> None:
    text = (lake / "mica_lake.sql").read_text()
    assert "MACRO dose_data" in text
    assert "'dose')" in text[text.index("MACRO is_by_day") :]


def test_status_lists_it(lake: Path) -> None:
    row = Lake(lake).status().row(by_predicate=pl.col("table_name") == "dose", named=True)
    assert (row["partitions"], row["files"], row["rows"], row["days"], row["span"]) == (3, 6, 6, 3, 3)
    assert "dose" in command("status", "--lake", lake)


def test_ingest_all_takes_it(ska: Path, tmp_path: Path) -> None:
    said = command("ingest", "all", "--from", ska, "--lake", tmp_path / "of_all")
    assert "dose" in said
    assert Lake(tmp_path / "of_all").status()["table_name"].to_list() == ["dose"]


def test_only_what_is_new_is_read_and_only_what_changed_is_made(ska: Path, lake: Path) -> None:
    from made_up.ingest.dose import ingest

    assert ingest(ska, lake, jobs=1).unchanged == 6
    path = ska / "data/dose/dose_0007.json"
    path.write_text(json.dumps({"time": START + 43200.0 * 7, "dose": 7.0}))
    report = ingest(ska, lake, jobs=1)
    assert (report.taken, report.unchanged, report.partitions) == (["dose/dose_0007.json"], 6, 1)


def test_a_bad_file_is_set_aside(ska: Path, lake: Path) -> None:
    (ska / "data/dose/dose_0009.json").write_text('{"time": 1.0}')
    said = command("ingest", "dose", "--from", ska, "--lake", lake, code=3)
    assert "it has no dose: None" in said
    assert Lake(lake).scan("dose").collect().height == 6


def test_verify_compares_it_with_its_files(ska: Path, lake: Path) -> None:
    command("verify", "--lake", lake, "--from", ska)
    path = ska / "data/dose/dose_0003.json"
    path.write_text(path.read_text().replace("0.75", "0.85"))
    said = " ".join(command("verify", "--lake", lake, "--from", ska, code=4).split())
    assert "it was changed since" in said
    assert f"mica-lake ingest dose --from {ska}/data/dose" in said
    (ska / "data/dose/dose_0010.json").write_text('{"time": 8.2e8, "dose": 1.0}')
    assert "it is not in the lake" in " ".join(command("verify", "--lake", lake, "--from", ska, code=4).split())
    command("ingest", "dose", "--from", ska, "--lake", lake)
    command("verify", "--lake", lake, "--from", ska)


def test_a_lost_partition_is_named_and_comes_back(ska: Path, lake: Path) -> None:
    for path in [lake / "dose/year=2024/doy=2/data.parquet", *lake.glob("_catalog/pinned/dose/2024/2024002_*")]:
        path.unlink()
    command("verify", "--lake", lake, code=4)
    command("reindex", "--lake", lake)
    command("ingest", "dose", "--from", ska, "--lake", lake)
    assert Lake(lake).scan("dose").collect().height == 6
    command("verify", "--lake", lake, "--from", ska)


def test_the_explorer_shows_it(lake: Path) -> None:
    from mica_lake.explore.ask import answer, form
    from mica_lake.explore.link import Link
    from mica_lake.explore.overview import tables

    opened = Lake(lake)
    assert tables(opened) == ["dose"]
    assert set(form(opened, "dose", Link({}).given("Ask")).element.value) == {"start", "stop", "obsid", "columns"}
    shown = answer(opened, "dose", "2024:001", "2024:003", "", ["dose"])
    assert "4 rows" in next(shown).text


def test_the_data_dictionary_describes_it() -> None:
    pytest.importorskip("mkdocs")
    pages: dict[str, str] = runpy.run_path(str(ROOT / "docs/generated.py"))["dictionary"]()
    assert "# `dose`" in pages["dictionary/dose.md"]
    assert "### `dose_data(start, stop)`\n\nA row per measurement" in pages["dictionary/views_and_macros.md"]


def test_spark_has_its_macro() -> None:
    from mica_lake.catalog.script import lake_sql

    assert "MACRO dose_data" in lake_sql()


def test_it_is_simulated_with_the_others(tmp_path: Path) -> None:
    days = Days(tmp_path, START, START + 300.0)
    written = {product.name: files for product, files in write_days(days, lambda product: lambda done: None)}
    assert list(written)[-1] == "dose"
    assert all(isinstance(files, ImportError) or files for name, files in written.items() if name != "dose")


def test_processes_make_it(tmp_path: Path) -> None:
    from made_up.ingest.dose import ingest
    from made_up.simulate.dose import write_archive

    write_archive(tmp_path / "ska", START, 12)
    assert ingest(tmp_path / "ska", tmp_path / "lake", jobs=2).partitions == 12
    assert Lake(tmp_path / "lake").scan("dose").collect().height == 24
