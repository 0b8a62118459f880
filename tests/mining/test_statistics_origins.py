"""Columns about sources, hygiene and shape: against sets, sorts and manifolds."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_groups, make_scores, make_vectors
from oracles import origins as oracle
from rounding import STATED
from selection_world import DOCS, build_world, select

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.pool import Pool
from rankmill.mining.statistics import STATISTICS, measure_groups, measure_pool, summarise
from rankmill.mining.statistics.origins import _sum_entropy
from rankmill.mining.statistics.summaries.dataset import decay_of, describe_artifact


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("origins"))


def column(world, groups, text):
    made = measure_groups(world["workspace"], groups, [text])
    table = pa.concat_tables(made.tables())
    name = STATISTICS.text(STATISTICS.parse(text))
    return table["query"].to_numpy().tolist(), table[name].to_pylist(), made


def found(world, query):
    """What the random source drew for a query, with its ranks: {doc: rank}."""
    part = Pool(world["pool"]).part(0)
    row = int(np.flatnonzero(part.query == query)[0])
    items = slice(part.offsets[row], part.offsets[row + 1])
    docs, rank = part.doc[items], part.rank["random"][items]
    return {int(d): int(r) for d, r in zip(docs, rank, strict=True) if r}


def lexical(query):
    """The lexical list of a query, by construction: {doc: rank}."""
    return {1 + (query + step) % (DOCS - 1): step + 1 for step in range(30)}


def teacher(query, doc):
    return (7 * query + 13 * doc) % 37 / 4.0


def test_overlap_of_two_sources_is_that_of_sets(world):
    groups = select(world, "top")
    queries, values, _ = column(world, groups, f'overlap(a=random,b="{world["label"]}",last=10)')
    for query, value in zip(queries, values, strict=True):
        a = {d for d, r in found(world, query).items() if r <= 10}
        b = {d for d, r in lexical(query).items() if r <= 10}
        assert value == pytest.approx(len(a & b) / len(a | b))


def test_ranks_of_the_negatives(world):
    groups = select(world, "uniform(source=random,last=25)")
    rows = Groups(groups).part(0)
    _, share, _ = column(world, groups, f'found_by("{world["label"]}")')
    _, mean, _ = column(world, groups, f'negative_rank(source="{world["label"]}")')
    _, best, _ = column(world, groups, "negative_rank(source=random,of=min)")
    for i, query in enumerate(rows.query.tolist()):
        negatives = rows.doc[i, 1:].tolist()
        ranks = [lexical(query)[d] for d in negatives if d in lexical(query)]
        assert share[i] == pytest.approx(len(ranks) / 7)
        assert mean[i] == (pytest.approx(np.mean(ranks)) if ranks else None)
        assert best[i] == min(found(world, query)[d] for d in negatives)


def test_the_entropy_of_a_sources_scores_is_that_of_its_list(world):
    """All groups of a query have the one of their query, by the list as deep as it was pooled."""
    groups = select(world, "uniform(source=random,last=25)")
    queries, values, made = column(world, groups, f'source_entropy("{world["label"]}")')
    assert not made.counts
    for value in values:  # every list has the scores 100, 99, … 71: tests/selection_world.py
        by_hand = oracle.source_entropy(range(1, 31), [100.0 - step for step in range(30)])
        assert value == pytest.approx(by_hand, rel=1e-12)
    assert len(queries) > 5


@pytest.mark.parametrize(
    "score",
    [
        [3.0, 0.0, 1.0],
        [2.5],
        [0.0, 0.0],
        [],
        [1.0, -0.5],
        [1e-30, 1e30, 5.0],
        [float("nan"), 1.0],
    ],
)
def test_the_entropy_of_scores_is_the_formula(score):
    """The sum in another order: relative 2⁻⁵³ a term, of at most log₂ 1e60 = 200 bits."""
    own = _sum_entropy(np.array(score), np.full(len(score), 1), 3)
    assert own[1] == pytest.approx(
        oracle.source_entropy([1] * len(score), score), abs=1e-12, nan_ok=True
    )
    assert np.isnan(own[[0, 2]]).all()


def test_ranks_under_the_teacher_count_all_candidates(world):
    groups = select(world, "top", size=4)
    rows, part = Groups(groups).part(0), Pool(world["pool"]).part(0)
    _, worst, _ = column(world, groups, "negative_rank(of=max)")
    for i, query in enumerate(rows.query.tolist()):
        at = int(np.flatnonzero(part.query == query)[0])
        docs = part.doc[part.offsets[at] : part.offsets[at + 1]].tolist()
        order = sorted(docs, key=lambda d: (-((7 * query + 13 * d) % 37), d))
        assert worst[i] == max(1 + order.index(d) for d in rows.doc[i, 1:].tolist())


def test_what_filters_removed_is_known_per_query(world):
    text = "margin(gap=0,score=logit)"
    groups = select(world, "top", filters=[text], size=4)
    queries, removed, _ = column(world, groups, "removed")
    for query, value in zip(queries, removed, strict=True):
        docs = set(found(world, query)) | set(lexical(query))
        barred = {query + 4, query + 20} | ({5} if query == 0 else {4} if query == 1 else set())
        above = [d for d in docs - barred if teacher(query, d) > teacher(query, query + 4)]
        assert value == len(above)
    assert any(value > 0 for value in removed)
    _, none, _ = column(world, select(world, "top"), "removed")
    assert set(none) == {0.0}


def test_what_each_filter_removed_is_known_per_query(world):
    texts = ["margin(gap=0,score=logit)", "rank_window(source=random,first=1,last=20)"]
    groups = select(world, "top", filters=texts, size=4)
    each = [column(world, groups, f"removed(filter='{text}')")[1] for text in texts]
    assert all(any(value > 0 for value in column_) for column_ in each)
    assert [a + b for a, b in zip(*each, strict=True)] == column(world, groups, "removed")[1]
    with pytest.raises(UsageError, match="was not used when these groups were selected"):
        column(world, groups, "removed(filter='share(0.9)')")


def test_hygiene_of_selected_groups_is_zero_where_it_must(world):
    groups = select(world, "random", size=20)
    for of in ("positives_among_negatives", "empty_texts"):
        assert set(column(world, groups, f"hygiene({of})")[1]) == {0.0}
    assert set(column(world, groups, "hygiene(positives)")[1]) == {1.0}
    rows = Groups(groups).part(0)
    pairs = [({4, 5} <= set(docs)) for docs in rows.doc.tolist()]  # d5 has the text of d4
    assert column(world, groups, "hygiene(duplicate_texts)")[1] == [float(p) for p in pairs]


def test_hygiene_sees_a_positive_among_the_negatives(world):
    from dataclasses import replace

    from rankmill.mining.statistics.base import Rows
    from rankmill.mining.statistics.hygiene import GroupTexts

    groups = select(world, "top", size=3)
    docs = np.array([[4, 20, 9], [0, 5, 4]], np.uint32)  # q0: d20 is a positive; d0 is empty
    rows = Rows(
        query=np.array([0, 2], np.uint32),
        offsets=np.array([0, 3, 6]),
        doc=docs.reshape(-1),
        scores=np.zeros(6, np.float32),
        positive=np.array([1, 0, 0] * 2, np.uint8),
        kind="logit",
        texts=GroupTexts(groups),
    )
    counted = {
        of: STATISTICS.parse(f"hygiene({of})").measure(replace(rows))[0].tolist()
        for of in ("positives_among_negatives", "empty_texts", "duplicate_texts", "positives")
    }
    assert counted == {
        "positives_among_negatives": [1, 0],
        "empty_texts": [0, 1],
        "duplicate_texts": [0, 1],
        "positives": [1, 1],
    }


# ---- shape ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_two_nn_as_a_column_finds_the_dimension_of_a_sphere(workspace, dimension):
    rng = np.random.Generator(np.random.Philox(dimension))
    points = rng.normal(0, 1, (800, dimension + 1))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    turned = points @ np.linalg.qr(rng.normal(0, 1, (16, 16)))[0][: dimension + 1]
    scores = make_scores(workspace, [[0.0] * 800])
    vectors = make_vectors(workspace, turned.astype(np.float32))
    made = measure_pool(workspace, scores, ["intrinsic_dim", "log_density(k=2)"], vectors=vectors)
    assert made.table(0)["intrinsic_dim"][0].as_py() == pytest.approx(
        dimension, rel=5 / np.sqrt(800)
    )


def test_log_density_is_the_plain_formula_and_grows_where_it_is_tighter(workspace):
    rng = np.random.Generator(np.random.Philox(5))
    wide = rng.normal(0, 1, (40, 6))
    tight = wide[0] + 0.05 * rng.normal(0, 1, (40, 6))
    scores = make_scores(workspace, [[0.0] * 40] * 2, docs=[list(range(40)), list(range(40, 80))])
    vectors = make_vectors(workspace, np.concatenate([wide, tight]).astype(np.float32))
    made = measure_pool(workspace, scores, ["log_density(k=3)", "intrinsic_dim"], vectors=vectors)
    first, second = made.table(0)["log_density(k=3)"].to_pylist()
    assert second > first
    unit = wide.astype(np.float32).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    distance = np.sqrt(((unit[:, None] - unit[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    near = np.sort(distance, axis=1)
    dimension = 1 / np.log(near[:, 1] / near[:, 0]).mean()
    assert first == pytest.approx((-dimension * np.log(near[:, 2])).mean(), rel=STATED)


def test_a_power_law_of_known_exponent(workspace):
    rank = np.arange(1, 51)
    law, flat = 0.9 * rank**-0.7, np.full(50, 0.5)
    scores = make_scores(
        workspace,
        [np.log(law)[::-1].tolist(), np.log(flat).tolist(), [-1.0, -2.0]],
        docs=[list(range(50)), list(range(50)), [0, 1]],
        kind="log-prob",
    )
    made = measure_pool(workspace, scores, ["power_law", "power_law(of=r2)"])
    table = made.table(0)
    alphas = table["power_law(of=alpha,first=1,last=100)"].to_pylist()
    fits = table["power_law(of=r2,first=1,last=100)"].to_pylist()
    assert alphas[0] == pytest.approx(0.7, abs=1e-5)
    assert alphas[1] == pytest.approx(0.0, abs=1e-6)
    assert fits[0] == pytest.approx(1.0, abs=1e-9)
    assert (alphas[2], fits[1], fits[2]) == (None, None, None)
    name = "power_law(of=r2,first=1,last=100)"
    assert made.counts[f"null[{name}]:constant"] == 1
    assert made.counts[f"null[{name}]:too_short"] == 1


def test_the_mean_curve_of_a_teacher_is_fitted(workspace):
    rank = np.arange(1, 41)
    laws = [np.log(top * rank**-0.5).tolist() for top in (0.9, 0.5, 0.7)]
    scores = make_scores(workspace, laws, kind="log-prob")
    found = decay_of(scores, last=40)
    assert found.alpha == pytest.approx(0.5, abs=1e-5)
    assert found.best == "power_law"
    fall = [np.log(0.9 * np.exp(-0.1 * rank)).tolist()] * 3
    assert decay_of(make_scores(workspace, fall, kind="log-prob"), last=40).best == "exponential"
    told = describe_artifact(scores)["decay"]
    assert told["queries"] == 3
    with pytest.raises(BadInput, match="a similarity has no probability"):
        decay_of(make_scores(workspace, [[0.5, 0.2, 0.1]], kind="similarity"))


def test_the_dimension_of_a_space_of_vectors(workspace):
    rng = np.random.Generator(np.random.Philox(3))
    points = rng.normal(0, 1, (6000, 3))
    turned = points @ np.linalg.qr(rng.normal(0, 1, (12, 12)))[0][:3]
    vectors = make_vectors(workspace, turned.astype(np.float32))
    found = describe_artifact(vectors)["intrinsic_dimension"]
    assert found["value"] == pytest.approx(2.0, rel=5 / np.sqrt(5000))  # directions in 3 dimensions
    assert (found["rows"], found["of"]) == (5000, 6000)


def test_what_is_undefined_has_its_reason(workspace):
    vectors = make_vectors(workspace, np.ones((8, 3), np.float32))
    groups = make_groups(workspace, np.zeros((2, 4)), kind="similarity")
    made = measure_groups(
        workspace, groups, ["intrinsic_dim", "log_density", "power_law"], vectors=vectors
    )
    assert made.counts == {
        "null[intrinsic_dim]:zero_distances": 2,
        "null[log_density(k=3)]:zero_distances": 2,
        "null[power_law(of=alpha,first=1,last=100)]:no_probability": 2,
    }
    pair = make_groups(workspace, np.zeros((1, 2)))
    short = measure_groups(workspace, pair, ["intrinsic_dim"], vectors=vectors)
    assert short.counts == {"null[intrinsic_dim]:too_short": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("overlap(a=bm25,b=dense,last=0)", "last=0 is not a rank"),
        ("negative_rank(of=best)", "of=best is unknown"),
        ("hygiene(of=texts)", "of=texts is unknown"),
        ("log_density(k=0)", "k=0 is not a neighbour"),
        ("power_law(first=5,last=6)", "first=5,last=6 are too few ranks"),
        ("power_law(of=beta)", "of=beta is unknown"),
        ("overlap(a=bm25)", "overlap needs b"),
    ],
)
def test_statistics_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        STATISTICS.parse(text)


def test_inputs_that_are_not_there_are_named(workspace, world):
    groups = make_groups(workspace, np.zeros((1, 3)))
    with pytest.raises(UsageError, match=r"intrinsic_dim needs the vectors of an encoder"):
        measure_groups(workspace, groups, ["intrinsic_dim"])
    with pytest.raises(UsageError, match=r"hygiene.* needs groups that name their corpus"):
        measure_groups(workspace, groups, ["hygiene"])
    with pytest.raises(BadInput, match="the pool has no source 'dense'"):
        measure_groups(world["workspace"], select(world, "top"), ["found_by(dense)"])


def test_density_ratios_correlate_by_their_logarithm(world):
    chosen = select(world, f'mixture(last=10,source="{world["label"]}",number=2)')
    texts = ["pair_entropy", "density_ratio(target=random)", "density_ratio(target=judged)"]
    found = summarise(measure_groups(world["workspace"], chosen, texts))
    names = found["correlation"]["names"]
    assert names[1:] == ["log density_ratio(target=random)", "log density_ratio(target=judged)"]
    assert math.isfinite(found["columns"]["pair_entropy(T=1)"]["mean"])
