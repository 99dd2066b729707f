"""
A columnar data lake of the Chandra aspect camera, with SQL, Python and Polars doors.

Examples
--------
>>> import mica_lake
>>> lake = mica_lake.demo_lake()
>>> lake.sql("SELECT count(*) FROM slot_data('2024:001', '2024:001:00:10', 3)").fetchall()
[(293,)]
"""

from typing import TYPE_CHECKING, Any

from mica_lake.errors import LakeError, MissingDataError

if TYPE_CHECKING:
    from mica_lake.as_mica import install_as_mica, uninstall_as_mica
    from mica_lake.lake import Lake
    from mica_lake.simulate.demo_lake import demo_lake

    __version__: str

__all__ = ["Lake", "LakeError", "MissingDataError", "__version__", "demo_lake", "install_as_mica", "uninstall_as_mica"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mica-lake")
    # The query engine is not loaded where it is not used: in the processes of an ingest.
    if name == "Lake":
        from mica_lake.lake import Lake

        return Lake
    if name == "demo_lake":
        from mica_lake.simulate.demo_lake import demo_lake

        return demo_lake
    if name in ("install_as_mica", "uninstall_as_mica"):
        from mica_lake import as_mica

        return getattr(as_mica, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
