"""Other BM25 engines on the terms of our own index, for bm25.py and scale.py.

An engine is (seconds to index, search(k, threads)). bm25s gets k1=0.9 b=0.4 and returns scores
that are compared with ours; tantivy's k1 and b are fixed at 1.2 and 0.75, so it is only timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np

K1, B = 0.9, 0.4
CORES = int(numba.config.NUMBA_NUM_THREADS)
Engine = tuple[float, Callable[[int, int], Any]]


def vocabulary_of(index: Any) -> dict[str, int]:
    """Return the numbers of all terms of an index."""
    vocabulary: dict[str, int] = {}
    for block in index.blocks:
        for name in block.table["term"].to_pylist():
            vocabulary.setdefault(name, len(vocabulary))
    return vocabulary


def documents(index: Any, vocabulary: dict[str, int]) -> Iterator[list[int]]:
    """Yield every document as a list of term numbers."""
    for block in index.blocks:
        number = np.array([vocabulary[n] for n in block.table["term"].to_pylist()])
        term = np.repeat(np.repeat(number, np.diff(block.starts)), block.tf)
        doc = np.repeat(block.doc, block.tf)
        order = np.argsort(doc, kind="stable")
        ends = np.searchsorted(doc[order], np.arange(1, block.docs))
        yield from (part.tolist() for part in np.split(term[order], ends))


def bm25s_engine(index: Any, asked: list[list[str]]) -> Engine:
    """bm25s from lists of term numbers, as its users fill it."""
    import bm25s

    vocabulary = vocabulary_of(index)
    texts = list(documents(index, vocabulary))
    engine = bm25s.BM25(method="lucene", k1=K1, b=B, backend="numba")
    start = time.perf_counter()
    engine.index((texts, vocabulary), show_progress=False)
    seconds = time.perf_counter() - start
    queries = [[vocabulary[t] for t in query if t in vocabulary] for query in asked]
    return seconds, _retrieval(queries, engine.scores)


def bm25s_from_postings(searcher: Any) -> Engine:
    """bm25s on a score matrix filled from our postings of the asked terms.

    Its own index takes Python lists of all documents, more memory than 8.8 M passages leave.
    """
    start = time.perf_counter()
    index, batch = searcher.index, searcher.batch
    ends = np.concatenate([[0], np.cumsum(searcher.df)])
    data, indices = np.zeros(ends[-1], np.float32), np.zeros(ends[-1], np.int32)
    filled = ends[:-1].copy()
    for block, rows in zip(index.blocks, searcher.rows, strict=True):
        norm = searcher.norm(block)
        arrays = (block.starts, block.doc, block.tf, searcher.idf, norm, block.start)
        _fill(rows, *arrays, filled, indices, data)
    scores = {"data": data, "indices": indices, "indptr": ends, "num_docs": index.documents}
    terms = [np.repeat(*pair).tolist() for pair in _rows(batch)]
    return time.perf_counter() - start, _retrieval(terms, scores)


def _rows(batch: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for low, high in zip(batch.bounds[:-1], batch.bounds[1:], strict=True):
        yield batch.term[low:high], batch.count[low:high]


@numba.njit
def _fill(rows, starts, doc, tf, idf, norm, first, filled, indices, data):
    for t in range(rows.size):
        if rows[t] >= 0:
            for i in range(starts[rows[t]], starts[rows[t] + 1]):
                n, d = float(tf[i]), doc[i]
                indices[filled[t]], data[filled[t]] = first + d, idf[t] * n / (n + norm[d])
                filled[t] += 1


def _retrieval(queries: list[list[int]], scores: dict[str, Any]) -> Callable[[int, int], Any]:
    from bm25s.numba.retrieve_utils import _retrieve_numba_functional

    def search(k: int, threads: int) -> np.ndarray:
        return _retrieve_numba_functional(
            queries, scores, k=k, n_threads=threads, show_progress=False
        )[1]

    return search


def tantivy_engine(index: Any, asked: list[list[str]]) -> Engine:
    """tantivy with its own k1 and b; searches on one thread."""
    import tantivy

    vocabulary = vocabulary_of(index)
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("t", tokenizer_name="whitespace", index_option="freq")
    schema = builder.build()
    engine = tantivy.Index(schema)
    start = time.perf_counter()
    writer = engine.writer(heap_size=500_000_000, num_threads=CORES)
    for document in documents(index, vocabulary):
        writer.add_document(tantivy.Document(t=" ".join(map(str, document))))
    writer.commit()
    writer.wait_merging_threads()
    seconds = time.perf_counter() - start
    engine.reload()
    searcher = engine.searcher()
    term = tantivy.Query.term_query
    clauses = [
        [
            (tantivy.Occur.Should, term(schema, "t", str(vocabulary[t]), "freq"))
            for t in query
            if t in vocabulary
        ]
        for query in asked
    ]
    queries = [tantivy.Query.boolean_query(c) for c in clauses]

    def search(k: int, threads: int) -> None:
        for query in queries:
            searcher.search(query, k, count=False)

    return seconds, search


def check(searcher: Any, peer: Callable[[int, int], np.ndarray], k: int) -> None:
    """Stop unless both give the same scores for every query."""
    bounds, _, scores = searcher.search(k)
    for row, theirs in enumerate(peer(k, 1)):
        ours = scores[bounds[row] : bounds[row + 1]]
        if not np.allclose(ours, theirs[: len(ours)], rtol=1e-4):
            raise SystemExit(f"query {row}: our scores differ from the peer's at k={k}")


def with_threads(threads: int, run: Callable[[], object]) -> Callable[[], object]:
    """Return our search on a number of threads."""

    def limited() -> object:
        try:
            numba.config.NUMBA_NUM_THREADS = threads
            return run()
        finally:
            numba.config.NUMBA_NUM_THREADS = CORES

    return limited


def race(runs: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """Return each run's best seconds; they take turns, so that a busy machine hits all alike."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best
