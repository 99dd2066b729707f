"""The command ``mica-lake sql``."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli import complete
from mica_lake.cli.app import ASK, LakeOption, app


class Format(enum.StrEnum):
    """How an answer is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"
    fits = "fits"
    npy = "npy"


@app.command(rich_help_panel=ASK)
def sql(
    query: Annotated[
        str,
        typer.Argument(
            help="One SELECT (or FROM …) over the lake's views and macros; FROM lake_objects lists them.",
            autocompletion=complete.tables,
        ),
    ],
    lake: LakeOption = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="How to write it; by the ending of --output, else a table.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; the terminal by default.")] = None,
) -> None:
    """
    Answer a question in SQL. The lake cannot be changed by it.

    What there is to ask for: "FROM lake_objects" lists the views and macros, "FROM lake_columns" what columns mean.

    Example: mica-lake sql "SELECT avg(TEMPCCD) - 273.15 AS celsius FROM slot_data('2024:001', '2024:002', 3)"
    """
    from mica_lake.cli.sql_output import write_answer
    from mica_lake.export import TABLES, checked
    from mica_lake.lake import Lake

    if form is None:
        form = Format.table if output is None else Format(checked(output, TABLES).removeprefix("."))
    write_answer(Lake(lake), query, form.value, output)
