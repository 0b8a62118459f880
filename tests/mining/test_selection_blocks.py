"""Blocked designs: every query in every cell, H and Δ as aimed at, and what the report says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_vectors
from oracles import blocks as oracle
from rounding import STATED, STATED_PAIRS
from selection_world import DOCS, QUERIES, build_world, score

from rankmill.mining.actors import Execution
from rankmill.mining.derive.blocks import (
    BlockedCell,
    confounding,
    cross_cells,
    difficulty,
    groups_of_cell,
    orthogonality,
)
from rankmill.mining.derive.blocks import orthogonality as report
from rankmill.mining.derive.blocks.confounding import compare_cells
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.selection import STRATEGIES, select_groups
from rankmill.mining.statistics import measure_groups

ROLES = {None: None, "pos_neg": "pos_neg", "neg_neg": "neg_neg"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("blocks"))


def matrix():
    return np.random.Generator(np.random.Philox(4)).normal(size=(DOCS, 6)).astype(np.float32)


def cross(world, cell=None, vectors=None, **options):
    """Make a design over the world's pool with groups of 8 and seed 3."""
    vectors = matrix() if vectors is None else vectors
    given = {"size": 8, "seed": 3, "scores": world["scores"], "pool": world["pool"]} | options
    return cross_cells(
        world["workspace"],
        cell or BlockedCell(0, 0, entropy=LOGIT),
        given.pop("pool"),
        given.pop("scores"),
        make_vectors(world["workspace"], vectors),
        collection=world["collection"],
        split="train",
        **given,
    )


def cells_of(world, design):
    cell = STRATEGIES.parse(design.parameters["design"])
    return {p: groups_of_cell(world["workspace"], design, *p) for p in cell.cells}


def rows(groups):
    return Groups(groups).take(np.arange(groups.rows))


def judged(world):
    qrels = world["collection"].qrels("train")
    columns = (getattr(qrels, name).tolist() for name in ("query", "doc", "grade"))
    return {(q, d): g for q, d, g in zip(*columns, strict=True)}


LOGIT = "pair_entropy(T=2,score=logit)"
DESIGNS = {
    "2x2": (BlockedCell(0, 0, entropy=LOGIT), {}),
    "3x3, positives against negatives": (
        BlockedCell(0, 0, bins=3, entropy="pair_entropy(score=logit,pairs=pos_neg)"),
        {"positives": "together"},
    ),
    "diameter, among negatives, cosine": (
        BlockedCell(
            0,
            0,
            locality="diameter(metric=cosine)",
            entropy="pair_entropy(pairs=neg_neg,score=logit)",
            tolerance=0.3,
        ),
        {"filters": ["percentile(high=0.95)"]},
    ),
    "largest radius": (
        BlockedCell(0, 0, locality="radius(of=max)", entropy=LOGIT, tolerance=0.3),
        {},
    ),
    "log-probabilities": (BlockedCell(0, 0, entropy="pair_entropy(T=0.02)"), {}),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_query_stands_in_every_cell_with_an_equal_group(world, name):
    cell, options = DESIGNS[name]
    design = cross(world, cell, **options)
    found = {place: rows(groups) for place, groups in cells_of(world, design).items()}
    assert len(found) == cell.bins**2
    queries = {tuple(part.query.tolist()) for part in found.values()}
    assert len(queries) == 1
    asked = next(iter(queries))
    assert len(asked) >= 5
    assert len(set(asked)) == len(asked)
    assert len(asked) + sum(map(len, design.dropped.values())) == QUERIES
    grades, facts = judged(world), set()
    for part in found.values():
        positives = 2 if options.get("positives") == "together" else 1
        assert part.doc.shape == (len(asked), 8)
        for query, docs, grade in zip(part.query, part.doc, part.grade, strict=True):
            assert len(set(docs.tolist())) == 8
            assert (grade[:positives] > 0).all()
            assert [grades.get((int(query), int(d)), 0) for d in docs] == grade.tolist()
            assert (grade[positives:] <= 0).all()  # no positive among the negatives
            assert 0 not in docs[positives:]  # d0 is empty
        assert np.isnan(part.inclusion[:, positives:]).all()
        assert (part.inclusion[:, :positives] == 1).all()
        pairs = {
            (q, d) for q, docs in zip(part.query, part.doc.tolist(), strict=True) for d in docs
        }
        facts.add((len(part), part.doc.size, len(pairs), int((part.grade > 0).sum())))
    assert len(facts) == 1


@pytest.mark.parametrize("name", DESIGNS)
def test_what_the_design_says_it_reached_is_the_definition_and_within_tolerance(world, name):
    cell, options = DESIGNS[name]
    design = cross(world, cell, **options)
    table = pa.concat_tables(design.tables()).to_pylist()
    locality, entropy = STATISTICS_OF(cell)
    vectors = matrix()
    blocks = {}
    for row in table:
        z = np.array(row["score"], np.float64)
        s = z if entropy.score == "logit" else -np.logaddexp(0, -z)
        kind = getattr(locality, "of", "diameter")
        about = oracle.Row(
            s / entropy.T,
            vectors[row["doc"]],
            row["positives"],
            8,
            kind,
            locality.metric == "cosine",
            ROLES[entropy.pairs],
        )
        far, bits = about.measure(range(8))
        assert row["locality"] == pytest.approx(far, rel=2 * STATED)  # the design's and ours
        assert row["entropy"] == pytest.approx(bits, abs=STATED_PAIRS)
        blocks.setdefault(row["query"], []).append(row)
    for block in blocks.values():
        for target, reached, own in (
            ("locality_target", "locality", "near"),
            ("entropy_target", "entropy", "sure"),
        ):
            levels = {row[own]: row[target] for row in block}
            assert len({(row[own], row[target]) for row in block}) == cell.bins
            step = levels[1] - levels[0]
            assert step >= 0.01
            assert all(abs(row[reached] - row[target]) <= cell.tolerance * step for row in block)


def STATISTICS_OF(cell):
    from rankmill.mining.statistics import STATISTICS

    return STATISTICS.parse(cell.locality), STATISTICS.parse(cell.entropy)


def test_the_columns_of_the_cells_are_those_of_the_design_to_the_bit(world):
    cell = BlockedCell(0, 0, entropy=LOGIT)
    design = cross(world, cell)
    table = pa.concat_tables(design.tables())
    vectors = make_vectors(world["workspace"], matrix())
    for place, groups in cells_of(world, design).items():
        near, sure = (
            table[n].to_numpy() == p for n, p in zip(("near", "sure"), place, strict=True)
        )
        names = [cell.locality, cell.entropy, "density_ratio"]
        measured = measure_groups(world["workspace"], groups, names, vectors=vectors)
        columns = pa.concat_tables(measured.tables())
        for own, name in (("locality", cell.locality), ("entropy", cell.entropy)):
            assert columns[name].to_numpy().tolist() == table[own].to_numpy()[near & sure].tolist()
        ratio = "density_ratio(target=corpus)"
        assert columns[ratio].null_count == groups.rows
        assert measured.counts[f"null[{ratio}]:drawn_list"] == groups.rows


def test_cells_are_verified_explained_and_say_how_they_were_made(world):
    from rankmill.mining.audit.explain import explain_query

    design = cross(world)
    groups = groups_of_cell(world["workspace"], design, 1, 0)
    assert design.verify() == groups.verify() == 1
    assert STRATEGIES.parse(groups.parameters["strategy"]) == BlockedCell(1, 0, entropy=LOGIT)
    assert groups.dropped == design.dropped
    query_id = f"q{rows(groups).query[0]}"
    told = explain_query(world["workspace"], groups, query_id).groups[0]
    assert sum(one.kept for one in told.candidates) == 8
    assert {one.inclusion for one in told.candidates} == {None}
    gone = explain_query(world["workspace"], groups, f"q{QUERIES - 1}").groups[0]
    assert gone.dropped == "no_positive"


def test_a_design_depends_on_its_seed_and_a_second_one_is_found(world):
    first, again, other = cross(world), cross(world), cross(world, seed=4)
    assert again.root_hash == first.root_hash
    assert other.parts[0].sha256 != first.parts[0].sha256
    files = sorted(first.path.rglob("*"))
    assert files == sorted(again.path.rglob("*"))


def test_a_shard_done_in_pieces_gives_the_rows_of_the_whole(world):
    from rankmill.mining.derive.blocks.worker import Blocker
    from rankmill.mining.selection.reader import paths_of
    from rankmill.mining.store import Shard

    design = cross(world)
    given = {k: v for k, v in design.parameters.items() if k != "split"}
    paths = paths_of({role: design.input(role) for role in design.inputs})
    worker = Blocker(paths, **given)
    pieces = [worker(Shard(0, *ends)) for ends in ((7, QUERIES), (0, 2), (2, 7))]
    tables = [pieces[i].table for i in (1, 2, 0)]
    assert pa.concat_tables(tables).equals(design.table(0))
    dropped = [q for piece in pieces for queries in piece.dropped.values() for q in queries]
    assert sorted(dropped) == sorted(q for queries in design.dropped.values() for q in queries)


@pytest.mark.ray
def test_one_worker_gives_the_bytes_of_this_process(world, tmp_path, ray_cluster):
    other = build_world(tmp_path)
    design = cross(other, executor=Execution(workers=1))
    assert design.root_hash == cross(world).root_hash
    groups = groups_of_cell(other["workspace"], design, 0, 1, executor=Execution(workers=1))
    here = groups_of_cell(world["workspace"], cross(world), 0, 1)
    assert groups.root_hash == here.root_hash


# ---- blocks that cannot be ----------------------------------------------------------------------


def test_too_few_candidates_drop_the_block(world):
    assert cross(world, size=60).dropped["too_few_candidates"] == list(range(QUERIES - 1))


def test_a_step_that_is_no_contrast_drops_the_block(world):
    narrow = cross(world, BlockedCell(0, 0, entropy=LOGIT, locality_step=1.9))
    assert narrow.dropped["locality_too_narrow"] == list(range(QUERIES - 1))
    assert report(narrow) == {
        "blocks": 0,
        "asked": QUERIES,
        "dropped": {"locality_too_narrow": QUERIES - 1, "no_positive": 1},
    }
    narrow = cross(world, BlockedCell(0, 0, entropy=LOGIT, entropy_step=0.9))
    assert narrow.dropped["entropy_too_narrow"] == list(range(QUERIES - 1))


def test_equal_scores_and_equal_vectors_leave_nothing_to_cross(world):
    same = cross(world, vectors=np.ones((DOCS, 6), np.float32))
    assert same.dropped["locality_too_narrow"] == list(range(QUERIES - 1))
    tied = score(world["workspace"], world["pool"], tied=True)
    assert set(cross(world, scores=tied).dropped) == {"entropy_too_narrow", "no_positive"}


def test_a_level_that_no_group_reaches_drops_the_block(world):
    tight = cross(world, BlockedCell(0, 0, entropy=LOGIT, tolerance=1e-6, steps=20))
    assert tight.dropped["cell_not_attained"] == list(range(QUERIES - 1))


def test_vectors_without_direction_stay_out_or_drop_the_block(world):
    holes = matrix()
    holes[[4, 50]] = 0  # d4 is the best positive of q0, d50 a candidate
    design = cross(world, vectors=holes)
    assert design.dropped["positive_without_direction"] == [0]
    assert design.counts["excluded:zero_vector"] >= 1
    table = pa.concat_tables(design.tables())
    assert 50 not in table["doc"].combine_chunks().flatten().to_numpy()


def test_saturated_scores_stay_out_or_drop_the_block(world):
    scores = score(world["workspace"], world["pool"], saturated=((1, 5), 45), kind="log-prob")
    design = cross(world, BlockedCell(0, 0, entropy="pair_entropy(score=logit)"), scores=scores)
    assert design.dropped["positive_saturated"] == [1]
    assert design.counts["excluded:saturated"] >= 1
    docs = pa.concat_tables(design.tables())["doc"].combine_chunks().flatten().to_numpy()
    assert 45 not in docs


def test_a_positive_without_a_score_follows_the_policy(world):
    holed = score(world["workspace"], world["pool"], hole=(2, 6))
    with pytest.raises(BadInput, match="document 'd6' has no teacher score"):
        cross(world, scores=holed)
    assert 2 in cross(world, scores=holed, missing="drop_query").dropped["unscored"]
    other = cross(world, scores=holed, missing="drop_doc")  # then d22 is its positive
    assert 2 not in other.dropped.get("unscored", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blocked_cell(near=2,sure=0)", "near=2,sure=0 is no cell of 2 × 2"),
        ("blocked_cell(0,0,bins=1)", "bins=1 makes no cells"),
        ("blocked_cell(0,0,bins=17)", "bins=17 makes no cells"),
        ("blocked_cell(0,0,span=0)", "span=0.0 is no share of a range"),
        ("blocked_cell(0,0,span=1.5)", "span=1.5 is no share of a range"),
        ("blocked_cell(0,0,tolerance=0.5)", "tolerance=0.5 is no share of a step"),
        ("blocked_cell(0,0,entropy_step=0)", "entropy_step=0.0 is no contrast"),
        ("blocked_cell(0,0,locality_step=-1)", "locality_step=-1.0 is no contrast"),
        ("blocked_cell(0,0,steps=0)", "steps=0 is too few or many"),
        ("blocked_cell(0,0,locality=radius(to=query))", "cannot be aimed at"),
        ("blocked_cell(0,0,locality=diameter(q=0.99))", "cannot be aimed at"),
        ("blocked_cell(0,0,entropy=list_entropy)", "cannot be aimed at"),
        ("blocked_cell(0,0,entropy=pair_entropy(pairs=pos_pos))", "cannot be aimed at"),
        ("blocked_cell(0,0,entropy=entropy)", "unknown statistic 'entropy'"),
    ],
)
def test_cells_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        STRATEGIES.parse(text)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"positives": "all"}, UsageError, "a block holds each query once per cell"),
        ({"positives": "best"}, UsageError, "a block holds each query once per cell"),
        ({"size": 1}, UsageError, "size=1 is not a group size"),
        ({"missing": "zero"}, UsageError, "missing='zero' is unknown"),
        ({"kind": "similarity"}, UsageError, "has no value for scores of kind similarity"),
        ({"kind": "rank"}, UsageError, "needs real scores; this teacher gives only ranks"),
    ],
)
def test_requests_that_make_no_sense_are_refused(world, options, error, message):
    if "kind" in options:
        options = {"scores": score(world["workspace"], world["pool"], **options)}
    with pytest.raises(error, match=message):
        cross(world, **options)


def test_one_cell_alone_is_refused_with_the_way_out(world):
    with pytest.raises(UsageError, match="whose blocks are chosen whole"):
        select_groups(
            world["workspace"],
            BlockedCell(0, 1),
            world["pool"],
            world["scores"],
            collection=world["collection"],
            split="train",
            size=8,
        )
    with pytest.raises(BadInput, match="a pool is not a design"):
        orthogonality(world["pool"])


def test_vectors_that_are_not_finite_are_refused(world):
    bad = matrix()
    bad[7] = np.nan
    with pytest.raises(BadInput, match="a vector holds NaN, infinity"):
        cross(world, vectors=bad)


# ---- the report ---------------------------------------------------------------------------------


def test_correlation_order_and_overlap_by_hand():
    from rankmill.mining.derive.blocks.orthogonality import correlations, ordered, overlap

    locality = np.array([[1.0, 1.0, 2.0, 2.0], [0.0, 0.2, 1.0, 1.0]])
    entropy = np.array([[0.2, 0.4, 0.2, 0.4], [0.5, 0.7, 0.5, 0.8]])
    found = correlations(locality, entropy)
    assert found["pearson"] == pytest.approx(np.corrcoef(locality.ravel(), entropy.ravel())[0, 1])
    # Deviations: Δ −.5 −.5 .5 .5 | −.55 −.35 .45 .45; H −.1 .1 −.1 .1 | −.125 .075 −.125 .175.
    # Σ products = 0 + (.06875 − .02625 − .05625 + .07875) = .065;
    # Σ Δ² = 1 + .83, Σ H² = .04 + .0675.
    assert found["within_pearson"] == pytest.approx(0.065 / np.sqrt(1.83 * 0.1075))
    # Ranks − 2.5: Δ −1 −1 1 1 | −1.5 −.5 1 1; H −1 1 −1 1 | −1 .5 −1 1.5.
    # Σ products = 0 + (1.5 − .25 − 1 + 1.5) = 1.75; Σ Δ² = 4 + 4.5, Σ H² = 4 + 4.5.
    assert found["within_spearman"] == pytest.approx(1.75 / 8.5)
    assert ordered(locality, entropy, 2).tolist() == [True, True]
    assert ordered(locality[:, [2, 1, 0, 3]], entropy, 2).tolist() == [False, False]
    assert correlations(np.ones((2, 4)), entropy)["pearson"] is None
    # Bins of width .02: .01 and .011 share one, .51 is alone.
    assert overlap("pair_entropy(T=1)", np.array([0.01, 0.51]), np.array([0.011, 0.9])) == 0.5


def test_confounding_by_hand():
    values = {(0, 0): [1.0, 3.0], (0, 1): [2.0, np.nan], (1, 0): [4.0, 6.0], (1, 1): [5.0, 7.0]}
    found = compare_cells({place: np.array(v) for place, v in values.items()})
    assert list(found["cells"].items()) == [
        ("near0-sure0", 2.0),
        ("near0-sure1", 2.0),
        ("near1-sure0", 5.0),
        ("near1-sure1", 6.0),
    ]
    assert found["spread"] == 4.0
    assert found["locality_effect"] == pytest.approx(5.5 - 2.0)
    assert found["entropy_effect"] == pytest.approx(4.0 - 3.5)
    # The mean of 7 values is 4, Σ (x − 4)² = 9 + 1 + 4 + 0 + 4 + 1 + 9 = 28;
    # between cells 2·4 + 1·4 + 2·1 + 2·4 = 22.
    assert found["eta2"] == pytest.approx(22 / 28)
    assert found["by_chance"] == pytest.approx(3 / 6)
    assert "spread" not in compare_cells({(0, 0): np.array([np.nan]), (0, 1): np.array([1.0])})
    with pytest.raises(UsageError, match="there are no cells to compare"):
        confounding({}, np.empty(0, np.uint32), {})


def test_difficulty_is_the_obvious_one(world):
    qrels = world["collection"].qrels_artifact("train")
    query, found = difficulty(world["pool"], world["scores"], qrels)
    grades = judged(world)
    names = list(found)
    assert [name.partition(" ")[0] for name in names][0] == "teacher"
    assert len(names) == 3  # the random source draws, so its order says nothing
    from rankmill.mining.runs.pool import Pool

    (part,) = Pool(world["pool"]).parts()
    lists = world["scores"].table(0).to_pylist()
    scored = {r["query"]: dict(zip(r["doc"], r["logit"], strict=True)) for r in lists}
    for row, q in enumerate(query.tolist()):
        own = {d: g for (owner, d), g in grades.items() if owner == q}
        ideal = ndcg_sum(sorted((g for g in own.values() if g > 0), reverse=True))
        items = slice(part.offsets[row], part.offsets[row + 1])
        docs = part.doc[items].tolist()
        by_teacher = sorted(docs, key=lambda d: (-scored[q][d], d))
        rank = part.rank[world["label"]][items].tolist()
        by_source = [d for _, d in sorted((r, d) for r, d in zip(rank, docs, strict=True) if r)]
        for name, order in ((names[0], by_teacher), (names[1], by_source)):
            if ideal == 0:
                assert np.isnan(found[name][row])
                continue
            dcg = ndcg_sum([max(0, own.get(d, 0)) for d in order])
            assert found[name][row] == pytest.approx(dcg / ideal, rel=1e-12)
        positives = [d for d, g in own.items() if g > 0]
        if not positives:
            assert np.isnan(found["positive margin"][row])
            continue
        best = max(positives, key=lambda d: (own[d], -d))
        rest = [scored[q][d] for d in docs if d not in positives]
        margin = scored[q][best] - np.mean(rest)
        assert found["positive margin"][row] == pytest.approx(margin, rel=1e-12)


def ndcg_sum(gains):
    return sum(g / np.log2(i + 2) for i, g in enumerate(gains[:10]))


def test_blocks_confound_nothing_and_the_report_counts_what_they_hold(world):
    design = cross(world)
    cells = cells_of(world, design)
    hard = difficulty(world["pool"], world["scores"], world["collection"].qrels_artifact("train"))
    found = confounding(cells, *hard)
    assert found["queries"] == found["queries_in_all_cells"] == cells[0, 0].rows
    for one in found["covariates"].values():
        assert one["spread"] == one["entropy_effect"] == one["locality_effect"] == 0
        # Means of the same numbers: all that is left is their rounding, squared.
        assert one["eta2"] is None or one["eta2"] < (cells[0, 0].rows * 2.3e-16) ** 2
    said = orthogonality(design)
    assert said["ordered"] == 1.0
    for one, groups in zip(said["cells"], cells.values(), strict=True):
        part = rows(groups)
        assert one["groups"] == len(part)
        assert one["documents_seen"] == one["distinct_pairs"] == part.doc.size
        assert one["distinct_documents"] == len(set(part.doc.ravel().tolist()))
    parts = [rows(groups) for groups in cells.values()]
    shared = []
    for row in range(len(parts[0])):
        sets = [set(part.doc[row, 1:].tolist()) for part in parts]
        shared += [len(a & b) / len(a | b) for i, a in enumerate(sets) for b in sets[i + 1 :]]
    assert said["shared_negatives"] == pytest.approx(np.mean(shared))


# ---- a real collection --------------------------------------------------------------------------


def test_nfcorpus_has_queries_in_all_cells_and_the_unblocked_cells_have_none(shared, tmp_path):
    from tiny_models import tiny_encoder

    import rankmill as rm
    from rankmill import designs as crossing

    encoder = f"bi_encoder(model={tiny_encoder(tmp_path / 'encoder')},max_length=16)"
    nf = rm.collect(f"beir:{shared / 'nfcorpus'}", workspace=tmp_path / "work")
    runs = [rm.mine(source, nf, split="test", depth=40) for source in ("bm25", "random")]
    pool = rm.pool(runs)
    scores = rm.score(encoder, pool)
    cells = rm.cross(pool, scores, encoder=encoder, size=16)
    common, queries = crossing.queries_in_all(cells)
    assert common == queries >= 0.8 * 323
    old = crossing.unblocked(cells)
    assert crossing.queries_in_all(old)[0] == 0
    said = rm.orthogonality(cells, against=old)
    assert said["ordered"] == 1.0
    assert {cell["distinct_pairs"] for cell in said["cells"]} == {16 * common}
    # Each factor is its level (± half a step) and an error of at most a tenth of a step, so that
    # |cov| ≤ ½·.1 + ½·.1 + .1² and both variances are at least (½ − .1)².
    assert abs(said["correlation"]["within_pearson"]) <= 0.11 / 0.4**2
    for name, one in said["confounding"]["covariates"].items():
        assert one["spread"] < 1e-12 < said["against"]["covariates"][name]["spread"]
