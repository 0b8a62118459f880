"""What cannot be used is named and placed, with a next step, and nothing is written."""

from __future__ import annotations

import gzip
import json

import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.collection.lines import read_lines
from rankmill.mining.errors import BadInput


@pytest.fixture
def tiny(tmp_path):
    return tiny_beir(tmp_path / "tiny")


def refused(workspace, spec, *patterns, **options):
    """Collect; expect exit status 4, all patterns in the message, and an untouched disk."""
    with pytest.raises(BadInput) as caught:
        collect(workspace, spec, **options)
    message = str(caught.value)
    for pattern in (*patterns, "  where: ", "  do: "):
        assert pattern in message
    assert caught.value.exit_status == 4
    assert not workspace.root.exists()


def edit(path, line, new):
    """Replace one line (from 1) of a file by other bytes."""
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = new
    path.write_bytes(b"\n".join(lines))


def zipped(path):
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
    return packed


def test_missing_folder(workspace, tmp_path):
    refused(workspace, f"beir:{tmp_path / 'nowhere'}", "no such folder", "nowhere", "corpus.jsonl")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_missing_file(workspace, tiny, name):
    (tiny / name).unlink()
    refused(workspace, f"beir:{tiny}", f"there is no file {name}", "the folder holds: ", "qrels")


def test_truncated_plain_file(workspace, tiny):
    path = tiny / "corpus.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    refused(workspace, f"beir:{tiny}", "invalid JSON", "line 200", "may be truncated")


@pytest.mark.parametrize("cut", [1, 8, 9, 1_000, 6_000])
def test_truncated_gzip(workspace, tiny, cut):
    packed = zipped(tiny / "corpus.jsonl")
    packed.write_bytes(packed.read_bytes()[:-cut])
    refused(workspace, f"beir:{tiny}", "the compressed file ends too early", "corpus.jsonl.gz")


def test_every_cut_of_a_gzip_file_is_refused(tmp_path):
    whole = gzip.compress(b'{"_id": "d0", "text": "x"}\n' * 3, mtime=0)
    path = tmp_path / "small.jsonl.gz"
    for cut in range(2, len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadInput, match="ends too early|bad compressed data"):
            list(read_lines(path))
    path.write_bytes(whole + whole)  # two members, as tools that append write them
    assert [number for number, _ in read_lines(path)] == [1, 2, 3, 4, 5, 6]


def test_damaged_gzip(workspace, tiny):
    packed = zipped(tiny / "queries.jsonl")
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0xFF
    data[-6] ^= 0xFF  # and the checksum, should the stream still be readable
    packed.write_bytes(data)
    refused(workspace, f"beir:{tiny}", "bad compressed data after line", "queries.jsonl.gz")


def test_what_is_neither_text_nor_gzip_is_read_by_its_ending(workspace, tiny):
    (tiny / "corpus.jsonl").unlink()
    (tiny / "corpus.jsonl.gz").write_bytes(bytes(range(200, 250)))
    refused(workspace, f"beir:{tiny}", "bad compressed data", "Not a gzipped file")


def test_invalid_utf8_names_the_line(workspace, tiny):
    edit(tiny / "corpus.jsonl", 7, b'{"_id": "x", "text": "caf\xe9"}')
    refused(workspace, f"beir:{tiny}", "invalid UTF-8: byte 0xe9 at position 26", "line 7")


@pytest.mark.parametrize(
    ("line", "patterns"),
    [
        (b'{"_id": "x", "text": }', ["invalid JSON: Expecting value at column 22", "line 3"]),
        (b'["x"]', ["the line holds a JSON list, not an object", "line 3"]),
        (b'{"_id": "x"}', ["the field 'text' is missing; this line has '_id'", "line 3"]),
        (b'{"text": "x"}', ["the field '_id' is missing", "line 3"]),
        (b'{"_id": 1.5, "text": "x"}', ["'_id' is a float, not text", "line 3"]),
        (b'{"_id": "x", "text": null}', ["'text' is null", "line 3"]),
        (b'{"_id": "x", "text": "\\ud83d"}', ["lone surrogate \\ud83d", "line 3"]),
    ],
)
def test_bad_document_lines(workspace, tiny, line, patterns):
    edit(tiny / "corpus.jsonl", 3, line)
    refused(workspace, f"beir:{tiny}", *patterns)


def test_duplicate_ids_show_the_first_ten(workspace, tiny):
    path = tiny / "corpus.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:-1], *lines[2:14], b""]))
    shown = ", ".join(repr(f"d{n}") for n in range(2, 12))
    said = f"12 document ids occur more than once: {shown}, …"
    refused(workspace, f"beir:{tiny}", said, on=["duplicate_row=refuse"])


def test_duplicate_query_id(workspace, tiny):
    edit(tiny / "queries.jsonl", 2, b'{"_id": "q7", "text": "again"}')
    refused(workspace, f"beir:{tiny}", "1 query ids occur more than once: 'q7'", "queries.jsonl")


def test_judgements_of_unknown_ids(workspace, tiny):
    with open(tiny / "qrels" / "test.tsv", "a") as out:
        out.writelines(f"q1\tmissing-{n}\t1\n" for n in range(11))
    refused(
        workspace,
        f"beir:{tiny}",
        "the judgements name 11 unknown documents: 'missing-0',",
        "'missing-9', …",
        "test.tsv, line ",
        ", the first of them",
    )


def test_judgements_of_unknown_queries(workspace, tiny):
    edit(tiny / "qrels" / "train.tsv", 2, b"q99\td1\t1")
    refused(
        workspace,
        f"beir:{tiny}",
        "name 1 unknown queries: 'q99'",
        "train.tsv, line 2\n",
        "queries.jsonl",
    )


def test_empty_corpus(workspace, tiny):
    (tiny / "corpus.jsonl").write_bytes(b"")
    refused(workspace, f"beir:{tiny}", "there are no documents: empty corpus", "corpus.jsonl")


def test_empty_queries(workspace, tiny):
    (tiny / "queries.jsonl").write_bytes(b"\n")
    refused(workspace, f"beir:{tiny}", "there are no queries: empty queries", "queries.jsonl")


@pytest.mark.parametrize("body", ["", "q1\td1\t0\nq1\td2\t-1\n"])
def test_no_positives(workspace, tiny, body):
    (tiny / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{body}")
    refused(workspace, f"beir:{tiny}", "the split 'test' has no positives", "test.tsv")


@pytest.mark.parametrize("grade", ["x", "0.5", "", "99999", "0x1", "nan", "1e9", "1_0"])
def test_grades_are_whole_numbers(workspace, tiny, grade):
    edit(tiny / "qrels" / "test.tsv", 4, f"q1\td1\t{grade}".encode())
    refused(workspace, f"beir:{tiny}", f"the grade {grade!r} is not a whole number", "line 4")


def test_judgement_without_grade(workspace, tiny):
    edit(tiny / "qrels" / "test.tsv", 4, b"q1\td1")
    refused(workspace, f"beir:{tiny}", "2 columns, expected 3: query id, document id", "line 4")


def test_contradicting_judgements(workspace, tiny):
    with open(tiny / "qrels" / "test.tsv", "a") as out:
        out.write("q1\td9\t1\nq1\td9\t0\n")
    refused(workspace, f"beir:{tiny}", "1 pairs are judged twice with different grades: 'q1 d9'")


def test_a_split_in_two_files(workspace, tiny):
    path = tiny / "qrels" / "test.tsv"
    path.with_name("test.tsv.gz").write_bytes(gzip.compress(path.read_bytes()))
    refused(workspace, f"beir:{tiny}", "the split 'test' has two files: test.tsv and test.tsv.gz")


def test_tsv_with_too_many_columns(workspace, tmp_path):
    (tmp_path / "documents.tsv").write_text("d1\tone\nd2\ttwo\tand\n")
    refused(workspace, f"tsv:{tmp_path}", "3 columns, expected 2: doc_id, text", "line 2")


def test_parquet_that_is_none(workspace, tmp_path):
    (tmp_path / "documents.parquet").write_bytes(b"PAR1 not really")
    refused(workspace, f"parquet:{tmp_path}", "not a readable Parquet file", "documents.parquet")


def test_jsonl_judgement_without_grade(workspace, tmp_path):
    (tmp_path / "documents.jsonl").write_text('{"doc_id": "d1", "text": "x"}\n')
    (tmp_path / "queries.jsonl").write_text('{"query_id": "q1", "text": "x"}\n')
    row = json.dumps({"query_id": "q1", "doc_id": "d1"})
    (tmp_path / "qrels.jsonl").write_text(f"{row}\n")
    refused(workspace, f"jsonl:{tmp_path}", "the field 'grade' is missing", "qrels.jsonl, line 1")


def test_unknown_ir_datasets_id(workspace):
    refused(workspace, "ir:nfcorpsu/test", "no data set 'nfcorpsu/test'", "nfcorpus/test")
