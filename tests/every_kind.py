"""A workspace with an artifact of every kind, as small as it can be, made in seconds.

It is made step by step, each a stage that finds what it needs by name: so that one of them alone
can be made again, in another workspace, from the same files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill import api
from rankmill.mining.collection import Collection
from rankmill.mining.store import Artifact, Workspace

QUERIES = 24
KINDS = frozenset(
    "collection comparison copy-keys corpus design evaluation groups index pool postings qrels "
    "queries run scores statistics student tokens vectors".split()
)
MINING: dict[str, Any] = {"split": "train", "depth": 10}
SHORT: dict[str, Any] = {
    "documents": 16,
    "batch": 2,
    "query_length": 8,
    "doc_length": 12,
    "threads": 1,
}


@dataclass(frozen=True)
class World:
    """A workspace, and the folder `inputs` with the collection, the scores and the model that its
    stages read."""

    inputs: Path
    workspace: Workspace

    def __call__(self, name: str) -> Artifact:
        """Return an artifact by its name."""
        return self.workspace.find(name)

    @property
    def collection(self) -> Collection:
        """The collection."""
        return Collection(self("nf"))

    @property
    def encoder(self) -> str:
        """The folder of the model, and how it reads."""
        return f"model={self.inputs / 'encoder'},max_length=24,dtype=float32"


def every_kind(place: Path) -> Workspace:
    """Make the workspace `place/work`, beside its collection, run, scores and model."""
    world = begun(place)
    for step in STEPS.values():
        step(world)
    return world.workspace


def begun(place: Path) -> World:
    """Write what the stages read, all but the scores; nothing is made yet."""
    tiny_beir(place / "beir", docs=60, queries=QUERIES)
    tiny_encoder(place / "encoder", max_position_embeddings=256)
    return World(place, Workspace(place / "work"))


def _collect(world: World) -> None:
    api.collect(f"beir:{world.inputs / 'beir'}", workspace=world.workspace, name="nf")


def _bm25(world: World) -> None:
    api.mine("bm25", world.collection, name="bm25", **MINING)


def _random(world: World) -> None:
    api.mine("random", world.collection, name="random", seed=3, **MINING)


def _ann(world: World) -> None:
    source = f'dense({world.encoder},index="IVF2,Flat",probe=2)'
    api.mine(source, world.collection, name="ann", **MINING)


def _pool(world: World) -> None:
    api.pool([world("bm25"), world("random")], name="pool")


def _import_scores(world: World) -> None:
    path = world.inputs / "scores.jsonl"
    if not path.exists():
        _scores(path, world("pool"))
    api.import_scores(path, world.collection, kind="logit", name="given")


def _score(world: World) -> None:
    api.score(f"stored(scores={world('given').fingerprint})", world("pool"), name="scores")


def _select(world: World) -> None:
    api.select("uniform(source=bm25,last=9)", world("pool"), world("scores"), size=4, name="groups")


def _cross(world: World) -> None:
    encoder = f"bi_encoder({world.encoder})"
    api.cross(world("pool"), world("scores"), encoder=encoder, size=3, steps=50, name="design")


def _stats(world: World) -> None:
    api.stats(world("groups"), statistics=["pair_entropy(T=1)", "ties"], name="measured")


def _cut(world: World) -> None:
    rule = "keep_below(of=pair_entropy(T=1),q=0.75)"
    api.cut(world("groups"), world("measured"), rule, name="cut")


def _train(world: World) -> None:
    student = f"bi_encoder(model={world.inputs / 'encoder'},layers=1)"
    api.train(student, world("groups"), name="student", **SHORT)


def _evaluate(world: World) -> None:
    for name, source in {"bm25": "bm25", "random": "random"}.items():
        run = api.mine(source, world.collection, split="test", depth=10)
        api.evaluate(run, name=f"{name}-judged")


def _compare(world: World) -> None:
    tested = {name: world(f"{name}-judged") for name in ("bm25", "random")}
    api.compare(tested, draws=50, name="compared")


STEPS: dict[str, Callable[[World], None]] = {
    "collect": _collect,
    "mine bm25": _bm25,
    "mine random": _random,
    "mine dense, IVF": _ann,
    "pool": _pool,
    "import scores": _import_scores,
    "score": _score,
    "select": _select,
    "cross": _cross,
    "stats": _stats,
    "cut": _cut,
    "train": _train,
    "mine and evaluate": _evaluate,
    "compare": _compare,
}


def _scores(path: Path, pool: Artifact) -> Path:
    """Write a score for every pair of a pool, which looks as if a teacher had read them."""
    frame = pool.to_polars()
    with open(path, "w") as out:
        for query, docs in zip(frame["query_id"], frame["doc_id"], strict=True):
            for place, doc in enumerate(docs):
                score = (int(query[1:]) * 7 + place * 13) % 31 / 4 - 3
                line = {"query_id": query, "doc_id": doc, "score": score}
                out.write(json.dumps(line) + "\n")
    return path


def one_of_each(workspace: Workspace) -> dict[str, Artifact]:
    """Return an artifact of every kind, the last made of it where there are several."""
    return {one.kind: one for one in workspace.artifacts()}
