"""The command ``mica-lake dark process``: from raw replicas to the lake."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from commands import in_process

from mica_lake.lake import Lake
from mica_lake.simulate.dark_replicas import Replicas, write_replicas


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Replicas:
    return write_replicas(tmp_path_factory.mktemp("raw"), "2022069")


def test_replicas_are_processed_and_taken_into_the_lake(raw: Replicas, tmp_path: Path) -> None:
    given = ("--temps", raw.telemetry, "--zodi", raw.zodi, "-o", tmp_path / "out", "--ingest")
    done = in_process(("dark", "process", *raw.files, *given), {"MICA_LAKE": tmp_path / "lake"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "dark current calibration 2022069, -9.61 °C" in done.stdout
    assert "missing:" not in done.stdout
    image = fits.getdata(tmp_path / "out" / "2022069" / "image.fits")
    assert abs(np.median(image - raw.truth)) < 0.2
    ((dark_id, zodib, warm),) = (
        Lake(tmp_path / "lake").sql("SELECT dark_id, zodib, n_warm FROM dark_cal JOIN warm_pixels(100) USING (dark_id)")
    ).fetchall()
    assert (dark_id, warm) == ("2022069", (image > 100).sum())
    assert 22 < zodib < 60


def test_what_is_missing_is_said(raw: Replicas, tmp_path: Path) -> None:
    done = in_process(("dark", "process", raw.files[0], *raw.files[2:], "--temps", raw.telemetry), {}, tmp_path)
    assert done.returncode == 0
    assert "replica 2 is missing: there is no file of it" in done.stdout
    assert sorted(path.name for path in (tmp_path / "2022069").iterdir()) == ["image.fits", "properties.json"]


def test_an_error_leaves_nothing(raw: Replicas, tmp_path: Path) -> None:
    bad = tmp_path / raw.files[4].name
    with fits.open(raw.files[4]) as hdus:
        hdus[1].data["INTEG"][7] = 4e4
        hdus.writeto(bad)
    given = ("--temps", raw.telemetry, "-o", tmp_path / "out", "--ingest", "--lake", tmp_path / "lake")
    done = in_process(("dark", "process", *raw.files[:4], bad, *given), {})
    assert (done.returncode, done.stdout) == (1, "")
    said = " ".join(done.stderr.split())
    assert said.endswith(f"{bad}: INTEG is 40000 in row 8 of 4,096; it should be about 5 or 10 s")
    assert list(tmp_path.iterdir()) == [bad]


def test_without_a_lake_or_a_file_the_temperatures_are_not_known(raw: Replicas, tmp_path: Path) -> None:
    done = in_process(("dark", "process", *raw.files), {}, tmp_path)
    assert done.returncode == 1
    assert "which lake?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_help_has_an_example() -> None:
    assert "Example: mica-lake dark process" in in_process(("dark", "process", "--help"), {}).stdout
    assert "process" in in_process(("dark", "--help"), {}).stdout
