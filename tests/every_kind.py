"""A workspace with an artifact of every kind, as small as it can be, made in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill import api
from rankmill.mining.store import Artifact, Workspace

QUERIES = 24
KINDS = frozenset(
    "collection comparison copy-keys corpus design evaluation groups index pool postings qrels "
    "queries run scores statistics student tokens vectors".split()
)


def every_kind(place: Path) -> Workspace:
    """Make the workspace `place/work`, beside its collection, run, scores and model."""
    beir = tiny_beir(place / "beir", docs=60, queries=QUERIES)
    tiny_encoder(place / "encoder", max_position_embeddings=256)
    nf = api.collect(f"beir:{beir}", workspace=place / "work", name="nf")
    settings: dict[str, Any] = {"split": "train", "depth": 10}
    bm25 = api.mine("bm25", nf, name="bm25", **settings)
    drawn = api.mine("random", nf, name="random", seed=3, **settings)
    encoder = f"bi_encoder(model={place / 'encoder'},max_length=24,dtype=float32)"
    dense = f"model={place / 'encoder'},max_length=24,dtype=float32"
    api.mine(f'dense({dense},index="IVF2,Flat",probe=2)', nf, name="ann", **settings)
    pool = api.pool([bm25, drawn], name="pool")
    given = api.import_scores(_scores(place / "scores.jsonl", pool), nf, kind="logit", name="given")
    scores = api.score(f"stored(scores={given.fingerprint})", pool, name="scores")
    groups = api.select("uniform(source=bm25,last=9)", pool, scores, size=4, name="groups")
    api.cross(pool, scores, encoder=encoder, size=3, steps=50, name="design")
    measured = api.stats(groups, statistics=["pair_entropy(T=1)", "ties"], name="measured")
    api.cut(groups, measured, "keep_below(of=pair_entropy(T=1),q=0.75)", name="cut")
    student = f"bi_encoder(model={place / 'encoder'},layers=1)"
    short: dict[str, Any] = {
        "documents": 16,
        "batch": 2,
        "query_length": 8,
        "doc_length": 12,
        "threads": 1,
    }
    api.train(student, groups, name="student", **short)
    tested = {
        name: api.evaluate(api.mine(source, nf, split="test", depth=10), name=f"{name}-judged")
        for name, source in {"bm25": "bm25", "random": "random"}.items()
    }
    api.compare(tested, draws=50, name="compared")
    return nf.artifact.workspace


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
