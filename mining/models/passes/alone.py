"""Language models whose pairs go through one at a time: those that no packed pass is written for.

Each on its own length: no padding, no mask, and logits that depend on nothing but their sequence.
The output layer is kept for the words only, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...devices import on_every_core, out_of_memory
from ...errors import BadInput, RankmillError
from ..flops import shape_of
from ..folder import ModelFolder, load_model
from ..sequences import Sequences
from .batches import Work


class Alone:
    """A loaded language model and its way of running sequences: logits of `words` (int32 ids)
    behind the last token, of an encoder-decoder those that its answer begins with.

    `head`: "causal_lm" or "seq2seq". Raises BadInput where the checkpoint has no such head.
    """

    def __init__(self, model: ModelFolder, *, head: str, compute: str, words: np.ndarray):
        import torch

        self.model = model
        self.start = _start_of(model) if head == "seq2seq" else None
        self.network = load_model(model, head=head, compute=compute)
        self.network.set_output_embeddings(
            _words_alone(self.network.get_output_embeddings(), words)
        )
        shift = getattr(self.network, "final_logits_bias", None)  # of BART: a number for each word
        if shift is not None:
            self.network.final_logits_bias = shift[:, torch.from_numpy(words.astype(np.int64))]
        self.shape = shape_of(self.network)

    def run(self, sequences: Sequences, work: Work | None = None) -> np.ndarray:
        """Return one float32 row of logits per sequence. Raises RankmillError where the device has
        no memory for one of them."""
        ids = [sequences.ids(at) for at in range(len(sequences))]
        device = self.network.device.type
        rows = list(on_every_core(self._logits, ids, device=device))
        if work is not None:
            work.tokens += int(sequences.lengths.sum())
            work.flops += 0 if self.shape is None else self.shape.forward(sequences.lengths)
        return np.asarray(rows, dtype=np.float32)

    def _logits(self, ids: np.ndarray) -> list[float]:
        import torch

        device = self.network.device
        inputs: Mapping[str, Any] = {"input_ids": torch.from_numpy(ids)[None].to(device)}
        if self.start is None:
            inputs = {**inputs, "logits_to_keep": 1}
        else:
            start = torch.tensor([[self.start]], device=device)
            inputs = {**inputs, "decoder_input_ids": start}
        try:
            with torch.inference_mode():
                logits = self.network(**inputs, use_cache=False).logits[0, -1].float().tolist()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise RankmillError(
                f"the device has no memory for one pair of {len(ids)} tokens",
                where=self.model.path,
                do="use compute=bfloat16, a smaller max_length, or a larger device",
            ) from error
        return list(logits)


def _start_of(model: ModelFolder) -> int:
    """Return the id that a decoder begins with."""
    token = model.config.get("decoder_start_token_id", model.config.get("pad_token_id"))
    if token is None:
        raise BadInput(
            "the config names no decoder_start_token_id",
            where=model.path / "config.json",
            do="use an encoder-decoder checkpoint such as monoT5",
        )
    return int(token)


def _words_alone(layer: Any, words: np.ndarray) -> Any:
    """Return the output layer for some words alone, in float32 whatever comes in."""
    import torch

    chosen = torch.from_numpy(words.astype(np.int64))

    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            bias = getattr(layer, "bias", None)
            self.weight = torch.nn.Parameter(layer.weight[chosen].float(), requires_grad=False)
            self.bias = None if bias is None else torch.nn.Parameter(bias[chosen].float())

        def forward(self, hidden: Any) -> Any:
            return torch.nn.functional.linear(hidden.float(), self.weight, self.bias)

    return Words()
