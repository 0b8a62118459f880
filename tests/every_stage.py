"""Every stage on a tiny collection, and what came out as {what: hash}: run under many schedules.

    python tests/every_stage.py FOLDER --models FOLDER --executors 0,1,2,3 --order 1

Models are random, of width 32: on processors without matrix tiles such small products are the ones
whose bits follow the number of threads. `--order` permutes the order of independent stages. (Files
with their lines in another order are other inputs: collections and imported runs are named by the
bytes that they were read from.)
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tiny_collection import tiny_beir
from tiny_language_models import tiny_causal_lm, tiny_seq2seq
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill import api
from rankmill.mining.actors import Execution, cluster
from rankmill.mining.collection import Collection
from rankmill.mining.models import encoders
from rankmill.mining.models.forward import Forward
from rankmill.mining.store import Artifact
from rankmill.mining.teachers import scores

DEPENDENT = "thread-dependent"  # in the place of an executor
TRAINING_THREADS = 2  # declared: training is the one place where the number of threads may matter


def make_thread_dependent() -> None:
    """Let what a model gives follow the number of threads that this process was given."""
    computed, threads = Forward.run, int(os.environ["OMP_NUM_THREADS"])

    def run(self: Forward, *given: Any) -> np.ndarray:
        return computed(self, *given) + np.float32(1e-3 * threads)

    Forward.run = run  # type: ignore[assignment, method-assign]


def make_models(folder: Path) -> None:
    """Write the models that all schedules share."""
    tiny_encoder(folder / "encoder", max_position_embeddings=256)
    tiny_cross_encoder(folder / "cross", seed=3)
    tiny_causal_lm(folder / "decoder")
    tiny_seq2seq(folder / "seq2seq")


class EveryStage:
    """All stages in one workspace by one executor."""

    def __init__(
        self, place: Path, executor: Execution, given: argparse.Namespace, *, whole: bool = True
    ):
        place.mkdir(parents=True)
        self.place, self.models, self.executor = place, given.models, executor
        self.shuffled = random.Random(given.order) if given.order else None
        self.encoder = f"bi_encoder(model={self.models / 'encoder'},max_length=32,dtype=float32)"
        self.made: dict[str, Any] = {}
        self.whole = whole

    def run(self) -> dict[str, str]:
        """Do everything, or mine only; returns root hashes of artifacts and hashes of exports."""
        self.collection = self._collect()
        self._mine()
        exports = self._after_mining() if self.whole else {}
        workspace = self.collection.artifact.workspace
        return exports | {f"{a.kind} {a.fingerprint}": a.root_hash for a in workspace.artifacts()}

    def _after_mining(self) -> dict[str, str]:
        self._score()
        self._choose()
        self._train()
        self._judge()
        return self._export()

    def _collect(self) -> Collection:
        beir = tiny_beir(self.place / "beir", docs=90, queries=40)
        return api.collect(f"beir:{beir}", workspace=self.place / "work", executor=self.executor)

    def _mine(self) -> None:
        dense = f"dense(model={self.models / 'encoder'},max_length=32,dtype=float32"
        sources = {
            "random": "random",
            "bm25": "bm25(k1=0.9,b=0.4)",
            "dense": f"{dense})",
            "ann": f'{dense},index="IVF4,Flat",probe=2)',
            "neighbours": f"neighbours(model={self.models / 'encoder'},max_length=32)",
        }
        self._each({name: self._miner(text) for name, text in sources.items()})
        of = f"of=[bm25(k1=0.9,b=0.4),{dense})]"
        cross = f"cross_encoder(model={self.models / 'cross'},max_length=40)"
        built = {
            "rrf": f"rrf({of})",
            "rerank": f"rerank(teacher={cross},of=bm25(k1=0.9,b=0.4))",
        }
        self._each({name: self._miner(text) for name, text in built.items()})
        lines = self.place / "run.txt"
        with open(lines, "w") as out:
            for query in range(0, 40, 2):
                out.writelines(
                    f"q{query} Q0 d{(7 * query + 5 * rank) % 80} {rank} {30.5 - rank} theirs\n"
                    for rank in range(1, 9)
                )
        self.made["theirs"] = api.import_run(lines, self.collection, split="train")
        self.made["test"] = self._miner("bm25(k1=0.9,b=0.4)", "test")()

    def _miner(self, source: str, split: str = "train") -> Callable[[], Artifact]:
        settings: dict[str, Any] = {
            "split": split,
            "depth": 12,
            "seed": 5,
            "executor": self.executor,
        }
        return lambda: api.mine(source, self.collection, **settings)

    def _score(self) -> None:
        names = ("bm25", "random", "dense", "theirs", "neighbours")
        self.made["pool"] = pool = api.pool([self.made[n] for n in names], executor=self.executor)
        teachers = {
            "cross": f"cross_encoder(model={self.models / 'cross'},max_length=40)",
            "cosine": self.encoder,
            "odds": f"causal_lm(model={self.models / 'decoder'},max_length=120)",
            "monot5": f"seq2seq(model={self.models / 'seq2seq'},max_length=64)",
        }
        self._each(
            {
                name: lambda text=text: api.score(text, pool, executor=self.executor)  # type: ignore[misc]
                for name, text in teachers.items()
            }
        )
        both = f"ensemble(of=[{teachers['cross']},{teachers['odds']}])"
        self.made["scores"] = api.score(both, pool, executor=self.executor)

    def _choose(self) -> None:
        strategies = {
            "uniform": "uniform(source=random,last=9)",
            "stratified": "stratified(bins=3)",
            "softmax": "softmax(T=1)",
            "mixture": "mixture(source=bm25,target=random)",
            "entropy": "entropy_target(H=0.5,steps=40)",
            "shell": "shell(near=0,far=0.5)",
        }
        self._each({name: self._selector(text) for name, text in strategies.items()})
        self._each(
            {
                f"{name} measured": lambda name=name: api.stats(  # type: ignore[misc]
                    self.made[name], encoder=self.encoder, executor=self.executor
                )
                for name in strategies
            }
        )
        api.stats(scores=self.made["scores"], encoder=self.encoder, executor=self.executor)
        groups, measured = self.made["softmax"], self.made["softmax measured"]
        api.cut(groups, measured, "keep_below(q=0.75)", executor=self.executor)
        api.retarget(groups, "temperature(T=2)", executor=self.executor)
        api.subsample(groups, size=3, times=2, executor=self.executor)
        api.cells(groups, measured, executor=self.executor)

    def _selector(self, strategy: str) -> Callable[[], Artifact]:
        encoder = self.encoder if strategy.startswith("shell") else None
        return lambda: api.select(
            strategy,
            self.made["pool"],
            self.made["scores"],
            size=5,
            seed=3,
            encoder=encoder,
            filters=["near_copies"],
            executor=self.executor,
        )

    def _train(self) -> None:
        chosen = self.made["stratified"]
        settings: dict[str, Any] = {
            "documents": 240,
            "batch": 4,
            "query_length": 16,
            "doc_length": 60,
            "threads": TRAINING_THREADS,
            "executor": self.executor,
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*validation groups are trained on")
            self._students(chosen, settings)

    def _students(self, chosen: Artifact, settings: dict[str, Any]) -> None:
        self._each(
            {
                "student": lambda: api.train(
                    f"bi_encoder(model={self.models / 'encoder'})",
                    chosen,
                    validation=self.made["uniform"],
                    **settings,
                ),
                "cross student": lambda: api.train(
                    f"cross_encoder(model={self.models / 'cross'})", chosen, loss="lce", **settings
                ),
            }
        )

    def _judge(self) -> None:
        first, student = self.made["test"], self.made["student"]
        runs: dict[str, Callable[[], Artifact]] = {
            "own": lambda: api.rerank(student, first, depth=12, executor=self.executor),
            "cross own": lambda: api.rerank(
                self.made["cross student"], first, depth=12, executor=self.executor
            ),
            "search": lambda: api.retrieve(
                student, self.collection, split="test", depth=12, executor=self.executor
            ),
        }
        self._each(runs)
        judged = {
            name: api.evaluate(self.made[name], executor=self.executor) for name in (*runs, "test")
        }
        api.compare(judged, margin=0.02)

    def _export(self) -> dict[str, str]:
        hashes = {}
        for form in ("sentence-transformers", "tevatron", "trec"):
            to = self.place / form
            api.export(form, self.made["uniform"], to=to, allow_lossy=True)
            for path in sorted(p for p in to.rglob("*") if p.is_file()):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                hashes[f"export {path.relative_to(self.place)}"] = digest
        return hashes

    def _each(self, stages: dict[str, Callable[[], Artifact]]) -> None:
        """Run stages that do not need each other, in the schedule's order."""
        names = list(stages)
        if self.shuffled:
            self.shuffled.shuffle(names)
        for name in names:
            self.made[name] = stages[name]()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--executors", default="0")
    parser.add_argument("--order", type=int, default=0)
    parser.add_argument(
        "--thread-dependent",
        action="store_true",
        help="then mine once more, with vectors that depend on the threads: shows that it is found",
    )
    given = parser.parse_args(arguments)
    encoders._SHARD_TOKENS, scores._SHARD_WORK = 600, 2000  # several parts of everything
    hashes = {}
    for text in given.executors.split(","):
        place, executor = given.folder / text, Execution(workers=int(text))
        with cluster(executor.workers) if executor.workers else contextlib.nullcontext():
            hashes[text] = EveryStage(place, executor, given).run()
    if given.thread_dependent:
        make_thread_dependent()
        place = given.folder / DEPENDENT
        hashes[DEPENDENT] = EveryStage(place, Execution(), given, whole=False).run()
    print(json.dumps(hashes))


if __name__ == "__main__":
    main()
