"""The observing catalog, as the archive keeps it."""

from functools import partial

import pyarrow as pa

from mica_lake.formats import ocat
from mica_lake.ingest import follow
from mica_lake.ingest.whole_file import Tables, WholeFile
from mica_lake.tables.ocat import OCAT, OCAT_COLUMN


class Catalog(WholeFile):
    """The observing catalog, with the columns that its file has."""

    name = table = OCAT.name
    largest = ocat.LARGEST

    @staticmethod
    def tables(content: bytes) -> Tables:
        """The targets, and the columns."""
        found = ocat.read(content)
        rows = found.rows
        own = {"position": pa.array(range(len(rows)), pa.int32()), "tstart": ocat.starts(rows.column("start_date"))}
        own |= {name: rows.column(name).combine_chunks() for name in OCAT.schema.names if name not in own}
        rest = [name for name in rows.column_names if name not in own]
        targets = pa.table({**own, **{name: rows.column(name) for name in rest}})
        return (OCAT, targets), (OCAT_COLUMN, pa.Table.from_pylist(found.columns, OCAT_COLUMN.schema))


PARTS = (Catalog,)

ingest = partial(follow.ingest, OCAT.name)
