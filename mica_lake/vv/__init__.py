"""Verification and validation of aspect solutions: residuals of guide stars and fid lights, and reports on them."""

from mica_lake.vv.archive import get_arch_vv, get_rms_data, get_vv, get_vv_dir, get_vv_files
from mica_lake.vv.obi import Obi

__all__ = ["Obi", "get_arch_vv", "get_rms_data", "get_vv", "get_vv_dir", "get_vv_files"]
