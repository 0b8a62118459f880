"""The ensemble source: a union cleared by a margin; the public hard-negatives files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from rounding import sum_bound
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.sources.ensemble import on_unit
from rankmill.mining.store import Workspace


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=40, queries=12)}")


@pytest.fixture
def scores(collection: Collection, tmp_path: Path) -> dict[tuple[str, str], float]:
    """Scores of every pair of a query and a document, below and above 0."""
    rng = np.random.Generator(np.random.Philox(3))
    ids = collection.corpus.doc_ids(range(40))
    found = {(f"q{q}", d): float(np.float32(rng.normal())) for q in range(12) for d in ids}
    lines = "".join(f"{q}\t{d}\t{s!r}\n" for (q, d), s in found.items())
    (tmp_path / "scores.tsv").write_text(lines)
    return found


@pytest.mark.parametrize("margin", [None, 0.0, 1.5, -0.5])
def test_what_stays_is_below_the_weakest_positive(
    workspace: Workspace,
    collection: Collection,
    scores: dict[tuple[str, str], float],
    tmp_path: Path,
    margin: float | None,
) -> None:
    workspace.alias("a", mine(workspace, "bm25", collection, "train", depth=9))
    workspace.alias("b", mine(workspace, "random", collection, "train", depth=12))
    teacher = f"imported(path={tmp_path / 'scores.tsv'},kind=logit)"
    text = f"ensemble(of=[a,b],teacher={teacher},per_source=6,margin={str(margin).lower()})"
    run = Run(mine(workspace, text, collection, "train", depth=8))
    members = [Run.open(workspace, name) for name in "ab"]
    removed = 0
    for row in range(len(run)):
        query, docs, values = run.row(row)
        query_id = collection.queries.query_id(query)
        of = {d: scores[query_id, collection.corpus.doc_id(d)] for d in range(40)}
        positives = collection.qrels("train").positives(query).tolist()
        union = {d for member in members for d in member.row(row)[1][:6].tolist()}
        limit = np.inf if margin is None else min(of[d] for d in positives) - margin
        kept = [d for d in union if d not in positives and of[d] <= limit]
        removed += len(union - set(positives)) - len(kept)
        expected = sorted(kept, key=lambda d: (-of[d], d))[:8]
        assert docs.tolist() == expected
        assert values.tolist() == [of[d] for d in expected]
    assert run.artifact.counts.get("within_margin", 0) == removed
    assert (removed > 0) == (margin is not None)
    assert run.artifact.verify() == 1
    assert str(tmp_path) not in run.label
    assert run.label.startswith("ensemble(of=[bm25(")


def public_recipe(systems, positives, score, margin, most):
    """The loop of sentence-transformers' MS MARCO scripts, as it stands there, for one query."""
    threshold = min(score[d] for d in positives) - margin
    chosen: list[int] = []
    for listed in systems:
        added = 0
        for doc in listed:
            if doc in positives or score[doc] > threshold:
                continue
            if doc not in chosen:
                chosen.append(doc)
                added += 1
                if added >= most:
                    break
    return chosen


@pytest.mark.parametrize("margin", [0.0, 0.4, -0.5])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_as_many_of_each_system_as_pass(
    workspace: Workspace,
    collection: Collection,
    scores: dict[tuple[str, str], float],
    tmp_path: Path,
    margin: float,
    order: str,
) -> None:
    workspace.alias("a", mine(workspace, "bm25", collection, "train", depth=15))
    workspace.alias("b", mine(workspace, "random", collection, "train", depth=25))
    teacher = f"imported(path={tmp_path / 'scores.tsv'},kind=logit)"
    text = f"ensemble(of=[{','.join(order)}],teacher={teacher},per_source=4,margin={margin}"
    run = Run(mine(workspace, f"{text},take=passing,within=20)", collection, "train", depth=40))
    plain = Run(mine(workspace, f"{text})", collection, "train", depth=40))
    members = [Run.open(workspace, name) for name in order]
    more = 0
    for row in range(len(run)):
        query, docs, values = run.row(row)
        query_id = collection.queries.query_id(query)
        of = {d: scores[query_id, collection.corpus.doc_id(d)] for d in range(40)}
        positives = collection.qrels("train").positives(query).tolist()
        systems = [member.row(row)[1][:20].tolist() for member in members]
        chosen = public_recipe(systems, positives, of, margin, 4)
        assert docs.tolist() == sorted(chosen, key=lambda d: (-of[d], d))
        assert values.tolist() == [of[d] for d in docs.tolist()]
        more += len(docs) - len(plain.row(row)[1])
    assert more > 0  # what the margin removes is made up for
    assert run.artifact.counts["beyond_quota"] > 0
    assert run.label.endswith(",take=passing,within=20)")


def test_the_default_keeps_its_text() -> None:
    text = "ensemble(of=[bm25,random],teacher=t,per_source=6,margin=0.5,unit=logit)"
    for said in ("", ",take=first"):
        assert str(SOURCES.parse(text[:-1] + said + ")")) == text


def test_units_are_differences_on_a_declared_scale() -> None:
    z = np.asarray([-3.0, 0.0, 4.0])
    p = 1 / (1 + np.exp(-z))
    # A rounding of p or ln p moves the logit by up to 1/(1 − p) = e⁴ + 1 of them; ten of them.
    off = sum_bound(10, 1 + np.exp(4.0), "float64")
    for score, kind in ((z, "logit"), (p, "probability"), (np.log(p), "log-prob")):
        np.testing.assert_allclose(on_unit(score, kind, "logit"), z, rtol=0, atol=off)
        np.testing.assert_allclose(on_unit(score, kind, "logprob"), np.log(p), rtol=0, atol=off)
        assert on_unit(score, kind, "raw").tolist() == score.tolist()


def test_bad_ensembles(
    workspace: Workspace,
    collection: Collection,
    scores: dict[tuple[str, str], float],
    tmp_path: Path,
) -> None:
    for text, said in (
        ("ensemble(of=[a],teacher=t,unit=share)", "unit=share is not known"),
        ("ensemble(of=[a],teacher=t,per_source=0)", "per_source=0 must be at least 1"),
        ("ensemble(of=[],teacher=t)", "an ensemble needs runs"),
        ("ensemble(of=[a],teacher=t,margin=inf)", "margin=inf is not a margin"),
        ("ensemble(of=[a])", "ensemble needs teacher"),
        ("ensemble(of=[a],teacher=t,take=best)", "take=best is not known"),
        ("ensemble(of=[a],teacher=t,take=passing)", "within=None do not go together"),
        ("ensemble(of=[a],teacher=t,within=90)", "take=first and within=90 do not go together"),
        ("ensemble(of=[a],teacher=t,take=passing,within=9)", "within=9 is less than per_source=50"),
    ):
        with pytest.raises(UsageError, match=said):
            SOURCES.parse(text)
    file = tmp_path / "scores.tsv"
    teacher = f"imported(path={file},kind=similarity)"
    cosine = f"ensemble(of=[random],teacher={teacher},per_source=9,unit=logit)"
    with pytest.raises(UsageError, match="a similarity has no logit"):
        mine(workspace, cosine, collection, "train", depth=4)
    plain = f"ensemble(of=[random],teacher=imported(path={file},kind=logit),per_source=9)"
    with pytest.raises(BadInput, match="looks at judged positives"):
        mine(workspace, plain, collection, "*", depth=4)


LINES = [
    {"qid": "q0", "pos": ["d1"], "neg": {"bm25": ["d5", "d1", "d3", "d5"], "ance": ["d2"]}},
    {"qid": "q2", "pos": [{"pid": "d4"}], "neg": {"bm25": [{"pid": "d4"}, {"pid": "d9"}]}},
    {"qid": "q1", "pos": [], "neg": {"bm25": ["d7"]}},
]


@pytest.mark.parametrize("name", ["hard.jsonl", "hard.jsonl.gz"])
def test_the_public_hard_negatives_are_a_source(
    workspace: Workspace, collection: Collection, tmp_path: Path, name: str
) -> None:
    data = "".join(json.dumps(line) + "\n" for line in LINES).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    text = f"hard_negatives(path={path},system={{}})"
    run = Run(mine(workspace, text.format("bm25"), collection, "train", depth=30))
    names = [collection.corpus.doc_ids(run.row(row)[1]) for row in range(3)]
    assert names == [["d5", "d3"], ["d9"], []]  # positives of the line and repeats left out
    assert run.row(0)[2].tolist() == [-1.0, -2.0]
    assert run.artifact.counts == {"outside_split": 1, "queries_without_candidates": 4}
    assert run.label == "imported(tag=bm25)"
    other = Run(mine(workspace, text.format("ance"), collection, "train", depth=30))
    assert [len(other.row(row)[1]) for row in range(6)] == [1, 0, 0, 0, 0, 0]
    with pytest.raises(
        BadInput, match="no negatives of system 'bm52'\n.*\n  do: did you mean bm25"
    ):
        mine(workspace, text.format("bm52"), collection, "train", depth=30)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"qid": "q0"}', "neg is no object of lists but null"),
        ('{"neg": {"bm25": ["d1"]}}', "'qid' is missing; there are 'neg'"),
        ('{"qid": "q0", "pos": [], "neg": {"bm25": [1.5]}}', "1.5 names no document"),
        (
            '{"qid": "q0", "pos": [], "neg": {"bm25": [{"score": 2}]}}',
            r"\{'score': 2\} names no document",
        ),
        ('{"qid": "q0", "neg": {"bm25": ["d1"]}}', "'pos' is missing; there are 'qid', 'neg'"),
        ('{"qid": "q0", "pos": [], "neg": {"bm25": ["ghost"]}}', "unknown documents: 'ghost'"),
        ('{"qid": "q0", "pos": [], "neg": {"bm25": []}}', "the file holds no candidate"),
    ],
)
def test_bad_hard_negatives(
    workspace: Workspace, collection: Collection, tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "hard.jsonl"
    path.write_text(line + "\n")
    source = f"hard_negatives(path={path},system=bm25)"
    with pytest.raises(BadInput, match=said):
        mine(workspace, source, collection, "train", depth=5)
