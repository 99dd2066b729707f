"""Transports: they are told what to get and where to put it, and say what they got. They decide nothing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mica_lake.errors import BadFile
from mica_lake.fetch.request import DEFAULT, PRODUCTS, OfInterval, OfName, Request
from mica_lake.formats import fits_table
from mica_lake.formats.on_disk import read
from mica_lake.ingest import asp_l1_files, obspar
from mica_lake.ingest.aca_l0.files import names_of, seconds_of

_OF_FILE = 1 << 31


class TransportError(OSError):
    """A transport that does not answer, or breaks off; what was asked for is asked for again."""


class Transport(Protocol):
    """
    What gets files.

    Attributes
    ----------
    products : tuple of str
        The products that it has.
    versions : tuple of str
        The versions of an observation's products that it tells apart.
    """

    @property
    def products(self) -> tuple[str, ...]:
        """The products that it has."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of an observation's products that it tells apart."""

    def get(self, request: Request, folder: Path) -> list[str]:
        """Put what is asked for into a folder, and name it; a TransportError if it may not be all."""


class Inbox:
    """
    A folder that somebody else fills, in whatever layout. The highest revision in it counts as released.

    Parameters
    ----------
    top : Path
        The folder. Nothing in it is changed.

    Examples
    --------
    >>> from mica_lake.fetch.request import OfInterval
    >>> tmp = getfixture("tmp_path")
    >>> (tmp / "acaf700000003N001_3_img0.fits.gz").touch()
    >>> Inbox(tmp).get(OfInterval(700000000, 700000100), tmp / "answer")
    ['acaf700000003N001_3_img0.fits.gz']
    """

    products = PRODUCTS
    versions = (DEFAULT,)

    def __init__(self, top: Path) -> None:
        if not top.is_dir():
            raise FileNotFoundError(f"{top}: there is no such folder")
        self._files = list(_files_below(top))
        self._obsids: dict[str, int | None] = {}

    def get(self, request: Request, folder: Path) -> list[str]:
        """
        Copy what is asked for into a folder.

        Parameters
        ----------
        request : Request
            What to get.
        folder : Path
            Where to put it.

        Returns
        -------
        list of str
            The names of the files.

        Raises
        ------
        TransportError
            If a file cannot be read.

        Examples
        --------
        >>> from mica_lake.fetch.request import OfName
        >>> Inbox(getfixture("tmp_path")).get(OfName("acaf700000003N001_3_img0.fits"), getfixture("tmp_path"))
        []
        """
        folder.mkdir(parents=True, exist_ok=True)
        chosen = {path.name: path for path in self._wanted(request)}
        for name, path in chosen.items():
            try:
                shutil.copyfile(path, folder / name)
            except FileNotFoundError:
                raise TransportError(f"{path}: it has gone") from None
        return sorted(chosen)

    def _wanted(self, request: Request) -> list[Path]:
        if isinstance(request, OfInterval):
            return [path for path in self._files if request.tstart <= seconds_of(path.name) <= request.tstop]
        if isinstance(request, OfName):
            return [path for path in self._files if names_of(path.name)[0] == request.filename]
        pattern = obspar.NAME if request.product == "obspar" else asp_l1_files.NAME
        found: dict[int, list[Path]] = {}
        for path in self._files:
            if pattern.fullmatch(path.name) and self._obsid(path) == request.obsid:
                found.setdefault(int(path.name.split("N")[1][:3]), []).append(path)
        return found[max(found)] if found else []

    def _obsid(self, path: Path) -> int | None:
        """The observation that a file is of, by its name or else its header; None if it does not say."""
        if match := obspar.NAME.fullmatch(path.name):
            return int(match[1])
        if (kept := str(path)) not in self._obsids:
            try:
                header, _ = fits_table.read_header(read(path, _OF_FILE), ())
                self._obsids[kept] = int(str(header.get("OBS_ID")).strip())
            except (BadFile, OSError, ValueError):
                self._obsids[kept] = None
        return self._obsids[kept]


def _files_below(top: Path) -> Iterator[Path]:
    """The regular files below a folder whose names do not begin with a dot."""
    for folder, below, names in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path
