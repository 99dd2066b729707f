"""The archive's lists of files: table archfiles of ``archfiles.db3``, with the columns that the reference gives it."""

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mica_lake.catalog.partition import Source
from mica_lake.ingest.aca_l0.files import LONGEST, seconds_of
from mica_lake.ingest.aca_l0.revisions import judge
from mica_lake.times import utc_day

DATABASE = "archfiles.db3"
_TELEMETRY = (
    "filename text PRIMARY KEY, filetime int NOT NULL, year int NOT NULL, doy int NOT NULL, tstart float NOT NULL, "
    "tstop float NOT NULL, startmjf int, startmnf int, stopmjf int, stopmnf int, checksum text, tlmver text, "
    "ascdsver text, revision int, date text NOT NULL, rows int NOT NULL, imgsize int NOT NULL, slot int NOT NULL"
)
_OBSPAR = (
    "filename text, obsid int, tstart float, tstop float, revision int, content text DEFAULT 'OBSPAR', "
    "isdefault int, detnam text"
)
_ASP_L1 = "filename text, filetime int, tstart float, tstop float, content text, revision int, obsid int, isdefault int"
_OF_FOLDER = {"aca0": _TELEMETRY, "obspar": _OBSPAR, "asp1": _ASP_L1}
_SECONDS = re.compile(r"pcad[a-z]?(\d{8,10})N", re.ASCII)
_TIMEOUT = 60.0


def of_telemetry(source: Source, checksum: object) -> dict[str, Any]:
    """The row of a telemetry file."""
    filetime = seconds_of(source.filename)
    day = utc_day(filetime)
    kept = (
        "filename", "tstart", "tstop", "startmjf", "startmnf", "stopmjf", "stopmnf", "tlmver", "ascdsver", "revision",
        "date", "imgsize", "slot",
    )  # fmt: skip
    return {name: getattr(source, name) for name in kept} | {
        "filetime": filetime,
        "year": day.year,
        "doy": day.timetuple().tm_yday,
        "checksum": None if checksum is None else str(checksum),
        "rows": source.file_rows,
    }


def of_obspar(filename: str, obsid: int, facts: Mapping[str, Any], detnam: object) -> dict[str, Any]:
    """The row of an observation's parameters."""
    interval = {name: facts[name] for name in ("tstart", "tstop", "revision")}
    return interval | {"filename": filename, "obsid": obsid, "content": "OBSPAR", "detnam": detnam}


def of_asp_l1(filename: str, obsid: int, facts: Mapping[str, Any], content: str) -> dict[str, Any]:
    """The row of an aspect product."""
    interval = {name: facts[name] for name in ("tstart", "tstop", "revision")}
    match = _SECONDS.match(filename)
    filetime = int(match[1]) if match else int(facts["tstart"])
    return interval | {"filename": filename, "filetime": filetime, "obsid": obsid, "content": content}


def list_telemetry(top: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """List telemetry files, and take off the list those that give way to a newer revision."""
    if not rows:
        return
    with _opened(top) as database:
        _insert(database, rows)
        for slot in {row["slot"] for row in rows}:
            ours = [row for row in rows if row["slot"] == slot]
            first, last = min(row["tstart"] for row in ours) - LONGEST, max(row["tstop"] for row in ours)
            query = "SELECT filename, revision, tstart, tstop FROM archfiles WHERE slot = ? AND tstart BETWEEN ? AND ?"
            near = database.execute(query, (slot, first, last)).fetchall()
            verdicts = judge(*(list(column) for column in zip(*near, strict=True)))
            gone = [(row[0],) for row, verdict in zip(near, verdicts, strict=True) if verdict.status != "current"]
            database.executemany("DELETE FROM archfiles WHERE filename = ?", gone)


def list_revisions(top: Path, obsid: int, default: int | None, rows: Sequence[Mapping[str, Any]]) -> None:
    """List files of an observation, and say which of its revisions is the default, if that is known."""
    with _opened(top) as database:
        there = dict(
            database.execute(
                "SELECT filename, isdefault FROM archfiles WHERE obsid = ? AND isdefault = 1", (obsid,)
            ).fetchall()
        )
        _insert(database, [dict(row, isdefault=there.get(row["filename"])) for row in rows])
        if default is not None:
            database.execute(
                "UPDATE archfiles SET isdefault = CASE WHEN revision = ? THEN 1 END WHERE obsid = ?", (default, obsid)
            )


@contextmanager
def _opened(top: Path) -> Iterator[sqlite3.Connection]:
    """The database of a folder, in a transaction; it is made if there is none."""
    top.mkdir(parents=True, exist_ok=True)
    path = top / DATABASE
    if not path.exists():
        beside = path.with_name(f".{path.name}.fetch")
        beside.unlink(missing_ok=True)
        with closing(sqlite3.connect(beside)) as made, made:
            made.execute(f"CREATE TABLE archfiles ({_OF_FOLDER[top.name]})")
        os.replace(beside, path)  # noqa: PTH105 - a step at which a run may die
    with closing(sqlite3.connect(path, timeout=_TIMEOUT)) as database, database:
        yield database


def _insert(database: sqlite3.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace those of the same name; a column that the table does not have is left out."""
    there = {row[1] for row in database.execute("PRAGMA table_info(archfiles)")}
    for row in rows:
        names = [name for name in row if name in there]
        database.execute("DELETE FROM archfiles WHERE filename = ?", (row["filename"],))
        marks = ", ".join(f":{name}" for name in names)
        database.execute(f"INSERT INTO archfiles ({', '.join(names)}) VALUES ({marks})", dict(row))
