"""The public archive: listings of folders ``N/OBSID/primary`` and ``secondary``, N being the last digit of OBSID."""

import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from mica_lake.fetch.request import DEFAULT, OfObservation, Request
from mica_lake.fetch.transport import TransportError
from mica_lake.ingest import asp_l1_files, obspar

_FOLDERS = ("primary", "secondary", "secondary/aspect")
_LINK = re.compile(r"""href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_NAMES = {"obspar": obspar.NAME, "asp_l1": asp_l1_files.NAME}
_LISTING, _FILE = 1 << 24, 1 << 31
_PIECE = 1 << 18
_NOT_THERE = (404, 410)


class Https:
    """
    A public archive of observations, over HTTP. It has only what is released, and no telemetry.

    Parameters
    ----------
    base : str
        Its address, up to ``byobsid``.
    patience : float
        How long it may be silent (s).
    longest : float
        How long a file may take (s).

    Raises
    ------
    ImportError
        If requests is not installed.

    Examples
    --------
    >>> Https("https://archive.example/byobsid/").versions
    ('default',)
    """

    products = ("obspar", "asp_l1")
    versions = (DEFAULT,)

    def __init__(self, base: str, patience: float = 60.0, longest: float = 3600.0) -> None:
        try:
            import requests
        except ImportError:
            raise ImportError("requests is absent: pip install 'mica-lake[web]'") from None
        self._base, self._patience, self._longest = base.rstrip("/"), patience, longest
        self._session = requests.Session()
        # A file must come as it is stored.
        self._session.headers["Accept-Encoding"] = "identity"

    def get(self, request: Request, folder: Path) -> list[str]:
        """
        Get what is asked for into a folder.

        Parameters
        ----------
        request : Request
            What to get: a product of an observation.
        folder : Path
            Where to put it.

        Returns
        -------
        list of str
            The names of the files.

        Raises
        ------
        TransportError
            If the archive does not answer, breaks off, or answers with anything but the file.

        Examples
        --------
        >>> Https("http://127.0.0.1:9/").get(OfObservation("obspar", 5438, "default"), getfixture("tmp_path"))
        Traceback (most recent call last):
            ...
        mica_lake.fetch.transport.TransportError: http://127.0.0.1:9/8/5438/primary/ does not answer: ConnectionError
        """
        if not isinstance(request, OfObservation):
            raise ValueError("the public archive has no telemetry of the aspect camera")
        folder.mkdir(parents=True, exist_ok=True)
        got: list[str] = []
        for below in _FOLDERS:
            place = f"{self._base}/{request.obsid % 10}/{request.obsid}/{below}/"
            listing = b"".join(self._read(place, _LISTING)).decode("utf-8", "replace")
            for name in sorted(_names(listing)):
                if _NAMES[request.product].fullmatch(name) and name not in got:
                    with (folder / name).open("wb") as file:
                        for piece in self._read(place + name, _FILE):
                            file.write(piece)
                    got.append(name)
        return got

    def _read(self, address: str, most: int) -> Iterator[bytes]:
        """What is at an address, as it is stored; nothing if there is no such place."""
        import requests
        import urllib3

        until, count = time.monotonic() + self._longest, 0
        try:
            with self._session.get(address, stream=True, timeout=self._patience) as answer:
                if answer.status_code in _NOT_THERE and address.endswith("/"):
                    return
                if answer.status_code != 200:
                    raise TransportError(f"{address} answers {answer.status_code}")
                while piece := answer.raw.read(_PIECE, decode_content=False):
                    count += len(piece)
                    if count > most:
                        raise TransportError(f"{address} has more than {most:,} bytes")
                    if time.monotonic() > until:
                        raise TransportError(f"{address} takes longer than {self._longest:,.0f} s")
                    yield piece
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise TransportError(f"{address} does not answer: {type(error).__name__}") from None


def _names(listing: str) -> set[str]:
    """The names that the links of a listing lead to; a path is no name."""
    names = {unquote(unescape(link)) for link in _LINK.findall(listing)}
    return {name for name in names if "/" not in name}
