"""Fused lists with a drawn member: κ is null with the reason, or estimated with its error."""

from __future__ import annotations

import numpy as np
import pytest
from selection_world import DOCS, QUERIES, build_world, score, select

from rankmill.mining.errors import UsageError
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.selection.base import DRAWN, FIXED, MIXED
from rankmill.mining.selection.drawn import hypergeometric, origins_of
from rankmill.mining.sources import mine
from rankmill.mining.statistics import STATISTICS, measure_groups

LISTED, DRAWN_DEPTH, FUSED, LAST, NEGATIVES = 30, 25, 40, 20, 7


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    """The world with the fusion of its two runs, and with that fused once more."""
    world = build_world(tmp_path_factory.mktemp("redrawn"))
    workspace, collection = world["workspace"], world["collection"]

    def run(text, depth, **options):
        return mine(workspace, text, collection, "train", depth=depth, **options)

    path = world["folder"] / "run.txt"
    lexical = run(f"imported(path={path},tag=lexical)", LISTED)
    for name, artifact in (("lex", lexical), ("drawn", run("random", DRAWN_DEPTH, seed=1))):
        workspace.alias(name, artifact)
    once = run("rrf(of=[lex,drawn])", FUSED)
    workspace.alias("once", once)
    runs = [lexical, once, run("combsum(of=[once,lex])", FUSED)]
    pool = pool_runs(workspace, runs, collection=collection, split="train")
    origins = origins_of(pool)
    assert list(origins.values()) == [FIXED, MIXED, MIXED]
    labels = dict(zip(("lexical", "once", "twice"), origins, strict=True))
    return world | {"pool": pool, "scores": score(workspace, pool), "labels": labels}


def measured(world, strategy, *statistics, **options):
    return measure_groups(world["workspace"], select(world, strategy, **options), statistics)


def column(artifact, number=1):
    return artifact.table().column(number).to_pylist()


def inclusion_of_a_fusion(query):
    """π of every document of the corpus by 40,000 fusions written out, and which list holds it."""
    rng, draws, corpus = np.random.Generator(np.random.Philox(2)), 40_000, np.arange(1, DOCS)
    rank = 1 + np.argsort(np.argsort(rng.random((draws, DOCS - 1)), axis=1), axis=1)
    points = np.where(rank <= DRAWN_DEPTH, 1 / (60 + rank), 0.0)
    listed = np.array([1 + (query + step) % (DOCS - 1) for step in range(LISTED)])
    points[:, listed - 1] += 1 / (60 + np.arange(1, LISTED + 1))
    order = np.argsort(-points.astype(np.float32), axis=1, kind="stable")
    inside = np.zeros(points.shape, bool)
    np.put_along_axis(inside, order[:, :LAST], True, axis=1)
    inside &= ~np.isin(corpus, [query + 4, query + 20])
    return (inside * (NEGATIVES / inside.sum(axis=1, keepdims=True))).mean(axis=0), listed


def test_a_fusion_with_a_drawn_member_is_null_with_the_reason_never_infinite(fused):
    names = ("density_ratio", "coverage", "importance_ess")
    for label in (fused["labels"]["once"], fused["labels"]["twice"]):
        found = measured(fused, f'uniform(source="{label}",last={LAST})', *names)
        for number, name in enumerate(names, 1):
            assert column(found, number) == [None] * (QUERIES - 1)
            assert found.counts[f"null[{name}(target=corpus)]:drawn_list"] == QUERIES - 1
    label = fused["labels"]["lexical"]  # the pool holds drawn lists, the strategy reads none
    found = measured(fused, f'uniform(source="{label}",last={LAST})', *names)
    assert column(found, 1) == [float("inf")] * (QUERIES - 1)


def test_drawing_its_lists_again_estimates_the_density_ratio_within_its_error(fused):
    text = f'uniform(source="{fused["labels"]["once"]}",last={LAST})'
    names = (
        "density_ratio(draws=800,error=true)",
        "density_ratio(draws=800,covered=true)",
        "coverage(draws=800)",
        "density_ratio(draws=800)",
    )
    found = measured(fused, text, *names)
    error, covered, reached, kappa = (np.array(column(found, number)) for number in (1, 2, 3, 4))
    assert (reached == 1.0).all()  # any document can be drawn first
    assert (covered == kappa).all()
    for query in (2, 9):
        pi, listed = inclusion_of_a_fusion(query)
        may_be = ~np.isin(np.arange(1, DOCS), [query + 4, query + 20])
        only_drawn = may_be & ~np.isin(np.arange(1, DOCS), listed)
        exact = 1 / may_be.sum() / (pi[only_drawn].mean() / NEGATIVES)
        assert abs(kappa[query] - exact) <= 5 * error[query] * np.sqrt(1 + 800 / 40_000)
        assert 0 < error[query] < 0.05 * kappa[query]
        # what the claim rests on: no document of a list is less likely than one of the draw alone
        assert pi[may_be].min() >= pi[only_drawn].min() - 5 * np.sqrt(0.25 / 40_000) / 3


def test_fusions_of_fusions_are_drawn_again_with_one_list(fused):
    text = f'top(source="{fused["labels"]["twice"]}")'
    found = measured(fused, text, "density_ratio(draws=50)", "importance_ess(draws=50)")
    assert all(value is None or 1 < value < np.inf for value in column(found, 1))
    assert column(found, 2) == [None] * (QUERIES - 1)


def test_what_cannot_be_drawn_again_stays_null(fused):
    label = fused["labels"]["once"]
    for text, options in (
        (f'uniform(source="{label}",first=2,last=20)', {}),
        (f'softmax(T=1,source="{label}")', {}),
        (f'uniform(source="{label}")', {"filters": ["between(high=8,score=raw)"]}),
        (f'uniform(source="{label}")', {"positives": "best"}),
    ):
        found = measured(fused, text, "density_ratio(draws=50)", **options)
        assert set(column(found)) == {None}
    with pytest.raises(UsageError, match="target=judged,draws=50 cannot be estimated"):
        STATISTICS.parse("coverage(target=judged,draws=50)")


def test_lists_of_a_pool_say_whether_they_were_drawn(fused):
    world = build_world(fused["folder"] / "again")
    assert sorted(origins_of(world["pool"]).values()) == [DRAWN, FIXED]


def test_hypergeometric_weights():
    """Of 5 with 2 marked, 3 drawn: 1, 6 and 3 ways of 10."""
    count, weight = hypergeometric(5, 2, 3)
    assert count.tolist() == [0, 1, 2]
    assert weight == pytest.approx([0.1, 0.6, 0.3])
    assert hypergeometric(4, 4, 3)[1].tolist() == [1.0]
