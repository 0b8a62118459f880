"""BM25 mining: our batch top-k beside bm25s (Numba back end) and tantivy, on the same terms.

    python bench/bm25.py [--quick] [--data DIR] [--queries N]

`--data`: a collection in the BEIR layout (default ../shared/data/wiki30k-passages where it is,
otherwise a synthetic one). All engines index the terms of our analysis with k1=0.9 b=0.4; scores
are compared before anything is timed. tantivy's k1 and b are fixed at 1.2 and 0.75, so it is timed
but not compared; PISA needs Java and is left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from _report import best_of, figure, finish
from peers import CORES, K1, B, bm25s_engine, check, race, tantivy_engine, with_threads

from rankmill.mining.search.bm25 import Batch, Searcher
from rankmill.mining.search.postings import Block, invert_texts
from rankmill.mining.text.analysis import analyse, text_buffers
from rankmill.mining.text.word_break import lower_case_map, word_break_classes
from rankmill.native.postings import BLOCK
from rankmill.native.words import tokenise

DEFAULT = Path(__file__).resolve().parents[2] / "shared/data/wiki30k-passages"


class Index:
    """What a `Searcher` needs of an index, in memory."""

    def __init__(self, texts: list[str]):
        self.blocks, self.filled, self.words = [], 0, 0
        for start in range(0, len(texts), BLOCK):
            part = pa.array(texts[start : start + BLOCK], pa.large_string())
            table, filled, words = invert_texts(part)
            self.blocks.append(Block(start, len(part), table))
            self.filled, self.words = self.filled + filled, self.words + words
        self.documents = len(texts)
        self.average_length = self.words / max(self.filled, 1)


def read(folder: Path | None, docs: int, queries: int) -> tuple[list[str], list[str]]:
    """Return texts of documents and of queries."""
    if folder is None:
        return synthetic(docs, queries)
    texts, asked = [], []
    with gzip.open(folder / "corpus.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            texts.append(f"{row.get('title') or ''} {row['text']}".strip())
            if len(texts) == docs:
                break
    with open(folder / "queries.jsonl") as lines:
        asked = [json.loads(line)["text"] for line in lines]
    return texts, asked[:: max(1, len(asked) // queries)][:queries]


def synthetic(docs: int, queries: int) -> tuple[list[str], list[str]]:
    rng = np.random.Generator(np.random.Philox(7))
    rank = np.minimum(rng.zipf(1.2, size=docs * 50), 500_000)
    words = np.array([f"w{r}" for r in range(500_001)])
    texts = [" ".join(words[rank[i * 50 : i * 50 + 50]]) for i in range(docs)]
    asked = []
    for doc in rng.integers(0, docs, queries):
        own = rank[doc * 50 : doc * 50 + 50]
        asked.append(" ".join(words[rng.choice(own, 8)]))
    return texts, asked


def analysis_speed(texts: list[str]) -> tuple[float, float]:
    """Return (MB/s of the tokenising kernel, MB/s from text to postings), one core."""
    column = pa.array(texts[:BLOCK], pa.large_string())
    data, bounds = text_buffers(column)
    size = float(bounds[-1]) / 1e6
    tables = word_break_classes(), lower_case_map()
    return size / best_of(3, lambda: tokenise(data, bounds, *tables, True, False)), size / best_of(
        2, lambda: invert_texts(column)
    )


def bm25s_text_speed(texts: list[str]) -> float:
    """Return MB/s of bm25s from text to index: its tokenizer with PyStemmer, and its index."""
    import bm25s
    import Stemmer

    some = texts[: BLOCK // 2]
    start = time.perf_counter()
    tokens = bm25s.tokenize(
        some, stopwords="en", stemmer=Stemmer.Stemmer("porter"), show_progress=False
    )
    bm25s.BM25(method="lucene", backend="numba").index(tokens, show_progress=False)
    return sum(len(t.encode()) for t in some) / 1e6 / (time.perf_counter() - start)


def tantivy_text_speed(texts: list[str]) -> float:
    """Return MB/s of tantivy from text to index on one thread, with its English stemmer."""
    import tantivy

    some = texts[: BLOCK // 2]
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("t", tokenizer_name="en_stem", index_option="freq")
    engine = tantivy.Index(builder.build())
    start = time.perf_counter()
    writer = engine.writer(heap_size=500_000_000, num_threads=1)
    for text in some:
        writer.add_document(tantivy.Document(t=text))
    writer.commit()
    writer.wait_merging_threads()
    return sum(len(t.encode()) for t in some) / 1e6 / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer documents")
    parser.add_argument("--data", type=Path, help="a folder in the BEIR layout")
    parser.add_argument("--queries", type=int, default=100_000, help="at most so many")
    options = parser.parse_args()
    folder = options.data or (DEFAULT if DEFAULT.is_dir() else None)
    docs, limit = (60_000, 1_000) if options.quick else (10_000_000, options.queries)
    if folder is None:
        docs, limit = min(docs, 200_000), min(limit, 4_000)
    texts, asked = read(folder, docs, limit)

    start = time.perf_counter()
    small = Index(texts[:100])
    batch = Batch.of(analyse(pa.array(asked[:10], pa.large_string())))
    Searcher(cast(Any, small), batch, K1, B).search(10)
    compiled = time.perf_counter() - start
    start = time.perf_counter()
    index = Index(texts)
    built = time.perf_counter() - start
    analysed = analyse(pa.array(asked, pa.large_string()))
    batch = Batch.of(analysed)
    searcher = Searcher(cast(Any, index), batch, K1, B)
    postings = float(searcher.postings_per_query().mean())
    print(f"{len(texts):,} documents, {len(asked):,} queries, {postings:,.0f} postings a query")
    print(f"first call (compiling or loading the cache) {compiled:.1f} s, index {built:.1f} s")

    terms = analysed.rows()
    figures: dict[str, Any] = {}
    add(figures, "first_call", {"ours": compiled}, 15, "s")
    seconds, bm25s = bm25s_engine(index, terms)
    peers = {"bm25s": bm25s}
    print(f"bm25s: index of ready terms {seconds:.1f} s")
    for k in (100, 1000):
        check(searcher, bm25s, k)
    if not options.quick:
        try:
            seconds, peers["tantivy"] = tantivy_engine(index, terms)
            print(f"tantivy: index of ready terms {seconds:.1f} s")
        except ImportError:
            print("tantivy is not installed")
    for threads in sorted({1, CORES}):
        for k in (100, 1000):
            runs = {"ours": with_threads(threads, partial(searcher.search, k))}
            for name, search in peers.items():
                if name != "tantivy" or threads == 1:
                    runs[name] = partial(search, k, threads)
            rate = {name: len(asked) / seconds for name, seconds in race(runs).items()}
            add(figures, f"qps_k{k}_{threads}thread{'s' * (threads > 1)}", rate, 3, "queries/s")
    kernel, whole = analysis_speed(texts)
    add(figures, "tokenise_per_core", {"ours": kernel}, 60, "MB/s")
    rate = {"ours": whole, "bm25s": bm25s_text_speed(texts)}
    try:
        rate["tantivy"] = tantivy_text_speed(texts)
    except ImportError:
        print("tantivy is not installed")
    add(figures, "text_to_index", rate, 2, "MB/s")
    finish("bm25", figures)


def add(figures: dict[str, Any], name: str, rate: dict[str, float], goal: float, unit: str) -> None:
    """Print a row and keep its figure; without peers the ratio is to the goal."""
    ours = rate.pop("ours")
    ratio = ours / max(rate.values()) if rate else ours / goal
    shown = "  ".join(f"{peer} {value:,.1f}" for peer, value in rate.items())
    print(f"{name:24} ours {ours:10,.1f} {unit:10} {shown:34} ratio {ratio:5.2f}  goal {goal}")
    figures[name] = figure(ours, rate, ratio, goal, unit)


if __name__ == "__main__":
    main()
