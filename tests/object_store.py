"""An S3-speaking server on loopback (moto), behind a proxy that does to requests what networks do.

A fault is a word: a status such as "403" or "503", with the code that the store says if need be
("400 ExpiredToken"), "slow", "hang" (nothing comes for a minute), "torn" (the connection is cut in
the middle of the body of a request, or of an answer), "lost" (the request is carried out, its
answer never comes), "unconditional" (a put overwrites, whatever it asked for).
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import unescape

import pytest

if TYPE_CHECKING:
    from rankmill.mining.store import Workspace

BUCKET = "bucket"
Rule = Callable[[str, str], str | None]
ACCESS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret-of-nobody"}


@dataclass
class Proxy:
    """Where clients connect; `rule(method, path)` names the fault of a request, or None."""

    url: str
    backend: str
    rule: Rule = lambda method, path: None
    seen: list[tuple[str, str]] = field(default_factory=list)
    listed: dict[str, str] | None = None
    lags: Callable[[], bool] = lambda: True

    @contextlib.contextmanager
    def doing(self, rule: Rule) -> Iterator[list[tuple[str, str]]]:
        """Apply a rule to all requests of a block; yields those that came."""
        self.seen.clear()
        self.rule = rule
        try:
            yield self.seen
        finally:
            self.rule = lambda method, path: None

    @contextlib.contextmanager
    def lagging(self, lags: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Answer listings as they are now, whatever is stored or removed in the block. `lags` says
        of each whether it is such a one, where several replicas answer."""
        self.listed, self.lags = _listed(self.backend), lags
        try:
            yield
        finally:
            self.listed = None

    def old_listing(self, path: str) -> bytes | None:
        """Return what a listing said when it began to lag; None for any other request."""
        asked = parse_qs(urlsplit(path).query)
        if self.listed is None or "list-type" not in asked or not self.lags():
            return None
        prefix = asked.get("prefix", [""])[0]
        blocks = [block for key, block in self.listed.items() if key.startswith(prefix)]
        return (
            f'<?xml version="1.0"?><ListBucketResult><Name>{BUCKET}</Name><Prefix>{prefix}</Prefix>'
            f"<KeyCount>{len(blocks)}</KeyCount><MaxKeys>{len(blocks)}</MaxKeys>"
            f"<IsTruncated>false</IsTruncated>{''.join(blocks)}</ListBucketResult>"
        ).encode()

    def once(self, fault: str, method: str, pattern: str, times: int = 1) -> Rule:
        """Return a rule that does a fault to the first requests that match."""
        left = [times]

        def rule(asked: str, path: str) -> str | None:
            if left[0] and asked == method and re.search(pattern, path):
                left[0] -= 1
                return fault
            return None

        return rule


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """Run a moto server in a process of its own; yields its URL. Skips where there is none."""
    for name in ("obstore", "moto"):
        pytest.importorskip(name, reason="pip install -e '.[test]'")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    try:
        told = None
        for line in server.stdout:
            if told := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        assert told, "the server of the tests has ended before it listened"
        rest = threading.Thread(target=server.stdout.read, daemon=True)
        rest.start()
        yield told[0]
    finally:
        server.kill()
        server.wait()
        rest.join()
        server.stdout.close()


@contextlib.contextmanager
def object_store() -> Iterator[Proxy]:
    """Run server and proxy, with an empty bucket; yields the proxy."""
    with moto() as backend:
        _asked(backend, "PUT", f"/{BUCKET}")
        proxy = Proxy("", backend)

        class Handler(_Handler):
            through = proxy

        with _Server(("127.0.0.1", 0), Handler) as server:
            proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield proxy
            finally:
                server.shutdown()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    through: Proxy

    def log_message(self, *told: object) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        path = unquote(self.path)
        self.through.seen.append((self.command, path))
        fault = self.through.rule(self.command, path)
        if self.command == "GET" and (old := self.through.old_listing(self.path)) is not None:
            self._answer(200, [("Content-Type", "application/xml")], old)
            return
        if fault is not None and fault[:3].isdigit():
            self.rfile.read(size)
            code = fault[4:] or "Refused"
            self._answer(int(fault[:3]), [], f"<Error><Code>{code}</Code></Error>".encode())
            return
        if fault == "unconditional":
            del self.headers["If-None-Match"]
        if fault == "torn" and size:
            self.rfile.read(size // 2)
            self._cut()
            return
        if fault in ("slow", "hang"):
            time.sleep(0.3 if fault == "slow" else 60)
        status, headers, body = _asked(
            self.through.backend,
            self.command,
            self.path,
            self.rfile.read(size),
            dict(self.headers.items()),
        )
        if fault == "lost":
            self._cut()
            return
        if fault == "torn":
            self._answer(status, headers, body, body[: len(body) // 2])
            self._cut()
            return
        self._answer(status, headers, body)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, sent: bytes | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        told = dict(headers).get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", told or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if sent is None else sent)
        self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on


def _asked(
    backend: str,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Ask the server itself."""
    connection = http.client.HTTPConnection(backend.removeprefix("http://"), timeout=60)
    try:
        kept = {k: v for k, v in (headers or {}).items() if k.lower() not in ("connection",)}
        connection.request(method, path, body, kept)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()


def _listed(backend: str) -> dict[str, str]:
    """Return what a listing says of each object, by key."""
    blocks: dict[str, str] = {}
    after = ""
    while True:
        path = f"/{BUCKET}?list-type=2&start-after={quote(after, safe='')}"
        told = _asked(backend, "GET", path)[2].decode()
        for block in re.findall(r"<Contents>.*?</Contents>", told, re.S):
            after = unescape(re.findall(r"<Key>(.*?)</Key>", block)[0])
            blocks[after] = block
        if "<IsTruncated>true" not in told:
            return blocks


def runs(store: Proxy, *words: str) -> Any:
    """Let forks of another process run on the store."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("object_store_runs.py")), *words],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"AWS_ENDPOINT_URL": store.url},
    )
    return json.loads(done.stdout)


class Machines:
    """One workspace as several machines see it: each call is another cache."""

    def __init__(self, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.name, self.folder, self.monkeypatch, self.count = name, folder, monkeypatch, 0

    def __call__(self) -> Workspace:
        from rankmill.mining.store import Workspace

        self.count += 1
        self.monkeypatch.setenv("RANKMILL_CACHE", str(self.folder / f"machine{self.count}"))
        return Workspace(f"s3://{BUCKET}/{self.name}")


@pytest.fixture(scope="session")
def one_server() -> Iterator[Proxy]:
    """The server and what stands before it, one for all files: it takes seconds to start."""
    with object_store() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(one_server: Proxy) -> Proxy:
    """The server, with an empty bucket for the tests of a file."""
    status, _, _ = _asked(one_server.backend, "POST", "/moto-api/reset")
    assert status == 200
    _asked(one_server.backend, "PUT", f"/{BUCKET}")
    one_server.seen.clear()
    return one_server


@pytest.fixture
def store(server: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """The server, named by the environment, with an empty cache."""
    from rankmill.mining.store.objects import bucket

    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("RANKMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bucket, "PAUSES_S", (0.01, 0.02, 0.03, 0.04))
    return server


@pytest.fixture
def machine(
    store: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
) -> Machines:
    """The workspace of a test, as many machines as are asked for."""
    return Machines(f"t/{request.node.name.split('[')[0]}/{tmp_path.name}", tmp_path, monkeypatch)
