"""What is said where a question about a range of times has no answer."""

from collections.abc import Iterable

from mica_lake.lake import Lake


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
