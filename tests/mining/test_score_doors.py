"""Files of scores in blocks and sorted runs, against dictionaries; and files that are odd."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.imported_scores import Row, score_tables
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, Corrupt
from rankmill.mining.store import Artifact, Workspace, files
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers.files import imported, score_batches, sorted_runs
from rankmill.mining.teachers.files.imported import import_scores
from rankmill.mining.teachers.files.sorted_runs import Clash, in_order


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> Collection:
    folder = tmp_path_factory.mktemp("score-doors")
    return collect(Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'tiny')}")


def read(collection: Collection, path: Path, **options: Any) -> Artifact:
    texts = collection.corpus.artifact, collection.queries.artifact
    workspace = Workspace(path.parent / "work")
    if not workspace.root.exists():
        shutil.copytree(collection.artifact.workspace.root, workspace.root)
    return import_scores(workspace, path, *texts, **{"kind": "logit", **options})


def written_scores(folder: Path) -> list[Path]:
    """What an import left behind in the workspace of `read`."""
    places = [folder / "work" / name for name in ("scores", "tmp")]
    return [file for place in places for file in place.rglob("*") if file.is_file()]


def drawn_rows(seed: int, pairs: int, rank: bool = False) -> list[Row]:
    """Distinct pairs in any order; one in five stands there twice."""
    rng = np.random.Generator(np.random.Philox(seed))
    chosen = rng.choice(40 * 190, pairs, replace=False)
    scores = rng.normal(0, 5, pairs).astype(np.float32).tolist()
    rows = [
        (f"q{c // 190}", f"d{c % 190}", s) for c, s in zip(chosen.tolist(), scores, strict=True)
    ]
    if rank:
        places: dict[str, int] = {}
        for at, (query, doc, _) in enumerate(rows):
            rows[at] = query, doc, places.setdefault(query, 0)
            places[query] += 1
    again = [rows[at] for at in rng.choice(pairs, pairs // 5, replace=False)]
    both = rows + again
    return [both[at] for at in rng.permutation(len(both))]


def as_lists(rows: list[Row]) -> list[tuple[str, list[str], list[float]]]:
    """One list a query, and a second one of what stands there again."""
    whole: list[dict[str, dict[str, float]]] = [{}, {}]
    for query, doc, score in rows:
        first = whole[0].setdefault(query, {})
        (first if doc not in first else whole[1].setdefault(query, {}))[doc] = score
    return [(q, list(of), list(of.values())) for part in whole for q, of in part.items()]


def lines(rows: list[Any]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def _rows_jsonl(rows: list[Row]) -> bytes:
    return lines([json.dumps({"qid": q, "docno": d, "score": s, "x": [1]}) for q, d, s in rows])


def _lists_jsonl(rows: list[Row]) -> bytes:
    made = [{"query_id": q, "document_ids": d, "scores": s} for q, d, s in as_lists(rows)]
    return lines([json.dumps(row) for row in made])


def _triples(rows: list[Row]) -> bytes:
    """Two scores of a query a line; what is left over gets itself once more."""
    made: list[tuple[Any, ...]] = []
    open_rows: dict[str, Row] = {}
    for row in rows:
        other = open_rows.pop(row[0], None)
        if other is None:
            open_rows[row[0]] = row
        else:
            made.append((other[2], row[2], row[0], other[1], row[1]))
    made += [(s, s, q, d, d) for q, d, s in open_rows.values()]
    return lines(["\t".join(map(str, row)) for row in made])


TEXT: dict[str, Callable[[list[Row]], bytes]] = {
    "a.tsv": lambda rows: lines([f"{q}\t{d}\t{s!r}" for q, d, s in rows]),
    "crlf.tsv": lambda rows: b"\xef\xbb\xbf" + lines([f"{q}\t{d}\t{s!r}\r" for q, d, s in rows]),
    "named.tsv.gz": lambda rows: gzip.compress(
        lines(["Score\tx\tDocNo\tQuery_ID", *(f"{s!r}\t-\t{d}\t{q}" for q, d, s in rows)])
    ),
    "a.tsv.bz2": lambda rows: bz2.compress(lines([f"{q}\t{d}\t{s!r}" for q, d, s in rows])),
    "a.tsv.xz": lambda rows: lzma.compress(lines([f"{q}\t{d}\t{s!r}" for q, d, s in rows])),
    "a.tsv.zst": lambda rows: pa.Codec("zstd").compress(
        lines([f"{q}\t{d}\t{s!r}" for q, d, s in rows]), asbytes=True
    ),
    "triples.tsv": _triples,
    "a.run": lambda rows: lines([f"{q} Q0 {d} 1 {s!r} a tag" for q, d, s in rows]),
    "rows.jsonl": _rows_jsonl,
    "lists.jsonl": _lists_jsonl,
}


def write(path: Path, rows: list[Row]) -> Path:
    if path.name in TEXT:
        path.write_bytes(TEXT[path.name](rows))
    elif path.name == "rows.parquet":
        query, doc, score = zip(*rows, strict=True)
        table = pa.table({"qid": query, "docno": doc, "score": score})
        table = table.set_column(0, "qid", table["qid"].dictionary_encode())
        pq.write_table(table, path, row_group_size=97)
    else:
        query, docs, scores = zip(*as_lists(rows), strict=True)
        table = pa.table({"query_id": query, "document_ids": docs, "scores": scores})
        if path.name == "lists.parquet":
            pq.write_table(table, path, row_group_size=3)
        else:  # a folder of shards
            path.mkdir()
            for number in range(3):
                part = table.slice(number * 20, 20 if number < 2 else None)
                pq.write_table(part, path / f"train-{number:05d}-of-00003.parquet")
    return path


NAMES = [*TEXT, "rows.parquet", "lists.parquet", "shards"]


@pytest.fixture
def small(monkeypatch):
    """Blocks, runs and parts so small that a file of a few hundred pairs has many of each."""
    monkeypatch.setattr(score_batches, "_TEXT_BYTES", 1500)
    monkeypatch.setattr(score_batches, "_ROWS", 61)
    monkeypatch.setattr(imported, "_SHARD_PAIRS", 150)
    make = sorted_runs.RunWriter.__init__
    monkeypatch.setattr(
        sorted_runs.RunWriter, "__init__", lambda self, *given: make(self, *given, limit=89)
    )


def same_bytes(made: Artifact, expected: list[pa.Table], folder: Path) -> None:
    folder.mkdir()
    hashes = [files.write_arrow(folder / f"{n}", t).sha256 for n, t in enumerate(expected)]
    assert [part.sha256 for part in made.parts] == hashes
    assert made.verify() == len(expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_of_a_dictionary(collection, tmp_path, small, name):
    rows = drawn_rows(3, 900)
    made = read(collection, write(tmp_path / name, rows))
    ids = (
        [f"q{n}" for n in range(40)],
        collection.corpus.doc_ids(range(len(collection.corpus))),
    )
    expected = score_tables(rows, *ids, shard_pairs=150)
    assert len(expected) > 5
    same_bytes(made, expected, tmp_path / "expected")
    assert made.counts["pairs"] == 900
    assert not (tmp_path / "work" / "tmp" / made.fingerprint).exists()


@pytest.mark.parametrize("name", ["a.tsv", "a.run"])
def test_the_bytes_of_ranks(collection, tmp_path, small, name):
    rows = drawn_rows(4, 600, rank=True)
    path = tmp_path / name
    layout = "{q} Q0 {d} {s} 0 t" if name == "a.run" else "{q}\t{d}\t{s}"
    path.write_bytes(lines([layout.format(q=q, d=d, s=s) for q, d, s in rows]))
    ids = (
        [f"q{n}" for n in range(40)],
        collection.corpus.doc_ids(range(len(collection.corpus))),
    )
    expected = score_tables(rows, *ids, shard_pairs=150, rank=True)
    same_bytes(read(collection, path, kind="rank"), expected, tmp_path / "expected")


@pytest.mark.parametrize("name", [*NAMES[:2], "rows.jsonl", "rows.parquet"])
def test_a_pair_with_two_scores_in_far_places(collection, tmp_path, small, name):
    """In one run or in two, the message has the lines, the ids and the scores."""
    rows = [(q, d, s) for q, d, s in dict.fromkeys(drawn_rows(5, 700))]
    for first, second in ((3, 8), (3, 650)):
        odd = list(rows)
        odd[second] = (*odd[first][:2], 77.5)
        path = write(tmp_path / name, odd)
        unit = "rows" if name.endswith("parquet") else "lines"
        query, doc, score = odd[first]
        said = (
            rf"1 pairs stand there with two scores, the first with {score:g} and 77.5: "
            rf"query '{query}', document '{doc}'\n.*{unit} {first + 1} and {second + 1}\n"
        )
        with pytest.raises(BadInput, match=said):
            read(collection, path)
        assert not written_scores(tmp_path)


def test_a_killed_import_goes_on_with_the_next_shard(collection, tmp_path, monkeypatch):
    path = write(tmp_path / "shards", drawn_rows(6, 500))
    whole = read(collection, path)
    read_one, seen = score_batches.unread_batches, []

    def killed(source: Path, form: str, kind: str):
        seen.append(source.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return read_one(source, form, kind)

    from rankmill.mining.teachers.files import sorting

    again = tmp_path / "again" / "shards"
    again.parent.mkdir()
    path.rename(again)
    monkeypatch.setattr(sorting, "unread_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        read(collection, again)
    made = read(collection, again)
    assert made.root_hash == whole.root_hash
    assert [name[:11] for name in seen] == [
        "train-00000",
        "train-00001",
        "train-00001",
        "train-00002",
    ]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**32 - 1), st.integers(0, 3))),
    st.sampled_from([1, 7, 300, 2**32 - 1]),
)
@settings(max_examples=60, deadline=None)
def test_pairs_in_order(pairs, docs):
    keys = [(q << 32) | d % docs for q, d, _ in pairs]
    scores = [s - 0.0 if s != 1 else -0.0 for _, _, s in pairs]
    found: dict[int, float] = {}
    clash = set()
    for key, score in zip(keys, scores, strict=True):
        if found.setdefault(key, score) != score:
            clash.add(key)
    given_arrays = np.array(keys, np.uint64), np.array(scores, np.float32)
    if clash:
        with pytest.raises(Clash) as caught:
            in_order(*given_arrays)
        assert caught.value.key == min(clash)
        return
    made = in_order(*given_arrays)
    assert made.keys.tolist() == sorted(found)
    assert [np.signbit(s) for s in made.scores] == [np.signbit(found[k]) for k in sorted(found)]


CUT = gzip.compress(b"q1\td1\t1\n" * 999, mtime=0)[:40]
ODD = [
    # equal keys, at every depth
    ("a.json", '{"q1":{"d1":1},"q1":{"d4":2}}', "the key 'q1' stands twice"),
    ("a.json", '{"q1":{"d1":1,"d1":2}}', "the key 'd1' stands twice"),
    ("a.jsonl", '{"qid":"q1","qid":"q2","docid":"d1","score":1}', "'qid' stands[\\s\\S]*line 1"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1,"score":1}', "the key 'score' stands"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1,"x":{"y":1,"y":2}}', "the key 'y' stands"),
    # several columns of scores
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1,"similarity":2}',
     "several columns may be the sc"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1,"scores":2}', "several columns may be the sc"),
    ("a.tsv", "qid\tdocid\tscore\tsimilarity\nq1\td1\t1\t2\n", "several columns may be the scores"),
    # shapes
    ("a.json", '{"q1":{"d1":[1]}}', r"the score \[1\] is not a finite number"),
    ("a.json", '{"q1":{"d1":{"s":1}}}', "is not a finite number"),
    ("a.json", '{"q1":["d1"]}', "the file is not an object of objects"),
    ("a.json", '{"q1":{"":1}}', "'id' is '', neither text"),
    ("a.json", '{"q1":{"d1":1' + "0" * 400 + "}}", "is not a finite number"),
    ("a.json", '{"q1":{"d1":null}}', "the score null is not a finite number"),
    # finite, and more than float32 holds
    ("a.json", '{"q1":{"d1":1e39}}', r"the score 1e\+39 lies beyond ±3.4e\+38"),
    ("a.tsv", "q1\td1\t-3.5e38\n", r"the score '-3.5e38' lies beyond ±3.4e\+38[\s\S]*line 1"),
    ("a.json", "[" * 100_000, "nested too deeply"),
    ("a.jsonl", '{"qid":["q1"],"docid":"d1","score":1}', r"'qid' is \['q1'\], neither text nor"),
    ("a.jsonl", '{"qid":"q1","docid":["d1",["d2"]],"score":[1,2]}',
     r"'docid' is \['d2'\], neither"),
    ("a.jsonl", '{"qid":"q1","docid":["d1"],"score":1}', "'score' is 1, not a list of scores"),
    ("a.jsonl", '{"qid":"q1","docid":["d1"],"score":"1"}', "'score' is '1', not a list of scores"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":[1]}', r"the score \[1\] is not a finite number"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":null}',
     "the score null is not a finite[\\s\\S]*line 1"),
    ("a.jsonl", '{"qid":null,"docid":"d1","score":1}', "'qid' is null"),
    ("a.jsonl", '{"qid":true,"docid":"d1","score":1}', "'qid' is true, neither text nor a whole"),
    ("a.jsonl", '{"qid":1.0,"docid":"d1","score":1}', "'qid' is 1.0, neither text nor a whole"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1}{"qid":"q1","docid":"d2","score":1}',
     "Extra data"),
    ("a.jsonl", '{"qid":"q1"\n,"docid":"d1","score":1}', "invalid JSON[\\s\\S]*line 1"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1}\n[]',
     "a JSON list, not an object[\\s\\S]*line 2"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1}\n{"qid":"q1","docid":"\\ud800","score":1}',
     "half a character[\\s\\S]*line 2"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1}\n{"qid":"q1","docid":"d2","score":NaN}',
     "the score nan is not a finite[\\s\\S]*line 2"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":1}\n{"qid":"q1","docid":"d2"}',
     "the field 'score' is missing[\\s\\S]*line 2"),
    ("a.jsonl", '{"qid":"q1","candidates":[]}', "the field 'doc_id' is missing"),
    ("a.tsv", "q1\td1\t1\n\td2\t1\n", "unknown queries: ''[\\s\\S]*tsv, line 2\n"),
    ("a.tsv", "q1\td1\t1\nq1\td2\n", r"2 columns, expected 3[\s\S]*line 2"),
    ("a.tsv", "q1\td1\t1\nq1\td2\t2\tx\n", r"4 columns, expected 3[\s\S]*line 2"),
    ("a.tsv", "q1\td1\t1,5\n", "the score '1,5' is not a finite number"),
    ("a.tsv", "q1\td1\t\n", "the score '' is not a finite number"),
    ("a.run", "q1 Q0 d1 1 0.5\n", "5 columns, a TREC run has 6"),
    ("a.run", "q1 Q0 d1 1 inf t\n", "the score 'inf' is not a finite number"),
    ("a.tsv", b"q1\td1\t\xff\n", "invalid UTF-8"),
    ("a.tsv.gz", CUT, "ends too early|damaged|bad compressed"),
    ("a.tsv", "", "the file holds no score"),
    ("a.tsv", "\n \n", "the file holds no score"),
    ("a.tsv", "qid\tdocid\tscore\n", "the file holds no score"),
    # numbers as no door takes them
    ("a.tsv", "q1\td1\t1_0\n", "the score '1_0' is not a finite number"),
    ("a.tsv", "q1\td1\t\uff11\n", "is not a finite number"),
    ("a.tsv", "q1\td1\t\u0663\n", "is not a finite number"),
    ("a.jsonl", '{"qid":"q1","docid":"d1","score":"1_0"}', "the score '1_0' is not a finite"),
    # headers that are not all known
    ("a.tsv", "query\tdoc\tscore\nq1\td1\t1\n", "looks like a header[\\s\\S]*'doc'[\\s\\S]*line 1"),
    ("a.tsv", "pos\tneg\tqid\tpid_a\tpid_b\n1\t0\tq1\td1\td2\n", "looks like a header"),
    # lines and columns
    ("a.tsv", "q1\td1\t1\rq1\td2\t2\r", "carriage returns alone"),
    ("a.run", "q1 Q0 d1 1 2 t\rq1 Q0 d2 2 1 t\r", "carriage returns alone"),
    ("a.run", "q1 Q0 two words 1 2 t\n", "7 columns, and the rank 'words' is not"),
    ("a.json", '{"q1":{"d1":1,"d2":NaN}}', "the score nan[\\s\\S]*a.json, pair 2"),
    ("a.tsv", pickle.dumps({"q1": {"d1": 1.0}}), "a pickle[\\s\\S]*unsafe-convert-pickle"),
]  # fmt: skip


@pytest.mark.parametrize(
    "spelled", ["1_0", "\uff11", "\u0663", "true", "nan", "1.5", "-1", "2**31"]
)
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.tsv", "q1\td1\t{}\n"),
        ("a.run", "q1 Q0 d1 {} 2 t\n"),
        ("a.jsonl", '{{"qid":"q1","docid":"d1","rank":"{}"}}\n'),
        ("a.json", '{{"q1":{{"d1":"{}"}}}}'),
    ],
)
def test_ranks_are_spelled_as_scores_are(collection, tmp_path, name, line, spelled):
    """Python's `float` would take `1_0` for ten."""
    (tmp_path / name).write_text(line.format(spelled), encoding="utf-8")
    with pytest.raises(BadInput, match=rf"is not a whole number[\s\S]*{name}, (line|pair) 1"):
        read(collection, tmp_path / name, kind="rank")


@pytest.mark.parametrize(("name", "text", "said"), ODD)
def test_odd_files(collection, tmp_path, name, text, said):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match=said):
        read(collection, path)
    assert not written_scores(tmp_path)


PARQUET = [
    ({"qid": ["q1"], "docno": ["d1"], "score": [None]},
     "the score null is not a finite.*\\n.*row 1"),
    ({"qid": ["q1"], "docno": [None], "score": [1.0]}, "'docno' is null.*\\n.*row 1"),
    ({"qid": ["q1"], "docno": [1.0], "score": [1.0]}, "'docno' is 1.0, neither text nor"),
    ({"qid": ["q1"], "docno": ["d1"], "score": [float("nan")]}, "the score nan is not a finite"),
    ({"qid": ["q1"], "docno": ["d1"], "score": [True]}, "the score true is not a finite number"),
    ({"qid": ["q1"], "docno": ["d1"], "points": [1.0]}, "'score' is missing; there are 'qid', 'do"),
    ({"qid": ["q1"], "doc": ["d1"], "score": [1.0]},
     "the column 'doc_id' is missing; there are 'q"),
    ({"qid": ["q1"], "docno": ["d1"], "score": [1.0], "similarity": [2.0]},
     "several columns may be"),
    ({"qid": ["q1"], "document_ids": [["d1"]], "scores": [[1.0, 2.0]]}, "1 documents and 2 scores"),
    ({"qid": ["q1"], "document_ids": [["d1"]], "scores": [1.0]}, "'scores' is 1.0, not a list"),
    ({"qid": ["q1"], "document_ids": [["d1", None]], "scores": [[1.0, 2.0]]},
     "'document_ids' is null"),
    ({"qid": ["q1"], "document_ids": [["d1", "d2"]], "scores": [[1.0, None]]},
     "the score null is not"),
    ({"qid": ["q1", "q2"], "document_ids": [["d1"], None], "scores": [[1.0], None]},
     "is null.*\\n.*row 2"),
]  # fmt: skip


def test_every_pair_left_out_is_no_import(collection, tmp_path):
    (tmp_path / "a.tsv").write_text("zz\td1\t1\nq1\tnowhere\t1\n")
    with pytest.raises(BadInput, match="every pair names unknown ids: 'zz', 'nowhere'"):
        read(collection, tmp_path / "a.tsv", unknown="skip")


@pytest.mark.parametrize("name", ["a.ndjson", "a.JSONL", "a.TSV", "a.Run"])
def test_endings_as_people_write_them(collection, tmp_path, name):
    texts = {"a.TSV": "q1\td1\t0x1p3\n", "a.Run": "q1\tQ0\td1\t1\t0x1p3\tmy run\n"}
    (tmp_path / name).write_text(texts.get(name, '{"qid":"q1","docid":"d1","score":8}\n'))
    assert scores_of(read(collection, tmp_path / name)) == [8]


def test_a_column_twice_is_refused(collection, tmp_path):
    for names in (["qid", "docno", "score", "score"], ["qid", "qid", "docno", "score"]):
        columns = [["q1"] if name == "qid" else ["d1"] for name in names[:-1]]
        columns = [
            [1.0] if name == "score" else c for name, c in zip(names, [*columns, []], strict=True)
        ]
        pq.write_table(pa.table(columns, names=names), tmp_path / "a.parquet")
        with pytest.raises(BadInput, match="stands twice"):
            read(collection, tmp_path / "a.parquet")


PAIR = {"qid": ["q1"], "docno": ["d1"], "score": [1.0]}
BESIDE = {
    "a gap": (["train-00000-of-00003", "train-00002-of-00003"], {}, "number 00001 is missing"),
    "another format": (["a"], {"b.jsonl": "{}"}, "b.jsonl would not be read"),
    "a folder": (["a"], {"more/c.parquet": "x"}, "more/c.parquet would not be read"),
    "cards and hidden files": (["a"], {"README.md": "x", "info.json": "{}", ".b.parquet": "x"}, ""),
}


@pytest.mark.parametrize(("shards", "beside", "said"), BESIDE.values(), ids=BESIDE)
def test_a_folder_of_shards_is_read_whole(collection, tmp_path, shards, beside, said):
    place = tmp_path / "shards"
    place.mkdir()
    for name in shards:
        pq.write_table(pa.table(PAIR), place / f"{name}.parquet")
    for name, text in beside.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    if said:
        with pytest.raises(BadInput, match=said):
            read(collection, place, form="parquet")
    else:
        assert scores_of(read(collection, place)) == [1]


def test_a_number_that_stands_for_two_ids_is_refused(collection, tmp_path):
    """Of two rows of a map the last would count, and scores would move to another document."""
    ids = {"of": ["query", "document", "document"], "ours": ["q1", "d1", "d2"], "theirs": [0, 7, 7]}
    pq.write_table(pa.table(ids), tmp_path / "id_map.parquet")
    (tmp_path / "a.tsv").write_text("0\t7\t1.5\n")
    said = r"the document 7 is 'd1' in a row before, and 'd2' here[\s\S]*id_map.parquet, row 3"
    with pytest.raises(BadInput, match=said):
        read(collection, tmp_path / "a.tsv")


def test_an_id_map_in_the_folder_is_no_shard(collection, tmp_path):
    place = tmp_path / "numbered"
    place.mkdir()
    pq.write_table(pa.table({"qid": [1], "docno": [5], "score": [2.0]}), place / "a.parquet")
    ids = {"of": ["query", "document"], "ours": ["q1", "d1"], "theirs": ["1", "5"]}
    pq.write_table(pa.table(ids), place / "id_map.parquet")
    assert scores_of(read(collection, place)) == [2]


@pytest.mark.parametrize(("columns", "said"), PARQUET)
def test_odd_tables(collection, tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=said):
        read(collection, tmp_path / "a.parquet")


def scores_of(made: Artifact) -> list[float]:
    return [s for table in made.tables() for s in list_values(table["logit"])[1].tolist()]


def test_of_several_columns_the_kind_names_one(collection, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"qid":"q1","docid":"d1","score":1,"logit":2,"similarity":0.5}\n')
    assert scores_of(read(collection, path, kind="logit")) == [2]
    assert scores_of(read(collection, path, kind="similarity")) == [0.5]
    with pytest.raises(BadInput, match="several columns may be the scores"):
        read(collection, path, kind="probability")
    path.write_text('{"qid":"q1","docid":"d1","log_probability":-2,"score":3}\n')
    assert scores_of(read(collection, path, kind="log-prob")) == [-2]
    # one row has another name for its score than the first
    path.write_text('{"qid":"q1","docid":"d1","score":1}\n{"qid":"q1","docid":"d2","logit":2}\n')
    assert scores_of(read(collection, path)) == [1, 2]


def test_logits_that_look_like_probabilities_are_told(collection, tmp_path):
    path = tmp_path / "a.tsv"
    rows = [f"q1\td{n}\t{min(1, n / 100)}" for n in range(120)]
    path.write_bytes(lines(rows))
    said = (
        r"all 120 scores lie between 0 and 1, 21 of them saturated at exactly 0 or 1.*probability"
    )
    with pytest.warns(RuntimeWarning, match=said):
        read(collection, path)
    with pytest.warns(RuntimeWarning, match="21 of 120 scores are saturated"):
        read(collection, path, kind="probability")
    path.write_bytes(lines([*rows, "q1\td130\t1.5"]))
    read(collection, path)


def killed_at(monkeypatch, number: int) -> None:
    """Let the worker die before it makes a part."""
    make = imported.ScoreImporter.__call__

    def dying(self, shard):
        if shard.number == number:
            raise KeyboardInterrupt
        return make(self, shard)

    monkeypatch.setattr(imported.ScoreImporter, "__call__", dying)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fallocate of Linux")
def test_scratch_files_are_given_back_as_parts_are_made(collection, tmp_path, small, monkeypatch):
    monkeypatch.setattr(files.arrow, "_PAGE", 4)  # so that every freed pair reads as zero
    rows = drawn_rows(8, 900)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = read(collection, write(tmp_path / "whole" / "a.tsv", rows))
    path = write(tmp_path / "killed" / "a.tsv", rows)
    with monkeypatch.context() as patch:
        killed_at(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            read(collection, path)
    scratch = next((tmp_path / "killed" / "work" / "tmp").rglob("sorted"))
    runs = sorted_runs.Runs(scratch)
    first = int((scratch / "freed").read_bytes())
    assert 0 < first < 40
    for run in runs._runs:
        done = run.offsets[np.searchsorted(run.query, first)]
        assert done > 0
        assert not run.doc[:done].any()
        assert not run.score[:done].any()
        assert run.score[done:].all()
    assert read(collection, path).root_hash == whole.root_hash


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fallocate of Linux")
def test_a_part_that_is_lost_after_its_pairs_were_freed_is_no_part_of_zeros(
    collection, tmp_path, small, monkeypatch
):
    path = write(tmp_path / "a.tsv", drawn_rows(9, 900))
    with monkeypatch.context() as patch:
        killed_at(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            read(collection, path)
    for file in (tmp_path / "work" / "scores").rglob("part-00001*"):
        file.unlink()
    with pytest.raises(Corrupt, match=r"(?s)the pairs of a part that is gone.*do: delete .*sorted"):
        read(collection, path)
    shutil.rmtree(next((tmp_path / "work" / "tmp").rglob("sorted")))
    assert read(collection, path).counts["pairs"] == 900
