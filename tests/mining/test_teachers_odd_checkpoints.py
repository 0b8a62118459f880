"""Checkpoints as people have them: in shards, in 16 bits, with old fields, with pictures, with
tokenizers that pad on the left or add what they like; against transformers on the whole text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_language_models import _byte_tokenizer, tiny_causal_lm
from tiny_models import tiny_encoder

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput
from rankmill.mining.models.folder import load_model, resolve
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.execution import Silent
from rankmill.mining.teachers import teacher_of
from rankmill.mining.teachers.base import PREPARERS

QUERIES = ["who wrote Hamlet", "is the sun warm?"]
DOCS = ["Hamlet is a tragedy.", "The sun has some 5,772 K. ", "", "Bake the bread at 220."]
PROMPT = "Query: {query}\nDocument: {document}\nRelevant?"
OFF = 1e-5  # float32 in two layers of width 32; seen: 4e-6. Another token moves a score by 0.1


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("world")
    for name, prefix, texts in (("corpus", "d", DOCS), ("queries", "q", QUERIES)):
        rows = [{"_id": f"{prefix}{n}", "text": text} for n, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\n"
    )
    workspace = Workspace(folder / "work")
    return mine(workspace, "random", collect(workspace, f"beir:{folder}"), "train", depth=3)


class Heard(Silent):
    """Progress that keeps what is announced."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def announce(self, text: str) -> None:
        self.said.append(text)


def scores_of(
    pool: Artifact,
    folder: Path,
    kind: str = "causal_lm",
    prompt: str = PROMPT,
    executor: Execution = INLINE,
) -> np.ndarray:
    """Return the scores of every query with every document, float32 [8]."""
    query = np.repeat(np.arange(2, dtype=np.uint32), 4)
    doc = np.tile(np.arange(4, dtype=np.uint32), 2)
    teacher = teacher_of(f"{kind}(model={folder},prompt={json.dumps(prompt)},max_length=200)")
    prepared = PREPARERS[type(teacher)](pool.workspace, teacher, pool, executor)
    return np.asarray(prepared.make(**prepared.options).score(query, doc).scores)


def plain_scores(folder: Path, loader: str = "AutoModelForCausalLM", first: int = 0) -> np.ndarray:
    """Return transformers' scores of the same pairs; `first` stands before a text, −1 for none."""
    import torch
    import transformers
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    model = getattr(transformers, loader).from_pretrained(folder, dtype=torch.float32).eval()
    yes, no = (tokenizer.encode(w, add_special_tokens=False).ids[0] for w in (" yes", " no"))
    scores = []
    for query in QUERIES:
        for doc in DOCS:
            text = PROMPT.replace("{query}", query).replace("{document}", doc)
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            rows = torch.tensor([ids if first < 0 else [first, *ids]])
            with torch.inference_mode():
                logits = model(input_ids=rows, use_cache=False).logits[0, -1]
            scores.append(float(logits[yes] - logits[no]))
    assert np.ptp(scores) > 1000 * OFF
    return np.asarray(scores)


def resaved(folder: Path, **how: Any) -> None:
    """Save a checkpoint once more, in shards or in 16 bits."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = how.pop("dtype", "float32")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, **how)


def changed(folder: Path, **fields: Any) -> None:
    """Change fields of config.json; None takes one out."""
    path = folder / "config.json"
    said = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({k: v for k, v in said.items() if v is not None}))


def dressed(folder: Path, single: str) -> None:
    """Let the tokenizer put special tokens round a text, pad to 64 on the left, cut at 20."""
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    marks = [("<s>", 0), ("</s>", 1)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=marks)
    tokenizer.enable_padding(direction="left", pad_id=1, pad_token="</s>", length=64)
    tokenizer.enable_truncation(20)
    tokenizer.save(str(folder / "tokenizer.json"))


OLD = {"rope_parameters": None, "dtype": None, "torch_dtype": "bfloat16", "rope_theta": 5e5}
CHANGES: dict[str, Callable[[Path], None]] = {
    "shards": lambda folder: resaved(folder, max_shard_size="20KB"),
    "bfloat16": lambda folder: resaved(folder, dtype="bfloat16", max_shard_size="20KB"),
    "float16": lambda folder: resaved(folder, dtype="float16"),
    "an old rope_theta": lambda folder: changed(folder, **OLD),
    "an old rope_scaling": lambda folder: changed(
        folder, **OLD, rope_scaling={"type": "linear", "factor": 2.0}
    ),
    "no architectures": lambda folder: changed(folder, architectures=None),
    "left padding": lambda folder: dressed(folder, "<s> $A"),
    "an end of its own": lambda folder: dressed(folder, "<s> $A </s>"),
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("odd", CHANGES)
def test_scores_are_those_of_transformers(
    pool: Artifact, tmp_path: Path, odd: str, tied: bool
) -> None:
    folder = tiny_causal_lm(tmp_path / "m", tie_word_embeddings=tied)
    CHANGES[odd](folder)
    if odd in ("shards", "bfloat16"):
        assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    expected = plain_scores(folder)
    np.testing.assert_allclose(scores_of(pool, folder), expected, rtol=0, atol=OFF)


@pytest.mark.parametrize("single", ["$A", "$A </s>"])
def test_nothing_is_put_before_a_text_by_a_tokenizer_that_puts_nothing_there(
    pool: Artifact, tmp_path: Path, single: str
) -> None:
    folder = tiny_causal_lm(tmp_path / "m")
    dressed(folder, single)
    expected = plain_scores(folder, first=-1)
    np.testing.assert_allclose(scores_of(pool, folder), expected, rtol=0, atol=OFF)


@pytest.mark.parametrize("end", ["", "</s>"])
@pytest.mark.parametrize("single", ["<s> $A", "<s> $A </s>"])
def test_a_classifier_whose_tokenizer_ends_texts_is_told_where_its_prompt_does_not(
    pool: Artifact, tmp_path: Path, single: str, end: str
) -> None:
    import torch
    from tiny_language_models import tiny_decoder_classifier
    from tokenizers import Tokenizer
    from transformers import AutoModelForSequenceClassification

    folder = tiny_decoder_classifier(tmp_path / "m", kind="llama", pad=None)
    dressed(folder, single)
    heard = Heard()
    here = Execution(progress=heard)
    scores = scores_of(pool, folder, "cross_encoder", prompt=PROMPT + end, executor=here)
    told = [said for said in heard.said if "puts </s> behind a text" in said]
    assert len(told) == (single.endswith("</s>") and not end)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    expected = []
    for query in QUERIES:
        for doc in DOCS:
            text = PROMPT.format(query=query, document=doc) + end
            ids = [0, *tokenizer.encode(text, add_special_tokens=False).ids]
            with torch.inference_mode():
                expected.append(float(model(input_ids=torch.tensor([ids])).logits[0, 0]))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=OFF)


def scored_by(folder: Path, yes: int, no: int | None) -> None:
    """Say in modules.json what a reranker is scored by, as sentence-transformers saves it."""
    from sentence_transformers.cross_encoder.modules import LogitScore

    (folder / "1_LogitScore").mkdir(exist_ok=True)
    LogitScore(yes, no).save(str(folder / "1_LogitScore"))
    kinds = [("", "base.modules.transformer.Transformer")]
    kinds.append(("1_LogitScore", "cross_encoder.modules.logit_score.LogitScore"))
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.{kind}"}
        for n, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


def test_words_that_a_checkpoint_is_not_scored_by_are_told(pool: Artifact, tmp_path: Path) -> None:
    """The default words are " yes" and " no"; another word is another score."""
    from tokenizers import Tokenizer

    folder = tiny_causal_lm(tmp_path / "m")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    yes, no, a = (
        tokenizer.encode(w, add_special_tokens=False).ids[0] for w in (" yes", " no", "a")
    )
    cases = [
        (yes, no, ""),
        (a, no, "is the logit of 'a' less that of ' no'; asked is yes ' yes', and no ' no'"),
        (no, yes, "is the logit of ' no' less that of ' yes'; asked is yes ' yes', and no ' no'"),
        (yes, None, "is the logit of ' yes'; asked is yes ' yes', and no ' no'"),
    ]
    for one, other, said in cases:
        scored_by(folder, one, other)
        heard = Heard()
        scores_of(pool, folder, executor=Execution(progress=heard))
        told = [line for line in heard.said if "modules.json" in line]
        assert [said in line for line in told] == [True] * bool(said)


def test_a_language_model_as_a_classifier_is_told_what_it_is(
    pool: Artifact, tmp_path: Path
) -> None:
    folder = tiny_causal_lm(tmp_path / "m", tie_word_embeddings=False)
    with pytest.raises(BadInput, match=r"(?s)no trained classifier.*write causal_lm\(model=…"):
        scores_of(pool, folder, "cross_encoder")


TEXT = {
    "vocab_size": 320,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
}
SEES = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 16,
    "patch_size": 8,
}
TURNS = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
QWEN_SEES = {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64}
NESTED: dict[str, dict[str, Any]] = {
    "gemma3": {"text_config": TEXT | {"sliding_window": 8}, "vision_config": SEES},
    "mistral3": {
        "text_config": TEXT | {"model_type": "mistral"},
        "vision_config": SEES | {"model_type": "pixtral", "head_dim": 16},
    },
    "qwen2_5_vl": {
        "text_config": TEXT | {"rope_parameters": TURNS},
        "vision_config": QWEN_SEES | {"out_hidden_size": 32},
    },
}


@pytest.mark.parametrize("kind", NESTED)
def test_a_model_that_also_sees_pictures_is_a_language_model(
    pool: Artifact, tmp_path: Path, kind: str
) -> None:
    """Mistral 3 and Qwen-VL are not known to transformers' loader of language models."""
    from tiny_language_models import _save
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = tmp_path / kind
    config = AutoConfig.for_model(kind, **NESTED[kind])
    _save(AutoModelForImageTextToText.from_config(config), folder, 5)
    _byte_tokenizer(folder)
    expected = plain_scores(folder, "AutoModelForImageTextToText")
    np.testing.assert_allclose(scores_of(pool, folder), expected, rtol=0, atol=OFF)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("modernbert-decoder", {"cls_token_id": 0, "sep_token_id": 1, "local_attention": 8}),
        ("qwen3_5_text", {"layer_types": ["linear_attention", "linear_attention"]}),
    ],
)
def test_classifiers_with_heads_and_layers_of_another_kind(
    pool: Artifact, tmp_path: Path, kind: str, more: dict[str, Any]
) -> None:
    """A head of two layers, and nothing but linear attention, which has no keys to keep."""
    import torch
    from tiny_language_models import _save
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tmp_path / "m"
    nobody = {"pad_token_id": 319, "bos_token_id": 0, "eos_token_id": 1, "num_labels": 1}
    config = AutoConfig.for_model(kind, **(TEXT | nobody | more))
    torch.manual_seed(0)  # for what `_save` leaves as it was drawn: how fast layers forget
    _save(AutoModelForSequenceClassification.from_config(config), folder, 5)
    _byte_tokenizer(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    expected = []
    for query in QUERIES:
        for doc in DOCS:
            ids = tokenizer.encode(PROMPT.format(query=query, document=doc)).ids
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
            expected.append(float(logits[0, 0]))
    assert np.ptp(expected) > 1000 * OFF
    scores = scores_of(pool, folder, "cross_encoder")
    np.testing.assert_allclose(scores, expected, rtol=0, atol=OFF)


def test_an_output_layer_with_a_number_for_each_word_is_cut_with_it(
    pool: Artifact, tmp_path: Path
) -> None:
    """BART adds `final_logits_bias` to all words."""
    import torch
    from tiny_language_models import _piece_tokenizer, _save
    from tokenizers import Tokenizer
    from transformers import BartConfig, BartForConditionalGeneration

    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in SIDE.items()}
    config = BartConfig(
        vocab_size=128,
        d_model=32,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=0,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
        **sizes,
    )
    folder, network = tmp_path / "m", BartForConditionalGeneration(config)
    network.final_logits_bias = torch.arange(128.0)[None] / 10
    _save(network, folder, 5)
    _piece_tokenizer(folder)
    model = BartForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    words = [tokenizer.encode(w, add_special_tokens=False).ids[0] for w in ("true", "false")]
    expected = []
    for query in QUERIES:
        for doc in DOCS:
            ids = tokenizer.encode(f"Query: {query} Document: {doc} Relevant:").ids
            with torch.inference_mode():
                start = torch.tensor([[0]])
                logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=start).logits[0, -1]
            expected.append(float(logits[words[0]] - logits[words[1]]))
    scores = scores_of(pool, folder, "seq2seq", "Query: {query} Document: {document} Relevant:")
    np.testing.assert_allclose(scores, expected, rtol=0, atol=OFF)


SIDE = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}


def test_an_architecture_that_speaks_no_words_is_named_and_not_all_others(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "e")
    changed(folder, model_type="deberta-v2", architectures=["DebertaV2Model"])
    said = r"transformers [0-9.]+ has no AutoModelForCausalLM of type deberta-v2\n +where: .*config"
    with pytest.raises(BadInput, match=said) as refused:
        load_model(resolve(folder), head="causal_lm", compute="float32")
    assert len(str(refused.value)) < 500
    assert "rankmill import FILE" in str(refused.value)
