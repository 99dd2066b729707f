"""What an ingest did, for the person who reads it at 3 a.m. and for the exit code."""

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mica_lake.errors import counted
from mica_lake.output import printable
from mica_lake.terminal import escape

SET_ASIDE = 3


def progress_bar(console: Console | None) -> Progress:
    """A progress bar, shown on a terminal only."""
    return Progress(console=console, transient=True, disable=console is None or not console.is_terminal)


@dataclass
class Report:
    """
    What an ingest did.

    Attributes
    ----------
    product : str
        The table.
    taken, replaced : list of str
        Files whose rows came in, and files whose rows went out for those of a newer revision.
    unchanged : int
        Files that were taken before.
    gone : list of str
        Files whose rows went out because the archive has them no more.
    superseded : dict
        File -> the newer revision that it gives way to.
    set_aside : dict
        File -> why it was not taken; also those set aside before and not changed since.
    unlisted : list of str
        Files that the lake does not know and the archive's index does not list: they are left alone.
    rows, partitions, bytes_in, bytes_out : int
        Rows of the files taken; partitions written; bytes read and bytes of the partitions written.
    seconds : float
        How long it took.
    dry_run : bool
        Whether this is a plan only.
    derived : dict
        What was done to the products that are derived from this one: name -> report.
    """

    product: str
    taken: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: int = 0
    gone: list[str] = field(default_factory=list)
    superseded: dict[str, str] = field(default_factory=dict)
    set_aside: dict[str, str] = field(default_factory=dict)
    unlisted: list[str] = field(default_factory=list)
    rows: int = 0
    partitions: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    derived: dict[str, "Report"] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 if every file given is in the lake or has given way to a newer one, 3 if any was set aside."""
        return SET_ASIDE if self.set_aside else 0

    @property
    def found_none(self) -> bool:
        """Whether there was no file of the product; a missing database alone does not count as a file."""
        others = {name for name in self.set_aside if not name.endswith("/archfiles.db3")}
        return not (self.taken or self.unchanged or self.superseded or others)

    @property
    def _title(self) -> str:
        return f"{self.product}: plan" if self.dry_run else self.product

    def _counts(self) -> list[tuple[str, int]]:
        """How many files, by what became of them."""
        return [
            ("taken", len(self.taken)),
            ("replaced by these", len(self.replaced)),
            ("given up for newer ones", len(self.superseded)),
            ("unchanged", self.unchanged),
            ("gone from the archive", len(self.gone)),
            ("set aside", len(self.set_aside)),
        ]

    def _repr_html_(self) -> str:
        """What a notebook shows: how many files, and why some were set aside."""
        from mica_lake.drawn import table

        derived = [(f"{name}, derived: rows", report.rows) for name, report in self.derived.items()]
        done = [] if self.dry_run else [("rows", self.rows), ("partitions written", self.partitions), *derived]
        shown = table(self._title, [], [*self._counts(), *done])
        return shown + table("set aside", ["file", "why"], self.set_aside.items()) if self.set_aside else shown

    def as_json(self, derived_from: str | None = None) -> list[dict[str, Any]]:
        """It, and each of what was derived, for programs: counts, and why files were set aside."""
        files = {
            "taken": len(self.taken),
            "replaced": len(self.replaced),
            "superseded": len(self.superseded),
            "unchanged": self.unchanged,
            "gone": len(self.gone),
            "unlisted": len(self.unlisted),
            "set_aside": {printable(name): printable(reason) for name, reason in self.set_aside.items()},
        }
        done = {name: getattr(self, name) for name in ("rows", "partitions", "bytes_in", "bytes_out", "seconds")}
        own = {"product": self.product, "derived_from": derived_from, **files, **done}
        return [own, *(one for report in self.derived.values() for one in report.as_json(self.product))]

    def show(self, console: Console, most: int = 20) -> None:
        """Print it as a short table, with the reasons why files were not taken."""
        self.show_reasons(console, most)
        table = Table(title=self._title, title_justify="left")
        table.add_column("files")
        table.add_column("", justify="right")
        for name, count in self._counts():
            table.add_row(name, f"{count:,}")
        if not self.dry_run:
            table.add_section()
            table.add_row("rows", f"{self.rows:,}")
            table.add_row("partitions written", f"{self.partitions:,}")
            table.add_row("MB in, MB out", f"{self.bytes_in / 1e6:,.1f}, {self.bytes_out / 1e6:,.1f}")
            table.add_row("seconds", f"{self.seconds:,.2f}")
        console.print(table)
        if not (self.taken or self.replaced or self.gone or self.set_aside):
            if self.partitions:
                console.print("No file is new; what was out of date was rewritten.")
            else:
                console.print("Nothing to do: the lake has all of it.")
        for derived in self.derived.values():
            if derived.partitions:
                derived.show_derived(console)

    def show_reasons(self, console: Console, most: int = 20) -> None:
        """Print why files were not taken, and which are gone, in lines whose names can be copied."""

        def say(text: str) -> None:
            console.print(escape(text), soft_wrap=True, highlight=False)

        for title, reasons, listed in (
            ("set aside", self.set_aside, "status --files"),
            (
                "given up for a newer revision",
                self.superseded,
                """sql "FROM source_file WHERE status = 'superseded'\"""",
            ),
        ):
            if reasons:
                say(f"{self.product}: {title}")
            for name, reason in list(reasons.items())[:most]:
                say(f"  {name}: {reason}")
            if len(reasons) > most:
                say(f"  … and {len(reasons) - most:,} more: mica-lake {listed}")
        for names, one, several in (
            (self.gone, "file is gone from the archive", "files are gone from the archive"),
            (
                self.unlisted,
                "file is left alone, as archfiles.db3 does not list it",
                "files are left alone, as archfiles.db3 does not list them",
            ),
        ):
            if names:
                others = f" and {counted(len(names) - 1, 'other')}" if len(names) > 1 else ""
                say(f"{self.product}: {counted(len(names), one, several)}: {names[0]}{others}")

    def show_derived(self, console: Console) -> None:
        """Print it in one line, for a derived product."""
        done = (
            f"{counted(self.partitions, 'partition')}, {counted(self.rows, 'row')}, {self.bytes_out / 1e6:,.1f} MB, "
            f"{self.seconds:,.2f} s"
        )
        console.print(f"{self.product}, derived: {done if self.partitions else 'up to date'}")
