"""`--json`, for cron and dashboards: valid JSON and nothing else on standard output, exit codes as without it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import in_process

from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.times import cxcsec

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
START = cxcsec("2024:001")
BAD = "acaf820454000N001_5_img0.fits.gz"
OF_A_PRODUCT = {
    "product", "derived_from", "taken", "replaced", "superseded", "unchanged", "gone", "unlisted", "set_aside", "rows",
    "partitions", "bytes_in", "bytes_out", "seconds",
}  # fmt: skip


def mica_lake(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = in_process(arguments, {})
    assert done.returncode == code, done.stdout + done.stderr
    return done


def answer(*arguments: object, code: int = 0) -> dict[str, Any]:
    """What is on standard output, which is JSON as its standard has it."""
    done = mica_lake(*arguments, "--json", code=code)
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert done.stdout.isascii()
    assert found.get("exit_code", code) == code
    assert done.stderr == ""
    return found


def keys(found: Any) -> set[str]:
    """All keys that have names of ours."""
    if isinstance(found, dict):
        inside = set().union(*(keys(one) for one in found.values()))
        return inside | {key for key in found if re.fullmatch("[a-z_]+", key)}
    return set().union(*map(keys, found)) if isinstance(found, list) else set()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    write_archive(folder, START, START + 600, slots=[3, 4], hard_cases=False)
    return folder


def test_an_ingest(files: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    arguments = ("ingest", "aca_l0", "--from", files, "--lake", lake)
    plan = answer(*arguments, "--dry-run")
    assert (plan["dry_run"], plan["products"][0]["taken"], lake.exists()) == (True, 2, False)
    first = answer(*arguments)
    assert (first["lake"], first["dry_run"], first["failed"], first["absent"]) == (str(lake), False, [], [])
    taken, *derived = first["products"]
    assert (taken["product"], taken["derived_from"], taken["taken"], taken["rows"]) == ("aca_l0", None, 2, 586)
    assert {one["product"]: one["derived_from"] for one in derived} == {"hdr3": "aca_l0", "binned": "aca_l0"}
    assert all(set(one) == OF_A_PRODUCT for one in first["products"])
    (files / BAD).write_bytes(b"")
    second = answer(*arguments, code=3)["products"][0]
    assert (second["taken"], second["unchanged"]) == (0, 2)
    assert [(Path(name).name, why) for name, why in second["set_aside"].items()] == [(BAD, "the file is empty")]
    assert answer("verify", "--lake", lake)["set_aside"] == 1
    (hdr3,) = answer("ingest", "hdr3", "--lake", lake)["products"]
    assert (hdr3["product"], hdr3["derived_from"]) == ("hdr3", "aca_l0")


def test_all_three_name_the_lake_in_full(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lakes = [answer(*command, "--lake", "lake")["lake"] for command in (
        ("ingest", "aca_l0", "--from", "files"), ("ingest", "hdr3"), ("status",), ("verify",)
    )]  # fmt: skip
    assert lakes == [str(tmp_path / "lake")] * 4


def test_an_ingest_of_all(files: Path, tmp_path: Path) -> None:
    ska = tmp_path / "ska"
    (ska / "data/mica/archive").mkdir(parents=True)
    files.rename(ska / "data/mica/archive/aca0")
    (ska / "data/acq_stats").mkdir(parents=True)
    (ska / "data/acq_stats/acq_stats.h5").write_bytes(b"not HDF5")
    arguments = ("ingest", "all", "--from", ska, "--lake", tmp_path / "lake")
    assert "not there" in mica_lake(*arguments, "--dry-run", code=3).stdout
    found = answer(*arguments, "--dry-run", code=3)
    assert found["products"][0]["taken"] == 2
    assert "guide_stats" in found["absent"]
    assert found["failed"] == []


def test_a_product_that_fails_is_named(files: Path, tmp_path: Path) -> None:
    ska = tmp_path / "ska"
    (ska / "data/mica/archive").mkdir(parents=True)
    files.rename(ska / "data/mica/archive/aca0")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "other").touch()
    found = answer("ingest", "all", "--from", ska, "--lake", tmp_path / "lake", code=1)
    ((failed, why),) = [(one["product"], one["why"]) for one in found["failed"]]
    assert failed == "aca_l0"
    assert "is not a mica lake" in why


def test_a_status(demo_lake: str, files: Path, tmp_path: Path) -> None:
    found = answer("status", "--lake", demo_lake)
    assert found["lake"] == demo_lake
    rows = Lake(demo_lake).status()
    assert [table["table"] for table in found["tables"]] == rows["table_name"].to_list()
    assert [table["rows"] for table in found["tables"]] == rows["rows"].to_list()
    assert found["partitions"] == rows["partitions"].sum()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["last_change"])
    assert found["missing"] == {"files": 0, "start": None, "stop": None}
    assert found["to_look_at"] == []
    (files / BAD).write_bytes(b"")
    answer("ingest", "aca_l0", "--from", files, "--lake", tmp_path / "lake", code=3)
    small = answer("status", "--lake", tmp_path / "lake")
    assert small["missing"] is None
    assert small["to_look_at"] == [{"file": str(files / BAD), "status": "set aside", "reason": "the file is empty"}]


def test_a_verify(files: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    answer("ingest", "aca_l0", "--from", files, "--lake", lake)
    good = answer("verify", "--lake", lake)
    assert (good["lake"], good["findings"], good["without_page_checksums"], good["sample"]) == (str(lake), [], 0, 1.0)
    assert good["tables"]["aca_l0"] == {
        "partitions": 2, "rows": 586, "files": 0, "left_out": 0, "superseded": 0, "set_aside": 0, "wrong": 0
    }  # fmt: skip
    assert answer("verify", "--lake", lake, "--from", files)["tables"]["aca_l0"]["files"] == 2
    for partition in (lake / "aca_l0").rglob("slot=3/*.parquet"):
        partition.unlink()
    bad = answer("verify", "--lake", lake, code=4)
    assert bad["tables"]["aca_l0"]["wrong"] == len(bad["findings"]) == 1
    assert set(bad["findings"][0]) == {"table", "where", "what", "mend"}


@pytest.mark.parametrize("command", ["status", "verify"])
def test_an_error_leaves_standard_output_empty(command: str, tmp_path: Path) -> None:
    done = mica_lake(command, "--json", "--lake", tmp_path / "absent", code=1)
    assert done.stdout == ""
    assert "absent" in done.stderr


def test_each_key_is_documented(demo_lake: str, files: Path, tmp_path: Path) -> None:
    document = OPERATIONS.read_text(encoding="utf-8")
    lake = tmp_path / "lake"
    (files / BAD).write_bytes(b"")
    ingested = answer("ingest", "aca_l0", "--from", files, "--lake", lake, code=3)
    for partition in (lake / "aca_l0").rglob("slot=3/*.parquet"):
        partition.unlink()
    verified = answer("verify", "--lake", lake, code=4)
    tables = {table["table"] for table in answer("status", "--lake", demo_lake)["tables"]}
    said = (
        keys(ingested)
        | keys(verified)
        | keys(answer("status", "--lake", lake))
        | keys(answer("status", "--lake", demo_lake))
    )
    assert [key for key in sorted(said - tables) if f"`{key}`" not in document] == []
