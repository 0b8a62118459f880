"""The order of a blend, written slowly: block by block, example by example (docs/training.md)."""

from __future__ import annotations

from collections.abc import Sequence

from rankmill.mining.draws import key_of

ROUNDS = 6


def bijection(x: int, size: int, keys: Sequence[int]) -> int:
    """Image of x on 0 … size−1: Feistel rounds on the halves of x, walked until inside."""
    bits = 6
    while 1 << bits < size:
        bits += 1
    right_bits = bits - bits // 2
    while True:
        left, right = x >> right_bits, x % (1 << right_bits)
        for r, key in enumerate(keys):
            h = right if r % 2 == 0 else left
            h = ((h ^ key) % 2**32) * 0x9E3779B1 % 2**32
            h = (h ^ (h >> 15)) * 0x85EBCA77 % 2**32
            h = (h ^ (h >> 13)) * 0xC2B2AE3D % 2**32
            h ^= h >> 16
            if r % 2 == 0:
                left ^= h % (1 << (bits // 2))
            else:
                right ^= h % (1 << right_bits)
        x = (left << right_bits) | right
        if x < size:
            return x


def keys(seed: int, stage: str, number: int) -> list[int]:
    """Round keys of a block or an epoch."""
    return [int(key_of(seed, stage, f"{number}/{r}")) for r in range(ROUNDS)]


def blended(sizes: Sequence[int], counts: Sequence[int], seed: int, positions: int):
    """Return (part, row of the part, epoch of the part) of the first positions."""
    deck = [part for part, count in enumerate(counts) for _ in range(count)]
    seen = [0] * len(sizes)  # examples of each part in whole blocks before
    order = []
    for block in range(positions // len(deck) + 1):
        for slot in range(len(deck)):
            card = bijection(slot, len(deck), keys(seed, "blend", block))
            part = deck[card]
            own = seen[part] + card - deck.index(part)
            epoch, index = divmod(own, sizes[part])
            of_part = seed if part == 0 else int(key_of(seed, "blend", part)) % 2**63
            row = bijection(index, sizes[part], keys(of_part, "order", epoch))
            order.append((part, row, epoch))
        seen = [before + count for before, count in zip(seen, counts, strict=True)]
    return order[:positions]
