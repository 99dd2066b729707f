"""Products that are one file: the lake has exactly the rows of the newest that could be taken."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import checksum, read_partition, values_checksum
from mica_lake.catalog.version import pin
from mica_lake.formats.on_disk import read
from mica_lake.ingest.follow import Part, Written, tables_of
from mica_lake.ingest.found import Found, Rejected, Taken, found_in, rejected
from mica_lake.ingest.source_files import derived_from
from mica_lake.products import Product
from mica_lake.tables.table import Table

_KEY = Key(EPOCH)
Tables = Sequence[tuple[Table, pa.Table]]


class WholeFile(Part):
    """A file whose tables are not partitioned."""

    largest: ClassVar[int] = 1 << 30
    on_cluster = False

    @staticmethod
    @abstractmethod
    def tables(content: bytes) -> Tables:
        """The tables of a file, the one that it is recorded for first; what this raises is why it is set aside."""

    @staticmethod
    def folder(source: Any, product: Product) -> Path:
        """The file: below a ``$SKA`` root, in the folder given, or the source itself."""
        top = Path(source).absolute()
        if top.is_file():
            return top
        name = Path(product.folder).name
        found = next((place for place in (top / product.folder, top / name) if place.exists()), None)
        if found is None:
            raise FileNotFoundError(f"{top} has neither {product.folder} nor {name}")
        return found

    def discover(self) -> list[Found]:
        """The file."""
        return [found_in(self.top.parent, self.top.name)]

    def judge_all(self, new: Sequence[Found]) -> Iterator[tuple[Taken, Tables] | Rejected]:
        """Read it in this process, which saves passing its rows to another."""
        return map(self._judged, new)

    def _judged(self, found: Found) -> tuple[Taken, Tables] | Rejected:
        try:
            content = read(found.path, self.largest)
            tables = self.tables(content)
            return Taken(found, checksum(content), {"rows": len(tables[0][1])}), tables
        except ImportError:
            raise
        except Exception as error:  # what the lake has stays
            return rejected(found, error)

    def present(self) -> list[str]:
        """The file, if its rows are in the lake."""
        made_from = {self.so_far(table, _KEY).get("derived_from") for table in tables_of(self.run.product)}
        return [name for name, row in self.files.rows.items() if made_from == {derived_from([row["checksum"]])}]

    def note(self, refused: Sequence[Rejected], judged: Sequence[Any]) -> None:
        """Record the file; its rows are all that the table has, wherever the file was before."""
        self._tables: Tables = ()
        for result in judged:
            if not isinstance(result, Rejected):
                result, self._tables = result
                self.files.rows = {name: row for name, row in self.files.rows.items() if name == result.found.name}
            self.files.note([result])

    def make(self) -> Written:
        """The tables, if the file has changed."""
        if not self._tables:
            return {}
        (row,) = self.files.rows.values()
        facts = derived_from([row["checksum"]])
        return {(table.name, _KEY): pin(self.root, table, _KEY, rows, [], facts) for table, rows in self._tables}

    def differing(self, found: Sequence[Found]) -> Iterable[tuple[str, str]]:
        """The tables whose rows are not those of the file."""
        self.note((), list(self.judge_all(found)))
        for table, rows in self._tables:
            so_far = self.so_far(table.name, _KEY)
            here = read_partition(self.root / so_far["path"]) if so_far else table.schema.empty_table()
            if values_checksum(here) != values_checksum(rows):
                yield table.name, _KEY.path(table)
