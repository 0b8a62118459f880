"""Which rows of a model's last layer stand for a text, as the files of a checkpoint say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def said_modules(model: ModelFolder) -> tuple[str | None, bool | None]:
    """Return (pooling, normalise) as modules.json and the pooling module's config say; None for
    what they leave open. Raises BadInput for modules that are not understood."""
    pooling: str | None = None
    normalise: bool | None = None
    for module in model.settings("modules.json") or ():
        kind = module["type"].rpartition(".")[2]
        if kind == "Pooling":
            pooling = pooling_of(model.settings(f"{module['path']}/config.json"), model)
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise BadInput(
                f"the encoder has a module {kind!r}, which is not supported",
                where=model.path / "modules.json",
                do="use an encoder made of Transformer, Pooling and Normalize",
            )
    return pooling, normalise


def leaves_out_prompt(model: ModelFolder) -> bool:
    """Say whether the pooling leaves out the tokens of a prompt (`include_prompt: false`)."""
    return any(config.get("include_prompt") is False for config in _poolings(model))


def _poolings(model: ModelFolder) -> Iterator[Mapping[str, Any]]:
    for module in model.settings("modules.json") or ():
        if module["type"].rpartition(".")[2] == "Pooling":
            yield model.settings(f"{module['path']}/config.json")
