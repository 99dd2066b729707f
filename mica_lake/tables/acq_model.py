"""The table of models of acquisition."""

from mica_lake.tables.star_model import model_table

ACQ_MODEL = model_table("acq_model", "acq_stats", "acquired")

TABLES = (ACQ_MODEL,)
