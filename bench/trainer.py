"""The training loop beside a bare loop over tensors already in memory, in one process.

    python bench/trainer.py [--quick] [--data DIR]

Both train the same 2-layer student on the same batches with the same optimiser; the bare loop
neither reads, packs, logs nor saves. They run in turn, whoever was second goes first in the next
round, and a first round that warms memory and kernels is not counted. The other peer of the goal,
CrossEncoderTrainer of sentence-transformers, needs the packages `datasets` and `accelerate`;
without them its row is missing.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stream import MODEL, SIZE, make

from rankmill.mining.groups import Groups
from rankmill.mining.store import Workspace
from rankmill.training.loop import Training
from rankmill.training.losses import LOSSES
from rankmill.training.settings import Settings
from rankmill.training.students import parse_student

BATCH = 8


def bare_loop(batches, network, optimiser, loss):
    """Forward, backward, clip, step; returns seconds per step."""
    seconds = []
    for texts, score in batches:
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            f = network.scores(texts, SIZE)
        loss.values(f.float(), score).mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        float(norm)
        seconds.append(time.perf_counter() - began)
    return seconds


def measure(workspace, steps, rounds):
    """Return (seconds per step of ours, of the bare loop, share of waiting)."""
    found, _ = make(workspace, 20_000, 5_000, 5_000)
    tokens = {"queries": found["queries tokens"], "corpus": found["corpus tokens"]}
    student, model = parse_student(f"bi_encoder(model={MODEL},layers=2)")
    loss = LOSSES.parse("kl")
    ours: list[float] = []
    bare: list[float] = []
    waited = 0.0
    for turn in range(rounds + 1):
        settings = Settings(
            documents=steps * BATCH * SIZE,
            batch=BATCH,
            query_length=16,
            doc_length=62,
            compute="bfloat16",
            seed=turn,
        )
        run = Training(student, model, loss, settings, Groups(found["groups"]), tokens)
        batches = [
            ({side: copy.deepcopy(p) for side, p in b.texts.items()}, torch.tensor(b.groups.score))
            for b in run.open_stream(0)
        ]
        network = student.network(model, turn)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
        if turn % 2:
            plain = bare_loop(batches, network, optimiser, loss)
        with tempfile.TemporaryDirectory() as scratch:
            run.run(Path(scratch))
        if not turn % 2:
            plain = bare_loop(batches, network, optimiser, loss)
        if turn:
            bare += plain[2:]
            ours += run.telemetry.timing["step_s"][2:]
            waited += sum(run.telemetry.timing["wait_s"][2:])
        log = run.telemetry.rows["loss"]
        assert np.isfinite(log).all()
    return np.asarray(ours), np.asarray(bare), waited / sum(ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps, ends within 50 s")
    parser.add_argument("--data", type=Path, help="keep the data in this folder")
    options = parser.parse_args()
    steps, rounds = (6, 2) if options.quick else (40, 4)
    with tempfile.TemporaryDirectory() as temporary:
        ours, bare, wait = measure(Workspace(options.data or temporary), steps, rounds)
    documents = BATCH * SIZE
    figures = {
        "step_s": {
            "ours": round(float(np.median(ours)), 4),
            "peers": {"bare loop": round(float(np.median(bare)), 4)},
            "ratio": round(float(np.median(ours) / np.median(bare)), 3),
            "goal": 1.03,
            "unit": f"s per step of {documents} documents, median",
        },
        "documents_per_s": {
            "ours": round(documents / float(np.median(ours)), 1),
            "peers": {"bare loop": round(documents / float(np.median(bare)), 1)},
            "unit": "documents/s, 2 layers of 384, 64 tokens, bfloat16",
        },
        "data_wait": {"ours": round(wait, 5), "peers": {}, "goal": 0.01, "unit": "share of step"},
    }
    for key, figure in figures.items():
        peers = ", ".join(f"{k} {v:,}" for k, v in figure["peers"].items())
        print(f"{key:18} {figure['ours']:>10,} {figure['unit']}  {peers}")
    if not all(importlib.util.find_spec(name) for name in ("datasets", "accelerate")):
        print("CrossEncoderTrainer    not measured: datasets and accelerate are not installed")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    machine = {"cores": os.cpu_count(), "load": [round(x, 1) for x in os.getloadavg()]}
    machine |= {"python": sys.version.split()[0], "platform": platform.platform()}
    line = {"bench": "trainer", "figures": figures, "machine": machine}
    print(json.dumps({**line, "commit": commit.stdout.strip()}))


if __name__ == "__main__":
    main()
