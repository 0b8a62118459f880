"""Which way scores run is judged on documents that no score chose; the rest is only said."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import tiny_encoder

from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.store.execution import Silent
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers.direction import Votes, chance, evidence_of, votes

DOCS, QUERIES, LABELLED = 240, 40, 25


def place(query: int, doc: int) -> int:
    """How far a document is from what a query wants: 0 is best, `LABELLED` is the judged one."""
    return (doc - 7 * query) % DOCS


class Listener(Silent):
    """A progress that remembers what is announced."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def announce(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict[str, Any]:
    return build(tmp_path_factory.mktemp("direction"), QUERIES)


def build(folder: Path, queries: int) -> dict[str, Any]:
    """A collection whose only judged document of a query stands 26th, and what a source ranks."""
    beir = folder / "beir"
    (beir / "qrels").mkdir(parents=True)
    rows = [{"_id": f"d{d}", "title": "", "text": f"word{d} in a text"} for d in range(DOCS)]
    (beir / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    rows = [{"_id": f"q{q}", "text": f"word{7 * q} of it"} for q in range(queries)]
    (beir / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    judged = "".join(f"q{q}\td{(7 * q + LABELLED) % DOCS}\t1\n" for q in range(queries))
    (beir / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{beir}")
    jitter = np.random.Generator(np.random.Philox(2)).uniform(0, 8, (queries, DOCS))
    lines = []
    for q in range(queries):
        order = sorted(range(DOCS), key=lambda d: place(q, d) + jitter[q, d])[:24]
        lines += [f"q{q} Q0 d{d} {r + 1} {50 - r} x\n" for r, d in enumerate(order)]
    (folder / "run.txt").write_text("".join(lines))
    made = {"workspace": workspace, "collection": collection, "folder": folder, "queries": queries}
    for split in ("train", "*"):
        source = f"imported(path={folder / 'run.txt'},tag=lexical)"
        ranked = mine(workspace, source, collection, split, depth=24)
        drawn = mine(workspace, "random", collection, split, depth=12)
        for name, runs in (("ranked", [ranked]), ("both", [ranked, drawn])):
            made[f"{name} {split}"] = pool_runs(workspace, runs, collection=collection, split=split)
        made[f"run {split}"] = ranked
    return made


def teacher(world: dict[str, Any], name: str, score: Callable[[int, int], float]) -> str:
    """A file of a score for every pair."""
    path = world["folder"] / f"{name}.tsv"
    if not path.exists():
        pairs = ((q, d) for q in range(world["queries"]) for d in range(DOCS))
        path.write_text("".join(f"q{q}\td{d}\t{score(q, d)!r}\n" for q, d in pairs))
    return f"imported(path={path},kind=similarity)"


def right(world):
    return teacher(world, "right", lambda q, d: 100.0 - place(q, d) + 5 * math.sin(q + 3 * d))


def reversed_(world):
    return teacher(world, "reversed", lambda q, d: 0.5 * place(q, d) + 2 * math.sin(q + 3 * d))


def told(world, text: str, pool: str, **options: Any) -> tuple[Any, list[str], list[str]]:
    """Score, and return (scores, notes, warnings)."""
    listener = Listener()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = score_pool(
            world["workspace"], text, world[pool], executor=Execution(progress=listener), **options
        )
    return made, listener.said, [str(w.message) for w in caught]


# ---- what is accepted ----------------------------------------------------------------------------


def test_the_encoder_that_mined_the_candidates_may_score_them(world, tmp_path):
    """Every judged document loses to nearly all that the same encoder put on top."""
    encoder, workspace = tiny_encoder(tmp_path / "encoder"), world["workspace"]
    run = mine(workspace, f"dense(model={encoder})", world["collection"], "train", depth=30)
    pool = pool_runs(workspace, [run], collection=world["collection"], split="train")
    listener = Listener()
    executor = Execution(progress=listener)
    scores = score_pool(workspace, f"bi_encoder(model={encoder})", pool, executor=executor)
    won, lost = (scores.counts.get(f"positives_{n}", 0) for n in ("won", "lost"))
    assert lost > 0.7 * (won + lost) >= 700  # was refused: «the wrong way»
    (said,) = [line for line in listener.said if line.startswith("note")]
    assert "chosen by scores that agree with these (dense(model=" in said
    assert "pool a run of `random` too" in said


def test_a_sound_teacher_whose_positives_lose_to_candidates(world):
    """26th of the right order: lost against what a source chose, won against random documents."""
    scores, notes, warned = told(world, right(world), "both train")
    assert scores.counts["positives_lost"] > scores.counts["positives_won"]
    assert warned == []
    assert len(notes) == 1
    assert "but higher than random documents" in notes[0]
    _, notes, warned = told(world, right(world), "ranked train")
    assert warned == []
    assert "chosen by scores that agree with these (imported(" in notes[0]


def test_few_queries_prove_nothing(tmp_path):
    small = build(tmp_path, 10)
    for pool in ("both train", "ranked train"):
        assert told(small, reversed_(small), pool)[1:] == ([], [])


def test_equal_scores_have_no_direction(world):
    flat = teacher(world, "flat", lambda q, d: 1.0)
    with pytest.raises(BadInput, match="one score to all documents"):
        told(world, flat, "both train")
    nearly = teacher(world, "nearly", lambda q, d: float(d == 7 * q % DOCS))  # of one document
    evidence = evidence_of(told(world, nearly, "both train")[0], world["both train"])
    assert evidence.drawn.won == 0
    assert not evidence.drawn.clear


# ---- what is refused -----------------------------------------------------------------------------


def test_reversed_scores_are_refused_on_random_documents(world):
    for _ in range(2):  # also when the artifact is there
        with pytest.raises(BadInput) as refused:
            told(world, reversed_(world), "both train")
    said = str(refused.value)
    assert (
        "the scores run the wrong way: judged positives score lower than random documents" in said
    )
    assert "of 40 queries" in said
    assert "--direction trusted" in said
    assert "--sign -1" in said


def test_distances_are_refused_where_only_a_ranked_source_was_pooled(world):
    text = reversed_(world)
    # 26th by distance: the judged one beats the candidates, but the whole order is reversed.
    _, _, warned = told(world, text, "ranked train")
    (said,) = warned
    assert said.startswith("the scores run against the order of imported(")
    far = teacher(world, "far", lambda q, d: float(place(q, d)) * (place(q, d) != LABELLED))
    with pytest.raises(BadInput, match="and the order of every source is reversed"):
        told(world, far, "ranked train")
    turned = text.replace(",kind", ",sign=-1,kind")
    assert told(world, turned, "ranked train")[2] == []


def test_without_judgements_the_order_alone_warns(world):
    assert told(world, right(world), "both *")[1:] == ([], [])
    _, _, warned = told(world, reversed_(world), "both *")
    assert len(warned) == 1
    assert "against the order" in warned[0]


# ---- the way out ---------------------------------------------------------------------------------


def test_trusted_scores_are_the_same_artifact(world):
    text = teacher(world, "known", lambda q, d: float(place(q, d)))
    with pytest.raises(BadInput, match="run the wrong way"):
        told(world, text, "both train")
    scores, notes, warned = told(world, text, "both train", direction="trusted")
    assert (notes, warned) == ([], [])
    assert "direction" not in json.dumps(scores.manifest)
    with pytest.raises(UsageError, match="direction=keep is not known"):
        told(world, text, "both train", direction="keep")


def test_members_of_an_ensemble_are_judged_but_for_those_turned_round(world):
    one, other = right(world), reversed_(world)
    turned = f"ensemble(of=[{one},{other}],scales=[1,-2])"
    assert told(world, turned, "both train")[2] == []
    mixed = f"ensemble(of=[{one},{other}],weights=[9,1])"  # the mean runs the right way
    with pytest.raises(BadInput, match="run the wrong way"):
        told(world, mixed, "both train")
    told(world, mixed, "both train", direction="trusted")


def test_sources_that_score_have_the_same_way_out(world):
    text = teacher(world, "far", lambda q, d: float(place(q, d)) * (place(q, d) != LABELLED))
    run, workspace = world["both train"].input("run[1]").fingerprint, world["workspace"]

    def mined(source: str) -> Any:
        return mine(workspace, source, world["collection"], "train", depth=12)

    for source in (f"ensemble(of=[{run}],teacher={text}", f"rerank(teacher={text},of={run}"):
        made = mined(f"{source},direction=trusted)")
        assert "trusted" not in json.dumps(made.manifest)
    with pytest.raises(BadInput, match="run the wrong way"):
        mined(f"ensemble(of=[{run}],teacher={text})")
    with pytest.raises(UsageError, match="direction=x is not known"):
        mined(f"rerank(teacher=T,of={run},direction=x)")


# ---- the rule ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1 / 2, 2 / 3])
def test_the_bound_holds_for_the_binomial(share):
    for n in (1, 5, 23, 40, 200):
        tail = 0.0
        for lost in range(n, -1, -1):
            tail += math.comb(n, lost) * share**lost * (1 - share) ** (n - lost)
            assert chance(lost, n, share) >= tail - 1e-12
    assert chance(0, 0, share) == 1.0
    assert chance(20, 20, 0.5) == pytest.approx(2.0**-20)


def test_how_many_votes_are_clear():
    assert not Votes(0, 22).clear
    assert Votes(0, 23).clear
    assert not Votes(0, 13).leans
    assert Votes(0, 14).leans
    assert not Votes(3000, 6000).clear  # two in three, whatever their number
    assert Votes(3000, 6000).leans
    assert Votes(14, 0).agrees


def test_votes_against_a_loop():
    rng = np.random.Generator(np.random.Philox(9))
    row = np.repeat(np.arange(30), rng.integers(0, 9, 30))
    scores = rng.integers(0, 4, len(row)).astype(np.float32)
    role = rng.integers(0, 3, len(row))
    won = lost = 0
    for r in range(30):
        mine, theirs = (scores[(row == r) & (role == k)] for k in (0, 1))
        balance = sum(np.sign(a - b) for a in mine for b in theirs)
        won, lost = won + (balance > 0), lost + (balance < 0)
    assert votes(scores, row, role == 0, role == 1) == Votes(won, lost)
    assert votes(scores[:0], row[:0], role[:0] == 0, role[:0] == 1) == Votes()
