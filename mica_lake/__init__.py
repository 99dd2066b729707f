"""A columnar data lake of the Chandra aspect camera, with SQL, Python and Polars doors.

Examples
--------
>>> import mica_lake
>>> lake = mica_lake.Lake("/data/mica_lake")  # doctest: +SKIP
>>> lake.sql("FROM slot_data('2012:001', '2012:002', 3)").pl()  # doctest: +SKIP
"""

from importlib.metadata import version

from mica_lake.lake import Lake, LakeError

__all__ = ["Lake", "LakeError", "__version__"]
__version__ = version("mica-lake")
