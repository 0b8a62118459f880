"""A small server on loopback that speaks the four APIs, counts what it is asked, and misbehaves."""

from __future__ import annotations

import json
import math
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROMPT = "Q<{query}> D<{document}>"
"""What tests ask with, so that the server finds the two texts again."""
_ASKED = re.compile(r"Q<(.*)> D<(.*)>", re.DOTALL)


def logit_of(query: str, document: str) -> float:
    """Return what the server's model thinks of a pair: from −8 to 8, exact in float32."""
    return (zlib.crc32(f"{query}\x00{document}".encode()) % 4096 - 2048) / 256


@dataclass
class Fault:
    """What a request gets in place of its answer, or done to it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    torn: bool = False
    reset: bool = False
    slow_s: float = 0.0
    trickle_s: float = 0.0
    change: Callable[[Any], Any] | None = None


Plan = Callable[[int, str, Any], Fault | None]
"""plan(number of the POST from 0, path, body) -> what goes wrong with it"""


class FakeEndpoint:
    """State of the server: `pairs` counts (query, document), `posts` has (path, headers, body)."""

    def __init__(self, plan: Plan | None = None, models: Any = None, info: Any = None):
        self.plan = plan or (lambda number, path, body: None)
        self.models = models or {"object": "list", "data": [{"id": "m", "root": "org/m@1"}]}
        self.info = info or {"model_id": "m", "model_sha": "abcdef", "version": "1.8"}
        self.answers_as = "m"
        self.shows = 200  # the status of what it says of itself
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.posts: list[tuple[str, dict[str, str], Any]] = []
        self.in_flight = self.most_in_flight = 0
        self.order_of: Callable[[str, list[str]], str] | None = None
        self.lock = threading.Lock()
        self.port = 0

    def url(self, base: str = "") -> str:
        """Return the address with a base behind it."""
        return f"http://127.0.0.1:{self.port}{base}"

    def answer(self, path: str, body: Any) -> Any:
        """Return the right answer of the API at a path."""
        if path.endswith("/completions"):
            return self._completion(path, body)
        if path.endswith("/score"):
            scores = self._scores(body["text_1"], body["text_2"])
            if body.get("use_activation", True):
                scores = [sigmoid(s) for s in scores]
            data = [{"index": i, "object": "score", "score": s} for i, s in enumerate(scores)]
            return {"object": "list", "model": self.answers_as, "data": data}
        if "texts" in body:
            scores = self._scores(body["query"], body["texts"])
            scores = scores if body["raw_scores"] else [sigmoid(s) for s in scores]
            rows = [{"index": i, "score": s} for i, s in enumerate(scores)]
            return sorted(rows, key=lambda row: -row["score"])
        scores = self._scores(body["query"], body["documents"])
        scores = scores if body.get("raw_scores") else [sigmoid(s) for s in scores]
        rows = [{"index": i, "relevance_score": s} for i, s in enumerate(scores)]
        rows = sorted(rows, key=lambda row: -row["relevance_score"])[: body["top_n"]]
        return {"id": "x", "results": rows, "meta": {"api_version": {"version": "2"}}}

    def _scores(self, query: str, documents: list[str]) -> list[float]:
        with self.lock:
            self.pairs.update((query, document) for document in documents)
        return [logit_of(query, document) for document in documents]

    def _completion(self, path: str, body: Any) -> Any:
        chat = path.endswith("/chat/completions")
        text = body["messages"][-1]["content"] if chat else body["prompt"]
        whole = {"model": self.answers_as, "usage": {"total_tokens": 7}}
        if "logprobs" not in body:
            return whole | {"choices": [{"index": 0, "message": {"content": self._order(text)}}]}
        asked = _ASKED.search(text)
        tops = told(self._scores(asked[1], [asked[2]])[0] if asked else 0.0)
        if chat:
            rows = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in tops.items()]
            logprobs: Any = {"content": [{"token": "Yes", "logprob": -1, "top_logprobs": rows}]}
            return whole | {"choices": [{"index": 0, "logprobs": logprobs}]}
        logprobs = {"tokens": ["Yes"], "token_logprobs": [-1], "top_logprobs": [tops]}
        return whole | {"choices": [{"index": 0, "text": "Yes", "logprobs": logprobs}]}

    def _order(self, text: str) -> str:
        """Order the passages of a list by what the model thinks of them, or as the test says."""
        query = re.search(r"relevance to the search query: (.*)\.$", text, re.MULTILINE)
        passages = re.findall(r"^\[\d+\] (.*)$", text, re.MULTILINE)
        if query is None:
            return "yes"
        if self.order_of is not None:
            return self.order_of(query[1], passages)
        return right_order(query[1], passages)


def right_order(query: str, passages: list[str]) -> str:
    """Return the answer of a model that orders by `logit_of`."""
    best = sorted(range(len(passages)), key=lambda at: -logit_of(query, passages[at]))
    return " > ".join(f"[{at + 1}]" for at in best)


def told(logit: float) -> dict[str, float]:
    """Return the log-probabilities of a first token: 0.9 lies on four spellings of yes and no."""
    yes = sigmoid(logit)
    shares = {"yes": yes * 0.75, " Yes": yes * 0.25, "No": (1 - yes) * 0.5, "NO": (1 - yes) * 0.5}
    return {token: math.log(0.9 * share) for token, share in shares.items()} | {"The": -5.0}


def sigmoid(logit: float) -> float:
    """Return the probability of a logit."""
    return 1 / (1 + math.exp(-logit))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: a second one waits 40 ms for an echo
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        fake: FakeEndpoint = self.server.fake
        if fake.shows != 200:
            self._send(fake.shows, b'{"error":"no"}')
        elif self.path.endswith("/models"):
            self._send(200, json.dumps(fake.models).encode())
        elif self.path == "/info":
            self._send(200, json.dumps(fake.info).encode())
        else:
            self._send(404, b'{"detail":"Not Found"}')

    def do_POST(self) -> None:
        fake: FakeEndpoint = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with fake.lock:
            number = len(fake.posts)
            fake.posts.append((self.path, dict(self.headers), body))
            fake.in_flight += 1
            fake.most_in_flight = max(fake.most_in_flight, fake.in_flight)
        try:
            self._answer(fake, fake.plan(number, self.path, body) or Fault(), body)
        finally:
            with fake.lock:
                fake.in_flight -= 1

    def _answer(self, fake: FakeEndpoint, fault: Fault, body: Any) -> None:
        time.sleep(fault.slow_s)
        if fault.reset:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        if fault.status != 200 or fault.body is not None:
            said = b'{"error":"no"}' if fault.body is None else fault.body
            self._send(fault.status, said, fault.headers)
            return
        answer = fake.answer(self.path, body)
        answer = fault.change(answer) if fault.change else answer
        data = json.dumps(answer).encode()
        if fault.trickle_s:
            self._trickle(data, fault.trickle_s)
        else:
            self._send(200, data, torn=fault.torn)

    def _trickle(self, data: bytes, seconds: float) -> None:
        """Send an answer in twelve pieces with a rest after each."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        size = -(-len(data) // 12)
        for start in range(0, len(data), size):
            self.wfile.write(data[start : start + size])
            self.wfile.flush()
            time.sleep(seconds)

    def _send(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, torn: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if torn else data)
        if torn:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or lost patience, is no matter."""


@contextmanager
def serving(fake: FakeEndpoint) -> Iterator[FakeEndpoint]:
    """Serve on a free port of loopback for a block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.fake = fake  # type: ignore[attr-defined]
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
