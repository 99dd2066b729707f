"""Where a lake is: which paths belong to an object store, and which store a path is in."""

from pathlib import Path
from typing import Any, TypeAlias

from mica_lake.store.connection import SCHEMES
from mica_lake.store.disk import Disk
from mica_lake.store.interface import Store
from mica_lake.store.objects import OBJECTS, ObjectPath

LakePath: TypeAlias = Path | ObjectPath

DISK = Disk()


def store_of(path: LakePath) -> Store[Any]:
    """The store that a path is in."""
    return OBJECTS if isinstance(path, ObjectPath) else DISK


def is_url(root: str) -> bool:
    """Whether this is the URL of an object store, not a directory."""
    scheme, colon, _ = root.partition("://")
    return bool(colon) and scheme in SCHEMES
