"""
What to ask for: a pure function of what is known, and of the time. There is no file of state.

Telemetry is asked for from the newest file of the slot that is furthest behind, then the holes, file by file.
Observations are asked for

- every night, if there is nothing of them and they ended in the last 60 days, or if their last revision is not
  released;
- on one night of the year otherwise, as a new revision may come at any time.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mica_lake.fetch.request import DEFAULT, LAST, PRODUCTS, OfInterval, OfName, OfObservation, Request
from mica_lake.ingest.aca_l0.files import seconds_of

DAY = 86400.0
#: The longest interval asked for at once, and what is asked for around it (s).
LONGEST, PADDING = 30 * DAY, 10_000.0
#: How long after its end an observation of which there is nothing is asked for every night (s).
YOUNG = 60 * DAY
#: Obsids from this one on are of engineering observations, which are not released.
ENGINEERING = 38_000
#: In how many nights each of the others comes once.
ROUND = 365
#: How many failures do not delay the next attempt, and the longest delay (s).
PATIENCE, LONGEST_PAUSE = 3, 32 * DAY


@dataclass(frozen=True)
class Failure:
    """
    A file that was asked for and could not be taken.

    Attributes
    ----------
    product : str
        The product that it is of.
    obsid : int or None
        The observation that it is of.
    name : str
        Its name.
    count : int
        How often it failed.
    last : float
        When it last failed, in CXC seconds.
    """

    product: str
    obsid: int | None
    name: str
    count: int
    last: float

    @property
    def again(self) -> float:
        """From when on it may be asked for, in CXC seconds."""
        if self.count <= PATIENCE:
            return -math.inf
        return self.last + min(LONGEST_PAUSE, DAY * 2.0 ** min(self.count - PATIENCE, 10))


@dataclass(frozen=True)
class Revisions:
    """
    The revisions of a product of an observation that there are.

    Attributes
    ----------
    default : int or None
        The one that is released.
    last : int or None
        The last one.
    """

    default: int | None
    last: int | None


@dataclass(frozen=True)
class Known:
    """
    What is known.

    Attributes
    ----------
    newest : mapping of int to float
        Of each slot, the TSTOP of its newest file.
    missing : sequence of (str, float)
        Name, without ``.gz``, and start of each telemetry file that is missing.
    ended : mapping of int to float
        Of each observation, when it ended, or will.
    revisions : mapping of str to mapping of int to Revisions
        Of obspar and asp_l1, what there is of each observation.
    failures : sequence of Failure
        What could not be taken.
    """

    newest: Mapping[int, float] = field(default_factory=dict)
    missing: Sequence[tuple[str, float]] = ()
    ended: Mapping[int, float] = field(default_factory=dict)
    revisions: Mapping[str, Mapping[int, Revisions]] = field(default_factory=dict)
    failures: Sequence[Failure] = ()


def plan(
    known: Known,
    now: float,
    *,
    products: Collection[str] = PRODUCTS,
    start: float | None = None,
    stop: float | None = None,
    obsids: Collection[int] | None = None,
    versions: Sequence[str] = (DEFAULT, LAST),
) -> list[Request]:
    """
    What to ask for.

    Parameters
    ----------
    known : Known
        What there is.
    now : float
        The time, in CXC seconds.
    products : collection of str
        What to fetch.
    start, stop : float, optional
        Only what is of this interval, in CXC seconds; telemetry then from `start` on, whatever there is.
    obsids : collection of int, optional
        Only these observations, whatever there is of them, and no telemetry.
    versions : sequence of str
        Which versions the transport tells apart.

    Returns
    -------
    list of Request
        What to ask for, in order.

    Raises
    ------
    ValueError
        If it cannot be known what to ask for: there is no telemetry at all and no `start`, or no observation is known.

    Examples
    --------
    >>> [request.key for request in plan(Known(newest={3: 7e8}), 7e8 + 86400, products=["aca_l0"])]
    ['aca_l0-699990000-700096400']
    """
    until = now if stop is None else min(stop, now)
    requests: list[Request] = []
    if "aca_l0" in products and obsids is None:
        requests += _telemetry(known, start, until, now)
    for product in ("obspar", "asp_l1"):
        if product in products:
            if obsids is None and product == "obspar" and not known.ended:
                raise ValueError("no observation is known yet: ingest ocat or starcheck, or say --obsid")
            wanted = _observations(known, product, now, start, until) if obsids is None else sorted(set(obsids))
            requests += (OfObservation(product, obsid, version) for obsid in wanted for version in versions)
    return requests


def _telemetry(known: Known, start: float | None, until: float, now: float) -> Iterator[Request]:
    """Intervals of at most 30 days from the slot that is furthest behind, then the holes before."""
    if start is None and not known.newest:
        raise ValueError("there is no telemetry yet: from when on should it be fetched? Say --start")
    begin = min(known.newest.values()) if start is None else start
    first, last = begin - PADDING, max(begin, until) + PADDING
    while begin < until:
        end = min(begin + LONGEST, until)
        yield OfInterval(math.floor(begin - PADDING), math.ceil(end + PADDING))
        begin = end
    paused = {failure.name for failure in known.failures if failure.again > now}
    holes = {f.name: float(seconds_of(f.name)) for f in known.failures if f.product == "aca_l0"} | dict(known.missing)
    for name, time in sorted(holes.items(), key=lambda hole: (hole[1], hole[0])):
        wanted = 0 < time < until and (start is None or time >= start)
        if wanted and name not in paused and not first <= time <= last:
            yield OfName(name)


def _observations(known: Known, product: str, now: float, start: float | None, until: float) -> Iterator[int]:
    """The observations whose turn it is."""
    there = known.revisions.get(product, {})
    ours = [failure for failure in known.failures if failure.product == product and failure.obsid is not None]
    failed, paused = {f.obsid for f in ours}, {f.obsid for f in ours if f.again > now}
    tonight = math.floor(now / DAY) % ROUND
    for obsid in sorted(there.keys() | known.ended.keys()):
        ended = known.ended.get(obsid, -math.inf)
        if obsid in paused or ended > until or (start is not None and ended < start):
            continue
        revisions = there.get(obsid)
        unreleased = revisions is not None and revisions.default != revisions.last
        unreleased &= obsid < ENGINEERING or (revisions is not None and revisions.default is not None)
        young = revisions is None and now - ended < YOUNG
        if unreleased or young or obsid in failed or start is not None or obsid % ROUND == tonight:
            yield obsid
