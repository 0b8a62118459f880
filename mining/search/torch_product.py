"""Exact search by matrix products on any torch device, in chunks that fit it.

Neither all queries nor all vectors need fit the device: a block of documents is multiplied with a
chunk of queries, and the best of both stay. Their scores are sums in float32 (TF32 off), so the
bound on rounding that makes the search exact holds here as it does for FAISS. A GPU that multiplies
bfloat16 rules most documents out by that first (`torch_narrow`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..meter.underway import so_far
from ..models.vectors import Vectors
from .torch_blocks import Block, blocks_of
from .torch_narrow import FIRST, Ruling

_QUERIES = {"cpu": 1024, "cuda": 2048}
_DOCS = {"cpu": 1 << 14, "cuda": 1 << 19}
_PLAIN = 1 << 16  # documents of a product in float32 on a GPU


def nearest_torch(
    vectors: np.ndarray, docs: Vectors, width: int, device: Any, *, narrow: bool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (scores float32, docs int64) [n, width], best first; `vectors` float32 [n, d].

    Which of several equal scores at the end of the list is kept is not defined. −1 ends a list.
    `narrow`: look at products in bfloat16 first; None: on GPUs that multiply it.
    """
    import torch

    here = torch.device(device)
    narrow = _multiplies_bfloat16(here) if narrow is None else narrow
    kind = here.type if here.type in _QUERIES else "cuda"
    step, most = _QUERIES[kind], _DOCS[kind]
    queries = torch.from_numpy(vectors).to(here)
    best = torch.full((len(vectors), width), -torch.inf, device=here)
    nearest = torch.full((len(vectors), width), -1, dtype=torch.int64, device=here)
    with _products_as_they_are(), torch.inference_mode():
        ruling = Ruling.of(queries, docs.width) if narrow else None
        first = max(FIRST, width) if narrow else most
        for block in blocks_of(docs, here, first=first, most=most, narrow=narrow):
            for at in range(0, len(vectors), step):
                piece = slice(at, at + step)
                lists = best[piece], nearest[piece]
                known = ruling is not None and block.first >= width
                better = ruling.better(block, piece, *lists) if known and ruling else None
                if better is None:
                    better = _every(block, queries[piece], *lists)
                best[piece], nearest[piece] = better
            so_far(block.first + len(block.rows), len(docs))
    return best.cpu().numpy(), nearest.cpu().numpy()


def _every(block: Block, queries: Any, best: Any, nearest: Any) -> tuple[Any, Any]:
    """Return the lists with the best of a block in them, all of it scored in float32."""
    import torch

    width = best.shape[1]
    for low in range(0, len(block.rows), _PLAIN):
        rows = block.rows[low : low + _PLAIN].float()
        score, near = (queries @ rows.T).topk(min(width, len(rows)), dim=1)
        near += block.first + low
        best, order = torch.cat([best, score], 1).topk(width, dim=1)
        nearest = torch.cat([nearest, near], 1).gather(1, order)
    return best, nearest


def _multiplies_bfloat16(here: Any) -> bool:
    """Say whether a device is a GPU with matrix units for bfloat16."""
    import torch

    return here.type == "cuda" and torch.cuda.get_device_capability(here) >= (8, 0)


@contextlib.contextmanager
def _products_as_they_are() -> Iterator[None]:
    """Let products in float32 be that, and sums of those in bfloat16 be kept in float32."""
    import torch

    matmul = torch.backends.cuda.matmul
    precision = torch.get_float32_matmul_precision()
    reduced = matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        matmul.allow_bf16_reduced_precision_reduction = reduced
