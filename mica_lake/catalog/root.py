"""The directory of a lake, or its URL: found, refused or made."""

import os
from pathlib import Path

from mica_lake.catalog.names import CATALOG, INBOX, PINNED, SCRIPT
from mica_lake.catalog.pointer import EMPTY, current_generation, names_in_use, pointer
from mica_lake.errors import LakeError
from mica_lake.store.objects import object_path
from mica_lake.store.place import LakePath, is_url
from mica_lake.tables import TABLES


def existing(root: str | os.PathLike[str]) -> LakePath:
    """Absolute path of an existing lake; a LakeError that says what to do if there is none, or it has no catalog."""
    path = absolute(root)
    if current_generation(path) is None:
        if holds(path):
            raise _without_catalog(path)
        inside = path / "data" / "mica_lake"
        if (path / "data" / "mica" / "archive").is_dir() or current_generation(inside) is not None:
            what = f"{path} is a $SKA root, no mica lake"
            if current_generation(inside) is not None:
                raise LakeError(f"{what}: name {inside}, or set SKA and neither MICA_LAKE nor --lake")
            raise LakeError(f"{what}: 'mica-lake ingest all --from {path} --lake {inside}' makes one")
        raise LakeError(
            f"{path} is not a mica lake{'' if path.exists() else ', it is not there'}: 'mica-lake ingest aca_l0 "
            f"--from FILES --lake {path}' makes one, or name another with MICA_LAKE or --lake"
        )
    return path


def absolute(root: str | os.PathLike[str]) -> LakePath:
    """
    A lake's directory or URL in the form that queries use: absolute, with links left as the user wrote them.

    `root` may be relative or begin with ``~``, or be ``s3://bucket/prefix``, ``gs://…`` or ``az://…``. A LakeError if
    DuckDB would take it for a pattern, a ValueError if it names no bucket.
    """
    text = os.fspath(root)
    if is_url(text):
        there = object_path(text)
        _no_pattern(str(there))
        return there
    path = os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111 - links in it are the user's
    _no_pattern(path)
    return Path(path)


def _no_pattern(path: str) -> None:
    if set(path) & set("*?[\n"):
        raise LakeError(f"{path!r}: DuckDB would take *, ? and [ for a pattern, and a line break for the end of a path")


def create(root: LakePath) -> None:
    """
    Make a folder for a lake; an existing lake is left as it is.

    A LakeError if the folder holds other things, or a lake whose catalog is lost or damaged.
    """
    if pointer(root) is not None:
        return
    if root.exists() and not root.is_dir():
        raise LakeError(f"{root} is a file, a lake is a directory")
    ours = {CATALOG, INBOX, SCRIPT, *TABLES}
    if root.exists() and not all(e.name in ours or e.name.startswith(f".{SCRIPT}.") for e in root.iterdir()):
        raise LakeError(f"{root} is not a mica lake and is not empty: name a new directory")
    if holds(root):
        raise _without_catalog(root)
    (root / CATALOG).mkdir(parents=True, exist_ok=True)


def _without_catalog(root: LakePath) -> LakeError:
    return LakeError(
        f"{root} has no catalog: 'mica-lake reindex --lake {root}' derives it from the tables; then run this again"
    )


def holds(root: LakePath) -> bool:
    """Whether a folder has partitions or a catalog that lists some, so that a new lake cannot be made there."""
    return (
        (root.is_dir() and any(entry.name in TABLES for entry in root.iterdir()))
        or bool(set(names_in_use(root)) - {EMPTY})
        or (root / PINNED).is_dir()
    )
