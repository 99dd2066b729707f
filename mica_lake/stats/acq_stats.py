"""Acquisition statistics: the functions of ``mica.stats.acq_stats``, answered by the view of `sql/stats.sql`."""

import os

from mica_lake.gathering.acquisition import anomalies, calc_stats
from mica_lake.stats.star_stats import StarStats

__all__ = ["TABLE_FILE", "anomalies", "calc_stats", "get_star_stats", "get_stats"]

#: The HDF5 table in the file archive.
TABLE_FILE = os.path.join(os.environ.get("SKA", ""), "data", "acq_stats", "acq_stats.h5")  # noqa: PTH118 - a str

_STATS = StarStats("acq_stats")
get_stats = _STATS.get_stats
get_star_stats = _STATS.get_star_stats
