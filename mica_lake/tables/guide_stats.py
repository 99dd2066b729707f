"""The table of guide statistics."""

from mica_lake.tables.columns import BY_STAR, stat_table

GUIDE_STATS = stat_table("guide_stats", "guide_stats.h5", "kalman_tstart", **BY_STAR)

TABLES = (GUIDE_STATS,)
