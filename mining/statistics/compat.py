"""What the reference code computes under the names of our statistics (docs/quantities.md §8).

Only behind the switch `compat="locality-and-entropy"`, in an artifact of their own, with names that
end in `_compat`. Each says in one line how it differs. All of them read log-probabilities s, as
that code does. None of this is hot: one row at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...native import scales
from ..errors import UsageError
from ..names import Family, nearest
from ..score_kinds import has_probability
from .base import Column, Rows

COMPAT = Family("compat statistic")
SWITCH = "locality-and-entropy"

CUTS_COMPAT = {
    "upper_quartile": "keep_below(q=0.75)",  # keeps H < Q3, not the upper quartile
    "lower_quartile": "keep_above(q=0.25)",  # keeps H > Q1, not the lower quartile
    "below_median": "keep_below(q=0.5)",
    "above_median": "keep_above(q=0.5)",
    "inner_quartiles": "keep_inside_fences(k=1.5)",  # Tukey's fences: nearly everything
    "outlier_quartiles": "keep_outside_fences(k=1.5)",  # the few that are left
}
"""C5: their names of cuts and what they keep, as our cuts."""


def compat_statistics(switch: str, *, vectors: bool = False) -> tuple[str, ...]:
    """Return the columns of the switch; raises UsageError for an unknown one."""
    if switch != SWITCH:
        raise UsageError(f"compat={switch!r} is unknown", do=nearest(switch, (SWITCH,)))
    return tuple(n for n in COMPAT.names() if vectors or n != "diameter_compat")


class _PerRow:
    """One number per row from its log-probabilities."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[str]:
        """Scores only."""
        return frozenset()

    def per_row(self, rows: Rows, value: Callable[[np.ndarray], float]) -> Column:
        """Call `value` with s of every row; null without probabilities and under two documents."""
        from ..selection.targeted import log_probabilities

        out = np.full(len(rows), np.nan)
        if not has_probability(rows.kind):
            return out, np.full(len(rows), rows.without_probability, np.uint8)
        s = log_probabilities(rows.scores.astype(np.float64), rows.kind)
        for row in range(len(rows)):
            mine = s[rows.offsets[row] : rows.offsets[row + 1]]
            if len(mine) > 1:
                out[row] = value(mine)
        undefined = np.isnan(out)
        return out, np.where(undefined, scales.TOO_SHORT, scales.DEFINED).astype(np.uint8)


def sum_normalised(s: np.ndarray) -> np.ndarray:
    """w = s/Σs: of log-probabilities, so the least relevant document weighs most."""
    total = s.sum()
    return s / total if total else np.zeros_like(s)


@COMPAT.register("density_ratio_compat")
@dataclass(frozen=True, slots=True)
class DensityRatioCompat(_PerRow):
    """C2: max (1/k)/w with w = s/Σs: how sure the teacher is of the positive; ν is no sampler."""

    @property
    def unit(self) -> str:
        """A ratio."""
        return "ratio"

    def measure(self, rows: Rows) -> Column:
        """Return C2; documents with s = 0 are skipped, as the reference's −∞ is by its maximum."""

        def value(s: np.ndarray) -> float:
            w = sum_normalised(s)
            w = w[w > 0]
            return float(1.0 / len(s) / w.min()) if len(w) else float("nan")

        return self.per_row(rows, value)


@COMPAT.register("list_entropy_compat")
@dataclass(frozen=True, slots=True)
class ListEntropyCompat(_PerRow):
    """C3: −Σ w ln w with w = s/Σs, nats. Not a softmax; inverted on log-probabilities."""

    @property
    def unit(self) -> str:
        """Nats."""
        return "nats"

    def measure(self, rows: Rows) -> Column:
        """Return C3, 0 where Σs = 0."""

        def value(s: np.ndarray) -> float:
            w = sum_normalised(s)
            w = w[w > 0]
            return float(-(w * np.log(w)).sum())

        return self.per_row(rows, value)


@COMPAT.register("pair_entropy_compat")
@dataclass(frozen=True, slots=True)
class PairEntropyCompat(_PerRow):
    """C4: D3 with ε = 1e-12 inside the logarithms; copies of a document count, a bit per pair."""

    @property
    def unit(self) -> str:
        """Bits."""
        return "bits"

    def measure(self, rows: Rows) -> Column:
        """Return C4."""

        def value(s: np.ndarray) -> float:
            i, j = np.triu_indices(len(s), 1)
            p = 1.0 / (1.0 + np.exp(np.minimum(s[j] - s[i], 700.0)))
            return float(-(p * np.log2(p + 1e-12) + (1 - p) * np.log2(1 - p + 1e-12)).mean())

        return self.per_row(rows, value)


@COMPAT.register("run_entropy_compat")
@dataclass(frozen=True, slots=True)
class RunEntropyCompat(_PerRow):
    """C7: shift all-negative scores by |min| + 1e-6, divide by the sum, entropy in bits."""

    @property
    def unit(self) -> str:
        """Bits."""
        return "bits"

    def measure(self, rows: Rows) -> Column:
        """Return C7."""

        def value(s: np.ndarray) -> float:
            shifted = s + (abs(s.min()) + 1e-6) if (s <= 0).all() else s
            w = shifted / shifted.sum()
            return float(-(w * np.log2(w)).sum())

        return self.per_row(rows, value)


@COMPAT.register("diameter_compat")
@dataclass(frozen=True, slots=True)
class DiameterCompat:
    """C6: each feature column divided by its norm over the group, Euclidean, .99 quantile.

    The wrong axis: at 768 dimensions it can pass 2, which unit vectors cannot.
    """

    q: float = 0.99

    @property
    def unit(self) -> str:
        """A distance of column-normalised vectors."""
        return "euclidean distance, columns normalised"

    @property
    def needs(self) -> frozenset[str]:
        """Vectors of the documents."""
        return frozenset({"vectors"})

    def measure(self, rows: Rows) -> Column:
        """Return C6."""
        out = np.full(len(rows), np.nan)
        for row in range(len(rows)):
            docs = rows.doc[rows.offsets[row] : rows.offsets[row + 1]]
            if len(docs) > 1:
                out[row] = diameter_compat(rows.vectors.vectors.rows(docs), self.q)
        undefined = np.isnan(out)
        return out, np.where(undefined, scales.TOO_SHORT, scales.DEFINED).astype(np.uint8)


def diameter_compat(vectors: np.ndarray, q: float = 0.99) -> float:
    """Return the q-quantile of the distances after dividing each column by its norm."""
    rows = np.asarray(vectors, dtype=np.float64)
    norm = np.sqrt((rows * rows).sum(axis=0))
    rows = np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)
    i, j = np.triu_indices(len(rows), 1)
    return float(np.quantile(np.sqrt(((rows[i] - rows[j]) ** 2).sum(axis=1)), q))
