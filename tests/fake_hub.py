"""A Hub for tests: a cache as its library keeps it, and a server on loopback that speaks as it
does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "a" * 40
OTHER = "b" * 40


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the files of a checkpoint by their names in a repository."""
    paths = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def put_in_cache(
    cache: Path, name: str, files: Mapping[str, bytes], commit: str = COMMIT, ref: str = "main"
) -> Path:
    """Write a snapshot as `huggingface_hub` does: blobs, links to them, a ref; returns it."""
    held = cache / f"models--{name.replace('/', '--')}"
    snapshot = held / "snapshots" / commit
    (held / "blobs").mkdir(parents=True, exist_ok=True)
    (held / "refs").mkdir(exist_ok=True)
    (held / "refs" / ref).write_text(commit)
    for path, data in files.items():
        blob = held / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).symlink_to(blob)
    return snapshot


@dataclass
class Repository:
    """What the server has of a model: files by revision, and how it answers."""

    files: dict[str, bytes]
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main",)
    info: tuple[int, str] | None = None  # status and error code in place of what it holds
    resolve: tuple[int, str] | None = None  # likewise in place of each file
    torn: dict[str, int] = field(default_factory=dict)  # how often a file breaks off in the middle


@dataclass
class FakeHub:
    """Repositories by name, and every request that came: method and path."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    html: bool = False

    def fetched(self) -> list[str]:
        """Return the names of the files whose content was asked for."""
        got = [path for path in self.asked if path.startswith("GET ") and "/resolve/" in path]
        return sorted({path.partition("/resolve/")[2].partition("/")[2] for path in got})

    def find(self, path: str) -> tuple[Repository | None, list[str]]:
        """Return the repository of a path, and the parts behind its name."""
        parts = path.removeprefix("/api/models").strip("/").split("/")
        return self.repositories.get("/".join(parts[:2])), parts[2:]


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Serve a fake Hub on loopback, and let this process take it for the Hub."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    # The library reads its environment once, when it is imported.
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)  # between its tries
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            repository, rest = hub.find(path)
            if hub.html:
                self.send(200, b"<html>please log in</html>", {"Content-Type": "text/html"})
            elif repository is None:
                self.refuse(401, "RepoNotFound")
            elif rest[0] == "resolve":
                self.file(repository, rest[1], "/".join(rest[2:]), body=body)
            else:
                self.about(repository, rest)

        def about(self, repository: Repository, rest: list[str]) -> None:
            revision = "/".join(rest[1:])
            if repository.info is not None:
                self.refuse(*repository.info)
            elif revision not in (*repository.revisions, repository.commit):
                self.refuse(404, "RevisionNotFound")
            elif rest[0] == "tree":
                self.json([_entry(n, data) for n, data in repository.files.items()])
            else:
                names = [{"rfilename": name} for name in repository.files]
                self.json({"id": "x", "sha": repository.commit, "siblings": names})

        def file(self, repository: Repository, revision: str, name: str, *, body: bool) -> None:
            if repository.resolve is not None:
                self.refuse(*repository.resolve)
                return
            if name not in repository.files:
                self.refuse(404, "EntryNotFound")
                return
            data = repository.files[name]
            etag = hashlib.sha256(data).hexdigest()
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": repository.commit}
            begin = int(self.headers.get("Range", "bytes=0-")[len("bytes=") :].partition("-")[0])
            left = repository.torn.get(name, 0)
            if body and left:
                repository.torn[name] = left - 1
                self.send(200, data[begin:], headers, stop=(len(data) - begin) // 2)
                return
            status = 206 if begin else 200
            if begin:
                headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self.send(status, data[begin:], headers, stop=None if body else 0)

        def json(self, value: Any) -> None:
            self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def refuse(self, status: int, code: str) -> None:
            self.send(status, b"", {"X-Error-Code": code, "X-Error-Message": "so it is"})

        def send(
            self, status: int, data: bytes, headers: Mapping[str, str], stop: int | None = None
        ) -> None:
            """Send an answer, of its body the first `stop` bytes only."""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data if stop is None else data[:stop])
            self.close_connection = self.close_connection or bool(stop)

    return Handler


def _entry(name: str, data: bytes) -> dict[str, Any]:
    return {
        "type": "file",
        "path": name,
        "size": len(data),
        "oid": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    }
