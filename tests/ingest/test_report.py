"""What an ingest says it did."""

import io

import pytest
from rich.console import Console

from mica_lake.ingest.report import Report

NOTHING = "Nothing to do: the lake has all of it."


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Report("obspar", unchanged=1), NOTHING),
        # Of a lake that an older mica-lake made, or whose default revision is another now.
        (Report("obspar", unchanged=1, partitions=2), "No file is new; what was out of date was rewritten."),
    ],
)
def test_only_an_ingest_that_wrote_nothing_had_nothing_to_do(report: Report, said: str) -> None:
    console = Console(file=io.StringIO(), width=100)
    report.show(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert said in text
    assert (NOTHING in text) is (said == NOTHING)
