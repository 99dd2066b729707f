"""
The lake in Spark: its tables and views as temporary views, the table macros of `sql/` as functions.

The SQL is that of `sql/*.sql`. What reads rows is turned into Spark's SQL by sqlglot. What does not is computed by
DuckDB beforehand and put in its place: which partitions there are from start to stop, what a text is in CXC seconds,
whether there is such a slot. So times, slots and their errors are the same through each door, and Spark gets paths and
numbers.
"""

import ast
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from mica_lake.catalog.objects import Definition, definitions_in
from mica_lake.catalog.script import lake_sql
from mica_lake.lake import Lake
from mica_lake.query import plainly
from mica_lake.tables import TABLES
from mica_lake.times import cxcsec

try:
    import sqlglot
    from pyspark.sql import DataFrame, SparkSession
    from sqlglot import exp
    from sqlglot.dialects.duckdb import DuckDB
except ImportError as error:
    raise ImportError(f"{error}: pip install 'mica-lake[spark]' brings what mica_lake.spark needs") from error


class _SqlOfTheLake(DuckDB):
    """DuckDB's SQL, read as it is written: sqlglot would count elements from 0, but only where it knows that it may."""

    INDEX_OFFSET = 0


# A larger table does not become a view of the session: Spark looks at each file before it answers. See docs/scale.md.
MOST_PARTITIONS = 1000

# What can be computed beforehand if nothing in it is of rows.
_SCALAR = (exp.Func, exp.Binary, exp.Unary, exp.Between, exp.In, exp.Bracket, exp.Placeholder)
_OF_ROWS = (exp.Identifier, exp.Star, exp.Query, exp.AggFunc, exp.Window, exp.Array, exp.GenerateSeries)
# A session may be set to leave out files that are not there or not whole: rows would be lost without a word.
_NO_FILE_LEFT_OUT = {"ignoreMissingFiles": "false", "ignoreCorruptFiles": "false", "mergeSchema": "false"}


def _with_arguments(definition: Definition, arguments: Mapping[str, exp.Expr]) -> exp.Expr:
    """The body of a view or macro, with the arguments substituted for the parameters."""
    body = sqlglot.parse_one(definition.body, read=_SqlOfTheLake)
    for column in list(body.find_all(exp.Column)):
        if column.name in arguments and not column.table:
            column.replace(arguments[column.name].copy())
    return body


@cache
def _definitions() -> dict[str, Definition]:
    return definitions_in(lake_sql())


def _names(kind: str) -> list[str]:
    return [definition.name for definition in _definitions().values() if definition.kind == kind]


class SparkLake:
    """
    A lake in a Spark session, as `register` gives it.

    The table macros of `sql/` are its methods: ``slot_data(start, stop, slot)``, ``hdr3_data(start, stop)``,
    ``aca_images(start, stop)``, ``warm_pixels(threshold, ref=-19.0)``, … Each gives a Spark DataFrame of the partitions
    needed and no other. Times are taken in any form that `mica_lake.times.cxcsec` takes.

    It stays as the lake was when it was registered. What was replaced since can be read for an hour; after it, Spark
    says which file is not there, and the lake must be registered again.

    Attributes
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    """

    def __init__(self, spark: SparkSession, lake: Lake) -> None:
        self.spark = spark
        self._root = lake.root
        self._connection = lake.private_connection()
        self._lock = threading.Lock()
        self._tables: dict[str, DataFrame] = {}

    def __repr__(self) -> str:
        return f"SparkLake({str(self._root)!r})"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_names("table macro")]

    def __getattr__(self, name: str) -> Callable[..., DataFrame]:
        if name not in _names("table macro"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        definition = _definitions()[name]
        signature = Signature(
            [
                Parameter(
                    parameter,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if default is None else ast.literal_eval(default),
                )
                for parameter, default in definition.parameters.items()
            ]
        )

        def function(*args: Any, **kwargs: Any) -> DataFrame:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = {parameter: _argument(parameter, value) for parameter, value in bound.arguments.items()}
            placeholders = {parameter: exp.Placeholder(this=parameter) for parameter in values}
            return self._frame(_with_arguments(definition, placeholders), values)

        function.__name__ = function.__qualname__ = name
        function.__doc__ = definition.comment
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    def table(self, name: str) -> DataFrame:
        """
        All rows of a table of the lake, or of a view of `sql/`.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        pyspark.sql.DataFrame
            Its rows.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        if name not in self._tables:
            if name in _names("view") and "duckdb_" in _definitions()[name].body:
                # It is of what DuckDB knows of the lake, of which there is little.
                with self._lock:
                    relation = self._connection.sql(f"FROM {name}")
                    schema = ", ".join(f"{column} STRING" for column in relation.columns)
                    self._tables[name] = self.spark.createDataFrame(relation.fetchall(), schema)
            elif name in _names("view"):
                self._tables[name] = self._frame(_with_arguments(_definitions()[name], {}), {})
            elif name in TABLES:
                query = f"SELECT * FROM read_parquet({name}_files(0.0, 6.3e9))"
                self._tables[name] = self._frame(sqlglot.parse_one(query, read=_SqlOfTheLake), {})
            else:
                known = ", ".join(sorted({*TABLES, *_names("view")}))
                raise ValueError(f"there is no table {name!r}; the lake has {known}")
        return self._tables[name]

    def _frame(self, query: exp.Expr, values: Mapping[str, Any]) -> DataFrame:
        """The answer of a query in DuckDB's SQL."""
        _expand_macros(query)
        ctes = {cte.alias for cte in query.find_all(exp.CTE)}
        tables = [table for table in query.find_all(exp.Table) if table.name not in ctes]
        files = [table for table in tables if isinstance(table.this, exp.ReadParquet)]
        constants = [node for node in query.walk(prune=_settled) if _is_constant(node)]
        asked = [*(table.this.expressions[0] for table in files), *constants]
        computed = self._computed([node.sql(_SqlOfTheLake) for node in asked], values)
        frames: dict[str, Any] = {}
        for table in tables:
            name = f"frame{len(frames)}"
            if table in files:
                paths, _ = computed.pop(0)
                frames[name] = self._read([paths] if isinstance(paths, str) else paths)
            else:
                frames[name] = self.table(table.name)
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
            table.set("this", exp.Var(this=f"{{{name}}}"))
        for node, (value, type_) in zip(constants, computed, strict=True):
            node.replace(_literal(value, type_))
        return self.spark.sql(_spark_sql(query), **frames)

    def _computed(self, expressions: Sequence[str], values: Mapping[str, Any]) -> list[tuple[Any, str]]:
        """Value and type of expressions that have no rows in them, as DuckDB computes them."""
        if not expressions:
            return []
        query = f"SELECT {', '.join(expressions)}"
        params = {name: value for name, value in values.items() if re.search(rf"\${name}\b", query)}
        with self._lock, plainly():
            relation = self._connection.sql(query, params=params)
            (row,) = relation.fetchall()
        return list(zip(row, map(str, relation.types), strict=True))

    def _read(self, paths: Sequence[str]) -> DataFrame:
        with self._lock:
            described = self._connection.read_parquet(paths[0], hive_partitioning=False)
        columns = [
            exp.ColumnDef(this=exp.to_identifier(name), kind=_type(str(type_)))
            for name, type_ in zip(described.columns, described.types, strict=True)
        ]
        schema = ", ".join(column.sql("spark", identify=True) for column in columns)
        # Hadoop would take braces for a pattern.
        files = ["file://" + re.sub(r"([{}\\])", r"\\\1", path) for path in paths]
        return self.spark.read.schema(schema).options(**_NO_FILE_LEFT_OUT).parquet(*files)


def _argument(parameter: str, value: Any) -> Any:
    """An argument as DuckDB takes it."""
    if parameter in ("start", "stop"):
        return cxcsec(value)
    return value.item() if hasattr(value, "item") else value


def _expand_macros(query: exp.Expr) -> None:
    """Replace the calls of macros that are computed for each row by the macros themselves."""
    while calls := [call for call in query.find_all(exp.Anonymous) if _is_macro_of_rows(call)]:
        call = calls[0]
        definition = _definitions()[call.name.lower()]
        given = [exp.paren(argument, copy=True) for argument in call.expressions]
        defaults = [sqlglot.parse_one(text, read=_SqlOfTheLake) for text in definition.parameters.values() if text]
        arguments = given + defaults[len(defaults) - (len(definition.parameters) - len(given)) :]
        body = _with_arguments(definition, dict(zip(definition.parameters, arguments, strict=True)))
        call.replace(exp.paren(body))


def _is_macro_of_rows(call: exp.Expr) -> bool:
    return (
        call.name.lower() in _names("macro") and not _is_constant(call) and call.find_ancestor(exp.ReadParquet) is None
    )


def _is_constant(node: exp.Expr) -> bool:
    apart = exp.ReadParquet | exp.If | exp.Window
    return isinstance(node, _SCALAR) and not isinstance(node, apart) and node.find(*_OF_ROWS) is None


def _settled(node: exp.Expr) -> bool:
    # A window is of rows, although what stands before its OVER may name no column.
    return isinstance(node, exp.ReadParquet | exp.Window) or _is_constant(node)


def _literal(value: Any, type_: str) -> exp.Expr:
    if value is None:
        return exp.cast(exp.null(), _type(type_))
    if isinstance(value, bool | str):
        return exp.convert(value)
    if isinstance(value, list):
        return exp.array(*(_literal(each, type_.removesuffix("[]")) for each in value))
    return exp.cast(exp.Literal.string(str(value)), _type(type_))


def _type(text: str) -> exp.DataType:
    """A type of DuckDB as Spark has it: without sign one size larger, and a decimal number is a real one."""
    if text.startswith("DECIMAL"):  # of which Spark loses digits in a division
        return exp.DataType.build("DOUBLE")
    for unsigned, larger in (("UTINYINT", "SMALLINT"), ("USMALLINT", "INTEGER"), ("UINTEGER", "BIGINT")):
        text = text.replace(unsigned, larger)
    return exp.DataType.build(text, dialect=_SqlOfTheLake)


def _spark_sql(query: exp.Expr) -> str:
    for number in list(query.find_all(exp.Literal)):
        if number.is_string:
            # pyspark puts data frames in the place of names in braces.
            number.set("this", number.this.replace("{", "{{").replace("}", "}}"))
        elif "." in number.this:
            number.replace(_literal(float(number.this), "DOUBLE"))
    for floor in list(query.find_all(exp.Floor)):
        # Spark's floor gives a whole number, which has neither NaN nor infinity; its rint gives a real one.
        nearest = exp.Anonymous(this="rint", expressions=[floor.this])
        above = exp.cast(exp.paren(exp.GT(this=nearest.copy(), expression=exp.paren(floor.this.copy()))), "DOUBLE")
        floor.replace(exp.paren(exp.Sub(this=nearest, expression=above)))
    for call in [call for call in query.find_all(exp.Anonymous) if call.name.lower() == "list_sum"]:
        total = sqlglot.parse_one("aggregate(numbers, CAST(0 AS DOUBLE), (total, each) -> total + each)", read="spark")
        total.find(exp.Column).replace(call.expressions[0].copy())  # type: ignore[union-attr]
        call.replace(total)
    for bracket in list(query.find_all(exp.Bracket)):
        (index,) = bracket.expressions
        if not index.is_string:
            place = exp.cast(index, "INT")
            bracket.replace(exp.Anonymous(this="try_element_at", expressions=[bracket.this, place]))
    return query.sql("spark", identify=True, unsupported_level=sqlglot.ErrorLevel.RAISE)


def local_session() -> SparkSession:
    """
    A Spark session on all cores of this machine, reached from this machine only.

    A cluster's session is made as its people say; this is for trying, and for a machine with many cores.

    Returns
    -------
    pyspark.sql.SparkSession
        It, or the one that this process has already.

    Raises
    ------
    OSError
        If there is no Java.

    Examples
    --------
    >>> local_session().range(3).count()
    3
    """
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else "java"
    if shutil.which(java) is None:
        raise OSError(
            f"Spark runs on Java 17 or newer, and there is no {java}: 'apt-get install openjdk-17-jre-headless', "
            "or set JAVA_HOME to the directory of another"
        )
    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
        "spark.sql.shuffle.partitions": "8",
    }
    return SparkSession.builder.master("local[*]").appName("mica-lake").config(map=settings).getOrCreate()


def register(spark: SparkSession, lake: Lake) -> SparkLake:
    """
    Make a lake known to a Spark session.

    Each view of `sql/` and each table of the lake becomes a temporary view of the same name, for ``spark.sql``; what
    the session has of these names is replaced. The paths are those of the lake's catalog: no directory is listed. A
    table of more than 1,000 partitions is left out, as Spark looks at each file before it answers anything;
    `SparkLake.table` gives it.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session. Its workers see the lake at the same path.
    lake : Lake
        The lake.

    Returns
    -------
    SparkLake
        The table macros of `sql/`, such as ``slot_data``, as methods that give Spark DataFrames.

    Raises
    ------
    LakeError
        If the lake is gone or its catalog is damaged.

    Examples
    --------
    >>> spark = local_session()
    >>> mica = register(spark, demo_lake())
    >>> mica.slot_data("2024:001", "2024:001:00:10", 3).count()
    293
    >>> spark.sql("SELECT count(*) AS n FROM vv_limit WHERE level = 'warn'").collect()
    [Row(n=2)]
    """
    found = SparkLake(spark, lake)
    partitions = dict(lake.sql('SELECT table_name, count(*) FROM "partition" GROUP BY ALL').fetchall())
    for name in {*_names("view"), *TABLES}:
        if partitions.get(name, 0) <= MOST_PARTITIONS:
            found.table(name).createOrReplaceTempView(name)
        else:
            # A session's view of another lake would answer in its place.
            spark.catalog.dropTempView(name)
    return found
