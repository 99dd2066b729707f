"""What is said where a question about a range of times has no answer."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mica_lake.catalog.objects import definitions_in
from mica_lake.catalog.script import parts
from mica_lake.lake import Lake
from mica_lake.tables import TABLES

if TYPE_CHECKING:
    import duckdb

__all__ = ["empty_ranges", "nothing"]


def nothing(what: str, tables: Iterable[str], lake: Lake) -> str:
    """
    Say that nothing was found, and from when to when there is something.

    Examples
    --------
    >>> nothing("rows", ["aca_l0"], demo_lake())
    '0 rows; the lake has aca_l0 from 2024:001:00:00 to 2024:001:01:59'
    """
    ranges = dict.fromkeys(tables, "") | {
        name: f" from {start[:14]} to {stop[:14]}"
        for name, start, stop in lake.sql(
            "SELECT table_name, start, stop FROM status WHERE start IS NOT NULL AND table_name IN $tables",
            {"tables": list(tables)},
        ).fetchall()
    }
    return f"0 {what}; the lake has " + ", ".join(
        f"{name}{range_}" if range_ else f"no {name}" for name, range_ in ranges.items()
    )


def empty_ranges(lake: Lake, connection: "duckdb.DuckDBPyConnection", query: str) -> Iterator[str]:
    """What to say of the macros in a query whose range of times has no rows, whatever the query makes of that."""
    from duckdb import Error

    ((parsed,),) = connection.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchall()
    for call in _table_functions(json.loads(parsed)):
        if (table := _table_of(call["function"]["function_name"].lower())) is None:
            continue
        begin = call["query_location"]
        asked = query.encode()[begin : begin + call["query_location_length"]].decode()
        asked = asked[: asked.rindex(")") + 1]  # without its alias
        try:
            is_empty = not connection.execute(f"SELECT 1 FROM {asked} LIMIT 1").fetchall()
        except Error:  # its range is of a row of another table
            continue
        if is_empty:
            yield f"{asked}: {nothing('rows', [table], lake)}"


def _table_of(macro: str) -> str | None:
    """The table whose rows of a range of times a macro gives."""
    for part in parts().values():
        if macro in part.defines and (made := definitions_in(part.text).get(macro)) is not None:
            files = re.search(r"(\w+)_files\(", made.body)
            if made.kind == "table macro" and {"start", "stop"} <= made.parameters.keys() and files:
                return files[1] if files[1] in TABLES else None
    return None


def _table_functions(parsed: Any) -> Iterator[dict[str, Any]]:
    if isinstance(parsed, dict):
        if parsed.get("type") == "TABLE_FUNCTION":
            yield parsed
        parsed = list(parsed.values())
    if isinstance(parsed, list):
        for each in parsed:
            yield from _table_functions(each)
