"""Floors to begin an exact search with, guessed from a sample of the documents.

A list of the best k of n documents takes in some k·(1 + ln(n/k)) on its way, most of which fall out
again: for k = 1,000 that costs as much as half of the products. Above a floor guessed first, hardly
more is kept than is listed. A guess decides nothing: where the kept documents give a higher floor,
all that belongs to the list was kept; where they do not, the search begins again without a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import numpy as np

from ..draws import generator
from ..models.vectors import Vectors

_SPACINGS = (16, 32, 64, 128)
_MOST = 1 << 16  # documents of a sample
_TAKEN = 2000  # products of two components that take as long as keeping one document
_SURE = 5.0  # standard deviations between the guess and what it must not pass


@dataclass(frozen=True, slots=True)
class Sample:
    """One document of every `spacing`; the product of its `rank`-th best is the guess."""

    spacing: int
    rank: int


def sample_for(rows: int, width: int, depth: int) -> Sample | None:
    """Return the cheapest sample for lists of `depth` documents of so many; None: none pays.

    Of the best k a sample holds k/s on average, with a deviation of √(k/s) at most.
    """
    if not 0 < depth < rows:
        return None
    cheapest, least = None, _TAKEN * depth * (1 + log(rows / depth))
    for spacing in _SPACINGS:
        share = depth / spacing
        rank = ceil(share + _SURE * share**0.5 + 3)
        cost = rows * width / spacing + _TAKEN * (2 * rank + spacing * rank)
        if cost < least and spacing * rank < rows and rows <= spacing * _MOST:
            cheapest, least = Sample(spacing, rank), cost
    return cheapest


def sampled(docs: Vectors, spacing: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (ordinals int64 [n], rows [n, d] as they are stored) of a sample of all documents.

    One is drawn from every so many neighbours, so that neither order nor repetition misleads.
    """
    ordinals, rows = [], []
    for part in docs.artifact.parts:
        low = np.arange(0, part.rows, spacing)
        high = np.minimum(low + spacing, part.rows)
        drawn = generator(0, "dense.opening", part.start).integers(low, high)
        ordinals.append(part.start + drawn)
        rows.append(docs.part(part.number)[drawn])
    return np.concatenate(ordinals), np.concatenate(rows)
