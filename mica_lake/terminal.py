"""What is printed with `rich`, which takes longer to import than `mica_lake.output` and many an answer to compute."""

import re
from typing import Any

from rich import markup
from rich.console import Console
from rich.text import Text

from mica_lake.output import printable

_NO_TAG = re.compile(r"\\\[(?![a-z#/@][^\[]*?\])")


def escape(text: object) -> str:
    r"""
    Make the text of a value safe to print with `rich`: `printable`, and with markup escaped.

    Examples
    --------
    >>> print(escape("[red]a\nb"))
    \[red]a\nb
    """
    # Where a bracket begins no tag, rich takes a backslash before it away, and does not escape that.
    return _NO_TAG.sub(r"\\\\[", markup.escape(printable(str(text))))


class Terminal(Console):
    """
    The console of the command line.

    Control characters except line breaks are escaped even without `escape`. What may be longer than a line
    (``soft_wrap``) wraps between words on a terminal, and stays as it is where a program or a log reads it.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, emoji=False)

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        """Print something; a text that wraps softly, in lines that end between words."""
        if soft_wrap and self.is_terminal:
            highlight = options.get("highlight")
            objects = tuple(self._between_words(each, highlight) if isinstance(each, str) else each for each in objects)
        super().print(*objects, soft_wrap=soft_wrap, **options)

    def _between_words(self, text: str, highlight: bool | None) -> Text:
        lines = []
        for paragraph in self.render_str(text, highlight=highlight).split("\n", allow_blank=True):
            line, *words = paragraph.split(" ", allow_blank=True)
            for word in words:
                if line.cell_len + 1 + word.cell_len > self.width:
                    lines.append(line)
                    line = word
                else:
                    line = Text.assemble(line, " ", word)
            lines.append(line)
        return Text("\n").join(lines)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text by its markup, with control characters escaped."""
        return super().render_str(printable(text, lines=True), **options)
