"""The views and macros of the lake, as `sql/` and the comments in it describe them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mica_lake.tables import TABLES
from mica_lake.tables.views import OF_VIEWS

if TYPE_CHECKING:
    import duckdb

_CREATE = re.compile(
    r"\A(?P<comment>(?:\s*--[^\n]*\n)*)\s*"
    r"CREATE OR REPLACE TEMP (?P<kind>VIEW|MACRO) (?P<name>\w+)\s*(?:\((?P<parameters>[^()]*)\))?"
    r"\s+AS(?P<table> TABLE)?\s+(?P<body>.*?)\s*;?\s*\Z",
    re.DOTALL,
)
_EXAMPLE = "    "


@dataclass(frozen=True)
class Definition:
    """
    A view or a macro.

    Attributes
    ----------
    name : str
        Its name.
    kind : str
        view, macro, or table macro.
    parameters : mapping
        Its parameters, with their defaults, or None.
    body : str
        What it stands for.
    comment : str
        What is said above it; in lines that are indented, examples.
    """

    name: str
    kind: str
    parameters: Mapping[str, str | None]
    body: str
    comment: str

    @property
    def gives(self) -> str:
        """What it gives."""
        said = " ".join(line for line in self.comment.splitlines() if not line.startswith(_EXAMPLE))
        table = self.name.removesuffix("_files")
        return said or (f"The files of {table} that can have rows from start to stop." if table in TABLES else "")

    @property
    def example(self) -> str:
        """A query with it; of macros that only others need there is none."""
        examples = [line.strip() for line in self.comment.splitlines() if line.startswith(_EXAMPLE)]
        return examples[0] if examples else f"FROM {self.name}" if self.kind == "view" else ""

    @property
    def arguments(self) -> str:
        """Its parameters as they are written."""
        return ", ".join(name if value is None else f"{name} := {value}" for name, value in self.parameters.items())


def definitions_in(text: str) -> dict[str, Definition]:
    """The views and macros of a script by name; of one that is made twice, the last."""
    from duckdb import extract_statements

    found = {}
    for statement in extract_statements(text):
        match = _CREATE.match(statement.query)
        if match is None:
            continue
        parameters: dict[str, str | None] = {}
        for parameter in filter(None, (match["parameters"] or "").split(",")):
            name, _, default = parameter.partition(":=")
            parameters[name.split()[0]] = default.strip() or None
        kind = "table macro" if match["table"] else match["kind"].lower()
        # Above the first of a file there is also what the file is about.
        *_, last = re.split(r"\n[ \t]*\n", match["comment"].strip())
        comment = re.sub(r"^\s*-- ?", "", last, flags=re.MULTILINE)
        found[match["name"]] = Definition(match["name"], kind, parameters, match["body"], comment)
    return found


def described(definitions: Iterable[Definition]) -> str:
    """SQL that comments on views and macros, and makes the view `lake_objects` of those that are for people."""
    known = [*definitions, _OBJECTS]
    rows = ",\n".join(
        f"            ({', '.join(map(quoted, (one.name, one.kind, one.arguments, one.gives, one.example)))})"
        for one in sorted(known, key=lambda one: one.name)
        if one.example
    )
    on = {"view": "VIEW", "macro": "MACRO", "table macro": "MACRO TABLE"}
    return "\n".join(
        [
            f"-- {_OBJECTS.comment.replace(chr(10), f'{chr(10)}-- ')}",
            f"CREATE OR REPLACE TEMP VIEW {_OBJECTS.name} AS",
            "    SELECT name, kind, arguments, gives, example",
            f"    FROM (\n        VALUES\n{rows}\n    ) AS object (name, kind, arguments, gives, example);",
            *(f"COMMENT ON {on[one.kind]} {one.name} IS {quoted(one.gives)};" for one in known),
            "",
        ]
    )


_OBJECTS = Definition(
    "lake_objects",
    "view",
    {},
    "",
    "The views and macros of the lake: name, kind, arguments, what each gives, and an example.\n"
    "    SELECT name, gives FROM lake_objects WHERE kind = 'view'",
)


def described_columns(definitions: Mapping[str, Definition], connection: "duckdb.DuckDBPyConnection") -> str:
    """SQL that comments on the columns of the views of a connection: which there are, their files decide."""
    columns = connection.execute(
        "SELECT view_name, column_name FROM duckdb_views() JOIN duckdb_columns() ON table_oid = view_oid "
        "WHERE NOT duckdb_views.internal"
    ).fetchall()
    of_views = {name: dict(_meanings(name, definitions)) for name in {view for view, _ in columns}}
    return "\n".join(
        f'COMMENT ON COLUMN {view}."{column}" IS {quoted(meaning)};'
        for view, column in columns
        if (meaning := of_views[view].get(column) or _of_key(view))
    )


def _meanings(name: str, definitions: Mapping[str, Definition]) -> Iterator[tuple[str, str]]:
    """Columns of a view and of what it is made of, with their meanings; the last of a name is the nearest."""
    if name in definitions:
        for word in dict.fromkeys(re.findall(r"\w+", definitions[name].body)):
            if word != name and (word in TABLES or (word in definitions and definitions[word].kind == "view")):
                yield from _meanings(word, definitions)
    if name in TABLES:
        yield from ((c.name, c.with_unit) for c in TABLES[name].columns)
    yield from OF_VIEWS.get(name, {}).items()


def _of_key(view: str) -> str:
    return "the key of this name in the source files" if view in TABLES and TABLES[view].wide else ""


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
