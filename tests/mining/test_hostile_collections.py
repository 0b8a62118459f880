"""Collections as people have them: each small input has the values it stands for, or a refusal.

The right values are written down from what the format's own writers and readers mean, not from what
rankmill reads.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracles.odd_rows import kept_judgements, kept_rows

from rankmill.mining.collection import Collection, Tables, collect
from rankmill.mining.collection.lines import read_lines
from rankmill.mining.collection.overview import overview_of
from rankmill.mining.collection.policies import KINDS
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Workspace
from rankmill.mining.text.scripts import scripts_of

Files = Mapping[str, bytes | str]

DOCS = [{"_id": str(n), "title": "", "text": f"word{n} common"} for n in range(1, 9)]
QUERIES = [{"_id": str(n), "text": f"word{n}"} for n in range(1, 5)]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def folder(place: Path, files: Files) -> Path:
    """Write a BEIR folder of 8 documents and 4 queries, and the files given, which come first."""
    whole = {"corpus.jsonl": lines(DOCS), "queries.jsonl": lines(QUERIES), **files}
    for name, data in whole.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return place


def judged(found: Collection, split: str = "test") -> list[tuple[str, str, int]]:
    qrels = found.qrels(split)
    queries = found.queries.ids(qrels.query)
    return list(zip(queries, found.corpus.ids(qrels.doc), qrels.grade.tolist(), strict=True))


def texts(found: Collection) -> dict[str, str]:
    rows = range(len(found.corpus))
    return dict(zip(found.corpus.ids(rows), found.corpus.texts(rows), strict=True))


def csv_written(rows: Sequence[list[Any]], quoting: int = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


ONE_TWO = [("1", "5", 1), ("2", "6", 2)]
SHUFFLED = "query-id\tscore\tcorpus-id\n1\t1\t5\n2\t2\t6\n"

QRELS = {
    "plain": "query-id\tcorpus-id\tscore\n1\t5\t1\n2\t6\t2\n",
    "no header": "1\t5\t1\n2\t6\t2\n",
    "header order": SHUFFLED,
    "document first": "corpus-id\tquery-id\tscore\n5\t1\t1\n6\t2\t2\n",
    "grade first": "score\tquery_id\tdoc_id\n1\t1\t5\n2\t2\t6\n",
    "capitals": "Query-ID\tCorpus-ID\tScore\n1\t5\t1\n2\t6\t2\n",
    "blanks in names": "query id\tcorpus id\trelevance score\n1\t5\t1\n2\t6\t2\n",
    "pandas names": "qid\tdocno\tlabel\n1\t5\t1\n2\t6\t2\n",
    "pid": "qid\tpid\trel\n1\t5\t1\n2\t6\t2\n",
    "four columns with a header": "qid\titeration\tdoc_id\trelevance\n1\t0\t5\t1\n2\t0\t6\t2\n",
    "five columns with a header": "n\tqid\tdocid\trating\tnote\n0\t1\t5\t1\tx\n1\t2\t6\t2\ty\n",
    "quoted header": '"query-id"\t"corpus-id"\t"score"\n"1"\t"5"\t"1"\n"2"\t"6"\t"2"\n',
    "header by blanks": "query-id corpus-id score\n1 5 1\n2 6 2\n",
    "trec": "1 0 5 1\n2 0 6 2\n",
    "trec tabs": "1\t0\t5\t1\n2\tQ0\t6\t2\n",
    "trec mixed": "1\t0 5 1\n2 0\t6\t2\n",
    "trec mixed the other way": "1 0\t5\t1\n2\t0 6 2\n",
    "trec last two by a blank": "1\t0\t5 1\n2\t0\t6 2\n",
    "several blanks": "1   5    1\n2 \t 6 2\n",
    "leading blanks": "  1 0 5 1\n  2 0 6 2\n",
    "trailing tab": "1\t5\t1\t\n2\t6\t2\t\n",
    "first line of blanks": "   \n1\t5\t1\n2\t6\t2\n",
    "blank lines between": "\n1\t5\t1\n \t \n\n2\t6\t2\n\n",
    "header after a blank line": "\n" + SHUFFLED,
    "no last line end": "1\t5\t1\n2\t6\t2",
    "carriage returns": "query-id\tcorpus-id\tscore\r\n1\t5\t1\r\n2\t6\t2\r\n",
    "byte order mark": "\ufeffquery-id\tscore\tcorpus-id\n1\t1\t5\n2\t2\t6\n",
    "whole floats": "1\t5\t1.0\n2\t6\t2.00\n",
    "exponents": "1\t5\t1e0\n2\t6\t+2\n",
    "twice the same": "1\t5\t1\n2\t6\t2\n1\t5\t1\n",
    "twice, once as a float": "1\t5\t1\n2\t6\t2\n1\t5\t1.0\n",
}


@pytest.mark.parametrize("said", QRELS.values(), ids=QRELS)
def test_judgements_say_what_their_columns_say(
    workspace: Workspace, tmp_path: Path, said: str
) -> None:
    found = collect(workspace, f"beir:{folder(tmp_path, {'qrels/test.tsv': said})}")
    assert judged(found) == ONE_TWO


@pytest.mark.parametrize("row", ['"1"\t"5"\t"1"', '"1"\t"5"\t1', "1\t5\t1"])
def test_one_judgement_under_a_header_in_marks(
    workspace: Workspace, tmp_path: Path, row: str
) -> None:
    said = f'"query-id"\t"corpus-id"\t"score"\n{row}\n'
    found = collect(workspace, f"beir:{folder(tmp_path, {'qrels/test.tsv': said})}")
    assert judged(found) == ONE_TWO[:1]


NAMES = {
    "txt": ("test.txt", str.encode),
    "qrels": ("test.qrels", str.encode),
    "capitals": ("test.TSV", str.encode),
    "gzip": ("test.tsv.gz", lambda s: gzip.compress(s.encode())),
    "bzip2": ("test.tsv.bz2", lambda s: bz2.compress(s.encode())),
    "zstd": ("test.tsv.zst", lambda s: pa.compress(s.encode(), "zstd", asbytes=True)),
    "xz": ("test.tsv.xz", lambda s: lzma.compress(s.encode())),
    "gzip without the ending": ("test.tsv", lambda s: gzip.compress(s.encode())),
    "jsonl": (
        "test.jsonl",
        lambda s: lines(
            [
                {"query-id": "1", "corpus-id": "5", "score": 1},
                {"query-id": 2, "corpus-id": 6, "score": 2.0},
            ]
        ),
    ),
}


@pytest.mark.parametrize(("name", "packed"), NAMES.values(), ids=NAMES)
def test_judgements_in_any_file(
    workspace: Workspace, tmp_path: Path, name: str, packed: Any
) -> None:
    place = folder(tmp_path, {f"qrels/{name}": packed(SHUFFLED), "qrels/.test.tsv.swp": b"\0"})
    assert judged(collect(workspace, f"beir:{place}")) == ONE_TWO


IDS = ['"Heroes"_album', "plain", 'a"b', '"', '""', "d, e", " f "]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_ids_that_csv_quoted(workspace: Workspace, tmp_path: Path, quoting: int) -> None:
    header: list[Any] = ["query-id", "corpus-id", "score"]
    rows = [header, *([n % 4 + 1, i, 1] for n, i in enumerate(IDS))]
    documents = lines([{"_id": i, "text": "x"} for i in IDS])
    files: Files = {"corpus.jsonl": documents, "qrels/test.tsv": csv_written(rows, quoting)}
    found = collect(workspace, f"beir:{folder(tmp_path, files)}")
    assert {d for _, d, _ in judged(found)} == set(IDS)


def test_marks_that_csv_did_not_write_are_part_of_an_id(
    workspace: Workspace, tmp_path: Path
) -> None:
    documents = lines([{"_id": i, "text": "x"} for i in ('"Heroes"_album', '"low"', "plain")])
    said = '1\t"Heroes"_album\t1\n2\t"low"\t1\n3\tplain\t1\n'
    place = folder(tmp_path, {"corpus.jsonl": documents, "qrels/test.tsv": said})
    assert [d for _, d, _ in judged(collect(workspace, f"beir:{place}"))] == [
        '"Heroes"_album',
        '"low"',
        "plain",
    ]


REFUSED_QRELS = {
    "half a grade": ("1\t5\t0.5\n", ["'0.5' is not a whole number", "line 1"]),
    "unknown header": ("who\twhat\tscore\n1\t5\t1\n", ["looks like a header", "'who'", "line 1"]),
    "header without a grade": ("query-id\tcorpus-id\n1\t5\n", ["no column 'score'", "line 1"]),
    "header with an unknown grade": ("query-id\tcorpus-id\tx\n", ["no column 'score'", "'x'"]),
    "a column twice": ("qid\tdocid\tscore\tscore\n1\t5\t1\t2\n", ["'score' stands twice"]),
    "three and four columns": (
        "1 5 1\n2 0 6 1\n",
        ["4 columns, the lines before have 3", "line 2"],
    ),
    "two grades": ("1\t5\t1\n1\t5\t0\n", ["judged twice", "line 1", "line 2", "conflicting_qrel="]),
    "dangling document": ("1\t5\t1\n2\t99\t1\n", ["unknown documents: '99'", "dangling_qrel=drop"]),
    "dangling query": ("1\t5\t1\n77\t5\t1\n", ["unknown queries: '77'", "dangling_qrel=drop"]),
    "commas": ("1,5,1\n", ["1 columns, expected 3", "line 1"]),
    "a remark": ("# judged by me\n1\t5\t1\n", ["line 1"]),
}


@pytest.mark.parametrize(("said", "patterns"), REFUSED_QRELS.values(), ids=REFUSED_QRELS)
def test_judgements_that_are_refused(
    workspace: Workspace, tmp_path: Path, said: str, patterns: list[str]
) -> None:
    refused(workspace, f"beir:{folder(tmp_path, {'qrels/test.tsv': said})}", patterns)


def refused(workspace: Workspace, spec: str, patterns: list[str], **options: Any) -> None:
    with pytest.raises(BadInput) as caught:
        collect(workspace, spec, **options)
    for pattern in patterns:
        assert pattern in str(caught.value)
    assert not workspace.root.exists()


def test_a_broken_link_beside_judgements_is_called_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    place = folder(tmp_path, {"qrels/test.tsv": "1\t5\t1\n"})
    (place / "qrels" / "dev.tsv").symlink_to(tmp_path / "gone")
    refused(workspace, f"beir:{place}", ["dev.tsv is a link to what is not there"])


@pytest.mark.parametrize(
    "name", ["README.md", "test.csv", "test", "test.tsv~", ".tsv/x", "sub/test.tsv"]
)
def test_other_files_beside_judgements_are_named(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    place = folder(tmp_path, {"qrels/test.tsv": "1\t5\t1\n", f"qrels/{name}": "1\t5\t1\n"})
    if name.startswith("."):
        assert collect(workspace, f"beir:{place}").splits == ("test",)
    else:
        refused(workspace, f"beir:{place}", [name.split("/")[0], "qrels"])


PSGS = csv_written(
    [
        ["id", "text", "title"],
        ["1", 'He said "hi" to me', "Aaron"],
        ["2", "none here", 'The "B" side'],
        ["3", '"all"', '"'],
    ]
)

TABLES = {
    "upper case": ("ID\tText\n1\thello\n2\tfoo\n", {"1": "hello", "2": "foo"}),
    "columns turned": ("text\tid\nhello\t1\nfoo\t2\n", {"1": "hello", "2": "foo"}),
    "document_id": ("document_id\tdocument\n1\thello\n", {"1": "hello"}),
    "more columns": ("pid\turl\tpassage\n1\thttp://x\thello\n", {"1": "hello"}),
    "title last": ("id\ttext\ttitle\n1\tb\ta\n", {"1": "a b"}),
    "mark and carriage returns": ("\ufeffDocID\tBody\r\n1\thello\r\n", {"1": "hello"}),
    "quoted by csv": (
        PSGS,
        {"1": 'Aaron He said "hi" to me', "2": 'The "B" side none here', "3": '" "all"'},
    ),
    "one row under a quoted header": ('"id"\t"text"\n"1"\t"a b"\n', {"1": "a b"}),
    "one row under a plain header": ('id\ttext\n1\t"a b"\n', {"1": '"a b"'}),
    "every text quoted": ('id\ttext\n1\t"a"\n2\t"b c"\n', {"1": "a", "2": "b c"}),
    "marks of the text": ('1\t"a" b\n2\t"c"\n', {"1": '"a" b', "2": '"c"'}),
    "one mark": ('1\t5" disk\n2\t"c"\n', {"1": '5" disk', "2": '"c"'}),
    "two marks only once": ('1\t"c"\n2\tplain\n', {"1": '"c"', "2": "plain"}),
    "documents of MS MARCO": ("D1\thttp://x\tTitle\tBody\n", {"D1": "Title Body"}),
    "a title called title": ("7\ttitle\n", {"7": "title"}),
}


@pytest.mark.parametrize(("said", "right"), TABLES.values(), ids=TABLES)
def test_tables_of_documents(
    workspace: Workspace, tmp_path: Path, said: str, right: dict[str, str]
) -> None:
    path = tmp_path / "documents.tsv"
    path.write_bytes(said.encode())
    assert texts(collect(workspace, f"tsv:{path}")) == right


@pytest.mark.parametrize("odd", [b"", b" "])  # a blank before a line: it is read by itself
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_of_two_spellings_of_a_name_the_usual_one_counts(
    workspace: Workspace, tmp_path: Path, kind: str, odd: bytes
) -> None:
    rows = [{"ID": "x", "Text": "a", "text": "b", "id": "1"}, {"id": "2", "text": "c", "Text": "d"}]
    (tmp_path / "documents.jsonl").write_bytes(odd + lines(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "documents.parquet")
    assert texts(collect(workspace, f"{kind}:{tmp_path}")) == {"1": "b", "2": "c"}


def test_what_to_do_about_a_null_fits_its_column(workspace: Workspace, tmp_path: Path) -> None:
    for row, do in (({"id": None, "text": "b"}, "an id, or"), ({"id": "2"}, "write an empty text")):
        table = pa.Table.from_pylist([{"id": "1", "text": "a"}, row])
        pq.write_table(table, tmp_path / "documents.parquet")
        with pytest.raises(BadInput, match=rf"null here(.|\n)*row 2(.|\n)*{do}"):
            collect(workspace, f"parquet:{tmp_path}")


def test_quoting_is_told_and_can_be_kept(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "psgs.tsv"
    path.write_text(PSGS, newline="")
    told = overview_of(collect(workspace, f"tsv:{path}")).facts["odd"]["corpus"]["quoted_field"]
    assert told == {"count": 4, "first": []}
    kept = collect(workspace, f"tsv:{path}", on=["quoted_field=keep"], title="text")
    assert texts(kept)["1"] == '"He said ""hi"" to me"'


REFUSED_TABLES = {
    "unknown id": ("doc_key\tbody\n1\thello\n", ["looks like a header", "'doc_key'"]),
    "a text's name first": ("document\tabstract\nd1\ta\n", ["looks like a header", "'abstract'"]),
    "a title's name first": ("Title\twords\nd1\ta\n", ["looks like a header", "'Title'"]),
    "unknown text": ("id\twords\n1\thello\n", ["looks like a header", "'words'"]),
    "a column twice": ("id\ttext\ttext\n1\ta\tb\n", ["'text' stands twice"]),
    "too few": ("id\ttext\n1\n", ["1 columns, expected 2", "line 2"]),
    "other text, same id": ("1\ta\n2\tb\n1\tc\n", ["'1'", "line 1", "line 3", "conflicting_row="]),
}


@pytest.mark.parametrize(("said", "patterns"), REFUSED_TABLES.values(), ids=REFUSED_TABLES)
def test_tables_that_are_refused(
    workspace: Workspace, tmp_path: Path, said: str, patterns: list[str]
) -> None:
    path = tmp_path / "documents.tsv"
    path.write_text(said)
    refused(workspace, f"tsv:{path}", patterns)


OBJECTS = {
    "integers": (
        [{"id": 1, "contents": "a"}, {"id": 10**30, "contents": 5}],
        {"1": "a", str(10**30): "5"},
    ),
    "document_id": ([{"document_id": "1", "document": "a"}], {"1": "a"}),
    "capitals": ([{"DocID": "1", "Passage": "a"}], {"1": "a"}),
    "pid beside docid": ([{"docid": "D", "pid": "P", "passage": "a"}], {"P": "a"}),
    "null beside a value": ([{"_id": None, "id": "1", "text": "a"}], {"1": "a"}),
    "null title": ([{"_id": "1", "title": None, "text": "a"}], {"1": "a"}),
    "the same twice": ([DOCS[0], DOCS[1], DOCS[0]], {"1": "word1 common", "2": "word2 common"}),
    "nested fields beside": ([{"_id": "1", "text": "a", "x": {"_id": 2, "y": [1]}}], {"1": "a"}),
}


@pytest.mark.parametrize(("rows", "right"), OBJECTS.values(), ids=OBJECTS)
def test_objects_of_documents(
    workspace: Workspace, tmp_path: Path, rows: list[dict[str, Any]], right: dict[str, str]
) -> None:
    (tmp_path / "documents.jsonl").write_bytes(b"  \n" + lines(rows) + b"\n")
    assert texts(collect(workspace, f"jsonl:{tmp_path}")) == right


@pytest.mark.parametrize(
    ("line", "patterns"),
    [
        ('{"_id": "1", "_id": "2", "text": "a"}', ["'_id' stands twice", "line 2"]),
        ('{"_id": "1", "text": "a", "text": "a"}', ["'text' stands twice", "line 2"]),
        ('{"_id": "1", "text": null}', ["'text' is null", "line 2"]),
        ('{"_id": "1", "text": ["a"]}', ["'text' is a list", "line 2"]),
        ('{"_id": true, "text": "a"}', ["'_id' is a bool", "line 2"]),
        ('{"_id": "x1", "text": "b"}', ["'x1'", "line 1 and ", "line 2", "keep_first"]),
        ('{"_id": "1", "text": "a"} {}', ["invalid JSON", "line 2"]),
        ('{"_id": "1", "text": "\\ud83d"}', ["lone surrogate", "line 2"]),
        ('{"_id": "1", "text": "a\tb"}', ["invalid JSON", "line 2"]),
    ],
)
def test_objects_that_are_refused(
    workspace: Workspace, tmp_path: Path, line: str, patterns: list[str]
) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text('{"_id": "x1", "text": "a"}\n' + line + "\n")
    refused(workspace, f"jsonl:{path}", patterns)


COLUMNS = {
    "strings": pa.array(["1", "20"]),
    "large": pa.array(["1", "20"], pa.large_string()),
    "view": pa.array(["1", "20"], pa.string_view()),
    "dictionary": pa.array(["1", "20"]).dictionary_encode(),
    "int64": pa.array([1, 20]),
    "uint8": pa.array([1, 20], pa.uint8()),
    "dictionary of integers": pa.array([1, 20]).dictionary_encode(),
}


@pytest.mark.parametrize("ids", COLUMNS.values(), ids=COLUMNS)
def test_parquet_of_any_type(workspace: Workspace, tmp_path: Path, ids: pa.Array) -> None:
    text = pa.array(["a", "b"]).dictionary_encode() if ids.type == pa.int64() else ["a", "b"]
    (tmp_path / "qrels").mkdir()
    pq.write_table(pa.table({"Corpus-ID": ids, "Document": text}), tmp_path / "corpus.parquet")
    pq.write_table(pa.table({"_id": ids, "question": ["a", "b"]}), tmp_path / "queries.parquet")
    rows = pa.table({"score": [2.0, 1.0], "corpus-id": ids, "query-id": ids})
    pq.write_table(rows, tmp_path / "qrels" / "test.parquet")
    found = collect(workspace, f"parquet:{tmp_path}")
    assert texts(found) == {"1": "a", "20": "b"}
    assert judged(found) == [("1", "1", 2), ("20", "20", 1)]


@pytest.mark.parametrize(
    ("columns", "patterns"),
    [
        ({"_id": ["1", "2"], "text": ["a", None]}, ["'text' is null", "row 2"]),
        ({"_id": ["1", None], "text": ["a", "b"]}, ["'_id' is null", "row 2"]),
        ({"_id": [1.5, 2.0], "text": ["a", "b"]}, ["column '_id' is of type double"]),
        ({"_id": ["1", "2"], "text": [["a"], ["b"]]}, ["column 'text' is of type list"]),
        ({"key": ["1", "2"], "text": ["a", "b"]}, ["no column 'doc_id'", "'key', 'text'"]),
        ({"_id": ["1", "2"]}, ["no column 'text'", "has '_id'"]),
        ({"_id": ["1", "1"], "text": ["a", "b"]}, ["row 1 and ", "row 2"]),
    ],
)
def test_parquet_that_is_refused(
    workspace: Workspace, tmp_path: Path, columns: dict[str, Any], patterns: list[str]
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "documents.parquet")
    refused(workspace, f"parquet:{tmp_path}", patterns)


@pytest.mark.parametrize(
    ("grades", "right"),
    [
        (pa.array([1, 2], pa.uint64()), [1, 2]),
        (pa.array([1.0, -100.0], pa.float32()), [1, -100]),
        (pa.array(["1", "2.0"]), [1, 2]),
        (pa.array([1.0, 0.5]), None),
        (pa.array([1.0, float("nan")]), None),
        (pa.array([1, None]), None),
        (pa.array([1, 1 << 40]), None),
        (pa.array([True, False]), None),
    ],
)
def test_grades_in_parquet(
    workspace: Workspace, tmp_path: Path, grades: pa.Array, right: list[int] | None
) -> None:
    place = folder(tmp_path, {"qrels/.keep": b""})
    rows = {"query-id": ["1", "2"], "corpus-id": ["5", "6"], "score": grades}
    pq.write_table(pa.table(rows), place / "qrels" / "test.parquet")
    if right is None:
        refused(workspace, f"beir:{place}", ["grade", "test.parquet"])
    else:
        assert [grade for _, _, grade in judged(collect(workspace, f"beir:{place}"))] == right


SHARDED = {
    "folder": "documents/part-{}.jsonl",
    "numbered": "documents-0000{}-of-00002.jsonl",
    "corpus of the Hub": "corpus/corpus-0000{}-of-00002.jsonl",
    "train of the Hub": "train-0000{}-of-00002.jsonl",
}


@pytest.mark.parametrize("name", SHARDED.values(), ids=SHARDED)
def test_shards_in_name_order(workspace: Workspace, tmp_path: Path, name: str) -> None:
    for number in (1, 0):
        path = tmp_path / f"{name.format(number)}.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(lines(DOCS[number * 4 : number * 4 + 4])))
    found = collect(workspace, f"jsonl:{tmp_path}")
    assert found.corpus.ids(range(8)) == [str(n) for n in range(1, 9)]


def test_a_missing_shard_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "documents-00001-of-00002.jsonl").write_bytes(lines(DOCS))
    refused(workspace, f"jsonl:{tmp_path}", ["number 00000 is missing"])


@pytest.mark.parametrize("kind", ["bz2", "zst", "xz"])
def test_every_cut_of_a_compressed_file_is_refused(tmp_path: Path, kind: str) -> None:
    data = lines(DOCS)
    packers: dict[str, Callable[[bytes], bytes]] = {
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    }
    whole = packers[kind](data)
    path = tmp_path / f"corpus.jsonl.{kind}"
    path.write_bytes(whole)
    assert len(list(read_lines(path))) == len(DOCS)
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadInput, match="too early|bad compressed data"):
            list(read_lines(path))


# ---- folders and files that would be read in part ---------------------------------------------

ONE = lines(DOCS)
FOLDERS: dict[str, tuple[str, Files, list[str]]] = {
    "queries of another ending": (
        "jsonl:", {"documents.jsonl": ONE, "queries.json": "[]"}, ["queries.json is not read"],
    ),
    "queries in a table": (
        "jsonl:", {"documents.jsonl": ONE, "queries.tsv": "1\ta\n"}, ["queries.tsv is not read"],
    ),
    "queries in capitals": (
        "jsonl:", {"documents.jsonl": ONE, "Queries.jsonl": ONE}, ["Queries.jsonl is not read"],
    ),
    "topics": (
        "tsv:", {"documents.tsv": "1\ta\n", "topics.tsv": "1\ta\n"}, ["topics.tsv is not read"],
    ),
    "qrels in capitals": ("beir:", {"Qrels/test.tsv": "1 5 1"}, ["Qrels is not read"]),
    "qrel": ("beir:", {"qrel/test.tsv": "1 5 1"}, ["qrel is not read"]),
    "a file called qrels": ("beir:", {"qrels": "1 5 1"}, ["qrels is not read", "qrels/SPLIT.tsv"]),
    "two files of documents": (
        "tsv:",
        {"documents.tsv": "1\ta\n", "corpus.tsv": "2\tb\n"},
        ["more than once", "corpus.tsv"],
    ),
    "a file and a folder of documents": (
        "jsonl:", {"documents.jsonl": ONE, "documents/a.jsonl": ONE}, ["more than once"],
    ),
    "shards cut in two ways": (
        "jsonl:",
        {f"corpus-0000{n}-of-0000{of}.jsonl": ONE for n, of in ((0, 1), (0, 2), (1, 2))},
        ["corpus-00000-of-00002.jsonl does not go with corpus-00000-of-00001.jsonl"],
    ),
    "a shard too many": (
        "jsonl:",
        {f"corpus-0000{n}-of-00001.jsonl": ONE for n in (0, 1)},
        ["corpus-00001-of-00001.jsonl does not go with"],
    ),
    "another split of documents": (
        "jsonl:",
        {f"{name}-00000-of-00001.jsonl": ONE for name in ("train", "test")},
        ["stands test-00000-of-00001.jsonl, which would not be read"],
    ),
    "a gap in judgements": (
        "beir:", {"qrels/test-00001-of-00002.tsv": "1 5 1"}, ["number 00000 is missing"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "files", "patterns"), FOLDERS.values(), ids=FOLDERS)
def test_what_would_not_be_read_is_named(
    workspace: Workspace, tmp_path: Path, kind: str, files: Files, patterns: list[str]
) -> None:
    base: Files = {"corpus.jsonl": ONE, "queries.jsonl": lines(QUERIES)} if kind == "beir:" else {}
    for name, data in {**base, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    refused(workspace, f"{kind}{tmp_path}", patterns)


def test_shards_of_judgements_are_one_split(workspace: Workspace, tmp_path: Path) -> None:
    shards: Files = {
        "qrels/test-00001-of-00002.tsv": "2\t6\t2\n",
        "qrels/test-00000-of-00002.tsv": "1\t5\t1\n",
    }
    found = collect(workspace, f"beir:{folder(tmp_path, shards)}")
    assert found.splits == ("test",)
    assert judged(found) == ONE_TWO


NO_TEXT = {
    "zip": (b"PK\x03\x04" + b"\0" * 30, "a zip archive"),
    "lz4": (b"\x04\x22\x4d\x18" + b"\0" * 30, "packed by lz4"),
    "parquet": (b"PAR1" + b"\0" * 30, "a Parquet file"),
    "utf-16": ('{"_id": "1", "text": "a"}\n'.encode("utf-16"), "UTF-16"),
    "pickle": (pickle.dumps({"q": {"d": 1.0}}), "a pickle"),
    "returns alone": (lines(DOCS).replace(b"\n", b"\r"), "carriage returns alone"),
}


@pytest.mark.parametrize(("data", "said"), NO_TEXT.values(), ids=NO_TEXT)
def test_a_file_that_is_no_text_is_called_what_it_is(
    workspace: Workspace, tmp_path: Path, data: bytes, said: str
) -> None:
    for name in ("documents.jsonl", "documents.tsv"):
        (tmp_path / name).write_bytes(data)
        refused(workspace, f"{name[10:]}:{tmp_path / name}", [said, name])


def test_the_content_says_how_a_file_is_packed(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "documents.jsonl.gz").write_bytes(lines(DOCS))  # unpacked on its way here
    assert len(collect(workspace, f"jsonl:{tmp_path}").corpus) == 8


def test_a_pipe_is_called_a_pipe(workspace: Workspace) -> None:
    refused(workspace, "jsonl:/dev/null", ["a pipe or a device", "write what it holds to a file"])


EMPTY_IDS = {
    "jsonl": '{"_id": "1", "text": "a"}\n{"_id": "", "text": "b"}\n',
    "tsv": "1\ta\n\tb\n",
    "a tab alone": "1\ta\n\t\n",
}


@pytest.mark.parametrize(("name", "said"), EMPTY_IDS.items())
def test_an_empty_id_is_refused(workspace: Workspace, tmp_path: Path, name: str, said: str) -> None:
    kind = "jsonl" if name == "jsonl" else "tsv"
    (tmp_path / f"documents.{kind}").write_text(said)
    refused(workspace, f"{kind}:{tmp_path}", ["the id is empty", "line 2"])


ROW_IDS = {
    "query and document": {"id": [5, 6], "query-id": ["1", "2"], "corpus-id": ["7", "8"]},
    "other names": {"_id": ["3", "4"], "qid": ["1", "2"], "docno": ["7", "8"]},
    "the document's alone": {"query_id": ["1", "2"], "id": ["7", "8"]},
    "the query's alone": {"_id": ["1", "2"], "doc_id": ["7", "8"]},
}


@pytest.mark.parametrize("ids", ROW_IDS.values(), ids=ROW_IDS)
@pytest.mark.parametrize("form", ["parquet", "jsonl", "table"])
def test_the_id_of_a_judgement_is_nobodys(
    workspace: Workspace, tmp_path: Path, ids: dict[str, list[Any]], form: str
) -> None:
    table = pa.table(ids | {"score": [1, 2]})
    place = folder(tmp_path, {"qrels/.keep": b""})
    spec: Any = f"beir:{place}"
    if form == "parquet":
        pq.write_table(table, place / "qrels" / "all.parquet")
    elif form == "jsonl":
        (place / "qrels" / "all.jsonl").write_bytes(lines(table.to_pylist()))
    else:
        texts_of = [{str(row["_id"]): row["text"] for row in rows} for rows in (DOCS, QUERIES)]
        spec = Tables(documents=texts_of[0], queries=texts_of[1], qrels=table)
    assert judged(collect(workspace, spec), "all") == [("1", "7", 1), ("2", "8", 2)]


@pytest.mark.parametrize(
    "line",
    ['{{"_id":"x{0}","doc-id":"{0}","text":"a"}}', ' {{"_id":"x{0}","doc-id":"{0}","text":"a"}}'],
)
def test_the_best_name_counts_in_either_reader(
    workspace: Workspace, tmp_path: Path, line: str
) -> None:
    """A blank before the brace is read line by line."""
    (tmp_path / "documents.jsonl").write_text("".join(line.format(n) + "\n" for n in range(2)))
    assert set(texts(collect(workspace, f"jsonl:{tmp_path}"))) == {"0", "1"}


ODD_QRELS = {
    "an id with a wide blank": ("1 0 w\u00a0 1\n2 0 6 2.0\n", [("1", "w\u00a0", 1), ("2", "6", 2)]),
    "an id with a vertical tab": ("1 0 w\x0b 1\n2 0 6 2.0\n", [("1", "w\x0b", 1), ("2", "6", 2)]),
}


@pytest.mark.parametrize(("said", "right"), ODD_QRELS.values(), ids=ODD_QRELS)
def test_blanks_and_tabs_alone_part_columns(
    workspace: Workspace, tmp_path: Path, said: str, right: list[tuple[str, str, int]]
) -> None:
    more = [{"_id": "w\u00a0", "text": "x"}, {"_id": "w\x0b", "text": "x"}]
    files: Files = {"corpus.jsonl": lines([*DOCS, *more]), "qrels/test.tsv": said}
    assert judged(collect(workspace, f"beir:{folder(tmp_path, files)}")) == right


@pytest.mark.parametrize(
    ("title", "text"), [(0, "0 a"), (5, "5 a"), (None, "a"), ("", "a"), (False, None), ([], None)]
)
def test_a_title_that_is_no_text(
    workspace: Workspace, tmp_path: Path, title: Any, text: str | None
) -> None:
    (tmp_path / "documents.jsonl").write_bytes(lines([{"_id": "1", "title": title, "text": "a"}]))
    if text is None:
        refused(workspace, f"jsonl:{tmp_path}", ["'title' is a", "line 1"])
    else:
        assert texts(collect(workspace, f"jsonl:{tmp_path}")) == {"1": text}


def test_a_column_twice_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    table = pa.table([["1"], ["a"], ["b"]], names=["_id", "text", "text"])
    pq.write_table(table, tmp_path / "documents.parquet")
    refused(workspace, f"parquet:{tmp_path}", ["'text' stands twice"])


@pytest.mark.parametrize("split", ["", "*"])
def test_a_split_that_cannot_be_named(workspace: Workspace, split: str) -> None:
    qrels = {split: {"query_id": ["q"], "doc_id": ["d"], "grade": [1]}}
    with pytest.raises(BadInput, match="cannot be called"):
        collect(workspace, Tables(documents={"d": "a"}, queries={"q": "b"}, qrels=qrels))


# ---- tables in memory --------------------------------------------------------------------------

TABLES_IN = {
    "whole numbers beside texts": ({1: "a", "2": "b"}, {"1": "a", "2": "b"}),
    "numbers beside texts in rows": (
        [{"id": 1, "text": "a"}, {"id": "2", "text": "b"}],
        {"1": "a", "2": "b"},
    ),
    "numbers of NumPy": ({np.int64(1): "a"}, {"1": "a"}),
    "other columns of any kind": (
        [{"id": "1", "text": "a", "x": 1}, {"id": "2", "text": "b", "x": [1]}],
        {"1": "a", "2": "b"},
    ),
    "categorical": (
        pl.DataFrame({"id": ["1", "2"], "text": ["a", "a"]}).cast(pl.Categorical),
        {"1": "a", "2": "a"},
    ),
    "enum": (
        pl.DataFrame({"id": ["1", "2"], "text": ["a", "a"]}).cast({"id": pl.Enum(["1", "2"])}),
        {"1": "a", "2": "a"},
    ),
    "the same id in the row": ({"1": {"id": "1", "text": "a"}}, {"1": "a"}),
}


@pytest.mark.parametrize(("given", "right"), TABLES_IN.values(), ids=TABLES_IN)
def test_tables_in_memory(workspace: Workspace, given: Any, right: dict[str, str]) -> None:
    assert texts(collect(workspace, Tables(documents=given))) == right


REFUSED_IN = {
    "null": ({"1": None}, r"'text' is null(.|\n)*documents\['1'\]"),
    "a null among them": ({"1": "a", "2": None}, r"'text' is null(.|\n)*documents\['2'\]"),
    "half a character": ({"1": "\ud800"}, r"half a character(.|\n)*documents\['1'\]"),
    "an empty id": ({"": "a"}, r"'id' is ''"),
    "a fraction": ({1.5: "a"}, r"'id' is 1.5"),
    "another id in the row": (
        {"1": {"_id": "2", "text": "a"}},
        r"'_id': '2', and stands under '1'",
    ),
    "a text for a column": ({"id": ["1", "2"], "text": "ab"}, "'ab' is one value, not a column"),
    "one text is a number": (
        {"d1": "a", "d2": 1},
        r"'text' is 1, not a text(.|\n)*documents\['d2'",
    ),
    "one text is a list": ({"d1": "a", "d2": ["b"]}, r"\['b'\], not a text(.|\n)*documents\['d2'"),
    "a row among texts": ({"d1": {"text": "a"}, "d2": "b"}, r"not a text(.|\n)*documents\['d1'"),
    "a number in a list of texts": (["a", 1], r"'text' is 1, not a text(.|\n)*documents\[1\]"),
    "a null in a column": (pl.Series(["a", None]), r"is null, not a text(.|\n)*documents\[1\]"),
    "one row": ({"id": "1", "text": "a"}, "look like the columns of one row"),
    "a column of two kinds": (
        [{"id": "1", "text": "a"}, {"id": "2", "text": ["b"]}],
        "the column 'text' cannot be read",
    ),
    "a column twice": (
        pa.table([["1"], ["a"], ["b"]], names=["id", "text", "text"]),
        "'text' stands twice",
    ),
}


@pytest.mark.parametrize(("given", "said"), REFUSED_IN.values(), ids=REFUSED_IN)
def test_tables_in_memory_that_are_refused(workspace: Workspace, given: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        collect(workspace, Tables(documents=given))
    assert not workspace.root.exists()


GRADED: dict[str, tuple[Any, dict[str, list[tuple[str, str, int]]]]] = {
    "NumPy": ({"q": {"d": np.int64(1)}}, {"all": [("q", "d", 1)]}),
    "NumPy floats": ({"q": {"d": np.float32(2)}}, {"all": [("q", "d", 2)]}),
    "texts": ({"q": {"d": "1"}}, {"all": [("q", "d", 1)]}),
    "splits": (
        {"train": {"q": {"d": 1}}, "test": {"q": {"d": 2}}},
        {"train": [("q", "d", 1)], "test": [("q", "d", 2)]},
    ),
}


@pytest.mark.parametrize(("qrels", "right"), GRADED.values(), ids=GRADED)
def test_judgements_in_memory(
    workspace: Workspace, qrels: Any, right: dict[str, list[tuple[str, str, int]]]
) -> None:
    found = collect(workspace, Tables(documents={"d": "a"}, queries={"q": "b"}, qrels=qrels))
    assert {split: judged(found, split) for split in found.splits} == right


@pytest.mark.parametrize("grade", [None, True, 0.5, float("nan")])
def test_judgements_in_memory_that_are_refused(workspace: Workspace, grade: Any) -> None:
    tables = Tables(documents={"d": "a"}, queries={"q": "b"}, qrels={"q": {"d": grade}})
    with pytest.raises(BadInput, match=r"grade(.|\n)*qrels\['q'\]\['d'\]"):
        collect(workspace, tables)


# ---- policies ---------------------------------------------------------------------------------


def test_dangling_judgements_are_dropped_and_counted(workspace: Workspace, tmp_path: Path) -> None:
    said = "1\t5\t1\n1\t99\t1\n77\t6\t1\n2\t6\t2\n"
    place = folder(tmp_path, {"qrels/test.tsv": said, "qrels/clean.tsv": "3\t7\t1\n"})
    refused(workspace, f"beir:{place}", ["--split clean"])
    found = collect(workspace, f"beir:{place}", on=["dangling_qrel=drop"])
    assert judged(found) == ONE_TWO
    artifact = found.qrels_artifact("test")
    assert artifact.counts == {"dangling_qrel": 2}
    assert artifact.examples["dangling_qrel"] == ["77 6 1 (line 3)", "1 99 1 (line 2)"]
    clean = collect(workspace, f"beir:{place}", splits=["clean"])
    assert clean.splits == ("clean",)
    refused_split = pytest.raises(BadInput, match=r"no split 'clen'(.|\n)*clean")
    with refused_split:
        collect(workspace, f"beir:{place}", splits=["clen"])


@pytest.mark.parametrize(
    ("action", "grades"), [("keep_first", [1]), ("keep_last", [2]), ("keep_highest", [3])]
)
def test_conflicting_judgements(
    workspace: Workspace, tmp_path: Path, action: str, grades: list[int]
) -> None:
    place = folder(tmp_path, {"qrels/test.tsv": "1\t5\t1\n1\t5\t3\n1\t5\t2\n"})
    found = collect(workspace, f"beir:{place}", on={"conflicting_qrel": action})
    assert [grade for _, _, grade in judged(found)] == grades
    assert found.qrels_artifact("test").counts["conflicting_qrel"] == 1


@pytest.mark.parametrize(("action", "text"), [("keep_first", "a"), ("keep_last", "c")])
def test_conflicting_rows(workspace: Workspace, tmp_path: Path, action: str, text: str) -> None:
    path = tmp_path / "documents.tsv"
    path.write_text("1\ta\n2\tb\n1\tc\n")
    found = collect(workspace, f"tsv:{path}", on=[f"conflicting_row={action}"])
    assert texts(found) == {"1": text, "2": "b"}
    assert found.corpus.artifact.counts["conflicting_row"] == 1


def test_empty_queries_are_dropped_with_their_judgements(
    workspace: Workspace, tmp_path: Path
) -> None:
    files: Files = {
        "queries.jsonl": lines([*QUERIES[:2], {"_id": "3", "text": " \n"}]),
        "qrels/test.tsv": "1\t5\t1\n3\t7\t1\n2\t6\t2\n",
    }
    place = folder(tmp_path, files)
    kept = collect(workspace, f"beir:{place}")
    assert len(kept.queries) == 3
    found = collect(workspace, f"beir:{place}", on=["empty_query=drop"])
    assert found.queries.ids([0, 1]) == ["1", "2"]
    assert judged(found) == ONE_TWO
    assert found.queries.artifact.counts["empty_query"] == 1
    assert found.qrels_artifact("test").counts == {"qrel_of_empty_query": 1}
    with pytest.raises(BadInput, match=r"'3' is empty(.|\n)*line 3"):
        collect(workspace, f"beir:{place}", on=["empty_query=refuse"])


def test_a_split_without_positives_can_be_kept(workspace: Workspace, tmp_path: Path) -> None:
    place = folder(tmp_path, {"qrels/test.tsv": "1\t5\t0\n"})
    refused(workspace, f"beir:{place}", ["no positives", "no_positives=keep"])
    found = collect(workspace, f"beir:{place}", on=["no_positives=keep"])
    assert judged(found) == [("1", "5", 0)]


def test_what_stands_twice_is_counted_with_its_places(workspace: Workspace, tmp_path: Path) -> None:
    place = folder(tmp_path, {"corpus.jsonl": lines([*DOCS, *DOCS]), "qrels/test.tsv": "1\t5\t1\n"})
    found = collect(workspace, f"beir:{place}")
    assert len(found.corpus) == 8
    assert found.corpus.artifact.counts["duplicate_row"] == 8
    assert found.corpus.artifact.examples["duplicate_row"][0] == "1 (line 1 and line 9)"
    once = collect(workspace, f"beir:{folder(tmp_path / 'once', {'qrels/test.tsv': '1 5 1'})}")
    assert texts(once) == texts(found)


def test_the_default_is_no_part_of_the_identity(workspace: Workspace, tmp_path: Path) -> None:
    place = folder(tmp_path, {"qrels/test.tsv": QRELS["plain"]})
    plain = collect(workspace, f"beir:{place}")
    said = [f"{kind}={one.actions[0]}" for kind, one in KINDS.items()]
    same = collect(workspace, f"beir:{place}", on=said, excluded_grade=-100)
    assert same.artifact.fingerprint == plain.artifact.fingerprint
    other = collect(workspace, f"beir:{place}", on=["dangling_qrel=drop"])
    assert other.corpus.artifact.fingerprint == plain.corpus.artifact.fingerprint
    assert other.artifact.fingerprint != plain.artifact.fingerprint


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("dangling_qrels=drop", "did you mean dangling_qrel"),
        ("dangling_qrel=dorp", "did you mean drop"),
        ("dangling_qrel", "dangling_qrel=''"),
        ("dangling_qrel=drop,dangling_qrel=refuse", "given twice"),
    ],
)
def test_unknown_policies_get_the_nearest_names(
    workspace: Workspace, tmp_path: Path, given: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        collect(workspace, f"beir:{tmp_path}", on=[given])
    assert said in str(caught.value)


def test_the_excluded_grade_is_declared(workspace: Workspace, tmp_path: Path) -> None:
    place = folder(tmp_path, {"qrels/test.tsv": "1\t5\t1\n1\t6\t-3\n1\t7\t-100\n"})
    plain = collect(workspace, f"beir:{place}")
    assert plain.excluded_grade == plain.qrels("test").excluded_grade == -100
    assert plain.qrels("test").excluded.tolist() == [False, False, True]
    found = collect(workspace, f"beir:{place}", excluded_grade=-3)
    assert found.excluded_grade == found.qrels("test").excluded_grade == -3
    assert found.qrels("test").excluded.tolist() == [False, True, False]
    assert found.artifact.fingerprint != plain.artifact.fingerprint
    assert Collection.open(workspace, found.artifact.fingerprint).excluded_grade == -3
    with pytest.raises(UsageError, match="would be a positive"):
        collect(workspace, f"beir:{place}", excluded_grade=1)


ODD_DOCS = [("1", "a"), ("2", "b"), ("3", "c"), ("2", "b"), ("3", "other"), ("4", " ")]
ODD_ASKED = [("q1", "hello"), ("q2", " "), ("q3", "x"), ("q1", "hello"), ("q3", "y")]
ODD_JUDGED = {
    "none": [("q1", "2", 0)],
    "test": [
        ("q1", "1", 1), ("q1", "1", 1), ("q2", "2", 1), ("q3", "3", 1), ("q3", "3", 2),
        ("q9", "1", 1), ("q1", "99", 1),
    ],
}  # fmt: skip


def by_the_policies(on: dict[str, str]) -> Any:
    """Return documents, queries and judgements as the slow version has them."""
    on = {kind: one.actions[0] for kind, one in KINDS.items()} | on
    try:
        docs, _ = kept_rows(ODD_DOCS, on, "empty_document")
        asked, gone = kept_rows(ODD_ASKED, on, "empty_query")
        known, there = set(dict(asked)), set(dict(docs))
        judged = {
            s: kept_judgements(rows, on, known, there, gone) for s, rows in ODD_JUDGED.items()
        }
    except ValueError:
        return "refused"
    return dict(docs), dict(asked), judged


def drawn_policies() -> list[dict[str, str]]:
    """Return combinations of all policies: any, and as many that refuse nothing."""
    draws = random.Random(11)
    choices = {kind: [*one.actions, None] for kind, one in KINDS.items() if kind != "quoted_field"}
    lenient = {k: [a for a in actions if a and a != "refuse"] for k, actions in choices.items()}
    return [
        {kind: action for kind, one in drawn.items() if (action := draws.choice(one))}
        for drawn in [choices] * 20 + [lenient] * 30
    ]


def test_policies_together_do_what_each_says(workspace: Workspace, tmp_path: Path) -> None:
    rows: dict[str, Any] = {
        "corpus.jsonl": lines([{"_id": i, "text": text} for i, text in ODD_DOCS]),
        "queries.jsonl": lines([{"_id": i, "text": text} for i, text in ODD_ASKED]),
    }
    for split, given in ODD_JUDGED.items():
        rows[f"qrels/{split}.tsv"] = "".join(f"{q}\t{d}\t{g}\n" for q, d, g in given)
    place = folder(tmp_path, rows)
    outcomes = set()
    for on in drawn_policies():
        expected = by_the_policies(on)
        outcomes.add(expected == "refused")
        if expected == "refused":
            with pytest.raises(BadInput, match="--on "):
                collect(workspace, f"beir:{place}", on=on)
            continue
        found = collect(workspace, f"beir:{place}", on=on)
        asked = found.queries.ids(range(len(found.queries)))
        got = (
            texts(found),
            dict(zip(asked, found.queries.texts(range(len(asked))), strict=True)),
            {s: {(q, d): g for q, d, g in judged(found, s)} for s in found.splits},
        )
        assert got == expected, on
    assert outcomes == {True, False}


# ---- what a collection holds ------------------------------------------------------------------


def test_the_overview_counts_what_there_is(workspace: Workspace, tmp_path: Path) -> None:
    documents = [
        {"_id": "1", "text": "ein Satz"},
        {"_id": "2", "text": "ein Satz"},
        {"_id": "3", "text": ""},
        {"_id": "q1", "text": "die Frage"},
        {"_id": "q2", "text": "etwas anderes"},
    ]
    queries = [
        {"_id": "q1", "text": "die Frage"},
        {"_id": "q2", "text": "zwei"},
        {"_id": "q3", "text": "zwei"},
        {"_id": "q4", "text": "allein"},
    ]
    files: Files = {
        "corpus.jsonl": lines(documents),
        "queries.jsonl": lines(queries),
        "qrels/train.tsv": "q1\t1\t2\nq1\t2\t0\nq2\t1\t1\n",
        "qrels/test.tsv": "q3\t1\t1\nq1\tq2\t-100\n",
    }
    found = overview_of(collect(workspace, f"beir:{folder(tmp_path, files)}")).facts
    assert (found["documents"]["rows"], found["documents"]["empty"]) == (5, 1)
    assert (found["documents"]["copies"], found["documents"]["copies_first"]) == (1, ["2"])
    assert found["documents"]["characters"]["1"] == len("etwas anderes")
    assert found["documents"]["scripts"] == {"Latin": 0.8, "none": 0.2}
    assert (found["queries"]["copies"], found["queries"]["not_judged"]) == (1, 1)
    assert found["splits"]["train"]["grades"] == {"0": 1, "1": 1, "2": 1}
    assert found["splits"]["test"]["queries_without_positive"] == 1
    assert found["splits"]["test"]["excluded"] == 1
    assert found["overlap"] == [
        {"splits": ["test", "train"], "queries": 1, "query_texts": 2, "positives": 1}
    ]
    same = found["queries_as_documents"]
    assert (same["same_id"], same["same_id_and_text"], same["same_text"]) == (2, 1, 1)
    json.dumps(found, allow_nan=False)


def test_the_overview_of_documents_alone(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "documents.tsv").write_text("1\tא\n2\t猫がいる\n3\t汉字\n4\tx\n")
    found = overview_of(collect(workspace, f"tsv:{tmp_path}"))
    assert found.facts["documents"]["scripts"] == dict.fromkeys(
        ("Latin", "Hebrew", "Han", "Japanese"), 0.25
    )
    assert any("4 documents" in line for line in found.lines())
    assert scripts_of([]) == {}


def test_parts_are_planned_as_one_row_at_a_time_would() -> None:
    from rankmill.mining.collection import survey

    rng = np.random.Generator(np.random.Philox(5))
    for rows, size, most in [(1, 5, 3), (50, 40, 7), (200, 300, 1000), (7, 1, 3)]:
        sizes = rng.integers(0, 60, size=rows)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(survey, "PART_BYTES", size)
            patch.setattr(survey, "PART_ROWS", most)
            plan = survey.plan_of(sizes)
        cuts, start, held = [], 0, 0
        for row, length in enumerate(sizes.tolist()):
            if row > start and (row - start >= most or held + length > size):
                cuts.append((start, row))
                start, held = row, 0
            held += length
        assert [(s.start, s.stop) for s in plan] == [*cuts, (start, rows)]


def test_the_documentation_lists_the_policies_and_the_names() -> None:
    from rankmill.mining.inputs import column_names as columns

    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for kind, one in KINDS.items():
        assert f"| `{kind}` | `{' '.join(one.actions)}` |" in text
    for names in (columns.CORPUS_ID, columns.TOPIC_ID, columns.TITLE, columns.TEXT, columns.GRADE):
        said = text.replace("corpus-id", "corpus_id")
        assert f"`{' '.join(names)}`" in said


def test_marks_are_looked_for_in_every_block_of_a_file(tmp_path, monkeypatch) -> None:
    """A column in marks from top to bottom is evidence; one row without, in any block, is none."""
    from rankmill.mining.collection.readers import layouts, tsv_rows

    monkeypatch.setattr(tsv_rows, "BLOCK_BYTES", 64)
    marked = [f'd{n}\t"text {n}"\n' for n in range(40)]
    plain = "d99\tno marks here\n"
    cases = {
        "all": ("".join(marked), 40),
        "blank lines at the end": ("".join(marked) + "\n" * 300, 40),
        "the last without": ("".join(marked) + plain * 9, 0),
        "the middle without": ("".join(marked[:20]) + plain * 9 + "".join(marked[20:]), 0),
        "the first without": (plain + "".join(marked), 0),
        "no marks at all": (plain * 40, 0),
    }
    for name, (text, fields) in cases.items():
        path = tmp_path / f"{name}.tsv"
        path.write_text(text)
        table = tsv_rows.table_of(path, layouts.DOCUMENTS)
        assert tsv_rows.quoted_fields(path, table) == fields, name
