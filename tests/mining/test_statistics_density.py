"""Density ratio, coverage and effective sample size: golden values, guards, and through groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from group_makers import make_groups, make_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_world import DOCS, QUERIES, build_world

from rankmill.mining.derive import retarget_groups
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.selection import STRATEGIES, Candidates, select_groups
from rankmill.mining.selection.selector import Chooser
from rankmill.mining.statistics import STATISTICS, measure_groups, measure_pool
from rankmill.mining.statistics.density_ratio import Strata, importance_ess, strata_of

TOL = 5e-7


def top_thousand(text, size=15):
    """Strata of a strategy over a list of 1,000 ranks; the target is uniform over all of them."""
    n = 1001
    candidates = Candidates(
        query_id="q",
        doc=np.arange(n, dtype=np.uint32),
        score=np.arange(n, dtype=np.float64),
        kind="logit",
        rank={"bm25": np.arange(n, dtype=np.uint16)},
        allowed=np.arange(n) > 0,
        positive=0,
    )
    strategy = STRATEGIES.parse(text).bind(["bm25"])
    allowed = candidates.allowed.copy()
    pi, beyond = Chooser(str(strategy), [], size + 1, "error").probabilities(candidates)
    strata = strata_of(candidates, allowed, pi, beyond, "bm25", 1000)
    assert strata is not None
    assert (strata.number * strata.nu).sum() == pytest.approx(1.0)
    assert pi.sum() == pytest.approx(size)
    return strata


def test_golden_window_against_a_wider_target():
    found = top_thousand("uniform(first=1,last=200)")
    assert found.kappa() == math.inf
    assert found.coverage() == pytest.approx(0.2)
    assert found.kappa_covered() == pytest.approx(0.2)


def test_golden_mixture_as_distributions():
    """ν_λ = (1 − λ)·uniform(200) + λ·uniform(1000), λ = 1/15, as two strata."""
    low = 1 / 15 / 1000
    found = Strata(np.array([200, 800]), np.full(2, 1 / 1000), np.array([14 / 15 / 200 + low, low]))
    assert found.kappa() == pytest.approx(15.0)
    assert found.coverage() == pytest.approx(1.0)
    inside = Strata(found.number[:1], found.mu[:1], found.nu[:1])
    assert inside.kappa() == pytest.approx(0.211268, abs=TOL)


def test_a_drawn_mixture_attains_its_guard():
    """One of 15 from the target, without replacement: κ = 15 on what only it reaches."""
    found = top_thousand("mixture(first=1,last=200,source=bm25,target=bm25,number=1)")
    assert found.kappa() == pytest.approx(15.0)
    assert found.coverage() == pytest.approx(1.0)
    three = top_thousand("mixture(first=1,last=200,source=bm25,target=bm25,number=3)")
    assert three.kappa() == pytest.approx(5.0)


def test_golden_weights():
    mu, nu = np.full(4, 0.25), np.array([0.4, 0.3, 0.2, 0.1])
    assert Strata(np.ones(4), mu, nu).kappa() == pytest.approx(2.5)
    assert importance_ess(mu / nu) == pytest.approx(3.048780, abs=TOL)
    assert math.isnan(importance_ess(np.zeros(3)))


@given(st.lists(st.floats(1e-3, 1.0), min_size=2, max_size=30), st.floats(0.01, 1.0))
@settings(max_examples=100, deadline=None)
def test_kappa_of_full_support_is_at_least_one_and_mixing_guards_it(weights, share):
    nu = np.array(weights) / np.sum(weights)
    mu = np.full(len(nu), 1.0 / len(nu))
    ones = np.ones(len(nu))
    assert Strata(ones, mu, nu).kappa() >= 1.0 - 1e-12
    assert Strata(ones, mu, (1 - share) * nu + share * mu).kappa() <= 1.0 / share + 1e-9
    ess = importance_ess(mu / nu)
    assert ess <= len(nu) + 1e-9
    assert importance_ess(np.full(5, 3.0)) == pytest.approx(5.0)


# ---- through groups ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("density"))


def measured(world, strategy, *statistics, size=8, **options):
    groups = select_groups(
        world["workspace"],
        strategy,
        world["pool"],
        world["scores"],
        collection=world["collection"],
        split="train",
        size=size,
        **options,
    )
    return measure_groups(world["workspace"], groups, statistics)


def column(artifact, number=1):
    return artifact.table().column(number).to_pylist()


def test_a_window_misses_the_corpus_and_the_random_source_does_not(world):
    names = ("density_ratio", "coverage", "density_ratio(covered=true)")
    window = measured(world, f'uniform(first=1,last=20,source="{world["label"]}")', *names)
    assert column(window, 1) == [math.inf] * (QUERIES - 1)
    assert max(column(window, 2)) < 20 / (DOCS - 3)
    whole = measured(world, "random", *names)
    assert column(whole, 1) == pytest.approx([1.0] * (QUERIES - 1))
    assert column(whole, 2) == pytest.approx([1.0] * (QUERIES - 1))
    assert whole.metadata["unit[density_ratio(target=corpus)]"] == "ratio"


def test_a_window_as_its_own_target_has_ratio_one(world):
    label = world["label"]
    target = f'(target="{label}",last=20)'
    found = measured(
        world,
        f'uniform(first=1,last=20,source="{label}")',
        f"density_ratio{target}",
        f"coverage{target}",
        f"importance_ess{target}",
    )
    assert column(found, 1) == pytest.approx([1.0] * (QUERIES - 1))
    assert column(found, 2) == pytest.approx([1.0] * (QUERIES - 1))
    assert column(found, 3) == pytest.approx([7.0] * (QUERIES - 1))


def test_filters_and_fills_change_what_can_be_reached(world):
    label = world["label"]
    target = f'coverage(target="{label}",last=20)'
    text = f'uniform(first=1,last=20,source="{label}")'
    plain = column(measured(world, text, target, size=4))
    fewer = column(measured(world, text, target, size=4, filters=["between(high=5,score=raw)"]))
    assert all(a > b for a, b in zip(plain, fewer, strict=True))
    short = f'uniform(first=1,last=6,source="{label}")'
    filled = measured(world, short, "coverage(target=corpus)", size=9, when_short="fill")
    assert all(value > 6 / DOCS for value in column(filled))


def test_mixture_with_the_random_source_covers_the_corpus(world):
    label = world["label"]
    text = f'mixture(first=1,last=20,source="{label}",target=random,number=1)'
    found = column(measured(world, text, "density_ratio"))
    assert found == pytest.approx([7.0] * (QUERIES - 1))  # 1/λ, on what only the target reaches


def test_judged_targets_and_groups_made_from_groups(world):
    groups = select_groups(
        world["workspace"],
        f'top(source="{world["label"]}")',
        world["pool"],
        world["scores"],
        collection=world["collection"],
        split="train",
        size=4,
    )
    made = retarget_groups(world["workspace"], groups, "temperature(T=2)")
    found = measure_groups(world["workspace"], made, ["coverage(target=judged)"])
    values = column(found)
    assert all(v is None or v in (0.0, 1.0) for v in values)  # one judged negative per query
    assert any(v is not None for v in values)
    reasons = {key.rpartition(":")[2] for key in found.counts}
    assert reasons <= {"empty_target"}


def test_a_strategy_without_closed_form_gives_null(world):
    text = 'entropy_target(H=0.5,source="{}")'
    found = measured(world, text.format(world["label"]), "density_ratio")
    assert column(found) == [None] * (QUERIES - 1)
    assert found.counts == {"null[density_ratio(target=corpus)]:unknown_inclusion": QUERIES - 1}
    for whole in ("entropy_target(H=0.5)", "top", text.format("random")):
        found = measured(world, whole, "density_ratio", "coverage")
        assert column(found, 1) == column(found, 2) == [None] * (QUERIES - 1)
        assert found.counts["null[density_ratio(target=corpus)]:drawn_list"] == QUERIES - 1


def test_what_repeated_searches_estimate_has_an_error_and_lies_within_it(world):
    label, found = world["label"], {}
    target = f'target="{label}",last=12'
    for draws in (60, 4000):
        text = f'entropy_target(H=0.9,steps=10,source="{label}",last=12,draws={draws})'
        names = (f"density_ratio({target})", f"density_ratio({target},error=true)")
        made = measured(world, text, *names, size=5)
        found[draws] = [np.array(column(made, number)) for number in (1, 2)]
    (kappa, error), (exact, small) = found[60], found[4000]
    # Twelve ranks hold the positive, and d4 and d5, copies of each other, where it is one of them.
    number = np.array([10, 10] + [11] * (QUERIES - 3))
    # κ = (1/number)/(π/4) at the least probability, π a share of 60 searches and one more.
    pi = 4 / number / kappa
    assert error == pytest.approx(kappa * np.sqrt((1 - pi) / (pi * 61)))
    assert (small < error / 5).all()  # √(4001/61) = 8.1, and π is not the same
    assert (np.abs(kappa - exact) <= 5 * error).all()


def test_what_filters_leave_outside_of_the_pool_has_an_error(world):
    text = "uniform(source=random)"
    names = ("density_ratio(covered=true)", "density_ratio(error=true)")
    plain = measured(world, text, *names, size=4)
    assert column(plain, 2) == [0.0] * (QUERIES - 1)
    filters = ["between(high=5,score=raw)"]
    found = measured(world, text, *names, size=4, filters=filters, when_short="drop_query")
    kappa, error = (np.array(column(found, number)) for number in (1, 2))
    assert (error[error > 0] < kappa[error > 0]).all()
    assert (error > 0).any()


def test_refusals(workspace):
    with pytest.raises(UsageError, match="target=corpus,last=5 is not a target"):
        STATISTICS.parse("coverage(target=corpus,last=5)")
    groups = make_groups(workspace, np.array([[1, 0]], np.float32))
    with pytest.raises(BadInput, match="these groups do not say how they were selected"):
        measure_groups(workspace, groups, ["density_ratio"])
    with pytest.raises(UsageError, match="needs groups: a pool was not selected"):
        measure_pool(workspace, make_scores(workspace, [[1.0]]), ["density_ratio"])


def test_the_guard_of_a_mixture_bounds_its_density_ratio(world):
    text = f'mixture(last=10,source="{world["label"]}",target=random,number=2)'
    # The random source draws its lists itself, so its distribution is uniform over the corpus.
    found = measured(world, text, "mixing_guard", "density_ratio(target=corpus)")
    guard, kappa = np.array(column(found, 1)), np.array(column(found, 2))
    assert set(guard.tolist()) == {3.5}  # 2 of 7 negatives
    assert kappa == pytest.approx(guard)  # attained on what only the target reaches
    filled = measured(world, text, "mixing_guard", size=12, when_short="fill")
    assert filled.counts == {"null[mixing_guard]:no_mixture": QUERIES - 1}  # the pool's, not its
    plain = measured(world, "random", "mixing_guard")
    assert plain.counts == {"null[mixing_guard]:no_mixture": QUERIES - 1}
