"""The shape of a list of documents: intrinsic dimension and log density of their vectors, and how
the teacher's probability falls with rank (docs/quantities.md §6, 19 and 20).

Meant for candidate lists; a group of 16 has too few documents for a steady estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...native import scales
from ..errors import UsageError
from ..names import nearest
from ..options import Option
from ..parts.costs import PAIRS
from ..parts.parameters import FIRST
from ..score_kinds import has_probability
from .base import CONSTANT, STATISTICS, ZERO_DISTANCES, Column, Rows
from .neighbours import log_density, nearest_distances, two_nn

_FITS = ("alpha", "r2")


def _unit_rows(rows: Rows, row: int) -> np.ndarray:
    """Return the vectors of one row divided by their norms; zero vectors are left out."""
    docs = rows.doc[rows.offsets[row] : rows.offsets[row + 1]]
    vectors = rows.vectors.vectors.rows(docs).astype(np.float64)
    norm = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return vectors[norm[:, 0] > 0] / norm[norm[:, 0] > 0]


def _over_vectors(rows: Rows, fewest: int, value: Callable[[np.ndarray], float]) -> Column:
    out = np.full(len(rows), np.nan)
    status = np.full(len(rows), scales.TOO_SHORT, np.uint8)
    for row in range(len(rows)):
        vectors = _unit_rows(rows, row)
        if len(vectors) >= fewest:
            out[row] = value(vectors)
            status[row] = ZERO_DISTANCES if np.isnan(out[row]) else scales.DEFINED
    return out, status


class _OnVectors:
    """Vectors of the documents."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[str]:
        """An encoder."""
        return frozenset({"vectors"})


@STATISTICS.register("intrinsic_dim", PAIRS)
@dataclass(frozen=True, slots=True)
class IntrinsicDim(_OnVectors):
    """TwoNN's dimension of the unit vectors of a list: 1 / mean ln(r₂/r₁).

    Copies (r₁ = 0) are left out; null where nothing is left or under three documents.

    Source: Facco et al., Scientific Reports 7, 2017.
    """

    @property
    def unit(self) -> str:
        """A dimension."""
        return "dimension"

    def measure(self, rows: Rows) -> Column:
        """Estimate it for every row."""

        def value(vectors: np.ndarray) -> float:
            near = nearest_distances(vectors, 2)
            return two_nn(near[:, 0], near[:, 1])[0]

        return _over_vectors(rows, 3, value)


@STATISTICS.register("log_density", PAIRS)
@dataclass(frozen=True, slots=True)
class LogDensity(_OnVectors):
    """Mean of −d̂·ln r_k over the documents of a list, d̂ by TwoNN on the same list.

    r_k is the distance of a unit vector to its k-th neighbour within the list, itself left out by
    id. Up to a constant that depends on k and the number of documents only, so lists of equal
    length compare.
    """

    k: Annotated[int, Option("Which neighbour the distance is to.", unit="neighbour")] = 3

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k={self.k} is not a neighbour", do="give 1 or more")

    @property
    def unit(self) -> str:
        """Nats."""
        return "nats"

    def measure(self, rows: Rows) -> Column:
        """Estimate it for every row."""

        def value(vectors: np.ndarray) -> float:
            near = nearest_distances(vectors, max(2, self.k))
            dimension = two_nn(near[:, 0], near[:, 1])[0]
            if np.isnan(dimension):
                return dimension
            density = log_density(near[:, self.k - 1], dimension)
            return float(np.nanmean(density)) if not np.isnan(density).all() else float("nan")

        return _over_vectors(rows, max(3, self.k + 1), value)


@STATISTICS.register("power_law")
@dataclass(frozen=True, slots=True)
class PowerLaw:
    """Least squares of ln P against ln rank over the ranks first … last of the teacher's order.

    `of`: alpha, with P ∝ rank^−alpha, or r2. P = e^s is the probability of relevance; a similarity
    has none. Whether it is a power law at all is a question for the mean curve: `fit_decay`
    compares it with an exponential and a log-normal.
    """

    of: Annotated[str, Option("alpha, the exponent, or r2, how well it fits.")] = "alpha"
    first: Annotated[int, FIRST] = 1
    last: Annotated[int, Option("Last rank of the window.", unit="rank")] = 100

    def __post_init__(self) -> None:
        if self.of not in _FITS:
            raise UsageError(f"of={self.of} is unknown", do=nearest(self.of, _FITS))
        if not 1 <= self.first <= self.last - 2:
            raise UsageError(
                f"first={self.first},last={self.last} are too few ranks", do="give three or more"
            )

    @property
    def unit(self) -> str:
        """An exponent, or a share of the variance."""
        return "exponent" if self.of == "alpha" else "share"

    @property
    def needs(self) -> frozenset[str]:
        """Scores only."""
        return frozenset()

    def measure(self, rows: Rows) -> Column:
        """Fit every row; null under three ranks, and R² of a flat line."""
        from ..selection.targeted import log_probabilities

        out = np.full(len(rows), np.nan)
        status = np.full(len(rows), scales.TOO_SHORT, np.uint8)
        if not has_probability(rows.kind):
            return out, np.full(len(rows), rows.without_probability, np.uint8)
        s = log_probabilities(rows.scores.astype(np.float64), rows.kind)
        for row in range(len(rows)):
            mine = np.sort(s[rows.offsets[row] : rows.offsets[row + 1]])[::-1]
            y = mine[self.first - 1 : self.last]
            if len(y) >= 3:
                x = np.log(np.arange(self.first, self.first + len(y)))
                out[row] = _line(x, y)[_FITS.index(self.of)]
                status[row] = CONSTANT if np.isnan(out[row]) else scales.DEFINED
        return out, status


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return (−slope, R²) of the least-squares line."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = float((dx * dy).sum() / (dx * dx).sum())
    total = float((dy * dy).sum())
    left = float(((dy - slope * dx) ** 2).sum())
    return -slope, 1.0 - left / total if total > 0 else float("nan")
