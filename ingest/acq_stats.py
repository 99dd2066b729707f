"""Acquisition statistics: from ``acq_stats.h5`` to table `acq_stats`."""

from functools import partial

from mica_lake.ingest import follow
from mica_lake.ingest.stat_table import StatTable
from mica_lake.tables.acq_stats import ACQ_STATS


class AcqStats(StatTable):
    """The acquisition statistics."""

    of = ACQ_STATS


PARTS = (AcqStats,)
ingest = partial(follow.ingest, "acq_stats")
