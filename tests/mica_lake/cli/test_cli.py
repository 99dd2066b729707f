"""The command line, as a person or cron runs it."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer
from astropy.io import fits
from commands import in_process

from mica_lake.cli.app import app
from mica_lake.lake import Lake
from mica_lake.simulate.aca_l0 import readouts, times, write_archive, write_file
from mica_lake.store.place import store_of
from mica_lake.times import cxcsec, utc

START = cxcsec("2024:001")
COUNT = "SELECT count(*) AS n FROM slot_data('2024:001', '2024:001:00:10', 3)"


def mica_lake(*arguments: object, lake: object = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return in_process(arguments, {} if lake is None else {"MICA_LAKE": lake}, cwd)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    write_archive(folder, START, START + 600, slots=[3, 4], hard_cases=False)
    return folder


def test_without_arguments_it_says_what_it_can_do() -> None:
    done = mica_lake()
    assert all(command in done.stdout for command in ("ingest", "sql", "status", "verify", "reindex", "demo"))


def _commands(group: Any = None, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each command, with those of groups."""
    yield names
    for name, command in getattr(group or typer.main.get_command(app), "commands", {}).items():
        yield from _commands(command, (*names, name))


COMMANDS = list(_commands())


def help_of(command: tuple[str, ...]) -> str:
    """What it says on a terminal of 80 columns."""
    done = in_process((*command, "--help"), {"COLUMNS": 80})
    assert done.returncode == 0
    return done.stdout


def test_the_help_of_each_command_fits_a_screen_and_has_an_example() -> None:
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        said = help_of(command)
        assert len(said.rstrip().splitlines()) <= 40, command
        assert max(map(len, said.splitlines())) <= 80, command
        assert not command or "Example: " + " ".join(("mica-lake", *command)) in said


def test_the_examples_of_the_help_work(demo_lake: str, demo_ska: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_lake, tmp_path / "lake")
    # What the others do takes long, or an archive; other tests do it.
    for command in ("msid", "report", "sql", "starcheck", "status", "vv", "reindex", "verify"):
        example = " ".join(help_of((command,)).split("Example: mica-lake ")[1].split("╭")[0].split())
        example = example.replace("$SKA", str(demo_ska)).replace("/data/mica_lake", str(tmp_path / "lake"))
        done = mica_lake(*shlex.split(example), lake=tmp_path / "lake", cwd=tmp_path)
        assert done.returncode == 0, f"{example}: {done.stderr}"
        assert done.stdout


def test_ingest_takes_files_and_a_second_run_has_nothing_to_do(files: Path, tmp_path: Path) -> None:
    first = mica_lake("ingest", "aca_l0", "--from", files, "--lake", tmp_path / "lake")
    assert first.returncode == 0, first.stderr
    assert "│ taken                   │        2 │" in first.stdout
    second = mica_lake("ingest", "aca_l0", "--from", files, lake=tmp_path / "lake")
    assert second.returncode == 0
    assert "Nothing to do" in second.stdout


def test_there_is_no_progress_bar_where_there_is_no_terminal(files: Path, tmp_path: Path) -> None:
    done = mica_lake("ingest", "aca_l0", "--from", files, "--lake", tmp_path / "lake")
    assert "━━━━ " not in done.stdout.split("┏")[0]
    assert done.stderr == ""


def test_a_dry_run_shows_the_plan_and_makes_no_lake(files: Path, tmp_path: Path) -> None:
    done = mica_lake("ingest", "aca_l0", "--from", files, "--lake", tmp_path / "lake", "--dry-run")
    assert done.returncode == 0
    assert "aca_l0: plan" in done.stdout
    assert not (tmp_path / "lake").exists()


def test_a_bad_file_is_set_aside_with_exit_code_3_and_status_lists_it(files: Path, tmp_path: Path) -> None:
    bad = files / "acaf820454000N001_5_img0.fits.gz"
    bad.write_bytes(b"")
    done = mica_lake("ingest", "aca_l0", "--from", files, "--lake", tmp_path / "lake")
    assert done.returncode == 3
    assert f"{bad.name}: the file is empty\n" in done.stdout
    status = mica_lake("status", lake=tmp_path / "lake")
    assert status.returncode == 0
    # Its name can be copied, however wide the terminal is.
    assert f"1 file needs a look:\n  {bad}: set aside, the file is empty\n" in status.stdout


def test_an_ingest_from_nowhere_fails_and_makes_no_lake(tmp_path: Path) -> None:
    done = mica_lake("ingest", "aca_l0", "--from", tmp_path / "absent", "--lake", tmp_path / "lake")
    assert done.returncode == 1
    assert "absent: there is no such file or folder" in done.stderr
    assert not (tmp_path / "lake").exists()


def test_an_ingest_into_a_folder_of_other_things_is_refused(files: Path) -> None:
    done = mica_lake("ingest", "aca_l0", "--from", files, "--lake", files)
    assert done.returncode == 1
    assert "is not a mica lake and is not empty" in done.stderr


def test_an_ingest_into_a_locked_lake_says_who_has_it(files: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    assert mica_lake("ingest", "aca_l0", "--from", files, "--lake", lake).returncode == 0
    with store_of(lake).lock(lake / "_catalog" / "lock"):
        done = mica_lake("ingest", "aca_l0", "--from", files, "--lake", lake)
    assert done.returncode == 1
    assert f"process {os.getpid()} on" in done.stderr


def test_without_a_lake_it_says_how_to_name_or_make_one(tmp_path: Path) -> None:
    unnamed = mica_lake("status")
    assert unnamed.returncode == 1
    assert "Set MICA_LAKE" in unnamed.stderr
    absent = mica_lake("status", lake=tmp_path)
    assert absent.returncode == 1
    assert "mica-lake ingest aca_l0 --from FILES" in absent.stderr


def test_sql_has_null_for_what_json_has_not(demo_lake: str, tmp_path: Path) -> None:
    query = """
        SELECT 'nan'::DOUBLE AS a, '-inf'::FLOAT AS b, [1.5, 'nan'::DOUBLE] AS c, {'x': 'inf'::DOUBLE} AS d,
            'NaN, "-Infinity" ' || chr(92) AS text, -2.5 AS e
        FROM range(2)
    """
    row = {"a": None, "b": None, "c": [1.5, None], "d": {"x": None}, "text": 'NaN, "-Infinity" \\', "e": -2.5}

    def strictly(text: str) -> object:
        return json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))

    assert strictly(mica_lake("sql", query, "--format", "json", lake=demo_lake).stdout) == [row, row]
    mica_lake("sql", query, "--format", "json", "-o", str(tmp_path / "a.json"), lake=demo_lake)
    assert strictly((tmp_path / "a.json").read_text()) == [row, row]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_sql_prints_a_table_csv_or_json(demo_lake: str) -> None:
    assert "│   293 │" in mica_lake("sql", COUNT, lake=demo_lake).stdout
    assert mica_lake("sql", COUNT, "--format", "csv", lake=demo_lake).stdout == "n\n293\n"
    assert json.loads(mica_lake("sql", COUNT, "--format", "json", lake=demo_lake).stdout) == [{"n": 293}]


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_sql_tells_what_there_is_in_texts_that_are_whole(columns: int, demo_lake: str) -> None:
    objects = Lake(demo_lake).sql("FROM lake_objects").fetchall()
    done = in_process(("sql", "FROM lake_objects", "--lake", demo_lake), {"COLUMNS": columns})
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("├"):
            rows.append([""] * 5)
        elif line.startswith("│") and rows:
            rows[-1] = [
                cell + more.replace(" ", "") for cell, more in zip(rows[-1], line.split("│")[1:-1], strict=True)
            ]
    assert rows == [[cell.replace(" ", "") for cell in row] for row in objects]


def test_sql_leaves_out_what_does_not_fit(demo_lake: str) -> None:
    query = ("sql", "FROM slot_data('2024:001', '2024:001:00:01', 3) ORDER BY TIME", "--lake", demo_lake)
    table = in_process(query, {"COLUMNS": 100}).stdout
    assert "│ 820454470.0667386 │" in table
    assert "49 columns (" in table
    assert max(map(len, table.splitlines())) == 100
    many = in_process(("sql", "FROM lake_columns", "--lake", demo_lake), {"COLUMNS": 100}).stdout
    assert "(20 shown)" in many


def test_sql_appends_to_a_redirected_output(demo_lake: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        log.write("before\n")
        log.flush()
        command = [Path(sys.executable).with_name("mica-lake"), "sql", COUNT, "--format", "csv", "--lake", demo_lake]
        subprocess.run(command, stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "before\nn\n293\n"


def test_sql_writes_a_file_by_its_ending(demo_lake: str, tmp_path: Path) -> None:
    query = "SELECT TIME, IMGRAW FROM slot_data('2024:001', '2024:001:00:10', 3);"
    for name in ("a.parquet", "a.csv", "a.json"):
        assert mica_lake("sql", query, "-o", tmp_path / name, lake=demo_lake).returncode == 0
    assert pl.read_parquet(tmp_path / "a.parquet").shape == (293, 2)
    assert len(list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))) == 293
    assert len(json.loads((tmp_path / "a.json").read_text())) == 293
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json", "a.parquet"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["SELECT 1", "-o", "a.txt"], "its ending should be"),
        (["SELECT 1", "-o", "a.csv", "--format", "table"], "a table goes to the terminal"),
        (["SELECT 1", "--format", "parquet"], "Parquet goes to a file"),
        (["FROM slot_data('2024:001', '2024:002', 9)"], "slot 9 is not one of 0 to 7"),
        (["FROM slot_data('2024:001', 'tomorrow', 3)"], "'tomorrow' is not a time"),
        (["SELECT NONSENSE FROM slot_data('2024:001', '2024:002', 3)"], "NONSENSE"),
        (["FROM slot_data('2024:002', '2024:001', 3)"], "is before start"),
        (["SELECT 1; SELECT 2"], "one SELECT"),
        (["SELEC 1"], "syntax error"),
        (["COPY (SELECT 1) TO 'here.csv'"], "nothing that writes"),
        (["CREATE TABLE t AS SELECT 1"], "nothing that writes"),
        (["SET enable_external_access = true"], "nothing that writes"),
        (["FROM read_csv('/etc/passwd')"], "disabled by configuration"),
        (["EXPLAIN SELECT 1", "--format", "csv"], "plan goes to the terminal"),
    ],
)
@pytest.mark.often(7)
def test_a_wrong_question_gets_a_message_and_leaves_nothing(
    arguments: list[str], expected: str, demo_lake: str, tmp_path: Path
) -> None:
    done = mica_lake("sql", *arguments, lake=demo_lake, cwd=tmp_path)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("ingest", "aca_10"), "there is no product 'aca_10'; near it: aca_l0. The products are all, aca_l0, hdr3,"),
        (("ingest",), "which product? The products are all, aca_l0, hdr3,"),
        (("sql", "FROM slot_data(1, 2)"), "Candidate macros:\n    slot_data(start, stop, slot)\n"),
    ],
)
def test_what_parser_and_engine_say_in_several_lines_is_readable(
    arguments: tuple[str, ...], expected: str, demo_lake: str
) -> None:
    said = mica_lake(*arguments, lake=demo_lake).stderr
    assert expected in said
    assert "\\t" not in said
    assert "\\n" not in said


def test_a_failed_answer_leaves_the_old_file(demo_lake: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    query = "SELECT error('late') FROM slot_data('2024:001', '2024:001:00:10', 3)"
    assert mica_lake("sql", query, "-o", tmp_path / "a.csv", lake=demo_lake).returncode == 1
    assert (tmp_path / "a.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_reindex_derives_the_catalog_and_names_what_is_damaged(files: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_file(files, 5, readouts(5, 8, times(START, START + 60, 8)))
    assert mica_lake("ingest", "aca_l0", "--from", files, "--lake", lake).returncode == 0
    (lake / "_catalog" / "current").unlink()
    assert "mica-lake reindex" in mica_lake("status", lake=lake).stderr
    assert mica_lake("reindex", lake=lake).returncode == 0
    # Of two years: 3 slots and hdr3, the statistics of these, each over 5 minutes and a day.
    partitions = len(list(lake.rglob("data.parquet")))
    assert partitions == 3 + 1 + 2 * (3 + 1) * 2
    assert f" in {partitions} partitions, from 3 source files" in mica_lake("status", lake=lake).stdout
    damaged = lake / "aca_l0/year=2024/doy=1/slot=5/data.parquet"
    damaged.unlink()
    damaged.write_bytes(b"PAR1")
    done = mica_lake("reindex", lake=lake)
    assert done.returncode == 3
    assert "slot=5/data.parquet is damaged" in done.stdout
    assert mica_lake("ingest", "aca_l0", "--from", files, "--lake", lake).returncode == 0
    assert mica_lake("reindex", lake=lake).returncode == 0


@pytest.mark.soak
def test_the_demo_leaves_a_lake_and_two_pictures(tmp_path: Path) -> None:
    done = mica_lake("demo", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert all(door in done.stdout for door in ("Python", "SQL", "Polars", "file by file"))
    assert all(product in done.stdout for product in ("aca_l0", "hdr3", "dark_cal", "obspar", "asp_l1"))
    for picture in ("demo.png", "warm_pixels.png"):
        assert (tmp_path / "demo" / picture).stat().st_size > 10_000
    across = done.stdout.split("A question across products")[1].split("Pictures")[0]
    assert across.count("ACIS") + across.count("HRC") >= 4
    assert "aca_l0" in mica_lake("status", lake=tmp_path / "demo" / "lake").stdout


def test_ingest_all_takes_each_product_and_tells_on_its_own_line(demo_ska: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    done = mica_lake("ingest", "all", "--from", demo_ska, "--lake", lake)
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line[:1].islower()}
    assert lines["aca_l0"] == ["not", "there"]
    assert lines["dark_cal"][:3] == ["4", "0", "0"]
    assert lines["obspar"][:3] == ["1", "0", "0"]
    assert lines["asp_l1"][:3] == ["12", "0", "0"]  # two aspect intervals
    assert "dark_cal_image" in mica_lake("status", lake=lake).stdout
    again = mica_lake("ingest", "all", "--from", demo_ska, "--lake", lake)
    assert [line.split()[1:3] for line in again.stdout.splitlines() if line.startswith("asp_l1")] == [["0", "12"]]


def test_ingest_all_goes_on_after_a_product_that_fails_and_after_bad_files(demo_ska: Path, tmp_path: Path) -> None:
    ska = tmp_path / "ska"
    shutil.copytree(demo_ska, ska, symlinks=True)
    (ska / "data/mica/archive/aca_dark/2022069/image.fits").write_bytes(b"no image")
    done = mica_lake("ingest", "all", "--from", ska, "--lake", tmp_path / "lake")
    assert done.returncode == 3
    assert "2022069/image.fits" in done.stdout
    (ska / "data/mica/archive/aca0").mkdir()
    (ska / "data/mica/archive/aca0/archfiles.db3").write_bytes(b"no database")
    done = mica_lake("ingest", "all", "--from", ska, "--lake", tmp_path / "other")
    assert done.returncode == 1
    assert "failed: aca_l0: " in done.stdout
    assert "obspar_kv" in mica_lake("status", lake=tmp_path / "other").stdout


def test_ingest_all_needs_a_ska_root(tmp_path: Path) -> None:
    done = mica_lake("ingest", "all", "--from", tmp_path, "--lake", tmp_path / "lake")
    assert done.returncode == 1
    assert "is not a $SKA root" in done.stderr


@pytest.mark.often(1)
@pytest.mark.parametrize("product", ["dark_cal", "obspar", "asp_l1"])
def test_a_product_is_taken_alone(product: str, demo_ska: Path, tmp_path: Path) -> None:
    done = mica_lake("ingest", product, "--from", demo_ska, "--lake", tmp_path / "lake", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "lake").exists()
    done = mica_lake("ingest", product, "--from", demo_ska, "--lake", tmp_path / "lake")
    assert done.returncode == 0, done.stderr
    assert f"{product}" in done.stdout
    assert (tmp_path / "lake" / "_catalog" / "current").exists()


def test_the_demo_leaves_a_folder_of_other_things_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    done = mica_lake("demo", tmp_path)
    assert done.returncode == 1
    assert "holds other things" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_msid_prints_a_summary(demo_lake: str) -> None:
    done = mica_lake("msid", "ccd_det_therm", "164", "--start", "2024:001", "--stop", "2024:001:00:10", lake=demo_lake)
    assert done.returncode == 0, done.stderr
    assert "ccd_det_therm │ 074 │ °C" in done.stdout
    assert "ad_m15v_ps" in done.stdout
    assert done.stdout.count("│ 146 │") + done.stdout.count("│ 147 │") == 2


def test_msid_writes_values_or_a_plot(demo_lake: str, tmp_path: Path) -> None:
    asked = ["msid", "ccd_det_therm", "ad_5v_ps", "--start", "2024:001", "--stop", "2024:001:02:00"]
    starts = {"a.png": b"\x89PNG", "a.svg": b"<?xml", "a.pdf": b"%PDF"}
    names = ("a.csv", "a.parquet", "a.fits", "a.npy", *starts)
    for name in names:
        done = mica_lake(*asked, "-o", tmp_path / name, lake=demo_lake)
        assert done.stdout.startswith(f"{tmp_path / name}: 1,756 rows, {(tmp_path / name).stat().st_size:,} bytes\n"), (
            done.stderr
        )
    frame = pl.read_parquet(tmp_path / "a.parquet")
    assert frame.columns == ["time", "ccd_det_therm", "ad_5v_ps"]
    assert frame["ad_5v_ps"].null_count() == 1  # the last readout's header is not whole
    text = pl.read_csv(tmp_path / "a.csv")
    assert text.columns == ["time", "date", "ccd_det_therm", "ad_5v_ps"]
    assert text["date"].to_list() == [utc(time) for time in frame["time"]]
    assert text.drop("date").equals(frame)
    array = np.load(tmp_path / "a.npy", allow_pickle=False)
    table = fits.getdata(tmp_path / "a.fits")
    for column in frame.columns:
        expected = frame[column].fill_null(float("nan")).to_numpy()
        np.testing.assert_array_equal(array[column], expected)
        np.testing.assert_array_equal(table[column], expected)
    for name, start in starts.items():
        assert (tmp_path / name).read_bytes().startswith(start)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ccd_tmp", "--start", "2024:001"], "near it: ccd_temp"),
        (["ccd_temp", "--start", "yesterday"], "'yesterday' is not a time"),
        (["ccd_temp", "--start", "2024:002", "--stop", "2024:001"], "is before start"),
        (["ccd_temp", "--start", "2024:001", "-o", "a.txt"], "its ending should be"),
    ],
)
def test_a_wrong_msid_question_gets_a_message(
    arguments: list[str], expected: str, demo_lake: str, tmp_path: Path
) -> None:
    done = mica_lake("msid", *arguments, lake=demo_lake, cwd=tmp_path)
    assert done.returncode == 1
    assert expected in done.stderr
    assert list(tmp_path.iterdir()) == []


IN_THE_LAKE = "the lake has hdr3 from 2024:001:00:00 to 2024:001:01:59\n"


def test_msid_says_where_the_lake_has_values_if_there_are_none(demo_lake: str, tmp_path: Path) -> None:
    asked = ["msid", "ccd_temp", "ad_5v_ps", "--start", "2012:001", "--stop", "2012:002"]
    assert mica_lake(*asked, lake=demo_lake).stderr == f"0 good values; {IN_THE_LAKE}"
    for name in ("a.csv", "a.parquet"):
        done = mica_lake(*asked, "-o", tmp_path / name, lake=demo_lake)
        assert (done.returncode, done.stderr) == (0, f"0 good values; {IN_THE_LAKE}")
    assert (tmp_path / "a.csv").read_text() == "time,date,ccd_temp,ad_5v_ps\n"
    assert pl.read_parquet(tmp_path / "a.parquet").shape == (0, 3)
    done = mica_lake(*asked, "-o", tmp_path / "a.png", lake=demo_lake)
    assert (done.returncode, done.stderr) == (1, f"mica-lake: nothing to plot: 0 good values; {IN_THE_LAKE}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet"]
    asked[4:] = ["2024:001", "--stop", "2024:002"]
    assert mica_lake(*asked, lake=demo_lake).stderr == ""


def test_sql_says_where_the_lake_has_rows_if_a_range_has_none(demo_lake: str, tmp_path: Path) -> None:
    asked = "HDR3_data('2012:001', stop := '2012:002')"
    told = f"{asked}: 0 rows; {IN_THE_LAKE}"
    for query in (f"SELECT TIME FROM {asked}", f"SELECT 'é', avg(ccd_temp) FROM {asked} AS it"):
        for form in ("table", "csv", "json"):
            assert mica_lake("sql", query, "--format", form, lake=demo_lake).stderr == told
    assert mica_lake("sql", f"SELECT TIME FROM {asked}", "-o", tmp_path / "a.parquet", lake=demo_lake).stderr == told
    assert pl.read_parquet(tmp_path / "a.parquet").schema == {"TIME": pl.Float64}
    other = "asp_sol('2012:001', '2012:002')"
    said = mica_lake("sql", f"SELECT 1 FROM {asked} JOIN (FROM {other}) USING (time)", lake=demo_lake).stderr
    assert said == told + f"{other}: 0 rows; the lake has asp_sol from 2023:365:22:29 to 2024:001:05:42\n"


@pytest.mark.parametrize(
    "query",
    [
        "FROM obspar WHERE obsid = 3",
        "SELECT TIME FROM hdr3_data('2024:001', '2024:002') WHERE TIME < 0",
        "EXPLAIN SELECT TIME FROM hdr3_data('2012:001', '2012:002')",
    ],
)
def test_of_any_other_answer_without_rows_it_says_nothing(query: str, demo_lake: str) -> None:
    assert mica_lake("sql", query, lake=demo_lake).stderr == ""


def test_of_a_table_without_rows_it_says_so(files: Path, tmp_path: Path) -> None:
    assert mica_lake("ingest", "aca_l0", "--from", files, "--lake", tmp_path / "lake").returncode == 0
    said = mica_lake("sql", "FROM asp_sol('2012:001', '2012:002')", lake=tmp_path / "lake").stderr
    assert said == "asp_sol('2012:001', '2012:002'): 0 rows; the lake has no asp_sol\n"


def test_hdr3_is_brought_up_to_date_alone(files: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    assert mica_lake("ingest", "aca_l0", "--from", files, "--lake", lake).returncode == 0
    done = mica_lake("ingest", "hdr3", lake=lake)
    assert done.returncode == 0
    assert "hdr3, derived: up to date" in done.stdout
    assert "takes neither" in mica_lake("ingest", "hdr3", "--from", files, lake=lake).stderr
    assert "Say --from" in mica_lake("ingest", "aca_l0", lake=lake).stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("report", "x", "-o", "z"), "OBSID: 'x' is not a whole number\n"),
        (
            ("sql", "SELECT 1", "--format", "x"),
            "--format: 'x' is not one of 'table', 'csv', 'json', 'parquet', 'fits', 'npy'.\n",
        ),
        (("ingest", "all", "--jobs", "0"), "--jobs: '0' is less than 1\n"),
        (("verify", "--sample", "much"), "--sample: 'much' is not a number\n"),
        (("sql", "--format"), "Option '--format' requires an argument.\n'mica-lake --help' says more\n"),
    ],
)
def test_a_wrong_argument_is_named_in_our_words(arguments: tuple[str, ...], expected: str) -> None:
    done = mica_lake(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mica-lake: {expected}")


def test_on_a_terminal_lines_end_between_words(demo_lake: str) -> None:
    question = ("msid", "ccd_temp", "--start", "the_day_before_yesterday", "--lake", demo_lake)
    (in_one,) = in_process(question, {}).stderr.splitlines()
    assert len(in_one) > 160
    lines = in_process(
        question, {"TTY_COMPATIBLE": 1, "NO_COLOR": 1, "TERM": "dumb", "COLUMNS": 80}
    ).stderr.splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
    assert " ".join(lines) == in_one


def test_a_path_longer_than_a_line_stays_whole(tmp_path: Path) -> None:
    place = tmp_path / ("a" * 100)
    said = in_process(("status", "--lake", place), {"TTY_COMPATIBLE": 1, "NO_COLOR": 1, "COLUMNS": 80}).stderr
    assert f"{place} is not a mica lake" in said.replace("\n", " ")
