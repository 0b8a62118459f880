"""Classifiers are read at the right place, whatever their padding token; others are refused."""

from __future__ import annotations

import inspect
import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from rounding import network_bound
from tiny_collection import tiny_beir
from tiny_language_models import tiny_causal_lm, tiny_decoder_classifier
from tiny_models import tiny_cross_encoder, write_tokenizer

from rankmill.mining.collection import collect
from rankmill.mining.collection.rows import Corpus, Queries
from rankmill.mining.errors import BadInput
from rankmill.mining.models.classifiers import (
    _looks_up,
    check_classifier,
    check_padding,
    check_student,
)
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.forward import Forward
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool
from rankmill.training.students import parse_student

DECODERS = ("qwen2", "llama", "gemma")
NOTHING = "numbers that have nothing to do with the model"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("world")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{tiny_beir(folder / 'beir', docs=30, queries=4)}")
    run = mine(workspace, "random", collection, split="train", depth=3)
    return pool_runs(workspace, [run], collection=collection, split="train")


PROMPT = "Q: {query}\nD: {document}\nRelevant:"


@pytest.mark.parametrize("prompt", ["", PROMPT])
@pytest.mark.parametrize(("kind", "pad"), [("qwen2", 0), ("qwen3", 5), ("gemma3", None)])
def test_scores_are_the_models_own(pool, tmp_path, kind, pad, prompt):
    """Of the pair alone, by the plain model: with its tokenizer's template, or with a prompt where
    the tokenizer puts nothing between two texts. Gemma 3's config is nested."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForSequenceClassification

    pair = {"pair": "<s> $A $B"} if prompt else {}
    folder = tiny_decoder_classifier(
        tmp_path / "model", kind=kind, pad=pad, max_position_embeddings=2048, **pair
    )
    asked = f",prompt={json.dumps(prompt)}" if prompt else ""
    teacher = f'cross_encoder(model="{folder}",max_length=2048{asked})'
    scores = score_pool(pool.workspace, teacher, pool)
    assert scores.metadata["prompt"] == prompt
    assert scores.metadata["model"].startswith(f"{kind}-32x2@")
    network = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    network.config.get_text_config().pad_token_id = None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    queries, corpus = Queries(pool.input("queries")), Corpus(pool.input("corpus"))
    checked = 0
    for table in scores.tables():
        offsets, docs = list_values(table["doc"])
        found = list_values(table["logit"])[1]
        for row, query in enumerate(table["query"].to_pylist()):
            for at in range(offsets[row], offsets[row + 1]):
                texts = queries.texts([query])[0], corpus.texts([docs[at]])[0]
                whole = prompt.format(query=texts[0], document=texts[1])
                ids = (tokenizer.encode(whole) if prompt else tokenizer.encode(*texts)).ids
                run = partial(first_logit, network, torch.tensor([ids]))
                with torch.no_grad():
                    assert abs(found[at] - float(run())) <= network_bound(run)
                checked += 1
    assert checked == scores.counts["pairs"] > 5
    assert not scores.counts["truncated"]


def test_a_template_without_anything_between_the_texts_is_refused(pool, tmp_path):
    folder = tiny_decoder_classifier(tmp_path / "model", kind="qwen2", pad=0, pair="<s> $A $B")
    with pytest.raises(BadInput, match="puts nothing between query and document") as said:
        score_pool(pool.workspace, f'cross_encoder(model="{folder}")', pool)
    assert 'prompt="…{query}…{document}…"' in str(said.value)


def first_logit(network: Any, ids: Any) -> Any:
    return network(input_ids=ids).logits[0, :1]


@pytest.mark.parametrize("pair", ["<s> $A $B", "$A $B", "$A $B </s>"])
@pytest.mark.parametrize("pad", [0, 2, None])
def test_a_student_without_anything_between_its_texts_is_refused(tmp_path, pair, pad):
    folder = tiny_decoder_classifier(tmp_path / "model", kind="gemma", pad=pad, pair=pair)
    with pytest.raises(BadInput, match="puts nothing between query and document") as said:
        check_student(resolve(folder))
    assert "post_processor" in str(said.value)


def test_a_language_model_without_a_head_is_no_student(tmp_path):
    folder = tiny_causal_lm(tmp_path / "model")
    with pytest.raises(BadInput, match="a student has no prompt"):
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


def test_padding_that_moves_the_score_of_an_empty_text_alone_is_found(tmp_path):
    """MobileBERT's embedding of a token holds that of its neighbour, padding included: with heads
    as sharp as here only the scores of some pairs show it."""
    import torch
    from transformers import AutoModelForSequenceClassification, MobileBertConfig

    small = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    wide = {"hidden_size": 32, "embedding_size": 32, "intra_bottleneck_size": 32}
    config = MobileBertConfig(
        vocab_size=400, max_position_embeddings=130, num_labels=1, pad_token_id=0, **small, **wide
    )
    torch.manual_seed(21)
    model = AutoModelForSequenceClassification.from_config(config)
    drawn = torch.Generator().manual_seed(21)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape, generator=drawn) * 0.3)
    model.save_pretrained(tmp_path / "model")
    write_tokenizer(tmp_path / "model")
    with pytest.raises(BadInput, match="padding changes what this classifier says"):
        Forward(resolve(tmp_path / "model"), head="logits", compute="float32", max_length=100)


def test_a_model_without_a_table_of_tokens_is_refused(tmp_path):
    from transformers import CanineConfig, CanineForSequenceClassification

    small = {"num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    config = CanineConfig(hidden_size=32, max_position_embeddings=130, num_labels=1, **small)
    CanineForSequenceClassification(config).save_pretrained(tmp_path / "model")
    write_tokenizer(tmp_path / "model")
    with pytest.raises(BadInput, match="Canine.* has no table of token embeddings"):
        Forward(resolve(tmp_path / "model"), head="logits", compute="float32", max_length=100)


def test_the_room_for_rounding(tmp_path):
    model = resolve(tiny_cross_encoder(tmp_path / "model"))
    check_padding(np.array([5.0]), np.array([5.00001]), model, "float32")
    with pytest.raises(BadInput, match=r"\[5.0\] for a pair alone, \[5.2"):
        check_padding(np.array([5.0]), np.array([5.2]), model, "float32")
    with pytest.raises(BadInput, match="nan"):
        check_padding(np.array([5.0]), np.array([np.nan]), model, "bfloat16")
