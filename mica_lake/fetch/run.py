"""A night's fetching: plan, get, file, ingest. It may be killed at any moment; the next run finishes it."""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mica_lake.catalog.names import INBOX
from mica_lake.catalog.root import absolute
from mica_lake.errors import LakeError, said_of
from mica_lake.fetch.filing import FOLDERS, Filing
from mica_lake.fetch.known import known
from mica_lake.fetch.plan import plan
from mica_lake.fetch.request import DEFAULT, OfInterval, OfObservation, Request, request_of
from mica_lake.fetch.set_aside import SetAside
from mica_lake.fetch.transport import Transport, TransportError
from mica_lake.formats.on_disk import escaped
from mica_lake.ingest.follow import module_of
from mica_lake.ingest.report import SET_ASIDE, Report
from mica_lake.products import product_named
from mica_lake.store import flock
from mica_lake.terminal import escape
from mica_lake.times import now

FAILED = 1
#: After how many failures of a transport, one after the other, the rest is left to the next run.
GIVE_UP = 3
_ARCHIVE = Path("data/mica/archive")
_PART = ".part"
_MOST_REASONS = 20


@dataclass
class Outcome:
    """
    What was fetched of a product.

    Attributes
    ----------
    product : str
        Its name.
    asked, empty, taken, known : int
        Answers asked for, answers with nothing in them, files filed, and files that were there before.
    aside : dict
        File -> why it was not taken.
    failures : list of str
        What went wrong with the transport or with the ingest.
    ingested : list of Report
        What the ingests did.
    """

    product: str
    asked: int = 0
    empty: int = 0
    taken: int = 0
    known: int = 0
    aside: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    ingested: list[Report] = field(default_factory=list)


class Fetching:
    """
    A run.

    Parameters
    ----------
    transport : Transport
        What gets the files.
    ska : path, optional
        The archive, the folder that ``$SKA`` names. Without one, files are kept until they are in the lake.
    lake : path
        The lake.
    console : rich.console.Console
        Where to print.
    jobs : int, optional
        Processes of the ingest; the cores by default.

    Raises
    ------
    ValueError
        If there is no archive and the lake is in an object store.

    Examples
    --------
    >>> from mica_lake.fetch.transport import Inbox
    >>> tmp = getfixture("tmp_path")
    >>> Fetching(Inbox(tmp), tmp / "ska", tmp / "lake", Console()).fetch(["asp_l1"])
    product   asked   empty   filed   known   aside   ingested
    ──────────────────────────────────────────────────────────
    asp_l1        0       0       0       0       0          0
    0
    """

    def __init__(
        self,
        transport: Transport,
        ska: str | os.PathLike[str] | None,
        lake: str | os.PathLike[str],
        console: Console,
        jobs: int | None = None,
    ) -> None:
        root = absolute(lake)
        if ska is None and not isinstance(root, Path):
            raise ValueError(f"{root} is in an object store: say with --archive where to keep the files")
        self._transport, self._lake, self._console, self._jobs = transport, os.fspath(lake), console, jobs
        self._keep = ska is not None
        self._inbox = Path(os.path.abspath(ska), "data/mica/_inbox") if ska is not None else Path(str(root), INBOX)  # noqa: PTH100
        self._ska = Path(os.path.abspath(ska)) if ska is not None else self._inbox  # noqa: PTH100
        self._staging, self._done = self._inbox / "staging", self._inbox / "done"
        self._aside = SetAside(self._inbox / "set_aside")
        self._filing = Filing(self._ska / _ARCHIVE, self._aside)

    def plan(
        self,
        product: str,
        start: float | None = None,
        stop: float | None = None,
        obsids: Collection[int] | None = None,
    ) -> list[Request]:
        """
        What would be asked for now.

        Parameters
        ----------
        product : str
            The product.
        start, stop : float, optional
            Only what is of this interval, in CXC seconds.
        obsids : collection of int, optional
            Only these observations.

        Returns
        -------
        list of Request
            As of `mica_lake.fetch.plan.plan`.

        Examples
        --------
        >>> from mica_lake.fetch.transport import Inbox
        >>> tmp = getfixture("tmp_path")
        >>> [r.key for r in Fetching(Inbox(tmp), tmp, tmp / "lake", Console()).plan("obspar", obsids=[8008])]
        ['obspar-08008/default']
        """
        archive = self._ska / _ARCHIVE if self._keep else None
        there = known(archive, self._lake, self._aside.failures(), product)
        options = {"start": start, "stop": stop}
        return plan(there, now(), products=[product], obsids=obsids, versions=self._transport.versions, **options)

    def fetch(
        self,
        products: Sequence[str],
        start: float | None = None,
        stop: float | None = None,
        obsids: Collection[int] | None = None,
    ) -> int:
        """
        Get what is missing, file it and take it into the lake; print what was done.

        Parameters
        ----------
        products : sequence of str
            What to fetch.
        start, stop, obsids
            As of `plan`.

        Returns
        -------
        int
            Exit code: 0 if all went well, 3 if something was set aside, 1 if a transport or an ingest failed.

        Raises
        ------
        LakeError
            If another run is under way.
        OSError
            If the archive cannot be written, for instance because the disk is full.

        Examples
        --------
        >>> from mica_lake.fetch.transport import Inbox
        >>> tmp = getfixture("tmp_path")
        >>> Fetching(Inbox(tmp), tmp, tmp / "lake", Console(quiet=True)).fetch(["asp_l1"])
        0
        """
        self._inbox.mkdir(parents=True, exist_ok=True)
        outcomes = [Outcome(product) for product in products]
        with flock.held(self._inbox / "lock"):
            left = {product: Outcome(product) for product in FOLDERS if product not in products}
            self._finish(left | {outcome.product: outcome for outcome in outcomes})
            others = [outcome for outcome in left.values() if outcome.taken or outcome.aside or outcome.ingested]
            for outcome in others:
                self._ingest(outcome)
            for outcome in outcomes:
                try:
                    requests = self.plan(outcome.product, start, stop, obsids)
                except ValueError as error:
                    outcome.failures.append(f"{outcome.product}: {error}")
                else:
                    self._fetch(outcome, requests)
        return self._show([*others, *outcomes])

    def _finish(self, outcomes: dict[str, Outcome]) -> None:
        """Finish what a run that died has left: answers that are not filed, files that are not in the lake."""
        if self._done.exists():
            shutil.rmtree(self._done)
        for folder in sorted(self._staging.iterdir()) if self._staging.is_dir() else ():
            request = request_of(folder.name) or request_of(f"{folder.name}/{DEFAULT}")
            if request is None or folder.name.endswith(_PART):
                shutil.rmtree(folder)
            else:
                self._file(request, folder, outcomes[request.product])
        if not self._keep:
            for outcome in outcomes.values():
                self._ingest(outcome)

    def _fetch(self, outcome: Outcome, requests: Sequence[Request]) -> None:
        """Get and file the answers to some requests, and ingest them."""
        failed = 0
        for unit, together in groupby(requests, key=lambda request: request.unit):
            versions = list(together)
            outcome.asked += 1
            try:
                folder = self._get(unit, versions)
            except TransportError as error:
                outcome.failures.append(f"{unit}: {error}")
                failed += 1
                # Later telemetry must not hide what is missing before it.
                if failed == GIVE_UP or isinstance(versions[0], OfInterval):
                    break
                continue
            failed = 0
            came = self._file(versions[0], folder, outcome)
            if isinstance(versions[0], OfInterval):
                if not came and not _is_last(versions[0], requests):
                    outcome.failures.append(f"{unit}: nothing came; say --start if there is nothing")
                    break
                if not self._keep:
                    self._ingest(outcome)
        self._ingest(outcome)

    def _get(self, unit: str, versions: Sequence[Request]) -> Path:
        """Let the transport fill a folder, which has its final name when it is whole."""
        part, folder = self._staging / f"{unit}{_PART}", self._staging / unit
        if part.exists():
            shutil.rmtree(part)
        for request in versions:
            below = part / request.version if isinstance(request, OfObservation) else part
            below.mkdir(parents=True)
            self._transport.get(request, below)
        os.rename(part, folder)  # noqa: PTH104 - a step at which a run may die
        return folder

    def _file(self, request: Request, folder: Path, outcome: Outcome) -> bool:
        """File an answer; returns whether anything came."""
        filed = self._filing.file(request, folder)
        outcome.taken += len(filed.taken)
        outcome.known += filed.known
        outcome.aside |= filed.aside
        came = bool(filed.taken or filed.known or filed.aside)
        outcome.empty += not came
        shutil.rmtree(folder)
        return came

    def _ingest(self, outcome: Outcome) -> None:
        """Take what is filed into the lake."""
        folder = self._filing.archive / FOLDERS[outcome.product]
        if not folder.is_dir():
            return
        try:
            report = module_of(product_named(outcome.product)).ingest(
                self._ska, self._lake, jobs=self._jobs, console=self._console
            )
        except Exception as error:  # whatever stops one product, the others are fetched
            kind = "" if isinstance(error, LakeError | ValueError | OSError) else f"{type(error).__name__}: "
            outcome.failures.append(f"ingest of {outcome.product}: {kind}{said_of(error)}")
            return
        outcome.ingested.append(report)
        outcome.aside |= report.set_aside
        if not self._keep:
            reasons = {Path(name).name: reason for name, reason in report.set_aside.items()}
            for path in sorted(folder.rglob("*")):
                if reason := reasons.get(escaped(path.name)):
                    self._aside.add(_request(outcome.product, path), path.name, reason, path)
            # At once, as half of an observation would be taken for all that there is of it.
            os.rename(folder, self._done)  # noqa: PTH104 - a step at which a run may die
            shutil.rmtree(self._done)

    def _show(self, outcomes: Sequence[Outcome]) -> int:
        """Print what was done; returns the exit code."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("product", no_wrap=True)
        for name in ("asked", "empty", "filed", "known", "aside", "ingested"):
            table.add_column(name, justify="right", no_wrap=True)
        for outcome in outcomes:
            ingested = sum(len(report.taken) for report in outcome.ingested)
            counts = (outcome.asked, outcome.empty, outcome.taken, outcome.known, len(outcome.aside), ingested)
            table.add_row(outcome.product, *(f"{count:,}" for count in counts))
        for line in _reasons(outcomes):
            self._console.print(escape(line), soft_wrap=True, highlight=False)
        self._console.print(table)
        if any(outcome.aside for outcome in outcomes):
            self._console.print(f"set aside in {escape(str(self._aside.folder))}", soft_wrap=True, highlight=False)
        for outcome in outcomes:
            for failure in outcome.failures:
                self._console.print(f"failed: {escape(failure)}", soft_wrap=True, highlight=False)
        if any(outcome.failures for outcome in outcomes):
            return FAILED
        return SET_ASIDE if any(outcome.aside for outcome in outcomes) else 0


def _reasons(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Why files were set aside."""
    reasons = [(name, reason) for outcome in outcomes for name, reason in outcome.aside.items()]
    for name, reason in reasons[:_MOST_REASONS]:
        yield f"set aside: {name}: {reason}"
    if len(reasons) > _MOST_REASONS:
        yield f"… and {len(reasons) - _MOST_REASONS:,} more"


def _is_last(interval: OfInterval, requests: Sequence[Request]) -> bool:
    """Whether no interval follows."""
    return interval == [request for request in requests if isinstance(request, OfInterval)][-1]


def _request(product: str, path: Path) -> Request:
    """What a filed file was the answer to, as far as that can be told from where it is."""
    if product == "aca_l0":
        return OfInterval(0, 0)
    return OfObservation(product, int(path.parent.name[:5]), DEFAULT)
