"""BM25 at MS MARCO scale: a deterministic corpus written as a collection, indexed and mined.

    python bench/scale.py [--quick] [--data DIR] [--docs N …] [--sample N] [--peers]

Text has natural statistics: words by Zipf and Mandelbrot over 2.2 M forms, log-normal lengths
around 56 words. Queries hold 2 to 12 words of one document, the rarer ones more often. `--docs` are
the sizes of the curve (default 250,000 1,000,000 4,000,000 8,841,823; quick: 20,000 50,000); of
the 502,939 queries a sample (default 20,000) is mined and the time for all is extrapolated from it.
With `--peers` bm25s and tantivy search the largest size too.
Everything is kept under `--data` (default ./rankmill-scale) and found again by the next run.
"""

from __future__ import annotations

import argparse
import math
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from _memory import Watch
from _report import figure, finish

from rankmill.mining.collection import Collection, collect
from rankmill.mining.search.bm25 import Batch, Searcher
from rankmill.mining.search.postings import Postings, postings_of
from rankmill.mining.store import Workspace
from rankmill.mining.text.analysis import STOP_WORDS, analyse

FORMS, ALL_QUERIES, GROUP = 2_200_000, 502_939, 65_536
SIZES = (250_000, 1_000_000, 4_000_000, 8_841_823)


def forms() -> pa.Array:
    """Return the vocabulary: the stop words, then syllables by the digits of the rank."""
    syllables = np.array([c + v for c in "bcdfghjklmnprstvwz" for v in ("a", "e", "i", "o", "ué")])
    rank = np.arange(FORMS)
    words = syllables[rank % 90]
    for power in (90, 90**2, 90**3):
        words = np.where(rank >= power, np.char.add(words, syllables[rank // power % 90]), words)
    return pa.array([*STOP_WORDS, *words[len(STOP_WORDS) :].tolist()], pa.string())


def cumulated() -> np.ndarray:
    """Return the distribution function of ranks: (rank + 2.7)^-1.05, by Mandelbrot."""
    weight = (np.arange(FORMS) + 2.7) ** -1.05
    return np.cumsum(weight) / weight.sum()


def ranks_of(group: int, docs: int, distribution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (bounds, word ranks) of a group of documents, a function of its number alone."""
    rng = np.random.Generator(np.random.Philox(key=[20_261_120, group]))
    length = np.clip(np.exp(rng.normal(3.94, 0.42, GROUP)), 5, 400).astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(length)])
    ranks = np.searchsorted(distribution, rng.random(bounds[-1]))
    return bounds[: docs + 1], ranks[: bounds[docs]]


def joined(bounds: np.ndarray, ranks: np.ndarray, words: pa.Array) -> pa.Array:
    """Return the texts (large_string) of lists of word ranks."""
    lists = pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), words.take(pa.array(ranks)))
    return pc.binary_join(lists, " ").cast(pa.large_string())


def write_collection(folder: Path, docs: int, queries: int) -> None:
    """Write documents.parquet and queries.parquet, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = folder / "queries.parquet"
    words, distribution = forms(), cumulated()
    if not asked.exists():
        write_documents(folder / "documents.parquet", docs, words, distribution)
    if (
        not asked.exists()
        or "made_from" not in pq.read_schema(asked).names
        or (pq.read_metadata(asked).num_rows != queries)
    ):
        write_queries(asked, docs, queries, words, distribution)


def write_documents(path: Path, docs: int, words: pa.Array, distribution: np.ndarray) -> None:
    schema = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as out:
        for start in range(0, docs, GROUP):
            n = min(GROUP, docs - start)
            text = joined(*ranks_of(start // GROUP, n, distribution), words)
            ids = pa.array([f"d{i}" for i in range(start, start + n)])
            out.write_table(pa.Table.from_arrays([ids, text], schema=schema))


def write_queries(
    path: Path, docs: int, queries: int, words: pa.Array, distribution: np.ndarray
) -> None:
    rng = np.random.Generator(np.random.Philox(key=[20_261_120, 1 << 40]))
    bounds, ranks = ranks_of(0, min(GROUP, docs), distribution)
    asked, ends, docs_asked = [], [0], []
    for _ in range(queries):
        doc = int(rng.integers(0, len(bounds) - 1))
        docs_asked.append(f"d{doc}")
        own = np.sort(ranks[bounds[doc] : bounds[doc + 1]])[::-1]
        size = min(int(rng.integers(2, 13)), len(own))
        asked.append(own[np.sort((len(own) * rng.random(size) ** 3).astype(np.int64))])
        ends.append(ends[-1] + size)
    text = joined(np.array(ends), np.concatenate(asked), words).cast(pa.string())
    ids = pa.array([f"q{i}" for i in range(queries)])
    made = {"query_id": ids, "text": text, "made_from": docs_asked}
    pq.write_table(pa.table(made), path)


def measure(root: Path, docs: int, sample: int) -> dict[str, Any]:
    """Write, collect, index and mine one size; return seconds, bytes and memory."""
    folder = root / f"collection-{docs}"
    row: dict[str, Any] = {"docs": docs}

    def timed(name: str, work: Any) -> Any:
        start = time.perf_counter()
        result = work()
        row[name] = time.perf_counter() - start
        return result

    timed("write_s", lambda: write_collection(folder, docs, sample))
    workspace = Workspace(root / "work")
    collection: Collection = timed("collect_s", lambda: collect(workspace, f"parquet:{folder}"))
    with Watch() as building:
        artifact = timed("index_s", lambda: postings_of(workspace, collection.corpus))
    row["index_s"] = artifact.cost()["wall_s"]  # also where an earlier run has built it
    row["index_gb"], row["build_peak_gb"] = artifact.bytes / 1e9, building.most / 1e9
    index = Postings(artifact)
    texts = pa.array(collection.queries.texts(range(sample)), pa.large_string())
    with Watch() as searching:
        searcher = timed("open_s", lambda: Searcher(index, Batch.of(analyse(texts)), 0.9, 0.4))
        row["postings"] = float(searcher.postings_per_query().mean())
        for k in (200, 1000):
            if k <= docs:
                timed(f"k{k}_s", lambda k=k: searcher.search(k))
    row["peak_gb"] = max(building.most, searching.most) / 1e9
    return row


def beside_peers(root: Path, docs: int, sample: int) -> dict[str, Any]:
    """Return figures of one size, ours over the sample, the peers' over its first 1,000 queries.

    A batch is what ours is made for; the peers take one query after the other, so theirs say the
    same per query. Scores of the first are compared. All have searched once before the clock runs.
    """
    workspace = Workspace(root / "work")
    collection = collect(workspace, f"parquet:{root}/collection-{docs}")
    index = Postings(postings_of(workspace, collection.corpus))

    def analysed(queries: int) -> Any:
        texts = collection.queries.texts(range(min(queries, sample)))
        return analyse(pa.array(texts, pa.large_string()))

    few, first = analysed(1_000), Searcher(index, Batch.of(analysed(1_000)), peers.K1, peers.B)
    whole = Searcher(index, Batch.of(analysed(sample)), peers.K1, peers.B)
    seconds, bm25s = peers.bm25s_from_postings(first)
    print(f"bm25s: score matrix of the asked terms {seconds:.0f} s")
    peers.check(first, bm25s, 100)
    seconds, tantivy = peers.tantivy_engine(index, few.rows())
    print(f"tantivy: index of ready terms {seconds:.0f} s")
    whole.search(100)  # memory and index touched, block lengths counted; bm25s has searched above
    tantivy(100, 1)
    figures = {}
    for k, threads in product((100, 1000), sorted({1, peers.CORES})):
        runs = {"ours": peers.with_threads(threads, partial(whole.search, k))}
        runs["bm25s"] = partial(bm25s, k, threads)
        if threads == 1:
            runs["tantivy"] = partial(tantivy, k, 1)
        best = peers.race(runs, rounds=1)
        ours = sample / best.pop("ours")
        rate = {name: min(sample, 1_000) / s for name, s in best.items()}
        ratio = ours / max(rate.values())
        name = f"qps_k{k}_{threads}thread{'s' * (threads > 1)}"
        print(f"{name}: ours {ours:,.0f}, {rate}, ratio {ratio:.2f}")
        figures[name] = figure(ours, rate, ratio, 5, "queries/s")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small sizes")
    parser.add_argument("--data", type=Path, default=Path("rankmill-scale"))
    parser.add_argument("--docs", type=int, nargs="*", help="sizes of the curve")
    parser.add_argument("--sample", type=int, help="queries that are mined")
    parser.add_argument("--peers", action="store_true", help="compare on the largest size")
    options = parser.parse_args()
    sizes = options.docs or ((20_000, 50_000) if options.quick else SIZES)
    sample = options.sample or (500 if options.quick else 20_000)
    rows = []
    for docs in sizes:
        row = measure(options.data, docs, sample)
        rows.append(row)
        each = {k: row[f"k{k}_s"] / sample * 1e6 for k in (200, 1000)}
        print(
            f"{docs:10,} documents: write {row['write_s']:.0f} s, collect {row['collect_s']:.0f} s,"
            f" index {row['index_s']:.0f} s, {row['index_gb']:.2f} GB; {row['postings']:,.0f}"
            f" postings a query; k=200 {each[200]:,.0f} µs, k=1000 {each[1000]:,.0f} µs;"
            f" peak {row['peak_gb']:.1f} GB"
        )
    largest = rows[-1]
    minutes = {k: largest[f"k{k}_s"] / sample * ALL_QUERIES / 60 for k in (200, 1000)}
    print(f"all {ALL_QUERIES:,} queries, extrapolated from {sample:,}:", end=" ")
    print(f"k=200 {minutes[200]:.1f} min, k=1000 {minutes[1000]:.1f} min")
    figures = {
        "index_minutes": figure(largest["index_s"] / 60, {}, 0, 12, "min"),
        "index_size": figure(largest["index_gb"], {}, 0, 2.5, "GB"),
        "build_peak": figure(largest["build_peak_gb"], {}, 0, 6, "GB"),
        "all_k200": figure(minutes[200], {}, 0, 20, "min, extrapolated"),
        "all_k1000": figure(minutes[1000], {}, 0, 30, "min, extrapolated"),
    }
    if len(rows) > 1:
        slope = math.log(largest["k1000_s"] / rows[0]["k1000_s"]) / math.log(
            largest["docs"] / rows[0]["docs"]
        )
        print(f"time a query grows as documents^{slope:.2f}")
        figures["slope"] = figure(slope, {}, 0, 1, "exponent")
    if options.peers:
        figures |= beside_peers(options.data, sizes[-1], sample)
    figures["curve"] = figure(largest["docs"], {}, 0, SIZES[-1], "documents")
    finish("scale", figures)


if __name__ == "__main__":
    main()
