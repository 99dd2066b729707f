"""What the page shows of anything: texts, tables, pictures, downloads, and errors."""

import base64
import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb
import marimo as mo
import polars as pl

from mica_lake.errors import LakeError, MissingDataError
from mica_lake.explore.page import escaped
from mica_lake.explore.pictures import png
from mica_lake.lake import Lake
from mica_lake.output import printable
from mica_lake.query import message
from mica_lake.reading import answered, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DOWNLOADED = 1_000_000


@contextmanager
def answering(what: str = "asking the lake") -> Iterator[list[Any]]:
    """Collect what is to be shown, behind a spinner; an error is a message."""
    shown: list[Any] = []
    try:
        with mo.status.spinner(what):
            yield shown
    except (ValueError, LakeError, MissingDataError, OSError) as error:
        shown.append(callout(str(error)))
    except duckdb.Error as error:
        shown.append(callout(message(error)))


def form(line: str, elements: dict[str, Any], key: str = "Enter") -> Any:
    """
    Fields in a line, and a button that sends them.

    What is wrong with them is said in place of the answer, which a validation by marimo would leave as it was. Its
    border would be that of a form not sent, although the address has sent it.
    """
    return (
        mo.md(line)
        .batch(**elements)
        .form(submit_button_label="Show", submit_button_tooltip=f"or press {key} in a field", bordered=False)
    )


def callout(text: str) -> Any:
    """A text that is not to be missed."""
    style = "border: 2px solid #d33; border-radius: 6px; padding: 0.6em 1em"
    return mo.Html(f'<div role="alert" style="{style}">{plain(text).text}</div>')


def plain(text: str) -> Any:
    """A text with its line breaks, taken neither for Markdown nor for HTML, without control characters."""
    return mo.Html(
        f'<div style="white-space: pre-wrap; overflow-wrap: anywhere">{html.escape(printable(text, lines=True))}</div>'
    )


def code(language: str, text: str) -> Any:
    """A block of code that nothing in the text can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return mo.md(f"{fence}{language}\n{printable(text, lines=True)}\n{fence}")


def lines(rows: list[dict[str, str]], right: set[str]) -> Any:
    """A plain table whose whole text is in the page."""
    side = {name: "right" if name in right else "left" for name in rows[0]}

    def cell(tag: str, name: str, text: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        return f'<{tag}{scope} style="text-align: {side[name]}; padding: 2px 22px 2px 0">{escaped(text)}</{tag}>'

    head = "".join(cell("th", name, name) for name in side)
    body = "".join(f"<tr>{''.join(cell('td', n, row[n]) for n in side)}</tr>" for row in rows)
    return mo.Html(
        '<div style="overflow-x: auto"><table style="font-size: 0.85rem; width: fit-content">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def table(rows: pl.DataFrame) -> Any:
    """Rows, page by page; all of them can be downloaded elsewhere."""
    rows = rows.with_columns(pl.col(pl.String).map_elements(printable, pl.String))
    # Without it, marimo writes obsid 32448 as 32,448 and rounds times.
    plainly: dict[str, str | Callable[..., Any]] = {
        name: _number if type_ != pl.Float32 else _seven_digits
        for name, type_ in rows.schema.items()
        if type_.is_numeric()
    }
    return mo.ui.table(
        rows, selection=None, page_size=10, show_column_summaries=False, show_download=False, format_mapping=plainly
    )


def _number(value: float | Decimal | None) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    # As large as CXC seconds, which are good to a millisecond.
    return f"{value:.3f}" if 1e7 <= abs(value) < 1e12 else f"{value:.10g}"


def _seven_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.7g}"


def picture(figure: "Figure", alt: str, name: str, width: int | None = None) -> Any:
    """A picture, and a button that downloads it."""
    content = png(figure)
    # In the page itself: marimo would complain of a file that a browser asks for after it has left.
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return mo.vstack(
        [
            mo.image(source, alt=alt, width=width),
            mo.hstack(
                [mo.download(content, filename=f"{name}.png", mimetype="image/png", label="PNG")], justify="start"
            ),
        ]
    )


def downloaded(lake: Lake, query: str, form: str) -> bytes:
    """The answer of a query as a file."""
    with TemporaryDirectory(prefix="mica-lake-") as folder:
        target = Path(folder) / "answer"
        answered(lake, query, Path(folder), lambda one, query: written(one, query, f".{form}", target, MOST_DOWNLOADED))
        return target.read_bytes()


def downloads(lake: Lake, query: str, name: str) -> Any:
    """Buttons that download the answer of a query, made when they are pressed."""
    buttons = [
        mo.download(partial(downloaded, lake, query, form), filename=f"{name}.{form}", mimetype=kind, label=label)
        for form, kind, label in (
            ("csv", "text/csv", "CSV"),
            ("parquet", "application/vnd.apache.parquet", "Parquet"),
        )
    ]
    return mo.hstack([*buttons, mo.md(f"all rows, up to {MOST_DOWNLOADED:,}")], justify="start", align="center")
