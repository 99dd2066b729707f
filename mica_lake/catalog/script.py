"""The SQL of the lake: what all products need, and the views and macros of each."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from mica_lake.catalog.names import CATALOG, CHECKSUMS, CURRENT, no_rows, table_file
from mica_lake.catalog.objects import Definition, definitions_in, described
from mica_lake.products import PRODUCTS
from mica_lake.tables import TABLES

# Queries that may ask for anything by a name that is not in their text.
_OF_ALL = re.compile(r"show|describe|summarize|pragma|information_schema|query|query_table|(duckdb|pg|sqlite)_\w+")
OBJECTS = "objects"
_WORD = re.compile(r"\w+")
_DEFINES = re.compile(r"^(?:CREATE OR REPLACE TEMP (?:MACRO|VIEW|TABLE)|SET VARIABLE) (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A file of `sql/`, or what is generated beside them; and the words in it, other than in comments."""

    text: str
    defines: frozenset[str]
    words: frozenset[str]


def catalog_sql() -> str:
    """What everything else stands on, which is quick however many partitions the lake has."""
    return "\n".join([sql_of("times"), _names(), sql_of("catalog"), _keys(), sql_of("lake")])


def lake_sql() -> str:
    """All views and macros."""
    return "\n".join([catalog_sql(), sql_of_parts(parts())])


def script() -> str:
    """The text of ``mica_lake.sql``, which checks the catalog before it uses it; `Lake` does that itself."""
    first = [
        sql_of("times"), _names(), sql_of("environment"), sql_of("catalog"), sql_of("check"), _keys(), sql_of("lake")
    ]  # fmt: skip
    return "\n".join([*first, sql_of_parts(parts()), sql_of("read")])


def parts() -> dict[str, Part]:
    """What follows the SQL of the catalog, in order: dates, products, status, the forms of a time, what each is."""
    # Products that share their SQL have it once.
    files = dict.fromkeys((product.package, product.described_in) for product in PRODUCTS)
    utc, *last = [("mica_lake", name) for name in ("utc", "status", "cxcsec")]
    found = {name: _part(name, package) for package, name in (utc, *files, *last)}
    return found | {OBJECTS: _objects(tuple(found.values()))}


@cache
def _objects(others: tuple[Part, ...]) -> Part:
    """The part that describes the others, all of which it needs; its text is for `sql_of_parts` to make."""
    return Part("", frozenset({"lake_objects", "lake_columns"}), frozenset().union(*(part.defines for part in others)))


def definitions() -> dict[str, Definition]:
    """The views and macros of the lake by name."""
    return _definitions(tuple(parts().values()))


@cache
def _definitions(known: tuple[Part, ...]) -> dict[str, Definition]:
    return definitions_in("\n".join([catalog_sql(), *(part.text for part in known)]))


@cache
def _part(name: str, package: str) -> Part:
    text = sql_of(name, package)
    return Part(text, frozenset(_DEFINES.findall(text)), _words(re.sub(r"--.*", "", text)))


def parts_for(texts: Iterable[str]) -> set[str]:
    """Which parts a query needs, by the words in its text and parameters."""
    known = parts()
    words = frozenset[str]().union(*map(_words, texts))
    if any(map(_OF_ALL.fullmatch, words)):
        return set(known)
    found: set[str] = set()
    while more := {name for name, part in known.items() if name not in found and words & part.defines}:
        found |= more
        words = words.union(*(known[name].words for name in more))
    return found


def sql_of_parts(names: Iterable[str], so_far: Iterable[str] = ()) -> str:
    """The text of some parts, for a connection that has the catalog's SQL and some parts already."""
    wanted = set(names) - set(so_far)
    if "cxcsec" in so_far and wanted:
        wanted.add("cxcsec")
    text = [part.text for name, part in parts().items() if name in wanted]
    if OBJECTS in wanted:
        text.append(described(definitions()))
    # Macros are checked when they are made, and then only one form of a time may be there.
    return "\n".join([sql_of("times"), *text] if "cxcsec" in so_far and wanted else text)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def sql_of(name: str, package: str = "mica_lake") -> str:
    """The text of a file of `sql/`."""
    return resources.files(f"{package}.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def _names() -> str:
    """The macros that say what the parts of the catalog are called."""

    def macro(name: str, folder: str, path: Callable[[str], str] | str, what: str) -> str:
        parameters, end = "", f"/{path}"
        if callable(path):
            before, _, after = path("\n").partition("\n")
            parameters, end = "name", f"/{before}' || name || '{after}"
        made = f"CREATE OR REPLACE TEMP MACRO {name}({parameters}) AS getvariable('{folder}') || '{end}';"
        return f"-- {what}\n{made}"

    return "\n".join(
        [
            macro("catalog_folder", "mica_lake", CATALOG, "The folder of the catalog."),
            macro("current_file", "mica_lake", CURRENT, "The file that says which generation of the catalog holds."),
            macro("checksums_file", "mica_lake_catalog", CHECKSUMS, "The checksums of a generation's files."),
            macro("table_file", "mica_lake_catalog", table_file, "The file of a table of the catalog."),
            macro("no_rows_file", "mica_lake_catalog", no_rows, "A file of a table without rows."),
            "",
        ]
    )


def _keys() -> str:
    """The macro that tells tables by day from others."""
    by_day = ", ".join(f"'{table.name}'" for table in TABLES.values() if "doy" in table.keys)
    return (
        "-- Whether a table is partitioned by day; the others are by year, or one file.\n"
        f"CREATE OR REPLACE TEMP MACRO is_by_day(name) AS\n    name IN ({by_day});\n"
    )
