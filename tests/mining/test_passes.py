"""Forward passes of each architecture: transformers' own numbers, and the same bits in any company.

A sequence of the packed batches is compared with the plain model, in float64 and with attention
written out, on that sequence alone. The decoders' windows are narrower than the texts, and queries
recur, so that documents attend to a beginning that others share.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import network_bound
from tiny_language_models import tiny_causal_lm, tiny_decoder_classifier
from tiny_models import tiny_cross_encoder

from rankmill.mining.errors import BadInput
from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.forward import Forward, Work
from rankmill.mining.models.passes.families import DECODERS
from rankmill.mining.models.sequences import (
    Sequences,
    Template,
    pair_sequences,
    single_sequences,
)
from rankmill.mining.models.tokens import Ragged

LENGTH = 128
SLIDING: dict[str, Any] = {
    "sliding_window": 12,
    "layer_types": ["sliding_attention", "full_attention"],
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 12},
    "qwen2": {"use_sliding_window": True, **SLIDING},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 2.0, **SLIDING},
    "gemma3_text": {"head_dim": 8, "query_pre_attn_scalar": 8, **SLIDING},
}
PAIRS = [(0, 2), (1, 1), (3, 4), (5, 0), (0, 1), (0, 3), (3, 1), (0, 5)]
SIZES = [3, 0, 50, 17, 30, 9]


@pytest.fixture(scope="module")
def texts() -> Ragged:
    values = np.random.Generator(np.random.Philox(4)).integers(5, 200, sum(SIZES))
    return Ragged(values.astype(np.uint16), np.concatenate([[0], np.cumsum(SIZES)]))


def row(texts: Ragged, at: int) -> list[int]:
    ids: list[int] = texts.values[texts.offsets[at] : texts.offsets[at + 1]].tolist()
    return ids


def paired(texts: Ragged, template: Template, pairs: list[tuple[int, int]]) -> Sequences:
    rows = np.asarray(pairs)
    return pair_sequences(texts, texts, rows[:, 0], rows[:, 1], template, LENGTH)


def plain_ids(texts: Ragged, template: Template, pair: tuple[int, int]) -> list[int]:
    special, edge = template.special.tolist(), template.prefix + template.middle
    first, second = (row(texts, at) for at in pair)
    return [
        *special[: template.prefix],
        *first,
        *special[template.prefix : edge],
        *second,
        *special[edge:],
    ]


def plain_logits(model: ModelFolder, loader: str, ids: list[int]) -> tuple[np.ndarray, float]:
    """Return what transformers says of one sequence, float64, and how far float32 may be off."""
    import transformers

    exact = {"dtype": torch.float64, "attn_implementation": "eager"}
    network = getattr(transformers, loader).from_pretrained(model.path, **exact).eval()
    network.config.get_text_config().pad_token_id = None  # it must not look for one
    run = partial(last_logits, network, torch.tensor([ids]))
    with torch.no_grad():
        return run().numpy(), network_bound(run)


def last_logits(network: Any, ids: Any) -> Any:
    logits = network(input_ids=ids).logits
    return logits[0] if logits.ndim == 2 else logits[0, -1]


def classifier(folder: Path, kind: str, pad: int | None = 7, **more: Any) -> ModelFolder:
    said: dict[str, Any] = {**KINDS[kind], **more}
    return resolve(tiny_decoder_classifier(folder, kind=kind, pad=pad, **said))


def same_in_any_company(forward: Forward, texts: Ragged, template: Template) -> np.ndarray:
    """Return the rows of PAIRS; alone, turned, among others and with 1–3 threads their bits are
    equal."""
    before = torch.get_num_threads()
    whole = forward.run(paired(texts, template, PAIRS))
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            turned = forward.run(paired(texts, template, PAIRS[::-1]))[::-1]
            assert turned.tobytes() == whole.tobytes()
            many = forward.run(paired(texts, template, [(2, 4), (4, 2)] * 20 + PAIRS))[40:]
            assert many.tobytes() == whole.tobytes()
        alone = [forward.run(paired(texts, template, [pair])) for pair in PAIRS]
        assert np.concatenate(alone).tobytes() == whole.tobytes()
    finally:
        torch.set_num_threads(before)
    return whole


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_decoder_classifiers_say_what_the_plain_model_says(
    tmp_path: Path, texts: Ragged, kind: str
) -> None:
    model = classifier(tmp_path / kind, kind)
    template = Template.of(model.tokenizer(), pair=True)
    forward = Forward(model, head="logits", compute="float32", max_length=LENGTH)
    assert forward.packed
    found = same_in_any_company(forward, texts, template)
    for pair, logits in zip(PAIRS, found, strict=True):
        ids = plain_ids(texts, template, pair)
        expected, bound = plain_logits(model, "AutoModelForSequenceClassification", ids)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=bound)
    assert len(set(found[:, 0].tolist())) == len(PAIRS)


def test_no_padding_token_matters(tmp_path: Path, texts: Ragged) -> None:
    """Also where a document ends in it: the last token is the last."""
    said = []
    for pad in (0, 1, None):
        model = classifier(tmp_path / str(pad), "qwen2", pad, pair="<s> $A </s> $B")
        forward = Forward(model, head="logits", compute="float32", max_length=LENGTH)
        template = Template.of(model.tokenizer(), pair=True)
        last = int(template.special[-1])
        assert last == 1
        ending = Ragged(np.append(texts.values, [9, 1, 0, 0]), np.append(texts.offsets, 0))
        ending.offsets[-1] = len(ending.values)
        found = forward.run(paired(ending, template, [(0, 6), (0, 2)]))
        said.append(found.tobytes())
        ids = plain_ids(ending, template, (0, 6))
        expected, bound = plain_logits(model, "AutoModelForSequenceClassification", ids)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=bound)
    assert len(set(said)) == 1


@pytest.mark.parametrize("kind", [*sorted(KINDS), "gemma3"])
def test_words_of_language_models_are_those_of_the_plain_model(
    tmp_path: Path, texts: Ragged, kind: str
) -> None:
    """The config of gemma3 is nested, and its text layers stand one level down."""
    capped = {"final_logit_softcapping": 3.0} if kind == "gemma2" else {}
    said: dict[str, Any] = {**KINDS["gemma3_text" if kind == "gemma3" else kind], **capped}
    model = resolve(tiny_causal_lm(tmp_path / kind, kind=kind, **said))
    assert model.max_positions == 256
    words = np.asarray([17, 200, 3], np.int32)
    forward = Forward(model, head="words", compute="float32", max_length=LENGTH, words=words)
    special, segments = np.asarray([0, 60, 61, 62, 63, 64], np.int32), np.zeros(6, np.int32)
    template = Template(special, segments, 3, 1, 0, 0)
    found = same_in_any_company(forward, texts, template)
    for pair in ((0, 2), (1, 1), (3, 4)):
        ids = plain_ids(texts, template, pair)
        expected, bound = plain_logits(model, "AutoModelForCausalLM", ids)
        at = PAIRS.index(pair)
        np.testing.assert_allclose(found[at], expected[words], rtol=0, atol=bound)


@pytest.mark.parametrize("kind", ["qwen3", "gemma2", "modernbert"])
def test_bits_in_bfloat16(tmp_path: Path, texts: Ragged, kind: str) -> None:
    model = modern(tmp_path / kind) if kind == "modernbert" else classifier(tmp_path / kind, kind)
    forward = Forward(model, head="logits", compute="bfloat16", max_length=LENGTH)
    assert np.isfinite(
        same_in_any_company(forward, texts, Template.of(model.tokenizer(), pair=True))
    ).all()


def modern(folder: Path, **more: Any) -> ModelFolder:
    said: dict[str, Any] = {"local_attention": 16, "global_attn_every_n_layers": 2, **more}
    return resolve(tiny_cross_encoder(folder, kind="modernbert", num_hidden_layers=3, **said))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert_says_what_the_plain_model_says(
    tmp_path: Path, texts: Ragged, pooling: str
) -> None:
    """Both its local layers, whose windows are shorter than the texts, and its global ones."""
    model = modern(tmp_path / "m", classifier_pooling=pooling)
    template = Template.of(model.tokenizer(), pair=True)
    forward = Forward(model, head="logits", compute="float32", max_length=LENGTH)
    assert forward.packed
    assert not forward.causal
    found = same_in_any_company(forward, texts, template)
    for pair, logits in zip(PAIRS, found, strict=True):
        ids = plain_ids(texts, template, pair)
        expected, bound = plain_logits(model, "AutoModelForSequenceClassification", ids)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=bound)


def test_a_beginning_is_computed_once_in_a_batch(tmp_path: Path, texts: Ragged) -> None:
    model = classifier(tmp_path / "m", "llama")
    forward = Forward(model, head="logits", compute="float32", max_length=LENGTH)
    template = Template.of(model.tokenizer(), pair=True)
    work = Work()
    pairs = [(2, 0)] * 5 + [(2, 3), (4, 3)]
    forward.run(paired(texts, template, pairs), work)
    # <s> query </s> once for each of two queries, document and </s> for every pair
    assert work.tokens - work.padding == (50 + 2) + (30 + 2) + 5 * (3 + 1) + 2 * (17 + 1)
    assert work.batches == 1
    weights, attention = forward.shape.weights, forward.shape.attention  # type: ignore[union-attr]
    seen = 52**2 + 32**2 + 5 * 4 * 56 + 18 * 70 + 18 * 50
    assert work.flops == 2 * weights * (work.tokens - work.padding) + 4 * attention * seen


def test_a_decoder_that_is_not_packed_is_read_by_length(tmp_path: Path, texts: Ragged) -> None:
    model = resolve(tiny_decoder_classifier(tmp_path / "gpt2", kind="gpt2", pad=5))
    template = Template.of(model.tokenizer(), pair=True)
    forward = Forward(model, head="logits", compute="float32", max_length=LENGTH)
    assert not forward.packed
    found = same_in_any_company(forward, texts, template)
    for pair, logits in zip(PAIRS[:3], found, strict=False):
        ids = plain_ids(texts, template, pair)
        expected, bound = plain_logits(model, "AutoModelForSequenceClassification", ids)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=bound)


@pytest.mark.parametrize(("kind", "pooling"), [("qwen3", "last"), ("llama", "mean")])
def test_decoders_as_encoders(tmp_path: Path, texts: Ragged, kind: str, pooling: str) -> None:
    """A text without a token, special ones included, is read as one of id 0."""
    from transformers import AutoModel

    model = resolve(tiny_causal_lm(tmp_path / kind, kind=kind, **KINDS[kind]))
    bare = Template(np.empty(0, np.int32), np.empty(0, np.int32), 0, 0, 0, 0)
    forward = Forward(model, head=pooling, compute="float32", max_length=LENGTH)
    found = forward.run(single_sequences(texts, bare, LENGTH))
    exact = {"dtype": torch.float64, "attn_implementation": "eager"}
    network = AutoModel.from_pretrained(model.path, **exact).eval()
    for at in range(len(SIZES)):
        run = partial(pooled, network, torch.tensor([row(texts, at) or [0]]), pooling)
        with torch.no_grad():
            np.testing.assert_allclose(found[at], run().numpy(), rtol=0, atol=network_bound(run))


def pooled(network: Any, ids: Any, pooling: str) -> Any:
    hidden = network(input_ids=ids).last_hidden_state[0]
    return hidden[-1] if pooling == "last" else hidden.mean(0)


def test_positions_that_depend_on_the_longest_text_of_a_batch(tmp_path: Path) -> None:
    """Behind the positions of its training `longrope` turns all of a batch otherwise."""
    factors = [1.0] * 4
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 64}
    rope |= {"short_factor": factors, "long_factor": [8.0] * 4, "factor": 4.0}
    model = classifier(tmp_path, "qwen2", rope_parameters=rope)
    with pytest.raises(BadInput, match=r"longrope(.|\n)*give max_length=64 or less"):
        Forward(model, head="logits", compute="float32", max_length=128)
    Forward(model, head="logits", compute="float32", max_length=64)


def test_every_packed_decoder_is_tested() -> None:
    assert set(KINDS) | {"gemma3"} == DECODERS


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta", "camembert"])
@pytest.mark.parametrize("pad", [1, 0, 6])
def test_a_padding_token_in_a_text_takes_no_position(tmp_path: Path, kind: str, pad: int) -> None:
    """RoBERTa and its kin number the tokens that are no padding; a text may hold its string."""
    model = resolve(tiny_cross_encoder(tmp_path / kind, kind=kind, pad_token_id=pad))
    rows = [[9, pad, 11], [pad, pad, 9, 12, pad], [30, 31], [pad], [8, 9, 10, pad, pad, 11, pad, 7]]
    flat = np.asarray([i for row in rows for i in row], np.uint16)
    texts = Ragged(flat, np.cumsum([0, *map(len, rows)]))
    pairs = [(0, 1), (2, 0), (3, 4), (4, 2), (2, 2), (1, 3)]
    template = Template.of(model.tokenizer(), pair=True)
    forward = Forward(model, head="logits", compute="float32", max_length=LENGTH)
    assert forward.packed
    said = forward.run(paired(texts, template, pairs))
    for pair, logits in zip(pairs, said, strict=True):
        ids = plain_ids(texts, template, pair)
        expected, bound = plain_logits(model, "AutoModelForSequenceClassification", ids)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=bound)
