"""The tables of the catalog itself."""

import pyarrow as pa

SOURCE_FILE = pa.schema(
    [
        ("product", pa.string()),
        ("filename", pa.string()),
        ("status", pa.string()),  # see sql/lake.sql
        ("reason", pa.string()),
        ("directory", pa.string()),  # as last seen by ingest; null after a reindex without the old catalog
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("checksum", pa.string()),  # SHA-256 of the file as it is stored
        ("slot", pa.int8()),
        ("imgsize", pa.int8()),
        ("revision", pa.int32()),
        ("tstart", pa.float64()),  # of the header
        ("tstop", pa.float64()),
        ("startmjf", pa.int32()),
        ("startmnf", pa.int32()),
        ("stopmjf", pa.int32()),
        ("stopmnf", pa.int32()),
        ("tlmver", pa.string()),
        ("ascdsver", pa.string()),
        ("date", pa.string()),
        ("rows", pa.int64()),
    ]
)

PARTITION = pa.schema(
    [
        ("table_name", pa.string()),
        ("year", pa.int16()),
        ("doy", pa.int16()),
        ("slot", pa.int8()),
        ("day_number", pa.int32()),  # since 1998-01-01
        ("path", pa.string()),  # of the pinned version, relative to the lake
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("tstart", pa.float64()),  # of the first row
        ("tstop", pa.float64()),  # of the last row
        ("files", pa.int32()),
        ("derived_from", pa.string()),  # of a table made from another: a checksum of what it was made from
        ("definition", pa.string()),  # what its values mean: see `Table.definition`; null of an older mica-lake
    ]
)
