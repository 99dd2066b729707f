"""What ``mica-lake status`` prints: the page that people open first."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from mica_lake.catalog.pointer import state
from mica_lake.errors import counted
from mica_lake.lake import Lake
from mica_lake.output import printable
from mica_lake.times import utc

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MOST_FILES = 20
# The end of the newest file of the slot that is furthest behind.
_FURTHEST_BEHIND = """
    SELECT min(newest) FROM (
        SELECT max(tstop) AS newest FROM source_file
        WHERE product = 'aca_l0' AND status IN ('current', 'incomplete') GROUP BY slot
    )
"""


@dataclass
class Status:
    """What `mica-lake status` tells."""

    root: str
    tables: list[tuple[str, str | None, str | None, int | None, int | None, int, int]]
    partitions: int
    size: int
    sources: int
    changed: datetime | None
    until: datetime | None
    aside: list[tuple[str, str, str | None, str | None]]
    missing: tuple[int, date | None, date | None] | None


def _status(lake: Lake) -> Status:
    query = "SELECT table_name, start, stop, days, span, rows, bytes FROM status"
    connection = lake.private_connection(query)
    tables = connection.execute(query).fetchall()
    (partitions, size), (sources,) = (
        connection.execute(query).fetchall()[0]
        for query in (
            "SELECT count(*), coalesce(sum(bytes), 0) FROM partition",
            "SELECT count(*) FROM source_file WHERE status IN ('current', 'incomplete')",
        )
    )
    aside = connection.execute("FROM file_to_look_at").fetchall()
    committed = state(lake.root)
    changed = None if committed is None else datetime.fromtimestamp(committed[1] / 1e9, UTC)
    (newest,), *_ = connection.execute(_FURTHEST_BEHIND).fetchall()
    until = None if newest is None else datetime.strptime(utc(newest)[:17], "%Y:%j:%H:%M:%S").replace(tzinfo=UTC)
    missing = None
    if any(name == "aca0_list" for name, *_ in tables):
        # Apart, since most lakes have no list.
        missing, *_ = lake.sql("SELECT count(*), min(day), max(day) FROM aca_l0_missing").fetchall()
    return Status(str(lake.root), tables, partitions, int(size), sources, changed, until, aside, missing)


def as_json(lake: Lake) -> dict[str, Any]:
    """What is in a lake, and which source files need a look, for programs."""
    found = _status(lake)
    keys = ("table", "start", "stop", "days", "span", "rows", "bytes")
    count, first, last = found.missing or (None, None, None)
    return {
        "lake": found.root,
        "last_change": found.changed and f"{found.changed:%Y-%m-%dT%H:%M:%SZ}",
        "telemetry_until": found.until and f"{found.until:%Y-%m-%dT%H:%M:%SZ}",
        "partitions": found.partitions,
        "bytes": found.size,
        "source_files": found.sources,
        "tables": [dict(zip(keys, row, strict=True)) for row in found.tables],
        "missing": found.missing
        and {"files": count, "start": first and f"{first:%Y:%j}", "stop": last and f"{last:%Y:%j}"},
        "to_look_at": [
            {"file": printable(f"{directory or ''}/{filename}"), "status": status, "reason": printable(reason or "")}
            for filename, status, reason, directory in found.aside
        ],
    }


def show(lake: Lake, console: "Console", all_files: bool) -> None:
    """Print what is in a lake, and which source files need a look."""
    from mica_lake.terminal import escape

    found = _status(lake)
    console.print(f"[bold]{escape(found.root)}[/]", soft_wrap=True, highlight=False)
    if not found.tables:
        console.print("It is empty: 'mica-lake ingest' takes files into it.", soft_wrap=True)
    else:
        console.print(_table(found.tables))
    console.print(
        f"{_size(found.size)} in {counted(found.partitions, 'partition')}, "
        f"from {counted(found.sources, 'source file')}",
        highlight=False,
    )
    if found.changed is not None:
        console.print(f"last change {found.changed:%Y:%j:%H:%M:%S} UTC ({_ago(found.changed)})", highlight=False)
    if found.until is not None:
        console.print(
            f"telemetry of all slots until {found.until:%Y:%j:%H:%M:%S} UTC ({_ago(found.until)})", highlight=False
        )
    if found.missing is not None:
        missing, first, last = found.missing
        said = counted(missing, "file of the archive's list is", "files of the archive's list are") + " not in the lake"
        if missing:
            said += f', from {first:%Y:%j} to {last:%Y:%j}: mica-lake sql "FROM aca_l0_missing" lists them'
        console.print(said, highlight=False, soft_wrap=True)
    if found.aside:
        console.print(f"\n{counted(len(found.aside), 'file needs a look', 'files need a look')}:", highlight=False)
        # Lines, not a table: a name can be copied only if it is whole.
        for filename, status, reason, directory in found.aside if all_files else found.aside[:MOST_FILES]:
            line = f"  {directory or ''}/{filename}: {status}" + (f", {reason}" if reason else "")
            console.print(escape(line), highlight=False, soft_wrap=True)
        if len(found.aside) > MOST_FILES and not all_files:
            console.print(f"… and {len(found.aside) - MOST_FILES:,} more: mica-lake status --files")
    else:
        console.print("no file was set aside")


def _table(tables: list[tuple[str, str | None, str | None, int | None, int | None, int, int]]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # No wider than 80 columns, whatever it has to say.
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("table", "from", "to", "days", "of", "rows", "size"):
        table.add_column(name, justify="left" if name in ("table", "from", "to") else "right", no_wrap=True)
    for name, start, stop, days, span, rows, size in tables:
        by_day = ("", "") if days is None or span is None else (f"{days:,}", f"{span:,}")
        table.add_row(name, (start or "")[:8], (stop or "")[:8], *by_day, f"{rows:,}", _size(size))
    return table


def _size(size: float) -> str:
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    unit = units[0]
    return f"{size:.2g} {unit}" if size < 9.95 else f"{size:.0f} {unit}"


def _ago(when: datetime) -> str:
    seconds = (datetime.now(UTC) - when).total_seconds()
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now" if seconds < 60 else "a minute ago"
