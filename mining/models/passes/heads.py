"""What is read of a model's last layer, and what reads it.

A classifier of transformers looks for the place of its score itself, some by an id that a text may
hold too. Here a place is told by a sequence's length, and the layers behind it get what stands
there, in float32: logits in bfloat16 would have only eight bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..classifiers import last_token_head, reads_last_token
from ..folder import ModelFolder, load_model
from ..pooling import POOLINGS
from .families import MODERN
from .modular import head_of


@dataclass(slots=True)
class Reader:
    """A loaded model: `trunk` from ids to rows, `pooling` which row of a sequence is read, `head`
    from rows [n, width] in float32 to what is wanted, None for the rows themselves. With the
    pooling "own" the trunk ends in a head of its own.
    """

    trunk: Any
    pooling: str
    head: Callable[[Any], Any] | None = None


def read_with(
    model: ModelFolder, head: str, compute: str, attention: str | None, words: np.ndarray | None
) -> Reader:
    """Load a model to be read by `head`: "logits", "words" (`words`, int32 ids), or a pooling.

    Raises BadInput where the checkpoint has no such head.
    """
    if head in POOLINGS:
        return Reader(load_model(model, head="", compute=compute, attention=attention), head)
    if head == "words":
        assert words is not None
        network = load_model(model, head="causal_lm", compute=compute, attention=attention)
        return Reader(_text_trunk(network), "last", _answers(network, words))
    modular = head_of(model)
    if modular is not None:
        network = load_model(model, head="", compute=compute, attention=attention)
        return Reader(network, modular.pooling, modular.load(network.device))
    network = load_model(model, head="classifier", compute=compute, attention=attention)
    if model.config.get("model_type") in MODERN:
        return Reader(network.model, network.config.classifier_pooling, _modern_head(network))
    if reads_last_token(type(network)):
        return Reader(_text_trunk(network), "last", last_token_head(network).float())
    return Reader(network, "own")


def _text_trunk(network: Any) -> Any:
    """Return the layers that read text; models that also see pictures hold them one level down."""
    base = network.base_model
    return getattr(base, "language_model", base)


def _modern_head(network: Any) -> Callable[[Any], Any]:
    dense, classify = network.head.float(), network.classifier.float()
    return lambda rows: classify(dense(rows))


def _answers(network: Any, words: np.ndarray) -> Callable[[Any], Any]:
    """Return the output layer for some words alone, in float32, capped as the model's own."""
    import torch

    layer = network.get_output_embeddings()
    cap = getattr(network.config, "final_logit_softcapping", None)
    chosen = torch.from_numpy(words.astype(np.int64)).to(layer.weight.device)
    weight = layer.weight.detach()[chosen].float()
    bias = None if layer.bias is None else layer.bias.detach()[chosen].float()

    def answer(rows: Any) -> Any:
        logits = torch.nn.functional.linear(rows, weight, bias)
        return logits if cap is None else torch.tanh(logits / cap) * cap

    return answer
