"""
The catalog: a derived index of the lake's partitions and source files, and what makes a commit atomic.

    <lake>/aca_l0/year=2015/doy=181/slot=3/data.parquet    the partition, for everyone
    <lake>/_catalog/pinned/aca_l0/2015/2015181_3_<checksum>.parquet   the same file (a hard link), for queries
    <lake>/_catalog/00000012/partition.parquet, …          a generation: see `mica_lake.catalog.generation`
    <lake>/_catalog/current                                which generation is current
    <lake>/_catalog/interrupted                            while partitions are replaced: their versions before

Query engines open a file more than once while they read it, so one that is replaced meanwhile would give a mixture of
old and new. Queries therefore read the pinned files of one generation, which never change. Pinned files that were
replaced stay for an hour after the commit that replaced them.

A commit that was interrupted is rolled back by the next writer: each ``data.parquet`` becomes again the version that
``interrupted`` records. A partition is only replaced if its rows were known: one that the catalog does not list, or
that is not the version that it lists, is never overwritten.

On an object store (``s3://bucket/prefix``) the names are the same. There the pinned version is uploaded, and
``data.parquet`` is a copy that the store makes of it: one PUT without a body, which replaces the partition.
"""
