"""
Which generation of the catalog is current, and whether its files are intact: what is asked before every answer.

    <lake>/_catalog/current                the current generation, the SHA-256 of its list of files, and its format
    <lake>/_catalog/00000012/checksums     SHA-256 of each of its files, as ``sha256sum -c`` reads it

One flipped bit in a file this small can make every answer wrong, so all are checked when a lake is opened;
``source_file.parquet``, which no answer depends on and which grows large over a mission, is checked when
`mica_lake.catalog.generation` reads it. Nothing slow is imported here.
"""

import hashlib
import re
from typing import NamedTuple

from mica_lake.catalog.names import CATALOG, CHECKSUMS, CURRENT, PARTITION_FILE, SOURCE_FILES_FILE
from mica_lake.errors import LakeError
from mica_lake.store.place import LakePath, store_of

#: Format of the catalog: raised when a mica-lake that knows only the one before could not read it, or would misread it.
FORMAT = 1
#: The generation of a lake before its first commit.
EMPTY = "00000000"
# A mica-lake that gave its catalogs no format wrote the first one; the first of all made no list of files.
_POINTER = re.compile(rb"(\d{8})(?: ([0-9a-f]{64})(?: (\d{1,9}))?)?\n?")
_LINE = re.compile(r"([0-9a-f]{64})  ([\w./]+)", re.ASCII)
State = tuple[str, int] | None


class OtherFormatError(LakeError):
    """The catalog is of a format that this mica-lake does not read; nothing is wrong with it."""


class NewerFormatError(OtherFormatError):
    """The catalog is of a newer format, which nothing here may replace."""


class Pointer(NamedTuple):
    """
    Which generation is current.

    Attributes
    ----------
    generation : str
        Its name.
    checksum : str or None
        SHA-256 of its list of files; None if the mica-lake that wrote the lake made no list.
    mtime_ns : int
        When it was committed; needed because a new lake at the same place starts with the same name.
    etag : str
        Of ``_catalog/current``.
    """

    generation: str
    checksum: str | None
    mtime_ns: int
    etag: str = ""


def damaged(root: LakePath, path: LakePath, reason: object) -> LakeError:
    """The error for a damaged file of the catalog."""
    return LakeError(f"the catalog is damaged ({path}: {reason}): run 'mica-lake reindex --lake {root}'")


def pointer(root: LakePath) -> Pointer | None:
    """Read which generation is current; None if there is no catalog, a LakeError if that cannot be read."""
    path = root / CURRENT
    try:
        content, stat = store_of(path).read(path, 0, 100)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise damaged(root, path, error.strerror) from None
    found = _POINTER.fullmatch(content)
    if found is None:
        raise damaged(root, path, "it names no generation")
    written = int(found[3] or FORMAT)
    if written > FORMAT:
        raise NewerFormatError(
            f"the catalog of {root} has format {written}, newer than {FORMAT}, which this mica-lake reads: "
            "update mica-lake"
        )
    if written < FORMAT:
        raise OtherFormatError(
            f"the catalog of {root} has format {written}, older than {FORMAT}, which this mica-lake reads: "
            f"'mica-lake reindex --lake {root}' derives it again"
        )
    return Pointer(found[1].decode(), found[2].decode() if found[2] else None, stat.mtime_ns, stat.etag)


def refuse_newer(root: LakePath) -> None:
    """Raise if the catalog is of a newer format, which nothing here may replace."""
    try:
        pointer(root)
    except NewerFormatError:
        raise
    except LakeError:
        return


def current_generation(root: LakePath) -> str | None:
    """Name of the current generation; None if there is no catalog."""
    found = pointer(root)
    return None if found is None else found.generation


def state(root: LakePath) -> State:
    """Which generation is current and when it was committed, to know when what was read of it is out of date."""
    found = pointer(root)
    return None if found is None else (found.generation, found.mtime_ns)


def listed(root: LakePath, found: Pointer) -> dict[str, str] | None:
    """Name -> SHA-256 of the files of a generation; None if the mica-lake that wrote it made no list."""
    path = root / CATALOG / found.generation / CHECKSUMS
    if found.checksum is None:
        if path.is_file():
            raise damaged(root, root / CURRENT, "it lacks the checksum of that generation's list")
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(root, path, error.strerror) from None
    if hashlib.sha256(content).hexdigest() != found.checksum:
        raise damaged(root, path, "it is not the list that _catalog/current names")
    lines = [_LINE.fullmatch(line) for line in content.decode("ascii").splitlines()]
    return {line[2]: line[1] for line in lines if line is not None}


def check(root: LakePath, found: Pointer) -> dict[str, bytes]:
    """
    Check the small files of a generation, which every answer depends on.

    Gives the content of each by its path relative to the lake; none if no list of files was made.
    """
    names = {name: sha for name, sha in (listed(root, found) or {}).items() if name != SOURCE_FILES_FILE}
    content = read_intact(root, found.generation, names)
    return {f"{CATALOG}/{found.generation}/{name}": part for name, part in content.items()}


def read_intact(root: LakePath, generation: str, names: dict[str, str]) -> dict[str, bytes]:
    """Content of some files of a generation, after comparing their checksums."""

    def read(name: str) -> bytes:
        path = root / CATALOG / generation / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise damaged(root, path, error.strerror) from None
        if hashlib.sha256(content).hexdigest() != names[name]:
            raise damaged(root, path, "its bytes are not those that were written")
        return content

    return dict(zip(names, store_of(root).each(read, names), strict=True))


def newest_whole(root: LakePath) -> Pointer | None:
    """
    The newest generation whose files are all intact, for when ``_catalog/current`` does not say which is current.

    A generation is written after the partitions that it lists, so one that is intact is a state of the lake.
    """
    for name in sorted(names_in_use(root), reverse=True):
        try:
            content = (root / CATALOG / name / CHECKSUMS).read_bytes()
            found = Pointer(name, hashlib.sha256(content).hexdigest(), 0)
            names = listed(root, found) or {}
            read_intact(root, name, names)
        except (OSError, LakeError, UnicodeDecodeError):
            continue
        if {PARTITION_FILE, SOURCE_FILES_FILE} <= names.keys():  # else the list was cut
            return found
    return None


def names_in_use(root: LakePath) -> list[str]:
    """The generations that are there, intact or not."""
    catalog = root / CATALOG
    return [entry.name for entry in catalog.iterdir() if entry.name.isdecimal()] if catalog.is_dir() else []
