"""The name by which other modules import the type of a lake's path, until they are moved to `mica_lake.store.place`."""

from mica_lake.store.place import LakePath

__all__ = ["LakePath"]
