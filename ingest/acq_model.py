"""Models of acquisition: from table `acq_stats` to table `acq_model`."""

from functools import partial

from mica_lake.ingest import follow
from mica_lake.ingest.star_model import ModelsOf
from mica_lake.tables.acq_model import ACQ_MODEL
from mica_lake.tables.acq_stats import ACQ_STATS

_MODELS = ModelsOf(ACQ_MODEL, ACQ_STATS)

stale_paths, derive = _MODELS.stale_paths, _MODELS.derive
ingest = partial(follow.derive, ACQ_MODEL.name)
