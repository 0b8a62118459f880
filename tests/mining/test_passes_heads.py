"""Heads made of modules: the numbers of sentence-transformers, and what is refused."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import network_bound
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder, write_tokenizer

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.passes.modular import head_of
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool


def tiny_trunk(folder: Path, kind: str) -> Path:
    """Write an encoder of 2 layers and width 32 without a head."""
    from transformers import AutoConfig, AutoModel

    if kind == "bert":
        return tiny_encoder(folder)
    said: dict[str, Any] = {
        "vocab_size": 256,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "local_attention": 16,
        "global_attn_every_n_layers": 2,
        "pad_token_id": 0,
    }
    torch.manual_seed(3)
    AutoModel.from_config(AutoConfig.for_model(kind, **said)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def modular(
    folder: Path, *, pooling: str = "cls", kind: str = "modernbert", labels: int = 1
) -> Path:
    """Write a cross-encoder as Ettin rerankers are made, with random weights."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    trunk = Transformer(str(tiny_trunk(folder.parent / "trunk", kind)))
    torch.manual_seed(5)
    modules = [
        trunk,
        Pooling(32, pooling_mode=pooling),
        Dense(32, 24, activation_function=torch.nn.GELU(), use_residual=True),
        LayerNorm(24),
        Normalize(),
        Dense(24, labels, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    for module in modules[2:]:
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=0.5)
    CrossEncoder(modules=modules, device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture
def run(tmp_path: Path, workspace: Any) -> Artifact:
    collection = collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=40, queries=6)}")
    return mine(workspace, "random", collection, split="train", depth=4)


@pytest.mark.parametrize(
    ("kind", "pooling", "labels"),
    [
        ("modernbert", "cls", 1),
        ("modernbert", "mean", 2),
        ("modernbert", "lasttoken", 1),
        ("bert", "cls", 1),
        ("bert", "mean", 1),
    ],
)
def test_scores_are_those_of_sentence_transformers(
    run: Artifact, tmp_path: Path, kind: str, pooling: str, labels: int
) -> None:
    from sentence_transformers import CrossEncoder

    from rankmill.mining.collection.rows import Corpus, Queries

    folder = modular(tmp_path / "model", kind=kind, pooling=pooling, labels=labels)
    scores = score_pool(run.workspace, f'cross_encoder(model="{folder}",max_length=128)', run)
    exact = {"dtype": torch.float64, "attn_implementation": "eager"}
    theirs = CrossEncoder(str(folder), device="cpu", model_kwargs=exact, max_length=128).double()
    queries, corpus = Queries(run.input("queries")), Corpus(run.input("corpus"))
    seen = 0
    for table in scores.tables():
        offsets, docs = list_values(table["doc"])
        found = list_values(table["logit"])[1]
        query = np.repeat(table["query"].to_numpy(), np.diff(offsets))
        for asked, told, score in zip(query.tolist(), docs.tolist(), found, strict=True):
            pair = (queries.texts([asked])[0], corpus.texts([told])[0])
            features = theirs.preprocess([pair])
            said = partial(margin, theirs, features)
            with torch.no_grad():
                off = (1 + (labels == 2)) * network_bound(said)
                assert abs(score - said().item()) <= off
            seen += 1
    assert seen == scores.counts["pairs"] == 12


def margin(theirs: Any, features: dict[str, Any]) -> Any:
    scores = theirs(dict(features))["scores"][0]
    return scores[1] - scores[0] if len(scores) == 2 else scores[0]


def behind_the_pooling(*modules: Any, at: Path, kind: str = "bert") -> Path:
    """Write a cross-encoder of these modules behind an encoder, random weights in all of them."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    torch.manual_seed(7)
    for module in modules:
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=0.5)
    trunk = Transformer(str(tiny_trunk(at.parent / f"trunk of {at.name}", kind)))
    pooling = Pooling(32, pooling_mode="cls")
    made = CrossEncoder(modules=[trunk, pooling, *modules], device="cpu")
    made.save_pretrained(str(at))
    return at


def dense(wide: int, narrow: int, act: Any, **names: Any) -> Any:
    from sentence_transformers.base.modules import Dense

    return Dense(wide, narrow, activation_function=act, **names)


def heads() -> dict[str, list[Any]]:
    """Return heads by what is odd about them: orders, names and activations that are allowed."""
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm

    def last(wide: int, act: Any = None, **names: Any) -> Any:
        return dense(wide, 1, act, module_output_name="scores", **names)

    return {
        "one layer": [last(32)],
        "the activation that is the default": [Dense(32, 16), last(16)],
        "a norm first": [LayerNorm(32), Dense(32, 16), Dropout(0.5), last(16)],
        "two norms between": [Dense(32, 16), LayerNorm(16), Normalize(), last(16)],
        "dropout at the end": [Dense(32, 16), last(16), Dropout(0.5)],
        "what nobody reads": [Dense(32, 32, module_output_name="x"), LayerNorm(32), last(32)],
        "by another name": [Dense(32, 16, module_output_name="x"), last(16, module_input_name="x")],
        "probabilities": [last(32, torch.nn.Sigmoid())],
        "a learned slope": [dense(32, 16, torch.nn.PReLU()), last(16)],
        "random in training": [dense(32, 16, torch.nn.RReLU()), last(16)],
        "two layers beside": [
            dense(32, 16, torch.nn.LogSigmoid(), use_residual=True, bias=False),
            dense(16, 16, torch.nn.Softsign(), use_residual=True),
            last(16),
        ],
    }


@pytest.mark.parametrize("odd", list(heads()))
def test_modules_in_any_order_say_what_sentence_transformers_says(tmp_path: Path, odd: str) -> None:
    from sentence_transformers import CrossEncoder

    folder = behind_the_pooling(*heads()[odd], at=tmp_path / "model")
    theirs = CrossEncoder(str(folder), device="cpu").double().eval()
    head = head_of(resolve(folder))
    assert head is not None
    assert head.labels == 1
    rows = torch.from_numpy(np.random.Generator(np.random.Philox(3)).normal(size=(9, 32)))
    features = {"sentence_embedding": rows.clone()}
    with torch.no_grad():
        for module in list(theirs)[2:]:
            features = module(features)
        found = head.load("cpu")(rows.float())
    assert found.shape == (9, 1)
    assert np.ptp(found.numpy()) > 0.01
    np.testing.assert_allclose(found.double(), features["scores"], rtol=1e-5, atol=1e-5)


def test_a_head_that_cannot_be_run_is_refused_for_what_it_is(tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Dense, Normalize

    said = Dense(32, 1, module_output_name="scores")
    cases = {
        "reads 'token_embeddings'": [Normalize("token_embeddings"), said],
        "are what 3_Normalize makes of others": [said, Normalize("scores")],
    }
    wide = dense(24, 1, None, module_output_name="scores")
    unfit = behind_the_pooling(Dense(32, 16), wide, at=tmp_path / "unfit")
    unsaid = changed(modular(tmp_path / "unsaid"), 5, out_features=None)
    head = head_of(resolve(unfit))
    assert head is not None
    with pytest.raises(BadInput, match="cannot be run: its modules do not fit: .*shapes"):
        head.load("cpu")
    head = head_of(resolve(unsaid))
    assert head is not None
    with pytest.raises(BadInput, match="do not say out_features"):
        _ = head.labels
    for at, (why, modules) in enumerate(cases.items()):
        folder = behind_the_pooling(*modules, at=tmp_path / str(at))
        with pytest.raises(BadInput, match=f"cannot be run: .*{why}"):
            head_of(resolve(folder))


def changed(folder: Path, at: int, **said: Any) -> Path:
    """Change the settings of a module in place."""
    path = next(folder.glob(f"{at}_*")) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    return folder


def test_bad_heads(tmp_path: Path) -> None:
    whole = modular(tmp_path / "whole")

    def copied(name: str) -> Path:
        shutil.copytree(whole, tmp_path / name)
        return tmp_path / name

    cases = [
        (changed(copied("a"), 1, pooling_mode="max"), r"the pooling \['max'\] is not supported"),
        (changed(copied("b"), 5, module_input_name="other"), "reads 'other'"),
    ]
    for folder, said in cases:
        with pytest.raises(BadInput, match=said):
            head_of(resolve(folder))
    loaded = [
        (changed(copied("c"), 2, activation_function="mine.Swish"), "'mine.Swish' is not one of"),
        (
            changed(copied("d"), 2, activation_function="torch.nn.Linear"),
            "is not one of torch's that need no",
        ),
        (changed(copied("e"), 2, out_features=25), "does not fit its settings: size mismatch"),
    ]
    gone = copied("f")
    next(gone.glob("5_*/model.safetensors")).unlink()
    loaded.append((gone, "the weights of a module of the head cannot be read"))
    for folder, said in loaded:
        head = head_of(resolve(folder))
        assert head is not None
        with pytest.raises(BadInput, match=said):
            head.load("cpu")
    odd = copied("g")
    modules = json.loads((odd / "modules.json").read_text())
    modules[3]["type"] = "sentence_transformers.models.LSTM"
    (odd / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BadInput, match="cannot be run: it has a module 'LSTM'"):
        head_of(resolve(odd))
    modules[3]["path"] = "../whole/3_LayerNorm"
    (odd / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(
        BadInput, match="the module '../whole/3_LayerNorm' does not lie in the model's folder"
    ):
        head_of(resolve(odd))
    pickled = copied("h")
    weights = next(pickled.glob("5_*/model.safetensors"))
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(BadInput, match="the weights of a module are pickles"):
        resolve(pickled)


def test_the_weights_of_modules_identify_a_model(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = modular(tmp_path / "model")
    before = resolve(folder).fingerprint
    path = next(folder.glob("5_*")) / "model.safetensors"
    save_file({k: v + np.float32(1) for k, v in load_file(path).items()}, path)
    assert resolve(folder).fingerprint != before


def test_an_encoder_has_no_head(tmp_path: Path) -> None:
    assert head_of(resolve(tiny_encoder(tmp_path / "encoder"))) is None
