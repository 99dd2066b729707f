"""Which files make up the archive when revisions compete: the rules of one slot, independent of the files' order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Verdict:
    """
    What becomes of a source file.

    Attributes
    ----------
    status : str
        ``current``, ``superseded`` or ``refused``.
    by : str
        The newer file that it gives way to; empty for a current one.
    reason : str or None
        Why it is not current.
    """

    status: str
    by: str = ""
    reason: str | None = None


CURRENT = Verdict("current")


def judge(filename: Sequence[str], revision: ArrayLike, tstart: ArrayLike, tstop: ArrayLike) -> list[Verdict]:
    """
    Which of the files of one slot are current.

    Revisions are judged from the newest to the oldest. A file is current unless its interval overlaps that of a current
    file of a newer revision; if it then also overlaps a current file of an older revision it is refused, as it belongs
    neither before nor after. Files of the same revision never supersede each other. So the outcome depends only on the
    set of files, and only a current file supersedes another.

    Examples
    --------
    >>> [verdict.status for verdict in judge(["N001", "N002"], [1, 2], [0.0, 5.0], [9.0, 15.0])]
    ['superseded', 'current']
    """
    names = np.asarray(filename, dtype=object)
    order = np.lexsort((names, np.asarray(tstart, dtype=float)))
    revisions, starts, stops = (np.asarray(a)[order] for a in (revision, tstart, tstop))
    longest = float((stops - starts).max()) if len(order) else 0.0

    def meets(i: int) -> NDArray[np.intp]:
        near = np.arange(np.searchsorted(starts, starts[i] - longest), np.searchsorted(starts, stops[i]))
        found: NDArray[np.intp] = near[(starts[near] < stops[i]) & (stops[near] > starts[i])]
        return found

    verdicts = [CURRENT] * len(order)
    current = np.ones(len(order), dtype=bool)
    contested = _meets_other_revision(revisions, starts, stops)
    newer_by: dict[int, int] = {}
    for i in contested[np.argsort(-revisions[contested], kind="stable")].tolist():
        rivals = meets(i)
        newer = rivals[current[rivals] & (revisions[rivals] > revisions[i])]
        if len(newer):
            current[i], newer_by[i] = False, int(newer[0])
    for i, by in newer_by.items():
        rivals = meets(i)
        older = rivals[current[rivals] & (revisions[rivals] < revisions[i])]
        new = str(names[order[by]])
        if len(older):
            reason = f"it overlaps the newer {new} and the older {names[order[older[0]]]}"
            verdicts[order[i]] = Verdict("refused", new, reason)
        else:
            verdicts[order[i]] = Verdict("superseded", new, f"it overlaps the newer {new}")
    return verdicts


def connected(tstart: NDArray[np.float64], tstop: NDArray[np.float64]) -> NDArray[np.intp]:
    """
    A number for each interval, the same for those that overlap, directly or by way of others.

    Examples
    --------
    >>> connected(np.array([5.0, 0.0, 2.0, 9.0]), np.array([6.0, 3.0, 5.5, 12.0])).tolist()
    [0, 0, 0, 1]
    """
    order = np.argsort(tstart, kind="stable")
    reach = np.maximum.accumulate(tstop[order])
    apart = np.zeros(len(order), np.intp)
    apart[1:] = tstart[order][1:] >= reach[:-1]
    numbers = np.empty(len(order), np.intp)
    numbers[order] = np.cumsum(apart)
    return numbers


def _meets_other_revision(
    revisions: NDArray[np.int64], starts: NDArray[np.float64], stops: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Which files, sorted by start, overlap a file of another revision."""
    contested = np.zeros(len(starts), dtype=bool)
    reach = np.maximum.accumulate(stops) if len(stops) else stops
    for step in range(1, len(starts)):
        if not (starts[step:] < reach[:-step]).any():
            break
        meet = (starts[step:] < stops[:-step]) & (stops[step:] > starts[:-step])
        meet &= revisions[step:] != revisions[:-step]
        contested[step:] |= meet
        contested[:-step] |= meet
    return np.flatnonzero(contested)
