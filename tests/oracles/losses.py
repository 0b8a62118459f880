"""Losses of one group as their papers write them: plain loops over lists of floats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Scores = Sequence[float]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(scores: Scores) -> list[float]:
    powers = [math.exp(s - max(scores)) for s in scores]
    return [p / sum(powers) for p in powers]


def pairs(scores: Scores) -> list[tuple[int, int]]:
    return [(i, j) for i in range(len(scores)) for j in range(i + 1, len(scores))]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def divergence(p: Scores, q: Scores) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def lce(f: Scores, g: Scores) -> float:
    return -math.log(softmax(f)[0])


def kl(f: Scores, g: Scores) -> float:
    return divergence(softmax(g), softmax(f))


def reverse_kl(f: Scores, g: Scores) -> float:
    return divergence(softmax(f), softmax(g))


def jensen_shannon(f: Scores, g: Scores) -> float:
    p, q = softmax(g), softmax(f)
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (divergence(p, middle) + divergence(q, middle)) / 2


def margin_mse(f: Scores, g: Scores) -> float:
    return mean([((f[0] - f[j]) - (g[0] - g[j])) ** 2 for j in range(1, len(f))])


def margin_mse_all(f: Scores, g: Scores) -> float:
    return mean([((f[i] - f[j]) - (g[i] - g[j])) ** 2 for i, j in pairs(f)])


def mse(f: Scores, g: Scores) -> float:
    return mean([(a - b) ** 2 for a, b in zip(f, g, strict=True)])


def cross_entropy(p: float, q: float) -> float:
    return -p * math.log(q) - (1 - p) * math.log(1 - q)


def bce(f: Scores, g: Scores) -> float:
    return mean([cross_entropy(sigmoid(b), sigmoid(a)) for a, b in zip(f, g, strict=True)])


def ranknet_soft(f: Scores, g: Scores) -> float:
    return mean([cross_entropy(sigmoid(g[i] - g[j]), sigmoid(f[i] - f[j])) for i, j in pairs(f)])


def ranknet_hard(f: Scores, g: Scores) -> float:
    return mean([cross_entropy(float(g[i] > g[j]), sigmoid(f[i] - f[j])) for i, j in pairs(f)])


def listnet(f: Scores, g: Scores) -> float:
    return -sum(p * math.log(q) for p, q in zip(softmax(g), softmax(f), strict=True))


def listmle(f: Scores, g: Scores) -> float:
    order = sorted(range(len(g)), key=lambda i: -g[i])
    left = [math.exp(f[i]) for i in order]
    return -sum(math.log(left[i] / sum(left[i:])) for i in range(len(left)))


def brier(f: Scores, g: Scores) -> float:
    return sum((p - q) ** 2 for p, q in zip(softmax(g), softmax(f), strict=True))


def itakura_saito(f: Scores, g: Scores) -> float:
    ratios = [p / q for p, q in zip(softmax(g), softmax(f), strict=True)]
    return sum(r - math.log(r) - 1 for r in ratios)


LOSSES: dict[str, Callable[[Scores, Scores], float]] = {
    "lce": lce,
    "infonce": lce,
    "kl": kl,
    "reverse_kl": reverse_kl,
    "jensen_shannon": jensen_shannon,
    "margin_mse": margin_mse,
    "margin_mse(pairs=all)": margin_mse_all,
    "mse": mse,
    "bce": bce,
    "ranknet_soft": ranknet_soft,
    "ranknet_hard": ranknet_hard,
    "listnet": listnet,
    "listmle": listmle,
    "bregman": kl,
    "bregman(phi=squared)": brier,
    "bregman(phi=burg)": itakura_saito,
}
