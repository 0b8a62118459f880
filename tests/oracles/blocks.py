"""The obvious version of the search for blocks: every group measured from its definition, one
proposal at a time, and all groups of tiny pools listed.

Entropy and distances come from `oracles.entropy` and `oracles.geometry`; draws from Python
integers.
"""

from __future__ import annotations

import itertools

import numpy as np
from oracles import geometry
from oracles.entropy import pair_entropy

MASK = 0xFFFFFFFF
LEAST_GAIN = 1e-12


class Draws:
    """Draw number 0, 1, … of a key: two rounds of the 32-bit mixer "lowbias32"."""

    def __init__(self, key: int):
        self.halves, self.number = (key & MASK, key >> 32), 0

    def below(self, bound: int) -> int:
        x = self.number & MASK
        self.number += 1
        for half in self.halves:
            x ^= half
            x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
            x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
            x ^= x >> 16
        return x * bound >> 32


class Row:
    """One query: scores divided by T, vectors, positives first; what a group of it measures."""

    def __init__(self, score, vectors, positives, size, locality="mean", cosine=False, pairs=None):
        self.score, self.vectors = list(score), np.asarray(vectors, np.float64)
        self.positives, self.size = positives, size
        self.locality, self.cosine, self.pairs = locality, cosine, pairs
        self.groups_measured = {}

    def measure(self, group) -> tuple[float, float]:
        """(Δ, H in bits) of the items `group`, positives first."""
        key = tuple(group)
        if key not in self.groups_measured:
            self.groups_measured[key] = self._locality(key), self._entropy(key)
        return self.groups_measured[key]

    def _locality(self, group) -> float:
        rows = self.vectors[list(group)]
        far = geometry.distances(rows)
        far = far**2 / 2 if self.cosine else far
        if self.locality == "diameter":
            return float(far.max())
        own = far[: len(group) - 1]  # pairs 01, 02, … come first
        return float(own.max() if self.locality == "max" else own.mean())

    def _entropy(self, group) -> float:
        p = self.positives
        all_pairs = itertools.combinations(range(len(group)), 2)
        wanted = {None: (0, 1, 2), "pos_neg": (1,), "neg_neg": (0,)}[self.pairs]
        chosen = [(i, j) for i, j in all_pairs if (i < p) + (j < p) in wanted]
        return pair_entropy([self.score[i] for i in group], pairs=chosen)

    def every_group(self):
        """All groups as tuples of items: for tiny pools."""
        rest = range(self.positives, len(self.score))
        first = tuple(range(self.positives))
        for chosen in itertools.combinations(rest, self.size - self.positives):
            yield (*first, *chosen)

    def reach(self) -> tuple[float, float]:
        """The least and largest locality of all groups, by listing them."""
        found = [self.measure(group)[0] for group in self.every_group()]
        return min(found), max(found)


def levels(low, high, span, bins):
    """Targets around the middle of a range."""
    return [(low + high) / 2 + span * (i / (bins - 1) - 0.5) * (high - low) for i in range(bins)]


def search(row: Row, draws: Draws, steps: int, value, enough=-np.inf):
    """From a uniform draw, keep each proposed swap that lowers value(Δ, H), until it is enough."""
    n, p, size = len(row.score), row.positives, row.size
    order = list(range(n))
    for i in range(p, size):
        j = i + draws.below(n - i)
        order[i], order[j] = order[j], order[i]
    best = value(*row.measure(order[:size]))
    for _ in range(steps if n > size else 0):
        if best <= enough:
            break
        slot, comer = p + draws.below(size - p), size + draws.below(n - size)
        order[slot], order[comer] = order[comer], order[slot]
        now = value(*row.measure(order[:size]))
        if now < best - LEAST_GAIN:
            best = now
        else:
            order[slot], order[comer] = order[comer], order[slot]
    return order[:size]


def block(row: Row, key: int, bins, span, tolerance, least, steps):
    """(status, groups by cell, levels of locality, of entropy), as native.blocks finds them."""
    draws = Draws(key)
    if row.locality == "diameter":
        low = row.measure(search(row, draws, steps, lambda far, _: far))[0]
        high = row.measure(search(row, draws, steps, lambda far, _: -far))[0]
    else:
        low, high = row.reach()
    near = levels(low, high, span, bins)
    step = span * (high - low) / (bins - 1)
    if step < least[0]:
        return "locality_too_narrow", None, near, None
    low, high = 0.0, 1.0
    for level in near:

        def at_level(far, bits, sign, level=level):
            off = abs(far - level) / step
            return 10 + off if off > tolerance else sign * bits

        ends = []
        for sign in (1, -1):
            group = search(row, draws, steps, lambda f, h, sign=sign: at_level(f, h, sign))
            far, bits = row.measure(group)
            if abs(far - level) / step > tolerance:
                return "cell_not_attained", None, near, None
            ends.append(bits)
        low, high = max(low, ends[0]), min(high, ends[1])
    sure = levels(low, high, span, bins)
    rise = span * (high - low) / (bins - 1)
    if rise < least[1]:
        return "entropy_too_narrow", None, near, sure
    groups = []
    for far_level, bit_level in itertools.product(near, sure):

        def miss(far, bits, far_level=far_level, bit_level=bit_level):
            return ((far - far_level) / step) ** 2 + ((bits - bit_level) / rise) ** 2

        groups.append(search(row, draws, steps, miss, (0.1 * tolerance) ** 2))
    return "found", groups, near, sure
