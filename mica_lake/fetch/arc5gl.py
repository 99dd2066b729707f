"""
The archive's retrieval program, ``arc5gl``: it shows a prompt, takes a command a line, and writes files where it runs.

It runs anew for each request, in the folder of the answer, so that no answer can end up in another's folder.
"""

import os
import select
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from mica_lake.errors import BadFile
from mica_lake.fetch.request import DEFAULT, LAST, PRODUCTS, OfInterval, OfName, Request
from mica_lake.fetch.transport import TransportError
from mica_lake.formats.on_disk import escaped
from mica_lake.ingest.aca_l0.files import NAME
from mica_lake.times import utc

PROMPT = b"ARC5GL> "
_PRODUCT = {"obspar": "obspar", "asp_l1": "asp1"}
# Of what it says the end is kept; more than the most is not the program that we know.
_KEPT, _MOST = 1 << 12, 1 << 26


class Arc5gl:
    """
    The program ``arc5gl``.

    Parameters
    ----------
    program : str
        Its name or path.
    patience : float
        How long it may take to show its prompt (s).
    longest : float
        How long it may take to get what is asked for (s).

    Examples
    --------
    >>> Arc5gl("arc5gl_is_not_here")
    Traceback (most recent call last):
        ...
    FileNotFoundError: arc5gl_is_not_here: there is no such program
    """

    products = PRODUCTS
    versions = (DEFAULT, LAST)

    def __init__(self, program: str = "arc5gl", patience: float = 120.0, longest: float = 10_800.0) -> None:
        found = shutil.which(program)
        if found is None:
            raise FileNotFoundError(f"{program}: there is no such program")
        self._program, self._patience, self._longest = str(Path(found).absolute()), patience, longest

    def get(self, request: Request, folder: Path) -> list[str]:
        """
        Get what is asked for into a folder.

        Parameters
        ----------
        request : Request
            What to get.
        folder : Path
            Where to put it.

        Returns
        -------
        list of str
            The names of what is in the folder then.

        Raises
        ------
        TransportError
            If the program does not answer in time, dies or cannot be started.

        Examples
        --------
        >>> from mica_lake.fetch.request import OfInterval
        >>> Arc5gl("true").get(OfInterval(700000000, 700000100), getfixture("tmp_path"))
        Traceback (most recent call last):
            ...
        mica_lake.fetch.transport.TransportError: arc5gl ended before it showed its prompt
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            process = subprocess.Popen(
                [self._program, "--stdin"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, bufsize=0, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise TransportError(f"{self._program} cannot be started: {error.strerror}") from None
        try:
            _until_prompt(process, self._patience)
            *parameters, last = commands(request)
            for command in parameters:
                _say(process, command)
                _until_prompt(process, self._patience)
            _say(process, last)
            _until_prompt(process, self._longest)
            _end(process, self._longest)
        finally:
            _kill(process)
        return sorted(escaped(name) for name in os.listdir(folder))  # noqa: PTH208


def commands(request: Request) -> list[str]:
    """
    The commands that get what is asked for; the last one starts it.

    Parameters
    ----------
    request : Request
        What to get.

    Returns
    -------
    list of str
        A command a line.

    Raises
    ------
    BadFile
        If it is a file whose name is not that of a telemetry file.

    Examples
    --------
    >>> from mica_lake.fetch.request import OfObservation
    >>> commands(OfObservation("asp_l1", 5438, "last"))
    ['obsid=5438', 'version=last', 'get asp1']
    """
    if isinstance(request, OfInterval):
        return [f"tstart={utc(request.tstart)}", f"tstop={utc(request.tstop)}", "get aca0"]
    if isinstance(request, OfName):
        if not NAME.fullmatch(request.filename):
            raise BadFile(f"{escaped(request.filename)} is not the name of a telemetry file")
        return [
            "dataset=flight", "detector=pcad", "subdetector=aca", "level=0", f"filename={request.filename}",
            "operation=retrieve", "go",
        ]  # fmt: skip
    return [f"obsid={request.obsid}", f"version={request.version}", f"get {_PRODUCT[request.product]}"]


def _say(process: subprocess.Popen[bytes], command: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(f"{command}\n".encode("ascii"))
    except BrokenPipeError:
        raise TransportError(f"arc5gl ended before '{command}'") from None


def _until_prompt(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the prompt, whatever else it says."""
    said = _read(process, seconds, PROMPT)
    if said is not None:
        raise TransportError(f"arc5gl ended before it showed its prompt{said}")


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let it end, as a prompt may be shown too early; it must end well."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    said = _read(process, seconds, None)
    try:
        code = process.wait(_remaining(time.monotonic() + 10))
    except subprocess.TimeoutExpired:
        raise TransportError("arc5gl did not end") from None
    if code:
        raise TransportError(f"arc5gl ended with exit code {code}{said}")


def _read(process: subprocess.Popen[bytes], seconds: float, prompt: bytes | None) -> str | None:
    """Read until a prompt: None; or to the end: what was said last."""
    assert process.stdout is not None
    until, kept, count = time.monotonic() + seconds, b"", 0
    while count < _MOST:
        ready, _, _ = select.select([process.stdout], [], [], _remaining(until))
        if not ready:
            raise TransportError(f"arc5gl did not answer in {seconds:,.0f} s{_last_line(kept)}")
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            return _last_line(kept)
        kept, count = (kept + piece)[-_KEPT:], count + len(piece)
        if prompt is not None and kept.endswith(prompt):
            return None
    raise TransportError(f"arc5gl says more than {_MOST:,} bytes and shows no prompt")


def _last_line(said: bytes) -> str:
    lines = [line.strip() for line in said.replace(PROMPT, b"").decode("utf-8", "replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return f"; it said: {escaped(last[:200])}" if last else ""


def _remaining(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started, whatever it is doing."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
