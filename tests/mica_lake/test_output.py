"""What reaches the terminal, whatever is in the files and whatever standard output is."""

import csv
import gzip
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from mica_lake.lake import Lake
from mica_lake.output import printable
from mica_lake.simulate.aca_l0 import write_archive
from mica_lake.terminal import Terminal, escape
from mica_lake.times import cxcsec

COMMAND = Path(sys.executable).with_name("mica-lake")
# Clears the screen, twice; rings; begins a line; turns the writing direction; ends the line, twice.
OBEYED = ("\x1b[2J", "\x9b2J", "\x07", "\rforged", "\nforged", "\u202e", "\u2028", "\x85")
HOSTILE = "".join(OBEYED)
CSV = f"SELECT '{HOSTILE}' AS a, 1 AS b"


def obeyed(text: str) -> list[str]:
    """What a terminal would obey in an output."""
    return [code for code in OBEYED if code in text]


@given(st.text())
@example(HOSTILE)
@example("\udcff\ud800")
@example("\U000e0041\xad\u200b")
def test_a_printable_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown == text or not text.isprintable()
    assert printable(text, lines=True).split("\n") == [printable(line) for line in text.split("\n")]
    shown.encode()


# Of a text that ends in a backslash, rich makes it two.
@given(st.text().filter(lambda text: not text.endswith("\\")))
@example("[red]a[/]\\[b]")
@example("\\[")
@example("\\\\[\\[red]\\[ [/]")
@example(":warning:\n[/]")
def test_an_escaped_value_is_printed_as_it_is(text: str) -> None:
    console = Console(file=io.StringIO(), emoji=False)
    console.print(escape(text), soft_wrap=True)
    assert console.file.getvalue() == printable(text) + "\n"  # type: ignore[attr-defined]


def test_the_terminal_escapes_also_what_was_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().print("a\x1b[2J\nb [bold]c[/]")
    assert capsys.readouterr().out == "a\\x1b[2J\nb c\n"


def mica_lake(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, *map(str, arguments)]
    return subprocess.run(command, check=False, text=True, encoding="utf-8", **{"capture_output": True, **options})  # type: ignore[call-overload,no-any-return]


def on_a_terminal(*arguments: object) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        written = b""
        try:
            while block := os.read(ours, 65536):
                written += block
        except OSError:  # the other end was closed
            pass
        finally:
            os.close(ours)
            process.wait()
    return written.decode().replace("\r\n", "\n")


@pytest.fixture(scope="session")
def hostile(demo_ska: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hostile names and values: ``ska``, ``aca0…``, their lake ``lake``, and a damaged one."""
    folder = tmp_path_factory.mktemp("hostile")
    ska, files = folder / "ska", folder / f"aca0{HOSTILE}"
    shutil.copytree(demo_ska, ska, symlinks=True)
    for path in ska.rglob("axaff*.par.gz"):
        text = gzip.decompress(path.read_bytes()).decode()
        text, found = re.subn('(?<=^detnam,s,h,")', HOSTILE.replace("\n", ""), text, flags=re.MULTILINE)
        assert found == 1
        path.write_bytes(gzip.compress(text.encode()))
    write_archive(files, cxcsec("2024:001"), cxcsec("2024:001:00:10"), slots=[3], hard_cases=False)
    (files / f"acaf{HOSTILE}_img0.fits").write_bytes(b"")
    for product, source in (("aca_l0", files), ("obspar", ska), ("asp_l1", ska)):
        done = mica_lake("ingest", product, "--from", source, "--lake", folder / "lake")
        assert done.returncode in (0, 3), done.stderr
    damaged = folder / f"damaged{HOSTILE.replace(chr(10), '')}"
    shutil.copytree(folder / "lake", damaged, symlinks=True)
    for path in (damaged / "aca_l0").rglob("slot=3/data.parquet"):
        path.unlink()
    return folder


def questions(hostile: Path) -> dict[str, list[object]]:
    lake: list[object] = ["--lake", hostile / "lake"]
    (files,), (damaged,) = hostile.glob("aca0*"), hostile.glob("damaged*")
    obsid = Lake(hostile / "lake").sql("SELECT min(obsid) FROM obspar").fetchall()[0][0]
    return {
        "ingest": ["ingest", "aca_l0", "--from", files, *lake],
        "ingest all": ["ingest", "all", "--from", hostile / "ska", *lake],
        "ingest of nothing": ["ingest", "aca_l0", "--from", hostile / HOSTILE, *lake],
        "status": ["status", *lake],
        "status --files": ["status", "--files", *lake],
        "no lake": ["status", "--lake", hostile / HOSTILE],
        "verify": ["verify", "--lake", damaged],
        "verify with files": ["verify", "--from", files, "--lake", damaged],
        "sql": ["sql", "FROM file_to_look_at", *lake],
        "sql of an error": ["sql", f"SELECT error('{HOSTILE.replace(chr(10), '')}')", *lake],
        "sql of a wrong column": ["sql", f'SELECT "{HOSTILE.replace(chr(10), "")}" FROM obspar', *lake],
        "sql to a wrong file": ["sql", "SELECT 1", "-o", HOSTILE, *lake],
        "msid": ["msid", HOSTILE, "--start", "2024:001", *lake],
        "vv": ["vv", obsid, *lake],
        "vv of a wrong revision": ["vv", obsid, "--version", HOSTILE, *lake],
        "a wrong argument": ["status", HOSTILE, *lake],
        "a wrong option": ["ingest", "aca_l0", "--jobs", HOSTILE, *lake],
        "a wrong command": [HOSTILE],
    }


QUESTIONS = (
    "ingest", "ingest all", "ingest of nothing", "status", "status --files", "no lake", "verify", "verify with files",
    "sql", "sql of an error", "sql of a wrong column", "sql to a wrong file", "msid", "vv", "vv of a wrong revision",
    "a wrong argument", "a wrong option", "a wrong command",
)  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.often(1)
def test_nothing_of_names_values_and_arguments_is_obeyed(question: str, hostile: Path) -> None:
    asked = questions(hostile)
    assert tuple(asked) == QUESTIONS
    done = mica_lake(*asked[question])
    assert "Traceback" not in done.stderr
    assert obeyed(done.stdout + done.stderr) == []
    # It is there, though, so that the file can be found.
    together = "".join((done.stdout + done.stderr).split())
    assert "\\x1b[2J" in together or "\\e[2J" in together or question in ("ingest all", "a wrong option")
    assert obeyed(on_a_terminal(*asked[question])) == []


def test_a_file_or_pipe_gets_values_as_they_are(demo_lake: str, tmp_path: Path) -> None:
    for output in ({}, {"-o": tmp_path / "a.csv"}):
        done = mica_lake(
            "sql", CSV, "--format", "csv", *(x for pair in output.items() for x in pair), "--lake", demo_lake
        )
        text = (tmp_path / "a.csv").read_bytes().decode() if output else done.stdout
        # subprocess makes lines of both kinds of ends into one.
        value = HOSTILE if output else HOSTILE.replace("\r", "\n")
        assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], [value, "1"]]
    assert json.loads(mica_lake("sql", CSV, "--format", "json", "--lake", demo_lake).stdout) == [{"a": HOSTILE, "b": 1}]


def test_a_terminal_gets_them_escaped_a_record_a_line(demo_lake: str) -> None:
    lines = on_a_terminal("sql", CSV, "--format", "csv", "--lake", demo_lake).splitlines()
    assert lines == ["a,b", f'"{printable(HOSTILE)}",1']
    assert obeyed(on_a_terminal("sql", CSV, "--format", "json", "--lake", demo_lake)) == []


# --- whatever standard output is --------------------------------------------------------------------------------------

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMANDS = ("status", "ingest", "sql", "sql csv", "verify", "msid", "help")


def command(name: str, lake: object, files: Path, new: Path) -> list[object]:
    return {
        "status": ["status", "--lake", lake],
        "ingest": ["ingest", "aca_l0", "--from", files, "--jobs", 2, "--lake", new],
        "sql": ["sql", "SELECT '°' AS degree, 42 AS n", "--lake", lake],
        "sql csv": ["sql", "SELECT '°' AS degree, 42 AS n", "--format", "csv", "--lake", lake],
        "verify": ["verify", "--jobs", 2, "--lake", lake],
        "msid": ["msid", "ccd_temp", "--start", "2024:001", "--lake", lake],
        "help": ["--help"],
    }[name]


def rows(lake: Path) -> object:
    return Lake(lake).sql("SELECT sum(rows) FROM partition WHERE table_name = 'aca_l0'").fetchall()[0][0]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.often(1)
def test_a_terminal_without_unicode_gets_ascii(name: str, demo_lake: str, demo_files: Path, tmp_path: Path) -> None:
    done = mica_lake(*command(name, demo_lake, demo_files, tmp_path / "lake"), env=os.environ | ASCII)
    assert (done.returncode, done.stderr) == (0, "")
    assert name == "sql csv" or done.stdout.isascii()
    assert {"sql": "| deg", "sql csv": "\n°,42\n", "msid": "| deg C"}.get(name, "") in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.often(1)
def test_a_pipe_whose_reader_has_gone_ends_nothing(name: str, demo_lake: str, demo_files: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = mica_lake(
        *command(name, demo_lake, demo_files, tmp_path / "lake"),
        capture_output=False,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert name != "ingest" or rows(tmp_path / "lake")


def test_of_a_large_answer_the_first_lines_can_be_taken(demo_lake: str) -> None:
    pipe = f"set -o pipefail; {COMMAND} sql 'FROM range(1000000)' --format csv --lake {demo_lake} | head -2"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "range\n0\n", "")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.often(1)
def test_a_log_on_a_full_disk_is_said_and_what_was_to_be_done_is_done(
    name: str, demo_lake: str, demo_files: Path, tmp_path: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        done = mica_lake(
            *command(name, demo_lake, demo_files, tmp_path / "lake"),
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    said = "mica-lake: standard output could not be written (No space left on device); all else was done\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert name != "ingest" or rows(tmp_path / "lake")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("name", ["ingest", "sql", "sql csv"])
@pytest.mark.often(1)
def test_closed_streams_lead_nowhere(name: str, closed: str, demo_lake: str, demo_files: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'exec "$@" {closed}',
            "bash",
            COMMAND,
            *map(str, command(name, demo_lake, demo_files, tmp_path / "lake")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.split())
    assert name != "ingest" or rows(tmp_path / "lake")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.often(1)
def test_a_current_directory_that_was_removed_is_not_needed(
    name: str, demo_lake: str, demo_files: Path, tmp_path: Path
) -> None:
    done = from_nowhere(tmp_path, *command(name, demo_lake, demo_files, tmp_path / "lake"))
    assert (done.returncode, done.stderr) == (0, "")
    assert name != "ingest" or rows(tmp_path / "lake")


@pytest.mark.often(1)
@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--lake", "lake"],
        ["ingest", "aca_l0", "--from", "{files}", "--lake", "lake"],
        ["sql", "SELECT 1", "-o", "a.csv", "--lake", "{lake}"],
        ["demo"],
    ],
)
def test_what_is_named_from_a_directory_that_was_removed_gets_a_message(
    arguments: list[str], demo_lake: str, demo_files: Path, tmp_path: Path
) -> None:
    done = from_nowhere(tmp_path, *(a.format(files=demo_files, lake=demo_lake) for a in arguments))
    assert done.returncode == 1
    assert done.stderr == "mica-lake: the current directory was removed: change to one that is there\n"


def from_nowhere(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "bash", COMMAND, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_wrong_arguments_are_said_in_a_line_with_the_usage() -> None:
    done = mica_lake("status", "--nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("mica-lake: No such option: --nonsense")
    assert "Usage: mica-lake status [OPTIONS]" in done.stderr
    assert "'mica-lake status --help' says more" in done.stderr
