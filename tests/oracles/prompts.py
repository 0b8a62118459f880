"""A text behind a prompt through an encoder, one at a time, written out with transformers alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def encoder(folder: Path) -> Any:
    """Load a model and its tokenizer, in float64."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    network = AutoModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    return network.eval(), AutoTokenizer.from_pretrained(folder)


def vector_of(
    loaded: Any,
    text: str,
    prompt: str,
    *,
    pooling: str,
    max_length: int,
    include_prompt: bool = True,
) -> Callable[[], Any]:
    """Return what computes the vector, of length 1, of one text behind its prompt."""
    network, tokenizer = loaded
    given = tokenizer(prompt + text, truncation=True, max_length=max_length, return_tensors="pt")
    alone = tokenizer(prompt)["input_ids"]  # with special tokens: [CLS] prompt [SEP]
    first = 0 if include_prompt or not prompt else len(alone) - 1

    def compute() -> Any:
        rows = network(**given).last_hidden_state[0][first:]
        vector = {"mean": rows.mean(0), "cls": rows[0], "last": rows[-1]}[pooling]
        return vector / vector.norm()

    return compute
