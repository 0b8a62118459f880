"""A design's gain predicted from its statistics: ridge regression on what finished studies know.

Only differences between designs of one block are predicted, from differences of their statistics
there: both are taken from the block's mean, so a collection that is easy, or whose teacher is sure
of everything, tells nothing by that. With x statistics scaled to unit variance within blocks, β
minimises

    Σ over collections c of  1/n_c · Σ over designs r of c  (g_r − x_r·β)²  +  λ·|β|²

so every collection counts once, and λ is in collections: how many that say nothing are added. λ is
the one of STRENGTHS with the least error on collections left out one by one; ∞ is among them (the
statistics say nothing, all designs are predicted alike).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankmill.mining.ordered import least_squares
from rankmill.study.advise.records import Record, blocks_of, by_corpus

STRENGTHS = (math.inf, 10.0, 3.0, 1.0, 0.3, 0.1)


@dataclass(frozen=True, slots=True)
class Predictor:
    """What was fitted. `weights`: gain per standard deviation of each of `features` within blocks,
    `scale` these deviations; `level`: the mean gain of a design; `strength`: λ."""

    features: tuple[str, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    level: float
    strength: float

    def gains(self, block: Sequence[Record]) -> np.ndarray:
        """Return the predicted gain of the designs of one block, float64 [designs]."""
        x = _apart(_table(block, self.features))
        steps = (np.where(s > 0, x[:, k] / (s or 1.0), 0.0) for k, s in enumerate(self.scale))
        parts = [w * step for w, step in zip(self.weights, steps, strict=True)]
        return self.level + np.sum(parts, axis=0) if parts else np.full(len(block), self.level)


def fit(
    records: Sequence[Record], features: Sequence[str], strength: float | None = None
) -> Predictor:
    """Fit a predictor on records of at least one block; `strength` None: chosen as said above,
    which needs two collections, and is 1 with one."""
    if strength is None:
        strength = _chosen(records, features)
    return _fitted(records, tuple(features), strength)


def _chosen(records: Sequence[Record], features: Sequence[str]) -> float:
    every = by_corpus(records)
    if len(every) < 2:
        return 1.0
    best, least = math.inf, math.inf
    for strength in STRENGTHS:  # the strongest of those that are equally good
        error = 0.0
        for corpus, own in every.items():
            others = [one for one in records if one.corpus != corpus]
            predictor = _fitted(others, tuple(features), strength)
            error += squared_error(predictor, own)
        if error < least:
            best, least = strength, error
    return best


def squared_error(predictor: Predictor, own: Sequence[Record]) -> float:
    """Return the mean squared error of a collection's differences within blocks."""
    errors = [
        _apart(np.array([one.gain for one in block])) - (predictor.gains(block) - predictor.level)
        for block in blocks_of(own).values()
    ]
    return float(np.mean(np.concatenate(errors) ** 2))


def gain_error(predictor: Predictor, own: Sequence[Record]) -> float:
    """Return the mean squared error of a collection's predicted gains, their level included."""
    errors = [
        np.array([one.gain for one in block]) - predictor.gains(block)
        for block in blocks_of(own).values()
    ]
    return float(np.mean(np.concatenate(errors) ** 2))


def _fitted(records: Sequence[Record], features: tuple[str, ...], strength: float) -> Predictor:
    rows, gains, counts = [], [], []
    means = []
    for own in by_corpus(records).values():
        means.append(float(np.mean([one.gain for one in own])))
        for block in blocks_of(own).values():
            rows.append(_apart(_table(block, features)))
            gains.append(_apart(np.array([one.gain for one in block])))
            counts.append(np.full(len(block), 1.0 / len(own)))
    x, g, share = np.concatenate(rows), np.concatenate(gains), np.concatenate(counts)
    level, collections = float(np.mean(means)), float(share.sum())
    scale = np.sqrt((share[:, None] * x * x).sum(axis=0) / collections)
    scale[scale <= 1e-12 * np.maximum(1.0, np.abs(_table(records, features)).max(axis=0))] = 0.0
    used = np.flatnonzero(scale)
    weights = np.zeros(len(features))
    if math.isfinite(strength) and len(used):
        root = np.sqrt(share)
        columns = []
        for place, k in enumerate(used):
            more = np.zeros(len(used))
            more[place] = math.sqrt(strength)
            columns.append(np.concatenate([root * x[:, k] / scale[k], more]))
        weights[used] = least_squares(columns, np.concatenate([root * g, np.zeros(len(used))]))[0]
    return Predictor(features, tuple(scale.tolist()), tuple(weights.tolist()), level, strength)


def _table(records: Sequence[Record], features: Sequence[str]) -> np.ndarray:
    rows = [[one.statistics[name] for name in features] for one in records]
    return np.array(rows, np.float64).reshape(len(records), len(features))


def _apart(values: np.ndarray) -> np.ndarray:
    """Return values without the mean of their block."""
    apart: np.ndarray = values - values.mean(axis=0)
    return apart
