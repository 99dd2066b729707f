"""The directory of a lake: found, refused or made."""

import os
from pathlib import Path

from mica_lake.catalog.generation import (
    EMPTY,
    current_generation,
    names_in_use,
    pointer,
)
from mica_lake.errors import LakeError
from mica_lake.store.s3 import SCHEME, LakePath, s3_path
from mica_lake.tables import TABLES


def existing(root: str | os.PathLike[str]) -> LakePath:
    """
    Directory of an existing lake.

    Parameters
    ----------
    root : path
        The directory.

    Returns
    -------
    Path
        Its absolute path.

    Raises
    ------
    LakeError
        If there is no lake, or it has no catalog; the message says what to do.
    """
    path = absolute(root)
    if current_generation(path) is None:
        if holds(path):
            raise LakeError(f"{path} has no catalog: 'mica-lake reindex --lake {path}' derives it")
        inside = path / "data" / "mica_lake"
        if (path / "data" / "mica" / "archive").is_dir() or current_generation(inside) is not None:
            what = f"{path} is a $SKA root, no mica lake"
            if current_generation(inside) is not None:
                raise LakeError(f"{what}: name {inside}, or set SKA and neither MICA_LAKE nor --lake")
            raise LakeError(f"{what}: 'mica-lake ingest all --from {path} --lake {inside}' makes one")
        raise LakeError(
            f"{path} is no mica lake{'' if path.exists() else ', it is not there'}: 'mica-lake ingest aca_l0 "
            f"--from FILES --lake {path}' makes one, or name another with MICA_LAKE or --lake"
        )
    return path


def absolute(root: str | os.PathLike[str]) -> LakePath:
    """
    A lake's directory, in the form that queries use.

    Parameters
    ----------
    root : path
        The directory, perhaps relative or with ``~``; or ``s3://bucket/prefix``.

    Returns
    -------
    Path or S3Path
        Its absolute path, with links left as the user wrote them.

    Raises
    ------
    LakeError
        If DuckDB would take it for a pattern.
    ValueError
        If it names no bucket.
    """
    if os.fspath(root).startswith(SCHEME):
        there = s3_path(os.fspath(root))
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
    Make a lake without rows; an existing one is left as it is.

    Parameters
    ----------
    root : Path or S3Path
        Its directory, which is created if it is missing.

    Raises
    ------
    LakeError
        If the directory holds other things, or a lake whose catalog is lost or damaged.
    """
    if pointer(root) is not None:
        return
    if root.exists() and not root.is_dir():
        raise LakeError(f"{root} is a file, a lake is a directory")
    ours = {"_catalog", "mica_lake.sql", *TABLES}
    if root.exists() and not all(e.name in ours or e.name.startswith(".mica_lake.sql.") for e in root.iterdir()):
        raise LakeError(f"{root} is no mica lake and is not empty: name a new directory")
    if holds(root):
        raise LakeError(
            f"{root} has tables but no catalog. Nothing was changed: 'mica-lake reindex --lake {root}' derives the "
            "catalog, then run this again"
        )
    (root / "_catalog").mkdir(parents=True, exist_ok=True)


def holds(root: LakePath) -> bool:
    """
    Whether a folder has partitions or a catalog that lists some, so that a new lake cannot be made there.

    Parameters
    ----------
    root : Path or S3Path
        The folder.

    Returns
    -------
    bool
        Whether anything of a lake is there.
    """
    return (
        (root.is_dir() and any(entry.name in TABLES for entry in root.iterdir()))
        or bool(set(names_in_use(root)) - {EMPTY})
        or (root / "_catalog" / "pinned").is_dir()
    )
