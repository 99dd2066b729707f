"""The demo's lake: made once, whole, by whoever comes first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mica_lake
from mica_lake.lake import Lake

ASK = """
import mica_lake
from mica_lake.lake import Lake
lake = mica_lake.demo_lake("twenty years")
print(lake.root, lake.sql("SELECT count(DISTINCT obsid) FROM acq_stats").fetchall())
"""


def test_two_that_ask_at_once_get_the_same_whole_lake(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", ASK], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    (first, _), (second, _) = (one.communicate() for one in both)
    assert first == second
    assert first.endswith("[(1594,)]\n")
    (folder,) = (tmp_path / "mica-lake").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["lake", "ska"]


def test_what_is_made_stays(demo_lake: str) -> None:
    before = Path(demo_lake).stat().st_ino
    assert (str(mica_lake.demo_lake().root), Path(demo_lake).stat().st_ino) == (demo_lake, before)


def test_a_lake_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="of 'a year' is not one of 'two hours', 'twenty years'"):
        mica_lake.demo_lake("a year")


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError, match="mica-lake"):
        mica_lake.demo_lake("twenty years")


def test_the_temperature_of_the_ccd_is_the_same_in_both_places_and_covers_all_of_it(demo_lake: str) -> None:
    ((rows, apart),) = (
        Lake(demo_lake)
        .sql(
            "SELECT count(*), max(abs(ccd_temp - (TEMPCCD - 273.15))) "
            "FROM hdr3_data('2024:001', '2024:001:02:00') JOIN slot_data('2024:001', '2024:001:02:00', 6) USING (TIME)"
        )
        .fetchall()
    )
    ((all_rows,),) = Lake(demo_lake).sql("SELECT count(*) FROM slot_data('2024:001', '2024:001:02:00', 0)").fetchall()
    assert rows >= all_rows - 1
    assert apart <= 0.2 + 0.01  # the camera's own telemetry is in steps of 0.4 °C
