"""Runs as Parquet tables: pairs or lists, by rank and by score, one file or a folder of shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankmill.mining.collection import Collection, collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.exports.rows import write_parquet
from rankmill.mining.inputs import parquet_rows as parquet_module
from rankmill.mining.runs.files import AGAINST_SCORES, import_run
from rankmill.mining.runs.run import WITHOUT_CANDIDATES, Run
from rankmill.mining.store import Workspace

Made = tuple[Workspace, Collection]
Lists = dict[str, list[tuple[str, float]]]
Reads = Callable[..., tuple[Lists, Run]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("run-tables")
    (folder / "qrels").mkdir()
    docs = [{"_id": f"d{n}", "text": f"text {n}"} for n in range(9)] + [
        {"_id": str(n), "text": f"number {n}"} for n in range(3)
    ]
    queries = [{"_id": q, "text": f"question {q}"} for q in ("q1", "q2", "q3", "7")]
    for name, rows in (("corpus", docs), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels" / "test.tsv").write_text("q1\td1\t1\nq2\td2\t1\n7\td3\t1\n")
    (folder / "qrels" / "other.tsv").write_text("q3\td1\t1\n")
    workspace = Workspace(folder / "work")
    return workspace, collect(workspace, f"beir:{folder}")


@pytest.fixture
def reads(made: Made, tmp_path: Path) -> Reads:
    """Return a function that imports tables and returns {query id: [(document id, score)]}."""
    workspace, collection = made

    def read(*tables: dict[str, Any] | pa.Table, **how: Any) -> tuple[Lists, Run]:
        path = tmp_path / f"their-{len(tables)}"
        path.mkdir(exist_ok=True)
        files = [path / f"run-{n:05d}-of-{len(tables):05d}.parquet" for n in range(len(tables))]
        for file, table in zip(files, tables, strict=True):
            pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), file)
        given = files[0] if len(files) == 1 else path
        run = Run(import_run(workspace, given, collection, "test", **how))
        assert run.artifact.verify() == 1
        lists = {}
        for row in range(len(run)):
            query, docs, scores = run.row(row)
            if len(docs):
                named = collection.corpus.doc_ids(docs)
                lists[collection.queries.query_id(query)] = list(
                    zip(named, scores.tolist(), strict=True)
                )
        return lists, run

    return read


PAIRS: dict[str, Any] = {
    "query_id": ["q1", "q1", "q2", "q1"],
    "doc_id": ["d7", "d4", "d2", "d1"],
    "rank": [3, 1, 1, 2],
    "score": [1.0, 3.0, 0.5, 2.0],
}
BY_SCORE: Lists = {"q1": [("d4", 3.0), ("d1", 2.0), ("d7", 1.0)], "q2": [("d2", 0.5)]}
BY_RANK: Lists = {"q1": [("d4", -1.0), ("d1", -2.0), ("d7", -3.0)], "q2": [("d2", -1.0)]}


def without(name: str, table: dict[str, Any] = PAIRS) -> dict[str, Any]:
    return {key: column for key, column in table.items() if key != name}


def renamed(**names: str) -> dict[str, Any]:
    return {names.get(name, name): column for name, column in PAIRS.items()}


def of_type(name: str, column: Any) -> dict[str, Any]:
    return PAIRS | {name: column}


SAME = {
    "plain": PAIRS,
    "no ranks": without("rank"),
    "PyTerrier": renamed(query_id="qid", doc_id="docno") | {"query": ["a"] * 4},
    "the Hub": renamed(query_id="query-id", doc_id="corpus-id"),
    "capitals": renamed(query_id="Query_ID", doc_id="DocID", rank="Rank", score="SCORE"),
    "called by its kind": renamed(score="similarity"),
    "score beside another kind": PAIRS | {"logit": [9.0, 0.0, 0.0, 0.0]},
    "ranks from 0": of_type("rank", [2, 0, 0, 1]),
    "ranks as floats": of_type("rank", [3.0, 1.0, 1.0, 2.0]),
    "a rank is null": of_type("rank", [3, None, 1, 2]),
    "whole scores": of_type("score", pa.array([2, 6, 1, 4], pa.int16())),
    "float16": of_type("score", pa.array(np.array([1, 3, 0.5, 2], np.float16))),
    "large ids": of_type("doc_id", pa.array(PAIRS["doc_id"], pa.large_string())),
    "dictionaries": of_type("query_id", pa.array(PAIRS["query_id"]).dictionary_encode()),
}


@pytest.mark.parametrize("table", SAME.values(), ids=SAME)
def test_rows_of_pairs_are_read_as_lines_of_a_run(reads: Reads, table: dict[str, Any]) -> None:
    lists, run = reads(table)
    right = BY_SCORE
    if run.row(0)[2].max() == 6:
        right = {query: [(doc, 2 * score) for doc, score in docs] for query, docs in right.items()}
    assert lists == right
    assert run.artifact.counts == {WITHOUT_CANDIDATES: 1}


def test_pairs_equal_the_same_run_in_text(reads: Reads, made: Made, tmp_path: Path) -> None:
    draw = np.random.Generator(np.random.Philox(3))
    rows = [(q, f"d{d}") for q in ("q1", "q2", "q3", "7") for d in draw.permutation(9)]
    ranks = draw.integers(0, 4, len(rows)).tolist()
    scores = draw.choice([0.25, 0.5, 1.0, 1.0 + 2**-40], len(rows)).tolist()
    order = draw.permutation(len(rows)).tolist()
    rows, ranks, scores = ([column[n] for n in order] for column in (rows, ranks, scores))
    query, doc = zip(*rows, strict=True)
    lines = zip(query, doc, ranks, scores, strict=True)
    text = tmp_path / "run.txt"
    text.write_text("".join(f"{q} Q0 {d} {r} {s!r} t\n" for q, d, r, s in lines))
    table = {"query_id": query, "doc_id": doc, "rank": ranks, "score": scores}
    for how in ({}, {"order": "rank"}, {"sign": -1}, {"depth": 4}):
        other = Run(import_run(made[0], text, made[1], "test", **how))
        for tables in ([table], [pa.table(table)[:20], pa.table(table)[20:]]):
            _, run = reads(*tables, **how)
            assert run.artifact.table(0).equals(other.artifact.table(0))
            assert run.artifact.counts == other.artifact.counts


def test_without_scores_the_ranks_decide(reads: Reads) -> None:
    assert reads(without("score"))[0] == BY_RANK
    assert reads(without("score"), order="rank")[0] == BY_RANK
    assert reads(PAIRS, order="rank")[0] == BY_RANK


def test_ranks_against_scores_are_counted(reads: Reads) -> None:
    _, run = reads(of_type("rank", [1, 3, 1, 2]))
    assert run.artifact.counts[AGAINST_SCORES] == 1


LISTS: dict[str, Any] = {
    "query_id": ["q2", "q1", "7", "q3"],
    "document_ids": [["d2"], ["d7", "d4", "d1", "d8"], [], ["d1"]],
    "scores": [[0.5], [2.0, 3.0, 2.0, 1.0], [], [9.0]],
}
OF_LISTS: Lists = {"q1": [("d4", 3.0), ("d7", 2.0), ("d1", 2.0), ("d8", 1.0)], "q2": [("d2", 0.5)]}
AS_LISTED: Lists = {
    "q1": [("d7", -1.0), ("d4", -2.0), ("d1", -3.0), ("d8", -4.0)],
    "q2": [("d2", -1.0)],
}
BOTH = LISTS | {"rank": [[1], [4, 3, 1, 2], [], [1]]}


def test_lists_go_by_their_scores_and_equal_ones_by_their_places(reads: Reads) -> None:
    lists, run = reads(LISTS)
    assert lists == OF_LISTS
    assert run.artifact.counts == {WITHOUT_CANDIDATES: 1, "outside_split": 1}
    fixed = pa.table(LISTS)[1:2]
    four = pa.list_(pa.float32(), 4)
    fixed = fixed.set_column(2, "scores", fixed["scores"].combine_chunks().cast(four))
    assert reads(fixed)[0] == {"q1": OF_LISTS["q1"]}


def test_lists_without_numbers_are_best_first(reads: Reads) -> None:
    assert reads(without("scores", LISTS))[0] == AS_LISTED
    assert reads(LISTS, order="rank")[0] == AS_LISTED
    by_rank = [("d1", -1.0), ("d8", -2.0), ("d4", -3.0), ("d7", -4.0)]
    assert reads(without("scores", BOTH))[0]["q1"] == by_rank
    assert reads(BOTH, order="rank")[0]["q1"] == by_rank


def test_a_batch_of_any_size_gives_the_same(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_module, "_batch_rows", lambda file, names: 1)
    assert reads(LISTS)[0] == OF_LISTS
    assert reads(PAIRS)[0] == BY_SCORE


def test_what_show_writes_of_a_run_is_read_again(reads: Reads, tmp_path: Path) -> None:
    _, run = reads(LISTS)
    write_parquet(run.artifact, None, tmp_path / "shown.parquet")
    again, _ = reads(pq.read_table(tmp_path / "shown.parquet"))
    assert again == OF_LISTS


def test_numbers_are_ids_and_a_map_beside_says_whose(reads: Reads, tmp_path: Path) -> None:
    table = {"QUERY_ID": [7, 7], "DOCUMENT_ID": [2, 1], "SCORE": [1.0, 2.0]}
    assert reads(table)[0] == {"7": [("1", 2.0), ("2", 1.0)]}
    names = {"of": ["query", "document", "document"], "ours": ["q1", "d5", "d6"]}
    pq.write_table(
        pa.table(names | {"theirs": ["7", "1", "2"]}), tmp_path / "their-1" / "id_map.parquet"
    )
    assert reads(table)[0] == {"q1": [("d5", 2.0), ("d6", 1.0)]}


@pytest.mark.parametrize("name", ["run.bin", "run.parquet", "run.txt"])
def test_what_a_file_holds_decides(made: Made, tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table(PAIRS), tmp_path / name)
    run = Run(import_run(made[0], tmp_path / name, made[1], "test"))
    assert len(run.row(0)[1]) == 3
    assert run.label == "imported(tag=run)"


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no query": (without("query_id"), {}, "column 'query_id' is missing; there are 'doc_id', 'ran"),
    "no document": (without("doc_id"), {}, "the column 'doc_id' is missing"),
    "neither": (
        without("rank", without("score")),
        {},
        r"neither a score nor a rank; there are 'query_id', 'doc_id'",
    ),
    "no rank to go by": (without("rank"), {"order": "rank"}, "column 'rank' is missing"),
    "two kinds": (renamed(score="logit") | {"similarity": [1.0] * 4}, {}, "several columns may be"),
    "a null query": (
        of_type("query_id", ["q1", None, "q2", "q1"]),
        {},
        "'query_id' is null.*row 2",
    ),
    "an empty document": (of_type("doc_id", ["d1", "d2", "", "d3"]), {}, "'doc_id' is ''.*row 3"),
    "fractions as ids": (of_type("doc_id", [1.0, 2.0, 3.0, 4.0]), {}, "'doc_id' is 1.0.*row 1"),
    "a null score": (of_type("score", [1.0, None, 1, 1]), {}, "document 'd4' is null.*row 2"),
    "not a number": (of_type("score", [1.0, 1, float("nan"), 1]), {}, "'d2' is nan.*row 3"),
    "infinite": (of_type("score", [1.0, 1, 1, float("inf")]), {}, "'d1' is inf.*row 4"),
    "scores as texts": (of_type("score", list("1234")), {}, "document 'd7' is '1'.*row 1"),
    "scores of truth": (of_type("score", [True] * 4), {}, "document 'd7' is true.*row 1"),
    "ranks as texts": (
        of_type("rank", list("1234")),
        {},
        "'rank' is '1', not a whole number.*row 1",
    ),
    "ranks with gaps": (of_type("rank", [1, None, 3, 4]), {"order": "rank"}, "no whole.*row 2"),
    "beyond float32": (of_type("score", [1e300, 1, 1, 1]), {}, "beyond.*row 1.*order=rank"),
    "twice": (of_type("doc_id", ["d1", "d1", "d1", "d2"]), {}, "'d1' stands twice.*row 2"),
    "unknown document": (
        of_type("doc_id", ["d1", "x", "d1", "d2"]),
        {},
        "1 unknown documents: 'x'.*row 2",
    ),
    "a list of one column": (LISTS | {"scores": [1.0, 2.0, 3.0, 4.0]}, {}, "not a list.*row 1"),
    "lists of scores alone": (
        LISTS | {"document_ids": ["d1"] * 4},
        {},
        r"'scores' of document 'd1' is \[0.5\], not a finite number.*row 1",
    ),
    "too few scores": (
        LISTS | {"scores": [[0.5], [2.0], [], [9.0]]},
        {},
        "4 documents and 1 scores.*row 2",
    ),
    "a null list": (LISTS | {"document_ids": [["d2"], None, [], ["d1"]]}, {}, "null.*row 2"),
    "a null in a list": (
        LISTS | {"document_ids": [["d2"], ["d1", None, "d3", "d4"], [], ["d1"]]},
        {},
        "'document_ids' is null.*row 2",
    ),
    "nothing": ({name: column[:0] for name, column in PAIRS.items()}, {}, "holds no candidate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tables_that_are_refused(made: Made, tmp_path: Path, case: str) -> None:
    table, how, said = REFUSED[case]
    path = tmp_path / "run.parquet"
    empty = case == "nothing"
    pq.write_table(pa.table(table) if not empty else pa.table(PAIRS)[:0], path)
    with pytest.raises(BadInput, match=rf"(?s){said}") as caught:
        import_run(made[0], path, made[1], "test", **how)
    assert "run.parquet" in str(caught.value)


def test_a_fault_in_a_shard_is_placed_in_it(reads: Reads) -> None:
    with pytest.raises(BadInput, match=r"'d1' stands twice(.|\n)*00001-of-00002.parquet, row 1"):
        reads(pa.table(PAIRS), {"query_id": ["q1"], "doc_id": ["d1"], "rank": [9], "score": [1.5]})
    with pytest.raises(BadInput, match=r"of one run(.|\n)*score"):
        reads(pa.table(PAIRS), without("score"))


def test_folders_and_files_that_are_none(made: Made, tmp_path: Path) -> None:
    workspace, collection = made
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "run.txt").write_text("q1 Q0 d7 1 2 t\n")
    with pytest.raises(BadInput, match=r"holds no Parquet file(.|\n)*run.txt"):
        import_run(workspace, folder, collection, "test")
    pq.write_table(pa.table(PAIRS), folder / "a.parquet")
    (folder / "b.tsv").write_text("q1\td1\t1\n")
    with pytest.raises(BadInput, match="b.tsv would not be read"):
        import_run(workspace, folder, collection, "test")
    (folder / "b.tsv").rename(folder / "README.md")
    (folder / "run.txt").unlink()
    assert len(Run(import_run(workspace, folder, collection, "test")).row(0)[1]) == 3
    (tmp_path / "x.parquet").write_bytes(b"no table")
    with pytest.raises(BadInput, match="not a readable Parquet file"):
        import_run(workspace, tmp_path / "x.parquet", collection, "test")
    with pytest.raises(BadInput, match="this is a folder, not a file"):
        import_run(workspace, folder, collection, "test", system="bm25")
    pq.write_table(pa.table(without("score")), tmp_path / "ranks.parquet")
    with pytest.raises(UsageError, match="sign=-1 turns scores round"):
        import_run(workspace, tmp_path / "ranks.parquet", collection, "test", sign=-1)
