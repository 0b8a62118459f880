"""Checkpoints: weights, optimiser, telemetry and position in one file, written atomically.

One safetensors file, so there is nothing that could be half there: a kill leaves the checkpoint
before. Its name carries the SHA-256 of its bytes, which is compared before anything is restored: a
flipped bit in a weight would else go on unseen, into another student. The position in the stream is
the step; the learning rate and all randomness are functions of it.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..mining.store import files

_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{64})\.safetensors")
KEPT = 2  # the newest, and the one before in case the newest cannot be read


def save_checkpoint(
    folder: Path,
    step: int,
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    telemetry: Mapping[str, list[float]],
    best: Mapping[str, torch.Tensor] | None = None,
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write `step-NNNNNNNN-<SHA-256>.safetensors` into `folder`; all but the newest two go.

    `best`: weights of the best validation so far, where there is validation. `scaler`: the loss
    scale of float16.
    """
    tensors = {f"weights/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in (best or {}).items()}
    for name, state in _states(network, optimiser):
        tensors |= {f"optimiser/{name}/{k}": torch.as_tensor(v) for k, v in state.items()}
    for name, column in telemetry.items():
        tensors[f"telemetry/{name}"] = torch.tensor(column, dtype=torch.float64)
    for name, value in (scaler.state_dict() if scaler else {}).items():
        tensors[f"scaler/{name}"] = torch.tensor(value, dtype=torch.float64)
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    data = save(plain)
    name = f"step-{step:08d}-{hashlib.sha256(data).hexdigest()}.safetensors"
    files.write_bytes(folder / name, data, mode=0o644)
    for old in _found(folder)[KEPT:]:
        files.remove_file(old)


def load_checkpoint(
    folder: Path,
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler | None = None,
) -> tuple[int, dict[str, list[float]], dict[str, torch.Tensor]]:
    """Restore the newest readable checkpoint; returns (step, telemetry, best weights).

    (0, {}, {}) where there is none. A damaged one is passed over with a warning that names it:
    training repeats some steps and ends in the same bytes.
    """
    for path in _found(folder):
        try:
            step = _checked_step(path)
            with safe_open(path, framework="pt") as stored:
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            said = f"{path} is damaged ({error}): going on from the checkpoint before it"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
            continue
        network.load_state_dict(_under(tensors, "weights/"))
        _restore(network, optimiser, _under(tensors, "optimiser/"))
        if scaler is not None and scaler.is_enabled():
            held = {k: v.item() for k, v in _under(tensors, "scaler/").items()}
            counts = ("growth_interval", "_growth_tracker")
            scaler.load_state_dict(held | {k: int(held[k]) for k in counts})
        rows = _under(tensors, "telemetry/")
        telemetry = {name: column.tolist() for name, column in rows.items()}
        return step, telemetry, _under(tensors, "best/")
    return 0, {}, {}


def _checked_step(path: Path) -> int:
    """Return the step in a checkpoint's name; raises ValueError unless its bytes are as written."""
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise ValueError("its name carries no SHA-256")
    if files.sha256_of(path) != named[2]:
        raise ValueError("it does not hold the bytes that were written (SHA-256)")
    return int(named[1])


def _found(folder: Path) -> list[Path]:
    """List checkpoints, newest first."""
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def _states(network: torch.nn.Module, optimiser: torch.optim.Optimizer):
    """Yield (parameter name, its optimiser state) for every parameter that has one."""
    for name, parameter in network.named_parameters():
        if parameter in optimiser.state:
            yield name, optimiser.state[parameter]


def _restore(
    network: torch.nn.Module, optimiser: torch.optim.Optimizer, stored: dict[str, torch.Tensor]
) -> None:
    parameters = dict(network.named_parameters())
    for key, value in stored.items():
        name, _, field = key.rpartition("/")
        parameter = parameters[name]
        where = value if field == "step" else value.to(parameter.device)
        optimiser.state[parameter][field] = where
