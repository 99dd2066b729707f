"""
The documents are true: their blocks run from top to bottom on the demo's lake, and what they show is what comes.

A block is ``python``, ``sql`` (statements), ``bash`` (commands) or ``text`` (which is only read). A block ``output``
after one of the first three is what it prints, with ``...`` for what is not the same each time. Blocks
behind a mark are run elsewhere: ``<!-- demo -->`` and ``<!-- tests -->`` by .ci/run, ``<!-- spark -->`` where Spark is.
"""

import builtins
import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from symtable import symtable
from types import ModuleType
from typing import Any

import pytest
from markdown_it import MarkdownIt

from mica_lake import vv
from mica_lake.archive import aca_hdr3, aca_l0, asp_l1, obspar
from mica_lake.archive.aca_dark import dark_cal
from mica_lake.lake import Lake
from mica_lake.stats import acq_stats, guide_stats

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# These start many processes.
LONG = ("reliability.md", "scale.md", "vv.md")
# The statistics of a day have no models.
OF_MANY_STARS = ("prediction.md",)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Block:
    """A block of a document that is run, and the output that the document shows for it."""

    where: str
    language: str
    text: str
    output: str | None = None


def blocks(document: Path) -> list[Block]:
    found: list[Block] = []
    mark = False
    for token in MarkdownIt("commonmark").parse(document.read_text(encoding="utf-8")):
        if token.type not in ("fence", "code_block", "html_block"):
            continue
        where = f"{document.name}:{token.map[0] + 1 if token.map else 0}"
        if token.type == "html_block":
            mark = re.fullmatch(r"<!-- \w+ -->", token.content.strip()) is not None
            continue
        assert token.info in ("python", "sql", "bash", "text", "output"), (
            f"{where}: a block of {token.info or 'nothing'}"
        )
        if token.info == "output":
            found[-1].output = token.content
        elif token.info != "text" and not mark:
            found.append(Block(where, token.info, token.content))
        mark = False
    return found


@pytest.fixture
def ska(tmp_path: Path, demo_ska: Path, demo_files: Path) -> Path:
    """The demo's archive, with its ACA level 0 files."""
    ska = tmp_path / "ska"
    shutil.copytree(demo_ska, ska, symlinks=True)
    (ska / "data/mica/archive/aca0").symlink_to(demo_files)
    return ska


@pytest.fixture
def lake(tmp_path: Path, demo_lake: str, ska: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake that commands may write to."""
    lake = tmp_path / "lake"
    shutil.copytree(demo_lake, lake)
    monkeypatch.setenv("MICA_LAKE", str(lake))
    monkeypatch.setenv("SKA", str(ska))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "100")
    return lake


def run(block: Block, names: dict[str, Any]) -> str:
    """Run a block; what it prints."""
    if block.language == "bash":
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.where}: {done.stdout}{done.stderr}"
        return done.stdout
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if block.language == "python":
            exec(compile(block.text, block.where, "exec"), names)
        else:
            for statement in block.text.split(";\n"):
                if statement.strip():
                    answer = Lake().sql(statement)
                    assert answer.limit(1).fetchall(), f"{block.where}: no rows of {statement}"
                    print(answer)
    return printed.getvalue()


@pytest.mark.parametrize(
    "document",
    [pytest.param(it, marks=pytest.mark.soak if it.name in LONG else (), id=it.name) for it in DOCUMENTS],
)
def test_the_blocks_of_a_document_run_and_print_what_it_shows(
    document: Path, lake: Path, many_stars: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if document.name in OF_MANY_STARS:
        monkeypatch.setenv("MICA_LAKE", many_stars)
    names: dict[str, Any] = {}
    for block in blocks(document):
        printed = run(block, names)
        if block.output is not None:
            assert doctest.OutputChecker().check_output(block.output, printed, OPTIONS), (
                f"{block.where} prints\n{printed}"
            )


def test_all_kinds_of_blocks_are_found() -> None:
    found = [block for document in DOCUMENTS for block in blocks(document)]
    assert {block.language for block in found} == {"python", "sql", "bash"}
    assert any(block.output for block in found)
    assert [block.language for block in blocks(ROOT / "README.md")] == ["python", "bash", "python", "bash"]


def test_the_three_doors_of_the_readme_give_the_same_number() -> None:
    # That they print what is shown, the test of each document says.
    shown = [block.output.split("\n")[-2] for block in blocks(ROOT / "README.md") if block.output]
    assert len(shown) == 3
    assert len(set(shown)) == 1
    assert re.fullmatch(r"-\d+\.\d{6} °C", shown[0])


def test_no_paragraph_of_the_readme_is_long() -> None:
    tokens = MarkdownIt("commonmark").parse((ROOT / "README.md").read_text(encoding="utf-8"))
    paragraphs = [token.map for token in tokens if token.type == "paragraph_open" and token.map]
    assert len(paragraphs) > 10
    assert [first + 1 for first, last in paragraphs if last - first > 6] == []


def test_the_readme_claims_the_ratios_of_the_benchmarks() -> None:
    ratios = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8").split("## ")[0]
    claimed = re.findall(r"([\d.]+) times", (ROOT / "README.md").read_text(encoding="utf-8").split("## ")[0])
    assert len(claimed) == 2
    assert [ratio for ratio in claimed if f"| {ratio}x |" not in ratios] == []


MIGRATION = ROOT / "docs" / "migration.md"


def rows_of_the_migration() -> Iterator[tuple[str, str, str]]:
    """The call, the SQL and the Polars of each row of its tables; empty where there is none."""
    for line in MIGRATION.read_text(encoding="utf-8").splitlines():
        cells = [re.match(r" `(.*?)`", cell) for cell in line.split("|")]
        if len(cells) == 6 and any(cells):
            old, new, sql, polars = (cell[1] if cell else "" for cell in cells[1:-1])
            yield new if "(" in new else old, sql, polars


@pytest.fixture(scope="module")
def names(demo_lake: str) -> dict[str, Any]:
    """What the calls of the migration's tables use, as its first block defines it."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MICA_LAKE", demo_lake)
        run(blocks(MIGRATION)[0], names)
    return names


@pytest.mark.parametrize(("call", "sql", "polars"), list(rows_of_the_migration()))
def test_a_call_and_what_it_becomes_have_answers(
    call: str, sql: str, polars: str, names: dict[str, Any], demo_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICA_LAKE", demo_lake)
    if call:
        assert eval(call, names) is not None
    if sql:
        params = {name: names[name] for name in re.findall(r"\$(\w+)", sql)}
        assert names["lake"].sql(sql, params).limit(1).fetchall()
    if polars:
        assert len(eval(polars, names).collect())


@pytest.mark.parametrize("module", [aca_l0, aca_hdr3, dark_cal, obspar, asp_l1, acq_stats, guide_stats, vv])
def test_the_migration_has_a_row_for_each_function(module: ModuleType) -> None:
    text = MIGRATION.read_text(encoding="utf-8")
    short = module.__name__.rpartition(".")[2]
    functions = [name for name in module.__all__ if callable(getattr(module, name))]
    assert [name for name in functions if not re.search(rf"{short}\.{name}[(\[]", text)] == []


@pytest.mark.parametrize("document", [*DOCUMENTS, *ROOT.glob("C*.md")], ids=lambda document: document.name)
def test_the_files_that_a_document_names_are_there(document: Path) -> None:
    folders = "benchmarks|docs|examples|ingest|mica_lake|sql|tests"
    named = re.findall(rf"`((?:{folders})/[\w./]*)`", document.read_text(encoding="utf-8"))
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


# The modules of the API's pages, which docs/generated.py lists for MkDocs.
API = re.findall(r"api/([\w.]+)\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def members_with_examples(module: ModuleType) -> Iterator[doctest.DocTest]:
    for name in module.__all__:
        public = getattr(module, name)
        if callable(public):
            yield from doctest.DocTestFinder().find(public, name, module=False, globs={})


@pytest.mark.parametrize("name", API)
def test_examples_of_the_api_use_only_what_its_page_begins_with_and_they_import(name: str) -> None:
    module = import_module(name)
    known = {"Path", "np", "demo_lake", "_", *module.__all__, *dir(builtins)}
    for test in members_with_examples(module):
        table = symtable("".join(example.source for example in test.examples), test.name, "exec")
        symbols = [symbol for one in (table, *table.get_children()) for symbol in one.get_symbols()]
        given = {it.get_name() for it in symbols if it.is_assigned() or it.is_imported() or it.is_parameter()}
        used = {it.get_name() for it in symbols if it.is_referenced()}
        assert used - given - known == set(), test.name


def test_the_pages_of_the_api_are_those_that_are_made() -> None:
    made = (ROOT / "docs" / "generated.py").read_text(encoding="utf-8").split("API_PAGE")[0]
    names = re.findall(r'^            "([\w.]+)",$', made, re.MULTILINE)
    assert ["mica_lake", *(f"mica_lake.{name}" for name in names)] == API
