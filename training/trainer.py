"""Training a student on groups: one loop, exact resume, every step logged.

The budget is in documents seen (groups × documents per group, accumulation counted). Whatever the
loop needs at a step (groups, learning rate, dropout) is a function of the step and the seed, so a
checkpoint is weights, optimiser and a number, and a resumed run goes on bit for bit (one processor
family, one thread count).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from ..mining.actors import INLINE, Execution
from ..mining.collection import Collection
from ..mining.draws import key_of
from ..mining.errors import RankmillError, UsageError
from ..mining.groups import Groups
from ..mining.models import COMPUTE, ModelFolder, device
from ..mining.store import Artifact, Workspace, files, fingerprint_of
from ..mining.text.tokens import tokens_of
from .checkpoints import load_checkpoint, save_checkpoint
from .losses import LOSSES, Loss
from .networks import Network
from .packing import Limits, TokenColumns
from .processes import Processes
from .stream import ContentCheck, GroupStream
from .students import Student, label_of, parse_student
from .telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything of a training run that can change the student, besides student, groups and loss.

    `documents`: the budget, documents seen. `batch`: groups per optimiser step. `micro`: groups per
    forward pass of a process (None: the whole batch). `warmup`: share of the steps with a rising
    learning rate, which then falls linearly to 0. `clip`: largest gradient norm (0: no clipping).
    `query_length`, `doc_length`: tokens without special ones. `negatives`: how many of a group are
    used, drawn anew each epoch (None: all). `compute`: float32, or bfloat16 autocast.
    """

    documents: int = 100_000
    batch: int = 16
    micro: int | None = None
    lr: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    query_length: int = 32
    doc_length: int = 128
    negatives: int | None = None
    compute: str = "float32"

    def __post_init__(self) -> None:
        for name in ("documents", "batch", "lr"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)} is not positive")
        if not 0 <= self.warmup <= 1:
            raise UsageError(f"warmup={self.warmup} is not a share of the steps (0 to 1)")
        if self.clip < 0 or self.weight_decay < 0:
            raise UsageError(f"clip={self.clip}, weight_decay={self.weight_decay} is negative")
        if self.micro is not None and self.micro < 1:
            raise UsageError(f"micro={self.micro}", do="give at least one group per forward pass")
        if self.compute not in COMPUTE:
            raise UsageError(f"compute={self.compute} is not one of {', '.join(COMPUTE)}")

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the rate of a step (0 … steps−1): linear up, linear down to 0 after the last."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * (steps - step) / max(1, steps - rising)


def train_student(
    workspace: Workspace,
    student: str | Student,
    groups: Artifact | str,
    *,
    collection: Collection | Artifact | str,
    loss: str | Loss = "kl",
    checkpoint_steps: int | None = None,
    checkpoint_s: float = 60.0,
    how: Execution = INLINE,
    **settings: Any,
) -> Artifact:
    """Train a student on a groups artifact, or find the trained one; returns a "student" artifact.

    `settings` are the fields of `Settings`. The artifact holds `model/` (loads in transformers and
    sentence-transformers), `telemetry.arrow` (one row per step) and `card.json`; `timing.arrow`
    stands beside them, outside the hash. A run that was killed goes on from its last checkpoint:
    one every `checkpoint_steps` steps or `checkpoint_s` seconds. Under torchrun all processes call
    this with the same arguments and share every batch.

    Raises UsageError for settings that do not fit, BadInput for unusable inputs, RankmillError when
    the loss stops being a number.
    """
    chosen, objective = Settings(**settings), LOSSES.parse(loss)
    value, model = parse_student(student)
    stored = Groups.open(workspace, groups)
    objective.check(stored.kind)
    held = Collection.open(workspace, collection)
    limits = Limits(chosen.query_length, chosen.doc_length)
    length = max(limits.query_length, limits.doc_length) + 8
    texts = {"queries": held.queries.artifact, "corpus": held.corpus.artifact}
    processes = Processes.here()
    tokens = processes.first(
        lambda: {
            role: tokens_of(workspace, artifact, model, max_length=length, how=how)
            for role, artifact in texts.items()
        }
    )
    run = Training(value, model, objective, chosen, stored, tokens, processes)
    run.checkpoint_steps, run.checkpoint_s = checkpoint_steps, checkpoint_s
    parameters = {
        "student": label_of(value, model),
        "model": model.fingerprint,
        "loss": str(objective),
        **asdict(chosen),
    }

    inputs = {"groups": stored.artifact, **texts}
    identity = fingerprint_of("student", parameters, inputs)

    def write(folder: Path, scratch: Path) -> Mapping[str, float]:
        how.progress.begin("student", "documents", 1, 0, run.documents)
        try:
            usage = run.run(scratch, how)
            run.save(folder, parameters)
            files.write_arrow(workspace.folder("student", identity) / "timing.arrow", run.timing())
            return usage
        finally:
            how.progress.end()

    return processes.build(workspace, "student", parameters, inputs, write, run.follow)


class Training:
    """One training run: what it is made of, and the loop."""

    def __init__(
        self,
        student: Student,
        model: ModelFolder,
        loss: Loss,
        settings: Settings,
        groups: Groups,
        tokens: Mapping[str, Artifact],
        processes: Processes,
    ):
        self.student, self.model, self.loss, self.settings = student, model, loss, settings
        self.groups, self.tokens, self.processes = groups, tokens, processes
        self.checkpoint_steps: int | None = None
        self.checkpoint_s = 60.0
        self.limits = Limits(settings.query_length, settings.doc_length)
        self.telemetry = Telemetry()
        self.network: Network | None = None
        size = groups.size if settings.negatives is None else settings.negatives + 1
        self.size = size
        self.positions = max(1, math.ceil(settings.documents / size))  # groups seen in all
        self.steps = math.ceil(self.positions / settings.batch)
        share = -(-settings.batch // processes.world)
        self.micro = (settings.micro or share) * processes.world
        if settings.batch % self.micro and settings.batch > self.micro:
            raise UsageError(
                f"batch={settings.batch} is not a multiple of {self.micro} groups at a time",
                where=f"micro={settings.micro}, {processes.world} processes",
                do="choose micro so that micro × processes divides batch",
            )

    @property
    def documents(self) -> int:
        """Documents seen in all: the budget, rounded up to whole groups."""
        return self.positions * self.size

    def run(self, scratch: Path, how: Execution = INLINE) -> dict[str, float]:
        """Train from the last checkpoint in `scratch` to the end; returns the usage."""
        s, here = self.settings, device()
        self.network = network = self.student.network(self.model, s.seed)
        optimiser = _adamw(network, s)
        done, rows = load_checkpoint(scratch, network, optimiser)
        self.telemetry = Telemetry(rows)
        check = ContentCheck(self.groups.artifact, *self.tokens.values())
        stream = self._stream(done * s.batch)
        autocast = _autocast(s.compute, here)
        began = saved = time.perf_counter()
        totals = _Totals(here)
        for batch in stream:
            # ---- one forward and backward pass; gradients add up over the step
            step = (stream.position - 1) // s.batch
            end = min((step + 1) * s.batch, self.positions)
            if len(batch):
                if network.training:  # dropout is a function of seed and position
                    torch.manual_seed(key_of(s.seed, "dropout", batch.start))
                with autocast():
                    f = self._scores(network, batch)
                g = torch.from_numpy(batch.groups.score).to(here)
                values, floor = self.loss.values(f, g), self.loss.floor(g)
                (values.sum() / (end - step * s.batch)).backward()
                totals.add(batch, values, floor, f[:, : self.size])
            if stream.position < end:
                continue
            # ---- one optimiser step
            self.processes.add_up([p.grad for p in network.parameters() if p.grad is not None])
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), s.clip or math.inf)
            rate = s.learning_rate(step, self.steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            row = totals.close(self.processes)
            if not math.isfinite(row["loss"] + float(norm)):
                raise _not_a_number(step, row["loss"], float(norm))
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            # ---- what happened
            now = time.perf_counter()
            self.telemetry.add(
                row | {"step": step, "documents": end * self.size, "gradient_norm": float(norm)},
                lr=rate,
                timing={"step_s": now - began, "wait_s": stream.waited_s, "cells": row["cells"]},
            )
            how.progress.advance((end - step * s.batch) * self.size, {"tokens": row["tokens"]})
            began, stream.waited_s = now, 0.0
            if step + 1 < self.steps and self._due(step + 1, now - saved):
                check.result()
                if self.processes.rank == 0:
                    save_checkpoint(scratch, step + 1, network, optimiser, self.telemetry.rows)
                saved = time.perf_counter()
        check.result(wait=True)
        return self.telemetry.usage()

    def save(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        """Write the checkpoint, the telemetry and the card of a finished run."""
        assert self.network is not None
        length = self.student.max_length(self.model, self.limits)
        self.network.save(files.make_folder(folder / "model"), self.model, length)
        files.write_arrow(folder / "telemetry.arrow", self.telemetry.table())
        card = {
            **parameters,
            "score_kind": self.student.score_kind,
            "teacher_score_kind": self.groups.kind,
            "groups": self.groups.artifact.root_hash,
            "group_size": self.size,
            "max_length": length,
            "steps": self.steps,
            "documents_seen": self.documents,
            "unique_pairs": len(self.groups) * self.groups.size,
            "epochs": round(self.positions / len(self.groups), 4),
            **self.telemetry.summary(),
        }
        data = json.dumps(card, indent=1, sort_keys=True).encode()
        files.write_bytes(folder / "card.json", data + b"\n", mode=0o644)

    def timing(self) -> pa.Table:
        """Return seconds, seconds of waiting for data, and tokens computed, per step."""
        return pa.table({name: pa.array(v) for name, v in self.telemetry.timing.items()})

    def follow(self, scratch: Path) -> None:
        """Take part in the training of process 0, which owns the artifact."""
        self.run(scratch)

    def _stream(self, position: int) -> GroupStream:
        s = self.settings
        queries, docs = TokenColumns(self.tokens["queries"]), TokenColumns(self.tokens["corpus"])
        return GroupStream(
            self.groups,
            self.student.packer(self.model, queries, docs, self.limits),
            batch=self.micro,
            seed=s.seed,
            negatives=s.negatives,
            position=position,
            stop=self.positions,
            rank=self.processes.rank,
            world=self.processes.world,
            pinned=device().type == "cuda",
        )

    def _scores(self, network: Network, batch: Any) -> torch.Tensor:
        if self.loss.in_batch:
            g = batch.groups
            return network.scores_in_batch(batch.texts, self.size, g.query, g.doc).float()
        return network.scores(batch.texts, self.size).float()

    def _due(self, step: int, seconds: float) -> bool:
        if self.checkpoint_steps is not None:
            return step % self.checkpoint_steps == 0
        return seconds >= self.checkpoint_s


class _Totals:
    """Sums over the micro-batches of a step, kept on the device until the step ends."""

    def __init__(self, here: torch.device):
        self.here = here
        self._clear()

    def _clear(self) -> None:
        self.sums = torch.zeros(5, dtype=torch.float64, device=self.here)
        self.cells = 0

    def add(self, batch: Any, values: Any, floor: Any, f: Any) -> None:
        """Count one micro-batch in."""
        tokens = sum(p.tokens for p in batch.texts.values())
        self.cells += sum(p.cells for p in batch.texts.values())
        spread = f.detach().var(dim=1, correction=0).sum()
        parts = [values.detach().sum(), floor.sum(), spread]
        sums = torch.stack([p.double() for p in parts])
        self.sums[:3] += sums
        self.sums[3] += len(batch)
        self.sums[4] += tokens

    def close(self, processes: Processes) -> dict[str, float]:
        """Return the means over all groups of the step, of all processes, and start anew."""
        processes.add_up([self.sums])
        loss, floor, spread, groups, tokens = self.sums.tolist()
        row = {
            "loss": loss / groups,
            "floor": floor / groups,
            "score_variance": spread / groups,
            "tokens": tokens,
            "cells": self.cells,
        }
        self._clear()
        return row


def _adamw(network: Network, s: Settings) -> torch.optim.AdamW:
    """Make the optimiser; biases and norms are not decayed."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": s.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=s.lr,
        fused=True,
    )


def _autocast(compute: str, here: torch.device) -> Any:
    if compute == "float32":
        return nullcontext
    return lambda: torch.autocast(here.type, dtype=torch.bfloat16)


def _not_a_number(step: int, loss: float, norm: float) -> RankmillError:
    return RankmillError(
        f"the loss is {loss}, the gradient norm {norm}",
        where=f"step {step}",
        do="lower lr, keep clip=1, or use compute=float32; the last checkpoint is kept",
    )
