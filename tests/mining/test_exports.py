"""What holds for every export: the sidecar, refusals, odd texts and ids, faults of the disk."""

from __future__ import annotations

import errno
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder
from toy_groups import DOCS, QUERIES, publish, publish_arrays, toy

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, RankmillError, UsageError
from rankmill.mining.exports import EXPORTS, export_groups
from rankmill.mining.exports.lightning_ir import best_first
from rankmill.mining.exports.source import Batch
from rankmill.mining.groups import Groups
from rankmill.mining.store import Workspace, files

LOSSY = ("arctic-embed", "arctic-embed-batches", "beir", "gpl", "ms-swift", "nemo", "tevatron-ids")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return groups of 6 over a tiny collection, two of query q0, and the collection."""
    folder = tmp_path_factory.mktemp("exports")
    collection = collect(Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'tiny')}")
    random = np.random.Generator(np.random.Philox(5))
    rows = []
    for query in ["q0", *(f"q{i}" for i in range(12))]:
        docs = random.choice(150, 6, replace=False)
        rows.append((query, [f"d{d}" for d in docs], random.normal(0, 3, 6).tolist()))
    return publish(collection, rows, parts=1), collection


def rows_of(groups, collection):
    """The groups by plain look-ups: (query id, document ids, scores)."""
    read = Groups(groups)
    for number in range(len(read)):
        group = read[number]
        query = collection.queries.query_id(int(group.query[0]))
        yield query, collection.corpus.doc_ids(group.doc[0]), group.score[0].tolist()


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


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
        lines(inline / "train.jsonl"), rows_of(groups, collection), strict=True
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
        for qid, *items in lines(folder / "train.json")
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


PLAIN = [name for name in EXPORTS.names() if name != "arctic-embed-batches"]  # needs a model


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
    (row,) = lines(out / "train" / "train.jsonl")
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


def test_contrastors_offsets_of_many_shards(made, tmp_path):
    groups, collection = made
    out = export_groups("contrastors(shard=5)", groups, collection, tmp_path / "out").path
    counts = json.loads((out / "counts.json").read_text())
    assert list(counts.values()) == [5, 5, 3]
    offsets = json.loads(gzip.open(out / "offsets.json.gz").read())
    queries = []
    for name, count in counts.items():
        text = gzip.open(out / name, "rt", encoding="utf-8", newline="").read()
        for line in range(count):
            begin, end = offsets[name][str(line)]
            queries.append(json.loads(text[begin:end])["query"])
    ids = [query for query, _, _ in rows_of(groups, collection)]
    assert queries == collection.queries.texts(collection.queries.ordinals(ids))


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


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", PLAIN)
def test_lossy_formats_need_to_be_allowed(made, tmp_path, form):
    groups, collection = made
    assert (EXPORTS.parse(form).scores != "raw") == (form in LOSSY)
    if form in LOSSY:
        with pytest.raises(
            UsageError, match=rf"{form}.* (cannot hold|holds only)(.|\n)*--allow-los"
        ):
            export_groups(form, groups, collection, tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("colbrt", r"unknown export format 'colbrt'(.|\n)*did you mean colbert"),
        ("splade(kind=pkl_dict)", r"pkl_dict is a pickle(.|\n)*choose one of json, trec, raw"),
        ("splade(kind=x)", r"kind=x(.|\n)*choose one of json, trec, raw"),
        ("lsr(kind=scores)", r"scores is a gzip pickle(.|\n)*use kind=triplets"),
        ("lsr(kind=x)", "kind=x"),
        ("matchmaker(kind=x)", r"kind=x(.|\n)*texts, ids"),
        ("nemo(layout=x)", r"layout=x(.|\n)*ids, inline, arrow"),
        ("sentence-transformers-rows(layout=x)", r"layout=x(.|\n)*tuples, triplets, pairs, lists"),
        ("sentence-transformers-rows(file=csv)", r"file=csv(.|\n)*parquet, jsonl"),
        ("lightning-ir(name=a.b)", r"name='a.b' cannot stand in the file name"),
        ("lightning-ir(name=a__b)", r"name='a__b' cannot stand in the file name"),
        ("contrastors(shard=0)", r"shard=0"),
        ("arctic-embed-batches(model=x,queries=0)", r"queries=0"),
        ("arctic-embed-batches", "needs model"),
        ('datasets(title="a\\nb")', "holds a quote or a line break"),
        ("colbert(x=1)", "colbert has no parameter 'x'"),
        ("3", "'3' is not an export format"),
    ],
)
def test_formats_that_are_not_there(made, tmp_path, form, message):
    groups, collection = made
    with pytest.raises(UsageError, match=message):
        export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_size_that_the_groups_do_not_have(made, tmp_path, size):
    groups, collection = made
    with pytest.raises(UsageError, match=rf"size={size} of groups of 6(.|\n)*give 2 to 6"):
        export_groups("colbert", groups, collection, tmp_path / "out", size=size)


def test_missing_scores_stop_the_export_or_drop_the_group(made, tmp_path):
    groups, collection = made
    arrays = Groups(groups).part(0)
    score = arrays.score.copy()
    score[2, 3] = np.nan
    broken = publish_arrays(collection, replace(arrays, score=score))
    query, docs, _ = list(rows_of(groups, collection))[2]
    where = rf"score of query '{query}' with document '{docs[3]}' is nan(.|\n)*drop_group"
    with pytest.raises(BadInput, match=where):
        export_groups("colbert", broken, collection, tmp_path / "out")
    with pytest.raises(UsageError, match=r"missing=zero(.|\n)*error, drop_group"):
        export_groups("colbert", broken, collection, tmp_path / "out", missing="zero")
    assert not (tmp_path / "out").exists()
    out = export_groups("colbert", broken, collection, tmp_path / "out", missing="drop_group")
    assert out.facts["dropped_groups"] == {"missing_score": 1}
    assert len(lines(out.path / "train.json")) == out.facts["groups"] == 12
    all_gone = publish_arrays(collection, replace(arrays, score=np.full_like(score, np.inf)))
    with pytest.raises(BadInput, match="there is no group to write"):
        export_groups("colbert", all_gone, collection, tmp_path / "b", missing="drop_group")


@pytest.mark.parametrize(
    ("docs", "queries", "message"),
    [
        (DOCS | {"1": " \t"}, QUERIES, "1 documents of the groups are empty: '1'"),
        (DOCS, {"10": ""}, "1 queries of the groups are empty: '10'"),
    ],
)
def test_empty_texts_are_refused(tmp_path, docs, queries, message):
    groups, collection = toy(tmp_path, docs, queries)
    with pytest.raises(BadInput, match=message):
        export_groups("tevatron", groups, collection, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_groups("trec", groups, collection, tmp_path / "out")  # holds no texts


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("trec", "the id 'a b' holds a blank"),
        ("gpl", "the id 'a b' holds a blank"),
    ],
)
def test_ids_with_blanks_have_no_place_in_a_run(tmp_path, form, message):
    docs = {"0": "one", "a b": "two"}
    groups, collection = toy(tmp_path, docs, groups=[("10", list(docs), [1, 2])])
    with pytest.raises(BadInput, match=message):
        export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True)
    assert not (tmp_path / "out").exists()


def test_ids_with_tabs_have_no_place_in_beir(tmp_path):
    docs = {"0": "one", "a\tb": "two"}
    groups, collection = toy(tmp_path, docs, groups=[("10", list(docs), [1, 2])])
    both = replace(Groups(groups).part(0), grade=np.array([[1, 1]], np.int8))
    judged = publish_arrays(collection, both)
    with pytest.raises(BadInput, match=r"the id 'a\\tb' holds a tab"):
        export_groups("beir", judged, collection, tmp_path / "out", allow_lossy=True)


def test_groups_of_another_collection_are_refused(made, tmp_path):
    _, other = toy(tmp_path)
    with pytest.raises(BadInput, match="the groups are about another corpus than this collection"):
        export_groups("colbert", made[0], other, tmp_path / "out")


def test_queries_out_of_order_cannot_be_joined(made, tmp_path):
    groups, collection = made
    arrays = Groups(groups).part(0)
    backwards = publish_arrays(collection, arrays[np.arange(len(arrays))[::-1]])
    with pytest.raises(BadInput, match="the groups are not in the order of their queries"):
        export_groups("trec", backwards, collection, tmp_path / "out")


def test_a_folder_that_is_not_empty_is_left_alone(made, tmp_path):
    groups, collection = made
    (tmp_path / "out").mkdir()
    export_groups("colbert", groups, collection, tmp_path / "out")  # empty: fine
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match="the target folder is not empty"):
        export_groups("trove", groups, collection, tmp_path / "out")
    with pytest.raises(BadInput, match="the target is a file"):
        export_groups("trove", groups, collection, tmp_path / "out" / "train.json")
    assert sorted(tmp_path.rglob("*")) == before


def failing(at: int, counted: list[str]):
    """Return a fault that notes every step of the disk and fails at one of them."""

    def strike(step: str, path: Path) -> None:
        counted.append(step)
        if len(counted) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return strike


@pytest.mark.parametrize("form", ["sentence-transformers", "colbert", "contrastors", "nemo"])
def test_a_full_disk_at_any_step_leaves_nothing_behind(made, tmp_path, monkeypatch, form):
    groups, collection = made
    steps: list[str] = []
    monkeypatch.setattr(files, "fault", failing(0, steps))
    export_groups(form, groups, collection, tmp_path / "whole", allow_lossy=True)
    last = steps.index("rename") + 1  # afterwards the folder stands there, complete
    for at in range(1, last + 1):
        place = tmp_path / str(at)
        place.mkdir()
        monkeypatch.setattr(files, "fault", failing(at, []))
        with pytest.raises(RankmillError, match=r"No space left on device(.|\n)*choose another pl"):
            export_groups(form, groups, collection, place / "out", allow_lossy=True)
        assert list(place.iterdir()) == [], steps[at - 1]


@pytest.mark.parametrize("form", ["pylate", "tevatron", "contrastors", "tevatron-megatron"])
def test_a_disk_that_fills_while_writing_leaves_nothing_behind(made, tmp_path, monkeypatch, form):
    groups, collection = made

    def full(self: object, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.HashingSink, "write", full)
    with pytest.raises(RankmillError, match="No space left on device"):
        export_groups(form, groups, collection, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
