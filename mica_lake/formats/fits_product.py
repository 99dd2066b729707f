"""A product file read with astropy: columns and keywords of its first table, and errors that name the file."""

import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.formats.gunzip import decompress

__all__ = ["ProductFile"]


class ProductFile:
    """
    The first table of a FITS file, gzipped or not: its `header`, its rows (`data`), and the `names` of its columns.

    `names` leads from a name in lower case, without blanks around it, to the name in the file.

    Examples
    --------
    >>> archive = demo_lake().root.parent / "ska/data/mica/archive"
    >>> ProductFile(min(archive.glob("asp1/*/*_v*/*_acal1.fits.gz"))).column("aca_misalign").shape
    (1, 3, 3)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        stored = self.path.read_bytes()
        try:
            content = decompress(stored)
            with warnings.catch_warnings():
                # astropy only warns of it.
                warnings.filterwarnings("error", message=".*truncated")
                hdu = fits.HDUList.fromstring(content)[1]
                self.header, self.data = hdu.header, hdu.data
            if len(self.data) < self.header["NAXIS2"]:
                raise ValueError(f"it should have {self.header['NAXIS2']} rows, but has {len(self.data)}")
            self.names = {name.strip().lower(): name for name in self.data.names}
            if len(self.names) < len(self.data.names):
                raise ValueError(f"two of its columns have the same name: {', '.join(self.data.names)}")
        except Exception as error:  # astropy and isal raise many kinds for damaged files
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(
                f"{self.path}: it is damaged, or not a FITS file with a table ({reason}): copy it again"
            ) from error

    def keyword(self, name: str) -> Any:
        """The value of a keyword; None if it has none."""
        if name not in self.header:
            raise ValueError(f"{self.path}: its header lacks {name}, so it is not a product of this kind")
        value = self.header[name]
        return None if isinstance(value, fits.card.Undefined) else value

    def number(self, name: str) -> float:
        """The value of a keyword that must be a number."""
        value = self.keyword(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{self.path}: its header has {name} {value!r}, which is not a number")
        return float(value)

    def column(self, *names: str) -> NDArray[Any]:
        """The first of these columns that the table has, in native byte order."""
        found = next((name for name in names if name in self.names), None)
        if found is None:
            raise ValueError(f"{self.path}: it has no column {names[-1]}, so it is not a product of this kind")
        column = np.asarray(self.data[self.names[found]])
        return column.astype(column.dtype.newbyteorder("="))

    def rows(self, *needed: str) -> list[dict[str, Any]]:
        """The rows with all columns as plain Python values; the columns `needed` must be among them."""
        columns = {
            name: [_plain(value) for value in self.column(name)] for name in dict.fromkeys([*self.names, *needed])
        }
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    """A value as a plain Python one; text without the blanks that pad it."""
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    return value.strip() if isinstance(value, str) else value
