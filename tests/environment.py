"""The environment of tests and experiments: offline, quiet, quick to start many processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTLED = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MPLBACKEND": "Agg",
    "NUMBA_CACHE_DIR": str(ROOT / ".numba_cache"),
    "RANKMILL_TEST_NO_FSYNC": "1",  # a kill does not need fsync, a power cut does
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait do not spin meanwhile
}


def settle() -> None:
    """Set what is not set, for this process and its children: before anything imports numba,
    transformers or the store, which read it once."""
    for name, value in SETTLED.items():
        os.environ.setdefault(name, value)
    # Many children and actors import torch and Ray. Where bytecode is not kept, as in many images,
    # each compiles what it imports: 6 s of processor time for torch alone, 2 s with it.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        kept = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pycache"))
        sys.pycache_prefix = kept
        sys.dont_write_bytecode = False
