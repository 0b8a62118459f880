"""Blocks of document vectors on a torch device: kept there between searches where they fit.

A search of 2,048 queries multiplies faster than vectors cross to a GPU, so those of a worker stay
on it when they take at most half of what is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..devices import to_device
from ..models.vectors import Vectors

_GROWTH = 1  # a block is at most so many times what came before it: lists grow better step by step
_SHARE = 2  # of the free memory, one part in so many
_SUMS = 1 + 1e-9  # far above the rounding of lengths, which are summed in float64
_kept: WeakKeyDictionary[Vectors, dict[tuple[str, bool], list[Block]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Block:
    """Documents first, first + 1, …: `rows` [n, d] as they are stored.

    `narrow` bfloat16 [n, d], None where that was not asked for; `longest` and `lost` are at least
    the length of any row, and of what rounding one to bfloat16 takes away.
    """

    first: int
    rows: Any
    narrow: Any = None
    longest: float = 0.0
    lost: float = 0.0


def blocks_of(
    docs: Vectors, device: Any, *, first: int, most: int, narrow: bool
) -> Iterator[Block]:
    """Yield all documents in blocks of at most `most` rows; none reaches beyond a part.

    The first has `first` rows, a later one at most as many as all before it: what a search knows of
    its lists grows with what it has seen.
    """
    cuts = _cuts(docs, first, most)
    key = (f"{device} {first} {most}", narrow)
    kept = _kept.get(docs, {}).get(key)
    if kept is not None:
        yield from kept
        return
    keep: list[Block] | None = [] if _fits(docs, device, narrow) else None
    for part, start, low, high in cuts:
        stored = docs.part(part)[low:high]
        rows = to_device(stored if stored.flags.writeable else stored.copy(), device)
        block = _narrowed(start + low, rows) if narrow else Block(start + low, rows)
        if keep is not None:
            keep.append(block)
        yield block
    if keep is not None:
        _kept.setdefault(docs, {})[key] = keep


def _cuts(docs: Vectors, first: int, most: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (part, the part's first document, low, high)."""
    for part in docs.artifact.parts:
        low = 0
        while low < part.rows:
            seen = part.start + low
            size = min(most, max(first, _GROWTH * seen), part.rows - low)
            yield part.number, part.start, low, low + size
            low += size


def _fits(docs: Vectors, device: Any, narrow: bool) -> bool:
    """Say whether all vectors may stay on a device; on a processor they are mapped anyway."""
    if device.type != "cuda":
        return False
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    size = {"float16": 2, "float32": 4}[str(docs.artifact.parameters["dtype"])]
    components = len(docs) * docs.width
    return components * (size + (2 if narrow else 0)) * _SHARE <= int(free)


def _narrowed(first: int, rows: Any) -> Block:
    import torch

    narrow = rows.to(torch.bfloat16)
    norm = torch.linalg.vector_norm
    longest = norm(rows, dim=1, dtype=torch.float64).max()
    lost = norm(rows.float() - narrow.float(), dim=1, dtype=torch.float64).max()
    both: list[float] = (torch.stack([longest, lost]) * _SUMS).tolist()
    return Block(first, rows, narrow, *both)
