"""
The aspect processing table: from ``processing_asp_l1.db3`` to table `asp_l1_proc`.

It says which revision of an observation's aspect products is released, and which processing made it.
`mica_lake.ingest.asp_l1` ingests it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.version import pin
from mica_lake.errors import BadFile
from mica_lake.formats.database import read_database
from mica_lake.ingest.found import Rejected, place
from mica_lake.ingest.source_files import derived_from, partitions
from mica_lake.store.place import LakePath
from mica_lake.tables.asp_l1 import ASP_L1_FILE, ASP_L1_PROC
from mica_lake.times import cxcsec

DATABASE = "processing_asp_l1.db3"
_COLUMNS = ["obsid", "revision", "isdefault"]
# Observation and revision -> whether it is the released one.
Released = dict[tuple[int, int], bool]


def read(top: Path) -> pa.Table | Rejected | None:
    """The processings in an archive."""
    query = "SELECT obsid, obi, revision, isdefault, aspect_1_id, ap_date, obspar_version FROM aspect_1_proc"
    try:
        listed = read_database(top / DATABASE, query)
        if listed is None:
            return None
        rows = [
            {
                "obsid": int(obsid),
                "obi": None if obi is None else int(obi),
                "revision": int(revision),
                "isdefault": isdefault == 1,
                "aspect_1_id": int(aspect_1_id),
                "ap_date": None if ap_date is None else str(ap_date),
                "obspar_version": None if obspar_version is None else int(obspar_version),
                "time": _time(ap_date),
            }
            for obsid, obi, revision, isdefault, aspect_1_id, ap_date, obspar_version in listed
        ]
        rows.sort(key=lambda row: (row["obsid"], row["revision"], row["aspect_1_id"]))
        return pa.Table.from_pylist(rows, schema=ASP_L1_PROC.schema)
    except (BadFile, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        return Rejected(place(top / DATABASE), f"{error}; what the lake has of it stays")


def _time(ap_date: object) -> float | None:
    try:
        return cxcsec(str(ap_date))
    except ValueError:
        return None


def build(
    root: LakePath, rows: pa.Table, here: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[tuple[str, Key], dict[str, Any] | None]:
    """Rebuild `asp_l1_proc` if it is stale; it is written, but not committed."""
    key = Key(EPOCH)
    facts = derived_from([list(row.values()) for row in rows.to_pylist()])
    so_far = here.get((ASP_L1_PROC.name, key.day_number))
    if so_far is not None and so_far["derived_from"] == facts:
        return {}
    return {(ASP_L1_PROC.name, key): pin(root, ASP_L1_PROC, key, rows, [], facts)}


def released(proc: pa.Table, of_files: Iterable[tuple[int, int, bool]]) -> Released:
    """
    Which revisions are released.

    Examples
    --------
    >>> released(ASP_L1_PROC.schema.empty_table(), [(5438, 2, True)])
    {(5438, 2): True}
    """
    found: Released = {}
    for obsid, revision, isdefault in zip(*(proc.column(n).to_pylist() for n in _COLUMNS), strict=True):
        found[obsid, revision] = found.get((obsid, revision), False) or isdefault
    known = {obsid for obsid, _ in found}
    found.update({(obsid, revision): default for obsid, revision, default in of_files if obsid not in known})
    return found


def released_in(root: LakePath, partition: pa.Table) -> Released:
    """Which revisions are released, according to a lake's partitions."""
    listed = partitions(partition, [ASP_L1_PROC.name, ASP_L1_FILE.name])
    of_files: list[tuple[int, int, bool]] = []
    for (table, _), row in listed.items():
        if table == ASP_L1_FILE.name:
            rows = read_partition(root / row["path"], columns=_COLUMNS)
            of_files += zip(*(rows.column(name).to_pylist() for name in _COLUMNS), strict=True)
    return released(so_far(root, listed), of_files)


def so_far(root: LakePath, here: Mapping[tuple[str, int], Mapping[str, Any]]) -> pa.Table:
    """The rows that `asp_l1_proc` has."""
    row = here.get((ASP_L1_PROC.name, Key(EPOCH).day_number))
    if row is None:
        return ASP_L1_PROC.schema.empty_table()
    return read_partition(root / row["path"], schema=ASP_L1_PROC.schema)
