"""The SQL of the lake: what all products need, and the views and macros of each."""

from importlib import resources

from mica_lake.products import PRODUCTS
from mica_lake.tables import TABLES


def catalog_sql() -> str:
    """The views of the catalog, which are quick however many partitions the lake has."""
    return "\n".join([sql_of("times"), sql_of("catalog"), _keys(), sql_of("lake")])


def lake_sql() -> str:
    """All views and macros."""
    return "\n".join([catalog_sql(), *_of_products(), sql_of("cxcsec")])


def script() -> str:
    """The text of ``mica_lake.sql``, which checks the catalog before it uses it; `Lake` does that itself."""
    first = [sql_of("times"), sql_of("catalog"), sql_of("check"), _keys(), sql_of("lake")]
    return "\n".join([*first, *_of_products(), sql_of("cxcsec")])


def _of_products() -> list[str]:
    # Products that share their SQL have it once.
    files = dict.fromkeys((product.package, product.described_in) for product in PRODUCTS)
    return [sql_of(name, package) for package, name in files]


def sql_of(name: str, package: str = "mica_lake") -> str:
    """The text of a file of `sql/`."""
    return resources.files(f"{package}.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def _keys() -> str:
    """The macro that tells tables by day from others."""
    by_day = ", ".join(f"'{table.name}'" for table in TABLES.values() if "doy" in table.keys)
    return (
        "-- Whether a table is partitioned by day; the others are by year, or one file.\n"
        f"CREATE OR REPLACE TEMP MACRO is_by_day(name) AS\n    name IN ({by_day});\n"
    )
