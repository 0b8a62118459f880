"""What holds for every export: groups with their scores, the sidecar, odd texts and ids."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_encoder
from toy_groups import PLAIN, json_lines, publish_arrays, random_toy, rows_of, toy

from rankmill.mining.errors import BadInput
from rankmill.mining.exports import export_groups
from rankmill.mining.exports.ranking.lightning_ir import best_first
from rankmill.mining.exports.source import Batch
from rankmill.mining.groups.format import Groups
from rankmill.mining.store import files


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return random_toy(tmp_path_factory.mktemp("exports"))


# ---- what is written -----------------------------------------------------------------------------


def test_every_group_is_written_with_its_scores(made, tmp_path):
    groups, collection = made
    triple = export_groups("sentence-transformers", groups, collection, tmp_path / "a").path
    found = pq.read_table(triple / "train.parquet").to_pylist()
    assert [(r["query_id"], r["document_ids"], r["scores"]) for r in found] == list(
        rows_of(groups, collection)
    )
    texts = pq.read_table(triple / "documents.parquet").to_pylist()
    used = sorted({d for r in found for d in r["document_ids"]}, key=lambda d: int(d[1:]))
    assert [t["document_id"] for t in texts] == used
    assert [t["text"] for t in texts] == collection.corpus.texts(collection.corpus.ordinals(used))

    inline = export_groups("tevatron", groups, collection, tmp_path / "b").path
    for row, (query, docs, scores) in zip(
        json_lines(inline / "train.jsonl"), rows_of(groups, collection), strict=True
    ):
        passages = row["positive_passages"] + row["negative_passages"]
        assert (row["query_id"], [p["docid"] for p in passages]) == (query, docs)
        assert [np.float32(p["score"]) for p in passages] == [np.float32(s) for s in scores]


def test_numbered_formats_lead_back_by_their_map(made, tmp_path):
    groups, collection = made
    folder = export_groups("colbert", groups, collection, tmp_path / "out").path
    back = {"query": {}, "document": {}}
    for row in pq.read_table(folder / "id_map.parquet").to_pylist():
        back[row["of"]][row["theirs"]] = row["ours"]
    found = [
        (back["query"][qid], [back["document"][pid] for pid, _ in items], [s for _, s in items])
        for qid, *items in json_lines(folder / "train.json")
    ]
    expected = list(rows_of(groups, collection))
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert np.float32([row[2] for row in found]).tolist() == [row[2] for row in expected]
    texts = (folder / "collection.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    assert [line.split("\t")[0] for line in texts] == [str(i) for i in range(len(texts))]
    pid = next(p for p, ours in back["document"].items() if ours == found[0][1][0])
    doc = int(collection.corpus.ordinals([found[0][1][0]])[0])
    assert texts[pid].split("\t")[1] == collection.corpus.text(doc)


def test_groups_of_a_query_are_joined_where_a_format_is_keyed_by_query(made, tmp_path):
    groups, collection = made
    folder = export_groups("rankers", groups, collection, tmp_path / "out").path
    expected: dict[str, dict[str, float]] = {}
    for query, docs, scores in rows_of(groups, collection):
        for doc, score in zip(docs, scores, strict=True):
            expected.setdefault(query, {}).setdefault(doc, score)
    teacher = json.loads((folder / "teacher.json").read_text())
    assert {q: {d: float(np.float32(s)) for d, s in row.items()} for q, row in teacher.items()} == (
        expected
    )
    run = export_groups("trec", groups, collection, tmp_path / "run").path / "run.trec"
    rows = [line.split() for line in run.read_text().splitlines()]
    for query, scores in expected.items():
        mine = [r for r in rows if r[0] == query]
        assert [r[2] for r in mine] == sorted(scores, key=lambda d: -scores[d])
        assert [int(r[3]) for r in mine] == list(range(1, len(scores) + 1))
    leads = {(q, d[0]) for q, d, _ in rows_of(groups, collection)}
    judged = (line.split() for line in (run.parent / "qrels.txt").read_text().splitlines())
    assert {(r[0], r[2]) for r in judged} == leads
    ids = [r["question_id"] for r in json.loads(
        (export_groups("nemo", groups, collection, tmp_path / "nemo", allow_lossy=True).path
         / "train.json").read_text())["data"]]  # fmt: skip
    assert ids[:3] == ["q0", "q0#2", "q1"]


@pytest.mark.parametrize("form", PLAIN)
def test_parts_and_batches_do_not_change_a_byte(made, tmp_path, monkeypatch, form):
    groups, collection = made
    arrays = Groups(groups).part(0)
    whole = export_groups(form, groups, collection, tmp_path / "a", allow_lossy=True)
    again = publish_arrays(collection, arrays, parts=3)
    monkeypatch.setattr("rankmill.mining.exports.source._PAIRS", 18)
    small = export_groups(form, again, collection, tmp_path / "b", allow_lossy=True)
    for name in whole.facts["files"]:
        a, b = whole.path / name, small.path / name
        if name.endswith((".parquet", ".arrow")):  # their row groups follow the batches
            if name.endswith(".parquet"):
                assert pq.read_table(a).equals(pq.read_table(b)), name
        elif name.endswith(".gz"):
            assert gzip.open(a).read() == gzip.open(b).read(), name
        elif name != "README.md":  # names the root hash, and that of three parts is another
            assert a.read_bytes() == b.read_bytes(), name


def test_the_sidecar_says_what_it_is(made, tmp_path):
    groups, collection = made
    out = export_groups("colbert", groups, collection, tmp_path / "out")
    facts = json.loads((out.path / "export.json").read_text())
    assert facts == out.facts
    told = {k: facts[k] for k in ("format", "scores", "score_kind", "seed", "ids", "id_map")}
    assert told == {
        "format": "colbert",
        "scores": "raw",
        "score_kind": "logit",
        "seed": 3,
        "ids": "integers",
        "id_map": "id_map.parquet",
    }
    assert (facts["groups"], facts["group_size"], facts["queries"]) == (13, 6, 12)
    assert facts["breaks_in_texts"] == "space"
    assert facts["inputs"]["groups"] == groups.root_hash
    assert out.bytes == sum(facts["files"][n]["bytes"] for n in facts["files"])
    for name, file in facts["files"].items():
        assert files.sha256_of(out.path / name) == file["sha256"]
        assert (out.path / name).stat().st_size == file["bytes"]


def test_smaller_groups_keep_the_positive_and_draw_negatives(made, tmp_path):
    groups, collection = made
    seeds = [
        pq.read_table(
            export_groups(
                "pylate", groups, collection, tmp_path / str(i), size=3, seed=seed
            ).path / "train.parquet"
        ).to_pylist()
        for i, seed in enumerate([1, 1, 2])
    ]  # fmt: skip
    assert seeds[0] == seeds[1] != seeds[2]
    for row, (query, docs, scores) in zip(seeds[0], rows_of(groups, collection), strict=True):
        assert (row["query_id"], row["document_ids"][0], len(row["scores"])) == (query, docs[0], 3)
        places = [docs.index(d) for d in row["document_ids"]]
        assert places == sorted(set(places))
        assert row["scores"] == [scores[p] for p in places]


def test_several_positives_stand_apart_or_are_refused(tmp_path):
    groups, collection = toy(tmp_path)
    arrays = Groups(groups).part(0)
    grade = np.array([[1, 1, 0]], np.int8)
    both = publish_arrays(collection, replace(arrays, grade=grade), positives="together")
    out = export_groups("flag-embedding", both, collection, tmp_path / "a").path
    (row,) = json_lines(out / "train" / "train.jsonl")
    assert (row["pos_scores"], row["neg_scores"]) == ([9.25, 3.5], [-1.25])
    with pytest.raises(BadInput, match="rankers holds one positive a group, these groups have sev"):
        export_groups("rankers", both, collection, tmp_path / "b")


@pytest.mark.parametrize("lengths", [[4] * 500, [3, 1, 5] * 200])
def test_the_order_of_a_run_is_that_of_score_then_ordinal(lengths):
    random = np.random.Generator(np.random.Philox(9))
    values = np.float32([-3.4e38, -2, -1e-45, -0.0, 0.0, 1e-45, 2, 2, 3.4e38])
    n = sum(lengths)
    batch = Batch(
        query=np.arange(len(lengths), dtype=np.uint32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        doc=random.permutation(2**32 - 1 - np.arange(n)).astype(np.uint32),
        score=values[random.integers(0, len(values), n)],
        grade=np.zeros(n, np.int8),
        lead=np.zeros(n, bool),
    )
    places, rank = best_first(batch)
    expected = [
        sorted(range(low, high), key=lambda i: (-batch.score[i], batch.doc[i]))
        for low, high in zip(batch.offsets, batch.offsets[1:], strict=False)
    ]
    assert places.tolist() == [i for row in expected for i in row]
    assert rank.tolist() == [i + 1 for length in lengths for i in range(length)]


# ---- odd texts and ids ---------------------------------------------------------------------------

ODD = {
    "0": 'tab\there\r\nand "quotes" \\ back\\slash \u0001',
    "1": "שלום \u2028 line separator 🦉 e\u0301",
    "2": "plain",
}


def test_breaks_become_spaces_in_tables_and_stay_in_json(tmp_path):
    groups, collection = toy(tmp_path, docs=ODD)
    tabs = export_groups("colbert", groups, collection, tmp_path / "a").path / "collection.tsv"
    rows = [line.split("\t") for line in tabs.read_bytes().decode().split("\n")[:-1]]
    assert rows[0] == ["0", ODD["0"].replace("\t", " ").replace("\r", " ").replace("\n", " ")]
    assert rows[1] == ["1", ODD["1"]]
    triples = export_groups("lsr", groups, collection, tmp_path / "b").path / "triplets.tsv"
    assert {len(r.split("\t")) for r in triples.read_bytes().decode().split("\n")[:-1]} == {5}
    for number, form in enumerate(("flag-embedding", "contrastors", "rankers")):
        out = export_groups(form, groups, collection, tmp_path / str(number)).path
        raw = {
            "flag-embedding": lambda p: (p / "train" / "train.jsonl").read_bytes(),
            "contrastors": lambda p: gzip.open(p / "shard-00000.jsonl.gz").read(),
            "rankers": lambda p: (p / "documents.json").read_bytes(),
        }[form](out)
        strings = json.dumps(json.loads(raw), ensure_ascii=False)
        for text in ODD.values():
            assert json.dumps(text, ensure_ascii=False) in strings


def test_arctic_batches_hold_so_many_queries(made, tmp_path, monkeypatch):
    groups, collection = made
    monkeypatch.setattr("rankmill.mining.exports.source._TEXT_BYTES", 1)  # batches of one group
    model = tiny_encoder(tmp_path / "encoder")
    form = f'arctic-embed-batches(model="{model}",queries=5)'
    out = export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True).path
    found = {"queries": [], "documents": [], "relations": []}
    for folder in sorted((out / "data").iterdir()):
        for name, tables in found.items():
            tables.append(pq.read_table(folder / f"{name}.parquet"))
    assert [t.num_rows for t in found["queries"]] == [5, 5, 2]
    for docs, relations in zip(found["documents"], found["relations"], strict=True):
        ids = docs["BATCH_DOCUMENT_ID"].to_pylist()
        assert set(ids) == set(relations["BATCH_DOCUMENT_ID"].to_pylist())
        assert len(set(ids)) == len(ids)
    positives = sum(t["RELEVANCE"].to_pylist().count(1) for t in found["relations"])
    assert positives == len({(query, docs[0]) for query, docs, _ in rows_of(groups, collection)})
    with pytest.raises(BadInput, match="there is no model folder 'nowhere'"):
        export_groups(form.replace(str(model), "nowhere"), groups, collection, tmp_path / "b",
                      allow_lossy=True)  # fmt: skip
    assert not (tmp_path / "b").exists()


def test_ids_that_are_not_canonical_integers_are_renumbered(tmp_path):
    docs = {"007": "one", 'a"b': "two", "12": "three"}
    groups, collection = toy(tmp_path, docs, {"00": "query"}, [("00", list(docs), [1, 2, 3])])
    splade = export_groups("splade", groups, collection, tmp_path / "a").path
    assert json.loads((splade / "scores.json").read_text()) == {"0": {"0": 1, "1": 2, "2": 3}}
    theirs = pq.read_table(splade / "id_map.parquet").to_pylist()
    assert [(r["ours"], r["theirs"]) for r in theirs] == [
        ("00", 0), ("007", 0), ('a"b', 1), ("12", 2),
    ]  # fmt: skip
    rankers = export_groups("rankers", groups, collection, tmp_path / "b").path
    assert json.loads((rankers / "teacher.json").read_text()) == {
        "00": {"007": 1.0, 'a"b': 2.0, "12": 3.0}
    }
