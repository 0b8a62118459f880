"""The obvious O(n²) versions of what two orders of the same documents have in common."""

from __future__ import annotations

import itertools
import math


def pair_counts(x, y):
    """(concordant, discordant, tied in x alone, tied in y alone, tied in both) over pairs i < j."""
    counts = [0, 0, 0, 0, 0]
    for i, j in itertools.combinations(range(len(x)), 2):
        a, b = (x[i] > x[j]) - (x[i] < x[j]), (y[i] > y[j]) - (y[i] < y[j])
        if a and b:
            counts[0 if a == b else 1] += 1
        elif b:
            counts[2] += 1
        elif a:
            counts[3] += 1
        else:
            counts[4] += 1
    return tuple(counts)


def pair_risk(f, y, ties: str = "error"):
    """D1 for one query under the uniform μ over its documents; None without a pair that counts."""
    wrong, pairs = 0.0, 0
    for i, j in itertools.combinations(range(len(f)), 2):
        if y[i] == y[j]:
            continue
        pairs += 1
        if f[i] == f[j]:
            wrong += 1.0 if ties == "error" else 0.5
        elif (f[i] > f[j]) != (y[i] > y[j]):
            wrong += 1.0
    return wrong / pairs if pairs else None


def kendall_tau_b(x, y):
    """τ-b = (C − D)/√((pairs not tied in x)(those not tied in y)); None where one is constant."""
    concordant, discordant, x_alone, y_alone, _ = pair_counts(x, y)
    in_x, in_y = concordant + discordant + y_alone, concordant + discordant + x_alone
    return (concordant - discordant) / math.sqrt(in_x * in_y) if in_x and in_y else None


def divergence(g, f, T: float = 1.0, scale: float = 1.0) -> float:
    """KL(softmax(g/T) ‖ softmax(scale·f)) in nats."""
    from oracles.losses import softmax

    p, q = softmax([x / T for x in g]), softmax([scale * x for x in f])
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
