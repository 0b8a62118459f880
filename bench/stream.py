"""The group stream beside Hugging Face `datasets` with a tokenising collator, on the same groups.

    python bench/stream.py [--quick] [--data DIR]

10 million groups of 16 (2 GB) over 500,000 documents are made on disk first; `--data DIR` keeps
them there for the next run. The peer maps the very same Arrow files, shuffles by `datasets`, looks
texts up in the mapped corpus, and tokenises and pads in the collator of a DataLoader, as trainers
built on it do. Each reads in a process of its own, one after the other, in turns.

Two memory figures: what the process holds for itself, which the goal is about, and the pages of
the mapped files that it has touched: those are the system's cache, shared by all processes that
read the same files, and given back whenever memory is short.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import psutil
from _groups import DOC_WORDS, MODEL, QUERY_WORDS, SIZE, World, make_world
from _report import finish

from rankmill.mining.groups.format import Groups
from rankmill.mining.models.folder import resolve
from rankmill.mining.store import Workspace, open_artifact
from rankmill.training.packing import Limits, TokenColumns, Towers
from rankmill.training.stream import GroupStream

BATCH = 64
LIMITS = Limits(QUERY_WORDS[1] + 2, DOC_WORDS[1] + 2)  # nothing is cut
Paths = dict[str, str]


def paths_of(world: World) -> Paths:
    roles = ("corpus", "queries", "corpus_tokens", "query_tokens", "groups")
    return {role: str(getattr(world, role).path) for role in roles}


# ---- ours ----------------------------------------------------------------------------------------


def open_stream(paths: Paths, **options: Any) -> GroupStream:
    """Open everything that a trainer opens, from paths."""
    groups = Groups(open_artifact(paths["groups"]))
    queries, docs = (
        TokenColumns(open_artifact(paths[f"{kind}_tokens"])) for kind in ("query", "corpus")
    )
    pack = Towers(resolve(MODEL), queries, docs, LIMITS, pieces=1)
    return GroupStream(groups, pack, batch=BATCH, stop=len(groups), **options)


def rate(stream: Any, seconds: float, length: Callable[[Any], int] = len) -> float:
    """Groups per second over about `seconds`."""
    seen, began = 0, time.perf_counter()
    for batch in stream:
        seen += length(batch)
        if time.perf_counter() - began > seconds:
            break
    return seen / (time.perf_counter() - began)


def memory() -> tuple[float, float]:
    """Resident MB of this process: its own, and pages of mapped files."""
    info = psutil.Process().memory_info()
    return (info.rss - info.shared) / 1e6, info.shared / 1e6


def read_ours(paths: Paths, seconds: float) -> dict[str, float]:
    """First batch, rates in both orders in turn, memory: in a fresh process."""
    own, mapped = memory()
    began = time.perf_counter()
    next(iter(open_stream(paths, seed=2)))
    figures = {"first_batch_s": time.perf_counter() - began, "own_mb": 0.0, "mapped_mb": 0.0}
    rates: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(6):
        stream = open_stream(paths, seed=turn // 2, shuffle=bool(turn % 2))
        rates[bool(turn % 2)].append(rate(stream, seconds / 6))
        now = memory()
        figures["own_mb"] = max(figures["own_mb"], now[0] - own)
        figures["mapped_mb"] = max(figures["mapped_mb"], now[1] - mapped)
    sequential, shuffled = (float(np.median(rates[order])) for order in (False, True))
    numbers = GroupStream(Groups(open_artifact(paths["groups"])), batch=BATCH, seed=9)
    plain = rate(numbers, seconds / 6)
    return figures | {"sequential": sequential, "shuffled": shuffled, "without_texts": plain}


# ---- the peer ------------------------------------------------------------------------------------


class Collator:
    """Rows of ids to padded tensors: texts by look-up in the mapped files, tokenised here."""

    def __init__(self, paths: Paths):
        import datasets
        from transformers import AutoTokenizer

        datasets.disable_progress_bars()
        self.docs, self.queries = (mapped(paths[kind])["text"] for kind in ("corpus", "queries"))
        self.tokenizer = AutoTokenizer.from_pretrained(resolve(MODEL).path)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        import torch

        docs = self.docs[[int(d) for row in rows for d in row["doc"]]]
        asked = self.queries[[int(row["query"]) for row in rows]]
        sides = {}
        for side, texts, cap in (
            ("docs", docs, LIMITS.doc_length),
            ("queries", asked, LIMITS.query_length),
        ):
            sides[side] = self.tokenizer(
                list(texts), padding=True, truncation=True, max_length=cap + 2, return_tensors="pt"
            )
        return sides | {"score": torch.tensor(np.asarray([row["score"] for row in rows]))}


def mapped(path: str) -> Any:
    """Return the rows of an artifact as a Dataset over the mapped Arrow files, nothing copied."""
    import datasets
    import pyarrow as pa

    table = pa.concat_tables(open_artifact(path).tables(level=1))
    return datasets.Dataset(datasets.table.InMemoryTable(table))


def read_peer(paths: Paths, seconds: float) -> dict[str, float]:
    """The same groups by datasets.Dataset.shuffle, DataLoader and a tokenising collator."""
    from torch.utils.data import DataLoader

    own, _ = memory()
    collate = Collator(paths)
    rows = mapped(paths["groups"]).with_format("numpy")
    began = time.perf_counter()
    loader = DataLoader(rows.shuffle(seed=1, keep_in_memory=True), BATCH, collate_fn=collate)
    next(iter(loader))
    first = time.perf_counter() - began
    groups_per_s = rate(loader, seconds, lambda batch: len(batch["score"]))
    return {"rate": groups_per_s, "first_batch_s": first, "own_mb": memory()[0] - own}


# ---- a student that waits for data ---------------------------------------------------------------


def waiting(paths: Paths, steps: int) -> float:
    """Share of the time that a 2-layer student of 384 dimensions waits for data."""
    import torch

    from rankmill.mining.models.precision import device
    from rankmill.training.students import parse_student

    student, folder = parse_student(f"bi_encoder(model={MODEL},layers=2)")
    network = student.network(folder)
    stream = open_stream(paths, seed=3)
    stream.pack.pieces = 2  # type: ignore[union-attr]
    stream.batch, stream.stop = 8, 8 * (steps + 1)
    began = 0.0
    for number, batch in enumerate(stream):
        if number == 1:
            began, stream.waited_s = time.perf_counter(), 0.0
        with torch.autocast(device().type, dtype=torch.bfloat16):
            network.scores(batch.texts, SIZE).float().square().mean().backward()
    return stream.waited_s / (time.perf_counter() - began)


def check(world: World, paths: Paths) -> None:
    """Every id of a batch is the tokenizer's, for us and the peer; no group comes twice."""
    tokenizer = world.model.tokenizer()
    stream = open_stream(paths, seed=1, ahead=0)
    batch = next(iter(stream))
    arrays, corpus = batch.arrays(), mapped(paths["corpus"])["text"]
    theirs = Collator(paths)(
        [
            {"query": q, "doc": d, "score": s}
            for q, d, s in zip(
                batch.groups.query, batch.groups.doc, batch.groups.score, strict=True
            )
        ]
    )
    for side in ("docs", "queries"):
        assert np.array_equal(arrays[f"{side}_ids"], theirs[side]["input_ids"].numpy())
    first = tokenizer.encode(corpus[int(batch.groups.doc[0, 0])]).ids
    assert arrays["docs_ids"][0][: len(first)].tolist() == first
    seen = stream.order.take(0, min(stream.order.groups, 1_000_000))
    assert len(np.unique(seen)) == len(seen)


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process, so that memory and first touches are that work's own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, ends within 50 s")
    parser.add_argument("--data", type=Path, help="keep the data in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run(Workspace(options.data or temporary), options.quick)


def run(workspace: Workspace, quick: bool) -> None:
    sizes = (200_000, 20_000, 100_000) if quick else (10_000_000, 500_000, 1_000_000)
    seconds = 6 if quick else 40
    began = time.perf_counter()
    world = make_world(workspace, *sizes)
    paths = paths_of(world)
    made = time.perf_counter() - began
    check(world, paths)  # compiles the kernels as well
    ours = apart(read_ours, paths, seconds)
    peer = apart(read_peer, paths, seconds / 2)
    wait = apart(waiting, paths, 4 if quick else 20)
    print(f"{sizes[0]:,} groups of {SIZE}, {sizes[1]:,} documents, made in {made:.0f} s")
    report(ours, peer, wait)


def report(ours: dict[str, float], peer: dict[str, float], wait: float) -> None:
    """Print the table and the JSON line."""
    ratio = ours["shuffled"] / peer["rate"]
    cost = ours["sequential"] / ours["shuffled"]
    name = "datasets + collator"
    rows: dict[str, tuple[float, dict[str, float], float | None, float | None, str]] = {
        "groups_per_s": (
            round(ours["shuffled"]),
            {name: round(peer["rate"])},
            round(ratio, 1),
            20,
            "groups of 16/s, texts as token ids, shuffled",
        ),
        "first_batch_s": (
            round(ours["first_batch_s"], 3),
            {name: round(peer["first_batch_s"], 3)},
            None,
            1,
            "s from opening to the first shuffled batch",
        ),
        "rss_growth_mb": (
            round(ours["own_mb"], 1),
            {name: round(peer["own_mb"], 1)},
            None,
            150,
            "MB of the process's own; pages of mapped files not counted",
        ),
        "mapped_pages_mb": (
            round(ours["mapped_mb"], 1),
            {},
            None,
            None,
            "MB of mapped files touched, the system's to take back",
        ),
        "shuffled_cost": (round(cost, 3), {}, None, 1.5, "time of shuffled / sequential order"),
        "data_wait": (round(wait, 5), {}, None, 0.01, "share of step time, 2-layer student"),
        "groups_per_s_without_texts": (
            round(ours["without_texts"]),
            {},
            None,
            None,
            "groups of 16/s, ids and scores only",
        ),
    }
    figures = {}
    for key, (value, peers, times, goal, unit) in rows.items():
        figure = {"ours": value, "peers": peers, "ratio": times, "goal": goal, "unit": unit}
        figures[key] = {k: v for k, v in figure.items() if v is not None}
        beside = ", ".join(f"{k} {v:,}" for k, v in peers.items())
        wanted = "" if goal is None else f"goal {goal}"
        print(f"{key:28} {value:>12,} {wanted:10} {unit}  {beside}")
    finish("stream", figures)


if __name__ == "__main__":
    main()
