"""docs/teachers.md: what it shows runs, on tiny random checkpoints with a real tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documented_teachers import TEXT, VALUES
from tiny_collection import tiny_beir
from tiny_language_models import tiny_causal_lm, tiny_decoder_classifier, tiny_seq2seq
from tiny_models import tiny_cross_encoder

from rankmill.mining.collection import collect
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers.presets import PRESETS

OWN = TEXT.partition("## A prompt of your own")[2].partition("**What is cut.**")[0]
PROMPTED = [text for text in VALUES if f"`{text}`" in OWN]
ENCODERS = {"ModernBert": "modernbert", "XLMRoberta": "xlm-roberta", "DebertaV2": "deberta-v2"}
SIZES: dict[str, Any] = {"vocab_size": 49_152, "max_position_embeddings": 16_384}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("world")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{tiny_beir(folder / 'beir', docs=20, queries=4)}")
    return mine(workspace, "random", collection, "train", depth=3)


def checkpoint(head: str, folder: Path, tokenizer: Path) -> Path:
    """Write a tiny checkpoint of an architecture, a decoder with SmolLM2's tokenizer."""
    family, _, task = head.partition("For")
    if family == "T5":
        return tiny_seq2seq(folder)
    if family in ENCODERS or family == "Bert":
        kind = ENCODERS.get(family, "bert")
        return tiny_cross_encoder(folder, kind=kind)
    if task == "CausalLM":
        tiny_causal_lm(folder, kind=family.lower(), head_dim=8, **SIZES)
    else:
        tiny_decoder_classifier(folder, kind=family.lower(), pad=2, **SIZES)
    for file in tokenizer.iterdir():
        shutil.copy(file, folder)
    return folder


def check_scores(pool: Artifact, value: str) -> None:
    scores = score_pool(pool.workspace, value, pool)
    said = np.concatenate([list_values(t["logit"])[1] for t in scores.tables(level=3)])
    assert len(said) == scores.counts["pairs"] == 6
    assert np.isfinite(said).all()
    assert len(set(said.tolist())) > 3


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"ettin"}))  # ettin: test_passes_heads.py
def test_every_preset_scores(
    pool: Artifact, tmp_path: Path, smollm2_tokenizer: Path, name: str
) -> None:
    head = PRESETS[name].heads[0]
    model = checkpoint(head, tmp_path / "m", smollm2_tokenizer)
    family = head.partition("For")[0]
    more = ",max_length=100" if family in {*ENCODERS, "Bert", "T5"} else ""  # tiny ones read 128
    check_scores(pool, f"teacher({name},model={model}{more})")


@pytest.mark.parametrize("text", PROMPTED)
def test_every_prompt_scores(
    pool: Artifact, tmp_path: Path, smollm2_tokenizer: Path, text: str
) -> None:
    heads = {"cross_encoder": "Qwen2ForSequenceClassification", "seq2seq": "T5ForAnything"}
    head = heads.get(text.partition("(")[0], "LlamaForCausalLM")
    model = checkpoint(head, tmp_path / "m", smollm2_tokenizer)
    if head.startswith("T5"):  # its pieces are letters but for true, false and the prompt's words
        text = text.replace("[true,yes]", "true").replace("[false,no]", "false")
        text = text.replace(")", ",max_length=256)")
    check_scores(pool, text.replace("PATH", str(model)))


def test_the_table_of_prompts_is_there() -> None:
    assert len(PROMPTED) >= 11
