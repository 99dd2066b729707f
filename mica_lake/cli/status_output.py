"""What ``mica-lake status`` prints: the page that people open first."""

from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mica_lake.catalog.pointer import state
from mica_lake.lake import Lake
from mica_lake.output import escape
from mica_lake.times import utc

MOST_FILES = 20
# The end of the newest file of the slot that is furthest behind.
_FURTHEST_BEHIND = """
    SELECT min(newest) FROM (
        SELECT max(tstop) AS newest FROM source_file
        WHERE product = 'aca_l0' AND status IN ('current', 'incomplete') GROUP BY slot
    )
"""


def show(lake: Lake, console: Console, all_files: bool) -> None:
    """Print what is in a lake, and which source files need a look."""
    connection = lake.private_connection("FROM status")
    tables = connection.execute("SELECT table_name, start, stop, days, span, rows, bytes FROM status").fetchall()
    (partitions, size), (sources,) = (
        connection.execute(query).fetchall()[0]
        for query in (
            "SELECT count(*), coalesce(sum(bytes), 0) FROM partition",
            "SELECT count(*) FROM source_file WHERE status IN ('current', 'incomplete')",
        )
    )
    aside = connection.execute("FROM file_to_look_at").fetchall()
    console.print(f"[bold]{escape(str(lake.root))}[/]", soft_wrap=True, highlight=False)
    if not tables:
        console.print("It is empty: 'mica-lake ingest' takes files into it.", soft_wrap=True)
    else:
        console.print(_table(tables))
    console.print(f"{_size(size)} in {partitions:,} partitions, from {sources:,} source files", highlight=False)
    committed = state(lake.root)
    if committed is not None:
        when = datetime.fromtimestamp(committed[1] / 1e9, UTC)
        console.print(f"last change {when:%Y:%j:%H:%M:%S} UTC ({_ago(when)})", highlight=False)
    (until,), *_ = connection.execute(_FURTHEST_BEHIND).fetchall()
    if until is not None:
        when = datetime.strptime(utc(until)[:17], "%Y:%j:%H:%M:%S").replace(tzinfo=UTC)
        console.print(f"telemetry of all slots until {when:%Y:%j:%H:%M:%S} UTC ({_ago(when)})", highlight=False)
    if any(name == "aca0_list" for name, *_ in tables):
        # Apart, since most lakes have no list.
        (missing, first, last), *_ = lake.sql("SELECT count(*), min(day), max(day) FROM aca_l0_missing").fetchall()
        range_ = f", from {first:%Y:%j} to {last:%Y:%j}" if missing else ""
        console.print(
            f"{missing:,} files of the archive's list are not in the lake{range_}", highlight=False, soft_wrap=True
        )
    if aside:
        listed = Table(title=f"{len(aside):,} files need a look", title_justify="left")
        for name in ("file", "status", "reason"):
            listed.add_column(name, overflow="fold")
        for filename, status, reason, directory in aside if all_files else aside[:MOST_FILES]:
            listed.add_row(escape(f"{directory or ''}/{filename}"), status, escape(reason or ""))
        console.print(listed)
        if len(aside) > MOST_FILES and not all_files:
            console.print(f"… and {len(aside) - MOST_FILES:,} more: mica-lake status --files")
    else:
        console.print("no file was set aside")


def _table(tables: list[tuple[str, str | None, str | None, int | None, int | None, int, int]]) -> Table:
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
