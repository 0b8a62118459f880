"""Sequences through a model, and vectors: right, finite, and the same bits in any company."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rounding import UNIT, network_bound, sum_bound
from tiny_collection import tiny_beir
from tiny_models import first_layers, tiny_cross_encoder, tiny_encoder

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput
from rankmill.mining.models import encoders
from rankmill.mining.models.encoders import encode, settings_of
from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.forward import Forward, Work
from rankmill.mining.models.passes.families import ENCODERS
from rankmill.mining.models.sequences import Template, pair_sequences, single_sequences
from rankmill.mining.models.tokens import Ragged
from rankmill.mining.models.vectors import Vectors, dots
from rankmill.mining.store import Workspace

MINILM = pytest.param("minilm", marks=pytest.mark.models)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "mean": tiny_encoder(folder / "mean"),
        "cls": tiny_encoder(folder / "cls", pooling="cls"),
        "one": tiny_cross_encoder(folder / "one"),
        "two": tiny_cross_encoder(folder / "two", labels=2),
    }


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")


def ragged(sizes: np.ndarray, vocabulary: int, seed: int = 0) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rng = np.random.Generator(np.random.Philox(seed))
    return Ragged(rng.integers(5, vocabulary, offsets[-1]).astype(np.uint16), offsets)


def expected_logits(
    model: ModelFolder, texts: Ragged, pairs: list[tuple[int, int]]
) -> tuple[np.ndarray, float]:
    """One pair at a time through transformers in float64, without any padding; and how far float32
    may be from that."""
    import torch
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(
        model.path, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    typed = model.config.get("type_vocab_size", 0) > 1
    rows, bounds = [], []
    for a, b in pairs:
        first = texts.values[texts.offsets[a] : texts.offsets[a + 1]].tolist()
        second = texts.values[texts.offsets[b] : texts.offsets[b + 1]].tolist()
        ids = torch.tensor([[2, *first, 3, *second, 3]])
        types = torch.tensor([[0] * (len(first) + 2) + [1] * (len(second) + 1)])
        inputs = {"input_ids": ids} | ({"token_type_ids": types} if typed else {})
        run = partial(lambda inputs: network(**inputs).logits[0], inputs)
        bounds.append(network_bound(run))
        with torch.no_grad():
            rows.append(run().numpy())
    return np.stack(rows), max(bounds)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["one", "two"])
def test_logits_are_those_of_transformers(
    models: dict[str, Path], name: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packed:
        monkeypatch.setattr("rankmill.mining.models.forward.PACKED", frozenset())
    model = resolve(models[name])
    texts = ragged(np.asarray([3, 0, 50, 17, 30, 9]), 200)
    pairs = [(0, 2), (1, 1), (3, 4), (5, 0), (0, 1)]
    template = Template.of(model.tokenizer(), pair=True)
    forward = Forward(model, head="logits", compute="float32", max_length=128)
    rows = np.asarray(pairs)
    sequences = pair_sequences(texts, texts, rows[:, 0], rows[:, 1], template, 128)
    assert forward.packed is packed
    found = forward.run(sequences)
    expected, bound = expected_logits(model, texts, pairs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


PADDED = ("mpnet", "deberta", "deberta-v2", "albert", "ibert", "data2vec-text", "ernie")


@pytest.mark.parametrize("kind", [*sorted(ENCODERS - {"bert"}), *PADDED])
def test_logits_of_other_architectures(tmp_path: Path, kind: str) -> None:
    model = resolve(tiny_cross_encoder(tmp_path / kind, kind=kind))
    texts = ragged(np.asarray([3, 0, 50, 17, 30, 9]), 200)
    pairs = [(0, 2), (1, 1), (3, 4), (5, 0), (0, 1)]
    template = Template.of(model.tokenizer(), pair=True)
    assert model.max_positions == 128
    forward = Forward(model, head="logits", compute="float32", max_length=128)
    assert forward.packed is (kind in ENCODERS)
    rows = np.asarray(pairs)
    found = forward.run(pair_sequences(texts, texts, rows[:, 0], rows[:, 1], template, 128))
    expected, bound = expected_logits(model, texts, pairs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("packed", [True, False])
def test_pooling(
    models: dict[str, Path], pooling: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModel

    if not packed:
        monkeypatch.setattr("rankmill.mining.models.forward.PACKED", frozenset())
    model = resolve(models["mean"])
    texts = ragged(np.asarray([3, 0, 50, 17]), 200)
    template = Template.of(model.tokenizer(), pair=False)
    forward = Forward(model, head=pooling, compute="float32", max_length=40)
    sequences = single_sequences(texts, template, 40)
    assert sequences.cut == 1
    found = forward.run(sequences)
    network = AutoModel.from_pretrained(
        model.path, add_pooling_layer=False, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    for row in range(4):
        ids = texts.values[texts.offsets[row] : texts.offsets[row + 1]][:38].tolist()
        run = partial(pooled, network, torch.tensor([[2, *ids, 3]]), pooling)
        with torch.no_grad():
            expected = run().numpy()
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=network_bound(run))


def pooled(network: Any, ids: Any, pooling: str) -> Any:
    hidden = network(ids).last_hidden_state[0]
    return {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", ["one", "mean", MINILM])
def test_bits_depend_on_the_sequence_alone(
    models: dict[str, Path], model: str, compute: str, tmp_path: Path
) -> None:
    """Other neighbours, another place, another number of threads: the same bits."""
    import torch

    folder = resolve(first_layers(tmp_path / "m") if model == "minilm" else models[model])
    head = "logits" if model == "one" else "mean"
    big = folder.max_positions > 128
    rng = np.random.Generator(np.random.Philox(8))
    sizes = rng.integers(1, 120, 60 if big else 300)
    texts = ragged(sizes, 250)
    template = Template.of(folder.tokenizer(), pair=False)
    forward = Forward(folder, head=head, compute=compute, max_length=120)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        whole = forward.run(single_sequences(texts, template, 120))
        for trial in range(4):
            torch.set_num_threads(1 + trial % 2)
            chosen = rng.permutation(len(sizes))[: (len(sizes), 40, 7, 1)[trial]]
            some = Ragged(
                np.concatenate(
                    [texts.values[texts.offsets[i] : texts.offsets[i + 1]] for i in chosen]
                ),
                np.concatenate([[0], np.cumsum(sizes[chosen])]).astype(np.int64),
            )
            found = forward.run(single_sequences(some, template, 120))
            assert np.array_equal(found, whole[chosen]), f"trial {trial}"
    finally:
        torch.set_num_threads(threads)


def test_work_counts_tokens_and_padding(models: dict[str, Path]) -> None:
    model = resolve(models["mean"])
    forward = Forward(model, head="mean", compute="float32", max_length=120)
    template = Template.of(model.tokenizer(), pair=False)
    work = Work()
    forward.run(single_sequences(ragged(np.full(200, 30), 250), template, 120), work)
    assert work.tokens == work.batches * 2048
    assert work.tokens - work.padding == 200 * 32


def tokens(model: Any, text: str) -> Any:
    return model.preprocess([text]) if hasattr(model, "preprocess") else model.tokenize([text])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_are_pooled_and_normalised_as_the_files_say(
    workspace: Workspace, collection: Collection, models: dict[str, Path], dtype: str
) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    artifact = encode(workspace, models["mean"], collection.corpus.artifact, dtype=dtype)
    vectors = Vectors(artifact)
    assert (len(vectors), vectors.width) == (len(collection.corpus), 32)
    assert artifact.table(0).schema.field("vector").type.value_type == pa.type_for_alias(dtype)
    exact = {"dtype": "float64", "attn_implementation": "eager"}
    theirs = SentenceTransformer(str(models["mean"]), device="cpu", model_kwargs=exact).eval()
    found = vectors.rows(np.arange(20))
    for text, vector in zip(collection.corpus.texts(range(20)), found, strict=True):
        run = partial(lambda given: theirs(dict(given))["sentence_embedding"], tokens(theirs, text))
        bound = network_bound(run) + UNIT[dtype]  # and stored: components are at most 1
        with torch.no_grad():
            np.testing.assert_allclose(vector, run()[0].numpy(), rtol=0, atol=bound)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=sum_bound(32, 1.0) + UNIT[dtype])
    again = encode(workspace, resolve(models["mean"]), collection.corpus.artifact, dtype=dtype)
    assert again.root_hash == artifact.root_hash


def test_settings_come_from_the_files_and_what_is_said_wins(
    models: dict[str, Path], tmp_path: Path
) -> None:
    model = resolve(models["cls"])
    assert settings_of(model).pooling == "cls"
    assert settings_of(model).normalise
    assert settings_of(model, pooling="mean", normalise=False, max_length=16).max_length == 16
    plain = resolve(models["one"])  # no modules.json
    assert (settings_of(plain).pooling, settings_of(plain).normalise) == ("mean", False)
    with pytest.raises(BadInput, match="pooling 'max' is not known"):
        settings_of(model, pooling="max")
    with pytest.raises(BadInput, match="max_length=129 does not fit the model"):
        settings_of(model, max_length=129)


def test_modules_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "m")
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode": "lasttoken", "include_prompt": True}))
    assert settings_of(resolve(folder)).pooling == "last"
    pooling.write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(BadInput, match=r"pooling \['pooling_mode_max_tokens'\] is not supported"):
        settings_of(resolve(folder))
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    pooling.write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    with pytest.raises(BadInput, match="a module 'Dense', which is not supported"):
        settings_of(resolve(folder))


def test_prompts_of_the_model_are_used_by_role(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    folder = tiny_encoder(tmp_path / "m")
    prompts = {"prompts": {"query": "ask: ", "document": ""}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    queries = collection.queries.artifact
    prompted = encode(workspace, folder, queries)
    assert prompted.parameters["prompt"] == "ask: "
    assert encode(workspace, folder, collection.corpus.artifact).parameters["prompt"] == ""
    plain = encode(workspace, folder, queries, prompt="")
    assert not np.array_equal(
        Vectors(plain).rows(np.asarray([0])), Vectors(prompted).rows(np.asarray([0]))
    )


def test_shards_do_not_show(
    workspace: Workspace,
    collection: Collection,
    models: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    whole = Vectors(encode(workspace, models["mean"], collection.corpus.artifact))
    monkeypatch.setattr(encoders, "_SHARD_TOKENS", 400)
    cut = Workspace(tmp_path / "cut")
    again = collect(cut, f"beir:{tmp_path / 'beir'}")
    pieces = Vectors(encode(cut, models["mean"], again.corpus.artifact))
    assert len(pieces.artifact.parts) > 3
    rows = np.asarray([59, 0, 17, 17, 30])
    assert np.array_equal(pieces.rows(rows), whole.rows(rows))


def test_bad_requests(
    workspace: Workspace, collection: Collection, models: dict[str, Path]
) -> None:
    corpus = collection.corpus.artifact
    with pytest.raises(BadInput, match="compute=float8 is not known"):
        encode(workspace, models["mean"], corpus, compute="float8")
    with pytest.raises(BadInput, match="dtype=int8 is not known"):
        encode(workspace, models["mean"], corpus, dtype="int8")


def test_vectors_beyond_float16_are_refused(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tiny_encoder(tmp_path / "huge")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.LayerNorm.weight"][:] = 1e6
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    corpus = collection.corpus.artifact
    with pytest.raises(BadInput, match="vectors that are not finite for 60 texts"):
        encode(workspace, folder, corpus, normalise=False)
    assert encode(workspace, folder, corpus, normalise=False, dtype="float32").rows == 60


def test_products_of_vectors_of_different_width_are_refused(
    workspace: Workspace, collection: Collection, models: dict[str, Path], tmp_path: Path
) -> None:
    wide = tiny_encoder(tmp_path / "wide", hidden_size=48)
    queries = Vectors(encode(workspace, models["mean"], collection.queries.artifact))
    docs = Vectors(encode(workspace, wide, collection.corpus.artifact))
    with pytest.raises(BadInput, match="query vectors have 32 components, document vectors 48"):
        dots(queries, docs, np.zeros(1, np.uint32), np.zeros(1, np.uint32))
