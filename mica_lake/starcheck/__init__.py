"""Load reviews: the functions of ``mica.starcheck``."""

from mica_lake.starcheck.starcheck import (
    get_att,
    get_dither,
    get_monitor_windows,
    get_mp_dir,
    get_mp_dir_from_starcheck_db,
    get_starcat,
    get_starcheck_catalog,
    get_starcheck_catalog_at_date,
    get_starcheck_db_obsid,
)

__all__ = [
    "get_att",
    "get_dither",
    "get_monitor_windows",
    "get_mp_dir",
    "get_mp_dir_from_starcheck_db",
    "get_starcat",
    "get_starcheck_catalog",
    "get_starcheck_catalog_at_date",
    "get_starcheck_db_obsid",
]
