"""The documents agree with the declarations."""

from pathlib import Path

from mica_lake.hdr3_msids import PSEUDO_MSIDS
from mica_lake.tables import ACA_L0

DOCS = Path(__file__).parent.parent / "docs"


def test_the_columns_in_the_document_are_those_declared() -> None:
    rows = [line for line in (DOCS / "aca_l0.md").read_text(encoding="utf-8").splitlines() if line.count("|") == 6]
    declared = [
        f"| {c.name} | {c.type} | {c.unit} | {c.meaning} | {', '.join(map(str, c.imgsizes))} |" for c in ACA_L0.columns
    ]
    assert rows[2:] == declared


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
