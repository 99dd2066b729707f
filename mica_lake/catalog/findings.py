"""What `verify` found, and how it is shown."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Shown

from mica_lake.catalog.names import CATALOG
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
        Product -> source files compared, and those left out because they were set aside or superseded.
    findings : list of Finding
        What is wrong.
    unlisted : list of str
        Source files that the lake does not know and the archive's index does not list.
    unguarded : int
        Partitions checked whose pages have no checksums, because an older mica-lake wrote them.
    """

    counts: dict[str, list[int]] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
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
        nothing = [0, 0]
        tables = {
            name: dict(
                zip(
                    ("partitions", "rows", "files", "left_out", "wrong"),
                    (*self.counts.get(name, nothing), *self.files.get(name, nothing), wrong[name]),
                    strict=True,
                )
            )
            for name in {**self.counts, **self.files, **wrong}
        }
        findings = [{name: printable(said) for name, said in asdict(one).items()} for one in self.findings]
        unlisted = [printable(path) for path in self.unlisted]
        return {
            "tables": tables, "without_page_checksums": self.unguarded, "unlisted": unlisted, "findings": findings
        }  # fmt: skip

    def show(self, console: Console, most: int = 20) -> None:
        """Print what is wrong, with the commands that mend it, and a short table of what was checked."""
        by_command: dict[str, list[Finding]] = {}
        for finding in self.findings:
            by_command.setdefault(finding.mend, []).append(finding)
        for command, alike in by_command.items():
            listed = Shown(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
            listed.add_column("partition or file", overflow="fold")
            listed.add_column("what is wrong", overflow="fold")
            for finding in alike[:most]:
                listed.add_row(escape(finding.where), escape(finding.what))
            if len(alike) > most:
                listed.add_row("…", f"and {len(alike) - most:,} more that the same command mends")
            console.print(listed)
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
                numbers += self.files.get(name, ["", ""])
            table.add_row(name, *(f"{n:,}" if n != "" else "" for n in [*numbers, wrong.get(name, 0)]))
        console.print(table)
        if self.unguarded:
            console.print(
                f"{self.unguarded:,} of these partitions {'has' if self.unguarded == 1 else 'have'} no page checksums, "
                "as an older mica-lake wrote them: ingest adds them when it next writes them."
            )
        for path in self.unlisted[:most]:
            console.print(f"{escape(path)}: archfiles.db3 does not list it", soft_wrap=True, highlight=False)
        if len(self.unlisted) > most:
            console.print(f"… and {len(self.unlisted) - most:,} more that archfiles.db3 does not list")
        console.print(f"{len(self.findings):,} wrong" if self.findings else "Nothing is wrong.")
