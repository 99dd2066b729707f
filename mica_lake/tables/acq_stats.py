"""The table of acquisition statistics."""

from mica_lake.tables.columns import BY_STAR, stat_table

ACQ_STATS = stat_table("acq_stats", "acq_stats.h5", "guide_tstart", **BY_STAR)

TABLES = (ACQ_STATS,)
