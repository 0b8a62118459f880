"""Workers for tests of the store and the executors: in a module, so that actors can import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from rankmill.mining.errors import BadInput
from rankmill.mining.meter.underway import so_far
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace, split_by_work
from rankmill.mining.store.tables import RUN


class Squares:
    """Answers for query q with q % 4 documents; q % 7 == 6 is dropped. `calls` counts on disk."""

    def __init__(self, mischief: str = "", trace: str = "") -> None:
        self.mischief, self.trace = mischief, trace

    def __call__(self, shard: Shard) -> Output:
        if self.trace:
            with open(self.trace, "a") as stream:
                stream.write(f"{shard.number}\n")
        self._misbehave(shard)
        queries = np.arange(shard.start, shard.stop, dtype=np.uint32)
        kept = queries[queries % 7 != 6]
        docs = [[q * q + i for i in range(q % 4)] for q in kept.tolist()]
        scores = [[float(-i) for i in range(len(d))] for d in docs]
        table = pa.table({"query": kept, "doc": docs, "score": scores}, schema=RUN)
        pairs = sum(map(len, docs))
        dropped = {"seventh": queries[queries % 7 == 6].tolist()}
        return Output(table, dropped, counts={"pairs": pairs}, usage={"calls": 1})

    def _misbehave(self, shard: Shard) -> None:
        kind, _, argument = self.mischief.partition(":")
        if kind == "poison" and shard.start <= int(argument) < shard.stop:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "die once" and shard.number == 2 and not Path(argument).exists():
            Path(argument).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "fail" and shard.number == int(argument):
            raise BadInput("a bad query", where=f"shard {shard.number}", do="mend it")
        if kind == "bug" and shard.number == int(argument):
            raise ZeroDivisionError("by zero")
        if kind == "hang once" and shard.number == 1 and not Path(argument).exists():
            Path(argument).touch()
            time.sleep(600)
        if kind == "damage once" and shard.number == 1 and not Path(argument).exists():
            Path(argument).touch()
            raise RuntimeError("CUDA error: device-side assert triggered")
        if kind == "sleep":
            time.sleep(float(argument))
        if kind == "batches":  # of a shard that takes so many seconds
            for batch in range(1, 5):
                time.sleep(float(argument) / 4)
                so_far(batch, 4)
        if kind == "delay":
            time.sleep((shard.number * 7 % 3) * 0.01)


def squares(queries: int = 40, size: int = 10, **options: str) -> Stage:
    """Return a stage of `queries` keys in shards of `size`."""
    return Stage(
        kind="run",
        parameters={"queries": queries},
        inputs={},
        schema=RUN,
        shards=lambda: split_by_work(np.ones(queries, dtype=np.int64), size),
        worker=Squares,
        options=options,
    )


def write_folder(folder: Path, scratch: Path) -> dict[str, float]:
    """Fill a folder artifact; a checkpoint left in scratch by an earlier try is used."""
    checkpoint = scratch / "half"
    start = checkpoint.read_text() if checkpoint.exists() else "begun"
    checkpoint.write_text("begun")
    (folder / "model").mkdir()
    (folder / "model" / "weights.bin").write_bytes(start.encode() * 100)
    (folder / "card.json").write_text("{}")
    return {"steps": 1}


def small_pipeline(root: Path) -> list[Artifact]:
    """Build a run, a second artifact on top of it, and a folder; the kill sweep's victim."""
    workspace = Workspace(root)
    run = workspace.build(squares(25))
    child = squares(12)
    on_top = workspace.build(
        Stage(
            kind="run",
            parameters={"on": "top"},
            inputs={"of": run},
            schema=RUN,
            shards=child.shards,
            worker=Squares,
        )
    )
    folder = workspace.build_folder("student", {"lr": 1}, {"run": on_top}, write_folder)
    workspace.alias("last", folder)
    return [run, on_top, folder]
