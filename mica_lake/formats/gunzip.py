"""Decompress files that may be gzipped, with isal, up to a given size."""

import re
from typing import cast

from isal import isal_zlib

from mica_lake.errors import BadFile

MAX_BYTES = 1 << 28
# A file has one member, or some thousands if it was gzipped in blocks.
MAX_MEMBERS = 10_000
_PADDING = re.compile(rb"\0*")
_FIRST_CHUNK = 1 << 12
# A class, though isal's stubs declare an instance.
_DAMAGED = cast("type[Exception]", isal_zlib.error)


def decompress(content: bytes, limit: int = MAX_BYTES, *, start_only: bool = False) -> bytes:
    """
    Decompress a file if it is gzipped; with `start_only`, the first `limit` bytes are enough.

    It is a `BadFile` if it is empty, damaged, truncated, larger than `limit`, or has more than 10,000 gzip members.
    """
    if not content:
        raise BadFile("the file is empty")
    if not content.startswith(b"\x1f\x8b"):
        if len(content) > limit and not start_only:
            raise BadFile(f"it is larger than {limit} bytes")
        return content
    parts: list[bytes] = []
    left, start, members = limit, 0, 0
    view = memoryview(content)
    while start < len(content):
        members += 1
        if members > MAX_MEMBERS:
            raise BadFile(f"it has more than {MAX_MEMBERS} gzip members")
        stream = isal_zlib.decompressobj(31)
        # What follows a member's end in a chunk is copied; so chunks are small at first, except in the first member.
        size = len(content) if members == 1 else _FIRST_CHUNK
        while not stream.eof:
            chunk = view[start : start + size]
            if not chunk:
                raise BadFile("the gzip data are truncated")
            try:
                part = stream.decompress(chunk, left + 1)
            except _DAMAGED as error:
                raise BadFile(f"the gzip data are damaged ({error})") from None
            parts.append(part)
            left -= len(part)
            if left < 0:
                if start_only:
                    return b"".join(parts)
                raise BadFile(f"it expands to more than {limit} bytes")
            start += len(chunk) - len(stream.unused_data)
            size *= 2
        padding = _PADDING.match(content, start)
        start = padding.end() if padding else start
    return b"".join(parts)
