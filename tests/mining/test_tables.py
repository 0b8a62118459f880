"""Tables in, tables out: every kind of table gives the same collection; handles give tables."""

from __future__ import annotations

import math
import subprocess
import sys
import types

import polars as pl
import pyarrow as pa
import pytest

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError

DOCS = [
    {"_id": "d1", "title": "Cats", "text": "Cats sleep."},
    {"_id": "d2", "title": "", "text": "Dogs bark at cats."},
    {"_id": "d3", "title": "Ünï", "text": "naïve 文 text"},
    {"_id": "d4", "title": "Birds", "text": "Birds sing."},
]
ASKED = [{"query-id": "q1", "query": "cats"}, {"query-id": "q2", "query": "birds sing"}]
JUDGED = [
    {"query-id": "q1", "corpus-id": "d1", "score": 1},
    {"query-id": "q2", "corpus-id": "d4", "score": 2},
]


class Frame:
    """A table that offers nothing but Arrow's interface, as newer pandas does."""

    def __init__(self, rows):
        self.table = pa.Table.from_pylist(rows)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def hub(rows):
    """A Hub data set, by its shape: features, a table, and an index of the rows chosen."""
    turned = pa.Table.from_pylist(rows[::-1])
    chosen = pa.table({"indices": pa.array(range(len(rows) - 1, -1, -1), pa.uint64())})
    return types.SimpleNamespace(
        features={}, data=types.SimpleNamespace(table=turned), _indices=chosen
    )


KINDS = {
    "rows": lambda rows: rows,
    "generator": lambda rows: (row for row in rows),
    "columns": lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
    "arrow": pa.Table.from_pylist,
    "batch": lambda rows: pa.RecordBatch.from_pylist(rows),
    "chunks": lambda rows: pa.concat_tables([pa.Table.from_pylist([row]) for row in rows]),
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "arrow's interface": Frame,
    "hub": hub,
}


def collected(workspace, documents=DOCS, queries=ASKED, qrels=JUDGED, **more):
    return rm.collect(
        documents=documents, queries=queries, qrels=qrels, workspace=workspace, **more
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_is_the_same_collection(workspace, kind):
    plain = collected(workspace)
    made = collected(workspace, *(KINDS[kind](rows) for rows in (DOCS, ASKED, JUDGED)))
    assert made.artifact.root_hash == plain.artifact.root_hash
    assert made.corpus.texts(range(4)) == [
        "Cats Cats sleep.",
        "Dogs bark at cats.",
        "Ünï naïve 文 text",
        "Birds Birds sing.",
    ]
    assert made.queries.query_ids(range(2)) == ["q1", "q2"]
    assert made.splits == ["all"] or tuple(made.splits) == ("all",)


def test_mappings_from_ids_and_splits(workspace):
    made = rm.collect(
        documents={d["_id"]: {"title": d["title"], "text": d["text"]} for d in DOCS},
        queries={q["query-id"]: q["query"] for q in ASKED},
        qrels={"q1": {"d1": 1}, "q2": {"d4": 2}},
        workspace=workspace,
    )
    assert made.artifact.root_hash == collected(workspace).artifact.root_hash
    two = collected(workspace, qrels={"train": JUDGED[:1], "test": pl.DataFrame(JUDGED[1:])})
    assert sorted(two.splits) == ["test", "train"]


def test_other_content_is_another_collection(workspace):
    first = collected(workspace)
    moved = [DOCS[0] | {"title": "Cat", "text": "sCats sleep."}, *DOCS[1:]]
    assert collected(workspace, moved).corpus.artifact.fingerprint != (
        first.corpus.artifact.fingerprint
    )
    turned = collected(workspace, DOCS[::-1])
    assert turned.corpus.artifact.fingerprint != first.corpus.artifact.fingerprint


@pytest.mark.parametrize(
    ("documents", "queries", "qrels", "kind", "message"),
    [
        (5, ASKED, JUDGED, UsageError, "documents: an int is no table"),
        ("d1", ASKED, JUDGED, UsageError, "a text says where to read"),
        ([5], ASKED, JUDGED, BadInput, "documents, row 1"),
        ([{"_id": "d1"}], ASKED, JUDGED, BadInput, "no column 'text'"),
        ([{"text": "x"}], ASKED, JUDGED, BadInput, "no column 'doc_id'"),
        ([{"_id": "d1", "text": 1.5}], ASKED, JUDGED, BadInput, "not text"),
        ([{"_id": "d1", "text": None}], ASKED, JUDGED, BadInput, "text"),
        ([{"_id": None, "text": "x"}], ASKED, JUDGED, BadInput, "null"),
        (
            [{"_id": "d1", "text": "x"}, {"_id": 2.5, "text": "x"}],
            ASKED,
            JUDGED,
            BadInput,
            "one type",
        ),
        ({"id": ["d1"], "text": ["x", "y"]}, ASKED, JUDGED, BadInput, "several lengths"),
        (DOCS, None, JUDGED, UsageError, "qrels without queries"),
        (DOCS, ASKED, [{"query-id": "q1", "corpus-id": "d1", "score": 0.5}], BadInput, "0.5"),
        (DOCS, ASKED, [{"query-id": "q1", "corpus-id": "no", "score": 1}], BadInput, "no"),
        (DOCS, ASKED, [{"query-id": "q1", "score": 1}], BadInput, "doc_id"),
        (None, ASKED, JUDGED, UsageError, "beir:PATH, or tables"),
    ],
)
def test_what_is_no_collection_is_refused_by_argument(
    workspace, documents, queries, qrels, kind, message
):
    with pytest.raises(kind, match=message):
        collected(workspace, documents, queries, qrels)
    assert not workspace.root.exists()


def test_a_hub_data_set_of_one_split_is_that_split(workspace):
    plain = collected(workspace)
    assert (
        collected(workspace, {"corpus": hub(DOCS)}).artifact.root_hash == plain.artifact.root_hash
    )
    with pytest.raises(
        UsageError, match="of the splits train, test[\\s\\S]*documents=data.'train'"
    ):
        collected(workspace, {"train": hub(DOCS), "test": hub(DOCS)})


def test_a_text_and_tables_together_are_refused(workspace):
    with pytest.raises(UsageError, match="one of them"):
        rm.collect("beir:x", documents=DOCS, workspace=workspace)


# ---- out ---------------------------------------------------------------------------------------


def test_bm25_alone_and_its_rows_as_tables(workspace):
    held = collected(workspace)
    run = rm.mine("bm25", held, split="all", depth=2)
    table = run.to_arrow()
    assert table.column_names == ["query_id", "query_text", "doc_id", "score"]
    assert table["query_id"].to_pylist() == ["q1", "q2"]
    assert table["doc_id"].to_pylist()[1] == ["d4"]
    assert run.to_polars()["query_id"].to_list() == ["q1", "q2"]
    rows = list(run)
    assert [row["query_id"] for row in rows] == ["q1", "q2"]
    assert rows[1]["doc_id"] == ["d4"]
    html = run._repr_html_()
    assert "Run bm25(k1=0.9,b=0.4)" in html
    assert "q1" in html
    assert "<table" in html
    assert held.corpus.artifact.to_arrow()["doc_id"].to_pylist() == ["d1", "d2", "d3", "d4"]


def test_rows_need_what_shows_them(workspace):
    """Artifacts stand below collections: without the face nothing resolves ordinals."""
    run = rm.mine("bm25", collected(workspace), split="all", depth=2)
    code = f"""
from rankmill.mining.store import open_artifact
try:
    open_artifact({str(run.path)!r}).to_polars()
except Exception as error:
    print(error)
import rankmill as rm
rm.mine
print(open_artifact({str(run.path)!r}).to_polars()["query_id"].to_list())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nothing is loaded that shows the rows" in said.stdout
    assert "import rankmill.api first" in said.stdout
    assert said.stdout.endswith("['q1', 'q2']\n")


def test_to_pandas_without_pandas_says_what_to_install(workspace):
    held = collected(workspace)
    try:
        import pandas  # type: ignore[import-untyped]
    except ImportError:
        with pytest.raises(rm.RankmillError, match="pandas"):
            held.corpus.artifact.to_pandas()
    else:
        assert isinstance(held.corpus.artifact.to_pandas(), pandas.DataFrame)


# ---- statistics alone --------------------------------------------------------------------------


def entropy(p):
    return -(p * math.log2(p) + (1 - p) * math.log2(1 - p))


def test_statistics_of_ones_own_lists(workspace):
    found = rm.pair_entropy([[2.0, 0.0], [1.0, 1.0]])
    sure = 1 / (1 + math.exp(-2.0))  # docs/quantities.md: of logits, p = σ(ln σ(2) − ln σ(0))
    bits = entropy(sure / (sure + 0.5))
    assert found["pair_entropy(T=1)"].to_list() == pytest.approx([bits, 1.0])
    table = pl.DataFrame(
        {"query_id": ["a", "b", "a", "b"], "doc_id": ["x", "x", "y", "y"], "score": [2.0, 1, 0, 1]}
    )
    flat = rm.pair_entropy(table)
    assert flat["query_id"].to_list() == ["a", "b"]
    assert flat["pair_entropy(T=1)"].to_list() == pytest.approx([bits, 1.0])
    softer = rm.pair_entropy(table, T=2)
    assert softer.columns == ["query_id", "pair_entropy(T=2)"]
    as_stored = rm.pair_entropy([[0.0, -2.0]], kind="log-prob")
    assert as_stored["pair_entropy(T=1)"].to_list() == pytest.approx([entropy(sure)])
    three = rm.measure_scores(table, ["pair_entropy", "list_entropy", "effective_size(T=2)"])
    assert len(three.columns) == 4
    assert three["list_entropy(T=1)"].to_list()[1] == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[1.0, float("nan")]], "finite"),
        ([[1.0, None]], "finite"),
        ({"query_id": ["a"], "score": ["x"]}, "number"),
        ({"query_id": ["a"]}, "score"),
        (5, "no table"),
        ({"query_id": ["a", None], "score": [1.0, 2.0]}, "'query_id' is null"),
        ({"query_id": [1.0], "score": [1.0]}, "'query_id' is of type double"),
        ({"query_id": ["a"], "score": [True]}, "of type bool holds no numbers"),
        ({"query_id": ["a"], "scores": [None]}, "number|null"),
        ({"query_id": ["a", "b"], "scores": [[1.0], None]}, r"a list is null\n.*list 2"),
        ({"query_id": ["a"], "score": [1.0], "similarity": [2.0]}, "several columns may be"),
        ({"query_id": ["a"], "score": [1e39]}, r"1e\+39, not a finite number of float32"),
        (pa.table([["a"], [1.0], [2.0]], names=["query_id", "score", "score"]), "stands twice"),
    ],
)
def test_lists_that_are_no_scores_are_refused(table, message):
    with pytest.raises(rm.RankmillError, match=message):
        rm.pair_entropy(table)


def test_tables_of_scores_of_any_type():
    expected = rm.pair_entropy({"query_id": ["a", "a"], "score": [2.0, 0.0]})
    frame = pl.DataFrame({"query_id": ["a", "a"], "score": [2.0, 0.0]})
    lists = pl.DataFrame({"query_id": ["a"], "scores": [[2.0, 0.0]]})
    for given in (
        frame.cast({"query_id": pl.Categorical}),
        lists.cast({"scores": pl.Array(pl.Float32, 2)}),
        frame.rename({"score": "logit"}),
        frame.with_columns(logit=pl.col("score"), score=pl.lit(7.0)),  # the kind's name decides
    ):
        assert rm.pair_entropy(given).equals(expected)


@pytest.mark.parametrize(("kind", "score"), [("probability", 1.5), ("log-prob", 0.5)])
def test_scores_are_of_the_kind_that_is_said(kind, score):
    with pytest.raises(BadInput, match=f"{score} is no {kind}"):
        rm.pair_entropy([[score, -0.0]], kind=kind)


def test_a_mark_that_is_null_is_no_negative():
    table = {"query_id": ["a", "a"], "score": [1.0, 2.0], "positive": [True, None]}
    with pytest.raises(BadInput, match="'positive' is null"):
        rm.measure_scores(table, ["teacher_agrees"])


def test_positives_of_lists_are_lists():
    flat = {"query_id": ["a", "a", "b", "b"], "score": [1.0, 2.0, 3.0, 0.0]}
    marks = [True, False, True, False]
    lists = {"query_id": ["a", "b"], "scores": [[1.0, 2.0], [3.0, 0.0]]}
    expected = rm.misorder(flat | {"positive": marks})
    assert rm.misorder(lists | {"positive": [marks[:2], marks[2:]]}).equals(expected)
    with pytest.raises(BadInput, match=r"2 scores and 1 in 'positive'(.|\n)*list 2"):
        rm.misorder(lists | {"positive": [[1, 0], [1]]})
    with pytest.raises(BadInput, match="'positive' holds no lists"):
        rm.misorder(lists | {"positive": [1, 0]})
    with pytest.raises(BadInput, match="'positive' is null"):
        rm.misorder(lists | {"positive": [[1, 0], [1, None]]})
