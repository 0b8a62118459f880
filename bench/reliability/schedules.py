"""Every stage under several numbers of threads, executors, environments, orders: one hash each."""

from __future__ import annotations

import hashlib
import json

from every_stage import make_models
from reliability.outcome import Form, Result
from schedules import ALL_EXECUTORS, ENVIRONMENTS, EXECUTORS, differing
from schedules import run as run_stages


def run(form: Form) -> Result:
    """Run all stages under two schedules (1 thread inline, 3 threads on two actors), or under all
    twelve where `form.count` is that large."""
    result = Result()
    make_models(form.place / "models")
    hashes: dict[str, dict[str, str]] = {}
    every = form.count >= len(ENVIRONMENTS) * len(ALL_EXECUTORS.split(","))
    for threads in ENVIRONMENTS if every else EXECUTORS:
        executors = ALL_EXECUTORS if every else EXECUTORS[threads]
        folder = form.place / str(threads)
        told = run_stages(folder, form.place / "models", threads, executors, dependent=False)
        hashes |= {f"{threads} threads, executor {name}": one for name, one in told.items()}
    first = next(iter(hashes.values()))
    result.cases = len(hashes)
    result.inject("schedules", len(hashes))
    result.wrong += [f"{n} of {kind} differ" for kind, n in differing(hashes).items()]
    spelled = {json.dumps(one, sort_keys=True) for one in hashes.values()}
    result.roots = sorted(hashlib.sha256(one.encode()).hexdigest() for one in spelled)
    result.figures["artifacts and exports compared"] = len(first)
    result.notes.append(
        "schedules: " + "; ".join(hashes) + ". The root hash is one over all artifacts and exports"
    )
    return result
