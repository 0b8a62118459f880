"""The trainer beside a bare loop over tensors in memory, and beside CrossEncoderTrainer.

    python bench/trainer.py [--quick] [--data DIR]

The bare loop trains the same 2-layer student on the same batches with the same optimiser; it
neither reads, packs, logs nor saves. The two run in turn, the second goes first in the next
round, and a first round that warms memory and kernels is not counted.

CrossEncoderTrainer (sentence-transformers) trains the same 2-layer cross-encoder as we do, from the
same weights on the same batches; see `_cross_encoders.py`. Documents have 15 to 105 tokens, evenly
(passages of MS MARCO: a mean near 60, a standard deviation near 25).
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from _groups import MODEL, SIZE, World, make_world
from _report import figure, finish

from rankmill.mining.groups.format import Groups
from rankmill.mining.models.precision import device
from rankmill.mining.store import Workspace
from rankmill.training.loop import Training
from rankmill.training.losses import LOSSES, Loss
from rankmill.training.networks import Network
from rankmill.training.settings import Settings
from rankmill.training.students import parse_student

BATCH = 8


def bare_loop(
    batches: Any, network: Network, optimiser: Any, loss: Loss, compute: str = "bfloat16"
) -> list[float]:
    """Forward, backward, clip, step; returns seconds per step."""
    cast: dict[str, Any] = {"dtype": torch.bfloat16, "enabled": compute == "bfloat16"}
    seconds = []
    for texts, score in batches:
        began = time.perf_counter()
        with torch.autocast(device().type, **cast):
            f = network.scores(texts, SIZE)
        loss.values(f.float(), score).mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        float(norm)
        seconds.append(time.perf_counter() - began)
    return seconds


def beside_bare(world: World, steps: int, rounds: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (seconds per step of ours, of the bare loop, share of waiting)."""
    student, model = parse_student(f"bi_encoder(model={MODEL},layers=2)")
    loss = LOSSES.parse("kl")
    ours: list[float] = []
    bare: list[float] = []
    waited = 0.0
    for turn in range(rounds + 1):
        settings = Settings(
            documents=steps * BATCH * SIZE,
            batch=BATCH,
            query_length=16,
            doc_length=62,
            compute="bfloat16",
            seed=turn,
        )
        run = Training(student, model, loss, settings, Groups(world.groups), world.tokens)
        batches = [
            (
                {side: copy.deepcopy(p) for side, p in b.texts.items()},
                torch.tensor(b.groups.score).to(device()),
            )
            for b in run.open_stream(0)
        ]
        network = student.network(model, turn)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
        plain: list[float] = []
        if turn % 2:
            plain = bare_loop(batches, network, optimiser, loss)
        with tempfile.TemporaryDirectory() as scratch:
            run.run(Path(scratch))
        if not turn % 2:
            plain = bare_loop(batches, network, optimiser, loss)
        if turn:
            bare += plain[2:]
            ours += run.telemetry.timing["step_s"][2:]
            waited += sum(run.telemetry.timing["wait_s"][2:])
        assert np.isfinite(run.telemetry.rows["loss"]).all()
    return np.asarray(ours), np.asarray(bare), waited / sum(ours)


def content_check(world: World) -> tuple[float, int]:
    """Return what comparing all that training reads with its hashes takes: (seconds, bytes)."""
    read = (world.groups, *world.tokens.values())
    began = time.perf_counter()
    for artifact in read:
        for part in artifact.parts:
            artifact.check(part, 2, afresh=True)
    return time.perf_counter() - began, sum(artifact.bytes for artifact in read)


def cross_encoders(world: World, folder: Path, quick: bool) -> dict[str, Any]:
    """Return the figures of the race with CrossEncoderTrainer; says why where it cannot be run."""
    lacking = [n for n in ("datasets", "accelerate") if not importlib.util.find_spec(n)]
    if lacking:
        print(f"CrossEncoderTrainer not measured: {', '.join(lacking)} not installed")
        return {}
    from _cross_encoders import apart, compare

    steps, seeds = (5, 2) if quick else (40, 3)
    race = compare(world, folder, steps, seeds, None if not quick else 32)
    pairs = {name: BATCH * SIZE / s for name, s in race["step_s"].items()}
    same_seed, between, learnt = apart(race["curves"])
    print(
        f"CrossEncoderTrainer: {race['pairs']} pairs per forward pass (−1: all), {seeds} seeds of "
        f"{steps} steps; the loss falls by {learnt:.1%}"
    )
    ratio = pairs["ours"] / pairs["theirs"]
    return {
        "pairs_per_s": figure(
            pairs["ours"], {"CrossEncoderTrainer": pairs["theirs"]}, ratio, 1.5, "pairs/s, bfloat16"
        ),
        "curves_apart": {
            "ours": round(same_seed, 5),
            "peers": {"two seeds of one trainer": round(between, 5)},
            "ratio": round(same_seed / between, 4),
            "goal": 1,
            "unit": "nats, root mean square over steps, ours against theirs at the same seed",
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps, ends within 50 s")
    parser.add_argument("--data", type=Path, help="keep the data in this folder")
    options = parser.parse_args()
    steps, rounds = (5, 1) if options.quick else (30, 3)
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Workspace(options.data or temporary)
        world = make_world(
            workspace, 20_000, 5_000, 20_000, doc_words=(15, 105), vocabulary=400, taught=True
        )
        raced = cross_encoders(world, Path(temporary), options.quick)
        ours, bare, wait = beside_bare(world, steps, rounds)
        hashing, size = content_check(world)
        epoch = world.groups.rows / BATCH * float(np.median(ours))
    step, plain, documents = float(np.median(ours)), float(np.median(bare)), BATCH * SIZE
    figures = raced | {
        "step_s": {
            "ours": round(step, 4),
            "peers": {"bare loop": round(plain, 4)},
            "ratio": round(step / plain, 3),
            "goal": 1.03,
            "unit": f"s per step of {documents} documents, median",
        },
        "documents_per_s": {
            "ours": round(documents / step, 1),
            "peers": {"bare loop": round(documents / plain, 1)},
            "unit": "documents/s, bi-encoder, 2 layers of 384, 64 tokens, bfloat16",
        },
        "content_check": {
            "ours": round(hashing / epoch, 6),
            "peers": {},
            "goal": 0.02,
            "unit": f"share of an epoch of {epoch:,.0f} s, {size / hashing / 1e6:,.0f} MB/s hashed",
        },
        "data_wait": {"ours": round(wait, 5), "peers": {}, "goal": 0.01, "unit": "share of step"},
    }
    for key, row in figures.items():
        peers = ", ".join(f"{k} {v:,}" for k, v in row["peers"].items())
        beside = row.get("ratio", "")
        goal = f"goal {row['goal']}" if "goal" in row else ""
        print(f"{key:16} {row['ours']:>9,} {beside:>7} {goal:10} {row['unit']}  {peers}")
    finish("trainer", figures)


if __name__ == "__main__":
    main()
