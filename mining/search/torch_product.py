"""Exact search by matrix products on any torch device, in chunks that fit it.

Neither all queries nor all vectors need fit the device: a block of documents is multiplied with a
chunk of queries, and the best of both stay. Products are in float32 (TF32 off), so the bound on
rounding that makes the search exact holds here as it does for FAISS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..models.vectors import Vectors

_QUERIES = {"cpu": 1024, "cuda": 4096}
_DOCS = {"cpu": 1 << 14, "cuda": 1 << 18}


def nearest_torch(
    vectors: np.ndarray, docs: Vectors, width: int, device: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return (scores float32, docs int64) [n, width], best first; `vectors` float32 [n, d].

    Which of several equal scores at the end of the list is kept is not defined. −1 ends a list.
    """
    import torch

    kind = torch.device(device).type
    step, block = _QUERIES.get(kind, _QUERIES["cuda"]), _DOCS.get(kind, _DOCS["cuda"])
    shape = (len(vectors), width)
    best = torch.full(shape, -torch.inf, device=device)
    nearest = torch.full(shape, -1, dtype=torch.int64, device=device)
    starts = {part.number: part.start for part in docs.artifact.parts}
    queries = torch.from_numpy(vectors).to(device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode():
            for part, low, high in docs.blocks(block):
                rows = torch.from_numpy(docs.part(part)[low:high].copy()).to(device).float()
                for at in range(0, len(vectors), step):
                    piece = slice(at, at + step)
                    scores = queries[piece] @ rows.T
                    score, near = scores.topk(min(width, high - low), dim=1)
                    near += starts[part] + low
                    score, order = torch.cat([best[piece], score], 1).topk(width, dim=1)
                    best[piece] = score
                    nearest[piece] = torch.cat([nearest[piece], near], 1).gather(1, order)
    finally:
        torch.set_float32_matmul_precision(before)
    return best.cpu().numpy(), nearest.cpu().numpy()
