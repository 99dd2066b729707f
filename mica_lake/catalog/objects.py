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


def described(definitions: Mapping[str, Definition]) -> str:
    """SQL that comments on views and macros, and makes `lake_objects` of those for people, and `lake_columns`."""
    known = [*definitions.values(), _OBJECTS, _COLUMNS]
    objects = (
        (one.name, one.kind, one.arguments, one.gives, one.example)
        for one in sorted(known, key=lambda one: one.name)
        if one.example
    )
    on = {"view": "VIEW", "macro": "MACRO", "table macro": "MACRO TABLE"}
    return "\n".join(
        [
            _view(
                _OBJECTS,
                f"""
    SELECT name, kind, arguments, gives, example
    FROM (\n        VALUES\n{_values(objects)}\n    ) AS object (name, kind, arguments, gives, example);""",
            ),
            _view(_COLUMNS, _columns({one.name: one for one in known})),
            *(f"COMMENT ON {on[one.kind]} {one.name} IS {quoted(one.gives)};" for one in known),
            "",
        ]
    )


def _view(made: Definition, body: str) -> str:
    comment = made.comment.replace("\n", "\n-- ")
    return f"-- {comment}\nCREATE OR REPLACE TEMP VIEW {made.name} AS{body}"


def _values(rows: Iterable[Iterable[str | None]]) -> str:
    return ",\n".join(
        f"            ({', '.join('NULL' if one is None else quoted(one) for one in row)})" for row in rows
    )


def _columns(definitions: Mapping[str, Definition]) -> str:
    """
    The query of `lake_columns`.

    Which columns a view has, and of which type, DuckDB knows: those of a wide table are met in the lake's files. The
    columns of what a macro gives are as declared.
    """
    views = [name for name, one in definitions.items() if one.kind == "view"]
    by_macro = [name for name, table in TABLES.items() if table.rows]
    names = [*(name for name in TABLES if name in by_macro or name in views), *(v for v in views if v not in TABLES)]
    tables = (
        (name, (TABLES[name].rows if name in TABLES else "") or name, " ".join(_sources(name, definitions)))
        for name in names
    )
    declared: dict[tuple[str, str], tuple[str | None, str, str]] = {
        (name, column.name): (_SQL[str(column.type)] if name in by_macro else None, column.unit, column.meaning)
        for name, table in TABLES.items()
        for column in table.columns
    }
    units = {column.unit for table in TABLES.values() for column in table.columns} | {"degC"}
    for name, columns in OF_VIEWS.items():
        for column, said in columns.items():
            meaning, _, last = said.removesuffix(")").rpartition(" (")
            has_unit = said.endswith(")") and last in units
            declared[name, column] = (None, last, meaning) if has_unit else (None, "", said)
    meanings = ((*key, *of) for key, of in declared.items())
    wide = ", ".join(quoted(name) for name in names if _of_key(name))
    return f"""
    WITH known (table_name, rows, sources) AS (\n        VALUES\n{_values(tables)}
    ),
    declared (source, column_name, type, unit, meaning) AS (\n        VALUES\n{_values(meanings)}
    ),
    of_macro AS (
        SELECT source, column_name, type, row_number() OVER () AS place FROM declared WHERE type IS NOT NULL
    ),
    present (table_name, column_name, type, place) AS (
        FROM of_macro
        UNION ALL
        SELECT table_name, column_name, data_type, column_index
        FROM duckdb_columns()
        WHERE schema_name = 'main' AND NOT internal AND database_name = 'temp'
    )
    SELECT
        table_name,
        present.column_name,
        any_value(present.type) AS type,
        coalesce(arg_min(unit, list_position(split(sources, ' '), source)), '') AS unit,
        coalesce(
            arg_min(meaning, list_position(split(sources, ' '), source)),
            if(table_name IN ({wide}), {quoted(_KEY)}, '')
        ) AS meaning,
        any_value(rows) AS rows
    FROM known
    JOIN present USING (table_name)
    LEFT JOIN declared ON declared.column_name = present.column_name AND list_contains(split(sources, ' '), source)
    GROUP BY table_name, present.column_name
    ORDER BY list_position([{", ".join(map(quoted, names))}], table_name), any_value(place);"""


_OBJECTS = Definition(
    "lake_objects",
    "view",
    {},
    "",
    "The views and macros of the lake: name, kind, arguments, what each gives, and an example.\n"
    "    SELECT name, gives FROM lake_objects WHERE kind = 'view'",
)
_COLUMNS = Definition(
    "lake_columns",
    "view",
    {},
    "",
    "The columns of the lake's tables and views: table_name, column_name, type, unit, meaning, and rows, what to say\n"
    "after FROM for the rows.\n"
    "    SELECT column_name, type, unit, meaning FROM lake_columns WHERE table_name = 'aca_l0'",
)
_SQL = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "list<item: float>": "FLOAT[]",
    "list<item: double>": "DOUBLE[]",
}
_KEY = "the key of this name in the source files"


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
    for source in reversed(_sources(name, definitions)):
        if source in TABLES:
            yield from ((c.name, c.with_unit) for c in TABLES[source].columns)
        yield from OF_VIEWS.get(source, {}).items()


def _sources(name: str, definitions: Mapping[str, Definition]) -> list[str]:
    """A view, or a table, and what it is made of, the nearest first."""
    found = [name]
    words = re.findall(r"\w+", definitions[name].body) if name in definitions else []
    for word in reversed(dict.fromkeys(words)):
        if word != name and (word in TABLES or (word in definitions and definitions[word].kind == "view")):
            found += _sources(word, definitions)
    return list(dict.fromkeys(found))


def _of_key(view: str) -> str:
    return _KEY if view in TABLES and TABLES[view].wide else ""


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
