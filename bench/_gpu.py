"""What the sections of the GPU bench share: sizes, a clock for each section, texts, figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from _report import figure
from teacher import draw_texts

from rankmill.mining.store import Workspace


@dataclass(frozen=True)
class Sizes:
    """How much of everything, at most: a section takes less where its time is short."""

    dry: bool = False
    times: int = 3  # that a measurement is repeated
    copied: int = 1 << 28  # float32
    fp32: int = 8192
    bf16: int = 16384
    checked: int = 128  # pairs that are compared with the peer before anything is timed
    queries: int = 512  # of 32 documents each
    docs: int = 2_000_000
    asked: int = 8192
    texts: int = 4096
    groups: int = 20_000
    steps: int = 60
    batch: int = 64
    scored: int = 96  # queries of the scores that 1 and 2 workers make


QUICK = Sizes(times=1, queries=64, docs=200_000, asked=2048, texts=1024, steps=10, scored=24)
DRY = Sizes(
    dry=True,
    times=1,
    copied=1 << 18,
    fp32=64,
    bf16=64,
    checked=6,
    queries=1,
    docs=80_000,
    asked=32,
    texts=16,
    groups=64,
    steps=3,
    batch=2,
    scored=2,
)


@dataclass
class Bench:
    """A run: where it writes, on which device, how much, the figures so far, and its clock."""

    place: Path
    device: str
    sizes: Sizes
    figures: dict[str, Any]
    rates: dict[str, float]  # FLOP/s by dtype, once they are measured
    cuts: dict[str, str]  # of a section: what it did less of than it wanted to
    section: str = ""
    ends: float = float("inf")  # of the section, on time.perf_counter

    def left(self) -> float:
        """Seconds that are left to the section."""
        return self.ends - time.perf_counter()

    def rest(self) -> None:
        """Wait until the device has done what it was given."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def rate(self, name: str) -> float:
        """Return the FLOP/s of a large matrix product in fp32 or bf16, measured once, TF32 off."""
        import torch

        if name not in self.rates:
            torch.set_float32_matmul_precision("highest")
            size = getattr(self.sizes, name)
            dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[name]
            a = torch.randn(size, size, dtype=torch.float32, device=self.device).to(dtype)
            torch.mm(a, a)
            self.rates[name] = 2 * size**3 / self.best(lambda: torch.mm(a, a))
        return self.rates[name]

    def tell_cut(self, what: str) -> None:
        """Keep what this section did less of."""
        said = self.cuts.get(self.section)
        if said is None or what not in said:
            self.cuts[self.section] = what if said is None else f"{said}; {what}"

    def once(self, work: Callable[[], Any]) -> float:
        """Return the seconds of one run, the device at rest before and after."""
        self.rest()
        began = time.perf_counter()
        work()
        self.rest()
        return time.perf_counter() - began

    def best(self, work: Callable[[], Any], share: float = 0.5) -> float:
        """Return the shortest time of a few runs, as many as fit a share of what is left."""
        until = time.perf_counter() + share * self.left()
        best = self.once(work)
        for done in range(1, self.sizes.times):
            if time.perf_counter() + best > until:
                self.tell_cut(f"{done} of {self.sizes.times} repetitions")
                break
            best = min(best, self.once(work))
        return best

    def fitting(self, done: int, took: float, most: int, share: float, what: str) -> int:
        """Return how many items fit a share of what is left, from how long `done` of them took: at
        least `done`, at most `most`; `what` names them where they are fewer than that."""
        runs = self.sizes.times + 1
        fit = max(done, int(min(most, done * share * self.left() / (runs * took))))
        if fit < most:
            self.tell_cut(f"{fit:,} of {most:,} {what}")
        return fit

    def add(
        self, name: str, ours: float, unit: str, goal: float | None = None, **peers: float
    ) -> None:
        """Keep a figure and print it; the ratio is to the first peer, none without one."""
        first = next(iter(peers.values()), None)
        ratio = 0.0 if first is None else ours / first
        named = {key.replace("_", " "): value for key, value in peers.items()}
        self.figures[name] = figure(ours, named, ratio, goal or 0, unit)
        beside = ", ".join(f"{key} {value:,.1f}" for key, value in named.items())
        wanted = f"; goal {goal}" if goal else ""
        said = f" ({beside}; ratio {ratio:.2f}{wanted})" if beside else wanted
        print(f"  {name:34} {ours:14,.4g} {unit}{said}", flush=True)
        if goal is None:
            del self.figures[name]["goal"]
        if first is None:
            self.figures[name] |= {"ours": float(f"{ours:.6g}"), "ratio": None}

    @cached_property
    def collection(self) -> Any:
        """Drawn queries with 32 documents each; one workspace, so that tokens are shared."""
        from rankmill.mining.collection import collect

        drawn = draw_texts(self.place / "drawn", self.sizes.queries, 8 if self.sizes.dry else 32)
        return collect(Workspace(self.place / "work"), f"beir:{drawn}")

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Query and document of every pair, query by query."""
        qrels = self.collection.qrels(self.collection.splits[0])
        return qrels.query.copy(), qrels.doc.copy()

    def texts(self, number: int) -> list[tuple[str, str]]:
        """The first pairs as texts."""
        query, doc = (side[:number] for side in self.pairs)
        queries, corpus = self.collection.queries, self.collection.corpus
        return list(zip(queries.texts(query), corpus.texts(doc), strict=True))
