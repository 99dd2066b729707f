"""What the shell completes: names of products, tables, MSIDs and observations."""

import re
from collections.abc import Callable

import typer

_MOST = 200


# Typer takes from these what begins with what is written.
def msids() -> list[str]:
    """Names of header-3 pseudo-MSIDs."""
    from mica_lake.tables.hdr3_msids import BY_NAME

    return list(BY_NAME)


def tables(incomplete: str) -> list[str]:
    """A query with, for its last word, the name of each table, or of the macro that gives its rows."""
    from mica_lake.tables import TABLES

    before = re.sub(r"\w*$", "", incomplete)
    names = {(table.rows or name).split("(")[0] for name, table in TABLES.items()}
    return [before + name for name in sorted(names)] if before else []


def obsids(view: str) -> Callable[[typer.Context, str], list[str]]:
    """A function that gives the observations of a view of the lake which the command line names."""

    def found(ctx: typer.Context, incomplete: str) -> list[str]:
        from mica_lake.lake import Lake

        query = (
            f"SELECT DISTINCT obsid FROM {view} WHERE starts_with(obsid::VARCHAR, $begin) ORDER BY obsid LIMIT {_MOST}"
        )
        try:
            rows = Lake(ctx.params.get("lake")).sql(query, {"begin": incomplete}).fetchall()
        except Exception:  # whatever is wrong with the lake, the shell has nothing to say about it
            return []
        return [str(obsid) for (obsid,) in rows]

    return found
