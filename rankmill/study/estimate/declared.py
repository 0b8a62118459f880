"""The same work on another machine: what was estimated here, carried over by declared factors.

Nothing of this is measured there. Processor time is divided by the declared speed of a core;
where a stage runs models and the machine has GPUs, its FLOPs, counted here, are divided by the
published peak times the declared range of utilisation. docs/estimate.md has the formulas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from rankmill.study.estimate.fit import NOTHING, Interval, together
from rankmill.study.estimate.machines import Machine
from rankmill.study.recipe import Recipe

_COMPUTE = re.compile(r"compute=(\w+)")
_ONE_GPU = ("train",)  # a student is trained on one; the rest is shared out with --workers


def carried_over(
    lines: Mapping[str, Interval], machine: Machine, stage: str, compute: str
) -> dict[str, Interval]:
    """Return the lines of a stage on a declared machine."""
    cpu = lines.get("cpu_s", NOTHING)
    wall = lines.get("wall_s", NOTHING)
    flops = lines.get("flops", NOTHING)
    busy = min(max(cpu.point / wall.point, 1.0), machine.cores) if wall.point else 1.0
    slower = machine.speed_range
    there = cpu.times(1 / (machine.speed * slower), 1 / machine.speed, slower / machine.speed)
    kept = {k: v for k, v in lines.items() if not k.endswith("joules")}
    if not (machine.gpus and flops.point):
        most = math.sqrt(busy * machine.cores)
        elapsed = Interval(
            there.point / most,
            there.low / machine.cores,
            max(there.high / busy, there.point / most),
        )
        return {**kept, "cpu_s": there, "wall_s": elapsed, "gpu_s": NOTHING}
    low, high = machine.host
    host = there.times(low, math.sqrt(low * high), high)
    gpu = _gpu_seconds(flops, machine, compute)
    used = 1 if stage in _ONE_GPU else machine.gpus
    moving = gpu.times(1 / used, 1 / used, 1 / used)
    waiting = Interval(host.point / busy, host.low / machine.cores, host.high)
    return {
        **kept,
        "cpu_s": host,
        "gpu_s": gpu,
        "wall_s": together([moving, waiting]),
        "peak_gpu_bytes": lines.get("peak_rss_bytes", NOTHING),
    }


def _gpu_seconds(flops: Interval, machine: Machine, compute: str) -> Interval:
    tera = machine.float32_tflops if compute == "float32" else machine.bfloat16_tflops
    low, high = machine.utilisation
    rate = tera * 1e12
    return flops.times(1 / (rate * high), 1 / (rate * math.sqrt(low * high)), 1 / (rate * low))


def compute_of(recipe: Recipe, stage: str, name: str) -> str:
    """Return the precision that a stage's models run in, as the recipe says; float32 unless it
    does."""
    if stage in ("train", "evaluate", "references"):
        section = "train" if stage == "train" else "evaluate"
        return str(recipe.option(section, "compute"))
    other = name if name in recipe.other.values() else recipe.teacher
    said = recipe.source(name) if stage == "mine" else other
    match = _COMPUTE.search(said)
    return match[1] if match else "float32"
