"""What teacher scores would have cost whose pairs were found in others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_study import study_place

import rankmill as rm
from rankmill.mining.store import Artifact, Workspace
from rankmill.study.gains import saved_by, seconds_of, would_have_cost


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = study_place(tmp_path)
    monkeypatch.chdir(root)
    return root


def parts_of(scores: Artifact, part: float = 1.0) -> dict[str, float]:
    return {one.fingerprint: of for one, of in would_have_cost(scores, part)}


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
    pairs = whole.cost()["usage"]["pairs_scored"]
    share = usage["pairs_asked"] / pairs
    assert parts_of(whole, 0.5) == {whole.fingerprint: 0.5}
    assert parts_of(inner, 0.5) == {inner.fingerprint: 0.5, whole.fingerprint: 0.5 * share}
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
    assert parts_of(alone) == {inner.fingerprint: 1.0}
    assert saved_by(alone) == 0
