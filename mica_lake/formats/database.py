"""The SQLite databases of an archive."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from mica_lake.errors import BadFile
from mica_lake.formats.on_disk import check, leads_nowhere

LARGEST_DATABASE = 1 << 32

# Of an archive's database: rows, bytes of a value, and how long it may take (s).
_MOST_ROWS, _LONGEST_VALUE, _LONGEST_QUERY = 10_000_000, 1 << 16, 120.0

# SQLite's codes of a database that is being written, or that the system does not let us read.
_BUSY = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_AUTH,
}  # fmt: skip


def read_database(path: Path, query: str) -> list[tuple[Any, ...]] | None:
    """
    Rows of an archive's SQLite database, which is not written to.

    None if there is no such file; texts that are not UTF-8 are as names of files are. A BadFile if it is damaged or has
    no such table; an OSError if it is being written or cannot be read now, so that nothing is known of what it says.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    if reason := leads_nowhere(path):
        raise OSError(f"{path}: {reason}. Nothing of this product was changed")
    check(path.stat(), LARGEST_DATABASE)
    until = time.monotonic() + _LONGEST_QUERY
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = os.fsdecode
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            # A view in the place of the table could have rows without end.
            connection.set_progress_handler(lambda: time.monotonic() > until, 100_000)
            rows = connection.execute(query).fetchmany(_MOST_ROWS + 1)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_INTERRUPT:
            raise BadFile(f"it does not answer in {_LONGEST_QUERY:.0f} s") from None
        if code & 0xFF in _BUSY:
            raise OSError(
                f"{path} is being written, or cannot be read now ({error}). Nothing of this product was changed: run "
                "it again. If it goes on: a database in WAL mode can only be read where its folder can be written"
            ) from None
        raise BadFile(str(error)) from None
    if len(rows) > _MOST_ROWS:
        raise BadFile(f"it has more than {_MOST_ROWS:,} rows")
    return rows
