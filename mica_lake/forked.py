"""
Forked processes, which lack their parent's threads.

A library that started threads before the fork waits for them forever in the child; of those used here, Polars does.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import polars as pl

_TASKS = Path("/proc/self/task")
_begun = _lost = False


def without_polars() -> bool:
    """Whether Polars started threads before this process was forked, and cannot work here; needs ``/proc`` to know."""
    return _lost


def frame(found: "duckdb.DuckDBPyRelation") -> "pl.DataFrame":
    """An answer of texts and whole numbers as a data frame: of rows, Polars makes it without its threads."""
    import polars as pl

    schema = {n: pl.String if t == "VARCHAR" else pl.Int64 for n, t in zip(found.columns, found.types, strict=True)}
    return pl.DataFrame(found.fetchall(), schema=schema, orient="row")


def _before() -> None:
    global _begun
    _begun = "polars" in sys.modules and any(_name(task).startswith("polars-0") for task in _TASKS.glob("*/comm"))


def _name(task: Path) -> str:
    try:
        return task.read_text()
    except OSError:  # the thread has ended meanwhile
        return ""


def _in_child() -> None:
    global _lost
    _lost |= _begun


os.register_at_fork(before=_before, after_in_child=_in_child)
