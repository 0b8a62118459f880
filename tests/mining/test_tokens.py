"""The token store: the tokenizer's own ids, once per tokenizer, whatever the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.models import tokens as token_module
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.tokens import TokenStore, _ids_of, tokens_of
from rankmill.mining.store import Workspace


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")


def test_ids_are_those_of_the_tokenizer(
    workspace: Workspace, collection: Collection, encoder: Path
) -> None:
    model = resolve(encoder)
    artifact = tokens_of(workspace, collection.corpus.artifact, model)
    store, tokenizer = TokenStore(artifact), model.tokenizer()
    assert artifact.rows == len(store) == len(collection.corpus)
    rows = np.arange(len(store))
    taken = store.take(rows)
    for doc in rows.tolist():
        expected = tokenizer.encode(collection.corpus.text(doc), add_special_tokens=False).ids
        assert taken.values[taken.offsets[doc] : taken.offsets[doc + 1]].tolist() == expected
        assert store.lengths[doc] == len(expected)
    assert artifact.table(0).schema.field("ids").type.value_type == pa.uint16()


def test_ids_are_those_of_transformers(encoder: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    texts = ["bade fogi", "", "x" * 300, "éa ß", "a [SEP] b"]
    ours = _ids_of(resolve(encoder).tokenizer(), texts, 512)
    assert ours == theirs(texts, add_special_tokens=False)["input_ids"]


def test_one_tokenizer_is_one_artifact(
    workspace: Workspace, collection: Collection, encoder: Path, tmp_path: Path
) -> None:
    other = resolve(tiny_cross_encoder(tmp_path / "cross", seed=5))
    corpus = collection.corpus.artifact
    first = tokens_of(workspace, corpus, resolve(encoder), max_length=64)
    assert tokens_of(workspace, corpus, other, max_length=512).path == first.path
    assert tokens_of(workspace, corpus, other, max_length=513).path != first.path
    assert tokens_of(workspace, corpus, other, prompt="query: ").path != first.path


def test_a_prompt_is_tokenised_with_the_text(
    workspace: Workspace, collection: Collection, encoder: Path
) -> None:
    model = resolve(encoder)
    store = TokenStore(tokens_of(workspace, collection.queries.artifact, model, prompt="kind: "))
    expected = model.tokenizer().encode("kind: " + collection.queries.text(3)).ids[1:-1]
    assert store.take(np.asarray([3])).values.tolist() == expected


@pytest.mark.parametrize("word", ["ba do ", "bado ", "a\t", "badofigunep " * 3, "x" * 97])
def test_a_very_long_text_is_looked_at_from_its_beginning_only(encoder: Path, word: str) -> None:
    tokenizer = resolve(encoder).tokenizer()
    text = word * (40_000 // len(word))
    expected = tokenizer.encode(text, add_special_tokens=False).ids[:512]
    assert _ids_of(tokenizer, [text, " " * 50_000 + "ba"], 512) == [
        expected,
        [_id(tokenizer, "ba")],
    ]


def _id(tokenizer, piece: str) -> int:
    return tokenizer.token_to_id(piece)


def test_shards_and_parts_do_not_show(
    workspace: Workspace,
    collection: Collection,
    encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    whole = TokenStore(tokens_of(workspace, collection.corpus.artifact, resolve(encoder)))
    rows = np.asarray([7, 3, 59, 3, 0, 41])
    expected = whole.take(rows)
    monkeypatch.setattr(token_module, "_SHARD_BYTES", 900)
    cut = Workspace(tmp_path / "cut")
    again = collect(cut, f"beir:{tmp_path / 'beir'}")
    pieces = TokenStore(tokens_of(cut, again.corpus.artifact, resolve(encoder)))
    assert len(pieces.artifact.parts) > 3
    taken = pieces.take(rows)
    assert taken.values.tolist() == expected.values.tolist()
    assert taken.offsets.tolist() == expected.offsets.tolist()
