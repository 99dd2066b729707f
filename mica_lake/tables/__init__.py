"""
The tables of the lake: each column's name, type, unit, meaning and source, declared here and nowhere else.

A product's module here has ``TABLES``, and perhaps ``EXTRAS``: small Arrow tables that each generation of the catalog
holds.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

import pyarrow as pa

from mica_lake.products import PRODUCTS, Product
from mica_lake.tables.table import Table

_T = TypeVar("_T")


class _OfProducts(Mapping[str, _T]):
    """Something that the products' modules declare, by name; of the products as they are listed now."""

    def __init__(self, declared: Callable[[ModuleType], Mapping[str, _T]]) -> None:
        self._declared = lru_cache(maxsize=8)(lambda products: _gather(declared, products))

    def __getitem__(self, name: str) -> _T:
        return self._declared(tuple(PRODUCTS))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared(tuple(PRODUCTS)))

    def __len__(self) -> int:
        return len(self._declared(tuple(PRODUCTS)))


def _gather(declared: Callable[[ModuleType], Mapping[str, _T]], products: tuple[Product, ...]) -> dict[str, _T]:
    found: dict[str, Any] = {}
    for product in products:
        found |= declared(import_module(f"{product.package}.tables.{product.name}"))
    return found


TABLES: Mapping[str, Table] = _OfProducts(lambda module: {table.name: table for table in module.TABLES})
EXTRAS: Mapping[str, Callable[[], pa.Table]] = _OfProducts(lambda module: getattr(module, "EXTRAS", {}))
