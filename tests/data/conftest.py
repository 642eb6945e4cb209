"""Collections of tiny volumes, and a package index of our own that can be made to fail."""

import functools
import http.server
import locale
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studykit.data.files.refs import Collection, Subject, VolumeRef


@pytest.fixture(autouse=True)
def locale_kept() -> Iterator[None]:
    """Tests write volumes by ITK, which leaves the process in the C locale."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.fixture
def collect(tmp_path: Path) -> Callable[..., Collection]:
    """Files as a collection of unknown modality, with its cache in the test's folder."""

    def make(*subjects: Subject | Path) -> Collection:
        entries = [
            s if isinstance(s, Subject) else Subject(s.name.split(".")[0], VolumeRef(s)) for s in subjects
        ]
        return Collection("test", tuple(entries), "", "", tmp_path / "cache")

    return make


class Index(http.server.ThreadingHTTPServer):
    """A simple index; ``cut`` ends the next transfer after so many bytes, ``hang`` then keeps it open."""

    files: dict[str, bytes]
    requests: list[tuple[str, str | None]]
    cut: int | None = None
    hang: bool = False


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        name = self.path.rsplit("/", 1)[-1]
        if self.path.startswith("/simple/"):
            project = self.path.strip("/").split("/")[-1]
            mine = [file for file in self.server.files if file.startswith(project + "-")]
            self._answer(
                404 if not mine else 200, "".join(f'<a href="/f/{f}">{f}</a>' for f in mine).encode()
            )
        elif name in self.server.files:
            self._answer(200, self.server.files[name])
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if wanted and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if wanted else status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.server.cut if self.path.startswith("/f/") else None
        if self.command == "HEAD":
            return
        self.wfile.write(body[start : None if cut is None else start + cut])
        if cut is not None:
            self.wfile.flush()
            self.server.cut = None
            if self.server.hang:
                threading.Event().wait(30)
            self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index on this machine, which pip's configuration points to."""
    server = Index(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.files, server.requests = {}, []
    threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.05), daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    yield server
    server.shutdown()
    server.server_close()
