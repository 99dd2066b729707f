"""The documents agree with the declarations."""

from pathlib import Path

from mica_lake.tables import ACA_L0

DOCS = Path(__file__).parent.parent / "docs"


def test_the_columns_in_the_document_are_those_declared() -> None:
    rows = [line for line in (DOCS / "aca_l0.md").read_text(encoding="utf-8").splitlines() if line.count("|") == 6]
    declared = [
        f"| {c.name} | {c.type} | {c.unit} | {c.meaning} | {', '.join(map(str, c.imgsizes))} |" for c in ACA_L0.columns
    ]
    assert rows[2:] == declared
