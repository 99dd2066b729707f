"""The AGASC, the star catalog that guide stars are from, as its HDF5 file has it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mica_lake.errors import BadFile
from mica_lake.formats.hdf5 import h5py_module

_NODE = "data"
#: The columns that are needed.
_COLUMNS = (
    *("AGASC_ID", "RA", "DEC", "POS_ERR", "POS_CATID", "EPOCH", "PM_RA", "PM_DEC", "MAG_ACA", "MAG_ACA_ERR", "MAG_ERR"),
    *("MAG_BAND", "COLOR1", "COLOR2", "RSV3", "VAR", "ASPQ1", "ASPQ2", "ASPQ3", "ACQQ1", "ACQQ2", "ACQQ4"),
)
# Rows looked through at a time.
_AT_ONCE = 1 << 20


class Agasc:
    """
    Rows of an AGASC by number.

    Parameters
    ----------
    path : path
        Its HDF5 file, with a table ``/data``.

    Raises
    ------
    BadFile
        If it is not such a file; the message says why.

    Examples
    --------
    >>> from mica_lake.simulate import telemetry
    >>> _, _, catalog, stars = telemetry.example()
    >>> path = telemetry.write_agasc(getfixture("tmp_path") / "agasc.h5", stars)
    >>> agasc = Agasc(path)
    >>> [star for star in agasc.rows([catalog[0]["id"], 5])] == [catalog[0]["id"]]
    True
    """

    def __init__(self, path: Path) -> None:
        h5py = h5py_module()
        self._path = path
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such AGASC file")
        try:
            self._node = h5py.File(path, "r")[_NODE]
            names = self._node.dtype.names or ()
            if missing := [name for name in _COLUMNS if name not in names]:
                raise BadFile(f"{path} is not an AGASC: its table /{_NODE} has no {', '.join(missing)}")
            ids = [self._node.fields("AGASC_ID")[n : n + _AT_ONCE] for n in range(0, len(self._node), _AT_ONCE)]
        except (OSError, KeyError, AttributeError) as error:
            raise BadFile(
                f"{path} is not an AGASC: it cannot be read as HDF5 with a table /{_NODE} ({error})"
            ) from None
        self._ids = np.concatenate(ids) if ids else np.empty(0, np.int32)
        self._order = np.argsort(self._ids, kind="stable")

    def rows(self, ids: Iterable[int]) -> dict[int, np.void]:
        """The rows of those of some stars that it has."""
        wanted = np.unique(np.fromiter(ids, np.int64))
        places = np.searchsorted(self._ids, wanted, sorter=self._order)
        places = self._order[np.minimum(places, len(self._order) - 1)] if len(self._order) else np.empty(0, np.int64)
        found = np.sort(places[self._ids[places] == wanted]) if len(places) else places
        if not len(found):
            return {}
        rows = self._node[found]
        dtype = np.dtype([(name, self._node.dtype[name].newbyteorder("=")) for name in _COLUMNS])
        native = np.empty(len(rows), dtype)
        for name in _COLUMNS:
            native[name] = rows[name]
        return {int(row["AGASC_ID"]): row for row in native}
