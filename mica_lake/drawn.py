"""What objects show in notebooks, as HTML and SVG: without matplotlib, a network or scripts, and with texts escaped."""

import base64
import struct
import zlib
from collections.abc import Iterable, Sequence
from html import escape as of_html
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.output import printable

_WIDTH, _HEIGHT = 480, 90
# Up to this many pixels on a side each is a square of its own, whose value can be read by pointing at it.
_MOST_SQUARES = 16
_MOST_PIXELS = 512


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def text(value: object) -> str:
    """
    A value as text in HTML: whole numbers with commas, nothing for None.

    Examples
    --------
    >>> text(19316), text("<b>"), text(None)
    ('19,316', '&lt;b&gt;', '')
    """
    if value is None:
        return ""
    return f"{value:,}" if _is_whole(value) else of_html(printable(str(value)))


def table(title: str, head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """
    A table with a title; whole numbers are at the right.

    Examples
    --------
    >>> print(table("aca_l0", [], [("rows", 19316)]))
    <table><caption style="text-align:left;white-space:nowrap"><b>aca_l0</b></caption><tr><td
    style="text-align:left;padding:0 .5em">rows<td style="text-align:right;padding:0 .5em">19,316</table>
    """
    lines = [f"<tr>{''.join(f'<th>{text(name)}' for name in head)}"] if head else []
    for row in rows:
        sides = [("right" if _is_whole(one) else "left", text(one)) for one in row]
        cells = (f'<td style="text-align:{side};padding:0 .5em">{said}' for side, said in sides)
        lines.append(f"<tr>{''.join(cells)}")
    caption = f'<caption style="text-align:left;white-space:nowrap"><b>{text(title)}</b></caption>'
    return f"<table>{caption}{''.join(lines)}</table>"


def curve(times: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    """
    A curve, broken where values are NaN; of many values, from the least to the greatest of each piece.

    Examples
    --------
    >>> curve(np.arange(3.0), np.array([1.0, np.nan, 2.0])).count("<path")
    1
    """
    finite = np.isfinite(values)
    if not finite.any():
        return ""
    pieces = min(_WIDTH, len(values))
    kept: list[int] = []
    for piece in np.array_split(np.arange(len(values)), pieces):
        good = piece[finite[piece]]
        if len(good) < len(piece):
            kept.append(int(piece[~finite[piece]][0]))
        if len(good):
            kept += [int(good[values[good].argmin()]), int(good[values[good].argmax()])]
    low, high = float(values[finite].min()), float(values[finite].max())
    begin, span = float(times[0]), float(times[-1] - times[0]) or 1.0
    parts, joined = [], False
    for n in sorted(set(kept)):
        if finite[n]:
            x = (times[n] - begin) / span * _WIDTH
            y = _HEIGHT * (1 - (values[n] - low) / (high - low)) if high > low else _HEIGHT / 2
            # A value without neighbours is a dot: a line of no length with round ends.
            parts.append(f"L{x:.1f} {y:.1f}" if joined else f"M{x:.1f} {y:.1f}h0")
        joined = bool(finite[n])
    return (
        f'<svg viewBox="-2 -2 {_WIDTH + 4} {_HEIGHT + 4}" width="{_WIDTH}" role="img" aria-label="values over time">'
        f'<path d="{"".join(parts)}" fill="none" stroke="#0072B2" stroke-width="1.5" stroke-linecap="round"/></svg>'
    )


def _grey(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Brightness of pixels, 0 to 255: white at the greatest, of large images at the 99.5th percentile; NaN is black."""
    good = pixels[np.isfinite(pixels)]
    if not len(good):
        return np.zeros(pixels.shape, np.uint8)
    low, high = float(good.min()), float(np.percentile(good, 99.5) if good.size > 4096 else good.max())
    scaled = (np.nan_to_num(pixels, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return (255 * scaled.clip(0, 1)).astype(np.uint8)


def _png(grey: NDArray[np.uint8]) -> bytes:
    """A PNG file of grey pixels, its first row at the top."""
    rows, cols = grey.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + row.tobytes() for row in grey)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", cols, rows, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def image(pixels: NDArray[np.float64], row0: int, col0: int, meta: Iterable[tuple[str, object]] = ()) -> str:
    """
    An image, with row 0 at the bottom as on the CCD, and what is known of it.

    Examples
    --------
    >>> image(np.eye(2), -10, 20).count("<rect")
    4
    """
    rows, cols = pixels.shape
    grey = _grey(pixels)
    title = f"{rows}x{cols} pixels from row {row0}, column {col0}"
    if max(rows, cols) <= _MOST_SQUARES:
        squares = "".join(
            f'<rect x="{col}" y="{rows - 1 - row}" width="1.02" height="1.02" fill="rgb({grey[row, col]},'
            f'{grey[row, col]},{grey[row, col]})">'
            f"<title>row {row0 + row}, column {col0 + col}: {pixels[row, col]:g}</title></rect>"
            for row in range(rows)
            for col in range(cols)
        )
        drawn = (
            f'<svg viewBox="0 0 {cols} {rows}" width="{24 * cols}" role="img" aria-label="{title}" '
            f'shape-rendering="crispEdges">{squares}</svg>'
        )
    else:
        step = -(-max(rows, cols) // _MOST_PIXELS)
        # The brightest of each block: a hot pixel is still seen.
        rest = [(0, -count % step) for count in (rows, cols)]
        blocks = np.pad(grey, rest).reshape((rows + rest[0][1]) // step, step, (cols + rest[1][1]) // step, step)
        encoded = base64.b64encode(_png(blocks.max(axis=(1, 3))[::-1])).decode("ascii")
        drawn = (
            f'<img src="data:image/png;base64,{encoded}" alt="{title}" '
            f'style="width:{_MOST_PIXELS}px;image-rendering:pixelated">'
        )
    return f"<div>{drawn}</div>{table(title, [], meta)}"


def of_image(image_of: Any) -> str:
    """What a notebook shows of an ACAImage: the image and its meta; its text, if it is not of two dimensions."""
    pixels = np.asarray(image_of)
    if pixels.ndim != 2 or not pixels.size:
        return f"<pre>{of_html(printable(repr(image_of), lines=True))}</pre>"
    meta = {name: value for name, value in image_of.meta.items() if name not in ("IMGROW0", "IMGCOL0")}
    return image(pixels.astype(np.float64), image_of.row0, image_of.col0, meta.items())
