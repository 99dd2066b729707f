"""What a call imports: nothing heavy that it does not need, as people wait for it in each script and shell command."""

import subprocess
import sys

import pytest

HEAVY = {
    "astropy.io.fits", "astropy.table", "duckdb", "h5py", "matplotlib", "pandas", "polars", "pyarrow.compute", "rich",
    "scipy", "tables",
}  # fmt: skip


@pytest.mark.often(7)
@pytest.mark.parametrize(
    ("call", "needs"),
    [
        ("archive.aca_hdr3.MSID('ccd_temp', *day)", set()),
        ("archive.aca_l0.get_slot_data(*day, 3, columns=['TEMPCCD'])", set()),
        ("archive.aca_l0.get_l0_images(*day, 3)", {"duckdb"}),
        ("archive.aca_l0.get_files(start=day[0], stop=day[1])", {"duckdb"}),
        ("archive.aca_l0.get_aca_images(*day)", {"astropy.io.fits", "astropy.table", "duckdb", "pyarrow.compute"}),
        ("archive.obspar.get_obspar(32448)", set()),
        ("archive.aca_dark.dark_cal.get_dark_cal_image('2024:001')", {"duckdb"}),
        ("stats.acq_stats.get_stats()", {"duckdb", "pyarrow.compute"}),
        ("archive.asp_l1.get_atts(32448)", {"astropy.io.fits", "duckdb", "pyarrow.compute"}),
        ("Lake().sql('FROM status')", {"duckdb"}),
        ("Lake().scan('hdr3').collect()", {"polars"}),
    ],
)
def test_a_call_imports_what_it_needs(call: str, needs: set[str], demo_lake: str) -> None:
    program = (
        "import os, sys\n"
        f"os.environ['MICA_LAKE'] = {demo_lake!r}\n"
        "day = '2024:001', '2024:001:00:10'\n"
        f"import mica_lake{'' if call.startswith('Lake') else '.' + call.split('(')[0].rpartition('.')[0]}\n"
        f"mica_lake.{call}\n"
        f"print(*sorted(set(sys.modules) & {HEAVY!r}))"
    )
    assert heavy(program) == needs


@pytest.mark.parametrize(
    ("command", "needs"),
    [
        (["sql", "SELECT count(*) FROM hdr3_data('2024:001', '2024:001:00:10')"], {"duckdb"}),
        (["sql", "SELECT count(*) FROM hdr3_data('2024:003', '2024:004')"], {"duckdb", "rich"}),
        (["msid", "ccd_det_therm", "--start", "2024:001", "--stop", "2024:002"], {"rich"}),
        (["status"], {"duckdb", "rich"}),
        (["status", "--json"], {"duckdb"}),
    ],
    ids=lambda names: " ".join(sorted(names)),
)
def test_a_command_imports_what_it_needs(command: list[str], needs: set[str], demo_lake: str) -> None:
    program = (
        "import sys\n"
        "from mica_lake.cli import main\n"
        f"sys.argv = {['mica-lake', *command, '--lake', demo_lake]!r}\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print(*sorted(set(sys.modules) & {HEAVY!r}))"
    )
    assert heavy(program) == needs


def heavy(program: str) -> set[str]:
    """What the last line says that a program prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())
