"""The documents agree with the declarations, and their examples run."""

import re
from pathlib import Path

import pytest

from mica_lake.hdr3_msids import PSEUDO_MSIDS
from mica_lake.lake import Lake
from mica_lake.tables import (
    ACA_CENT,
    ACA_L0,
    ACQ_STATS,
    ASP_L1_FILE,
    ASP_SOL,
    DARK_CAL,
    DARK_CAL_DISTRIBUTION,
    DARK_CAL_IMAGE,
    GUIDE_STATS,
    OBSPAR,
    OBSPAR_KV,
    Table,
)

DOCS = Path(__file__).parent.parent / "docs"
PRODUCTS = {
    "dark_cal": (DARK_CAL, DARK_CAL_IMAGE, DARK_CAL_DISTRIBUTION),
    "obspar": (OBSPAR, OBSPAR_KV),
    "asp_l1": (ASP_L1_FILE, ASP_SOL, ACA_CENT),
    "stats": (ACQ_STATS, GUIDE_STATS),
}


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_columns_of_aca_l0_in_the_document_are_those_declared() -> None:
    rows = [line for line in (DOCS / "aca_l0.md").read_text(encoding="utf-8").splitlines() if line.count("|") == 6]
    declared = [
        f"| {c.name} | {c.type} | {c.unit} | {c.meaning} | {', '.join(map(str, c.imgsizes))} |" for c in ACA_L0.columns
    ]
    assert rows[2:] == declared


@pytest.mark.parametrize(
    ("name", "table"),
    [(name, table) for name, tables in PRODUCTS.items() for table in tables],
    ids=[table.name for tables in PRODUCTS.values() for table in tables],
)
def test_the_columns_of_each_table_in_the_document_are_those_declared(name: str, table: Table) -> None:
    section = (DOCS / f"{name}.md").read_text(encoding="utf-8").split(f"### `{table.name}`\n")[1].split("###")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows[2:] == [f"| {c.name} | {c.type} | {c.unit} | {c.meaning} | {c.source} |" for c in table.columns]


def test_the_pseudo_msids_in_the_document_are_those_declared() -> None:
    rows = [line for line in (DOCS / "hdr3.md").read_text(encoding="utf-8").splitlines() if line.count("|") == 9]
    declared = [
        f"| {m.name} | {m.id} | {' '.join(f'{s}:{w}' for s, w in m.bytes)} | {'signed' if m.signed else 'unsigned'} "
        f"| {f'{m.scale:g}' if m.kind == 'linear' else m.kind} | {m.unit} | {m.type} | {m.description} |"
        for m in PSEUDO_MSIDS
    ]
    assert rows[2:] == declared
    assert all(
        f"| {m.name} | {m.id} | {m.differs} |" in (DOCS / "hdr3.md").read_text() for m in PSEUDO_MSIDS if m.differs
    )


@pytest.mark.parametrize("name", [*PRODUCTS, "vv"])
def test_the_python_examples_of_a_document_run(name: str, demo_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICA_LAKE", demo_lake)
    (code,) = blocks(name, "python")
    exec(compile(code, name, "exec"), {})


@pytest.mark.parametrize(
    "query",
    [
        query
        for name in [*PRODUCTS, "vv"]
        for block in blocks(name, "sql")
        for query in block.split(";")
        if query.strip()
    ],
)
def test_the_sql_examples_of_a_document_have_answers(query: str, demo_lake: str) -> None:
    assert Lake(demo_lake).sql(query).fetchall()
