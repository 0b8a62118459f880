"""The audit counts what was planted; explain says why each candidate stayed or went."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from group_makers import given, make_groups
from selection_world import build_world, select
from toy_groups import toy

from rankmill.mining.audit.checks import audit_groups, gini, verdict
from rankmill.mining.audit.explain import explain_query
from rankmill.mining.audit.leakage import Trained, equal_texts, leakage, named_split
from rankmill.mining.collection import collect
from rankmill.mining.derive import cut_groups
from rankmill.mining.errors import BadInput, Corrupt, UsageError
from rankmill.mining.groups.format import GroupArrays, Groups, groups_table
from rankmill.mining.runs.run import Run
from rankmill.mining.selection.candidates import PoolRows, QueryRows
from rankmill.mining.sources import mine
from rankmill.mining.statistics import measure_groups
from rankmill.mining.store.artifact import compared_parts
from rankmill.mining.store.tables import groups_schema


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("audit"))


# ---- explain -------------------------------------------------------------------------------------


def test_every_candidate_is_accounted_for(world):
    chosen = select(world, f'uniform(last=20,source="{world["label"]}")')
    found = explain_query(world["workspace"], chosen, "q1")
    assert (found.query_id, found.text) == ("q1", "query 1")
    (group,) = found.groups
    by_id = {one.doc_id: one for one in group.candidates}
    assert group.positive_id == "d5"
    assert by_id["d5"].why == "positive of the group"
    assert by_id["d5"].grade == 2
    assert by_id["d21"].why == "a positive of the query"
    assert by_id["d4"].why == "a copy of a positive"
    # Query 1's list begins with d2, so d2 is its first and d31 its thirtieth.
    assert by_id["d2"].found[world["label"]] == (1, 100.0)
    assert by_id["d31"].found[world["label"]] == (30, 71.0)
    assert by_id["d31"].why == "out of reach"
    assert by_id["d2"].teacher == (7 + 26) % 37 / 4.0
    kept = [one for one in group.candidates if one.kept]
    assert len(kept) == 8
    assert {one.why for one in kept} == {"chosen", "positive of the group"}
    drawn = [one for one in group.candidates if one.why in ("chosen", "could have been drawn")]
    assert [one.inclusion for one in drawn] == pytest.approx([7 / 17] * 17)  # 20 less d4, d5, d21
    teacher = [one.teacher for one in group.candidates]
    assert teacher == sorted(teacher, reverse=True)


def test_what_a_filter_removed_names_the_filter(world):
    text = "margin(gap=0,score=logit)"
    found = explain_query(world["workspace"], select(world, "top", filters=[text], size=4), "q2")
    (group,) = found.groups
    positive = next(one for one in group.candidates if one.doc_id == "d6")
    for one in group.candidates:
        if one.why == f"filtered by {text}":
            assert one.teacher > positive.teacher
        elif one.kept:
            assert one.teacher <= positive.teacher
    assert any(one.why.startswith("filtered by") for one in group.candidates)


def test_statistics_and_dropped_queries(world):
    chosen = select(world, "top")
    measured = measure_groups(world["workspace"], chosen, ["pair_entropy", "ties"])
    (group,) = explain_query(world["workspace"], chosen, "q3").groups
    assert set(group.statistics) == {"pair_entropy(T=1)", "ties"}
    row = np.flatnonzero(measured.table(0)["query"].to_numpy() == 3)[0]
    assert group.statistics["ties"] == measured.table(0)["ties"][int(row)].as_py()
    (lost,) = explain_query(world["workspace"], chosen, "q11").groups
    assert lost.dropped == "no_positive"
    assert {one.why for one in lost.candidates} == {"no group: no_positive"}
    cut = cut_groups(world["workspace"], chosen, measured, "keep_below")
    gone = cut.dropped["cut"][0]
    (group,) = explain_query(world["workspace"], cut, f"q{gone}").groups
    assert group.dropped == 'cut keep_below(of="pair_entropy(T=1)",q=0.5)'
    assert not any(one.kept for one in group.candidates)


def test_a_query_that_is_not_there(world):
    chosen = select(world, "top")
    with pytest.raises(BadInput, match="the query id 'q99' is not in the collection"):
        explain_query(world["workspace"], chosen, "q99")


def test_only_parts_that_hold_something_of_the_query_are_read(tmp_path, monkeypatch):
    """A part of the pool for every query or two: bisection looks into a few. One that is damaged is
    found if it is looked into, and only then."""
    monkeypatch.setattr("rankmill.mining.runs.pool._SHARD_PAIRS", 60)
    world = build_world(tmp_path)
    workspace, pool = world["workspace"], world["pool"]
    chosen = select(world, "top")
    assert len(pool.parts) > 8

    def explained():
        monkeypatch.setattr("rankmill.mining.store.artifact._checked", set())
        return explain_query(workspace, chosen, "q5")

    found = explained()
    read = {Path(path) for path, *_ in compared_parts() if Path(path).parent == pool.path}
    assert 1 <= len(read) <= 4
    assert {one.doc_id for one in found.groups[0].candidates if one.kept}
    for part in pool.parts:
        file = pool.path / part.file
        whole = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
        if file in read:
            with pytest.raises(Corrupt, match=f"pool part {part.number}: the file does not hold"):
                explained()
        else:
            assert explained() == found
        file.write_bytes(whole)
    assert explained() == found


def test_every_query_is_found_in_its_part(tmp_path, monkeypatch):
    monkeypatch.setattr("rankmill.mining.runs.pool._SHARD_PAIRS", 60)
    pool = build_world(tmp_path)["pool"]
    rows = PoolRows(pool)
    queries = np.concatenate([table["query"].to_numpy() for table in pool.tables()]).tolist()
    assert [rows.row_of(query) for query in queries] == list(range(len(queries)))
    assert [rows.row(row)[0] for row in range(len(queries))] == queries
    assert rows.row_of(max(queries) + 1) is None
    lists = QueryRows(pool)
    for first, last in ((0, 3), (4, 4), (2, 11), (11, 40), (12, 40)):
        parts = [
            number
            for number, table in enumerate(pool.tables())
            if any(first <= query <= last for query in table["query"].to_pylist())
        ]
        assert list(lists.parts_between(first, last)) == parts


# ---- audit ---------------------------------------------------------------------------------------


def planted(folder):
    """Two splits; train query q0 and test query t0 are near copies; d2 nearly copies d0."""
    (folder / "qrels").mkdir(parents=True)
    long = "the effect of vitamin d on the bones of older people in the north"
    texts = [
        long,
        "a wholly different text about ships and harbours",
        long.upper() + "!",
        "",
        "short positive of the test split",
        "another negative about trains, tickets and timetables",
    ]
    rows = [{"_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    queries = {"q0": "does vitamin d help the bones of older people", "q1": "ships"}
    queries["t0"] = "Does vitamin D help the bones of older people?"
    rows = [{"_id": i, "text": t} for i, t in queries.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    head = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(head + "q0\td0\t1\nq1\td1\t1\nq1\td5\t1\n")
    (folder / "qrels" / "test.tsv").write_text(head + "t0\td0\t1\nt0\td4\t1\nt0\td2\t1\n")
    return folder


def audited(tmp_path, workspace, **options):
    collection = collect(workspace, f"beir:{planted(tmp_path / 'beir')}")
    arrays = GroupArrays(
        np.array([0, 1], np.uint32),
        np.array([[0, 1, 5], [1, 5, 3]], np.uint32),
        np.array([[1, 0.5, 3], [2, 4, 2]], np.float32),
        np.array([[1, 0, 0], [1, 0, 0]], np.int8),
        np.ones((2, 3), np.float32),
    )
    made = given(
        workspace,
        "groups",
        groups_table(arrays),
        groups_schema(3),
        {"size": 3},
        metadata={"kind": "logit", "split": "train"},
    )

    class Handle:
        """Groups whose inputs are those of the collection."""

        kind, inputs, metadata, parameters = "groups", {}, made.metadata, made.parameters
        parts, rows, table, path = made.parts, made.rows, made.table, made.path
        workspace, fingerprint = made.workspace, made.fingerprint

        @staticmethod
        def input(role):
            return getattr(collection, role).artifact

    workspace.find = lambda name, kind=None: Handle  # the maker of test groups knows no inputs
    return audit_groups(workspace, made, collection=collection, **options)


def test_the_audit_finds_what_was_planted(tmp_path, workspace):
    found = audited(tmp_path, workspace)
    assert found["must_be_zero"] == {
        "positives_among_negatives": 1,  # d5 is a positive of q1
        "copies_of_a_positive_among_negatives": 0,
        "negatives_that_are_the_query_itself": 0,
        "documents_twice_in_a_group": 0,
        "empty_documents": 1,
        "scores_not_finite": 0,
    }
    assert verdict(found) == ["1 positives among negatives", "1 empty documents"]
    assert found["counts"]["distinct_documents"] == 4
    suspects = found["suspects"]
    assert suspects["above_the_positive"] == 2  # d5 above d0 by 2, d5 above d1 by 2
    assert suspects["ties_with_the_positive"] == 1
    assert suspects["examples"][0]["gap"] == 2.0
    assert suspects["examples"][0]["negative_id"] == "d5"
    assert "timetables" in suspects["examples"][0]["negative"]
    leak = found["leakage"]["test"]
    assert leak["queries_in_both"] == 0
    assert leak["queries_nearly_equal"] == 1
    assert leak["examples"][0]["training_query_id"] == "q0"
    assert leak["examples"][0]["test_query_id"] == "t0"
    assert leak["positives"] == 3
    assert leak["positives_trained_on"] == 1  # d0
    assert leak["positives_nearly_trained_on"] == 1  # d2, a near copy of d0
    balance = found["imbalance"]
    assert balance["most_used_negative"] == "d5"
    assert balance["most_used_negative_times"] == 2
    assert balance["positives_that_are_negatives_elsewhere"] == 1  # d1


def elsewhere(folder):
    """Another collection: one query and one positive in the same words, one of each nearly so."""
    (folder / "qrels").mkdir(parents=True)
    texts = [
        "THE EFFECT of vitamin d on the bones of older people in the north",
        "a wholly different text about ships and harbours",
        "nothing that anybody trained on",
        "",
    ]
    rows = [{"_id": f"x{i}", "title": "", "text": t} for i, t in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    queries = {"a": "ships", "b": "Does vitamin D help the bones of older people", "c": "else"}
    rows = [{"_id": i, "text": t} for i, t in queries.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    judged = "a\tx1\t1\nb\tx0\t1\nc\tx2\t1\nc\tx3\t1\n"
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


def test_leakage_into_another_collection_goes_by_text(tmp_path, workspace):
    collection = collect(workspace, f"beir:{planted(tmp_path / 'beir')}")
    other = collect(workspace, f"beir:{elsewhere(tmp_path / 'other')}", name="other")
    trained = Trained(
        np.array([0, 1], np.uint32),
        np.array([0, 1, 3, 5], np.uint32),
        collection.queries,
        collection.corpus,
        collection,
    )
    named, split = named_split(workspace, collection, "other:test")
    assert named.artifact.fingerprint == other.artifact.fingerprint
    found = leakage(trained, named, split, 0.8, 5)
    assert found["queries"] == 3
    assert found["queries_in_both"] == 1  # "ships", word for word, under another id
    assert found["queries_nearly_equal"] == 1  # the one in other capitals: not that one again
    assert found["positives"] == 4
    assert found["positives_trained_on"] == 1  # x1; the empty x3 is no copy of the empty d3
    assert found["positives_nearly_trained_on"] == 1  # x0
    shown = [(one["training_query_id"], one["test_query_id"]) for one in found["examples"]]
    assert shown == [("q1", "a"), ("q0", "b")]  # folded, both overlap wholly: equal texts first
    assert [one["equal"] for one in found["examples"]] == [True, False]


def twins(folder):
    """Test queries and positives in the very words of training ones, under ids of their own."""
    (folder / "qrels").mkdir(parents=True)
    one = "the effect of vitamin d on the bones of older people in the north"
    texts = [one, one, one.upper(), "ships and harbours of the north", "nothing of all that"]
    rows = [{"_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    asked = {"q0": "does vitamin d help the bones", "t0": "does vitamin d help the bones"}
    asked |= {"t1": "Does vitamin D help the bones?", "t2": "which ships sail to the north"}
    rows = [{"_id": i, "text": t} for i, t in asked.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    head = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(head + "q0\td0\t1\n")
    judged = "t0\td1\t1\nt1\td2\t1\nt2\td3\t1\n"
    (folder / "qrels" / "test.tsv").write_text(head + judged)
    return folder


def test_an_equal_text_is_equal_and_not_nearly_so(tmp_path, workspace):
    """Within one collection too, where the copy has an id of its own: exact first, then near."""
    collection = collect(workspace, f"beir:{twins(tmp_path / 'beir')}")
    seen = np.array([0], np.uint32), np.array([0, 4], np.uint32)
    trained = Trained(*seen, collection.queries, collection.corpus, collection)
    found = leakage(trained, collection, "test", 0.8, 5)
    assert found["queries"] == 3
    assert found["queries_in_both"] == 1  # t0
    assert found["queries_nearly_equal"] == 1  # t1
    assert found["positives_trained_on"] == 1  # d1
    assert found["positives_nearly_trained_on"] == 1  # d2
    shown = [(one["test_query_id"], one["equal"]) for one in found["examples"]]
    assert shown == [("t0", True), ("t1", False)]


def test_exact_copies_are_those_of_equal_text(tmp_path, workspace):
    docs = collect(workspace, f"beir:{twins(tmp_path / 'beir')}").corpus
    left, right = np.array([0, 0, 1]), np.array([1, 2, 2])  # overlap 1.0, all three
    assert equal_texts(docs, left, docs, right).tolist() == [True, False, False]


def test_a_gap_may_be_more_than_float32_holds(tmp_path: Path) -> None:
    groups, collection = toy(tmp_path, groups=[("10", ["0", "1"], [-3e38, 3e38])])
    found = audit_groups(groups.workspace, groups, collection=collection)["suspects"]
    assert found["above_the_positive"] == 1
    assert found["examples"][0]["gap"] == pytest.approx(6e38)


def test_leakage_into_what_is_not_there(tmp_path, workspace):
    collection = collect(workspace, f"beir:{planted(tmp_path / 'beir')}")
    with pytest.raises(BadInput, match="nowhere"):
        named_split(workspace, collection, "nowhere:test")


def test_what_cannot_be_audited(tmp_path, workspace):
    with pytest.raises(UsageError, match="0.3 is not an overlap of near copies"):
        audited(tmp_path, workspace, at_least=0.3)
    with pytest.raises(UsageError, match="examples=-1 is negative"):
        audit_groups(workspace, "x", collection=None, examples=-1)


def test_selected_groups_are_sound_and_sources_are_counted(world):
    chosen = select(world, f'top(source="{world["label"]}")')
    found = audit_groups(world["workspace"], chosen, collection=world["collection"], at_least=1.0)
    assert verdict(found) == []
    assert found["leakage"] == {}
    assert found["imbalance"]["negatives_found_by"][world["label"]] == 1.0
    assert found["imbalance"]["negatives_found_by"]["random"] < 1.0
    assert found["copies"]["negatives_like_the_positive"] == 0


def test_negatives_shared_with_other_groups(world):
    one = select(world, f'uniform(last=20,source="{world["label"]}")')
    other = select(world, "stratified(bins=3)", size=6)
    collection = world["collection"]
    found = audit_groups(
        world["workspace"], one, collection=collection, beside=[one, other], at_least=1.0
    )["overlap"]
    assert found[one.metadata["strategy"]] == {"queries in both": 11.0, "jaccard of negatives": 1.0}
    first, second = Groups(one).part(0), Groups(other).part(0)
    shares = []
    for a, b in zip(first.doc.tolist(), second.doc.tolist(), strict=True):
        shares.append(len(set(a[1:]) & set(b[1:])) / len(set(a[1:]) | set(b[1:])))
    told = found[other.metadata["strategy"]]
    assert told["jaccard of negatives"] == pytest.approx(np.mean(shares))


def test_no_groups_are_no_data_to_audit(world):
    none = make_groups(world["workspace"], np.empty((0, 4), np.float32))
    with pytest.raises(BadInput, match="there are no groups to audit"):
        audit_groups(world["workspace"], none, collection=world["collection"])


def test_coverage_of_an_evaluation_run(world):
    chosen = select(world, f'top(source="{world["label"]}")')
    run = mine(world["workspace"], "random", world["collection"], "train", depth=15, seed=9)
    found = audit_groups(
        world["workspace"], chosen, collection=world["collection"], runs=[run], at_least=1.0
    )
    trained = {d for docs in Groups(chosen).part(0).doc.tolist() for d in docs}
    wanted = {d for row in range(run.rows) for d in Run(run).row(row)[1][:10].tolist()}
    share = len(trained & wanted) / len(wanted)
    assert found["coverage"]["random"]["at 10"] == pytest.approx(share)
    ratio = found["coverage"]["random"]["at 10, ratio to random"]
    assert ratio == pytest.approx(share / (len(trained) / 59))
    other = build_world(world["folder"] / "other")
    text = (other["folder"] / "beir" / "corpus.jsonl").read_text().replace("number 9", "nine")
    (other["folder"] / "beir" / "corpus.jsonl").write_text(text)
    changed = collect(world["workspace"], f"beir:{other['folder'] / 'beir'}")
    elsewhere = mine(world["workspace"], "random", changed, "train", depth=5)
    with pytest.raises(BadInput, match="the run random is of another corpus"):
        audit_groups(world["workspace"], chosen, collection=world["collection"], runs=[elsewhere])


def test_gini_of_counts():
    assert gini(np.array([3, 3, 3])) == pytest.approx(0.0)
    assert gini(np.array([0, 0, 0, 12])) == pytest.approx(0.75)
    uses = np.array([1, 2, 5, 9])
    pairs = np.abs(uses[:, None] - uses[None, :]).sum() / (2 * 4 * 4 * uses.mean())
    assert gini(uses) == pytest.approx(pairs)


def test_leakage_needs_a_split_of_the_collection(world):
    chosen = select(world, "top")
    with pytest.raises(BadInput, match="no split 'tset'"):
        audit_groups(world["workspace"], chosen, collection=world["collection"], against=["tset"])
