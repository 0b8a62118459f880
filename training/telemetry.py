"""What a training run logs per step, and the few numbers that sum it up.

Columns that a second run would give again go to `telemetry.arrow`, inside the artifact's hash;
seconds and padding go to the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

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
)
_INTEGERS = ("step", "documents", "tokens")


class Telemetry:
    """Columns that grow by one row per step; they travel with the checkpoints."""

    def __init__(self, rows: Mapping[str, list[float]] | None = None):
        self.rows: dict[str, list[float]] = {name: [] for name in _COLUMNS} | dict(rows or {})
        self.timing: dict[str, list[float]] = {"step_s": [], "wait_s": [], "cells": []}

    def add(self, row: Mapping[str, float], *, lr: float, timing: Mapping[str, float]) -> None:
        """Log one step."""
        for name in _COLUMNS:
            self.rows[name].append(lr if name == "lr" else row[name])
        for name, value in timing.items():
            self.timing[name].append(value)

    def table(self) -> pa.Table:
        """Return one row per step.

        step, documents (seen so far), loss, floor, excess (loss − floor), gradient_norm (before
        clipping), gradient_norm_variance (over the last 100 steps), lr, score_variance (of the
        student within a group, mean over groups), tokens (of the step, without padding).
        """
        columns = {
            name: pa.array(np.asarray(self.rows[name]).astype(np.int64))
            if name in _INTEGERS
            else pa.array(np.asarray(self.rows[name], np.float64))
            for name in _COLUMNS
        }
        loss, floor = np.asarray(self.rows["loss"]), np.asarray(self.rows["floor"])
        columns["excess"] = pa.array(loss - floor)
        columns["gradient_norm_variance"] = pa.array(_windowed(self.rows["gradient_norm"]))
        return pa.table(columns)

    def summary(self) -> dict[str, float | bool]:
        """Return loss at the start and at the end (means of a tenth), and whether scores collapsed.

        Collapse: the student gives all documents of a group nearly the same score (quantity 25).
        """
        tenth = max(1, len(self.rows["loss"]) // 10)
        excess = np.asarray(self.rows["loss"]) - np.asarray(self.rows["floor"])
        spread = np.asarray(self.rows["score_variance"])
        return {
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
