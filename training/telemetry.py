"""What a training run logs per step, and the few numbers that sum it up.

Columns that a second run would give again go to `telemetry.arrow`, inside the artifact's hash;
seconds and padding go to the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from .validation import best

WINDOW = 100  # steps over which the variance of the gradient norm is taken
COLLAPSED = 1e-3  # of the first steps' score variance
_COLUMNS = (
    "step",
    "documents",
    "loss",
    "floor",
    "gradient_norm",
    "lr",
    "score_variance",
    "tokens",
    "validation",
)
_INTEGERS = ("step", "documents", "tokens")
_TIMING = ("step_s", "wait_s", "cells")


class Telemetry:
    """Columns that grow by one row per step; they travel with the checkpoints."""

    def __init__(self, rows: Mapping[str, list[float]] | None = None):
        self.rows: dict[str, list[float]] = {name: [] for name in _COLUMNS} | dict(rows or {})
        self.timing: dict[str, list[float]] = {name: [] for name in _TIMING}

    def add(self, row: Mapping[str, float], *, step_s: float, wait_s: float) -> None:
        """Log one step, and the seconds it took and waited for data."""
        for name in _COLUMNS:
            self.rows[name].append(row[name])
        for name, value in (("step_s", step_s), ("wait_s", wait_s), ("cells", row["cells"])):
            self.timing[name].append(value)

    def validations(self) -> list[float]:
        """Return the validation values so far, oldest first."""
        return [v for v in self.rows["validation"] if not math.isnan(v)]

    def timing_table(self) -> pa.Table:
        """Return seconds, seconds without data, and tokens computed (padding too), per step."""
        return pa.table({name: pa.array(column) for name, column in self.timing.items()})

    def table(self) -> pa.Table:
        """Return one row per step.

        step, documents (seen so far), loss, floor, excess (loss − floor), gradient_norm (before
        clipping), gradient_norm_variance (over the last 100 steps), lr, score_variance (of the
        student within a group, mean over groups), tokens (of the step, without padding),
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
        columns["gradient_norm_variance"] = pa.array(_windowed(self.rows["gradient_norm"]))
        return pa.table(columns)

    def summary(self) -> dict[str, Any]:
        """Return steps, loss at the start and the end (means of a tenth), and two verdicts.

        `best_step`: the step whose weights were kept, where there was validation.

        `collapsed`: the student gives all documents of a group nearly the same score (quantity 25).
        """
        tenth = max(1, len(self.rows["loss"]) // 10)
        excess = np.asarray(self.rows["loss"]) - np.asarray(self.rows["floor"])
        spread = np.asarray(self.rows["score_variance"])
        steps = [k for k, v in enumerate(self.rows["validation"]) if not math.isnan(v)]
        kept = steps[best(self.validations())] if steps else None
        return {
            "steps": len(excess),
            "best_step": kept,
            "first_excess": float(excess[:tenth].mean()),
            "last_excess": float(excess[-tenth:].mean()),
            "collapsed": bool(spread[-tenth:].mean() < COLLAPSED * spread[:tenth].mean()),
        }

    def usage(self) -> dict[str, float]:
        """Return what this process spent: steps, documents, tokens, padding, seconds of waiting."""
        steps = len(self.timing["step_s"])
        documents = self.rows["documents"]
        before = documents[-steps - 1] if len(documents) > steps else 0
        tokens = sum(self.rows["tokens"][-steps:]) if steps else 0.0
        return {
            "steps": steps,
            "documents": documents[-1] - before if documents else 0,
            "tokens": tokens,
            "padding": max(0.0, sum(self.timing["cells"]) - tokens),
            "train_s": round(sum(self.timing["step_s"]), 3),
            "wait_s": round(sum(self.timing["wait_s"]), 3),
        }


def _windowed(values: list[float]) -> np.ndarray:
    """Return the population variance of the last `WINDOW` values up to each, float64 [n]."""
    x = np.asarray(values, np.float64)
    return np.array([x[max(0, i - WINDOW + 1) : i + 1].var() for i in range(len(x))])
