"""How many floating-point operations a model needs for texts, by the usual count.

A dense layer takes two operations (multiply, add) per weight and token; attention two products of
all tokens of a sequence with all of it, 2·n²·width each, per layer. So a forward pass over
sequences of n₁, n₂, … tokens takes 2·weights·Σn + 4·layers·width·Σn² (Kaplan et al., "Scaling laws
for neural language models", 2020, section 2.1, with the attention term written out), and training
three times that: the backward pass takes twice the forward one. Counted is what the texts need:
filler, embedding tables, norms, activations, the head on one token per text, and the part of the
last layer that only one token needs are left out of it or in it as if nothing were saved; causal
attention counts in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

TRAINING = 3  # times the forward pass: that and the backward pass of twice its work
_SHARED_OR_ROUTED = ("num_hidden_groups", "num_experts", "num_local_experts", "n_routed_experts")
_PARTIAL_ATTENTION = ("sliding_window", "local_attention", "attention_window")


@dataclass(frozen=True, slots=True)
class Shape:
    """`weights` of the dense layers that every token passes; `attention`: layers times width."""

    weights: int
    attention: int

    def forward(self, lengths: np.ndarray) -> int:
        """Return the operations of a forward pass over sequences of so many tokens, int [n]."""
        n = np.asarray(lengths, np.int64)
        return self.forward_sums(int(n.sum()), int((n * n).sum()))

    def forward_sums(self, tokens: int, squares: int) -> int:
        """Return the same from the sum of the lengths and that of their squares."""
        return 2 * self.weights * tokens + 4 * self.attention * squares


def shape_of(network: Any) -> Shape | None:
    """Return the shape of a transformer of the transformers library.

    None where the count would not hold: encoder-decoders, layers that share weights, experts of
    which a token passes some, attention that does not see the whole sequence.
    """
    trunk = getattr(network, "base_model", network)
    config = trunk.config
    others = (getattr(config, name, None) for name in (*_SHARED_OR_ROUTED, *_PARTIAL_ATTENTION))
    if getattr(config, "is_encoder_decoder", False) or any(others):
        return None
    sizes = ("num_hidden_layers", "num_attention_heads", "hidden_size")
    layers, heads, width = (getattr(config, name, None) for name in sizes)
    if not (layers and heads and width):
        return None
    head = getattr(config, "head_dim", None) or width // heads
    weights = sum(
        module.weight.numel()
        for name, module in trunk.named_modules()
        if type(module).__name__ in ("Linear", "Conv1D") and "pooler" not in name.split(".")
    )
    return Shape(weights, layers * heads * head)
