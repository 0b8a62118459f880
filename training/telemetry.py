"""What a training run logs per step, and the few numbers that sum it up.

Columns that a second run would give again go to `telemetry.arrow`, inside the artifact's hash;
seconds and padding go to the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa

from ..mining.meter import accelerator
from ..mining.models.flops import TRAINING, Shape

if TYPE_CHECKING:
    import torch

WINDOW = 100  # steps over which the variance of the gradient norm is taken
TELEMETRY = 2  # raise it when what a row says changes: part of a student's fingerprint
COLLAPSED = 1e-3  # of the first steps' score variance
_COLUMNS = (
    "step",
    "documents",
    "groups",
    "loss",
    "floor",
    "gradient_norm",
    "lr",
    "score_variance",
    "tokens",
    "validation",
)
_INTEGERS = ("step", "documents", "groups", "tokens")
_TIMING = ("step_s", "wait_s", "cells", "memory")


class Telemetry:
    """Columns that grow by one row per step; they travel with the checkpoints."""

    def __init__(self, rows: Mapping[str, list[float]] | None = None, shape: Shape | None = None):
        self.shape, self.flops = shape, 0
        self.rows: dict[str, list[float]] = {name: [] for name in _COLUMNS} | dict(rows or {})
        self.timing: dict[str, list[float]] = {name: [] for name in _TIMING}

    def add(self, row: Mapping[str, float], spent: Mapping[str, float]) -> None:
        """Log one step; `spent`: seconds it took, seconds it waited for data, bytes held."""
        for name in _COLUMNS:
            self.rows[name].append(row[name])
        if self.shape is not None:
            forward = self.shape.forward_sums(int(row["tokens"]), int(row["squares"]))
            self.flops += TRAINING * forward
        for name, column in self.timing.items():
            column.append(row["cells"] if name == "cells" else spent[name])

    def validations(self) -> list[float]:
        """Return the validation values so far, oldest first."""
        return [v for v in self.rows["validation"] if not math.isnan(v)]

    def skipped(self) -> int:
        """Return how many steps were skipped because a float16 gradient overflowed."""
        return int(np.isnan(self.rows["gradient_norm"]).sum())

    def timing_table(self) -> pa.Table:
        """Return what the steps of this process took, one row per step.

        step_s, wait_s (without data) in seconds, cells (tokens computed, padding too), memory
        (bytes: resident, or the peak on the GPU), tokens_per_s (of all processes, no padding).
        """
        columns = {name: np.asarray(column, np.float64) for name, column in self.timing.items()}
        steps = len(columns["step_s"])
        tokens = np.asarray(self.rows["tokens"][-steps:] if steps else [], np.float64)
        table = {name: pa.array(column) for name, column in columns.items()}
        return pa.table(table | {"tokens_per_s": pa.array(tokens / columns["step_s"])})

    def table(self) -> pa.Table:
        """Return one row per step.

        step, documents (seen so far), groups (of the step: fewer where the budget ends), loss,
        floor, excess (loss − floor), gradient_norm (before clipping; null where float16 overflowed
        and the step was skipped), gradient_norm_variance (over the last 100 steps, without those of
        fewer groups than a batch, whose gradient is that of fewer examples), lr, score_variance (of
        the student within a group, mean over groups), tokens (of the step, without padding),
        validation (nDCG@10, null where there was none).
        """
        columns = {
            name: pa.array(np.asarray(self.rows[name]).astype(np.int64))
            if name in _INTEGERS
            else pa.array(np.asarray(self.rows[name], np.float64), from_pandas=True)
            for name in _COLUMNS
        }
        loss, floor = np.asarray(self.rows["loss"]), np.asarray(self.rows["floor"])
        columns["excess"] = pa.array(loss - floor)
        columns["gradient_norm_variance"] = pa.array(_windowed(self._norms_of_whole_batches()))
        return pa.table(columns)

    def _norms_of_whole_batches(self) -> np.ndarray:
        """Return the gradient norms, NaN for steps of fewer groups than others: float64 [steps]."""
        groups = np.asarray(self.rows["groups"])
        norm = np.asarray(self.rows["gradient_norm"], np.float64)
        return np.where(groups == groups.max(initial=0), norm, np.nan)

    def summary(self) -> dict[str, Any]:
        """Return steps, excess at the start and the end (over the groups of a tenth of the steps).

        `best_step`: the step whose weights were kept, where there was validation.

        `collapsed`: the student gives all documents of a group nearly the same score (quantity 25).
        """
        tenth = max(1, len(self.rows["loss"]) // 10)
        excess = np.asarray(self.rows["loss"]) - np.asarray(self.rows["floor"])
        spread, groups = np.asarray(self.rows["score_variance"]), np.asarray(self.rows["groups"])
        first, last = (
            [float(np.average(x[part], weights=groups[part])) for x in (excess, spread)]
            for part in (slice(tenth), slice(-tenth, None))
        )
        steps = [k for k, v in enumerate(self.rows["validation"]) if not math.isnan(v)]
        from .validation import best

        kept = steps[best(self.validations())] if steps else None
        return {
            "steps": len(excess),
            "best_step": kept,
            "first_excess": first[0],
            "last_excess": last[0],
            "collapsed": bool(last[1] < COLLAPSED * first[1]),
        }

    def usage(self) -> dict[str, float]:
        """Return what this process spent: steps, documents, tokens, padding, seconds of waiting.

        And operations, where they are known: validation and the gradient cache's second pass apart.
        """
        steps = len(self.timing["step_s"])
        documents = self.rows["documents"]
        before = documents[-steps - 1] if len(documents) > steps else 0
        tokens = sum(self.rows["tokens"][-steps:]) if steps else 0.0
        return {
            "steps": steps,
            "documents": documents[-1] - before if documents else 0,
            "tokens": tokens,
            "padding": max(0.0, sum(self.timing["cells"]) - tokens),
            **({"flops": self.flops} if self.flops else {}),
            "train_s": round(sum(self.timing["step_s"]), 3),
            "wait_s": round(sum(self.timing["wait_s"]), 3),
        }


def memory(here: torch.device) -> float:
    """Return the bytes this process holds: on a GPU the most since the last call, else resident."""
    if here.type == "cuda":
        return float(accelerator.take_peak(here))
    return float(psutil.Process().memory_info().rss)


def _windowed(values: np.ndarray) -> np.ndarray:
    """Return the population variance of the last `WINDOW` values up to each, float64 [n].

    Steps without a value (NaN) are left out; 0 where there is none yet.
    """
    windows = (values[max(0, i - WINDOW + 1) : i + 1] for i in range(len(values)))
    known = (window[~np.isnan(window)] for window in windows)
    return np.array([window.var() if window.size else 0.0 for window in known])
