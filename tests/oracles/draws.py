"""Designs of draws, many at once: which of n candidates each of many groups takes, bool [draws, n].

Written from the descriptions of the strategies, with random keys in place of permutations.
"""

from __future__ import annotations

import math

import numpy as np


def uniform(rng, draws, inside, size):
    """`size` of the True places, each set equally likely: the smallest of random keys."""
    keys = np.where(inside, rng.random((draws, inside.shape[-1])), np.inf)
    return smallest(keys, size)


def stratified(rng, draws, owner, bins, size):
    """Bins take turns, in random order within a turn, until `size` are taken."""
    n = len(owner)
    turn = np.empty((draws, n))
    for number in range(bins):
        mine = np.flatnonzero(owner == number)
        turn[:, mine] = np.argsort(np.argsort(rng.random((draws, len(mine))), axis=1), axis=1)
    order_of_bins = np.argsort(np.argsort(rng.random((draws, bins)), axis=1), axis=1)
    return smallest(turn * bins + order_of_bins[:, owner], size)


def mixture(rng, draws, window, target, number, size):
    """`number` of the target, then the rest of the window without those taken."""
    first = uniform(rng, draws, target, number)
    keys = np.where(window & ~first, rng.random((draws, window.shape[-1])), np.inf)
    return first | smallest(keys, size - number)


def quotas(rng, draws, parts, numbers):
    """So many of each disjoint part."""
    taken = np.zeros((draws, parts[0].shape[-1]), dtype=bool)
    for inside, number in zip(parts, numbers, strict=True):
        taken |= uniform(rng, draws, inside, number)
    return taken


def clocks(weight, size):
    """1 − exp(−τ·w), τ such that they sum to `size`: by bisection of τ in plain floats."""
    low, high = 0.0, 1.0
    while sum(-math.expm1(-high * w) for w in weight) < size:
        high *= 2
    for _ in range(200):
        tau = (low + high) / 2
        few = sum(-math.expm1(-tau * w) for w in weight) < size
        low, high = (tau, high) if few else (low, tau)
    return np.array([-math.expm1(-high * w) for w in weight])


def systematic(rng, draws, probability):
    """Points at distance 1 from a random start on a line of the probabilities in random order."""
    n, size = len(probability), round(probability.sum())
    order = np.argsort(rng.random((draws, n)), axis=1)
    ends = np.cumsum(probability[order], axis=1)
    points = rng.random((draws, 1)) + np.arange(size)[None, :]
    place = (ends[:, None, :] <= points[:, :, None]).sum(axis=2).clip(max=n - 1)
    taken = np.zeros((draws, n), dtype=bool)
    np.put_along_axis(taken, np.take_along_axis(order, place, axis=1), True, axis=1)
    return taken


def swaps(rng, draws, score, positive, size, entropy, steps):
    """A uniform group, then `steps` proposals to swap a random member for a random outsider; kept
    when the mean pair entropy (bits) of positive and members comes strictly closer to `entropy`."""
    n, others = len(score), np.delete(np.arange(len(score)), positive)
    order = others[np.argsort(rng.random((draws, n - 1)), axis=1)]
    members, outside = order[:, :size].copy(), order[:, size:].copy()
    chance = 1 / (1 + np.exp(score[None, :] - score[:, None]))  # of the row's document to be first
    bits = -(chance * np.log2(chance) + (1 - chance) * np.log2(1 - chance))
    np.fill_diagonal(bits, 0.0)

    def distance(members):
        group = np.concatenate([np.full((draws, 1), positive), members], axis=1)
        mean = bits[group[:, :, None], group[:, None, :]].sum((1, 2)) / (size * (size + 1))
        return np.abs(mean - entropy)

    row = np.arange(draws)
    for _ in range(steps):
        leaving, coming = rng.integers(size, size=draws), rng.integers(n - 1 - size, size=draws)
        proposed = members.copy()
        proposed[row, leaving] = outside[row, coming]
        better = distance(proposed) < distance(members) - 1e-12
        outside[row, coming] = np.where(better, members[row, leaving], outside[row, coming])
        members = np.where(better[:, None], proposed, members)
    taken = np.zeros((draws, n), dtype=bool)
    np.put_along_axis(taken, members, True, axis=1)
    return taken


def smallest(keys, size):
    """The `size` smallest keys of each row."""
    chosen = np.argpartition(keys, size - 1, axis=1)[:, :size]
    taken = np.zeros(keys.shape, dtype=bool)
    np.put_along_axis(taken, chosen, True, axis=1)
    return taken
