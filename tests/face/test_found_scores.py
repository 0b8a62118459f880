"""What teacher scores would have cost whose pairs were found in others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_study import study_place

import rankmill as rm
from rankmill.mining.actors import INLINE
from rankmill.mining.store import Artifact, Workspace
from rankmill.study.costs.gains import spent_along, way_to
from rankmill.study.costs.lineage import seconds_of
from rankmill.study.costs.teacher_pairs import cost_of_pairs, own_pairs, saved_by
from rankmill.study.recipe import load
from rankmill.study.run import run_recipe


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = study_place(tmp_path)
    monkeypatch.chdir(root)
    return root


def parts_of(scores: Artifact, pairs: int) -> dict[str, float]:
    return {one.fingerprint: of for one, of in cost_of_pairs(scores, pairs)}


def test_pairs_that_were_found_cost_what_a_pair_took_where_it_was_scored(place: Path) -> None:
    """A pool of one run inside a pool of two, scored after it: nothing is left to be scored."""
    tiny = rm.collect("beir:tiny", workspace="w")
    near = rm.mine("bm25", tiny, split="train", depth=6)
    far = rm.mine("random", tiny, split="train", depth=6)
    teacher = "cross_encoder(model=cross,max_length=64)"
    whole = rm.score(teacher, rm.pool([near, far]))
    inner = rm.score(teacher, rm.pool([near]))
    usage = inner.cost()["usage"]
    assert usage["pairs_scored"] == 0
    assert usage["pairs_reused"] == usage["pairs_asked"] > 0
    pairs, asked = whole.cost()["usage"]["pairs_scored"], usage["pairs_asked"]
    share = asked / pairs
    assert parts_of(whole, 30) == {whole.fingerprint: 30 / pairs}
    assert parts_of(inner, 30) == {inner.fingerprint: 30 / asked, whole.fingerprint: 30 / pairs}
    expected = seconds_of(whole) * share
    assert saved_by(inner) == pytest.approx(expected)
    assert expected > 0


def test_without_the_other_scores_they_cost_what_was_spent(place: Path) -> None:
    tiny = rm.collect("beir:tiny", workspace="w")
    near = rm.mine("bm25", tiny, split="train", depth=6)
    far = rm.mine("random", tiny, split="train", depth=6)
    whole = rm.score("cross_encoder(model=cross,max_length=64)", rm.pool([near, far]))
    inner = rm.score("cross_encoder(model=cross,max_length=64)", rm.pool([near]))
    (whole.path / "manifest.json").rename(place / "elsewhere.json")
    alone = Workspace("w").open("scores", inner.fingerprint)
    assert parts_of(alone, own_pairs(alone)) == {inner.fingerprint: 1.0}
    assert saved_by(alone) == 0


RERANKED = """
name = "r"
collection = "beir:tiny"
teacher = "cross_encoder(model=cross,max_length=64)"
[mine]
split = "train"
depth = 6
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
rerank = "rerank(teacher=cross_encoder(model=cross,max_length=64),of=bm25)"
both = "rrf(of=[random,rerank])"
[groups]
size = 4
[groups.samplers]
random = "uniform(source=random,last=6)"
bm25 = "uniform(source=bm25,last=6)"
rerank = "uniform(source=rerank,last=6)"
both = "uniform(source=both,last=6)"
[train]
student = "bi_encoder(model=encoder,layers=1)"
loss = "kl"
documents = 16
batch = 4
seeds = [1]
[train.settings]
doc_length = 16
query_length = 16
threads = 1
[evaluate]
depth = 6
"""


def test_a_sampler_is_charged_for_the_pairs_that_it_alone_would_have_had_scored(
    place: Path,
) -> None:
    """By the definition: with its runs alone, in a workspace of its own, so many pairs are scored.
    One that re-ranks with the teacher has them scored once, a positive belongs to every pool."""
    (place / "r.toml").write_text(RERANKED)
    made = run_recipe(load(Path("r.toml")), Workspace("together"), INLINE)
    ways = {t.sampler: way_to(made.recipe, made.results, t) for t in made.results.students.values()}
    rerank = "rerank(teacher=cross_encoder(model=cross,max_length=64),of=bm25(k1=0.9,b=0.4))"
    alone = {"random": "random", "bm25": "bm25(k1=0.9,b=0.4)", "rerank": rerank}
    alone["both"] = f"rrf(of=[random,{rerank}])"
    for sampler, source in alone.items():
        tiny = rm.collect("beir:tiny", workspace=sampler)
        run = rm.mine(source, tiny, split="train", depth=6, seed=made.recipe.seed)
        rm.score("cross_encoder(model=cross,max_length=64)", rm.pool([run]))
        usage = [one.cost()["usage"] for one in Workspace(sampler).artifacts("scores")]
        assert ways[sampler].pairs == sum(one["pairs_scored"] for one in usage), sampler
        assert len(usage) == 1 + (sampler in ("rerank", "both"))
    spent = {name: spent_along(way, seconds_of) for name, way in ways.items()}
    assert spent["rerank"].mining > spent["bm25"].mining + 0.5 * spent["bm25"].teacher
    assert 0 < spent["rerank"].teacher < 0.5 * spent["bm25"].teacher  # positives that it lacks
