"""An object store on this machine, to try a lake on ``s3://`` with: moto's server, and what it was asked."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request as _Request
from urllib.request import urlopen

_BEGUN = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")
# Where colorama is not installed, whatever is not answered by 200 is written in colours.
_ASKED = re.compile(r'"(?:\x1b\[\d+m)*(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1\.[01](?:\x1b\[0m)?" (\d+)')
_PATIENCE = 60.0


class Request(NamedTuple):
    """
    What the store was asked for.

    Attributes
    ----------
    operation : str
        GET, PUT, HEAD, POST, DELETE; LIST for a GET of names, DELETE also for a POST of names to delete.
    path : str
        Bucket and key.
    status : int
        Of the answer: 206 for a range of an object, 412 if a condition did not hold.
    """

    operation: str
    path: str
    status: int


class ObjectStore:
    """
    A store that runs.

    Attributes
    ----------
    environment : dict of str
        What tells obstore, and whatever else knows AWS's variables, where it is.
    """

    def __init__(self, endpoint: str, log: Path) -> None:
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._log = log

    def requests(self) -> Sequence[Request]:
        """Give what it was asked so far, in order."""
        found = []
        for method, target, status in _ASKED.findall(self._log.read_text()):
            url = urlsplit(target)
            operation = "LIST" if method == "GET" and "list-type" in url.query else method
            operation = "DELETE" if method == "POST" and url.query == "delete" else operation
            found.append(Request(operation, url.path.lstrip("/"), int(status)))
        return found


@contextmanager
def object_store(folder: str | os.PathLike[str], *buckets: str) -> Iterator[ObjectStore]:
    """
    Run an object store, whose objects are in memory and go with it.

    While it runs, this process's environment says where it is.

    Parameters
    ----------
    folder : path
        Where to keep its log.
    *buckets : str
        Buckets to make.

    Yields
    ------
    ObjectStore
        It.

    Raises
    ------
    ImportError
        If moto is not installed.

    Examples
    --------
    >>> from mica_lake.store.objects import OBJECTS, object_path
    >>> with object_store(getfixture("tmp_path"), "bucket") as store:
    ...     OBJECTS.put(object_path("s3://bucket/lake/mica_lake.sql"), b"SELECT 1;")
    ...     store.requests()[-1]
    Request(operation='PUT', path='bucket/lake/mica_lake.sql', status=200)
    """
    if find_spec("moto") is None or find_spec("flask") is None:
        raise ImportError("an object store to try is moto's: pip install 'mica-lake[object-store]' 'moto[server]'")
    log = Path(folder, "object_store.log")
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + _PATIENCE
            while not (begun := _BEGUN.search(log.read_text())):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise OSError(f"moto's server does not begin; its log is {log}")
                time.sleep(0.05)
            store = ObjectStore(begun[1], log)
            before = {name: os.environ.get(name) for name in store.environment}
            os.environ.update(store.environment)
            try:
                for bucket in buckets:
                    urlopen(_Request(f"{begun[1]}/{bucket}", method="PUT")).close()
                yield store
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name)
                    else:
                        os.environ[name] = value
        finally:
            process.kill()
