"""Every figure that needs a GPU, in one command of at most six minutes: correctness, then speed.

    python bench/gpu.py [--quick] [--seconds S] [--only SECTION …] [--skip SECTION …] [--to FILE]
                        [--device cpu] [--data DIR]

No network is used: checkpoints are random, of the widths and depths of the models they are named
after, but for the packaged MiniLM. Every section first compares with its peer or with float64, then
times. It has a share of the seconds and takes less of everything where that is short: `cut` in the
JSON line says of what, and which sections were not begun. One that runs past its limit, half as
long again as its share, is stopped; one that fails is named with its error; the others go on. What
hangs where no signal reaches it, in a driver, ends with the seconds: the line is printed with what
there is. With `--to` the line so far is kept after each section. Exit status: 0 complete, 1 a
section failed or was not begun, 2 no GPU.

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
import shutil
import signal
import sys
import tempfile
import threading
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
LEAST = 5.0  # seconds for a section: with fewer it is not begun
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
        "cut": {},
        "seconds": {},
    }
    wanted = [n for n in SHARES if n in arguments.only and n not in arguments.skip]
    with tempfile.TemporaryDirectory() as place:
        with ended_after(arguments.seconds, began, Path(place), line, arguments.to):
            whole = run(Path(place), wanted, arguments, line, began)
    print(json.dumps(line))
    sys.exit(0 if whole and not line["failed"] else 1)


def run(place: Path, wanted: list[str], arguments: Any, line: dict[str, Any], began: float) -> bool:
    """Run the sections in order, each within its share of what is left; returns whether all were
    begun."""
    from _gpu import DRY, QUICK, Bench, Sizes

    dry = arguments.device == "cpu"
    sizes = DRY if dry else QUICK if arguments.quick else Sizes()
    bench = Bench(place, arguments.device, sizes, line["figures"], {}, line["cut"])
    sections = all_sections()
    left_out = []
    for number, name in enumerate(wanted):
        left = arguments.seconds - (time.perf_counter() - began)
        share = SHARES[name] / sum(SHARES[n] for n in wanted[number:])
        start = time.perf_counter()
        bench.section, bench.ends = name, start + max(LEAST, left * share)
        if left < LEAST:
            left_out.append(name)
            bench.tell_cut("not begun: the seconds were over")
            continue
        limit = min(left, 1.5 * bench.left() + LEAST)
        print(f"{name}: {bench.left():.0f} s, at most {limit:.0f}", flush=True)
        try:
            with stopped_after(limit):
                sections[name](bench)
        except Exception as error:  # recorded; the other figures are not lost
            traceback.print_exc()
            line["failed"][name] = f"{type(error).__name__}: {error}"
        line["seconds"][name] = round(time.perf_counter() - start, 1)
        release(arguments.device)
        if arguments.to:
            keep(arguments.to, line)
    if arguments.to:
        keep(arguments.to, line)
    return not left_out


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


@contextlib.contextmanager
def ended_after(
    seconds: float, began: float, place: Path, line: dict[str, Any], to: Path | None
) -> Iterator[None]:
    """End this process when the seconds are over, whatever it does: a signal is handled only when
    the call that is under way returns, and one that waits for a device may never."""

    def end() -> None:
        line["failed"]["the run"] = f"hung: it was not done after {seconds:.0f} s"
        with contextlib.suppress(OSError):  # where it cannot be kept it is printed
            if to:
                keep(to, line)
        sys.stdout.flush()
        os.write(1, (json.dumps(line) + "\n").encode())
        shutil.rmtree(place, ignore_errors=True)
        os._exit(1)

    watch = threading.Timer(max(0.0, seconds + LEAST - (time.perf_counter() - began)), end)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


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
