"""The bench of the GPU: every line of it runs, on the processor in tiny sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
TEACHERS = ("minilm-l6", "ettin-17m", "bge-reranker-v2-m3", "mxbai-rerank-base-v2", "qwen3-0.6b")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "gpu.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )


def line_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


@pytest.mark.models
def test_the_dry_run_checks_first_and_prints_every_figure(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the peer is in the extra bench")
    kept = tmp_path / "new" / "figures.json"
    hours = ("--seconds", "30000")  # however busy the machine is: nothing is cut
    skipped = ("--skip", "workers", "modernbert-base")
    done = run("--device", "cpu", *skipped, *hours, "--to", str(kept))
    assert done.returncode == 0, done.stderr
    line = line_of(done)
    assert line["machine"]["dry"] is True
    assert line["machine"]["device"] == "processor"
    assert line["failed"] == line["cut"] == {}
    figures = line["figures"]
    for name in TEACHERS:
        kinds = ("pairs", "stored", "differ", "utilisation")
        assert {f"{kind}_{name}" for kind in kinds} <= set(figures)
        assert figures[f"other_bits_{name}"]["ours"] == 0
        assert done.stdout.index(f"{name}: float32 differs") < done.stdout.index(f"pairs_{name}")
    published = {n: figures[f"published_{n}"] for n in TEACHERS if f"published_{n}" in figures}
    assert {n: (*f["peers"].values(), f["goal"]) for n, f in published.items()} == {
        "minilm-l6": (3817, 3.0),
        "ettin-17m": (7517, 1.2),
        "bge-reranker-v2-m3": (1569, 2.0),
        "mxbai-rerank-base-v2": (809, 2.0),
    }
    others = {"copy", "matrix_fp32", "matrix_bf16", "attention_differs", "search"}
    others |= {"search_share", "search_whole", "encode_float32", "encode_bfloat16"}
    for student in ("bi_encoder", "cross_encoder"):
        others |= {f"{kind}_{student}" for kind in ("steps", "tokens", "waiting", "stream")}
    assert others <= set(figures)
    assert json.loads(kept.read_text()) == line


@pytest.mark.models
@pytest.mark.ray
def test_workers_of_one_device_give_one_root_hash() -> None:
    done = run("--device", "cpu", "--only", "workers", "--seconds", "30000")
    assert done.returncode == 0, done.stderr
    assert line_of(done)["figures"]["root_hashes"]["ours"] == 1


def test_a_section_that_fails_or_is_late_leaves_the_others_their_figures(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(BENCH)!r})\n"
        "import gpu, _gpu_teachers\n"
        "def breaks(bench):\n"
        "    bench.add('half', 1.0, 'things')\n"
        "    raise RuntimeError('CUDA error: it broke')\n"
        "def hangs(bench):\n"
        "    time.sleep(60)\n"
        "sections = gpu.all_sections() | {'attention': breaks, 'search': hangs}\n"
        "gpu.all_sections = lambda: sections\n"
        "late = gpu.stopped_after\n"
        "gpu.stopped_after = lambda seconds: late(min(seconds, 5.0))\n"
        "gpu.main()\n"
    )
    kept = tmp_path / "figures.json"
    only = ["--only", "rates", "attention", "search", "--seconds", "30000"]
    command = [sys.executable, str(script), "--device", "cpu", *only, "--to", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    line = line_of(done)
    assert line["failed"] == {
        "attention": "RuntimeError: CUDA error: it broke",
        "search": "TimeoutError: ran past 5 s",
    }
    assert {"copy", "matrix_fp32", "half"} <= set(line["figures"])
    assert json.loads(kept.read_text()) == line


def test_what_hangs_ends_with_the_seconds(tmp_path: Path) -> None:
    """A section that no signal reaches, as one that waits for a device."""
    (tmp_path / "place").mkdir()
    script = tmp_path / "hangs.py"
    script.write_text(
        "import signal, sys, time\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(BENCH)!r})\n"
        "import gpu\n"
        f"place = Path({str(tmp_path)!r})\n"
        "line = {'figures': {'copy': 1}, 'failed': {}}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n"
        "began = time.perf_counter() - gpu.LEAST\n"
        "with gpu.ended_after(0.0, began, place / 'place', line, place / 'kept.json'):\n"
        "    time.sleep(600)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    said = {"figures": {"copy": 1}, "failed": {"the run": "hung: it was not done after 0 s"}}
    assert line_of(done) == json.loads((tmp_path / "kept.json").read_text()) == said
    assert not (tmp_path / "place").exists()


def test_what_is_cut_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # else what the script sets would stay
    import _gpu
    import gpu

    bench = _gpu.Bench(tmp_path, "cpu", _gpu.Sizes(), {}, {}, {}, "search")
    bench.ends = time.perf_counter() + 3600
    assert bench.fitting(10, 1.0, 100, 0.5, "pairs") == 100
    bench.best(lambda: None)
    assert bench.cuts == {}
    bench.ends = time.perf_counter() - 1
    assert bench.fitting(10, 1.0, 1000, 0.5, "pairs") == 10
    bench.best(lambda: None)
    bench.best(lambda: None)
    assert bench.cuts == {"search": "10 of 1,000 pairs; 1 of 3 repetitions"}

    begun: list[str] = []
    monkeypatch.setattr(gpu, "all_sections", lambda: {"rates": begun.append})
    line: dict[str, Any] = {"figures": {}, "failed": {}, "cut": {}, "seconds": {}}
    said = SimpleNamespace(device="cpu", quick=False, seconds=60.0, to=tmp_path / "kept.json")
    assert not gpu.run(tmp_path, ["rates"], said, line, time.perf_counter() - 56)
    assert begun == []
    assert line["cut"] == {"rates": "not begun: the seconds were over"}
    assert json.loads((tmp_path / "kept.json").read_text()) == line


def test_without_a_gpu_it_says_so() -> None:
    refused = run(CUDA_VISIBLE_DEVICES="")
    assert refused.returncode == 2
    assert "bench/gpu.py needs a GPU" in refused.stderr
    assert "do: run it on a machine with one" in refused.stderr
