"""An archive that another keeps, and programs and servers that have its files."""

import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from archives import ARCHIVE, simulated

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that the transports have."""
    return simulated(tmp_path_factory.mktemp("reference"))


@pytest.fixture
def arc5gl(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake program as the first of the PATH; gives the file of the commands that it was given."""
    program = tmp_path / "bin" / "arc5gl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable} -ISu\n{(ROOT / 'tests/helpers/fake_arc5gl.py').read_text()}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("FAKE_SKA", str(reference))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "commands"))
    monkeypatch.setenv("FAKE_TROUBLE", "")
    return tmp_path / "commands"


class Quiet(SimpleHTTPRequestHandler):
    """A server of a folder that says nothing, and has some addresses that misbehave."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        trouble = Path(self.directory) / "trouble"
        kind = trouble.read_text() if trouble.exists() else ""
        if kind == "500":
            self.send_error(500)
        elif kind == "half" and self.path.endswith(".gz"):
            content = (Path(self.directory) / self.path[1:]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
        elif kind == "evil" and self.path.endswith("/"):
            self.send_response(200)
            self.end_headers()
            links = ("../../../../etc/axaff27379_000N001_obs0a.par", "%2e%2e%2faxaff27379_000N001_obs0a.par", "/etc/x")
            self.wfile.write("".join(f'<a href="{link}">x</a>' for link in links).encode())
        else:
            super().do_GET()


@pytest.fixture
def public(tmp_path: Path, reference: Path) -> Iterator[tuple[str, Path]]:
    """The address and the folder of a server with what is released, laid out as the public archive is."""
    top = tmp_path / "byobsid"
    for path in sorted((reference / ARCHIVE).glob("[oa][bs]*/*/[0-9][0-9][0-9][0-9][0-9]/*")):
        below = (
            "primary" if "asol" in path.name else "secondary/aspect" if path.name.startswith("pcad") else "secondary"
        )
        obsid = int(path.parent.name)
        copy = top / str(obsid % 10) / str(obsid) / below / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        (copy.parent / "oif.fits").write_text("of something else")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(top)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", top
    server.shutdown()
    thread.join()
    server.server_close()
