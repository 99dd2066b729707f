"""Models of tracking: from table `guide_stats` to table `guide_model`."""

from functools import partial

from mica_lake.ingest import follow
from mica_lake.ingest.star_model import ModelsOf
from mica_lake.tables.guide_model import GUIDE_MODEL
from mica_lake.tables.guide_stats import GUIDE_STATS

_MODELS = ModelsOf(GUIDE_MODEL, GUIDE_STATS)

stale_paths, derive = _MODELS.stale_paths, _MODELS.derive
ingest = partial(follow.derive, GUIDE_MODEL.name)
