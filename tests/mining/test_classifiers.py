"""Classifiers that padded batches would read at the wrong place are refused, the others are not."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounding import network_bound
from tiny_collection import tiny_beir
from tiny_language_models import tiny_causal_lm, tiny_decoder_classifier
from tiny_models import tiny_cross_encoder, write_tokenizer

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput
from rankmill.mining.models.classifiers import _looks_up, check_classifier, check_padding
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.forward import Forward
from rankmill.mining.models.tokens import TokenStore
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool
from rankmill.training.students import parse_student

DECODERS = ("qwen2", "llama", "gemma")
NOTHING = "numbers that have nothing to do with the model"


@pytest.fixture
def pool(workspace: Workspace, tmp_path: Path) -> Any:
    collection = collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=40, queries=8)}")
    run = mine(workspace, "bm25(k1=0.9,b=0.4)", collection, split="train", depth=10)
    return pool_runs(workspace, [run], collection=collection, split="train")


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize(
    ("pad", "why"),
    [
        (2, "last token that is not pad_token_id=2, and batches are filled up with token 0"),
        (None, "last token that is not pad_token_id, and its config has none"),
    ],
)
def test_decoder_classifiers_are_refused(workspace, pool, tmp_path, kind, pad, why):
    folder = tiny_decoder_classifier(tmp_path / "model", kind=kind, pad=pad)
    for refused in (
        lambda: score_pool(workspace, f'cross_encoder(model="{folder}")', pool),
        lambda: parse_student(f'cross_encoder(model="{folder}")'),
    ):
        with pytest.raises(BadInput, match=NOTHING) as said:
            refused()
        assert why in str(said.value)
        assert "causal_lm(model=" in str(said.value)
        assert str(folder) in str(said.value)


@pytest.mark.parametrize("kind", DECODERS)
def test_padding_token_0_is_right_where_a_pair_ends_in_another_special_token(
    workspace, pool, tmp_path, kind
):
    """Every score equals the model's own for that pair alone."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = tiny_decoder_classifier(tmp_path / "model", kind=kind, pad=0)
    scores = score_pool(workspace, f'cross_encoder(model="{folder}",max_length=256)', pool)
    tokens = {role: TokenStore(scores.input(f"{role}_tokens")) for role in ("query", "doc")}
    network = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    checked = 0
    for table in scores.tables():
        offsets, docs = list_values(table["doc"])
        found = list_values(table["logit"])[1]
        for row, query in enumerate(table["query"].to_pylist()):
            for at in range(offsets[row], offsets[row + 1]):
                one, two = (
                    tokens[role].take(np.array([i])).values.tolist()
                    for role, i in (("query", query), ("doc", docs[at]))
                )
                ids = [0, *one, 1, *two, 1]
                if len(ids) <= 256:
                    run = partial(first_logit, network, torch.tensor([ids]))
                    with torch.no_grad():
                        assert abs(found[at] - float(run())) <= network_bound(run)
                    checked += 1
    assert checked > 10


def first_logit(network: Any, ids: Any) -> Any:
    return network(input_ids=ids).logits[0, :1]


@pytest.mark.parametrize("pair", ["<s> $A $B", "$A $B", "<s> $A </s> $B <s>"])
def test_padding_token_0_is_refused_where_text_may_end_in_it(tmp_path, pair):
    folder = tiny_decoder_classifier(tmp_path / "model", kind="gemma", pad=0, pair=pair)
    with pytest.raises(BadInput, match="puts no special token behind a pair"):
        check_classifier(resolve(folder))


def test_a_language_model_without_a_head_is_no_student(tmp_path):
    folder = tiny_causal_lm(tmp_path / "model")  # its padding token is 1
    with pytest.raises(BadInput, match="LlamaForSequenceClassification reads its score at"):
        parse_student(f'cross_encoder(model="{folder}")')


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra"])
def test_encoders_are_allowed(tmp_path, kind):
    check_classifier(resolve(tiny_cross_encoder(tmp_path / "model", kind=kind)))


def test_classes_are_judged_by_what_they_look_up():
    """All that transformers has: every decoder and encoder-decoder, and no encoder."""
    import transformers
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as CLASSES

    found = {c.__name__: _looks_up(c) for c in CLASSES.values() if inspect.isclass(c)}
    for name in ("Qwen2", "Qwen3", "Llama", "Gemma", "Gemma3", "GPT2", "Mistral", "OPT", "Bloom"):
        assert found[f"{name}ForSequenceClassification"] == {"pad_token_id"}, name
    for name in ("Bart", "T5", "MT5"):
        assert "eos_token_id" in found[f"{name}ForSequenceClassification"], name
    for name in ("Bert", "Roberta", "XLMRoberta", "Electra", "DebertaV2", "ModernBert", "MPNet"):
        assert not found[f"{name}ForSequenceClassification"], name
    generic = transformers.modeling_layers.GenericForSequenceClassification
    heirs = [c for c in CLASSES.values() if inspect.isclass(c) and issubclass(c, generic)]
    assert len(heirs) > 20
    assert all("pad_token_id" in _looks_up(c) for c in heirs)


def test_an_encoder_decoder_is_refused(tmp_path):
    from transformers import BartConfig, BartForSequenceClassification

    config = BartConfig(
        vocab_size=256,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_labels=1,
    )
    BartForSequenceClassification(config).save_pretrained(tmp_path / "model")
    write_tokenizer(tmp_path / "model")
    with pytest.raises(BadInput, match="finds the place of its score by eos_token_id"):
        check_classifier(resolve(tmp_path / "model"))


@pytest.mark.parametrize(("kind", "refused"), [("fnet", True), ("deberta-v2", False)])
def test_a_model_that_padding_changes_is_found_when_it_is_loaded(tmp_path, kind, refused):
    """FNet mixes all places and knows no mask: nothing in its forward pass looks for a token."""
    folder = tiny_cross_encoder(tmp_path / "model", kind=kind)
    model = resolve(folder)
    check_classifier(model)
    if refused:
        with pytest.raises(BadInput, match="padding changes what this classifier says"):
            Forward(model, head="logits", compute="float32", max_length=64)
    else:
        Forward(model, head="logits", compute="float32", max_length=64)


def test_the_room_for_rounding(tmp_path):
    model = resolve(tiny_cross_encoder(tmp_path / "model"))
    check_padding(np.array([5.0]), np.array([5.00001]), model, "float32")
    with pytest.raises(BadInput, match=r"\[5.0\] for a pair alone, \[5.2"):
        check_padding(np.array([5.0]), np.array([5.2]), model, "float32")
    with pytest.raises(BadInput, match="nan"):
        check_padding(np.array([5.0]), np.array([np.nan]), model, "bfloat16")
