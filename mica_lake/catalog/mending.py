"""The commands that mend what `verify` finds."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mica_lake.catalog.partition import read_partition
from mica_lake.catalog.reindex import partition_paths
from mica_lake.errors import LakeError
from mica_lake.products import product_named
from mica_lake.store.place import LakePath, store_of
from mica_lake.tables import TABLES
from mica_lake.tables.acq_stats import ACQ_STATS
from mica_lake.tables.guide_stats import GUIDE_STATS
from mica_lake.tables.table import Table
from mica_lake.tables.vv import VV_REPORT, VV_RMS

# Names of the folders below that of a product: YYYY/DOY, OO/OOOOO_vRR, YYYYDOY.
_BELOW = re.compile(r"\d{4}/\d{3}|\d{2}/\d{5}_v\d{2,3}|\d{7}", re.ASCII)
# A command names at most so many folders, and otherwise the one that contains them all.
_MOST = 10
# What is gathered of an observation is in both.
_GATHERED = (ACQ_STATS, GUIDE_STATS)


def reindexing(root: LakePath) -> str:
    """The command that rebuilds the catalog."""
    return f"mica-lake reindex --lake {shlex.quote(str(root))}"


def removing(paths: Iterable[LakePath]) -> str:
    """The command that removes files of a lake."""
    listed = list(paths)
    return store_of(listed[0]).removal(listed)


def ingesting(
    root: LakePath, table: Table, source_file: pa.Table, folders: Iterable[str] | None = None, *, reread: bool = False
) -> str:
    """
    The command that reads a table's source files again; ``SOURCE`` stands for an unknown folder.

    Their folders are those of `source_file`, or `folders` if that is known better. With `reread`, files whose size and
    date have not changed are read, too.
    """
    product = table.ingested_as
    options = f"--lake {shlex.quote(str(root))}"
    if not product_named(product).folder:
        return f"mica-lake ingest {product} {options}"
    if folders is None:
        of_product = {t.name for t in TABLES.values() if t.ingested_as == product}
        rows = zip(source_file.column("product").to_pylist(), source_file.column("directory").to_pylist(), strict=True)
        folders = {directory for name, directory in rows if name in of_product and directory}
    tops = sorted({_top(Path(folder)) for folder in folders})
    apart = [str(top) for top in tops if not any(other in top.parents for other in tops)]
    if len(apart) > _MOST:
        apart = [os.path.commonpath(apart)]
    sources = " ".join(f"--from {shlex.quote(top)}" for top in apart or ["SOURCE"])
    commands = [f"mica-lake ingest {product} {sources} {'--reread ' if reread else ''}{options}"]
    if product == "vv":
        by_revision: dict[int, list[str]] = {}
        for obsid, revision in sorted(_computed(root)):
            by_revision.setdefault(revision, []).append(str(obsid))
        for revision, obsids in by_revision.items():
            commands.append(f"mica-lake vv {' '.join(obsids)} --version {revision} --ingest {options}")
    if table in _GATHERED and (gathered := _gathered(root)):
        commands.append(f"mica-lake stats gather {' '.join(map(str, gathered))} {options}")
    return "; ".join(commands)


def _computed(root: LakePath) -> set[tuple[int, int]]:
    """Observations and revisions with residuals computed here, which are in no source file, as far as can be read."""
    found: set[tuple[int, int]] = set()
    for path in (path for table in (VV_RMS, VV_REPORT) for path in partition_paths(root, table)):
        try:
            rows = read_partition(root / path, ["obsid", "revision", "computed"])
        except (OSError, LakeError):
            continue
        found.update((row["obsid"], row["revision"]) for row in rows.to_pylist() if row["computed"])
    return found


def _gathered(root: LakePath) -> list[int]:
    """Observations whose statistics were computed here, as far as either table can be read."""
    found: set[int] = set()
    for table in _GATHERED:
        for path in partition_paths(root, table):
            try:
                rows = read_partition(root / path, ["obsid", "computed"], table.schema, pc.field("computed"))
            except (OSError, LakeError):
                continue
            found.update(rows.column("obsid").to_pylist())
    return sorted(found)


def _top(folder: Path) -> Path:
    """The product's folder above a folder of source files."""
    if _BELOW.fullmatch(folder.name):
        return folder.parent
    return folder.parent.parent if _BELOW.fullmatch("/".join(folder.parts[-2:])) else folder
