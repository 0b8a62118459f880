"""Teachers that give ranks alone: from files of every kind to groups, statistics and losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.derive import retarget_groups
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.runs.run import Run
from rankmill.mining.selection import select_groups
from rankmill.mining.sources import mine
from rankmill.mining.statistics.measure import default_statistics, measure_groups
from rankmill.mining.statistics.summaries.dataset import decay_of
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers.files.imported import import_scores
from rankmill.training.losses import LOSSES


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")


@pytest.fixture
def pool(collection: Collection) -> Artifact:
    workspace = collection.artifact.workspace
    run = mine(workspace, "random", collection, "train", depth=8)
    return pool_runs(workspace, [run], collection=collection, split="train")


def ranked_lists(pool: Artifact, collection: Collection) -> dict[str, list[str]]:
    """Every query's documents in an order of our own: falling document ordinal."""
    found = {}
    for table in pool.tables():
        for row in table.to_pylist():
            query_id = collection.queries.query_id(row["query"])
            found[query_id] = collection.corpus.doc_ids(sorted(row["doc"], reverse=True))
    return found


def text_of(name: str, lists: dict[str, list[str]]) -> str:
    placed = [(q, d, at) for q, docs in lists.items() for at, d in enumerate(docs, 1)]
    rows = {
        "trec.run": [f"{q} Q0 {d} {at} 0 listwise" for q, d, at in placed],  # scores say nothing
        "zero.run": [f"{q} Q0 {d} {at - 1} 0 pyterrier" for q, d, at in placed],
        "pairs.tsv": [f"{q}\t{d}\t{at}" for q, d, at in placed],
        "named.tsv": ["rank\tdocno\tqid", *(f"{at}\t{d}\t{q}" for q, d, at in placed)],
        "rows.jsonl": [json.dumps({"qid": q, "docno": d, "rank": at}) for q, d, at in placed],
        "lists.jsonl": [json.dumps({"qid": q, "docid": docs}) for q, docs in lists.items()],
        "numbered.jsonl": [
            json.dumps({"qid": q, "docid": docs[::-1], "ranks": list(range(len(docs), 0, -1))})
            for q, docs in lists.items()
        ],
        "rank_llm.jsonl": [
            json.dumps(
                {
                    "query": {"qid": q, "text": "x"},
                    "candidates": [{"docid": d, "score": 0.5, "doc": {}} for d in docs],
                }
            )
            for q, docs in lists.items()
        ],
        "lists.json": [json.dumps(lists)],
        "numbers.json": [
            json.dumps({q: {d: n for n, d in enumerate(docs, 1)} for q, docs in lists.items()})
        ],
    }
    return "\n".join(rows[name]) + "\n"


def orders(scores: Artifact, collection: Collection) -> dict[str, list[str]]:
    found = {}
    for table in scores.tables(level=3):
        offsets, docs = list_values(table["doc"])
        values = list_values(table["logit"])[1]
        for row, query in enumerate(table["query"].to_pylist()):
            piece = slice(offsets[row], offsets[row + 1])
            order = docs[piece][(-values[piece]).argsort()]
            assert sorted(values[piece], reverse=True) == [-n for n in range(1, len(order) + 1)]
            found[collection.queries.query_id(query)] = collection.corpus.doc_ids(order)
    return found


@pytest.mark.parametrize(
    "name",
    ["trec.run", "zero.run", "pairs.tsv", "named.tsv", "rows.jsonl", "lists.jsonl"]
    + ["numbered.jsonl", "rank_llm.jsonl", "lists.json", "numbers.json"],
)
def test_every_format_gives_the_order(
    workspace: Workspace, collection: Collection, pool: Artifact, tmp_path: Path, name: str
) -> None:
    lists = ranked_lists(pool, collection)
    path = tmp_path / name
    path.write_text(text_of(name, lists))
    scores = score_pool(workspace, f"imported(path={path},kind=rank)", pool)
    assert orders(scores, collection) == lists
    assert scores.metadata["kind"] == "rank"
    assert scores.metadata["range"] == "-inf..0"
    scores.verify()


def test_parquet_of_rank_distillm(
    workspace: Workspace, collection: Collection, pool: Artifact, tmp_path: Path
) -> None:
    lists = ranked_lists(pool, collection)
    rows = [
        {"qid": q, "docno": d, "rank": at, "score": 0.0}
        for q, docs in lists.items()
        for at, d in enumerate(docs, 1)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "ranks.parquet")
    teacher = f"imported(path={tmp_path / 'ranks.parquet'},kind=rank)"
    assert orders(score_pool(workspace, teacher, pool), collection) == lists


def test_gaps_stay(workspace: Workspace, collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "sample.tsv").write_text("q0\td1\t50\nq0\td2\t7\n")
    texts = collection.corpus.artifact, collection.queries.artifact
    scores = import_scores(workspace, tmp_path / "sample.tsv", *texts, kind="rank")
    assert list_values(scores.table(0)["logit"])[1].tolist() == [-50.0, -7.0]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.run", "q0 Q0 d1 best 3 t\n", r"the rank 'best' is not a whole number[\s\S]*line 1"),
        ("a.tsv", "q0\td1\t1.5\n", "the rank '1.5' is not a whole number from 1 on"),
        ("a.tsv", "q0\td1\t-1\n", "the rank '-1' is not a whole number"),
        ("a.tsv", f"q0\td1\t{1 << 24}\n", "is not a whole number"),
        ("a.tsv", "q0\td1\t1\nq0\td2\t2\nq0\td3\t1\n", r"have rank 1 \(1 such[\s\S]*lines 1 and 3"),
        ("a.run", "q0 Q0 d1 0 3 t\nq0 Q0 d2 0 2 t\n", "two documents of one query have rank 1"),
        ("a.tsv", "9.5\t1.25\tq0\td1\td2\n", "5 columns, expected 3: query id, document id, rank"),
        ("a.jsonl", '{"qid": "q0", "docid": "d1", "score": 3}', "the field 'rank' is missing"),
        ("a.jsonl", '{"qid": "q0", "docid": ["d1"], "rank": [1, 2]}', "1 documents and 2 ranks"),
        ("a.jsonl", '{"qid": "q0", "docid": ["d1", "d1"]}', "1 pairs stand there with two scores"),
        ("a.json", '{"q0": 1}', "the file is not an object of objects"),
    ],
)
def test_files_that_cannot_be_read(
    workspace: Workspace, collection: Collection, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    texts = collection.corpus.artifact, collection.queries.artifact
    with pytest.raises(BadInput, match=said):
        import_scores(workspace, tmp_path / name, *texts, kind="rank")


@pytest.fixture
def groups(collection: Collection, pool: Artifact, tmp_path: Path) -> Artifact:
    """Groups of four whose teacher gives ranks."""
    workspace = collection.artifact.workspace
    path = tmp_path / "lists.jsonl"
    path.write_text(text_of("lists.jsonl", ranked_lists(pool, collection)))
    teacher = f"imported(path={path},kind=rank)"
    return chosen(collection, pool, score_pool(workspace, teacher, pool))


def chosen(
    collection: Collection, pool: Artifact, scores: Artifact, strategy: str = "top", **options: Any
) -> Artifact:
    workspace, of = collection.artifact.workspace, {"collection": collection, "split": "train"}
    return select_groups(workspace, strategy, pool, scores, **{"size": 4, **of, **options})


def test_statistics_of_an_order(workspace: Workspace, groups: Artifact) -> None:
    assert groups.metadata["kind"] == "rank"
    asked = ["pair_entropy(T=1)", "pair_entropy(T=1,score=raw)", "margin(of=mean,score=raw)"]
    asked += ["power_law(of=alpha)", "list_entropy(T=1)", "teacher_agrees", "positive_rank"]
    measured = measure_groups(workspace, groups, asked)
    rows = [row for table in measured.tables() for row in table.to_pylist()]
    known = {"query", "teacher_agrees", "positive_rank"}
    assert rows
    assert all((row[name] is None) == (name not in known) for row in rows for name in row)
    for name in measured.counts:
        assert name.endswith(":only_ranks")
    assert len(measured.counts) == 5
    assert measure_groups(workspace, groups).rows == len(rows)
    assert default_statistics("rank") == ("pair_entropy(T=1)", "teacher_agrees", "positive_rank")
    compat = measure_groups(workspace, groups, compat="locality-and-entropy")
    assert all(name.endswith(":only_ranks") for name in compat.counts)


def test_positive_ranks_against_the_groups(workspace: Workspace, groups: Artifact) -> None:
    measured = measure_groups(workspace, groups, ["positive_rank"])
    found = [r["positive_rank"] for table in measured.tables() for r in table.to_pylist()]
    expected = [
        1 + sum(s > row["score"][0] for s in row["score"])
        for table in groups.tables()
        for row in table.to_pylist()
    ]
    assert found == expected


def test_losses_of_an_order_take_ranks_and_the_others_refuse_them() -> None:
    takes = {"lce", "infonce", "ranknet_hard", "listmle", "lambda_loss"}
    for name in LOSSES.names():
        loss = LOSSES.parse(name)
        if name in takes:
            loss.check("rank")
            continue
        with pytest.raises(UsageError, match=f"{name}.* needs real scores; this teacher gives onl"):
            loss.check("rank")


def test_targets_of_ranks(workspace: Workspace, groups: Artifact) -> None:
    labels = retarget_groups(workspace, groups, "rank_labels(c=10)")
    assert labels.metadata["kind"] == "probability"
    for row in labels.table(0).to_pylist():
        assert sorted(row["score"], reverse=True) == pytest.approx(
            [2 ** (-n / 10) for n in range(1, 5)]
        )
    for target in ("temperature(T=2)", "smooth", "minmax", "zscore"):
        with pytest.raises(UsageError, match=f"{target.split('(')[0]} needs real scores"):
            retarget_groups(workspace, groups, target)


def test_what_needs_scores_refuses_ranks(
    workspace: Workspace, collection: Collection, pool: Artifact, tmp_path: Path
) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text(text_of("lists.jsonl", ranked_lists(pool, collection)))
    teacher = f"imported(path={path},kind=rank)"
    scores = score_pool(workspace, teacher, pool)
    with pytest.raises(UsageError, match="the mean of an ensemble needs real scores"):
        score_pool(workspace, f"ensemble(of=[{teacher},{teacher}])", pool)
    with pytest.raises(BadInput, match="a rank has no probability"):
        decay_of(scores)
    with pytest.raises(UsageError, match="a log-probability needs real scores"):
        chosen(collection, pool, scores, "entropy_target(H=0.5)")
    said = "a rank has no log-probability[\\s\\S]*score=raw with a gap in units of the rank"
    with pytest.raises(BadInput, match=said):
        chosen(collection, pool, scores, filters=["margin(gap=1)"])
    below = chosen(collection, pool, scores, size=2, filters=["margin(gap=1,score=raw)"])
    assert (Groups(below).part(0).score[:, 0] > Groups(below).part(0).score[:, 1]).all()


def test_sources_follow_the_order(
    workspace: Workspace, collection: Collection, pool: Artifact, tmp_path: Path
) -> None:
    lists = ranked_lists(pool, collection)
    path = tmp_path / "lists.jsonl"
    path.write_text(text_of("lists.jsonl", lists))
    source = f"rerank(teacher=imported(path={path},kind=rank),of=random)"
    run = Run(mine(workspace, source, collection, "train", depth=8))
    for row in range(len(run)):
        query, docs, scores = run.row(row)
        order = lists[collection.queries.query_id(query)]
        assert [d for d in order if d in collection.corpus.doc_ids(docs)] == (
            collection.corpus.doc_ids(docs)
        )
        assert (scores < 0).all()
    cleared = f"ensemble(of=[random],teacher=imported(path={path},kind=rank),per_source=8"
    with pytest.raises(UsageError, match="a rank has no logit\n  do: write unit=raw"):
        mine(workspace, f"{cleared},margin=1,unit=logit)", collection, "train", depth=8)
    kept = mine(workspace, f"{cleared},margin=1)", collection, "train", depth=8)
    assert kept.rows == len(run)
