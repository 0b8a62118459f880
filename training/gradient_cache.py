"""The gradient cache: in-batch negatives of a large step in the memory of a small forward pass.

The loss of a step needs the vectors of all its texts at once, not their activations. So the texts
are encoded piece by piece without a graph; the loss gives the gradient of every vector; each piece
is encoded again, with a graph, and passes its part on to the weights. Source: Gao, Zhang, Han and
Callan, "Scaling deep contrastive learning batch size under memory limited setup" (RepL4NLP 2021).

The gradients are those of the step without a cache: in float32 on a processor bit for bit, since
dropout is replayed from the state of the generator and the pieces pass on their parts in the order
of a backward pass; in 16 bits up to rounding, because a plain step adds up pieces in 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .networks import TowerNetwork
from .packing import Packed

Finish = Callable[[Tensor, Tensor], Tensor]  # vectors of queries, of documents → the scaled loss


def cached_backward(
    network: TowerNetwork, texts: dict[str, Packed], autocast: Any, finish: Finish
) -> None:
    """Add the gradients of `finish(queries, docs)` to those of the network's weights.

    `texts`: the packed sides of a batch, whose pieces are what is encoded at a time. `autocast`
    makes the context of a forward pass; one for each, since weights that were cast inside
    `no_grad` carry no gradient.
    """
    here = next(network.parameters()).device
    states: list[Tensor] = []
    rows: dict[str, list[Tensor]] = {"queries": [], "docs": []}
    for side, batches in rows.items():
        for piece in texts[side].pieces:
            states.append(_generator_state(here))
            with torch.no_grad(), autocast():
                batches.append(network.rows(side, piece))
    after = _generator_state(here)
    leaves = {side: [row.requires_grad_() for row in batches] for side, batches in rows.items()}
    with autocast():
        vectors = [network.in_order(leaves[side], texts[side]) for side in leaves]
        loss = finish(*vectors)
    loss.backward()
    every = [
        (side, piece, leaf)
        for side, batches in leaves.items()
        for piece, leaf in zip(texts[side].pieces, batches, strict=True)
    ]
    for (side, piece, leaf), state in zip(reversed(every), reversed(states), strict=True):
        _set_generator_state(here, state)
        with autocast():
            again = network.rows(side, piece)
        again.backward(leaf.grad)
    _set_generator_state(here, after)


def _generator_state(here: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(here) if here.type == "cuda" else torch.get_rng_state()


def _set_generator_state(here: torch.device, state: Tensor) -> None:
    if here.type == "cuda":
        torch.cuda.set_rng_state(state, here)
    else:
        torch.set_rng_state(state)
