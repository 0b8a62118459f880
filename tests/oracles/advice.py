"""Advice the slow way: normal equations, and every collection left out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]  # corpus, block, design, family, gain, cost, statistics


def ridge(rows: Rows, features: list[str], strength: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (weights, scale, level) by the normal equations."""
    corpora = sorted({row["corpus"] for row in rows})
    rows_x, rows_g, shares = [], [], []
    for row in rows:
        same = [other for other in rows if other["block"] == row["block"]]
        own = [other for other in rows if other["corpus"] == row["corpus"]]
        means = [np.mean([other["statistics"][f] for other in same]) for f in features]
        rows_x.append([row["statistics"][f] - m for f, m in zip(features, means, strict=True)])
        rows_g.append(row["gain"] - np.mean([other["gain"] for other in same]))
        shares.append(1 / len(own))
    x, g, w = np.array(rows_x), np.array(rows_g), np.diag(shares)
    scale = np.sqrt(np.diag(x.T @ w @ x) / len(corpora))
    z = x / scale
    level = np.mean([np.mean([r["gain"] for r in rows if r["corpus"] == c]) for c in corpora])
    if math.isinf(strength):
        return np.zeros(len(features)), scale, float(level)
    matrix = z.T @ w @ z + strength * np.eye(len(features))
    return np.linalg.solve(matrix, z.T @ w @ g), scale, float(level)


def predicted(rows: Rows, block: Rows, features: list[str], strength: float) -> list[float]:
    """Return the predicted gains of a block's designs."""
    weights, scale, level = ridge(rows, features, strength)
    means = [np.mean([row["statistics"][f] for row in block]) for f in features]
    return [
        level
        + sum(
            weights[k] * (row["statistics"][f] - means[k]) / scale[k]
            for k, f in enumerate(features)
        )
        for row in block
    ]


def strength_of(rows: Rows, features: list[str], strengths: list[float]) -> float:
    """Return the strength with the least error on collections left out, the first of equal ones."""
    errors = []
    for strength in strengths:
        total = 0.0
        for corpus in dict.fromkeys(row["corpus"] for row in rows):
            others = [row for row in rows if row["corpus"] != corpus]
            squares = []
            for name in dict.fromkeys(r["block"] for r in rows if r["corpus"] == corpus):
                block = [row for row in rows if row["block"] == name]
                told = predicted(others, block, features, strength)
                for row, one in zip(block, told, strict=True):
                    gap = row["gain"] - np.mean([r["gain"] for r in block])
                    squares.append((gap - (one - np.mean(told))) ** 2)
            total += np.mean(squares)
        errors.append(total)
    return strengths[int(np.argmin(errors))]


def worth(gain: float, cost: float, costs: list[float], by: str) -> float:
    """Return what a design is worth in its block."""
    if by == "gain" or gain <= 0:
        return gain
    return gain / (cost / math.exp(sum(math.log(c) for c in costs) / len(costs)))


def losses(
    rows: Rows, features: list[str], strengths: list[float], by: str, family: str | None
) -> dict[str, float]:
    """Return by collection what the advice, or «always family», loses against the best design."""
    lost = {}
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        others = [row for row in rows if row["corpus"] != corpus]
        strength = strength_of(others, features, strengths)
        of_blocks = []
        for name in dict.fromkeys(r["block"] for r in rows if r["corpus"] == corpus):
            block = [row for row in rows if row["block"] == name]
            costs = [row["cost"] for row in block]
            true = [worth(row["gain"], row["cost"], costs, by) for row in block]
            if family is None:
                told = predicted(others, block, features, strength)
                told = [worth(g, c, costs, by) for g, c in zip(told, costs, strict=True)]
                value = true[int(np.argmax(told))]
            else:
                mine = [t for t, r in zip(true, block, strict=True) if r["family"] == family]
                value = float(np.mean(mine))
            of_blocks.append(max(true) - value)
        lost[corpus] = float(np.mean(of_blocks))
    return lost
