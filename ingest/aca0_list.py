"""The archive's own list of ACA level 0 files."""

from functools import partial

import pyarrow as pa

from mica_lake.formats.ocat import array_of, read_node
from mica_lake.ingest import follow
from mica_lake.ingest.aca_l0.files import NAME
from mica_lake.ingest.whole_file import Tables, WholeFile
from mica_lake.tables.aca0_list import ACA0_LIST


class FileList(WholeFile):
    """The list, with the columns that it has beside the names."""

    name = table = ACA0_LIST.name

    @staticmethod
    def tables(content: bytes) -> Tables:
        """The files."""
        stored, _ = read_node(content, {"filename": "S"})
        names = [name.strip().removesuffix(".gz") for name in array_of("filename", stored["filename"]).to_pylist()]
        found = [NAME.fullmatch(name) for name in names]
        own = {
            "position": pa.array(range(len(names)), pa.int32()),
            "filename": pa.array(names, pa.string()),
            "slot": pa.array([int(one["slot"]) if one else None for one in found], pa.int8()),
            "revision": pa.array([int(one["revision"]) if one else None for one in found], pa.int32()),
            "tstart": pa.array([float(one["seconds"]) if one else None for one in found], pa.float64()),
        }
        rest = [name for name in stored.dtype.names or () if name not in own]
        return ((ACA0_LIST, pa.table(own | {name: array_of(name, stored[name]) for name in rest})),)


PARTS = (FileList,)

ingest = partial(follow.ingest, ACA0_LIST.name)
