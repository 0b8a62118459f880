"""The training loop: one function to read from top to bottom.

Whatever a step needs (groups, learning rate, dropout) is a function of the step and the seed, so a
checkpoint is weights, optimiser and a number, and a resumed run goes on bit for bit (one processor
family; the number of threads is set as declared).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..mining.errors import UsageError
from ..mining.groups.format import Groups
from ..mining.meter.underway import Underway, so_far
from ..mining.models.flops import shape_of
from ..mining.models.folder import ModelFolder
from ..mining.models.precision import device
from ..mining.store import Artifact
from .allocator import keep_freed_memory
from .blend import Blend, artifacts_of
from .budget import Budget, budget_of, positions_of
from .checkpoints import load_checkpoint, save_checkpoint
from .layers import compile_network, recompute_layers
from .losses import Loss
from .networks import Network
from .packing import JoinedColumns, Limits, TokenColumns
from .passes import Passes, autocast
from .processes import Processes
from .settings import Settings
from .stream import Batch, GroupStream, check_tokens
from .students import Student
from .telemetry import Telemetry, memory
from .threads import exactly, settled
from .validation import EarlyStop, best, not_validated, validate


class Training:
    """One training run: what it is made of, and the loop.

    `tokens`: token stores by role, "queries" and "corpus"; for a blend those of each collection.
    `validation`: held-out groups of the same collection. A checkpoint is written every
    `checkpoint_steps` steps, or `checkpoint_s` seconds where that is None.
    """

    def __init__(
        self,
        student: Student,
        model: ModelFolder,
        loss: Loss,
        settings: Settings,
        groups: Groups | Blend,
        tokens: Mapping[str, Artifact] | Sequence[Mapping[str, Artifact]],
        *,
        validation: Groups | None = None,
        processes: Processes | None = None,
        checkpoint_steps: int | None = None,
        checkpoint_s: float = 60.0,
    ):
        self.student, self.model, self.loss = student, model, loss
        self.groups, self.validation = groups, validation
        self.tokens = [tokens] if isinstance(tokens, Mapping) else list(tokens)
        self.processes = processes or Processes()
        self.settings = settings = settled(settings, self.processes)
        self.checkpoint_steps, self.checkpoint_s = checkpoint_steps, checkpoint_s
        self.telemetry = Telemetry()
        self.network: Network | None = None
        self.size = groups.size if settings.negatives is None else settings.negatives + 1
        self.positions = positions_of(settings.documents, self.size)  # groups seen in all
        self.steps = math.ceil(self.positions / settings.batch)
        self.micro = self._groups_at_a_time()
        self._check_tokens()
        queries, docs = (self._columns(role) for role in ("queries", "corpus"))
        limits = Limits(settings.query_length, settings.doc_length)
        self.pack = student.packer(model, queries, docs, limits, self._pieces())
        self.stopping: EarlyStop | None = None
        if validation is not None:
            every = settings.validate_steps or max(1, self.steps // 10)
            self.stopping = EarlyStop(every, settings.patience)

    def _check_tokens(self) -> None:
        """Refuse tokens of other texts than those of the groups, and of the validation."""
        groups = self.groups
        if isinstance(groups, Blend):
            for part, number in zip(groups.parts, groups.collection, strict=True):
                check_tokens(part, self.tokens[number]["queries"], self.tokens[number]["corpus"])
        else:
            check_tokens(groups, self.tokens[0]["queries"], self.tokens[0]["corpus"])
        if self.validation is not None and len(self.tokens) > 1:
            check_tokens(self.validation, self.tokens[0]["queries"], self.tokens[0]["corpus"])

    def _columns(self, role: str) -> TokenColumns:
        stores = [one[role] for one in self.tokens]
        return TokenColumns(stores[0]) if len(stores) == 1 else JoinedColumns(stores)

    @property
    def documents(self) -> int:
        """Documents seen in all: the budget, rounded up to whole groups."""
        return self.positions * self.size

    def budget(self, positions: int) -> Budget:
        """Return what training up to a position amounts to, in all processes together."""
        whole = GroupStream(
            self.groups, batch=1, seed=self.settings.seed, negatives=self.settings.negatives
        )
        return budget_of(whole, positions)

    def run(self, scratch: Path, underway: Underway | None = None) -> dict[str, float]:
        """Train from the last checkpoint in `scratch` to the end; returns the usage. `underway`
        counts the documents that are left.

        All that is read is compared with its hashes before anything is restored from a checkpoint.
        """
        keep_freed_memory()
        self._check_content()
        with exactly(self.settings.threads):
            return self._train(scratch, underway)

    def _train(self, scratch: Path, underway: Underway | None) -> dict[str, float]:
        s, here = self.settings, device()
        self.network = network = self._build_network(here)
        optimiser = _adamw(network, s)
        passes = Passes(network, self.loss, s, self.size, here)
        scaler = passes.scaler
        done, rows, self.best_weights = load_checkpoint(scratch, network, optimiser, scaler)
        self.telemetry = Telemetry(rows, shape_of(next(iter(network.children()))))
        if underway is not None:
            underway.expect((self.positions - done * s.batch) * self.size)
        stream = self.open_stream(done * s.batch)
        totals = _Totals(here)
        began = saved = time.perf_counter()
        for batch in stream if not self._over() else ():
            # ---- a forward and a backward pass; gradients add up over the step
            step = (stream.position - 1) // s.batch
            start, stop = step * s.batch, min((step + 1) * s.batch, self.positions)
            if len(batch):
                totals.add(batch, *passes(batch, stop - start))
            if stream.position < stop:
                continue
            # ---- an optimiser step
            self.processes.add_up_gradients(network)
            scaler.unscale_(optimiser)
            norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), s.clip or math.inf))
            rate = s.learning_rate(step, self.steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            row = totals.close(self.processes)
            counts = passes.check(step, row["loss"], norm)
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad(set_to_none=True)
            # ---- what happened
            row |= {"step": step, "documents": stop * self.size, "lr": rate}
            row |= {"gradient_norm": norm if counts else math.nan}
            row |= {"validation": self._validate(step)}
            now = time.perf_counter()
            spent = {"step_s": now - began, "wait_s": stream.waited_s, "memory": memory(here)}
            self.telemetry.add(row, spent)
            so_far(step + 1, self.steps)
            if underway is not None:
                underway.said = f"step {step + 1:,} of {self.steps:,}, loss {row['loss']:.4g}"
                underway.partly("steps", row["documents"] - done * s.batch * self.size)
            began, stream.waited_s = now, 0.0
            if self._over():
                break
            if step + 1 < self.steps and self._due(step + 1, now - saved):
                self._checkpoint(scratch, step + 1, optimiser, scaler)
                saved = time.perf_counter()
        if self.best_weights:
            network.load_state_dict(self.best_weights)
        return self.telemetry.usage()

    def follow(self, scratch: Path) -> None:
        """Take part in the training of process 0, which owns the artifact."""
        self.run(scratch)

    def _check_content(self) -> None:
        """Compare all that is read with its hashes before the first step, once per process."""
        groups = artifacts_of(self.groups)
        groups += [] if self.validation is None else [self.validation.artifact]
        for artifact in (*groups, *(one for roles in self.tokens for one in roles.values())):
            artifact.check_content()

    def _build_network(self, here: torch.device) -> Network:
        network = self.student.network(self.model, self.settings.seed)
        if self.settings.recompute:
            recompute_layers(network)
        if self.settings.compile:
            compile_network(network, here)
        return network

    def _groups_at_a_time(self) -> int:
        """Return how many groups all processes together take in one forward pass."""
        s, world = self.settings, self.processes.world
        together = (s.micro or -(-s.batch // world)) * world
        if s.batch % together and s.batch > together:
            raise UsageError(
                f"batch={s.batch} is not a multiple of {together} groups at a time",
                where=f"micro={s.micro}, {world} processes",
                do="choose micro so that micro × processes divides batch",
            )
        return min(together, s.batch)

    def _pieces(self) -> int:
        """Return into how many pieces the documents of a forward pass are cut."""
        s = self.settings
        if s.cache is None:
            return s.pieces
        if not self.loss.in_batch:
            raise UsageError(
                f"cache={s.cache} with the loss {self.loss}, which has no in-batch negatives",
                do="use micro: it gives the same gradients in the same memory",
            )
        return max(s.pieces, -(-self.micro // self.processes.world // s.cache))

    def open_stream(self, position: int) -> GroupStream:
        """Return the stream of this process from a position on."""
        return GroupStream(
            self.groups,
            self.pack,
            batch=self.micro,
            seed=self.settings.seed,
            negatives=self.settings.negatives,
            position=position,
            stop=self.positions,
            rank=self.processes.rank,
            world=self.processes.world,
            pinned=device().type == "cuda",
        )

    def _validate(self, step: int) -> float:
        """Return the validation nDCG@10 where one is due, and keep the weights of the best."""
        if self.stopping is None or self.validation is None or self.network is None:
            return not_validated()
        if (step + 1) % self.stopping.every and step + 1 < self.steps:
            return not_validated()
        context = autocast(self.settings.compute, device())
        value = validate(self.network, self.validation, self.pack, context)
        seen = [*self.telemetry.validations(), value]
        if best(seen) == len(seen) - 1:
            state = self.network.state_dict()
            self.best_weights = {name: t.detach().clone() for name, t in state.items()}
        return value

    def _over(self) -> bool:
        return self.stopping is not None and self.stopping.over(self.telemetry.validations())

    def _due(self, step: int, seconds: float) -> bool:
        if self.checkpoint_steps is not None:
            return step % self.checkpoint_steps == 0
        return seconds >= self.checkpoint_s

    def _checkpoint(self, scratch: Path, step: int, optimiser: Any, scaler: Any) -> None:
        if self.processes.rank == 0 and self.network is not None:
            rows, best = self.telemetry.rows, self.best_weights
            save_checkpoint(scratch, step, self.network, optimiser, rows, best, scaler)


class _Totals:
    """Sums over the micro-batches of a step, kept on the device until the step ends."""

    def __init__(self, here: torch.device):
        self.here = here
        self._clear()

    def _clear(self) -> None:
        self.sums = torch.zeros(7, dtype=torch.float64, device=self.here)

    def add(self, batch: Batch, values: Any, floor: Any, f: Any) -> None:
        """Count one micro-batch in."""
        sums = [values.sum(), floor.sum(), f.var(dim=1, correction=0).sum()]
        self.sums[:3] += torch.stack([x.double() for x in sums])
        packed = batch.texts.values()
        counts = [len(batch), sum(p.tokens for p in packed), sum(p.cells for p in packed)]
        counts.append(sum(p.squares for p in packed))
        self.sums[3:] += torch.tensor(counts, dtype=torch.float64, device=self.here)

    def close(self, processes: Processes) -> dict[str, float]:
        """Return the means over all groups of the step, of all processes, and start anew."""
        processes.add_up([self.sums])
        loss, floor, spread, groups, tokens, cells, squares = self.sums.tolist()
        self._clear()
        row = {"loss": loss / groups, "floor": floor / groups, "score_variance": spread / groups}
        return row | {"groups": groups, "tokens": tokens, "cells": cells, "squares": squares}


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
