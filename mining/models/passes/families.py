"""Which architectures run without padding, and what is particular about each family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import BadInput
from ..folder import ModelFolder

ENCODERS = frozenset({"bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"})
MODERN = frozenset({"modernbert"})
DECODERS = frozenset(
    {"gemma", "gemma2", "gemma3", "gemma3_text", "llama", "mistral", "qwen2", "qwen3"}
)
PACKED = ENCODERS | MODERN | DECODERS


def is_causal(config: Mapping[str, Any]) -> bool:
    """Say whether no token sees one behind it: decoders, unless their config says otherwise."""
    if config.get("model_type") not in DECODERS:
        return False
    return not config.get("use_bidirectional_attention") and config.get("is_causal") is not False


def declared_passes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the bits of an architecture that was once run padded, or pair by pair."""
    packed = config.get("model_type") in MODERN | DECODERS
    return {"passes": "packed"} if packed else {}


def check_positions(model: ModelFolder, max_length: int) -> None:
    """Raise BadInput where a sequence's bits would depend on the longest one beside it: `longrope`
    turns all positions of a batch otherwise once one of them lies behind those of training."""
    config = model.text_config
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kinds = [rope, *(v for v in rope.values() if isinstance(v, Mapping))]
    if "longrope" not in {one.get("rope_type", one.get("type")) for one in kinds}:
        return
    said = [one.get("original_max_position_embeddings") for one in (*kinds, config)]
    trained = next((int(n) for n in said if n), None)
    if trained is None or max_length > trained:
        raise BadInput(
            f"max_length={max_length}, and positions of this model (longrope) depend on the longest"
            f" text of a batch beyond {trained} tokens",
            where=model.path / "config.json",
            do=f"give max_length={trained} or less",
        )
