"""The command line, ``mica-lake``: a module for each command."""

import sys
from concurrent.futures import BrokenExecutor
from typing import Annotated, Any

import typer

# Each of these adds its command to the app, in the order of the help.
from mica_lake.cli import (  # noqa: F401
    dark,
    demo,
    explore,
    fetch,
    ingest,
    msid,
    reindex,
    report,
    sql,
    starcheck,
    stats,
    status,
    verify,
    vv,
)
from mica_lake.cli.app import app
from mica_lake.errors import LakeError, MissingDataError, ObjectStoreError, said_of
from mica_lake.output import standard_streams

# What typer raises of arguments it does not know; only classes derived from it have a name of typer's own.
_WrongArguments: Any = typer.BadParameter.__mro__[1]
_INTERRUPTED = 130


def _show_version(wanted: bool) -> None:
    if wanted:
        from mica_lake import __version__

        print(f"mica-lake {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _say(*lines: str) -> None:
    from mica_lake.terminal import Terminal, escape

    said = "\n".join(map(escape, lines))
    Terminal(stderr=True).print(f"[bold red]mica-lake:[/] {said}", soft_wrap=True, highlight=False)


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except (LakeError, MissingDataError, ObjectStoreError, ValueError, ImportError, OSError, BrokenExecutor) as error:
        first, *more = said_of(error).replace("\t", "  ").split("\n") if _of_duckdb(error) else [said_of(error)]
        _say(first, *(f"  {line}" for line in more))
        return 1
    except _WrongArguments as error:
        code: int = error.exit_code
        if not error.format_message():  # the help was printed
            return code
        usage = [error.ctx.get_usage()] if error.ctx else []
        command = error.ctx.command_path if error.ctx else "mica-lake"
        # The choices come on lines of their own.
        said = " ".join(_in_our_words(error).split())
        _say(said, *usage, f"'{command} --help' says more")
        return code
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED


# What pydantic, which typer asks, finds wrong with an argument.
_WRONG = {
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
}


def _in_our_words(error: Any) -> str:
    """What is wrong with an argument, with its value."""
    said: str = error.format_message()
    for found in getattr(error.__cause__, "errors", list)():
        name = said.partition(": ")[0].removeprefix("Invalid value for ").strip("'")
        if wrong := _WRONG.get(found["type"]):
            return f"{name}: {found['input']!r} {wrong.format(**found.get('ctx', {}))}"
        return f"{name}: {found['msg'].removeprefix('Value error, ')}"
    return said


def _of_duckdb(error: Exception) -> bool:
    """Whether this is DuckDB's message with lines that point into the query."""
    return type(error.__context__).__module__ in ("duckdb", "_duckdb")


def main() -> None:
    """Run the command line; an error becomes a message and exit code 1."""
    output, _ = standard_streams()
    code = _run()
    if code == _INTERRUPTED:
        from mica_lake.terminal import Terminal

        Terminal(stderr=True).print("interrupted; nothing is lost: run it again to go on")
    output.flush()
    if output.lost is not None and not isinstance(output.lost, BrokenPipeError):
        _say(f"standard output could not be written ({output.lost.strerror}); all else was done")
        code = code or 1
    sys.exit(code)
