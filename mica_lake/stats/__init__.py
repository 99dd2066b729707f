"""
Acquisition and guide star statistics: the functions of ``mica.stats``, and the parts of how they are computed.

Of general use are `events_of`, `one_shot` and `star_residuals`.
"""

from mica_lake.gathering.events import events_of
from mica_lake.gathering.residuals import one_shot, star_residuals

__all__ = ["events_of", "one_shot", "star_residuals"]
