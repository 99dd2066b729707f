"""Guide star statistics: the functions of ``mica.stats.guide_stats``, answered by the view of `sql/stats.sql`."""

import os

from mica_lake.gathering.guiding import calc_stats
from mica_lake.stats.star_stats import StarStats

__all__ = ["TABLE_FILE", "calc_stats", "get_star_stats", "get_stats"]

#: The HDF5 table in the file archive.
TABLE_FILE = os.path.join(os.environ.get("SKA", ""), "data", "guide_stats", "guide_stats.h5")  # noqa: PTH118 - a str

_STATS = StarStats("guide_stats")
get_stats = _STATS.get_stats
get_star_stats = _STATS.get_star_stats
