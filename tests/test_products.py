"""One product, one name, everywhere; and no other list of products."""

import importlib
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mica_lake.catalog.script import lake_sql
from mica_lake.cli import app
from mica_lake.ingest import follow
from mica_lake.ingest.compare_rows import COMPARED
from mica_lake.products import PRODUCTS, Product
from mica_lake.tables import TABLES

ROOT = Path(__file__).resolve().parent.parent
EACH = pytest.mark.parametrize("product", PRODUCTS, ids=[product.name for product in PRODUCTS])


@EACH
def test_its_files_have_its_name(product: Product) -> None:
    name, shared = product.name, product.described_in
    assert (ROOT / f"mica_lake/tables/{name}.py").is_file()
    assert (ROOT / f"ingest/{name}.py").is_file() or (ROOT / f"ingest/{name}/__init__.py").is_file()
    assert (ROOT / f"sql/{shared}.sql").is_file()
    assert (ROOT / f"docs/{shared}.md").is_file()
    if product.folder:
        assert (ROOT / f"mica_lake/simulate/{shared}.py").is_file()


@EACH
def test_the_navigation_and_the_readme_name_it(product: Product) -> None:
    assert f": {product.described_in}.md\n" in (ROOT / "mkdocs.yml").read_text()
    readme = (ROOT / "README.md").read_text()
    assert f"`{product.name}`" in readme
    assert f"(docs/{product.described_in}.md)" in readme


@EACH
def test_its_ingest_is_that_of_the_frame(product: Product) -> None:
    module = importlib.import_module(f"mica_lake.ingest.{product.name}")
    assert callable(module.ingest)
    if product.follows:
        assert callable(module.derive)
    if product.folder:
        assert all(issubclass(part, follow.Part) for part in module.PARTS)


@EACH
def test_its_files_can_be_compared_with_the_lake(product: Product) -> None:
    """By code of its own, or by building its partitions again, for which it needs a plan and a build."""
    if product.folder and COMPARED.isdisjoint(follow.tables_of(product)):
        for part in importlib.import_module(f"mica_lake.ingest.{product.name}").PARTS:
            rebuilt = part.plan is not follow.Part.plan and part.build is not follow.Part.build
            assert rebuilt or part.differing is not follow.Part.differing


@EACH
def test_its_tables_say_that_they_are_its(product: Product) -> None:
    tables = follow.tables_of(product)
    assert tables
    assert {TABLES[table].ingested_as for table in tables} == {product.name}


def test_each_table_has_its_files_macro() -> None:
    script = lake_sql()
    for table in TABLES:
        assert re.search(rf"\bMACRO {table}_files\s*\(", script)


def test_the_command_line_takes_each_and_no_other() -> None:
    said = CliRunner().invoke(app, ["ingest", "--help"], env={"COLUMNS": "500"}).output
    for product in PRODUCTS:
        assert product.name in said
    result = CliRunner().invoke(app, ["ingest", "aca0"])
    assert result.exit_code == 2


def test_no_name_is_there_twice() -> None:
    assert len({product.name for product in PRODUCTS}) == len(PRODUCTS)
    assert {product.follows for product in PRODUCTS} - {""} <= {product.name for product in PRODUCTS}
