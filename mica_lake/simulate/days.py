"""Some days of a simulated archive, with everything of each product."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

from mica_lake.products import PRODUCTS, Product
from mica_lake.simulate.observations import Observation, observations

__all__ = ["Days", "write_days"]


@dataclass(frozen=True)
class Days:
    """
    What the simulators of all products have in common, so that their files fit together.

    Attributes
    ----------
    ska : Path
        The folder that $SKA names.
    start, stop : float
        Time range in CXC seconds.
    jobs : int
        Processes to use.
    """

    ska: Path
    start: float
    stop: float
    jobs: int = 1

    @cached_property
    def observations(self) -> list[Observation]:
        """The observations of these days."""
        return observations(self.start, self.stop)


def write_days(
    days: Days, begin: Callable[[Product], Callable[[int], None]]
) -> Iterator[tuple[Product, list[Path] | ImportError]]:
    """
    Write the files of each product, in the order of the list.

    Parameters
    ----------
    days : Days
        Where and when.
    begin : callable
        Called with each product; what it gives is told now and then how many files are written.

    Yields
    ------
    tuple of Product and (list of Path or ImportError)
        A product and its files, or which package is missing to write them.

    Examples
    --------
    >>> from mica_lake.times import cxcsec
    >>> days = Days(getfixture("tmp_path"), cxcsec("2024:001"), cxcsec("2024:001:00:05"))
    >>> [len(files) for _, files in write_days(days, begin=lambda product: lambda done: None)]
    [8, 25, 1, 12, 2, 2, 2, 1, 1]
    """
    # Products that share a simulator are written together.
    with_files = {(product.package, product.described_in): product for product in PRODUCTS if product.folder}
    for (package, name), product in with_files.items():
        progress = begin(product)
        try:
            yield product, import_module(f"{package}.simulate.{name}").write_days(days, progress)
        except ImportError as error:
            yield product, error
