"""Verification and validation of aspect solutions: residuals of guide stars and fid lights."""

from mica_lake.vv.archive import get_arch_vv
from mica_lake.vv.obi import Obi

__all__ = ["Obi", "get_arch_vv"]
