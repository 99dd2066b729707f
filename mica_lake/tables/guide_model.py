"""The table of models of tracking."""

from mica_lake.tables.star_model import GOOD_TRACK, model_table

GUIDE_MODEL = model_table("guide_model", "guide_stats", f"tracked in at least {GOOD_TRACK:g} of the samples")

TABLES = (GUIDE_MODEL,)
