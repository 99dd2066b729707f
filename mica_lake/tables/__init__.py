"""The tables of the lake: each column's name, type, unit, meaning and source, declared here and nowhere else."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module

from mica_lake.products import PRODUCTS, Product
from mica_lake.tables.table import Table


class _Tables(Mapping[str, Table]):
    """The tables of all products, by name."""

    def __getitem__(self, name: str) -> Table:
        return _of(tuple(PRODUCTS))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_of(tuple(PRODUCTS)))

    def __len__(self) -> int:
        return len(_of(tuple(PRODUCTS)))


@lru_cache
def _of(products: tuple[Product, ...]) -> dict[str, Table]:
    modules = (import_module(f"{product.package}.tables.{product.name}") for product in products)
    return {table.name: table for module in modules for table in module.TABLES}


TABLES = _Tables()
