"""What the shell completes, as bash asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def completed(*written: str, lake: object = "/nowhere") -> list[str]:
    """What bash gets for the last word of a command line."""
    line = " ".join(("mica-lake", *written))
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(written)), "_MICA_LAKE_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [Path(sys.executable).with_name("mica-lake")],
        env={**os.environ, **asked, "MICA_LAKE": str(lake)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["ingest", "aca"], ["aca_l0", "aca0_list"]),
        (["msid", "ccd_t"], ["ccd_temp"]),
        (["msid", "dac", "ccd_t"], ["ccd_temp"]),
        (["sql", "'FROM hdr3"], ["FROM hdr3_5min", "FROM hdr3_daily", "FROM hdr3_data"]),
        (["sql", "'SELECT obsid FROM obspar JOIN vv_rep"], ["SELECT obsid FROM obspar JOIN vv_report"]),
        (["sql", "F"], []),
    ],
)
def test_names_of_products_msids_and_tables(written: list[str], expected: list[str]) -> None:
    assert completed(*written) == expected


def test_observations_are_those_of_the_lake(demo_lake: str) -> None:
    assert completed("vv", "32", lake=demo_lake) == ["32448"]
    assert completed("vv", "--lake", demo_lake, "32") == ["32448"]
    assert completed("vv", "9", lake=demo_lake) == []
    assert completed("starcheck", "3", lake=demo_lake) == ["32448"]


def test_without_a_lake_there_are_no_observations() -> None:
    assert completed("vv", "3") == completed("starcheck", "3") == []
