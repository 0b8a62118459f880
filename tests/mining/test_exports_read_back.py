"""Every export is read back: as groups, as scores, as negatives or as a collection; what a format
cannot carry stands in its row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder
from toy_groups import PLAIN, publish_arrays, rows_of

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput
from rankmill.mining.exports import EXPORTS, export_groups
from rankmill.mining.groups.format import GroupArrays, Groups
from rankmill.mining.groups.imported import import_groups
from rankmill.mining.runs.files import import_run
from rankmill.mining.store import Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers.files.imported import import_scores


@dataclass(frozen=True)
class Way:
    """How an export comes back: `as_` with `form`, from `file` of its folder. `lost`: what it
    cannot carry; `grades`: it keeps grades, else positives are grade 1."""

    as_: str
    form: str | None = None
    file: str = "."
    lost: str = ""
    grades: bool = False


WAYS = {
    "sentence-transformers": Way("groups", "triple"),
    "pylate": Way("groups", "triple"),
    "sentence-transformers-rows": Way("groups", "rows", lost="ids; found again by their texts"),
    "sentence-transformers-rows(layout=lists)": Way("groups", "rows", lost="ids"),
    "sentence-transformers-rows(layout=triplets)": Way("groups", "rows", lost="ids"),
    "sentence-transformers-rows(layout=pairs)": Way("groups", "rows", lost="ids"),
    "sentence-transformers-rows(file=jsonl)": Way("groups", "rows", lost="ids"),
    "flag-embedding": Way("groups", "flag-embedding", lost="ids"),
    "contrastors": Way("groups", "contrastors", lost="ids"),
    "lsr": Way("groups", "lsr", lost="ids"),
    "splade(kind=raw)": Way("groups", "lsr", lost="ids"),
    "matchmaker": Way("groups", "matchmaker", lost="ids"),
    "tevatron": Way("groups", "tevatron"),
    "trove": Way("groups", "trove"),
    "rankers": Way("groups", "rankers"),
    "colbert": Way("groups", "colbert"),
    "datasets": Way("groups", "datasets", grades=True),
    "lightning-ir": Way("scores", file="groups__rankmill.parquet", lost="which is the positive"),
    "splade": Way("scores", file="scores.json", lost="which is the positive"),
    "splade(kind=trec)": Way("scores", file="scores.trec", lost="which is the positive"),
    "matchmaker(kind=ids)": Way("scores", file="train.tsv", lost="which is the positive"),
    "arctic-embed": Way("scores", file="retrieval.parquet", lost="which is the positive"),
    "rank-llm": Way("scores", file="requests.jsonl", lost="which is the positive"),
    "trec": Way("scores", file="run.trec", lost="which is the positive, but in qrels.txt"),
    "tevatron-ids": Way("run", "negative_document_ids", "train.jsonl", lost="scores"),
    "gpl": Way("run", "rankmill", "hard-negatives.jsonl", lost="scores, but for their margins"),
    "beir": Way("collection", lost="scores, and which documents are negatives"),
    "nemo": Way("run", "neg_doc", "train.json", lost="scores"),
    "nemo(layout=arrow)": Way("run", "neg_doc", "sources/source-00000/train/0.arrow", "scores"),
    "tevatron-megatron": Way("groups", "tevatron-megatron", lost="ids; found again by their texts"),
    "arctic-embed-batches": Way(
        "run", "relations", lost="scores, and texts beyond `length` tokens"
    ),
    # Impossible: neither an id nor a score stands in these; a run is made of ids, groups of scores.
    "nemo(layout=inline)": Way("refused", "neg_doc", "train.jsonl", "ids and scores"),
    "ms-swift": Way("refused", "neg_doc", "train.jsonl", "ids and scores: it holds chats"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Groups of 5 of 12 queries, each with one positive; grades 0 to 2."""
    folder = tmp_path_factory.mktemp("read-back")
    collection = collect(Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'tiny')}")
    random = np.random.Generator(np.random.Philox(9))
    query = np.arange(12, dtype=np.uint32)
    doc = np.array([random.choice(150, 5, replace=False) for _ in query], np.uint32)
    score = random.normal(0, 3, doc.shape).astype(np.float32)
    grade = np.zeros(doc.shape, np.int8)
    grade[:, 0] = 1 + query % 2
    arrays = GroupArrays(query, doc, score, grade, np.ones(doc.shape, np.float32))
    return publish_arrays(collection, arrays), collection


def test_every_format_has_a_way():
    assert {name.partition("(")[0] for name in WAYS} == set(EXPORTS.names())
    assert all(way.as_ != "refused" or way.lost for way in WAYS.values())


@pytest.mark.parametrize("name", WAYS)
def test_an_export_is_read_back(made, tmp_path, name):
    groups, collection = made
    way = WAYS[name]
    asked = name
    if name not in PLAIN and name in EXPORTS.names():  # it needs a model
        asked = f'{name}(model="{tiny_encoder(tmp_path / "model")}",queries=5)'
    folder = export_groups(asked, groups, collection, tmp_path / "out", allow_lossy=True).path
    check = {
        "groups": as_groups,
        "scores": as_scores,
        "run": as_run,
        "collection": as_collection,
        "refused": as_nothing,
    }
    check[way.as_](way, groups, collection, folder / way.file)


def as_nothing(way: Way, groups, collection, place: Path) -> None:
    """Neither ids nor scores: every door says what it misses."""
    workspace, texts = collection.artifact.workspace, collection.corpus.artifact
    with pytest.raises(BadInput, match="is missing; there are"):
        import_run(workspace, place, collection, "*", system=way.form)
    with pytest.raises(BadInput, match="is missing; th"):
        import_scores(workspace, place, texts, collection.queries.artifact, kind="logit")
    for form in ("rows", "flag-embedding", "contrastors"):
        with pytest.raises(BadInput, match="is missing; there are"):
            import_groups(workspace, place, collection, form=form, kind="logit")


def test_the_second_group_of_a_query_is_led_back(made, tmp_path):
    groups, collection = made
    arrays = Groups(groups).part(0)
    rows = np.array([0, 0, 1])
    twice = GroupArrays(*(getattr(arrays, name)[rows] for name in arrays.__slots__))
    twice.doc[1, 1:] = np.setdiff1d(np.arange(20), arrays.doc[0])[:4]
    published = publish_arrays(collection, twice)
    for name in ("nemo", "nemo(layout=arrow)"):
        out = tmp_path / name
        folder = export_groups(name, published, collection, out, allow_lossy=True).path
        place = folder / WAYS[name].file
        back = import_run(collection.artifact.workspace, place, collection, "*", system="neg_doc")
        found = {row["query"]: row["doc"] for t in back.tables() for row in t.to_pylist()}
        assert found[0] == [*twice.doc[0, 1:].tolist(), *twice.doc[1, 1:].tolist()]
        assert found[1] == twice.doc[2, 1:].tolist()


BROKEN = {
    "cut": ("train/0.arrow", lambda data: data[:200], "not a readable Arrow file"),
    "no Arrow": ("train/0.arrow", lambda data: b"{}", "not a readable Arrow file"),
    "no row": ("train.json", lambda data: b'{"data": [5]}', "5 stands where an object should"),
    "no list": ("train.json", lambda data: b'{"data": 5}', "'data' is 5, not a list"),
    "no data": ("train.json", lambda data: b"{}", "'data' is missing"),
    "texts": (
        "train.json",
        lambda data: b'{"data": [{"question_id": "q1", "pos_doc": "d1", "neg_doc": []}]}',
        "'pos_doc' is 'd1', not a list",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_export_of_nemo_is_refused(made, tmp_path, case):
    groups, collection = made
    file, broken, said = BROKEN[case]
    layout = "arrow" if file.endswith("arrow") else "ids"
    name = f"nemo(layout={layout})"
    folder = export_groups(name, groups, collection, tmp_path / "out", allow_lossy=True).path
    (path,) = folder.rglob(file)
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(BadInput, match=said):
        import_run(collection.artifact.workspace, path, collection, "*", system="neg_doc")


def as_groups(way: Way, groups, collection, place: Path) -> None:
    workspace = collection.artifact.workspace
    assert way.form
    back = import_groups(workspace, place, collection, form=way.form, kind="logit")
    ours, theirs = Groups(groups).part(0), Groups(back).part(0)
    for name in ("query", "doc", "score"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    grade = ours.grade if way.grades else np.minimum(ours.grade, 1)
    assert np.array_equal(theirs.grade, grade)
    assert back.counts == {}


def as_scores(way: Way, groups, collection, place: Path) -> None:
    texts = collection.corpus.artifact, collection.queries.artifact
    back = import_scores(collection.artifact.workspace, place, *texts, kind="logit")
    table = back.table(0, level=3)
    offsets, docs = list_values(table["doc"])
    scores = list_values(table["logit"])[1]
    query = np.repeat(table["query"].to_numpy(), np.diff(offsets))
    found = dict(zip(zip(query.tolist(), docs.tolist(), strict=True), scores.tolist(), strict=True))
    ours = Groups(groups).part(0)
    keys = zip(
        np.repeat(ours.query, ours.size).tolist(), ours.doc.reshape(-1).tolist(), strict=True
    )
    assert found == dict(zip(keys, ours.score.reshape(-1).tolist(), strict=True))


def as_run(way: Way, groups, collection, place: Path) -> None:
    workspace = collection.artifact.workspace
    back = import_run(workspace, place, collection, "*", system=way.form, tag=way.form)
    found = {row["query"]: row["doc"] for t in back.tables() for row in t.to_pylist()}
    ours = Groups(groups).part(0)
    for query, docs in zip(ours.query.tolist(), ours.doc.tolist(), strict=True):
        assert found[query] == docs[1:]


@pytest.mark.parametrize(
    ("form", "file"), [("lightning-ir", "groups__rankmill.parquet"), ("trec", "run.trec")]
)
def test_scores_of_pairs_are_a_run_too(made, tmp_path, form, file):
    groups, collection = made
    folder = export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True).path
    back = import_run(collection.artifact.workspace, folder / file, collection, "*")
    found = {r["query"]: (r["doc"], r["score"]) for t in back.tables() for r in t.to_pylist()}
    ours = Groups(groups).part(0)
    for query, docs, scores in zip(ours.query.tolist(), ours.doc, ours.score, strict=True):
        order = np.argsort(-scores, kind="stable")
        assert found[query] == (docs[order].tolist(), scores[order].tolist())


def as_collection(way: Way, groups, collection, place: Path) -> None:
    back = collect(collection.artifact.workspace, f"beir:{place}")
    qrels = back.qrels("train")
    judged = {
        (back.queries.query_id(int(q)), back.corpus.doc_id(int(d))): int(g)
        for q, d, g in zip(qrels.query, qrels.doc, qrels.grade, strict=True)
    }
    ours = Groups(groups).part(0)
    grades = dict(zip(collection.queries.query_ids(ours.query), ours.grade[:, 0], strict=True))
    expected = {(q, docs[0]): int(grades[q]) for q, docs, _ in rows_of(groups, collection)}
    assert judged == expected


def test_plain_names_are_those_of_the_table():
    assert set(PLAIN) <= set(WAYS)
