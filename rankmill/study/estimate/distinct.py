"""How many different documents the lists of so many queries hold, by the lists of samples.

What is made of the documents of lists, `encode=listed`, is not linear in queries: lists share
documents. Two ways go on from the samples, and the truth lies between them:

- flat: let a query's list hold document i with the probability p_i, the p_i of the N documents
  being draws of Beta(a, b) with the mean m/N, m the mean length of a list. Then q lists hold
  D(q) = N · (1 − B(a, b + q) / B(a, b)) different ones in the mean. The one unknown, a (small: the
  lists hold the same few), is what fits the samples best. Documents are less alike than draws of
  a Beta: some are listed so seldom that no sample tells, so this is too few.
- straight: log D against log q flattens, so a line through the largest sample and half of its
  queries is too many.

The point is their geometric mean, the ends are the two, a tenth wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankmill.study.estimate.fit import Interval

_WIDER = 1.1
_SHAPES = np.exp(np.linspace(math.log(1e-4), math.log(1e4), 400))


@dataclass(frozen=True, slots=True)
class Lists:
    """What the lists of one sample hold: of so many queries, so many pairs of query and document,
    so many different documents of a corpus of `documents`; `half` of its queries hold in the
    mean."""

    queries: int
    pairs: int
    distinct: int
    half: float
    documents: int


def lists_of(docs: np.ndarray, queries: int, documents: int) -> Lists:
    """Describe lists by their documents, one after the other (a list holds a document once)."""
    from scipy.special import gammaln

    counts = np.bincount(docs, minlength=1)
    counts = counts[counts > 0].astype(np.float64)
    half = queries // 2
    # a document of c lists is in none of the half with the chance C(n − c, half) / C(n, half)
    left = np.maximum(queries - counts - half, -1.0)  # below 0: half must hold one of them
    missed = gammaln(queries - counts + 1) - gammaln(left + 1)
    missed += gammaln(queries - half + 1) - gammaln(queries + 1)
    held = len(counts) - float(np.exp(np.where(left < 0, -np.inf, missed)).sum())
    return Lists(queries, len(docs), len(counts), held, documents)


def distinct_at(
    samples: Sequence[Lists], queries: float, documents: float, *, slices: bool
) -> Interval:
    """Return how many different documents the lists of `queries` queries hold.

    `documents`: of the whole corpus; `slices`: the samples are of parts of it, where lists share
    more: then at most as many as if they shared nothing. Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("no sample has lists")
    length = sum(one.pairs for one in samples) / sum(one.queries for one in samples)
    most = min(documents, length * queries)
    largest = max(one.queries for one in samples)
    of_largest = [one for one in samples if one.queries == largest]
    seen, half = (
        float(np.mean([getattr(one, name) for one in of_largest])) for name in ("distinct", "half")
    )
    if not seen or not most:
        return Interval(0.0, 0.0, most)
    shape, ratio = _shape(samples), queries / largest
    flat = seen * (
        _distinct(shape, length, documents, queries) / _distinct(shape, length, documents, largest)
    )
    steep = 1.0  # with one query: as if further lists shared nothing
    if half:
        steep = min(1.0, math.log(seen / half) / math.log(largest / (largest // 2)))
    low, high = sorted(min(most, one) for one in (flat, seen * ratio**steep))
    point = math.sqrt(low * high)
    return Interval(point, low / _WIDER, most if slices else min(most, high * _WIDER))


def _shape(samples: Sequence[Lists]) -> float:
    """Return the a of which D(q) fits the samples best, by the squares of their ratios; the
    smallest samples hardly tell, and count by their pairs."""
    misfit = np.zeros(len(_SHAPES))
    for one in samples:
        if one.pairs:
            length = one.pairs / one.queries
            made = np.array([_distinct(a, length, one.documents, one.queries) for a in _SHAPES])
            misfit += one.pairs * np.log(made / one.distinct) ** 2
    return float(_SHAPES[int(misfit.argmin())])


def _distinct(a: float, length: float, documents: float, queries: float) -> float:
    """Return D(q)."""
    share = min(length / documents, 1 - 1e-9)
    b = a * (1 - share) / share
    # B(a, b + q) / B(a, b) as a product: log gammas of large b would cancel to nothing
    steps = np.arange(round(queries), dtype=np.float64)
    return -documents * math.expm1(float(np.log1p(-a / (a + b + steps)).sum()))
