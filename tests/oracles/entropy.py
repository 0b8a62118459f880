"""The obvious float64 versions of the entropy statistics: one query, one formula, no speed.

Pairs are walked in the order 01, 02, 03, 12, …; binary entropies are written with log1p and expm1
instead of p·log(p) so that the oracle itself has no epsilon and no 0·log 0.
"""

from __future__ import annotations

import itertools
import math

import numpy as np


def log_sigmoid(z: float) -> float:
    """s = log σ(z), finite for every finite z."""
    return min(z, 0.0) - math.log1p(math.exp(-abs(z)))


def logit_of(s: float) -> float:
    """z = s − log(−expm1(s)); s = 0 is saturated and gives inf."""
    return math.inf if s == 0.0 else s - math.log(-math.expm1(s))


def binary_entropy_nats(x: float) -> float:
    """Entropy of a coin with log-odds x: softplus(−|x|) + |x|·σ(−|x|)."""
    r = math.exp(-abs(x))
    return math.log1p(r) + abs(x) * r / (1.0 + r)


def pair_entropy(scores, T: float = 1.0, pairs=None) -> float:
    """D3 in bits; `pairs` = list of (i, j), all i < j by default."""
    pairs = list(itertools.combinations(range(len(scores)), 2)) if pairs is None else pairs
    nats = [binary_entropy_nats((scores[i] - scores[j]) / T) for i, j in pairs]
    return math.fsum(nats) / len(nats) / math.log(2.0)


def pairs_by_role(positive):
    """All pairs i < j by how many of the two are positive: (pos_pos, pos_neg, neg_neg)."""
    roles = {2: [], 1: [], 0: []}
    for i, j in itertools.combinations(range(len(positive)), 2):
        roles[int(bool(positive[i])) + int(bool(positive[j]))].append((i, j))
    return roles[2], roles[1], roles[0]


def misorder(scores, T: float = 1.0) -> float:
    """D4: mean over pairs of min(p, 1 − p)."""
    chance = [
        math.exp(-abs(a - b) / T) / (1.0 + math.exp(-abs(a - b) / T))
        for a, b in itertools.combinations(scores, 2)
    ]
    return math.fsum(chance) / len(chance)


def binary_entropy_bits(p: float) -> float:
    return sum(-x * math.log2(x) for x in (p, 1.0 - p) if x > 0.0)


def inverse_binary_entropy(bits: float) -> float:
    """The p in [0, ½] with h₂(p) = bits, by bisection."""
    low, high = 0.0, 0.5
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if binary_entropy_bits(middle) < bits else (low, middle)
    return (low + high) / 2.0


def softmax(scores, T: float = 1.0):
    top = max(scores)
    weights = [math.exp((s - top) / T) for s in scores]
    return [w / math.fsum(weights) for w in weights]


def list_entropy(scores, T: float = 1.0) -> float:
    """−Σ q ln q in nats, q = softmax(scores / T); as ln Z − Σ q·x so that q = 0 needs no rule."""
    top = max(scores)
    x = [(s - top) / T for s in scores]
    rest = sorted(math.exp(v) for v in x)[:-1]  # all but one document with the highest score
    q = softmax(scores, T)
    return math.log1p(math.fsum(rest)) - math.fsum(p * v for p, v in zip(q, x, strict=True))


def effective_size(scores, T: float = 1.0) -> float:
    return 1.0 / math.fsum(p * p for p in softmax(scores, T))


def agreement(scores, positive, margin: float) -> dict[str, float]:
    """Quantities 6 and 7 for one group: s_0 is the score of item 0, j runs over the negatives."""
    first = scores[0]
    negatives = [s for s, p in zip(scores, positive, strict=True) if not p]
    gaps = [first - s for s in negatives]
    centre = math.fsum(gaps) / len(gaps)
    mean = math.fsum(scores) / len(scores)
    return {
        "first": float(all(first >= s for s in scores)),
        "rank": 1.0 + sum(s > first for s in scores[1:]),
        "ties": float(sum(s == first for s in scores[1:])),
        "suspects": float(sum(s >= first - margin for s in negatives)),
        "margin_min": min(gaps),
        "margin_mean": centre,
        "margin_variance": math.fsum((g - centre) ** 2 for g in gaps) / len(gaps),
        "variance": math.fsum((s - mean) ** 2 for s in scores) / len(scores),
    }


def all_pair_columns(scores, positive, T: float = 1.0) -> dict[str, float]:
    """D3 of all pairs and of each role in bits, and D4, of one list; NaN where no such pair is.

    What `pair_entropy` and `misorder` say (a test holds them together), with numpy's float64
    functions over the matrix of differences, so that lists of a thousand take no minutes.
    """
    s, marks = np.asarray(scores, np.float64), np.asarray(positive, bool)
    i, j = np.triu_indices(len(s), 1)
    with np.errstate(over="ignore", under="ignore"):  # x = inf is a pair that T decides wholly
        x = np.abs(s[i] - s[j]) / T
        r = np.exp(-x)
    q = r / (1.0 + r)
    bits = (np.log1p(r) + np.where(r > 0.0, np.minimum(x, 1e4) * q, 0.0)) / math.log(2.0)
    role = marks[i].astype(int) + marks[j]
    parts = {"all": bits, "pos_pos": bits[role == 2], "pos_neg": bits[role == 1]}
    parts |= {"neg_neg": bits[role == 0], "misorder": q}
    return {  # numpy sums in pairs: 20 roundings for a million terms
        name: float(part.mean()) if len(part) else math.nan for name, part in parts.items()
    }


def positives_won(scores, offsets, positive) -> list[int]:
    """Count the pairs of a row, a positive and another document, that the positive wins, loses."""
    won = lost = 0
    for low, high in zip(offsets[:-1], offsets[1:], strict=True):
        for mine in range(low, high):
            for other in range(low, high):
                if positive[mine] and not positive[other]:
                    won += bool(scores[mine] > scores[other])
                    lost += bool(scores[mine] < scores[other])
    return [won, lost]
