from __future__ import annotations

import gzip
import json
from collections import namedtuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect, python_docs
from rankmill.mining.collection.python_docs import (
    Entry,
    PythonDocsReader,
    docstrings_of,
    split_first_paragraph,
)
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Workspace


@pytest.fixture
def tiny(tmp_path):
    return tiny_beir(tmp_path / "tiny")


@pytest.fixture
def beir(workspace, tiny):
    return collect(workspace, f"beir:{tiny}")


def objects(path):
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    return [json.loads(line) for line in lines]


def judged(path):
    return [line.split("\t") for line in path.read_text().splitlines()[1:]]


def same_content(one, other):
    assert one.corpus.part(0).equals(other.corpus.part(0))
    assert one.queries.part(0).equals(other.queries.part(0))
    assert one.splits == other.splits
    for split in one.splits:
        for name in ("query", "doc", "grade"):
            mine, theirs = getattr(one.qrels(split), name), getattr(other.qrels(split), name)
            assert mine.tolist() == theirs.tolist()


def test_jsonl_holds_what_beir_holds(workspace, beir, tiny):
    folder = tiny.with_name("jsonl")
    (folder / "qrels").mkdir(parents=True)
    (folder / "documents.jsonl").write_bytes((tiny / "corpus.jsonl").read_bytes())
    with gzip.open(folder / "queries.jsonl.gz", "wb") as out:
        out.write((tiny / "queries.jsonl").read_bytes())
    for split in ("train", "test"):
        with open(folder / "qrels" / f"{split}.jsonl", "w") as out:
            for query_id, doc_id, grade in judged(tiny / "qrels" / f"{split}.tsv"):
                row = {"query_id": query_id, "doc_id": doc_id, "relevance": int(grade)}
                out.write(json.dumps(row) + "\n")
    same_content(collect(workspace, f"jsonl:{folder}"), beir)


def test_parquet_holds_what_beir_holds(workspace, beir, tiny):
    folder = tiny.with_name("parquet")
    (folder / "qrels").mkdir(parents=True)
    documents = objects(tiny / "corpus.jsonl")
    for row in documents:
        row["title"] = row["title"] or None
        row["unused"] = {"nested": [1]}
    pq.write_table(pa.Table.from_pylist(documents), folder / "documents.parquet")
    queries = pa.Table.from_pylist(objects(tiny / "queries.jsonl"))
    pq.write_table(queries.rename_columns(["query_id", "text"]), folder / "queries.parquet")
    for split in ("train", "test"):
        rows = judged(tiny / "qrels" / f"{split}.tsv")
        columns = {
            "query_id": [row[0] for row in rows],
            "doc_id": [row[1] for row in rows],
            "grade": pa.array([int(row[2]) for row in rows], pa.int8()),
        }
        pq.write_table(pa.table(columns), folder / "qrels" / f"{split}.parquet")
    same_content(collect(workspace, f"parquet:{folder}"), beir)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tsv_with_and_without_a_header(workspace, tmp_path, header, end):
    lines = {
        "documents.tsv": ["doc_id\ttitle\ttext", "d1\tA title\tsome text", "d 2\t\t שלום 🦉 "],
        "queries.tsv": ["query_id\ttext", "q1\tone"],
        "qrels.tsv": ["query-id\tcorpus-id\tscore", "q1\td 2\t3"],
    }
    for name, rows in lines.items():
        (tmp_path / name).write_bytes("".join(r + end for r in rows[not header :]).encode())
    found = collect(workspace, f"tsv:{tmp_path}")
    assert found.corpus.doc_ids([0, 1]) == ["d1", "d 2"]
    assert found.corpus.texts([0, 1]) == ["A title some text", " שלום 🦉 "]
    assert found.queries.text(0) == "one"
    assert found.splits == ("all",)
    assert found.qrels("all").of(0)[1].tolist() == [3]


def test_one_file_of_documents_is_a_corpus(workspace, tmp_path):
    path = tmp_path / "passages.tsv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf7\tfirst\n8\tsecond\n"))
    found = collect(workspace, f"tsv:{path}")
    assert found.corpus.doc_ids([0, 1]) == ["7", "8"]
    assert found.splits == ()


def test_trec_qrels_have_four_columns(workspace, tmp_path):
    (tmp_path / "documents.tsv").write_text("d1\tx\nd2\ty\n")
    (tmp_path / "queries.tsv").write_text("q1\tx\n")
    (tmp_path / "qrels.tsv").write_text("q1 0 d2 1\nq1 0  d1 0\n")
    found = collect(workspace, f"tsv:{tmp_path}")
    assert found.qrels("all").grade.tolist() == [0, 1]


# ---- ir_datasets -------------------------------------------------------------------------------


@pytest.fixture
def registered(tiny, monkeypatch):
    """Register the tiny folder with ir_datasets, by the library's own local-file constructors."""
    import ir_datasets
    from ir_datasets.formats import JsonlDocs, JsonlQueries, TrecQrels
    from ir_datasets.util import LocalDownload

    documents = [{"doc_id": r["_id"], "text": r["text"]} for r in objects(tiny / "corpus.jsonl")]
    with open(tiny / "docs.jsonl", "w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in documents)
    docs = JsonlDocs(LocalDownload(tiny / "docs.jsonl"))
    queries = JsonlQueries(
        LocalDownload(tiny / "queries.jsonl"), mapping={"query_id": "_id", "text": "text"}
    )
    known = dict(ir_datasets.registry._registered)
    monkeypatch.setattr(ir_datasets.registry, "_registered", known)
    ir_datasets.registry.register("tiny", ir_datasets.Dataset(docs, queries))
    for split in ("train", "test"):
        path = tiny / f"{split}.qrels"
        rows = judged(tiny / "qrels" / f"{split}.tsv")
        path.write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in rows))
        data = ir_datasets.Dataset(docs, queries, TrecQrels(LocalDownload(path), {}))
        ir_datasets.registry.register(f"tiny/{split}", data)
    return ir_datasets


@pytest.mark.parametrize("spec", ["ir:tiny", "ir:tiny/train+tiny/test"])
def test_ir_datasets_holds_what_beir_holds(workspace, tiny, registered, spec):
    untitled = collect(workspace, f"beir:{tiny}", title="text")
    same_content(collect(workspace, spec), untitled)


def test_one_id_is_one_split(workspace, registered):
    found = collect(workspace, "ir:tiny/test")
    assert found.splits == ("test",)
    assert len(found.queries) == 40


def test_an_id_is_known_by_its_content(workspace, tiny, registered):
    before = collect(workspace, "ir:tiny/test")
    path = tiny / "docs.jsonl"
    path.write_text(path.read_text().replace('"d7"', '"d7x"'))
    with pytest.raises(BadInput, match="unknown documents: 'd7'"):
        collect(workspace, "ir:tiny/train+tiny/test")
    path.write_text(path.read_text().replace("d7x", "d7") + '{"doc_id": "new", "text": "x"}\n')
    after = collect(workspace, "ir:tiny/test")
    assert len(after.corpus) == 201
    assert after.corpus.artifact.fingerprint != before.corpus.artifact.fingerprint
    assert after.queries.artifact.fingerprint == before.queries.artifact.fingerprint


def test_ir_datasets_files_that_cannot_be_read(workspace, tiny, registered):
    (tiny / "docs.jsonl").write_bytes(b'{"doc_id": "d0", ')
    with pytest.raises(BadInput, match=r"'tiny' cannot be read: JSONDecodeError(.|\n)*~/.ir_datas"):
        collect(workspace, "ir:tiny")
    assert not workspace.root.exists()


def test_ids_with_other_documents_do_not_join(workspace, tiny, registered):
    from ir_datasets.formats import JsonlDocs
    from ir_datasets.util import LocalDownload

    other = registered.Dataset(JsonlDocs(LocalDownload(tiny / "queries.jsonl")))
    registered.registry.register("other", other)
    with pytest.raises(BadInput, match="'other' does not have the documents of 'tiny/test'"):
        collect(workspace, "ir:tiny/test+other")


# ---- python-docs -------------------------------------------------------------------------------

SOURCE = b'''
"""The module's own words
on two lines.

And the rest of what there is to say about it all."""

class Box:
    """Holds things.

    One two three four five six seven eight."""

    def open(self):
        """Open the box and look into it.

        Parameters
        ----------
        none at all, as you can see from here
        """

def bare(): pass
'''


def test_docstrings_come_with_qualified_names_in_file_order():
    found = dict(docstrings_of(SOURCE, "pack.mod"))
    assert list(found) == ["pack.mod", "pack.mod.Box", "pack.mod.Box.open"]
    entry = split_first_paragraph("pack.mod", found["pack.mod"])
    assert entry == Entry(
        "pack.mod",
        "The module's own words on two lines.",
        "And the rest of what there is to say about it all.",
    )


@pytest.mark.parametrize(
    ("docstring", "reason"),
    [
        ("Only one paragraph here.", "short_rest"),
        ("A good query indeed.\n\nToo short a rest.", "short_rest"),
        ("Too short.\n\n" + "word " * 9, "unusable_first_paragraph"),
        (".. note:: a directive first\n\n" + "word " * 9, "unusable_first_paragraph"),
        ("f(x, y, out=None) -> array\n\n" + "word " * 9, "signature"),
        (
            "Add two numbers.\n\nThis will add two\nnumbers. And so on and on.",
            "query_repeated_in_rest",
        ),
    ],
)
def test_what_is_not_usable_has_a_reason(docstring, reason):
    assert split_first_paragraph("x", docstring) == reason


def test_python_docs_is_large_enough_and_its_splits_are_disjoint(tmp_path):
    found = collect(Workspace(tmp_path / "work"), "python-docs")
    assert len(found.corpus) >= 15_000
    assert len(found.queries) >= 5_000
    sizes = {split: len(found.split_queries(split)) for split in found.splits}
    assert sizes == python_docs.SPLITS
    asked = [q for split in found.splits for q in found.split_queries(split).tolist()]
    assert len(set(asked)) == len(asked)
    for split in found.splits:
        qrels = found.qrels(split)
        ids = zip(
            found.queries.query_ids(qrels.query), found.corpus.doc_ids(qrels.doc), strict=True
        )
        assert all(query_id == f"q:{doc_id}" for query_id, doc_id in ids)
    texts = found.corpus.texts(found.qrels("test").doc)
    for query, text in zip(found.queries.texts(found.split_queries("test")), texts, strict=True):
        assert query.casefold() not in " ".join(text.split()).casefold()
    assert not any(i.startswith("networkx") for i in found.corpus.doc_ids(range(len(found.corpus))))
    assert found.corpus.artifact.counts["short_rest"] > 0


def test_the_package_kept_out_is_a_collection_of_its_own(workspace):
    found = collect(workspace, "python-docs:held-out")
    assert found.splits == ("test",)
    assert len(found.split_queries("test")) >= 300
    assert len(found.corpus) >= 1_000
    ids = found.corpus.doc_ids(range(len(found.corpus)))
    assert all(i.startswith("networkx") for i in ids)


def test_unknown_variant_and_missing_package_are_refused(workspace, monkeypatch):
    with pytest.raises(UsageError, match=r"no python-docs:heldout(.|\n)*held-out"):
        collect(workspace, "python-docs:heldout")
    monkeypatch.setattr(python_docs, "HELD_OUT", "not_installed_here")
    with pytest.raises(BadInput, match=r"not_installed_here, which is not installed(.|\n)*pip"):
        PythonDocsReader("held-out").facts()


# ---- ir_datasets: documents and queries of any type ----------------------------------------------


def register(monkeypatch, doc, query=None, qrel=None):
    """Register a data set of one document and one query of any types, as ir_datasets holds them."""
    import ir_datasets
    from ir_datasets.formats import BaseDocs, BaseQrels, BaseQueries, GenericQuery, TrecQrel

    class Docs(BaseDocs):
        docs_iter = lambda self: iter([doc])  # noqa: E731
        docs_cls = lambda self: type(doc)  # noqa: E731
        docs_count = lambda self: 1  # noqa: E731

    class Queries(BaseQueries):
        queries_iter = lambda self: iter([query or GenericQuery("q1", "red fox")])  # noqa: E731

    class Qrels(BaseQrels):
        qrels_iter = lambda self: iter([qrel or TrecQrel("q1", "1", 1, "0")])  # noqa: E731
        qrels_defs = lambda self: {}  # noqa: E731

    known = dict(ir_datasets.registry._registered)
    monkeypatch.setattr(ir_datasets.registry, "_registered", known)
    ir_datasets.registry.register("odd", ir_datasets.Dataset(Docs(), Queries(), Qrels()))


Section = namedtuple("Section", ["title", "text"])


@pytest.mark.parametrize(
    ("values", "fields", "text"),
    [
        ({"title": ["A", "B"], "text": "red fox"}, None, "A B red fox"),
        ({"title": None, "body": "red fox"}, None, "red fox"),
        ({"title": "A", "abstract": None}, None, "A"),
        ({"body": "red"}, None, "red"),
        ({"headline": "h", "lead": "l", "year": 1999}, "headline,lead,year", "h l 1999"),
        ({"title": "A", "body": "b", "url": "u"}, "title, body, url", "A b u"),
        ({"title": "A", "body": "b", "url": "u"}, "url", "u"),
        ({"title": "A", "text": "b", "keys": ("x", "y")}, "keys,text", "x y b"),
        ({"title": "A", "body": (Section("s", "t"), Section("", "v"))}, None, "A s t v"),
    ],
)
def test_documents_of_any_type(workspace, monkeypatch, values, fields, text):
    doc = namedtuple("Doc", ["doc_id", *values])("1", *values.values())
    register(monkeypatch, doc)
    assert collect(workspace, "ir:odd", fields=fields).corpus.text(0) == text


@pytest.mark.parametrize(
    ("values", "fields", "said"),
    [
        ({"headline": "h"}, None, r"fields are doc_id, headline(.|\n)*--fields headline"),
        ({"title": "A", "body": {"a": 1}}, None, r"'body' is a dict(.|\n)*document 1(.|\n)*title"),
        ({"title": [1], "text": "x"}, None, "'title' is a list"),
        ({"text": "x"}, "txt", r"no field 'txt'(.|\n)*did you mean text"),
    ],
)
def test_documents_that_are_refused(workspace, monkeypatch, values, fields, said):
    doc = namedtuple("Doc", ["doc_id", *values])("1", *values.values())
    register(monkeypatch, doc)
    with pytest.raises(BadInput, match=said):
        collect(workspace, "ir:odd", fields=fields)
    assert not workspace.root.exists()


class NoText(namedtuple("NoText", ["query_id", "text"])):
    def default_text(self):
        return self.text


@pytest.mark.parametrize("query", [NoText("q1", None), namedtuple("Q", ["query_id"])("q1")])
def test_queries_without_text_are_refused(workspace, monkeypatch, query):
    register(monkeypatch, namedtuple("Doc", ["doc_id", "body"])("1", "x"), query)
    with pytest.raises(BadInput, match="no text for query 'q1'|queries without a text"):
        collect(workspace, "ir:odd")


HALF = "\ud83d"
ODD_IDS = [
    ("doc", None, "'doc_id' is null, neither text nor a whole number(.|\n)*document 1"),
    ("doc", 1.0, "'doc_id' is 1.0, neither"),
    ("doc", True, "'doc_id' is true, neither"),
    ("doc", ["1"], "neither text nor"),
    ("doc", HALF, "half a character(.|\n)*document 1"),
    ("doc", "", "the id is empty(.|\n)*document 1"),
    ("query", None, "'query_id' is null(.|\n)*query 1"),
    ("query", 2.5, "'query_id' is 2.5(.|\n)*query 1"),
    ("qrel", None, "'query_id' is null(.|\n)*judgement 1"),
    ("qrel", HALF, "half a character(.|\n)*judgement 1"),
]


@pytest.mark.parametrize(("of", "value", "said"), ODD_IDS)
def test_an_id_that_is_none_is_not_read_as_its_name(workspace, monkeypatch, of, value, said):
    """`str(None)` would be a document called None."""
    doc = namedtuple("Doc", ["doc_id", "body"])(value if of == "doc" else "1", "x")
    query = namedtuple("Q", ["query_id", "text"])(value if of == "query" else "q1", "x")
    qrel = namedtuple("J", ["query_id", "doc_id", "relevance"])(
        value if of == "qrel" else "q1", "1", 1
    )
    register(monkeypatch, doc, query, qrel)
    with pytest.raises(BadInput, match=said):
        collect(workspace, "ir:odd")
    assert not workspace.root.exists()


def test_whole_numbers_of_numpy_are_ids_and_grades(workspace, monkeypatch):
    doc = namedtuple("Doc", ["doc_id", "body"])(np.int64(7), "x")
    qrel = namedtuple("J", ["query_id", "doc_id", "relevance"])("q1", np.int32(7), np.int64(2))
    register(monkeypatch, doc, qrel=qrel)
    found = collect(workspace, "ir:odd")
    assert (found.corpus.doc_id(0), found.qrels("all").grade.tolist()) == ("7", [2])


class Failing(namedtuple("Failing", ["doc_id", "parts"])):
    def default_text(self):
        return " ".join([self.parts])


@pytest.mark.parametrize("of", ["doc", "text", "query", "qrel"])
def test_rows_that_the_library_does_not_fill_are_refused(workspace, monkeypatch, of):
    """An attribute that is missing, or a text that cannot be made: of the data, no bug."""
    doc = namedtuple("Doc", ["doc_id", "body"])("1", "x")
    odd = namedtuple("Odd", ["text"])("x")
    rows = {"doc": (odd, None, None), "text": (Failing("1", None), None, None)}
    rows |= {"query": (doc, odd, None), "qrel": (doc, None, odd)}
    register(monkeypatch, *rows[of])
    with pytest.raises(BadInput, match="'odd' cannot be read: (Attribute|Type)Error"):
        collect(workspace, "ir:odd")


def test_two_ids_of_one_split_are_refused(workspace, registered):
    data = registered.load("tiny/train")
    for name in ("tiny/a-b", "tiny/a/b"):
        registered.registry.register(name, data)
    with pytest.raises(BadInput, match=r"would be the split 'a-b', and so would 'tiny/a-b'"):
        collect(workspace, "ir:tiny/a-b+tiny/a/b")


@pytest.mark.parametrize("field", ["text", "query", "question"])
def test_queries_whose_type_has_no_default_text(workspace, monkeypatch, field):
    """As BRIGHT's, whose `default_text` the library left out."""
    query = namedtuple("Q", ["query_id", field, "reasoning"])("q1", "red fox", "thoughts")
    register(monkeypatch, namedtuple("Doc", ["doc_id", "body"])("1", "x"), query)
    assert collect(workspace, "ir:odd").queries.texts([0]) == ["red fox"]


def test_the_queries_of_bright(workspace, monkeypatch):
    from ir_datasets.datasets.bright import BrightQuery

    query = BrightQuery("q1", "red fox", *[""] * (len(BrightQuery._fields) - 2))
    register(monkeypatch, namedtuple("Doc", ["doc_id", "body"])("1", "x"), query)
    assert collect(workspace, "ir:odd").queries.texts([0]) == ["red fox"]


MADE_OF = [
    ({"title": "a", "body": "b", "url": "c"}, "title,body,url", "a b c"),
    ({"title": "a", "body": "b", "url": "c"}, "url,body", "c b"),
    ({"title": "a", "Body": "b", "url": ""}, "body,url", "b"),
    ({"title": "a", "body": None, "url": "c"}, "title,body,url", "a c"),
    ({"title": "a", "body": ["b", "c"]}, "title,body", "a b c"),
    ({"title": 5, "body": 7}, "title,body", "5 7"),
    ({"title": "a", "text": "never"}, "title", "a"),
]


@pytest.mark.parametrize(("row", "fields", "text"), MADE_OF)
@pytest.mark.parametrize("kind", ["jsonl", "parquet", "beir"])
def test_fields_name_what_a_text_is_made_of(workspace, tmp_path, kind, row, fields, text):
    rows = [{"_id": str(n), **row} for n in range(3)]
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "corpus.parquet")
    else:
        (tmp_path / "corpus.jsonl").write_text(lines)
    found = collect(workspace, f"{kind}:{tmp_path}", fields=fields)
    assert found.corpus.texts(range(3)) == [text] * 3
    if "text" in row or "body" in row:
        (tmp_path / "corpus.jsonl").write_text(" " + lines)  # read line by line
        again = collect(workspace, f"jsonl:{tmp_path}", fields=fields)
        assert again.corpus.texts(range(3)) == [text] * 3


def test_fields_are_a_part_of_the_identity(workspace, tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "a", "body": "b"}\n')
    prints = {
        collect(workspace, f"jsonl:{tmp_path}", fields=one).corpus.artifact.fingerprint
        for one in (None, "text", "text,body", "body,text")
    }
    assert len(prints) == 4


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_fields_that_are_not_there(workspace, tmp_path, kind):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "body": "b", "x": {"y": 1}}\n')
    table = pa.table({"_id": ["1"], "body": ["b"], "x": [{"y": 1}]})
    pq.write_table(table, tmp_path / "corpus.parquet")
    with pytest.raises(BadInput, match=r"no field 'bdy'(.|\n)*did you mean body"):
        collect(workspace, f"{kind}:{tmp_path}", fields="body,bdy")
    with pytest.raises(BadInput, match="'x' is"):
        collect(workspace, f"{kind}:{tmp_path}", fields="body,x")


def test_what_has_no_fields_says_so(workspace, tmp_path):
    (tmp_path / "documents.tsv").write_text("id\ttext\n1\ta\n")
    with pytest.raises(UsageError, match="tab-separated files have none"):
        collect(workspace, f"tsv:{tmp_path}", fields="text")
    with pytest.raises(UsageError, match="no fields to choose"):
        collect(workspace, "python-docs", fields="title")
