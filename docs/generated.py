"""A MkDocs hook: the pages that are made from the README, the declarations, the commands and the examples."""

import ast
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from mica_lake.catalog.script import definitions
from mica_lake.products import PRODUCTS, Product
from mica_lake.tables import TABLES
from mica_lake.tables.hdr3_msids import PSEUDO_MSIDS
from mica_lake.tables.table import Table

ROOT = Path(__file__).resolve().parent.parent
SIMULATED_LAKE = ROOT / "examples" / "simulated_lake.py"
EXAMPLES = sorted(set(SIMULATED_LAKE.parent.glob("*.py")) - {SIMULATED_LAKE})
MOST_BYTES = 60_000
ROOT_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
# The modules of the API, in the order of the navigation. What is public in them is in their `__all__`.
API = (
    "mica_lake",
    *(
        f"mica_lake.{name}"
        for name in (
            "archive.aca_l0",
            "archive.aca_hdr3",
            "archive.aca_dark.dark_cal",
            "archive.aca_dark.dark_model",
            "archive.aca_dark.processing",
            "archive.obspar",
            "archive.asp_l1",
            "archive.cda",
            "starcheck",
            "stats",
            "stats.acq_stats",
            "stats.guide_stats",
            "stats.predict",
            "vv",
            "vv.process",
            "aca_image",
            "quaternion",
            "utils",
        )
    ),
)
API_PAGE = """# {module}

Each example on this page can be pasted after

```python
from pathlib import Path

import numpy as np
from mica_lake import demo_lake
from {module} import *
```

"""
DICTIONARY = "data_dictionary.md"
_TITLES = {"dictionary/views_and_macros.md": "Views and macros", "dictionary/pseudo_msids.md": "Pseudo-MSIDs"}
# Columns that mean the same in all tables.
JOINED = ("obsid", "agasc_id", "dark_id", "msid")
GALLERY = """# Gallery

Each picture is made by a [marimo](https://marimo.io) notebook of the folder `examples` when this site is built, from a
lake of **simulated** files: no number in them was measured. To run one, on that lake or on yours (then with times that
it has):

```text
pip install -e '.[docs]'
python examples/simulated_lake.py gallery && export MICA_LAKE=$PWD/gallery/lake
python examples/warm_pixels.py        # leaves warm_pixels.png here
marimo edit examples/warm_pixels.py   # in the browser
```
"""


def on_config(config: MkDocsConfig) -> None:
    """List the pages of the tables below that of the data dictionary."""
    (reference,) = (list(part["Reference"]) for part in config.nav or () if "Reference" in part)
    below = [
        {"All tables": DICTIONARY},
        *({_TITLES.get(name, name.split("/")[1].removesuffix(".md")): name} for name in list(dictionary())[1:]),
    ]
    reference[reference.index({"Data dictionary": DICTIONARY})] = {"Data dictionary": below}
    config.nav = [{"Reference": reference} if "Reference" in part else part for part in config.nav or ()]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that are made from something else."""
    pages = {
        **{page: root_page(name) for name, page in ROOT_PAGES.items()},
        **dictionary(),
        "command_line.md": command_line(),
        "gallery.md": gallery(),
        **api(),
    }
    for name, content in {**pages, **pictures()}.items():
        files.append(File.generated(config, name, content=content))
    return files


def root_page(name: str) -> str:
    """A page of the repository's root, with its links as they are from here."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for root_name, page in ROOT_PAGES.items():
        text = text.replace(f"]({root_name})", f"]({page})")
    text = re.sub(r"\[(`[^`]+`)\]\((?:ingest|sql|mica_lake|examples|tests)/[^)]*\)", r"\1", text)
    return re.sub(r"<!-- \w+ -->\n", "", text)


def api() -> dict[str, str]:
    """A page for each module of the API, of its docstrings."""
    return {f"api/{module}.md": API_PAGE.format(module=module) + "\n".join(_public(module)) for module in API}


def _public(module: str) -> Iterator[str]:
    """What mkdocstrings is asked for: each name where it is defined."""
    for name in import_module(module).__all__:
        found = getattr(import_module(module), name)
        if callable(found):
            at = found.__module__ if isinstance(found, type) or found.__qualname__ == name else module
            yield f"::: {at}.{name}\n"


def command_line() -> str:
    """All commands and their options, as typer writes them down."""
    command = [sys.executable, "-m", "typer", "mica_lake.cli", "utils", "docs", "--name", "mica-lake"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def dictionary() -> dict[str, str]:
    """A page for each table with its columns, as declared; before them a list, after them views, macros and MSIDs."""
    of_tables = {f"dictionary/{table.name}.md": "\n".join(_dictionary(table)) for table in TABLES.values()}
    last = {"views_and_macros": _views_and_macros(), "pseudo_msids": _msids()}
    return {DICTIONARY: "\n".join(_tables()), **of_tables} | {
        f"dictionary/{name}.md": "\n".join(lines) for name, lines in last.items()
    }


def _tables() -> Iterator[str]:
    yield "# Data dictionary\n"
    yield (
        "Each table of the lake, as `mica_lake/tables` declares it. Partitions are directories; within each, rows are "
        "as the product's page says. Times are CXC seconds (TT since 1998-01-01). [What joins them](diagrams.md).\n"
    )
    yield from _table(
        ("table", "of product", "partitioned by", "columns"),
        (
            (
                f"[`{table.name}`](dictionary/{table.name}.md)", f"[{product.title}]({product.described_in}.md)",
                ", ".join(table.keys), len(table.columns),
            )
            for product, table in _with_products()
        ),
    )  # fmt: skip
    yield "\nWhat SQL has beside them: [views and macros](dictionary/views_and_macros.md)."
    yield "\nHow the bytes of header 3 become the columns of `hdr3`: [pseudo-MSIDs](dictionary/pseudo_msids.md)."


def _with_products() -> Iterator[tuple[Product, Table]]:
    for product in PRODUCTS:
        for table in import_module(f"{product.package}.tables.{product.name}").TABLES:
            yield product, table


def _dictionary(table: Table) -> Iterator[str]:
    product = next(product for product, one in _with_products() if one.name == table.name)
    made_by = product.name if product.folder else product.follows
    yield f"# `{table.name}`\n"
    yield f"Of product [{product.title}](../{product.described_in}.md), made by `mica-lake ingest {made_by}`.\n"
    yield f"Partitioned by {', '.join(table.keys) or 'nothing: one file'}. In SQL: `FROM {table.rows or table.name}`.\n"
    for key in JOINED:
        if key in table.by_name:
            others = [name for name, one in TABLES.items() if key in one.by_name and one is not table]
            yield f"Joined by `{key}` with {', '.join(f'[`{name}`]({name}.md)' for name in others)}.\n"
    yield from _columns(table)
    if table.wide:
        yield (
            "\nAnd a column for each scalar key that is met in the sources, in all partitions: its type is the "
            "narrowest of boolean, integer, real and text that holds all its values."
        )


def _views_and_macros() -> Iterator[str]:
    yield "# Views and macros\n"
    yield "As `SELECT * FROM lake_objects` lists them.\n"
    heads = {"view": "Views", "table macro": "Macros of rows, after FROM", "macro": "Macros of values"}
    known = [one for one in sorted(definitions().values(), key=lambda one: one.name) if one.example]
    for kind, head in heads.items():
        yield f"## {head}\n"
        for one in known:
            if one.kind == kind:
                called = one.name if kind == "view" else f"{one.name}({one.arguments})"
                yield f"### `{called}`\n\n{one.gives}\n\n```sql\n{one.example}\n```\n"


def _msids() -> Iterator[str]:
    yield "# Pseudo-MSIDs\n"
    yield (
        "How the bytes of header 3 become the columns of [`hdr3`](hdr3.md). Bytes are slot:word, most significant "
        "first; word 76 is column HD3TLM76 of [`aca_l0`](aca_l0.md). A thermistor is a cubic (not-a-knot) spline of "
        "signed 16-bit counts through the 25 points of `mica_lake/hdr3_thermistor.csv`. Offset binary is the unsigned "
        "number minus half its range: with 16 bits, 0x8000 is 0.\n"
    )
    yield from _table(
        ("msid", "id", "bytes", "number", "scale", "unit", "type", "description"),
        (
            (
                m.name, m.id, " ".join(f"{slot}:{word}" for slot, word in m.bytes),
                m.number, f"{m.scale:.12g}" if m.kind in ("linear", "offset") else m.kind,
                m.unit, m.type, m.description,
            )
            for m in PSEUDO_MSIDS
        ),
    )  # fmt: skip


def _columns(table: Table) -> Iterator[str]:
    of_sizes = any(len(column.imgsizes) < 3 for column in table.columns)
    if of_sizes:
        yield "Null where an image size lacks the column.\n"
    yield from _table(
        ("column", "type", "unit", "meaning", "source", *(("image sizes",) if of_sizes else ())),
        (
            (
                f"`{c.name}`", c.type, c.unit, c.meaning, c.source,
                *((", ".join(map(str, c.imgsizes)),) if of_sizes else ()),
            )
            for c in table.columns
        ),
    )  # fmt: skip


def _table(header: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    for cells in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(str(cell).replace('|', '&#124;').replace('<', '&lt;') for cell in cells)} |"


def gallery() -> str:
    """Each example with its picture and its source."""
    parts = [GALLERY]
    for path, picture in zip(EXAMPLES, pictures(), strict=True):
        source = path.read_text(encoding="utf-8")
        title, _, text = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
        parts += [f"## {title.rstrip('.')}\n", f"{text.strip()}\n", f"![{title}]({picture})\n"]
        parts += [f'??? example "examples/{path.name}"\n', "    ```python"]
        parts += [f"    {line}".rstrip() for line in source.strip().splitlines()] + ["    ```\n"]
    return "\n".join(parts)


@cache
def pictures() -> dict[str, bytes]:
    """The picture of each example, in their order, run as a script on a simulated lake."""
    found = {}
    with TemporaryDirectory() as folder, chdir(folder):
        subprocess.run([sys.executable, SIMULATED_LAKE, folder], check=True)
        os.environ["MICA_LAKE"] = str(Path(folder, "lake"))
        for path in EXAMPLES:
            runpy.run_path(str(path), run_name="__main__")
            made = sorted(Path(folder).glob(f"{path.stem}.*"))
            if len(made) != 1 or made[0].stat().st_size > MOST_BYTES:
                raise PluginError(f"{path.name} should leave one picture of at most {MOST_BYTES} bytes; it left {made}")
            found[f"pictures/{made[0].name}"] = made[0].read_bytes()
    return found
