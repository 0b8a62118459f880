"""Sections of the GPU bench: search, encoding, training, the stream, and workers on one GPU."""

from __future__ import annotations

import copy
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _gpu import Bench
from _gpu_models import SHAPES, first_layers, write
from _groups import SIZE, World, make_world
from dense import DrawnTexts, build
from teacher import BASE
from trainer import bare_loop

from rankmill.mining.actors import Execution
from rankmill.mining.groups.format import Groups
from rankmill.mining.models.encoders import EncodeWorker, settings_of
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.tokens import tokens_of
from rankmill.mining.models.vectors import Vectors
from rankmill.mining.search.dense import DenseWorker
from rankmill.mining.search.torch_product import nearest_torch
from rankmill.mining.store import Output, Shard, Workspace
from rankmill.mining.store.tables import CORPUS, QUERIES, vectors_schema
from rankmill.training.loop import Training
from rankmill.training.losses import LOSSES
from rankmill.training.settings import Settings
from rankmill.training.students import parse_student

WIDTH, DEPTH = 384, 200


# ---- search --------------------------------------------------------------------------------------


class OnDevice:
    """Unit vectors of normal components, drawn on the device."""

    def __init__(self, seed: int, device: str, width: int):
        self.seed, self.device, self.width = seed, device, width

    def __call__(self, shard: Shard) -> Output:
        import torch

        generator = torch.Generator(self.device).manual_seed(self.seed)
        rows = torch.randn(shard.stop, self.width, generator=generator, device=self.device)
        halves = torch.nn.functional.normalize(rows).half().cpu().numpy()
        column = pa.FixedSizeListArray.from_arrays(pa.array(halves.ravel()), self.width)
        return Output(pa.Table.from_arrays([column], schema=vectors_schema(self.width, "float16")))


class Blank:
    """Documents of one letter: a search asks only which are empty."""

    def __init__(self, columns: pa.Schema):
        self.schema = columns

    def __call__(self, shard: Shard) -> Output:
        ids = pa.array(np.arange(shard.stop)).cast(pa.string())
        texts = pa.array(["-"]).take(pa.array(np.zeros(shard.stop, np.int8)))
        return Output(pa.Table.from_arrays([ids, texts], self.schema.names).cast(self.schema))


def search(bench: Bench) -> None:
    """Lists against products in float64, then exact search beside float32 and FAISS."""
    workspace, docs, asked = Workspace(bench.place / "search"), bench.sizes.docs, bench.sizes.asked
    schema, width = vectors_schema(WIDTH, "float16"), min(DEPTH, bench.sizes.docs // 10)
    made = [
        build(workspace, "vectors", schema, rows, WIDTH, OnDevice, seed=seed, device=bench.device)
        for rows, seed in ((docs, 1), (asked, 2))
    ]
    corpus = build(workspace, "corpus", CORPUS, docs, WIDTH, Blank, columns=CORPUS)
    stored, queries = Vectors(made[0]), Vectors(made[1]).rows(np.arange(asked))
    _exact(stored, queries[:64], width, bench.device)
    near = partial(nearest_torch, queries, stored, width, bench.device, narrow=True)
    near()
    seconds = bench.best(near, 0.2)
    plain = partial(nearest_torch, queries, stored, width, bench.device, narrow=False)
    plain()
    beside = {"torch_float32": asked / bench.best(plain, 0.3)}
    flat = _faiss(bench, stored, queries, width)
    beside |= {} if flat is None else {"GpuIndexFlatIP": flat}
    print(f"search of {docs:,} x {WIDTH}, k={width}; FAISS on GPUs: {flat is not None}")
    bench.add("search", asked / seconds, "queries/s, proposals", None, **beside)
    share = 2 * asked * docs * WIDTH / seconds / bench.rate("bf16")
    bench.add("search_share", share, "share of the bf16 matrix rate", 0.6)
    everyone = np.arange(asked, dtype=np.uint32)
    paths = (str(made[1].path), str(made[0].path), str(corpus.path))
    worker = DenseWorker(*paths, everyone, width, bench.device)
    shard = Shard(0, 0, min(asked, 2048))
    worker(shard)
    whole = shard.stop / bench.best(partial(worker, shard), 0.5)
    peers = {} if flat is None else {"GpuIndexFlatIP": flat}
    bench.add("search_whole", whole, "queries/s, canonical scores and proof too", 2, **peers)


def _exact(stored: Vectors, queries: np.ndarray, width: int, device: str) -> None:
    """Compare the lists of a few queries with products in float64."""
    import torch

    score, nearest = nearest_torch(queries, stored, width, device, narrow=True)
    asked = torch.from_numpy(queries).to(device).double()
    rows = [
        asked @ torch.from_numpy(stored.part(part)[low:high].copy()).to(device).double().T
        for part, low, high in stored.blocks(1 << 16)
    ]
    exact = torch.cat(rows, 1)
    least = exact.topk(width, dim=1).values[:, -1:].cpu().numpy()
    inside = exact.gather(1, torch.from_numpy(nearest).to(device)).cpu().numpy()
    assert [len(set(row)) for row in nearest.tolist()] == [width] * len(queries)
    assert (inside >= least - 1e-5).all(), "a list lacks a document that belongs to it"
    assert np.abs(inside - score).max() < 1e-5


def _faiss(bench: Bench, stored: Vectors, queries: np.ndarray, width: int) -> float | None:
    """Return queries/s of FAISS's flat index on one GPU, None where FAISS knows none."""
    import faiss

    if not getattr(faiss, "get_num_gpus", lambda: 0)():
        return None
    index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), WIDTH)
    for part, low, high in stored.blocks(1 << 18):
        index.add(stored.part(part)[low:high].astype(np.float32))
    call = partial(index.search, queries, width)
    call()
    return len(queries) / bench.best(call, 0.3)


# ---- encoding ------------------------------------------------------------------------------------


def encoding(bench: Bench) -> None:
    """Vectors beside `SentenceTransformer.encode`'s, then texts/s, tokenising included on both."""
    from sentence_transformers import SentenceTransformer

    model = resolve(_encoder(bench))
    workspace, rows = Workspace(bench.place / "encoding"), bench.sizes.texts
    texts = build(workspace, "queries", QUERIES, rows, WIDTH, DrawnTexts, columns=QUERIES)
    listed = texts.table(0)["text"].to_pylist()
    began = time.perf_counter()
    tokens = tokens_of(workspace, texts, model)
    tokenising = time.perf_counter() - began
    theirs = SentenceTransformer(str(model.path), device=bench.device)
    theirs.max_seq_length = 64
    call = partial(theirs.encode, listed, show_progress_bar=False, batch_size=256)
    expected = call()
    theirs.bfloat16()
    call()
    rate = rows / bench.best(call, 0.3)
    for compute, least in (("float32", 1 - 1e-5), ("bfloat16", 0.99)):
        settings = settings_of(model, max_length=64)
        options = (str(model.path), model.fingerprint, str(tokens.path), settings, compute)
        work = partial(EncodeWorker(*options, "float32"), Shard(0, 0, rows))
        vectors = work().table["vector"].combine_chunks().flatten().to_numpy().reshape(rows, -1)
        cosine = float((vectors * expected).sum(1).min())
        assert cosine > least, f"{compute}: the smallest cosine is {cosine}"
        ours = rows / (bench.best(work, 0.3) + tokenising)
        goal = 3 if compute == "bfloat16" else None
        peers = {"SentenceTransformer.encode_bf16": rate}
        bench.add(f"encode_{compute}", ours, "texts/s", goal, **peers)


def _encoder(bench: Bench) -> Path | str:
    if not bench.sizes.dry:
        return BASE
    place = bench.place / "one-layer"
    return place if place.exists() else first_layers(place, 1)


# ---- training ------------------------------------------------------------------------------------


def training(bench: Bench) -> None:
    """Two students beside a plain loop over the same batches; how fast a stream can feed them."""
    groups = bench.sizes.groups
    words: dict[str, Any] = {"doc_words": (4, 9)} if bench.sizes.dry else {}
    world = make_world(Workspace(bench.place / "groups"), groups, 2 * groups, groups, **words)
    for kind, more in (("bi_encoder", ""), ("cross_encoder", ",labels=1")):
        _student(bench, world, kind, more)


def _student(bench: Bench, world: World, kind: str, more: str) -> None:
    sizes = bench.sizes
    cut = ",layers=1" if sizes.dry else ""
    student, model = parse_student(f"{kind}(model={BASE}{cut}{more})")
    loss = LOSSES.parse("kl")
    compute = "float32" if sizes.dry else "bfloat16"  # that is slow on some processors

    def run_of(steps: int) -> Training:
        settings = Settings(
            documents=steps * sizes.batch * SIZE,
            batch=sizes.batch,
            query_length=16,
            doc_length=92,
            compute=compute,
        )
        return Training(student, model, loss, settings, Groups(world.groups), world.tokens)

    run = run_of(sizes.steps)
    batches = _batches(run, max(3, sizes.steps // 3), bench.device)
    with tempfile.TemporaryDirectory() as scratch:
        run.run(Path(scratch))
    timing, rows = run.telemetry.timing, run.telemetry.rows
    assert np.isfinite(rows["loss"]).all(), f"{kind}: the loss is not finite"
    by_hand = _loss(student.network(model, 0), batches[0], loss, compute, bench.device)
    off = abs(by_hand - rows["loss"][0])
    assert off < 0.02 * max(1.0, abs(by_hand)), f"{kind}: {by_hand}, in training {rows['loss'][0]}"
    bare = _bare(student.network(model, 0), batches, loss, compute)
    warm = min(2, len(timing["step_s"]) - 1)
    step = float(np.median(timing["step_s"][warm:]))
    tokens = float(np.mean(rows["tokens"]))
    waited = sum(timing["wait_s"][warm:]) / sum(timing["step_s"][warm:])
    fed = _fed(run_of(sizes.steps * 50), 0.1 if sizes.dry else min(3.0, 0.1 * bench.left()))
    print(f"{kind}: steps of {sizes.batch * SIZE:,} documents, {tokens:,.0f} tokens")
    bench.add(f"steps_{kind}", 1 / step, "steps/s", 0.97, plain_loop=1 / bare)
    bench.add(f"tokens_{kind}", tokens / step, "tokens/s")
    bench.add(f"waiting_{kind}", waited, "share of step time; at most 0.01")
    taken = {"groups_that_training_takes": sizes.batch / step}
    bench.add(f"stream_{kind}", fed, "groups/s that the stream can feed", 2, **taken)


def _batches(run: Training, number: int, device: str) -> list[tuple[Any, Any]]:
    """Return the first batches of a run, each with memory of its own: (texts, scores)."""
    import torch

    batches = []
    for batch in run.open_stream(0):
        texts = {side: copy.deepcopy(packed) for side, packed in batch.texts.items()}
        batches.append((texts, torch.tensor(batch.groups.score).to(device)))
        if len(batches) == number:
            break
    return batches


def _loss(network: Any, batch: Any, loss: Any, compute: str, device: str) -> float:
    """Return the loss of a batch, by hand."""
    import torch

    cast: dict[str, Any] = {"dtype": torch.bfloat16, "enabled": compute == "bfloat16"}
    with torch.no_grad(), torch.autocast(device, **cast):
        f = network.scores(batch[0], SIZE)
    return float(loss.values(f.float(), batch[1]).mean())


def _bare(network: Any, batches: Any, loss: Any, compute: str) -> float:
    """Return the median seconds per step of the plain loop, without its first two."""
    import torch

    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
    return float(np.median(bare_loop(batches, network, optimiser, loss, compute)[2:]))


def _fed(run: Training, seconds: float) -> float:
    """Return the groups per second of a stream that nobody trains on."""
    seen, began = 0, time.perf_counter()
    for batch in run.open_stream(0):
        seen += len(batch)
        if time.perf_counter() - began > seconds:
            break
    return seen / (time.perf_counter() - began)


# ---- workers -------------------------------------------------------------------------------------


def workers(bench: Bench) -> None:
    """Scores made in this process, by 1 and by 2 actors that share the GPU: one root hash."""
    import ray
    from teacher import draw_texts

    from rankmill.mining.collection import collect
    from rankmill.mining.sources import mine
    from rankmill.mining.teachers import score_pool
    from rankmill.mining.teachers import scores as score_module

    score_module._SHARD_WORK = 1 << 11 if bench.sizes.dry else 1 << 16  # several shards
    folder = write(SHAPES["minilm-l6"], bench.place / "w" / "m", bench.device, dry=bench.sizes.dry)
    drawn = draw_texts(bench.place / "few", bench.sizes.scored, 16)
    os.environ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] = "1"  # both see the one GPU
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    gpus = 2 if bench.device == "cuda" else 0
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # ports on loopback only
    session = tempfile.TemporaryDirectory(prefix="rb-", ignore_cleanup_errors=True)
    ray.init(
        address="local",
        num_cpus=max(2, (os.cpu_count() or 2) // 2),
        num_gpus=gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200 * 1024**2,
        _temp_dir=session.name,
    )
    hashes: dict[int, str] = {}
    try:
        for number in (0, 1, 2):
            workspace = Workspace(bench.place / f"by-{number}")
            collection = collect(workspace, f"beir:{drawn}")
            split = collection.splits[0]
            run = mine(workspace, "random", collection, split, depth=24 if bench.sizes.dry else 64)
            teacher = f"cross_encoder(model={folder},max_length=128,compute=bfloat16)"
            scores = score_pool(workspace, teacher, run, executor=Execution(workers=number))
            hashes[number] = scores.root_hash
            print(f"  {number} workers: {len(scores.parts)} parts, {scores.root_hash[:16]}")
    finally:
        ray.shutdown()
        session.cleanup()
    bench.add("root_hashes", len(set(hashes.values())), "by 0, 1 and 2 workers; 1 wanted", 1)
    assert len(set(hashes.values())) == 1, f"root hashes differ: {hashes}"
    assert len(scores.parts) > 1, "one shard only: nothing was shared out"
