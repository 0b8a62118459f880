"""Choosing groups: what may never be chosen, balanced books, exact probabilities, keyed draws."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from group_makers import make_vectors
from rounding import share_bound
from selection_world import DOCS, QUERIES, build_world, score, write_collection

from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, NothingMade, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.pool import Pool
from rankmill.mining.selection import STRATEGIES, Candidates, select_groups
from rankmill.mining.selection.strategies import equal_width_bins, even_shares


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A collection, its pool of two sources, and teacher scores."""
    return build_world(tmp_path_factory.mktemp("select"))


def select(world, strategy, **options):
    options = {"size": 8, "seed": 3, **options}
    return select_groups(
        world["workspace"],
        strategy,
        options.pop("pool", world["pool"]),
        options.pop("scores", world["scores"]),
        collection=world["collection"],
        split="train",
        **options,
    )


STRATEGY_TEXTS = [
    'uniform(first=1,last=30,source="{label}")',
    'top(source="{label}")',
    "top",
    "random",
    "stratified(bins=4)",
    'stratified(bins=3,source="{label}")',
    "softmax(T=2)",
    'softmax(T=5,by=rank,source="{label}",last=25)',
    'mixture(last=25,source="{label}",number=2)',
]


@pytest.mark.parametrize("text", STRATEGY_TEXTS)
def test_what_holds_for_every_strategy(world, text):
    """Positive first and never a negative, no copies of it, no empty document, balanced books."""
    chosen = select(world, text.format(label=world["label"]))
    # The best of a pool with a drawn list: what else might have been drawn has no score.
    over_drawn_pool = text in ("top", "stratified(bins=4)", "softmax(T=2)")
    assert chosen.counts.get("inclusion:unknown", 0) == over_drawn_pool * (QUERIES - 1)
    assert chosen.dropped == {"no_positive": [QUERIES - 1]}
    assert chosen.rows == QUERIES - 1
    assert chosen.counts["pairs"] == 8 * (QUERIES - 1)
    groups = Groups(chosen)
    for part in groups.parts():
        for row in range(len(part)):
            query, docs = int(part.query[row]), part.doc[row].tolist()
            assert docs[0] == query + 4
            assert not {query + 4, query + 20, 0} & set(docs[1:])
            if query == 0:
                assert 5 not in docs  # the copy of d4
            if query == 1:
                assert 4 not in docs
            assert len(set(docs)) == 8
            assert part.grade[row].tolist() == [2] + [0] * 7
            wanted = [((7 * query + 13 * d) % 37) / 4.0 for d in docs]
            assert part.score[row].tolist() == wanted
            assert part.inclusion[row, 0] == 1.0
            known = (part.inclusion[row] > 0) & (part.inclusion[row] <= 1)
            assert known.all() or (over_drawn_pool and np.isnan(part.inclusion[row, 1:]).all())
    chosen.verify()


def test_what_was_excluded_is_counted(world):
    counts = select(world, "top").counts
    assert counts["excluded:copy_of_positive"] == 2  # d5 for q0, d4 for q1
    assert counts["excluded:positive"] == 2 * (QUERIES - 1)


def test_a_uniform_draw_has_the_probability_of_its_window(world):
    chosen = select(world, f'uniform(first=3,last=20,source="{world["label"]}")')
    pool = Pool(world["pool"]).part(0)
    for group in (Groups(chosen)[i] for i in range(chosen.rows)):
        query = int(group.query[0])
        window = [1 + (query + step) % (DOCS - 1) for step in range(2, 20)]
        barred = {query + 4, query + 20} | ({5} if query == 0 else {4} if query == 1 else set())
        allowed = [d for d in window if d not in barred]
        assert set(group.doc[0, 1:].tolist()) <= set(allowed)
        assert group.inclusion[0, 1:] == pytest.approx(7 / len(allowed))
    assert pool.doc.dtype == np.uint32


@pytest.mark.parametrize("text", ["random", "uniform(source=random,last=10)"])
def test_a_drawn_source_gives_every_document_of_the_corpus_the_same_probability(world, text):
    """7 of the 59 that are not empty, less two positives: whatever list was drawn, how deep."""
    chosen = select(world, text, size=8, when_short="drop_query")
    for part in Groups(chosen).parts():
        for row in np.flatnonzero(part.query >= 2):  # the first two have a copy of a positive
            assert part.inclusion[row, 1:] == pytest.approx(7 / 57)


def test_top_takes_the_best_in_order(world):
    group = Groups(select(world, f'top(source="{world["label"]}")'))[6]
    wanted = [d for d in range(7, 30) if d not in (10, 26)][:7]
    assert group.doc[0].tolist() == [10, *wanted]
    by_teacher = Groups(select(world, "top"))
    for row in range(len(by_teacher)):
        scores = by_teacher[row].score[0, 1:].tolist()
        assert scores == sorted(scores, reverse=True)


def test_one_group_for_each_positive(world):
    chosen = select(world, "top", positives="all")
    assert chosen.rows == 2 * (QUERIES - 1)
    part = Groups(chosen).part(0)
    assert part.query[:4].tolist() == [0, 0, 1, 1]
    assert part.doc[:4, 0].tolist() == [4, 20, 5, 21]
    assert part.grade[:2, 0].tolist() == [2, 1]
    graded = select(world, "top", positives="all", min_grade=2)
    assert graded.rows == QUERIES - 1


def test_too_few_candidates_drop_the_query_or_stop(world):
    strategy = f'uniform(first=1,last=8,source="{world["label"]}")'
    chosen = select(world, strategy, size=8)
    assert chosen.dropped["too_few_candidates"] == [0, 1]  # a copy of their positive is no negative
    assert chosen.rows + sum(len(q) for q in chosen.dropped.values()) == QUERIES
    with pytest.raises(BadInput, match=r"query 'q0' has 6 candidates, a group of 9 needs 8"):
        select(world, strategy, size=9, when_short="error")


@pytest.mark.parametrize(
    ("strategy", "size", "options", "told"),
    [
        ('uniform(first=1,last=8,source="{label}")', 9, {}, "9 with 7, 2 with 6, 1 no_positive"),
        ('uniform(first=1,last=8,source="{label}")', 9, {}, "choose a size of at most 8"),
        ('top(source="{label}")', 1024, {}, "choose a size of at most"),
        ("top", 60, {"filters": ["between(low=1000,score=raw)"]}, "11 with 0, 1 no_positive"),
        ('quotas(sources=["{label}",random])', 80, {}, "choose a size of at most"),
        ("bands([1-5],[6-9])", 60, {}, "choose a size of at most 10"),
        ("stratified", 60, {"positives": "together"}, "a group of 60"),
        ("top", 8, {"min_grade": 3}, "no judgement of the split .* has a grade of at least 3"),
    ],
)
def test_no_group_at_all_is_no_success(world, strategy, size, options, told):
    """Nothing is published, and asking again says the same."""
    for _ in range(2):
        with pytest.raises(NothingMade, match=told) as caught:
            select(world, strategy.format(label=world["label"]), size=size, **options)
        assert caught.value.exit_status == 3


def test_fill_takes_all_that_can_be_reached_and_draws_the_rest(world):
    strategy = f'uniform(first=1,last=6,source="{world["label"]}")'
    chosen = select(world, strategy, size=9, when_short="fill")
    assert chosen.rows == QUERIES - 1
    group = Groups(chosen)[0]
    window = {1, 2, 3, 6}  # of ranks 1…6: d4 is the positive, d5 its copy
    assert set(group.doc[0, 1:5].tolist()) == window
    assert group.inclusion[0, 1:5].tolist() == [1.0] * 4
    assert (group.inclusion[0, 5:] < 1.0).all()
    assert chosen.counts["filled"] > 0
    assert "too_few_candidates" not in chosen.dropped


def test_filters_come_before_the_strategy_and_are_counted(world):
    text = "margin(gap=0,score=logit)"
    chosen = select(world, "top", filters=[text], size=4)
    for row in range(chosen.rows):
        scores = Groups(chosen)[row].score[0]
        assert (scores[1:] <= scores[0]).all()
    assert chosen.counts[f"filtered:{text}"] > 0
    assert chosen.parameters["filters"] == [text]


def test_shells_need_vectors_and_use_them(world):
    with pytest.raises(UsageError, match="shell.* needs vectors"):
        select(world, "shell")
    line = np.stack([np.ones(DOCS), np.arange(DOCS)], axis=1).astype(np.float32)
    vectors = make_vectors(world["workspace"], line)
    near = Groups(select(world, "shell(near=0,far=0.3)", vectors=vectors))
    far = Groups(select(world, "shell(near=0.7,far=1)", vectors=vectors))
    for row in range(len(near)):
        angle = np.arctan2(near[row].doc[0].astype(float), 1.0)
        other = np.arctan2(far[row].doc[0].astype(float), 1.0)
        assert abs(angle[1:] - angle[0]).max() < abs(other[1:] - other[0]).min()


def test_missing_scores_follow_the_declared_policy(world):
    scores = score(world["workspace"], world["pool"], hole=(2, 6))  # the positive of q2
    with pytest.raises(BadInput, match="query 'q2': document 'd6' has no teacher score"):
        select(world, "top", scores=scores)
    dropped = select(world, "top", scores=scores, missing="drop_query")
    assert dropped.dropped == {"no_positive": [11], "unscored": [2]}
    other = select(world, "top", scores=scores, missing="drop_doc")
    assert Groups(other)[2].doc[0, 0] == 22  # its other positive
    negative = score(world["workspace"], world["pool"], hole=(2, 7))
    with pytest.raises(BadInput, match="document 'd7' has no teacher score"):
        select(world, "top", scores=negative)
    dropped = select(world, "top", scores=negative, missing="drop_doc")
    assert 7 not in Groups(dropped)[2].doc[0]
    assert dropped.counts["excluded:unscored"] == 1
    assert "excluded:unscored" not in select(world, "top", missing="drop_doc").counts


def test_a_score_that_is_not_finite_names_query_and_document(world):
    scores = score(world["workspace"], world["pool"], nan=(4, 9))
    with pytest.raises(BadInput, match=r"query 'q4', document 'd9': the teacher score is nan"):
        select(world, "top", scores=scores)


def test_draws_depend_on_seed_and_query_only(world):
    text = "stratified(bins=4)"
    one, two = select(world, text), select(world, text, seed=4)
    assert one.fingerprint != two.fingerprint
    assert Groups(one).part(0).doc.tobytes() != Groups(two).part(0).doc.tobytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 1}, UsageError, "size=1 is not a group size"),
        ({"min_grade": 0}, UsageError, "min_grade=0 is no grade of positives"),
        ({"positives": "each"}, UsageError, "positives='each' is unknown"),
        ({"when_short": "drop"}, UsageError, "did you mean drop_query"),
        ({"when_short": "allow_short"}, UsageError, "groups of one data set have one size"),
        ({"strategy": "uniform"}, UsageError, "uniform must name its source: the pool has 2"),
        ({"strategy": "uniform(source=bm25)"}, BadInput, "the pool has no source 'bm25'"),
        ({"strategy": "uniform(first=5,last=2)"}, UsageError, "is not a window of ranks"),
        ({"strategy": "stratified(bins=0)"}, UsageError, "bins=0 must be at least 1"),
        ({"strategy": "uniforn"}, UsageError, "did you mean uniform"),
        ({"filters": ["nonsense"]}, UsageError, "unknown filter 'nonsense'"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(world, options, error, message):
    options = {"strategy": "top", **options}
    with pytest.raises(error, match=message):
        select(world, options.pop("strategy"), **options)


def test_a_pool_of_another_collection_is_refused(world, tmp_path):
    folder = write_collection(tmp_path / "other")
    text = (folder / "corpus.jsonl").read_text().replace("number 9", "number nine")
    (folder / "corpus.jsonl").write_text(text)
    other = collect(world["workspace"], f"beir:{folder}")
    with pytest.raises(BadInput, match="the pool was made from another collection"):
        select({**world, "collection": other}, "top")


def test_the_source_may_be_named_by_its_first_word(world):
    short = select(world, f"top(source={world['label'].partition('(')[0]})")
    full = select(world, f'top(source="{world["label"]}")')
    assert full.fingerprint == short.fingerprint
    assert full.parameters["strategy"] == f'top(source="{world["label"]}",first=1)'


# ---- strategies alone: probabilities against many draws ------------------------------------------


def candidates(scores, **ranks):
    n = len(scores)
    return Candidates(
        query_id="q",
        doc=np.arange(n, dtype=np.uint32),
        score=np.asarray(scores, np.float64),
        kind="logit",
        rank={k: np.asarray(v, np.uint16) for k, v in ranks.items()},
        allowed=np.ones(n, bool),
        positive=0,
    )


SIMULATED = 6_000


@cache
def simulated(text: str, size: int, draws: int = SIMULATED):
    """How often each of 12 candidates was chosen, and the probability recorded for it."""
    scores = [0, 0, 0, 0, 0, 0, 1, 2, 2.2, 2.4, 7.9, 8]
    given = candidates(scores, bm25=[1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11])
    strategy = STRATEGIES.parse(text).bind(["bm25"])
    reach = strategy.reach(given, size)
    rng = np.random.Generator(np.random.Philox(11))
    seen, recorded = np.zeros(12), np.zeros(12)
    for _ in range(draws):
        chosen = strategy.choose(given, reach, size, rng)
        assert len(set(chosen.tolist())) == size
        seen[chosen] += 1
    recorded[reach] = strategy.inclusion(given, reach, size)
    return seen / draws, recorded


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("uniform(first=2,last=9)", 5),
        ("top(source=bm25)", 4),
        ("stratified(bins=4)", 7),
        ("stratified(bins=8)", 5),
        ("softmax", 4),
        ("softmax(T=4,by=score)", 6),
        ("softmax(by=rank,T=3)", 5),
        ("softmax(by=rank,T=0.01)", 5),
        ("mixture(first=1,last=5,target=bm25,target_last=11,number=1)", 4),
        ("mixture(first=4,last=9,target=bm25,target_last=6,number=3)", 5),
    ],
)
def test_recorded_probabilities_match_simulated_draws(text, size):
    seen, recorded = simulated(text, size)
    assert (np.abs(recorded - seen) <= share_bound(recorded, SIMULATED)).all()
    assert recorded.sum() == pytest.approx(size, abs=12 * 2.0**-50)


def test_even_shares_fill_small_bins_first():
    base, open_bins, left = even_shares(np.array([1, 0, 10, 3]), 9)
    assert (base.tolist(), left) == ([1, 0, 5, 3], 0)
    base, open_bins, left = even_shares(np.array([1, 0, 10, 5]), 10)
    assert (base.tolist(), open_bins.tolist(), left) == ([1, 0, 4, 4], [2, 3], 1)
    base, open_bins, left = even_shares(np.array([4, 4, 4]), 2)
    assert (base.tolist(), open_bins.tolist(), left) == ([0, 0, 0], [0, 1, 2], 2)
    base, open_bins, left = even_shares(np.array([2, 2]), 4)
    assert (base.tolist(), len(open_bins), left) == ([2, 2], 0, 0)


def test_bins_of_equal_width():
    assert equal_width_bins(np.array([0.0, 1.0, 2.0, 4.0]), 4).tolist() == [0, 1, 2, 3]
    assert equal_width_bins(np.array([3.0, 3.0]), 4).tolist() == [0, 0]


@pytest.mark.ray
def test_any_number_of_workers_gives_the_same_bytes(tmp_path, ray_cluster):
    hashes = []
    for name, executor in (
        ("a", Execution()),
        ("b", Execution(workers=2, ray_address=ray_cluster)),
    ):
        chosen = select(build_world(tmp_path / name), "stratified(bins=4)", executor=executor)
        hashes.append(chosen.parts[0].sha256)
    assert hashes[0] == hashes[1]
