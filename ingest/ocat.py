"""The observing catalog: the lake has exactly the rows of the newest file that could be taken."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import checksum, read_partition, values_checksum
from mica_lake.catalog.version import pin
from mica_lake.formats import ocat as format
from mica_lake.formats.ocat import Ocat
from mica_lake.formats.on_disk import read
from mica_lake.ingest import follow
from mica_lake.ingest.follow import Part, Written
from mica_lake.ingest.found import Found, Rejected, Taken, found_in, rejected
from mica_lake.ingest.source_files import derived_from
from mica_lake.products import Product
from mica_lake.tables.ocat import OCAT, OCAT_COLUMN

FILE = "ocat_target_table.h5"
_KEY = Key(EPOCH)


class Catalog(Part):
    """The observing catalog."""

    name = table = OCAT.name
    on_cluster = False

    @staticmethod
    def folder(source: Any, product: Product) -> Path:
        """The file: below a ``$SKA`` root, in the folder given, or the source itself."""
        top = Path(source).absolute()
        if top.is_file():
            return top
        places = (top / product.folder, top / FILE)
        found = next((place for place in places if place.exists()), None)
        if found is None:
            raise FileNotFoundError(f"{top} has neither {product.folder} nor {FILE}")
        return found

    def discover(self) -> list[Found]:
        """The file."""
        return [found_in(self.top.parent, self.top.name)]

    @staticmethod
    def judge(found: Found) -> tuple[Taken, Ocat] | Rejected:
        """Read it."""
        try:
            content = read(found.path, format.LARGEST)
            ocat = format.read(content)
            return Taken(found, checksum(content), {"rows": len(ocat.rows)}), ocat
        except ImportError:
            raise
        except Exception as error:  # what the lake has stays
            return rejected(found, error)

    def present(self) -> list[str]:
        """The file, if its rows are in the lake."""
        current = self.so_far(OCAT.name, _KEY).get("derived_from")
        return [name for name, row in self.files.rows.items() if derived_from([row["checksum"]]) == current]

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Record the file; its rows are all that the table has, wherever the file was before."""
        self._ocat: Ocat | None = None
        for result in judged:
            if not isinstance(result, Rejected):
                result, self._ocat = result
                self.files.rows = {name: row for name, row in self.files.rows.items() if name == result.found.name}
            self.files.note([result])

    def make(self) -> Written:
        """The tables, if the file has changed."""
        if self._ocat is None:
            return {}
        (row,) = self.files.rows.values()
        facts = derived_from([row["checksum"]])
        return {(table.name, _KEY): pin(self.root, table, _KEY, rows, [], facts) for table, rows in _tables(self._ocat)}

    def differing(self, found: Sequence[Found]) -> Iterator[tuple[str, str]]:
        """The tables whose rows are not those of the file."""
        self.note((), [self.judge(one) for one in found])
        for table, rows in _tables(self._ocat) if self._ocat else ():
            so_far = self.so_far(table.name, _KEY)
            here = read_partition(self.root / so_far["path"]) if so_far else table.schema.empty_table()
            if values_checksum(here) != values_checksum(rows):
                yield table.name, _KEY.path(table)


def _tables(ocat: Ocat) -> Iterator[tuple[Any, pa.Table]]:
    rows = ocat.rows
    own = {"position": pa.array(range(len(rows)), pa.int32()), "tstart": format.starts(rows)}
    own |= {name: rows.column(name).combine_chunks() for name in OCAT.schema.names if name not in own}
    rest = [name for name in rows.column_names if name not in own]
    yield OCAT, pa.table({**own, **{name: rows.column(name) for name in rest}})
    yield OCAT_COLUMN, pa.Table.from_pylist(ocat.columns, OCAT_COLUMN.schema)


PARTS = (Catalog,)

ingest = partial(follow.ingest, OCAT.name)
