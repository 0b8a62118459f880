"""Several processes that train together: who I am, adding up gradients, and who owns the artifact.

Under torchrun every process runs the same program; process 0 holds the lock and writes, the others
follow. Without torchrun there is one process and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..mining.devices import engine
from ..mining.errors import UsageError
from ..mining.meter.lazily import Lazily
from ..mining.models.precision import device
from ..mining.store import Artifact, Workspace, fingerprint_of

if TYPE_CHECKING:
    import torch
    from torch import distributed
else:
    torch, distributed = Lazily("torch"), Lazily("torch.distributed")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's rank among `world` processes."""

    rank: int = 0
    world: int = 1

    @classmethod
    def here(cls) -> Processes:
        """Join the others if torchrun started this process (it sets RANK and WORLD_SIZE)."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1 or "RANK" not in os.environ:
            return cls()
        if not distributed.is_initialized():
            gpu = device().type == "cuda"
            if engine().number is not None:
                raise UsageError(
                    f"device={engine().device} under torchrun, which gives each process a GPU",
                    do="write device=cuda, and CUDA_VISIBLE_DEVICES=… for some of the GPUs",
                )
            if gpu:
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            distributed.init_process_group("nccl" if gpu else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        distributed.all_reduce(flat)
        at = 0
        for tensor in tensors:
            tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
            at += tensor.numel()

    def add_up_gradients(self, network: torch.nn.Module) -> None:
        """Add up the gradients of all processes; one that had no group in this step adds zeros."""
        if self.world == 1:
            return
        trained = [p for p in network.parameters() if p.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.add_up([p.grad for p in trained if p.grad is not None])

    def agree(self, number: int) -> int:
        """Return the number that process 0 gives, to all."""
        if self.world == 1:
            return number
        told = torch.tensor([number])
        distributed.broadcast(told, 0)
        return int(told)

    def first(self, build: Callable[[], Value]) -> Value:
        """Let process 0 build what the others then only find."""
        if self.world == 1:
            return build()
        value = build() if self.rank == 0 else None
        distributed.barrier()
        return build() if value is None else value

    def build(
        self,
        workspace: Workspace,
        kind: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Artifact],
        write: Callable[[Path, Path], Mapping[str, float]],
        follow: Callable[[Path], None],
    ) -> Artifact:
        """Build a folder artifact: process 0 writes it, the others `follow(scratch)` meanwhile.

        Raises UsageError where they are on several machines, whose scratch is not one folder.
        """
        local = int(os.environ.get("LOCAL_WORLD_SIZE", self.world))
        if workspace.mirror is not None and local < self.world:
            raise UsageError(
                f"{self.world} processes on several machines train together, and the workspace is "
                f"on an object store: {workspace.mirror.address}",
                do="they follow checkpoints that process 0 writes: give them a shared folder, or "
                "train on one machine",
            )
        fingerprint = fingerprint_of(kind, parameters, inputs)
        there = workspace.has(kind, fingerprint)
        if self.world > 1:
            distributed.barrier()  # all have looked before anyone begins
        if there:
            return workspace.open(kind, fingerprint)
        if self.rank == 0:
            workspace.build_folder(kind, parameters, inputs, write)
        else:
            follow(workspace.root / "tmp" / fingerprint / "scratch")
        if self.world > 1:
            distributed.barrier()
        return workspace.open(kind, fingerprint)
