"""What an ingest says it did."""

import io

import pytest
from rich.console import Console

from mica_lake.ingest.report import Report

NOTHING = "Nothing to do: the lake has all of it."


def shown(report: Report) -> str:
    """What it prints on a terminal that is narrower than its names."""
    console = Console(file=io.StringIO(), width=40)
    report.show(console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_many_files_of_one_reason_are_one_line_with_the_first_name_whole() -> None:
    folder = "/proj/sot/ska/data/mica/archive/aca0/2024/001"
    report = Report("aca_l0", unlisted=[f"{folder}/acaf{n}N001_0_img0.fits.gz" for n in range(6)], gone=["a.fits"])
    lines = shown(report).splitlines()
    assert lines[0] == "aca_l0: 1 file is gone from the archive: a.fits"
    assert lines[1] == (
        "aca_l0: 6 files are left alone, as archfiles.db3 does not list them: "
        f"{folder}/acaf0N001_0_img0.fits.gz and 5 others"
    )
    assert "acaf1N001" not in lines[2]


def test_names_are_never_cut() -> None:
    name, reason = "acaf820497600N001_0_img0.fits.gz", "it is truncated: 2880 of 14,400 bytes are there"
    report = Report("aca_l0", set_aside={name: reason}, superseded={f"{n}{name}": "it overlaps" for n in range(21)})
    lines = shown(report).splitlines()
    assert f"  {name}: {reason}" in lines
    assert f"  19{name}: it overlaps" in lines
    assert """  … and 1 more: mica-lake sql "FROM source_file WHERE status = 'superseded'\"""" in lines


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
