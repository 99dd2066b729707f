"""Simulated archives, and what is in an archive, to compare two."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from mica_lake.simulate import aca_l0, asp_l1, obspar
from mica_lake.simulate.observations import Observation, observations

START = 7e8
ARCHIVE = Path("data/mica/archive")
TOPS = ("aca0", "obspar", "asp1")


def two_observations() -> list[Observation]:
    """An engineering observation without a default, and one whose default is not its last."""
    return observations(START, START + 20000)


def simulated(ska: Path, *, hours: float = 3.0) -> Path:
    """An archive of telemetry, of parameters and of aspect products as the reference would keep it."""
    aca_l0.write_archive(ska, START, START + hours * 3600, slots=[0, 3, 6], ska=True, file_seconds=2400)
    obspar.write_archive(ska, two_observations())
    asp_l1.write_archive(ska, two_observations())
    (ska / ARCHIVE / "asp1" / "processing_asp_l1.db3").unlink()
    return ska


def listed(database: Path) -> list[tuple[object, ...]]:
    """The columns of a list of files, and its rows by name of file."""
    with closing(sqlite3.connect(database)) as connection:
        columns = connection.execute("SELECT name, type FROM pragma_table_info('archfiles')").fetchall()
        return [tuple(columns), *connection.execute("SELECT * FROM archfiles ORDER BY filename, revision").fetchall()]


def content_of(ska: Path) -> dict[str, object]:
    """Each file of an archive with its content, each link with its target, each list with its rows."""
    found: dict[str, object] = {}
    for top in TOPS:
        for path in sorted((ska / ARCHIVE / top).rglob("*")):
            name = str(path.relative_to(ska / ARCHIVE))
            if path.is_symlink():
                found[name] = str(path.readlink())
            elif path.suffix == ".db3":
                found[name] = listed(path)
            elif path.is_file():
                found[name] = path.read_bytes()
    return found


def answer(ska: Path, top: str, folder: Path, pattern: str = "*") -> Path:
    """The files of a product of an archive, as a transport would leave them in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (ska / ARCHIVE / top).rglob(pattern):
        if path.is_file() and path.suffix != ".db3":
            shutil.copyfile(path, folder / path.name)
    return folder


def answer_of(ska: Path, top: str, obsid: int, folder: Path) -> Path:
    """The default and the last revision of an observation, as a transport would leave them in a folder."""
    group = ska / ARCHIVE / top / f"{obsid:05d}"[:2]
    for version, links in (("default", [f"{obsid:05d}"]), ("last", [f"{obsid:05d}_last", f"{obsid:05d}"])):
        (folder / version).mkdir(parents=True)
        there = next((group / link for link in links if (group / link).is_dir()), None)
        for path in there.iterdir() if there else ():
            shutil.copyfile(path, folder / version / path.name)
    return folder
