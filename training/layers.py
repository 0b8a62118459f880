"""What is done to the layers of a transformer: keeping the first few, saving memory, compiling."""

from __future__ import annotations

import importlib.util
import os
import shutil
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..mining.errors import UsageError
from ..mining.models.folder import ModelFolder


def keep_layers(network: Any, layers: int, model: ModelFolder) -> None:
    """Keep the first `layers` transformer layers, in the network and in its config."""
    config = network.config
    own = config.num_hidden_layers
    if layers > own:
        raise UsageError(
            f"layers={layers}, the checkpoint has {own}", where=model.path, do=f"give 1 to {own}"
        )
    place = _layers(network)
    if place is None:
        raise UsageError(
            f"cannot cut {type(network).__name__}: its layers are not a list of {own}",
            where=model.path,
            do="leave out layers=…",
        )
    owner, name = place
    setattr(owner, name, getattr(owner, name)[:layers])
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def recompute_layers(network: nn.Module) -> None:
    """Keep only the input of every layer for the backward pass and compute the rest again there.

    Dropout is replayed; the gradients are the same. The switch of transformers would do nothing
    here: it asks for training mode, which students without dropout are never in.
    """
    for transformer in _transformers(network):
        place = _layers(transformer)
        if place is None:
            raise UsageError(
                f"recompute: {type(transformer).__name__} has no list of layers",
                do="leave out recompute",
            )
        for layer in getattr(*place):
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def compile_network(network: nn.Module, here: torch.device) -> None:
    """Let `torch.compile` fuse each transformer, for rows and widths of any size."""
    if here.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise UsageError(
            "compile needs triton on a GPU, and it is not installed",
            do="pip install triton, or leave out compile",
        )
    if here.type == "cpu" and not _cpp_compiler():
        raise UsageError(
            "compile needs a C++ compiler, and none is found",
            do="install g++ or clang++ (or name one in CXX), or leave out compile",
        )
    for transformer in _transformers(network):
        transformer.compile(dynamic=True)


def _cpp_compiler() -> str | None:
    named = os.environ.get("CXX")
    return shutil.which(named) if named else shutil.which("g++") or shutil.which("clang++")


def _transformers(network: nn.Module) -> list[Any]:
    """Return the models of transformers that a student is made of."""
    return [child for child in network.children() if hasattr(child, "config")]


def _layers(network: Any) -> tuple[nn.Module, str] | None:
    """Return where the list of transformer layers is held: (owner, name)."""
    own = network.config.num_hidden_layers
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == own:
                return module, name
    return None
