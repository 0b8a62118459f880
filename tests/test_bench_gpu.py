"""The bench of the GPU: every line of it runs, on the processor in tiny sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench" / "gpu.py"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )


@pytest.mark.models
def test_the_dry_run_checks_first_and_prints_every_figure() -> None:
    pytest.importorskip("sentence_transformers", reason="the peer is in the extra bench")
    done = run("--device", "cpu")
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["machine"]["dry"] is True
    assert line["machine"]["device"] == "processor"
    precisions = ("float32", "bfloat16", "float16")
    expected = {f"{kind}_{name}" for kind in ("pairs", "encode") for name in precisions}
    expected |= {"copy", "matrix_fp32", "matrix_bf16", "utilisation", "search"}
    assert set(line["figures"]) == expected
    for said in ("copy ", "matrix products bf16", "logits differ", "12-layer", "exact search of"):
        assert said in done.stdout
    assert done.stdout.index("logits differ") < done.stdout.index("pairs/s")


def test_without_a_gpu_it_says_so_and_a_dry_run_keeps_nothing(tmp_path: Path) -> None:
    refused = run(CUDA_VISIBLE_DEVICES="")
    assert refused.returncode == 2
    assert "bench/gpu.py needs a GPU" in refused.stderr
    assert "do: run it on a machine with one" in refused.stderr
    kept = run("--device", "cpu", "--to", str(tmp_path / "figures.json"))
    assert kept.returncode == 2
    assert "a dry run measures nothing that is worth keeping" in kept.stderr
