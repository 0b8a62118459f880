"""Runs of other tools, as they come: order, ties, ranks, columns, ids, odd JSON, in small files.

The right order follows from the definition: falling score as written (float64), equal scores by the
rank column, without ranks by line.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.inputs.blocks import read_blocks
from rankmill.mining.runs import trec_lines as trec_module
from rankmill.mining.runs.files import AGAINST_SCORES, import_run
from rankmill.mining.runs.pool import Pool, pool_runs
from rankmill.mining.runs.run import WITHOUT_CANDIDATES, Run
from rankmill.mining.runs.trec import to_trec
from rankmill.mining.runs.trec_lines import NO_RANK, trec_lines
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.training.evaluation import UNANSWERED, Evaluation, evaluate_run
from rankmill.training.measures import parse_measures

DOCS = 9
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 1}, "q3": {"d3": 1}, "q4": {"d4": 1}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile-runs")
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text(
        "".join(
            json.dumps({"_id": f"d{n}", "title": "", "text": f"text number {n}"}) + "\n"
            for n in range(DOCS)
        )
        + json.dumps({"_id": "two words", "title": "", "text": "an id with a blank"})
        + "\n"
    )
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{n}", "text": f"question {n}"}) + "\n" for n in range(1, 6))
    )
    rows = "".join(f"{q}\t{d}\t{g}\n" for q, docs in QRELS.items() for d, g in docs.items())
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    workspace = Workspace(folder / "work")
    return workspace, collect(workspace, f"beir:{folder}")


def imported(made, tmp_path, data, **how):
    workspace, collection = made
    path = tmp_path / "run.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    run = Run(import_run(workspace, path, collection, "test", **how))
    assert run.artifact.verify() == 1
    lists = {}
    for row in range(len(run)):
        query, docs, _ = run.row(row)
        if len(docs):
            lists[collection.queries.query_id(query)] = collection.corpus.doc_ids(docs)
    return lists, run


ORDERS = {
    "equal scores by rank": ("q1 Q0 d7 2 0 t\nq1 Q0 d4 1 0 t\nq1 Q0 d1 3 0 t\n", "d4 d7 d1", 0),
    "equal ranks by line": ("q1 Q0 d7 0 1 t\nq1 Q0 d4 0 1 t\nq1 Q0 d1 0 1 t\n", "d7 d4 d1", 0),
    "no rank by line": ("q1 Q0 d7 - 1 t\nq1 Q0 d4 - 1 t\nq1 Q0 d1 - 2 t\n", "d1 d7 d4", 0),
    "some ranks": ("q1 Q0 d7 x 1 t\nq1 Q0 d4 2 1 t\nq1 Q0 d1 1 1 t\n", "d1 d4 d7", 0),
    "rank from 0": ("q1 Q0 d7 0 3 t\nq1 Q0 d4 1 2 t\n", "d7 d4", 0),
    "rank 1.0": ("q1 Q0 d7 2.0 3 t\nq1 Q0 d4 1.0 3 t\n", "d4 d7", 0),
    "unsorted": ("q1 Q0 d7 3 1 t\nq2 Q0 d2 1 5 t\nq1 Q0 d4 1 3 t\nq1 Q0 d1 2 2 t\n", "d4 d1 d7", 0),
    "equal in float32": (
        "q1 Q0 d7 3 0.10000000001 t\nq1 Q0 d4 1 0.10000000003 t\nq1 Q0 d1 2 0.10000000002 t\n",
        "d4 d1 d7",
        0,
    ),
    "equal in float32, no rank": (
        "q1 Q0 d1 0 16777216.1 t\nq1 Q0 d7 0 16777216.3 t\nq1 Q0 d4 0 16777216.2 t\n",
        "d7 d4 d1",
        0,
    ),
    "below float32": ("q1 Q0 d7 1 1e-300 t\nq1 Q0 d4 2 1e-301 t\n", "d7 d4", 0),
    "distances": ("q1 Q0 d7 1 0.1 t\nq1 Q0 d4 2 0.5 t\nq2 Q0 d2 1 1 t\n", "d4 d7", 1),
    "one pair of three": ("q1 Q0 d7 1 3 t\nq1 Q0 d4 2 1 t\nq1 Q0 d1 3 2 t\n", "d7 d1 d4", 1),
    "against beyond a tie": ("q1 Q0 d7 1 1 t\nq1 Q0 d4 1 3 t\nq1 Q0 d1 2 2 t\n", "d4 d1 d7", 1),
    "spellings": (
        "q1 Q0 d1 5 +1e0 t\nq1 Q0 d2 4 .25E1 t\nq1 Q0 d3 3 3. t\nq1 Q0 d4 2 0x1p2 t\n"
        "q1 Q0 d5 6 -0.0 t\nq1 Q0 d6 7 -1E-2 t\nq1 Q0 d7 1 005 t\n",
        "d7 d4 d3 d2 d1 d5 d6",
        0,
    ),
    "tag with blanks": ("q1 Q0 d7 1 2 my good run\nq1 Q0 d4 2 1 my good run\n", "d7 d4", 0),
    "empty tag": ("q1\tQ0\td7\t1\t2\t\nq1\tQ0\td4\t2\t1\t\n", "d7 d4", 0),
    "blank tag": ("q1 Q0 d7 1 2 \nq1 Q0 d4 2 1 \n", "d7 d4", 0),
    "id with a blank": ("q1\tQ0\ttwo words\t1\t2\tt\nq1\tQ0\td4\t2\t1\tt\n", "two words d4", 0),
    "blanks and tabs": ("  q1\tQ0  d7 \t1\t 2   t  \nq1 Q0\td4 2 1 t\n", "d7 d4", 0),
    "CRLF and BOM": ("\ufeffq1 Q0 d7 1 2 t\r\nq1 Q0 d4 2 1 t\r\n", "d7 d4", 0),
    "no last line end": ("q1 Q0 d7 1 2 t\nq1 Q0 d4 2 1 t", "d7 d4", 0),
    "blank lines": ("\nq1 Q0 d7 1 2 t\n\n\nq1 Q0 d4 2 1 t\n\n", "d7 d4", 0),
    "Q0 is anything": ("q1 0 d7 1 2 t\nq1 q0 d4 2 1 t\n", "d7 d4", 0),
}


PACKED = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("case", ORDERS)
@pytest.mark.parametrize("packed", PACKED)
def test_the_order_of_a_file_is_kept(made, tmp_path, case, packed):
    text, order, against = ORDERS[case]
    data = PACKED[packed](text.encode())
    lists, run = imported(made, tmp_path, data)
    assert " ".join(lists["q1"]) == order
    assert run.artifact.counts.get(AGAINST_SCORES, 0) == against
    assert run.artifact.counts[WITHOUT_CANDIDATES] == 4 - len(lists)


def test_lines_of_every_kind_are_read_alike_in_blocks_of_any_size(tmp_path, monkeypatch):
    draws = np.random.Generator(np.random.Philox(7))
    parts = [" ", "\t", "  ", " \t"], ["q1", "q2"], ["d1", "two words", "d7 3", "d4"]
    tails = ["t", "", "a b", "a\tb", " t "]
    lines, expected = [], []
    for number in range(400):
        blank, query, doc, tail = (str(draws.choice(one)) for one in (*parts, tails))
        rank = str(draws.choice(["1", "-", "2.0", "0"]))
        score = str(draws.choice(["1", "+.5", "1e-3", "0x1p3"]))
        if " " in doc or tail == "":
            blank = "\t"  # the only way to write them
        if len(tail.split()) > 1 and (rank == "-" or blank == "\t"):
            tail = "t"
        lines.append(blank.join([query, "Q0", doc, rank, score, tail]))
        whole = {"1": 1, "-": NO_RANK, "2.0": 2, "0": 0}[rank]
        value = {"1": 1.0, "+.5": 0.5, "1e-3": 1e-3, "0x1p3": 8.0}[score]
        expected.append((query, doc, whole, value, number + 1))
    path = tmp_path / "run.txt"
    path.write_text("\n".join(lines))
    for size in (64, 1000, 1 << 20):
        monkeypatch.setattr(trec_module, "read_blocks", partial(read_blocks, size=size))
        found = [
            row
            for block in trec_lines(path)
            for row in zip(
                block.query_id.to_pylist(), block.doc_id.to_pylist(), block.rank.tolist(),
                block.score.tolist(), block.line.tolist(), strict=True,
            )
        ]  # fmt: skip
        assert found == expected


UP = "q1 Q0 d7 1 0.1 t\nq1 Q0 d4 2 0.5 t\nq1 Q0 d1 3 0.9 t\n"


@pytest.mark.parametrize(
    ("how", "order", "scores", "against"),
    [
        ({}, "d1 d4 d7", [0.9, 0.5, 0.1], 1),
        ({"sign": -1}, "d7 d4 d1", [-0.1, -0.5, -0.9], 0),
        ({"order": "rank"}, "d7 d4 d1", [-1.0, -2.0, -3.0], 1),
    ],
)
def test_who_decides_is_said(made, tmp_path, how, order, scores, against):
    lists, run = imported(made, tmp_path, UP, **how)
    assert " ".join(lists["q1"]) == order
    assert run.row(0)[2].tolist() == pytest.approx(scores, rel=2**-24)
    assert run.artifact.counts.get(AGAINST_SCORES, 0) == against


def test_each_reading_has_its_own_identity(made, tmp_path):
    how = [{}, {"sign": -1}, {"order": "rank"}, {"unknown": "skip"}]
    assert len({imported(made, tmp_path, UP, **one)[1].artifact.fingerprint for one in how}) == 4


def test_ties_are_judged_in_the_order_of_the_file(made, tmp_path):
    text = "".join(
        f"{query} Q0 {doc} {rank} 0 t\n"
        for query, docs in {"q1": "d7 d4 d1", "q2": "d7 d2", "q3": "d3"}.items()
        for rank, doc in enumerate(docs.split(), 1)
    )
    _, run = imported(made, tmp_path, text)
    found = evaluate_run(made[0], run.artifact, collection=made[1], split="test", measures="RR P@1")
    assert Evaluation(found).values("RR").tolist() == pytest.approx([1 / 3, 1 / 2, 1, 0])
    assert found.counts == {UNANSWERED: 1}
    back = to_trec(run, tmp_path / "out.txt")
    again, _ = imported(made, tmp_path, back.read_bytes())
    assert again["q1"] == ["d7", "d4", "d1"]


def test_lines_that_name_what_is_not_there_are_counted(made, tmp_path):
    text = "q1 Q0 d7 1 2 t\nq5 Q0 d1 1 2 t\nzz Q0 d1 1 2 t\nzz Q0 nowhere 2 1 t\nyy Q0 d2 1 1 t\n"
    lists, run = imported(made, tmp_path, text)
    assert lists == {"q1": ["d7"]}
    assert run.artifact.counts == {
        "outside_split": 1,
        "unknown_queries": 2,
        WITHOUT_CANDIDATES: 3,
    }
    assert run.artifact.examples == {"unknown_queries": ["zz", "yy"]}
    text = "q1 Q0 d7 1 3 t\nq1 Q0 ghost 2 2 t\nq1 Q0 d4 3 1 t\n"
    with pytest.raises(BadInput, match=r"1 unknown documents: 'ghost'(.|\n)*unknown=skip"):
        imported(made, tmp_path, text)
    none = "q1 Q0 ghost 1 2 t\nq5 Q0 d4 1 2 t\nzz Q0 d4 1 2 t\n"
    with pytest.raises(BadInput, match=r"unknown documents: 'ghost'(.|\n)*line 1(.|\n)*no line"):
        imported(made, tmp_path, none, unknown="skip")
    lists, run = imported(made, tmp_path, text, unknown="skip")
    assert lists == {"q1": ["d7", "d4"]}
    assert run.artifact.counts["unknown_documents"] == 1
    assert run.artifact.examples == {"unknown_documents": ["ghost"]}


REFUSED = {
    "ids quoted by csv": ('"zz"\tQ0\t"d1"\t1\t2\tt\n', {}, "csv's quotation marks: write the file"),
    "JSON": (
        '{"query_id":"q1","doc_id":"d1","score":1}\n',
        {},
        "this is JSON(.|\n)*line 1(.|\n)*stored",
    ),
    "JSON under a tag": ("[1, 2]\n", {"tag": "t"}, "this is JSON(.|\n)*--system"),
    "no query of the split": ("q5 Q0 d1 1 2 t\n", {}, r"none of the 1 lines(.|\n)*split '\*'"),
    "returns alone": ("q1 Q0 d7 1 2 t\rq1 Q0 d4 2 1 t\r", {}, "carriage returns alone"),
    "7z": ("7z\xbc\xaf", {}, "a 7z archive"),
    "UTF-16": ("q1 Q0 d7 1 2 t\n", {}, "UTF-16"),
    "no query known": ("zz Q0 d1 1 2 t\n", {}, "1 unknown queries: 'zz'(.|\n)*line 1\n"),
    "no tag": ("q1 Q0 d7 1 2\n", {}, r"5 columns, a TREC run has 6(.|\n)*line 1(.|\n)*--tag"),
    "three columns": ("q1 d7 2\n", {"tag": "t"}, r"3 columns(.|\n)*line 1(.|\n)*stored\(scores"),
    "id with a blank": ("q1 Q0 two words 1 2 t\n", {}, "score '1' is not|rank 'words' is not"),
    "comma": ("q1 Q0 d7 1 3,5 t\n", {}, "score '3,5' is not a finite number(.|\n)*line 1"),
    "underscore": ("q1 Q0 d7 1 1_0 t\n", {}, "score '1_0' is not a finite number"),
    "infinite": ("q1 Q0 d7 1 2 t\nq1 Q0 d4 2 -inf t\n", {}, "'-inf' is not a finite(.|\n)*line 2"),
    "hexadecimal nonsense": ("q1 Q0 d7 1 0x t\n", {}, "score '0x' is not a finite number"),
    "overflow": ("q1 Q0 d7 1 1e999 t\n", {}, "score '1e999' is not a finite number"),
    "beyond float32": ("q1 Q0 d7 1 1e300 t\n", {}, "beyond(.|\n)*line 1(.|\n)*order=rank"),
    "twice": ("q1 Q0 d7 1 2 t\nq1 Q0 d7 2 1 t\n", {}, "'d7' stands twice(.|\n)*line 2"),
    "empty": ("", {}, "the run file holds no line"),
    "order by no ranks": ("q1 Q0 d7 - 2 t\n", {"order": "rank"}, "no whole number as(.|\n)*line 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place(made, tmp_path, case):
    text, how, message = REFUSED[case]
    text = text.encode({"7z": "latin-1", "UTF-16": "utf-16"}.get(case, "utf-8"))
    with pytest.raises(BadInput, match=message):
        imported(made, tmp_path, text, **how)


def test_a_given_tag_stands_for_a_missing_column(made, tmp_path):
    lists, run = imported(made, tmp_path, "q1 Q0 d7 1 2\nq1 Q0 d4 2 1\n", tag="theirs")
    assert lists == {"q1": ["d7", "d4"]}
    assert run.label == "imported(tag=theirs)"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"order": "line"}, "order=line is not known"),
        ({"sign": 0}, "sign=0"),
        ({"unknown": "drop"}, "unknown=drop is not known"),
        ({"system": "bm25", "sign": -1}, "lists the best first"),
        ({"depth": 0}, "depth=0 keeps nothing"),
        ({"depth": -1}, "depth=-1 keeps nothing"),
    ],
)
def test_readings_that_do_not_exist_are_refused(made, tmp_path, how, message):
    with pytest.raises(UsageError, match=message):
        imported(made, tmp_path, UP, **how)


def test_a_source_can_say_how_its_file_is_read(made, tmp_path):
    path = tmp_path / "run.txt"
    path.write_text(UP)
    for how, first in (("order=rank", "d7"), ("sign=-1", "d7"), ("tag=x", "d1")):
        run = Run(mine(made[0], f"imported(path={path},{how})", made[1], "test", depth=2))
        assert made[1].corpus.doc_id(run.row(0)[1][0]) == first
    with pytest.raises(UsageError, match="order=up is not known"):
        mine(made[0], f"imported(path={path},order=up)", made[1], "test", depth=2)


GOOD_HN = '{"qid":"q1","pos":["d1"],"neg":{"bm25":["d4","d1","d7","d4"]}}'
HARD = {
    "pos a string": '{"qid":"q1","pos":"d1","neg":{"bm25":["d4"]}}',
    "pos null": '{"qid":"q1","pos":null,"neg":{"bm25":["d4"]}}',
    "pos an object": '{"qid":"q1","pos":{"pid":"d1"},"neg":{"bm25":["d4"]}}',
    "pos a number": '{"qid":"q1","pos":3,"neg":{"bm25":["d4"]}}',
    "pos of null": '{"qid":"q1","pos":[null],"neg":{"bm25":["d4"]}}',
    "neg null": '{"qid":"q1","pos":["d1"],"neg":null}',
    "neg a list": '{"qid":"q1","pos":["d1"],"neg":["d4"]}',
    "neg a string": '{"qid":"q1","pos":["d1"],"neg":{"bm25":"d4"}}',
    "neg of null": '{"qid":"q1","pos":["d1"],"neg":{"bm25":null}}',
    "neg a number": '{"qid":"q1","pos":["d1"],"neg":{"bm25":4}}',
    "neg of lists": '{"qid":"q1","pos":["d1"],"neg":{"bm25":[["d4"]]}}',
    "neg of booleans": '{"qid":"q1","pos":["d1"],"neg":{"bm25":[true]}}',
    "neg of floats": '{"qid":"q1","pos":["d1"],"neg":{"bm25":[4.0]}}',
    "neg of empty ids": '{"qid":"q1","pos":["d1"],"neg":{"bm25":[""]}}',
    "another system a string": '{"qid":"q1","pos":["d1"],"neg":{"bm25":["d4"],"ance":"d7"}}',
    "qid null": '{"qid":null,"pos":["d1"],"neg":{"bm25":["d4"]}}',
    "qid a list": '{"qid":["q1"],"pos":["d1"],"neg":{"bm25":["d4"]}}',
    "qid again": GOOD_HN.replace("q1", "q2").replace("d4", "d5"),
    "no pos": '{"qid":"q1","neg":{"bm25":["d4"]}}',
    "pos by another name": '{"qid":"q1","positives":["d1"],"neg":{"bm25":["d4","d1"]}}',
    "half a character": '{"qid":"q1","pos":["d1"],"neg":{"bm25":["\\ud83d"]}}',
    "no qid": '{"pos":["d1"],"neg":{"bm25":["d4"]}}',
    "neg twice": '{"qid":"q1","pos":["d1"],"neg":{"bm25":["d4"]},"neg":{"bm25":["d7"]}}',
    "system twice": '{"qid":"q1","pos":["d1"],"neg":{"bm25":["d4"],"bm25":["d7"]}}',
    "a list": "[1, 2]",
    "cut": '{"qid":"q1","pos":["d1"],"neg":{"bm25":["d4"',
    "nested": '{"qid":"q1","pos":' + "[" * 100_000,
}


@pytest.mark.parametrize("case", HARD)
def test_a_hard_negatives_line_of_another_shape_is_refused(made, tmp_path, case):
    text = GOOD_HN.replace("q1", "q2") + "\n" + HARD[case] + "\n"
    with pytest.raises(BadInput, match="line 2"):
        imported(made, tmp_path, text, system="bm25")


def test_hard_negatives_lose_their_positives(made, tmp_path):
    lists, run = imported(made, tmp_path, GOOD_HN, system="bm25", tag="bm25")
    assert lists == {"q1": ["d4", "d7"]}
    assert run.row(0)[2].tolist() == [-1.0, -2.0]


def test_hard_negatives_are_called_by_their_system(made, tmp_path):
    _, run = imported(made, tmp_path, GOOD_HN, system="bm25")
    assert run.label == "imported(tag=bm25)"


ROWS = {
    "bm25": {"qid": "q1", "pos": ["d1"], "neg": {"bm25": ["d4", "d1", "d7"]}},
    "negative_passages": {
        "query_id": "q1",
        "positive_passages": [{"docid": "d1", "text": "a"}],
        "negative_passages": [{"docid": "d4", "text": "b"}, {"docid": "d7", "text": "c"}],
    },
    "negative_document_ids": {
        "query_id": "q1",
        "positive_document_ids": ["d1"],
        "negative_document_ids": ["d4", "d7"],
    },
}


@pytest.mark.parametrize("system", ROWS)
def test_rows_of_parquet_are_read_as_lines_of_json(made, tmp_path, system):
    import pyarrow.parquet as pq

    other = {"q2": ROWS[system]["neg"] | {"ance": ["d2"]}} if system == "bm25" else {}
    rows = [ROWS[system], *({**ROWS[system], "qid": q, "neg": n} for q, n in other.items())]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    workspace, collection = made
    path = tmp_path / "rows.parquet"
    run = Run(import_run(workspace, path, collection, "test", system=system))
    assert collection.corpus.doc_ids(run.row(0)[1]) == ["d4", "d7"]


MEASURES = [
    "nDCG@0", "P@0", "R@0", "AP@0", "Success@0", "RR@0", "MRR@0", "Judged@0", "ERR@0", "nDCG@-1",
    "P@1.5", "P@True", "nDCG@99999999999", "R@", "R", "P@x", "AP(rel=0)", "P(rel=0)@5",
    "RR(rel=99999999999)@10", "P(rel=1.5)@5", "IPrec@1.5", "nDCG(gains=3)@5",
    'nDCG(gains={1:"x"})@5', "nDCG(gains={1:99999999999})@5", 'nDCG(dcg="other")@5', "RBP",
    "RBP(p=0.8)", "alpha_nDCG@5", "NERR8@5", "SetF(beta=0.0)", "PairRisk(mu=all)", "NumRel(rel=2)",
    "Bogus@10", "__import__('os')", "AP(", "",
]  # fmt: skip


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_that_cannot_be_computed_is_refused(name):
    with pytest.raises(UsageError):
        parse_measures(name)
    with pytest.raises(UsageError):
        parse_measures(["nDCG@10", name])


@pytest.mark.parametrize(
    ("names", "once"),
    [
        ("RR@10 MRR@10", ["RR@10"]),
        ("nDCG@10 NDCG@10 nDCG@10", ["nDCG@10"]),
        ("RR(rel=1)@10 AP RR@10 MAP", ["RR@10", "AP"]),
        ("AP PairRisk(ties=half) AP PairRisk(ties=half)", ["AP", "PairRisk(mu=judged,ties=half)"]),
    ],
)
def test_a_measure_counts_once(names, once):
    assert [str(one) for one in parse_measures(names)] == once


def test_queries_that_got_nothing_are_counted(made, tmp_path):
    workspace, collection = made
    mined = mine(workspace, "bm25", collection, "test", depth=2)
    words = {"q1", "q2", "q3", "q4"}  # `question 1`: no document holds the word, nor any number 0…8
    lists, one = imported(made, tmp_path, "q1 Q0 d7 1 2 t\n")
    assert mined.counts.get(WITHOUT_CANDIDATES, 0) == sum(
        len(Run(mined).row(row)[1]) == 0 for row in range(len(words))
    )
    pool = pool_runs(workspace, [one.artifact], collection=collection, split="test")
    assert pool.counts[WITHOUT_CANDIDATES] == 3
    assert lists == {"q1": ["d7"]}


def test_a_pool_is_written_as_parquet_by_columns(made, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    from rankmill.mining.exports import rows

    workspace, collection = made
    run = mine(workspace, "random", collection, "test", depth=3)
    pool = pool_runs(workspace, [run], collection=collection, split="test")
    monkeypatch.setattr(rows, "_BLOCK_ROWS", 3)
    assert rows.write_parquet(pool, None, tmp_path / "pool.parquet") == 4
    table = pq.read_table(tmp_path / "pool.parquet")
    part = Pool(pool).parts()[0]
    assert table["query_id"].to_pylist() == collection.queries.query_ids(part.query)
    docs = np.split(part.doc, part.offsets[1:-1])
    assert table["doc_id"].to_pylist() == [collection.corpus.doc_ids(one) for one in docs]
