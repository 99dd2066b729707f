"""Models of acquisition and tracking: binomial regressions of the tables of statistics."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.key import EPOCH, Key
from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.version import pin
from mica_lake.ingest.follow import Pools, Written
from mica_lake.ingest.report import Report
from mica_lake.ingest.source_files import derived_from
from mica_lake.regression import columns_read, design, fit, stars_of
from mica_lake.store.place import LakePath
from mica_lake.tables.star_model import TERMS
from mica_lake.tables.table import Table

_KEY = Key(EPOCH)


@dataclass(frozen=True)
class ModelsOf:
    """The models that are fitted to a table of statistics."""

    table: Table
    source: Table

    def derive(self, root: LakePath, partition: pa.Table, pools: Pools, report: Report) -> Written:
        """Fit them again if the statistics have changed."""
        paths, made_from, so_far = self._listed(partition)
        if not paths:
            return {(self.table.name, _KEY): None} if so_far is not None else {}
        if so_far == made_from:
            return {}
        schema = pa.schema([self.source.schema.field(name) for name in columns_read(self.source.name)])
        parts = [read_partition(root / path, columns=schema.names, schema=schema) for path in sorted(paths)]
        row = pin(root, self.table, _KEY, self._fitted(pa.concat_tables(parts)), [], made_from)
        report.rows += row["rows"]
        return {(self.table.name, _KEY): row}

    def stale_paths(self, root: LakePath, partition: pa.Table) -> list[str]:
        """The stale partition, for `mica-lake verify`."""
        paths, made_from, so_far = self._listed(partition)
        return [_KEY.path(self.table)] if so_far != (made_from if paths else None) else []

    def _fitted(self, rows: pa.Table) -> pa.Table:
        """A row for each model that the statistics determine."""
        columns = {name: rows.column(name).to_numpy() for name in columns_read(self.source.name)}
        stars, found = stars_of(self.source.name, columns), []
        for model, terms in sorted(TERMS.items()):
            known = stars.known_to(model)
            made = fit(design(model, known.values), known.success, known.obsid) if known.determine(model) else None
            if made is not None:
                found.append(
                    {
                        "model": model,
                        "terms": terms,
                        "coefficients": made.coefficients.tolist(),
                        "covariance": made.covariance.ravel().tolist(),
                        "quantities": list(known.values),
                        "low": [float(values.min()) for values in known.values.values()],
                        "high": [float(values.max()) for values in known.values.values()],
                        "n": len(known.success),
                        "n_success": int(known.success.sum()),
                        "n_obsids": len(np.unique(known.obsid)),
                        "tstart": float(known.time.min()),
                        "tstop": float(known.time.max()),
                    }
                )
        return pa.Table.from_pylist(found, self.table.schema)

    def _listed(self, partition: pa.Table) -> tuple[list[str], str, str | None]:
        """The partitions of the statistics, what they are as a checksum, and what the models were made from."""
        names = pa.array([self.source.name, self.table.name])
        listed = partition.filter(pc.is_in(partition.column("table_name"), names))
        paths, so_far = [], None
        for row in listed.select(["table_name", "path", "derived_from", "definition"]).to_pylist():
            if row["table_name"] == self.source.name:
                paths.append(row["path"])
            else:
                so_far = row["derived_from"] if row["definition"] == self.table.definition else ""
        return paths, derived_from(sorted(paths)), so_far
