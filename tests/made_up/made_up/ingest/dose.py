"""The dose: from files ``dose_YYYYDOY_N.json`` to table `dose`."""

import json
from functools import partial

import pyarrow as pa

from made_up.tables.dose import DOSE
from mica_lake.catalog.key import Key
from mica_lake.catalog.partition import checksum
from mica_lake.errors import BadFile
from mica_lake.formats.on_disk import read
from mica_lake.ingest import follow
from mica_lake.ingest.follow import Part, PartitionJob
from mica_lake.ingest.found import Found, Taken, entries_of, found_in


class Dose(Part):
    """Files of one measurement each."""

    name, table = DOSE.name, DOSE.name

    def discover(self) -> list[Found]:
        """All files of the folder."""
        return [found_in(self.top, entry.name) for entry in entries_of(self.top)]

    @staticmethod
    def judge(found: Found) -> Taken:
        """A file that holds a time and a dose."""
        content = read(found.path, 10_000)
        row = json.loads(content)
        if not isinstance(row.get("dose"), float):
            raise BadFile(f"it has no dose: {row.get('dose')!r}")
        return Taken(found, checksum(content), {"tstart": row["time"], "tstop": row["time"], "rows": 1})

    def plan(self) -> list[PartitionJob]:
        """A partition for each day."""
        return [self.job(DOSE, Key(day), rows) for day, rows in self.rows_by_day().items()]

    @staticmethod
    def build(job: PartitionJob) -> pa.Table:
        """The rows of the day's files."""
        rows = [{**json.loads(found.path.read_bytes()), "filename": found.filename} for found in job.sources]
        return pa.Table.from_pylist(sorted(rows, key=lambda row: row["time"]), schema=DOSE.schema)


PARTS = (Dose,)
ingest = partial(follow.ingest, DOSE.name)
