"""Score against rank ratio, for the teacher and its students (figures 2 and 4 of the paper).

Per query the list is sorted by score; x is rank / length, y a probability, so that curves of models
with other scales can stand on one pair of axes. What y is, the axis says: P(relevant) where every
model gives a logit, a log-probability or a probability; the softmax over the list at the loss's
temperature where one gives similarities, which have no P (docs/quantities.md §2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankmill.mining.draws import generator
from rankmill.mining.ordered import product
from rankmill.mining.runs.run import Run
from rankmill.mining.statistics.summaries.power_law import Decay, fit_decay

_KINDS = ("logit", "log-prob", "probability")
_TINY = 1e-30  # a probability that float64 rounds to 0, on a logarithmic axis
_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Scale:
    """What is drawn: P(relevant) (`temperature` None), or the softmax over a list at T."""

    temperature: float | None

    @classmethod
    def of(cls, runs: Sequence[Run], temperature: float) -> Scale:
        """Choose the one scale on which all runs can be drawn."""
        kinds = {run.artifact.metadata.get("kind") for run in runs}
        return cls(None if kinds <= set(_KINDS) else temperature)

    @property
    def label(self) -> str:
        """The name of the axis."""
        if self.temperature is None:
            return "mean P(relevant)"
        return f"mean softmax over the list at T = {self.temperature:g}"

    def __call__(self, scores: np.ndarray, kind: str | None) -> np.ndarray:
        """Return one list's values, float64, best first, none of them 0."""
        s = np.sort(np.asarray(scores, np.float64))[::-1]
        if self.temperature is not None:
            weights = np.exp((s - s[0]) / self.temperature)
            return np.maximum(weights / weights.sum(), _TINY)
        if kind == "logit":
            s = np.exp(-np.logaddexp(0.0, -s))
        elif kind == "log-prob":
            s = np.exp(s)
        return np.maximum(s, _TINY)


@dataclass(frozen=True, slots=True)
class RankCurve:
    """The mean curve at the ratios 1/points … 1, its 95 % band over queries, and fits to it."""

    ratio: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    decay: Decay | None


def rank_curve(run: Run, scale: Scale, points: int, *, seed: int = 0) -> RankCurve:
    """Return the curve of a run's lists.

    The fit is over all ratios, least squares of log y on log x, the exponential and the log-normal
    beside it; None with fewer than three points.
    """
    curves = list_curves(run, scale, points)
    random = generator(seed, "figures.band", points)
    weights = random.multinomial(len(curves), np.full(len(curves), 1 / len(curves)), _RESAMPLES)
    low, high = np.quantile(product(weights, curves) / len(curves), [0.025, 0.975], axis=0)
    decay = fit_decay(curves, 1, points, seed=seed) if points > 2 else None
    return RankCurve(np.arange(1, points + 1) / points, curves.mean(axis=0), low, high, decay)


def list_curves(run: Run, scale: Scale, points: int) -> np.ndarray:
    """Return y at rank ⌈j·N/points⌉ of every list with N > 0 documents, j = 1 … points.

    float64 [lists, points]. A list of `points` documents gives one value per rank.
    """
    kind, ratio = run.artifact.metadata.get("kind"), np.arange(1, points + 1)
    rows = []
    for part in run.parts():
        for start, stop in zip(part.offsets[:-1], part.offsets[1:], strict=True):
            if stop > start:
                values = scale(part.score[start:stop], kind)
                rows.append(values[-(-ratio * (stop - start) // points) - 1])
    return np.array(rows, np.float64).reshape(-1, points)
