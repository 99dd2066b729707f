"""The HDF5 tables of an archive."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from mica_lake.errors import BadFile
from mica_lake.formats.on_disk import escaped

# All guide stars of 27 years are a tenth of this.
LARGEST = 1 << 32


def h5py_module() -> ModuleType:
    """The module h5py, which not everyone needs."""
    try:
        import h5py
    except ImportError:
        raise ImportError("the archive's tables are HDF5, which h5py reads: pip install 'mica-lake[stats]'") from None
    return h5py  # type: ignore[no-any-return]


@contextmanager
def table_in(content: bytes, name: str) -> Iterator[Any]:
    """The node of a table in the content of a file; whatever goes wrong while it is read is a BadFile."""
    h5py = h5py_module()
    try:
        with h5py.File(h5py.h5f.open_file_image(content), "r") as file:
            yield node_of(file, name)
    except BadFile:
        raise
    except Exception as error:  # h5py raises many kinds for damaged files
        raise BadFile(f"it is not a whole HDF5 file ({type(error).__name__}: {error})") from None


def node_of(file: Any, name: str) -> Any:
    """The node of a table in its file; a table whose rows are in other files is refused."""
    h5py = h5py_module()
    # HDF5 reads as zeros whatever another file should have, and does not.
    link = file.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise BadFile(f"its table /{name} is a link to elsewhere ({type(link).__name__})")
    node = file.get(name)
    if not isinstance(node, h5py.Dataset) or node.dtype.names is None or node.ndim != 1:
        raise BadFile(f"it has no table /{name}")
    if node.is_virtual:
        raise BadFile(f"its table /{name} is virtual: its rows are in other files")
    if node.external:
        raise BadFile(f"the rows of its table /{name} are in another file, {escaped(node.external[0][0])}")
    if node.size * node.dtype.itemsize > LARGEST:
        raise BadFile(f"its {node.size} rows expand to more than {LARGEST} bytes")
    if node.chunks is not None:
        chunks, there = -(-node.size // node.chunks[0]), node.id.get_num_chunks()
        if there != chunks:
            raise BadFile(f"of the {chunks} chunks of its table /{name}, {there} were written")
    elif node.size and not node.id.get_storage_size():
        raise BadFile(f"the rows of its table /{name} were never written")
    return node
