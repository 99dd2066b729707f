"""The text of a writer's lock: which process of which host holds it, and since when."""

import json
import os
import socket
from datetime import UTC, datetime
from typing import Any

# A lock's text is one line; no more than this is read of a file that is longer.
MOST_BYTES = 65536


def ourselves() -> dict[str, str | int]:
    """The text for a lock of this process."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}


def owner(content: bytes) -> dict[str, Any]:
    """Host, process and start of a lock's owner; empty if its text does not name one."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    host, pid, since = (found.get(name) for name in ("host", "pid", "since"))
    named = isinstance(host, str) and isinstance(since, str) and type(pid) is int and 0 < pid < 1 << 31
    return {"host": host, "pid": pid, "since": since} if named else {}


def who(found: dict[str, Any], lock: object) -> str:
    """A lock's owner in words."""
    if not found:
        return f"another process ({lock} does not say which)"
    return f"process {found['pid']} on {found['host']} since {found['since']}"
