"""Pair-wise risk (D1) from its definition: golden values, tie rules, what μ is over."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_scores
from oracles import pair_order as oracle
from run_makers import evaluate, given_run, perfect
from training_data import Setting, tiny_setting

from rankmill.mining.errors import BadInput, UsageError
from rankmill.training.comparison import compare_evaluations, read_comparisons
from rankmill.training.evaluation import evaluate_run, parse_measures, per_query
from rankmill.training.pair_risk import Judgements, Lists, PairRisk


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    return tiny_setting(tmp_path_factory.mktemp("risk"))


def risk(judged, found, mu="judged", ties="error", queries=(0,)):
    """Risk of queries whose judgements and scores are given as {query: {doc: value}}."""
    pairs = [(q, d, g) for q, docs in judged.items() for d, g in sorted(docs.items())]
    scored = [(q, d, s) for q, docs in found.items() for d, s in docs.items()]
    j, s = (np.array(rows, np.float64).reshape(-1, 3) for rows in (pairs, scored))
    return PairRisk(mu, ties).per_query(
        np.array(queries, np.uint32),
        Judgements(j[:, 0].astype(np.uint32), j[:, 1].astype(np.uint32), j[:, 2].astype(np.int16)),
        Lists(s[:, 0].astype(np.uint32), s[:, 1].astype(np.uint32), s[:, 2].astype(np.float32)),
    )


JUDGED = {0: {1: 2, 2: 1, 3: 0, 4: 0}}  # five pairs differ in grade: 12, 13, 14, 23, 24
FOUND = {0: {1: 3.0, 2: 1.0, 3: 1.0, 9: 2.0}}  # 4 was not returned; 9 is not judged


@pytest.mark.parametrize(
    ("mu", "ties", "wanted"),
    [
        ("judged", "error", 1 / 5),  # 2 and 3 are tied; 4 lies below all
        ("judged", "half", 0.5 / 5),
        ("returned", "error", 1 / 3),  # 12, 13, 23
        ("returned", "half", 0.5 / 3),
        ("list", "error", 2 / 5),  # 9 and 3 have grade 0: 12, 13, 19, 23 tied, 29 wrong
        ("list", "half", 1.5 / 5),
    ],
)
def test_golden_values(mu, ties, wanted):
    assert risk(JUDGED, FOUND, mu, ties)[0].tolist() == [pytest.approx(wanted, abs=1e-15)]


def test_documents_that_were_not_returned_are_tied_with_each_other():
    found, missing = risk({0: {1: 2, 2: 1, 3: 0}}, {0: {1: 1.0}})
    assert found.tolist() == [pytest.approx(1 / 3)]  # 2 before 3 cannot be told
    assert missing == 2
    assert risk({0: {1: 2, 2: 1, 3: 0}}, {}, ties="half")[0].tolist() == [0.5]


def test_the_definition_on_a_perfect_a_reversed_and_a_collapsed_system():
    grades = {0: dict(enumerate([3, 2, 2, 1, 0, 0]))}
    assert risk(grades, {0: {d: float(g) for d, g in grades[0].items()}})[0].tolist() == [0.0]
    assert risk(grades, {0: {d: -float(g) for d, g in grades[0].items()}})[0].tolist() == [1.0]
    flat = {0: dict.fromkeys(range(6), 0.25)}
    assert risk(grades, flat)[0].tolist() == [1.0]  # D1: a tie of f is an error
    assert risk(grades, flat, ties="half")[0].tolist() == [0.5]


@pytest.mark.parametrize(
    ("judged", "found"),
    [
        ({}, {0: {1: 1.0}}),  # nothing judged
        ({0: {1: 1}}, {0: {1: 1.0}}),  # one document
        ({0: {1: 1, 2: 1}}, {0: {1: 1.0, 2: 0.0}}),  # equal grades
        ({0: {1: 1, 2: -100}}, {0: {1: 1.0, 2: 0.0}}),  # an excluded document is in no pair
    ],
)
def test_a_query_without_a_pair_has_no_risk(judged, found):
    for mu in ("judged", "returned"):
        assert np.isnan(risk(judged, found, mu)[0]).all()
    assert np.isnan(risk({}, {}, "list")[0]).all()


def test_an_excluded_document_is_not_taken_for_an_unjudged_one():
    assert np.isnan(risk({0: {1: 1, 2: -100}}, {0: {1: 1.0, 2: 5.0}}, "list")[0]).all()


def test_many_queries_equal_the_pairs_written_out():
    random = np.random.Generator(np.random.Philox(11))
    judged = {q: {int(d): int(random.integers(-1, 4)) for d in range(9)} for q in range(0, 60, 2)}
    found = {
        q: {int(d): float(random.integers(0, 5)) for d in random.choice(12, 8, replace=False)}
        for q in range(0, 60, 3)
    }
    queries = list(range(60))
    for ties in ("error", "half"):
        for mu in ("judged", "returned", "list"):
            values = risk(judged, found, mu, ties, queries)[0]
            for query, value in zip(queries, values, strict=True):
                y, f = judged.get(query, {}), found.get(query, {})
                over = list(f) if mu == "list" else [d for d in y if mu == "judged" or d in f]
                over = [d for d in over if y.get(d, 0) >= 0]
                grades = [y.get(d, 0) for d in over]
                wanted = oracle.pair_risk([f.get(d, -9.0) for d in over], grades, ties)
                assert np.isnan(value) if wanted is None else value == pytest.approx(wanted)


def test_names():
    (measure,) = parse_measures("PairRisk")
    assert str(measure) == "PairRisk(mu=judged,ties=error)"
    assert [str(m) for m in parse_measures(["AP", str(measure)])] == ["AP", str(measure)]
    with pytest.raises(UsageError, match="ties=kendall is unknown"):
        parse_measures("PairRisk(ties=kendall)")
    with pytest.raises(UsageError, match="mu=pool is unknown"):
        parse_measures("PairRisk(mu=pool)")
    with pytest.raises(UsageError, match="PairRisk has no parameter 'k'"):
        parse_measures("PairRisk(k=3)")
    with pytest.raises(UsageError, match="unknown measure 'PairRisk@10'"):
        parse_measures("PairRisk@10")


def test_plain_dictionaries_have_only_the_measures_of_ir_measures():
    with pytest.raises(UsageError, match="a PairRisk is measured on artifacts"):
        per_query("AP PairRisk", {"q": {"d": 1}}, {"q": {"d": 1.0}})


def test_an_evaluation_keeps_it_per_query(setting):
    lists = perfect(setting)
    lists[0] = (lists[0][0], np.zeros(len(lists[0][0])))
    lists[1] = (lists[1][0][:0], np.empty(0))
    run = given_run(setting, lists, label="risky")
    names = ["nDCG@10", "PairRisk", "PairRisk(ties=half)", "PairRisk(mu=returned)"]
    result = evaluate(setting, run, measures=names)
    assert result.values("PairRisk").tolist() == [1.0, 1.0, *[0.0] * 18]
    assert result.values("PairRisk(ties=half)").tolist() == [0.5, 0.5, *[0.0] * 18]
    returned = result.values("PairRisk(mu=returned)")
    assert np.isnan(returned[1])
    assert result.artifact.table()["PairRisk(mu=returned,ties=error)"].null_count == 1
    assert result.mean("PairRisk(mu=returned)") == pytest.approx(1 / 19)  # of those that have one
    missing = len(setting.collection.qrels("test").of(result.query[1])[0])
    assert result.artifact.counts == {
        "judged_not_returned": missing,
        "judged_queries_unanswered": 1,
        "null[PairRisk(mu=returned,ties=error)]:no_such_pair": 1,
    }
    plain = evaluate(setting, run, measures="nDCG@10")
    assert plain.artifact.counts == {"judged_queries_unanswered": 1}
    assert plain.values("nDCG@10").tolist() == result.values("nDCG@10").tolist()


def test_comparisons_leave_out_queries_that_have_no_pair(setting):
    lists = perfect(setting)
    lists[4] = (lists[4][0][:1], lists[4][1][:1])
    one, two = (
        evaluate(setting, given_run(setting, made, label=label), measures="PairRisk(mu=returned)")
        for label, made in (("whole", perfect(setting)), ("short", lists))
    )
    measure = {"measure": "PairRisk(mu=returned)"}
    same = {"a": [two.artifact], "b": [two.artifact]}
    (row,) = read_comparisons(compare_evaluations(setting.workspace, same, **measure))
    assert row.queries == 19
    other = {"a": [one.artifact], "b": [two.artifact]}
    with pytest.raises(BadInput, match="is undefined for other queries in b than in a") as refused:
        compare_evaluations(setting.workspace, other, **measure)
    assert "mu=judged" in str(refused.value)


def scored(setting, docs_of, score=lambda grades: grades):
    """A pool of given documents per test query, and scores of it."""
    from rankmill.mining.runs.pool import pool_runs
    from rankmill.mining.teachers import score_pool

    qrels = setting.collection.qrels("test")
    lists = []
    for query in qrels.queries:
        docs = np.sort(docs_of(*qrels.of(query)))
        lists.append((docs, np.arange(len(docs), 0, -1)))
    run = given_run(setting, lists, label=f"listed{len(lists[0][0])}")
    pool = pool_runs(
        setting.workspace, [run], collection=setting.collection, split="test", positives=False
    )
    teacher = f'bi_encoder(model="{setting.model.path}")'
    return score_pool(setting.workspace, teacher, pool, collection=setting.collection)


def test_a_teachers_scores_of_a_pool_have_a_risk(setting):
    scores = scored(setting, lambda docs, grades: np.concatenate([docs, [0, 1, 2]]))
    result = evaluate(setting, scores, measures="PairRisk AP")
    qrels = setting.collection.qrels("test")
    table = pa.concat_tables(scores.tables()).to_pylist()
    for row, query, value in zip(table, result.query, result.values("PairRisk"), strict=True):
        f = dict(zip(row["doc"], row["logit"], strict=True))
        docs, grades = qrels.of(query)
        wanted = oracle.pair_risk([f[d] for d in docs.tolist()], grades.tolist())
        assert value == pytest.approx(wanted)
    assert result.source.startswith("scored(")


def test_a_judged_document_without_a_score_is_refused(setting):
    scores = scored(setting, lambda docs, grades: docs[grades > 0])
    with pytest.raises(BadInput, match=r"20 judged documents have no score") as refused:
        evaluate(setting, scores, measures="PairRisk")
    assert "PairRisk(mu=returned)" in str(refused.value)
    assert evaluate(setting, scores, measures="PairRisk(mu=returned)").query.size == 20


def test_scores_that_leave_out_a_query_are_refused(setting):
    lists = make_scores(setting.workspace, [[1.0, 2.0]])
    with pytest.raises(BadInput, match="these scores are about an unknown split, not about test"):
        evaluate_run(
            setting.workspace, lists, collection=setting.collection, split="test", measures="AP"
        )


def test_only_documents_of_the_queries_asked_for_are_counted_as_missing():
    judged = Judgements(
        np.array([0, 0, 1], np.uint32),
        np.array([0, 1, 0], np.uint32),
        np.array([1, 0, 1], np.int16),
    )
    found = Lists(
        np.array([0, 0], np.uint32), np.array([0, 1], np.uint32), np.array([1, 0], np.float32)
    )
    risk, missing = PairRisk().per_query(np.array([0], np.uint32), judged, found)
    assert (risk.tolist(), missing) == ([0.0], 0)
    assert PairRisk().per_query(np.array([0, 1], np.uint32), judged, found)[1] == 1
