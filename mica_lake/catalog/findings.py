"""What `verify` found, and how it is shown."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Shown

from mica_lake.catalog.names import CATALOG
from mica_lake.errors import counted
from mica_lake.output import printable
from mica_lake.terminal import escape

WRONG = 4


@dataclass(frozen=True)
class Finding:
    """
    Something that is wrong.

    Attributes
    ----------
    table : str
        The table or product under which it is counted.
    where : str
        The partition or file.
    what : str
        What is wrong with it.
    mend : str
        The commands that mend it.
    """

    table: str
    where: str
    what: str
    mend: str


@dataclass
class Verified:
    """
    The result of checking a lake.

    Attributes
    ----------
    counts : dict of str -> list of int
        Table -> partitions and rows checked.
    files : dict of str -> list of int
        Product -> source files compared, and those left out: superseded ones, and those set aside or refused.
    findings : list of Finding
        What is wrong.
    unlisted : list of str
        Source files that the lake does not know and the archive's index does not list.
    set_aside : int
        Source files known to the lake that somebody should look at, as `mica-lake status` lists them.
    unguarded : int
        Partitions checked whose pages have no checksums, because an older mica-lake wrote them.
    """

    counts: dict[str, list[int]] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    set_aside: int = 0
    unguarded: int = 0

    @property
    def readable(self) -> bool:
        """Whether the catalog can be read, without which nothing can be checked."""
        return not any(finding.where == CATALOG for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """4 if anything is wrong, else 0."""
        return WRONG if self.findings else 0

    def as_json(self) -> dict[str, Any]:
        """It, for programs: what was checked, table by table, and what is wrong."""
        wrong = Counter(finding.table for finding in self.findings)
        tables = {}
        for name in {**self.counts, **self.files, **wrong}:
            partitions, rows = self.counts.get(name, [0, 0])
            files, superseded, aside = self.files.get(name, [0, 0, 0])
            tables[name] = {
                "partitions": partitions, "rows": rows, "files": files, "left_out": superseded + aside,
                "superseded": superseded, "set_aside": aside, "wrong": wrong[name],
            }  # fmt: skip
        findings = [{name: printable(said) for name, said in asdict(one).items()} for one in self.findings]
        unlisted = [printable(path) for path in self.unlisted]
        return {
            "tables": tables, "set_aside": self.set_aside, "without_page_checksums": self.unguarded,
            "unlisted": unlisted, "findings": findings,
        }  # fmt: skip

    def show(self, console: Console, most: int = 20) -> None:
        """Print what is wrong, with the commands that mend it, and a short table of what was checked."""
        by_command: dict[str, list[Finding]] = {}
        for finding in self.findings:
            by_command.setdefault(finding.mend, []).append(finding)
        for command, alike in by_command.items():
            # Lines, not a table: a name can be copied only if it is whole.
            for finding in alike[:most]:
                console.print(escape(f"{finding.where}: {finding.what}"), soft_wrap=True, highlight=False)
            if len(alike) > most:
                console.print(f"… and {len(alike) - most:,} more that the same command mends")
            line = f"\nTo mend {'it' if len(alike) == 1 else 'these'}:  {escape(command)}\n"
            console.print(line, soft_wrap=True, highlight=False)
        table = Shown(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("table", no_wrap=True)
        for name in ("partitions", "rows", *(("files", "left out") if self.files else ()), "wrong"):
            table.add_column(name, justify="right", no_wrap=True)
        wrong = {name: sum(f.table == name for f in self.findings) for name in {f.table for f in self.findings}}
        for name in [*self.counts, *(name for name in {**self.files, **wrong} if name not in self.counts)]:
            numbers = [*self.counts.get(name, ["", ""])]
            if self.files:
                files, *left_out = self.files.get(name, [""])
                numbers += [files, sum(left_out) if left_out else ""]
            table.add_row(name, *(f"{n:,}" if n != "" else "" for n in [*numbers, wrong.get(name, 0)]))
        console.print(table)
        superseded, aside = (sum(counts[n] for counts in self.files.values()) for n in (1, 2))
        if superseded or aside:
            console.print(f"left out: {superseded:,} superseded, {aside:,} set aside", highlight=False)
        if self.unguarded:
            console.print(
                f"{self.unguarded:,} of these partitions {'has' if self.unguarded == 1 else 'have'} no page checksums, "
                "as an older mica-lake wrote them: ingest adds them when it next writes them."
            )
        for path in self.unlisted[:most]:
            console.print(f"{escape(path)}: archfiles.db3 does not list it", soft_wrap=True, highlight=False)
        if len(self.unlisted) > most:
            console.print(f"… and {len(self.unlisted) - most:,} more that archfiles.db3 does not list")
        if self.set_aside:
            console.print(
                counted(self.set_aside, "file is set aside", "files are set aside")
                + ": 'mica-lake status' lists "
                + ("it with its reason" if self.set_aside == 1 else "them with their reasons"),
                soft_wrap=True,
                highlight=False,
            )
        console.print(f"{len(self.findings):,} wrong" if self.findings else "Nothing is wrong.")
