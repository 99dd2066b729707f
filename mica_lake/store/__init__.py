"""Where the bytes of a lake lie: on a disk, or in an object store."""

import os
from pathlib import Path
from typing import Any

from mica_lake.store.disk import Disk
from mica_lake.store.interface import Store
from mica_lake.store.s3 import SCHEME, LakePath, S3Path, s3_path

__all__ = ["LakePath", "Store", "in_object_store", "lake_path", "store_of"]

_DISK = Disk()


def store_of(path: LakePath) -> Store[Any]:
    """The store that a path is of."""
    if isinstance(path, S3Path):
        from mica_lake.store.objects import OBJECTS

        return OBJECTS
    return _DISK


def in_object_store(root: str | os.PathLike[str]) -> bool:
    """Whether a lake's root names an object store."""
    return os.fspath(root).startswith(SCHEME)


def lake_path(root: str | os.PathLike[str]) -> LakePath:
    """The absolute path of a lake's root, with links left as the user wrote them; a ValueError if it names no bucket."""
    if in_object_store(root):
        return s3_path(os.fspath(root))
    return Path(os.path.abspath(os.path.expanduser(root)))  # noqa: PTH100, PTH111 - links in it are the user's
