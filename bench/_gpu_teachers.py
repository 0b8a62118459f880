"""Sections of the GPU bench: rates of the machine, and teachers beside their peers."""

from __future__ import annotations

import itertools
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _gpu import Bench
from _gpu_models import LENGTH, SHAPES, Peer, Shape, dense_weights, peer_of, write

from rankmill.mining.models.folder import resolve
from rankmill.mining.models.passes.attention import attend
from rankmill.mining.models.passes.layouts import Layout
from rankmill.mining.models.passes.varlen import has_varlen, lacking
from rankmill.mining.models.tokens import TokenStore, tokens_of
from rankmill.mining.store import Workspace
from rankmill.mining.teachers.causal_lm import CausalLm
from rankmill.mining.teachers.reading import PairScorer, Reading

BIG = "bge-reranker-v2-m3"


def machine_rates(bench: Bench) -> None:
    """Copying in device memory and square matrix products, TF32 off."""
    import torch

    source = torch.empty(bench.sizes.copied, dtype=torch.float32, device=bench.device)
    target = torch.empty_like(source)
    copy = partial(target.copy_, source)
    copy()
    bench.add("copy", 2 * source.numel() * 4 / bench.best(copy) / 1e9, "GB/s, read and written")
    for name in ("fp32", "bf16"):
        bench.add(f"matrix_{name}", bench.rate(name) / 1e12, "TFLOP/s")


def attention(bench: Bench) -> None:
    """One call for all sequences beside calls by length in float32, and in other company."""
    import torch

    rng = np.random.Generator(np.random.Philox(7))
    length = rng.integers(1, 40 if bench.sizes.dry else 400, 12 if bench.sizes.dry else 60)
    start = np.cumsum(length) - length
    tokens = int(length.sum()) + 5
    nothing = np.zeros_like(length)
    beginning = np.arange(len(length)) % 4 == 0  # the others see the one before them as well
    head = np.maximum.accumulate(np.where(beginning, np.arange(len(length)), 0))
    shared = np.where(beginning, 0, start[head]), np.where(beginning, 0, length[head])
    worst, other = 0.0, 0
    drawn = [
        torch.from_numpy(rng.normal(size=(1, heads, tokens, 64)).astype(np.float32)).to(
            bench.device, torch.bfloat16
        )
        for heads in (8, 2, 2)
    ]
    if bench.device == "cuda":
        assert has_varlen(drawn[0]), lacking(drawn[0].device, torch.bfloat16)
    for causal, window, (at, before) in itertools.product(
        (False, True), (None, 65), ((nothing, nothing), shared)
    ):

        def attended(rows: Any, some: np.ndarray, how: Any = (causal, window, at, before)) -> Any:
            layout = Layout(start[some], length[some], how[2][some], how[3][some], how[0])
            said: dict[str, Any] = {"layout": layout, "scaling": 0.125, "sliding_window": how[1]}
            with torch.inference_mode():
                query, key, value = rows
                return attend(None, query, key, value, None, **said)[0][0]

        every = np.arange(len(length))
        once = attended(drawn, every)
        exact = attended([x.float() for x in drawn], every)
        worst = max(worst, float((once.float() - exact).abs().max()))
        few = every[head >= head[len(head) // 2]]
        alone = attended(drawn, few)
        low = int(start[few[0]])
        other += int((alone[low : tokens - 5] != once[low : tokens - 5]).any(dim=2).sum())
    bench.add("attention_differs", worst, "of values of size 1, from float32; at most 0.04")
    bench.add("attention_other_bits", other, "tokens that company changed; 0 wanted")
    # Weights and outputs are rounded to bfloat16 (2^-9 each), values reach 5.
    assert worst < 0.04, f"attention in one call differs by {worst:.2g}"
    assert other == 0, f"{other} tokens depend on other sequences"


class Teacher:
    """One shape: our scorers over the drawn texts, the time that tokenising took, the peer."""

    def __init__(self, bench: Bench, name: str):
        self.bench, self.name, self.shape = bench, name, SHAPES[name]
        dry = bench.sizes.dry
        self.folder = write(self.shape, bench.place / name, bench.device, dry=dry)
        self.model = resolve(self.folder)
        self.reading = _reading(self.shape, self.folder)
        began = time.perf_counter()
        self.stores = {role: self._tokens(role) for role in ("queries", "corpus")}
        texts = sum(store.rows for store in self.stores.values())
        self.tokenising = (time.perf_counter() - began) / texts  # 0 where another model had them

    def _tokens(self, role: str) -> Any:
        collection = self.bench.collection
        workspace = Workspace(self.bench.place / f"tokens-{self.name}")  # each pays for its own
        said = {"max_length": LENGTH} if self.reading is None else self.reading.way(role)
        return tokens_of(workspace, getattr(collection, role).artifact, self.model, **said)

    def scorer(self, compute: str) -> PairScorer:
        """Load the model in a precision."""
        queries, corpus = (str(self.stores[role].path) for role in ("queries", "corpus"))
        length = LENGTH if self.reading is None else self.reading.max_length
        said = (str(self.folder), self.model.fingerprint, queries, corpus, length, compute)
        return PairScorer(*said, self.reading)

    def peer(self, dtype: str, batch: int) -> Peer:
        """Load the peer in a precision."""
        return peer_of(self.shape, self.folder, self.bench.device, dtype, batch)

    def uncut(self, query: np.ndarray, doc: np.ndarray) -> np.ndarray:
        """Which pairs fit, whatever the peer cuts: bool [n]."""
        lengths = [
            TokenStore(self.stores[role]).lengths[side].astype(np.int64)
            for role, side in (("queries", query), ("corpus", doc))
        ]
        fixed = 8 if self.reading is None else self.reading.prompt.fixed + 8
        return np.asarray(sum(lengths) + fixed <= LENGTH)


def _reading(shape: Shape, folder: Path) -> Reading | None:
    if shape.prompt is None:
        return None
    value = CausalLm(str(folder), prompt=shape.prompt, yes="yes", no="no", max_length=LENGTH)
    return Reading.of(value.asked(resolve(folder)), resolve(folder))


def teacher(name: str, bench: Bench) -> None:
    """Compare a teacher with its peer in float32, then time both in bfloat16."""
    import torch

    one, sizes = Teacher(bench, name), bench.sizes
    query, doc = bench.pairs
    some = np.flatnonzero(one.uncut(query, doc))[: sizes.checked]
    few, texts = (query[some], doc[some]), bench.texts(len(query))
    half, known = _checked(one, few, [texts[at] for at in some])
    fast = partial(half.score, query, doc)

    sample = min(len(query), 8 * sizes.checked)
    took = bench.once(partial(half.score, query[:sample], doc[:sample]))
    number = bench.fitting(sample, took, len(query), 0.4, "pairs")
    fast = partial(half.score, query[:number], doc[:number])
    scored = fast()
    seconds = bench.best(fast)
    stored = number / seconds
    whole = number / (seconds + number * one.tokenising)
    theirs = one.peer("bfloat16", 8 if sizes.dry else 128)
    theirs(texts[:sample])
    took = bench.once(partial(theirs, texts[:sample]))
    most = bench.fitting(sample, took, number, 0.9, "of them by the peer")
    beside = most / (bench.best(partial(theirs, texts[:most])) if most > sample else took)

    lengths = scored.usage["tokens"] - scored.usage["padding"]
    print(f"  {number:,} pairs, {lengths / number:.0f} computed tokens each", flush=True)
    label = "padded_forward_pass" if one.shape.prompt else "CrossEncoder.predict"
    said = {f"{label}_bf16": beside}
    bench.add(f"pairs_{name}", whole, "pairs/s, tokenising included", one.shape.goal, **said)
    if one.shape.published:
        with_goal = ("pairs/s", one.shape.goal)
        bench.add(f"published_{name}", whole, *with_goal, published_on_one_H100=one.shape.published)
    bench.add(f"stored_{name}", stored, "pairs/s from the token store")
    flops, of = scored.usage.get("flops"), "weights and attention"
    if flops is None:  # not counted where some layers see a part of a text
        flops, of = 2.0 * dense_weights(one.folder) * lengths, "weights alone"
    share = flops / seconds / bench.rate("bf16")
    unit = f"share of the bf16 matrix rate, {of}"
    bench.add(f"utilisation_{name}", share, unit, 0.4 if name == BIG else None)
    alone = half.score(*few).scores  # in other company than before
    again = int((alone != known).sum())
    inside = int((scored.scores[some[some < number]] != known[some < number]).sum())
    bench.add(f"other_bits_{name}", again + inside, "scores that company changed; 0 wanted")
    torch.cuda.empty_cache()
    assert again + inside == 0, f"{again + inside} scores of {name} depend on their neighbours"


def _checked(
    one: Teacher, few: tuple[np.ndarray, np.ndarray], texts: list[tuple[str, str]]
) -> tuple[PairScorer, np.ndarray]:
    """Compare float32 with the peer and bfloat16 with that; returns the scorer in bfloat16 and
    its scores."""
    bench = one.bench
    expected = one.peer("float32", 8)(texts)
    ours = one.scorer("float32").score(*few).scores
    apart = float(np.abs(ours - expected).max())
    spread = float(expected.std())
    room = 0.02 * spread  # a wrong place, mask or text changes as much as another pair does
    half = one.scorer("bfloat16")
    known = half.score(*few).scores
    off = float(np.abs(known - ours).max())
    print(f"{one.name}: float32 differs by {apart:.1e}, bfloat16 by {off:.1e}, std {spread:.2g}")
    bench.add(f"differ_{one.name}", apart, f"logits of float32 from the peer's; at most {room:.1e}")
    assert apart <= room, f"{one.name}: logits differ by {apart:.2e}, more than {room:.1e}"
    assert np.isfinite(known).all(), f"{one.name}: bfloat16 gives what is not finite"
    return half, known
