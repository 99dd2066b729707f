"""What a new user sees first; the mistakes that are made most often get a message that says what would do."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import in_process

from mica_lake.archive import aca_hdr3, aca_l0
from mica_lake.errors import LakeError, MissingDataError
from mica_lake.ingest import follow
from mica_lake.lake import Lake
from mica_lake.products import PRODUCTS, product_named

PROGRAM = Path(sys.executable).with_name("mica-lake")
HOUR = ("2024:001", "2024:001:01:00")


def mica_lake(*arguments: object, **variables: object) -> subprocess.CompletedProcess[str]:
    if not {"PYTHONPATH", "_MICA_LAKE_COMPLETE"} & variables.keys():
        return in_process(arguments, variables)
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    command = [PROGRAM, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def complaint(*arguments: object, **variables: object) -> str:
    """The message of a command that fails."""
    done = mica_lake(*arguments, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mica-lake: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def without(module: str, tmp_path: Path) -> dict[str, str]:
    """What makes an import of a module fail as if it were absent."""
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError(name={module!r})")
    return {"PYTHONPATH": str(tmp_path)}


def test_without_arguments_it_says_where_to_start() -> None:
    done = mica_lake()
    assert done.returncode == 2  # as of any command that lacks something
    help_text = mica_lake("--help")
    assert help_text.returncode == 0
    for text in (done.stdout, help_text.stdout):
        first = text.split("Start here")[1].split("Ask")[0]
        assert all(f"│ {command} " in first for command in ("ingest", "status", "demo"))
        said = " ".join(text.split())
        assert "mica-lake demo shows what it does" in said
        assert """mica-lake sql "FROM lake_objects" lists what there is""" in said


def test_the_query_of_the_help_lists_tables_views_and_macros(demo_lake: str) -> None:
    done = mica_lake("sql", "FROM lake_objects", "--format", "csv", "--lake", demo_lake)
    assert all(name in done.stdout for name in ("slot_data", "acq_stats", "aca_l0_missing"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    words = {"COMP_WORDS": "mica-lake st", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "mica-lake st"}
    done = mica_lake(_MICA_LAKE_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_FISH_ACTION="get-args", **words)
    assert done.returncode == 0
    assert "status" in done.stdout and "ingest" not in done.stdout


def test_bash_completes_products() -> None:
    words = {"COMP_WORDS": "mica-lake ingest as", "COMP_CWORD": "2"}
    assert mica_lake(_MICA_LAKE_COMPLETE="complete_bash", **words).stdout.split() == ["asp_l1"]


class TestStatus:
    def test_it_fits_in_80_columns_and_has_all_tables(self, demo_lake: str) -> None:
        text = mica_lake("status", "--lake", demo_lake).stdout
        lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
        assert max(map(len, text.splitlines()[1:])) <= 80  # the first is the lake's path
        assert "…" not in text
        status = Lake(demo_lake).status()
        assert set(status["table_name"]) <= lines.keys()
        (rows,) = status.filter(table_name="aca_l0")["rows"]
        assert lines["aca_l0"][:5] == ["2024:001", "2024:001", "1", "1", f"{rows:,}"]
        assert lines["obspar"][:3] == ["2023:365", "2023:365", "1"]  # by year: rows come next
        assert "no file was set aside" in text

    def test_it_says_when_the_lake_was_changed(self, demo_lake: str, tmp_path: Path) -> None:
        lake = tmp_path / "lake"
        shutil.copytree(demo_lake, lake, symlinks=True)
        os.utime(lake / "_catalog" / "current", (1704067200 - 86400, 1704067200 - 86400))
        assert "last change 2023:365:00:00:00 UTC" in mica_lake("status", "--lake", lake).stdout
        os.utime(lake / "_catalog" / "current")
        assert "(just now)" in mica_lake("status", "--lake", lake).stdout

    def test_a_file_name_with_brackets_is_shown_whole(self, tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "acaf1[bold]_img0.fits").touch()
        done = mica_lake("ingest", "aca_l0", "--from", tmp_path / "files", "--lake", tmp_path / "lake")
        assert done.returncode == 3
        assert "acaf1[bold]_img0.fits" in done.stdout
        assert "acaf1[bold]_img0.fits" in mica_lake("status", "--lake", tmp_path / "lake").stdout

    def test_an_empty_lake_is_one(self, tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        follow.ingest("dark_cal", tmp_path / "files", tmp_path / "lake")
        done = mica_lake("status", "--lake", tmp_path / "lake")
        assert done.returncode == 0
        assert "It is empty: 'mica-lake ingest'" in done.stdout


class TestWhichLake:
    def test_none_is_named(self) -> None:
        said = complaint("status")
        assert "which lake? Set MICA_LAKE" in said
        assert all(name in said for name in ("--lake", "data_root=", "Lake(PATH)"))

    def test_there_is_none(self, tmp_path: Path) -> None:
        absent = tmp_path / "absent"
        assert f"{absent} is not a mica lake, it is not there: 'mica-lake ingest" in complaint(
            "status", "--lake", absent
        )
        assert f"{tmp_path} is not a mica lake: 'mica-lake ingest" in complaint("status", "--lake", tmp_path)

    def test_a_variable_is_wrong(self, tmp_path: Path) -> None:
        assert f"(MICA_LAKE is '{tmp_path}')" in complaint("status", MICA_LAKE=tmp_path)
        assert f"(SKA is '{tmp_path}')" in complaint("status", SKA=tmp_path)
        assert "(" not in complaint("status", "--lake", tmp_path, SKA=tmp_path)

    def test_it_is_a_ska_root(self, demo_ska: Path, demo_lake: str, tmp_path: Path) -> None:
        said = complaint("status", "--lake", demo_ska)
        assert f"'mica-lake ingest all --from {demo_ska} --lake {demo_ska}/data/mica_lake' makes one" in said
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "mica_lake").symlink_to(demo_lake)
        assert f"name {tmp_path}/data/mica_lake" in complaint("status", "--lake", tmp_path)
        with pytest.raises(LakeError, match="is a \\$SKA root, no mica lake"):
            Lake(demo_ska)


class TestWhatIsNotInstalled:
    def test_matplotlib(self, demo_lake: str, tmp_path: Path) -> None:
        asked = ["msid", "ad_5v_ps", "--start", HOUR[0], "--lake", demo_lake, "-o", tmp_path / "a.png"]
        assert "pip install 'mica-lake[plot]'" in complaint(*asked, **without("matplotlib", tmp_path))
        assert not (tmp_path / "a.png").exists()

    def test_h5py(self, demo_ska: Path, tmp_path: Path) -> None:
        asked = ["ingest", "acq_stats", "--from", demo_ska, "--lake", tmp_path / "lake"]
        assert "pip install 'mica-lake[stats]'" in complaint(*asked, **without("h5py", tmp_path))

    def test_marimo(self, demo_lake: str, tmp_path: Path) -> None:
        asked = ["explore", "--lake", demo_lake, "--port", "0"]
        assert "pip install 'mica-lake[explore]'" in complaint(*asked, **without("marimo", tmp_path))


class TestNames:
    def test_an_msid(self, demo_lake: str) -> None:
        assert "near it: ccd_temp" in complaint("msid", "ccd_tmp", "--start", HOUR[0], "--lake", demo_lake)
        with pytest.raises(MissingDataError, match="near it: ccd_temp"):
            aca_hdr3.MSID("ccd_tmp", *HOUR, data_root=demo_lake)
        with pytest.raises(MissingDataError, match="near it: TEMPCCD"):
            aca_l0.MSID("TEMPCDD", 3, *HOUR, data_root=demo_lake)

    def test_a_column_of_the_readouts_is_no_msid_of_header_3(self, demo_lake: str) -> None:
        assert "aca_l0.MSID('TEMPCCD', slot, start, stop)" in complaint(
            "msid", "tempccd", "--start", HOUR[0], "--lake", demo_lake
        )

    def test_a_column(self, demo_lake: str) -> None:
        query = "SELECT TEMPCDD FROM slot_data('2024:001', '2024:002', 3)"
        assert '"TEMPCCD"' in complaint("sql", query, "--lake", demo_lake)
        with pytest.raises(ValueError, match="no column 'tempcdd'; near it: TEMPCCD"):
            aca_l0.get_slot_data(*HOUR, 3, columns=["tempcdd"], data_root=demo_lake)

    def test_a_table(self, demo_lake: str) -> None:
        assert 'Did you mean "obspar"?' in complaint("sql", "FROM obsparr", "--lake", demo_lake)
        assert 'Did you mean "slot_data"?' in complaint("sql", "FROM slotdata(1, 2, 3)", "--lake", demo_lake)
        with pytest.raises(ValueError, match="no table 'aca_l1'; near it: aca_l0"):
            Lake(demo_lake).scan("aca_l1")
        for said in (
            complaint("sql", "FROM obsparr", "--lake", demo_lake),
            complaint("sql", "SELECT utcc(1)", "--lake", demo_lake),
            complaint("sql", "FROM slotdata(1, 2, 3)", "--lake", demo_lake),
        ):
            assert "does not exist; FROM lake_objects lists what there is\n" in said

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("warm_pixels", "warm_pixels takes arguments (threshold, ref := -19.0): FROM warm_pixels(100)"),
            ("Slot_Data", "slot_data takes arguments (start, stop, slot): FROM slot_data('2012:001', '2012:002', 3)"),
        ],
    )
    def test_a_macro_without_its_arguments(self, name: str, said: str, demo_lake: str) -> None:
        with pytest.raises(ValueError, match=re.escape(said)):
            Lake(demo_lake).sql(f"FROM {name}")

    def test_a_view_or_macro_for_a_table(self, demo_lake: str) -> None:
        lake = Lake(demo_lake)
        for name, query in (("star_catalog", "FROM star_catalog"), ("warm_pixels", "FROM warm_pixels(100)")):
            with pytest.raises(ValueError, match=f"'{name}' is no table but a ") as refused:
                lake.scan(name)
            assert f"lake.sql({query!r})" in str(refused.value)
            assert lake.sql(query).columns

    @pytest.mark.parametrize("table", ["aca_l0", "hdr3", "asp_sol", "aca_cent"])
    def test_a_table_whose_rows_come_from_a_macro(self, table: str, demo_lake: str) -> None:
        said = complaint("sql", f"FROM {table}", "--lake", demo_lake)
        macro = said.split("come with FROM ")[1].strip()
        values = {"start": "'2024:001'", "stop": "'2024:001:01:00'", "slot": "3"}
        name, arguments = macro.rstrip(")").split("(")
        call = f"{name}({', '.join(values[argument.strip()] for argument in arguments.split(','))})"
        ((rows,),) = Lake(demo_lake).sql(f"SELECT count(*) FROM {call}").fetchall()
        assert rows > 0

    def test_a_product(self, tmp_path: Path) -> None:
        done = mica_lake("ingest", "aca_l1", "--from", tmp_path, "--lake", tmp_path / "lake")
        assert done.returncode == 2
        assert "there is no product 'aca_l1'; near it: aca_l0" in done.stderr
        assert ", ".join(["all", *(product.name for product in PRODUCTS)]) in done.stderr


class TestTimesAndSlots:
    def test_dates_are_swapped(self, demo_lake: str) -> None:
        said = complaint("sql", "FROM slot_data('2024:002', '2024:001', 3)", "--lake", demo_lake)
        assert "stop 2024:001:00:00:00.000 is before start 2024:002:00:00:00.000" in said
        with pytest.raises(ValueError, match="stop '2024:001' is before start '2024:002'"):
            Lake(demo_lake).scan("aca_l0", "2024:002", "2024:001")

    @pytest.mark.parametrize("date", ["2024/001", "yesterday"])
    def test_a_date_is_none(self, date: str, demo_lake: str) -> None:
        for said in (
            complaint("sql", f"FROM slot_data('{date}', '2024:001', 3)", "--lake", demo_lake),
            complaint("msid", "ccd_temp", "--start", date, "--lake", demo_lake),
        ):
            assert f"'{date}' is not a time" in said
            assert "YYYY:DDD[:hh:mm[:ss[.sss]]]" in said and "YYYY-MM-DD[Thh:mm[:ss[.sss]]]" in said

    @pytest.mark.parametrize("slot", ["8", "3.5", "'three'"])
    def test_a_slot_is_none(self, slot: str, demo_lake: str) -> None:
        said = complaint("sql", f"FROM slot_data('2024:001', '2024:002', {slot})", "--lake", demo_lake)
        assert f"slot {slot.strip(chr(39)).lower()} is not one of 0 to 7" in said


@pytest.mark.often(2)
@pytest.mark.parametrize("product", ["aca_l0", "dark_cal", "obspar", "asp_l1", "acq_stats", "guide_stats"])
def test_a_folder_without_files_of_the_product_is_an_error(product: str, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "notes.txt").write_text("other things")
    said = complaint("ingest", product, "--from", tmp_path / "files", "--lake", tmp_path / "lake")
    assert str(tmp_path / "files") in said
    assert product_named(product).files.split("/")[-1] in said


def test_a_typing_error_in_sql_is_pointed_at(demo_lake: str) -> None:
    said = complaint("sql", "SELECT avg(TEMPCCD FROM obspar", "--lake", demo_lake)
    assert 'syntax error at or near "FROM"' in said
    assert "^" in said.splitlines()[-1]
