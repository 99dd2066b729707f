"""Names that scripts of mica import from its common modules."""

import os
import subprocess
import sys

import pytest

from mica_lake.bad_obsids import bad_obsids
from mica_lake.common import MissingDataError
from mica_lake.utils import load_name_to_mp_dir


@pytest.mark.parametrize(
    ("load", "folder"),
    [
        ("DEC2506C", "/2006/DEC2506/oflsc/"),
        ("MAY1815B", "/2015/MAY1815/oflsb/"),
        ("JUL2699A", "/1999/JUL2699/oflsa/"),
        ("jan0190a", "/2090/JAN0190/oflsa/"),
        ("JAN0191A", "/1991/JAN0191/oflsa/"),
    ],
)
def test_a_load_has_its_folder(load: str, folder: str) -> None:
    assert load_name_to_mp_dir(load) == folder


@pytest.mark.parametrize("load", ["", "DEC2506", "DEC2506CC", "/2006/DEC2506/oflsc/", "DEC25C"])
def test_what_is_no_load_is_refused_and_shown(load: str) -> None:
    with pytest.raises(ValueError, match=f"'{load}' is not a load name"):
        load_name_to_mp_dir(load)


def test_bad_obsids_are_listed_once() -> None:
    assert len(bad_obsids) == len(set(bad_obsids)) == 65
    assert {583, 7316, 18696, 380, 60881} <= set(bad_obsids)
    assert 9750 not in bad_obsids


def test_the_archive_is_that_of_the_environment() -> None:
    script = "from mica_lake.common import *; print(MICA_ARCHIVE, MICA_ARCHIVE_PATH)"
    bare = {name: value for name, value in os.environ.items() if name not in ("SKA", "MICA_ARCHIVE")}
    for environment, expected in (
        ({"SKA": "/ska"}, "/ska/data/mica/archive /ska/data/mica/archive"),
        ({"SKA": "/ska", "MICA_ARCHIVE": "/mine:/flight"}, "/flight /mine:/flight"),
        ({}, "data/mica/archive data/mica/archive"),
    ):
        command = [sys.executable, "-c", script]
        assert subprocess.check_output(command, env=bare | environment, text=True).strip() == expected


def test_missing_data_is_a_lookup_error() -> None:
    assert issubclass(MissingDataError, LookupError)
