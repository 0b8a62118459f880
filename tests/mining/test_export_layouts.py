"""Every format against its documented layout, on the toy group of tests/toy_groups.py."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import ir_measures
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_encoder
from toy_groups import toy

from rankmill.mining.exports import EXPORTS, export_groups
from rankmill.mining.models.folder import resolve

Q, P, N1, N2 = (
    "what grows tall",
    "alpha beans grow tall",
    "beta soup is warm",
    "gamma rays pass walls",
)
CORPUS = [{"_id": "0", "text": P}, {"_id": "1", "text": N1}, {"_id": "2", "text": N2}]
TITLED = [{"_id": d["_id"], "title": "", "text": d["text"]} for d in CORPUS]


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    return toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def export(toys, tmp_path):
    """Return a function that writes a format and returns its folder."""
    groups, collection = toys

    def write(form: str) -> Path:
        made = export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True)
        names = {p.relative_to(made.path).as_posix() for p in made.path.rglob("*") if p.is_file()}
        assert names == {*made.facts["files"], "export.json"}
        return made.path

    return write


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


# ---- the layouts of exports.md, in its order -----------------------------------------------------


@pytest.mark.parametrize("form", ["sentence-transformers", "pylate"])
def test_id_triple(export, form):
    folder = export(form)
    train = pq.read_table(folder / "train.parquet")
    assert [f"{f.name}: {f.type}" for f in train.schema] == [
        "query_id: string",
        "document_ids: list<element: string>",
        "scores: list<element: float>",
    ]
    assert train.to_pylist() == [
        {"query_id": "10", "document_ids": ["0", "1", "2"], "scores": [9.25, 3.5, -1.25]}
    ]
    queries, documents = (pq.read_table(folder / f"{n}.parquet") for n in ("queries", "documents"))
    assert queries.to_pylist() == [{"query_id": "10", "text": Q}]
    assert documents.to_pylist() == [
        {"document_id": "0", "text": P},
        {"document_id": "1", "text": N1},
        {"document_id": "2", "text": N2},
    ]
    assert {f.type for t in (queries, documents) for f in t.schema} == {pa.string()}


ROWS = {
    "tuples": [
        {"query": Q, "positive": P, "negative_1": N1, "negative_2": N2}
        | {"scores": [9.25, 3.5, -1.25]}
    ],
    "triplets": [
        {"query": Q, "positive": P, "negative": N1, "scores": [9.25, 3.5]},
        {"query": Q, "positive": P, "negative": N2, "scores": [9.25, -1.25]},
    ],
    "pairs": [
        {"query": Q, "document": P, "score": 9.25},
        {"query": Q, "document": N1, "score": 3.5},
        {"query": Q, "document": N2, "score": -1.25},
    ],
    "lists": [{"query": Q, "documents": [P, N1, N2], "scores": [9.25, 3.5, -1.25]}],
}


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("file", ["parquet", "jsonl"])
def test_rows_of_sentence_transformers_in_the_order_of_their_columns(export, layout, file):
    folder = export(f"sentence-transformers-rows(layout={layout},file={file})")
    found = table(folder / "train.parquet") if file == "parquet" else lines(folder / "train.jsonl")
    assert found == ROWS[layout]
    assert list(found[0]) == list(ROWS[layout][0])


def test_flag_embedding_in_a_folder_without_our_sidecar(export):
    folder = export("flag-embedding") / "train"
    assert [p.name for p in folder.iterdir()] == ["train.jsonl"]
    assert lines(folder / "train.jsonl") == [
        {"query": Q, "pos": [P], "neg": [N1, N2], "pos_scores": [9.25], "neg_scores": [3.5, -1.25]}
    ]


@pytest.mark.parametrize("titles", [False, True])
def test_tevatron_inline(export, titles):
    title = {"title": ""} if titles else {}
    passages = [
        {"docid": d, **title, "text": t, "score": s}
        for d, t, s in (("0", P, 9.25), ("1", N1, 3.5), ("2", N2, -1.25))
    ]
    assert lines(export(f"tevatron(titles={str(titles).lower()})") / "train.jsonl") == [
        {"query_id": "10", "query": Q, "positive_passages": passages[:1]}
        | {"negative_passages": passages[1:]}
    ]


def test_tevatron_ids_whose_corpus_key_is_text(export):
    folder = export("tevatron-ids")
    assert lines(folder / "train.jsonl") == [
        {"query_id": "10", "query_text": Q, "positive_document_ids": ["0"]}
        | {"negative_document_ids": ["1", "2"]}
    ]
    assert lines(folder / "corpus.jsonl") == [
        {"docid": d["_id"], "text": d["text"]} for d in CORPUS
    ]


def test_tevatron_megatron_is_a_stream_with_its_features(export):
    folder = export("tevatron-megatron")
    state = json.loads((folder / "state.json").read_text())
    (file,) = state["_data_files"]
    rows = pa.ipc.open_stream(folder / file["filename"]).read_all().to_pylist()
    passages = [{"title": "", "text": t} for t in (P, N1, N2)]
    scores = [9.25, 3.5, -1.25]
    assert rows == [{"query_id": "10", "query": Q, "passages": passages, "scores": scores}]
    features = json.loads((folder / "dataset_info.json").read_text())["features"]
    assert set(features) == set(rows[0])


def test_rankers(export):
    folder = export("rankers")
    assert lines(folder / "train.jsonl") == [
        {"query_id": "10", "doc_id_a": "0", "doc_id_b": ["1", "2"]}
    ]
    scores = {"10": {"0": 9.25, "1": 3.5, "2": -1.25}}
    assert json.loads((folder / "teacher.json").read_text()) == scores
    assert json.loads((folder / "documents.json").read_text()) == {"0": P, "1": N1, "2": N2}
    assert json.loads((folder / "queries.json").read_text()) == {"10": Q}


def test_lightning_ir_names_the_dataset_and_ranks_from_one(export):
    folder = export("lightning-ir(dataset=msmarco-passage/train/judged,name=mine)")
    found = table(folder / "mine__msmarco-passage-train-judged.parquet")
    same = {"query_id": "10", "query": Q, "iteration": "0"}
    assert found == [
        same | {"doc_id": d, "rank": r, "score": s, "text": t, "relevance": int(r == 1)}
        for d, r, s, t in (("0", 1, 9.25, P), ("1", 2, 3.5, N1), ("2", 3, -1.25, N2))
    ]


def test_colbert_puts_the_document_before_its_score(export):
    folder = export("colbert")
    assert (folder / "train.json").read_text() == "[10,[0,9.25],[1,3.5],[2,-1.25]]\n"
    assert (folder / "queries.tsv").read_text() == f"10\t{Q}\n"
    assert (folder / "collection.tsv").read_text() == f"0\t{P}\n1\t{N1}\n2\t{N2}\n"


def test_splade(export, toys, tmp_path):
    folder = export("splade")
    assert (folder / "collection.tsv").read_text() == f"0\t{P}\n1\t{N1}\n2\t{N2}\n"
    assert (folder / "queries.tsv").read_text() == f"10\t{Q}\n"
    assert json.loads((folder / "qrels.json").read_text()) == {"10": {"0": 1}}
    scores = {"10": {"0": 9.25, "1": 3.5, "2": -1.25}}
    assert json.loads((folder / "scores.json").read_text()) == scores
    run = export_groups("splade(kind=trec)", *toys, tmp_path / "run").path / "scores.trec"
    assert run.read_text().splitlines()[0] == "10 Q0 0 1 9.25 rankmill"


TEXTS_FIRST = f"{Q}\t{P}\t{N1}\t9.25\t3.5\n{Q}\t{P}\t{N2}\t9.25\t-1.25\n"
SCORES_FIRST = f"9.25\t3.5\t{Q}\t{P}\t{N1}\n9.25\t-1.25\t{Q}\t{P}\t{N2}\n"


@pytest.mark.parametrize(
    ("form", "file", "text"),
    [
        ("splade(kind=raw)", "raw.tsv", TEXTS_FIRST),
        ("lsr", "triplets.tsv", TEXTS_FIRST),
        ("matchmaker", "train.tsv", SCORES_FIRST),
        ("matchmaker(kind=ids)", "train.tsv", "9.25\t3.5\t10\t0\t1\n9.25\t-1.25\t10\t0\t2\n"),
    ],
)
def test_triples_in_the_two_orders_of_columns(export, form, file, text):
    assert (export(form) / file).read_text() == text


def test_nemo_by_id(export):
    folder = export("nemo")
    assert json.loads((folder / "train.json").read_text()) == {
        "corpus": [{"path": "corpus"}],
        "data": [
            {"question_id": "10", "question": Q, "corpus_id": "rankmill"}
            | {"pos_doc": [{"id": "0"}], "neg_doc": [{"id": "1"}, {"id": "2"}]}
        ],
    }
    metadata = json.loads((folder / "corpus" / "merlin_metadata.json").read_text())
    assert metadata == {"class": "TextQADataset", "corpus_id": "rankmill"}
    corpus = [{"id": d["_id"], "text": d["text"]} for d in CORPUS]
    assert table(folder / "corpus" / "train.parquet") == corpus


def test_nemo_inline(export):
    row = {"query": Q, "pos_doc": P, "neg_doc": [N1, N2]}
    assert lines(export("nemo(layout=inline)") / "train.jsonl") == [row]


def test_nemo_bundle_of_arrow_streams(export):
    folder = export("nemo(layout=arrow)")
    same = {"format": "nemo_automodel_normalized_vl_retrieval_arrow", "version": 1}
    root = json.loads((folder / "metadata.json").read_text())
    assert root == same | {"sources": [{"path": "sources/source-00000"}]}
    source = folder / root["sources"][0]["path"]
    metadata = json.loads((source / "metadata.json").read_text())
    (corpus,) = metadata.pop("corpora")
    assert metadata == same | {"train_shards": ["train/0.arrow"]}
    docs = pa.ipc.open_stream(source / corpus["shards"][0]).read_all().to_pylist()
    assert docs == [{"id": d["_id"], "text": d["text"]} for d in CORPUS]
    (row,) = pa.ipc.open_stream(source / "train" / "0.arrow").read_all().to_pylist()
    assert (row["corpus_id"], row["neg_doc"]) == (corpus["corpus_id"], [{"id": "1"}, {"id": "2"}])


def test_stage_tables_of_arctic_embed(export):
    folder = export("arctic-embed")
    pair = {"QUERY_ID": 10, "DOCUMENT_ID": 0}
    assert table(folder / "queries.parquet") == [{"QUERY_ID": 10, "QUERY_TEXT": Q}]
    assert table(folder / "documents.parquet")[2] == {"DOCUMENT_ID": 2, "DOCUMENT_TEXT": N2}
    assert table(folder / "labels.parquet") == [pair]
    assert table(folder / "retrieval.parquet")[0] == pair | {"SCORE": 9.25}
    mined = pq.read_table(folder / "mined.parquet")
    assert mined.to_pylist() == [
        {"QUERY_ID": 10, "DOCUMENT_ID": d, "RELEVANCE": r} for d, r in ((0, 1), (1, -1), (2, -1))
    ]
    assert [str(t) for t in mined.schema.types] == ["uint64", "uint64", "int8"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("model") / "encoder")


def test_batches_of_arctic_embed_are_tokenised(export, encoder):
    folder = export(f'arctic-embed-batches(model="{encoder}",length=4,query_prefix="beta ")')
    metadata = json.loads((folder / "metadata.json").read_text())
    assert (metadata["max_seq_length"], metadata["query_prefix"]) == (4, "beta ")
    (batch,) = (folder / "data").iterdir()
    assert batch.name == "batch_00000000"
    tokenizer = resolve(encoder).tokenizer()
    tokenizer.enable_truncation(4)
    queries = pq.read_table(batch / "queries.parquet")
    assert [str(t) for t in queries.schema.types] == ["uint64", "list<element: int32>"]
    tokens = tokenizer.encode(f"beta {Q}").ids
    assert queries.to_pylist() == [{"BATCH_QUERY_ID": 10, "QUERY_TOKEN_ID_LIST": tokens}]
    assert table(batch / "documents.parquet") == [
        {"BATCH_DOCUMENT_ID": i, "DOCUMENT_TOKEN_ID_LIST": tokenizer.encode(text).ids}
        for i, text in enumerate((P, N1, N2))
    ]
    assert table(batch / "relations.parquet") == [
        {"BATCH_QUERY_ID": 10, "BATCH_DOCUMENT_ID": d, "RELEVANCE": r}
        for d, r in ((0, 1), (1, -1), (2, -1))
    ]


def test_trove(export):
    folder = export("trove")
    row = {"qid": "10", "docid": ["0", "1", "2"], "score": [9.25, 3.5, -1.25]}
    assert lines(folder / "train.jsonl") == [row]
    assert lines(folder / "queries.jsonl") == [{"_id": "10", "text": Q}]
    assert lines(folder / "corpus.jsonl") == CORPUS


# ---- interchange ---------------------------------------------------------------------------------


def test_beir(export):
    folder = export("beir")
    assert lines(folder / "corpus.jsonl") == TITLED
    assert lines(folder / "queries.jsonl") == [{"_id": "10", "text": Q}]
    qrels = (folder / "qrels" / "train.tsv").read_text()
    assert qrels == "query-id\tcorpus-id\tscore\n10\t0\t1\n"


def test_gpl(export):
    folder = export("gpl")
    row = {"qid": "10", "pos": ["0"], "neg": {"rankmill": ["1", "2"]}}
    assert lines(folder / "hard-negatives.jsonl") == [row]
    assert (folder / "gpl-training-data.tsv").read_text() == "10\t0\t1\t5.75\n10\t0\t2\t10.5\n"
    assert (folder / "qrels" / "train.tsv").read_text() == "query-id\tcorpus-id\tscore\n10\t0\t1\n"


def test_trec(export):
    folder = export("trec(tag=mine)")
    run = (folder / "run.trec").read_text()
    assert run == "10 Q0 0 1 9.25 mine\n10 Q0 1 2 3.5 mine\n10 Q0 2 3 -1.25 mine\n"
    assert (folder / "qrels.txt").read_text() == "10 0 0 1\n"
    read = [
        (d.query_id, d.doc_id, d.score) for d in ir_measures.read_trec_run(str(folder / "run.trec"))
    ]
    assert read == [("10", "0", 9.25), ("10", "1", 3.5), ("10", "2", -1.25)]
    (judged,) = ir_measures.read_trec_qrels(str(folder / "qrels.txt"))
    assert (judged.query_id, judged.doc_id, judged.relevance) == ("10", "0", 1)


def test_rank_llm(export):
    assert lines(export("rank-llm") / "requests.jsonl") == [
        {
            "query": {"text": Q, "qid": "10"},
            "candidates": [
                {"docid": d, "score": s, "doc": {"contents": t}}
                for d, s, t in (("0", 9.25, P), ("1", 3.5, N1), ("2", -1.25, N2))
            ],
        }
    ]


def test_ms_swift(export):
    assert lines(export("ms-swift") / "train.jsonl") == [
        {
            "messages": [{"role": "user", "content": Q}],
            "positive_messages": [[{"role": "assistant", "content": P}]],
            "negative_messages": [[{"role": "assistant", "content": t}] for t in (N1, N2)],
        }
    ]


def test_contrastors(toys, tmp_path):
    folder = export_groups("contrastors", *toys, tmp_path / "out").path
    text = gzip.open(folder / "shard-00000.jsonl.gz", "rt", encoding="utf-8").read()
    row = json.loads(text)
    assert row == {
        "query": Q,
        "document": P,
        "negatives": [N1, N2],
        "pos_score": 9.25,
        "scores": [3.5, -1.25],
        "document_score": 9.25,
        "negatives_scores": [3.5, -1.25],
        "metadata": {
            "objective": {
                "self": [],
                "paired": [],
                "triplet": [["query", "document", "negatives"]],
            }
        },
    }
    offsets = json.loads(gzip.open(folder / "offsets.json.gz").read())
    assert offsets == {"shard-00000.jsonl.gz": {"0": [0, len(text)]}}
    assert json.loads((folder / "counts.json").read_text()) == {"shard-00000.jsonl.gz": 1}


def test_datasets_folder_has_a_card_that_names_its_files(export):
    folder = export('datasets(title="Tall things",license=cc-by-4.0)')
    card = (folder / "README.md").read_text()
    head = card.split("---\n")[1]
    assert 'pretty_name: "Tall things"\nlicense: "cc-by-4.0"\n' in head
    named = [line.split(": ")[1] for line in head.splitlines() if line.startswith("    path:")]
    assert named == [f"{n}/train.parquet" for n in ("groups", "queries", "documents")]
    assert table(folder / "groups" / "train.parquet") == [
        {"query_id": "10", "doc_ids": ["0", "1", "2"]}
        | {"scores": [9.25, 3.5, -1.25], "grades": [1, 0, 0]}
    ]
    assert "1 groups of 3 documents over 1 queries" in card


def test_every_format_is_tested_here():
    text = Path(__file__).read_text()
    assert [name for name in EXPORTS.names() if not re.search(f"[\"']{name}[\"'(]", text)] == []
