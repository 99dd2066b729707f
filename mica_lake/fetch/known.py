"""What there is: of an archive by its lists of files, without one by the lake; and what should be, by the lake."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mica_lake.catalog.pointer import state
from mica_lake.catalog.root import absolute
from mica_lake.fetch.archfiles import DATABASE
from mica_lake.fetch.filing import FOLDERS
from mica_lake.fetch.plan import Failure, Known, Revisions
from mica_lake.formats.database import read_database
from mica_lake.ingest.aca_l0.files import names_of, seconds_of
from mica_lake.lake import Lake
from mica_lake.times import utc_day

_TABLES = {"obspar": "obspar", "asp_l1": "asp_l1_file"}
# When observations ended, by table: by the archive's own catalog, the commands that ran, and the parameters.
_ENDED = {
    "ocat": "SELECT obsid, max(tstart + 1000 * coalesce(exp_time, 0)) FROM ocat GROUP BY obsid",
    "observation": "SELECT obsid, max(tstop) FROM observation GROUP BY obsid",
    "obspar": "SELECT obsid, max(tstop) FROM obspar GROUP BY obsid",
}
_MISSING = "SELECT DISTINCT filename, tstart FROM aca_l0_missing"
_NEWEST = """
    SELECT slot, max(tstop) FROM source_file
    WHERE product = 'aca_l0' AND status IN ('current', 'incomplete') GROUP BY slot
"""


def known(archive: Path | None, root: str, failures: Iterable[Failure], product: str) -> Known:
    """
    What there is of a product, and what should be.

    Parameters
    ----------
    archive : Path or None
        The folder that holds ``aca0``, ``obspar`` and ``asp1``; without one, what is in the lake counts.
    root : str
        The lake; there may be none yet.
    failures : iterable of Failure
        What could not be taken.
    product : str
        The product.

    Returns
    -------
    Known
        What its plan is made from.

    Examples
    --------
    >>> known(None, str(getfixture("tmp_path")), [], "obspar")
    Known(newest={}, missing=(), ended={}, revisions={'obspar': {}}, failures=[])
    """
    lake = Lake(root) if state(absolute(root)) is not None else None
    tables = {name for (name,) in _rows(lake, "SELECT DISTINCT table_name FROM partition")}
    if product == "aca_l0":
        missing = _rows(lake, _MISSING) if "aca0_list" in tables else []
        if archive is None:
            return Known(newest=dict(_rows(lake, _NEWEST)), missing=missing, failures=list(failures))
        top = archive / FOLDERS[product]
        newest = dict(_listed(top, "SELECT slot, max(tstop) FROM archfiles GROUP BY slot"))
        return Known(newest=newest, missing=_not_there(top, missing), failures=list(failures))
    ends = [row for table in sorted(tables & _ENDED.keys()) for row in _rows(lake, _ENDED[table])]
    if archive is None:
        query = "SELECT obsid, max(revision) FILTER (isdefault), max(revision) FROM {} GROUP BY obsid"
        revisions = _rows(lake, query.format(_TABLES[product]))
    else:
        query = "SELECT obsid, max(CASE WHEN isdefault = 1 THEN revision END), max(revision) FROM archfiles GROUP BY 1"
        revisions = _listed(archive / FOLDERS[product], query)
        ends += _listed(archive / FOLDERS["obspar"], "SELECT obsid, max(tstop) FROM archfiles GROUP BY obsid")
    ended: dict[int, float] = {}
    for obsid, time in ends:
        if obsid is not None and time is not None and math.isfinite(time):
            ended[int(obsid)] = max(time, ended.get(int(obsid), time))
    there = {int(obsid): Revisions(default, last) for obsid, default, last in revisions}
    return Known(ended=ended, revisions={product: there}, failures=list(failures))


def _rows(lake: Lake | None, query: str) -> list[Any]:
    return [] if lake is None else lake.sql(query).fetchall()


def _listed(top: Path, query: str) -> list[Any]:
    return read_database(top / DATABASE, query) or []


def _not_there(top: Path, missing: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Of the files that the lake does not know, those that the archive does not have, either: it hides older ones."""
    days: dict[Path, set[str]] = {}
    left = []
    for name, tstart in missing:
        day = utc_day(max(seconds_of(name), 0))
        folder = top / f"{day.year}" / f"{day.timetuple().tm_yday:03d}"
        if folder not in days:
            days[folder] = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if not days[folder] & set(names_of(name)):
            left.append((name, tstart))
    return left
