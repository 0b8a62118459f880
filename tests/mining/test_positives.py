"""One definition of «positive», grade ≥ min_grade, travels with the groups; everything reads it.

The oracle knows judgements and scores only. TREC DL's convention is min_grade = 2; −100 means
excluded (BRIGHT), other negative grades are judged and not relevant.
"""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from oracles.entropy import log_sigmoid, pair_entropy, pairs_by_role
from rounding import STATED, STATED_PAIRS, UNIT
from selection_world import DOCS, score, write_collection
from tiny_models import tiny_encoder

from rankmill.mining.audit.checks import audit_groups, verdict
from rankmill.mining.audit.explain import explain_query
from rankmill.mining.collection import collect
from rankmill.mining.derive import cut_groups, rescore_groups, retarget_groups, subsample_groups
from rankmill.mining.errors import UsageError
from rankmill.mining.exports.export import export_groups
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.pool import Pool, pool_runs
from rankmill.mining.runs.run import Run
from rankmill.mining.selection import select_groups
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.sources.restriction import Restriction, WrittenLimits
from rankmill.mining.statistics import measure_groups, measure_pool
from rankmill.mining.store import Workspace

TRAIN = 10
# Document i + step of query i: graded 3 and 2, then 1 (no positive under TREC DL), and the rest.
STEPS = {4: 3, 20: 2, 6: 1, 9: 1, 12: 1, 15: 0, 17: -2, 18: -100, 19: -1000, 45: 1, 50: 2}
COLUMNS = {name: f"pair_entropy(T=1,pairs={name})" for name in ("pos_pos", "pos_neg", "neg_neg")}


def write_graded(folder: Path) -> Path:
    """Queries 0…8 judged as STEPS says, query 9 with nothing above 1; `test` holds q10 and q11."""
    write_collection(folder)
    lines = ["query-id\tcorpus-id\tscore\n"]
    for i in range(TRAIN - 1):
        lines += [f"q{i}\td{i + step}\t{grade}\n" for step, grade in STEPS.items()]
    lines += [f"q{TRAIN - 1}\td{TRAIN + 5}\t1\n", f"q{TRAIN - 1}\td{TRAIN + 6}\t-100\n"]
    (folder / "qrels" / "train.tsv").write_text("".join(lines))
    test = "q10\td5\t2\nq10\td7\t1\nq11\td9\t1\n"
    (folder / "qrels" / "test.tsv").write_text(lines[0] + test)
    return folder


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graded")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{write_graded(folder / 'beir')}")
    lines = (
        f"q{i} Q0 d{1 + (i + step) % (DOCS - 1)} {step + 1} {100.0 - step} x\n"
        for i in range(TRAIN)
        for step in range(30)
    )
    (folder / "run.txt").write_text("".join(lines))
    source = f"imported(path={folder / 'run.txt'},tag=lexical)"
    runs = [
        mine(workspace, source, collection, "train", depth=30),
        mine(workspace, "random", collection, "train", depth=20, seed=1),
    ]
    pool = pool_runs(workspace, runs, collection=collection, split="train", min_grade=2)
    return {
        "workspace": workspace,
        "collection": collection,
        "runs": runs,
        "pool": pool,
        "scores": score(workspace, pool),
        "folder": folder,
    }


def chosen(graded, strategy="top", **options):
    return select_groups(
        graded["workspace"],
        strategy,
        graded["pool"],
        graded["scores"],
        collection=graded["collection"],
        split="train",
        **({"size": 12, "seed": 3, "min_grade": 2, "positives": "together"} | options),
    )


def grade_of(query: int, doc: int) -> int:
    if query == TRAIN - 1:
        return {15: 1, 16: -100}.get(doc, 0)
    return STEPS.get(doc - query, 0)


def rows_of(groups):
    """Yield (query, documents, scores, positive?) with the oracle's own idea of a positive."""
    for part in Groups(groups).parts():
        for query, docs, scores in zip(part.query, part.doc, part.score, strict=True):
            good = [grade_of(int(query), int(d)) >= 2 for d in docs]
            yield int(query), docs.tolist(), scores.astype(float).tolist(), good


def same(found, expected):
    """Both undefined, or equal within the published relative error of pair entropies."""
    return found is expected if None in (found, expected) else abs(found - expected) < STATED_PAIRS


def column(measured, name):
    return [v for table in measured.tables() for v in table[name].to_pylist()]


# ---- groups and what is made from them -----------------------------------------------------------


def test_groups_say_what_is_positive_and_so_does_all_that_is_made_from_them(graded):
    workspace, groups = graded["workspace"], chosen(graded)
    assert Groups(groups).min_grade == 2
    measured = measure_groups(workspace, groups, ["pair_entropy"])
    made = [
        cut_groups(workspace, groups, measured, "keep_below(q=0.8)"),
        retarget_groups(workspace, groups, "smooth(share=0.5)"),
        rescore_groups(workspace, groups, graded["scores"]),
        subsample_groups(workspace, groups, size=6),
    ]
    made.append(cut_groups(workspace, made[1], measure_groups(workspace, made[1]), "keep_below"))
    for one in made:
        assert (Groups(one).min_grade, Groups(one).positives) == (2, "together")
    assert Groups(chosen(graded, min_grade=1)).min_grade == 1


def test_a_negative_of_grade_1_stays_one(graded):
    """Graded 1 they may be drawn, and then they are negatives."""
    held = [(q, d, good) for q, docs, _, goods in rows_of(chosen(graded)) for d, good in
            zip(docs, goods, strict=True)]  # fmt: skip
    assert any(grade_of(q, d) == 1 and not good for q, d, good in held)
    assert {q for q, _, _ in held} == set(range(TRAIN - 1))  # q9 has no positive


def test_an_excluded_document_is_never_drawn(graded):
    """−100 excludes a document from its query; other negative grades mean not relevant."""
    for options in (
        {},
        {"strategy": "uniform(last=30,source=imported)", "when_short": "fill", "size": 24},
        {"positives": "best", "size": 30, "when_short": "fill"},
        {"min_grade": 1, "size": 30, "when_short": "fill", "missing": "drop_doc"},
    ):
        groups = chosen(graded, **options)
        grades = {
            grade_of(int(q), int(d))
            for part in Groups(groups).parts()
            for q, docs in zip(part.query, part.doc, strict=True)
            for d in docs
        }
        assert -100 not in grades
        assert groups.counts["excluded:by_judgement"] > 0
    assert {-2, -1000} <= grades
    stored = np.concatenate([part.grade.reshape(-1) for part in Groups(groups).parts()])
    assert set(stored.tolist()) == {3, 2, 1, 0, -2, -128}  # −1000 ends at −128, it does not wrap


def test_the_teachers_best_is_no_excluded_document(graded):
    best = chosen(graded, positives="best", size=4)
    known = {
        (int(q), int(d)): float(s)
        for t in graded["scores"].tables()
        for q, docs, scores in zip(
            t["query"].to_pylist(), t["doc"].to_pylist(), t["logit"].to_pylist(), strict=True
        )
        for d, s in zip(docs, scores, strict=True)
    }
    for query, docs, scores, _ in rows_of(best):
        allowed = [s for (q, d), s in known.items() if q == query and grade_of(q, d) != -100]
        assert scores[0] == max(allowed)
        assert docs[0] != 0


def test_another_grade_gives_other_groups_and_other_statistics(graded):
    one, two = chosen(graded, min_grade=1), chosen(graded)
    assert one.fingerprint != two.fingerprint
    measured = [
        measure_groups(graded["workspace"], g, ["hygiene(of=positives)"]) for g in (one, two)
    ]
    assert measured[0].fingerprint != measured[1].fingerprint
    assert [m.parameters.get("min_grade") for m in measured] == [None, 2]
    with pytest.raises(UsageError, match="min_grade=128 is no grade of positives"):
        chosen(graded, min_grade=128)


# ---- statistics ----------------------------------------------------------------------------------


def test_statistics_against_the_definition(graded):
    groups = chosen(graded)
    names = [*COLUMNS.values(), "margin(of=mean)", "margin(of=min)", "suspects(margin=0.5)"]
    names += ["hygiene(of=positives)", "hygiene(of=positives_among_negatives)", "positive_rank"]
    names += ["negative_rank(of=max)", "found_by(source=random)", "importance_ess"]
    measured = measure_groups(graded["workspace"], groups, names)
    found = {name: column(measured, name) for name in measured.table(0).column_names}
    texts = measured.table(0).column_names[1:]
    pool = {q: (d, r) for q, d, r in pool_rows(graded["pool"])}
    for row, (query, docs, scores, good) in enumerate(rows_of(groups)):
        s = [log_sigmoid(z) for z in scores]
        for name, pairs in zip(COLUMNS, pairs_by_role(good), strict=True):
            expected = pair_entropy(s, pairs=pairs) if pairs else None
            assert same(found[COLUMNS[name]][row], expected)
        gaps = [s[0] - x for x, positive in zip(s, good, strict=True) if not positive]
        at = {text.split("(")[0] + str(number): text for number, text in enumerate(texts)}
        assert found[at["margin3"]][row] == pytest.approx(statistics.fmean(gaps), rel=STATED)
        assert found[at["margin4"]][row] == pytest.approx(min(gaps), rel=STATED)
        assert found[at["suspects5"]][row] == sum(gap <= 0.5 for gap in gaps)
        assert found[at["hygiene6"]][row] == sum(good)
        assert found[at["hygiene7"]][row] == 0
        negatives = [d for d, positive in zip(docs, good, strict=True) if not positive]
        assert found[at["found_by10"]][row] == pytest.approx(
            statistics.fmean(bool(pool[query][1][pool[query][0].index(d)]) for d in negatives)
        )
        # `top` takes its documents from a pool that was drawn too: π has no closed form.
        assert found[at["importance_ess11"]][row] is None


def pool_rows(pool):
    for part in Pool(pool).parts():
        for row, query in enumerate(part.query):
            items = slice(part.offsets[row], part.offsets[row + 1])
            yield int(query), part.doc[items].tolist(), part.rank["random"][items].tolist()


def test_statistics_of_a_pool_ask_what_is_positive(graded):
    qrels = graded["collection"].qrels_artifact("train")
    measured = {
        least: measure_pool(
            graded["workspace"], graded["scores"], list(COLUMNS.values()), qrels=qrels,
            **({} if least == 1 else {"min_grade": least}),
        )
        for least in (1, 2)
    }  # fmt: skip
    assert measured[1].fingerprint != measured[2].fingerprint
    assert "min_grade" not in measured[1].parameters  # as it was before there was a choice
    for least, one in measured.items():
        rows = itertools.chain.from_iterable(t.to_pylist() for t in graded["scores"].tables())
        for row, held in enumerate(rows):
            s = [log_sigmoid(z) for z in held["logit"]]
            good = [grade_of(held["query"], d) >= least for d in held["doc"]]
            for name, pairs in zip(COLUMNS, pairs_by_role(good), strict=True):
                expected = pair_entropy(s, pairs=pairs) if pairs else None
                assert same(column(one, COLUMNS[name])[row], expected)
    with pytest.raises(UsageError, match="min_grade=2 needs judgements"):
        measure_pool(graded["workspace"], graded["scores"], ["pair_entropy"], min_grade=2)


# ---- pools and sources ---------------------------------------------------------------------------


def test_a_pool_adds_the_positives_of_its_grade(graded):
    plain = pool_runs(
        graded["workspace"], graded["runs"], collection=graded["collection"], split="train"
    )
    assert "min_grade" not in plain.parameters
    assert plain.fingerprint != graded["pool"].fingerprint
    added = {}
    for name, pool in (("plain", plain), ("two", graded["pool"])):
        lists = [(q, d) for q, docs, _ in pool_rows(pool) for d in docs]
        added[name] = {grade_of(q, d) for q, d in lists if d - q in (45, 50) and grade_of(q, d)}
    drawn = {
        grade_of(q, d) for q, docs, ranks in pool_rows(graded["pool"])
        for d, r in zip(docs, ranks, strict=True) if r and d - q in (45, 50)
    }  # fmt: skip
    assert added["plain"] == {1, 2}
    assert added["two"] == {2} | (drawn - {0})


def test_a_selection_takes_the_grade_of_its_pool(graded):
    told, untold = chosen(graded), chosen(graded, min_grade=None)
    assert untold.parameters["min_grade"] == 2
    assert untold.fingerprint == told.fingerprint


def test_sources_know_positives_of_a_grade(graded, tmp_path):
    workspace, collection = graded["workspace"], graded["collection"]
    encoder = tiny_encoder(tmp_path / "encoder")
    texts = [f"neighbours(model={encoder}{more})" for more in ("", ",min_grade=1", ",min_grade=2")]
    plain, one, two = (mine(workspace, t, collection, "train", depth=3) for t in texts)
    assert plain.fingerprint == one.fingerprint != two.fingerprint
    last = [Run(run).row(TRAIN - 1)[1] for run in (plain, two)]  # q9 has a document graded 1
    assert [len(docs) for docs in last] == [3, 0]
    pairs = ((q, d) for q in range(TRAIN) for d in range(DOCS))
    lines = (f"q{q}\td{d}\t{(7 * q + 13 * d) % 37}\n" for q, d in pairs)
    (tmp_path / "scores.tsv").write_text("".join(lines))
    of = graded["runs"][0].fingerprint
    teacher = f"imported(path={tmp_path / 'scores.tsv'},kind=logit)"
    text = f"ensemble(of=[{of}],teacher={teacher}{{}})"
    plain, two = (
        mine(workspace, text.format(more), collection, "train", depth=60)
        for more in ("", ",min_grade=2")
    )
    held = [
        {grade_of(q, int(d)) for q in range(TRAIN) for d in Run(run).row(q)[1]}
        for run in (plain, two)
    ]
    assert [max(grades) for grades in held] == [0, 1]
    assert "min_grade" not in plain.metadata["source"]


def test_a_restriction_leaves_out_positives_of_a_grade(graded):
    found = {}
    for what in ("positives", "positives(min_grade=2)", "judged"):
        source = SOURCES.parse(f"bm25(exclude={what})")
        assert source.exclude == what
        limits = WrittenLimits(exclude=source.exclude)
        found[what] = Restriction.of(limits, graded["collection"], "train", 5).excluded
    for (_, keys), least in zip(found.items(), (1, 2, -(1 << 15)), strict=True):
        pairs = {(int(k) >> 32, int(k) & 0xFFFFFFFF) for k in keys}
        judged = {(q, q + step): g for q in range(TRAIN - 1) for step, g in STEPS.items()}
        judged |= {(TRAIN - 1, 15): 1, (TRAIN - 1, 16): -100}
        assert pairs == {pair for pair, grade in judged.items() if grade >= least}


# ---- audit, explain, derived, exports ------------------------------------------------------------


def test_the_audit_counts_by_the_groups_own_grade(graded):
    groups = chosen(graded)
    found = audit_groups(graded["workspace"], groups, collection=graded["collection"])
    rows = list(rows_of(groups))
    assert verdict(found) == []
    assert found["counts"]["groups_with_several_positives"] == sum(sum(g) > 1 for *_, g in rows)
    assert found["counts"]["groups_without_a_positive"] == 0
    above = sum(
        s > scores[0]
        for _, _, scores, good in rows
        for s, positive in zip(scores, good, strict=True)
        if not positive
    )
    assert found["suspects"]["above_the_positive"] == above
    assert found["leakage"]["test"]["positives"] == 1  # d5 of q10; d7 and d9 are graded 1
    negatives = {
        (q, d) for q, docs, _, good in rows for d, g in zip(docs, good, strict=True) if not g
    }
    other = chosen(graded, min_grade=1)
    beside = audit_groups(
        graded["workspace"], groups, collection=graded["collection"], against=[], beside=[other]
    )
    theirs = {
        (int(q), int(d))
        for part in Groups(other).parts()
        for q, docs in zip(part.query, part.doc, strict=True)
        for d in docs
        if grade_of(int(q), int(d)) < 1
    }
    shares = []
    for query in {q for q, _ in negatives} & {q for q, _ in theirs}:
        a, b = ({d for q, d in pairs if q == query} for pairs in (negatives, theirs))
        shares.append(len(a & b) / len(a | b))
    (told,) = beside["overlap"].values()
    assert told["jaccard of negatives"] == pytest.approx(statistics.fmean(shares))


def test_explain_says_why_by_the_groups_own_grade(graded):
    (group,) = explain_query(graded["workspace"], chosen(graded), "q1").groups
    why = {one.doc_id: one.why for one in group.candidates}
    assert why["d5"] == why["d21"] == "positive of the group"
    assert why["d19"] == "excluded by its judgement"
    graded_1 = [why[f"d{1 + step}"] for step in (6, 9, 12)]
    assert set(graded_1) <= {"chosen", "could have been drawn", "out of reach"}, graded_1


def test_a_subsample_keeps_the_positives_and_draws_from_the_rest(graded):
    small = subsample_groups(graded["workspace"], chosen(graded), size=6, times=3)
    for *_, good in rows_of(small):
        assert good[: sum(good)] == [True] * sum(good)
    whole = {q: sum(good) for q, _, _, good in rows_of(chosen(graded))}
    assert all(sum(good) == whole[q] for q, _, _, good in rows_of(small))
    one = {(q, d) for q, docs, _, _ in rows_of(small) for d in docs if grade_of(q, d) == 1}
    held = {
        (q, d) for q, docs, _, _ in rows_of(chosen(graded)) for d in docs if grade_of(q, d) == 1
    }
    assert one < held  # some draws leave them out


def test_smooth_gives_its_share_to_positives_only(graded):
    groups = chosen(graded)
    soft = retarget_groups(graded["workspace"], groups, "smooth(share=0.5)")
    new = [scores for _, _, scores, _ in rows_of(soft)]
    for (query, docs, scores, _), log_q in zip(rows_of(groups), new, strict=True):
        p = np.exp(scores)  # as stored: the softmax that losses read
        label = np.array([max(g, 0) if (g := grade_of(query, d)) >= 2 else 0 for d in docs])
        expected = 0.5 * p / p.sum() + 0.5 * label / label.sum()
        # ln q is stored in float32: q is off by |ln q| roundings of its value.
        off = 1.01 * UNIT["float32"] * np.abs(log_q) * expected
        assert (np.abs(np.exp(np.asarray(log_q)) - expected) <= off).all()


@pytest.mark.parametrize("derived", [False, True])
def test_exports_label_by_the_groups_own_grade(graded, derived, tmp_path):
    groups = chosen(graded)
    if derived:
        groups = retarget_groups(graded["workspace"], groups, "minmax")
    wanted = {
        f"q{q}": {f"d{d}": grade_of(q, d) for d, g in zip(docs, good, strict=True) if g}
        for q, docs, _, good in rows_of(groups)
    }
    export_groups("trec", groups, graded["collection"], tmp_path / "trec")
    found: dict = {}
    for line in (tmp_path / "trec" / "qrels.txt").read_text().splitlines():
        query, _, doc, grade = line.split()
        found.setdefault(query, {})[doc] = int(grade)
    assert found == wanted
    export_groups("beir", groups, graded["collection"], tmp_path / "beir", allow_lossy=True)
    found = {}
    for line in (tmp_path / "beir" / "qrels" / "train.tsv").read_text().splitlines()[1:]:
        query, doc, grade = line.split("\t")
        found.setdefault(query, {})[doc] = int(grade)
    assert found == wanted
    export_groups("tevatron", groups, graded["collection"], tmp_path / "tevatron")
    for line in (tmp_path / "tevatron" / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert {p["docid"] for p in row["positive_passages"]} == set(wanted[row["query_id"]])
    facts = json.loads((tmp_path / "trec" / "export.json").read_text())
    assert facts["min_grade"] == 2
    assert facts["unjudged_first"] == 0


def test_the_first_of_best_groups_is_unjudged_unless_it_is_a_positive(graded, tmp_path):
    groups = chosen(graded, positives="best", size=6)
    firsts = [good[0] for *_, good in rows_of(groups)]
    export_groups("trec", groups, graded["collection"], tmp_path / "trec")
    facts = json.loads((tmp_path / "trec" / "export.json").read_text())
    assert facts["unjudged_first"] == firsts.count(False)
    measured = measure_groups(graded["workspace"], groups, ["teacher_agrees"])
    assert [v is None for v in column(measured, "teacher_agrees")] == [not f for f in firsts]
