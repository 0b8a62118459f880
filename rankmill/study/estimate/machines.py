"""Machines that estimates are made for: this one, or one declared by a name or a file.

Peak rates are those that the makers publish, without sparsity, in TFLOP/s: `float32` outside the
tensor cores, `bfloat16` (float16 where the card has none) in them. What part of a peak a model
reaches is declared as a range, not measured: `utilisation`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rankmill.mining.errors import UsageError
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.limits import Limit
from rankmill.mining.names import nearest
from rankmill.study.toml_files import read_toml


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: peak TFLOP/s, GB (10⁹ bytes) of memory, watts, and the page that says so."""

    float32: float
    bfloat16: float
    memory_gb: float
    watts: float
    source: str


KNOWN = {
    "H200": Gpu(67, 989.5, 141, 700, "NVIDIA H200 data sheet, SXM"),
    "H100": Gpu(67, 989.4, 80, 700, "NVIDIA H100 data sheet, SXM5"),
    "H100-PCIe": Gpu(51, 756, 80, 350, "NVIDIA H100 data sheet, PCIe"),
    "A100": Gpu(19.5, 312, 80, 400, "NVIDIA A100 data sheet, SXM 80 GB"),
    "A100-40": Gpu(19.5, 312, 40, 400, "NVIDIA A100 data sheet, SXM 40 GB"),
    "L40S": Gpu(91.6, 362, 48, 350, "NVIDIA L40S data sheet"),
    "L4": Gpu(30.3, 121, 24, 72, "NVIDIA L4 data sheet"),
    "A10": Gpu(31.2, 125, 24, 150, "NVIDIA A10 data sheet"),
    "V100": Gpu(15.7, 125, 32, 300, "NVIDIA V100 data sheet, SXM2, float16"),
    "T4": Gpu(8.1, 65, 16, 70, "NVIDIA T4 data sheet, float16"),
    "RTX4090": Gpu(82.6, 165.2, 24, 450, "NVIDIA Ada GPU architecture white paper"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A declared machine. `speed`: of a core, as a multiple of one of this machine's.

    `utilisation`: part of a GPU's peak that models reach, low and high. `host`: part of a model
    stage's processor time that stays on the processor when a GPU does the rest, low and high.
    `memory_gb`, `disk_gb` None: not known, so nothing is refused for them.
    """

    name: str
    cores: int
    speed: float = 1.0
    speed_range: float = 1.5
    memory_gb: float | None = None
    disk_gb: float | None = None
    gpus: int = 0
    gpu: str = ""
    float32_tflops: float = 0.0
    bfloat16_tflops: float = 0.0
    gpu_memory_gb: float | None = None
    utilisation: tuple[float, float] = (0.10, 0.50)
    host: tuple[float, float] = (0.02, 0.20)

    @property
    def memory(self) -> Limit:
        """Memory of the machine."""
        return _limit(self.memory_gb, f"memory of {self.name}")

    @property
    def disk(self) -> Limit:
        """Disk of the machine."""
        return _limit(self.disk_gb, f"disk of {self.name}")

    @property
    def gpu_memory(self) -> Limit:
        """Memory of one of its GPUs."""
        return _limit(self.gpu_memory_gb if self.gpus else None, f"memory of a GPU of {self.name}")


def _limit(gigabytes: float | None, said_by: str) -> Limit:
    return Limit(None if gigabytes is None else gigabytes * 1e9, said_by)


_COUNTED = re.compile(r"(?:(\d{1,4})\s*[x×]\s*)?([A-Za-z][\w-]*)")


def machine_of(text: str, cores: int) -> Machine:
    """Return the machine that a text names: `8xH100`, `L4`, or a TOML file of the fields above.

    `cores`: of this machine, which a bare count of GPUs is taken to have per GPU. Raises UsageError
    for a name that is not known and BadInput for a file that cannot be used.
    """
    if text.endswith(".toml"):
        return read_machine(path_given(text), cores)
    match = _COUNTED.fullmatch(text.strip())
    known = {name.lower(): name for name in KNOWN}
    if match is None or match[2].lower() not in known or match[1] == "0":
        named = match[2] if match else text
        near = nearest(named, list(KNOWN))
        raise UsageError(
            f"{text!r} is no machine that is known",
            do=f"write 8xH100, say, or FILE.toml (docs/estimate.md); {near}",
        )
    count = int(match[1] or 1)
    return _with_gpu(Machine(text.strip(), cores * count, gpus=count), known[match[2].lower()])


def _with_gpu(machine: Machine, name: str) -> Machine:
    gpu = KNOWN[name]
    return replace(
        machine,
        gpu=name,
        gpus=machine.gpus or 1,
        float32_tflops=machine.float32_tflops or gpu.float32,
        bfloat16_tflops=machine.bfloat16_tflops or gpu.bfloat16,
        gpu_memory_gb=machine.gpu_memory_gb or gpu.memory_gb,
    )


def read_machine(path: Path, cores: int) -> Machine:
    """Read a declared machine; `cores` where the file does not say.

    Raises BadInput for a file that is not there or not TOML, UsageError for a key or value.
    """
    said = read_toml(path, "the machine is", "there is no such file of a machine")
    names = [one.name for one in fields(Machine)]
    for key in said:
        if key not in names:
            raise UsageError(
                f"unknown key {key!r} of a machine", where=path, do=nearest(key, names)
            )
    checked = {key: _checked(key, value, path) for key, value in said.items()}
    machine = Machine(**{"name": path.stem, "cores": cores, **checked})
    if machine.gpu:
        if machine.gpu not in KNOWN:
            raise UsageError(
                f"gpu={machine.gpu!r} is not known",
                where=path,
                do=f"{nearest(machine.gpu, list(KNOWN))}, or leave it out and give float32_tflops, "
                "bfloat16_tflops and gpu_memory_gb",
            )
        machine = _with_gpu(machine, machine.gpu)
    elif machine.gpus and not (machine.float32_tflops and machine.bfloat16_tflops):
        raise UsageError(
            f"gpus={machine.gpus}, and nothing says how fast they are",
            where=path,
            do='write gpu = "H100", say, or float32_tflops and bfloat16_tflops',
        )
    return machine


_COUNTS = {"cores": 1, "gpus": 0}
_PAIRS = {"utilisation", "host"}


def _checked(key: str, value: Any, path: Path) -> Any:
    """Return a value of the file that fits its key; raises UsageError quoting the one that does
    not."""
    if key in ("name", "gpu"):
        good, wanted = isinstance(value, str) and bool(value), "a text"
    elif key in _COUNTS:
        least = _COUNTS[key]
        good, wanted = type(value) is int and value >= least, f"a whole number from {least}"
    elif key in _PAIRS:
        good = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
        good, wanted = good and 0 < value[0] <= value[1] <= 1, "[low, high], 0 < low ≤ high ≤ 1"
    elif key == "speed_range":
        good, wanted = _is_number(value) and value >= 1, "a factor of 1 or more"
    else:
        good, wanted = _is_number(value) and value > 0, "a number above 0"
    if not good:
        raise UsageError(f"{key}={value!r} does not fit", where=path, do=f"write {wanted}")
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def told(machine: Machine) -> Mapping[str, Any]:
    """Return a machine as plain values, with the source of its GPU's figures."""
    facts: dict[str, Any] = {one.name: getattr(machine, one.name) for one in fields(Machine)}
    if machine.gpu:
        facts["gpu_source"] = KNOWN[machine.gpu].source
    return facts
