"""What is in a file that may be gzipped, by isal, with a bound on how much that is."""

from typing import cast

from isal import isal_zlib

from mica_lake.errors import BadFile

MAX_BYTES = 1 << 28
# The stubs of isal declare an instance, it is a class.
_DAMAGED = cast("type[Exception]", isal_zlib.error)


def decompress(content: bytes, limit: int = MAX_BYTES, *, start_only: bool = False) -> bytes:
    """
    Bytes of a file that may be gzipped.

    Parameters
    ----------
    content : bytes
        The file as it is stored.
    limit : int
        How many bytes it may expand to.
    start_only : bool
        Whether the first `limit` bytes are enough.

    Returns
    -------
    bytes
        What is in it.

    Raises
    ------
    BadFile
        If it is empty, damaged, truncated or larger than `limit`.
    """
    if not content:
        raise BadFile("the file is empty")
    if not content.startswith(b"\x1f\x8b"):
        if len(content) > limit and not start_only:
            raise BadFile(f"it is larger than {limit} bytes")
        return content
    parts: list[bytes] = []
    left = limit
    while content:
        stream = isal_zlib.decompressobj(31)
        try:
            part = stream.decompress(content, left + 1)
        except _DAMAGED as error:
            raise BadFile(f"the gzip data are damaged ({error})") from None
        parts.append(part)
        left -= len(part)
        if left < 0:
            if start_only:
                break
            raise BadFile(f"it expands to more than {limit} bytes")
        if not stream.eof:
            raise BadFile("the gzip data are truncated")
        content = stream.unused_data.lstrip(b"\0")
    return b"".join(parts)
