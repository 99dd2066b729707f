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
from pathlib import Path
from tempfile import TemporaryDirectory

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from mica_lake.catalog.script import definitions
from mica_lake.tables import TABLES
from mica_lake.tables.hdr3_msids import PSEUDO_MSIDS
from mica_lake.tables.table import Table

ROOT = Path(__file__).resolve().parent.parent
SIMULATED_LAKE = ROOT / "examples" / "simulated_lake.py"
EXAMPLES = sorted(set(SIMULATED_LAKE.parent.glob("*.py")) - {SIMULATED_LAKE})
MOST_BYTES = 60_000
ROOT_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
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


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that are made from something else."""
    pages = {
        **{page: root_page(name) for name, page in ROOT_PAGES.items()},
        "data_dictionary.md": data_dictionary(),
        "command_line.md": command_line(),
        "gallery.md": gallery(),
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


def command_line() -> str:
    """All commands and their options, as typer writes them down."""
    command = [sys.executable, "-m", "typer", "mica_lake.cli", "utils", "docs", "--name", "mica-lake"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def data_dictionary() -> str:
    """Each table with its columns, as declared, and the views and macros, as their comments describe them."""
    return "\n".join(["# Data dictionary", "", *_dictionary()])


def _dictionary() -> Iterator[str]:
    yield (
        "Each table of the lake, as `mica_lake/tables` declares it. Partitions are directories; "
        "within each, rows are as the table's own page says. Times are CXC seconds (TT since 1998-01-01).\n"
    )
    for table in TABLES.values():
        yield f"## `{table.name}`\n"
        yield f"Partitioned by {', '.join(table.keys) or 'nothing: one file'}.\n"
        yield from _columns(table)
        if table.wide:
            yield (
                "\nAnd a column for each scalar key that is met in the sources, in all partitions: its type is the "
                "narrowest of boolean, integer, real and text that holds all its values."
            )
        yield ""
    yield "## Views and macros\n"
    yield "As `SELECT * FROM lake_objects` lists them. A table macro comes after FROM, a macro in an expression.\n"
    known = (one for one in sorted(definitions().values(), key=lambda one: one.name) if one.example)
    yield from _table(
        ("name", "kind", "arguments", "what it gives", "example"),
        ((f"`{one.name}`", one.kind, one.arguments, one.gives, f"`{one.example}`") for one in known),
    )
    yield "\n## Pseudo-MSIDs\n"
    yield (
        "How the bytes of header 3 become the columns of `hdr3`. Bytes are slot:word, most significant first; word 76 "
        "is column HD3TLM76 of `aca_l0`. A thermistor is a cubic (not-a-knot) spline of signed 16-bit counts through "
        "the 25 points of `mica_lake/hdr3_thermistor.csv`. Offset binary is the unsigned number minus half its range: "
        "with 16 bits, 0x8000 is 0.\n"
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
