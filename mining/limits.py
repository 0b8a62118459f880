"""What this machine lets a process have: memory by its cgroup and ulimit, disk, GPU memory."""

from __future__ import annotations

import contextlib
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

_MEMBERSHIP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroup v1 writes a number near 2⁶³ for "no limit"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many bytes, and who says so. None: nobody knows, so nothing is refused."""

    bytes: float | None
    said_by: str


def memory_limit(membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> Limit:
    """Return the least of the machine's memory, the limits of our cgroups, and ulimit."""
    import psutil

    limits = [(float(psutil.virtual_memory().total), "the machine's memory")]
    limits += [(value, "the memory limit of the cgroup") for value in _cgroups(membership, mount)]
    for name, said in (("RLIMIT_AS", "ulimit -v"), ("RLIMIT_DATA", "ulimit -d")):
        soft = resource.getrlimit(getattr(resource, name))[0]
        if soft != resource.RLIM_INFINITY:
            limits.append((float(soft), said))
    return Limit(*min(limits))


def _cgroups(membership: Path, mount: Path) -> list[float]:
    """Return the limits of the groups around this process, v2 and v1."""
    limits: list[float] = []
    for line in _text(membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            root, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        steps = [step for step in path.split("/") if step not in ("", ".", "..")]
        for depth in range(len(steps), -1, -1):
            said = _text(root.joinpath(*steps[:depth]) / name).strip()
            if said.isdigit() and int(said) < _UNLIMITED:
                limits.append(float(said))
    return limits


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def disk_limit(folder: Path) -> Limit:
    """Return what is free where a folder stands or will stand."""
    above = next(place for place in (folder, *folder.parents) if place.exists())
    return Limit(float(shutil.disk_usage(above).free), f"free at {above}")


def gpu_limit() -> Limit:
    """Return the memory of the smallest GPU that torch sees."""
    import torch

    if not torch.cuda.is_available():
        return Limit(None, "no GPU")
    count = torch.cuda.device_count()
    sizes = [torch.cuda.get_device_properties(place).total_memory for place in range(count)]
    return Limit(float(min(sizes)), "the smallest GPU's memory")
