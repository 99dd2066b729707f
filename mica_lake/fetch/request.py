"""What is asked of a transport: files of an interval, a file by name, or a product of an observation."""

import re
from dataclasses import dataclass

#: What can be fetched, in the order in which it is.
PRODUCTS = ("aca_l0", "obspar", "asp_l1")
DEFAULT, LAST = "default", "last"

_INTERVAL = re.compile(r"aca_l0-(-?\d+)-(-?\d+)", re.ASCII)
_FILE = re.compile(r"aca_l0-(acaf[0-9A-Za-z_.]+)", re.ASCII)
_OBSERVATION = re.compile(r"(obspar|asp_l1)-(\d+)/(default|last)", re.ASCII)


@dataclass(frozen=True)
class OfInterval:
    """
    ACA level 0 files that overlap an interval.

    Attributes
    ----------
    tstart, tstop : int
        The interval, in CXC seconds.
    """

    tstart: int
    tstop: int
    product = "aca_l0"

    @property
    def key(self) -> str:
        """Its name, which is that of its folder, too."""
        return f"aca_l0-{self.tstart}-{self.tstop}"

    unit = key


@dataclass(frozen=True)
class OfName:
    """
    An ACA level 0 file.

    Attributes
    ----------
    filename : str
        Its name, without ``.gz``.
    """

    filename: str
    product = "aca_l0"

    @property
    def key(self) -> str:
        """Its name, which is that of its folder, too."""
        return f"aca_l0-{self.filename}"

    unit = key


@dataclass(frozen=True)
class OfObservation:
    """
    A revision of a product of an observation.

    Attributes
    ----------
    product : str
        ``obspar`` or ``asp_l1``.
    obsid : int
        The observation.
    version : str
        ``default``, the revision that is released, or ``last``.
    """

    product: str
    obsid: int
    version: str

    @property
    def key(self) -> str:
        """Its name, which is that of its folder, too."""
        return f"{self.unit}/{self.version}"

    @property
    def unit(self) -> str:
        """What is filed together: both versions."""
        return f"{self.product}-{self.obsid:05d}"


Request = OfInterval | OfName | OfObservation


def request_of(key: str) -> Request | None:
    """
    The request of a key; None if it is no key.

    Examples
    --------
    >>> request_of("obspar-05438/last")
    OfObservation(product='obspar', obsid=5438, version='last')
    """
    if match := _INTERVAL.fullmatch(key):
        return OfInterval(int(match[1]), int(match[2]))
    if match := _FILE.fullmatch(key):
        return OfName(match[1])
    if match := _OBSERVATION.fullmatch(key):
        return OfObservation(match[1], int(match[2]), match[3])
    return None
