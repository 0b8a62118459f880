"""Prompts of encoders: said, declared by the checkpoint, by preset; equal numbers, never shared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.prompts import encoder, vector_of
from rounding import UNIT, network_bound
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill.about import vectors_of
from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.models.encoders import encode
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.prompts import PRESETS, declared_prompt, written_out
from rankmill.mining.models.vectors import Vectors
from rankmill.mining.sources import mine
from rankmill.mining.sources.base import SOURCES
from rankmill.mining.sources.dense import Dense
from rankmill.mining.sources.neighbours import Neighbours
from rankmill.mining.store import Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers.base import TEACHERS
from rankmill.mining.teachers.bi_encoder import BiEncoder
from rankmill.mining.teachers.shown import show_first_pair

DECLARED = "config_sentence_transformers.json"
SENTENCE = "Represent this sentence for searching relevant passages: "
WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"

# name, before queries, before documents, pooling: written from the model cards, not from the table
GOLDEN = [
    ("arctic-embed", SENTENCE, "", "cls"),
    ("arctic-embed-v2", "query: ", "", "cls"),
    ("bge", SENTENCE, "", "cls"),
    ("bge-m3", "", "", "cls"),
    ("bge-zh", "为这个句子生成表示以用于检索相关文章：", "", "cls"),  # noqa: RUF001
    ("e5", "query: ", "passage: ", "mean"),
    ("e5-instruct", WEB + " ", "", "mean"),
    ("e5-mistral", WEB + " ", "", "last"),
    ("gte", "", "", "mean"),
    ("gte-modernbert", "", "", "cls"),
    ("jina-v5", "Query: ", "Document: ", "last"),
    ("mxbai-embed", SENTENCE, "", "cls"),
    ("nomic", "search_query: ", "search_document: ", "mean"),
    ("qwen3-embedding", WEB, "", "last"),
]


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=30, queries=12)}")


def model_saying(folder: Path, declared: Any = None, **pooling: Any) -> Path:
    """Write an encoder whose files declare prompts, and a pooling where one is given."""
    tiny_encoder(folder)
    if declared is not None:
        (folder / DECLARED).write_text(json.dumps(declared))
    if pooling:
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


class Told:
    """Progress that remembers what was announced."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: None

    def announce(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_vector_is_that_of_prompt_and_text(
    workspace: Workspace, collection: Collection, tmp_path: Path, pooling: str, include: bool
) -> None:
    import torch

    flags = {"pooling_mode": {"last": "lasttoken"}.get(pooling, pooling), "include_prompt": include}
    folder = model_saying(tmp_path / "m", **flags)
    loaded, prompt = encoder(folder), "passage: "
    made = encode(
        workspace,
        folder,
        collection.corpus.artifact,
        prompt=prompt,
        dtype="float32",
        max_length=24,  # cuts: the prompt counts
    )
    assert made.counts["truncated"] > 0
    vectors = Vectors(made).rows(np.arange(len(collection.corpus)))
    texts = collection.corpus.texts(range(len(collection.corpus)))
    plain = Vectors(encode(workspace, folder, collection.corpus.artifact, dtype="float32"))
    compared = 0
    for row, text in enumerate(texts):
        if not text:
            continue
        said: dict[str, Any] = {"pooling": pooling, "max_length": 24, "include_prompt": include}
        compute = vector_of(loaded, text, prompt, **said)
        bound = network_bound(compute) + UNIT["float32"]
        with torch.no_grad():
            np.testing.assert_allclose(vectors[row], compute().numpy(), rtol=0, atol=bound)
        assert np.abs(vectors[row] - plain.rows(np.array([row]))[0]).max() > 10 * bound
        compared += 1
    assert compared >= 25


def test_what_sentence_transformers_gives_for_a_prompt(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    said = {"prompts": {"query": "ask: ", "document": "tell: "}, "default_prompt_name": None}
    flags = {"pooling_mode": "mean", "include_prompt": False, "embedding_dimension": 32}
    folder = model_saying(tmp_path / "m", said, **flags)
    theirs = SentenceTransformer(str(folder), device="cpu")
    for artifact, texts, method in (
        (collection.queries.artifact, collection.queries, theirs.encode_query),
        (collection.corpus.artifact, collection.corpus, theirs.encode_document),
    ):
        ours = Vectors(encode(workspace, folder, artifact, dtype="float32"))
        for row, text in enumerate(texts.texts(range(len(texts)))):
            if text:
                vector = ours.rows(np.array([row]))[0]
                np.testing.assert_allclose(vector, method([text])[0], rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("said", "query", "document"),
    [
        ({}, "", ""),
        ({"prompts": {}}, "", ""),
        ({"prompts": None, "default_prompt_name": None}, "", ""),
        ({"prompts": {"query": "q: "}}, "q: ", ""),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, "q: ", "p: "),
        ({"prompts": {"query": "q: ", "document": "", "passage": "p: "}}, "q: ", ""),
        ({"prompts": {"query": "", "other": "o: "}}, "", ""),
        ({"prompts": {"query": None, "document": "d: "}}, "", "d: "),
        ({"prompts": {"query": "q: "}, "default_prompt_name": "query"}, "q: ", ""),
        ({"prompts": {"corpus": "c: "}, "default_prompt_name": "corpus"}, "", "c: "),
        ({"prompts": {"all": "a: "}, "default_prompt_name": "all"}, "a: ", "a: "),
        (
            {"prompts": {"all": "a: ", "query": "q: "}, "default_prompt_name": "all"},
            "q: ",
            "a: ",
        ),
    ],
)
def test_prompts_that_the_files_declare(
    tmp_path: Path, said: dict[str, Any], query: str, document: str
) -> None:
    model = resolve(model_saying(tmp_path / "m", said))
    assert declared_prompt(model, "queries") == query
    assert declared_prompt(model, "corpus") == document


def test_declared_prompts_that_say_nothing_of_queries_are_refused_until_somebody_does(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    named = {"prompts": {"retrieval.query": "q: ", "clustering": "c: "}}
    folder = model_saying(tmp_path / "m", named)
    with pytest.raises(BadInput, match=r"prompts \(clustering, retrieval.query\), none of them"):
        mine(workspace, f"dense(model={folder})", collection, "test", depth=3)
    text = f'dense(model={folder},query_prompt="q: ",prompt="")'
    run = mine(workspace, text, collection, "test", depth=3)
    assert run.input("query_vectors").parameters["prompt"] == "q: "
    other = model_saying(tmp_path / "n", {"prompts": {"a": "x"}, "default_prompt_name": "b"})
    with pytest.raises(BadInput, match="default_prompt_name is 'b', and the prompts are a"):
        encode(workspace, other, collection.queries.artifact)


def test_vectors_and_tokens_of_other_prompts_are_never_shared(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    folder = model_saying(tmp_path / "m")
    queries = collection.queries.artifact
    made = {
        prompt: encode(workspace, folder, queries, prompt=prompt) for prompt in ("", "a ", "a", "b")
    }
    assert len({one.fingerprint for one in made.values()}) == 4
    assert len({one.input("tokens").fingerprint for one in made.values()}) == 4
    run = mine(workspace, f'dense(model={folder},query_prompt="a ")', collection, "test", depth=3)
    assert run.input("query_vectors").fingerprint == made["a "].fingerprint
    assert run.input("doc_vectors").parameters["prompt"] == ""
    assert 'query_prompt="a "' in run.metadata["source"]


def test_pooling_without_the_prompt_is_another_vector_artifact(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    folder = model_saying(tmp_path / "m", pooling_mode="mean", include_prompt=False)
    corpus = collection.corpus.artifact
    assert encode(workspace, folder, corpus, prompt="ba ").parameters["skipped"] == 2  # [CLS] ba
    assert "skipped" not in encode(workspace, folder, corpus).parameters


def test_values_without_prompts_have_the_text_that_they_had() -> None:
    assert str(Dense("x")) == "dense(model=x,compute=float32,dtype=float16)"
    assert str(BiEncoder("x")) == "bi_encoder(model=x,compute=float32,dtype=float16)"
    text = 'dense(model=x,compute=float32,dtype=float16,query_prompt="",prompt="p: ")'
    assert str(SOURCES.parse(text)) == text


@pytest.mark.parametrize(("name", "query", "document", "pooling"), GOLDEN)
def test_presets_are_the_published_text(
    tmp_path: Path, name: str, query: str, document: str, pooling: str
) -> None:
    flags = {"pooling_mode": {"last": "lasttoken"}.get(pooling, pooling)}
    model = resolve(model_saying(tmp_path / "m", **flags))
    plain = written_out(Dense("x", preset=name), model)
    assert plain == Dense("x", query_prompt=query or None, prompt=document or None)
    bare = resolve(tiny_encoder(tmp_path / "bare"))
    (bare.path / "modules.json").unlink()
    plain = written_out(Dense("x", preset=name), resolve(bare.path))
    assert (plain.pooling, plain.normalise) == (pooling, True)
    assert PRESETS[name].card.startswith("https://huggingface.co/")
    assert PRESETS[name].fits(PRESETS[name].card.rpartition("/")[2])


def test_every_preset_is_written_down_here() -> None:
    assert [name for name, *_ in GOLDEN] == sorted(PRESETS)


def test_a_preset_shares_everything_with_the_plain_value(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    folder = model_saying(tmp_path / "m")
    plain = f'dense(model={folder},query_prompt="query: ",prompt="passage: ")'
    run = mine(workspace, plain, collection, "test", depth=5)
    preset = f"dense(preset=e5,model={folder})"
    assert mine(workspace, preset, collection, "test", depth=5).fingerprint == run.fingerprint
    said = {"prompts": {"query": "query: ", "document": "passage: "}}
    declaring = resolve(model_saying(tmp_path / "n", said))
    assert written_out(Dense("x", preset="e5"), declaring) == Dense("x")  # says no more than it
    teacher = TEACHERS.parse(f"bi_encoder(preset=e5,model={folder})")
    scores = score_pool(workspace, teacher, run)
    assert scores.metadata["prompt"] == "query: "
    assert scores.metadata["document_prompt"] == "passage: "
    table, ranked = scores.table(0), run.table(0)
    for row in range(run.rows):
        by_doc = dict(zip(table["doc"][row].as_py(), table["logit"][row].as_py(), strict=True))
        docs, points = ranked["doc"][row].as_py(), ranked["score"][row].as_py()
        assert [by_doc[doc] for doc in docs] == points
    stored = vectors_of(f"bi_encoder(preset=e5,model={folder})", run)
    assert stored["vectors"].fingerprint == run.input("doc_vectors").fingerprint
    assert stored["query_vectors"].fingerprint == run.input("query_vectors").fingerprint
    shown = show_first_pair(f"bi_encoder(preset=e5,model={folder})", run).sequences
    assert [one.text.replace(" ##", "").replace("##", "")[:11] for one in shown] == [
        "[CLS] query",
        "[CLS] passa",
    ]


def test_a_preset_that_the_files_contradict_is_refused(tmp_path: Path) -> None:
    mean = resolve(model_saying(tmp_path / "mean"))
    with pytest.raises(BadInput, match="pooling of preset=bge is cls, the model's files say mean"):
        written_out(Dense("x", preset="bge"), mean)
    said = written_out(Dense("x", preset="bge", pooling="mean"), mean)
    assert (said.pooling, said.query_prompt) == ("mean", SENTENCE)
    other = resolve(model_saying(tmp_path / "other", {"prompts": {"query": "q: "}}))
    with pytest.raises(BadInput, match="query_prompt of preset=e5 is 'query: ', the model's files"):
        written_out(Dense("x", preset="e5"), other)
    own = Dense("x", preset="e5", query_prompt="q: ", prompt="p: ")
    assert written_out(own, other) == Dense("x", query_prompt="q: ", prompt="p: ")
    with pytest.raises(UsageError, match="unknown preset 'e55'") as refused:
        Dense("x", preset="e55")
    assert "e5" in str(refused.value)
    with pytest.raises(UsageError, match="unknown preset 'e55'"):
        BiEncoder("x", preset="e55")


def test_a_prompt_must_leave_room_for_a_text(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    folder = model_saying(tmp_path / "m")
    with pytest.raises(UsageError, match="takes 6 of the 6 tokens that a text may have"):
        encode(workspace, folder, collection.corpus.artifact, prompt="a b c d e f", max_length=8)
    assert encode(workspace, folder, collection.corpus.artifact, prompt="a b c d e", max_length=8)


def test_a_model_called_like_one_with_prompts_is_told_to_every_run(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    """Whatever ran in this process before: what is told does not depend on it."""
    folder, told = model_saying(tmp_path / "e5-base-v2"), Told()
    where = Execution(progress=told)  # type: ignore[arg-type]
    encode(workspace, folder, collection.queries.artifact, prompt="", executor=where)
    assert not told.said
    for artifact in (collection.queries.artifact, collection.corpus.artifact):
        encode(workspace, folder, artifact, executor=where)
    assert len(told.said) == 2
    assert len(set(told.said)) == 1  # one line, where a run shows it
    assert "preset=e5" in told.said[0]


def test_a_model_with_the_prompt_of_another_family_is_told(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    def said(name: str, prompt: str) -> list[str]:
        told = Told()
        where = Execution(progress=told)  # type: ignore[arg-type]
        folder = model_saying(tmp_path / name)
        encode(workspace, folder, collection.queries.artifact, prompt=prompt, executor=where)
        return told.said

    (line,) = said("minilm", "query: ")
    assert "minilm reads 'query: ' before each text, as models of arctic-embed-v2 and e5" in line
    assert said("my-e5", "query: ") == []
    assert said("e5-base-v2", "query: ") == []
    assert said("other", "ask: ") == []


def test_neighbours_take_the_documents_half(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    folder = model_saying(tmp_path / "m")
    run = mine(workspace, f"neighbours(preset=e5,model={folder})", collection, "train", depth=4)
    assert run.input("doc_vectors").parameters["prompt"] == "passage: "
    assert "query_prompt" not in run.metadata["source"]
    assert list_values(run.table(0)["doc"])[1].size
    with pytest.raises(UsageError, match="neighbours encode no queries"):
        Neighbours("x", query_prompt="q: ")


def test_the_document_names_every_preset_with_its_text() -> None:
    page = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")
    for name, style in PRESETS.items():
        cells = [f"`{text}`" if text else "–" for text in (style.query, style.document)]
        row = " | ".join([f"| `{name}`", *cells, style.pooling, "["]).replace("\n", r"\n")
        assert row in page, name
        assert style.card in page
        assert style.normalise  # as the page says of all
