"""Which architectures run without padding, and what is particular about each family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
