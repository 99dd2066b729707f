"""
What the parts of ``_catalog`` are called, as paths relative to the lake or to a generation.

`sql/catalog.sql`, `sql/check.sql`, `sql/lake.sql`, `sql/hdr3.sql` and `sql/obspar.sql` say the same.
"""

CATALOG = "_catalog"
CURRENT = f"{CATALOG}/current"
INTERRUPTED = f"{CATALOG}/interrupted"
LOCK = f"{CATALOG}/lock"
PINNED = f"{CATALOG}/pinned"
VERIFIED = f"{CATALOG}/verified"

# Of a generation.
CHECKSUMS = "checksums"
PARTITION_FILE = "partition.parquet"
SOURCE_FILES_FILE = "source_file.parquet"


def no_rows(table: str) -> str:
    """The file of a generation with the columns of a table and no rows."""
    return f"no_rows/{table}.parquet"


# Beside the catalog: what any DuckDB client reads, and the file of each partition.
SCRIPT = "mica_lake.sql"
DATA = "data.parquet"
