"""Guide statistics: from ``guide_stats.h5`` to table `guide_stats`."""

from functools import partial

from mica_lake.ingest import follow
from mica_lake.ingest.stat_table import StatTable
from mica_lake.tables.guide_stats import GUIDE_STATS


class GuideStats(StatTable):
    """The guide statistics."""

    of = GUIDE_STATS


PARTS = (GuideStats,)
ingest = partial(follow.ingest, "guide_stats")
