"""Which rows of a model's last layer stand for a text, as the files of a checkpoint say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BadInput
from .folder import ModelFolder

POOLINGS = ("mean", "cls", "last")
_FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def pooling_of(config: Mapping[str, Any], model: ModelFolder) -> str:
    """Return the pooling that the settings of a pooling module name; raises BadInput for another
    than one of POOLINGS."""
    named = config.get("pooling_mode")
    chosen = [named] if isinstance(named, str) else [k for k, on in config.items() if on is True]
    chosen = [_FLAGS.get(c, c) for c in chosen if c != "include_prompt"]
    chosen = ["last" if c == "lasttoken" else c for c in chosen]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise BadInput(
            f"the pooling {chosen} is not supported",
            where=model.path,
            do=f"name one of {', '.join(POOLINGS)} with pooling=…",
        )
    return chosen[0]
