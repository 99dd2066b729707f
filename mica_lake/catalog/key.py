"""Which partition of a table: its day and slot, and the paths that follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from mica_lake.catalog.names import DATA, PINNED
from mica_lake.tables import TABLES
from mica_lake.tables.table import Table

EPOCH = date(1998, 1, 1)


@dataclass(frozen=True, order=True)
class Key:
    """
    Which partition: a day, and the slot if the table has slots.

    Attributes
    ----------
    day : datetime.date
        The UTC day; the first of the year for a table by year, 1998-01-01 for one that is not partitioned.
    slot : int or None
        The slot.
    """

    day: date
    slot: int | None = None

    @staticmethod
    def of_year(year: int) -> "Key":
        """Key of a partition of a table by year."""
        return Key(date(year, 1, 1))

    @staticmethod
    def of_day_number(number: int) -> "Key":
        """Key of a partition of a table without slots, by `day_number`."""
        return Key(EPOCH + timedelta(days=number))

    def path(self, table: Table) -> str:
        """Path of the partition's file, relative to the lake."""
        values = {"year": self.day.year, "doy": self.day.timetuple().tm_yday, "slot": self.slot}
        return "/".join([table.name, *(f"{key}={values[key]}" for key in table.keys), DATA])

    def pinned(self, table: Table, digest: str) -> str:
        """Path of one version of the partition's file, relative to the lake."""
        slot = "" if self.slot is None else f"_{self.slot}"
        return f"{PINNED}/{table.name}/{self.day:%Y}/{self.day:%Y%j}{slot}_{digest[:16]}.parquet"

    @property
    def day_number(self) -> int:
        """Days since 1998-01-01."""
        return (self.day - EPOCH).days


def key_of(table: Table, path: str) -> Key:
    """
    Which partition of a table the file of this path, relative to the lake, is; a ValueError if none has this path.

    Examples
    --------
    >>> key_of(TABLES["hdr3"], "hdr3/year=2015/doy=181/data.parquet")
    Key(day=datetime.date(2015, 6, 30), slot=None)
    """
    values = dict(part.split("=") for part in path.split("/")[1:-1])
    year = int(values.get("year", EPOCH.year))
    day = date(year, 1, 1) + timedelta(days=int(values.get("doy", 1)) - 1)
    key = Key(day, int(values["slot"]) if "slot" in values else None)
    if key.path(table) != path:
        raise ValueError(f"no partition of {table.name} has this path")
    return key


def path_of(row: Mapping[str, Any]) -> str:
    """Path, relative to the lake, of the partition that a row of ``partition`` describes."""
    return Key(EPOCH + timedelta(days=row["day_number"]), row["slot"]).path(TABLES[row["table_name"]])
