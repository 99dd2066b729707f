"""
What the parts of ``_catalog`` are called, as paths relative to the lake or to a generation.

`mica_lake.catalog.script` makes macros of them, so that `sql/` says it nowhere.
"""

CATALOG = "_catalog"
# Beside it: files that `mica-lake fetch` keeps until they are in the lake.
INBOX = "_inbox"
CURRENT = f"{CATALOG}/current"
INTERRUPTED = f"{CATALOG}/interrupted"
LOCK = f"{CATALOG}/lock"
PINNED = f"{CATALOG}/pinned"
VERIFIED = f"{CATALOG}/verified"

# Of a generation.
CHECKSUMS = "checksums"


def table_file(table: str) -> str:
    """The file of a generation with the rows of a table of the catalog."""
    return f"{table}.parquet"


PARTITION_FILE = table_file("partition")
SOURCE_FILES_FILE = table_file("source_file")


def no_rows(table: str) -> str:
    """The file of a generation with the columns of a table and no rows."""
    return f"no_rows/{table}.parquet"


# Beside the catalog: what any DuckDB client reads, and the file of each partition.
SCRIPT = "mica_lake.sql"
DATA = "data.parquet"
