"""Two teachers' scores of one list, compared as the definitions say: plain loops over floats."""

from __future__ import annotations

import itertools
import math
import statistics

from oracles.losses import divergence, softmax


def standardised(scores):
    """(s − mean)/population standard deviation."""
    mean, deviation = statistics.fmean(scores), statistics.pstdev(scores)
    return [(s - mean) / deviation for s in scores]


def jensen_shannon(x, y, T: float = 1.0) -> float:
    """½ KL(p‖m) + ½ KL(q‖m), p = softmax(x/T), q = softmax(y/T), m = ½(p + q), nats."""
    p, q = (softmax([s / T for s in scores]) for scores in (x, y))
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (divergence(p, middle) + divergence(q, middle)) / 2


def inverted_pairs(x, y, positive):
    """Of the pairs of a positive and a negative the share in opposite order; None without one."""
    roles = range(len(x))
    pairs = [(i, j) for i in roles for j in roles if positive[i] and not positive[j]]
    if not pairs:
        return None
    opposite = [(x[i] - x[j]) * (y[i] - y[j]) < 0 for i, j in pairs]
    return sum(opposite) / len(pairs)


def over_pairs(compare, teachers):
    """The mean of a comparison over all pairs of teachers; None where one of them is None."""
    values = [compare(a, b) for a, b in itertools.combinations(teachers, 2)]
    return None if None in values else math.fsum(values) / len(values)
