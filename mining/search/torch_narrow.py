"""What products in bfloat16 rule out of a search on a torch device; the rest is scored in float32.

The proof is that of `native.nearest`: a product v of rounded components, rounded itself, lies
within B + c·|v| of the exact one, B = ‖q − q̃‖·‖d‖ + ‖q̃‖·‖d − d̃‖ + (rounding of the sums), c = 2⁻⁸.
A document whose product is below L − B − c·(|L| + B), L the lowest score of a full list, scores
less than that list's last. Here B takes the longest document of a block.

Matrix units may cut sums off where float32 would round: the bound allows for four times the
rounding of float32 sums. Products are looked at in groups first, by their largest, while they are
in the cache of the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .torch_blocks import Block

FIRST = 1 << 15  # documents that are scored in float32 before anything is ruled out
_TILE = 1 << 13  # documents of a product
_GROUP = 32  # products of which the largest is looked at first
_CLOSE = 4096  # groups of a query and block, on average, that are looked into
_ROOM = 32  # documents of a query and block, in widths of its list, that are scored
_PAIRS = 1 << 18  # scored at a time
_ROUNDING = 2.0**-8 * 1.05  # of a product to bfloat16, relative to it
_STEP = 2.0**-8 * 1.05  # a bfloat16 lower by at least the rounding of what it is made from
_SUMS = 2.0**-21  # of one addition, for the product and for the score
_LEAST, _MOST = 2.0**-126, 2.0**120  # less may count for 0; sums must not overflow


@dataclass(frozen=True, slots=True)
class Ruling:
    """Queries [n, d], in float32 and bfloat16, and float64 [n, 2]: their lengths and what was lost.

    `most` is the longest document that products cannot overflow with.
    """

    queries: Any
    narrow: Any
    lengths: Any
    terms: int
    most: float

    @classmethod
    def of(cls, queries: Any, width: int) -> Ruling:
        """Round queries [n, width]."""
        import torch

        narrow = queries.to(torch.bfloat16)
        norm = torch.linalg.vector_norm
        whole = norm(queries, dim=1, dtype=torch.float64)
        lost = norm(queries.double() - narrow.double(), dim=1)
        longest = float((whole + lost).max()) if len(queries) else 0.0
        return cls(
            queries, narrow, torch.stack([whole, lost], 1), width + 4, _MOST / max(longest, 1.0)
        )

    def better(self, block: Block, piece: slice, best: Any, nearest: Any) -> tuple[Any, Any] | None:
        """Return the lists [queries of `piece`, width] with the best of a block in them.

        None where too many documents cannot be ruled out, or products might overflow.
        """
        import torch

        if not block.longest + block.lost <= self.most:
            return None
        floor = self._floor(block, piece, best[:, -1].double())
        products, close = self._close(block, piece, floor)
        query, group = close.nonzero(as_tuple=True)
        if len(query) > _CLOSE * len(floor):
            return None
        reach = products[query, group] >= floor[query, None]
        at, inside = reach.nonzero(as_tuple=True)
        query, doc = query[at], group[at] * _GROUP + inside
        count = torch.bincount(query, minlength=len(floor))
        widest = int(count.max())
        if widest > _ROOM * best.shape[1]:
            return None
        if not widest:
            return best, nearest
        score = _scores(self.queries[piece], block.rows, query, doc)
        rank = torch.arange(len(query), device=query.device) - (count.cumsum(0) - count)[query]
        more = best.new_full((len(floor), widest), -torch.inf)
        names = nearest.new_full((len(floor), widest), -1)
        more[query, rank], names[query, rank] = score, doc + block.first
        best, order = torch.cat([best, more], 1).topk(best.shape[1], dim=1)
        return best, torch.cat([nearest, names], 1).gather(1, order)

    def _floor(self, block: Block, piece: slice, last: Any) -> Any:
        """Return what no product of a document of the lists lies below: bfloat16 [n]."""
        import torch

        whole, gone = self.lengths[piece].unbind(1)
        kept = whole + gone  # at most: the length of a query in bfloat16
        bound = gone * block.longest + kept * block.lost
        sums = _SUMS * kept * (block.longest + block.lost)
        sums += _LEAST * (1.0 + block.longest + whole)
        bound += self.terms * sums
        floor = last - bound - _ROUNDING * (last.abs() + bound)
        return (floor - _STEP * floor.abs() - _LEAST).to(torch.bfloat16)

    def _close(self, block: Block, piece: slice, floor: Any) -> tuple[Any, Any]:
        """Return the products, bfloat16 [n, groups, group], and which groups reach the floor."""
        import torch

        queries, rows = self.narrow[piece], len(block.narrow)
        groups = -(-rows // _GROUP)
        products = queries.new_empty((len(queries), groups * _GROUP))
        close = torch.empty((len(queries), groups), dtype=torch.bool, device=queries.device)
        products[:, rows:] = -torch.inf
        for low in range(0, rows, _TILE):
            high = min(low + _TILE, rows)
            torch.mm(queries, block.narrow[low:high].T, out=products[:, low:high])
            some = slice(low // _GROUP, -(-high // _GROUP))
            tile = products[:, some.start * _GROUP : some.stop * _GROUP]
            largest = tile.unflatten(1, (-1, _GROUP)).amax(dim=2)
            torch.ge(largest, floor[:, None], out=close[:, some])
        return products.unflatten(1, (-1, _GROUP)), close


def _scores(queries: Any, rows: Any, query: Any, doc: Any) -> Any:
    """Return the products of pairs, summed in float32: [pairs]."""
    import torch

    done = [
        (queries[query[low : low + _PAIRS]] * rows[doc[low : low + _PAIRS]].float()).sum(dim=1)
        for low in range(0, len(query), _PAIRS)
    ]
    return torch.cat(done)
