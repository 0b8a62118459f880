"""Every figure that needs a GPU, in one command of at most six minutes: correctness, then speed.

    python bench/gpu.py [--quick] [--seconds S] [--only SECTION …] [--skip SECTION …] [--to FILE]
                        [--device cpu] [--data DIR]

No network is used: checkpoints are random, of the widths and depths of the models they are named
after, but for the packaged MiniLM. Every section first compares with its peer or with float64, then
times. It has a share of the seconds and takes less of everything where that is short; one that
fails is named with its error, and the others go on. With `--to` the JSON line so far is kept after
each section, so that a run that is killed keeps what it had. Exit status: 0 complete, 1 a section
failed, 2 no GPU.

The published figures are of one H100 with bfloat16 (the Ettin reranker article). `--device cpu` is
a dry run of every line in tiny sizes: its figures mean nothing. `--data` is accepted for
uniformity: the data are drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

from _report import commit, machine  # noqa: E402

SECONDS = 350.0
PLACE = Path(__file__).parent / "results"
SHARES = {  # of the seconds that are left to it and to those behind it
    "rates": 10,
    "attention": 5,
    "minilm-l6": 30,
    "ettin-17m": 25,
    "bge-reranker-v2-m3": 40,
    "mxbai-rerank-base-v2": 35,
    "modernbert-base": 25,
    "qwen3-0.6b": 35,
    "search": 40,
    "encoding": 20,
    "training": 50,
    "workers": 40,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the whole run")
    parser.add_argument("--only", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--skip", nargs="+", choices=list(SHARES), default=[])
    parser.add_argument("--data", type=Path, help="not used")
    parser.add_argument("--to", type=Path, help=f"keep the JSON line here, as in {PLACE}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a dry run")
    arguments = parser.parse_args()
    began = time.perf_counter()
    dry = arguments.device == "cpu"
    if dry:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks for devices
    import torch

    if not dry and not torch.cuda.is_available():
        print(
            f"bench/gpu.py needs a GPU; torch {torch.__version__} sees none here.\n"
            "  do: run it on a machine with one; the other benches measure the processor",
            file=sys.stderr,
        )
        sys.exit(2)
    line: dict[str, Any] = {
        "bench": "gpu",
        "figures": {},
        "machine": machine() | described(dry),
        "commit": commit(),
        "failed": {},
        "seconds": {},
    }
    wanted = [n for n in SHARES if n in arguments.only and n not in arguments.skip]
    with tempfile.TemporaryDirectory() as place:
        run(Path(place), wanted, arguments, line, began)
    print(json.dumps(line))
    sys.exit(1 if line["failed"] else 0)


def run(place: Path, wanted: list[str], arguments: Any, line: dict[str, Any], began: float) -> None:
    """Run the sections in order, each within its share of what is left."""
    from _gpu import DRY, QUICK, Bench, Sizes

    dry = arguments.device == "cpu"
    sizes = DRY if dry else QUICK if arguments.quick else Sizes()
    bench = Bench(place, arguments.device, sizes, line["figures"], {})
    sections = all_sections()
    for number, name in enumerate(wanted):
        left = arguments.seconds - (time.perf_counter() - began)
        share = SHARES[name] / sum(SHARES[n] for n in wanted[number:])
        start = time.perf_counter()
        bench.ends = start + max(5.0, left * share)
        print(f"{name}: {bench.left():.0f} s", flush=True)
        try:
            with stopped_after(2 * bench.left() + 20):
                sections[name](bench)
        except Exception as error:  # recorded; the other figures are not lost
            traceback.print_exc()
            line["failed"][name] = f"{type(error).__name__}: {error}"
        line["seconds"][name] = round(time.perf_counter() - start, 1)
        release(arguments.device)
        if arguments.to:
            keep(arguments.to, line)


def all_sections() -> dict[str, Callable[[Any], None]]:
    """Return the function of each section by its name."""
    from _gpu_models import SHAPES
    from _gpu_pipeline import encoding, search, training, workers
    from _gpu_teachers import attention, machine_rates, teacher

    return {
        "rates": machine_rates,
        "attention": attention,
        **{name: partial(teacher, name) for name in SHAPES},
        "search": search,
        "encoding": encoding,
        "training": training,
        "workers": workers,
    }


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a section that runs far past its time."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"ran past {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def release(device: str) -> None:
    """Give back what a section held on the device."""
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def keep(path: Path, line: dict[str, Any]) -> None:
    """Write the JSON line in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(line) + "\n")
    new.replace(path)


def described(dry: bool) -> dict[str, Any]:
    """Say what is measured: the device, its memory and driver's version, how it attends."""
    import torch

    if dry:
        return {"device": "processor", "torch": torch.__version__, "dry": True}
    from rankmill.mining.models.passes.varlen import lacking

    here = torch.device("cuda", torch.cuda.current_device())
    about = torch.cuda.get_device_properties(here)
    return {
        "device": about.name,
        "memory_gb": round(about.total_memory / 1e9, 1),
        "compute_capability": f"{about.major}.{about.minor}",
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "varlen_attn": lacking(here, torch.bfloat16) or "in use",
        "dry": False,
    }


if __name__ == "__main__":
    main()
