"""A page in the browser over a lake, served to this machine only."""

import os
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from mica_lake.lake import Lake

__all__ = ["HOST", "application", "serve"]

HOST = "127.0.0.1"
# Something is seen while the browser reads marimo's scripts, which takes it a second or more. A narrow window has room
# for all tabs, and marimo's menu, which has no name for a screen reader, has nothing that the page needs.
_HEAD = """<style>
#root:empty::before { content: "mica-lake: opening the lake …"; display: block; padding: 4rem; font: 16px sans-serif; }
@media (max-width: 1100px) { #App > div { padding-left: 12px; padding-right: 12px; } }
[data-testid="notebook-actions-dropdown"] { display: none; }
</style>
<script>
// marimo's tabs and radio buttons cannot tell in their shadow roots which of them has the focus.
addEventListener("keydown", event => {
  const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
  const one = event.composedPath()[0], role = one.getAttribute?.("role");
  if (!step || !["tab", "radio"].includes(role)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const all = [...one.closest("[role=tablist], [role=radiogroup]").querySelectorAll(`[role=${role}]`)];
  const next = all[(all.indexOf(one) + step + all.length) % all.length];
  next.focus();
  next.click();
}, true);
// marimo's forms are sent by Ctrl+Enter only.
addEventListener("keydown", event => {
  const path = event.composedPath(), form = path.find(one => one.tagName === "FORM");
  if (event.key !== "Enter" || event.ctrlKey || event.isComposing) return;
  if (!form || !path.some(one => one.tagName === "MARIMO-TEXT")) return;
  event.preventDefault();
  path[0].blur();  // what was typed is taken when its field is left
  path[0].focus();
  setTimeout(() => form.requestSubmit(), 50);
}, true);
</script>"""
_Message = MutableMapping[str, Any]
_Application = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Any]


def application(lake: Lake, token: str, port: int) -> _Application:
    """
    The page as an ASGI application.

    It answers whoever has the token, and takes requests only by the names of this machine and from the page itself. The
    token keeps out the other users of the machine, the names those who let a name of theirs point here (DNS rebinding),
    and the origin the other pages in the same browser.
    """
    try:
        import marimo
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError("the page is made with marimo and matplotlib: pip install 'mica-lake[explore]'") from error
    # Before anybody waits for the page, which would import them.
    for name in ("ask", "dark", "observed", "overview", "sql_box", "stars", "temperatures"):
        import_module(f"{__name__}.{name}")
    os.environ["MICA_LAKE"] = str(lake.root)
    page = str(Path(__file__).with_name("app.py"))
    built: Any = marimo.create_asgi_app(quiet=True, token=token, html_head=_HEAD).with_app(path="", root=page).build()
    hosts = {f"{name}:{port}".encode() for name in (HOST, "localhost")}
    origins = {b"http://" + host for host in hosts}

    async def guarded(scope: _Message, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "lifespan" and not (
            headers.get(b"host") in hosts and headers.get(b"origin", next(iter(origins))) in origins
        ):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"this page is for this machine only\n"})
            return
        await built({**scope, "query_string": _question(scope, headers)}, receive, send)

    return guarded


def _question(scope: _Message, headers: dict[bytes, bytes]) -> bytes:
    """What a request asks, when it opens the page or logs in with a question."""
    asked: bytes = scope.get("query_string", b"")
    if scope.get("path") == "/auth/login" and scope.get("method") == "POST":
        # marimo's form leaves out where it was asked to go on to.
        target = parse_qs(urlsplit(headers.get(b"referer", b"").decode("latin-1")).query).get("next", [""])[0]
        # Only the page itself, with its question: nobody is sent elsewhere by a login.
        return urlencode({"next": target}).encode() if target.startswith("/?") else b""
    # A question put behind the address that was printed, which has a ? already.
    return asked.replace(b"?", b"&", 1) if asked.startswith(b"access_token=") else asked


def serve(lake: Lake, port: int, tell: Callable[[str], None]) -> None:
    """
    Serve the page until it is interrupted.

    Threads of marimo may outlive it; they only read.

    Parameters
    ----------
    lake : Lake
        The lake.
    port : int
        The port of 127.0.0.1; any that is free if 0.
    tell : callable
        Given the page's address when it can be opened.

    Raises
    ------
    ImportError
        If marimo or matplotlib is absent.
    OSError
        If the port is taken.
    """
    listening = socket.socket()
    # Whoever stops it and starts it again gets the same port, although the kernel still knows the old connections.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listening:
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise OSError(f"port {port} of {HOST}: {error.strerror}. Say --port with another, 0 for any") from error
        token, number = secrets.token_urlsafe(16), listening.getsockname()[1]
        page = application(lake, token, number)
        import uvicorn

        listening.listen()
        tell(f"http://{HOST}:{number}/?access_token={token}")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(page, log_level="error", timeout_graceful_shutdown=1)).run(
                sockets=[listening]
            )
