"""Statistics as values, as columns of rows in memory, and as an artifact over groups and pools."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from group_makers import given, make_groups, make_scores, make_vectors
from oracles import entropy as oracle
from oracles import geometry
from rounding import STATED, STATED_PAIRS

from rankmill.mining.actors import Execution
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.statistics import (
    STATISTICS,
    Rows,
    default_statistics,
    measure,
    measure_groups,
    measure_pool,
)
from rankmill.mining.statistics.entropy import misorder_bound
from rankmill.mining.store.tables import QRELS

G = [-0.2, -1.0, -4.0, -6.0]
F = [1.0, 0.5, -0.5, 0.0]
E = [[1, 0], [0, 1], [-1, 0], [0.6, 0.8]]
TOL = 5e-7

TEXTS = [
    "pair_entropy(T=1)",
    "pair_entropy(T=2,score=logit,pairs=pos_neg)",
    "list_entropy(T=1)",
    "list_entropy(T=0.05,score=raw,normalised=true)",
    "effective_size(T=1)",
    "misorder(T=1,bound=sharp)",
    "loss_floor(loss=ranknet_soft(T=1),score=raw)",
    "loss_floor(loss=listnet(T=0.05),score=logprob)",
    "teacher_agrees",
    "positive_rank",
    "ties",
    "suspects(margin=0.5)",
    "margin(of=min,score=raw)",
    "score_variance(score=raw)",
    "diameter(metric=euclidean,q=0.99)",
    "radius(metric=cosine,of=mean,to=query)",
]


def rows(scores, kind="log-prob", doc=None, positive=None, **extra):
    """One group, or several of one size, in memory."""
    scores = np.atleast_2d(np.array(scores, np.float32))
    n, k = scores.shape
    doc = np.arange(n * k) if doc is None else np.array(doc)
    if positive is None:
        positive = np.tile(np.arange(k) == 0, n)
    return Rows(
        query=np.arange(n, dtype=np.uint32),
        offsets=np.arange(n + 1, dtype=np.int64) * k,
        doc=doc.astype(np.uint32).reshape(-1),
        scores=scores.reshape(-1),
        positive=np.asarray(positive).astype(np.uint8).reshape(-1),
        kind=kind,
        **extra,
    )


def value(text, *arguments, **extra):
    """The value of one statistic for one group."""
    table = measure(rows(*arguments, **extra), [STATISTICS.parse(text)]).table
    return table[1][0].as_py()


@pytest.mark.parametrize("text", TEXTS)
def test_a_statistic_prints_to_the_text_it_came_from(text):
    statistic = STATISTICS.parse(text)
    assert str(statistic) == text
    assert STATISTICS.parse(str(statistic)) == statistic
    assert statistic.unit


def test_a_column_declares_its_scale_also_where_its_name_leaves_it_out(workspace):
    groups = make_groups(workspace, np.array([[2.0, 1.0, 0.5]]))
    wanted = {
        "pair_entropy(T=1)": "logprob",
        "pair_entropy(T=1,score=logit)": "logit",
        "margin(of=mean)": "logprob",
        "loss_floor(loss=ranknet_soft(T=1),score=raw)": "raw",
        "ties": None,
    }
    made = measure_groups(workspace, groups, list(wanted))
    schema = made.table().schema
    found = {name: (schema.field(name).metadata or {}).get(b"scale") for name in wanted}
    assert found == {name: scale and scale.encode() for name, scale in wanted.items()}
    declared = {name: scale for name, scale in wanted.items() if scale}
    assert made.parameters["scales"] == declared
    assert {name: made.metadata.get(f"scale[{name}]") for name in declared} == declared


def test_the_default_scale_is_not_printed():
    assert str(STATISTICS.parse("pair_entropy(score=logprob)")) == "pair_entropy(T=1)"
    assert str(STATISTICS.parse("list_entropy(normalised=false)")) == "list_entropy(T=1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair_entropie", "pair_entropy"),
        ("pair_entropy(T=0)", "T=0.0 is not a temperature"),
        ("pair_entropy(score=logits)", "did you mean logit"),
        ("pair_entropy(pairs=posneg)", "did you mean pos_neg"),
        ("misorder(bound=pinsk)", "did you mean pinsker"),
        ("suspects(margin=-1)", "margin=-1.0 is not a margin"),
        ("margin(of=median)", "of=median is unknown"),
        ("loss_floor(T=2)", "loss_floor has no parameter 'T'"),
        ("loss_floor(loss=kl)", "loss=kl is not a loss whose floor depends on the teacher"),
        ("loss_floor(loss=listnet(T=0))", "T=0 is not a temperature"),
        ("loss_floor(loss=listnet(score=logit))", "is more than a loss with its temperature"),
        ("loss_floor(score=z)", "score=z is not a score scale"),
        ("diameter(q=2)", "q=2.0 is not a quantile"),
        ("diameter(metric=cosin)", "did you mean cosine"),
        ("radius(of=min)", "of=min,to=positive is unknown"),
        ("radius(to=corpus)", "to=corpus is unknown"),
    ],
)
def test_refusals_name_the_value(text, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        STATISTICS.parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pair_entropy", 0.322515),
        ("pair_entropy(pairs=pos_neg)", 0.358233),
        ("pair_entropy(pairs=neg_neg)", 0.286797),
        ("pair_entropy(T=2)", 0.622939),
        ("pair_entropy(score=logit)", 0.219850),
        ("pair_entropy(score=logit,T=4)", 0.801387),
        ("misorder", 0.084708),
        ("misorder(bound=pinsker)", 0.015440),
        ("misorder(bound=sharp)", 0.058763),
        ("misorder(bound=upper)", 0.161258),
        ("loss_floor", 0.223550),
        ("loss_floor(loss=listnet)", 0.701773),
        ("loss_floor(score=logit)", 0.219850 * math.log(2)),
        ("loss_floor(loss=ranknet_soft(T=4),score=logit)", 0.801387 * math.log(2)),
        ("loss_floor(loss=ranknet_soft(T=4),score=logprob)", 0.862475 * math.log(2)),
        ("list_entropy", 0.701773),
        ("list_entropy(normalised=true)", 0.506222),
        ("effective_size", 1.808724),
        ("teacher_agrees", 1),
        ("positive_rank", 1),
        ("ties", 0),
        ("suspects(margin=0.5)", 0),
        ("suspects(margin=1.0)", 1),
        ("margin(of=min)", 0.8),
        ("margin(of=mean)", 3.466667),
        ("margin(of=variance)", 4.222222),
        ("score_variance", 5.42),
    ],
)
def test_golden_values(text, wanted):
    assert value(text, G) == pytest.approx(wanted, abs=TOL)


def test_golden_values_are_the_same_from_stored_logits():
    z = [s - math.log(-math.expm1(s)) for s in G]
    for text in ("pair_entropy", "pair_entropy(score=logit)", "list_entropy", "margin(of=mean)"):
        assert value(text, z, kind="logit") == pytest.approx(value(text, G), abs=1e-6)
    p = np.exp(G)
    assert value("pair_entropy(score=logit)", p, kind="probability") == pytest.approx(
        0.21985, abs=1e-6
    )
    assert value("score_variance(score=raw)", F) == pytest.approx(0.3125, abs=TOL)


def test_misorder_chain_on_random_groups():
    rng = np.random.Generator(np.random.Philox(5))
    scores = rng.normal(0, rng.choice([0.1, 1.0, 5.0], (300, 1)), (300, 6))
    names = [
        "misorder(bound=pinsker)",
        "misorder(bound=sharp)",
        "misorder",
        "misorder(bound=upper)",
    ]
    names = [n.replace("(", "(score=raw,") if "(" in n else n + "(score=raw)" for n in names]
    table = measure(rows(scores), [STATISTICS.parse(n) for n in names]).table
    chain = np.stack([table[1 + i].to_numpy() for i in range(4)])
    assert (np.diff(chain, axis=0) >= -1e-12).all()
    assert np.isnan(misorder_bound(np.array([np.nan]), "sharp")).all()


def test_undefined_is_null_with_a_reason_and_never_zero():
    output = measure(rows([[0.5], [0.7]], kind="similarity"), [STATISTICS.parse("pair_entropy")])
    assert output.table["pair_entropy(T=1)"].to_pylist() == [None, None]
    assert output.counts == {"null[pair_entropy(T=1)]:no_probability": 2}
    wanted = STATISTICS.parse("pair_entropy(score=raw)")
    output = measure(rows([[0.5]], kind="similarity"), [wanted])
    assert output.counts == {f"null[{wanted}]:too_short": 1}
    output = measure(rows([[-1.0, 0.0]]), [STATISTICS.parse("pair_entropy(score=logit)")])
    assert output.counts == {"null[pair_entropy(T=1,score=logit)]:saturated": 1}
    output = measure(rows([G, G], doc=[0, 1, 2, 1, 4, 5, 6, 7]), [STATISTICS.parse("ties")])
    assert output.table["ties"].to_pylist() == [None, 0.0]
    assert output.counts == {"null[ties]:duplicate_document": 1}
    output = measure(rows([G], positive=[0, 1, 0, 0]), [STATISTICS.parse("positive_rank")])
    assert output.counts == {"null[positive_rank]:no_positive_first": 1}


def test_a_score_that_is_not_finite_is_an_error_naming_the_pair():
    with pytest.raises(
        BadInput, match=r"teacher score of document 6 is nan\n  where: query ordinal 1"
    ):
        measure(rows([G, [1.0, 2.0, math.nan, 1.0]]), [STATISTICS.parse("pair_entropy")])


def test_an_unknown_score_kind_is_refused():
    with pytest.raises(BadInput, match="did you mean logit"):
        rows([G], kind="logits")


def test_columns_carry_their_units():
    table = measure(rows([G]), [STATISTICS.parse("pair_entropy"), STATISTICS.parse("ties")]).table
    assert table.schema.field("pair_entropy(T=1)").metadata[b"unit"] == b"bits"
    assert table.schema.field("ties").metadata[b"unit"] == b"count"
    assert table.schema.types == [pa.uint32(), pa.float64(), pa.float64()]


def test_groups_become_an_artifact(workspace):
    rng = np.random.Generator(np.random.Philox(2))
    scores = rng.normal(0, 3, (30, 8)).astype(np.float32)
    groups = make_groups(workspace, scores, parts=3)
    measured = measure_groups(workspace, groups)
    assert measured.kind == "statistics"
    assert measured.rows == 30
    assert measured.parameters["statistics"] == list(default_statistics("logit"))
    assert measured.metadata["unit[misorder(T=1)]"] == "probability"
    table = pa.concat_tables(measured.tables())
    assert table["query"].to_pylist() == list(range(30))
    s = [[oracle.log_sigmoid(float(z)) for z in row] for row in scores]
    wanted = [oracle.pair_entropy(row) for row in s]
    assert table["pair_entropy(T=1)"].to_pylist() == pytest.approx(wanted, rel=STATED_PAIRS)
    wanted = [oracle.agreement(row, [True] + [False] * 7, 0.5)["suspects"] for row in s]
    assert table["suspects(margin=0.5)"].to_pylist() == wanted
    assert measure_groups(workspace, groups).fingerprint == measured.fingerprint


def test_several_groups_of_one_query_are_measured_one_by_one(workspace):
    scores = np.arange(24, dtype=np.float32).reshape(6, 4)
    groups = make_groups(workspace, scores, queries=[3, 3, 4, 7, 7, 7], parts=2)
    measured = measure_groups(workspace, groups, ["margin(score=raw)"])
    table = pa.concat_tables(measured.tables())
    assert table["query"].to_pylist() == [3, 3, 4, 7, 7, 7]
    assert table.column(1).to_pylist() == [-2.0] * 6


def test_empty_groups_give_an_empty_artifact(workspace):
    groups = make_groups(workspace, np.empty((0, 4), np.float32))
    assert measure_groups(workspace, groups, ["pair_entropy"]).rows == 0


def test_locality_reads_a_declared_encoder(workspace):
    rng = np.random.Generator(np.random.Philox(9))
    groups = make_groups(workspace, rng.normal(0, 1, (5, 4)).astype(np.float32))
    for dtype, parts in (("float16", 1), ("float32", 3)):
        matrix = rng.normal(0, 1, (20, 24)).astype(dtype)
        queries = rng.normal(0, 1, (5, 24)).astype(dtype)
        measured = measure_groups(
            workspace,
            groups,
            vectors=make_vectors(workspace, matrix, parts=parts),
            query_vectors=make_vectors(workspace, queries),
        )
        table = measured.table()
        for row in range(5):
            group = matrix[4 * row : 4 * row + 4]
            assert table["diameter(metric=euclidean,q=0.95)"][row].as_py() == pytest.approx(
                geometry.diameter(group, 0.95), rel=STATED
            )
            assert table["radius(metric=euclidean,of=max,to=positive)"][
                row
            ].as_py() == pytest.approx(geometry.radius(group[1:], group[0]).max(), rel=STATED)
            assert table["radius(metric=euclidean,of=mean,to=query)"][row].as_py() == pytest.approx(
                geometry.radius(group, queries[row]).mean(), rel=STATED
            )


def test_golden_geometry_through_the_artifact(workspace):
    groups = make_groups(workspace, np.array([G], np.float32))
    vectors = make_vectors(workspace, np.array(E, np.float32))
    names = ["diameter", "diameter(q=0.95)", "diameter(q=0.99)", "radius", "radius(of=max)"]
    names += ["diameter(metric=cosine)", "diameter(q=0.5)"]
    table = measure_groups(workspace, groups, names, vectors=vectors).table()
    wanted = [2.0, 1.947214, 1.989443, 1.436214, 2.0, 2.0, 1.414214]
    assert [table[i + 1][0].as_py() for i in range(7)] == pytest.approx(wanted, abs=TOL)


def test_statistics_without_their_inputs_are_refused(workspace):
    groups = make_groups(workspace, np.array([G], np.float32))
    with pytest.raises(UsageError, match=r"diameter\(metric=euclidean,q=1\) needs the vectors"):
        measure_groups(workspace, groups, ["diameter"])
    with pytest.raises(UsageError, match="no statistic was asked for"):
        measure_groups(workspace, groups, [])
    vectors = make_vectors(workspace, np.ones((2, 3), np.float32))
    with pytest.raises(BadInput, match="ordinal 3 has no vector, there are 2"):
        measure_groups(workspace, groups, ["diameter"], vectors=vectors)
    scores = make_scores(workspace, [G])
    with pytest.raises(UsageError, match="teacher_agrees needs judgements"):
        measure_pool(workspace, scores, ["teacher_agrees"])
    broken = make_vectors(workspace, np.full((4, 3), np.nan, np.float16))
    with pytest.raises(BadInput, match="a vector holds NaN, infinity or"):
        measure_groups(workspace, groups, ["diameter"], vectors=broken)


def test_pools_are_measured_as_whole_lists(workspace):
    lists = [[0.5, 1.5, -2.0], [], [1.0], [3.0, 2.0, 1.0, 0.0]]
    scores = make_scores(workspace, lists, parts=2)
    measured = measure_pool(
        workspace, scores, ["pair_entropy(score=raw)", "list_entropy(score=raw)"]
    )
    table = pa.concat_tables(measured.tables())
    pairs = table["pair_entropy(T=1,score=raw)"].to_pylist()
    assert pairs == [
        pytest.approx(oracle.pair_entropy(lists[0])),
        None,
        None,
        pytest.approx(oracle.pair_entropy(lists[3])),
    ]
    assert table["list_entropy(T=1,score=raw)"].to_pylist()[2] == 0.0
    assert measured.counts["null[pair_entropy(T=1,score=raw)]:too_short"] == 2


@pytest.mark.ray
def test_actors_give_the_same_bytes(tmp_path, ray_cluster):
    from rankmill.mining.store import Workspace

    hashes = []
    for name, executor in (
        ("a", Execution()),
        ("b", Execution(workers=2, ray_address=ray_cluster)),
    ):
        workspace = Workspace(tmp_path / name)
        scores = np.random.Generator(np.random.Philox(2)).normal(0, 3, (40, 8)).astype(np.float32)
        groups = make_groups(workspace, scores, parts=4)
        hashes.append(measure_groups(workspace, groups, executor=executor).root_hash)
    assert hashes[0] == hashes[1]


def pool_table(workspace, lists, positives, statistics, **extra):
    """Measure lists with judged positives; (the artifact, its table)."""
    judged = [(q, d, 1) for q, docs in enumerate(positives) for d in docs]
    judged = sorted([*judged, (0, 99, 0)])
    columns = [pa.array(c, f.type) for c, f in zip(zip(*judged, strict=True), QRELS, strict=True)]
    table = pa.Table.from_arrays(columns, schema=QRELS)
    qrels = given(workspace, "qrels", table, QRELS, {"judged": str(judged)})
    scores = make_scores(workspace, lists)
    measured = measure_pool(workspace, scores, statistics, qrels=qrels, **extra)
    return measured, pa.concat_tables(measured.tables())


AGREEMENT = {
    "first": "teacher_agrees",
    "rank": "positive_rank",
    "ties": "ties",
    "suspects": "suspects(margin=0.5,score=raw)",
    "margin_min": "margin(of=min,score=raw)",
    "margin_mean": "margin(of=mean,score=raw)",
    "margin_variance": "margin(of=variance,score=raw)",
    "variance": "score_variance(score=raw)",
}


def test_the_positive_of_a_pool_is_the_one_that_the_teacher_likes_best(workspace):
    """Wherever it stands in the list, and however many there are; ties of two are counted."""
    rng = np.random.Generator(np.random.Philox(5))
    lists = [rng.integers(-6, 6, n).astype(float).tolist() for n in rng.integers(3, 9, 40)]
    positives = [sorted(rng.permutation(len(x))[: 1 + i % 3].tolist()) for i, x in enumerate(lists)]
    positives[7] = []
    _, table = pool_table(workspace, lists, positives, list(AGREEMENT.values()))
    for row, (scores, good) in enumerate(zip(lists, positives, strict=True)):
        found = {name: table[text][row].as_py() for name, text in AGREEMENT.items()}
        if not good:
            assert set(found.values()) == {None}
            continue
        best = max(good, key=lambda i: (scores[i], -i))
        order = [best] + [i for i in range(len(scores)) if i != best]
        marks = [i in good for i in order]
        if all(marks):
            assert found["margin_mean"] is None
            continue
        wanted = oracle.agreement([scores[i] for i in order], marks, 0.5)
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_a_pool_without_a_positive_says_so(workspace):
    measured, _ = pool_table(workspace, [[1.0, 2.0]], [[]], ["positive_rank"])
    assert measured.counts == {"null[positive_rank]:no_positive": 1}


def test_the_radius_of_a_pool_is_taken_from_its_best_positive(workspace):
    rng = np.random.Generator(np.random.Philox(6))
    vectors = rng.normal(0, 1, (5, 12)).astype(np.float32)
    lists, positives = [[1.0, 3.0, 2.0, 5.0, 4.0], [9.0, 1.0]], [[0, 2, 4], []]
    names = ["radius", "radius(of=max)", "diameter"]
    measured, table = pool_table(
        workspace, lists, positives, names, vectors=make_vectors(workspace, vectors)
    )
    around = geometry.radius(vectors[[0, 1, 2, 3]], vectors[4])
    wanted = [around.mean(), around.max(), geometry.diameter(vectors)]
    assert [table[i + 1][0].as_py() for i in range(3)] == pytest.approx(wanted, rel=STATED)
    assert measured.counts["null[radius(metric=euclidean,of=mean,to=positive)]:no_positive"] == 1


def test_a_temperature_without_an_inverse_is_refused():
    with pytest.raises(UsageError, match="T=1e-309 is not a temperature"):
        STATISTICS.parse("pair_entropy(T=1e-309)")
