"""Runs commands on hostile files, each in a process of its own with a bound on memory and time.

`python attack_runner.py CASES.json` prints one JSON line for each case. What commands import is
imported once; every case is a fork of that, made while there are no threads.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MEMORY_MB, SECONDS = 900, 10  # of private memory beyond what the imports take
Case = dict[str, Any]


def case(door: str, what: str, folder: Path, *words: str) -> Case:
    """Return a case: the words of a command that is run in a folder."""
    return {"name": f"{door}: {what}", "folder": str(folder), "words": list(words)}


def attacked(cases: list[Case], place: Path, *, models: bool = False) -> list[dict[str, Any]]:
    """Run cases in a runner; returns what came of each."""
    told = place / "cases.json"
    bounds = {"models": models, "memory_mb": MEMORY_MB, "seconds": SECONDS}
    told.write_text(json.dumps({"cases": cases} | bounds))
    line = [sys.executable, __file__, str(told)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def complaint(one: dict[str, Any]) -> str | None:
    """Return what is wrong with the outcome of an attack."""
    said, status = one["err"], one["status"]
    if status < 0:
        return f"killed by signal {-status}"
    for word in ("this is a bug", "Traceback", "Exception ignored"):
        if word in said:
            return said[-600:]
    if status not in (0, 2, 4):
        return f"status {status}: {said[-600:]}"
    if status == 4 and "  where: " not in said:
        return f"no place: {said[-600:]}"
    if status and "  do: " not in said and status == 4:
        return f"no next step: {said[-600:]}"
    if len(said) > 5000:
        return f"{len(said)} characters: {said[:300]}"
    return None


PRELOADED = (
    "rankmill.api",
    "rankmill.cli",
    "rankmill.mining.collection.ingest",
    "rankmill.mining.collection.readers.json_rows",
    "rankmill.mining.collection.readers.tsv_rows",
    "rankmill.mining.collection.readers.tables",
    "rankmill.mining.runs.files",
    "rankmill.mining.teachers.files.imported",
    "rankmill.mining.teachers.files.pickles",
    "rankmill.mining.groups.imported",
    "rankmill.asked",
    "rankmill.mining.selection",
    "rankmill.mining.sources",
    "rankmill.study.costs.charges",
    "rankmill.study.check",
    "rankmill.study.costs.gains",
    "rankmill.study.judge",
    "rankmill.study.recipe",
    "rankmill.training.comparison",
    "pyarrow.parquet",
    "pyarrow.json",
    "polars",
)
MODELS = (
    "torch",
    "transformers",
    "transformers.models.bert.modeling_bert",
    "tokenizers",
    "rankmill.mining.models.encoders",
    "rankmill.mining.models.folder",
    "rankmill.mining.sources.dense",
)


def main() -> None:
    """Run the cases of a file."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        told = json.load(stream)
    for name in (*PRELOADED, *(MODELS if told["models"] else ())):
        importlib.import_module(name)
    _warm()
    gc.freeze()  # no collection in a fork walks, and so copies, what is imported
    for case in told["cases"]:
        print(json.dumps(_run(case, told["memory_mb"], told["seconds"])), flush=True)


def _warm() -> None:
    """Load the kernels that readers need; none of them starts threads."""
    import numpy as np

    from rankmill.mining.inputs.blocks import Block, places_of
    from rankmill.mining.inputs.fields import Fields
    from rankmill.native.pickle_items import read_items

    data = np.frombuffer(b"q1\td1\t1\n", np.uint8)
    block = Block(data, 1, Path("x"), places_of(data, 10))
    Fields(block, 3), Fields(block, 3, at_blanks=True)
    read_items(data, 0, np.empty(4, np.int64), np.empty(4, np.uint64))


def _run(case: dict[str, Any], memory_mb: int, seconds: int) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(case, out.fileno(), err.fileno(), memory_mb << 20, seconds)
        _, status, usage = os.wait4(child, 0)
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read(1 << 20).decode("utf-8", "replace"))
    return {
        "name": case["name"],
        "status": os.waitstatus_to_exitcode(status),  # negative: killed by that signal
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "memory_mb": usage.ru_maxrss // 1024 - _resident_mb(),
        "out": said[0],
        "err": said[1],
    }


def _child(case: dict[str, Any], out: int, err: int, memory: int, seconds: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(case["folder"])
    os.environ |= case.get("environment", {})
    limit = _data_bytes() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    signal.alarm(6 * seconds)  # of what waits for ever, where the processors are shared
    from rankmill import cli

    sys.argv = ["rankmill", *case["words"]]
    code: Any = 70
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException as error:  # what the interpreter would print, and end with 1
        import traceback

        traceback.print_exception(error)
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _status_kb(name: str) -> int:
    with open("/proc/self/status", encoding="ascii") as stream:
        for line in stream:
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    raise LookupError(name)


def _data_bytes() -> int:
    return _status_kb("VmData") << 10


def _resident_mb() -> int:
    return _status_kb("VmRSS") >> 10


if __name__ == "__main__":
    main()
